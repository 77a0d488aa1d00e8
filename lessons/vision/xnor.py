# %% [markdown]
# # Binary weights and XNOR networks
#
# **The question.** A network whose weights and activations are single bits needs a 32nd of the memory and multiplies
# 64 numbers with one instruction. How much is lost when $W$ becomes $\alpha \operatorname{sign}(W)$, how can such a
# network be trained when a sign has no slope, and how fast is it really?
#
# This lesson rebuilds [\[Review\] XNOR-Nets][post] by Jae-Won Chung (2019), a review of [XNOR-Net: ImageNet
# Classification Using Binary Convolutional Neural Networks][paper] by Mohammad Rastegari, Vicente Ordonez, Joseph
# Redmon and Ali Farhadi (2016). The post goes straight to the answers; we derive them and measure them. Three printed
# formulas do not hold: the two that say how to train, and the one that says how to scale a dot product.
#
# At the end, a binary network and its float twin learn to read digits, and a convolution of bits races against
# convolutions of floats.
#
# [post]: https://jaewonchung.me/read/papers/XNOR-Nets
# [paper]: https://arxiv.org/abs/1603.05279

# %%
from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from lessons.anatomy import Lesson, Run, Source, Term
from lessons.data.batches import halved, minibatches
from lessons.data.digits import Digits, load_digits
from lessons.lab.numbers import error
from lessons.lab.recorded import recorded_by_torch
from lessons.lab.statistics import mean_and_margin, with_margin
from lessons.lab.threads import one_thread
from lessons.lab.training import fit, outputs
from minigrad import nn, optim

if TYPE_CHECKING:
    import kernels

lesson = Lesson(
    name="xnor",
    title="Binary weights and XNOR networks",
    subject="vision",
    source=Source(
        title="[Review] XNOR-Nets: ImageNet Classification Using Binary Convolutional Neural Networks",
        author="Jae-Won Chung",
        year=2019,
        link="https://jaewonchung.me/read/papers/XNOR-Nets",
    ),
    headline="A network of bits reads digits nearly as well as its float twin, in a 32nd of the memory, if its sign is "
    "trained straight through; the 58-fold speed-up depends on what one compares with.",
    minutes=2,
    exercises=4,
)

# %% [markdown]
# ## Step 1: one scale and $n$ signs
#
# A filter has $n$ real weights $W$. We want to replace it by $\alpha B$, with one number $\alpha > 0$ and $n$ signs
# $B_i \in \{-1, +1\}$, so that
#
# $$
# J(\alpha, B) = \lVert W - \alpha B \rVert^2 = \lVert W \rVert^2 - 2 \alpha \sum_i W_i B_i + \alpha^2 n
# $$
#
# is as small as it can be. The last term knows nothing of $B$, because $B_i^2 = 1$. So for every positive $\alpha$
# the best signs are those that make $\sum_i W_i B_i$ largest, and each $B_i$ can see to its own summand: $B_i =
# \operatorname{sign}(W_i)$, and the sum is $\sum_i |W_i|$. What is left is a parabola in $\alpha$, with its lowest
# point at
#
# $$
# \alpha^* = \frac{1}{n} \sum_i |W_i|, \qquad
# J^* = \lVert W \rVert^2 - \frac{1}{n} \Big( \sum_i |W_i| \Big)^2
# $$
#
# Where $W_i = 0$ both signs are equally good. A bit has no third value, so one must be chosen: here
# $\operatorname{sign}(0) = +1$, as in our kernels. NumPy's `np.sign` says 0, which is not a sign.
#
# **Exercise: `binarize`.** Both, for all the filters of a layer.


# %%
@lesson.exercise(hint="What does np.sign return for a weight that is exactly 0, and how would you store that in a bit?")
def binarize(W):
    """Replace each filter by one scale and signs: W[k] is close to alpha[k] * B[k].

    alpha[k] = mean |W[k]|, B[k, i] = -1 where W[k, i] < 0 and +1 everywhere else, also where W[k, i] = 0.

    Args:
        W: K filters of n weights, shape (K, n).

    Returns:
        The tuple (alpha, B), of shapes (K,) and (K, n), both float.
    """
    alpha = np.abs(W).mean(axis=1)
    B = np.where(W < 0, -1.0, 1.0)
    return alpha, B


# %% [markdown]
# For $n = 10$ there are only $2^{10}$ vectors of signs, and we can try them all, each with its own best scale $\alpha
# = \frac{1}{n} \sum_i W_i B_i$.


# %%


def all_signs(n: int) -> np.ndarray:
    """Return all vectors of n signs, shape (2**n, n)."""
    return np.array(list(itertools.product((-1.0, 1.0), repeat=n)))


