"""Stubs for the learner, generated from the reference solutions, and the check of what the learner wrote."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import time
import traceback
import types
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lessons.anatomy.lesson import Exercise, Lesson, LessonError
from lessons.anatomy.source import source_of
from lessons.anatomy.verdict import Verdict

if TYPE_CHECKING:
    from minigrad.diagnose import Diagnosis

NOT_STARTED = "not started: "  # how the NotImplementedError of a stub begins


@dataclass(frozen=True)
class Outcome:
    """What the check said about one exercise.

    ``status`` is "passed", "failed" (wrong result), "error" (the learner's code raised), "not started",
    "missing" (the file does not define it) or "broken check" (the lesson is at fault); for a candidate in a
    process of its own also "timeout" and the like (`CandidateError`).  ``diagnosis`` says which terms of a wrong
    result are wrong, where the exercise declares its terms; ``lines`` end with its text.
    """

    exercise: str
    status: str
    lines: tuple[str, ...] = ()
    hint: str = ""
    seconds: float = 0.0
    diagnosis: Diagnosis | None = None

    @property
    def passed(self) -> bool:
        return self.status == "passed"


class HomeworkError(Exception):
    """The learner's file cannot be checked as a whole; the message says why and shows the learner's line."""


class CandidateError(Exception):
    """A candidate that runs in a process of its own failed there; `check_one` takes the outcome from it."""

    def __init__(self, status: str, lines: tuple[str, ...]) -> None:
        super().__init__("\n".join(lines))
        self.status = status
        self.lines = lines


# ---- stubs


def stub(exercise: Exercise) -> str:
    """The learner's starting point: signature and docstring as in the solution, body not started.

    Raises `LessonError` when the docstring shares its line with other code.
    """
    source = source_of(exercise.solution)
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    docstring, *rest = definition.body
    if (rest and rest[0].lineno == docstring.end_lineno) or docstring.lineno == definition.lineno:
        raise LessonError(f"exercise {exercise.name}: the docstring must stand on lines of its own")
    kept = source.splitlines()[definition.lineno - 1 : docstring.end_lineno]
    indent = " " * docstring.col_offset
    return "\n".join([*kept, f'{indent}raise NotImplementedError("{NOT_STARTED}{exercise.name}")', ""])


def stub_file(lesson: Lesson, command: str | None = None) -> str:
    """A whole file of stubs for ``lesson``; ``command`` is what the learner types to have it checked."""
    command = command or f"minigrad check {lesson.name}"
    source = lesson.source
    head = (
        f'"""{lesson.title}: exercises.\n\n'
        f"Rebuilds {source.title} ({source.author}, {source.year})\n{source.link}\n\n"
        "Replace each `raise NotImplementedError` with your own code, then type\n\n"
        f'    {command}\n"""\n\n'
        "from __future__ import annotations\n\nimport numpy as np  # noqa: F401\n"
    )
    head += "".join(f"{line}\n" for line in ("", *lesson.imports)) if lesson.imports else ""
    return "\n\n".join([head, *(stub(exercise) for exercise in lesson.exercise_list)])


# ---- checks


def check_file(lesson: Lesson, path: Path | str) -> list[Outcome]:
    """Load the learner's file and check every exercise of ``lesson`` in it, in the lesson's order.

    Raises ``OSError`` when the file cannot be read and `HomeworkError` when it does not load or defines none
    of the exercises.  The file is executed as it is: check only files that you would also run.
    """
    path = Path(path)
    found = vars(_load(path))
    names = [exercise.name for exercise in lesson.exercise_list]
    if not any(name in found for name in names):
        raise HomeworkError(f"{path} defines none of the exercises of {lesson.name}: {', '.join(names)}")
    return check_functions(lesson, {name: found[name] for name in names if name in found}, missing=True)


def check_functions(lesson: Lesson, candidates: Mapping[str, Any], missing: bool = False) -> list[Outcome]:
    """Check candidates, given by exercise name; with ``missing``, also report the exercises without one."""
    return [
        check_one(exercise, candidates[exercise.name])
        if exercise.name in candidates
        else Outcome(exercise.name, "missing", ("the file does not define it",))
        for exercise in lesson.exercise_list
        if missing or exercise.name in candidates
    ]


def check_one(exercise: Exercise, candidate: Any) -> Outcome:
    """Check one candidate.  Whatever it raises, `SystemExit` included, becomes an outcome; Ctrl-C passes."""
    name, hint = exercise.name, exercise.hint
    if exercise.check is None:
        return Outcome(name, "broken check", ("the lesson has no check for this exercise",))
    problem = _signature_problem(exercise.solution, candidate)
    if problem is not None:
        return Outcome(name, "failed", (problem,), hint)

    attempt = _Attempt(candidate)
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            verdict = exercise.check(attempt.call)
        except (Exception, SystemExit) as error:
            outcome = attempt.outcome_of(error, exercise)
        else:
            outcome = _outcome_of_verdict(verdict, exercise, attempt)
        if outcome.status == "failed":
            outcome = _explained(outcome, exercise, attempt)
    lines = outcome.lines
    if outcome.status == "failed" and warned:
        lines = (*lines, f"NumPy warned: {warned[0].message}")
    return Outcome(name, outcome.status, lines, outcome.hint, time.perf_counter() - start, outcome.diagnosis)


