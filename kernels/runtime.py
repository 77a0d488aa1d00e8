"""Threads and compilation: the parts of Numba that a user of the kernels may want to steer."""

from typing import Any

from kernels.errors import KernelError


def max_num_threads() -> int:
    """How many threads Numba started with: the cores of this machine, or `NUMBA_NUM_THREADS`."""
    from numba import config

    settings: Any = config
    most: int = settings.NUMBA_NUM_THREADS
    return most


def get_num_threads() -> int:
    """How many threads the compiled kernels may use."""
    import numba

    count: int = numba.get_num_threads()
    return count


def set_num_threads(n: int) -> None:
    """Limits the compiled kernels to n threads. Results do not depend on it, bit for bit.

    Raises KernelError if n is not a whole number between 1 and `max_num_threads()`.
    """
    import numba

    most = max_num_threads()
    if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= most:
        raise KernelError(f"set_num_threads: n must be a whole number from 1 to {most}, got {n!r}")
    numba.set_num_threads(n)


def warmup() -> None:
    """Compiles every kernel for float32 and float64, or reads it from the cache on disk.

    Without it, each kernel is compiled when it is first needed.
    """
    from kernels.cpu import batchnorm

    batchnorm.warmup()
