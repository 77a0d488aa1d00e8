# %% [markdown]
# # Seven backward passes by hand
#
# **The question.** An autograd engine needs, for each layer, one function that takes the gradient at the output and
# returns the gradients at the inputs. Where do these functions come from, and which mistakes in them survive a look at
# the training curve?
#
# The layers are those of Justin Johnson's course [Deep Learning for Computer Vision][course] (University of Michigan,
# 2019), whose notes state the forward passes and leave the backward passes to the homework. The bilinear sampler
# follows [Deep Learning Paper Implementations: Spatial Transformer Networks, Part II][sampler] by Kevin Zakka (2017).
#
# Each section derives one backward pass, measures it against numerical derivatives, and then asks you to write it. If
# what you wrote is wrong, the check splits it into the terms of the derivation and names the one that is off.
#
# [course]: https://web.eecs.umich.edu/~justincj/teaching/eecs498/FA2019/
# [sampler]: http://kevinzakka.github.io/2017/01/18/stn-part2/

# %%
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lessons.anatomy import Lesson, Run, Source, Term
from lessons.lab.numbers import error
from lessons.lab.recorded import recorded_by_torch

lesson = Lesson(
    name="backward_passes",
    title="Seven backward passes by hand",
    subject="foundations",
    source=Source(
        title="Deep Learning for Computer Vision (EECS 498-007 / 598-005)",
        author="Justin Johnson",
        year=2019,
        link="https://web.eecs.umich.edu/~justincj/teaching/eecs498/FA2019/",
    ),
    headline="Seven layers, seven backward passes; all of them are the forward pass, read from right to left.",
    needs=("batchnorm",),
    minutes=0.2,
    exercises=7,
)


# %% [markdown]
# ## The one rule
#
# Let $y = f(x)$ and let $L$ be whatever is computed from $y$ later. Write $\bar{y}$ for $\partial L / \partial y$; it
# has the shape of $y$. Then
#
# $$
# \bar{x}_i = \sum_j \bar{y}_j \frac{\partial y_j}{\partial x_i}
# $$
#
# That is the Jacobian, transposed, times $\bar{y}$. Nobody builds the Jacobian. One asks instead, for each $x_i$: which
# outputs does it reach, by which factor, and by how many ways? Where it reaches several, there is a sum; where it
# takes several ways, there are several *terms*. The terms have names below, and the check uses the same names.
#
# The judge knows only the forward pass and moves one number at a time.


# %%


def judged(function: Callable[[np.ndarray], Any], at: np.ndarray, upstream: Any) -> np.ndarray:
    """Differentiate sum(upstream * function(at)) numerically."""
    from minigrad.gradcheck import numerical_gradient

    return numerical_gradient(function, at, upstream).values


# %% [markdown]
# ## 1. Softmax and cross-entropy
#
# Scores $s_{nc}$ for $C$ classes become probabilities, and the loss is the mean negative log-probability of the right
# classes $t_n$:
#
# $$
# L = \frac{1}{N} \sum_n \left( \log \sum_c e^{s_{nc}} - s_{n t_n} \right)
# $$
#
# A score acts in two ways. Directly, if it is the one of the right class: $-1/N$. And through the logarithm of the sum,
# whose derivative is the probability $p_{nc} = e^{s_{nc}} / \sum_k e^{s_{nk}}$. So
#
# $$
# \bar{s}_{nc} = \frac{\bar{L}}{N} \Bigl( \underbrace{p_{nc}}_{\text{p}} - \underbrace{[c = t_n]}_{\text{label}} \Bigr)
# $$
#
# with the terms **p** and **label**. Each row adds up to zero: a shift of all scores changes no probability.


# %%
def softmax(scores: np.ndarray, axis: int = 1) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> Any:
    log_sum = np.log(np.exp(scores).sum(axis=1))
    return (log_sum - scores[np.arange(len(labels)), labels]).mean()


@lesson.exercise(hint="Which scores does the loss see directly, and which through the logarithm of the sum?")
def cross_entropy_backward(dloss, scores, labels):
    """Return the gradient of the mean cross-entropy with respect to the scores.

    Args:
        dloss: gradient with respect to the loss, a number.
        scores: shape (N, C), before the softmax.
        labels: the right classes, integers of shape (N,).

    Returns:
        dscores, shape (N, C).
    """
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))  # a shift changes no probability, but prevents overflow
    p = powers / powers.sum(axis=1, keepdims=True)
    label = np.zeros_like(p)
    label[np.arange(len(labels)), labels] = -1
    return dloss / len(labels) * (p + label)


def draw_scores(rng: np.random.Generator, N: int = 4, C: int = 3) -> dict[str, Any]:
    return {"scores": rng.normal(size=(N, C)), "labels": rng.integers(0, C, N)}


@lesson.step("1. Softmax and cross-entropy", terms=("p", "label"))
def step_cross_entropy(run: Run) -> None:
    scores, labels = draw_scores(run.rng).values()
    dscores = cross_entropy_backward(1.7, scores, labels)
    want = judged(lambda s: cross_entropy(s, labels), scores, 1.7)
    run.claim("dscores, against numerical derivatives", error(dscores, want), below=1e-8)
    run.claim("each row of dscores adds up to zero", np.abs(dscores.sum(axis=1)).max(), below=1e-14)


@lesson.question(
    "cross_entropy_backward",
    inputs=draw_scores,
    sizes={"N": (4, 7), "C": (3, 5)},
    upstream=("dloss",),
    terms={
        "dscores": (
            Term(
                "label", "-dloss/N * [c = label]", question="What does the loss do with the score of the right class?"
            ),
            Term("p", "dloss/N * p", through=("lse",), question="What is the derivative of log sum exp?"),
        )
    },
    factors={"sum(exp(scores))": lambda values: np.exp(values["scores"]).sum(axis=1, keepdims=True)},
)
def cross_entropy_on_tape(named, scores, labels):
    log_sum = named("lse", scores.logsumexp(1))
    return (log_sum - scores[np.arange(len(labels)), labels]).mean()


# %% [markdown]
# Some mistakes that must not pass, and right answers that must. The same follows below for each exercise.


# %%
def _one_hot(labels, like):
    return np.eye(like.shape[1])[labels]


@lesson.mistake("cross_entropy_backward", "forgets 1/N", terms=("label", "p"), cause="every term of dscores is N")
def _(dloss, scores, labels):
    return dloss * (softmax(scores) - _one_hot(labels, scores))


@lesson.mistake("cross_entropy_backward", "averages over all entries", terms=("label", "p"), cause="is 1/C")
def _(dloss, scores, labels):
    return dloss * (softmax(scores) - _one_hot(labels, scores)) / scores.size


@lesson.mistake("cross_entropy_backward", "forgets the labels", terms=("label",), cause="`label` is 0")
def _(dloss, scores, labels):
    return dloss * softmax(scores) / len(labels)


@lesson.mistake("cross_entropy_backward", "returns the negative", terms=("label", "p"), cause="is -1")
def _(dloss, scores, labels):
    return dloss * (_one_hot(labels, scores) - softmax(scores)) / len(labels)


@lesson.mistake(
    "cross_entropy_backward", "forgets dloss", terms=("label", "p"), cause="every term of dscores is 1/dloss"
)
def _(dloss, scores, labels):
    return (softmax(scores) - _one_hot(labels, scores)) / len(labels)


@lesson.mistake("cross_entropy_backward", "does not normalise", terms=("p",), cause="`p` is sum(exp(scores))")
def _(dloss, scores, labels):
    return dloss * (np.exp(scores) - _one_hot(labels, scores)) / len(labels)


@lesson.mistake("cross_entropy_backward", "takes the softmax over the samples instead of the classes", terms=("p",))
def _(dloss, scores, labels):
    return dloss * (softmax(scores, axis=0) - _one_hot(labels, scores)) / len(labels)


@lesson.mistake("cross_entropy_backward", "keeps the gradient at the right class only", terms=("p",))
def _(dloss, scores, labels):
    return dloss * (softmax(scores) - 1) * _one_hot(labels, scores) / len(labels)


@lesson.variant("cross_entropy_backward", "one sample at a time, by the Jacobian of the softmax")
def _(dloss, scores, labels):
    rows = []
    for s, t in zip(scores, labels, strict=True):
        p = softmax(s[None])[0]
        rows.append((np.diag(p) - np.outer(p, p))[:, t] / -p[t])
    return dloss * np.array(rows) / len(labels)


@lesson.variant("cross_entropy_backward", "exponentials of log-probabilities")
def _(dloss, scores, labels):
    log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
    return (np.exp(log_p) - _one_hot(labels, scores)) * (dloss / len(labels))


# %% [markdown]
# ## 2. The linear layer
#
# $y = x W^\top + b$, that is $y_{nm} = \sum_d x_{nd} W_{md} + b_m$. Each factor receives what the other one was, and
# sums over whatever index it does not have:
#
# $$
# \underbrace{\bar{x}_{nd}}_{\text{dx}} = \sum_m \bar{y}_{nm} W_{md}, \qquad
# \underbrace{\bar{W}_{md}}_{\text{dweight}} = \sum_n \bar{y}_{nm} x_{nd}, \qquad
# \underbrace{\bar{b}_m}_{\text{dbias}} = \sum_n \bar{y}_{nm}
# $$
#
# There is only one way to place the transposes so that the shapes fit, unless two sizes happen to be equal.


