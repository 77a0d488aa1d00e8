"""First pass: `return`, `break` and `continue` in the middle of things become plain if and else.

Afterwards a function has one return, its last statement, and a loop is left early only at the end of its body, when a
flag says so. What comes after an `if` that may jump moves into those of its branches that do not. A branch of a branch
may need it as well, and then it stands there twice, as when a compiler duplicates tails.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable

from lessons.systems._source_to_source.errors import UnsupportedSyntax
from lessons.systems._source_to_source.ir import Fresh

MOST_COPIES = 300  # of tails, in one function: their number may double with every branch

Jump = Callable[[ast.Return | ast.Break | ast.Continue], list[ast.stmt]]


def one_return(definition: ast.FunctionDef, fresh: Fresh) -> list[ast.stmt]:
    """The body of a function, with one return."""
    body = definition.body
    returns = [node for node in ast.walk(definition) if isinstance(node, ast.Return)]
    for node in returns:
        if node.value is None:
            raise UnsupportedSyntax(node.lineno, "a return without a value", "Return a number, or a tuple of numbers.")
    if not returns:
        raise UnsupportedSyntax(definition.lineno, "a function that returns nothing", "Return a number or a tuple.")
    last = body[-1] if len(returns) == 1 and isinstance(body[-1], ast.Return) else None
    result = fresh("result") if last is None else ""

    def jump(node: ast.Return | ast.Break | ast.Continue) -> list[ast.stmt]:
        if not isinstance(node, ast.Return) or node is last:
            return [node]
        return [_assign(result, node.value, node)]

    lowering = _Lowering(fresh, result)
    lowered, ends = lowering.block(body, jump)
    if not ends:
        raise UnsupportedSyntax(
            body[-1].lineno, "a way through the function without a return", "Write a return at its end."
        )
    return lowered if last is not None else [*lowered, _like(ast.Return(_load(result)), body[-1])]


class _Lowering:
    def __init__(self, fresh: Fresh, result: str) -> None:
        self.fresh = fresh
        self.result = result
        self.copies = 0

    def block(self, statements: list[ast.stmt], jump: Jump) -> tuple[list[ast.stmt], bool]:
        """Lower a list of statements; also say whether its end is never reached."""
        done: list[ast.stmt] = []
        for place, statement in enumerate(statements):
            rest = statements[place + 1 :]
            if isinstance(statement, (ast.Return, ast.Break, ast.Continue)):
                return [*done, *jump(statement)], True
            if isinstance(statement, ast.If) and _jumps(statement):
                self.count_copies(statement)
                then, then_ends = self.block([*statement.body, *copy.deepcopy(rest)], jump)
                orelse, orelse_ends = self.block([*statement.orelse, *rest], jump)
                lowered = _like(ast.If(statement.test, then or [_like(ast.Pass(), statement)], orelse), statement)
                return [*done, lowered], then_ends and orelse_ends
            if isinstance(statement, (ast.For, ast.While)):
                before, loop, after = self.loop(statement)
                done += [*before, loop]
                if after:
                    forever = isinstance(loop, ast.While) and isinstance(loop.test, ast.Constant) and loop.test.value
                    leaves = any(isinstance(node, ast.Break) for node in _own(statement.body))
                    if forever and not leaves:
                        return [*done, *jump(_like(ast.Return(_load(self.result)), statement))], True
                    lowered, ends = self.block([*after, *rest], jump)
                    return [*done, *lowered], ends
                continue
            if isinstance(statement, ast.If):
                then, _ = self.block(statement.body, jump)
                orelse, _ = self.block(statement.orelse, jump)
                statement = _like(ast.If(statement.test, then, orelse), statement)
            done.append(statement)
        return done, False

    def count_copies(self, statement: ast.If) -> None:
        self.copies += 1
        if self.copies > MOST_COPIES:
            raise UnsupportedSyntax(
                statement.lineno,
                "more early exits, one inside the other, than can be written as if and else",
                "Move a part of the function into a function of its own.",
            )

    def loop(self, loop: ast.For | ast.While) -> tuple[list[ast.stmt], ast.stmt, list[ast.stmt]]:
        """Return what comes before the loop, the loop, and what must be asked after it."""
        returns = [node for node in ast.walk(loop) if isinstance(node, ast.Return)]
        leaves = bool(returns) or any(isinstance(node, ast.Break) for node in _own(loop.body))
        stop = self.fresh("stop") if leaves else ""
        returned = self.fresh("returned") if returns else ""

        def jump(node: ast.Return | ast.Break | ast.Continue) -> list[ast.stmt]:
            if isinstance(node, ast.Continue):
                return []
            flags = [_assign(stop, ast.Constant(True), node)]
            if isinstance(node, ast.Return):
                flags = [
                    _assign(self.result, node.value, node),
                    _assign(returned, ast.Constant(True), node),
                    *flags,
                ]
            return flags

        body, _ = self.block(loop.body, jump)
        if stop:
            body = [_assign(stop, ast.Constant(False), loop), *body]
        lowered = copy.copy(loop)
        lowered.body = body or [_like(ast.Pass(), loop)]
        lowered.stop_flag = stop  # type: ignore[union-attr]
        if not returns:
            return [], lowered, []
        before = [
            _assign(returned, ast.Constant(False), loop),
            _assign(self.result, _zeros_like(returns[0].value), loop),
        ]
        after = ast.If(_load(returned), [_like(ast.Return(_load(self.result)), loop)], [])
        return before, lowered, [_like(after, loop)]


def _own(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Statements that belong to this loop or branch, not to a loop inside it."""
    found: list[ast.stmt] = []
    for statement in statements:
        found.append(statement)
        if isinstance(statement, ast.If):
            found += _own(statement.body) + _own(statement.orelse)
        elif isinstance(statement, (ast.For, ast.While)):
            found += [node for node in ast.walk(statement) if isinstance(node, ast.Return)]
    return found


def _jumps(statement: ast.If) -> bool:
    jumps = (ast.Return, ast.Break, ast.Continue)
    return any(isinstance(node, jumps) for node in _own([*statement.body, *statement.orelse]))


def _zeros_like(value: ast.expr | None) -> ast.expr:
    if isinstance(value, ast.Tuple):
        return ast.Tuple([_zeros_like(element) for element in value.elts], ast.Load())
    return ast.Constant(0.0)


def _load(identifier: str) -> ast.Name:
    return ast.Name(identifier, ast.Load())


def _assign(target: str, value: ast.expr | None, like: ast.stmt) -> ast.stmt:
    assert value is not None
    return _like(ast.Assign([ast.Name(target, ast.Store())], value), like)


def _like(node, old):
    """Give new statements the line number of the old one, for the error messages."""
    return ast.fix_missing_locations(ast.copy_location(node, old))
