"""The figures of the lesson on autoencoders: from arrays to pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lessons.lab.colours import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from lessons.lab.pictures import mosaic
from lessons.lab.statistics import mean_and_margin

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


# Height of each layer in the diagrams, its place, and what is written below it.
LAYERS = ((1.9, 1.3, "$h$"), (3.2, 0.55, "code $z$"), (4.5, 1.3, "$h'$"), (5.8, 2.0, "output $y$"))


def draw_bottlenecks() -> Figure:
    """Draw an autoencoder and a denoising autoencoder: layers as bars, and what the loss compares."""
    figure = _figure(10, 3.3)
    left, right = figure.subplots(1, 2, width_ratios=(6.4, 7.7))
    _bottleneck(left, "Autoencoder", ((0.6, "input $x$", BLUE),))
    _bottleneck(right, "Denoising autoencoder", ((-0.7, "clean $x$", BLUE), (0.6, r"spoiled $\tilde{x}$", ORANGE)))
    return figure


def _bottleneck(axes: Any, title: str, inputs: Sequence[tuple[float, str, str]]) -> None:
    from matplotlib.patches import FancyBboxPatch, Polygon

    bars = [(x, 2.0, label, color) for x, label, color in inputs]
    bars += [(x, height, label, "0.55" if label.startswith("$") else GREEN) for x, height, label in LAYERS[:-1]]
    bars.append((*LAYERS[-1], BLUE))
    for x, height, label, color in bars:
        box = FancyBboxPatch((x - 0.14, -height / 2), 0.28, height, boxstyle="round,pad=0.03", color=color)
        axes.add_patch(box)
        axes.text(x, -1.3, label, ha="center", va="top", fontsize=10)
    for (x0, h0, *_), (x1, h1, *_) in zip(bars[-5:], bars[-4:], strict=False):
        corners = [(x0 + 0.2, h0 / 2), (x1 - 0.2, h1 / 2), (x1 - 0.2, -h1 / 2), (x0 + 0.2, -h0 / 2)]
        axes.add_patch(Polygon(corners, color="0.9", zorder=0))
    if len(inputs) == 2:
        arrow = {"arrowstyle": "-|>", "color": VERMILLION, "linewidth": 1.5}
        axes.annotate("", (0.38, 0), (-0.48, 0), arrowprops=arrow)
        axes.text(-0.05, 0.12, "$q_D$", ha="center", color=VERMILLION, fontsize=11)
    start, end = bars[0][0], bars[-1][0]
    bow = {"arrowstyle": "<->", "color": PURPLE, "linewidth": 1.5, "connectionstyle": "arc3,rad=-0.18"}
    axes.annotate("", (end, 1.1), (start, 1.1), arrowprops=bow)
    axes.text((start + end) / 2, 1.95, "the loss compares these", ha="center", color=PURPLE, fontsize=10)
    axes.text(1.9, -1.75, "encoder", ha="center", fontsize=9, color="0.4")
    axes.text(4.5, -1.75, "decoder", ha="center", fontsize=9, color="0.4")
    axes.set(xlim=(start - 0.6, end + 0.6), ylim=(-2.0, 2.3), title=title)
    axes.set_axis_off()


def draw_linear(losses: np.ndarray, levels: np.ndarray) -> Figure:
    """Draw the loss of a linear autoencoder over the steps, and the sums of missing eigenvalues."""
    figure = _figure(8, 3.8)
    axes = figure.subplots()
    steps = np.arange(1, len(losses))
    for found, level in enumerate(levels):
        axes.axhline(level, color="0.5", linestyle=":", linewidth=1)
        says = "sum of all eigenvalues" if found == 0 else f"without the largest{f' {found}' if found > 1 else ''}"
        axes.annotate(
            says, (len(losses), level), (0, 3), textcoords="offset points", fontsize=9, color="0.3", ha="right"
        )
    axes.plot(steps, losses[1:], color=BLUE, linewidth=2)
    axes.set(
        xscale="log",
        xlabel="step of gradient descent",
        ylabel="loss",
        ylim=(0, 1.12 * levels[0]),
        title="A linear autoencoder finds the principal components, one after the other",
    )
    return figure


def draw_score(points: np.ndarray, grid: np.ndarray, best: np.ndarray, learned: np.ndarray) -> Figure:
    """Draw where the best denoiser and a trained one move the points of a grid."""
    figure = _figure(9.5, 4.9)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, to, title in zip(panels, (best, learned), ("The best denoiser", "A trained network"), strict=True):
        axes.plot(*points.T, "o", color=ORANGE, markersize=4, label="the data")
        step = to - grid
        axes.quiver(*grid.T, *step.T, angles="xy", scale_units="xy", scale=2.5, color=BLUE, width=0.004)
        axes.set(title=f"{title}: arrows of 0.4 times its step", aspect="equal", xlim=(-3.9, 3.9), ylim=(-3.9, 3.9))
    panels[0].legend(loc="upper left", fontsize=9)
    return figure


def draw_rows(rows: Mapping[str, np.ndarray]) -> Figure:
    """Draw images (n, H, W) in named rows."""
    figure = _figure(9, 0.78 * len(rows) + 0.5)
    for axes, (name, images) in zip(figure.subplots(len(rows), 1), rows.items(), strict=True):
        axes.imshow(mosaic(1 - images, columns=len(images), gap=4), cmap="gray", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=10)
        axes.spines[:].set_visible(False)
    figure.suptitle("Half of the pixels erased, and what three codes of equal size make of it", fontsize=11)
    return figure


def draw_corruption(levels: Sequence[float], errors: Mapping[str, np.ndarray]) -> Figure:
    """Draw the error of each restorer over the share of erased pixels: mean and 95 % interval over the seeds."""
    figure = _figure(8.5, 4.8)
    axes = figure.subplots()
    looks = {
        "PCA": (BLACK, "-", "s"),
        "PCA of the image / (1 - p)": (BLACK, "--", "s"),
        "autoencoder": (VERMILLION, "-", "^"),
        "autoencoder of the image / (1 - p)": (VERMILLION, "--", "^"),
        "denoising, p = 0.5": (BLUE, "-", "o"),
        "denoising, p from 0 to 0.8": (SKY, "-", "D"),
    }
    for name, (color, line, marker) in looks.items():
        means, margins = np.array([mean_and_margin(runs) for runs in errors[name].T]).T
        hollow = "white" if line == "--" else color
        axes.plot(levels, means, line, marker=marker, color=color, markerfacecolor=hollow, markersize=5, label=name)
        axes.fill_between(levels, means - margins, means + margins, color=color, alpha=0.15, linewidth=0)
    axes.set(
        xlabel="share p of erased pixels",
        ylabel="squared error to the clean image",
        title="Restoring digits from what is left of them, test images",
        ylim=(0, None),
    )
    axes.legend(fontsize=9)
    return figure


# Ten colours; the numerals tell classes apart where colours do not.
CLASSES = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK, "#7F5A2E", "#888888", "#4B0082")


def draw_planes(planes: Mapping[str, np.ndarray], labels: np.ndarray, share: Mapping[str, float]) -> Figure:
    """Draw the test digits as numerals in planes."""
    figure = _figure(10.5, 5.2)
    for axes, (name, codes) in zip(figure.subplots(1, len(planes)), planes.items(), strict=True):
        for digit, color in enumerate(CLASSES):
            axes.plot(
                *codes[labels == digit].T,
                linestyle="",
                marker=f"${digit}$",
                color=color,
                markersize=5,
                markeredgewidth=0.2,
            )
        low, high = np.percentile(codes, [0.5, 99.5], axis=0)
        room = 0.06 * (high - low)
        axes.set(
            xlim=(low[0] - room[0], high[0] + room[0]),
            ylim=(low[1] - room[1], high[1] + room[1]),
            xlabel="first number of the code",
            ylabel="second number",
            title=f"{name}: {share[name]:.0%} right by 15 neighbours",
        )
    return figure
