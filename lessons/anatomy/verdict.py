"""The answer to one attempt at an exercise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """Whether an attempt is right, and the lines to show when it is not (or worth saying when it is)."""

    passed: bool
    lines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.passed, (bool, np.bool_)):
            raise TypeError(
                f"Verdict: passed must be True or False, got {type(self.passed).__name__}; "
                "for arrays use Verdict.from_arrays"
            )
        if not isinstance(self.lines, tuple):
            raise TypeError('Verdict: lines must be a tuple of strings; write ("...",) for one line')

    @classmethod
    def all(cls, *verdicts: Verdict) -> Verdict:
        """Pass when every one of ``verdicts`` does; otherwise the lines, each once, of those that do not."""
        if not verdicts:
            raise ValueError("Verdict.all: give at least one verdict; a check of nothing cannot fail")
        failed = [verdict for verdict in verdicts if not verdict.passed]
        return cls(not failed, tuple(dict.fromkeys(line for verdict in failed or verdicts for line in verdict.lines)))

    @classmethod
    def from_arrays(cls, name: str, yours: Any, want: Any, tolerance: float) -> Verdict:
        """Compare one array with the wanted one and name its worst element.

        ``want`` may have any shape; ``yours`` must have the same shape and kind of dtype.  An element differs
        when it is more than ``tolerance * max|want|`` away (``tolerance`` itself where ``want`` is all zero),
        or is not finite.  Raises ``ValueError`` when the check itself is broken: ``want`` is empty or not
        finite, or ``tolerance`` is not a number between 0 and 1.
        """
        want = np.asarray(want)
        if want.size == 0 or not np.all(np.isfinite(want)):
            raise ValueError(f"Verdict.from_arrays: the wanted {name} must be non-empty and finite")
        if not 0 < tolerance < 1:
            raise ValueError(f"Verdict.from_arrays: tolerance must lie between 0 and 1, got {tolerance!r}")
        problem = _not_comparable(name, yours, want)
        if problem is not None:
            return cls(False, (problem,))

        yours = np.asarray(yours)
        with np.errstate(all="ignore"):
            distance = np.abs(np.subtract(yours, want, dtype=np.result_type(yours, want, np.float64)))
        distance = np.where(np.isfinite(yours), distance, math.inf)
        scale = float(np.abs(want).max()) or 1.0
        differs = distance > tolerance * scale
        count = int(np.count_nonzero(differs))
        if count == 0:
            return cls(True)
        worst = np.unravel_index(int(np.argmax(distance)), want.shape)
        element = f"{name}[{','.join(str(int(i)) for i in worst)}]" if want.ndim else name
        lines = [f"{element}  yours {_number(yours[worst])}  want {_number(want[worst])}  "
                 f"({count} of {want.size} differ)"]  # fmt: skip
        if yours.dtype != want.dtype:
            lines.append(f"{name} has dtype {yours.dtype}, want {want.dtype}")
        return cls(False, tuple(lines))

    @classmethod
    def from_tuples(cls, names: Sequence[str], yours: Any, want: Sequence[Any], tolerance: float) -> Verdict:
        """Compare a tuple of arrays, such as ``(dgamma, dbeta)``: each as `from_arrays` does."""
        if len(names) != len(want):
            raise ValueError(f"Verdict.from_tuples: {len(names)} names for {len(want)} wanted arrays")
        wanted = ", ".join(names)
        if not isinstance(yours, (tuple, list)):
            return cls(False, (f"want a tuple ({wanted}), yours is {_describe(yours)}",))
        if len(yours) != len(want):
            return cls(False, (f"want {len(want)} results ({wanted}), yours has {len(yours)}",))
        parts = zip(names, yours, want, strict=True)
        return cls.all(*(cls.from_arrays(name, mine, right, tolerance) for name, mine, right in parts))


def _not_comparable(name: str, yours: Any, want: np.ndarray) -> str | None:
    """Why ``yours`` cannot be compared with ``want`` element by element, or None when it can."""
    if yours is None:
        return f"{name} is None: does the function return its result?"
    scalar_is_fine = want.ndim == 0 and isinstance(yours, (bool, int, float, complex, np.generic))
    if not isinstance(yours, np.ndarray) and not scalar_is_fine:
        return f"{name} is {_describe(yours)}: return a NumPy array of shape {want.shape}"
    yours = np.asarray(yours)
    if yours.shape != want.shape:
        return f"{name} has shape {yours.shape}, want {want.shape}"
    if yours.dtype.kind != want.dtype.kind:
        return f"{name} has dtype {yours.dtype}, want {want.dtype}"
    return None


def _describe(value: Any) -> str:
    if value is None:
        return "None: does the function return its result?"
    kind = type(value).__name__
    if kind == "Tensor":
        return "a Tensor (.detach().numpy() gives its array)"
    if isinstance(value, np.ndarray):
        return f"one array of shape {value.shape}"
    return f"{'an' if kind[0].lower() in 'aeiou' else 'a'} {kind}"


def _number(value: Any) -> str:
    return f"{value:.9g}" if np.asarray(value).dtype.kind == "f" else str(value)
