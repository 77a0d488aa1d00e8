"""The figures of the lesson on distillation: from arrays to pictures."""

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


def draw_temperatures(temperatures: Sequence[float], bars: np.ndarray) -> Figure:
    """Draw the softmax of z = 1..n, one panel for each temperature."""
    figure = _figure(10, 2.8)
    n = bars.shape[1]
    for axes, T, p in zip(figure.subplots(1, len(temperatures), sharey=True), temperatures, bars, strict=True):
        axes.bar(np.arange(1, n + 1), p, color=BLUE)
        axes.axhline(1 / n, color="0.4", linestyle=":", linewidth=1)
        axes.set(title=f"T = {T:g}", xlabel="z", xticks=np.arange(1, n + 1))
    first = figure.axes[0]
    first.set_ylabel("probability")
    first.annotate("1/n", (0.6, 1 / n), (0, 3), textcoords="offset points", fontsize=9, color="0.3")
    figure.suptitle("A temperature flattens the stairs, and keeps their order", fontsize=11)
    return figure


class SoftmaxBars:
    """The softmax of some logits on a plain and on a logarithmic scale; drawn anew for each temperature."""

    FLOOR = 1e-9  # where the logarithmic scale ends

    def __init__(self, z: np.ndarray) -> None:
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(5.6, 3))
        self.figure.subplots_adjust(left=0.09, right=0.98, top=0.85, bottom=0.15, wspace=0.28)
        self.plain, self.logarithmic = self.figure.subplots(1, 2)
        classes = np.arange(len(z))
        colours = [BLUE if k == z.argmax() else SKY for k in classes]
        self.bars = [axes.bar(classes, 1.0, color=colours) for axes in (self.plain, self.logarithmic)]
        for axes in (self.plain, self.logarithmic):
            axes.axhline(1 / len(z), color="0.3", linestyle=":", linewidth=1.2)
            axes.set(xlabel="class", xticks=classes)
        self.plain.set(ylim=(0, 1.02))
        self.plain.annotate("1/n", (9.5, 1 / len(z)), (0, 4), textcoords="offset points", ha="right", color="0.3")
        self.logarithmic.set(yscale="log", ylim=(self.FLOOR, 2))
        self.logarithmic.set_yticks([1e-9, 1e-6, 1e-3, 1])
        self.logarithmic.minorticks_off()
        self.logarithmic.set_title("the same, logarithmic", fontsize=11)

    def draw(self, T: float, p: np.ndarray) -> Figure:
        """Show the probabilities ``p`` at temperature ``T``; returns the one figure."""
        for bars in self.bars:
            for bar, height in zip(bars, p, strict=True):
                bar.set_height(height)
        self.plain.set_title(f"probability at T = {T:g}", fontsize=11)
        return self.figure


def draw_order(teacher: np.ndarray, right: np.ndarray, printed: np.ndarray) -> Figure:
    """Draw the probabilities of teacher and students beside each other."""
    figure = _figure(7, 3.4)
    axes = figure.subplots()
    places = np.arange(len(teacher))
    for k, (p, label, color) in enumerate(
        (
            (teacher, "teacher", BLACK),
            (right, "student, teacher as target", BLUE),
            (printed, "student, as printed", VERMILLION),
        )
    ):
        axes.bar(places + 0.27 * (k - 1), p, 0.25, color=color, label=label)
    axes.set(
        xticks=places,
        xlabel="class",
        ylabel="probability",
        title="With the arguments swapped, the best student is one-hot",
    )
    axes.legend(fontsize=9)
    return figure


def draw_gradient(temperatures: np.ndarray, norms: np.ndarray, limit: float) -> Figure:
    """Draw the size of the soft gradient over the temperature, without and with T squared."""
    figure = _figure(7, 3.8)
    axes = figure.subplots()
    axes.loglog(temperatures, temperatures**2 * norms, "o-", color=BLUE, label="with $T^2$")
    axes.loglog(temperatures, norms, "s--", color=VERMILLION, label="without")
    axes.axhline(limit, color="0.4", linestyle=":", label=r"$|z - \tilde{z}|\,/\,n$")
    axes.set_xticks(temperatures, [f"{T:g}" for T in temperatures])
    axes.minorticks_off()
    axes.set(
        xlabel="temperature T",
        ylabel="size of the soft gradient",
        title="The soft gradient falls like $1/T^2$, unless it is multiplied by $T^2$",
    )
    axes.legend(fontsize=9)
    return figure


def draw_dark_knowledge(image: np.ndarray, bars: np.ndarray, means: np.ndarray) -> Figure:
    """Draw one digit, the teacher's answers at three temperatures, and the mean soft label of each class."""
    figure = _figure(10, 4.3)
    left, right = figure.subfigures(1, 2, width_ratios=(1.25, 1))
    grid = left.add_gridspec(3, 2, width_ratios=(1, 2.4))
    picture = left.add_subplot(grid[:, 0])
    picture.imshow(image, cmap="gray_r")
    picture.set_axis_off()
    picture.set_title("a 4", fontsize=10)
    for k, (T, p) in enumerate(zip((1, 5, 10), bars, strict=True)):
        axes = left.add_subplot(grid[k, 1])
        second = int(np.where(np.arange(10) == 4, 0, p).argmax())
        axes.bar(range(10), p, color=[BLUE if c == 4 else ORANGE if c == second else "0.6" for c in range(10)])
        for c in (4, second):
            axes.annotate(f"{p[c]:.2f}", (c, p[c]), (0, 2), textcoords="offset points", ha="center", fontsize=8)
        axes.set(xticks=range(10), ylim=(0, 1.25 * p.max()), yticks=[])
        axes.set_ylabel(f"T = {T}", rotation=0, ha="right", va="center")
    axes.set_xlabel("class")
    left.suptitle("The teacher on one 4", fontsize=11)

    axes = right.subplots()
    shown = np.where(np.eye(10, dtype=bool), np.nan, means)
    colours = axes.imshow(shown, cmap="Blues", vmin=0)
    for k in range(10):
        c = int(np.nanargmax(shown[k]))
        light = shown[k, c] > 0.6 * np.nanmax(shown)
        axes.text(c, k, f"{shown[k, c]:.2f}", ha="center", va="center", fontsize=7, color="w" if light else "k")
    axes.set(xticks=range(10), yticks=range(10), xlabel="class in the soft label", ylabel="what it is")
    right.colorbar(colours, ax=axes, shrink=0.85)
    right.suptitle("Mean soft labels at T = 5, right class left out", fontsize=11)
    return figure


