"""Combining what the threads of a block have found: a tree over shared memory, in the same order every time."""

from collections.abc import Callable
from typing import Any

from numba import cuda


def tree(combine: Callable[..., Any]) -> Any:
    """The device function `(shared, place, rank, ranks, step)` after which rank 0 has everybody's part.

    Every thread of the block calls it, with its part at `place` of shared memory; the part of the next rank lies
    `step` behind, and `ranks` is a power of two. `combine(shared, into, other)` changes the part at `into`.
    """

    @cuda.jit(device=True)
    def gather(shared, place, rank, ranks, step):
        cuda.syncthreads()
        reach = ranks // 2
        while reach:
            if rank < reach:
                combine(shared, place, place + reach * step)
            cuda.syncthreads()
            reach //= 2

    return gather
