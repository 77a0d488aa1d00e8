"""Sorting, and elements chosen by their rank: extremes, medians, quantiles, the most frequent.

nan counts as larger than every number, also than inf. All orders are stable: equal elements keep theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor, from_array, method
from .arithmetic import lerp, where
from .extremes import Selection, _need_elements, _need_numbers, _shared_by_equals
from .indexing import _take_along_dim
from .reduction import _part
from .shape import checked_dim

__all__ = [
    "argsort", "kthvalue", "median", "mode", "msort", "nanmedian", "nanquantile", "quantile", "sort", "topk",
]  # fmt: skip


def _order(x: Array, dim: int, descending: bool) -> Array:
    """The indices that sort x along `dim`; a number is a line of one."""
    x = np.atleast_1d(x)
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    # Turned around twice: the order descends, nan first, and equal elements still keep theirs.
    return x.shape[dim] - 1 - np.flip(np.argsort(np.flip(x, dim), axis=dim, kind="stable"), dim)


def _selection(input: Tensor, indices: Array, dim: int) -> Selection:
    """The elements at `indices` along `dim`, with their gradient, and the indices."""
    if not input.ndim:
        indices = indices.reshape(())
        return Selection(input.clone(), from_array(indices))
    return Selection(_take_along_dim(input, indices=indices, dim=dim), from_array(indices.copy()))


def _one_of_each(input: Tensor, indices: Array, dim: int, keepdim: bool) -> Selection:
    """A selection of a single element along `dim`, which then is dropped."""
    chosen = _selection(input, indices, dim)
    return chosen if keepdim or not input.ndim else Selection(*[part.squeeze(dim) for part in chosen])


# --- whole orders ---------------------------------------------------------------------------------------------


@method
def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Selection:
    """The elements along `dim` in order, and the indices they come from: a named tuple (values, indices).

    Equal elements keep their order with and without `stable`. nan counts as the largest.

    Raises:
        DimError: for a dim out of range.
    """
    axis = checked_dim("sort", dim, input.ndim)
    return _selection(input, _order(input._array, axis, descending), axis)


@method
def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
    """The indices that sort along `dim`; see `sort`.

    Raises:
        DimError: for a dim out of range.
    """
    axis = checked_dim("argsort", dim, input.ndim)
    return from_array(_order(input._array, axis, descending).reshape(input.shape))


@method
def msort(input: Tensor) -> Any:
    """The elements along the first dimension in ascending order: `sort(input, 0).values`."""
    return sort(input, 0).values


# --- ranks ----------------------------------------------------------------------------------------------------


@method
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Selection:
    """The k largest (or smallest) elements along `dim`, best first: a named tuple (values, indices).

    They come in order with and without `sorted`. nan counts as the largest.

    Raises:
        DimError: for a dim out of range.
        ArgumentError: for a `k` that is not in 0 to the size of `dim`.
        DtypeError: for booleans.
    """
    axis = checked_dim("topk", dim, input.ndim)
    _need_numbers("topk", input)
    order = _order(input._array, axis, largest)
    _check_rank("topk", k, 0, order.shape[axis], axis)
    return _selection(input, _part(order, axis, None, k) if input.ndim else order, axis)


@method
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Selection:
    """The k-th smallest element along `dim`, counted from 1, and its index: a named tuple (values, indices).

    Raises:
        DimError: for a dim out of range.
        ArgumentError: for a `k` that is not in 1 to the size of `dim`.
        DtypeError: for booleans.
    """
    axis = checked_dim("kthvalue", dim, input.ndim)
    _need_numbers("kthvalue", input)
    order = _order(input._array, axis, False)
    _check_rank("kthvalue", k, 1, order.shape[axis], axis)
    return _one_of_each(input, _part(order, axis, k - 1, k), axis, keepdim)


def _check_rank(name: str, k: Any, least: int, most: int, axis: int) -> None:
    if not isinstance(k, (int, np.integer)):
        raise ArgumentTypeError(f"{name}: k must be an integer, got {type(k).__name__}: {k!r}")
    if not least <= k <= most:
        raise ArgumentError(f"{name}: k must be in {least} to {most}, the size of dim {axis}, got {k}")


# --- medians --------------------------------------------------------------------------------------------------


def _median_place(x: Array, order: Array, dim: int, skip_nan: bool) -> Array:
    """The indices along `dim` of the lower medians of the sorted x: of the numbers, or of all, where a nan decides."""
    count = order.shape[dim]
    nans = np.isnan(np.atleast_1d(x)).sum(axis=dim, keepdims=True)  # they are sorted last
    of_numbers = np.maximum(count - nans - 1, 0) // 2
    rank = of_numbers if skip_nan else np.where(nans > 0, count - nans, of_numbers)
    return np.take_along_axis(order, rank, axis=dim)


def _whole_median_of(x: Array, skip_nan: bool) -> Array:
    if not x.size:
        return np.array(np.nan, x.dtype)
    line = x.reshape(-1)
    return line[_median_place(line, _order(line, 0, False), 0, skip_nan)].reshape(())


@op
def _whole_median(x: Array) -> Array:
    return _whole_median_of(x, False)


@op
def _whole_nanmedian(x: Array) -> Array:
    return _whole_median_of(x, True)


_whole_median.defvjp(_shared_by_equals)
_whole_nanmedian.defvjp(_shared_by_equals)


def _median(name: str, whole: Any, input: Tensor, dim: int | None, keepdim: bool, skip_nan: bool) -> Any:
    _need_numbers(name, input)
    if dim is None:
        if not input.numel() and input.dtype.kind != "f":
            raise DtypeError(f"{name}: the median of no elements is nan, which {input.dtype} cannot hold")
        return whole(input)
    axis = checked_dim(name, dim, input.ndim)
    _need_elements(name, input, (axis,) if input.ndim else ())
    place = _median_place(input._array, _order(input._array, axis, False), axis, skip_nan)
    return _one_of_each(input, place, axis, keepdim)


@method
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median of all elements; with `dim`, a named tuple (values, indices). nan if one of them is.

    Of an even number of elements it is the lower of the two in the middle, not their mean. With `dim` the gradient goes
    to the element at the returned index; without, all that equal the median share it evenly.

    Raises:
        DimError: for a dim out of range, or without elements.
        DtypeError: for booleans.
    """
    return _median("median", _whole_median, input, dim, keepdim, skip_nan=False)


