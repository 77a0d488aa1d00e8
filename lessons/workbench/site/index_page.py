"""The first page: what there is to learn, by subject, with the map of what to read before what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lessons.anatomy import Lesson
from lessons.anatomy.text import counted
from lessons.workbench.overview import by_subject
from lessons.workbench.site.anchors import lesson_url
from lessons.workbench.site.exercises import commands
from lessons.workbench.site.figures import Thumbnail
from lessons.workbench.site.lesson_map import lesson_map
from lessons.workbench.site.markup import EMPTY, SITE, Html, Page, element, joined
from lessons.workbench.site.runs import StoredRun


@dataclass(frozen=True)
class Card:
    """What the first page says of a lesson beyond what it declares: its run, minutes to read it, and a picture."""

    lesson: Lesson
    run: StoredRun
    minutes: int
    picture: Thumbnail | None


def index_page(cards: Sequence[Card]) -> Page:
    """The first page of a site of these lessons."""
    of_lesson = {card.lesson.name: card for card in cards}
    subjects = by_subject([card.lesson for card in cards])
    drawing = lesson_map(subjects)
    body = [_head(cards)]
    if drawing:
        body += [
            element("h2", "What to read before what", id="map"),
            element("p", "Each lesson can be read by itself; an arrow comes from what makes it easier."),
            drawing,
        ]
    for subject, lessons in subjects:
        body.append(element("h2", subject.capitalize(), id=subject))
        body.append(element("ul", *(_card(of_lesson[lesson.name], of_lesson) for lesson in lessons), class_="cards"))
    headings = [("map", "What to read before what")] if drawing else []
    headings += [(subject, subject.capitalize()) for subject, _ in subjects]
    description = "Deep learning rebuilt in lessons that run: derivations, exercises that are checked, measured claims."
    return Page("index.html", SITE, joined(body, "\n"), headings, description=description, kind="index")


def _head(cards: Sequence[Card]) -> Html:
    return element(
        "header",
        element("h1", "Understand deep learning by rebuilding it"),
        element(
            "p",
            "Derivations from well-known texts, step by step, and each step is checked by a number where it stands. "
            "Where a text is wrong, the page shows how wrong. Then you write the derivation yourself, and are told "
            "which of its terms is not right yet.",
            class_="headline",
        ),
        element(
            "ul", *(element("li", element("b", number), f" {what}") for number, what in _counts(cards)), class_="counts"
        ),
        commands("minigrad", "in a terminal begins the exercises; it answers every time you save"),
        class_="head",
    )


def _counts(cards: Sequence[Card]) -> Iterator[tuple[str, str]]:
    def each(number: int, one: str, many: str = "") -> tuple[str, str]:
        value, _, noun = counted(number, one, many).partition(" ")
        return f"{int(value):,}", noun

    yield each(len(cards), "lesson")
    yield each(sum(len(card.lesson.exercise_list) for card in cards), "exercise")
    yield each(sum(card.run.report["claims"] for card in cards), "measured claim")
    yield each(sum(len(card.lesson.errata) + len(card.lesson.slips) for card in cards), "erratum", "errata")


def _card(card: Card, others: Mapping[str, Card]) -> Html:
    lesson = card.lesson
    url = lesson_url(lesson)
    picture = EMPTY
    if card.picture is not None:  # the title is the link; what the picture shows is told in the lesson
        picture = element(
            "img", src=card.picture.url, alt="", width=card.picture.width, height=card.picture.height, loading="lazy"
        )
    facts = [f"{card.minutes} min", counted(len(lesson.exercise_list), "exercise")]
    errata = len(lesson.errata) + len(lesson.slips)
    if errata:
        facts.append(counted(errata, "erratum", "errata"))
    needs = [element("a", others[n].lesson.title, href=lesson_url(n)) for n in lesson.needs if n in others]
    after = element("p", "After ", joined(needs, ", "), class_="about") if needs else EMPTY
    failed = card.run.report["claims_failed"]
    bad = element("p", f"{counted(failed, 'claim')} failed in this run", class_="bad") if failed else EMPTY
    return element(
        "li",
        element("div", picture, class_="picture"),
        element("h3", element("a", lesson.title, href=url)),
        element("p", lesson.headline),
        element("p", element("code", lesson.name), " · ", " · ".join(facts), class_="about"),
        after,
        bad,
        class_="card",
    )
