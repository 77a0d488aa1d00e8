"""Which windows, taps and bands of rows a direct convolution has: tables, computed once for each shape.

Along one axis, a convolution and its gradient are the same thing, with other numbers:

    forward          output u = i            reads x at   i * stride + (t * dilation - before)    for every tap t
    backward, phase  output u = i * stride + f  reads dy at  i + (f + before - t * dilation) / stride
    f < stride                                                 for the taps t where that is a whole number

So both are made of *phases*: outputs `step` apart, whose windows advance by `advance` elements, with taps that lie at
fixed distances from there. A forward convolution has one phase, a backward one as many as the stride has elements.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from kernels.cpu.jit import Array
from kernels.cpu.simd import COLS, VECTOR_BYTES

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

# Rows of a tile for each number of vectors a row. With 16 registers only the last two occur, and 6 x 2 has to do.
TILE_ROWS = {4: 6, 2: 8 if COLS == 4 else 6, 1: 12}
TILES = 8  # share a block of weights, and with them their unfinished sums (12 KB) stay in the L1 cache


@dataclass(frozen=True)
class Axis:
    """One axis of a convolution: phases[f] has (tap, distance) for every tap of phase f."""

    inputs: int
    outputs: int
    taps: int
    step: int
    advance: int
    phases: tuple[tuple[Pair, ...], ...]

    @property
    def lowest(self) -> int:
        """The distance of the first tap of all."""
        return min(distance for taps in self.phases for _, distance in taps)

    @property
    def highest(self) -> int:
        """The distance of the last tap of all."""
        return max(distance for taps in self.phases for _, distance in taps)

    def reach(self, outputs: int) -> int:
        """How many inputs lie between the first and the last that the windows of `outputs` outputs need."""
        return (-(-outputs // self.step) - 1) * self.advance + self.highest - self.lowest + 1

    @property
    def inside(self) -> bool:
        """Whether no window reaches over the border."""
        return self.lowest >= 0 and self.lowest + self.reach(self.outputs) <= self.inputs


def forward_axis(inputs: int, taps: int, stride: int, padding: Pair, dilation: int) -> Axis:
    """The axis of a convolution."""
    outputs = (inputs + sum(padding) - dilation * (taps - 1) - 1) // stride + 1
    return Axis(inputs, outputs, taps, 1, stride, (tuple((t, t * dilation - padding[0]) for t in range(taps)),))


def backward_axis(inputs: int, outputs: int, taps: int, stride: int, padding: Pair, dilation: int) -> Axis:
    """The axis of the gradient with respect to the input, which has `outputs` elements; dy has `inputs`."""
    distances = [[(t, f + padding[0] - t * dilation) for t in range(taps)] for f in range(stride)]
    phases = tuple(tuple((t, e // stride) for t, e in phase if e % stride == 0) for phase in distances)
    return Axis(inputs, outputs, taps, stride, 1, phases)


@dataclass(frozen=True)
class Plan:
    """Everything a kernel has to know about a shape. Tables are int64.

    windows  (pixels,)       where the window of a pixel begins, phase by phase
    targets  (pixels,)       where its results go; then where those of TILES unfinished tiles wait; and for each row of
                             a tile the place of the bias, where sums begin
    taps     (taps,)         where a tap lies within the window, phase by phase
    sources  (taps,)         where its weight is, within the group
    offsets  (filters,)      and where that of the next filters is from there
    in_order                 whether both say no more than that the weights are (filters, taps)
    phases   (phases, 5)     first row, pixels a row, first pixel, first tap, end of the taps
    area     first row and column of the first band in the source, rows and columns of a band of the source, rows from
             one band to the next, rows of a band of the result, step between rows of a phase, whether to copy
    """

    windows: Array
    targets: Array
    taps: Array
    sources: Array
    offsets: Array
    in_order: bool
    phases: Array
    area: tuple[int, int, int, int, int, int, int, int]
    cols: int
    width: int
    height: int
    pixels: int
    image_size: int


def tile_cols(filters: int, lanes: int) -> int:
    """How many vectors wide a tile should be for so many filters: wide ones are faster, unless they stay empty."""
    vectors = -(-filters // lanes)
    cost = {1: 1.25, 2: 1.1, 4: 1.0}
    return min((cols for cols in cost if cols <= COLS), key=lambda cols: -(-vectors // cols) * cols * cost[cols])


def band_height(axes: Sequence[Axis], images: int) -> int:
    """How many rows of the result one piece of work makes: some 1,000 pixels, or fewer if the images are few."""
    down, across = axes
    least = -(-48 // across.outputs)
    most = max(least, 1024 // across.outputs)
    bands = -(-down.outputs // max(least, min(most, -(-down.outputs * images // 8))))
    height = -(-down.outputs // bands)
    return -(-height // down.step) * down.step


@lru_cache(maxsize=256)
def plan(
    itemsize: int, images: int, channels: int, filters: int, groups: int, axes: tuple[Axis, Axis], forward: bool
) -> Plan:
    """The tables of a convolution that has `channels` inputs and `filters` outputs in each group.

    `forward` says how the weights lie: (filters, channels, ...) or, for the gradient, (channels, filters, ...).
    """
    down, across = axes
    cols = tile_cols(filters, VECTOR_BYTES // itemsize)
    width = cols * VECTOR_BYTES // itemsize
    height = band_height(axes, images * groups)
    last = (down.outputs - 1) % height + 1
    fewest = (last // down.step) * (across.outputs // across.step)
    copied = not (down.inside and across.inside and fewest >= TILE_ROWS[cols])
    rows, columns = (down.reach(height), across.reach(across.outputs)) if copied else (down.inputs, across.inputs)

    kernel_size = down.taps * across.taps
    source_step, filter_step = (
        (kernel_size, channels * kernel_size) if forward else (filters * kernel_size, kernel_size)
    )
    c = np.arange(channels)[:, None, None]
    windows, targets, taps, sources, phases = [], [], [], [], []
    pixel = tap = 0
    for (f, taps_down), (g, taps_across) in product(enumerate(down.phases), enumerate(across.phases)):
        i = np.arange(-(-(height - f) // down.step))[:, None]
        j = np.arange(-(-(across.outputs - g) // across.step))
        windows.append(i * down.advance * columns + j * across.advance)
        targets.append(((i * down.step + f) * across.outputs + j * across.step + g) * width)
        t, t_distance = (np.array(taps_down, np.int64).reshape(-1, 2).T - [[0], [down.lowest]])[:, :, None]
        u, u_distance = np.array(taps_across, np.int64).reshape(-1, 2).T - [[0], [across.lowest]]
        taps.append((c * rows + t_distance) * columns + u_distance)
        sources.append(c * source_step + t * across.taps + u)
        phases.append((f, len(j), pixel, tap, tap + taps[-1].size))
        pixel, tap = pixel + windows[-1].size, tap + taps[-1].size
    # A phase of fewer pixels than a tile has rows computes further ones in vain: they need places, too.
    pixels = height * across.outputs
    windows.append(np.zeros(TILE_ROWS[cols], np.int64))
    targets.append(np.full(TILE_ROWS[cols], pixels * width))
    # to_planes transposes squares, and reaches so many rows beyond the last pixel.
    unfinished = pixels + VECTOR_BYTES // itemsize
    bias = unfinished + TILES * TILE_ROWS[cols]
    targets.append(np.arange(unfinished, bias) * width)
    targets.append(np.full(TILE_ROWS[cols], bias * width))
    area = (
        down.lowest,
        across.lowest,
        rows,
        columns,
        height // down.step * down.advance,
        height,
        down.step,
        int(copied),
    )
    return Plan(
        _table(windows),
        _table(targets),
        _table(taps),
        _table(sources),
        np.arange(-(-filters // width) * width) * filter_step,
        forward,
        np.array(phases, np.int64),
        area,
        cols,
        width,
        height,
        (bias + 1) * width,
        channels * rows * columns if copied else 0,
    )


def _table(parts: Sequence[Array]) -> Array:
    return np.concatenate([part.ravel() for part in parts])
