"""Rprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError
from .optimizer import Optimizer, check_at_least_zero, refuse

__all__ = ["Rprop"]


class Rprop(Optimizer):
    """Steps of a size of their own in each coordinate, in the direction of the gradient's sign only.

    Where the sign stays, the size grows by etas[1]; where it changes, it shrinks by etas[0] and the step is skipped.
    For whole batches: with mini-batches the signs are too noisy.

    Source: M. Riedmiller and H. Braun, "A direct adaptive method for faster backpropagation learning: the RPROP
    algorithm" (1993), https://doi.org/10.1109/ICNN.1993.298623
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse("Rprop", capturable=capturable, foreach=foreach, differentiable=differentiable)
        check_at_least_zero("Rprop", lr=lr)
        if not 0 < etas[0] < 1 < etas[1]:
            raise ArgumentError(f"Rprop: etas must be 0 < shrink < 1 < grow, got {etas}")
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def update(self, param: Array, grad: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state.update(step=0, prev=np.zeros_like(param), step_size=np.full_like(param, group["lr"]))
        state["step"] += 1
        (shrink, grow), size = group["etas"], state["step_size"]
        g = self.direction(param, grad, group)
        agreement = g * state["prev"]
        factor = np.where(agreement > 0, grow, np.where(agreement < 0, shrink, 1)).astype(param.dtype)
        np.clip(size * factor, *group["step_sizes"], out=size)
        g = np.where(agreement < 0, 0, g).astype(param.dtype)
        param -= np.sign(g) * size
        state["prev"] = g
