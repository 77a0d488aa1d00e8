"""Average pooling compiled by Numba, and its gradient.

What has to be done, in float32 with windows of 2 x 2 side by side: 16 bytes are read for each output and 4 written, and
the gradient moves as much the other way. Each output needs K * K - 1 additions and a division. So the memory is the
limit for large arrays, as soon as the additions are done by vectors.

The idea: a sum over a rectangle is a sum along a line of sums down its columns, so 3 x 3 windows take 4 additions
instead of 8, and the first of the two has its lanes side by side whatever the windows are. The gradient is the same
upside down: shares are spread along lines, and each row adds up the lines of the windows that hold it, so that it is
written once and never read.

    forward   x x x x x x                          backward
              x x x x x x  --->  s s s s s s .  --->  m  m  m      g  g  g  --->  e e e e e e  --->  rows: sums of e
              down the columns   into a padded line    along it    shares         along the line     down the columns

Few wide windows (adaptive ones) are summed one by one, each by all lanes; a window that is all of a plane needs no
lines at all.

What it reaches (Xeon with AVX-512, float32, 1 thread, time relative to PyTorch 2.13):

    windows of             64 x 16 x 28^2       32 x 64 x 32^2       8 x 128 x 56^2
    2 x 2, stride 2        0.29, back 0.46      0.24, back 0.32      0.23, back 0.25
    3 x 3, stride 2        0.27, back 0.37      0.19, back 0.28      0.21, back 0.24
    3 x 3, stride 1        0.13, back 0.15      0.13, back 0.14      0.19, back 0.16
    adaptive, 7 x 7        0.44, back 1.17      0.40, back 0.74      0.54, back 1.00

Limits: distances of 3 and more are loaded, and spread, number by number.
"""

from collections.abc import Sequence

import numpy as np

from kernels.cpu.jit import Array, as_input, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.pooling.windows import (
    STRIP,
    as_planes,
    every,
    fill,
    integers_beside,
    planar,
    put,
    reach,
    regular,
    strips,
    transposed,
    whole_vectors,
)
from kernels.cpu.simd import alternate, lanes, load, load_first, splat, store, total
from kernels.cpu.team import get_num_threads, single_threaded_when_small
from kernels.reference.pooling import Windows

TOGETHER = 16  # planes that a thread takes at a time where each is one window


@kernel
def _sum_of_lines(
    source: Array, at: int, pitch: int, count: int, width: int, readable: int, out: Array, to: int
) -> None:
    """out[to : to + width] = the sum of `count` lines, the first at `at`; of each line, `readable` elements exist."""
    n = lanes(source)
    for i in range(0, width, n):
        v = splat(source, 0.0)
        if i + n <= readable:
            for line in range(count):
                v += load(source, at + line * pitch + i)
        else:
            for line in range(count):
                v += load_first(source, at + line * pitch + i, readable - i)
        put(out, to + i, v, width - i)


@kernel
def _window_sum(line: Array, start: int, count: int) -> float:
    """The sum of adjacent elements, by two independent sums: an addition need not wait for the one before."""
    n = lanes(line)
    v, w = splat(line, 0.0), splat(line, 0.0)
    whole, pairs = count // n * n, count // (2 * n) * (2 * n)
    for i in range(0, pairs, 2 * n):
        v += load(line, start + i)
        w += load(line, start + i + n)
    if pairs < whole:
        w += load(line, start + pairs)
    if whole < count:
        v += load_first(line, start + whole, count - whole)
    return total(v + w)


