"""Between arrays and registers: loads, stores, broadcasts."""

from typing import Any

from llvmlite import ir
from numba.core import types

from kernels.cpu.simd.instruction_set import VECTOR_BYTES
from kernels.cpu.simd.types import MaskType, VectorType, address, intrinsic, llvm_function, need_array, splatted, whole

_I32 = ir.IntType(32)


def _bytes(dtype: Any) -> int:
    return int(dtype.bitwidth) // 8


def load_from(builder: Any, pointer: Any, vector: VectorType) -> Any:
    """Loads a vector that begins at any element."""
    return builder.load(builder.bitcast(pointer, vector.llvm.as_pointer()), align=_bytes(vector.dtype))


def store_to(builder: Any, pointer: Any, vector: VectorType, value: Any) -> Any:
    """Stores a vector that begins at any element."""
    return builder.store(value, builder.bitcast(pointer, vector.llvm.as_pointer()), align=_bytes(vector.dtype))


@intrinsic
def lanes(typing_context: Any, a: Any) -> Any:
    """How many elements of a's dtype fill a register: a constant when the kernel is compiled."""
    count = need_array(a).lanes

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(64), count)

    return types.int64(a), generate


@intrinsic
def load(typing_context: Any, a: Any, index: Any) -> Any:
    """The vector a[index], a[index + 1], ..."""
    vector = need_array(a)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return load_from(builder, address(context, builder, a, arguments[0], index, arguments[1]), vector)

    return vector(a, index), generate


