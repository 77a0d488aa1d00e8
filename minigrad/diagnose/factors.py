"""The factors that wrong derivations leave behind, and what each of them says about the mistake."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..dtypes import Array

Sizes = Mapping[str, int]
TOLERANCE = 1e-6  # of a coefficient; a regression that passed its other tests is far more exact


@dataclass(frozen=True)
class Factor:
    """A recognised constant: its text, its value as a function of the sizes, and what it means for a term."""

    text: str
    value: Callable[[Sizes], float]
    meaning: str
    dims: tuple[str, ...] = ()


ONE = Factor("1", lambda sizes: 1.0, "is right")

_PLAIN = (
    Factor("0", lambda sizes: 0.0, "is missing"),
    Factor("-1", lambda sizes: -1.0, "has the wrong sign"),
    Factor("2", lambda sizes: 2.0, "counts twice"),
    Factor("1/2", lambda sizes: 0.5, "counts half: a factor 2 is missing"),
    Factor("3", lambda sizes: 3.0, "counts three times"),
    Factor("4", lambda sizes: 4.0, "counts four times"),
    Factor("1/4", lambda sizes: 0.25, "counts a quarter"),
)


def _of_one(d: str) -> Iterator[Factor]:
    def factor(text: str, value: Callable[[int], float], meaning: str) -> Factor:
        return Factor(text, lambda sizes: value(sizes[d]), meaning, (d,))

    def safe(a: float, b: float) -> float:
        return a / b if b else math.inf

    yield factor(d, lambda n: n, f"lacks a factor 1/{d}")
    yield factor(f"1/{d}", lambda n: safe(1, n), f"has one factor 1/{d} too many")
    yield factor(
        f"{d}/({d}-1)",
        lambda n: safe(n, n - 1),
        f"was divided by {d}-1, the forward divides by {d}",
    )
    yield factor(f"({d}-1)/{d}", lambda n: safe(n - 1, n), f"was divided by {d}, the forward divides by {d}-1")
    yield factor(f"sqrt({d})", lambda n: math.sqrt(n), f"lacks a factor 1/sqrt({d})")
    yield factor(f"1/sqrt({d})", lambda n: safe(1, math.sqrt(n)), f"has one factor 1/sqrt({d}) too many")
    yield factor(f"({d}-1)/2", lambda n: (n - 1) / 2, f"has one factor ({d}-1)/2 too many")
    yield factor(f"2/({d}-1)", lambda n: safe(2, n - 1), f"lacks a factor ({d}-1)/2")
    yield factor(f"{d}/2", lambda n: n / 2, f"has one factor {d}/2 too many")
    yield factor(f"2/{d}", lambda n: safe(2, n), f"lacks a factor {d}/2")
    yield factor(f"2*{d}", lambda n: 2 * n, f"lacks a factor 1/(2 {d})")
    yield factor(f"1/(2*{d})", lambda n: safe(1, 2 * n), f"has one factor 1/(2 {d}) too many")
    yield factor(f"{d}-1", lambda n: n - 1, f"lacks a factor 1/({d}-1)")
    yield factor(f"1/({d}-1)", lambda n: safe(1, n - 1), f"has one factor 1/({d}-1) too many")
    yield factor(
        f"{d}/({d}-1)**2", lambda n: safe(n, (n - 1) ** 2), f"lost a factor {d} and was divided by {d}-1 twice"
    )
    yield factor(f"{d}**2", lambda n: n * n, f"lacks a factor 1/{d}**2")
    yield factor(f"1/{d}**2", lambda n: safe(1, n * n), f"has a factor 1/{d}**2 too many")
    yield factor(f"{d}/({d}-2)", lambda n: safe(n, n - 2), f"was divided by {d}-2, the forward divides by {d}")
    yield factor(f"({d}-1)/({d}+1)", lambda n: (n - 1) / (n + 1), f"was scaled by {d}+1 for {d}-1")
    yield factor(f"{d}/({d}+1)", lambda n: n / (n + 1), f"was divided by {d}+1, the forward divides by {d}")


def _of_a_fixed(d: str, n: int) -> Iterator[Factor]:
    """Factors of code that has the number of the first problem in the place of the size."""
    meaning = f"has the number {n} where {d} belongs"
    yield Factor(f"{d}/{n}", lambda sizes: sizes[d] / n, meaning, (d,))
    yield Factor(f"{n}/{d}", lambda sizes: n / sizes[d], meaning, (d,))
    yield Factor(f"sqrt({d}/{n})", lambda sizes: math.sqrt(sizes[d] / n), meaning, (d,))
    yield Factor(f"sqrt({n}/{d})", lambda sizes: math.sqrt(n / sizes[d]), meaning, (d,))


def _of_two(d: str, e: str) -> Iterator[Factor]:
    def factor(text: str, value: Callable[[int, int], float], meaning: str) -> Factor:
        return Factor(text, lambda sizes: value(sizes[d], sizes[e]), meaning, (d, e))

    def safe(a: float, b: float) -> float:
        return a / b if b else math.inf

    for a, b, x, y in ((d, e, 0, 1), (e, d, 1, 0)):
        yield factor(
            f"{a}/{b}",
            lambda n, m, x=x, y=y: safe((n, m)[x], (n, m)[y]),  # type: ignore[misc]
            f"was divided by {b} where {a} belongs",
        )
        yield factor(
            f"({a}-1)/({b}-1)",
            lambda n, m, x=x, y=y: safe((n, m)[x] - 1, (n, m)[y] - 1),  # type: ignore[misc]
            f"was scaled by {a}-1 where {b}-1 belongs",
        )
    yield factor(f"{d}*{e}", lambda n, m: n * m, f"lacks a factor 1/({d} {e})")
    yield factor(f"1/({d}*{e})", lambda n, m: safe(1, n * m), f"has one factor 1/({d} {e}) too many")


def _negated(factor: Factor) -> Factor:
    return Factor(
        f"-({factor.text})" if factor.text.endswith("-1") else f"-{factor.text}",
        lambda sizes: -factor.value(sizes),
        f"{factor.meaning}, and has the wrong sign",
        factor.dims,
    )


class KnownFactors:
    """All the constants that we recognise for these dimensions, the simplest first, with their values at the sizes."""

    def __init__(self, sizes: Sequence[Sizes], meanings: Mapping[str, str] | None = None) -> None:
        first = sizes[0]
        # A dimension of one size everywhere could be any number: 1/4 would be called 1/N.
        dims = [d for d in first if any(s[d] != first[d] for s in sizes)]
        found = [ONE, *_PLAIN, *map(_negated, _PLAIN[2:])]
        singles = [f for d in dims for f in (*_of_one(d), *_of_a_fixed(d, first[d]))]
        doubles = [f for d, e in itertools.combinations(dims, 2) for f in _of_two(d, e)]
        for group in (singles, doubles):
            found += group + [_negated(f) for f in group]
        self.factors = [replace(f, meaning=(meanings or {}).get(f.text, f.meaning)) for f in found[1:]]
        self.factors.insert(0, ONE)
        self.values = np.array([[f.value(s) for s in sizes] for f in found])

    def recognise(self, coefficients: Array) -> Factor | None:
        """The simplest constant that has these values, one for each of the sizes; None if there is none."""
        distance = np.abs(self.values - coefficients)
        fits = np.all(distance <= TOLERANCE * np.maximum(1.0, np.abs(self.values)), axis=1)
        return self.factors[int(np.argmax(fits))] if fits.any() else None
