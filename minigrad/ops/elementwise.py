"""Functions of one variable, applied to every element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError, DtypeError
from ..primitive import op
from ..tensor import Tensor, method
from .arithmetic import _where, also_named, as_element, need_floats, step

__all__ = [
    "abs", "absolute", "acos", "acosh", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctanh", "asin", "asinh",
    "atan", "atanh", "ceil", "cos", "cosh", "deg2rad", "exp", "exp2", "expm1", "fix", "floor", "frac", "log", "log1p",
    "log2", "log10", "nan_to_num", "positive", "rad2deg", "reciprocal", "relu", "round", "rsqrt", "sgn", "sigmoid",
    "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc",
]  # fmt: skip


@method
@op(floating=True, saves="output")
def exp(input: Array) -> Array:
    """e to the power of the elements."""
    return np.exp(input)


exp.defvjp(lambda g, out, x: g * out)


@method
@op(floating=True, saves="output")
def exp2(input: Array) -> Array:
    """2 to the power of the elements."""
    return np.exp2(input)


exp2.defvjp(lambda g, out, x: g * out * math.log(2))


@method
@op(floating=True, saves="inputs")
def log(input: Array) -> Array:
    """The natural logarithm."""
    return np.log(input)


log.defvjp(lambda g, out, x: g / x)


@method
@op(floating=True, saves="inputs")
def log2(input: Array) -> Array:
    """The logarithm to base 2."""
    return np.log2(input)


log2.defvjp(lambda g, out, x: g / (x * math.log(2)))


@method
@op(floating=True, saves="inputs")
def log10(input: Array) -> Array:
    """The logarithm to base 10."""
    return np.log10(input)


log10.defvjp(lambda g, out, x: g / (x * math.log(10)))


@method
@op(floating=True, saves="inputs")
def log1p(input: Array) -> Array:
    """log(1 + x), exact also near zero."""
    return np.log1p(input)


log1p.defvjp(lambda g, out, x: g / (x + 1))


@method
@op(floating=True, saves="output")
def expm1(input: Array) -> Array:
    """exp(x) - 1, exact also near zero."""
    return np.expm1(input)


expm1.defvjp(lambda g, out, x: g * (out + 1))


@method
@op(floating=True, saves="output")
def sqrt(input: Array) -> Array:
    """The square root."""
    return np.sqrt(input)


sqrt.defvjp(lambda g, out, x: g / (out * 2))


@method
@op(floating=True, saves="output")
def rsqrt(input: Array) -> Array:
    """1 / sqrt(x)."""
    return 1 / np.sqrt(input)


rsqrt.defvjp(lambda g, out, x: g * out**3 * -0.5)


@method
@op(floating=True, saves="output")
def reciprocal(input: Array) -> Array:
    """1 / x."""
    return 1 / input


reciprocal.defvjp(lambda g, out, x: -g * out * out)


@method
@op(saves="inputs")
def square(input: Array) -> Array:
    """x * x."""
    if input.dtype == np.bool_:
        return input.astype(np.int64)
    return input * input


square.defvjp(lambda g, out, x: g * x * 2)


@method
@op(floating=True, saves="inputs")
def sin(input: Array) -> Array:
    """The sine, of radians."""
    return np.sin(input)


sin.defvjp(lambda g, out, x: g * x.cos())


@method
@op(floating=True, saves="inputs")
def cos(input: Array) -> Array:
    """The cosine, of radians."""
    return np.cos(input)


cos.defvjp(lambda g, out, x: -g * x.sin())


@method
@op(floating=True, saves="output")
def tan(input: Array) -> Array:
    """The tangent, of radians."""
    return np.tan(input)


tan.defvjp(lambda g, out, x: g * (out * out + 1))


@method
@op(floating=True, saves="inputs")
def asin(input: Array) -> Array:
    """The arc sine, in radians."""
    return np.arcsin(input)


asin.defvjp(lambda g, out, x: g * (1 - x * x).rsqrt())
arcsin = also_named("arcsin", asin)


@method
@op(floating=True, saves="inputs")
def acos(input: Array) -> Array:
    """The arc cosine, in radians."""
    return np.arccos(input)


acos.defvjp(lambda g, out, x: -g * (1 - x * x).rsqrt())
arccos = also_named("arccos", acos)


@method
@op(floating=True, saves="inputs")
def atan(input: Array) -> Array:
    """The arc tangent, in radians."""
    return np.arctan(input)


atan.defvjp(lambda g, out, x: g / (x * x + 1))
arctan = also_named("arctan", atan)


@method
@op(floating=True, saves="inputs")
def sinh(input: Array) -> Array:
    """The hyperbolic sine."""
    return np.sinh(input)


sinh.defvjp(lambda g, out, x: g * x.cosh())


@method
@op(floating=True, saves="inputs")
def cosh(input: Array) -> Array:
    """The hyperbolic cosine."""
    return np.cosh(input)


cosh.defvjp(lambda g, out, x: g * x.sinh())


@method
@op(floating=True, saves="output")
def tanh(input: Array) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(input)


tanh.defvjp(lambda g, out, x: g * (1 - out * out))


@method
@op(floating=True, saves="inputs")
def asinh(input: Array) -> Array:
    """The inverse of the hyperbolic sine."""
    return np.arcsinh(input)


asinh.defvjp(lambda g, out, x: g * (x * x + 1).rsqrt())
arcsinh = also_named("arcsinh", asinh)


@method
@op(floating=True, saves="inputs")
def acosh(input: Array) -> Array:
    """The inverse of the hyperbolic cosine."""
    return np.arccosh(input)


acosh.defvjp(lambda g, out, x: g * (x * x - 1).rsqrt())
arccosh = also_named("arccosh", acosh)


@method
@op(floating=True, saves="inputs")
def atanh(input: Array) -> Array:
    """The inverse of the hyperbolic tangent."""
    return np.arctanh(input)


atanh.defvjp(lambda g, out, x: g / (1 - x * x))
arctanh = also_named("arctanh", atanh)


@method
def deg2rad(input: Tensor) -> Any:
    """Degrees as radians: x * pi / 180."""
    return input * (math.pi / 180)


@method
def rad2deg(input: Tensor) -> Any:
    """Radians as degrees: x * 180 / pi."""
    return input * (180 / math.pi)


@method
@op(floating=True, saves="output")
def sigmoid(input: Array) -> Array:
    """The logistic function, 1 / (1 + exp(-x))."""
    return 1 / (1 + np.exp(-input))  # far below zero, exp overflows to inf, and 1 / inf is the 0 it should be


sigmoid.defvjp(lambda g, out, x: g * out * (1 - out))


@method
@op(saves="inputs")
def relu(input: Array) -> Array:
    """max(x, 0); its gradient at 0 is 0."""
    if input.dtype == np.bool_:
        raise DtypeError("relu: booleans have no sign, got bool; convert with x.float()")
    return np.maximum(input, 0)


relu.defvjp(lambda g, out, x: _where(0.0, g, condition=x._array <= 0))  # 0 at the kink and g at nan, as in PyTorch


@method
@op(saves="inputs")
def abs(input: Array) -> Array:
    """|x|; its gradient at 0 is 0."""
    if input.dtype == np.bool_:
        raise DtypeError("abs: booleans have no sign, got bool; convert with x.float()")
    return np.abs(input)


abs.defvjp(lambda g, out, x: g * x.sign())  # 0 at the kink, as in PyTorch
absolute = also_named("absolute", abs)


@method
@op(saves="")
def sign(input: Array) -> Array:
    """1 where x > 0, -1 where x < 0, and 0 elsewhere, also for nan."""
    if input.dtype == np.bool_:
        return input.copy()
    return (input > 0).astype(input.dtype) - (input < 0)  # np.sign(nan) is nan, but 0 in PyTorch


sign.defvjp(step)
sgn = also_named("sgn", sign)  # they differ for complex numbers only


@method
def positive(input: Tensor) -> Any:
    """The tensor itself.

    Raises:
        DtypeError: for booleans.
    """
    if input.dtype == np.bool_:
        raise DtypeError("positive: booleans have no sign, got bool; convert with x.long()")
    return input


# --- rounding -----------------------------------------------------------------------------------------------------


@method
@op(saves="")
def floor(input: Array) -> Array:
    """The nearest whole number below, or the number itself."""
    return _rounded("floor", np.floor, input)


@method
@op(saves="")
def ceil(input: Array) -> Array:
    """The nearest whole number above, or the number itself."""
    return _rounded("ceil", np.ceil, input)


@method
@op(saves="")
def trunc(input: Array) -> Array:
    """The number without its fraction: rounded towards zero."""
    return _rounded("trunc", np.trunc, input)


@method
@op(saves="")
def round(input: Array, *, decimals: int = 0) -> Array:
    """The nearest whole number, of halves the even one; or the nearest number with so many `decimals`."""
    if decimals == 0:
        return _rounded("round", np.rint, input)
    if isinstance(decimals, bool) or not isinstance(decimals, int):
        raise ArgumentTypeError(f"round: decimals must be an integer, got {type(decimals).__name__}: {decimals!r}")
    if not -308 <= decimals <= 308:
        raise ArgumentError(f"round: decimals must be from -308 to 308, the range of float64, got {decimals}")
    need_floats("round: with decimals, it", input)
    return np.round(input, decimals)


def _rounded(name: str, ufunc: Any, x: Array) -> Array:
    if x.dtype == np.bool_:
        raise DtypeError(f"{name}: booleans are not rounded, got bool; convert with x.long()")
    return ufunc(x) if x.dtype.kind in "fc" else x.copy()


for rounding in (floor, ceil, trunc, round):
    rounding.defvjp(step)
fix = also_named("fix", trunc)


@method
@op(saves="")
def frac(input: Array) -> Array:
    """The fraction, with the sign of the number: x - trunc(x)."""
    need_floats("frac", input)
    return input - np.trunc(input)


frac.defvjp(lambda g, out, x: g)


@op(saves="inputs")
def _nan_to_num(x: Array, *, nan: Any, posinf: Any, neginf: Any) -> Array:
    return np.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


_nan_to_num.defvjp(lambda g, out, x, **replacements: _where(g, 0.0, condition=np.isfinite(x._array)))


@method
def nan_to_num(input: Tensor, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Any:
    """`nan` (0 by default) instead of nan; `posinf` and `neginf` (the largest finite numbers) instead of inf and -inf.

    Raises:
        ArgumentTypeError: if one of them is not a number.
    """
    if input.dtype.kind not in "fc":
        return input.clone()
    given = {"nan": 0.0 if nan is None else nan, "posinf": posinf, "neginf": neginf}
    numbers = {k: None if v is None else as_element("nan_to_num", k, v, input.dtype) for k, v in given.items()}
    return _nan_to_num(input, **numbers)
