"""The kernels on a GPU, written in Python with numba.cuda. Importing this package imports neither Numba nor CUDA.

    from kernels import cuda
    x = cuda.to_device(images)                          # a DeviceArray: in the GPU's memory
    y = kernels.conv_forward(x, weight, bias, ...)      # the same functions; host arrays beside it are copied
    cuda.to_host(y)

The functions of `kernels` take host arrays or device arrays. With one device array among their arguments they run here
and return device arrays, so that data stays on the device from one kernel to the next. What has no CUDA kernel says so,
by name, with a DeviceError.

`kernels.cuda.device` talks to the machine, `array` is the array with its operators, `elementwise` and `reduction` are
what those are made of, `multiplication` is the one tiled product behind all convolutions, and the families have the
names that they have in `kernels.cpu`.

Without a GPU, everything runs in Numba's simulator: set NUMBA_ENABLE_CUDASIM=1 before Python starts. It is slow, and
right.
"""

from kernels.cuda.array import DeviceArray, to_device, to_host
from kernels.cuda.device import (
    DeviceError,
    get_deterministic,
    is_available,
    on_stream,
    set_deterministic,
    synchronize,
)

__all__ = [
    "DeviceArray",
    "DeviceError",
    "get_deterministic",
    "is_available",
    "on_stream",
    "set_deterministic",
    "synchronize",
    "to_device",
    "to_host",
]
