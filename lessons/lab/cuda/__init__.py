"""Numba's names for CUDA kernels, run in plain Python by one thread, with every access to memory watched.

    from lessons.lab import cuda                # on a machine with a GPU: from numba import cuda

    @cuda.jit
    def double(x, out):
        i = cuda.grid(1)
        if i < x.size:
            out[i] = 2 * x[i]

    double[4, 32](x, out)                       # 4 blocks of 32 threads

What a GPU leaves to chance is an error here, whatever the numbers say: `Race`, `OutOfBounds`, `Uninitialised`,
`BarrierDivergence`, all of them a `Fault`. With a GPU, the same source runs under Numba; `twin` translates a kernel.

    with cuda.recording() as launches:          # keeps who read and wrote which address, in which interval
        double[4, 32](x, out)
    cuda.traffic(launches[0])                   # loads, stores, and the sectors of 32 bytes that the warps touched

Numba's own simulator gives each thread of a block a thread of the operating system, is chosen for the whole process
when numba is imported, and does not see races. This one needs neither numba nor threads, so it also runs where a
learner's file is confined; it always runs the threads in the same order, or in the one that `schedule` chooses.
"""

from lessons.lab.cuda.executor import (
    Kernel,
    atomic,
    blockDim,
    blockIdx,
    grid,
    gridDim,
    gridsize,
    jit,
    local,
    recording,
    schedule,
    shared,
    syncthreads,
    threadIdx,
    twin,
)
from lessons.lab.cuda.faults import BarrierDivergence, Fault, LaunchError, OutOfBounds, Race, Uninitialised, faults_of
from lessons.lab.cuda.memory import device_array, device_array_like, to_device
from lessons.lab.cuda.record import ATOMIC, READ, WRITE, Access, Launch
from lessons.lab.cuda.traffic import LINE, SECTOR, WARP, Traffic, bank_conflicts, requests, traffic

__all__ = [
    "ATOMIC",
    "LINE",
    "READ",
    "SECTOR",
    "WARP",
    "WRITE",
    "Access",
    "BarrierDivergence",
    "Fault",
    "Kernel",
    "Launch",
    "LaunchError",
    "OutOfBounds",
    "Race",
    "Traffic",
    "Uninitialised",
    "atomic",
    "bank_conflicts",
    "blockDim",
    "blockIdx",
    "device_array",
    "device_array_like",
    "faults_of",
    "grid",
    "gridDim",
    "gridsize",
    "jit",
    "local",
    "recording",
    "requests",
    "schedule",
    "shared",
    "syncthreads",
    "threadIdx",
    "to_device",
    "traffic",
    "twin",
]
