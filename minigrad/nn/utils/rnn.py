"""Sequences of different lengths in one tensor, with padding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...creation import full
from ...errors import ArgumentError, ArgumentTypeError, ShapeError
from ...ops import cat, stack
from ...tensor import Tensor, as_tensor

__all__ = ["pad_sequence", "unpad_sequence"]


def pad_sequence(
    sequences: Iterable[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """N sequences (L_i, *) as one tensor (T, N, *), or (N, T, *) with `batch_first`, where T is the longest length.

    Raises:
        ArgumentError: for no sequences, or an unknown side.
        ShapeError: if sizes other than the length differ, or a sequence has no length.
    """
    if padding_side not in ("right", "left"):
        raise ArgumentError(f"pad_sequence: padding_side must be 'right' or 'left', got {padding_side!r}")
    parts = _sequences(sequences)
    longest = max(len(s) for s in parts)
    padded = []
    for s in parts:
        padding = full((longest - len(s), *s.shape[1:]), padding_value, dtype=s.dtype)
        padded.append(cat([s, padding] if padding_side == "right" else [padding, s]))
    return stack(padded, 0 if batch_first else 1)


def _sequences(sequences: Iterable[Tensor]) -> list[Tensor]:
    try:
        parts = list(sequences)
    except TypeError:
        raise ArgumentTypeError(
            f"pad_sequence: sequences must be a list of Tensors, got {type(sequences).__name__}"
        ) from None
    if not parts:
        raise ArgumentError("pad_sequence: expected at least one sequence, got an empty list")
    for s in parts:
        if not isinstance(s, Tensor):
            raise ArgumentTypeError(f"pad_sequence: every sequence must be a Tensor, got {type(s).__name__}")
        if not s.ndim or s.shape[1:] != parts[0].shape[1:]:
            raise ShapeError(
                "pad_sequence: sequences must be (L, *) with equal sizes after the length, got "
                f"{[q.shape for q in parts]}"
            )
    return parts


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The sequences (L_i, *) of a tensor that was padded on the right: the inverse of `pad_sequence`.

    Raises:
        ShapeError: if there is not one length for each sequence.
    """
    if not isinstance(padded_sequences, Tensor):
        raise ArgumentTypeError(
            f"unpad_sequence: padded_sequences must be a Tensor, got {type(padded_sequences).__name__}"
        )
    if padded_sequences.ndim < 2:
        raise ShapeError(f"unpad_sequence: expected (T, N, *) or (N, T, *), got shape {padded_sequences.shape}")
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    counts = as_tensor(lengths).tolist()
    if not isinstance(counts, list) or len(counts) != len(rows):
        raise ShapeError(f"unpad_sequence: {len(rows)} sequences need as many lengths, got {counts}")
    return [row[: max(count, 0)] for row, count in zip(rows, counts, strict=True)]
