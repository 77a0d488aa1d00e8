"""Activations made of two or three pieces, most of them straight lines: ReLU and its relatives.

Each op chooses its piece by a mask of the input; at a kink, and at nan, the slope is the one that PyTorch takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...creation import Generator, rand
from ...dtypes import Array
from ...errors import ArgumentError, DtypeError, ShapeError
from ...ops.arithmetic import _where, as_element
from ...primitive import op
from ...tensor import Tensor, from_array
from .arguments import need_floats, need_numbers, need_tensors, refuse_inplace

__all__ = [
    "celu", "elu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "prelu", "relu", "relu6",
    "rrelu", "selu", "softshrink", "threshold",
]  # fmt: skip


def _check(name: str, input: Any, inplace: bool = False, **options: Any) -> None:
    need_floats(name, input=input)
    need_numbers(name, **options)
    refuse_inplace(name, inplace)


# --- slopes for the negative half -------------------------------------------------------------------------------------


def relu(input: Tensor, inplace: bool = False) -> Any:
    """max(x, 0), element by element; the slope at 0 is 0.

    Raises:
        DtypeError: for booleans.
        NotImplementedError: for inplace=True.
    """
    refuse_inplace("relu", inplace)
    return ops.relu(input)


@op(saves="inputs")
def _leaky_relu(x: Array, *, slope: float) -> Array:
    return np.where(x > 0, x, x * slope)


_leaky_relu.defvjp(lambda g, out, x, slope: _where(g, g * slope, condition=x._array > 0))


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x where x > 0, negative_slope * x elsewhere.

    Source: A. Maas, A. Hannun and A. Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models" (2013),
    https://ai.stanford.edu/~amaas/papers/relu_hybrid_icml2013_final.pdf

    Raises:
        DtypeError: for integers.
        NotImplementedError: for inplace=True.
    """
    _check("leaky_relu", input, inplace, negative_slope=negative_slope)
    return _leaky_relu(input, slope=negative_slope)


@op(broadcasts=True, saves="inputs")
def _prelu(x: Array, weight: Array) -> Array:
    return np.where(x > 0, x, x * weight)


_prelu.defvjp(
    lambda g, out, x, weight: _where(g, g * weight, condition=x._array > 0),
    lambda g, out, x, weight: g * _where(0.0, x, condition=x._array > 0),
)


def prelu(input: Tensor, weight: Tensor) -> Any:
    """x where x > 0, weight * x elsewhere, with a learned weight: one for all elements or one for each channel (dim 1).

    Source: K. He et al., "Delving Deep into Rectifiers" (2015), https://arxiv.org/abs/1502.01852

    Raises:
        ShapeError: if the weight has another size than 1 or the number of channels, or several dimensions.
        DtypeError: for integers, or if the dtypes differ.
    """
    need_floats("prelu", input=input, weight=weight)
    if input.dtype != weight.dtype:
        raise DtypeError(
            f"prelu: input and weight must have one dtype, got {input.dtype} and {weight.dtype}; convert one with "
            ".to(dtype)"
        )
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.numel() not in (1, channels):
        raise ShapeError(
            f"prelu: weight must have 1 element or one for each of the {channels} channels of the input "
            f"{input.shape}, got shape {weight.shape}"
        )
    per_channel = () if weight.numel() == 1 else (channels, *(1,) * (input.ndim - 2))
    return _prelu(input, weight.reshape(per_channel))


