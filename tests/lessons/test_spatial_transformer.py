"""The lesson on spatial transformers: hand-made answers, honest pairs of networks, and figures that show their data."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from lessons.anatomy import Run
from lessons.vision import _spatial_transformer_data as data
from lessons.vision import _spatial_transformer_figures as figures
from lessons.vision import spatial_transformer as st
from lessons.vision.spatial_transformer import IDENTITY, lesson


@pytest.fixture(scope="module")
def run(quick_run) -> Run:
    return quick_run("spatial_transformer")


def shown(run: Run, name: str) -> dict[str, np.ndarray]:
    with np.load(run.out / f"spatial_transformer-{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


# ---- the run


def test_headline_the_transformer_helps_the_dense_network(run):
    accuracies = run.results["accuracy"]
    gains = accuracies["dense, transformer"] - accuracies["dense"]
    assert run.results["dense gain"][0] == pytest.approx(gains.mean())
    assert gains.min() > 0


def test_it_centres_before_it_turns(run):
    before, after = run.results["spreads"]
    assert after.position < before.position
    assert after.position / before.position < after.angle / before.angle


def test_errata_are_notation_and_wording():
    assert [(part.name, part.erratum.kind) for part in lesson.errata] == [
        ("size_of_the_grid", "W"),
        ("number_of_channels", "N"),
    ]


# ---- the derivation, by hand


def test_grid_by_hand():
    theta = np.array([[[2.0, 0.0, 0.5], [0.0, -1.0, 0.25]]])
    grid = st.grid_generator(theta, 2, 3)
    assert np.array_equal(grid[0, :, :, 0], [[-1.5, 0.5, 2.5], [-1.5, 0.5, 2.5]])
    assert np.array_equal(grid[0, :, :, 1], [[1.25, 1.25, 1.25], [-0.75, -0.75, -0.75]])


def test_sample_by_hand_inside_on_the_edge_and_outside():
    u = np.array([[[[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]]])  # 2 x 3
    x, y = np.array([[[0.5, -1.5, -3.0]]]), np.array([[[0.0, -1.0, 0.0]]])
    # Column 1.5 and row 0.5: the mean of 2, 4, 16 and 32. Column -0.5 of row 0: half of the 1. Column -2: nothing.
    assert np.array_equal(st.sample(u, x, y)[0, 0, 0], [13.5, 0.5, 0.0])


def test_sampler_backward_by_hand():
    u = np.array([[[[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]]]])
    dv = np.array([[[[2.0]]]])
    dx, dy = st.sampler_backward(dv, u, np.array([[[0.5]]]), np.array([[[0.0]]]))
    assert dx.item() == 2 * (2 / 2) * ((4 - 2) + (32 - 16)) / 2
    assert dy.item() == 2 * (1 / 2) * ((16 - 2) + (32 - 4)) / 2


def test_theta_gradient_by_hand():
    dx = np.array([[[1.0, 2.0, 4.0]]])  # one row of three pixels: y is -1 there, x is -1, 0 and 1
    dtheta = st.theta_gradient(dx, -dx)
    assert np.array_equal(dtheta, [[[3.0, -7.0, 7.0], [-3.0, 7.0, -7.0]]])


def test_undo_by_hand():
    theta = np.array([[[0.0, 2.0, 6.0], [1.0, 0.0, -1.0]]])
    assert np.array_equal(st.undo(theta), [[[0.0, 1.0, 1.0], [0.5, 0.0, -3.0]]])
    assert np.array_equal(st.compose(st.undo(theta), theta)[0], IDENTITY)


def test_a_grid_outside_has_no_gradient():
    u, _, dv = st.draw_scene(np.random.default_rng(3))
    away = np.stack([IDENTITY + np.array([[0, 0, 0], [0, 0, -2.6]])] * 2)
    assert not st.transform_backward(dv, u, away).any()


# ---- pictures


def test_the_identity_pose_of_full_size_shows_the_object_itself():
    rng = np.random.default_rng(0)
    still = data.Spread(angle=0, sizes=(1.0, 1.0), shift=0)
    assert np.allclose(data.random_poses(rng, 3, still), IDENTITY)
    images = rng.random((3, 1, 28, 28), dtype=np.float32)
    placed = data.placed_digits(rng, images, np.arange(3), 28, still)
    assert np.allclose(placed.images, images, atol=1e-5)
    assert np.array_equal(placed.labels, [0, 1, 2])


def test_poses_turn_scale_and_shift_as_they_say():
    poses = data.random_poses(np.random.default_rng(1), 4000, data.Spread(60, (0.5, 0.8), 0.4))
    assert np.abs(st.angles(poses)).max() <= 60
    sizes = np.linalg.det(poses[:, :, :2]) ** -0.5
    assert 0.5 <= sizes.min() < 0.51
    assert 0.79 < sizes.max() <= 0.8
    places = st.undo(poses)[:, :, 2]  # where on the canvas the middle of the object is
    assert 0.39 < np.abs(places).max() <= 0.4


def test_a_dot_turned_clockwise_moves_from_the_right_to_the_bottom():
    dot = np.zeros((1, 1, 41, 41))
    dot[0, 0, 20, 35] = 1
    quarter = data.Spread(angle=90, sizes=(1.0, 1.0), shift=0)
    rng = type("Rng", (), {"uniform": lambda self, low, high, size: np.full(size, high)})()  # the largest of everything
    pose = data.random_poses(rng, 1, quarter)
    assert st.angles(pose)[0] == pytest.approx(90)
    turned = data.show(dot, pose, 41, 41)[0, 0]
    assert np.unravel_index(turned.argmax(), turned.shape) == (35, 20)


def test_signs_are_twelve_different_pictures_with_an_opacity():
    templates = data.sign_templates()
    assert templates.shape == (12, 4, 32, 32)
    assert len(data.SIGN_NAMES) == 12
    assert 0 <= templates.min() < templates.max() <= 1
    assert (templates[:, :3] <= templates[:, 3:] + 1e-6).all(), "colours are times the opacity"
    distances = np.abs(templates[:, None] - templates[None]).mean(axis=(2, 3, 4)) + np.eye(12)
    assert distances.min() > 0.01
    right, left = (templates[data.SIGN_NAMES.index(f"disc, {side}")] for side in ("right", "left"))
    assert np.allclose(right, left[:, :, ::-1], atol=1e-6)


def test_pictures_are_repeatable_and_depend_on_the_seed():
    spread = st.PLACEMENTS["thrown about"]
    first, again, other = (data.placed_signs(np.random.default_rng(seed), 6, 32, spread) for seed in (0, 0, 1))
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)
    assert first.images.dtype == np.float32
    assert first.images.min() >= 0
    assert first.images.max() <= 1


def test_clutter_adds_and_never_takes_away():
    rng = np.random.default_rng(2)
    images = rng.random((5, 1, 28, 28), dtype=np.float32)
    spread = data.Spread(0, (0.6, 0.6), 0)
    clean, cluttered = (
        data.placed_digits(np.random.default_rng(3), images, np.arange(5), 40, spread, pieces) for pieces in (0, 3)
    )
    assert (cluttered.images >= clean.images).all()
    assert (cluttered.images > clean.images).any()


# ---- measures


def test_common_share_is_one_for_equal_images_and_small_for_noise():
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1], 50)
    equal = rng.random((2, 8, 8))[labels]
    assert st.common_share(equal, labels) == pytest.approx(1)
    assert st.common_share(rng.normal(size=(100, 8, 8)), labels) == pytest.approx(1 / 50, rel=0.5)


def test_spreads_by_hand():
    quarter = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    poses = np.stack([IDENTITY, quarter, IDENTITY * [1, 1, 0], quarter])
    spread = st.spreads(poses, np.zeros(4, int))
    assert spread.angle == pytest.approx(45)
    assert spread.position == 0
    assert spread.size == 0
    # Each class by itself is all of one pose.
    assert st.spreads(poses, np.array([0, 1, 0, 1])) == pytest.approx((0, 0, 0), abs=1e-6)
    moved = np.stack([IDENTITY, st.moved_right(2.0)])
    assert st.spreads(moved, np.zeros(2, int)).position == pytest.approx(np.sqrt(0.5))


# ---- networks and training


@pytest.mark.parametrize("networks", [st.DIGIT_NETWORKS, st.SIGN_NETWORKS], ids=["digits", "signs"])
def test_pairs_have_equal_numbers_of_parameters(networks):
    counts = {name: st.parameters(make()) for name, make in networks.items()}
    assert abs(counts["dense, transformer"] / counts["dense"] - 1) < 0.03
    for name, count in counts.items():
        other = counts.get(f"{name}, transformer", count)
        assert abs(other / count - 1) < 0.03


def test_an_untrained_transformer_hands_on_its_input_and_gets_a_gradient():
    mg.manual_seed(0)
    transformer = st.looking_by_filters(3, 32, crop=32)
    u = mg.tensor(np.random.default_rng(5).random((2, 3, 32, 32), dtype=np.float32))
    v = transformer(u)
    assert np.allclose(v.detach().numpy(), u.numpy(), atol=1e-5)
    (v**2).sum().backward()
    assert transformer.last.weight.grad.abs().max().item() > 0


def test_training_is_repeatable_and_both_networks_see_the_same():
    digits = st.load_digits(flat=False)
    images, labels = digits.images[:100], digits.labels[:100]
    drawn: list[np.ndarray] = []

    def draw(rng: np.random.Generator) -> data.Pictures:
        pictures = data.placed_digits(rng, images, labels, 20, st.THROWN)
        drawn.append(pictures.images)
        return pictures

    def scores(seed: int) -> dict[str, list[float]]:
        mg.manual_seed(seed)
        networks = {"one": st.dense(400, (8,), 10), "two": st.dense(400, (8,), 10)}
        two = networks["two"].state_dict()
        networks["one"].load_state_dict(two)
        test = data.placed_digits(np.random.default_rng(9), images, labels, 20, st.THROWN)
        return st.train(networks, draw, test, epochs=2, seed=seed)

    first, again = scores(1), scores(1)
    assert first == again
    assert first["one"] == first["two"], "equal networks on equal pictures, in equal order"
    assert not np.array_equal(drawn[0], drawn[1]), "each epoch has new poses"
    assert np.array_equal(drawn[0], drawn[2])


# ---- figures


def test_figures_and_the_animation_are_there(run):
    names = {path.name.removeprefix("spatial_transformer-") for path in run.out.iterdir()}
    kinds = {"module": "svg", "accuracy": "svg", "rectified": "svg", "means": "svg", "spread": "svg", "signs": "svg"}
    kinds["learns"] = "gif"
    assert names == {f"{name}.{kind}" for name in kinds for kind in (kinds[name], "png", "npz")}


def test_figure_of_the_module_names_every_arrow(run):
    assert set(shown(run, "module")["edges"]) == {
        "U -> localisation", "localisation -> theta", "theta -> grid", "grid -> points", "points -> sampler",
        "U -> sampler", "sampler -> V",
    }  # fmt: skip


def test_figure_of_the_digits_begins_with_the_whole_canvas(run):
    arrays = shown(run, "rectified")
    whole = data.show(arrays["inputs"][:, None], np.stack([IDENTITY] * 10), st.CROP, st.CROP)[:, 0]
    assert np.allclose(arrays["before"], whole, atol=1e-5)
    seen = data.show(arrays["inputs"][:, None], arrays["theta"], st.CROP, st.CROP)[:, 0]
    assert np.allclose(arrays["after"], seen, atol=1e-4)
    assert np.abs(arrays["after"] - arrays["before"]).max() > 0.1


def test_animation_starts_at_the_identity_and_moves(run):
    arrays = shown(run, "learns")
    assert (np.diff(arrays["steps"]) > 0).all()
    assert np.allclose(arrays["thetas"][0], IDENTITY)
    assert np.abs(arrays["thetas"][-1] - IDENTITY).max() > 0.05


def test_outline_of_the_identity_is_the_border_of_the_image():
    corners = figures.outline(IDENTITY, 11)
    assert np.array_equal(corners, [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]])
    assert np.array_equal(figures.outline(st.moved_right(1.0), 11)[0], [5, 0])


def test_means_of_the_transformed_are_sharper(run):
    arrays = shown(run, "means")
    assert arrays["views"].max() > arrays["inputs"].max()
    assert arrays["views"].shape == arrays["inputs"].shape == (10, st.CROP, st.CROP)


def test_compose_applies_the_inner_map_first():
    double = np.array([[[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]])
    assert np.array_equal(st.compose(double, st.moved_right(1.0)[None]), [[[2, 0, 2], [0, 2, 0]]])
    assert np.array_equal(st.compose(st.moved_right(1.0)[None], double), [[[2, 0, 1], [0, 2, 0]]])