def draw_soft_labels(teacher: np.ndarray, hard: np.ndarray, soft: np.ndarray) -> Figure:
    """Draw the mean soft labels of the 4s, on a scale that shows the wrong classes."""
    figure = _figure(8, 3.4)
    axes = figure.subplots()
    rows = (
        (teacher, "teacher", BLACK),
        (soft, "student of soft labels", BLUE),
        (hard, "student of hard labels", VERMILLION),
    )
    for k, (p, label, color) in enumerate(rows):
        axes.bar(np.arange(10) + 0.27 * (k - 1), p, 0.25, color=color, label=label)
    top = 1.3 * max(np.delete(p, 4).max() for p, _, _ in rows)
    axes.set(xticks=range(10), ylim=(0, top), xlabel="class", ylabel="mean probability at T = 4")
    axes.annotate("off the scale", (4.45, top), (0, -6), textcoords="offset points", va="top", fontsize=9, color="0.3")
    axes.set_title("All test 4s: what the networks think of the other classes")
    axes.legend(fontsize=9, loc="upper left")
    return figure


def _points(axes: Any, y: float, values: np.ndarray, color: str) -> None:
    """Each run as a dot, and the mean with its interval, in one row."""
    mean, margin = mean_and_margin(values)
    axes.plot(values, np.full(len(values), y - 0.18), ".", color=color, alpha=0.6)
    axes.errorbar(mean, y, xerr=margin, fmt="o", color=color, capsize=4)


def draw_students(scores: Mapping[str, np.ndarray], teachers: np.ndarray, hidden: int) -> Figure:
    """Draw the test accuracy of each kind of student, and of the teachers."""
    figure = _figure(8, 1.2 + 0.45 * (len(scores) + 1))
    axes = figure.subplots()
    colours = {"hard": BLACK, "soft": BLUE, "both": GREEN}
    rows = {"the teachers": (teachers, PURPLE)}
    for name, values in scores.items():
        color = VERMILLION if "without" in name else colours[name[:4]]
        rows[name] = (values, color)
    for k, (values, color) in enumerate(rows.values()):
        _points(axes, -k, values, color)
    axes.axvline(scores["hard labels only"].mean(), color="0.5", linestyle=":", linewidth=1)
    axes.set_yticks(-np.arange(len(rows)), list(rows))
    axes.set(
        xlabel="test accuracy in percent: runs, mean, 95 % interval",
        title=f"Students of {hidden} hidden units, by what they learned from",
    )
    axes.set_xlim(right=min(axes.get_xlim()[1], 100))  # an interval of two runs may reach beyond what there is
    return figure


def draw_unseen(
    shares: Mapping[tuple[str, str], np.ndarray], read: np.ndarray, missed: np.ndarray, wrong_answers: np.ndarray
) -> Figure:
    """Draw how many 3s are read by students that never saw one, and examples of both kinds."""
    figure = _figure(10, 3.8)
    left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1))
    axes = left.subplots()
    looks = {"plain": (SKY, "as trained", -0.2), "corrected": (BLUE, "bias of the 3 corrected", 0.2)}
    names = list(dict.fromkeys(name for name, _ in shares))
    for kind, (color, label, shift) in looks.items():
        places = np.arange(len(names)) + shift
        means, margins = np.array([mean_and_margin(shares[name, kind]) for name in names]).T
        axes.bar(places, means, 0.36, color=color, label=label)
        inside = np.minimum(margins, means)  # a share is between 0 and 100
        axes.errorbar(
            places, means, yerr=(inside, np.minimum(margins, 100 - means)), fmt="none", ecolor=BLACK, capsize=4
        )
        for place, name, mean, margin in zip(places, names, means, margins, strict=True):
            runs = shares[name, kind]
            axes.plot(np.full(len(runs), place + 0.1), runs, ".", color=BLACK, alpha=0.5)
            axes.annotate(
                f"{mean:.0f} %",
                (place - 0.08, min(mean + margin, 100)),
                (0, 3),
                textcoords="offset points",
                ha="center",
            )
    axes.set_xticks(np.arange(len(names)), [name.replace(", ", "\n") for name in names])
    axes.set(ylim=(0, 110), ylabel="test 3s read right, in percent", title="Students that were never shown a 3")
    axes.legend(fontsize=9, loc="upper left")
    panels = right.subplots(2, 1)
    for panel, images, title in zip(
        panels,
        (read, missed),
        ("3s that a student read right", f"3s that it took for {', '.join(map(str, wrong_answers))}"),
        strict=True,
    ):
        if len(images):
            panel.imshow(mosaic(1 - images, columns=6, gap=3), cmap="gray", vmin=0, vmax=1)
        panel.set_axis_off()
        panel.set_title(title, fontsize=10)
    return figure
