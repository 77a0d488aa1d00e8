"""The direct convolution: any stride, padding, dilation, groups and channels, in float32 and float64.

What has to be done: 2 * N * O * H_out * W_out * C/groups * taps flops, on (x + weight + y) * 4 bytes. For 3 x 3 and 64
channels that is some 300 flops a byte, so *multiplication is the limit*. 1 x 1 has 30, and the copies begin to count.

The idea is a matrix product whose left matrix is never built. Lanes are output channels: the weights are packed so that
each tap (channel, kernel row, kernel column) has a row of vectors of them. The left factor is one number of the image,
and where it lies is the sum of two table entries: the place of the pixel's window (any stride) and that of the tap
within the window (any dilation). A tile of sums stays in registers for all taps:

                          weights of tap t, 4 vectors of output channels
                         +------+------+------+------+
    x[window 0 + tap] -> |  +=  |  +=  |  +=  |  +=  |         10 loads for 24 multiplications of vectors,
    x[window 1 + tap] -> |  +=  |  +=  |  +=  |  +=  |         two of either a cycle
    ...              (6) +------+------+------+------+

The image is copied with zeros around it, a band of rows at a time, unless no window reaches over the border. Results go
to a buffer pixels x channels in the cache and are transposed from there. With few output channels the tile is narrower
and taller. A band of one image and group is a piece of work, and owns its part of y.

What it reaches: the tile loop alone, 158 GF/s of the 175 of multiplications in registers (AVX-512, one thread).
Winograd and the kernels for few channels take what they can do faster.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import get_num_threads, prange

from kernels.cpu.convolution.layout import aligned, bordered, pack, to_planes
from kernels.cpu.convolution.plan import TILE_ROWS, Padding, Pair, Plan, forward_axis, plan
from kernels.cpu.jit import Array, as_input, kernel, parallel_kernel
from kernels.cpu.simd import add_row, outer_fma_at, places, places_like, store_rows_at, zeros


@kernel
def _pixels(
    tile: Any,
    windowed: Array,
    origin: int,
    windows: Array,
    taps: Array,
    panel: Array,
    at: int,
    width: int,
    bias: Array,
    b0: int,
    targets: Array,
    first: int,
    out: Array,
) -> None:
    """out[targets[p]] = bias + the sum over taps of x[windows[p] + tap] * weight[tap], for a tile of pixels p."""
    here = places_like(windows, first, tile)
    tile = add_row(tile, bias, b0)
    for tap in taps:
        tile = outer_fma_at(tile, windowed, here, origin + tap, panel, at)
        at += width
    store_rows_at(out, places_like(targets, first, tile), tile)


@kernel
def _band(
    start: Any,
    rows: int,
    item: int,
    source: Array,
    packed: Array,
    bias: Array,
    tables: tuple[Array, Array, Array, Array],
    area: tuple[int, int, int, int, int, int, int, int],
    windowed: Array,
    image: Array,
    worker: int,
    pixels: Array,
    out: Array,
) -> None:
    """Piece of work number `item`: one band of rows of one image and group; `area` is explained at `Plan`."""
    windows, targets, taps, phases = tables
    first_row, column, rows_in, columns_in, row_step, height, stride, copied = area
    groups, panels, all_taps, width = packed.shape
    _, planes, source_height, source_width = source.shape
    _, filters, out_height, out_width = out.shape
    channels, filters = planes // groups, filters // groups
    bands = (out_height + height - 1) // height
    n, group, band = item // (groups * bands), item // bands % groups, item % bands
    row = first_row + band * row_step
    out_row = band * height
    out_rows = min(height, out_height - out_row)
    if copied:
        bordered(source, n, group * channels, channels, row, column, rows_in, columns_in, image)
        origin = worker * windowed.shape[1]
    else:
        origin = n * windowed.shape[1] + (group * channels * source_height + row) * source_width + column
    for panel in range(panels):
        block = group * panels + panel
        for phase in range(len(phases)):
            phase_row, phase_width, first, tap, last_tap = places(phases, phase * 5, 5)
            count = (out_rows - phase_row + stride - 1) // stride * phase_width
            for p in range(0, count, rows):
                _pixels(
                    start,
                    windowed,
                    origin,
                    windows,
                    taps[tap:last_tap],
                    packed,
                    (block * all_taps + tap) * width,
                    width,
                    bias,
                    block * width,
                    targets,
                    first + max(0, min(p, count - rows)),
                    pixels,
                )
        o = group * filters + panel * width
        to_planes(
            pixels,
            out_rows * out_width,
            width,
            filters - panel * width,
            out,
            ((n * groups * filters + o) * out_height + out_row) * out_width,
            out_height * out_width,
        )


@cache
def _compiled(cols: int) -> Callable[..., None]:
    """The convolution with tiles `cols` vectors wide."""
    rows = TILE_ROWS[cols]

    @parallel_kernel
    def convolve(
        source: Array,
        packed: Array,
        bias: Array,
        tables: Any,
        area: Any,
        windowed: Array,
        images: Array,
        pixels: Array,
        out: Array,
    ) -> None:
        workers = len(pixels)
        items = source.shape[0] * packed.shape[0] * ((out.shape[2] + area[5] - 1) // area[5])
        for worker in prange(workers):
            for item in range(np.int64(worker), items, workers):
                _band(
                    zeros(source, rows, cols),
                    rows,
                    item,
                    source,
                    packed,
                    bias,
                    tables,
                    area,
                    windowed,
                    images[worker],
                    np.int64(worker),
                    pixels[worker],
                    out,
                )

    return convolve


def convolve(source: Array, weight: Array, bias: Array | None, plan: Plan, groups: int, out: Array) -> None:
    """Fills out with the convolution that the plan describes; source and weight come from `as_input`."""
    if not out.size:
        return
    per_group = out.shape[1] // groups
    panels = -(-per_group // plan.width)
    packed = aligned((groups, panels, len(plan.taps), plan.width), out.dtype)
    pack(weight.reshape(-1), plan.sources, plan.offsets, per_group, packed)
    biases = np.zeros((groups, panels * plan.width), out.dtype)
    if bias is not None:
        biases[:, :per_group] = bias.reshape(groups, per_group)
    workers = get_num_threads()
    pixels = aligned((workers, plan.pixels), out.dtype)
    images = np.zeros((workers, plan.image_size), out.dtype)
    windowed = as_input(images) if plan.image_size else source.reshape(len(source), -1)
    tables = (plan.windows, plan.targets, plan.taps, plan.phases)
    _compiled(plan.cols)(source, packed, biases, tables, plan.area, windowed, images, pixels, out)


def forward(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Array:
    """The convolution y (N, O, H_out, W_out) plus bias (O,)."""
    x, weight = as_input(x), as_input(weight)
    sizes = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    down, across = (forward_axis(*axis) for axis in sizes)
    filters, channels = weight.shape[:2]
    found = plan(x.itemsize, len(x), channels, filters // groups, groups, (down, across), forward=True)
    y = np.empty((len(x), filters, down.outputs, across.outputs), x.dtype)
    convolve(x, weight, bias, found, groups, y)
    return y
