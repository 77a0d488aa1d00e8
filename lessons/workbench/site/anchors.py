"""The names of pages and of places in them: the terminal, the pages and the search all take them from here."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lessons.anatomy import Lesson


def lesson_url(lesson: Lesson | str) -> str:
    """The page of a lesson, given as itself or by its name: ``batchnorm.html``."""
    return f"{lesson if isinstance(lesson, str) else lesson.name}.html"


def api_url(name: str) -> str:
    """The page of a public function by its name: ``api/nn.functional.conv2d.html``."""
    return f"api/{name}.html"


def part_anchor(name: str) -> str:
    """The place of a step, erratum, experiment or comparison in its lesson's page: the name of its function."""
    return _plain(name)


def exercise_anchor(name: str) -> str:
    """The place of an exercise in its lesson's page: ``exercise-forward``."""
    return f"exercise-{_plain(name)}"


def term_anchor(name: str) -> str:
    """The place where a term is first explained in its lesson's page: ``term-var``."""
    return f"term-{_plain(name)}"


def slug(text: str) -> str:
    """An anchor made of a heading: lower-case letters without accents, digits, and one ``-`` for all between them.

    ``Step 2: through $\\hat{x}$`` becomes ``step-2-through-hat-x``, and a heading without a letter ``section``.
    """
    folded = fold(text)
    words = "".join(
        c if c.isalnum() else " " for c in folded.replace("'", "").replace("\N{RIGHT SINGLE QUOTATION MARK}", "")
    )
    return "-".join(words.split()) or "section"


def fold(text: str) -> str:
    """``text`` without case and accents, as `slug` and the search compare it: "Éléments" becomes "elements"."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return plain.casefold()  # again, because what a sign is composed of may be capital letters


def unique(anchor: str, taken: set[str]) -> str:
    """``anchor``, with ``-2``, ``-3``, ... added where it is taken already; adds the result to ``taken``."""
    number, free = 1, anchor
    while free in taken:
        number += 1
        free = f"{anchor}-{number}"
    taken.add(free)
    return free


def _plain(name: str) -> str:
    """A name with ``-`` for whatever could not stand in a link without being encoded or ending it."""
    return "".join(c if c.isalnum() or c in "_.-" else "-" for c in name)
