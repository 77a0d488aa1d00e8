"""From a function or a string to syntax trees, and what the names in them mean; what is outside the subset is refused.

The subset: numbers and tuples of them, assignments, arithmetic, comparisons, `math` (or NumPy's functions of the same
names, on numbers), `if`, `for` over ranges, `while`, `break`, `continue`, `return`, and calls of functions that are in
the subset too.
"""

from __future__ import annotations

import ast
import inspect
import math
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lessons.systems._source_to_source.errors import SourceNotFound, UnsupportedSyntax
from lessons.systems._source_to_source.pullbacks import is_number_module, primitive_named

# What is refused: the name of a node, what to call it, and what to write instead.
REFUSED: dict[str, tuple[str, str]] = {
    "List": ("a list", "Use separate names, or a tuple of fixed length."),
    "ListComp": ("a list comprehension", "Write a for loop that adds up a number."),
    "GeneratorExp": ("a generator expression", "Write a for loop that adds up a number."),
    "SetComp": ("a set comprehension", "Write a for loop that adds up a number."),
    "DictComp": ("a dict comprehension", "Write a for loop that adds up a number."),
    "Dict": ("a dict", "Give each value a name of its own."),
    "Set": ("a set", "Give each value a name of its own."),
    "Lambda": ("a lambda", "Define a function with def, outside this one."),
    "FunctionDef": ("a function inside a function", "Move it outside and pass it the numbers that it needs."),
    "AsyncFunctionDef": ("an async function", "Write a plain def."),
    "ClassDef": ("a class", "Use numbers and tuples."),
    "Try": ("try", "Ask beforehand, with if, whether the operation is possible."),
    "TryStar": ("try", "Ask beforehand, with if, whether the operation is possible."),
    "Raise": ("raise", "Check the arguments before you call the function."),
    "Assert": ("assert", "Check the arguments before you call the function."),
    "With": ("with", "Do input and output outside the function."),
    "AsyncWith": ("async with", "Do input and output outside the function."),
    "AsyncFor": ("async for", "Write a plain for over a range."),
    "Await": ("await", "Write plain calls."),
    "Yield": ("yield", "Return a number or a tuple."),
    "YieldFrom": ("yield from", "Return a number or a tuple."),
    "Global": ("global", "Pass the value as an argument and return the new one."),
    "Nonlocal": ("nonlocal", "Pass the value as an argument and return the new one."),
    "Import": ("an import inside the function", "Import at the top of the file."),
    "ImportFrom": ("an import inside the function", "Import at the top of the file."),
    "Delete": ("del", "Leave the name alone; what is not used is removed anyway."),
    "Match": ("match", "Write if and elif."),
    "Starred": ("a starred expression", "Write out the elements."),
    "NamedExpr": (":=", "Assign in a line of its own."),
    "JoinedStr": ("an f-string", "Print outside the function."),
    "Slice": ("a slice", "Take single elements of a tuple, by constant positions."),
}


# What the programs that come out call by name.
EMITTED = ("abs", "math", "max", "min", "range")


@dataclass(frozen=True)
class Definition:
    """One function of the program: its tree, and what the names in it stand for outside."""

    tree: ast.FunctionDef
    lines: list[str]
    meaning_of: Callable[[str], Any]  # raises KeyError

    @property
    def parameters(self) -> list[str]:
        return [argument.arg for argument in self.tree.args.args]

    def refuse(self, node: ast.AST, found: str, instead: str) -> UnsupportedSyntax:
        line = getattr(node, "lineno", 1)
        code = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        return UnsupportedSyntax(line, found, instead, code)


def read(function: Callable[..., Any] | str, entry: str | None = None) -> Definition:
    """Read a function, or the function `entry` of a source text (its last one, unless given)."""
    if not isinstance(function, str):
        return _read_function(function)
    tree = _parsed(textwrap.dedent(function))
    lines = textwrap.dedent(function).splitlines()
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if not functions:
        raise UnsupportedSyntax(1, "source text without a function", "Write def NAME(...): and its body.")
    meanings: dict[str, Any] = {"math": math, "np": np, "numpy": np}
    definitions: dict[str, Definition] = {}
    for node in tree.body:
        _read_top_level(node, meanings, lines)

    def meaning_of(name: str) -> Any:
        return definitions[name] if name in definitions else _builtin_or(meanings, name)

    definitions |= {name: Definition(node, lines, meaning_of) for name, node in functions.items()}
    chosen = entry or list(functions)[-1]
    if chosen not in definitions:
        raise ValueError(f"the source text defines {', '.join(functions)}, but no {chosen!r}")
    return checked(definitions[chosen])


