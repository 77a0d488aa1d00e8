"""Convolution layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..creation import Generator, zeros
from ..errors import ArgumentError
from ..ops.padding import pad
from ..tensor import Tensor
from . import functional as F
from . import init
from .functional.convolution import Padding, checked_padding, same_padding, transposed_size
from .functional.windows import Sizes, check_images, per_dim
from .module import Module, Parameter

__all__ = ["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"]

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What convolutions and transposed convolutions share: checked options, parameters and the printed form.

    The weight and the bias start uniform in +-1/sqrt(n), with n the number of weights in each weight[i], as in PyTorch.
    """

    dims: int
    function: Callable[..., Any]

    def _set_options(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any, output_padding: Any,
        dilation: Any, groups: int, padding_mode: str,
    ) -> None:  # fmt: skip
        name, dims = type(self).__name__, self.dims
        (in_channels,) = per_dim(name, "in_channels", in_channels, 1)
        (out_channels,) = per_dim(name, "out_channels", out_channels, 1)
        (groups,) = per_dim(name, "groups", groups, 1, least=1)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"{name}: in_channels={in_channels} and out_channels={out_channels} must be multiples of "
                f"groups={groups}"
            )
        if padding_mode not in PADDING_MODES:
            raise ArgumentError(f"{name}: padding_mode must be one of {PADDING_MODES}, got {padding_mode!r}")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = per_dim(name, "kernel_size", kernel_size, dims, least=1)
        self.stride = per_dim(name, "stride", stride, dims, least=1)
        self.dilation = per_dim(name, "dilation", dilation, dims, least=1)
        self.output_padding = per_dim(name, "output_padding", output_padding, dims)
        self.padding_mode = padding_mode
        self.padding = padding
        if isinstance(padding, str):
            checked_padding(name, padding, self.stride)
        else:
            self.padding = per_dim(name, "padding", padding, dims)

    def _set_parameters(self, shape: Sequence[int], bias: bool, dtype: Any, generator: Generator | None) -> None:
        inputs = math.prod(shape[1:])
        bound = 1 / math.sqrt(inputs) if inputs else 0.0
        self.weight = Parameter(init.uniform_(zeros(*shape, dtype=dtype), -bound, bound, generator))
        start = init.uniform_(zeros(self.out_channels, dtype=dtype), -bound, bound, generator) if bias else None
        self.register_parameter("bias", None if start is None else Parameter(start))

    def extra_repr(self) -> str:
        words = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        none, one = (0,) * self.dims, (1,) * self.dims
        for option, default in {"padding": none, "dilation": one, "output_padding": none, "groups": 1}.items():
            if getattr(self, option) != default:
                words += f", {option}={getattr(self, option)}"
        if self.bias is None:
            words += ", bias=False"
        if self.padding_mode != "zeros":
            words += f", padding_mode={self.padding_mode}"
        return words


class _Conv(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self._set_options(in_channels, out_channels, kernel_size, stride, padding, 0, dilation, groups, padding_mode)
        self._set_parameters((out_channels, self.in_channels // self.groups, *self.kernel_size), bias, dtype, generator)

    def forward(self, input: Tensor) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = pad(input, self._pad_sizes(), self.padding_mode), 0
        return self.function(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _pad_sizes(self) -> list[int]:
        """The padding as `pad` takes it: before and after, the last dimension first."""
        if self.padding == "same":
            pairs = same_padding(self.kernel_size, self.dilation)
        elif self.padding == "valid":
            pairs = ((0, 0),) * self.dims
        else:
            pairs = tuple((p, p) for p in self.padding)
        return [n for pair in reversed(pairs) for n in pair]


class Conv1d(_Conv):
    """The convolution of (N, C, L) or (C, L): `functional.conv1d`; weight (out, in/groups, K)."""

    dims, function = 1, staticmethod(F.conv1d)


class Conv2d(_Conv):
    """The convolution of (N, C, H, W) or (C, H, W): `functional.conv2d`; weight (out, in/groups, KH, KW).

    `padding_mode` says what stands in the padding: "zeros", or the input "reflect"ed at its border, its border
    "replicate"d, or the other end of it, "circular".
    """

    dims, function = 2, staticmethod(F.conv2d)


class Conv3d(_Conv):
    """The convolution of (N, C, D, H, W) or (C, D, H, W): `functional.conv3d`; weight (out, in/groups, KD, KH, KW)."""

    dims, function = 3, staticmethod(F.conv3d)


class _ConvTranspose(_Convolution):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if padding_mode != "zeros":
            raise ArgumentError(f"{name}: padding_mode must be 'zeros', got {padding_mode!r}")
        if isinstance(padding, str):
            raise ArgumentError(f"{name}: padding must be numbers, got {padding!r}")
        self._set_options(
            in_channels, out_channels, kernel_size, stride, padding, output_padding, dilation, groups, padding_mode
        )
        self._set_parameters((in_channels, self.out_channels // self.groups, *self.kernel_size), bias, dtype, generator)

    def forward(self, input: Tensor, output_size: Sizes | None = None) -> Any:
        """The output, of the sizes `output_size` (with or without those of batch and channels) if it is given."""
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        return self.function(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def _extra(self, input: Tensor, output_size: Sizes) -> tuple[int, ...]:
        """The output_padding that gives this output size."""
        name, dims = type(self).__name__, self.dims
        check_images(name, input, dims)
        if isinstance(output_size, (tuple, list)) and len(output_size) == input.ndim:
            output_size = output_size[-dims:]
        wanted = per_dim(name, "output_size", output_size, dims)
        least = transposed_size(input.shape[-dims:], self.kernel_size, self.stride, self.padding, self.dilation)
        extra = tuple(n - m for n, m in zip(wanted, least, strict=True))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            most = tuple(n + s - 1 for n, s in zip(least, self.stride, strict=True))
            raise ArgumentError(f"{name}: output_size must lie between {least} and {most}, got {wanted}")
        return extra


class ConvTranspose1d(_ConvTranspose):
    """The adjoint of `Conv1d`, from (N, C, L) or (C, L): `functional.conv_transpose1d`; weight (in, out/groups, K)."""

    dims, function = 1, staticmethod(F.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """The adjoint of `Conv2d`, from (N, C, H, W): `functional.conv_transpose2d`; weight (in, out/groups, KH, KW)."""

    dims, function = 2, staticmethod(F.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose):
    """The adjoint of `Conv3d`: `functional.conv_transpose3d`; weight (in, out/groups, KD, KH, KW)."""

    dims, function = 3, staticmethod(F.conv_transpose3d)
