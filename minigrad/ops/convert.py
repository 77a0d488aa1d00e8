"""Conversions between dtypes, and copies."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..dtypes import Array
from ..errors import ArgumentTypeError, DtypeError
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


@method
def to(input: Tensor, dtype: Any = None, *, copy: Any = False) -> Any:
    """The tensor in another dtype, or that of another tensor; itself if it has that dtype already, unless `copy`.

    Gradients are converted back; none reach it through integers or booleans.

    Raises:
        DtypeError: for a dtype that is not supported, or a device: minigrad computes where NumPy does.
    """
    if isinstance(dtype, str) and dtype.split(":")[0] in ("cpu", "cuda", "mps"):
        if dtype != "cpu":
            raise DtypeError(f"to: device {dtype!r} is not available; minigrad tensors live on the CPU")
        dtype = None
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
    """The tensor itself: it lives on the CPU."""
    return input


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
