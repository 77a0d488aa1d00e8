"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from .optimizer import Optimizer, check_at_least_zero, move_towards, refuse

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """The gradient over the root of its mean square: v <- alpha v + (1 - alpha) g^2; p <- p - lr g / (sqrt(v) + eps).

    `centered` takes the square of the mean gradient off v first; with momentum, the quotients are summed into a
    velocity, b <- momentum b + g / (sqrt(v) + eps), and p <- p - lr b.

    Source: G. Hinton, "Neural Networks for Machine Learning", lecture 6e (2012),
    https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf; centered: A. Graves, "Generating Sequences
    With Recurrent Neural Networks" (2013), https://arxiv.org/abs/1308.0850
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        refuse("RMSprop", capturable=capturable, foreach=foreach, differentiable=differentiable)
        options = {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        check_at_least_zero("RMSprop", **options)
        super().__init__(params, {**options, "centered": centered, "maximize": maximize})

    def update(self, param: Array, grad: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            state.update(step=0, square_avg=np.zeros_like(param))
            if group["centered"]:
                state["grad_avg"] = np.zeros_like(param)
            if group["momentum"]:
                state["momentum_buffer"] = np.zeros_like(param)
        state["step"] += 1
        g, work, square = self.direction(param, grad, group), self.scratch(param), state["square_avg"]
        square *= group["alpha"]
        np.multiply(g, g, out=work)
        work *= 1 - group["alpha"]
        square += work
        if group["centered"]:
            mean = state["grad_avg"]
            move_towards(mean, g, 1 - group["alpha"], work)
            np.multiply(mean, mean, out=work)
            np.subtract(square, work, out=work)
            np.sqrt(work, out=work)
        else:
            np.sqrt(square, out=work)
        work += group["eps"]
        np.divide(g, work, out=work)
        if group["momentum"]:
            velocity = state["momentum_buffer"]
            velocity *= group["momentum"]
            velocity += work
            np.copyto(work, velocity)
        work *= group["lr"]
        param -= work
