"""The drawings of the lesson `source_to_source`: from arrays and text to figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lessons.lab.colours import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw_pipelines() -> Figure:
    """Draw what a tape and a source transformation do once, and what in every call."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    upper, lower = figure.subplots(2, 1)
    _pipeline(
        upper,
        "A tape: everything happens in every call",
        [
            ("program\nas text", "once"),
            ("run it:\nvalues", "every call"),
            ("records of the\noperations, in order", "every call"),
            ("interpreter walks\nthe records back", "every call"),
            ("gradient", "every call"),
        ],
    )
    _pipeline(
        lower,
        "Source transformation: the text is read once, and calls just run",
        [
            ("program\nas text", "once"),
            ("SSA", "once"),
            ("gradient program\nas text", "once"),
            ("optimised,\ncompiled", "once"),
            ("gradient", "every call"),
        ],
    )
    return figure


def _pipeline(axes: Axes, title: str, boxes: list[tuple[str, str]]) -> None:
    axes.set(xlim=(-0.6, len(boxes) - 0.4), ylim=(-0.85, 0.55))
    axes.set_axis_off()
    axes.set_title(title, fontsize=12, loc="left")
    colours = {"once": BLUE, "every call": VERMILLION}
    patches = []
    for place, (text, when) in enumerate(boxes):
        frame = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": colours[when], "linewidth": 2}
        label = axes.text(place, 0, text, ha="center", va="center", fontsize=10, bbox=frame)
        patches.append(label.get_bbox_patch())
        axes.text(place, -0.72, when, ha="center", va="center", fontsize=9, color=colours[when])
    for place in range(len(boxes) - 1):
        arrow = {"arrowstyle": "-|>", "color": "0.4", "patchA": patches[place], "patchB": patches[place + 1]}
        axes.annotate("", (place + 1, 0), (place, 0), arrowprops=arrow | {"shrinkA": 2, "shrinkB": 2})


def draw_listings(ssa: str, adjoint: str) -> Figure:
    """Draw both listings; an adjoint statement has the colour of the statement that it goes back through."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    palette = dict(zip(_targets(ssa), (BLUE, VERMILLION, GREEN, PURPLE), strict=False))
    # What the pullback of each statement of F hands out.
    pulled = {"y1_2_bar": "t1", "a_bar": "t1", "b_bar": "y1"}
    height = max(len(ssa.splitlines()), len(adjoint.splitlines()))
    for axes, text, title in (
        (left, ssa, "SSA form: each name once"),
        (right, adjoint, "Adjoint program: forward, then back through the pullbacks"),
    ):
        axes.set(xlim=(0, 1), ylim=(-height, 0.5))
        axes.set_axis_off()
        axes.set_title(title, fontsize=10, loc="left")
        for row, line in enumerate(text.splitlines()):
            target = line.strip().split(" = ")[0]
            colour = palette.get(pulled.get(target, target), BLACK)
            weight = "bold" if target in pulled else "normal"
            axes.text(0.01, -row, line, family="monospace", fontsize=10, color=colour, weight=weight, va="center")
    return figure


def _targets(listing: str) -> list[str]:
    return [line.strip().split(" = ")[0] for line in listing.splitlines() if " = " in line]


def draw_cycle(path: np.ndarray, squared: np.ndarray, distances: np.ndarray, squared_distances: np.ndarray) -> Figure:
    """Draw both descents close to the answer, and their distances over the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(*squared.T, color=BLUE, linewidth=1.5, label="descent on the squared distance")
    left.plot(*path.T, color=VERMILLION, linewidth=0.8, alpha=0.8, label="descent on the distance")
    left.plot(*path[1000:1002].T, "o", color=VERMILLION, markersize=7, label="its two last points, for ever")
    left.plot(1 / 3, 1 / 2, "*", color=BLACK, markersize=13, label="the answer, (1/3, 1/2)")
    left.annotate("printed in the post", path[1000], (8, -3), textcoords="offset points", fontsize=8)
    left.set(xlim=(0.3265, 0.3385), ylim=(0.4945, 0.5025), xlabel="$K_1$", ylabel="$K_2$", title="Around the answer")
    left.legend(fontsize=8, loc="lower right")
    steps = np.arange(len(distances))
    right.semilogy(steps, distances, color=VERMILLION, linewidth=0.8)
    right.semilogy(steps, np.maximum(squared_distances, 1e-17), color=BLUE)
    right.axvline(1000, color="0.5", linestyle=":", linewidth=1)
    right.annotate("the post\nstops here", (1000, 1e-9), (6, 0), textcoords="offset points", fontsize=8)
    right.annotate("alternates between 0.00385 and 0.01067", (5000, 0.03), color=VERMILLION, ha="right", fontsize=9)
    right.annotate("squared: converges", (3000, 1e-6), (8, 4), textcoords="offset points", color=BLUE, fontsize=9)
    right.set(xlabel="step", ylabel="distance", title="Steps of constant length cannot arrive", ylim=(1e-13, 2))
    return figure


def draw_times(shown: dict[str, dict[str, float]], ways: tuple[str, ...]) -> Figure:
    """Draw the seconds of each way as bars, on a logarithmic scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    colours = dict(zip(ways, ("0.6", PURPLE, VERMILLION, ORANGE, GREEN), strict=True))
    units = {1.0: "1 s", 1e-3: "1 ms", 1e-6: "1 us"}
    low = min(min(times.values()) for times in shown.values()) / 3
    high = max(max(times.values()) for times in shown.values()) * 12
    for axes, (name, times) in zip(
        figure.subplots(1, len(shown), sharey=True, squeeze=False)[0], shown.items(), strict=True
    ):
        places = np.arange(len(ways))[::-1]
        axes.barh(places, [times[way] for way in ways], color=[colours[way] for way in ways])
        for place, way in zip(places, ways, strict=True):
            seconds = times[way]
            unit = "s" if seconds >= 1 else "ms" if seconds >= 1e-3 else "us"
            size = {"s": 1.0, "ms": 1e-3, "us": 1e-6}[unit]
            axes.annotate(
                f"{seconds / size:.3g} {unit}",
                (seconds, place),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
        axes.set_yticks(places, ways)
        axes.set(xscale="log", xlim=(low, high), title=name, xlabel="time for one gradient")
        axes.set_xticks(list(units), list(units.values()))
        axes.minorticks_off()
    figure.suptitle("Compiling costs once; then a gradient takes microseconds", fontsize=12)
    return figure
