"""Special functions, and functions of two variables: error function, gamma functions, x log y and their like."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError
from ..primitive import op
from ..tensor import Tensor, method
from . import approximations
from .arithmetic import _where, also_named, as_element, mul, need_floats, pow, where
from .elementwise import sigmoid

__all__ = [
    "arctan2", "atan2", "copysign", "digamma", "erf", "erfc", "erfinv", "heaviside", "hypot", "ldexp", "lgamma",
    "logaddexp", "logaddexp2", "logit", "nextafter", "polygamma", "sinc", "xlogy",
]  # fmt: skip


# --- error function -----------------------------------------------------------------------------------------------


@method
@op(floating=True, saves="inputs")
def erf(input: Array) -> Array:
    """The error function, 2 / sqrt(pi) times the integral of exp(-t * t) from 0 to x."""
    return approximations.erf(input)


erf.defvjp(lambda g, out, x: g * ((-x * x).exp() * (2 / math.sqrt(math.pi))))


@method
@op(floating=True, saves="inputs")
def erfc(input: Array) -> Array:
    """1 - erf(x), exact also where erf(x) is nearly 1."""
    return approximations.erfc(input)


erfc.defvjp(lambda g, out, x: g * ((-x * x).exp() * (-2 / math.sqrt(math.pi))))


@method
@op(floating=True, saves="output")
def erfinv(input: Array) -> Array:
    """The inverse of `erf`."""
    return approximations.erfinv(input)


erfinv.defvjp(lambda g, out, x: g * ((out * out).exp() * (math.sqrt(math.pi) / 2)))


# --- gamma function -----------------------------------------------------------------------------------------------


@method
@op(floating=True, saves="inputs")
def lgamma(input: Array) -> Array:
    """The logarithm of |gamma(x)|."""
    return approximations.lgamma(input)


@method
@op(floating=True, saves="inputs")
def digamma(input: Array) -> Array:
    """The derivative of `lgamma`."""
    return approximations.polygamma(0, input)


@op(floating=True, saves="inputs")
def _polygamma(x: Array, *, n: int) -> Array:
    return approximations.polygamma(n, x)


lgamma.defvjp(lambda g, out, x: g * digamma(x))
digamma.defvjp(lambda g, out, x: g * _polygamma(x, n=1))
_polygamma.defvjp(lambda g, out, x, n: g * _polygamma(x, n=n + 1))

_LARGEST_ORDER = 100  # beyond, factorials leave float64


def polygamma(n: int, input: Tensor) -> Any:
    """The derivative of order n of `digamma`.

    Raises:
        ArgumentTypeError: if n is not an integer.
        ArgumentError: if n is negative, or above 100.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise ArgumentTypeError(f"polygamma: the order n must be an integer, got {type(n).__name__}: {n!r}")
    if not 0 <= n <= _LARGEST_ORDER:
        raise ArgumentError(f"polygamma: the order n must be from 0 to {_LARGEST_ORDER}, got {n}")
    return _polygamma(input, n=int(n))


# --- logarithms and exponentials ----------------------------------------------------------------------------------


@method
@op(broadcasts=True, floating=True, saves="inputs")
def xlogy(input: Array, other: Array) -> Array:
    """x * log(y), and 0 where x is 0, unless y is nan."""
    return np.where((input == 0) & ~np.isnan(other), 0, input * np.log(other))


def _xlogy_input(g: Any, out: Any, x: Any, y: Any) -> Any:
    # A gradient of 0 stays 0, and 0 * log(0) is flat, as in PyTorch.
    return _where(0.0, xlogy(g, y), condition=(x._array == 0) & (y._array <= 0))


xlogy.defvjp(_xlogy_input, lambda g, out, x, y: g * x / y)


@method
@op(broadcasts=True, saves="inputs")
def logaddexp(input: Array, other: Array) -> Array:
    """log(exp(x) + exp(y)), without overflow."""
    need_floats("logaddexp", input)
    return np.logaddexp(input, other)


logaddexp.defvjp(lambda g, out, x, y: g * sigmoid(x - y), lambda g, out, x, y: g * sigmoid(y - x))


