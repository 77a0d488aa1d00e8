"""Selecting elements, and the adjoint of selecting: adding into zeros at the same places."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor, as_tensor, method
from .shape import checked_dim

__all__ = ["gather", "getitem", "one_hot", "take_along_dim"]


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
    if _is_basic(index):
        out[index] = g
    else:
        np.add.at(out, index, g)
    return out


_getitem.defvjp(lambda g, out, x, index: _add_at(g, index=index, shape=x.shape))
_add_at.defvjp(lambda gg, out, g, index, shape: _getitem(gg, index=index))


def _is_basic(index: Any) -> bool:
    """Whether an index reads every place at most once: integers, slices, None, Ellipsis."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is None or part is Ellipsis or isinstance(part, (int, np.integer, slice)) for part in parts)


def _plain(part: Any) -> Any:
    """One part of an index as NumPy understands it; arrays are copied, since the tape keeps them."""
    if isinstance(part, Tensor):
        part = part._array
    if isinstance(part, (list, np.ndarray)):
        array = np.array(part)
        if array.size == 0 and array.dtype.kind == "f":
            array = array.astype(np.int64)
        if array.dtype.kind not in "biu":
            raise DtypeError(f"indexing: indices must be integers or booleans, got {array.dtype}")
        if array.dtype == np.uint8:
            raise DtypeError("indexing: uint8 once meant a mask in PyTorch; write mask.bool() or index.long()")
        return array if array.ndim or array.dtype.kind == "b" else int(array)
    if part is None or part is Ellipsis or isinstance(part, (slice, bool)):
        return part
    try:
        return part.__index__()
    except AttributeError:
        raise ArgumentTypeError(
            "indexing: expected integers, slices, None, ..., or integer and boolean tensors, got "
            f"{type(part).__name__}: {part!r}"
        ) from None


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
        raise kind(f"indexing: {cause} (shape {input.shape})") from None


@op(saves="")
def _take_along_dim(x: Array, *, indices: Array, dim: int) -> Array:
    return np.take_along_axis(x, indices, axis=dim)


@op(saves="")
def _add_along_dim(g: Array, *, indices: Array, dim: int, shape: tuple[int, ...]) -> Array:
    out = np.zeros(shape, g.dtype)
    places: list[Any] = list(np.indices(indices.shape, sparse=True))
    places[dim] = indices
    np.add.at(out, tuple(places), g)
    return out


_take_along_dim.defvjp(lambda g, out, x, indices, dim: _add_along_dim(g, indices=indices, dim=dim, shape=x.shape))
_add_along_dim.defvjp(lambda gg, out, g, indices, dim, shape: _take_along_dim(gg, indices=indices, dim=dim))


def _indices_of(name: str, input: Tensor, indices: Any, dim: int) -> Array:
    array = as_tensor(indices)._array
    if array.dtype.kind not in "iu":
        raise DtypeError(f"{name}: indices must be integers, got {array.dtype}")
    size = input.shape[dim]
    if array.size and not (array.min() >= 0 and array.max() < size):
        raise DimError(
            f"{name}: indices must lie in 0 to {size - 1}, the size of dim {dim}, got {array.min()} to {array.max()}"
        )
    return np.array(array, np.int64)


@method
def take_along_dim(input: Tensor, indices: Any, dim: int) -> Any:
    """out[i, j, k] = input[i, indices[i, j, k], k] for dim=1; the shapes broadcast except along `dim`."""
    axis = checked_dim("take_along_dim", dim, input.ndim)
    array = _indices_of("take_along_dim", input, indices, axis)
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
def gather(input: Tensor, dim: int, index: Any) -> Any:
    """out[i, j] = input[i, index[i, j]] for dim=1; `index` has no size larger than `input` except along `dim`."""
    axis = checked_dim("gather", dim, input.ndim)
    if not input.ndim:
        return input.reshape(1).gather(0, as_tensor(index).reshape(-1)).reshape(as_tensor(index).shape)
    array = _indices_of("gather", input, index, axis)
    if array.ndim != input.ndim or any(
        n > m for i, (n, m) in enumerate(zip(array.shape, input.shape, strict=True)) if i != axis
    ):
        raise ShapeError(
            f"gather: index of shape {array.shape} does not fit into the input of shape {input.shape} along dim {axis}"
        )
    part = tuple(slice(None) if i == axis else slice(n) for i, n in enumerate(array.shape))
    return _take_along_dim(input[part], indices=array, dim=axis)


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
