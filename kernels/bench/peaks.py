"""What this machine reaches at best, and the time that follows for a piece of work: its floor."""

from dataclasses import dataclass

from kernels.bench.case import Work


@dataclass(frozen=True)
class Floor:
    """No kernel on this machine does the work in less than `seconds`; `limit` is what it would wait for."""

    seconds: float
    limit: str  # "memory", "flops" or "popcounts"


@dataclass(frozen=True)
class Peaks:
    """Measured on this machine with so many threads; `limits.measure` does it.

    `flops` counts float32 operations a second, a fused multiply-add as two; `words` the 64-bit words a second that
    are combined by exclusive or, counted and added up; `bandwidths` has bytes read and written a second for arrays
    of so many bytes in all, from those that fit into the innermost caches to those that fit into none.
    """

    threads: int
    flops: float
    words: float
    bandwidths: tuple[tuple[int, float], ...]

    def bandwidth(self, size: float) -> float:
        """The best that was measured for arrays of this many bytes or more: as fast as the cache that holds them."""
        larger = [speed for measured, speed in self.bandwidths if measured >= size]
        return max(larger) if larger else self.bandwidths[-1][1]

    def floor(self, work: Work) -> Floor:
        """The longest of the three times that the work needs for its bytes, its flops and its popcounts."""
        return max(
            Floor(work.bytes / self.bandwidth(work.bytes), "memory"),
            Floor(work.flops / self.flops, "flops"),
            Floor(work.words / self.words, "popcounts"),
            key=lambda floor: floor.seconds,
        )

    def share(self, work: Work, seconds: float) -> float:
        """The share of the peak of its arithmetic that work done in this time reaches, whatever it waits for."""
        peak = work.words / self.words if work.words else work.flops / self.flops
        return peak / seconds
