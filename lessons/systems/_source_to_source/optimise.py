"""Fourth pass, on forward and adjoint programs alike: fold constants, follow copies, inline, remove dead code.

The rules keep every bit of the result where all values are finite and no zero has a sign that anybody asks for. Two of
them are not exact otherwise: `0 * x` is 0 here, but not for an infinite x or a nan; and `x + 0` is x, but -0.0 + 0 is
0.0. Dead code is gone even where it would have raised an error. Rules that would round in other places, such as
(x * 2) * 3 = x * 6, are left out.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lessons.systems._source_to_source.ir import (
    Assign,
    Block,
    Call,
    Function,
    If,
    Join,
    Loop,
    Statement,
    blocks_of,
    constant,
    names_in,
    names_used_here,
    parts,
    rebuilt,
    targets_of,
    walk,
)
from lessons.systems._source_to_source.pullbacks import substituted

LONGEST = 16  # nodes in an expression that inlining may build: what is longer is hard to read


def optimise(function: Function) -> None:
    """Apply the rules until nothing changes, in place."""
    while True:
        before = _size(function)
        _map_expressions(function, fold)
        _follow_copies(function)
        remove_dead_code(function)
        _merge_ifs(function.body)
        _inline(function)
        if _size(function) == before:
            return


# ---- folding

LONGEST = 1024  # bits of a power of whole numbers: 9 ** 9 ** 9 would take for ever


def fold(expression: ast.expr) -> ast.expr:
    """Compute what is constant, and drop what does nothing."""
    node = rebuilt(expression, fold)
    if isinstance(node, ast.IfExp) and isinstance(node.test, ast.Constant):
        return node.body if node.test.value else node.orelse
    if not isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Compare, ast.Call)):
        return node
    if all(isinstance(part, ast.Constant) for part in parts(node)):
        return _computed(node)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd):
        return node.operand
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and _is_negative(node.operand):
        return node.operand.operand  # type: ignore[attr-defined]
    rule = _RULES.get(type(node.op)) if isinstance(node, ast.BinOp) else None
    simpler = rule(*parts(node)) if rule is not None else None
    return node if simpler is None else simpler


def _computed(node: ast.expr) -> ast.expr:
    """The value of an expression of constants; the expression itself where it has none, as 1 / 0, or is huge."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        base, exponent = (part.value for part in parts(node))  # type: ignore[attr-defined]
        if isinstance(base, int) and isinstance(exponent, int) and base.bit_length() * abs(exponent) > LONGEST:
            return node
    code = compile(ast.fix_missing_locations(ast.Expression(node)), "<constant>", "eval")
    try:
        value = eval(code, {"math": math})
    except (ArithmeticError, ValueError):
        return node
    finite = isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value))
    return constant(value) if finite else node


def _is(node: ast.expr, value: float) -> bool:
    return isinstance(node, ast.Constant) and not isinstance(node.value, bool) and node.value == value


def _is_negative(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)


def _minus(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.USub(), node)


def _sum(x: ast.expr, y: ast.expr) -> ast.expr | None:
    if _is(x, 0):
        return y
    if _is(y, 0):
        return x
    return ast.BinOp(x, ast.Sub(), y.operand) if _is_negative(y) else None  # type: ignore[attr-defined]


def _difference(x: ast.expr, y: ast.expr) -> ast.expr | None:
    if _is(y, 0):
        return x
    if _is(x, 0):
        return _minus(y)
    return ast.BinOp(x, ast.Add(), y.operand) if _is_negative(y) else None  # type: ignore[attr-defined]


def _product(x: ast.expr, y: ast.expr) -> ast.expr | None:
    if _is(x, 0) or _is(y, 0):
        return constant(0.0)
    for one, other in ((x, y), (y, x)):
        if _is(one, 1):
            return other
        if _is(one, -1):
            return _minus(other)
    return None


def _quotient(x: ast.expr, y: ast.expr) -> ast.expr | None:
    return x if _is(y, 1) else None


def _power(x: ast.expr, y: ast.expr) -> ast.expr | None:
    return x if _is(y, 1) else constant(1.0) if _is(y, 0) else None


_RULES: dict[type[ast.operator], Callable[[ast.expr, ast.expr], ast.expr | None]] = {
    ast.Add: _sum,
    ast.Sub: _difference,
    ast.Mult: _product,
    ast.Div: _quotient,
    ast.Pow: _power,
}


# ---- copies and single uses


