"""Random numbers: explicit generators, seeds, threads, dtypes, ranges."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import errors

DRAWS: dict[str, Callable[..., mg.Tensor]] = {
    "rand": lambda **k: mg.rand(50, **k),
    "randn": lambda **k: mg.randn(5, 10, **k),
    "randint": lambda **k: mg.randint(0, 1000, (50,), **k),
    "randperm": lambda **k: mg.randperm(50, **k),
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
