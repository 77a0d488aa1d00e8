"""What was measured as text, line by line as it comes, and as data for other programs."""

import platform
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Any

from kernels.bench.case import OURS, REFERENCE, TORCH, Case, Goal
from kernels.bench.measure import OPTIONAL, Report, Row, installed
from kernels.bench.peaks import Peaks

LEGEND = """\
us is the median time of a call of ours. Columns with / are our time over theirs, compared round by round: the median,
for torch with its quartiles; below 1 we are faster. The floor is what the bytes, flops or popcounts take at least on
this machine, and reached is the floor over our time. (Winograd's convolutions need fewer flops than are counted.)"""


def columns(cases: Iterable[Case]) -> list[str]:
    """The libraries after ours and torch that have a column: those that are there and do any of the cases."""
    named = {library for case in cases for library in case.make if installed(library)}
    return [name for name in (REFERENCE, "naive", "mygrad", "autograd") if name in named]


def header(cases: Sequence[Case]) -> str:
    """The line above the rows of a setting."""
    text = f"{'':{_width(cases)}} {'us':>9}"
    if any(TORCH in case.make for case in cases) and installed(TORCH):
        text += f" {'/torch':>7} {'quartiles':>11}"
    if any(case.work for case in cases):
        text += f" {'floor us':>9} {'limit':9} {'reached':>7}"
    return text + "".join(f" {'/' + name:>10}" for name in columns(cases)) + "  goals"


def line(row: Row, cases: Sequence[Case]) -> str:
    """One row, under `header(cases)`."""
    text = f"{row.case.name:{_width(cases)}} {row.timings[OURS].median * 1e6:9.1f}"
    if any(TORCH in case.make for case in cases) and installed(TORCH):
        ratio = row.ratio(TORCH)
        quartiles = "" if ratio is None else f"{ratio.lower:.2f}-{ratio.upper:.2f}"
        text += f" {'' if ratio is None else f'{ratio.median:.2f}':>7} {quartiles:>11}"
    if any(case.work for case in cases):
        floor, reached = row.floor, row.reached
        if floor is None or reached is None:
            text += f" {'':9} {'':9} {'':7}"
        else:
            text += f" {floor.seconds * 1e6:9.1f} {floor.limit:9} {100 * reached:5.0f} %"
    for name in columns(cases):
        ratio = row.ratio(name)
        text += f" {'' if ratio is None else f'{ratio.median:.2g}':>10}"
    verdicts = [verdict(row, goal) for goal in row.case.goals]
    return f"{text}  {', '.join(filter(None, verdicts))}".rstrip()


def verdict(row: Row, goal: Goal) -> str:
    """The goal, and by how much it was missed; "" if what it speaks of was not measured."""
    value = row.towards(goal)
    if value is None:
        return ""
    if goal.of == "peak":
        wanted = f"{100 * goal.limit:.0f} % of peak"
    elif goal.limit < 0.1:
        wanted = f"{1 / goal.limit:,.0f}x {goal.of}"
    else:
        wanted = f"{goal.limit:g}"
    if goal.met(value):
        return f"{wanted}: met"
    reached = f"{100 * value:.0f} %" if goal.of == "peak" else f"{1 / value:,.1f}x" if goal.limit < 0.1 else ""
    return f"{wanted}: missed by {max(100 * goal.missed_by(value), 1):.0f} %" + (f" ({reached})" if reached else "")


def limits(peaks: Peaks) -> str:
    """What this machine reaches, in one line."""
    speeds = ", ".join(f"{speed / 1e9:.0f} ({_bytes(size)})" for size, speed in peaks.bandwidths)
    return (
        f"This machine, {peaks.threads} thread{'s' if peaks.threads > 1 else ''}: {peaks.flops / 1e9:.0f} Gflop/s,"
        f" {peaks.words / 1e9:.1f} G popcounts/s of 64 bits, memory in GB/s: {speeds}"
    )


def summary(report: Report) -> str:
    """How many rows, goals and problems there were, and which goals were missed."""
    goals = [(row, goal) for row in report.rows for goal in row.case.goals if row.towards(goal) is not None]
    missed = [(row, goal) for row, goal in goals if not goal.met(row.towards(goal) or 0.0)]
    lines = [f"{len(report.rows)} rows; every result was compared before it was timed."]
    if goals:
        lines.append(f"{len(goals) - len(missed)} of {len(goals)} goals met.")
    lines += [f"  {row.case.name} ({row.setting}): {verdict(row, goal)}" for row, goal in missed]
    if report.problems:
        lines.append(f"{len(report.problems)} not timed:")
        lines += [f"  {problem}" for problem in report.problems]
    return "\n".join(lines)


def _width(cases: Iterable[Case]) -> int:
    return max((len(case.name) for case in cases), default=0)


def _bytes(size: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size} {unit}"
        size //= 1024
    return f"{size} GiB"


# --- for programs -----------------------------------------------------------------------------------------------------


def as_data(report: Report) -> dict[str, Any]:
    """Everything, in types that JSON has; times are in seconds."""
    return {
        "format": 1,
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "python": platform.python_version(),
            "versions": {name: metadata.version(name) for name in ("numpy", "numba", *OPTIONAL) if _has(name)},
        },
        "peaks": [
            {
                "threads": peaks.threads,
                "flops": peaks.flops,
                "popcounts": peaks.words,
                "bandwidths": [{"bytes": size, "bytes_per_second": speed} for size, speed in peaks.bandwidths],
            }
            for peaks in report.peaks.values()
        ],
        "rows": [_row(row) for row in report.rows],
        "problems": [
            {
                "case": problem.case,
                "threads": problem.setting.threads,
                "allocator": problem.setting.allocator,
                "library": problem.library,
                "message": problem.message,
            }
            for problem in report.problems
        ],
    }


def _has(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _row(row: Row) -> dict[str, Any]:
    timings: dict[str, Any] = {}
    for name, timing in row.timings.items():
        lower, upper = timing.quartiles
        timings[name] = {"median": timing.median, "quartiles": [lower, upper], "rounds": list(timing.seconds)}
    ratios: dict[str, Any] = {}
    for name in row.timings:
        ratio = row.ratio(name)
        if name != OURS and ratio is not None:
            ratios[name] = {"median": ratio.median, "quartiles": [ratio.lower, ratio.upper]}
    goals = []
    for goal in row.case.goals:
        value = row.towards(goal)
        if value is not None:
            goals.append({"of": goal.of, "limit": goal.limit, "value": value, "met": goal.met(value)})
    work, floor = row.case.work, row.floor
    return {
        "family": row.case.family,
        "case": row.case.name,
        "threads": row.setting.threads,
        "allocator": row.setting.allocator,
        "work": None if work is None else {"bytes": work.bytes, "flops": work.flops, "popcounts": work.words},
        "timings": timings,
        "ratios": ratios,
        "floor": None if floor is None else {"seconds": floor.seconds, "limit": floor.limit},
        "reached": row.reached,
        "goals": goals,
    }
