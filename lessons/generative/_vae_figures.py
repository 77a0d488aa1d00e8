"""The figures of the lesson `vae`: functions from arrays to a Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lessons.lab.colours import BLACK, BLUE, CYCLE, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from lessons.lab.pictures import mosaic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Ten classes: seven colours, then three again with another marker.
CLASS_LOOKS = [(colour, "o") for colour in CYCLE] + [(BLUE, "x"), (VERMILLION, "x"), (GREEN, "x")]


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def draw_bound_gap(
    means: np.ndarray, variances: Sequence[float], elbo: np.ndarray, log_p: float, xs: np.ndarray, excess: np.ndarray
) -> Figure:
    """Draw the ELBO over q at one x, and how far the printed expression is above log p(x) over x."""
    figure = _figure(9.5, 4)
    left, right = figure.subplots(1, 2)
    left.axhline(log_p, color=BLACK, linestyle="--", linewidth=1.2)
    left.text(means[0], log_p + 0.03, r"$\log p(x)$", va="bottom")
    for variance, values, colour in zip(variances, elbo, (ORANGE, BLUE, GREEN), strict=True):
        left.plot(means, values, color=colour, label=f"variance {variance:g}")
    left.plot([1.0], [log_p], "o", color=BLUE)
    left.annotate("q is the posterior", (1.0, log_p), (0.5, log_p + 0.14), color=BLUE, va="bottom")
    left.set(xlabel="mean of q", ylabel="nats", ylim=(elbo[1].min() - 0.3, log_p + 0.5))
    left.set_title("x = 2: every ELBO is below log p(x)", fontsize=11)
    left.legend(fontsize=8, loc="lower center")
    right.axhline(0, color=BLUE, label="ELBO of the best q: exactly log p(x)")
    right.plot(xs, excess, color=VERMILLION, label="with the divergence reversed, as printed")
    for x in (5.0, 10.0):
        value = float(np.interp(x, xs, excess))
        right.plot([x], [value], "o", color=VERMILLION)
        right.annotate(f"+{value:.2f}", (x, value), (-6, 4), textcoords="offset points", ha="right")
    right.set_ylim(top=1.12 * excess.max())
    right.set(xlabel="x", ylabel=r"best value minus $\log p(x)$, nats")
    right.set_title("Reversed, it is no bound: 1.80 nats too high at x = 5", fontsize=11)
    right.legend(fontsize=8, loc="upper left")
    return figure


def draw_gradient_variance(
    dims: np.ndarray, measured: Mapping[str, Sequence[float]], laws: Mapping[str, np.ndarray]
) -> Figure:
    """Draw the variances of three gradient estimates over the number of latent dimensions, with their laws."""
    figure = _figure(7, 4.2)
    axes = figure.subplots()
    looks = {
        "score": (VERMILLION, "s", "score function: (J + 2)(J + 4) / 4"),
        "centred": (ORANGE, "D", "score function with baseline: (J + 4) / 2"),
        "path": (BLUE, "o", "reparametrisation: 1"),
    }
    for name, (colour, marker, label) in looks.items():
        axes.plot(dims, laws[name], color=colour, linewidth=1)
        axes.plot(dims, measured[name], marker, color=colour, label=label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(dims, [str(dim) for dim in dims])
    axes.set(xlabel="latent dimensions J", ylabel=r"variance of the gradient in $\mu_1$, one sample")
    axes.set_title("Reparametrised gradients do not get noisier with the dimension", fontsize=11)
    axes.legend(fontsize=9)
    return figure


def draw_linear(distance: np.ndarray, betas: np.ndarray, measured: np.ndarray, limits: np.ndarray) -> Figure:
    """Draw the convergence of the linear VAE, and the nats of each dimension over beta; it collapses at its limit."""
    figure = _figure(9.5, 4)
    left, right = figure.subplots(1, 2)
    left.semilogy(np.arange(len(distance)), np.maximum(distance, 1e-9), color=BLUE)
    left.set(xlabel="step", ylabel="closed-form maximum minus ELBO, nats")
    left.set_title("A linear VAE reaches the best likelihood", fontsize=11)
    fine = np.geomspace(betas.min(), betas.max(), 400)
    for j, limit in enumerate(limits):
        right.plot(
            fine, 0.5 * np.log(np.maximum(limit / fine, 1)), color="0.6", linewidth=1, label=None if j else "theory"
        )
        right.plot(betas, measured[:, j], "o", markersize=4, color=CYCLE[j % len(CYCLE)])
    right.set_xscale("log")
    ticks = [tick for tick in (1, 2, 3, 5, 10, 20, 30, 50) if betas.min() <= tick <= betas.max()]
    right.set_xticks(ticks, [str(tick) for tick in ticks])
    right.minorticks_off()
    right.set(xlabel=r"$\beta$", ylabel="nats in each latent dimension (dots: trained)")
    right.set_title(r"Dimensions collapse one by one, at $\beta = \lambda_j / \sigma^2$", fontsize=11)
    right.legend(fontsize=9)
    return figure


def draw_importance(sizes: Sequence[int], bounds: np.ndarray) -> Figure:
    """Draw the bound in nats per digit over the number of importance samples, one line for each training."""
    figure = _figure(7, 4)
    axes = figure.subplots()
    for i, values in enumerate(bounds):
        axes.plot(sizes, values, "o-", color=CYCLE[i % len(CYCLE)], label=f"training {i + 1}")
    axes.set_xscale("log")
    axes.set_xticks(sizes, ["1\n(ELBO)", *(f"{k:,}" for k in sizes[1:])])
    axes.minorticks_off()
    axes.set(xlabel="importance samples K for each digit", ylabel=r"bound on $\log p(x)$, nats per test digit")
    gap = float((bounds[:, -1] - bounds[:, 0]).mean())
    axes.set_title(f"The ELBO is at least {gap:.1f} nats below the truth", fontsize=11)
    axes.legend(fontsize=9, loc="lower right")
    return figure


def draw_latents(codes: Mapping[str, np.ndarray], labels: np.ndarray) -> Figure:
    """Draw the two-dimensional codes of test digits, with the prior's circles of 50 % and 95 %."""
    figure = _figure(9.5, 4.7)
    panels = figure.subplots(1, len(codes))
    circle = np.linspace(0, 2 * np.pi, 200)
    titles = {"AE": "Autoencoder: codes anywhere", "VAE": "VAE: codes close to the prior"}
    for axes, (name, points) in zip(panels, codes.items(), strict=True):
        for radius, style in ((np.sqrt(2 * np.log(2)), ":"), (np.sqrt(2 * np.log(20)), "--")):
            axes.plot(radius * np.cos(circle), radius * np.sin(circle), style, color="0.4", linewidth=1, zorder=3)
        for digit, (colour, marker) in enumerate(CLASS_LOOKS):
            of_class = points[labels == digit]
            axes.plot(*of_class.T, marker, color=colour, markersize=3.5, alpha=0.8, label=str(digit))
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(xlabel=r"$z_1$", ylabel=r"$z_2$")
        axes.set_title(titles[name], fontsize=11)
    handles, names = panels[-1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right center", title="digit", markerscale=1.6)
    figure.suptitle("500 test digits; circles hold 50 % and 95 % of the standard normal prior", fontsize=10)
    return figure


def _sheet(axes, images: np.ndarray, columns: int, gap: int = 0) -> None:
    """Show images as one sheet, black on white."""
    axes.imshow(1 - mosaic(images, columns, gap=gap, background=0.0), cmap="gray", vmin=0, vmax=1)


def draw_manifold(images: np.ndarray, side: int, lines: np.ndarray) -> Figure:
    """Draw what the decoder makes of a grid of side x side latents."""
    figure = _figure(6.2, 6.4)
    axes = figure.subplots()
    _sheet(axes, images, side)
    pitch = images.shape[1]
    shown = np.linspace(0, side - 1, 5).round().astype(int)
    axes.set_xticks(pitch * (shown + 0.5), [f"{lines[k]:.1f}" for k in shown])
    axes.set_yticks(pitch * (shown + 0.5), [f"{lines[::-1][k]:.1f}" for k in shown])
    axes.set(xlabel=r"$z_1$ (normal quantiles)", ylabel=r"$z_2$ (normal quantiles)")
    axes.set_title("What the decoder makes of the prior, in equal shares", fontsize=11)
    return figure


class LatentPlane:
    """A point in the plane of the latents, beside what it is decoded to; drawn anew for each point.

    Each digit stands at the mean of its codes; circles hold 50 % and 95 % of the prior.
    """

    def __init__(self, codes: np.ndarray, labels: np.ndarray) -> None:
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(5.6, 3))
        plane = self.figure.add_axes((0.09, 0.15, 0.43, 0.8))
        circle = np.linspace(0, 2 * np.pi, 100)
        for radius in (np.sqrt(2 * np.log(2)), np.sqrt(2 * np.log(20))):
            plane.plot(radius * np.cos(circle), radius * np.sin(circle), color="0.75", linewidth=1)
        for digit in range(10):
            mean = codes[labels == digit].mean(axis=0)
            plane.text(*mean, str(digit), color=BLUE, fontsize=13, ha="center", va="center", weight="bold")
        self.point = plane.plot(0, 0, "o", markersize=20, color="none", markeredgecolor=VERMILLION, markeredgewidth=3)[
            0
        ]
        plane.set(xlim=(-2.8, 2.8), ylim=(-2.8, 2.8), xticks=[-2, 0, 2], yticks=[-2, 0, 2], aspect="equal")
        plane.set_xlabel("$z_1$", labelpad=-2)
        plane.set_ylabel("$z_2$", labelpad=-4)
        image = self.figure.add_axes((0.56, 0.15, 0.43, 0.8))
        self.image = image.imshow(np.zeros((2, 2)), cmap="gray_r", vmin=0, vmax=1, interpolation="bicubic")
        image.set(xticks=[], yticks=[])

    def draw(self, z: np.ndarray, image: np.ndarray) -> Figure:
        """Show the latents ``z`` and the decoded ``image``; returns the one figure."""
        self.point.set_data(*z.reshape(2, 1))
        self.image.set_data(image)
        return self.figure


