"""From code to mathematics: what a piece of Python means where its names stand for parts of a formula.

What is written is translated, and nothing is simplified away but what changes no value: guards that only raise an
error, branches taken for speed alone (they ask whether a tensor requires grad), terms for outputs at which no gradient
arrived, and choices that another choice has made already (`formula_cases`).
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import math
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lessons.workbench.site.engine_code import function_tree, module_tree
from lessons.workbench.site.formula_cases import cases
from lessons.workbench.site.formula_tree import (
    FUNCTIONS,
    Apply,
    Binary,
    Blocks,
    Code,
    Compared,
    Function,
    Indicator,
    Inverse,
    Item,
    Joined,
    Local,
    Negative,
    Node,
    Not,
    Number,
    Output,
    Reduction,
    Reshaped,
    Several,
    Spread,
    Symbol,
    Transposed,
    Word,
    is_condition,
    words,
)


class NoFormula(Exception):
    """The code is more than one formula: it loops, or branches where only one side is mathematics."""


_SIGNS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.MatMult: "@", ast.Eq: "==",
    ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip
# What the engine calls a function of mathematics: other names of `FUNCTIONS`.
_ALSO = {"sgn": "sign", "_polygamma": "polygamma", "logical_not": "not"}
# Calls and methods after which the same numbers stand in the same places.
_SAME = {"detach", "item", "clone", "copy", "from_array", "_clone", "asarray", "contiguous"}
_CONVERT = {"to", "astype", "type_as"}
_OURS = ("minigrad.", "kernels.")


@dataclass
class Scope:
    """The names that a piece of code can see, and what they stand for."""

    module: types.ModuleType
    names: dict[str, Node]
    depth: int = 0

    # --- statements ---

    def run(self, function: ast.FunctionDef | ast.Lambda) -> Node:
        """What the function returns."""
        if isinstance(function, ast.Lambda):
            return self.expression(function.body)
        return self.block(list(function.body))

    def block(self, statements: list[ast.stmt]) -> Node:
        """What the first of these statements that returns gives back."""
        for i, statement in enumerate(statements):
            match statement:
                case ast.Expr(value=ast.Constant()):  # a docstring
                    continue
                case ast.Return(value=ast.expr() as result):
                    return self.expression(result)
                case ast.Assign(targets=[target], value=meaning):
                    self.assign(target, self.expression(meaning))
                case ast.AnnAssign(target=target, value=ast.expr() as meaning):
                    self.assign(target, self.expression(meaning))
                case ast.If():
                    if _only_raises(statement.body) and not statement.orelse:
                        continue
                    if _returns(statement):
                        return self.branch(statement, statements[i + 1 :])
                    self.choose(statement)
                case ast.For() | ast.While():
                    raise NoFormula("the code has a loop")
                case ast.Raise():
                    raise NoFormula("there is no gradient")
                case _:
                    raise NoFormula("the code does more than compute")
        raise NoFormula("the code does more than compute")

    def branch(self, statement: ast.If, rest: list[ast.stmt]) -> Node:
        """Both ways, as cases: each goes on to the end of the function."""
        if _asks_about_grad(statement.test):  # a short way, for speed
            return self.copy().block([*statement.orelse, *rest])
        condition = self.expression(statement.test)
        if_true = self.copy().block([*statement.body, *rest])
        otherwise = self.copy().block([*statement.orelse, *rest])
        return cases(condition, if_true, otherwise)

    def choose(self, statement: ast.If) -> None:
        """An `if` that only gives names new meanings: each is then one of two."""
        if _asks_what_arrived(statement.test) is not None:
            self.assignments(statement.body if _asks_what_arrived(statement.test) else statement.orelse)
            return
        condition = self.expression(statement.test)
        if_true, otherwise = self.copy(), self.copy()
        for scope, body in ((if_true, statement.body), (otherwise, statement.orelse)):
            scope.assignments(body)
        for name in {**if_true.names, **otherwise.names}:
            a, b = if_true.names.get(name), otherwise.names.get(name)
            if a != b:
                if a is None or b is None:
                    raise NoFormula("a name has a meaning on one side of an `if` only")
                self.names[name] = Local(name, cases(condition, _meaning(a), _meaning(b)))

    def assignments(self, statements: list[ast.stmt]) -> None:
        for statement in statements:
            match statement:
                case ast.Assign(targets=[target], value=meaning):
                    self.assign(target, self.expression(meaning))
                case ast.If():
                    self.choose(statement)
                case _:
                    raise NoFormula("the code does more than compute")

    def copy(self) -> Scope:
        return Scope(self.module, dict(self.names), self.depth)

    def assign(self, target: ast.expr, meaning: Node) -> None:
        if isinstance(target, ast.Name):
            if isinstance(meaning, Symbol):  # another name for the same
                self.names[target.id] = meaning
            else:
                self.names[target.id] = meaning if isinstance(meaning, Several) else Local(target.id, meaning)
        elif isinstance(target, ast.Tuple):
            self.unpack(target, meaning)
        else:
            raise NoFormula("the code changes an array in place")

    def unpack(self, target: ast.Tuple, meaning: Node) -> None:
        if isinstance(meaning, Several) and len(meaning.parts) == len(target.elts):
            for part, value in zip(target.elts, meaning.parts, strict=True):
                self.assign(part, value)
            return
        for i, part in enumerate(target.elts):
            assert isinstance(part, ast.Name)
            if isinstance(meaning, Symbol):
                self.names[part.id] = Output(part.id, meaning, i)
            else:
                self.names[part.id] = Local(part.id, Item(meaning, Code(str(i), {})))

    # --- expressions ---

    def expression(self, node: ast.expr) -> Node:
        """The meaning of an expression."""
        match node:
            case ast.Constant(value=(bool() | str() | None) as word):
                return Word(word)
            case ast.Constant(value=int() | float() as number):
                return Number(number)
            case ast.Name(id=name):
                return self.name(name)
            case ast.Attribute():
                return self.attribute(node)
            case ast.BinOp(left=left, op=ast.BitAnd() | ast.BitOr() as op, right=right):
                word = "and" if isinstance(op, ast.BitAnd) else "or"
                return Joined(word, self.expression(left), self.expression(right))
            case ast.BinOp(left=left, op=ast.Add(), right=right) if _meaning(self.argument(left)) == Number(0):
                return self.expression(right)  # a sum that starts from nothing
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _SIGNS:
                return Binary(_SIGNS[type(op)], self.expression(left), self.expression(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Negative(self.expression(operand))
            case ast.UnaryOp(op=ast.Invert() | ast.Not(), operand=operand):
                return Not(self.expression(operand))
            case ast.Compare():
                return self.comparison(node)
            case ast.BoolOp(op=op, values=parts):
                word = "and" if isinstance(op, ast.And) else "or"
                return functools.reduce(lambda a, b: Joined(word, a, b), [self.expression(p) for p in parts])
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return cases(self.expression(test), self.expression(body), self.expression(orelse))
            case ast.Tuple(elts=parts):
                return Several(tuple(self.expression(p) for p in parts))
            case ast.Dict(keys=keys, values=values) if all(isinstance(k, ast.Constant) for k in keys):
                return Several(tuple(self.expression(v) for v in values), tuple(k.value for k in keys))  # type: ignore[union-attr]
            case ast.GeneratorExp(elt=each, generators=[loop]) if _is_the_same(each, loop.target):
                return self.expression(loop.iter)
            case ast.Subscript(value=whole, slice=index):
                return self.item(self.expression(whole), index)
            case ast.Call():
                return self.call(node)
        raise NoFormula("the code does more than compute")

    def comparison(self, node: ast.Compare) -> Node:
        parts = [self.expression(p) for p in (node.left, *node.comparators)]
        if any(type(op) not in _SIGNS for op in node.ops):
            raise NoFormula("the code does more than compute")
        pairs = [Compared(_SIGNS[type(op)], a, b) for op, a, b in zip(node.ops, parts, parts[1:], strict=False)]
        joined: Node = pairs[0]
        for pair in pairs[1:]:
            joined = Joined("and", joined, pair)
        return joined

    def name(self, name: str) -> Node:
        if name in self.names:
            return self.names[name]
        value = self.module.__dict__.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self.constant(name, value)
        raise NoFormula("the code does more than compute")

    def constant(self, name: str, value: float) -> Node:
        """A number with a name at the top of a module: what is written there, or its digits."""
        for statement in module_tree(self.module).body:
            if not isinstance(statement, ast.Assign):
                continue
            target, meaning = statement.targets[0], statement.value
            if isinstance(target, ast.Tuple) and isinstance(meaning, ast.Tuple):
                pairs = zip(target.elts, meaning.elts, strict=True)
            else:
                pairs = zip([target], [meaning], strict=True)
            for t, m in pairs:
                if isinstance(t, ast.Name) and t.id == name:
                    try:
                        return Scope(self.module, {}).expression(m)
                    except NoFormula:
                        return Number(value, words(name))
        return Number(value)

    def attribute(self, node: ast.Attribute) -> Node:
        if isinstance(node.value, ast.Name) and self.module.__dict__.get(node.value.id) is math:
            return {
                "pi": Number(math.pi, r"\pi"),
                "inf": Number(math.inf, r"\infty"),
                "nan": Number(math.nan, r"\text{nan}"),
            }[node.attr]
        if node.attr in ("_array", "data"):
            return self.expression(node.value)
        if node.attr in ("mT", "T"):
            return Transposed(self.expression(node.value))
        if node.attr in ("ndim", "shape", "dtype", "device"):
            return self.code(node)
        raise NoFormula("the code does more than compute")

    def code(self, node: ast.expr) -> Code:
        """Python that is not mathematics, with the names that it reads."""
        read = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
        return Code(
            ast.unparse(node),
            self.module.__dict__,
            tuple((n, m) for n, m in self.names.items() if n in read and not _means_itself(n, m)),
        )

    def item(self, whole: Node, index: ast.expr) -> Node:
        if isinstance(whole, Several) and isinstance(index, ast.Constant) and isinstance(index.value, int):
            return whole.parts[index.value]
        if isinstance(whole, Code):
            return Code(f"{whole.text}[{_inner(index)}]", whole.module, whole.renamed)
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        adds = all(isinstance(p, ast.Constant) and p.value in (None, Ellipsis) for p in parts)
        code = replace(self.code(index), text=_inner(index))
        return Reshaped("index", whole, (code,)) if adds else Item(whole, code)

    # --- calls ---

    def call(self, node: ast.Call) -> Node:
        func = node.func
        if isinstance(func, ast.Name):
            if func.id in self.names:
                raise NoFormula("the code defines a function")
            return self.known(func.id, self.module.__dict__.get(func.id), node)
        if isinstance(func, ast.Attribute):
            owner = self.module.__dict__.get(func.value.id) if isinstance(func.value, ast.Name) else None
            if isinstance(owner, types.ModuleType) and not (
                isinstance(func.value, ast.Name) and func.value.id in self.names
            ):
                return self.known(func.attr, getattr(owner, func.attr), node)
            return self.method(func, node)
        raise NoFormula("the code calls what it computed")

    def known(self, name: str, function: Any, node: ast.Call) -> Node:
        """The call of a function by its name."""
        plain = _ALSO.get(name, name)
        arguments = node.args
        options = {k.arg: k.value for k in node.keywords}
        if name in _SAME:
            return self.expression(arguments[0])
        if name == "int":
            return self.expression(arguments[0])
        if name in ("len", "eye", "zeros") and (function is None or function in (np.eye, np.zeros)):
            return self.code(node)
        if function is np.count_nonzero:
            return Reduction("sum", Indicator(self.expression(arguments[0])), None, None)
        if name == "cat" and isinstance(arguments[0], ast.List):
            return self.blocks(node)
        if name == "float" or (name in ("float32", "float64") and isinstance(function, type)):
            raise NoFormula("a number is rounded")
        if name in ("_where", "where") and function is not None:
            return self.where(name, node)
        if name in ("_matmul", "matmul"):
            return Binary("@", self.expression(arguments[0]), self.expression(arguments[1]))
        if name == "neg":
            return Negative(self.expression(arguments[0]))
        if name == "_kept" and len(arguments) == 3:
            return Reshaped("kept", self.expression(arguments[0]), tuple(self.code(a) for a in arguments[1:]))
        if name in ("step", "zeros_like"):
            return Reshaped("zeros", self.expression(arguments[0]), ())
        if name == "ones_like":
            return Reshaped("ones", self.expression(arguments[0]), ())
        if name == "sum_to":
            return Reshaped("sum_to", self.expression(arguments[0]), (self.code(options["shape"]),), shown=True)
        if name == "_inverse":
            return Inverse(self.expression(arguments[0]))
        if name == "div" and "rounding_mode" in options:
            if ast.unparse(options["rounding_mode"]) != "'trunc'":
                raise NoFormula("the code does more than compute")
            return Function("truncated_divide", tuple(self.expression(a) for a in arguments))
        if plain in FUNCTIONS and not options:
            return Function(plain, tuple(self.expression(a) for a in arguments))
        return self.helper(function, node)

    def blocks(self, node: ast.Call) -> Node:
        """Matrices side by side and one below the other."""
        parts, dim = node.args
        assert isinstance(parts, ast.List)
        inside = [self.expression(p) for p in parts.elts]
        if ast.unparse(dim) == "-1":
            return Blocks((tuple(inside),))
        if ast.unparse(dim) == "-2" and all(isinstance(b, Blocks) for b in inside):
            return Blocks(tuple(b.rows[0] for b in inside if isinstance(b, Blocks)))
        raise NoFormula("the code does more than compute")

    def where(self, name: str, node: ast.Call) -> Node:
        values = [self.expression(a) for a in node.args]
        if name == "_where":
            condition = self.condition(next(k.value for k in node.keywords if k.arg == "condition"))
            return cases(condition, values[0], values[1])
        return cases(values[0], values[1], values[2])

    def condition(self, node: ast.expr) -> Node:
        try:
            return self.expression(node)
        except NoFormula:
            return self.code(node)

    def helper(self, function: Any, node: ast.Call) -> Node:
        """A function of the engine: what it says in place of the call, if that is a formula, else its name."""
        if not callable(function) or not (getattr(function, "__module__", None) or "").startswith(_OURS):
            raise NoFormula("the code does more than compute")
        if isinstance(function, types.FunctionType) and self.depth < 2:
            try:
                return self.inlined(function, node)
            except NoFormula:
                pass
        return self.applied(getattr(function, "__name__", ""), function, node)

    def inlined(self, function: types.FunctionType, node: ast.Call) -> Node:
        home = inspect.getmodule(function)
        tree = None if home is None else function_tree(home, function.__name__)
        if home is None or tree is None or tree.args.vararg:
            raise NoFormula("the code does more than compute")
        if not function.__name__.startswith("_"):
            raise NoFormula("the code does more than compute")  # a function for others is known by its name
        names: dict[str, Node] = {}
        parameters = [a.arg for a in tree.args.args]
        for parameter, argument in zip(parameters, node.args, strict=False):
            names[parameter] = self.argument(argument)
        for keyword in node.keywords:
            if keyword.arg is None:
                if tree.args.kwarg is None:
                    raise NoFormula("the code does more than compute")
                names[tree.args.kwarg.arg] = self.argument(keyword.value)
            else:
                names[keyword.arg] = self.argument(keyword.value)
        given = zip(reversed(parameters), reversed(tree.args.defaults), strict=False)
        for parameter, default in given:
            names.setdefault(parameter, Scope(home, {}).argument(default))
        return Scope(home, names, self.depth + 1).run(tree)

    def argument(self, node: ast.expr) -> Node:
        """An argument: mathematics where it is, otherwise Python."""
        try:
            return self.expression(node)
        except NoFormula:
            return self.code(node)

    def applied(self, name: str, function: Callable[..., Any], node: ast.Call) -> Node:
        arguments = tuple(
            Spread(self.expression(a.value)) if isinstance(a, ast.Starred) else self.expression(a) for a in node.args
        )
        options: list[tuple[str, Node]] = []
        for keyword in node.keywords:
            option = self.option(keyword.value)
            if keyword.arg is None and isinstance(option, Several):  # a dict that was written out above
                options += zip(option.keys, option.parts, strict=True)
            else:
                options.append((keyword.arg or "**", option))
        return Apply(name, function, arguments, tuple(options))

    def option(self, node: ast.expr) -> Node:
        if isinstance(node, ast.Name) and node.id in self.names:
            return self.names[node.id]
        if isinstance(node, (ast.Constant, ast.BinOp, ast.UnaryOp, ast.Attribute)):
            return self.argument(node)
        return self.code(node)

    def method(self, func: ast.Attribute, node: ast.Call) -> Node:
        """The call of a method: of a tensor, or of the array inside."""
        name, plain = func.attr, _ALSO.get(func.attr, func.attr)
        options = {k.arg: k.value for k in node.keywords}
        operand = self.expression(func.value)
        if name in _SAME:
            return operand
        if name in _CONVERT:
            return Indicator(operand) if is_condition(operand) else operand
        if plain == "not":
            return Not(operand)
        if name in ("sum", "mean", "prod"):
            dims = node.args[0] if node.args else options.get("dim")
            keepdim = node.args[1] if len(node.args) > 1 else options.get("keepdim")
            return Reduction(
                name,
                operand,
                None if dims is None else self.code(dims),
                None if keepdim is None else self.code(keepdim),
            )
        if name == "unsqueeze":
            return _unsqueezed(operand, self.code(node.args[0]))
        if name in ("expand", "reshape", "flip"):
            if any(isinstance(a, ast.Starred) for a in node.args):
                whole = ast.Tuple([copy.deepcopy(a) for a in node.args], ast.Load())
                return Reshaped(name, operand, (self.code(whole),), shown=True)
            return Reshaped(name, operand, tuple(self.code(a) for a in node.args), shown=True)
        if name == "clamp" and list(options) == ["min"]:
            return Function("at_least", (operand, self.expression(options["min"])))
        if plain in FUNCTIONS and not options:
            return Function(plain, (operand, *(self.expression(a) for a in node.args)))
        raise NoFormula("the code does more than compute")


def _means_itself(name: str, meaning: Node) -> bool:
    return isinstance(meaning, Symbol) and meaning.name == name


def _inner(index: ast.expr) -> str:
    """What stands in the brackets."""
    return ast.unparse(ast.Subscript(ast.Name("x", ast.Load()), index, ast.Load()))[2:-1]


def _meaning(node: Node) -> Node:
    return node.meaning if isinstance(node, Local) else node


def _returns(statement: ast.If) -> bool:
    return any(isinstance(n, ast.Return) for n in ast.walk(statement))


def _unsqueezed(operand: Node, dim: Code) -> Node:
    """A vector as a column or a row; a number for each matrix (two new dimensions) is no more than broadcast."""
    if isinstance(operand, Reshaped) and operand.how == "unsqueeze":
        return Reshaped("unsqueeze", Reshaped("unsqueeze", operand.operand, operand.details), (dim,))
    return Reshaped("unsqueeze", operand, (dim,), shown=True)


def _asks_what_arrived(test: ast.expr) -> bool | None:
    """Whether `test` asks if a gradient arrived (True) or did not (False): without one, the terms in question are 0."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _asks_what_arrived(test.operand)
        return None if inner is None else not inner
    return False if isinstance(test, ast.Call) and ast.unparse(test.func) == "absent" else None


def _is_the_same(each: ast.expr, target: ast.expr) -> bool:
    """Whether the element of a comprehension is its variable, as an array or in another dtype."""
    if isinstance(each, ast.Attribute) and each.attr == "_array":
        each = each.value
    elif isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr in _CONVERT:
        each = each.func.value
    return isinstance(each, ast.Name) and isinstance(target, ast.Name) and each.id == target.id


def _only_raises(body: list[ast.stmt]) -> bool:
    return len(body) == 1 and isinstance(body[0], ast.Raise)


def _asks_about_grad(test: ast.expr) -> bool:
    return any(isinstance(n, ast.Attribute) and n.attr == "requires_grad" for n in ast.walk(test))
