"""The lesson on affine maps and the bilinear sampler: its numbers, known answers, helpers, and its figures' data."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from lessons.anatomy import Run, Slider
from lessons.anatomy.consequence import side_by_side
from lessons.anatomy.homework import check_one
from lessons.vision import _affine_bilinear_figures as figures
from lessons.vision import affine_bilinear as it
from lessons.vision.affine_bilinear import lesson


@pytest.fixture(scope="module")
def run(quick_run) -> Run:
    return quick_run("affine_bilinear")


def data(run: Run, name: str) -> dict[str, np.ndarray]:
    with np.load(run.out / f"affine_bilinear-{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


# ---- the headline, and the errata


def test_headline_two_lines_turn_an_error_of_57_into_none(run):
    assert run.results["printed error"] == pytest.approx(56.6, abs=0.2)
    assert run.results["half fixed error"] == pytest.approx(0.65, abs=0.01)
    assert run.results["black"] == (799, 799, 0)
    mean, largest, black = run.results["photograph"]["both lines repaired"]
    assert mean <= largest < 1e-9
    assert black == 0
    mean, _, black = run.results["photograph"]["as printed"]
    assert mean == pytest.approx(6.07, abs=0.1)  # decoders of JPEG may differ in the last bit
    assert black == pytest.approx(799, abs=2)


def test_each_erratum_has_its_number(run):
    names = [
        "sine_slip",
        "wrong_scale",
        "weights_after_clipping",
        "ceiling_for_the_second_corner",
        "squeeze_drops_axes",
    ]
    assert [part.name for part in lesson.errata] == names
    assert [part.erratum.kind for part in lesson.errata] == ["M", "C", "C", "C", "C"]
    assert run.results["sine slip"] == pytest.approx((0.5, 0.0), abs=1e-15)
    assert run.results["ramp"] == pytest.approx(0.9975, abs=1e-4)
    assert run.results["ceiling"] == pytest.approx(0.984, abs=0.01)
    assert run.results["squeeze"] == [(1, 5, 7, 3), (2, 1, 7, 3), (2, 5, 1, 3)]


def test_the_repaired_sampler_of_the_post_is_ours():
    rng = np.random.default_rng(0)
    images, theta = rng.uniform(1, 255, (1, 6, 9, 2)), it.draw_theta(rng)
    grid = it.affine_grid(theta, 5, 7)[None]
    repaired = it.sampler_of_the_post(images, grid, right_scale=True, right_weights=True, right_axes=True)
    assert np.allclose(repaired[0], it.warp(images[0], theta, (5, 7), padding="border"), rtol=1e-12)


# ---- known answers, by hand


def test_compose_and_invert_by_hand():
    turn = np.array([[0.0, -1.0, 3.0], [1.0, 0.0, 5.0]])
    stretch = np.array([[2.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    assert np.array_equal(it.compose(turn, stretch), [[0, -1, 3], [2, 0, 6]])
    assert np.array_equal(it.compose(stretch, turn), [[0, -2, 7], [1, 0, 5]])
    assert np.array_equal(it.invert(stretch), [[0.5, 0, -0.5], [0, 1, 0]])
    assert np.array_equal(it.invert(turn), [[0, 1, -5], [-1, 0, 3]])


def test_grid_by_hand():
    grid = it.affine_grid(np.array([[2.0, 0.0, 1.0], [0.0, 10.0, 0.0]]), 2, 3)
    assert np.array_equal(grid, [[[-1, -10], [1, -10], [3, -10]], [[-1, 10], [1, 10], [3, 10]]])


def test_pixels_by_hand():
    centres, edges = it.to_pixels(np.array([-1.0, 0.5, 1.0]), 5)
    assert np.array_equal(centres, [0, 3, 4])
    assert np.array_equal(edges, [-0.5, 3.25, 4.5])


def test_samples_by_hand():
    image = np.array([[[0.0], [8.0]], [[4.0], [16.0]], [[0.0], [0.0]]])  # 3 rows, 2 columns
    places = {
        (0.0, 0.0): 0, (1.0, 1.0): 16, (1.0, 2.0): 0,  # on pixels, the last ones too
        (0.5, 0.0): 4, (0.25, 0.5): 4.5, (0.5, 0.5): 7,
        (1.5, 1.0): 8, (-0.25, 1.0): 3, (1.0, -0.5): 4,  # half outside
        (2.0, 1.0): 0, (-1.0, 1.0): 0, (1e6, -1e6): 0,
    }  # fmt: skip
    x, y = np.array(list(places)).T
    assert np.array_equal(it.sample(image, x, y)[:, 0], list(places.values()))
    assert it.sample(image, np.zeros((2, 3)), np.zeros((2, 3))).shape == (2, 3, 1)


def test_warp_in_both_conventions_and_paddings():
    image = np.arange(12.0).reshape(3, 4, 1)
    for align_corners, padding in itertools.product((True, False), ("zeros", "border")):
        same = it.warp(image, it.IDENTITY, align_corners=align_corners, padding=padding)
        assert np.allclose(same, image, atol=1e-12)
    # Halving the size: with edges, each output pixel is the middle of 2 x 2 pixels; with centres the corners stay.
    four = np.arange(16.0).reshape(4, 4, 1)
    assert np.allclose(it.warp(four, it.IDENTITY, (2, 2), align_corners=False)[..., 0], [[2.5, 4.5], [10.5, 12.5]])
    assert np.allclose(it.warp(four, it.IDENTITY, (2, 2))[..., 0], [[0, 3], [12, 15]])
    far = it.affine(np.eye(2), tx=5.0)
    assert np.array_equal(it.warp(image, far), np.zeros_like(image))
    assert np.array_equal(it.warp(image, far, padding="border")[..., 0], [[3] * 4, [7] * 4, [11] * 4])


# ---- holes, shears, turns


def test_a_forward_turn_by_a_right_angle_has_no_holes():
    image = np.arange(25.0).reshape(5, 5, 1)
    for angle, want in ((0.0, image), (np.pi / 2, np.rot90(image, -1)), (np.pi, np.rot90(image, 2))):
        turned, hit = it.forward_turn(image, angle)  # forwards, and y points down: clockwise on the screen
        assert hit.all()
        assert np.array_equal(turned, want)
        assert np.array_equal(it.backward_turn(image, angle), want)
    assert it.expected_holes(np.array([0.0, np.pi / 2])) == pytest.approx([0, 0], abs=1e-15)


def test_three_shears_move_every_pixel_to_a_place_of_its_own():
    pixels = np.arange(49.0).reshape(7, 7, 1)
    turned = it.rotate_without_loss(pixels, 0.6)
    assert not np.array_equal(turned, pixels)
    assert np.array_equal(np.sort(turned.ravel()), pixels.ravel())
    assert np.array_equal(it.rotate_without_loss(turned, -0.6), pixels)


def test_turned_is_the_rotation_of_warp_and_works_in_both_modes():
    n = 21
    image = np.random.default_rng(1).uniform(0, 255, (2, n, n))
    by_warp = it.warp(np.moveaxis(image, 0, -1), it.affine(it.rotation(0.3)), padding="border")
    assert np.allclose(it.turned(image, 0.3, "bilinear"), np.moveaxis(by_warp, -1, 0), atol=1e-11)
    quarter = it.turned(image, np.pi / 2, "nearest")
    assert np.array_equal(quarter, np.rot90(image, axes=(1, 2)))  # counter-clockwise on the screen


def test_measures_by_hand():
    assert it.psnr(np.full(3, 125.5), np.full(3, 100.0)) == pytest.approx(20)
    angles = it.draw_angles(np.random.default_rng(2), 36)
    assert angles.sum() == pytest.approx(2 * np.pi)
    assert angles.max() < 3 * angles.min()
    assert np.array_equal(it.disc(3, 0.9), [[False, True, False], [True, True, True], [False, True, False]])
    stripes = np.array([[[0.0, 2.0, 0.0], [9.0, 2.0, 0.0]]])
    inside = np.array([[True, True, True], [False, True, True]])
    assert it.detail(stripes, inside) == 4
    assert np.array_equal(it.halved(np.array([[[1.0], [3.0]], [[5.0], [7.0]]])), [[[4.0]]])
    assert np.array_equal(figures.largest_of_blocks(np.array([[1.0, 3.0, 9.0], [5.0, 2.0, 9.0]])), [[5.0]])


def test_the_turns_say_what_the_prose_says(run):
    scores, at = run.results["scores"], run.results["turns"].index(36)
    nearest, bilinear, once = (scores[way][at] for way in (*it.MODES, it.ONCE))
    assert (bilinear[:, 0] > nearest[:, 0] + 1).all()
    assert nearest[:, 1].mean() == pytest.approx(np.sqrt(36 / 6), rel=0.1)
    assert bilinear[:, 1].max() < 1e-3
    assert once[:, 0].min() > 200
    again = it.full_turn(np.random.default_rng(3).uniform(0, 255, (3, 32, 32)), np.full(8, np.pi / 4))
    assert again == it.full_turn(np.random.default_rng(3).uniform(0, 255, (3, 32, 32)), np.full(8, np.pi / 4))


def test_the_photograph_is_what_the_lesson_says():
    photo = it.photograph()
    assert photo.shape == (400, 400, 3)
    assert 0 <= photo.min() < photo.max() <= 255
    with pytest.raises(ValueError, match="read-only"):
        photo[0] = 0


# ---- exercises


def test_the_classic_mistakes_are_declared():
    declared = {exercise.name: " | ".join(exercise.mistakes) for exercise in lesson.exercise_list}
    assert list(declared) == ["compose", "invert", "affine_grid", "to_pixels", "sample"]
    for exercise, parts in {
        "compose": ("other order", "adds the translations"),
        "invert": ("forwards", "transposes", "determinant"),
        "affine_grid": ("y before x", "swaps rows and columns", "inverse map", "0 to 1", "leaves out the end"),
        "to_pixels": ("n/2", "half pixel", "swaps"),
        "sample": (
            "swaps x and y",
            "clipped corners",
            "rounds",
            "truncates",
            "ceiling",
            "wraps around",
            "left and right",
        ),
    }.items():
        for part in parts:
            assert part in declared[exercise], (exercise, part)


def test_a_wrong_corner_is_named():
    sample = lesson.exercise_named("sample")
    outcome = check_one(sample, sample.mistakes["forgets the lower right pixel"])
    assert outcome.diagnosis.terms == ("q22",)
    assert "lower right corner" in outcome.hint


def test_the_right_sampler_aligns_the_digit_and_a_wrong_one_does_not():
    sample = lesson.exercise_named("sample")
    yours = sample.mistakes["gives each corner the weight of the opposite one"]
    found = side_by_side(sample.consequence, yours, sample.solution, seconds=60, steps=40)
    assert found.right.losses[-1] < 0.6 * found.right.losses[0]
    assert found.yours.losses[-1] > 1.5 * found.right.losses[-1]
    harmless = sample.mistakes["computes the weights from clipped corners"]  # a digit's edge is black anyway
    found = side_by_side(sample.consequence, harmless, sample.solution, seconds=60, steps=5)
    assert found.yours.losses == pytest.approx(found.right.losses, rel=1e-9)


# ---- figures


def test_figure_of_the_maps_shows_the_line_of_the_slip(run):
    areas = np.linalg.det(data(run, "maps")["matrices"][:, :, :2])
    assert areas == pytest.approx([0.9, 1, 0.88, 0.5, 0, 1], abs=1e-12)


def test_figure_of_the_slip_crosses_zero_at_45_degrees(run):
    shown = data(run, "slip")
    assert np.allclose(shown["areas"], np.cos(np.deg2rad(2 * shown["degrees"])))
    assert abs(shown["areas"][shown["degrees"] == 45]).item() < 1e-12


def test_figure_of_the_holes_lies_on_the_curve(run):
    shown = data(run, "holes")
    assert np.abs(shown["measured"] - shown["expected"]).max() < 0.004
    assert 1 - shown["hit"].mean() == pytest.approx(0.134, abs=0.01)


def test_figure_of_the_corners_shows_the_example(run):
    shown = data(run, "corners")
    assert shown["weights"] @ shown["pixels"].ravel() == pytest.approx(23.8)
    assert shown["value"] == pytest.approx(23.8)


def test_figure_of_the_warps_shows_a_picture_that_moves_left(run):
    shown = data(run, "warps")
    original, moved = shown["0"], shown["1"]
    assert (moved[:, 151:] == 0).all()
    between = (original[:, 100] + original[:, 99]) / 2  # 49.75 pixels of a picture of 200
    assert np.corrcoef(moved[:, 50], between)[0, 1] > 0.99


def test_frames_of_the_slider_are_turned_and_scaled(run):
    shown = data(run, "frame")
    [slider] = [item for section in run.sections for item in section.items if isinstance(item, Slider)]
    assert [axis.values for axis in slider.axes] == [tuple(shown["angles"]), tuple(shown["scales"])]
    thetas = shown["thetas"].reshape(len(shown["angles"]), len(shown["scales"]), 2, 3)
    for k, degrees in enumerate(shown["angles"]):
        for theta, size in zip(thetas[k], shown["scales"], strict=True):
            right = size * np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
            assert np.allclose(theta[:, 0], right), "where the frame's horizontal side goes"
            assert np.allclose(theta[:, 1], [-right[1], right[0]])
            assert not theta[:, 2].any()


def test_a_frame_of_the_slider_lies_where_the_matrix_reads():
    frame = figures.ReadingFrame(it.halved(it.photograph()))
    theta = it.affine(np.array([[0.0, -0.5], [0.5, 0.0]]), tx=0.5)
    frame.draw(theta, np.full((2, 2, 3), 7.0))
    corners = {(x, y): (0.5 - 0.5 * y, 0.5 * x) for x in (-1, 1) for y in (-1, 1)}
    assert {tuple(place) for place in frame.frame.get_xy().tolist()} == set(corners.values())
    assert (*frame.corner.get_xdata(), *frame.corner.get_ydata()) == corners[-1, -1], "the upper left one is marked"
    assert (frame.read.get_array() == 7).all()
    assert frame.matrix.get_text() == "[ 0.00 -0.50  0.5 ]\n[ 0.50  0.00  0.0 ]"
    assert frame.area.get_text().endswith("0.25")


def test_what_a_frame_reads_is_what_the_slider_says():
    photo = it.halved(it.photograph())
    clockwise = it.warp(photo, it.turned_frame(90, 1))
    assert np.allclose(clockwise, np.rot90(photo)), "counter-clockwise, as numpy turns"
    nothing = it.warp(np.ones((8, 8, 1)), it.turned_frame(0, 1.5))
    assert nothing[0, 0] == 0
    assert nothing[4, 4] == pytest.approx(1)


def test_figure_of_the_identity_shows_errors_that_vanish(run):
    printed, half, repaired = data(run, "identity").values()
    assert printed.mean() == pytest.approx(6.07, abs=0.1)
    assert half[:-1, :-1].max() < 1e-9
    assert half[0, -1] > 50
    assert repaired.max() < 1e-9


def test_figure_of_the_edges_fades_or_is_cut_off(run):
    shown = data(run, "edges")
    x = shown["x"]
    assert np.allclose(shown["zeros_padding"], np.clip(np.minimum(x + 1, 8 - x), 0, 1))
    assert np.allclose(shown["border_padding"], 1)
    assert np.allclose(shown["as_printed"], (x > -1e-9) & (x < 7 - 1e-9))


def test_figure_of_the_turns_shows_the_scores(run):
    shown = data(run, "turns")
    assert np.array_equal(shown["turns"], run.results["turns"])
    assert np.array_equal(shown["bilinear"], run.results["scores"]["bilinear"])
    assert np.array_equal(shown["composed"], run.results["scores"][it.ONCE])


def test_figure_of_the_rings_shows_rings_that_are_not_there(run):
    shown = data(run, "shrinking")
    assert shown["four_pixels_of_every_64"].std() > 2 * shown["halved_three_times"].std()
    assert run.results["rings"]["halved three times"] < 0.25 < run.results["rings"]["four pixels of every 64"]


# ---- speed


def test_every_way_is_timed(run):
    assert {"NumPy, the exercise", "minigrad's kernel"} <= run.results["speed"].keys()
    assert run.results["speed"]["NumPy, the exercise"] == 1
    assert all(ratio > 0 for ratio in run.results["speed"].values())