# %%
@lesson.exercise(hint="Write the layer with indices. Which index must each gradient lose, and so sum over?")
def linear_backward(dy, x, weight):
    """Return the gradients of y = x @ weight.T + bias.

    Args:
        dy: gradient with respect to y, shape (N, M).
        x: shape (N, D).
        weight: shape (M, D).

    Returns:
        The tuple (dx, dweight, dbias), of shapes (N, D), (M, D) and (M,).
    """
    return dy @ weight, dy.T @ x, dy.sum(axis=0)


def draw_linear(rng: np.random.Generator, N: int = 5, D: int = 4, M: int = 3) -> dict[str, Any]:
    return {"x": rng.normal(size=(N, D)), "weight": rng.normal(size=(M, D)), "bias": rng.normal(size=M)}


@lesson.step("2. The linear layer", terms=("dx", "dweight", "dbias"))
def step_linear(run: Run) -> None:
    x, weight, bias = draw_linear(run.rng).values()
    dy = run.rng.normal(size=(5, 3))
    dx, dweight, dbias = linear_backward(dy, x, weight)
    run.claim("dx", error(dx, judged(lambda x: x @ weight.T + bias, x, dy)), below=1e-8)
    run.claim("dweight", error(dweight, judged(lambda w: x @ w.T + bias, weight, dy)), below=1e-8)
    run.claim("dbias", error(dbias, judged(lambda b: x @ weight.T + b, bias, dy)), below=1e-8)


@lesson.question(
    "linear_backward",
    inputs=draw_linear,
    sizes={"N": (5, 3), "D": (4, 6), "M": (3, 2)},
    terms={
        "dx": (Term("dx", "dy @ weight", question="Which outputs does one x reach, and by which factors?"),),
        "dweight": (Term("dweight", "dy.T @ x", question="How many samples does one weight act on?"),),
        "dbias": (Term("dbias", "sum_n dy", question="How many samples does one bias act on?"),),
    },
)
def linear_on_tape(named, x, weight, bias):
    return x @ weight.t() + bias


# %%
WRONG_LINEAR: dict[str, tuple[Callable[..., Any], tuple[str, ...], str | None]] = {
    "returns zeros": (
        lambda dy, x, weight: (0 * x, 0 * weight, 0 * dy[0]),
        ("dx", "dweight", "dbias"),
        "dx is zero",
    ),
    "transposes dweight": (lambda dy, x, weight: (dy @ weight, x.T @ dy, dy.sum(0)), (), "dweight is the transpose"),
    "averages dweight over the batch": (
        lambda dy, x, weight: (dy @ weight, dy.T @ x / len(x), dy.sum(0)),
        ("dweight",),
        "`dweight` is 1/N",
    ),
    "averages dbias": (lambda dy, x, weight: (dy @ weight, dy.T @ x, dy.mean(0)), ("dbias",), "`dbias` is 1/N"),
    "does not sum dbias": (lambda dy, x, weight: (dy @ weight, dy.T @ x, dy), (), "dbias was not summed over axis 0"),
    "flips the sign of dx": (lambda dy, x, weight: (-dy @ weight, dy.T @ x, dy.sum(0)), ("dx",), "`dx` is -1"),
    "forgets the weight": (
        lambda dy, x, weight: (np.repeat(dy.sum(1, keepdims=True), x.shape[1], 1), dy.T @ x, dy.sum(0)),
        ("dx",),
        None,
    ),
    "forgets dy in dweight": (
        lambda dy, x, weight: (dy @ weight, np.ones_like(dy).T @ x, dy.sum(0)),
        ("dweight",),
        None,
    ),
    "sums x and dy before multiplying them": (
        lambda dy, x, weight: (dy @ weight, np.outer(dy.sum(0), x.sum(0)), dy.sum(0)),
        ("dweight",),
        None,
    ),
}
for _name, (_wrong, _terms, _cause) in WRONG_LINEAR.items():
    lesson.mistake("linear_backward", _name, terms=_terms, cause=_cause)(_wrong)


@lesson.variant("linear_backward", "einsum")
def _(dy, x, weight):
    return np.einsum("nm,md->nd", dy, weight), np.einsum("nm,nd->md", dy, x), np.einsum("nm->m", dy)


@lesson.variant("linear_backward", "one sample at a time")
def _(dy, x, weight):
    dweight, dbias = np.zeros_like(weight), np.zeros(len(weight))
    for g, row in zip(dy, x, strict=True):
        dweight += np.outer(g, row)
        dbias += g
    return np.array([weight.T @ g for g in dy]), dweight, dbias


# %% [markdown]
# ## 3. Layer norm
#
# Batch norm turned by ninety degrees: each sample is normalised over its own $D$ features. The derivation is that of
# the lesson `batchnorm`, with one difference that is easy to miss. There, $\gamma$ was the same for everything in a
# sum and could be taken out of it. Here the sums run over the features, and each feature has its own $\gamma_d$. With
# $\bar{\hat{x}}_{nd} = \gamma_d \bar{y}_{nd}$ and $s_n = \sqrt{\sigma_n^2 + \epsilon}$:
#
# $$
# \bar{x}_{nd} = \frac{1}{s_n} \biggl( \underbrace{\bar{\hat{x}}_{nd}}_{\text{direct}}
# - \underbrace{\frac{1}{D} \sum_k \bar{\hat{x}}_{nk}}_{\text{mean}}
# - \underbrace{\frac{\hat{x}_{nd}}{D} \sum_k \bar{\hat{x}}_{nk} \hat{x}_{nk}}_{\text{var}} \biggr)
# $$
#
# The terms are **direct**, **mean** and **var** again.


# %%
def layer_norm(x, gamma, beta, eps):
    centred = x - x.sum(axis=1, keepdims=True) / x.shape[1]
    var = (centred**2).sum(axis=1, keepdims=True) / x.shape[1]
    return gamma * centred / np.sqrt(var + eps) + beta


@lesson.exercise(hint="Write dx_hat = gamma * dy first; gamma differs within the sums. Over which axis do they run?")
def layer_norm_backward(dy, x_hat, gamma, inv_std):
    """Return the gradients of y = gamma * x_hat + beta, where x_hat is x normalised over the features.

    Args:
        dy: gradient with respect to y, shape (N, D).
        x_hat: the normalised input, shape (N, D).
        gamma: the scale of each feature, shape (D,).
        inv_std: 1 / sqrt(var + eps) of each sample, shape (N, 1).

    Returns:
        The tuple (dx, dgamma, dbeta), of shapes (N, D), (D,) and (D,).
    """
    dx_hat = gamma * dy
    mean = dx_hat.mean(axis=1, keepdims=True)
    var = x_hat * (dx_hat * x_hat).mean(axis=1, keepdims=True)
    return inv_std * (dx_hat - mean - var), (dy * x_hat).sum(axis=0), dy.sum(axis=0)


def draw_norm(rng: np.random.Generator, N: int = 4, D: int = 5) -> dict[str, Any]:
    return {
        "x": rng.normal(size=(N, D)) * rng.uniform(0.5, 2.0, (N, 1)) + rng.normal(size=(N, 1)),
        "gamma": rng.uniform(0.5, 2.0, D) * rng.choice([-1.0, 1.0], D),
        "beta": rng.normal(size=D),
        "eps": 0.05,
    }


@lesson.step("3. Layer norm", terms=("direct", "mean", "var", "dgamma", "dbeta"))
def step_layer_norm(run: Run) -> None:
    x, gamma, beta, eps = draw_norm(run.rng).values()
    dy = run.rng.normal(size=x.shape)
    inv_std = 1 / np.sqrt(x.var(axis=1, keepdims=True) + eps)
    x_hat = (x - x.mean(axis=1, keepdims=True)) * inv_std
    dx, dgamma, dbeta = layer_norm_backward(dy, x_hat, gamma, inv_std)
    run.claim("dx", error(dx, judged(lambda x: layer_norm(x, gamma, beta, eps), x, dy)), below=1e-8)
    run.claim("dgamma", error(dgamma, judged(lambda g: layer_norm(x, g, beta, eps), gamma, dy)), below=1e-8)
    run.claim("dbeta", error(dbeta, judged(lambda b: layer_norm(x, gamma, b, eps), beta, dy)), below=1e-8)
    run.claim("each sample's dx adds up to zero", np.abs(dx.sum(axis=1)).max(), below=1e-13)


@lesson.question(
    "layer_norm_backward",
    inputs=draw_norm,
    sizes={"N": (4, 3), "D": (5, 7)},
    terms={
        "dx": (
            Term("direct", "gamma/s * dy", question="If mu and var were constants, what would x do to its own y?"),
            Term("mean", "-1/(D s) * sum_d(gamma*dy)", ("mu",), question="Which outputs move when mu moves?"),
            Term("var", "-x_hat/(D s) * sum_d(gamma*dy*x_hat)", ("var",), question="Over what is var a mean?"),
        ),
        "dgamma": (Term("dgamma", "sum_n(dy*x_hat)", question="How many samples does one gamma act on?"),),
        "dbeta": (Term("dbeta", "sum_n(dy)", question="How many samples does one beta act on?"),),
    },
)
def layer_norm_on_tape(named, x, gamma, beta, eps):
    mu = named("mu", x.mean(1, keepdim=True))
    centred = x - mu
    var = named("var", (centred**2).mean(1, keepdim=True))
    inv_std = named("inv_std", (var + eps) ** -0.5)
    return gamma * named("x_hat", centred * inv_std) + beta


