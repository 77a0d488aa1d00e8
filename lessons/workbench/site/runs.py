"""Executed lessons, kept on disk, so that the pages of a lesson that has not changed need no run.

In the user's cache folder, which `lessons.data` has for MNIST, each run is a folder::

    runs/batchnorm-quick/3f2a...-x1y2z3/    a digest of its fingerprint (see fingerprint.py), and which run this was
        stamp.json                          the fingerprint, the seconds that it took, a checksum of each file
        report.json, *.svg, ...             what execute.py wrote

A folder appears under its name at once and whole, and nothing in it is changed afterwards.  So an interrupted run
leaves nothing, two builds at once do not disturb each other, and what a fingerprint names is never out of date.
A lesson whose stored run is damaged, or had a claim that failed, is run again.  Where nothing can be kept, a temporary
folder serves.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lessons.anatomy import Lesson
from lessons.data.errors import DataError
from lessons.data.files import data_folder
from lessons.workbench import report
from lessons.workbench.errors import UsageError
from lessons.workbench.site.fingerprint import ROOT, Fingerprint, difference, fingerprint, source_file

STAMP = "stamp.json"
KEPT = 4  # runs of one lesson at one size: several checkouts may share the cache folder
SPARED = 3600.0  # seconds for which a run stays after it was last used: another build may be reading it
ABANDONED = 24 * 3600.0  # seconds after which no run can still be at work
WORKING = ".run-"  # how the folder of a run begins that is not complete


@dataclass(frozen=True)
class StoredRun:
    """An executed lesson: ``report`` is what lessons/workbench/report.py describes, its files lie in ``folder``.

    ``was_stale`` says that it was run just now, and ``reason`` why; ``seconds`` is how long that run took, whenever it
    was.  ``kept`` is False when the next build will have to run it again because it could not be stored.
    """

    lesson: str
    report: dict[str, Any]
    folder: Path
    was_stale: bool
    reason: str
    seconds: float
    kept: bool = True


def stored(
    lesson: Lesson,
    size: str = "quick",
    fresh: bool = False,
    before: Callable[[Lesson, str], None] = lambda lesson, reason: None,
) -> StoredRun:
    """The run of ``lesson`` at ``size`` with seed 0: from disk, or else run now.

    ``fresh`` runs it in any case; ``before`` is called with the lesson and the reason before it is run.  Claims that
    fail are in the report.  Raises `UsageError` when the lesson does not run at all.
    """
    now = fingerprint(lesson)
    place, digest = _folder_of(lesson, size), _name_of(now)
    reason = "asked for"
    if not fresh:
        found, reason = _look_up(lesson, place, digest, now)
        if found is not None:
            return found
    before(lesson, reason)
    return _run(lesson, size, now, place, reason)


# ---- what is there


def _folder_of(lesson: Lesson, size: str) -> Path | None:
    """The folder of a lesson's runs, which may not exist; None where no home folder is known."""
    try:
        return data_folder() / "runs" / f"{lesson.name}-{size}"
    except DataError:
        return None


def _look_up(lesson: Lesson, place: Path | None, digest: str, now: Fingerprint) -> tuple[StoredRun | None, str]:
    """The newest sound run with this fingerprint, or why the lesson must be run."""
    runs = _newest_first(place)
    same = [folder for folder in runs if folder.name.startswith(f"{digest}-")]
    for folder in same:
        stamp = _sound_stamp(folder)
        if stamp is None or stamp["fingerprint"] != now:
            continue
        said = json.loads((folder / report.NAME).read_bytes())
        if said["claims_failed"]:
            return None, "a claim failed last time"
        with contextlib.suppress(OSError):
            os.utime(folder)  # used now: see `_tidy`
        return StoredRun(lesson.name, said, folder, False, "", stamp["seconds"]), ""
    return None, "its stored run is damaged" if same else _reason(runs, now)


