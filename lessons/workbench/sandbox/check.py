"""The check of a lesson's exercises against a file that runs in a child."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lessons.anatomy import Lesson, Outcome
from lessons.anatomy.homework import check_one
from lessons.workbench.sandbox.errors import SubmissionError
from lessons.workbench.sandbox.limits import Limits
from lessons.workbench.sandbox.process import Nursery
from lessons.workbench.sandbox.submission import Submission


def check_in_child(
    lesson: Lesson,
    path: Path | str,
    limits: Limits = Limits(),  # noqa: B008
    exercise: str | None = None,
    nursery: Nursery | None = None,
    after: Callable[[Outcome, Submission], None] = lambda outcome, submission: None,
) -> list[Outcome]:
    """Check what the file defines, each exercise of ``lesson`` in order, or ``exercise`` alone.

    After an exercise that ends the child (a timeout, a crash), the next one gets a fresh child.  ``after`` is called
    after each exercise with its outcome and the submission, which knows what was printed (``submission.printed`` is
    everything since the file was loaded) and which protections were in force.

    Raises ``OSError`` when the file cannot be read, `SubmissionError` when it does not load or defines none of the
    exercises, and `LessonError` when the lesson has no exercise of that name.
    """
    wanted = lesson.exercise_list if exercise is None else [lesson.exercise_named(exercise)]
    names = [each.name for each in lesson.exercise_list]
    outcomes: list[Outcome] = []
    while len(outcomes) < len(wanted):
        with Submission(path, limits, nursery) as submission:
            found: dict[str, Any] = {**submission.functions, **_unusable(submission)}
            if not any(name in found for name in names):
                said = f"{path} defines none of the exercises of {lesson.name}: {', '.join(names)}"
                raise SubmissionError("not loadable", (said,))
            for each in wanted[len(outcomes) :]:
                if not submission.alive:
                    break
                submission.renew()
                outcome = Outcome(each.name, "missing", ("the file does not define it",))
                if each.name in found:
                    outcome = check_one(each, found[each.name])
                outcomes.append(outcome)
                after(outcome, submission)
    return outcomes


class _NotAFunction:
    """What the file calls like an exercise, although it is none."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _unusable(submission: Submission) -> dict[str, _NotAFunction]:
    return {name: _NotAFunction(text) for name, text in submission.others.items()}
