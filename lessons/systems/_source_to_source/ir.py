"""The intermediate representation: programs in which every name is assigned once.

Expressions are Python's own (`ast.expr`), and after `ssa` each is one operation on names and constants. Control flow
keeps its structure. Where two values meet, the meeting is written down: an `If` has joins, a `Loop` has carried names.
In the textbooks both are called phi.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(eq=False)
class Assign:
    """target = value"""

    target: str
    value: ast.expr


@dataclass(eq=False)
class Call:
    """targets = function(arguments), for a function that is transformed too; `unpacks` if it returns a tuple."""

    targets: list[str]
    function: str
    arguments: list[ast.expr]
    unpacks: bool


@dataclass
class Join:
    """After an `If`, `target` is `then` or `orelse`."""

    target: str
    then: ast.expr
    orelse: ast.expr


@dataclass
class Carried:
    """A name with one value for each iteration: `start` in the first, then the `next` of the one before.

    After the loop it has its last value.
    """

    name: str
    start: ast.expr
    next: ast.expr


@dataclass(eq=False)
class Block:
    """Statements in order, and what is saved when they are done (`push`) or brought back before they begin (`pop`).

    `mirror` is, for a block of the reverse sweep, the block of the forward sweep that it goes back through.
    """

    statements: list[Statement] = field(default_factory=list)
    push: tuple[str, list[str]] | None = None
    pop: tuple[str, list[str]] | None = None
    mirror: Block | None = None


@dataclass(eq=False)
class If:
    test: ast.expr
    then: Block
    orelse: Block
    joins: list[Join] = field(default_factory=list)


@dataclass(eq=False)
class Loop:
    """`for index in range(*bounds)`, or `while test` when `bounds` is None; ends early after a body where `stop` holds.

    `restored`: the loop of a reverse sweep runs through the index of its forward loop again.
    """

    body: Block
    carried: list[Carried]
    bounds: list[ast.expr] | None = None
    index: str | None = None
    test: ast.expr | None = None
    stop: ast.expr | None = None
    restored: bool = False


Statement = Assign | Call | If | Loop


@dataclass(eq=False)
class Function:
    """`shape` is how many results it returns; None is one that stands alone, not in a tuple."""

    name: str
    parameters: list[str]
    body: Block
    results: list[ast.expr]
    shape: int | None = None
    tapes: list[str] = field(default_factory=list)


def name(text: str) -> ast.Name:
    return ast.Name(text, ast.Load())


def constant(value: float | bool) -> ast.Constant:
    return ast.Constant(value)


def parts(expression: ast.expr) -> list[ast.expr]:
    """The operands of an expression, left to right (the math.sin of math.sin(x) is none)."""
    if isinstance(expression, ast.BinOp):
        return [expression.left, expression.right]
    if isinstance(expression, ast.UnaryOp):
        return [expression.operand]
    if isinstance(expression, ast.Call):
        return expression.args
    if isinstance(expression, ast.Compare):
        return [expression.left, *expression.comparators]
    if isinstance(expression, ast.BoolOp):
        return expression.values
    if isinstance(expression, ast.IfExp):
        return [expression.test, expression.body, expression.orelse]
    return []


def names_in(expression: ast.expr) -> Iterator[str]:
    """The variables of an expression, each as often as it stands there."""
    if isinstance(expression, ast.Name):
        yield expression.id
    for part in parts(expression):
        yield from names_in(part)


def rebuilt(expression: ast.expr, change: Callable[[ast.expr], ast.expr]) -> ast.expr:
    """A new expression of the same kind, with every operand changed; no pass changes an expression in place."""
    if isinstance(expression, ast.BinOp):
        return ast.BinOp(change(expression.left), expression.op, change(expression.right))
    if isinstance(expression, ast.UnaryOp):
        return ast.UnaryOp(expression.op, change(expression.operand))
    if isinstance(expression, ast.Call):
        return ast.Call(expression.func, [change(argument) for argument in expression.args], [])
    if isinstance(expression, ast.Compare):
        return ast.Compare(change(expression.left), expression.ops, [change(each) for each in expression.comparators])
    if isinstance(expression, ast.BoolOp):
        return ast.BoolOp(expression.op, [change(each) for each in expression.values])
    if isinstance(expression, ast.IfExp):
        return ast.IfExp(change(expression.test), change(expression.body), change(expression.orelse))
    return expression


def walk(block: Block) -> Iterator[Statement]:
    """All statements, those inside others included, each after what stands before it."""
    for statement in block.statements:
        yield statement
        for inner in blocks_of(statement):
            yield from walk(inner)


def blocks_of(statement: Statement) -> list[Block]:
    if isinstance(statement, If):
        return [statement.then, statement.orelse]
    return [statement.body] if isinstance(statement, Loop) else []


def names_used_here(statement: Statement) -> Iterator[str]:
    """The names that a statement reads in its own block, before any block inside it begins."""
    if isinstance(statement, Assign):
        expressions = [statement.value]
    elif isinstance(statement, Call):
        expressions = statement.arguments
    elif isinstance(statement, If):
        expressions = [statement.test]
    else:
        expressions = [*(one.start for one in statement.carried), *(statement.bounds or [])]
        expressions += [statement.test] if statement.test is not None else []
    for expression in expressions:
        yield from names_in(expression)


def ends_of_blocks(statement: Statement) -> list[tuple[Block, list[ast.expr]]]:
    """The blocks inside a statement, each with what is read at its end: values to join, the next values of a loop."""
    if isinstance(statement, If):
        then = [join.then for join in statement.joins]
        return [(statement.then, then), (statement.orelse, [join.orelse for join in statement.joins])]
    if isinstance(statement, Loop):
        stop = [statement.stop] if statement.stop is not None else []
        return [(statement.body, [*(one.next for one in statement.carried), *stop])]
    return []


def targets_of(statement: Statement) -> list[str]:
    """The names that a statement gives a value to in its own block."""
    if isinstance(statement, Assign):
        return [statement.target]
    if isinstance(statement, Call):
        return list(statement.targets)
    if isinstance(statement, If):
        return [join.target for join in statement.joins]
    return [carried.name for carried in statement.carried]


def assigned_twice(function: Function) -> list[str]:
    """The names that are assigned more than once: none in SSA form."""
    seen: set[str] = set(function.parameters)
    twice = []
    for statement in walk(function.body):
        targets = targets_of(statement)
        if isinstance(statement, Loop) and statement.index is not None and not statement.restored:
            targets.append(statement.index)
        for target in targets:
            if target in seen:
                twice.append(target)
            seen.add(target)
    return twice


class Fresh:
    """Hands out names that are not taken: x, then x_2, x_3, and so on."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = set(taken)

    def __call__(self, base: str) -> str:
        candidate, number = base, 1
        while candidate in self.taken:
            number += 1
            candidate = f"{base}_{number}"
        self.taken.add(candidate)
        return candidate

    def numbered(self, base: str) -> str:
        """A name that always has a number: t1, t2, ..."""
        number = 1
        while f"{base}{number}" in self.taken:
            number += 1
        self.taken.add(f"{base}{number}")
        return f"{base}{number}"


def copied(function: Function) -> Function:
    """A copy whose blocks are its own; expressions, which nobody changes, are shared."""
    shared: list[ast.expr] = list(function.results)
    for statement in walk(function.body):
        shared += _own_expressions(statement)
    return copy.deepcopy(function, {id(expression): expression for expression in shared})


def _own_expressions(statement: Statement) -> list[ast.expr]:
    if isinstance(statement, Assign):
        return [statement.value]
    if isinstance(statement, Call):
        return statement.arguments
    if isinstance(statement, If):
        return [statement.test, *(each for join in statement.joins for each in (join.then, join.orelse))]
    own = [*(each for one in statement.carried for each in (one.start, one.next)), *(statement.bounds or [])]
    return own + [each for each in (statement.test, statement.stop) if each is not None]
