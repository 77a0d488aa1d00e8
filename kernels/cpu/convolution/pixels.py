"""Convolution whose lanes run along the pixels of a row; the core of `few_channels` and `depthwise`.

    weights           pixels of the bordered copy
    of a tap       v0         v1         v2
      w[0] ---> +----------+----------+----------+      `rows` filters times `cols` vectors of output pixels
      w[1] ---> |    +=    |    +=    |    +=    |      stay in registers while the loop runs over the taps
       ...      |          |          |          |      (channel, i, j); then they go to y, where the pixels
      w[7] ---> +----------+----------+----------+      of a filter lie side by side in any case

A tap is one shift of the copy (see `border`), so its step is rows + cols loads for rows * cols multiplications. The
vectors of a tile are any `cols` of the band. Where a row is no whole number of vectors, its last one begins earlier
and computes some pixels a second time; of a row shorter than a vector, only the pixels that exist are stored. If that
wastes much, the lanes run over the copy from end to end instead, across the ends of its rows; then what lies between
the rows is left behind when the finished pixels move from a staging area to y.
"""

import functools
from typing import Any

import numpy as np

from kernels.cpu.convolution.border import Band, band_of, copy_band, offsets_of
from kernels.cpu.convolution.layout import aligned
from kernels.cpu.jit import Array, as_input, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import (
    REGISTERS,
    VECTOR_BYTES,
    inner_fma_at,
    lanes,
    load,
    load_first,
    places,
    rows_from,
    store,
    store_first,
    store_tile_at,
    store_tile_first,
    zeros,
)
from kernels.cpu.team import workers_for

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

# Filters of a tile -> vectors of pixels. With the vectors of one tap and one weight, these fill the registers.
# Each size used is compiled on its own, so there are few.
COLS = {1: 8, 3: 7, 8: 3} if REGISTERS == 32 else {1: 6, 3: 3, 6: 2}


def convolve(
    x: Array,
    weight: Array,
    bias: Array | None,
    out_size: Pair,
    begin: Pair,
    stride: Pair,
    dilation: Pair,
    spread: Pair = (1, 1),
) -> Array:
    """y (N, G * K, *out_size) of x (N, G * C, H, W) and weight (G, K, C, KH, KW), bias (G * K,) or None.

    The image, with spread - 1 zeros between its pixels, begins `begin` rows and columns after the first window. No
    dimension is zero.
    """
    groups, filters, channels, *kernel_size = weight.shape
    x = as_input(x)
    y = aligned((len(x), groups * filters, *out_size), x.dtype)
    rows = _rows_for(filters)
    cols = COLS[rows]
    lanes = VECTOR_BYTES // x.itemsize
    size = kernel_size[0], kernel_size[1]
    band = band_of(x.shape, x.itemsize, groups, out_size, size, begin, stride, dilation, spread)
    chunks, places_in, places_out, flat = _chunks(band, lanes, cols)
    packed = np.ascontiguousarray(weight.reshape(groups, filters, -1)[:, _blocks(filters, rows)].swapaxes(2, 3))
    bias = np.zeros(groups * filters, x.dtype) if bias is None else bias

    workers = workers_for(y.size * channels * size[0] * size[1])
    _convolve[rows](
        x.reshape(-1),
        as_input(packed).reshape(-1),
        as_input(bias),
        y.reshape(-1),
        band,
        groups,
        offsets_of(band, size, dilation),
        chunks,
        places_in,
        places_out,
        flat,
        aligned((workers, band.room(lanes) + cols * lanes), x.dtype),
        np.empty((workers, rows, chunks * lanes if flat else 0), x.dtype),
    )
    return y


def before(padding: Padding) -> Pair:
    """The padding before the first row and column."""
    return padding[0][0], padding[1][0]


def before_turned(padding: Padding, kernel_size: tuple[int, ...], dilation: Pair) -> Pair:
    """What `before` is in the convolution with turned filters, which takes gradients back; it may be negative."""
    first, second = ((k - 1) * d - pads[0] for k, d, pads in zip(kernel_size, dilation, padding, strict=True))
    return first, second


