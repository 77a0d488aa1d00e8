"""Sums, products, means, norms: ops over one dimension, several, or all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..creation import _need_tensor
from ..dtypes import Array, as_array
from ..errors import ArgumentError, ArgumentTypeError, DimError, DtypeError
from ..primitive import op
from ..tape import vjp_of
from ..tensor import Tensor, from_array, method
from .arithmetic import _where
from .joining import cat
from .shape import Dims, checked_dim, checked_dims

__all__ = [
    "all", "any", "count_nonzero", "mean", "nanmean", "nansum", "norm", "prod", "std", "std_mean", "sum", "var",
    "var_mean",
]  # fmt: skip

# --- what reductions share ------------------------------------------------------------------------------------


def _reduce(ufunc: Any, x: Array, dims: Any, keepdim: bool, **options: Any) -> Array:
    """What x.sum() and x.max() call after some checks of their own; the result is an array also for all dimensions."""
    return as_array(ufunc.reduce(x, axis=dims, keepdims=keepdim, **options))


def _kept(x: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    """A reduced tensor with its reduced dimensions back at size 1, so that it broadcasts against the input."""
    if keepdim or x._array.ndim == 0:
        return x
    for d in sorted(dims):
        x = x.unsqueeze(d)
    return x


def _part(x: Any, dim: int, start: int | None, stop: int | None) -> Any:
    """The slice from `start` to `stop` along `dim`."""
    return x[(slice(None),) * dim + (slice(start, stop),)]


def _count(x: Any, dims: tuple[int, ...]) -> int:
    """How many elements are reduced to one."""
    return math.prod(x.shape[d] for d in dims)


def _accumulator(x: Array) -> Any:
    """The dtype to add up in: float16 ends at 65504, which sums reach long before the mean or the norm does."""
    return np.float32 if x.dtype == np.float16 else x.dtype


def _need_floating(name: str, input: Tensor, instead: str) -> None:
    if input.dtype.kind not in "fc":
        raise DtypeError(f"{name}: needs a floating dtype, got {input.dtype}; write {instead}")


# --- sums, products and means ---------------------------------------------------------------------------------


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
    if dtype is None:
        return _sum(input, dims=checked_dims("sum", dim, input.ndim), keepdim=keepdim)
    return _sum(input.to(dtype), dims=checked_dims("sum", dim, input.ndim), keepdim=keepdim).to(dtype)


@op(saves="inputs")
def _nansum(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Array:
    return _reduce(np.add, np.where(np.isnan(x), x.dtype.type(0), x), dims, keepdim)


_nansum.defvjp(lambda g, out, x, dims, keepdim: _kept(g, dims, keepdim) * _is_number(x))


def _is_number(x: Any) -> Any:
    """1 for numbers and 0 for nan."""
    return x.isnan().logical_not().to(x.dtype)


@method
def nansum(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over `dim` of the elements that are not nan; 0 where all are.

    Raises:
        DimError: for a dim out of range.
    """
    dims = checked_dims("nansum", dim, input.ndim)
    if dtype is not None:
        input = input.to(dtype)
    if input.dtype.kind in "biu":
        return input.sum(dims, keepdim, dtype=dtype)
    return _nansum(input, dims=dims, keepdim=keepdim)


