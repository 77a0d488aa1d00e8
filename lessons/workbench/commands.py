"""What each command does.  A command takes the parsed arguments and returns the exit code."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from lessons.anatomy import Lesson, Outcome, Part, Run, Section, stub_file
from lessons.anatomy.account import body, claim_lines, heading, outcome_lines
from lessons.anatomy.files import write_atomically
from lessons.anatomy.run import Figure
from lessons.anatomy.text import counted, wrapped
from lessons.workbench import catalogue, overview, progress, report, screen
from lessons.workbench import errata as errata_
from lessons.workbench.errors import UsageError
from lessons.workbench.loop import commands as loop
from lessons.workbench.sandbox import Submission, SubmissionError, check_in_child
from lessons.workbench.sandbox.submission import clean
from lessons.workbench.site.places import place_line, place_of

OK, FAILED = 0, 1


def homework(name: str) -> Path:
    """Where the learner's file for a lesson lies unless they say otherwise."""
    return Path("homework") / f"{name}.py"


def list_lessons(args: argparse.Namespace) -> int:
    if args.names:
        print(*(entry.name for entry in catalogue.entries()), sep="\n")
        return OK
    lines, problems = overview.listing(args.homework, screen.style(), screen.width())
    print(*lines, sep="\n")
    return FAILED if problems else OK


def run(args: argparse.Namespace) -> int:
    lesson = catalogue.find(args.name)
    out = _output_folder(args.out or Path("minigrad-out") / lesson.name)
    (out / report.NAME).unlink(missing_ok=True)  # an interrupt must not leave the report of another run
    style, width = screen.style(), screen.width()

    print(f"{style.bold(lesson.title)}\n")
    print(*wrapped(lesson.headline, width), sep="\n")
    print(*wrapped(f"rebuilds: {lesson.source.credit}", width), "", sep="\n")

    def show_heading(part: Part) -> None:  # at once, so that a bar appears below what it belongs to
        print("\n".join(heading(part, style)), flush=True)

    def show_body(section: Section) -> None:
        print("\n".join(body(section, style, width)), flush=True)

    start = time.perf_counter()
    bars = progress.bars(sys.stderr)
    done = lesson.run(args.size, args.seed, out, show_progress=bars, before_part=show_heading, after_part=show_body)
    written = report.write(lesson, done, out)
    _summary(lesson, done, written, time.perf_counter() - start)
    return OK if done.passed else FAILED


def _output_folder(out: Path) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot make this folder ({error.strerror})") from error
    if not os.access(out, os.W_OK | os.X_OK):
        raise UsageError(f"--out {out}: this folder cannot be written to")
    return out


def _summary(lesson: Lesson, done: Run, written: Path, seconds: float) -> None:
    style = screen.style()
    failed = [claim for claim in done.claims if not claim.passed]
    if failed:
        print(style.bad(f"{len(failed)} of {counted(len(done.claims), 'claim')} failed:"))
        print(*claim_lines(failed, style, screen.width()), sep="\n")
    elif done.claims:
        print(style.good(f"Held: {counted(len(done.claims), 'claim')}, all of them."))
    else:
        print(style.bad("The lesson made no claim, so it showed nothing."))
    figures = [item for section in done.sections for item in section.items if isinstance(item, Figure)]
    drawn = counted(len(figures), "figure")
    print(f"Written: {drawn} and {written.name} in {written.parent}{os.sep}  ({seconds:.1f} s)")
    if lesson.exercise_list and not failed:
        print(f"Now write it yourself:  minigrad stub {lesson.name}")


def stub(args: argparse.Namespace) -> int:
    lesson = catalogue.find(args.name)
    if args.out == "-":
        print(stub_file(lesson), end="")
        return OK
    path = homework(lesson.name) if args.out is None else Path(args.out)
    command = f"minigrad check {args.name}" + ("" if args.out is None else f" {path}")
    if path.exists():
        raise UsageError(f"{path} exists and may hold your work; move it away, or choose another --out")
    try:
        write_atomically(path, stub_file(lesson, command).encode())
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    print(f"Wrote {path}: {counted(len(lesson.exercise_list), 'exercise')}. When one is solved:  {command}")
    return OK


