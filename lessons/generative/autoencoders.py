# %% [markdown]
# # Autoencoders and denoising autoencoders
#
# **The question.** A network that must give back its own input through a narrow middle has to find out what matters in
# the data. What does it find, and what changes when its input is spoiled first and it has to give back the unspoiled
# original?
#
# This lesson rebuilds the first half of [The autoencoder family][post] by Jae-Won Chung (2019), with a remark from the
# lecture notes of a student of the course [Deep Learning for Computer Vision][course] (2019). The denoising autoencoder
# comes from [Extracting and Composing Robust Features with Denoising Autoencoders][paper] by Pascal Vincent, Hugo
# Larochelle, Yoshua Bengio and Pierre-Antoine Manzagol (2008).
#
# Three cases have exact answers, and we use them to check everything else: the linear autoencoder, which is principal
# component analysis; the linear denoiser for masking; and the best denoiser for Gaussian noise, which turns out to know
# the slope of the data's log-density. Then digits.
#
# [post]: https://jaewonchung.me/study/machine-learning/Autoencoders
# [course]: https://web.eecs.umich.edu/~justincj/teaching/eecs498/FA2019/
# [paper]: https://www.cs.toronto.edu/~larocheh/publications/icml-2008-denoising-autoencoders.pdf

# %%
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lessons.anatomy import Lesson, Run, Term, Verdict
from lessons.data.batches import halved
from lessons.data.digits import Digits, load_digits
from lessons.generative import _autoencoders_figures as figures
from lessons.lab.numbers import error
from lessons.lab.recorded import recorded_by_torch
from lessons.lab.sources import AUTOENCODER_FAMILY, COURSE_NOTES
from lessons.lab.statistics import with_margin
from lessons.lab.threads import one_thread
from lessons.lab.training import fit, outputs

if TYPE_CHECKING:
    from minigrad import Tensor, nn

lesson = Lesson(
    name="autoencoders",
    title="Autoencoders and denoising autoencoders",
    subject="generative",
    source=AUTOENCODER_FAMILY,
    headline="Of half-erased digits a denoising autoencoder restores more than a plain one or PCA of equal code size.",
    minutes=1.5,
    exercises=5,
)

# %% [markdown]
# ## The simplest autoencoder
#
# The *encoder* makes a code $z$ of the input, the *decoder* makes an output $y$ of the code. With one layer each, for
# inputs in $[0, 1]^d$:
#
# $$
# \begin{align*}
# z &= \operatorname{sigmoid}(W x + b), & \theta &= \{W, b\} \\
# y &= \operatorname{sigmoid}(W' z + b'), & \theta' &= \{W', b'\}
# \end{align*}
# $$
#
# It is trained to make $y$ like $x$, by the squared error $\lVert x - y \rVert^2$ or by the cross-entropy
#
# $$
# L_H(x, y) = -\sum_k \left[ x_k \log y_k + (1 - x_k) \log (1 - y_k) \right]
# $$
#
# Do not expect the cross-entropy to reach zero. For a grey pixel $x_k$ it is smallest at $y_k = x_k$, and what is left
# there is the entropy of $x_k$. On our digits this floor is far above zero, and a perfect copy cannot go below it.
#
# What a sigmoid does to the two losses is worth a line. Let $a$ be what goes into the last sigmoid, $y = s(a)$. Then
# $dy/da = y(1 - y)$, and
#
# $$
# \frac{\partial \lVert x - y \rVert^2}{\partial a} = 2 (y - x) \, y (1 - y), \qquad
# \frac{\partial L_H}{\partial a} = \frac{y - x}{y (1 - y)} \, y (1 - y) = y - x
# $$
#
# With the squared error a saturated pixel hardly learns, however wrong it is; with the cross-entropy it does.


# %%
def sigmoid(a: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * a))  # never overflows


def binary_cross_entropy(x: np.ndarray, y: np.ndarray) -> float:
    """L_H, summed over the pixels and averaged over the samples."""
    return float(-(x * np.log(y) + (1 - x) * np.log1p(-y)).sum(axis=-1).mean())


def squared_error(x: np.ndarray, y: np.ndarray) -> float:
    """|x - y|^2, summed over the pixels and averaged over the samples."""
    return float(((x - y) ** 2).sum(axis=-1).mean())


def judged(function: Callable[[np.ndarray], Any], at: np.ndarray, upstream: Any) -> np.ndarray:
    """Differentiate sum(upstream * function(at)) numerically."""
    from minigrad.gradcheck import numerical_gradient

    return numerical_gradient(function, at, upstream).values


@lesson.step("Two losses through a sigmoid")
def two_losses(run: Run) -> None:
    x, a = run.rng.uniform(0.05, 0.95, (1, 6)), 2 * run.rng.normal(size=(1, 6))
    y = sigmoid(a)
    of_entropy = judged(lambda a: binary_cross_entropy(x, sigmoid(a)), a, 1.3)
    run.claim("cross-entropy: the gradient before the sigmoid is y - x", error(1.3 * (y - x), of_entropy), below=1e-7)
    of_square = judged(lambda a: squared_error(x, sigmoid(a)), a, 1.3)
    run.claim(
        "squared error: there it is 2 (y - x) y (1 - y)", error(2.6 * (y - x) * y * (1 - y), of_square), below=1e-7
    )
    images = np.clip(load_digits().test_images.astype(np.float64), 1e-12, 1 - 1e-12)
    floor = binary_cross_entropy(images, images)
    run.results["entropy floor"] = floor
    run.claim("test digits: cross-entropy of a perfect copy", floor, above=30)
    near = np.clip(images + 0.02 * run.rng.normal(size=images.shape), 1e-9, 1 - 1e-9)
    run.claim("and of a copy with a little noise: above it by", binary_cross_entropy(images, near) - floor, above=0.1)
    run.figure(
        "autoencoders-bottleneck",
        figures.draw_bottlenecks(),
        alt="Left: an autoencoder, layers from input to a narrow code and back to the output; the loss compares output "
        "and input. Right: a denoising one, whose input is spoiled; the loss compares the output with the clean image.",
    )


# %% [markdown]
# ## Without the sigmoids: principal components
#
# Take the sigmoids away, and the offsets too, by subtracting the mean from the data. What is left is $y = W' W x$, a
# matrix of rank $k$ if the code has $k$ numbers, and the loss
#
# $$
# \frac{1}{N} \sum_i \lVert x_i - W' W x_i \rVert^2
# $$
#
# can be minimised on paper. Let $\lambda_1 \ge \lambda_2 \ge \dots$ be the eigenvalues of $S = \frac{1}{N} \sum_i x_i
# x_i^\top$. By Eckart and Young's theorem the best approximation of rank $k$ projects onto the first $k$ eigenvectors,
# the principal components, and loses the rest:
#
# $$
# \min = \lambda_{k+1} + \dots + \lambda_d
# $$
#
# Gradient descent gets there, although the problem is not convex. Every choice of $k$ eigenvectors is a point where the
# gradient vanishes, but all of them except the best are saddles: swap in a larger eigenvalue, and the loss falls. (Only
# the *plane* is determined: $W' A^{-1}$ and $A W$ do the same for any invertible $A$, so the code's axes mean nothing.)
# This is the theorem of [Neural networks and principal component analysis: Learning from examples without local
# minima][pca] (Pierre Baldi and Kurt Hornik, 1989).
#
# [pca]: https://doi.org/10.1016/0893-6080(89)90014-2


# %%
def linear_loss(S: np.ndarray, encoder: np.ndarray, decoder: np.ndarray) -> float:
    """Mean of |x - decoder @ encoder @ x|^2, from the second moments S of the data."""
    rest = np.eye(len(S)) - decoder @ encoder
    return float(np.trace(rest @ S @ rest.T))


