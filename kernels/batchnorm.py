"""Batch normalisation: checked arguments, then NumPy for small arrays and the compiled kernel for the rest."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.arrays import checked_array, on_device
from kernels.errors import KernelError
from kernels.reference import batchnorm as reference

Array = npt.NDArray[Any]

# Below this many elements the NumPy version runs, and Numba is not even imported. It is not that NumPy were faster: at
# 8,192 elements it takes 35 microseconds where the compiled kernel takes 9 (measured on Zen 4), and at 256 it takes
# 18 where the other takes 5. But importing Numba and loading the kernels from the cache takes half a second, and
# compiling them the first time several, which small problems such as a gradient check never earn back.
SMALL = 8192


def batch_norm_forward(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
    """Normalises each channel over the batch (training mode).

    x is (N, C) or (N, C, ...), weight and bias are (C,) or None (ones, zeros). Returns y like x, and of each
    channel the mean and inv_std = 1 / sqrt(var + eps), both (C,); var is the biased variance. NaN and infinity
    spread through their channel, silently.

    Raises KernelError for arrays that do not fit, a negative or NaN eps, and batches with fewer than two values
    per channel, whose statistics say nothing. Source: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167.
    """
    name = "batch_norm_forward"
    x = _data(name, "x", x)
    weight = _channels(name, "weight", weight, x, default=np.ones)
    bias = _channels(name, "bias", bias, x, default=np.zeros)
    eps = _eps(name, eps)
    channels = x.shape[1]
    if channels == 0 and not on_device(x, weight, bias):
        return np.empty_like(x), np.empty(0, x.dtype), np.empty(0, x.dtype)
    if channels and x.size <= channels:
        raise KernelError(
            f"{name}: x has shape {x.shape}, that is {x.size // channels} value(s) per channel; training needs at"
            " least 2 to compute a mean and a variance: use a larger batch, or batch_norm_eval"
        )
    if on_device(x, weight, bias):
        from kernels.cuda import batchnorm as gpu

        return gpu.forward(x, weight, bias, eps)  # type: ignore[return-value]
    if x.size < SMALL:
        with np.errstate(all="ignore"):
            return reference.forward(x, weight, bias, eps)
    from kernels.cpu import batchnorm as cpu

    return cpu.forward(x, weight, bias, eps)


def batch_norm_eval(
    x: Array,
    running_mean: Array,
    running_var: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
) -> Array:
    """Normalises each channel with given statistics (evaluation mode).

    x is (N, C) or (N, C, ...), everything else (C,), weight and bias may be None (ones, zeros). Returns y like x.
    Raises KernelError for arrays that do not fit and for a negative or NaN eps.
    """
    name = "batch_norm_eval"
    x = _data(name, "x", x)
    running_mean = _channels(name, "running_mean", running_mean, x)
    running_var = _channels(name, "running_var", running_var, x)
    weight = _channels(name, "weight", weight, x, default=np.ones)
    bias = _channels(name, "bias", bias, x, default=np.zeros)
    eps = _eps(name, eps)
    if on_device(x, running_mean, running_var, weight, bias):
        from kernels.cuda import batchnorm as gpu

        return gpu.forward_eval(x, running_mean, running_var, weight, bias, eps)  # type: ignore[return-value]
    if x.size < SMALL:
        with np.errstate(all="ignore"):
            return reference.forward_eval(x, running_mean, running_var, weight, bias, eps)
    from kernels.cpu import batchnorm as cpu

    return cpu.forward_eval(x, running_mean, running_var, weight, bias, eps)


def batch_norm_backward(
    dy: Array, x: Array, weight: Array | None, mean: Array, inv_std: Array
) -> tuple[Array, Array, Array]:
    """The gradients of batch_norm_forward, given dy, the gradient with respect to y.

    dy and x are (N, C) or (N, C, ...); weight (None means ones) and the mean and inv_std that the forward
    returned are (C,). Returns dx like x, and dweight and dbias, both (C,). An empty batch has zero gradients.
    Raises KernelError for arrays that do not fit. Source: Kevin Zakka, "Deriving the Gradient for the Backward
    Pass of Batch Normalization", 2016, https://kevinzakka.github.io/2016/09/14/batch_normalization/.
    """
    name = "batch_norm_backward"
    x = _data(name, "x", x)
    dy = _data(name, "dy", dy)
    if dy.shape != x.shape:
        raise KernelError(f"{name}: dy must have the shape of x, which is {x.shape}, got {dy.shape}")
    if dy.dtype != x.dtype:
        raise KernelError(f"{name}: dy must have the dtype of x, which is {x.dtype}, got {dy.dtype}")
    weight = _channels(name, "weight", weight, x, default=np.ones)
    mean = _channels(name, "mean", mean, x)
    inv_std = _channels(name, "inv_std", inv_std, x)
    if on_device(dy, x, weight, mean, inv_std):
        from kernels.cuda import batchnorm as gpu

        return gpu.backward(dy, x, weight, mean, inv_std)  # type: ignore[return-value]
    if x.size == 0:
        return np.empty_like(x), np.zeros_like(mean), np.zeros_like(mean)
    if x.size < SMALL:
        with np.errstate(all="ignore"):
            return reference.backward_closed(dy, x, weight, mean, inv_std)
    from kernels.cpu import batchnorm as cpu

    return cpu.backward(dy, x, weight, mean, inv_std)


def _data(function: str, argument: str, value: Any) -> Array:
    """A C-contiguous float32 or float64 array with a batch axis and a channel axis."""
    array = checked_array(function, argument, value)
    if array.dtype != np.float32 and array.dtype != np.float64:
        raise KernelError(f"{function}: {argument} must be float32 or float64, got {array.dtype}")
    if array.ndim < 2:
        raise KernelError(
            f"{function}: {argument} must be (N, C) or (N, C, ...), got {array.ndim} dimension(s): shape {array.shape}"
        )
    return array if on_device(array) else np.ascontiguousarray(array)


def _channels(
    function: str,
    argument: str,
    value: Any,
    x: Array,
    default: Callable[[int, np.dtype[Any]], Array] | None = None,
) -> Array:
    """One number per channel, in the dtype of x."""
    channels = x.shape[1]
    if value is None and default is not None:
        return default(channels, x.dtype)
    array = checked_array(function, argument, value)
    if array.dtype != x.dtype:
        raise KernelError(
            f"{function}: {argument} must have the dtype of x, which is {x.dtype}, got {array.dtype};"
            f" use {argument}.astype(x.dtype)"
        )
    if array.shape != (channels,):
        raise KernelError(
            f"{function}: {argument} must have shape ({channels},), one value for each channel of x (shape"
            f" {x.shape}), got {array.shape}"
        )
    return array


def _eps(function: str, value: Any) -> float:
    try:
        eps = float(value)
    except (TypeError, ValueError):
        raise KernelError(f"{function}: eps must be a real number, got {value!r}") from None
    if math.isnan(eps) or eps < 0:
        raise KernelError(f"{function}: eps must be zero or positive, got {eps}")
    return eps