# %%
def _norm_with(name, terms=(), cause=None):
    """Declare a wrong dx; dgamma and dbeta stay right."""

    def register(wrong):
        def whole(dy, x_hat, gamma, inv_std):
            return wrong(dy, x_hat, gamma, inv_std), (dy * x_hat).sum(axis=0), dy.sum(axis=0)

        return lesson.mistake("layer_norm_backward", name, terms=terms, cause=cause)(whole)

    return register


def _norm_terms(dy, x_hat, gamma, inv_std, direct=1.0, mean=1.0, var=1.0):
    g = gamma * dy
    sums = mean * g.mean(1, keepdims=True) + var * x_hat * (g * x_hat).mean(1, keepdims=True)
    return inv_std * (direct * g - sums)


_norm_with("drops the mean term", ("mean",), "`mean` is 0")(lambda *a: _norm_terms(*a, mean=0))
_norm_with("drops the var term", ("var",), "`var` is 0")(lambda *a: _norm_terms(*a, var=0))
_norm_with("flips the sign of the var term", ("var",), "`var` is -1")(lambda *a: _norm_terms(*a, var=-1))
_norm_with("divides by D - 1 in the var term", ("var",), "`var` is D/(D-1)")(
    lambda dy, *a: _norm_terms(dy, *a, var=dy.shape[1] / (dy.shape[1] - 1))
)
_norm_with("misses 1/D in the mean term", ("mean",), "`mean` is D:")(
    lambda dy, *a: _norm_terms(dy, *a, mean=dy.shape[1])
)
_norm_with("divides by N for D", ("mean", "var"), "is D/N")(
    lambda dy, *a: _norm_terms(dy, *a, mean=dy.shape[1] / len(dy), var=dy.shape[1] / len(dy))
)
_norm_with("forgets inv_std", ("direct", "mean", "var"), "1/inv_std")(
    lambda dy, x_hat, gamma, inv_std: _norm_terms(dy, x_hat, gamma, 1.0)
)


@_norm_with("forgets gamma", ("direct", "mean", "var"))
def _(dy, x_hat, gamma, inv_std):
    return _norm_terms(dy, x_hat, np.ones_like(gamma), inv_std)


@_norm_with("multiplies by gamma after the sums, as in batch norm", ("mean", "var"))
def _(dy, x_hat, gamma, inv_std):
    return gamma * _norm_terms(dy, x_hat, np.ones_like(gamma), inv_std)


@_norm_with("averages over the samples instead of the features", ("mean", "var"))
def _(dy, x_hat, gamma, inv_std):
    g = gamma * dy
    return inv_std * (g - g.mean(0) - x_hat * (g * x_hat).mean(0))


@lesson.mistake("layer_norm_backward", "sums dgamma over the features", terms=("dgamma",))
def _(dy, x_hat, gamma, inv_std):
    return _norm_terms(dy, x_hat, gamma, inv_std), (dy * x_hat).sum(axis=1), dy.sum(axis=0)


@lesson.variant("layer_norm_backward", "walks the graph")
def _(dy, x_hat, gamma, inv_std):
    dx_hat, centred, d = dy * gamma, x_hat / inv_std, dy.shape[1]
    dvar = -0.5 * inv_std**3 * (dx_hat * centred).sum(1, keepdims=True)
    dcentred = dx_hat * inv_std + 2 * centred * dvar / d
    return dcentred - dcentred.sum(1, keepdims=True) / d, np.einsum("nd,nd->d", dy, x_hat), dy.sum(0)


# %% [markdown]
# ## 4. Convolution
#
# With stride $S$ and padding $P$, output $(i, j)$ sees the window of the padded image that begins at $(iS, jS)$:
#
# $$
# y_{nkij} = b_k + \sum_{c,r,s} w_{kcrs} \, x^{\text{pad}}_{n c,\, iS + r,\, jS + s}
# $$
#
# It is a linear layer whose weights are shared by all windows, so the backward pass is that of the linear layer, window
# by window: each window *adds* to $\bar{w}$, and adds $w \bar{y}$ to the pixels that it saw. At last the padding, which
# is no input, is cut off. (Gathering by pixel instead of scattering by window gives a convolution with the flipped
# kernel; whoever writes that one must flip, whoever scatters must not.)


# %%
def convolution(x, weight, bias, stride, padding):
    _, _, height, width = x.shape
    out, _, r, s = weight.shape
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows, columns = (height + 2 * padding - r) // stride + 1, (width + 2 * padding - s) // stride + 1
    y = np.zeros((len(x), out, rows, columns), np.result_type(x, weight, bias))
    for i in range(rows):
        for j in range(columns):
            window = padded[:, :, i * stride : i * stride + r, j * stride : j * stride + s]
            y[:, :, i, j] = np.einsum("ncrs,kcrs->nk", window, weight) + bias
    return y


@lesson.exercise(hint="Take one output pixel. Which window made it? What does that window owe to w, and to x?")
def convolution_backward(dy, x, weight, stride, padding):
    """Return the gradients of a convolution (cross-correlation, as in PyTorch) with a bias.

    Args:
        dy: gradient with respect to the output, shape (N, K, I, J).
        x: shape (N, C, H, W).
        weight: shape (K, C, R, S).
        stride: of the windows, along both axes.
        padding: zeros on each side of both axes.

    Returns:
        The tuple (dx, dweight, dbias), of shapes (N, C, H, W), (K, C, R, S) and (K,).
    """
    _, _, height, width = x.shape
    _, _, r, s = weight.shape
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    dpadded, dweight = np.zeros_like(padded), np.zeros_like(weight)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            window = (..., slice(i * stride, i * stride + r), slice(j * stride, j * stride + s))
            dweight += np.einsum("nk,ncrs->kcrs", dy[:, :, i, j], padded[window])
            dpadded[window] += np.einsum("nk,kcrs->ncrs", dy[:, :, i, j], weight)
    dx = dpadded[:, :, padding : padding + height, padding : padding + width]
    return dx, dweight, dy.sum(axis=(0, 2, 3))


def draw_convolution(
    rng: np.random.Generator, N: int = 2, C: int = 2, K: int = 3, H: int = 6, W: int = 7
) -> dict[str, Any]:
    return {
        "x": rng.normal(size=(N, C, H, W)),
        "weight": rng.normal(size=(K, C, 3, 3)),
        "bias": rng.normal(size=K),
        "stride": 2,
        "padding": 1,
    }


@lesson.step("4. Convolution", terms=("dx", "dweight", "dbias"))
def step_convolution(run: Run) -> None:
    x, weight, bias, stride, padding = draw_convolution(run.rng, H=4, W=5).values()
    y = convolution(x, weight, bias, stride, padding)
    dy = run.rng.normal(size=y.shape)
    dx, dweight, dbias = convolution_backward(dy, x, weight, stride, padding)
    run.claim("dx", error(dx, judged(lambda x: convolution(x, weight, bias, stride, padding), x, dy)), below=1e-8)
    want = judged(lambda w: convolution(x, w, bias, stride, padding), weight, dy)
    run.claim("dweight", error(dweight, want), below=1e-8)
    run.claim("dbias", error(dbias, dy.sum(axis=(0, 2, 3))), below=1e-12)
    linear_part = convolution(x, weight, 0 * bias, stride, padding)
    run.claim("adjoint: <conv x, dy> - <x, dx>", abs((linear_part * dy).sum() - (x * dx).sum()), below=1e-11)


@lesson.question(
    "convolution_backward",
    inputs=draw_convolution,
    sizes={"N": (3, 2), "C": (4, 3), "K": (5, 2), "H": (6, 7), "W": (7, 5)},
    terms={
        "dx": (Term("dx", "each window adds weight * dy", question="Which windows saw one pixel, at which places?"),),
        "dweight": (
            Term("dweight", "sum over windows of x * dy", question="How many windows does one weight act on?"),
        ),
        "dbias": (Term("dbias", "sum_nij(dy)", question="Which outputs does one bias act on?"),),
    },
)
def convolution_on_tape(named, x, weight, bias, stride, padding):
    from minigrad.nn.functional import conv2d

    return conv2d(x, weight, bias, stride=stride, padding=padding)


# %%
def _scatter(dy, x, weight, stride, padding, *, seen=None, crop=None):
    """The backward pass with another kernel on the way back, or another place where the padding is cut off."""
    (*_, height, width), (*_, r, s) = x.shape, weight.shape
    step = stride
    padded = np.zeros((*x.shape[:2], height + 2 * padding + r, width + 2 * padding + s))
    padded[:, :, padding : padding + height, padding : padding + width] = x
    dpadded, dweight = np.zeros_like(padded), np.zeros_like(weight)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            window = (..., slice(i * step, i * step + r), slice(j * step, j * step + s))
            dweight += np.einsum("nk,ncrs->kcrs", dy[:, :, i, j], padded[window])
            dpadded[window] += np.einsum("nk,kcrs->ncrs", dy[:, :, i, j], weight if seen is None else seen)
    start = padding if crop is None else crop
    return dpadded[:, :, start : start + height, start : start + width], dweight, dy.sum(axis=(0, 2, 3))


def _conv_mistake(name, terms=(), cause=None):
    return lesson.mistake("convolution_backward", name, terms=terms, cause=cause)


@_conv_mistake("scatters with the flipped kernel", ("dx",))
def _(dy, x, weight, stride, padding):
    return _scatter(dy, x, weight, stride, padding, seen=weight[:, :, ::-1, ::-1])


@_conv_mistake("leaves the padding in, and cuts off the other end", ("dx",))
def _(dy, x, weight, stride, padding):
    return _scatter(dy, x, weight, stride, padding, crop=0)


