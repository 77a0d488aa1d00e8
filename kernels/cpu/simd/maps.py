"""Maps of the rows and columns of a tile: a small matrix times a tile of vectors, in every lane at once.

    tile     r0  [ . . . . ]      each_row(f, tile)       row r becomes    f(tile[r, 0], tile[r, 1], ...)
             r1  [ . . . . ]      each_column(f, tile)    column c becomes f(tile[0, c], tile[1, c], ...)
             r2  [ . . . . ]      both_ways(f, tile)      the one and then the other: F x F^T, for linear f

f is a kernel of as many vectors as a row or column has; it returns a tuple of vectors, and their number is the new
size. It is written as the formula of one row and becomes a part of the kernel as often as there are rows.
"""

from typing import Any

from numba.core import cgutils, types

from kernels.cpu.jit import kernel
from kernels.cpu.simd.arithmetic import fused
from kernels.cpu.simd.memory import load_from, store_to
from kernels.cpu.simd.tiles import constant, every, packed, vectors_of
from kernels.cpu.simd.types import TileType, address, intrinsic, need_array, whole


@intrinsic(prefer_literal=True)
def load_grid(
    typing_context: Any, a: Any, index: Any, row_step: Any, col_step: Any, rows: Any, cols: Any
) -> Any:  # fmt: skip
    """The tile of the vectors at a[index + r * row_step + c * col_step], for constants rows and cols."""
    height, width = constant(rows), constant(cols)
    if height is None or width is None:
        return None
    tile = TileType(need_array(a), height, width)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        pointers = _pointers(context, builder, sig, arguments, tile)
        return packed(builder, tile, [[load_from(builder, p, tile.vector) for p in row] for row in pointers])

    return tile(a, *map(types.unliteral, (index, row_step, col_step)), rows, cols), generate


@intrinsic
def store_grid(typing_context: Any, a: Any, index: Any, row_step: Any, col_step: Any, tile: Any) -> Any:
    """Stores tile[r, c] from a[index + r * row_step + c * col_step] on."""
    if not isinstance(tile, TileType) or tile.vector != need_array(a) or not a.mutable:
        raise TypeError(f"store_grid: cannot put {tile} into {a}")

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        pointers = _pointers(context, builder, sig, arguments, tile)
        for c in range(tile.cols):
            for r, row in enumerate(vectors_of(builder, tile, arguments[4])):
                store_to(builder, pointers[r][c], tile.vector, row[c])
        return context.get_dummy_value()

    return types.void(a, index, row_step, col_step, tile), generate


def _pointers(context: Any, builder: Any, sig: Any, arguments: Any, tile: TileType) -> list[list[Any]]:
    start = address(context, builder, sig.args[0], arguments[0], sig.args[1], arguments[1])
    down, along = (whole(context, builder, sig.args[i], arguments[i]) for i in (2, 3))
    return [every(builder, row, along, tile.cols) for row in every(builder, start, down, tile.rows)]


@intrinsic
def each_row(typing_context: Any, function: Any, tile: Any) -> Any:
    """The tile whose rows are function(*row)."""
    signature, mapped = _mapped(typing_context, function, tile.vector, tile.cols)
    result = TileType(tile.vector, tile.rows, mapped)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        call = context.get_function(function, signature)
        rows = [call(builder, row) for row in vectors_of(builder, tile, arguments[1])]
        return packed(builder, result, [cgutils.unpack_tuple(builder, row) for row in rows])

    return result(function, tile), generate


@intrinsic
def each_column(typing_context: Any, function: Any, tile: Any) -> Any:
    """The tile whose columns are function(*column)."""
    signature, mapped = _mapped(typing_context, function, tile.vector, tile.rows)
    result = TileType(tile.vector, mapped, tile.cols)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        call = context.get_function(function, signature)
        columns = [call(builder, column) for column in zip(*vectors_of(builder, tile, arguments[1]), strict=True)]
        rows = zip(*(cgutils.unpack_tuple(builder, column) for column in columns), strict=True)
        return packed(builder, result, [list(row) for row in rows])

    return result(function, tile), generate


def _mapped(typing_context: Any, function: Any, vector: Any, count: int) -> tuple[Any, int]:
    """The signature of a function of `count` vectors, which compiles it, and how many vectors it returns."""
    signature = function.get_call_type(typing_context, (vector,) * count, {})
    return signature, len(signature.return_type)


@kernel
def both_ways(function: Any, tile: Any) -> Any:
    """F x F^T for the tile x, where `function` computes F times a column."""
    return each_column(function, each_row(function, tile))


@intrinsic
def sum_vectors(typing_context: Any, tile: Any) -> Any:
    """The sum of all vectors of a tile."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        terms = [vector for row in vectors_of(builder, tile, arguments[0]) for vector in row]
        while len(terms) > 1:
            pairs = [builder.fadd(*pair) for pair in zip(terms[::2], terms[1::2], strict=False)]
            terms = pairs + terms[2 * len(pairs) :]
        return terms[0]

    return tile.vector(tile), generate


@intrinsic
def plus(typing_context: Any, tile: Any, v: Any) -> Any:
    """The tile with the vector v added everywhere."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        rows = vectors_of(builder, tile, arguments[0])
        return packed(builder, tile, [[builder.fadd(x, arguments[1]) for x in row] for row in rows])

    return (tile(tile, v), generate) if tile.vector == v else None


@intrinsic
def weighted_halves(typing_context: Any, tile: Any, v: Any, w: Any) -> Any:
    """The first half of the rows times v, plus the second half times w."""
    if not isinstance(tile, TileType) or tile.rows % 2 or not v == w == tile.vector:
        return None
    half = TileType(tile.vector, tile.rows // 2, tile.cols)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows, (first, second) = vectors_of(builder, tile, arguments[0]), arguments[1:]
        sums = []
        for upper, lower in zip(rows[: half.rows], rows[half.rows :], strict=True):
            products = [builder.fmul(x, first) for x in upper]
            sums.append([fused(builder, v, y, second, z) for y, z in zip(lower, products, strict=True)])
        return packed(builder, half, sums)

    return half(tile, v, w), generate
