"""The figures of the lesson on spatial transformers: from arrays to a Figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lessons.lab.colours import BLUE, GREEN, ORANGE, SKY, VERMILLION
from lessons.lab.pictures import mosaic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Where each part of the module stands in the picture, and what is written in it.
NODES = {
    "U": (0.0, 0.0, "$U$"),
    "localisation": (2.0, 1.0, "localisation net"),
    "theta": (4.2, 1.0, r"$\theta$"),
    "grid": (6.2, 1.0, "grid generator"),
    "points": (8.4, 1.0, "$x^s, y^s$"),
    "sampler": (8.4, 0.0, "sampler"),
    "V": (10.2, 0.0, "$V$"),
}
# Each arrow, with what the gradient is multiplied by when it comes back along it.
EDGES = {
    ("U", "localisation"): "",
    ("localisation", "theta"): "",
    ("theta", "grid"): "",
    ("grid", "points"): r"$\Sigma\, (x^t, y^t, 1)$",
    ("points", "sampler"): r"$\frac{W - 1}{2}$ slope along $x$,  $\frac{H - 1}{2}$ slope along $y$",
    ("U", "sampler"): "the four weights",
    ("sampler", "V"): "",
}


def draw_module() -> Figure:
    """Draw NODES and EDGES."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.5, 10.7), ylim=(-0.45, 1.5))
    axes.set_axis_off()
    frame = {"boxstyle": "round,pad=0.45", "facecolor": "#E8F1F8", "edgecolor": BLUE}
    boxes = {
        name: axes.text(x, y, label, ha="center", va="center", fontsize=12, bbox=frame).get_bbox_patch()
        for name, (x, y, label) in NODES.items()
    }
    for (start, end), label in EDGES.items():
        (x0, y0, _), (x1, y1, _) = NODES[start], NODES[end]
        arrow = {"arrowstyle": "-|>", "color": "0.55", "patchA": boxes[start], "patchB": boxes[end]}
        axes.annotate("", (x1, y1), (x0, y0), arrowprops=arrow | {"shrinkA": 3, "shrinkB": 3})
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        if x0 == x1:  # a vertical arrow: the label stands beside it
            axes.text(x - 0.15, y, label, color=VERMILLION, ha="right", va="center", fontsize=10)
        else:
            axes.text(x, y + 0.12, label, color=VERMILLION, ha="center", va="bottom", fontsize=10)
    axes.set_title(
        "The image decides where it is read; red: what a gradient is multiplied by on its way back", fontsize=11
    )
    return figure


LOOKS = {
    "dense": (BLUE, "--"),
    "dense, transformer": (VERMILLION, "-"),
    "convolutional": (GREEN, "--"),
    "convolutional, transformer": (ORANGE, "-"),
}


def draw_accuracy(scores: dict[str, np.ndarray]) -> Figure:
    """Draw each network's accuracy over the epochs: the mean over seeds, and a band from the lowest to the highest."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    for name, curves in scores.items():
        colour, style = LOOKS[name]
        epochs = np.arange(1, curves.shape[1] + 1)
        axes.fill_between(
            epochs, 100 * curves.min(axis=0), 100 * curves.max(axis=0), color=colour, alpha=0.15, linewidth=0
        )
        label = f"{name}: {100 * curves[:, -1].mean():.0f} %"
        axes.plot(epochs, 100 * curves.mean(axis=0), style, color=colour, marker="o", markersize=3, label=label)
    axes.set(
        xlabel="epochs",
        ylabel="test accuracy (%)",
        ylim=(0, 100),
        title="Turned, scaled and shifted digits: what a transformer adds at equal parameters",
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=9, loc="lower right")
    return figure


def outline(theta: np.ndarray, size: int) -> np.ndarray:
    """The closed outline (5, 2) of where an affine map (2, 3) reads an image of `size` pixels, in pixels."""
    square = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1], [-1, -1, 1]])
    return (square @ theta.T + 1) * (size - 1) / 2


def _outlined(axes: Axes, sheet_of: np.ndarray, theta: np.ndarray, columns: int, gap: int = 5) -> None:
    """Show images as a mosaic and draw on each where it is read; blue is the upper edge of the view."""
    from matplotlib.patches import Rectangle

    size = sheet_of.shape[1]
    axes.imshow(mosaic(sheet_of, columns, gap), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_axis_off()
    for k, one in enumerate(theta):
        offset = np.array([k % columns, k // columns]) * (size + gap)
        points = outline(one, size) + offset
        window = Rectangle(tuple(offset - 2.5), size + 4, size + 4, transform=axes.transData)  # reaches into the gap
        for part, colour, width in ((points, ORANGE, 1.2), (points[:2], SKY, 2.2)):
            (line,) = axes.plot(*part.T, color=colour, linewidth=width)
            line.set_clip_path(window)
    rows = -(-len(sheet_of) // columns)
    axes.set(xlim=(-3, columns * (size + gap) - gap + 2), ylim=(rows * (size + gap) - gap + 2, -3))


def _row(axes: Axes, images: np.ndarray, columns: int | None = None) -> Any:
    axes.set_axis_off()
    sheet = mosaic(images, columns or len(images), gap=2)
    return axes.imshow(sheet, cmap="gray", vmin=0, vmax=max(1e-9, float(images.max())), interpolation="nearest")


def draw_rectified(inputs: np.ndarray, before: np.ndarray, after: np.ndarray, theta: np.ndarray) -> Figure:
    """Draw canvases with outlines, and what the transformer hands on before and after training."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    rows = figure.subplots(3, 1)
    _outlined(rows[0], inputs, theta, len(inputs))
    rows[0].set_title(
        "The canvas, and where the trained transformer looks (blue: the upper edge of its view)", fontsize=10
    )
    _row(rows[1], before)
    rows[1].set_title("What it hands on before training: the whole canvas", fontsize=10)
    _row(rows[2], after)
    rows[2].set_title("After training: in the middle", fontsize=10)
    return figure


