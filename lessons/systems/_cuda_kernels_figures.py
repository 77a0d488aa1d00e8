"""The figures of the lesson `cuda_kernels`: from recorded accesses to pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lessons.lab.colours import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from lessons.lab.cuda import READ, SECTOR, WARP, Access, Launch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EMPTY, UNUSED = "#F4F4F4", "#F3C9A5"


class Request(NamedTuple):
    """What one request of a warp reads of a matrix: its shape, the elements by lane, and the sectors it touches."""

    name: str
    shape: tuple[int, int]
    elements: np.ndarray
    sectors: int


CORNER = 16  # rows and columns of each matrix that are shown


def draw_access(steps: Mapping[str, Sequence[Request]]) -> Figure:
    """Draw, for each step, which elements of a and of b the lanes of one warp read in one request."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 6.2), layout="constrained")
    grid = figure.subplots(2, len(steps))
    for column, (title, requests) in zip(grid.T, steps.items(), strict=True):
        for axes, request in zip(column, requests, strict=True):
            _draw_request(axes, request)
        column[0].set_title(f"{title}\n{_said(requests[0])}", fontsize=10)
        column[1].set_title(_said(requests[1]), fontsize=10)
    bar = figure.colorbar(ScalarMappable(Normalize(0, WARP - 1), "cividis"), ax=grid, shrink=0.7, pad=0.02)
    bar.set_label("lane of the warp that reads the number")
    figure.suptitle(
        f"One request of a warp, in the first {CORNER} x {CORNER} numbers of each matrix.  Orange is fetched, not used",
        fontsize=12,
    )
    return figure


def _said(request: Request) -> str:
    different = len(np.unique(request.elements))
    return f"{request.name}: {different} numbers from {request.sectors} sector{'s' if request.sectors > 1 else ''}"


def _draw_request(axes: Axes, request: Request) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    height, width = request.shape
    picture = np.empty((height * width, 3))
    picture[:] = to_rgb(EMPTY)
    per_sector = SECTOR // 4
    for element in request.elements:
        first = element // per_sector * per_sector
        picture[first : first + per_sector] = to_rgb(UNUSED)
    picture[request.elements] = colormaps["cividis"](np.linspace(0, 1, WARP))[:, :3]
    axes.imshow(picture.reshape(height, width, 3)[:CORNER, :CORNER], interpolation="nearest")
    lines = np.arange(CORNER + 1) - 0.5
    axes.hlines(lines, -0.5, CORNER - 0.5, color="white", linewidth=0.8)
    axes.vlines(
        lines,
        -0.5,
        CORNER - 0.5,
        color="white",
        linewidth=[2.5 if k % per_sector == 0 else 0.8 for k in range(CORNER + 1)],
    )
    axes.set(xticks=[], yticks=[])


def draw_counts(titles: Sequence[str], loads: np.ndarray, sectors: np.ndarray, shared: np.ndarray) -> Figure:
    """Draw what each multiply-add costs, by step: loads, sectors and reads of shared memory."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.4, 4.4), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(titles))
    series = (
        (loads, BLUE, "numbers read from global memory"),
        (sectors, VERMILLION, "sectors of 32 bytes fetched"),
        (shared, GREEN, "numbers read from shared memory"),
    )
    for k, (values, colour, label) in enumerate(series):
        bars = axes.bar(places + (k - 1) * 0.27, values, 0.25, color=colour, label=label)
        axes.bar_label(bars, [f"{value:.2g}" if value else "none" for value in values], fontsize=8, padding=2)
    positive = np.concatenate([values[values > 0] for values, _, _ in series])
    axes.set(
        yscale="log",
        ylim=(positive.min() / 3, positive.max() * 10),
        xticks=places,
        xticklabels=titles,
        ylabel="for each multiply-add",
        title="Four kernels, one product: what a multiply-add has to wait for",
    )
    axes.legend(fontsize=9, loc="upper center", ncols=3, columnspacing=1.2)
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    return figure


def draw_roofline(
    machine: str, bandwidth: float, peak: float, titles: Sequence[str], intensity: np.ndarray, bound: np.ndarray
) -> Figure:
    """Draw the bound on flops per second over flops per byte, and where each kernel stands."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.4), layout="constrained")
    axes = figure.subplots()
    xs = np.geomspace(0.05, 200, 200)
    axes.plot(xs, np.minimum(peak, xs * bandwidth), color=BLACK, linewidth=1.5)
    for k, (title, x, y) in enumerate(zip(titles, intensity, bound, strict=True)):
        colour = (VERMILLION, ORANGE, SKY, BLUE, PURPLE)[k]
        axes.plot(x, y, "o", color=colour, markersize=9)
        flat = y >= peak
        place = ((0, -16) if k % 2 else (0, 9)) if flat else (10, -5)
        align = "center" if flat else "left"
        axes.annotate(title, (x, y), place, textcoords="offset points", fontsize=9, ha=align)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="flops for each byte of the sectors fetched",
        ylabel="at most so many flops in a second",
        title=f"A bound by arithmetic, not a measurement: {machine}",
    )
    axes.grid(alpha=0.25)
    axes.minorticks_off()
    return figure


