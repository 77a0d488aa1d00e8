"""`minigrad site`: build the site, and serve it or watch what it is made of when asked to."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

import lessons
from lessons.anatomy import Lesson
from lessons.anatomy.text import counted, wrapped
from lessons.workbench import catalogue, cli, commands, progress, screen
from lessons.workbench.errors import UsageError
from lessons.workbench.site import build
from lessons.workbench.site.runs import StoredRun
from lessons.workbench.site.server import Server, listen
from lessons.workbench.site.watch import Tree, in_child, watch

ROOT = Path(lessons.__path__[0]).parent  # the folder that holds our packages
SOURCES = ("lessons", "minigrad", "kernels")  # what pages are made of


def site(args: argparse.Namespace) -> int:
    """Carry out `minigrad site` and return the exit code; serving and watching end with Ctrl-C, without a word.

    Raises `UsageError` for what cannot be done.
    """
    build.require_libraries()
    if args.port is not None and not args.serve:
        raise UsageError("--port is the port to serve on, so it needs --serve")
    server = listen(args.out, args.port, live=args.watch) if args.serve else None  # first: it may be impossible
    with server or contextlib.nullcontext():
        if args.watch:
            return _until_stopped(lambda: _watch(args, server))
        held = build_once(args)
        _show(args, server)
        if server is not None:
            return _until_stopped(server.serve_forever)
    return commands.OK if held else commands.FAILED


def _until_stopped(work: Callable[[], object]) -> int:
    """Do ``work``, which has no end, until Ctrl-C, which is the usual way to end it: no message, but the exit code."""
    with contextlib.suppress(KeyboardInterrupt):
        work()
    print()  # behind the ^C of the terminal
    return cli.INTERRUPTED


# ---- one build


def build_once(args: argparse.Namespace) -> bool:
    """Build the site, say what was done, and return whether every claim of every lesson held."""
    chosen = [catalogue.find(name) for name in dict.fromkeys(args.names)] or catalogue.all_lessons()
    account = Account(len(chosen))
    try:
        built = build.build(
            chosen, args.out, args.size, fresh=args.fresh, before=account.begin_run, after=account.have_run
        )
    finally:
        account.close()
    print(*account.lines(screen.width()), sep="\n")
    what = f"{counted(len(chosen), 'lesson')}, {counted(built.pages, 'page')}"
    print(f"Built {what}, {size_of(built.total)}, in {built.seconds:.1f} s: {args.out / 'index.html'}", flush=True)
    return account.held


class Account:
    """What became of each lesson: a bar while it lasts, and lines for afterwards."""

    def __init__(self, total: int) -> None:
        self.runs: list[StoredRun] = []
        self._bar: progress.Line | None = None
        if progress.moves(sys.stderr):
            self._bar = progress.Line(sys.stderr, "lessons", total)

    def begin_run(self, lesson: Lesson, reason: str) -> None:
        """``lesson`` will be run now, for that reason."""
        if self._bar is not None:
            self._bar.rename(f"{lesson.name}: {reason}")

    def have_run(self, run: StoredRun) -> None:
        """The run of a lesson is there, stored or new."""
        self.runs.append(run)
        if self._bar is not None:
            self._bar.advance()
            self._bar.rename("pages" if len(self.runs) == self._bar.total else "lessons")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    @property
    def held(self) -> bool:
        """Whether every claim of every lesson held."""
        return all(run.report["passed"] for run in self.runs)

    def lines(self, width: int) -> list[str]:
        """Each lesson that was run, with the reason, those that were not, and the claims that failed."""
        style = screen.style()
        lines = [f"{run.lesson}: run in {run.seconds:.1f} s ({run.reason})" for run in self.runs if run.was_stale]
        unkept = [run.lesson for run in self.runs if not run.kept]
        if unkept:
            lines += wrapped(
                f"Their runs cannot be kept, so the next build repeats them: {', '.join(unkept)}", width, ""
            )
        stored = [run.lesson for run in self.runs if not run.was_stale]
        if stored:
            lines += wrapped(f"Unchanged since they ran: {', '.join(stored)}", width, "")
        for run in self.runs:
            if not run.report["passed"]:
                failed = counted(run.report["claims_failed"], "claim")
                lines.append(style.bad(f"{run.lesson}: {failed} of {run.report['claims']} failed; its page says which"))
        return lines


def size_of(count: int) -> str:
    """A number of bytes for people: "812 kB", "7.3 MB"."""
    return f"{count / 1000:.0f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


# ---- serving and watching


def _show(args: argparse.Namespace, server: Server | None) -> None:
    """Say where the site is to be seen, and open it there if that was asked for."""
    place = (args.out / "index.html").resolve().as_uri() if server is None else server.address
    if server is not None:
        print(f"Serving {place} for this machine alone; Ctrl-C ends it.", flush=True)
    if args.open:
        webbrowser.open(place)


def _watch(args: argparse.Namespace, server: Server | None) -> None:
    """Build in child processes, which import changed modules anew, whenever something has changed."""
    style = screen.style()
    command = ["site", *args.names, "--size", args.size, "--out", str(args.out)]
    opened = False

    def once_more() -> None:
        nonlocal opened
        first, opened = not opened, True
        code = in_child([*command, *(["--fresh"] if args.fresh and first else [])], ROOT)
        if code not in (0, 1):
            print(style.bad("Not built."), "What was built before stays; the next change is another try.", flush=True)
        elif server is not None:
            server.show_new_build()
        if first:
            _show(args, server)
            print(style.dim(f"Watching {', '.join(SOURCES)}; Ctrl-C ends it."), flush=True)

    if server is not None:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    files = [Path(name) for name in args.names if name.endswith(".py")]
    tree = Tree([*(ROOT / name for name in SOURCES), *files])
    watch(tree, once_more, lambda what: print(style.dim(what), flush=True))
