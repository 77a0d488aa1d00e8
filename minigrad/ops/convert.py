"""Conversions between dtypes, and copies."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..dtypes import Array
from ..errors import DtypeError
from ..primitive import op
from ..tensor import Tensor, method

__all__ = ["clone", "to"]


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
def to(input: Tensor, dtype: Any) -> Any:
    """The tensor in another dtype; itself if it has that dtype already. Gradients are converted back; none reach
    it through integers or booleans.

    Raises:
        DtypeError: for a dtype that is not supported, or a device: minigrad computes where NumPy does.
    """
    if isinstance(dtype, str) and dtype.split(":")[0] in ("cpu", "cuda", "mps"):
        if dtype == "cpu":
            return input
        raise DtypeError(f"to: device {dtype!r} is not available; minigrad tensors live on the CPU")
    resolved = dtypes.as_dtype(dtype)
    if input.dtype == resolved:
        return input
    return to_dtype(input if resolved.kind == "f" else input.detach(), dtype=resolved)


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
def int(input: Tensor) -> Any:
    """The tensor as int32."""
    return to(input, dtypes.int32)


@method
def bool(input: Tensor) -> Any:
    """The tensor as bool: whether each element is nonzero."""
    return to(input, dtypes.bool)
