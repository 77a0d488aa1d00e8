"""Batches of a data set."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..creation import Generator
from ..errors import ArgumentError, ArgumentTypeError
from ..tensor import Tensor
from .collate import default_collate, default_convert
from .dataset import IterableDataset, Subset, TensorDataset, length, samples
from .sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["DataLoader"]

_FIXED = frozenset({"batch_size", "batch_sampler", "sampler", "drop_last", "dataset"})


class DataLoader:
    """Each pass over a loader gives the data set once, in batches.

    Args:
        dataset: a Dataset, or anything with `[index]` and a length; or an IterableDataset, read in its own order.
        batch_size: samples in a batch; None gives samples, not batches.
        shuffle: a new random order in each pass.
        sampler: the indices in the order they are read.
        batch_sampler: lists of indices, one for each batch.
        collate_fn: makes a batch of a list of samples (`default_collate`), or if there are no batches converts each
            sample (`default_convert`).
        drop_last: leave out a last batch that is not full.
        generator: where random orders come from; the same seed gives the same batches. The order of a pass is drawn
            when it begins, so a pass that is broken off changes nothing for those that follow.

    The other parameters have the meaning of torch.utils.data.DataLoader and cannot be used: samples are read in this
    process. A TensorDataset, or a Subset of one, is indexed once for a whole batch instead of once for each sample.

    Raises:
        ArgumentError: a batch size that is not an integer > 0, or options that exclude each other.
        NotImplementedError: an option for worker processes or devices.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Sequence[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _refuse(
            num_workers=num_workers, pin_memory=pin_memory, timeout=timeout, worker_init_fn=worker_init_fn,
            multiprocessing_context=multiprocessing_context, prefetch_factor=prefetch_factor,
            persistent_workers=persistent_workers, pin_memory_device=pin_memory_device,
        )  # fmt: skip
        _check_types(generator, sampler, batch_sampler)
        if isinstance(dataset, IterableDataset):
            if shuffle or sampler is not None or batch_sampler is not None:
                raise ArgumentError(
                    "DataLoader: an IterableDataset says the order, so shuffle, sampler and batch_sampler must be "
                    "left out"
                )
            sampler = dataset  # which gives samples where others give their indices
        if sampler is not None and shuffle:
            raise ArgumentError("DataLoader: a sampler says the order, so shuffle must be left out")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ArgumentError(
                    "DataLoader: a batch_sampler makes the batches, so batch_size, shuffle, sampler and drop_last must "
                    "be left out"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ArgumentError("DataLoader: with batch_size=None there is no last batch; leave out drop_last")
        if sampler is None:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        convert = default_convert if batch_sampler is None else default_collate
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        self.collate_fn = convert if collate_fn is None else collate_fn
        self._initialized = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _FIXED and "_initialized" in vars(self):
            raise ArgumentError(f"DataLoader: {name} cannot be changed; make a new DataLoader")
        super().__setattr__(name, value)

    def __iter__(self) -> Iterator[Any]:
        return map(self._reader(), iter(self._order()))

    def __len__(self) -> int:
        return length("DataLoader", self._order())

    def _order(self) -> Iterable[Any]:
        """What a pass goes through: indices or lists of them; of an IterableDataset, samples or lists of them."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def _reader(self) -> Callable[[Any], Any]:
        """What makes of each of these what the loader gives."""
        dataset, collate = self.dataset, self.collate_fn
        if isinstance(dataset, IterableDataset):
            return collate
        if self.batch_sampler is None:
            return lambda index: collate(dataset[index])
        whole = _whole_batches(dataset) if collate is default_collate else None
        return whole or (lambda indices: collate(samples("DataLoader", dataset, indices)))


def _whole_batches(dataset: Any) -> Callable[[Sequence[Any]], list[Tensor]] | None:
    """For a TensorDataset or a Subset of one: what `default_collate` makes of the samples at some indices.

    Each tensor is indexed once, which is many times faster. None for all others, also for subclasses that change how
    samples are read.
    """
    kind = type(dataset)
    if isinstance(dataset, TensorDataset):
        if kind.__getitem__ is not TensorDataset.__getitem__ or hasattr(dataset, "__getitems__"):
            return None
        return lambda indices: _rows(dataset.tensors, indices)
    if isinstance(dataset, Subset):
        if kind.__getitem__ is not Subset.__getitem__ or kind.__getitems__ is not Subset.__getitems__:
            return None
        read = _whole_batches(dataset.dataset)
        return None if read is None else lambda indices: read([dataset.indices[i] for i in indices])
    return None


def _rows(tensors: Sequence[Tensor], indices: Sequence[Any]) -> list[Tensor]:
    """These rows of each tensor."""
    try:
        rows = [operator.index(i) for i in indices]
    except TypeError:
        raise ArgumentTypeError(f"DataLoader: indices must be integers, got {indices}") from None
    return [tensor[rows] for tensor in tensors]


def _refuse(**options: Any) -> None:
    """Raise NotImplementedError for an option that is set."""
    for name, value in options.items():
        if value:
            raise NotImplementedError(
                f"DataLoader: {name}={value!r} is not supported, samples are read in this process; leave it out"
            )


def _check_types(generator: Any, sampler: Any, batch_sampler: Any) -> None:
    if generator is not None and not isinstance(generator, Generator):
        raise ArgumentTypeError(f"DataLoader: generator must be a minigrad.Generator, got {type(generator).__name__}")
    for name, order in {"sampler": sampler, "batch_sampler": batch_sampler}.items():
        if not (order is None or hasattr(order, "__iter__") or hasattr(order, "__getitem__")):
            raise ArgumentTypeError(f"DataLoader: {name} must be a Sampler or a list, got {type(order).__name__}")
