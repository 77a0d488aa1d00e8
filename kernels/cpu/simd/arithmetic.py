"""Operators and functions of vectors, lane by lane.

`x * y + z` may be fused into one instruction, as the compiler is allowed to in all kernels; `fma` asks for it where
the processor has it. Comparisons with NaN are false, except !=.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

from kernels.cpu.simd.types import MaskType, TileType, VectorType, intrinsic, llvm_function, splatted

_FUSED = ("contract",)


def _add(builder: Any, vector: VectorType, x: Any, y: Any) -> Any:
    return builder.fadd(x, y, flags=_FUSED) if vector.is_float else builder.add(x, y)


def _sub(builder: Any, vector: VectorType, x: Any, y: Any) -> Any:
    return builder.fsub(x, y, flags=_FUSED) if vector.is_float else builder.sub(x, y)


def _mul(builder: Any, vector: VectorType, x: Any, y: Any) -> Any:
    return builder.fmul(x, y, flags=_FUSED) if vector.is_float else builder.mul(x, y)


def _div(builder: Any, vector: VectorType, x: Any, y: Any) -> Any:
    return builder.fdiv(x, y)


def _shift_right(builder: Any, vector: VectorType, x: Any, y: Any) -> Any:
    return builder.ashr(x, y) if vector.is_signed else builder.lshr(x, y)


def _compare(symbol: str) -> Callable[..., Any]:
    def compare(builder: Any, vector: VectorType, x: Any, y: Any) -> Any:
        if vector.is_float:
            return builder.fcmp_unordered(symbol, x, y) if symbol == "!=" else builder.fcmp_ordered(symbol, x, y)
        return builder.icmp_signed(symbol, x, y) if vector.is_signed else builder.icmp_unsigned(symbol, x, y)

    return compare


_ARITHMETIC: dict[Any, Callable[..., Any]] = {
    operator.add: _add,
    operator.iadd: _add,
    operator.sub: _sub,
    operator.isub: _sub,
    operator.mul: _mul,
    operator.imul: _mul,
    operator.truediv: _div,
    operator.itruediv: _div,
}
_LOGIC: dict[Any, Callable[..., Any]] = {
    operator.and_: lambda builder, _, x, y: builder.and_(x, y),
    operator.or_: lambda builder, _, x, y: builder.or_(x, y),
    operator.xor: lambda builder, _, x, y: builder.xor(x, y),
}
_LOGIC |= {
    operator.iand: _LOGIC[operator.and_],
    operator.ior: _LOGIC[operator.or_],
    operator.ixor: _LOGIC[operator.xor],
}
_SHIFTS: dict[Any, Callable[..., Any]] = {
    operator.lshift: lambda builder, _, x, y: builder.shl(x, y),
    operator.rshift: _shift_right,
}
_COMPARISONS: dict[Any, Callable[..., Any]] = {
    getattr(operator, name): _compare(symbol)
    for name, symbol in {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}.items()
}


def _common(x: Any, y: Any) -> VectorType | None:
    """The vector type of an operation, of which one side may be a number; None if it is none of ours."""
    if isinstance(x, VectorType) and (x == y or isinstance(y, types.Number)):
        return x
    return y if isinstance(y, VectorType) and isinstance(x, types.Number) else None


def _as_vector(context: Any, builder: Any, given: Any, value: Any, vector: VectorType) -> Any:
    if isinstance(given, VectorType):
        return value
    return splatted(builder, context.cast(builder, value, given, vector.dtype), vector.llvm)


def _define(symbol: Any, build: Callable[..., Any], allowed: Callable[[VectorType], bool], compares: bool) -> None:
    """Tells Numba the type of an operator's result, and how it is computed."""

    class Template(AbstractTemplate):
        key = symbol

        def generic(self, args: Any, kws: Any) -> Any:
            given = [types.unliteral(argument) for argument in args]
            vector = _common(*given)
            if vector is None or not allowed(vector):
                return None
            return signature(MaskType(vector.lanes) if compares else vector, *given)

    infer_global(symbol)(Template)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        vector = _common(*sig.args)
        assert vector is not None
        sides = [_as_vector(context, builder, *side, vector) for side in zip(sig.args, arguments, strict=True)]
        return build(builder, vector, *sides)

    for pair in ((VectorType, VectorType), (VectorType, types.Number), (types.Number, VectorType)):
        lower_builtin(symbol, *pair)(generate)


