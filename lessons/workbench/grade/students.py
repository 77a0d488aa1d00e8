"""Who handed in what: a folder or a file for each student."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lessons.anatomy import Lesson
from lessons.workbench.errors import UsageError

_DEFINES = re.compile(r"^(?:async\s+)?def\s+(\w+)|^(\w+)\s*=", re.M)  # also in a file that is not valid Python
_LONGEST_SOURCE = 2**20
_MOST_FILES = 500  # of one student
_HASHED = 8 * 2**20  # of a longer file, size and time of change stand for the content


@dataclass(frozen=True)
class Student:
    """One entry of the folder: ``files`` are those for each lesson; ``sha256`` changes with anything in it."""

    name: str
    path: Path
    sha256: str
    files: dict[str, Path]

    @property
    def readable(self) -> tuple[str, ...]:
        """What the submission may read: its folder; nothing beside its file if it is one among those of others."""
        return (str(self.path.resolve()),) if self.path.is_dir() else ()


def find(folder: Path, lessons: Sequence[Lesson]) -> tuple[list[Student], dict[str, str]]:
    """The students in ``folder`` by name, and what was left out, with the reason.

    A folder is a student, and so is a ``.py`` file.  Which lesson a file belongs to, its name tells (``batchnorm.py``),
    or else the exercises that it defines; when there is one lesson only, every file that defines any of its exercises.
    Hidden files are not looked at, links are not followed.

    Raises `UsageError` when the folder cannot be read or when nobody handed in anything.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(f"{folder}: cannot read this folder ({error.strerror})") from error
    students: list[Student] = []
    ignored: dict[str, str] = {}
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith((".", "__")):
            continue
        if entry.is_symlink():
            ignored[entry.name] = "a link; put the file or folder itself there"
        elif entry.is_dir(follow_symlinks=False):
            students.append(_student(entry.name, path, _files(path), lessons))
        elif not entry.is_file(follow_symlinks=False) or path.suffix != ".py":
            ignored[entry.name] = "neither a folder nor a .py file"
        elif any(student.name == path.stem for student in students):
            ignored[entry.name] = f"there is a folder {path.stem}, too"
        else:
            students.append(_student(path.stem, path, [path], lessons))
    if not students:
        raise UsageError(f"{folder}: nobody handed in anything; each student is a folder, or a .py file, in it")
    return sorted(students, key=lambda student: student.name), ignored


def _student(name: str, path: Path, files: list[Path], lessons: Sequence[Lesson]) -> Student:
    sources = {file: _names(file) for file in files if file.suffix == ".py"}
    found: dict[str, Path] = {}
    for lesson in lessons:
        exercises = {exercise.name for exercise in lesson.exercise_list}
        # The best first: named after the lesson, then with most exercises, then nearest to the top.
        ranked = sorted(
            (file.stem != lesson.name, -len(exercises & names), len(file.parts), str(file))
            for file, names in sources.items()
            if file.stem == lesson.name or exercises & names
        )
        if ranked:
            found[lesson.name] = Path(ranked[0][-1])
    if path.is_file() and len(found) > 1:  # one file is for one lesson: for the one that it defines most of
        best = max(found, key=lambda each: (path.stem == each, len(_exercises(lessons, each) & sources[path])))
        found = {best: path}
    return Student(name, path, _fingerprint(path, files), found)


def _exercises(lessons: Iterable[Lesson], name: str) -> set[str]:
    return {exercise.name for lesson in lessons if lesson.name == name for exercise in lesson.exercise_list}


def _files(folder: Path) -> list[Path]:
    return sorted(_walk(folder))[:_MOST_FILES]


def _walk(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        for name in files:
            path = Path(place, name)
            if not name.startswith(".") and not path.is_symlink() and path.is_file():
                yield path


def _names(file: Path) -> set[str]:
    """What a source file defines at its top level, as far as a glance tells."""
    try:
        with open(file, "rb") as opened:
            text = opened.read(_LONGEST_SOURCE).decode("utf-8", "replace")
    except OSError:
        return set()
    return {first or second for first, second in _DEFINES.findall(text)}


def _fingerprint(path: Path, files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"\0{file.relative_to(path.parent)}\0".encode("utf-8", "surrogateescape"))
        try:
            about = file.stat()
            digest.update(f"{about.st_size}\0".encode())
            if about.st_size <= _HASHED:
                digest.update(file.read_bytes())
            else:
                digest.update(str(about.st_mtime_ns).encode())
        except OSError as error:
            digest.update(f"{error.errno}".encode())
    return digest.hexdigest()
