"""The figures of the lesson `tape`: from arrays to pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lessons.lab.colours import BLUE, ORANGE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_graph() -> Figure:
    """Draw b = a + a; c = b + b with the gradients that come back along the wires."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.6, 8.6), ylim=(-1.3, 0.95))
    axes.set_axis_off()
    nodes = ((0.4, "$a$", r"$\bar{a} = 2 + 2 = 4$"), (4.0, "$b = a + a$", r"$\bar{b} = 1 + 1 = 2$"),
             (7.6, "$c = b + b$", r"$\bar{c} = 1$"))  # fmt: skip
    frame = {"boxstyle": "round,pad=0.5", "facecolor": "#E8F1F8", "edgecolor": BLUE}
    boxes = []
    for x, label, gradient in nodes:
        boxes.append(axes.text(x, 0, label, ha="center", va="center", fontsize=13, bbox=frame).get_bbox_patch())
        axes.text(x, -1.15, gradient, ha="center", va="center", fontsize=12, color=VERMILLION)
    for (x0, x1), label, ends in (((0.4, 4.0), "2", boxes[:2]), ((4.0, 7.6), "1", boxes[1:])):
        for bend, height in ((-0.35, 0.48), (0.35, -0.48)):
            arrow = {"arrowstyle": "-|>", "color": "0.5", "connectionstyle": f"arc3,rad={bend}"}
            axes.annotate("", (x1, 0), (x0, 0), arrowprops=arrow | {"patchA": ends[0], "patchB": ends[1], "shrinkA": 2,
                                                                    "shrinkB": 2})  # fmt: skip
            axes.text((x0 + x1) / 2, height * 1.5, rf"$\leftarrow$ {label}", color=VERMILLION, ha="center",
                      va="center", fontsize=12, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
    axes.set_title("Each wire brings a gradient back, and each node adds what arrives", fontsize=11)
    return figure


def draw_visits(doublings: np.ndarray, naive: np.ndarray, tape: np.ndarray) -> Figure:
    """Draw how many nodes are visited, handing on at once and newest first."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(doublings, naive, "s--", color=VERMILLION, label="handing on every arrival: $2^{n+1} - 1$")
    axes.plot(doublings, tape, "o-", color=BLUE, label="the tape, newest first: $n + 1$")
    axes.set(
        yscale="log",
        xlabel="number of doublings $n$ in a chain",
        ylabel="nodes visited",
        title="The same gradient, by exponentially many visits or by few",
    )
    axes.legend(fontsize=9, loc="upper left")
    axes.grid(alpha=0.25)
    return figure


def draw_training(
    losses: np.ndarray,
    apart: np.ndarray,
    data: tuple[np.ndarray, np.ndarray],
    predict: Callable[[np.ndarray], np.ndarray],
) -> Figure:
    """Draw the loss, the distance of the weights from minigrad's, and the boundary between the classes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    steps = np.arange(1, len(losses) + 1)
    left.plot(steps, losses, color=BLUE)
    left.set(xlabel="step", ylabel="loss", yscale="log", xscale="log", title="Our tape and minigrad: one curve")
    floor = 1e-17
    middle.plot(steps, np.where(apart > 0, apart, np.nan), color=ORANGE, label="the same points in another order")
    middle.axhline(floor, color=BLUE, linewidth=2.5, label="our tape against minigrad: exactly 0")
    middle.set(xlabel="step", ylabel="largest difference of a weight", yscale="log", xscale="log",
               ylim=(floor / 3, max(1e-12, float(apart.max()) * 1e3)), title="To the last bit")  # fmt: skip
    middle.legend(fontsize=8, loc="upper left")
    inputs, targets = data
    low, high = inputs.min(axis=0) - 0.3, inputs.max(axis=0) + 0.3
    xs, ys = np.linspace(low[0], high[0], 120), np.linspace(low[1], high[1], 120)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1)
    score = predict(grid.reshape(-1, 2)).reshape(120, 120)
    right.contourf(xs, ys, score, levels=[-9, 0, 9], colors=["#F6D9C4", "#CDE3F1"])
    right.contour(xs, ys, score, levels=[0], colors="black", linewidths=1.2)
    for sign, colour, marker in ((-1, VERMILLION, "o"), (1, BLUE, "s")):
        chosen = targets[:, 0] == sign
        right.plot(*inputs[chosen].T, marker, color=colour, markersize=4)
    right.set(title="What it has learned", xticks=[], yticks=[])
    for axes in (left, middle, right):
        axes.title.set_fontsize(11)
    return figure
