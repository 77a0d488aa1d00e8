"""What an exercise asks, so that a wrong answer can be explained: a forward pass, inputs to draw, and terms.

`minigrad.diagnose` does the work; it is imported when the first answer is judged, so that lessons import quickly.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lessons.anatomy.verdict import Verdict

if TYPE_CHECKING:
    from minigrad.diagnose import Diagnosis, Draw, Problem


@dataclass(frozen=True)
class Term:
    """One summand of a result; its name is the same in the equation, in the code's comments and in the messages.

    Args:
        name: such as "var".
        equation: one line of plain text, such as "-gamma/(N s) * xh * sum(dy*xh)".
        through: the named intermediates through which this part of the gradient flows; () is all that no other claims.
        value: for a result that is no gradient: from the dictionary of values to the term.
        question: what to ask a learner whose term is wrong, so that they find it themselves.
    """

    name: str
    equation: str
    through: tuple[str, ...] = ()
    value: Callable[[dict[str, Any]], Any] | None = None
    question: str = ""


@dataclass(frozen=True)
class Hint:
    """One rung of the ladder; `kind` is "question", "term", "equation", "skeleton" or "solution"."""

    kind: str
    text: str


@dataclass(frozen=True)
class Expected:
    """The diagnosis that an author declares for a mistake.

    `cause` is a part of the sentence; None means that the mistake must be recognised as this one, by its name.
    `terms` are the wrong terms.
    """

    terms: tuple[str, ...] = ()
    cause: str | None = None


@dataclass
class Question:
    """A forward pass in minigrad's functions, how to draw its inputs, and the terms of each result.

    The parameters are those of `minigrad.diagnose.Problem`; `parameters` are the names of the solution's.
    """

    forward: Callable[..., Any]
    inputs: Callable[..., dict[str, Any]]
    sizes: Mapping[str, tuple[int, int]]
    terms: Mapping[str, Sequence[Term]]
    upstream: Sequence[str]
    factors: Mapping[str, Callable[[dict[str, Any]], Any]]
    meanings: Mapping[str, str]
    parameters: Sequence[str]
    tolerance: float = 1e-9
    skeleton: str = field(default="")

    @cached_property
    def problem(self) -> Problem:
        from minigrad import diagnose

        terms = {
            result: [diagnose.Term(t.name, t.equation, t.through, t.value) for t in parts]
            for result, parts in self.terms.items()
        }
        return diagnose.Problem(
            self.forward,
            self.inputs,
            terms,
            sizes=self.sizes,
            upstream=self.upstream,
            factors=self.factors,
            meanings=self.meanings,
        )

    def call(self, candidate: Callable[..., Any], draw: Draw) -> Any:
        """What the candidate returns for one random problem: it receives plain arrays and numbers by position."""
        return candidate(*self.problem.arguments(draw, self.parameters))

    def check(self, candidate: Callable[..., Any]) -> Verdict:
        """Compare a candidate with the tape on every random problem; say what differs in the first that does."""
        verdict = Verdict(False, ("the question draws no problem",))
        names = list(self.terms)
        for draw in self.problem.draws:
            yours = self.call(candidate, draw)
            want = [draw.want[name] for name in names]
            if len(names) == 1:
                verdict = Verdict.from_arrays(names[0], yours, want[0], self.tolerance)
            else:
                verdict = Verdict.from_tuples(names, yours, want, self.tolerance)
            if not verdict.passed:
                return verdict
        return verdict

    def diagnose(self, candidate: Callable[..., Any], mistakes: Mapping[str, Callable[..., Any]]) -> Diagnosis:
        """Which terms of a wrong answer are wrong; declared mistakes help where no factor explains it."""
        from minigrad.diagnose import diagnose_problem

        return diagnose_problem(self.problem, candidate, self.parameters, mistakes)

    def term_named(self, name: str) -> Term | None:
        return next((term for parts in self.terms.values() for term in parts if term.name == name), None)

    def all_terms(self) -> list[Term]:
        return [term for parts in self.terms.values() for term in parts]

    def skeleton_of(self, solution: Callable[..., Any]) -> str:
        """The author's skeleton of the code, or one line for each term of each result."""
        if self.skeleton:
            return inspect.cleandoc(self.skeleton)
        lines = [f"def {solution.__name__}({', '.join(self.parameters)}):"]
        for result, parts in self.terms.items():
            if len(parts) == 1:
                lines.append(f"    {result} = ...  # {parts[0].equation}".rstrip())
                continue
            lines += [f"    {_identifier(t.name)} = ...  # {t.equation}".rstrip() for t in parts]
            lines.append(f"    {result} = {' + '.join(_identifier(t.name) for t in parts)}")
        return "\n".join([*lines, f"    return {', '.join(self.terms)}"])


