"""Distinct elements, how often they occur, and in which bin they fall. None of these has a gradient."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..creation import _need_tensor
from ..dtypes import Array, scalar_dtype
from ..errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError
from ..tensor import Tensor, from_array, method
from .reduction import _need_floating
from .shape import checked_dim

__all__ = ["bincount", "bucketize", "histc", "histogram", "searchsorted", "unique", "unique_consecutive"]


# --- distinct elements ----------------------------------------------------------------------------------------


@method
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in ascending order; with `dim`, the distinct slices along it.

    On request also, for each element of the input, the index of its equal in the result (`return_inverse`), and how
    often each occurs (`return_counts`). The result is in order with and without `sorted`. Each nan is a value of its
    own.

    Raises:
        DimError: for a dim out of range.
        ShapeError: if slices along `dim` have no elements.
    """
    rows = _rows("unique", input, dim)
    # lexsort sorts by its last key first: the columns from the last to the first.
    order = np.lexsort(rows.T[::-1]) if rows.shape[1] > 1 else np.argsort(rows[:, 0], kind="stable")
    return _distinct(input, rows, order, return_inverse, return_counts, dim)


@method
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or the slices along `dim`) without those that equal the one before; further results as `unique`.

    Raises:
        DimError: for a dim out of range.
        ShapeError: if slices along `dim` have no elements.
    """
    rows = _rows("unique_consecutive", input, dim)
    return _distinct(input, rows, np.arange(len(rows)), return_inverse, return_counts, dim)


def _rows(name: str, input: Tensor, dim: int | None) -> Array:
    """What is compared with each other, as the rows of a matrix: elements, or slices along `dim`."""
    if dim is None:
        return input._array.reshape(-1, 1)
    axis = checked_dim(name, dim, input.ndim)
    if not input.ndim:
        raise DimError(f"{name}: a 0-dim tensor has no dimension {dim}; leave dim out")
    if 0 in input.shape[:axis] + input.shape[axis + 1 :]:
        raise ShapeError(f"{name}: the slices along dim {axis} of shape {input.shape} have no elements to compare")
    slices = np.moveaxis(input._array, axis, 0)
    return slices.reshape(len(slices), -1 if slices.size else 1)


def _distinct(
    input: Tensor, rows: Array, order: Array, return_inverse: bool, return_counts: bool, dim: int | None
) -> Any:
    """The first of each stretch of equal rows in the given order."""
    ordered = rows[order]
    begins = np.ones(len(rows), bool)
    begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    starts = np.flatnonzero(begins)
    results = [_as_elements(ordered[starts], input, dim)]
    if return_inverse:
        inverse = np.empty(len(rows), np.int64)
        inverse[order] = np.cumsum(begins) - 1
        results.append(inverse.reshape(input.shape) if dim is None else inverse)
    if return_counts:
        results.append(np.diff(starts, append=len(rows)))
    tensors = tuple(from_array(np.array(r, order="C")) for r in results)
    return tensors if len(tensors) > 1 else tensors[0]


def _as_elements(rows: Array, input: Tensor, dim: int | None) -> Array:
    """Distinct rows as elements again, or as slices along `dim`."""
    if dim is None:
        return rows.reshape(-1)
    others = [n for i, n in enumerate(input.shape) if i != dim % input.ndim]
    return np.moveaxis(rows.reshape(len(rows), *others), 0, dim)


# --- histograms -----------------------------------------------------------------------------------------------


class HistogramResult(NamedTuple):
    """What `histogram` returns."""

    hist: Any
    bin_edges: Any


@method
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Any:
    """How often 0, 1, 2, ... occur, or the sum of `weights` at each; of size max(input) + 1, or `minlength`.

    Counts are int64, sums float64, or float32 for weights of float32.

    Raises:
        DtypeError: if the input does not hold integers.
        ShapeError: if it has not one dimension, or weights of another size.
        ArgumentError: for a negative element or `minlength`.
    """
    x = input._array
    if x.dtype.kind not in "iu":
        raise DtypeError(f"bincount: counts integers, got {input.dtype}; write x.long()")
    if x.ndim != 1:
        raise ShapeError(f"bincount: needs one dimension, got shape {input.shape}; write x.flatten()")
    if x.size and x.min() < 0:
        raise ArgumentError(f"bincount: counts integers >= 0, got {x.min()}")
    if not isinstance(minlength, (int, np.integer)) or minlength < 0:
        raise ArgumentError(f"bincount: minlength must be an integer >= 0, got {minlength!r}")
    if weights is not None:
        _need_tensor("bincount", weights)
        if weights.shape != input.shape:
            raise ShapeError(f"bincount: weights must have the shape of the input, {input.shape}, got {weights.shape}")
    shares = None if weights is None else weights._array.astype(np.float64)
    try:
        counts = np.bincount(x.astype(np.int64), shares, minlength)
    except (ValueError, MemoryError):
        raise ArgumentError(
            f"bincount: the counts of 0 to {max(x.max(initial=0), minlength)} do not fit into memory"
        ) from None
    return from_array(counts.astype(np.float32) if weights is not None and weights.dtype == np.float32 else counts)


@method
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall in each of `bins` bins of equal width from `min` to `max`, in the dtype of the input.

    Both ends belong to the bins; elements outside, and nan, are not counted. With min = max the range is that
    of the data.

    Raises:
        DtypeError: for integers.
        ArgumentError: for no bins, or a range that is not finite or not ascending.
    """
    _need_floating("histc", input, "x.float().histc()")
    edges = _even_edges("histc", input._array, bins, None if min == max else (min, max))
    return from_array(_in_bins(input._array, edges, None))


