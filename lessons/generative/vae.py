# %% [markdown]
# # The variational autoencoder
#
# **The question.** A network that turns random numbers $z$ into images has a likelihood $p(x) = \int p(x \mid z) p(z)
# dz$ that nobody can compute. How can one train it all the same, by maximising a bound, and how far below the truth
# is that bound in the end?
#
# This lesson rebuilds [The autoencoder family][chung] by Jae-Won Chung (2019), and sets two more derivations of the
# same bound beside it: [A step-by-step derivation of the ELBO][mehrotra] by Aditya Mehrotra (2022), and a student's
# lecture notes on Justin Johnson's course [Deep Learning for Computer Vision][course]. The three take different
# roads. Two of them print a line that is not what they derived, and we will see by how many nats.
#
# The model is from [Auto-Encoding Variational Bayes][kingma] by Diederik P. Kingma and Max Welling (2013). We first
# train it where every integral is known, so that the truth can be compared with; then on digits, where the truth has
# to be estimated.
#
# [chung]: https://jaewonchung.me/study/machine-learning/Autoencoders
# [mehrotra]: https://aditmeh.github.io/2022/12/03/ELBO.html
# [course]: https://web.eecs.umich.edu/~justincj/teaching/eecs498/FA2019/
# [kingma]: https://arxiv.org/abs/1312.6114

# %%
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from lessons.anatomy import Lesson, Run, Source, Term, Verdict
from lessons.data.batches import halved
from lessons.data.digits import Digits, load_digits
from lessons.generative import _vae_figures as figures
from lessons.lab.recorded import recorded_by_torch
from lessons.lab.sources import AUTOENCODER_FAMILY, COURSE_NOTES
from lessons.lab.statistics import with_margin
from lessons.lab.threads import one_thread
from lessons.lab.training import fit
from minigrad import nn, optim

lesson = Lesson(
    name="vae",
    title="The variational autoencoder",
    subject="generative",
    source=AUTOENCODER_FAMILY,
    headline="The ELBO is below log p(x) by exactly KL(q || posterior): zero in a linear model, nats on digits.",
    minutes=2,
    exercises=4,
)

MEHROTRA = Source(
    title="A step-by-step derivation of the ELBO",
    author="Aditya Mehrotra",
    year=2022,
    link="https://aditmeh.github.io/2022/12/03/ELBO.html",
)

# %% [markdown]
# ## A model that is small enough to know everything about
#
# One number $z$, drawn from the *prior* $p(z) = N(0, 1)$, makes one number $x$ by adding noise: $p(x \mid z) = N(z,
# 1)$. Two things are wanted, and here both are known. How likely is an $x$, whatever $z$ made it? A sum of two
# independent standard normals has variance 2. And which $z$ made this $x$? Half of $x$ was signal, half was noise, on
# average:
#
# $$
# p(x) = \int p(x \mid z) p(z) dz = N(0, 2),
# \qquad
# p(z \mid x) = \frac{p(x \mid z) p(z)}{p(x)} = N(x/2, 1/2)
# $$
#
# $p(x)$ is called the *evidence*, $p(z \mid x)$ the *posterior*. With a network between $z$ and $x$, neither has a
# formula. All logarithms are natural ones, so that everything is measured in *nats*.
#
# The judge in this lesson is a plain sum over a fine grid of $z$. For smooth functions that vanish at both ends, such
# a sum is exact to all digits, and it knows nothing of any derivation.

# %%
LOG_2PI = math.log(2 * math.pi)
GRID = np.linspace(-50, 60, 11001)  # of z


def log_normal(x, mean, var):
    """The logarithm of the density of N(mean, var) at x."""
    return -0.5 * (LOG_2PI + np.log(var) + (x - mean) ** 2 / var)


def integral(values: np.ndarray) -> float:
    """The integral over z of a function that is given by its values on GRID."""
    return float(values.sum() * (GRID[1] - GRID[0]))


def divergence(log_a: np.ndarray, log_b: np.ndarray) -> float:
    """KL(a || b), the mean of log(a / b) under a, for two densities on GRID."""
    return integral(np.exp(log_a) * (log_a - log_b))


PRIOR = log_normal(GRID, 0.0, 1.0)


def log_joint(x: float) -> np.ndarray:
    """log p(x, z) of the small model, on GRID."""
    return log_normal(x, GRID, 1.0) + PRIOR


def log_evidence(x):
    return log_normal(x, 0.0, 2.0)


def log_posterior(x: float) -> np.ndarray:
    return log_normal(GRID, x / 2, 0.5)


@lesson.step("A model that is small enough")
def a_small_model(run: Run) -> None:
    for x in (2.0, 5.0, 10.0):
        total = np.log(integral(np.exp(log_joint(x))))
        run.claim(f"x = {x:g}: log p(x), sum over z against N(0, 2)", abs(total - log_evidence(x)), below=1e-12)
    by_bayes = log_joint(2.0) - log_evidence(2.0)
    run.claim(
        "x = 2: posterior by Bayes' rule against N(1, 1/2)", np.abs(by_bayes - log_posterior(2.0)).max(), below=1e-9
    )
    run.note(f"log p(2) = {log_evidence(2.0):.4f} nats, log p(5) = {log_evidence(5.0):.4f}.")


# %% [markdown]
# ## Three roads to one bound
#
# Where the posterior is unknown, take a distribution $q(z)$ that we can handle in its place. Everything below follows
# from one line, which is Bayes' rule with $q(z)$ multiplied and divided. For *every* $z$,
#
# $$
# \log \frac{p(x, z)}{q(z)} = \log p(x) - \log \frac{q(z)}{p(z \mid x)}
# $$
#
# The left side is called the *log weight* of $z$. Now the three roads.
#
# **Chung starts from the distance to the posterior.** Average the line over $q$. The last term becomes a
# Kullback-Leibler divergence, which is never negative:
#
# $$
# \log p(x) = \text{ELBO} + \text{KL}(q \| p(z \mid x)),
# \qquad
# \text{ELBO} = E_q \log p(x, z) - E_q \log q(z)
# $$
#
# **The lecture notes start from Bayes' rule**, and split $p(x, z) = p(x \mid z) p(z)$ as well:
#
# $$
# \log p(x) = E_q \log p(x \mid z) - \text{KL}(q \| p(z)) + \text{KL}(q \| p(z \mid x))
# $$
#
# **Mehrotra starts from the evidence**, writes it as an average under $q$, and pulls the logarithm inside, which by
# Jensen's inequality can only make it smaller:
#
# $$
# \log p(x) = \log E_q \frac{p(x, z)}{q(z)} \geq E_q \log \frac{p(x, z)}{q(z)}
# $$
#
# The right-hand sides are the same number, the *evidence lower bound*. The first two roads say what the third does
# not: what Jensen's inequality throws away is exactly $\text{KL}(q \| p(z \mid x))$. It is zero if $q$ is the
# posterior. Then the weight is the same for all $z$, and a logarithm of something constant may be pulled wherever one
# likes.


# %%
def elbo_by_chung(x: float, log_q: np.ndarray) -> float:
    q = np.exp(log_q)
    return integral(q * log_joint(x)) - integral(q * log_q)


def elbo_by_notes(x: float, log_q: np.ndarray) -> float:
    return expected_log_likelihood(x, log_q) - divergence(log_q, PRIOR)


def elbo_by_mehrotra(x: float, log_q: np.ndarray) -> float:
    return integral(np.exp(log_q) * (log_joint(x) - log_q))


def expected_log_likelihood(x: float, log_q: np.ndarray) -> float:
    return integral(np.exp(log_q) * log_normal(x, GRID, 1.0))


@lesson.step("Three roads to one bound")
def three_roads(run: Run) -> None:
    x, worst, pointwise = 2.0, 0.0, 0.0
    qs = [(0.5, 0.3), *zip(run.rng.normal(1, 1, 5), run.rng.uniform(0.2, 2, 5), strict=True)]
    for mean, var in qs:
        log_q = log_normal(GRID, mean, var)
        bounds = [road(x, log_q) for road in (elbo_by_chung, elbo_by_notes, elbo_by_mehrotra)]
        gap = divergence(log_q, log_posterior(x))
        worst = max(worst, np.ptp(bounds), abs(bounds[0] + gap - log_evidence(x)))
        sides = (log_joint(x) - log_q) - (log_evidence(x) - (log_q - log_posterior(x)))
        pointwise = max(pointwise, np.abs(sides).max() / np.abs(log_q).max())
    run.claim("the one line, at every z, for six q", pointwise, below=1e-12)
    run.claim("three ELBOs agree, and with the gap give log p(x)", worst, below=1e-11)
    log_q = log_normal(GRID, 0.5, 0.3)
    jensen = np.log(integral(np.exp(log_joint(x)))) - elbo_by_mehrotra(x, log_q)
    run.claim("q = N(0.5, 0.3): what Jensen throws away, in nats", jensen, equals=divergence(log_q, log_posterior(x)),
              within=1e-11, above=0.05)  # fmt: skip
    tight = elbo_by_chung(x, log_posterior(x)) - log_evidence(x)
    run.claim("q = posterior: the gap", abs(tight), below=1e-12)


# %% [markdown]
# ## Errata: two divergences
#
# **A reversed divergence.** Mehrotra's derivation is right up to $E_q \log p(x \mid z) + E_q \log p(z) - E_q \log
# q(z)$. The last two terms are $-\text{KL}(q \| p(z))$, because the average is taken under $q$. The post's last line
# has the two arguments in the other order. (It also calls $q$ the posterior and writes $p_\phi(z \mid x)$ for it.)
#
# At $x = 2$ and $q = N(0.5, 0.3)$ the two divergences are 0.377 and 0.981 nats, and one might shrug: the printed
# expression is lower, so is it not a bound as well, just a looser one? It is not. $\text{KL}(p \| q)$ hardly minds a
# $q$ that is far too wide, and an $x$ far out rewards it. Maximised over $q$, the printed expression passes $\log
# p(x)$ at $x$ near 3, and the better it is optimised, the less it says about the evidence.


# %%
def best_printed(x: float) -> float:
    """The largest value of the printed expression, E_q log p(x|z) - KL(p(z) || q), over all Gaussian q.

    For q = N(m, s) both terms have closed forms. Setting the derivative in m to zero gives m = x s / (1 + s), and what
    is left is a function of s alone, of which we take the largest value on a fine grid.
    """
    s = np.exp(np.linspace(-4, 6, 20001))
    m = x * s / (1 + s)
    likelihood = -0.5 * (LOG_2PI + (x - m) ** 2 + s)
    reversed_kl = 0.5 * ((1 + m**2) / s + np.log(s) - 1)
    return float((likelihood - reversed_kl).max())


@lesson.erratum(
    "M",
    "the last line of the derivation: the divergence is reversed",
    printed="... = E_q[log p(x|z)] - KL[p(z) || p_phi(z|x)]",
    right="... = E_q[log p(x|z)] - KL[p_phi(z|x) || p(z)]",
    source=MEHROTRA,
)
def reversed_divergence(run: Run) -> None:
    log_q = log_normal(GRID, 0.5, 0.3)
    right, printed = divergence(log_q, PRIOR), divergence(PRIOR, log_q)
    run.claim("q = N(0.5, 0.3): KL(q || prior)", right, equals=0.377, within=5e-4)
    run.claim("q = N(0.5, 0.3): KL(prior || q), as printed", printed, equals=0.981, within=5e-4)
    excess = {x: best_printed(x) - log_evidence(x) for x in (2.0, 5.0, 10.0)}
    run.refuted("x = 5: the printed 'lower bound' exceeds log p(x) by", excess[5.0], above=1.79)
    run.refuted("x = 10: it exceeds log p(x) by", excess[10.0], above=15.2)
    run.claim("x = 2: it does not exceed it, so the slip is easy to miss", excess[2.0], below=0.0)
    ours = max(
        elbo_by_mehrotra(5.0, log_normal(GRID, mean, var)) - log_evidence(5.0)
        for mean in (0.0, 2.0, 2.5, 3.0, 4.0)
        for var in (0.3, 0.5, 1.0, 3.0)
    )
    run.claim("x = 5: the largest ELBO of 20 q, minus log p(x)", ours, below=1e-11, above=-1e-11)
    run.results["reversed KL"] = excess


