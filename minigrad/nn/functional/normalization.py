"""Normalisation over the batch, the channels or a group of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import kernels

from ...creation import ones, zeros
from ...dtypes import Array
from ...errors import ArgumentError, DtypeError, ShapeError
from ...primitive import op
from ...tape import vjp_of
from ...tensor import Tensor, from_array

__all__ = ["batch_norm"]


def _statistics(x: Any) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """The dims that statistics run over, the shape of a per-channel vector, and how many values a channel has."""
    dims = (0, *range(2, x.ndim))
    return dims, (1, -1, *(1,) * (x.ndim - 2)), math.prod(x.shape[d] for d in dims)


def _normalised(x: Any, eps: float) -> tuple[Any, Any]:
    dims, _, _ = _statistics(x)
    centred = x - x.mean(dims, keepdim=True)
    inv_std = ((centred * centred).mean(dims, keepdim=True) + eps).rsqrt()
    return centred * inv_std, inv_std


def _backward_formula(dy: Any, x: Any, weight: Any, eps: float, mean: Array, inv_std: Array) -> tuple[Any, Any, Any]:
    """The closed form of lessons/vision/batchnorm.py; `mean` and `inv_std` are only savings, recomputed here from x."""
    dims, channel, count = _statistics(x)
    x_hat, scale = _normalised(x, eps)
    dweight, dbias = (dy * x_hat).sum(dims), dy.sum(dims)
    centred_dy = dy - (dbias / count).reshape(channel) - x_hat * (dweight / count).reshape(channel)
    return weight.reshape(channel) * scale * centred_dy, dweight, dbias


@op
def _batch_norm(x: Array, weight: Array, bias: Array, *, eps: float) -> tuple[Array, Array, Array]:
    return kernels.batch_norm_forward(x, weight, bias, eps)


@op
def _batch_norm_backward(
    dy: Array, x: Array, weight: Array, *, eps: float, mean: Array, inv_std: Array
) -> tuple[Array, Array, Array]:
    return kernels.batch_norm_backward(dy, x, weight, mean, inv_std)


def _batch_norm_vjp(g: Any, out: Any, x: Any, weight: Any, bias: Any, eps: float) -> Any:
    _, mean, inv_std = out
    return _batch_norm_backward(g[0], x, weight, eps=eps, mean=mean._array, inv_std=inv_std._array)


_batch_norm.defvjp(joint=_batch_norm_vjp)
_batch_norm_backward.defvjp(joint=vjp_of(_backward_formula))


@op
def _batch_norm_eval(x: Array, weight: Array, bias: Array, *, mean: Array, var: Array, eps: float) -> Array:
    return kernels.batch_norm_eval(x, mean, var, weight, bias, eps)


def _eval_formula(x: Any, weight: Any, bias: Any, mean: Array, var: Array, eps: float) -> Any:
    _, channel, _ = _statistics(x)
    x_hat = (x - from_array(mean).reshape(channel)) * (from_array(var).reshape(channel) + eps).rsqrt()
    return x_hat * weight.reshape(channel) + bias.reshape(channel)


_batch_norm_eval.defvjp(joint=vjp_of(_eval_formula))


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Any:
    """Normalise each channel over the batch: (x - mean) / sqrt(var + eps) * weight + bias; input (N, C) or (N, C, ...).

    In training the statistics are those of the batch, with the biased variance (divided by N), and the running ones
    move towards them by `momentum`, with the unbiased variance (divided by N - 1). Otherwise the running ones are used.

    Source: S. Ioffe and C. Szegedy, "Batch Normalization" (2015), https://arxiv.org/abs/1502.03167

    Raises:
        ShapeError: for fewer than 2 dimensions, per-channel arguments of another size, or one value a channel in
            training.
        ArgumentError: without running statistics outside training.
    """
    if input.ndim < 2:
        raise ShapeError(f"batch_norm: input must be (N, C) or (N, C, ...), got shape {input.shape}")
    channels = input.shape[1]
    named = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    for name, value in named.items():
        if value is not None and value.shape != (channels,):
            raise ShapeError(
                f"batch_norm: {name} must have shape ({channels},), one value for each channel, got {value.shape}"
            )
        if value is not None and value.dtype != input.dtype:
            raise DtypeError(
                f"batch_norm: {name} has dtype {value.dtype}, but the input has {input.dtype}; convert one with "
                ".to(dtype)"
            )
    if input.dtype not in (np.float32, np.float64):
        raise DtypeError(f"batch_norm: input must be float32 or float64, got {input.dtype}; write x.float()")
    scale = ones(channels, dtype=input.dtype) if weight is None else weight
    shift = zeros(channels, dtype=input.dtype) if bias is None else bias
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError("batch_norm: running_mean and running_var are needed when training=False")
        # Copies, since the next training step changes the running statistics in place.
        mean, var = running_mean._array.copy(), running_var._array.copy()
        return _batch_norm_eval(input, scale, shift, mean=mean, var=var, eps=eps)
    count = _statistics(input)[2]
    if count == 1:
        raise ShapeError(
            "batch_norm: in training each channel needs more than 1 value to have a variance, got input shape "
            f"{input.shape}; use a larger batch, or eval()"
        )
    out, batch_mean, inv_std = _batch_norm(input, scale, shift, eps=eps)
    if running_mean is not None:
        running_mean.copy_(running_mean._array * (1 - momentum) + momentum * batch_mean._array)
    if running_var is not None:
        variance = np.maximum(1 / (inv_std._array * inv_std._array) - input.dtype.type(eps), 0)
        running_var.copy_(running_var._array * (1 - momentum) + momentum * variance * (count / max(count - 1, 1)))
    return out
