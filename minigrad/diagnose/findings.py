"""What may be wrong with one result, one hypothesis after the other, from the simplest."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dtypes import Array
from .factors import ONE, Factor, KnownFactors
from .parts import Term
from .problem import Draw
from .regression import Fit, fit

SAME = 1e-9  # relative to the largest wanted entry: what counts as equal, as in the exercises' checks
POWERS = (-1.0, 1.0, -2.0, 2.0, 0.5, -0.5)


_PLURAL = {"is": "are", "has": "have", "was": "were", "lacks": "lack", "counts": "count"}


@dataclass(frozen=True)
class Finding:
    """An explanation of one wrong result: `terms` maps the wrong ones to the factor on each, as text."""

    kind: str
    cause: str
    terms: dict[str, str]
    fit: Fit | None = None
    shown: dict[str, str] | None = None  # factors that are not numbers, by term, for the table
    dims: tuple[str, ...] = ()
    mistake: str | None = None


@dataclass(frozen=True)
class Case:
    """One result that is wrong: the right one, its terms and somebody's, for every draw."""

    result: str
    terms: tuple[Term, ...]
    draws: Sequence[Draw]
    want: Sequence[Array]
    parts: Sequence[dict[str, Array]]
    yours: Sequence[Array]
    known: KnownFactors

    @property
    def names(self) -> list[str]:
        return [term.name for term in self.terms]

    def by_setting(self, arrays: Sequence[Array]) -> list[Array]:
        """Flattened arrays of the draws of each setting, one after the other."""
        settings = range(1 + max(draw.setting for draw in self.draws))
        return [
            np.concatenate([a.reshape(-1) for a, d in zip(arrays, self.draws, strict=True) if d.setting == s])
            for s in settings
        ]

    def columns(self) -> list[Array]:
        each = [self.by_setting([part[name] for part in self.parts]) for name in self.names]
        return [np.stack(columns, axis=1) for columns in zip(*each, strict=True)]


def equal(yours: Sequence[Array], want: Sequence[Array]) -> bool:
    """Whether all arrays agree, shapes included, up to a small share of the largest wanted entry."""
    return all(
        a.shape == b.shape and bool(np.all(np.abs(a - b) <= SAME * (float(np.abs(b).max(initial=0.0)) or 1.0)))
        for a, b in zip(yours, want, strict=True)
    )


def quoted(names: Sequence[str]) -> str:
    """`a`, `b` and `c`."""
    marked = [f"`{name}`" for name in names]
    return marked[0] if len(marked) == 1 else f"{', '.join(marked[:-1])} and {marked[-1]}"


def by_coefficients(case: Case, found: Fit) -> Finding | None:
    """Constant factors on the terms, all of them recognised and at least one not 1."""
    if not found.explains:
        return None
    factors = [case.known.recognise(column) for column in found.coefficients.T]
    if any(f is None for f in factors):
        return None
    wrong = {name: f for name, f in zip(case.names, factors, strict=True) if f is not None and f is not ONE}
    if not wrong:
        return None
    dims = tuple(dict.fromkeys(d for f in wrong.values() for d in f.dims))
    texts = {name: f.text for name, f in wrong.items()}
    return Finding("wrong term", _cause_of(case, wrong), texts, found, dims=dims)


def _cause_of(case: Case, wrong: Mapping[str, Factor]) -> str:
    alike = len(set(wrong.values())) == 1
    factor = next(iter(wrong.values()))
    everything = alike and len(wrong) == len(case.names)
    if everything and factor.text == "0":
        rest = f": nothing of {quoted(case.names)} is in it" if len(wrong) > 1 else ""
        return f"{case.result} is zero{rest}."
    if everything and len(wrong) > 1:
        return f"The factor on every term of {case.result} is {factor.text}: all of it {factor.meaning}."
    if alike and len(wrong) > 1:
        first, _, rest = factor.meaning.partition(" ")
        verbs = f"{_PLURAL.get(first, first)} {rest}"
        return f"The factor on {quoted(list(wrong))} is {factor.text}: they {verbs}."
    return " ".join(f"The factor on `{name}` is {f.text}: it {f.meaning}." for name, f in wrong.items())


def by_form(case: Case, everything: Mapping[str, Sequence[Array]]) -> Finding | None:
    """The right numbers in a wrong arrangement: swapped results, transposed, reversed, or not summed up."""
    result, yours, want = case.result, case.yours, case.want
    for other, theirs in everything.items():
        if other != result and equal(yours, theirs) and not equal(theirs, want):
            return Finding("wrong form", f"What stands in the place of {result} is {other}.", {})
    ndim = want[0].ndim
    if all(a.ndim == ndim for a in yours):
        for order in itertools.permutations(range(ndim)):
            if order != tuple(range(ndim)) and equal([np.transpose(a, order) for a in yours], want):
                how = (
                    "transposed" if ndim == 2 else f"right, but with its axes in another order; transpose{order} of it"
                )
                tail = " of what is wanted" if ndim == 2 else " is wanted"
                return Finding("wrong form", f"{result} is {'the transpose' if ndim == 2 else how}{tail}.", {})
        for size in range(1, ndim + 1):
            for axes in itertools.combinations(range(ndim), size):
                if equal([np.flip(a, axes) for a in yours], want):
                    where = f"axis {axes[0]}" if size == 1 else f"the axes {', '.join(map(str, axes))}"
                    return Finding("wrong form", f"{result} is reversed along {where}.", {})
    for how, reduce in (("summed", np.sum), ("averaged", np.mean)):
        extra = yours[0].ndim - ndim
        if extra > 0 or (extra == 0 and yours[0].shape != want[0].shape):
            for axes in itertools.combinations(range(yours[0].ndim), max(extra, 1)):
                for keep in (False, True):
                    reduced = [np.asarray(reduce(a, axis=axes, keepdims=keep)) for a in yours]
                    if equal(reduced, want):
                        axis = ", ".join(map(str, axes))
                        return Finding("wrong form", f"{result} was not {how} over axis {axis}.", {})
    return None