def rrelu(
    input: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """Leaky ReLU with a random slope for each element, uniform in [lower, upper); their mean outside training.

    Source: B. Xu et al., "Empirical Evaluation of Rectified Activations in Convolutional Network" (2015),
    https://arxiv.org/abs/1505.00853

    Raises:
        ArgumentError: if lower > upper.
        DtypeError: for integers.
        NotImplementedError: for inplace=True.
    """
    _check("rrelu", input, inplace, lower=lower, upper=upper)
    if lower > upper:
        raise ArgumentError(f"rrelu: lower must be at most upper, got lower={lower} and upper={upper}")
    if not training:
        return _leaky_relu(input, slope=(lower + upper) / 2)
    drawn = rand(input.shape, generator=generator, dtype=input.dtype) * (upper - lower) + lower
    return input * from_array(np.where(input._array <= 0, drawn._array, input.dtype.type(1)))


# --- an exponential for the negative half -----------------------------------------------------------------------------


@op(saves="inputs")
def _elu(x: Array, *, alpha: float, scale: float, input_scale: float) -> Array:
    below = np.expm1(np.minimum(x, 0) * input_scale) * (alpha * scale)
    return np.where(x > 0, x * scale, below)


def _elu_vjp(g: Any, out: Any, x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    above = ~(x._array <= 0)
    # The exponential must not overflow where it is not used; at 0 itself PyTorch has no second derivative either.
    below = _where(0.0, x, condition=above | (x._array == 0))
    slope = (below * input_scale).exp() * (alpha * scale * input_scale)
    return g * _where(scale, slope, condition=above)


_elu.defvjp(_elu_vjp)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, alpha * (exp(x) - 1) elsewhere; the slope at 0 is alpha.

    Source: D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and Accurate Deep Network Learning by Exponential
    Linear Units" (2015), https://arxiv.org/abs/1511.07289

    Raises:
        DtypeError: for integers.
        NotImplementedError: for inplace=True.
    """
    _check("elu", input, inplace, alpha=alpha)
    return _elu(input, alpha=alpha, scale=1.0, input_scale=1.0)


# The fixed point of mean 0 and variance 1 that the paper solves for.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def selu(input: Tensor, inplace: bool = False) -> Any:
    """scale * elu(x, alpha), with the two constants that keep mean 0 and variance 1 from layer to layer.

    Source: G. Klambauer et al., "Self-Normalizing Neural Networks" (2017), https://arxiv.org/abs/1706.02515

    Raises:
        DtypeError: for integers.
        NotImplementedError: for inplace=True.
    """
    _check("selu", input, inplace)
    return _elu(input, alpha=SELU_ALPHA, scale=SELU_SCALE, input_scale=1.0)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x where x > 0, alpha * (exp(x / alpha) - 1) elsewhere: its slope has no jump, whatever alpha is.

    Source: J. Barron, "Continuously Differentiable Exponential Linear Units" (2017), https://arxiv.org/abs/1704.07483

    Raises:
        ArgumentError: for alpha=0.
        DtypeError: for integers.
        NotImplementedError: for inplace=True.
    """
    _check("celu", input, inplace, alpha=alpha)
    if alpha == 0:
        raise ArgumentError("celu: alpha divides and must not be 0, got 0; write relu(x), which is its limit")
    return _elu(input, alpha=alpha, scale=1.0, input_scale=1 / alpha)


# --- limits on both sides ---------------------------------------------------------------------------------------------


@op(saves="inputs")
def _hardtanh(x: Array, *, low: Any, high: Any) -> Array:
    return np.clip(x, low, high)


_hardtanh.defvjp(
    lambda g, out, x, low, high: _where(0.0, g, condition=(x._array <= low) | (x._array >= high)),
)


def _limited(name: str, input: Tensor, low: float, high: float) -> Any:
    if input.dtype == np.bool_:
        raise DtypeError(f"{name}: booleans have no limits, got bool; convert with x.float()")
    dtype = input.dtype
    return _hardtanh(input, low=as_element(name, "min_val", low, dtype), high=as_element(name, "max_val", high, dtype))


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """x limited to [min_val, max_val]; the slope at and beyond the limits is 0 (that of `clamp` is 1 at them).

    Raises:
        ArgumentError: if min_val > max_val, or the dtype of the input cannot hold a limit.
        DtypeError: for booleans.
        NotImplementedError: for inplace=True.
    """
    need_tensors("hardtanh", input=input)
    need_numbers("hardtanh", min_val=min_val, max_val=max_val)
    refuse_inplace("hardtanh", inplace)
    if min_val > max_val:
        raise ArgumentError(f"hardtanh: min_val must be at most max_val, got min_val={min_val} and max_val={max_val}")
    return _limited("hardtanh", input, min_val, max_val)


def relu6(input: Tensor, inplace: bool = False) -> Any:
    """min(max(x, 0), 6); the slope at both limits is 0.

    Raises:
        DtypeError: for booleans.
        NotImplementedError: for inplace=True.
    """
    need_tensors("relu6", input=input)
    refuse_inplace("relu6", inplace)
    return _limited("relu6", input, 0, 6)


@op(saves="inputs")
def _hardsigmoid(x: Array) -> Array:
    return np.clip(x + 3, 0, 6) / 6


_hardsigmoid.defvjp(lambda g, out, x: _where(g / 6, 0.0, condition=(x._array > -3) & (x._array < 3)))


def hardsigmoid(input: Tensor, inplace: bool = False) -> Any:
    """min(max(x + 3, 0), 6) / 6: a sigmoid of straight lines; the slope at both limits is 0.

    Raises:
        DtypeError: for integers.
        NotImplementedError: for inplace=True.
    """
    _check("hardsigmoid", input, inplace)
    return _hardsigmoid(input)


@op(saves="inputs")
def _hardswish(x: Array) -> Array:
    return x * np.clip(x + 3, 0, 6) / 6


def _hardswish_vjp(g: Any, out: Any, x: Any) -> Any:
    rising = (x._array > -3) & (x._array < 3)
    outside = from_array(np.where(x._array <= -3, 0, 1).astype(x.dtype))
    return g * _where(x / 3 + 0.5, outside, condition=rising)


_hardswish.defvjp(_hardswish_vjp)


def hardswish(input: Tensor, inplace: bool = False) -> Any:
    """x * hardsigmoid(x); the slope is 0 at -3 and 1 at 3.

    Source: A. Howard et al., "Searching for MobileNetV3" (2019), https://arxiv.org/abs/1905.02244

    Raises:
        DtypeError: for integers.
        NotImplementedError: for inplace=True.
    """
    _check("hardswish", input, inplace)
    return _hardswish(input)


# --- zero, or a constant, in a range ----------------------------------------------------------------------------------


@op(saves="inputs")
def _softshrink(x: Array, *, lambd: float) -> Array:
    return x - np.clip(x, -lambd, lambd)


@op(saves="inputs")
def _hardshrink(x: Array, *, lambd: float) -> Array:
    return np.where(np.abs(x) <= lambd, x.dtype.type(0), x)


def _shrink_vjp(g: Any, out: Any, x: Any, lambd: float) -> Any:
    return _where(0.0, g, condition=np.abs(x._array) <= lambd)


_softshrink.defvjp(_shrink_vjp)
_hardshrink.defvjp(_shrink_vjp)


def softshrink(input: Tensor, lambd: float = 0.5) -> Any:
    """x moved towards 0 by lambd, and 0 where |x| <= lambd.

    Raises:
        ArgumentError: if lambd is negative.
        DtypeError: for integers.
    """
    _check("softshrink", input, lambd=lambd)
    if not lambd >= 0:
        raise ArgumentError(f"softshrink: lambd must be >= 0, got {lambd}")
    return _softshrink(input, lambd=lambd)


def hardshrink(input: Tensor, lambd: float = 0.5) -> Any:
    """x, but 0 where |x| <= lambd.

    Raises:
        DtypeError: for integers.
    """
    _check("hardshrink", input, lambd=lambd)
    return _hardshrink(input, lambd=lambd)


@op(saves="inputs")
def _threshold(x: Array, *, threshold: Any, value: Any) -> Array:
    return np.where(x <= threshold, value, x)


_threshold.defvjp(lambda g, out, x, threshold, value: _where(0.0, g, condition=x._array <= threshold))


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Any:
    """x where x > threshold, `value` elsewhere.

    Raises:
        ArgumentError: if the dtype of the input cannot hold the threshold or the value.
        DtypeError: for booleans.
        NotImplementedError: for inplace=True.
    """
    need_tensors("threshold", input=input)
    refuse_inplace("threshold", inplace)
    if input.dtype == np.bool_:
        raise DtypeError("threshold: booleans are not compared with a threshold, got bool; convert with x.float()")
    return _threshold(
        input,
        threshold=as_element("threshold", "threshold", threshold, input.dtype),
        value=as_element("threshold", "value", value, input.dtype),
    )