@_conv_mistake("forgets the padding", ("dx", "dweight"))
def _(dy, x, weight, stride, padding):
    return _scatter(dy, x, weight, stride, 0)


@_conv_mistake("forgets the stride", ("dx", "dweight"))
def _(dy, x, weight, stride, padding):
    return _scatter(dy, x, weight, 1, padding)


@_conv_mistake("returns the kernel's gradient flipped", (), "dweight is reversed along the axes 2, 3")
def _(dy, x, weight, stride, padding):
    dx, dweight, dbias = _scatter(dy, x, weight, stride, padding)
    return dx, dweight[:, :, ::-1, ::-1], dbias


@_conv_mistake("averages dweight over the batch", ("dweight",), "`dweight` is 1/N")
def _(dy, x, weight, stride, padding):
    dx, dweight, dbias = _scatter(dy, x, weight, stride, padding)
    return dx, dweight / len(x), dbias


@_conv_mistake("sums dbias over the batch only", (), "dbias was not summed over axis 1, 2")
def _(dy, x, weight, stride, padding):
    dx, dweight, _ = _scatter(dy, x, weight, stride, padding)
    return dx, dweight, dy.sum(axis=0)


@_conv_mistake("sets the pixels instead of adding to them", ("dx",))
def _(dy, x, weight, stride, padding):
    dpadded = np.zeros((*x.shape[:2], x.shape[2] + 2 * padding, x.shape[3] + 2 * padding))
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            window = (..., slice(i * stride, i * stride + 3), slice(j * stride, j * stride + 3))
            dpadded[window] = np.einsum("nk,kcrs->ncrs", dy[:, :, i, j], weight)
    _, dweight, dbias = _scatter(dy, x, weight, stride, padding)
    return dpadded[:, :, padding : padding + x.shape[2], padding : padding + x.shape[3]], dweight, dbias


@lesson.variant("convolution_backward", "gathers: a convolution of the spread-out dy with the flipped kernel")
def _(dy, x, weight, stride, padding):
    (n, _, height, width), (k, _, r, s) = x.shape, weight.shape
    rows, columns = height + 2 * padding - r + 1, width + 2 * padding - s + 1
    spread = np.zeros((n, k, rows, columns))
    spread[:, :, : dy.shape[2] * stride : stride, : dy.shape[3] * stride : stride] = dy
    around = np.pad(spread, ((0, 0), (0, 0), (r - 1, r - 1), (s - 1, s - 1)))
    flipped = weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
    full = convolution(around, flipped, np.zeros(len(flipped)), 1, 0)
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    by_kernel = convolution(padded.swapaxes(0, 1), spread.swapaxes(0, 1), np.zeros(k), 1, 0).swapaxes(0, 1)
    dx = full[:, :, padding : padding + height, padding : padding + width]
    return dx, by_kernel[:, :, :r, :s], np.einsum("nkij->k", dy)


@lesson.variant("convolution_backward", "all windows as the rows of a matrix (im2col)")
def _(dy, x, weight, stride, padding):
    (n, c, height, width), (k, _, r, s) = x.shape, weight.shape
    index = np.pad(
        np.arange(1, 1 + c * height * width).reshape(c, height, width), ((0, 0), (padding,) * 2, (padding,) * 2)
    )
    picked = np.lib.stride_tricks.sliding_window_view(index, (r, s), axis=(1, 2))[:, ::stride, ::stride]
    columns = picked.transpose(1, 2, 0, 3, 4).reshape(-1, c * r * s)  # (I * J, C * R * S), 0 is padding
    flat = np.concatenate([np.zeros((n, 1)), x.reshape(n, -1)], axis=1)
    rows = dy.reshape(n, k, -1)
    dweight = np.einsum("nkp,npq->kq", rows, flat[:, columns]).reshape(weight.shape)
    dflat = np.zeros_like(flat)
    for image in range(n):
        np.add.at(dflat[image], columns, rows[image].T @ weight.reshape(k, -1))
    return dflat[:, 1:].reshape(x.shape), dweight, rows.sum(axis=(0, 2))


# %% [markdown]
# ## 5. Bilinear sampling
#
# A sampler reads an image at points between the pixels. A point $(u, v)$ with both coordinates in $[-1, 1]$, *first the
# column, then the row*, lies at
#
# $$
# p_x = \frac{(u + 1)(W - 1)}{2}, \qquad p_y = \frac{(v + 1)(H - 1)}{2}
# $$
#
# and with $f_x, f_y$ the fractional parts and $I_{00}, I_{10}, I_{01}, I_{11}$ the four pixels around (first index
# along $x$), the output is
#
# $$
# y = (1-f_x)(1-f_y) I_{00} + f_x (1-f_y) I_{10} + (1-f_x) f_y I_{01} + f_x f_y I_{11}
# $$
#
# Each pixel receives $\bar{y}$ times its weight, and points that share a pixel add up. The point itself receives the
# slope of the surface times the scale of its coordinates, in two terms, **x** and **y**:
#
# $$
# \bar{u} = \bar{y} \, \frac{W - 1}{2} \left( (1-f_y)(I_{10} - I_{00}) + f_y (I_{11} - I_{01}) \right)
# $$
#
# and likewise for $\bar{v}$.


# %%
def corners(image, grid):
    """Return the column and the row of the pixel before each point, and the two fractions."""
    height, width = image.shape
    px, py = (grid[:, 0] + 1) * (width - 1) / 2, (grid[:, 1] + 1) * (height - 1) / 2
    left, top = np.floor(px.real).astype(int), np.floor(py.real).astype(int)
    return left, top, px - left, py - top


def sample(image, grid):
    left, top, fx, fy = corners(image, grid)
    above = (1 - fx) * image[top, left] + fx * image[top, left + 1]
    below = (1 - fx) * image[top + 1, left] + fx * image[top + 1, left + 1]
    return (1 - fy) * above + fy * below


@lesson.exercise(hint="Two chains: from the output to the pixel position, and from there to the coordinate in [-1, 1].")
def sample_backward(dy, image, grid):
    """Return the gradients of bilinear sampling.

    A point (u, v) of the grid lies at column (u + 1) * (W - 1) / 2 and row (v + 1) * (H - 1) / 2, inside the image.

    Args:
        dy: gradient with respect to the samples, shape (P,).
        image: shape (H, W).
        grid: points with coordinates in [-1, 1], first along the width, shape (P, 2).

    Returns:
        The tuple (dimage, dgrid), of shapes (H, W) and (P, 2).
    """
    height, width = image.shape
    px, py = (grid[:, 0] + 1) * (width - 1) / 2, (grid[:, 1] + 1) * (height - 1) / 2
    left, top = np.floor(px).astype(int), np.floor(py).astype(int)
    fx, fy = px - left, py - top
    dimage = np.zeros_like(image)
    np.add.at(dimage, (top, left), dy * (1 - fx) * (1 - fy))
    np.add.at(dimage, (top, left + 1), dy * fx * (1 - fy))
    np.add.at(dimage, (top + 1, left), dy * (1 - fx) * fy)
    np.add.at(dimage, (top + 1, left + 1), dy * fx * fy)
    i00, i10, i01, i11 = image[top, left], image[top, left + 1], image[top + 1, left], image[top + 1, left + 1]
    x = dy * (width - 1) / 2 * ((1 - fy) * (i10 - i00) + fy * (i11 - i01))
    y = dy * (height - 1) / 2 * ((1 - fx) * (i01 - i00) + fx * (i11 - i10))
    return dimage, np.stack([x, y], axis=1)


def draw_points(rng: np.random.Generator, P: int = 6, H: int = 4, W: int = 5) -> dict[str, Any]:
    """Points away from the lines between pixels, where the surface has a kink."""
    spread = rng.uniform(0.15, 0.85, (P, 2)) + np.stack([rng.integers(0, W - 1, P), rng.integers(0, H - 1, P)], axis=1)
    return {"image": rng.normal(size=(H, W)), "grid": 2 * spread / np.array([W - 1, H - 1]) - 1}


@lesson.step("5. Bilinear sampling", terms=("x", "y", "dimage"))
def step_sample(run: Run) -> None:
    image, grid = draw_points(run.rng).values()
    dy = run.rng.normal(size=len(grid))
    dimage, dgrid = sample_backward(dy, image, grid)
    run.claim("dimage", error(dimage, judged(lambda image: sample(image, grid), image, dy)), below=1e-8)
    run.claim("dgrid", error(dgrid, judged(lambda grid: sample(image, grid), grid, dy)), below=1e-8)
    run.claim(
        "the four weights of a point add up to 1: sum of dimage - sum of dy", abs(dimage.sum() - dy.sum()), below=1e-13
    )


@lesson.question(
    "sample_backward",
    inputs=draw_points,
    sizes={"P": (6, 9), "H": (4, 6), "W": (5, 7)},
    terms={
        "dimage": (Term("dimage", "each pixel: sum of dy * its weight", question="What if two points share a pixel?"),),
        "dgrid": (
            Term("x", "dy * (W-1)/2 * slope along x", ("px",), question="How many pixels is one unit of u wide?"),
            Term("y", "dy * (H-1)/2 * slope along y", ("py",), question="How many pixels is one unit of v high?"),
        ),
    },
    meanings={
        "W/(W-1)": "was scaled by W/2, the forward scales by (W-1)/2",
        "H/(H-1)": "was scaled by H/2, the forward scales by (H-1)/2",
    },
)
def sample_on_tape(named, image, grid):
    height, width = image.shape
    px, py = named("px", (grid[:, 0] + 1) * ((width - 1) / 2)), named("py", (grid[:, 1] + 1) * ((height - 1) / 2))
    left, top = np.floor(px.detach().numpy()).astype(int), np.floor(py.detach().numpy()).astype(int)
    fx, fy = px - left.astype(float), py - top.astype(float)
    above = (1 - fx) * image[top, left] + fx * image[top, left + 1]
    below = (1 - fx) * image[top + 1, left] + fx * image[top + 1, left + 1]
    return (1 - fy) * above + fy * below


