"""The order of dimensions: views with the same elements, read in another order."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentTypeError, DimError, ShapeError
from ..primitive import op
from ..tensor import Tensor, method
from .shape import _sizes, checked_dim, distinct_dims

__all__: list[str] = ["adjoint", "moveaxis", "movedim", "permute", "swapaxes", "swapdims", "t", "transpose"]


@op(is_view=True, saves="")
def _permute(x: Array, *, dims: tuple[int, ...]) -> Array:
    return x.transpose(dims)


_permute.defvjp(lambda g, out, x, dims: _permute(g, dims=tuple(np.argsort(dims).tolist())))


@method
def permute(input: Tensor, *order: Any, dims: Any = None) -> Any:
    """Reorder the dimensions: dimension `dims[i]` becomes dimension i.

    Raises:
        DimError: if `dims` is not an ordering of all dimensions.
    """
    wanted = tuple(checked_dim("permute", d, input.ndim) for d in _sizes("permute", order, "dims", dims))
    if sorted(wanted) != list(range(input.ndim)):
        raise DimError(
            f"permute: dims {wanted} must name each of the {input.ndim} dimensions of shape {input.shape} once"
        )
    return _permute(input, dims=wanted)


def _swapped(name: str, input: Tensor, dim0: int, dim1: int) -> Any:
    a, b = checked_dim(name, dim0, input.ndim), checked_dim(name, dim1, input.ndim)
    order = list(range(input.ndim))
    if order:
        order[a], order[b] = order[b], order[a]
    return _permute(input, dims=tuple(order))


@method
def transpose(input: Tensor, dim0: int, dim1: int) -> Any:
    """Swap two dimensions.

    Raises:
        DimError: for a dim out of range.
    """
    return _swapped("transpose", input, dim0, dim1)


@method
def swapaxes(input: Tensor, axis0: int, axis1: int) -> Any:
    """`transpose` under the name that NumPy gives it."""
    return _swapped("swapaxes", input, axis0, axis1)


@method
def swapdims(input: Tensor, dim0: int, dim1: int) -> Any:
    """`transpose` under another name."""
    return _swapped("swapdims", input, dim0, dim1)


@method
def adjoint(input: Tensor) -> Any:
    """The transpose of the last two dimensions.

    Raises:
        DimError: for fewer than two dimensions.
    """
    return _swapped("adjoint", input, -2, -1)


@method
def t(input: Tensor) -> Any:
    """The transpose of a matrix; tensors with fewer dimensions are returned as they are.

    Raises:
        ShapeError: for more than two dimensions; write transpose(dim0, dim1).
    """
    if input.ndim > 2:
        raise ShapeError(f"t: needs at most 2 dimensions, got shape {input.shape}; write x.transpose(dim0, dim1)")
    return _permute(input, dims=tuple(range(input.ndim))[::-1])


def _moved(name: str, input: Tensor, source: Any, destination: Any) -> Any:
    several = isinstance(source, (tuple, list))
    if several is not isinstance(destination, (tuple, list)):
        raise ArgumentTypeError(
            f"{name}: source and destination must be two integers or two tuples, got {source!r} and {destination!r}"
        )
    sources = distinct_dims(name, source if several else (source,), input.ndim)
    targets = distinct_dims(name, destination if several else (destination,), input.ndim)
    if len(sources) != len(targets):
        raise DimError(f"{name}: source {source} and destination {destination} must name as many dimensions")
    moved = dict(zip(targets, sources, strict=True))
    rest = iter([d for d in range(input.ndim) if d not in sources])
    return _permute(input, dims=tuple(moved[d] if d in moved else next(rest) for d in range(input.ndim)))


@method
def movedim(input: Tensor, source: Any, destination: Any) -> Any:
    """Move dimension `source` (or several) to position `destination`; the others keep their order.

    Raises:
        DimError: for a dim out of range or named twice, or if there are not as many of both.
    """
    return _moved("movedim", input, source, destination)


@method
def moveaxis(input: Tensor, source: Any, destination: Any) -> Any:
    """`movedim` under the name that NumPy gives it."""
    return _moved("moveaxis", input, source, destination)
