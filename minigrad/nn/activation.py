"""Activation functions as modules."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..tensor import Tensor
from .module import Module

__all__ = ["ReLU", "Sigmoid", "Softmax", "Tanh"]


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, input: Tensor) -> Any:
        return ops.relu(input)


class Tanh(Module):
    """tanh(x)."""

    def forward(self, input: Tensor) -> Any:
        return ops.tanh(input)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, input: Tensor) -> Any:
        return ops.sigmoid(input)


class Softmax(Module):
    """exp(x) normalised to sum 1 over `dim`."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Any:
        return ops.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