# %% [markdown]
# **A divergence that cancels.** The fifth line of the lecture notes subtracts $\text{KL}(q \| p(z))$ and adds it
# again. The one that is added must be the distance to the *posterior*, as in their own line above. As printed, the
# two cancel, and $\log p(x)$ would equal $E_q \log p(x \mid z)$ for any $q$ whatever. (Their last line, the bound, is
# right again.)


# %%
@lesson.erratum(
    "M",
    "line 5 of the derivation: the same divergence twice",
    printed="log p(x) = E_q[log p(x|z)] - KL(q(z|x), p(z)) + KL(q(z|x), p(z))",
    right="log p(x) = E_q[log p(x|z)] - KL(q(z|x), p(z)) + KL(q(z|x), p(z|x))",
    source=COURSE_NOTES,
)
def divergence_twice(run: Run) -> None:
    x, log_q = 2.0, log_normal(GRID, 0.5, 0.3)
    printed = expected_log_likelihood(x, log_q) - divergence(log_q, PRIOR) + divergence(log_q, PRIOR)
    right = expected_log_likelihood(x, log_q) - divergence(log_q, PRIOR) + divergence(log_q, log_posterior(x))
    run.claim("the printed right-hand side", printed, equals=-2.1939, within=5e-5)
    run.refuted("its distance from log p(2) = -2.2655, in nats", abs(printed - log_evidence(x)), above=0.07)
    run.claim("the distance of the corrected one", abs(right - log_evidence(x)), below=1e-12)
    run.results["divergence twice"] = printed


# %% [markdown]
# Here is the bound as a picture. On the left, $q$ moves and $\log p(x)$ stands still: the ELBO of every $q$ is below
# it, and the distance is the divergence. On the right, $x$ moves, each time with the best $q$.


# %%
@lesson.step("The bound as a picture")
def the_bound_as_a_picture(run: Run) -> None:
    x, means, variances = 2.0, np.linspace(-0.5, 2.5, 61), (0.15, 0.5, 1.5)
    curves = np.array([[elbo_by_chung(x, log_normal(GRID, m, s)) for m in means] for s in variances])
    run.claim("largest ELBO in the picture, minus log p(x)", curves.max() - log_evidence(x), below=1e-12)
    highest = means[curves[1].argmax()]
    run.claim("the best mean for the variance 1/2 is that of the posterior", highest, equals=x / 2, within=1e-9)
    xs = np.linspace(0, 10, 41)
    excess = np.array([best_printed(float(value)) - log_evidence(value) for value in xs])
    crossing = float(np.interp(0, excess[xs > 1], xs[xs > 1]))
    run.claim("the printed expression passes log p(x) at x =", crossing, within=(2.8, 3.1))
    run.figure(
        "vae-bound-gap",
        figures.draw_bound_gap(means, variances, curves, float(log_evidence(x)), xs, excess),
        alt="Left: the ELBO over the mean of q for three variances, all below the line of log p(x), touched where q is "
        "the posterior. Right: the printed expression minus log p(x), over x; it crosses zero near 3 and reaches 15.",
        data={
            "means": means,
            "variances": variances,
            "elbo": curves,
            "log_p": log_evidence(x),
            "x": xs,
            "excess": excess,
        },
    )


# %% [markdown]
# ## The divergence from the prior, in closed form
#
# The encoder of a VAE is a network that reads $x$ and writes the mean $\mu_j$ and the log variance $\log \sigma_j^2$
# of a normal distribution for each latent dimension $j = 1, \dots, J$. The logarithm, because a network writes any
# number and a variance must be positive. For normal distributions, averages are known: $E_q \log q =
# -\frac{1}{2}(\log 2\pi
# \sigma^2 + 1)$ and $E_q \log p = -\frac{1}{2}(\log 2\pi + \mu^2 + \sigma^2)$. Subtract, and the $2\pi$ goes:
#
# $$
# \text{KL}(q \| p) = \frac{1}{2} \sum_{j=1}^{J} \Bigl( \underbrace{\mu_j^2}_{\text{mean}}
# + \underbrace{\sigma_j^2}_{\text{spread}} - \underbrace{\log \sigma_j^2}_{\text{log}}
# - \underbrace{1}_{\text{one}} \Bigr)
# $$
#
# with the terms **mean**, **spread**, **log** and **one**. It is zero for $\mu = 0$, $\sigma = 1$ only.
#
# **Exercise: `kl_to_prior`.**


# %%
@lesson.exercise(hint="The four terms are sums over the latent dimensions, with 1/2 before all of them.")
def kl_to_prior(mu, log_var):
    """Return KL(N(mu, diag(exp(log_var))) || N(0, I)) of each sample.

    Args:
        mu: means, shape (N, J).
        log_var: logarithms of the variances sigma**2, shape (N, J).

    Returns:
        kl, shape (N,), in nats.
    """
    return 0.5 * (mu**2 + np.exp(log_var) - log_var - 1).sum(axis=1)


@lesson.step("The divergence from the prior", terms=("mean", "spread", "log", "one"))
def the_divergence(run: Run) -> None:
    mu, log_var = run.rng.normal(size=(4, 3)), run.rng.normal(size=(4, 3)) - 0.5
    by_grid = [
        sum(divergence(log_normal(GRID, m, s), PRIOR) for m, s in zip(row, np.exp(log_row), strict=True))
        for row, log_row in zip(mu, log_var, strict=True)
    ]
    run.claim("closed form, against the sum over z", np.abs(kl_to_prior(mu, log_var) - by_grid).max(), below=1e-11)
    run.claim("mu = 0, sigma = 1", kl_to_prior(np.zeros((1, 3)), np.zeros((1, 3)))[0], equals=0.0)


# %% [markdown]
# ## The decoder, and what "reconstruction loss" means
#
# The decoder writes the parameters of a distribution over images, and the first term of the ELBO is its
# log-likelihood.
#
# **Bernoulli.** For black and white images the network writes the probability $y_k$ of each of the $D$ pixels to be
# white, and $\log p(x \mid z) = \sum_k x_k \log y_k + (1 - x_k) \log(1 - y_k)$. With a minus sign, that is binary
# cross-entropy.
#
# **Gaussian.** For grey ones, it writes means $m_k$, and perhaps variances:
#
# $$
# \log p(x \mid z) = -\underbrace{\frac{D}{2} \log 2\pi}_{\text{constant}}
# - \underbrace{\frac{1}{2} \sum_k \log \sigma_k^2}_{\text{width}}
# - \underbrace{\frac{1}{2} \sum_k \frac{(x_k - m_k)^2}{\sigma_k^2}}_{\text{distance}}
# $$
#
# with the terms **constant**, **width** and **distance**.
#
# **Exercise: `gaussian_log_likelihood`.**


# %%
@lesson.exercise(hint="One constant for each pixel, not one for each image; and a half before all three terms.")
def gaussian_log_likelihood(x, m, log_var):
    """Return log N(x; m, diag(exp(log_var))) of each sample.

    Args:
        x: images, shape (N, D).
        m: the means that the decoder wrote, shape (N, D).
        log_var: logarithms of the variances sigma**2 of the pixels, shape (N, D).

    Returns:
        log_likelihood, shape (N,), in nats.
    """
    return -0.5 * (np.log(2 * np.pi) + log_var + (x - m) ** 2 / np.exp(log_var)).sum(axis=1)


@lesson.step("The decoder", terms=("constant", "width", "distance"))
def the_decoder(run: Run) -> None:
    x, m, log_var = run.rng.normal(size=(3, 4, 5))
    one_by_one = [sum(map(log_normal, *rows)) for rows in zip(x, m, np.exp(log_var), strict=True)]
    ours = gaussian_log_likelihood(x, m, log_var)
    run.claim("five pixels, against the density one by one", np.abs(ours - one_by_one).max(), below=1e-12)
    values = np.exp(gaussian_log_likelihood(GRID[:, None], np.full((len(GRID), 1), 0.7), np.full((len(GRID), 1), -1.0)))
    run.claim("a density: its integral over x, minus 1", abs(integral(values) - 1), below=1e-12)


# %% [markdown]
# **A dropped constant.** Chung prints the Gaussian log-likelihood without $-\frac{D}{2} \log 2\pi$, as an equality.
# For training that changes nothing: a constant has no gradient. For *numbers* it matters. An ELBO without it is 4.6
# nats too high for five pixels and 720 for a digit, and cannot be compared with anybody's. The next sentence, that
# $\sigma = 1$ gives the squared error, is off by the factor $\frac{1}{2}$. This one does matter for training, because
# the other half of the loss, the divergence, is not scaled with it: who takes the whole squared error has chosen
# $\sigma^2 = 1/2$.


# %%
@lesson.erratum(
    "M",
    "the Gaussian log-likelihood lacks its constant",
    printed="log p(x|z) = -sum_j [ 1/2 log(sigma_j^2) + (x_j - mu_j)^2 / (2 sigma_j^2) ]",
    right="log p(x|z) = -D/2 log(2 pi) - sum_j [ 1/2 log(sigma_j^2) + (x_j - mu_j)^2 / (2 sigma_j^2) ]",
)
def dropped_constant(run: Run) -> None:
    x, m, log_var = np.random.default_rng(2019).normal(size=(3, 1, 5))
    printed = -(0.5 * log_var + (x - m) ** 2 / (2 * np.exp(log_var))).sum()
    exact = sum(log_normal(x, m, np.exp(log_var))[0])
    run.results["dropped constant"] = float(printed - exact)
    run.refuted("D = 5: the printed form is too high by (nats)", printed - exact, above=4.594)
    run.claim("which is 5/2 log(2 pi) = 4.594693", printed - exact, equals=4.594693, within=5e-7)
    ours = gaussian_log_likelihood(x, m, log_var)[0]
    run.claim("with the constant: distance from the density", abs(ours - exact), below=1e-12)
    square = ((x - m) ** 2).sum()
    ratio = -(gaussian_log_likelihood(x, m, 0 * x)[0] - gaussian_log_likelihood(x, x, 0 * x)[0]) / square
    run.claim("sigma = 1: the loss as a multiple of the squared error", ratio, equals=0.5, within=1e-12)
    losses = [-gaussian_log_likelihood(x, mean, np.full_like(x, math.log(0.5)))[0] for mean in (m, x)]
    run.claim("sigma^2 = 1/2 gives the whole squared error", (losses[0] - losses[1]) / square, equals=1.0, within=1e-12)


# %% [markdown]
# The rest is notation and wording; none of it changes a result.
#
# The third row deserves a thought. Chung says that raising the ELBO with respect to $\lambda$, the parameters of $q$,
# can be seen as maximising the evidence. The evidence does not contain $q$; look at the left panel above. Training
# the *encoder* closes the gap. Training the *decoder* is what can raise the evidence.

# %%
lesson.smaller_slips(
    [
        (
            "N",
            "KL = 1/2 sum over i = 1..J of terms with the indices i, j",
            "the sum runs over j, the latent dimensions",
        ),
        ("N", "z ~ N(mu, sigma^2 I) with a vector sigma", "z ~ N(mu, diag(sigma^2))"),
        (
            "W",
            "maximising the ELBO over lambda maximises the evidence",
            "it closes the gap; the evidence has no lambda",
        ),
        ("W", "'the posterior p_theta(x|z)'", "the likelihood; the posterior is p(z|x)"),
        ("W", "'if we fix sigma = 1, we get the square error'", "half of it, plus a constant"),
    ]
)
lesson.smaller_slips(
    [("W", "'the posterior p_phi(z|x)'", "q_phi(z|x), an approximation; the posterior p_theta(z|x) has no phi")],
    source=MEHROTRA,
)

# %% [markdown]
# ## Differentiating an average over what one trains
#
# The first term of the ELBO is an average under $q$, and the parameters of $q$ are to be trained. How does one
# differentiate $E_{z \sim q} f(z)$ with respect to $\mu$, when $\mu$ only decides which $z$ are drawn? There are two
# ways.
#
# **The score function** uses $\nabla q = q \nabla \log q$, and needs nothing of $f$ but its values:
#
# $$
# \nabla_\mu E_q f(z) = E_q \left[ f(z) \nabla_\mu \log q(z) \right],
# \qquad
# \nabla_\mu \log q(z) = \frac{z - \mu}{\sigma^2}
# $$
#
# **Reparametrisation** draws the randomness first: $z = \mu + \sigma \epsilon$ with $\epsilon \sim N(0, 1)$. The
# average is then over $\epsilon$, which depends on no parameter, and the derivative goes inside:
#
# $$
# \nabla_\mu E_\epsilon f(\mu + \sigma \epsilon) = E_\epsilon \left[ f'(z) \right],
# \qquad
# \nabla_{\log \sigma^2} E_\epsilon f(\mu + \sigma \epsilon)
# = E_\epsilon \left[ \frac{1}{2} f'(z) \sigma \epsilon \right]
# $$
#
# Both are unbiased, so their means must agree. Let us test them on a function without a closed form, the
# log-likelihood of a small Bernoulli decoder.


