"""Vectors of a number of lanes that a kernel gets as an argument, and that the compiler knows: one version for each."""

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import NativeValue, models, register_model, unbox

from kernels.cpu.simd.memory import first_lanes, load_from, load_masked
from kernels.cpu.simd.types import (
    TileType,
    VectorType,
    address,
    intrinsic,
    need_array,
    splatted,
    whole,
)


class WidthType(types.Type):
    """A number of lanes as a type of its own, so that a kernel is compiled once for each."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        super().__init__(name=f"Width({lanes})")


class Width:
    """A number of lanes that a kernel gets as an argument, and that the compiler knows."""

    def __init__(self, lanes: int) -> None:
        self._numba_type_ = WidthType(lanes)


register_model(WidthType)(models.OpaqueModel)  # nothing is left of it when the program runs


@unbox(WidthType)
def _unbox(kind: Any, value: Any, box: Any) -> Any:
    return NativeValue(box.context.get_dummy_value())


@intrinsic
def lanes_of(typing_context: Any, width: Any) -> Any:
    """The number of lanes of a `Width`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(64), width.lanes)

    return types.int64(width), generate


@intrinsic
def load_lanes(typing_context: Any, a: Any, index: Any, width: Any) -> Any:
    """The vector a[index], a[index + 1], ... of as many lanes as `width` says."""
    vector = VectorType(a.dtype, width.lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return load_from(builder, address(context, builder, a, arguments[0], index, arguments[1]), vector)

    return vector(a, index, width), generate


@intrinsic
def broadcast_lanes(typing_context: Any, a: Any, index: Any, width: Any) -> Any:
    """The element a[index] in as many lanes as `width` says."""
    vector = VectorType(a.dtype, width.lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = address(context, builder, a, arguments[0], index, arguments[1])
        return splatted(builder, builder.load(pointer), vector.llvm)

    return vector(a, index, width), generate


@intrinsic
def zero_lanes(typing_context: Any, a: Any, width: Any) -> Any:
    """Zeros of a's dtype in as many lanes as `width` says."""
    vector = VectorType(a.dtype, width.lanes)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(vector.llvm, None)

    return vector(a, width), generate


@intrinsic
def load_column(typing_context: Any, a: Any, index: Any, step: Any, width: Any) -> Any:
    """A tile of one vector a row, with as many rows as `width` has lanes: row r begins at a[index + r * step]."""
    tile = TileType(need_array(a), width.lanes, 1)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = address(context, builder, a, arguments[0], index, arguments[1])
        distance = whole(context, builder, step, arguments[2])
        out = ir.Constant(tile.llvm, ir.Undefined)
        for row in range(tile.rows):
            out = builder.insert_value(out, load_from(builder, pointer, tile.vector), row)
            pointer = builder.gep(pointer, [distance])
        return out

    return tile(a, index, step, width), generate


@intrinsic
def load_column_first(
    typing_context: Any, a: Any, index: Any, step: Any, rows: Any, count: Any, width: Any
) -> Any:  # fmt: skip
    """The tile of `load_column`, but with zeros in all but the first `count` lanes of its first `rows` rows.

    Memory outside of rows x count numbers is not touched.
    """
    vector = need_array(a)
    tile, word = TileType(vector, width.lanes, 1), ir.IntType(64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = address(context, builder, a, arguments[0], index, arguments[1])
        distance = whole(context, builder, step, arguments[2])
        height = whole(context, builder, rows, arguments[3])
        mask = first_lanes(context, builder, vector, count, arguments[4])
        out = ir.Constant(tile.llvm, ir.Undefined)
        for r in range(tile.rows):
            here = builder.select(builder.icmp_signed("<", word(r), height), mask, ir.Constant(mask.type, None))
            out = builder.insert_value(out, load_masked(builder, pointer, vector, here), r)
            pointer = builder.gep(pointer, [distance])
        return out

    return tile(a, index, step, rows, count, width), generate
