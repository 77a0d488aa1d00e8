"""Losses of a choice between classes: logits or log-probabilities of shape (N, C), (C,) or (N, C, ...)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ...creation import ones_like
from ...dtypes import Array
from ...errors import ArgumentError, DtypeError, ShapeError
from ...ops import log_softmax, softmax, where
from ...primitive import op
from ...tensor import Tensor, from_array
from .arguments import need_floats, need_tensors
from .loss_arguments import constant, reduced

__all__ = ["cross_entropy", "nll_loss"]


class _Classes(NamedTuple):
    """Checked class indices (N, ...): an ignored one is 0 here, False in `valid`, and has no weight."""

    indices: Array
    valid: Array
    all_valid: bool
    dim: int


def _class_dim(name: str, input: Tensor) -> int:
    need_floats(name, input=input)
    if not input.ndim:
        raise ShapeError(f"{name}: input needs a class dimension: (C,), (N, C) or (N, C, ...), got a 0-dim tensor")
    return 0 if input.ndim == 1 else 1


def _classes(name: str, input: Tensor, target: Tensor, ignore_index: int) -> _Classes:
    dim = _class_dim(name, input)
    expected = input.shape[:dim] + input.shape[dim + 1 :]
    if target.shape != expected:
        raise ShapeError(
            f"{name}: for input {input.shape}, class targets must have shape {expected}, got {target.shape}"
        )
    if target.dtype.kind not in "iu":
        raise DtypeError(f"{name}: class targets must be integers, got {target.dtype}; write target.long()")
    indices = target._array.astype(np.int64)
    valid = indices != ignore_index
    all_valid = bool(np.logical_and.reduce(valid, axis=None))
    if not all_valid:
        indices = np.where(valid, indices, 0)
    classes = input.shape[dim]
    # One comparison checks both limits: as an unsigned number, a negative one is larger than any class.
    if indices.size and np.maximum.reduce(indices.view(np.uint64), axis=None) >= classes:
        raise ArgumentError(
            f"{name}: class targets must lie in 0 to {classes - 1}, got {indices.min()} to {indices.max()}"
        )
    return _Classes(indices, valid, all_valid, dim)


def _checked_weight(name: str, weight: Tensor, classes: int) -> Tensor:
    need_tensors(name, weight=weight)
    if weight.shape != (classes,):
        raise ShapeError(f"{name}: weight must have shape ({classes},), one for each class, got {weight.shape}")
    return weight


def _scale(targets: _Classes, weight: Tensor | None, dtype: Any) -> Array:
    """What each example counts in the mean: the weight of its class, and 0 if it is ignored."""
    if weight is None:
        return targets.valid.astype(dtype)
    return np.where(targets.valid, weight._array[targets.indices], 0).astype(dtype)


def _picked(logs: Tensor, targets: _Classes, scale: Array) -> Any:
    """-scale * logs at the target classes."""
    picked = logs.gather(targets.dim, from_array(np.expand_dims(targets.indices, targets.dim))).squeeze(targets.dim)
    return where(targets.valid, -picked * from_array(scale), 0.0)  # also where an ignored example is inf or nan


def _reduced_by(name: str, loss: Any, scale: Array, reduction: str) -> Any:
    """`reduced`, with a mean that divides by what the examples count together."""
    if reduction == "mean":
        return loss.sum() / from_array(np.asarray(scale.sum()))
    return reduced(name, loss, reduction)


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
        NotDifferentiableError: a weight that requires a gradient.
    """
    need_tensors("nll_loss", input=input, target=target)
    targets = _classes("nll_loss", input, target, ignore_index)
    if weight is not None:
        weight = _checked_weight("nll_loss", constant("nll_loss", "weight", weight), input.shape[targets.dim])
    scale = _scale(targets, weight, input.dtype)
    return _reduced_by("nll_loss", _picked(input, targets, scale), scale, reduction)


# The loss of nearly every training loop as one op, whose gradient is in closed form: all indices count, and equally.