def _identifier(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)


def ladder(
    solution: Callable[..., Any], hint: str, question: Question | None, diagnosis: Diagnosis | None, source: str
) -> list[Hint]:
    """The hints of an exercise from a question to the solution, about the term that the diagnosis found wrong."""
    known = diagnosis.terms if diagnosis is not None else ()
    wrong = [term for name in known if question is not None and (term := question.term_named(name)) is not None]
    about = wrong[0] if wrong else None
    hints = [Hint("question", about.question if about is not None and about.question else hint)]
    if question is not None:
        if wrong:
            hints.append(Hint("term", _wrong_terms([t.name for t in wrong], diagnosis)))
        elif diagnosis is not None and diagnosis.cause and diagnosis.status != "right":
            hints.append(Hint("term", diagnosis.cause))
        else:
            names = ", ".join(f"`{term.name}`" for term in question.all_terms())
            hints.append(Hint("term", f"The result has these terms: {names}. Print each by itself."))
        shown = wrong or question.all_terms()
        hints.append(Hint("equation", "\n".join(f"{t.name} = {t.equation}" for t in shown)))
        hints.append(Hint("skeleton", question.skeleton_of(solution)))
    return [*hints, Hint("solution", source)]


def _wrong_terms(names: Sequence[str], diagnosis: Diagnosis | None) -> str:
    cause = diagnosis.cause if diagnosis is not None else ""
    marked = ", ".join(f"`{name}`" for name in names)
    return f"Look at the term{'s' if len(names) > 1 else ''} {marked}. {cause}".rstrip()


def spoiled_terms(
    solution: Callable[..., Any], question: Question
) -> dict[tuple[str, str], tuple[str, Callable[..., Any]]]:
    """The solution with one term zeroed, negated or doubled: by (term, what was done), the factor and the candidate.

    A candidate sees only its arguments; which random problem they come from is found by their bytes.
    """
    problem = question.problem
    by_arguments = {_key(problem.arguments(draw, question.parameters)): draw for draw in problem.draws}

    def spoil(result: str, term: str, factor: float) -> Callable[..., Any]:
        def wrong(*arguments: Any) -> Any:
            draw = by_arguments[_key(arguments)]
            returned = solution(*arguments)
            change = (factor - 1) * draw.terms[result][term]
            if len(question.terms) == 1:
                return returned + change
            place = list(question.terms).index(result)
            return (*returned[:place], returned[place] + change, *returned[place + 1 :])

        wrong.__name__ = solution.__name__
        wrong.__signature__ = inspect.signature(solution)  # type: ignore[attr-defined]
        return wrong

    return {
        (term.name, done): (text, spoil(result, term.name, factor))
        for result, parts in question.terms.items()
        for term in parts
        for done, factor, text in (("zeroed", 0.0, "0"), ("negated", -1.0, "-1"), ("doubled", 2.0, "2"))
    }


def _key(arguments: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(a.tobytes() if isinstance(a, np.ndarray) else a for a in arguments)
