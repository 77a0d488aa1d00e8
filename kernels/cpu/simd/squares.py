"""Squares of lanes x lanes numbers: how planes of pixels become pixels of channels, and back.

A square is a tile of one column. Its edges in memory may be cut off: `load_square` and `store_square` touch nothing
outside of rows x count numbers.
"""

from typing import Any

from llvmlite import ir
from numba.core import types

from kernels.cpu.simd.memory import first_lanes, load_masked
from kernels.cpu.simd.rearrange import picked
from kernels.cpu.simd.types import MaskType, TileType, address, intrinsic, llvm_function, need_array, whole

_I32, _I64 = ir.IntType(32), ir.IntType(64)


@intrinsic
def transpose(typing_context: Any, tile: Any) -> Any:
    """A square of numbers, one vector a row, mirrored at its diagonal.

    Blocks of 1, 2, 4, ... lanes change places between pairs of rows that far apart: after the round of blocks of size
    b, every square of 2b x 2b numbers is transposed. 16 rows take 4 rounds of 16 shuffles.

        a b | c d        a e | c g        a e | i m
        e f | g h   1    b f | d h   2    b f | j n
        ----+----  --->  ----+----  --->  ----+----
        i j | k l        i m | k o        c g | k o
        m n | o p        j n | l p        d h | l p
    """
    if not isinstance(tile, TileType) or tile.cols != 1 or tile.rows != tile.vector.lanes:
        return None
    count = tile.rows

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = [builder.extract_value(arguments[0], i) for i in range(count)]
        size = 1
        while size < count:
            upper = [lane if not lane & size else count + lane - size for lane in range(count)]
            lower = [lane + size if not lane & size else count + lane for lane in range(count)]
            for i in range(count):
                if not i & size:
                    pair = rows[i], rows[i + size]
                    rows[i], rows[i + size] = picked(builder, *pair, upper), picked(builder, *pair, lower)
            size *= 2
        out = ir.Constant(tile.llvm, ir.Undefined)
        for i, vector in enumerate(rows):
            out = builder.insert_value(out, vector, i)
        return out

    return tile(tile), generate


@intrinsic
def load_square(typing_context: Any, a: Any, index: Any, step: Any, rows: Any, count: Any) -> Any:
    """The tile of `lanes` vectors of which row r is a[index + r * step], ..., `count` numbers and then zeros.

    From row `rows` on, the last row is repeated. Memory outside of rows x count numbers is not touched.
    """
    vector = need_array(a)
    tile = TileType(vector, vector.lanes, 1)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = address(context, builder, a, arguments[0], index, arguments[1])
        distance = whole(context, builder, step, arguments[2])
        height = whole(context, builder, rows, arguments[3])
        mask = first_lanes(context, builder, vector, count, arguments[4])
        square = ir.Constant(tile.llvm, ir.Undefined)
        for r in range(tile.rows):
            square = builder.insert_value(square, load_masked(builder, pointer, vector, mask), r)
            more = builder.icmp_signed("<", _I64(r + 1), height)
            pointer = builder.gep(pointer, [builder.select(more, distance, _I64(0))])
        return square

    return tile(a, index, step, rows, count), generate


@intrinsic
def store_square(typing_context: Any, a: Any, index: Any, step: Any, tile: Any, rows: Any, count: Any) -> Any:
    """Stores the first `count` numbers of the first `rows` rows of a tile of one column from a[index + r * step] on."""
    if not isinstance(tile, TileType) or tile.vector.dtype != need_array(a).dtype or tile.cols != 1 or not a.mutable:
        raise TypeError(f"store_square: cannot put {tile} into {a}")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = tile.vector
        pointer = address(context, builder, a, arguments[0], index, arguments[1])
        distance = whole(context, builder, step, arguments[2])
        height = whole(context, builder, rows, arguments[4])
        mask = first_lanes(context, builder, vector, count, arguments[5])
        nothing = ir.Constant(mask.type, None)
        kind = vector.llvm.as_pointer()
        name = f"llvm.masked.store.{vector.suffix}.p0"
        function = llvm_function(builder, name, ir.VoidType(), vector.llvm, kind, _I32, MaskType(vector.lanes).llvm)
        align = _I32(vector.dtype.bitwidth // 8)
        for r in range(tile.rows):
            row = builder.extract_value(arguments[3], r)
            lanes = builder.select(builder.icmp_signed("<", _I64(r), height), mask, nothing)
            builder.call(function, [row, builder.bitcast(pointer, kind), align, lanes])
            pointer = builder.gep(pointer, [distance])
        return context.get_dummy_value()

    return types.void(a, index, step, tile, rows, count), generate
