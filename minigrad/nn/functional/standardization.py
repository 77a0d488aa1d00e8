"""Normalisation within each sample: over its last dimensions, its channels or groups of them.

All are one op, which standardises over some dimensions and then scales and shifts; they differ in the shape it sees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...creation import ones, zeros
from ...dtypes import Array
from ...errors import ArgumentError, ArgumentTypeError, ShapeError
from ...ops.reduction import _accumulator
from ...ops.shape import checked_int, sum_to
from ...primitive import op
from ...tape import vjp_of
from ...tensor import Tensor
from .arguments import need_floats, need_numbers
from .normalization import check_fitting, eval_formula, move_running, unbiased_variance

__all__ = ["group_norm", "instance_norm", "layer_norm", "rms_norm"]

# --- the op -----------------------------------------------------------------------------------------------------------


def _mean_over(dims: tuple[int, ...], x: Array) -> Array:
    return np.add.reduce(x, axis=dims, keepdims=True) / math.prod(x.shape[d] for d in dims)


@op
def _standardise(
    x: Array, weight: Array, bias: Array, *, dims: tuple[int, ...], eps: float, centre: bool
) -> tuple[Array, Array, Array]:
    """(x - mean) / sqrt(mean square + eps) * weight + bias, the means over `dims`; without `centre` the mean is 0."""
    wide = x.astype(_accumulator(x), copy=False)
    mean = _mean_over(dims, wide) if centre else np.zeros((1,) * x.ndim, wide.dtype)
    out = wide - mean
    inv_std = 1 / np.sqrt(_mean_over(dims, out * out) + eps)
    out *= inv_std
    out *= weight
    out += bias
    return out.astype(x.dtype, copy=False), mean, inv_std


@op
def _standardise_backward(
    dy: Array, x: Array, weight: Array, *, dims: tuple[int, ...], eps: float, centre: bool, mean: Array, inv_std: Array
) -> tuple[Array, ...]:
    x_hat = (x - mean) * inv_std
    dx_hat = dy * weight
    dx = dx_hat - x_hat * _mean_over(dims, dx_hat * x_hat)
    if centre:
        dx -= _mean_over(dims, dx_hat)
    dx *= inv_std
    gradients = dx, sum_to.forward(dy * x_hat, shape=weight.shape), sum_to.forward(dy, shape=weight.shape)
    return tuple(g.astype(x.dtype, copy=False) for g in gradients)


def _backward_formula(
    dy: Any, x: Any, weight: Any, dims: tuple[int, ...], eps: float, centre: bool, mean: Array, inv_std: Array
) -> tuple[Any, Any, Any]:
    """The same in ops; `mean` and `inv_std` are only savings, recomputed here from x."""
    dy, x, weight = (t.to(_accumulator(x._array)) for t in (dy, x, weight))
    centred = x - x.mean(dims, keepdim=True) if centre else x
    scale = ((centred * centred).mean(dims, keepdim=True) + eps).rsqrt()
    x_hat = centred * scale
    dx_hat = dy * weight
    dx = dx_hat - x_hat * (dx_hat * x_hat).mean(dims, keepdim=True)
    if centre:
        dx = dx - dx_hat.mean(dims, keepdim=True)
    return dx * scale, sum_to(dy * x_hat, shape=weight.shape), sum_to(dy, shape=weight.shape)


def _standardise_vjp(g: Any, out: Any, x: Any, weight: Any, bias: Any, **options: Any) -> Any:
    _, mean, inv_std = out
    return _standardise_backward(g[0], x, weight, mean=mean._array, inv_std=inv_std._array, **options)


_standardise.defvjp(joint=_standardise_vjp)
_standardise_backward.defvjp(joint=vjp_of(_backward_formula))


def _standardised(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    shape: tuple[int, ...],
    dims: tuple[int, ...],
    eps: float,
    centre: bool = True,
) -> tuple[Any, Any, Any]:
    """`_standardise` with a weight and a bias that are reshaped to `shape`, which has the rank of x, or missing."""
    if weight is None and bias is None:
        shape = (1,) * x.ndim
    scale = ones(shape, dtype=x.dtype) if weight is None else weight.reshape(shape)
    shift = zeros(shape, dtype=x.dtype) if bias is None else bias.reshape(shape)
    return _standardise(x, scale, shift, dims=dims, eps=eps, centre=centre)


# --- over the last dimensions -----------------------------------------------------------------------------------------


def _over_the_last(
    name: str,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float | None,
    centre: bool,
) -> Any:
    need_floats(name, input=input)
    if not isinstance(normalized_shape, (tuple, list)):
        raise ArgumentTypeError(
            f"{name}: normalized_shape must be a tuple of sizes, got {normalized_shape!r}; write "
            f"({normalized_shape!r},)"
        )
    sizes = tuple(normalized_shape)
    if not sizes or input.shape[-len(sizes) :] != sizes:
        raise ShapeError(
            f"{name}: normalized_shape must be the last sizes of the input, at least one, got {sizes} for input shape "
            f"{input.shape}"
        )
    check_fitting(name, input, sizes, "that of normalized_shape", weight=weight, bias=bias)
    if eps is None:
        eps = float(np.finfo(_accumulator(input._array)).eps)
    need_numbers(name, eps=eps)
    rest = input.ndim - len(sizes)
    dims = tuple(range(rest, input.ndim))
    out, _, _ = _standardised(input, weight, bias, (1,) * rest + sizes, dims, eps, centre)
    return out


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, the statistics over the last dimensions, of sizes normalized_shape.

    The variance is biased (divided by N); weight and bias have the shape `normalized_shape`.

    Source: J. L. Ba, J. R. Kiros and G. Hinton, "Layer Normalization" (2016), https://arxiv.org/abs/1607.06450

    Raises:
        ShapeError: if the last sizes of the input, or the shape of weight or bias, are not `normalized_shape`.
        DtypeError: for integers, or if the dtypes differ.
        ArgumentTypeError: for a `normalized_shape` that is not a tuple or list.
    """
    return _over_the_last("layer_norm", input, normalized_shape, weight, bias, eps, centre=True)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Any:
    """x / sqrt(mean of x^2 + eps) * weight, the mean over the last dimensions, of sizes normalized_shape.

    By default `eps` is the distance from 1 to the next number of the dtype (of float32 for float16).

    Source: B. Zhang and R. Sennrich, "Root Mean Square Layer Normalization" (2019), https://arxiv.org/abs/1910.07467

    Raises:
        ShapeError: if the last sizes of the input, or the shape of the weight, are not `normalized_shape`.
        DtypeError: for integers, or if the dtypes differ.
        ArgumentTypeError: for a `normalized_shape` that is not a tuple or list.
    """
    return _over_the_last("rms_norm", input, normalized_shape, weight, None, eps, centre=False)


