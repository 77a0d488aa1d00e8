"""``minigrad bench``: which cases, in which settings, and where the results go."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from kernels.bench import table
from kernels.bench.case import Case
from kernels.bench.measure import Problem, Report, Row, Setting, measure
from kernels.bench.peaks import Peaks
from kernels.bench.worker import ALLOCATORS, WorkerFailed
from lessons.anatomy.text import table_lines
from lessons.workbench.errors import UsageError

# What can be asked for, and the module whose CASES it is. Without a name, all that are about kernels.
KERNELS = {name: f"kernels.bench.cases.{name}" for name in ("conv", "batchnorm", "bilinear", "xnor", "pool")}
FAMILIES = {**KERNELS, "engine": "lessons.workbench.bench_engine", "train": "lessons.workbench.bench_train"}


def run(args: argparse.Namespace) -> bool:
    """Measure what the command line asks for; returns whether every library computed what it should.

    With ``args.json`` standard output gets the data and nothing else; the table goes to standard error.
    """
    if args.what == "cuda":
        return _on_gpu(args)
    if args.check:
        raise UsageError("--check belongs to bench cuda; the other families compare results before they time them")
    cases = chosen(args.what, args.quick)
    settings = _settings(args.threads, args.allocator)
    if args.plot:
        _check_plot(args.plot)
    stream = sys.stderr if args.json else sys.stdout
    report = Report()
    title = f"{len(cases)} cases in {len(settings)} settings, {args.rounds} rounds each"
    print(f"{title}; each library in a process of its own. Leave the machine alone meanwhile.", file=stream)
    try:
        with closing(measure(cases, settings, args.rounds, args.min_time)) as found:
            _show(found, report, [case for _, case in cases], stream)
    except WorkerFailed as failure:
        raise UsageError(f"bench: the machine's limits cannot be measured: {failure}") from failure
    print(f"\n{table.summary(report)}", file=stream)
    if args.plot:
        _plot(report, args.plot)
        print(f"Drawn: {args.plot}", file=stream)
    if args.json:
        print(json.dumps(table.as_data(report), indent=1, allow_nan=False))
    return not report.problems


def _on_gpu(args: argparse.Namespace) -> bool:
    """Check the CUDA kernels and, unless that is all that is asked for, time them."""
    from kernels.bench import cuda
    from kernels.cuda import DeviceError, device

    stream = sys.stderr if args.json else sys.stdout
    try:
        device.toolkit()
    except DeviceError as error:
        raise UsageError(f"bench cuda: {error}") from error
    if device.SIMULATED and not args.check:
        raise UsageError("bench cuda: the simulator's times mean nothing; --check compares the results")
    print(cuda.machine(), file=stream)
    wrong = 0
    for case, error in cuda.check():
        right = error < cuda.TOLERANCE
        wrong += not right
        print(f"{'ok  ' if right else 'FAIL'}  {case.kind} {case.small}: error {error:.1e}", file=stream, flush=True)
    if not args.check:
        results = []
        for result in cuda.bench(args.rounds):
            results.append(result)
            print(*cuda.row(result), sep="  ", file=stream, flush=True)
        print(*table_lines(cuda.HEADERS, [cuda.row(result) for result in results], 140), sep="\n", file=stream)
        wrong += sum(result.error > 10 * cuda.TOLERANCE for result in results)
        if args.json:
            print(json.dumps({"machine": cuda.machine(), "results": [vars(result) for result in results]}, indent=1))
    return not wrong


def chosen(what: str | None, quick: bool) -> list[tuple[str, Case]]:
    """The cases of a family, or of all families of kernels, with their modules."""
    modules = [FAMILIES[what]] if what else list(KERNELS.values())
    found = [(module, case) for module in modules for case in importlib.import_module(module).CASES]
    return [(module, case) for module, case in found if case.quick or not quick]


def _settings(threads: Sequence[int] | None, allocator: str) -> list[Setting]:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if threads is None:
        threads = [count for count in (1, 2) if count <= usable]
    for count in threads:
        if count > usable:
            raise UsageError(f"bench: --threads {count}: this process may use {usable} processors")
    glibc = platform.libc_ver()[0] == "glibc"
    if allocator == "tuned" and not glibc:
        raise UsageError("bench: --allocator tuned: only glibc's malloc can be tuned from outside")
    allocators = list(ALLOCATORS) if allocator == "both" and glibc else [allocator.replace("both", "default")]
    return [Setting(count, name) for count in threads for name in allocators]


def _show(found: Iterable[Row | Problem | Peaks], report: Report, cases: Sequence[Case], stream: object) -> None:
    """Print every line as it comes, and collect it."""
    out = {"file": stream, "flush": True}
    setting: Setting | None = None
    for one in found:
        if isinstance(one, Peaks):
            report.peaks[one.threads] = one
            print(f"\n{table.limits(one)}", **out)
            continue
        if one.setting != setting:
            setting = one.setting
            print(f"\n{setting}\n{table.header(cases)}", **out)
        if isinstance(one, Row):
            report.rows.append(one)
            print(table.line(one, cases), **out)
        else:
            report.problems.append(one)
            print(f"not timed: {one}", **out)
    if report.rows:
        print(f"\n{table.LEGEND}", **out)


def _check_plot(path: Path) -> None:
    """Now, not when everything has been measured."""
    canvas = importlib.import_module("matplotlib.backend_bases").FigureCanvasBase
    formats = canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in formats:
        raise UsageError(f"bench: --plot {path}: the name must end in .{' or .'.join(sorted(formats))}")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"bench: --plot {path}: {path.parent} is no folder that can be written to")


def _plot(report: Report, path: Path) -> None:
    from kernels.bench import roofline

    try:
        roofline.save(report, path)
    except (ValueError, OSError) as error:
        raise UsageError(f"bench: --plot {path}: {error}") from error
