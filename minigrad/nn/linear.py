"""Linear layers and reshaping."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..creation import Generator, zeros
from ..errors import ArgumentError
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module, Parameter

__all__ = ["Flatten", "Identity", "Linear"]


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
        if in_features < 0 or out_features < 0:
            raise ArgumentError(
                f"Linear: sizes must be >= 0, got in_features={in_features}, out_features={out_features}"
            )
        self.in_features, self.out_features = in_features, out_features
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight = Parameter(init.uniform_(zeros(out_features, in_features, dtype=dtype), -bound, bound, generator))
        start = init.uniform_(zeros(out_features, dtype=dtype), -bound, bound, generator) if bias else None
        self.register_parameter("bias", None if start is None else Parameter(start))

    def forward(self, input: Tensor) -> Any:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Flatten(Module):
    """Merge all dimensions after the batch into one (or those from start_dim to end_dim)."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Any:
        return ops.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Identity(Module):
    """Returns its input; arguments are accepted and ignored, so that it can stand in for any layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Any:
        return input
