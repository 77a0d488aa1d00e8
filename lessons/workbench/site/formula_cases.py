"""Choices in formulas: cases that are written once, and those that need not be written at all."""

from __future__ import annotations

from lessons.workbench.site.formula_tree import (
    Binary,
    Cases,
    Compared,
    Function,
    Local,
    Negative,
    Node,
    Not,
    Number,
    Reshaped,
    Several,
    Symbol,
)


def cases(condition: Node, if_true: Node, otherwise: Node) -> Node:
    """The choice of two values; further choices that stand in its last branch become branches of the same."""
    match condition:
        case Compared("==", Symbol(name, "attribute"), Number(number)) if _reduced(
            _with(otherwise, name, number)
        ) == _reduced(if_true):
            return otherwise
        case Not(inner):
            return cases(inner, otherwise, if_true)
    if isinstance(if_true, Several) and isinstance(otherwise, Several) and len(if_true.parts) == len(otherwise.parts):
        pairs = zip(if_true.parts, otherwise.parts, strict=True)
        return Several(tuple(cases(condition, a, b) for a, b in pairs))
    if_true, otherwise = _knowing(condition, True, if_true), _knowing(condition, False, otherwise)
    last = otherwise
    while isinstance(last, Reshaped) and not last.details and last.how == "same":
        last = last.operand
    if isinstance(last, Cases):
        return Cases(((condition, if_true), *last.branches), last.otherwise)
    return Cases(((condition, if_true),), otherwise)


def _knowing(condition: Node, holds: bool, node: Node) -> Node:
    """The node where the condition holds, or does not: choices by the same condition are made.

    Only where every element is computed by itself: in a sum, the condition would be that of another element.
    """
    match node:
        case Cases(branches, otherwise) if branches[0][0] == condition:
            if holds:
                return branches[0][1]
            return otherwise if len(branches) == 1 else Cases(branches[1:], otherwise)
        case Binary(sign, left, right) if sign != "@":
            return Binary(sign, _knowing(condition, holds, left), _knowing(condition, holds, right))
        case Negative(operand):
            return Negative(_knowing(condition, holds, operand))
        case Function(name, arguments):
            return Function(name, tuple(_knowing(condition, holds, a) for a in arguments))
        case Local(name, meaning):
            known = _knowing(condition, holds, meaning)
            return node if known == meaning else Local(name, known)
    return node


def _with(node: Node, name: str, number: float) -> Node:
    """The node with a number in place of a name."""
    match node:
        case Symbol(n) if n == name:
            return Number(number)
        case Binary(sign, left, right):
            return Binary(sign, _with(left, name, number), _with(right, name, number))
        case Negative(operand):
            return Negative(_with(operand, name, number))
    return node


def _reduced(node: Node) -> Node:
    """Without factors 1."""
    match node:
        case Negative(operand):
            return Negative(_reduced(operand))
        case Binary("*", left, Number(1)):
            return _reduced(left)
        case Binary("*", left, Negative(Number(1))):
            return Negative(_reduced(left))
    return node
