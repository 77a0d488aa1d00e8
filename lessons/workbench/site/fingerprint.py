"""What the run of a lesson depends on, as digests by name: when one differs, the run is out of date.

The lesson's own file counts by its code alone, so that an edit of the prose costs no run.  Then come the modules of
`lessons` that it imports, and theirs, the data beside them, all of `minigrad` and `kernels`, and versions.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import io
import platform
import tokenize
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from lessons.anatomy import Lesson
from lessons.workbench.errors import UsageError

ROOT = Path(__file__).resolve().parents[3]  # the folder that holds `lessons`
VERSIONS = ("numpy", "numba", "matplotlib", "pillow", "torch")  # what is computed, drawn and compared with
WITH_DATA = (ROOT / "lessons" / "data", ROOT / "lessons" / "lab")
REPORTED_BY = {ROOT / "lessons/workbench/report.py", ROOT / "lessons/workbench/site/execute.py"}

Fingerprint = dict[str, str]


def source_file(lesson: Lesson) -> Path:
    """The file that declares a lesson.  Raises `UsageError` for a lesson without parts and exercises of its own."""
    own = [exercise.solution for exercise in lesson.exercise_list] + [part.body for part in lesson.parts]
    for function in own:
        if not function.__module__.startswith("lessons.anatomy"):  # there the smaller slips have their function
            return Path(function.__code__.co_filename).resolve()
    raise UsageError(f"lesson {lesson.name}: it declares no part and no exercise, so there is nothing to run")


def fingerprint(lesson: Lesson) -> Fingerprint:
    """Digests of everything that a run of ``lesson`` depends on, from the files as they are now."""
    path = source_file(lesson)
    found = {"lesson": _code_digest(path.read_bytes())}
    for helper in sorted((_helpers(path) | REPORTED_BY) - {path}):
        found[_shown(helper)] = _digest([helper.read_bytes()])
    for package in ("minigrad", "kernels"):
        found[package] = _digest(_contents(package))
    found["Python"] = platform.python_version()
    found |= {name: _version(name) for name in VERSIONS}
    return found


def difference(old: Fingerprint, new: Fingerprint) -> str:
    """Why a run with the fingerprint ``old`` is out of date, in a few words; "" when it is not."""
    names = [name for name in {**new, **old} if old.get(name) != new.get(name)]
    if not names:
        return ""
    first, more = names[0], len(names) - 1
    if first == "Python" or first in VERSIONS:
        said = f"{first} {new.get(first) or 'not installed'} instead of {old.get(first) or 'none'}"
    else:
        said = f"{first} changed"
    return f"{said}, and {more} more" if more else said


# ---- the lesson and what it imports from `lessons`


def _helpers(path: Path) -> set[Path]:
    """The files of `lessons` that a lesson's file leads to, data included."""
    found: set[Path] = set()
    waiting: list[tuple[Path | None, str]] = [(path, _module_of(path))]
    while waiting:
        file, module = waiting.pop()
        if file is None or file in found:
            continue
        found.add(file)
        package = module if file.name == "__init__.py" else module.rpartition(".")[0]
        waiting += [(_file_of(name), name) for name in _imported(file.read_bytes(), package)]
    return found | {data for file in found for data in _data_beside(file)}


def _data_beside(file: Path) -> Iterator[Path]:
    """Files beside a module that are none: those that bear its name; of the packages in `WITH_DATA` all."""
    for other in file.parent.iterdir():
        mine = file.parent in WITH_DATA or other.stem.lstrip("_").startswith(file.stem.lstrip("_"))
        if mine and other.is_file() and other.suffix not in (".py", ".md") and not other.name.startswith("."):
            yield other


@functools.lru_cache(maxsize=1000)
def _imported(source: bytes, package: str) -> frozenset[str]:
    """The modules of `lessons` that a source imports, wherever the import stands; names that are none among them."""
    found: set[str] = set()
    for node in _statements(ast.parse(source).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    ours = {name for name in found if name.split(".")[0] == "lessons"}
    parents = {".".join(name.split(".")[:count]) for name in ours for count in range(1, name.count(".") + 1)}
    return frozenset(ours | parents)


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Statements and all inside them, but no expressions, which are most of a tree."""
    for node in body:
        yield node
        for inside in ("body", "handlers", "cases", "orelse", "finalbody"):
            yield from _statements(getattr(node, inside, ()))


def _file_of(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def _module_of(path: Path) -> str:
    """The name under which a file is imported: dotted inside `lessons`, its own name elsewhere."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts) if path.is_relative_to(ROOT) else path.stem


def _shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


# ---- digests


def _contents(package: str) -> Iterator[bytes]:
    """Name and content of every file of a package, but no compiled code."""
    folder = Path(importlib.import_module(package).__path__[0])
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix().encode()
            yield path.read_bytes()


@functools.lru_cache(maxsize=100)
def _code_digest(source: bytes) -> str:
    """A digest of a lesson's code: blank lines and comments at the left margin, that is the prose, do not count."""
    try:
        tokens = list(tokenize.tokenize(io.BytesIO(source).readline))
    except (tokenize.TokenError, SyntaxError):
        return _digest([source])  # it will not load either, and its run will say why
    kept = (t for t in tokens if t.type != tokenize.NL and not (t.type == tokenize.COMMENT and t.start[1] == 0))
    return _digest(["\0".join(f"{t.type} {t.string}" for t in kept).encode()])  # no source has a zero in it


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(str(len(part)).encode() + b":" + part)
    return digest.hexdigest()[:24]


@functools.cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
