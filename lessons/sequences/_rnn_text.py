"""The text of the lesson `rnn`: Python's own documentation, as blocks of symbols, some of them held out."""

from __future__ import annotations

import importlib
import platform
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from lessons.data.errors import DataError

ALPHABET = "\n abcdefghijklmnopqrstuvwxyz0123456789_.,:;'\"()[]{}*=<>-+/|"
BUDGET = 300_000  # characters; Python 3.10 and newer ship more, each version a different text
BLOCK = 1_500
_PLAIN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-"})
_NUMBER = {character: number for number, character in enumerate(ALPHABET)}


class Text(NamedTuple):
    """Blocks of symbols (numbers of ALPHABET), shape (blocks, BLOCK), and how much of the source was said before."""

    train: np.ndarray
    test: np.ndarray
    repeated: float
    python: str


def documentation(module: str = "pydoc_data.topics") -> Mapping[str, str]:
    """Load what `help()` prints about the language, by topic.

    Raises:
        DataError: this Python comes without it.
    """
    try:
        return dict(importlib.import_module(module).topics)
    except ImportError:
        raise DataError(
            f"{module} is missing: this Python has been stripped of the text of help(). "
            "The lesson rnn reads it; use a complete CPython, from python.org, conda, or your system's packages."
        ) from None


def paragraphs(topics: Mapping[str, str]) -> list[str]:
    """Split the topics, in alphabetical order, into paragraphs of one line each that use ALPHABET only.

    Lower case; spaces and line breaks become one space; lines without a letter (rules under titles) are left out.
    """
    found = []
    for name in sorted(topics):
        for part in re.split(r"\n\s*\n", topics[name].translate(_PLAIN).lower()):
            lines = [line for line in part.splitlines() if re.search("[a-z]", line)]
            words = " ".join(lines).split()
            found.append("".join(c for c in " ".join(words) if c in _NUMBER))
    return [paragraph for paragraph in found if paragraph]


def as_symbols(text: str) -> np.ndarray:
    """Return the number of each character in ALPHABET, int64."""
    return np.array([_NUMBER[character] for character in text], dtype=np.int64)


def as_text(symbols: np.ndarray) -> str:
    """Return the characters that the symbols stand for."""
    return "".join(ALPHABET[symbol] for symbol in symbols)


def load_text(topics: Mapping[str, str] | None = None, keep_repeated: bool = False) -> Text:
    """Cut the first BUDGET characters into blocks, and hold out every fifth.

    A paragraph that stood in an earlier topic is left out, unless `keep_repeated`: topics contain each other, so that
    the held-out blocks would else be full of sentences from the training blocks.

    Raises:
        DataError: there is no such text in this Python, or too little.
    """
    every = paragraphs(documentation() if topics is None else topics)
    first = list(dict.fromkeys(every))
    total = sum(map(len, every))
    text = "\n".join(every if keep_repeated else first)
    if len(text) < BUDGET:
        raise DataError(
            f"pydoc_data.topics of Python {platform.python_version()} has {len(text)} characters without repetitions; "
            f"the lesson rnn needs {BUDGET}. Any CPython from 3.10 on has them."
        )
    blocks = as_symbols(text[:BUDGET]).reshape(-1, BLOCK)
    held_out = np.arange(len(blocks)) % 5 == 4
    return Text(
        train=blocks[~held_out],
        test=blocks[held_out],
        repeated=1 - sum(map(len, first)) / total,
        python=platform.python_version(),
    )
