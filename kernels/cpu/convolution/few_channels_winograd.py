"""Convolution of few input channels by Winograd's F(4, 3) and F(2, 5), down the columns of an image alone.

Winograd's method in both directions needs transforms of 6 x 6 numbers that only many channels pay for. In one
direction, of six rows of pixels, it is cheap, and saves a third to two fifths of the multiplications:

    six rows of x    B^T    six rows     for every channel and tap of a row:
    d0 ----------           v0 --------> +----+----+----+----+----+----+    m[f] += u[filter, f] * v[f] shifted by the
    d1 ----------   ---->   v1           | m0 | m1 | m2 | m3 | m4 | m5 |    tap: a tile of 4 filters times 6 values in
     ...                     ...         +----+----+----+----+----+----+    registers, as lanes the pixels of a row
    d5 ----------           v5                       | A^T
                                          four rows of y (or two, for 5 x 5 taps)

`winograd_transforms` says what A, B and G are; u = G g of the taps g in a column, once for a call. For 3 channels and
3 x 3 taps, four rows of pixels take 54 multiplications instead of 108, and 17 additions.

Arithmetic is the limit, as without it: one multiplication a cycle, whose factors are operands of the same instruction
in the level-1 cache. y is written once, straight from the registers.

Precision. The largest error, in standard deviations of the result, was 1.4e-6 to 2.6e-6 for 1 to 8 channels, where the
plain sum has 0.7e-6 to 3.4e-6. NaN and infinity spread over a tile, and numbers in between can overflow: `forward` says
whether all results are finite, and the caller computes anew if not.

Measured on one thread of an EPYC with AVX-512 (Zen 4), time over that of `few_channels` (and of PyTorch 2.13):

    32 x 3 -> 16, 32 x 32, 3 x 3    0.65 (0.36 to 0.5)       64 x 8 -> 16, 16 x 16, 3 x 3    0.58
    64 x 1 -> 8, 28 x 28, 5 x 5     0.84 (0.32 to 0.35)      32 x 8 -> 16, 28 x 28, 5 x 5    0.67

The gradient by the weights was tried the same way: A dy has to be stored for every filter, and of the half of the
multiplications that it saves, 10 to 15 % of the time remain for three channels, and nothing for one.
"""

import math
from functools import cache, lru_cache
from typing import Any

import numpy as np

from kernels.cpu.convolution.layout import aligned
from kernels.cpu.convolution.pixels import Padding, Pair
from kernels.cpu.convolution.winograd_transforms import METHODS, MOMENTS, POINTS, b_transpose
from kernels.cpu.jit import Array, as_input, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import (
    FLOAT32_LANES,
    REGISTERS,
    each_row,
    lanes,
    load_between,
    paired_fma,
    places,
    rows_from,
    splat,
    store,
    store_tile_at,
    sum_vectors,
    total,
    zeros,
)
from kernels.cpu.team import workers_for
from kernels.reference.winograd import matrices

FILTERS = 4 if REGISTERS == 32 else 2  # of a tile: 4 * 6 sums and six vectors of pixels in registers