# --- over channels ----------------------------------------------------------------------------------------------------


def _check_channels(name: str, input: Tensor, eps: float, **arguments: Tensor | None) -> None:
    need_floats(name, input=input)
    need_numbers(name, eps=eps)
    if input.ndim < 2:
        raise ShapeError(f"{name}: input must be (N, C) or (N, C, ...), got shape {input.shape}")
    check_fitting(name, input, (input.shape[1],), "one value for each channel", **arguments)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, the statistics over each of `num_groups` groups of channels.

    Input (N, C) or (N, C, ...); the groups are neighbouring channels, with all their places. The variance is biased
    (divided by N); weight and bias have one value for each channel.

    Source: Y. Wu and K. He, "Group Normalization" (2018), https://arxiv.org/abs/1803.08494

    Raises:
        ShapeError: if the channels cannot be divided into the groups, a group of the whole input has one value only,
            or weight or bias have another size.
        ArgumentError: for fewer groups than 1.
        DtypeError: for integers, or if the dtypes differ.
    """
    _check_channels("group_norm", input, eps, weight=weight, bias=bias)
    if checked_int("group_norm", "num_groups", num_groups) < 1:
        raise ArgumentError(f"group_norm: num_groups must be >= 1, got {num_groups}")
    batch, channels, *sizes = input.shape
    if channels % num_groups:
        raise ShapeError(
            f"group_norm: {channels} channels, of input shape {input.shape}, cannot be divided into {num_groups} groups"
        )
    each, places = channels // num_groups, math.prod(sizes)
    if batch * each * places == 1:
        raise ShapeError(
            f"group_norm: each group needs more than 1 value to have a variance, got input shape {input.shape} and "
            f"num_groups={num_groups}"
        )
    grouped = input.reshape(batch, num_groups, each, places)
    out, _, _ = _standardised(grouped, weight, bias, (1, num_groups, each, 1), (2, 3), eps)
    return out.reshape(input.shape)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-05,
) -> Any:
    """(x - mean) / sqrt(var + eps) * weight + bias, the statistics over the places of each channel of each sample.

    Input (N, C, ...). The variance is biased (divided by N); the running statistics, if given, move towards the mean of
    those of all samples by `momentum`, with unbiased variances (divided by N - 1). With use_input_stats=False, the
    running statistics are used instead.

    Source: D. Ulyanov, A. Vedaldi and V. Lempitsky, "Instance Normalization" (2016), https://arxiv.org/abs/1607.08022

    Raises:
        ShapeError: if a channel has one place only, or per-channel arguments have another size.
        ArgumentError: for one running statistic without the other, or none with use_input_stats=False.
        DtypeError: for integers, or if the dtypes differ.
    """
    _check_channels(
        "instance_norm", input, eps, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if (running_mean is None) is not (running_var is None):
        raise ArgumentError("instance_norm: give running_mean and running_var, or neither")
    batch, channels, *sizes = input.shape
    places = math.prod(sizes)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ArgumentError("instance_norm: running_mean and running_var are needed when use_input_stats=False")
        scale = ones(channels, dtype=input.dtype) if weight is None else weight
        shift = zeros(channels, dtype=input.dtype) if bias is None else bias
        # Copies, since the next training step changes the running statistics in place.
        return eval_formula(input, scale, shift, running_mean._array.copy(), running_var._array.copy(), eps)
    if places == 1:
        raise ShapeError(
            f"instance_norm: each channel needs more than 1 place to have a variance, got input shape {input.shape}"
        )
    out, mean, inv_std = _standardised(
        input.reshape(batch, channels, places), weight, bias, (1, channels, 1), (2,), eps
    )
    if running_mean is not None and running_var is not None:
        move_running(running_mean, mean._array[:, :, 0].mean(0), momentum)
        variances = unbiased_variance(inv_std._array[:, :, 0], eps, places)
        move_running(running_var, variances.mean(0), momentum)
    return out.reshape(input.shape)
