"""Dropout layers: active in training only. Each draws from its `generator`, or from the default one."""

from __future__ import annotations

from typing import Any

from ..creation import Generator
from ..tensor import Tensor
from . import functional as F
from .functional.arguments import need_probability, refuse_inplace
from .module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Module):
    def __init__(self, p: float = 0.5, inplace: bool = False, *, generator: Generator | None = None) -> None:
        super().__init__()
        need_probability(type(self).__name__, p)
        refuse_inplace(type(self).__name__, inplace)
        self.p, self.inplace, self.generator = p, inplace, generator

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Set elements to zero with probability p and scale the others by 1 / (1 - p)."""

    def forward(self, input: Tensor) -> Any:
        return F.dropout(input, self.p, self.training, generator=self.generator)


class Dropout1d(_Dropout):
    """Dropout of whole channels of (N, C, L) or (C, L)."""

    def forward(self, input: Tensor) -> Any:
        return F.dropout1d(input, self.p, self.training, generator=self.generator)


class Dropout2d(_Dropout):
    """Dropout of whole channels of (N, C, H, W)."""

    def forward(self, input: Tensor) -> Any:
        return F.dropout2d(input, self.p, self.training, generator=self.generator)


class Dropout3d(_Dropout):
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""

    def forward(self, input: Tensor) -> Any:
        return F.dropout3d(input, self.p, self.training, generator=self.generator)


class AlphaDropout(_Dropout):
    """Dropout that keeps mean 0 and variance 1, for networks of SELUs."""

    def forward(self, input: Tensor) -> Any:
        return F.alpha_dropout(input, self.p, self.training, generator=self.generator)


class FeatureAlphaDropout(_Dropout):
    """AlphaDropout of whole channels of (N, C, ...)."""

    def forward(self, input: Tensor) -> Any:
        return F.feature_alpha_dropout(input, self.p, self.training, generator=self.generator)
