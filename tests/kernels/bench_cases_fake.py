"""Cases for the tests of the bench, as its workers see them: right, wrong, failing, crashing, and very slow ones."""

from __future__ import annotations

import os
import signal
import time

import numpy as np

from kernels.bench.case import OURS, REFERENCE, Case, Goal, Work


def computes(value, dtype=np.float32):
    return lambda: lambda: (np.array([1.0, value, 3.0], dtype), np.array([4, 5]))


def raises():
    raise ValueError("no such kernel\nand a second line")


def dies():
    os.kill(os.getpid(), signal.SIGKILL)


def dies_when_timed():
    calls = []

    def run():
        calls.append(1)
        if len(calls) > 1:
            dies()
        return computes(2.0)()()

    return run


def chatters():
    print("a library that prints to standard output")
    return computes(2.0)()


def sleeps():
    def run():
        print("sleeping", flush=True)
        time.sleep(600)

    return run


def environment():
    return lambda: np.array([int(os.environ["NUMBA_NUM_THREADS"]), int(os.environ.get("MALLOC_MMAP_MAX_", 7))])


def case(name, ours, **others):
    return Case("fake", name, {OURS: ours, REFERENCE: computes(2.0), **others}, Work(1200, flops=10), (Goal(0.5),))


CASES = (
    case("right", computes(2.0), other=chatters),
    case("wrong", computes(2.5)),
    case("nan", computes(np.nan)),
    case("other wrong", computes(2.0), other=computes(2.5)),
    case("raises", lambda: raises()),
    case("dies", dies),
    case("dies when timed", computes(2.0), other=dies_when_timed),
    case("sleeps", sleeps),
    Case("fake", "environment", {OURS: environment}, truth=OURS),
)
