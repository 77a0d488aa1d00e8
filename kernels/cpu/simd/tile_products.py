"""Steps of sums of products in a register tile: what an innermost loop consists of.

outer_fma, outer_fma_at      numbers, broadcast along the rows, times vectors, one a column
inner_fma_at                 the same, with columns from anywhere: lanes run along pixels
paired_fma                   the same, with a number for every vector of the tile
lane_fma_at                  vectors times vectors: each lane adds up its own products
column_fma, add_scaled       columns of vectors, times a matrix of vectors or one vector
outer_differences            bits that differ, counted: the product of signs
"""

from typing import Any

from llvmlite import ir

from kernels.cpu.simd.arithmetic import fused
from kernels.cpu.simd.memory import first_lanes, load_from, load_masked
from kernels.cpu.simd.tiles import after, at_places, every, packed, row_of, vectors_of
from kernels.cpu.simd.types import TileType, address, intrinsic, llvm_function, splatted, whole


def _broadcast(builder: Any, kind: TileType, pointer: Any) -> Any:
    """One number in all lanes."""
    number = builder.load(pointer, align=kind.vector.dtype.bitwidth // 8)
    return splatted(builder, number, kind.vector.llvm)


def _once(builder: Any) -> None:
    """Says that the loop around this step must not be unrolled.

    A step fills the registers. LLVM unrolls as far as its model of the processor says that loops may grow, on Zen 4 to
    hundreds of instructions. Then it mixes the steps of two turns, the sums no longer find room, and go to the stack
    and back in every turn: a third of the speed. What is "convergent", here an empty instruction, must not be repeated
    behind new branches, which a loop unrolled for any number of turns needs.
    """
    nothing = ir.InlineAsm(ir.FunctionType(ir.VoidType(), []), "", "", side_effect=True)
    builder.call(nothing, [], attrs=("convergent", "nounwind", "readnone"))


def _add_products(builder: Any, kind: TileType, tile: Any, a_rows: list[Any], b_cols: list[Any]) -> Any:
    """tile[r, c] += a[r] * b[c], for pointers to the numbers a and vectors b."""
    sums = vectors_of(builder, kind, tile)
    for r, pointer in enumerate(a_rows):
        factor = _broadcast(builder, kind, pointer)
        sums[r] = [fused(builder, kind.vector, factor, b, sums[r][c]) for c, b in enumerate(b_cols)]
    _once(builder)
    return packed(builder, kind, sums)


@intrinsic
def outer_fma(typing_context: Any, tile: Any, a: Any, index: Any, step: Any, b: Any, b_index: Any) -> Any:
    """tile[r, :] += a[index + r * step] * b[b_index : b_index + cols * lanes]."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        start = address(context, builder, a, arguments[1], index, arguments[2])
        a_rows = every(builder, start, whole(context, builder, step, arguments[3]), tile.rows)
        b_cols = row_of(builder, tile, address(context, builder, b, arguments[4], b_index, arguments[5]))
        return _add_products(builder, tile, arguments[0], a_rows, b_cols)

    return tile(tile, a, index, step, b, b_index), generate


@intrinsic
def outer_fma_at(typing_context: Any, tile: Any, a: Any, places: Any, shift: Any, b: Any, b_index: Any) -> Any:
    """tile[r, :] += a[places[r] + shift] * b[b_index : b_index + cols * lanes]."""
    if len(places) != tile.rows:
        raise TypeError(f"outer_fma_at: {len(places)} places for {tile.rows} rows")

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        shifted = address(context, builder, a, arguments[1], shift, arguments[3])
        a_rows = at_places(builder, shifted, arguments[2])
        b_cols = row_of(builder, tile, address(context, builder, b, arguments[4], b_index, arguments[5]))
        return _add_products(builder, tile, arguments[0], a_rows, b_cols)

    return tile(tile, a, places, shift, b, b_index), generate


@intrinsic
def inner_fma_at(typing_context: Any, tile: Any, a: Any, index: Any, step: Any, b: Any, places: Any, shift: Any) -> Any:
    """tile[r, c] += a[index + r * step] * b[places[c] + shift : ... + lanes]: the columns come from anywhere."""
    if len(places) != tile.cols:
        raise TypeError(f"inner_fma_at: {len(places)} places for {tile.cols} columns")

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        start = address(context, builder, a, arguments[1], index, arguments[2])
        a_rows = every(builder, start, whole(context, builder, step, arguments[3]), tile.rows)
        shifted = address(context, builder, b, arguments[4], shift, arguments[6])
        b_cols = [load_from(builder, pointer, tile.vector) for pointer in at_places(builder, shifted, arguments[5])]
        return _add_products(builder, tile, arguments[0], a_rows, b_cols)

    return tile(tile, a, index, step, b, places, shift), generate


@intrinsic
def paired_fma(typing_context: Any, tile: Any, a: Any, index: Any, b: Any, b_index: Any, step: Any) -> Any:
    """tile[r, c] += a[index + r * cols + c] * b[b_index + c * step : ... + lanes]: each vector has its own factor."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        start = address(context, builder, a, arguments[1], index, arguments[2])
        first = address(context, builder, b, arguments[3], b_index, arguments[4])
        columns = every(builder, first, whole(context, builder, step, arguments[5]), tile.cols)
        vectors = [load_from(builder, pointer, tile.vector) for pointer in columns]
        sums = vectors_of(builder, tile, arguments[0])
        for r, row in enumerate(sums):
            for c, vector in enumerate(vectors):
                factor = _broadcast(builder, tile, after(builder, start, r * tile.cols + c))
                row[c] = fused(builder, tile.vector, factor, vector, row[c])
        return packed(builder, tile, sums)

    return tile(tile, a, index, b, b_index, step), generate


def _add_lanewise(builder: Any, kind: TileType, tile: Any, a_rows: list[Any], b_cols: list[Any]) -> Any:
    """tile[r, c] += a[r] * b[c], for vectors a and b."""
    sums = vectors_of(builder, kind, tile)
    for r, a in enumerate(a_rows):
        sums[r] = [fused(builder, kind.vector, a, b, sums[r][c]) for c, b in enumerate(b_cols)]
    _once(builder)
    return packed(builder, kind, sums)


def _check(tile: Any, a_places: Any, b_places: Any) -> None:
    if (len(a_places), len(b_places)) != (tile.rows, tile.cols):
        raise TypeError(f"{len(a_places)} and {len(b_places)} places for {tile.rows} rows and {tile.cols} columns")


@intrinsic
def lane_fma_at(
    typing_context: Any, tile: Any, a: Any, a_places: Any, a_shift: Any, b: Any, b_places: Any, b_shift: Any
) -> Any:
    """tile[r, c] += a[a_places[r] + a_shift : ... + lanes] * b[b_places[c] + b_shift : ... + lanes]."""
    _check(tile, a_places, b_places)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        a_start = address(context, builder, a, arguments[1], a_shift, arguments[3])
        b_start = address(context, builder, b, arguments[4], b_shift, arguments[6])
        a_rows = [load_from(builder, pointer, tile.vector) for pointer in at_places(builder, a_start, arguments[2])]
        b_cols = [load_from(builder, pointer, tile.vector) for pointer in at_places(builder, b_start, arguments[5])]
        return _add_lanewise(builder, tile, arguments[0], a_rows, b_cols)

    return tile(tile, a, a_places, a_shift, b, b_places, b_shift), generate


@intrinsic
def lane_fma_first(
    typing_context: Any, tile: Any, a: Any, a_places: Any, a_shift: Any, b: Any, b_places: Any, b_shift: Any, count: Any
) -> Any:
    """As `lane_fma_at` in the first `count` lanes; the others stay as they are, whatever lies in memory there."""
    _check(tile, a_places, b_places)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        mask = first_lanes(context, builder, tile.vector, count, arguments[7])

        def loaded(pointers: list[Any]) -> list[Any]:
            return [load_masked(builder, pointer, tile.vector, mask) for pointer in pointers]

        a_start = address(context, builder, a, arguments[1], a_shift, arguments[3])
        b_start = address(context, builder, b, arguments[4], b_shift, arguments[6])
        a_rows = loaded(at_places(builder, a_start, arguments[2]))
        b_cols = loaded(at_places(builder, b_start, arguments[5]))
        return _add_lanewise(builder, tile, arguments[0], a_rows, b_cols)

    return tile(tile, a, a_places, a_shift, b, b_places, b_shift, count), generate


@intrinsic
def outer_differences(typing_context: Any, tile: Any, a: Any, index: Any, b: Any, b_index: Any) -> Any:
    """tile[r, :] += popcount(a[index + r] xor b[b_index : ...]), in each lane."""
    vector = tile.vector

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        start = address(context, builder, a, arguments[1], index, arguments[2])
        a_rows = every(builder, start, ir.IntType(64)(1), tile.rows)
        b_cols = row_of(builder, tile, address(context, builder, b, arguments[3], b_index, arguments[4]))
        count = llvm_function(builder, f"llvm.ctpop.{vector.suffix}", vector.llvm, vector.llvm)
        sums = vectors_of(builder, tile, arguments[0])
        for r, pointer in enumerate(a_rows):
            word = _broadcast(builder, tile, pointer)
            for c, bits in enumerate(b_cols):
                sums[r][c] = builder.add(sums[r][c], builder.call(count, [builder.xor(word, bits)]))
        return packed(builder, tile, sums)

    return tile(tile, a, index, b, b_index), generate


@intrinsic
def column_fma(typing_context: Any, tile: Any, matrix: Any, column: Any) -> Any:
    """tile[r] += the sum over c of matrix[r * n + c] * column[c], all tiles of one column, `column` of n rows."""
    if not tile.cols == matrix.cols == column.cols == 1 or matrix.rows != tile.rows * column.rows:
        raise TypeError(f"column_fma: need three columns that fit together, got {tile}, {matrix} and {column}")

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        sums, factors, vectors = (
            [row[0] for row in vectors_of(builder, kind, value)]
            for kind, value in zip((tile, matrix, column), arguments, strict=True)
        )
        for r in range(tile.rows):
            for c, vector in enumerate(vectors):
                sums[r] = fused(builder, tile.vector, factors[r * column.rows + c], vector, sums[r])
        return packed(builder, tile, [[total] for total in sums])

    return tile(tile, matrix, column), generate


@intrinsic
def add_scaled(typing_context: Any, tile: Any, v: Any, other: Any) -> Any:
    """tile[r, c] += v * other[r, c], for a vector v."""
    if tile != other or tile.vector != v:
        raise TypeError(f"add_scaled: need two equal tiles and their vector, got {tile}, {other} and {v}")

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        pairs = zip(*(vectors_of(builder, tile, arguments[i]) for i in (0, 2)), strict=True)
        rows = [[fused(builder, v, arguments[1], b, a) for a, b in zip(*rows, strict=True)] for rows in pairs]
        return packed(builder, tile, rows)

    return tile(tile, v, other), generate
