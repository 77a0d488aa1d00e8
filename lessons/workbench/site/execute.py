"""Runs one lesson in a process of its own, for the pages: report and figures go into a folder.

    python -m lessons.workbench.site.execute LESSON SIZE FOLDER

A process of its own runs what the files say now, even when an older version of a lesson, or of minigrad, has long been
imported where the pages are built.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lessons.anatomy import Exercise, Lesson
from lessons.anatomy.account import outcome_lines
from lessons.anatomy.homework import Outcome, check_one
from lessons.workbench import catalogue
from lessons.workbench.report import NAME, report


def execute(lesson: Lesson, size: str, folder: Path) -> None:
    """Run ``lesson`` with seed 0 and write figures and ``report.json``, with its exercises, into ``folder``."""
    run = lesson.run(size, 0, folder)
    exercises = [about(exercise) for exercise in lesson.exercise_list]
    text = json.dumps({**report(lesson, run), "exercises": exercises}, allow_nan=False, ensure_ascii=False)
    (folder / NAME).write_text(text, encoding="utf-8")


def about(exercise: Exercise) -> dict[str, Any]:
    """Hints, from question to solution, and a wrong answer with what the terminal says to it."""
    hints = [{"kind": hint.kind, "text": hint.text} for hint in exercise.ladder()]
    return {"name": exercise.name, "hints": hints, "failure": failure(exercise)}


def failure(exercise: Exercise) -> dict[str, Any] | None:
    """A declared mistake and the lines that `minigrad check` prints for it; None when there is none that fails.

    The one that teaches most comes first: few terms are wrong, and the cause was found rather than recognised.
    """
    for name in sorted(exercise.mistakes, key=lambda name: _distance(exercise, name)):
        outcome = check_one(exercise, exercise.mistakes[name])
        if outcome.status == "failed":
            return {"mistake": name, "terms": _terms(outcome), "lines": outcome_lines(outcome)}
    return None


def _distance(exercise: Exercise, mistake: str) -> tuple[bool, bool, int]:
    """How far a mistake is from one that teaches much."""
    expected = exercise.expected[mistake]
    return not expected.terms, expected.cause is None, len(expected.terms)


def _terms(outcome: Outcome) -> list[str]:
    return [] if outcome.diagnosis is None else list(outcome.diagnosis.terms)


if __name__ == "__main__":
    name, size, folder = sys.argv[1:]
    execute(catalogue.find(name), size, Path(folder))