def check(args: argparse.Namespace) -> int:
    name = args.name or loop.current_lesson(homework("").parent)
    lesson = catalogue.find(name)
    path = args.file or homework(lesson.name)
    style = screen.style()
    said = 0

    def show(outcome: Outcome, submission: Submission) -> None:
        nonlocal said
        _show_printed(submission.printed[said:])
        said = len(submission.printed) if submission.alive else 0  # a fresh child begins with an empty page
        page = place_line(place_of(lesson, outcome))
        print(*outcome_lines(outcome, style), *([f"    {style.dim(page)}"] if page else []), sep="\n", flush=True)

    try:
        outcomes = check_in_child(lesson, path, after=show)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: no such file; `minigrad stub {name}` writes one to start from") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except SubmissionError as error:
        _show_printed(error.printed)
        print(style.bad("FAIL"), error)
        return FAILED
    passed = sum(outcome.passed for outcome in outcomes)
    print(f"{lesson.name}: {passed} of {counted(len(outcomes), 'exercise')} passed.")
    return OK if passed == len(outcomes) else FAILED


def grade(args: argparse.Namespace) -> int:
    from lessons.workbench.grade.command import grade

    return OK if grade(args) else FAILED


PRINTED = 40  # lines of what the learner's code prints during one check that are worth showing


def _show_printed(text: str) -> None:
    lines = text.splitlines()
    for line in lines[:PRINTED]:
        print(f"  | {clean(line)}")
    if len(lines) > PRINTED:
        print(f"  | ... and {counted(len(lines) - PRINTED, 'line')} more")


def errata(args: argparse.Namespace) -> int:
    """List the errata and run each one, so that what is shown are measured numbers."""
    lessons = [catalogue.find(args.name)] if args.name else catalogue.all_lessons()
    found = errata_.collect(lessons)
    if args.json:
        print(errata_.as_json(found))
    elif args.markdown:
        print(errata_.as_markdown(found), end="")
    else:
        print(*errata_.as_table(found, screen.style(), screen.width()), sep="\n")
    return OK if all(row.held for row in found) else FAILED


def doctor(args: argparse.Namespace) -> int:
    from lessons.workbench.doctor import PROBES, examine, kernel_probes

    return OK if examine(kernel_probes() if args.kernels else PROBES, screen.style()) else FAILED


def bench(args: argparse.Namespace) -> int:
    from lessons.workbench.bench import run

    return OK if run(args) else FAILED


def data(args: argparse.Namespace) -> int:
    from lessons.data.download import fetch_mnist
    from lessons.data.files import mnist_folder

    destination = args.out or mnist_folder()
    with progress.Transfer(sys.stderr) as transfer:
        paths = fetch_mnist(args.source, destination, transfer.report)
    print(f"MNIST is complete, every SHA-256 as published: {counted(len(paths), 'file')} in {destination}")
    return OK


def site(args: argparse.Namespace) -> int:
    from lessons.workbench.site.command import site

    return site(args)


def notebook(args: argparse.Namespace) -> int:
    from lessons.workbench.notebook import notebook

    notebook(args)
    return OK


def dev_check(args: argparse.Namespace) -> int:
    from lessons.workbench.devcheck import problems

    lessons = [catalogue.find(args.name)] if args.name else catalogue.all_lessons()
    found = [problem for lesson in lessons for problem in problems(lesson)]
    for problem in found:
        print(f"{screen.style().bad('FAIL')} {problem}")
    exercises = [exercise for lesson in lessons for exercise in lesson.exercise_list]
    mistakes = sum(len(exercise.mistakes) for exercise in exercises)
    terms = sum(len(exercise.question.all_terms()) for exercise in exercises if exercise.question is not None)
    if not found:
        told_apart = f"stubs, solutions and {counted(mistakes, 'declared mistake')}"
        print(f"{counted(len(exercises), 'exercise')}: {told_apart} are told apart.")
        if terms:
            print(f"{counted(terms, 'term')}: each is found when it is zeroed, negated or doubled.")
    return FAILED if found else OK


def dev_new(args: argparse.Namespace) -> int:
    from lessons.workbench.scaffold import new_lesson

    lesson, test = new_lesson(args.name, args.subject, args.out)
    name = args.name if args.out is None else lesson
    print(f"Wrote {lesson} and {test}. Next:")
    for command in (f"minigrad run {name} --quick", f"pytest -q {test}", f"minigrad dev check {name}"):
        print(f"    {command}")
    return OK
