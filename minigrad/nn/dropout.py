"""Dropout."""

from __future__ import annotations

from typing import Any

from ..creation import Generator
from ..errors import ArgumentError
from ..tensor import Tensor
from . import functional as F
from .module import Module

__all__ = ["Dropout"]


class Dropout(Module):
    """In training, set elements to zero with probability p and scale the others by 1 / (1 - p)."""

    def __init__(self, p: float = 0.5, *, generator: Generator | None = None) -> None:
        super().__init__()
        if not 0 <= p <= 1:
            raise ArgumentError(f"Dropout: p is a probability in [0, 1], got {p}")
        self.p, self.generator = p, generator

    def forward(self, input: Tensor) -> Any:
        return F.dropout(input, self.p, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"p={self.p}"
