"""Memory that has been used once stays with the process, for the next array.

By default, glibc's malloc returns large blocks to the operating system as soon as they are free, and each new array of
a megabyte is mapped page by page while it is filled for the first time. That takes as long as the arithmetic: 40 % of a
training step of a small convolutional network went into it. PyTorch, which uses the same malloc, waits as long, and
recommends others.
"""

import ctypes
import os
import sys

from kernels.errors import KernelError

KEPT = 256 << 20  # bytes
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's names for its parameters, from malloc.h
_LARGEST_MMAP_THRESHOLD = 32 << 20  # bytes: glibc takes no more


def keep_freed_memory(n: int = KEPT) -> bool:
    """Lets this process keep up to n bytes of freed memory for new arrays. Returns whether that could be arranged.

    The first compiled kernel that is called does so with 256 MiB, unless there is a variable MALLOC_TRIM_THRESHOLD_,
    MALLOC_MMAP_THRESHOLD_, MALLOC_MMAP_MAX_ or GLIBC_TUNABLES: then somebody has decided. 0 gives memory back at once.
    Only for glibc, that is, most Linux systems; others have their ways.

    Raises KernelError if n is not a whole number of at least 0.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 0:
        raise KernelError(f"keep_freed_memory: n must be a whole number of bytes, at least 0, got {n!r}")
    if not sys.platform.startswith("linux"):
        return False
    change = getattr(ctypes.CDLL(None), "mallopt", None)
    if change is None:
        return False
    # Blocks above the second threshold are never kept.
    wanted = {_TRIM_THRESHOLD: min(n, 2**31 - 1), _MMAP_THRESHOLD: min(max(n, 128 << 10), _LARGEST_MMAP_THRESHOLD)}
    answers = [change(parameter, value) for parameter, value in wanted.items()]
    return answers == [1, 1]


def keep_unless_decided() -> None:
    """What the first compiled kernel does."""
    names = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")
    if not any(name in os.environ for name in names):
        keep_freed_memory()
