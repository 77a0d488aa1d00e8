"""The roofline: how fast each kernel is, against how much it computes for each byte that it must move.

Few operations for a byte: the memory limits, and the roof rises with the intensity. Many: the arithmetic does, and the
roof is flat. Source: S. Williams, A. Waterman and D. Patterson, "Roofline: An Insightful Visual Performance Model for
Multicore Architectures", 2009, https://doi.org/10.1145/1498765.1498785
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kernels.bench.case import OURS, TORCH
from kernels.bench.measure import Report, Row
from kernels.bench.peaks import Peaks

# Okabe and Ito's colours, which colour-blind readers can tell apart; each family has a shape of its own besides.
LOOKS = {
    "conv": ("#0072B2", "o"),
    "batchnorm": ("#D55E00", "s"),
    "bilinear": ("#009E73", "^"),
    "pool": ("#CC79A7", "D"),
    "xnor": ("#E69F00", "v"),
}
OTHER_LOOKS = ("#000000", "P")


class Point(NamedTuple):
    """Where one kernel stands: operations for a byte, operations a second of ours and of torch (None: not there)."""

    number: int
    name: str
    family: str
    intensity: float
    ours: float
    torch: float | None


def points(rows: Sequence[Row], words: bool) -> list[Point]:
    """The kernels whose arithmetic are popcounts (`words`) or flops, numbered in their order."""
    found: list[Point] = []
    for row in rows:
        work = row.case.work
        operations = 0.0 if work is None else work.words if words else work.flops
        if work is None or operations == 0 or (work.words > 0) != words:
            continue
        theirs = row.timings.get(TORCH)
        found.append(
            Point(
                number=len(found) + 1,
                name=" ".join(row.case.name.split()),
                family=row.case.family,
                intensity=operations / work.bytes,
                ours=operations / row.timings[OURS].median,
                torch=None if theirs is None else operations / theirs.median,
            )
        )
    return found


def figure(report: Report) -> Any:
    """A matplotlib figure: a row of axes for flops and one for popcounts, a column for each number of threads.

    Of several allocators, the last one that was measured is shown. Raises ValueError if there is nothing to draw.
    """
    from matplotlib.figure import Figure

    panels = []
    for words in (False, True):
        row_of_panels = []
        for threads, peaks in report.peaks.items():
            rows = [row for row in report.rows if row.setting.threads == threads]
            shown = [row for row in rows if row.setting == rows[-1].setting]
            if found := points(shown, words):
                row_of_panels.append((peaks, str(shown[0].setting), found))
        if row_of_panels:
            panels.append((words, row_of_panels))
    if not panels:
        raise ValueError("roofline: no row with a floor was measured, so there is nothing to draw")
    wide = max(len(row_of_panels) for _, row_of_panels in panels)
    heights = [max(4.5, 0.16 * len(row_of_panels[0][2]) + 1.5) for _, row_of_panels in panels]
    drawn = Figure(figsize=(5.2 * wide + 3.2, sum(heights)), layout="constrained", dpi=150)
    grid = drawn.subplots(
        len(panels),
        wide + 1,
        squeeze=False,
        gridspec_kw={"width_ratios": [*[1.0] * wide, 0.45], "height_ratios": heights},
    )
    for line, (words, row_of_panels) in zip(grid, panels, strict=True):
        for axes in line[len(row_of_panels) :]:
            axes.set_axis_off()
        for axes, (peaks, title, found) in zip(line, row_of_panels, strict=False):
            _draw(axes, peaks, found, title, words)
        _list(line[-1], row_of_panels[-1][2])
    return drawn


def save(report: Report, path: Path) -> None:
    """Draws into a file; its ending says in which format."""
    figure(report).savefig(path)


def _draw(axes: Any, peaks: Peaks, found: Sequence[Point], title: str, words: bool) -> None:
    peak, unit = (peaks.words, "popcounts of 64 bits") if words else (peaks.flops, "flops")
    left, right = min(p.intensity for p in found) / 2, max(p.intensity for p in found) * 3
    left = min(left, peak / peaks.bandwidths[0][1] / 4)  # both slopes are to be seen, and some of the flat part
    right = max(right, 3 * peak / peaks.bandwidths[-1][1])
    for size, speed in (peaks.bandwidths[0], peaks.bandwidths[-1]):
        corner = peak / speed
        axes.plot([left, corner], [left * speed / 1e9, peak / 1e9], color="0.35", linewidth=1.2)
        where = "innermost caches" if size == peaks.bandwidths[0][0] else "main memory"
        axes.text(
            left,
            1.2 * left * speed / 1e9,
            f" {where}: {speed / 1e9:.0f} GB/s",
            rotation=math.degrees(math.atan(speed / 1e9)),
            transform_rotates_text=True,
            rotation_mode="anchor",
            fontsize=7,
            color="0.25",
        )
    axes.plot([peak / peaks.bandwidths[0][1], right], [peak / 1e9] * 2, color="0.35", linewidth=1.2)
    axes.annotate(
        f"{peak / 1e9:.3g} G {unit}/s",
        (right, peak / 1e9),
        xytext=(-3, 4),
        textcoords="offset points",
        ha="right",
        fontsize=7,
        color="0.25",
    )
    for point in found:
        colour, marker = LOOKS.get(point.family, OTHER_LOOKS)
        if point.torch is not None:
            ends = [point.torch / 1e9, point.ours / 1e9]
            axes.plot([point.intensity] * 2, ends, color=colour, linewidth=0.6, alpha=0.6)
            axes.plot(point.intensity, ends[0], marker=marker, color=colour, markerfacecolor="none", markersize=6)
        axes.plot(point.intensity, point.ours / 1e9, marker=marker, color=colour, markersize=6)
    _number(axes, found)
    axes.set(
        xscale="log",
        yscale="log",
        title=title,
        xlabel=f"{unit} for each byte read or written once",
        ylabel=f"10⁹ {unit} a second",
    )
    axes.set_xlim(left, right)
    axes.grid(True, which="major", linewidth=0.3)


def _number(axes: Any, found: Sequence[Point]) -> None:
    """Numbers beside the points; those of points on top of each other go side by side."""
    taken: list[tuple[float, float]] = []
    for point in sorted(found, key=lambda p: (p.intensity, p.ours)):
        x, y = math.log10(point.intensity), math.log10(point.ours)
        near = sum(abs(x - a) < 0.12 and abs(y - b) < 0.08 for a, b in taken)
        taken.append((x, y))
        axes.annotate(
            str(point.number),
            (point.intensity, point.ours / 1e9),
            xytext=(5 + 9 * near, 3),
            textcoords="offset points",
            fontsize=6.5,
        )


def _list(axes: Any, found: Sequence[Point]) -> None:
    """What the numbers stand for, and what the marks mean."""
    axes.set_axis_off()
    lines = ["full: ours, hollow: torch", ""] + [f"{p.number:>2}  {p.family} {p.name}" for p in found]
    axes.text(0, 1, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=6.5, family="monospace")
