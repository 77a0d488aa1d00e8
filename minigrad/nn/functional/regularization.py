"""Dropout: setting a random part of the elements to zero."""

from __future__ import annotations

from typing import Any

from ...creation import Generator, rand
from ...errors import ArgumentError
from ...ops import where
from ...tensor import Tensor

__all__ = ["dropout"]


def dropout(input: Tensor, p: float = 0.5, training: bool = True, *, generator: Generator | None = None) -> Any:
    """Set each element to zero with probability `p` and scale the others by 1 / (1 - p); nothing outside training.

    Raises:
        ArgumentError: if p is not in [0, 1].
    """
    if not 0 <= p <= 1:
        raise ArgumentError(f"dropout: p is a probability in [0, 1], got {p}")
    if not training or p == 0:
        return input
    keep = rand(input.shape, generator=generator, dtype=input.dtype) >= p
    return where(keep, input * (1 / (1 - p) if p < 1 else 0.0), 0.0)
