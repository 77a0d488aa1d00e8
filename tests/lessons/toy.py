"""A small lesson with every kind of part, for the tests of the anatomy and of the command line."""

from __future__ import annotations

import numpy as np

from lessons.anatomy import Lesson, Run, Source, Verdict

lesson = Lesson(
    name="toy",
    title="Twice is the sum of two: 2·x = x + x",
    subject="foundations",
    source=Source("On doubling", "A. Author", 1999, "https://example.org/doubling"),
    headline="Doubling x̂ is adding it to itself.",
    needs=("counting",),
    minutes=0.5,
    exercises=2,
)


@lesson.exercise(hint="Add x to itself.")
def double(
    x: np.ndarray,  # any shape
    times: int = 1,
) -> np.ndarray:
    """Twice x, ``times`` times.

    Shapes: x and the result are equal.
    """
    for _ in range(times):
        x = x + x
    return x


@lesson.check("double")
def check_double(candidate):
    x = np.random.default_rng(0).normal(size=(2, 3))
    return Verdict.from_arrays("double", candidate(x, times=2), 4 * x, tolerance=1e-12)


@lesson.mistake("double", "doubles once only")
def doubles_once(x, times=1):
    return 2 * x


@lesson.mistake("double", "squares instead")
def squares(x, times=1):
    return x**2


@lesson.consequence("double", title="x * x, whose derivative is double(x), from x = 3")
def descend(candidate, rng):
    x = 3 + 1e-3 * rng.normal(size=1)
    while True:
        yield float((x * x)[0])
        x = x - 0.1 * candidate(x)


@lesson.exercise(hint="The sign of each half.")
def halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays that add up to x: its positive and its negative part."""
    return np.maximum(x, 0), np.minimum(x, 0)


@lesson.check("halves")
def check_halves(candidate):
    x = np.random.default_rng(1).normal(size=5)
    return Verdict.from_tuples(("positive", "negative"), candidate(x), (np.maximum(x, 0), np.minimum(x, 0)), 1e-12)


@lesson.mistake("halves", "in the wrong order")
def wrong_order(x):
    return np.minimum(x, 0), np.maximum(x, 0)


@lesson.step("Step 1: the γ of the sum", terms=("sum",))
def the_sum(run: Run) -> None:
    x = run.rng.normal(size=run.pick(quick=3, default=30, full=300))
    run.note("A sum of two equal numbers x, x is 2·x.")
    run.claim("x + x is double(x)", np.abs(x + x - double(x)).max(), below=1e-15)
    run.results["x"] = x


@lesson.erratum("M", "the sign of the second x", printed="2x = x - x", right="2x = x + x")
def sign_slip(run: Run) -> None:
    run.refuted("printed form", abs(2.0 - 0.0), above=0.1)
    run.claim("right form", 0.0, below=1e-15)


@lesson.erratum("W", "doubling called squaring", printed="squared", right="doubled")
def wording(run: Run) -> None:
    run.note("Nothing to measure.")


@lesson.experiment("Many doublings")
def many(run: Run) -> None:
    from matplotlib.figure import Figure

    xs = [double(np.ones(1), times=n)[0] for n in run.progress(range(10), "doubling")]
    fig = Figure()
    fig.subplots().plot(xs)
    run.figure("doublings", fig, alt="a curve that doubles with each step", data={"xs": np.array(xs)})
    run.table("Doublings", ("n", "value"), [(n, x) for n, x in enumerate(xs)][:3])
    run.claim("ten doublings after the first", xs[-1], equals=512.0)


@lesson.compare("Against recorded values")
def recorded(run: Run) -> None:
    run.compare("double", double(np.arange(3.0)), recorded=[0.0, 2.0, 4.0])
