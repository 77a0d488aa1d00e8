"""The engine's source as syntax trees: its functions, and what `defvjp` says of each op.  Parsed once and kept."""

from __future__ import annotations

import ast
import functools
import types
from collections.abc import Mapping
from dataclasses import dataclass


@functools.cache
def _parsed(path: str) -> ast.Module:
    with open(path, encoding="utf-8") as file:
        return ast.parse(file.read())


@functools.cache
def module_tree(module: types.ModuleType) -> ast.Module:
    """The syntax tree of a module's source."""
    assert module.__file__ is not None
    return _parsed(module.__file__)


@functools.cache
def _functions(module: types.ModuleType) -> dict[str, ast.FunctionDef]:
    return {n.name: n for n in reversed(module_tree(module).body) if isinstance(n, ast.FunctionDef)}


def function_tree(module: types.ModuleType, name: str) -> ast.FunctionDef | None:
    """A function at the top level of a module; of several with one name the first."""
    return _functions(module).get(name)


@dataclass(frozen=True)
class Derivative:
    """The statement ``op.defvjp(...)`` of an op: where it stands, and the code of each vjp."""

    statement: ast.Expr
    vjps: tuple[ast.expr, ...]  # one for each input, or none
    joint: ast.expr | None


@functools.cache
def derivatives(module: types.ModuleType) -> Mapping[str, Derivative]:
    """The `defvjp` statements of a module by the name of the op."""
    found = {}
    for n in module_tree(module).body:
        call = n.value if isinstance(n, ast.Expr) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "defvjp":
            assert isinstance(n, ast.Expr)
            assert isinstance(call.func.value, ast.Name)
            joint = next((k.value for k in call.keywords if k.arg == "joint"), None)
            found[call.func.value.id] = Derivative(n, tuple(call.args), joint)
    return found
