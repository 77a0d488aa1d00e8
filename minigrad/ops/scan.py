"""Running sums, products and extremes along a dimension, differences, and integrals by the trapezoidal rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..creation import _need_tensor
from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError
from ..primitive import op
from ..tape import vjp_of
from ..tensor import Tensor, from_array, method
from .extremes import Selection
from .indexing import _take_along_dim
from .joining import cat, stack
from .reduction import _need_floating, _part
from .shape import checked_dim

__all__ = [
    "cummax", "cummin", "cumprod", "cumsum", "cumulative_trapezoid", "diff", "logcumsumexp", "trapezoid",
]  # fmt: skip


def _running(name: str, kernel: Any, input: Tensor, dim: int, **attrs: Any) -> Any:
    """A scan along `dim`; a number is a scan of length 1."""
    axis = checked_dim(name, dim, input.ndim)
    if not input.ndim:
        return kernel(input.reshape(1), dim=0, **attrs).reshape(())
    return kernel(input, dim=axis, **attrs)


def _summable(input: Tensor, dtype: Any) -> Tensor:
    """In the dtype asked for; integers otherwise add up and multiply in int64."""
    if dtype is not None:
        return input.to(dtype)
    return input.to(np.int64) if input.dtype.kind in "biu" else input


# --- sums and products ----------------------------------------------------------------------------------------


@op(saves="")
def _cumsum(x: Array, *, dim: int, backwards: bool) -> Array:
    if backwards:
        return np.flip(np.add.accumulate(np.flip(x, dim), axis=dim, dtype=x.dtype), dim)
    return np.add.accumulate(x, axis=dim, dtype=x.dtype)


# x[i] is part of the sums i, i + 1, ...: its gradient is their sum, a running sum from the other end.
_cumsum.defvjp(lambda g, out, x, dim, backwards: _cumsum(g, dim=dim, backwards=not backwards))


@method
def cumsum(input: Tensor, dim: int, *, dtype: Any = None) -> Any:
    """out[i] = x[0] + ... + x[i] along `dim`; integers add up in int64.

    Raises:
        DimError: for a dim out of range.
    """
    return _running("cumsum", _cumsum, _summable(input, dtype), dim, backwards=False)


def _by_doubling(combine: Callable[[Any, Any], Any], x: Any, dim: int) -> Any:
    """A running `combine` along `dim` in log2(n) differentiable steps; each doubles how far back an element reaches.

    W. Daniel Hillis and Guy L. Steele, Data parallel algorithms, 1986, https://doi.org/10.1145/7902.7903
    """
    reach = 1
    while reach < x.shape[dim]:
        both = combine(_part(x, dim, None, -reach), _part(x, dim, reach, None))
        x = cat([_part(x, dim, None, reach), both], dim)
        reach *= 2
    return x


@op(saves="inputs")
def _cumprod(x: Array, *, dim: int) -> Array:
    return np.multiply.accumulate(x, axis=dim, dtype=x.dtype)


# Nothing is divided, as it would be by x in the usual formula: zeros are no special case.
_cumprod.defvjp(joint=vjp_of(lambda x, dim: _by_doubling(lambda a, b: a * b, x, dim)))


@method
def cumprod(input: Tensor, dim: int, *, dtype: Any = None) -> Any:
    """out[i] = x[0] * ... * x[i] along `dim`; integers multiply in int64.

    Raises:
        DimError: for a dim out of range.
    """
    return _running("cumprod", _cumprod, _summable(input, dtype), dim)


@op(saves="inputs")
def _logcumsumexp(x: Array, *, dim: int) -> Array:
    return np.logaddexp.accumulate(x, axis=dim, dtype=x.dtype)


_logcumsumexp.defvjp(joint=vjp_of(lambda x, dim: _by_doubling(lambda a, b: stack([a, b]).logsumexp(0), x, dim)))


@method
def logcumsumexp(input: Tensor, dim: int) -> Any:
    """out[i] = log(exp(x[0]) + ... + exp(x[i])) along `dim`, without overflow.

    Raises:
        DimError: for a dim out of range.
        DtypeError: for integers.
    """
    _need_floating("logcumsumexp", input, "x.float().logcumsumexp(dim)")
    return _running("logcumsumexp", _logcumsumexp, input, dim)


# --- extremes -------------------------------------------------------------------------------------------------


def _record_places(ufunc: Any, x: Array, dim: int) -> Array:
    """Where each running extreme was found: the latest of equal ones; for nan, which stays, the latest nan."""
    places = np.arange(x.shape[dim]).reshape([-1 if i == dim else 1 for i in range(x.ndim)])
    is_record = (x == ufunc.accumulate(x, axis=dim)) | np.isnan(x)
    return np.maximum.accumulate(np.where(is_record, places, 0), axis=dim)


def _running_extreme(name: str, ufunc: Any, input: Tensor, dim: int) -> Selection:
    axis = checked_dim(name, dim, input.ndim)
    if not input.ndim:
        return Selection(input.clone(), from_array(np.zeros((), np.int64)))
    indices = _record_places(ufunc, input._array, axis)
    return Selection(_take_along_dim(input, indices=indices, dim=axis), from_array(indices.copy()))


@method
def cummax(input: Tensor, dim: int) -> Selection:
    """The maximum of x[0] to x[i] along `dim`, and the index of the last element that has it: (values, indices).

    The gradient goes to the element at the returned index.

    Raises:
        DimError: for a dim out of range.
    """
    return _running_extreme("cummax", np.maximum, input, dim)


@method
def cummin(input: Tensor, dim: int) -> Selection:
    """The minimum of x[0] to x[i] along `dim`, and the index of the last element that has it: (values, indices).

    The gradient goes to the element at the returned index.

    Raises:
        DimError: for a dim out of range.
    """
    return _running_extreme("cummin", np.minimum, input, dim)


# --- differences and integrals --------------------------------------------------------------------------------


def _steps(x: Any, dim: int) -> Any:
    later, earlier = _part(x, dim, 1, None), _part(x, dim, None, -1)
    return later ^ earlier if x.dtype == np.bool_ else later - earlier


@method
def diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Tensor | None = None, append: Tensor | None = None) -> Any:
    """x[i + 1] - x[i] along `dim`, `n` times over; booleans are compared. `prepend` and `append` are joined on first.

    Raises:
        ArgumentError: for a negative `n`.
        DimError: for a dim out of range.
        ShapeError: for a 0-dim input; if `prepend` or `append` differ from it in more than the size of `dim`.
    """
    if not isinstance(n, int) or n < 0:
        raise ArgumentError(f"diff: n, how often differences are taken, must be an integer >= 0, got {n!r}")
    axis = checked_dim("diff", dim, input.ndim)
    if not input.ndim:
        raise ShapeError("diff: a 0-dim tensor has no neighbours to subtract; give at least one dimension")
    parts = [part for part in (prepend, input, append) if part is not None]
    for part in parts:
        _need_tensor("diff", part)
        if _without(part.shape, axis) != _without(input.shape, axis) or part.ndim != input.ndim:
            raise ShapeError(
                f"diff: prepend and append must have the shape of the input, {input.shape}, in all but dim {axis}; got "
                f"{part.shape}"
            )
    out = cat(parts, axis) if n else input.clone()
    for _ in range(n):
        out = _steps(out, axis)
    return out


def _without(shape: tuple[int, ...], dim: int) -> tuple[int, ...]:
    return shape[:dim] + shape[dim + 1 :]


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Any:
    """The integral of `y` along `dim` by the trapezoidal rule: the sum of width * (y[i] + y[i + 1]) / 2.

    The widths are `dx` (1 by default), or the differences of the sample points `x`: one for each sample along `dim`, or
    a tensor that broadcasts against `y`.

    Raises:
        ArgumentTypeError: if both `x` and `dx` are given.
        DtypeError: for booleans.
        DimError: for a dim out of range, as all are for a 0-dim `y`.
        ShapeError: if `x` does not fit.
    """
    axis, areas = _trapezoids("trapezoid", y, x, dx, dim)
    return areas.sum(axis)


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float | None = None, dim: int = -1) -> Any:
    """The integrals of `y` from the first sample to each later one, as `trapezoid`: one fewer than samples.

    Raises:
        ArgumentTypeError, DtypeError, DimError, ShapeError: as `trapezoid`.
    """
    axis, areas = _trapezoids("cumulative_trapezoid", y, x, dx, dim)
    return areas.cumsum(axis)


def _trapezoids(name: str, y: Tensor, x: Tensor | None, dx: float | None, dim: int) -> tuple[int, Any]:
    """The dimension from the front, and the areas between neighbouring samples."""
    _need_tensor(name, y)
    axis = checked_dim(name, dim, y.ndim)
    if not y.ndim:
        raise DimError(f"{name}: a 0-dim tensor has no dimension {dim} to integrate along")
    if y.dtype == np.bool_ or (isinstance(x, Tensor) and x.dtype == np.bool_):
        raise DtypeError(f"{name}: booleans are not integrated, got bool; convert with y.float()")
    if x is not None and dx is not None:
        raise ArgumentTypeError(f"{name}: give the sample points x or their distance dx, got both")
    if not isinstance(dx, (int, float, Tensor, type(None))):
        raise ArgumentTypeError(f"{name}: dx must be a number, got {type(dx).__name__}: {dx!r}")
    heights = (_part(y, axis, 1, None) + _part(y, axis, None, -1)) / 2
    if x is None:
        return axis, heights * (1 if dx is None else dx)
    return axis, heights * _widths(name, x, y, axis)


def _widths(name: str, x: Tensor, y: Tensor, axis: int) -> Any:
    """The distances of the sample points along the dimension `axis` of y, so that they broadcast against it."""
    _need_tensor(name, x)
    points = x.reshape([-1 if i == axis else 1 for i in range(y.ndim)] if x.ndim == 1 else _padded(x.shape, y.ndim))
    if points.ndim != y.ndim or points.shape[axis] != y.shape[axis]:
        raise ShapeError(f"{name}: x of shape {x.shape} does not give one point for each of {y.shape}, dim {axis}")
    try:
        np.broadcast_shapes(points.shape, y.shape)
    except ValueError:
        raise ShapeError(f"{name}: x of shape {x.shape} and y of shape {y.shape} do not broadcast") from None
    return _steps(points, axis)


def _padded(shape: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """`shape` with sizes of 1 in front, as broadcasting puts them."""
    return (1,) * (ndim - len(shape)) + shape
