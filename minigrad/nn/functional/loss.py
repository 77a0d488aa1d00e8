"""Losses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...dtypes import Array
from ...errors import ArgumentError, DtypeError, ShapeError
from ...ops import log_softmax, where
from ...primitive import op
from ...tensor import Tensor, from_array

__all__ = ["binary_cross_entropy_with_logits", "cross_entropy", "l1_loss", "mse_loss", "nll_loss"]


def _reduced(name: str, loss: Any, reduction: str) -> Any:
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ArgumentError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _same_shape(name: str, input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        raise ShapeError(
            f"{name}: input {input.shape} and target {target.shape} differ; broadcasting a loss is nearly always a "
            "mistake, so make the shapes equal, for example with reshape or expand"
        )


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Any:
    """(input - target)^2, averaged over all elements.

    Raises:
        ShapeError: if the shapes differ (PyTorch broadcasts with a warning).
    """
    _same_shape("mse_loss", input, target)
    return _reduced("mse_loss", (input - target).square(), reduction)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Any:
    """|input - target|, averaged over all elements.

    Raises:
        ShapeError: if the shapes differ (PyTorch broadcasts with a warning).
    """
    _same_shape("l1_loss", input, target)
    return _reduced("l1_loss", (input - target).abs(), reduction)


@op(saves="inputs")
def _softplus(x: Array) -> Array:
    return np.logaddexp(x, x.dtype.type(0))  # log(1 + exp(x)), without overflow


_softplus.defvjp(lambda g, out, x: g * x.sigmoid())


def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Any:
    """-t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), written so that no x overflows; targets in [0, 1].

    Raises:
        ShapeError: if the shapes differ.
    """
    _same_shape("binary_cross_entropy_with_logits", input, target)
    loss = (1 - target) * input + _softplus(-input)
    return _reduced("binary_cross_entropy_with_logits", loss, reduction)


def _class_indices(name: str, input: Tensor, target: Tensor, ignore_index: int) -> tuple[Array, Array, int]:
    """Targets with ignored ones replaced by 0, the mask of the others, and the class dimension; all checked."""
    if not input.ndim:
        raise ShapeError(f"{name}: input needs a class dimension: (C,), (N, C) or (N, C, ...), got a 0-dim tensor")
    dim = 0 if input.ndim == 1 else 1
    expected = input.shape[:dim] + input.shape[dim + 1 :]
    if target.shape != expected:
        raise ShapeError(
            f"{name}: for input {input.shape}, class targets must have shape {expected}, got {target.shape}"
        )
    if target.dtype.kind not in "iu":
        raise DtypeError(f"{name}: class targets must be integers, got {target.dtype}; write target.long()")
    valid = target._array != ignore_index
    indices = np.where(valid, target._array, 0)
    classes = input.shape[dim]
    if indices.size and not (indices.min() >= 0 and indices.max() < classes):
        raise ArgumentError(
            f"{name}: class targets must lie in 0 to {classes - 1}, got {indices.min()} to {indices.max()}"
        )
    return indices.astype(np.int64), valid, dim


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """The negative log-likelihood -input[n, target[n]] of log-probabilities (N, C), (C,) or (N, C, ...).

    The mean is weighted: sum of w[target] * loss over sum of w[target]; targets equal to `ignore_index` count nowhere.

    Raises:
        ShapeError, DtypeError, ArgumentError: targets that do not fit, are not integers, or name no class.
    """
    return _negative_log_likelihood("nll_loss", input, target, weight, ignore_index, reduction)


def _negative_log_likelihood(
    name: str, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str
) -> Any:
    indices, valid, dim = _class_indices(name, input, target, ignore_index)
    if weight is not None and weight.shape != (input.shape[dim],):
        raise ShapeError(
            f"{name}: weight must have shape ({input.shape[dim]},), one for each class, got {weight.shape}"
        )
    picked = input.gather(dim, from_array(np.expand_dims(indices, dim))).squeeze(dim)
    scale = np.ones(indices.shape, input.dtype) if weight is None else weight._array[indices].astype(input.dtype)
    scale = np.where(valid, scale, input.dtype.type(0))
    loss = where(valid, -picked * from_array(scale), 0.0)
    if reduction == "mean":
        return loss.sum() / from_array(np.asarray(scale.sum()))
    return _reduced(name, loss, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """The cross-entropy of logits against class indices, or against class probabilities of the shape of the logits.

    Args:
        input: logits, shape (N, C), (C,) or (N, C, ...).
        target: integers of shape (N,), () or (N, ...); or floating probabilities of the shape of `input`.
        weight: a weight for each class, shape (C,); the mean over class indices divides by the sum of the weights used.
        label_smoothing: in [0, 1]: this share of the target is spread evenly over the classes.

    Raises:
        ShapeError, DtypeError, ArgumentError: targets that do not fit; smoothing out of range.
    """
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"cross_entropy: label_smoothing must lie in [0, 1], got {label_smoothing}")
    if not input.ndim:
        raise ShapeError(
            "cross_entropy: input needs a class dimension: (C,), (N, C) or (N, C, ...), got a 0-dim tensor"
        )
    dim = 0 if input.ndim == 1 else 1
    classes = input.shape[dim]
    if weight is not None and weight.shape != (classes,):
        raise ShapeError(f"cross_entropy: weight must have shape ({classes},), one for each class, got {weight.shape}")
    logs = log_softmax(input, dim)
    per_class = None if weight is None else weight.reshape([classes if i == dim else 1 for i in range(input.ndim)])
    if target.dtype.kind == "f":
        if target.shape != input.shape:
            raise ShapeError(
                f"cross_entropy: probabilities must have the shape of the input {input.shape}, got {target.shape}"
            )
        smooth = target * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else target
        loss = -(logs * smooth if per_class is None else logs * smooth * per_class).sum(dim)
        if reduction == "mean":
            return loss.sum() / (loss.numel() or math.nan)
        return _reduced("cross_entropy", loss, reduction)
    hard = _negative_log_likelihood("cross_entropy", logs, target, weight, ignore_index, reduction)
    if not label_smoothing:
        return hard
    indices, valid, _ = _class_indices("cross_entropy", input, target, ignore_index)
    spread = where(valid, -(logs if per_class is None else logs * per_class).sum(dim), 0.0)
    if reduction == "mean":
        counted = np.where(valid, 1.0 if weight is None else weight._array[indices], 0.0).sum()
        spread = spread.sum() / float(counted)
    else:
        spread = _reduced("cross_entropy", spread, reduction)
    return hard * (1 - label_smoothing) + spread * (label_smoothing / classes)