@op(saves="")
def _mean(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Array:
    total = _reduce(np.add, x, dims, keepdim, dtype=_accumulator(x))
    return as_array(total / total.dtype.type(_count(x, dims))).astype(x.dtype, copy=False)


def _mean_vjp(g: Any, out: Any, x: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    # Without elements nothing is divided; but 0 / 0 would make the gradient of this gradient nan, which is 0.
    return (_kept(g, dims, keepdim) / (_count(x, dims) or 1)).expand(x.shape)


_mean.defvjp(_mean_vjp)


@method
def mean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over `dim` (all dimensions by default); nan over no elements.

    Raises:
        DimError: for a dim out of range.
        DtypeError: for integers; write x.float().mean().
    """
    if dtype is not None:
        input = input.to(dtype)
    _need_floating("mean", input, "x.float().mean() or pass dtype=")
    return _mean(input, dims=checked_dims("mean", dim, input.ndim), keepdim=keepdim)


@method
def nanmean(input: Tensor, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over `dim` of the elements that are not nan; nan where all are.

    Raises:
        DimError: for a dim out of range.
        DtypeError: for integers, which are never nan; write x.float().mean().
    """
    _need_floating("nanmean", input, "x.float().mean(), for integers are never nan")
    if dtype is not None:
        input = input.to(dtype)
        _need_floating("nanmean", input, "a floating dtype")
    dims = checked_dims("nanmean", dim, input.ndim)
    return _nansum(input, dims=dims, keepdim=keepdim) / _is_number(input).sum(dims, keepdim)


@op(saves="inputs")
def _prod(x: Array, *, dim: int) -> Array:
    return np.asarray(np.multiply.reduce(x, axis=dim))


def _product_by_halving(x: Any, dim: int) -> Any:
    """The product by pairs, pairs of pairs, ...: its derivatives never divide, so zeros are no special case."""
    while x.shape[dim] > 1:
        half, odd = divmod(x.shape[dim], 2)
        pairs = _part(x, dim, None, half) * _part(x, dim, half, 2 * half)
        x = cat([pairs, _part(x, dim, 2 * half, None)], dim) if odd else pairs
    return x.sum(dim)  # of the one that is left; or of none, where the product, 1, has no derivative either


_prod.defvjp(joint=vjp_of(_product_by_halving))


@method
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The product over `dim` (of all elements by default); integers multiply in int64.

    Raises:
        DimError: for a dim out of range.
        ArgumentTypeError: for several dims; as in PyTorch, it is one or all.
    """
    if dtype is not None:
        input = input.to(dtype)
    if input.dtype.kind in "biu":
        input = input.to(np.int64)
    axis = 0 if dim is None else checked_dim("prod", dim, input.ndim)
    if dim is None or not input.ndim:
        product = _prod(input.reshape(-1), dim=0)
    else:
        product = _prod(input, dim=axis)
        product = product.unsqueeze(axis) if keepdim else product
    return product if dtype is None else product.to(dtype)


# --- spread ---------------------------------------------------------------------------------------------------


@op(saves="inputs")
def _var(x: Array, *, dims: tuple[int, ...], keepdim: bool, freedom: float) -> Array:
    centred = x - _reduce(np.add, x, dims, True) / x.dtype.type(_count(x, dims))
    return np.asarray(_reduce(np.add, centred * centred, dims, keepdim) / x.dtype.type(freedom))


_var.defvjp(
    lambda g, out, x, dims, keepdim, freedom: (
        _kept(g, dims, keepdim) * (x - x.mean(dims, keepdim=True)) * (_reciprocal(freedom) * 2)
    )
)


def _reciprocal(freedom: float) -> float:
    return 1 / freedom if freedom else math.inf


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
        DimError: for a dim out of range.
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
        correction = 1 if unbiased is None else unbiased
    if not isinstance(correction, (int, float)):
        raise ArgumentTypeError(f"{name}: correction must be a number and unbiased a bool, got {correction!r}")
    _need_tensor(name, input)
    _need_floating(name, input, f"{name}(x.float())")
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


def var_mean(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """The pair (variance, mean) over `dim`; arguments as `var`."""
    variance = _variance("var_mean", input, dim, unbiased, keepdim, correction)
    return variance, input.mean(None if isinstance(dim, bool) else dim, keepdim)


def std_mean(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """The pair (standard deviation, mean) over `dim`; arguments as `var`."""
    deviation = _sqrt_of_variance(_variance("std_mean", input, dim, unbiased, keepdim, correction))
    return deviation, input.mean(None if isinstance(dim, bool) else dim, keepdim)


# --- norms ----------------------------------------------------------------------------------------------------


@op
def _norm(x: Array, *, p: float, dims: tuple[int, ...], keepdim: bool) -> Array:
    wide = x.astype(_accumulator(x))
    if p == 2:
        return np.sqrt(_reduce(np.add, wide * wide, dims, keepdim)).astype(x.dtype)
    sizes = np.abs(wide)
    if p == 0:
        return _reduce(np.add, (sizes != 0).astype(x.dtype), dims, keepdim)
    if math.isinf(p):
        return _reduce(np.maximum if p > 0 else np.minimum, sizes, dims, keepdim).astype(x.dtype)
    return np.asarray(_reduce(np.add, sizes**p, dims, keepdim) ** (1 / p)).astype(x.dtype)


def _norm_vjp(g: Any, out: Any, x: Any, p: float, dims: tuple[int, ...], keepdim: bool) -> Any:
    """In the direction of x, the slope sign(x) (|x| / norm)^(p - 1); it is 0 where the norm has a kink."""
    g, out = _kept(g, dims, keepdim), _kept(out, dims, keepdim)
    if p == 0:
        return (g * 0.0).expand(x.shape)
    if math.isinf(p):
        largest = np.isnan(x._array) | (np.abs(x._array) == out._array)
        share = from_array(largest.astype(x.dtype))
        return x.sign() * (g * share / share.sum(dims, keepdim=True))  # elements that tie share it evenly
    flat = out._array == 0
    safe = _where(1.0, out, condition=flat)
    if p == 2:
        return _where(0.0, g * x / safe, condition=flat)
    flat = flat | (x._array == 0)
    return _where(0.0, g * x.sign() * (_where(1.0, x.abs(), condition=flat) / safe) ** (p - 1), condition=flat)


_norm.defvjp(_norm_vjp)


@method
def norm(input: Tensor, p: Any = "fro", dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The p-norm over `dim` (all dimensions by default) of the elements as one vector: (sum |x|^p)^(1/p).

    p = 2 (also called "fro") is the length, inf and -inf are the largest and the smallest |x|, and 0 counts the
    elements that are not 0. Where a norm has a kink, as at x = 0, its gradient is 0.

    Raises:
        DtypeError: for integers.
        DimError: for a dim out of range, or no elements for a norm that is an extreme of them.
        ArgumentError: for a `p` that is neither a number nor "fro".
        NotImplementedError: for p="nuc", the nuclear norm.
    """
    if p == "nuc":
        raise NotImplementedError('norm: p="nuc" is not supported; write minigrad.svd(x) and add the singular values')
    if dtype is not None:
        input = input.to(dtype)
    _need_floating("norm", input, "x.float().norm()")
    dims = checked_dims("norm", dim, input.ndim)
    if p == "fro" and isinstance(dim, (tuple, list)) and len(dim) > 2:
        raise DimError(f'norm: "fro" is the norm of a vector or a matrix, got dim={tuple(dim)}; write p=2')
    order = 2 if p is None or p == "fro" else p
    if not isinstance(order, (int, float)):
        raise ArgumentError(f'norm: p must be a number, inf, -inf or "fro", got {p!r}')
    if (order < 0 or order == math.inf) and not _count(input, dims):
        raise DimError(f"norm: p={order} is an extreme, and there are no elements; shape {input.shape}, dim {dims}")
    return _norm(input, p=float(order), dims=dims, keepdim=keepdim)


# --- truth and counts -----------------------------------------------------------------------------------------


def _truth(name: str, ufunc: Any, input: Tensor, dim: Any, keepdim: bool) -> Any:
    dims = () if dim == () else checked_dims(name, dim, input.ndim)  # here alone PyTorch takes () as no dimension
    found = _reduce(ufunc, input._array != 0, dims, keepdim)
    return from_array(found.astype(np.uint8) if input.dtype == np.uint8 else found)


@method
def all(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether all elements over `dim` are nonzero; the answer about uint8 is uint8, as in PyTorch.

    Raises:
        DimError: for a dim out of range.
    """
    return _truth("all", np.logical_and, input, dim, keepdim)


@method
def any(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether any element over `dim` is nonzero; the answer about uint8 is uint8, as in PyTorch.

    Raises:
        DimError: for a dim out of range.
    """
    return _truth("any", np.logical_or, input, dim, keepdim)


@method
def count_nonzero(input: Tensor, dim: Dims = None) -> Any:
    """How many elements over `dim` are not 0, as int64; nan is not 0.

    Raises:
        DimError: for a dim out of range.
    """
    dims = checked_dims("count_nonzero", dim, input.ndim)
    return from_array(_reduce(np.add, input._array != 0, dims, False, dtype=np.int64))
