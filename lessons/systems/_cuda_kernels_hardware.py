"""The kernels of the lesson `cuda_kernels` on a GPU, where there is one."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lessons.lab.cuda import Kernel, twin


class Timed(NamedTuple):
    """The median of a kernel's times, and how far its result is from the right one."""

    milliseconds: float
    error: float


def gpu() -> Any:
    """The module numba.cuda where it has a GPU to run on; None where it has none, or a simulator in its place."""
    from kernels import cuda as backend
    from kernels.cuda import device

    if device.SIMULATED or not backend.is_available():
        return None
    from numba import cuda

    return cuda


def name_of(cuda: Any) -> str:
    """What the GPU is called."""
    name = cuda.get_current_device().name
    return name.decode() if isinstance(name, bytes) else str(name)


def time_products(
    cuda: Any,
    kernels: dict[str, Kernel],
    blocks: Callable[[str], tuple[int, int]],
    threads: tuple[int, int],
    n: int,
    repeats: int = 10,
) -> dict[str, Timed]:
    """Multiply two matrices of n x n with each kernel, and time it by events on the device."""
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(n, n)).astype(np.float32) for _ in range(2))
    want = a.astype(np.float64) @ b.astype(np.float64)
    on_device = cuda.to_device(a), cuda.to_device(b)
    found = {}
    for name, kernel in kernels.items():
        c = cuda.device_array((n, n), np.float32)
        compiled = twin(kernel, cuda)[blocks(name), threads]
        compiled(*on_device, c)  # compiles
        times = []
        for _ in range(repeats):
            start, end = cuda.event(), cuda.event()
            start.record()
            compiled(*on_device, c)
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
        error = float(np.abs(c.copy_to_host() - want).max() / np.abs(want).max())
        found[name] = Timed(statistics.median(times), error)
    return found
