"""The formulas of the lessons: every one converts, and the terms of every lesson light in its equations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("latex2mathml", reason="latex2mathml is not installed (extra: site)")
pytest.importorskip("markdown_it", reason="markdown-it-py is not installed (extra: site)")
pytest.importorskip("mdit_py_plugins", reason="mdit-py-plugins is not installed (extra: site)")

from lessons.anatomy import Lesson
from lessons.workbench import catalogue
from lessons.workbench.site.cells import cells
from lessons.workbench.site.prose import Prose

LESSONS = {entry: catalogue.load(entry) for entry in catalogue.entries()}
every_lesson = pytest.mark.parametrize("entry", LESSONS, ids=[entry.name for entry in LESSONS])

# Terms that stand in no equation: those of intermediate results that the text only names, and answers that an
# equation would give away.  They light in the code, in the exercise's table and in the messages.
IN_NO_EQUATION = {
    "backward_passes": "dgamma dbeta x y dimage i_h i_c f_h f_c g_h g_c o c_h c_c",
    "batchnorm": "y itself centre inv_std",
    "rnn": "x_direct x_time h0_direct h0_time wxh_direct wxh_time whh_direct whh_time b_direct b_time",
    "source_to_source": "a across up",
}


def path_of(entry: catalogue.Entry) -> Path:
    return Path(__file__).parents[2].joinpath(*entry.module.split(".")).with_suffix(".py")


def terms_of(lesson: Lesson) -> list[str]:
    """The names of all terms of a lesson: those of its steps and those of its exercises' questions."""
    names = [name for part in lesson.parts for name in part.terms]
    for exercise in lesson.exercise_list:
        if exercise.question is not None:
            names += [term.name for terms in exercise.question.terms.values() for term in terms]
    return list(dict.fromkeys(names))


def rendered(entry: catalogue.Entry) -> tuple[Prose, str]:
    """The prose of a lesson, and its HTML."""
    prose = Prose(str(path_of(entry)), terms_of(LESSONS[entry]))
    markdown = [cell for cell in cells(path_of(entry)) if cell.kind == "markdown"]
    return prose, "\n".join(prose.render(cell) for cell in markdown)


@every_lesson
def test_every_formula_converts(entry):
    prose, html = rendered(entry)
    assert prose.problems == []
    assert html.count("<math ") == prose.formulas >= 20
    assert html.count('display="block"') >= 3


@every_lesson
def test_no_formula_is_left_as_text(entry):
    """A dollar outside of code and formulas is LaTeX that nobody read."""
    _, html = rendered(entry)
    text = re.sub(r"<(math|code|pre)\b.*?</\1>", "", html, flags=re.DOTALL)
    assert "$" not in text
    assert re.findall(r"\\[A-Za-z]+", text) == []


@every_lesson
def test_the_terms_of_a_lesson_light_in_its_equations(entry):
    _, html = rendered(entry)
    lit = set(re.findall(r'data-term="([^"]*)"', "".join(re.findall(r"<math .*?</math>", html, flags=re.DOTALL))))
    assert [name for name in terms_of(LESSONS[entry]) if name not in lit] == IN_NO_EQUATION.get(entry.name, "").split()
