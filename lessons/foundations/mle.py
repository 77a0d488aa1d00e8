# %% [markdown]
# # Losses are negative log-likelihoods
#
# **The question.** Why does regression minimise squares and classification cross-entropy, and not the other way round?
# And if a network can be asked for a whole distribution instead of a number, what does that buy, and how do we find out
# whether the distribution is true?
#
# This lesson rebuilds [Bayesian Statistics, Maximum Likelihood Estimation, and Machine Learning][post] by Jae-Won Chung
# (2019). The post shows a slide on which two losses come out of two distributions; here each is derived, step by step,
# and measured. Then a small network learns the mean *and* the width of its data, beside a twin that learns the mean
# alone, and both must say how sure they are.
#
# The idea of a second output for the width is from [Estimating the mean and variance of the target probability
# distribution][nix] by David Nix and Andreas Weigend (1994).
#
# [post]: https://jaewonchung.me/study/machine-learning/MLE-and-ML
# [nix]: https://doi.org/10.1109/ICNN.1994.374138

# %%
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lessons.anatomy import Lesson, Run, Source, Term, Verdict
from lessons.data.digits import Digits, load_digits
from lessons.foundations import _mle_figures as figures
from lessons.lab.numbers import error
from lessons.lab.recorded import recorded_by_torch
from lessons.lab.statistics import with_margin
from lessons.lab.threads import one_thread
from lessons.lab.training import fit, outputs

if TYPE_CHECKING:
    from minigrad import Tensor, nn

lesson = Lesson(
    name="mle",
    title="Losses are negative log-likelihoods",
    subject="foundations",
    source=Source(
        title="Bayesian Statistics, Maximum Likelihood Estimation, and Machine Learning",
        author="Jae-Won Chung",
        year=2019,
        link="https://jaewonchung.me/study/machine-learning/MLE-and-ML",
    ),
    headline="Squares and cross-entropy are likelihoods; learning the width, too, is worth half a nat a sample.",
    minutes=1,
    exercises=4,
)

LOG_2PI = float(np.log(2 * np.pi))


def numerical(function: Callable[[np.ndarray], Any], at: np.ndarray) -> np.ndarray:
    """Differentiate a function with one number as its result numerically; it shares nothing with the derivations."""
    from minigrad.gradcheck import numerical_gradient

    return numerical_gradient(function, at, 1.0).values


# %% [markdown]
# ## Which parameters make the data least surprising?
#
# A *model* is a family of distributions $p(x \mid \theta)$. Once data are there, they stay what they are, and $\theta$
# is what moves. Read as a function of $\theta$, the same expression has another name, the *likelihood*
# $L(\theta; x) = p(x \mid \theta)$. It is no distribution over $\theta$: nothing makes it integrate to one. Bayes' rule
# makes a distribution of it, with a prior:
#
# $$
# p(\theta \mid x) = \frac{p(x \mid \theta) \, p(\theta)}{p(x)}
# $$
#
# If the prior is flat, the top of the posterior is the top of the likelihood: the *maximum likelihood* estimate
# $\theta^*$ (or one of several, if there are several tops). A prior that is not flat can count like a few more
# observations, and it matters less and less as data come in, unless it rules the truth out. A coin that showed 7 heads
# in 10 throws has it all:


# %%
def coin_posterior(heads: int, throws: int, prior: Callable[[np.ndarray], np.ndarray], cells: int = 10_000):
    """Return the midpoints of a fine grid over [0, 1], the likelihood there, and the posterior density."""
    theta = (np.arange(cells) + 0.5) / cells
    log_likelihood = heads * np.log(theta) + (throws - heads) * np.log1p(-theta)
    likelihood = np.exp(log_likelihood)
    posterior = likelihood * prior(theta) / np.mean(likelihood * prior(theta))  # p(x) is the mean over the grid
    return theta, likelihood, posterior


@lesson.step("Likelihood, prior, posterior")
def bayes(run: Run) -> None:
    theta, likelihood, flat = coin_posterior(7, 10, np.ones_like)
    run.claim("area under the likelihood of 7 heads in 10", likelihood.mean(), equals=1 / 1320, within=1e-9)
    run.claim("area under the posterior", flat.mean(), equals=1, within=1e-12)
    run.claim("top of the posterior, flat prior", theta[flat.argmax()], equals=0.7, within=1e-4)

    def fair(t: np.ndarray) -> np.ndarray:
        return 30 * t**2 * (1 - t) ** 2  # as if two heads and two tails had been seen before

    _, _, sceptical = coin_posterior(7, 10, fair)
    run.claim("with a prior worth 2 heads and 2 tails: 9/14", theta[sceptical.argmax()], equals=9 / 14, within=1e-4)
    _, _, later = coin_posterior(700, 1000, fair)
    run.claim("700 in 1000: what the same prior moves", 0.7 - theta[later.argmax()], equals=0.7 - 702 / 1004,
              within=1e-4)  # fmt: skip


# %% [markdown]
# ## Why the logarithm, and why the average
#
# For independent samples the likelihood is a product. Two thousand factors around 0.1 are nothing that a float can
# hold. The logarithm does not move the top, and makes a sum of the product. Divided by $n$, it no longer grows with the
# data: it estimates what one *new* sample will be worth,
#
# $$
# \hat{\ell}(\theta) = \frac{1}{n} \log L(\theta; x) = \frac{1}{n} \sum_i \log p(x_i \mid \theta)
# \;\longrightarrow\; \mathbb{E} \log p(x \mid \theta)
# $$
#
# Its negative is the loss of this whole lesson, the **NLL**, in *nats* (one nat is $1/\log 2 = 1.44$ bits). If the data
# come from $q$, the limit has a lower bound that no model can beat, the entropy of $q$, and the rest is the
# Kullback-Leibler divergence, zero only for the right distribution:
#
# $$
# -\mathbb{E}_q \log p = H(q) + \operatorname{KL}(q \,\|\, p)
# $$


# %%
@lesson.step("Why the logarithm, and why the average")
def why_the_logarithm(run: Run) -> None:
    x = run.rng.normal(2, 3, size=2000)
    densities = np.exp(-0.5 * ((x - 2) / 3) ** 2) / (3 * np.sqrt(2 * np.pi))
    run.claim("product of 2000 densities, in float64", np.prod(densities), equals=0.0)
    entropy = 0.5 * (LOG_2PI + 1) + np.log(3)
    run.claim("average NLL minus the entropy of N(2, 9)", -np.log(densities).mean() - entropy, within=(-0.1, 0.1))

    q, p = run.rng.dirichlet(np.full(5, 2.0), size=2)
    kl = (q * np.log(q / p)).sum()
    run.claim("five classes: -E log p - H(q) - KL", -(q * np.log(p)).sum() + (q * np.log(q)).sum() - kl, within=1e-14,
              equals=0)  # fmt: skip
    run.claim("the KL part is what the wrong p costs", kl, above=0)


# %% [markdown]
# ## Step 1: the Gaussian, and where the square comes from
#
# Let the model say: $y$ is Gaussian with mean $\mu$ and standard deviation $\sigma$. Take the logarithm of the density,
# with the sign turned:
#
# $$
# \text{NLL} = \frac{1}{2} \log 2\pi + \log \sigma + \frac{(y - \mu)^2}{2 \sigma^2}
# $$
#
# The last two terms pull at $\sigma$ in opposite directions. A narrow Gaussian is worth much when it hits, and a miss
# costs the square of the distance *in units of* $\sigma$. With $z = (y - \mu) / \sigma$, and $\log \sigma$ as the
# parameter (any number is allowed, and $\sigma$ stays positive), the average over $N$ samples has the gradients
#
# $$
# \frac{\partial}{\partial \mu_i} = \underbrace{-\frac{1}{N} \frac{y_i - \mu_i}{\sigma_i^2}}_{\text{pull}},
# \qquad
# \frac{\partial}{\partial \log \sigma_i}
# = \frac{1}{N} \Bigl( \underbrace{1}_{\text{width}} - \underbrace{z_i^2}_{\text{surprise}} \Bigr)
# $$
#
# with the terms **pull** for $\mu$, and **width** and **surprise** for $\log \sigma$. Each sample votes for a wider
# $\sigma$ if it lies more than one $\sigma$ away, and for a narrower one if it lies nearer.
#
# **Exercise: `gaussian_nll_backward`.** These two.


# %%
def gaussian_nll(y, mu, log_sigma):
    """Return the average NLL in nats of samples y under Gaussians; everything of shape (N,), or a number."""
    z = (y - mu) * np.exp(-log_sigma)
    return (0.5 * LOG_2PI + log_sigma + 0.5 * z**2).mean()


