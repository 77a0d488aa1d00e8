"""What a handful of runs says: their mean, and how far it may be off."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Student's t at 97.5 %, for samples of 2 to 30.
STUDENT_T = dict(
    zip(
        range(2, 31),
        (
            *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
            *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045),
        ),
        strict=True,
    )
)
NORMAL = 1.960


def mean_and_margin(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return the mean of a few independent runs and the half-width of its 95 % confidence interval.

    The margin is Student's, t * s / sqrt(n), which allows for the standard deviation s being estimated from the same
    n runs.  Two methods that share their seeds are compared by the differences, run by run.

    Raises:
        ValueError: fewer than two values: one run says nothing about its own spread.
    """
    runs = np.asarray(values, dtype=np.float64)
    if runs.ndim != 1 or len(runs) < 2:
        raise ValueError(f"mean_and_margin: expected at least two runs, in one dimension, got shape {runs.shape}")
    t = STUDENT_T.get(len(runs), NORMAL)
    return float(runs.mean()), float(t * runs.std(ddof=1) / np.sqrt(len(runs)))


def with_margin(values: Sequence[float] | np.ndarray, digits: int = 1) -> str:
    """Return mean and margin as text, such as "97.1 +- 0.4"."""
    mean, margin = mean_and_margin(values)
    return f"{mean:.{digits}f} +- {margin:.{digits}f}"