def draw_means(means: dict[str, np.ndarray], shares: dict[str, float]) -> Figure:
    """Draw the mean picture of each class, a row for each kind of picture, with the share they have in common."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, (name, images) in zip(figure.subplots(len(means), 1), means.items(), strict=True):
        _row(axes, images)
        axes.set_title(f"Mean of each class, {name}: {shares[name]:.0%} of the variance in common", fontsize=10)
    return figure


def draw_spread(canvases: np.ndarray, seen: np.ndarray, left: np.ndarray) -> Figure:
    """Draw one digit in several poses, what the transformer makes of it, and which share of each spread is left."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 2.7), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(2.6, 1))
    upper, lower, bars = (figure.add_subplot(place) for place in (grid[0, 0], grid[1, 0], grid[:, 1]))
    _row(upper, canvases)
    upper.set_title("One digit in nine poses", fontsize=10)
    _row(lower, seen)
    lower.set_title("What the transformer hands on", fontsize=10)
    drawn = bars.bar(("position", "size", "angle"), 100 * left, color=(BLUE, GREEN, ORANGE))
    bars.bar_label(drawn, [f"{share:.0%}" for share in left], fontsize=9)
    bars.axhline(100, color="0.3", linewidth=0.8, linestyle=":")
    bars.set(ylim=(0, max(120, 115 * left.max())), ylabel="% of the spread", title="Spread that is left, test set")
    bars.title.set_fontsize(10)
    return figure


def draw_signs(
    images: np.ndarray, views: np.ndarray, theta: np.ndarray, scores: dict[str, dict[str, np.ndarray]]
) -> Figure:
    """Draw signs with outlines, what the transformer hands on, and the accuracies for each placement."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.9, 1))
    upper, lower, bars = (figure.add_subplot(place) for place in (grid[0, 0], grid[1, 0], grid[:, 1]))
    _outlined(upper, images.transpose(0, 2, 3, 1), theta, 6)
    upper.set_title("Drawn signs, and where the transformer looks", fontsize=10)
    _row(lower, views.transpose(0, 2, 3, 1).clip(0, 1), 6)
    lower.set_title("What it hands on", fontsize=10)
    names = list(next(iter(scores.values())))
    for k, name in enumerate(names):
        for j, of_networks in enumerate(scores.values()):
            last = 100 * of_networks[name][:, -1]
            place = j + 0.26 * (k - (len(names) - 1) / 2)
            bars.bar(place, last.mean(), 0.24, color=LOOKS[name][0], label=name if j == 0 else None)
            bars.plot(np.full(len(last), place), last, ".", color="black", markersize=4)
    bars.set_xticks(range(len(scores)), [f"signs {placement}" for placement in scores])
    bars.set(ylabel="test accuracy (%)", ylim=(0, 118), yticks=range(0, 101, 20))
    bars.legend(fontsize=8, loc="upper left", ncols=2)
    return figure


def frames(
    inputs: np.ndarray, views: Sequence[np.ndarray], thetas: Sequence[np.ndarray], steps: Sequence[int]
) -> Iterator[Figure]:
    """Draw one frame for each step: where the transformer looks, and what it hands on."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.9))
    upper = figure.add_axes((0.01, 0.44, 0.98, 0.4))
    lower = figure.add_axes((0.01, 0.02, 0.98, 0.4))
    title = figure.text(0.5, 0.93, "", ha="center", va="center", fontsize=11)
    picture = _row(lower, views[-1])
    for step, view, theta in zip(steps, views, thetas, strict=True):
        upper.clear()
        _outlined(upper, inputs, theta, len(inputs))
        picture.set_data(mosaic(view, len(view)))
        title.set_text(f"Where the transformer looks, and what it hands on, after {step} steps")
        yield figure