@lesson.exercise(hint="Write z = (y - mu) / sigma. How does z move with mu, and how with log(sigma)?")
def gaussian_nll_backward(dloss, y, mu, log_sigma):
    """Return the gradients of the average Gaussian NLL with respect to mu and to log(sigma).

    loss = mean over the samples of log_sigma + 0.5 * ((y - mu) / sigma)**2, where sigma = exp(log_sigma).

    Args:
        dloss: gradient with respect to the loss, a number.
        y: the observed values, shape (N,).
        mu: the mean of each sample's Gaussian, shape (N,).
        log_sigma: the logarithm of each sample's standard deviation, shape (N,).

    Returns:
        The tuple (dmu, dlog_sigma), each of shape (N,).
    """
    inv_sigma = np.exp(-log_sigma)
    z = (y - mu) * inv_sigma
    pull = -z * inv_sigma
    width, surprise = 1.0, -(z**2)
    return dloss / len(y) * pull, dloss / len(y) * (width + surprise)


def draw_gaussian(rng: np.random.Generator, N: int = 6) -> dict[str, Any]:
    mu, log_sigma = rng.normal(size=N), rng.uniform(-0.8, 0.8, N)
    return {"y": mu + 1.3 * np.exp(log_sigma) * rng.normal(size=N), "mu": mu, "log_sigma": log_sigma}


@lesson.step("Step 1: the Gaussian", terms=("pull", "width", "surprise"))
def the_gaussian(run: Run) -> None:
    y, mu, log_sigma = draw_gaussian(run.rng).values()
    dmu, dlog_sigma = gaussian_nll_backward(1.0, y, mu, log_sigma)
    run.claim("dmu", error(dmu, numerical(lambda m: gaussian_nll(y, m, log_sigma), mu)), below=1e-8)
    run.claim("dlog_sigma", error(dlog_sigma, numerical(lambda s: gaussian_nll(y, mu, s), log_sigma)), below=1e-8)


# %% [markdown]
# Hold $\sigma$ still, the same for all samples. Then only the square moves, and
#
# $$
# \text{NLL}(\mu) = \frac{1}{2 \sigma^2} \text{MSE}(\mu) + \text{const}
# $$
#
# > **Minimising squares is maximum likelihood under Gaussian noise of one fixed width.**
#
# The factor $1/(2\sigma^2)$ moves no minimum, so people leave it out. It returns as soon as a second term stands
# beside it: the same weight decay is a much stronger prior beside an MSE than beside the NLL of precise data.
#
# Let both move, one $\mu$ and one $\sigma$ for all. Where the gradients are zero, $\mu$ is the mean and $\sigma^2$ the
# sum of the squares around it, divided by $n$ and not by $n - 1$. So the "biased" estimate of the variance *is* the one
# of maximum likelihood.


