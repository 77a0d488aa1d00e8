"""Rows of a table, by their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import Array
from ...errors import ArgumentError, DimError, DtypeError, ShapeError
from ...ops import one_hot
from ...ops.arithmetic import _where
from ...ops.shape import checked_int
from ...primitive import op
from ...tensor import Tensor, from_array
from .arguments import need_tensors

__all__ = ["embedding", "embedding_bag", "one_hot"]

# --- reading rows, and its adjoint ------------------------------------------------------------------------------------


@op(saves="")
def _rows(table: Array, *, indices: Array, padding_idx: int) -> Array:
    return table[indices]


@op(saves="")
def _add_rows(rows: Array, *, indices: Array, count: int) -> Array:
    """A table of `count` rows, each the sum of the `rows` whose index it is."""
    width = rows.shape[indices.ndim :]
    table = np.zeros((count, *width), rows.dtype)
    if indices.size:
        # Sorted, the rows of one index lie together; np.add.at takes them one by one and is many times slower.
        order = np.argsort(indices, axis=None, kind="stable")
        in_order = indices.reshape(-1)[order]
        starts = np.flatnonzero(np.diff(in_order, prepend=-1))
        table[in_order[starts]] = np.add.reduceat(rows.reshape(indices.size, *width)[order], starts, axis=0)
    return table


def _rows_vjp(g: Any, out: Any, table: Any, indices: Array, padding_idx: int) -> Any:
    padding = (indices == padding_idx)[..., None]
    return _add_rows(_where(0.0, g, condition=padding), indices=indices, count=table.shape[0])


_rows.defvjp(_rows_vjp)
_add_rows.defvjp(lambda g, out, rows, indices, count: _rows(g, indices=indices, padding_idx=NO_PADDING))

NO_PADDING = -1  # an index that no row has


def checked_padding(name: str, padding_idx: int | None, rows: int) -> int:
    """A row that gets no gradient, counted from the front.

    Raises:
        ArgumentError: if there is no such row.
    """
    if padding_idx is None:
        return NO_PADDING
    padding_idx = checked_int(name, "padding_idx", padding_idx)
    if not -rows <= padding_idx < rows:
        raise ArgumentError(
            f"{name}: padding_idx must name one of the {rows} rows, {-rows} to {rows - 1}, got {padding_idx}"
        )
    return padding_idx % rows


def refuse_options(name: str, max_norm: float | None, scale_grad_by_freq: bool, sparse: bool) -> None:
    """Raise NotImplementedError for the options that are not supported."""
    if max_norm is not None:
        raise NotImplementedError(
            f"{name}: max_norm={max_norm} is not supported, it would change the weight during forward; normalise the "
            "weight after each step, under no_grad()"
        )
    if scale_grad_by_freq:
        raise NotImplementedError(f"{name}: scale_grad_by_freq=True is not supported; leave it out")
    if sparse:
        raise NotImplementedError(f"{name}: sparse=True is not supported, all gradients are dense; leave it out")


def _checked_indices(name: str, input: Any, weight: Any) -> Array:
    """The indices, copied for the tape, after a check of them and of the table."""
    need_tensors(name, input=input, weight=weight)
    if weight.ndim != 2:
        raise ShapeError(f"{name}: weight must be (num_embeddings, embedding_dim), got shape {weight.shape}")
    array = input._array
    if array.dtype not in (np.int32, np.int64):
        raise DtypeError(
            f"{name}: input holds indices and must be int64 or int32, got {array.dtype}; write input.long()"
        )
    rows = weight.shape[0]
    if array.size and not (array.min() >= 0 and array.max() < rows):
        raise DimError(f"{name}: indices must lie in 0 to {rows - 1}, got {array.min()} to {array.max()}")
    return array.astype(np.int64)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of `weight` (num_embeddings, embedding_dim) with the numbers in `input` (...): (..., embedding_dim).

    The row `padding_idx` is read like any other, but gets no gradient. `norm_type` belongs to `max_norm`.

    Raises:
        DimError: for an index outside 0 to num_embeddings - 1.
        DtypeError: for indices that are not int64 or int32.
        ShapeError: if the weight is not a matrix.
        ArgumentError: for a padding_idx that is no row.
        NotImplementedError: for max_norm, scale_grad_by_freq=True and sparse=True.
    """
    refuse_options("embedding", max_norm, scale_grad_by_freq, sparse)
    indices = _checked_indices("embedding", input, weight)
    return _rows(weight, indices=indices, padding_idx=checked_padding("embedding", padding_idx, weight.shape[0]))


# --- bags of rows -----------------------------------------------------------------------------------------------------


def checked_mode(name: str, mode: str) -> None:
    """Raise ArgumentError for a mode that bags do not have."""
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError(f"{name}: mode must be 'sum', 'mean' or 'max', got {mode!r}")


