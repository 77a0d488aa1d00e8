"""The lesson itself: its metadata, its parts in reading order, its exercises with their checks."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lessons.anatomy.consequence import Consequence, Train
from lessons.anatomy.question import Expected, Hint, Question, Term, ladder
from lessons.anatomy.run import Run, Section, ShowProgress
from lessons.anatomy.source import without_decorators
from lessons.anatomy.verdict import Verdict

if TYPE_CHECKING:
    from minigrad.diagnose import Diagnosis

F = TypeVar("F", bound=Callable[..., Any])

ERRATUM_KINDS = {"M": "wrong mathematics", "C": "code bug", "N": "notation", "W": "misleading wording"}


class LessonError(ValueError):
    """A lesson is put together wrongly: its author has something to repair."""


@dataclass(frozen=True)
class Source:
    """The text that a lesson rebuilds."""

    title: str
    author: str
    year: int
    link: str

    @property
    def credit(self) -> str:
        """The source as it is cited: title, author, year and link."""
        return f"{self.title} ({self.author}, {self.year}), {self.link}"


@dataclass(frozen=True)
class Erratum:
    """What a source printed and what is right instead; ``kind`` is one of `ERRATUM_KINDS`."""

    kind: str
    title: str
    printed: str
    right: str
    source: Source


@dataclass(frozen=True)
class Part:
    """One decorated function of a lesson; ``kind`` is "step", "erratum", "experiment" or "compare"."""

    kind: str
    title: str
    body: Callable[[Run], None]
    terms: tuple[str, ...] = ()
    erratum: Erratum | None = None

    @property
    def name(self) -> str:
        return self.body.__name__

    def run(self, run: Run) -> Section:
        """Run the part and return its section.  An error inside becomes a failed claim; Ctrl-C passes."""
        section = run.begin(self)
        start = time.perf_counter()
        try:
            self.body(run)
        except Exception as error:
            run.record_error(f"{self.name} broke off", error)
        else:
            self._require_evidence(run, section)
        section.seconds = time.perf_counter() - start
        return section

    def _require_evidence(self, run: Run, section: Section) -> None:
        """An erratum of substance must show both that the printed form is wrong and that ours is right."""
        if self.erratum is None or self.erratum.kind not in ("M", "C"):
            return
        kinds = {claim.kind for claim in section.claims}
        for kind, call in (("refuted", "run.refuted"), ("claim", "run.claim")):
            if kind not in kinds:
                run.record_error(f"{self.name} is incomplete", LessonError(f"it never calls {call}"))


@dataclass
class Exercise:
    """A function that the learner writes: the reference solution, its check, and wrong versions of it.

    ``question`` makes wrong answers explainable; ``variants`` are right solutions that are written differently;
    ``expected`` has the diagnosis that is declared for a mistake.
    """

    solution: Callable[..., Any]
    hint: str
    check: Callable[[Callable[..., Any]], Verdict] | None = None
    mistakes: dict[str, Callable[..., Any]] = field(default_factory=dict)
    consequence: Consequence | None = None
    expected: dict[str, Expected] = field(default_factory=dict)
    variants: dict[str, Callable[..., Any]] = field(default_factory=dict)
    question: Question | None = None

    @property
    def name(self) -> str:
        return self.solution.__name__

    def diagnose(self, candidate: Callable[..., Any]) -> Diagnosis | None:
        """Which terms of a wrong answer are wrong; None when the exercise has no question to judge it by."""
        if self.question is None:
            return None
        from minigrad.diagnose import KnownMistake

        known = {name: KnownMistake(wrong, self.expected[name].terms) for name, wrong in self.mistakes.items()}
        return self.question.diagnose(candidate, known)

    def ladder(self, diagnosis: Diagnosis | None = None) -> list[Hint]:
        """Hints from a question to the solution; the diagnosis chooses the term that they speak about.

        The kinds, in this order: "question", "term", "equation", "skeleton", "solution"; an exercise without terms
        has the first and the last.
        """
        return ladder(self.solution, self.hint, self.question, diagnosis, without_decorators(self.solution))


@dataclass
class Lesson:
    """A lesson's metadata and, in file order, its parts and exercises.

    ``needs`` names the lessons to read before; ``minutes`` is the time of a default run; ``headline`` the one
    sentence that the lesson proves; ``exercises`` the number of exercises that `minigrad dev check` expects;
    ``imports`` the lines that a learner's file needs besides NumPy.  ``cell_size`` is the size of the run where the
    lesson is executed cell by cell.
    """

    name: str
    title: str
    subject: str
    source: Source
    headline: str
    needs: tuple[str, ...] = ()
    minutes: float = 1
    exercises: int | None = None
    imports: tuple[str, ...] = ()
    cell_size: str = field(default="quick", init=False, repr=False)
    parts: list[Part] = field(default_factory=list, init=False, repr=False)
    slips: list[Erratum] = field(default_factory=list, init=False, repr=False)
    exercise_list: list[Exercise] = field(default_factory=list, init=False, repr=False)
    _cell_run: Run | None = field(default=None, init=False, repr=False)

    # ---- decorators for the lesson's module

    def step(self, title: str, terms: Iterable[str] = ()) -> Callable[[F], F]:
        """A step of the derivation; ``terms`` are the names it brings into equation, code and messages."""
        return self._part("step", title, terms=tuple(terms))

    def erratum(
        self, kind: str, title: str, *, printed: str, right: str, source: Source | None = None
    ) -> Callable[[F], F]:
        """A wrong line of the source, the lesson's unless another is named.

        Kinds "M" and "C" must call `Run.refuted` and `Run.claim`.
        """
        if kind not in ERRATUM_KINDS:
            raise LessonError(f"erratum {title!r}: kind must be one of {', '.join(ERRATUM_KINDS)}, got {kind!r}")
        return self._part("erratum", title, erratum=Erratum(kind, title, printed, right, source or self.source))

    def smaller_slips(self, rows: Sequence[tuple[str, str, str]], source: Source | None = None) -> None:
        """Notation ("N") and wording ("W") of which there is nothing to measure: rows of (kind, printed, right).

        They are shown as a step of their own, and `minigrad errata` lists them.  Raises `LessonError` for other kinds.
        """
        for kind, printed, right in rows:
            if kind not in ("N", "W"):
                raise LessonError(f"slip {printed!r}: kind must be N or W, got {kind!r}; kinds M and C need evidence")
            self.slips.append(Erratum(kind, "", printed, right, source or self.source))

        def smaller_slips(run: Run) -> None:
            run.table("Notation (N) and wording (W)", ("kind", "printed", "better"), rows)

        smaller_slips.__name__ += "" if source is None else f"_{source.year}"  # names of parts differ
        self._part("step", f"Smaller slips{'' if source is None else f': {source.title}'}")(smaller_slips)

    def experiment(self, title: str) -> Callable[[F], F]:
        """An experiment on data."""
        return self._part("experiment", title)

    def compare(self, title: str) -> Callable[[F], F]:
        """The same quantity from PyTorch."""
        return self._part("compare", title)

    def exercise(self, *, hint: str) -> Callable[[F], F]:
        """A function that the learner writes.

        The decorated body is the reference solution; its signature and docstring become the stub, so it must
        have a docstring.
        """

        def register(solution: F) -> F:
            if not inspect.getdoc(solution):
                raise LessonError(f"exercise {solution.__name__}: needs a docstring; the stub shows it")
            again = self._find(solution.__name__)
            if again is None:
                self.exercise_list.append(Exercise(solution, hint))
            elif _in_main(solution):  # a cell that is run again replaces what it registered before
                again.solution, again.hint = solution, hint
                if again.check is not None:
                    self._check_in_cell(again)
            else:
                raise LessonError(f"exercise {solution.__name__}: registered twice")
            return solution

        return register

    def check(self, exercise: str) -> Callable[[F], F]:
        """The check of an exercise: a function that takes a candidate and returns a `Verdict`."""

        def register(check: F) -> F:
            target = self.exercise_named(exercise)
            if target.check is not None and not _in_main(check):
                raise LessonError(f"exercise {exercise}: has two checks")
            target.check = check
            if _in_main(check):
                self._check_in_cell(target)
            return check

        return register

    def question(
        self,
        exercise: str,
        *,
        inputs: Callable[..., dict[str, Any]],
        sizes: Mapping[str, tuple[int, int]],
        terms: Mapping[str, Sequence[Term]],
        upstream: Sequence[str] = ("dy",),
        factors: Mapping[str, Callable[[dict[str, Any]], Any]] | None = None,
        meanings: Mapping[str, str] | None = None,
        tolerance: float = 1e-9,
        skeleton: str = "",
    ) -> Callable[[F], F]:
        """The forward pass behind an exercise, from (named, **inputs) to Tensors; wrong answers are explained by it.

        The exercise is then checked against the tape's gradients on random problems, unless it has a check of its own.
        The solution's parameters are names of inputs, of named values, of the upstream gradients, or of sizes.

        Args:
            inputs: from (rng, **sizes) to the inputs by name.
            sizes: two sizes of each dimension.
            terms: the results in the order in which they are returned, each with its terms: "dx" is the gradient with
                respect to "x"; a result whose terms have ``value`` is the named value itself.
            upstream: the names of the gradients that arrive at the outputs.
            factors: quantities that mistakes may have multiplied terms with, by name, from the values.
            meanings: what a constant factor says about the mistake, where it is not the usual.
            skeleton: the code with gaps, for the hints; made from the terms unless given.
        """

        def register(forward: F) -> F:
            target = self.exercise_named(exercise)
            if target.question is not None and not _in_main(forward):
                raise LessonError(f"exercise {exercise}: has two questions")
            parameters = tuple(inspect.signature(target.solution).parameters)
            target.question = Question(
                forward, inputs, sizes, terms, upstream, factors or {}, meanings or {}, parameters, tolerance, skeleton
            )
            if target.check is None:
                target.check = target.question.check
                if _in_main(forward):
                    self._check_in_cell(target)
            return forward

        return register

    def mistake(
        self, exercise: str, name: str, *, terms: Iterable[str] = (), cause: str | None = None
    ) -> Callable[[F], F]:
        """A wrong version of an exercise, which its check must fail.

        The declared diagnosis: ``terms`` are wrong, and the cause contains ``cause``. Without ``cause``, the diagnosis
        must recognise it as this mistake, by its name, so the name is what the learner reads: "... if one NAME".
        """

        def register(wrong: F) -> F:
            target = self.exercise_named(exercise)
            if name in target.mistakes and not _in_main(wrong):
                raise LessonError(f"exercise {exercise}: the mistake {name!r} is declared twice")
            target.mistakes[name] = wrong
            target.expected[name] = Expected(tuple(terms), cause)
            return wrong

        return register

    def consequence(self, exercise: str, *, title: str) -> Callable[[Train], Train]:
        """What a wrong version of an exercise does: a small training with it, as `Consequence` describes."""

        def register(train: Train) -> Train:
            target = self.exercise_named(exercise)
            if target.consequence is not None and not _in_main(train):
                raise LessonError(f"exercise {exercise}: has two consequences")
            target.consequence = Consequence(title, train)
            return train

        return register

    def variant(self, exercise: str, name: str) -> Callable[[F], F]:
        """A right version of an exercise, written differently, which its check must pass."""

        def register(right: F) -> F:
            variants = self.exercise_named(exercise).variants
            if name in variants and not _in_main(right):
                raise LessonError(f"exercise {exercise}: the variant {name!r} is declared twice")
            variants[name] = right
            return right

        return register

    # ---- what the command line and the tests use

    @property
    def errata(self) -> list[Part]:
        return [part for part in self.parts if part.erratum is not None]

    def exercise_named(self, name: str) -> Exercise:
        """The exercise called ``name``; raises `LessonError` when none is registered (yet)."""
        found = self._find(name)
        if found is None:
            known = ", ".join(exercise.name for exercise in self.exercise_list) or "none so far"
            raise LessonError(f"lesson {self.name}: no exercise called {name!r} (registered: {known})")
        return found

    def run(
        self,
        size: str = "default",
        seed: int = 0,
        out: Path | str | None = None,
        *,
        show_progress: ShowProgress | None = None,
        before_part: Callable[[Part], None] = lambda part: None,
        after_part: Callable[[Section], None] = lambda section: None,
    ) -> Run:
        """Run all parts in file order and return the `Run` with everything they said.

        ``before_part`` is called with each part before it runs, ``after_part`` with its complete section.
        """
        run = Run(size, seed, out, show_progress)
        for part in self.parts:
            before_part(part)
            after_part(part.run(run))
        return run

    # ---- inside

    def _find(self, name: str) -> Exercise | None:
        return next((exercise for exercise in self.exercise_list if exercise.name == name), None)

    def _part(
        self, kind: str, title: str, terms: tuple[str, ...] = (), erratum: Erratum | None = None
    ) -> Callable[[F], F]:
        def register(body: F) -> F:
            part = Part(kind, title, body, terms, erratum)
            names = [other.name for other in self.parts]
            if part.name not in names:
                self.parts.append(part)
            elif _in_main(body):
                self.parts[names.index(part.name)] = part
            else:
                raise LessonError(f"lesson {self.name}: two parts are called {part.name}")
            if _in_main(body):
                self._run_in_cell(part)
            return body

        return register

    def _run_in_cell(self, part: Part) -> None:
        from lessons.anatomy.account import account

        if self._cell_run is None or self._cell_run.size != self.cell_size:
            self._cell_run = Run(self.cell_size)
        print("\n".join(account(part.run(self._cell_run))))

    def _check_in_cell(self, exercise: Exercise) -> None:
        from lessons.anatomy.account import outcome_lines
        from lessons.anatomy.homework import check_functions

        print("\n".join(outcome_lines(check_functions(self, {exercise.name: exercise.solution})[0])))


def _in_main(function: Callable[..., Any]) -> bool:
    """Whether the function comes from a module that is being executed rather than imported."""
    return function.__module__ == "__main__"
