"""What the loop says, as lines of text: verdicts, hints, the list, the diff, the footer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lessons.anatomy.text import Style, padded, width_of, wrapped
from lessons.workbench.loop import stubs
from lessons.workbench.loop.checks import Checked, diagnosis_of
from lessons.workbench.loop.course import Course, Task
from lessons.workbench.loop.state import Progress, State
from lessons.workbench.sandbox.submission import clean
from lessons.workbench.site.places import place_line, place_of

PRINTED = 20  # lines of the learner's own output that are worth showing
BAR = 20

KEYS = {
    "n": "next",
    "h": "hint",
    "w": "what would this bug do",
    "d": "diff",
    "l": "list",
    "x": "reset",
    "r": "run",
    "q": "quit",
}

WORDS = {
    "passed": "PASS",
    "failed": "FAIL",
    "error": "ERROR",
    "missing": "MISSING",
    "timeout": "TOO SLOW",
    "crash": "CRASH",
    "memory": "TOO MUCH MEMORY",
    "output": "TOO MUCH OUTPUT",
    "not loadable": "CANNOT LOAD",
    "broken check": "BROKEN CHECK",
    "no sandbox": "NO SANDBOX",
}


def verdict(task: Task, checked: Checked, attempts: int, style: Style, width: int) -> list[str]:
    """The answer to one save: the headline, what the code printed, what is wrong, how it fails."""
    outcome = checked.outcome
    word = WORDS.get(outcome.status, outcome.status)
    mark = style.good(word) if outcome.passed else word if outcome.status == "not started" else style.bad(word)
    attempt = f"   attempt {attempts}" if attempts and outcome.status not in ("not started", "missing") else ""
    tail = f"{attempt}   {checked.seconds:.2f} s"
    room = max(2, min(width, 80) - width_of(task.title) - width_of(word) - width_of(tail))
    lines = ["", f"{style.bold(task.title)}{' ' * room}{mark}{style.dim(tail)}"]
    lines += [f"  {line}" for line in printed(checked.printed, style)]
    lines += [f"  {line}" for line in outcome.lines]
    about = getattr(diagnosis_of(outcome), "lines", ())
    said = [line for line in about if line not in outcome.lines]
    if said:
        lines += ["", *(f"  {line}".rstrip() for line in said)]
    page = place_line(place_of(task.lesson, outcome))
    return [*lines, f"  {style.dim(page)}"] if page else lines


def printed(text: str, style: Style) -> list[str]:
    """What the learner's code printed, marked as such, without what could steer the terminal."""
    all_lines = text.splitlines()
    lines = [style.dim("| ") + clean(line)[:200] for line in all_lines[:PRINTED]]
    if len(all_lines) > PRINTED:
        lines.append(style.dim(f"| ... and {len(all_lines) - PRINTED} more lines"))
    return lines


def advice(task: Task, status: str, keys: bool) -> list[str]:
    """What to do now, for the outcomes that do not say it themselves."""
    where = place(task)
    if status == "not started":
        return [f"  Write it in {where}, and save."]
    if status == "missing":
        return [f"  {task.path} does not define {task.exercise.name}.{' Key x brings its stub back.' if keys else ''}"]
    if status == "no sandbox":
        return ["  That is no fault of yours: `minigrad doctor` tells what this machine lacks."]
    return []


def place(task: Task) -> str:
    """Where the learner writes the exercise: the file, with the line if it can be told."""
    try:
        line = stubs.line_of(stubs.read(task.path), task.exercise.name)
    except OSError:
        line = None
    return f"{task.path}" if line is None else f"{task.path}, line {line}"


def progress_bar(done: int, total: int, fancy: bool) -> str:
    cells = min(BAR, total)
    full = done * cells // total
    block, rest = ("\N{FULL BLOCK}", "\N{LIGHT SHADE}") if fancy else ("#", "-")
    return f"{block * full}{rest * (cells - full)} {done}/{total}"


def listing(course: Course, state: State, current: Task, style: Style) -> list[str]:
    """All exercises with their marks; an arrow points to the current one."""
    lines = [""]
    column = max(width_of(task.exercise.name) for task in course.tasks)
    for lesson in course.lessons:
        lines.append(f"{style.bold(lesson.name)}: {lesson.title}")
        for task in course.tasks:
            if task.lesson is lesson:
                progress = state.of(task.key)
                mark = style.good("pass") if progress.passed else "    "
                pointer = ">" if task is current else " "
                facts = style.dim(_facts(progress))
                lines.append(f" {pointer} {mark}  {padded(task.exercise.name, column)}  {facts}".rstrip())
    return lines


def _facts(progress: Progress) -> str:
    facts = []
    if progress.attempts:
        facts.append(f"{progress.attempts} attempt{'s' if progress.attempts > 1 else ''}")
    if progress.hints:
        facts.append(f"{len(progress.hints)} hint{'s' if len(progress.hints) > 1 else ''}")
    if progress.revealed:
        facts.append("solution revealed")
    return ", ".join(facts)


def diff_lines(lines: Sequence[str], style: Style) -> list[str]:
    marks = {"+": style.good, "-": style.bad, "@": style.dim}
    return [f"  {marks.get(line[:1], str)(line)}".rstrip() for line in lines]


def hint_lines(kind: str, text: str, left: str, style: Style, width: int) -> list[str]:
    """One hint: what kind it is, its text, and what another press would give."""
    lines = ["", style.bold(f"Hint: {HINT_NAMES.get(kind, kind)}")]
    lines += [f"  {line}" for line in text.splitlines()] if kind in AS_IT_IS else wrapped(text, width)
    return [*lines, style.dim(f"  {left}")] if left else lines


# Kinds of hints whose text is laid out already.
AS_IT_IS = ("equation", "skeleton", "solution")
HINT_NAMES = {
    "question": "a question",
    "term": "the term",
    "equation": "its equation",
    "skeleton": "a skeleton",
    "solution": "the solution",
}


def available(keys: dict[str, bool]) -> str:
    """The keys that do something now, with what they do."""
    return "  ".join(f"{key} {text}" for key, text in KEYS.items() if keys.get(key, True))


def footer(course: Course, state: State, task: Task, doing: str, keys: str, fancy: bool) -> list[str]:
    bar = progress_bar(course.passed(state), len(course.tasks), fancy)
    return ["", f"{bar}   {task.title}   {doing}", keys]


def json_verdict(task: Task, checked: Checked, attempts: int) -> dict[str, Any]:
    """A verdict for programs.

    ``status`` is that of `Outcome`, ``lines`` what a person reads, ``printed`` what the code printed; ``attempt``
    counts different contents of the file, from 1, and ``seconds`` is the time since the save was noticed.
    ``diagnosis`` is null where there is none; so is ``page``, the place in the site that explains the wrong term.
    """
    outcome = checked.outcome
    about = diagnosis_of(outcome)
    return {
        "lesson": task.lesson.name,
        "exercise": task.exercise.name,
        "file": str(task.path),
        "status": outcome.status,
        "passed": outcome.passed,
        "attempt": attempts,
        "seconds": round(checked.seconds, 3),
        "lines": list(outcome.lines),
        "printed": clean(checked.printed[:10_000]),
        "diagnosis": None
        if about is None
        else {
            "status": str(getattr(about, "status", "")),
            "cause": str(getattr(about, "cause", "") or ""),
            "lines": [str(line) for line in getattr(about, "lines", ())],
        },
        "page": place_of(task.lesson, outcome),
    }
