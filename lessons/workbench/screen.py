"""Standard output and error as they really are: any encoding, with or without colour, wide or narrow."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import shutil
import sys
import unicodedata
from collections.abc import Iterator
from typing import TextIO

from lessons.anatomy.text import PLAIN, Style

ERRORS = "minigrad-ascii"  # the name of our codec error handler

_ASCII = {
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{MIDDLE DOT}": "*",
    "\N{DOT OPERATOR}": "*",
    "\N{MINUS SIGN}": "-",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{NOT EQUAL TO}": "!=",
    "\N{ALMOST EQUAL TO}": "~",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{SQUARE ROOT}": "sqrt",
    "\N{N-ARY SUMMATION}": "sum",
    "\N{PARTIAL DIFFERENTIAL}": "d",
    "\N{INFINITY}": "inf",
}


@contextlib.contextmanager
def any_encoding() -> Iterator[None]:
    """Let every character be printed: one that the terminal's encoding lacks is spelled in ASCII."""
    codecs.register_error(ERRORS, _spell)
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors=ERRORS)
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            with contextlib.suppress(ValueError, OSError):  # closed, or its reader has gone
                stream.reconfigure(errors=errors)


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(map(ascii_for, text)), error.end


def ascii_for(character: str) -> str:
    """The nearest ASCII spelling of one character: ``gamma`` for a Greek letter, "" for a bare accent."""
    if character in _ASCII:
        return _ASCII[character]
    if unicodedata.combining(character):
        return ""
    name = unicodedata.name(character, "")
    if name.startswith("GREEK SMALL LETTER "):
        return name.split()[-1].lower()
    if name.startswith("GREEK CAPITAL LETTER "):
        return name.split()[-1].title()
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return plain or "?"


def is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def is_dumb() -> bool:
    """Whether the terminal knows no codes: ``TERM`` says so, or says nothing where every terminal has it."""
    kind = os.environ.get("TERM", "")
    return kind == "dumb" or (not kind and os.name == "posix")


def style() -> Style:
    """Colour for a terminal, unless ``NO_COLOR`` is set to anything or the terminal is dumb."""
    plain = os.environ.get("NO_COLOR") or is_dumb() or not is_terminal(sys.stdout)
    return PLAIN if plain else Style(colour=True)


def width() -> int:
    """Columns to fill: those of the terminal, at most 110; 100 when there is none."""
    return max(40, min(110, shutil.get_terminal_size((100, 24)).columns))
