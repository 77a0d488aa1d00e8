"""All errata on one page, by source: printed form, right form, what was measured, and where in its lesson it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from lessons.anatomy import Erratum, Lesson, Source
from lessons.anatomy.lesson import ERRATUM_KINDS
from lessons.anatomy.text import counted
from lessons.workbench.site.anchors import lesson_url, part_anchor, slug, unique
from lessons.workbench.site.evidence import CLAIMS, claim_list, erratum_box
from lessons.workbench.site.markup import Html, Page, element, joined
from lessons.workbench.site.runs import StoredRun

Found = tuple[Lesson, Source, Html]


def errata_page(lessons: Sequence[tuple[Lesson, StoredRun]]) -> Page:
    """The page of all errata of these lessons, with the numbers that their runs measured."""
    boxes = [found for lesson, run in lessons for found in _of(lesson, run)]
    kinds = Counter(erratum.kind for lesson, _ in lessons for erratum in [*_errata(lesson), *lesson.slips])
    taken = {"main", "search"}
    headings: list[tuple[str, str]] = []
    body = [_head(kinds)]
    for (lesson_name, source), of_source in _by_source(boxes).items():
        anchor = unique(slug(source.title), taken)
        headings.append((anchor, source.title))
        lesson = next(lesson for lesson, _, _ in of_source if lesson.name == lesson_name)
        body += [
            element("h2", source.title, id=anchor),
            element(
                "p",
                f"{source.author}, {source.year}: ",
                element("a", source.link, href=source.link, rel="external noreferrer"),
                ". Lesson: ",
                element("a", lesson.title, href=lesson_url(lesson)),
                ".",
                class_="credit",
            ),
            *(box for _, _, box in of_source),
        ]
    description = "Where well-known texts on deep learning are wrong, what is right, and the numbers that prove it."
    return Page("errata.html", "Errata", joined(body, "\n"), headings, description=description, kind="errata")


def _errata(lesson: Lesson) -> list[Erratum]:
    return [part.erratum for part in lesson.errata if part.erratum is not None]


def _by_source(boxes: Sequence[Found]) -> dict[tuple[str, Source], list[Found]]:
    ordered: dict[tuple[str, Source], list[Found]] = {}
    for found in boxes:
        ordered.setdefault((found[0].name, found[1]), []).append(found)
    return ordered


def _head(kinds: Counter[str]) -> Html:
    tally = [
        element("li", element("b", str(kinds[kind])), f" {what}") for kind, what in ERRATUM_KINDS.items() if kinds[kind]
    ]
    total = counted(sum(kinds.values()), "erratum", "errata")
    return element(
        "header",
        element("h1", "Errata"),
        element(
            "p",
            f"{total} in the texts that the lessons rebuild. Wrong mathematics and bugs in code are refuted by numbers "
            "that were measured for this page; so is it measured that the right form holds.",
            class_="headline",
        ),
        element("ul", *tally, class_="counts"),
        class_="head",
    )


def _of(lesson: Lesson, run: StoredRun) -> list[Found]:
    sections = {section["name"]: section for section in run.report["sections"] if "name" in section}
    found: list[Found] = []
    for part in lesson.errata:
        assert part.erratum is not None
        found.append((lesson, part.erratum.source, _box(lesson, part.name, sections[part.name])))
    sources = dict.fromkeys(slip.source for slip in lesson.slips)
    slips = {source: [slip for slip in lesson.slips if slip.source == source] for source in sources}
    return [*found, *((lesson, source, _slips(of_source)) for source, of_source in slips.items())]


def _box(lesson: Lesson, name: str, section: dict[str, Any]) -> Html:
    claims = [item for item in section["items"] if item["type"] in CLAIMS]
    place = f"{lesson_url(lesson)}#{part_anchor(name)}"
    heading = element("h3", element("a", section["title"], href=place))
    box = erratum_box(section["erratum"], claim_list(claims, _code), _code, heading)
    return element("article", box, class_="erratum")


def _slips(slips: Sequence[Erratum]) -> Html:
    """Notation and wording of which nothing can be measured."""
    rows = [
        element(
            "tr",
            element("td", ERRATUM_KINDS[slip.kind]),
            element("td", element("del", slip.printed)),
            element("td", slip.right),
        )
        for slip in slips
    ]
    head = element("tr", *(element("th", title, scope="col") for title in ("Kind", "Printed", "Better")))
    inside = element("table", element("caption", "Smaller slips"), element("thead", head), element("tbody", *rows))
    return element("div", inside, class_="scrolls measurements slips", data_label="Table: smaller slips")


def _code(name: str) -> Html:
    return element("code", name)
