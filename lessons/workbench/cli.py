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
from lessons.workbench import commands, report, screen
from lessons.workbench.errors import UsageError

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
        args = parser().parse_args(argv)
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


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; every command sets ``command`` to its function."""
    top = argparse.ArgumentParser(
        prog="minigrad", description="Understand deep learning by rebuilding it.", allow_abbrev=False
    )
    top.add_argument("--version", action="version", version=f"minigrad {report.version()}")
    top.set_defaults(command=commands.welcome)
    add = top.add_subparsers(title="commands", metavar="COMMAND").add_parser

    command = add("list", help="the lessons")
    command.add_argument("--names", action="store_true", help="their names only, one a line, for scripts")
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

    command = add("check", help="check what you wrote")
    _add_name(command)
    command.add_argument("file", type=Path, nargs="?", metavar="FILE", help="homework/NAME.py unless given")
    command.set_defaults(command=commands.check)

    command = add("errata", help="what the sources printed wrongly, with the numbers that prove it")
    _add_name(command, nargs="?")
    command.set_defaults(command=commands.errata)

    command = add("doctor", help="is everything here that minigrad needs, and what to do if not")
    command.add_argument("--kernels", action="store_true", help="compile each kernel anew and tell how long it takes")
    command.set_defaults(command=commands.doctor)

    command = add("bench", help="time our kernels, or the engine, beside other libraries and this machine's limits")
    families = ("conv", "batchnorm", "bilinear", "xnor", "pool", "engine", "train")
    command.add_argument("what", nargs="?", choices=families, help="all kernels unless given; engine: what an op costs")
    command.add_argument("--json", action="store_true", help="data on standard output, and the table on standard error")
    command.add_argument("--plot", type=Path, metavar="FILE", help="draw the roofline: a .png, .svg or .pdf")
    command.add_argument("--quick", action="store_true", help="a few small cases of each family")
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


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a non-negative integer, got {text!r}")
    return int(text)


def _positive(text: str) -> int:
    number = _seed(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be at least 1, got '0'")
    return number


def _counts(text: str) -> list[int]:
    """Positive numbers between commas, each of them once."""
    return list(dict.fromkeys(map(_positive, text.split(","))))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= 10:
        raise argparse.ArgumentTypeError(f"must be from 0 to 10 seconds, got {text!r}")
    return seconds