@kernel
def _forward(
    x: Array, row_starts: Array, row_ends: Array, starts: Array, ends: Array, divisor: Array, like: Array,
    workers: int, out: Array,
) -> None:  # fmt: skip
    """Fills `out` (planes, down, across) from x (planes, height, width) and divisor (down, across)."""
    planes, _, width = x.shape
    down, across = len(row_starts), len(starts)
    first, stride, taps = regular(starts, ends, 1, width)
    # Few wide windows are better summed one after the other, each by all lanes.
    by_lanes = taps * whole_vectors(x, across) <= 4 * across * whole_vectors(x, taps)
    if taps == 0 or not by_lanes:
        first, stride, taps = 0, 1, 0
    margin = max(0, -first)
    pitch = whole_vectors(x, margin + max(width, first + whole_vectors(x, across) * stride + taps))
    strip = min(down, max(1, STRIP // pitch))
    lines = np.zeros((workers, strip * pitch), x.dtype)
    pattern = first, stride, taps
    arguments = x, row_starts, row_ends, starts, ends, divisor, like, pattern, margin, pitch, strip, lines, out
    parallel(_strip_means, workers, planes * ((down + strip - 1) // strip), arguments)


@kernel
def _strip_means(
    worker: int, item: int, x: Array, row_starts: Array, row_ends: Array, starts: Array, ends: Array, divisor: Array,
    like: Array, pattern: tuple[int, int, int], margin: int, pitch: int, strip: int, lines: Array, out: Array,
) -> None:  # fmt: skip
    """The windows of one strip of rows of one plane."""
    height, width = x.shape[1:]
    down, across = len(row_starts), len(starts)
    first, stride, taps = pattern
    padded = lines[worker]
    per_plane = (down + strip - 1) // strip
    plane, top = item // per_plane, item % per_plane * strip
    bottom = min(top + strip, down)
    for row in range(top, bottom):
        at = (plane * height + row_starts[row]) * width
        line = (row - top) * pitch + margin
        _sum_of_lines(x, at, width, row_ends[row] - row_starts[row], width, width, padded, line)
    for row in range(top, bottom):
        line = (row - top) * pitch + margin
        to = (plane * down + row) * across
        if taps == 0:
            for i in range(across):
                out[plane, row, i] = _window_sum(padded, line + starts[i], ends[i] - starts[i]) / divisor[row, i]
            continue
        for i in range(0, across, lanes(x)):
            v = splat(x, 0.0)
            for tap in range(taps):
                v += every(padded, line + first + i * stride + tap, stride, like)
            put(out, to + i, v / load_first(divisor, row * across + i, across - i), across - i)


@kernel
def _backward(
    dy: Array, row_starts: Array, row_ends: Array, starts: Array, ends: Array, divisor: Array, workers: int, dx: Array
) -> None:
    """Fills dx (planes, height, width) from dy (planes, down, across) and divisor (down, across)."""
    planes, height, width = dx.shape
    across = len(starts)
    first, stride, taps = regular(starts, ends, 1, width)
    by_lanes = 0 < taps <= lanes(dy) and stride <= 2
    if not by_lanes:
        first, stride, taps = 0, 1, 1
    behind = (taps - 1) // stride
    columns = whole_vectors(dy, max(across, (width - first + stride - 1) // stride))
    margin = max(0, -first)
    pitch = margin + max(width, first + columns * stride)
    row_windows, windows = transposed(row_starts, row_ends, height), transposed(starts, ends, width)
    strip, rows = strips(row_windows[0], row_windows[1], max(1, STRIP // pitch))
    lines = np.zeros((workers, rows * pitch), dy.dtype)
    shares = np.zeros((workers, behind + columns), dy.dtype)
    pattern = first, stride, taps
    arguments = (
        dy, row_windows, windows, divisor, by_lanes, pattern, margin, pitch, columns, strip, lines, shares, dx
    )  # fmt: skip
    parallel(_strip_shares, workers, planes * ((height + strip - 1) // strip), arguments)


@kernel
def _strip_shares(
    worker: int, item: int, dy: Array, row_windows: tuple[Array, Array], windows: tuple[Array, Array], divisor: Array,
    by_lanes: bool, pattern: tuple[int, int, int], margin: int, pitch: int, columns: int, strip: int,
    lines: Array, shares: Array, dx: Array,
) -> None:  # fmt: skip
    """The gradient of one strip of rows of one plane."""
    height, width = dx.shape[1:]
    down, across = dy.shape[1:]
    first, stride, taps = pattern
    behind = (taps - 1) // stride
    row_lows, row_highs = row_windows
    lows, highs = windows
    spread, share = lines[worker], shares[worker]
    per_plane = (height + strip - 1) // strip
    plane, top = item // per_plane, item % per_plane * strip
    bottom = min(top + strip, height)
    start, end = reach(row_lows, row_highs, top, bottom)
    for row in range(start, end):
        at, line = (plane * down + row) * across, (row - start) * pitch + margin
        for i in range(0, across, lanes(dy)):
            count = across - i
            v = load_first(dy, at + i, count) / load_first(divisor, row * across + i, count)
            put(share, behind + i, v, count)
        if by_lanes:
            _spread(share, behind, columns, stride, taps, spread, line + first)
        else:
            for i in range(width):
                v = dy.dtype.type(0)
                for window in range(lows[i], highs[i]):
                    v += share[window]
                spread[line + i] = v
    for row in range(top, bottom):
        line = (row_lows[row] - start) * pitch + margin
        to = (plane * height + row) * width
        _sum_of_lines(spread, line, pitch, row_highs[row] - row_lows[row], width, pitch, dx, to)


@kernel
def _spread(share: Array, at: int, columns: int, stride: int, taps: int, out: Array, to: int) -> None:
    """Adds each share to the `taps` places of its window, for windows at a distance of 1 or 2.

    Seen from the places, the other way round: a place has the sum of the shares of all windows that hold it. With
    stride 2, even places lie in windows of their own number and before it, and odd places likewise:

        place  0  1  2  3  4        taps 0 and 2 of 3: place 2m = share[m] + share[m - 1]
        window [0    0]             tap 1:         place 2m + 1 = share[m]
                     [1    1]
    """
    n = lanes(share)
    for m in range(0, columns, n):
        even, odd = splat(share, 0.0), splat(share, 0.0)
        if stride == 1:
            for tap in range(taps):
                even += load(share, at + m - tap)
            store(out, to + m, even)
        else:
            for tap in range(0, taps, 2):
                even += load(share, at + m - tap // 2)
            for tap in range(1, taps, 2):
                odd += load(share, at + m - tap // 2)
            store(out, to + 2 * m, alternate(even, odd))


@kernel
def _plane_means(x: Array, divisor: float, workers: int, out: Array) -> None:
    """Fills `out` (planes,) from x (planes, places): one window holds all of a plane."""
    parallel(_plane_mean, workers, (len(x) + TOGETHER - 1) // TOGETHER, (x, divisor, out))


@kernel
def _plane_mean(worker: int, item: int, x: Array, divisor: float, out: Array) -> None:
    planes, places = x.shape
    for plane in range(item * TOGETHER, min(planes, (item + 1) * TOGETHER)):
        out[plane] = _window_sum(x, plane * places, places) / divisor


@kernel
def _spread_over_planes(dy: Array, divisor: float, workers: int, dx: Array) -> None:
    """Fills dx (planes, places) from dy (planes,): the adjoint of `_plane_means`."""
    parallel(_spread_over_plane, workers, (len(dx) + TOGETHER - 1) // TOGETHER, (dy, divisor, dx))


@kernel
def _spread_over_plane(worker: int, item: int, dy: Array, divisor: float, dx: Array) -> None:
    planes, places = dx.shape
    for plane in range(item * TOGETHER, min(planes, (item + 1) * TOGETHER)):
        fill(dx, plane * places, places, dy[plane] / divisor)


@single_threaded_when_small
def forward(x: Array, windows: Sequence[Windows], divisor: Array) -> Array:
    """As `kernels.reference.pooling.means`, for windows without gaps and in order."""
    dims = len(windows)
    rows, along = planar(windows)
    out = np.empty((*x.shape[: x.ndim - dims], *[len(w.starts) for w in windows]), x.dtype)
    if _global(x.shape[x.ndim - dims :], windows):
        planes = as_input(x.reshape(out.size, -1))
        _plane_means(planes, x.dtype.type(divisor.flat[0]), get_num_threads(), out.reshape(-1))
    elif out.size:
        shares = _full(divisor, rows, along, x)
        _forward(
            as_input(as_planes(x, dims)), as_input(rows.starts), as_input(rows.ends), as_input(along.starts),
            as_input(along.ends), as_input(shares), as_input(integers_beside(x)), get_num_threads(),
            as_planes(out, dims),
        )  # fmt: skip
    return out


def backward(dy: Array, sizes: Sequence[int], windows: Sequence[Windows], divisor: Array) -> Array:
    """As `kernels.reference.pooling.spread`, for windows without gaps and in order."""
    dx = np.empty((*dy.shape[: dy.ndim - len(windows)], *sizes), dy.dtype)
    _fill(dx, dy, windows, divisor)
    return dx


@single_threaded_when_small
def _fill(dx: Array, dy: Array, windows: Sequence[Windows], divisor: Array) -> None:
    dims = len(windows)
    if _global(dx.shape[dx.ndim - dims :], windows):
        planes = dx.reshape(dy.size, -1)
        _spread_over_planes(as_input(dy.reshape(-1)), dy.dtype.type(divisor.flat[0]), get_num_threads(), planes)
        return
    rows, along = planar(windows)
    shares = _full(divisor, rows, along, dy)
    _backward(
        as_input(as_planes(dy, dims)), as_input(rows.starts), as_input(rows.ends), as_input(along.starts),
        as_input(along.ends), as_input(shares), get_num_threads(), as_planes(dx, dims),
    )  # fmt: skip


def _global(sizes: Sequence[int], windows: Sequence[Windows]) -> bool:
    """Whether there is one window, which holds everything."""
    return all(
        len(along.starts) == 1 and along.starts[0] == 0 and along.ends[0] == size
        for size, along in zip(sizes, windows, strict=True)
    )


def _full(divisor: Array, rows: Windows, along: Windows, like: Array) -> Array:
    """One divisor for each window, (down, across)."""
    return np.ascontiguousarray(np.broadcast_to(divisor, (len(rows.starts), len(along.starts))), like.dtype)
