"""The figures of the XNOR lesson: from arrays to matplotlib figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lessons.lab.colours import BLACK, BLUE, GREEN, ORANGE, PURPLE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Job = tuple[str, str]


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def approximation(
    W: np.ndarray, alpha: float, B: np.ndarray, scales: np.ndarray, curves: Mapping[int, np.ndarray], share: float
) -> Figure:
    """Draw sorted weights with their two levels, and the error over alpha for right and for flipped signs."""
    figure = _figure(10, 3.8)
    left, right = figure.subplots(1, 2)
    places = np.arange(len(W))
    left.vlines(places, alpha * B, W, color="0.75", linewidth=2, label="what is lost")
    left.plot(places, W, "o", color=BLUE, markersize=4, label="$W$")
    left.step(places, alpha * B, where="mid", color=VERMILLION, label=r"$\alpha B$")
    left.axhline(0, color="0.3", linewidth=0.8)
    left.set(xlabel="weights, sorted", ylabel="value", title=f"{len(W)} weights become one scale and {len(W)} signs")
    left.legend(fontsize=9, loc="upper left")
    looks = zip(curves.items(), (BLUE, ORANGE, PURPLE), ("-", "--", "-."), strict=True)
    for (flips, curve), color, style in looks:
        label = f"{flips} sign{'s' if flips > 1 else ''} flipped" if flips else r"$B = \mathrm{sign}(W)$"
        right.plot(scales, curve, style, color=color, label=label)
        lowest = curve.argmin()
        right.plot(scales[lowest], curve[lowest], "o", color=color)
    right.axvline(alpha, color="0.5", linewidth=0.8)
    right.annotate(
        r"mean $|W|$",
        (alpha, 0.97),
        (4, 0),
        textcoords="offset points",
        xycoords=("data", "axes fraction"),
        va="top",
        fontsize=9,
    )
    right.set(
        xlabel=r"scale $\alpha$",
        ylabel=r"$\|W - \alpha B\|^2 \,/\, \|W\|^2$",
        title=f"The error is a parabola; at best {share:.0%} is lost",
    )
    right.set_ylim(0, None)
    right.legend(fontsize=9, loc="upper left")
    return figure


def stand_ins() -> Figure:
    """Draw the sign with its surrogate, and the three slopes: true, straight through, printed."""
    figure = _figure(10, 3.6)
    left, right = figure.subplots(1, 2)
    r = np.linspace(-2, 2, 401)
    left.plot(r, np.clip(r, -1, 1), color=GREEN, linewidth=4, alpha=0.6, label="backward: clip(r, -1, 1)")
    for side in (-1, 1):
        left.plot([0, 2 * side], [side, side], color=BLUE, label="forward: sign(r)" if side == 1 else None)
    left.plot(0, 1, "o", color=BLUE, markersize=5)
    left.plot(0, -1, "o", color=BLUE, markersize=5, markerfacecolor="white")
    left.set(xlabel="r", ylabel="value", title="Forward a step, backward a line")
    left.legend(fontsize=9, loc="upper left")

    right.annotate("", (0, 1.45), (0, 0), arrowprops={"arrowstyle": "-|>", "color": BLACK})
    right.plot([-2, 2], [0, 0], color=BLACK, linewidth=1, label="true slope of the sign: 0, and a spike at 0")
    box = [(-2, 0), (-1, 0), (-1, 1), (1, 1), (1, 0), (2, 0)]
    right.plot(*zip(*box, strict=True), color=GREEN, linewidth=3, alpha=0.7, label="straight through: 1 inside")
    line = [(-2, 0), (-1, 0), (-1, -1), (1, 1), (1, 0), (2, 0)]
    right.plot(*zip(*line, strict=True), "--", color=VERMILLION, label="as printed: r inside, negative left of 0")
    right.set(xlabel="r", ylabel="slope", ylim=(-1.25, 2.6), title="What stands in for the derivative")
    right.legend(fontsize=9, loc="upper left")
    return figure


def descent(right: np.ndarray, wrong: np.ndarray) -> Figure:
    """Draw the two paths of r."""
    figure = _figure(7, 3.6)
    axes = figure.subplots()
    steps = np.arange(len(right))
    axes.axhspan(-1, 1, color="0.94")
    axes.axhline(0, color="0.3", linewidth=0.8)
    axes.plot(steps, right, "o-", color=GREEN, label="straight through")
    axes.plot(steps, wrong, "s--", color=VERMILLION, label="as printed, with the factor r")
    axes.annotate(
        f"sign flipped, r = {right[-1]:.2f}",
        (steps[-1], right[-1]),
        (0, 8),
        textcoords="offset points",
        ha="right",
        color=GREEN,
    )
    axes.annotate(
        f"beyond -1, frozen at {wrong[-1]:.2f}",
        (steps[-1], wrong[-1]),
        (0, -14),
        textcoords="offset points",
        ha="right",
        color=VERMILLION,
    )
    axes.annotate("gradient passes here", (0.3, 0.86), fontsize=9, color="0.4", va="center")
    axes.set(xlabel="step", ylabel="r", ylim=(-1.35, 1.1), title="One weight that wants to be positive, from r = -0.3")
    axes.legend(fontsize=9, loc="lower left")
    return figure


_RIVAL_LOOKS = {"naive": (BLUE, "o-"), "ours": (GREEN, "s-"), "torch": (VERMILLION, "D-")}


def speed_up(
    channels: Sequence[int],
    over_channels: Mapping[str, np.ndarray],
    sides: Sequence[int],
    over_sides: Mapping[str, np.ndarray],
    most: int,
    labels: Mapping[str, str],
    model: Callable[[Any, Any], Any],
) -> Figure:
    """Draw the speed-up over channels at 3 x 3, and over windows at `most` channels, beside the cost model.

    The arrays have a row for each place: the median and the quartiles.
    """
    figure = _figure(10, 4.3)
    left, right = figure.subplots(1, 2, sharey=True)
    _speed_ups(left, channels, over_channels, labels)
    dense = np.geomspace(min(channels) / 1.15, max(channels) * 1.15, 100)
    left.plot(dense, model(dense, 9), "--", color=BLACK, label="the paper's cost model")
    left.set_xscale("log", base=2)
    left.set_xticks(list(channels), [str(c) for c in channels])
    left.set(xlabel="channels (3 x 3 windows)", ylabel="times as fast as ... (bars: quartiles)", yscale="log")
    _speed_ups(right, sides, over_sides, {})
    right.plot(sides, model(most, np.square(sides)), "--" if len(sides) > 1 else "_", color=BLACK)
    right.set_xticks(list(sides), [f"{s} x {s}" for s in sides])
    right.set(xlabel=f"window ({most} channels)")
    for axes in (left, right):
        axes.axhline(58, color="0.4", linewidth=1, linestyle=":")
        axes.axhline(1, color="0.4", linewidth=0.8)
        axes.grid(axis="y", color="0.92")
        axes.minorticks_off()
    right.annotate(
        "the paper's 58",
        (0.99, 58),
        (0, -3),
        textcoords="offset points",
        xycoords=("axes fraction", "data"),
        ha="right",
        va="top",
        fontsize=9,
    )
    ticks = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000]
    low, high = left.get_ylim()
    left.set_yticks([tick for tick in ticks if low <= tick <= high])
    left.yaxis.set_major_formatter("{x:g}")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    figure.suptitle("The speed-up of a binary convolution depends on the rival", fontsize=12)
    return figure


def _speed_ups(axes: Axes, places: Sequence[int], found: Mapping[str, np.ndarray], labels: Mapping[str, str]) -> None:
    for name, values in found.items():
        color, style = _RIVAL_LOOKS[name]
        median, low, high = values.T
        axes.plot(places, median, style, color=color, label=labels.get(name))
        axes.vlines(places, low, high, color=color, alpha=0.4, linewidth=5)


# How each network is drawn, and what it is called.
_NETWORK_LOOKS: dict[Job, tuple[str, str, str]] = {
    ("float", "right"): (BLACK, "-", "float"),
    ("binary weights", "right"): (BLUE, "-", "binary weights"),
    ("XNOR", "right"): (GREEN, "-", "XNOR"),
    ("XNOR", "one summand"): (ORANGE, "--", "XNOR, one summand"),
    ("XNOR", "both as printed"): (PURPLE, "-.", "XNOR, both as printed"),
    ("XNOR", "factor r"): (VERMILLION, ":", "XNOR, factor r"),
}


def training(curves: Mapping[Job, np.ndarray], scores: Mapping[Job, np.ndarray], window: int, tested: int) -> Figure:
    """Draw the mean loss of each kind of network over the steps, and the accuracy of each run."""
    figure = _figure(10, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    for place, (job, (color, style, label)) in enumerate(_NETWORK_LOOKS.items()):
        mean = curves[job].mean(axis=0)
        left.plot(np.arange(len(mean)) + window, mean, style, color=color, label=label)
        percent = 100 * scores[job]
        right.plot(percent, np.full(len(percent), place), "o", color=color, alpha=0.5, markersize=5)
        right.plot(percent.mean(), place, "|", color=color, markersize=18, markeredgewidth=2.5)
        right.annotate(
            f"{percent.mean():.1f}",
            (percent.mean(), place),
            (0, 11),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=color,
        )
    left.axhline(np.log(10), color="0.5", linestyle=":", linewidth=1)
    left.set(xlabel="step", ylabel="training loss", yscale="log", title="Training loss, mean of the runs")
    left.set_yticks([tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2) if left.get_ylim()[0] <= tick])
    left.yaxis.set_major_formatter("{x:g}")
    left.minorticks_off()
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8)
    figure.suptitle("Straight through, a network of bits learns; a factor r in the slope ruins it", fontsize=12)
    right.set_yticks(range(len(_NETWORK_LOOKS)), [label for _, _, label in _NETWORK_LOOKS.values()])
    right.set_ylim(len(_NETWORK_LOOKS) - 0.5, -0.7)
    right.grid(axis="x", color="0.92")
    right.set(xlabel=f"right of {tested:,} test digits, in percent", title="Accuracy: every run, and the mean")
    return figure
