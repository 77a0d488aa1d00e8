"""The readable account of a run: what each part said, as lines of text."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Sequence

from lessons.anatomy.homework import Outcome
from lessons.anatomy.lesson import ERRATUM_KINDS, Erratum, Part
from lessons.anatomy.run import Claim, Figure, Note, Section, Slider, Table
from lessons.anatomy.text import PLAIN, Style, number, padded, table_lines, width_of, wrapped

WIDTH = 100


def account(section: Section, style: Style = PLAIN, width: int = WIDTH) -> list[str]:
    """The lines of one section: its heading and its body."""
    return [*([] if section.part is None else heading(section.part, style)), *body(section, style, width)]


def heading(part: Part, style: Style = PLAIN) -> list[str]:
    """The title of a part; for an erratum also what was printed and what is right."""
    return [style.bold(part.title)] if part.erratum is None else erratum_lines(part.erratum, style)


def body(section: Section, style: Style = PLAIN, width: int = WIDTH) -> list[str]:
    """What a section said, in order: notes, claims with their numbers, tables, figures; then an empty line."""
    lines: list[str] = []
    for is_claim, items in itertools.groupby(section.items, key=lambda item: isinstance(item, Claim)):
        if is_claim:
            lines += claim_lines([item for item in items if isinstance(item, Claim)], style, width)
            continue
        for item in items:
            if isinstance(item, Note):
                lines += wrapped(item.text, width)
            elif isinstance(item, Table):
                lines += ["", f"  {style.bold(item.title)}", *table_lines(item.headers, item.rows, width), ""]
            elif isinstance(item, Figure) and item.files:
                lines.append(f"  figure  {item.files[0].parent / item.name}  ({_kinds(item)})")
    lines.append("")
    return [line for line, after in zip(lines, [*lines[1:], "."], strict=True) if line or after]


def _kinds(figure: Figure) -> str:
    if isinstance(figure, Slider):
        return f"{figure.files[0].suffix}; {len(figure.frames)} frames by {' and '.join(a.name for a in figure.axes)}"
    return ", ".join(path.suffix for path in figure.files)


def erratum_lines(erratum: Erratum, style: Style = PLAIN) -> list[str]:
    kind = f"[{erratum.kind}] {ERRATUM_KINDS[erratum.kind]}"
    return [
        style.bold(f"Erratum {kind}: {erratum.title}"),
        *_labelled("printed", erratum.printed, style.struck),
        *_labelled("right", erratum.right, str),
    ]


def claim_lines(claims: Sequence[Claim], style: Style = PLAIN, width: int = WIDTH) -> list[str]:
    """Claims as a table: verdict, text, measured number, requirement, and what is wrong when one failed."""
    measured = [_measured(claim) for claim in claims]
    numbers = max(width_of(text) for text in measured)
    requirements = max(width_of(claim.requirement) for claim in claims)
    room = max(24, width - 8 - numbers - requirements - 6)
    texts = [textwrap.wrap(claim.text, room, break_long_words=False) or [""] for claim in claims]
    column = max(width_of(line) for text in texts for line in text)
    lines = []
    for claim, text, value in zip(claims, texts, measured, strict=True):
        kind = claim.kind
        mark = style.good("ok  ") if claim.passed else style.bad("FAIL")
        shown = padded(value, numbers, right=True)
        shown = style.struck(value) + " " * (numbers - width_of(value)) if kind == "refuted" else shown
        required = f"{claim.requirement}, so refuted" if kind == "refuted" and claim.passed else claim.requirement
        lines.append(f"  {mark}  {padded(text[0], column)}  {shown}  {required}".rstrip())
        lines += [f"        {more}" for more in text[1:]]
        if claim.problem:
            lines += [f"        {style.bad(line)}" for line in claim.problem.splitlines()]
    return lines


def outcome_lines(outcome: Outcome, style: Style = PLAIN) -> list[str]:
    """What the check said about one exercise."""
    labels = {"passed": style.good("ok"), "failed": style.bad("FAIL"), "error": style.bad("ERROR")}
    label = labels.get(outcome.status, outcome.status)
    lines = [f"{outcome.exercise}: {label}", *(f"    {line}" for line in outcome.lines)]
    if outcome.hint:
        lines.append(f"    hint: {outcome.hint}")
    return lines


def _measured(claim: Claim) -> str:
    return textwrap.shorten(number(claim.measured), 24, placeholder="...")


def _labelled(label: str, text: str, mark: object) -> list[str]:
    first, *more = text.splitlines() or [""]
    assert callable(mark)
    return [f"  {label:<8}{mark(first)}", *(f"          {mark(line)}" for line in more)]
