"""The lesson on distillation: known answers, the numbers of the errata, and what the students learn."""

from __future__ import annotations

import numpy as np
import pytest

from lessons.anatomy import Run, Slider
from lessons.data.digits import Digits, load_digits
from lessons.training import distillation
from lessons.training.distillation import lesson

FIGURES = {
    "distillation-temperature",
    "distillation-order",
    "distillation-gradient",
    "distillation-dark-knowledge",
    "distillation-soft-labels",
    "distillation-students",
    "distillation-unseen",
}


@pytest.fixture(scope="module")
def run(quick_run) -> Run:
    return quick_run("distillation")


def data(run: Run, name: str) -> dict[str, np.ndarray]:
    with np.load(run.out / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


# ---- the run


def test_headline_a_student_reads_a_digit_that_it_never_saw(run):
    unseen = run.results["unseen"]
    assert (unseen["hard labels", "plain"] == 0).all()
    assert unseen["soft labels, T = 20", "corrected"].min() > 40
    assert unseen["hard labels", "corrected"].max() < 20


def test_students_of_soft_labels_are_nearer_to_their_teacher(run):
    distances = run.results["distances"]
    hard, soft = (np.array(distances[name]) for name in ("hard labels only", "soft labels only, T = 4"))
    assert (soft < hard).all()
    assert (soft > 0).all()


def test_the_teacher_says_that_4s_look_like_9s(run):
    assert run.results["dark knowledge"]["second of the fours"] == 9


# ---- errata


def test_the_errata_are_these(run):
    assert [(part.name, part.erratum.kind) for part in lesson.errata] == [
        ("sum_from_one", "M"),
        ("lost_minus_signs", "M"),
        ("lost_class_index", "M"),
        ("swapped_arguments", "M"),
        ("missing_t_squared", "M"),
        ("order_of_the_bars", "W"),
    ]


def test_the_printed_softmax_adds_up_to_too_much(run):
    totals = run.results["printed totals"]
    assert totals[1.0] == pytest.approx(1.0118, abs=5e-5)
    assert totals[5.0] == pytest.approx(1.148, abs=5e-4)
    assert totals[1e6] == pytest.approx(1.25, abs=1e-5)


def test_the_printed_cross_entropy_does_not_know_the_labels(run):
    numbers = run.results["cross-entropy"]  # fixed data, so fixed numbers
    assert numbers["printed"] == pytest.approx(8.300, abs=5e-4)
    assert numbers["right"] == pytest.approx(2.458, abs=5e-4)


def test_swapped_arguments_make_a_one_hot_student(run):
    order = run.results["order"]
    assert order["printed"][0] == pytest.approx(0.9992, abs=5e-4)
    assert order["kl"] == pytest.approx(3.0, abs=0.05)
    assert np.abs(order["right"] - order["target"]).max() < 1e-8


def test_the_gradient_without_t_squared_dies_and_with_it_has_a_limit(run):
    found = run.results["T squared"]
    assert found["norms"][[0, 4, 8]] == pytest.approx([0.6558, 2.858e-3, 1.112e-5], rel=1e-3)
    assert found["limit"] == pytest.approx(0.7286, abs=2e-3)
    assert found["gaps"][[0, 4, 8]] == pytest.approx([0.4774, 0.0574, 0.00366], rel=2e-2)
    # The first correction to the limit is of order 1/T.
    assert found["gaps"][4] / found["gaps"][8] == pytest.approx(16, rel=0.05)


def test_lost_minus_signs(run):
    assert run.results["tenth roots"] == pytest.approx([0.726, 0.182, 0.0914], abs=1e-3)


# ---- exact answers


def test_softmax_by_hand():
    z = np.log([[1.0, 4.0, 16.0]])
    assert distillation.softmax_temperature(z, 1.0) == pytest.approx(np.array([[1, 4, 16]]) / 21)
    assert distillation.softmax_temperature(z, 2.0) == pytest.approx(np.array([[1, 2, 4]]) / 7)
    assert distillation.softmax_temperature(z + 5000, 2.0) == pytest.approx(np.array([[1, 2, 4]]) / 7)


def test_loss_and_gradient_by_hand():
    z, z_teacher = np.log([[1.0, 9.0]]), np.log([[16.0, 1.0]])
    labels = np.array([0])
    # At T = 2 the student has (1/4, 3/4), the teacher (4/5, 1/5); at T = 1 the student has (1/10, 9/10).
    soft = -(0.8 * np.log(0.25) + 0.2 * np.log(0.75))
    loss = distillation.distillation_loss(z, z_teacher, labels, 2.0, 0.25)
    assert loss == pytest.approx(0.25 * np.log(10) + 0.75 * 4 * soft, rel=1e-14)
    dz = distillation.distillation_backward(3.0, z, z_teacher, labels, 2.0, 0.25)
    hard = 0.25 * (0.1 - 1)
    assert dz[0, 0] == pytest.approx(3 * (hard + 0.75 * 2 * (0.25 - 0.8)), rel=1e-14)
    assert dz[0, 1] == pytest.approx(-dz[0, 0], rel=1e-14)


def test_a_student_of_alpha_one_does_not_see_its_teacher():
    batch = distillation.draw(np.random.default_rng(3))._replace(alpha=1.0)
    other = batch._replace(z_teacher=batch.z_teacher + np.arange(4))
    assert distillation.distillation_loss(*batch) == distillation.distillation_loss(*other)
    assert np.array_equal(
        distillation.distillation_backward(1.0, *batch), distillation.distillation_backward(1.0, *other)
    )


def test_swapped_gradient_is_the_gradient_of_the_swapped_cross_entropy():
    from minigrad.gradcheck import numerical_gradient

    t = distillation.softmax_temperature(np.array([[0.3, -1.0, 0.8]]), 1.0)
    z = np.array([[1.0, 0.2, -0.4]])
    want = numerical_gradient(lambda z: distillation.cross_entropy(distillation.softmax_temperature(z, 1.0), t), z, 1.0)
    got = distillation.swapped_gradient(distillation.softmax_temperature(z, 1.0), t)
    assert np.allclose(got, want.values, rtol=1e-7, atol=1e-10)


def test_best_offset_is_the_smallest_of_the_best():
    logits = np.array([[0.0, 1.0], [0.0, 3.1], [0.0, 5.2]])
    offsets = np.arange(0.0, 10.5, 0.5)
    assert distillation.best_offset(logits, np.array([0, 0, 1]), [0], offsets) == 3.5
    assert distillation.best_offset(logits, np.array([1, 1, 1]), [0], offsets) == 0
    assert distillation.best_offset(logits, np.array([0, 0, 1]), [1], -offsets) == -3.5
    assert np.array_equal(distillation.with_offset(logits, [0], 2.0)[:, 0], [2, 2, 2])
    assert logits[0, 0] == 0, "the logits themselves must not change"


def test_shifting_keeps_the_ink():
    images = load_digits(flat=False).images[:50]
    moved = distillation.shifted(np.random.default_rng(0), images)
    assert moved.shape == images.shape
    assert np.allclose(np.sort(moved.ravel()), np.sort(images.ravel()))
    # The margin is wide enough: what was rolled around the edge is empty.
    assert images[:, :, :2].sum() + images[:, :, -2:].sum() < 0.01 * images.sum()


# ---- training


@pytest.fixture(scope="module")
def few() -> Digits:
    return Digits(*(array[:300] for array in load_digits()))


def test_training_is_repeatable_and_the_recipe_matters(few):
    size = distillation.Sizes(seeds=2, channels=2, teacher_epochs=1, hidden=8, student_epochs=1)
    teacher = distillation.train_teacher(few, 2, 1, seed=5)
    again = distillation.train_teacher(few, 2, 1, seed=5)
    assert np.array_equal(teacher.logits, again.logits)
    assert not np.array_equal(teacher.logits, distillation.train_teacher(few, 2, 1, seed=6).logits)

    def weights(recipe, seed):
        model = distillation.train_student(few, teacher.logits, recipe, size, seed)
        return np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])

    mixed = distillation.Recipe(20.0, 0.5)
    assert np.array_equal(weights(mixed, 1), weights(mixed, 1))
    assert not np.array_equal(weights(mixed, 1), weights(mixed, 2))
    assert not np.array_equal(weights(mixed, 1), weights(mixed._replace(squared=False), 1))


