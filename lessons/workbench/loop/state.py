"""What the loop remembers: one JSON file in the homework folder, and a lock beside it."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lessons.anatomy.files import write_atomically
from lessons.workbench.errors import UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

VERSION = 1
NAME = "progress.json"
LOCK = ".lock"


@dataclass
class Progress:
    """What is known of one exercise; times are local, in ISO format, and empty when it has not happened."""

    attempts: int = 0
    passed: str = ""
    revealed: str = ""
    hints: list[str] = field(default_factory=list)  # fingerprints of the hints that were shown
    last: str = ""  # fingerprint of the file at the last attempt: the same again is no new attempt


@dataclass
class State:
    """Everything that is remembered.  Exercises are called "lesson/exercise"."""

    current: str = ""
    exercises: dict[str, Progress] = field(default_factory=dict)
    stubs: dict[str, str] = field(default_factory=dict)  # lesson: fingerprint of the stub that was last generated

    def of(self, exercise: str) -> Progress:
        return self.exercises.setdefault(exercise, Progress())


class Damaged(Exception):
    """The file is no state; the message says what does not fit."""


class Store:
    """The state file of a homework folder.

    The loop and one-shot commands may work at the same time, so nobody keeps a state for long: each change reads
    the file, alters it and writes it back, under a lock.  Raises `UsageError` where the file is from a newer minigrad
    or cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.notices: list[str] = []  # what happened to the file and has not been shown yet
        self._lock: int | None = None

    def load(self) -> State:
        """The state as it is now; one that is damaged is set aside, with a notice, and a new one begins."""
        try:
            content = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):  # the second is for `change` to complain about
            return State()
        except OSError as error:
            raise UsageError(f"cannot read {self.path}: {error.strerror}") from error
        try:
            return _parse(content, self.path)
        except Damaged as error:
            aside = beside_with_date(self.path)
            try:
                os.replace(self.path, aside)
            except OSError as problem:
                raise UsageError(f"{self.path} is damaged and cannot be moved away: {problem.strerror}") from problem
            self.notices.append(f"{self.path} was damaged ({error}). It is now {aside.name}; a new one was begun.")
            return State()

    @contextlib.contextmanager
    def change(self) -> Iterator[State]:
        """The state, to be altered in the ``with`` block and written at its end."""
        with self._locked():
            state = self.load()
            yield state
            self._save(state)

    def claim(self) -> str:
        """Take the folder for a loop until this process ends; returns who has it already, or ""."""
        lock = self._open_lock()
        if lock is None or fcntl is None:
            return ""
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                return ""  # a network drive without locks: two loops go unnoticed, and nothing worse
            owner = os.pread(lock, 200, 2).decode(errors="replace").strip()
            return owner or "another process"
        os.ftruncate(lock, 2)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}".encode(), 2)
        return ""

    def close(self) -> None:
        """Give up the lock, if this store has it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # ---- inside

    def _save(self, state: State) -> None:
        fields = dataclasses.asdict(state)
        text = json.dumps({"version": VERSION, **fields}, indent=1, ensure_ascii=False)
        try:
            write_atomically(self.path, (text + "\n").encode())
        except OSError as error:
            raise UsageError(f"cannot write {self.path}: {error.strerror}") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._open_lock()
        if lock is None or fcntl is None:
            yield
            return
        locked = False
        with contextlib.suppress(OSError):  # without locks on this drive, the change is atomic all the same
            fcntl.lockf(lock, fcntl.LOCK_EX, 1, 1)
            locked = True
        try:
            yield
        finally:
            if locked:
                fcntl.lockf(lock, fcntl.LOCK_UN, 1, 1)

    def _open_lock(self) -> int | None:
        """The lock file, opened once: closing it anywhere in a process would give up all of that process's locks."""
        if self._lock is None:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                self._lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
            except OSError as error:
                if not self.folder.is_dir():
                    message = f"{self.folder}: cannot make this folder ({error.strerror}); --homework DIR takes another"
                    raise UsageError(message) from error
        return self._lock


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S")


def beside_with_date(path: Path) -> Path:
    """A free name beside ``path`` that tells the time: ``progress.20261128-093000.json``."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    candidate, count = path.with_name(f"{path.stem}.{stamp}{path.suffix}"), 1
    while candidate.exists():
        count += 1
        candidate = path.with_name(f"{path.stem}.{stamp}-{count}{path.suffix}")
    return candidate


def _parse(content: bytes, path: Path) -> State:
    try:
        raw = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Damaged("it is not JSON") from error
    if not isinstance(raw, dict) or type(raw.get("version")) is not int:
        raise Damaged("it tells no version")
    if raw["version"] > VERSION:
        raise UsageError(
            f"{path} was written by a newer minigrad (version {raw['version']} of the file; this one knows {VERSION}) "
            "and is left as it is: update minigrad, or work in another folder with --homework DIR"
        )
    if raw["version"] != VERSION:
        raise Damaged(f"version {raw['version']} never existed")
    exercises = _checked(raw, "exercises", dict)
    return State(
        current=_checked(raw, "current", str),
        exercises={name: _progress(about) for name, about in exercises.items()},
        stubs={name: _is(mark, str, "stubs") for name, mark in _checked(raw, "stubs", dict).items()},
    )


def _progress(about: Any) -> Progress:
    _is(about, dict, "exercises")
    values = {f.name: about.get(f.name, _default(f)) for f in dataclasses.fields(Progress)}
    for name, kind in {"attempts": int, "passed": str, "revealed": str, "hints": list, "last": str}.items():
        _is(values[name], kind, name)
    for mark in values["hints"]:
        _is(mark, str, "hints")
    return Progress(**values)


def _default(about: dataclasses.Field[Any]) -> Any:
    return [] if about.default is dataclasses.MISSING else about.default


def _checked(raw: dict[str, Any], name: str, kind: type) -> Any:
    return _is(raw.get(name, kind()), kind, name)


def _is(value: Any, kind: type, name: str) -> Any:
    if type(value) is not kind:
        raise Damaged(f"{name} holds {type(value).__name__} where {kind.__name__} belongs")
    return value
