"""What functions that look through windows share, that is convolution, pooling and folding: their arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kernels.reference.pooling import Windows, adaptive_windows, sliding_windows

from ...errors import ArgumentError, ArgumentTypeError, ShapeError
from ...tensor import Tensor
from .arguments import need_floats, need_tensors

__all__: list[str] = []

Sizes = tuple[int, ...] | list[int] | int


def per_dim(name: str, argument: str, value: Any, dims: int, least: int = 0) -> tuple[int, ...]:
    """An option given as one number or as one for each spatial dimension.

    Raises:
        ArgumentTypeError: if it is not made of integers.
        ArgumentError: for another count of them, or one below `least`.
    """
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    wanted = "one integer" if dims == 1 else f"one integer or {dims}"
    try:
        sizes = tuple(v.__index__() for v in values)
    except (AttributeError, TypeError):
        raise ArgumentTypeError(f"{name}: {argument} must be {wanted}, got {value!r}") from None
    if len(sizes) == 1:
        sizes *= dims
    if len(sizes) != dims:
        raise ArgumentError(f"{name}: {argument} must be {wanted}, got {len(sizes)}: {value!r}")
    if min(sizes) < least:
        raise ArgumentError(f"{name}: {argument} must be >= {least}, got {value!r}")
    return sizes


def check_images(name: str, input: Any, dims: int) -> None:
    """Check that an input has channels and `dims` spatial dimensions, with or without a batch, which may be empty.

    Raises:
        ArgumentTypeError, ShapeError: for anything else.
    """
    need_tensors(name, input=input)
    if input.ndim not in (dims + 1, dims + 2):
        sizes = ("L", "H, W", "D, H, W")[dims - 1]
        raise ShapeError(f"{name}: input must be (N, C, {sizes}) or (C, {sizes}), got shape {input.shape}")
    if 0 in input.shape[-dims - 1 :]:
        raise ShapeError(f"{name}: only the batch may be empty, got input shape {input.shape}")


def batched(function: Callable[[Any], Any], input: Tensor, dims: int) -> Any:
    """`function` of an input with a batch dimension, which is added and taken away again where there is none."""
    if input.ndim == dims + 2:
        return function(input)
    return function(input.unsqueeze(0)).squeeze(0)


def stride_of(name: str, stride: Any, kernel_size: tuple[int, ...]) -> tuple[int, ...]:
    """Windows lie side by side unless a stride is given; PyTorch takes an empty list for none, too."""
    if stride is None or (isinstance(stride, (tuple, list)) and not stride):
        return kernel_size
    return per_dim(name, "stride", stride, len(kernel_size), least=1)


def _pooled_size(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    """How many windows lie along one axis; with `ceil_mode` the last may reach over the end, but starts before it."""
    room = n + 2 * p - d * (k - 1) - 1
    count = (-(-room // s) if ceil_mode else room // s) + 1
    return count - 1 if ceil_mode and (count - 1) * s >= n + p else count


def windows_of(
    name: str,
    sizes: tuple[int, ...],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil_mode: bool,
) -> list[Windows]:
    """The windows along each axis; all hold at least one element."""
    windows = []
    for n, k, s, p, d in zip(sizes, kernel_size, stride, padding, dilation, strict=True):
        if 2 * p > d * (k - 1) + 1:
            raise ArgumentError(
                f"{name}: padding must be at most half of the reach of the kernel, got padding {padding} for "
                f"kernel_size {kernel_size} and dilation {dilation}"
            )
        count = _pooled_size(n, k, s, p, d, ceil_mode)
        along = sliding_windows(n, max(count, 0), k, s, p, d)
        if count < 1 or (along.starts >= along.ends).any():
            raise ShapeError(
                f"{name}: kernel_size {kernel_size} with dilation {dilation} does not fit into the input of sizes "
                f"{sizes} with padding {padding}"
            )
        windows.append(along)
    return windows


def adaptive_windows_of(name: str, input: Any, output_size: Any, dims: int) -> list[Windows]:
    """As many windows along each axis as asked for; None keeps a size, which PyTorch allows in a tuple of several."""
    check_images(name, input, dims)
    need_floats(name, input=input)
    sizes = input.shape[-dims:]
    if isinstance(output_size, (tuple, list)):
        if len(output_size) != dims:
            raise ArgumentError(f"{name}: output_size must be one integer or {dims}, got {output_size!r}")
        if dims > 1:
            output_size = [n if wanted is None else wanted for n, wanted in zip(sizes, output_size, strict=True)]
    counts = per_dim(name, "output_size", output_size, dims)
    return [adaptive_windows(n, count) for n, count in zip(sizes, counts, strict=True)]
