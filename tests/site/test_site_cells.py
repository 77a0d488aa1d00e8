"""A lesson's file as cells with their lines, and what each piece of their code is for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from lessons.workbench import catalogue
from lessons.workbench.errors import UsageError
from lessons.workbench.site.cells import Cell, cells
from lessons.workbench.site.fingerprint import source_file
from lessons.workbench.site.outline import pieces

FILE = """\
# %% [markdown]
# # Title
#
# Prose with  two spaces.

# %%
import numpy as np

lesson = Lesson(name="toy")

# %% [markdown]
# %%


# A comment of the function.
@lesson.exercise(hint="h")
def solve(x):
    return x


def draw_it(x) -> Figure:
    return x


@lesson.step("S")
def step(run):
    pass


x = 1
# %%
@lesson.mistake("solve", "m")
def wrong(x):
    return -x
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lesson.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_cells_have_kind_text_and_the_lines_of_the_file(tmp_path: Path) -> None:
    found = cells(written(tmp_path, FILE))
    assert [cell.kind for cell in found] == ["markdown", "code", "code", "code"]  # the empty one is left out
    assert found[0] == Cell("markdown", "# Title\n\nProse with  two spaces.", 2)
    lines = FILE.splitlines()
    for cell in found[1:]:
        assert cell.text.splitlines() == [line.rstrip() for line in lines[cell.line - 1 : cell.last]]


def test_text_before_the_first_mark_is_code(tmp_path: Path) -> None:
    assert cells(written(tmp_path, "x = 1\n# %%\ny = 2\n")) == [Cell("code", "x = 1", 1), Cell("code", "y = 2", 3)]
    assert cells(written(tmp_path, "")) == []


def test_prose_that_is_no_comment_is_refused_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "# %% [markdown]\n# fine\nforgotten = 1\n")
    with pytest.raises(UsageError, match=r"lesson\.py:3: a line of prose must begin with '#'"):
        cells(path)


def test_pieces_are_what_their_decorators_say(tmp_path: Path) -> None:
    found = cells(written(tmp_path, FILE))
    outline = pieces(found, ast.parse(FILE))
    kinds = [[(piece.kind, piece.name) for piece in outline[cell]] for cell in found[1:]]
    assert kinds == [
        [("imports", "")],
        [("exercise", "solve"), ("drawing", ""), ("part", "step"), ("code", "")],
        [("wiring", "")],
    ]
    exercise = outline[found[2]][0]
    assert FILE.splitlines()[exercise.first - 1].startswith("# A comment of the function.")
    assert FILE.splitlines()[exercise.last - 1] == "    return x"


@pytest.mark.parametrize("name", [entry.name for entry in catalogue.entries()])
def test_no_line_of_a_lesson_is_lost(name: str) -> None:
    """Every line of code lies in exactly one piece, and every part and exercise of the lesson is found."""
    lesson = catalogue.find(name)
    path = source_file(lesson)
    source = path.read_text(encoding="utf-8")
    found = cells(path)
    outline = pieces(found, ast.parse(source))
    of_pieces = [k for some in outline.values() for piece in some for k in range(piece.first, piece.last + 1)]
    assert len(of_pieces) == len(set(of_pieces))
    of_cells = {k for cell in found if cell.kind == "code" for k in range(cell.line, cell.last + 1)}
    lines = source.splitlines()
    assert {k for k in of_cells if lines[k - 1].strip()} <= set(of_pieces)
    named = {piece.name for some in outline.values() for piece in some}
    assert {exercise.name for exercise in lesson.exercise_list} <= named
    parts = [part.name for part in lesson.parts if not part.name.startswith("smaller_slips")]
    # Parts that are made in a loop or by a helper have no function of their own in the file.
    assert {part for part in parts if f"def {part}(" in source} <= named