@method
def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: tuple[float, float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> HistogramResult:
    """How many elements fall in each bin, or the sum of their `weight`, and the edges: (hist, bin_edges).

    `bins` is a number of bins of equal width, from the smallest to the largest element or over `range`, or a tensor of
    ascending edges. A bin includes its lower edge, the last one both. With `density` the histogram integrates to 1.

    Raises:
        DtypeError: if the input is not float32 or float64, or if edges or weights have another dtype.
        ArgumentError: for no bins, or a range that is not finite or not ascending.
        ShapeError: for edges that have not one dimension, or weights of another shape.
    """
    if input.dtype not in (np.float32, np.float64):
        raise DtypeError(f"histogram: the input must be float32 or float64, got {input.dtype}; write x.float()")
    for what, given in (("bins", bins), ("weight", weight)):
        if isinstance(given, Tensor) and given.dtype != input.dtype:
            raise DtypeError(f"histogram: {what} must have the dtype of the input, {input.dtype}, got {given.dtype}")
    if weight is not None:
        _need_tensor("histogram", weight)
    if weight is not None and weight.shape != input.shape:
        raise ShapeError(f"histogram: weight must have the shape of the input, {input.shape}, got {weight.shape}")
    if not isinstance(bins, Tensor):
        edges = _even_edges("histogram", input._array, bins, range)
    elif bins.ndim != 1 or bins.numel() < 2:
        raise ShapeError(f"histogram: edges must have one dimension and be two or more, got shape {bins.shape}")
    elif (np.diff(bins._array) < 0).any():
        raise ArgumentError(f"histogram: the edges must ascend, got {bins.tolist()}")
    elif range is not None:
        raise ArgumentTypeError("histogram: a range has no meaning for given edges; leave it out")
    else:
        edges = bins._array.copy()
    counts = _in_bins(input._array, edges, None if weight is None else weight._array)
    if density:
        counts = counts / (counts.sum(dtype=counts.dtype) * np.diff(edges))
    return HistogramResult(from_array(counts), from_array(edges))


def _even_edges(name: str, x: Array, bins: Any, limits: Any) -> Array:
    """The edges of bins of equal width over the limits, or over the data."""
    if not isinstance(bins, (int, np.integer)):
        raise ArgumentTypeError(f"{name}: bins must be an integer, got {type(bins).__name__}: {bins!r}")
    if bins <= 0:
        raise ArgumentError(f"{name}: bins must be > 0, got {bins}")
    if limits is None:
        limits = (x.min(), x.max()) if x.size else (0, 0) if name == "histc" else (0, 1)
    try:
        low, high = map(float, limits)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{name}: the range must be two numbers, got {limits!r}") from None
    if not np.isfinite(low) or not np.isfinite(high):
        raise ArgumentError(f"{name}: the range from {low} to {high} is not finite; give one")
    if low > high:
        raise ArgumentError(f"{name}: the range must ascend, got {low} to {high}")
    if low == high:  # a single value lies in the middle of a range of its own
        low, high = (low - 1, high + 1) if name == "histc" else (low - 0.5, high + 0.5)
    return np.linspace(low, high, bins + 1).astype(x.dtype)


def _in_bins(x: Array, edges: Array, weights: Array | None) -> Array:
    """The number of elements, or the sum of their weights, between neighbouring edges; the last edge is included."""
    x = x.reshape(-1)
    inside = (x >= edges[0]) & (x <= edges[-1])
    bins = len(edges) - 1
    places = np.minimum(np.searchsorted(edges, x[inside], "right") - 1, bins - 1)
    shares = None if weights is None else weights.reshape(-1)[inside].astype(np.float64)
    return np.bincount(places, shares, bins).astype(edges.dtype)


# --- searching ------------------------------------------------------------------------------------------------


def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Any:
    """Where each value of `input` would be inserted into the last dimension of `sorted_sequence` to keep it in order.

    Before equal elements, or after them with right=True (side="right"). The sequence has one dimension, or all but the
    last of `input`; then each row is searched for the values of the same row. `sorter` holds the indices that sort a
    sequence which is not in order (`argsort`). nan is larger than every number.

    Raises:
        ArgumentError: for another `side`, one that contradicts `right`, or a `sorter` that is out of range.
        ShapeError: if the shapes do not fit.
    """
    _need_tensor("searchsorted", sorted_sequence)
    if side not in (None, "left", "right"):
        raise ArgumentError(f'searchsorted: side must be "left" or "right", got {side!r}')
    if side == "left" and right:
        raise ArgumentError('searchsorted: side="left" contradicts right=True; give one of them')
    sequence = sorted_sequence._array
    if sequence.ndim == 0:
        raise ShapeError("searchsorted: the sequence must have at least one dimension, got a 0-dim tensor")
    if sorter is not None:
        sequence = _in_order(sequence, sorter)
    values = _values("searchsorted", input)
    if sequence.ndim > 1 and (sequence.ndim != values.ndim or sequence.shape[:-1] != values.shape[:-1]):
        raise ShapeError(
            f"searchsorted: a sequence of shape {sequence.shape} needs values of the same shape in all but the last "
            f"dimension, got {values.shape}; a sequence of one dimension takes values of any shape"
        )
    return _bisected(sequence, values, right or side == "right", out_int32)


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Any:
    """The bucket of each value between the ascending `boundaries`: searchsorted(boundaries, input).

    Bucket i is boundaries[i - 1] < x <= boundaries[i], or with right=True, boundaries[i - 1] <= x < boundaries[i].

    Raises:
        ShapeError: if the boundaries have not one dimension.
    """
    _need_tensor("bucketize", boundaries)
    if boundaries.ndim != 1:
        raise ShapeError(f"bucketize: the boundaries must have one dimension, got shape {boundaries.shape}")
    return _bisected(boundaries._array, _values("bucketize", input), right, out_int32)


def _values(name: str, input: Any) -> Array:
    """What is searched for: a tensor, or a number."""
    if isinstance(input, (int, float)):
        return np.array(input, scalar_dtype(input))
    _need_tensor(name, input)
    array: Array = input._array
    return array


def _in_order(sequence: Array, sorter: Tensor) -> Array:
    """The sequence in the order of `sorter`."""
    _need_tensor("searchsorted", sorter)
    order = sorter._array
    if order.shape != sequence.shape:
        raise ShapeError(
            f"searchsorted: sorter must have the shape of the sequence, {sequence.shape}, got {order.shape}"
        )
    if order.dtype != np.int64:
        raise DtypeError(f"searchsorted: sorter must be int64, as from argsort, got {order.dtype}")
    if order.size and not (order.min() >= 0 and order.max() < order.shape[-1]):
        last = order.shape[-1] - 1
        raise ArgumentError(f"searchsorted: sorter must hold 0 to {last}, got {order.min()} to {order.max()}")
    return np.take_along_axis(sequence, order, axis=-1)


def _bisected(sequence: Array, values: Array, right: bool, out_int32: bool) -> Tensor:
    """For all values at once, halve the stretch of the sequence in which each can lie until it is empty."""
    low = np.zeros(values.shape, np.int64)
    high = np.full(values.shape, sequence.shape[-1], np.int64)
    row = np.indices(values.shape, sparse=True)[:-1] if sequence.ndim > 1 else ()
    for _ in range(sequence.shape[-1].bit_length()):
        middle = (low + high) // 2
        place = (*row, np.minimum(middle, sequence.shape[-1] - 1))
        found = sequence[place]
        before = found > values if right else found >= values
        open_ = low < high
        low, high = np.where(open_ & ~before, middle + 1, low), np.where(open_ & before, middle, high)
    return from_array(low.astype(np.int32) if out_int32 else low)
