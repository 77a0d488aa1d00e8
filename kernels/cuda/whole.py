"""Whole-numbered division for indices, which a kernel does more of than of anything else.

Python's // and % round down for negative numbers, and Numba's integers have 64 bits. On a GPU a 64-bit division is a
subroutine of some seventy instructions, and a 32-bit one a quarter of that. Indices are never negative and fit into 32
bits: `device.check_index` refuses larger arrays.
"""

from numba import cuda, int64, uint32


@cuda.jit(device=True)
def quotient(a, b):
    """a // b of two indices."""
    return int64(uint32(a) // uint32(b))


@cuda.jit(device=True)
def remainder(a, b):
    """a % b of two indices."""
    return int64(uint32(a) % uint32(b))
