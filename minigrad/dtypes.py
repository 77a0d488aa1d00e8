"""Dtypes and PyTorch's promotion rules.

A dtype is a NumPy dtype object; `float32`, `int64`, ... are the names that PyTorch gives them. Results are
promoted as `torch.result_type` does: Python scalars and 0-dim tensors change the result only when they are of
a higher category (bool < integer < floating) than the tensors with dimensions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.cuda import DeviceArray

from .errors import ArgumentTypeError, DtypeError

Array = NDArray[Any]
DType = np.dtype[Any]

float16 = half = np.dtype(np.float16)
float32 = float = np.dtype(np.float32)
float64 = double = np.dtype(np.float64)
uint8 = np.dtype(np.uint8)
int8 = np.dtype(np.int8)
int16 = short = np.dtype(np.int16)
int32 = int = np.dtype(np.int32)
int64 = long = np.dtype(np.int64)
bool = np.dtype(np.bool_)

_SUPPORTED = frozenset({float16, float32, float64, uint8, int8, int16, int32, int64, bool})
# Complex numbers enter only through the complex-step derivative of `gradcheck`.
_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}

_default: DType = float32


def as_array(value: Any) -> Any:
    """A DeviceArray as it is, and everything else as a NumPy array."""
    return value if value.__class__ is DeviceArray else np.asarray(value)


def get_default_dtype() -> DType:
    """The dtype that Python floats become: float32 unless changed."""
    return _default


def set_default_dtype(dtype: Any) -> None:
    """Make Python floats become `dtype`, a floating dtype.

    Raises:
        DtypeError: if `dtype` is not floating.
    """
    global _default
    resolved = as_dtype(dtype)
    if resolved.kind != "f":
        raise DtypeError(f"set_default_dtype: only floating dtypes can be the default, got {resolved}")
    _default = resolved


def as_dtype(dtype: Any) -> DType:
    """`dtype` as a NumPy dtype object; Python's `float`, `int` and `bool` mean the defaults, as in PyTorch.

    Raises:
        DtypeError: for anything that is not one of the supported dtypes.
    """
    import builtins

    if dtype is builtins.float:
        return _default
    if dtype is builtins.int:
        return int64
    try:
        resolved = np.dtype(dtype)
    except TypeError as error:
        raise DtypeError(f"dtype: {dtype!r} is not a dtype; write for example minigrad.float32") from error
    if resolved not in _SUPPORTED:
        raise DtypeError(
            f"dtype: {resolved} is not supported; the dtypes are {', '.join(sorted(map(str, _SUPPORTED)))}"
        )
    return resolved


def scalar_dtype(value: Any) -> DType:
    """The dtype that PyTorch gives a Python number: bool, int64 or the default floating dtype.

    Raises:
        ArgumentTypeError: if `value` is not a real number.
    """
    import builtins

    if isinstance(value, (builtins.bool, np.bool_)):
        return bool
    if isinstance(value, (builtins.int, np.integer)):
        return int64
    if isinstance(value, (builtins.float, np.floating)):
        return _default
    raise ArgumentTypeError(
        f"expected a Tensor, an array or a real number, got {type(value).__name__}: {value!r}"[:200]
    )


def promote_types(a: DType, b: DType) -> DType:
    """The dtype of an operation between two tensors of equal standing (`torch.promote_types`)."""
    if a == b:
        return a
    kind_a, kind_b = _CATEGORY[a.kind], _CATEGORY[b.kind]
    if kind_a >= 2 and kind_b < 2:
        return a  # NumPy would widen float32 with int64 to float64; PyTorch does not
    if kind_b >= 2 and kind_a < 2:
        return b
    return np.promote_types(a, b)


def result_type(operands: list[tuple[DType, Any]]) -> DType:
    """The common dtype of operands, each given as (dtype, rank), rank "dims", "zero" or "scalar".

    Tensors with dimensions decide; 0-dim tensors, then Python scalars, only raise the category.
    """
    result: DType | None = None
    for rank in ("dims", "zero", "scalar"):
        group: DType | None = None
        for dtype, operand_rank in operands:
            if operand_rank == rank:
                group = dtype if group is None else promote_types(group, dtype)
        if group is not None and (result is None or _CATEGORY[group.kind] > _CATEGORY[result.kind]):
            result = group
    assert result is not None, "result_type needs at least one operand"
    return result