# %%
class SmallDecoder(NamedTuple):
    """A fixed decoder from J numbers to D pixels, with one image x to explain."""

    weight: np.ndarray
    x: np.ndarray

    def log_likelihood(self, z: np.ndarray) -> np.ndarray:
        logits = np.tanh(z) @ self.weight
        return (self.x * logits - np.logaddexp(0, logits)).sum(axis=1)

    def slope(self, z: np.ndarray) -> np.ndarray:
        """The gradient of the log-likelihood with respect to z."""
        logits = np.tanh(z) @ self.weight
        return ((self.x - 1 / (1 + np.exp(-logits))) @ self.weight.T) * (1 - np.tanh(z) ** 2)


def score_estimates(f: np.ndarray, eps: np.ndarray, log_var: np.ndarray) -> np.ndarray:
    """For each sample, the score-function gradients with respect to mu and log_var, shape (S, 2J)."""
    return f[:, None] * np.hstack([eps * np.exp(-log_var / 2), 0.5 * (eps**2 - 1)])


def path_estimates(slope: np.ndarray, eps: np.ndarray, log_var: np.ndarray) -> np.ndarray:
    """For each sample, the reparametrised gradients with respect to mu and log_var, shape (S, 2J)."""
    return np.hstack([slope, 0.5 * slope * eps * np.exp(log_var / 2)])


def standard_errors_apart(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference between the means of two samples, in units of its standard error."""
    error = np.sqrt(a.var(axis=0) / len(a) + b.var(axis=0) / len(b))
    return float((np.abs(a.mean(axis=0) - b.mean(axis=0)) / error).max())


@lesson.step("Differentiating an average")
def differentiating_an_average(run: Run) -> None:
    samples, latents, pixels = run.pick(quick=40_000, default=200_000, full=1_000_000), 3, 6
    fixed = np.random.default_rng(2013)
    decoder = SmallDecoder(2 * fixed.normal(size=(latents, pixels)), fixed.integers(0, 2, pixels))
    mu, log_var = fixed.normal(size=latents), fixed.normal(size=latents) * 0.5
    first, second = run.rng.standard_normal((2, samples, latents))
    z = mu + np.exp(log_var / 2) * first
    score = score_estimates(decoder.log_likelihood(z), first, log_var)
    path = path_estimates(decoder.slope(mu + np.exp(log_var / 2) * second), second, log_var)
    apart = standard_errors_apart(score, path)
    run.claim("six gradients: means of the two ways, in standard errors apart", apart, below=5.0)
    no_half = path * np.repeat([1, 2], latents)
    run.claim("the same, without the 1/2 in the second", standard_errors_apart(score, no_half), above=6.0)
    spread = (score.var(axis=0) / path.var(axis=0)).mean()
    run.note(f"The variance of the score function is {spread:.0f} times that of reparametrisation, on average.")


# %% [markdown]
# ## How much noisier, exactly?
#
# Take $f(z) = -\frac{1}{2} \sum_j z_j^2$, which is, but for a constant, the log-likelihood of $x = 0$ under a Gaussian
# decoder that copies $z$. At $\mu = 0$ and $\sigma = 1$ everything is a moment of normal numbers. With $S = \sum_j
# \epsilon_j^2$ the estimates of the gradient in $\mu_1$ are $-\epsilon_1$ by reparametrisation and $-\frac{1}{2} S
# \epsilon_1$ by the score function. Weighting by $\epsilon_1^2$ turns a chi-squared variable with $J$ degrees of
# freedom into one with $J + 2$, which gives
#
# $$
# \text{Var}_\text{path} = 1,
# \qquad
# \text{Var}_\text{score} = \frac{(J + 2)(J + 4)}{4},
# \qquad
# \text{Var}_\text{score, centred} = \frac{J + 4}{2}
# $$
#
# The last one subtracts the mean of $f$ first, the usual *baseline*, which leaves the estimate unbiased. Even so the
# score function pays for each dimension, because one number $f$ must tell $J$ coordinates apart. A slope has a number
# for each.


# %%
@lesson.step("How much noisier")
def how_much_noisier(run: Run) -> None:
    samples = run.pick(quick=20_000, default=100_000, full=400_000)
    dims = np.array([1, 2, 4, 8, 16, 32])
    laws = {"path": np.ones(6), "score": (dims + 2) * (dims + 4) / 4, "centred": (dims + 4) / 2}
    measured: dict[str, list[float]] = {name: [] for name in laws}
    for dim in dims:
        eps = run.rng.standard_normal((samples, dim))
        f = -0.5 * (eps**2).sum(axis=1)
        measured["path"].append(eps[:, 0].var())
        measured["score"].append((f * eps[:, 0]).var())
        measured["centred"].append(((f + dim / 2) * eps[:, 0]).var())
    for name, law in laws.items():
        off = np.abs(np.array(measured[name]) / law - 1).max()
        run.claim(f"{name}: measured variances against the law, worst of six", off, below=0.25)
    run.figure(
        "vae-gradient-variance",
        figures.draw_gradient_variance(dims, measured, laws),
        alt="Variance of the gradient with respect to one mean, over the number of latent dimensions: constant for "
        "reparametrisation, linear for the score function with a baseline, quadratic without.",
        data={"dims": dims} | {f"{name} measured": v for name, v in measured.items()} | laws,
    )


# %% [markdown]
# ## Going back through the encoder's output
#
# Now put both halves of the loss together. From above come the gradients at the two places where $\mu$ and $\log
# \sigma^2$ end up: $\bar{z}$ from the decoder, and $\bar{k}$, a number for each sample, at its divergence.
#
# $$
# \begin{align*}
# \bar{\mu} &= \underbrace{\bar{z}}_{\text{reconstruction\_mu}} + \underbrace{\bar{k} \mu}_{\text{prior\_mu}} \\
# \overline{\log \sigma^2} &= \underbrace{\frac{1}{2} \bar{z} \sigma \epsilon}_{\text{reconstruction\_var}}
# + \underbrace{\frac{1}{2} \bar{k} (\sigma^2 - 1)}_{\text{prior\_var}}
# \end{align*}
# $$
#
# The terms are **reconstruction_mu**, **prior_mu**, **reconstruction_var** and **prior_var**. The prior pulls $\mu$
# to 0 and $\sigma$ to 1; the reconstruction pulls wherever the image is explained better.
#
# **Exercise: `encoder_backward`.**


# %%
@lesson.exercise(hint="sigma = exp(log_var / 2). What does one log_var do to its z, and what to the divergence?")
def encoder_backward(dz, dkl, mu, log_var, eps):
    """Go back through z = mu + exp(log_var / 2) * eps and kl = KL(N(mu, exp(log_var)) || N(0, I)).

    Args:
        dz: gradient with respect to z, shape (N, J).
        dkl: gradient with respect to the divergence of each sample, shape (N,).
        mu: means, shape (N, J).
        log_var: logarithms of the variances sigma**2, shape (N, J).
        eps: the standard normal numbers that made z, shape (N, J).

    Returns:
        The tuple (dmu, dlog_var), each of shape (N, J).
    """
    sigma = np.exp(log_var / 2)
    dmu = dz + dkl[:, None] * mu
    dlog_var = 0.5 * dz * sigma * eps + 0.5 * dkl[:, None] * (sigma**2 - 1)
    return dmu, dlog_var


def draw_encoder(rng: np.random.Generator, N: int = 4, J: int = 3) -> dict[str, Any]:
    return {
        "mu": rng.normal(size=(N, J)),
        "log_var": rng.normal(size=(N, J)) * 0.8 - 0.4,
        "eps": rng.normal(size=(N, J)),
    }


@lesson.step(
    "Going back through the encoder's output",
    terms=("reconstruction_mu", "prior_mu", "reconstruction_var", "prior_var"),
)
def through_the_encoder(run: Run) -> None:
    from minigrad.gradcheck import numerical_gradient

    mu, log_var, eps = draw_encoder(run.rng).values()
    dz, dkl = run.rng.normal(size=mu.shape), run.rng.normal(size=len(mu))

    def loss(mu, log_var):
        z = mu + np.exp(log_var / 2) * eps
        kl = 0.5 * (mu**2 + np.exp(log_var) - log_var - 1).sum(axis=1)
        return (dz * z).sum() + (dkl * kl).sum()

    dmu, dlog_var = encoder_backward(dz, dkl, mu, log_var, eps)
    want = numerical_gradient(lambda moving: loss(moving, log_var), mu, 1.0).values
    run.claim("dmu, against numerical derivatives", np.abs(dmu - want).max(), below=1e-8)
    want = numerical_gradient(lambda moving: loss(mu, moving), log_var, 1.0).values
    run.claim("dlog_var, against numerical derivatives", np.abs(dlog_var - want).max(), below=1e-8)


# %% [markdown]
# ## A VAE that must find the exact posterior
#
# Back to the model with one $z$ and one $x$. Its posterior $N(x/2, 1/2)$ is normal, with a mean that is linear in $x$
# and a variance that does not depend on $x$. An encoder $q(z \mid x) = N(ax + c, s)$ can be that. So a VAE with the
# decoder held fixed, trained on nothing but draws of $x$ with one $\epsilon$ for each, must arrive at $a = 1/2$, $c =
# 0$, $s = 1/2$, and the gap must close.


# %%
class SmallEncoder(NamedTuple):
    """q(z | x) = N(a x + c, s), and how far its bound was below log p(x) on average, step by step."""

    a: float
    c: float
    s: float
    gaps: np.ndarray


def mean_gap(a: float, c: float, s: float) -> float:
    """E_x KL(N(a x + c, s) || N(x / 2, 1 / 2)) for x ~ N(0, 2)."""
    return 0.5 * (math.log(0.5 / s) + 2 * s - 1) + 2 * (a - 0.5) ** 2 + c**2


def train_small_encoder(rng: np.random.Generator, steps: int) -> SmallEncoder:
    """Train a, c and log s with the exercise's gradients: no tape, one sample of eps for each x."""
    batch_size, lr = 200, 0.05
    theta = np.array([-0.5, 1.0, 1.0])  # a, c, log s
    optimised = mg.tensor(theta, requires_grad=True)
    optimizer = optim.Adam([optimised], lr=lr)
    gaps = np.empty(steps)
    for step in range(steps):
        a, c, log_s = optimised.detach().numpy().copy()
        gaps[step] = mean_gap(a, c, math.exp(log_s))
        x, eps = rng.normal(size=(batch_size, 1)) * math.sqrt(2), rng.normal(size=(batch_size, 1))
        mu, log_var = a * x + c, np.full_like(x, log_s)
        z = mu + np.exp(log_var / 2) * eps
        # The loss is -log N(x; z, 1) + kl, averaged over the batch.
        dmu, dlog_var = encoder_backward((z - x) / batch_size, np.full(batch_size, 1 / batch_size), mu, log_var, eps)
        optimised.grad = mg.tensor(np.array([(dmu * x).sum(), dmu.sum(), dlog_var.sum()]))
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        optimizer.step()
    a, c, log_s = optimised.detach().numpy()
    return SmallEncoder(float(a), float(c), math.exp(log_s), gaps)


@lesson.experiment("A VAE that must find the exact posterior")
def the_exact_posterior(run: Run) -> None:
    found = train_small_encoder(run.rng, steps=run.pick(quick=600, default=3000, full=10_000))
    run.claim("a", found.a, equals=0.5, within=0.03)
    run.claim("c", found.c, equals=0.0, within=0.05)
    run.claim("s", found.s, equals=0.5, within=0.03)
    final = mean_gap(found.a, found.c, found.s)
    run.claim("mean gap between ELBO and log p(x) before training, in nats", found.gaps[0], above=1.0)
    run.claim("mean gap after training", final, below=0.005)
    run.results["small encoder"] = found


# %% [markdown]
# ## A VAE whose likelihood has a closed form
#
# Next, a decoder that is trained too, on real data: $p(x \mid z) = N(Wz + b, \sigma^2 I)$. This is *probabilistic PCA*
# ([Probabilistic Principal Component Analysis][ppca], Michael E. Tipping and Christopher M. Bishop, 1999), and its best
# likelihood is known. With the eigenvalues $\lambda_1 \geq \lambda_2 \geq \dots$ of the covariance of the data,
#
# $$
# \max \frac{1}{N} \log p(X) = -\frac{1}{2} \left( D \log 2\pi + \sum_{j \leq J} \log \lambda_j
# + (D - J) \log \sigma^2 + D \right),
# \qquad
# \sigma^2 = \frac{1}{D - J} \sum_{j > J} \lambda_j
# $$
#
# The posterior is normal, with a mean that is linear in $x$ and one covariance for all $x$. So a linear encoder $\mu
# = V(x - b)$ with one variance for each latent dimension can be exact, provided that this covariance is *diagonal*.
# The likelihood does not care about rotations of $z$; the encoder does. To close its gap, training has to turn $W$
# until its columns are orthogonal: until they are the principal axes.
#
# All averages are known here, over $\epsilon$ and over the data, so that the loss is exact and has no noise. It needs
# the covariance $S$ of the data only, with $R = I - WV$:
#
# $$
# E \lVert x - b - Wz \rVert^2 = \operatorname{tr}(R S R^T) + \sum_j \sigma_j^2 \lVert W_j \rVert^2
# $$
#
# Several trainings that differ in a factor $\beta$ before the divergence run side by side, as a batch of matrices. We
# need $\beta = 1$ now, and the others at the end.
#
# [ppca]: https://www.microsoft.com/en-us/research/publication/probabilistic-principal-component-analysis/


# %%
class LinearVAEs(NamedTuple):
    """Linear VAEs that were trained side by side, one for each beta."""

    decoder: np.ndarray  # (B, D, J)
    kl: np.ndarray  # (B, J): the divergence of each latent dimension, averaged over the data
    noise: np.ndarray  # (B,): sigma^2 of the decoder
    history: np.ndarray  # (steps, B): mean ELBO with beta, in each step


def train_linear(
    covariance: np.ndarray,
    latents: int,
    betas: np.ndarray,
    rng: np.random.Generator,
    steps: int,
    noise: float | None = None,
) -> LinearVAEs:
    """Maximise the exact mean ELBO of linear VAEs on data with this covariance; `noise` holds sigma^2 fixed."""
    d, b, lr = len(covariance), len(betas), 0.05

    def parameter(array: np.ndarray, trained: bool = True) -> mg.Tensor:
        return mg.tensor(array, requires_grad=trained)

    w = parameter(np.tile(rng.normal(size=(1, d, latents)) * 0.1, (b, 1, 1)))
    v = parameter(np.tile(rng.normal(size=(1, latents, d)) * 0.1, (b, 1, 1)))
    log_var = parameter(np.zeros((b, latents)))
    log_noise = parameter(np.full(b, -2.0 if noise is None else math.log(noise)), noise is None)
    optimizer = optim.Adam([p for p in (w, v, log_var, log_noise) if p.requires_grad], lr=lr)
    s, identity, weights = (mg.tensor(array) for array in (covariance, np.eye(d), np.asarray(betas, dtype=float)))
    history = np.empty((steps, b))
    for step in range(steps):
        rest = identity - w @ v
        square = ((rest @ s) * rest).sum((1, 2)) + ((w**2).sum(1) * log_var.exp()).sum(1)
        log_likelihood = -0.5 * (d * (LOG_2PI + log_noise) + square * (-log_noise).exp())
        kl = 0.5 * (((v @ s) * v).sum(2) + log_var.exp() - log_var - 1)
        elbo = log_likelihood - weights * kl.sum(1)
        history[step] = elbo.detach().numpy()
        optimizer.zero_grad()
        (-elbo.sum()).backward()
        optimizer.param_groups[0]["lr"] = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
        optimizer.step()
    return LinearVAEs(w.detach().numpy(), kl.detach().numpy(), log_noise.exp().detach().numpy(), history)


def pixel_covariance(side: int) -> np.ndarray:
    """The covariance of the training digits, shrunk to 7 x 7 pixels, of which the middle side x side are kept."""
    small = load_digits().images.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4), dtype=np.float64)
    edge = (7 - side) // 2
    pixels = small[:, edge : edge + side, edge : edge + side].reshape(len(small), -1)
    return np.cov(pixels.T, bias=True)


