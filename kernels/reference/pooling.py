"""Pooling in plain NumPy: the specification that every faster version is tested against.

The last axes of x are spatial, and any axes may stand before them. Windows are the same for all planes and are given
for each spatial axis by a `Windows`, so a window of a plane is a product of one window for each axis. Maxima and sums
over a product are taken one axis after the other, which is how they are written here.

A window of maxima is represented by the index of its maximum in the flattened plane: then max pooling is a gather by
these indices, its gradient is a scatter to them, and the two are each other's derivatives.

Arguments are taken as they come: the callers check them.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Windows(NamedTuple):
    """Windows along one axis: number i holds starts[i], starts[i] + step, ... below ends[i], at least one element."""

    starts: Array
    ends: Array
    step: int = 1


def sliding_windows(size: int, count: int, kernel_size: int, stride: int, padding: int, dilation: int) -> Windows:
    """`count` windows of equal size at equal distances, from `padding` before the axis on, clipped to the axis."""
    starts = np.arange(count) * stride - padding
    ends = np.minimum(starts + dilation * (kernel_size - 1) + 1, size)
    return Windows(np.where(starts < 0, starts % dilation, starts), ends, dilation)


def adaptive_windows(size: int, count: int) -> Windows:
    """`count` windows that cover an axis and overlap by as little as equal shares of it allow."""
    order = np.arange(count)
    return Windows(order * size // max(count, 1), -(-(order + 1) * size // max(count, 1)))


def max_indices(x: Array, windows: Sequence[Windows]) -> Array:
    """For each window, where in the flattened plane its maximum is: the first of several, but the last nan."""
    sizes = x.shape[x.ndim - len(windows) :]
    values, indices = x, np.broadcast_to(np.arange(math.prod(sizes)).reshape(sizes), x.shape)
    # The last axis first, so that of equal elements the first in memory wins.
    for axis, along in reversed(list(zip(_spatial(x, windows), windows, strict=True))):
        values, indices = _max_along(values, indices, axis, along)
    return indices


def _max_along(values: Array, indices: Array, axis: int, along: Windows) -> tuple[Array, Array]:
    starts, ends, step = along
    taps = (ends - 1 - starts) // step  # the number of the last element of each window
    best, found = values.take(starts, axis), indices.take(starts, axis)
    for tap in range(1, int(taps.max(initial=0)) + 1):
        # Windows with fewer elements read their last one again, which changes nothing.
        places = starts + np.minimum(tap, taps) * step
        candidate = values.take(places, axis)
        better = (candidate > best) | np.isnan(candidate)
        np.copyto(best, candidate, where=better)
        np.copyto(found, indices.take(places, axis), where=better)
    return best, found


def gather(x: Array, indices: Array, dims: int) -> Array:
    """The elements of x at `indices` into its planes of `dims` axes."""
    sizes = x.shape[x.ndim - dims :]
    return np.asarray(x.reshape(-1)[_places(indices, sizes)]).reshape(indices.shape)


def scatter_add(values: Array, indices: Array, sizes: Sequence[int]) -> Array:
    """The adjoint of `gather`: planes of zeros with the values added at `indices`."""
    out = np.zeros((*indices.shape[: indices.ndim - len(sizes)], *sizes), values.dtype)
    np.add.at(out.reshape(-1), _places(indices, sizes), values.reshape(-1))
    return out


def scatter(values: Array, indices: Array, sizes: Sequence[int]) -> Array:
    """Planes of zeros with the values put at `indices`; where two meet, the last one stays."""
    out = np.zeros((*indices.shape[: indices.ndim - len(sizes)], *sizes), values.dtype)
    out.reshape(-1)[_places(indices, sizes)] = values.reshape(-1)
    return out


def _places(indices: Array, sizes: Sequence[int]) -> Array:
    """Indices into planes as indices into all planes one after the other."""
    leading = indices.shape[: indices.ndim - len(sizes)]
    planes = np.arange(math.prod(leading)) * math.prod(sizes)
    return np.asarray(indices + planes.reshape(*leading, *(1,) * len(sizes))).reshape(-1)


@np.errstate(all="ignore")  # inf and nan spread silently
def means(x: Array, windows: Sequence[Windows], divisor: Array) -> Array:
    """The sum over each window, divided by `divisor`, which broadcasts against the result."""
    total = _wide(x)
    for axis, along in zip(_spatial(x, windows), windows, strict=True):
        total = _sums_along(total, axis, along)
    return np.asarray(total / divisor.astype(total.dtype)).astype(x.dtype, copy=False)


@np.errstate(all="ignore")
def spread(dy: Array, sizes: Sequence[int], windows: Sequence[Windows], divisor: Array) -> Array:
    """The adjoint of `means`: each element of dy, divided by `divisor`, added to all places of its window."""
    share = _wide(dy)
    share = share / divisor.astype(share.dtype)
    for axis, along, size in zip(_spatial(dy, windows), windows, sizes, strict=True):
        share = _spread_along(share, axis, along, size)
    return share.astype(dy.dtype, copy=False)


def _sums_along(x: Array, axis: int, along: Windows) -> Array:
    lines = np.moveaxis(x, axis, 0)
    out = np.empty((len(along.starts), *lines.shape[1:]), x.dtype)
    for i, (start, end) in enumerate(zip(along.starts, along.ends, strict=True)):
        out[i] = np.add.reduce(lines[start : end : along.step], axis=0)
    return np.moveaxis(out, 0, axis)


def _spread_along(dy: Array, axis: int, along: Windows, size: int) -> Array:
    lines = np.moveaxis(dy, axis, 0)
    out = np.zeros((size, *lines.shape[1:]), dy.dtype)
    for line, start, end in zip(lines, along.starts, along.ends, strict=True):
        out[start : end : along.step] += line
    return np.moveaxis(out, 0, axis)


def _spatial(x: Array, windows: Sequence[Windows]) -> range:
    return range(x.ndim - len(windows), x.ndim)


def _wide(values: Array) -> Array:
    """Half precision is added up in float32, as processors do; other dtypes in their own."""
    return values.astype(np.float32) if values.dtype == np.float16 else values
