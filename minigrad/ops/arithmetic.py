"""Arithmetic with broadcasting: the ops behind the operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import Array, scalar_dtype
from ..errors import ArgumentError, DtypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor, method

__all__ = [
    "add", "clamp", "div", "floor_divide", "masked_fill", "maximum", "minimum", "mul", "neg", "pow", "remainder", "sub",
    "where",
]  # fmt: skip


@method
@op(broadcasts=True, saves="")
def add(input: Array, other: Array) -> Array:
    return input + other


add.defvjp(lambda g, out, x, y: g, lambda g, out, x, y: g)


@method
@op(broadcasts=True, saves="")
def sub(input: Array, other: Array) -> Array:
    if input.dtype == np.bool_:
        raise DtypeError("sub: booleans are not subtracted; write a ^ b, or convert with x.long()")
    return input - other


sub.defvjp(lambda g, out, x, y: g, lambda g, out, x, y: -g)


@method
@op(broadcasts=True, saves="inputs")
def mul(input: Array, other: Array) -> Array:
    return input * other


mul.defvjp(lambda g, out, x, y: mul(g, y), lambda g, out, x, y: mul(g, x))


@method
@op(broadcasts=True)
def div(input: Array, other: Array) -> Array:
    if input.dtype.kind in "biu":
        dtype = scalar_dtype(0.0)  # integers divide to the default floating dtype
        return np.true_divide(input.astype(dtype), other.astype(dtype))
    return np.true_divide(input, other)


div.defvjp(lambda g, out, x, y: g / y, lambda g, out, x, y: -g * out / y)


@method
@op(broadcasts=True, saves="")
def floor_divide(input: Array, other: Array) -> Array:
    _need_divisor("floor_divide", input, other)
    return np.floor_divide(input, other)


@method
@op(broadcasts=True, saves="inputs")
def remainder(input: Array, other: Array) -> Array:
    _need_divisor("remainder", input, other)
    return np.remainder(input, other)


def _need_divisor(name: str, input: Array, other: Array) -> None:
    if input.dtype == np.bool_:
        raise DtypeError(f"{name}: booleans are not divided; convert with x.long()")
    if input.dtype.kind in "iu" and not other.all():
        raise ArgumentError(f"{name}: integer division by zero; floats give inf and nan")


# x - y * floor(x / y), where the floor does not move with x and y. Floor division itself has no vjp, as in PyTorch.
remainder.defvjp(
    lambda g, out, x, y: g,
    lambda g, out, x, y: -g * floor_divide(x.detach(), y.detach()),
)


@method
@op(saves="")
def neg(input: Array) -> Array:
    if input.dtype == np.bool_:
        raise DtypeError("neg: booleans have no negative; write ~x for the logical not")
    return -input


neg.defvjp(lambda g, out, x: neg(g))


@method
@op(broadcasts=True)
def pow(input: Array, exponent: Array) -> Array:
    if exponent.ndim == 0 and exponent.dtype.kind in "fc":
        return np.asarray(input ** exponent[()].item())  # NumPy has fast paths for 2 and 0.5, for Python numbers only
    if input.dtype.kind in "biu" and bool((exponent < 0).any()):
        raise DtypeError("pow: integers to a negative power are not integers; write x.float() ** exponent")
    return np.power(input, exponent)


def _pow_base(g: Any, out: Any, x: Any, y: Any) -> Any:
    if y.ndim == 0 and not y.requires_grad:
        return g * (y * x ** (y.item() - 1)) if y.item() else g * 0.0
    return where(y == 0, 0.0, g * y * x ** (y - 1))  # the derivative of x ** 0 is 0, also at x = 0


def _pow_exponent(g: Any, out: Any, x: Any, y: Any) -> Any:
    # 0 ** y is 0 for all y > 0, so its derivative there is 0 and not 0 * log(0).
    return g * out * where((x == 0) & (y >= 0), 1.0, x).log()


pow.defvjp(_pow_base, _pow_exponent)


@method
@op(broadcasts=True, saves="inputs")
def maximum(input: Array, other: Array) -> Array:
    return np.maximum(input, other)


@method
@op(broadcasts=True, saves="inputs")
def minimum(input: Array, other: Array) -> Array:
    return np.minimum(input, other)


def _share(x: Any, y: Any) -> Any:
    """1 where x > y, and half where they are equal: both arguments get their part of a tie, as in PyTorch.

    It is also 1 where one of them is nan: then both decide that the result is nan.
    """
    return 1 - (x < y).to(x.dtype) - (x == y).to(x.dtype) * 0.5


maximum.defvjp(lambda g, out, x, y: g * _share(x, y), lambda g, out, x, y: g * _share(y, x))
minimum.defvjp(lambda g, out, x, y: g * _share(y, x), lambda g, out, x, y: g * _share(x, y))


@op(broadcasts=True, saves="")
def _where(input: Array, other: Array, *, condition: Array) -> Array:
    return np.where(condition, input, other)


_where.defvjp(
    lambda g, out, x, y, condition: _where(g, 0.0, condition=condition),
    lambda g, out, x, y, condition: _where(0.0, g, condition=condition),
)


def where(condition: Any, input: Any, other: Any) -> Any:
    """Elements of `input` where `condition` is true and of `other` elsewhere; all three broadcast.

    Raises:
        DtypeError: if the condition is not boolean.
    """
    return _chosen("where: the condition", condition, input, other)


def _chosen(what: str, condition: Any, input: Any, other: Any) -> Any:
    mask = condition._array if isinstance(condition, Tensor) else np.asarray(condition)
    if mask.dtype != np.bool_:
        raise DtypeError(f"{what} must be boolean, got {mask.dtype}; write for example x > 0")
    try:
        return _where(input, other, condition=mask.copy())  # the tape keeps it, and the caller may change his
    except ShapeError:
        shapes = " and ".join(str(np.shape(v._array if isinstance(v, Tensor) else v)) for v in (input, other))
        raise ShapeError(
            f"{what} of shape {mask.shape} and the values of shapes {shapes} do not broadcast: aligned from the right, "
            "sizes must be equal or 1"
        ) from None


@method
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Any:
    """`value` where the boolean `mask` is true, `input` elsewhere.

    Raises:
        DtypeError: if the mask is not boolean.
    """
    return _chosen("masked_fill: the mask", mask, value, input)


@op(saves="inputs")
def _clamp(x: Array, *, min: Any, max: Any) -> Array:
    return np.clip(x, min, max)


def _clamp_vjp(g: Any, out: Any, x: Any, min: Any, max: Any) -> Any:
    inside = np.ones(x.shape, bool)
    if min is not None:
        inside &= x._array >= min
    if max is not None:
        inside &= x._array <= max
    return _where(g, 0.0, condition=inside)


_clamp.defvjp(_clamp_vjp)


@method
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Any:
    """Limit every element to [min, max], both numbers; the gradient is 1 inside and at the limits, 0 outside.

    Raises:
        ArgumentError: if neither limit is given.
        NotImplementedError: for tensors as limits.
    """
    if min is None and max is None:
        raise ArgumentError("clamp: give min, max or both, got neither")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        raise NotImplementedError(
            "clamp: min and max must be numbers; write minigrad.maximum(x, limit) for a tensor limit"
        )
    limits = [m for m in (min, max) if m is not None]
    if input.dtype.kind not in "fc" and any(isinstance(m, float) for m in limits):
        input = input.to(scalar_dtype(0.0))
    return _clamp(input, min=min, max=max)