def quantities(case: Case, extra: Mapping[str, Any]) -> Iterator[tuple[str, list[Array], bool]]:
    """Arrays that broadcast to the result, which somebody may have multiplied a term with: name, values, positive."""
    shapes = [w.shape for w in case.want]
    first = case.draws[0].values
    names = [n for n, v in first.items() if n not in case.draws[0].sizes]
    for name in [*extra, *names]:
        values = []
        for draw, shape in zip(case.draws, shapes, strict=True):
            try:
                with np.errstate(all="ignore"):
                    value = np.asarray(extra[name](draw.values) if name in extra else draw.values[name])
                if value.dtype.kind != "f" or np.broadcast_shapes(value.shape, shape) != shape:
                    break
            except (TypeError, ValueError):
                break
            if not np.all(np.isfinite(value)) or np.any(value == 0):
                break
            values.append(np.broadcast_to(value, shape))
        else:
            yield name, values, all(np.all(v > 0) for v in values)


def by_quantity(case: Case, extra: Mapping[str, Any]) -> tuple[Finding | None, Finding | None]:
    """A power of one quantity as the factor on some of the terms: with nothing else wrong, and with more wrong.

    For each quantity the result is fitted by all terms and by all terms times it, so that one regression decides on
    which terms it stands.
    """
    names, yours = case.names, case.by_setting(case.yours)
    plain = case.columns()
    more: Finding | None = None
    for quantity, values, positive in quantities(case, extra):
        base = case.by_setting(values)
        for power in POWERS if quantity not in extra else (1.0,):
            if not positive and power % 1:
                continue
            with np.errstate(all="ignore"):
                multiplied = [(b**power)[:, None] * c for b, c in zip(base, plain, strict=True)]
            if not all(np.all(np.isfinite(m)) for m in multiplied):
                continue
            if not fit([np.concatenate((plain[0], multiplied[0]), axis=1)], yours[:1]).explains:
                continue  # a third of the work, and the answer for nearly all
            found = fit([np.concatenate(pair, axis=1) for pair in zip(plain, multiplied, strict=True)], yours)
            if not found.explains:
                continue
            text = quantity if quantity in extra else _power_text(quantity, power)
            shown = _factors_with(case, found, text)
            if not shown or not any(text in factor for factor in shown.values()):
                continue
            if set(shown.values()) != {text}:
                cause = " ".join(f"The factor on `{name}` is {factor}." for name, factor in shown.items())
                more = more or Finding("wrong term", cause, shown, shown=shown)
                continue
            whole = len(shown) == len(names) > 1
            on = f"every term of {case.result}" if whole else quoted(list(shown))
            cause = f"The factor on {on} is {text}: {_power_meaning(quantity, power, quantity in extra)}."
            return Finding("wrong term", cause, shown, shown=shown), None
    return None, more


def _factors_with(case: Case, found: Fit, text: str) -> dict[str, str] | None:
    """The wrong terms with their factors, from coefficients of the terms and of the terms times a quantity."""
    shown: dict[str, str] = {}
    count = len(case.names)
    for k, name in enumerate(case.names):
        alone = case.known.recognise(found.coefficients[:, k])
        times = case.known.recognise(found.coefficients[:, count + k])
        if alone is None or times is None:
            return None
        if times.text == "0":
            if alone is not ONE:
                shown[name] = alone.text
        elif alone.text == "0":
            shown[name] = text if times is ONE else f"{times.text} * {text}"
        else:
            return None  # a sum of both, which is no mistake that we could name
    return shown


def _power_text(quantity: str, power: float) -> str:
    root = {1.0: quantity, 2.0: f"{quantity}**2", 0.5: f"sqrt({quantity})"}[abs(power)]
    return root if power > 0 else f"1/{root}"


def _power_meaning(quantity: str, power: float, declared: bool) -> str:
    text = quantity if declared else _power_text(quantity, power)
    if text.startswith("1/"):
        return f"a factor {text[2:]} is missing"
    return f"there is a factor {text} too many"


def by_unknown_coefficients(case: Case, found: Fit) -> Finding | None:
    """The terms explain everything, but a coefficient is no constant that we know."""
    if not found.explains or any(len(c) <= len(case.names) for c in case.by_setting(case.yours)):
        return None  # as many unknowns as elements would explain anything
    wrong: dict[str, str] = {}
    dims: list[str] = []
    for name, column in zip(case.names, found.coefficients.T, strict=True):
        factor = case.known.recognise(column)
        if factor is not ONE:
            wrong[name] = factor.text if factor is not None else _numbers(column)
            dims += factor.dims if factor is not None else []
    if not wrong:
        return None
    named = [f"on `{name}` it is {text}" for name, text in wrong.items()]
    cause = f"The factor on every term should be 1; {' and '.join(named)}, which is no constant that is known here."
    return Finding("wrong term", cause, wrong, found, dims=tuple(dict.fromkeys(dims)))


def _numbers(column: Array) -> str:
    different = list(dict.fromkeys(f"{value:.6g}" for value in column))
    return different[0] if len(different) == 1 else f"{different[0]} (at other sizes {', '.join(different[1:3])})"
