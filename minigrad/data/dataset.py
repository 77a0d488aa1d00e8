"""Data sets: by index, as streams, and made of other data sets."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

import numpy as np

from ..creation import Generator, randperm
from ..errors import ArgumentError, ArgumentTypeError, DimError, MinigradError, ShapeError
from ..tensor import Tensor

__all__ = [
    "ChainDataset", "ConcatDataset", "Dataset", "IterableDataset", "StackDataset", "Subset", "TensorDataset",
    "random_split",
]  # fmt: skip

Sample = TypeVar("Sample", covariant=True)


class Dataset(Generic[Sample]):
    """Base class: subclasses define `dataset[index]`, and usually `len(dataset)`.

    A subclass that can read many samples faster together than one by one also defines `__getitems__(indices)`, which
    returns a list of samples.
    """

    def __getitem__(self, index: Any) -> Sample:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__()")

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[Sample], Iterable[Sample]):
    """Base class of streams: subclasses define `__iter__()`, and are read in its order."""

    def __iter__(self) -> Iterator[Sample]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__()")

    def __add__(self, other: Dataset[Any]) -> Dataset[Any]:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample i is (x[i], y[i], ...) for tensors of the same length.

    Raises:
        ArgumentTypeError: something that is not a Tensor.
        ShapeError: no tensors, or tensors of different lengths.
    """

    def __init__(self, *tensors: Tensor) -> None:
        for tensor in tensors:
            if not isinstance(tensor, Tensor):
                raise ArgumentTypeError(
                    f"TensorDataset: expected Tensors, got {type(tensor).__name__}; write minigrad.tensor(x)"
                )
        if not tensors or any(tensor.ndim == 0 or len(tensor) != len(tensors[0]) for tensor in tensors):
            raise ShapeError(
                "TensorDataset: expected tensors that agree in the size of their first dimension, got shapes "
                f"{[tensor.shape for tensor in tensors]}"
            )
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class StackDataset(Dataset[Any]):
    """Sample i is (a[i], b[i], ...) of StackDataset(a, b, ...), or {"x": a[i], ...} of StackDataset(x=a, ...).

    Raises:
        ArgumentError: no data sets, both forms at once, or data sets of different lengths.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) is bool(kwargs):
            raise ArgumentError(
                f"StackDataset: give data sets either by position or by name, got {len(args)} and {len(kwargs)}"
            )
        self.datasets: tuple[Any, ...] | dict[str, Any] = args or kwargs
        lengths = [length("StackDataset", dataset) for dataset in args or kwargs.values()]
        if any(n != lengths[0] for n in lengths):
            raise ArgumentError(f"StackDataset: the data sets differ in length: {lengths}")
        self._length = lengths[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __getitems__(self, indices: Sequence[Any]) -> list[Any]:
        named = isinstance(self.datasets, dict)
        datasets = self.datasets.values() if isinstance(self.datasets, dict) else self.datasets
        rows = list(zip(*(samples("StackDataset", dataset, indices) for dataset in datasets), strict=True))
        return [dict(zip(self.datasets, row, strict=True)) for row in rows] if named else rows

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[Sample]):
    """The samples of the first data set, then those of the second, and so on.

    Raises:
        ArgumentError: no data sets.
        ArgumentTypeError: a stream, which has no indices: write ChainDataset.
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("ConcatDataset: expected at least one data set, got none")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise ArgumentTypeError("ConcatDataset: an IterableDataset has no indices; write ChainDataset")
        self.cumulative_sizes = list(accumulate(length("ConcatDataset", dataset) for dataset in self.datasets))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise DimError(f"ConcatDataset: index {index} is out of range for {len(self)} samples")
        index %= len(self)
        part = bisect_right(self.cumulative_sizes, index)
        start = self.cumulative_sizes[part - 1] if part else 0
        return self.datasets[part][index - start]


class ChainDataset(IterableDataset[Sample]):
    """The samples of the first stream, then those of the second, and so on.

    Raises:
        ArgumentTypeError: when it is read, for something that is not an IterableDataset.
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def _streams(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise ArgumentTypeError(f"ChainDataset: expected IterableDatasets, got {type(dataset).__name__}")
            yield dataset

    def __iter__(self) -> Iterator[Sample]:
        for dataset in self._streams():
            yield from dataset

    def __len__(self) -> int:
        return sum(length("ChainDataset", dataset) for dataset in self._streams())


class Subset(Dataset[Sample]):
    """Sample i is dataset[indices[i]]. A subclass that changes `__getitem__` must change `__getitems__`, too.

    Raises:
        NotImplementedError: a subclass changes only `__getitem__`: loaders would not call it.
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        kind = type(self)
        if kind.__getitem__ is not Subset.__getitem__ and kind.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{kind.__name__} defines __getitem__ but not __getitems__, which loaders call; add\n"
                "    def __getitems__(self, indices):\n"
                "        return [self[i] for i in indices]"
            )
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Sample:
        if isinstance(index, list):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        return samples("Subset", self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset[Any]]:
    """Split a data set at random into subsets of the given lengths, or fractions that sum to 1.

    Fractions of the number of samples are rounded down, and what is left is dealt out one by one from the first on.

    Raises:
        ArgumentError: negative lengths, or lengths that do not sum to the number of samples, or fractions to 1.
    """
    size = length("random_split", dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        counts = _counts_of_fractions(size, lengths)
    elif all(isinstance(n, (int, np.integer)) for n in lengths):
        counts = [int(n) for n in lengths]
    else:
        raise ArgumentError(f"random_split: lengths must be integers, or fractions that sum to 1, got {lengths}")
    if any(n < 0 for n in counts) or sum(counts) != size:
        raise ArgumentError(f"random_split: lengths must be >= 0 and sum to the {size} samples, got {lengths}")
    order = randperm(size, generator=generator).tolist()
    return [Subset(dataset, order[end - n : end]) for end, n in zip(accumulate(counts), counts, strict=True)]


def _counts_of_fractions(size: int, fractions: Sequence[float]) -> list[int]:
    if any(fraction < 0 for fraction in fractions):
        raise ArgumentError(f"random_split: fractions must be >= 0, got {fractions}")
    counts = [math.floor(size * fraction) for fraction in fractions]
    for i in range(size - sum(counts)):
        counts[i % len(counts)] += 1
    if 0 in counts:
        warnings.warn(f"random_split: of {size} samples one part has none: {counts}", UserWarning, stacklevel=3)
    return counts


def length(name: str, dataset: Any) -> int:
    """The number of samples.

    Raises:
        ArgumentTypeError: if the data set does not tell.
    """
    try:
        return len(dataset)
    except MinigradError:  # from within: it names what is at fault
        raise
    except TypeError:
        raise ArgumentTypeError(
            f"{name}: needs the number of samples, but {type(dataset).__name__} does not define __len__()"
        ) from None


def samples(name: str, dataset: Any, indices: Sequence[Any]) -> list[Any]:
    """The samples at `indices`, read together if the data set can do so.

    Raises:
        ArgumentError: if the data set returns another number of samples.
    """
    if getattr(dataset, "__getitems__", None) is None:
        return [dataset[i] for i in indices]
    found = dataset.__getitems__(indices)
    if len(found) != len(indices):
        raise ArgumentError(
            f"{name}: {type(dataset).__name__}.__getitems__() returned {len(found)} samples for {len(indices)} indices"
        )
    return found
