"""What went wrong in the child, as the parent sees it."""

from __future__ import annotations

from lessons.anatomy.homework import CandidateError

STATUSES = {
    "error": "the code raised an exception",
    "timeout": "it ran longer than it may; its whole process group was killed",
    "crash": "its process ended, or stopped making sense, before it answered",
    "memory": "it asked for more memory than it may have",
    "output": "it printed more than it may; its whole process group was killed",
    "not loadable": "the file is not valid Python, raises an error when it is run, or defines none of the exercises",
    "no sandbox": "the child process did not start: a fault of the machine or of minigrad, not of the file",
}


class SubmissionError(CandidateError):
    """The learner's file failed in its process: ``status`` is a key of `STATUSES`, ``lines`` say what happened.

    For an exception of the learner's own, ``lines`` are its message and its traceback, innermost line first, without
    frames that are not the learner's.  ``printed`` and ``isolation`` are those of a
    submission that did not load: what it printed, and the protections in force, if it came so far.
    """

    def __init__(self, status: str, lines: tuple[str, ...]) -> None:
        assert status in STATUSES, status
        super().__init__(status, lines)
        self.printed = ""
        self.isolation: dict[str, str] | None = None
