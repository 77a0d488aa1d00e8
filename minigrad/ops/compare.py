"""Comparisons, and logic on what they return. None of them has a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import DtypeError
from ..primitive import op
from ..tensor import Tensor, method

__all__ = [
    "allclose", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "eq", "equal", "ge", "gt", "isfinite",
    "isinf", "isnan", "le", "logical_and", "logical_not", "logical_or", "lt", "ne",
]  # fmt: skip

_compare = op(broadcasts=True, differentiable=False)
_test = op(differentiable=False)


@method
@_compare
def eq(input: Array, other: Array) -> Any:
    return input == other


@method
@_compare
def ne(input: Array, other: Array) -> Any:
    return input != other


@method
@_compare
def lt(input: Array, other: Array) -> Any:
    return input < other


@method
@_compare
def le(input: Array, other: Array) -> Any:
    return input <= other


@method
@_compare
def gt(input: Array, other: Array) -> Any:
    return input > other


@method
@_compare
def ge(input: Array, other: Array) -> Any:
    return input >= other


@method
@_compare
def logical_and(input: Array, other: Array) -> Any:
    return np.logical_and(input, other)


@method
@_compare
def logical_or(input: Array, other: Array) -> Any:
    return np.logical_or(input, other)


@method
@_test
def logical_not(input: Array) -> Any:
    return np.logical_not(input)


def _need_integers(name: str, *arrays: Array) -> None:
    for a in arrays:
        if a.dtype.kind not in "biu":
            raise DtypeError(f"{name}: works on booleans and integers, got {a.dtype}; compare first, for example x > 0")


@_compare
def bitwise_and(input: Array, other: Array) -> Any:
    _need_integers("bitwise_and", input, other)
    return input & other


@_compare
def bitwise_or(input: Array, other: Array) -> Any:
    _need_integers("bitwise_or", input, other)
    return input | other


@_compare
def bitwise_xor(input: Array, other: Array) -> Any:
    _need_integers("bitwise_xor", input, other)
    return input ^ other


@_test
def bitwise_not(input: Array) -> Any:
    _need_integers("bitwise_not", input)
    return ~input


@method
@_test
def isnan(input: Array) -> Any:
    return np.isnan(input)


@method
@_test
def isinf(input: Array) -> Any:
    return np.isinf(input)


@method
@_test
def isfinite(input: Array) -> Any:
    return np.isfinite(input)


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements."""
    return input.shape == other.shape and bool((input._array == other._array).all())


@method
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether |input - other| <= atol + rtol * |other| everywhere."""
    return bool(np.allclose(input._array, other._array, rtol, atol, equal_nan))
