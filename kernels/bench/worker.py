"""A process that holds one library: it keeps the data of a case, and says how long the work takes at this moment.

Two libraries in one process get into each other's way: their thread pools hold the same cores, and the first one to
free memory leaves it to the other. So each has a process of its own, with its number of threads and its allocator set
in the environment before it starts. They take turns: while one of them works, the others wait for their next line.

Requests and replies are pickles on the process's standard input and output. What a library prints goes to
standard error. A worker ends when its standard input does, so none outlives the program that started it.
"""

import contextlib
import gc
import importlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from kernels.bench.case import Array, Run, results

# What each allocator means for glibc: by default it gives large blocks back to the kernel at once, and every call that
# needs one again waits for fresh pages. Tuned, it keeps everything that the process once had.
ALLOCATORS: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "tuned": {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(1 << 26)},
}
THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def environment(threads: int, allocator: str) -> dict[str, str]:
    """The variables that a worker starts with; it finds modules where this process does."""
    path = os.pathsep.join(filter(None, sys.path))
    return {**os.environ, "PYTHONPATH": path, **dict.fromkeys(THREADS, str(threads)), **ALLOCATORS[allocator]}


class WorkerFailed(Exception):
    """The work raised an error, or the process ended; the message says which."""


class Worker:
    """The handle on one process. Use as a context manager: leaving it ends the process, whatever it is doing."""

    def __init__(self, name: str, variables: Mapping[str, str] | None = None):
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from kernels.bench.worker import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=None if variables is None else dict(variables),
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def prepare(self, module: str, case: str, library: str) -> None:
        """Draw the data of the case called `case` in `module.CASES`, and forget those of the one before."""
        self._ask("prepare", module, case, library)

    def result(self) -> list[Array]:
        """What the work computes, as arrays."""
        found: list[Array] = self._ask("result")
        return found

    def time(self, calls: int, warm: float = 0.0) -> float:
        """Seconds per call: the mean of `calls` calls, after one more and at least `warm` seconds of them."""
        seconds: float = self._ask("time", calls, warm)
        return seconds

    def call(self, module: str, function: str, *args: Any) -> Any:
        """What any function of any module returns there."""
        return self._ask("call", module, function, *args)

    def _ask(self, *request: Any) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            pickle.dump(request, stdin)
            stdin.flush()
            verdict, value = pickle.load(stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise WorkerFailed(f"its process ended {_how(self._stopped())}") from None
        if verdict == "error":
            raise WorkerFailed(value)
        return value

    def _stopped(self) -> int:
        try:
            return self._process.wait(timeout=5)  # it has closed its output, so it is about to end
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # a request that nobody will read is flushed into a closed pipe
                    pipe.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _how(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"by signal {-code}"


# --- the other side ---------------------------------------------------------------------------------------------------


class _Service:
    """What the requests mean, in the process that carries them out."""

    def __init__(self) -> None:
        self.run: Run = no_case

    def prepare(self, module: str, case: str, library: str) -> None:
        self.run = no_case
        gc.collect()
        cases = {one.name: one for one in importlib.import_module(module).CASES}
        self.run = cases[case].make[library]()
        gc.freeze()  # what is there now stays: collecting garbage between turns need not look at it

    def result(self) -> list[Array]:
        return results(self.run())

    def time(self, calls: int, warm: float) -> float:
        run = self.run
        gc.collect()  # before the calls that warm caches and wake threads, which it would let cool and fall asleep
        gc.disable()
        try:
            until = time.perf_counter() + warm
            run()
            while time.perf_counter() < until:
                run()
            start = time.perf_counter()
            for _ in range(calls):
                run()
            return (time.perf_counter() - start) / calls
        finally:
            gc.enable()

    def call(self, module: str, function: str, *args: Any) -> Any:
        return getattr(importlib.import_module(module), function)(*args)


def no_case() -> None:
    raise RuntimeError("no case was prepared")


def serve() -> None:
    """Answers requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the program ends us, in its order
    requests = sys.stdin.buffer
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    service = _Service()
    with contextlib.suppress(BrokenPipeError):
        while True:
            try:
                request, *args = pickle.load(requests)
            except EOFError:
                return
            try:
                reply = ("value", getattr(service, request)(*args))
            except Exception as error:
                reply = ("error", f"{type(error).__name__}: {error}".splitlines()[0])
            pickle.dump(reply, replies)
            replies.flush()