@method
def nanmedian(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The `median` of the elements that are not nan; nan where all are.

    Raises:
        DimError: for a dim out of range, or without elements.
        DtypeError: for booleans.
    """
    return _median("nanmedian", _whole_nanmedian, input, dim, keepdim, skip_nan=True)


@method
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Selection:
    """The most frequent element along `dim`, the smallest of several, and the index of its last occurrence.

    Raises:
        DimError: for a dim out of range, or without elements.
    """
    axis = checked_dim("mode", dim, input.ndim)
    _need_elements("mode", input, (axis,) if input.ndim else ())
    order = _order(input._array, axis, False)
    longest = _end_of_longest_run(np.take_along_axis(np.atleast_1d(input._array), order, axis=axis), axis)
    return _one_of_each(input, np.take_along_axis(order, longest, axis=axis), axis, keepdim)


def _end_of_longest_run(x: Array, dim: int) -> Array:
    """Where, along `dim`, the first of the longest stretches of equal elements ends."""
    places = np.arange(x.shape[dim]).reshape([-1 if i == dim else 1 for i in range(x.ndim)])
    begins = np.ones(x.shape, bool)
    _part(begins, dim, 1, None)[...] = _part(x, dim, 1, None) != _part(x, dim, None, -1)
    lengths = places - np.maximum.accumulate(np.where(begins, places, 0), axis=dim)
    return np.argmax(lengths, axis=dim, keepdims=True)


# --- quantiles ------------------------------------------------------------------------------------------------

_TO_RANK: dict[str, Any] = {"lower": np.floor, "higher": np.ceil, "nearest": np.round}
_INTERPOLATIONS = ("linear", "midpoint", *_TO_RANK)


@method
def quantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """The q-quantiles over `dim`, or of all elements: the values at the ranks q * (n - 1). nan if one element is.

    `q` is a number, or a tensor of one dimension, whose size then comes first in the result. A rank between two
    elements takes a weighted mean of them ("linear"), the "lower", the "higher", their "midpoint", or the one at the
    "nearest" rank, the even one of two.

    Raises:
        DtypeError: if the input is not float32 or float64, or if the dtype of `q` differs.
        ArgumentError: for a `q` outside 0 to 1, or another interpolation.
        ShapeError: for a `q` with more than one dimension, or no elements.
        DimError: for a dim out of range.
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, skip_nan=False)


