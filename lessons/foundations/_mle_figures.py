"""The figures of the lesson `mle`: from arrays to pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lessons.lab.colours import BLACK, BLUE, GREEN, ORANGE, SKY, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OWN, FIXED = BLUE, VERMILLION  # the forecast with its own sigma, and the twin with one for all


def draw_views(grid: np.ndarray, density: np.ndarray) -> Figure:
    """Draw a network as a function, and as the parameters of a distribution."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    above, below = figure.subplots(2, 1)
    for axes, title in ((above, "A function: the loss compares two numbers"),
                        (below, "A distribution: the loss is how surprised it is")):  # fmt: skip
        axes.set(xlim=(0, 10), ylim=(0, 2))
        axes.set_axis_off()
        axes.set_title(title, loc="left", fontsize=11)
        _box(axes, 0.6, "$x$", SKY)
        _box(axes, 2.6, r"network $f_\theta$", BLUE)
        _arrow(axes, 0.95, 1.75)
        _arrow(axes, 3.45, 4.25)
    _box(above, 4.65, r"$\hat{y}$", GREEN)
    _box(above, 6.6, "$y$", ORANGE)
    above.annotate("", (6.2, 1), (5.05, 1), arrowprops={"arrowstyle": "<->", "color": "0.4"})
    above.text(5.62, 1.25, r"$(y - \hat{y})^2$", ha="center", fontsize=12, color=VERMILLION)
    above.text(7.4, 1, "new $x$: one number, the same every time", va="center", fontsize=9)

    _box(below, 4.65, r"$\mu, \sigma$", GREEN)
    _arrow(below, 5.05, 5.5)
    inset = below.inset_axes((5.55, 0.15, 1.75, 1.6), transform=below.transData)
    inset.fill_between(grid, density, color=GREEN, alpha=0.25, linewidth=0)
    inset.plot(grid, density, color=GREEN)
    at = 1.2
    height = float(np.interp(at, grid, density))
    inset.vlines(at, 0, height, color=ORANGE, linewidth=2)
    inset.plot(at, height, "o", color=ORANGE)
    inset.annotate("$p(y)$", (at, height), (6, 3), textcoords="offset points", color=VERMILLION, fontsize=10)
    inset.set(ylim=(0, 0.48), yticks=[], xticks=[0, at], xticklabels=[r"$\mu$", "$y$"])
    inset.spines[["left", "right", "top"]].set_visible(False)
    below.text(7.55, 1.25, r"loss: $-\log p(y \mid f_\theta(x))$", fontsize=11, color=VERMILLION, va="center")
    below.text(7.55, 0.7, "new $x$: a draw from this density,\nand an interval to check", va="center", fontsize=9)
    return figure


def _box(axes: Axes, x: float, text: str, colour: str) -> None:
    frame = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": colour, "linewidth": 1.6}
    axes.text(x, 1, text, ha="center", va="center", fontsize=12, bbox=frame)


def _arrow(axes: Axes, start: float, end: float) -> None:
    axes.annotate("", (end, 1), (start, 1), arrowprops={"arrowstyle": "-|>", "color": "0.4"})


def draw_losses(outputs: np.ndarray, losses: dict[str, np.ndarray]) -> Figure:
    """Draw four distributions, and below each its negative logarithm over what the network puts out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.8), layout="constrained")
    tops, bottoms = figure.subplots(2, 4, height_ratios=(1, 1.4))
    styles = list(zip((BLUE, VERMILLION, GREEN), ("-", "--", "-."), strict=True))
    labels = {
        "gaussian": [rf"$\sigma = {s:g}$" for s in (0.5, 1, 2)],
        "bernoulli": ["$y = 0$", "$y = 1$"],
        "categorical": ["class 1 is seen", "class 2 is seen"],
        "poisson": [f"$y = {k}$" for k in (0, 2, 6)],
    }
    below = {
        "gaussian": (r"output $\mu$, with $y = 0$", "squares"),
        "bernoulli": ("output $s$", "binary cross-entropy"),
        "categorical": ("logit of class 1, others 0", "cross-entropy"),
        "poisson": (r"output $s = \log \lambda$", "Poisson NLL"),
    }
    for axes, (name, curves) in zip(bottoms, losses.items(), strict=True):
        for curve, label, (colour, style) in zip(curves, labels[name], styles, strict=False):
            axes.plot(outputs, curve, style, color=colour, label=label)
        axes.set(xlabel=below[name][0], ylim=(0, 6), xlim=(-4, 4))
        axes.set_title(f"... gives {below[name][1]}", fontsize=10)
        if name == "gaussian":
            axes.legend(fontsize=7, loc="lower right", handlelength=1.6, borderpad=0.2)
        elif name == "poisson":
            axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 0.05))
        else:
            axes.legend(fontsize=8, loc="upper center")
    bottoms[0].set_ylabel(r"loss $-\log p(y)$ in nats")
    tops[0].set_ylabel("$p(y)$")
    for sigma, (colour, style) in zip((0.5, 1, 2), styles, strict=True):
        tops[0].plot(outputs, np.exp(-0.5 * (outputs / sigma) ** 2) / sigma / np.sqrt(2 * np.pi), style, color=colour)
    tops[1].bar([0, 1], [0.3, 0.7], width=0.5, color=[BLUE, VERMILLION])
    tops[2].bar([1, 2, 3], [0.5, 0.3, 0.2], width=0.5, color=[BLUE, VERMILLION, "0.6"])
    counts = np.arange(9)
    factorials = np.cumprod([1, *counts[1:]])
    shades = [{0: BLUE, 2: VERMILLION, 6: GREEN}.get(int(k), "0.6") for k in counts]
    tops[3].bar(counts, np.exp(-3.0) * 3.0**counts / factorials, color=shades)
    ticks: list[Sequence[int]] = [[-2, 0, 2], [0, 1], [1, 2, 3], [0, 2, 4, 6, 8]]
    for axes, name, where in zip(tops, ("Gaussian", "Bernoulli", "categorical", "Poisson"), ticks, strict=True):
        axes.set_title(name, fontsize=11)
        axes.set_xticks(where)
        axes.set_xlabel("$y$")
        axes.set_ylim(0, None)
    return figure


def draw_fit(shown: dict[str, np.ndarray]) -> Figure:
    """Draw training data with both forecasts' 90 % bands, and data drawn from the first."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3, sharex=True, sharey=True)
    grid = shown["grid"]
    panels = ((left, "own", OWN, r"learns $\mu$ and $\sigma$"), (middle, "fixed", FIXED, r"learns $\mu$ by squares"))
    for axes, name, colour, title in panels:
        mu, sigma = shown[name]
        axes.plot(shown["x"], shown["y"], ".", color="0.55", markersize=3, label="training data")
        axes.fill_between(grid, mu - 1.645 * sigma, mu + 1.645 * sigma, color=colour, alpha=0.25, linewidth=0,
                          label="90 % interval")  # fmt: skip
        axes.plot(grid, mu, color=colour, label=r"$\mu$")
        axes.plot(grid, shown["truth"][0], "--", color=BLACK, linewidth=1, label="true mean")
        axes.set_title(title, fontsize=11)
        axes.legend(fontsize=8, loc="upper left")
        axes.set_xlabel("$x$")
    right.plot(shown["x"], shown["drawn"], ".", color=OWN, markersize=3)
    right.set_title("new data, drawn from the first", fontsize=11)
    right.set_xlabel("$x$")
    left.set_ylabel("$y$")
    return figure


