"""What a part of a lesson said when it ran: claims with their numbers, tables, notes, figures.

Everything here comes from the report of a run, as plain JSON values; nothing is trusted to be HTML.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lessons.anatomy.lesson import ERRATUM_KINDS
from lessons.anatomy.text import counted, number
from lessons.workbench.site.figures import Pictures
from lessons.workbench.site.markup import EMPTY, Html, element, joined, text

CLAIMS = frozenset({"claim", "refuted", "recorded", "live", "error"})

Item = dict[str, Any]
Name = Callable[[str], Html]  # a name in `code` as HTML: see `Prose.name`


def section_body(items: Sequence[Item], pictures: Pictures, name: Name) -> Html:
    """The items of one section in their order; claims that follow each other are one list."""
    parts: list[Html] = []
    for is_claim, group in itertools.groupby(items, key=lambda item: item["type"] in CLAIMS):
        if is_claim:
            parts.append(claim_list(group, name))
        else:
            parts += [_item(item, pictures, name) for item in group]
    return joined(parts)


def _item(item: Item, pictures: Pictures, name: Name) -> Html:
    if item["type"] == "note":
        return note(item["text"], name)
    if item["type"] == "table":
        return table(item["title"], item["headers"], item["rows"], name)
    return pictures.figure(item)


# ---- claims


def claim_list(claims: Iterable[Item], name: Name) -> Html:
    """Claims as a list: whether it held, what was claimed, what was measured, and what was required."""
    return element("ul", *(claim(item, name) for item in claims), class_="claims")


def claim(item: Item, name: Name) -> Html:
    held = bool(item["passed"])
    refuted = item["type"] == "refuted"
    mark = element("span", "✓" if held else "✗", class_="mark", role="img", aria_label="holds" if held else "fails")
    value = element("span", pretty(number(item["measured"])), class_="measured")
    required = element(
        "span", pretty(item["requirement"]), ", so refuted" if refuted and held else "", class_="required"
    )
    numbers = element("span", value, " ", required, class_="numbers")
    problem = element("pre", item["problem"], class_="problem") if item.get("problem") else EMPTY
    said = element("span", marked(item["text"], name), class_="said")
    return element("li", mark, " ", said, " ", numbers, problem, class_=f"claim {'held' if held else 'failed'}")


_POWER = re.compile(r"(?<![\w.])(-?)(\d(?:\.\d+)?)e([+-])0*(\d+)")


def pretty(value: str) -> Html:
    """A number as one prints it: 4.4e-16 as 4.4 × 10⁻¹⁶, 1e-12 as 10⁻¹², +- as ±, - as −."""
    parts: list[Html] = []
    end = 0
    for found in _POWER.finditer(value):
        sign, mantissa, direction, exponent = found.groups()
        parts.append(text(_signs(value[end : found.start()])))
        factor = "" if float(mantissa) == 1 else f"{mantissa} × "
        power = element("sup", ("−" if direction == "-" else "") + exponent)
        parts.append(element("span", ("−" if sign else "") + factor + "10", power, class_="nw"))
        end = found.end()
    return joined([*parts, text(_signs(value[end:]))])


def _signs(value: str) -> str:
    return re.sub(r"(?<![\w.])-(?=\d)", "−", value.replace("+-", "±"))


# ---- notes and tables


def note(said: str, name: Name) -> Html:
    """Paragraphs; lines that are indented further stay as they are."""
    parts = []
    for paragraph in textwrap.dedent(said).strip("\n").split("\n\n"):
        if any(line.startswith(" ") for line in paragraph.splitlines()):
            parts.append(element("pre", paragraph, class_="as-is scrolls", data_label="Output"))
        else:
            parts.append(element("p", marked(paragraph, name), class_="note"))
    return joined(parts)


def marked(said: str, name: Name) -> Html:
    """Plain text in which only `code` means something."""
    return joined(name(part) if k % 2 else part for k, part in enumerate(re.split(r"`([^`\n]+)`", said)))


_NUMERIC = re.compile(r"-|nan|[-+]?(inf|[\d.,]+(e[-+]?\d+)?) ?(%|x|s|ms|us)?( ?\+- ?[\d.,]+ ?%?)?")


def table(title: str, headers: Sequence[str], rows: Sequence[Sequence[Any]], name: Name) -> Html:
    """A table in a box that scrolls by itself; columns of numbers stand to the right."""
    cells = [[number(value) for value in row] for row in rows]
    columns = list(zip(*cells, strict=True)) or [()] * len(headers)
    right = [bool(column) and all(_NUMERIC.fullmatch(value) for value in column) for column in columns]
    classes = ["number" if flush else None for flush in right]
    head = element(
        "tr", *(element("th", header, scope="col", class_=c) for header, c in zip(headers, classes, strict=True))
    )
    body = [
        element(
            "tr",
            *(
                element("td", pretty(value) if c else marked(value, name), class_=c)
                for value, c in zip(row, classes, strict=True)
            ),
        )
        for row in cells
    ]
    caption = element("caption", marked(title, name))
    inside = element("table", caption, element("thead", head), element("tbody", *body))
    return element("div", inside, class_="scrolls measurements", data_label=f"Table: {title}")


# ---- errata


def erratum_box(about: Item, body: Html, name: Name, heading: Html) -> Html:
    """A wrong line of a source: the printed form struck, the right one, and what was measured."""
    rows = [
        element("dt", "Printed"),
        element("dd", element("del", *_lines(about["printed"]))),
        element("dt", "Right"),
        element("dd", element("ins", *_lines(about["right"]))),
    ]
    kind = element("p", f"Erratum: {ERRATUM_KINDS[about['kind']]}", class_=f"kind kind-{about['kind']}")
    return joined([kind, heading, element("dl", *rows, class_="forms"), body])


def _lines(value: str) -> list[Html]:
    return [joined(value.splitlines(), Html("<br>"))]


def summary(items: Sequence[Item]) -> str:
    """What a section amounts to, in a few words: "4 claims hold"."""
    claims = [item for item in items if item["type"] in CLAIMS]
    failed = sum(not item["passed"] for item in claims)
    if failed:
        return f"{failed} of {counted(len(claims), 'claim')} failed"
    return f"{counted(len(claims), 'claim holds', 'claims hold')}" if claims else ""
