"""Conversions between dtypes, and copies."""

from __future__ import annotations

from typing import Any

from kernels.cuda import to_device, to_host

from .. import dtypes
from ..dtypes import Array
from ..errors import ArgumentTypeError, DeviceError
from ..primitive import op
from ..tensor import Tensor, method

__all__ = ["clone", "is_floating_point", "to"]


@op(saves="")
def to_dtype(x: Array, *, dtype: Any) -> Array:
    return x.astype(dtype)


to_dtype.defvjp(lambda g, out, x, dtype: to_dtype(g, dtype=x.dtype))


@op(saves="")
def _clone(x: Array) -> Array:
    return x.copy()


_clone.defvjp(lambda g, out, x: g)


@method
def clone(input: Tensor) -> Any:
    """A copy with memory of its own; gradients flow through it."""
    return _clone(input)


@method
def contiguous(input: Tensor) -> Any:
    """The tensor itself if its memory is in C order, otherwise a copy that is."""
    return input if input._array.flags.c_contiguous else _clone(input)


# --- between the host and a GPU ---------------------------------------------------------------------------------------


@op(saves="")
def _to_cuda(x: Array) -> Array:
    return to_device(x)  # type: ignore[return-value]


@op(saves="")
def _to_cpu(x: Array) -> Array:
    return to_host(x)


_to_cuda.defvjp(lambda g, out, x: _to_cpu(g))
_to_cpu.defvjp(lambda g, out, x: _to_cuda(g))


def checked_device(name: str, device: str) -> str:
    """ "cpu" or "cuda".

    Raises:
        DeviceError: for other devices.
    """
    if device not in ("cpu", "cuda", "cuda:0"):
        raise DeviceError(f'{name}: device must be "cpu" or "cuda", got {device!r}')
    return device.split(":")[0]


def is_device(value: Any) -> Any:
    """Whether an argument of `to` is the name of a device rather than of a dtype."""
    return isinstance(value, str) and value.split(":")[0] in ("cpu", "cuda", "mps", "xpu", "meta")


@method
def to(input: Tensor, dtype: Any = None, *, copy: Any = False) -> Any:
    """The tensor in another dtype, that of another tensor, or on another device ("cpu" or "cuda").

    It is the tensor itself if nothing changes, unless `copy`. Gradients are converted back; none reach it through
    integers or booleans. On a GPU, the ops that have CUDA kernels run there; others raise a DeviceError.

    Raises:
        DtypeError: for a dtype that is not supported.
        DeviceError: for another device, or where there is no GPU.
    """
    if is_device(dtype):
        device = checked_device("to", dtype)
        if device == input.device:
            return clone(input) if copy else input
        return _to_cuda(input) if device == "cuda" else _to_cpu(input)
    if isinstance(dtype, Tensor):
        dtype = dtype.dtype
    resolved = input.dtype if dtype is None else dtypes.as_dtype(dtype)
    if input.dtype == resolved:
        return clone(input) if copy else input
    return to_dtype(input if resolved.kind == "f" else input.detach(), dtype=resolved)


@method
def type_as(input: Tensor, other: Tensor) -> Any:
    """The tensor in the dtype of `other`.

    Raises:
        ArgumentTypeError: if `other` is not a tensor.
    """
    if not isinstance(other, Tensor):
        raise ArgumentTypeError(f"type_as: other must be a Tensor, got {type(other).__name__}; write x.to(dtype)")
    return to(input, other.dtype)


@method
def is_floating_point(input: Tensor) -> Any:
    """Whether the dtype is float16, float32 or float64."""
    return input.dtype.kind == "f"


@method
def cpu(input: Tensor) -> Any:
    """The tensor in the host's memory: itself if it lies there."""
    return to(input, "cpu")


@method
def cuda(input: Tensor) -> Any:
    """The tensor in the memory of a GPU.

    Raises:
        DeviceError: where there is no GPU.
    """
    return to(input, "cuda")


@method
def half(input: Tensor) -> Any:
    """The tensor as float16."""
    return to(input, dtypes.float16)


@method
def float(input: Tensor) -> Any:
    """The tensor as float32."""
    return to(input, dtypes.float32)


@method
def double(input: Tensor) -> Any:
    """The tensor as float64."""
    return to(input, dtypes.float64)


@method
def long(input: Tensor) -> Any:
    """The tensor as int64."""
    return to(input, dtypes.int64)


@method
def short(input: Tensor) -> Any:
    """The tensor as int16."""
    return to(input, dtypes.int16)


@method
def char(input: Tensor) -> Any:
    """The tensor as int8."""
    return to(input, dtypes.int8)


@method
def byte(input: Tensor) -> Any:
    """The tensor as uint8."""
    return to(input, dtypes.uint8)


@method
def int(input: Tensor) -> Any:
    """The tensor as int32."""
    return to(input, dtypes.int32)


@method
def bool(input: Tensor) -> Any:
    """The tensor as bool: whether each element is nonzero."""
    return to(input, dtypes.bool)