@intrinsic
def load_wide(typing_context: Any, a: Any, index: Any, like: Any) -> Any:
    """As many elements of a as a vector of `like` has, whatever register space they take."""
    vector = VectorType(a.dtype, need_array(like).lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return load_from(builder, address(context, builder, a, arguments[0], index, arguments[1]), vector)

    return vector(a, index, like), generate


@intrinsic
def store(typing_context: Any, a: Any, index: Any, v: Any) -> Any:
    """a[index], a[index + 1], ... = the lanes of v, however many there are."""
    if not isinstance(v, VectorType) or v.dtype != need_array(a).dtype or not a.mutable:
        raise TypeError(f"store: cannot put {v} into {a}")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        store_to(builder, address(context, builder, a, arguments[0], index, arguments[1]), v, arguments[2])
        return context.get_dummy_value()

    return types.void(a, index, v), generate


store_wide = store


@intrinsic
def stream(typing_context: Any, a: Any, index: Any, v: Any) -> Any:
    """A store past the caches, for results larger than they are. The address must be a multiple of VECTOR_BYTES."""
    if not isinstance(v, VectorType) or v.dtype != need_array(a).dtype or not a.mutable:
        raise TypeError(f"stream: cannot put {v} into {a}")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = address(context, builder, a, arguments[0], index, arguments[1])
        stored = builder.store(arguments[2], builder.bitcast(pointer, v.llvm.as_pointer()), align=VECTOR_BYTES)
        stored.set_metadata("nontemporal", builder.module.add_metadata([_I32(1)]))
        return context.get_dummy_value()

    return types.void(a, index, v), generate


def first_lanes(context: Any, builder: Any, vector: VectorType, count_type: Any, count: Any) -> Any:
    """The mask of the first `count` lanes."""
    number = ir.IntType(64)
    ramp = ir.Constant(ir.VectorType(number, vector.lanes), list(range(vector.lanes)))
    limit = splatted(builder, whole(context, builder, count_type, count), ir.VectorType(number, vector.lanes))
    return builder.icmp_signed("<", ramp, limit)


def lanes_between(context: Any, builder: Any, vector: VectorType, begin: Any, end: Any) -> Any:
    """The mask of the lanes begin <= lane < end."""
    before = first_lanes(context, builder, vector, types.int64, begin)
    return builder.and_(builder.not_(before), first_lanes(context, builder, vector, types.int64, end))


def load_masked(builder: Any, pointer: Any, vector: VectorType, mask: Any) -> Any:
    """The lanes of the mask from memory, and 0 in the others, whose memory is not touched."""
    kind = vector.llvm.as_pointer()
    name = f"llvm.masked.load.{vector.suffix}.p0"
    function = llvm_function(builder, name, vector.llvm, kind, _I32, mask.type, vector.llvm)
    align, rest = _I32(_bytes(vector.dtype)), ir.Constant(vector.llvm, None)
    return builder.call(function, [builder.bitcast(pointer, kind), align, mask, rest])


@intrinsic
def load_first(typing_context: Any, a: Any, index: Any, count: Any) -> Any:
    """The first `count` lanes of a vector from memory, and 0 in the others, whose memory is not touched."""
    vector = need_array(a)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = address(context, builder, a, arguments[0], index, arguments[1])
        mask = first_lanes(context, builder, vector, count, arguments[2])
        return load_masked(builder, pointer, vector, mask)

    return vector(a, index, count), generate


@intrinsic
def load_between(typing_context: Any, a: Any, index: Any, begin: Any, end: Any) -> Any:
    """The lanes begin <= lane < end of a vector from memory, and 0 in the others, whose memory is not touched."""
    vector = need_array(a)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = address(context, builder, a, arguments[0], index, arguments[1])
        limits = [whole(context, builder, kind, value) for kind, value in zip((begin, end), arguments[2:], strict=True)]
        return load_masked(builder, pointer, vector, lanes_between(context, builder, vector, *limits))

    return vector(a, index, begin, end), generate


@intrinsic
def store_first(typing_context: Any, a: Any, index: Any, v: Any, count: Any) -> Any:
    """Stores the first `count` lanes of v; what lies behind them in memory is not touched."""
    if not isinstance(v, VectorType) or v.dtype != need_array(a).dtype or not a.mutable:
        raise TypeError(f"store_first: cannot put {v} into {a}")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = address(context, builder, a, arguments[0], index, arguments[1])
        kind = v.llvm.as_pointer()
        mask = first_lanes(context, builder, v, count, arguments[3])
        name = f"llvm.masked.store.{v.suffix}.p0"
        function = llvm_function(builder, name, ir.VoidType(), v.llvm, kind, _I32, MaskType(v.lanes).llvm)
        builder.call(function, [arguments[2], builder.bitcast(pointer, kind), _I32(_bytes(v.dtype)), mask])
        return context.get_dummy_value()

    return types.void(a, index, v, count), generate


@intrinsic
def broadcast(typing_context: Any, a: Any, index: Any) -> Any:
    """The element a[index] in all lanes."""
    vector = need_array(a)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = address(context, builder, a, arguments[0], index, arguments[1])
        return splatted(builder, builder.load(pointer, align=_bytes(a.dtype)), vector.llvm)

    return vector(a, index), generate


@intrinsic
def element(typing_context: Any, a: Any, index: Any) -> Any:
    """a[index] as a plain number; a negative index does not count from the end."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(address(context, builder, a, arguments[0], index, arguments[1]), align=_bytes(a.dtype))

    return a.dtype(a, index), generate


@intrinsic
def splat(typing_context: Any, a: Any, value: Any) -> Any:
    """A number in all lanes, converted to a's dtype."""
    vector = need_array(a)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return splatted(builder, context.cast(builder, arguments[1], value, vector.dtype), vector.llvm)

    return vector(a, value), generate


@intrinsic
def ramp(typing_context: Any, a: Any) -> Any:
    """0, 1, 2, ... in a's dtype."""
    vector = need_array(a)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(vector.llvm, list(range(vector.lanes)))

    return vector(a), generate


@intrinsic
def gather(typing_context: Any, a: Any, index: Any, v: Any) -> Any:
    """The elements a[index + v[0]], a[index + v[1]], ... for a vector v of integers."""
    need_array(a)
    vector = VectorType(a.dtype, v.lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = address(context, builder, a, arguments[0], index, arguments[1])
        gathered = ir.Constant(vector.llvm, ir.Undefined)
        for lane in range(vector.lanes):
            offset = whole(context, builder, v.dtype, builder.extract_element(arguments[2], _I32(lane)))
            element = builder.load(builder.gep(start, [offset]), align=_bytes(a.dtype))
            gathered = builder.insert_element(gathered, element, _I32(lane))
        return gathered

    return vector(a, index, v), generate


@intrinsic
def prefetch(typing_context: Any, a: Any, index: Any) -> Any:
    """Asks for the memory at a[index] to be in the cache soon."""
    need_array(a)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = address(context, builder, a, arguments[0], index, arguments[1])
        kind = ir.IntType(8).as_pointer()
        function = llvm_function(builder, "llvm.prefetch.p0", ir.VoidType(), kind, _I32, _I32, _I32)
        builder.call(function, [builder.bitcast(pointer, kind), _I32(0), _I32(3), _I32(1)])
        return context.get_dummy_value()

    return types.void(a, index), generate
