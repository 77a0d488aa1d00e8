"""The ops behind pooling: each pair is linear, and each is the derivative of the other.

Max pooling takes elements of its input: which ones, a kernel finds out beforehand, and the rest is a gather, whose
derivative adds to the same places. Average pooling takes means of windows, whose derivative spreads each gradient over
its window.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernels import pooling as kernel
from kernels.reference import pooling as reference
from kernels.reference.pooling import Windows

from ...dtypes import Array
from ...primitive import op
from ...tensor import Tensor

__all__: list[str] = []


@op(saves="")
def _known_maxima(x: Array, *, values: Array, indices: Array, sizes: tuple[int, ...]) -> Array:
    return values  # the search for the indices has met them


@op(saves="")
def _gather(x: Array, *, indices: Array, sizes: tuple[int, ...]) -> Array:
    return kernel.max_pool_gather(x, indices, len(sizes))


@op(saves="")
def _scatter_add(values: Array, *, indices: Array, sizes: tuple[int, ...]) -> Array:
    return kernel.max_pool_backward(values, indices, sizes)


@op(saves="")
def _scatter(values: Array, *, indices: Array, sizes: tuple[int, ...]) -> Array:
    return reference.scatter(values, indices, sizes)


_known_maxima.defvjp(lambda g, out, x, values, **where: _scatter_add(g, **where))
_gather.defvjp(lambda g, out, x, **where: _scatter_add(g, **where))
_scatter_add.defvjp(lambda g, out, values, **where: _gather(g, **where))
_scatter.defvjp(lambda g, out, values, **where: _gather(g, **where))  # as PyTorch, also where an index is repeated


@op(saves="")
def _means(x: Array, *, sizes: tuple[int, ...], windows: Sequence[Windows], divisor: Array) -> Array:
    return kernel.avg_pool_forward(x, windows, divisor)


@op(saves="")
def _spread(dy: Array, *, sizes: tuple[int, ...], windows: Sequence[Windows], divisor: Array) -> Array:
    return kernel.avg_pool_backward(dy, sizes, windows, divisor)


_means.defvjp(lambda g, out, x, **where: _spread(g, **where))
_spread.defvjp(lambda g, out, dy, **where: _means(g, **where))


def maxima(input: Tensor, windows: list[Windows]) -> tuple[Tensor, Array]:
    """The maxima of windows, and their indices into the flattened planes, as small integers as there are."""
    sizes = input.shape[-len(windows) :]
    index_dtype = np.int32 if int(np.prod(sizes, dtype=object)) <= np.iinfo(np.int32).max else np.int64
    values, indices = kernel.max_pool_forward(input._array, windows, index_dtype)
    return _known_maxima(input, values=values, indices=indices, sizes=sizes), indices


def averages(input: Tensor, windows: list[Windows], divisor: Array) -> Tensor:
    """The sum over each window, divided by `divisor`, which broadcasts against a plane of the result."""
    means: Tensor = _means(input, sizes=input.shape[-len(windows) :], windows=windows, divisor=divisor)
    return means


def unpooled(input: Tensor, indices: Array, sizes: tuple[int, ...]) -> Tensor:
    """Planes of zeros with the elements of `input` put at `indices`."""
    planes: Tensor = _scatter(input, indices=indices, sizes=sizes)
    return planes
