"""How long the first call of a kernel takes: with an empty cache, in which it is compiled, and in the next process."""

import importlib
import os
import tempfile
import time

from kernels.bench.case import OURS, Case
from kernels.bench.worker import Worker


def seconds(module: str, case: Case) -> tuple[float, float]:
    """Compiling, and from the cache, each in a process of its own and without the import of Numba itself.

    Raises WorkerFailed if the kernel does.
    """
    with tempfile.TemporaryDirectory() as cache:
        compiling, cached = (_first(module, case, cache) for _ in range(2))
    return compiling, cached


def _first(module: str, case: Case, cache: str) -> float:
    with Worker(OURS, {**os.environ, "NUMBA_CACHE_DIR": cache}) as worker:
        found: float = worker.call(__name__, "timed_here", module, case.name)
        return found


def timed_here(module: str, name: str) -> float:
    """Seconds for drawing the (small) data and the first call, in this process."""
    importlib.import_module("numba")
    case = next(one for one in importlib.import_module(module).CASES if one.name == name)
    start = time.perf_counter()
    case.make[OURS]()()
    return time.perf_counter() - start
