"""Adam, and AdamW, which keeps weight decay out of the gradient."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from .optimizer import Optimizer, check_at_least_zero, check_betas, move_towards, refuse

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Steps of about `lr` in each coordinate: the mean gradient over the root of the mean squared gradient.

    m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2; both start at zero and are divided by 1 - beta^t,
    where t counts from 1, to undo that start; p <- p - lr m / (sqrt(v) + eps). Weight decay is added to the gradient,
    or, with `decoupled_weight_decay`, taken off the parameter itself, p <- p - lr * weight_decay * p. With `amsgrad`
    the largest v so far is used.

    Source: D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization" (2014), https://arxiv.org/abs/1412.6980
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        name = type(self).__name__
        refuse(name, foreach=foreach, capturable=capturable, differentiable=differentiable, fused=fused)
        check_at_least_zero(name, lr=lr, eps=eps, weight_decay=weight_decay)
        check_betas(name, betas)
        options = {"betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        decoupled = {"decoupled_weight_decay": decoupled_weight_decay}
        super().__init__(params, {"lr": lr, **options, "maximize": maximize, **decoupled})

    def update(self, param: Array, grad: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(param), exp_avg_sq=np.zeros_like(param))
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = np.zeros_like(param)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        g = self.direction(param, grad, group)
        mean, square, work = state["exp_avg"], state["exp_avg_sq"], self.scratch(param)
        move_towards(mean, g, 1 - beta1, work)
        square *= beta2
        np.multiply(g, g, out=work)
        work *= 1 - beta2
        square += work
        if group["amsgrad"]:
            square = np.maximum(state["max_exp_avg_sq"], square, out=state["max_exp_avg_sq"])
        np.sqrt(square, out=work)
        work /= math.sqrt(1 - beta2 ** state["step"])
        work += group["eps"]
        np.divide(mean, work, out=work)
        work *= group["lr"] / (1 - beta1 ** state["step"])
        param -= work


class AdamW(Adam):
    """Adam with decoupled weight decay: p <- p - lr * weight_decay * p, and then Adam's step on the plain gradient.

    Source: I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization" (2017),
    https://arxiv.org/abs/1711.05101
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad,
            foreach=foreach, maximize=maximize, capturable=capturable, differentiable=differentiable, fused=fused,
            decoupled_weight_decay=True,
        )  # fmt: skip
