"""Mistakes in the use of data sets, samplers and loaders: our errors name them, where PyTorch raises too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_data_loader import Squares, library, stream

from minigrad import errors

# (what, our message, whether PyTorch raises)
MISTAKES: dict[str, tuple[Callable[[Any, Any], Any], str, bool]] = {
    "lengths": (
        lambda m, d: d.TensorDataset(m.ones(2), m.ones(3)),
        r"TensorDataset: .* got shapes \[\(2,\), \(3,\)\]",
        True,
    ),
    "no dimension": (lambda m, d: d.TensorDataset(m.tensor(1.0)), r"TensorDataset: .* got shapes \[\(\)\]", True),
    "no tensors": (lambda m, d: len(d.TensorDataset()), r"TensorDataset: .* got shapes \[\]", True),
    "arrays": (lambda m, d: d.TensorDataset(np.ones(2)), "TensorDataset: expected Tensors, got ndarray", True),
    "index": (lambda m, d: d.TensorDataset(m.ones(2))[2], "index 2 is out of bounds", True),
    "nothing to stack": (lambda m, d: d.StackDataset(), "StackDataset: .* got 0 and 0", True),
    "stacked twice": (lambda m, d: d.StackDataset([1], a=[2]), "StackDataset: give .* by position or by name", True),
    "stacked lengths": (lambda m, d: d.StackDataset([1], [2, 3]), r"StackDataset: .* differ in length: \[1, 2\]", True),
    "too few at once": (
        lambda m, d: d.StackDataset(type("T", (Squares,), {"__getitems__": lambda s, i: []})(3)).__getitems__([1]),
        r"StackDataset: T.__getitems__\(\) returned 0 samples for 1 indices",
        True,
    ),
    "nothing to join": (lambda m, d: d.ConcatDataset([]), "ConcatDataset: expected at least one data set", True),
    "stream joined": (lambda m, d: d.ConcatDataset([stream(d, 1)]), "ConcatDataset: .* write ChainDataset", True),
    "joined index": (lambda m, d: d.ConcatDataset([[1]])[1], "ConcatDataset: index 1 is out of range for 1", True),
    # PyTorch raises ValueError below, but IndexError above.
    "joined index below": (lambda m, d: d.ConcatDataset([[1]])[-2], "ConcatDataset: index -2 is out of range", False),
    "list chained": (
        lambda m, d: list(d.ChainDataset([[1]])),
        "ChainDataset: expected IterableDatasets, got list",
        True,
    ),
    "chained length": (lambda m, d: len(d.ChainDataset([stream(d, 2)])), r"ChainDataset: .* define __len__\(\)", True),
    "split": (
        lambda m, d: d.random_split(range(5), [2, 2]),
        r"random_split: .* sum to the 5 samples, got \[2, 2\]",
        True,
    ),
    "split below 0": (lambda m, d: d.random_split(range(5), [6, -1]), r"random_split: lengths must be >= 0", False),
    "split of floats": (
        lambda m, d: d.random_split(range(5), [2.5, 2.5]),
        "random_split: lengths must be integers",
        True,
    ),
    "fractions": (lambda m, d: d.random_split(range(5), [0.5, 0.4]), "or fractions that sum to 1, got", True),
    "fraction below 0": (lambda m, d: d.random_split(range(5), [1.5, -0.5]), "fractions must be >= 0", True),
    "replacement": (
        lambda m, d: d.RandomSampler([1], 1),
        "RandomSampler: replacement must be True or False, got 1",
        True,
    ),
    "no samples": (
        lambda m, d: d.RandomSampler([1], True, 0),
        "RandomSampler: num_samples must be .* > 0, got 0",
        True,
    ),
    "half samples": (lambda m, d: d.RandomSampler([1], True, 1.5), "RandomSampler: num_samples must .* got 1.5", True),
    "empty": (lambda m, d: d.DataLoader([], shuffle=True), "RandomSampler: num_samples must be .* got 0", True),
    "no length": (lambda m, d: d.RandomSampler(3), r"RandomSampler: .* int does not define __len__\(\)", True),
    "generator": (lambda m, d: iter(d.DataLoader([1], 1, True, generator=3)), "generator must be a .* got int", True),
    "weights": (
        lambda m, d: d.WeightedRandomSampler([[1.0]], 1),
        "WeightedRandomSampler: .* one list, got shape",
        True,
    ),
    "weighted count": (
        lambda m, d: d.WeightedRandomSampler([1.0], True),
        "WeightedRandomSampler: num_samples .* True",
        True,
    ),
    "weighted again": (
        lambda m, d: d.WeightedRandomSampler([1.0], 1, 0),
        "WeightedRandomSampler: replacement .* 0",
        True,
    ),
    # PyTorch raises RuntimeError, as its multinomial does.
    "weights below 0": (
        lambda m, d: list(d.WeightedRandomSampler([-1.0], 1)),
        "weights must be finite and >= 0",
        False,
    ),
    "weights of text": (
        lambda m, d: d.WeightedRandomSampler(["a"], 1),
        "WeightedRandomSampler: weights .* numbers",
        True,
    ),
    "batch_size 0": (
        lambda m, d: d.BatchSampler([1], 0, False),
        "BatchSampler: batch_size must be .* > 0, got 0",
        True,
    ),
    "batch_size True": (lambda m, d: d.BatchSampler([1], True, False), "BatchSampler: batch_size .* got True", True),
    "drop_last": (lambda m, d: d.BatchSampler([1], 1, 0), "BatchSampler: drop_last must be True or False, got 0", True),
    "loader batch_size": (lambda m, d: d.DataLoader([1], -1), "BatchSampler: batch_size must be .* got -1", True),
    "sampler and shuffle": (lambda m, d: d.DataLoader([1], 1, True, [0]), "DataLoader: a sampler says the order", True),
    "two batchings": (
        lambda m, d: d.DataLoader([1], 2, batch_sampler=[[0]]),
        "DataLoader: a batch_sampler makes",
        True,
    ),
    "two orders": (lambda m, d: d.DataLoader([1], shuffle=True, batch_sampler=[[0]]), "a batch_sampler makes", True),
    "three orders": (lambda m, d: d.DataLoader([1], sampler=[0], batch_sampler=[[0]]), "a batch_sampler makes", True),
    "batch_sampler, drop_last": (
        lambda m, d: d.DataLoader([1], batch_sampler=[[0]], drop_last=True),
        "a batch_sampler makes",
        True,
    ),
    "last of none": (lambda m, d: d.DataLoader([1], None, drop_last=True), "DataLoader: with batch_size=None", True),
    "stream shuffled": (lambda m, d: d.DataLoader(stream(d, 1), 1, True), "DataLoader: an IterableDataset says", True),
    "stream sampled": (lambda m, d: d.DataLoader(stream(d, 1), sampler=[0]), "an IterableDataset says the order", True),
    "stream batched": (lambda m, d: d.DataLoader(stream(d, 1), batch_sampler=[]), "an IterableDataset says", True),
    "length of stream": (lambda m, d: len(d.DataLoader(stream(d, 1))), r"Stream does not define __len__\(\)", True),
    "sampler": (lambda m, d: list(d.DataLoader([1], sampler=5)), "DataLoader: sampler must be a .* got int", True),
    "batch_sampler": (
        lambda m, d: list(d.DataLoader([1], batch_sampler=5)),
        "batch_sampler must be a .* got int",
        True,
    ),
    "no data set": (lambda m, d: list(d.DataLoader(5)), r"int does not define __len__\(\)", True),
    "sampled index": (lambda m, d: list(d.DataLoader(d.TensorDataset(m.ones(1)), sampler=[3])), "out of bounds", True),
    "sampled text": (
        lambda m, d: list(d.DataLoader(d.TensorDataset(m.ones(1)), sampler=["a"])),
        "indices must be integers",
        True,
    ),
    "nothing": (lambda m, d: d.default_collate([]), "default_collate: expected at least one sample", True),
    "no list": (lambda m, d: d.default_collate(3), "default_collate: expected a list of samples, got int", True),
    "shapes": (lambda m, d: d.default_collate([m.ones(2), m.ones(3)]), "default_collate: .* one shape", True),
    "shapes of arrays": (
        lambda m, d: d.default_collate([np.ones(2), np.ones(3)]),
        "default_collate: .* one shape",
        True,
    ),
    "sizes": (lambda m, d: d.default_collate([[1], [1, 2]]), "default_collate: .* sequences of length 1", True),
    "named sizes": (lambda m, d: d.default_collate([(1,), (1, 2)]), "default_collate: .* sequences of length 1", True),
    "keys": (lambda m, d: d.default_collate([{"a": 1}, {"b": 1}]), r"default_collate: .* the keys \['a'\]", True),
    "objects": (
        lambda m, d: d.default_collate([object()]),
        "default_collate: samples must be tensors, .* object",
        True,
    ),
    "none": (lambda m, d: d.default_collate([None]), "default_collate: .* NoneType; pass a collate_fn", True),
    "arrays of text": (lambda m, d: d.default_collate([np.array("a")]), "default_collate: .* ndarray; pass", True),
    "tensor and text": (
        lambda m, d: d.default_collate([m.ones(1), "a"]),
        "default_collate: .* Tensor, str do not",
        True,
    ),
    "number and text": (lambda m, d: d.default_collate([1.0, "a"]), "default_collate: .* float, str do not fit", True),
    "array and text": (
        lambda m, d: d.default_collate([np.ones(1), "a"]),
        "default_collate: .* ndarray, str do not",
        True,
    ),
    "list and number": (
        lambda m, d: d.default_collate([[1], 1]),
        "default_collate: not all samples are sequences",
        True,
    ),
}
# Where PyTorch stumbles, or asserts, we name the mistake; and a KeyError would print its text quoted.
UNMEANT = (AssertionError, AttributeError, IndexError, KeyError, TypeError)


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name: str) -> None:
    call, message, _ = MISTAKES[name]
    with pytest.raises(errors.MinigradError, match=message):
        call(*library("minigrad"))


@pytest.mark.torch
@pytest.mark.parametrize("name", [name for name, (_, _, torch_raises) in MISTAKES.items() if torch_raises])
def test_torch_refuses_the_same(name: str) -> None:
    call, _, _ = MISTAKES[name]
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        call(*library("torch"))
    with pytest.raises(errors.MinigradError) as ours:
        call(*library("minigrad"))
    assert isinstance(ours.value, type(theirs.value)) or type(theirs.value) in UNMEANT, repr(theirs.value)
