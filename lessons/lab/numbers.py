"""How far apart two results are."""

from __future__ import annotations

from typing import Any

import numpy as np


def error(got: Any, want: Any) -> float:
    """Return the largest difference, as a fraction of the largest wanted entry; NaN where either has one."""
    got, want = np.asarray(got), np.asarray(want)
    return float(np.abs(got - want).max() / np.abs(want).max())
