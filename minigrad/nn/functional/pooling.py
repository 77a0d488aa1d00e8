"""Pooling, and its inverse for maxima."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from kernels.reference import pooling as kernel
from kernels.reference.pooling import Windows

from ...dtypes import Array
from ...errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError
from ...ops.arithmetic import _where
from ...primitive import op
from ...tensor import Tensor, from_array
from .arguments import need_floats, need_tensors
from .windows import (
    Sizes,
    adaptive_windows_of,
    check_images,
    per_dim,
    stride_of,
    windows_of,
)

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d",
    "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip

# --- ops: each pair is linear, and each is the derivative of the other ------------------------------------------------


@op(saves="")
def _gather(x: Array, *, indices: Array, sizes: tuple[int, ...]) -> Array:
    return kernel.gather(x, indices, len(sizes))


@op(saves="")
def _scatter_add(values: Array, *, indices: Array, sizes: tuple[int, ...]) -> Array:
    return kernel.scatter_add(values, indices, sizes)


@op(saves="")
def _scatter(values: Array, *, indices: Array, sizes: tuple[int, ...]) -> Array:
    return kernel.scatter(values, indices, sizes)


_gather.defvjp(lambda g, out, x, **where: _scatter_add(g, **where))
_scatter_add.defvjp(lambda g, out, values, **where: _gather(g, **where))
_scatter.defvjp(lambda g, out, values, **where: _gather(g, **where))  # as PyTorch, also where an index is repeated


@op(saves="")
def _means(x: Array, *, sizes: tuple[int, ...], windows: Sequence[Windows], divisor: Array) -> Array:
    return kernel.means(x, windows, divisor)


@op(saves="")
def _spread(dy: Array, *, sizes: tuple[int, ...], windows: Sequence[Windows], divisor: Array) -> Array:
    return kernel.spread(dy, sizes, windows, divisor)


_means.defvjp(lambda g, out, x, **where: _spread(g, **where))
_spread.defvjp(lambda g, out, dy, **where: _means(g, **where))

# --- maxima -----------------------------------------------------------------------------------------------------------


def _maxima(input: Tensor, windows: list[Windows], return_indices: bool) -> Any:
    indices = kernel.max_indices(input._array, windows)
    values = _gather(input, indices=indices, sizes=input.shape[-len(windows) :])
    return (values, from_array(indices)) if return_indices else values


def _max_pool(
    name: str, dims: int, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    return_indices: bool,
) -> Any:  # fmt: skip
    check_images(name, input, dims)
    if input.dtype.kind == "b":
        raise DtypeError(f"{name}: booleans have no maximum, got bool; write input.float()")
    kernel_size = per_dim(name, "kernel_size", kernel_size, dims, least=1)
    stride = stride_of(name, stride, kernel_size)
    padding = per_dim(name, "padding", padding, dims)
    dilation = per_dim(name, "dilation", dilation, dims, least=1)
    windows = windows_of(name, input.shape[-dims:], kernel_size, stride, padding, dilation, ceil_mode)
    return _maxima(input, windows, return_indices)


def max_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, L) or (C, L): `max_pool2d` in one dimension."""
    return _max_pool("max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, H, W) or (C, H, W); its gradient goes to that element.

    Of equal elements the first is taken, and nan wins over all. What lies outside the input is never taken. Each size n
    becomes floor((n + 2 padding - dilation * (K - 1) - 1) / stride) + 1.

    Args:
        stride: how far apart windows lie; `kernel_size` by default, so that they do not overlap.
        ceil_mode: ceil instead of floor, so that a last window which is not complete counts too.
        return_indices: also return where each maximum is, as an index into the flattened plane of H * W elements.

    Raises:
        ShapeError: for another number of dimensions, or windows that do not fit.
        DtypeError: for booleans.
        ArgumentError, ArgumentTypeError: options out of range.
    """
    return _max_pool("max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of (N, C, D, H, W) or (C, D, H, W): `max_pool2d` in three dimensions."""
    return _max_pool("max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def adaptive_max_pool1d(input: Tensor, output_size: Sizes, return_indices: bool = False) -> Any:
    """The maxima of `output_size` windows of (N, C, L) or (C, L): see `adaptive_avg_pool2d` and `max_pool2d`."""
    return _maxima(input, adaptive_windows_of("adaptive_max_pool1d", input, output_size, 1), return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of windows of (N, C, H, W) or (C, H, W): see `adaptive_avg_pool2d` and `max_pool2d`."""
    return _maxima(input, adaptive_windows_of("adaptive_max_pool2d", input, output_size, 2), return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """The maxima of windows of (N, C, D, H, W) or (C, D, H, W): see `adaptive_avg_pool2d` and `max_pool2d`."""
    return _maxima(input, adaptive_windows_of("adaptive_max_pool3d", input, output_size, 3), return_indices)


# --- means ------------------------------------------------------------------------------------------------------------


def _outer(counts: list[Array]) -> Array:
    """How many elements each window holds, from the counts along each axis."""
    return reduce(np.multiply.outer, counts)


def _averages(input: Tensor, windows: list[Windows], divisor: Array) -> Any:
    return _means(input, sizes=input.shape[-len(windows) :], windows=windows, divisor=divisor)


def _avg_pool(
    name: str, dims: int, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: Any = None,
) -> Any:  # fmt: skip
    check_images(name, input, dims)
    need_floats(name, input=input)
    kernel_size = per_dim(name, "kernel_size", kernel_size, dims, least=1)
    stride = stride_of(name, stride, kernel_size)
    padding = per_dim(name, "padding", padding, dims)
    sizes = input.shape[-dims:]
    windows = windows_of(name, sizes, kernel_size, stride, padding, (1,) * dims, ceil_mode)
    if divisor_override is not None:
        return _averages(input, windows, np.asarray(_divisor(name, divisor_override)))
    if not count_include_pad:
        return _averages(input, windows, _outer([along.ends - along.starts for along in windows]))
    counts = []
    for along, n, k, s, p in zip(windows, sizes, kernel_size, stride, padding, strict=True):
        starts = np.arange(len(along.starts)) * s - p
        counts.append(np.minimum(starts + k, n + p) - starts)  # what ceil_mode adds behind the padding is not counted
    return _averages(input, windows, _outer(counts))


def _divisor(name: str, divisor_override: Any) -> int:
    if not isinstance(divisor_override, (int, np.integer)):
        raise ArgumentTypeError(f"{name}: divisor_override must be an integer, got {divisor_override!r}")
    if divisor_override == 0:
        raise ArgumentError(f"{name}: divisor_override must not be 0")
    return int(divisor_override)


def avg_pool1d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window of (N, C, L) or (C, L): `avg_pool2d` in one dimension."""
    return _avg_pool("avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window of (N, C, H, W) or (C, H, W); sizes as in `max_pool2d`.

    Args:
        count_include_pad: divide by all elements of a window, those of the padding too; otherwise by those of the input
            alone.
        divisor_override: divide by this number instead.

    Raises:
        ShapeError: for another number of dimensions, or windows that do not fit.
        DtypeError: for integers.
        ArgumentError, ArgumentTypeError: options out of range.
    """
    return _avg_pool(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def avg_pool3d(
    input: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window of (N, C, D, H, W) or (C, D, H, W): `avg_pool2d` in three dimensions."""
    return _avg_pool(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _adaptive_avg_pool(name: str, dims: int, input: Any, output_size: Any) -> Any:
    windows = adaptive_windows_of(name, input, output_size, dims)
    return _averages(input, windows, _outer([along.ends - along.starts for along in windows]))


def adaptive_avg_pool1d(input: Tensor, output_size: Sizes) -> Any:
    """The means of `output_size` windows of (N, C, L) or (C, L): `adaptive_avg_pool2d` in one dimension."""
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Any:
    """The means of as many windows of (N, C, H, W) or (C, H, W) as `output_size` says, whatever the input's sizes.

    Along an axis of n elements with m outputs, window i runs from floor(i * n / m) to ceil((i + 1) * n / m). None in
    `output_size` keeps a size.

    Raises:
        ShapeError: for another number of dimensions.
        DtypeError: for integers.
        ArgumentError, ArgumentTypeError: an `output_size` of another length, negative, or not of integers.
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Any:
    """The means of windows of (N, C, D, H, W) or (C, D, H, W): `adaptive_avg_pool2d` in three dimensions."""
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, input, output_size)


# --- powers -----------------------------------------------------------------------------------------------------------


def _lp_pool(name: str, dims: int, input: Any, norm_type: Any, kernel_size: Any, stride: Any, ceil_mode: bool) -> Any:
    check_images(name, input, dims)
    need_floats(name, input=input)
    kernel_size = per_dim(name, "kernel_size", kernel_size, dims, least=1)
    if not isinstance(norm_type, (int, float)):
        raise ArgumentTypeError(f"{name}: norm_type must be a number, got {norm_type!r}")
    if norm_type == 0:
        raise ArgumentError(f"{name}: norm_type must not be 0, since its inverse is taken")
    if math.isinf(norm_type):
        sign = math.copysign(1.0, norm_type)
        extreme = _max_pool(name, dims, input.abs() * sign, kernel_size, stride, 0, 1, ceil_mode, False)
        return extreme * sign
    powers = _avg_pool(name, dims, input**norm_type, kernel_size, stride, 0, ceil_mode, True)
    # The root has no derivative at 0; PyTorch passes a gradient of 0 there.
    powers = _where(0.0, powers, condition=powers._array == 0)
    return (powers * math.prod(kernel_size)) ** (1 / norm_type)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Any:
    """The p-norm of each window of (N, C, L) or (C, L): `lp_pool2d` in one dimension."""
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Any:
    """(sum of x^p)^(1/p) over each window of (N, C, H, W) or (C, H, W), with p = `norm_type`.

    p = 1 is sum pooling, and infinity takes the largest magnitude. The magnitude is not taken otherwise, so odd p can
    give nan for negative x. Where the sum is 0, the gradient is 0. With `ceil_mode`, a window that reaches over the end
    counts as if it went on with its mean power, as in PyTorch.

    Raises:
        ShapeError: for another number of dimensions, or windows that do not fit.
        DtypeError: for integers.
        ArgumentError, ArgumentTypeError: options out of range.
    """
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
) -> Any:
    """The p-norm of each window of (N, C, D, H, W) or (C, D, H, W): `lp_pool2d` in three dimensions."""
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


# --- the inverse for maxima -------------------------------------------------------------------------------------------


def _max_unpool(
    name: str, dims: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Any:
    check_images(name, input, dims)
    need_floats(name, input=input)
    kernel_size = per_dim(name, "kernel_size", kernel_size, dims, least=1)
    stride = stride_of(name, stride, kernel_size)
    padding = per_dim(name, "padding", padding, dims)
    default = tuple(
        (n - 1) * s + k - 2 * p for n, k, s, p in zip(input.shape[-dims:], kernel_size, stride, padding, strict=True)
    )
    sizes = default if output_size is None else _unpooled_size(name, output_size, default, stride)
    if min(sizes) < 1:
        raise ShapeError(f"{name}: the output would have sizes {sizes}; give output_size, or less padding")
    return _scatter(input, indices=_checked_indices(name, input, indices, sizes), sizes=sizes)


def _unpooled_size(name: str, output_size: Any, default: tuple[int, ...], stride: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes asked for, with or without those of batch and channels, if they pool to the same."""
    wanted = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,)
    if len(wanted) == len(default) + 2:
        wanted = wanted[2:]
    sizes = per_dim(name, "output_size", wanted, len(default))
    if len(wanted) != len(default) or any(abs(n - d) >= s for n, d, s in zip(sizes, default, stride, strict=True)):
        raise ArgumentError(
            f"{name}: output_size must be {default}, or differ from it by less than the stride {stride}, got "
            f"{output_size!r}"
        )
    return sizes


def _checked_indices(name: str, input: Tensor, indices: Any, sizes: tuple[int, ...]) -> Array:
    need_tensors(name, indices=indices)
    array = indices._array
    if array.dtype != np.int64:
        raise DtypeError(f"{name}: indices must be int64, as max pooling returns them, got {array.dtype}")
    if array.shape != input.shape:
        raise ShapeError(f"{name}: indices must have the shape of input, {input.shape}, got {array.shape}")
    places = math.prod(sizes)
    if array.size and not (array.min() >= 0 and array.max() < places):
        raise DimError(
            f"{name}: indices must lie in 0 to {places - 1}, the places of a plane of sizes {sizes}, got {array.min()} "
            f"to {array.max()}"
        )
    return array.copy()  # the tape keeps it, and the caller may change his


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sizes | None = None,
) -> Any:
    """Put maxima (N, C, L) or (C, L) back to where `max_pool1d` found them: see `max_unpool2d`."""
    return _max_unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sizes | None = None,
) -> Any:
    """Put maxima (N, C, H, W) or (C, H, W) back to where `max_pool2d` with `return_indices` found them, among zeros.

    Where overlapping windows share a maximum, the last value stays, and each of them receives its gradient.

    Args:
        output_size: the sizes before pooling, with or without those of batch and channels, since several sizes pool to
            the same; (H - 1) * stride - 2 padding + kernel_size by default.

    Source: M. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks" (2013),
    https://arxiv.org/abs/1311.2901

    Raises:
        ShapeError: shapes that do not fit.
        DtypeError: for integers as input, or indices that are not int64.
        DimError: an index outside the output.
        ArgumentError, ArgumentTypeError: options out of range.
    """
    return _max_unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = 0,
    output_size: Sizes | None = None,
) -> Any:
    """Put maxima (N, C, D, H, W) or (C, D, H, W) back to where `max_pool3d` found them: see `max_unpool2d`."""
    return _max_unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)
