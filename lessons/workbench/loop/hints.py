"""The hints of an exercise, from a question down to the solution, and which of them were shown already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lessons.anatomy import Exercise
from lessons.workbench.loop.state import Progress, now
from lessons.workbench.loop.stubs import fingerprint, solution_lines


@dataclass(frozen=True)
class Rung:
    """One hint: ``kind`` is "question", "term", "equation", "skeleton" or "solution"."""

    kind: str
    text: str


def ladder(exercise: Exercise, diagnosis: Any) -> list[Rung]:
    """The hints that fit this diagnosis, each saying more than the one before; the last is the solution."""
    climb = getattr(exercise, "ladder", None)
    if climb is not None:
        return [Rung(hint.kind, hint.text) for hint in climb(diagnosis)]
    return [Rung("question", exercise.hint), Rung("solution", "\n".join(solution_lines(exercise)))]


def take(exercise: Exercise, diagnosis: Any, progress: Progress) -> tuple[Rung, str]:
    """The next hint that was not shown yet, and what comes after it; records both in ``progress``.

    A new diagnosis brings new hints.  When all were shown, the last is shown again.
    """
    rungs = ladder(exercise, diagnosis)
    number = next((i for i, rung in enumerate(rungs) if fingerprint(rung.text) not in progress.hints), len(rungs) - 1)
    rung = rungs[number]
    mark = fingerprint(rung.text)
    if mark not in progress.hints:
        progress.hints.append(mark)
    if rung.kind == "solution" and not progress.revealed:
        progress.revealed = now()
    after = [later.kind for later in rungs[number + 1 :] if fingerprint(later.text) not in progress.hints]
    return rung, after[0] if after else ""
