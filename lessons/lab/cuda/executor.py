"""Launching kernels: blocks one after another, and in a block the threads in turns, from barrier to barrier.

How does one thread of Python run many that wait for each other? A kernel's thread depends on nothing but what it reads.
So it is run until it reaches a barrier, and thrown away. When all have arrived, it is run again from its start: what
it has read before comes out of a list, what it has written before is skipped, and so it arrives at the barrier exactly
as it was, and goes on. That costs the square of the number of barriers, and needs nothing of the system: no threads, of
which a confined process may have few, and no source to transform.
"""

from __future__ import annotations

import bisect
import contextlib
import dis
import functools
import itertools
import math
import random
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lessons.lab import evidence
from lessons.lab.cuda import faults
from lessons.lab.cuda.memory import DeviceArray, Memory, garbage
from lessons.lab.cuda.record import Launch, Place, Site
from lessons.lab.cuda.traffic import summary

MOST_THREADS = 1024  # of a block, on every GPU since 2010
SHARED = 48 * 1024  # bytes of shared memory that a block can have without asking for more


class _Index:
    """What cuda.threadIdx and its relatives are: three numbers, set anew for each thread."""

    __slots__ = ("x", "y", "z")

    def __init__(self) -> None:
        self.set((0, 0, 0))

    def set(self, values: Sequence[int]) -> None:
        self.x, self.y, self.z = values


threadIdx, blockIdx, blockDim, gridDim = _Index(), _Index(), _Index(), _Index()


class _AtBarrier(BaseException):
    """Ends the run of a thread at a barrier that it has not passed yet."""


class _Thread:
    """What is known of a thread between two of its runs."""

    __slots__ = ("at", "ended", "index", "log", "number", "passed")

    def __init__(self, number: int, index: tuple[int, int, int]) -> None:
        self.number, self.index = number, index
        self.log: list[Any] = []  # the value of each access so far
        self.passed = 0  # barriers
        self.at: Site | None = None  # the barrier where it waits
        self.ended = False