def draw_calibration(
    levels: np.ndarray,
    edges: np.ndarray,
    names: Sequence[str],
    covered: np.ndarray,
    by_bin: np.ndarray,
    histogram: np.ndarray,
) -> Figure:
    """Draw coverage over level, coverage of 90 % by region, and PIT histograms: means and ranges over the seeds.

    The arrays have the seeds first and the two forecasts second.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    looks = list(zip(names, (OWN, FIXED), ("o-", "s--"), strict=True))
    left.plot([0, 1], [0, 1], color="0.5", linewidth=1)
    centres = (edges[:-1] + edges[1:]) / 2
    middle.axhline(0.9, color="0.5", linewidth=1)
    right.axhline(1, color="0.5", linewidth=1)
    bars = np.linspace(0, 1, histogram.shape[2] + 1)
    for k, (name, colour, style) in enumerate(looks):
        _mean_and_range(left, levels, covered[:, k], colour, style, name)
        _mean_and_range(middle, centres, by_bin[:, k], colour, style, name)
        right.stairs(histogram[:, k].mean(axis=0), bars, color=colour, linestyle=style[1:], linewidth=1.8, label=name)
    left.set(
        xlabel="promised", ylabel="measured", title="All samples: the twin passes at 90 %", xlim=(0, 1), ylim=(0, 1)
    )
    middle.set(xlabel="$x$, from quiet to noisy", ylabel="measured", title="90 % intervals by region", ylim=(0.5, 1.02))
    right.set(xlabel="$u = F(y)$", ylabel="density", title="$u$ is uniform if calibrated", ylim=(0, None))
    for axes in (left, middle, right):
        axes.title.set_fontsize(11)
    left.legend(fontsize=9, loc="upper left")
    middle.annotate("promised", (edges[0], 0.9), (0, -11), textcoords="offset points", fontsize=8, color="0.3")
    return figure


def _mean_and_range(axes: Axes, x: np.ndarray, values: np.ndarray, colour: str, style: str, label: str) -> None:
    axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, values.mean(axis=0), style, color=colour, markersize=4, label=label)


def draw_reliability(names: Sequence[str], counts: np.ndarray, promised: np.ndarray, right: np.ndarray) -> Figure:
    """Draw the share of right answers over the mean promised probability; error bars are binomial, +- 2."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0.35, 1], [0.35, 1], color="0.5", linewidth=1)
    axes.annotate("what is promised is kept", (0.42, 0.42), (0, 8), textcoords="offset points", fontsize=8,
                  rotation=38, color="0.3", rotation_mode="anchor")  # fmt: skip
    looks: list[tuple[str, str]] = [(GREEN, "^:"), (VERMILLION, "s--"), (BLUE, "o-")]
    for row, (name, (colour, style)) in enumerate(zip(names, looks, strict=True)):
        there = counts[row] > 0
        share: Any = right[row][there]
        bars = 2 * np.sqrt(share * (1 - share) / counts[row][there])
        axes.errorbar(promised[row][there], share, bars, fmt=style, color=colour, capsize=2, label=name, linewidth=1.4)
    axes.set(
        xlabel="probability that the network gave to its answer",
        ylabel="share of right answers",
        title="Digits: longer training promises too much",
        xlim=(0.35, 1.01),
        ylim=(0, 1.03),
    )
    axes.legend(fontsize=9, loc="lower right")
    return figure
