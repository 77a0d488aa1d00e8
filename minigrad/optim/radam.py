"""RAdam: Adam that waits until it knows the size of the gradients."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from .optimizer import Optimizer, check_at_least_zero, check_betas, move_towards, refuse

__all__ = ["RAdam"]


class RAdam(Optimizer):
    """Adam, with steps rectified by how well the mean square is known: while it is not, plain momentum.

    rho_t = rho_inf - 2 t beta2^t / (1 - beta2^t) with rho_inf = 2 / (1 - beta2) - 1 counts the gradients that v rests
    on; above 5, the step is scaled by sqrt((rho_t - 4)(rho_t - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho_t)).

    Source: L. Liu, H. Jiang, P. He, W. Chen, X. Liu, J. Gao, J. Han, "On the Variance of the Adaptive Learning Rate
    and Beyond" (2019), https://arxiv.org/abs/1908.03265
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse("RAdam", foreach=foreach, capturable=capturable, differentiable=differentiable)
        check_at_least_zero("RAdam", lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas("RAdam", betas)
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**options, "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize})

    def update(self, param: Array, grad: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(param), exp_avg_sq=np.zeros_like(param))
        state["step"] += 1
        (beta1, beta2), t = group["betas"], state["step"]
        g, mean, square = self.direction(param, grad, group), state["exp_avg"], state["exp_avg_sq"]
        move_towards(mean, g, 1 - beta1, self.scratch(param))
        square *= beta2
        square += (1 - beta2) * (g * g)
        step = mean * (group["lr"] / (1 - beta1**t))
        most = 2 / (1 - beta2) - 1
        known = most - 2 * t * beta2**t / (1 - beta2**t)
        if known > 5:
            rectified = math.sqrt((known - 4) * (known - 2) * most / ((most - 4) * (most - 2) * known))
            step *= rectified * math.sqrt(1 - beta2**t) / (np.sqrt(square) + group["eps"])
        param -= step
