"""Pooling; the inverse for maxima stands in `unpooling`, and the ops behind both in `_pooling`."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np

from kernels.reference.pooling import Windows

from ...dtypes import Array
from ...errors import ArgumentError, ArgumentTypeError, DtypeError
from ...ops.arithmetic import _where
from ...tensor import Tensor, from_array
from ._pooling import averages, maxima
from .arguments import need_floats
from .unpooling import max_unpool1d, max_unpool2d, max_unpool3d
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

# --- maxima -----------------------------------------------------------------------------------------------------------


def _maxima(input: Tensor, windows: list[Windows], return_indices: bool) -> Any:
    values, indices = maxima(input, windows)
    return (values, from_array(indices.astype(np.int64))) if return_indices else values


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
        return averages(input, windows, np.asarray(_divisor(name, divisor_override)))
    if not count_include_pad:
        return averages(input, windows, _outer([along.ends - along.starts for along in windows]))
    counts = []
    for along, n, k, s, p in zip(windows, sizes, kernel_size, stride, padding, strict=True):
        starts = np.arange(len(along.starts)) * s - p
        counts.append(np.minimum(starts + k, n + p) - starts)  # what ceil_mode adds behind the padding is not counted
    return averages(input, windows, _outer(counts))


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
    return averages(input, windows, _outer([along.ends - along.starts for along in windows]))


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