class Execution:
    """A launch that is under way.

    For `Memory`: ``block``, ``thread`` and ``interval`` say who is running, ``epoch`` numbers the intervals over all
    blocks; ``log`` has the values of the accesses that the running thread has made so far, of which it has come to
    number ``access`` in this run.
    """

    def __init__(self, launch: Launch, keeps: bool, stops: bool) -> None:
        self.launch, self.keeps, self.stops = launch, keeps, stops
        self.block = self.thread = self.interval = self.epoch = self.access = 0
        self.log: list[Any] = []
        self.sites: dict[tuple[int, int], Site] = {}
        self._running: _Thread | None = None
        self._first_epoch = 0
        self._shared: list[Memory] = []
        self._unwritten: dict[tuple[int, int], tuple[Memory, int, Site]] = {}
        self._found: list[tuple[faults.Fault, Site]] = []
        self._seen: set[tuple[type, int, int]] = set()
        self._barrier = self._allocation = 0

    # ---- what memory asks

    def site(self, code: types.CodeType, offset: int, line: int) -> Site:
        """The instruction of ``code`` that is under way at ``offset``."""
        known = self.sites.get((id(code), offset))
        if known is None:
            starts = _starts(code)
            first = starts[bisect.bisect_right(starts, offset) - 1]
            known = self.sites.setdefault((id(code), first), Site(code, line))
            self.sites[id(code), offset] = known
        return known

    def report(self, fault: faults.Fault, site: Site) -> None:
        """Note a fault; it is raised at the end of the interval, when all is known that may be its cause."""
        self._found.append((fault, site))

    def unwritten(self, memory: Memory, element: int, site: Site) -> None:
        """Note that the running thread reads what nobody has written so far."""
        self._unwritten.setdefault((id(memory), element), (memory, self.thread, site))

    # ---- what kernels ask

    def synchronise(self, site: Site) -> None:
        assert self._running is not None
        self._barrier += 1
        if self._barrier > self._running.passed:
            self._running.at = site
            raise _AtBarrier
        self.interval = self._barrier
        self.epoch = self._first_epoch + self._barrier

    def shared_array(self, shape: Any, dtype: Any, frame: types.FrameType) -> Memory:
        """The block's array: its threads ask for their arrays in the same order."""
        self._allocation += 1
        if self._allocation > len(self._shared):
            array = garbage(shape, dtype)
            name = _assigned_to(frame.f_code, frame.f_lasti) or f"shared{self._allocation}"
            place = Place(name, "shared", array.shape, array.dtype)
            self.launch.arrays[name] = place
            self._shared.append(Memory(array, place, self))
            used = sum(each.size * each.dtype.itemsize for each in self._shared)
            if used > SHARED:
                raise faults.LaunchError(f"a block's shared arrays take {used} bytes, and it may have {SHARED}")
        return self._shared[self._allocation - 1]

    # ---- running

    def run(self, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        gridDim.set(self.launch.grid)
        blockDim.set(self.launch.block)
        indices = [index[::-1] for index in itertools.product(*map(range, self.launch.block[::-1]))]
        blocks = [index[::-1] for index in itertools.product(*map(range, self.launch.grid[::-1]))]
        threads: list[_Thread] = []
        for self.block, index in enumerate(blocks):
            blockIdx.set(index)
            self._shared = []
            self._first_epoch += 1 + max((thread.passed for thread in threads), default=0)
            threads = [_Thread(k, each) for k, each in enumerate(indices)]
            self._run_block(function, arguments, threads)

    def _run_block(self, function: Callable[..., Any], arguments: Sequence[Any], threads: list[_Thread]) -> None:
        while True:
            for thread in _ordered(threads):
                self._run_thread(function, arguments, thread)
            waiting = [thread for thread in threads if not thread.ended]
            if waiting:
                self._require_all(threads, waiting)
            self._end_interval()
            if not waiting:
                return
            for thread in waiting:
                thread.passed += 1

    def _run_thread(self, function: Callable[..., Any], arguments: Sequence[Any], thread: _Thread) -> None:
        if thread.ended:
            return
        self._running, self.thread, self.log = thread, thread.number, thread.log
        self.interval, self.epoch = 0, self._first_epoch
        self.access = self._barrier = self._allocation = 0
        threadIdx.set(thread.index)
        try:
            function(*arguments)
        except _AtBarrier:
            return
        except Exception:
            self._end_interval()  # what was found before may be the reason
            raise
        thread.ended = True

    def _end_interval(self) -> None:
        """Raise what was found in this interval, or keep it: each kind once for each line of the source.

        What a thread has read before anybody wrote it is a race when another one has written it meanwhile, and was
        found as such; otherwise it is the memory's old content.
        """
        for (_, element), (memory, thread, site) in self._unwritten.items():
            if memory.writer(element) in (None, thread):
                self.report(memory.uninitialised(element, thread, site), site)
        self._unwritten.clear()
        found, self._found = self._found, []
        if found and self.stops:
            raise found[-1][0] if isinstance(found[-1][0], faults.BarrierDivergence) else found[0][0]
        for fault, site in found:
            key = type(fault), id(site.code), site.line
            if key not in self._seen:
                self._seen.add(key)
                self.launch.faults.append(fault)

    def _require_all(self, threads: list[_Thread], waiting: list[_Thread]) -> None:
        """Every thread must wait at the same barrier."""
        first = waiting[0]
        assert first.at is not None
        ended = next((thread for thread in threads if thread.ended), None)
        other = next((thread for thread in waiting if thread.at != first.at), None)
        if ended is None and other is None:
            return
        name = self.launch.name_of
        here = f"{name(first.number, self.block)} waits at cuda.syncthreads() ({first.at.text}), and "
        if ended is not None:
            fault = f"{here}{name(ended.number)} has ended without reaching it"
        else:
            assert other is not None
            assert other.at is not None
            fault = f"{here}{name(other.number)} waits at another ({other.at.text})"
        self.report(faults.BarrierDivergence(f"{fault}: all threads of a block must reach it, or none"), first.at)


def _ordered(threads: list[_Thread]) -> list[_Thread]:
    if _schedule == "ascending":
        return threads
    if _schedule == "descending":
        return threads[::-1]
    assert isinstance(_schedule, random.Random)
    return _schedule.sample(threads, len(threads))


@functools.cache
def _starts(code: types.CodeType) -> list[int]:
    """Where the instructions begin.  An instruction that Python has specialised is under way in the cache behind it."""
    return [step.offset for step in dis.get_instructions(code) if step.opname != "CACHE"]


@functools.cache
def _assigned_to(code: types.CodeType, offset: int) -> str:
    """The name of the variable to which the call at this place of the code is assigned, or ""."""
    following = next(
        (step for step in dis.get_instructions(code) if step.offset > offset and step.opname != "CACHE"), None
    )
    return str(following.argval) if following is not None and following.opname.startswith("STORE") else ""


# ---- what a process has but once

_now: Execution | None = None
_schedule: str | random.Random = "ascending"
_recordings: list[tuple[list[Launch], bool]] = []


def _current(name: str) -> Execution:
    if _now is None:
        raise RuntimeError(f"cuda.{name} has a meaning in a kernel only, and no kernel is running")
    return _now


@contextlib.contextmanager
def recording(stop: bool = True) -> Iterator[list[Launch]]:
    """Collect the launches in the block, with all their accesses.

    ``stop=False`` collects faults in `Launch.faults`, where the kernel can go on after them, instead of raising them.
    """
    launches: list[Launch] = []
    _recordings.append((launches, stop))
    try:
        yield launches
    finally:
        _recordings.pop()


@contextlib.contextmanager
def schedule(order: str | int) -> Iterator[None]:
    """Run a block's threads "ascending", "descending", or shuffled anew in each interval, by a seed."""
    global _schedule
    if order not in ("ascending", "descending") and not isinstance(order, int):
        raise ValueError(f'schedule: "ascending", "descending" or a seed, got {order!r}')
    before, _schedule = _schedule, random.Random(order) if isinstance(order, int) else order
    try:
        yield
    finally:
        _schedule = before


# ---- kernels


class Kernel:
    """A function made a kernel by `jit`: ``kernel[blocks, threads](arguments)`` runs it."""

    def __init__(self, py_func: Callable[..., Any]) -> None:
        functools.update_wrapper(self, py_func)
        self.py_func = py_func

    def __getitem__(self, configuration: Any) -> Callable[..., None]:
        if not isinstance(configuration, tuple) or len(configuration) < 2:
            raise ValueError(f"{self.py_func.__name__}: launch with [blocks, threads], such as kernel[4, 32](x, out)")
        return functools.partial(self._launch, _sizes("grid", configuration[0]), _sizes("block", configuration[1]))

    def __call__(self, *arguments: Any) -> Any:
        """Inside of a kernel, a call as of any function."""
        if _now is None:
            raise TypeError(f"{self.py_func.__name__} is a kernel: launch it, {self.py_func.__name__}[blocks, threads]")
        return self.py_func(*arguments)

    def _launch(self, blocks: tuple[int, int, int], threads: tuple[int, int, int], *arguments: Any) -> None:
        global _now
        name = self.py_func.__name__
        if _now is not None:
            raise RuntimeError(f"{name} is launched from a kernel; only the host launches")
        if math.prod(threads) > MOST_THREADS:
            raise faults.LaunchError(f"{name}: a block of {threads} threads; it can have {MOST_THREADS} at most")
        launches, stops = _recordings[-1] if _recordings else ([], True)
        launch = Launch(name, blocks, threads)
        launches.append(launch)
        execution = Execution(launch, bool(_recordings) or evidence.wanted(), stops)
        _now = execution
        try:
            with np.errstate(all="ignore"):  # a GPU does not warn
                execution.run(self.py_func, _as_memory(self.py_func, arguments, execution))
        finally:
            _now = None
        if evidence.wanted():
            evidence.tell(summary(launch))


def _as_memory(function: Callable[..., Any], arguments: Sequence[Any], execution: Execution) -> list[Any]:
    """The arguments as the kernel sees them; the same array twice is the same memory."""
    names = function.__code__.co_varnames
    known: dict[int, Memory] = {}
    seen: list[Any] = []
    for name, argument in zip(names, arguments, strict=False):
        array = argument.array if isinstance(argument, DeviceArray) else argument
        if not isinstance(array, np.ndarray):
            seen.append(argument)
            continue
        if id(array) not in known:
            place = Place(name, "global", array.shape, array.dtype)
            execution.launch.arrays[name] = place
            known[id(array)] = Memory(array, place, execution)
        seen.append(known[id(array)])
    return seen


def _sizes(what: str, given: Any) -> tuple[int, int, int]:
    sizes = tuple(int(size) for size in (given if isinstance(given, (tuple, list)) else (given,)))
    if len(sizes) > 3 or any(size < 1 for size in sizes):
        raise faults.LaunchError(f"a {what} of size {given}: one to three positive numbers")
    x, y, z = (*sizes, 1, 1)[:3]
    return x, y, z


def jit(function: Any = None, *, device: bool = False, **options: Any) -> Any:
    """Make a function a kernel; with ``device=True`` it stays one that kernels call. Other options do nothing here."""
    if function is None or not callable(function):  # with parentheses, perhaps with a signature
        return functools.partial(jit, device=device, **options)
    return function if device else Kernel(function)


def twin(function: Any, cuda: Any) -> Any:
    """The same kernel, or function that makes and launches kernels, with another module in the place of this one.

    `twin(kernel, numba.cuda)` is for a GPU.
    """
    plain = function.py_func if isinstance(function, Kernel) else function
    names = {**plain.__globals__, "cuda": cuda}
    made = types.FunctionType(plain.__code__, names, plain.__name__, plain.__defaults__, plain.__closure__)
    made.__module__, made.__qualname__ = plain.__module__, plain.__qualname__
    return cuda.jit(made) if isinstance(function, Kernel) else made


# ---- functions of a kernel


def grid(ndim: int) -> Any:
    """The place of this thread among all threads of the grid: a number, or one for each axis."""
    _current("grid")
    place = [b.x * d.x + t.x for b, d, t in ((blockIdx, blockDim, threadIdx),)]
    place.append(blockIdx.y * blockDim.y + threadIdx.y)
    place.append(blockIdx.z * blockDim.z + threadIdx.z)
    return place[0] if ndim == 1 else tuple(place[:ndim])


def gridsize(ndim: int) -> Any:
    """How many threads the grid has, along each axis."""
    _current("gridsize")
    sizes = (gridDim.x * blockDim.x, gridDim.y * blockDim.y, gridDim.z * blockDim.z)
    return sizes[0] if ndim == 1 else sizes[:ndim]


def syncthreads() -> None:
    """Wait until all threads of the block are here."""
    now = _current("syncthreads")
    frame = sys._getframe(1)
    now.synchronise(now.site(frame.f_code, frame.f_lasti, frame.f_lineno))


class _Shared:
    @staticmethod
    def array(shape: Any, dtype: Any) -> Memory:
        """Memory that the threads of a block share."""
        return _current("shared.array").shared_array(shape, dtype, sys._getframe(1))


class _Local:
    @staticmethod
    def array(shape: Any, dtype: Any) -> np.ndarray:
        """Memory of one thread: registers, on a GPU, where sizes and indices are known to the compiler."""
        _current("local.array")
        return garbage(shape, dtype)


class _Atomic:
    @staticmethod
    def add(array: Memory, index: Any, value: Any) -> Any:
        """Add to an element so that no other thread comes between reading and writing it; returns the old value."""
        _current("atomic.add")
        return array.add(index, value)


shared, local, atomic = _Shared(), _Local(), _Atomic()
