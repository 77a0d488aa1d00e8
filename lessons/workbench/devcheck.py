"""For authors of lessons: proof that each exercise's check can pass, and can fail."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lessons.anatomy import Exercise, Lesson
from lessons.anatomy.homework import check_one, stub

SPOILERS: dict[str, Callable[[Any], Any]] = {
    "zeroed": np.zeros_like,
    "negated": np.negative,
    "doubled": lambda array: 2 * array,
}


def problems(lesson: Lesson) -> list[str]:
    """What is wrong with the exercises of ``lesson``: nothing when the list is empty.

    For each exercise: the stub says "not started", the solution passes, every declared mistake fails, and so
    does the solution with one of its results zeroed, negated or doubled.
    """
    found = []
    count = len(lesson.exercise_list)
    if lesson.exercises is None:
        found.append(f"{lesson.name}: declare exercises={count} in Lesson(...), so that none can get lost")
    elif lesson.exercises != count:
        found.append(f"{lesson.name}: declares {lesson.exercises} exercises, but {count} are registered")
    for exercise in lesson.exercise_list:
        found += [f"{lesson.name} / {exercise.name}: {problem}" for problem in _exercise_problems(exercise)]
    return found


def _exercise_problems(exercise: Exercise) -> Iterator[str]:
    if exercise.check is None:
        yield "has no check"
        return
    namespace: dict[str, Any] = {"np": np}
    exec("from __future__ import annotations\n" + stub(exercise), namespace)
    outcome = check_one(exercise, namespace[exercise.name])
    if outcome.status != "not started":
        yield f'the stub is reported as "{outcome.status}", not as "not started": {"; ".join(outcome.lines)}'
    outcome = check_one(exercise, exercise.solution)
    if not outcome.passed:
        yield f"the solution does not pass: {outcome.status}: {'; '.join(outcome.lines)}"
        return
    if not exercise.mistakes:
        yield "declares no mistake, so nothing shows what the check can find"
    for name, wrong in {**exercise.mistakes, **spoiled(exercise)}.items():
        outcome = check_one(exercise, wrong)
        if outcome.status != "failed":
            said = "; ".join((outcome.status, *outcome.lines))
            yield f"the mistake {name!r} should fail the check, which said: {said}"


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
