"""The order in which a data set is read. Orders are drawn whole when a pass begins, so a pass can be broken off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic, TypeVar

import numpy as np

from ..creation import Generator, multinomial, randint, randperm
from ..errors import ArgumentError, ArgumentTypeError, MinigradError
from ..ops import cat
from ..tensor import Tensor, tensor
from .dataset import length

__all__ = [
    "BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler", "WeightedRandomSampler",
]  # fmt: skip

Index = TypeVar("Index", covariant=True)


class Sampler(Generic[Index]):
    """Base class: subclasses define `__iter__()` over indices, or over lists of indices, and usually `len(sampler)`."""

    def __iter__(self) -> Iterator[Index]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__()")


class SequentialSampler(Sampler[int]):
    """0, 1, ... in order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return length("SequentialSampler", self.data_source)


class RandomSampler(Sampler[int]):
    """All indices in random order, or with `replacement` each drawn from all.

    `num_samples` stops after so many; without replacement, each index comes once before any comes twice.

    Raises:
        ArgumentTypeError: `replacement` is not a bool, or the data source has no length.
        ArgumentError: `num_samples`, or the length it stands for, is not an integer > 0.
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise ArgumentTypeError(f"RandomSampler: replacement must be True or False, got {replacement!r}")
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        _check_count("RandomSampler", num_samples=self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many indices there are in a pass; the data source may have grown."""
        return length("RandomSampler", self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, count = length("RandomSampler", self.data_source), self.num_samples
        if self.replacement:
            return iter(randint(n, (count,), generator=self.generator).tolist())
        passes = -(-count // n)
        order = cat([randperm(n, generator=self.generator) for _ in range(passes)])
        return iter(order[:count].tolist())

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        order = randperm(len(self), generator=self.generator).tolist()
        return iter([self.indices[i] for i in order])

    def __len__(self) -> int:
        return length("SubsetRandomSampler", self.indices)


class WeightedRandomSampler(Sampler[int]):
    """`num_samples` of the indices of `weights`, drawn with probabilities proportional to them.

    Raises:
        ArgumentError: weights that are not one list of numbers; `num_samples` is not an integer > 0; and when an order
            is drawn, weights that are not finite, negative or all 0, or too few without `replacement`.
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _check_count("WeightedRandomSampler", num_samples=num_samples)
        _check_bool("WeightedRandomSampler", replacement=replacement)
        self.weights = _numbers("WeightedRandomSampler", weights)
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator
        if self.weights.ndim != 1:
            raise ArgumentError(f"WeightedRandomSampler: weights must be one list, got shape {self.weights.shape}")

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        return iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """The indices of another sampler in lists of `batch_size`; the last list holds the rest, unless `drop_last`.

    Raises:
        ArgumentError: `batch_size` is not an integer > 0, or `drop_last` not a bool.
    """

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        _check_count("BatchSampler", batch_size=batch_size)
        _check_bool("BatchSampler", drop_last=drop_last)
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        return self._batches(iter(self.sampler))  # not iter() in the generator, which would wait for the first batch

    def _batches(self, indices: Iterator[int]) -> Iterator[list[int]]:
        while batch := list(islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        indices = length("BatchSampler", self.sampler)
        return indices // self.batch_size if self.drop_last else -(-indices // self.batch_size)


def _numbers(name: str, weights: Any) -> Tensor:
    try:
        return tensor(weights, dtype=np.float64)
    except MinigradError as error:
        raise ArgumentError(f"{name}: weights must be a list of numbers: {error}") from None


def _check_count(name: str, **option: Any) -> None:
    ((argument, value),) = option.items()
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ArgumentError(f"{name}: {argument} must be an integer > 0, got {value!r}")


def _check_bool(name: str, **option: Any) -> None:
    ((argument, value),) = option.items()
    if not isinstance(value, bool):
        raise ArgumentError(f"{name}: {argument} must be True or False, got {value!r}")
