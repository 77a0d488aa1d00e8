"""The index of the search: which words stand in which titles, headings, exercises, terms, errata and names.

It is a script that sets one global, `MINIGRAD_SEARCH`, because a page that is opened from a file may load scripts but
must not read files.  A page's search box (assets/search.js) loads it when it is first used, and does the searching:

    pages    [url, title] of each page
    entries  [page, anchor, text, kind] of each place that can be found; anchor "" is the page itself
    words    each word, folded, with the numbers of the entries that it finds
    skipped  words that find nothing, because they are everywhere
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from lessons.workbench.screen import ascii_for
from lessons.workbench.site.anchors import fold
from lessons.workbench.site.markup import Page

GLOBAL = "MINIGRAD_SEARCH"

SKIPPED = frozenset(re.findall(r"\w+", "a an and are as at be by for from in is it its of on or that the this to with"))

_NAME = re.compile(r"\w+")
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # between the parts of CamelCase


class Entry(NamedTuple):
    """A place that can be found: its page's number, its anchor there, what is shown, and of what kind it is."""

    page: int
    anchor: str
    text: str
    kind: str


def index_script(pages: Iterable[Page]) -> str:
    """The script that sets `GLOBAL` to the index of these pages."""
    return f"globalThis.{GLOBAL}={json.dumps(build_index(pages), ensure_ascii=False, separators=(',', ':'))};\n"


def build_index(pages: Iterable[Page]) -> dict[str, Any]:
    """The index as plain values."""
    pages = list(pages)
    entries = [entry for number, page in enumerate(pages) for entry in _entries(number, page)]
    words: dict[str, list[int]] = {}
    for number, entry in enumerate(entries):
        own_name = "" if entry.anchor else PurePosixPath(pages[entry.page].url).stem  # "rnn" finds rnn.html
        for word in words_of(f"{entry.text} {own_name}"):
            words.setdefault(word, []).append(number)
    return {
        "pages": [[page.url, page.title] for page in pages],
        "entries": entries,
        "words": dict(sorted(words.items())),
        "skipped": sorted(SKIPPED),
    }


def _entries(number: int, page: Page) -> Iterator[Entry]:
    """What can be found in a page, each place once for each text.

    A function's page is found by the names that it marks, not by its headings, which all these pages share.
    """
    found = {(mark.anchor, _line(mark.text)): mark.kind for mark in page.marks}
    found.setdefault(("", _line(page.title)), page.kind)
    if all(mark.kind != "function" or mark.anchor for mark in page.marks):
        for anchor, text in page.headings:
            found.setdefault((anchor, _line(text)), "section")
    return (Entry(number, anchor, text, kind) for (anchor, text), kind in found.items())


def _line(text: str) -> str:
    return " ".join(text.split())


def words_of(text: str) -> set[str]:
    """The words that find a text, folded, without those that are everywhere.

    A name counts by its parts and without what is between them: "batch norm" and "batchnorm" both find ``batch_norm``
    and ``BatchNorm``.  Greek letters count by their names, too.
    """
    found: set[str] = set()
    for name in _NAME.findall(text):
        found |= {name.replace("_", ""), *(part for word in _WORD.findall(name) for part in _HUMP.split(word))}
    found |= {ascii_for(letter) for letter in text if unicodedata.name(letter, "").startswith("GREEK")}
    # Folding may bring out signs that end a word, as in a fraction that is one character: "1/2".
    return {word for piece in found for word in _WORD.findall(fold(piece))} - SKIPPED
