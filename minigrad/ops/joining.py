"""Joining tensors into one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..dtypes import Array, result_type
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor
from .shape import checked_dim, need_tensors, unsqueeze

__all__: list[str] = [
    "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "cat", "column_stack", "concat", "concatenate", "dstack",
    "hstack", "row_stack", "stack", "vstack",
]  # fmt: skip

# --- along an existing dimension ------------------------------------------------------------------------------


@op(saves="")
def _cat(*tensors: Array, dim: int) -> Array:
    return np.concatenate(tensors, axis=dim)


def _cat_vjp(g: Any, out: Any, *tensors: Any, dim: int) -> tuple[Any, ...]:
    sizes = [t.shape[dim] for t in tensors]
    ends = np.cumsum(sizes).tolist()
    parts = [(slice(None),) * dim + (slice(end - size, end),) for size, end in zip(sizes, ends, strict=True)]
    return tuple(g[part] for part in parts)


_cat.defvjp(joint=_cat_vjp)


def _tensors(name: str, tensors: Any) -> list[Tensor]:
    """The tensors of a list or tuple, in their common dtype."""
    if not isinstance(tensors, (tuple, list)):
        raise ArgumentTypeError(
            f"{name}: tensors must be a list or tuple of Tensors, got {type(tensors).__name__}; write {name}([x, y])"
        )
    if not tensors:
        raise ArgumentError(f"{name}: expected at least one tensor, got an empty list")
    need_tensors(name, *tensors)
    dtype = result_type([(t.dtype, "dims") for t in tensors])
    return [t.to(dtype) for t in tensors]


def _joined(name: str, tensors: Any, dim: int) -> Any:
    parts = _tensors(name, tensors)
    if any(p.ndim == 0 for p in parts):
        raise ShapeError(f"{name}: 0-dim tensors cannot be joined; write stack")
    first = next((p for p in parts if p.shape != (0,)), parts[0])
    # PyTorch lets the empty tensor of shape (0,) be joined with anything, along any dimension.
    axis = 0 if first.shape == (0,) else checked_dim(name, dim, first.ndim)
    around = first.shape[:axis], first.shape[axis + 1 :]
    parts = [p.reshape(*around[0], 0, *around[1]) if p.shape == (0,) else p for p in parts]
    if any((p.shape[:axis], p.shape[axis + 1 :]) != around or p.ndim != first.ndim for p in parts):
        raise ShapeError(f"{name}: shapes {[p.shape for p in parts]} differ in more than dim {axis}")
    return _cat(*parts, dim=axis)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Join tensors along an existing dimension; their other sizes are equal.

    Raises:
        ArgumentError: for an empty list.
        ShapeError: if other sizes differ.
    """
    return _joined("cat", tensors, dim)


