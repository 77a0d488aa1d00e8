"""Linear and bilinear layers, and reshaping."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..creation import Generator, zeros
from ..errors import ArgumentError, ArgumentTypeError
from ..ops.shape import checked_int
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module, Parameter

__all__ = ["Bilinear", "Flatten", "Identity", "Linear", "Unflatten"]


def _uniform(sizes: tuple[int, ...], bound: float, dtype: Any, generator: Generator | None) -> Parameter:
    """A parameter that starts uniform in [-bound, bound)."""
    return Parameter(init.uniform_(zeros(sizes, dtype=dtype), -bound, bound, generator))


class Linear(Module):
    """x W^T + b: input (..., in_features), output (..., out_features), weight (out_features, in_features).

    Weight and bias start uniform in +-1/sqrt(in_features), as in PyTorch.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        in_features = checked_int("Linear", "in_features", in_features)
        out_features = checked_int("Linear", "out_features", out_features)
        if in_features < 0 or out_features < 0:
            raise ArgumentError(
                f"Linear: sizes must be >= 0, got in_features={in_features}, out_features={out_features}"
            )
        self.in_features, self.out_features = in_features, out_features
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight = _uniform((out_features, in_features), bound, dtype, generator)
        self.register_parameter("bias", _uniform((out_features,), bound, dtype, generator) if bias else None)

    def forward(self, input: Tensor) -> Any:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """x1^T W[o] x2 + b[o]: inputs (..., in1_features) and (..., in2_features), output (..., out_features).

    Weight (out_features, in1_features, in2_features) and bias start uniform in +-1/sqrt(in1_features), as in PyTorch.
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        dtype: Any = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        in1_features = checked_int("Bilinear", "in1_features", in1_features)
        in2_features = checked_int("Bilinear", "in2_features", in2_features)
        out_features = checked_int("Bilinear", "out_features", out_features)
        if in1_features < 1 or in2_features < 0 or out_features < 0:
            raise ArgumentError(
                f"Bilinear: in1_features must be >= 1 and the other sizes >= 0, got in1_features={in1_features}, "
                f"in2_features={in2_features}, out_features={out_features}"
            )
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        bound = 1 / math.sqrt(in1_features)
        self.weight = _uniform((out_features, in1_features, in2_features), bound, dtype, generator)
        self.register_parameter("bias", _uniform((out_features,), bound, dtype, generator) if bias else None)

    def forward(self, input1: Tensor, input2: Tensor) -> Any:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Flatten(Module):
    """Merge all dimensions after the batch into one (or those from start_dim to end_dim)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Any:
        return ops.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split the dimension `dim` into several of the sizes `unflattened_size`, of which one may be -1."""

    def __init__(self, dim: int, unflattened_size: tuple[int, ...] | list[int]) -> None:
        super().__init__()
        if isinstance(dim, str):
            raise NotImplementedError("Unflatten: named dimensions are not supported; give dim as an integer")
        if not isinstance(unflattened_size, (tuple, list)) or not all(isinstance(n, int) for n in unflattened_size):
            raise ArgumentTypeError(
                f"Unflatten: unflattened_size must be a tuple of integers, got {unflattened_size!r}"
            )
        self.dim, self.unflattened_size = dim, unflattened_size

    def forward(self, input: Tensor) -> Any:
        return ops.unflatten(input, self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Identity(Module):
    """Returns its input; arguments are accepted and ignored, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Any:
        return input
