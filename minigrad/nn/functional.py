"""The names of `torch.nn.functional`: layers, activations and losses as functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import kernels

from ..creation import Generator, ones, rand, zeros
from ..dtypes import Array
from ..errors import ArgumentError, DtypeError, ShapeError
from ..ops import linear, log_softmax, one_hot, relu, sigmoid, softmax, tanh, where
from ..primitive import op
from ..tape import vjp_of
from ..tensor import Tensor, from_array

__all__ = [
    "batch_norm", "binary_cross_entropy_with_logits", "cross_entropy", "dropout", "l1_loss", "linear", "log_softmax",
    "mse_loss", "nll_loss", "one_hot", "relu", "sigmoid", "softmax", "tanh",
]  # fmt: skip

# --- losses ---------------------------------------------------------------------------------------------------


def _reduced(name: str, loss: Any, reduction: str) -> Any:
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ArgumentError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _same_shape(name: str, input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        raise ShapeError(
            f"{name}: input {input.shape} and target {target.shape} differ; broadcasting a loss is nearly always a "
            "mistake, so make the shapes equal, for example with reshape or expand"
        )


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Any:
    """(input - target)^2, averaged over all elements.

    Raises:
        ShapeError: if the shapes differ (PyTorch broadcasts with a warning).
    """
    _same_shape("mse_loss", input, target)
    return _reduced("mse_loss", (input - target).square(), reduction)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Any:
    """|input - target|, averaged over all elements.

    Raises:
        ShapeError: if the shapes differ (PyTorch broadcasts with a warning).
    """
    _same_shape("l1_loss", input, target)
    return _reduced("l1_loss", (input - target).abs(), reduction)


@op(saves="inputs")
@np.errstate(all="ignore")
def _softplus(x: Array) -> Array:
    return np.logaddexp(x, x.dtype.type(0))  # log(1 + exp(x)), without overflow


_softplus.defvjp(lambda g, out, x: g * x.sigmoid())


def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Any:
    """-t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), written so that no x overflows; targets in [0, 1].

    Raises:
        ShapeError: if the shapes differ.
    """
    _same_shape("binary_cross_entropy_with_logits", input, target)
    loss = (1 - target) * input + _softplus(-input)
    return _reduced("binary_cross_entropy_with_logits", loss, reduction)


def _class_indices(name: str, input: Tensor, target: Tensor, ignore_index: int) -> tuple[Array, Array, int]:
    """Targets with ignored ones replaced by 0, the mask of the others, and the class dimension; all checked."""
    if not input.ndim:
        raise ShapeError(f"{name}: input needs a class dimension: (C,), (N, C) or (N, C, ...), got a 0-dim tensor")
    dim = 0 if input.ndim == 1 else 1
    expected = input.shape[:dim] + input.shape[dim + 1 :]
    if target.shape != expected:
        raise ShapeError(
            f"{name}: for input {input.shape}, class targets must have shape {expected}, got {target.shape}"
        )
    if target.dtype.kind not in "iu":
        raise DtypeError(f"{name}: class targets must be integers, got {target.dtype}; write target.long()")
    valid = target._array != ignore_index
    indices = np.where(valid, target._array, 0)
    classes = input.shape[dim]
    if indices.size and not (indices.min() >= 0 and indices.max() < classes):
        raise ArgumentError(
            f"{name}: class targets must lie in 0 to {classes - 1}, got {indices.min()} to {indices.max()}"
        )
    return indices.astype(np.int64), valid, dim


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """The negative log-likelihood -input[n, target[n]] of log-probabilities (N, C), (C,) or (N, C, ...).

    The mean is weighted: sum of w[target] * loss over sum of w[target]; targets equal to `ignore_index` count nowhere.

    Raises:
        ShapeError, DtypeError, ArgumentError: targets that do not fit, are not integers, or name no class.
    """
    return _negative_log_likelihood("nll_loss", input, target, weight, ignore_index, reduction)


def _negative_log_likelihood(
    name: str, input: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int, reduction: str
) -> Any:
    indices, valid, dim = _class_indices(name, input, target, ignore_index)
    if weight is not None and weight.shape != (input.shape[dim],):
        raise ShapeError(
            f"{name}: weight must have shape ({input.shape[dim]},), one for each class, got {weight.shape}"
        )
    picked = input.gather(dim, from_array(np.expand_dims(indices, dim))).squeeze(dim)
    scale = np.ones(indices.shape, input.dtype) if weight is None else weight._array[indices].astype(input.dtype)
    scale = np.where(valid, scale, input.dtype.type(0))
    loss = where(valid, -picked * from_array(scale), 0.0)
    if reduction == "mean":
        return loss.sum() / from_array(np.asarray(scale.sum()))
    return _reduced(name, loss, reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """The cross-entropy of logits against class indices, or against class probabilities of the shape of the logits.

    Args:
        input: logits, shape (N, C), (C,) or (N, C, ...).
        target: integers of shape (N,), () or (N, ...); or floating probabilities of the shape of `input`.
        weight: a weight for each class, shape (C,); the mean over class indices divides by the sum of the weights used.
        label_smoothing: in [0, 1]: this share of the target is spread evenly over the classes.

    Raises:
        ShapeError, DtypeError, ArgumentError: targets that do not fit; smoothing out of range.
    """
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"cross_entropy: label_smoothing must lie in [0, 1], got {label_smoothing}")
    if not input.ndim:
        raise ShapeError(
            "cross_entropy: input needs a class dimension: (C,), (N, C) or (N, C, ...), got a 0-dim tensor"
        )
    dim = 0 if input.ndim == 1 else 1
    classes = input.shape[dim]
    if weight is not None and weight.shape != (classes,):
        raise ShapeError(f"cross_entropy: weight must have shape ({classes},), one for each class, got {weight.shape}")
    logs = log_softmax(input, dim)
    per_class = None if weight is None else weight.reshape([classes if i == dim else 1 for i in range(input.ndim)])
    if target.dtype.kind == "f":
        if target.shape != input.shape:
            raise ShapeError(
                f"cross_entropy: probabilities must have the shape of the input {input.shape}, got {target.shape}"
            )
        smooth = target * (1 - label_smoothing) + label_smoothing / classes if label_smoothing else target
        loss = -(logs * smooth if per_class is None else logs * smooth * per_class).sum(dim)
        if reduction == "mean":
            return loss.sum() / (loss.numel() or math.nan)
        return _reduced("cross_entropy", loss, reduction)
    hard = _negative_log_likelihood("cross_entropy", logs, target, weight, ignore_index, reduction)
    if not label_smoothing:
        return hard
    indices, valid, _ = _class_indices("cross_entropy", input, target, ignore_index)
    spread = where(valid, -(logs if per_class is None else logs * per_class).sum(dim), 0.0)
    if reduction == "mean":
        counted = np.where(valid, 1.0 if weight is None else weight._array[indices], 0.0).sum()
        spread = spread.sum() / float(counted)
    else:
        spread = _reduced("cross_entropy", spread, reduction)
    return hard * (1 - label_smoothing) + spread * (label_smoothing / classes)


# --- batch normalisation --------------------------------------------------------------------------------------


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


# --- dropout --------------------------------------------------------------------------------------------------


def dropout(input: Tensor, p: float = 0.5, training: bool = True, *, generator: Generator | None = None) -> Any:
    """Set each element to zero with probability `p` and scale the others by 1 / (1 - p); nothing outside training.

    Raises:
        ArgumentError: if p is not in [0, 1].
    """
    if not 0 <= p <= 1:
        raise ArgumentError(f"dropout: p is a probability in [0, 1], got {p}")
    if not training or p == 0:
        return input
    keep = rand(input.shape, generator=generator, dtype=input.dtype) >= p
    return where(keep, input * (1 / (1 - p) if p < 1 else 0.0), 0.0)
