"""A lesson's file as cells: what stands between the marks ``# %%`` and ``# %% [markdown]``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lessons.workbench.errors import UsageError

_MARK = re.compile(r"# %%(?P<title>.*)")


@dataclass(frozen=True)
class Cell:
    """One cell.  ``kind`` is "markdown" or "code"; ``line`` is the line of the file in which ``text`` begins."""

    kind: str
    text: str
    line: int

    @property
    def last(self) -> int:
        """The line of the file in which the text ends."""
        return self.line + self.text.count("\n")


def cells(path: Path | str) -> list[Cell]:
    """The cells of a file in percent format, without the empty ones.

    Prose loses its ``# ``, and every cell the empty lines around it.  Text before the first mark is code.  Raises
    `UsageError`, with file and line, for a line of prose that is no comment: it would be missing from the page.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    marks = [k for k, line in enumerate(lines) if _MARK.fullmatch(line)]
    bounds = zip([-1, *marks], [*marks, len(lines)], strict=True)
    found = [_cell(path, lines, mark, end) for mark, end in bounds]
    return [cell for cell in found if cell.text]


def _cell(path: Path | str, lines: list[str], mark: int, end: int) -> Cell:
    title = lines[mark].removeprefix("# %%").strip() if mark >= 0 else ""
    kind = "markdown" if title.startswith("[markdown]") else "code"
    first = mark + 1
    while first < end and not _without_comment(kind, lines[first]).strip():
        first += 1
    while end > first and not _without_comment(kind, lines[end - 1]).strip():
        end -= 1
    for k in range(first, end):
        if kind == "markdown" and lines[k] and not lines[k].startswith("#"):
            raise UsageError(f"{path}:{k + 1}: a line of prose must begin with '#'; it is {lines[k]!r}")
    return Cell(kind, "\n".join(_without_comment(kind, line) for line in lines[first:end]), first + 1)


def _without_comment(kind: str, line: str) -> str:
    return line.removeprefix("#").removeprefix(" ").rstrip() if kind == "markdown" else line.rstrip()