def tile_frames(launch: Launch, sums: int) -> Iterator[Figure]:
    """Draw, interval by interval, what one block loads of a and b, up to the tile of c that it writes."""
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    panels = figure.subplots(1, 3)
    pictures = {}
    for name in "abc":
        shape = launch.arrays[name].shape
        pictures[name] = np.empty((shape[0] * shape[1], 3))
        pictures[name][:] = to_rgb(EMPTY)
    intervals = sorted({access.interval for access in launch.accesses if access.array in "abc"})
    for interval in intervals:
        here = [access for access in launch.accesses if access.interval == interval]
        for name in "abc":
            old = np.all(pictures[name] == to_rgb(BLUE), axis=1)
            pictures[name][old] = to_rgb(SKY)
            touched = [access.element for access in here if access.array == name]
            pictures[name][touched] = to_rgb(BLUE if name != "c" else VERMILLION)
        writes = any(access.array == "c" for access in here)
        doing = (
            "the sums are complete: the tile of c is written" if writes else "a tile of a and a tile of b are loaded"
        )
        figure.suptitle(f"interval {interval} of {sums}: {doing}", fontsize=11)
        for axes, name in zip(panels, "abc", strict=True):
            axes.clear()
            shape = launch.arrays[name].shape
            axes.imshow(pictures[name].reshape(*shape, 3), interpolation="nearest")
            axes.set(xticks=[], yticks=[], title=f"{name}  ({shape[0]} x {shape[1]})")
        yield figure


def draw_race(panels: Mapping[str, tuple[Launch, tuple[Access, Access] | None]], array: str) -> Figure:
    """Draw each thread's accesses to a shared array in their intervals, with a pair that nothing orders."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.6), layout="constrained")
    for axes, (title, (launch, pair)) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        places = _positions(launch, array)
        for marker, face, wanted in (("o", "white", True), ("s", BLUE, False)):
            chosen = [(x, access.thread) for access, x in places if (access.kind == READ) == wanted]
            axes.scatter(*zip(*chosen, strict=True), s=190, marker=marker, facecolor=face, edgecolor=BLUE, zorder=3)
        for access, x in places:
            reads = access.kind == READ
            axes.text(x, access.thread, str(access.element), ha="center", va="center", fontsize=8, zorder=4,
                      color=BLACK if reads else "white")  # fmt: skip
        ends = _interval_ends(places)
        for end in ends[:-1]:
            axes.axvline(end, color=GREEN, linewidth=3, zorder=1)
        if pair is not None:
            (x0, y0), (x1, y1) = ((x, a.thread) for p in pair for a, x in places if a is p)
            axes.plot([x0, x1], [y0, y1], color=VERMILLION, linewidth=2.5, zorder=2)
            axes.scatter([x0, x1], [y0, y1], s=420, facecolor="none", edgecolor=VERMILLION, linewidth=2.5, zorder=5)
            _race_legend(axes)
        axes.set(
            yticks=range(launch.threads),
            xticks=[],
            xlim=(-0.8, ends[-1]),
            ylim=(launch.threads - 0.4, -0.6),
            xlabel="each thread's own order",
            ylabel="thread",
            title=title,
        )
    return figure


def _race_legend(axes: Axes) -> None:
    from matplotlib.lines import Line2D

    marks: list[Any] = [
        Line2D([], [], marker="o", linestyle="", markerfacecolor="white", markeredgecolor=BLUE, label="reads element"),
        Line2D([], [], marker="s", linestyle="", color=BLUE, label="writes element"),
        Line2D([], [], color=GREEN, linewidth=3, label="barrier"),
        Line2D([], [], color=VERMILLION, linewidth=2.5, label="nothing orders these two"),
    ]
    axes.legend(handles=marks, fontsize=9, loc="lower right")


def _positions(launch: Launch, array: str) -> list[tuple[Access, float]]:
    """The accesses to the array, each at its interval's start plus its place in its thread's order."""
    accesses = launch.on(array)
    intervals = sorted({access.interval for access in accesses})
    start, at = 0.0, []
    for interval in intervals:
        turn: dict[int, int] = {}
        for access in accesses:
            if access.interval == interval:
                k = turn[access.thread] = turn.get(access.thread, -1) + 1
                at.append((access, start + k))
        start += max(turn.values()) + 1.8
    return at


def _interval_ends(places: list[tuple[Access, float]]) -> list[float]:
    last: dict[int, float] = {}
    for access, x in places:
        last[access.interval] = max(last.get(access.interval, 0.0), x)
    return [x + 0.9 for _, x in sorted(last.items())]


def draw_luck(names: Sequence[str], right: np.ndarray, margins: np.ndarray) -> Figure:
    """Draw how often a kernel with a race gives the right number, over random schedules."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 3.4), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(names))[::-1]
    axes.barh(places, 100 * right, 0.6, xerr=100 * margins, color=[BLUE, *[VERMILLION] * (len(names) - 1)], capsize=3)
    for y, share, margin in zip(places, right, margins, strict=True):
        axes.text(100 * (share + margin) + 1.5, y, f"{100 * share:.0f} %", fontsize=9, va="center")
    axes.set(
        yticks=places,
        yticklabels=names,
        xlim=(0, 112),
        xlabel="runs with the right sum, in percent of random schedules",
        title="Wrong kernels can give right numbers: all but the first have a race",
    )
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    return figure
