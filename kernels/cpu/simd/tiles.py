"""Register tiles: a matrix of sums that never leaves the registers while products are added to it.

    a[0] ---->  +----+----+----+----+       One step of a matrix product: a column of `a`, one number a row, times a row
    a[1] ---->  | += | += | += | += |       of `b`, one vector a column. It loads rows + cols operands for rows * cols
    ...         |    |    |    |    |       multiplications, and that is the whole point: a processor multiplies two
    a[5] ---->  +----+----+----+----+       vectors a cycle, but loads no more than two as well.
                 b[0]  b[1]  b[2]  b[3]

A kernel that adds up products of pairs is fast if it keeps such a tile busy, and its loop reads as the formula does:

    tile = zeros(a, ROWS, COLS)
    for k in range(depth):
        tile = outer_fma(tile, a, k, depth, b, k * width)
"""

import operator
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin

from kernels.cpu.simd.memory import first_lanes, lanes_between, load_from, load_masked, store_to
from kernels.cpu.simd.rearrange import picked
from kernels.cpu.simd.types import TileType, VectorType, address, intrinsic, llvm_function, need_array, splatted, whole


def constant(value: Any) -> int | None:
    """The number behind a type, if the compiler knows it."""
    return value.literal_value if isinstance(value, types.IntegerLiteral) else None


def _tile(a: Any, rows: Any, cols: Any) -> TileType | None:
    if constant(rows) is None or constant(cols) is None:
        return None
    return TileType(need_array(a), rows.literal_value, cols.literal_value)


def vectors_of(builder: Any, kind: TileType, tile: Any) -> list[list[Any]]:
    return [[builder.extract_value(tile, r * kind.cols + c) for c in range(kind.cols)] for r in range(kind.rows)]


def packed(builder: Any, kind: TileType, vectors: list[list[Any]]) -> Any:
    tile = ir.Constant(kind.llvm, ir.Undefined)
    for number, vector in enumerate(vector for row in vectors for vector in row):
        tile = builder.insert_value(tile, vector, number)
    return tile


def after(builder: Any, pointer: Any, elements: int) -> Any:
    return builder.gep(pointer, [ir.IntType(64)(elements)]) if elements else pointer


def row_of(builder: Any, kind: TileType, pointer: Any) -> list[Any]:
    """The vectors of one row, side by side in memory."""
    vector = kind.vector
    return [load_from(builder, after(builder, pointer, c * vector.lanes), vector) for c in range(kind.cols)]


def every(builder: Any, pointer: Any, step: Any, count: int) -> list[Any]:
    """`count` pointers, `step` elements apart."""
    pointers = [pointer]
    while len(pointers) < count:
        pointers.append(builder.gep(pointers[-1], [step]))
    return pointers


def at_places(builder: Any, pointer: Any, places: Any) -> list[Any]:
    return [builder.gep(pointer, [place]) for place in cgutils.unpack_tuple(builder, places)]


@intrinsic(prefer_literal=True)
def zeros(typing_context: Any, a: Any, rows: Any, cols: Any) -> Any:
    """A tile of rows x cols vectors of zeros, of a's dtype; rows and cols are constants of the program."""
    tile = _tile(a, rows, cols)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        assert tile is not None
        return ir.Constant(tile.llvm, None)

    return (tile(a, rows, cols), generate) if tile is not None else None


@intrinsic(prefer_literal=True)
def load_tile(typing_context: Any, a: Any, index: Any, step: Any, rows: Any, cols: Any) -> Any:
    """The tile whose row r begins at a[index + r * step]."""
    tile = _tile(a, rows, cols)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        assert tile is not None
        start = address(context, builder, a, arguments[0], sig.args[1], arguments[1])
        pointers = every(builder, start, whole(context, builder, sig.args[2], arguments[2]), tile.rows)
        return packed(builder, tile, [row_of(builder, tile, pointer) for pointer in pointers])

    return (tile(a, _plain(index), _plain(step), rows, cols), generate) if tile is not None else None