def best_linear(eigenvalues: np.ndarray, latents: int) -> tuple[float, float]:
    """The largest mean log-likelihood of probabilistic PCA, and its sigma^2; eigenvalues from large to small."""
    noise = float(eigenvalues[latents:].mean())
    logs = np.log(eigenvalues[:latents]).sum() + (len(eigenvalues) - latents) * math.log(noise)
    return float(-0.5 * (len(eigenvalues) * (LOG_2PI + 1) + logs)), noise


def mean_log_likelihood(w: np.ndarray, noise: float, covariance: np.ndarray) -> float:
    """The mean of log N(x; b, W W^T + noise I) over data with this covariance and the mean b."""
    model = w @ w.T + noise * np.eye(len(w))
    return float(-0.5 * (len(w) * LOG_2PI + np.linalg.slogdet(model)[1] + np.trace(np.linalg.solve(model, covariance))))


@lesson.experiment("A VAE whose likelihood has a closed form")
@one_thread()
def closed_form_likelihood(run: Run) -> None:
    side, latents, steps = run.pick(quick=(5, 4, 500), default=(7, 5, 3000), full=(7, 10, 10_000))
    covariance = pixel_covariance(side)
    best, noise = best_linear(np.linalg.eigvalsh(covariance)[::-1], latents)
    trained = train_linear(covariance, latents, np.ones(1), run.rng, steps)
    w = trained.decoder[0]
    elbo, truth = trained.history[-1, 0], mean_log_likelihood(w, trained.noise[0], covariance)
    run.table(
        f"Digits of {side} x {side} pixels, {latents} latent dimensions: mean over the training digits, in nats",
        ("quantity", "value"),
        [
            ("ELBO at the start", f"{trained.history[0, 0]:.4f}"),
            ("ELBO after training", f"{elbo:.4f}"),
            ("log p(x) of the trained model, exactly", f"{truth:.4f}"),
            ("the largest log p(x), from the eigenvalues", f"{best:.4f}"),
        ],
    )
    run.results["linear"] = {"elbo": elbo, "log_p": truth, "best": best}
    tolerance = run.pick(quick=0.02, default=0.002, full=0.002)
    run.claim("log p(x) - ELBO: the bound is tight", truth - elbo, above=-1e-9, below=tolerance)
    run.claim("closed-form maximum - ELBO", best - elbo, above=-1e-9, below=tolerance)
    run.claim("sigma^2 / (mean of the eigenvalues left out)", trained.noise[0] / noise, equals=1.0, within=0.01)
    gram = w.T @ w
    slanted = np.abs(gram / np.sqrt(np.outer(np.diag(gram), np.diag(gram))) - np.eye(latents)).max()
    run.claim("columns of W: largest cosine between two of them", slanted, below=0.1)
    run.results["linear history"] = best - trained.history[:, 0]


# %% [markdown]
# ## An honest number: importance weights
#
# On digits, $\log p(x)$ has no closed form, and the ELBO is below it by an unknown amount. More samples say more. The
# weight $w = p(x, z) / q(z)$ is, on average over $q$, exactly $p(x)$; so average $K$ of them *inside* the logarithm
# ([Importance Weighted Autoencoders][iwae], Yuri Burda, Roger Grosse and Ruslan Salakhutdinov, 2015):
#
# $$
# L_K = E \log \frac{1}{K} \sum_{k=1}^{K} \frac{p(x, z_k)}{q(z_k)},
# \qquad
# \text{ELBO} = L_1 \leq L_K \leq \log p(x)
# $$
#
# By Jensen's inequality again, $L_K$ is a bound; it rises with $K$, because an average of $2K$ weights is the average
# of two averages of $K$. An expansion of the logarithm says how fast it arrives: the gap is $\chi^2 / 2K$ for large
# $K$, where $\chi^2$ is the variance of $w / p(x)$.
#
# A digit has a log weight of about $-100$. In float32 $e^{-100}$ keeps hardly a digit, and $e^{-104}$ is zero; a log
# weight of $-1000$ is too much for float64 as well. So the largest one is taken out before the exponential, and put
# back after the logarithm.
#
# **Exercise: `importance_weighted_bound`.**
#
# [iwae]: https://arxiv.org/abs/1509.00519


# %%
@lesson.exercise(
    hint="exp(-1e4) is zero and exp(1e4) infinite. Which number could each row be freed of first, and given back after?"
)
def importance_weighted_bound(log_w):
    """Return the log of the mean weight of each sample, without overflow or underflow.

    Args:
        log_w: log weights, shape (N, K); they may be as large as 1e4, or as small as -1e4.

    Returns:
        bound, shape (N,).
    """
    largest = log_w.max(axis=1)
    return largest + np.log(np.exp(log_w - largest[:, None]).mean(axis=1))


def bound_of_groups(log_w: np.ndarray, k: int) -> np.ndarray:
    """For each row, the bound L_K averaged over the disjoint groups of k weights; shape (N,)."""
    groups = log_w[:, : log_w.shape[1] // k * k].reshape(-1, k)
    return importance_weighted_bound(groups).reshape(len(log_w), -1).mean(axis=1)


@lesson.step("Importance weights, where the truth is known")
def importance_weights(run: Run) -> None:
    x, mean, var = 2.0, 0.5, 1.0
    samples = run.pick(quick=2**18, default=2**21, full=2**23)
    z = mean + math.sqrt(var) * run.rng.standard_normal((1, samples))
    log_w = log_normal(x, z, 1.0) + log_normal(z, 0.0, 1.0) - log_normal(z, mean, var)
    log_q = log_normal(GRID, mean, var)
    chi2 = integral(np.exp(2 * log_posterior(x) - log_q)) - 1
    sizes = (1, 4, 16, 64)
    gaps = []
    for k in sizes:
        # Here p(x) is known, so that the mean of w / p(x) - 1 is known to be 0: adding it takes most of the noise away.
        log_ratio = importance_weighted_bound(log_w.reshape(-1, k)) - log_evidence(x)
        gaps.append(float((np.exp(log_ratio) - 1 - log_ratio).mean()))
    run.claim("K = 1: gap, against the divergence", gaps[0], equals=divergence(log_q, log_posterior(x)), within=0.01)
    run.claim("smallest fall of the gap from K to 4K", -np.diff(gaps).max(), above=0.0)
    run.claim("K = 64: gap, as a multiple of chi^2 / 2K", gaps[-1] * 2 * 64 / chi2, within=(0.85, 1.15))
    run.table(
        "x = 2, q = N(0.5, 1): log p(x) - L_K, in nats",
        ("K", "measured", "chi^2 / 2K"),
        [(k, f"{gap:.5f}", f"{chi2 / (2 * k):.5f}") for k, gap in zip(sizes, gaps, strict=True)],
    )
    far = np.array([[-1e4, -1e4 + np.log(3)], [1e4, 1e4]])
    run.claim("log weights of 1e4 either way", np.abs(importance_weighted_bound(far) - [-1e4 + np.log(2), 1e4]).max(),
              below=1e-11)  # fmt: skip


# %% [markdown]
# ## A VAE for digits
#
# The digits have 784 grey pixels. For the Bernoulli decoder we make them black and white with the threshold 0.5, as
# Chung does; likelihoods can only be compared on the same data. Encoder and decoder have one hidden layer of tanh units
# each. The *conditional* VAE ([Learning Structured Output Representation using Deep Conditional Generative
# Models][cvae], Kihyuk Sohn, Honglak Lee and Xinchen Yan, 2015) puts the label, as ten numbers of which one is 1,
# beside the encoder's input and beside $z$. Everything else is the same, and the bound is one on $\log p(x \mid
# \text{label})$.
#
# [cvae]: https://papers.nips.cc/paper/2015/hash/8d55a249e6baa5c06772297520da2051-Abstract.html


# %%
def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, outputs))


