"""Writing into chosen places of a copy: x[index] = values as an expression.

Where two elements are written to one place, the last one in C order stays, and both receive its gradient, as in
PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..creation import zeros_like
from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor, from_array, method
from .arithmetic import as_element
from .diagonals import diagonal_places, matrix_dims
from .indexing import (
    INTEGERS,
    _add_at,
    _add_slices,
    _getitem,
    broadcast_pair,
    checked_indices,
    need_mask,
    need_vector,
)
from .joining import atleast_1d
from .permutation import _moved
from .shape import _expanded, checked_dim, checked_int, existing_dim, need_tensors, sum_to
from .splitting import along

__all__ = [
    "diagonal_scatter", "index_add", "index_copy", "index_fill", "index_put", "masked_scatter", "put", "select_scatter",
    "slice_scatter",
]  # fmt: skip

# --- x[index] = values, in a copy -----------------------------------------------------------------------------


@op(saves="")
def _put_at(x: Array, values: Array, *, index: Any) -> Array:
    out = x.copy()
    out[index] = values
    return out


_put_at.defvjp(
    lambda g, out, x, values, index: _put_at(g, zeros_like(values), index=index),
    lambda g, out, x, values, index: sum_to(_getitem(g, index=index), shape=values.shape),  # values may be 0-dim
)


def _need_same_dtype(name: str, input: Tensor, source: Any) -> None:
    need_tensors(name, source)
    if source.dtype != input.dtype:
        raise DtypeError(
            f"{name}: both tensors must have one dtype, got {input.dtype} and {source.dtype}; write "
            f"source.to({input.dtype})"
        )


def _fill_value(name: str, value: Any, input: Tensor) -> Any:
    """A number, or a 0-dim tensor, as a 0-dim tensor in the dtype of `input`."""
    if not isinstance(value, Tensor):
        return from_array(np.array(as_element(name, "value", value, input.dtype)))
    if value.ndim:
        raise ShapeError(f"{name}: value must be a number or a 0-dim tensor, got shape {value.shape}")
    return value.to(input.dtype)


def _need_shape(name: str, src: Tensor, shape: tuple[int, ...]) -> None:
    if src.shape != shape:
        raise ShapeError(f"{name}: src must have the shape {shape} of the part it replaces, got {src.shape}")


@method
def index_put(input: Tensor, indices: Sequence[Tensor], values: Tensor, accumulate: bool = False) -> Any:
    """A copy in which x[indices] is `values`, which broadcast; with `accumulate`, they are added.

    Raises:
        ArgumentTypeError: if `indices` is not a tuple or list of tensors.
        DtypeError: if the dtypes differ, or an index is neither int32, int64 nor boolean.
        DimError: for an index out of range, or too many of them.
        ShapeError: if the values, or a mask, do not fit.
    """
    if not isinstance(indices, (tuple, list)) or not indices:
        raise ArgumentTypeError(f"index_put: indices must be a tuple of Tensors, got {indices!r}"[:160])
    _need_same_dtype("index_put", input, values)
    index = tuple(_index_part(part) for part in indices)
    try:
        selected = input._array[index].shape
    except IndexError as error:
        kind = ShapeError if "boolean" in str(error) else DimError
        raise kind(f"index_put: {error} (shape {input.shape})") from None
    filling = _expanded("index_put", values, selected)
    if accumulate:
        return input + _add_at(filling, index=index, shape=input.shape)
    return _put_at(input, filling, index=index)


def _index_part(part: Any) -> Array:
    need_tensors("index_put", part)
    if part.dtype not in (*INTEGERS, np.bool_):
        raise DtypeError(f"index_put: indices must be int32, int64 or boolean, got {part.dtype}; write index.long()")
    copied: Array = part._array.copy()
    return copied


@method
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Any:
    """A copy in which the elements at `index` in C order are those of `source`; with `accumulate`, these are added.

    Raises:
        DimError: for an index out of range.
        DtypeError: if the index is not int64, or the dtypes differ.
        ShapeError: if there are not as many elements as indices.
    """
    _need_same_dtype("put", input, source)
    places = checked_indices("put", index, input.numel(), negative=True).reshape(-1)
    if source.numel() != places.size:
        raise ShapeError(f"put: {source.numel()} elements of source for {places.size} indices; give as many")
    flat, values = input.reshape(-1), source.reshape(-1)
    if accumulate:
        return (flat + _add_slices(values, index=places, dim=0, shape=flat.shape)).reshape(input.shape)
    return _put_at(flat, values, index=places).reshape(input.shape)


@method
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Any:
    """A copy in which the elements where `mask` is true are the first ones of `source`, in C order.

    Raises:
        DtypeError: if the mask is not boolean, or the dtypes differ.
        ShapeError: if the mask does not broadcast with the input, or `source` has too few elements.
    """
    need_mask("masked_scatter", mask)
    _need_same_dtype("masked_scatter", input, source)
    values, chosen = broadcast_pair("masked_scatter", input, mask)
    index = chosen._array.copy()
    count = int(np.count_nonzero(index))
    if source.numel() < count:
        raise ShapeError(f"masked_scatter: the mask is true {count} times, but source has {source.numel()} elements")
    return _put_at(values, _getitem(source.reshape(-1), index=slice(count)), index=index)


@method
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Any:
    """A copy in which the slice at `index` along `dim` is `src`.

    Raises:
        DimError: for a dim or an index out of range.
        ShapeError: if `src` has another shape than the slice.
    """
    need_tensors("select_scatter", src)
    axis, place = existing_dim("select_scatter", dim, input.ndim), checked_int("select_scatter", "index", index)
    size = input.shape[axis]
    if not -size <= place < size:
        raise DimError(f"select_scatter: index {place} is out of range for dim {dim} of size {size}")
    _need_shape("select_scatter", src, input.shape[:axis] + input.shape[axis + 1 :])
    return _put_at(input, src.to(input.dtype), index=along(axis, place))


@method
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """A copy in which the slice `start:end:step` along `dim` is `src`.

    Raises:
        DimError: for a dim out of range.
        ArgumentError: if the step is not positive.
        ShapeError: if `src` has another shape than the slice.
    """
    need_tensors("slice_scatter", src)
    axis, stride = existing_dim("slice_scatter", dim, input.ndim), checked_int("slice_scatter", "step", step)
    if stride < 1:
        raise ArgumentError(f"slice_scatter: step must be positive, got {stride}")
    first, last = (None if n is None else checked_int("slice_scatter", "an end", n) for n in (start, end))
    part = along(axis, slice(first, last, stride))
    _need_shape("slice_scatter", src, input._array[part].shape)
    return _put_at(input, src.to(input.dtype), index=part)


@method
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A copy in which `input.diagonal(offset, dim1, dim2)` is `src`.

    Raises:
        DimError: for a dim out of range, or twice the same.
        ShapeError: if `src` has another shape than the diagonal.
    """
    need_tensors("diagonal_scatter", src)
    dims = matrix_dims("diagonal_scatter", dim1, dim2, input.ndim)
    shift = checked_int("diagonal_scatter", "offset", offset)
    _need_shape("diagonal_scatter", src, np.diagonal(input._array, shift, *dims).shape)
    matrices = _moved("diagonal_scatter", input, dims, (-2, -1))
    index = (..., *diagonal_places(src.shape[-1], shift))
    return _moved("diagonal_scatter", _put_at(matrices, src.to(input.dtype), index=index), (-2, -1), dims)


