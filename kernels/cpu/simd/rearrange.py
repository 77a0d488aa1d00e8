"""Lanes in another order."""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from kernels.cpu.simd.types import TileType, VectorType, intrinsic


def picked(builder: Any, v: Any, w: Any, pattern: Sequence[int]) -> Any:
    """A vector whose lane i is lane pattern[i] of v followed by w."""
    return builder.shuffle_vector(v, w, ir.Constant(ir.VectorType(ir.IntType(32), len(pattern)), list(pattern)))


def shuffle(pattern: Sequence[int]) -> Any:
    """A function (v, w) for kernels: lane i of its result is lane pattern[i] of v followed by w."""
    fixed = tuple(int(lane) for lane in pattern)

    def shuffled(typing_context: Any, v: Any, w: Any) -> Any:
        if not isinstance(v, VectorType) or v != w or not all(0 <= lane < 2 * v.lanes for lane in fixed):
            return None

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return picked(builder, arguments[0], arguments[1], fixed)

        return VectorType(v.dtype, len(fixed))(v, w), generate

    return intrinsic(shuffled)


@intrinsic
def first_half(typing_context: Any, v: Any) -> Any:
    """The first half of the lanes."""
    half = VectorType(v.dtype, v.lanes // 2)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return picked(builder, arguments[0], arguments[0], range(half.lanes))

    return half(v), generate


@intrinsic
def second_half(typing_context: Any, v: Any) -> Any:
    """The second half of the lanes."""
    half = VectorType(v.dtype, v.lanes // 2)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return picked(builder, arguments[0], arguments[0], range(half.lanes, v.lanes))

    return half(v), generate


@intrinsic
def concatenate(typing_context: Any, v: Any, w: Any) -> Any:
    """The lanes of v, then those of w."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return picked(builder, arguments[0], arguments[1], range(2 * v.lanes))

    return (VectorType(v.dtype, 2 * v.lanes)(v, w), generate) if isinstance(v, VectorType) and v == w else None


@intrinsic
def alternate(typing_context: Any, v: Any, w: Any) -> Any:
    """v[0], w[0], v[1], w[1], ...: twice as many lanes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return picked(
            builder, arguments[0], arguments[1], [lane + side for lane in range(v.lanes) for side in (0, v.lanes)]
        )

    return (VectorType(v.dtype, 2 * v.lanes)(v, w), generate) if isinstance(v, VectorType) and v == w else None


def _of_pair(pattern: Callable[[int], list[int]], name: str, meaning: str) -> Any:
    """A function (v, w) that picks lanes of v followed by w; `pattern` says which, given the number of lanes."""

    def function(typing_context: Any, v: Any, w: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return picked(builder, arguments[0], arguments[1], pattern(v.lanes))

        return (v(v, w), generate) if isinstance(v, VectorType) and v == w else None

    function.__name__ = function.__qualname__ = name
    function.__doc__ = meaning
    return intrinsic(function)


def _evens(n: int) -> list[int]:
    return list(range(0, 2 * n, 2))


def _odds(n: int) -> list[int]:
    return list(range(1, 2 * n, 2))


def _low(n: int) -> list[int]:
    return [n * (i % 2) + i // 2 for i in range(n)]


def _high(n: int) -> list[int]:
    return [n * (i % 2) + (n + i) // 2 for i in range(n)]


evens = _of_pair(_evens, "evens", "v[0], v[2], ..., w[0], w[2], ...")
odds = _of_pair(_odds, "odds", "v[1], v[3], ..., w[1], w[3], ...")
interleave_low = _of_pair(_low, "interleave_low", "v[0], w[0], v[1], w[1], ... of the first halves of v and w")
interleave_high = _of_pair(_high, "interleave_high", "v[0], w[0], v[1], w[1], ... of the second halves of v and w")


def _in_rounds(rearrange: Callable[[Any, VectorType, list[Any]], list[Any]], name: str, meaning: str) -> Any:
    """A function of a tile of 2^k rows and one column that rearranges its rows k times."""

    def function(typing_context: Any, tile: Any) -> Any:
        if not isinstance(tile, TileType) or tile.cols != 1 or tile.rows & (tile.rows - 1):
            return None

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            rows = [builder.extract_value(arguments[0], i) for i in range(tile.rows)]
            for _ in range(tile.rows.bit_length() - 1):
                rows = rearrange(builder, tile.vector, rows)
            out = ir.Constant(tile.llvm, ir.Undefined)
            for i, row in enumerate(rows):
                out = builder.insert_value(out, row, i)
            return out

        return tile(tile), generate

    function.__name__ = function.__qualname__ = name
    function.__doc__ = meaning
    return intrinsic(function)


def _merge(builder: Any, vector: VectorType, rows: list[Any]) -> list[Any]:
    half = len(rows) // 2
    pairs = zip(rows[:half], rows[half:], strict=True)
    return [picked(builder, v, w, pattern(vector.lanes)) for v, w in pairs for pattern in (_low, _high)]


def _split(builder: Any, vector: VectorType, rows: list[Any]) -> list[Any]:
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    return [picked(builder, v, w, pattern(vector.lanes)) for pattern in (_evens, _odds) for v, w in pairs]


interleaved = _in_rounds(
    _merge,
    "interleaved",
    "The numbers of a tile in another order: the first of every row, the second of every row, ...",
)
separated = _in_rounds(_split, "separated", "The inverse of `interleaved`.")