def checked(definition: Definition) -> Definition:
    """Refuse what no later pass knows how to handle; returns the definition itself."""
    tree = definition.tree
    arguments = tree.args
    if arguments.vararg or arguments.kwarg:
        raise definition.refuse(tree, "*args or **kwargs", "List the parameters.")
    if arguments.kwonlyargs or arguments.posonlyargs:
        raise definition.refuse(tree, "a parameter with * or / before it", "Use plain parameters.")
    if arguments.defaults:
        raise definition.refuse(tree, "a default value", "Pass every argument in the call.")
    for node in (*arguments.args, *_inside(tree)):
        name = getattr(node, "arg", None) or (
            isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id
        )
        if name in EMITTED:
            raise definition.refuse(
                node, f"{name} as the name of a value", "The gradient program calls it: rename yours."
            )
        if type(node).__name__ in REFUSED:
            raise definition.refuse(node, *REFUSED[type(node).__name__])
        if isinstance(node, (ast.For, ast.While)) and node.orelse:
            raise definition.refuse(node, "else after a loop", "Set a flag in the loop and ask for it afterwards.")
        if isinstance(node, ast.Call) and node.keywords:
            raise definition.refuse(node, "a keyword argument", "Pass the arguments by position.")
    return definition


def _read_function(function: Callable[..., Any]) -> Definition:
    if inspect.ismethod(function) or not inspect.isfunction(function):
        kind = type(function).__name__
        raise TypeError(f"a plain function or its source text is needed, got {kind}: write it with def")
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError) as error:
        raise SourceNotFound(
            f"Python has not kept the source of {function.__name__} (typed at a prompt, or made by exec). "
            "Save it in a file, or pass the source text itself as a string."
        ) from error
    tree = _parsed(source) if function.__name__ != "<lambda>" else None
    node = tree.body[0] if tree is not None else None
    if isinstance(node, (ast.AsyncFunctionDef, ast.ClassDef)):
        raise UnsupportedSyntax(1, *REFUSED[type(node).__name__], source.splitlines()[0])
    if not isinstance(node, ast.FunctionDef):
        raise UnsupportedSyntax(1, "a lambda", "Define a function with def.", source.splitlines()[0])
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))

    def meaning_of(name: str) -> Any:
        if name in cells:
            return cells[name].cell_contents
        return _builtin_or(function.__globals__, name)

    return checked(Definition(node, source.splitlines(), meaning_of))


def _read_top_level(node: ast.stmt, meanings: dict[str, Any], lines: list[str]) -> None:
    """Take imports and constants from around the functions of a source text, without running any of it."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name not in ("math", "numpy"):
                raise UnsupportedSyntax(node.lineno, f"import {alias.name}", "Only math and numpy are known here.")
            meanings[alias.asname or alias.name] = math if alias.name == "math" else np
    elif isinstance(node, ast.ImportFrom) and node.module in ("math", "numpy"):
        module = math if node.module == "math" else np
        meanings.update({alias.asname or alias.name: getattr(module, alias.name) for alias in node.names})
    elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
        meanings.update({target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)})
    elif not isinstance(node, ast.FunctionDef) and not (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ):
        kind, instead = REFUSED.get(type(node).__name__, ("code outside the functions", "Keep to def and imports."))
        raise UnsupportedSyntax(node.lineno, kind, instead, lines[node.lineno - 1])


def _builtin_or(meanings: dict[str, Any], name: str) -> Any:
    if name in meanings:
        return meanings[name]
    builtin = {"abs": abs, "max": max, "min": min, "float": float, "int": int, "pow": pow, "range": range}
    return builtin[name]


def called(definition: Definition, call: ast.Call) -> str | Definition:
    """What a call calls: the name of a primitive, or another function of the program."""
    function = call.func
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        module = _meaning(definition, function.value)
        if not is_number_module(module):
            raise definition.refuse(call, "a method", "Call a function of math, or one of your own.")
        value = getattr(module, function.attr, None)
    elif isinstance(function, ast.Name):
        value = _meaning(definition, function)
    else:
        raise definition.refuse(call, "a call of a computed function", "Call a function by its name.")
    primitive = primitive_named(value)
    if primitive is not None:
        return primitive
    if isinstance(value, Definition):
        return checked(value)
    if inspect.isfunction(value) and value.__module__ != "math" and not value.__module__.startswith("numpy"):
        return _read_function(value)
    named = ast.unparse(function)
    raise definition.refuse(
        call, f"{named}, which has no pullback here", "Write it with + - * / ** and the functions of math."
    )


def number_outside(definition: Definition, node: ast.Name) -> float | int | bool:
    """The value of a number that is defined outside the function; it is read once, now."""
    value = _meaning(definition, node)
    if isinstance(value, (bool, int, float)):
        return value
    kind = type(value).__name__
    raise definition.refuse(
        node,
        f"{node.id}, a {kind} from outside the function",
        "Pass what is needed of it as arguments: only numbers are taken from outside.",
    )


def _meaning(definition: Definition, node: ast.Name) -> Any:
    try:
        return definition.meaning_of(node.id)
    except (KeyError, ValueError):
        raise definition.refuse(node, f"{node.id}, which is not defined", "Assign it before, or import it.") from None


def _parsed(source: str) -> ast.Module:
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise UnsupportedSyntax(
            error.lineno or 1, f"text that is not Python ({error.msg})", "Correct it first.", error.text or ""
        ) from None


def _inside(tree: ast.FunctionDef) -> Iterator[ast.AST]:
    for statement in tree.body:
        yield from ast.walk(statement)
