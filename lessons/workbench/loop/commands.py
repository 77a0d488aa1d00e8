"""The commands around the loop: the bare ``minigrad``, and ``hint``, ``reveal`` and ``reset`` for one exercise."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from lessons.anatomy.text import PLAIN
from lessons.workbench import screen
from lessons.workbench.errors import UsageError
from lessons.workbench.loop import hints, session, stubs, views
from lessons.workbench.loop.checks import check, diagnosis_of
from lessons.workbench.loop.course import Course, Task, open_course
from lessons.workbench.loop.jobs import Bell
from lessons.workbench.loop.state import Store, now
from lessons.workbench.loop.terminal import Terminal

HOMEWORK = Path("homework")


def loop(args: argparse.Namespace) -> int:
    """The bare command: start or resume."""
    course, name = open_course(args.homework, args.loop_lesson)
    if args.loop_once:
        return _once(course, name, args)
    terminal = Terminal(plain=args.loop_plain or args.loop_json)
    sitting = session.Session(course, Store(args.homework), terminal.bell, terminal.show, args.loop_json)
    return session.run(sitting, terminal, name)


def _once(course: Course, name: str | None, args: argparse.Namespace) -> int:
    bell = Bell()

    def say(lines: Sequence[str]) -> None:
        if args.loop_json and json.loads(lines[0])["event"] != "verdict":
            return
        print(*lines, sep="\n", flush=True)

    sitting = session.Session(course, Store(args.homework), bell, say, args.loop_json)
    if args.loop_plain:
        sitting.style = PLAIN
    try:
        return session.once(sitting, name)
    finally:
        bell.close()


def current_lesson(folder: Path) -> str:
    """The lesson that the loop is at in ``folder``.  Raises `UsageError` when it has not been there."""
    store = Store(folder)
    current = store.load().current
    if not current:
        raise UsageError(f"which lesson? {folder} has none begun: name one, or begin with `minigrad`")
    return current.split("/")[0]


def hint(args: argparse.Namespace) -> int:
    """Check the exercise, and give the next hint that fits what is wrong with it."""
    task, store = _task(args)
    outcome = check(task.lesson, task.exercise, task.path).outcome if task.path.exists() else None
    style, width = screen.style(), screen.width()
    if outcome is not None and outcome.passed:
        print(f"{task.title} passes; there is nothing to hint at.")
        return 0
    with store.change() as state:
        rung, after = hints.take(task.exercise, outcome and diagnosis_of(outcome), state.of(task.key))
    print(style.bold(task.title))
    more = f"Again: {views.HINT_NAMES.get(after, after)}." if after else ""
    print(*views.hint_lines(rung.kind, rung.text, more, style, width)[1:], sep="\n")
    return 0


def reveal(args: argparse.Namespace) -> int:
    """Show the solution, and remember that it was seen."""
    task, store = _task(args)
    with store.change() as state:
        mine = state.of(task.key)
        mine.revealed = mine.revealed or now()
    print(screen.style().bold(f"{task.title}: the solution"))
    print(*(f"  {line}".rstrip() for line in stubs.solution_lines(task.exercise)), sep="\n")
    return 0


def reset(args: argparse.Namespace) -> int:
    """Make an exercise a stub again, after a backup of the file."""
    task, _ = _task(args)
    print(*stubs.reset(task.lesson, task.exercise, task.path), sep="\n")
    return 0


def _task(args: argparse.Namespace) -> tuple[Task, Store]:
    course, name = open_course(args.homework, args.name)
    store = Store(args.homework)
    state = store.load()
    for notice in store.notices:
        print(notice, file=sys.stderr)
    store.notices.clear()
    if name is not None:
        return course.named(name, state), store
    task = course.find(state.current) or course.next_open(state)
    if task is None:
        raise UsageError(f"every exercise has passed; name one of {', '.join(each.key for each in course.tasks)}")
    return task, store
