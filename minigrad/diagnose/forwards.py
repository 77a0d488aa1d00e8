"""Right gradients of a wrong forward pass: a named value was scaled, or an input forgotten, and the rest followed.

Whoever computes the variance with N - 1 and then differentiates without a mistake has no wrong factor on any one term.
Such a result is the exact gradient of another forward pass; so a few other forward passes are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..dtypes import Array
from ..tensor import Tensor
from . import cuts
from .factors import Sizes
from .findings import Case, Finding, by_coefficients, equal
from .problem import Draw, Problem
from .regression import Fit, fit

_NUMBERS = ("0", "-1", "2", "1/2")
_MOST_CUTS = 2  # with more, trying all other forward passes term by term takes too long


@dataclass(frozen=True)
class _Change:
    """One other forward pass: which value is replaced, by what, and how to say so."""

    name: str
    says: str
    factor: Callable[[Sizes], float] | None = None
    power: float = 1.0
    constant: float | None = None

    def applied(self, draw: Draw) -> tuple[Draw, dict[str, Callable[[Tensor], Tensor]]]:
        """The draw with other inputs or upstream gradients, and what replaces its named values."""
        if self.constant is None:
            return draw, {self.name: partial(self._of_value, sizes=draw.sizes)}
        old = draw.values[self.name]
        new = np.full_like(old, self.constant) if isinstance(old, np.ndarray) else self.constant
        if self.name in draw.upstream:
            return replace(draw, upstream={**draw.upstream, self.name: np.asarray(new)}), {}
        return replace(draw, inputs={**draw.inputs, self.name: new}), {}

    def _of_value(self, value: Tensor, sizes: Sizes) -> Tensor:
        return value * self.factor(sizes) if self.factor is not None else value**self.power


def by_forward(problem: Problem, case: Case) -> Finding | None:
    """A forward pass, not far from the right one, of which somebody's result is the exact value or gradient."""
    for change in _changes(problem, case):
        found: list[Array] = []
        for _ in problem.draws:
            i = len(found)
            result = _results(problem, i, change).get(case.result)
            if result is None or not equal([case.yours[i]], [result]):
                break  # nearly always in the first draw, so that a wrong guess is cheap
            found.append(result)
        else:
            through = [term.name for term in case.terms if change.name in term.through] or case.names
            cause = f"{case.result} is right for another forward pass: one in which {change.says}."
            return Finding("wrong forward", cause, dict.fromkeys(through, "another forward"))
    return None


def by_forward_and_factors(problem: Problem, case: Case) -> Finding | None:
    """Another forward pass, and besides a recognised factor on a term of its gradient.

    So it is when the variance was computed with N - 1, and the backward pass derived for N.
    """
    cuts_needed = {name for term in case.terms for name in term.through}
    if not problem.is_gradient(case.result) or len(case.terms) < 2 or len(cuts_needed) > _MOST_CUTS:
        return None
    for change in _changes(problem, case):
        few = _refitted(problem, case, change, [0])
        if few is None or not few[1].explains:
            continue
        whole = _refitted(problem, case, change, range(len(problem.draws)))
        found = None if whole is None else by_coefficients(*whole)
        if found is not None:
            cause = (
                f"{case.result} belongs to another forward pass, one in which {change.says}; and besides: {found.cause}"
            )
            return Finding("wrong forward", cause, found.terms, dims=found.dims)
    return None


def _refitted(problem: Problem, case: Case, change: _Change, chosen: Sequence[int]) -> tuple[Case, Fit] | None:
    """The fit by the terms of another forward pass, in some of the draws."""
    draws = [problem.draws[i] for i in chosen]
    parts = []
    for draw in draws:
        other_draw, changes = change.applied(draw)
        try:
            with np.errstate(all="ignore"):
                part = problem.split(other_draw, case.result, {}, changes)
        except Exception:  # this forward pass refuses the change; it explains nothing
            return None
        if not all(np.all(np.isfinite(term)) for term in part.values()):
            return None
        parts.append(part)
    want = [np.asarray(sum(part.values())) for part in parts]
    other = replace(case, draws=draws, want=want, parts=parts, yours=[case.yours[i] for i in chosen])
    return other, fit(other.columns(), other.by_setting(other.yours))


def _changes(problem: Problem, case: Case) -> Iterator[_Change]:
    first = problem.draws[0]
    if problem.is_gradient(case.result):
        for name in problem.upstream:
            yield _Change(name, f"`{name}` is 1 everywhere", constant=1.0)
            yield _Change(name, f"`{name}` is left out", constant=0.0)
    for name, value in first.inputs.items():
        if name == case.result[1:]:
            continue
        number = isinstance(value, float)
        if number or (isinstance(value, np.ndarray) and value.dtype.kind == "f"):
            yield _Change(name, f"`{name}` is left out (0 stands for it)", constant=0.0)
            yield _Change(name, f"`{name}` is left out (1 stands for it)", constant=1.0)
    ratios = [f"{d}/({d}-1)" for d in problem.dims] + [f"({d}-1)/{d}" for d in problem.dims]
    roots = [text for d in problem.dims for text in (f"sqrt({d})", f"1/sqrt({d})", d, f"1/{d}")]
    factors = [f for f in case.known.factors if f.text in (*_NUMBERS, *ratios, *roots)]
    for name in first.named:
        if name == case.result[1:] or name == case.result:
            continue
        for factor in factors:
            yield _Change(name, f"`{name}` is {factor.text} times what it should be: it {factor.meaning}", factor.value)
        yield _Change(name, f"the square of `{name}` stands for it", power=2.0)
        if np.all(first.values[name] > 0):
            yield _Change(name, f"the square root of `{name}` stands for it", power=0.5)


def _results(problem: Problem, place: int, change: _Change) -> dict[str, Array]:
    """The results of one draw with another forward pass, those that can be computed; kept for the next diagnosis."""
    key = (place, change.name, change.says)
    if key not in problem.elsewhere:
        draw, changes = change.applied(problem.draws[place])
        gradients = [result for result in problem.terms if problem.is_gradient(result)]
        found: dict[str, Array] = {}
        try:
            with np.errstate(all="ignore"):
                if gradients:
                    upstream = [draw.upstream[name] for name in problem.upstream]
                    wrt = [result[1:] for result in gradients]
                    arrays = cuts.gradients(problem.forward, draw.inputs, upstream, wrt, changes)
                    found.update({f"d{name}": array for name, array in arrays.items()})
                if len(gradients) < len(problem.terms):
                    found.update(cuts.run_forward(problem.forward, draw.inputs, changes)[1])
        except Exception:  # as above
            found = {}
        problem.elsewhere[key] = {name: array for name, array in found.items() if np.all(np.isfinite(array))}
    return problem.elsewhere[key]
