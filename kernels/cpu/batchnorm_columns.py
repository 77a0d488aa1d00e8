"""Batch normalisation where neighbours in memory belong to different channels: (N, C), or tiny images.

x is a matrix, and each group of `width` adjacent columns is one channel: width is 1 for (N, C), and 4 for the
(N, C * 4) matrix that a batch of 2 x 2 images is in memory. The matrix is cut into tiles. Tiles are independent,
so each is one piece of work for a thread; it leaves its column sums in a row of a small table, which
is added up from top to bottom afterwards.

The second pass goes through the tiles backwards: what a thread read last is still in its L2 cache.

    first pass      tile 0 -> 1 -> 2 -> 3 -> 4
    second pass     tile 0 <- 1 <- 2 <- 3 <- 4        3 and 4 come from the L2 cache, the others from farther away

`kernels.cpu.batchnorm` explains why the code looks as it does.
"""

import numpy as np

from kernels.cpu.jit import Array, kernel
from kernels.cpu.parallel import parallel

# The size of a tile is fixed, and does not follow the number of threads: which numbers are added in which order, and
# so every bit of the result, depends on the shape alone.
PANEL = 512  # columns in a tile: its running sums (4 KB in float32) stay in the L1 cache
ELEMENTS = 1 << 16  # elements in a tile: enough work to be worth a thread's attention
RUN = 64  # rows added up in the array's own precision before float64 takes over

# Row and column numbers inside a tile are unsigned. A signed index may be negative, which in Python counts from the
# end; Numba would test for that at every access, and the test keeps LLVM from using vector instructions. Signed and
# unsigned together would become float64, so the constants that are added to an index are unsigned too.
ZERO, ONE, TWO, THREE, FOUR, RUN_ROWS = (np.uint64(i) for i in (0, 1, 2, 3, 4, RUN))


@kernel
def _tiling(rows: int, cols: int) -> tuple[int, int, int]:
    """Rows of a tile, tiles from top to bottom, tiles from left to right."""
    height = max(1, ELEMENTS // min(cols, PANEL) // RUN) * RUN
    return height, (rows + height - 1) // height, (cols + PANEL - 1) // PANEL


@kernel
def _tiles(x: Array) -> int:
    """How many tiles the matrix has."""
    _, down, across = _tiling(x.shape[0], x.shape[1])
    return down * across


@kernel
def _bounds(tile: int, rows: int, cols: int) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64, np.uint64]:
    """Which row of tiles this one is in; its first row and the one after its last; the same for its columns."""
    height, _, across = _tiling(rows, cols)
    block = tile // across
    top = block * height
    left = tile % across * PANEL
    bottom, right = min(top + height, rows), min(left + PANEL, cols)
    return np.uint64(block), np.uint64(top), np.uint64(bottom), np.uint64(left), np.uint64(right)


@kernel
def _tile_moments(worker: int, tile: int, x: Array, means: Array, squares: Array) -> None:
    """The mean of each column of a tile, and the sum of squared distances from it.

    Each run of rows is measured from a point inside its own data, the mean of four of its rows. That makes one
    pass sound: subtracting the part of q that is due to the shift loses a factor of 1 + 64/4 at the very worst.
    Runs are merged in float64 by the rule of Chan, Golub and LeVeque, "Updating Formulae and a Pairwise
    Algorithm for Computing Sample Variances", 1979.
    """
    block, top, bottom, left, right = _bounds(tile, x.shape[0], x.shape[1])
    shift = np.empty(right - left, x.dtype)
    s = np.empty(right - left, x.dtype)
    q = np.empty(right - left, x.dtype)
    quarter = x.dtype.type(0.25)
    for i in range(left, right):
        means[block, i] = 0.0
        squares[block, i] = 0.0
    for first in range(top, bottom, RUN_ROWS):
        last = min(first + RUN_ROWS, bottom)
        last_four = last - (last - first) % FOUR
        # In a run of fewer than four rows, the first one is the point to measure from.
        step = ONE if last_four > first else ZERO
        for i in range(left, right):
            x0, x1 = x[first, i], x[first + step, i]
            x2, x3 = x[first + TWO * step, i], x[first + THREE * step, i]
            shift[i - left] = ((x0 + x1) + (x2 + x3)) * quarter
            s[i - left] = 0
            q[i - left] = 0
        for n in range(first, last_four, FOUR):
            for i in range(left, right):
                p = shift[i - left]
                d0, d1, d2, d3 = x[n, i] - p, x[n + ONE, i] - p, x[n + TWO, i] - p, x[n + THREE, i] - p
                s[i - left] += (d0 + d1) + (d2 + d3)
                q[i - left] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)
        for n in range(last_four, last):
            for i in range(left, right):
                d0 = x[n, i] - shift[i - left]
                s[i - left] += d0
                q[i - left] += d0 * d0
        count = float(last - first)
        before = float(first - top)
        share = count / (before + count)
        for i in range(left, right):
            total = float(s[i - left])
            from_shift = total / count
            gap = float(shift[i - left]) + from_shift - means[block, i]
            means[block, i] += gap * share
            squares[block, i] += float(q[i - left]) - from_shift * total + gap * gap * before * share


