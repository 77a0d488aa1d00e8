"""Lessons as notebooks: what is exported, and that it runs from top to bottom."""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from pathlib import Path

import pytest

from lessons.anatomy import Lesson, Run
from lessons.workbench import catalogue, cli, notebook
from lessons.workbench.errors import UsageError
from lessons.workbench.site.fingerprint import source_file

MISSING = 'not installed: pip install "minigrad[notebook]"'
pytest.importorskip("jupytext", reason=f"jupytext is {MISSING}")
nbformat = pytest.importorskip("nbformat", reason=f"nbformat is {MISSING}")

ROOT = Path(__file__).resolve().parents[2]
TOY = ROOT / "tests" / "lessons" / "toy.py"
LESSONS = catalogue.all_lessons()
every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=[lesson.name for lesson in LESSONS])


def cells_of_file(path: Path) -> list[tuple[str, str]]:
    """The cells of a percent-format file, read in the plainest way: kind and what is in them, without blank lines."""
    found: list[tuple[str, list[str]]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# %%"):
            found.append(("markdown" if "[markdown]" in line else "code", []))
        elif found:
            kind, lines = found[-1]
            lines.append(line.removeprefix("#").removeprefix(" ") if kind == "markdown" else line)
    return [(kind, squeezed("\n".join(lines))) for kind, lines in found]


def squeezed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


@every_lesson
def test_the_export_has_the_cells_of_the_lesson_in_order(lesson):
    text = notebook.exported(lesson)
    book = nbformat.reads(text, as_version=4)
    nbformat.validate(book)
    assert json.loads(text)["nbformat_minor"] == 5
    assert book.metadata.kernelspec == {"display_name": "Python 3", "language": "python", "name": "python3"}

    extra = [cell for cell in book.cells if "lesson.cell_size" in cell.source]
    assert [cell.cell_type for cell in extra] == ["code"]
    before = book.cells[book.cells.index(extra[0]) - 1]
    assert "lesson = Lesson(" in before.source
    own = [cell for cell in book.cells if cell is not extra[0]]
    want = cells_of_file(source_file(lesson))
    assert [cell.cell_type for cell in own] == [kind for kind, _ in want]
    for cell, (_, source) in zip(own, want, strict=True):
        assert squeezed(cell.source).removesuffix(";") == source
    assert all(cell.outputs == [] and cell.execution_count is None for cell in book.cells if cell.cell_type == "code")

    assert len({cell.id for cell in book.cells}) == len(book.cells)
    assert notebook.exported(lesson) == text, "the same bytes each time"


def test_a_function_at_the_end_of_a_cell_is_not_shown():
    assert notebook._ends_with_a_function('x = 1\nlesson.variant("a", "b")(lambda x: x)')
    for quiet in ("", "# nothing", "lesson.smaller_slips([])", "x = f(1)(2)", "def f(): pass"):
        assert not notebook._ends_with_a_function(quiet)


# ---- the command


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_writes_the_notebook_and_says_where(here, capsys):
    assert cli.main(["notebook", "tape"]) == 0
    assert "tape.ipynb" in capsys.readouterr().out
    assert (here / "tape.ipynb").read_text(encoding="utf-8") == notebook.exported(catalogue.find("tape"))
    assert cli.main(["notebook", str(TOY), "--out", "deep/other.ipynb"]) == 0
    assert "lesson.cell_size" in (here / "deep" / "other.ipynb").read_text(encoding="utf-8")
    assert {path.name for path in here.rglob("*.*")} == {"tape.ipynb", "other.ipynb"}


def test_what_exists_is_kept_unless_forced(here, capsys):
    (here / "tape.ipynb").write_text("my work")
    assert cli.main(["notebook", "tape"]) == cli.UNUSABLE
    said = capsys.readouterr().err
    assert "tape.ipynb exists" in said
    assert "--force" in said
    assert (here / "tape.ipynb").read_text() == "my work"
    assert cli.main(["notebook", "tape", "--force"]) == 0
    assert (here / "tape.ipynb").read_text() != "my work"


def test_a_folder_that_cannot_be_written_is_our_error(here, capsys):
    (here / "file").write_text("")
    assert cli.main(["notebook", "tape", "--out", "file/tape.ipynb"]) == cli.UNUSABLE
    assert "cannot write file/tape.ipynb" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["jupytext", "nbformat"])
def test_without_the_extra_it_says_what_to_install(here, capsys, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UsageError, match=rf'{missing}.*pip install "minigrad\[notebook\]"'):
        notebook.exported(catalogue.find("tape"))
    assert cli.main(["notebook", "tape"]) == cli.UNUSABLE
    assert list(here.iterdir()) == []


# ---- cells that run


def as_main(source: str, monkeypatch) -> Lesson:
    """Execute a lesson as a notebook does: its functions belong to `__main__`."""
    names = {"__name__": "__main__"}
    exec(compile(source, str(TOY), "exec"), names)
    return names["lesson"]


def test_cells_run_at_the_size_that_the_lesson_has(capsys, monkeypatch):
    source = TOY.read_text(encoding="utf-8")
    sizes = []
    monkeypatch.setattr("lessons.anatomy.lesson.Run", lambda size: sizes.append(size) or Run(size))
    as_main(source, monkeypatch)
    assert sizes == ["quick"], "one run for all parts"
    sizes.clear()
    lesson = as_main(source.replace("@lesson.step", 'lesson.cell_size = "full"\n\n\n@lesson.step', 1), monkeypatch)
    assert sizes == ["full"]
    assert len(lesson.parts) == 5
    assert "FAIL" not in capsys.readouterr().out


def executed(lesson: Lesson, monkeypatch):
    """The notebook of a lesson after a fresh kernel has executed it."""
    nbclient = pytest.importorskip("nbclient", reason=f"nbclient is {MISSING}")
    if importlib.util.find_spec("ipykernel") is None:
        pytest.skip(f"ipykernel is {MISSING}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    book = nbformat.reads(notebook.exported(lesson), as_version=4)
    nbclient.NotebookClient(book, kernel_name="python3", timeout=None).execute()
    return book


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")  # of the Jupyter client itself
def test_the_export_runs_from_top_to_bottom(monkeypatch):
    lesson = catalogue.find("tape")
    book = executed(lesson, monkeypatch)
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert {output.output_type for output in outputs} == {"stream", "display_data"}, "no error, and no stray value"
    assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    text = "".join(output.text for output in outputs if output.output_type == "stream")
    for part in lesson.parts:
        assert part.title in text
    for exercise in lesson.exercise_list:
        assert f"{exercise.name}: ok" in text
    assert "FAIL" not in text
    assert "ERROR" not in text
    figures = [output for output in outputs if output.output_type == "display_data"]
    assert len(figures) == 3
    assert all("image/png" in output.data for output in figures)


def test_every_cell_is_python_by_itself():
    for lesson in LESSONS:
        for cell in nbformat.reads(notebook.exported(lesson), as_version=4).cells:
            if cell.cell_type == "code":
                ast.parse(cell.source)
