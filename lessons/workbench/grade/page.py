"""How the class failed, as one HTML page without scripts: nothing of a submission runs in the reader's browser."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1a1a1a }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2.5rem }
table { border-collapse: collapse } th, td { text-align: left; padding: .25rem .75rem; border-bottom: 1px solid #ddd }
td.n { text-align: right; font-variant-numeric: tabular-nums }
pre { background: #f6f6f6; padding: .75rem; overflow-x: auto; white-space: pre-wrap; margin: .25rem 0 1rem }
.bar { display: flex; width: 16rem; height: 1rem } .bar span { display: block }
.passed { background: #0072b2; color: #fff } .failed { background: #d55e00; color: #fff }
.other { background: #ccb400 } .none { background: #ddd } .status { padding: .1rem .5rem; border-radius: .25rem }
.scroll { overflow-x: auto } summary { cursor: pointer }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(report: dict[str, Any]) -> str:
    """The whole page."""
    summary = report["summary"]
    title = f"Grades: {', '.join(report['settings']['lessons'])}"
    said = f"{summary['students']} students, {summary['passed']} of {summary['total']} exercises passed."
    if not report["complete"]:
        said += " The batch is not complete."
    body = [
        f"<h1>{escape(title)}</h1><p>{escape(said)}</p>",
        "<h2>How the class did</h2>", _exercises(summary),
        "<h2>What was wrong</h2>", _wrong(summary),
        "<h2>Students</h2>", _matrix(report),
        "<h2>In detail</h2>", *(_student(student) for student in report["students"]),
        "<h2>What was in force while submissions ran</h2>", *(_table([], a.items()) for a in report["isolation"]),
    ]  # fmt: skip
    if report["ignored"]:
        body += ["<h2>Left out</h2>", _table(["entry", "why"], report["ignored"].items())]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _exercises(summary: dict[str, Any]) -> str:
    rows = []
    for each in summary["exercises"]:
        counts = each["statuses"]
        total = sum(counts.values()) or 1
        pieces = "".join(
            f'<span class="{_class(status)}" style="width:{100 * count / total:.2f}%"'
            f' title="{escape(status)}: {count}"></span>'
            for status, count in counts.items()
        )
        words = ", ".join(f"{count} {status}" for status, count in counts.items())
        rows.append([_name(each), _Html(f'<div class="bar">{pieces}</div>'), words])
    return _table(["exercise", "", "students"], rows)


def _wrong(summary: dict[str, Any]) -> str:
    rows = []
    for each in summary["exercises"]:
        rows += [[_name(each), f"wrong term: {term}", count] for term, count in each["terms"].items()]
        rows += [[_name(each), cause, count] for cause, count in each["causes"].items()]
    return _table(["exercise", "what", "students"], rows) if rows else "<p>Nothing.</p>"


def _matrix(report: dict[str, Any]) -> str:
    columns = [(each["lesson"], each["exercise"]) for each in report["summary"]["exercises"]]
    rows = []
    for student in report["students"]:
        statuses = {(each["lesson"], each["exercise"]): each["status"] for each in student["exercises"]}
        marks = [_mark(statuses.get(column, "")) for column in columns]
        rows.append([student["name"], f"{student['passed']} of {student['total']}", *marks])
    return _table(["student", "passed", *(exercise for _, exercise in columns)], rows)


def _student(student: dict[str, Any]) -> str:
    parts = [f"<details><summary>{escape(student['name'])}: {student['passed']} of {student['total']}</summary>"]
    for each in student["exercises"]:
        parts.append(f"<p>{escape(_name(each))} {_mark(each['status'])}</p>")
        explained = each["diagnosis"]["lines"] if each["diagnosis"] else []
        said = [*each["lines"], *(line for line in explained if line not in each["lines"])]
        if said:
            parts.append(f"<pre>{escape(chr(10).join(said))}</pre>")
        if each["printed"]:
            parts.append(f"<p>printed:</p><pre>{escape(each['printed'])}</pre>")
    return "".join([*parts, "</details>"])


class _Html(str):
    """Text that is markup already."""


def _mark(status: str) -> _Html:
    return _Html(f'<span class="status {_class(status)}">{escape(status or "not graded yet")}</span>')


def _class(status: str) -> str:
    if status in ("passed", "failed"):
        return status
    return "none" if status in ("", "missing", "not started") else "other"


def _name(each: dict[str, Any]) -> str:
    return f"{each['lesson']} / {each['exercise']}"


def _table(headers: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    lines = [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
    head = f"<tr>{head}</tr>" if head else ""
    return f'<div class="scroll"><table>{head}{"".join(lines)}</table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, _Html):
        return f"<td>{value}</td>"
    number = ' class="n"' if isinstance(value, int) else ""
    return f"<td{number}>{escape(str(value))}</td>"