# --- whole slices along a dimension ---------------------------------------------------------------------------


def _slice_places(name: str, input: Tensor, dim: int, index: Tensor, **allowed: Any) -> tuple[int, Array]:
    """The dimension, and the vector of indices along it; a 0-dim tensor has one slice."""
    axis = checked_dim(name, dim, input.ndim)
    places = checked_indices(name, index, input.shape[axis] if input.ndim else 1, **allowed)
    need_vector(name, index)
    return axis, places.reshape(-1)


def _need_slices(name: str, input: Tensor, dim: int, places: Array, source: Tensor) -> None:
    _need_same_dtype(name, input, source)
    wanted = (*input.shape[:dim], places.size, *input.shape[dim + 1 :])
    if source.shape != wanted:
        raise ShapeError(
            f"{name}: source must have the shape {wanted}, that of the input with {places.size} slices along dim "
            f"{dim}, got {source.shape}"
        )


@method
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Any:
    """A copy to which slice i of `source` along `dim`, times `alpha`, is added at index[i].

    Raises:
        DimError: for a dim or an index out of range.
        DtypeError: if the index is not int32 or int64, or the dtypes differ.
        ShapeError: if `source` has another shape than the input outside `dim`, or not a slice for each index.
    """
    axis, places = _slice_places("index_add", input, dim, index, dtypes=INTEGERS)
    _need_same_dtype("index_add", input, source)
    factor = from_array(np.array(as_element("index_add", "alpha", alpha, input.dtype)))
    if not input.ndim and not source.ndim and places.size == 1:
        return input + source * factor
    _need_slices("index_add", input, axis, places, source)
    return input + _add_slices(source * factor, index=places, dim=axis, shape=input.shape)


@method
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Any:
    """A copy in which slice i of `source` along `dim` stands at index[i].

    Raises:
        DimError: for a dim or an index out of range.
        DtypeError: if the index is not int64, or the dtypes differ.
        ShapeError: if `source` has another shape than the input outside `dim`, or not a slice for each index.
    """
    axis, places = _slice_places("index_copy", input, dim, index)
    need_tensors("index_copy", source)
    slices = atleast_1d(source) if input.ndim < 2 else source
    _need_slices("index_copy", atleast_1d(input), axis, places, slices)
    return _put_at(atleast_1d(input), slices, index=along(axis, places)).reshape(input.shape)


@method
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Any:
    """A copy in which the slices along `dim` at the indices are filled with `value`, a number or a 0-dim tensor.

    Raises:
        DimError: for a dim or an index out of range.
        DtypeError: if the index is not int64.
        ShapeError: if the value has dimensions.
    """
    axis, places = _slice_places("index_fill", input, dim, index, negative=True)
    filling = _fill_value("index_fill", value, input)
    # Each place once, so that the gradient of the value counts it once.
    filled = _put_at(atleast_1d(input), filling, index=along(axis, np.unique(places)))
    return filled.reshape(input.shape)
