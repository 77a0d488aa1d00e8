"""Plain-text layout: widths that count what is seen, tables, and an optional touch of colour."""

from __future__ import annotations

import itertools
import math
import re
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Style:
    """How to mark text; every mark is the escape code of a terminal, or nothing."""

    colour: bool = False

    def _mark(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def good(self, text: str) -> str:
        return self._mark("32", text)

    def bad(self, text: str) -> str:
        return self._mark("1;31", text)

    def bold(self, text: str) -> str:
        return self._mark("1", text)

    def dim(self, text: str) -> str:
        return self._mark("2", text)

    def struck(self, text: str) -> str:
        return self._mark("9", text)


PLAIN = Style()

NARROWEST = 12  # no column of a table is wrapped to less
_LIKE_A_NUMBER = re.compile(r"-|nan|[-+]?(inf|[\d.,]+(e[-+]?\d+)?) ?(%|x|s|ms|us)?")


def width_of(text: str) -> int:
    """How many columns of a terminal ``text`` fills: accents over a letter none, wide characters two."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def padded(text: str, width: int, right: bool = False) -> str:
    space = " " * max(0, width - width_of(text))
    return space + text if right else text + space


def number(value: Any) -> str:
    """A measured value as it is shown: three significant digits for floats, everything else as it is."""
    if value is None:
        return "-"
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (float, np.floating)):
        return f"{value:.3g}" if math.isfinite(value) else str(float(value))
    return str(value)


def counted(count: int, singular: str, plural: str = "") -> str:
    """``count`` with its noun: "1 figure", "2 figures"."""
    return f"{count} {singular if count == 1 else plural or singular + 's'}"


def wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    """Paragraphs of ``text`` filled to ``width``; lines that are indented further stay as they are."""
    lines: list[str] = []
    for paragraph in textwrap.dedent(text).strip("\n").split("\n\n"):
        if lines:
            lines.append("")
        if any(line.startswith(" ") for line in paragraph.splitlines()):
            lines += [indent + line for line in paragraph.splitlines()]
        else:
            lines += textwrap.wrap(
                paragraph,
                max(width, 20),
                initial_indent=indent,
                subsequent_indent=indent,
                break_long_words=False,
            )
    return lines


def table_lines(
    headers: Sequence[str], rows: Sequence[Sequence[Any]], width: int = 100, indent: str = "  "
) -> list[str]:
    """A table with its columns aligned: numbers to the right, text to the left.

    When the table is wider than ``width``, the cells of its widest columns are wrapped.
    """
    cells = [[number(value) for value in row] for row in rows]
    columns = [list(column) for column in zip(headers, *cells, strict=True)]
    flush = [len(column) > 1 and all(_LIKE_A_NUMBER.fullmatch(text) for text in column[1:]) for column in columns]
    widths = [max(map(width_of, column)) for column in columns]
    while sum(widths) + 2 * (len(widths) - 1) + len(indent) > width and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    lines = []
    for row in [list(headers), ["-" * column for column in widths], *cells]:
        wrapped_cells = [textwrap.wrap(text, column) or [""] for text, column in zip(row, widths, strict=True)]
        for parts in itertools.zip_longest(*wrapped_cells, fillvalue=""):
            placed = (padded(*cell) for cell in zip(parts, widths, flush, strict=True))
            lines.append((indent + "  ".join(placed)).rstrip())
    return lines
