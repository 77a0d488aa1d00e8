"""One piece of work that several libraries can do: what a line of the table is about."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Run = Callable[[], Any]

OURS, REFERENCE, TORCH = "ours", "reference", "torch"


@dataclass(frozen=True)
class Work:
    """What no way of doing it can avoid: each input read once, each result written once, the arithmetic done.

    `flops` counts a multiplication and an addition as two. `words` are 64 pairs of signs multiplied and added up,
    which takes one exclusive or and one popcount.
    """

    bytes: float
    flops: float = 0.0
    words: float = 0.0


@dataclass(frozen=True)
class Goal:
    """Our time over that of `of` at most `limit`; or, with `of="peak"`, our share of the machine's peak at least."""

    limit: float
    of: str = TORCH

    def met(self, value: float) -> bool:
        return value >= self.limit if self.of == "peak" else value <= self.limit

    def missed_by(self, value: float) -> float:
        """By which part of the limit a value misses it; 0 if it meets it."""
        return 0.0 if self.met(value) else abs(value - self.limit) / self.limit


@dataclass(frozen=True)
class Case:
    """One piece of work.

    `make` has a function for each library: it draws the inputs, always the same ones, and returns a function of no
    arguments that does the work and returns its results: an array, a number, or a sequence of them. It runs in the
    library's own process and imports the library itself.

    Every library's results must agree with those of `truth`: `tolerance` is the largest error allowed, relative to
    the largest element. Integers must be equal. Other libraries than ours may return fewer results: leading ones.
    """

    family: str
    name: str
    make: Mapping[str, Callable[[], Run]]
    work: Work | None = None
    goals: tuple[Goal, ...] = ()
    truth: str = REFERENCE
    tolerance: float = 1e-4
    quick: bool = False
    note: str = field(default="", compare=False)


def results(found: Any) -> list[Array]:
    """What a run returned, as NumPy arrays; None stands for a result that was not asked for and is left out."""
    several = found if isinstance(found, (tuple, list)) else (found,)
    return [np.asarray(one.detach() if hasattr(one, "detach") else one) for one in several if one is not None]


def disagreement(found: list[Array], expected: list[Array], tolerance: float) -> str:
    """What is wrong with the results, in words; "" if nothing is."""
    if not found or len(found) > len(expected):
        return f"{len(found)} results instead of {len(expected)}"
    for number, (a, b) in enumerate(zip(found, expected, strict=False), 1):
        which = f"result {number}" if len(expected) > 1 else "the result"
        if a.shape != b.shape:
            return f"{which} has shape {a.shape} instead of {b.shape}"
        if np.issubdtype(b.dtype, np.integer):
            wrong = int(np.count_nonzero(a != b))
            if wrong:
                return f"{which} differs in {wrong} of {b.size} integers"
            continue
        scale = float(np.abs(b).max(initial=0.0)) or 1.0
        error = float(np.abs(a.astype(np.float64) - b).max(initial=0.0)) / scale
        if not error <= tolerance:
            return f"{which} is off by {error:.1e} of its largest element, allowed are {tolerance:.0e}"
    return ""


def size(*shapes: tuple[int, ...], itemsize: int = 4) -> int:
    """Bytes of arrays with these shapes."""
    return itemsize * sum(math.prod(shape) for shape in shapes)


def draw(*shapes: tuple[int, ...], seed: int = 0) -> list[Array]:
    """Normal float32 numbers, the same in every process."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]
