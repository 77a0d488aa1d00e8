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

from lessons.lab.cuda.record import READ, Access, Launch

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
    block, thread, site = _column(accesses, "block"), _column(accesses, "thread"), _sites(accesses)
    own = _numbered(block, thread, site)
    # How often the same thread has been at the same instruction before.
    order = np.argsort(own, kind="stable")
    first = np.searchsorted(own[order], own[order], side="left")
    turn = np.empty(len(own), dtype=int)
    turn[order] = np.arange(len(own)) - first
    return _numbered(block, thread // WARP, site, turn)


def traffic(launch: Launch, array: str | None = None, kind: int | None = None) -> Traffic:
    """The traffic with global memory, with one array of it, or of one kind."""
    chosen = _chosen(launch, "global", array, kind)
    number, address = requests(launch, chosen), _column(chosen, "address")
    sizes = {name: place.dtype.itemsize for name, place in launch.arrays.items()}
    size = np.array([sizes[access.array] for access in chosen], dtype=int)
    count = int(number.max(initial=-1)) + 1
    first = _first_of_each(number, address)
    used = np.bincount(number[first], weights=size[first], minlength=count)
    loads = sum(access.kind == READ for access in chosen)
    return Traffic(
        loads=loads,
        stores=len(chosen) - loads,
        requests=count,
        sectors=len(_first_of_each(number, address // SECTOR)),
        lines=len(_first_of_each(number, address // LINE)),
        least=int(np.ceil(used / SECTOR).sum()),
    )


def bank_conflicts(launch: Launch, array: str | None = None, kind: int | None = None) -> tuple[int, int]:
    """(requests, turns) of shared memory: equal numbers where no two words of a request lie in one bank.

    Elements of 8 bytes go in two halves of a warp.
    """
    chosen = _chosen(launch, "shared", array, kind)
    words: dict[tuple[int, int], dict[int, set[int]]] = {}
    for number, access in zip(requests(launch, chosen), chosen, strict=True):
        size = max(launch.arrays[access.array].dtype.itemsize, WORD)
        word, half = access.address // size, access.thread % WARP // (WARP * WORD // size)
        words.setdefault((int(number), half), {}).setdefault(word % (BANKS * WORD // size), set()).add(word)
    turns = sum(max(len(each) for each in banks.values()) for banks in words.values())
    return len(words), turns


def _chosen(launch: Launch, space: str, array: str | None, kind: int | None) -> list[Access]:
    names = {name for name, place in launch.arrays.items() if place.space == space and array in (None, name)}
    return [access for access in launch.accesses if access.array in names and kind in (None, access.kind)]


def _column(accesses: Sequence[Access], name: str) -> np.ndarray:
    return np.array([getattr(access, name) for access in accesses], dtype=int)


def _sites(accesses: Sequence[Access]) -> np.ndarray:
    """A number for each instruction and what it does to which array."""
    known: dict[tuple[int, int, str], int] = {}
    return np.array([known.setdefault((id(a.site), a.kind, a.array), len(known)) for a in accesses], dtype=int)


def _numbered(*columns: np.ndarray) -> np.ndarray:
    """The same number for the same combination of values, counted from 0 in order of first appearance."""
    combined = np.zeros(len(columns[0]), dtype=int)
    for column in columns:
        combined = combined * (int(column.max(initial=0)) + 1) + column
    _, first, number = np.unique(combined, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=int)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[number]


def _first_of_each(number: np.ndarray, place: np.ndarray) -> np.ndarray:
    """The first position of each different pair."""
    combined = number * (int(place.max(initial=0)) + 1) + place
    return np.unique(combined, return_index=True)[1]


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
