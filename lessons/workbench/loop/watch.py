"""Noticing that one file was saved, whatever the editor does to save it and wherever the file lies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

EVERY = 0.1  # seconds between two looks
SOON = 0.02  # while a save is under way
SETTLED = 0.05  # a content that stays so long is complete
PATIENCE = 0.5  # an empty or missing file may be half of a save: the editor has so long to go on
LARGEST = 2**20


@dataclass(frozen=True)
class Look:
    """The file at one moment.  ``content`` is None, and ``problem`` says why, when it cannot be read."""

    content: bytes | None
    stamp: int = 0  # the time of the last change: a save that alters nothing is a save, too
    problem: str = ""


def look(path: Path) -> Look:
    """Read the file.  Reading, rather than asking for its times, makes a network drive look at the server, too."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
        stamp = path.stat().st_mtime_ns
    except FileNotFoundError:
        return Look(None, problem=f"{path} is not there")
    except OSError as error:
        return Look(None, problem=f"cannot read {path}: {error.strerror}")
    if len(content) > LARGEST:
        return Look(None, stamp, f"{path} is larger than {LARGEST >> 20} MiB, which no exercise needs")
    return Look(content, stamp)


class Watch:
    """Tells when a file has become another one and its save is complete.

    Editors truncate and write, write a second file and rename it over the first, or delete and create; in between,
    the file is empty, half written or missing.  So a change counts only once the file has stayed the same for a
    moment.  Call `poll` again after `pause` seconds.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.seen = look(path)
        self._clock = clock
        self._pending: Look | None = None
        self._since = 0.0
        self._cost = 0.0

    @property
    def pause(self) -> float:
        """Seconds until the next look is due; longer where a look itself takes long."""
        return max(SOON if self._pending is not None else EVERY, 5 * self._cost)

    def poll(self) -> Look | None:
        """The file as it is now if it has changed since the last such answer, and None otherwise."""
        start = self._clock()
        found = look(self.path)
        moment = self._clock()
        self._cost = moment - start
        if found == self.seen:
            self._pending = None
        elif found != self._pending:
            self._pending, self._since = found, moment
        elif moment - self._since >= (SETTLED if found.content else PATIENCE):
            self.seen, self._pending = found, None
            return found
        return None
