"""What is written into the learner's files: stubs, never over edits, and resets, never without a backup."""

from __future__ import annotations

import ast
import difflib
import hashlib
import inspect
import textwrap
from pathlib import Path

from lessons.anatomy import Exercise, Lesson, stub, stub_file
from lessons.anatomy.files import write_atomically
from lessons.workbench.errors import UsageError
from lessons.workbench.loop.state import State, beside_with_date

BACKUPS = "backups"


def fingerprint(text: str) -> str:
    """A short name for a text, whatever its line ends."""
    return hashlib.sha256("\n".join(text.splitlines()).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read(path: Path) -> str:
    """The file as text; bytes that are not UTF-8 survive a later `encode`."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def install(lesson: Lesson, path: Path, state: State) -> list[str]:
    """See to it that the lesson's homework file exists; returns what was done, in sentences.

    A file that the learner has edited is never touched: when the generated stub is another one than last time, the
    new one is written beside it, as ``NAME.py.new``.  Raises `UsageError` where files cannot be read or written.
    """
    fresh = stub_file(lesson)
    mark, before = fingerprint(fresh), state.stubs.get(lesson.name)
    try:
        done = _install(path, fresh, mark, before)
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or path}: {error.strerror}") from error
    state.stubs[lesson.name] = mark
    return done


def _install(path: Path, fresh: str, mark: str, before: str | None) -> list[str]:
    if not path.exists():
        write_atomically(path, encode(fresh))
        return [f"Wrote {path}."]
    found = fingerprint(read(path))
    if found == mark or before == mark:
        return []
    if found == before:
        write_atomically(path.resolve(), encode(fresh))
        return [f"Wrote {path} anew: its exercises have changed, and you had not begun."]
    if before is None:  # made elsewhere, or the state was lost: nothing tells whether its stub was another one
        return []
    beside = path.with_name(path.name + ".new")
    done = []
    if beside.exists() and read(beside) != fresh:
        done.append(f"Kept the earlier {beside.name} as {backup(beside)}.")
    write_atomically(beside, encode(fresh))
    return [*done, f"The exercises in {path} have changed since. Yours is as it was; the new stub is {beside}."]


def backup(path: Path) -> Path:
    """Copy ``path`` into the folder of backups beside it, under a name with the date; returns the copy."""
    copy = beside_with_date(path.parent / BACKUPS / path.name)
    write_atomically(copy, path.read_bytes())
    return copy


def reset(lesson: Lesson, exercise: Exercise, path: Path) -> list[str]:
    """Put the stub of one exercise back in place, after a backup; returns what was done.

    The rest of the file stays as it is, unless it is not Python: then the whole file becomes the lesson's stub.
    Raises `UsageError` where files cannot be read or written.
    """
    try:
        if not path.exists():
            write_atomically(path, encode(stub_file(lesson)))
            return [f"Wrote {path}."]
        text = read(path)
        done = [f"Your file is kept as {backup(path)}."]
        try:
            changed = replaced(text, exercise)
        except (SyntaxError, ValueError):
            changed = stub_file(lesson)
            done.append(f"{path} is not valid Python, so all of it was reset, not {exercise.name} alone.")
        else:
            done.append(f"{exercise.name} is a stub again; the rest of {path} is as it was.")
        write_atomically(path.resolve(), encode(changed))
    except OSError as error:
        raise UsageError(f"cannot reset {path}: {error.strerror}") from error
    return done


# ---- functions in a text


def replaced(text: str, exercise: Exercise) -> str:
    """``text`` with the stub of ``exercise`` in place of its function, or at the end when it has none.

    Raises ``SyntaxError`` (or ``ValueError`` for null bytes) when the text is not Python.
    """
    ends = "\r\n" if "\r\n" in text else "\n"
    lines = _lines(text)
    place = _place(text, exercise.name)
    fresh = stub(exercise).rstrip("\n").split("\n")
    if place is None:
        lines = [*lines, *([""] if lines and lines[-1] == "" else ["", ""]), *fresh, ""]
    else:
        first, last = place
        lines[first - 1 : last] = fresh
    return ends.join(lines)


def source_of(text: str, name: str) -> list[str] | None:
    """The lines of the function ``name`` in ``text``; None when there is none, or the text is not Python."""
    try:
        place = _place(text, name)
    except (SyntaxError, ValueError):
        return None
    return None if place is None else _lines(text)[place[0] - 1 : place[1]]


def line_of(text: str, name: str) -> int | None:
    """The line on which the function ``name`` begins; None as for `source_of`."""
    try:
        place = _place(text, name)
    except (SyntaxError, ValueError):
        return None
    return None if place is None else place[0]


def solution_lines(exercise: Exercise) -> list[str]:
    """The reference solution, without decorators."""
    source = textwrap.dedent(inspect.getsource(exercise.solution))
    first = ast.parse(source).body[0].lineno
    return source.splitlines()[first - 1 :]


def diff(text: str, exercise: Exercise) -> list[str]:
    """The learner's function against the solution, as a unified diff; empty when they are equal."""
    yours = source_of(text, exercise.name) or []
    return list(difflib.unified_diff(yours, solution_lines(exercise), "yours", "the solution", n=4, lineterm=""))


def _lines(text: str) -> list[str]:
    """Lines as Python counts them: `str.splitlines` also splits at form feeds and the like."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _place(text: str, name: str) -> tuple[int, int] | None:
    """First and last line, from 1, of the last definition of ``name`` at the top level of ``text``."""
    for node in reversed(ast.parse(text).body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name:
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return first, node.end_lineno or first
    return None
