"""How the class failed, for people: on the terminal."""

from __future__ import annotations

from typing import Any

from lessons.anatomy.text import PLAIN, Style, table_lines, wrapped
from lessons.workbench.sandbox.submission import clean

OURS = ("broken check", "no sandbox", "grader error")
MOST = 5  # causes of an exercise worth listing
TROUBLE = 12  # of single students


def lines(report: dict[str, Any], style: Style = PLAIN, width: int = 100) -> list[str]:
    """The readable summary of a report: a table of the exercises, what was wrong, who was in trouble, what held."""
    summary = report["summary"]
    students, lessons = summary["students"], ", ".join(report["settings"]["lessons"])
    head = f"{students} {'student' if students == 1 else 'students'}, {lessons}: "
    text = [style.bold(f"{head}{summary['passed']} of {summary['total']} exercises passed."), ""]
    text += [*_table(summary, width), ""]
    text += _failures(summary, style, width)
    text += _trouble(report, style, width)
    text += isolation_lines(report, width)
    if ours := sum(count for status, count in summary["statuses"].items() if status in OURS):
        said = f"{ours} {'exercise was' if ours == 1 else 'exercises were'} not graded, by a fault that is not the"
        text.append(style.bad(f"{said} student's ({', '.join(OURS)}). The same command tries these again."))
    return text


def _table(summary: dict[str, Any], width: int) -> list[str]:
    statuses = list(summary["statuses"])
    columns = [*(["passed"] if "passed" in statuses else []), *(each for each in statuses if each != "passed")]
    rows = [
        [f"{each['lesson']} / {each['exercise']}", *(each["statuses"].get(status, 0) or "-" for status in columns)]
        for each in summary["exercises"]
    ]
    return table_lines(["exercise", *columns], rows, width)


def _failures(summary: dict[str, Any], style: Style, width: int) -> list[str]:
    text: list[str] = []
    for each in summary["exercises"]:
        if not each["causes"] and not each["terms"]:
            continue
        text.append(style.bold(f"{each['lesson']} / {each['exercise']}"))
        if each["terms"]:
            terms = ", ".join(f"{term} ({count})" for term, count in each["terms"].items())
            text += wrapped(f"wrong terms: {terms}", width)
        for cause, count in list(each["causes"].items())[:MOST]:
            text += wrapped(f"{count:>3} x  {cause}", width)
        if len(each["causes"]) > MOST:
            text.append(f"  and {len(each['causes']) - MOST} more")
        text.append("")
    return text


def _trouble(report: dict[str, Any], style: Style, width: int) -> list[str]:
    """Whoever was neither right nor wrong, but ended in another way."""
    usual = ("passed", "failed", "not started", "missing", "error")
    found = [
        (clean(student["name"]), f"{each['lesson']} / {each['exercise']}", each["status"], (each["lines"] or [""])[0])
        for student in report["students"]
        for each in student["exercises"]
        if each["status"] not in usual
    ]
    if not found:
        return []
    more = [f"  and {len(found) - TROUBLE} more, in the report"] if len(found) > TROUBLE else []
    rows = table_lines(["student", "exercise", "status", "why"], found[:TROUBLE], width)
    return [style.bold("Contained"), *rows, *more, ""]


def isolation_lines(report: dict[str, Any], width: int = 100) -> list[str]:
    """What was really in force, once where it was the same for all."""
    accounts = report["isolation"]
    if not accounts:
        return ["No submission was run."]
    text = []
    for index, account in enumerate(accounts):
        text.append("In force:" if len(accounts) == 1 else f"In force in some runs ({index}):")
        text += table_lines(["harm", "protection"], sorted(account.items()), width)[2:]
    return text
