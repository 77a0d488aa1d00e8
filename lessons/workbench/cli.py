"""The command line: ``minigrad`` and ``python -m lessons``.

Exit codes: 0 all is well; 1 a claim or a check failed; 2 the command cannot be carried out; 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from lessons.anatomy import LessonError
from lessons.anatomy.run import SIZES
from lessons.workbench import commands, report, screen
from lessons.workbench.errors import UsageError
from lessons.workbench.loop import commands as loop
from lessons.workbench.site.places import FOLDER

UNUSABLE = 2
INTERRUPTED = 128 + signal.SIGINT
NO_READER = 141  # what a shell reports for a program that SIGPIPE ended


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command line (``sys.argv[1:]`` when None) and return its exit code."""
    with screen.any_encoding():
        try:
            code = _carry_out(argv)
            if sys.stdout is not None:  # it is None when the program was started with it closed
                sys.stdout.flush()
        except BrokenPipeError:
            # Nobody reads on, as in `minigrad list | head -1`.  Python flushes once more at exit: to nowhere.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return NO_READER
        except KeyboardInterrupt:
            print("\nminigrad: interrupted; files written so far are complete", file=sys.stderr)
            return INTERRUPTED
        return code


def _carry_out(argv: Sequence[str] | None) -> int:
    try:
        args = parse(argv)
    except SystemExit as stop:  # argparse has printed help, the version or a usage error
        return int(stop.code or 0)
    try:
        return int(args.command(args))
    except Exception as error:
        if not _is_ours(error):
            raise
        print(f"minigrad: {error}", file=sys.stderr)
        return UNUSABLE


