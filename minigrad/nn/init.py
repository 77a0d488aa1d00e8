"""Filling tensors with starting values (`torch.nn.init`); all work in place and return the tensor."""

from __future__ import annotations

import math

from ..creation import Generator, rand, randn
from ..errors import ShapeError
from ..recording import no_grad
from ..tensor import Tensor


@no_grad()
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in [a, b)."""
    return tensor.copy_(rand(tensor.shape, generator=generator, dtype=tensor.dtype) * (b - a) + a)


@no_grad()
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with the given mean and standard deviation."""
    return tensor.copy_(randn(tensor.shape, generator=generator, dtype=tensor.dtype) * std + mean)


@no_grad()
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element equal to `val`."""
    return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Every element 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Every element 1."""
    return constant_(tensor, 1.0)


def fan_in(tensor: Tensor) -> int:
    """How many inputs feed one output of a weight (out, in, ...).

    Raises:
        ShapeError: for fewer than 2 dimensions.
    """
    if tensor.ndim < 2:
        raise ShapeError(f"init: a weight needs at least 2 dimensions (out, in, ...), got shape {tensor.shape}")
    return math.prod(tensor.shape[1:])


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, generator: Generator | None = None) -> Tensor:
    """Uniform with variance 2 / ((1 + a^2) fan_in), which keeps second moments through leaky ReLUs of slope a.

    Source: K. He et al., "Delving Deep into Rectifiers" (2015), https://arxiv.org/abs/1502.01852
    """
    bound = math.sqrt(6 / ((1 + a * a) * max(fan_in(tensor), 1)))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, generator: Generator | None = None) -> Tensor:
    """Normal with variance 2 / ((1 + a^2) fan_in); source as `kaiming_uniform_`."""
    return normal_(tensor, 0.0, math.sqrt(2 / ((1 + a * a) * max(fan_in(tensor), 1))), generator)
