"""Losses that are negative log-likelihoods or divergences of a distribution that the network predicts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...creation import full
from ...dtypes import Array
from ...errors import ArgumentError, DtypeError, ShapeError
from ...ops import xlogy
from ...primitive import op
from ...tensor import Tensor
from .activation import logsigmoid
from .arguments import need_floats
from .loss_arguments import TINY, at_least, common_shape, constant, need_fitting, need_same_shape, reduced

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "gaussian_nll_loss", "kl_div",
    "multilabel_soft_margin_loss", "poisson_nll_loss",
]  # fmt: skip


# --- two classes --------------------------------------------------------------------------------------------------


@op(saves="inputs")
def _binary_cross_entropy(x: Array, target: Array) -> Array:
    log_x, log_rest = np.log(x), np.log1p(-x)
    lowest = x.dtype.type(-100)  # log(0) would make a loss of 0 * inf out of a certain and right prediction
    return (target - 1) * log_rest.clip(lowest, None) - target * log_x.clip(lowest, None)


_binary_cross_entropy.defvjp(
    lambda g, out, x, target: g * (x - target) / ((1 - x) * x).clamp(min=TINY),
    lambda g, out, x, target: -g * x.logit(),
)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Any:
    """-t log(x) - (1 - t) log(1 - x) for probabilities x and targets t in [0, 1]; the logarithms end at -100.

    `binary_cross_entropy_with_logits` is more accurate. `weight` broadcasts to the shape of the input.

    Raises:
        ArgumentError: for probabilities or targets outside [0, 1].
        ShapeError: if the shapes differ, or the weight does not broadcast to them.
        DtypeError: for dtypes that are not floating, or differ.
    """
    name = "binary_cross_entropy"
    need_floats(name, input=input, target=target)
    need_same_shape(name, input, target)
    if input.dtype != target.dtype:
        raise DtypeError(f"{name}: target must have the dtype of the input {input.dtype}, got {target.dtype}")
    for argument, value in (("input", input._array), ("target", target._array)):
        if not ((value >= 0) & (value <= 1)).all():
            raise ArgumentError(f"{name}: {argument} must lie in [0, 1], got {value.min()} to {value.max()}")
    loss = _binary_cross_entropy(input, target)
    if weight is not None:
        need_fitting(name, input, weight=constant(name, "weight", weight))
        loss = loss * weight
    return reduced(name, loss, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Any:
    """-p t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), written so that no logit x overflows; targets t in [0, 1].

    Args:
        weight: multiplies the loss of each element; broadcasts.
        pos_weight: the factor p of the positive class, broadcast; above 1 it raises recall, below 1 precision.

    Raises:
        ShapeError: if the shapes differ.
        DtypeError: for dtypes that are not floating.
    """
    name = "binary_cross_entropy_with_logits"
    need_floats(name, input=input, target=target)
    need_same_shape(name, input, target)
    positives = -logsigmoid(input)
    if pos_weight is not None:
        need_fitting(name, input, pos_weight=constant(name, "pos_weight", pos_weight))
        positives = positives * ((pos_weight - 1) * target + 1)
    loss = (1 - target) * input + positives
    if weight is not None:
        need_fitting(name, input, weight=constant(name, "weight", weight))
        loss = loss * weight
    return reduced(name, loss, reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Any:
    """`binary_cross_entropy_with_logits` averaged over the classes, the last dimension: (N, C) gives N losses.

    Raises:
        ShapeError: if there is no class dimension.
        DtypeError: for logits that are not floating.
    """
    name = "multilabel_soft_margin_loss"
    need_floats(name, input=input)
    common_shape(name, input=input, target=target)
    if not input.ndim:
        raise ShapeError(f"{name}: input needs a class dimension, (C,) or (N, C), got a 0-dim tensor")
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        common_shape(name, input=input, target=target, weight=weight)
        loss = loss * weight
    dim = input.ndim - 1  # that of the input, also where another argument has more dimensions
    return reduced(name, loss.sum(dim) / input.shape[dim], reduction)


# --- other distributions ------------------------------------------------------------------------------------------


def kl_div(input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """The divergence of the distribution q from p, element by element: p (log p - log q), where input = log q.

    The target is p, or log p with `log_target`. "batchmean" sums and divides by the size of the first dimension: the
    divergence of a batch of distributions. "mean" also divides by the number of outcomes, which is hardly ever meant.

    Raises:
        DtypeError: for integers.
        ArgumentError: for an unknown reduction.
    """
    need_floats("kl_div", input=input, target=target)
    common_shape("kl_div", input=input, target=target)
    loss = target.exp() * (target - input) if log_target else xlogy(target, target) - target * input
    if reduction == "batchmean":
        return loss.sum() / (input.shape[0] or math.nan) if input.ndim else loss.sum()
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"kl_div: reduction must be 'mean', 'sum', 'none' or 'batchmean', got {reduction!r}")
    return reduced("kl_div", loss, reduction)


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """rate - target log(rate), where rate = exp(input), or with `log_input=False` rate = input and log(input + eps).

    `full` adds Stirling's approximation t log(t) - t + log(2 pi t) / 2 of log(t!) for counts t > 1.

    Raises:
        ArgumentError: for an unknown reduction.
    """
    common_shape("poisson_nll_loss", input=input, target=target)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + (target * (2 * math.pi)).log() * 0.5
        loss = loss + stirling.masked_fill(target <= 1, 0.0)
    return reduced("poisson_nll_loss", loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """(log(var) + (input - target)^2 / var) / 2: the mean is predicted by `input`, the variance by `var`.

    Args:
        var: of the shape of the input; or, for a variance shared along a dimension, without the last one, or with
            one size of 1; or a number. Variances are raised to at least `eps`, but their gradient is not changed.
        full: add the constant log(2 pi) / 2.

    Raises:
        ArgumentError: for negative variances.
        ShapeError: for variances that do not fit.

    Source: D. A. Nix, A. S. Weigend, "Estimating the mean and variance of the target probability distribution"
    (1994), https://doi.org/10.1109/ICNN.1994.374138
    """
    name = "gaussian_nll_loss"
    common_shape(name, input=input, target=target)
    variances = at_least(_variances(name, var, input), least=eps)
    loss = (variances.log() + (input - target) ** 2 / variances) * 0.5
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(name, loss, reduction)


def _variances(name: str, var: Any, input: Tensor) -> Any:
    """`var` in a shape that broadcasts against the input along one dimension at most."""
    if isinstance(var, float):
        var = full(input.shape, var, dtype=input.dtype if input.dtype.kind in "fc" else None)
    need_floats(name, var=var)
    if (var._array < 0).any():
        raise ArgumentError(f"{name}: var must not be negative, got {var._array.min()}")
    if var.shape == input.shape:
        return var
    if var.shape == input.shape[:-1]:
        return var.unsqueeze(-1)
    differing = [v for v, n in zip(var.shape, input.shape, strict=False) if v != n]
    if var.ndim == input.ndim and differing == [1]:
        return var
    raise ShapeError(
        f"{name}: var must have the shape of the input {input.shape}, the same without its last size, or one size of "
        f"1 in it, got {var.shape}"
    )