def _rows_for(filters: int) -> int:
    """The tile with the least work for that many filters: larger ones load less for each product."""
    fitting = [rows for rows in COLS if rows <= filters]
    return min(fitting, key=lambda rows: (-(-filters // rows) * (rows + 1), -rows))


@functools.lru_cache(maxsize=256)
def _blocks(filters: int, rows: int) -> Array:
    """The filters (blocks, rows) of each tile. If the last tile is short of filters, it computes some again."""
    first = np.minimum(np.arange(0, filters, rows), filters - rows)
    return first[:, None] + np.arange(rows)


@functools.lru_cache(maxsize=256)
def _chunks(band: Band, lanes: int, cols: int) -> tuple[int, Array, Array, bool]:
    """Where the vectors of a band begin, in the copy and in the output, and whether the latter is a staging area.

    Two rows of places: for a band of full height and for the last one. Both have the same number of vectors, which
    `cols` divides; what is too many repeats the last.
    """

    def vectors(rows: int) -> int:
        return -(-rows * band.copied_width // lanes)

    def rounded(number: int) -> int:
        return -(-number // cols) * cols

    count = rounded(vectors(band.rows))
    by_row = rounded(band.rows * -(-band.out_width // lanes))
    if by_row > 1.1 * count:
        begin = np.arange(count) * lanes
        return count, np.stack([begin, begin]), np.stack([begin, begin]), True
    count = by_row
    starts = np.maximum(0, np.minimum(np.arange(0, band.out_width, lanes), band.out_width - lanes))
    ins, outs = [], []
    for rows in (band.rows, band.last_rows):
        row, start = np.divmod(np.minimum(np.arange(count), rows * len(starts) - 1), len(starts))
        ins.append(row * band.copied_width + starts[start])
        outs.append(row * band.out_width + starts[start])
    return count, np.stack(ins), np.stack(outs), False


def _make_convolve(rows: int, cols: int) -> Any:
    @kernel
    def convolve_band(
        worker: int,
        item: int,
        x: Array,
        weights: Array,
        bias: Array,
        y: Array,
        band: Band,
        groups: int,
        offsets: Array,
        chunks: int,
        places_in: Array,
        places_out: Array,
        flat: bool,
        copies: Array,
        staging: Array,
    ) -> None:
        filters, taps = len(bias) // groups, len(offsets)
        blocks = (filters + rows - 1) // rows
        area = band.out_height * band.out_width
        bands = (band.out_height + band.rows - 1) // band.rows
        copy, staged = copies[worker], staging[worker]
        plane, first = item // bands, item % bands * band.rows  # of one image and group, and of its rows
        group = plane % groups
        height = min(band.rows, band.out_height - first)
        copy_band(x, plane * band.channels, first, band, copy)
        vectors = 0 if height == band.rows else chunks
        for block in range(blocks):
            top = min(block * rows, filters - rows)
            w = (group * blocks + block) * taps * rows
            pixel = (plane * filters + top) * area + first * band.out_width
            for chunk in range(vectors, vectors + chunks, cols):
                pixels = places(places_in, chunk, cols)
                acc = rows_from(zeros(x, rows, cols), bias, group * filters + top)
                for tap in range(taps):
                    acc = inner_fma_at(acc, weights, w + tap * rows, 1, copy, pixels, offsets[tap])
                if flat:
                    store_tile_at(staged, 0, staged.shape[1], places(places_out, chunk, cols), acc)
                elif band.out_width < lanes(y):
                    store_tile_first(y, pixel, area, places(places_out, chunk, cols), acc, band.out_width)
                else:
                    store_tile_at(y, pixel, area, places(places_out, chunk, cols), acc)
            if flat:
                _unstage(staged, height, band, y, pixel)

    @kernel
    def convolve_pixels(
        x: Array,
        weights: Array,
        bias: Array,
        y: Array,
        band: Band,
        groups: int,
        offsets: Array,
        chunks: int,
        places_in: Array,
        places_out: Array,
        flat: bool,
        copies: Array,
        staging: Array,
    ) -> None:
        """Fills y, for weights (groups, blocks, taps, rows). Each thread has its own part of copies and staging."""
        bands = (band.out_height + band.rows - 1) // band.rows
        items = len(y) // (len(bias) // groups * band.out_height * band.out_width) * bands
        arguments = (
            x, weights, bias, y, band, groups, offsets, chunks, places_in, places_out, flat, copies, staging
        )  # fmt: skip
        parallel(convolve_band, len(copies), items, arguments)

    return convolve_pixels


@kernel
def _unstage(staged: Array, height: int, band: Band, y: Array, pixel: int) -> None:
    """Moves the rows of a band to y, without what lies between them."""
    for filter_ in range(len(staged)):
        for row in range(height):
            source = filter_ * staged.shape[1] + row * band.copied_width
            target = pixel + (filter_ * band.out_height + row) * band.out_width
            for column in range(0, band.out_width, lanes(y)):
                left = band.out_width - column
                if left >= lanes(y):
                    store(y, target + column, load(staged, source + column))
                else:
                    store_first(y, target + column, load_first(staged, source + column, left), left)


_convolve = {rows: _make_convolve(rows, cols) for rows, cols in COLS.items()}
