"""What the lessons' experiments share: margins, mosaics, the training loop, one thread."""

from __future__ import annotations

import numpy as np
import pytest

import kernels
import minigrad as mg
from lessons.data.batches import halved
from lessons.data.digits import load_digits
from lessons.lab.numbers import error
from lessons.lab.pictures import mosaic
from lessons.lab.statistics import mean_and_margin, with_margin
from lessons.lab.threads import one_thread
from lessons.lab.training import accuracy, fit, outputs
from minigrad import nn, optim


def test_mean_and_margin_by_hand():
    mean, margin = mean_and_margin([1.0, 2.0, 3.0])
    assert mean == 2
    assert margin == pytest.approx(4.303 / np.sqrt(3), rel=1e-12)
    assert with_margin([1.0, 2.0, 3.0], 2) == "2.00 +- 2.48"


@pytest.mark.parametrize("n", [2, 5, 30, 60])
def test_the_interval_covers_the_truth_19_times_in_20(n):
    rng = np.random.default_rng(n)
    draws = [mean_and_margin(rng.normal(7, 3, size=n)) for _ in range(4000)]
    covered = np.mean([abs(mean - 7) <= margin for mean, margin in draws])
    assert covered == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("values", [[], [1.0], [[1.0, 2.0]]])
def test_one_run_has_no_margin(values):
    with pytest.raises(ValueError, match="at least two runs"):
        mean_and_margin(values)


def test_mosaic_by_hand():
    images = np.arange(1, 4).reshape(3, 1, 1) * np.ones((1, 2, 2))
    sheet = mosaic(images, columns=2, gap=1, background=0)
    assert np.array_equal(sheet, [[1, 1, 0, 2, 2], [1, 1, 0, 2, 2], [0, 0, 0, 0, 0], [3, 3, 0, 0, 0], [3, 3, 0, 0, 0]])
    assert mosaic(np.zeros((5, 4, 3, 3)), columns=5).shape == (4, 23, 3)


def toy(seed: int) -> tuple[nn.Module, np.ndarray, np.ndarray]:
    mg.manual_seed(seed)
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    return nn.Linear(3, 1), x, x @ np.array([[1.0], [-2.0], [0.5]], dtype=np.float32)


def fit_toy(seed: int) -> tuple[np.ndarray, float]:
    """The losses of a training, and how far off its predictions are at the end."""
    model, x, y = toy(seed)
    square = nn.MSELoss()
    losses = fit(
        lambda rows: square(model(mg.tensor(x[rows])), mg.tensor(y[rows])),
        optim.SGD(model.parameters(), lr=0.1),
        len(x),
        rng=np.random.default_rng(2),
        batch_size=20,
        epochs=range(100),
    )
    return losses, np.abs(outputs(model, x, batch_size=7) - y).max()


def test_fit_finds_a_line_and_is_repeatable():
    (losses, error), (again, _), (other, _) = fit_toy(seed=1), fit_toy(seed=1), fit_toy(seed=2)
    assert losses.shape == (200,), "two full batches an epoch; the rest of ten is left out"
    assert np.array_equal(losses, again)
    assert not np.array_equal(losses, other)
    assert losses[-1] < 1e-8
    assert error < 1e-3


def test_fit_stops_at_a_loss_that_is_not_finite_and_says_where():
    model, x, _ = toy(seed=1)
    steps = []
    with pytest.raises(FloatingPointError, match="in step 3"):
        fit(
            lambda rows: model(mg.tensor(x[rows])).sum() * (np.inf if len(steps) == 2 else 1.0),
            optim.SGD(model.parameters(), lr=0.1),
            len(x),
            rng=np.random.default_rng(0),
            batch_size=50,
            epochs=range(5),
            after_step=lambda: steps.append(1),
        )
    assert len(steps) == 2


def test_outputs_are_those_of_eval_mode_and_the_mode_comes_back():
    model = nn.Sequential(nn.Dropout(0.5), nn.Identity())
    x = np.ones((10, 2), dtype=np.float32)
    assert np.array_equal(outputs(model, x), x)
    assert model.training
    assert accuracy(model, x, np.zeros(10, dtype=int)) == 1.0


def test_digits_are_floats_and_keep_their_labels():
    flat, images = load_digits(), load_digits(flat=False)
    assert flat.images.shape == (5000, 784)
    assert images.test_images.shape == (1000, 1, 28, 28)
    assert flat.images.dtype == np.float32
    assert (flat.images.min(), flat.images.max()) == (0, 1)
    assert np.array_equal(flat.images, images.images.reshape(5000, 784))
    assert np.array_equal(flat.labels, images.labels)


def test_halved_digits_are_means_of_four_pixels():
    images = np.random.default_rng(0).random((3, 784))
    small = halved(images)
    assert small.shape == (3, 14, 14)
    assert small[2, 5, 7] == pytest.approx(images.reshape(3, 28, 28)[2, 10:12, 14:16].mean(), rel=1e-15)
    assert halved(images.astype(np.float32), np.float32).dtype == np.float32


def test_error_by_hand_and_with_nan():
    assert error([1.0, 2.0], [1.0, 4.0]) == 0.5
    assert np.isnan(error([np.nan, 4.0], [1.0, 4.0]))


def test_one_thread_gives_the_threads_back():
    before = kernels.get_num_threads()
    with one_thread():
        assert kernels.get_num_threads() == 1
    assert kernels.get_num_threads() == before
