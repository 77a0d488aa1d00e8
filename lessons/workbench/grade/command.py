"""What ``minigrad grade`` does."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lessons.anatomy import Lesson
from lessons.workbench import catalogue, progress, screen
from lessons.workbench.errors import UsageError
from lessons.workbench.grade import batch, page, report, students, summary
from lessons.workbench.sandbox import Limits
from lessons.workbench.sandbox.limits import MIB

SAVE_EVERY = 2.0  # seconds between two versions of the partial report


def grade(args: argparse.Namespace) -> bool:
    """Grade a folder; returns whether everything could be graded.  Raises `UsageError` when it cannot begin."""
    limits = Limits(
        seconds=args.seconds,
        memory=args.memory * MIB,
        output=1 * MIB,
        file_size=16 * MIB,
        reply=64 * MIB,
        confined=True,
    )
    known = lessons_named(args.lesson)
    found, ignored = students.find(args.folder, list(known.values()))
    if not args.lesson:  # those that anybody worked on
        known = {name: lesson for name, lesson in known.items() if any(lesson.name in each.files for each in found)}
        if not known:
            names = ", ".join(lesson.name for lesson in lessons_named([]).values())
            raise UsageError(f"{args.folder}: no file is for a lesson that we know ({names}); say which with --lesson")
    account = report.Report(args.out, args.folder, report.settings(list(known.values()), limits), found, ignored)
    kept = account.resume(args.fresh)
    account.write()  # before the work, so that a place that cannot be written to shows now
    if kept:
        print(f"Kept from {args.out}: {kept} of {len(found)} students, whose files have not changed.")
    carry_out(account, known, limits, args.jobs or usable_processors())

    content = account.write()
    report.write(args.csv, report.as_csv(content), "--csv") if args.csv else None
    report.write(args.html, page.page(content), "--html") if args.html else None
    print("\n".join(summary.lines(content, screen.style(), screen.width())))
    print(f"Written: {', '.join(str(path) for path in (args.out, args.csv, args.html) if path)}")
    return not set(content["summary"]["statuses"]) & set(summary.OURS)


def lessons_named(names: Sequence[str]) -> dict[str, Lesson]:
    """The lessons to grade, by what `catalogue.find` takes; all when ``names`` is empty.

    Raises `UsageError` for a name that there is not.
    """
    chosen = [str(Path(name).resolve()) if name.endswith(".py") else name for name in names]
    if not chosen:
        chosen = [entry.name for entry in catalogue.entries()]
    return {name: lesson for name in chosen if (lesson := catalogue.find(name)).exercise_list}


def carry_out(account: report.Report, known: dict[str, Lesson], limits: Limits, jobs: int) -> None:
    """Judge what is not in the account yet.  Whatever happens, the account on disk is whole and up to date after it."""
    waiting = [student for student in account.students if not account.finished(student.name)]
    for student in waiting:
        account.add_missing(student)
    tasks = [
        batch.Task(student, key, lesson.name, exercise.name, student.files[lesson.name])
        for student in waiting
        for key, lesson in known.items()
        if lesson.name in student.files
        for exercise in lesson.exercise_list
    ]
    saved = time.monotonic()
    results = batch.run(tasks, limits, jobs)
    with contextlib.closing(results):
        try:
            for task, result in _shown(results, len(tasks)):
                account.add(task.student.name, result)
                if time.monotonic() >= saved + SAVE_EVERY:
                    account.write()
                    saved = time.monotonic()
        finally:
            account.write()


def _shown(results: Iterable[Any], total: int) -> Iterator[Any]:
    show = progress.bars(sys.stderr)
    yield from results if show is None or not total else show(results, "grading", total)


def usable_processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
