"""The threads that work on a kernel together, and how they share it out.

A kernel hands over a job: `count` items of work that do not depend on each other. Whoever is free takes the next item,
until there are none, and the thread that brought the job takes part in it:

    item     0     1     2     3     4     5     6        A word that all threads add 1 to says which one is next.
    owner  [ ----------- ] [ ---- ] [ ----- ] [ ----]     The owner never waits for a thread that is late, or whose
    second       (late)  [--- ] [ ---------- ]            core works for somebody else: it takes the items itself.

So a second thread can only help. What an item computes does not depend on who takes it, hence neither does any bit of
the result.

    a job is open            the serial number of jobs is odd
    to take part             a thread adds itself to those at work, looks whether the job is still open, and if so,
                             takes items
    to close it              the owner makes the number even, and waits for those who are still at work

One job at a time: while the team is busy, other Python threads do their kernels by themselves; twice as many threads as
cores would only be in each other's way.

A thread without work watches the board for some 100 microseconds, which spans the time between two kernels of a
training step, and then goes to sleep, so that OpenBLAS, PyTorch or whoever else has threads can use its core. It sleeps
in Python, where all systems are alike: `get_num_threads`, which is asked before each kernel, wakes it up. A forked
child starts a team of its own when it first needs one.
"""

import atexit
import functools
import os
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from llvmlite import ir
from numba.core import config, types

from kernels.cpu.atomics import add, pause, poke, read, replace, write
from kernels.cpu.jit import Array, kernel
from kernels.cpu.simd.types import intrinsic

P = ParamSpec("P")
R = TypeVar("R")

# Words of the board.
BUSY, JOB, NEXT, COUNT, RUN, WORK, DATA, WORKERS, AT_WORK = range(9)

RUNS = 16  # runs of neighbouring items that each thread takes, if all are equally fast and there are enough of them

PATIENCE = 4000  # looks at the board before a thread goes to sleep, of 25 to 50 nanoseconds each

# Elements, or multiplications, below which a second thread gains nothing: waking it takes as long as the work.
PARALLEL_FROM = 1 << 16
MULTIPLICATIONS_FROM = 1 << 19


# ---- machine code


@intrinsic
def _do(typing_context: Any, work: Any, data: Any, worker: Any, item: Any) -> Any:
    """Calls the C function at address `work`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(64)
        function = ir.FunctionType(ir.VoidType(), [word] * 3).as_pointer()
        builder.call(builder.inttoptr(arguments[0], function), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


@kernel
def _take_part(worker: int) -> None:
    """Takes one run of items after the other, until there are none."""
    work, data, count, run = read(WORK), read(DATA), read(COUNT), read(RUN)
    first = add(NEXT, run)
    while first < count:
        for item in range(first, min(first + run, count)):
            _do(work, data, worker, item)
        first = add(NEXT, run)


@kernel
def share(work: int, data: int, workers: int, count: int) -> None:
    """Calls work(data, worker, item) for each item < count, with worker < workers: which of the threads takes it."""
    if workers > 1 and count > 1 and replace(BUSY, 0, 1):
        write(WORK, work)
        write(DATA, data)
        write(WORKERS, workers)
        write(COUNT, count)
        write(RUN, max(1, count // (workers * RUNS)))
        write(NEXT, 0)
        add(JOB, 1)
        _take_part(0)
        add(JOB, 1)
        while read(AT_WORK) > 0:
            pause()
        write(BUSY, 0)
    else:
        for item in range(count):
            _do(work, data, 0, item)


@kernel
def _serve(worker: int) -> None:
    """Takes part in jobs, until there has been none for a while."""
    looks = 0
    done = 0
    while looks < PATIENCE:
        job = read(JOB)
        if job % 2 == 1 and job != done:
            add(AT_WORK, 1)
            if read(JOB) == job and worker < read(WORKERS):
                _take_part(worker)
            add(AT_WORK, -1)
            done = job
            looks = 0
        else:
            pause()
            looks += 1


# ---- threads


class _Member:
    """A thread of the team, number `worker`; number 0 is whoever brings a job.

    It begins asleep, and so gets its machine code when a second kernel is called, not at the same time as the first
    one's: Numba prepares one function after the other.
    """

    def __init__(self, worker: int) -> None:
        self.worker, self.asleep, self.stop = worker, True, False
        self._wake = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._live, name=f"minigrad-{worker}", daemon=True)
        self._thread.start()

    def _live(self) -> None:
        while True:
            self._wake.acquire()
            if self.stop:
                return
            _serve(self.worker)
            self.asleep = True

    def wake(self) -> None:
        self.asleep = False
        self._wake.release()

    def end(self) -> None:
        self.stop = True
        self.wake()
        self._thread.join(1.0)


class _Limit(threading.local):
    """How many threads the kernels of one Python thread may use."""

    threads: int | None = None


_limit = _Limit()
_members: list[_Member] = []
_starting = threading.Lock()


def max_num_threads() -> int:
    """The cores of this machine that we may use, or `NUMBA_NUM_THREADS`."""
    settings: Any = config
    most: int = settings.NUMBA_NUM_THREADS
    return most


def get_num_threads() -> int:
    """How many threads the next kernel may use; they are awake when it begins."""
    threads = _limit.threads or max_num_threads()
    if threads > 1:
        if len(_members) < threads - 1:
            _start(threads - 1)
            return threads
        for member in _members[: threads - 1]:
            if member.asleep:
                member.wake()
    return threads


def workers_for(multiplications: int) -> int:
    """How many threads are worth waking for so much work; they are awake."""
    return get_num_threads() if multiplications >= MULTIPLICATIONS_FROM else 1


def set_num_threads(threads: int) -> None:
    """How many threads kernels may use that this Python thread calls."""
    _limit.threads = threads


def _start(count: int) -> None:
    with _starting:
        while len(_members) < count:
            _members.append(_Member(len(_members) + 1))


def _end() -> None:
    """Before Python ends: the machine code that threads are in will be gone."""
    for member in _members:
        member.end()


def _begin_anew() -> None:
    """In a forked child, where the threads are not, but the board as they left it."""
    global _starting
    _starting = threading.Lock()
    _members.clear()
    for word in (BUSY, JOB, AT_WORK):
        poke(word, 0)


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def single_threaded_when_small(function: Callable[P, R]) -> Callable[P, R]:
    """Runs a function of arrays on one thread if its first array has fewer than `PARALLEL_FROM` elements."""

    @functools.wraps(function)
    def limited(*args: P.args, **kwargs: P.kwargs) -> R:
        if cast(Array, args[0]).size >= PARALLEL_FROM:
            return function(*args, **kwargs)
        before = _limit.threads
        _limit.threads = 1
        try:
            return function(*args, **kwargs)
        finally:
            _limit.threads = before

    return limited
