"""Building again whenever something that the site is made of has changed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

EVERY = 0.3  # seconds between two looks
SETTLED = 0.15  # for so long nothing may have changed before a change counts: editors write in several steps

Stamps = dict[Path, tuple[int, int]]


class Tree:
    """Tells which files below some folders have changed, by their times and sizes; files may be named themselves, too.

    A change counts once all is still again.  Call `poll` again after `pause` seconds.
    """

    def __init__(self, places: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self.places = places
        self._clock = clock
        self._seen = self._latest = stamps(places)
        self._since = clock()
        self._cost = 0.0

    @property
    def pause(self) -> float:
        """Seconds until the next look is due: more where a look takes long, and fewer while a save is under way."""
        return max(EVERY if self._latest == self._seen else SETTLED, 20 * self._cost)

    def poll(self) -> list[Path]:
        """The files that are new, gone or changed since the last answer; [] if none is, or a save is under way."""
        start = self._clock()
        found = stamps(self.places)
        moment = self._clock()
        self._cost = moment - start
        if found != self._latest:
            self._latest, self._since = found, moment
        if found == self._seen or moment - self._since < SETTLED:
            return []
        changed = [path for path in {**self._seen, **found} if self._seen.get(path) != found.get(path)]
        self._seen = found
        return sorted(changed)


def stamps(places: Sequence[Path]) -> Stamps:
    """Time of the last change and size of each file; what an editor or Python keeps for itself is left out."""
    found: Stamps = {}
    for place in places:
        for path in _files(place):
            with contextlib.suppress(OSError):  # it has just been removed
                about = path.stat()
                found[path] = (about.st_mtime_ns, about.st_size)
    return found


def _files(place: Path) -> Iterator[Path]:
    if not place.is_dir():
        yield place
        return
    for folder, folders, files in os.walk(place):
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        yield from (Path(folder, name) for name in files if not name.startswith((".", "#")) and not name.endswith("~"))


def watch(tree: Tree, build: Callable[[], object], say: Callable[[str], None]) -> None:
    """Build now, and again after every change, until Ctrl-C.  What was changed during a build is built after it."""
    build()
    while True:
        time.sleep(tree.pause)
        changed = tree.poll()
        if changed:
            say(_named(changed))
            build()


def _named(changed: Sequence[Path]) -> str:
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"{changed[0].name}{more} changed"


def in_child(arguments: Sequence[str], root: Path) -> int:
    """Run `minigrad ARGUMENTS` in a process of its own, which imports all that it needs anew; returns its exit code.

    ``root`` is the folder that holds our packages.  The child has a process group of its own and does not see Ctrl-C:
    we pass it on and wait, so that its last words are not mixed with ours.
    """
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "lessons", *arguments], env=environment, start_new_session=os.name == "posix"
    ) as child:
        try:
            return child.wait()
        except BaseException:
            _end(child)
            raise


def _end(child: subprocess.Popen[bytes]) -> None:
    """Interrupt the child and what it has started; kill them if they do not listen."""
    if os.name != "posix":
        child.terminate()
        return
    for sign in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
            return
