"""How the direct convolutions lay out their data: bordered copies, packed weights, pixels beside planes.

Three rearrangements stand between planes (N, C, H, W) and a kernel whose vectors hold neighbouring channels:

    bordered     part of an image, with zeros around it where the padding is, so that no window needs a test
    pack         weights: for each tap a row of `width` filters
    to_pixels    planes -> pixels x channels        to_planes    pixels x channels -> planes

The last two transpose squares of lanes x lanes numbers in registers. An element is moved once or twice by each of
them, and multiplied a hundred times or more by the convolution itself.
"""

import math
from typing import Any

import numpy as np

from kernels.cpu.jit import Array, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import (
    VECTOR_BYTES,
    gather,
    lanes,
    load_first,
    load_square,
    load_wide,
    splat,
    store,
    store_first,
    store_square,
    store_tile,
    transpose,
)

ROWS_A_PIECE = 64  # of packed weights, written by one thread at a time


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Uninitialised memory that begins where a vector may: a vector across two cache lines costs two accesses."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + VECTOR_BYTES, np.uint8)
    start = -memory.__array_interface__["data"][0] % VECTOR_BYTES
    return memory[start : start + size].view(dtype).reshape(shape)


@kernel
def bordered(
    source: Array, n: int, channel: int, channels: int, row: int, column: int, rows: int, columns: int, image: Array
) -> None:
    """image[c, i, j] = source[n, channel + c, row + i, column + j] where that exists, and 0 above and below.

    image is the beginning of a flat array: `channels` planes of rows x columns. What lies left and right of the
    source is not written: it has to be zero already, and stays so, since `column` is the same in every call.
    """
    planes, height, width = source.shape[1:]
    left, skipped = max(0, -column), max(0, column)
    count = min(width - skipped, columns - left)
    nothing = splat(source, 0)
    for c in range(channels):
        for i in range(rows):
            to = (c * rows + i) * columns + left
            start = ((n * planes + channel + c) * height + row + i) * width + skipped
            for j in range(0, count, lanes(source)):
                some = count - j
                if 0 <= row + i < height:
                    store_first(image, to + j, load_first(source, start + j, some), some)
                else:
                    store_first(image, to + j, nothing, some)


@kernel
def pack(weight: Array, sources: Array, offsets: Array, filters: int, workers: int, packed: Array) -> None:
    """packed[g, panel, tap, f] = the number of `weight` (flat) for group g, this tap and filter panel * width + f.

    packed is (groups, panels, taps, width) and becomes zero beyond `filters` filters a group. In memory, groups follow
    each other; taps are at `sources` (taps,) and filters at `offsets` (panels * width,) from there.
    """
    groups, panels, taps, _ = packed.shape
    pieces = (groups * panels * taps + ROWS_A_PIECE - 1) // ROWS_A_PIECE
    parallel(_pack_piece, workers, pieces, (weight, sources, offsets, filters, packed))


@kernel
def _pack_piece(
    worker: int, piece: int, weight: Array, sources: Array, offsets: Array, filters: int, packed: Array
) -> None:
    groups, panels, taps, _ = packed.shape
    rows = groups * panels * taps
    for row in range(piece * ROWS_A_PIECE, min(rows, (piece + 1) * ROWS_A_PIECE)):
        _pack_row(weight, sources, offsets, filters, row, packed)


@kernel
def _pack_row(weight: Array, sources: Array, offsets: Array, filters: int, row: int, packed: Array) -> None:
    """One row of packed, numbered over groups, panels and taps."""
    groups, panels, taps, width = packed.shape
    group, panel, tap = row // (panels * taps), row // taps % panels, row % taps
    start = group * (weight.size // groups) + sources[tap]
    for f in range(0, width, lanes(weight)):
        first = panel * width + f
        if first + lanes(weight) <= filters:
            store(packed, row * width + f, gather(weight, start, load_wide(offsets, first, weight)))
        else:
            for i in range(lanes(weight)):
                here = (group, panel, tap, f + i)
                packed[here] = weight[start + offsets[first + i]] if first + i < filters else 0


@kernel
def pack_in_order(weight: Array, filters: int, workers: int, packed: Array) -> None:
    """As `pack` where weight is (groups, filters, taps), hence a matrix to transpose; copies lie beyond `filters`."""
    groups, panels, taps, _ = packed.shape
    pieces = groups * panels * ((taps + ROWS_A_PIECE - 1) // ROWS_A_PIECE)
    parallel(_transpose_piece, workers, pieces, (weight, filters, packed))


@kernel
def _transpose_piece(worker: int, piece: int, weight: Array, filters: int, packed: Array) -> None:
    _, panels, taps, width = packed.shape
    side = lanes(weight)
    pieces = (taps + ROWS_A_PIECE - 1) // ROWS_A_PIECE
    panel, first_tap = piece // pieces, piece % pieces * ROWS_A_PIECE  # panels of all groups are numbered
    group, first = panel // panels, panel % panels * width
    for f in range(0, width, side):
        filter_ = min(first + f, filters - 1)
        for tap in range(first_tap, min(taps, first_tap + ROWS_A_PIECE), side):
            start = (group * filters + filter_) * taps + tap
            square = transpose(load_square(weight, start, taps, max(1, filters - first - f), taps - tap))
            store_square(packed, (panel * taps + tap) * width + f, width, square, taps - tap, side)


@kernel
def to_pixels(planes: Array, start: int, plane: int, channels: int, count: int, width: int, out: Array) -> None:
    """out[p, c] = planes[start + c * plane + p] for p < count and c < channels; further c hold copies of others.

    Both arrays are flat; out is (count, width) with room for `lanes` more rows.
    """
    side = lanes(planes)
    for c in range(0, width, side):
        first = start + min(c, channels - 1) * plane
        for p in range(0, count, side):
            square = load_square(planes, first + p, plane, max(1, channels - c), count - p)
            store_tile(out, p * width + c, width, transpose(square))


@kernel
def to_planes(pixels: Array, count: int, width: int, channels: int, out: Array, start: int, plane: int) -> None:
    """out[start + c * plane + p] = pixels[p, c] for p < count and c < channels.

    Both arrays are flat; pixels is (count, width) with room for `lanes` more rows.
    """
    side = lanes(pixels)
    for c in range(0, min(width, channels), side):
        for p in range(0, count, side):
            square = transpose(load_square(pixels, p * width + c, width, side, side))
            store_square(out, start + c * plane + p, plane, square, channels - c, count - p)
