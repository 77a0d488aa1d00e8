"""Single pixels read from images, or added up in them: what the nearest mode does, and every tap of bicubic curves.

Nothing is computed here but places. A pixel is 4 bytes to read, 4 to write and an index that all channels share, so the
loops over a block of points are plain ones, and the index stays in the L1 cache from channel to channel.

    index     12  13  -1  40 ...       -1: outside, nothing there
    channel 0  .   .   0   .           read:  y[c, i] = x[c, index[i]]
    channel 1  .   .   0   .           add:   x[c, index[i]] += y[c, i]
"""

import numpy as np

from kernels.cpu.bilinear.places import BLOCK, find_nearest
from kernels.cpu.jit import Array, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import element

TOGETHER = 4  # channels whose gradients one thread adds up at a time: the places are found anew for each such group


@kernel
def _read(x: Array, index: Array, y: Array) -> None:
    """y[i] = x[index[i]], or 0 where the index is negative."""
    zero = x.dtype.type(0)
    for i in range(len(y)):
        pixel = element(index, i)
        y[i] = element(x, pixel) if pixel >= 0 else zero


@kernel
def _add(y: Array, index: Array, x: Array) -> None:
    """x[index[i]] += y[i], unless the index is negative."""
    for i in range(len(y)):
        pixel = element(index, i)
        if pixel >= 0:
            x[np.uint64(pixel)] += y[i]


@kernel
def nearest_forward(
    x: Array, grid: Array, height: int, width: int, padding_mode: int, align_corners: bool, indices: Array, y: Array
) -> None:
    """Fills y (N, C, points) from x (N, C, H W); `indices` (workers, BLOCK) is scratch."""
    blocks = (y.shape[2] + BLOCK - 1) // BLOCK
    arguments = x, grid, height, width, padding_mode, align_corners, indices, y
    parallel(_nearest_block, len(indices), len(y) * blocks, arguments)


@kernel
def _nearest_block(
    worker: int, item: int, x: Array, grid: Array, height: int, width: int, padding_mode: int, align_corners: bool,
    indices: Array, y: Array,
) -> None:  # fmt: skip
    """One block of the points of one image."""
    channels, points = y.shape[1:]
    blocks = (points + BLOCK - 1) // BLOCK
    index = indices[worker]
    n, start = item // blocks, item % blocks * BLOCK
    count = min(BLOCK, points - start)
    find_nearest(grid, 2 * (n * points + start), count, height, width, padding_mode, align_corners, index)
    for c in range(channels):
        _read(x[n, c], index, y[n, c, start : start + count])


@kernel
def nearest_backward(
    dy: Array, grid: Array, height: int, width: int, padding_mode: int, align_corners: bool, indices: Array, dx: Array
) -> None:
    """Fills dx (N, C, H W); `indices` (workers, BLOCK) is scratch."""
    groups = (dy.shape[1] + TOGETHER - 1) // TOGETHER
    arguments = dy, grid, height, width, padding_mode, align_corners, indices, dx
    parallel(_nearest_channels, len(indices), len(dy) * groups, arguments)


@kernel
def _nearest_channels(
    worker: int, item: int, dy: Array, grid: Array, height: int, width: int, padding_mode: int, align_corners: bool,
    indices: Array, dx: Array,
) -> None:  # fmt: skip
    """A few channels of one image."""
    channels, points = dy.shape[1:]
    groups = (channels + TOGETHER - 1) // TOGETHER
    index = indices[worker]
    n, first = item // groups, item % groups * TOGETHER
    last = min(channels, first + TOGETHER)
    dx[n, first:last] = 0
    for start in range(0, points, BLOCK):
        count = min(BLOCK, points - start)
        find_nearest(grid, 2 * (n * points + start), count, height, width, padding_mode, align_corners, index)
        for c in range(first, last):
            _add(dy[n, c, start : start + count], index, dx[n, c])


@kernel
def read(x: Array, index: Array, workers: int, y: Array) -> None:
    """y[n, c, i] = x[n, c, index[n, i]], or 0 where the index is negative."""
    parallel(_read_channel, workers, len(x) * x.shape[1], (x, index, y))


@kernel
def _read_channel(worker: int, item: int, x: Array, index: Array, y: Array) -> None:
    n, c = item // x.shape[1], item % x.shape[1]
    _read(x[n, c], index[n], y[n, c])


@kernel
def add(y: Array, index: Array, workers: int, x: Array) -> None:
    """x[n, c, index[n, i]] += y[n, c, i] from zeros on."""
    parallel(_add_channel, workers, len(x) * x.shape[1], (y, index, x))


@kernel
def _add_channel(worker: int, item: int, y: Array, index: Array, x: Array) -> None:
    n, c = item // x.shape[1], item % x.shape[1]
    x[n, c] = 0
    _add(y[n, c], index[n], x[n, c])