# %%
def _dgrid_with(name, terms=(), cause=None):
    """Declare a mistake in dgrid: a function of the right one and of (W, H)."""

    def register(wrong):
        def whole(dy, image, grid):
            dimage, dgrid = sample_backward(dy, image, grid)
            return dimage, wrong(dgrid, np.array(image.shape[::-1]))

        return lesson.mistake("sample_backward", name, terms=terms, cause=cause)(whole)

    return register


_dgrid_with("swaps x and y in the gradient", (), "dgrid is reversed along axis 1")(lambda g, size: g[:, ::-1])
_dgrid_with("forgets (W-1)/2", ("x",), "`x` is 2/(W-1): it lacks a factor (W-1)/2")(
    lambda g, size: g / np.array([(size[0] - 1) / 2, 1])
)
_dgrid_with("forgets both scales", ("x", "y"), "`y` is 2/(H-1)")(lambda g, size: g / ((size - 1) / 2))
_dgrid_with("scales by W/2", ("x", "y"), "`x` is W/(W-1): it was scaled by W/2")(lambda g, size: g * size / (size - 1))
_dgrid_with("forgets the half", ("x", "y"), "is 2")(lambda g, size: 2 * g)
_dgrid_with("flips the sign of y", ("y",), "`y` is -1")(lambda g, size: g * np.array([1, -1]))
_dgrid_with("takes H for W", ("x",), "`x` is (H-1)/(W-1)")(
    lambda g, size: g * np.array([(size[1] - 1) / (size[0] - 1), 1])
)


@lesson.mistake("sample_backward", "takes the first coordinate for the row", terms=("dimage", "x", "y"))
def _(dy, image, grid):
    dimage, dgrid = sample_backward(dy, image.T.copy(), grid)
    return dimage.T.copy(), dgrid


@lesson.mistake("sample_backward", "swaps the weights of left and right", terms=("dimage",))
def _(dy, image, grid):
    left, top, fx, fy = corners(image, grid)
    dimage = np.zeros_like(image)
    for down, wy in ((0, 1 - fy), (1, fy)):
        for right, wx in ((0, fx), (1, 1 - fx)):
            np.add.at(dimage, (top + down, left + right), dy * wx * wy)
    return dimage, sample_backward(dy, image, grid)[1]


@lesson.mistake("sample_backward", "sets the pixels instead of adding to them", terms=("dimage",))
def _(dy, image, grid):
    left, top, fx, fy = corners(image, grid)
    dimage = np.zeros_like(image)
    for down, wy in ((0, 1 - fy), (1, fy)):
        for right, wx in ((0, 1 - fx), (1, fx)):
            dimage[top + down, left + right] += dy * wx * wy  # of several points at one pixel, the last one wins
    return dimage, sample_backward(dy, image, grid)[1]


@lesson.mistake("sample_backward", "takes the slope along the upper edge only", terms=("x",))
def _(dy, image, grid):
    left, top, _, _ = corners(image, grid)
    dimage, dgrid = sample_backward(dy, image, grid)
    slope = image[top, left + 1] - image[top, left]
    return dimage, np.stack([dy * (image.shape[1] - 1) / 2 * slope, dgrid[:, 1]], axis=1)


@lesson.variant("sample_backward", "hat functions over the whole image")
def _(dy, image, grid):
    height, width = image.shape
    px, py = (grid[:, 0] + 1) * (width - 1) / 2, (grid[:, 1] + 1) * (height - 1) / 2
    dx, dyy = np.arange(width) - px[:, None], np.arange(height) - py[:, None]
    hat_x, hat_y = np.maximum(0, 1 - np.abs(dx)), np.maximum(0, 1 - np.abs(dyy))
    slope_x, slope_y = np.sign(dx) * (np.abs(dx) < 1), np.sign(dyy) * (np.abs(dyy) < 1)
    du = np.einsum("p,ph,hw,pw->p", dy, hat_y, image, slope_x) * (width - 1) / 2
    dv = np.einsum("p,ph,hw,pw->p", dy, slope_y, image, hat_x) * (height - 1) / 2
    return np.einsum("p,ph,pw->hw", dy, hat_y, hat_x), np.stack([du, dv], axis=1)


@lesson.variant("sample_backward", "one point at a time")
def _(dy, image, grid):
    dimage, dgrid = np.zeros_like(image), np.zeros_like(grid)
    left, top, fx, fy = corners(image, grid)
    for p, g in enumerate(dy):
        for j, wx, sx in ((0, 1 - fx[p], -1.0), (1, fx[p], 1.0)):
            for i, wy, sy in ((0, 1 - fy[p], -1.0), (1, fy[p], 1.0)):
                pixel = image[top[p] + i, left[p] + j]
                dimage[top[p] + i, left[p] + j] += g * wx * wy
                dgrid[p] += g * pixel * np.array([sx * wy, sy * wx])
    return dimage, dgrid * (np.array(image.shape[::-1]) - 1) / 2


# %% [markdown]
# ## 6. Attention
#
# $T$ queries ask $T$ keys, and mix the values by the answers:
#
# $$
# s = \frac{q k^\top}{\sqrt{d}}, \qquad p_{ij} = \frac{e^{s_{ij}}}{\sum_k e^{s_{ik}}}, \qquad y = p v
# $$
#
# Backwards there are two linear layers with a softmax between them. The product $y = pv$ gives
# $\bar{v} = p^\top \bar{y}$ and $\bar{p} = \bar{y} v^\top$. In the softmax, a score acts on its own exponential, which
# gives the term **direct**, and on the sum of its row, which gives **norm**:
#
# $$
# \bar{s}_{ij} = \underbrace{p_{ij} \bar{p}_{ij}}_{\text{direct}}
# - \underbrace{p_{ij} \sum_k p_{ik} \bar{p}_{ik}}_{\text{norm}}
# $$
#
# Then $\bar{q} = \bar{s} k / \sqrt{d}$ and $\bar{k} = \bar{s}^\top q / \sqrt{d}$. The exercise returns the steps, too,
# and each is judged from *your* gradient of the step before: one mistake is reported once.


# %%
def attention(q, k, v):
    powers = np.exp(q @ k.T / np.sqrt(q.shape[1]))
    return powers / powers.sum(axis=1, keepdims=True) @ v


@lesson.exercise(hint="Go back in this order: y, p, s, q and k. A row of p adds up to 1: what does that do to ds?")
def attention_backward(dy, q, k, v, p):
    """Return the gradients of y = p @ v, where p = softmax(s) by rows and s = q @ k.T / sqrt(d).

    Args:
        dy: gradient with respect to y, shape (T, E).
        q: the queries, shape (T, d).
        k: the keys, shape (T, d).
        v: the values, shape (T, E).
        p: the attention weights, shape (T, T); each row adds up to 1.

    Returns:
        The tuple (dv, dp, ds, dq, dk), of shapes (T, E), (T, T), (T, T), (T, d) and (T, d).
    """
    scale = 1 / np.sqrt(q.shape[1])
    dv = p.T @ dy
    dp = dy @ v.T
    ds = p * dp - p * (p * dp).sum(axis=1, keepdims=True)  # direct, norm
    return dv, dp, ds, ds @ k * scale, ds.T @ q * scale


def draw_attention(rng: np.random.Generator, T: int = 4, d: int = 3, E: int = 2) -> dict[str, Any]:
    return {"q": rng.normal(size=(T, d)), "k": rng.normal(size=(T, d)), "v": rng.normal(size=(T, E))}


@lesson.step("6. Attention", terms=("dv", "dp", "direct", "norm", "dq", "dk"))
def step_attention(run: Run) -> None:
    q, k, v = draw_attention(run.rng).values()
    dy = run.rng.normal(size=v.shape)
    p = softmax(q @ k.T / np.sqrt(q.shape[1]))
    dv, _, ds, dq, dk = attention_backward(dy, q, k, v, p)
    run.claim("dv", error(dv, judged(lambda v: attention(q, k, v), v, dy)), below=1e-8)
    run.claim("dq", error(dq, judged(lambda q: attention(q, k, v), q, dy)), below=1e-8)
    run.claim("dk", error(dk, judged(lambda k: attention(q, k, v), k, dy)), below=1e-8)
    run.claim("each row of ds adds up to zero", np.abs(ds.sum(axis=1)).max(), below=1e-14)