@lru_cache(maxsize=256)
def pays(filters: int, side: int, size: Pair) -> bool:
    """Whether whole tiles and vectors are less than 5/4 of so many filters with results of `size`."""
    tile = METHODS[side].tile
    if filters < FILTERS or size[0] < tile or size[1] < FLOAT32_LANES:
        return False
    computed = (-(-n // unit) * unit for n, unit in ((filters, FILTERS), (size[0], tile), (size[1], FLOAT32_LANES)))
    return math.prod(computed) < 1.25 * filters * size[0] * size[1]


def forward(x: Array, weight: Array, bias: Array | None, padding: Padding) -> tuple[Array, bool]:
    """The convolution (N, K, H', W') with stride 1, plus bias, and whether all of it is finite.

    x is (N, C, H, W), weight (K, C, 3, 3) or (K, C, 5, 5), bias (K,) or None, all float32; K is at least FILTERS, H'
    at least the rows of a tile and W' the lanes of a vector. Checks nothing else.
    """
    (top, bottom), (left, right) = padding
    filters, channels, side, _ = weight.shape
    method = METHODS[side]
    size = x.shape[2] + top + bottom - side + 1, x.shape[3] + left + right - side + 1
    y = aligned((len(x), filters, *size), x.dtype)
    bias = np.zeros(filters, x.dtype) if bias is None else bias
    targets = _targets(*size, method.tile)
    pitch = -(-(size[1] + method.halo) // FLOAT32_LANES) * FLOAT32_LANES
    workers = workers_for(y.size * channels * side * POINTS // method.tile)
    finite = np.empty((len(x), len(targets)), np.bool_)
    all_finite = _convolve(side)(
        as_input(x),
        _transformed(weight),
        as_input(bias),
        y,
        (top, left),
        targets,
        aligned((workers, channels * POINTS * pitch), x.dtype),
        finite,
    )
    return y, all_finite


@lru_cache(maxsize=256)
def _targets(height: int, width: int, tile: int) -> Array:
    """Where the rows of each tile go in a plane: (tiles, tile).

    The last tile begins early enough to be whole. A row that is the business of the one before it goes where the next
    row will overwrite it.
    """
    own = np.arange(0, height, tile)[:, None]
    rows = np.minimum(own, height - tile) + np.arange(tile)
    return np.maximum(rows, own) * width


def _transformed(weight: Array) -> Array:
    """G g for the columns g of taps, as the tiles need it: (blocks, channels, side, FILTERS, POINTS)."""
    filters, channels, side, _ = weight.shape
    with np.errstate(all="ignore"):
        values = np.matmul(_g(side), weight)  # (filters, channels, POINTS, side)
    return values.take(_order(filters, channels, side))


@lru_cache(maxsize=256)
def _order(filters: int, channels: int, side: int) -> Array:
    """Where the numbers of all tiles are: FILTERS neighbours each, of which the last are as many as there are."""
    numbers = np.arange(filters * channels * POINTS * side).reshape(filters, channels, POINTS, side)
    first = np.minimum(np.arange(0, filters, FILTERS), filters - FILTERS)
    return numbers[first[:, None] + np.arange(FILTERS)].transpose(0, 2, 4, 1, 3).ravel()


@cache
def _g(side: int) -> Array:
    return matrices(side)[1].astype(np.float32)


@cache
def _convolve(side: int) -> Any:
    tile = METHODS[side].tile
    moments = MOMENTS[tile]

    @kernel
    def convolve_tile(
        worker: int, item: int, x: Array, weight: Array, bias: Array, y: Array, begin: Pair, targets: Array,
        lines: Array, finite: Array,
    ) -> None:  # fmt: skip
        channels = x.shape[1]
        filters, out_height, out_width = y.shape[1:]
        image, number = item // len(targets), item % len(targets)
        row = min(number * tile, out_height - tile)
        v = lines[worker]
        pitch = len(v) // (channels * POINTS)
        for channel in range(channels):
            above = image * channels + channel
            for column in range(0, pitch, lanes(x)):
                _transform(x, above, row - begin[0], column - begin[1], v, channel * POINTS * pitch + column, pitch)
        table = places(targets, number * tile, tile)
        check = splat(x, 0)
        for block in range((filters + FILTERS - 1) // FILTERS):
            top = min(block * FILTERS, filters - FILTERS)
            target = (image * filters + top) * out_height * out_width
            for start in range(0, out_width, lanes(x)):
                column = min(start, out_width - lanes(x))
                acc = zeros(x, FILTERS, POINTS)
                u = block * channels * side * FILTERS * POINTS
                for channel in range(channels):
                    line = channel * POINTS * pitch + column
                    for tap in range(side):
                        acc = paired_fma(acc, weight, u, v, line + tap, pitch)
                        u += FILTERS * POINTS
                pixels = each_row(moments, acc) + rows_from(zeros(x, FILTERS, tile), bias, top)
                store_tile_at(y, target + column, out_height * out_width, table, pixels)
                check += sum_vectors(pixels)
        finite[image, number] = np.isfinite(total(check))  # only if all terms are

    @kernel
    def convolve_tiles(
        x: Array, weight: Array, bias: Array, y: Array, begin: Pair, targets: Array, lines: Array, finite: Array
    ) -> bool:
        """Fills y, and finite: one answer for each tile of rows. `lines` is room to work in."""
        arguments = (x, weight, bias, y, begin, targets, lines, finite)
        parallel(convolve_tile, len(lines), finite.size, arguments)
        return bool(finite.all())

    return convolve_tiles


@kernel
def _transform(x: Array, plane: int, row: int, column: int, v: Array, place: int, pitch: int) -> None:
    """v = B^T d of a vector of columns of the six rows d from `row` on; pixels that are outside are 0."""
    values = b_transpose(
        _pixels(x, plane, row, column),
        _pixels(x, plane, row + 1, column),
        _pixels(x, plane, row + 2, column),
        _pixels(x, plane, row + 3, column),
        _pixels(x, plane, row + 4, column),
        _pixels(x, plane, row + 5, column),
    )
    for f in range(POINTS):
        store(v, place + f * pitch, values[f])


@kernel
def _pixels(x: Array, plane: int, row: int, column: int) -> Any:
    height, width = x.shape[2:]
    if 0 <= row < height:
        return load_between(x, (plane * height + row) * width + column, -column, width - column)
    return splat(x, 0)
