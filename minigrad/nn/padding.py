"""Padding layers: the classes differ in the mode and in how many dimensions they pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ops.padding import pad
from ..ops.shape import checked_int
from ..tensor import Tensor
from .module import Module

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d",
    "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip

Widths = int | Sequence[int]


class _Pad(Module):
    """Pad the last `dims` dimensions in one mode; one width is meant for all sides."""

    dims: int
    mode: str

    def __init__(self, padding: Widths) -> None:
        super().__init__()
        name = type(self).__name__
        widths = padding if isinstance(padding, (tuple, list)) else (padding,) * (2 * self.dims)
        self.padding = tuple(checked_int(name, "padding", width) for width in widths)

    def forward(self, input: Tensor) -> Any:
        return pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Widths, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Any:
        return pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ZeroPad(_Pad):
    mode = "constant"


class _ReflectionPad(_Pad):
    mode = "reflect"


class _ReplicationPad(_Pad):
    mode = "replicate"


class _CircularPad(_Pad):
    mode = "circular"


class ConstantPad1d(_ConstantPad):
    """Surround with `value`: (left, right) of (..., C, L)."""

    dims = 1


class ConstantPad2d(_ConstantPad):
    """Surround with `value`: (left, right, top, bottom) of (..., C, H, W)."""

    dims = 2


class ConstantPad3d(_ConstantPad):
    """Surround with `value`: (left, right, top, bottom, front, back) of (..., C, D, H, W)."""

    dims = 3


class ZeroPad1d(_ZeroPad):
    """Surround with zeros: (left, right) of (..., C, L)."""

    dims = 1


class ZeroPad2d(_ZeroPad):
    """Surround with zeros: (left, right, top, bottom) of (..., C, H, W)."""

    dims = 2


class ZeroPad3d(_ZeroPad):
    """Surround with zeros: (left, right, top, bottom, front, back) of (..., C, D, H, W)."""

    dims = 3


class ReflectionPad1d(_ReflectionPad):
    """Surround with mirrored elements: (left, right) of (..., C, L)."""

    dims = 1


class ReflectionPad2d(_ReflectionPad):
    """Surround with mirrored elements: (left, right, top, bottom) of (..., C, H, W)."""

    dims = 2


class ReflectionPad3d(_ReflectionPad):
    """Surround with mirrored elements: (left, right, top, bottom, front, back) of (..., C, D, H, W)."""

    dims = 3


class ReplicationPad1d(_ReplicationPad):
    """Surround with the first and last elements: (left, right) of (..., C, L)."""

    dims = 1


class ReplicationPad2d(_ReplicationPad):
    """Surround with the first and last elements: (left, right, top, bottom) of (..., C, H, W)."""

    dims = 2


class ReplicationPad3d(_ReplicationPad):
    """Surround with the first and last elements: (left, right, top, bottom, front, back) of (..., C, D, H, W)."""

    dims = 3


class CircularPad1d(_CircularPad):
    """Surround with the elements of the other end: (left, right) of (..., C, L)."""

    dims = 1


class CircularPad2d(_CircularPad):
    """Surround with the elements of the other end: (left, right, top, bottom) of (..., C, H, W)."""

    dims = 2


class CircularPad3d(_CircularPad):
    """Surround with the elements of the other end: (left, right, top, bottom, front, back) of (..., C, D, H, W)."""

    dims = 3
