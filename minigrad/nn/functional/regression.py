"""Losses of predicted numbers: how far `input` is from `target`, element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import Array
from ...errors import ArgumentError, ShapeError
from ...ops import where
from ...primitive import op
from ...tensor import Tensor
from .arguments import need_floats, need_tensors
from .loss_arguments import need_same_shape, reduced

__all__ = ["huber_loss", "l1_loss", "mse_loss", "smooth_l1_loss"]


def _distance(name: str, input: Tensor, target: Tensor) -> Any:
    need_tensors(name, input=input, target=target)
    need_same_shape(name, input, target)
    return input - target


def _weighted(name: str, loss: Any, weight: Tensor) -> Any:
    need_tensors(name, weight=weight)
    if weight.shape != loss.shape:
        raise ShapeError(f"{name}: weight must have the shape of the input {loss.shape}, got {weight.shape}")
    return loss * weight


def _weighted_mean(name: str, loss: Any, weight: Tensor | None, reduction: str) -> Any:
    """`reduced`, with a mean that divides by the sum of the weights."""
    if weight is None:
        return reduced(name, loss, reduction)
    weighted = _weighted(name, loss, weight)
    if reduction == "mean":
        return weighted.sum() / weight.sum()
    return reduced(name, weighted, reduction)


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Any:
    """(input - target)^2, averaged over all elements; with weights, over their sum.

    Raises:
        ShapeError: if the shapes differ (PyTorch broadcasts with a warning).
        DtypeError: if both are integers.
    """
    difference = _distance("mse_loss", input, target)
    need_floats("mse_loss", **{"input - target": difference})
    return _weighted_mean("mse_loss", difference.square(), weight, reduction)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", weight: Tensor | None = None) -> Any:
    """|input - target|, averaged over all elements; with weights, over their sum.

    Raises:
        ShapeError: if the shapes differ (PyTorch broadcasts with a warning).
    """
    return _weighted_mean("l1_loss", _distance("l1_loss", input, target).abs(), weight, reduction)


@op(saves="inputs")
def _huber(difference: Array, *, delta: float) -> Array:
    size = np.abs(difference)
    return np.where(size < delta, size * size / 2, size * delta - delta * delta / 2)


def _huber_slope(difference: Any, delta: float) -> Any:
    beyond = np.abs(difference._array) >= delta
    return where(beyond, difference.sign() * delta, difference)


_huber.defvjp(lambda g, out, difference, delta: g * _huber_slope(difference, delta))


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Any:
    """d^2 / 2 where d = |input - target| is less than delta, and delta (d - delta / 2) beyond.

    Its mean is over the number of elements, also with weights.

    Raises:
        ShapeError: if the shapes differ (PyTorch broadcasts with a warning).
        ArgumentError: if delta is not positive.

    Source: P. J. Huber, "Robust Estimation of a Location Parameter" (1964),
    https://doi.org/10.1214/aoms/1177703732
    """
    if not delta > 0:
        raise ArgumentError(f"huber_loss: delta must be positive, got {delta}")
    need_floats("huber_loss", input=input)
    loss = _huber(_distance("huber_loss", input, target).to(input.dtype), delta=delta)
    if weight is not None:
        loss = _weighted("huber_loss", loss, weight)
    return reduced("huber_loss", loss, reduction)


def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """`huber_loss` with delta = beta, divided by beta: the slope is +-1 beyond beta, and beta = 0 is `l1_loss`.

    Raises:
        ShapeError: if the shapes differ (PyTorch broadcasts with a warning).
        ArgumentError: if beta is negative.

    Source: R. Girshick, "Fast R-CNN" (2015), https://arxiv.org/abs/1504.08083
    """
    if not beta >= 0:
        raise ArgumentError(f"smooth_l1_loss: beta must be >= 0, got {beta}")
    difference = _distance("smooth_l1_loss", input, target)
    need_floats("smooth_l1_loss", **{"input - target": difference})
    loss = _huber(difference, delta=beta) / beta if beta else difference.abs()
    return reduced("smooth_l1_loss", loss, reduction)