@method
@op(broadcasts=True, saves="inputs")
def logaddexp2(input: Array, other: Array) -> Array:
    """log2(2**x + 2**y), without overflow."""
    need_floats("logaddexp2", input)
    return np.logaddexp2(input, other)


logaddexp2.defvjp(
    lambda g, out, x, y: g * sigmoid((x - y) * math.log(2)),
    lambda g, out, x, y: g * sigmoid((y - x) * math.log(2)),
)


@method
def ldexp(input: Tensor, other: Any) -> Any:
    """x * 2**other."""
    return mul(input, pow(2.0, other))


@op(floating=True, saves="inputs")
def _logit(x: Array, *, eps: Any) -> Array:
    if eps is not None:
        x = np.where(x < eps, eps, np.where(x > 1 - eps, 1 - eps, x))
    return np.log(x / (1 - x))


def _logit_vjp(g: Any, out: Any, x: Any, eps: Any) -> Any:
    low, outside = (0.0, math.nan) if eps is None else (eps, 0.0)
    within = (low <= x._array) & (x._array <= 1 - low)
    return _where(g / (x * (1 - x)), outside, condition=within)


_logit.defvjp(_logit_vjp)


@method
def logit(input: Tensor, eps: Any = None) -> Any:
    """log(x / (1 - x)), the inverse of `sigmoid`; with `eps`, x is first limited to [eps, 1 - eps].

    Raises:
        ArgumentTypeError: if `eps` is not a number.
    """
    if eps is not None:
        eps = as_element("logit", "eps", eps, np.dtype(np.float64)).item()
    return _logit(input, eps=None if eps is None or eps < 0 else eps)


# --- trigonometry -------------------------------------------------------------------------------------------------


@method
@op(floating=True)
def sinc(input: Array) -> Array:
    """sin(pi x) / (pi x), and 1 at 0."""
    angle = np.where(input == 0, 1, input) * np.pi
    return np.where(input == 0, 1, np.sin(angle) / angle)


sinc.defvjp(lambda g, out, x: g * where(x == 0, 0.0, ((x * math.pi).cos() - out) / x))


@method
@op(broadcasts=True, saves="inputs output")
def hypot(input: Array, other: Array) -> Array:
    """The length of the vector (x, y)."""
    need_floats("hypot", input)
    return np.hypot(input, other)


hypot.defvjp(lambda g, out, x, y: g * (x / out), lambda g, out, x, y: g * (y / out))


@method
@op(broadcasts=True, floating=True, saves="inputs")
def atan2(input: Array, other: Array) -> Array:
    """The angle of the vector (other, input) from the first axis, in (-pi, pi]."""
    return np.arctan2(input, other)


def _reciprocal_square(x: Any, y: Any) -> Any:
    """1 / (x**2 + y**2), but 0 at the origin, where PyTorch lets no gradient through."""
    square = x * x + y * y
    return where(square == 0, 0.0, square.reciprocal())


atan2.defvjp(
    lambda g, out, y, x: g * x * _reciprocal_square(x, y),
    lambda g, out, y, x: -g * y * _reciprocal_square(x, y),
)
arctan2 = also_named("arctan2", atan2)


# --- sign bits and steps ------------------------------------------------------------------------------------------


@method
@op(broadcasts=True, floating=True)
def copysign(input: Array, other: Array) -> Array:
    """The magnitude of the first with the sign of the second, which zeros have, too."""
    return np.copysign(input, other)


# The slope is 1 or -1, and constant on either side; at 0 it is 0, as in PyTorch.
copysign.defvjp(lambda g, out, x, y: g * where(x == 0, 0.0, out.detach() / x.detach()), None)


@method
@op(broadcasts=True)
def heaviside(input: Array, values: Array) -> Array:
    """0 below zero, 1 above, and `values` at zero. It has no gradient, as in PyTorch."""
    return np.where(input == 0, values, (input > 0).astype(input.dtype))


@method
@op(broadcasts=True, saves="")
def nextafter(input: Array, other: Array) -> Array:
    """The number next to `input` in the direction of `other`."""
    need_floats("nextafter", input)
    return np.nextafter(input, other)


nextafter.defvjp(lambda g, out, x, y: g, None)
