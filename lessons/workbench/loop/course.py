"""The exercises in the order in which the loop goes through them, and their names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lessons.anatomy import Exercise, Lesson
from lessons.workbench import catalogue
from lessons.workbench.errors import UsageError
from lessons.workbench.loop.state import State

FIRST = "batchnorm"  # the lesson to begin with: short, complete, with an experiment


@dataclass(frozen=True, eq=False)
class Task:
    """One exercise of one lesson, and the file in which the learner writes it."""

    lesson: Lesson
    exercise: Exercise
    path: Path

    @property
    def key(self) -> str:
        """Its name in the state."""
        return f"{self.lesson.name}/{self.exercise.name}"

    @property
    def title(self) -> str:
        return f"{self.lesson.name} / {self.exercise.name}"


class Course:
    """Tasks in their order."""

    def __init__(self, lessons: Sequence[Lesson], folder: Path) -> None:
        self.folder = folder
        self.tasks = [
            Task(lesson, exercise, folder / f"{lesson.name}.py")
            for lesson in in_order(lessons)
            for exercise in lesson.exercise_list
        ]
        if not self.tasks:
            names = ", ".join(lesson.name for lesson in lessons) or "none are installed"
            raise UsageError(f"there is nothing to do: no lesson has an exercise (lessons: {names})")

    @property
    def lessons(self) -> list[Lesson]:
        """The lessons with exercises, in order."""
        return list({id(task.lesson): task.lesson for task in self.tasks}.values())

    def find(self, name: str) -> Task | None:
        return next((task for task in self.tasks if task.key == name), None)

    def passed(self, state: State) -> int:
        return sum(bool(state.of(task.key).passed) for task in self.tasks)

    def next_open(self, state: State, after: Task | None = None) -> Task | None:
        """The first task that is not passed: those after ``after`` first, then from the beginning."""
        start = 0 if after is None else self.tasks.index(after) + 1
        for task in [*self.tasks[start:], *self.tasks[:start]]:
            if not state.of(task.key).passed:
                return task
        return None

    def named(self, name: str, state: State) -> Task:
        """The task called LESSON/EXERCISE or EXERCISE; for a LESSON, its first open one.

        Raises `UsageError` when nothing, or more than one thing, is called so.
        """
        exact = self.find(name)
        if exact is not None:
            return exact
        found = [task for task in self.tasks if task.exercise.name == name]
        if len(found) > 1:
            raise UsageError(f"{name!r} is in several lessons; write {' or '.join(task.key for task in found)}")
        if found:
            return found[0]
        of_lesson = [task for task in self.tasks if task.lesson.name == name]
        if of_lesson:
            return next((task for task in of_lesson if not state.of(task.key).passed), of_lesson[0])
        known = [each for task in self.tasks for each in (task.lesson.name, task.exercise.name, task.key)]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]}?" if near else "`minigrad list` shows the lessons"
        raise UsageError(f"no lesson or exercise is called {name!r}; {advice}")


def open_course(folder: Path, name: str | None = None) -> tuple[Course, str | None]:
    """The course, and what is left of ``name`` to find in it.

    All lessons; or, where ``name`` is a lesson's file (FILE.py or FILE.py/EXERCISE), that lesson alone.  Raises
    `UsageError` when lessons do not load.
    """
    file = re.fullmatch(r"(.*\.py)(?:/(\w+))?", name or "")
    if file is not None:
        lesson = catalogue.find(file[1])
        return Course([lesson], folder), file[2] or lesson.name
    lessons = sorted(catalogue.all_lessons(), key=lambda lesson: lesson.name != FIRST)
    return Course(lessons, folder), name


def in_order(lessons: Sequence[Lesson]) -> list[Lesson]:
    """Each lesson after those that it needs, otherwise as given.  A need that nobody meets is left aside."""
    known = {lesson.name: lesson for lesson in lessons}
    begun: set[str] = set()
    ordered: list[Lesson] = []

    def add(lesson: Lesson) -> None:
        if lesson.name in begun:  # it is there already, or its needs run in a circle
            return
        begun.add(lesson.name)
        for name in lesson.needs:
            if name in known:
                add(known[name])
        ordered.append(lesson)

    for lesson in lessons:
        add(lesson)
    return ordered
