"""What does this bug do?  A small training with a wrong version of an exercise in it, beside the right one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

STEPS = 400  # a training ends after so many steps, or when the time is over

Train = Callable[[Callable[..., Any], np.random.Generator], Iterator[float]]


@dataclass(frozen=True)
class Consequence:
    """A training that uses a candidate for an exercise.

    ``train(candidate, rng)`` yields the loss of each step, for as long as it is asked; ``rng`` is its only source of
    random numbers.  ``title`` says what is trained.
    """

    title: str
    train: Train


@dataclass
class Curve:
    """The losses of one training, and what ended it early: "" when nothing did."""

    losses: list[float] = field(default_factory=list)
    trouble: str = ""

    def smooth(self) -> np.ndarray:
        """The losses, each averaged with up to a twentieth of all steps before it."""
        losses = np.asarray(self.losses, dtype=float)
        window = max(1, len(losses) // 20)
        sums = np.cumsum(losses)
        before = np.concatenate([np.zeros(min(window, len(losses))), sums[:-window]])[: len(losses)]
        averages: np.ndarray = (sums - before) / np.minimum(np.arange(1, len(losses) + 1), window)
        return averages


@dataclass
class Comparison:
    """Both trainings, of equally many steps unless one ended early."""

    title: str
    yours: Curve = field(default_factory=Curve)
    right: Curve = field(default_factory=Curve)

    def summary(self) -> str:
        """What came of it, in a sentence or two."""
        if not self.yours.losses:
            return f"Yours did not get through its first step: {self.yours.trouble.rstrip('.')}."
        wrong, good = float(self.yours.smooth()[-1]), float(self.right.smooth()[-1])
        steps = len(self.right.losses)
        if self.yours.trouble:
            done = len(self.yours.losses)
            said = f"Yours ended in step {done + 1} of {steps}: {self.yours.trouble.rstrip('.')}."
            return f"{said} The right one arrives at {good:.3g}."
        start = float(self.right.smooth()[0])
        said = f"After {steps} steps the loss is {wrong:.3g} with yours and {good:.3g} with the right one"
        if self.yours.losses == self.right.losses:
            return f"{said}: the same at every step."
        if abs(wrong - good) < 0.15 * good:
            return f"{said}: hardly a difference. The loss does not show such a bug; only a check of the numbers does."
        if wrong > start:
            return f"{said}: yours learns nothing, and is worse off than at the start."
        if wrong > good + 0.5 * (start - good):
            return f"{said}: yours hardly learns."
        if wrong > good:
            return f"{said}: it learns, and nothing breaks, so one might blame the learning rate."
        return f"{said}: lower, this once; yours is wrong all the same."


def side_by_side(
    consequence: Consequence,
    yours: Callable[..., Any],
    right: Callable[..., Any],
    seconds: float = 2.0,
    steps: int = STEPS,
    seed: int = 0,
    after_step: Callable[[int], None] = lambda step: None,
    clock: Callable[[], float] = time.monotonic,
) -> Comparison:
    """Train with both candidates, taking turns step by step and drawing equal random numbers.

    Ends after ``steps`` steps or ``seconds``, and never before the first.  Whatever ``yours`` raises, or a loss that
    is not finite, ends that training alone and is told in its ``trouble``.  ``after_step`` is called with the number
    of each step; what it raises passes.  Raises ``ValueError`` when the right one fails: the lesson is at fault.
    """
    comparison = Comparison(consequence.title)
    trainings = {
        id(curve): consequence.train(candidate, np.random.default_rng(seed))
        for curve, candidate in ((comparison.yours, yours), (comparison.right, right))
    }
    end = clock() + seconds
    for step in range(1, steps + 1):
        for curve in (comparison.right, comparison.yours):
            if not curve.trouble:
                _advance(curve, trainings[id(curve)])
        if comparison.right.trouble:
            trouble = comparison.right.trouble
            raise ValueError(f"{consequence.title}: the solution itself fails in step {step}: {trouble}")
        after_step(step)
        if clock() >= end:
            break
    return comparison


def _advance(curve: Curve, training: Iterator[float]) -> None:
    try:
        with np.errstate(all="ignore"):  # an overflow is a result here, and is told as one
            loss = float(next(training))
    except StopIteration:
        curve.trouble = "the training ended by itself"
    except Exception as error:
        lines = getattr(error, "lines", None) or (f"{type(error).__name__}: {error}",)
        curve.trouble = "; ".join(lines)
    else:
        if np.isfinite(loss):
            curve.losses.append(loss)
        else:
            curve.trouble = f"the loss is {'not a number' if np.isnan(loss) else 'infinite'}"
