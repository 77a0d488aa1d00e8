"""Functions of one variable, applied to every element."""

from __future__ import annotations

import numpy as np

from ..dtypes import Array
from ..tape import op
from ..tensor import method
from .arithmetic import quiet, where


@method
@op(floating=True, saves="output")
@quiet
def exp(input: Array) -> Array:
    return np.exp(input)


exp.defvjp(lambda g, out, x: g * out)


@method
@op(floating=True, saves="inputs")
@quiet
def log(input: Array) -> Array:
    return np.log(input)


log.defvjp(lambda g, out, x: g / x)


@method
@op(floating=True, saves="inputs")
@quiet
def log1p(input: Array) -> Array:
    return np.log1p(input)


log1p.defvjp(lambda g, out, x: g / (x + 1))


@method
@op(floating=True, saves="output")
@quiet
def expm1(input: Array) -> Array:
    return np.expm1(input)


expm1.defvjp(lambda g, out, x: g * (out + 1))


@method
@op(floating=True, saves="output")
@quiet
def sqrt(input: Array) -> Array:
    return np.sqrt(input)


sqrt.defvjp(lambda g, out, x: g / (out * 2))


@method
@op(floating=True, saves="output")
@quiet
def rsqrt(input: Array) -> Array:
    return 1 / np.sqrt(input)


rsqrt.defvjp(lambda g, out, x: g * out**3 * -0.5)


@method
@op(floating=True, saves="output")
@quiet
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
@quiet
def sigmoid(input: Array) -> Array:
    # exp(-|x|) cannot overflow; written with comparisons, it also holds for the complex step of gradcheck.
    decay = np.exp(np.where(input >= 0, -input, input))
    return np.where(input >= 0, 1, decay) / (1 + decay)


sigmoid.defvjp(lambda g, out, x: g * out * (1 - out))


@method
@op(saves="inputs")
def relu(input: Array) -> Array:
    return np.maximum(input, 0)


relu.defvjp(lambda g, out, x: where(x > 0, g, 0.0))  # 0 at the kink, as in PyTorch


@method
@op(saves="inputs")
def abs(input: Array) -> Array:
    return np.abs(input)


abs.defvjp(lambda g, out, x: g * x.sign())  # 0 at the kink, as in PyTorch


@method
@op(saves="")
def sign(input: Array) -> Array:
    return np.sign(input)


sign.defvjp(lambda g, out, x: g * 0.0)
