"""A public function as it is written: where, how it is called, and its source."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lessons.workbench.site.api_catalogue import Public, plain
from lessons.workbench.site.engine_code import function_tree, module_tree


@dataclass(frozen=True)
class Source:
    """A piece of a file: its text without the docstring, its first and its last line."""

    path: str  # from the repository's root: "minigrad/ops/elementwise.py"
    text: str
    first: int
    last: int


LONGEST_CLASS = 30  # lines; of a longer one, a page shows the method that computes

# --- source -----------------------------------------------------------------------------------------------------------


@functools.cache
def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def piece(module: types.ModuleType, first: int, last: int, without: ast.stmt | None = None) -> Source:
    assert module.__file__ is not None
    lines = _lines(module.__file__)
    kept = [
        lines[n - 1]
        for n in range(first, last + 1)
        if without is None or not (without.lineno <= n <= (without.end_lineno or n))
    ]
    path = module.__name__.replace(".", "/") + ("/__init__.py" if module.__file__.endswith("__init__.py") else ".py")
    return Source(path, textwrap.dedent("\n".join(kept)), first, last)


def definition(home: types.ModuleType, written: str) -> ast.FunctionDef | ast.ClassDef | None:
    """The syntax tree of a function, a class or a method ("Tensor.backward")."""
    owner, _, name = written.rpartition(".")
    classes = {n.name: n for n in module_tree(home).body if isinstance(n, ast.ClassDef)}
    if not owner:
        return function_tree(home, name) or classes.get(name)
    return _method_tree(classes[owner], name) if owner in classes else None


def _method_tree(tree: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    return next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == name), None)


def source_of(home: types.ModuleType, written: str) -> Source | None:
    """A function as it stands in its file, with decorators, without docstring."""
    node = definition(home, written)
    if node is None:
        return None
    if isinstance(node, ast.ClassDef) and (node.end_lineno or 0) - node.lineno > LONGEST_CLASS:
        method = next(
            (m for m in map(functools.partial(_method_tree, node), ("forward", "update", "get_lr", "__iter__")) if m),
            None,
        )
        if method is not None:
            return source_of(home, f"{written}.{method.name}")
    first = min([d.lineno for d in node.decorator_list], default=node.lineno)
    docstring = node.body[0] if ast.get_docstring(node) is not None and len(node.body) > 1 else None
    return piece(home, first, node.end_lineno or first, docstring)


# --- signatures -------------------------------------------------------------------------------------------------------


def signature(public: Public) -> str:
    """How it is called, with defaults and types; on one line, or a line for each parameter where that is too long."""
    node = _constructor(public.function) if public.is_class else definition(public.home, public.written)
    if not isinstance(node, ast.FunctionDef):
        return f"{public.short}()" if public.is_class else f"{public.short}{inspect.signature(plain(public.function))}"
    arguments = [*_parameters(node.args)]
    if public.is_class or public.name.startswith("Tensor."):  # called as x.name(...)
        arguments = arguments[1:]
    quiet = public.is_class or node.returns is None or _says_nothing(node.returns)
    returns = "" if quiet or node.returns is None else f" -> {ast.unparse(node.returns)}"
    if public.is_op:  # it works on arrays, and is called with tensors
        arguments = [a.replace(": Array", ": Tensor") for a in arguments]
        returns = returns.replace("Array", "Tensor")
    line = f"{public.short}({', '.join(arguments)}){returns}"
    if len(line) <= 72:
        return line
    return "\n".join([f"{public.short}(", *(f"    {a}," for a in arguments), f"){returns}"])


def _constructor(kind: type) -> ast.FunctionDef | None:
    """The `__init__` of a class, its own or that of the class from which it has it."""
    for base in kind.__mro__:
        home = inspect.getmodule(base)
        if "__init__" in vars(base) and home is not None:
            if not home.__name__.startswith("minigrad."):
                return None
            found = definition(home, f"{base.__name__}.__init__")
            return found if isinstance(found, ast.FunctionDef) else None
    return None


def _says_nothing(annotation: ast.expr) -> bool:
    return isinstance(annotation, ast.Name) and annotation.id == "Any"


def _parameters(args: ast.arguments) -> Iterator[str]:
    """The parameters as they are written, with / and *."""
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + list(args.defaults)
    for i, (parameter, default) in enumerate(zip(positional, defaults, strict=True)):
        yield _parameter(parameter, default)
        if args.posonlyargs and i == len(args.posonlyargs) - 1:
            yield "/"
    if args.vararg:
        yield "*" + _parameter(args.vararg, None)
    elif args.kwonlyargs:
        yield "*"
    for parameter, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        yield _parameter(parameter, default)
    if args.kwarg:
        yield "**" + _parameter(args.kwarg, None)


def _parameter(parameter: ast.arg, default: ast.expr | None) -> str:
    kind = "" if parameter.annotation is None else f": {ast.unparse(parameter.annotation)}"
    value = "" if default is None else f" = {ast.unparse(default)}" if kind else f"={ast.unparse(default)}"
    return f"{parameter.arg}{kind}{value}"