for _symbol, _build in _ARITHMETIC.items():
    _define(_symbol, _build, lambda vector: True, compares=False)
for _symbol, _build in (_LOGIC | _SHIFTS).items():
    _define(_symbol, _build, lambda vector: not vector.is_float, compares=False)
for _symbol, _build in _COMPARISONS.items():
    _define(_symbol, _build, lambda vector: True, compares=True)


def _define_for_masks(symbol: Any, build: Callable[..., Any]) -> None:
    class Template(AbstractTemplate):
        key = symbol

        def generic(self, args: Any, kws: Any) -> Any:
            same = isinstance(args[0], MaskType) and all(argument == args[0] for argument in args)
            return signature(args[0], *args) if same else None

    infer_global(symbol)(Template)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return build(builder, None, *arguments)

    arity = 1 if symbol is operator.invert else 2
    lower_builtin(symbol, *[MaskType] * arity)(generate)


for _symbol, _build in _LOGIC.items():
    _define_for_masks(_symbol, _build)
_define_for_masks(operator.invert, lambda builder, _, x: builder.not_(x))


class _Negative(AbstractTemplate):
    key = operator.neg

    def generic(self, args: Any, kws: Any) -> Any:
        return signature(args[0], *args) if isinstance(args[0], VectorType) else None


infer_global(operator.neg)(_Negative)


