"""A lesson as a Jupyter notebook: its cells in order, and one more that says how large the runs are.

In a notebook each part of a lesson runs, and each exercise is checked, as soon as its cell is executed; figures appear
below it.  What a lesson imports from `lessons` comes from the installed package.  The same lesson gives the same bytes.
"""

from __future__ import annotations

import argparse
import ast
from pathlib import Path
from typing import Any

from lessons.anatomy import Lesson
from lessons.anatomy.files import write_atomically
from lessons.workbench import catalogue
from lessons.workbench.errors import UsageError
from lessons.workbench.site.fingerprint import source_file

SIZE_CELL = (
    '# How large the runs below are: "quick" takes seconds; "default" is what the lesson is about; "full" is long.\n'
)
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebook(args: argparse.Namespace) -> None:
    """Write the notebook of a lesson.  Raises `UsageError` when the file exists, or cannot be written."""
    lesson = catalogue.find(args.name)
    path = Path(f"{lesson.name}.ipynb") if args.out is None else args.out
    if path.exists() and not args.force:
        raise UsageError(f"{path} exists and may hold your work; --force overwrites it, --out FILE chooses another")
    text = exported(lesson)
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    print(f"Wrote {path}. To open it:  jupyter lab {path}")


def exported(lesson: Lesson) -> str:
    """The notebook of a lesson as the text of its file.  Raises `UsageError` without jupytext."""
    try:
        import jupytext
        import nbformat
    except ImportError as error:
        advice = 'to export notebooks:  pip install "minigrad[notebook]"'
        raise UsageError(f"{error.name or 'jupytext'} is not installed; {advice}") from error

    book: Any = jupytext.reads(source_file(lesson).read_text(encoding="utf-8"), fmt="py:percent")
    place = 1 + next(k for k, cell in enumerate(book.cells) if cell.cell_type == "code" and _declares(cell.source))
    book.cells.insert(place, nbformat.v4.new_code_cell(f'{SIZE_CELL}lesson.cell_size = "quick"'))
    for k, cell in enumerate(book.cells):
        if cell.cell_type == "code" and _ends_with_a_function(cell.source):
            cell.source += ";"  # so that it is not shown
        cell.metadata = {}
        cell.id = f"{lesson.name}-{k:03d}"  # chosen at random otherwise
    book.metadata = METADATA
    book.nbformat_minor = 5  # the first with ids
    return str(nbformat.writes(book)).rstrip("\n") + "\n"


def _declares(source: str) -> bool:
    """Whether a cell holds the lesson's declaration, `lesson = Lesson(...)`."""
    assigned = [node for node in ast.parse(source).body if isinstance(node, (ast.Assign, ast.AnnAssign))]
    targets = [t for node in assigned for t in (node.targets if isinstance(node, ast.Assign) else [node.target])]
    return any(isinstance(target, ast.Name) and target.id == "lesson" for target in targets)


def _ends_with_a_function(source: str) -> bool:
    """Whether the last line is a decorator that is called on the spot, `lesson.variant(...)(function)`."""
    body = ast.parse(source).body
    last = body[-1] if body else None
    return isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and isinstance(last.value.func, ast.Call)
