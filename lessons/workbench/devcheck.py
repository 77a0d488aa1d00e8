"""For authors of lessons: proof that each exercise's check can pass, and can fail."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lessons.anatomy import Exercise, Lesson, Outcome, Question
from lessons.anatomy.homework import check_one, stub
from lessons.anatomy.question import spoiled_terms
from lessons.anatomy.source import without_decorators

SPOILERS: dict[str, Callable[[Any], Any]] = {
    "zeroed": np.zeros_like,
    "negated": np.negative,
    "doubled": lambda array: 2 * array,
}


def problems(lesson: Lesson) -> list[str]:
    """What is wrong with the exercises of ``lesson``: nothing when the list is empty.

    For each exercise: the stub says "not started", the solution and its variants pass, every declared mistake fails,
    and so does the solution with one of its results zeroed, negated or doubled.  Where the exercise has a question: its
    forward pass agrees with numerical derivatives, every mistake has its declared diagnosis, and zeroing, negating or
    doubling any single term is diagnosed as just that.
    """
    found = []
    count = len(lesson.exercise_list)
    if lesson.exercises is None:
        found.append(f"{lesson.name}: declare exercises={count} in Lesson(...), so that none can get lost")
    elif lesson.exercises != count:
        found.append(f"{lesson.name}: declares {lesson.exercises} exercises, but {count} are registered")
    for exercise in lesson.exercise_list:
        problems_found = [*_exercise_problems(lesson, exercise), *_reveal_problems(lesson, exercise)]
        found += [f"{lesson.name} / {exercise.name}: {problem}" for problem in problems_found]
    return found


def _reveal_problems(lesson: Lesson, exercise: Exercise) -> Iterator[str]:
    """Whether the solution, when it is revealed, works in a learner's file: with its imports and the exercises."""
    namespace = learners_file(lesson)
    for other in lesson.exercise_list:
        exec("from __future__ import annotations\n" + without_decorators(other.solution), namespace)
    outcome = check_one(exercise, namespace[exercise.name])
    if outcome.status == "error":
        yield f"the solution does not work in a learner's file, which has np and the exercises: {outcome.lines[0]}"


def learners_file(lesson: Lesson) -> dict[str, Any]:
    """The names that a learner's file begins with."""
    namespace: dict[str, Any] = {"np": np}
    exec("\n".join(lesson.imports), namespace)
    return namespace


def _exercise_problems(lesson: Lesson, exercise: Exercise) -> Iterator[str]:
    if exercise.check is None:
        yield "has no check"
        return
    namespace = learners_file(lesson)
    exec("from __future__ import annotations\n" + stub(exercise), namespace)
    outcome = check_one(exercise, namespace[exercise.name])
    if outcome.status != "not started":
        yield f'the stub is reported as "{outcome.status}", not as "not started": {"; ".join(outcome.lines)}'
    outcome = check_one(exercise, exercise.solution)
    if not outcome.passed:
        yield f"the solution does not pass: {outcome.status}: {'; '.join(outcome.lines)}"
        return
    for name, right in exercise.variants.items():
        outcome = check_one(exercise, right)
        if not outcome.passed:
            yield f"the right variant {name!r} does not pass: {outcome.status}: {'; '.join(outcome.lines)}"
    if not exercise.mistakes:
        yield "declares no mistake, so nothing shows what the check can find"
    for name, wrong in {**exercise.mistakes, **spoiled(exercise)}.items():
        outcome = check_one(exercise, wrong)
        if outcome.status != "failed":
            said = "; ".join((outcome.status, *outcome.lines))
            yield f"the mistake {name!r} should fail the check, which said: {said}"
        elif name in exercise.expected:
            yield from _diagnosis_problems(exercise, name, outcome)
    if exercise.question is not None:
        yield from _question_problems(exercise, exercise.question)


