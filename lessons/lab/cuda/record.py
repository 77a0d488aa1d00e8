"""What a launch did: every access to memory, by whom, at which instruction, in which interval between barriers."""

from __future__ import annotations

import linecache
import math
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from lessons.lab.cuda.faults import Fault

READ, WRITE, ATOMIC = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Site:
    """One instruction of a kernel, and the line of the source; in a launch, each has one `Site`."""

    code: CodeType
    line: int

    @property
    def text(self) -> str:
        """Such as "line 12: sums[t] += sums[t + reach]"; the source is left out where it is not at hand."""
        source = linecache.getline(self.code.co_filename, self.line).strip()
        return f"line {self.line}: {source}" if source else f"line {self.line}"


class Access(NamedTuple):
    """One thread's read or write of one element.

    ``block`` and ``thread`` are numbered along x first; ``interval`` counts the barriers that the thread has passed;
    ``address`` is in bytes from the start of the array; the order in the list is the order in which it happened.
    """

    block: int
    thread: int
    array: str
    kind: int
    element: int
    address: int
    site: Site
    interval: int


@dataclass(frozen=True)
class Place:
    """What an array is: its name in the kernel, "global" or "shared", its shape and its dtype."""

    name: str
    space: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def element(self, flat: int) -> str:
        """Such as "tile[1, 3]"."""
        index = np.unravel_index(flat, self.shape) if self.shape else ()
        return f"{self.name}[{', '.join(str(int(i)) for i in index)}]"


@dataclass
class Launch:
    """One launch of a kernel: grid and block as (x, y, z), its arrays by name, and what was recorded."""

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    arrays: dict[str, Place] = field(default_factory=dict)
    accesses: list[Access] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def blocks(self) -> int:
        return math.prod(self.grid)

    @property
    def threads(self) -> int:
        """Threads in a block."""
        return math.prod(self.block)

    def on(self, array: str, kind: int | None = None) -> list[Access]:
        """The accesses to one array, of all kinds or of one."""
        return [a for a in self.accesses if a.array == array and kind in (None, a.kind)]

    def name_of(self, thread: int, block: int | None = None) -> str:
        """Such as "thread (3, 1) of block 0"; the block is left out where there is but one."""
        said = f"thread {_shown(thread, self.block)}"
        return said if block is None or self.blocks == 1 else f"{said} of block {_shown(block, self.grid)}"


def _shown(number: int, shape: tuple[int, int, int]) -> str:
    x, y, z = number % shape[0], number // shape[0] % shape[1], number // (shape[0] * shape[1])
    if shape[2] > 1:
        return f"({x}, {y}, {z})"
    return f"({x}, {y})" if shape[1] > 1 else str(x)
