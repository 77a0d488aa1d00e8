"""A learner's file as a context manager: what it defines, as functions that run in the child."""

from __future__ import annotations

import inspect
import os
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lessons.anatomy.homework import NOT_STARTED
from lessons.lab import evidence
from lessons.workbench.sandbox import codec
from lessons.workbench.sandbox.errors import SubmissionError
from lessons.workbench.sandbox.limits import Limits
from lessons.workbench.sandbox.process import Child, Nursery

_LOADED = 2**22  # bytes of the longest list of definitions that is read
_WARNINGS = 3  # of one call
_SOURCE = 2**22  # bytes of the longest file that is worth running


class Submission:
    """``with Submission(path, limits) as submission:`` starts a child and runs the file ``path`` in it.

    ``functions``: what the file defines, by name; calling one runs it in the child, and `inspect.signature` of it is
    the learner's.  ``others``: what it defines besides, as text.  ``printed``: what its code printed so far.
    ``isolation``: which protections were in force, a sentence for each kind of harm.

    Entering raises ``OSError`` when the file cannot be read and `SubmissionError` when it does not load.  A call
    raises `SubmissionError` for whatever went wrong in the child, and ``NotImplementedError`` where a stub did;
    ``TypeError`` for arguments that are not arrays, numbers, strings or None in tuples, lists and dicts.  After a
    timeout or a crash the whole process group is dead, and further calls say so: enter a new one.

    A ``nursery`` provides a child that has started before.
    """

    def __init__(self, path: Path | str, limits: Limits = Limits(), nursery: Nursery | None = None) -> None:  # noqa: B008
        self.path = Path(path)
        self.limits = limits
        self.functions: dict[str, Proxy] = {}
        self.others: dict[str, str] = {}
        self.isolation: dict[str, str] = {}
        self._nursery = nursery
        self._child: Child | None = None
        self._left = limits.seconds
        self._printed = ""

    @property
    def printed(self) -> str:
        """What the learner's code printed so far: at most ``limits.output`` bytes."""
        return self._printed if self._child is None else self._child.printed.decode("utf-8", "replace")

    @property
    def alive(self) -> bool:
        """Whether the child still answers."""
        return self._child is not None and not self._child.ended

    def renew(self) -> None:
        """Let the time begin anew, as for another check."""
        self._left = self.limits.seconds

    def __enter__(self) -> Submission:
        with open(self.path, "rb") as file:
            content = file.read(_SOURCE + 1)
        if len(content) > _SOURCE:
            raise SubmissionError(
                "not loadable", (f"{self.path} has more than {_SOURCE} bytes: is it the right file?",)
            )
        self._child = self._new_child()
        try:
            self._child.wait_until_ready()
            self._load(content)
        except BaseException as error:
            self.__exit__()
            if isinstance(error, SubmissionError):
                error.printed, error.isolation = self.printed, self.isolation or None
            raise
        self.renew()
        return self

    def __exit__(self, *exc: object) -> None:
        """End the child, and all that it started."""
        if self._child is not None:
            self._child.kill()
            self._printed, self._child = self.printed, None

    def _new_child(self) -> Child:
        if self._nursery is None:
            return Child(self.limits.confined)
        if self._nursery.confined != self.limits.confined:
            raise ValueError("Submission: the nursery and the limits must agree on confined=")
        return self._nursery.take()

    def _load(self, content: bytes) -> None:
        assert self._child is not None
        path = os.path.abspath(self.path)
        places = {"path": path, "scratch": self._child.scratch, "cwd": os.getcwd()}
        _, self.isolation = self._ask(codec.pack({"kind": "confine", **places, **asdict(self.limits)}), _LOADED)
        request = codec.pack({"kind": "load", "path": path}, np.frombuffer(content, np.uint8))
        head, value = self._ask(request, _LOADED)
        try:
            if head["kind"] == "error":
                raise self._not_loadable(head)
            self.functions = {
                name: Proxy(self, name, _signature(parameters)) for name, parameters in value["functions"].items()
            }
            self.others = {name: clean(str(text)) for name, text in value["others"].items()}
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            said = f"its process sent a list of functions that makes no sense: {type(error).__name__}"
            raise SubmissionError("crash", (said,)) from None

    def _not_loadable(self, head: dict[str, Any]) -> SubmissionError:
        if "syntax" in head:
            lines = (f"{self.path} is not valid Python: {clean(str(head['syntax']))}", *_lines(head))
            return SubmissionError("not loadable", lines)
        failure = _failure(head)
        first, *more = failure.lines
        status = "not loadable" if failure.status == "error" else failure.status
        return SubmissionError(status, (f"{self.path} does not load: {first}", *more))

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What calling a proxy does."""
        if self._child is None:
            raise SubmissionError("crash", (f"{name} was called outside of `with Submission(...)`",))
        for argument in (*args, *kwargs.values()):
            _require_plain(name, argument)
        request = codec.pack({"kind": "call", "name": name}, (args, kwargs))
        head, value = self._ask(request, self.limits.reply)
        if head.get("kind") == "result":
            said = head.get("warnings")
            for message in said[:_WARNINGS] if isinstance(said, list) else ():
                warnings.warn(clean(str(message)[:500]), RuntimeWarning, stacklevel=3)
            for entry in evidence.plain(head.get("evidence")):
                evidence.tell(entry)
            return value
        if head.get("not started") is True and str(head.get("text", "")).startswith(NOT_STARTED):
            raise NotImplementedError(clean(str(head["text"])))
        raise _failure(head)

    def _ask(self, frame: bytes, longest: int) -> tuple[dict[str, Any], Any]:
        assert self._child is not None
        if self._left <= 0:
            self._child.kill()
            raise self._late()
        start = time.monotonic()
        try:
            return self._child.ask(frame, self._left, longest, self.limits.output)
        except SubmissionError as error:
            if error.status == "timeout":
                raise self._late() from None
            raise
        finally:
            self._left -= time.monotonic() - start

    def _late(self) -> SubmissionError:
        said = f"it ran for more than {self.limits.seconds:g} s: killed, with all that it started"
        return SubmissionError("timeout", (said,))


class Proxy:
    """Stands for a function of the learner's; calling it runs that function in the child."""

    def __init__(self, submission: Submission, name: str, signature: inspect.Signature | None) -> None:
        self.__name__ = self.__qualname__ = name
        self._submission = submission
        if signature is not None:
            self.__signature__ = signature

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._submission.call(self.__name__, args, kwargs)

    def __repr__(self) -> str:
        return f"<{self.__name__} of {self._submission.path}, in a process of its own>"


