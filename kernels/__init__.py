"""Fast kernels on NumPy arrays: arrays in, arrays out.

`kernels.reference` is the specification in plain NumPy, `kernels.cpu` the same functions compiled by Numba. The
functions here check their arguments, once and in words, and choose between the two. Importing this package
imports NumPy and nothing else.
"""

from kernels.batchnorm import (
    batch_norm_backward,
    batch_norm_eval,
    batch_norm_forward,
)
from kernels.bilinear import (
    add_pixels,
    grid_sample_backward,
    grid_sample_forward,
    grid_sample_nearest_backward,
    grid_sample_nearest_forward,
    read_pixels,
)
from kernels.convolution import (
    conv_backward_bias,
    conv_backward_input,
    conv_backward_weight,
    conv_forward,
    get_winograd,
    set_winograd,
    winograd,
)
from kernels.errors import (
    KernelError,
)
from kernels.memory import (
    keep_freed_memory,
)
from kernels.pooling import (
    avg_pool_backward,
    avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
    max_pool_gather,
)
from kernels.runtime import (
    get_num_threads,
    max_num_threads,
    set_num_threads,
    warmup,
)
from kernels.selection import (
    where,
)
from kernels.xnor import (
    PackedWeights,
    pack_signs,
    pack_weights,
    xnor_conv2d,
)

__all__ = [
    "KernelError",
    "PackedWeights",
    "add_pixels",
    "avg_pool_backward",
    "avg_pool_forward",
    "batch_norm_backward",
    "batch_norm_eval",
    "batch_norm_forward",
    "conv_backward_bias",
    "conv_backward_input",
    "conv_backward_weight",
    "conv_forward",
    "get_num_threads",
    "get_winograd",
    "grid_sample_backward",
    "grid_sample_forward",
    "grid_sample_nearest_backward",
    "grid_sample_nearest_forward",
    "keep_freed_memory",
    "max_num_threads",
    "max_pool_backward",
    "max_pool_forward",
    "max_pool_gather",
    "pack_signs",
    "pack_weights",
    "read_pixels",
    "set_num_threads",
    "set_winograd",
    "warmup",
    "where",
    "winograd",
    "xnor_conv2d",
]