@intrinsic
def store_tile(typing_context: Any, a: Any, index: Any, step: Any, tile: Any) -> Any:
    """Stores row r of the tile from a[index + r * step] on."""
    if not isinstance(tile, TileType) or tile.vector.dtype != need_array(a).dtype or not a.mutable:
        raise TypeError(f"store_tile: cannot put {tile} into {a}")

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        start = address(context, builder, a, arguments[0], index, arguments[1])
        pointers = every(builder, start, whole(context, builder, step, arguments[2]), tile.rows)
        for pointer, row in zip(pointers, vectors_of(builder, tile, arguments[3]), strict=True):
            for c, vector in enumerate(row):
                store_to(builder, after(builder, pointer, c * tile.vector.lanes), tile.vector, vector)
        return context.get_dummy_value()

    return types.void(a, index, step, tile), generate


@intrinsic
def store_tile_at(typing_context: Any, a: Any, index: Any, step: Any, places: Any, tile: Any) -> Any:
    """Stores tile[r, c] from a[index + r * step + places[c]] on."""
    if not isinstance(tile, TileType) or tile.vector != need_array(a) or not a.mutable or len(places) != tile.cols:
        raise TypeError(f"store_tile_at: cannot put {tile} into {a} at {len(places)} places")

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        start = address(context, builder, a, arguments[0], index, arguments[1])
        pointers = every(builder, start, whole(context, builder, step, arguments[2]), tile.rows)
        for pointer, row in zip(pointers, vectors_of(builder, tile, arguments[4]), strict=True):
            for place, vector in zip(at_places(builder, pointer, arguments[3]), row, strict=True):
                store_to(builder, place, tile.vector, vector)
        return context.get_dummy_value()

    return types.void(a, index, step, places, tile), generate


@intrinsic(prefer_literal=True)
def places(typing_context: Any, table: Any, first: Any, count: Any) -> Any:
    """The numbers table[first], table[first + 1], ..., `count` of them (a constant), held in ordinary registers."""
    number = constant(count)
    if number is None or table.dtype != types.int64:
        return None

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        start = address(context, builder, table, arguments[0], sig.args[1], arguments[1])
        found = [builder.load(after(builder, start, i), align=8) for i in range(number)]
        return context.make_tuple(builder, sig.return_type, found)

    return types.UniTuple(types.int64, number)(table, _plain(first), count), generate


@intrinsic
def places_like(typing_context: Any, table: Any, first: Any, tile: Any) -> Any:
    """The numbers table[first], table[first + 1], ..., one for each row of the tile, held in ordinary registers."""
    if table.dtype != types.int64 or not isinstance(tile, TileType):
        raise TypeError(f"places_like: need a table of int64 and a tile, got {table} and {tile}")

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        start = address(context, builder, table, arguments[0], first, arguments[1])
        found = [builder.load(after(builder, start, i), align=8) for i in range(tile.rows)]
        return context.make_tuple(builder, sig.return_type, found)

    return types.UniTuple(types.int64, tile.rows)(table, first, tile), generate


@intrinsic
def store_rows_at(typing_context: Any, a: Any, places: Any, tile: Any) -> Any:
    """Stores row r of the tile from a[places[r]] on."""
    if not isinstance(tile, TileType) or tile.vector != need_array(a) or not a.mutable or len(places) != tile.rows:
        raise TypeError(f"store_rows_at: cannot put {tile} into {a} at {len(places)} places")

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        start = address(context, builder, a, arguments[0], types.int64, context.get_constant(types.int64, 0))
        pointers = at_places(builder, start, arguments[1])
        for pointer, row in zip(pointers, vectors_of(builder, tile, arguments[2]), strict=True):
            for c, vector in enumerate(row):
                store_to(builder, after(builder, pointer, c * tile.vector.lanes), tile.vector, vector)
        return context.get_dummy_value()

    return types.void(a, places, tile), generate


