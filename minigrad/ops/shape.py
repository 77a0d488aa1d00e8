"""The same elements under another shape. Where it can be, the result is a view that shares memory."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError, DimError, ShapeError
from ..primitive import op
from ..tensor import Tensor, method

__all__: list[str] = [
    "broadcast_shapes", "broadcast_tensors", "broadcast_to", "expand", "expand_as", "flatten", "numel", "ravel",
    "reshape", "reshape_as", "squeeze", "unflatten", "unsqueeze", "view", "view_as",
]  # fmt: skip

Dims = Sequence[int] | int | None

# --- arguments ------------------------------------------------------------------------------------------------


def checked_int(name: str, argument: str, value: Any) -> int:
    """`value` as a Python integer, which a tensor with one integer can stand for.

    Raises:
        ArgumentTypeError: if it is not an integer.
        ArgumentError: if it does not fit into 64 bits.
    """
    try:
        integer = operator.index(value)
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"{name}: {argument} must be an integer, got {type(value).__name__}: {value!r}"
        ) from None
    if not -(2**63) <= integer < 2**63:
        raise ArgumentError(f"{name}: {argument} must fit into 64 bits, got {integer}")
    return integer


def need_tensors(name: str, *operands: Any) -> None:
    """Raise ArgumentTypeError unless all are tensors."""
    for value in operands:
        if not isinstance(value, Tensor):
            raise ArgumentTypeError(
                f"{name}: expected Tensors, got {type(value).__name__}: {value!r}"[:160] + "; write minigrad.tensor(x)"
            )


def checked_dim(name: str, dim: Any, ndim: int, *, new: bool = False) -> int:
    """`dim` counted from the front; a 0-dim tensor accepts 0 and -1, as in PyTorch, and a `new` dim may be the last.

    Raises:
        DimError: if the tensor has no such dimension.
        ArgumentTypeError: if it is not an integer.
    """
    index = checked_int(name, "dim", dim)
    limit = ndim + 1 if new else max(ndim, 1)
    if not -limit <= index < limit:
        raise DimError(
            f"{name}: dim {index} is out of range for a tensor with {ndim} dimensions; allowed are {-limit} to "
            f"{limit - 1}"
        )
    return index % limit


def existing_dim(name: str, dim: Any, ndim: int) -> int:
    """`checked_dim` for what needs a dimension to work on, which a 0-dim tensor does not have.

    Raises:
        DimError: if the tensor has no such dimension.
    """
    if not ndim:
        raise DimError(f"{name}: a 0-dim tensor has no dim {dim}; write x.reshape(1) first")
    return checked_dim(name, dim, ndim)


def checked_dims(name: str, dim: Dims, ndim: int) -> tuple[int, ...]:
    """One dim or several, counted from the front; None and () mean all of them.

    Raises:
        DimError: for a dim out of range, or named twice.
    """
    if dim is None:
        return tuple(range(ndim))
    if not isinstance(dim, (tuple, list)):
        return (checked_dim(name, dim, ndim),) if ndim else (checked_dim(name, dim, ndim),) * 0
    dims = distinct_dims(name, dim, ndim)
    return dims[:ndim] if dims else tuple(range(ndim))


def distinct_dims(name: str, dims: Sequence[Any], ndim: int) -> tuple[int, ...]:
    """These dims, counted from the front.

    Raises:
        DimError: for a dim out of range, or named twice.
    """
    checked = tuple(checked_dim(name, d, ndim) for d in dims)
    if len(set(checked)) != len(checked):
        raise DimError(f"{name}: a dimension is named twice in dim={tuple(dims)}")
    return checked


def _sizes(name: str, sizes: tuple[Any, ...], argument: str = "sizes", named: Any = None) -> tuple[int, ...]:
    """Integers given as f(2, 3), f((2, 3)), f([2, 3]) or by the name of the argument.

    Raises:
        ArgumentTypeError: if they are missing, or not integers.
    """
    if named is not None and not sizes:
        sizes = (named,)
    if not sizes or named not in (None, *sizes):
        raise ArgumentTypeError(f"{name}: expects the argument {argument} once; write {name}(x, (2, 3))")
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    try:
        return tuple(operator.index(s) for s in sizes)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{name}: {argument} must be integers, got {sizes}") from None


# --- broadcasting ---------------------------------------------------------------------------------------------


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
def expand(input: Tensor, *sizes: Any, size: Any = None) -> Any:
    """Repeat dimensions of size 1 (and new ones in front) without copying; -1 keeps a size.

    Raises:
        ShapeError: if a size other than 1 would have to change.
    """
    return _expanded("expand", input, _sizes("expand", sizes, "size", size))


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


@method
def expand_as(input: Tensor, other: Tensor) -> Any:
    """`input` expanded to the shape of `other`.

    Raises:
        ShapeError: if a size other than 1 would have to change.
    """
    need_tensors("expand_as", other)
    return _expanded("expand_as", input, other.shape)


@method
def broadcast_to(input: Tensor, size: Sequence[int]) -> Any:
    """`input.expand(size)`.

    Raises:
        ShapeError: if a size other than 1 would have to change.
    """
    return _expanded("broadcast_to", input, _sizes("broadcast_to", (size,), "size"))


def broadcast_shapes(*shapes: Sequence[int] | int) -> tuple[int, ...]:
    """The shape to which arrays of these shapes broadcast; an integer n is the shape (n,).

    Raises:
        ShapeError: if they do not broadcast, or a size is negative.
    """
    checked = [_sizes("broadcast_shapes", (shape,), "shapes") for shape in shapes]
    try:
        return np.broadcast_shapes(*checked)
    except ValueError:
        raise ShapeError(
            f"broadcast_shapes: {checked} do not broadcast: aligned from the right, sizes must be equal or 1, and none "
            "negative"
        ) from None


def broadcast_tensors(*tensors: Tensor) -> tuple[Any, ...]:
    """All tensors expanded to their common shape.

    Raises:
        ShapeError: if their shapes do not broadcast.
    """
    need_tensors("broadcast_tensors", *tensors)
    try:
        shape = np.broadcast_shapes(*[t.shape for t in tensors])
    except ValueError:
        raise ShapeError(
            f"broadcast_tensors: shapes {[t.shape for t in tensors]} do not broadcast: aligned from the right, sizes "
            "must be equal or 1"
        ) from None
    return tuple(_expand(t, shape=shape) for t in tensors)


# --- reshaping ------------------------------------------------------------------------------------------------


@op(is_view=True, saves="")
def _reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
    return x.reshape(shape)


_reshape.defvjp(lambda g, out, x, shape: _reshape(g, shape=x.shape))


def _reshaped(name: str, input: Tensor, sizes: tuple[int, ...]) -> Any:
    elements = input.numel()
    if -1 in sizes:
        sizes = _inferred(name, sizes, elements, input.shape)
    if any(n < 0 for n in sizes):
        raise ShapeError(f"{name}: sizes must be >= 0, with at most one -1, got {sizes}")
    if math.prod(sizes) != elements:
        raise ShapeError(f"{name}: {elements} elements of shape {input.shape} do not fit the shape {sizes}")
    return _reshape(input, shape=sizes)


def _inferred(name: str, sizes: tuple[int, ...], elements: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The sizes with -1 replaced by what is left of the elements."""
    known = math.prod(n for n in sizes if n != -1)
    if sizes.count(-1) > 1 or known < 0:
        raise ShapeError(f"{name}: sizes must be >= 0, with at most one -1, got {sizes}")
    if known == 0 or elements % known:
        raise ShapeError(f"{name}: {elements} elements of shape {shape} do not fit the shape {sizes}")
    return tuple(elements // known if n == -1 else n for n in sizes)


@method
def reshape(input: Tensor, *sizes: Any, shape: Any = None) -> Any:
    """The same elements in C order under another shape; one size may be -1.

    Raises:
        ShapeError: if the number of elements does not fit.
    """
    return _reshaped("reshape", input, _sizes("reshape", sizes, "shape", shape))


@method
def reshape_as(input: Tensor, other: Tensor) -> Any:
    """`input.reshape(other.shape)`.

    Raises:
        ShapeError: if the number of elements differs.
    """
    need_tensors("reshape_as", other)
    return _reshaped("reshape_as", input, other.shape)


@method
def view(input: Tensor, *sizes: Any, size: Any = None, dtype: Any = None) -> Any:
    """`reshape` that never copies.

    Raises:
        ShapeError: if the elements do not lie in memory in this order; write reshape.
        NotImplementedError: for a dtype: reading the same bytes as other numbers is not supported.
    """
    if dtype is not None or (sizes and isinstance(sizes[0], (np.dtype, type))):
        raise NotImplementedError("view: dtype is not supported; x.to(dtype) converts the values")
    return _viewed("view", input, _sizes("view", sizes, "size", size))


def _viewed(name: str, input: Tensor, sizes: tuple[int, ...]) -> Any:
    out = _reshaped(name, input, sizes)
    if out.numel() and not np.shares_memory(out._array, input._array):
        raise ShapeError(
            f"{name}: shape {out.shape} needs a copy of this non-contiguous tensor of shape {input.shape}; write "
            "reshape"
        )
    return out


@method
def view_as(input: Tensor, other: Tensor) -> Any:
    """`input.view(other.shape)`.

    Raises:
        ShapeError: if the number of elements differs, or they do not lie in memory in this order.
    """
    need_tensors("view_as", other)
    return _viewed("view_as", input, other.shape)


@method
def ravel(input: Tensor) -> Any:
    """All elements in C order, as one dimension."""
    return _reshape(input, shape=(input.numel(),))


@method
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Merge the dimensions from `start_dim` to `end_dim` into one.

    Raises:
        DimError: for a dim out of range, or in the wrong order.
    """
    start, end = checked_dim("flatten", start_dim, input.ndim), checked_dim("flatten", end_dim, input.ndim)
    if start > end:
        raise DimError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    shape = input.shape
    return _reshape(input, shape=(*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :]))


@method
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Any:
    """Split dimension `dim` into several of the given sizes, of which one may be -1.

    Raises:
        DimError: for a dim out of range.
        ShapeError: if the sizes do not multiply to the size of `dim`.
    """
    axis = existing_dim("unflatten", dim, input.ndim)
    inner = _sizes("unflatten", (sizes,))
    if not inner:
        raise ShapeError("unflatten: sizes is empty; give at least one size")
    whole = input.shape[axis]
    if -1 in inner:
        inner = _inferred("unflatten", inner, whole, input.shape)
    if math.prod(inner) != whole or any(n < 0 for n in inner):
        raise ShapeError(f"unflatten: sizes {inner} do not multiply to {whole}, the size of dim {dim}")
    return _reshape(input, shape=(*input.shape[:axis], *inner, *input.shape[axis + 1 :]))


@method
def squeeze(input: Tensor, dim: Dims = None) -> Any:
    """Drop dimensions of size 1: all of them, or those in `dim`.

    Raises:
        DimError: for a dim out of range.
    """
    dims = checked_dims("squeeze", dim, input.ndim)
    shape = tuple(n for i, n in enumerate(input.shape) if i not in dims or n != 1)
    return _reshape(input, shape=shape)


@method
def unsqueeze(input: Tensor, dim: int) -> Any:
    """Insert a dimension of size 1 at position `dim`, which may be -ndim-1 to ndim.

    Raises:
        DimError: for a dim out of range.
    """
    position = checked_dim("unsqueeze", dim, input.ndim, new=True)
    return _reshape(input, shape=(*input.shape[:position], 1, *input.shape[position:]))


# --- what it holds --------------------------------------------------------------------------------------------


def numel(input: Tensor) -> int:
    """The number of elements.

    Raises:
        ArgumentTypeError: if `input` is not a tensor.
    """
    need_tensors("numel", input)
    return input.numel()


@method
def is_contiguous(input: Tensor) -> bool:
    """Whether the elements lie in memory in C order, without gaps."""
    return bool(input._array.flags.c_contiguous)
