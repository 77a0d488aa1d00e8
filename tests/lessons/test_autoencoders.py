"""The lesson on autoencoders: exact answers by hand, what the experiments say, and the data of the figures."""

from __future__ import annotations

import numpy as np
import pytest

from lessons.anatomy import Run
from lessons.data.digits import Digits, load_digits
from lessons.generative import autoencoders
from lessons.generative.autoencoders import lesson

FIGURES = {
    "autoencoders-bottleneck",
    "autoencoders-linear",
    "autoencoders-score",
    "autoencoders-rows",
    "autoencoders-corruption",
    "autoencoders-plane",
}


@pytest.fixture(scope="module")
def run(quick_run) -> Run:
    return quick_run("autoencoders")


def data(run: Run, name: str) -> dict[str, np.ndarray]:
    with np.load(run.out / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


# ---- the run


def test_headline_a_denoising_autoencoder_restores_more_of_half_erased_digits(run):
    gains = run.results["gains"]
    assert gains["ae"].min() > 2
    assert gains["pca"].min() > 5
    # Brightness is most of it: dividing by 1 - p helps the others a lot.
    assert gains["ae, told p"].mean() < 0.7 * gains["ae"].mean()


def test_the_price_on_clean_images(run):
    clean = {name: values[:, 0].mean() for name, values in run.results["corruption"].items()}
    assert clean["ae"] < clean["mixed"] < clean["dae"]
    assert np.array_equal(run.results["corruption"]["pca"][:, 0], run.results["corruption"]["pca, told p"][:, 0])


def test_a_linear_autoencoder_reaches_the_discarded_eigenvalues(run):
    linear = run.results["linear"]
    assert linear["best"] == pytest.approx(linear["eigenvalues"][3:].sum(), rel=1e-14)
    assert linear["reached"] == pytest.approx(linear["best"], rel=1e-6)
    assert linear["best"] == pytest.approx(4.21634, abs=1e-5), "fixed data, so a fixed number"


def test_the_entropy_of_grey_pixels_is_the_floor_of_the_loss(run):
    images = load_digits().test_images.astype(np.float64)
    grey = images[(images > 0) & (images < 1)]
    entropy = -(grey * np.log(grey) + (1 - grey) * np.log(1 - grey)).sum() / len(images)
    assert run.results["entropy floor"] == pytest.approx(entropy, rel=1e-6)
    assert entropy == pytest.approx(45.35, abs=0.01)


def test_the_errata_are_these(run):
    assert [(part.name, part.erratum.kind) for part in lesson.errata] == [
        ("undefined_corruption", "N"),
        ("no_bottleneck_needed", "W"),
    ]
    pairs = run.results["pairs"]
    assert pairs["independent"] == pytest.approx(1 / 4, abs=0.015)
    assert pairs["fixed number"] == pytest.approx(1 / 6, abs=0.015)


# ---- exact answers


def test_mask_by_hand():
    x = np.array([[1.0, 2.0, 3.0]])
    u = np.array([[0.2, 0.3, 0.4]])
    assert np.array_equal(autoencoders.mask(x, u, 0.3), [[0, 2, 3]])
    assert np.array_equal(autoencoders.mask(x, u, 0.0), x)
    assert np.array_equal(autoencoders.mask(x, u, 1.0), [[0, 0, 0]])
    assert autoencoders.mask(x.astype(np.float32), u.astype(np.float32), 0.3).dtype == np.float32


def test_linear_denoiser_by_hand():
    # Two pixels that are always equal and have mean square 1, each lost half of the time. If both survive, each is
    # right; the best weights are equal: w = E[x x~] / (E[x~ x~] + E[x~ y~]) = 1/2 / (1/2 + 1/4) = 2/3.
    S = np.array([[1.0, 1.0], [1.0, 1.0]])
    assert autoencoders.linear_denoiser(S, 0.5) == pytest.approx(np.full((2, 2), 2 / 3), rel=1e-12)
    # Uncorrelated pixels have nothing to tell each other, and what survives is right as it is.
    assert autoencoders.linear_denoiser(np.diag([1.0, 4.0]), 0.3) == pytest.approx(np.eye(2), abs=1e-15)


def test_linear_denoiser_is_the_least_squares_solution_over_all_masks():
    x = autoencoders.some_data(np.random.default_rng(0), 40)[:, :3] + 1
    p = 0.35
    masks = np.array(list(np.ndindex(2, 2, 2)), dtype=float)
    weights = np.prod(np.where(masks == 1, 1 - p, p), axis=1)
    spoiled = np.concatenate([x * m * np.sqrt(w) for m, w in zip(masks, weights, strict=True)])
    clean = np.concatenate([x * np.sqrt(w) for w in weights])
    exact = np.linalg.lstsq(spoiled, clean, rcond=None)[0].T
    assert np.allclose(autoencoders.linear_denoiser(x.T @ x / len(x), p), exact, rtol=1e-9, atol=1e-11)


def test_posterior_mean_by_hand():
    points = np.array([[-1.0], [1.0]])
    noisy = np.array([[0.0], [0.5], [100.0]])
    # Two points at -1 and 1: the mean is tanh(x / sigma^2).
    want = np.tanh(noisy / 0.8**2)
    assert autoencoders.posterior_mean(noisy, points, 0.8) == pytest.approx(want, rel=1e-12)


def test_score_of_a_single_point_is_a_line():
    noisy = np.array([[1.0, 2.0], [-0.5, 0.0]])
    assert autoencoders.score(noisy, np.zeros((1, 2)), 2.0) == pytest.approx(-noisy / 4, rel=1e-14)


def test_tied_backward_by_hand():
    # One sample, one pixel, one hidden unit.
    x, spoiled, z, y, W = (np.array([[value]]) for value in (0.5, 0.25, 0.75, 0.875, 2.0))
    dW, db, dc = autoencoders.tied_backward(4.0, x, spoiled, z, y, W)
    delta_y = 4 * (0.875 - 0.5)
    delta_z = delta_y * 2 * 0.75 * 0.25
    assert dc[0] == delta_y
    assert db[0] == delta_z
    assert dW[0, 0] == delta_z * 0.25 + 0.75 * delta_y


def test_sigmoid_is_safe_far_out():
    with np.errstate(all="raise"):
        assert np.array_equal(autoencoders.sigmoid(np.array([-1e5, 0.0, 1e5])), [0, 0.5, 1])


def test_pca_keeps_what_lies_in_its_plane():
    rng = np.random.default_rng(1)
    images = (rng.normal(size=(50, 2)) @ rng.normal(size=(2, 6)) + rng.normal(size=6)).astype(np.float32)
    mean, components = autoencoders.pca(images, 2)
    assert components @ components.T == pytest.approx(np.eye(2), abs=1e-12)
    assert autoencoders.projector(mean, components)(images) == pytest.approx(images, abs=1e-5)
    assert mean == pytest.approx(images.mean(axis=0), abs=1e-5)


def test_neighbours_vote():
    codes = np.concatenate([np.zeros((20, 2)), np.full((20, 2), 9.0)])
    labels = np.repeat([3, 7], 20)
    test_codes = np.array([[0.1, 0.0], [8.0, 9.0]])
    assert autoencoders.neighbours_right(codes, labels, test_codes, np.array([3, 7])) == 1
    assert autoencoders.neighbours_right(codes, labels, test_codes, np.array([3, 3])) == 0.5


# ---- training


def test_training_is_repeatable_and_the_corruption_matters():
    few = Digits(*(array[:200] for array in load_digits()))
    size = autoencoders.Sizes(seeds=2, code=3, hidden=8, epochs=2, rate=1e-2)

    def restored(spoil, seed):
        return autoencoders.restorer(autoencoders.train_autoencoder(few, size, spoil, seed))(few.test_images)

    first = restored((0.0, 0.8), 1)
    assert np.array_equal(first, restored((0.0, 0.8), 1))
    assert not np.array_equal(first, restored((0.0, 0.8), 2))
    assert not np.array_equal(first, restored((0.0, 0.0), 1))
    assert 0 < first.min() < first.max() < 1


# ---- figures


def test_figures_are_complete(run):
    names = {path.stem for path in run.out.iterdir()}
    assert names == FIGURES


def test_figure_of_the_stairs_ends_on_the_lowest_level(run):
    shown = data(run, "autoencoders-linear")
    assert (np.diff(shown["losses"]) < 1e-9).all(), "gradient descent goes down"
    assert shown["losses"][0] == pytest.approx(shown["levels"][0], rel=1e-6)
    assert shown["losses"][-1] == pytest.approx(shown["levels"][-1], rel=1e-6)
    # It rests at each level in between: many steps within one percent of the first.
    for level in shown["levels"][1:-1]:
        assert (np.abs(shown["losses"] - level) < 0.01 * shown["levels"][0]).sum() >= 5


def test_figure_of_the_score_shows_the_best_denoiser(run):
    shown = data(run, "autoencoders-score")
    assert np.array_equal(shown["best"], autoencoders.posterior_mean(shown["grid"], shown["points"], 0.45))
    assert shown["learned"].shape == shown["grid"].shape == (361, 2)


def test_figure_of_the_rows_shows_erased_and_restored_digits(run):
    shown = data(run, "autoencoders-rows")
    assert all(images.shape == (10, 784) for images in shown.values())
    ink = shown["clean"] > 0
    assert 0.4 < (shown["half erased"][ink] == 0).mean() < 0.6
    distance = {name: ((images - shown["clean"]) ** 2).sum(axis=1).mean() for name, images in shown.items()}
    assert distance["denoising, p = 0.5"] < min(distance["PCA"], distance["autoencoder"], distance["half erased"])


def test_figure_of_the_corruption_shows_the_results(run):
    shown = data(run, "autoencoders-corruption")
    assert shown.pop("levels").tolist() == [0.0, 0.3, 0.5, 0.7]
    assert {name: values.tolist() for name, values in shown.items()} == {
        name: values.tolist() for name, values in run.results["corruption"].items()
    }


def test_figure_of_the_planes_shows_every_test_digit(run):
    shown = data(run, "autoencoders-plane")
    assert shown["PCA"].shape == shown["autoencoder"].shape == (1000, 2)
    assert shown["labels"].shape == (1000,)
