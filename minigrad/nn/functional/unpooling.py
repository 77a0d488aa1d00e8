"""The inverse of max pooling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...dtypes import Array
from ...errors import ArgumentError, DimError, DtypeError, ShapeError
from ...tensor import Tensor
from ._pooling import unpooled
from .arguments import need_floats, need_tensors
from .windows import Sizes, check_images, per_dim, stride_of

__all__ = ["max_unpool1d", "max_unpool2d", "max_unpool3d"]


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
    return unpooled(input, _checked_indices(name, input, indices, sizes), sizes)


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
