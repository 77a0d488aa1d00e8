"""Batches of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ..creation import Generator
from ..errors import ArgumentError, ArgumentTypeError
from .collate import default_collate, default_convert
from .dataset import IterableDataset, length
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
        if generator is not None and not isinstance(generator, Generator):
            raise ArgumentTypeError(
                f"DataLoader: generator must be a minigrad.Generator, got {type(generator).__name__}"
            )
        if isinstance(dataset, IterableDataset):
            _need_default("an IterableDataset is read in its own order", shuffle, sampler, batch_sampler)
        elif sampler is not None and shuffle:
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
        if sampler is None and not isinstance(dataset, IterableDataset):
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_size is not None:
            # For a stream it counts, but is not asked for indices.
            batch_sampler = BatchSampler(dataset if sampler is None else sampler, batch_size, drop_last)
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
        return map(self._reader(), self._groups())

    def __len__(self) -> int:
        if self.batch_sampler is not None:
            return length("DataLoader", self.batch_sampler)
        return length("DataLoader", self.dataset if self.sampler is None else self.sampler)
