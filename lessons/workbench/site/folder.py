"""The folder of a built site: written file by file, each at once; nothing in it is touched that was not made here.

A list of all files that were made, with the digest of each, lies in the folder as ``.minigrad-site``.  It is
written before the files, with the old ones still in it, so that a build that is interrupted leaves nothing that the
next one would not know as its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from lessons.anatomy.files import write_atomically
from lessons.workbench.errors import UsageError

LIST = ".minigrad-site"


def check_folder(out: Path) -> None:
    """Raise `UsageError` if ``out`` is no folder to build in: a file, or a folder with files that no build made.

    Hidden files, such as a file manager's, do not count, because they are never overwritten.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"{out} is a file, so no site can be built there; give --out a new folder")
    made = set(_read_list(out))
    foreign = [name for name in _names_in(out) if name not in made]
    if foreign:
        shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        raise UsageError(
            f"{out} has files that `minigrad site` did not make: {shown}. It changes nothing there; "
            "give --out a new folder, or move them away"
        )


def write_site(out: Path, files: Mapping[str, bytes]) -> tuple[int, int]:
    """Make ``out`` hold exactly ``files``, by URL; returns how many were written and how many removed.

    Pages are written after what they show, and a file whose content is there already is not written again.  Raises
    `UsageError` as `check_folder` does, and for addresses that not every file system can tell apart.
    """
    _require_plain_names(files)
    check_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    old = _read_list(out)
    new = {url: hashlib.sha256(content).hexdigest() for url, content in files.items()}
    _write_list(out, {**old, **new})
    written = 0
    for url in sorted(files, key=lambda url: (url.endswith(".html"), url)):
        path = out / url
        if _has(path, files[url]):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, files[url])
        written += 1
    gone = [url for url in old if url not in new]
    for url in gone:
        _remove(out, url)
    _write_list(out, new)
    return written, len(gone)


def _has(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def _remove(out: Path, url: str) -> None:
    """Remove a file that an earlier build made, and folders that are empty then."""
    path = out / url
    path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == out:
            return
        with contextlib.suppress(OSError):  # not empty, or gone already
            folder.rmdir()


def _names_in(out: Path) -> Iterator[str]:
    """What lies in the folder and is neither a folder nor hidden.  A link is a name, wherever it leads."""
    for folder, folders, files in os.walk(out):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        for name in sorted([*files, *links]):
            path = Path(folder) / name
            if not name.startswith("."):
                yield path.relative_to(out).as_posix() + ("@" if path.is_symlink() else "")
        folders[:] = [name for name in folders if not name.startswith(".") and name not in links]


def _read_list(out: Path) -> dict[str, str]:
    """The files that earlier builds made here, as far as they are names that stay inside ``out``."""
    try:
        found = json.loads((out / LIST).read_bytes())["files"]
        return {str(url): str(digest) for url, digest in found.items() if _is_plain(str(url))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_list(out: Path, files: Mapping[str, str]) -> None:
    said = {"made by": "minigrad site", "files": dict(sorted(files.items()))}
    write_atomically(out / LIST, (json.dumps(said, indent=1) + "\n").encode())


def _is_plain(url: str) -> bool:
    parts = PurePosixPath(url).parts
    return bool(parts) and "/" not in parts[0] and not any(part.startswith(".") for part in parts) and "\\" not in url


def _require_plain_names(files: Mapping[str, bytes]) -> None:
    folded: dict[str, str] = {}
    for url in files:
        if not _is_plain(url):
            raise UsageError(f"{url!r} cannot be a file of the site")
        other = folded.setdefault(url.casefold(), url)
        if other != url:
            raise UsageError(f"{other} and {url} would be one file where case does not count")