class BernoulliDecoder(nn.Module):
    """Pixels are 0 or 1; the network writes the logit of the probability of 1."""

    def __init__(self, inputs: int, hidden: int, pixels: int) -> None:
        super().__init__()
        self.net = mlp(inputs, hidden, pixels)

    def log_likelihood(self, code: mg.Tensor, x: mg.Tensor) -> mg.Tensor:
        return -F.binary_cross_entropy_with_logits(self.net(code), x, reduction="none").sum(1)

    def mean(self, code: mg.Tensor) -> mg.Tensor:
        return self.net(code).sigmoid()


class AutoregressiveDecoder(BernoulliDecoder):
    """A Bernoulli decoder that also sees, for each pixel, all pixels before it: it can do without z."""

    def __init__(self, inputs: int, hidden: int, pixels: int) -> None:
        super().__init__(inputs, hidden, pixels)
        self.past = nn.Parameter(mg.zeros(pixels, pixels))
        self.before = mg.tensor(np.triu(np.ones((pixels, pixels), np.float32), 1))

    def log_likelihood(self, code: mg.Tensor, x: mg.Tensor) -> mg.Tensor:
        logits = self.net(code) + x @ (self.past * self.before)
        return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)


class GaussianDecoder(nn.Module):
    """Pixels are grey; the network writes their means, and one variance, trained or 1, is shared by all of them."""

    def __init__(self, inputs: int, hidden: int, pixels: int, learned_variance: bool = True) -> None:
        super().__init__()
        self.net = mlp(inputs, hidden, pixels)
        self.log_var = nn.Parameter(mg.full((1,), -2.0 if learned_variance else 0.0), requires_grad=learned_variance)

    def log_likelihood(self, code: mg.Tensor, x: mg.Tensor) -> mg.Tensor:
        square = ((x - self.net(code)) ** 2).sum(1)
        return -0.5 * (x.shape[1] * (LOG_2PI + self.log_var) + square * (-self.log_var).exp())

    def mean(self, code: mg.Tensor) -> mg.Tensor:
        return self.net(code)


