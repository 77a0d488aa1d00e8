"""Which lesson needs which, as a drawing with links: subjects from top to bottom, what comes after to the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lessons.anatomy import Lesson
from lessons.anatomy.text import counted
from lessons.workbench.site.anchors import lesson_url
from lessons.workbench.site.markup import EMPTY, Html, element, joined

BOX_WIDTH, BOX_HEIGHT = 196, 38
COLUMN, ROW = 262, 50  # from one box to the next
LABELS = 124  # room for the subjects at the left
BAND_GAP = 14  # between two subjects
EDGE = 6


@dataclass(frozen=True)
class Spot:
    """The upper left corner of a lesson's box."""

    x: int
    y: int


def depths(lessons: Sequence[Lesson]) -> dict[str, int]:
    """How many lessons stand one after the other before each; needs that are not among ``lessons`` do not count.

    Needs that run in a circle are cut where the circle is met again.
    """
    known = {lesson.name: lesson for lesson in lessons}
    found: dict[str, int] = {}

    def depth(name: str, above: frozenset[str]) -> int:
        if name not in found:
            needs = [need for need in known[name].needs if need in known and need not in above]
            deepest = max((depth(need, above | {name}) for need in needs), default=-1)
            if above:
                return deepest + 1
            found[name] = deepest + 1
        return found[name]

    return {lesson.name: depth(lesson.name, frozenset()) for lesson in lessons}


def lesson_map(subjects: Sequence[tuple[str, Sequence[Lesson]]]) -> Html:
    """The map of lessons, given by subject.  Empty where no lesson needs another: then there is nothing to see."""
    lessons = [lesson for _, of_subject in subjects for lesson in of_subject]
    column = depths(lessons)
    if max(column.values(), default=0) == 0:
        return EMPTY
    bands, spots, height = _layout(subjects, column)
    width = LABELS + COLUMN * max(column.values()) + BOX_WIDTH + EDGE
    arrows = [_arrow(spots[need], spots[lesson.name]) for lesson in lessons for need in lesson.needs if need in spots]
    drawing = element(
        "svg",
        element("title", "Which lesson needs which", id="map-title"),
        element("g", *bands, class_="bands"),
        element("g", *arrows, class_="arrows", aria_hidden="true"),
        *(_box(lesson, spots[lesson.name]) for lesson in lessons),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        class_="map",
        role="group",
        aria_labelledby="map-title",
    )
    return element("div", drawing, class_="scrolls map-box", data_label="Map of the lessons")


def _layout(
    subjects: Sequence[tuple[str, Sequence[Lesson]]], column: Mapping[str, int]
) -> tuple[list[Html], dict[str, Spot], int]:
    """The bands with the subjects' names, where each lesson stands, and the height of it all."""
    bands: list[Html] = []
    spots: dict[str, Spot] = {}
    top = EDGE
    for subject, lessons in subjects:
        filled: dict[int, int] = {}
        for lesson in lessons:
            place = column[lesson.name]
            spots[lesson.name] = Spot(LABELS + COLUMN * place, top + ROW * filled.get(place, 0))
            filled[place] = filled.get(place, 0) + 1
        band = ROW * max(filled.values())
        bands.append(element("text", subject.capitalize(), x=0, y=top + BOX_HEIGHT // 2, dy="0.35em"))
        if top > EDGE:
            line = top - (ROW - BOX_HEIGHT + BAND_GAP) // 2
            bands.append(element("line", x1=0, x2="100%", y1=line, y2=line))
        top += band + BAND_GAP
    return bands, spots, top - BAND_GAP - (ROW - BOX_HEIGHT) + EDGE


def _arrow(start: Spot, end: Spot) -> Html:
    """From the right side of what is needed to the left side of what needs it; the last pixels are the arrow's head."""
    x1, y1, x2, y2 = start.x + BOX_WIDTH, start.y + BOX_HEIGHT // 2, end.x, end.y + BOX_HEIGHT // 2
    bend = (COLUMN - BOX_WIDTH) * 2 // 3
    curve = f"M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2 - 5} {y2}"
    return joined([element("path", d=curve), element("path", d=f"M{x2} {y2}l-8-4v8z", class_="tip")])


def _box(lesson: Lesson, spot: Spot) -> Html:
    facts = f"{lesson.title}: {counted(len(lesson.exercise_list), 'exercise')}"
    return element(
        "a",
        element("title", facts),
        element("rect", x=spot.x, y=spot.y, width=BOX_WIDTH, height=BOX_HEIGHT, rx=7),
        element("text", lesson.name, x=spot.x + BOX_WIDTH // 2, y=spot.y + BOX_HEIGHT // 2, dy="0.35em"),
        href=lesson_url(lesson),
    )