class _Default:
    """A default value that stayed in the child: its text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def clean(text: str) -> str:
    """Text from the child, without what could steer a terminal or not be written to a file."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text.expandtabs())


def _signature(parameters: list[Any] | None) -> inspect.Signature | None:
    if parameters is None:
        return None
    empty = inspect.Parameter.empty
    return inspect.Signature(
        [
            inspect.Parameter(name, inspect._ParameterKind(kind), default=_Default(clean(text)) if has else empty)
            for name, kind, has, text in parameters
        ]
    )


def _failure(head: dict[str, Any]) -> SubmissionError:
    """What the child says it ran into.  It may say anything: only text is taken from it."""
    kind, text = clean(str(head.get("type", "an error"))), clean(str(head.get("text", "")))
    status = "memory" if head.get("memory") is True else "error"
    return SubmissionError(status, (f"{kind}: {text}" if text else kind, *_lines(head)))


def _lines(head: dict[str, Any]) -> tuple[str, ...]:
    lines = head.get("lines")
    return tuple(clean(str(line))[:300] for line in lines[:10]) if isinstance(lines, list) else ()


def _require_plain(name: str, argument: Any) -> None:
    """Refuse what would arrive as something else.  Arrays of numbers are checked by the codec's own rules."""
    unsent = codec.first_opaque(argument)
    if unsent is not None:
        raise TypeError(
            f"{name}: an argument holds {unsent}, which cannot be sent to the child; "
            "pass arrays of numbers, numbers, strings or None, in tuples, lists and dicts"
        )
