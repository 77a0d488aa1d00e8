"""Progress bars on standard error, one line each, for people who watch; silence for everybody else."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from lessons.anatomy.run import ShowProgress
from lessons.anatomy.text import width_of
from lessons.workbench.screen import is_terminal

EVERY = 0.1  # seconds between two drawings
CELLS = 30  # longest bar


def bars(stream: TextIO) -> ShowProgress | None:
    """A function for `Run.progress` that draws on ``stream``; None when it cannot show a moving line."""
    return Bars(stream).show if moves(stream) else None


def moves(stream: TextIO) -> bool:
    """Whether a line on ``stream`` can be redrawn in place."""
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


class Bars:
    """Draws the outermost loop only: a bar inside a bar would overwrite it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.busy = False

    def show(self, iterable: Iterable[Any], description: str, total: int | None) -> Iterator[Any]:
        if self.busy:
            yield from iterable
            return
        self.busy = True
        line = Line(self.stream, description, total)
        try:
            for item in iterable:
                yield item
                line.advance()
        finally:
            self.busy = False
            line.close()


class Line:
    """One bar: redrawn in place while it moves, left standing when it is closed."""

    def __init__(self, stream: TextIO, description: str, total: int | None) -> None:
        self.stream = stream
        self.description = description
        self.total = total
        self.done = 0
        self.start = time.monotonic()
        self.next_drawing = self.start
        self._draw()

    def advance(self, by: int = 1) -> None:
        self.done += by
        if time.monotonic() >= self.next_drawing:
            self._draw()

    def rename(self, description: str) -> None:
        """Say what is being done now."""
        self.description = description
        self._draw()

    def close(self) -> None:
        self._draw()
        self.stream.write("\n")
        self.stream.flush()

    def _draw(self) -> None:
        now = time.monotonic()
        self.next_drawing = now + EVERY
        columns = _columns(self.stream)
        text = bar_text(self.description, self.done, self.total, now - self.start, columns, fancy(self.stream))
        self.stream.write("\r" + text + " " * max(0, columns - 1 - width_of(text)))
        self.stream.flush()


class Transfer:
    """The progress of files that arrive: a bar each on a terminal, otherwise one line that names it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.moving = moves(stream)
        self.name = ""
        self.line: Line | None = None

    def __enter__(self) -> Transfer:
        return self

    def __exit__(self, *exc: object) -> None:
        self._finish()

    def report(self, name: str, done: int, total: int | None) -> None:
        """``done`` of ``total`` bytes of the file ``name`` have arrived."""
        if name != self.name:
            self._finish()
            self.name = name
            if self.moving:
                self.line = Line(self.stream, f"{name}, kB", None if total is None else total // 1000)
            else:
                print(name, file=self.stream)
        if self.line is not None:
            self.line.advance(done // 1000 - self.line.done)

    def _finish(self) -> None:
        if self.line is not None:
            self.line.close()
            self.line = None


def bar_text(description: str, done: int, total: int | None, seconds: float, columns: int, fancy: bool) -> str:
    """One bar as text, always narrower than ``columns`` so that the terminal does not wrap it."""
    if total:
        share = min(1.0, done / total)
        left = f", {seconds / share - seconds:.0f} s left" if 0 < share < 1 else ""
        count = f" {done}/{total}  {seconds:.0f} s{left}"
    else:
        share, count = 0.0, f" {done}  {seconds:.0f} s"
    room = columns - 1 - width_of(count)
    if total and room >= 20:
        cells = min(CELLS, room // 2)
        full = int(share * cells)
        block, rest = ("\N{FULL BLOCK}", "\N{LIGHT SHADE}") if fancy else ("#", "-")
        count = f" {block * full}{rest * (cells - full)}{count}"
        room -= cells + 1
    shown = description
    while width_of(shown) > max(room, 0):
        shown = shown[:-1]
    text = shown + count
    return text if width_of(text) < columns else text[: max(0, columns - 1)]


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def fancy(stream: TextIO | None) -> bool:
    """Whether blocks and the like can be written there."""
    if stream is None:
        return False
    try:
        "\N{FULL BLOCK}\N{LIGHT SHADE}".encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
