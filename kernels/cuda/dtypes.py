"""The dtypes that have CUDA kernels, as Numba's types."""

from typing import Any

from numba import float32, float64

from kernels.cuda.array import DeviceArray
from kernels.cuda.device import DeviceError

FLOATS: dict[str, Any] = {"float32": float32, "float64": float64}


def check_float(name: str, array: DeviceArray) -> None:
    """Raises DeviceError for arrays that are neither float32 nor float64."""
    if array.dtype.name not in FLOATS:
        raise DeviceError(f"{name}: {array.dtype} has no CUDA kernel yet; use float32 or float64")