def _bag_lengths(input: Tensor, offsets: Any, include_last_offset: bool) -> Array:
    """How many indices each bag holds: the rows of a matrix are bags, and in a vector they start at the offsets."""
    if input.ndim == 2:
        if offsets is not None:
            raise ArgumentError("embedding_bag: each row of a 2-dim input is a bag, so offsets must be left out")
        return np.full(input.shape[0], input.shape[1])
    if input.ndim != 1:
        raise ShapeError(f"embedding_bag: input must be a vector or a matrix of indices, got shape {input.shape}")
    if offsets is None:
        raise ArgumentError("embedding_bag: a 1-dim input needs offsets, where each bag starts; got None")
    need_tensors("embedding_bag", offsets=offsets)
    if offsets.ndim != 1 or offsets.dtype.kind != "i":
        raise ShapeError(f"embedding_bag: offsets must be a vector of integers, got {offsets.shape} {offsets.dtype}")
    edges = offsets._array if include_last_offset else np.append(offsets._array, input.shape[0])
    lengths = np.diff(edges)
    if not edges.size or edges[0] != 0 or edges[-1] != input.shape[0] or (lengths < 0).any():
        raise ArgumentError(
            f"embedding_bag: offsets must start at 0 and grow to at most {input.shape[0]}, the length of the input "
            f"(to exactly that with include_last_offset), got {offsets.tolist()}"
        )
    return lengths


def _largest(rows: Any, bags: Array, count: int) -> Any:
    """The largest value in each column of each bag, of its first row in a tie; 0 for an empty bag."""
    if not rows.shape[0]:
        return _add_rows(rows, indices=bags, count=count)
    starts, ends = (np.searchsorted(bags, np.arange(count), side) for side in ("left", "right"))
    winners = np.zeros((count, rows.shape[1]), np.int64)
    for bag in np.flatnonzero(starts < ends):
        winners[bag] = starts[bag] + rows._array[starts[bag] : ends[bag]].argmax(0)
    found = rows.take_along_dim(from_array(winners), 0)
    return _where(0.0, found, condition=(starts == ends)[:, None])


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """The sum, mean or maximum (`mode`) over each bag of `embedding(input, weight)`: (bags, embedding_dim).

    Args:
        input: indices: a matrix, whose rows are bags, or a vector of all bags, one after the other.
        weight: the table, (num_embeddings, embedding_dim).
        offsets: for a vector, where each bag starts; with `include_last_offset`, also where the last one ends.
        per_sample_weights: factors of the rows, of the shape of the input; for mode="sum" only.
        padding_idx: the number of a row that is left out of all bags.

    A bag without rows gives zeros. `norm_type` belongs to `max_norm`.

    Raises:
        DimError: for an index outside 0 to num_embeddings - 1.
        DtypeError: for indices that are not int64 or int32, or weights of another dtype than the table.
        ShapeError: for other numbers of dimensions, or per_sample_weights of another shape than the input.
        ArgumentError: for another mode, offsets that do not fit, or a padding_idx that is no row.
        NotImplementedError: for max_norm, scale_grad_by_freq=True, sparse=True, and for per_sample_weights with another
            mode than "sum", as in PyTorch.
    """
    checked_mode("embedding_bag", mode)
    refuse_options("embedding_bag", max_norm, scale_grad_by_freq, sparse)
    indices = _checked_indices("embedding_bag", input, weight).reshape(-1)
    lengths = _bag_lengths(input, offsets, include_last_offset)
    count = len(lengths)
    used = np.flatnonzero(indices != checked_padding("embedding_bag", padding_idx, weight.shape[0]))
    bags = np.repeat(np.arange(count), lengths)[used]
    rows = _rows(weight, indices=indices[used], padding_idx=NO_PADDING)
    if per_sample_weights is not None:
        _check_factors(per_sample_weights, input, weight, mode)
        rows = rows * _rows(per_sample_weights.reshape(-1, 1), indices=used, padding_idx=NO_PADDING)
    if mode == "max":
        return _largest(rows, bags, count)
    total = _add_rows(rows, indices=bags, count=count)
    if mode == "sum":
        return total
    return total / from_array(np.maximum(np.bincount(bags, minlength=count), 1).astype(weight.dtype)[:, None])


def _check_factors(per_sample_weights: Any, input: Tensor, weight: Tensor, mode: str) -> None:
    if mode != "sum":
        raise NotImplementedError(f"embedding_bag: per_sample_weights are for mode='sum' only, got mode={mode!r}")
    need_tensors("embedding_bag", per_sample_weights=per_sample_weights)
    if per_sample_weights.shape != input.shape:
        raise ShapeError(
            f"embedding_bag: per_sample_weights must have the shape of the input {input.shape}, got "
            f"{per_sample_weights.shape}"
        )
    if per_sample_weights.dtype != weight.dtype:
        raise DtypeError(
            f"embedding_bag: per_sample_weights and weight must have one dtype, got {per_sample_weights.dtype} and "
            f"{weight.dtype}; convert one with .to(dtype)"
        )
