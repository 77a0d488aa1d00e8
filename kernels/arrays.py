"""What every checked entrance asks first: are these arrays, and where do they lie?"""

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.cuda.array import DeviceArray
from kernels.errors import KernelError

Array = npt.NDArray[Any]


def checked_array(function: str, argument: str, value: Any) -> Array:
    """A NumPy array, or a DeviceArray, for functions that have a CUDA kernel. Raises KernelError for anything else."""
    if isinstance(value, DeviceArray):
        return value  # type: ignore[return-value]  # it has the attributes that the checks look at
    if not isinstance(value, np.ndarray):
        raise KernelError(
            f"{function}: {argument} must be a NumPy array, got {type(value).__name__};"
            f" np.asarray({argument}, dtype=np.float32) makes one"
        )
    return np.asarray(value)


def host_array(function: str, argument: str, value: Any) -> Array:
    """A NumPy array, for functions without a CUDA kernel. Raises KernelError for anything else."""
    if isinstance(value, DeviceArray):
        from kernels.cuda.device import DeviceError

        raise DeviceError(
            f"{function} has no CUDA kernel yet; copy {argument} to the host: kernels.cuda.to_host({argument})"
        )
    return checked_array(function, argument, value)


def on_device(*arrays: Any) -> bool:
    """Whether any of these lies on the GPU: then the CUDA kernel runs, and the others are copied there."""
    return any(isinstance(array, DeviceArray) for array in arrays)
