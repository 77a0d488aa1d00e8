"""From a candidate's results to a diagnosis: what is wrong with each, and the text that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..dtypes import Array
from .factors import KnownFactors
from .findings import (
    Case,
    Finding,
    by_coefficients,
    by_form,
    by_quantity,
    by_unknown_coefficients,
    equal,
    quoted,
)
from .forwards import by_forward, by_forward_and_factors
from .parts import Diagnosis
from .problem import Draw, Problem, parameters
from .regression import CONDITION, fit
from .table import table


@dataclass(frozen=True)
class KnownMistake:
    """A wrong version that its author has seen before, and the terms that are wrong in it."""

    wrong: Callable[..., Any]
    terms: tuple[str, ...] = ()


def diagnose_problem(
    problem: Problem,
    candidate: Callable[..., Any],
    arguments: Sequence[str] | None = None,
    mistakes: Mapping[str, KnownMistake] | None = None,
) -> Diagnosis:
    """What is wrong with a candidate's results for a problem.

    Args:
        problem: what is wanted, and its terms.
        candidate: called with the values that `arguments` names, always with plain arrays and numbers; returns an
            array, or a tuple of them when the problem has several results. Whatever it raises passes through.
        arguments: names of inputs, named values, upstream gradients or sizes; the candidate's parameters if not given.
        mistakes: wrong versions by name, called as the candidate is.
    """
    names = parameters(candidate) if arguments is None else tuple(arguments)
    results = list(problem.terms)
    yours: dict[str, list[Array]] = {name: [] for name in results}
    for draw in problem.draws:
        returned = candidate(*problem.arguments(draw, names))
        found = _as_results(returned, results)
        if isinstance(found, str):
            return Diagnosis("cannot tell", cause=found, lines=(found,), results=tuple(results))
        for name, array in found.items():
            yours[name].append(array)
    declared = _Declared(problem, names, mistakes or {}, yours)
    judged = []
    for name in results:
        cases = _cases(problem, name, yours)
        if cases:
            findings = [(case, _finding(problem, case, declared)) for case in cases]
            told = [pair for pair in findings if pair[1].kind != "cannot tell"]
            judged.append((told or findings)[0])
    if not judged:
        return Diagnosis("right", cause="Every result is what the tape computes.")
    return _told(problem, judged)


def _as_results(returned: Any, results: Sequence[str]) -> dict[str, Array] | str:
    """The returned arrays by name, or a sentence about what was returned instead."""
    parts: Iterable[Any] = (returned,)
    if len(results) > 1:
        if not isinstance(returned, (tuple, list)):
            return f"It returns {type(returned).__name__}; want a tuple ({', '.join(results)})."
        if len(returned) != len(results):
            return f"It returns {len(returned)} results; want {len(results)}: ({', '.join(results)})."
        parts = returned
    found = {}
    for name, part in zip(results, parts, strict=True):
        array = np.asarray(part)
        if array.dtype.kind not in "fiub":
            return f"{name} is {type(part).__name__}; want an array of floats."
        found[name] = array.astype(np.float64)
    return found


def _cases(problem: Problem, result: str, yours: Mapping[str, Sequence[Array]]) -> list[Case]:
    """The ways to judge a wrong result: from the candidate's own earlier steps, and from the right ones.

    Nothing if the result is right, or follows from those steps.
    """
    draws, mine = problem.draws, yours[result]
    splits = [[draw.terms[result] for draw in draws]]
    if problem.has_steps:
        own = [
            {
                name: arrays[i]
                for name, arrays in yours.items()
                if arrays[i].shape == draw.want[name].shape and np.all(np.isfinite(arrays[i]))
            }
            for i, draw in enumerate(draws)
        ]
        with np.errstate(all="ignore"):
            given = [problem.split_given(draw, result, steps) for draw, steps in zip(draws, own, strict=True)]
        splits.insert(0, given)
    known, cases = KnownFactors(problem.settings, problem.meanings), []
    for parts in splits:
        want = [np.asarray(sum(part.values())) for part in parts]
        if equal(mine, want):
            return []
        if not all(np.all(np.isfinite(w)) for w in want):  # somebody's zero went into a denominator
            continue
        cases.append(Case(result, problem.terms[result], draws, want, parts, mine, known))
    return cases


def _finding(
    problem: Problem,
    case: Case,
    declared: _Declared,
) -> Finding:
    """The simplest explanation that fits exactly; of kind "cannot tell" if there is none."""
    broken = next((i for i, a in enumerate(case.yours) if not np.all(np.isfinite(a))), None)
    if broken is not None:
        bad = case.yours[broken]
        place = [int(i) for i in np.argwhere(~np.isfinite(bad))[0]]
        where = f"[{','.join(map(str, place))}]" if place else ""
        return Finding(
            "cannot tell", f"{case.result}{where} is {bad[tuple(place)]}, which is not a number to judge.", {}
        )
    wanted = {name: [draw.want[name] for draw in problem.draws] for name in problem.terms}
    same_shape = all(a.shape == b.shape for a, b in zip(case.yours, case.want, strict=True))
    if not same_shape:
        found = by_form(case, wanted) or declared.explains(case)
        shapes = f"{case.result} has shape {case.yours[0].shape}, want {case.want[0].shape}."
        return found or Finding("cannot tell", shapes, {})
    fitted = fit(case.columns(), case.by_setting(case.yours))
    if fitted.condition > CONDITION:
        alike = f"On these inputs, the terms {quoted(case.names)} look alike, so their factors cannot be told apart."
        return declared.explains(case) or Finding("cannot tell", alike, {}, fitted)
    simple = by_coefficients(case, fitted) or by_form(case, wanted)
    if simple:
        return simple
    alone, more = by_quantity(case, problem.factors)
    return (
        alone
        or declared.explains(case)
        or by_forward(problem, case)
        or more
        or by_unknown_coefficients(case, fitted)
        or by_forward_and_factors(problem, case)
        or Finding("cannot tell", _not_this(case, declared.mistakes), {}, fitted)
    )


class _Declared:
    """The declared mistakes of an exercise, carried out on the draws when the first of them is asked for."""

    def __init__(
        self,
        problem: Problem,
        arguments: Sequence[str],
        mistakes: Mapping[str, KnownMistake],
        yours: Mapping[str, Sequence[Array]],
    ) -> None:
        self.problem, self.arguments, self.mistakes, self.yours = problem, arguments, mistakes, yours

    @cached_property
    def results(self) -> dict[str, dict[str, list[Array]]]:
        """What each mistake returns, those first that agree with all of somebody's results."""
        found = {}
        for name, mistake in self.mistakes.items():
            returned = self._carried_out(mistake)
            if returned is not None:
                found[name] = returned
        return dict(
            sorted(found.items(), key=lambda item: not all(equal(self.yours[r], a) for r, a in item[1].items()))
        )

    def _carried_out(self, mistake: KnownMistake) -> dict[str, list[Array]] | None:
        names = list(self.problem.terms)
        results: dict[str, list[Array]] = {name: [] for name in names}
        for draw in self.problem.draws:
            try:
                with np.errstate(all="ignore"):
                    found = _as_results(mistake.wrong(*self.problem.arguments(draw, self.arguments)), names)
            except Exception:  # a mistake that cannot be carried out at these sizes explains nothing
                return None
            if isinstance(found, str):
                return None
            for name, array in found.items():
                results[name].append(array)
        return results

    def explains(self, case: Case) -> Finding | None:
        """A mistake that gives the same wrong numbers."""
        for name, results in self.results.items():
            theirs = results[case.result]
            if equal(case.yours, theirs) and not equal(theirs, case.want):
                terms = [t for t in self.mistakes[name].terms if t in case.names] or list(self.mistakes[name].terms)
                cause = f"{case.result} is what comes out if one {_lower(name)}."
                return Finding("declared mistake", cause, dict.fromkeys(terms, "declared"), mistake=name)
        return None


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def _not_this(case: Case, mistakes: Mapping[str, KnownMistake]) -> str:
    terms = f"no multiple of {quoted(case.names)}" if len(case.names) == 1 else f"no sum of {quoted(case.names)}"
    known = f", and none of the {len(mistakes)} mistakes known here" if mistakes else ""
    return f"Cannot tell what is wrong with {case.result}, but not this: it is {terms} with other factors{known}."


