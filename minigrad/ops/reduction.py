"""Sums, means, extremes: ops over one dimension, several, or all."""

from __future__ import annotations

import builtins
import math
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array, as_dtype, scalar_dtype
from ..errors import ArgumentError, DimError, DtypeError
from ..primitive import op
from ..tensor import Tensor, from_array, method
from .arithmetic import _where
from .shape import Dims, checked_dim, checked_dims

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "log_softmax", "logsumexp", "max", "mean", "min", "softmax",
    "std", "sum", "var",
]  # fmt: skip


class MaxResult(NamedTuple):
    """What `max(dim)` and `min(dim)` return."""

    values: Any
    indices: Any


def _reduce(ufunc: Any, x: Array, dims: Any, keepdim: bool, **options: Any) -> Array:
    """What x.sum() and x.max() call after some checks of their own; the result is an array also for all dimensions."""
    return np.asarray(ufunc.reduce(x, axis=dims, keepdims=keepdim, **options))


def _kept(x: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    """A reduced tensor with its reduced dimensions back at size 1, so that it broadcasts against the input."""
    if keepdim or x._array.ndim == 0:
        return x
    for d in sorted(dims):
        x = x.unsqueeze(d)
    return x


@op(saves="")
def _sum(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Array:
    return _reduce(np.add, x, dims, keepdim, dtype=np.int64 if x.dtype.kind in "biu" else None)


_sum.defvjp(lambda g, out, x, dims, keepdim: _kept(g, dims, keepdim).expand(x.shape))


@method
def sum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over `dim` (all dimensions by default); integers add up in int64.

    Raises:
        DimError: for a dim out of range.
    """
    if dtype is not None:
        input = input.to(dtype)
    return _sum(input, dims=checked_dims("sum", dim, input.ndim), keepdim=keepdim)


@method
def mean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over `dim` (all dimensions by default); nan over no elements.

    Raises:
        DtypeError: for integers; write x.float().mean().
    """
    if dtype is not None:
        input = input.to(dtype)
    if input.dtype.kind not in "fc":
        raise DtypeError(f"mean: needs a floating dtype, got {input.dtype}; write x.float().mean() or pass dtype=")
    dims = checked_dims("mean", dim, input.ndim)
    return _sum(input, dims=dims, keepdim=keepdim) / _count(input, dims)


def _count(x: Tensor, dims: tuple[int, ...]) -> int:
    return math.prod(x.shape[d] for d in dims)


@op(saves="inputs")
def _var(x: Array, *, dims: tuple[int, ...], keepdim: bool, freedom: float) -> Array:
    count = math.prod(x.shape[d] for d in dims)
    centred = x - _reduce(np.add, x, dims, True) / x.dtype.type(count)
    return np.asarray(_reduce(np.add, centred * centred, dims, keepdim) / x.dtype.type(freedom))


_var.defvjp(
    lambda g, out, x, dims, keepdim, freedom: (
        _kept(g, dims, keepdim) * (x - x.mean(dims, keepdim=True)) * (_reciprocal(freedom) * 2)
    )
)


def _reciprocal(freedom: float) -> float:
    return 1 / freedom if freedom else math.nan


@method
def var(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """The variance over `dim`: squared deviations from the mean, divided by N - correction.

    The default is the unbiased estimate, correction=1; correction=0 (or unbiased=False) divides by N.

    Raises:
        DtypeError: for integers.
        ArgumentError: if both `unbiased` and `correction` are given.
    """
    return _variance("var", input, dim, unbiased, keepdim, correction)


def _variance(
    name: str, input: Tensor, dim: Dims, unbiased: bool | None, keepdim: bool, correction: float | None
) -> Any:
    if isinstance(dim, bool):  # PyTorch also accepts var(unbiased)
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise ArgumentError(f"{name}: give unbiased or correction, not both")
    if correction is None:
        correction = 1 if unbiased is None else int(unbiased)
    if input.dtype.kind not in "fc":
        raise DtypeError(f"{name}: needs a floating dtype, got {input.dtype}; write x.float().{name}()")
    dims = checked_dims(name, dim, input.ndim)
    return _var(input, dims=dims, keepdim=keepdim, freedom=np.maximum(0, _count(input, dims) - correction).item())


@op(saves="output")
def _sqrt_of_variance(variance: Array) -> Array:
    return np.sqrt(variance)


# At zero spread the slope is infinite; PyTorch returns 0 there, so that constant inputs do not poison a network.
_sqrt_of_variance.defvjp(lambda g, out, variance: _where(0.0, g / (out * 2), condition=out._array == 0))


@method
def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """The standard deviation over `dim`; arguments as `var`. Its gradient at zero spread is 0, as in PyTorch."""
    return _sqrt_of_variance(_variance("std", input, dim, unbiased, keepdim, correction))


@op
def _amax(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Array:
    return _reduce(np.maximum, x, dims, keepdim)


@op
def _amin(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Array:
    return _reduce(np.minimum, x, dims, keepdim)


def _extreme_vjp(g: Any, out: Any, x: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    """All elements that tie for the extreme share its gradient evenly, as in PyTorch."""
    ties = (x == _kept(out, dims, keepdim)).to(x.dtype)
    return _kept(g, dims, keepdim) * (ties / ties.sum(dims, keepdim=True))


_amax.defvjp(_extreme_vjp)
_amin.defvjp(_extreme_vjp)


def _need_elements(name: str, x: Tensor, dims: tuple[int, ...]) -> None:
    if builtins.any(x.shape[d] == 0 for d in dims) or (not dims and x.numel() == 0):
        raise DimError(f"{name}: there is no extreme of no elements; shape {x.shape}, reduced over dim {dims}")


@method
def amax(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Any:
    """The maximum over `dim`; elements that tie share the gradient evenly.

    Raises:
        DimError: if there are no elements to choose from.
    """
    dims = checked_dims("amax", dim, input.ndim)
    _need_elements("amax", input, dims)
    return _amax(input, dims=dims, keepdim=keepdim)


@method
def amin(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Any:
    """The minimum over `dim`; elements that tie share the gradient evenly."""
    dims = checked_dims("amin", dim, input.ndim)
    _need_elements("amin", input, dims)
    return _amin(input, dims=dims, keepdim=keepdim)


@method
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the first maximum over `dim`, or into the flattened tensor."""
    return _arg("argmax", np.argmax, input, dim, keepdim)


@method
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the first minimum over `dim`, or into the flattened tensor."""
    return _arg("argmin", np.argmin, input, dim, keepdim)


def _arg(name: str, function: Any, input: Tensor, dim: int | None, keepdim: bool) -> Any:
    if dim is None:
        _need_elements(name, input, tuple(range(input.ndim)))
        index = np.asarray(function(input._array))
        return from_array(index.reshape((1,) * input.ndim) if keepdim else index)
    axis = checked_dim(name, dim, input.ndim)
    if not input.ndim:
        return from_array(np.zeros((), np.int64))
    _need_elements(name, input, (axis,))
    return from_array(np.asarray(function(input._array, axis=axis, keepdims=keepdim)))


def _extreme(name: str, function: Any, whole: Any, pairwise: Any, input: Tensor, dim: Any, keepdim: bool) -> Any:
    if isinstance(dim, Tensor):
        return pairwise(input, dim)
    if dim is None:
        _need_elements(name, input, tuple(range(input.ndim)))
        return whole(input)
    indices = _arg(name, function, input, dim, True)
    values = input.take_along_dim(indices, dim) if input.ndim else input
    if not keepdim and input.ndim:
        axis = checked_dim(name, dim, input.ndim)
        values, indices = values.squeeze(axis), indices.squeeze(axis)
    return MaxResult(values, indices)


@method
def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The maximum of all elements; with `dim`, a named tuple (values, indices); with a tensor, `maximum`.

    With `dim` the gradient goes to the element at the returned index; without, ties share it evenly.
    """
    from .arithmetic import maximum

    return _extreme("max", np.argmax, amax, maximum, input, dim, keepdim)


@method
def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The minimum of all elements; with `dim`, a named tuple (values, indices); with a tensor, `minimum`."""
    from .arithmetic import minimum

    return _extreme("min", np.argmin, amin, minimum, input, dim, keepdim)


@op(floating=True)
def _logsumexp(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Array:
    top = _reduce(np.maximum, x, dims, True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)  # all -inf: exp(-inf) sums to 0, and log(0) is -inf, as it should be
    out = np.log(_reduce(np.add, np.exp(x - top), dims, True)) + top
    return np.asarray(out if keepdim else out.reshape([n for i, n in enumerate(x.shape) if i not in dims]))


_logsumexp.defvjp(lambda g, out, x, dims, keepdim: _kept(g, dims, keepdim) * (x - _kept(out, dims, keepdim)).exp())


@method
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Any:
    """log(sum(exp(x))) over `dim`, without overflow: the maximum is taken out first."""
    return _logsumexp(input, dims=checked_dims("logsumexp", dim, input.ndim), keepdim=keepdim)


@method
def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether all elements over `dim` are nonzero."""
    return from_array(np.asarray((input._array != 0).all(axis=checked_dims("all", dim, input.ndim), keepdims=keepdim)))


@method
def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether any element over `dim` is nonzero."""
    return from_array(np.asarray((input._array != 0).any(axis=checked_dims("any", dim, input.ndim), keepdims=keepdim)))


def _normalised(name: str, kernel: Any, input: Tensor, dim: int, dtype: Any) -> Any:
    if dtype is not None:
        input = input.to(as_dtype(dtype))
    elif input.dtype.kind in "biu":
        input = input.to(scalar_dtype(0.0))
    axis = checked_dim(name, dim, input.ndim)
    if not input.ndim:
        return kernel(input.reshape(1), dim=0).reshape(())
    return kernel(input, dim=axis)


@op(saves="output")
def _softmax(x: Array, *, dim: int) -> Array:
    if not x.size:
        return x.copy()
    powers = np.exp(x - _reduce(np.maximum, x, dim, True))
    return powers / _reduce(np.add, powers, dim, True)


# The Jacobian diag(p) - p p^T, applied without forming it.
_softmax.defvjp(lambda g, out, x, dim: (g - (g * out).sum(dim, keepdim=True)) * out)


@method
def softmax(input: Tensor, dim: int, dtype: Any = None) -> Any:
    """exp(x) normalised to sum 1 over `dim`; the maximum is taken out first, so that nothing overflows."""
    return _normalised("softmax", _softmax, input, dim, dtype)


@op(saves="output")
def _log_softmax(x: Array, *, dim: int) -> Array:
    if not x.size:
        return x.copy()
    shifted = x - _reduce(np.maximum, x, dim, True)
    return shifted - np.log(_reduce(np.add, np.exp(shifted), dim, True))


_log_softmax.defvjp(lambda g, out, x, dim: g - out.exp() * g.sum(dim, keepdim=True))


@method
def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Any:
    """The logarithm of `softmax` over `dim`, computed without forming the softmax."""
    return _normalised("log_softmax", _log_softmax, input, dim, dtype)
