"""From a list of samples to a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, MinigradError, ShapeError
from ..ops import stack
from ..tensor import Tensor, tensor

__all__ = ["default_collate", "default_convert"]


def default_collate(batch: Sequence[Any]) -> Any:
    """Join samples along a new first dimension, keeping their structure.

    Tensors, NumPy arrays and numbers become one tensor; Python floats become float64, as in PyTorch. Strings stay a
    list. Dictionaries and named tuples keep their type, other tuples become lists, and are joined entry by entry.

    Raises:
        ArgumentError: an empty batch.
        ShapeError: samples that differ in shape, length or keys.
        ArgumentTypeError: samples of another type; pass a collate_fn of your own.
    """
    if not isinstance(batch, Sequence):
        raise ArgumentTypeError(f"default_collate: expected a list of samples, got {type(batch).__name__}")
    if len(batch) == 0:
        raise ArgumentError("default_collate: expected at least one sample, got an empty list")
    first = batch[0]
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, (Mapping, Sequence)):
        return _rebuilt(first, _entries(batch), default_collate)
    return _joined(batch)


def default_convert(data: Any) -> Any:
    """NumPy arrays and numbers become tensors, within dictionaries and sequences too; everything else stays.

    What a loader does to each sample when it makes no batches (batch_size=None).
    """
    if isinstance(data, (np.ndarray, np.number, np.bool_)) and data.dtype.kind in "biuf":
        return tensor(data)
    if isinstance(data, Mapping):
        return _rebuilt(data, dict(data), default_convert)
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuilt(data, list(data), default_convert)
    return data


def _joined(batch: Sequence[Any]) -> Tensor:
    """Tensors, arrays or numbers as one tensor."""
    first = batch[0]
    try:
        if isinstance(first, Tensor):
            return stack(list(batch))
        if isinstance(first, np.ndarray) and first.dtype.kind in "biuf":
            return stack([tensor(array) for array in batch])
        if isinstance(first, (np.number, np.bool_)):
            return tensor(np.array(batch))
        if isinstance(first, float):
            return tensor(batch, dtype=np.float64)
        if isinstance(first, int):
            return tensor(batch)
    except MinigradError as error:
        kinds = sorted({type(sample).__name__ for sample in batch})
        raise type(error)(f"default_collate: samples of type {', '.join(kinds)} do not fit together: {error}") from None
    raise ArgumentTypeError(
        "default_collate: samples must be tensors, NumPy arrays, numbers, strings, dictionaries or sequences, got "
        f"{type(first).__name__}; pass a collate_fn of your own"
    )


def _entries(batch: Sequence[Any]) -> Any:
    """The samples' values by key, or by position, as lists over the batch."""
    first = batch[0]
    if isinstance(first, Mapping):
        if any(not isinstance(sample, Mapping) or not first.keys() <= sample.keys() for sample in batch):
            raise ShapeError(f"default_collate: not all samples have the keys {list(first)}")
        return {key: [sample[key] for sample in batch] for key in first}
    if any(not isinstance(sample, Sequence) or len(sample) != len(first) for sample in batch):
        raise ShapeError(f"default_collate: not all samples are sequences of length {len(first)}, as the first is")
    return list(zip(*batch, strict=True))


def _rebuilt(like: Any, entries: Any, convert: Callable[[Any], Any]) -> Any:
    """A structure as `like`, with the converted entries; as in PyTorch, a plain tuple becomes a list."""
    if isinstance(like, Mapping):
        found = {key: convert(value) for key, value in entries.items()}
        if not isinstance(like, MutableMapping):
            return found
        clone = copy.copy(like)  # which keeps what else the type holds, such as the factory of a defaultdict
        clone.update(found)
        return clone
    converted = [convert(value) for value in entries]
    return type(like)(*converted) if hasattr(like, "_fields") else converted