@lesson.question(
    "attention_backward",
    inputs=draw_attention,
    sizes={"T": (4, 6), "d": (3, 7), "E": (5, 2)},
    terms={
        "dv": (Term("dv", "p.T @ dy", question="Which outputs does one value reach, and with which weight?"),),
        "dp": (Term("dp", "dy @ v.T", question="What does one attention weight multiply?"),),
        "ds": (
            Term("direct", "p * dp", question="What does a score do to its own exponential?"),
            Term("norm", "-p * sum_j(p * dp)", ("z",), question="Whose sum does a score enter?"),
        ),
        "dq": (Term("dq", "ds @ k / sqrt(d)", question="By what was the product of q and k divided?"),),
        "dk": (Term("dk", "ds.T @ q / sqrt(d)", question="Which scores does one key enter: a row, or a column?"),),
    },
)
def attention_on_tape(named, q, k, v):
    s = named("s", q @ k.t() / q.shape[1] ** 0.5)
    powers = s.exp()
    z = named("z", powers.sum(1, keepdim=True))
    return named("p", powers / z) @ v


# %%
def _attention_steps(dy, q, k, v, p, *, norm=1.0, axis=1, scale=None, dk=None, dv=None):
    """The right steps, except for what is given."""
    scale = 1 / np.sqrt(q.shape[1]) if scale is None else scale
    dp = dy @ v.T
    ds = p * (dp - norm * (p * dp).sum(axis=axis, keepdims=True))
    back = ds.T if dk is None else dk(ds)
    return (p.T if dv is None else dv(p)) @ dy, dp, ds, ds @ k * scale, back @ q * scale


WRONG_ATTENTION: dict[str, tuple[dict[str, Any], tuple[str, ...], str | None]] = {
    "drops the sum of the softmax": ({"norm": 0.0}, ("norm",), "`norm` is 0"),
    "flips the sign of the sum of the softmax": ({"norm": -1.0}, ("norm",), "`norm` is -1"),
    "normalises over the queries instead of the keys": ({"axis": 0}, ("norm",), None),
    "forgets 1/sqrt(d)": ({"scale": 1.0}, ("dq", "dk"), "`dq` and `dk` is sqrt(d): it lacks a factor 1/sqrt(d)"),
    "forgets the transpose of ds": ({"dk": lambda ds: ds}, ("dk",), None),
    "forgets the transpose of p": ({"dv": lambda p: p}, ("dv",), None),
}
for _name, (_changes, _terms, _cause) in WRONG_ATTENTION.items():
    lesson.mistake("attention_backward", _name, terms=_terms, cause=_cause)(
        lambda dy, q, k, v, p, _changes=_changes: _attention_steps(dy, q, k, v, p, **_changes)
    )


@lesson.mistake("attention_backward", "divides by d", terms=("dq", "dk"), cause="`dq` and `dk` is 1/sqrt(d)")
def _(dy, q, k, v, p):
    return _attention_steps(dy, q, k, v, p, scale=1 / q.shape[1])


@lesson.mistake("attention_backward", "swaps dq and dk", cause="in the place of dq is dk")
def _(dy, q, k, v, p):
    dv, dp, ds, dq, dk = _attention_steps(dy, q, k, v, p)
    return dv, dp, ds, dk, dq


@lesson.mistake("attention_backward", "forgets p in front of dp", terms=("direct",), cause="`direct` is 1/p")
def _(dy, q, k, v, p):
    dp = dy @ v.T
    ds = dp - p * (p * dp).sum(axis=1, keepdims=True)
    return p.T @ dy, dp, ds, ds @ k / np.sqrt(q.shape[1]), ds.T @ q / np.sqrt(q.shape[1])


@lesson.variant("attention_backward", "one query at a time, by the Jacobian of the softmax")
def _(dy, q, k, v, p):
    dp = np.einsum("ie,je->ij", dy, v)
    ds = np.array([(np.diag(row) - np.outer(row, row)) @ g for row, g in zip(p, dp, strict=True)])
    root = q.shape[1] ** 0.5
    return np.einsum("ij,ie->je", p, dy), dp, ds, ds @ (k / root), (q.T @ ds).T / root


@lesson.variant("attention_backward", "the sum of p * dp as the inner product of y and dy")
def _(dy, q, k, v, p):
    dp = dy @ v.T
    ds = p * (dp - (dy * (p @ v)).sum(axis=1, keepdims=True))
    return p.T @ dy, dp, ds, ds @ k / np.sqrt(q.shape[1]), ds.T @ q / np.sqrt(q.shape[1])


# %% [markdown]
# ## 7. The LSTM cell
#
# Four pre-activations, each a linear layer of input and previous output, become three gates and a proposal:
#
# $$
# i = \sigma(a_i), \quad f = \sigma(a_f), \quad g = \tanh(a_g), \quad o = \sigma(a_o), \qquad
# c = f c' + i g, \qquad h = o \tanh c
# $$
#
# Two gradients arrive: $\bar{h}$ from above and $\bar{c}$ from the next time step. So what reaches $c$ is a sum of two,
# $\bar{c} + \bar{h} \, o \, (1 - \tanh^2 c)$, and each gradient further back has two terms: the one that came by $c$
# (**i_c**, **f_c**, ...) and the one that came by $h$ (**i_h**, **f_h**, ...). The first is why an LSTM remembers: with
# $f$ near 1, $\bar{c}$ goes back through many steps almost unchanged, and meets no $\tanh$ on its way.


# %%
def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_cell(ai, af, ag, ao, c_prev):
    c = sigmoid(af) * c_prev + sigmoid(ai) * np.tanh(ag)
    return sigmoid(ao) * np.tanh(c), c


@lesson.exercise(hint="First collect everything that reaches c, from the next step and through h. Then fan out.")
def lstm_cell_backward(dh, dc, c_prev, i, f, g, o, tanh_c):
    """Return the gradients of an LSTM cell with respect to its pre-activations and to the cell before.

    i, f and o are sigmoids of ai, af and ao; g = tanh(ag); c = f * c_prev + i * g; h = o * tanh(c).

    Args:
        dh: gradient with respect to the output h.
        dc: gradient with respect to c, from the next time step.
        c_prev: the cell before.
        i, f, g, o: the gates and the proposal.
        tanh_c: tanh(c).

    Returns:
        The tuple (dai, daf, dag, dao, dc_prev). All arrays, also the arguments, have shape (N, H).
    """
    dc = dc + dh * o * (1 - tanh_c**2)
    dai = dc * g * i * (1 - i)
    daf = dc * c_prev * f * (1 - f)
    dag = dc * i * (1 - g**2)
    dao = dh * tanh_c * o * (1 - o)
    return dai, daf, dag, dao, dc * f


def draw_lstm(rng: np.random.Generator, N: int = 3, H: int = 2) -> dict[str, Any]:
    return {name: rng.normal(size=(N, H)) for name in ("ai", "af", "ag", "ao", "c_prev")}


@lesson.step("7. The LSTM cell", terms=("i_h", "i_c", "f_h", "f_c", "g_h", "g_c", "o", "c_h", "c_c"))
def step_lstm(run: Run) -> None:
    inputs = draw_lstm(run.rng)
    dh, dc = run.rng.normal(size=(2, 3, 2))
    ai, af, ag, ao, c_prev = inputs.values()
    _, c = lstm_cell(**inputs)
    found = lstm_cell_backward(dh, dc, c_prev, sigmoid(ai), sigmoid(af), np.tanh(ag), sigmoid(ao), np.tanh(c))
    for name, got in zip(inputs, found, strict=True):

        def moved(value, name=name):
            return np.stack(lstm_cell(**{**inputs, name: value}))

        run.claim(f"d{name}", error(got, judged(moved, inputs[name], np.stack([dh, dc]))), below=1e-8)


@lesson.question(
    "lstm_cell_backward",
    inputs=draw_lstm,
    sizes={"N": (3, 5), "H": (4, 2)},
    upstream=("dh", "dc"),
    terms={
        "dai": (
            Term("i_c", "dc * g * i(1-i)", question="Does what comes from the next step reach i?"),
            Term("i_h", "dh * o(1-tanh_c^2) * g * i(1-i)", ("tanh_c",), question="How does i reach h?"),
        ),
        "daf": (
            Term("f_c", "dc * c_prev * f(1-f)", question="Does what comes from the next step reach f?"),
            Term("f_h", "dh * o(1-tanh_c^2) * c_prev * f(1-f)", ("tanh_c",), question="How does f reach h?"),
        ),
        "dag": (
            Term("g_c", "dc * i * (1-g^2)", question="Does what comes from the next step reach g?"),
            Term("g_h", "dh * o(1-tanh_c^2) * i * (1-g^2)", ("tanh_c",), question="How does g reach h?"),
        ),
        "dao": (Term("o", "dh * tanh_c * o(1-o)", question="The output gate acts on h alone. By which factor?"),),
        "dc_prev": (
            Term("c_c", "dc * f", question="What does the next step ask of the cell before this one?"),
            Term("c_h", "dh * o(1-tanh_c^2) * f", ("tanh_c",), question="How does the cell before reach h?"),
        ),
    },
    factors={
        "1/(1 - tanh_c**2)": lambda values: 1 / (1 - values["tanh_c"] ** 2),
        **{f"1/({n}*(1-{n}))": lambda values, n=n: 1 / (values[n] * (1 - values[n])) for n in "ifo"},
        **{f"1/(1-{n})": lambda values, n=n: 1 / (1 - values[n]) for n in "ifo"},
        "1/(1-g**2)": lambda values: 1 / (1 - values["g"] ** 2),
    },
)
def lstm_on_tape(named, ai, af, ag, ao, c_prev):
    i, f, o = named("i", ai.sigmoid()), named("f", af.sigmoid()), named("o", ao.sigmoid())
    g = named("g", ag.tanh())
    c = named("c", f * c_prev + i * g)
    return o * named("tanh_c", c.tanh()), c


