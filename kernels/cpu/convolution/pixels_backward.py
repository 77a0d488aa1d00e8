"""The gradient by the weights whose lanes run along the pixels of a row; the core of `few_channels` and `depthwise`.

    dw[k, t] = sum over images and pixels of dy[k, pixel] * x[pixel shifted by the tap t]

               x shifted by t0   by t1    by t2
      dy[0] ---> +---------+---------+---------+      `rows` filters times `cols` taps. Both operands are vectors of
      dy[1] ---> |   +=    |   +=    |   +=    |      pixels, and every lane of the tile sums up its own pixels: the
       ...       |         |         |         |      lanes are added up once, at the very end
      dy[7] ---> +---------+---------+---------+

The end of a row that fills no vector is read under a mask, dy and x alike: an infinity next to it stays unseen.

Threads share the groups and, if these are few, the images: PARTS runs of bands, whose sums are added up in their order.
"""

import functools
from typing import Any

import numpy as np

from kernels.cpu.convolution.border import Band, band_of, copy_band, offsets_of
from kernels.cpu.convolution.layout import aligned
from kernels.cpu.convolution.pixels import Pair
from kernels.cpu.jit import Array, as_input, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import (
    REGISTERS,
    VECTOR_BYTES,
    lane_fma_at,
    lane_fma_first,
    lanes,
    load,
    load_tile,
    places,
    store_tile,
    total,
)
from kernels.cpu.team import workers_for

# Filters of a tile -> taps of a tile.
TAPS = {1: 9, 8: 3} if REGISTERS == 32 else {1: 9, 3: 3}

PARTS = 8


def correlate(
    x: Array,
    dy: Array,
    groups: int,
    kernel_size: Pair,
    begin: Pair,
    stride: Pair,
    dilation: Pair,
) -> Array:
    """dw (G, K, C, KH, KW) of x (N, G * C, H, W) and dy (N, G * K, *out_size). No dimension is zero."""
    x, dy = as_input(x), as_input(dy)
    images, channels = len(x), x.shape[1] // groups
    filters = dy.shape[1] // groups
    out_size = dy.shape[2], dy.shape[3]
    rows = max(TAPS) if filters > max(TAPS) // 2 else 1
    cols = TAPS[rows]
    band = band_of(x.shape, x.itemsize, groups, out_size, kernel_size, begin, stride, dilation)
    offsets, filter_places = _places(band, kernel_size, dilation, filters, rows, cols)
    parts = min(images * band.number, -(-PARTS // groups))
    sums = np.empty((parts, groups, len(filter_places) * len(offsets)), x.dtype)
    lanes = VECTOR_BYTES // x.itemsize

    workers = workers_for(dy.size * channels * kernel_size[0] * kernel_size[1])
    _correlate[rows](
        x.reshape(-1),
        dy.reshape(-1),
        band,
        offsets,
        filter_places,
        sums,
        aligned((workers, band.room(lanes)), x.dtype),
        aligned((workers, len(filter_places) * len(offsets) * lanes), x.dtype),
    )
    taps = channels * kernel_size[0] * kernel_size[1]
    # From (blocks, blocks, rows, cols) to (filters, taps), without the repeated ones.
    tiled = sums.sum(axis=0).reshape(groups, len(filter_places) // rows, len(offsets) // cols, rows, cols)
    dw = tiled.swapaxes(2, 3).reshape(groups, len(filter_places), len(offsets))[:, :filters, :taps]
    return np.ascontiguousarray(dw).reshape(groups, filters, channels, *kernel_size)


@functools.lru_cache(maxsize=256)
def _places(band: Band, kernel_size: Pair, dilation: Pair, filters: int, rows: int, cols: int) -> tuple[Array, Array]:
    """Where the taps are in the copy and the filters in dy; whole tiles of both, that is, the last ones repeated."""
    offsets = offsets_of(band, kernel_size, dilation)
    tap = np.minimum(np.arange(-(-len(offsets) // cols) * cols), len(offsets) - 1)
    filter_ = np.minimum(np.arange(-(-filters // rows) * rows), filters - 1)
    return offsets[tap], filter_ * (band.out_height * band.out_width)


def _make_correlate(rows: int, cols: int) -> Any:
    @kernel
    def correlate_part(
        worker: int, item: int, x: Array, dy: Array, band: Band, offsets: Array, filters: Array, sums: Array,
        copies: Array, tiles: Array,
    ) -> None:  # fmt: skip
        bands = (band.out_height + band.rows - 1) // band.rows
        parts, groups = sums.shape[:2]
        planes = len(x) // (band.channels * band.height * band.width)  # of all images and groups
        units = planes // groups * bands
        plane_size = len(dy) // planes
        width = lanes(x)
        size = rows * cols * width  # of a tile
        whole = band.out_width - band.out_width % width
        copy, tile_sums = copies[worker], tiles[worker]
        part, group = item // groups, item % groups
        tile_sums[:] = 0
        for unit in range(part * units // parts, (part + 1) * units // parts):
            plane, first = unit // bands * groups + group, unit % bands * band.rows
            copy_band(x, plane * band.channels, first, band, copy)
            start = plane * plane_size + first * band.out_width
            at = 0
            for block in range(0, len(filters), rows):
                of_dy = places(filters, block, rows)
                for tap in range(0, len(offsets), cols):
                    of_x = places(offsets, tap, cols)
                    acc = load_tile(tile_sums, at, cols * width, rows, cols)
                    for row in range(min(band.rows, band.out_height - first)):
                        y, pixel = start + row * band.out_width, row * band.copied_width
                        for q in range(0, whole, width):
                            acc = lane_fma_at(acc, dy, of_dy, y + q, copy, of_x, pixel + q)
                        if whole < band.out_width:
                            rest = band.out_width - whole
                            acc = lane_fma_first(acc, dy, of_dy, y + whole, copy, of_x, pixel + whole, rest)
                    store_tile(tile_sums, at, cols * width, acc)
                    at += size
        gradient = sums[part, group]
        for i in range(len(gradient)):
            gradient[np.uint64(i)] = total(load(tile_sums, i * width))

    @kernel
    def correlate_pixels(
        x: Array, dy: Array, band: Band, offsets: Array, filters: Array, sums: Array, copies: Array, tiles: Array
    ) -> None:
        """Fills sums (parts, groups, filters * taps), tile by tile. Each thread has its own copies and tiles."""
        items = sums.shape[0] * sums.shape[1]
        parallel(correlate_part, len(copies), items, (x, dy, band, offsets, filters, sums, copies, tiles))

    return correlate_pixels


_correlate = {rows: _make_correlate(rows, cols) for rows, cols in TAPS.items()}
