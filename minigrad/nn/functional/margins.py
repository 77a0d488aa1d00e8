"""Losses that ask for a margin: zero once the right answer is ahead of the wrong ones by enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...dtypes import Array
from ...errors import ArgumentError, DtypeError, ShapeError
from ...ops import minimum, where
from ...tensor import Tensor, from_array
from .arguments import need_floats, need_tensors
from .distance import pairwise_distance
from .loss_arguments import TINY, common_shape, constant, need_fitting, reduced

__all__ = [
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss",
    "multilabel_margin_loss", "soft_margin_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip

# --- two classes, with targets 1 and -1 ---------------------------------------------------------------------------


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean") -> Any:
    """x where the target is 1, and max(0, margin - x) where it is -1: `input` is a distance, `target` says if similar.

    Any other target gives the sum of both, as in PyTorch.
    """
    need_floats("hinge_embedding_loss", input=input)
    common_shape("hinge_embedding_loss", input=input, target=target)
    similar, different = target._array != -1, target._array != 1
    loss = where(different, (margin - input).clamp(min=0), 0.0) + where(similar, input, 0.0)
    return reduced("hinge_embedding_loss", loss, reduction)


def soft_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Any:
    """log(1 + exp(-target * input)), the logistic loss for targets 1 and -1.

    Like PyTorch's it is inf for a target missed by more than the logarithm of the largest number (88 in float32);
    `binary_cross_entropy_with_logits` is not.

    Raises:
        NotDifferentiableError: for a target that requires a gradient.
    """
    need_floats("soft_margin_loss", input=input)
    need_fitting("soft_margin_loss", input, target=constant("soft_margin_loss", "target", target))
    return reduced("soft_margin_loss", (-target.to(input.dtype) * input).exp().log1p(), reduction)


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, *, reduction: str = "mean"
) -> Any:
    """1 - cos where the target is 1, and max(0, cos - margin) where it is -1: cos is that of two vectors.

    The inputs are (N, D) with targets (N,), or (D,) with a target ().

    Raises:
        ShapeError: for other numbers of dimensions.
    """
    name = "cosine_embedding_loss"
    need_tensors(name, input1=input1, input2=input2, target=target)
    if target.ndim > 1 or {input1.ndim, input2.ndim} != {target.ndim + 1}:
        raise ShapeError(
            f"{name}: inputs must be (N, D) with a target (N,), or (D,) with a target (), got {input1.shape}, "
            f"{input2.shape} and {target.shape}"
        )
    common_shape(name, input1=input1, input2=input2)
    product = (input1 * input2).sum(-1)
    squares = ((input1 * input1).sum(-1) + TINY) * ((input2 * input2).sum(-1) + TINY)
    cosine = product / squares.sqrt()
    common_shape(name, cosine=cosine, target=target)
    same, opposite = target._array == 1, target._array == -1
    loss = where(same, 1 - cosine, 0.0) + where(opposite, (cosine - margin).clamp(min=0), 0.0)
    return reduced(name, loss, reduction)


# --- two or three inputs to rank ----------------------------------------------------------------------------------


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, *, reduction: str = "mean"
) -> Any:
    """max(0, margin - target (input1 - input2)): a target 1 says that input1 ranks higher, -1 that input2 does.

    Raises:
        ShapeError: if the numbers of dimensions differ, or the shapes do not broadcast.
    """
    name = "margin_ranking_loss"
    need_tensors(name, input1=input1, input2=input2, target=target)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            f"{name}: all three must have the same number of dimensions, got {input1.shape}, {input2.shape} and "
            f"{target.shape}"
        )
    common_shape(name, input1=input1, input2=input2, target=target)
    return reduced(name, (-target * (input1 - input2) + float(margin)).clamp(min=0), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    *,
    reduction: str = "mean",
) -> Any:
    """max(0, margin + |anchor - positive| - |anchor - negative|) for vectors (..., D), with `pairwise_distance`.

    Raises:
        ArgumentError: if the margin is not positive.
        ShapeError: if the numbers of dimensions differ.

    Source: V. Balntas, E. Riba, D. Ponsa, K. Mikolajczyk, "Learning local feature descriptors with triplets and
    shallow convolutional neural networks" (2016), http://www.bmva.org/bmvc/2016/papers/paper119/index.html
    """

    name = "triplet_margin_loss"
    common_shape(name, anchor=anchor, positive=positive, negative=negative)

    def distance(x: Any, y: Any) -> Any:
        return pairwise_distance(x, y, p, eps)

    return _triplet(name, anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """`triplet_margin_loss` with another distance, by default `pairwise_distance`.

    Raises:
        ArgumentError: if the margin is not positive.
        ShapeError: if the numbers of dimensions differ.
    """
    name = "triplet_margin_with_distance_loss"
    if distance_function is None:
        common_shape(name, anchor=anchor, positive=positive, negative=negative)
        distance_function = pairwise_distance
    return _triplet(name, anchor, positive, negative, distance_function, margin, swap, reduction)


def _triplet(
    name: str,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Callable[[Any, Any], Any],
    margin: float,
    swap: bool,
    reduction: str,
) -> Any:
    need_tensors(name, anchor=anchor, positive=positive, negative=negative)
    if not margin > 0:
        raise ArgumentError(f"{name}: margin must be positive, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            f"{name}: all three must have the same number of dimensions, got {anchor.shape}, {positive.shape} and "
            f"{negative.shape}"
        )
    to_negative = distance(anchor, negative)
    if swap:  # the positive takes the place of the anchor if it lies closer to the negative
        to_negative = minimum(to_negative, distance(positive, negative))
    return reduced(name, (margin + distance(anchor, positive) - to_negative).clamp(min=0), reduction)


# --- several classes ----------------------------------------------------------------------------------------------


def _as_batch(name: str, input: Tensor) -> Any:
    """(N, C), (C,) or () as (N, C)."""
    need_floats(name, input=input)
    if input.ndim > 2 or (input.ndim and not input.shape[-1]):
        raise ShapeError(f"{name}: input must be (N, C) or (C,) with at least one class, got {input.shape}")
    return input if input.ndim == 2 else input.reshape(1, -1)


def _labels(name: str, target: Tensor, shape: tuple[int, ...], lowest: int, classes: int) -> Array:
    """The target as an array of `shape` with class indices from `lowest` on."""
    need_tensors(name, target=target)
    if target.dtype.kind not in "iu":
        raise DtypeError(f"{name}: class targets must be integers, got {target.dtype}; write target.long()")
    labels: Array = target._array.astype(np.int64)
    if labels.size and not (labels.min() >= lowest and labels.max() < classes):
        raise ArgumentError(
            f"{name}: class targets must lie in {lowest} to {classes - 1}, got {labels.min()} to {labels.max()}"
        )
    return labels.reshape(shape)


def _hinges(margins: Any, counted: Array) -> Any:
    """max(0, margins) where they count; a margin that is just met has slope 0, and nan misses no margin."""
    return where(counted & (margins._array > 0), margins, 0.0)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
) -> Any:
    """The sum over wrong classes i of max(0, margin - x[target] + x[i])^p / C, for scores (N, C) or (C,).

    Args:
        p: 1 or 2.
        weight: a weight for each class, shape (C,), multiplies each power; without a gradient.

    Raises:
        ArgumentError: for another p, or a target that is no class.
        ShapeError, DtypeError: for targets or weights that do not fit, or targets that are not integers.
        NotDifferentiableError: for a weight that requires a gradient.
    """
    name = "multi_margin_loss"
    if p not in (1, 2):
        raise ArgumentError(f"{name}: p must be 1 or 2, got {p}")
    need_tensors(name, target=target)
    scores = _as_batch(name, input)
    examples, classes = scores.shape
    if target.shape != input.shape[:-1] and not (input.ndim < 2 and target.shape in ((), (1,))):
        raise ShapeError(f"{name}: for input {input.shape}, target must be {input.shape[:-1]}, got {target.shape}")
    labels = _labels(name, target, (examples, 1), 0, classes)
    margins = margin - scores.gather(1, from_array(labels)) + scores
    hinges = _hinges(margins, labels != np.arange(classes)) ** p
    if weight is not None:
        if constant(name, "weight", weight).shape != (classes,):
            raise ShapeError(f"{name}: weight must have shape ({classes},), one for each class, got {weight.shape}")
        hinges = hinges * from_array(weight._array[labels])
    losses = hinges.sum(1) / classes
    return reduced(name, losses.reshape(target.shape), reduction)


def multilabel_margin_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Any:
    """The sum of max(0, 1 - x[right] + x[wrong]) / C over all pairs of a right and a wrong class, for (N, C) or (C,).

    `target` has the shape of the input: each row lists the right classes and ends at the first -1.

    Raises:
        ShapeError: if the shapes differ.
        ArgumentError: for a target that is no class and not -1.
        DtypeError: for targets that are not integers.
    """
    name = "multilabel_margin_loss"
    need_tensors(name, target=target)
    scores = _as_batch(name, input)
    if target.shape != input.shape:
        raise ShapeError(f"{name}: target must have the shape of the input {input.shape}, got {target.shape}")
    examples, classes = scores.shape
    labels = _labels(name, target, (examples, classes), -1, classes)
    listed = np.logical_and.accumulate(labels >= 0, axis=1)
    labels = np.where(listed, labels, 0)
    right = np.zeros((examples, classes), bool)
    np.logical_or.at(right, (np.arange(examples)[:, None], labels), listed)
    margins = 1 - scores.gather(1, from_array(labels)).unsqueeze(2) + scores.unsqueeze(1)
    losses = _hinges(margins, listed[:, :, None] & ~right[:, None, :]).sum((1, 2)) / classes
    return reduced(name, losses if input.ndim == 2 else losses.reshape(()), reduction)
