"""Fast kernels on NumPy arrays: arrays in, arrays out.

`kernels.reference` is the specification in plain NumPy, `kernels.cpu` the same functions compiled by Numba. The
functions here check their arguments, once and in words, and choose between the two. Importing this package
imports NumPy and nothing else.
"""

from kernels.batchnorm import batch_norm_backward, batch_norm_eval, batch_norm_forward
from kernels.errors import KernelError
from kernels.runtime import get_num_threads, set_num_threads, warmup

__all__ = [
    "KernelError",
    "batch_norm_backward",
    "batch_norm_eval",
    "batch_norm_forward",
    "get_num_threads",
    "set_num_threads",
    "warmup",
]
