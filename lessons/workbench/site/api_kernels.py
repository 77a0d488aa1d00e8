"""The kernels behind a function, and which versions each has: read from the code that chooses between them."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass

from lessons.workbench.site.api_calls import named_in
from lessons.workbench.site.api_catalogue import by_identity
from lessons.workbench.site.api_code import definition
from lessons.workbench.site.engine_code import function_tree


@dataclass(frozen=True)
class Kernel:
    """An entrance of `kernels`, and whether it goes on to a version compiled for the processor, and for a GPU."""

    name: str
    cpu: bool
    cuda: bool


@functools.cache
def _entrance(name: str) -> Kernel:
    """One entrance: where it goes on is read from its code, which imports a version when it needs it."""
    module = inspect.getmodule(getattr(importlib.import_module("kernels"), name))
    assert module is not None
    imported = {m for tree in _with_helpers(module, name) for n in ast.walk(tree) for m in _imported(n)}
    cpu, cuda = (any(m.startswith(f"kernels.{kind}.") for m in imported) for kind in ("cpu", "cuda"))
    return Kernel(name, cpu, cuda)


def _imported(node: ast.AST) -> Iterator[str]:
    """The modules that an import inside a function names."""
    if isinstance(node, ast.Import):
        yield from (a.name for a in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{a.name}" for a in node.names)


def _with_helpers(module: types.ModuleType, name: str, depth: int = 2) -> Iterator[ast.FunctionDef]:
    tree = function_tree(module, name)
    if tree is None:
        return
    yield tree
    if depth:
        for n in ast.walk(tree):
            if isinstance(n, ast.Name) and n.id != name and function_tree(module, n.id) is not None:
                yield from _with_helpers(module, n.id, depth - 1)


def kernels_of(home: types.ModuleType, written: str) -> tuple[Kernel, ...]:
    """The kernels that a function calls, itself or through private functions."""
    names = (name for module, tree in _private(home, written, set()) for name in _entrances_in(module, tree))
    return tuple(_entrance(name) for name in dict.fromkeys(names))


_ENTRANCES: dict[int, list[str]] = {}  # by the identity of syntax trees, which are kept for good


def _entrances_in(module: types.ModuleType, tree: ast.AST) -> list[str]:
    """The entrances of `kernels` that a piece of code names, as they are or in a module."""
    if id(tree) not in _ENTRANCES:
        all_of = frozenset(importlib.import_module("kernels").__all__)
        found = _ENTRANCES[id(tree)] = []
        for n in ast.walk(tree):
            if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.attr in all_of:
                owner = module.__dict__.get(n.value.id)
                if isinstance(owner, types.ModuleType) and owner.__name__.split(".")[0] == "kernels":
                    found.append(n.attr)
            elif isinstance(n, ast.Name) and n.id in all_of:
                function = module.__dict__.get(n.id)
                if (getattr(function, "__module__", None) or "").startswith("kernels."):
                    found.append(n.id)
    return _ENTRANCES[id(tree)]


def _private(
    home: types.ModuleType, written: str, seen: set[tuple[str, str]]
) -> Iterator[tuple[types.ModuleType, ast.AST]]:
    """A function and the private ones that it calls, each with its module."""
    tree = definition(home, written)
    if tree is None or (home.__name__, written) in seen:
        return
    seen.add((home.__name__, written))
    yield home, tree
    for value in named_in(home, tree):
        if isinstance(value, types.FunctionType) and value.__module__.startswith("minigrad."):
            module = inspect.getmodule(value)
            if module is not None and id(value) not in by_identity():
                yield from _private(module, value.__name__, seen)
