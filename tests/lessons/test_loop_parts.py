"""The parts of the loop by themselves: order, hints, background work, curves, and what a bug does to a training."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lessons.anatomy import Lesson, LessonError, Outcome, Source
from lessons.anatomy.consequence import Comparison, Consequence, Curve, side_by_side
from lessons.anatomy.text import PLAIN, Style, width_of
from lessons.workbench import catalogue
from lessons.workbench.errors import UsageError
from lessons.workbench.loop import checks, hints, views, whatif
from lessons.workbench.loop.checks import Checked, Lent
from lessons.workbench.loop.course import Course, Task, in_order, open_course
from lessons.workbench.loop.jobs import Bell, Cancelled, Job
from lessons.workbench.loop.plot import Series, curves
from lessons.workbench.loop.state import Progress, State
from lessons.workbench.sandbox import Limits, Nursery

TOY = str(Path(__file__).with_name("toy.py"))


@pytest.fixture
def toy() -> Lesson:
    return catalogue.find(TOY)


@pytest.fixture
def bell():
    made = Bell()
    yield made
    made.close()


def lesson(name: str, *needs: str) -> Lesson:
    return Lesson(name, name, "none", Source("T", "A", 2000, "https://example.org"), "none", needs=needs)


# ---- the course


def test_lessons_come_after_what_they_need():
    a, b, c, d = lesson("a", "c"), lesson("b"), lesson("c", "d", "unheard of"), lesson("d")
    assert [one.name for one in in_order([a, b, c, d])] == ["d", "c", "a", "b"]
    circle = [lesson("x", "y"), lesson("y", "x"), lesson("z", "z")]
    assert {one.name for one in in_order(circle)} == {"x", "y", "z"}


def test_the_next_open_exercise_is_sought_forward_and_then_from_the_start(toy, tmp_path):
    course = Course([toy], tmp_path)
    double, halves = course.tasks
    state = State()
    assert course.next_open(state) is double
    assert course.next_open(state, double) is halves
    state.of(halves.key).passed = "today"
    assert course.next_open(state, double) is double
    state.of(double.key).passed = "today"
    assert course.next_open(state) is None
    assert course.passed(state) == 2


def test_exercises_are_found_by_every_sensible_name(toy, tmp_path):
    course = Course([toy], tmp_path)
    double, halves = course.tasks
    state = State()
    assert course.named("toy/halves", state) is halves
    assert course.named("halves", state) is halves
    assert course.named("toy", state) is double
    state.of(double.key).passed = "today"
    assert course.named("toy", state) is halves
    with pytest.raises(UsageError, match="no lesson or exercise is called 'halfs'; did you mean halves"):
        course.named("halfs", state)
    with pytest.raises(UsageError, match="`minigrad list` shows"):
        course.named("12345", state)
    other = dataclasses.replace(toy, name="other")
    other.exercise_list.extend(toy.exercise_list)
    with pytest.raises(UsageError, match="write toy/halves or other/halves"):
        Course([toy, other], tmp_path).named("halves", state)


def test_a_file_can_be_the_course(tmp_path):
    course, name = open_course(tmp_path, TOY)
    assert [task.key for task in course.tasks] == ["toy/double", "toy/halves"]
    assert (name, open_course(tmp_path, f"{TOY}/halves")[1]) == ("toy", "halves")
    with pytest.raises(UsageError, match="nothing to do"):
        Course([lesson("bare")], tmp_path)


# ---- hints


def test_without_a_ladder_there_are_the_hint_and_the_solution(toy):
    exercise, progress = SimpleNamespace(**vars(toy.exercise_named("double"))), Progress()
    exercise.name = "double"
    rung, after = hints.take(exercise, None, progress)
    assert (rung.kind, rung.text, after) == ("question", "Add x to itself.", "solution")
    assert not progress.revealed
    rung, after = hints.take(exercise, None, progress)
    assert (rung.kind, after) == ("solution", "")
    assert "x = x + x" in rung.text
    assert progress.revealed
    assert hints.take(exercise, None, progress)[0] == rung
    assert len(progress.hints) == 2


def test_a_new_diagnosis_brings_new_hints():
    def ladder(diagnosis):
        rungs = [("question", "Why?"), ("term", f"look at {diagnosis}"), ("solution", "this")]
        return [SimpleNamespace(kind=kind, text=text) for kind, text in rungs]

    exercise, progress = SimpleNamespace(ladder=ladder), Progress()
    assert hints.take(exercise, "mean", progress)[0].kind == "question"
    assert hints.take(exercise, "mean", progress) == (hints.Rung("term", "look at mean"), "solution")
    assert hints.take(exercise, "var", progress) == (hints.Rung("term", "look at var"), "solution")
    assert not progress.revealed
    assert hints.take(exercise, "var", progress)[0].kind == "solution"
    assert progress.revealed


# ---- background work


def wait_for(job: Job) -> list:
    job.join(30)
    assert not job.running
    return list(job.posts())


def test_a_job_posts_and_rings(bell):
    job = Job(lambda job: [job.post(1), job.post(2)], bell)
    assert wait_for(job) == [1, 2]
    start = time.monotonic()
    bell.wait(30)  # returns at once: it has rung
    assert time.monotonic() - start < 20


def test_an_error_in_a_job_is_not_hidden(bell):
    def work(job):
        raise ZeroDivisionError

    job = Job(work, bell)
    job.join(30)
    with pytest.raises(ZeroDivisionError):
        list(job.posts())


def test_a_job_that_is_called_off_says_no_more(bell):
    release, undone = threading.Event(), []

    def work(job):
        with job.on_cancel(lambda: (undone.append(1), release.set())):
            release.wait(30)
            job.post("too late")

    job = Job(work, bell)
    while job._undo is None:
        time.sleep(0.001)
    job.cancel()
    assert wait_for(job) == []
    assert undone == [1]
    with pytest.raises(Cancelled), job.on_cancel(lambda: None):
        pytest.fail("it began although it was called off")


# ---- checks


def check(lesson: Lesson, tmp_path: Path, body: str, **limits) -> Checked:
    path = tmp_path / "toy.py"
    path.write_text(f"import os, time\ndef double(x, times=1):\n    {body}\n", encoding="utf-8")
    return checks.check(lesson, lesson.exercise_named("double"), path, Limits(**limits))


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ("return x * 2**times", "passed", ""),
        ("return x * 2", "failed", "double["),
        ("return x / None", "error", "toy.py, line 3, in double"),
        ("os._exit(0)", "crash", "exit code 0"),
        ("time.sleep(60)", "timeout", "more than 1 s"),
        ("print('x' * 10**6)", "output", "printed more than 1000 bytes"),
        ("raise NotImplementedError('not started: double')", "not started", ""),
        ("return (", "not loadable", "is not valid Python"),
    ],
)
def test_every_end_of_the_learners_code_is_a_verdict(toy, tmp_path, body, status, said):
    checked = check(toy, tmp_path, body, seconds=1, output=1000)
    assert checked.outcome.status == status
    assert said in "\n".join(checked.outcome.lines)
    text = "\n".join(views.verdict(task(toy, tmp_path), checked, 3, PLAIN, 100))
    assert views.WORDS.get(status, status) in text
    assert said in text


def task(lesson: Lesson, tmp_path: Path) -> Task:
    return Task(lesson, lesson.exercise_named("double"), tmp_path / "toy.py")


def test_a_missing_file_is_a_verdict(toy, tmp_path):
    outcome = checks.check(toy, toy.exercise_named("double"), tmp_path / "nowhere.py").outcome
    assert (outcome.status, outcome.passed) == ("not loadable", False)


def test_what_the_code_prints_is_shown_shortened_and_harmless(toy, tmp_path):
    checked = check(toy, tmp_path, "[print('\\x1b[2J', i) for i in range(100)]; return x * 2**times")
    lines = views.verdict(task(toy, tmp_path), checked, 0, PLAIN, 100)
    assert any("| ?[2J 0" in line for line in lines)
    assert any("and 80 more lines" in line for line in lines)
    assert "\x1b" not in "".join(lines)


def test_children_that_were_lent_can_be_ended_at_once(toy, tmp_path, bell):
    path = tmp_path / "toy.py"
    path.write_text("while True: pass", encoding="utf-8")
    checker = checks.Checker(bell, Limits(seconds=60))
    job = checker.check(toy, toy.exercise_named("double"), path)
    while job._undo is None:
        time.sleep(0.001)
    time.sleep(0.2)
    job.cancel()
    assert wait_for(job) == []
    checker.close()
    lent = Lent(Nursery())
    lent.end()
    child = lent.take()  # taken after the end: ended all the same
    child.process.wait(30)
    child.kill()


def test_a_diagnosis_is_shown_below_the_lines_of_the_check(toy, tmp_path):
    about = SimpleNamespace(status="explained", cause="N-1", lines=("the line of the check", "  var  1.33  WRONG"))
    outcome = Outcome("double", "failed", ("the line of the check",))
    object.__setattr__(outcome, "diagnosis", about)
    lines = views.verdict(task(toy, tmp_path), Checked(outcome, "", 0.1), 1, PLAIN, 100)
    assert [line for line in lines if "the line of the check" in line] == ["  the line of the check"]
    assert "    var  1.33  WRONG" in lines
    said = views.json_verdict(task(toy, tmp_path), Checked(outcome, "", 0.1), 1)
    assert said["diagnosis"] == {"status": "explained", "cause": "N-1", "lines": list(about.lines)}


# ---- curves

DOWN = Series("right", np.linspace(2, 1, 50), ".", "34")
UP = Series("yours", np.linspace(2, 3, 30), "o", "33")


@pytest.mark.parametrize("braille", [True, False])
@pytest.mark.parametrize("width", [20, 50, 100])
def test_curves_fit_their_width_and_go_where_they_should(braille, width):
    lines = curves([DOWN, UP], width, 9, PLAIN, braille)
    assert all(width_of(line) <= max(width, 30) for line in lines)
    assert lines[0].startswith("3 |")
    assert lines[8].startswith("1 |")
    assert "50 steps" in lines[-2]
    assert len(lines[8].rstrip()) > len(lines[0].rstrip())  # down to the right, to the end; up in the middle
    if not braille:
        assert all(line.isascii() for line in lines)
        assert lines[0].rstrip().endswith("o")
        assert lines[8].rstrip().endswith(".")


def test_curves_have_no_gaps_where_they_are_steep():
    series = Series("s", np.repeat([0.0, 10.0], 50), "o", "34")
    lines = curves([series], 40, 10, PLAIN, braille=False)[:10]
    assert all("o" in line for line in lines)


def test_a_large_span_is_logarithmic_and_says_so():
    series = Series("s", np.array([1e-3, 1.0, 1e3]), "o", "34")
    lines = curves([series], 60, 11, PLAIN, braille=False)
    assert "logarithmic" in lines[-2]
    assert "o" in lines[5]


def test_values_that_are_not_finite_are_left_out():
    values = np.array([1.0, np.nan, np.inf, 2.0])
    lines = curves([Series("s", values, "o", "34")], 40, 5, PLAIN, braille=False)
    assert lines[0].startswith("2 |")
    with pytest.raises(ValueError, match="no value is finite"):
        curves([Series("s", np.array([np.nan]), "o", "34")], 40, 5, PLAIN, braille=False)


def test_a_flat_curve_and_a_single_step_can_be_drawn():
    for values in ([1.0], [1.0, 1.0], [0.0]):
        assert any("o" in line for line in curves([Series("s", np.array(values), "o", "34")], 40, 5, PLAIN, False)[:5])


def test_colour_is_used_where_there_is_colour_and_nowhere_else():
    assert "\x1b[33m" in "".join(curves([DOWN, UP], 50, 5, Style(True), True))
    assert "\x1b" not in "".join(curves([DOWN, UP], 50, 5, PLAIN, True))


# ---- what a bug does


def ticking(step: float):
    clock = iter(np.arange(0, 1000, step))
    return lambda: float(next(clock))


def test_both_trainings_are_equal_but_for_the_candidate(toy):
    exercise = toy.exercise_named("double")
    comparison = side_by_side(exercise.consequence, exercise.solution, exercise.solution, steps=30)
    assert comparison.yours.losses == comparison.right.losses
    assert len(comparison.yours.losses) == 30
    assert comparison.right.losses[-1] < 1e-2 * comparison.right.losses[0]
    assert "the same at every step" in comparison.summary()


def test_time_ends_both_after_the_same_step(toy):
    exercise = toy.exercise_named("double")
    comparison = side_by_side(exercise.consequence, lambda x: 0 * x, exercise.solution, seconds=7, clock=ticking(1))
    assert len(comparison.yours.losses) == len(comparison.right.losses) == 7
    comparison = side_by_side(exercise.consequence, lambda x: 0 * x, exercise.solution, seconds=0)
    assert len(comparison.yours.losses) == 1


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (lambda x: 0 * x, "yours hardly learns"),
        (lambda x: -2 * x, "learns nothing"),
        (lambda x: -1e160 * x, "the loss is infinite"),
        (lambda x: np.nan * x, "the loss is not a number"),
        (lambda x: x / None, "TypeError"),
        (lambda x: 2.02 * x, "hardly a difference"),
        (lambda x: 1.5 * x, "one might blame the learning rate"),
        (lambda x: 5 * x, "wrong all the same"),
    ],
)
def test_what_came_of_it_is_said_in_words(toy, candidate, said):
    exercise = toy.exercise_named("double")
    comparison = side_by_side(exercise.consequence, candidate, exercise.solution, steps=10)
    assert said in comparison.summary()
    assert len(comparison.right.losses) == 10
    assert whatif.lines(comparison, PLAIN, 80, fancy=True)


def test_a_training_that_breaks_in_its_first_step_says_so():
    def train(candidate, rng):
        yield candidate()

    comparison = side_by_side(Consequence("t", train), lambda: 1 / 0, lambda: 1.0, steps=1)
    assert comparison.summary() == "Yours did not get through its first step: ZeroDivisionError: division by zero."
    assert whatif.lines(comparison, PLAIN, 80, fancy=True) == [f"  {comparison.summary()}"]
    with pytest.raises(ValueError, match="the solution itself fails in step 1"):
        side_by_side(Consequence("t", train), lambda: 1.0, lambda: 1 / 0, steps=1)


def test_smoothing_averages_a_twentieth():
    losses = np.random.default_rng(0).normal(size=100)
    smooth = Curve(list(losses)).smooth()
    np.testing.assert_allclose(smooth[50], losses[46:51].mean())
    np.testing.assert_allclose(smooth[1], losses[:2].mean())
    np.testing.assert_array_equal(Curve(list(losses[:5])).smooth(), losses[:5])
    assert Curve([]).smooth().shape == (0,)


def test_the_figure_and_its_numbers_are_written(tmp_path):
    comparison = Comparison("t", Curve([3.0, 4.0], "the loss is infinite"), Curve([3.0, 2.0, 1.0]))
    files = whatif.draw(comparison, "toy-double", tmp_path)
    assert sorted(file.name for file in files) == ["toy-double.npz", "toy-double.png", "toy-double.svg"]
    with np.load(tmp_path / "toy-double.npz") as data:
        np.testing.assert_array_equal(data["yours"], [3, 4])
        np.testing.assert_array_equal(data["right"], [3, 2, 1])


def test_a_second_consequence_is_refused(toy):
    with pytest.raises(LessonError, match="exercise double: has two consequences"):
        toy.consequence("double", title="again")(lambda candidate, rng: iter(()))
    with pytest.raises(LessonError, match="no exercise called 'treble'"):
        toy.consequence("treble", title="t")(lambda candidate, rng: iter(()))


# ---- the consequences of the lessons' exercises

# A mistake of each exercise, what is said of it after how many steps, and to what share the right loss falls by then.
WRONG = {
    "batchnorm/forward": ("does not subtract the mean", "yours hardly learns", 60, 0.5),
    "batchnorm/dgamma_dbeta": ("sums over the features", "Yours ended in step 2", 60, 0.5),
    "batchnorm/closed_form_dx": ("misses 1/N in the mean term", "yours hardly learns", 60, 0.5),
    "batchnorm/staged_backward": ("returns the transpose", "Yours ended in step 2", 60, 0.5),
    "backward_passes/cross_entropy_backward": ("forgets 1/N", "yours hardly learns", 60, 0.5),
    "backward_passes/linear_backward": ("transposes dweight", "Yours ended in step 2", 60, 0.5),
    "backward_passes/layer_norm_backward": ("drops the var term", "one might blame the learning rate", 400, 0.2),
    "backward_passes/convolution_backward": ("sums dbias over the batch only", "Yours ended in step 2", 60, 0.9),
    "backward_passes/sample_backward": ("swaps x and y in the gradient", "blame the learning rate", 400, 0.1),
    "backward_passes/attention_backward": ("swaps dq and dk", "worse off than at the start", 400, 0.5),
    "backward_passes/lstm_cell_backward": ("ignores dc", "yours hardly learns", 120, 0.1),
}


EXERCISES = {f"{lesson.name}/{e.name}": e for lesson in catalogue.all_lessons() for e in lesson.exercise_list}
CONSEQUENCES = [name for name, exercise in EXERCISES.items() if exercise.consequence is not None]


def test_every_exercise_on_backward_passes_has_a_consequence():
    first = [name for name in EXERCISES if name.split("/")[0] in ("batchnorm", "backward_passes")]
    assert sorted(first) == sorted(WRONG)
    assert set(first) <= set(CONSEQUENCES)


@pytest.mark.parametrize("name", CONSEQUENCES)
def test_every_consequence_is_repeatable_and_sees_some_mistake(name):
    exercise = EXERCISES[name]
    again = side_by_side(exercise.consequence, exercise.solution, exercise.solution, seconds=1000, steps=3)
    assert again.yours.losses == again.right.losses
    assert len(again.right.losses) == 3
    for wrong in exercise.mistakes.values():
        comparison = side_by_side(exercise.consequence, wrong, exercise.solution, seconds=1000, steps=3)
        if comparison.yours.trouble or comparison.yours.losses != comparison.right.losses:
            return
    raise AssertionError("no mistake makes a difference: the training does not use the candidate")


@pytest.mark.parametrize("name", WRONG)
def test_what_a_bug_does(name):
    lesson, exercise_name = name.split("/")
    exercise = catalogue.find(lesson).exercise_named(exercise_name)
    mistake, said, steps, share = WRONG[name]
    comparison = side_by_side(
        exercise.consequence, exercise.mistakes[mistake], exercise.solution, seconds=1000, steps=steps
    )
    assert said in comparison.summary()
    assert len(comparison.right.losses) == steps
    assert comparison.right.smooth()[-1] < share * comparison.right.losses[0]
    again = side_by_side(exercise.consequence, exercise.solution, exercise.solution, seconds=1000, steps=5)
    assert again.yours.losses == again.right.losses == comparison.right.losses[:5]