class VAE(nn.Module):
    """An encoder to mean and log variance of each latent dimension, and a decoder; both see `given`, if there is any.

    With `variational=False` it is a plain autoencoder: z is the mean, and there is no divergence.
    """

    def __init__(
        self, pixels: int, latents: int, hidden: int, given: int = 0, decoder: Callable[..., Any] = BernoulliDecoder,
        variational: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.latents, self.variational = latents, variational
        self.encoder = mlp(pixels + given, hidden, 2 * latents)
        self.decoder = decoder(latents + given, hidden, pixels)

    def encode(self, x: mg.Tensor, given: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
        out = self.encoder(mg.cat([x, given], 1))
        return out[:, : self.latents], out[:, self.latents :]

    def loss(self, x: mg.Tensor, given: mg.Tensor, eps: mg.Tensor, beta: float = 1.0) -> mg.Tensor:
        """The negative ELBO, averaged over the batch, with the divergence multiplied by beta."""
        mu, log_var = self.encode(x, given)
        if not self.variational:
            return -self.decoder.log_likelihood(mg.cat([mu, given], 1), x).mean()
        z = mu + (0.5 * log_var).exp() * eps
        kl = 0.5 * (mu**2 + log_var.exp() - log_var - 1).sum(1)
        return (beta * kl - self.decoder.log_likelihood(mg.cat([z, given], 1), x)).mean()


class Images(NamedTuple):
    """Images (N, D), float32, and what is given beside each: its label as one of ten, or nothing, (N, 10) or (N, 0)."""

    x: np.ndarray
    given: np.ndarray


def as_images(x: np.ndarray, labels: np.ndarray | None = None) -> Images:
    given = np.zeros((len(x), 0)) if labels is None else np.eye(10)[labels]
    return Images(x, given.astype(np.float32))


def as_squares(x: np.ndarray) -> np.ndarray:
    side = math.isqrt(x.shape[1])
    return x.reshape(-1, side, side)


def digits_for(run: Run) -> Digits:
    """The digits for a run: for quick runs of 14 x 14 pixels, each the mean of four; for full ones all of MNIST."""
    digits = load_digits(full=run.size == "full")
    if run.size != "quick":
        return digits
    train, test = (halved(x, np.float32).reshape(-1, 196) for x in (digits.images, digits.test_images))
    return Digits(train, digits.labels, test, digits.test_labels)


def black_and_white(x: np.ndarray) -> np.ndarray:
    return (x >= 0.5).astype(np.float32)


def train_vae(
    images: Images, latents: int, hidden: int, *, epochs: Any, seed: int, beta: float = 1.0, **options: Any
) -> VAE:
    """Build a VAE and train it with Adam, one eps for each image; `epochs` is something to iterate over."""
    mg.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = VAE(images.x.shape[1], latents, hidden, images.given.shape[1], **options)
    rate = 0.002 if hidden > 100 else 0.01
    optimizer = optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate)

    def loss_of(rows: np.ndarray) -> mg.Tensor:
        eps = rng.standard_normal((len(rows), latents), dtype=np.float32)
        return model.loss(*map(mg.tensor, (images.x[rows], images.given[rows], eps)), beta=beta)

    fit(loss_of, optimizer, len(images.x), rng=rng, batch_size=100, epochs=epochs)
    return model


def encoded(model: VAE, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Means and log variances of q, each (N, J)."""
    with mg.no_grad():
        mu, log_var = model.encode(mg.tensor(images.x), mg.tensor(images.given))
    return mu.numpy(), log_var.numpy()


def decoded(model: VAE, z: np.ndarray, given: np.ndarray | None = None) -> np.ndarray:
    """The means of the pixels for latents (N, J), as square images (N, S, S)."""
    parts = [np.asarray(z, np.float32)] + ([] if given is None else [np.asarray(given, np.float32)])
    with mg.no_grad():
        return as_squares(model.decoder.mean(mg.tensor(np.hstack(parts))).numpy())


def log_weights(model: VAE, images: Images, k: int, rng: np.random.Generator) -> np.ndarray:
    """k log weights log p(x, z) - log q(z | x) of each image, shape (N, k), in float64."""
    mu, log_var = (array[:, None].astype(np.float64) for array in encoded(model, images))
    eps = rng.standard_normal((len(images.x), k, model.latents))
    z = mu + np.exp(log_var / 2) * eps
    log_prior_over_q = 0.5 * (eps**2 + log_var - z**2).sum(axis=2)
    log_w = np.empty((len(images.x), k))
    with mg.no_grad():
        for n, x in enumerate(images.x):
            code = np.hstack([z[n], np.tile(images.given[n], (k, 1))]).astype(np.float32)
            log_w[n] = model.decoder.log_likelihood(mg.tensor(code), mg.tensor(x[None].repeat(k, 0))).numpy()
    return log_w + log_prior_over_q


# %% [markdown]
# **How far is the ELBO from the truth?** Train with 20 latent dimensions, several times with other random numbers;
# draw many weights for each of some test digits; and average them in groups of $K$. With the same weights in nested
# groups, the rise with $K$ is not only expected but certain. The largest $K$ gives the honest number: still a bound,
# and the closest that we have.


# %%
def independent_pixels(train: Images, test: Images) -> float:
    """The mean log-likelihood of test images if each pixel has its own frequency and nothing else: no z at all."""
    p = (train.x.sum(axis=0, dtype=np.float64) + 1) / (len(train.x) + 2)
    return float((test.x * np.log(p) + (1 - test.x) * np.log(1 - p)).sum(axis=1).mean())


@lesson.experiment("How far is the ELBO from the truth?")
@one_thread()
def how_far(run: Run) -> None:
    hidden, epochs, seeds = run.pick(quick=(48, 4, 2), default=(200, 30, 3), full=(200, 200, 5))
    test, most = run.pick(quick=(40, 100), default=(200, 1000), full=(1000, 5000))
    digits = digits_for(run)
    train, unseen = (as_images(black_and_white(x)) for x in (digits.images, digits.test_images[:test]))
    sizes = [k for k in (1, 10, 100, 1000, 5000) if k <= most]
    bounds = np.empty((seeds, len(sizes)))
    for i in range(seeds):
        seed = run.seed + i
        model = train_vae(train, 20, hidden, epochs=run.progress(range(epochs), f"VAE {i + 1} of {seeds}"), seed=seed)
        log_w = log_weights(model, unseen, most, np.random.default_rng(seed))
        bounds[i] = [bound_of_groups(log_w, k).mean() for k in sizes]
        run.claim(f"VAE {i + 1}: the smallest rise from one K to the next", np.diff(bounds[i]).min(), above=0.0)
    gap = bounds[:, -1] - bounds[:, 0]
    run.table(
        f"Bounds on log p(x) of {test} black and white test digits, in nats per digit",
        ("K", f"mean of {seeds} trainings"),
        [(k if k > 1 else "1 (ELBO)", with_margin(bounds[:, i], 2)) for i, k in enumerate(sizes)],
    )
    run.note(
        f"Honest number: {with_margin(bounds[:, -1], 2)} nats per digit (K = {sizes[-1]}). The ELBO is at least "
        f"{with_margin(gap, 2)} nats below the truth."
    )
    run.claim("the gap that K samples reveal, in nats per digit", gap.mean(), above=0.2, below=15.0)
    run.claim("all of it is better than independent pixels", bounds[:, 0].min() - independent_pixels(train, unseen),
              above=run.pick(quick=5.0, default=50.0, full=50.0))  # fmt: skip
    run.results["bounds"] = {"K": sizes, "nats": bounds}
    run.figure(
        "vae-importance",
        figures.draw_importance(sizes, bounds),
        alt="Bound on log p(x) in nats per test digit over the number K of importance samples: it rises from the ELBO "
        "at K = 1 and flattens; one line for each training.",
        data={"K": sizes, "bounds": bounds},
    )


# %% [markdown]
# **Two latent dimensions can be looked at.** A plain autoencoder puts its codes wherever it likes. The divergence
# keeps a VAE's codes close to the prior, so that a draw from it mostly lands where the decoder has learned something.
# Chung shows this with 500 test digits, and so do we.
#
# The *learned manifold* is what the decoder makes of a grid in $z$. To give each image the same share of the prior,
# the grid is even in probability: its lines are at the quantiles of the normal distribution. The quantile function
# has no formula, but the distribution function is at hand, $\frac{1}{2} (1 + \operatorname{erf}(z / \sqrt{2}))$, and
# halving an interval 60 times inverts it.
#
# The sliders move a ring through the same plane, in even steps of $z$; each digit stands at the mean of its codes. At
# those that stand apart, 0 and 1, the image is that digit; where several crowd together, it is something between them.
# And one turns into the other little by little: a small step in $z$ is a small step in the image.


# %%
def normal_quantile(p: np.ndarray) -> np.ndarray:
    """The z below which a standard normal number lies with probability p, by bisection."""
    low, high = np.full(np.shape(p), -40.0), np.full(np.shape(p), 40.0)
    for _ in range(60):
        middle = (low + high) / 2
        below = 0.5 * (1 + np.vectorize(math.erf)(middle / math.sqrt(2))) < p
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2


STOPS = (-2.0, -1.2, -0.4, 0.4, 1.2, 2.0)  # of the sliders; 95 % of the prior are between the outermost


def slide_through(run: Run, model: VAE, codes: np.ndarray, x: np.ndarray, labels: np.ndarray) -> None:
    """Let the reader move through the latents, and claim that what is decoded changes smoothly on the way.

    `codes` (N, 2) are those of the digits `x` (N, P) with these labels.
    """
    mean_codes, mean_digits = (np.stack([of[labels == k].mean(axis=0) for k in range(10)]) for of in (codes, x))
    at_means = decoded(model, mean_codes).reshape(10, 1, -1)
    nearest = ((at_means - mean_digits) ** 2).sum(axis=2).argmin(axis=1)
    run.claim("decoded at the mean codes of 0 and 1: nearest to the mean image of", nearest[:2].tolist(), equals=[0, 1])
    grid = np.stack(np.meshgrid(STOPS, STOPS, indexing="ij"), axis=-1)
    flat = decoded(model, grid.reshape(-1, 2))
    images = flat.reshape(*grid.shape[:2], *flat.shape[1:])
    far = np.abs(flat[:, None] - flat).mean()
    for axis, name in enumerate(("z1", "z2")):
        near = np.abs(np.diff(images, axis=axis)).mean()
        run.claim(
            f"change of the image for a step of 0.8 along {name}, of that between any two", near / far, below=0.75
        )
    plane = figures.LatentPlane(codes, labels)
    place = {value: k for k, value in enumerate(STOPS)}
    run.slider(
        "vae-plane",
        {"latent z1": STOPS, "latent z2": STOPS},
        lambda a, b: plane.draw(np.array([a, b]), images[place[a], place[b]]),
        alt="The plane of the two latents, with each digit at the mean of its codes and a ring around one point, and "
        "the image that the decoder makes of that point.",
        start=(1, 2),
        data={"stops": STOPS, "images": images.astype(np.float16), "codes": codes},
    )


@lesson.experiment("Two latent dimensions")
@one_thread()
def two_dimensions(run: Run) -> None:
    quantiles = normal_quantile(np.array([0.025, 0.5, 0.975]))
    run.claim(
        "quantiles 0.025, 0.5, 0.975: off by", np.abs(quantiles - [-1.959963985, 0, 1.959963985]).max(), below=1e-8
    )
    hidden, epochs = run.pick(quick=(48, 4), default=(200, 40), full=(200, 200))
    digits = digits_for(run)
    train, shown = as_images(black_and_white(digits.images)), as_images(black_and_white(digits.test_images[:500]))
    codes, spread = {}, {}
    for name, variational in (("AE", False), ("VAE", True)):
        bar = run.progress(range(epochs), f"{name} with 2 dimensions")
        model = train_vae(train, 2, hidden, epochs=bar, seed=run.seed, variational=variational)
        mu, log_var = encoded(model, shown)
        codes[name] = mu
        # The aggregate posterior, from which z of the VAE are drawn: its mean square should be 1 in each dimension.
        spread[name] = (mu**2 + (np.exp(log_var) if variational else 0)).mean()
    run.table("Mean square of z over 500 test digits (the prior's is 1)", ("model", "mean square"),
              [(name, f"{value:.2f}") for name, value in spread.items()])  # fmt: skip
    run.claim("VAE: mean square of z", spread["VAE"], within=(0.4, 4.0))
    run.claim("AE: mean square of z, as a multiple of the VAE's", spread["AE"] / spread["VAE"], above=3.0)
    run.results["spread"] = spread
    side = run.pick(quick=10, default=20, full=20)
    lines = normal_quantile((np.arange(side) + 0.5) / side)
    grid = np.stack(np.meshgrid(lines, lines[::-1]), axis=-1).reshape(-1, 2)
    run.figure(
        "vae-latents",
        figures.draw_latents(codes, digits.test_labels[:500]),
        alt="Codes of 500 test digits in two dimensions, coloured by label. Left, autoencoder: far and wide. Right, "
        "VAE: mostly within the circles that hold most of the standard normal distribution.",
        data=codes | {"labels": digits.test_labels[:500]},
    )
    run.figure(
        "vae-manifold",
        figures.draw_manifold(decoded(model, grid), side, lines),
        alt="Images decoded from a grid of the two latent dimensions, even in probability: digits change smoothly into "
        "one another.",
        data={"lines": lines},
    )
    slide_through(run, model, codes["VAE"], shown.x, digits.test_labels[:500])


# %% [markdown]
# **Class and style.** A conditional VAE is told the label, and so has no need to store it in $z$. What is left for $z$
# should be what the labels do not say: slant, width, weight. Two measurements show how far this goes. How well does a
# digit's code reveal its label, to the five nearest codes of training digits? And does a digit that is made for a label
# look like one, to the five nearest training digits? The code of the CVAE turns out to say less about the label than
# that of the VAE, but far more than chance, which is one in ten: not needed is not the same as gone. (And not all made
# digits look right: the training digits' codes do not cover the prior evenly, and what is drawn in a hole is decoded to
# something that nobody wrote.)


# %%
def nearest_labels(points: np.ndarray, known: np.ndarray, labels: np.ndarray, k: int = 5) -> np.ndarray:
    """The label that most of the k nearest known points have, for each point."""
    square = (points**2).sum(1)[:, None] - 2 * points @ known.T + (known**2).sum(1)
    nearest = labels[np.argpartition(square, k, axis=1)[:, :k]]
    return (nearest[:, :, None] == np.arange(10)).sum(axis=1).argmax(axis=1)


def unit(x: np.ndarray) -> np.ndarray:
    """Vectors of length 1, so that faint digits and strong ones are compared by their shape."""
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@lesson.experiment("Class and style: the conditional VAE")
@one_thread()
def class_and_style(run: Run) -> None:
    hidden, epochs, latents = run.pick(quick=(48, 4, 6), default=(200, 30, 6), full=(200, 200, 6))
    digits = digits_for(run)
    binary, test = black_and_white(digits.images), black_and_white(digits.test_images)
    read = {}
    for name, labels in (("VAE", False), ("CVAE", True)):
        train = as_images(binary, digits.labels if labels else None)
        bar = run.progress(range(epochs), f"{name} with {latents} dimensions")
        model = train_vae(train, latents, hidden, epochs=bar, seed=run.seed)
        known = encoded(model, train)[0]
        new = encoded(model, as_images(test, digits.test_labels if labels else None))[0]
        read[name] = float((nearest_labels(new, known, digits.labels) == digits.test_labels).mean())
    styles = np.repeat(run.rng.standard_normal((100, latents)), 10, axis=0)
    classes = np.tile(np.arange(10), 100)
    made = decoded(model, styles, np.eye(10)[classes])
    right = float((nearest_labels(unit(made.reshape(len(made), -1)), unit(binary), digits.labels) == classes).mean())
    run.table(
        "Who knows the label?",
        ("", "share"),
        [
            ("label read from z, VAE", f"{read['VAE']:.0%}"),
            ("label read from z, CVAE", f"{read['CVAE']:.0%}"),
            ("1,000 made digits look like their label, CVAE", f"{right:.0%}"),
        ],
    )
    run.results["labels read"] = read | {"made": right}
    run.claim("label read from z: VAE minus CVAE", read["VAE"] - read["CVAE"], above=0.1)
    run.claim("made digits that look like their label", right, above=0.6)
    run.figure(
        "vae-styles",
        figures.draw_styles(made[:100]),
        alt="Ten rows and ten columns of made digits: each column is a class from 0 to 9, each row one draw of z.",
        data={"right": right, "read": list(read.values())},
    )


# %% [markdown]
# **Grey pixels.** With a Gaussian decoder somebody has to say what $\sigma$ is. The common choice $\sigma = 1$ is an
# enormous noise for pixels between 0 and 1: an image costs almost nothing to explain badly, and the divergence wins.
# One shared variance, trained with everything else, finds the mean squared error by itself ([Simple and Effective VAE
# Training with Calibrated Decoders][sigma], Oleh Rybkin, Kostas Daniilidis and Sergey Levine, 2021).
#
# A latent dimension is called *active* if its mean varies over the data: $\text{Var}_x(\mu_j) > 0.01$, the measure of
# Burda and others.
#
# [sigma]: https://arxiv.org/abs/2006.13202


# %%
def active_units(model: VAE, images: Images) -> int:
    """How many latent dimensions have means that vary over these images."""
    return int((encoded(model, images)[0].var(axis=0) > 0.01).sum())


@lesson.experiment("Grey pixels: a variance of one, or a trained one")
@one_thread()
def grey_pixels(run: Run) -> None:
    hidden, epochs = run.pick(quick=(48, 3), default=(200, 20), full=(200, 200))
    digits = digits_for(run)
    train, test = as_images(digits.images), as_images(digits.test_images[:200])
    rows, pictures, bounds, nats = [], [as_squares(test.x[:10])], [], []
    for learned in (False, True):
        bar = run.progress(range(epochs), f"Gaussian decoder, sigma {'trained' if learned else '= 1'}")
        model = train_vae(train, 20, hidden, epochs=bar, seed=run.seed, decoder=lambda i, h, d, on=learned:
                          GaussianDecoder(i, h, d, on))  # fmt: skip
        variance = float(model.decoder.log_var.exp().detach().numpy()[0])
        bounds.append(log_weights(model, test, 10, run.rng).mean())
        nats.append(kl_to_prior(*encoded(model, test)).mean())
        made = decoded(model, encoded(model, test)[0])
        pictures.append(made[:10])
        error = float(((made - as_squares(test.x)) ** 2).mean())
        rows.append(
            (f"{variance:.4f}", f"{error:.4f}", active_units(model, test), f"{nats[-1]:.1f}", f"{bounds[-1]:.0f}")
        )
    head = ("variance", "mean squared error", "active of 20", "nats in z", "ELBO, nats")
    run.table("Gaussian decoder on grey test digits", head, rows)
    run.claim("ELBO gained by a trained variance, nats per digit", bounds[1] - bounds[0], above=50.0)
    run.claim("nats in z gained by a trained variance", nats[1] - nats[0], above=5.0)
    run.results["grey"] = {"elbo": bounds, "nats": nats, "variance": variance}
    run.figure(
        "vae-decoders",
        figures.draw_decoders(np.concatenate(pictures)),
        alt="Three rows of ten digits: the originals; reconstructions with sigma = 1, blurred; with a trained one.",
        data={"elbo": bounds, "nats": nats},
    )


# %% [markdown]
# ## Where this breaks
#
# **Posterior collapse, in theory.** The linear VAE shows when a latent dimension is worth having. Multiply the
# divergence by $\beta$: for a fixed $\sigma^2$ this is the same as a decoder with the noise $\beta \sigma^2$. A
# principal axis with the variance $\lambda_j$ is used if and only if it rises above the noise, $\lambda_j > \beta
# \sigma^2$, and then carries
#
# $$
# E_x \text{KL}_j = \frac{1}{2} \log \frac{\lambda_j}{\beta \sigma^2}
# $$
#
# nats ([Don't Blame the ELBO!][blame], James Lucas, George Tucker, Roger Grosse and Mohammad Norouzi, 2019). All
# others have collapsed: $q$ is the prior, whatever $x$ is. No training trick brings them back, for the maximum itself
# is there.
#
# [blame]: https://arxiv.org/abs/1911.02469


# %%
@lesson.experiment("Where this breaks: collapse in theory")
@one_thread()
def collapse_in_theory(run: Run) -> None:
    side, latents, steps = run.pick(quick=(5, 4, 500), default=(7, 10, 2500), full=(7, 10, 10_000))
    covariance, noise = pixel_covariance(side), 0.01
    eigenvalues = np.linalg.eigvalsh(covariance)[::-1]
    # Half way, in the logarithm, between neighbouring eigenvalues: there the number of active dimensions is clear.
    between = np.sqrt(eigenvalues[:latents] * eigenvalues[1 : latents + 1])
    betas = np.array([1.3 * eigenvalues[0], *between[:: run.pick(quick=1, default=2, full=1)]]) / noise
    trained = train_linear(covariance, latents, betas, run.rng, steps, noise=noise)
    theory = 0.5 * np.log(np.maximum(eigenvalues[:latents] / (betas[:, None] * noise), 1))
    measured = -np.sort(-trained.kl, axis=1)
    run.claim("nats of each dimension at each beta, against theory: worst", np.abs(measured - theory).max(), below=0.05)
    active = (measured > 0.01).sum(axis=1)
    run.claim("active dimensions at each beta: as many as eigenvalues above the noise", active,
              equals=(eigenvalues[:latents] > betas[:, None] * noise).sum(axis=1))  # fmt: skip
    run.figure(
        "vae-linear",
        figures.draw_linear(
            run.results.get("linear history", np.ones(1)), betas, measured, eigenvalues[:latents] / noise
        ),
        alt="Left: distance of the linear VAE's ELBO from the closed-form maximum, over the steps. Right: nats in "
        "each latent dimension over beta; measured points on the lines of the theory, which end at zero one by one.",
        data={"betas": betas, "theory": theory, "measured": measured},
    )


# %% [markdown]
# **Posterior collapse, on digits.** Two ways to bring it about: a large $\beta$ ([beta-VAE][beta], Irina Higgins and
# others, 2017, uses it on purpose), and a decoder so strong that it can do without $z$. Our strong decoder sees, for
# each pixel, the pixels before it, through one linear layer. Its likelihood may well be better. Its codes say less: a
# part of what they said is now known from the pixels, and telling it twice costs divergence. If the codes are what
# you are after, this is a failure that the loss does not show. People weaken the decoder, let each dimension have
# some divergence for free ([Improving Variational Inference with Inverse Autoregressive Flow][iaf], Diederik P.
# Kingma and others, 2016), or take discrete codes ([Neural Discrete Representation Learning][vq], Aaron van den Oord
# and others, 2017).
#
# [beta]: https://openreview.net/forum?id=Sy2fzU9gl
# [iaf]: https://arxiv.org/abs/1606.04934
# [vq]: https://arxiv.org/abs/1711.00937


# %%
@lesson.experiment("Where this breaks: collapse on digits")
@one_thread()
def collapse_on_digits(run: Run) -> None:
    hidden, epochs = run.pick(quick=(48, 2), default=(200, 20), full=(200, 100))
    betas = run.pick(quick=(1.0, 30.0), default=(1.0, 3.0, 10.0, 30.0), full=(1.0, 3.0, 10.0, 30.0, 100.0))
    digits = digits_for(run)
    train, test = (as_images(black_and_white(x)) for x in (digits.images, digits.test_images[:200]))
    kl, elbo = {}, {}
    for name, decoder, beta in (
        *((f"beta = {beta:g}", BernoulliDecoder, beta) for beta in betas),
        ("strong decoder", AutoregressiveDecoder, 1.0),
    ):
        bar = run.progress(range(epochs), name)
        model = train_vae(train, 20, hidden, epochs=bar, seed=run.seed, beta=beta, decoder=decoder)
        mu, log_var = encoded(model, test)
        kl[name] = -np.sort(-0.5 * (mu**2 + np.exp(log_var) - log_var - 1).mean(axis=0))
        elbo[name] = log_weights(model, test, 10, run.rng).mean()
        run.results.setdefault("active", {})[name] = active_units(model, test)
    active = run.results["active"]
    run.table(
        "Collapse, 20 latent dimensions, test digits",
        ("model", "active", "nats in z", "ELBO (beta = 1), nats"),
        [(name, active[name], f"{kl[name].sum():.1f}", f"{elbo[name]:.1f}") for name in kl],
    )
    weak, strongest = "beta = 1", f"beta = {betas[-1]:g}"
    run.claim(f"active dimensions: beta = 1 minus {strongest}", active[weak] - active[strongest], above=2.5)
    run.claim("nats in z: the strong decoder's share of the weak one's", kl["strong decoder"].sum() / kl[weak].sum(),
              below=0.9)  # fmt: skip
    run.results["nats in z"], run.results["collapse elbo"] = kl, elbo
    run.figure(
        "vae-collapse",
        figures.draw_collapse(kl),
        alt="Nats in 20 latent dimensions, sorted, for several beta and for a decoder that sees earlier pixels: the "
        "larger beta or the stronger the decoder, the fewer dimensions carry anything.",
        data={name.replace(" ", "_").replace("_=_", "_"): values for name, values in kl.items()},
    )


# %% [markdown]
# **A density can be infinite.** Why not train a variance for each pixel? Because some pixels are black in every
# training image. Their best variance is 0, their density there is infinite, and the likelihood has no maximum. Each
# time that the smallest allowed $\sigma$ is divided by 10, every such pixel contributes $\log 10$ nats more, and the
# images are none the better. Hence the one shared variance above; others add noise to the data, or take a discrete
# distribution.


# %%
@lesson.step("Where this breaks: a density can be infinite")
def infinite_density(run: Run) -> None:
    images = load_digits().images.astype(np.float64)
    black = int((images.max(axis=0) == 0).sum())
    totals = []
    for smallest in (1e-1, 1e-2, 1e-3):
        std = np.maximum(images.std(axis=0), smallest)
        log_var = np.broadcast_to(2 * np.log(std), images.shape)
        mean = np.broadcast_to(images.mean(axis=0), images.shape)
        totals.append(gaussian_log_likelihood(images, mean, log_var).mean())
    run.claim("pixels that are black in all training images", black, above=50.0)
    run.claim("last division of sigma by 10: nats gained, for each black pixel", (totals[2] - totals[1]) / black,
              above=math.log(10))  # fmt: skip
    run.table("One Gaussian for each pixel, without any z", ("smallest sigma", "mean log-likelihood, nats"),
              [(s, f"{t:.0f}") for s, t in zip((0.1, 0.01, 0.001), totals, strict=True)])  # fmt: skip


# %% [markdown]
# ## The same numbers from PyTorch
#
# A fixed problem: means, log variances and $\epsilon$ of four samples, and a linear Bernoulli decoder. PyTorch's
# `torch.distributions` gives the divergence and the densities, its autograd the gradients.


# %%
def loss_of_fixed_problem(library: Any, mu: Any, log_var: Any, eps: Any, weight: Any, x: Any) -> Any:
    """The negative ELBO of a linear Bernoulli decoder, in minigrad or in PyTorch: the names are the same."""
    z = mu + (0.5 * log_var).exp() * eps
    cross_entropy = library.nn.functional.binary_cross_entropy_with_logits(z @ weight, x, reduction="sum")
    return cross_entropy + 0.5 * (mu**2 + log_var.exp() - log_var - 1).sum()


@lesson.compare("PyTorch")
def compare_with_torch(run: Run) -> None:
    recorded = recorded_by_torch(lesson)
    mu, log_var, eps, weight, x = (recorded[name] for name in ("mu", "log_var", "eps", "weight", "x"))

    def torch_kl(torch: Any) -> Any:
        q = torch.distributions.Normal(torch.tensor(mu), torch.tensor(np.exp(log_var / 2)))
        return torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1)

    run.compare("KL to the prior", kl_to_prior(mu, log_var), recorded=recorded["kl"], live=torch_kl)
    run.compare("Gaussian log-likelihood", gaussian_log_likelihood(eps, mu, log_var), recorded=recorded["log_density"])
    run.compare("importance-weighted bound", importance_weighted_bound(100 * mu), recorded=recorded["bound"])
    tensors = [mg.tensor(array, requires_grad=True) for array in (mu, log_var)]
    loss = loss_of_fixed_problem(mg, *tensors, *map(mg.tensor, (eps, weight, x)))
    loss.backward()
    run.compare("loss, minigrad", loss.detach().numpy(), recorded=recorded["loss"])
    z = mu + np.exp(log_var / 2) * eps
    dz = (1 / (1 + np.exp(-z @ weight)) - x) @ weight.T
    by_hand = encoder_backward(dz, np.ones(len(mu)), mu, log_var, eps)
    for name, ours, tensor in zip(("dmu", "dlog_var"), by_hand, tensors, strict=True):
        run.compare(f"{name}, by hand", ours, recorded=recorded[name])
        run.compare(f"{name}, minigrad", tensor.grad.numpy(), recorded=recorded[name])


# %% [markdown]
# ## How your answers are judged
#
# Each exercise is called on random inputs at two sizes of each dimension. For gradients, minigrad's tape says which
# part flows through `z` (the reconstruction) and which does not (the prior). The bound is judged on log weights that
# are ordinary, huge and tiny. Below are mistakes that must not pass, with what the check says about each.

# %%
_SIZES = {"N": (4, 7), "J": (3, 5)}


@lesson.question(
    "kl_to_prior",
    inputs=lambda rng, N, J: {name: draw_encoder(rng, N, J)[name] for name in ("mu", "log_var")},
    sizes=_SIZES,
    terms={
        "kl": (
            Term("mean", "1/2 sum(mu**2)", value=lambda v: 0.5 * (v["mu"] ** 2).sum(1),
                 question="What does a mean away from 0 cost, if the variance is 1?"),
            Term("spread", "1/2 sum(sigma**2)", value=lambda v: 0.5 * np.exp(v["log_var"]).sum(1),
                 question="The mean of z**2 under q has two parts. Which is the second?"),
            Term("log", "-1/2 sum(log sigma**2)", value=lambda v: -0.5 * v["log_var"].sum(1),
                 question="How does the entropy of q depend on log_var?"),
            Term("one", "-J/2", value=lambda v: -0.5 * np.full(len(v["mu"]), v["mu"].shape[1]),
                 question="What must be subtracted for the divergence of N(0, I) from itself to be 0?"),
        )
    },
)  # fmt: skip
def kl_on_the_tape(named, mu, log_var):
    return named("kl", 0.5 * (mu**2 + log_var.exp() - log_var - 1).sum(1))


@lesson.question(
    "gaussian_log_likelihood",
    inputs=lambda rng, N, D: {
        "x": rng.normal(size=(N, D)),
        "m": rng.normal(size=(N, D)),
        "log_var": rng.normal(size=(N, D)) * 0.8 - 0.4,
    },
    sizes={"N": (4, 7), "D": (3, 5)},
    terms={
        "log_likelihood": (
            Term("constant", "-D/2 log(2 pi)", value=lambda v: -0.5 * LOG_2PI * np.full(len(v["x"]), v["x"].shape[1]),
                 question="What makes the density of one pixel integrate to 1, and how many pixels are there?"),
            Term("width", "-1/2 sum(log sigma**2)", value=lambda v: -0.5 * v["log_var"].sum(1),
                 question="The density has sigma, not sigma**2, in its denominator. What is its logarithm?"),
            Term("distance", "-1/2 sum((x - m)**2 / sigma**2)",
                 value=lambda v: -0.5 * ((v["x"] - v["m"]) ** 2 / np.exp(v["log_var"])).sum(1),
                 question="How far is x from m, in units of sigma? What does the exponent do with that?"),
        )
    },
)  # fmt: skip
def gaussian_on_the_tape(named, x, m, log_var):
    return named("log_likelihood", -0.5 * (LOG_2PI + log_var + (x - m) ** 2 / log_var.exp()).sum(1))


@lesson.question(
    "encoder_backward",
    inputs=draw_encoder,
    sizes=_SIZES,
    upstream=("dz", "dkl"),
    terms={
        "dmu": (
            Term("reconstruction_mu", "dz", through=("z",), question="What does one mu do to its z?"),
            Term("prior_mu", "dkl * mu", question="The divergence has mu**2 / 2 in it. What is its slope?"),
        ),
        "dlog_var": (
            Term("reconstruction_var", "1/2 dz * sigma * eps", through=("z",),
                 question="z has exp(log_var / 2) * eps in it. What is its derivative with respect to log_var?"),
            Term("prior_var", "1/2 dkl * (sigma**2 - 1)",
                 question="log_var is in the divergence twice. What are the two slopes, and when do they cancel?"),
        ),
    },
)  # fmt: skip
def encoder_on_the_tape(named, mu, log_var, eps):
    sigma = named("sigma", (0.5 * log_var).exp())
    z = named("z", mu + sigma * eps)
    return z, 0.5 * (mu**2 + log_var.exp() - log_var - 1).sum(1)


@lesson.check("importance_weighted_bound")
def check_bound(candidate):
    rng = np.random.default_rng(5)
    verdicts = []
    for n, k, centre in ((3, 5, 0.0), (4, 2, 0.0), (3, 6, -1e4), (2, 4, 1e4)):
        log_w = centre + rng.normal(size=(n, k)) * 2
        verdicts.append(
            Verdict.from_arrays("bound", candidate(log_w), np.logaddexp.reduce(log_w, axis=1) - np.log(k), 1e-9)
        )
    rows = np.array([[-5000.0, -5001.0], [3000.0, 2999.0], [0.0, -800.0]])  # each row needs a shift of its own
    want = np.logaddexp.reduce(rows, axis=1) - np.log(2)
    verdicts.append(Verdict.from_arrays("bound", candidate(rows), want, 1e-9))
    return Verdict.all(*verdicts)


# %%
EVERY_KL = ("mean", "spread", "log", "one")
# Wrong divergences, with the wrong terms and what must be said; None: the mistake is known by its name.
WRONG_KL: dict[str, tuple[Callable[..., Any], tuple[str, ...], str | None]] = {
    "forgets the 1/2": (lambda mu, log_var: (mu**2 + np.exp(log_var) - log_var - 1).sum(1),
        EVERY_KL, "every term of kl is 2"),
    "takes the mean over the latent dimensions": (lambda mu, log_var: kl_to_prior(mu, log_var) / mu.shape[1],
        EVERY_KL, "1/J"),
    "flips the sign": (lambda mu, log_var: -kl_to_prior(mu, log_var), EVERY_KL, "every term of kl is -1"),
    "takes log sigma for log sigma**2": (
        lambda mu, log_var: 0.5 * (mu**2 + np.exp(log_var) - log_var / 2 - 1).sum(1), ("log",), "`log` is 1/2",
    ),
    "adds the logarithm": (lambda mu, log_var: 0.5 * (mu**2 + np.exp(log_var) + log_var - 1).sum(1),
        ("log",), "`log` is -1"),
    "forgets the one": (lambda mu, log_var: 0.5 * (mu**2 + np.exp(log_var) - log_var).sum(1), ("one",), "`one` is 0"),
    "subtracts one once, not for each dimension": (
        lambda mu, log_var: 0.5 * ((mu**2 + np.exp(log_var) - log_var).sum(1) - 1), ("one",), "`one` is 1/J",
    ),
    "forgets the mean": (lambda mu, log_var: kl_to_prior(0 * mu, log_var), ("mean",), "`mean` is 0"),
    "takes sigma for sigma**2": (
        lambda mu, log_var: 0.5 * (mu**2 + np.exp(log_var / 2) - log_var - 1).sum(1), ("spread",), None,
    ),
    "reverses the divergence": (
        lambda mu, log_var: 0.5 * ((1 + mu**2) / np.exp(log_var) + log_var - 1).sum(1), ("mean", "spread", "log"), None,
    ),
}  # fmt: skip
EVERY_GAUSSIAN = ("constant", "width", "distance")
WRONG_GAUSSIAN: dict[str, tuple[Callable[..., Any], tuple[str, ...], str | None]] = {
    "drops the constant": (
        lambda x, m, log_var: -0.5 * (log_var + (x - m) ** 2 / np.exp(log_var)).sum(1),
        ("constant",), "`constant` is 0",
    ),
    "has one constant for all pixels": (
        lambda x, m, log_var: -0.5 * (np.log(2 * np.pi) + (log_var + (x - m) ** 2 / np.exp(log_var)).sum(1)),
        ("constant",), "`constant` is 1/D",
    ),
    "misses the 1/2 of the log variance": (
        lambda x, m, log_var: gaussian_log_likelihood(x, m, log_var) - 0.5 * log_var.sum(1), ("width",), "`width` is 2",
    ),
    "forgets the log variance": (
        lambda x, m, log_var: gaussian_log_likelihood(x, m, log_var) + 0.5 * log_var.sum(1), ("width",), "`width` is 0",
    ),
    "misses the 1/2 of the square": (
        lambda x, m, log_var: gaussian_log_likelihood(x, m, log_var) - 0.5 * ((x - m) ** 2 / np.exp(log_var)).sum(1),
        ("distance",), "`distance` is 2",
    ),
    "returns the loss: flips the sign": (
        lambda x, m, log_var: -gaussian_log_likelihood(x, m, log_var),
        EVERY_GAUSSIAN, "every term of log_likelihood is -1",
    ),
    "takes the mean over the pixels": (
        lambda x, m, log_var: gaussian_log_likelihood(x, m, log_var) / x.shape[1], EVERY_GAUSSIAN, "1/D",
    ),
    "divides by sigma instead of sigma**2": (
        lambda x, m, log_var: -0.5 * (np.log(2 * np.pi) + log_var + (x - m) ** 2 / np.exp(log_var / 2)).sum(1),
        ("distance",), None,
    ),
}  # fmt: skip


def _backward_with(factors: Callable[..., tuple[Any, Any, Any, Any]]) -> Callable[..., Any]:
    def wrong(dz, dkl, mu, log_var, eps):
        sigma = np.exp(log_var / 2)
        a, b, c, d = factors(sigma, eps, dkl[:, None])
        k = dkl[:, None]
        return a * dz + b * k * mu, c * 0.5 * dz * sigma * eps + d * 0.5 * k * (sigma**2 - 1)

    return wrong


RECONSTRUCTION, FROM_PRIOR = ("reconstruction_mu", "reconstruction_var"), ("prior_mu", "prior_var")
WRONG_BACKWARD: dict[str, tuple[Callable[..., Any], tuple[str, ...], str | None]] = {
    "forgets the prior": (_backward_with(lambda s, e, k: (1, 0, 1, 0)), FROM_PRIOR, "`prior_mu` is 0"),
    "takes z for a constant": (_backward_with(lambda s, e, k: (0, 1, 0, 1)),
        RECONSTRUCTION, "`reconstruction_mu` is 0"),
    "flips the sign of the prior": (_backward_with(lambda s, e, k: (1, -1, 1, -1)),
        FROM_PRIOR, "each of `prior_mu` and `prior_var` is -1"),
    "misses the 1/2 of exp(log_var / 2)": (
        _backward_with(lambda s, e, k: (1, 1, 2, 1)), ("reconstruction_var",), "`reconstruction_var` is 2",
    ),
    "forgets eps": (_backward_with(lambda s, e, k: (1, 1, 1 / e, 1)), ("reconstruction_var",), "is 1/eps"),
    "takes sigma**2 for sigma": (_backward_with(lambda s, e, k: (1, 1, s, 1)), ("reconstruction_var",), "is sigma"),
    "misses the 1/2 of the divergence": (_backward_with(lambda s, e, k: (1, 2, 1, 2)),
        FROM_PRIOR, "each of `prior_mu` and `prior_var` is 2"),
    "forgets the logarithm in the divergence": (
        _backward_with(lambda s, e, k: (1, 1, 1, s**2 / (s**2 - 1))), ("prior_var",), None,
    ),
    "forgets dkl": (_backward_with(lambda s, e, k: (1, 1 / k, 1, 1 / k)), FROM_PRIOR, None),
}  # fmt: skip

for _exercise, _wrongs in (
    ("kl_to_prior", WRONG_KL),
    ("gaussian_log_likelihood", WRONG_GAUSSIAN),
    ("encoder_backward", WRONG_BACKWARD),
):
    for _name, (_wrong, _terms, _cause) in _wrongs.items():
        lesson.mistake(_exercise, _name, terms=_terms, cause=_cause)(_wrong)

WRONG_BOUNDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "averages the logarithms: the ELBO": lambda log_w: log_w.mean(axis=1),
    "sums instead of averaging": lambda log_w: np.logaddexp.reduce(log_w, axis=1),
    "takes the exponential as it is": lambda log_w: np.log(np.exp(log_w).mean(axis=1)),
    "takes the largest weight alone": lambda log_w: log_w.max(axis=1) - np.log(log_w.shape[1]),
    "shifts all rows by one number": lambda log_w: log_w.max() + np.log(np.exp(log_w - log_w.max()).mean(axis=1)),
    "forgets to put the shift back": lambda log_w: importance_weighted_bound(log_w) - log_w.max(axis=1),
    "averages the weights of different samples": lambda log_w: importance_weighted_bound(log_w.T),
}
for _name, _wrong_bound in WRONG_BOUNDS.items():
    lesson.mistake("importance_weighted_bound", _name)(_wrong_bound)

# %% [markdown]
# And some right answers that look different:

# %%
lesson.variant("kl_to_prior", "cross-entropy minus entropy")(
    lambda mu, log_var: (
        0.5 * (np.log(2 * np.pi) + mu**2 + np.exp(log_var)) - 0.5 * (np.log(2 * np.pi) + 1 + log_var)
    ).sum(axis=1)
)
lesson.variant("gaussian_log_likelihood", "the logarithm of the density")(
    lambda x, m, log_var: np.log(
        np.exp(-((x - m) ** 2) / (2 * np.exp(log_var))) / np.sqrt(2 * np.pi * np.exp(log_var))
    ).sum(axis=1)
)
lesson.variant("encoder_backward", "by way of sigma")(
    lambda dz, dkl, mu, log_var, eps: (
        dz + dkl[:, None] * mu,
        (dz * eps + dkl[:, None] * (np.exp(log_var / 2) - np.exp(-log_var / 2))) * np.exp(log_var / 2) / 2,
    )
)
lesson.variant("importance_weighted_bound", "logaddexp")(
    lambda log_w: np.logaddexp.reduce(log_w, axis=1) - np.log(log_w.shape[1])
)

# %% [markdown]
# ## What would a wrong function do?
#
# Key `w` trains a linear VAE, two latent dimensions and six pixels, with your function in it and with the right one.
# The loss shown is the true negative ELBO in both cases, computed exactly: your function steers, but does not keep
# the score. Dropping the constant changes nothing at all there, which is why nobody notices it.


# %%
def true_loss(w: np.ndarray, v: np.ndarray, log_var: np.ndarray, log_noise: float, x: np.ndarray) -> float:
    """The negative ELBO of a linear VAE, averaged over the data, with the average over eps in closed form."""
    mu = x @ v.T
    square = ((x - mu @ w.T) ** 2).sum(axis=1).mean() + ((w**2).sum(axis=0) * np.exp(log_var)).sum()
    kl = 0.5 * (mu**2 + np.exp(log_var) - log_var - 1).sum(axis=1).mean()
    return float(0.5 * (x.shape[1] * (LOG_2PI + log_noise) + square * math.exp(-log_noise)) + kl)


def linear_losses(
    rng: np.random.Generator,
    kl: Callable[..., Any] = kl_to_prior,
    likelihood: Callable[..., Any] = gaussian_log_likelihood,
    backward: Callable[..., Any] | None = None,
    bound: Callable[..., Any] | None = None,
) -> Iterator[float]:
    """Train a linear VAE with these functions and yield the true loss of each step."""
    d, j, n = 6, 2, 100
    x = rng.normal(size=(n, j)) @ rng.normal(size=(j, d)) + 0.3 * rng.normal(size=(n, d))
    theta = np.concatenate([rng.normal(size=2 * d * j) * 0.3, np.zeros(j), [-1.0]])

    def split(theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        return (
            theta[: d * j].reshape(d, j),
            theta[d * j : 2 * d * j].reshape(j, d),
            theta[-j - 1 : -1],
            float(theta[-1]),
        )

    def loss(theta: np.ndarray, eps: np.ndarray) -> float:
        w, v, log_var, log_noise = split(theta)
        mu, spread = x @ v.T, np.broadcast_to(log_var, (n, j))
        if bound is None:
            z = mu + np.exp(spread / 2) * eps[0]
            noise = np.full(x.shape, log_noise)
            return float((kl(mu, spread) - likelihood(x, z @ w.T, noise)).mean())
        log_w = np.stack([
            likelihood(x, (mu + np.exp(spread / 2) * e) @ w.T, np.full(x.shape, log_noise))
            + 0.5 * (e**2 + spread - (mu + np.exp(spread / 2) * e) ** 2).sum(axis=1)
            for e in eps
        ], axis=1)  # fmt: skip
        return -float(bound(log_w).mean())

    def gradient(theta: np.ndarray, eps: np.ndarray) -> np.ndarray:
        if backward is None:
            steps = 1e-5 * np.eye(len(theta))
            return np.array([(loss(theta + step, eps) - loss(theta - step, eps)) / 2e-5 for step in steps])
        w, v, log_var, log_noise = split(theta)
        mu, spread = x @ v.T, np.broadcast_to(log_var, (n, j)).copy()
        z = mu + np.exp(spread / 2) * eps[0]
        rest = (z @ w.T - x) * math.exp(-log_noise) / n
        dmu, dlog_var = backward(rest @ w, np.full(n, 1 / n), mu, spread, eps[0])
        dnoise = 0.5 * d - 0.5 * ((z @ w.T - x) ** 2).sum() * math.exp(-log_noise) / n
        return np.concatenate([(rest.T @ z).ravel(), (dmu.T @ x).ravel(), dlog_var.sum(axis=0), [dnoise]])

    while True:
        yield true_loss(*split(theta), x)
        step = gradient(theta, rng.standard_normal((1 if bound is None else 4, n, j)))
        theta = theta - 0.05 * step / max(1.0, float(np.linalg.norm(step)) / 5)


ON_LINEAR = "a linear VAE with 6 pixels and 2 latent dimensions; the true negative ELBO"


@lesson.consequence("kl_to_prior", title=ON_LINEAR)
def with_your_divergence(candidate, rng):
    return linear_losses(rng, kl=candidate)


@lesson.consequence("gaussian_log_likelihood", title=ON_LINEAR)
def with_your_likelihood(candidate, rng):
    return linear_losses(rng, likelihood=candidate)


@lesson.consequence("encoder_backward", title=ON_LINEAR)
def with_your_backward(candidate, rng):
    return linear_losses(rng, backward=candidate)


@lesson.consequence("importance_weighted_bound", title=f"{ON_LINEAR}, trained with 4 importance samples")
def with_your_bound(candidate, rng):
    return linear_losses(rng, bound=candidate)
