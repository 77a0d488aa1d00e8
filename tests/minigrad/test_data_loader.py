"""Data sets, samplers and loaders: the same batches as PyTorch's, the same randomness from the same seed."""

from __future__ import annotations

import inspect
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterator
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import data, errors

Point = namedtuple("Point", ["x", "y"])


def library(name: str) -> tuple[Any, Any]:
    """minigrad or PyTorch, and the names for data sets in it."""
    if name == "minigrad":
        return mg, data
    torch = pytest.importorskip("torch", reason="live comparison")
    import torch.utils.data as theirs

    return torch, theirs


def plain(value: Any) -> Any:
    """A batch as Python objects with the dtypes and types in it, to compare those of two libraries."""
    if type(value).__name__ == "Tensor":
        return str(value.dtype).removeprefix("torch."), tuple(value.shape), value.tolist()
    if isinstance(value, dict):
        return type(value).__name__, {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, deque)):
        return type(value).__name__, [plain(v) for v in value]
    return value


def both(make: Callable[[Any, Any], Any]) -> None:
    """The same call in both libraries has the same result."""
    assert plain(make(*library("minigrad"))) == plain(make(*library("torch")))


def tensors(m: Any, n: int = 10) -> tuple[Any, Any]:
    return m.tensor(np.arange(2.0 * n).reshape(n, 2)), m.tensor(np.arange(n))


