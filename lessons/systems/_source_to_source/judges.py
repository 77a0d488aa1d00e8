"""Two other ways to the gradient of a program given as source text: minigrad's tape, and differences of its values."""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np


def value(source: str, *arguments: float, entry: str = "f") -> float:
    """Run the program as it is."""
    return _executed(ast.parse(source), {})[entry](*arguments)


def tape_gradient(source: str, *arguments: float, entry: str = "f") -> np.ndarray:
    """Run the program on minigrad's tensors, and go back along the tape."""
    return on_the_tape(source, entry)(*arguments)


def on_the_tape(source: str, entry: str = "f") -> Callable[..., np.ndarray]:
    """The same as a function of the arguments, with the program read once."""
    import minigrad as mg

    # x += y would write into x, and a tape must keep what it has recorded.
    tree = ast.fix_missing_locations(_WrittenOut().visit(ast.parse(source)))
    function = _executed(tree, {"math": _TapeMath()})[entry]

    def gradient(*arguments: float) -> np.ndarray:
        leaves = [mg.tensor(argument, dtype=mg.float64, requires_grad=True) for argument in arguments]
        result = function(*leaves)
        if not isinstance(result, mg.Tensor) or not result.requires_grad:
            return np.zeros(len(leaves))
        shares = mg.autograd.grad(result, leaves, allow_unused=True)
        return np.array([0.0 if share is None else share.item() for share in shares])

    return gradient


def difference_gradient(source: str, *arguments: float, entry: str = "f", step: float = 2e-4) -> np.ndarray | None:
    """Central differences, extrapolated after Richardson; None where a neighbour takes another way through branches."""
    here = branches_taken(source, *arguments, entry=entry)
    run = _executed(ast.parse(source), {})[entry]
    found = []
    for place in range(len(arguments)):
        moved = [list(arguments) for _ in range(4)]
        for point, distance in zip(moved, (step, -step, step / 2, -step / 2), strict=True):
            point[place] += distance
        if any(branches_taken(source, *point, entry=entry) != here for point in moved[:2]):
            return None
        far_up, far_down, near_up, near_down = (run(*point) for point in moved)
        found.append((4 * (near_up - near_down) / step - (far_up - far_down) / (2 * step)) / 3)
    return np.array(found)


def branches_taken(source: str, *arguments: float, entry: str = "f") -> list[bool]:
    """The outcome of every comparison in a run of the program, in order: it tells two ways through it apart."""
    outcomes: list[bool] = []

    def seen(outcome: bool) -> bool:
        outcomes.append(bool(outcome))
        return outcome

    watched = {
        "seen": seen,
        "max": lambda *xs: functools.reduce(lambda x, y: y if seen(y > x) else x, xs),
        "min": lambda *xs: functools.reduce(lambda x, y: y if seen(y < x) else x, xs),
        "abs": lambda x: -x if seen(x < 0) else x,
    }
    tree = ast.fix_missing_locations(_Watched().visit(ast.parse(source)))
    _executed(tree, watched)[entry](*arguments)
    return outcomes


class _TapeMath:
    """math for tensors; numbers stay numbers."""

    def __getattr__(self, called: str) -> Any:
        import minigrad as mg

        if not callable(getattr(math, called)):
            return getattr(math, called)  # pi

        def call(*arguments: Any) -> Any:
            if not any(isinstance(argument, mg.Tensor) for argument in arguments):
                return getattr(math, called)(*arguments)
            tensors = (a if isinstance(a, mg.Tensor) else mg.tensor(float(a), dtype=mg.float64) for a in arguments)
            return getattr(mg, called)(*tensors)

        return call


class _WrittenOut(ast.NodeTransformer):
    def visit_AugAssign(self, node: ast.AugAssign) -> ast.stmt:
        assert isinstance(node.target, ast.Name)
        current = ast.Name(node.target.id, ast.Load())
        return ast.copy_location(ast.Assign([node.target], ast.BinOp(current, node.op, node.value)), node)


class _Watched(ast.NodeTransformer):
    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        return ast.copy_location(ast.Call(ast.Name("seen", ast.Load()), [node], []), node)


def _executed(tree: ast.Module, names: dict[str, Any]) -> dict[str, Any]:
    namespace = {"math": math, **names}
    exec(compile(tree, "<program>", "exec"), namespace)
    return namespace
