"""The VAE lesson: its errata's numbers, known answers, the figures' data, and trainings that can be repeated."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigrad as mg
from lessons.anatomy import Run, Slider
from lessons.generative import vae
from lessons.generative.vae import lesson


@pytest.fixture(scope="module")
def run(quick_run) -> Run:
    return quick_run("vae")


def data(run: Run, name: str) -> dict[str, np.ndarray]:
    with np.load(run.out / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


# ---- the run


def test_headline_no_gap_in_a_linear_model_and_some_nats_on_digits(run):
    linear = run.results["linear"]
    assert 0 <= linear["log_p"] - linear["elbo"] < 0.02
    assert linear["elbo"] <= linear["log_p"] <= linear["best"] + 1e-9
    bounds = run.results["bounds"]["nats"]
    assert (np.diff(bounds, axis=1) > 0).all()
    assert (bounds[:, -1] - bounds[:, 0] > 0.2).all()


def test_the_small_encoder_finds_the_posterior(run):
    found = run.results["small encoder"]
    assert (found.a, found.c, found.s) == pytest.approx((0.5, 0.0, 0.5), abs=0.05)
    assert found.gaps[-1] < found.gaps[0] / 100


# ---- errata


def test_the_errata_are_wrong_by_these_numbers(run):
    assert [(part.name, part.erratum.kind) for part in lesson.errata] == [
        ("reversed_divergence", "M"),
        ("divergence_twice", "M"),
        ("dropped_constant", "M"),
    ]
    assert run.results["reversed KL"][5.0] == pytest.approx(1.8000, abs=1e-4)
    assert run.results["reversed KL"][10.0] == pytest.approx(15.2046, abs=1e-4)
    assert run.results["divergence twice"] == pytest.approx(-2.1939, abs=5e-5)
    assert run.results["dropped constant"] == pytest.approx(4.594693, abs=1e-6)


# ---- known answers


def test_divergence_by_hand():
    mu, log_var = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([[0.0, 0.0], [0.0, math.log(4)]])
    assert vae.kl_to_prior(mu, log_var) == pytest.approx([0.5, 0.5 * (4 + 4 - math.log(4) - 1)])
    assert vae.kl_to_prior(np.array([[0.5]]), np.log([[0.3]])) == pytest.approx([0.3770], abs=1e-4)


def test_gaussian_log_likelihood_by_hand():
    x = np.array([[3.0, 0.0]])
    got = vae.gaussian_log_likelihood(x, np.array([[1.0, 0.0]]), np.log([[4.0, 1.0]]))
    assert got == pytest.approx([-math.log(2 * math.pi) - math.log(2) - 0.5])


def test_bound_by_hand_and_far_out():
    log_w = np.array([[0.0, math.log(3)], [-1e4, -1e4]])
    assert vae.importance_weighted_bound(log_w) == pytest.approx([math.log(2), -1e4], abs=1e-12)
    assert np.array_equal(vae.importance_weighted_bound(log_w[:, :1]), log_w[:, 0])


def test_groups_of_one_are_the_elbo_and_one_group_is_the_bound():
    log_w = np.random.default_rng(0).normal(size=(3, 12))
    assert vae.bound_of_groups(log_w, 1) == pytest.approx(log_w.mean(axis=1))
    assert vae.bound_of_groups(log_w, 12) == pytest.approx(vae.importance_weighted_bound(log_w))
    assert vae.bound_of_groups(log_w, 5) == pytest.approx(vae.bound_of_groups(log_w[:, :10], 5)), "the rest is left out"


def test_normal_quantile_inverts_erf():
    p = np.array([0.01, 0.3, 0.5, 0.9])
    by_engine = math.sqrt(2) * mg.tensor(2 * p - 1).erfinv().numpy()
    assert vae.normal_quantile(p) == pytest.approx(by_engine, abs=1e-12)


def test_mean_gap_is_zero_for_the_posterior_alone():
    assert vae.mean_gap(0.5, 0.0, 0.5) == 0
    assert vae.mean_gap(0.5, 1.0, 0.5) == pytest.approx(1.0)
    assert vae.mean_gap(0.0, 0.0, 0.5) == pytest.approx(0.5)


def test_best_linear_is_the_likelihood_of_the_model_that_the_eigenvectors_give():
    rng = np.random.default_rng(3)
    covariance = np.cov(rng.normal(size=(40, 5)).T)
    values, vectors = np.linalg.eigh(covariance)
    best, noise = vae.best_linear(values[::-1], 2)
    w = vectors[:, :-3:-1] * np.sqrt(values[:-3:-1] - noise)
    assert vae.mean_log_likelihood(w, noise, covariance) == pytest.approx(best, abs=1e-12)
    assert vae.mean_log_likelihood(1.1 * w, noise, covariance) < best


def test_nearest_labels_vote():
    known = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
    labels = np.array([7, 7, 1, 3, 3, 3])
    assert np.array_equal(vae.nearest_labels(np.array([[0.0], [5.0]]), known, labels, k=3), [7, 3])


# ---- networks


def small_images(seed: int = 0) -> vae.Images:
    return vae.as_images((np.random.default_rng(seed).random((200, 16)) < 0.3).astype(np.float32))


def test_the_decoders_are_normalised():
    # Two pixels, so that all four images can be listed: their probabilities add up to 1.
    images = mg.tensor(np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32))
    code = mg.tensor(np.full((4, 3), 0.7, np.float32))
    for build in (vae.BernoulliDecoder, vae.AutoregressiveDecoder):
        mg.manual_seed(1)
        decoder = build(3, 8, 2)
        if build is vae.AutoregressiveDecoder:
            decoder.past.data.copy_(mg.tensor(np.array([[9.0, 2.0], [9.0, 9.0]], np.float32)))
        assert decoder.log_likelihood(code, images).exp().sum().item() == pytest.approx(1.0, abs=1e-6)


def test_log_weights_average_to_the_elbo():
    images = small_images()
    model = vae.train_vae(images, 2, 8, epochs=range(3), seed=0)
    few = vae.Images(images.x[:20], images.given[:20])
    log_w = vae.log_weights(model, few, 400, np.random.default_rng(0))
    eps = np.random.default_rng(1).standard_normal((300, 20, 2)).astype(np.float32)
    with mg.no_grad():
        losses = [model.loss(mg.tensor(few.x), mg.tensor(few.given), mg.tensor(e)).item() for e in eps]
    assert log_w.mean() == pytest.approx(-np.mean(losses), abs=0.05)


def test_training_is_repeatable():
    first, second, other = (
        vae.encoded(vae.train_vae(small_images(), 2, 8, epochs=range(1), seed=s), small_images())[0] for s in (3, 3, 4)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("exercise", lesson.exercise_list, ids=lambda exercise: exercise.name)
def test_the_consequence_learns_with_the_solution(exercise):
    training = exercise.consequence.train(exercise.solution, np.random.default_rng(0))
    losses = [next(training) for _ in range(60)]
    assert losses[-1] < losses[0] - 1


# ---- figures


def test_figure_of_the_gap_touches_the_evidence_once(run):
    shown = data(run, "vae-bound-gap")
    assert shown["elbo"].max() == pytest.approx(float(shown["log_p"]), abs=1e-9)
    assert (shown["elbo"][[0, 2]] < shown["log_p"] - 0.1).all()
    assert np.interp(5, shown["x"], shown["excess"]) == pytest.approx(1.8, abs=1e-3)


def test_figure_of_the_variances_shows_the_three_laws(run):
    shown = data(run, "vae-gradient-variance")
    assert np.array_equal(shown["score"][:2], [3.75, 6.0])
    assert (shown["score measured"] > shown["centred measured"]).all()
    assert (shown["centred measured"] > shown["path measured"]).all()


def test_figures_of_digits_show_the_results(run):
    assert np.array_equal(data(run, "vae-importance")["bounds"], run.results["bounds"]["nats"])
    latents = data(run, "vae-latents")
    assert latents["AE"].shape == latents["VAE"].shape == (500, 2)
    assert (np.diff(data(run, "vae-manifold")["lines"]) > 0).all()
    collapse = data(run, "vae-collapse")
    assert collapse["beta_1"].sum() > collapse["beta_30"].sum()
    linear = data(run, "vae-linear")
    assert linear["measured"] == pytest.approx(linear["theory"], abs=0.05)


def test_frames_of_the_slider_are_decoded_at_their_stops(run):
    shown = data(run, "vae-plane")
    [slider] = [item for section in run.sections for item in section.items if isinstance(item, Slider)]
    stops = vae.STOPS
    assert [axis.values for axis in slider.axes] == [stops, stops]
    assert len(slider.frames) == len(stops) ** 2 == len(shown["images"].reshape(-1, 14, 14))
    assert np.array_equal(shown["codes"], data(run, "vae-latents")["VAE"])


def test_every_frame_of_the_slider_shows_what_its_own_latents_are_decoded_to():
    asked = []

    class Recorded:
        def __init__(self, codes, labels):
            pass

        def draw(self, z, image):
            asked.append((z, image))

    mg.manual_seed(0)
    model, stops = vae.VAE(196, 2, 8, 0), vae.STOPS
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(vae.figures, "LatentPlane", Recorded)
        again = Run("quick")
        patched.setattr(again, "slider", lambda name, axes, draw, **rest: [draw(a, b) for a in stops for b in stops])
        vae.slide_through(again, model, np.zeros((10, 2)), np.zeros((10, 196)), np.arange(10))
    assert len(asked) == 36
    for z, image in asked:
        assert np.allclose(vae.decoded(model, z[None])[0], image, atol=1e-6)
