"""The report of a batch: JSON for programs (`FIELDS` documents it), CSV for a spreadsheet, going on from it."""

from __future__ import annotations

import csv
import hashlib
import inspect
import io
import json
import platform
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lessons.anatomy import Lesson
from lessons.anatomy.files import write_atomically
from lessons.workbench.errors import UsageError
from lessons.workbench.grade.batch import GRADER_ERROR
from lessons.workbench.grade.students import Student
from lessons.workbench.report import version
from lessons.workbench.sandbox import Limits

SCHEMA, VERSION = "minigrad-grade", 1
AGAIN = (GRADER_ERROR, "no sandbox", "broken check")  # no fault of the student's: graded anew when resumed

# The fields of the report, for each kind of object in it.  A change of meaning, or a field less, raises VERSION; fields
# may be added.  `status` is one of: passed, failed, not started, missing, error, timeout, crash, memory, output,
# not loadable (the submission's); broken check, no sandbox, grader error (ours).
FIELDS: dict[str, dict[str, str]] = {
    "report": {
        "schema": 'always "minigrad-grade"',
        "version": "of these fields: 1",
        "complete": "false while a batch is running, or after it was interrupted",
        "folder": "the folder that was graded",
        "settings": "object: settings",
        "isolation": "list of the protections that were in force in some run: harm -> sentence",
        "students": "list of objects: student, by name",
        "ignored": "entries of the folder that are no submission: name -> reason",
        "summary": "object: summary",
    },
    "settings": {
        "minigrad": "version",
        "python": "version",
        "numpy": "version",
        "system": "operating system and processor",
        "limits": "what each submission may use, as lessons.workbench.sandbox.Limits",
        "lessons": "name -> its exercises, in order, and the SHA-256 of its source",
    },
    "student": {
        "name": "of the folder or file",
        "path": "of the folder or file, below the graded folder",
        "sha256": "of all files in it",
        "files": "lesson -> file",
        "passed": "how many exercises passed",
        "total": "of how many",
        "exercises": "list of objects: exercise",
    },
    "exercise": {
        "lesson": "its name",
        "exercise": "its name",
        "status": "see above",
        "passed": "true or false",
        "lines": "what the check said, as lines of text",
        "seconds": "that the check took",
        "printed": "the beginning of what the submission printed",
        "diagnosis": "null, or an object: diagnosis",
        "isolation": "index into the report's isolation; null when no submission was started",
    },
    "diagnosis": {
        "status": "of the diagnosis",
        "terms": "names of the terms that are wrong",
        "cause": "a sentence, or empty",
        "lines": "the diagnosis as lines of text",
    },
    "summary": {
        "students": "how many",
        "passed": "exercises passed, over all students",
        "total": "of how many",
        "statuses": "status -> how many exercises",
        "exercises": "list of objects: how the class did, one for each exercise",
    },
    "how the class did": {
        "lesson": "its name",
        "exercise": "its name",
        "passed": "how many students",
        "statuses": "status -> how many students",
        "terms": "wrong term -> how many students, the most frequent first",
        "causes": "what was wrong -> how many students, the most frequent first",
    },
}


