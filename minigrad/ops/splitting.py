"""Parts of a tensor along a dimension: views, as many as are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError, DimError, ShapeError
from ..primitive import op
from ..tensor import Tensor, method
from .indexing import _getitem
from .shape import checked_dim, checked_int, existing_dim

__all__ = ["chunk", "dsplit", "hsplit", "narrow", "select", "split", "tensor_split", "unbind", "vsplit"]

# --- one part -------------------------------------------------------------------------------------------------


def along(dim: int, part: slice | int | Array) -> tuple[Any, ...]:
    """The index that takes `part` of dimension `dim`, and all of the others."""
    return (slice(None),) * dim + (part,)


def _part(input: Tensor, dim: int, start: int, stop: int) -> Any:
    return _getitem(input, index=along(dim, slice(start, stop)))


@method
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Any:
    """`length` elements along `dim`, from index `start` on, which may count from the end.

    Raises:
        DimError: for a dim or a start out of range.
        ArgumentError: if there are fewer elements, or the length is negative.
    """
    axis = existing_dim("narrow", dim, input.ndim)
    size, first, count = (
        input.shape[axis],
        checked_int("narrow", "start", start),
        checked_int("narrow", "length", length),
    )
    if not -size <= first <= size:
        raise DimError(
            f"narrow: start {first} is out of range for dim {dim} of size {size}; allowed are {-size} to {size}"
        )
    first += size if first < 0 else 0
    if not 0 <= count <= size - first:
        raise ArgumentError(f"narrow: length must be 0 to {size - first} from start {first} of {size}, got {count}")
    return _part(input, axis, first, first + count)


@method
def select(input: Tensor, dim: int, index: Any) -> Any:
    """The slice at `index` along `dim`, without that dimension.

    Raises:
        DimError: for a dim or an index out of range.
    """
    axis = existing_dim("select", dim, input.ndim)
    size, place = input.shape[axis], checked_int("select", "index", index)
    if not -size <= place < size:
        raise DimError(f"select: index {place} is out of range for dim {dim} of size {size}")
    return _getitem(input, index=(*along(axis, place), ...))


@method
def unbind(input: Tensor, dim: int = 0) -> tuple[Any, ...]:
    """All slices along `dim`, without that dimension.

    Raises:
        DimError: for a dim out of range.
    """
    axis = existing_dim("unbind", dim, input.ndim)
    return tuple(_getitem(input, index=(*along(axis, i), ...)) for i in range(input.shape[axis]))


# --- consecutive parts ----------------------------------------------------------------------------------------


def _cut(input: Tensor, dim: int, bounds: Sequence[int]) -> tuple[Any, ...]:
    """The parts between consecutive bounds."""
    return tuple(_part(input, dim, start, stop) for start, stop in pairwise(bounds))


def _of_sizes(input: Tensor, dim: int, sizes: Sequence[int]) -> tuple[Any, ...]:
    return _cut(input, dim, np.cumsum([0, *sizes]).tolist())


def _of_size(input: Tensor, dim: int, size: int) -> tuple[Any, ...]:
    """Parts of one size, of which the last may be smaller; one of nothing, where there is nothing."""
    whole = input.shape[dim]
    return _cut(input, dim, [*range(0, max(whole, 1), max(size, 1)), whole])


def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Parts of one size along `dim` (the last may be smaller), or of the given sizes.

    As a method, the second parameter is named `split_size`, as in PyTorch.

    Raises:
        DimError: for a dim out of range.
        ArgumentError: if the sizes are negative, or do not add up to that of `dim`.
    """
    if not isinstance(tensor, Tensor):
        raise ArgumentTypeError(
            f"split: expected a Tensor as tensor, got {type(tensor).__name__}; write minigrad.tensor(x)"
        )
    axis = existing_dim("split", dim, tensor.ndim)
    whole = tensor.shape[axis]
    if isinstance(split_size_or_sections, (tuple, list)):
        sizes = [checked_int("split", "a size", n) for n in split_size_or_sections]
        if any(n < 0 for n in sizes) or sum(sizes) != whole:
            raise ArgumentError(f"split: sizes {sizes} must be >= 0 and add up to {whole}, the size of dim {dim}")
        return _of_sizes(tensor, axis, sizes)
    size = checked_int("split", "split_size_or_sections", split_size_or_sections)
    if size < 0 or (size == 0 and whole):
        raise ArgumentError(f"split: the size of a part must be positive, got {size} for dim {dim} of size {whole}")
    return _of_size(tensor, axis, size)


def _split_method(self: Tensor, split_size: Any, dim: int = 0) -> tuple[Any, ...]:
    return split(self, split_size, dim)


setattr(Tensor, "split", _split_method)  # noqa: B010  (`method` would name its parameters as the function does)


