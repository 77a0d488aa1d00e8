"""The machine: whether there is a GPU, its memory, its streams, and launches of kernels on it."""

import contextlib
import contextvars
import functools
import math
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from kernels.errors import KernelError

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")

# Threads in a block. The simulator runs each of them as a thread of Python; fewer make it bearable, and they meet the
# ragged edges of small arrays just the same.
THREADS = 8 if SIMULATED else 256
# More blocks than any GPU runs at a time, and as many as CUDA allows along the second axis of a grid; loops over larger
# arrays go on from there.
MOST_BLOCKS = 3 if SIMULATED else 65535

_stream: contextvars.ContextVar[Any] = contextvars.ContextVar("stream", default=0)


class DeviceError(KernelError):
    """No GPU, no memory left on it, or a function without a CUDA kernel."""


class NoKernelError(DeviceError, AttributeError):
    """A method of arrays that has no CUDA kernel; for `hasattr`, it is not there."""


@functools.cache
def toolkit() -> Any:
    """The module numba.cuda. Raises DeviceError where neither a GPU nor the simulator is there."""
    problem = _problem()
    if problem:
        raise DeviceError(problem)
    from numba import cuda

    return cuda


def is_available() -> bool:
    """Whether kernels can run on a GPU here, or in the simulator."""
    return not _problem()


@functools.cache
def _problem() -> str:
    """What is missing, with what to do about it; "" when nothing is."""
    advice = (
        "; install with `pip install 'minigrad[cuda]'` on a machine with an NVIDIA GPU and its driver, or set "
        "NUMBA_ENABLE_CUDASIM=1 before Python starts, to run the kernels in Numba's simulator"
    )
    try:
        from numba import cuda
    except ImportError as error:
        return f"CUDA cannot be used: {error}{advice}"
    if SIMULATED:
        return ""
    if not cuda.is_available():
        return f"CUDA cannot be used: Numba finds no GPU, or no driver for it{advice}"
    return ""


# --- streams ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def on_stream(stream: Any) -> Iterator[Any]:
    """`with on_stream(numba.cuda.stream()): ...` launches the kernels and copies in the block on that stream.

    Kernels of one stream run in order; kernels of two streams may run side by side, and who reads on one stream what
    was computed on another has to synchronise first. Otherwise the default stream is used.
    """
    token = _stream.set(stream)
    try:
        yield stream
    finally:
        _stream.reset(token)


def current_stream() -> Any:
    """The stream of the innermost `on_stream`, or the default stream."""
    return _stream.get()


def synchronize() -> None:
    """Wait until everything that was launched is done. Raises DeviceError for what went wrong on the way."""
    with _explained("synchronize"):
        toolkit().synchronize()


# --- determinism ------------------------------------------------------------------------------------------------------

_deterministic = True


def get_deterministic() -> bool:
    """Whether the same input gives the same bits, whatever the GPU's timing."""
    return _deterministic


def set_deterministic(enabled: bool) -> None:
    """Give the same bits for the same input (the default), or take the fastest kernel.

    Of the kernels here, only the gradient of grid_sample by its images has a faster one: threads then add floats in the
    order in which they come. Raises KernelError if `enabled` is not a bool.
    """
    global _deterministic
    if not isinstance(enabled, (bool, np.bool_)):
        raise KernelError(f"set_deterministic: enabled must be True or False, got {enabled!r}")
    _deterministic = bool(enabled)


# --- memory and launches ----------------------------------------------------------------------------------------------


def allocate(shape: tuple[int, ...], dtype: Any) -> Any:
    """New memory for a C-contiguous array, not initialised, as Numba's device array.

    Raises DeviceError when the GPU has none left.
    """
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    with _explained(f"an array of shape {shape} and dtype {np.dtype(dtype)}, {nbytes / 2**20:.1f} MiB,"):
        return toolkit().device_array(shape, dtype)


def copy_to_device(array: Any) -> Any:
    """A host array, which is C-contiguous, as Numba's device array on the current stream."""
    with _explained(f"an array of shape {array.shape} and dtype {array.dtype}, {array.nbytes / 2**20:.1f} MiB,"):
        return toolkit().to_device(array, stream=current_stream())


def launch(kernel: Any, blocks: Any, threads: Any, *arguments: Any) -> None:
    """Run a kernel on the current stream. With no block to run, nothing happens: an empty grid is an error to CUDA."""
    if math.prod(blocks if isinstance(blocks, tuple) else (blocks,)) == 0:
        return
    with _explained(f"kernel {kernel.__name__}"), _silence():
        kernel[blocks, threads, current_stream()](*arguments)


def check_index(*sizes: int) -> None:
    """Raises DeviceError for sizes that 32 bits cannot count."""
    if max(sizes) >= 2**31:
        raise DeviceError(f"the CUDA kernels count to 2^31 - 1, and this needs {max(sizes)}; use smaller batches")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Without warnings that say nothing to a user of ours.

    Numba's, of grids too small to fill a GPU: small arrays have small grids. And in the simulator NumPy's, whose
    scalars warn of infinities and NaN where a GPU does not.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Grid size")
        if SIMULATED:
            warnings.simplefilter("ignore", RuntimeWarning)
        yield


def blocks_for(items: int, threads: int = THREADS) -> int:
    """Blocks that give each item a thread, up to `MOST_BLOCKS`."""
    return min(-(-items // threads), MOST_BLOCKS)


@functools.cache
def multiprocessors() -> int:
    """How many streaming multiprocessors the GPU has: twice as many blocks keep it busy."""
    return 4 if SIMULATED else int(toolkit().get_current_device().MULTIPROCESSOR_COUNT)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """CUDA's errors as ours."""
    try:
        yield
    except DeviceError:
        raise
    except Exception as error:
        if "OUT_OF_MEMORY" in str(error):
            raise DeviceError(
                f"out of memory on the GPU: {what} does not fit{_memory()}; use smaller batches"
            ) from error
        if type(error).__name__ in ("CudaAPIError", "CudaDriverError", "CudaSupportError"):
            raise DeviceError(f"CUDA failed: {what}: {error}") from error
        raise


def _memory() -> str:
    try:
        free, total = toolkit().current_context().get_memory_info()
    except Exception:  # only for a message
        return ""
    return f" ({free / 2**20:.0f} of {total / 2**20:.0f} MiB are free)"
