"""Where the sources are wrong: every erratum with the numbers that its claims measure now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lessons.anatomy import Claim, Erratum, Lesson, Run, Source
from lessons.anatomy.lesson import ERRATUM_KINDS
from lessons.anatomy.text import Style, counted, number, wrapped
from lessons.workbench.report import plain, version


@dataclass(frozen=True)
class Row:
    """One erratum of one lesson.  ``evidence`` is empty for notation and wording of which nothing can be measured."""

    lesson: Lesson
    erratum: Erratum
    evidence: tuple[Claim, ...]

    @property
    def held(self) -> bool:
        return all(claim.passed for claim in self.evidence)


def collect(lessons: Sequence[Lesson]) -> list[Row]:
    """Run the errata of the lessons, each by itself at quick size with seed 0, and return what they measured."""
    return [row for lesson in lessons for row in _of(lesson)]


def _of(lesson: Lesson) -> Iterator[Row]:
    run = Run("quick")
    for part in lesson.errata:
        section = part.run(run)
        assert part.erratum is not None
        yield Row(lesson, part.erratum, tuple(section.claims))
    for slip in lesson.slips:
        yield Row(lesson, slip, ())


def _by_source(rows: Sequence[Row]) -> list[tuple[tuple[str, Source], list[Row]]]:
    """Rows in groups, with the lesson's name and the source of each."""
    ordered: dict[tuple[str, Source], list[Row]] = {}
    for row in rows:
        ordered.setdefault((row.lesson.name, row.erratum.source), []).append(row)
    return list(ordered.items())


def as_table(rows: Sequence[Row], style: Style, width: int) -> list[str]:
    """The errata for a terminal: under each source, printed form, right form and evidence of each."""
    lines: list[str] = []
    for (name, source), of_source in _by_source(rows):
        lines += [style.bold(name), *wrapped(source.credit, width), ""]
        for row in of_source:
            lines += [*_record(row, style, width), ""]
    kinds = {kind: sum(row.erratum.kind == kind for row in rows) for kind in ERRATUM_KINDS}
    tally = ", ".join(f"{count} {ERRATUM_KINDS[kind]}" for kind, count in kinds.items() if count)
    failed = sum(not row.held for row in rows)
    lines.append(f"{counted(len(rows), 'erratum', 'errata')}{': ' if tally else ''}{tally}.")
    if failed:
        lines.append(style.bad(f"Of these, the evidence of {failed} does not hold."))
    return lines


def _record(row: Row, style: Style, width: int) -> Iterator[str]:
    erratum = row.erratum
    yield style.bold(f"  [{erratum.kind}] {erratum.title or ERRATUM_KINDS[erratum.kind]}")
    yield from _labelled("printed", erratum.printed, width)
    yield from _labelled("right", erratum.right, width)
    for claim in row.evidence:
        lines = list(_labelled("measured", sentence(claim), width))
        yield from lines if claim.passed else map(style.bad, lines)


def _labelled(label: str, text: str, width: int) -> Iterator[str]:
    indent = " " * 14
    for k, line in enumerate(wrapped(text.replace("\n", "\n\n"), width, indent)):
        if line:
            yield f"    {label:<10}{line[14:]}" if k == 0 else line


def sentence(claim: Claim) -> str:
    """One piece of evidence: "what: number (requirement: verdict)"."""
    verdict = claim.problem or ("refuted" if claim.kind == "refuted" else "holds")
    return f"{claim.text}: {number(claim.measured)} ({claim.requirement}: {verdict})"


def as_markdown(rows: Sequence[Row]) -> str:
    """A table for each source, in Markdown."""
    parts = ["# Errata\n"]
    for (name, source), of_source in _by_source(rows):
        parts.append(f"\n## [{_cell(source.title)}]({source.link}), {source.author}, {source.year}\n\n")
        parts.append(f"Lesson: `{name}`.\n\n")
        parts.append("| kind | printed | right | measured |\n|---|---|---|---|\n")
        for row in of_source:
            measured = "<br>".join(_cell(sentence(claim)) for claim in row.evidence) or "nothing to measure"
            cells = (f"{row.erratum.kind}", _cell(row.erratum.printed), _cell(row.erratum.right), measured)
            parts.append(f"| {' | '.join(cells)} |\n")
    kinds = "; ".join(f"{kind}: {meaning}" for kind, meaning in ERRATUM_KINDS.items())
    return "".join([*parts, f"\n{kinds}. Measured by minigrad {version()}, `minigrad errata --markdown`.\n"])


def _cell(text: str) -> str:
    """Text that shows as it is in a cell of a Markdown table."""
    for mark in ("\\", "`", "*", "_", "|", "<", "$"):
        text = text.replace(mark, f"\\{mark}")
    return "<br>".join(text.splitlines())


def as_json(rows: Sequence[Row]) -> str:
    """All errata as one JSON object; numbers that JSON lacks appear as the strings "nan", "inf" and "-inf"."""
    found = {"minigrad": version(), "kinds": ERRATUM_KINDS, "errata": [_plain(row) for row in rows]}
    return json.dumps(found, indent=1, allow_nan=False, ensure_ascii=False)


def _plain(row: Row) -> dict[str, Any]:
    return {
        "lesson": row.lesson.name,
        "source": asdict(row.erratum.source),
        "kind": row.erratum.kind,
        "title": row.erratum.title,
        "printed": row.erratum.printed,
        "right": row.erratum.right,
        "evidence": [
            {
                "text": claim.text,
                "measured": plain(claim.measured),
                "requirement": claim.requirement,
                "kind": claim.kind,
                "held": claim.passed,
            }
            for claim in row.evidence
        ],
        "held": row.held,
    }