# %%
def gaussian_by_gradient_descent(y: np.ndarray, steps: int = 800) -> tuple[float, float]:
    """Fit mu and sigma of one Gaussian by plain gradient descent on the NLL, without using the answer."""
    from minigrad import optim, tensor

    start = np.log(np.abs(y).max())  # wide, so that the first steps are not too long
    mu, log_sigma = tensor(np.zeros(()), requires_grad=True), tensor(np.array(start), requires_grad=True)
    data = tensor(y)
    optimizer = optim.SGD([mu, log_sigma], lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        (log_sigma + 0.5 * (((data - mu) * (-log_sigma).exp()) ** 2).mean()).backward()
        optimizer.step()
    return mu.item(), float(np.exp(log_sigma.item()))


@lesson.step("Step 1, continued: squares, mean and biased variance")
def squares(run: Run) -> None:
    y, mu, _ = draw_gaussian(run.rng).values()
    for sigma in (0.1, 1.0, 3.0):
        nll = gaussian_nll(y, mu, np.log(sigma))
        constant = gaussian_nll(np.zeros(1), np.zeros(1), np.log(sigma))
        scaled = ((y - mu) ** 2).mean() / (2 * sigma**2)
        run.claim(f"sigma {sigma:g}: (NLL - const) / (MSE / 2 sigma^2)", (nll - constant) / scaled, equals=1,
                  within=1e-12)  # fmt: skip
    dmu, _ = gaussian_nll_backward(1.0, y, mu, np.full_like(y, np.log(0.1)))
    slope_of_mse = numerical(lambda m: ((y - m) ** 2).mean(), mu)
    run.claim("sigma 0.1: gradient of the NLL / gradient of the MSE", (dmu / slope_of_mse).mean(), equals=50,
              within=1e-6)  # fmt: skip

    sample = run.rng.normal(2, 3, size=1000)
    mu_hat, sigma_hat = gaussian_by_gradient_descent(sample)
    run.claim("N(2, 9): mu by gradient descent - sample mean", mu_hat - sample.mean(), equals=0, within=1e-10)
    run.claim("sigma by gradient descent - biased std", sigma_hat - sample.std(), equals=0, within=1e-10)
    run.claim("and not the unbiased std: difference", sample.std(ddof=1) - sigma_hat, above=1e-3)


# %% [markdown]
# The square in the NLL also weighs samples. If every sample has a width of its own that is known, the maximum
# likelihood of a straight line is *weighted* least squares, each sample with weight $1/\sigma_i^2$: the precise ones
# decide.
#
# **Exercise: `weighted_line`.**


# %%
@lesson.exercise(hint="Set the derivatives of sum(((y - a*x - b) / sigma)**2) to zero; begin with the one for b.")
def weighted_line(x, y, sigma):
    """Return the line y = slope * x + intercept of maximum likelihood, for Gaussian noise of known widths.

    Args:
        x: shape (N,).
        y: the observed values, shape (N,).
        sigma: the standard deviation of each y, shape (N,).

    Returns:
        An array of shape (2,): slope and intercept.
    """
    weight = 1 / sigma**2
    x_mean, y_mean = (weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()
    slope = (weight * (x - x_mean) * (y - y_mean)).sum() / (weight * (x - x_mean) ** 2).sum()
    return np.array([slope, y_mean - slope * x_mean])


def draw_line(rng: np.random.Generator, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, sigma = rng.uniform(-1, 4, samples), np.exp(rng.uniform(-2, 1, samples))
    return x, 1.5 - 2 * x + sigma * rng.normal(size=samples), sigma


def line_by_least_squares(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return slope and intercept by numpy's lstsq on rows that are scaled by sqrt(weight)."""
    root = np.sqrt(weight)
    return np.linalg.lstsq(np.stack([root * x, root], axis=1), root * y, rcond=None)[0]


@lesson.step("Step 1, continued: weighted least squares")
def the_weighted_line(run: Run) -> None:
    x, y, sigma = draw_line(run.rng, 12)
    line = weighted_line(x, y, sigma)
    slope = numerical(lambda ab: gaussian_nll(y, ab[0] * x + ab[1], np.log(sigma)), line)
    run.claim("gradient of the NLL at the weighted line", np.abs(slope).max(), below=1e-6)
    gaps = []
    for _ in range(400):
        x, y, sigma = draw_line(run.rng, 12)
        plain = line_by_least_squares(x, y, np.ones_like(x))
        gaps.append([np.abs(weighted_line(x, y, sigma)[0] + 2), np.abs(plain[0] + 2)])
    weighted, plain = np.median(gaps, axis=0)
    run.claim("median error of the slope: weighted / unweighted", weighted / plain, within=(0.2, 0.8))


@lesson.check("weighted_line")
def _(candidate):
    rng = np.random.default_rng(1)
    problems = [draw_line(rng, samples) for samples in (5, 9, 9)]
    return Verdict.all(
        *(
            Verdict.from_arrays("line", candidate(*p), line_by_least_squares(*p[:2], p[2] ** -2.0), 1e-8)
            for p in problems
        )
    )


# %% [markdown]
# ## Step 2: Bernoulli, and binary cross-entropy
#
# Now $y$ is 0 or 1, and the network says the probability $p$ of a one. Both cases in one formula: $p^y (1-p)^{1-y}$.
# So
#
# $$
# \text{NLL} = -y \log p - (1 - y) \log(1 - p)
# $$
#
# which is binary cross-entropy, BCE. A network gives a number $s$ of any size, a *logit*, and $p = 1/(1 + e^{-s})$. Put
# it in, and the logarithms fold up:
#
# $$
# \text{NLL} = \log(1 + e^{s}) - y s = \max(s, 0) - y s + \log(1 + e^{-|s|})
# $$
#
# On paper the forms are one. A computer needs the last: it never overflows, and never takes the logarithm of zero. By
# way of $p$, $s = 40$ is too much: $1 - p$ is zero in float64, and a confident mistake costs infinity instead of 40.
#
# The derivative is $p - y$, and for one $p$ for all samples it is zero where $p$ is the mean of $y$.
#
# **Exercise: `bce_with_logits`.**


# %%
def sigmoid(s):
    return np.exp(-np.logaddexp(0, -s))


@lesson.exercise(hint="log(1 + exp(s)) overflows for large s. Take the larger of 0 and s out of the logarithm.")
def bce_with_logits(s, y):
    """Return the negative log-likelihood of each binary observation, to full precision for logits of any size.

    Args:
        s: the logits, shape (N,); the probability of y = 1 is 1 / (1 + exp(-s)).
        y: the observations, zeros and ones as floats, shape (N,).

    Returns:
        -log p(y), in nats, shape (N,); finite for every finite s.
    """
    return np.maximum(s, 0) - y * s + np.log1p(np.exp(-np.abs(s)))


def naive_bce(s, y):
    p = 1 / (1 + np.exp(-s))
    return -y * np.log(p) - (1 - y) * np.log(1 - p)


@lesson.step("Step 2: Bernoulli")
def bernoulli(run: Run) -> None:
    s, y = run.rng.normal(size=20) * 2, (run.rng.random(20) < 0.5) * 1.0
    run.claim("BCE with logits, against -log of the probability", error(bce_with_logits(s, y), naive_bce(s, y)),
              below=1e-13)  # fmt: skip
    slope = numerical(lambda s: bce_with_logits(s, y).sum(), s)
    run.claim("its derivative, against p - y", error(sigmoid(s) - y, slope), below=1e-8)
    confident, wrong = np.array([40.0]), np.array([0.0])
    with np.errstate(divide="ignore"):
        run.claim("s = 40, y = 0, by the formula with p", float(naive_bce(confident, wrong)[0]) == np.inf, equals=True)
    run.claim("the same, by the stable form", bce_with_logits(confident, wrong)[0], equals=40.0)

    throws = np.repeat([1.0, 0.0], [13, 27])
    logit = 0.0
    for _ in range(200):  # gradient descent; the curvature is at most 1/4
        logit -= 4 * float((sigmoid(logit) - throws).mean())
    run.claim("13 ones in 40: p of maximum likelihood", sigmoid(logit), equals=13 / 40, within=1e-12)


@lesson.check("bce_with_logits")
def _(candidate):
    rng = np.random.default_rng(2)
    s = rng.normal(size=24) * 3
    y = np.tile([0.0, 1.0], 12)
    moderate = Verdict.from_arrays("loss", candidate(s, y), np.logaddexp(0, s) - y * s, 1e-12)
    large = np.array([-1e4, -800.0, -45.0, 45.0, 800.0, 1e4])
    verdicts = [moderate]
    for label, name in ((0.0, "loss at large s, y = 0"), (1.0, "loss at large s, y = 1")):
        want = np.logaddexp(0, large) - label * large
        verdicts.append(Verdict.from_arrays(name, candidate(large, np.full(6, label)), want, 1e-12))
    small = np.array([30.0, 34.0])  # p rounds to nearly 1, but the loss is not 0
    sure = Verdict.from_arrays("loss at s = 30 and 34, y = 1", candidate(small, np.ones(2)), np.exp(-small), 1e-8)
    return Verdict.all(*verdicts, sure)


# %% [markdown]
# ## Step 3: categories, and cross-entropy
#
# With $C$ classes, probabilities $p_c = e^{s_c} / \sum_k e^{s_k}$ and the observed class $t$, the likelihood is $p_t$:
#
# $$
# \text{NLL} = \log \sum_k e^{s_k} - s_t
# $$
#
# "Cross-entropy" is this averaged over the samples, and that is all. Two classes with logits $0$ and $s$ give BCE. The
# derivative with respect to $s_c$ is $p_c - [c = t]$. It was derived in the lesson `backward_passes`.


# %%
def log_softmax(s: np.ndarray) -> np.ndarray:
    shifted = s - s.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def cross_entropy(s: np.ndarray, labels: np.ndarray) -> float:
    """Return the average NLL of the labels (N,) under the logits (N, C)."""
    return float(-log_softmax(s)[np.arange(len(labels)), labels].mean())


@lesson.step("Step 3: categories")
def categorical(run: Run) -> None:
    s, labels = run.rng.normal(size=(6, 4)), run.rng.integers(0, 4, 6)
    powers = np.exp(s)
    likelihood = np.prod(powers[np.arange(6), labels] / powers.sum(axis=1))
    run.claim("cross-entropy, against -log(product of probabilities) / N", cross_entropy(s, labels),
              equals=-np.log(likelihood) / 6, within=1e-13)  # fmt: skip
    logits, y = run.rng.normal(size=9), run.rng.integers(0, 2, 9)
    pairs = np.stack([np.zeros(9), logits], axis=1)
    run.claim("two classes with logits 0 and s, minus BCE", cross_entropy(pairs, y) - bce_with_logits(logits, y).mean(),
              equals=0, within=1e-15)  # fmt: skip

    counts = np.array([3, 1, 4, 2])
    seen = np.repeat(np.arange(4), counts)
    best = np.log(counts / 10)[None]
    shares = counts / 10
    run.claim("one p for all: NLL at the class frequencies, minus their entropy",
              cross_entropy(np.repeat(best, 10, 0), seen) + (shares * np.log(shares)).sum(), equals=0,
              within=1e-14)  # fmt: skip
    others = best + run.rng.normal(size=(200, 4)) * 0.3
    worse = [cross_entropy(np.repeat(one[None], 10, 0), seen) - cross_entropy(np.repeat(best, 10, 0), seen)
             for one in others]  # fmt: skip
    run.claim("least NLL of 200 other p, minus that", min(worse), above=0)


# %% [markdown]
# ## Step 4: one gradient for all of them
#
# Three times the same thing came out: $\mu - y$ for the Gaussian with $\sigma = 1$, $p - y$, and $p_c - [c = t]$.
# **Prediction minus observation.** That is no accident. All three have the form
#
# $$
# \log p(y \mid s) = y s - A(s) + \text{terms without } s
# $$
#
# and since probabilities add up to one for every $s$, the derivative of $A$ must be the mean of $y$ under the model.
# So the derivative of the NLL is $\mathbb{E}[y] - y$ for every distribution of this form. (Laplace, in the table below,
# is not of this form.) To make a loss for a new kind of data you only need its distribution. Counts, for example: a
# Poisson distribution with rate $\lambda = e^{s}$ has
#
# $$
# \text{NLL} = e^{s} - y s + \log y!, \qquad
# \bar{s}_i = \frac{\bar{L}}{N} \Bigl( \underbrace{e^{s_i}}_{\text{rate}} - \underbrace{y_i}_{\text{count}} \Bigr)
# $$
#
# with the terms **rate** and **count**.
#
# **Exercise: `poisson_nll_backward`.**


# %%
@lesson.exercise(hint="The loss has two terms; which of them does s enter by its exponential?")
def poisson_nll_backward(dloss, y, s):
    """Return the gradient of the average Poisson NLL with respect to the logarithm of the rate.

    loss = mean over the samples of exp(s) - y * s.

    Args:
        dloss: gradient with respect to the loss, a number.
        y: the observed counts, shape (N,).
        s: the logarithm of each sample's rate, shape (N,).

    Returns:
        ds, shape (N,).
    """
    rate = np.exp(s)
    count = -y
    return dloss / len(y) * (rate + count)


def draw_counts(rng: np.random.Generator, N: int = 6) -> dict[str, Any]:
    s = rng.uniform(-0.5, 2.0, N)
    return {"y": rng.poisson(np.exp(s)).astype(float) + 1, "s": s}


def loss_curves() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return a range of network outputs, and for each distribution the losses there, one row for each parameter."""
    s = np.linspace(-4, 4, 161)
    sigmas = np.array([0.5, 1.0, 2.0])[:, None]
    three = np.stack([s, 0 * s, 0 * s], axis=1)
    return s, {
        "gaussian": 0.5 * LOG_2PI + np.log(sigmas) + 0.5 * (s / sigmas) ** 2,
        "bernoulli": np.stack([bce_with_logits(s, 0.0), bce_with_logits(s, 1.0)]),
        "categorical": -log_softmax(three)[:, :2].T,
        "poisson": np.stack([np.exp(s) - y * s + log_y for y, log_y in ((0, 0.0), (2, np.log(2)), (6, np.log(720)))]),
    }


@lesson.step("Step 4: prediction minus observation", terms=("rate", "count"))
def prediction_minus_observation(run: Run) -> None:
    y, s = draw_counts(run.rng).values()
    want = numerical(lambda s: (np.exp(s) - y * s).mean(), s)
    run.claim("Poisson: ds", error(poisson_nll_backward(1.0, y, s), want), below=1e-8)
    # A is the logarithm of what normalises; its slope is the mean, here by summing over all counts.
    counts = np.arange(80)
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(counts[1:]))])
    weights = np.exp(counts[:, None] * s - log_factorial[:, None])
    mean = (counts[:, None] * weights).sum(axis=0) / weights.sum(axis=0)
    run.claim("log of the normaliser, against exp(s)", error(np.log(weights.sum(axis=0)), np.exp(s)), below=1e-12)
    run.claim("mean of the distribution, against exp(s)", error(mean, np.exp(s)), below=1e-12)
    run.table(
        "From the distribution to the loss; the gradient is with respect to what the network puts out",
        ("distribution", "the network says", "-log p(y)", "its usual name", "gradient", "one answer for all: best is"),
        [
            ("Gaussian, sigma fixed", "mu", "(y - mu)^2 / (2 sigma^2)", "MSE (times 1/(2 sigma^2))",
             "(mu - y) / sigma^2", "the mean"),
            ("Gaussian", "mu, log sigma", "log sigma + z^2 / 2", "Gaussian NLL", "-z / sigma, 1 - z^2",
             "mean, biased std"),
            ("Laplace, b fixed", "m", "|y - m| / b", "L1", "-sign(y - m) / b", "the median"),
            ("Bernoulli", "s", "log(1 + e^s) - y s", "BCE with logits", "p - y", "share of ones"),
            ("categorical", "s_1 .. s_C", "log sum e^s - s_t", "cross-entropy", "p - one-hot", "class frequencies"),
            ("Poisson", "s", "e^s - y s", "Poisson NLL", "e^s - y", "log of the mean"),
        ],
    )  # fmt: skip
    outputs_shown, losses = loss_curves()
    run.figure(
        "mle-losses",
        figures.draw_losses(outputs_shown, losses),
        alt="Four distributions above, the losses that they become below: a parabola whose width is that of the "
        "Gaussian, two mirrored ramps for Bernoulli, one ramp for a class, and an exponential minus a line for counts.",
        data={"predictions": outputs_shown, **{f"loss of {name}": values for name, values in losses.items()}},
    )


# %% [markdown]
# ## Errata
#
# The post is short, and its losses follow as it says. Two of its words and one of its formulas need a correction.
#
# **The likelihood is a density.** For continuous variables the post calls it "the value of the probability
# distribution function". The name is used loosely, but the *distribution function* of a variable is the cumulative one,
# $P(X \le x)$, and that is no likelihood: it is largest when the model puts everything to the left of all the data, so
# there is no best $\theta$ at all. It must be the density. A density is no probability, it can exceed one, and so an
# NLL can be negative without anything being wrong.


# %%
def normal_cdf(z: np.ndarray) -> np.ndarray:
    from minigrad import erf, tensor

    values: np.ndarray = 0.5 * (1 + erf(tensor(np.asarray(z) / np.sqrt(2))).numpy())
    return values


@lesson.erratum(
    "W",
    "the likelihood of a continuous variable is the density, not the distribution function",
    printed="when we are dealing with continuous random variables, the likelihood function is the value of the "
    "probability distribution function",
    right="... the value of the probability density function",
)
def density_not_distribution(run: Run) -> None:
    y = np.random.default_rng(9).normal(2, 3, size=100)
    run.claim("the distribution function of N(0, 1) at 1.645", normal_cdf(np.array(1.645)), equals=0.95, within=1e-4)
    mu = np.linspace(-25, 25, 5001)  # in steps of 0.01
    z = (y - mu[:, None]) / 3
    with np.errstate(divide="ignore"):  # far to the right, the distribution function is zero to the last bit
        scores = {"cdf": np.log(normal_cdf(z)).sum(axis=1), "density": (-0.5 * z**2).sum(axis=1)}
    best = {name: float(mu[values.argmax()]) for name, values in scores.items()}
    gap = run.results["cdf gap"] = abs(best["cdf"] - y.mean())
    run.refuted("distribution function: distance of the best mu from the mean of the sample", gap, above=10)
    run.claim("density: the same distance, on a grid of 0.01", abs(best["density"] - y.mean()), below=0.006)
    run.claim("a density above one: N(0, 0.1) at its top", 1 / (0.1 * np.sqrt(2 * np.pi)), equals=3.989, within=1e-3)
    run.claim("and the NLL there", gaussian_nll(np.zeros(1), np.zeros(1), np.log(0.1)), below=0)


# %% [markdown]
# **A draw from what $f$ says.** The post writes $y_{\text{new}} \sim f_{\theta^*}(x_{\text{new}})$, but $f$ returns the
# numbers $\mu$ and $\sigma$, and one cannot draw from two numbers. What is meant is
#
# $$
# y_{\text{new}} \sim p(\,\cdot \mid f_{\theta^*}(x_{\text{new}}))
# $$
#
# The network itself is as deterministic as ever; all the randomness is in the last step.


# %%
def two_heads(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A network of two outputs that needs no training: mu and sigma."""
    return np.sin(x), 0.1 + 0.2 * np.abs(x)


@lesson.erratum(
    "N",
    "f gives parameters; y is drawn from the distribution that they name",
    printed="y_new ~ f(x_new)",
    right="y_new ~ p(. | f(x_new))",
)
def drawn_from_p(run: Run) -> None:
    x = np.full(4000, 1.5)
    mu, sigma = two_heads(x)
    y = mu + sigma * run.rng.normal(size=4000)
    run.claim("f(x_new), asked 4000 times: different answers", len(set(zip(mu, sigma, strict=True))), equals=1)
    run.claim("draws from p(. | f(x_new)): different answers", len(set(y)), equals=4000)
    run.claim("standard deviation of the draws / sigma", y.std() / sigma[0], within=(0.94, 1.06))


# %% [markdown]
# **What must be independent.** The product $\prod_i p(y_i \mid f(x_i))$ is said to follow from i.i.d. *inputs*. What is
# needed is that the $y_i$ are independent of each other *given* the $x_i$, and that each depends on its own $x_i$
# alone. (If the pairs $(x_i, y_i)$ are i.i.d., that follows; perhaps it was meant.) The inputs themselves may depend on
# each other as they like, as in a video, and independent inputs do not help if the targets share their noise, as when
# one badly calibrated instrument has measured them all. Two small tables with four binary variables decide it:


# %%
def product_gap(joint: np.ndarray) -> tuple[float, float]:
    """How far a joint table p(x1, x2, y1, y2) is from two kinds of independence.

    Returns:
        the largest |p(y1, y2 | x1, x2) - p(y1 | x1) p(y2 | x2)|, and the largest |p(x1, x2) - p(x1) p(x2)|.
    """
    of_x = joint.sum(axis=(2, 3))
    first, second = joint.sum(axis=(1, 3)), joint.sum(axis=(0, 2))  # p(x1, y1) and p(x2, y2)
    first, second = first / first.sum(axis=1, keepdims=True), second / second.sum(axis=1, keepdims=True)
    given = joint / of_x[:, :, None, None]
    gap = np.abs(given - np.einsum("ac,bd->abcd", first, second)).max()
    return float(gap), float(np.abs(of_x - np.outer(of_x.sum(axis=1), of_x.sum(axis=0))).max())


def dependent_inputs() -> np.ndarray:
    """x2 repeats x1 with probability 0.9; each y is a coin of its own, with a probability that x decides."""
    of_x = np.array([[0.45, 0.05], [0.05, 0.45]])
    first, second = np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([[0.6, 0.4], [0.1, 0.9]])  # p(y1 | x1), p(y2 | x2)
    return np.einsum("ab,ac,bd->abcd", of_x, first, second)


def shared_noise() -> np.ndarray:
    """x1 and x2 are independent coins; y is x, turned round by one coin (probability 0.3) that both y share."""
    joint = np.zeros((2, 2, 2, 2))
    for x1 in range(2):
        for x2 in range(2):
            joint[x1, x2, x1, x2] += 0.25 * 0.7
            joint[x1, x2, 1 - x1, 1 - x2] += 0.25 * 0.3
    return joint


@lesson.erratum(
    "W",
    "the targets must be independent given the inputs; the inputs need not be",
    printed="If we assume that our inputs are independent and identically distributed (i.i.d), we can obtain the "
    "following: p(y|f(x)) = prod_i p(y_i|f(x_i))",
    right="if the y_i are independent given the x_i, each depending on its own x_i: p(y|f(x)) = prod_i p(y_i|f(x_i))",
)
def conditional_independence(run: Run) -> None:
    gap, dependence = product_gap(dependent_inputs())
    run.claim("dependent inputs: |p(x1, x2) - p(x1) p(x2)|", dependence, equals=0.2, within=1e-12)
    run.claim("and yet |p(y1, y2 | x) - product|", gap, below=1e-15)
    gap, dependence = product_gap(shared_noise())
    run.results["shared noise gap"] = gap
    run.claim("i.i.d. inputs, shared noise: |p(x1, x2) - p(x1) p(x2)|", dependence, equals=0.0)
    run.refuted("i.i.d. inputs give the product: |p(y1, y2 | x) - product|", gap, above=0.2)


# %% [markdown]
# ## The experiment: a network that says how sure it is
#
# The data: $x$ uniform on $[-3, 3]$, a wave as the mean, and noise whose width grows tenfold from left to right. One
# network has two outputs, $\mu$ and $\log \sigma$, and minimises the Gaussian NLL. Its twin has the same hidden layers,
# one output, and minimises squares. The twin gets the one $\sigma$ that maximum likelihood gives it: the root mean
# square of its residuals on the training data.
#
# Both are judged on new data, by the average NLL in nats. The entropy of the noise is what a perfect model would get.


# %%
class Forecast(NamedTuple):
    """A Gaussian for each sample: mean and standard deviation, each of shape (N,)."""

    mu: np.ndarray
    sigma: np.ndarray

    def nll(self, y: np.ndarray) -> float:
        return float(gaussian_nll(y, self.mu, np.log(self.sigma)))

    def pit(self, y: np.ndarray) -> np.ndarray:
        """The probability integral transform: the probability that the forecast gave to values below y."""
        return normal_cdf((y - self.mu) / self.sigma)


def truth(x: np.ndarray) -> Forecast:
    """The distribution that the data come from."""
    return Forecast(np.sin(1.5 * x) + 0.3 * x, 0.05 + 0.45 * sigmoid(2 * x))


def draw_noisy(rng: np.random.Generator, samples: int, low: float = -3, high: float = 3):
    x = rng.uniform(low, high, samples)
    mu, sigma = truth(x)
    return x, mu + sigma * rng.normal(size=samples)


def as_column(x: np.ndarray) -> np.ndarray:
    return x[:, None].astype(np.float32)


def gaussian_loss(out: Tensor, y: Tensor) -> Tensor:
    """The average Gaussian NLL of a network with the outputs mu and log sigma, (N, 2), for minigrad."""
    z = (y - out[:, 0]) * (-out[:, 1]).exp()
    return 0.5 * LOG_2PI + (out[:, 1] + 0.5 * z**2).mean()


def squares_loss(out: Tensor, y: Tensor) -> Tensor:
    return ((y - out[:, 0]) ** 2).mean()


def train_regression(
    x: np.ndarray, y: np.ndarray, heads: int, epochs: int, seed: int, batch_size: int = 100
) -> nn.Sequential:
    """Train 1-32-32-heads with tanh: by the Gaussian NLL for two heads, by squares for one; the steps shrink to 0."""
    import minigrad as mg
    from minigrad import nn, optim

    mg.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, heads)
    )  # fmt: skip
    inputs, targets = as_column(x), y.astype(np.float32)
    loss = gaussian_loss if heads == 2 else squares_loss
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    steps = epochs * (len(x) // min(batch_size, len(x)))
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    fit(
        lambda rows: loss(model(mg.tensor(inputs[rows])), mg.tensor(targets[rows])),
        optimizer,
        len(x),
        rng=np.random.default_rng(seed),
        batch_size=batch_size,
        epochs=range(epochs),
        after_step=schedule.step,
    )
    return model


def forecast(model: nn.Module, x: np.ndarray, sigma: float | None = None) -> Forecast:
    """What a network says about x; `sigma` is the width of a network without a second output."""
    out = outputs(model, as_column(x)).astype(float)
    return Forecast(out[:, 0], np.exp(out[:, 1]) if sigma is None else np.full(len(x), sigma))


def train_twins(seed: int, samples: int, epochs: int):
    """Draw data, train both networks on them, and return (from x to forecast of the one, of the other, x, y)."""
    x, y = draw_noisy(np.random.default_rng([seed, 0]), samples)
    own = train_regression(x, y, 2, epochs, seed)
    fixed = train_regression(x, y, 1, epochs, seed)
    width = float(np.sqrt(np.mean((y - forecast(fixed, x, 1.0).mu) ** 2)))
    return (lambda at: forecast(own, at)), (lambda at: forecast(fixed, at, width)), x, y


# %% [markdown]
# ### Is what it says true?
#
# A forecast is **calibrated** if its intervals hold what they promise: of the 90 % intervals, 90 % should contain the
# $y$ that comes. All levels at once are seen in the probability integral transform, $u = F(y)$ with $F$ the cumulative
# distribution of the forecast. If the forecasts are true, $u$ is uniform on $[0, 1]$, and $y$ lies in the central
# interval of level $c$ exactly when $|2u - 1| < c$.
#
# Watch the twin here. Its 90 % intervals contain nearly 90 % *of all samples*, and whoever checks only that is content.
# They contain nearly every sample on the quiet side and too few on the noisy side: the two errors make up for each
# other. An average over all the data cannot see that, so we also look at each side by itself.


# %%
LEVELS = np.linspace(0.05, 0.95, 19)
BINS = np.linspace(-3, 3, 7)
WHO = ("own sigma", "fixed sigma")


def coverage(pit: np.ndarray, level: float) -> float:
    """Return the share of samples inside their central interval of this level."""
    return float((np.abs(2 * pit - 1) < level).mean())


class Judged(NamedTuple):
    """One seed's forecasts on new data, for each of WHO: NLL, coverage at LEVELS, 90 % by bin, PIT histogram."""

    nll: np.ndarray
    covered: np.ndarray
    by_bin: np.ndarray
    histogram: np.ndarray
    best: float  # the NLL of the distribution that the data come from


def judge(forecasters: tuple[Callable[[np.ndarray], Forecast], ...], x: np.ndarray, y: np.ndarray) -> Judged:
    forecasts = [one(x) for one in forecasters]
    pits = [one.pit(y) for one in forecasts]
    place = np.clip(np.digitize(x, BINS) - 1, 0, len(BINS) - 2)
    return Judged(
        nll=np.array([one.nll(y) for one in forecasts]),
        covered=np.array([[coverage(pit, level) for level in LEVELS] for pit in pits]),
        by_bin=np.array([[coverage(pit[place == k], 0.9) for k in range(len(BINS) - 1)] for pit in pits]),
        histogram=np.array([np.histogram(pit, bins=20, range=(0, 1), density=True)[0] for pit in pits]),
        best=truth(x).nll(y),
    )


def covered_by(scores: list[Judged]) -> np.ndarray:
    return np.array([one.covered for one in scores])


def bins_by(scores: list[Judged]) -> np.ndarray:
    return np.array([one.by_bin for one in scores])


def histograms_by(scores: list[Judged]) -> np.ndarray:
    return np.array([one.histogram for one in scores])


def shown_fit(twins: list[Any], x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The arrays of the figure: some training data, both forecasts on a grid, draws from the first at the same x."""
    x, y = x[:400], y[:400]
    grid = np.linspace(-3, 3, 200)
    own, fixed = twins
    at = own(x)
    return {
        "x": x, "y": y, "grid": grid, "truth": np.array(truth(grid)), "own": np.array(own(grid)),
        "fixed": np.array(fixed(grid)), "drawn": at.mu + at.sigma * rng.normal(size=len(x)),
    }  # fmt: skip


def report_forecasts(run: Run, scores: list[Judged]) -> None:
    """Claim what the experiment must show, and say the rest with its margins."""
    nll = np.array([one.nll for one in scores])
    best = np.array([one.best for one in scores])
    gain = nll[:, 1] - nll[:, 0]
    run.results["gain"], run.results["nll"], run.results["best"] = gain, nll, best
    quiet, noisy = bins_by(scores)[:, :, :2].mean(axis=2), bins_by(scores)[:, :, -2:].mean(axis=2)
    at_90 = covered_by(scores)[:, :, int(np.abs(LEVELS - 0.9).argmin())]
    run.results["coverage"] = {"all": at_90, "quiet": quiet, "noisy": noisy}
    run.table(
        f"New data, mean of {len(scores)} seeds with 95 % interval; NLL in nats, coverage of 90 % intervals in percent",
        ("forecast", "NLL", "all samples", "x < -1 (quiet)", "x > 1 (noisy)"),
        [
            *((name, with_margin(nll[:, k], 3), with_margin(100 * at_90[:, k]), with_margin(100 * quiet[:, k]),
               with_margin(100 * noisy[:, k])) for k, name in enumerate(WHO)),
            ("the true distribution", with_margin(best, 3), "90", "90", "90"),
        ],
    )  # fmt: skip
    run.note(
        f"Its own sigma is worth {with_margin(gain, 3)} nats a sample, seed by seed, so new data are "
        f"{np.exp(gain.mean()):.1f} times as likely, each. What is left to the true distribution is "
        f"{with_margin(nll[:, 0] - best, 3)} nats."
    )
    run.claim("NLL of the twin minus own sigma, least of all seeds", gain.min(), above=0.3)
    run.claim("NLL of own sigma minus that of the truth, least of all seeds", (nll[:, 0] - best).min(), above=0)
    run.claim("twin, all samples: coverage of 90 %", at_90[:, 1].mean(), within=(0.85, 0.93))
    run.claim("twin, quiet side", quiet[:, 1].mean(), above=0.98)
    run.claim("twin, noisy side", noisy[:, 1].mean(), below=0.8)
    run.claim("own sigma, quiet side", quiet[:, 0].mean(), within=(0.8, 0.97))
    run.claim("own sigma, noisy side", noisy[:, 0].mean(), within=(0.8, 0.97))


@lesson.experiment("A network that says how sure it is")
@one_thread()
def how_sure(run: Run) -> None:
    samples = 1000
    epochs = run.pick(quick=30, default=120, full=400)
    seeds = [run.seed + k for k in range(run.pick(quick=3, default=10, full=30))]
    scores: list[Judged] = []
    shown: dict[str, np.ndarray] = {}
    for seed in run.progress(seeds, "training twins"):
        *twins, x, y = train_twins(seed, samples, epochs)
        new_x, new_y = draw_noisy(np.random.default_rng([seed, 1]), 5000)
        scores.append(judge(tuple(twins), new_x, new_y))
        if not shown:
            shown = shown_fit(twins, x, y, np.random.default_rng([seed, 2]))
    report_forecasts(run, scores)
    run.figure(
        "mle-fit",
        figures.draw_fit(shown),
        alt="Left: the fit with its own sigma, a band that widens from left to right with the scatter of the data. "
        "Middle: the twin's band has one width, too wide on the left and too narrow on the right. Right: samples drawn "
        "from the first network look like the data.",
        data=shown,
    )
    run.figure(
        "mle-calibration",
        figures.draw_calibration(LEVELS, BINS, WHO, covered_by(scores), bins_by(scores), histograms_by(scores)),
        alt="Promised against measured coverage, coverage of 90 % intervals by region, and histograms of the "
        "probability integral transform. Overall both networks look calibrated; by region only the one with its own "
        "sigma does.",
        data={"levels": LEVELS, "covered": covered_by(scores), "bins": BINS, "by_bin": bins_by(scores),
              "histogram": histograms_by(scores)},
    )  # fmt: skip


# %% [markdown]
# The two pictures of the post, redrawn. Above, how networks are usually explained: a function, and a loss that compares
# two numbers. Below, what the same network is when its loss is an NLL.


# %%
@lesson.step("Two pictures of one network")
def two_pictures(run: Run) -> None:
    grid = np.linspace(-3, 3, 301)
    density = np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi)
    run.figure(
        "mle-two-views",
        figures.draw_views(grid, density),
        alt="Above: x goes into a network, a number comes out and is compared with y. Below: x goes into the network, "
        "mu and sigma come out, they name a density, and the loss is minus the logarithm of its height at y.",
        data={"grid": grid, "density": density},
    )
    area = density.sum() * (grid[1] - grid[0])
    run.claim("area under the density that is drawn", area, equals=1, within=0.01)


# %% [markdown]
# ## Real data: are a classifier's probabilities true?
#
# A network that reads digits is the categorical case: its softmax is a distribution, and cross-entropy fits it by
# maximum likelihood. So the same question can be put to it. Of all the digits about which it says "90 %", nine in ten
# should be right.
#
# We look at one network twice: after a few passes over the 5,000 training digits, and after many. By then it gets
# nearly every training digit right, and the likelihood of the *training* data can hardly grow but by larger logits. So
# they grow. On test digits the accuracy changes little, and the promises become too large.
#
# One number repairs most of it: divide all the logits by a *temperature* $T$, which changes no decision. And how to
# choose $T$? By maximum likelihood, on digits that the network has not seen ([On Calibration of Modern Neural
# Networks][guo] by Chuan Guo, Geoff Pleiss, Yu Sun and Kilian Weinberger, 2017). We fit it on one half of the test
# digits and judge it on the other.
#
# [guo]: https://arxiv.org/abs/1706.04599


# %%
class Reading(NamedTuple):
    """What a network says about the test digits: its logits (N, 10) early and late, and the late training NLL."""

    early: np.ndarray
    late: np.ndarray
    training_nll: float


def train_reader(digits: Digits, epochs: tuple[int, int], seed: int) -> Reading:
    """Train 784-64-10 for some epochs, look at it, and train on."""
    import minigrad as mg
    import minigrad.nn.functional as F
    from minigrad import nn, optim

    mg.manual_seed(seed)
    model = nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = optim.Adam(model.parameters(), lr=4e-3)
    rng = np.random.default_rng(seed)

    def loss(rows: np.ndarray) -> Tensor:
        return F.cross_entropy(model(mg.tensor(digits.images[rows])), mg.tensor(digits.labels[rows]))

    looks = []
    for count in (epochs[0], epochs[1] - epochs[0]):
        fit(loss, optimizer, len(digits.labels), rng=rng, batch_size=100, epochs=range(count))
        looks.append(outputs(model, digits.test_images).astype(float))
    on_training = outputs(model, digits.images).astype(float)
    return Reading(*looks, cross_entropy(on_training, digits.labels))


def best_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature of maximum likelihood, on a grid of 1 % steps from 0.37 to 20."""
    grid = np.exp(np.linspace(-1, 3, 401))
    return float(grid[np.argmin([cross_entropy(logits / t, labels) for t in grid])])


def reliability(logits: np.ndarray, labels: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort answers by the probability that the network gave them: count, mean probability and share right by bin."""
    p = np.exp(log_softmax(logits))
    promised, right = p.max(axis=1), p.argmax(axis=1) == labels
    place = np.clip(np.digitize(promised, edges) - 1, 0, len(edges) - 2)
    count = np.bincount(place, minlength=len(edges) - 1)
    with np.errstate(invalid="ignore"):
        sums = (np.bincount(place, weights, len(edges) - 1) for weights in (promised, right * 1.0))
        mean_promise, share_right = (total / count for total in sums)
    return count, mean_promise, share_right


def overconfidence(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean probability of the answers, minus the share that is right."""
    p = np.exp(log_softmax(logits))
    return float(p.max(axis=1).mean() - (p.argmax(axis=1) == labels).mean())


def pooled(bins: dict[str, list[np.ndarray]], which: int) -> np.ndarray:
    """The counts (which=0), mean promises (1) or shares right (2) of all networks together: a row for each look."""
    result = []
    for looks in bins.values():
        stacked = np.array(looks)
        count = stacked[:, 0].sum(axis=0)
        if which == 0:
            result.append(count)
        else:
            with np.errstate(invalid="ignore"):
                result.append(np.nansum(stacked[:, 0] * stacked[:, which], axis=0) / count)
    return np.array(result)


@lesson.experiment("Are a classifier's probabilities true?")
@one_thread()
def digits_probabilities(run: Run) -> None:
    digits = load_digits(full=run.size == "full")
    labels = digits.test_labels
    epochs = run.pick(quick=(2, 12), default=(4, 40), full=(2, 30))
    seeds = [run.seed + k for k in range(run.pick(quick=3, default=5, full=5))]
    edges = np.array([0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0])
    half, other = np.arange(0, len(labels), 2), np.arange(1, len(labels), 2)
    rows: dict[str, list[list[float]]] = {"early": [], "late": [], "late, divided by T": []}
    bins: dict[str, list[np.ndarray]] = {name: [] for name in rows}
    temperatures, training = [], []
    for seed in run.progress(seeds, "training readers"):
        reading = train_reader(digits, epochs, seed)
        temperature = best_temperature(reading.late[half], labels[half])
        temperatures.append(temperature)
        training.append(reading.training_nll)
        looks = (reading.early, reading.late, reading.late / temperature)
        for name, logits in zip(rows, looks, strict=True):
            logits, right = logits[other], labels[other]
            share = float((logits.argmax(axis=1) == right).mean())
            rows[name].append([share, cross_entropy(logits, right), overconfidence(logits, right)])
            bins[name].append(np.array(reliability(logits, right, edges)))
    values = {name: np.array(one) for name, one in rows.items()}
    run.results["digits"], run.results["temperatures"] = values, temperatures
    run.table(
        f"Half of the test digits, mean of {len(seeds)} networks with 95 % interval; T was fitted on the other half",
        ("784-64-10", "right in %", "NLL in nats", "promised minus right, points"),
        [
            (name if name != "early" else f"early ({epochs[0]} epochs)", with_margin(100 * one[:, 0]),
             with_margin(one[:, 1], 3), with_margin(100 * one[:, 2])) for name, one in values.items()
        ],
    )  # fmt: skip
    saved = values["late"][:, 1] - values["late, divided by T"][:, 1]
    run.results["saved by T"] = saved
    run.note(
        f"After {epochs[1]} epochs the NLL on the training digits is {with_margin(training, 4)}. The temperatures are "
        f"{with_margin(temperatures, 2)}, and dividing by them saves {with_margin(saved, 3)} nats on digits that chose "
        "neither weights nor T."
    )
    run.claim("NLL on training digits, late, largest", max(training), below=0.05)
    run.claim("test digits: late, promised minus right", values["late"][:, 2].mean(), above=0.01)
    run.claim("least temperature", min(temperatures), above=1.15)
    run.claim("NLL that the temperature saves, mean", saved.mean(), above=0.005)
    run.claim("answers that it changes",
              float(np.abs(values["late"][:, 0] - values["late, divided by T"][:, 0]).max()), equals=0.0)  # fmt: skip
    counts, promised, right = (pooled(bins, k) for k in range(3))
    run.figure(
        "mle-digits",
        figures.draw_reliability(list(rows), counts, promised, right),
        alt="Share of right answers over promised probability for digits. The late network lies below the diagonal, "
        "the same with a temperature lies near it.",
        data={"edges": edges, "count": counts, "promised": promised, "right": right},
    )


# %% [markdown]
# ## Against minigrad and PyTorch
#
# PyTorch's losses are these likelihoods, up to constants that move no gradient. `gaussian_nll_loss` leaves out
# $\frac{1}{2} \log 2\pi$ unless `full=True`, takes the *variance* and never lets it fall below $10^{-6}$;
# `poisson_nll_loss` leaves out $\log y!$.


# %%
@lesson.compare("PyTorch")
def against_torch(run: Run) -> None:
    import minigrad as mg
    import minigrad.nn.functional as F

    saved = recorded_by_torch(lesson)
    y, mu, log_sigma, s, ones, scores, labels, counts = (
        saved[name] for name in ("y", "mu", "log_sigma", "s", "ones", "scores", "labels", "counts")
    )
    ours = {
        "gaussian": gaussian_nll(y, mu, log_sigma),
        "bce": bce_with_logits(s, ones).mean(),
        "cross_entropy": cross_entropy(scores, labels),
        "poisson": (np.exp(mu) - counts * mu).mean(),  # mu serves as the logarithm of a rate here
    }
    live: dict[str, Callable[[Any], Any]] = {
        "gaussian": lambda t: t.nn.functional.gaussian_nll_loss(
            *map(t.tensor, (mu, y, np.exp(2 * log_sigma))), full=True
        ),
        "bce": lambda t: t.nn.functional.binary_cross_entropy_with_logits(t.tensor(s), t.tensor(ones)),
        "cross_entropy": lambda t: t.nn.functional.cross_entropy(t.tensor(scores), t.tensor(labels)),
        "poisson": lambda t: t.nn.functional.poisson_nll_loss(t.tensor(mu), t.tensor(counts)),
    }
    for name, value in ours.items():
        run.compare(name, value, recorded=saved[name], live=live[name], below=1e-14)
    dmu, dlog_sigma = gaussian_nll_backward(1.0, y, mu, log_sigma)
    run.compare("dmu", dmu, recorded=saved["dmu"], below=1e-14)
    run.compare("dlog_sigma", dlog_sigma, recorded=saved["dlog_sigma"], below=1e-14)
    run.compare("Poisson ds", poisson_nll_backward(1.0, counts, mu), recorded=saved["ds"], below=1e-14)

    in_minigrad = {
        "gaussian": F.gaussian_nll_loss(mg.tensor(mu), mg.tensor(y), mg.tensor(np.exp(2 * log_sigma)), full=True),
        "bce": F.binary_cross_entropy_with_logits(mg.tensor(s), mg.tensor(ones)),
        "cross_entropy": F.cross_entropy(mg.tensor(scores), mg.tensor(labels)),
        "poisson": F.poisson_nll_loss(mg.tensor(mu), mg.tensor(counts)),
    }
    for name, value in in_minigrad.items():
        run.claim(f"{name}: minigrad minus PyTorch", value.item() - float(saved[name]), equals=0, within=1e-14)
    out = mg.tensor(np.stack([mu, log_sigma], axis=1))
    run.claim("the loss of the experiment, against gaussian_nll", gaussian_loss(out, mg.tensor(y)).item(),
              equals=ours["gaussian"], within=1e-14)  # fmt: skip


# %% [markdown]
# ## Where this breaks
#
# **The likelihood has no top.** If a Gaussian can sit on a sample exactly, its $\sigma$ can go to zero and the
# likelihood to infinity. A network with a $\sigma$ of its own for every $x$ and few data does what it can to get there.
# Below it has 12 samples: they surprise it less than they would surprise the true distribution, which is a bad sign,
# and new data surprise it much more. People stop early, bound $\sigma$ from below, average over several networks, or
# damp the samples to which the network gives a small $\sigma$ (*$\beta$-NLL*: [On the Pitfalls of Heteroscedastic
# Uncertainty Estimation with Probabilistic Neural Networks][seitzer] by Maximilian Seitzer and others, 2022).
#
# **It knows its noise, not its ignorance.** The $\sigma$ that was learned is the scatter of the data. Where there were
# no data, nothing pulled at it, and the network is as sure of itself as ever. Ensembles disagree there, and say so
# ([Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles][ensembles] by Balaji Lakshminarayanan,
# Alexander Pritzel and Charles Blundell, 2017; for the two kinds of uncertainty, [What Uncertainties Do We Need in
# Bayesian Deep Learning for Computer Vision?][kendall] by Alex Kendall and Yarin Gal, 2017).
#
# **One far-off sample.** A Gaussian finds a sample at ten $\sigma$ nearly impossible, and moves to avoid that. A
# distribution with longer tails, Laplace or Student's, shrugs. The loss follows the distribution, so outliers are an
# argument about $p$, not about the optimiser.
#
# [seitzer]: https://arxiv.org/abs/2203.09168
# [ensembles]: https://arxiv.org/abs/1612.01474
# [kendall]: https://arxiv.org/abs/1703.04977


# %%
@lesson.experiment("Where this breaks: no top, no data, one outlier")
@one_thread()
def where_this_breaks(run: Run) -> None:
    run.claim("a Gaussian on one sample, sigma 1e-100: NLL", gaussian_nll(np.zeros(1), np.zeros(1), np.log(1e-100)),
              below=-229)  # fmt: skip
    checkpoints = run.pick(quick=(300,), default=(300, 1000), full=(300, 1000, 3000))
    x, y = draw_noisy(np.random.default_rng([run.seed, 3]), 12)
    new_x, new_y = draw_noisy(np.random.default_rng([run.seed, 4]), 2000)
    rows: list[tuple[Any, ...]] = [("the true distribution", truth(x).nll(y), truth(new_x).nll(new_y))]
    for steps in run.progress(checkpoints, "overfitting 12 samples"):
        model = train_regression(x, y, 2, steps, run.seed, batch_size=12)
        rows.append((f"after {steps} steps", forecast(model, x).nll(y), forecast(model, new_x).nll(new_y)))
    run.table("12 samples: NLL in nats", ("", "training data", "new data"), rows)
    run.results["overfitted"] = rows[-1][2] - rows[0][2]
    run.claim("NLL on training data, below that of the true distribution", rows[0][1] - rows[-1][1], above=0.2)
    run.claim("NLL on new data, above that of the true distribution", rows[-1][2] - rows[0][2], above=0.5)

    near = draw_noisy(np.random.default_rng([run.seed, 0]), 1000)
    own = train_regression(*near, 2, run.pick(quick=60, default=120, full=400), run.seed)
    far_x, far_y = draw_noisy(np.random.default_rng([run.seed, 5]), 2000, 4, 6)
    run.results["coverage far away"] = far = coverage(forecast(own, far_x).pit(far_y), 0.9)
    run.claim("x from 4 to 6, where no data were: coverage of 90 % intervals", far, below=0.7)

    sample = np.append(run.rng.normal(size=50), 100.0)
    run.claim("50 samples around 0 and one at 100: Gaussian's answer, the mean", sample.mean(), above=1.5)
    run.claim("Laplace's answer, the median", np.median(sample), within=(-0.6, 0.6))


# %% [markdown]
# ## How your answers are judged
#
# The two gradients are compared with minigrad's tape on random problems of two sizes, term by term. The other two
# exercises are called with random inputs, and the loss also with logits that break the naive formula. Here are
# mistakes that must not pass:

# %%
PULL = Term("pull", "-dloss/N * (y - mu) / sigma**2", question="If mu moves by one, by how much does z move?")
WIDTH = Term("width", "dloss/N", question="Does the loss see log(sigma) also when the sample is hit exactly?")
SURPRISE = Term(
    "surprise",
    "-dloss/N * ((y - mu) / sigma)**2",
    through=("z",),
    question="z = (y - mu) * exp(-log_sigma). What is the derivative of z with respect to log_sigma? And of z**2 / 2?",
)


@lesson.question(
    "gaussian_nll_backward",
    inputs=draw_gaussian,
    sizes={"N": (5, 7)},
    upstream=("dloss",),
    terms={"dmu": (PULL,), "dlog_sigma": (WIDTH, SURPRISE)},
    factors={"sigma": lambda values: np.exp(values["log_sigma"])},
)
def gaussian_on_tape(named, y, mu, log_sigma):
    z = named("z", (y - mu) * (-log_sigma).exp())
    return (log_sigma + 0.5 * z**2).mean()


@lesson.question(
    "poisson_nll_backward",
    inputs=draw_counts,
    sizes={"N": (5, 7)},
    upstream=("dloss",),
    terms={
        "ds": (
            Term("rate", "dloss/N * exp(s)", through=("rate",), question="What is the derivative of exp(s)?"),
            Term("count", "-dloss/N * y", question="What is the derivative of -y * s?"),
        )
    },
    factors={"exp(s)": lambda values: np.exp(values["s"])},
)
def poisson_on_tape(named, y, s):
    return (named("rate", s.exp()) - y * s).mean()


# %%
def _gaussian_with(pull=1.0, width=1.0, surprise=1.0):
    """The right gradients with a factor on each term; a factor is a number or a function of N and sigma."""

    def wrong(dloss, y, mu, log_sigma):
        n, sigma = len(y), np.exp(log_sigma)
        z = (y - mu) / sigma
        a, b, c = (factor(n, sigma) if callable(factor) else factor for factor in (pull, width, surprise))
        return dloss / n * a * -z / sigma, dloss / n * (b - c * z**2)

    return wrong


ALL_THREE = ("pull", "width", "surprise")
WRONG_GAUSSIAN: dict[str, tuple[Callable[..., Any], tuple[str, ...], str | None]] = {
    "returns zeros": (lambda dloss, y, mu, log_sigma: (0 * mu, 0 * mu), ALL_THREE, "dmu is zero"),
    "flips every sign: maximises": (_gaussian_with(-1, -1, -1), ALL_THREE, "is -1"),
    "forgets 1/N": (_gaussian_with(*[lambda n, sigma: n] * 3), ALL_THREE, "is N"),
    "takes the gradient of the squares, without sigma": (
        _gaussian_with(pull=lambda n, sigma: sigma**2),
        ("pull",),
        None,
    ),
    "divides by sigma once": (_gaussian_with(pull=lambda n, sigma: sigma), ("pull",), "`pull` is sigma"),
    "keeps the 2 of the square": (_gaussian_with(pull=2, surprise=2), ("pull", "surprise"), "is 2"),
    "forgets the width: sigma grows without end": (_gaussian_with(width=0), ("width",), "`width` is 0"),
    "differentiates by sigma, not by its logarithm": (
        _gaussian_with(1, *[lambda n, sigma: 1 / sigma] * 2),
        ("width", "surprise"),
        None,
    ),
    "differentiates by the logarithm of the variance": (
        _gaussian_with(1, 0.5, 0.5),
        ("width", "surprise"),
        "is 1/2",
    ),
    "flips the sign of the surprise": (_gaussian_with(surprise=-1), ("surprise",), "`surprise` is -1"),
    "forgets to square z": (
        lambda dloss, y, mu, log_sigma: (
            gaussian_nll_backward(dloss, y, mu, log_sigma)[0],
            dloss / len(y) * (1 - (y - mu) / np.exp(log_sigma)),
        ),
        ("surprise",),
        "`surprise` is 1/z",
    ),
    "swaps the two": (
        lambda dloss, y, mu, log_sigma: gaussian_nll_backward(dloss, y, mu, log_sigma)[::-1],
        (),
        "in the place of dmu is dlog_sigma",
    ),
}
for _name, (_wrong, _terms, _cause) in WRONG_GAUSSIAN.items():
    lesson.mistake("gaussian_nll_backward", _name, terms=_terms, cause=_cause)(_wrong)


@lesson.variant("gaussian_nll_backward", "by way of the variance")
def _(dloss, y, mu, log_sigma):
    var, residual = np.exp(2 * log_sigma), y - mu
    dvar = 0.5 / var - 0.5 * residual**2 / var**2
    return -dloss * residual / var / len(y), dloss * dvar * 2 * var / len(y)


def _poisson_with(rate=1.0, count=1.0):
    def wrong(dloss, y, s):
        n, power = len(y), np.exp(s)
        a, b = (factor(n, power) if callable(factor) else factor for factor in (rate, count))
        return dloss / n * (a * power - b * y)

    return wrong


WRONG_POISSON: dict[str, tuple[Callable[..., Any], tuple[str, ...], str | None]] = {
    "returns zeros": (_poisson_with(0, 0), ("rate", "count"), "ds is zero"),
    "forgets 1/N": (_poisson_with(*[lambda n, power: n] * 2), ("rate", "count"), "is N"),
    "flips every sign": (_poisson_with(-1, -1), ("rate", "count"), "is -1"),
    "forgets the counts": (_poisson_with(count=0), ("count",), "`count` is 0"),
    "adds the counts": (_poisson_with(count=-1), ("count",), "`count` is -1"),
    "differentiates by the rate, not by its logarithm": (
        _poisson_with(*[lambda n, power: 1 / power] * 2),
        ("rate", "count"),
        "is 1/rate",
    ),
    "forgets the exponential": (
        lambda dloss, y, s: dloss / len(y) * (s - y),
        ("rate",),
        None,
    ),
    "forgets dloss": (lambda dloss, y, s: (np.exp(s) - y) / len(y), ("rate", "count"), "is 1/dloss"),
}
for _name, (_wrong, _terms, _cause) in WRONG_POISSON.items():
    lesson.mistake("poisson_nll_backward", _name, terms=_terms, cause=_cause)(_wrong)


@lesson.variant("poisson_nll_backward", "one sample at a time")
def _(dloss, y, s):
    return np.array([dloss * (np.exp(one) - k) / len(y) for k, one in zip(y, s, strict=True)])


# %%
def _quiet(function):
    """Let a wrong formula overflow without a warning, as it would in a learner's file under the check."""

    def wrong(s, y):
        with np.errstate(all="ignore"):
            return function(s, y)

    return wrong


WRONG_BCE: dict[str, Callable[..., Any]] = {
    "computes p first": _quiet(naive_bce),
    "clamps p to [1e-12, 1 - 1e-12]": _quiet(
        lambda s, y: (
            -y * np.log(np.clip(sigmoid(s), 1e-12, 1 - 1e-12))
            - (1 - y) * np.log(1 - np.clip(sigmoid(s), 1e-12, 1 - 1e-12))
        )
    ),
    "log(1 + exp(s)): overflows": _quiet(lambda s, y: np.log(1 + np.exp(s)) - y * s),
    "log instead of log1p": lambda s, y: np.maximum(s, 0) - y * s + np.log(1 + np.exp(-np.abs(s))),
    "takes the larger of 0 and s out, but keeps exp(-s)": _quiet(
        lambda s, y: np.maximum(s, 0) - y * s + np.log1p(np.exp(-s))
    ),
    "forgets y * s": lambda s, y: np.logaddexp(0, s),
    "takes zeros for ones": lambda s, y: np.logaddexp(0, -s) + y * s,
    "takes the logit for a probability": _quiet(lambda s, y: -y * np.log(np.abs(s)) - (1 - y) * np.log(np.abs(1 - s))),
    "counts in bits": lambda s, y: bce_with_logits(s, y) / np.log(2),
    "averages": lambda s, y: bce_with_logits(s, y).mean(),
    "returns the log-likelihood, without the minus": lambda s, y: -bce_with_logits(s, y),
}
for _name, _wrong in WRONG_BCE.items():
    lesson.mistake("bce_with_logits", _name)(_wrong)


@lesson.variant("bce_with_logits", "logaddexp of the signed logit")
def _(s, y):
    return np.logaddexp(0, (1 - 2 * y) * s)


@lesson.variant("bce_with_logits", "a case for each sign")
def _(s, y):
    rest = np.log1p(np.exp(-np.abs(s)))
    return np.where(s > 0, (1 - y) * s + rest, -y * s + rest)


def _unweighted_centre(x, y, weight):
    slope = (weight * (x - x.mean()) * (y - y.mean())).sum() / (weight * (x - x.mean()) ** 2).sum()
    return np.array([slope, y.mean() - slope * x.mean()])


WRONG_LINES: dict[str, Callable[..., Any]] = {
    "weights all alike": lambda x, y, sigma: line_by_least_squares(x, y, np.ones_like(x)),
    "weights by 1/sigma": lambda x, y, sigma: line_by_least_squares(x, y, 1 / sigma),
    "weights by sigma squared": lambda x, y, sigma: line_by_least_squares(x, y, sigma**2),
    "weights by 1/sigma**4: squares twice": lambda x, y, sigma: line_by_least_squares(x, y, sigma**-4.0),
    "returns the intercept first": lambda x, y, sigma: weighted_line(x, y, sigma)[::-1],
    "fits through the origin": lambda x, y, sigma: np.array([(x * y / sigma**2).sum() / (x**2 / sigma**2).sum(), 0.0]),
    "centres by the unweighted means": lambda x, y, sigma: _unweighted_centre(x, y, 1 / sigma**2),
}


for _name, _wrong in WRONG_LINES.items():
    lesson.mistake("weighted_line", _name)(_wrong)


@lesson.variant("weighted_line", "the normal equations")
def _(x, y, sigma):
    rows = np.stack([x, np.ones_like(x)], axis=1) / sigma[:, None]
    return np.linalg.solve(rows.T @ rows, rows.T @ (y / sigma))


@lesson.variant("weighted_line", "lstsq on scaled rows")
def _(x, y, sigma):
    return line_by_least_squares(x, y, sigma**-2.0)


# %% [markdown]
# Key `w` in the loop trains the network of the experiment with your gradient in the place of the tape's.


# %%
@lesson.consequence("gaussian_nll_backward", title="a network that learns mu and sigma of noisy data")
def with_your_gradient(candidate: Callable[..., Any], rng: np.random.Generator) -> Iterator[float]:
    import minigrad as mg
    from minigrad import nn, optim

    mg.manual_seed(int(rng.integers(2**31)))
    model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    while True:
        x, y = draw_noisy(rng, 100)
        out = model(mg.tensor(as_column(x)))
        mu, log_sigma = out.detach().numpy().astype(float).T
        gradients = np.stack(candidate(1.0, y, mu, log_sigma), axis=1)
        yield float(gaussian_nll(y, mu, log_sigma))
        optimizer.zero_grad()
        out.backward(mg.tensor(gradients.astype(np.float32)))
        optimizer.step()
