"""Smooth activations: sigmoids, gates, and softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ... import ops
from ...creation import Generator, rand
from ...dtypes import Array
from ...errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ...ops import approximations, sigmoid, special, tanh
from ...ops.arithmetic import _where
from ...ops.reduction import _accumulator
from ...ops.shape import checked_dim
from ...primitive import op
from ...tensor import Tensor, from_array
from .arguments import need_floats, need_numbers, need_tensors, refuse_inplace

__all__ = [
    "gelu", "glu", "gumbel_softmax", "log_softmax", "logsigmoid", "mish", "sigmoid", "silu", "softmax", "softmin",
    "softplus", "softsign", "tanh", "tanhshrink",
]  # fmt: skip


# --- sigmoids and their integrals -------------------------------------------------------------------------------------


def _log_of_one_plus_exp(x: Array) -> Array:
    """log(1 + exp(x)), where exp cannot overflow; np.logaddexp does the same many times slower."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@op(saves="inputs")
def _softplus(x: Array, *, beta: float, threshold: float) -> Array:
    scaled = x * beta
    return np.where(scaled > threshold, x, _log_of_one_plus_exp(scaled) / beta)


def _softplus_vjp(g: Any, out: Any, x: Any, beta: float, threshold: float) -> Any:
    scaled = x * beta
    return g * _where(1.0, scaled.sigmoid(), condition=scaled._array > threshold)


