"""The judge: checks one exercise after another, each submission in a fresh confined child.

It is a process of its own, so that whatever happens to it costs the batch one exercise.  Requests come as lines of
JSON on standard input, answers leave the same way; nothing of the learner's runs here.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from lessons.anatomy import Lesson, Outcome
from lessons.workbench import catalogue
from lessons.workbench.report import plain
from lessons.workbench.sandbox import Limits, Nursery, Submission, SubmissionError, check_in_child
from lessons.workbench.sandbox.submission import clean

PRINTED = 2000  # characters of what a submission printed that the report keeps
LINES, LINE = 40, 500  # and of what is said about it


def judged(lesson: Lesson, exercise: str, path: str, limits: Limits, nursery: Nursery | None = None) -> dict[str, Any]:
    """What the report says about one exercise of one student; whatever the submission does, this returns."""
    seen: dict[str, Any] = {"printed": "", "isolation": None}

    def look(outcome: Outcome, submission: Submission) -> None:
        seen.update(printed=submission.printed, isolation=submission.isolation)

    try:
        (outcome,) = check_in_child(lesson, path, limits, exercise, nursery, after=look)
    except SubmissionError as error:
        lines = tuple(line.replace(path, Path(path).name) for line in error.lines)  # the same for all who share it
        outcome = Outcome(exercise, error.status, lines)
        seen.update(printed=error.printed, isolation=error.isolation)
    except OSError as error:
        outcome = Outcome(exercise, "not loadable", (f"cannot read {Path(path).name}: {error.strerror}",))
    return {
        "lesson": lesson.name,
        "exercise": exercise,
        "status": outcome.status,
        "passed": outcome.passed,
        "lines": said(outcome.lines),
        "seconds": round(outcome.seconds, 4),
        "printed": clean(seen["printed"][:PRINTED]),
        "diagnosis": _diagnosis(getattr(outcome, "diagnosis", None)),
        "isolation": seen["isolation"],
    }


def _diagnosis(diagnosis: Any) -> dict[str, Any] | None:
    if diagnosis is None:
        return None
    return {
        "status": str(diagnosis.status),
        "terms": [clean(str(term)) for term in diagnosis.terms],
        "cause": clean(str(diagnosis.cause or "")),
        "lines": said(diagnosis.lines),
    }


def said(lines: Any) -> list[str]:
    """Lines for the report.  They may quote the submission, so they are cut and cleaned."""
    return [clean(str(plain(line)))[:LINE] for line in lines][:LINES]


def main() -> None:
    """Answer requests until there are none."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a check that prints must not spoil an answer
    lessons: dict[str, Lesson] = {}
    with Nursery(confined=True) as nursery:
        for line in sys.stdin:
            request = json.loads(line)
            name = request["lesson"]
            lesson = lessons.get(name) or lessons.setdefault(name, catalogue.find(name))
            limits = Limits(**{**request["limits"], "readable": tuple(request["readable"])})
            answer = judged(lesson, request["exercise"], request["path"], limits, nursery)
            print(json.dumps(answer), file=answers, flush=True)
            nursery.refill()


if __name__ == "__main__":
    main()
