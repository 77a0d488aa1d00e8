"""Connectionist temporal classification: the likelihood of a label sequence under all its alignments in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...dtypes import Array
from ...errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ...ops import cat, logsumexp, stack, where
from ...primitive import op
from ...tape import vjp_of
from ...tensor import Tensor, as_tensor, from_array
from .arguments import need_floats, need_tensors
from .loss_arguments import reduced

__all__ = ["ctc_loss"]

# The states of an alignment are the labels with a blank before, between and after them: L = 2 S + 1 of them. At each
# step an alignment stays in its state, goes to the next one, or skips a blank between two different labels.


class _States:
    """The states of each example: (N, L) classes, which of them can be reached by a skip, and the two last ones."""

    def __init__(self, labels: Array, target_lengths: Array, input_lengths: Array, blank: int) -> None:
        examples, most = labels.shape
        self.classes = np.full((examples, 2 * most + 1), blank)
        self.classes[:, 1::2] = labels
        self.can_skip = np.zeros(self.classes.shape, bool)
        self.can_skip[:, 2:] = self.classes[:, 2:] != self.classes[:, :-2]
        numbers = np.arange(2 * most + 1)
        self.first = (numbers < 2) & (numbers <= 2 * target_lengths[:, None])
        self.last = (numbers <= 2 * target_lengths[:, None]) & (numbers >= 2 * target_lengths[:, None] - 1)
        self.input_lengths = input_lengths

    def __repr__(self) -> str:
        return f"<states {self.classes.shape}>"

    def emissions(self, log_probs: Array) -> Array:
        """log p of the class of each state at each step, (T, N, L)."""
        return np.take_along_axis(log_probs, self.classes[None], axis=2)

    def forward(self, emissions: Array) -> Array:
        """alpha[t, n, s]: log p of all beginnings that are in state s at step t."""
        alpha = np.full_like(emissions, -np.inf)
        alpha[0] = np.where(self.first, emissions[0], -np.inf)
        for t in range(1, len(emissions)):
            before = alpha[t - 1]
            now = before.copy()
            now[:, 1:] = np.logaddexp(now[:, 1:], before[:, :-1])
            now[:, 2:] = np.logaddexp(now[:, 2:], np.where(self.can_skip[:, 2:], before[:, :-2], -np.inf))
            alpha[t] = now + emissions[t]
        return alpha

    def backward(self, emissions: Array) -> Array:
        """beta[t, n, s]: log p of all endings after step t, from state s; an example ends at its own length."""
        ends = np.where(self.last, 0, -np.inf).astype(emissions.dtype)
        beta = np.full_like(emissions, -np.inf)
        for t in range(len(emissions) - 1, -1, -1):
            if t + 1 < len(emissions):
                after = beta[t + 1] + emissions[t + 1]
                now = after.copy()
                now[:, :-1] = np.logaddexp(now[:, :-1], after[:, 1:])
                now[:, :-2] = np.logaddexp(now[:, :-2], np.where(self.can_skip[:, 2:], after[:, 2:], -np.inf))
                beta[t] = now
            beta[t] = np.where((self.input_lengths == t + 1)[:, None], ends, beta[t])
        return beta

    def log_likelihood(self, alpha: Array) -> Array:
        """log p of each target: its alignments are in one of the last two states at the last step."""
        at_end = alpha[np.maximum(self.input_lengths, 1) - 1, np.arange(len(self.input_lengths))]
        total = np.logaddexp.reduce(np.where(self.last, at_end, -np.inf), axis=1)
        # In no time at all, only the empty target is produced, and for certain.
        return np.where(self.input_lengths > 0, total, np.where(self.last[:, 0], 0, -np.inf)).astype(alpha.dtype)


@op(saves="inputs")
def _ctc_loss(log_probs: Array, *, states: _States, zero_infinity: bool) -> Array:
    loss = -states.log_likelihood(states.forward(states.emissions(log_probs)))
    return np.where(np.isinf(loss) & zero_infinity, 0, loss)


@op(saves="inputs")
def _ctc_loss_backward(g: Array, log_probs: Array, *, states: _States, zero_infinity: bool) -> Array:
    """-p(state s at step t | target), summed over the states of each class."""
    emissions = states.emissions(log_probs)
    alpha = states.forward(emissions)
    likelihood = states.log_likelihood(alpha)
    posterior = np.exp(alpha + states.backward(emissions) - likelihood[:, None])
    within = np.arange(len(alpha))[:, None] < states.input_lengths
    posterior[~within | (np.isinf(likelihood) & zero_infinity)] = 0
    out = np.zeros_like(log_probs)
    steps, examples = (np.arange(n) for n in within.shape)
    np.subtract.at(out, (steps[:, None, None], examples[:, None], states.classes), posterior * g[:, None])
    return out


def _formula(log_probs: Any, states: _States, zero_infinity: bool) -> Any:
    """What `_ctc_loss` computes, step by step; a finite number stands for log 0, so that no gradient is inf - inf."""
    log_zero = float(np.finfo(log_probs.dtype).min) / 4
    steps, examples, _ = log_probs.shape
    emissions = log_probs.gather(2, from_array(np.broadcast_to(states.classes, (steps, *states.classes.shape))))
    nowhere = from_array(np.full((examples, 2), log_zero, log_probs.dtype))
    alpha = where(states.first, emissions[0], log_zero)
    for t in range(1, steps):
        shifted = cat([nowhere, alpha], 1)
        skipped = where(states.can_skip, shifted[:, :-2], log_zero)
        after = emissions[t] + logsumexp(stack([alpha, shifted[:, 1:-1], skipped]), 0)
        alpha = where((t < states.input_lengths)[:, None], after, alpha)
    loss = -logsumexp(where(states.last, alpha, log_zero), 1)
    return where((states.input_lengths > 0) & (loss._array < -log_zero / 2), loss, 0.0)


def _backward_formula(g: Any, log_probs: Any, states: _States, zero_infinity: bool) -> Any:
    return vjp_of(_formula)(g, None, log_probs, states=states, zero_infinity=zero_infinity)[0]


def _ctc_vjp(g: Any, out: Any, log_probs: Any, states: _States, zero_infinity: bool) -> Any:
    return _ctc_loss_backward(g, log_probs, states=states, zero_infinity=zero_infinity)


_ctc_loss.defvjp(_ctc_vjp)
_ctc_loss_backward.defvjp(joint=vjp_of(_backward_formula))


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """-log p(targets), the sum over all alignments of the labels with T steps in which blanks may stand between them.

    The gradient is the derivative by `log_probs` itself. PyTorch returns one that agrees with it only after
    log_softmax, through which log_probs are meant to come.

    Args:
        log_probs: log-probabilities, (T, N, C), or (T, C) for one example.
        targets: labels (N, S), padded at the end, or those of all examples one after another; without the blank.
        input_lengths: how many of the T steps each example has, (N,).
        target_lengths: how many labels each example has, (N,).
        blank: the class that stands for no label.
        reduction: "mean" divides each loss by its number of labels (at least 1), then averages over the examples.
        zero_infinity: make the loss and the gradient 0 for targets that do not fit into their steps, instead of inf.

    Raises:
        ShapeError: for shapes or lengths that do not fit together.
        ArgumentError: for a label or a blank that is no class, or lengths out of range.
        DtypeError: for labels or lengths that are not integers.

    Source: A. Graves, S. Fernandez, F. Gomez, J. Schmidhuber, "Connectionist Temporal Classification: Labelling
    Unsegmented Sequence Data with Recurrent Neural Networks" (2006), https://doi.org/10.1145/1143844.1143891
    """
    need_floats("ctc_loss", log_probs=log_probs)
    need_tensors("ctc_loss", targets=targets)
    if log_probs.ndim not in (2, 3) or not log_probs.numel():
        raise ShapeError(f"ctc_loss: log_probs must be (T, N, C) or (T, C) and not empty, got {log_probs.shape}")
    batch = log_probs if log_probs.ndim == 3 else log_probs.unsqueeze(1)
    steps, examples, classes = batch.shape
    if not 0 <= blank < classes:
        raise ArgumentError(f"ctc_loss: blank must lie in 0 to {classes - 1}, got {blank}")
    input_counts = _lengths("input_lengths", input_lengths, examples)
    label_counts = _lengths("target_lengths", target_lengths, examples)
    if input_counts.max() > steps:
        raise ArgumentError(f"ctc_loss: input_lengths must be at most {steps}, got {input_counts.max()}")
    labels = _padded_labels(targets, label_counts, blank, classes)
    states = _States(labels, label_counts, input_counts, blank)
    loss = _ctc_loss(batch, states=states, zero_infinity=zero_infinity)
    if reduction == "mean":
        loss = loss / from_array(np.maximum(label_counts, 1).astype(loss.dtype))
    return reduced("ctc_loss", loss if log_probs.ndim == 3 else loss.squeeze(0), reduction)


def _lengths(argument: str, given: Any, examples: int) -> Array:
    try:
        lengths = as_tensor(given)._array.reshape(-1)
    except TypeError:
        raise ArgumentTypeError(
            f"ctc_loss: {argument} must be a Tensor or a sequence of integers, got {type(given).__name__}"
        ) from None
    if lengths.dtype.kind not in "iu":
        raise DtypeError(f"ctc_loss: {argument} must be integers, got {lengths.dtype}")
    if lengths.shape != (examples,):
        raise ShapeError(
            f"ctc_loss: {argument} must have one entry for each of {examples} examples, got {len(lengths)}"
        )
    if lengths.min() < 0:
        raise ArgumentError(f"ctc_loss: {argument} must be >= 0, got {lengths.min()}")
    return lengths.astype(np.int64)


def _padded_labels(targets: Tensor, counts: Array, blank: int, classes: int) -> Array:
    """Labels (N, S), blank where an example has no more."""
    if targets.dtype.kind not in "iu":
        raise DtypeError(f"ctc_loss: targets must be integers, got {targets.dtype}; write targets.long()")
    most = int(counts.max())
    counted = np.arange(most) < counts[:, None]
    labels = np.full(counted.shape, blank)
    if targets.ndim == 1 and targets.shape == (counts.sum(),):
        labels[counted] = targets._array
    elif targets.ndim == 2 and targets.shape[0] == len(counts) and targets.shape[1] >= most:
        labels = np.where(counted, targets._array[:, :most], blank)
    else:
        raise ShapeError(
            f"ctc_loss: targets must be ({len(counts)}, S) with S >= {most}, or all {counts.sum()} labels in one "
            f"dimension, got {targets.shape}"
        )
    found = labels[counted]
    if found.size and not (found.min() >= 0 and found.max() < classes):
        raise ArgumentError(f"ctc_loss: labels must lie in 0 to {classes - 1}, got {found.min()} to {found.max()}")
    return labels
