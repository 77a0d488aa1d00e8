"""What is wrong with a kernel although its numbers may be right: races, bounds, barriers."""

from __future__ import annotations

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
    enough to remember, of those who read and of those who write: two threads since the last barrier, and two blocks.
    That does not depend on the order in which the threads happen to run.
    """

    __slots__ = ("_elements",)

    def __init__(self, size: int) -> None:
        self._elements: list[list[Touch | None] | None] = [None] * size

    def conflict(self, element: int, now: Touch) -> Touch | None:
        """Note a touch; the earlier one that it is not ordered with, or None."""
        known = self._elements[element]
        if known is None:
            known = self._elements[element] = [None] * (2 * _KEPT)
        kind = now[_KIND]
        found = None
        for each in known[_KEPT:] if kind == READ else known:
            if each is not None and _unordered(each, now) and (kind != ATOMIC or each[_KIND] != ATOMIC):
                found = each
                break
        _remember(known, 0 if kind == READ else _KEPT, now)
        return found

    def writer(self, element: int) -> int | None:
        """The thread that last wrote an element, or None."""
        known = self._elements[element]
        last = None if known is None else known[-1]
        return None if last is None else last[_THREAD]


_KEPT = 5  # touches of readers, then of writers: two threads since the last barrier, two blocks, and the last one


def _remember(known: list[Touch | None], first: int, now: Touch) -> None:
    one, block = known[first], known[first + 2]
    if one is None or one[_INTERVAL] != now[_INTERVAL]:
        known[first], known[first + 1] = now, None
    elif known[first + 1] is None and one[_THREAD] != now[_THREAD]:
        known[first + 1] = now
    if block is None:
        known[first + 2] = now
    elif known[first + 3] is None and block[_BLOCK] != now[_BLOCK]:
        known[first + 3] = now
    known[first + 4] = now


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