def test_a_student_never_sees_the_rows_that_are_left_out(few):
    size = distillation.Sizes(seeds=2, channels=2, teacher_epochs=1, hidden=8, student_epochs=1)
    rows = np.flatnonzero(few.labels != 3)
    spoiled = few._replace(images=few.images.copy())
    spoiled.images[few.labels == 3] = np.nan
    logits = np.zeros((300, 10), dtype=np.float32)
    model = distillation.train_student(spoiled, logits, distillation.Recipe(4.0, 0.5), size, 0, rows)
    assert all(np.isfinite(p.detach().numpy()).all() for p in model.parameters())


# ---- figures


def test_figures_are_complete(run):
    names = {path.name for path in run.out.iterdir() if not path.name.startswith("distillation-slider")}
    assert names == {f"{name}{suffix}" for name in FIGURES for suffix in (".svg", ".png", ".npz")}


def test_frames_of_the_slider_keep_the_order_and_flatten(run):
    shown = data(run, "distillation-slider")
    [slider] = [item for section in run.sections for item in section.items if isinstance(item, Slider)]
    assert slider.axes[0].values == tuple(shown["temperatures"])
    assert len(slider.frames) == len(shown["p"])
    assert (np.diff(np.log(shown["temperatures"])) < 1).all(), "no jump on a logarithmic scale"
    z = distillation.EXAMPLE
    for T, p in zip(shown["temperatures"], shown["p"], strict=True):
        assert np.allclose(np.log(p[:, None] / p), (z[:, None] - z) / T)
    assert (np.diff(shown["p"].max(axis=1)) < 0).all()


def test_figure_of_the_temperatures(run):
    shown = data(run, "distillation-temperature")
    assert np.allclose(shown["p"].sum(axis=1), 1)
    assert (np.diff(shown["p"], axis=1) > 0).all(), "the stairs rise to the right at every temperature"
    assert (np.diff(np.ptp(shown["p"], axis=1)) < 0).all()
    assert shown["p"][0, -1] == pytest.approx(0.6364, abs=5e-5)


def test_figure_of_dark_knowledge_shows_one_4_and_all_classes(run):
    shown = data(run, "distillation-dark-knowledge")
    assert shown["bars"].shape == (3, 10)
    assert shown["bars"][0, 4] >= 0.95
    assert (shown["bars"].argmax(axis=1) == 4).all()
    assert np.allclose(shown["means"].sum(axis=1), 1)


def test_figure_of_the_students_shows_the_scores(run):
    shown = data(run, "distillation-students")
    assert shown.pop("teacher").shape == (2,)
    assert set(shown) == set(run.results["students"])
    for name, values in shown.items():
        assert np.array_equal(values, run.results["students"][name])


def test_figure_of_the_unseen_class_shows_the_shares(run):
    shown = data(run, "distillation-unseen")
    for (name, kind), values in run.results["unseen"].items():
        assert np.array_equal(shown[f"{name}, {kind}"], values)