# %%
def _cell(dh, dc, c_prev, i, f, g, o, tanh_c, *, into_c=None, df=None, dg=None, keep=None):
    """The right cell, except for what is given."""
    dc = dc + dh * o * (1 - tanh_c**2) if into_c is None else into_c
    return (
        dc * g * i * (1 - i),
        dc * c_prev * (f * (1 - f) if df is None else df),
        dc * i * (1 - g**2 if dg is None else dg),
        dh * tanh_c * o * (1 - o),
        dc * (f if keep is None else keep),
    )


def _cell_mistake(name, terms=(), cause=None):
    return lesson.mistake("lstm_cell_backward", name, terms=terms, cause=cause)


@_cell_mistake("ignores dc", ("i_c", "f_c", "g_c", "c_c"), "`i_c` is 0")
def _(dh, dc, c_prev, i, f, g, o, tanh_c):
    return _cell(dh, 0 * dc, c_prev, i, f, g, o, tanh_c)


@_cell_mistake("ignores what reaches c through h", ("i_h", "f_h", "g_h", "c_h"), "`i_h` is 0")
def _(dh, dc, c_prev, i, f, g, o, tanh_c):
    return _cell(dh, dc, c_prev, i, f, g, o, tanh_c, into_c=dc)


@_cell_mistake("forgets the slope of tanh(c)", ("i_h", "f_h", "g_h", "c_h"), "`g_h` and `c_h` is 1/(1 - tanh_c**2)")
def _(dh, dc, c_prev, i, f, g, o, tanh_c):
    return _cell(dh, dc, c_prev, i, f, g, o, tanh_c, into_c=dc + dh * o)


@_cell_mistake("takes tanh_c for its square", ("i_h", "f_h", "g_h", "c_h"))
def _(dh, dc, c_prev, i, f, g, o, tanh_c):
    return _cell(dh, dc, c_prev, i, f, g, o, tanh_c, into_c=dc + dh * o * (1 - tanh_c))


@_cell_mistake("forgets the slope of the sigmoid of f", ("f_c", "f_h"), "1/(f*(1-f))")
def _(dh, dc, c_prev, i, f, g, o, tanh_c):
    return _cell(dh, dc, c_prev, i, f, g, o, tanh_c, df=1.0)


@_cell_mistake("forgets 1 - f", ("f_c", "f_h"), "1/(1-f)")
def _(dh, dc, c_prev, i, f, g, o, tanh_c):
    return _cell(dh, dc, c_prev, i, f, g, o, tanh_c, df=f)


@_cell_mistake("takes the slope of a sigmoid for g", ("g_c", "g_h"))
def _(dh, dc, c_prev, i, f, g, o, tanh_c):
    return _cell(dh, dc, c_prev, i, f, g, o, tanh_c, dg=g * (1 - g))


@_cell_mistake("forgets f on the way back to c_prev", ("c_c", "c_h"), "every term of dc_prev is 1/f")
def _(dh, dc, c_prev, i, f, g, o, tanh_c):
    return _cell(dh, dc, c_prev, i, f, g, o, tanh_c, keep=1.0)


@_cell_mistake("uses the input gate for the forget gate", ("c_c", "c_h"))
def _(dh, dc, c_prev, i, f, g, o, tanh_c):
    return _cell(dh, dc, c_prev, i, f, g, o, tanh_c, keep=i)


@_cell_mistake("returns f before i", (), "in the place of dai is daf")
def _(dh, dc, c_prev, i, f, g, o, tanh_c):
    dai, daf, *rest = _cell(dh, dc, c_prev, i, f, g, o, tanh_c)
    return daf, dai, *rest


@_cell_mistake("doubles the gradient of the output gate", ("o",), "`o` is 2")
def _(dh, dc, c_prev, i, f, g, o, tanh_c):
    dai, daf, dag, dao, dc_prev = _cell(dh, dc, c_prev, i, f, g, o, tanh_c)
    return dai, daf, dag, 2 * dao, dc_prev


@lesson.variant("lstm_cell_backward", "slopes written in other ways")
def _(dh, dc, c_prev, i, f, g, o, tanh_c):
    total = dc + dh * o / np.cosh(np.arctanh(tanh_c)) ** 2
    return (
        total * g * (0.25 - (i - 0.5) ** 2),
        total * c_prev * (f - f * f),
        total * i / np.cosh(np.arctanh(g)) ** 2,
        dh * tanh_c * (o - o**2),
        f * total,
    )


@lesson.variant("lstm_cell_backward", "the two roads kept apart until the end")
def _(dh, dc, c_prev, i, f, g, o, tanh_c):
    roads = [
        np.stack([r * g * i * (1 - i), r * c_prev * f * (1 - f), r * i * (1 + g) * (1 - g), 0 * r, r * f])
        for r in (dc, dh * o * (1 - tanh_c) * (1 + tanh_c))
    ]
    dai, daf, dag, dao, dc_prev = roads[0] + roads[1]
    return dai, daf, dag, dao + dh * tanh_c * o * (1 - o), dc_prev


# %% [markdown]
# ## What would a wrong gradient do?
#
# Key `w` of the loop trains something small with *your* backward pass in it, beside the right one. A layer is then an
# op like any other, whose derivative is whatever function we hand it. What is learned depends on the layer:
#
# - cross-entropy, linear layer and layer norm: to read digits, 14 x 14 pixels, with one hidden layer of 32 units;
# - convolution: the same digits, by two layers of 3 x 3 filters with stride 2;
# - bilinear sampling: an image of 8 x 8 pixels, from samples of it at random points, half of them shifted by an unknown
#   distance that has to be learned as well;
# - attention: to find a thing by its name, with learned queries and keys;
# - the LSTM cell: to remember the first of six numbers.


# %%
def with_backward(forward: Callable[..., Any], backward: Callable[..., Any]) -> Callable[..., Any]:
    """Make an op of a forward pass on arrays and of backward(dy, *arrays), one gradient for each of them."""
    import minigrad

    layer = minigrad.op(forward)

    def vjp(dy, y, *inputs):
        arrays = [tensor.detach().numpy() for tensor in inputs]
        return tuple(minigrad.tensor(g) for g in backward(dy.detach().numpy(), *arrays))

    layer.defvjp(joint=vjp)
    return layer


def losses(arrays: list[np.ndarray], rate: float, loss_of: Callable[..., Any]) -> Iterator[float]:
    """Descend along the gradient of loss_of(*parameters), which draws a new batch each time; yield each step's loss."""
    import minigrad

    parameters = [minigrad.tensor(array, requires_grad=True) for array in arrays]
    while True:
        loss = loss_of(*parameters)
        yield loss.item()
        gradients = minigrad.autograd.grad(loss, parameters)
        with minigrad.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= rate * gradient


