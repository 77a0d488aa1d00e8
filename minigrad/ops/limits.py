"""Larger, smaller, and within limits."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError, DtypeError
from ..primitive import op
from ..tensor import Tensor, method
from .arithmetic import _where, also_named

__all__ = ["clamp", "clamp_max", "clamp_min", "clip", "fmax", "fmin"]


@method
@op(broadcasts=True, saves="inputs")
def fmax(input: Array, other: Array) -> Array:
    """The larger of two elements, and where one is nan the other; `input` gets the gradient of a tie."""
    return np.fmax(input, other)


@method
@op(broadcasts=True, saves="inputs")
def fmin(input: Array, other: Array) -> Array:
    """The smaller of two elements, and where one is nan the other; `input` gets the gradient of a tie."""
    return np.fmin(input, other)


def _not_below(x: Any, y: Any) -> Array:
    """Where fmax(x, y) is x: nan counts as missing, and the first argument gets all of a tie."""
    where: Array = (x._array >= y._array) | np.isnan(y._array)
    return where


def _not_above(x: Any, y: Any) -> Array:
    where: Array = (x._array <= y._array) | np.isnan(y._array)
    return where


fmax.defvjp(
    lambda g, out, x, y: _where(g, 0.0, condition=_not_below(x, y)),
    lambda g, out, x, y: _where(0.0, g, condition=_not_below(x, y)),
)
fmin.defvjp(
    lambda g, out, x, y: _where(g, 0.0, condition=_not_above(x, y)),
    lambda g, out, x, y: _where(0.0, g, condition=_not_above(x, y)),
)


@method
@op(broadcasts=True, saves="inputs")
def clamp_min(input: Array, min: Array) -> Array:
    """Every element, but at least `min`; see `clamp`."""
    _need_order("clamp_min", input)
    return np.maximum(input, min)


@method
@op(broadcasts=True, saves="inputs")
def clamp_max(input: Array, max: Array) -> Array:
    """Every element, but at most `max`; see `clamp`."""
    _need_order("clamp_max", input)
    return np.minimum(input, max)


@op(broadcasts=True, saves="inputs")
def _clamp(input: Array, min: Array, max: Array) -> Array:
    _need_order("clamp", input)
    return np.minimum(np.maximum(input, min), max)


def _need_order(name: str, input: Array) -> None:
    if input.dtype == np.bool_:
        raise DtypeError(f"{name}: booleans are not limited; convert with x.long()")


# At a limit the input gets the gradient. With nan, no comparison holds: nobody gets it.
clamp_min.defvjp(
    lambda g, out, x, low: _where(g, 0.0, condition=x._array >= low._array),
    lambda g, out, x, low: _where(g, 0.0, condition=x._array < low._array),
)
clamp_max.defvjp(
    lambda g, out, x, high: _where(g, 0.0, condition=x._array <= high._array),
    lambda g, out, x, high: _where(g, 0.0, condition=x._array > high._array),
)
_clamp.defvjp(
    lambda g, out, x, low, high: _where(g, 0.0, condition=(low._array <= x._array) & (x._array <= high._array)),
    lambda g, out, x, low, high: _where(g, 0.0, condition=(x._array < low._array) & (low._array < high._array)),
    lambda g, out, x, low, high: _where(g, 0.0, condition=(x._array > high._array) | (high._array < low._array)),
)


@method
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Any:
    """Limit every element to [min, max]: two numbers or two broadcasting tensors; with min above max, it is max.

    The gradient goes to the input inside and at the limits, and to the limit outside.

    Raises:
        ArgumentError: if neither limit is given.
        ArgumentTypeError: if one is a tensor and the other a number.
    """
    if min is None and max is None:
        raise ArgumentError("clamp: give min, max or both, got neither")
    if max is None:
        return clamp_min(input, min)
    if min is None:
        return clamp_max(input, max)
    if isinstance(min, Tensor) != isinstance(max, Tensor):
        raise ArgumentTypeError(
            f"clamp: min and max must be two numbers or two tensors, got {type(min).__name__} and {type(max).__name__}"
        )
    return _clamp(input, min, max)


clip = also_named("clip", clamp)