@intrinsic
def load_rows_at(typing_context: Any, a: Any, places: Any, tile: Any) -> Any:
    """The tile, of the shape of `tile`, whose row r begins at a[places[r]]."""
    if tile.vector != need_array(a) or len(places) != tile.rows:
        raise TypeError(f"load_rows_at: cannot load {tile} from {a} at {len(places)} places")

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        start = address(context, builder, a, arguments[0], types.int64, context.get_constant(types.int64, 0))
        pointers = at_places(builder, start, arguments[1])
        return packed(builder, tile, [row_of(builder, tile, pointer) for pointer in pointers])

    return tile(a, places, tile), generate


@intrinsic
def rows_from(typing_context: Any, tile: Any, a: Any, index: Any) -> Any:
    """A tile of the same size with the number a[index + r] everywhere in row r."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = address(context, builder, a, arguments[1], index, arguments[2])
        vectors = []
        for row in range(tile.rows):
            number = builder.load(builder.gep(start, [ir.IntType(64)(row)]))
            vectors.append([splatted(builder, number, tile.vector.llvm)] * tile.cols)
        return packed(builder, tile, vectors)

    return tile(tile, a, index), generate


@intrinsic
def store_tile_first(typing_context: Any, a: Any, index: Any, step: Any, places: Any, tile: Any, count: Any) -> Any:
    """Stores the first `count` lanes of tile[r, c] from a[index + r * step + places[c]] on, and nothing behind them."""
    if not isinstance(tile, TileType) or tile.vector != need_array(a) or not a.mutable or len(places) != tile.cols:
        raise TypeError(f"store_tile_first: cannot put {tile} into {a} at {len(places)} places")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = address(context, builder, a, arguments[0], index, arguments[1])
        pointers = every(builder, start, whole(context, builder, step, arguments[2]), tile.rows)
        vector, number = tile.vector, ir.IntType(32)
        mask = first_lanes(context, builder, vector, count, arguments[5])
        kind, align = vector.llvm.as_pointer(), number(vector.dtype.bitwidth // 8)
        name = f"llvm.masked.store.{vector.suffix}.p0"
        function = llvm_function(builder, name, ir.VoidType(), vector.llvm, kind, number, mask.type)
        for pointer, row in zip(pointers, vectors_of(builder, tile, arguments[4]), strict=True):
            for place, v in zip(at_places(builder, pointer, arguments[3]), row, strict=True):
                builder.call(function, [v, builder.bitcast(place, kind), align, mask])
        return context.get_dummy_value()

    return types.void(a, index, step, places, tile, count), generate


@intrinsic
def add_row(typing_context: Any, tile: Any, b: Any, index: Any) -> Any:
    """Adds b[index : index + cols * lanes] to every row."""

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        row = row_of(builder, tile, address(context, builder, b, arguments[1], index, arguments[2]))
        rows = [
            [builder.fadd(x, y, flags=("contract",)) for x, y in zip(sums, row, strict=True)]
            for sums in vectors_of(builder, tile, arguments[0])
        ]
        return packed(builder, tile, rows)

    return tile(tile, b, index), generate


@intrinsic(prefer_literal=True)
def get(typing_context: Any, tile: Any, r: Any, c: Any) -> Any:
    """The vector in row r and column c, both constants of the program."""
    row, col = constant(r), constant(c)
    if row is None or col is None:
        return None
    number = row * tile.cols + col

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return builder.extract_value(arguments[0], number)

    return tile.vector(tile, r, c), generate


@intrinsic(prefer_literal=True)
def put(typing_context: Any, tile: Any, r: Any, c: Any, v: Any) -> Any:
    """The tile with the vector v in row r and column c, both constants of the program."""
    row, col = constant(r), constant(c)
    if row is None or col is None or v != tile.vector:
        return None
    number = row * tile.cols + col

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return builder.insert_value(arguments[0], arguments[3], number)

    return tile(tile, r, c, v), generate


@intrinsic
def pushed(typing_context: Any, tile: Any, v: Any) -> Any:
    """The tile of one column whose first row is v, and whose others are those before them; the last one drops out."""
    if not isinstance(tile, TileType) or tile.cols != 1 or v != tile.vector:
        raise TypeError(f"pushed: cannot put {v} onto {tile}")

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        rows = vectors_of(builder, tile, arguments[0])
        return packed(builder, tile, [[arguments[1]], *rows[:-1]])

    return tile(tile, v), generate


@intrinsic(prefer_literal=True)
def load_shifts(
    typing_context: Any, a: Any, index: Any, begin: Any, end: Any, count: Any, shifts: Any, stride: Any
) -> Any:  # fmt: skip
    """A column of vectors: lane l of row s is a[index + e] for e = s + l * stride, and 0 unless begin <= e < end.

    And 0 from lane `count` on. What is 0 is not touched in memory. The number of shifts and the stride, 1 or 2, are
    constants.
    """
    tile, step = _tile(a, shifts, types.literal(1)), constant(stride)
    if tile is None or step not in (1, 2):
        return None

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        assert tile is not None
        vector, number = tile.vector, ir.IntType(64)
        start = address(context, builder, a, arguments[0], sig.args[1], arguments[1])
        first, last, most = (whole(context, builder, sig.args[i], arguments[i]) for i in (2, 3, 4))
        loaded: dict[tuple[int, int], Any] = {}

        def elements(at: int, origin: int) -> Any:
            """The vector from a[index + at] on, of a lane 0 at a[index + origin]."""
            if (at, origin) not in loaded:
                limit = builder.add(builder.mul(most, number(step)), number(origin))
                limit = builder.select(builder.icmp_signed("<", last, limit), last, limit)
                limits = [builder.sub(edge, number(at)) for edge in (first, limit)]
                mask = lanes_between(context, builder, vector, *limits)
                loaded[at, origin] = load_masked(builder, builder.gep(start, [number(at)]), vector, mask)
            return loaded[at, origin]

        rows = []
        for shift in range(tile.rows):
            origin, odd = shift - shift % step, shift % step
            near = elements(origin, origin)
            if step == 2:
                pattern = range(odd, 2 * vector.lanes, 2)
                near = picked(builder, near, elements(origin + vector.lanes, origin), pattern)
            rows.append([near])
        return packed(builder, tile, rows)

    return tile(a, *map(_plain, (index, begin, end, count)), shifts, stride), generate


def _plain(kind: Any) -> Any:
    return types.unliteral(kind)


def _define(symbol: Any, of_floats: str, of_integers: str) -> None:
    """tile + tile and the like, and tile + vector: with every vector of the tile."""

    class Template(AbstractTemplate):
        key = symbol

        def generic(self, args: Any, kws: Any) -> Any:
            tile, other = args
            fits = isinstance(tile, TileType) and other in (tile, tile.vector)
            return signature(tile, *args) if fits else None

    infer_global(symbol)(Template)

    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        kind, other = sig.args
        build = getattr(builder, of_floats if kind.vector.is_float else of_integers)
        count = kind.rows * kind.cols
        xs = [builder.extract_value(arguments[0], i) for i in range(count)]
        ys = (
            [arguments[1]] * count
            if other == kind.vector
            else [builder.extract_value(arguments[1], i) for i in range(count)]
        )
        tile = ir.Constant(kind.llvm, ir.Undefined)
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            tile = builder.insert_value(tile, build(x, y), i)
        return tile

    for other in (TileType, VectorType):
        lower_builtin(symbol, TileType, other)(generate)


for _symbol, *_builds in (
    (operator.add, "fadd", "add"),
    (operator.iadd, "fadd", "add"),
    (operator.sub, "fsub", "sub"),
    (operator.isub, "fsub", "sub"),
    (operator.mul, "fmul", "mul"),
    (operator.imul, "fmul", "mul"),
):
    _define(_symbol, *_builds)
