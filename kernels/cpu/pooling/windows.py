"""What maxima and means share: windows at equal distances, lines with room around them, strips of rows.

A plane is worked on in strips of rows, so that everything made of a strip stays in the L1 cache. Its lines are copied
to where there is room on both sides, filled with what changes nothing (-inf for maxima, 0 for sums), and so borders
need no code of their own. Lanes lie along the outputs: with a stride of 2, a vector of first elements of windows is
every second number of two vectors.

    line, padding 1       -inf  x0  x1  x2  x3  x4  x5 ...            windows of 3 at distances of 2
    first elements        -inf      x1      x3      x5                every(line, 0, 2)
    second elements             x0      x2      x4                    every(line, 1, 2)
    third elements                  x1      x3      x5                every(line, 2, 2)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from kernels.cpu.jit import Array, kernel
from kernels.cpu.simd import evens, gather, lanes, load, load_first, ramp, splat, store, store_first
from kernels.reference.pooling import Windows

STRIP = 4096  # elements of the padded lines of a strip: what is made of them stays in the L1 cache with them


@kernel
def regular(starts: Array, ends: Array, step: int, length: int) -> tuple[int, int, int]:
    """first, stride and taps, such that window i is what lies on the axis of first + i * stride + t * step, t < taps.

    `ends` and `starts` are clipped to the axis; `first` is not, and may be negative. There is no such pattern for most
    adaptive windows: then taps is 0.
    """
    count = len(starts)
    if count == 1:
        return starts[0], 1, (ends[0] - 1 - starts[0]) // step + 1
    # The distance is seen between two starts or two ends that were not clipped.
    for stride in (starts[count - 1] - starts[count - 2], ends[1] - ends[0]):
        first = starts[count - 1] - (count - 1) * stride
        taps = 0
        for i in range(count):
            taps = max(taps, (ends[i] - 1 - first - i * stride) // step + 1)
        fits = stride > 0
        for i in range(count):
            start = first + i * stride
            last = min(start + (taps - 1) * step, length - 1 - (length - 1 - start) % step)
            begins = starts[i] == (start if start >= 0 else start % step)
            fits &= begins and starts[i] + (ends[i] - 1 - starts[i]) // step * step == last
        if fits:
            return first, stride, taps
    return 0, 1, 0


@kernel
def reach(starts: Array, ends: Array, top: int, bottom: int) -> tuple[int, int]:
    """The first element of windows top to bottom - 1 and the end of their last."""
    start, end = starts[top], ends[top]
    for i in range(top + 1, bottom):
        start, end = min(start, starts[i]), max(end, ends[i])
    return start, end


@kernel
def transposed(starts: Array, ends: Array, length: int) -> tuple[Array, Array]:
    """Which windows hold each element of an axis: from which on, and before which; for windows in order."""
    lows, highs = np.empty(length, np.int64), np.empty(length, np.int64)
    low, high = 0, 0
    for i in range(length):
        while low < len(ends) and ends[low] <= i:
            low += 1
        while high < len(starts) and starts[high] <= i:
            high += 1
        lows[i], highs[i] = min(low, high), high
    return lows, highs


@kernel
def strips(starts: Array, ends: Array, most: int) -> tuple[int, int]:
    """How many windows make a strip of at most `most` rows, if possible, and how many rows strips have at most."""
    count = len(starts)
    while True:
        rows = 0
        for top in range(0, len(starts), count):
            start, end = reach(starts, ends, top, min(top + count, len(starts)))
            rows = max(rows, end - start)
        if rows <= most or count == 1:
            return count, rows
        count = (count + 1) // 2


@kernel
def whole_vectors(a: Array, count: int) -> int:
    """`count` rounded up to a multiple of the lanes of a vector of a's dtype."""
    return (count + lanes(a) - 1) // lanes(a) * lanes(a)


@kernel
def fill(a: Array, index: int, count: int, value: float) -> None:
    """a[index : index + count] = value."""
    n = lanes(a)
    v = splat(a, value)
    whole = count // n * n
    for i in range(0, whole, n):
        store(a, index + i, v)
    if whole < count:
        store_first(a, index + whole, v, count - whole)


@kernel
def copy(source: Array, at: int, count: int, target: Array, to: int) -> None:
    """target[to : to + count] = source[at : at + count]."""
    n = lanes(source)
    whole = count // n * n
    for i in range(0, whole, n):
        store(target, to + i, load(source, at + i))
    if whole < count:
        store_first(target, to + whole, load_first(source, at + whole, count - whole), count - whole)


@kernel
def every(a: Array, index: int, stride: int, like: Array) -> Any:
    """The vector a[index], a[index + stride], a[index + 2 * stride], ...; `like` is an array of integers as wide."""
    if stride == 1:
        return load(a, index)
    if stride == 2:
        return evens(load(a, index), load(a, index + lanes(a)))
    return gather(a, index, ramp(like) * stride)


@kernel
def put(a: Array, index: int, v: Any, count: int) -> None:
    """Stores the lanes of v that lie before `count`, all of them usually."""
    if count >= lanes(a):
        store(a, index, v)
    else:
        store_first(a, index, v, count)


_ONE_ROW = Windows(np.array([0]), np.array([1]))
_INTEGERS: dict[int, Array] = {4: np.empty(0, np.int32), 8: np.empty(0, np.int64)}


def planar(windows: Sequence[Windows]) -> tuple[Windows, Windows]:
    """Windows of lines as windows of planes of one row; those of planes as they are."""
    return (_ONE_ROW, windows[0]) if len(windows) == 1 else (windows[0], windows[1])


def as_planes(a: Array, dims: int) -> Array:
    """(..., L) or (..., H, W) as (planes, H, W)."""
    height, width = (1, a.shape[-1]) if dims == 1 else a.shape[-2:]
    return a.reshape(a.size // (height * width), height, width)


def integers_beside(a: Array) -> Array:
    """An empty array of the integers that are as wide as the elements of a."""
    return _INTEGERS[a.itemsize]