def linear_gradients(S: np.ndarray, encoder: np.ndarray, decoder: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of `linear_loss` with respect to encoder (k, d) and decoder (d, k)."""
    slope = 2 * (decoder @ encoder - np.eye(len(S))) @ S
    return decoder.T @ slope, slope @ encoder.T


def descend(S: np.ndarray, k: int, rng: np.random.Generator, steps: int, rate: float) -> np.ndarray:
    """Train a linear autoencoder from tiny random weights; return the losses, shape (steps + 1,)."""
    encoder, decoder = 1e-4 * rng.normal(size=(k, len(S))), 1e-4 * rng.normal(size=(len(S), k))
    losses = [linear_loss(S, encoder, decoder)]
    for _ in range(steps):
        of_encoder, of_decoder = linear_gradients(S, encoder, decoder)
        encoder, decoder = encoder - rate * of_encoder, decoder - rate * of_decoder
        losses.append(linear_loss(S, encoder, decoder))
    return np.array(losses)


def some_data(rng: np.random.Generator, samples: int = 300) -> np.ndarray:
    """Draw centred data in 8 dimensions, in directions that are no axes, with spreads from 4 down to 0.4."""
    x = rng.normal(size=(samples, 8)) * np.geomspace(4.0, 0.4, 8) @ np.linalg.qr(rng.normal(size=(8, 8)))[0]
    return x - x.mean(axis=0)


@lesson.step("Without the sigmoids: principal components")
def principal_components(run: Run) -> None:
    x = some_data(np.random.default_rng(1989))
    S, k = x.T @ x / len(x), 3
    eigenvalues, vectors = np.linalg.eigh(S)
    eigenvalues, vectors = eigenvalues[::-1], vectors[:, ::-1]
    best = float(eigenvalues[k:].sum())
    plane = vectors[:, :k]
    run.claim(
        "PCA: loss, minus the discarded eigenvalues",
        squared_error(x, x @ plane @ plane.T) - best,
        within=(-1e-12, 1e-12),
    )
    encoder, decoder = run.rng.normal(size=(k, 8)), run.rng.normal(size=(8, k))
    of_encoder, of_decoder = linear_gradients(S, encoder, decoder)
    run.claim(
        "gradient of the encoder",
        error(of_encoder, judged(lambda e: linear_loss(S, e, decoder), encoder, 1.0)),
        below=1e-7,
    )
    run.claim(
        "gradient of the decoder",
        error(of_decoder, judged(lambda d: linear_loss(S, encoder, d), decoder, 1.0)),
        below=1e-7,
    )

    losses = descend(S, k, np.random.default_rng(4), steps=4000, rate=0.01)
    run.results["linear"] = {"best": best, "reached": float(losses[-1]), "eigenvalues": eigenvalues}
    run.claim(
        "4,000 steps of gradient descent: loss, relative to the discarded eigenvalues",
        losses[-1] / best - 1,
        within=(-1e-9, 1e-6),
    )

    worse = vectors[:, [0, 1, 3]]  # the fourth component for the third
    gradient = max(np.abs(g).max() for g in linear_gradients(S, worse.T, worse))
    run.claim("components 1, 2 and 4: largest entry of the gradient", gradient, below=1e-12)
    higher = linear_loss(S, worse.T, worse) - best
    run.claim(
        "their loss is higher by lambda_3 - lambda_4", higher / (eigenvalues[2] - eigenvalues[3]), equals=1, within=1e-9
    )
    turned = vectors[:, [0, 1, 3]].copy()
    turned[:, 2] = np.cos(0.1) * vectors[:, 3] + np.sin(0.1) * vectors[:, 2]
    run.claim(
        "turned a little towards component 3, it falls by",
        linear_loss(S, worse.T, worse) - linear_loss(S, turned.T, turned),
        above=1e-3,
    )
    levels = np.array([eigenvalues[j:].sum() for j in range(k + 1)])
    run.figure(
        "autoencoders-linear",
        figures.draw_linear(losses, levels),
        alt="Loss of a linear autoencoder with three numbers in the code, over the steps: it falls in three stairs, to "
        "the sum of the eigenvalues that PCA discards.",
        data={"losses": losses, "levels": levels},
    )


# %% [markdown]
# The stairs in the figure are the saddles: at each stair the code has found one more component, and waits near the sum
# of the eigenvalues that are still missing.
#
# ## Spoil the input
#
# A wide autoencoder can cheat and copy. A *denoising* autoencoder cannot: it sees a spoiled $\tilde{x}$, drawn from
# some $q_D(\tilde{x} \mid x)$, and must return the clean $x$. With $L$ draws for each sample its loss is
#
# $$
# \frac{1}{N} \sum_x \operatorname{E}_{q_D(\tilde{x} \mid x)} \left[ L_H(x, g_{\theta'}(h_\theta(\tilde{x}))) \right]
# \approx \frac{1}{N} \sum_x \frac{1}{L} \sum_{l=1}^{L} L_H(x, g_{\theta'}(h_\theta(\tilde{x}_l)))
# $$
#
# The usual way is $L = 1$ with a fresh draw in every epoch. The spoiled input goes into the *encoder*, the clean one
# into the *loss*. The corruption used most is masking: each pixel is set to zero with probability $p$, independently of
# the others. Unlike in dropout, the pixels that survive are *not* scaled up by $1 / (1 - p)$. A missing pixel looks
# like an empty one, and the network has to tell them apart.
#
# **Exercise: `mask`.** The random numbers come as an argument, so that the result is determined.


# %%
@lesson.exercise(hint="One comparison, pixel by pixel. What happens to a pixel that survives? Nothing.")
def mask(x, u, p):
    """Set each pixel to zero with probability p; leave the others as they are.

    Args:
        x: samples, shape (N, D).
        u: independent uniform random numbers between 0 and 1, shape (N, D).
        p: the probability that a pixel is lost.

    Returns:
        The spoiled samples, shape (N, D): a pixel is lost where its u is below p.
    """
    return np.where(u < p, 0.0, x)


@lesson.step("Spoil the input")
def spoil_the_input(run: Run) -> None:
    x, p = run.rng.uniform(0.1, 1, (400, 50)), 0.3
    spoiled = mask(x, run.rng.random(x.shape), p)
    lost = spoiled == 0
    run.claim("share of lost pixels, p = 0.3", lost.mean(), within=(0.28, 0.32))
    run.claim("pixels that survive and have changed", np.abs(spoiled - x)[~lost].max(), equals=0)
    run.claim("pairs of pixels: both lost, p squared", (lost[:, ::2] & lost[:, 1::2]).mean(), within=(0.07, 0.11))
    run.claim("the mean is (1 - p) times what it was", spoiled.mean() / x.mean(), within=(0.68, 0.72))


# %% [markdown]
# ## What to say about the corruption: an erratum
#
# The post says that "a specific portion of the pixels" is set to zero, and writes $q_D$ without defining it. Two
# corruptions fit the words. The paper erases a fixed *number* of pixels of each image, chosen at random; most code,
# ours included, erases each pixel *independently*. They have the same mean, but not the same second moments: two given
# pixels of $d$ survive together with probability $(1-p)^2$ when they are independent, and with
# $\frac{m}{d} \cdot \frac{m-1}{d-1}$ when exactly $m = (1-p) d$ survive. For 784 pixels nobody will notice; for four it
# is 0.25 against 0.167.


# %%
@lesson.erratum(
    "N",
    "the corruption q_D is not defined",
    printed="drop a specific portion of the pixels of the input x to zero ... q_D(x~ | x)",
    right="x~_k = 0 with probability p, independently for each k, else x_k (or a fixed number of pixels: say which)",
)
def undefined_corruption(run: Run) -> None:
    draws, d = 20_000, 4
    ones, u = np.ones((draws, d)), run.rng.random((draws, d))
    independent = mask(ones, u, 0.5)
    exactly_two = (u.argsort(axis=1).argsort(axis=1) < 2).astype(float)
    together = {"independent": independent, "fixed number": exactly_two}
    pairs = {name: float((kept[:, 0] * kept[:, 1]).mean()) for name, kept in together.items()}
    run.results["pairs"] = pairs
    run.claim("independent, p = 1/2: two pixels survive together", pairs["independent"], within=(0.235, 0.265))
    run.claim("exactly 2 of 4: two pixels survive together", pairs["fixed number"], within=(0.152, 0.182))
    run.claim(
        "largest difference of the two means", np.abs(independent.mean(0) - exactly_two.mean(0)).max(), below=0.02
    )


# %% [markdown]
# ## The linear denoiser
#
# Again the linear case can be solved on paper. Without any bottleneck, let $W$ be the matrix that minimises
# $\operatorname{E} \lVert x - W \tilde{x} \rVert^2$. Setting the derivative to zero,
#
# $$
# \operatorname{E}\left[(x - W \tilde{x}) \tilde{x}^\top\right] = 0
# \qquad \Longrightarrow \qquad
# W = P Q^{-1}, \quad P = \operatorname{E}[x \tilde{x}^\top], \quad Q = \operatorname{E}[\tilde{x} \tilde{x}^\top]
# $$
#
# With independent masking both follow from $S = \operatorname{E}[x x^\top]$. A pixel survives with probability $1 - p$,
# two different pixels survive together with $(1-p)^2$, but a pixel survives together with *itself* with $1 - p$:
#
# $$
# P = (1 - p) S, \qquad
# Q_{jk} = (1-p)^2 S_{jk} \;\; (j \ne k), \qquad
# Q_{jj} = (1-p) S_{jj}
# $$
#
# Divide both by $1 - p$, and the formula shows what masking is:
#
# $$
# W = S \left( (1-p) S + p \operatorname{diag}(S) \right)^{-1}
# $$
#
# Up to the factor $1 / (1 - p)$, which makes up for the lost brightness, it is the ridge regression of $x$ on itself,
# with the penalty $\frac{p}{1 - p} \operatorname{diag}(S)$. The penalty makes each pixel ask its neighbours: $W$ is not
# the identity, although there is no bottleneck at all.
#
# **Exercise: `linear_denoiser`.**


# %%
@lesson.exercise(hint="How often does a pixel survive, two different pixels, and a pixel together with itself?")
def linear_denoiser(S, p):
    """Return the matrix W that minimises the mean of |x - W @ mask(x)|^2, for independent masking.

    Args:
        S: the second moments E[x x^T] of the data, shape (D, D), invertible.
        p: the probability that a pixel is lost, between 0 and 1.

    Returns:
        W, shape (D, D).
    """
    keep = 1 - p
    P = keep * S
    Q = keep**2 * S
    np.fill_diagonal(Q, keep * np.diag(S))
    return np.linalg.solve(Q.T, P.T).T


@lesson.step("The linear denoiser")
def the_linear_denoiser(run: Run) -> None:
    x = some_data(np.random.default_rng(2008)) + 0.5
    S, p = x.T @ x / len(x), 0.4
    W = linear_denoiser(S, p)
    ridge = S @ np.linalg.inv((1 - p) * S + p * np.diag(np.diag(S)))
    run.claim("P Q^-1 is ridge regression", error(W, ridge), below=1e-12)

    draws = run.pick(quick=400, default=2000, full=5000)
    clean = np.concatenate([x] * draws)
    spoiled = mask(clean, run.rng.random(clean.shape), p)
    sampled = np.linalg.lstsq(spoiled, clean, rcond=None)[0].T
    distance = float(np.linalg.norm(sampled - W) / np.linalg.norm(W))
    run.results["linear denoiser"] = {"monte carlo": distance, "draws": len(clean)}
    run.claim(f"least squares on {len(clean):,} spoiled samples: relative distance", distance, below=0.02)
    off = np.linalg.norm(W - np.eye(8)) / np.linalg.norm(W)
    run.claim("relative distance of W from the identity", off, above=0.2)
    loss, naive = squared_error(clean, spoiled @ W.T), squared_error(clean, spoiled / (1 - p))
    run.claim("loss of W, divided by that of x~ / (1 - p)", loss / naive, below=1)


# %% [markdown]
# **Exercise: `masked_loss_backward`.** The same loss for any $W$, and its slope. Averaged over the masks, it is
#
# $$
# L(W) = \underbrace{(1-p)^2 \operatorname{tr}(W S W^\top)}_{\text{dimmed}}
# + \underbrace{p (1-p) \sum_{ij} W_{ij}^2 S_{jj}}_{\text{penalty}}
# - \underbrace{2 (1-p) \operatorname{tr}(W S)}_{\text{match}} + \operatorname{tr} S
# $$
#
# The first term is there without any randomness, for pixels that are $1 - p$ times as bright (**dimmed**). The second
# is what the randomness adds, a penalty on large weights (**penalty**); the third wants $W x$ to be $x$ (**match**).


# %%
@lesson.exercise(hint="Three terms, three derivatives. S is symmetric, and S_jj belongs to column j of W.")
def masked_loss_backward(dloss, W, S, p):
    """Return the gradient of the mean masked loss L(W), which the text above gives, with respect to W.

    Args:
        dloss: gradient with respect to L, a number.
        W: shape (D, D).
        S: the second moments of the data, symmetric, shape (D, D).
        p: the probability that a pixel is lost, a number between 0 and 1.

    Returns:
        dW, shape (D, D).
    """
    keep = 1 - p
    dimmed = 2 * keep**2 * W @ S
    penalty = 2 * p * keep * W * np.diag(S)
    match = -2 * keep * S
    return dloss * (dimmed + penalty + match)


@lesson.step("The slope of the masked loss", terms=("dimmed", "penalty", "match"))
def slope_of_the_masked_loss(run: Run) -> None:
    x = some_data(np.random.default_rng(2008)) + 0.5
    S = x.T @ x / len(x)
    at_best = masked_loss_backward(1.0, linear_denoiser(S, 0.4), S, 0.4)
    run.claim("at W = P Q^-1 it is zero: largest entry", np.abs(at_best).max(), below=1e-10)
    at_identity = masked_loss_backward(1.0, np.eye(len(S)), S, 0.4)
    run.claim("at the identity it is not: largest entry", np.abs(at_identity).max(), above=0.1)


# %% [markdown]
# The course notes say that the features of an autoencoder "need to be lower dimensional" than the data. For the plain
# one that is so: without a bottleneck the identity is a perfect solution. For the denoising one it is not, as $W$ has
# just shown.


# %%
@lesson.erratum(
    "W",
    "the features need not be lower-dimensional",
    printed="features need to be lower dimensional than the data",
    right="a plain autoencoder needs a bottleneck; one that must restore spoiled inputs does not",
    source=COURSE_NOTES,
)
def no_bottleneck_needed(run: Run) -> None:
    x = some_data(np.random.default_rng(2008)) + 0.5
    S = x.T @ x / len(x)
    run.claim("nothing spoiled: W is the identity", np.abs(linear_denoiser(S, 0.0) - np.eye(8)).max(), below=1e-10)
    for p in (0.2, 0.6):
        W = linear_denoiser(S, p)
        borrowed = np.abs(W - np.diag(np.diag(W))).sum() / np.abs(W).sum()
        run.claim(f"p = {p:g}: share of W that lies off its diagonal", borrowed, above=0.2)


# %% [markdown]
# ## The best denoiser, and the slope of the density
#
# Now any function $r$ is allowed, and the corruption is Gaussian noise, $\tilde{x} = x + \sigma \epsilon$. Which $r$
# minimises $\operatorname{E} \lVert x - r(\tilde{x}) \rVert^2$? The mean of all $x$ that may have led to this
# $\tilde{x}$, as always with squared errors: $r(\tilde{x}) = \operatorname{E}[x \mid \tilde{x}]$. Let $p_\sigma$ be the
# density of the noisy data. Differentiate $p_\sigma(\tilde{x}) = \operatorname{E}_x[\mathcal{N}(\tilde{x}; x,
# \sigma^2)]$ and divide by it:
#
# $$
# \nabla \log p_\sigma(\tilde{x})
# = \frac{\operatorname{E}_x\left[\mathcal{N}(\tilde{x}; x, \sigma^2) \, (x - \tilde{x}) / \sigma^2\right]}
# {p_\sigma(\tilde{x})}
# = \frac{\operatorname{E}[x \mid \tilde{x}] - \tilde{x}}{\sigma^2}
# $$
#
# because $\mathcal{N}(\tilde{x}; x, \sigma^2) / p_\sigma(\tilde{x})$ is just what turns the distribution of $x$ into
# that of $x$ given $\tilde{x}$ (Bayes). So the best denoiser is
#
# $$
# r(\tilde{x}) = \tilde{x} + \sigma^2 \nabla \log p_\sigma(\tilde{x})
# $$
#
# It takes a step uphill, towards where the data are denser. Whoever trains a denoiser learns the slope of the
# log-density, the *score*, without ever computing a density: [A Connection Between Score Matching and Denoising
# Autoencoders][vincent] (Pascal Vincent, 2011) and [What Regularized Auto-Encoders Learn from the Data-Generating
# Distribution][alain] (Guillaume Alain and Yoshua Bengio, 2014). Diffusion models stand on this line.
#
# **Exercise: `posterior_mean`.** If the data are $n$ points, equally likely, then $\operatorname{E}[x \mid \tilde{x}]$
# is their average, each with a weight proportional to $e^{-\lVert \tilde{x} - x_i \rVert^2 / 2 \sigma^2}$.
#
# [vincent]: https://doi.org/10.1162/NECO_a_00142
# [alain]: https://arxiv.org/abs/1211.4246


# %%
@lesson.exercise(hint="Squared distances of all pairs, a softmax over the points, a weighted average of the points.")
def posterior_mean(noisy, points, sigma):
    """Return E[x | noisy] when x is one of `points`, all equally likely, and noisy = x + sigma * standard normal noise.

    The distances may be many sigmas: no weight may become 0/0.

    Args:
        noisy: shape (M, D).
        points: shape (n, D).
        sigma: the standard deviation of the noise, a positive number.

    Returns:
        Shape (M, D).
    """
    squares = ((noisy[:, None, :] - points[None, :, :]) ** 2).sum(axis=2)
    logits = -squares / (2 * sigma**2)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (weights / weights.sum(axis=1, keepdims=True)) @ points


def log_density(noisy: np.ndarray, points: np.ndarray, sigma: float) -> np.ndarray:
    """The logarithm of p_sigma, up to a constant; complex numbers may come in."""
    squares = ((noisy[:, None, :] - points[None, :, :]) ** 2).sum(axis=2)
    return np.log(np.exp(-squares / (2 * sigma**2)).mean(axis=1))


def score(noisy: np.ndarray, points: np.ndarray, sigma: float) -> np.ndarray:
    """The gradient of `log_density`, by complex steps: exact to the last digits, and no formula of ours."""
    result = np.empty_like(noisy)
    for k in range(noisy.shape[1]):
        moved = noisy.astype(complex)
        moved[:, k] += 1e-30j
        result[:, k] = log_density(moved, points, sigma).imag / 1e-30
    return result


def spiral() -> np.ndarray:
    """60 points along a spiral in the plane, shape (60, 2), within about three units of the origin."""
    angle = np.linspace(0.5, 3.2 * np.pi, 60)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * 0.3 * angle[:, None]


def train_on_spiral(points: np.ndarray, sigma: float, steps: int, seed: int) -> nn.Module:
    """Train a small network to take the noise off the points again."""
    import minigrad as mg
    from minigrad import nn, optim

    mg.manual_seed(seed)
    rng = np.random.default_rng([seed, 3])
    model = nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2)).double()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)

    def loss_of(rows: np.ndarray) -> Tensor:
        clean = points[rows % len(points)]
        noisy = clean + sigma * rng.normal(size=clean.shape)
        return ((model(mg.tensor(noisy)) - mg.tensor(clean)) ** 2).sum(1).mean()

    def slow_down() -> None:
        for group in optimizer.param_groups:
            group["lr"] *= 0.02 ** (
                1 / steps
            )  # to a fiftieth in the end, so that the noise of the batches averages out

    batch = 240
    fit(loss_of, optimizer, batch * steps, rng=rng, batch_size=batch, epochs=range(1), after_step=slow_down)
    return model


@lesson.experiment("The best denoiser, and the slope of the density")
@one_thread()
def the_best_denoiser(run: Run) -> None:
    points, sigma = spiral(), 0.45
    noisy = points[run.rng.integers(0, len(points), 500)] + sigma * run.rng.normal(size=(500, 2))
    best = posterior_mean(noisy, points, sigma)
    uphill = noisy + sigma**2 * score(noisy, points, sigma)
    run.claim("E[x | x~] minus x~ + sigma^2 grad log p", np.abs(best - uphill).max(), below=1e-13)
    run.claim(
        "p_sigma is higher after the step uphill, share of 500 points",
        (log_density(best, points, sigma) > log_density(noisy, points, sigma)).mean(),
        above=0.99,
    )

    model = train_on_spiral(points, sigma, run.pick(quick=400, default=3000, full=10_000), run.seed)
    learned = outputs(model, noisy)
    unexplained = float(((learned - best) ** 2).sum() / ((noisy - best) ** 2).sum())
    run.results["spiral"] = unexplained
    run.claim(
        "a trained network: share of the steps that it misses",
        unexplained,
        below=run.pick(quick=0.75, default=0.1, full=0.1),
    )
    grid = np.stack(np.meshgrid(np.linspace(-3.6, 3.6, 19), np.linspace(-3.6, 3.6, 19)), axis=-1).reshape(-1, 2)
    run.figure(
        "autoencoders-score",
        figures.draw_score(points, grid, posterior_mean(grid, points, sigma), outputs(model, grid)),
        alt="Arrows in the plane from noisy points to where a denoiser puts them, for the exact one and for a trained "
        "network: both point towards a spiral of data points.",
        data={
            "points": points,
            "grid": grid,
            "best": posterior_mean(grid, points, sigma),
            "learned": outputs(model, grid),
        },
    )


# %% [markdown]
# ## The backward pass, with tied weights
#
# The weights may be *tied*, as in the paper: the decoder then uses $W^\top$, the encoder's weights transposed. One
# matrix acts at two places, and its gradient is a sum of two terms. In arrays, with samples as rows and $W$ of shape
# $(H, D)$:
#
# $$
# z = s(\tilde{x} W^\top + b), \qquad y = s(z W + c), \qquad
# L = \frac{1}{N} \sum_n L_H(x_n, y_n)
# $$
#
# Write $\bar{L}$ for the gradient that arrives at the loss. Going back from the right, with $y - x$ from above,
#
# $$
# \begin{align*}
# \delta_y &= \frac{\bar{L}}{N} (y - x) & \bar{c} &= \sum_n \delta_y \\
# \delta_z &= (\delta_y W^\top) \, z (1 - z) & \bar{b} &= \sum_n \delta_z \\
# \text{decoder} &= z^\top \delta_y & \text{encoder} &= \delta_z^\top \tilde{x}
# \end{align*}
# $$
#
# and $\bar{W}$ is **encoder** plus **decoder**. The clean $x$ appears in $\delta_y$ only, the spoiled $\tilde{x}$ in
# the encoder's term only.
#
# **Exercise: `tied_backward`.**


# %%
@lesson.exercise(hint="W is used twice. Take the decoder first: which gradient arrives there, and what did W multiply?")
def tied_backward(dloss, x, corrupted, z, y, W):
    """Return the gradients of a denoising autoencoder with tied weights.

    The forward pass was z = sigmoid(corrupted @ W.T + b), y = sigmoid(z @ W + c), and the loss was the cross-entropy
    -(x log y + (1 - x) log(1 - y)), summed over the pixels and averaged over the samples.

    Args:
        dloss: gradient with respect to the loss, a number.
        x: the clean samples, shape (N, D).
        corrupted: the spoiled samples, shape (N, D).
        z: the codes, shape (N, H).
        y: the outputs, shape (N, D).
        W: the weights, shape (H, D).

    Returns:
        The tuple (dW, db, dc), of shapes (H, D), (H,) and (D,).
    """
    delta_y = dloss / len(x) * (y - x)
    delta_z = delta_y @ W.T * z * (1 - z)
    encoder = delta_z.T @ corrupted
    decoder = z.T @ delta_y
    return encoder + decoder, delta_z.sum(axis=0), delta_y.sum(axis=0)


def drawn(rng: np.random.Generator, N: int = 6, D: int = 5, H: int = 3) -> dict[str, Any]:
    """Draw clean and spoiled samples, weights and offsets."""
    x = rng.uniform(0.05, 0.95, (N, D))
    return {
        "x": x,
        "corrupted": mask(x, rng.random((N, D)), 0.4),
        "W": rng.normal(size=(H, D)),
        "b": rng.normal(size=H),
        "c": rng.normal(size=D),
    }


def tied_loss(x, corrupted, W, b, c, decoder=None):
    """The loss; `decoder` is W unless it is to be held still."""
    z = sigmoid(corrupted @ W.T + b)
    return binary_cross_entropy(x, sigmoid(z @ (W if decoder is None else decoder) + c))


@lesson.step("The backward pass, with tied weights", terms=("encoder", "decoder", "db", "dc"))
def the_backward_pass(run: Run) -> None:
    x, corrupted, W, b, c = drawn(run.rng).values()
    z = sigmoid(corrupted @ W.T + b)
    y = sigmoid(z @ W + c)
    dW, db, dc = tied_backward(1.7, x, corrupted, z, y, W)
    for name, got, function, at in (
        ("dW", dW, lambda W: tied_loss(x, corrupted, W, b, c), W),
        ("db", db, lambda b: tied_loss(x, corrupted, W, b, c), b),
        ("dc", dc, lambda c: tied_loss(x, corrupted, W, b, c), c),
    ):
        run.claim(f"{name}, against numerical derivatives", error(got, judged(function, at, 1.7)), below=1e-7)
    decoder = 1.7 / len(x) * z.T @ (y - x)
    alone = judged(lambda moving: tied_loss(x, corrupted, W, b, c, decoder=moving), W, 1.7)
    run.claim("decoder: W moves at its second place only", error(decoder, alone), below=1e-7)
    alone = judged(lambda moving: tied_loss(x, corrupted, moving, b, c, decoder=W), W, 1.7)
    run.claim("encoder: W moves at its first place only", error(dW - decoder, alone), below=1e-7)


# %% [markdown]
# ## Smaller slips in the post


# %%
lesson.smaller_slips(
    [
        ("N", "the decoder's parameters are theta = {W', b'}", "theta' = {W', b'}: theta is the encoder's"),
        ("N", "the encoder is h_theta, and in the denoising section f_theta", "one letter: h_theta"),
        (
            "N",
            "sum over x in D, and 1/N sum over i",
            "D is the data set there, and a corruption in q_D; rename one",
        ),
    ]
)


# %% [markdown]
# ## The experiment: half-erased digits
#
# Four ways to restore digits from which pixels were erased, all with a code of equal size:
#
# - **PCA**, the best linear autoencoder;
# - a plain **autoencoder**, 784-128-code-128-784 with ReLUs, trained on clean digits;
# - the same network as **denoising autoencoder**, trained at $p = 0.5$;
# - and once more, trained at a different $p$ between 0 and 0.8 for each image.
#
# All networks are trained on the cross-entropy and judged by the squared error to the clean test image.
#
# One more thing is needed for a fair comparison. PCA and the plain autoencoder have never seen an image as dim as one
# with half its pixels gone, which is reason enough to fail. A single line helps them: divide the spoiled image by
# $1 - p$, as dropout does. It needs to be told $p$, which the denoising autoencoders find out themselves. We show both.


# %%
class Sizes(NamedTuple):
    """How large the experiments on digits are."""

    seeds: int
    code: int
    hidden: int
    epochs: int
    rate: float


def sizes(run: Run) -> Sizes:
    return run.pick(
        quick=Sizes(seeds=2, code=16, hidden=64, epochs=2, rate=1e-2),
        default=Sizes(seeds=5, code=32, hidden=128, epochs=15, rate=3e-3),
        full=Sizes(seeds=5, code=32, hidden=256, epochs=20, rate=2e-3),
    )


def train_autoencoder(digits: Digits, size: Sizes, spoil: tuple[float, float], seed: int) -> nn.Module:
    """Train 784-hidden-code-hidden-784 to restore digits; p is drawn for each image from the range `spoil`."""
    import minigrad as mg
    import minigrad.nn.functional as F
    from minigrad import nn, optim

    mg.manual_seed(seed)
    rng = np.random.default_rng([seed, 1])
    model = nn.Sequential(
        nn.Linear(784, size.hidden),
        nn.ReLU(),
        nn.Linear(size.hidden, size.code),
        nn.Linear(size.code, size.hidden),
        nn.ReLU(),
        nn.Linear(size.hidden, 784),
    )
    # Begin at the mean image: otherwise the first epochs go into learning that most pixels are empty.
    mean = digits.images.mean(axis=0).clip(0.005, 0.995)
    with mg.no_grad():
        model[-1].bias.copy_(mg.tensor(np.log(mean / (1 - mean))))

    def loss_of(rows: np.ndarray) -> Tensor:
        x = digits.images[rows]
        p = rng.uniform(*spoil, (len(x), 1)).astype(np.float32)
        corrupted = mask(x, rng.random(x.shape, dtype=np.float32), p).astype(np.float32)
        logits = model(mg.tensor(corrupted))
        return F.binary_cross_entropy_with_logits(logits, mg.tensor(x), reduction="sum") / len(x)

    optimizer = optim.Adam(model.parameters(), lr=size.rate)
    fit(loss_of, optimizer, len(digits.images), rng=rng, batch_size=100, epochs=range(size.epochs))
    return model


Restorer = Callable[[np.ndarray], np.ndarray]


def restorer(model: nn.Module) -> Restorer:
    """The function from spoiled images to restored ones that a trained network computes."""
    return lambda spoiled: sigmoid(outputs(model, spoiled.astype(np.float32)).astype(np.float64))


def pca(images: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean of the images and their first k principal components, shape (k, D)."""
    x = images.astype(np.float64)
    mean = x.mean(axis=0)
    _, vectors = np.linalg.eigh((x - mean).T @ (x - mean))
    return mean, vectors[:, ::-1][:, :k].T


def projector(mean: np.ndarray, components: np.ndarray) -> Restorer:
    """PCA as a restorer: project onto the components."""
    return lambda spoiled: mean + (spoiled - mean) @ components.T @ components


LEVELS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
FEW_LEVELS = (0.0, 0.3, 0.5, 0.7)
NAMES = {
    "pca": "PCA",
    "ae": "autoencoder",
    "dae": "denoising, p = 0.5",
    "mixed": "denoising, p from 0 to 0.8",
}
SPOIL = {"ae": (0.0, 0.0), "dae": (0.5, 0.5), "mixed": (0.0, 0.8)}


def report_corruption(run: Run, levels: tuple[float, ...], results: dict[str, np.ndarray]) -> None:
    """The table, the claims and the figure of the experiment."""
    labels = NAMES | {f"{name}, told p": f"{NAMES[name]} of the image / (1 - p)" for name in ("pca", "ae")}
    chosen = [levels.index(p) for p in FEW_LEVELS]
    run.table(
        f"Squared error of the restored test images, {sizes(run).seeds} seeds, 95 % intervals",
        ("restored by", *(f"p = {levels[k]:g}" for k in chosen)),
        [(labels[name], *(with_margin(values[:, k]) for k in chosen)) for name, values in results.items()],
    )
    half, nothing = levels.index(0.5), levels.index(0.0)
    gains = {name: results[name][:, half] - results["dae"][:, half] for name in results if name != "dae"}
    run.results["gains"] = gains
    run.note(
        "At p = 0.5, squared error minus that of the denoising autoencoder, paired: "
        + "; ".join(f"{labels[name]}, {with_margin(gain)}" for name, gain in gains.items())
        + "."
    )
    run.claim(
        "p = 0.5: plain autoencoder minus denoising, smallest difference",
        gains["ae"].min(),
        above=run.pick(quick=2, default=10, full=10),
    )
    run.claim(
        "p = 0.5: PCA minus denoising, smallest difference",
        gains["pca"].min(),
        above=run.pick(quick=5, default=10, full=10),
    )
    lead = gains["ae, told p"].mean()
    run.claim(
        "p = 0.5: plain autoencoder that is told p, minus denoising: mean",
        lead,
        above=run.pick(quick=-2, default=0, full=0),
    )
    price = results["dae"][:, nothing] - results["ae"][:, nothing]
    run.claim("p = 0: denoising at p = 0.5, minus plain: smallest difference", price.min(), above=1)
    run.figure(
        "autoencoders-corruption",
        figures.draw_corruption(levels, {labels[name]: values for name, values in results.items()}),
        alt="Squared error of restored digits over the share of erased pixels: PCA and the plain autoencoder rise "
        "steeply, the one trained at p = 0.5 has its minimum there, the one trained at all p is low throughout.",
        data={"levels": levels, **results},
    )


@lesson.experiment("Half-erased digits")
@one_thread()
def half_erased_digits(run: Run) -> None:
    digits, size = load_digits(full=run.size == "full"), sizes(run)
    levels = run.pick(quick=FEW_LEVELS, default=LEVELS, full=LEVELS)
    clean = digits.test_images.astype(np.float64)
    seeds = [100 * run.seed + k for k in range(size.seeds)]
    run.results["pca"] = mean, components = pca(digits.images, size.code)
    linear = projector(mean, components)
    errors: dict[str, list[list[float]]] = {}
    shown: dict[str, Restorer] = {"pca": linear}
    jobs = [(seed, name) for seed in seeds for name in SPOIL]
    trained = {
        job: restorer(train_autoencoder(digits, size, SPOIL[job[1]], job[0]))
        for job in run.progress(jobs, "training autoencoders")
    }
    for seed in seeds:
        u = np.random.default_rng([seed, 2]).random(clean.shape)
        spoiled = {p: mask(clean, u, p) for p in levels}
        restorers = {"pca": linear} | {name: trained[seed, name] for name in SPOIL}
        shown = shown if len(shown) > 1 else restorers
        for name, restore in restorers.items():
            errors.setdefault(name, []).append([squared_error(clean, restore(spoiled[p])) for p in levels])
            if name in ("pca", "ae"):
                brighter = [squared_error(clean, restore(spoiled[p] / (1 - p))) for p in levels]
                errors.setdefault(f"{name}, told p", []).append(brighter)
    results = {name: np.array(values) for name, values in errors.items()}
    run.results["corruption"] = results
    run.results["restorers"] = shown
    report_corruption(run, levels, results)
    examples = np.array([np.flatnonzero(digits.test_labels == digit)[0] for digit in range(10)])
    u = np.random.default_rng([run.seed, 3]).random((10, 784))
    rows = {"clean": clean[examples], "half erased": mask(clean[examples], u, 0.5)}
    rows |= {NAMES[name]: shown[name](rows["half erased"]) for name in ("pca", "ae", "dae")}
    run.figure(
        "autoencoders-rows",
        figures.draw_rows({name: np.clip(images, 0, 1).reshape(-1, 28, 28) for name, images in rows.items()}),
        alt="Rows of the ten digits: clean, with half of the pixels erased, and restored by PCA, by a plain "
        "autoencoder and by a denoising autoencoder; the last row is the most legible.",
        data=rows,
    )


# %% [markdown]
# Most of the distance to the plain autoencoder is brightness: told $p$, it makes up the larger part. What is left is
# the denoising autoencoder's real work. And there is a price. Trained at $p = 0.5$ alone, it brightens *everything*,
# clean images too, and there it is the worst of all. Trained at all levels it is nearly as good at $p = 0.5$, and loses
# much less on clean images; but a network of the same size that has seen only clean ones still copies them better.
#
# ## The latent plane
#
# Squeeze the digits through a code of two numbers, and each becomes a point in a plane. Nobody told the network which
# digit is which. How well the classes come apart can be measured without any further training: give each test digit the
# majority label of its 15 nearest training digits in the plane.


# %%
def neighbours_right(codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray, test_labels: np.ndarray) -> float:
    """Share of test codes that get their right label from the majority of their 15 nearest training codes."""
    right = 0
    for code, label in zip(test_codes, test_labels, strict=True):
        nearest = np.argpartition(((codes - code) ** 2).sum(axis=1), 15)[:15]
        right += np.bincount(labels[nearest], minlength=10).argmax() == label
    return right / len(test_labels)


@lesson.experiment("The latent plane")
@one_thread()
def latent_plane(run: Run) -> None:
    digits = load_digits(full=run.size == "full")
    size = sizes(run)._replace(code=2, epochs=run.pick(quick=3, default=30, full=30))
    model = train_autoencoder(digits, size, (0.0, 0.0), run.seed)
    encoder = model[:3]
    mean, components = run.results["pca"][0], run.results["pca"][1][:2]
    planes = {
        "PCA": tuple((images - mean) @ components.T for images in (digits.images, digits.test_images)),
        "autoencoder": tuple(outputs(encoder, images) for images in (digits.images, digits.test_images)),
    }
    share = {
        name: neighbours_right(codes, digits.labels, test_codes, digits.test_labels)
        for name, (codes, test_codes) in planes.items()
    }
    run.results["latent plane"] = share
    run.note(f"Right by 15 neighbours in the plane: PCA {share['PCA']:.1%}, autoencoder {share['autoencoder']:.1%}.")
    run.claim("plane of PCA: right", share["PCA"], above=0.35)
    run.claim(
        "plane of the autoencoder minus plane of PCA",
        share["autoencoder"] - share["PCA"],
        above=run.pick(quick=-0.05, default=0.1, full=0.1),
    )
    run.figure(
        "autoencoders-plane",
        figures.draw_planes({name: codes[1] for name, codes in planes.items()}, digits.test_labels, share),
        alt="The test digits as points in two planes, drawn as coloured numerals: in the plane of PCA the classes "
        "overlap in the middle, in that of the autoencoder they are better apart.",
        data={name: codes[1] for name, codes in planes.items()} | {"labels": digits.test_labels},
    )


# %% [markdown]
# ## Where this breaks
#
# **Other noise than it was trained for.** A denoiser learns one corruption. Give it another, pixels that are turned
# *white* instead of black, and its training is worth little.
#
# **Blur.** The best answer to a squared error is a mean, and the mean of two plausible digits is no digit. The more has
# been erased, the paler the output. What helps is to draw one of the possible answers, not to average them: the
# generative models of the following lessons. The code of an autoencoder is not made for that, because nothing says how
# it is distributed; the *variational* autoencoder adds it: [Auto-Encoding Variational Bayes][vae] (Diederik Kingma and
# Max Welling, 2013).
#
# **Small holes.** With single pixels missing, neighbours give the answer away. [Masked Autoencoders Are Scalable Vision
# Learners][mae] (Kaiming He and others, 2021) hide three quarters of an image in large patches, which takes more than
# interpolation to restore.
#
# [vae]: https://arxiv.org/abs/1312.6114
# [mae]: https://arxiv.org/abs/2111.06377


# %%
@lesson.experiment("Where this breaks: other noise, and blur")
@one_thread()
def other_noise(run: Run) -> None:
    digits = load_digits(full=run.size == "full")
    clean = digits.test_images.astype(np.float64)
    restore = run.results["restorers"]["mixed"]
    u = run.rng.random(clean.shape)
    errors = {
        "30 % of the pixels black": squared_error(clean, restore(mask(clean, u, 0.3))),
        "5 % of the pixels white": squared_error(clean, restore(np.where(u < 0.05, 1.0, clean))),
        "30 % of the pixels white": squared_error(clean, restore(np.where(u < 0.3, 1.0, clean))),
    }
    run.results["other noise"] = errors
    run.table(
        "Squared error of the denoising autoencoder (p from 0 to 0.8, first seed)",
        ("what was done to the image", "error"),
        [(name, f"{value:.1f}") for name, value in errors.items()],
    )
    run.claim(
        "30 % white: error, divided by that of 30 % black",
        errors["30 % of the pixels white"] / errors["30 % of the pixels black"],
        above=run.pick(quick=1.1, default=2, full=2),
    )
    sharpness = [float(restore(mask(clean, u, p)).max(axis=1).mean()) for p in (0.0, 0.95)]
    run.results["sharpness"] = sharpness
    run.claim("mean of the brightest pixel, nothing erased", sharpness[0], above=0.8)
    run.claim("95 % erased: it is darker by", sharpness[0] - sharpness[1], above=0.03)


# %% [markdown]
# ## PyTorch says the same


# %%
@lesson.compare("PyTorch")
def pytorch(run: Run) -> None:
    import minigrad as mg
    import minigrad.nn.functional as F

    r = recorded_by_torch(lesson)
    x, corrupted, W, b, c = (r[name] for name in ("x", "corrupted", "W", "b", "c"))
    dloss = float(r["dloss"])

    def forward(lib: Any, functional: Any) -> tuple[Any, list[Any]]:
        leaves = [lib.tensor(array, requires_grad=True) for array in (W, b, c)]
        z = lib.sigmoid(lib.tensor(corrupted) @ leaves[0].T + leaves[1])
        logits = z @ leaves[0] + leaves[2]
        loss = functional.binary_cross_entropy_with_logits(logits, lib.tensor(x), reduction="sum") / len(x)
        return loss, leaves

    def live(k: int) -> Callable[[Any], Any]:
        def gradient(torch: Any) -> Any:
            loss, leaves = forward(torch, torch.nn.functional)
            return torch.autograd.grad(dloss * loss, leaves)[k]

        return gradient

    z = sigmoid(corrupted @ W.T + b)
    y = sigmoid(z @ W + c)
    run.compare(
        "loss",
        binary_cross_entropy(x, y),
        recorded=r["loss"],
        live=lambda torch: forward(torch, torch.nn.functional)[0],
    )
    gradients = tied_backward(dloss, x, corrupted, z, y, W)
    for k, (name, got) in enumerate(zip(("dW", "db", "dc"), gradients, strict=True)):
        run.compare(name, got, recorded=r[name], live=live(k))
    loss, leaves = forward(mg, F)
    run.claim("minigrad's own ops: loss", abs(loss.item() - binary_cross_entropy(x, y)), below=1e-12)
    on_tape = mg.autograd.grad(dloss * loss, leaves)
    for name, got, want in zip(("dW", "db", "dc"), gradients, on_tape, strict=True):
        run.claim(f"minigrad's own ops: {name}", error(got, want.numpy()), below=1e-12)


# %% [markdown]
# ## How your answers are judged
#
# The gradients are compared with minigrad's tape, at two sizes of each dimension. Cut the wire at $z$, and what is lost
# of $\bar{W}$ is its **encoder** term; what is left is the **decoder** term. The other three exercises are compared
# with plain formulas on random inputs.

# %%
_SIZES = {"N": (5, 3), "D": (4, 7), "H": (3, 5)}


@lesson.question(
    "tied_backward",
    inputs=drawn,
    sizes=_SIZES,
    upstream=("dloss",),
    terms={
        "dW": (
            Term(
                "decoder",
                "z.T @ delta_y, delta_y = dloss/N * (y - x)",
                question="In the decoder W multiplies the code. What is multiplied with what on the way back?",
            ),
            Term(
                "encoder",
                "delta_z.T @ corrupted, delta_z = (delta_y @ W.T) * z * (1 - z)",
                through=("z",),
                question="Through which sigmoid does this gradient come, and what did the encoder see: x or corrupted?",
            ),
        ),
        "db": (Term("db", "sum_n delta_z", question="How many samples does one b act on?"),),
        "dc": (Term("dc", "sum_n delta_y", question="How many samples does one c act on?"),),
    },
)
def tied_on_tape(named, x, corrupted, W, b, c):
    z = named("z", (corrupted @ W.t() + b).sigmoid())
    y = named("y", (z @ W + c).sigmoid())
    return -(x * y.log() + (1 - x) * (1 - y).log()).sum() / len(x)


# %%
def _tied(
    of_encoder=lambda x, corrupted: corrupted, of_code=lambda z: z * (1 - z), factors=(1, 1, 1, 1), of_output=None
):
    """A backward pass with something wrong in it: factors on encoder, decoder, db and dc, or other ingredients."""

    def wrong(dloss, x, corrupted, z, y, W):
        delta_y = dloss / len(x) * (y - x)
        if of_output is not None:
            delta_y = of_output(dloss / len(x), x, corrupted, y)
        delta_z = delta_y @ W.T * of_code(z)
        encoder, decoder = delta_z.T @ of_encoder(x, corrupted), z.T @ delta_y
        db, dc = delta_z.sum(axis=0), delta_y.sum(axis=0)
        parts = [
            part * (f(len(x)) if callable(f) else f)
            for part, f in zip((encoder, decoder, db, dc), factors, strict=True)
        ]
        return parts[0] + parts[1], parts[2], parts[3]

    return wrong


def _by_size(n):
    return n


WRONG_TIED: dict[str, tuple[Callable[..., Any], tuple[str, ...], str | None]] = {
    "forgets that the decoder uses W as well": (_tied(factors=(1, 0, 1, 1)), ("decoder",), "`decoder` is 0"),
    "forgets that the encoder uses W as well": (_tied(factors=(0, 1, 1, 1)), ("encoder",), "`encoder` is 0"),
    "takes the two terms for equal": (_tied(factors=(0, 2, 1, 1)), ("decoder", "encoder"), "`decoder` is 2"),
    "flips the sign of the encoder term": (_tied(factors=(-1, 1, 1, 1)), ("encoder",), "`encoder` is -1"),
    "sums over the samples without 1/N": (
        _tied(factors=(_by_size,) * 4),
        ("decoder", "encoder", "db", "dc"),
        "is N",
    ),
    "averages db and dc once more": (
        _tied(factors=(1, 1, lambda n: 1 / n, lambda n: 1 / n)),
        ("db", "dc"),
        "is 1/N",
    ),
    "feeds the encoder the clean samples": (
        _tied(of_encoder=lambda x, corrupted: x),
        ("encoder",),
        None,
    ),
    "compares the output with the spoiled samples": (
        _tied(of_output=lambda scale, x, corrupted, y: scale * (y - corrupted)),
        ("decoder", "encoder", "db", "dc"),
        None,
    ),
    "forgets the sigmoid of the code": (
        _tied(of_code=lambda z: 1.0),
        ("encoder", "db"),
        None,
    ),
    "takes z for the derivative of the sigmoid": (
        _tied(of_code=lambda z: z),
        ("encoder", "db"),
        None,
    ),
    "keeps y (1 - y), which cancels with this loss": (
        _tied(of_output=lambda scale, x, corrupted, y: scale * (y - x) * y * (1 - y)),
        ("decoder", "encoder", "db", "dc"),
        None,
    ),
}
for _name, (_wrong, _terms, _cause) in WRONG_TIED.items():
    lesson.mistake("tied_backward", _name, terms=_terms, cause=_cause)(_wrong)


def draw_moments(rng: np.random.Generator, D: int) -> dict[str, Any]:
    x = rng.normal(size=(20, D)) @ rng.normal(size=(D, D)) + 0.5
    return {"W": rng.normal(size=(D, D)), "S": x.T @ x / 20, "p": float(rng.uniform(0.2, 0.7))}


@lesson.question(
    "masked_loss_backward",
    inputs=draw_moments,
    sizes={"D": (4, 6)},
    upstream=("dloss",),
    terms={
        "dW": (
            Term("dimmed", "2 (1-p)^2 W S", through=("dimmed",), question="What is the derivative of tr(W S W^T)?"),
            Term("penalty", "2 p (1-p) W diag(S)", through=("penalty",), question="Which S_jj belongs to W_ij?"),
            Term("match", "-2 (1-p) S", through=("match",), question="What is the derivative of tr(W S) by W_ij?"),
        )
    },
    factors={"1-p": lambda values: 1 - values["p"], "p": lambda values: values["p"]},
)
def masked_loss_on_tape(named, W, S, p):
    dimmed = named("dimmed", (1 - p) ** 2 * ((W @ S) * W).sum())
    penalty = named("penalty", p * (1 - p) * (W * W * S.diagonal()).sum())
    match = named("match", -2 * (1 - p) * (W * S.t()).sum())
    return dimmed + penalty + match + S.diagonal().sum()


def _masked(dimmed=1.0, penalty=1.0, match=1.0):
    """The gradient with wrong factors, numbers or functions of p, on its three terms."""

    def wrong(dloss, W, S, p):
        keep = 1 - p
        parts = 2 * keep**2 * W @ S, 2 * p * keep * W * np.diag(S), -2 * keep * S
        factors = [each(p) if callable(each) else each for each in (dimmed, penalty, match)]
        return dloss * sum(factor * part for factor, part in zip(factors, parts, strict=True))

    return wrong


ALL_MASKED = ("dimmed", "penalty", "match")
WRONG_SLOPES: dict[str, tuple[Callable[..., Any], tuple[str, ...], str | None]] = {
    "returns zeros": (_masked(0, 0, 0), ALL_MASKED, "dW is zero"),
    "forgets that a pixel survives together with itself": (_masked(penalty=0), ("penalty",), "`penalty` is 0"),
    "squares the chance of a pixel to match": (_masked(match=lambda p: 1 - p), ("match",), "`match` is 1-p"),
    "takes two pixels to survive as often as one": (
        _masked(dimmed=lambda p: 1 / (1 - p)),
        ("dimmed",),
        None,
    ),
    "flips the sign of the match": (_masked(match=-1), ("match",), "`match` is -1"),
    "misses the 2 of the squares": (_masked(0.5, 0.5, 0.5), ALL_MASKED, "every term of dW is 1/2"),
    "takes S_ii for S_jj": (
        lambda dloss, W, S, p: _masked(penalty=0)(dloss, W, S, p) + dloss * 2 * p * (1 - p) * W * np.diag(S)[:, None],
        ("penalty",),
        None,
    ),
}
for _name, (_wrong, _terms, _cause) in WRONG_SLOPES.items():
    lesson.mistake("masked_loss_backward", _name, terms=_terms, cause=_cause)(_wrong)


@lesson.variant("masked_loss_backward", "2 (W Q - P^T)")
def _(dloss, W, S, p):
    Q = (1 - p) ** 2 * S + np.diag(p * (1 - p) * np.diag(S))
    return 2 * dloss * (W @ Q - (1 - p) * S.T)


@lesson.mistake("tied_backward", "returns dW transposed", cause="dW is the transpose")
def _(dloss, x, corrupted, z, y, W):
    dW, db, dc = tied_backward(dloss, x, corrupted, z, y, W)
    return dW.T, db, dc


@lesson.variant("tied_backward", "one sample at a time")
def _(dloss, x, corrupted, z, y, W):
    dW, db, dc = np.zeros_like(W), np.zeros(len(W)), np.zeros(W.shape[1])
    for clean, spoiled, code, out in zip(x, corrupted, z, y, strict=True):
        delta = dloss / len(x) * (out - clean)
        back = W @ delta * code * (1 - code)
        dW += np.outer(code, delta) + np.outer(back, spoiled)
        db += back
        dc += delta
    return dW, db, dc


@lesson.variant("tied_backward", "einsum")
def _(dloss, x, corrupted, z, y, W):
    delta_y = (y - x) * dloss / len(x)
    delta_z = np.einsum("nd,hd,nh->nh", delta_y, W, z - z**2)
    dW = np.einsum("nh,nd->hd", delta_z, corrupted) + np.einsum("nh,nd->hd", z, delta_y)
    return dW, np.einsum("nh->h", delta_z), np.einsum("nd->d", delta_y)


# %%
@lesson.check("mask")
def check_mask(candidate: Callable[..., Any]) -> Verdict:
    rng = np.random.default_rng(8)
    verdicts = []
    for shape, p in (((6, 5), 0.3), ((3, 8), 0.7), ((2, 3), 0.0)):
        x, u = rng.normal(size=shape) + 2, rng.random(shape)
        verdicts.append(Verdict.from_arrays("spoiled", candidate(x, u, p), x * (u >= p), 1e-12))
    return Verdict.all(*verdicts)


WRONG_MASKS: dict[str, Callable[..., Any]] = {
    "scales the survivors up, as dropout does": lambda x, u, p: np.where(u < p, 0.0, x) / (1 - p),
    "keeps a pixel with probability p": lambda x, u, p: np.where(u < p, x, 0.0),
    "loses whole samples": lambda x, u, p: np.where(u[:, :1] < p, 0.0, x),
    "loses the same pixels in every sample": lambda x, u, p: np.where(u[0] < p, 0.0, x),
    "dims every pixel by the mean loss": lambda x, u, p: (1 - p) * x,
    "puts one half where a pixel was": lambda x, u, p: np.where(u < p, 0.5, x),
    "multiplies with the random numbers": lambda x, u, p: x * np.maximum(u - p, 0),
    "returns the mask alone": lambda x, u, p: (u >= p).astype(float),
    "erases a fixed number of pixels": lambda x, u, p: np.where(
        u.argsort(axis=1).argsort(axis=1) < round(p * x.shape[1]), 0.0, x
    ),
}
for _name, _wrong in WRONG_MASKS.items():
    lesson.mistake("mask", _name)(_wrong)

lesson.variant("mask", "multiplies with the mask")(lambda x, u, p: x * (u >= p))


@lesson.variant("mask", "writes zeros into a copy")
def _(x, u, p):
    spoiled = x.copy()
    spoiled[u < p] = 0
    return spoiled


# %%
@lesson.check("linear_denoiser")
def check_linear_denoiser(candidate: Callable[..., Any]) -> Verdict:
    rng = np.random.default_rng(13)
    verdicts = []
    for d, p in ((3, 0.4), (6, 0.75), (4, 0.1)):
        x = rng.normal(size=(30, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)
        S = x.T @ x / len(x)
        want = S @ np.linalg.inv((1 - p) * S + p * np.diag(np.diag(S)))
        verdicts.append(Verdict.from_arrays("W", candidate(S, p), want, 1e-8))
    return Verdict.all(*verdicts)


def _quotient(P, Q):
    return np.linalg.solve(Q.T, P.T).T


def _with_diagonal(matrix, diagonal):
    return matrix - np.diag(np.diag(matrix)) + np.diag(diagonal)


WRONG_DENOISERS: dict[str, Callable[..., Any]] = {
    "forgets that a pixel survives with itself more often": lambda S, p: _quotient((1 - p) * S, (1 - p) ** 2 * S),
    "takes the loss p for the survival 1 - p": lambda S, p: linear_denoiser(S, 1 - p),
    "forgets to mask in P": lambda S, p: _quotient(S, _with_diagonal((1 - p) ** 2 * S, (1 - p) * np.diag(S))),
    "masks P twice": lambda S, p: _quotient((1 - p) ** 2 * S, _with_diagonal((1 - p) ** 2 * S, (1 - p) * np.diag(S))),
    "divides from the wrong side": lambda S, p: linear_denoiser(S, p).T,
    "does not square the survival of pairs": lambda S, p: np.eye(len(S)),
    "adds the penalty everywhere": lambda S, p: _quotient(S, (1 - p) * S + p * np.eye(len(S))),
    "assumes that nothing is correlated": lambda S, p: np.diag(np.diag(linear_denoiser(S, p))),
    "masks as dropout does, with survivors scaled up": lambda S, p: (1 - p) * linear_denoiser(S, p),
}
for _name, _wrong in WRONG_DENOISERS.items():
    lesson.mistake("linear_denoiser", _name)(_wrong)

lesson.variant("linear_denoiser", "ridge regression")(
    lambda S, p: S @ np.linalg.inv((1 - p) * S + p * np.diag(np.diag(S)))
)


@lesson.variant("linear_denoiser", "one pixel at a time")
def _(S, p):
    Q = _with_diagonal((1 - p) ** 2 * S, (1 - p) * np.diag(S))
    return np.stack([np.linalg.solve(Q, (1 - p) * row) for row in S])


# %%
@lesson.check("posterior_mean")
def check_posterior_mean(candidate: Callable[..., Any]) -> Verdict:
    rng = np.random.default_rng(17)
    verdicts = []
    for m, n, d, sigma, far in ((4, 5, 2, 0.7, 0.0), (3, 6, 3, 1.6, 0.0), (3, 4, 2, 0.5, 60.0)):
        noisy, points = rng.normal(size=(m, d)) + far, rng.normal(size=(n, d))
        logits = np.array([[-((x - point) ** 2).sum() / (2 * sigma**2) for point in points] for x in noisy])
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        want = (weights / weights.sum(axis=1, keepdims=True)) @ points
        verdicts.append(Verdict.from_arrays("mean", candidate(noisy, points, sigma), want, 1e-9))
    return Verdict.all(*verdicts)


def _weighted(noisy, points, scale, shift=True, axis=1):
    squares = ((noisy[:, None, :] - points[None, :, :]) ** 2).sum(axis=2)
    logits = -squares * scale
    weights = np.exp(logits - logits.max(axis=axis, keepdims=True) if shift else logits)
    return (weights / weights.sum(axis=axis, keepdims=True)) @ points


WRONG_MEANS: dict[str, Callable[..., Any]] = {
    "forgets the 2": lambda noisy, points, sigma: _weighted(noisy, points, 1 / sigma**2),
    "sigma for sigma squared": lambda noisy, points, sigma: _weighted(noisy, points, 1 / (2 * sigma)),
    "prefers the far points": lambda noisy, points, sigma: _weighted(noisy, points, -1 / (2 * sigma**2)),
    "takes the nearest point": lambda noisy, points, sigma: _weighted(noisy, points, 1e6),
    "averages all points alike": lambda noisy, points, sigma: _weighted(noisy, points, 0.0),
    "normalises over the noisy points": lambda noisy, points, sigma: _weighted(
        noisy, points, 1 / (2 * sigma**2), axis=0
    ),
    "does not shift, and divides zero by zero": lambda noisy, points, sigma: _weighted(
        noisy, points, 1 / (2 * sigma**2), shift=False
    ),
    "returns the score instead": lambda noisy, points, sigma: (posterior_mean(noisy, points, sigma) - noisy) / sigma**2,
    "weights with distances, not with their squares": lambda noisy, points, sigma: _normal_by_distance(
        noisy, points, sigma
    ),
}


def _normal_by_distance(noisy, points, sigma):
    logits = -np.linalg.norm(noisy[:, None, :] - points[None, :, :], axis=2) / (2 * sigma**2)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (weights / weights.sum(axis=1, keepdims=True)) @ points


for _name, _wrong in WRONG_MEANS.items():
    lesson.mistake("posterior_mean", _name)(_wrong)


@lesson.variant("posterior_mean", "without the square of the noisy point, which all weights share")
def _(noisy, points, sigma):
    logits = (noisy @ points.T - 0.5 * (points**2).sum(axis=1)) / sigma**2
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (weights @ points) / weights.sum(axis=1, keepdims=True)


# %% [markdown]
# Key `w` of the loop trains a denoising autoencoder with your backward pass: 14 x 14 pixels, 32 hidden units, tied
# weights, $p = 0.4$. A wrong gradient often still learns something here, which is just why it deserves a check.


# %%
@lesson.consequence(
    "tied_backward", title="digits of 14 x 14 pixels, 32 hidden units, tied weights, p = 0.4, learning rate 0.2"
)
def with_your_gradient(candidate, rng):
    images = halved(load_digits().images).reshape(-1, 196)
    W, b, c = 0.1 * rng.normal(size=(32, 196)), np.zeros(32), np.full(196, -2.0)
    while True:
        x = images[rng.integers(0, len(images), 50)]
        corrupted = mask(x, rng.random(x.shape), 0.4)
        z = sigmoid(corrupted @ W.T + b)
        y = np.clip(sigmoid(z @ W + c), 1e-12, 1 - 1e-12)
        yield binary_cross_entropy(x, y)
        dW, db, dc = candidate(1.0, x, corrupted, z, y, W)
        W, b, c = W - 0.2 * dW, b - 0.2 * db, c - 0.2 * dc
