"""`minigrad dev new`: the beginnings of a lesson, which already runs, is tested, and passes `minigrad dev check`."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path

import lessons
from lessons.anatomy.files import write_atomically
from lessons.workbench import catalogue
from lessons.workbench.errors import UsageError

TEMPLATES = ("new_lesson.txt", "new_test.txt")


def new_lesson(name: str, subject: str, out: Path | None = None) -> list[Path]:
    """Write a lesson and its tests; return the paths of both.

    They go to lessons/SUBJECT/NAME.py and tests/lessons/test_NAME.py of the checkout that is running, or both into
    the folder ``out``.  Raises `UsageError` when the name cannot be a module's, is taken, or a file would be lost.
    """
    for what, text in (("NAME", name), ("--subject", subject)):
        if not re.fullmatch(r"[a-z][a-z0-9_]*", text) or keyword.iskeyword(text):
            raise UsageError(
                f"{what} becomes a module, so it must be a Python name in lower case, such as layer_norm; got {text!r}"
            )
    if subject in catalogue.NOT_SUBJECTS:
        raise UsageError(f"--subject {subject}: this folder of lessons/ holds no lessons; choose another name")
    if any(entry.name == name for entry in catalogue.entries()):
        raise UsageError(f"a lesson called {name} exists; `minigrad run {name}` runs it. Choose another name")
    lesson, test = _places(name, subject, out)
    for path in (lesson, test):
        if path.exists():
            raise UsageError(f"{path} exists and may hold your work; move it away, or choose another name")
    found_by = f'str(Path(__file__).with_name("{name}.py"))' if out is not None else f'"{name}"'
    words = {
        "NAME": name,
        "TITLE": name.replace("_", " ").capitalize(),
        "SUBJECT": subject,
        "FOUND_BY": found_by,
        "IMPORT": "from pathlib import Path\n\n" if out is not None else "",
    }
    try:
        package = lesson.parent / "__init__.py"
        if out is None and not package.exists():
            write_atomically(package, f'"""Lessons on {subject}."""\n'.encode())
        for path, template in zip((lesson, test), TEMPLATES, strict=True):
            write_atomically(path, _filled(template, words).encode())
    except OSError as error:
        raise UsageError(f"cannot write {error.filename or lesson}: {error.strerror}") from error
    return [lesson, test]


def _places(name: str, subject: str, out: Path | None) -> tuple[Path, Path]:
    if out is not None:
        return out / f"{name}.py", out / f"test_{name}.py"
    package = Path(lessons.__path__[0])
    tests = package.parent / "tests" / "lessons"
    if not tests.is_dir():
        raise UsageError(
            f"this minigrad runs from {package.parent}, which is no checkout with tests; give --out DIR, or install a "
            "clone with `pip install -e .`"
        )
    return package / subject / f"{name}.py", tests / f"test_{name}.py"


def _filled(template: str, words: dict[str, str]) -> str:
    text = (resources.files("lessons.workbench") / template).read_text(encoding="utf-8")
    return re.sub(r"@(\w+)@", lambda match: words[match[1]], text)
