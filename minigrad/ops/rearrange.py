"""The same elements elsewhere: mirrored, turned, shifted, repeated and combined."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, DimError, DtypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor, from_array, method
from .indexing import _getitem, _index_select
from .joining import stack
from .shape import _sizes, checked_int, distinct_dims, existing_dim, need_tensors

__all__ = [
    "cartesian_prod", "combinations", "flip", "fliplr", "flipud", "meshgrid", "repeat", "repeat_interleave", "roll",
    "rot90", "tile",
]  # fmt: skip

# --- mirrored, turned, shifted --------------------------------------------------------------------------------


@op(saves="")
def _flip(x: Array, *, dims: tuple[int, ...]) -> Array:
    return np.flip(x, dims).copy()


_flip.defvjp(lambda g, out, x, dims: _flip(g, dims=dims))


@method
def flip(input: Tensor, *order: Any, dims: Any = None) -> Any:
    """A copy with the order of the elements reversed along `dims`.

    Raises:
        DimError: for a dim out of range, or named twice.
    """
    wanted = _sizes("flip", order, "dims", dims)
    return _flip(input, dims=distinct_dims("flip", wanted, input.ndim)[: input.ndim])


@method
def fliplr(input: Tensor) -> Any:
    """A copy with the columns reversed: along dim 1.

    Raises:
        ShapeError: for fewer than 2 dimensions.
    """
    if input.ndim < 2:
        raise ShapeError(f"fliplr: needs at least 2 dimensions, got shape {input.shape}")
    return _flip(input, dims=(1,))


@method
def flipud(input: Tensor) -> Any:
    """A copy with the rows reversed: along dim 0.

    Raises:
        ShapeError: for a 0-dim tensor.
    """
    if not input.ndim:
        raise ShapeError(f"flipud: needs at least 1 dimension, got shape {input.shape}")
    return _flip(input, dims=(0,))


@method
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """A copy turned `k` times by 90 degrees, from the first of `dims` towards the second.

    Raises:
        DimError: unless `dims` are two different dimensions of the tensor.
    """
    if len(_sizes("rot90", (dims,), "dims")) != 2 or input.ndim < 2:
        raise DimError(f"rot90: dims must be two of the dimensions, got {dims} for shape {input.shape}")
    first, second = distinct_dims("rot90", dims, input.ndim)
    turns = checked_int("rot90", "k", k) % 4
    if turns == 0:
        return input.clone()
    if turns == 2:
        return _flip(input, dims=(first, second))
    return _flip(input, dims=(second if turns == 1 else first,)).transpose(first, second)


@op(saves="")
def _roll(x: Array, *, shifts: tuple[int, ...], dims: tuple[int, ...]) -> Array:
    return np.roll(x, shifts, dims)


_roll.defvjp(lambda g, out, x, shifts, dims: _roll(g, shifts=tuple(-s for s in shifts), dims=dims))


@method
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Any:
    """A copy shifted by `shifts` places along `dims`; what leaves at one end enters at the other.

    Without `dims`, the elements are shifted in C order, across all dimensions.

    Raises:
        DimError: for a dim out of range.
        ArgumentError: if there are not as many shifts as dims.
    """
    by = _sizes("roll", (shifts,), "shifts")
    along = () if dims is None else _sizes("roll", (dims,), "dims")
    if not along and len(by) == 1:
        return _roll(input.reshape(-1), shifts=by, dims=(0,)).reshape(input.shape)
    if len(by) != len(along) or not by:
        raise ArgumentError(f"roll: shifts and dims must be as many, got shifts={shifts} and dims={dims}")
    return _roll(input, shifts=by, dims=tuple(existing_dim("roll", d, input.ndim) for d in along))


# --- repeated -------------------------------------------------------------------------------------------------


@op(saves="")
def _tile(x: Array, *, repeats: tuple[int, ...]) -> Array:
    return np.tile(x, repeats)


def _tile_vjp(g: Any, out: Any, x: Any, repeats: tuple[int, ...]) -> Any:
    """The sum over the copies: each dimension of `g` is so many copies of one of `x`."""
    sizes = (1,) * (len(repeats) - x.ndim) + x.shape
    copies = g.reshape([n for pair in zip(repeats, sizes, strict=True) for n in pair])
    return copies.sum(tuple(range(0, copies.ndim, 2))).reshape(x.shape) if repeats else g


_tile.defvjp(_tile_vjp)


def _tiled(name: str, input: Tensor, repeats: tuple[int, ...]) -> Any:
    if any(n < 0 for n in repeats):
        raise ShapeError(f"{name}: the numbers of copies must be >= 0, got {repeats}")
    return _tile(input, repeats=repeats)


@method
def repeat(input: Tensor, *sizes: Any, repeats: Any = None) -> Any:
    """So many copies side by side along each dimension; more numbers than dimensions add dimensions in front.

    Raises:
        ShapeError: for fewer numbers than dimensions, or a negative one.
    """
    counts = _sizes("repeat", sizes, "repeats", repeats)
    if len(counts) < input.ndim:
        raise ShapeError(
            f"repeat: {len(counts)} numbers {counts} for {input.ndim} dimensions of shape {input.shape}; give one for "
            "each, or write tile"
        )
    return _tiled("repeat", input, counts)


@method
def tile(input: Tensor, *sizes: Any, dims: Any = None) -> Any:
    """`repeat`, where the dimensions in front that are given no number have one copy.

    Raises:
        ShapeError: for a negative number.
    """
    counts = _sizes("tile", sizes, "dims", dims)
    return _tiled("tile", input, (1,) * (input.ndim - len(counts)) + counts)


@method
def repeat_interleave(input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: Any = None) -> Any:
    """Each element `repeats` times in a row: along `dim`, or of all elements in C order.

    `repeats` is an integer, or a tensor of integers, one for each index. `repeat_interleave(repeats)` alone gives each
    index so many times.

    Raises:
        DimError: for a dim out of range.
        ArgumentError: if `repeats` is negative, or the result has another size than `output_size`.
        ShapeError: if there are not as many `repeats` as indices.
        DtypeError: if `repeats` are not int32 or int64.
    """
    if repeats is None:
        indices = _interleaved(_counts(input, input.numel()), output_size)
        return from_array(indices.astype(input.dtype))
    if dim is None:
        input, dim = input.reshape(-1), 0
    axis = existing_dim("repeat_interleave", dim, input.ndim)
    indices = _interleaved(_counts(repeats, input.shape[axis]), output_size)
    return _index_select(input, index=indices, dim=axis)


def _counts(repeats: Any, size: int) -> Array:
    """How often each of `size` indices is repeated."""
    if not isinstance(repeats, Tensor):
        array = np.array(checked_int("repeat_interleave", "repeats", repeats))
    else:
        array = repeats._array
    if array.dtype not in (np.int32, np.int64):
        raise DtypeError(f"repeat_interleave: repeats must be int32 or int64, got {array.dtype}; write x.long()")
    if array.ndim > 1 or (array.size != 1 and array.shape != (size,)):
        raise ShapeError(f"repeat_interleave: repeats of shape {array.shape} for {size} indices; give one or {size}")
    if array.size and array.min() < 0:
        raise ArgumentError(f"repeat_interleave: repeats must be >= 0, got {array.min()}")
    return np.broadcast_to(array.reshape(-1), (size,))


def _interleaved(counts: Array, output_size: Any) -> Array:
    indices = np.repeat(np.arange(len(counts)), counts)
    if output_size is not None and output_size != len(indices):
        raise ArgumentError(f"repeat_interleave: output_size={output_size}, but the result has size {len(indices)}")
    return indices


# --- combined -------------------------------------------------------------------------------------------------


def _vectors(name: str, tensors: tuple[Any, ...]) -> list[Any]:
    """0- and 1-dim tensors of one dtype, as vectors."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if not tensors:
        raise ArgumentError(f"{name}: expected at least one tensor, got none")
    need_tensors(name, *tensors)
    for x in tensors:
        if x.ndim > 1:
            raise ShapeError(f"{name}: expected 0- and 1-dim tensors, got shape {x.shape}")
        if x.dtype != tensors[0].dtype:
            raise DtypeError(f"{name}: tensors must have one dtype, got {[t.dtype.name for t in tensors]}")
    return [x.reshape(-1) for x in tensors]


