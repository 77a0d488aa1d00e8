"""What is wrong with a kernel although its numbers may be right: races, bounds, barriers."""

from __future__ import annotations

from typing import Any

from lessons.lab.cuda.record import ATOMIC, READ, WRITE, Launch, Place, Site


class Fault(Exception):
    """A kernel does what a GPU gives no meaning to; the message says who, where and what to do."""


class LaunchError(Fault):
    """A grid or a block of an impossible size."""


class OutOfBounds(Fault):
    """An element that does not exist."""


class Uninitialised(Fault):
    """Shared memory is read before anything was written there."""


class Race(Fault):
    """Two threads touch one element, at least one of them writes, and nothing says who comes first."""


class BarrierDivergence(Fault):
    """Not all threads of a block reach the same syncthreads()."""


_KINDS = {kind.__name__: kind for kind in (LaunchError, OutOfBounds, Uninitialised, Race, BarrierDivergence)}


def faults_of(error: BaseException) -> tuple[str, ...]:
    """The lines of the fault that ended a candidate, also one in a process of its own; () for any other error."""
    if isinstance(error, Fault):
        return (f"{type(error).__name__}: {error}",)
    lines = tuple(getattr(error, "lines", ()))
    return lines if lines and str(lines[0]).split(":")[0] in _KINDS else ()


# Who touches an element: the number of the interval, counted over all blocks; thread; block; kind of access; where.
Touch = tuple[int, int, int, int, Site]
_INTERVAL, _THREAD, _BLOCK, _KIND, _SITE = range(5)


class Watch:
    """Who has touched each element of one array, as much as is needed to see the next conflict.

    Two accesses of one block are ordered when a barrier lies between them, accesses of two blocks never are. So it is
    enough to remember the last write, readers by two threads since the last barrier, and readers of two blocks. That
    does not depend on the order in which the threads happen to run.
    """

    __slots__ = ("_elements",)

    def __init__(self, size: int) -> None:
        self._elements: list[list[Any] | None] = [None] * size

    def conflict(self, element: int, now: Touch) -> Touch | None:
        """Note a touch; the earlier one that it is not ordered with, or None."""
        known = self._elements[element]
        interval, thread, block, kind, _ = now
        if known is None:
            self._elements[element] = [None, now, None, now, None] if kind == READ else [now, None, None, None, None]
            return None
        written, reader, other_reader, block_reader, other_block_reader = known
        found = None
        if written is not None and (kind != ATOMIC or written[_KIND] != ATOMIC) and _unordered(written, now):
            found = written
        if kind == READ:
            if reader is None or reader[_INTERVAL] != interval:
                known[1], known[2] = now, None
            elif other_reader is None and reader[_THREAD] != thread:
                known[2] = now
            if block_reader is None:
                known[3] = now
            elif other_block_reader is None and block_reader[_BLOCK] != block:
                known[4] = now
            return found
        if found is None:
            earlier = (reader, other_reader, block_reader, other_block_reader)
            found = next((each for each in earlier if each is not None and _unordered(each, now)), None)
        known[0] = now
        return found

    def writer(self, element: int) -> int | None:
        """The thread that last wrote an element, or None."""
        known = self._elements[element]
        return None if known is None or known[0] is None else int(known[0][_THREAD])


def _unordered(one: Touch, other: Touch) -> bool:
    if one[_BLOCK] != other[_BLOCK]:
        return True
    return one[_THREAD] != other[_THREAD] and one[_INTERVAL] == other[_INTERVAL]


def _said(touch: Touch, launch: Launch, place: Place) -> str:
    _, thread, block, kind, site = touch
    verb = {READ: "reads", WRITE: "writes", ATOMIC: "adds to"}[kind]
    return f"{launch.name_of(thread, None if place.space == 'shared' else block)} {verb} it ({site.text})"


def race(launch: Launch, place: Place, element: int, first: Touch, second: Touch) -> Race:
    what = f"{place.element(element)}: {_said(first, launch, place)}, {_said(second, launch, place)}"
    if first[_BLOCK] != second[_BLOCK]:
        return Race(
            f"{what}. Blocks cannot wait for each other: let one thread write each element, use cuda.atomic.add, or "
            "launch a second kernel"
        )
    what += ", and no cuda.syncthreads() stands between them"
    if place.space == "global":
        return Race(f"{what}: let one thread write each element, use cuda.atomic.add, or wait")
    return Race(what)