def _negative(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
    return builder.fneg(arguments[0]) if sig.args[0].is_float else builder.neg(arguments[0])


lower_builtin(operator.neg, VectorType)(_negative)


def fused(builder: Any, vector: VectorType, x: Any, y: Any, z: Any) -> Any:
    """x * y + z, rounded once where the processor can, and twice where that would be a slow call of a function."""
    if not vector.is_float:
        return builder.add(builder.mul(x, y), z)
    function = llvm_function(builder, f"llvm.fmuladd.{vector.suffix}", vector.llvm, *[vector.llvm] * 3)
    return builder.call(function, [x, y, z])


@intrinsic
def fma(typing_context: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return fused(builder, x, *arguments)

    return (x(x, y, z), generate) if isinstance(x, VectorType) and x == y == z else None


def _selecting(symbol: str) -> Callable[..., Any]:
    def choose(typing_context: Any, v: Any, w: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            return builder.select(_compare(symbol)(builder, v, *arguments), *arguments)

        return (v(v, w), generate) if isinstance(v, VectorType) and v == w else None

    choose.__name__ = choose.__qualname__ = "minimum" if symbol == "<" else "maximum"
    return choose


minimum = intrinsic(_selecting("<"))  # v if v < w else w: one instruction; a NaN in either gives w
maximum = intrinsic(_selecting(">"))


@intrinsic
def where(typing_context: Any, mask: Any, v: Any, w: Any) -> Any:
    """The lanes of v where the mask is set, and of w elsewhere."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return (v(mask, v, w), generate) if isinstance(mask, MaskType) and v == w else None


def _llvm_of_one(name: str) -> Any:
    def function(typing_context: Any, v: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            return builder.call(llvm_function(builder, f"llvm.{name}.{v.suffix}", v.llvm, v.llvm), arguments)

        return (v(v), generate) if isinstance(v, VectorType) else None

    function.__name__ = function.__qualname__ = name
    return intrinsic(function)


absolute, floor, sqrt, truncate = (_llvm_of_one(name) for name in ("fabs", "floor", "sqrt", "trunc"))
popcount = _llvm_of_one("ctpop")  # how many bits of each lane are set


@intrinsic
def shift_in(typing_context: Any, v: Any, w: Any) -> Any:
    """(v << 1) | the topmost bit of w: moves one more sign into a word of signs, in one instruction."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        function = llvm_function(builder, f"llvm.fshl.{v.suffix}", v.llvm, *[v.llvm] * 3)
        return builder.call(function, [*arguments, ir.Constant(v.llvm, [1] * v.lanes)])

    return (v(v, w), generate) if isinstance(v, VectorType) and v == w else None


@intrinsic
def total(typing_context: Any, v: Any) -> Any:
    """The sum of the lanes, by halves."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        element = v.llvm.element
        if v.is_float:
            function = llvm_function(builder, f"llvm.vector.reduce.fadd.{v.suffix}", element, element, v.llvm)
            return builder.call(function, [ir.Constant(element, -0.0), arguments[0]], fastmath=("reassoc",))
        function = llvm_function(builder, f"llvm.vector.reduce.add.{v.suffix}", element, v.llvm)
        return builder.call(function, arguments)

    return (v.dtype(v), generate) if isinstance(v, VectorType) else None


@intrinsic
def any_lane(typing_context: Any, mask: Any) -> Any:
    """Whether any lane of the mask is set."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        bits = builder.bitcast(arguments[0], ir.IntType(mask.lanes))
        return builder.icmp_unsigned("!=", bits, ir.IntType(mask.lanes)(0))

    return (types.boolean(mask), generate) if isinstance(mask, MaskType) else None


@intrinsic
def mask_bits(typing_context: Any, mask: Any) -> Any:
    """The mask as a number: lane i is bit i."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        bits = builder.bitcast(arguments[0], ir.IntType(mask.lanes))
        return bits if mask.lanes == 64 else builder.zext(bits, ir.IntType(64))

    return (types.uint64(mask), generate) if isinstance(mask, MaskType) else None


def _converted(builder: Any, v: VectorType, result: VectorType, value: Any) -> Any:
    """A vector of type v in another type."""
    kind = result.llvm
    if v.dtype == result.dtype:
        return value
    if v.is_float and result.is_float:
        return (builder.fpext if result.dtype.bitwidth > v.dtype.bitwidth else builder.fptrunc)(value, kind)
    if v.is_float:
        return (builder.fptosi if result.is_signed else builder.fptoui)(value, kind)
    if result.is_float:
        return (builder.sitofp if v.is_signed else builder.uitofp)(value, kind)
    if result.dtype.bitwidth == v.dtype.bitwidth:
        return value
    if result.dtype.bitwidth < v.dtype.bitwidth:
        return builder.trunc(value, kind)
    return (builder.sext if v.is_signed else builder.zext)(value, kind)


@intrinsic
def astype(typing_context: Any, v: Any, a: Any) -> Any:
    """The lanes of a vector or tile in a's dtype. A float loses its fraction; it must fit into the integer."""
    vector = v.vector if isinstance(v, TileType) else v
    result = VectorType(a.dtype, vector.lanes)
    tile = TileType(result, v.rows, v.cols) if isinstance(v, TileType) else None

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        if tile is None:
            return _converted(builder, vector, result, arguments[0])
        converted = ir.Constant(tile.llvm, ir.Undefined)
        for i in range(tile.rows * tile.cols):
            one = _converted(builder, vector, result, builder.extract_value(arguments[0], i))
            converted = builder.insert_value(converted, one, i)
        return converted

    return (tile or result)(v, a), generate


@intrinsic
def bits(typing_context: Any, v: Any, a: Any) -> Any:
    """The same bits, read as numbers of a's dtype."""
    result = VectorType(a.dtype, v.lanes * v.dtype.bitwidth // a.dtype.bitwidth)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], result.llvm)

    return result(v, a), generate


@intrinsic
def product(typing_context: Any, v: Any, w: Any) -> Any:
    """v * w, rounded: never fused with an addition that follows."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments)

    return (v(v, w), generate) if isinstance(v, VectorType) and v == w and v.is_float else None


@intrinsic
def remainder(typing_context: Any, v: Any, w: Any) -> Any:
    """What is left of v after taking away w as often as possible, exactly: fmod. One function call a lane, so slow."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.frem(*arguments)

    return (v(v, w), generate) if isinstance(v, VectorType) and v == w and v.is_float else None


@intrinsic
def to_even(typing_context: Any, v: Any) -> Any:
    """The nearest whole numbers; of two at the same distance, the even one."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.call(llvm_function(builder, f"llvm.rint.{v.suffix}", v.llvm, v.llvm), arguments)

    return (v(v), generate) if isinstance(v, VectorType) and v.is_float else None
