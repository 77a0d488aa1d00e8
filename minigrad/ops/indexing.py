"""Selecting elements, and the adjoint of selecting: adding into zeros at the same places."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor, as_tensor, from_array, method
from .shape import broadcast_tensors, checked_dim, checked_int, existing_dim, need_tensors

__all__ = [
    "argwhere", "gather", "getitem", "index_select", "masked_select", "nonzero", "one_hot", "take", "take_along_dim",
]  # fmt: skip

# --- x[index] -------------------------------------------------------------------------------------------------


@op(is_view=True, saves="")
def _getitem(x: Array, *, index: Any) -> Array:
    found = x[index]
    if not isinstance(found, np.ndarray):  # NumPy copies a single element; with an ellipsis it is a view, as in PyTorch
        found = x[(*index, ...) if isinstance(index, tuple) else (index, ...)]
    return found


@op(saves="")
def _add_at(g: Array, *, index: Any, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` with `g` added where `x[index]` reads; a place that is read twice receives both."""
    out = np.zeros(shape, g.dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if _reads_once(parts):
        out[index] = g
    elif all(isinstance(part, np.ndarray) and part.dtype.kind in "iu" for part in parts):
        indexed, rest = shape[: len(parts)], shape[len(parts) :]
        _add_slices_at(out.reshape(math.prod(indexed), *rest), _flat_places(parts, indexed), 0, g)
    else:
        np.add.at(out, index, g)
    return out


_getitem.defvjp(lambda g, out, x, index: _add_at(g, index=index, shape=x.shape))
_add_at.defvjp(lambda gg, out, g, index, shape: _getitem(gg, index=index))


def _reads_once(parts: tuple[Any, ...]) -> bool:
    """Whether an index reads every place at most once: integers, slices, None, Ellipsis, or one mask."""
    arrays = [part for part in parts if isinstance(part, (np.ndarray, list))]
    return not arrays or (len(arrays) == 1 and isinstance(arrays[0], np.ndarray) and arrays[0].dtype.kind == "b")


def _flat_places(indices: tuple[Any, ...], shape: tuple[int, ...]) -> Array:
    """Where x[indices] reads in x.reshape(-1); the indices may be negative, and broadcast."""
    if 0 in shape:  # then nothing can be read
        return np.zeros(0, np.int64)
    return np.asarray(np.ravel_multi_index(indices, shape, mode="wrap"))


def _add_slices_at(out: Array, index: Array, dim: int, g: Array) -> None:
    """Add slice i of `g` along `dim` to slice index[i] of `out`, which is contiguous.

    Element by element, because np.add.at is fast in one dimension only, there several times.
    """
    outer, inner = math.prod(out.shape[:dim]), math.prod(out.shape[dim + 1 :])
    places = (np.arange(outer)[:, None, None] * out.shape[dim] + index.reshape(-1, 1)) * inner + np.arange(inner)
    np.add.at(out.reshape(-1), places.reshape(-1), g.reshape(-1))


def _plain(part: Any) -> Any:
    """One part of an index as NumPy understands it; arrays are copied, since the tape keeps them."""
    if isinstance(part, Tensor):
        part = part._array
    if isinstance(part, (list, np.ndarray)):
        array = _index_array(part)
        if array.size == 0 and array.dtype.kind == "f":
            array = array.astype(np.int64)
        if array.dtype.kind not in "biu":
            raise DtypeError(f"getitem: indices must be integers or booleans, got {array.dtype}")
        if array.dtype == np.uint8:
            raise DtypeError("getitem: uint8 once meant a mask in PyTorch; write mask.bool() or index.long()")
        return array if array.ndim or array.dtype.kind == "b" else int(array)
    if isinstance(part, slice) and part.step is not None and checked_int("getitem", "a step", part.step) < 1:
        raise ArgumentError(f"getitem: the step of a slice must be positive, got {part.step}; write x.flip(dim)")
    if part is None or part is Ellipsis or isinstance(part, (slice, bool)):
        return part
    try:
        return part.__index__()
    except AttributeError:
        raise ArgumentTypeError(
            "getitem: expected integers, slices, None, ..., or integer and boolean tensors, got "
            f"{type(part).__name__}: {part!r}"
        ) from None


def _index_array(part: Any) -> Array:
    try:
        return np.array(part)
    except ValueError:
        raise ShapeError(f"getitem: the rows of an index must be equally long, got {part}"[:160]) from None


def _integers_first(index: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """One index as one or two steps that NumPy takes as PyTorch does.

    PyTorch applies integers like slices, before the arrays; NumPy would treat them as arrays of no dimension, and so
    put the dimensions of x[0, :, [1, 2]] in another order.
    """
    arrays = [isinstance(part, np.ndarray) for part in index]
    integers = [isinstance(part, int) and not isinstance(part, bool) for part in index]
    if not (any(arrays) and any(integers)):
        return [index]
    basic: list[Any] = []
    rest: list[Any] = []
    for part, is_array, is_integer in zip(index, arrays, integers, strict=True):
        if is_array:  # a mask covers as many dimensions as it has, an array of indices one
            basic += [slice(None)] * (part.ndim if part.dtype.kind == "b" else 1)
        else:
            basic.append(part)
        if not is_integer:
            rest.append(part if is_array or part is Ellipsis else slice(None))
    return [tuple(basic), tuple(rest)]


@method
def getitem(input: Tensor, index: Any) -> Any:
    """`x[index]`: integers and slices give views; integer and boolean tensors select copies.

    Raises:
        DimError: an index out of range, or more indices than dimensions.
        ShapeError: a boolean mask that does not fit.
        DtypeError: a floating index.
        ArgumentError: a slice whose step is not positive.
    """
    plain = tuple(_plain(part) for part in index) if isinstance(index, tuple) else _plain(index)
    try:
        if isinstance(plain, tuple):
            out = input
            for step in _integers_first(plain):
                out = _getitem(out, index=step)
            return out
        return _getitem(input, index=plain)
    except ShapeError as error:
        cause = error.__cause__
        kind = DimError if isinstance(cause, IndexError) and "boolean" not in str(cause) else ShapeError
        raise kind(f"getitem: {cause} (shape {input.shape})") from None


# --- the same index for all: whole slices -----------------------------------------------------------------------


@op(saves="")
def _index_select(x: Array, *, index: Array, dim: int) -> Array:
    return np.take(x, index, axis=dim)


@op(saves="")
def _add_slices(g: Array, *, index: Array, dim: int, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` with each slice of `g` along `dim` added where index_select reads it."""
    out = np.zeros(shape, g.dtype)
    _add_slices_at(out, index, dim, g)
    return out


_index_select.defvjp(lambda g, out, x, index, dim: _add_slices(g, index=index, dim=dim, shape=x.shape))
_add_slices.defvjp(lambda gg, out, g, index, dim, shape: _index_select(gg, index=index, dim=dim))


def checked_indices(
    name: str, indices: Any, size: int, *, dtypes: tuple[Any, ...] = (np.int64,), negative: bool = False
) -> Array:
    """A copy of the indices as int64, each of them 0 to size - 1; with `negative` they may count from the end.

    Raises:
        ArgumentTypeError: if they are not a tensor.
        DtypeError: if they are of none of the `dtypes`.
        DimError: if one is out of range.
    """
    need_tensors(name, indices)
    array: Array = indices._array
    if array.dtype not in dtypes:
        allowed = " or ".join(np.dtype(d).name for d in dtypes)
        raise DtypeError(f"{name}: indices must be {allowed} tensors, got {array.dtype}; write index.long()")
    least = -size if negative else 0
    if array.size and not (array.min() >= least and array.max() < size):
        raise DimError(f"{name}: indices must lie in {least} to {size - 1}, got {array.min()} to {array.max()}")
    found = array.astype(np.int64)
    found[found < 0] += size
    return found


INTEGERS = (np.int32, np.int64)


@method
def index_select(input: Tensor, dim: int, index: Tensor) -> Any:
    """The slices of `input` along `dim` at the indices in the vector `index`; a 0-dim `index` counts as a vector.

    Raises:
        DimError: for a dim or an index out of range.
        DtypeError: if the index is not int32 or int64.
        ShapeError: for an index with more than one dimension.
    """
    axis = checked_dim("index_select", dim, input.ndim)
    size = input.shape[axis] if input.ndim else 1
    array = checked_indices("index_select", index, size, dtypes=INTEGERS)
    need_vector("index_select", index)
    if not input.ndim:
        if array.size != 1:
            raise ShapeError(f"index_select: a 0-dim tensor takes one index, got index shape {array.shape}")
        return input.clone()
    return _index_select(input, index=array.reshape(-1), dim=axis)


def need_vector(name: str, index: Tensor) -> None:
    """Raise ShapeError for an index with more than one dimension."""
    if index.ndim > 1:
        raise ShapeError(f"{name}: index must have 1 dimension, got shape {index.shape}; write index.reshape(-1)")


# --- an index for each element ----------------------------------------------------------------------------------


@op(saves="")
def _take_along_dim(x: Array, *, indices: Array, dim: int) -> Array:
    return np.take_along_axis(x, indices, axis=dim)


@op(saves="")
def _add_along_dim(g: Array, *, indices: Array, dim: int, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` with each element of `g` added where take_along_dim reads it."""
    out = np.zeros(shape, g.dtype)
    np.add.at(out.reshape(-1), _flat_places(places_along(indices, dim), shape).reshape(-1), g.reshape(-1))
    return out


_take_along_dim.defvjp(lambda g, out, x, indices, dim: _add_along_dim(g, indices=indices, dim=dim, shape=x.shape))
_add_along_dim.defvjp(lambda gg, out, g, indices, dim, shape: _take_along_dim(gg, indices=indices, dim=dim))


def places_along(indices: Array, dim: int) -> tuple[Array, ...]:
    """The index that reads x[i, indices[i, j], k] at (i, j, k), for dim=1."""
    places: list[Any] = list(np.indices(indices.shape, sparse=True))
    places[dim] = indices
    return tuple(places)


@method
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Any:
    """out[i, j, k] = input[i, indices[i, j, k], k] for dim=1; the shapes broadcast except along `dim`.

    Without `dim`, both are read as vectors.

    Raises:
        DimError: for a dim or an index out of range.
        DtypeError: if the indices are not int64.
        ShapeError: if the shapes do not fit.
    """
    if dim is None:
        checked_indices("take_along_dim", indices, input.numel())
        return take_along_dim(input.reshape(-1), indices.reshape(-1), 0)
    axis = existing_dim("take_along_dim", dim, input.ndim)
    array = checked_indices("take_along_dim", indices, input.shape[axis], negative=True)
    if array.ndim != input.ndim:
        raise ShapeError(
            f"take_along_dim: indices have shape {array.shape}, but the input has {input.ndim} dimensions; give both "
            "the same"
        )
    try:
        shape = np.broadcast_shapes(
            array.shape[:axis] + array.shape[axis + 1 :], input.shape[:axis] + input.shape[axis + 1 :]
        )
    except ValueError:
        raise ShapeError(
            f"take_along_dim: indices of shape {array.shape} and input of shape {input.shape} do not broadcast outside "
            f"dim {axis}"
        ) from None
    array = np.broadcast_to(array, (*shape[:axis], array.shape[axis], *shape[axis:]))
    return _take_along_dim(input.expand((*shape[:axis], input.shape[axis], *shape[axis:])), indices=array, dim=axis)


@method
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Any:
    """out[i, j] = input[i, index[i, j]] for dim=1; `index` has no size larger than `input` except along `dim`.

    Raises:
        DimError: for a dim or an index out of range.
        DtypeError: if the index is not int32 or int64.
        ShapeError: if the index does not fit.
        NotImplementedError: for sparse_grad=True.
    """
    if sparse_grad:
        raise NotImplementedError("gather: sparse_grad=True is not supported; gradients are dense")
    axis = checked_dim("gather", dim, input.ndim)
    array = indices_along("gather", input, index, axis)
    if not array.size:
        return _getitem(input.reshape(-1), index=slice(0, 0)).reshape(array.shape)
    if not input.ndim or not array.ndim:
        shape = array.shape
        return _take_along_dim(input.reshape(-1), indices=array.reshape(-1), dim=0).reshape(shape)
    return _take_along_dim(_getitem(input, index=corner(array.shape, but=axis)), indices=array, dim=axis)


def corner(shape: tuple[int, ...], but: int | None = None) -> tuple[slice, ...]:
    """The index of the part of `shape` at the origin, which is whole along the dimension `but`."""
    return tuple(slice(None) if i == but else slice(n) for i, n in enumerate(shape))


def indices_along(name: str, input: Tensor, index: Tensor, dim: int) -> Array:
    """The index of gather and scatter: one for each element; 0-dim tensors and vectors of one element fit each other.

    Raises:
        ShapeError: if it has more elements than `input` outside `dim`.
        DimError, DtypeError: if it holds something else than indices of `dim`.
    """
    size = input.shape[dim] if input.ndim else 1
    array = checked_indices(name, index, size, dtypes=INTEGERS)
    if not array.size:
        return array
    if max(array.ndim, 1) != max(input.ndim, 1) or any(
        n > m for i, (n, m) in enumerate(zip(array.shape, input.shape, strict=False)) if i != dim
    ):
        raise ShapeError(
            f"{name}: index of shape {array.shape} does not fit into the input of shape {input.shape} along dim {dim}"
        )
    return array


@method
def take(input: Tensor, index: Tensor) -> Any:
    """The elements of `input` at `index` in C order, in the shape of `index`; indices may count from the end.

    Raises:
        DimError: for an index out of range.
        DtypeError: if the index is not int64.
    """
    array = checked_indices("take", index, input.numel(), negative=True)
    return _index_select(input.reshape(-1), index=array.reshape(-1), dim=0).reshape(array.shape)


# --- by truth ---------------------------------------------------------------------------------------------------


def need_mask(name: str, mask: Any) -> None:
    """Raise DtypeError unless it is a boolean tensor."""
    need_tensors(name, mask)
    if mask.dtype != np.bool_:
        raise DtypeError(f"{name}: mask must be boolean, got {mask.dtype}; write for example x > 0")


def broadcast_pair(name: str, input: Tensor, mask: Tensor) -> tuple[Any, Any]:
    """Both expanded to their common shape.

    Raises:
        ShapeError: if they do not broadcast.
    """
    try:
        return broadcast_tensors(input, mask)
    except ShapeError:
        raise ShapeError(f"{name}: mask of shape {mask.shape} does not broadcast with shape {input.shape}") from None


@method
def masked_select(input: Tensor, mask: Tensor) -> Any:
    """The elements where the boolean `mask` is true, as a vector; both broadcast.

    Raises:
        DtypeError: if the mask is not boolean.
        ShapeError: if they do not broadcast.
    """
    need_mask("masked_select", mask)
    values, chosen = broadcast_pair("masked_select", input, mask)
    return _getitem(values, index=chosen._array.copy()).reshape(-1)


@method
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of all elements that are not zero, one row each; or, `as_tuple`, one vector for each dimension.

    So that x[x.nonzero(as_tuple=True)] are these elements; a 0-dim tensor counts as a vector there.
    """
    if as_tuple:
        return tuple(from_array(places) for places in np.nonzero(np.atleast_1d(input._array)))
    return argwhere(input)


@method
def argwhere(input: Tensor) -> Any:
    """The indices of all elements that are not zero, one row each."""
    return from_array(np.argwhere(input._array).astype(np.int64))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Any:
    """Indices of shape (...) as int64 unit vectors of shape (..., num_classes).

    Raises:
        DtypeError: for indices that are not integers.
        DimError: for an index outside 0 to num_classes - 1.
        ArgumentError: for no indices and no `num_classes`.
    """
    indices = tensor._array
    if indices.dtype.kind not in "iu":
        raise DtypeError(f"one_hot: indices must be integers, got {indices.dtype}")
    if num_classes == -1 and not indices.size:
        raise ArgumentError("one_hot: without indices the number of classes is unknown; give num_classes")
    classes = max(0, int(indices.max())) + 1 if num_classes == -1 else num_classes
    if indices.size and not (indices.min() >= 0 and indices.max() < classes):
        raise DimError(f"one_hot: indices must lie in 0 to {classes - 1}, got {indices.min()} to {indices.max()}")
    return as_tensor((indices[..., None] == np.arange(classes)).astype(np.int64))
