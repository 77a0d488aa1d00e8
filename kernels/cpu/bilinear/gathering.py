"""Neighbours in memory, fetched for a vector of places at once."""

from typing import Any

from llvmlite import ir
from numba.core import types

from kernels.cpu.simd.types import MaskType, VectorType, address, intrinsic, llvm_function, need_array

_I32 = ir.IntType(32)
_Tuple: Any = types.UniTuple


def _gathered(builder: Any, start: Any, places: Any, number: Any, align: int) -> Any:
    """One number of 64 bits from start + places[lane], for each lane: an instruction on AVX-512, loads elsewhere."""
    lanes, kind = places.type.count, "i64" if isinstance(number, ir.IntType) else "f64"
    pointers = builder.gep(start, [places], source_etype=start.type.pointee)
    pointers.type = ir.VectorType(start.type, lanes)  # which llvmlite does not know
    result, everywhere = ir.VectorType(number, lanes), ir.Constant(MaskType(lanes).llvm, [1] * lanes)
    name = f"llvm.masked.gather.v{lanes}{kind}.v{lanes}p0"
    function = llvm_function(builder, name, result, pointers.type, _I32, everywhere.type, result)
    return builder.call(function, [pointers, _I32(align), everywhere, ir.Constant(result, ir.Undefined)])


def _lanes(builder: Any, v: Any, w: Any, pattern: Any) -> Any:
    """Lanes of v followed by w."""
    return builder.shuffle_vector(v, w, ir.Constant(ir.VectorType(_I32, len(pattern)), list(pattern)))


@intrinsic
def gather_pairs(typing_context: Any, a: Any, index: Any, v: Any) -> Any:
    """The elements a[index + v[0]], a[index + v[1]], ..., and the elements behind each: two vectors.

    A pair of float32 is fetched as one number of 64 bits, because what a gather costs is the count of its loads.
    """
    vector = VectorType(need_array(a).dtype, v.lanes)
    lanes, size = v.lanes, a.dtype.bitwidth // 8

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start, places = address(context, builder, a, arguments[0], index, arguments[1]), arguments[2]
        if size == 4:
            halves = []
            for first in (0, lanes // 2):
                half = _lanes(builder, places, places, range(first, first + lanes // 2))
                pairs = _gathered(builder, start, half, ir.IntType(64), size)
                halves.append(builder.bitcast(pairs, vector.llvm))
            both = [_lanes(builder, halves[0], halves[1], range(second, 2 * lanes, 2)) for second in (0, 1)]
        else:
            behind = builder.gep(start, [_I32(1)])
            both = [_gathered(builder, pointer, places, vector.llvm.element, size) for pointer in (start, behind)]
        return context.make_tuple(builder, signature.return_type, both)

    return _Tuple(vector, 2)(a, index, v), generate
