"""Adam."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError
from .optimizer import Optimizer, check_at_least_zero

__all__ = ["Adam"]


class Adam(Optimizer):
    """Steps of about `lr` in each coordinate: the mean gradient over the root of the mean squared gradient.

    m <- beta1 m + (1 - beta1) g, v <- beta2 v + (1 - beta2) g^2; both start at zero and are divided by 1 - beta^t,
    where t counts from 1, to undo that start; p <- p - lr m / (sqrt(v) + eps). Weight decay is added to the gradient,
    as in PyTorch's Adam.

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
        maximize: bool = False,
    ) -> None:
        check_at_least_zero("Adam", lr=lr, eps=eps, weight_decay=weight_decay)
        if not all(0 <= b < 1 for b in betas):
            raise ArgumentError(f"Adam: betas must lie in [0, 1), got {betas}")
        options = {"betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, {"lr": lr, **options, "maximize": maximize})

    def update(self, param: Array, grad: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state.update(step=0, exp_avg=np.zeros_like(param), exp_avg_sq=np.zeros_like(param))
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = np.zeros_like(param)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        g = -grad if group["maximize"] else grad
        if group["weight_decay"]:
            g = g + group["weight_decay"] * param
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean += (1 - beta1) * (g - mean)
        square *= beta2
        square += (1 - beta2) * (g * g)
        if group["amsgrad"]:
            np.maximum(state["max_exp_avg_sq"], square, out=state["max_exp_avg_sq"])
            square = state["max_exp_avg_sq"]
        root = np.sqrt(square) / math.sqrt(1 - beta2 ** state["step"]) + group["eps"]
        param -= group["lr"] / (1 - beta1 ** state["step"]) * (mean / root)
