"""The gradient of an op as a formula, made from the code of its vjps: to be printed (`formula_latex`) and computed.

engine_code     the code            formula_tree    mathematics as a tree, and its value
formula_scope   from one to the other               formula_latex   from the tree to LaTeX
"""

from __future__ import annotations

import ast
import inspect
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lessons.workbench.site.engine_code import Derivative, function_tree
from lessons.workbench.site.formula_scope import NoFormula, Scope
from lessons.workbench.site.formula_tree import Node, Several, Symbol


@dataclass(frozen=True)
class Result:
    """What a vjp returns for one input."""

    symbol: Symbol
    meaning: Node


@dataclass(frozen=True)
class Signature:
    """The parameters of a vjp by what they are: ``cotangent, output, *inputs, **attributes``."""

    cotangent: str
    output: str
    inputs: tuple[str, ...]
    attributes: tuple[str, ...]
    many: str | None = None  # the name of *inputs


@dataclass(frozen=True)
class Formula:
    """The gradients of some inputs of an op.  ``joint`` is one call that returns several of them together."""

    signature: Signature
    results: tuple[Result, ...]
    joint: Node | None = None

    def nodes(self) -> list[Node]:
        """The right sides, in order."""
        return [r.meaning for r in self.results] if self.joint is None else [self.joint]


def formula_of(op: Any, module: types.ModuleType, derivative: Derivative) -> Formula:
    """The formula of an op's vjps.

    Raises:
        NoFormula: where the code is more than that; the message says why, to be read after "because".
    """
    inputs, many = _inputs(op)
    if derivative.joint is not None:
        return _joint(module, derivative.joint, inputs, many)
    results, signature = [], None
    for i, code in enumerate(derivative.vjps):
        if isinstance(code, ast.Constant):  # an input without a gradient
            continue
        home, function = _function(module, code)
        own = _signature(function.args, inputs, many)
        signature = signature or own
        names = dict(zip(own.inputs, signature.inputs, strict=False))
        meaning = _translate(home, function, own, names | {own.cotangent: signature.cotangent})
        results.append(Result(Symbol(signature.inputs[i], "input"), meaning))
    assert signature is not None
    return Formula(signature, tuple(results))


def _joint(module: types.ModuleType, code: ast.expr, inputs: int, many: bool) -> Formula:
    if isinstance(code, ast.Call):
        raise NoFormula("the tape differentiates a formula written in ops")
    home, function = _function(module, code)
    signature = _signature(function.args, inputs, many)
    meaning = _translate(home, function, signature, {})
    if isinstance(meaning, Several):
        pairs = zip(signature.inputs, meaning.parts, strict=True)
        return Formula(signature, tuple(Result(Symbol(name, "input"), part) for name, part in pairs))
    return Formula(signature, (), meaning)


def expression_of(module: types.ModuleType, code: ast.expr) -> tuple[Sequence[str], Node]:
    """The parameters and the value of a function or lambda that is a formula itself, such as the argument of `vjp_of`.

    Raises:
        NoFormula: as `formula_of`.
    """
    home, function = _function(module, code)
    names = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    scope = Scope(home, {n: Symbol(n, "input") for n in names})
    return names, scope.run(function)


def _inputs(op: Any) -> tuple[int, bool]:
    """How many inputs an op has, and whether there may be any number of them."""
    parameters = inspect.signature(op.forward).parameters.values()
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional), any(p.kind == p.VAR_POSITIONAL for p in parameters)


def _function(module: types.ModuleType, code: ast.expr) -> tuple[types.ModuleType, ast.FunctionDef | ast.Lambda]:
    """The function that a piece of code names, and the module where it is written."""
    if isinstance(code, ast.Lambda):
        return module, code
    if isinstance(code, ast.Name):
        value = module.__dict__[code.id]
        home = inspect.getmodule(value) or module
        tree = function_tree(home, value.__name__)
        if tree is not None:
            return home, tree
    raise NoFormula("the tape differentiates a formula written in ops")


def _signature(arguments: ast.arguments, inputs: int, many: bool) -> Signature:
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    if len(names) < 2:  # `step(g, *values, **attrs)`
        return Signature(names[0], "out", ("x", "y", "z")[:inputs], ())
    attributes = (*names[2 + inputs :], *(a.arg for a in arguments.kwonlyargs))
    attributes += (arguments.kwarg.arg,) if arguments.kwarg else ()
    starred = arguments.vararg.arg if arguments.vararg and many else None
    given = names[2 : 2 + inputs]
    if arguments.vararg and not many and not given:
        starred = arguments.vararg.arg
    return Signature(names[0], names[1], tuple(given), attributes, starred)


def _translate(
    module: types.ModuleType,
    function: ast.FunctionDef | ast.Lambda,
    signature: Signature,
    renamed: Mapping[str, str],
) -> Node:
    names: dict[str, Node] = {
        signature.cotangent: Symbol(renamed.get(signature.cotangent, signature.cotangent), "cotangent"),
        signature.output: Symbol(signature.output, "output"),
        **{n: Symbol(renamed.get(n, n), "input") for n in signature.inputs},
        **{n: Symbol(n, "attribute") for n in signature.attributes},
    }
    if signature.many:
        names[signature.many] = Symbol(signature.many, "input")
    return Scope(module, names).run(function)
