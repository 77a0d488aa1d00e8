"""From the intermediate representation to source code: Python that runs, or the SSA listing for the eye."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from lessons.systems._source_to_source.ir import (
    Block,
    Call,
    Carried,
    Function,
    If,
    Join,
    Loop,
    Statement,
    names_in,
    rebuilt,
)

INDENT = "    "


def source_of(function: Function) -> str:
    """Python source: a join becomes an assignment in each branch, a carried name one before the loop and one in it."""
    return _text(function, phis=False)


def listing_of(function: Function) -> str:
    """The same with phi where values meet, so that every name is assigned in one place."""
    return _text(function, phis=True)


def _text(function: Function, phis: bool) -> str:
    results = ", ".join(map(_shown, function.results))
    if function.shape is not None:
        results = f"({results},)" if function.shape == 1 else f"({results})"
    lines = [
        f"def {function.name}({', '.join(function.parameters)}):",
        *(f"{INDENT}{tape} = []" for tape in function.tapes),
        *_block(function.body, 1, phis),
        f"{INDENT}return {results}",
    ]
    return "\n".join(lines) + "\n"


def _block(block: Block, depth: int, phis: bool) -> list[str]:
    pad = INDENT * depth
    lines = []
    if block.pop is not None:
        tape, names = block.pop
        lines.append(f"{pad}{', '.join(names)} = {tape}.pop()")
    for statement in block.statements:
        lines += _statement(statement, depth, phis)
    if block.push is not None:
        tape, names = block.push
        lines.append(f"{pad}{tape}.append({names[0] if len(names) == 1 else '(' + ', '.join(names) + ')'})")
    return lines


def _statement(statement: Statement, depth: int, phis: bool) -> list[str]:
    pad = INDENT * depth
    if isinstance(statement, If):
        return _if(statement, depth, phis)
    if isinstance(statement, Loop):
        return _loop(statement, depth, phis)
    if isinstance(statement, Call):
        targets = ", ".join(statement.targets)
        targets = f"({targets},)" if statement.unpacks and len(statement.targets) == 1 else targets
        arguments = ", ".join(map(_shown, statement.arguments))
        return [f"{pad}{targets} = {statement.function}({arguments})"]
    return [f"{pad}{statement.target} = {_shown(statement.value)}"]


def _if(made: If, depth: int, phis: bool) -> list[str]:
    pad = INDENT * depth
    sides = []
    for block, value_of in ((made.then, _then), (made.orelse, _orelse)):
        joins = [] if phis else [f"{pad}{INDENT}{join.target} = {_shown(value_of(join))}" for join in made.joins]
        sides.append([*_block(block, depth + 1, phis), *joins])
    then, orelse = sides
    if then or not orelse:
        lines = [f"{pad}if {_shown(made.test)}:", *(then or [f"{pad}{INDENT}pass"])]
        lines += [f"{pad}else:", *orelse] if orelse else []
    else:
        lines = [f"{pad}if {_shown(ast.UnaryOp(ast.Not(), made.test))}:", *orelse]
    if phis:
        lines += [
            f"{pad}{join.target} = phi({_shown(join.then)} if {_shown(made.test)}, {_shown(join.orelse)})"
            for join in made.joins
        ]
    return lines


def _then(join: Join) -> ast.expr:
    return join.then


def _orelse(join: Join) -> ast.expr:
    return join.orelse


def _loop(loop: Loop, depth: int, phis: bool) -> list[str]:
    pad = INDENT * depth
    inner = pad + INDENT
    lines = [] if phis else [f"{pad}{carried.name} = {_shown(carried.start)}" for carried in loop.carried]
    if loop.bounds is None:
        assert loop.test is not None
        lines.append(f"{pad}while {'True' if phis else _shown(loop.test)}:")
    else:
        lines.append(f"{pad}for {loop.index} in range({', '.join(map(_shown, loop.bounds))}):")
    if phis:
        lines += [
            f"{inner}{carried.name} = phi({_shown(carried.start)} at first, {_shown(carried.next)})"
            for carried in loop.carried
        ]
        if loop.test is not None:
            lines += [f"{inner}if {_shown(ast.UnaryOp(ast.Not(), loop.test))}:", f"{inner}{INDENT}break"]
    body = _block(loop.body, depth + 1, phis)
    if not phis:
        body += [inner + line for line in _carry_on(loop.carried)]
    if loop.stop is not None:
        body += [f"{inner}if {_shown(loop.stop)}:", f"{inner}{INDENT}break"]
    return [*lines, *(body or [f"{inner}pass"])]


def _carry_on(carried: list[Carried]) -> Iterator[str]:
    """Give each carried name its next value: first those that no other needs any more, the rest all at once."""
    waiting = [one for one in carried if not (isinstance(one.next, ast.Name) and one.next.id == one.name)]
    while waiting:
        free = [one for one in waiting if not _needed_by(one.name, [other for other in waiting if other is not one])]
        if not free:
            names = ", ".join(one.name for one in waiting)
            yield f"{names} = {', '.join(_shown(one.next) for one in waiting)}"
            return
        yield f"{free[0].name} = {_shown(free[0].next)}"
        waiting.remove(free[0])


def _needed_by(identifier: str, others: list[Carried]) -> bool:
    return any(identifier in names_in(other.next) for other in others)


def _shown(expression: ast.expr) -> str:
    """The text of an expression; a negative constant is written as minus a constant, for the sake of (-2) ** 2."""

    return ast.unparse(_signed(expression))


def _signed(expression: ast.expr) -> ast.expr:
    if isinstance(expression, ast.Constant):
        negative = expression.value < 0 or str(expression.value) == "-0.0"  # type: ignore[operator]
        return ast.UnaryOp(ast.USub(), ast.Constant(-expression.value)) if negative else expression  # type: ignore[operator]
    return rebuilt(expression, _signed)
