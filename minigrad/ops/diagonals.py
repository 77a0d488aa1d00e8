"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import DimError, ShapeError
from ..primitive import op
from ..tensor import Tensor, method
from .shape import checked_dim, checked_int

__all__ = ["diag", "diag_embed", "diagflat", "diagonal", "tril", "triu"]

# --- triangles ------------------------------------------------------------------------------------------------


@op(saves="")
def _tril(x: Array, *, diagonal: int) -> Array:
    return np.tril(x, diagonal)


@op(saves="")
def _triu(x: Array, *, diagonal: int) -> Array:
    return np.triu(x, diagonal)


_tril.defvjp(lambda g, out, x, diagonal: _tril(g, diagonal=diagonal))
_triu.defvjp(lambda g, out, x, diagonal: _triu(g, diagonal=diagonal))


def _need_matrices(name: str, input: Tensor) -> None:
    if input.ndim < 2:
        raise ShapeError(f"{name}: needs at least 2 dimensions, got shape {input.shape}")


@method
def tril(input: Tensor, diagonal: int = 0) -> Any:
    """The lower triangles of matrices (..., m, n): element (i, j) where j <= i + diagonal, and zeros above.

    Raises:
        ShapeError: for fewer than 2 dimensions.
    """
    _need_matrices("tril", input)
    return _tril(input, diagonal=checked_int("tril", "diagonal", diagonal))


@method
def triu(input: Tensor, diagonal: int = 0) -> Any:
    """The upper triangles of matrices (..., m, n): element (i, j) where j >= i + diagonal, and zeros below.

    Raises:
        ShapeError: for fewer than 2 dimensions.
    """
    _need_matrices("triu", input)
    return _triu(input, diagonal=checked_int("triu", "diagonal", diagonal))


# --- diagonals ------------------------------------------------------------------------------------------------


def diagonal_places(count: int, offset: int) -> tuple[Array, Array]:
    """The rows and columns of `count` elements of a diagonal: (i, i + offset), from the first row or column on."""
    steps = np.arange(count)
    return steps + max(-offset, 0), steps + max(offset, 0)


@op(is_view=True, saves="")
def _diagonal(x: Array, *, offset: int, dim1: int, dim2: int) -> Array:
    return np.diagonal(x, offset, dim1, dim2)


@op(saves="")
def _with_diagonal(g: Array, *, offset: int, dim1: int, dim2: int, shape: tuple[int, ...]) -> Array:
    """Zeros of `shape`, with the last dimension of `g` along a diagonal of the dimensions `dim1` and `dim2`."""
    out = np.zeros(shape, g.dtype)
    matrices = np.moveaxis(out, (dim1, dim2), (-2, -1))
    rows, columns = diagonal_places(g.shape[-1], offset)
    matrices[..., rows, columns] = g
    return out


_diagonal.defvjp(
    lambda g, out, x, offset, dim1, dim2: _with_diagonal(g, offset=offset, dim1=dim1, dim2=dim2, shape=x.shape)
)
_with_diagonal.defvjp(lambda gg, out, g, offset, dim1, dim2, shape: _diagonal(gg, offset=offset, dim1=dim1, dim2=dim2))


def matrix_dims(name: str, dim1: int, dim2: int, ndim: int) -> tuple[int, int]:
    """The two dimensions of the matrices, counted from the front.

    Raises:
        DimError: for a dim out of range, or twice the same.
    """
    rows, columns = checked_dim(name, dim1, ndim), checked_dim(name, dim2, ndim)
    if rows == columns:
        raise DimError(f"{name}: dim1 and dim2 must differ, got {dim1} and {dim2} of {ndim} dimensions")
    return rows, columns


@method
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal (i, i + offset) of the matrices that dimensions `dim1` and `dim2` form, as a new last dimension.

    Raises:
        DimError: for a dim out of range, or twice the same.
    """
    rows, columns = matrix_dims("diagonal", dim1, dim2, input.ndim)
    return _diagonal(input, offset=checked_int("diagonal", "offset", offset), dim1=rows, dim2=columns)


def _embedded(name: str, input: Tensor, offset: Any, dim1: int, dim2: int) -> Any:
    rows, columns = matrix_dims(name, dim1, dim2, input.ndim + 1)
    shift = checked_int(name, "offset", offset)
    size = input.shape[-1] + abs(shift)
    shape = list(input.shape[:-1])
    for dim in sorted((rows, columns)):
        shape.insert(dim, size)
    return _with_diagonal(input, offset=shift, dim1=rows, dim2=columns, shape=tuple(shape))


@method
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Square matrices with the last dimension along their diagonal (i, i + offset) and zeros elsewhere.

    `dim1` and `dim2` are the dimensions of the result that hold the rows and columns.

    Raises:
        DimError: for a dim out of range, or twice the same; for a 0-dim tensor.
    """
    if not input.ndim:
        raise DimError("diag_embed: a 0-dim tensor has no dimension to put on a diagonal; write x.reshape(1)")
    return _embedded("diag_embed", input, offset, dim1, dim2)


@method
def diag(input: Tensor, diagonal: int = 0) -> Any:
    """Of a vector, the square matrix with it on a diagonal; of a matrix, a copy of that diagonal.

    Raises:
        ShapeError: for other than 1 or 2 dimensions; write diagonal or diag_embed.
    """
    if input.ndim == 1:
        return _embedded("diag", input, diagonal, 0, 1)
    if input.ndim != 2:
        raise ShapeError(f"diag: needs 1 or 2 dimensions, got shape {input.shape}; write diagonal or diag_embed")
    return _diagonal(input, offset=checked_int("diag", "diagonal", diagonal), dim1=0, dim2=1).clone()


@method
def diagflat(input: Tensor, offset: int = 0) -> Any:
    """The square matrix with all elements of `input`, in C order, on a diagonal."""
    return _embedded("diagflat", input.reshape(-1), offset, 0, 1)