def digit_batches(rng: np.random.Generator, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of images (size, 14, 14) and labels (size,), for ever."""
    from lessons.data import mnist
    from lessons.data.batches import as_float, halved, minibatches

    digits = mnist.load()
    images = halved(as_float(digits.train_images))
    while True:
        for rows in minibatches(rng, len(images), size, drop_last=True):
            yield images[rows], digits.train_labels[rows]


def linear(x, weight, bias):
    return x @ weight.T + bias


def linear_gradients(candidate: Callable[..., Any]) -> Callable[..., Any]:
    return lambda dy, x, weight, bias: candidate(dy, x, weight)


def digit_losses(
    rng: np.random.Generator,
    of_linear: Callable[..., Any] = linear_backward,
    of_norm: Callable[..., Any] = layer_norm_backward,
    of_loss: Callable[..., Any] = cross_entropy_backward,
) -> Iterator[float]:
    """Learn to read digits with these backward passes, and yield the losses."""
    eps, batches = 1e-5, digit_batches(rng, 40)

    def norm_gradients(dy, x, gamma, beta):
        inv_std = 1 / np.sqrt(x.var(axis=1, keepdims=True) + eps)
        return of_norm(dy, (x - x.mean(axis=1, keepdims=True)) * inv_std, gamma, inv_std)

    def norm(x, gamma, beta):
        return layer_norm(x, gamma, beta, eps)

    dense, normalised = with_backward(linear, linear_gradients(of_linear)), with_backward(norm, norm_gradients)

    def loss_of(w1, b1, gamma, beta, w2, b2):
        images, labels = next(batches)

        def loss(scores):
            return cross_entropy(scores, labels)

        hidden = normalised(dense(images.reshape(len(images), -1), w1, b1), gamma, beta).relu()
        mean_loss = with_backward(loss, lambda dloss, scores: (of_loss(dloss, scores, labels),))
        return mean_loss(dense(hidden, w2, b2))

    w1, w2 = rng.normal(size=(32, 196)) / 14, rng.normal(size=(10, 32)) / np.sqrt(32)
    return losses([w1, np.zeros(32), np.ones(32), np.zeros(32), w2, np.zeros(10)], 0.3, loss_of)


ON_DIGITS = "digits of 14 x 14 pixels, 196-32-10 with layer norm, learning rate 0.3, batches of 40"


@lesson.consequence("cross_entropy_backward", title=ON_DIGITS)
def with_your_cross_entropy(candidate, rng):
    return digit_losses(rng, of_loss=candidate)


@lesson.consequence("linear_backward", title=ON_DIGITS)
def with_your_linear(candidate, rng):
    return digit_losses(rng, of_linear=candidate)


@lesson.consequence("layer_norm_backward", title=ON_DIGITS)
def with_your_layer_norm(candidate, rng):
    return digit_losses(rng, of_norm=candidate)


@lesson.consequence(
    "convolution_backward", title="digits of 14 x 14 pixels, 4 and 8 filters of 3 x 3, learning rate 0.2, batches of 20"
)
def with_your_convolution(candidate, rng):
    import minigrad.nn.functional as F

    batches = digit_batches(rng, 20)

    def filters(x, weight, bias):
        return convolution(x, weight, bias, 2, 1)

    layer = with_backward(filters, lambda dy, x, weight, bias: candidate(dy, x, weight, 2, 1))

    def loss_of(w1, b1, w2, b2, w3, b3):
        images, labels = next(batches)
        hidden = layer(layer(images[:, None], w1, b1).relu(), w2, b2).relu()
        return F.cross_entropy(F.linear(hidden.flatten(1), w3, b3), _tensor(labels))

    shapes = (4, 1, 3, 3), (8, 4, 3, 3), (10, 128)
    weights = [rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]) / 2) for shape in shapes]
    return losses([array for w in weights for array in (w, np.zeros(len(w)))], 0.2, loss_of)


def _tensor(array: np.ndarray) -> Any:
    import minigrad

    return minigrad.tensor(array)


@lesson.consequence("sample_backward", title="an image of 8 x 8 pixels and a shift, from 100 samples a step")
def with_your_sampling(candidate, rng):
    rows, columns = np.mgrid[:8, :8]
    image, shift = np.sin(rows / 2) + np.cos(columns / 3), np.array([0.2, -0.1])
    sampler = with_backward(sample, candidate)

    def loss_of(guess, moved):
        points = rng.uniform(-0.7, 0.7, (100, 2))
        far = (np.arange(100) % 2)[:, None]
        want = sample(image, points + far * shift)
        return ((sampler(guess, points + far * moved.clamp(-0.25, 0.25)) - want) ** 2).mean()

    return losses([np.full((8, 8), image.mean()), np.zeros(2)], 0.2, loss_of)


@lesson.consequence("attention_backward", title="six things are to be found by their names, learning rate 1")
def with_your_attention(candidate, rng):
    names = rng.normal(size=(6, 8)) / np.sqrt(8)

    def gradients(dy, q, k, v):
        powers = np.exp(q @ k.T / np.sqrt(q.shape[1]))
        dv, _, _, dq, dk = candidate(dy, q, k, v, powers / powers.sum(axis=1, keepdims=True))
        return dq, dk, dv

    look_up = with_backward(attention, gradients)

    def loss_of(w_query, w_key, w_value):
        order, things = rng.permutation(6), rng.normal(size=(6, 3))
        found = look_up(_tensor(names[order]) @ w_query, _tensor(names) @ w_key, _tensor(things) @ w_value)
        return ((found - things[order]) ** 2).mean()

    return losses([rng.normal(size=(8, 6)), rng.normal(size=(8, 6)), np.eye(3) / 2], 1.0, loss_of)


@lesson.consequence("lstm_cell_backward", title="to remember the first of six numbers, 8 cells, learning rate 0.2")
def with_your_lstm(candidate, rng):
    cells, steps, size = 8, 6, 32
    weight = rng.normal(size=(4 * cells, cells + 2)) / np.sqrt(cells)  # of h, the number and 1, for i, f, g and o
    weight[cells : 2 * cells, -1] += 2  # as usual, the forget gates begin open: it learns within a hundred steps
    readout = rng.normal(size=cells) / np.sqrt(cells)
    while True:
        numbers = rng.choice([-1.0, 1.0], (steps, size))
        h, c, past = np.zeros((size, cells)), np.zeros((size, cells)), []
        for number in numbers:
            x = np.column_stack([h, number, np.ones(size)])
            ai, af, ag, ao = np.split(x @ weight.T, 4, axis=1)
            h, now = lstm_cell(ai, af, ag, ao, c)
            past.append((x, c, sigmoid(ai), sigmoid(af), np.tanh(ag), sigmoid(ao), np.tanh(now)))
            c = now
        mistake = h @ readout - numbers[0]
        yield float((mistake**2).mean())
        dguess = 2 * mistake / size
        dh, dc, dweight, dreadout = np.outer(dguess, readout), np.zeros_like(c), np.zeros_like(weight), dguess @ h
        for x, *seen in reversed(past):
            *gates, dc = candidate(dh, dc, *seen)
            da = np.concatenate(gates, axis=1)
            dweight += da.T @ x
            dh = da @ weight[:, :cells]
        weight -= 0.2 * dweight
        readout -= 0.2 * dreadout


# %% [markdown]
# ## PyTorch
#
# The same seven gradients from PyTorch's layers, recorded, and live where it is installed; and from minigrad's layers.
# PyTorch has no function that begins with the gates of an LSTM, so its cell gets an identity for a weight matrix.


# %%
def fixed_problems() -> dict[str, dict[str, Any]]:
    """The first random problem of each exercise, by the name of the layer."""
    problems = {}
    for exercise in lesson.exercise_list:
        assert exercise.question is not None
        problems[exercise.name.removesuffix("_backward")] = exercise.question.problem.draws[0].values
    return problems


def library_gradients(library: Any) -> dict[str, np.ndarray]:
    """Each gradient, as "layer dx", by a library that has PyTorch's names."""
    functional, problems, found = library.nn.functional, fixed_problems(), {}

    def gradients(layer: str, function: Callable[..., Any], inputs: str, upstream: str = "dy") -> None:
        values = problems[layer]
        leaves = [library.tensor(values[name]).requires_grad_() for name in inputs.split()]
        outputs = function(*leaves)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        seeds = [
            library.tensor(values[name]).reshape(o.shape) for name, o in zip(upstream.split(), outputs, strict=True)
        ]
        for name, gradient in zip(inputs.split(), library.autograd.grad(outputs, leaves, seeds), strict=True):
            found[f"{layer} d{name}"] = gradient.detach().numpy()

    def sampler(image: Any, grid: Any) -> Any:
        return functional.grid_sample(image[None, None], grid[None, None], align_corners=True)[0, 0, 0]

    def attention_of_one(q: Any, k: Any, v: Any) -> Any:
        return functional.scaled_dot_product_attention(q[None], k[None], v[None])[0]

    def cell(ai: Any, af: Any, ag: Any, ao: Any, c_prev: Any) -> Any:
        size = c_prev.shape[1]
        module = library.nn.LSTMCell(4 * size, size, bias=False, dtype=library.float64)
        weights = {"weight_ih": np.eye(4 * size), "weight_hh": np.zeros((4 * size, size))}
        module.load_state_dict({name: library.tensor(weight) for name, weight in weights.items()})
        return module(library.cat([ai, af, ag, ao], 1), (0 * c_prev, c_prev))

    labels = library.tensor(problems["cross_entropy"]["labels"])
    gradients("cross_entropy", lambda scores: functional.cross_entropy(scores, labels), "scores", "dloss")
    gradients("linear", functional.linear, "x weight bias")
    eps = problems["layer_norm"]["eps"]
    gradients(
        "layer_norm", lambda x, gamma, beta: functional.layer_norm(x, x.shape[1:], gamma, beta, eps), "x gamma beta"
    )
    gradients("convolution", lambda *tensors: functional.conv2d(*tensors, stride=2, padding=1), "x weight bias")
    gradients("sample", sampler, "image grid")
    gradients("attention", attention_of_one, "q k v")
    gradients("lstm_cell", cell, "ai af ag ao c_prev", "dh dc")
    return found


def our_gradients() -> dict[str, np.ndarray]:
    """The same gradients by the solutions of the exercises."""
    found = {}
    for layer, values in fixed_problems().items():
        exercise = lesson.exercise_named(f"{layer}_backward")
        assert exercise.question is not None
        results = exercise.solution(*(values[name] for name in exercise.question.parameters))
        results = (results,) if isinstance(results, np.ndarray) else results
        found |= {f"{layer} {name}": result for name, result in zip(exercise.question.terms, results, strict=True)}
    return found


@lesson.compare("PyTorch")
def pytorch(run: Run) -> None:
    import minigrad

    ours, recorded, of_minigrad = our_gradients(), recorded_by_torch(lesson), library_gradients(minigrad)
    of_torch: dict[str, np.ndarray] = {}

    def live(torch: Any, name: str) -> np.ndarray:
        if not of_torch:
            of_torch.update(library_gradients(torch))
        return of_torch[name]

    names = sorted(recorded.keys() - {"torch_version"})
    for name in names:
        run.claim(f"minigrad's layer: {name}", error(of_minigrad[name], ours[name]), below=1e-12)
    for name in names:
        run.compare(name, ours[name], recorded=recorded[name], live=lambda torch, name=name: live(torch, name))
    run.note(f"Recorded with PyTorch {recorded['torch_version']}.")


# %% [markdown]
# ## Where this breaks
#
# - **Kinks.** Where a sampling point crosses from one pixel to the next, the slope jumps, and there is no derivative
#   to compare with. The draws keep away from these lines; real inputs do not.
# - **Memory.** A backward pass needs values of the forward pass, here $p$ in attention: $T^2$ numbers. For long
#   sequences people compute $p$ again in pieces instead of keeping it.
# - **Sums of many small numbers.** In float32, the sums over batch and windows lose digits that float64 keeps. A check
#   in float32 needs a tolerance so wide that some wrong factors fit through it; so the checks here are in float64.
# - **A right gradient of the wrong function.** All checks here take the forward pass as given. If the forward pass
#   divides by $N - 1$ where it should not, its gradient will be found right.