@kernel
def _tile_sums(worker: int, tile: int, dy: Array, x: Array, center: Array, sum_dy: Array, sum_dy_xc: Array) -> None:
    """The sums of dy and of dy * (x - center) in each column of a tile."""
    block, top, bottom, left, right = _bounds(tile, x.shape[0], x.shape[1])
    s = np.empty(right - left, x.dtype)
    q = np.empty(right - left, x.dtype)
    for i in range(left, right):
        sum_dy[block, i] = 0.0
        sum_dy_xc[block, i] = 0.0
    for first in range(top, bottom, RUN_ROWS):
        last = min(first + RUN_ROWS, bottom)
        last_four = last - (last - first) % FOUR
        for i in range(left, right):
            s[i - left] = 0
            q[i - left] = 0
        for n in range(first, last_four, FOUR):
            for i in range(left, right):
                m = center[i]
                g0, g1, g2, g3 = dy[n, i], dy[n + ONE, i], dy[n + TWO, i], dy[n + THREE, i]
                d0, d1, d2, d3 = x[n, i] - m, x[n + ONE, i] - m, x[n + TWO, i] - m, x[n + THREE, i] - m
                s[i - left] += (g0 + g1) + (g2 + g3)
                q[i - left] += (g0 * d0 + g1 * d1) + (g2 * d2 + g3 * d3)
        for n in range(last_four, last):
            for i in range(left, right):
                s[i - left] += dy[n, i]
                q[i - left] += dy[n, i] * (x[n, i] - center[i])
        for i in range(left, right):
            sum_dy[block, i] += s[i - left]
            sum_dy_xc[block, i] += q[i - left]


@kernel
def _tile_affine(worker: int, item: int, x: Array, center: Array, scale: Array, offset: Array, y: Array) -> None:
    """y = (x - center) * scale + offset, the last tile first.

    With the center multiplied out into the offset there would be one operation less and no result: far from zero,
    two large products would cancel.
    """
    _, top, bottom, left, right = _bounds(_tiles(x) - 1 - item, x.shape[0], x.shape[1])
    for n in range(top, bottom):
        for i in range(left, right):
            y[n, i] = (x[n, i] - center[i]) * scale[i] + offset[i]


@kernel
def _tile_dx(
    worker: int, item: int, dy: Array, x: Array, center: Array, a: Array, b: Array, c: Array, dx: Array
) -> None:
    """dx = a * dy + (b * (x - center) + c), the last tile first."""
    _, top, bottom, left, right = _bounds(_tiles(x) - 1 - item, x.shape[0], x.shape[1])
    for n in range(top, bottom):
        for i in range(left, right):
            dx[n, i] = a[i] * dy[n, i] + (b[i] * (x[n, i] - center[i]) + c[i])