def residual(W: np.ndarray, alpha: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return J = |W - alpha B|^2 for each of several scales (..., 1) and sign vectors (..., n)."""
    return ((W - alpha * B) ** 2).sum(axis=-1)


def draw_approximation(run: Run) -> None:
    """Draw one filter with its approximation, and J over alpha for right and wrong signs."""
    from lessons.vision._xnor_figures import approximation

    W = np.sort(np.random.default_rng(2).normal(size=40))
    (alpha,), (B,) = binarize(W[None])
    scales = np.linspace(0, 2 * alpha, 81)
    curves = {}
    for flips in (0, 1, 3):
        signs = B.copy()
        signs[np.argsort(np.abs(W))[-flips:] if flips else []] *= -1  # the largest weights, the worst to get wrong
        curves[flips] = residual(W, scales[:, None], signs) / (W**2).sum()
    share = 1 - np.abs(W).sum() ** 2 / (W**2).sum() / len(W)
    run.figure(
        "xnor-approximation",
        approximation(W, alpha, B, scales, curves, share),
        alt="Left: forty sorted weights and the two levels -alpha and +alpha that replace them. Right: the error over "
        "alpha is a parabola, lowest at the mean magnitude for the signs of W, and higher when signs are flipped.",
        data={"W": W, "alpha": alpha, "B": B, "scales": scales, **{f"J with {k} flips": v for k, v in curves.items()}},
    )


@lesson.step("One scale and n signs", terms=("alpha", "B"))
def one_scale_and_n_signs(run: Run) -> None:
    W = run.rng.normal(size=10)
    (alpha,), (B,) = binarize(W[None])
    candidates = all_signs(10)
    scales = (candidates @ W) / 10
    found = residual(W, scales[:, None], candidates)
    # B and -B with -alpha are one and the same approximation; alpha > 0 chooses.
    best = np.where(scales > 0, found, np.inf).argmin()
    run.claim(
        "brute force over 2**10 sign vectors: signs that differ from sign(W)", (candidates[best] != B).sum(), equals=0
    )
    run.claim("its scale, against mean |W|", error(scales[best], alpha), below=1e-12)
    formula = (W**2).sum() - np.abs(W).sum() ** 2 / 10
    run.claim("its residual, against |W|^2 - |W|_1^2 / n", error(found[best], formula), below=1e-12)
    second = np.sort(np.where(scales > 0, found, np.inf))[1]
    run.claim("the second best sign vector, over the best", second / found[best], above=1 + 1e-6)
    steps = np.linspace(-0.1, 0.1, 21)
    parabola = residual(W, alpha + steps[:, None], B) - found[best]
    run.claim("J(alpha* + t) - J*, against n t^2", np.abs(parabola - 10 * steps**2).max(), below=1e-12)
    draw_approximation(run)


# %% [markdown]
# ## What is lost: $1 - 2/\pi$
#
# How much of a filter is that? Divide $J^*$ by $\lVert W \rVert^2$. For many weights, means become expectations:
#
# $$
# \frac{J^*}{\lVert W \rVert^2} = 1 - \frac{(\operatorname{E}|W|)^2}{\operatorname{E} W^2}
# $$
#
# A Gaussian has $\operatorname{E}|W| = \sigma \sqrt{2/\pi}$, so the error is $1 - 2/\pi = 0.363$ of the squared
# length, *whatever the layer's width and spread*. A uniform distribution on $[-a, a]$ has $\operatorname{E}|W| = a/2$
# and $\operatorname{E} W^2 = a^2/3$: error $1/4$. Only a distribution that already sits on two values loses nothing.
#
# A third of the energy sounds like a disaster. Seen as a direction it is less so: the cosine between $W$ and its
# signs is $\sqrt{2/\pi} = 0.80$, an angle of 37 degrees, in a space with thousands of dimensions where two random
# directions are at 90.


# %%
def lost_share(W: np.ndarray) -> float:
    """Return J* / |W|^2 for one filter, shape (n,)."""
    return float(1 - np.abs(W).mean() ** 2 / (W**2).mean())


@lesson.step("What is lost")
def what_is_lost(run: Run) -> None:
    n = run.pick(quick=200_000, default=2_000_000, full=5_000_000)
    gaussian, uniform = run.rng.normal(size=n), run.rng.uniform(-3, 3, size=n)
    tolerance = 2 / np.sqrt(n)  # at least five standard errors
    run.results["lost"] = {"gaussian": lost_share(gaussian), "uniform": lost_share(uniform)}
    run.claim(
        "Gaussian weights: J* / |W|^2, against 1 - 2/pi", lost_share(gaussian), equals=1 - 2 / np.pi, within=tolerance
    )
    run.claim("uniform weights: J* / |W|^2, against 1/4", lost_share(uniform), equals=0.25, within=tolerance)
    run.claim("weights on two values: J* / |W|^2", abs(lost_share(0.3 * np.sign(gaussian))), below=1e-12)
    cosine = np.abs(gaussian).sum() / np.linalg.norm(gaussian) / np.sqrt(n)
    run.claim(
        "Gaussian: cosine between W and sign(W), against sqrt(2/pi)",
        cosine,
        equals=np.sqrt(2 / np.pi),
        within=tolerance,
    )


# %% [markdown]
# ## Step 2: a gradient for something flat
#
# Training changes real weights $W$ by small steps, and the network computes with $\widetilde{W} = \alpha B$. Let $g_j
# = \partial L / \partial \widetilde{W}_j$ be what arrives from above. A weight $W_i$ acts on $\widetilde{W}$ in two
# ways: through the scale, which *all* the $\widetilde{W}_j = \alpha B_j$ share, and through its own sign:
#
# $$
# \frac{\partial L}{\partial W_i}
# = \frac{\partial \alpha}{\partial W_i} \sum_j g_j B_j
# + \alpha g_i \frac{\partial B_i}{\partial W_i}
# $$
#
# The first is plain calculus: $\partial \alpha / \partial W_i = \operatorname{sign}(W_i) / n$. The second is zero
# almost everywhere, because a sign is flat. With zero, nothing would tell a weight that its sign is wrong. The way out
# is the *straight-through estimator* of [Yoshua Bengio, Nicholas Léonard and Aaron Courville (2013)][ste], in the form
# that [Matthieu Courbariaux, Itay Hubara, Daniel Soudry, Ran El-Yaniv and Yoshua Bengio (2016)][bnn] gave it for binary
# networks: on the way back, pretend that the sign was the line $r \mapsto r$ between $-1$ and $1$, and flat outside.
# Its slope is 1 inside and 0 outside:
#
# $$
# \frac{\partial \operatorname{sign}}{\partial r} := 1_{|r| \le 1}
# $$
#
# The two terms of the gradient are called **scale** and **straight** from here on:
#
# $$
# \begin{align*}
# \text{scale}_i &= \frac{\operatorname{sign}(W_i)}{n} \sum_j g_j \operatorname{sign}(W_j) \\
# \text{straight}_i &= \alpha g_i 1_{|W_i| \le 1}
# \end{align*}
# $$
#
# [ste]: https://arxiv.org/abs/1308.3432
# [bnn]: https://arxiv.org/abs/1602.02830
#
# **Exercise: `weight_gradient`.** Their sum, for all the filters of a layer.


# %%
@lesson.exercise(hint="The scale is shared by the whole filter, so its term has a sum over j; the other term has none.")
def weight_gradient(g, W):
    """Return the gradient with respect to real weights W, of which a network uses alpha * sign(W).

    scale[k, i] = sign(W[k, i]) / n * sum over j of g[k, j] * sign(W[k, j])
    straight[k, i] = alpha[k] * g[k, i] where |W[k, i]| <= 1, else 0, with alpha[k] = mean |W[k]|

    Args:
        g: gradient with respect to alpha * sign(W), shape (K, n).
        W: K filters of n weights, none of them 0, shape (K, n).

    Returns:
        dW = scale + straight, shape (K, n).
    """
    alpha, B = binarize(W)
    n = W.shape[1]
    scale = B / n * (g * B).sum(axis=1, keepdims=True)
    straight = alpha[:, None] * g * (np.abs(W) <= 1)
    return scale + straight


# %% [markdown]
# How can a gradient be checked that is not the derivative of the forward pass? It is the derivative of *another*
# forward pass, and that one can be checked as usual. Keep the value of each sign, and let it move along the line:
# with the numbers $o_i = \operatorname{sign}(W_i) - \operatorname{clip}(W_i, -1, 1)$ frozen,
#
# $$
# \widetilde{W}_i = \alpha(W) \big( \operatorname{clip}(W_i, -1, 1) + o_i \big)
# $$
#
# has the same value as $\alpha \operatorname{sign}(W_i)$ at this $W$, and honest slopes around it. If $o_i$ is not
# frozen, the clip cancels, and only the scale term is left: **the true gradient of $\alpha \operatorname{sign}(W)$ is
# the scale term alone.** Both are claims below.


# %%
def draw_filters(rng: np.random.Generator, K: int = 4, n: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Return an upstream gradient and filters with weights on both sides of +-1, away from 0 and from +-1."""
    W = rng.choice([-1.0, 1.0], (K, n)) * np.where(
        rng.random((K, n)) < 0.6, rng.uniform(0.05, 0.95, (K, n)), rng.uniform(1.05, 2, (K, n))
    )
    return rng.normal(size=(K, n)), W


def surrogate(W: np.ndarray, frozen: np.ndarray) -> np.ndarray:
    """Return alpha times a sign that moves with its weight; `frozen` is sign - clip at the weights of interest."""
    return np.abs(W).mean(axis=1, keepdims=True) * (np.clip(W, -1, 1) + frozen)


def slope(function: Callable[[np.ndarray], np.ndarray], at: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    """Differentiate sum(upstream * function(at)) by each entry of `at`, by central differences.

    The functions here are piecewise of degree two in each entry, so that the differences are exact up to rounding.
    """
    step = 1e-3
    result = np.empty(at.shape)
    for index in np.ndindex(at.shape):
        up, down = at.copy(), at.copy()
        up[index] += step
        down[index] -= step
        result[index] = (upstream * (function(up) - function(down))).sum() / (2 * step)
    return result


def two_terms(g: np.ndarray, W: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the scale and the straight term of `weight_gradient`."""
    alpha, B = binarize(W)
    scale = B / W.shape[1] * (g * B).sum(axis=1, keepdims=True)
    return scale, alpha[:, None] * g * (np.abs(W) <= 1)


@lesson.step("A gradient for something flat", terms=("scale", "straight"))
def a_gradient_for_something_flat(run: Run) -> None:
    g, W = draw_filters(run.rng)
    alpha, B = binarize(W)
    scale, straight = two_terms(g, W)
    frozen = B - np.clip(W, -1, 1)
    run.claim("the surrogate has the value alpha sign(W)", error(surrogate(W, frozen), alpha[:, None] * B), below=1e-15)
    numerical = slope(lambda moving: surrogate(moving, frozen), W, g)
    run.claim(
        "scale + straight, against differences of the surrogate", error(weight_gradient(g, W), numerical), below=1e-9
    )
    true = slope(lambda moving: binarize(moving)[0][:, None] * binarize(moving)[1], W, g)
    run.claim("scale alone, against differences of alpha sign(W) itself", error(scale, true), below=1e-9)
    run.claim(
        "straight, as a share of the gradient", np.linalg.norm(straight) / np.linalg.norm(scale + straight), above=0.3
    )

    weight = mg.tensor(W.reshape(4, 1, 3, 3), requires_grad=True)
    F.binary_conv2d(mg.ones(1, 1, 3, 3, dtype=W.dtype), weight).backward(mg.tensor(g[:, :1].reshape(1, 4, 1, 1)))
    constant = np.repeat(g[:, :1], 9, axis=1)  # one output pixel, inputs of +1: each weight receives the same
    run.claim(
        "minigrad's binary_conv2d: its gradient, against ours",
        error(weight.grad.numpy().reshape(4, 9), weight_gradient(constant, W)),
        below=1e-12,
    )


# %% [markdown]
# ## Erratum: the slope of the line, not the line
#
# The post prints $\partial \operatorname{sign} / \partial r = r \, 1_{|r| \le 1}$, with a factor $r$ in front. Inside
# $[-1, 1]$ that is the surrogate itself, and not its slope. (The [code of the paper's
# authors](https://github.com/allenai/XNOR-Net) multiplies by 1 inside and by 0 outside.)
#
# What does the factor do? For $r < 0$ it flips the sign of the gradient, so that a negative weight that should grow
# shrinks. One weight is enough to see it. Start at $r = -0.3$ and descend, with steps of 0.1, on $L = \frac{1}{2}
# (\operatorname{sign}(r) - 1)^2$, whose only wish is a positive sign. The gradient is $(\operatorname{sign}(r) - 1)$
# times the stand-in for the slope. With the straight-through rule, $r$ needs two steps. With the printed rule it runs
# the wrong way, faster and faster, until it is below $-1$, where it stays for ever.


# %%
def straight_through(r):
    """The slope that stands in for that of a sign."""
    return (np.abs(r) <= 1) * 1.0


def printed_slope(r):
    """The same as printed: r times the indicator."""
    return r * (np.abs(r) <= 1)


def descend(stand_in: Callable[[float], float], r: float = -0.3, lr: float = 0.1, steps: int = 15) -> np.ndarray:
    """Return the path of r in descending (sign(r) - 1)^2 / 2, shape (steps + 1,)."""
    path = [r]
    for _ in range(steps):
        path.append(path[-1] - lr * (np.where(path[-1] < 0, -1.0, 1.0) - 1) * stand_in(path[-1]))
    return np.array(path)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Return the cosine of the angle between two arrays."""
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


@lesson.erratum(
    "M",
    "the derivative of the sign has a factor r",
    printed="dsign/dr = r * 1{|r| <= 1}",
    right="dsign/dr = 1{|r| <= 1} (straight through: the slope of clip(r, -1, 1))",
)
def a_factor_r(run: Run) -> None:
    from lessons.vision._xnor_figures import descent, stand_ins

    r = np.linspace(-2, 2, 401)
    r = r[np.abs(np.abs(r) - 1) > 1e-6]
    by_differences = slope(lambda moving: np.clip(moving, -1, 1), r, np.ones_like(r))
    run.claim(
        "1{|r| <= 1}: largest distance from the slope of clip(r, -1, 1)",
        np.abs(straight_through(r) - by_differences).max(),
        below=1e-9,
    )
    run.refuted(
        "r 1{|r| <= 1}: largest distance from that slope", np.abs(printed_slope(r) - by_differences).max(), above=1
    )
    right, wrong = descend(straight_through), descend(printed_slope)
    run.claim(
        "descent from r = -0.3 to a positive sign, straight through: ends at", right[-1], equals=0.1, within=1e-12
    )
    run.claim("descent with the printed rule: ends at -0.3 * 1.2**7", wrong[-1], equals=-0.3 * 1.2**7, within=1e-12)
    run.refuted("descent with the printed rule: distance of its sign from the target", 1 - np.sign(wrong[-1]), above=1)

    g, W = (array[None] for array in np.random.default_rng(2016).normal(size=(2, 64)))
    alpha, _ = binarize(W)
    exact = weight_gradient(g, W)
    as_printed = g * (1 / 64 + alpha[:, None] * printed_slope(W))
    half_right = g * (1 / 64 + alpha[:, None] * straight_through(W))
    run.results["cosines"] = cosine(as_printed, exact), cosine(half_right, exact)
    run.claim("n = 64: cosine of the printed weight gradient with the right one", cosine(as_printed, exact), below=0.5)
    run.claim("the same with 1{|r| <= 1} in the printed formula", cosine(half_right, exact), above=0.9)
    run.figure(
        "xnor-descent",
        descent(right, wrong),
        alt="The weight r over the steps. Straight through, it crosses zero in the second step and stays at 0.1. With "
        "the printed rule it moves away from zero, passes -1 and freezes.",
        data={"straight through": right, "printed": wrong},
    )
    run.figure(
        "xnor-straight-through",
        stand_ins(),
        alt="Left: the sign, a step, and the clipped line that replaces it on the way back. Right: three slopes: the "
        "true one, zero with a spike; the straight-through one, a box of height 1; the printed one, a line through 0.",
        data={"r": r, "straight through": straight_through(r), "printed": printed_slope(r)},
    )


# %% [markdown]
# ## Erratum: one weight of the sum
#
# The post's weight gradient is $g_i \left( \frac{1}{n} + \alpha \, \partial \operatorname{sign} / \partial W_i
# \right)$. Its second part is our straight term. The first part, $g_i / n$, is what the scale term becomes if only $j
# = i$ is kept of the sum: $\operatorname{sign}(W_i)^2 g_i / n$. The other $n - 1$ weights, which share the same
# $\alpha$, are forgotten. (The same $1/n$ is in the code of the paper's authors.)
#
# How much is that? For random $g$ the sum of $n$ terms is about $\sqrt{n}$ times as large as one of them. So the
# printed part is too small by $\sqrt{n}$ and also points elsewhere.


# %%
@lesson.erratum(
    "M",
    "the scale term keeps only one summand",
    printed="dL/dW_i = g_i (1/n + alpha dsign/dW_i)",
    right="dL/dW_i = sign(W_i)/n sum_j g_j sign(W_j) + alpha g_i dsign/dW_i",
)
def one_weight_of_the_sum(run: Run) -> None:
    g, W = (array[None] for array in np.random.default_rng(2016).normal(size=(2, 64)))
    W = W + 0.01 * np.sign(W)  # no weight so close to 0 that a difference would cross it
    scale, _ = two_terms(g, W)
    true = slope(lambda moving: binarize(moving)[0][:, None] * binarize(moving)[1], W, g)
    off = float(np.linalg.norm(g / 64 - true) / np.linalg.norm(true))
    run.results["one summand"] = off
    run.refuted("n = 64: |printed part - true| / |true|, true by differences of alpha sign(W)", off, above=0.9)
    run.claim("the whole sum: |ours - true| / |true|", np.linalg.norm(scale - true) / np.linalg.norm(true), below=1e-9)
    rows = []
    for n in (16, 64, 256, 2304):
        g, W = run.rng.normal(size=(2, 100_000 // n, n))
        printed, right = np.sqrt((g**2).mean()) / n, np.sqrt((two_terms(g, W)[0] ** 2).mean())
        rows.append((n, f"{right / printed:.1f}", f"{np.sqrt(n):.1f}"))
        if n == 256:
            run.claim(
                "n = 256: size of the true scale term over that of the printed part, against sqrt(n)",
                right / printed / 16,
                within=(0.9, 1.1),
            )
    run.table("How many times too small the printed part is (root mean square)", ("n", "measured", "sqrt(n)"), rows)


# %% [markdown]
# ## Step 3: both sides binary
#
# In an XNOR network the input $X$ of a dot product loses its magnitudes, too. The best approximation of the $n$
# *products* is, by the same argument as in step 1 with $X \odot W$ in the place of $W$,
#
# $$
# X \odot W \approx \gamma \, H \odot B, \qquad
# H \odot B = \operatorname{sign}(X) \odot \operatorname{sign}(W), \qquad
# \gamma^* = \frac{1}{n} \sum_i |X_i| |W_i|
# $$
#
# One would like to compute the factors apart, $\beta = \frac{1}{n} \sum |X_i|$ once for an input and $\alpha$ once
# for a filter. A mean of products is the product of the means only when the magnitudes are uncorrelated.
#
# **Erratum.** The post states $\alpha^* \beta^* = \big( \frac{1}{n} \lVert X \rVert_1 \big) \big( \frac{1}{n} \lVert
# W \rVert_1 \big)$ as the solution of the minimisation; it is that under an assumption that is not mentioned. For
# Gaussians with correlation $\rho$ both are known,
#
# $$
# \operatorname{E} |XW| = \frac{2}{\pi} \left( \sqrt{1 - \rho^2} + \rho \arcsin \rho \right),
# \qquad \operatorname{E}|X| \operatorname{E}|W| = \frac{2}{\pi}
# $$
#
# and a filter that has *found* its pattern is correlated with its input; that is its job.


# %%
def gaussian_product(rho: float) -> float:
    """Return E|XW| for standard Gaussians with correlation rho."""
    return float(2 / np.pi * (np.sqrt(1 - rho**2) + rho * np.arcsin(rho)))


def correlated(rng: np.random.Generator, rho: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw n pairs of standard Gaussians with correlation rho."""
    X, other = rng.normal(size=(2, n))
    return X, rho * X + np.sqrt(1 - rho**2) * other


@lesson.erratum(
    "M",
    "the scale of a binary dot product is no product of two means",
    printed="alpha* beta* = (|X|_1 / n) (|W|_1 / n)",
    right="gamma* = sum_i |X_i W_i| / n; the product of the means only if |X| and |W| are uncorrelated",
)
def no_product_of_means(run: Run) -> None:
    X, W = run.rng.normal(size=(2, 8))
    candidates = all_signs(8)
    scales = candidates @ (X * W) / 8
    best = np.where(scales > 0, residual(X * W, scales[:, None], candidates), np.inf).argmin()
    run.claim(
        "brute force over 2**8 sign vectors: differ from sign(X) sign(W)",
        (candidates[best] != np.sign(X) * np.sign(W)).sum(),
        equals=0,
    )
    run.claim("its scale, against mean |X W|", error(scales[best], np.abs(X * W).mean()), below=1e-12)
    n = 400_000
    rows = []
    for rho in (0.0, 0.5, 0.9):
        X, W = correlated(np.random.default_rng(2016), rho, n)
        best_scale, printed = np.abs(X * W).mean(), np.abs(X).mean() * np.abs(W).mean()
        excess = n * (printed - best_scale) ** 2 / (((X * W) ** 2).sum() - n * best_scale**2)
        rows.append(
            (rho, f"{best_scale:.3f}", f"{gaussian_product(rho):.3f}", f"{printed / best_scale:.3f}", f"{excess:.1%}")
        )
        run.claim(
            f"correlation {rho}: mean |X W|, against the formula",
            best_scale / gaussian_product(rho),
            within=(0.99, 1.01),
        )
        run.results[f"product rule at {rho}"] = (printed / best_scale, excess)
    run.claim(
        "correlation 0: printed scale over the best one", run.results["product rule at 0.0"][0], within=(0.99, 1.01)
    )
    run.refuted(
        "correlation 0.5: how far the printed scale is below the best one",
        1 - run.results["product rule at 0.5"][0],
        above=0.1,
    )
    run.refuted(
        "correlation 0.9: how far the printed scale is below the best one",
        1 - run.results["product rule at 0.9"][0],
        above=0.3,
    )
    run.table(
        "The scale of X * W for Gaussians",
        ("correlation", "mean |X W|", "formula", "printed / best", "excess error"),
        rows,
    )


# %% [markdown]
# The excess error stays small, because the parabola is flat near its lowest point. That is why the product is a good
# choice all the same: it is cheap, and what it costs is a few percent. It is just not the optimum. (In the network
# that we train at the end it is within a few percent of the best scale.)
#
# ## Step 4: all windows of an image at once, the map $K$
#
# A convolution takes a dot product with every window of $I \in \mathbb{R}^{c \times w_{\text{in}} \times
# h_{\text{in}}}$, and each window has its own $\beta$, the mean of its $c\,w\,h$ magnitudes. Windows overlap, so
# computing each mean from scratch would do the same additions again and again, as much work as one more filter of
# floats. But a mean over channels and window is a mean over the channels first:
#
# $$
# A_{jk} = \frac{1}{c} \sum_i |I_{ijk}|, \qquad K = A * k, \quad k_{ab} = \frac{1}{wh}
# $$
#
# $K$ holds the mean magnitude of every window, exactly, and all filters share it.
#
# **Exercise: `k_map`.**


# %%
@lesson.exercise(
    hint="Which axis of the image counts the channels? After the mean over it, two axes are left to slide over."
)
def k_map(image, w, h):
    """Return the mean magnitude over the channels, and over the channels and each window.

    Args:
        image: an image with c channels, shape (c, w_in, h_in).
        w: size of the window along the second axis of the image.
        h: size of the window along the third axis of the image.

    Returns:
        The tuple (A, K), of shapes (w_in, h_in) and (w_in - w + 1, h_in - h + 1): A is the mean of |image| over
        the channels, K[j, k] the mean of A over the w x h window that begins at (j, k).
    """
    A = np.abs(image).mean(axis=0)
    windows = np.lib.stride_tricks.sliding_window_view(A, (w, h))
    return A, windows.mean(axis=(2, 3))


def binary_convolution(image: np.ndarray, W: np.ndarray) -> np.ndarray:
    """Return (sign(image) convolved with sign(W)) times K times alpha, one window after the other.

    The image has shape (c, w_in, h_in), W (filters, c, w, h); the result (filters, w_in - w + 1, h_in - h + 1).
    """
    filters, _, w, h = W.shape
    alpha, B = binarize(W.reshape(filters, -1))
    K = k_map(image, w, h)[1]
    y = np.empty((filters, *K.shape))
    for j, k in np.ndindex(K.shape):
        H = np.where(image[:, j : j + w, k : k + h] < 0, -1.0, 1.0).ravel()
        y[:, j, k] = B @ H * K[j, k] * alpha
    return y


@lesson.step("The map K", terms=("A", "K"))
def the_map_k(run: Run) -> None:
    image, W = run.rng.normal(size=(5, 7, 6)), run.rng.normal(size=(3, 5, 3, 2))
    K = k_map(image, 3, 2)[1]
    windows = np.lib.stride_tricks.sliding_window_view(image, (5, 3, 2))[0]
    run.claim(
        "K, against the mean magnitude of each window", error(K, np.abs(windows).mean(axis=(2, 3, 4))), below=1e-14
    )
    ours = binary_convolution(image, W)
    theirs = F.binary_conv2d(mg.tensor(image[None]), mg.tensor(W), scale_input=True).numpy()[0]
    run.claim("our binary convolution, against minigrad's", error(ours, theirs), below=1e-12)
    real = np.einsum("jkcab,fcab->fjk", windows, W)
    run.note(
        f"The real convolution and its binary stand-in have a cosine of {cosine(ours, real):.2f} here; for Gaussian "
        "input and weights it tends to 2/pi = 0.64, once sqrt(2/pi) for each side."
    )


# %% [markdown]
# That number is worth a claim: for a long dot product of Gaussians, how much does $\operatorname{sign}(X) \cdot
# \operatorname{sign}(W)$ know of $X \cdot W$? Each side keeps $\sqrt{2/\pi}$ of its direction, so the correlation is
# $2/\pi$. With binary weights and a real input it is $\sqrt{2/\pi} = 0.80$.


# %%
@lesson.step("What a binary dot product knows")
def what_a_binary_dot_product_knows(run: Run) -> None:
    X, W = run.rng.normal(size=(2, 20_000, 100))
    exact = (X * W).sum(axis=1)
    both = np.corrcoef(exact, (np.sign(X) * np.sign(W)).sum(axis=1))[0, 1]
    weights = np.corrcoef(exact, (X * np.sign(W)).sum(axis=1))[0, 1]
    run.claim("correlation of sign(X) . sign(W) with X . W, against 2/pi", both, equals=2 / np.pi, within=0.03)
    run.claim(
        "correlation of X . sign(W) with X . W, against sqrt(2/pi)", weights, equals=np.sqrt(2 / np.pi), within=0.02
    )


# %% [markdown]
# ## Step 5: sixty-four multiplications in one instruction
#
# A product of two signs is $-1$ if they differ and $+1$ if they agree. So a dot product of $n$ signs is (agreements)
# minus (disagreements), or
#
# $$
# \langle H, B \rangle
# = \underbrace{n}_{\text{all}} - \underbrace{2 \operatorname{popcount}(h \oplus b)}_{\text{differing}}
# $$
#
# with the signs stored as bits, 1 for $-1$. The exclusive or $\oplus$ marks the places that differ, `popcount` counts
# them, and a processor does both to 64 bits at a time. (XNOR marks the places that agree, $\langle H, B \rangle = 2
# \operatorname{popcount}(\overline{h \oplus b}) - n$, and gave the networks their name.)
#
# One trap: $n$ is rarely a multiple of 64, and the last word has bits left over. `pack` leaves them 0 on both sides.
# The exclusive or of 0 and 0 is 0, so they are never counted. XNOR turns them into agreements, and every result is
# too large by twice their number.


# %%
def pack(signs: np.ndarray) -> np.ndarray:
    """Pack signs (M, n) into words uint64 (M, ceil(n / 64)): bit i % 64 of word i // 64 is set where sign i is -1."""
    rows, n = signs.shape
    bits = np.zeros((rows, -(-n // 64) * 64), bool)
    bits[:, :n] = signs < 0
    return np.packbits(bits, axis=1, bitorder="little").view("<u8").astype(np.uint64)


# %% [markdown]
# **Exercise: `packed_dot`.** All dot products between two sets of packed vectors: a matrix product made of bits.


# %%
@lesson.exercise(
    hint="The exclusive or of the words has a 1 where the signs differ. How many of the n products are -1 then?"
)
def packed_dot(h, b, n):
    """Return the dot products of vectors of n signs from their packed bits.

    A bit is 1 where the sign is -1. The bits beyond the n-th, in the last word, are 0 in h and in b.
    np.bitwise_count(words) counts the ones in each word, as uint8; mind that unsigned numbers cannot go below zero.

    Args:
        h: M packed vectors, uint64 of shape (M, words) with words = ceil(n / 64).
        b: K packed vectors, uint64 of shape (K, words).
        n: the number of signs in each vector.

    Returns:
        The dot products, int64 of shape (M, K).
    """
    differing = np.bitwise_count(h[:, None, :] ^ b[None, :, :])
    return n - 2 * differing.sum(axis=2, dtype=np.int64)


@lesson.step("Sixty-four multiplications in one instruction")
def popcount_dot_products(run: Run) -> None:
    import kernels

    wrong = 0
    for n in range(1, 200):
        H, B = run.rng.choice([-1, 1], (3, n)), run.rng.choice([-1, 1], (4, n))
        wrong += int((packed_dot(pack(H), pack(B), n) != H @ B.T).sum())
    run.claim("n - 2 popcount(h xor b), against H . B, n = 1 to 199: results that differ", wrong, equals=0)
    H, B = run.rng.choice([-1, 1], (3, 70)), run.rng.choice([-1, 1], (4, 70))
    agreeing = np.bitwise_count(~(pack(H)[:, None] ^ pack(B))).sum(axis=2, dtype=np.int64)
    run.claim(
        "n = 70: 2 popcount(xnor) - n is too large by twice the 58 bits left over",
        (2 * agreeing - 70 - H @ B.T).mean(),
        equals=2 * 58,
    )
    X = run.rng.normal(size=(5, 100))
    run.claim(
        "our packed words, against kernels.pack_signs: words that differ",
        (pack(X) != kernels.pack_signs(X)).sum(),
        equals=0,
    )


# %% [markdown]
# ## The headline on memory: 32 times
#
# A float has 32 bits and a sign has one. But each filter also needs its $\alpha$, one float:
#
# $$
# \frac{32 n}{n + 32} = 31.56 \quad \text{for } n = 3 \cdot 3 \cdot 256
# $$
#
# We count the bytes of real packed weights, those that the kernel reads. The words hold 64 *channels* each, so a
# layer with few channels wastes most of every word: the first layer of a network, with 3 channels, saves next to
# nothing. (Nor would it matter: it has few weights.)


# %%
def memory_ratio(packed: kernels.PackedWeights) -> float:
    """Return the bytes of the weights in float32 over those of the packed words and scales."""
    return float(4 * np.prod(packed.shape) / (packed.words.nbytes + packed.alpha.nbytes))


@lesson.step("The headline on memory")
def the_headline_on_memory(run: Run) -> None:
    import kernels

    rows = []
    for channels in (256, 64, 100, 3):
        W = run.rng.normal(size=(8, channels, 3, 3)).astype(np.float32)
        packed = kernels.pack_weights(W)
        n = 9 * channels
        run.results[f"memory at {channels} channels"] = memory_ratio(packed)
        rows.append(
            (
                f"3 x 3 x {channels}",
                W.nbytes,
                packed.words.nbytes,
                packed.alpha.nbytes,
                f"{memory_ratio(packed):.2f}",
                f"{32 * n / (n + 32):.2f}",
            )
        )
        if channels == 256:
            run.claim(
                "signs from the packed words, against those of W: differ",
                (packed.signs() != np.where(W < 0, -1, 1)).sum(),
                equals=0,
            )
    run.table("Bytes of 8 filters", ("filter", "float32", "bits", "scales", "times smaller", "32 n / (n + 32)"), rows)
    run.claim(
        "3 x 3 x 256: times smaller",
        run.results["memory at 256 channels"],
        equals=32 * 2304 / (2304 + 32),
        within=1e-12,
    )
    run.claim(
        "3 x 3 x 3: times smaller, with 61 of 64 bits unused",
        run.results["memory at 3 channels"],
        equals=108 / 76,
        within=1e-12,
    )


# %% [markdown]
# ## The headline on speed: 58 times, but than what?
#
# The paper's cost model counts operations. A convolution takes $c N_W$ multiplications for each output, with $N_W =
# wh$. A binary one does 64 of them at once, and one more real multiplication for the scale:
#
# $$
# S = \frac{c N_W}{\frac{1}{64} c N_W + 1} = \frac{64 \, c N_W}{c N_W + 64}
# $$
#
# That gives 62.27 for $c = 256$ and $N_W = 9$, 18.99 for $c = 3$, and never more than 64. The 58 of the abstract lies
# just below this curve. A [later version of the
# abstract](https://cacm.acm.org/magazines/2020/12/248803-enabling-ai-at-the-edge-with-xnor-networks/fulltext) adds
# that it is meant "in terms of number of the high precision operations".
#
# The 64 is the width of a word *relative to a float that is multiplied alone*. Today's processors multiply 8 or 16
# floats at once and add in the same instruction, and they also count the bits of 8 words at once. A perfect float
# kernel on an Intel core with AVX-512 does 32 multiply-adds a cycle; the exclusive ors, counts and additions of 512
# products take 1.5 cycles. That is $512 / 1.5 / 32$, a factor of 11, not 64. On the other side, a plain loop in a
# compiled language does not even reach one multiply-add a cycle, because each addition waits for the one before it.
#
# So the speed-up is whatever the baseline makes of it. We measure three, on one thread, taking turns: the plain loop,
# compiled but not arranged; our best float32 convolution (Winograd's method or not, whichever is faster); and
# PyTorch's where it is installed. The images are four of $14 \times 14$, the paper's size; the input is packed anew
# in each call, the weights are packed once, as in a trained network. The plain loop computes 8 of the filters, and we
# multiply its time. (`_xnor_speed.py` has the code.)


# %%
def model_speed_up(channels: Any, taps: Any) -> Any:
    """Return the paper's S for c channels and N_W taps."""
    return 64 * channels * taps / (channels * taps + 64)


def times(ratio: float) -> str:
    """Write a speed-up with as many digits as it deserves."""
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"


RIVALS = {"naive": "a plain loop, float32", "ours": "our best float32 kernel", "torch": "PyTorch, float32"}


@lesson.experiment("The headline on speed")
@one_thread()
def the_headline_on_speed(run: Run) -> None:
    from lessons.vision._xnor_figures import speed_up
    from lessons.vision._xnor_speed import IMAGES, SIDE, race

    for channels, want in ((256, 62.27), (3, 18.99)):
        run.claim(f"the model: S at c = {channels}, N_W = 9", model_speed_up(channels, 9), equals=want, within=0.005)
    run.claim("the model: S for c without end, against 64", model_speed_up(1e12, 9), equals=64, within=1e-6)

    filters = run.pick(quick=64, default=256, full=256)
    by_channels = run.pick(
        quick=(32, 64), default=(3, 16, 64, 128, 256, 512), full=(3, 16, 32, 64, 128, 256, 512, 1024)
    )
    by_side = run.pick(quick=(3,), default=(1, 3, 5, 7), full=(1, 3, 5, 7, 9, 11))
    most = run.pick(quick=64, default=256, full=256)
    shapes = list(dict.fromkeys([(c, 3) for c in by_channels] + [(most, side) for side in by_side]))
    # The float32 kernels take seconds to compile on a machine that has never run them: not in the quick size.
    skip = ("ours", "ours, plain") if run.size == "quick" else ()
    races = {
        (c, side): race(run.rng, c, filters, side, run.pick(quick=5, default=15, full=31), skip)
        for c, side in run.progress(shapes, "timing convolutions")
    }
    run.claim("all of them agree: largest difference", max(one.disagreement for one in races.values()), below=1e-4)
    rivals = [name for name in RIVALS if name in races[shapes[0]].speed_ups]
    run.results["races"] = races
    run.table(
        f"Times as fast as others ({filters} filters, {IMAGES} images of {SIDE} x {SIDE}; medians)",
        ("channels", "window", "the model", *(RIVALS[name] for name in rivals), "G words/s"),
        [
            (
                c,
                f"{s} x {s}",
                f"{model_speed_up(c, s * s):.1f}",
                *(times(one.speed_ups[name]) for name in rivals),
                f"{one.words / 1e9:.2f}",
            )
            for (c, s), one in races.items()
        ],
    )
    main = races[most, 3].speed_ups
    run.claim(f"c = {most}, 3 x 3: times as fast as the plain loop", main["naive"], above=5)
    if run.size != "quick":
        run.claim(f"c = {most}, 3 x 3: times as fast as our best float32 kernel", main["ours"], within=(1.5, 64))
        run.claim(
            "c = 3: times as fast as our best float32 kernel, as a share of that",
            races[3, 3].speed_ups["ours"] / main["ours"],
            below=0.5,
        )
    said = ", ".join(f"{times(main[name])} times as fast as {RIVALS[name]}" for name in rivals)
    run.note(
        f"The paper says 58. Here, at {most} channels and 3 x 3, the binary convolution is {said}. All of these are "
        "true; 58 belongs to one more baseline. `minigrad bench xnor` compares with the peak of this machine, too."
    )
    over_channels, over_sides = (
        {name: np.array([(races[at].speed_ups[name], *races[at].quartiles[name]) for at in places]) for name in rivals}
        for places in ([(c, 3) for c in by_channels], [(most, side) for side in by_side])
    )
    run.figure(
        "xnor-speedup",
        speed_up(by_channels, over_channels, by_side, over_sides, most, RIVALS, model_speed_up),
        alt="Speed-up of the binary convolution over channels and over window sizes, relative to a plain loop, to our "
        "best float32 kernel and to PyTorch, with quartiles, beside the paper's cost model and its 58 times.",
        data={"channels": by_channels, "sides": by_side}
        | {f"{name} over channels": values for name, values in over_channels.items()}
        | {f"{name} over sides": values for name, values in over_sides.items()},
    )


# %% [markdown]
# ## The experiment: a network of bits and its float twin
#
# The paper's block is normalise, take signs, convolve, pool. Our network for $14 \times 14$ digits has a real first
# convolution and a real last layer, as in the paper, and between them two such blocks. Its float twin has a ReLU
# where the other takes signs. In between stands the *binary-weight network*: ReLUs, real activations, binary weights.
# Our networks do without the map $K$: a binary input counts as its bare signs, and $\alpha$ is the only scale.
#
# The layers with bits keep real weights for the optimiser. Each step changes a weight by a hundredth or so, far too
# little for a bit; the real copy collects the changes until a sign flips.
#
# What stands in for the derivatives is an argument, a `Rule`, so that we can train the same network as printed: with
# the factor $r$, with one summand of the scale term, and with both. (The quick size of this lesson trains fully
# connected layers instead of convolutions: a fully connected layer is a convolution with one window, and needs no
# compiling.)


# %%
class Rule(NamedTuple):
    """What stands in for derivatives: that of a sign at r, and the scale term from (g, W), on Tensors."""

    dsign: Callable[[Any], Any]
    scale: Callable[[Any, Any], Any]


def _inside(r: Any) -> Any:
    return (r.abs() <= 1).to(r.dtype)


def _signs(r: Any) -> Any:
    return 1 - 2 * (r < 0).to(r.dtype)


def _over(W: Any) -> tuple[int, ...]:
    return tuple(range(1, W.ndim))


def _whole_sum(g: Any, W: Any) -> Any:
    return _signs(W) * (g * _signs(W)).mean(_over(W), keepdim=True)


def _one_summand(g: Any, W: Any) -> Any:
    return g / (W.numel() / len(W))


RULES = {
    "right": Rule(_inside, _whole_sum),
    "factor r": Rule(lambda r: r * _inside(r), _whole_sum),
    "one summand": Rule(_inside, _one_summand),
    "both as printed": Rule(lambda r: r * _inside(r), _one_summand),
}


@mg.op
def take_signs(r, *, rule):
    return np.where(r < 0, -1, 1).astype(r.dtype)


take_signs.defvjp(lambda g, out, r, rule: g * rule.dsign(r))


@mg.op
def binary_weights(W, *, rule):
    alpha = np.abs(W).mean(axis=tuple(range(1, W.ndim)), keepdims=True)
    return (alpha * np.where(W < 0, -1, 1)).astype(W.dtype)


def _by_weights(g: Any, out: Any, W: Any, rule: Rule) -> Any:
    alpha = W.abs().mean(_over(W), keepdim=True)
    return rule.scale(g, W) + alpha * g * rule.dsign(W)


binary_weights.defvjp(_by_weights)


class Binary(nn.Module):
    """A convolution (3 x 3, padding 1) or a linear layer without bias that computes with alpha sign(W).

    `signs` says whether it takes the signs of its input, too; `rule` is how its gradients are made.
    """

    def __init__(self, layer: nn.Module, signs: bool, rule: Rule) -> None:
        super().__init__()
        self.weight, self.signs, self.rule = layer.weight, signs, rule

    def forward(self, x):
        x = take_signs(x, rule=self.rule) if self.signs else x
        W = binary_weights(self.weight, rule=self.rule)
        return F.conv2d(x, W, padding=1) if W.ndim == 4 else F.linear(x, W)


KINDS = ("float", "binary weights", "XNOR")


def network(kind: str, width: int, dense: bool, rule: Rule = RULES["right"]) -> nn.Sequential:
    """Build the network for 14 x 14 digits: `kind` is one of KINDS; `dense` is fully connected, 196 inputs."""

    def layer(inputs: int) -> nn.Module:
        return nn.Linear(inputs, width, bias=False) if dense else nn.Conv2d(inputs, width, 3, padding=1, bias=False)

    def normalise(relu: bool) -> list[nn.Module]:
        norm = nn.BatchNorm1d(width) if dense else nn.BatchNorm2d(width)
        return [norm, nn.ReLU()] if relu else [norm]

    parts = [layer(196 if dense else 1)]
    for _ in range(2):
        parts += normalise(relu=kind != "XNOR")
        real = layer(width)
        parts.append(real if kind == "float" else Binary(real, kind == "XNOR", rule))
        if not dense:
            parts.append(nn.MaxPool2d(2))
    parts += normalise(relu=True)
    return nn.Sequential(*parts, *([] if dense else [nn.Flatten()]), nn.Linear(width if dense else 9 * width, 10))


def small_digits(digits: Digits, dense: bool) -> Digits:
    """Average 2 x 2 pixels of digits (N, 784): float32 (N, 196) if `dense`, else (N, 1, 14, 14)."""

    def shrink(images: np.ndarray) -> np.ndarray:
        small = halved(images, np.float32)
        return small.reshape(-1, 196) if dense else small[:, None]

    return Digits(shrink(digits.images), digits.labels, shrink(digits.test_images), digits.test_labels)


class Trained(NamedTuple):
    """A trained network, its test accuracy, and its loss in each step."""

    model: nn.Sequential
    accuracy: float
    losses: np.ndarray


def train(digits: Digits, kind: str, rule: Rule, width: int, epochs: int, seed: int, batch_size: int = 100) -> Trained:
    """Train with Adam and a learning rate that falls linearly to zero, and test."""
    mg.manual_seed(seed)
    model = network(kind, width, digits.images.ndim == 2, rule)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    steps = epochs * (len(digits.images) // batch_size)
    schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)

    def loss_of(rows: np.ndarray) -> mg.Tensor:
        return F.cross_entropy(model(mg.tensor(digits.images[rows])), mg.tensor(digits.labels[rows]))

    rng = np.random.default_rng(seed)
    losses = fit(
        loss_of,
        optimizer,
        len(digits.images),
        rng=rng,
        batch_size=batch_size,
        epochs=range(epochs),
        after_step=schedule.step,
    )
    answers = outputs(model, digits.test_images, batch_size=batch_size).argmax(axis=1)
    return Trained(model, float((answers == digits.test_labels).mean()), losses)


# %% [markdown]
# A trained network should then run on bits for real. `on_bits` replaces each layer by one that has thrown its real
# weights away and calls the XNOR kernel with packed words. Its sums of signs are exact integers, where floats round:
# an input of the next layer that should be exactly 0 may get another sign. Batch norm makes that rare.


# %%
class OnBits(nn.Module):
    """A trained `Binary` layer that takes signs, with packed weights and the XNOR kernel."""

    def __init__(self, layer: Binary) -> None:
        import kernels

        super().__init__()
        W = layer.weight.detach().numpy()
        self.dense = W.ndim == 2
        self.packed = kernels.pack_weights(W[:, :, None, None] if self.dense else W)

    def forward(self, x):
        import kernels

        if self.dense:
            return mg.tensor(kernels.xnor_conv2d(x.numpy()[:, :, None, None], self.packed)[:, :, 0, 0])
        return mg.tensor(kernels.xnor_conv2d(x.numpy(), self.packed, padding=1))


def on_bits(model: nn.Sequential) -> nn.Sequential:
    """Return a network that shares the real layers of `model` and computes the binary ones with bits."""
    return nn.Sequential(*(OnBits(part) if isinstance(part, Binary) else part for part in model))


def product_rule_ratio(model: nn.Sequential, images: np.ndarray) -> float:
    """Return the printed scale alpha beta over the best one, mean |X W|, for the last binary layer and many windows."""
    place = max(k for k, part in enumerate(model) if isinstance(part, Binary))
    x = np.abs(outputs(nn.Sequential(*list(model)[:place]), images))
    W = np.abs(model[place].weight.detach().numpy())
    if W.ndim == 4:  # the windows of the images become rows
        x = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5)
    x, W = x.reshape(-1, W[0].size), W.reshape(len(W), -1)
    best = x @ W.T / W.shape[1]
    return float((x.mean(axis=1)[:, None] * W.mean(axis=1) / best).mean())


def scale_share(model: nn.Sequential, images: np.ndarray, labels: np.ndarray) -> float:
    """Return |scale term| / |straight term| of the weights' gradient, the largest of all binary layers."""
    layers = [part for part in model if isinstance(part, Binary)]

    def gradients(rule: Rule) -> list[np.ndarray]:
        for layer in layers:
            layer.rule = rule
        loss = F.cross_entropy(model(mg.tensor(images)), mg.tensor(labels))
        return [g.numpy() for g in mg.autograd.grad(loss, [layer.weight for layer in layers])]

    straight = gradients(Rule(_inside, lambda g, W: 0 * g))
    both = gradients(RULES["right"])
    return max(float(np.linalg.norm(b - s) / np.linalg.norm(s)) for b, s in zip(both, straight, strict=True))


def smooth(losses: np.ndarray, window: int) -> np.ndarray:
    """Return the running mean over `window` steps."""
    return np.lib.stride_tricks.sliding_window_view(losses, window).mean(axis=-1)


@lesson.experiment("A network of bits and its float twin")
@one_thread()
def bits_and_floats(run: Run) -> None:
    from lessons.vision._xnor_figures import training

    dense = run.size == "quick"
    digits = small_digits(load_digits(full=run.size == "full"), dense)
    width, epochs = run.pick(quick=64, default=16, full=32), run.pick(quick=1, default=4, full=5)
    seeds = [run.seed + k for k in range(run.pick(quick=3, default=5, full=5))]
    jobs = [(kind, "right") for kind in KINDS] + [("XNOR", rule) for rule in RULES if rule != "right"]
    runs: dict[tuple[str, str], list[Trained]] = {job: [] for job in jobs}
    for seed, (kind, rule) in run.progress(list(itertools.product(seeds, jobs)), "training networks"):
        runs[kind, rule].append(train(digits, kind, RULES[rule], width, epochs, seed))

    scores = {job: np.array([one.accuracy for one in found]) for job, found in runs.items()}
    run.results["scores"] = scores
    float_score = scores["float", "right"]
    run.table(
        f"Test accuracy in percent: mean of {len(seeds)} runs and 95 % interval; the difference is taken run by run",
        ("network", "gradients", "accuracy", "below the float twin"),
        [
            (kind, rule, with_margin(100 * found), "" if kind == "float" else with_margin(100 * (float_score - found)))
            for (kind, rule), found in scores.items()
        ],
    )
    right, factor, summand, both = (scores["XNOR", rule] for rule in RULES)
    gap, margin = mean_and_margin(100 * (float_score - right))
    run.results["gap"] = (gap, margin)
    run.claim("XNOR, right gradients: worst single run", right.min(), above=0.8)
    run.claim("XNOR: points below its float twin, mean", gap, within=(-1, 12))
    run.refuted(
        "factor r: accuracy lost against the right gradients, least of all runs", (right - factor).min(), above=0.1
    )
    run.refuted("both as printed: accuracy lost, least of all runs", (right - both).min(), above=0.02)
    run.claim("one summand only: difference to the right gradients, mean", abs((right - summand).mean()), below=0.03)
    run.claim("the printed pair, minus the factor r alone: means", (both - factor).mean(), above=0.05)

    model = runs["XNOR", "right"][0].model
    real, bits = (outputs(one, digits.test_images, batch_size=100) for one in (model, on_bits(model)))
    run.claim("on packed bits: largest difference in an output", error(bits, real), below=1e-4)
    run.claim("on packed bits: answers that change", (bits.argmax(axis=1) != real.argmax(axis=1)).mean(), below=0.003)
    share = scale_share(model, digits.images[:100], digits.labels[:100])
    # Not exactly 0: batch norm has an eps.
    run.claim("the scale term in this network, as a share of the straight term", share, above=1e-9, below=0.01)
    ratio = product_rule_ratio(model, digits.test_images[:100])
    run.claim("the scale alpha beta in this network, over the best one", ratio, within=(0.9, 1.1))
    run.note(
        f"The XNOR network is {gap:.1f} +- {margin:.1f} points below its float twin. A factor r in the slope of the "
        f"sign costs {100 * (right - factor).mean():.0f} points. The other slip, one summand of the scale term, "
        f"costs {with_margin(100 * (right - summand))}: the loss does not show it, only a check of the numbers does."
    )
    window = run.pick(quick=5, default=20, full=60)
    curves = {job: np.array([smooth(one.losses, window) for one in found]) for job, found in runs.items()}
    run.figure(
        "xnor-training",
        training(curves, scores, window, len(digits.test_labels)),
        alt="Left: training loss of the float network, of binary weights, and of the XNOR network with right and with "
        "printed gradients. Right: their test accuracies, one dot a run.",
        data={f"loss of {kind}, {rule}": curve for (kind, rule), curve in curves.items()}
        | {f"accuracy of {kind}, {rule}": found for (kind, rule), found in scores.items()},
    )


# %% [markdown]
# Two lines of the table deserve a second look. *One summand* makes no difference that one could see. The reason is the
# batch norm that follows: it undoes every scale, so the loss does not change with $\alpha$, its derivative $\sum_j g_j
# B_j$ is zero, and the right scale term is next to nothing in this network (that is a claim above); and the printed
# $g_i / n$ in its place only makes the straight term a little longer. And *both as printed* learns better than the
# factor $r$ alone. One slip makes up for the other: the printed $g_i / n$, which should not be there, is a positive
# multiple of $g_i$, just like a straight-through gradient, and Adam does not care how small it is. It leads the weights
# where the factor $r$ misleads them.
#
# The paper's own numbers are further apart than ours, since ImageNet is harder. Its authors' page gives 56.8 % for
# AlexNet with binary weights, which is as much as with real ones, and 43.3 % for the XNOR version. The post sums both
# up as a loss of a few percent.


# %%
lesson.smaller_slips(
    [
        (
            "N",
            "A = sum |I_{:,:,i}| / c, with I of c x w x h",
            "I_{i,:,:}: the channels come first (axes c x w would be left)",
        ),
        (
            "N",
            "the second objective is a norm without a square",
            "with the square, as in the first; the minimum is the same",
        ),
        ("N", "the last formula opens two parentheses and closes one", "(sign(I) * sign(W)) . K alpha"),
        (
            "W",
            "32 x memory saving (quoted from the paper)",
            "31.56 x with one float32 scale for each 3 x 3 x 256 filter",
        ),
        (
            "W",
            "58 x faster convolutional operations (quoted from the paper)",
            "fewer high-precision operations; the time depends on the baseline",
        ),
        (
            "W",
            "a few percent point of accuracy decrease",
            "none for AlexNet with binary weights, 13 points for the XNOR version",
        ),
    ]
)


@lesson.step("Slips that can be measured")
def measured_slips(run: Run) -> None:
    W, X = run.rng.normal(size=(2, 6))
    candidates = all_signs(6)
    norms = np.linalg.norm(X * W - candidates * np.abs(X * W).mean(), axis=1)
    run.claim(
        "the norm without a square, 2**6 sign vectors: the best differs from sign(X) sign(W) in",
        (candidates[norms.argmin()] != np.sign(X) * np.sign(W)).sum(),
        equals=0,
    )
    run.claim(
        "the printed sum, over the last index of a 3 x 5 x 4 image: its shape, where 5 x 4 is needed",
        np.abs(np.ones((3, 5, 4))).sum(axis=2).shape,
        equals=(3, 5),
    )


# %% [markdown]
# ## What would a wrong gradient do?
#
# Press `w` in the loop, and a small network with your function in it learns digits beside one with the right
# function. All its weights are binary and are trained by your gradient, so that no real layer can make up for it; and
# the last layer has no batch norm behind it, so that scales count.


# %%
def digits_losses(
    binarized: Callable[..., Any], gradient: Callable[..., Any], rng: np.random.Generator
) -> Iterator[float]:
    """Train 196-64-10 with binary weights, and yield the losses; the arguments are called as the exercises are."""

    @mg.op
    def weights(W):
        alpha, B = binarized(W)
        return alpha[:, None] * B

    weights.defvjp(lambda g, out, W: mg.tensor(gradient(g.detach().numpy(), W.detach().numpy())))
    # Spread so that some weights are beyond 1 and many are near 0.
    first, last = (mg.tensor(0.5 * rng.normal(size=size), requires_grad=True) for size in ((64, 196), (10, 64)))
    norm = nn.BatchNorm1d(64, affine=False, dtype=mg.float64)
    optimizer = optim.Adam([first, last], lr=0.01)
    digits = small_digits(load_digits(), dense=True)
    images = digits.images.astype(np.float64)
    while True:
        for rows in minibatches(rng, len(images), 40, drop_last=True):
            h = F.relu(norm(F.linear(mg.tensor(images[rows]), weights(first))))
            loss = F.cross_entropy(F.linear(h, weights(last)), mg.tensor(digits.labels[rows]))
            yield loss.item()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


ON_DIGITS = "digits of 14 x 14 pixels, 196-64-10, all weights binary, Adam, batches of 40"


@lesson.consequence("binarize", title=ON_DIGITS)
def with_your_binarize(candidate, rng):
    return digits_losses(candidate, weight_gradient, rng)


@lesson.consequence("weight_gradient", title=ON_DIGITS)
def with_your_weight_gradient(candidate, rng):
    return digits_losses(binarize, candidate, rng)


# %% [markdown]
# ## Compare with PyTorch
#
# PyTorch has no binary layer, so we write the surrogate of step 2 there, with `detach` for "frozen", and let its
# autograd differentiate. $K$ is an average pooling of mean magnitudes, and the binary convolution one of signs.


# %%
@lesson.compare("PyTorch")
def pytorch(run: Run) -> None:
    recorded = recorded_by_torch(lesson)
    W, g, image, filters = (recorded[name] for name in ("W", "g", "image", "filters"))
    ours = {
        "alpha": binarize(W)[0],
        "dW": weight_gradient(g, W),
        "K": k_map(image, 3, 2)[1],
        "y": binary_convolution(image, filters),
    }

    def live(torch: Any, name: str) -> Any:
        if name in ("alpha", "dW"):
            leaf = torch.tensor(W, requires_grad=True)
            alpha = leaf.abs().mean(dim=1, keepdim=True)
            clipped = leaf.clamp(-1, 1)
            binary = alpha * (clipped + (torch.where(leaf < 0, -1.0, 1.0) - clipped).detach())
            return alpha[:, 0] if name == "alpha" else torch.autograd.grad(binary, leaf, torch.tensor(g))[0]
        picture, kernel = torch.tensor(image)[None], torch.tensor(filters)
        K = torch.nn.functional.avg_pool2d(picture.abs().mean(1, keepdim=True), (3, 2), stride=1)
        if name == "K":
            return K[0, 0]
        signs = [torch.where(array < 0, -1.0, 1.0).double() for array in (picture, kernel)]
        y = torch.nn.functional.conv2d(*signs) * K * kernel.abs().mean(dim=(1, 2, 3))[:, None, None]
        return y[0]

    for name, value in ours.items():
        run.compare(name, value, recorded=recorded[name], live=lambda torch, name=name: live(torch, name), below=1e-12)

    weight = mg.tensor(W, requires_grad=True)
    binary_weights(weight, rule=RULES["right"]).backward(mg.tensor(g))
    run.claim("the experiment's op on minigrad's tape: gradient", error(weight.grad.numpy(), ours["dW"]), below=1e-12)
    with mg.no_grad():
        y = F.binary_conv2d(mg.tensor(image[None]), mg.tensor(filters), scale_input=True).numpy()[0]
    run.claim("minigrad's binary_conv2d with K", error(y, ours["y"]), below=1e-12)
    run.note(f"Recorded with PyTorch {recorded['torch_version']}.")


# %% [markdown]
# ## Where this breaks
#
# **A picture has no signs.** Pixels between 0 and 1 are never negative, so every sign is $+1$ and all pictures are
# the same to a binary first layer. That is one reason why the first layer stays real, here and in the paper, and why
# each binary layer normalises its input first. The other reason: with 3 channels there is neither memory nor time to
# gain.
#
# **The gradient stops at 1.** Of a normalised Gaussian input, 32 % lies beyond $\pm 1$, where nothing is passed back.
# What stands outside learns nothing from this sample. This is the price of the straight-through rule.
#
# **Thin layers.** Each unit passes one bit on. A float network of 16 units can still put much into each of them; a
# binary network makes up for it with more units.


# %%
@lesson.experiment("Where this breaks")
@one_thread()
def where_this_breaks(run: Run) -> None:
    digits = small_digits(load_digits(), dense=True)
    mg.manual_seed(run.seed)
    blind = outputs(Binary(nn.Linear(196, 32, bias=False), True, RULES["right"]), digits.test_images)
    run.claim(
        "a binary first layer: largest difference between the outputs for any two digits",
        np.ptp(blind, axis=0).max(),
        equals=0,
    )
    beyond = (np.abs(run.rng.normal(size=100_000)) > 1).mean()
    run.claim("share of a Gaussian beyond +-1, where no gradient passes", beyond, equals=0.3173, within=0.01)

    widths = run.pick(quick=(8, 64), default=(8, 16, 32, 64, 128), full=(8, 16, 32, 64, 128, 256, 512))
    epochs = run.pick(quick=1, default=3, full=10)
    seeds = [run.seed + k for k in range(run.pick(quick=3, default=5, full=5))]
    gaps: dict[int, np.ndarray] = {}
    rows = []
    for width in run.progress(widths, "training thin and wide layers"):
        real, bits = (
            np.array([train(digits, kind, RULES["right"], width, epochs, seed).accuracy for seed in seeds])
            for kind in ("float", "XNOR")
        )
        gaps[width] = real - bits
        rows.append((width, with_margin(100 * real), with_margin(100 * bits), with_margin(100 * gaps[width])))
    run.results["gaps over widths"] = gaps
    run.table(
        f"Fully connected, {epochs} epoch(s): accuracy in percent, and the gap run by run",
        ("units in a layer", "float", "XNOR", "gap"),
        rows,
    )
    thinnest, *_, widest = gaps.values()
    run.claim("the gap in the thinnest layers, minus that in the widest", thinnest.mean() - widest.mean(), above=0.01)


# %% [markdown]
# **What people do instead.** For weights and activations of one bit, later networks keep a real shortcut around every
# binary layer ([Bi-Real Net](https://arxiv.org/abs/1808.00278) by Zechun Liu, Baoyuan Wu, Wenhan Luo, Xin Yang, Wei
# Liu and Kwang-Ting Cheng, 2018), learn the scales by back-propagation instead of computing them
# ([XNOR-Net++](https://arxiv.org/abs/1909.13863) by Adrian Bulat and Georgios Tzimiropoulos, 2019), and learn where
# each sign changes ([ReActNet](https://arxiv.org/abs/2003.03488) by Zechun Liu, Zhiqiang Shen, Marios Savvides and
# Kwang-Ting Cheng, 2020). In practice, eight bits are the usual choice ([Benoit Jacob and others,
# 2017](https://arxiv.org/abs/1712.05877)): four times less memory, integer arithmetic that every processor has, and
# hardly any loss. Binary weights with wider activations, the paper's other half, came back in language models
# ([BitNet](https://arxiv.org/abs/2310.11453) by Hongyu Wang and others, 2023).
#
# ## How your answers are judged
#
# `binarize`, `k_map` and `packed_dot` are compared with values from minigrad's functions at two sizes of each
# dimension; the filters contain exact zeros, and $n$ is no multiple of 64. `weight_gradient` is compared with the
# tape's gradient of the surrogate: cut the wire at `alpha`, and what is lost is **scale**; cut it at `B`, and it is
# **straight**.

# %%
SCALE = Term(
    "scale",
    "sign(W_i)/n * sum_j(g_j sign(W_j))",
    through=("alpha",),
    question="When one |W_i| grows, by how much does alpha grow? And which of the alpha B_j move when alpha moves?",
)
STRAIGHT = Term(
    "straight",
    "alpha g_i 1{|W_i| <= 1}",
    through=("B",),
    question="Which straight line do we take a sign for, between -1 and 1, and what is its slope? What is it outside?",
)
ALPHA = Term(
    "alpha",
    "mean |W_i|",
    value=lambda values: np.abs(values["W"]).mean(axis=1),
    question="At which alpha has the parabola n alpha^2 - 2 alpha sum|W_i| its lowest point?",
)
SIGNS = Term(
    "B",
    "-1 where W_i < 0, else +1",
    value=lambda values: np.where(values["W"] < 0, -1.0, 1.0),
    question="Which of the two values does the bit of a weight get that is exactly 0?",
)
CHANNEL_MEAN = Term(
    "A",
    "1/c * sum_i |image_ijk|",
    value=lambda values: np.abs(values["image"]).mean(axis=0),
    question="Over which axis is the mean, and what happens to the signs before it?",
)
WINDOW_MEAN = Term(
    "K",
    "1/(w h) * sum over the window of A",
    value=lambda values: _means_of_windows(values["A"], values["w"], values["h"]),
    question="How many entries of A does a window hold?",
)
ALL = Term("all", "n", value=lambda values: values["n"], question="What is the product if no two signs differ?")
DIFFERING = Term(
    "differing",
    "-2 popcount(h xor b)",
    value=lambda values: values["y"] - values["n"],
    question="By how much does the sum change when one product turns from +1 to -1?",
)


def _means_of_windows(A, w, h):
    return np.lib.stride_tricks.sliding_window_view(A, (w, h)).mean(axis=(2, 3))


def filters_on_the_line(rng: np.random.Generator, K: int, n: int) -> dict[str, Any]:
    """Draw filters, with what keeps the value of each sign while it moves along the line."""
    _, W = draw_filters(rng, K, n)
    return {"W": W, "frozen": np.sign(W) - np.clip(W, -1, 1)}


@lesson.question(
    "weight_gradient",
    inputs=filters_on_the_line,
    sizes={"K": (4, 3), "n": (9, 14)},
    upstream=("g",),
    terms={"dW": (SCALE, STRAIGHT)},
)
def straight_through_on_the_tape(named, W, frozen):
    alpha = named("alpha", W.abs().mean(1, keepdim=True))
    B = named("B", W.clamp(-1, 1) + frozen)
    return named("W_tilde", alpha * B)


def filters_with_zeros(rng: np.random.Generator, K: int, n: int) -> dict[str, Any]:
    """Draw filters in which two weights are exactly 0."""
    W = rng.normal(size=(K, n)) + 0.3
    W[:, rng.permutation(n)[:2]] = 0.0
    return {"W": W}


@lesson.question(
    "binarize",
    inputs=filters_with_zeros,
    sizes={"K": (4, 3), "n": (9, 14)},
    terms={"alpha": (ALPHA,), "B": (SIGNS,)},
)
def binarize_on_the_tape(named, W):
    named("alpha", W.abs().mean(1))
    return named("B", mg.where(W < 0, -mg.ones_like(W), mg.ones_like(W)))


def image_and_window(rng: np.random.Generator, c: int, rows: int, columns: int, w: int, h: int) -> dict[str, Any]:
    """Draw an image of rows x columns pixels, whose magnitudes differ between channels and places."""
    spread = rng.uniform(0.5, 2, (c, rows, columns))
    return {"image": rng.normal(size=(c, rows, columns)) * spread + 0.4, "w": w, "h": h}


@lesson.question(
    "k_map",
    inputs=image_and_window,
    sizes={"c": (5, 3), "rows": (8, 9), "columns": (6, 7), "w": (3, 5), "h": (4, 3)},
    terms={"A": (CHANNEL_MEAN,), "K": (WINDOW_MEAN,)},
)
def k_map_on_the_tape(named, image, w, h):
    A = named("A", image.abs().mean(0))
    box = mg.ones(1, 1, w, h, dtype=A.dtype) / (w * h)
    return named("K", F.conv2d(A[None, None], box)[0, 0])


def packed_vectors(rng: np.random.Generator, M: int, K: int, n: int) -> dict[str, Any]:
    """Draw vectors of signs, with more +1 than -1, and their packed words."""
    H, S = (np.where(rng.random((rows, n)) < 0.35, -1, 1) for rows in (M, K))
    return {"H": H, "S": S, "h": pack(H), "b": pack(S)}


@lesson.question(
    "packed_dot", inputs=packed_vectors, sizes={"M": (3, 4), "K": (5, 3), "n": (70, 150)}, terms={"y": (ALL, DIFFERING)}
)
def packed_dot_on_the_tape(named, H, S, h, b):
    return named("y", mg.tensor(H) @ mg.tensor(S).T)


# %% [markdown]
# The mistakes that must not pass, each with what the check has to say about it. If yours is in the list, its name is
# your hint.

# %%
Mistake = tuple[Callable[..., Any], tuple[str, ...], "str | None"]
BOTH = ("scale", "straight")


def _with(scale=None, straight=None):
    """The sum of the two terms, with another one in the place of one or both."""
    return lambda g, W: (
        (scale(g, W) if scale else two_terms(g, W)[0]) + (straight(g, W) if straight else two_terms(g, W)[1])
    )


def _mean(values):
    return values.mean(axis=1, keepdims=True)


def _alpha(W):
    return _mean(np.abs(W))


# Wrong results, each with the wrong terms and what must be said; None: the mistake is known by its name.
WRONG_GRADIENTS: dict[str, Mistake] = {
    "returns zeros": (lambda g, W: 0 * W, BOTH, "dW is zero"),
    "keeps only j = i of the sum, as printed": (_with(scale=lambda g, W: g / W.shape[1]), ("scale",), None),
    "has a factor W in the slope of the sign, as printed": (
        _with(straight=lambda g, W: W * two_terms(g, W)[1]),
        ("straight",),
        "`straight` is W",
    ),
    "has both printed slips": (
        _with(lambda g, W: g / W.shape[1], lambda g, W: W * two_terms(g, W)[1]),
        BOTH,
        None,
    ),
    "takes alpha for a constant": (_with(scale=lambda g, W: 0), ("scale",), "`scale` is 0"),
    "takes the true derivative of the sign, which is 0": (
        _with(straight=lambda g, W: 0),
        ("straight",),
        "`straight` is 0",
    ),
    "misses 1/n": (_with(scale=lambda g, W: W.shape[1] * two_terms(g, W)[0]), ("scale",), "`scale` is n:"),
    "misses alpha": (_with(straight=lambda g, W: g * (np.abs(W) <= 1)), ("straight",), "`straight` is 1/alpha"),
    "lets the gradient pass beyond 1, too": (_with(straight=lambda g, W: _alpha(W) * g), ("straight",), None),
    "lets the gradient pass only beyond 1": (
        _with(straight=lambda g, W: _alpha(W) * g * (np.abs(W) > 1)),
        ("straight",),
        None,
    ),
    "forgets sign(W_j) inside the sum": (_with(scale=lambda g, W: np.sign(W) * _mean(g)), ("scale",), None),
    "forgets sign(W_i) before the sum": (_with(scale=lambda g, W: _mean(g * np.sign(W))), ("scale",), "is 1/B"),
    "has W for its sign in the sum": (_with(scale=lambda g, W: np.sign(W) * _mean(g * W)), ("scale",), None),
    "sums over all filters": (
        _with(scale=lambda g, W: np.sign(W) * (g * np.sign(W)).sum() / W.shape[1]),
        ("scale",),
        None,
    ),
}

WRONG_BINARIES: dict[str, Mistake] = {
    "returns zeros": (lambda W: (0 * W[:, 0], 0 * W), ("alpha", "B"), "alpha is zero"),
    "uses np.sign, which is 0 at 0": (lambda W: (np.abs(W).mean(axis=1), np.sign(W)), ("B",), None),
    "sums instead of averaging": (lambda W: (np.abs(W).sum(axis=1), binarize(W)[1]), ("alpha",), "`alpha` is n:"),
    "forgets the magnitude: the mean of W": (lambda W: (W.mean(axis=1), binarize(W)[1]), ("alpha",), None),
    "divides by n - 1": (
        lambda W: (np.abs(W).sum(axis=1) / (W.shape[1] - 1), binarize(W)[1]),
        ("alpha",),
        "`alpha` is n/(n-1)",
    ),
    "takes the root mean square": (lambda W: (np.sqrt((W**2).mean(axis=1)), binarize(W)[1]), ("alpha",), None),
    "takes the largest weight": (lambda W: (np.abs(W).max(axis=1), binarize(W)[1]), ("alpha",), None),
    "one scale for the whole layer": (
        lambda W: (np.full(len(W), np.abs(W).mean()), binarize(W)[1]),
        ("alpha",),
        None,
    ),
    "flips the signs": (lambda W: (binarize(W)[0], -binarize(W)[1]), ("B",), "`B` is -1"),
}


def _with_A(A):
    return lambda image, w, h: (A(image), _means_of_windows(A(image), w, h))


def _with_K(K):
    return lambda image, w, h: (k_map(image, w, h)[0], K(*k_map(image, w, h), w, h))


WRONG_MAPS: dict[str, Mistake] = {
    "sums over the last axis, as the index is printed": (
        _with_A(lambda image: np.abs(image).sum(axis=2) / len(image)),
        (),
        None,
    ),
    "forgets the magnitude": (_with_A(lambda image: image.mean(axis=0)), ("A",), None),
    "takes the magnitude after the mean": (_with_A(lambda image: np.abs(image.mean(axis=0))), ("A",), None),
    "misses 1/c": (_with_A(lambda image: np.abs(image).sum(axis=0)), ("A",), "`A` is c:"),
    "takes the root mean square of the channels": (
        _with_A(lambda image: np.sqrt((image**2).mean(axis=0))),
        ("A",),
        None,
    ),
    "misses 1/(w h)": (_with_K(lambda A, K, w, h: K * w * h), ("K",), "`K` is w*h"),
    "misses 1/h": (_with_K(lambda A, K, w, h: K * h), ("K",), "`K` is h:"),
    "divides by w h twice": (_with_K(lambda A, K, w, h: K / (w * h)), ("K",), "`K` is 1/(w*h)"),
    "takes the largest of each window": (
        _with_K(lambda A, K, w, h: np.lib.stride_tricks.sliding_window_view(A, (w, h)).max(axis=(2, 3))),
        ("K",),
        None,
    ),
}


def _ones(words):
    return np.bitwise_count(words).sum(axis=2, dtype=np.int64)


WRONG_DOTS: dict[str, Mistake] = {
    "counts the bits left over as agreements: 2 popcount(xnor) - n": (
        lambda h, b, n: 2 * _ones(~(h[:, None] ^ b)) - n,
        ("all",),
        None,
    ),
    "has the length of the words for n": (
        lambda h, b, n: 64 * h.shape[1] - 2 * _ones(h[:, None] ^ b),
        ("all",),
        None,
    ),
    "subtracts the differing products once": (
        lambda h, b, n: n - _ones(h[:, None] ^ b),
        ("differing",),
        "`differing` is 1/2",
    ),
    "has xor and xnor the wrong way round": (
        lambda h, b, n: 2 * _ones(h[:, None] ^ b) - n,
        ("all", "differing"),
        "every term of y is -1",
    ),
    "returns the number of differing signs": (lambda h, b, n: _ones(h[:, None] ^ b), ("all", "differing"), "-1/2"),
    "looks at the first word only": (
        lambda h, b, n: n - 2 * np.bitwise_count(h[:, None, 0] ^ b[:, 0]).astype(np.int64),
        ("differing",),
        None,
    ),
    "has an and for the xor": (lambda h, b, n: n - 2 * _ones(h[:, None] & b), ("differing",), None),
    "leaves the product unsigned: below zero it wraps around": (
        lambda h, b, n: n - 2 * np.bitwise_count(h[:, None] ^ b).sum(axis=2, dtype=np.uint64),
        ("all",),
        None,
    ),
}

for _exercise, _wrong in {
    "weight_gradient": WRONG_GRADIENTS,
    "binarize": WRONG_BINARIES,
    "k_map": WRONG_MAPS,
    "packed_dot": WRONG_DOTS,
}.items():
    for _name, (_function, _terms, _cause) in _wrong.items():
        lesson.mistake(_exercise, _name, terms=_terms, cause=_cause)(_function)


# %% [markdown]
# Right answers come in many forms, and these must pass:


# %%
@lesson.variant("binarize", "the scale as a projection on the signs")
def _(W):
    B = (W >= 0) * 2.0 - 1
    return np.einsum("kn,kn->k", W, B) / W.shape[1], B


@lesson.variant("weight_gradient", "filter by filter, with the Jacobian")
def _(g, W):
    dW = np.empty_like(W)
    for k, (row, upstream) in enumerate(zip(W, g, strict=True)):
        s = np.sign(row)
        jacobian = np.outer(s, s) / len(row) + np.diag(np.abs(row).mean() * (np.abs(row) <= 1))
        dW[k] = jacobian @ upstream
    return dW


@lesson.variant("k_map", "window by window")
def _(image, w, h):
    A = np.abs(image).sum(axis=0) / len(image)
    K = np.empty((A.shape[0] - w + 1, A.shape[1] - h + 1))
    for j, k in np.ndindex(K.shape):
        K[j, k] = A[j : j + w, k : k + h].mean()
    return A, K


@lesson.variant("packed_dot", "xnor, with the bits left over subtracted")
def _(h, b, n):
    left_over = 64 * h.shape[1] - n
    return 2 * (_ones(~(h[:, None] ^ b)) - left_over) - n


@lesson.variant("packed_dot", "unpacks the signs")
def _(h, b, n):
    signs = [
        1 - 2 * np.unpackbits(words.view(np.uint8), axis=1, bitorder="little").astype(int)[:, :n] for words in (h, b)
    ]
    return signs[0] @ signs[1].T
