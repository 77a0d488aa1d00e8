"""The lesson on backward passes, and the batch-norm lesson's exercises: each planted mistake has its diagnosis."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

from lessons.anatomy import check_functions
from lessons.anatomy.account import outcome_lines
from lessons.anatomy.homework import check_file, check_one
from lessons.foundations import backward_passes
from lessons.lab.recorded import recorded_by_torch
from lessons.vision import batchnorm

ROOT = Path(__file__).resolve().parents[2]
EXERCISES = [*backward_passes.lesson.exercise_list, *batchnorm.lesson.exercise_list]
MISTAKES = [pytest.param(e, name, id=f"{e.name}: {name}") for e in EXERCISES for name in e.mistakes]
VARIANTS = [pytest.param(e, name, id=f"{e.name}: {name}") for e in EXERCISES for name in e.variants]


@pytest.fixture(scope="module")
def run(quick_run):
    return quick_run("backward_passes")


def test_the_recorded_gradients_are_those_of_every_layer(run):
    recorded = recorded_by_torch(backward_passes.lesson)
    layers = {name.split()[0] for name in recorded.keys() - {"torch_version"}}
    assert layers == {exercise.name.removesuffix("_backward") for exercise in backward_passes.lesson.exercise_list}
    compared = [claim for claim in run.claims if claim.kind == "recorded"]
    assert len(compared) == len(recorded) - 1


@pytest.mark.parametrize(("exercise", "name"), MISTAKES)
def test_a_planted_mistake_fails_with_its_diagnosis(exercise, name):
    outcome = check_one(exercise, exercise.mistakes[name])
    assert outcome.status == "failed"
    found, expected = outcome.diagnosis, exercise.expected[name]
    assert set(found.terms) == set(expected.terms)
    if expected.cause is None:
        assert (found.status, found.mistake) == ("declared mistake", name)
    else:
        assert expected.cause in found.cause
        assert found.status != "cannot tell"
    assert outcome.lines[-len(found.lines) :] == found.lines


@pytest.mark.parametrize(("exercise", "name"), VARIANTS)
def test_right_but_differently_written_passes(exercise, name):
    outcome = check_one(exercise, exercise.variants[name])
    assert outcome.passed, outcome.lines
    assert outcome.diagnosis is None


def test_every_exercise_has_terms_mistakes_and_other_right_solutions():
    for exercise in EXERCISES:
        assert exercise.question is not None
        assert len(exercise.mistakes) >= 6, exercise.name
        assert exercise.variants, exercise.name
        assert all(term.equation for term in exercise.question.all_terms())


def test_the_mistakes_of_the_issue_are_declared():
    """Filed by name: a renamed mistake is fine, a lost one is not."""
    wanted = {
        "convolution_backward": ("flipped kernel", "padding", "stride"),
        "sample_backward": ("swaps x and y", "(W-1)/2"),
        "attention_backward": ("1/sqrt(d)", "instead of the keys", "transpose"),
    }
    for exercise, parts in wanted.items():
        declared = " | ".join(backward_passes.lesson.exercise_named(exercise).mistakes)
        assert all(part in declared for part in parts)


def test_a_failure_in_the_terminal():
    exercise = batchnorm.lesson.exercise_named("closed_form_dx")
    lines = outcome_lines(check_one(exercise, exercise.mistakes["divides by N - 1 in the var term"]))
    assert lines[0] == "closed_form_dx: FAIL"
    assert lines[1].startswith("    dx[")
    assert "want" in lines[1]
    assert "    Your result as a sum of the derivation's terms:" in lines
    assert any(line.endswith("1.333333  1.166667       1   WRONG") for line in lines)
    assert "    The factor on `var` is N/(N-1): it was divided by N-1, the forward divides by N." in lines
    assert lines[-1].startswith("    hint: The forward pass divides by the number of samples")


def test_candidates_are_called_with_plain_values_by_position():
    kinds = set()

    def note(value):
        kinds.add(type(value))

    for exercise in EXERCISES:

        def watching(*given, exercise=exercise):
            for value in given:
                note(value)
            return exercise.solution(*given)

        watching.__signature__ = inspect.signature(exercise.solution)
        assert check_one(exercise, watching).passed
    assert kinds <= {np.ndarray, float, int}


def test_a_mistake_in_a_homework_file_is_explained(tmp_path):
    path = tmp_path / "attention.py"
    path.write_text(
        "import numpy as np\n"
        "def attention_backward(dy, q, k, v, p):\n"
        "    dp = dy @ v.T\n"
        "    ds = p * dp - p * np.sum(p * dp, axis=-1, keepdims=True)\n"
        "    return p.T @ dy, dp, ds, ds @ k, ds.T @ q\n",
        encoding="utf-8",
    )
    outcome = next(o for o in check_file(backward_passes.lesson, path) if o.exercise == "attention_backward")
    assert outcome.diagnosis.terms == ("dq", "dk")
    assert "it lacks a factor 1/sqrt(d)" in outcome.diagnosis.cause
    assert outcome.hint == "By what was the product of q and k divided?"


def test_a_mistake_that_is_written_otherwise_is_recognised_too():
    """Declared mistakes are recognised by what they compute, not by how."""

    def flipped(dy, x, weight, stride, padding):
        right = backward_passes.convolution_backward
        dx, _, _ = right(dy, x, weight[..., ::-1, ::-1], stride, padding)
        return dx, *right(dy, x, weight, stride, padding)[1:]

    def unstrided(dy, x, weight, stride, padding):
        return backward_passes.convolution_backward(dy, x, weight, 1, padding)

    (outcome,) = check_functions(backward_passes.lesson, {"convolution_backward": flipped})
    assert outcome.diagnosis.mistake == "scatters with the flipped kernel"
    (outcome,) = check_functions(backward_passes.lesson, {"convolution_backward": unstrided})
    assert outcome.diagnosis.mistake == "forgets the stride"