def _explained(outcome: Outcome, exercise: Exercise, attempt: _Attempt) -> Outcome:
    """A failed outcome with its diagnosis, if the exercise can be diagnosed."""
    try:
        diagnosis = exercise.diagnose(attempt.call)
    except (Exception, SystemExit) as error:
        if error is attempt.raised:
            return outcome  # a candidate that raises only now and then; the verdict stands without a diagnosis
        return Outcome(exercise.name, "broken check", (f"the diagnosis raised {_message(error)}",))
    if diagnosis is None or diagnosis.status == "right":
        return outcome  # an own check may be stricter than the diagnosis, on dtypes for one
    hint = exercise.ladder(diagnosis)[0].text
    return replace(outcome, lines=(*outcome.lines, "", *diagnosis.lines), hint=hint, diagnosis=diagnosis)


def _outcome_of_verdict(verdict: Any, exercise: Exercise, attempt: _Attempt) -> Outcome:
    if not isinstance(verdict, Verdict):
        line = f"the lesson's check returned {type(verdict).__name__}, not a Verdict"
        return Outcome(exercise.name, "broken check", (line,))
    if attempt.calls == 0:
        return Outcome(exercise.name, "broken check", ("the lesson's check never called the function",))
    if verdict.passed:
        return Outcome(exercise.name, "passed", verdict.lines)
    return Outcome(exercise.name, "failed", verdict.lines, exercise.hint)


class _Attempt:
    """A candidate under test: calls it on copies of the arrays, and remembers whether it raised."""

    def __init__(self, candidate: Callable[..., Any]) -> None:
        self.candidate = candidate
        self.calls = 0
        self.raised: BaseException | None = None

        @functools.wraps(candidate)
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            copies = [_copied(value) for value in args]
            try:
                return candidate(*copies, **{key: _copied(value) for key, value in kwargs.items()})
            except BaseException as error:
                self.raised = error
                raise

        self.call = call

    def outcome_of(self, error: BaseException, exercise: Exercise) -> Outcome:
        """Whose fault an error is: not started, the learner's (with the learner's line), or the check's."""
        name = exercise.name
        if error is not self.raised:
            return Outcome(name, "broken check", (f"the lesson's check raised {_message(error)}",))
        if isinstance(error, NotImplementedError) and str(error).startswith(NOT_STARTED):
            needed = str(error).removeprefix(NOT_STARTED)
            lines = () if needed == name else (f"it calls {needed}, which is not started",)
            return Outcome(name, "not started", lines)
        if isinstance(error, CandidateError):
            return Outcome(name, error.status, error.lines, exercise.hint if error.status == "error" else "")
        code = getattr(inspect.unwrap(self.candidate), "__code__", None)
        where = _place(error, code.co_filename) if code is not None else ()
        return Outcome(name, "error", (_message(error), *where), exercise.hint)


def _copied(value: Any) -> Any:
    """A copy of the arrays in an argument: a candidate that writes into them cannot spoil the check."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (tuple, list):
        return type(value)(_copied(item) for item in value)
    return value


def _signature_problem(solution: Callable[..., Any], candidate: Any) -> str | None:
    if not callable(candidate):
        return f"{solution.__name__} is not a function but {candidate!r}"
    try:
        yours, want = inspect.signature(candidate), inspect.signature(solution)
    except (TypeError, ValueError):
        return None  # builtins and the like: let the call decide
    extra = [p for name, p in yours.parameters.items() if name not in want.parameters]
    needed = [p.name for p in extra if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    shared = [name for name in yours.parameters if name in want.parameters]
    if shared == list(want.parameters) and not needed:
        return None
    plain = [f"({', '.join(signature.parameters)})" for signature in (yours, want)]
    return f"the signature changed: yours {solution.__name__}{plain[0]}, want {solution.__name__}{plain[1]}"


def _load(path: Path) -> types.ModuleType:
    """Execute the learner's file as a module of its own; sibling files can be imported while it runs."""
    content = path.read_bytes()
    module = types.ModuleType(f"homework_{path.stem}")
    module.__file__ = str(path)
    folder = str(path.resolve().parent)
    sys.path.append(folder)
    sys.modules[module.__name__] = module
    try:
        exec(compile(content, str(path), "exec", dont_inherit=True), vars(module))
    except SyntaxError as error:
        line = (error.text or "").strip()
        where = (f"line {error.lineno}: {line}",) if error.filename == str(path) else ()
        raise HomeworkError("\n".join([f"{path} is not valid Python: {error.msg}", *where])) from error
    except (Exception, SystemExit) as error:
        lines = [f"{path} does not load: {_message(error)}", *_place(error, str(path))]
        raise HomeworkError("\n".join(lines)) from error
    finally:
        sys.path.remove(folder)
        del sys.modules[module.__name__]
    return module


def _place(error: BaseException, filename: str) -> tuple[str, ...]:
    """The innermost line of ``filename`` that the error passed through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == filename]
    if not frames:
        return ()
    frame = frames[-1]
    return (f"{Path(filename).name}, line {frame.lineno}, in {frame.name}:  {frame.line}",)


def _message(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
