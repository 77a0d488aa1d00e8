"""What the memory system has to do for a launch: sectors and lines for each warp, and conflicts of banks.

32 threads of a block, neighbours along x, are a warp and execute an instruction together; each instruction that touches
memory is one request for 32 addresses or fewer. Global memory is fetched in sectors of 32 bytes, four of which are a
line of the cache: a request costs as many sectors as it touches. Shared memory has 32 banks of 4 bytes: a request takes
as many turns as its busiest bank has different words to deliver.

The recorder sees threads, not warps, so requests are put together afterwards: the k-th time that the lanes of a warp
come to an instruction is one request. Where lanes go round a loop unequally often, or an `if` inside of a loop splits
them, this is a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lessons.lab.cuda.record import ATOMIC, READ, WRITE, Access, Launch

WARP = 32
SECTOR, LINE = 32, 128  # bytes
BANKS, WORD = 32, 4


@dataclass(frozen=True)
class Traffic:
    """What was asked of global memory, and what it took; `least` is the sectors that hold the bytes, packed densely."""

    loads: int
    stores: int
    requests: int
    sectors: int
    lines: int
    least: int

    @property
    def per_request(self) -> float:
        return self.sectors / self.requests if self.requests else 0.0


def requests(launch: Launch, accesses: Sequence[Access]) -> np.ndarray:
    """For each access the number of the request that it belongs to, counted from 0 in order of first appearance."""
    seen: dict[tuple[Any, ...], int] = {}
    times: dict[tuple[Any, ...], int] = {}
    numbers = np.empty(len(accesses), dtype=int)
    for k, access in enumerate(accesses):
        own = access.block, access.thread, access.site, access.kind, access.array
        turn = times[own] = times.get(own, 0) + 1
        key = access.block, access.thread // WARP, access.site, access.kind, access.array, turn
        numbers[k] = seen.setdefault(key, len(seen))
    return numbers


def traffic(launch: Launch, array: str | None = None, kind: int | None = None) -> Traffic:
    """The traffic with global memory, with one array of it, or of one kind."""
    chosen = [
        access
        for access in launch.accesses
        if launch.arrays[access.array].space == "global"
        and array in (None, access.array)
        and kind in (None, access.kind)
    ]
    number = requests(launch, chosen)
    address = np.array([access.address for access in chosen], dtype=int)
    size = np.array([launch.arrays[access.array].dtype.itemsize for access in chosen], dtype=int)
    count = int(number.max(initial=-1)) + 1
    element_bytes = np.zeros(count, dtype=int)
    first = _distinct(number, address)
    np.add.at(element_bytes, number[first], size[first])
    return Traffic(
        loads=sum(access.kind == READ for access in chosen),
        stores=sum(access.kind in (WRITE, ATOMIC) for access in chosen),
        requests=count,
        sectors=len(_distinct(number, address // SECTOR)),
        lines=len(_distinct(number, address // LINE)),
        least=int((-(-element_bytes // SECTOR)).sum()),
    )


def bank_conflicts(launch: Launch, array: str | None = None, kind: int | None = None) -> tuple[int, int]:
    """(requests, turns) of shared memory: equal numbers where no two words of a request lie in one bank.

    Elements of 8 bytes go in two halves of a warp.
    """
    chosen = [
        access
        for access in launch.accesses
        if launch.arrays[access.array].space == "shared"
        and array in (None, access.array)
        and kind in (None, access.kind)
    ]
    words: dict[tuple[int, int], dict[int, set[int]]] = {}
    for number, access in zip(requests(launch, chosen), chosen, strict=True):
        size = max(launch.arrays[access.array].dtype.itemsize, WORD)
        word, half = access.address // size, access.thread % WARP // (WARP * WORD // size)
        words.setdefault((int(number), half), {}).setdefault(word % (BANKS * WORD // size), set()).add(word)
    turns = sum(max(len(each) for each in banks.values()) for banks in words.values())
    return len(words), turns


def _distinct(number: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The first position of each different pair."""
    if not len(number):
        return np.empty(0, dtype=int)
    return np.unique(number * (int(place.max()) + 1) + place, return_index=True)[1]


def summary(launch: Launch) -> dict[str, Any]:
    """A launch in plain numbers, as evidence for a check."""
    found = traffic(launch)
    shared = sum(launch.arrays[access.array].space == "shared" for access in launch.accesses)
    return {
        "kernel": launch.kernel,
        "blocks": launch.blocks,
        "threads": launch.threads,
        "loads": found.loads,
        "stores": found.stores,
        "requests": found.requests,
        "sectors": found.sectors,
        "least": found.least,
        "shared": shared,
    }