class Squares:
    """Not derived from Dataset."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < self.n:
            raise IndexError(index)
        return index * index


class Together(Squares):
    """Reads many samples at once, and says so."""

    def __getitems__(self, indices: list[int]) -> list[int]:
        return [-self[i] for i in indices]


def stream(d: Any, n: int, sized: bool = False) -> Any:
    attributes: dict[str, Any] = {"__iter__": lambda self: iter(range(n))}
    if sized:
        attributes["__len__"] = lambda self: n
    return type("Stream", (d.IterableDataset,), attributes)()


# --- the same as PyTorch ------------------------------------------------------------------------------------------

DATASETS: dict[str, Callable[[Any, Any], Any]] = {
    "TensorDataset": lambda m, d: (lambda t: [len(t), t[3], t[-1], t[2:4]])(d.TensorDataset(*tensors(m))),
    "TensorDataset of one": lambda m, d: list(d.TensorDataset(tensors(m)[0][:2])),
    "StackDataset": lambda m, d: (lambda s: [len(s), s[3], s.__getitems__([1, 2])])(
        d.StackDataset(Squares(5), Together(5), list("abcde"))
    ),
    "StackDataset by name": lambda m, d: (lambda s: [len(s), s[3], s.__getitems__([1, 2])])(
        d.StackDataset(a=Squares(5), b=Together(5))
    ),
    "ConcatDataset": lambda m, d: (lambda c: [len(c), c.cumulative_sizes, *(c[i] for i in range(-9, 9))])(
        d.ConcatDataset([Squares(4), Squares(0), range(5)])
    ),
    "sum": lambda m, d: (lambda t: [len(t + t), (t + t)[12]])(d.TensorDataset(*tensors(m))),
    "Subset": lambda m, d: (lambda s: [len(s), s[1], s.__getitems__([0, 0, 2])])(d.Subset(Squares(9), [7, 3, 5])),
    "Subset of many": lambda m, d: d.Subset(d.TensorDataset(*tensors(m)), [7, 3, 5])[[0, 2]],
    "Subset together": lambda m, d: d.Subset(Together(9), [7, 3, 5]).__getitems__([0, 2]),
    "ChainDataset": lambda m, d: list(d.ChainDataset([stream(d, 3), stream(d, 2)])),
    "sum of streams": lambda m, d: list(stream(d, 3) + stream(d, 2)),
    "length of streams": lambda m, d: len(stream(d, 3, True) + stream(d, 2, True)),
    "lengths of a split": lambda m, d: [len(s) for s in d.random_split(range(10), [3, 0, 7])],
    "fractions": lambda m, d: [len(s) for s in d.random_split(range(11), [0.3, 0.3, 0.2, 0.2])],
    "the fraction 1": lambda m, d: [len(s) for s in d.random_split(range(11), [1])],
    "SequentialSampler": lambda m, d: [list(d.SequentialSampler(range(4))), len(d.SequentialSampler(range(4)))],
    "BatchSampler": lambda m, d: list(d.BatchSampler(range(7), 3, False)),
    "BatchSampler, full": lambda m, d: list(d.BatchSampler(range(7), 3, True)),
    "lengths of batches": lambda m, d: [
        len(d.BatchSampler(range(n), 3, last)) for n in range(8) for last in (True, False)
    ],
    "BatchSampler, all": lambda m, d: [list(d.BatchSampler(range(6), 3, True)), list(d.BatchSampler([], 3, False))],
    "lengths of samplers": lambda m, d: [
        len(d.RandomSampler(range(9))),
        len(d.RandomSampler(range(9), num_samples=20)),
        len(d.SubsetRandomSampler([4, 2])),
        len(d.WeightedRandomSampler([1, 2], 7)),
    ],
}


@pytest.mark.torch
@pytest.mark.parametrize("name", DATASETS)
def test_data_sets_and_samplers_are_pytorchs(name: str) -> None:
    both(DATASETS[name])


BATCHES: dict[str, Callable[[Any], Any]] = {
    "tensors": lambda m: [m.ones(2, 3), m.zeros(2, 3)],
    "0-dim tensors": lambda m: [m.tensor(1), m.tensor(2)],
    "dtypes": lambda m: [m.tensor([1.0]), m.tensor([2])],
    "floats": lambda m: [1.5, 2.0],
    "ints": lambda m: [1, 2, 3],
    "bools": lambda m: [True, False],
    "ints and floats": lambda m: [1, 2.5],
    "floats and ints": lambda m: [2.5, 1],
    "arrays": lambda m: [np.ones(2, np.float32), np.zeros(2, np.float32)],
    "integer arrays": lambda m: [np.ones((2, 1), np.uint8), np.zeros((2, 1), np.uint8)],
    "0-dim arrays": lambda m: [np.array(1.0), np.array(2.0)],
    "NumPy numbers": lambda m: [np.float32(1), np.float32(2)],
    "NumPy floats": lambda m: [np.float64(1), np.float64(2)],
    "NumPy bools": lambda m: [np.bool_(True), np.bool_(False)],
    "strings": lambda m: ["a", "b"],
    "bytes": lambda m: [b"a", b"b"],
    "tuples": lambda m: [(m.ones(2), 1, "a"), (m.zeros(2), 2, "b")],
    "lists": lambda m: [[1.0, [2]], [3.0, [4]]],
    "dicts": lambda m: [{"x": m.ones(1), "y": (1, 2)}, {"y": (3, 4), "x": m.zeros(1), "z": 0}],
    "ordered dicts": lambda m: [OrderedDict(b=1, a=2), OrderedDict(b=3, a=4)],
    "default dicts": lambda m: [defaultdict(list, a=1), defaultdict(list, a=2)],
    "named tuples": lambda m: [Point(1, {"z": 2.0}), Point(3, {"z": 4.0})],
    "one": lambda m: [(m.ones(1), 2)],
    "ranges": lambda m: [range(2), range(3, 5)],
    "a tuple of samples": lambda m: (m.ones(2), m.zeros(2)),
    "empty tensors": lambda m: [m.ones(0, 2), m.zeros(0, 2)],
}
SAMPLES: dict[str, Callable[[Any], Any]] = {
    **{f"first of {name}": lambda m, make=make: make(m)[0] for name, make in BATCHES.items()},  # type: ignore[misc]
    "array in a tuple": lambda m: (np.ones(2), {"a": np.int32(3)}, [np.zeros(1), "text"]),
    "array of objects": lambda m: [np.array(["a", "b"]).tolist(), None],
}


@pytest.mark.torch
@pytest.mark.parametrize("name", BATCHES)
def test_samples_are_joined_as_in_pytorch(name: str) -> None:
    both(lambda m, d: d.default_collate(BATCHES[name](m)))


@pytest.mark.torch
@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_converted_as_in_pytorch(name: str) -> None:
    both(lambda m, d: d.default_convert(SAMPLES[name](m)))


def test_structures_are_kept() -> None:
    found = data.default_collate([Point(1, defaultdict(list, a=2.0)), Point(3, defaultdict(list, a=4.0))])
    assert isinstance(found, Point)
    assert found.y["missing"] == []
    assert found.y["a"].dtype == mg.float64
    sample = {"a": 1}
    assert data.default_collate([sample, sample])["a"].tolist() == [1, 1]
    assert sample == {"a": 1}
    assert data.default_collate([MappingProxyType({"a": 1})])["a"].tolist() == [1]


LOADERS: dict[str, Callable[[Any, Any], Any]] = {
    "defaults": lambda m, d: d.DataLoader(d.TensorDataset(*tensors(m))),
    "batches": lambda m, d: d.DataLoader(d.TensorDataset(*tensors(m)), 3),
    "full batches": lambda m, d: d.DataLoader(d.TensorDataset(*tensors(m)), batch_size=3, drop_last=True),
    "one batch": lambda m, d: d.DataLoader(d.TensorDataset(*tensors(m)), 99),
    "no full batch": lambda m, d: d.DataLoader(d.TensorDataset(*tensors(m)), 99, drop_last=True),
    "no batches": lambda m, d: d.DataLoader(d.TensorDataset(*tensors(m)), batch_size=None),
    "no batches of arrays": lambda m, d: d.DataLoader([np.ones(2), np.zeros(2)], batch_size=None),
    "by position": lambda m, d: d.DataLoader(Squares(9), 4, False, None, None, 0, None, False, True),
    "a list": lambda m, d: d.DataLoader([1.0, 2.0, 3.0], 2),
    "a tensor": lambda m, d: d.DataLoader(tensors(m)[0], 4),
    "Subset": lambda m, d: d.DataLoader(d.Subset(d.TensorDataset(*tensors(m)), [5, 1, 5, 8]), 3),
    "Subset of Subset": lambda m, d: d.DataLoader(
        d.Subset(d.Subset(d.TensorDataset(*tensors(m)), [5, 1, 5, 8]), [3, 0]), 3
    ),
    "Subset of a list": lambda m, d: d.DataLoader(d.Subset([5, 1, 5, 8], [3, 0]), 3),
    "ConcatDataset": lambda m, d: d.DataLoader(d.ConcatDataset([Squares(4), Squares(3)]), 3),
    "StackDataset": lambda m, d: d.DataLoader(d.StackDataset(x=Squares(4), y=d.TensorDataset(tensors(m, 4)[0])), 3),
    "together": lambda m, d: d.DataLoader(Together(5), 2),
    "a sampler": lambda m, d: d.DataLoader(d.TensorDataset(*tensors(m)), 2, sampler=[4, -1, 4, 0, 9]),
    "a sampler of tensors": lambda m, d: d.DataLoader(d.TensorDataset(*tensors(m)), 2, sampler=m.tensor([4, 4, 0])),
    "a batch_sampler": lambda m, d: d.DataLoader(d.TensorDataset(*tensors(m)), batch_sampler=[[1], [2, 3], [4, 4, 4]]),
    "collate_fn": lambda m, d: d.DataLoader(d.TensorDataset(*tensors(m)), 4, collate_fn=len),
    "collate_fn without batches": lambda m, d: d.DataLoader(Squares(3), None, collate_fn=str),
    "a stream": lambda m, d: d.DataLoader(stream(d, 5, True), 2),
    "full batches of a stream": lambda m, d: d.DataLoader(stream(d, 5, True), 2, shuffle=False, drop_last=True),
    "no batches of a stream": lambda m, d: d.DataLoader(stream(d, 5, True), None),
    "shuffled, one by one": lambda m, d: sorted(int(x) for x in d.DataLoader(Squares(5), shuffle=True)),
    "tensors of no columns": lambda m, d: d.DataLoader(d.TensorDataset(m.ones(4, 0), m.ones(4, 2, 1)), 3),
    "an empty data set": lambda m, d: d.DataLoader(d.TensorDataset(m.ones(0, 3)), 3),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", LOADERS)
def test_batches_are_pytorchs(name: str) -> None:
    both(lambda m, d: list(LOADERS[name](m, d)))
    both(lambda m, d: len(LOADERS[name](m, d)))


@pytest.mark.torch
@pytest.mark.parametrize("name", data.__all__)
def test_names_and_parameters_are_pytorchs(name: str) -> None:
    _, theirs = library("torch")
    ours, their = (
        [(p.name, p.default, p.kind) for p in inspect.signature(getattr(d, name)).parameters.values()]
        for d in (data, theirs)
    )
    if name == "random_split":  # their default generator is named, ours is meant by None
        ours, their = ([p[0] for p in parameters] for parameters in (ours, their))  # type: ignore[misc]
    assert ours == their


# --- without PyTorch ----------------------------------------------------------------------------------------------


def test_batches_have_the_rows_of_the_data_set() -> None:
    x, y = tensors(mg)
    first, second, third, fourth = data.DataLoader(data.TensorDataset(x, y), batch_size=3)
    assert second[0].tolist() == x[3:6].tolist()
    assert second[1].tolist() == [3, 4, 5]
    assert [len(batch[1]) for batch in (first, third, fourth)] == [3, 3, 1]


@pytest.mark.parametrize("generator", ["own", "default"])
def test_the_same_seed_gives_the_same_batches_and_each_pass_another_order(generator: str) -> None:
    def passes(seed: int) -> list[list[list[int]]]:
        own = mg.Generator(seed) if generator == "own" else None
        if own is None:
            mg.manual_seed(seed)
        loader = data.DataLoader(data.TensorDataset(tensors(mg, 50)[1]), 8, shuffle=True, generator=own)
        return [[batch.tolist() for (batch,) in loader] for _ in range(3)]

    first = passes(1)
    assert first == passes(1)
    assert first != passes(2)
    assert first[0] != first[1] != first[2]
    for batches in first:
        assert sorted(chain(*batches)) == list(range(50))
    mg.manual_seed(0)


@pytest.mark.parametrize(
    "make",
    [
        lambda g: data.RandomSampler(range(40), generator=g),
        lambda g: data.RandomSampler(range(40), True, 70, g),
        lambda g: data.SubsetRandomSampler(range(40), g),
        lambda g: data.WeightedRandomSampler(range(40), 30, generator=g),
        lambda g: data.BatchSampler(data.RandomSampler(range(40), generator=g), 7, True),
        lambda g: data.DataLoader(Squares(40), 7, True, generator=g, collate_fn=list),
        lambda g: data.DataLoader(Squares(40), None, True, generator=g),
    ],
)
def test_a_pass_that_is_broken_off_changes_nothing_for_the_next(make: Callable[[Any], Any]) -> None:
    def second_pass(read: int) -> list[Any]:
        sampler = make(mg.Generator(4))
        started = iter(sampler)
        for _ in range(read):
            next(started)
        return list(sampler)

    assert second_pass(0) == second_pass(1) == second_pass(3)
    sampler = make(mg.Generator(4))
    assert list(sampler) != list(sampler)
    first, second = iter(make(mg.Generator(4))), iter(make(mg.Generator(4)))
    assert [next(first), next(second)] == [next(make_first := iter(make(mg.Generator(4))))] * 2
    assert list(first) == list(second) == list(make_first)


def test_random_orders() -> None:
    g = mg.Generator(0)
    order = list(data.RandomSampler(range(10), num_samples=25, generator=g))
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert len(order) == 25
    assert len(set(order[20:])) == 5
    assert len(list(data.RandomSampler(range(10), num_samples=4, generator=g))) == 4
    drawn = Counter(data.RandomSampler(range(5), replacement=True, num_samples=5000, generator=g))
    assert set(drawn) == set(range(5))
    assert all(900 < n < 1100 for n in drawn.values())
    assert sorted(data.SubsetRandomSampler([7, 3, 3, 9], generator=g)) == [3, 3, 7, 9]


def test_weights_are_probabilities() -> None:
    g = mg.Generator(0)
    drawn = Counter(data.WeightedRandomSampler([1, 0, 3.0], 4000, generator=g))
    assert set(drawn) == {0, 2}
    assert 900 < drawn[0] < 1100
    once = list(data.WeightedRandomSampler(mg.tensor([1.0, 2.0, 3.0]), 3, replacement=False, generator=g))
    assert sorted(once) == [0, 1, 2]
    assert len(list(data.WeightedRandomSampler(np.ones(3), 2, generator=g))) == 2


def test_a_sampler_follows_a_data_set_that_grows() -> None:
    items = [1, 2]
    sampler = data.RandomSampler(items)
    items.append(3)
    assert len(sampler) == len(list(sampler)) == 3


def test_a_split_is_a_partition_and_depends_on_the_seed() -> None:
    def split(seed: int) -> list[list[int]]:
        return [list(part) for part in data.random_split(range(20), [12, 8], mg.Generator(seed))]

    assert split(1) == split(1) != split(2)
    assert sorted(chain(*split(1))) == list(range(20))
    assert split(1)[1] != list(range(12, 20))


def test_a_part_without_samples_warns_if_it_was_a_fraction() -> None:
    with pytest.warns(UserWarning, match=r"random_split: of 2 samples one part has none: \[2, 0, 0\]") as caught:
        data.random_split(range(2), [0.5, 0.25, 0.25])
    assert caught[0].filename == __file__
    data.random_split(range(2), [2, 0])


# --- the fast path ------------------------------------------------------------------------------------------------


class Noisy(data.TensorDataset):
    def __getitem__(self, index: Any) -> Any:
        return (super().__getitem__(index)[0] + 100,)


class Negated(data.Subset[Any]):
    def __getitem__(self, index: Any) -> Any:
        return (-super().__getitem__(index)[0],)

    def __getitems__(self, indices: Any) -> Any:
        return [self[i] for i in indices]


class NegatedTogether(data.Subset[Any]):
    def __getitems__(self, indices: Any) -> Any:
        return [(-self[i][0],) for i in indices]


class AtOnce(data.TensorDataset):
    def __getitems__(self, indices: Any) -> Any:
        return [(self.tensors[0][i] * 10,) for i in indices]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (data.TensorDataset, [3, 1]),
        (Noisy, [103, 101]),
        (AtOnce, [30, 10]),
        (lambda x: Negated(data.TensorDataset(x), range(5)), [-3, -1]),
        (lambda x: NegatedTogether(data.TensorDataset(x), range(5)), [-3, -1]),
        (lambda x: data.Subset(Noisy(x), range(5)), [103, 101]),
        (lambda x: data.Subset(AtOnce(x), range(5)), [30, 10]),
        (lambda x: data.Subset(Negated(data.TensorDataset(x), range(5)), range(5)), [-3, -1]),
        (lambda x: data.Subset(data.TensorDataset(x), [0, 3, 0, 1, 0]), [1, 3]),
    ],
)
def test_batches_read_at_once_are_those_of_single_samples(make: Callable[[Any], Any], expected: list[int]) -> None:
    loader = data.DataLoader(make(tensors(mg, 5)[1]), batch_sampler=[[3, 1]])
    (batch,) = list(loader)
    assert type(batch) is list
    assert batch[0].tolist() == expected


def test_batches_do_not_share_memory_with_the_data_set() -> None:
    x = mg.ones(4, 2)
    (batch,) = next(iter(data.DataLoader(data.TensorDataset(x), 4)))
    batch.mul_(0)
    assert x.tolist() == [[1.0, 1.0]] * 4


def test_gradients_reach_the_data() -> None:
    x = mg.ones(4, 2, requires_grad=True)
    for (batch,) in data.DataLoader(data.TensorDataset(x), 3):
        (batch * batch).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[2.0, 2.0]] * 4


# --- own classes, what is refused -----------------------------------------------------------------------------------


def test_classes_of_ones_own() -> None:
    class Words(data.Dataset[str]):
        def __getitem__(self, index: int) -> str:
            return ["one", "two", "three"][index]

        def __len__(self) -> int:
            return 3

    class Backwards(data.Sampler[int]):
        def __iter__(self) -> Iterator[int]:
            return iter([2, 1, 0])

    loader = data.DataLoader(Words(), 2, sampler=Backwards())
    assert list(loader) == [["three", "two"], ["one"]]
    with pytest.raises(errors.ArgumentTypeError, match=r"BatchSampler: .* Backwards does not define __len__\(\)"):
        len(loader)
    for made, name in [
        (data.Dataset(), "__getitem__"),
        (data.IterableDataset(), "__iter__"),
        (data.Sampler(), "__iter__"),
    ]:
        with pytest.raises(NotImplementedError, match=f"{type(made).__name__} does not define {name}"):
            made[0] if name == "__getitem__" else iter(made)  # type: ignore[index, call-overload]
    with pytest.raises(NotImplementedError, match="Half defines __getitem__ but not __getitems__, which loaders call"):
        type("Half", (data.Subset,), {"__getitem__": lambda self, i: i})([1], [0])


def test_a_loader_is_not_changed() -> None:
    loader = data.DataLoader(Squares(4))
    for name in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset"):
        with pytest.raises(errors.ArgumentError, match=f"DataLoader: {name} cannot be changed; make a new DataLoader"):
            setattr(loader, name, 2)
    loader.collate_fn = str
    assert next(iter(loader)) == "[0]"


@pytest.mark.parametrize(
    "option",
    [
        {"num_workers": 2}, {"pin_memory": True}, {"timeout": 3}, {"worker_init_fn": print}, {"prefetch_factor": 2},
        {"multiprocessing_context": "fork"}, {"persistent_workers": True}, {"pin_memory_device": "cuda"},
    ],
)  # fmt: skip
def test_options_for_other_processes_and_devices_are_refused(option: dict[str, Any]) -> None:
    (name,) = option
    with pytest.raises(NotImplementedError, match=f"DataLoader: {name}=.* is not supported, .*; leave it out"):
        data.DataLoader([1], **option)
    data.DataLoader([1], in_order=False)
