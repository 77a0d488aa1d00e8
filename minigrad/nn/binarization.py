"""Layers with weights of one bit."""

from __future__ import annotations

from typing import Any

from ..creation import Generator
from ..tensor import Tensor
from . import functional as F
from .convolution import _Convolution
from .functional.convolution import Padding
from .functional.windows import Sizes

__all__ = ["BinaryConv2d"]


class BinaryConv2d(_Convolution):
    """The convolution of the signs of (N, C, H, W) or (C, H, W) and of the weight (out, in, KH, KW).

    `functional.binary_conv2d`, of which `scale_input` is an option. The weight is real: the optimiser changes it, in
    steps too small to be seen in one bit, and only its signs and mean magnitudes take part. It starts as `Conv2d`'s.
    PyTorch has no such layer.
    """

    dims, function = 2, staticmethod(F.binary_conv2d)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = 0,
        dilation: Sizes = 1,
        bias: bool = True,
        scale_input: bool = False,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self._set_options(in_channels, out_channels, kernel_size, stride, padding, 0, dilation, 1, "zeros")
        self._set_parameters((out_channels, self.in_channels, *self.kernel_size), bias, dtype, generator)
        self.scale_input = bool(scale_input)

    def forward(self, input: Tensor) -> Any:
        return self.function(input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.scale_input)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", scale_input=True" if self.scale_input else "")
