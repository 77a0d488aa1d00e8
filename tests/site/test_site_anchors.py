"""Names of pages and places: what the terminal prints must be what the page has."""

from __future__ import annotations

import subprocess
import sys
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessons.workbench import catalogue
from lessons.workbench.site import anchors


def test_pages_and_places_are_named_as_agreed() -> None:
    assert anchors.lesson_url("batchnorm") == "batchnorm.html"
    assert anchors.lesson_url(catalogue.find("batchnorm")) == "batchnorm.html"
    assert anchors.api_url("nn.functional.conv2d") == "api/nn.functional.conv2d.html"
    assert anchors.part_anchor("the_closed_form") == "the_closed_form"
    assert anchors.exercise_anchor("closed_form_dx") == "exercise-closed_form_dx"
    assert anchors.term_anchor("dx_hat") == "term-dx_hat"
    assert anchors.term_anchor("sum over i") == "term-sum-over-i"


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("Step 2: through $\\hat{x}$, back to $\\sigma^2$", "step-2-through-hat-x-back-to-sigma-2"),
        ("Who's afraid of N - 1?", "whos-afraid-of-n-1"),
        ("Éléments, Straße, \N{LATIN SMALL LIGATURE FI}ne", "elements-strasse-fine"),
        ("What \u03c3 is", "what-\u03c3-is"),
        ("At 20 \N{DEGREE CELSIUS}", "at-20-c"),
        ("...", "section"),
        ("", "section"),
    ],
)
def test_a_heading_becomes_an_anchor(heading: str, expected: str) -> None:
    assert anchors.slug(heading) == expected


@given(st.text())
def test_anchors_hold_nothing_that_ends_or_splits_a_link(text: str) -> None:
    for anchor in (anchors.slug(text), anchors.term_anchor(text), anchors.exercise_anchor(text)):
        assert anchor
        assert not set(anchor) & set(" \t\n\r\f\"'<>&#?/%`")
        assert urllib.parse.urldefrag(f"page.html#{anchor}").fragment == anchor
        assert not anchor.isspace()


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert anchors.slug(anchors.slug(text)) == anchors.slug(text)


def test_a_taken_anchor_is_counted_on() -> None:
    taken: set[str] = set()
    assert [anchors.unique("why", taken) for _ in range(3)] == ["why", "why-2", "why-3"]
    assert anchors.unique("why-2", taken) == "why-2-2"
    assert taken == {"why", "why-2", "why-3", "why-2-2"}


def test_no_two_names_of_a_lesson_share_an_anchor() -> None:
    for lesson in catalogue.all_lessons():
        parts = [part.name for part in lesson.parts]
        exercises = [exercise.name for exercise in lesson.exercise_list]
        terms = {t for part in lesson.parts for t in part.terms}
        terms |= {t.name for e in lesson.exercise_list if e.question for t in e.question.all_terms()}
        found = [
            *map(anchors.part_anchor, parts),
            *map(anchors.exercise_anchor, exercises),
            *map(anchors.term_anchor, terms),
        ]
        assert len(found) == len(set(found)), lesson.name


def test_the_terminal_can_name_places_without_the_libraries_of_the_site() -> None:
    code = "import sys, lessons.workbench.site.anchors; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert not loaded & {"markdown_it", "pygments", "latex2mathml", "numpy", "minigrad"}
