"""Second pass: every name is assigned once, and every statement does one thing.

A second assignment to `y` makes `y_2`. Where branches meet and where loops begin, the versions are joined. Tuples
vanish here: each of their elements becomes a name of its own.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lessons.systems._source_to_source.errors import UnsupportedSyntax
from lessons.systems._source_to_source.ir import (
    Assign,
    Block,
    Call,
    Carried,
    Fresh,
    Function,
    If,
    Join,
    Loop,
    constant,
    name,
)
from lessons.systems._source_to_source.jumps import one_return
from lessons.systems._source_to_source.pullbacks import is_number_module, key_of
from lessons.systems._source_to_source.reading import Definition, called, number_outside

Value = Any  # an ast.Name, an ast.Constant, a tuple of Values, or Missing


@dataclass(frozen=True)
class Missing:
    """In the place of a value: a name that may have none, and why."""

    why: str


def program_in_ssa(definition: Definition) -> dict[str, Function]:
    """The function and all that it calls, in SSA form; what is called comes first."""
    program = _Program()
    program.shape_of(definition)
    return program.functions


class _Program:
    def __init__(self) -> None:
        self.functions: dict[str, Function] = {}
        self.begun: dict[str, ast.FunctionDef] = {}

    def shape_of(self, definition: Definition) -> int | None:
        """How many results a function returns; None for one that is no tuple.  Builds it at the first call."""
        tree = definition.tree
        if tree.name in self.begun:
            if ast.dump(self.begun[tree.name]) != ast.dump(tree):
                raise definition.refuse(tree, f"two functions called {tree.name}", "Rename one of them.")
            finished = self.functions.get(tree.name)
            return _shape_as_written(tree) if finished is None else finished.shape  # not finished: it calls itself
        self.begun[tree.name] = copy.deepcopy(tree)
        self.functions[tree.name] = built = _Builder(definition, self.shape_of).build()
        return built.shape


def _shape_as_written(tree: ast.FunctionDef) -> int | None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            return len(node.value.elts)
    return None


class _Builder:
    """Builds one function; `environment` has the current value of each of its names."""

    def __init__(self, definition: Definition, shape_of: Callable[[Definition], int | None]) -> None:
        self.definition = definition
        self.shape_of = shape_of
        tree = definition.tree
        self.written = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        self.fresh = Fresh(self.written | set(definition.parameters) | {"math", tree.name})
        self.used = set(definition.parameters)
        self.environment: dict[str, Value] = {parameter: name(parameter) for parameter in definition.parameters}
        self.booleans: set[str] = set()
        self.block = Block()

    def build(self) -> Function:
        tree = self.definition.tree
        *statements, last = one_return(tree, self.fresh)
        assert isinstance(last, ast.Return)
        assert last.value is not None
        for statement in statements:
            self.statement(statement)
        made_here = isinstance(last.value, ast.Name) and last.value.id not in self.written
        if made_here and isinstance(self.environment.get(last.value.id), Missing):
            raise self.refuse(tree, "returns of different shapes", "Let every return have as many numbers.")
        value = self.value(last.value)
        results = list(value) if isinstance(value, tuple) else [value]
        if not results or any(isinstance(result, tuple) for result in results):
            raise self.refuse(last, "a return of nested or empty tuples", "Return a number or a flat tuple of numbers.")
        shape = len(results) if isinstance(value, tuple) else None
        return Function(tree.name, list(self.definition.parameters), self.block, results, shape)

    def refuse(self, node: ast.AST, found: str, instead: str) -> UnsupportedSyntax:
        return self.definition.refuse(node, found, instead)

    # ---- statements

    def statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Assign):
            self.assign(node.targets, node.value)
        elif isinstance(node, ast.AugAssign):
            self.aug_assign(node)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self.assign([node.target], node.value)
        elif isinstance(node, ast.If):
            self.branch(self.condition(node.test), node.body, node.orelse, node)
        elif isinstance(node, (ast.For, ast.While)):
            self.loop(node)
        elif not (isinstance(node, ast.Pass) or _is_docstring(node)):
            raise self.refuse(
                node, f"a statement of the kind {type(node).__name__}", "Assign, or use if, for, while, return."
            )

    def assign(self, targets: list[ast.expr], expression: ast.expr) -> None:
        """Compute a value once, and bind all targets to it: in x = y = x + 1 both get the same."""
        first = targets[0]
        value = self.value(expression, first.id if isinstance(first, ast.Name) else "")
        for target in targets:
            self.bind(target, value)

    def bind(self, target: ast.expr, value: Value) -> None:
        if isinstance(target, ast.Name):
            self.environment[target.id] = value
        elif isinstance(target, ast.Tuple):
            if not isinstance(value, tuple) or len(value) != len(target.elts):
                found = f"a tuple of {len(value)}" if isinstance(value, tuple) else "one number"
                raise self.refuse(target, f"{found} where {len(target.elts)} are unpacked", "Match the two sides.")
            for element, part in zip(target.elts, value, strict=True):
                self.bind(element, part)
        else:
            kind = {"Attribute": "an assignment to an attribute", "Subscript": "an assignment to an element"}
            found = kind.get(type(target).__name__, f"an assignment to a {type(target).__name__}")
            raise self.refuse(target, found, "Assign to a plain name.")

    def aug_assign(self, node: ast.AugAssign) -> None:
        if not isinstance(node.target, ast.Name):
            self.bind(node.target, None)
        current = ast.copy_location(ast.Name(node.target.id, ast.Load()), node)
        self.assign([node.target], ast.copy_location(ast.BinOp(current, node.op, node.value), node))

    def branch(self, test: ast.expr, then: list[ast.stmt], orelse: list[ast.stmt], node: ast.AST) -> None:
        environments, blocks = [], []
        for statements in (then, orelse):
            with _Inside(self) as inside:
                for statement in statements:
                    self.statement(statement)
            environments.append(inside.environment)
            blocks.append(inside.block)
        made = If(test, *blocks)
        for identifier in dict.fromkeys([*environments[0], *environments[1]]):
            nothing = Missing(f"{identifier} has a value in one branch only")
            values = [environment.get(identifier, nothing) for environment in environments]
            self.environment[identifier] = self.join(identifier, *values, made)
        self.block.statements.append(made)

    def join(self, base: str, then: Value, orelse: Value, into: If) -> Value:
        for value in (then, orelse):
            if isinstance(value, Missing):
                return value
        if isinstance(then, tuple) and isinstance(orelse, tuple) and len(then) == len(orelse):
            return tuple(self.join(base, *pair, into) for pair in zip(then, orelse, strict=True))
        if isinstance(then, tuple) or isinstance(orelse, tuple):
            return Missing(f"{base} is a tuple in one branch and something else in the other")
        if ast.dump(then) == ast.dump(orelse):
            return then
        target = self.define(base)
        if self.is_boolean(then) and self.is_boolean(orelse):
            self.booleans.add(target)
        into.joins.append(Join(target, then, orelse))
        return name(target)

    def loop(self, node: ast.For | ast.While) -> None:
        bounds, index = self.range_of(node) if isinstance(node, ast.For) else (None, None)
        if bounds is None:
            assert isinstance(node, ast.While)
            if _needs_statements(node.test):  # the test is computed before the loop, and again at the end of its body
                go = self.fresh("go")
                again = ast.copy_location(ast.Assign([ast.Name(go, ast.Store())], node.test), node)
                self.statement(again)
                node.test = ast.copy_location(ast.Name(go, ast.Load()), node)
                node.body = [*node.body, again]
        assigned = [identifier for identifier in _assigned_in(node.body) if identifier in self.environment]
        starts = {identifier: self.environment[identifier] for identifier in assigned}
        starts = {identifier: start for identifier, start in starts.items() if not isinstance(start, Missing)}
        parameters = {identifier: self.like(identifier, start) for identifier, start in starts.items()}
        before = set(self.environment)
        with _Inside(self) as inside:
            self.environment.update(parameters)
            test = None
            if isinstance(node, ast.While):
                test = self.pure_condition(node.test)
            else:
                assert isinstance(node.target, ast.Name)
                self.environment[node.target.id] = name(index or "")
            for statement in node.body:
                self.statement(statement)
        carried: list[Carried] = []
        for identifier, parameter in parameters.items():
            self.carry(identifier, parameter, starts[identifier], inside.environment[identifier], carried, node)
        stop = getattr(node, "stop_flag", "")
        made = Loop(inside.block, carried, bounds, index, test, inside.environment[stop] if stop else None)
        self.block.statements.append(made)
        self.environment.update(parameters)
        left = [node.target.id] if isinstance(node, ast.For) and isinstance(node.target, ast.Name) else []
        for identifier in [*(set(inside.environment) - before), *left]:
            why = f"{identifier} gets its value inside the loop, which may run zero times"
            self.environment[identifier] = Missing(why)

    def range_of(self, node: ast.For) -> tuple[list[ast.expr], str]:
        call = node.iter
        is_range = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"
        if not is_range or not isinstance(node.target, ast.Name):
            raise self.refuse(
                node, "a for loop over something else than a range", "Write for i in range(n), with one name."
            )
        assert isinstance(call, ast.Call)
        if not 1 <= len(call.args) <= 3:
            raise self.refuse(node, "range without a number", "Write range(n).")
        return [self.number(argument) for argument in call.args], self.define(node.target.id)

    def carry(
        self, identifier: str, parameter: Value, start: Value, following: Value, carried: list[Carried], node: ast.AST
    ) -> None:
        if isinstance(following, Missing):
            raise self.refuse(node, f"a loop after which {following.why}", "Give it a value on every way.")
        if isinstance(parameter, tuple):
            if not isinstance(following, tuple) or len(following) != len(parameter):
                raise self.refuse(node, f"{identifier}, a tuple that changes its length in a loop", "Keep its length.")
            for parts in zip(parameter, start, following, strict=True):
                self.carry(identifier, *parts, carried, node)
            return
        if isinstance(following, tuple):
            raise self.refuse(node, f"{identifier}, a number that becomes a tuple in a loop", "Use two names.")
        carried.append(Carried(parameter.id, start, following))

    def like(self, base: str, value: Value) -> Value:
        """A new name for each number in a value."""
        if isinstance(value, tuple):
            return tuple(self.like(base, part) for part in value)
        made = name(self.define(base))
        if self.is_boolean(value):
            self.booleans.add(made.id)
        return made

    def define(self, base: str) -> str:
        """The name of the next version of a variable: its own name for the first."""
        if base not in self.used:
            self.used.add(base)
            self.fresh.taken.add(base)
            return base
        return self.fresh(base)

    # ---- expressions

    def value(self, node: ast.expr, base: str = "") -> Value:
        """Append the statements that compute an expression; the last of them may define `base`."""
        if isinstance(node, ast.Constant):
            return self.constant(node)
        if isinstance(node, ast.Name):
            return self.variable(node)
        if isinstance(node, ast.Tuple):
            return tuple(self.value(element) for element in node.elts)
        if isinstance(node, ast.Attribute):
            return self.attribute(node)
        if isinstance(node, ast.Subscript):
            return self.element(node)
        if isinstance(node, ast.IfExp):
            return self.conditional(node, base)
        if isinstance(node, ast.Call):
            return self.call(node, base)
        if _is_condition(node):
            return self.condition(node, base)
        if isinstance(node, ast.BinOp):
            self.known_operation(node)
            return self.emit(ast.BinOp(self.number(node.left), node.op, self.number(node.right)), base)
        if isinstance(node, ast.UnaryOp):
            self.known_operation(node)
            operand = self.number(node.operand)
            if isinstance(operand, ast.Constant) and isinstance(node.op, ast.USub):
                return constant(-operand.value)
            return self.emit(ast.UnaryOp(node.op, operand), base)
        raise self.refuse(node, f"an expression of the kind {type(node).__name__}", "Use arithmetic and calls.")

    def number(self, node: ast.expr) -> ast.expr:
        """As `value`, for an expression that must not be a tuple."""
        value = self.value(node)
        if isinstance(value, tuple):
            raise self.refuse(node, "a tuple where a number belongs", "Take its elements apart first.")
        return value

    def emit(self, expression: ast.expr, base: str) -> ast.Name:
        target = self.define(base) if base else self.fresh.numbered("t")
        self.block.statements.append(Assign(target, expression))
        return name(target)

    def constant(self, node: ast.Constant) -> ast.Constant:
        if isinstance(node.value, (bool, int, float)):
            return constant(node.value)
        what = "None" if node.value is None else f"a {type(node.value).__name__}"
        raise self.refuse(node, what, "Use numbers.")

    def variable(self, node: ast.Name) -> Value:
        value = self.environment.get(node.id)
        if value is None:
            return constant(number_outside(self.definition, node))
        if isinstance(value, Missing):
            raise self.refuse(node, f"a use of {node.id}, but {value.why}", f"Assign {node.id} before, on every way.")
        return value

    def attribute(self, node: ast.Attribute) -> ast.Constant:
        """math.pi and the like."""
        if isinstance(node.value, ast.Name) and node.value.id not in self.environment:
            try:
                module = self.definition.meaning_of(node.value.id)
            except KeyError:
                module = None
            value = getattr(module, node.attr, None)
            if is_number_module(module) and isinstance(value, float):
                return constant(value)
        raise self.refuse(node, f"the attribute .{node.attr}", "Pass the number itself as an argument.")

    def element(self, node: ast.Subscript) -> Value:
        value = self.value(node.value)
        index = node.slice
        if (
            isinstance(index, ast.UnaryOp)
            and isinstance(index.op, ast.USub)
            and isinstance(index.operand, ast.Constant)
        ):
            index = constant(-index.operand.value)
        if not isinstance(value, tuple) or not isinstance(index, ast.Constant) or not isinstance(index.value, int):
            raise self.refuse(
                node, "an index into something else than a tuple", "Only tuples have elements here, at constant places."
            )
        if not -len(value) <= index.value < len(value):
            raise self.refuse(node, f"element {index.value} of a tuple of {len(value)}", "Count from 0.")
        return value[index.value]

    def conditional(self, node: ast.IfExp, base: str) -> Value:
        test = self.condition(node.test)
        values, blocks = [], []
        for part in (node.body, node.orelse):
            with _Inside(self) as inside:
                values.append(self.value(part))
            blocks.append(inside.block)
        made = If(test, *blocks)
        joined = self.join(base or self.fresh.numbered("t"), *values, made)
        if isinstance(joined, Missing):
            raise self.refuse(
                node, "two alternatives of different shape", "Let both be numbers, or equally long tuples."
            )
        self.block.statements.append(made)
        return joined

    def call(self, node: ast.Call, base: str) -> Value:
        if isinstance(node.func, ast.Name) and node.func.id in self.environment:
            raise self.refuse(node, "a call of a local name", "Call functions that are defined outside.")
        target = called(self.definition, node)
        if isinstance(target, str):
            return self.primitive(target, node, base)
        arguments = [self.number(argument) for argument in node.args]
        if len(arguments) != len(target.parameters):
            raise self.refuse(
                node, f"{len(arguments)} arguments for {target.tree.name}", "Pass one for each parameter."
            )
        shape = self.shape_of(target)
        targets = [self.define(base) if base else self.fresh.numbered("t") for _ in range(shape or 1)]
        self.block.statements.append(Call(targets, target.tree.name, arguments, shape is not None))
        return name(targets[0]) if shape is None else tuple(map(name, targets))

    def primitive(self, called_name: str, node: ast.Call, base: str) -> ast.expr:
        arguments = [self.number(argument) for argument in node.args]
        if called_name == "pow" and len(arguments) == 2:
            return self.emit(ast.BinOp(arguments[0], ast.Pow(), arguments[1]), base)
        if called_name in ("max", "min") and len(arguments) > 2:  # two at a time
            first: ast.expr = arguments[0]
            for other in arguments[1:-1]:
                first = self.emit(ast.Call(name(called_name), [first, other], []), "")
            arguments = [first, arguments[-1]]
        function = ast.parse(called_name, mode="eval").body
        expression = ast.Call(function, arguments, [])
        if key_of(expression) is None:
            raise self.refuse(node, f"{called_name} with {len(arguments)} arguments", "Look up how many it takes.")
        return self.emit(expression, base)

    # ---- conditions

    def condition(self, node: ast.expr, base: str = "") -> ast.expr:
        """A condition as a name or a constant."""
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            return constant(node.value)
        if isinstance(node, ast.Name) and self.is_boolean(self.variable(node)):
            return self.variable(node)
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            self.known_comparison(node)
            sides = [self.number(side) for side in (node.left, *node.comparators)]
            test = self.emit(ast.Compare(sides[0], node.ops, sides[1:]), base or self.fresh.numbered("c"))
        else:
            test = self.emit(self.pure_condition(node), base or self.fresh.numbered("c"))
        self.booleans.add(test.id)
        return test

    def pure_condition(self, node: ast.expr) -> ast.expr:
        """A condition as one expression: `and` and `or` stop at the operand that decides, so nothing moves out."""
        if isinstance(node, ast.BoolOp):
            return ast.BoolOp(node.op, [self.pure_condition(operand) for operand in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ast.UnaryOp(node.op, self.pure_condition(node.operand))
        if isinstance(node, ast.Compare):
            self.known_comparison(node)
            return ast.Compare(self.pure(node.left), node.ops, [self.pure(side) for side in node.comparators])
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            return constant(node.value)
        if isinstance(node, ast.Name) and self.is_boolean(self.variable(node)):
            return self.variable(node)
        raise self.refuse(node, "a number where a condition belongs", "Compare it: write x != 0.")

    def pure(self, node: ast.expr) -> ast.expr:
        """An expression inside a condition, with the current names in it."""
        if isinstance(node, (ast.Constant, ast.Name, ast.Attribute, ast.Subscript)):
            return self.number(node)
        if isinstance(node, ast.BinOp):
            self.known_operation(node)
            return ast.BinOp(self.pure(node.left), node.op, self.pure(node.right))
        if isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
            self.known_operation(node)
            return ast.UnaryOp(node.op, self.pure(node.operand))
        if isinstance(node, ast.Call):
            target = called(self.definition, node)
            if isinstance(target, str) and target != "pow":
                function = ast.parse(target, mode="eval").body
                return ast.Call(function, [self.pure(argument) for argument in node.args], [])
        raise self.refuse(node, "a call or an alternative inside a condition", "Give it a name before the condition.")

    def is_boolean(self, value: Value) -> bool:
        if isinstance(value, ast.Constant):
            return isinstance(value.value, bool)
        return isinstance(value, ast.Name) and value.id in self.booleans

    def known_operation(self, node: ast.BinOp | ast.UnaryOp) -> None:
        if key_of(node) is None:
            operator = type(node.op).__name__
            raise self.refuse(node, f"the operator {operator}", "Use + - * / ** % // on numbers.")

    def known_comparison(self, node: ast.Compare) -> None:
        for operator in node.ops:
            if not isinstance(operator, (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)):
                raise self.refuse(node, f"the comparison {type(operator).__name__}", "Use < <= > >= == !=.")


class _Inside:
    """While it is entered, the builder writes into a new block, and what it binds is kept apart."""

    def __init__(self, builder: _Builder) -> None:
        self.builder = builder
        self.block = Block()

    def __enter__(self) -> _Inside:
        self.outer = (self.builder.block, self.builder.environment)
        self.builder.block, self.builder.environment = self.block, dict(self.builder.environment)
        return self

    def __exit__(self, *error: object) -> None:
        self.environment = self.builder.environment
        self.builder.block, self.builder.environment = self.outer


def _is_condition(node: ast.expr) -> bool:
    return isinstance(node, (ast.Compare, ast.BoolOp)) or (
        isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
    )


def _needs_statements(test: ast.expr) -> bool:
    """Whether a condition calls functions of the program or has alternatives in it, which take statements."""
    primitive = {"abs", "max", "min", "float", "int"}
    for node in ast.walk(test):
        if isinstance(node, ast.IfExp):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id not in primitive:
            return True
    return False


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _assigned_in(statements: list[ast.stmt]) -> Iterator[str]:
    """The names that statements assign to, each once, in order."""
    nodes = (node for statement in statements for node in ast.walk(statement))
    stored = (node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    yield from dict.fromkeys(stored)