def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Any, ...]:
    """The coordinates of a grid: tensor i, expanded to the shape of the grid, varies along dim i.

    With `indexing="xy"` the first two dimensions of the grid are swapped; the default is "ij".

    Raises:
        ShapeError: for tensors with more than 1 dimension.
        DtypeError: if the dtypes differ.
        ArgumentError: for no tensors, or another `indexing`.
    """
    vectors = _vectors("meshgrid", tensors)
    if indexing not in (None, "ij", "xy"):
        raise ArgumentError(f'meshgrid: indexing must be "ij" or "xy", got {indexing!r}')
    shape = [v.numel() for v in vectors]
    grids = [_varying(v, dim, len(vectors)).expand(shape) for dim, v in enumerate(vectors)]
    if indexing == "xy" and len(vectors) > 1:
        grids = [grid.transpose(0, 1) for grid in grids]
    return tuple(grids)


def _varying(vector: Tensor, dim: int, ndim: int) -> Any:
    """A vector along dimension `dim` of `ndim`; the others have size 1."""
    return vector.reshape([-1 if i == dim else 1 for i in range(ndim)])


def cartesian_prod(*tensors: Tensor) -> Any:
    """All combinations of one element of each vector, as rows, the last element varying fastest.

    Raises:
        ShapeError: for other than 1 dimension.
        DtypeError: if the dtypes differ.
        ArgumentError: for no tensors.
    """
    vectors = _vectors("cartesian_prod", tensors)
    if any(t.ndim == 0 for t in tensors):
        raise ShapeError("cartesian_prod: 0-dim tensors have no elements to choose from; write x.reshape(1)")
    if len(vectors) == 1:
        return vectors[0]
    return stack([grid.reshape(-1) for grid in meshgrid(*vectors)], 1)


def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Any:
    """All selections of `r` elements of a vector in their order, as rows; `with_replacement`, an element may repeat.

    Raises:
        ShapeError: for other than 1 dimension.
        ArgumentError: if `r` is negative.
    """
    need_tensors("combinations", input)
    if input.ndim != 1:
        raise ShapeError(f"combinations: needs 1 dimension, got shape {input.shape}")
    count = checked_int("combinations", "r", r)
    if count < 0:
        raise ArgumentError(f"combinations: r must be >= 0, got {count}")
    if count == 0:
        return from_array(np.zeros(0, input.dtype))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(len(input)), count)), np.int64).reshape(-1, count)
    return _getitem(input, index=rows)
