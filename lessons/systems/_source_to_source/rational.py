"""Algebra on one expression: bring it to N / D with polynomials, and divide.

It finds (a + a*b) / (1 + b) = a, because 1 + b divides a + a*b without a rest.  Calls such as math.sin(x) count as
unknowns.  It does not look for common factors that are less than the whole denominator (that takes a greatest common
divisor), knows nothing of sin**2 + cos**2, and rounds elsewhere than the original.  It is also blind to the point where
the denominator is zero: the original has no value at b = -1, and the result has.
"""

from __future__ import annotations

import ast
import math
from fractions import Fraction

Monomial = tuple[tuple[str, int], ...]  # ((name, power), ...), sorted by name
Polynomial = dict[Monomial, Fraction]

ONE: Polynomial = {(): Fraction(1)}
MOST_TERMS = 200  # beyond, nobody would call the result simple


def simplified(source: str) -> str:
    """The expression in its simplest form, as source text; unchanged where this would not make it shorter."""
    tree = ast.parse(source, mode="eval").body
    try:
        top, bottom = _fraction(tree)
    except _NotRational:
        return ast.unparse(tree)
    quotient = divided(top, bottom)
    if quotient is not None:
        text = _text(quotient)
    else:
        inverse = divided(bottom, top)
        text = f"1 / ({_text(inverse)})" if inverse is not None else f"({_text(top)}) / ({_text(bottom)})"
    text = ast.unparse(ast.parse(text, mode="eval").body)
    return text if _length(text) < _length(source) else ast.unparse(tree)


class _NotRational(Exception):
    """The expression has more than + - * / and integer powers, or grows too long."""


def _fraction(node: ast.expr) -> tuple[Polynomial, Polynomial]:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return {(): Fraction(node.value)} if node.value else {}, ONE
    if isinstance(node, (ast.Name, ast.Call)):
        return {((ast.unparse(node), 1),): Fraction(1)}, ONE
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        top, bottom = _fraction(node.operand)
        return _times(top, {(): Fraction(-1)}), bottom
    if isinstance(node, ast.BinOp):
        return _operation(node)
    raise _NotRational


def _operation(node: ast.BinOp) -> tuple[Polynomial, Polynomial]:
    top, bottom = _fraction(node.left)
    if isinstance(node.op, ast.Pow):
        if not isinstance(node.right, ast.Constant) or node.right.value not in range(9):
            raise _NotRational
        power = int(node.right.value)
        return _power(top, power), _power(bottom, power)
    other_top, other_bottom = _fraction(node.right)
    if isinstance(node.op, ast.Mult):
        return _times(top, other_top), _times(bottom, other_bottom)
    if isinstance(node.op, ast.Div) and other_top:
        return _times(top, other_bottom), _times(bottom, other_top)
    if isinstance(node.op, (ast.Add, ast.Sub)):
        sign = {(): Fraction(1 if isinstance(node.op, ast.Add) else -1)}
        if bottom == other_bottom:
            return _plus(top, _times(other_top, sign)), bottom
        return _plus(_times(top, other_bottom), _times(_times(other_top, bottom), sign)), _times(bottom, other_bottom)
    raise _NotRational


def divided(top: Polynomial, bottom: Polynomial) -> Polynomial | None:
    """The quotient when `bottom` divides `top` without a rest; None otherwise."""
    quotient: Polynomial = {}
    rest = dict(top)
    if not bottom:
        return None
    leading = max(bottom, key=_order)
    while rest:
        term = max(rest, key=_order)
        factor = _over(term, leading)
        if factor is None:
            return None
        share: Polynomial = {factor: rest[term] / bottom[leading]}
        quotient = _plus(quotient, share)
        rest = _plus(rest, _times(_times(share, bottom), {(): Fraction(-1)}))
    return quotient


def _order(monomial: Monomial) -> tuple[int, tuple[tuple[str, int], ...]]:
    """By degree, then by the powers of the names in a fixed order: an order that multiplication respects."""
    return sum(power for _, power in monomial), tuple((_reversed(each), power) for each, power in monomial)


def _reversed(identifier: str) -> str:
    return "".join(chr(0x10FFFF - ord(c)) for c in identifier) + chr(0x10FFFF)


def _over(term: Monomial, by: Monomial) -> Monomial | None:
    powers = dict(term)
    for identifier, power in by:
        powers[identifier] = powers.get(identifier, 0) - power
    if min(powers.values(), default=0) < 0:
        return None
    return tuple(sorted((identifier, power) for identifier, power in powers.items() if power))


def _plus(x: Polynomial, y: Polynomial) -> Polynomial:
    total = dict(x)
    for monomial, factor in y.items():
        total[monomial] = total.get(monomial, Fraction(0)) + factor
    return {monomial: factor for monomial, factor in total.items() if factor}


def _times(x: Polynomial, y: Polynomial) -> Polynomial:
    product: Polynomial = {}
    for one, factor in x.items():
        for other, by in y.items():
            powers = dict(one)
            for identifier, power in other:
                powers[identifier] = powers.get(identifier, 0) + power
            product = _plus(product, {tuple(sorted(powers.items())): factor * by})
    if len(product) > MOST_TERMS:
        raise _NotRational
    return product


def _power(x: Polynomial, power: int) -> Polynomial:
    result = ONE
    for _ in range(power):
        result = _times(result, x)
    return result


def _text(polynomial: Polynomial) -> str:
    if not polynomial:
        return "0.0"
    terms = sorted(polynomial.items(), key=lambda item: _order(item[0]), reverse=True)
    return " + ".join(_term(monomial, factor) for monomial, factor in terms).replace("+ -", "- ")


def _term(monomial: Monomial, factor: Fraction) -> str:
    factors = [identifier if power == 1 else f"{identifier} ** {power}" for identifier, power in monomial]
    if not factors:
        return _number(factor)
    if abs(factor) == 1:
        return ("-" if factor < 0 else "") + " * ".join(factors)
    return " * ".join([_number(factor), *factors])


def _number(factor: Fraction) -> str:
    whole = factor.denominator == 1
    exact = math.isfinite(float(factor)) and Fraction(float(factor)) == factor
    return str(factor.numerator) if whole else repr(float(factor)) if exact else str(factor)


def _length(source: str) -> int:
    return sum(isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Call)) for node in ast.walk(ast.parse(source)))
