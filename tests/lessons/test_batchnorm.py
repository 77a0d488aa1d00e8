"""The batch-norm lesson: what it claims holds, its checks can fail, and its figures show what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lessons.anatomy import Run, Slider
from lessons.data.digits import Digits, load_digits
from lessons.vision import batchnorm
from lessons.vision.batchnorm import lesson

ROOT = Path(__file__).resolve().parents[2]

FIGURES = {
    "batchnorm-graph",
    "batchnorm-fit",
    "batchnorm-timing",
    "batchnorm-losses",
    "batchnorm-learning-rates",
}


@pytest.fixture(scope="module")
def run(quick_run) -> Run:
    return quick_run("batchnorm")


def data(run: Run, name: str) -> dict[str, np.ndarray]:
    with np.load(run.out / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


# ---- the run


def test_headline_batch_norm_learns_at_every_rate_and_the_plain_network_does_not(run):
    rates, scores = run.results["rates"], run.results["scores"]
    assert max(rates) / min(rates) == pytest.approx(300)
    assert scores[True].min() > 0.8
    assert scores[False][rates.index(3.0)].max() < 0.5


def test_reading_digits_in_pairs_or_by_class_ruins_the_answers(run):
    results = run.results["who else"]
    in_eval = results["one by one, running statistics (eval mode)"]
    assert in_eval > 0.85
    assert results["mixed batches of 2, batch statistics"] < in_eval - 0.2
    assert results["batches of one class each, batch statistics"] < in_eval - 0.2


# ---- errata


def test_the_two_wrong_lines_are_wrong_by_these_numbers(run):
    assert [part.name for part in lesson.errata] == ["sign_slip", "misplaced_sum"]
    assert all(part.erratum.kind == "M" for part in lesson.errata)
    # Fixed data, so fixed numbers.
    assert run.results["sign slip"] == pytest.approx(0.571, abs=5e-4)
    assert run.results["misplaced sum"] == pytest.approx(0.286, abs=5e-4)
    # The printed forms have the var term -1 times and 0 times: the first is off by twice the second.
    assert run.results["sign slip"] == pytest.approx(2 * run.results["misplaced sum"], rel=1e-12)


# ---- exercises


MISTAKES = [(exercise, name) for exercise in lesson.exercise_list for name in exercise.mistakes]


@pytest.mark.parametrize("exercise", ["closed_form_dx", "staged_backward"])
def test_the_classic_mistakes_are_declared(exercise):
    declared = " | ".join(lesson.exercise_named(exercise).mistakes)
    for part in (
        "returns zeros",
        "forgets gamma",
        "drops the mean term",
        "drops the var term",
        "flips the sign of the mean term",
        "flips the sign of the var term",
        "N - 1",
        "misses 1/N in the mean term",
        "misses 1/N in the var term",
        "sigma for sigma squared",
        "forgets eps",
    ):
        assert part in declared


# ---- exact answers


def test_forward_by_hand():
    x = np.array([[1.0, 0.0], [5.0, 0.0], [1.0, 0.0], [5.0, 12.0]])
    y, x_hat, inv_std = batchnorm.forward(x, np.array([10.0, 1.0]), np.array([3.0, 0.0]), 0.0)
    assert np.array_equal(x_hat[:, 0], [-1, 1, -1, 1])
    assert np.array_equal(y[:, 0], [-7, 13, -7, 13])
    assert inv_std[0] == 0.5
    assert inv_std[1] == pytest.approx(1 / np.sqrt(27), rel=1e-15)


def test_a_batch_of_two_keeps_only_the_order():
    x = np.array([[0.0, 8.0], [1024.0, -8.0]])  # powers of two: everything is exact
    _, x_hat, inv_std = batchnorm.forward(x, np.ones(2), np.zeros(2), 0.0)
    assert np.array_equal(x_hat, [[-1, 1], [1, -1]])
    dy = np.array([[0.75, -3.0], [2.0, 1.5]])
    assert np.array_equal(batchnorm.closed_form_dx(dy, x_hat, np.ones(2), inv_std), np.zeros((2, 2)))


def test_the_judge_knows_derivatives_and_is_blind_to_an_upstream_of_ones():
    x = np.array([[0.5, -2.0], [3.0, 0.25]])
    upstream = np.array([[1.0, -1.0], [2.0, 0.5]])
    assert np.allclose(batchnorm.slope(lambda x: x**3, x, upstream), 3 * x**2 * upstream, rtol=1e-15, atol=0)
    assert np.allclose(batchnorm.slope(lambda m: x - m, np.zeros(2), upstream), -upstream.sum(axis=0), atol=0)

    batch = batchnorm.draw(np.random.default_rng(5))
    x, gamma, beta, dy = batch
    assert np.abs(batchnorm.judged(x, gamma, beta, np.ones_like(dy))[0]).max() < 1e-12
    assert np.abs(batchnorm.judged(x, gamma, beta, dy)[0]).max() > 0.1


def test_dx_along_x_hat_is_exactly_proportional_to_eps():
    x, gamma, beta, dy = batchnorm.draw(np.random.default_rng(6), samples=9, features=4)
    for eps in (0.0, 1e-5, 0.3):
        _, x_hat, inv_std = batchnorm.forward(x, gamma, beta, eps)
        dx = batchnorm.closed_form_dx(dy, x_hat, gamma, inv_std)
        along = gamma * inv_std**3 * eps * (dy * x_hat).sum(axis=0)
        assert np.allclose((dx * x_hat).sum(axis=0), along, rtol=1e-9, atol=1e-13)


def test_running_median_of_losses():
    assert np.array_equal(batchnorm.smooth([1.0, 9.0, 3.0, 4.0], 3), [3, 4])
    assert batchnorm.smooth([1.0], 2).shape == (0,)


def test_an_overflow_is_a_result_and_not_an_error():
    digits = load_digits()
    history = batchnorm.train(digits, batch_norm=False, lr=1e20, epochs=1, seed=0)
    assert history.overflowed
    assert history.accuracy == batchnorm.CHANCE
    assert 0 < len(history.losses) < 10
    assert np.isfinite(history.losses).all()


def test_training_is_repeatable():
    digits = Digits(*(array[:300] for array in load_digits()))
    first, second = (batchnorm.train(digits, True, 0.1, 1, seed=3) for _ in range(2))
    assert first.losses == second.losses
    assert first.losses != batchnorm.train(digits, True, 0.1, 1, seed=4).losses


# ---- figures


def test_figures_are_complete(run):
    names = {path.name for path in run.out.iterdir() if not path.name.startswith("batchnorm-slider")}
    assert names == {f"{name}{suffix}" for name in FIGURES for suffix in (".svg", ".png", ".npz")}


def test_figure_of_the_graph_shows_every_arrow_of_the_forward_pass(run):
    assert set(data(run, "batchnorm-graph")["edges"]) == {
        "x -> mu", "x -> centred", "mu -> centred", "centred -> var", "centred -> x_hat", "var -> inv_std",
        "inv_std -> x_hat", "x_hat -> y", "gamma -> y", "beta -> y",
    }  # fmt: skip


def test_figure_of_the_fit_shows_residuals(run):
    shown = data(run, "batchnorm-fit")
    assert np.allclose(shown["dx"], shown["direct"] + shown["mean"] + shown["var"], atol=1e-14)
    slope, offset = np.polyfit(shown["x_hat"], shown["dx"], 1)
    assert abs(slope) < 1e-12
    assert abs(offset) < 1e-12
    assert np.ptp(shown["mean"]) == 0
    assert np.abs(shown["dx"]).max() > 1, "a picture of nothing"


def test_figure_of_the_timing_has_a_ratio_for_every_shape(run):
    shown = data(run, "batchnorm-timing")
    shapes = shown.pop("shapes")
    assert shapes.shape == (2, 2)
    assert {"staged", "closed", "reusing", "kernel"} <= set(shown)
    for ratios in shown.values():
        assert ratios.shape == (2,)
        assert np.isfinite(ratios).all()
        assert (ratios > 0).all()


def test_figure_of_the_accuracies_shows_the_scores(run):
    shown = data(run, "batchnorm-learning-rates")
    assert np.array_equal(shown["rates"], run.results["rates"])
    assert np.array_equal(shown["with"], run.results["scores"][True])
    assert np.array_equal(shown["without"], run.results["scores"][False])


def test_figure_of_the_losses_falls_with_batch_norm(run):
    shown = data(run, "batchnorm-losses")
    assert set(shown) == {f"{which} at {rate}" for which in ("with", "without") for rate in ("0.01", "0.3", "3")}
    for rate in ("0.01", "0.3", "3"):
        curves = shown[f"with at {rate}"]
        assert (curves[:, -1] < 0.6 * curves[:, 0]).all()


def test_frames_of_the_slider_show_every_run_at_every_rate(run):
    shown = data(run, "batchnorm-slider")
    [slider] = [item for section in run.sections for item in section.items if isinstance(item, Slider)]
    rates = run.results["rates"]
    assert len(rates) >= 5
    assert slider.axes[0].values == tuple(shown.pop("rates")) == rates
    assert len(slider.frames) == len(rates)
    assert rates[slider.start[0]] == 0.3
    assert set(shown) == {f"{which} at {rate:g}" for which in ("with", "without") for rate in rates}
    assert {len(curves) for curves in shown.values()} == {3}
    for name, curves in data(run, "batchnorm-losses").items():
        assert np.array_equal(curves, shown[name])


def history(losses: list[float], overflowed: bool = False) -> batchnorm.History:
    return batchnorm.History(losses, 0.1, overflowed, None)


def test_a_frame_shows_its_curves_and_says_what_they_cannot_show():
    curves = batchnorm.LossCurves(steps=6, runs=2)
    good = [history([3.0, 2.0, 1.0, 1.0]), history([3.0, 2.0, 2.0, 1.0])]
    bad = [history([3.0, 5e6, 9.0], overflowed=True), history([3.0, 4.0, 9.0, 9.0])]
    curves.draw(0.1, {True: good, False: bad}, window=1)
    *each, middle = curves.lines[True]
    assert [line.get_ydata().tolist() for line in each] == [[3, 2, 1, 1], [3, 2, 2, 1]]
    assert middle.get_ydata().tolist() == [3, 2, 1.5, 1]
    assert middle.get_xdata().tolist() == [1, 2, 3, 4]
    assert len(curves.lines[False][0].get_ydata()) == 3, "all end where the first overflow does"
    assert curves.note.get_text() == "without: overflow in 1 of 2 runs\nlosses up to 5e+06"
    curves.draw(0.2, {True: good, False: good}, window=1)
    assert curves.note.get_text() == ""
    assert curves.axes.get_title() == "learning rate 0.2"


# ---- PyTorch


def test_the_recorded_values_are_compared_and_small(run):
    recorded = [claim for claim in run.claims if claim.kind == "recorded"]
    assert [claim.text for claim in recorded] == [f"{name}: recorded" for name in ("y", "dx", "dgamma", "dbeta")]
    assert all(claim.measured < 1e-13 for claim in recorded)
    assert (ROOT / "lessons" / "vision" / "batchnorm_torch.npz").stat().st_size < 10_000
