"""`minigrad dev check` about itself: exercises whose check cannot fail, or whose diagnosis is untrue, are found out."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from lessons.anatomy import Hint, Lesson, LessonError, Source, Term, Verdict, stub_file
from lessons.anatomy.homework import check_one
from lessons.workbench import devcheck
from lessons.workbench.cli import main

SQUARE = (Term("own", "m * dy", question="Own?"), Term("shared", "sum(dy * x) / N", through=("m",), question="Shared?"))


def lesson_with_question(**changes):
    """A sound lesson on y = x * mean(x), with a part of it replaced."""
    lesson = Lesson("planted", "t", "s", Source("t", "a", 2000, "https://example.org"), "h", exercises=1)

    @lesson.exercise(hint="The general hint.")
    def backward(dy, x):
        """Return dx, shape (N,)."""
        return x.mean() * dy + (dy * x).mean()

    def forward(named, x):
        return x * named("m", x.mean())

    lesson.question(
        "backward",
        inputs=changes.get("inputs", lambda rng, N: {"x": rng.normal(size=N) + 1}),
        sizes=changes.get("sizes", {"N": (4, 7)}),
        terms={"dx": changes.get("terms", SQUARE)},
    )(changes.get("forward", forward))
    for name, (wrong, terms, cause) in changes.get("mistakes", MISTAKES).items():
        lesson.mistake("backward", name, terms=terms, cause=cause)(wrong)
    return lesson


MISTAKES = {"forgets 1/N": (lambda dy, x: x.mean() * dy + (dy * x).sum(), ("shared",), "`shared` is N")}


def test_a_sound_exercise_has_no_problems():
    assert devcheck.problems(lesson_with_question()) == []


def blind(candidate):
    """A check that calls the candidate and cannot fail."""
    candidate(np.ones(3), np.arange(3.0))
    return Verdict(True)


def test_a_check_that_cannot_fail_is_found():
    lesson = lesson_with_question()
    lesson.exercise_list[0].check = blind
    found = devcheck.problems(lesson)
    assert any("the mistake 'forgets 1/N' should fail the check, which said: passed" in problem for problem in found)
    assert any("the mistake 'result zeroed' should fail" in problem for problem in found)


@pytest.mark.parametrize("term", ["own", "shared"])
def test_a_check_that_is_blind_to_one_term_is_found(term):
    """It looks at the factor of the other term only."""
    seen = {"own": "shared", "shared": "own"}[term]
    lesson = lesson_with_question()
    question = lesson.exercise_list[0].question

    def half_blind(candidate):
        draw = question.problem.draws[0]
        terms = draw.terms["dx"]
        factors = np.linalg.lstsq(np.stack(list(terms.values()), axis=1), question.call(candidate, draw), rcond=None)[0]
        return Verdict(bool(abs(dict(zip(terms, factors, strict=True))[seen] - 1) < 1e-9))

    lesson.exercise_list[0].check = half_blind
    found = devcheck.problems(lesson)
    for done in ("zeroed", "negated", "doubled"):
        assert any(f"the term {term!r} {done} should fail the check" in problem for problem in found), found


def test_a_check_of_other_inputs_than_the_question_is_sent_back():
    lesson = lesson_with_question()

    def elsewhere(candidate):
        x, dy = np.random.default_rng(9).normal(size=(2, 5))
        return Verdict.from_arrays("dx", candidate(dy, x), x.mean() * dy + (dy * x).mean(), 1e-9)

    lesson.exercise_list[0].check = elsewhere
    (problem,) = devcheck.problems(lesson)
    assert "its check calls with other inputs than its question draws" in problem


@pytest.mark.parametrize(
    ("mistakes", "message"),
    [
        ({}, "declares no mistake"),
        ({"forgets 1/N": (MISTAKES["forgets 1/N"][0], ("own",), "`shared` is N")}, "declares the terms own"),
        ({"forgets 1/N": (MISTAKES["forgets 1/N"][0], ("shared",), "is 2")}, "should have the cause 'is 2'"),
        ({"forgets 1/N": (MISTAKES["forgets 1/N"][0], ("shared",), None)}, "should be recognised by its name"),
        (
            {
                "one": (lambda dy, x: np.sin(dy), (), None),
                "two": (lambda dy, x: np.sin(dy), (), None),
            },
            "the mistake 'two' should be recognised by its name",
        ),
        ({"right": (lambda dy, x: x.mean() * dy + (dy * x).mean(), (), None)}, "'right' should fail the check"),
        ({"raises": (lambda dy, x: 1 / 0, (), None)}, "'raises' should fail the check, which said: error"),
    ],
)
def test_untrue_declarations_are_found(mistakes, message):
    assert any(message in problem for problem in devcheck.problems(lesson_with_question(mistakes=mistakes)))


def other_forward(named, x):
    return x * named("m", x.mean()) * 1.5


def with_a_kink(named, x):
    return (x - 1.0).abs() + x * named("m", x.mean())


def with_a_detached_path(named, x):
    return x.detach() * named("m", x.mean()) + x.detach() * 0 + x * x.mean().detach() * 0 + x * 0.3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"forward": other_forward}, "the solution does not pass"),
        ({"inputs": lambda rng, N: {"x": np.zeros(N)}}, "the solution does not pass: broken check"),
        ({"terms": (Term("own", ""), Term("shared", "", through=("nothing",)))}, "broken check"),
        ({"terms": (Term("own", ""), Term("shared", "", through=("m",)), Term("also", "", through=("m",)))}, "alike"),
        ({"inputs": lambda rng, N: {"y": rng.normal(size=N)}}, "broken check"),
    ],
)
def test_unsound_questions_are_found(changes, message):
    assert any(message in problem for problem in devcheck.problems(lesson_with_question(**changes)))


@pytest.mark.parametrize("forward", [with_a_kink, with_a_detached_path])
def test_a_forward_whose_gradient_is_not_its_derivative_is_found(forward):
    lesson = lesson_with_question(
        forward=forward, terms=(Term("own", ""),), inputs=lambda rng, N: {"x": np.arange(1.0, N + 1)}
    )
    question = lesson.exercise_list[0].question
    (problem,) = devcheck.forward_problems(question)
    assert "fails the gradient check" in problem


def test_sizes_at_which_constants_agree_are_found():
    lesson = lesson_with_question(sizes={"N": (2, 3)})
    assert any("the factors N/2 and N/2 are the same number" in problem for problem in devcheck.problems(lesson))
    lesson = lesson_with_question(sizes={"N": (4, 7)})
    assert devcheck.problems(lesson) == []


def helper(x):
    return x.mean()


def test_a_solution_that_needs_the_lessons_helpers_is_found():
    """Whoever reveals it would have a file that does not run."""
    lesson = Lesson("planted", "t", "s", Source("t", "a", 2000, "https://example.org"), "h", exercises=1)

    @lesson.exercise(hint="h")
    def mean(x):
        """Return the mean of x."""
        return helper(x)

    lesson.check("mean")(lambda c: Verdict.from_arrays("mean", np.asarray(c(np.arange(3.0))), np.asarray(1.0), 1e-9))
    lesson.mistake("mean", "sums")(lambda x: x.sum())
    problems = devcheck.problems(lesson)
    assert any("does not work in a learner's file" in p and "name 'helper' is not defined" in p for p in problems)


def test_a_wrong_variant_is_found():
    lesson = lesson_with_question()
    lesson.variant("backward", "not quite")(lambda dy, x: x.mean() * dy)
    assert any("the right variant 'not quite' does not pass" in problem for problem in devcheck.problems(lesson))


def test_a_diagnosis_without_a_question_is_found():
    lesson = lesson_with_question()
    exercise = lesson.exercise_list[0]
    check = exercise.check
    exercise.question, exercise.check = None, check
    assert any("the exercise has no question to find it with" in problem for problem in devcheck.problems(lesson))


def test_a_cause_that_the_check_itself_says_needs_no_question():
    lesson = Lesson("planted", "t", "s", Source("t", "a", 2000, "https://example.org"), "h", exercises=1)

    @lesson.exercise(hint="h")
    def one():
        """Return 1."""
        return np.ones(1)

    lesson.check("one")(lambda c: Verdict(c()[0] == 1, ("one was divided",) if c()[0] < 1 else ()))
    lesson.mistake("one", "halves", cause="was divided")(lambda: np.ones(1) / 2)
    assert devcheck.problems(lesson) == []
    lesson.mistake("one", "doubles", cause="was multiplied")(lambda: 2 * np.ones(1))
    (problem,) = devcheck.problems(lesson)
    assert "'doubles' should have the cause 'was multiplied'; the check says: " in problem


def test_beside_a_question_a_check_can_name_a_cause_of_its_own():
    lesson = lesson_with_question()
    exercise = lesson.exercise_list[0]
    by_terms = exercise.check

    def check(candidate):
        try:
            return by_terms(candidate)
        except ZeroDivisionError:
            return Verdict(False, ("something was divided by zero",))

    exercise.check = check
    lesson.mistake("backward", "divides by zero", cause="divided by zero")(lambda dy, x: 1 // 0)
    assert devcheck.problems(lesson) == []
    lesson.mistake("backward", "has no sums", cause="overflow")(lambda dy, x: 1 // 0)
    assert "should have the cause 'overflow'" in devcheck.problems(lesson)[0]
    lesson.mistake("backward", "has no terms", terms=("own",), cause="divided by zero")(lambda dy, x: 1 // 0)
    assert "fails, but without a diagnosis" in devcheck.problems(lesson)[1]


@pytest.mark.parametrize("imports", [("import math",), ()])
def test_what_the_lesson_imports_is_in_the_learners_file(imports):
    source = Source("t", "a", 2000, "https://example.org")
    lesson = Lesson("planted", "t", "s", source, "h", exercises=1, imports=imports)

    @lesson.exercise(hint="h")
    def half_turn():
        """Return pi."""
        return math.pi * np.ones(1)

    lesson.check("half_turn")(lambda c: Verdict.from_arrays("pi", c(), np.full(1, np.pi), 1e-9))
    lesson.mistake("half_turn", "is the whole turn")(lambda: np.full(1, 2 * np.pi))
    problems = devcheck.problems(lesson)
    assert ("name 'math' is not defined" in "".join(problems)) == (not imports)
    assert ("import numpy as np  # noqa: F401\n\nimport math\n\n\ndef half_turn():" in stub_file(lesson)) == bool(
        imports
    )


def test_dev_check_says_what_it_held_to_account(capsys):
    assert main(["dev", "check", "batchnorm"]) == 0
    output = capsys.readouterr().out
    assert "4 exercises: stubs, solutions and 60 declared mistakes are told apart." in output
    assert "15 terms: each is found when it is zeroed, negated or doubled." in output


def test_dev_check_holds_for_the_lesson_on_backward_passes():
    from lessons.foundations.backward_passes import lesson

    assert devcheck.problems(lesson) == []


def test_registration_mistakes_are_named():
    lesson = lesson_with_question()
    with pytest.raises(LessonError, match="has two questions"):
        lesson.question("backward", inputs=dict, sizes={}, terms={})(lambda named: None)
    with pytest.raises(LessonError, match="no exercise called 'forward'"):
        lesson.question("forward", inputs=dict, sizes={}, terms={})(lambda named: None)
    lesson.variant("backward", "v")(lambda dy, x: dy)
    with pytest.raises(LessonError, match="variant 'v' is declared twice"):
        lesson.variant("backward", "v")(lambda dy, x: dy)


# ---- the ladder of hints


def test_the_ladder_without_a_diagnosis():
    hints = lesson_with_question().exercise_list[0].ladder()
    assert [hint.kind for hint in hints] == ["question", "term", "equation", "skeleton", "solution"]
    assert hints[0] == Hint("question", "The general hint.")
    assert "`own`, `shared`" in hints[1].text
    assert hints[2].text == "own = m * dy\nshared = sum(dy * x) / N"
    assert hints[3].text.splitlines() == [
        "def backward(dy, x):",
        "    own = ...  # m * dy",
        "    shared = ...  # sum(dy * x) / N",
        "    dx = own + shared",
        "    return dx",
    ]
    assert hints[4].text.startswith("def backward(dy, x):")
    assert "return x.mean() * dy + (dy * x).mean()" in hints[4].text


def test_the_diagnosis_chooses_what_the_hints_are_about():
    exercise = lesson_with_question().exercise_list[0]
    outcome = check_one(exercise, MISTAKES["forgets 1/N"][0])
    hints = exercise.ladder(outcome.diagnosis)
    assert hints[0].text == outcome.hint == "Shared?"
    assert hints[1].text == "Look at the term `shared`. The factor on `shared` is N: it lacks a factor 1/N."
    assert hints[2].text == "shared = sum(dy * x) / N"


def test_a_diagnosis_that_cannot_tell_still_leaves_a_ladder():
    exercise = lesson_with_question().exercise_list[0]
    outcome = check_one(exercise, lambda dy, x: np.sin(dy))
    assert outcome.diagnosis.status == "cannot tell"
    hints = exercise.ladder(outcome.diagnosis)
    assert hints[0].text == outcome.hint == "The general hint."
    assert hints[1].text.startswith("Cannot tell what is wrong with dx, but not this")


def test_an_exercise_without_a_question_has_a_hint_and_a_solution():
    spec = importlib.util.spec_from_file_location("toy_of_ladder", Path(__file__).with_name("toy.py"))
    toy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(toy)
    exercise = toy.lesson.exercise_named("double")
    assert exercise.diagnose(lambda x: x) is None
    assert [hint.kind for hint in exercise.ladder(None)] == ["question", "solution"]


def test_a_number_in_the_place_of_a_size_fails_the_check():
    """Right for the first size, 4, and for no other."""
    outcome = check_one(lesson_with_question().exercise_list[0], lambda dy, x: x.mean() * dy + (dy * x).sum() / 4)
    assert outcome.status == "failed"
    assert outcome.diagnosis.cause == "The factor on `shared` is N/4: it has the number 4 where N belongs."


def test_a_candidate_that_raises_in_the_diagnosis_alone_keeps_its_verdict():
    exercise = lesson_with_question().exercise_list[0]
    calls = []

    def moody(dy, x):
        calls.append(1)
        if len(calls) > 1:
            raise ValueError("later")
        return 0 * dy

    outcome = check_one(exercise, moody)
    assert outcome.status == "failed"
    assert outcome.diagnosis is None


def test_a_diagnosis_that_raises_is_the_lessons_fault():
    exercise = lesson_with_question().exercise_list[0]
    exercise.diagnose = lambda candidate: 1 / 0
    outcome = check_one(exercise, lambda dy, x: dy)
    assert outcome.status == "broken check"
    assert "the diagnosis raised ZeroDivisionError" in outcome.lines[0]
