"""Where the built site lies, and where in it a wrong term is explained, as the terminal prints it."""

from __future__ import annotations

from pathlib import Path

from lessons.anatomy import Lesson, Outcome
from lessons.workbench import catalogue
from lessons.workbench.site.anchors import lesson_url, term_anchor

FOLDER = Path("minigrad-site")  # where `minigrad site` builds unless told otherwise


def place_of(lesson: Lesson, outcome: Outcome) -> str | None:
    """The place in the site that explains the first wrong term of an outcome: ``batchnorm.html#term-var``.

    None where no term is known to be wrong, and for a lesson in a file of its own: `minigrad site` does not build it.
    """
    terms = getattr(outcome.diagnosis, "terms", ())
    if outcome.passed or not terms or all(entry.name != lesson.name for entry in catalogue.entries()):
        return None
    return f"{lesson_url(lesson)}#{term_anchor(terms[0])}"


def place_line(place: str | None) -> str:
    """One line that leads to a place: a link if it has been built, else the command that builds it; "" for None."""
    if place is None:
        return ""
    page, _, anchor = place.partition("#")
    if _has(FOLDER / page, anchor):
        return f"On the page: {(FOLDER / page).resolve().as_uri()}#{anchor}"
    return f"On the page: {place} (`minigrad site` builds it)"


def _has(page: Path, anchor: str) -> bool:
    """Whether a page is there and has the place; one that was built from an older lesson may not."""
    try:
        return f' id="{anchor}"'.encode() in page.read_bytes()
    except OSError:
        return False