def _is_ours(error: Exception) -> bool:
    """Whether the message is meant for the reader.  `minigrad` is asked only if something imported it."""
    library = sys.modules.get("minigrad.errors")
    ours = (UsageError, LessonError) if library is None else (UsageError, LessonError, library.MinigradError)
    return isinstance(error, ours)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The parsed command line.  Raises `SystemExit`, as argparse does, when it has nothing to carry out."""
    top = parser()
    args = top.parse_args(argv)
    for option in ("plain", "once", "json", "lesson"):
        if args.command is not loop.loop and getattr(args, f"loop_{option}"):
            top.error(f"--{option} belongs to the bare command: minigrad --{option}")
    return args


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; every command sets ``command`` to its function."""
    top = argparse.ArgumentParser(
        prog="minigrad", description="Understand deep learning by rebuilding it.", allow_abbrev=False
    )
    top.add_argument("--version", action="version", version=f"minigrad {report.version()}")
    loop_options = top.add_argument_group("the loop: without a command, minigrad watches your homework")
    loop_options.add_argument("--lesson", dest="loop_lesson", metavar="NAME", help="begin there: LESSON[/EXERCISE]")
    loop_options.add_argument("--plain", dest="loop_plain", action="store_true", help="no colours, nothing moves")
    loop_options.add_argument(
        "--once", dest="loop_once", action="store_true", help="one check; exit code 0 if it passes"
    )
    loop_options.add_argument(
        "--json", dest="loop_json", action="store_true", help="one JSON object a line, for programs"
    )
    _add_homework(loop_options, loop.HOMEWORK)
    top.set_defaults(command=loop.loop)
    add = top.add_subparsers(title="commands", metavar="COMMAND").add_parser

    for name, function, text in (
        ("hint", loop.hint, "the next hint, for what is wrong now"),
        ("reveal", loop.reveal, "the solution; it is remembered that you saw it"),
        ("reset", loop.reset, "make an exercise a stub again; your file is backed up"),
    ):
        command = add(name, help=text)
        needed = "?" if name == "hint" else None
        command.add_argument("name", nargs=needed, metavar="NAME", help="LESSON, EXERCISE or LESSON/EXERCISE")
        _add_homework(command, argparse.SUPPRESS)
        command.set_defaults(command=function)

    command = add("list", help="the lessons by subject, and how far you are")
    command.add_argument("--names", action="store_true", help="their names only, one a line, for scripts")
    _add_homework(command, argparse.SUPPRESS)
    command.set_defaults(command=commands.list_lessons)

    command = add("run", help="run a lesson and print its account")
    _add_name(command)
    size = command.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="size", action="store_const", const="quick", help="seconds")
    size.add_argument("--full", dest="size", action="store_const", const="full", help="the paper-sized run")
    command.add_argument("--out", type=Path, metavar="DIR", help="figures and report (minigrad-out/NAME)")
    command.add_argument("--seed", type=_seed, default=0, metavar="N", help="seed of all random numbers (0)")
    command.set_defaults(command=commands.run, size="default")

    command = add("stub", help="write a lesson's exercises to a file of your own")
    _add_name(command)
    command.add_argument("--out", metavar="FILE", help="homework/NAME.py unless given; - prints it")
    command.set_defaults(command=commands.stub)

    command = add("check", help="check what you wrote, all exercises of a lesson")
    _add_name(command, nargs="?")
    command.add_argument("file", type=Path, nargs="?", metavar="FILE", help="homework/NAME.py unless given")
    command.set_defaults(command=commands.check)

    command = add("grade", help="check the homework of a whole class, confined, and write a report")
    command.add_argument("folder", type=Path, metavar="DIR", help="in it, a folder or a .py file for each student")
    command.add_argument("--out", type=Path, default=Path("report.json"), metavar="FILE", help="report (report.json)")
    command.add_argument("--csv", type=Path, metavar="FILE", help="a line for each student, for spreadsheets")
    command.add_argument("--html", type=Path, metavar="FILE", help="a page that says how the class failed")
    command.add_argument("--lesson", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    command.add_argument("--jobs", type=_positive, metavar="N", help="side by side (as many as there are processors)")
    command.add_argument("--seconds", type=_limit, default=10.0, metavar="S", help="for each exercise (10)")
    command.add_argument("--memory", type=_positive, default=1024, metavar="MIB", help="for each exercise (1024)")
    command.add_argument("--fresh", action="store_true", help="keep nothing of the report that is there")
    command.set_defaults(command=commands.grade)

    command = add("errata", help="what the sources printed wrongly, with the numbers that prove it")
    _add_name(command, nargs="?")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs")
    form.add_argument("--markdown", action="store_true", help="a table for each source")
    command.set_defaults(command=commands.errata)

    command = add("doctor", help="is everything here that minigrad needs, and what to do if not")
    command.add_argument("--kernels", action="store_true", help="compile each kernel anew and tell how long it takes")
    command.set_defaults(command=commands.doctor)

    command = add("bench", help="time our kernels, or the engine, beside other libraries and this machine's limits")
    families = ("conv", "batchnorm", "bilinear", "xnor", "pool", "engine", "train", "cuda")
    command.add_argument("what", nargs="?", choices=families, help="all kernels unless given; engine: what an op costs")
    command.add_argument("--json", action="store_true", help="data on standard output, and the table on standard error")
    command.add_argument("--plot", type=Path, metavar="FILE", help="draw the roofline: a .png, .svg or .pdf")
    command.add_argument("--quick", action="store_true", help="a few small cases of each family")
    command.add_argument("--check", action="store_true", help="cuda: compare the results and time nothing")
    command.add_argument("--threads", type=_counts, metavar="N,N", help="numbers of threads (1,2)")
    command.add_argument("--allocator", choices=["default", "tuned", "both"], default="both", help="malloc (both)")
    command.add_argument("--rounds", type=_positive, default=7, metavar="N", help="turns of each library (7)")
    command.add_argument("--min-time", type=_seconds, default=0.02, metavar="S", help="seconds a turn lasts (0.02)")
    command.set_defaults(command=commands.bench)

    command = add("data", help="fetch a data set")
    command.add_argument("set", choices=["mnist"])
    command.add_argument("--from", dest="source", type=Path, metavar="DIR", help="take local files")
    command.add_argument("--out", type=Path, metavar="DIR", help="where to put them")
    command.set_defaults(command=commands.data)

    command = add("site", help="build the lessons as pages to read, offline and without JavaScript")
    command.add_argument("names", nargs="*", metavar="NAME", help="these lessons alone (all)")
    command.add_argument("--size", choices=SIZES, default="quick", help="how long the lessons run (quick)")
    command.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help=f"the site's folder ({FOLDER})")
    command.add_argument("--fresh", action="store_true", help="run lessons again that have not changed, too")
    command.add_argument("--serve", action="store_true", help="serve it to a browser on this machine")
    command.add_argument("--port", type=_port, metavar="N", help="to serve on (the first free one from 8000 on)")
    command.add_argument("--watch", action="store_true", help="build again on every change; served pages load anew")
    command.add_argument("--open", action="store_true", help="open it in a browser")
    command.set_defaults(command=commands.site)

    command = add("notebook", help="a lesson as a Jupyter notebook, which runs where minigrad is installed")
    _add_name(command)
    command.add_argument("--out", type=Path, metavar="FILE", help="NAME.ipynb in this folder unless given")
    command.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    command.set_defaults(command=commands.notebook)

    dev = add("dev", help="for authors of lessons").add_subparsers(metavar="COMMAND", required=True)
    command = dev.add_parser("check", help="prove that every exercise's check can fail")
    _add_name(command, nargs="?")
    command.set_defaults(command=commands.dev_check)
    command = dev.add_parser("new", help="begin a lesson that runs, is tested, and passes dev check")
    command.add_argument("name", metavar="NAME", help="of the lesson and its module, such as layer_norm")
    command.add_argument("--subject", default="foundations", metavar="SUBJECT", help="its folder (foundations)")
    command.add_argument("--out", type=Path, metavar="DIR", help="write lesson and tests there, not into the checkout")
    command.set_defaults(command=commands.dev_new)
    return top


def _add_name(command: argparse.ArgumentParser, nargs: str | None = None) -> None:
    command.add_argument("name", nargs=nargs, metavar="NAME", help="a lesson, or a lesson's file ending in .py")


def _add_homework(command: argparse._ActionsContainer, default: object) -> None:
    command.add_argument("--homework", type=Path, metavar="DIR", default=default, help="your folder (homework)")


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a non-negative integer, got {text!r}")
    return int(text)


def _positive(text: str) -> int:
    number = _seed(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be at least 1, got '0'")
    return number


def _port(text: str) -> int:
    number = _seed(text)
    if number > 65535:
        raise argparse.ArgumentTypeError(f"must be from 0 to 65535, got {text!r}")
    return number


def _counts(text: str) -> list[int]:
    """Positive numbers between commas, each of them once."""
    return list(dict.fromkeys(map(_positive, text.split(","))))


def _seconds(text: str) -> float:
    seconds = _number(text)
    if not 0 <= seconds <= 10:
        raise argparse.ArgumentTypeError(f"must be from 0 to 10 seconds, got {text!r}")
    return seconds


def _limit(text: str) -> float:
    seconds = _number(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"must be more than 0 and at most 3600 seconds, got {text!r}")
    return seconds


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