@op(saves="inputs")
def _mean_cross_entropy(logits: Array, *, indices: Array, error: Array) -> Array:
    """The loss; softmax(logits) - one_hot(indices) is written into `error`, so that backward need not compute it."""
    picked = np.arange(0, logits.size, logits.shape[1]) + indices  # one index into all elements is faster than two
    shifted = logits - np.maximum.reduce(logits, axis=1, keepdims=True)
    np.exp(shifted, out=error)
    sums = np.add.reduce(error, axis=1, keepdims=True)
    losses = np.log(sums[:, 0]) - shifted.take(picked)
    error /= sums
    error.reshape(-1)[picked] -= 1
    return np.add.reduce(losses) / logits.dtype.type(len(indices))


@op(saves="inputs")
def _mean_cross_entropy_backward(g: Array, logits: Array, *, error: Array) -> Array:
    return error * (g / logits.dtype.type(len(logits)))


def _softmax_jacobian(gg: Any, out: Any, g: Any, logits: Any, error: Array) -> Any:
    """The Jacobian diag(p) - p p^T of the softmax p, which is symmetric, times g over the number of examples."""
    p = softmax(logits, 1)
    weighted = gg * p
    return (weighted - p * weighted.sum(1, keepdim=True)) * (g / len(logits))


_mean_cross_entropy.defvjp(lambda g, out, logits, indices, error: _mean_cross_entropy_backward(g, logits, error=error))
_mean_cross_entropy_backward.defvjp(
    lambda gg, out, g, logits, error: (gg * _mean_cross_entropy_backward(ones_like(g), logits, error=error)).sum(),
    _softmax_jacobian,
)


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
        ignore_index: class indices equal to it count nowhere; not for probabilities.
        label_smoothing: in [0, 1]: this share of the target is spread evenly over the classes.

    Raises:
        ShapeError, DtypeError, ArgumentError: targets that do not fit; smoothing out of range.
        NotDifferentiableError: a weight that requires a gradient, with class indices.
    """
    need_tensors("cross_entropy", input=input, target=target)
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"cross_entropy: label_smoothing must lie in [0, 1], got {label_smoothing}")
    if target.dtype.kind in "fc":
        if ignore_index >= 0:
            raise ArgumentError(f"cross_entropy: ignore_index={ignore_index} needs class indices, got {target.dtype}")
        return _of_probabilities(input, target, weight, reduction, label_smoothing)
    targets = _classes("cross_entropy", input, target, ignore_index)
    if (
        reduction == "mean" and weight is None and not label_smoothing
        and input.ndim == 2 and input._array.size and targets.all_valid
    ):  # fmt: skip
        return _mean_cross_entropy(input, indices=targets.indices, error=np.empty(input.shape, input.dtype))
    if weight is not None:
        constant("cross_entropy", "weight", weight)
    return _of_classes(input, targets, weight, reduction, label_smoothing)


def _per_class(weight: Tensor | None, logs: Tensor, dim: int) -> Any:
    """-weight * logs, summed over the classes."""
    if weight is not None:
        _checked_weight("cross_entropy", weight, logs.shape[dim])
        logs = logs * weight.reshape([-1 if i == dim else 1 for i in range(logs.ndim)])
    return -logs.sum(dim)


def _of_classes(input: Tensor, targets: _Classes, weight: Tensor | None, reduction: str, smoothing: float) -> Any:
    logs = log_softmax(input, targets.dim)
    if weight is not None:
        _checked_weight("cross_entropy", weight, input.shape[targets.dim])
    scale = _scale(targets, weight, input.dtype)
    loss = _picked(logs, targets, scale)
    if smoothing:
        spread = where(targets.valid, _per_class(weight, logs, targets.dim), 0.0)
        loss = loss * (1 - smoothing) + spread * (smoothing / input.shape[targets.dim])
    return _reduced_by("cross_entropy", loss, scale, reduction)


def _of_probabilities(input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float) -> Any:
    dim = _class_dim("cross_entropy", input)
    if target.shape != input.shape:
        raise ShapeError(
            f"cross_entropy: probabilities must have the shape of the input {input.shape}, got {target.shape}"
        )
    if smoothing:
        target = target * (1 - smoothing) + smoothing / input.shape[dim]
    loss = _per_class(weight, log_softmax(input, dim) * target, dim)
    if reduction == "mean":
        return loss.sum() / (loss.numel() if input.numel() else math.nan)
    return reduced("cross_entropy", loss, reduction)
