"""Third pass: the adjoint program.  Forward through the statements as they are, then back through their pullbacks.

The adjoint of x is called x_bar.  Since every name is assigned once, all uses of a name come after its assignment, so
on the way back all that it receives is known when its assignment is reached: x_bar is a sum, assigned once, too.

A branch goes back through the side that was taken.  A loop runs its body backwards as often as it ran forwards; what
the body needs from its own iteration is pushed on a tape on the way forward and popped on the way back.  A call goes
back through the adjoint of the function that it calls, which computes that function's values again.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

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
    Statement,
    constant,
    copied,
    ends_of_blocks,
    name,
    names_in,
    names_used_here,
    targets_of,
    walk,
)
from lessons.systems._source_to_source.pullbacks import differentiable, pullback

Bars = dict[str, list[ast.expr]]  # what each name has received so far


def adjoint_name(function: str) -> str:
    return f"d{function}"


def adjoint_of(function: Function) -> Function:
    """The adjoint program of a function in SSA form; `place_tapes` makes it complete.

    Its parameters are the adjoints of the results, then the parameters; it returns their adjoints as a tuple.
    """
    function = copied(function)
    return _Reverser(function).adjoint()


class _Reverser:
    def __init__(self, function: Function) -> None:
        self.function = function
        self.active = active_names(function)
        taken = {identifier for statement in walk(function.body) for identifier in _mentioned(statement)}
        self.fresh = Fresh(taken | set(function.parameters) | {"math", function.name, adjoint_name(function.name)})
        self.unread = self.fresh("_")  # the index of loops that only count

    def adjoint(self) -> Function:
        function = self.function
        bars: Bars = {}
        if function.shape is None:
            seeds = [self.fresh(f"{function.name}_bar")]
        else:
            seeds = [self.fresh(f"{function.name}_bar_{place + 1}") for place in range(len(function.results))]
        for result, seed in zip(function.results, seeds, strict=True):
            self.receive(bars, result, name(seed))
        self.count_iterations(function.body)
        backward = self.reversed(function.body, bars)
        results = [self.total(parameter, bars, backward) or constant(0.0) for parameter in function.parameters]
        body = Block([*function.body.statements, *backward.statements])
        return Function(
            adjoint_name(function.name), [*seeds, *function.parameters], body, results, len(function.parameters)
        )

    # ---- what a name receives

    def receive(self, bars: Bars, receiver: ast.expr, share: ast.expr) -> None:
        if isinstance(receiver, ast.Name) and receiver.id in self.active:
            bars.setdefault(receiver.id, []).append(share)

    def total(self, identifier: str, bars: Bars, into: Block) -> ast.expr | None:
        """The adjoint of a name, computed in a statement of its own unless it is a name already; None for zero."""
        shares = bars.pop(identifier, [])
        if not shares:
            return None
        whole = shares[0]
        for share in shares[1:]:
            whole = ast.BinOp(whole, ast.Add(), share)
        if isinstance(whole, (ast.Name, ast.Constant)):
            return whole
        target = self.fresh(f"{identifier}_bar")
        into.statements.append(Assign(target, whole))
        return name(target)

    # ---- statements, last to first

    def reversed(self, block: Block, bars: Bars) -> Block:
        backward = Block(mirror=block)
        for statement in reversed(block.statements):
            if isinstance(statement, Assign):
                self.back_through_assign(statement, bars, backward)
            elif isinstance(statement, Call):
                self.back_through_call(statement, bars, backward)
            elif isinstance(statement, If):
                self.back_through_if(statement, bars, backward)
            else:
                self.back_through_loop(statement, bars, backward)
        return backward

    def back_through_assign(self, statement: Assign, bars: Bars, backward: Block) -> None:
        bar = self.total(statement.target, bars, backward)
        if bar is None:
            return
        if isinstance(statement.value, ast.Name):
            self.receive(bars, statement.value, bar)
            return
        for argument, share in pullback(statement.value, name(statement.target), bar):
            self.receive(bars, argument, share)

    def back_through_call(self, statement: Call, bars: Bars, backward: Block) -> None:
        totals = [self.total(target, bars, backward) for target in statement.targets]
        if all(total is None for total in totals):
            return
        seeds = [total or constant(0.0) for total in totals]
        shares = [self.fresh(f"{_called(argument)}_bar") for argument in statement.arguments]
        call = Call(shares, adjoint_name(statement.function), [*seeds, *statement.arguments], unpacks=True)
        backward.statements.append(call)
        for argument, share in zip(statement.arguments, shares, strict=True):
            self.receive(bars, argument, name(share))

    def back_through_if(self, made: If, bars: Bars, backward: Block) -> None:
        received = {join.target: self.total(join.target, bars, backward) for join in made.joins}
        sides: list[tuple[Block, Bars]] = []
        for block, of_side in ((made.then, "then"), (made.orelse, "orelse")):
            inner: Bars = {}
            for join in made.joins:
                bar = received[join.target]
                if bar is not None:
                    self.receive(inner, getattr(join, of_side), bar)
            sides.append((self.reversed(block, inner), inner))
        outside = sorted(set(sides[0][1]) | set(sides[1][1]))
        if not outside:
            return
        joins = []
        for identifier in outside:
            shares = [self.total(identifier, inner, side) or constant(0.0) for side, inner in sides]
            target = self.fresh(f"{identifier}_bar")
            joins.append(Join(target, shares[0], shares[1]))
            self.receive(bars, name(identifier), name(target))
        backward.statements.append(If(made.test, sides[0][0], sides[1][0], joins))

    def back_through_loop(self, loop: Loop, bars: Bars, backward: Block) -> None:
        starts = {one.name: self.total(one.name, bars, backward) for one in loop.carried}
        if all(start is None for start in starts.values()):
            return
        self.settle(bars, {one.name for one in loop.carried}, backward)
        carried = [one for one in loop.carried if one.name in self.active]
        bar_of = {one.name: self.fresh(f"{one.name}_bar") for one in carried}
        inner: Bars = {}
        for one in carried:
            self.receive(inner, one.next, name(bar_of[one.name]))
        body = self.reversed(loop.body, inner)
        made = []
        for one in carried:
            start = starts[one.name] or constant(0.0)
            before = self.total(one.name, inner, body) or constant(0.0)
            made.append(Carried(bar_of[one.name], start, before))
        for identifier in sorted(inner):  # names from outside, used in every iteration: their shares add up
            adding = self.fresh(f"{identifier}_bar")
            share = self.total(identifier, inner, body)
            assert share is not None
            made.append(Carried(adding, constant(0.0), ast.BinOp(name(adding), ast.Add(), share)))
            self.receive(bars, name(identifier), name(adding))
        for one in carried:
            self.receive(bars, one.start, name(bar_of[one.name]))
        backward.statements.append(_backwards(loop, body, made, self.unread))

    def settle(self, bars: Bars, changing: set[str], backward: Block) -> None:
        """Compute now what mentions names that the reverse loop is going to change."""
        for shares in bars.values():
            for place, share in enumerate(shares):
                if changing & set(names_in(share)) and not isinstance(share, ast.Name):
                    target = self.fresh("settled_bar")
                    backward.statements.append(Assign(target, share))
                    shares[place] = name(target)

    def count_iterations(self, block: Block) -> None:
        """Let loops whose number of iterations is not known beforehand count them."""
        for statement in walk(block):
            if isinstance(statement, Loop) and not _goes_back_by_index(statement):
                count = self.fresh.numbered("count")
                one_more = ast.BinOp(name(count), ast.Add(), constant(1))
                statement.carried.append(Carried(count, constant(0), one_more))


def _goes_back_by_index(loop: Loop) -> bool:
    return loop.bounds is not None and len(loop.bounds) < 3 and loop.stop is None


def _backwards(loop: Loop, body: Block, carried: list[Carried], unread: str) -> Loop:
    """The loop of the reverse sweep: over the same indices from last to first, or as often as was counted."""
    if not _goes_back_by_index(loop):
        return Loop(body, carried, [name(loop.carried[-1].name)], unread)
    assert loop.bounds is not None
    first, last = (constant(0), *loop.bounds) if len(loop.bounds) == 1 else loop.bounds
    bounds = [_minus_one(last), _minus_one(first), constant(-1)]
    return Loop(body, carried, bounds, loop.index, restored=True)


def _minus_one(bound: ast.expr) -> ast.expr:
    return ast.BinOp(bound, ast.Sub(), constant(1))


def active_names(function: Function) -> set[str]:
    """The names that depend on the parameters in a way that can be differentiated."""
    active = set(function.parameters)

    def reaches(expressions: Iterable[ast.expr]) -> bool:
        return any(isinstance(one, ast.Name) and one.id in active for one in expressions)

    while True:
        before = len(active)
        for statement in walk(function.body):
            if isinstance(statement, Assign):
                value = statement.value
                if reaches([value] if isinstance(value, ast.Name) else differentiable(value)):
                    active.add(statement.target)
            elif isinstance(statement, Call):
                if reaches(statement.arguments):
                    active.update(statement.targets)
            elif isinstance(statement, If):
                active.update(join.target for join in statement.joins if reaches((join.then, join.orelse)))
            else:
                active.update(one.name for one in statement.carried if reaches((one.start, one.next)))
        if len(active) == before:
            return active


# ---- tapes


def place_tapes(function: Function) -> None:
    """Save in each block of a forward loop, at its end, what the block that goes back through it needs."""
    mirrors = _Mirrors()
    mirrors.look(function.body, in_loop=False)
    function.tapes = []
    fresh = Fresh(
        {each for statement in walk(function.body) for each in _mentioned(statement)} | {*function.parameters}
    )
    for backward, ends in mirrors.in_loops:
        forward = backward.mirror
        assert forward is not None
        needed = sorted(mirrors.needs(backward, ends) & mirrors.given_by.get(forward, set()))
        forward.push = backward.pop = None
        if needed:
            tape = fresh.numbered("tape_")
            function.tapes.append(tape)
            forward.push = backward.pop = (tape, needed)


class _Mirrors:
    """The blocks of reverse loops, and what their forward blocks give names to."""

    def __init__(self) -> None:
        self.in_loops: list[tuple[Block, list[ast.expr]]] = []  # with what is read at their ends
        self.given_by: dict[Block, set[str]] = {}

    def look(self, block: Block, in_loop: bool) -> None:
        for statement in block.statements:
            inside = in_loop or isinstance(statement, Loop)
            for inner, ends in ends_of_blocks(statement):
                if inner.mirror is not None and inside:
                    self.in_loops.append((inner, ends))
                if inner.mirror is None:
                    given = {target for one in inner.statements for target in targets_of(one)}
                    if isinstance(statement, Loop):
                        given |= {one.name for one in statement.carried}
                        given |= {statement.index} if statement.index and not _goes_back_by_index(statement) else set()
                    self.given_by[inner] = given
                self.look(inner, inside)

    def needs(self, block: Block, ends: list[ast.expr]) -> set[str]:
        """The names that a reverse block uses, less those that its inner blocks bring back by themselves."""
        used = {each for end in ends for each in names_in(end)}
        for statement in block.statements:
            used |= set(names_used_here(statement))
            for inner, inner_ends in ends_of_blocks(statement):
                given = set() if inner.mirror is None else self.given_by.get(inner.mirror, set())
                used |= self.needs(inner, inner_ends) - given
        return used


def _mentioned(statement: Statement) -> Iterable[str]:
    yield from names_used_here(statement)
    yield from targets_of(statement)
    if isinstance(statement, Loop) and statement.index is not None:
        yield statement.index
    if isinstance(statement, Call):
        yield statement.function
        yield adjoint_name(statement.function)


def _called(argument: ast.expr) -> str:
    return argument.id if isinstance(argument, ast.Name) else "unused"
