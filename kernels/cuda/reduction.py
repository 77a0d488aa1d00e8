"""Sums over axes, in an order that depends on the shape alone: the same input gives the same bits.

Consecutive axes are one axis to a C-contiguous array, so every sum is one over the middle of (outer, n, inner). Each
element is read once, which is the limit. Where inner is 1, a block of threads adds one line and then its threads' parts
in a tree; otherwise neighbouring threads add neighbouring columns. A middle that is long and has few neighbours is cut
into parts, which a second pass adds.
"""

import functools
import math
from typing import Any

import numpy as np
from numba import cuda, int64

from kernels.cuda import device
from kernels.cuda.array import DeviceArray, empty, full
from kernels.cuda.block import tree
from kernels.cuda.device import MOST_BLOCKS, THREADS, DeviceError
from kernels.cuda.dtypes import FLOATS

PART = 8 if device.SIMULATED else 4096  # elements of a part; fewer are not worth a second pass
TYPES = {**FLOATS, "int64": int64}


def total(x: DeviceArray, axis: Any, keepdims: bool) -> DeviceArray:
    """The sum of x over one axis, a tuple of axes, or all of them (None); integers and booleans add up in int64."""
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if any(not -x.ndim <= each < x.ndim for each in axes):
        raise DeviceError(f"sum: axis {axis} does not exist in shape {x.shape}")
    axes = tuple(sorted(each % x.ndim for each in axes))
    kept = [1 if each in axes else size for each, size in enumerate(x.shape)]
    if x.dtype.kind in "iub":
        x = x.astype(np.int64, copy=False)
    if x.dtype.name not in TYPES:
        raise DeviceError(f"sum: {x.dtype} has no CUDA kernel yet; use float32 or float64")
    shape = x.shape
    found = x
    # From the last group of neighbouring axes to the first: what is behind a group is then already added up.
    for first, behind in reversed(_groups(axes)):
        outer, n, inner = math.prod(shape[:first]), math.prod(shape[first:behind]), math.prod(shape[behind:])
        found = _over_middle(found.reshape(outer, n, inner))
        shape = (*shape[:first], *(1,) * (behind - first), *shape[behind:])
    if not axes:
        found = found.copy()
    return found.reshape(kept if keepdims else [size for each, size in enumerate(shape) if each not in axes])


def _groups(axes: tuple[int, ...]) -> list[tuple[int, int]]:
    """Neighbouring axes as (first, behind the last)."""
    groups: list[tuple[int, int]] = []
    for axis in axes:
        if groups and groups[-1][1] == axis:
            groups[-1] = groups[-1][0], axis + 1
        else:
            groups.append((axis, axis + 1))
    return groups


def _over_middle(x: DeviceArray) -> DeviceArray:
    """(outer, n, inner) -> (outer, inner)."""
    outer, n, inner = x.shape
    if n == 0 or outer * inner == 0:
        return full((outer, inner), 0, x.dtype)
    parts = -(-n // PART)
    out = empty((outer, parts, inner), x.dtype)
    if inner == 1:
        device.launch(_lines(x.dtype.name), (outer, parts), THREADS, x.handle, out.handle)
    else:
        blocks = -(-inner // THREADS), min(outer, MOST_BLOCKS), parts
        device.launch(_columns, blocks, THREADS, x.handle, out.handle)
    return out.reshape(outer, inner) if parts == 1 else _over_middle(out)


@cuda.jit
def _columns(x, out):
    column, part = cuda.grid(1), cuda.blockIdx.z
    if column < x.shape[2]:
        for outer in range(cuda.blockIdx.y, x.shape[0], cuda.gridDim.y):
            found = x[outer, part * PART, column]
            for i in range(part * PART + 1, min((part + 1) * PART, x.shape[1])):
                found += x[outer, i, column]
            out[outer, part, column] = found


@cuda.jit(device=True)
def _add(sums, into, other):
    sums[into] += sums[other]


@functools.cache
def _lines(name: str) -> Any:
    dtype = TYPES[name]
    gather = tree(_add)

    @cuda.jit
    def lines(x, out):
        sums = cuda.shared.array(THREADS, dtype)
        line, part, thread = cuda.blockIdx.x, cuda.blockIdx.y, cuda.threadIdx.x
        found = dtype(0)
        for i in range(part * PART + thread, min((part + 1) * PART, x.shape[1]), THREADS):
            found += x[line, i, 0]
        sums[thread] = found
        gather(sums, thread, thread, THREADS, 1)
        if thread == 0:
            out[line, part, 0] = sums[0]

    return lines
