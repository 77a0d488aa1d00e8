"""Where the public functions are used: in the lessons, part by part, and in the modules of `nn`."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lessons.workbench.site.anchors import exercise_anchor, lesson_url, part_anchor
from lessons.workbench.site.api_catalogue import Public, by_identity, by_name, plain
from lessons.workbench.site.fingerprint import source_file
from lessons.workbench.site.remembered import Remembered

if TYPE_CHECKING:
    from lessons.anatomy import Lesson


@dataclass(frozen=True)
class Use:
    """One place in a lesson: its address, and what is there."""

    lesson: str
    title: str  # of the lesson
    url: str
    place: str


def uses(lessons: Sequence[Lesson], remembered: Remembered) -> dict[str, list[Use]]:
    """For each public function, by the name of its page, the parts and exercises of lessons that call it by name.

    Methods do not count: of `x.exp()` nobody can say without running it whose method it is.
    """
    found: dict[str, list[Use]] = {}
    for lesson in lessons:
        source = source_file(lesson).read_text(encoding="utf-8")
        known = sorted(by_name())
        key = hashlib.sha256("\0".join([lesson.name, source, *known]).encode()).hexdigest()
        stored = remembered.piece("uses", key, functools.partial(_as_json, lesson, source))
        for name, use in ((name, Use(*use)) for name, *use in json.loads(stored)):
            places = found.setdefault(name, [])
            if use not in places:
                places.append(use)
    return found


def _as_json(lesson: Lesson, source: str) -> str:
    found = dict.fromkeys((public.name, *astuple(use)) for public, use in _in_lesson(lesson, source))
    return json.dumps(list(found))


def _in_lesson(lesson: Lesson, source: str) -> Iterator[tuple[Public, Use]]:
    # Not at the top: it needs the extra `site`, which the names of functions do not.
    from lessons.workbench.site.code import dotted, imported_names

    tree = ast.parse(source)
    names = imported_names(tree)
    parts = {part.name: part.title for part in lesson.parts}
    exercises = {exercise.name for exercise in lesson.exercise_list}
    for statement in tree.body:
        for n in ast.walk(statement):
            if not isinstance(n, (ast.Name, ast.Attribute)):
                continue
            public = by_name().get(dotted(n, names).removeprefix("minigrad."))
            if public is None or not dotted(n, names).startswith("minigrad."):
                continue
            place = getattr(statement, "name", "")
            if place in parts:
                url, title = f"{lesson_url(lesson)}#{part_anchor(place)}", parts[place]
            elif place in exercises:
                url, title = f"{lesson_url(lesson)}#{exercise_anchor(place)}", f"exercise {place}"
            else:
                url, title = f"{lesson_url(lesson)}#L{n.lineno}", place or f"line {n.lineno}"
            yield public, Use(lesson.name, lesson.title, url, title)


@functools.cache
def modules() -> dict[str, tuple[str, ...]]:
    """For each public function, by the name of its page, the classes of `nn` whose code calls it: names of pages."""
    import minigrad.nn

    found: dict[str, dict[str, None]] = {}
    for info in pkgutil.iter_modules(minigrad.nn.__path__, "minigrad.nn."):
        module = importlib.import_module(info.name)
        if info.ispkg or module.__file__ is None:
            continue
        for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef) or node.name not in minigrad.nn.__all__:
                continue
            for n in ast.walk(node):
                value = _meant(module.__dict__, n)
                public = None if value is None else by_identity().get(id(plain(value)))
                if public is not None:
                    found.setdefault(public.name, {})[f"nn.{node.name}"] = None
    return {name: tuple(classes) for name, classes in found.items()}


def _meant(names: dict[str, object], n: ast.AST) -> object | None:
    """The function that `functional.relu` or `relu` stands for."""
    value: object | None = None
    if isinstance(n, ast.Name):
        value = names.get(n.id)
    elif isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and inspect.ismodule(names.get(n.value.id)):
        value = getattr(names[n.value.id], n.attr, None)
    return value if callable(value) and not isinstance(value, type) else None
