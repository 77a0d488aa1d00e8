"""Which lessons there are: found by their files, imported only when somebody wants one."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import lessons
from lessons.anatomy import Lesson
from lessons.workbench.errors import UsageError

NOT_SUBJECTS = {"anatomy", "data", "lab", "workbench"}

# In the order in which one would study them; other folders follow.
SUBJECTS = ("foundations", "vision", "sequences", "generative", "training", "systems", "decisions")


@dataclass(frozen=True)
class Entry:
    """A module that may hold a lesson: ``subject`` is its folder, ``name`` the file without ``.py``."""

    name: str
    subject: str

    @property
    def module(self) -> str:
        return f"lessons.{self.subject}.{self.name}"


def entries() -> list[Entry]:
    """The modules in the subject folders, subjects in the order of study, then by name.  Imports none of them.

    Modules whose name begins with an underscore are helpers, not lessons.
    """
    return sorted(_modules(), key=lambda entry: (_place(entry.subject), entry.subject, entry.name))


def _place(subject: str) -> int:
    return SUBJECTS.index(subject) if subject in SUBJECTS else len(SUBJECTS)


def _modules() -> Iterator[Entry]:
    for subject in pkgutil.iter_modules(lessons.__path__):
        if not subject.ispkg or subject.name in NOT_SUBJECTS:
            continue
        spec = importlib.util.find_spec(f"lessons.{subject.name}")
        folders = spec.submodule_search_locations if spec is not None else None
        for module in pkgutil.iter_modules(folders):
            if not module.ispkg and not module.name.startswith("_"):
                yield Entry(module.name, subject.name)


def all_lessons() -> list[Lesson]:
    """Every lesson, imported.  Raises `UsageError` when one does not load."""
    return [load(entry) for entry in entries()]


def load(entry: Entry) -> Lesson:
    """The lesson of an entry; raises `UsageError` when its module does not load or holds none."""
    try:
        module = importlib.import_module(entry.module)
    except Exception as error:
        raise UsageError(f"{entry.module} does not load: {type(error).__name__}: {error}") from error
    return _lesson_of(module, entry.module)


def find(name: str) -> Lesson:
    """The lesson called ``name``, or the one in the file ``name`` when that ends in ``.py``.

    Raises `UsageError`, with the nearest name, when there is none.
    """
    if name.endswith(".py"):
        return _lesson_of(_module_from_file(Path(name)), name)
    known = entries()
    for entry in known:
        if entry.name == name:
            return load(entry)
    names = [entry.name for entry in known]
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    advice = f"did you mean {near[0]}?" if near else f"there are: {', '.join(names) or 'none'}"
    raise UsageError(f"no lesson is called {name!r}; {advice}")


def _lesson_of(module: ModuleType, name: str) -> Lesson:
    lesson = getattr(module, "lesson", None)
    if not isinstance(lesson, Lesson):
        raise UsageError(f"{name} is not a lesson: it defines no `lesson = Lesson(...)`")
    return lesson


def _module_from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UsageError(f"{path}: no such file")
    name = f"lesson_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(f"{path} does not load: {type(error).__name__}: {error}") from error
    return module