def _follow_copies(function: Function) -> None:
    """Put the original in the place of a copy: after `y = x` there is only x."""
    copies: dict[str, ast.expr] = {}

    def follow(block: Block) -> None:
        kept: list[Statement] = []
        for statement in block.statements:
            if isinstance(statement, Assign) and isinstance(statement.value, (ast.Name, ast.Constant)):
                copies[statement.target] = statement.value
                continue
            for inner in blocks_of(statement):
                follow(inner)
            if isinstance(statement, If):
                copies.update({join.target: known for join in statement.joins if (known := _known(join, statement))})
                statement.joins = [join for join in statement.joins if join.target not in copies]
            kept.append(statement)
        block.statements = kept

    follow(function.body)
    for target in copies:  # a copy of a copy
        value = copies[target]
        while isinstance(value, ast.Name) and value.id in copies:
            value = copies[value.id]
        copies[target] = value
    if copies:
        _map_expressions(function, lambda expression: substituted(expression, copies))


def _known(join: Join, made: If) -> ast.expr | None:
    """What a join is, if it needs no branch: the same on both sides, or the test itself."""
    if ast.dump(join.then) == ast.dump(join.orelse):
        return join.then
    truths = [
        isinstance(side, ast.Constant) and side.value is truth
        for side, truth in zip((join.then, join.orelse), (True, False), strict=True)
    ]
    return made.test if all(truths) else None


def _merge_ifs(block: Block) -> None:
    """Make one of two neighbours with the same test, outside loops: the forward and the reverse side of a branch."""
    merged: list[Statement] = []
    for statement in block.statements:
        before = merged[-1] if merged else None
        both = isinstance(statement, If) and isinstance(before, If)
        if both and ast.dump(statement.test) == ast.dump(before.test):
            for mine, theirs, side in (
                (before.then, statement.then, "then"),
                (before.orelse, statement.orelse, "orelse"),
            ):
                values = {join.target: getattr(join, side) for join in before.joins}
                _map_block(theirs, lambda expression, values=values: substituted(expression, values))
                for join in statement.joins:
                    setattr(join, side, substituted(getattr(join, side), values))
                mine.statements += theirs.statements
            before.joins += statement.joins
        else:
            merged.append(statement)
    block.statements = merged
    for statement in merged:
        if isinstance(statement, If):
            _merge_ifs(statement.then)
            _merge_ifs(statement.orelse)


def _inline(function: Function) -> None:
    """Move an expression to its only use, when that is a statement further down in the same block, and no loop between.

    A loop between could change what the expression reads: the names that it carries.
    """
    uses: dict[str, int] = {}
    for expression in _expressions(function):
        for identifier in names_in(expression):
            uses[identifier] = uses.get(identifier, 0) + 1
    _inline_in(function.body, [], {identifier for identifier, count in uses.items() if count == 1})


