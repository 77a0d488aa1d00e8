"""Checking the learner's file in the background: in a child that was started beforehand, and can be ended at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lessons.anatomy import Exercise, Lesson, Outcome
from lessons.workbench.loop.jobs import Bell, Job, no_stops
from lessons.workbench.sandbox import Limits, Nursery, Submission, SubmissionError, check_in_child
from lessons.workbench.sandbox.process import Child

LIMITS = Limits(seconds=10.0)

turn = threading.Lock()  # for one at a time: recording warnings, which checks do, is not made for threads


@dataclass(frozen=True)
class Checked:
    """What came of one check: the outcome, what the learner's code printed, and how long all of it took."""

    outcome: Outcome
    printed: str
    seconds: float


class Checker:
    """Checks one file at a time; a new check calls off the one that is under way."""

    def __init__(self, bell: Bell, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.nursery = Nursery()
        self._bell = bell
        self._closed = False

    def refill(self) -> None:
        """Start the child for the next check, without waiting for it."""
        if not self._closed:
            with no_stops():
                self.nursery.refill()

    def check(self, lesson: Lesson, exercise: Exercise, path: Path) -> Job:
        """A job that posts one `Checked`."""
        begun = time.perf_counter()

        def work(job: Job) -> None:
            lent = Lent(self.nursery)
            try:
                with turn, job.on_cancel(lent.end):
                    checked = check(lesson, exercise, path, self.limits, lent, begun)
                job.post(checked)
            finally:
                self.refill()

        return Job(work, self._bell)

    def close(self) -> None:
        self._closed = True
        self.nursery.close()


class Lent(Nursery):
    """A nursery that takes children from another one and can `end` those that it has given away."""

    def __init__(self, source: Nursery) -> None:
        super().__init__(source.confined, size=0)
        self._source = source
        self._given: list[Child] = []
        self._ended = False

    def take(self) -> Child:
        child = self._source.take()
        self._given.append(child)
        if self._ended:
            _kill(child)
        return child

    def end(self) -> None:
        """Kill the children; whoever waits for one of them learns that it is gone.  For other threads."""
        self._ended = True
        for child in self._given:
            _kill(child)


def _kill(child: Child) -> None:
    """Send the signal only: the thread that talks to the child must be the one to close its pipes."""
    if child.ended:
        return
    with suppress(OSError):
        if os.name == "posix":
            os.killpg(child.process.pid, signal.SIGKILL)
        else:
            child.process.kill()


def check(
    lesson: Lesson,
    exercise: Exercise,
    path: Path,
    limits: Limits = LIMITS,
    nursery: Nursery | None = None,
    begun: float | None = None,
) -> Checked:
    """Check one exercise of the file now.  Every failing of the file becomes an outcome."""
    begun = time.perf_counter() if begun is None else begun
    printed = ""

    def keep(outcome: Outcome, submission: Submission) -> None:
        nonlocal printed
        printed = submission.printed

    try:
        (outcome,) = check_in_child(lesson, path, limits, exercise.name, nursery, keep)
    except SubmissionError as error:
        printed = error.printed
        outcome = Outcome(exercise.name, error.status, error.lines)
    except OSError as error:
        outcome = Outcome(exercise.name, "not loadable", (f"cannot read {path}: {error.strerror}",))
    return Checked(outcome, printed, time.perf_counter() - begun)


def diagnosis_of(outcome: Outcome) -> Any:
    """The diagnosis of an outcome, or None where there is none."""
    return getattr(outcome, "diagnosis", None)
