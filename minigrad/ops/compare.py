"""Comparisons, and logic on what they return. None of them has a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor, from_array, method
from .arithmetic import also_named, need_integers

__all__ = [
    "allclose", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "eq", "equal", "ge", "greater", "greater_equal", "gt", "is_nonzero", "isclose", "isfinite", "isin", "isinf",
    "isnan", "isneginf", "isposinf", "isreal", "le", "less", "less_equal", "logical_and", "logical_not", "logical_or",
    "logical_xor", "lt", "ne", "not_equal", "signbit",
]  # fmt: skip

_compare = op(broadcasts=True, differentiable=False)
_test = op(differentiable=False)


@method
@_compare
def eq(input: Array, other: Array) -> Any:
    """Where the elements are equal."""
    return input == other


@method
@_compare
def ne(input: Array, other: Array) -> Any:
    """Where the elements differ."""
    return input != other


@method
@_compare
def lt(input: Array, other: Array) -> Any:
    """Where `input < other`."""
    return input < other


@method
@_compare
def le(input: Array, other: Array) -> Any:
    """Where `input <= other`."""
    return input <= other


@method
@_compare
def gt(input: Array, other: Array) -> Any:
    """Where `input > other`."""
    return input > other


@method
@_compare
def ge(input: Array, other: Array) -> Any:
    """Where `input >= other`."""
    return input >= other


not_equal = also_named("not_equal", ne)
less = also_named("less", lt)
less_equal = also_named("less_equal", le)
greater = also_named("greater", gt)
greater_equal = also_named("greater_equal", ge)


# --- logic --------------------------------------------------------------------------------------------------------


@method
@_compare
def logical_and(input: Array, other: Array) -> Any:
    """Where both are true, that is, not zero."""
    return np.logical_and(input, other)


@method
@_compare
def logical_or(input: Array, other: Array) -> Any:
    """Where either is true, that is, not zero."""
    return np.logical_or(input, other)


@method
@_compare
def logical_xor(input: Array, other: Array) -> Any:
    """Where one of them only is true, that is, not zero."""
    return np.logical_xor(input, other)


@method
@_test
def logical_not(input: Array) -> Any:
    """Where the elements are zero."""
    return np.logical_not(input)


# --- bits ---------------------------------------------------------------------------------------------------------


def _need_bits(name: str, array: Array) -> None:
    if array.dtype.kind not in "biu":
        raise DtypeError(f"{name}: works on booleans and integers, got {array.dtype}; compare first, for example x > 0")


@method
@_compare
def bitwise_and(input: Array, other: Array) -> Any:
    """The bits that are set in both."""
    _need_bits("bitwise_and", input)
    return input & other


@method
@_compare
def bitwise_or(input: Array, other: Array) -> Any:
    """The bits that are set in either."""
    _need_bits("bitwise_or", input)
    return input | other


@method
@_compare
def bitwise_xor(input: Array, other: Array) -> Any:
    """The bits that are set in one of them only."""
    _need_bits("bitwise_xor", input)
    return input ^ other


@method
@_test
def bitwise_not(input: Array) -> Any:
    """All bits turned over; of booleans the logical not."""
    _need_bits("bitwise_not", input)
    return ~input


@method
@_compare
def bitwise_left_shift(input: Array, other: Array) -> Any:
    """The bits moved to the left by `other` places."""
    need_integers("bitwise_left_shift", input)
    return input << other


@method
@_compare
def bitwise_right_shift(input: Array, other: Array) -> Any:
    """The bits moved to the right by `other` places."""
    need_integers("bitwise_right_shift", input)
    return input >> other


# --- kinds of numbers ---------------------------------------------------------------------------------------------


@method
@_test
def isnan(input: Array) -> Any:
    """Where the elements are nan."""
    return np.isnan(input)


@method
@_test
def isinf(input: Array) -> Any:
    """Where the elements are inf or -inf."""
    return np.isinf(input)


@method
@_test
def isposinf(input: Array) -> Any:
    """Where the elements are inf."""
    return input == np.inf


@method
@_test
def isneginf(input: Array) -> Any:
    """Where the elements are -inf."""
    return input == -np.inf


@method
@_test
def isfinite(input: Array) -> Any:
    """Where the elements are neither infinite nor nan."""
    return np.isfinite(input)


@method
@_test
def isreal(input: Array) -> Any:
    """True everywhere: minigrad has no complex numbers."""
    return np.isreal(input)


@method
@_test
def signbit(input: Array) -> Any:
    """Whether the sign is negative: also that of -0.0."""
    return np.signbit(input) if input.dtype.kind == "f" else input < 0


@method
def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not zero.

    Raises:
        ShapeError: if there is not exactly one element.
    """
    if input.numel() != 1:
        raise ShapeError(f"is_nonzero: needs a tensor with one element, got shape {input.shape}; write (x != 0).any()")
    return bool(input.item())


