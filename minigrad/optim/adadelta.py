"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError
from .optimizer import Optimizer, check_at_least_zero, refuse

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    """Steps in the units of the parameters: the gradient times the root of mean squared steps over that of gradients.

    v <- rho v + (1 - rho) g^2; step = sqrt(u + eps) / sqrt(v + eps) * g; u <- rho u + (1 - rho) step^2;
    p <- p - lr * step.

    Source: M. Zeiler, "ADADELTA: An Adaptive Learning Rate Method" (2012), https://arxiv.org/abs/1212.5701
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse("Adadelta", foreach=foreach, capturable=capturable, differentiable=differentiable)
        check_at_least_zero("Adadelta", lr=lr, eps=eps, weight_decay=weight_decay)
        if not 0 <= rho <= 1:
            raise ArgumentError(f"Adadelta: rho must lie in [0, 1], got {rho}")
        options = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**options, "maximize": maximize})

    def update(self, param: Array, grad: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state.update(step=0, square_avg=np.zeros_like(param), acc_delta=np.zeros_like(param))
        state["step"] += 1
        rho, eps = group["rho"], group["eps"]
        g, square, steps = self.direction(param, grad, group), state["square_avg"], state["acc_delta"]
        square *= rho
        square += (1 - rho) * (g * g)
        step = np.sqrt(steps + eps) / np.sqrt(square + eps) * g
        steps *= rho
        steps += (1 - rho) * (step * step)
        param -= group["lr"] * step
