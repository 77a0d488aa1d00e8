"""Rearranging channels: between them and space, and among themselves."""

from __future__ import annotations

from typing import Any

from ...errors import ArgumentError, ArgumentTypeError, ShapeError
from ...ops.shape import checked_int
from ...tensor import Tensor
from .arguments import need_tensors

__all__ = ["channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]


def _checked_count(name: str, argument: str, value: Any) -> int:
    if isinstance(value, bool):
        raise ArgumentTypeError(f"{name}: {argument} must be an integer, got bool: {value!r}")
    count = checked_int(name, argument, value)
    if count < 1:
        raise ArgumentError(f"{name}: {argument} must be >= 1, got {count}")
    return count


def _check_planes(name: str, input: Any) -> None:
    need_tensors(name, input=input)
    if input.ndim < 3:
        raise ShapeError(f"{name}: input must be (..., C, H, W), got shape {input.shape}")


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Any:
    """Channels become pixels: (..., C * r^2, H, W) to (..., C, H * r, W * r), with r = `upscale_factor`.

    out[c, h * r + i, w * r + j] = input[c * r^2 + i * r + j, h, w]. Source: W. Shi et al., "Real-Time Single Image and
    Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", 2016,
    https://arxiv.org/abs/1609.05158

    Raises:
        ShapeError: for less than 3 dimensions, or channels that are no multiple of r^2.
        ArgumentError, ArgumentTypeError: if `upscale_factor` is not a positive integer.
    """
    _check_planes("pixel_shuffle", input)
    r = _checked_count("pixel_shuffle", "upscale_factor", upscale_factor)
    *lead, channels, height, width = input.shape
    if channels % r**2:
        raise ShapeError(
            f"pixel_shuffle: the number of channels must be a multiple of upscale_factor^2 = {r**2}, got {channels} in "
            f"shape {input.shape}"
        )
    n = len(lead)
    split = input.reshape(*lead, channels // r**2, r, r, height, width)
    return split.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2).reshape(
        *lead, channels // r**2, height * r, width * r
    )


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Any:
    """Pixels become channels, the inverse of `pixel_shuffle`: (..., C, H * r, W * r) to (..., C * r^2, H, W).

    Raises:
        ShapeError: for less than 3 dimensions, or a height or width that is no multiple of r = `downscale_factor`.
        ArgumentError, ArgumentTypeError: if `downscale_factor` is not a positive integer.
    """
    _check_planes("pixel_unshuffle", input)
    r = _checked_count("pixel_unshuffle", "downscale_factor", downscale_factor)
    *lead, channels, height, width = input.shape
    if height % r or width % r:
        raise ShapeError(
            f"pixel_unshuffle: height and width must be multiples of downscale_factor {r}, got {height} and {width} in "
            f"shape {input.shape}"
        )
    n = len(lead)
    split = input.reshape(*lead, channels, height // r, r, width // r, r)
    return split.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3).reshape(
        *lead, channels * r**2, height // r, width // r
    )


def channel_shuffle(input: Tensor, groups: int) -> Any:
    """Channels (N, C, ...) in `groups` equal parts, taken in turns: one of each part, then the next of each.

    Between two grouped convolutions it lets the parts exchange information. Source: X. Zhang et al., "ShuffleNet: An
    Extremely Efficient Convolutional Neural Network for Mobile Devices", 2017, https://arxiv.org/abs/1707.01083

    Raises:
        ShapeError: for less than 3 dimensions, or channels that are no multiple of `groups`.
        ArgumentError, ArgumentTypeError: if `groups` is not a positive integer.
    """
    need_tensors("channel_shuffle", input=input)
    if input.ndim < 3:
        raise ShapeError(f"channel_shuffle: input must be (N, C, ...) with 3 dimensions or more, got {input.shape}")
    parts = _checked_count("channel_shuffle", "groups", groups)
    batch, channels, *rest = input.shape
    if channels % parts:
        raise ShapeError(
            f"channel_shuffle: the number of channels must be a multiple of groups = {parts}, got {channels} in shape "
            f"{input.shape}"
        )
    return input.reshape(batch, parts, channels // parts, *rest).transpose(1, 2).reshape(input.shape)
