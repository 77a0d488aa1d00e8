"""The line that leads from a failed check to the page: right before and after the site is built, silent otherwise."""

from __future__ import annotations

import urllib.parse
from pathlib import Path
from types import SimpleNamespace

import pytest

from lessons.anatomy import Lesson, Outcome
from lessons.anatomy.homework import check_one
from lessons.anatomy.text import PLAIN, Style
from lessons.workbench import catalogue
from lessons.workbench.cli import main
from lessons.workbench.loop import views
from lessons.workbench.loop.checks import Checked
from lessons.workbench.loop.course import Task
from lessons.workbench.site.places import FOLDER, place_line, place_of

# batchnorm's closed form as many write it first: the var term is divided by N - 1.
WRONG = """
def closed_form_dx(dy, x_hat, gamma, inv_std):
    g = gamma * dy
    return inv_std * (g - g.mean(0) - x_hat * (g * x_hat).sum(0) / (len(dy) - 1))
"""
UNBUILT = "On the page: batchnorm.html#term-var (`minigrad site` builds it)"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lesson() -> Lesson:
    return catalogue.find("batchnorm")


def outcome(status: str, *terms: str) -> Outcome:
    about = SimpleNamespace(status="wrong term", terms=terms, cause="", lines=()) if terms else None
    return Outcome("closed_form_dx", status, (), diagnosis=about)  # type: ignore[arg-type]


def built(page: str) -> Path:
    FOLDER.mkdir()
    path = FOLDER / "batchnorm.html"
    path.write_text(page, encoding="utf-8")
    return path


def test_the_first_wrong_term_has_a_place(lesson: Lesson) -> None:
    assert place_of(lesson, outcome("failed", "var", "mean")) == "batchnorm.html#term-var"


@pytest.mark.parametrize("status", ["failed", "error", "not started", "passed"])
def test_without_a_wrong_term_there_is_none(lesson: Lesson, status: str) -> None:
    assert place_of(lesson, outcome(status)) is None
    assert place_line(None) == ""


def test_a_solved_exercise_has_none(lesson: Lesson) -> None:
    assert place_of(lesson, outcome("passed", "var")) is None


def test_a_lesson_in_a_file_of_its_own_has_no_page(lesson: Lesson) -> None:
    own = Lesson("mine", lesson.title, lesson.subject, lesson.source, lesson.headline)
    assert place_of(own, outcome("failed", "var")) is None


def test_the_line_is_a_link_once_the_place_is_built() -> None:
    assert place_line("batchnorm.html#term-var") == UNBUILT
    page = built('<p><span class="term" id="term-var" data-term="var">var</span>')
    line = place_line("batchnorm.html#term-var")
    parts = urllib.parse.urlsplit(line.removeprefix("On the page: "))
    assert (parts.scheme, parts.fragment) == ("file", "term-var")
    assert Path(urllib.parse.unquote(parts.path)) == page.resolve()


def test_a_page_that_was_built_before_it_had_the_term_is_not_trusted() -> None:
    built('<p id="term-mean">mean</p><p id="term-variance">')
    assert place_line("batchnorm.html#term-var") == UNBUILT


def test_check_says_it_for_what_fails_and_for_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    Path("wrong.py").write_text(WRONG, encoding="utf-8")
    assert main(["check", "batchnorm", "wrong.py"]) == 1
    said = capsys.readouterr().out
    assert f"    {UNBUILT}\n" in said
    assert said.count("On the page") == 1
    Path("wrong.py").write_text(WRONG.replace(" - 1", ""), encoding="utf-8")
    main(["check", "batchnorm", "wrong.py"])
    said = capsys.readouterr().out
    assert "closed_form_dx: ok" in said
    assert "On the page" not in said


def test_the_loop_says_it_dimly_and_to_programs(lesson: Lesson) -> None:
    exercise = lesson.exercise_named("closed_form_dx")
    task = Task(lesson, exercise, Path("homework/batchnorm.py"))
    wrong = next(f for name, f in exercise.mistakes.items() if exercise.expected[name].terms == ("var",))
    failed = Checked(check_one(exercise, wrong), "", 0.1)
    assert views.verdict(task, failed, 1, PLAIN, 100)[-1] == f"  {UNBUILT}"
    assert views.verdict(task, failed, 1, Style(colour=True), 100)[-1] == f"  \x1b[2m{UNBUILT}\x1b[0m"
    assert views.json_verdict(task, failed, 1)["page"] == "batchnorm.html#term-var"
    passed = Checked(check_one(exercise, exercise.solution), "", 0.1)
    assert "On the page" not in "".join(views.verdict(task, passed, 1, PLAIN, 100))
    assert views.json_verdict(task, passed, 1)["page"] is None