def draw_styles(images: np.ndarray) -> Figure:
    """Draw 10 rows of one style each, 10 columns of one class each."""
    figure = _figure(6, 6.3)
    axes = figure.subplots()
    _sheet(axes, images, 10, gap=2)
    pitch = images.shape[1] + 2
    axes.set_xticks(pitch * (np.arange(10) + 0.5) - 1, [str(digit) for digit in range(10)])
    axes.set_yticks([])
    axes.set(xlabel="class given to the decoder", ylabel="style: one draw of z for each row")
    axes.set_title("Columns keep the class, rows keep the style", fontsize=11)
    axes.tick_params(length=0)
    return figure


def draw_decoders(images: np.ndarray) -> Figure:
    """Draw originals and two rows of reconstructions, ten digits each."""
    figure = _figure(8, 2.9)
    axes = figure.subplots()
    _sheet(axes, np.clip(images, 0, 1), 10, gap=2)
    pitch = images.shape[1] + 2
    axes.set_yticks(pitch * (np.arange(3) + 0.5) - 1, ["test digits", r"$\sigma = 1$", r"$\sigma$ trained"])
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.set_title("Gaussian decoder: a fixed variance of 1 keeps little of the digit", fontsize=11)
    return figure


def draw_collapse(kl: Mapping[str, np.ndarray]) -> Figure:
    """Draw the nats in each latent dimension, sorted, for each model."""
    figure = _figure(7.5, 4.2)
    axes = figure.subplots()
    looks = zip(kl.items(), (BLUE, SKY, GREEN, ORANGE, PURPLE, BLACK), strict=False)
    for (name, values), colour in looks:
        strong = name == "strong decoder"
        style = {"color": VERMILLION, "linestyle": "--", "marker": "s"} if strong else {"color": colour, "marker": "o"}
        label = f"{name.replace('beta', chr(0x3B2))}: {values.sum():.1f} nats"
        axes.plot(np.arange(1, len(values) + 1), np.maximum(values, 0), markersize=4, label=label, **style)
    axes.set_xticks([1, 5, 10, 15, 20])
    axes.set(xlabel="latent dimension, sorted", ylabel="mean divergence from the prior, nats")
    axes.set_title("Large β, or a decoder that sees earlier pixels: z says less", fontsize=11)
    axes.legend(fontsize=9)
    return figure