@method
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` parts along `dim`, of one size, the smallest that suffices; the last may be smaller.

    Raises:
        DimError: for a dim out of range.
        ArgumentError: if `chunks` is not positive.
    """
    axis, count = existing_dim("chunk", dim, input.ndim), checked_int("chunk", "chunks", chunks)
    if count < 1:
        raise ArgumentError(f"chunk: chunks must be positive, got {count}")
    whole = input.shape[axis]
    return _of_size(input, axis, -(-whole // count)) if whole else _of_sizes(input, axis, [0] * count)


# --- parts of nearly one size, or between indices -------------------------------------------------------------


def _sections(name: str, input: Tensor, count: int, dim: int) -> tuple[Any, ...]:
    """`count` parts, of which the first are larger by one where the size does not divide."""
    if count < 1:
        raise ArgumentError(f"{name}: the number of sections must be positive, got {count}")
    least, larger = divmod(input.shape[dim], count)
    return _of_sizes(input, dim, [least + 1] * larger + [least] * (count - larger))


def _between(name: str, input: Tensor, indices: Sequence[Any], dim: int) -> tuple[Any, ...]:
    """The parts that start and end at the indices, as slices do."""
    bounds = [0, *[checked_int(name, "an index", i) for i in indices], None]
    return tuple(_getitem(input, index=along(dim, slice(start, stop))) for start, stop in pairwise(bounds))


@method
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """So many parts along `dim` (the first are larger by one where the size does not divide), or those between indices.

    Raises:
        DimError: for a dim out of range.
        ArgumentError: if the number of parts is not positive.
        ArgumentTypeError: for something other than an integer, or a list or 1-dim tensor of integers.
    """
    axis = existing_dim("tensor_split", dim, input.ndim)
    where = indices_or_sections
    if isinstance(where, Tensor) and where.ndim == 1:
        where = where.tolist()
    if isinstance(where, (tuple, list)):
        return _between("tensor_split", input, where, axis)
    return _sections("tensor_split", input, checked_int("tensor_split", "indices_or_sections", where), axis)


def _split_evenly(name: str, input: Tensor, where: Any, dim: int, least_ndim: int) -> tuple[Any, ...]:
    """Parts of exactly one size, or those between indices."""
    if input.ndim < least_ndim:
        raise ShapeError(f"{name}: needs at least {least_ndim} dimensions, got shape {input.shape}")
    if isinstance(where, (tuple, list)):
        return _between(name, input, where, dim)
    count = checked_int(name, "sections", where)
    if count < 1 or input.shape[dim] % count:
        raise ArgumentError(f"{name}: dim {dim} of size {input.shape[dim]} is not divisible by {count} sections")
    return _sections(name, input, count, dim)


@method
def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Any, ...]:
    """Equal parts side by side, or those between indices: along dim 1, or dim 0 of a vector.

    Raises:
        ArgumentError: if the size is not divisible.
        ShapeError: for a 0-dim tensor.
    """
    return _split_evenly("hsplit", input, indices_or_sections, 1 if input.ndim > 1 else 0, 1)


@method
def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Any, ...]:
    """Equal parts one above the other, or those between indices: along dim 0.

    Raises:
        ArgumentError: if the size is not divisible.
        ShapeError: for fewer than 2 dimensions.
    """
    return _split_evenly("vsplit", input, indices_or_sections, 0, 2)


@method
def dsplit(input: Tensor, indices_or_sections: Any) -> tuple[Any, ...]:
    """Equal parts one behind the other, or those between indices: along dim 2.

    Raises:
        ArgumentError: if the size is not divisible.
        ShapeError: for fewer than 3 dimensions.
    """
    return _split_evenly("dsplit", input, indices_or_sections, 2, 3)


# --- overlapping parts ----------------------------------------------------------------------------------------


@op(is_view=True, saves="")
def _windows(x: Array, *, dim: int, size: int, step: int) -> Array:
    every = np.lib.stride_tricks.sliding_window_view(x, size, axis=dim)
    return every[along(dim, slice(None, None, step))]


@op(saves="")
def _add_windows(g: Array, *, dim: int, size: int, step: int, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape` with every window added where it was read."""
    out = np.zeros(shape, g.dtype)
    reach = step * g.shape[dim]
    for offset in range(size):
        out[along(dim, slice(offset, offset + reach, step))] += g[..., offset]
    return out


_windows.defvjp(lambda g, out, x, dim, size, step: _add_windows(g, dim=dim, size=size, step=step, shape=x.shape))
_add_windows.defvjp(lambda gg, out, g, dim, size, step, shape: _windows(gg, dim=dim, size=size, step=step))


@method
def unfold(input: Tensor, dimension: int, size: int, step: int) -> Any:
    """All windows of `size` elements along a dimension, every `step` elements; they lie in a new last dimension.

    A method only: the function `nn.functional.unfold` makes columns of the blocks of an image.

    Raises:
        DimError: for a dimension out of range.
        ArgumentError: if no window fits, or the step is not positive.
    """
    axis = checked_dim("unfold", dimension, input.ndim)
    whole = input.shape[axis] if input.ndim else 1
    length, stride = checked_int("unfold", "size", size), checked_int("unfold", "step", step)
    if not 0 <= length <= whole:
        raise ArgumentError(f"unfold: size must be 0 to {whole}, the size of dim {dimension}, got {length}")
    if stride < 1:
        raise ArgumentError(f"unfold: step must be positive, got {stride}")
    if not input.ndim:
        return _part(input.reshape(1), 0, 0, length)
    return _windows(input, dim=axis, size=length, step=stride)