@kernel
def _merge(means: Array, squares: Array, rows: int, left: int, right: int) -> tuple[float, float]:
    """Mean and biased variance of the columns left to right - 1 together, from the moments of their tiles."""
    height = _tiling(rows, means.shape[1])[0]
    values = rows * (right - left)
    mean = 0.0
    for block in range(len(means)):
        count = min(height, rows - block * height)
        for i in range(left, right):
            mean += means[block, i] * count
    mean /= values
    square = 0.0
    for block in range(len(means)):
        count = min(height, rows - block * height)
        for i in range(left, right):
            gap = means[block, i] - mean
            square += squares[block, i] + gap * gap * count
    # Rounding can leave a channel of equal values a hair below zero. (Not `max`, which would swallow a NaN.)
    return mean, 0.0 if square < 0.0 else square / values


@kernel
def forward_columns(
    x: Array,
    weight: Array,
    bias: Array,
    eps: float,
    width: int,
    workers: int,
    y: Array,
    mean: Array,
    inv_std: Array,
) -> None:
    """Fills y (rows, C * width), mean (C,) and inv_std (C,)."""
    rows, cols = x.shape
    _, down, across = _tiling(rows, cols)
    means = np.empty((down, cols))
    squares = np.empty((down, cols))
    parallel(_tile_moments, workers, down * across, (x, means, squares))

    center = np.empty(cols, x.dtype)
    scale = np.empty(cols, x.dtype)
    offset = np.empty(cols, x.dtype)
    for channel in range(len(mean)):
        left, right = channel * width, (channel + 1) * width
        mu, var = _merge(means, squares, rows, left, right)
        inv = 1.0 / np.sqrt(var + eps)
        mean[channel] = mu
        inv_std[channel] = inv
        for i in range(left, right):
            center[i] = mu
            scale[i] = weight[channel] * inv
            # center is mu rounded to the dtype of x; what was cut off belongs in the offset
            offset[i] = bias[channel] - (mu - center[i]) * scale[i]

    parallel(_tile_affine, workers, down * across, (x, center, scale, offset, y))


@kernel
def eval_columns(
    x: Array,
    running_mean: Array,
    running_var: Array,
    weight: Array,
    bias: Array,
    eps: float,
    width: int,
    workers: int,
    y: Array,
) -> None:
    """Fills y (rows, C * width)."""
    cols = x.shape[1]
    center = np.empty(cols, x.dtype)
    scale = np.empty(cols, x.dtype)
    offset = np.empty(cols, x.dtype)
    for i in range(cols):
        channel = i // width
        center[i] = running_mean[channel]
        scale[i] = weight[channel] / np.sqrt(running_var[channel] + eps)
        offset[i] = bias[channel]
    parallel(_tile_affine, workers, _tiles(x), (x, center, scale, offset, y))


@kernel
def backward_columns(
    dy: Array,
    x: Array,
    weight: Array,
    mean: Array,
    inv_std: Array,
    width: int,
    workers: int,
    dx: Array,
    dweight: Array,
    dbias: Array,
) -> None:
    """Fills dx (rows, C * width), dweight (C,) and dbias (C,)."""
    rows, cols = x.shape
    _, down, across = _tiling(rows, cols)
    center = np.empty(cols, x.dtype)
    for i in range(cols):
        center[i] = mean[i // width]
    sum_dy = np.empty((down, cols))
    sum_dy_xc = np.empty((down, cols))
    parallel(_tile_sums, workers, down * across, (dy, x, center, sum_dy, sum_dy_xc))

    a = np.empty(cols, x.dtype)
    b = np.empty(cols, x.dtype)
    c = np.empty(cols, x.dtype)
    values = rows * width
    for channel in range(len(mean)):
        left, right = channel * width, (channel + 1) * width
        total, total_xc = 0.0, 0.0
        for block in range(down):
            for i in range(left, right):
                total += sum_dy[block, i]
                total_xc += sum_dy_xc[block, i]
        inv = float(inv_std[channel])
        dbias[channel] = total
        dweight[channel] = total_xc * inv
        # dx = weight inv (dy - mean(dy) - x_hat mean(dy x_hat)), sorted by dy, x - mean and 1
        scale = weight[channel] * inv
        for i in range(left, right):
            a[i] = scale
            b[i] = -scale * inv * inv * total_xc / values
            c[i] = -scale * total / values

    parallel(_tile_dx, workers, down * across, (dy, x, center, a, b, c, dx))
