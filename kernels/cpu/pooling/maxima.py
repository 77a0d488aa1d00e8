"""Max pooling compiled by Numba, with the indices of the maxima, and its gradient.

What has to be done, in float32 with windows of 2 x 2 side by side: the forward reads 16 bytes for each output and
writes 12 (4 with the value, 8 with the index, or 4 with an index of int32); the backward reads these 12 and writes
16. A comparison is one operation, and each output needs K * K - 1 of them. So the memory is the limit for large arrays,
as soon as the comparisons are done by vectors; done one by one, with a branch for each, they take ten times as long.

The idea: a maximum over a rectangle is the maximum over rows of the maxima along each row. The second is shared by all
windows that reach over the row, so 3 x 3 windows at distances of 1 take 4 comparisons instead of 8.

    strip of lines, padded    best, found: a number         values, indices
                              and its column for each line  and place of each window
      . x x x x x x .            b b b
      . x x x x x x .   --->     b b b   --->  where(better, row, best so far)  --->  v v v
      . x x x x x x .            b b b
         along a line              down the lines: lanes lie side by side in both

A value and its index change together, by one mask. A candidate is better if it is greater or nan: so of equal elements
the first stays, of nan the last. Windows at unequal distances (adaptive ones, mostly) are taken one by one along the
line, and by vectors down the lines.

Windows of 2 x 2 side by side, the most usual ones, share nothing and need no border. They have a kernel of their own:
the left and the right elements of 16 windows are every second number of two vectors, and nothing is stored but results.

The backward goes wherever the indices say: each thread fills a plane with zeros and adds to it while it is in the
cache. Asking every place which window took it, by vectors, was measured to be slower: it has to do more, and
both wait for memory.

What it reaches (Xeon with AVX-512, float32, 1 thread, time relative to PyTorch 2.13, int64 indices):

    windows of             64 x 16 x 28^2       32 x 64 x 32^2       8 x 128 x 56^2
    2 x 2, stride 2        0.06, back 0.71      0.05, back 0.44      0.05, back 0.56
    3 x 3, stride 2        0.18, back 0.80      0.18, back 0.72      0.17, back 0.66
    3 x 3, stride 1        0.10, back 0.83      0.12, back 0.58      0.11, back 0.69

Limits: planes are the smallest pieces of the backward that a thread takes, and distances of 3 and more are loaded
number by number.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kernels.cpu.jit import Array, as_input, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.pooling.windows import (
    STRIP,
    as_planes,
    copy,
    every,
    fill,
    integers_beside,
    planar,
    reach,
    regular,
    strips,
    whole_vectors,
)
from kernels.cpu.simd import (
    astype,
    element,
    evens,
    lanes,
    load,
    load_first,
    odds,
    ramp,
    splat,
    store,
    store_first,
    where,
)
from kernels.cpu.team import get_num_threads, single_threaded_when_small
from kernels.reference.pooling import Windows


@kernel
def _line_maxima(
    lines: Array, line: int, across: int, stride: int, taps: int, step: int, column: int, firsts: Array,
    best: Array, found: Array, out: int,
) -> None:  # fmt: skip
    """The maxima of the windows of one line, and their columns, from `out` on."""
    n = lanes(lines)
    for i in range(0, across, n):
        value = splat(lines, -np.inf)
        where_found = load(firsts, i)
        columns = (ramp(firsts) + i) * stride + column
        for tap in range(taps):
            candidate = every(lines, line + i * stride + tap * step, stride, firsts)
            better = (candidate > value) | (candidate != candidate)
            value = where(better, candidate, value)
            where_found = where(better, columns + tap * step, where_found)
        store(best, out + i, value)
        store(found, out + i, where_found)


@kernel
def _any_line_maxima(
    x: Array, line: int, starts: Array, ends: Array, step: int, best: Array, found: Array, out: int
) -> None:
    """The same for windows of any places and sizes, one after the other."""
    for i in range(len(starts)):
        place = starts[i]
        value = element(x, line + place)
        for column in range(starts[i] + step, ends[i], step):
            candidate = element(x, line + column)
            if candidate > value or candidate != candidate:
                value, place = candidate, column
        best[out + i] = value
        found[out + i] = place


@kernel
def _pair_maxima(
    x: Array, at: int, width: int, across: int, place: int, integers: Array, values: Array, indices: Array, out: int
) -> None:
    """One row of the result for windows of 2 x 2 side by side, the first of them at `at`: nothing is copied.

    Two vectors of a line hold the left and the right elements of a vector of windows.
    """
    n = lanes(x)
    for i in range(0, across, n):
        count = 2 * (across - i)
        upper, upper_next = load_first(x, at + 2 * i, count), load_first(x, at + 2 * i + n, count - n)
        lower = load_first(x, at + width + 2 * i, count)
        lower_next = load_first(x, at + width + 2 * i + n, count - n)
        first = (ramp(integers) + i) * 2 + place
        value, found = evens(upper, upper_next), first
        value, found = _better(value, found, odds(upper, upper_next), first + 1)
        value, found = _better(value, found, evens(lower, lower_next), first + width)
        value, found = _better(value, found, odds(lower, lower_next), first + (width + 1))
        store_first(values, out + i, value, across - i)
        store_first(indices, out + i, astype(found, indices), across - i)


@kernel
def _better(value: Any, found: Any, candidate: Any, place: Any) -> Any:
    better = (candidate > value) | (candidate != candidate)
    return where(better, candidate, value), where(better, place, found)


@kernel
def _plane_of_pairs(worker: int, plane: int, x: Array, integers: Array, values: Array, indices: Array) -> None:
    _, height, width = x.shape
    _, down, across = values.shape
    for row in range(down):
        at, out = (plane * height + 2 * row) * width, (plane * down + row) * across
        _pair_maxima(x, at, width, across, 2 * row * width, integers, values, indices, out)


@kernel
def _forward_pairs(x: Array, integers: Array, workers: int, values: Array, indices: Array) -> None:
    """The same as `_forward` for windows of 2 x 2 side by side."""
    parallel(_plane_of_pairs, workers, len(x), (x, integers, values, indices))


@kernel
def _forward(
    x: Array, row_starts: Array, row_ends: Array, row_step: int, starts: Array, ends: Array, step: int,
    integers: Array, workers: int, values: Array, indices: Array,
) -> None:  # fmt: skip
    """Fills values and indices (planes, down, across) from x (planes, height, width)."""
    planes, _, width = x.shape
    down, across = len(row_starts), len(starts)
    pattern = regular(starts, ends, step, width)
    first, stride, taps = pattern
    margin = max(0, -first)
    out_pitch = whole_vectors(x, across)
    pitch = whole_vectors(x, margin + max(width, first + out_pitch * stride + taps * step))
    strip, rows = strips(row_starts, row_ends, max(1, STRIP // pitch))
    lines = np.full((workers, rows * pitch), -np.inf, x.dtype)
    best = np.empty((workers, rows * out_pitch), x.dtype)
    found = np.empty((workers, rows * out_pitch), integers.dtype)
    firsts = np.zeros(out_pitch, integers.dtype)
    for i in range(across):
        firsts[i] = starts[i]
    arguments = (
        x, row_starts, row_ends, row_step, starts, ends, step, pattern, margin, pitch, out_pitch, strip,
        lines, best, found, firsts, values, indices,
    )  # fmt: skip
    parallel(_strip_maxima, workers, planes * ((down + strip - 1) // strip), arguments)


@kernel
def _strip_maxima(
    worker: int, item: int, x: Array, row_starts: Array, row_ends: Array, row_step: int, starts: Array, ends: Array,
    step: int, pattern: tuple[int, int, int], margin: int, pitch: int, out_pitch: int, strip: int,
    lines: Array, best: Array, found: Array, firsts: Array, values: Array, indices: Array,
) -> None:  # fmt: skip
    """The windows of one strip of rows of one plane."""
    height, width = x.shape[1:]
    down, across = len(row_starts), len(starts)
    first, stride, taps = pattern
    padded, row_best, row_found = lines[worker], best[worker], found[worker]
    per_plane = (down + strip - 1) // strip
    plane, top = item // per_plane, item % per_plane * strip
    bottom = min(top + strip, down)
    start, end = reach(row_starts, row_ends, top, bottom)
    for row in range(start, end):
        at, out = (plane * height + row) * width, (row - start) * out_pitch
        if taps > 0:
            copy(x, at, width, padded, (row - start) * pitch + margin)
        else:
            _any_line_maxima(x, at, starts, ends, step, row_best, row_found, out)
    if taps > 0:
        for row in range(end - start):
            line, out = row * pitch + margin + first, row * out_pitch
            _line_maxima(padded, line, across, stride, taps, step, first, firsts, row_best, row_found, out)
    for row in range(top, bottom):
        _row_maxima(
            row_best, row_found, out_pitch, row_starts[row] - start, row_ends[row] - start, row_step,
            start, width, across, values, indices, (plane * down + row) * across,
        )  # fmt: skip


@kernel
def _row_maxima(
    best: Array, found: Array, pitch: int, start: int, end: int, step: int, top: int, width: int, across: int,
    values: Array, indices: Array, out: int,
) -> None:  # fmt: skip
    """One row of the result from the maxima of the lines that its windows reach over."""
    n = lanes(best)
    for i in range(0, across, n):
        value = load(best, start * pitch + i)
        place = load(found, start * pitch + i) + (top + start) * width
        for row in range(start + step, end, step):
            candidate = load(best, row * pitch + i)
            better = (candidate > value) | (candidate != candidate)
            value = where(better, candidate, value)
            place = where(better, load(found, row * pitch + i) + (top + row) * width, place)
        if i + n <= across:
            store(values, out + i, value)
            store(indices, out + i, astype(place, indices))
        else:
            store_first(values, out + i, value, across - i)
            store_first(indices, out + i, astype(place, indices), across - i)


@kernel
def _scatter_add(values: Array, indices: Array, workers: int, out: Array) -> int:
    """Fills `out` (planes, places) with zeros and the values added at indices (planes, count); how many are outside."""
    outside = np.zeros(workers, np.int64)
    parallel(_scatter_add_plane, workers, len(out), (values, indices, outside, out))
    return outside.sum()


@kernel
def _scatter_add_plane(worker: int, plane: int, values: Array, indices: Array, outside: Array, out: Array) -> None:
    target, source, at = out[plane], values[plane], indices[plane]
    places = out.shape[1]
    missed = 0
    fill(out, plane * places, places, 0.0)
    for i in range(len(source)):
        place = np.uint64(at[i])
        if place < np.uint64(places):
            target[place] += source[i]
        else:
            missed += 1
    outside[worker] += missed


@kernel
def _gather(x: Array, indices: Array, workers: int, out: Array) -> int:
    """Fills `out` (planes, count) with the elements of x (planes, places) at indices; how many of these are outside."""
    outside = np.zeros(workers, np.int64)
    parallel(_gather_plane, workers, len(out), (x, indices, outside, out))
    return outside.sum()


@kernel
def _gather_plane(worker: int, plane: int, x: Array, indices: Array, outside: Array, out: Array) -> None:
    target, source, at = out[plane], x[plane], indices[plane]
    places = x.shape[1]
    missed = 0
    for i in range(len(target)):
        place = np.uint64(at[i])
        if place < np.uint64(places):
            target[i] = source[place]
        else:
            missed += 1
    outside[worker] += missed


@single_threaded_when_small
def forward(x: Array, windows: Sequence[Windows], index_dtype: Any) -> tuple[Array, Array]:
    """Values and indices; see `kernels.pooling.max_pool_forward`."""
    dims = len(windows)
    rows, along = planar(windows)
    shape = (*x.shape[: x.ndim - dims], *[len(w.starts) for w in windows])
    values, indices = np.empty(shape, x.dtype), np.empty(shape, index_dtype)
    if not values.size:
        return values, indices
    planes, integers = as_input(as_planes(x, dims)), as_input(integers_beside(x))
    out = get_num_threads(), as_planes(values, dims), as_planes(indices, dims)
    if _side_by_side_in_pairs(rows) and _side_by_side_in_pairs(along):
        _forward_pairs(planes, integers, *out)
    else:
        _forward(
            planes, as_input(rows.starts), as_input(rows.ends), rows.step,
            as_input(along.starts), as_input(along.ends), along.step, integers, *out,
        )  # fmt: skip
    return values, indices


def _side_by_side_in_pairs(windows: Windows) -> bool:
    """Whether the windows along an axis hold elements 0 and 1, 2 and 3, and so on."""
    pairs = np.arange(0, 2 * len(windows.starts), 2)
    return windows.step == 1 and np.array_equal(windows.starts, pairs) and np.array_equal(windows.ends, pairs + 2)


@single_threaded_when_small
def backward(dy: Array, indices: Array, sizes: Sequence[int]) -> tuple[Array, int]:
    """dx, and how many indices lie outside their planes; see `kernels.pooling.max_pool_backward`."""
    lead = dy.shape[: dy.ndim - len(sizes)]
    planes = math.prod(lead)
    dx = np.empty((*lead, *sizes), dy.dtype)
    dy_, indices_ = as_input(dy.reshape(planes, -1)), as_input(indices.reshape(planes, -1))
    return dx, _scatter_add(dy_, indices_, get_num_threads(), dx.reshape(planes, -1))


@single_threaded_when_small
def gather(x: Array, indices: Array, dims: int) -> tuple[Array, int]:
    planes = math.prod(x.shape[: x.ndim - dims])
    values = np.empty(indices.shape, x.dtype)
    x_, indices_ = as_input(x.reshape(planes, -1)), as_input(indices.reshape(planes, -1))
    return values, _gather(x_, indices_, get_num_threads(), values.reshape(planes, -1))
