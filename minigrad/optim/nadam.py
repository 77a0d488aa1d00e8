"""NAdam: Adam with Nesterov's look-ahead."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from .optimizer import Optimizer, check_at_least_zero, check_betas, move_towards, refuse

__all__ = ["NAdam"]


class NAdam(Optimizer):
    """Adam whose step looks ahead: part of the new gradient, and part of the momentum as it will be in the next step.

    mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2) warms the momentum up; its products undo the start at zero.
    Weight decay is added to the gradient, or taken off the parameter with `decoupled_weight_decay`.

    Source: T. Dozat, "Incorporating Nesterov Momentum into Adam" (2016), https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse("NAdam", foreach=foreach, capturable=capturable, differentiable=differentiable)
        check_at_least_zero("NAdam", lr=lr, eps=eps, weight_decay=weight_decay, momentum_decay=momentum_decay)
        check_betas("NAdam", betas)
        options = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        more = {"momentum_decay": momentum_decay, "decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, {**options, **more, "maximize": maximize})

    def update(self, param: Array, grad: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state.update(step=0, mu_product=1.0, exp_avg=np.zeros_like(param), exp_avg_sq=np.zeros_like(param))
        state["step"] += 1
        (beta1, beta2), t, lr = group["betas"], state["step"], group["lr"]
        now, soon = (beta1 * (1 - 0.5 * 0.96 ** (i * group["momentum_decay"])) for i in (t, t + 1))
        state["mu_product"] *= now
        g, mean, square = self.direction(param, grad, group), state["exp_avg"], state["exp_avg_sq"]
        move_towards(mean, g, 1 - beta1, self.scratch(param))
        square *= beta2
        square += (1 - beta2) * (g * g)
        root = np.sqrt(square / (1 - beta2**t)) + group["eps"]
        param -= lr * (1 - now) / (1 - state["mu_product"]) * (g / root)
        param -= lr * soon / (1 - state["mu_product"] * soon) * (mean / root)
