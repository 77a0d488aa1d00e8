"""Threads and compilation: what a user of the kernels may want to steer."""

import importlib
import importlib.util

from kernels.errors import KernelError


def max_num_threads() -> int:
    """The cores of this machine that we may use, or `NUMBA_NUM_THREADS` if that is set."""
    from kernels.cpu import team

    return team.max_num_threads()


def get_num_threads() -> int:
    """How many threads the compiled kernels may use."""
    from kernels.cpu import team

    return team.get_num_threads()


def set_num_threads(n: int) -> None:
    """Limits the compiled kernels to n threads, and NumPy's matrix products too if threadpoolctl is installed.

    (Without it, set `OPENBLAS_NUM_THREADS` before NumPy is imported.) No result of a kernel depends on n, bit for bit;
    those of matrix products may in their last bits. It holds for the thread of Python that calls it; others start with
    `max_num_threads()`.

    Raises KernelError if n is not a whole number between 1 and `max_num_threads()`.
    """
    most = max_num_threads()
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= most:
        raise KernelError(f"set_num_threads: n must be a whole number from 1 to {most}, got {n!r}")
    from kernels.cpu import team

    team.set_num_threads(n)
    if importlib.util.find_spec("threadpoolctl") is not None:
        importlib.import_module("threadpoolctl").threadpool_limits(n, user_api="blas")


def cache_folder() -> str | None:
    """The folder that machine code is written to, or None if there is none: then every process compiles anew."""
    from kernels.cpu import cache

    return cache.writable_folder()


def warmup() -> None:
    """Compiles every kernel for float32 and float64, or reads it from the cache on disk.

    Without it, each kernel is compiled when it is first needed.
    """
    from kernels.cpu import warmup as every_kernel

    every_kernel.warmup()
