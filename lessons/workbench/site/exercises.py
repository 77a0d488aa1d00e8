"""An exercise as it invites: what to write, hints rung by rung, a wrong answer as the terminal explains it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Sequence
from typing import Any

from lessons.anatomy import Exercise
from lessons.workbench.site.anchors import exercise_anchor
from lessons.workbench.site.code import snippet
from lessons.workbench.site.evidence import Name, marked
from lessons.workbench.site.markup import EMPTY, Html, element, joined, text

RUNGS = {
    "question": "A hint",
    "term": "Which term?",
    "equation": "The equation",
    "skeleton": "The code, with gaps",
}


def exercise_box(
    lesson: str, exercise: Exercise, said: dict[str, Any] | None, solution: Html, name: Name, level: str = "h3"
) -> Html:
    """The box of one exercise.

    ``said`` is what the run's report says about it, ``{"hints": [{kind, text}], "failure": {mistake, terms, lines}}``;
    ``solution`` its code as HTML; ``name`` shows names in `code`; ``level`` is the element of its heading.
    """
    parameters = str(inspect.signature(exercise.solution)).replace("'", "")
    said = said or {"hints": [{"kind": "question", "text": exercise.hint}], "failure": None}
    terms = [] if exercise.question is None else [term.name for term in exercise.question.all_terms()]
    place = f"{lesson}/{exercise.name}"
    return element(
        "section",
        element("p", "Exercise", class_="kind"),
        element(level, element("code", exercise.name), id=f"{exercise_anchor(exercise.name)}-title"),
        snippet(f"def {exercise.name}{parameters}: ..."),
        statement(inspect.getdoc(exercise.solution) or "", name),
        commands(f"minigrad --lesson {place}", "begins it, and answers every save"),
        commands(f"minigrad check {lesson}", "checks what you wrote, once"),
        hints([hint for hint in said["hints"] if hint["kind"] in RUNGS], terms, name),
        _wrong_answer(said.get("failure"), terms),
        element("details", element("summary", "The solution"), solution, class_="solution"),
        id=exercise_anchor(exercise.name),
        class_="exercise",
        aria_labelledby=f"{exercise_anchor(exercise.name)}-title",
    )


# ---- what to write


def statement(docstring: str, name: Name) -> Html:
    """A docstring as paragraphs, and its sections "Args:", "Returns:", "Raises:" as lists."""
    parts: list[Html] = []
    for paragraph in docstring.split("\n\n"):
        head, *rest = paragraph.splitlines()
        if re.fullmatch(r"\w+:", head) and rest and all(line.startswith("    ") or not line for line in rest):
            parts.append(_docstring_section(head.rstrip(":"), [line[4:] for line in rest], name))
        elif any(line.startswith("    ") for line in (head, *rest)):
            parts.append(element("pre", paragraph, class_="as-is scrolls", data_label="Formula"))
        else:
            parts.append(element("p", marked(" ".join([head, *rest]), name)))
    return element("div", *parts, class_="statement")


def _docstring_section(title: str, lines: Sequence[str], name: Name) -> Html:
    """ "Args:" and the like; a line "x: the batch" begins an entry, an indented one continues it."""
    entries: list[list[str]] = []
    for line in lines:
        if line.startswith(" ") and entries:
            entries[-1].append(line.strip())
        else:
            entries.append([line.strip()])
    rows: list[Html] = []
    for entry in map(" ".join, entries):
        label, colon, meaning = entry.partition(": ")
        if colon and re.fullmatch(r"[\w, *]+", label) and title in ("Args", "Raises", "Yields"):
            rows.append(element("li", element("code", label), ": ", marked(meaning, name)))
        else:
            rows.append(element("li", marked(entry, name)))
    heading = {"Args": "You are given", "Returns": "You return"}.get(title, title)
    return joined([element("p", heading, class_="label"), element("ul", *rows)])


def commands(command: str, meaning: str) -> Html:
    """A command line to copy; the script adds the button."""
    return element(
        "p",
        element("code", command, class_="command"),
        element("span", meaning, class_="meaning"),
        class_="command-line",
    )


# ---- hints


def hints(rungs: Sequence[dict[str, str]], terms: Collection[str], name: Name) -> Html:
    """The ladder: each rung is folded, and inside it, after its text, is the next."""
    inside = EMPTY
    for rung in reversed(rungs):
        summary = element("summary", RUNGS[rung["kind"]])
        inside = element("details", summary, _rung(rung, terms, name), inside, class_=f"hint hint-{rung['kind']}")
    return inside


def _rung(rung: dict[str, str], terms: Collection[str], name: Name) -> Html:
    if rung["kind"] == "skeleton":
        return snippet(rung["text"])
    if rung["kind"] == "equation":
        return _equations(rung["text"], terms)
    return element("p", marked(rung["text"], name))


def _equations(said: str, terms: Collection[str]) -> Html:
    """Lines "name = equation", each name a term to light."""
    rows = []
    for line in said.splitlines():
        label, _, equation = line.partition(" = ")
        term = label if label in terms else None
        rows.append(
            element(
                "tr",
                element("th", element("code", label, class_="term" if term else None, data_term=term), scope="row"),
                element("td", element("code", equation)),
            )
        )
    return element("div", element("table", element("tbody", *rows)), class_="scrolls equations", data_label="Equations")


# ---- a wrong answer


def _wrong_answer(failure: dict[str, Any] | None, terms: Collection[str]) -> Html:
    if failure is None:
        return EMPTY
    summary = element("summary", "A wrong answer, and what the check says: ", element("q", failure["mistake"]))
    return element("details", summary, terminal(failure["lines"], terms), class_="wrong-answer")


def terminal(lines: Sequence[str], terms: Collection[str]) -> Html:
    """Lines as a terminal shows them; terms can be lit where they begin a row of the table or stand in `code`."""
    return element(
        "div",
        element("pre", element("code", *(joined([_terminal_line(line, terms), "\n"]) for line in lines))),
        class_="terminal scrolls",
        data_label="What the terminal says",
    )


def _terminal_line(line: str, terms: Collection[str]) -> Html:
    names = "|".join(re.escape(term) for term in sorted(terms, key=len, reverse=True))
    if not names:
        return _verdicts(line)
    parts: list[Html] = []
    end = 0
    for found in re.finditer(rf"(?<=`)(?:{names})(?=`)|^ +(?:{names})(?= )", line):
        term = found[0].strip()
        parts += [_verdicts(line[end : found.end() - len(term)]), element("span", term, class_="term", data_term=term)]
        end = found.end()
    return joined([*parts, _verdicts(line[end:])])


def _verdicts(said: str) -> Html:
    return joined(
        element("b", part, class_="bad") if k % 2 else text(part)
        for k, part in enumerate(re.split(r"\b(FAIL|WRONG)\b", said))
    )
