"""What `minigrad list` shows: the lessons by subject, what each rebuilds, and how far the learner is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lessons.anatomy import Lesson
from lessons.anatomy.text import Style, counted, padded, wrapped
from lessons.workbench import catalogue
from lessons.workbench.errors import UsageError
from lessons.workbench.loop.course import in_order
from lessons.workbench.loop.state import State, Store


def listing(homework: Path, style: Style, width: int) -> tuple[list[str], int]:
    """The list as lines of text, and how many lessons do not load; their errors stand in the list."""
    lessons: list[Lesson] = []
    problems: list[str] = []
    for entry in catalogue.entries():
        try:
            lessons.append(catalogue.load(entry))
        except UsageError as error:  # noqa: PERF203 (importing a module takes far longer)
            problems.append(f"{style.bad(entry.name)}: {error}")
    store = Store(homework)
    state = store.load()
    lines = list(store.notices)
    for subject, of_subject in by_subject(lessons):
        lines += [style.bold(subject.capitalize())]
        column = max(len(lesson.name) for lesson in of_subject) + 2
        for lesson in of_subject:
            lines.append(f"  {style.bold(padded(lesson.name, column))}{lesson.title}")
            indent = " " * (column + 2)
            lines += wrapped(lesson.headline, width, indent)
            lines += [style.dim(line) for line in wrapped(facts(lesson, state), width, indent)]
            lines += [style.dim(line) for line in wrapped(lesson.source.credit, width, indent)]
        lines.append("")
    if lessons:
        lines.append(f"{counted(len(lessons), 'lesson')}. To read one:  minigrad run {in_order(lessons)[0].name}")
    return [*lines, *problems], len(problems)


def by_subject(lessons: Sequence[Lesson]) -> list[tuple[str, list[Lesson]]]:
    """Subjects as they first occur, each with its lessons, after those that they need."""
    subjects = list(dict.fromkeys(lesson.subject for lesson in lessons))
    ordered = in_order(lessons)
    return [(subject, [lesson for lesson in ordered if lesson.subject == subject]) for subject in subjects]


def facts(lesson: Lesson, state: State) -> str:
    """Minutes, exercises solved, errata, and what to read before."""
    exercises = lesson.exercise_list
    solved = sum(bool(state.of(f"{lesson.name}/{exercise.name}").passed) for exercise in exercises)
    said = [f"{lesson.minutes:g} min", f"{solved} of {counted(len(exercises), 'exercise')} solved"]
    errata = len(lesson.errata) + len(lesson.slips)
    if errata:
        said.append(counted(errata, "erratum", "errata"))
    if lesson.needs:
        said.append(f"after {', '.join(lesson.needs)}")
    return ", ".join(said)
