"""Pooling: checked arguments, then NumPy for small or unusual arrays and the compiled kernel for the rest.

x has any axes, of which the last are spatial: one `Windows` (from `kernels.reference.pooling`) for each of them. The
compiled kernels are for float32 and float64 with one or two spatial axes; everything else runs on NumPy.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.arrays import host_array
from kernels.errors import KernelError
from kernels.reference import pooling as reference
from kernels.reference.pooling import Windows

__all__ = ["avg_pool_backward", "avg_pool_forward", "max_pool_backward", "max_pool_forward", "max_pool_gather"]

Array = npt.NDArray[Any]

# Below this many elements of the unpooled array the NumPy version runs, and Numba is not even imported: see
# `kernels.batchnorm`.
SMALL = 8192


def max_pool_forward(x: Array, windows: Sequence[Windows], index_dtype: Any = np.int64) -> tuple[Array, Array]:
    """The maximum of each window, and where it is.

    x is (..., L) with one of `windows` or (..., H, W) with two, and so on. Returns values and indices, both (..., one
    for each window): indices into the flattened plane, of `index_dtype` (int64, or int32 to save memory). Of equal
    elements the first is taken, and of nan the last.

    Raises KernelError for booleans, windows that do not fit into x, that are empty, and planes too
    large for int32.
    """
    name = "max_pool_forward"
    x = host_array(name, "x", x)
    if x.dtype.kind not in "fiu":
        raise KernelError(f"{name}: x must be of real numbers, got {x.dtype}")
    sizes = _sizes(name, x, windows)
    index_dtype = np.dtype(index_dtype)
    if index_dtype not in (np.dtype(np.int32), np.dtype(np.int64)):
        raise KernelError(f"{name}: index_dtype must be int32 or int64, got {index_dtype}")
    if math.prod(sizes) > np.iinfo(index_dtype).max:
        raise KernelError(f"{name}: planes of sizes {sizes} are too large for {index_dtype} indices; use int64")
    if not _compiled(x, sizes):
        indices = reference.max_indices(x, windows)
        return reference.gather(x, indices, len(windows)), indices.astype(index_dtype, copy=False)
    from kernels.cpu.pooling import maxima as cpu

    return cpu.forward(x, windows, index_dtype)


def max_pool_backward(dy: Array, indices: Array, sizes: Sequence[int]) -> Array:
    """The gradient of max_pool_forward with respect to x, given dy, that with respect to the values.

    dy and indices are like the values; `sizes` are the spatial sizes of x. Returns dx (..., *sizes): zeros, with dy
    added at the indices. Raises KernelError for arrays that do not fit each other and for indices outside a plane.
    """
    name = "max_pool_backward"
    dy, indices = host_array(name, "dy", dy), _indices(name, indices)
    if indices.shape != dy.shape:
        raise KernelError(f"{name}: indices must have the shape of dy, which is {dy.shape}, got {indices.shape}")
    sizes = tuple(sizes)
    if not 1 <= len(sizes) <= dy.ndim:
        raise KernelError(f"{name}: sizes must be those of 1 to {dy.ndim} axes, got {sizes}")
    lead = dy.shape[: dy.ndim - len(sizes)]
    if not _compiled_as(dy.dtype, math.prod(lead) * math.prod(sizes), len(sizes)) or dy.size == 0:
        _check_places(name, indices, sizes)
        return reference.scatter_add(dy, indices, sizes)
    from kernels.cpu.pooling import maxima as cpu

    dx, outside = cpu.backward(dy, indices, sizes)
    if outside:
        _check_places(name, indices, sizes)
    return dx


def max_pool_gather(x: Array, indices: Array, dims: int) -> Array:
    """The elements of x at `indices` into its planes of `dims` axes: the adjoint of max_pool_backward.

    x is (..., *sizes), indices (..., and `dims` axes of any size). Returns an array like indices, of the dtype of x.
    Raises KernelError for arrays that do not fit each other and for indices outside a plane.
    """
    name = "max_pool_gather"
    x, indices = host_array(name, "x", x), _indices(name, indices)
    if not 1 <= dims <= x.ndim or indices.ndim != x.ndim or indices.shape[:-dims] != x.shape[:-dims]:
        raise KernelError(
            f"{name}: indices must have the shape of x ({x.shape}) but for the last {dims} axes, got {indices.shape}"
        )
    sizes = x.shape[x.ndim - dims :]
    if not _compiled(x, sizes) or indices.size == 0:
        _check_places(name, indices, sizes)
        return reference.gather(x, indices, dims)
    from kernels.cpu.pooling import maxima as cpu

    values, outside = cpu.gather(x, indices, dims)
    if outside:
        _check_places(name, indices, sizes)
    return values


def avg_pool_forward(x: Array, windows: Sequence[Windows], divisor: Array) -> Array:
    """The sum of each window over `divisor`.

    x is (..., L) with one of `windows` or (..., H, W) with two, and so on; divisor broadcasts against one plane of the
    result, which is (..., one for each window). nan and inf spread through their windows, silently.

    Raises KernelError for dtypes that are not floating, windows that do not fit into x, that are empty,
    and a divisor that does not fit.
    """
    name = "avg_pool_forward"
    x = _floating(name, "x", x)
    sizes = _sizes(name, x, windows)
    divisor = _divisor(name, divisor, windows)
    if not _compiled(x, sizes) or not _in_order(windows):
        return reference.means(x, windows, divisor)
    from kernels.cpu.pooling import averages as cpu

    return cpu.forward(x, windows, divisor)


def avg_pool_backward(dy: Array, sizes: Sequence[int], windows: Sequence[Windows], divisor: Array) -> Array:
    """The gradient of avg_pool_forward with respect to x, given dy, that with respect to its result.

    `sizes` are the spatial sizes of x. Returns dx (..., *sizes): each element of dy over `divisor`, added to all places
    of its window. Raises KernelError as avg_pool_forward does.
    """
    name = "avg_pool_backward"
    dy = _floating(name, "dy", dy)
    sizes = tuple(sizes)
    _check_windows(name, sizes, windows)
    if dy.ndim < len(sizes) or dy.shape[dy.ndim - len(sizes) :] != _counts(windows):
        raise KernelError(f"{name}: dy must be (..., {', '.join(map(str, _counts(windows)))}), got shape {dy.shape}")
    divisor = _divisor(name, divisor, windows)
    elements = math.prod(dy.shape[: dy.ndim - len(sizes)]) * math.prod(sizes)
    if not _compiled_as(dy.dtype, elements, len(sizes)) or not _in_order(windows) or dy.size == 0:
        return reference.spread(dy, sizes, windows, divisor)
    from kernels.cpu.pooling import averages as cpu

    return cpu.backward(dy, sizes, windows, divisor)


def _compiled(x: Array, sizes: tuple[int, ...]) -> bool:
    return x.size > 0 and _compiled_as(x.dtype, x.size, len(sizes))


def _compiled_as(dtype: np.dtype[Any], elements: int, dims: int) -> bool:
    """Whether there is a compiled kernel, and enough to do for it."""
    return dtype in (np.dtype(np.float32), np.dtype(np.float64)) and dims <= 2 and elements >= max(SMALL, 1)


def _in_order(windows: Sequence[Windows]) -> bool:
    """Whether windows are without gaps, and none begins or ends before the one to the left of it."""
    return all(
        step == 1 and (starts[1:] >= starts[:-1]).all() and (ends[1:] >= ends[:-1]).all()
        for starts, ends, step in windows
    )


def _counts(windows: Sequence[Windows]) -> tuple[int, ...]:
    return tuple(len(along.starts) for along in windows)


def _floating(function: str, argument: str, value: Any) -> Array:
    array = host_array(function, argument, value)
    if array.dtype.kind != "f":
        raise KernelError(f"{function}: {argument} must be of a floating dtype, got {array.dtype}")
    return array


def _indices(function: str, value: Any) -> Array:
    array = host_array(function, "indices", value)
    if array.dtype not in (np.dtype(np.int32), np.dtype(np.int64)):
        raise KernelError(f"{function}: indices must be int32 or int64, got {array.dtype}")
    return array


def _check_places(function: str, indices: Array, sizes: tuple[int, ...]) -> None:
    places = math.prod(sizes)
    if indices.size and not (indices.min() >= 0 and indices.max() < places):
        raise KernelError(
            f"{function}: indices must lie in 0 to {places - 1}, the places of a plane of sizes {sizes}, got"
            f" {indices.min()} to {indices.max()}"
        )


def _sizes(function: str, x: Array, windows: Sequence[Windows]) -> tuple[int, ...]:
    """The spatial sizes of x, into which the windows fit."""
    if not 1 <= len(windows) <= x.ndim:
        raise KernelError(f"{function}: windows must be given for 1 to {x.ndim} axes of x, got {len(windows)}")
    sizes = x.shape[x.ndim - len(windows) :]
    _check_windows(function, sizes, windows)
    return sizes


def _check_windows(function: str, sizes: tuple[int, ...], windows: Sequence[Windows]) -> None:
    if len(windows) != len(sizes) or not sizes:
        raise KernelError(f"{function}: windows must be given for each of the sizes {sizes}, got {len(windows)}")
    for axis, (size, (starts, ends, step)) in enumerate(zip(sizes, windows, strict=True)):
        if starts.shape != ends.shape or starts.ndim != 1 or step < 1:
            raise KernelError(f"{function}: starts and ends of axis {axis} must be of one length, and step positive")
        if len(starts) == 0:
            continue
        if starts.min() < 0 or ends.max() > size or not (starts < ends).all():
            raise KernelError(f"{function}: windows along axis {axis} must hold elements 0 to {size - 1}, at least one")


def _divisor(function: str, value: Any, windows: Sequence[Windows]) -> Array:
    array = host_array(function, "divisor", value)
    counts = _counts(windows)
    try:
        fits = np.broadcast_shapes(array.shape, counts) == counts
    except ValueError:
        fits = False
    if not fits:
        raise KernelError(f"{function}: divisor must broadcast to {counts}, one number a window, got {array.shape}")
    return array