def _told(problem: Problem, judged: Sequence[tuple[Case, Finding]]) -> Diagnosis:
    """One diagnosis of all wrong results; what is certain about one does not wait for the others."""
    certain = [finding for _, finding in judged if finding.kind != "cannot tell"]
    kinds = {finding.kind for finding in certain}
    status = next(
        (k for k in ("wrong term", "declared mistake", "wrong forward", "wrong form") if k in kinds), "cannot tell"
    )
    wrong = [case.result for case, _ in judged]
    lines: list[str] = []
    for same in _alike(judged):
        case, finding = same[0]
        name = "Your result" if len(problem.terms) == 1 else f"Your {case.result}"
        if finding.fit is not None or finding.shown is not None:
            lines += table(case, finding, problem.settings, name)
            if len(same) > 1:
                lines.append(f"({', '.join(case.result for case, _ in same[1:])}: the same factors.)")
            lines.append("")
    causes = [_joined_cause(same) for same in _alike(judged)]
    lines += causes
    if problem.has_steps:
        lines.append(_steps_said(problem, wrong))
    factors = {name: text for finding in certain for name, text in finding.terms.items()}
    return Diagnosis(
        status,
        terms=tuple(factors),
        cause=" ".join(causes[:2]),
        lines=tuple(lines),
        results=tuple(wrong),
        factors=tuple(factors.items()),
        mistake=next((finding.mistake for finding in certain if finding.mistake), None),
    )


def _alike(judged: Sequence[tuple[Case, Finding]]) -> list[list[tuple[Case, Finding]]]:
    """The results grouped by what is wrong with them: terms in the same places with the same factors."""
    groups: dict[Any, list[tuple[Case, Finding]]] = {}
    for i, (case, finding) in enumerate(judged):
        places = tuple((case.names.index(n) if n in case.names else -1, text) for n, text in finding.terms.items())
        constant = finding.kind == "wrong term" and set(finding.terms.values()) != {"0"}
        key = (len(case.names), places) if constant else i
        groups.setdefault(key, []).append((case, finding))
    return list(groups.values())


def _joined_cause(same: Sequence[tuple[Case, Finding]]) -> str:
    """The cause of the first result, with the terms of the others that suffer from the same."""
    finding = same[0][1]
    if len(same) == 1 or len(set(finding.terms.values())) > 1:
        return finding.cause
    together = quoted([name for _, other in same for name in other.terms])
    first = next(iter(finding.terms.values()))
    meaning = finding.cause.partition(f" is {first}: ")[2]
    return f"The factor on each of {together} is {first}" + (f": {meaning}" if meaning else ".")


def _steps_said(problem: Problem, wrong: Sequence[str]) -> str:
    right = [name for name in problem.terms if name not in wrong]
    if not right:
        return "Each result was judged from your own results of the other steps."
    return f"{', '.join(right)}: right, given your own results of the other steps."


__all__ = ["Draw", "KnownMistake", "diagnose_problem"]