def _inline_in(block: Block, ends: list[Place], once: set[str]) -> None:
    """`ends` are the expressions that are read where the block ends."""
    waiting: dict[str, Assign] = {}

    def move_into(place: Place) -> None:
        for identifier in [each for each in names_in(place.read()) if each in waiting]:
            inlined = substituted(place.read(), {identifier: waiting[identifier].value})
            if _nodes(inlined) <= (LONGEST if isinstance(place.key, str) else LONGEST // 2):
                place.write(inlined)
                block.statements.remove(waiting.pop(identifier))

    for statement in list(block.statements):
        for place in _places_here(statement):
            move_into(place)
        for inner, inner_ends in _places_at_ends(statement):
            _inline_in(inner, inner_ends, once)
        if isinstance(statement, Loop) or any(isinstance(inner, Loop) for inner in walk(Block([statement]))):
            waiting.clear()
        if isinstance(statement, Assign) and statement.target in once:
            waiting[statement.target] = statement
    for place in ends:
        move_into(place)


@dataclass
class Place:
    """Where an expression stands: an attribute of an object, or an element of a list."""

    holder: Any
    key: str | int

    def read(self) -> ast.expr:
        found = self.holder[self.key] if isinstance(self.key, int) else getattr(self.holder, self.key)
        assert isinstance(found, ast.expr)
        return found

    def write(self, expression: ast.expr) -> None:
        if isinstance(self.key, int):
            self.holder[self.key] = expression
        else:
            setattr(self.holder, self.key, expression)


def _places_here(statement: Statement) -> list[Place]:
    """The expressions that are read before any block of a statement begins, and only once."""
    if isinstance(statement, Assign):
        return [Place(statement, "value")]
    if isinstance(statement, Call):
        return [Place(statement.arguments, k) for k in range(len(statement.arguments))]
    if isinstance(statement, If):
        return [Place(statement, "test")]
    starts = [Place(one, "start") for one in statement.carried]
    return starts + [Place(statement.bounds, k) for k in range(len(statement.bounds or []))]


def _places_at_ends(statement: Statement) -> list[tuple[Block, list[Place]]]:
    if isinstance(statement, If):
        then = [Place(join, "then") for join in statement.joins]
        return [(statement.then, then), (statement.orelse, [Place(join, "orelse") for join in statement.joins])]
    if isinstance(statement, Loop):
        return [(statement.body, [Place(one, "next") for one in statement.carried])]
    return []


# ---- dead code


def remove_dead_code(function: Function) -> None:
    """Keep what the results need: the statements that give them their values, and so on back."""
    needs: dict[str, set[str]] = {}
    _note_needs(function.body, set(), needs)
    live: set[str] = set()
    found = {identifier for result in function.results for identifier in names_in(result)}
    while found:
        live |= found
        found = {needed for identifier in found for needed in needs.get(identifier, ())} - live
    _sweep(function.body, live)


def _note_needs(block: Block, around: set[str], needs: dict[str, set[str]]) -> None:
    """For each name, what its value depends on: operands, and the tests and bounds around its assignment."""
    for statement in block.statements:
        inner_around = set(around)
        if isinstance(statement, If):
            inner_around |= set(names_in(statement.test))
            for join in statement.joins:
                needs.setdefault(join.target, set()).update(names_in(join.then), names_in(join.orelse), inner_around)
        elif isinstance(statement, Loop):
            controls = [*(statement.bounds or []), *([statement.test] if statement.test is not None else [])]
            controls += [statement.stop] if statement.stop is not None else []
            inner_around |= {identifier for control in controls for identifier in names_in(control)}
            for one in statement.carried:
                needs.setdefault(one.name, set()).update(names_in(one.start), names_in(one.next), inner_around)
            if statement.index is not None:
                needs.setdefault(statement.index, set()).update(inner_around)
        else:
            for target in targets_of(statement):
                needs.setdefault(target, set()).update(names_used_here(statement), around)
        for inner in blocks_of(statement):
            _note_needs(inner, inner_around, needs)


def _sweep(block: Block, live: set[str]) -> None:
    kept = []
    for statement in block.statements:
        for inner in blocks_of(statement):
            _sweep(inner, live)
        if isinstance(statement, If):
            statement.joins = [join for join in statement.joins if join.target in live]
        elif isinstance(statement, Loop):
            statement.carried = [one for one in statement.carried if one.name in live]
        used = bool(set(targets_of(statement)) & live) or any(inner.statements for inner in blocks_of(statement))
        if used or (isinstance(statement, Loop) and statement.index in live and not statement.restored):
            kept.append(statement)
    block.statements = kept


# ---- all expressions of a function


def _places(block: Block) -> Iterator[Place]:
    for statement in walk(block):
        yield from _places_here(statement)
        for _, ends in _places_at_ends(statement):
            yield from ends
        if isinstance(statement, Loop):
            yield from (Place(statement, key) for key in ("test", "stop") if getattr(statement, key) is not None)


def _map_block(block: Block, change: Callable[[ast.expr], ast.expr]) -> None:
    for place in list(_places(block)):
        place.write(change(place.read()))


def _map_expressions(function: Function, change: Callable[[ast.expr], ast.expr]) -> None:
    _map_block(function.body, change)
    function.results = [change(result) for result in function.results]


def _expressions(function: Function) -> list[ast.expr]:
    return [*function.results, *(place.read() for place in _places(function.body))]


def _nodes(expression: ast.expr) -> int:
    return 1 + sum(_nodes(part) for part in parts(expression))


def _size(function: Function) -> tuple[int, int]:
    expressions = _expressions(function)
    return len(list(walk(function.body))), sum(_nodes(expression) for expression in expressions)


def operations(function: Function) -> int:
    """How many arithmetic operations and calls stand in a function: what it costs, roughly, without its loops."""
    counted = (ast.BinOp, ast.UnaryOp, ast.Call, ast.Compare)
    written = sum(isinstance(node, counted) for one in _expressions(function) for node in _all_parts(one))
    return written + sum(isinstance(statement, Call) for statement in walk(function.body))


def _all_parts(expression: ast.expr) -> Iterator[ast.expr]:
    yield expression
    for part in parts(expression):
        yield from _all_parts(part)
