"""A learner's file in a process of its own, of which only arrays come back.

The check of an exercise stays where it is, in the parent, and so do the wanted results.  What it judges is a proxy:
each call sends its arguments to the child and gets the result back as plain bytes (`codec`; no pickle, so no object
of the child's making ever runs in the parent).  An endless loop, a crash or a flood ends the child and nothing else::

    with Submission(path, Limits(seconds=5)) as submission:
        submission.functions["double"](np.ones(3))      # runs in the child
        submission.printed                              # what the learner's code printed
        submission.isolation                            # which protections were in force

`check_in_child` checks a lesson's exercises in this way; a `Nursery` holds children that have imported NumPy already.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lessons.workbench.sandbox.check import check_in_child
    from lessons.workbench.sandbox.errors import SubmissionError
    from lessons.workbench.sandbox.limits import Limits
    from lessons.workbench.sandbox.process import Nursery
    from lessons.workbench.sandbox.submission import Submission

__all__ = ["Limits", "Nursery", "Submission", "SubmissionError", "check_in_child"]

_HOMES = {
    "Limits": "limits",
    "Nursery": "process",
    "Submission": "submission",
    "SubmissionError": "errors",
    "check_in_child": "check",
}


def __getattr__(name: str) -> Any:
    """Import on demand: the child lives in this package, too, and must start quickly."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
