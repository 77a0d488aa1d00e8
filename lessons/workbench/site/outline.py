"""What each piece of a lesson's code is for: an exercise, a step, an erratum, drawing, imports, or plain code."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lessons.workbench.site.cells import Cell

PARTS = frozenset({"step", "erratum", "experiment", "compare"})
WIRING = frozenset({"question", "mistake", "variant", "consequence", "check"})


@dataclass(frozen=True)
class Piece:
    """Lines ``first`` to ``last`` of the file, and what they are.

    ``kind`` is "part" or "exercise" (``name`` is its function's), "imports", "drawing" (makes a figure), "wiring"
    (questions, wrong versions and variants, declared for the check), or "code".
    """

    kind: str
    first: int
    last: int
    name: str = ""

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def pieces(cells: Sequence[Cell], tree: ast.Module) -> dict[Cell, list[Piece]]:
    """The pieces of each code cell.  Comments belong to what follows them; neighbours of one kind are one piece.

    A cell that declares wrong versions, and has neither part nor exercise, is wiring as a whole: its functions are
    what the wrong versions are made of.
    """
    found: dict[Cell, list[Piece]] = {}
    slips = itertools.count()
    for cell in cells:
        if cell.kind != "code":
            continue
        inside = [node for node in tree.body if cell.line <= node.lineno <= cell.last]
        kinds = [_kind(node, slips) for node in inside]
        names = {kind for kind, _ in kinds}
        if "wiring" in names and not names & {"part", "exercise"}:
            kinds = [("wiring", "")] * len(inside)
        found[cell] = list(_pieces(cell, inside, kinds))
    return found


def _pieces(cell: Cell, nodes: Sequence[ast.stmt], kinds: Sequence[tuple[str, str]]) -> Iterator[Piece]:
    first = cell.line
    for (kind, name), group in itertools.groupby(zip(kinds, nodes, strict=True), key=lambda pair: pair[0]):
        *_, (_, node) = group
        assert node.end_lineno is not None
        last = cell.last if node is nodes[-1] else node.end_lineno
        yield Piece(kind, _first_with_text(cell, first), last, name)
        first = last + 1
    if not nodes:
        yield Piece("code", cell.line, cell.last)


def _first_with_text(cell: Cell, line: int) -> int:
    lines = cell.text.split("\n")
    return next(k for k in range(line, cell.last + 1) if lines[k - cell.line].strip())


def _kind(node: ast.stmt, slips: Iterator[int]) -> tuple[str, str]:
    """The kind of a statement, and for a part or an exercise its name.

    ``slips`` counts the calls of `smaller_slips`, which make a part without a function of this module.
    """
    if _is_import(node):
        return "imports", ""
    called = set(_lesson_calls(node))
    if "smaller_slips" in called:
        return "part", f"smaller slips {next(slips)}"
    if isinstance(node, ast.FunctionDef):
        if "exercise" in called:
            return "exercise", node.name
        if called & PARTS:
            return "part", node.name
        if not called and _draws(node):
            return "drawing", ""
    return ("wiring", "") if called & WIRING else ("code", "")


def _is_import(node: ast.stmt) -> bool:
    """Imports, also those for type checkers alone, and ``lesson = Lesson(...)``."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        return isinstance(node.value.func, ast.Name) and node.value.func.id == "Lesson"
    return isinstance(node, (ast.Import, ast.ImportFrom))


def _lesson_calls(node: ast.AST) -> Iterator[str]:
    """The methods of ``lesson`` that a statement calls, in decorators or anywhere inside."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.value, ast.Name) and inner.value.id == "lesson":
            yield inner.attr


def _draws(node: ast.FunctionDef) -> bool:
    """Whether a function makes a figure, or draws into one: by its annotations."""
    annotations = [node.returns, *(arg.annotation for arg in node.args.args)]
    words = {
        inner.id if isinstance(inner, ast.Name) else inner.attr
        for annotation in annotations
        if annotation is not None
        for inner in ast.walk(annotation)
        if isinstance(inner, (ast.Name, ast.Attribute))
    }
    return bool(words & {"Figure", "Axes"})
