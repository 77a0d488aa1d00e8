"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError
from .optimizer import Optimizer, check_at_least_zero, refuse

__all__ = ["SGD"]


class SGD(Optimizer):
    """p <- p - lr * d, where d is the gradient, plus weight_decay * p, smoothed by momentum.

    With momentum, v <- momentum * v + (1 - dampening) * d (v <- d in the first step) and d <- v; with Nesterov's
    look-ahead, d <- d + momentum * v. The learning rate multiplies the velocity when it is used, not when it is stored.

    Source: I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and momentum in deep
    learning" (2013), https://proceedings.mlr.press/v28/sutskever13.html
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        refuse("SGD", foreach=foreach, differentiable=differentiable, fused=fused)
        check_at_least_zero("SGD", lr=lr, momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ArgumentError(f"SGD: nesterov needs momentum > 0 and dampening = 0, got {momentum} and {dampening}")
        options = {"momentum": momentum, "dampening": dampening, "weight_decay": weight_decay}
        super().__init__(params, {"lr": lr, **options, "nesterov": nesterov, "maximize": maximize})

    def update(self, param: Array, grad: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        d = self.direction(param, grad, group)
        if group["momentum"]:
            velocity = state.get("momentum_buffer")
            if velocity is None:
                velocity = state["momentum_buffer"] = d.copy()
            else:
                velocity *= group["momentum"]
                velocity += d if not group["dampening"] else (1 - group["dampening"]) * d
            d = d + group["momentum"] * velocity if group["nesterov"] else velocity
        param -= np.multiply(d, group["lr"], out=self.scratch(param))