def concat(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """`cat` under another name."""
    return _joined("concat", tensors, dim)


def concatenate(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """`cat` under the name that NumPy gives it."""
    return _joined("concatenate", tensors, dim)


# --- along a new dimension ------------------------------------------------------------------------------------


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """Join tensors of one shape along a new dimension.

    Raises:
        ArgumentError: for an empty list.
        ShapeError: if the shapes differ.
    """
    parts = _tensors("stack", tensors)
    if any(p.shape != parts[0].shape for p in parts):
        raise ShapeError(f"stack: all tensors must have one shape, got {[p.shape for p in parts]}")
    axis = checked_dim("stack", dim, parts[0].ndim, new=True)
    return _cat(*[unsqueeze(p, axis) for p in parts], dim=axis)


# --- as columns, rows and layers ------------------------------------------------------------------------------


def _each_at_least(name: str, tensors: tuple[Any, ...], one: Any) -> Any:
    """`one` of the only tensor, or of each in a tuple; a single list or tuple of tensors counts as several."""
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return one(tensors[0])
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    need_tensors(name, *tensors)
    return tuple(one(t) for t in tensors)


def _at_least_3d(x: Tensor) -> Any:
    return x.unsqueeze(-1) if x.ndim == 2 else x.reshape(1, -1, 1) if x.ndim < 2 else x


def atleast_1d(*tensors: Any) -> Any:
    """A 0-dim tensor with shape (1,), others as they are; of several tensors, a tuple."""
    return _each_at_least("atleast_1d", tensors, lambda x: x if x.ndim else x.reshape(1))


def atleast_2d(*tensors: Any) -> Any:
    """Shapes () and (n,) as (1, 1) and (1, n), others as they are; of several tensors, a tuple."""
    return _each_at_least("atleast_2d", tensors, lambda x: x if x.ndim >= 2 else x.reshape(1, -1))


def atleast_3d(*tensors: Any) -> Any:
    """Shapes (), (n,) and (m, n) as (1, 1, 1), (1, n, 1) and (m, n, 1), others as they are; of several, a tuple."""
    return _each_at_least("atleast_3d", tensors, _at_least_3d)


def hstack(tensors: Sequence[Tensor]) -> Any:
    """Join side by side: along dim 1, or vectors and 0-dim tensors along dim 0.

    Raises:
        ArgumentError: for an empty list.
        ShapeError: if other sizes differ.
    """
    parts = [atleast_1d(t) for t in _tensors("hstack", tensors)]
    return _joined("hstack", parts, 0 if parts[0].ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Any:
    """Join one above the other: along dim 0, where vectors are rows.

    Raises:
        ArgumentError: for an empty list.
        ShapeError: if other sizes differ.
    """
    return _joined("vstack", [atleast_2d(t) for t in _tensors("vstack", tensors)], 0)


def row_stack(tensors: Sequence[Tensor]) -> Any:
    """`vstack` under another name."""
    return _joined("row_stack", [atleast_2d(t) for t in _tensors("row_stack", tensors)], 0)


def dstack(tensors: Sequence[Tensor]) -> Any:
    """Join one behind the other: along dim 2, where matrices (m, n) count as (m, n, 1) and vectors as (1, n, 1).

    Raises:
        ArgumentError: for an empty list.
        ShapeError: if other sizes differ.
    """
    return _joined("dstack", [atleast_3d(t) for t in _tensors("dstack", tensors)], 2)


def column_stack(tensors: Sequence[Tensor]) -> Any:
    """Join side by side, where vectors are columns.

    Raises:
        ArgumentError: for an empty list.
        ShapeError: if other sizes differ.
    """
    parts = _tensors("column_stack", tensors)
    return _joined("column_stack", [p.reshape(-1, 1) if p.ndim < 2 else p for p in parts], 1)


# --- as blocks ------------------------------------------------------------------------------------------------


def _block_parts(blocks: Iterable[Any]) -> list[tuple[slice, slice]]:
    """Where in the result each block lies."""
    parts, row, column = [], 0, 0
    for block in blocks:
        height, width = block.shape
        parts.append((slice(row, row + height), slice(column, column + width)))
        row, column = row + height, column + width
    return parts


@op(saves="")
def _block_diag(*blocks: Array) -> Array:
    out = np.zeros(np.add.reduce([b.shape for b in blocks]), blocks[0].dtype)
    for block, part in zip(blocks, _block_parts(blocks), strict=True):
        out[part] = block
    return out


_block_diag.defvjp(joint=lambda g, out, *blocks: tuple(g[part] for part in _block_parts(blocks)))


def block_diag(*tensors: Tensor) -> Any:
    """A matrix with the given matrices along its diagonal and zeros elsewhere; vectors count as rows.

    Raises:
        ShapeError: for a tensor with more than two dimensions.
    """
    blocks = [atleast_2d(t) for t in _tensors("block_diag", tensors)]
    for b in blocks:
        if b.ndim > 2:
            raise ShapeError(f"block_diag: blocks have at most 2 dimensions, got shape {b.shape}")
    return _block_diag(*blocks)
