"""Scattering: each element of one tensor goes to the place along a dimension that an index gives.

It is the adjoint of gather. Elements that meet at one place are reduced, or the last one in C order stays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor, from_array, method
from .arithmetic import _where
from .indexing import _add_at, _getitem, corner, indices_along, places_along
from .joining import atleast_1d
from .shape import checked_dim, need_tensors
from .writing import _fill_value, _need_same_dtype, _put_at

__all__ = ["scatter", "scatter_add", "scatter_reduce"]

# --- written, added, multiplied -----------------------------------------------------------------


def _scattered(name: str, input: Tensor, dim: int, index: Tensor, src: Any, write: Callable[..., Any]) -> Any:
    """`write(x, values, places)` with the part of `src` that the index covers; a copy where it covers nothing."""
    axis = checked_dim(name, dim, input.ndim)
    indices = np.atleast_1d(indices_along(name, input, index, axis))
    _need_same_dtype(name, input, src)
    if not indices.size:
        return input.clone()
    values = atleast_1d(src)
    if values.ndim != indices.ndim or any(n > m for n, m in zip(indices.shape, values.shape, strict=True)):
        raise ShapeError(f"{name}: index of shape {index.shape} is larger than src of shape {src.shape}")
    values = _getitem(values, index=corner(indices.shape))
    return write(atleast_1d(input), values, places_along(indices, axis)).reshape(input.shape)


def _written(x: Tensor, values: Tensor, places: Any) -> Any:
    return _put_at(x, values, index=places)


def _added(x: Tensor, values: Tensor, places: Any) -> Any:
    return x + _add_at(values, index=places, shape=x.shape)


def _multiplied(x: Tensor, values: Tensor, places: Any) -> Any:
    return _scatter_prod(x, values, index=places)


@method
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Any:
    """A copy in which input[index[i, j], j] is src[i, j] for dim=0, or the number `value`.

    With `reduce`, "add" or "multiply", the element is not replaced but increased or multiplied.

    Raises:
        DimError: for a dim or an index out of range.
        DtypeError: if the index is not int32 or int64, or the dtypes of the input and `src` differ.
        ShapeError: if the index does not fit into the input or `src`.
        ArgumentError: for another `reduce`.
        ArgumentTypeError: if not exactly one of `src` and `value` is given.
    """
    if (src is None) is (value is None):
        raise ArgumentTypeError("scatter: give exactly one of src and value")
    if reduce not in (None, "add", "multiply"):
        raise ArgumentError(f'scatter: reduce must be "add" or "multiply", got {reduce!r}')
    if not isinstance(src, Tensor):
        need_tensors("scatter", index)
        src = _fill_value("scatter", value if src is None else src, input).expand(index.shape)
    write = {None: _written, "add": _added, "multiply": _multiplied}[reduce]
    return _scattered("scatter", input, dim, index, src, write)


@method
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Any:
    """A copy in which src[i, j] is added to input[index[i, j], j] for dim=0; the adjoint of gather.

    Raises:
        DimError: for a dim or an index out of range.
        DtypeError: if the index is not int32 or int64, or the dtypes of the input and `src` differ.
        ShapeError: if the index does not fit into the input or `src`.
    """
    return _scattered("scatter_add", input, dim, index, src, _added)


# --- reducing what meets at a place -----------------------------------------------------------------------------


@op(saves="inputs output")
def _scatter_prod(x: Array, src: Array, *, index: Any) -> Array:
    out = x.copy()
    np.multiply.at(out, index, src)
    return out


def _scatter_prod_vjp(g: Any, out: Any, x: Any, src: Any, index: Any) -> tuple[Any, Any]:
    """The product of the other factors: out / x, or where one factor is zero, the product without this one."""
    no_x, no_src = x._array == 0, src._array == 0
    zeros = no_x.astype(np.int64)
    np.add.at(zeros, index, no_src)
    alone = zeros == 1
    one = from_array(np.ones((), x.dtype))
    nonzero = _scatter_prod(
        _where(one, x, condition=no_x & alone), _where(one, src, condition=no_src & alone[index]), index=index
    )

    def without(factor: Any, zero: Array, whole: Any, rest: Any) -> Any:
        return _where(rest, whole / _where(one, factor, condition=zero), condition=zero)

    return (
        g * without(x, no_x, out, nonzero),
        _getitem(g, index=index) * without(src, no_src, _getitem(out, index=index), _getitem(nonzero, index=index)),
    )


_scatter_prod.defvjp(joint=_scatter_prod_vjp)


@op(saves="inputs output")
def _scatter_extreme(x: Array, src: Array, *, index: Any, ufunc: Any, include_self: bool) -> Array:
    out = x.copy()
    if not include_self:
        out[index] = src  # some element of each place, as all of them take part
    ufunc.at(out, index, src)
    return out


def _scatter_extreme_vjp(
    g: Any, out: Any, x: Any, src: Any, index: Any, ufunc: Any, include_self: bool
) -> tuple[Any, Any]:
    """All elements that equal the extreme share its gradient."""
    x_wins, src_wins = x._array == out._array, src._array == out._array[index]
    if not include_self:
        x_wins[index] = False
    x_wins, src_wins = from_array(x_wins.astype(x.dtype)), from_array(src_wins.astype(x.dtype))
    share = g / (x_wins + _add_at(src_wins, index=index, shape=x.shape))
    return share * x_wins, _getitem(share, index=index) * src_wins


_scatter_extreme.defvjp(joint=_scatter_extreme_vjp)


def _reduced(x: Tensor, values: Tensor, places: Any, *, reduce: str, include_self: bool) -> Any:
    if reduce in ("amax", "amin"):
        ufunc = np.maximum if reduce == "amax" else np.minimum
        return _scatter_extreme(x, values, index=places, ufunc=ufunc, include_self=include_self)
    if not include_self:
        neutral = from_array(np.array(reduce == "prod", x.dtype))
        x = _put_at(x, neutral, index=places)
    if reduce == "prod":
        return _multiplied(x, values, places)
    total = _added(x, values, places)
    if reduce == "sum":
        return total
    counts = np.ones(x.shape, x.dtype)
    if not include_self:
        counts[places] = 0
    np.add.at(counts, places, 1)
    return total.div(from_array(counts), rounding_mode=None if x.dtype.kind in "fc" else "floor")


@method
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Any:
    """A copy in which input[index[i, j], j] is reduced with all src[i, j] that meet there, for dim=0.

    `reduce` is "sum", "prod", "mean", "amax" or "amin"; without `include_self`, places that src reaches forget what
    they held. Elements that tie for an extreme share its gradient.

    Raises:
        DimError: for a dim or an index out of range.
        DtypeError: if the index is not int32 or int64, or the dtypes of the input and `src` differ.
        ShapeError: if the index does not fit into the input or `src`.
        ArgumentError: for another `reduce`.
    """
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise ArgumentError(f'scatter_reduce: reduce must be "sum", "prod", "mean", "amax" or "amin", got {reduce!r}')
    if reduce == "mean" and input.dtype == np.bool_:
        raise DtypeError("scatter_reduce: booleans have no mean; write input.float()")
    write = functools.partial(_reduced, reduce=reduce, include_self=include_self)
    return _scattered("scatter_reduce", input, dim, index, src, write)