def settings(lessons: Sequence[Lesson], limits: Limits) -> dict[str, Any]:
    """What results depend on, besides the submission: results of reports that differ in it do not mix."""
    limited = asdict(limits)
    del limited["readable"]
    return {
        "minigrad": version(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "limits": limited,
        "lessons": {
            lesson.name: {
                "exercises": [exercise.name for exercise in lesson.exercise_list],
                "sha256": _source_hash(lesson),
            }
            for lesson in lessons
        },
    }


def _source_hash(lesson: Lesson) -> str:
    sources = {inspect.getsourcefile(exercise.solution) or "" for exercise in lesson.exercise_list}
    return hashlib.sha256(b"".join(Path(source).read_bytes() for source in sorted(sources) if source)).hexdigest()


class Report:
    """The results of a batch so far, written to ``path`` whenever `write` is called."""

    def __init__(
        self, path: Path, folder: Path, settings: dict[str, Any], students: Sequence[Student], ignored: dict[str, str]
    ) -> None:
        self.path, self.folder, self.settings, self.ignored = path, folder, settings, ignored
        self.students = list(students)
        self.results: dict[str, dict[tuple[str, str], dict[str, Any]]] = {student.name: {} for student in students}
        self.isolation: list[dict[str, str]] = []

    @property
    def wanted(self) -> list[tuple[str, str]]:
        """Lesson and exercise, for everything that each student should have done."""
        lessons = self.settings["lessons"].items()
        return [(name, exercise) for name, lesson in lessons for exercise in lesson["exercises"]]

    def add(self, student: str, result: dict[str, Any]) -> None:
        """Take in what the judge said about one exercise."""
        account = result["isolation"]
        if account is not None:
            if account not in self.isolation:
                self.isolation.append(account)
            result = {**result, "isolation": self.isolation.index(account)}
        self.results[student][result["lesson"], result["exercise"]] = result

    def add_missing(self, student: Student) -> None:
        """Say "missing" for the lessons for which the student has no file."""
        for lesson, exercise in self.wanted:
            if lesson not in student.files:
                result = {
                    "lesson": lesson, "exercise": exercise, "status": "missing", "passed": False,
                    "lines": [f"no file of {student.path.name} is for {lesson}"], "seconds": 0.0, "printed": "",
                    "diagnosis": None, "isolation": None,
                }  # fmt: skip
                self.results[student.name][lesson, exercise] = result

    def resume(self, fresh: bool = False) -> int:
        """Keep finished students of the report at ``path`` whose files have not changed; returns how many.

        With ``fresh``, none are kept, and only a file that is no report at all is refused.

        Raises `UsageError` when there is a file that is no such report, or one for something else.
        """
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise UsageError(f"--out {self.path}: cannot read it ({error.strerror})") from error
        old = _parsed(text, self.path)
        try:
            return 0 if fresh else self._keep(old)
        except (AttributeError, IndexError, KeyError, TypeError):
            raise _no_report(self.path) from None

    def _keep(self, old: dict[str, Any]) -> int:
        before = {student["name"]: student for student in old["students"]}
        advice = "choose another --out, or replace it with --fresh"
        if old["settings"] != self.settings:
            raise UsageError(f"--out {self.path}: made for other lessons, with other limits or versions; {advice}")
        if before and not before.keys() & self.results.keys():
            raise UsageError(f"--out {self.path}: made for other students ({', '.join(list(before)[:3])}...); {advice}")
        kept = 0
        for student in self.students:
            known = before.get(student.name)
            if known is None or known["sha256"] != student.sha256 or known["path"] != student.path.name:
                continue
            results = [dict(result) for result in known["exercises"]]
            if len(results) != len(self.wanted) or any(result["status"] in AGAIN for result in results):
                continue
            for result in results:
                index = result["isolation"]
                self.add(student.name, {**result, "isolation": None if index is None else old["isolation"][index]})
            kept += 1
        return kept

    def finished(self, student: str) -> bool:
        return len(self.results[student]) == len(self.wanted)

    def as_json(self) -> dict[str, Any]:
        """The report as plain JSON values.  Students that are not finished have the exercises that are."""
        students = [self._student(student) for student in self.students]
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "complete": all(self.finished(student.name) for student in self.students),
            "folder": str(self.folder),
            "settings": self.settings,
            "isolation": self.isolation,
            "students": students,
            "ignored": self.ignored,
            "summary": _summary(students, self.wanted),
        }

    def _student(self, student: Student) -> dict[str, Any]:
        results = self.results[student.name]
        return {
            "name": student.name,
            "path": student.path.name,
            "sha256": student.sha256,
            "files": {lesson: str(file.relative_to(self.folder)) for lesson, file in student.files.items()},
            "passed": sum(result["passed"] for result in results.values()),
            "total": len(self.wanted),
            "exercises": [results[each] for each in self.wanted if each in results],
        }

    def write(self) -> dict[str, Any]:
        """Write the report, atomically, and return it.  Raises `UsageError` when it cannot be written."""
        content = self.as_json()
        write(self.path, json.dumps(content, indent=1, allow_nan=False), "--out")
        return content


