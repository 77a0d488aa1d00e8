"""Fair timing of several ways to compute the same thing, in one process.

A clock rate that drifts or a neighbour that wakes up hits whoever runs at that moment. So the candidates take turns,
round after round, and are compared within each round; medians and quartiles say how steady the machine was.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Timing:
    """Seconds per call of one candidate, one number a round."""

    name: str
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Lower and upper quartile of the rounds, in seconds."""
        return quartiles(self.seconds)

    def ratios(self, baseline: "Timing") -> tuple[float, ...]:
        """Time of this one over time of the baseline in each round: below 1 is faster.

        Raises ValueError if the two were not measured in the same rounds.
        """
        if len(self.seconds) != len(baseline.seconds):
            raise ValueError(
                f"Timing.ratio: {self.name!r} has {len(self.seconds)} rounds and {baseline.name!r} has"
                f" {len(baseline.seconds)}; measure both in one call of interleaved()"
            )
        return tuple(ours / theirs for ours, theirs in zip(self.seconds, baseline.seconds, strict=True))

    def ratio(self, baseline: "Timing") -> float:
        """The median of `ratios`; raises what it raises."""
        return median(self.ratios(baseline))


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """Lower and upper quartile."""
    if len(values) == 1:
        return values[0], values[0]
    lower, _, upper = quantiles(values, n=4, method="inclusive")
    return lower, upper


def _time(function: Callable[[], object], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def interleaved(
    candidates: Mapping[str, Callable[[], object]], rounds: int = 7, min_time: float = 0.02
) -> dict[str, Timing]:
    """Times every candidate in turn, `rounds` times, each turn lasting about `min_time` seconds.

    Each candidate is called twice before anything is measured (compilation, first touch of memory), and once at
    the start of each of its turns (the other candidates' data has to leave the cache, their threads have to go
    to sleep). The garbage collector waits meanwhile. Raises ValueError for rounds < 1 or min_time < 0.
    """
    if rounds < 1:
        raise ValueError(f"interleaved: rounds must be at least 1, got {rounds}")
    if not min_time >= 0:
        raise ValueError(f"interleaved: min_time must be at least 0 seconds, got {min_time}")
    calls = {}
    for name, function in candidates.items():
        function()
        calls[name] = max(1, round(min_time / max(_time(function, 1), 1e-9)))
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, function in candidates.items():
                function()
                seconds[name].append(_time(function, calls[name]))
    finally:
        if collecting:
            gc.enable()
    return {name: Timing(name, tuple(taken)) for name, taken in seconds.items()}
