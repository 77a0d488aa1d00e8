"""Pieces of pages that are slow to make, kept on disk between builds: coloured code, formulas.

A piece is found by what it is made from, in a file whose name says which code and libraries made it.  The file ends in
its own checksum: one that is damaged, half-written or from elsewhere is as good as none, and the pieces are made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from lessons.data.errors import DataError
from lessons.data.files import data_folder

KEPT = 3  # files: several checkouts may share the folder


class Remembered:
    """A dictionary from what a piece is made from to the piece; `save` keeps those that this build asked for.

    Args:
        name: how the file is called.
        makers: the source files whose change makes all pieces old.
        libraries: the packages whose version does.
    """

    def __init__(self, name: str, makers: Sequence[Path], libraries: Sequence[str]) -> None:
        digest = hashlib.sha256()
        for path in sorted(makers):
            digest.update(path.read_bytes() + b"\0")
        for library in libraries:
            digest.update(f"{library} {importlib.metadata.version(library)}\0".encode())
        self.name = name
        self.path = _folder(f"{name}-{digest.hexdigest()[:16]}.json")
        self.pieces = _read(self.path)
        self.asked: dict[str, str] = {}

    def piece(self, kind: str, source: str, make: Callable[[], str]) -> str:
        """The piece of this kind that is made from `source`."""
        key = f"{kind}\0{source}"
        if key not in self.asked:
            found = self.pieces.get(key)
            self.asked[key] = make() if found is None else found
        return self.asked[key]

    def save(self) -> None:
        """Keep what was asked for, if anything is new; where that cannot be written, nothing is kept."""
        if self.path is None or self.asked == self.pieces:
            return
        body = json.dumps(self.asked).encode()
        whole = body + b"\n" + hashlib.sha256(body).hexdigest().encode()
        working = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            working.write_bytes(whole)
            os.replace(working, self.path)
            self._tidy(self.path.parent)
        except OSError:
            with contextlib.suppress(OSError):
                working.unlink()

    def _tidy(self, folder: Path) -> None:
        """Drop the files of older code, but the last few."""
        files = sorted(folder.glob(f"{self.name}-*.json"), key=lambda f: f.stat().st_mtime, reverse=True)
        for old in files[KEPT:]:
            old.unlink()


def _folder(file: str) -> Path | None:
    try:
        return data_folder() / "pages" / file
    except DataError:  # no home folder is known
        return None


def _read(path: Path | None) -> dict[str, str]:
    """The pieces in a file; none where it is missing or not as it was written."""
    if path is None:
        return {}
    try:
        body, _, checksum = path.read_bytes().rpartition(b"\n")
    except OSError:
        return {}
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        return {}
    found: dict[str, str] = json.loads(body)
    return found