def write(path: Path, text: str, option: str) -> None:
    """Write a file, atomically.  Raises `UsageError`, which names the ``option``, when that fails."""
    try:
        write_atomically(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise UsageError(f"{option} {path}: cannot write it ({error.strerror})") from error


def _parsed(text: bytes, path: Path) -> dict[str, Any]:
    try:
        old = json.loads(text)
        readable = old["schema"] == SCHEMA and old["version"] == VERSION
        readable = readable and all(field in old for field in FIELDS["report"])
    except (ValueError, KeyError, TypeError):
        readable = False
    if not readable:
        raise _no_report(path)
    assert isinstance(old, dict)
    return old


def _no_report(path: Path) -> UsageError:
    return UsageError(
        f"--out {path}: this file exists and is no report of `minigrad grade` (version {VERSION}); "
        "move it away, or choose another --out"
    )


def _summary(students: Iterable[dict[str, Any]], wanted: Sequence[tuple[str, str]]) -> dict[str, Any]:
    students = list(students)
    results = [result for student in students for result in student["exercises"]]
    exercises = []
    for lesson, exercise in wanted:
        of_it = [result for result in results if (result["lesson"], result["exercise"]) == (lesson, exercise)]
        diagnoses = [result["diagnosis"] for result in of_it if result["diagnosis"] is not None]
        exercises.append(
            {
                "lesson": lesson,
                "exercise": exercise,
                "passed": sum(result["passed"] for result in of_it),
                "statuses": _counts(result["status"] for result in of_it),
                "terms": _counts(term for diagnosis in diagnoses for term in dict.fromkeys(diagnosis["terms"])),
                "causes": _counts(filter(None, map(_cause, of_it))),
            }
        )
    return {
        "students": len(students),
        "passed": sum(student["passed"] for student in students),
        "total": sum(student["total"] for student in students),
        "statuses": _counts(result["status"] for result in results),
        "exercises": exercises,
    }


def _cause(result: dict[str, Any]) -> str:
    """What was wrong, in words that two students with the same mistake share."""
    if result["status"] in ("passed", "not started", "missing") or not result["lines"]:
        return ""
    if result["diagnosis"] is not None and result["diagnosis"]["cause"]:
        return str(result["diagnosis"]["cause"])
    first = str(result["lines"][0]).splitlines()[0]
    if result["status"] == "failed":  # "dx[1,2] yours 0.5 want 0.25": the numbers are the student's own
        first = re.sub(r"\[[\d,]*\]", "[...]", first)
        first = re.sub(r"(yours|want) +-?(\d[\d.e+-]*|nan|inf)", r"\1 ...", first)
    return first


def _counts(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def as_csv(report: dict[str, Any]) -> str:
    """A line for each student: name, exercises passed, of how many, and the status of each exercise."""
    columns = [(each["lesson"], each["exercise"]) for each in report["summary"]["exercises"]]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["student", "passed", "total", *(f"{lesson}/{exercise}" for lesson, exercise in columns)])
    for student in report["students"]:
        status = {(each["lesson"], each["exercise"]): each["status"] for each in student["exercises"]}
        cells = [status.get(column, "") for column in columns]
        writer.writerow([_harmless(student["name"]), student["passed"], student["total"], *cells])
    return text.getvalue()


def _harmless(text: str) -> str:
    """A name that a spreadsheet would take for a formula gets an apostrophe, which says that it is text."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
