"""Ops that rearrange or repeat elements. Where they can, they return views that share memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError, DimError, ShapeError
from ..primitive import op
from ..tensor import Tensor, as_tensor, method

__all__ = [
    "broadcast_to", "cat", "expand", "flatten", "permute", "reshape", "squeeze", "stack", "t", "transpose", "unsqueeze",
    "view",
]  # fmt: skip

Dims = Sequence[int] | int | None


def checked_dim(name: str, dim: Any, ndim: int, *, new: bool = False) -> int:
    """`dim` counted from the front; a 0-dim tensor accepts 0 and -1, as in PyTorch, and a `new` dim may be the last.

    Raises:
        DimError: if the tensor has no such dimension.
        ArgumentTypeError: if it is not an integer.
    """
    try:
        index = dim.__index__()
    except AttributeError:
        raise ArgumentTypeError(f"{name}: dim must be an integer, got {type(dim).__name__}: {dim!r}") from None
    limit = ndim + 1 if new else max(ndim, 1)
    if not -limit <= index < limit:
        raise DimError(
            f"{name}: dim {index} is out of range for a tensor with {ndim} dimensions; allowed are {-limit} to "
            f"{limit - 1}"
        )
    return int(index % limit)


def checked_dims(name: str, dim: Dims, ndim: int) -> tuple[int, ...]:
    """One dim or several, counted from the front; None and () mean all of them.

    Raises:
        DimError: for a dim out of range, or named twice.
    """
    if dim is None:
        return tuple(range(ndim))
    if not isinstance(dim, (tuple, list)):
        return (checked_dim(name, dim, ndim),) if ndim else (checked_dim(name, dim, ndim),) * 0
    dims = tuple(checked_dim(name, d, ndim) for d in dim)
    if len(set(dims)) != len(dims):
        raise DimError(f"{name}: a dimension is named twice in dim={tuple(dim)}")
    return dims[:ndim] if dims else tuple(range(ndim))


def _sizes(name: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given as f(2, 3), f((2, 3)) or f([2, 3])."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    try:
        return tuple(s.__index__() for s in sizes)
    except AttributeError:
        raise ArgumentTypeError(f"{name}: sizes must be integers, got {sizes}") from None


@op(saves="")
def sum_to(x: Array, *, shape: tuple[int, ...]) -> Array:
    """Sum away what broadcasting had added, back to `shape`: the one place where gradients are un-broadcast."""
    extra = x.ndim - len(shape)
    repeated = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(shape) if n == 1 and x.shape[i + extra] != 1)
    return np.add.reduce(x, axis=repeated, keepdims=True).reshape(shape)


sum_to.defvjp(lambda g, out, x, shape: g.expand(x.shape))


@op(is_view=True, saves="")
def _expand(x: Array, *, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(x, shape)


_expand.defvjp(lambda g, out, x, shape: sum_to(g, shape=x.shape))


@method
def expand(input: Tensor, *sizes: Any) -> Any:
    """Repeat dimensions of size 1 (and new ones in front) without copying; -1 keeps a size.

    Raises:
        ShapeError: if a size other than 1 would have to change.
    """
    return _expanded("expand", input, _sizes("expand", sizes))


def _expanded(name: str, input: Tensor, shape: tuple[int, ...]) -> Any:
    lead = len(shape) - input.ndim
    if lead < 0:
        raise ShapeError(
            f"{name}: {len(shape)} sizes {shape} for a tensor with {input.ndim} dimensions, shape {input.shape}"
        )
    if any(n < -1 or (n == -1 and i < lead) for i, n in enumerate(shape)):
        raise ShapeError(f"{name}: negative size in {shape}; only -1 is allowed, for a dimension that exists")
    target = tuple(input.shape[i - lead] if n == -1 else n for i, n in enumerate(shape))
    for have, want in zip(input.shape, target[lead:], strict=True):
        if have not in (1, want):
            raise ShapeError(f"{name}: shape {input.shape} cannot be expanded to {target}: only sizes of 1 can grow")
    return _expand(input, shape=target)


def broadcast_to(input: Tensor, size: Sequence[int]) -> Any:
    """`input.expand(size)`."""
    return _expanded("broadcast_to", input, _sizes("broadcast_to", (size,)))


@op(is_view=True, saves="")
def _reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
    return x.reshape(shape)


_reshape.defvjp(lambda g, out, x, shape: _reshape(g, shape=x.shape))


@method
def reshape(input: Tensor, *shape: Any) -> Any:
    """The same elements in C order under another shape; one size may be -1.

    Raises:
        ShapeError: if the number of elements does not fit.
    """
    sizes = _sizes("reshape", shape)
    known = math.prod(n for n in sizes if n != -1)
    unknown = sum(n == -1 for n in sizes)
    elements = input.numel()
    if any(n < -1 for n in sizes) or unknown > 1:
        raise ShapeError(f"reshape: sizes must be >= 0, with at most one -1, got {sizes}")
    if (unknown and (known == 0 or elements % known)) or (not unknown and known != elements):
        raise ShapeError(f"reshape: {elements} elements of shape {input.shape} do not fit the shape {sizes}")
    return _reshape(input, shape=tuple(elements // known if n == -1 else n for n in sizes))


@method
def view(input: Tensor, *shape: Any) -> Any:
    """`reshape` that never copies.

    Raises:
        ShapeError: if the elements do not lie in memory in this order; write reshape.
    """
    out = reshape(input, *shape)
    if out.numel() and not np.shares_memory(out._array, input._array):
        raise ShapeError(
            f"view: shape {out.shape} needs a copy of this non-contiguous tensor of shape {input.shape}; write reshape"
        )
    return out


@method
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Merge the dimensions from `start_dim` to `end_dim` into one."""
    start, end = checked_dim("flatten", start_dim, input.ndim), checked_dim("flatten", end_dim, input.ndim)
    if start > end:
        raise DimError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    shape = input.shape
    return reshape(input, (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


@op(is_view=True, saves="")
def _permute(x: Array, *, dims: tuple[int, ...]) -> Array:
    return x.transpose(dims)


_permute.defvjp(lambda g, out, x, dims: _permute(g, dims=tuple(np.argsort(dims).tolist())))


@method
def permute(input: Tensor, *dims: Any) -> Any:
    """Reorder the dimensions: dimension `dims[i]` becomes dimension i.

    Raises:
        DimError: if `dims` is not an ordering of all dimensions.
    """
    order = tuple(checked_dim("permute", d, input.ndim) for d in _sizes("permute", dims))
    if sorted(order) != list(range(input.ndim)):
        raise DimError(
            f"permute: dims {order} must name each of the {input.ndim} dimensions of shape {input.shape} once"
        )
    return _permute(input, dims=order)


@method
def transpose(input: Tensor, dim0: int, dim1: int) -> Any:
    """Swap two dimensions."""
    a, b = checked_dim("transpose", dim0, input.ndim), checked_dim("transpose", dim1, input.ndim)
    order = list(range(input.ndim))
    if order:
        order[a], order[b] = order[b], order[a]
    return _permute(input, dims=tuple(order))


@method
def t(input: Tensor) -> Any:
    """The transpose of a matrix; tensors with fewer dimensions are returned as they are.

    Raises:
        ShapeError: for more than two dimensions; write transpose(dim0, dim1).
    """
    if input.ndim > 2:
        raise ShapeError(f"t: needs at most 2 dimensions, got shape {input.shape}; write x.transpose(dim0, dim1)")
    return _permute(input, dims=tuple(range(input.ndim))[::-1])


@method
def squeeze(input: Tensor, dim: Dims = None) -> Any:
    """Drop dimensions of size 1: all of them, or those in `dim`."""
    dims = checked_dims("squeeze", dim, input.ndim)
    shape = tuple(n for i, n in enumerate(input.shape) if i not in dims or n != 1)
    return _reshape(input, shape=shape)


@method
def unsqueeze(input: Tensor, dim: int) -> Any:
    """Insert a dimension of size 1 at position `dim`, which may be -ndim-1 to ndim."""
    position = checked_dim("unsqueeze", dim, input.ndim, new=True)
    return _reshape(input, shape=(*input.shape[:position], 1, *input.shape[position:]))


@op(broadcasts=False, saves="")
def _cat(*tensors: Array, dim: int) -> Array:
    return np.concatenate(tensors, axis=dim)


def _cat_vjp(g: Any, out: Any, *tensors: Any, dim: int) -> tuple[Any, ...]:
    sizes = [t.shape[dim] for t in tensors]
    ends = np.cumsum(sizes).tolist()
    parts = [(slice(None),) * dim + (slice(end - size, end),) for size, end in zip(sizes, ends, strict=True)]
    return tuple(g[part] for part in parts)


_cat.defvjp(joint=_cat_vjp)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Join tensors along an existing dimension; their other sizes are equal.

    Raises:
        ArgumentError: for an empty list.
        ShapeError: if other sizes differ.
    """
    parts = [as_tensor(t) for t in tensors]
    if not parts:
        raise ArgumentError("cat: expected at least one tensor, got an empty list")
    # PyTorch lets the empty tensor of shape (0,) be joined with anything.
    parts = [p for p in parts if p.shape != (0,)] or parts[:1]
    if any(p.ndim == 0 for p in parts):
        raise ShapeError("cat: 0-dim tensors cannot be joined; write stack")
    axis = checked_dim("cat", dim, parts[0].ndim)
    for p in parts[1:]:
        if p.ndim != parts[0].ndim or any(
            a != b for i, (a, b) in enumerate(zip(p.shape, parts[0].shape, strict=True)) if i != axis
        ):
            raise ShapeError(f"cat: shapes {[q.shape for q in parts]} differ in more than dim {axis}")
    return _cat(*_common_dtype(parts), dim=axis)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Join tensors of one shape along a new dimension.

    Raises:
        ArgumentError: for an empty list.
        ShapeError: if the shapes differ.
    """
    parts = [as_tensor(t) for t in tensors]
    if not parts:
        raise ArgumentError("stack: expected at least one tensor, got an empty list")
    if any(p.shape != parts[0].shape for p in parts):
        raise ShapeError(f"stack: all tensors must have one shape, got {[p.shape for p in parts]}")
    axis = checked_dim("stack", dim, parts[0].ndim, new=True)
    return _cat(*_common_dtype([unsqueeze(p, axis) for p in parts]), dim=axis)


def _common_dtype(parts: list[Tensor]) -> list[Tensor]:
    from ..dtypes import result_type

    dtype = result_type([(p.dtype, "dims") for p in parts])
    return [p.to(dtype) for p in parts]
