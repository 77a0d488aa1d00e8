"""The key ``w``: train a tiny model with the learner's function beside the right one, and draw both curves."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lessons.anatomy import Exercise, Lesson, Run
from lessons.anatomy.consequence import Comparison, side_by_side
from lessons.anatomy.text import Style, wrapped
from lessons.workbench.loop.checks import Lent, turn
from lessons.workbench.loop.jobs import Bell, Job
from lessons.workbench.loop.plot import Series, curves
from lessons.workbench.sandbox import Limits, Nursery, Submission, SubmissionError

SECONDS = 2.0
HEIGHT = 12
LIMITS = Limits(seconds=5.0)
_BLUE, _ORANGE = "#0072B2", "#E69F00"


@dataclass(frozen=True)
class Step:
    """So many steps are done."""

    number: int


@dataclass(frozen=True)
class Trained:
    """Both trainings are over."""

    comparison: Comparison


@dataclass(frozen=True)
class Drawn:
    """The figure is written."""

    files: tuple[Path, ...]


@dataclass(frozen=True)
class Failed:
    """The learner's file did not get that far."""

    lines: tuple[str, ...]


def train(
    lesson: Lesson,
    exercise: Exercise,
    path: Path,
    out: Path,
    nursery: Nursery,
    bell: Bell,
    after: Callable[[], None] = lambda: None,
) -> Job:
    """A job that posts `Step` many times, then `Trained` and `Drawn`, or `Failed`; at its end it calls ``after``."""

    def work(job: Job) -> None:
        lent = Lent(nursery)
        try:
            with turn, job.on_cancel(lent.end), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of divisions by zero in yours: what comes of them is the point
                _train(lesson, exercise, path, out, lent, job.post)
        finally:
            after()

    return Job(work, bell)


def _train(
    lesson: Lesson, exercise: Exercise, path: Path, out: Path, nursery: Nursery, post: Callable[[object], None]
) -> None:
    assert exercise.consequence is not None
    try:
        with Submission(path, LIMITS, nursery) as submission:
            if exercise.name not in submission.functions:
                post(Failed((f"{path} does not define {exercise.name}, so there is nothing to train with.",)))
                return

            def after_step(number: int) -> None:
                submission.renew()
                post(Step(number))

            candidate = submission.functions[exercise.name]
            comparison = side_by_side(
                exercise.consequence, candidate, exercise.solution, SECONDS, after_step=after_step
            )
    except SubmissionError as error:
        post(Failed(error.lines))
        return
    except OSError as error:
        post(Failed((f"cannot read {path}: {error.strerror}",)))
        return
    except ValueError as error:
        post(Failed((f"That is the lesson's fault, not yours: {error}",)))
        return
    post(Trained(comparison))  # before the figure: the first import of matplotlib takes a while
    try:
        post(Drawn(draw(comparison, f"{lesson.name}-{exercise.name}", out)))
    except OSError as error:
        post(Failed((f"cannot write the figure: {error.strerror}",)))


def lines(comparison: Comparison, style: Style, width: int, fancy: bool) -> list[str]:
    """The comparison for the terminal: the curves, and what came of them."""
    said = wrapped(comparison.summary(), width)
    if not comparison.yours.losses:
        return said
    series = [
        Series("the right one", comparison.right.smooth(), ".", "34"),
        Series("yours", comparison.yours.smooth(), "o", "33"),
    ]
    picture = curves(series, width - 2, HEIGHT, style, braille=fancy and style.colour)
    return [
        *wrapped(f"Training loss: {comparison.title}", width),
        *(f"  {line}" for line in picture),
        "",
        *said,
    ]


def draw(comparison: Comparison, name: str, out: Path) -> tuple[Path, ...]:
    """Write the figure as NAME.svg, NAME.png and its numbers as NAME.npz into ``out``.  Raises ``OSError``."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # its remarks about fonts would land in the footer
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    curves_of = (("the right one", comparison.right, _BLUE, "-"), ("yours", comparison.yours, _ORANGE, "--"))
    for label, curve, colour, line in curves_of:
        steps = range(1, len(curve.losses) + 1)
        axes.plot(steps, curve.losses, color=colour, alpha=0.25, linewidth=0.8)
        axes.plot(steps, curve.smooth(), line, color=colour, linewidth=2, label=label)
    if comparison.yours.trouble:
        ended = len(comparison.yours.losses)
        height = comparison.yours.losses[-1] if ended else comparison.right.losses[0]
        axes.plot([max(1, ended)], [height], "x", color=_ORANGE, markersize=10, markeredgewidth=3, label="yours ends")
    axes.set(xlabel="step", ylabel="training loss")
    axes.set_title(f"What does this bug do?\n{comparison.title}", fontsize=10)
    axes.legend()
    run = Run(out=out)
    data = {"right": comparison.right.losses, "yours": comparison.yours.losses}
    run.figure(name, figure, alt=f"Training loss by step. {comparison.summary()}", data=data)
    (drawn,) = [item for section in run.sections for item in section.items]
    return getattr(drawn, "files", ())