# --- equality -----------------------------------------------------------------------------------------------------


@method
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape and the same elements.

    Raises:
        ArgumentTypeError: if `other` is not a tensor.
    """
    _need_tensor("equal", "other", other)
    return input.shape == other.shape and bool((input._array == other._array).all())


@method
def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Any:
    """Where |input - other| <= atol + rtol * |other|; equal infinities are close, and nan only with `equal_nan`.

    Raises:
        DtypeError: if the dtypes differ.
        ArgumentError: if a tolerance is negative.
    """
    return from_array(_close("isclose", input, other, rtol, atol, equal_nan))


@method
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are close, as `isclose` defines it.

    Raises:
        DtypeError: if the dtypes differ.
        ArgumentError: if a tolerance is negative.
    """
    return bool(_close("allclose", input, other, rtol, atol, equal_nan).all())


def _close(name: str, input: Tensor, other: Tensor, rtol: float, atol: float, equal_nan: bool) -> Array:
    _need_tensor(name, "other", other)
    if input.dtype != other.dtype:
        raise DtypeError(f"{name}: needs equal dtypes, got {input.dtype} and {other.dtype}; write y.to(x.dtype)")
    for argument, tolerance in {"rtol": rtol, "atol": atol}.items():
        if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)):
            raise ArgumentTypeError(f"{name}: {argument} must be a number, got {type(tolerance).__name__}")
        if not tolerance >= 0:
            raise ArgumentError(f"{name}: {argument} must be >= 0, got {tolerance}")
    a, b = input._array, other._array
    if a.dtype.kind != "f":
        a, b = a.astype(np.float64), b.astype(np.float64)
    try:
        distance = np.abs(a - b)
    except ValueError:
        raise ShapeError(
            f"{name}: shapes {a.shape} and {b.shape} do not broadcast: aligned from the right, sizes must be equal or 1"
        ) from None
    close = (a == b) | (np.isfinite(distance) & (distance <= atol + np.abs(rtol * b)))
    return np.asarray(close | (np.isnan(a) & np.isnan(b)) if equal_nan else close)


def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Any:
    """Which of `elements` are among `test_elements`, or, with `invert`, are not; one of the two may be a number.

    `assume_unique` promises that neither has an element twice; it changes nothing here.

    Raises:
        ArgumentTypeError: if neither is a tensor, or one is neither a tensor nor a number.
        DtypeError: for booleans.
    """
    for value in (elements, test_elements):
        if not isinstance(value, Tensor) and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise ArgumentTypeError(f"isin: expected Tensors or numbers, got {type(value).__name__}: {value!r}")
    if not isinstance(elements, Tensor) and not isinstance(test_elements, Tensor):
        raise ArgumentTypeError("isin: one of elements and test_elements must be a Tensor, got two numbers")
    sought, among = (v._array if isinstance(v, Tensor) else np.asarray(v) for v in (elements, test_elements))
    if np.bool_ in (sought.dtype, among.dtype):
        raise DtypeError("isin: booleans are not searched, got bool; convert with x.long()")
    return from_array(np.asarray(np.isin(sought, among, invert=invert)))


def _need_tensor(name: str, argument: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise ArgumentTypeError(f"{name}: {argument} must be a Tensor, got {type(value).__name__}: {value!r}"[:200])
