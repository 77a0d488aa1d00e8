"""The lesson on likelihoods: its headline, known answers by hand, and the numbers of its errata."""

from __future__ import annotations

import numpy as np
import pytest

from lessons.anatomy import Run
from lessons.foundations import mle
from lessons.foundations.mle import lesson


@pytest.fixture(scope="module")
def run(quick_run) -> Run:
    return quick_run("mle")


def data(run: Run, name: str) -> dict[str, np.ndarray]:
    with np.load(run.out / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


# ---- headline


def test_headline_an_own_sigma_is_worth_a_good_part_of_a_nat_and_less_than_the_truth(run):
    gain, nll, best = (run.results[name] for name in ("gain", "nll", "best"))
    assert (gain > 0.3).all()
    assert (gain < nll[:, 1] - best).all()
    assert np.array_equal(gain, nll[:, 1] - nll[:, 0])


def test_the_twin_looks_calibrated_until_the_sides_are_looked_at_apart(run):
    covered = run.results["coverage"]
    assert covered["all"][:, 1] == pytest.approx(0.9, abs=0.05)
    assert (covered["quiet"][:, 1] > 0.98).all()
    assert (covered["noisy"][:, 1] < 0.82).all()


def test_a_temperature_of_maximum_likelihood_repairs_the_digits(run):
    late, repaired = run.results["digits"]["late"], run.results["digits"]["late, divided by T"]
    assert np.array_equal(late[:, 0], repaired[:, 0])
    assert late[:, 1].mean() > repaired[:, 1].mean()
    assert abs(repaired[:, 2].mean()) < abs(late[:, 2].mean())


# ---- errata


def test_the_errata_have_these_numbers(run):
    assert [(part.erratum.kind, part.name) for part in lesson.errata] == [
        ("W", "density_not_distribution"),
        ("N", "drawn_from_p"),
        ("W", "conditional_independence"),
    ]
    # At mu = -25, the edge of the grid, the distribution function is largest.
    assert run.results["cdf gap"] == pytest.approx(27.0, abs=0.5)
    # 0.7 against 0.7**2.
    assert run.results["shared noise gap"] == pytest.approx(0.21, abs=1e-12)


def test_the_two_tables_are_probabilities_and_are_told_apart():
    for joint in (mle.dependent_inputs(), mle.shared_noise()):
        assert joint.sum() == pytest.approx(1, abs=1e-15)
        assert (joint >= 0).all()
    gap, dependence = mle.product_gap(np.full((2, 2, 2, 2), 1 / 16))
    assert (gap, dependence) == (0.0, 0.0)


# ---- known answers


def test_gaussian_by_hand():
    assert mle.gaussian_nll(np.array([3.0]), 1.0, np.log(2.0)) == pytest.approx(
        0.5 * np.log(2 * np.pi) + np.log(2) + 0.5, abs=1e-15
    )
    dmu, dlog_sigma = mle.gaussian_nll_backward(2.0, np.array([3.0, 1.0]), np.ones(2), np.log([2.0, 5.0]))
    assert dmu == pytest.approx([-0.5, 0.0], abs=1e-15)
    assert dlog_sigma == pytest.approx([0.0, 1.0], abs=1e-15)  # one sigma away: no vote; hit: a vote for narrower


def test_gradient_descent_finds_mean_and_biased_std_of_four_numbers():
    mu, sigma = mle.gaussian_by_gradient_descent(np.array([1.0, 1.0, 5.0, 5.0]))
    assert mu == pytest.approx(3.0, abs=1e-10)
    assert sigma == pytest.approx(2.0, abs=1e-10)


def test_bce_by_hand():
    assert mle.bce_with_logits(np.array([0.0, 1e4, -1e4]), np.array([1.0, 0.0, 0.0])) == pytest.approx(
        [np.log(2), 1e4, 0.0], rel=1e-15
    )


def test_a_sample_of_tiny_width_fixes_the_line():
    x, y = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, -50.0])
    assert mle.weighted_line(x, y, np.array([1e-4, 1e-4, 1e4])) == pytest.approx([2.0, 1.0], abs=1e-6)


def test_the_transform_of_true_forecasts_is_uniform():
    x, y = mle.draw_noisy(np.random.default_rng(0), 20_000)
    pit = mle.truth(x).pit(y)
    for level in (0.1, 0.5, 0.9):
        assert mle.coverage(pit, level) == pytest.approx(level, abs=0.012)
    assert mle.normal_cdf(np.array([0.0, 1.6448536269514722])) == pytest.approx([0.5, 0.95], abs=1e-12)


def test_a_temperature_that_was_multiplied_in_is_found():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(4000, 3)) * 2
    p = np.exp(mle.log_softmax(logits))
    labels = (p.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    assert mle.best_temperature(3 * logits, labels) == pytest.approx(3, rel=0.1)
    assert abs(mle.overconfidence(logits, labels)) < 0.02


def test_reliability_counts_every_answer_once():
    logits = np.log(np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]))
    count, promised, right = mle.reliability(logits, np.array([0, 1, 1]), np.array([0.0, 0.7, 1.0]))
    assert list(count) == [1, 2]
    assert promised == pytest.approx([0.6, 0.85])
    assert right == pytest.approx([0.0, 1.0])


def test_training_is_repeatable():
    x, y = mle.draw_noisy(np.random.default_rng(0), 100)
    first, second = (mle.forecast(mle.train_regression(x, y, 2, 3, seed=5), x) for _ in range(2))
    assert np.array_equal(first.sigma, second.sigma)
    assert not np.array_equal(first.sigma, mle.forecast(mle.train_regression(x, y, 2, 3, seed=6), x).sigma)


# ---- figures


def test_figures_show_the_numbers(run):
    assert {path.stem for path in run.out.iterdir()} == {
        "mle-losses", "mle-fit", "mle-calibration", "mle-two-views", "mle-digits",
    }  # fmt: skip
    shown = data(run, "mle-calibration")
    at_90 = int(np.abs(shown["levels"] - 0.9).argmin())
    assert np.array_equal(shown["covered"][:, :, at_90], run.results["coverage"]["all"])
    assert shown["histogram"].mean(axis=2) == pytest.approx(1, abs=1e-12)
    losses = data(run, "mle-losses")
    assert losses["loss of gaussian"].argmin(axis=1) == pytest.approx(80)  # at mu = y
    assert losses["predictions"][losses["loss of poisson"].argmin(axis=1)[1]] == pytest.approx(np.log(2), abs=0.03)
    digits = data(run, "mle-digits")
    assert (digits["count"].sum(axis=1) == 3 * 500).all()
    fit = data(run, "mle-fit")
    assert np.ptp(fit["fixed"][1]) == 0
    assert fit["own"][1][-1] > 3 * fit["own"][1][0]