def _newest_first(place: Path | None) -> list[Path]:
    """The stored runs of a lesson, the one that was made or used last first."""
    dated = []
    with contextlib.suppress(OSError):
        for folder in place.iterdir() if place is not None else ():
            if not folder.name.startswith("."):
                with contextlib.suppress(OSError):  # another build may just have removed it
                    dated.append((folder.stat().st_mtime, folder))
    return [folder for _, folder in sorted(dated, reverse=True)]


def _stamp(folder: Path) -> dict[str, Any] | None:
    """What is known of a stored run, or None if that cannot be read."""
    try:
        stamp = json.loads((folder / STAMP).read_bytes())
        return {
            "fingerprint": dict(stamp["fingerprint"]),
            "seconds": float(stamp["seconds"]),
            "files": dict(stamp["files"]),
        }
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _sound_stamp(folder: Path) -> dict[str, Any] | None:
    """The stamp of a stored run, or None if a file of it is missing, or is not what was written."""
    stamp = _stamp(folder)
    with contextlib.suppress(OSError):
        if stamp is not None and report.NAME in stamp["files"] and stamp["files"] == _checksums(folder):
            return stamp
    return None


def _reason(runs: list[Path], now: Fingerprint) -> str:
    """What differs from the newest run that is stored."""
    stamps = filter(None, map(_stamp, runs))
    newest = next(stamps, None)
    return "new" if newest is None else difference(newest["fingerprint"], now)


def _name_of(found: Fingerprint) -> str:
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:24]


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir() if path.name != STAMP)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# ---- running


def _run(lesson: Lesson, size: str, now: Fingerprint, place: Path | None, reason: str) -> StoredRun:
    """Run the lesson in a folder that nobody else knows; then give the folder its name, if it can be kept."""
    work = _working_folder(place)
    try:
        start = time.perf_counter()
        _execute(lesson, size, work)
        seconds = round(time.perf_counter() - start, 3)
        said = json.loads((work / report.NAME).read_bytes())
        kept = _keep(work, place, now, seconds) if fingerprint(lesson) == now else None  # None: edited meanwhile
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    if kept is None:
        atexit.register(shutil.rmtree, work, ignore_errors=True)
    return StoredRun(lesson.name, said, kept or work, True, reason, seconds, kept is not None)


def _working_folder(place: Path | None) -> Path:
    """A new folder: beside the stored runs, so that it can be renamed, or else where temporary files go."""
    if place is not None:
        with contextlib.suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(prefix=WORKING, dir=place))
    return Path(tempfile.mkdtemp(prefix="minigrad-run-"))


def _keep(work: Path, place: Path | None, now: Fingerprint, seconds: float) -> Path | None:
    """Stamp and rename a complete run; returns its folder, or None if it stays a temporary one."""
    if place is None or work.parent != place:
        return None
    stamp = {"fingerprint": now, "seconds": seconds, "files": _checksums(work)}
    target = place / f"{_name_of(now)}-{work.name.removeprefix(WORKING)}"
    try:
        (work / STAMP).write_text(json.dumps(stamp, indent=1), encoding="utf-8")
        work.rename(target)
    except OSError:
        return None
    _tidy(place)
    return target


def _execute(lesson: Lesson, size: str, folder: Path) -> None:
    path = source_file(lesson)
    name = lesson.name if path.is_relative_to(ROOT / "lessons") else str(path)
    command = [sys.executable, "-m", f"{__package__}.execute", name, size, str(folder)]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "MPLBACKEND": "agg", "PYTHONUTF8": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace")
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-6:]) or f"exit code {done.returncode}"
        raise UsageError(f"lesson {lesson.name} does not run:\n{last}")


def _tidy(place: Path) -> None:
    """Remove runs beyond the `KEPT` that were used last, and what builds that were killed have left behind."""
    now = time.time()
    with contextlib.suppress(OSError):
        abandoned = [(folder, ABANDONED) for folder in place.glob(f"{WORKING}*")]
        for folder, spared in [*((folder, SPARED) for folder in _newest_first(place)[KEPT:]), *abandoned]:
            if now - folder.stat().st_mtime > spared:
                shutil.rmtree(folder, ignore_errors=True)