@method
def nanquantile(
    input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """The `quantile` of the elements that are not nan; nan where all are.

    Raises:
        DtypeError, ArgumentError, ShapeError, DimError: as `quantile`.
    """
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, skip_nan=True)


def _quantile(
    name: str, input: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str, skip_nan: bool
) -> Any:
    _check_quantile(name, input, interpolation)
    levels = _levels(name, q, input)
    axis = 0 if dim is None else checked_dim(name, dim, input.ndim)
    if dim is None or not input.ndim:
        rest, lines = [1] * input.ndim if keepdim else [], input.reshape(-1)
    else:
        others = [i for i in range(input.ndim) if i != axis]
        rest = [1 if i == axis else n for i, n in enumerate(input.shape) if keepdim or i != axis]
        lines = input.permute(*others, axis)
    found = _at_ranks(lines, levels.reshape(-1), interpolation, skip_nan)
    return found.permute(-1, *range(found.ndim - 1)).reshape((*levels.shape, *rest))


def _check_quantile(name: str, input: Tensor, interpolation: str) -> None:
    if input.dtype not in (np.float32, np.float64):
        raise DtypeError(f"{name}: the input must be float32 or float64, got {input.dtype}; write x.float()")
    if interpolation not in _INTERPOLATIONS:
        raise ArgumentError(f"{name}: interpolation must be one of {', '.join(_INTERPOLATIONS)}, got {interpolation!r}")
    if not input.numel():
        raise ShapeError(f"{name}: there are no elements to rank, shape {input.shape}")


def _levels(name: str, q: Any, input: Tensor) -> Tensor:
    """The levels as a tensor: a number or one dimension, all of them in 0 to 1."""
    if isinstance(q, (int, float)):
        q = from_array(np.array(q, input.dtype))
    if not isinstance(q, Tensor):
        raise ArgumentTypeError(f"{name}: q must be a number or a tensor, got {type(q).__name__}: {q!r}")
    if q.ndim > 1:
        raise ShapeError(f"{name}: q must be a number or have one dimension, got shape {q.shape}")
    if q.dtype != input.dtype:
        raise DtypeError(f"{name}: q must have the dtype of the input, {input.dtype}, got {q.dtype}")
    if not ((q._array >= 0) & (q._array <= 1)).all():
        raise ArgumentError(f"{name}: q must be in 0 to 1, got {q.tolist()}")
    return q


def _at_ranks(lines: Any, levels: Any, interpolation: str, skip_nan: bool) -> Any:
    """The quantiles of the last dimension at each of the levels, which take its place."""
    values, last = sort(lines).values, lines.shape[-1] - 1
    nans = np.isnan(lines._array).sum(axis=-1, keepdims=True)
    if skip_nan:
        ranks = levels * from_array(np.maximum(last - nans, 0).astype(lines.dtype))
    else:
        ranks = where(nans > 0, float(last), levels * last)  # nan is sorted last, and decides

    def at(rank: Array) -> Any:
        return _take_along_dim(values, indices=rank.astype(np.int64), dim=lines.ndim - 1)

    if interpolation in _TO_RANK:
        return at(_TO_RANK[interpolation](ranks._array))
    below = np.floor(ranks._array)
    low, high = at(below), at(np.ceil(ranks._array))
    weight = 0.5 if interpolation == "midpoint" else ranks - from_array(below)
    return lerp(low, high, weight)
