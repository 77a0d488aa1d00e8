"""Random numbers: explicit generators, seeds, threads, dtypes, ranges."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import creation, errors

DRAWS: dict[str, Callable[..., mg.Tensor]] = {
    "rand": lambda **k: mg.rand(50, **k),
    "randn": lambda **k: mg.randn(5, 10, **k),
    "randint": lambda **k: mg.randint(0, 1000, (50,), **k),
    "randperm": lambda **k: mg.randperm(50, **k),
    "rand_like": lambda **k: creation.rand_like(mg.zeros(50), **k),
    "randn_like": lambda **k: creation.randn_like(mg.zeros(50), **k),
    "randint_like": lambda **k: creation.randint_like(mg.zeros(50), 1000, **k),
    "bernoulli": lambda **k: creation.bernoulli(mg.full((80,), 0.5), **k),
    "bernoulli with p": lambda **k: creation.bernoulli(mg.zeros(80), 0.5, **k),
    "normal of numbers": lambda **k: creation.normal(1.0, 2.0, (50,), **k),
    "normal of tensors": lambda **k: creation.normal(mg.zeros(50), mg.ones(50), **k),
    "multinomial": lambda **k: creation.multinomial(mg.ones(3, 40), 20, **k),
    "multinomial with replacement": lambda **k: creation.multinomial(mg.ones(3, 40), 20, True, **k),
    "dropout": lambda **k: mg.nn.functional.dropout(mg.ones(50), 0.5, **k),
    "uniform_": lambda **k: mg.nn.init.uniform_(mg.zeros(50), **k),
    "normal_": lambda **k: mg.nn.init.normal_(mg.zeros(50), **k),
    "kaiming_uniform_": lambda **k: mg.nn.init.kaiming_uniform_(mg.zeros(5, 10), **k),
    "kaiming_normal_": lambda **k: mg.nn.init.kaiming_normal_(mg.zeros(5, 10), **k),
    "Linear": lambda **k: mg.nn.Linear(5, 10, **k).weight.detach(),
}


@pytest.fixture(autouse=True)
def _default_generator_as_it_was() -> Any:
    yield
    mg.manual_seed(0)


@pytest.mark.parametrize("name", DRAWS)
def test_the_same_seed_gives_the_same_numbers(name: str) -> None:
    draw = DRAWS[name]
    mg.manual_seed(7)
    first, second = draw(), draw()
    mg.manual_seed(7)
    assert mg.equal(draw(), first)
    assert mg.equal(draw(), second)
    assert not mg.equal(first, second)
    mg.manual_seed(8)
    assert not mg.equal(draw(), first)
    assert mg.equal(draw(generator=mg.Generator(7)), first)


@pytest.mark.parametrize("name", DRAWS)
def test_an_explicit_generator_is_independent_of_the_default_one(name: str) -> None:
    draw, own = DRAWS[name], mg.Generator(1)
    mg.manual_seed(7)
    expected = [draw().tolist(), draw().tolist()]
    first = draw(generator=mg.Generator(1))
    mg.manual_seed(7)
    a = draw()
    assert mg.equal(draw(generator=own), first)
    assert [a.tolist(), draw().tolist()] == expected


def test_a_generator_starts_again_from_its_seed() -> None:
    g = mg.Generator()
    assert g.manual_seed(3) is g
    first = mg.rand(4, generator=g)
    assert not mg.equal(first, mg.rand(4, generator=g))
    g.manual_seed(3)
    assert mg.equal(first, mg.rand(4, generator=g))
    assert mg.manual_seed(3) is mg.default_generator
    assert mg.manual_seed(np.int64(3)) is mg.default_generator


def test_generators_without_a_seed_differ() -> None:
    assert not mg.equal(mg.rand(8, generator=mg.Generator()), mg.rand(8, generator=mg.Generator()))


def test_the_numbers_are_numpys() -> None:
    want = np.random.default_rng(5).standard_normal(6)
    assert mg.randn(6, generator=mg.Generator(5), dtype=mg.float64).tolist() == want.tolist()


@pytest.mark.parametrize("seed", [-1, 1.5, "x", None])
def test_a_seed_is_an_integer(seed: Any) -> None:
    with pytest.raises(errors.ArgumentError, match=r"manual_seed: expected an integer >= 0, got"):
        mg.manual_seed(seed)


def test_dtypes_and_shapes() -> None:
    assert mg.rand(2, 3).dtype == mg.randn((2, 3)).dtype == mg.float32
    for dtype in (mg.float16, mg.float32, mg.float64):
        assert mg.rand(4, dtype=dtype).dtype == mg.randn(4, dtype=dtype).dtype == dtype
    assert mg.randint(5, (2,)).dtype == mg.randperm(3).dtype == mg.int64
    assert mg.randint(0, 5, (2,), dtype=mg.uint8).dtype == mg.uint8
    assert mg.randint(5, size=(2, 3)).shape == mg.randint(0, 5, [2, 3]).shape == (2, 3)
    assert creation.randint_like(mg.zeros(2, 3, dtype=mg.int8), 5).dtype == mg.int8
    assert mg.randperm(4, dtype=mg.float32, requires_grad=True).requires_grad
    assert mg.randint(4, (2,), dtype=mg.float64, requires_grad=True).requires_grad
    assert creation.rand_like(mg.zeros(2), requires_grad=True).requires_grad
    assert creation.randn_like(mg.zeros(2, requires_grad=True)).requires_grad is False
    assert creation.normal(0.0, 1.0, (2,), requires_grad=True).requires_grad
    assert mg.rand().shape == mg.randn().shape == ()
    assert mg.rand(0, 3).shape == (0, 3)
    assert mg.randn(2, requires_grad=True).requires_grad
    with pytest.raises(errors.DtypeError):
        mg.randn(2, dtype="complex64")
    with pytest.raises(errors.ArgumentTypeError, match=r"randint: low and high must be integers, got 0 and 2\.5"):
        mg.randint(2.5, (3,))
    with pytest.raises(errors.ShapeError, match=">= 0"):
        mg.randperm(-1)


def test_distributions_are_what_they_say() -> None:
    n, g = 20_000, mg.Generator(11)
    uniform, normal = mg.rand(n, generator=g).numpy(), mg.randn(n, generator=g).numpy()
    whole = mg.randint(2, 6, (n,), generator=g).numpy()
    # Six standard errors: one seed in 10^8 would fall outside.
    assert abs(uniform.mean() - 0.5) < 6 / np.sqrt(12 * n)
    assert 0 <= uniform.min() < uniform.max() < 1
    assert abs(normal.mean()) < 6 / np.sqrt(n)
    assert abs(normal.var() - 1) < 6 * np.sqrt(2 / n)
    assert set(whole.tolist()) == {2, 3, 4, 5}
    assert abs((whole == 3).mean() - 0.25) < 6 * np.sqrt(0.25 * 0.75 / n)
    assert sorted(mg.randperm(100, generator=g).tolist()) == list(range(100))


def near(values: np.ndarray, mean: float, variance: float) -> bool:
    """Whether their mean is within six standard errors: one seed in 10^8 would fall outside."""
    return abs(values.mean() - mean) < 6 * np.sqrt(variance / values.size)


def test_normal_has_the_mean_and_the_spread_of_each_element() -> None:
    g = mg.Generator(12)
    mean, std = mg.tensor([-3.0, 5.0]).double(), mg.tensor([[0.5], [2.0]]).double()
    drawn = np.stack([creation.normal(mean, std, generator=g).numpy() for _ in range(4000)])
    assert drawn.shape == (4000, 2, 2)
    for i in range(2):
        for j in range(2):
            scaled = (drawn[:, i, j] - mean.tolist()[j]) / std.tolist()[i][0]
            assert near(scaled, 0, 1)
            assert near(scaled**2, 1, 2)
    # The elements are independent of each other: the mean of a product of two is 0, its variance 1.
    scaled = (drawn - mean.numpy()) / std.numpy()
    assert near(scaled[:, 0, 0] * scaled[:, 0, 1], 0, 1)
    assert near(scaled[:, 0, 0] * scaled[:, 1, 0], 0, 1)
    numbers = creation.normal(2, 3, (20_000,), generator=g).numpy()
    assert near(numbers, 2, 9)
    assert near((numbers - 2) ** 2, 9, 2 * 81)


def test_bernoulli_has_the_probability_of_each_element() -> None:
    g = mg.Generator(13)
    p = mg.tensor([0.1, 0.9, 0.5, 0.0, 1.0])
    drawn = creation.bernoulli(p.expand(20_000, 5), generator=g).numpy()
    assert drawn.dtype == np.float32
    assert set(np.unique(drawn)) == {0, 1}
    for column, chance in zip(drawn.T, (0.1, 0.9, 0.5), strict=False):
        assert near(column, chance, chance * (1 - chance))
    assert not drawn[:, 3].any()
    assert drawn[:, 4].all()
    assert near((drawn[:, 0] - 0.1) * (drawn[:, 1] - 0.9), 0, 0.09 * 0.09)
    assert near(creation.bernoulli(mg.zeros(20_000), 0.3, generator=g).numpy(), 0.3, 0.21)


@pytest.mark.parametrize("replacement", [False, True])
def test_multinomial_draws_in_proportion_to_the_weights(replacement: bool) -> None:
    g = mg.Generator(14)
    weights = np.array([1.0, 0.0, 4.0, 3.0])
    chances = weights / weights.sum()
    drawn = creation.multinomial(mg.tensor(weights).expand(20_000, 4), 2, replacement, generator=g).numpy()
    assert drawn.shape == (20_000, 2)
    assert drawn.dtype == np.int64
    assert not (drawn == 1).any()
    for i in (0, 2, 3):
        assert near(drawn[:, 0] == i, chances[i], chances[i] * (1 - chances[i]))
        for j in (0, 2, 3):
            second = chances[j] if replacement else (i != j) * chances[j] / (1 - chances[i])
            both = chances[i] * second
            assert near((drawn == [i, j]).all(axis=1), both, both * (1 - both) or 1e-20)


def test_multinomial_of_one_row_draws_independently() -> None:
    drawn = creation.multinomial(mg.tensor([1.0, 3.0]), 20_000, True, generator=mg.Generator(15)).numpy()
    assert near(drawn, 0.75, 0.75 * 0.25)
    assert near((drawn[1:] - 0.75) * (drawn[:-1] - 0.75), 0, (0.75 * 0.25) ** 2)


def test_multinomial_without_replacement_draws_everything_once() -> None:
    g = mg.Generator(16)
    for _ in range(20):
        assert sorted(creation.multinomial(mg.rand(30, generator=g), 30, generator=g).tolist()) == list(range(30))
    rows = creation.multinomial(mg.tensor([[0.0, 1.0, 0.0, 2.0]]), 4, generator=g).tolist()
    assert set(rows[0][:2]) == {1, 3}  # those of weight 0 come last
    assert rows[0][2:] == [0, 2]


def test_uniform_and_integer_draws_like_another_tensor() -> None:
    g = mg.Generator(17)
    uniform = creation.rand_like(mg.zeros(20_000, dtype=mg.float64), generator=g).numpy()
    assert near(uniform, 0.5, 1 / 12)
    assert 0 <= uniform.min() < uniform.max() < 1
    assert near(creation.randn_like(mg.zeros(20_000), generator=g).numpy(), 0, 1)
    whole = creation.randint_like(mg.zeros(20_000), -2, 3, generator=g).numpy()
    assert set(whole) == {-2, -1, 0, 1, 2}
    assert near(whole, 0, 2)


def test_dropout_keeps_the_mean_and_scales() -> None:
    out = mg.nn.functional.dropout(mg.ones(20_000), 0.25, generator=mg.Generator(2)).numpy()
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((out == 0).mean() - 0.25) < 6 * np.sqrt(0.25 * 0.75 / 20_000)
    x = mg.ones(4)
    assert mg.nn.functional.dropout(x, 0.5, training=False) is x
    assert mg.nn.functional.dropout(x, 1.0).tolist() == [0.0] * 4
    with pytest.raises(errors.ArgumentError, match=r"dropout: p is a probability in \[0, 1\], got 1.5"):
        mg.nn.functional.dropout(x, 1.5)


def test_threads_that_share_a_generator_never_draw_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    make = np.random.default_rng

    def slowly(seed: Any) -> np.random.Generator:
        time.sleep(0.02)  # so that all threads arrive while the first one makes the stream
        return make(seed)

    monkeypatch.setattr(np.random, "default_rng", slowly)
    for seed in range(3):
        g, start = mg.Generator(seed), threading.Barrier(4)
        drawn: list[list[float]] = []

        def work(g: mg.Generator = g, start: Any = start, drawn: list[list[float]] = drawn) -> None:
            start.wait()
            drawn.append(mg.rand(3, generator=g, dtype=mg.float64).tolist())

        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        flat = [v for values in drawn for v in values]
        assert len(set(flat)) == 12
        # Which thread gets which numbers is open, but together they are those of one stream.
        assert sorted(flat) == sorted(make(seed).random(12).tolist())
