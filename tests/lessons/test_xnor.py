"""The XNOR lesson: known answers by hand, the numbers of its errata, its networks on bits, and its figures' data."""

from __future__ import annotations

import numpy as np
import pytest

import kernels
import minigrad as mg
from lessons.anatomy import Run
from lessons.anatomy.consequence import side_by_side
from lessons.data.digits import Digits, load_digits
from lessons.lab.training import outputs
from lessons.vision import xnor
from lessons.vision.xnor import RULES, lesson

FIGURES = {"xnor-approximation", "xnor-descent", "xnor-straight-through", "xnor-speedup", "xnor-training"}


@pytest.fixture(scope="module")
def run(quick_run) -> Run:
    return quick_run("xnor")


@pytest.fixture(scope="module")
def few_digits() -> Digits:
    return xnor.small_digits(Digits(*(array[:400] for array in load_digits())), dense=True)


def data(run: Run, name: str) -> dict[str, np.ndarray]:
    with np.load(run.out / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


# ---- headlines


def test_headline_bits_learn_straight_through_and_not_with_the_factor_r(run):
    scores = run.results["scores"]
    right = scores["XNOR", "right"]
    assert right.min() > 0.8
    assert (scores["float", "right"] - right).mean() < 0.12
    assert (right - scores["XNOR", "factor r"]).min() > 0.3
    assert (right - scores["XNOR", "both as printed"]).min() > 0.1
    assert abs((right - scores["XNOR", "one summand"]).mean()) < 0.03


def test_headline_memory_is_counted_in_bytes(run):
    assert run.results["memory at 256 channels"] == pytest.approx(31.5616, abs=1e-4)
    assert run.results["memory at 3 channels"] == pytest.approx(108 / 76)
    assert run.results["memory at 100 channels"] < run.results["memory at 64 channels"], "28 bits of 128 are not used"


def test_headline_speed_model_and_race(run):
    assert xnor.model_speed_up(256, 9) == pytest.approx(62.27, abs=0.005)
    assert xnor.model_speed_up(3, 9) == pytest.approx(18.99, abs=0.005)
    races = run.results["races"]
    assert set(races) == {(32, 3), (64, 3)}
    for race in races.values():
        assert race.disagreement < 1e-4
        assert race.speed_ups["naive"] > 3, "a loose order of magnitude; it is hundreds"


def test_what_is_lost(run):
    assert run.results["lost"]["gaussian"] == pytest.approx(1 - 2 / np.pi, abs=0.01)
    assert run.results["lost"]["uniform"] == pytest.approx(0.25, abs=0.01)
    assert xnor.lost_share(np.array([2.0, -2.0, 2.0])) == pytest.approx(0, abs=1e-15)
    assert xnor.lost_share(np.array([3.0, 0.0, 0.0])) == pytest.approx(2 / 3)


# ---- errata


def test_errata_and_their_numbers(run):
    assert [part.name for part in lesson.errata] == ["a_factor_r", "one_weight_of_the_sum", "no_product_of_means"]
    # Fixed data, so fixed numbers.
    assert run.results["one summand"] == pytest.approx(0.986, abs=5e-4)
    assert run.results["cosines"] == pytest.approx((0.0314, 0.944), abs=5e-4)
    # Theory: (2/pi) / E|XW|, and the excess (E|XW| - 2/pi)^2 / (1 + 2 rho^2 - E|XW|^2).
    for rho, (ratio, excess) in {0.5: (0.887, 0.0067), 0.9: (0.693, 0.0448)}.items():
        found = run.results[f"product rule at {rho}"]
        assert found[0] == pytest.approx(ratio, abs=0.01)
        assert found[1] == pytest.approx(excess, abs=0.003)


def test_descent_by_hand():
    assert xnor.descend(xnor.straight_through, steps=3) == pytest.approx([-0.3, -0.1, 0.1, 0.1])
    path = xnor.descend(xnor.printed_slope, steps=9)
    assert path[:8] == pytest.approx(-0.3 * 1.2 ** np.arange(8))
    assert path[7] == path[9] == pytest.approx(-1.07495, abs=1e-5)


def test_expected_product_of_gaussians():
    assert xnor.gaussian_product(0.0) == pytest.approx(2 / np.pi)
    assert xnor.gaussian_product(1.0) == pytest.approx(1.0)
    assert xnor.gaussian_product(0.5) == pytest.approx(0.718, abs=5e-4)


# ---- exact answers


def test_binarize_by_hand():
    alpha, B = xnor.binarize(np.array([[1.0, -2.0, 0.0, -0.0], [0.5, 0.5, -0.5, 0.5]]))
    assert np.array_equal(alpha, [0.75, 0.5])
    assert np.array_equal(B, [[1, -1, 1, 1], [1, 1, -1, 1]])


def test_weight_gradient_by_hand():
    W, g = np.array([[0.5, -1.5, -0.25, 0.75]]), np.array([[1.0, 2.0, 0.0, 4.0]])
    # sum of g sign(W) = 1 - 2 - 0 + 4 = 3, alpha = 3/4; the second weight is beyond 1.
    want = 0.75 * np.array([[1, -1, -1, 1]]) + 0.75 * np.array([[1, 0, 0, 4]])
    assert np.array_equal(xnor.weight_gradient(g, W), want)
    edge = xnor.weight_gradient(np.ones((1, 2)), np.array([[1.0, -1.0]]))  # |W| = 1 still passes
    assert np.array_equal(edge, [[1, 1]])


def test_k_map_by_hand():
    image = np.array([[[1.0, -2.0, 3.0], [0.0, 4.0, -4.0]], [[-1.0, 0.0, 1.0], [2.0, 0.0, 0.0]]])
    A, K = xnor.k_map(image, 2, 1)
    assert np.array_equal(A, [[1, 1, 2], [1, 2, 2]])
    assert np.array_equal(K, [[1, 1.5, 2]])


@pytest.mark.parametrize("n", [1, 63, 64, 65, 128, 300])
def test_packed_dot_products_are_exact(n):
    rng = np.random.default_rng(n)
    H, B = rng.choice([-1, 1], (3, n)), rng.choice([-1, 1], (2, n))
    y = xnor.packed_dot(xnor.pack(H), xnor.pack(B), n)
    assert y.dtype == np.int64
    assert np.array_equal(y, H @ B.T)
    assert np.array_equal(xnor.packed_dot(xnor.pack(H), xnor.pack(-H), n).diagonal(), [-n] * 3)


def test_packed_words_by_hand():
    signs = np.ones((1, 66))
    signs[0, [0, 3, 65]] = -1
    assert xnor.pack(signs).tolist() == [[0b1001, 0b10]]


def test_binary_convolution_is_the_kernels():
    rng = np.random.default_rng(7)
    image, W = rng.normal(size=(70, 6, 5)), rng.normal(size=(3, 70, 2, 3))
    theirs = kernels.xnor_conv2d(image[None], W, scale_input=True)[0]
    assert np.allclose(xnor.binary_convolution(image, W), theirs, rtol=1e-12)


def test_slope_is_exact_for_the_surrogate_and_zero_for_a_sign():
    g, W = xnor.draw_filters(np.random.default_rng(8))
    assert np.array_equal(xnor.slope(lambda W: np.where(W < 0, -1.0, 1.0), W, g), np.zeros_like(W))
    assert ((np.abs(W) > 1).any(axis=1) & (np.abs(W) < 1).any(axis=1)).any(), "both sides of 1 must be drawn"


# ---- the networks


def test_the_experiments_layer_is_minigrads():
    rng = np.random.default_rng(9)
    x, W, g = (mg.tensor(rng.normal(size=size)) for size in ((2, 3, 5, 5), (4, 3, 3, 3), (2, 4, 5, 5)))
    found = []
    for layer in (
        lambda x, W: mg.nn.functional.conv2d(
            xnor.take_signs(x, rule=RULES["right"]), xnor.binary_weights(W, rule=RULES["right"]), padding=1
        ),
        lambda x, W: mg.nn.functional.binary_conv2d(x, W, padding=1),
    ):
        leaves = [tensor.detach().requires_grad_() for tensor in (x, W)]
        y = layer(*leaves)
        found.append([y, *mg.autograd.grad(y, leaves, g)])
    for ours, theirs in zip(*found, strict=True):
        assert np.allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_the_printed_rules_are_the_printed_formulas():
    rng = np.random.default_rng(10)
    g, W = rng.normal(size=(2, 3, 8))
    alpha = xnor.binarize(W)[0][:, None]
    for name, want in {
        "factor r": xnor.two_terms(g, W)[0] + alpha * g * xnor.printed_slope(W),
        "one summand": g * (1 / 8 + alpha * xnor.straight_through(W)),
        "both as printed": g * (1 / 8 + alpha * xnor.printed_slope(W)),
    }.items():
        leaf = mg.tensor(W, requires_grad=True)
        xnor.binary_weights(leaf, rule=RULES[name]).backward(mg.tensor(g))
        assert np.allclose(leaf.grad.numpy(), want, rtol=1e-12), name


@pytest.mark.parametrize("dense", [True, False])
def test_a_network_gives_the_same_on_bits(dense):
    digits = xnor.small_digits(Digits(*(array[:100] for array in load_digits())), dense)
    # Trained a little, so that batch norm moves inputs that are 0 but for rounding away from where the sign changes.
    model = xnor.train(digits, "XNOR", RULES["right"], 8, 1, seed=0, batch_size=20).model
    bits = xnor.on_bits(model)
    assert sum(isinstance(part, xnor.OnBits) for part in bits) == 2
    assert np.allclose(outputs(bits, digits.images), outputs(model, digits.images), rtol=1e-4, atol=1e-5)


def test_the_scale_term_vanishes_before_batch_norm(few_digits):
    model = xnor.train(few_digits, "XNOR", RULES["right"], 8, 1, seed=0, batch_size=50).model
    assert 0 < xnor.scale_share(model, few_digits.images, few_digits.labels) < 0.01
    mg.manual_seed(0)
    bare = mg.nn.Sequential(xnor.Binary(mg.nn.Linear(196, 10, bias=False), False, RULES["right"]))
    assert xnor.scale_share(bare, few_digits.images, few_digits.labels) > 0.02


def test_training_is_repeatable(few_digits):
    first, second, other = (
        xnor.train(few_digits, "XNOR", RULES["right"], 8, 1, seed, batch_size=50) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.losses, second.losses)
    assert not np.array_equal(first.losses, other.losses)
    assert first.losses.shape == (8,)


def test_small_digits_are_means_of_four_pixels():
    digits = load_digits()
    small = xnor.small_digits(digits, dense=False)
    assert small.images.shape == (5000, 1, 14, 14)
    square = digits.images[3].reshape(28, 28)[10:12, 12:14]
    assert small.images[3, 0, 5, 6] == pytest.approx(square.mean(), abs=1e-6)


def test_running_mean():
    assert np.array_equal(xnor.smooth(np.array([1.0, 3.0, 5.0, 1.0]), 2), [2, 4, 3])


# ---- exercises


@pytest.mark.parametrize(
    ("exercise", "parts"),
    {
        "binarize": ("np.sign", "sums instead of averaging", "the mean of W"),
        "weight_gradient": ("only j = i", "factor W in the slope", "misses 1/n", "misses alpha"),
        "k_map": ("as the index is printed", "misses 1/c", "misses 1/(w h)"),
        "packed_dot": ("bits left over", "xor and xnor the wrong way", "unsigned"),
    }.items(),
)
def test_the_classic_mistakes_are_declared(exercise, parts):
    declared = " | ".join(lesson.exercise_named(exercise).mistakes)
    assert [part for part in parts if part not in declared] == []


def test_a_wrong_gradient_shows_in_a_training():
    exercise = lesson.exercise_named("weight_gradient")
    wrong = exercise.mistakes["has a factor W in the slope of the sign, as printed"]
    found = side_by_side(exercise.consequence, wrong, exercise.solution, seconds=60, steps=60)
    assert found.yours.smooth()[-1] > 1.5 * found.right.smooth()[-1]


# ---- figures


def test_figures_are_these(run):
    assert {path.stem for path in run.out.iterdir()} == FIGURES


def test_figure_of_the_approximation_has_its_lowest_point_at_the_mean_magnitude(run):
    shown = data(run, "xnor-approximation")
    assert shown["alpha"] == pytest.approx(np.abs(shown["W"]).mean())
    right, one, three = (shown[f"J with {k} flips"] for k in (0, 1, 3))
    assert shown["scales"][right.argmin()] == pytest.approx(shown["alpha"], rel=0.02)
    assert right.min() < one.min() < three.min()


def test_figure_of_the_stand_ins_and_the_descent(run):
    shown = data(run, "xnor-straight-through")
    inside = np.abs(shown["r"]) < 1
    assert np.array_equal(shown["straight through"], inside)
    assert np.array_equal(shown["printed"], shown["r"] * inside)
    paths = data(run, "xnor-descent")
    assert paths["straight through"][-1] > 0 > -1 > paths["printed"][-1]


def test_figure_of_the_training_shows_the_scores(run):
    shown = data(run, "xnor-training")
    for (kind, rule), scores in run.results["scores"].items():
        assert np.array_equal(shown[f"accuracy of {kind}, {rule}"], scores)
    curve = shown["loss of XNOR, right"]
    assert (curve[:, -1] < 0.5 * curve[:, 0]).all()


def test_figure_of_the_speed_up_shows_the_races(run):
    shown = data(run, "xnor-speedup")
    assert np.array_equal(shown["channels"], [32, 64])
    naive = [run.results["races"][c, 3].speed_ups["naive"] for c in (32, 64)]
    median, low, high = shown["naive over channels"].T
    assert np.array_equal(median, naive)
    assert (low <= median).all()
    assert (median <= high).all()
