"""Choosing between two values by a mask, without a jump.

9 bytes move for each float32 element that is chosen against a number: 4 read, 1 of the mask, 4 written. NumPy's version
jumps to one side or the other for each element, and a processor that guesses wrong half of the time, as for the signs
of activations, waits longer for its guesses than for memory. Here both values are loaded and a vector instruction
blends them, so that memory is the limit again.
"""

from typing import Any

import numpy as np

from kernels.cpu.jit import Array, as_input, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.team import get_num_threads, single_threaded_when_small

CHUNK = 1 << 14  # elements that a thread takes at a time


@single_threaded_when_small
def masked(condition: Array, kept: bool, x: Array, fill: float) -> Array:
    """The elements of x where the condition is `kept`, and `fill` elsewhere; both arrays have one shape."""
    out = np.empty(x.shape, x.dtype)
    _masked(_flat(condition), bool(kept), _flat(x), x.dtype.type(fill), get_num_threads(), out.reshape(-1))
    return out


@single_threaded_when_small
def chosen(condition: Array, x: Array, y: Array) -> Array:
    """The elements of x where the condition holds, and of y elsewhere; all three have one shape."""
    out = np.empty(x.shape, x.dtype)
    _chosen(_flat(condition), _flat(x), _flat(y), get_num_threads(), out.reshape(-1))
    return out


def _flat(array: Array) -> Array:
    return as_input(array.reshape(-1))


@kernel
def _masked(condition: Array, kept: bool, x: Array, fill: float, workers: int, out: Array) -> None:
    parallel(_masked_chunk, workers, (x.size + CHUNK - 1) // CHUNK, (condition, kept, x, fill, out))


@kernel
def _masked_chunk(worker: int, chunk: int, condition: Array, kept: bool, x: Array, fill: float, out: Array) -> None:
    first = chunk * CHUNK
    c, a, b = condition[first : first + CHUNK], x[first : first + CHUNK], out[first : first + CHUNK]
    for i in range(np.uint64(a.size)):
        value = a[i]
        b[i] = value if c[i] == kept else fill


@kernel
def _chosen(condition: Array, x: Array, y: Array, workers: int, out: Array) -> None:
    parallel(_chosen_chunk, workers, (x.size + CHUNK - 1) // CHUNK, (condition, x, y, out))


@kernel
def _chosen_chunk(worker: int, chunk: int, condition: Array, x: Array, y: Array, out: Array) -> None:
    first = chunk * CHUNK
    c, a, b = condition[first : first + CHUNK], x[first : first + CHUNK], y[first : first + CHUNK]
    result = out[first : first + CHUNK]
    for i in range(np.uint64(a.size)):
        one, other = a[i], b[i]
        result[i] = one if c[i] else other


def warmup(dtype: Any) -> None:
    """Compiles all of this module for one dtype, or reads it from the cache."""
    x = np.zeros(1, dtype)
    masked(x > 0, True, x, 0.0)
    chosen(x > 0, x, x)
