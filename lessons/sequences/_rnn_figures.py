"""The pictures of the lesson `rnn`: from arrays to Figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lessons.lab.colours import BLACK, BLUE, CYCLE, GREEN, PURPLE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = {"RNN": BLUE, "LSTM": VERMILLION}
SCALE_COLOURS = {0.5: BLUE, 1.0: GREEN, 1.5: VERMILLION}


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def memory(seen: Mapping[str, np.ndarray]) -> Figure:
    """Each output as a bar that is divided among the inputs it depends on, by the norms of the derivatives."""
    figure = _figure(10, 3.2)
    equations = (r"$y_t = f(W_x X_t)$", r"$y_t = f(W_x X_t + W_h X_{t-1})$", r"$y_t = f(W_x X_t + W_h\, y_{t-1})$")
    for axes, (name, norms), equation in zip(figure.subplots(1, 3, sharey=True), seen.items(), equations, strict=True):
        shares = norms / norms.sum(axis=1, keepdims=True)
        below = np.zeros(len(shares))
        for k, colour in zip(range(shares.shape[1]), CYCLE, strict=False):
            axes.bar(range(len(shares)), shares[:, k], bottom=below, color=colour, width=0.8, edgecolor="white")
            below += shares[:, k]
            if shares[k, k] > 0:
                middle = below[k] - shares[k, k] / 2
                axes.text(k, middle, f"$X_{k}$", ha="center", va="center", color="white", fontsize=11)
        axes.set(title=f"{name.capitalize()}: {equation}", xlabel="output $y_t$, at $t$ =")
        axes.title.set_fontsize(10)
    figure.axes[0].set_ylabel("share of each input,\nby $|dy_t / dX_k|$")
    return figure


# The unrolled graph: where its nodes stand, and the factor on each arrow's way back.
_STEPS = 4
UNROLLED_EDGES = {
    **{(f"x{t}", f"h{t}"): r"$W_{xh}^\top$" for t in range(1, _STEPS + 1)},
    **{(f"h{t}", f"y{t}"): r"$W_{hy}^\top$" for t in range(1, _STEPS + 1)},
    **{(f"h{t - 1}", f"h{t}"): r"$W_{hh}^\top$" for t in range(1, _STEPS + 1)},
}


def unrolled_graph() -> Figure:
    """The network with its loop, and unrolled."""
    figure = _figure(10, 3.6)
    folded, axes = figure.subplots(1, 2, width_ratios=(1, 4.2))
    frame = {"boxstyle": "circle,pad=0.32", "facecolor": "#E8F1F8", "edgecolor": BLUE}
    blank = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}

    def arrow(target: Any, start: tuple[float, float], end: tuple[float, float], **more: Any) -> None:
        style = {"arrowstyle": "-|>", "color": "0.5", "shrinkA": 17, "shrinkB": 17, **more}
        target.annotate("", end, start, arrowprops=style)

    def node(target: Any, x: float, y: float, label: str) -> None:
        target.text(x, y, label, ha="center", va="center", fontsize=13, bbox=frame)

    for y, label in ((-1, "$x_t$"), (0, "$h_t$"), (1, "$y_t$")):
        node(folded, 0, y, label)
    arrow(folded, (0, -1), (0, 0))
    arrow(folded, (0, 0), (0, 1))
    angle = np.linspace(0.72 * np.pi, -0.72 * np.pi, 60)
    loop = np.stack([0.52 + 0.4 * np.cos(angle), 0.42 * np.sin(angle)])
    folded.plot(*loop, color="0.5", linewidth=1)
    arrow(folded, tuple(loop[:, -4]), tuple(loop[:, -1]), shrinkA=0, shrinkB=0)
    folded.text(1.0, 0, r"$W_{hh}$", ha="left", va="center", fontsize=12)
    folded.set(xlim=(-0.7, 1.7), ylim=(-1.3, 1.3))
    folded.set_title("A loop ...", fontsize=11)

    places = {f"h{t}": (1.6 * t, 0.0) for t in range(_STEPS + 1)}
    places |= {f"x{t}": (1.6 * t, -1.0) for t in range(1, _STEPS + 1)}
    places |= {f"y{t}": (1.6 * t, 1.0) for t in range(1, _STEPS + 1)}
    for name, (x, y) in places.items():
        node(axes, x, y, f"${name[0]}_{name[1]}$")
    for (start, end), label in UNROLLED_EDGES.items():
        (x0, y0), (x1, y1) = places[start], places[end]
        arrow(axes, places[start], places[end])
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        axes.text(*middle, label, ha="center", va="center", fontsize=11, color=VERMILLION, bbox=blank)
    for t in range(1, _STEPS + 1):
        axes.text(1.6 * t + 0.28, 0.3, r"$\times(1 - h_t^2)$".replace("_t", f"_{t}"), fontsize=8.5, color=VERMILLION)
    axes.set(xlim=(-0.5, 1.6 * _STEPS + 0.95), ylim=(-1.3, 1.3))
    axes.set_title("... is a deep network whose layers share their weights", fontsize=11)
    for target in (folded, axes):
        target.set_axis_off()
    figure.supxlabel("Arrows point forward; vermillion: what a gradient is multiplied by on its way back", fontsize=10)
    return figure


def truncation(lengths: Sequence[int], missing: Mapping[float, np.ndarray]) -> Figure:
    """How wrong the truncated gradient is, over the length of the pieces."""
    figure = _figure(7, 3.6)
    axes = figure.subplots()
    for s, values in missing.items():
        axes.plot(lengths, values, "o-", color=SCALE_COLOURS[s], label=f"$s = {s}$")
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.set(
        xlabel="a cut every so many steps (64: none)",
        ylabel="error of $dL/dW_{hh}$,\nrelative to its norm",
        title="What truncated backpropagation forgets depends on the matrix",
        ylim=(-0.03, None),
    )
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.legend(title=r"$W_{hh} = s\,\times$ orthogonal")
    return figure


def lags(untrained: Mapping[str, Mapping[float, np.ndarray]], networks: Mapping[str, np.ndarray]) -> Figure:
    """Norms of gradients over the lag: known matrices on the left, networks on the right."""
    figure = _figure(10, 4)
    left, right = figure.subplots(1, 2)
    for s, norms in untrained["linear"].items():
        colour = SCALE_COLOURS[s]
        left.semilogy(norms, "--", color=colour)
        left.semilogy(untrained["tanh"][s], "-", color=colour)
        left.annotate(
            f"$s = {s}$", (len(norms) - 1, norms[-1]), (4, 0), textcoords="offset points", color=colour, va="center"
        )
    left.plot([], [], "--", color="0.3", label="without tanh: $s^k$")
    left.plot([], [], "-", color="0.3", label="with tanh")
    left.legend(loc="upper left", fontsize=9)
    left.set(
        xlabel="lag $k$",
        ylabel=r"$\|\partial h_t / \partial h_{t-k}\|$",
        title="A matrix vanishes or explodes",
        xlim=(0, 59),
    )
    for name, norms in networks.items():
        kind, state = name.split()
        right.semilogy(norms, "-" if state == "trained" else ":", color=COLOURS[kind], label=name, linewidth=1.8)
    right.set(
        xlabel="lag $k$",
        ylabel="gradient of one loss with respect to\nthe state at lag $k$, relative to lag 0",
        title="What training makes of it",
    )
    right.legend(fontsize=9)
    return figure


def _curves(axes: Any, trainings: Sequence[Any], colour: str, label: str, luck: float = 0.0) -> None:
    for k, one in enumerate(trainings):
        thousands, bits = np.array(one.characters) / 1000, np.array(one.held_out) - luck
        axes.plot(thousands, bits, color=colour, linewidth=1.5, alpha=0.8, label=label if k == 0 else None)


def _line(axes: Any, height: float, text: str, style: str = "--") -> None:
    axes.axhline(height, color="0.45", linewidth=1, linestyle=style)
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center", "fontsize": 8.5}
    axes.annotate(text, (1, height), (3, 0), **place)


def bits(
    trained: Mapping[str, Sequence[Any]],
    n_grams: np.ndarray,
    source: Sequence[Any],
    entropies: tuple[float, float, float],
    luck: float,
) -> Figure:
    """Bits per character over the characters trained on: text with n-gram lines, Markov source with its entropies.

    `luck` is what the true table of the source needs on the sample more than the entropy rate; it is taken off.
    """
    figure = _figure(10, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    for kind, runs in trained.items():
        _curves(left, runs, COLOURS[kind], f"{kind}, state of {runs[0].model.hidden}")
    close = 0.1  # lines that lie closer together share their label
    for height in n_grams:
        alike = [n for n, other in enumerate(n_grams) if abs(other - height) < close]
        first = height == n_grams[alike[0]]
        label = f"order {alike[0]}" if len(alike) == 1 else f"orders {alike[0]} to {alike[-1]}"
        _line(left, height, label if first else "")
    left.set(xlabel="characters trained on, in thousands", ylabel="bits per character, held-out text")
    left.set_title("Text: networks against tables of counts")
    left.legend(fontsize=9, loc="center left")
    _curves(right, source, PURPLE, f"RNN, state of {source[0].model.hidden}", luck)
    alone, after_one, rate = entropies
    _line(right, alone, "no\nmemory")
    _line(right, after_one, "one step\nof memory")
    _line(right, rate, "entropy\nrate", "-")
    right.set(xlabel="symbols trained on, in thousands", ylabel="entropy rate + bits lost to the true table")
    right.set_title("A source with known entropy")
    right.legend(fontsize=9)
    return figure


def context(lengths: Sequence[int], measured: Mapping[str, np.ndarray], counted: np.ndarray) -> Figure:
    """Bits per character over the number of characters read."""
    figure = _figure(7, 3.8)
    axes = figure.subplots()
    axes.plot(range(1, len(counted)), counted[1:], "s--", color=BLACK, label="n-gram of that order", markersize=5)
    for kind, values in measured.items():
        axes.plot(lengths, values, "o-", color=COLOURS[kind], label=kind)
    axes.set_xscale("log")
    axes.set_xticks(lengths, [str(length) for length in lengths], minor=False)
    axes.minorticks_off()
    axes.set(
        xlabel="characters read before the prediction",
        ylabel="bits per character, held-out text",
        title="Networks look further back than tables, but not far",
    )
    axes.legend()
    return figure
