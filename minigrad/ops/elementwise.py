"""Functions of one variable, applied to every element."""

from __future__ import annotations

import numpy as np

from ..dtypes import Array
from ..errors import DtypeError
from ..primitive import op
from ..tensor import method
from .arithmetic import _where

__all__ = [
    "abs", "cos", "exp", "expm1", "log", "log1p", "reciprocal", "relu", "rsqrt", "sigmoid", "sign", "sin", "sqrt",
    "square", "tanh",
]  # fmt: skip


@method
@op(floating=True, saves="output")
def exp(input: Array) -> Array:
    return np.exp(input)


exp.defvjp(lambda g, out, x: g * out)


@method
@op(floating=True, saves="inputs")
def log(input: Array) -> Array:
    return np.log(input)


log.defvjp(lambda g, out, x: g / x)


@method
@op(floating=True, saves="inputs")
def log1p(input: Array) -> Array:
    return np.log1p(input)


log1p.defvjp(lambda g, out, x: g / (x + 1))


@method
@op(floating=True, saves="output")
def expm1(input: Array) -> Array:
    return np.expm1(input)


expm1.defvjp(lambda g, out, x: g * (out + 1))


@method
@op(floating=True, saves="output")
def sqrt(input: Array) -> Array:
    return np.sqrt(input)


sqrt.defvjp(lambda g, out, x: g / (out * 2))


@method
@op(floating=True, saves="output")
def rsqrt(input: Array) -> Array:
    return 1 / np.sqrt(input)


rsqrt.defvjp(lambda g, out, x: g * out**3 * -0.5)


@method
@op(floating=True, saves="output")
def reciprocal(input: Array) -> Array:
    return 1 / input


reciprocal.defvjp(lambda g, out, x: -g * out * out)


@method
@op(saves="inputs")
def square(input: Array) -> Array:
    return input * input


square.defvjp(lambda g, out, x: g * x * 2)


@method
@op(floating=True, saves="inputs")
def sin(input: Array) -> Array:
    return np.sin(input)


sin.defvjp(lambda g, out, x: g * x.cos())


@method
@op(floating=True, saves="inputs")
def cos(input: Array) -> Array:
    return np.cos(input)


cos.defvjp(lambda g, out, x: -g * x.sin())


@method
@op(floating=True, saves="output")
def tanh(input: Array) -> Array:
    return np.tanh(input)


tanh.defvjp(lambda g, out, x: g * (1 - out * out))


@method
@op(floating=True, saves="output")
def sigmoid(input: Array) -> Array:
    # exp(-|x|) cannot overflow; written with comparisons, it also holds for the complex step of gradcheck.
    decay = np.exp(np.where(input >= 0, -input, input))
    return np.where(input >= 0, 1, decay) / (1 + decay)


sigmoid.defvjp(lambda g, out, x: g * out * (1 - out))


@method
@op(saves="inputs")
def relu(input: Array) -> Array:
    if input.dtype == np.bool_:
        raise DtypeError("relu: booleans have no sign, got bool; convert with x.float()")
    return np.maximum(input, 0)


relu.defvjp(lambda g, out, x: _where(0.0, g, condition=x._array <= 0))  # 0 at the kink and g at nan, as in PyTorch


@method
@op(saves="inputs")
def abs(input: Array) -> Array:
    if input.dtype == np.bool_:
        raise DtypeError("abs: booleans have no sign, got bool; convert with x.float()")
    return np.abs(input)


abs.defvjp(lambda g, out, x: g * x.sign())  # 0 at the kink, as in PyTorch


@method
@op(saves="")
def sign(input: Array) -> Array:
    return (input > 0).astype(input.dtype) - (input < 0)  # np.sign(nan) is nan, but 0 in PyTorch


sign.defvjp(lambda g, out, x: g * 0.0)