def _diagnosis_problems(exercise: Exercise, name: str, outcome: Outcome) -> Iterator[str]:
    """Whether a mistake gets the diagnosis that its author declared.

    A check may find a cause by itself, where there are no terms that could: then its own lines must have it.
    """
    found, expected = outcome.diagnosis, exercise.expected[name]
    if exercise.question is None and expected.terms:
        yield f"the mistake {name!r} declares terms, but the exercise has no question to find it with"
        return
    if found is None and (exercise.question is None or (expected.cause and not expected.terms)):
        said = "; ".join(outcome.lines)
        if expected.cause is not None and expected.cause not in said:
            yield f"the mistake {name!r} should have the cause {expected.cause!r}; the check says: {said}"
        return
    if found is None:
        yield f"the mistake {name!r} fails, but without a diagnosis"
        return
    said = f"the diagnosis ({found.status}, {', '.join(found.terms) or 'no term'}) says: {found.cause}"
    if expected.cause is None and found.mistake != name:
        yield f"the mistake {name!r} should be recognised by its name; {said}"
    elif expected.cause is not None and expected.cause not in found.cause:
        yield f"the mistake {name!r} should have the cause {expected.cause!r}; {said}"
    elif set(found.terms) != set(expected.terms):
        yield f"the mistake {name!r} declares the terms {', '.join(expected.terms) or '(none)'}; {said}"


def _question_problems(exercise: Exercise, question: Question) -> Iterator[str]:
    """Whether the question's gradients are true, and each of its terms by itself is found when it is wrong."""
    yield from forward_problems(question)
    yield from ambiguous_constants(question)
    for (term, done), (factor, wrong) in spoiled_terms(exercise.solution, question).items():
        try:
            outcome = check_one(exercise, wrong)
        except KeyError:
            outcome = Outcome(exercise.name, "broken check")
        if outcome.status == "broken check" or (outcome.status == "error" and "KeyError" in "".join(outcome.lines)):
            yield "its check calls with other inputs than its question draws; leave the check to the question"
            return
        found = outcome.diagnosis
        if outcome.status != "failed":
            yield f"the term {term!r} {done} should fail the check, which said: {outcome.status}"
        elif found is None or dict(found.factors).get(term) != factor:
            said = f"{found.status}: {found.cause}" if found is not None else "nothing"
            yield f"the term {term!r} {done} should be diagnosed as the factor {factor} on it; it was as {said}"


def forward_problems(question: Question) -> Iterator[str]:
    """Where the tape's gradients of the forward pass disagree with numerical ones, or there is no gradient."""
    from minigrad import gradcheck, tensor
    from minigrad.diagnose import Named

    gradients = [name for name in question.terms if question.problem.is_gradient(name)]
    if not gradients:
        return
    inputs = question.problem.draws[0].inputs
    floats = [name for name, value in inputs.items() if isinstance(value, np.ndarray) and value.dtype.kind == "f"]

    def of_floats(*tensors: Any) -> Any:
        return question.forward(Named(), **{**inputs, **dict(zip(floats, tensors, strict=True))})

    try:
        gradcheck(of_floats, [tensor(inputs[name], requires_grad=True) for name in floats])
    except Exception as error:
        yield f"the forward of its question fails the gradient check: {error}"


def ambiguous_constants(question: Question) -> Iterator[str]:
    """Constants that the diagnosis could take for each other, because they agree at all the sizes."""
    from minigrad.diagnose.factors import KnownFactors

    known = KnownFactors(question.problem.settings)
    seen: dict[tuple[float, ...], str] = {}
    for factor, values in zip(known.factors, known.values.round(9), strict=True):
        other = seen.setdefault(tuple(values), factor.text)
        if other is not factor.text:
            yield f"at its sizes, the factors {other} and {factor.text} are the same number; choose other sizes (not 2)"
            return


def spoiled(exercise: Exercise) -> dict[str, Callable[..., Any]]:
    """Versions of the solution with one result array zeroed, negated or doubled, by what was done to them.

    What the results are shows only in a call, so the check is run once to look.
    """
    results: list[Any] = []

    @functools.wraps(exercise.solution)
    def watch(*args: Any, **kwargs: Any) -> Any:
        results.append(exercise.solution(*args, **kwargs))
        return results[-1]

    check_one(exercise, watch)
    first = results[0] if results else None
    if isinstance(first, tuple):
        places: list[int | None] = [i for i, result in enumerate(first) if isinstance(result, np.ndarray)]
    else:
        places = [None]
    return {
        f"result {'' if place is None else f'{place} '}{done}": _spoil(exercise, spoiler, place)
        for place in places
        for done, spoiler in SPOILERS.items()
    }


def _spoil(exercise: Exercise, spoiler: Callable[[Any], Any], place: int | None) -> Callable[..., Any]:
    @functools.wraps(exercise.solution)
    def wrong(*args: Any, **kwargs: Any) -> Any:
        result = exercise.solution(*args, **kwargs)
        if place is None:
            return spoiler(result)
        return (*result[:place], spoiler(result[place]), *result[place + 1 :])

    return wrong
