"""Adamax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from .optimizer import Optimizer, check_at_least_zero, check_betas, move_towards, refuse

__all__ = ["Adamax"]


class Adamax(Optimizer):
    """Adam with the largest recent gradient in place of the root of the mean square.

    m <- beta1 m + (1 - beta1) g; u <- max(beta2 u, |g| + eps); p <- p - lr / (1 - beta1^t) * m / u.

    Source: D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization" (2014), section 7.1,
    https://arxiv.org/abs/1412.6980
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        refuse("Adamax", foreach=foreach, differentiable=differentiable, capturable=capturable)
        check_at_least_zero("Adamax", lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas("Adamax", betas)
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**options, "maximize": maximize})

    def update(self, param: Array, grad: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(param), exp_inf=np.zeros_like(param))
        state["step"] += 1
        beta1, beta2 = group["betas"]
        g, largest = self.direction(param, grad, group), state["exp_inf"]
        move_towards(state["exp_avg"], g, 1 - beta1, self.scratch(param))
        largest *= beta2
        np.maximum(largest, np.abs(g) + group["eps"], out=largest)
        param -= group["lr"] / (1 - beta1 ** state["step"]) * (state["exp_avg"] / largest)
