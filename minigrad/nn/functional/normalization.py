"""Normalisation over the batch, and of vectors; what works within one sample is in standardization.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import kernels

from ...creation import ones, zeros
from ...dtypes import Array
from ...errors import ArgumentError, DtypeError, ShapeError
from ...ops.joining import cat
from ...ops.shape import checked_dims, checked_int
from ...primitive import op
from ...tape import vjp_of
from ...tensor import Tensor, from_array
from .arguments import need_floats, need_numbers, need_tensors

__all__ = ["batch_norm", "local_response_norm", "normalize"]

# --- over the batch ---------------------------------------------------------------------------------------------------


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


def eval_formula(x: Any, weight: Any, bias: Any, mean: Array, var: Array, eps: float) -> Any:
    """Normalise each channel by given statistics."""
    _, channel, _ = _statistics(x)
    x_hat = (x - from_array(mean).reshape(channel)) * (from_array(var).reshape(channel) + eps).rsqrt()
    return x_hat * weight.reshape(channel) + bias.reshape(channel)


_batch_norm_eval.defvjp(joint=vjp_of(eval_formula))


def check_fitting(name: str, input: Tensor, shape: tuple[int, ...], what: str, **arguments: Any) -> None:
    """Check that the tensors that are given have this shape, and the dtype of the input.

    Raises:
        ArgumentTypeError, ShapeError, DtypeError: for the first that has not.
    """
    for argument, value in arguments.items():
        if value is None:
            continue
        need_tensors(name, **{argument: value})
        if value.shape != shape:
            raise ShapeError(f"{name}: {argument} must have shape {shape}, {what}, got {value.shape}")
        if value.dtype != input.dtype:
            raise DtypeError(
                f"{name}: {argument} has dtype {value.dtype}, but the input has {input.dtype}; convert one with "
                ".to(dtype)"
            )


def move_running(running: Tensor, statistic: Array, momentum: float) -> None:
    """Move a running statistic towards the one of this batch."""
    running.copy_(running._array * (1 - momentum) + momentum * statistic)


def unbiased_variance(inv_std: Array, eps: float, count: int) -> Array:
    """The variance (divided by N - 1) of `count` values, from 1 / sqrt(biased variance + eps)."""
    variance = np.maximum(1 / (inv_std * inv_std) - inv_std.dtype.type(eps), 0)
    return variance * (count / max(count - 1, 1))


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
    need_tensors("batch_norm", input=input)
    if input.ndim < 2:
        raise ShapeError(f"batch_norm: input must be (N, C) or (N, C, ...), got shape {input.shape}")
    channels = input.shape[1]
    check_fitting(
        "batch_norm", input, (channels,), "one value for each channel",
        running_mean=running_mean, running_var=running_var, weight=weight, bias=bias,
    )  # fmt: skip
    if input.dtype not in (np.float32, np.float64):
        raise DtypeError(f"batch_norm: input must be float32 or float64, got {input.dtype}; write x.float()")
    scale = ones(channels, dtype=input.dtype).to(input.device) if weight is None else weight
    shift = zeros(channels, dtype=input.dtype).to(input.device) if bias is None else bias
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
    out, mean, inv_std = _batch_norm(input, scale, shift, eps=eps)
    if running_mean is not None:
        move_running(running_mean, mean._array, momentum)
    if running_var is not None:
        move_running(running_var, unbiased_variance(inv_std._array, eps, count), momentum)
    return out


# --- of vectors -------------------------------------------------------------------------------------------------------


def normalize(input: Tensor, p: Any = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    """x / max(norm of order p over `dim`, eps): vectors of length 1, or 0 where they were 0.

    Raises:
        DimError: for a dim out of range.
        DtypeError: for integers.
    """
    need_floats("normalize", input=input)
    need_numbers("normalize", p=p, eps=eps)
    dims = checked_dims("normalize", dim, input.ndim)
    return input / input.norm(p, dims, keepdim=True).clamp(min=eps)


def local_response_norm(input: Tensor, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0) -> Any:
    """x / (k + alpha * mean of x^2 over `size` neighbouring channels)^beta; input (N, C, ...) of 3 or more dimensions.

    Channels beyond the ends count as 0. For an even size the window reaches one channel further back than ahead.

    Source: A. Krizhevsky, I. Sutskever and G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks"
    (2012), https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks

    Raises:
        ShapeError: for fewer than 3 dimensions.
        ArgumentError: for a size below 1.
        DtypeError: for integers.
    """
    need_floats("local_response_norm", input=input)
    need_numbers("local_response_norm", alpha=alpha, beta=beta, k=k)
    if input.ndim < 3:
        raise ShapeError(f"local_response_norm: input must be (N, C, ...), 3 or more dimensions, got {input.shape}")
    if checked_int("local_response_norm", "size", size) < 1:
        raise ArgumentError(f"local_response_norm: size must be >= 1, got {size}")
    mean_square = _sum_of_neighbours(input * input, size // 2, (size - 1) // 2) / size
    return input / (mean_square * alpha + k) ** beta


def _sum_of_neighbours(x: Any, before: int, after: int) -> Any:
    """For each channel, the sum over it, `before` channels in front of it and `after` behind it."""
    batch, channels, *sizes = x.shape
    front, back = (zeros(batch, n, *sizes, dtype=x.dtype) for n in (before, after))
    padded = cat([front, x, back], dim=1)
    total = padded[:, :channels]
    for start in range(1, before + after + 1):
        total = total + padded[:, start : start + channels]
    return total