_softplus.defvjp(_softplus_vjp)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta * x)) / beta, a smooth ReLU; x itself where beta * x > threshold.

    Raises:
        DtypeError: for integers.
    """
    need_floats("softplus", input=input)
    need_numbers("softplus", beta=beta, threshold=threshold)
    return _softplus(input, beta=beta, threshold=threshold)


@op(saves="inputs")
def _logsigmoid(x: Array) -> Array:
    return -_log_of_one_plus_exp(-x)


_logsigmoid.defvjp(lambda g, out, x: g * (-x).sigmoid())


def logsigmoid(input: Tensor) -> Any:
    """log(1 / (1 + exp(-x))), without overflow or cancellation for any x.

    Raises:
        DtypeError: for integers.
    """
    need_floats("logsigmoid", input=input)
    return _logsigmoid(input)


def softsign(input: Tensor) -> Any:
    """x / (1 + |x|).

    Raises:
        DtypeError: for booleans.
    """
    _need_sign("softsign", input)
    return input / (input.abs() + 1)


def tanhshrink(input: Tensor) -> Any:
    """x - tanh(x).

    Raises:
        DtypeError: for booleans.
    """
    _need_sign("tanhshrink", input)
    return input - input.tanh()


def _need_sign(name: str, input: Any) -> None:
    need_tensors(name, input=input)
    if input.dtype == np.bool_:
        raise DtypeError(f"{name}: booleans have no sign, got bool; convert with x.float()")


# --- gates: x times how far it is let through -------------------------------------------------------------------------


@op(saves="inputs")
def _silu(x: Array) -> Array:
    return x * sigmoid.forward(x)


def _silu_vjp(g: Any, out: Any, x: Any) -> Any:
    gate = x.sigmoid()
    return g * gate * (1 + x * (1 - gate))


_silu.defvjp(_silu_vjp)


def silu(input: Tensor, inplace: bool = False) -> Any:
    """x * sigmoid(x), also called swish.

    Source: S. Elfwing, E. Uchibe and K. Doya, "Sigmoid-Weighted Linear Units for Neural Network Function Approximation
    in Reinforcement Learning" (2017), https://arxiv.org/abs/1702.03118

    Raises:
        DtypeError: for integers.
        NotImplementedError: for inplace=True.
    """
    need_floats("silu", input=input)
    refuse_inplace("silu", inplace)
    return _silu(input)


@op(saves="inputs")
def _mish(x: Array) -> Array:
    # tanh(log(1 + e)) is (e^2 + 2e) / (e^2 + 2e + 2); for x > 0, numerator and denominator are multiplied by exp(-2x).
    decay = np.exp(np.where(x >= 0, -x, x))
    numerator = np.where(x >= 0, 1 + 2 * decay, decay * (decay + 2))
    return x * numerator / (numerator + np.where(x >= 0, 2 * decay * decay, 2))


def _mish_vjp(g: Any, out: Any, x: Any) -> Any:
    gate = softplus(x).tanh()
    return g * (gate + x * x.sigmoid() * (1 - gate * gate))


_mish.defvjp(_mish_vjp)


def mish(input: Tensor, inplace: bool = False) -> Any:
    """x * tanh(softplus(x)).

    Source: D. Misra, "Mish: A Self Regularized Non-Monotonic Activation Function" (2019),
    https://arxiv.org/abs/1908.08681

    Raises:
        DtypeError: for integers.
        NotImplementedError: for inplace=True.
    """
    need_floats("mish", input=input)
    refuse_inplace("mish", inplace)
    return _mish(input)


@op(saves="inputs")
def _gelu(x: Array) -> Array:
    return x * (approximations.erfc(x * -math.sqrt(1 / 2)) / 2)


def _gelu_vjp(g: Any, out: Any, x: Any) -> Any:
    distribution = special.erfc(x * -math.sqrt(1 / 2)) / 2  # not 1 + erf(x), which loses its digits far below 0
    density = (x * x * -0.5).exp() * math.sqrt(1 / (2 * math.pi))
    return g * (distribution + x * density)


_gelu.defvjp(_gelu_vjp)

# The argument of the tanh is sqrt(2 / pi) * (x + 0.044715 x^3); sigmoid(2u) is (1 + tanh(u)) / 2.
_SLOPE, _CUBE = 2 * math.sqrt(2 / math.pi), 0.044715


@op(saves="inputs")
def _gelu_tanh(x: Array) -> Array:
    return x * sigmoid.forward(x * (x * x * _CUBE + 1) * _SLOPE)


def _gelu_tanh_vjp(g: Any, out: Any, x: Any) -> Any:
    square = x * x
    gate = (x * (square * _CUBE + 1) * _SLOPE).sigmoid()
    return g * gate * (1 + x * (1 - gate) * (square * (3 * _CUBE) + 1) * _SLOPE)


_gelu_tanh.defvjp(_gelu_tanh_vjp)


def gelu(input: Tensor, approximate: str = "none") -> Any:
    """x * P(Z <= x) for a standard normal Z; with approximate="tanh", the probability is a tanh of a cubic in x.

    Source: D. Hendrycks and K. Gimpel, "Gaussian Error Linear Units (GELUs)" (2016), https://arxiv.org/abs/1606.08415

    Raises:
        ArgumentError: for another `approximate` than "none" and "tanh".
        DtypeError: for integers.
    """
    need_floats("gelu", input=input)
    if approximate == "none":
        return _gelu(input)
    if approximate == "tanh":
        wide = input.to(_accumulator(input._array))  # the cube of 41 is out of the range of float16
        return _gelu_tanh(wide).to(input.dtype)
    raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")


def glu(input: Tensor, dim: int = -1) -> Any:
    """a * sigmoid(b), where a and b are the two halves of the input along `dim`.

    Source: Y. Dauphin et al., "Language Modeling with Gated Convolutional Networks" (2016),
    https://arxiv.org/abs/1612.08083

    Raises:
        ShapeError: if the size of `dim` is odd.
        DimError: for a dim out of range.
        DtypeError: for integers.
    """
    need_floats("glu", input=input)
    axis = checked_dim("glu", dim, input.ndim)
    if not input.ndim or input.shape[axis] % 2:
        raise ShapeError(f"glu: dim {dim} is halved and needs an even size, got input shape {input.shape}")
    half = input.shape[axis] // 2
    before = (slice(None),) * axis
    halves = (*before, slice(half)), (*before, slice(half, None))
    value, gate = (input[part] for part in halves)
    return value * gate.sigmoid()


# --- softmax ----------------------------------------------------------------------------------------------------------


def _given(name: str, dim: int | None) -> int:
    if dim is None:
        raise ArgumentTypeError(
            f"{name}: expected dim, got None; PyTorch guesses it (with a warning) and often wrongly, so write dim=-1 "
            "for the last dimension"
        )
    return dim


def softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Any:
    """exp(x) normalised to sum 1 over `dim`, without overflow.

    Raises:
        ArgumentTypeError: without `dim`, which PyTorch guesses with a warning.
        DimError: for a dim out of range.
    """
    return ops.softmax(input, _given("softmax", dim), dtype)


def log_softmax(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Any:
    """The logarithm of `softmax` over `dim`, computed without forming the softmax.

    Raises:
        ArgumentTypeError: without `dim`, which PyTorch guesses with a warning.
        DimError: for a dim out of range.
    """
    return ops.log_softmax(input, _given("log_softmax", dim), dtype)


def softmin(input: Tensor, dim: int | None = None, *, dtype: Any = None) -> Any:
    """softmax(-x) over `dim`.

    Raises:
        ArgumentTypeError: without `dim`, which PyTorch guesses with a warning.
        DimError: for a dim out of range.
        DtypeError: for integers, unless a floating `dtype` is given.
    """
    need_tensors("softmin", input=input)
    if dtype is not None:
        input = input.to(dtype)
    need_floats("softmin", input=input)
    return ops.softmax(-input, checked_dim("softmin", _given("softmin", dim), input.ndim))


def gumbel_softmax(
    logits: Tensor,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
    *,
    generator: Generator | None = None,
) -> Any:
    """softmax((logits + Gumbel noise) / tau): a differentiable sample from the categorical distribution of the logits.

    With `hard`, the output is the one-hot sample itself, and its gradient is that of the soft one (straight through).
    `eps` is ignored, as in PyTorch.

    Source: E. Jang, S. Gu and B. Poole, "Categorical Reparameterization with Gumbel-Softmax" (2016),
    https://arxiv.org/abs/1611.01144

    Raises:
        DimError: for a dim out of range.
        DtypeError: for integers.
    """
    need_floats("gumbel_softmax", logits=logits)
    need_numbers("gumbel_softmax", tau=tau)
    axis = checked_dim("gumbel_softmax", dim, logits.ndim)
    uniform = rand(logits.shape, generator=generator, dtype=np.float64)._array  # float16 would round some of it to 1
    noise = -np.log(-np.log(uniform))
    soft = ops.softmax((logits + from_array(np.asarray(noise, logits.dtype))) / tau, axis)
    return _straight_through(soft, axis) if hard else soft


def _straight_through(soft: Any, axis: int) -> Any:
    """1 at the largest element over `axis` and 0 elsewhere, with the gradient of `soft`."""
    values = np.atleast_1d(soft._array)
    sample = np.zeros_like(values)
    if values.size:
        np.put_along_axis(sample, values.argmax(axis, keepdims=True), 1, axis)
    return from_array(sample.reshape(soft.shape) - soft._array) + soft
