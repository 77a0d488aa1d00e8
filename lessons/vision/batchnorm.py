# %% [markdown]
# # The backward pass of batch normalisation
#
# **The question.** Batch normalisation subtracts from each feature its mean over the batch and divides by its
# standard deviation over the batch, so the output of one sample depends on all the others. What is the
# gradient with respect to one input then, and how can a page of chain rule shrink to one line with three
# terms?
#
# This lesson rebuilds [Deriving the Gradient for the Backward Pass of Batch Normalization][post] by Kevin
# Zakka (2016). It goes from the output back to the input one function at a time, as the post does, and stops
# after each step to measure whether the step is right. Two of the printed lines are not, and we will see by
# how much. The layer itself comes from [Batch Normalization: Accelerating Deep Network Training by Reducing
# Internal Covariate Shift][paper] by Sergey Ioffe and Christian Szegedy (2015).
#
# At the end, the same small network learns to read digits with and without the layer, at learning rates from
# 0.01 to 3.
#
# [post]: http://kevinzakka.github.io/2016/09/14/batch_normalization/
# [paper]: https://arxiv.org/abs/1502.03167

# %%
from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lessons.anatomy import Lesson, Run, Source, Term
from lessons.data.batches import halved
from lessons.data.digits import Digits, load_digits
from lessons.lab.colours import BLUE, GREEN, ORANGE, PURPLE, VERMILLION
from lessons.lab.numbers import error
from lessons.lab.recorded import recorded_by_torch
from lessons.lab.statistics import mean_and_margin
from lessons.lab.threads import one_thread

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minigrad import nn

lesson = Lesson(
    name="batchnorm",
    title="The backward pass of batch normalisation",
    subject="vision",
    source=Source(
        title="Deriving the Gradient for the Backward Pass of Batch Normalization",
        author="Kevin Zakka",
        year=2016,
        link="http://kevinzakka.github.io/2016/09/14/batch_normalization/",
    ),
    headline="With batch norm, learning rates from 0.01 to 3 all work well; without it, only those in the middle.",
    minutes=1,
    exercises=4,
)

# %% [markdown]
# ## The forward pass, as a chain of four small functions
#
# Take one feature, with the values $x_1, \dots, x_N$ in the batch. Batch norm computes, in this order,
#
# $$
# \begin{align*}
# \mu &= \frac{1}{N} \sum_{i} x_i \\
# \sigma^2 &= \frac{1}{N} \sum_{i} (x_i - \mu)^2 \\
# \hat{x}_i &= \frac{x_i - \mu}{\sqrt{\sigma^2 + \epsilon}} \\
# y_i &= \underbrace{\gamma \hat{x}_i}_{\text{scaled}} + \underbrace{\beta}_{\text{shift}}
# \end{align*}
# $$
#
# The small constant $\epsilon$ keeps the division safe when a feature hardly varies. The two learned numbers
# $\gamma$ and $\beta$ give back to the feature any scale and offset that the next layer wants. A batch of $D$
# features is an array of shape $(N, D)$, and each column goes through the same four functions on its own.
#
# We keep the four functions apart, each with *all* its inputs as arguments. That looks pedantic now. Soon it
# lets us hold one input still while another moves, and that is what a partial derivative is.


# %%
def batch_mean(x):
    return x.sum(axis=0) / len(x)


def batch_variance(x, mu):
    return ((x - mu) ** 2).sum(axis=0) / len(x)


def normalise(x, mu, var, eps):
    return (x - mu) / np.sqrt(var + eps)


def scale_and_shift(x_hat, gamma, beta):
    return gamma * x_hat + beta


def layer(x, gamma, beta, eps):
    mu = batch_mean(x)
    x_hat = normalise(x, mu, batch_variance(x, mu), eps)
    return scale_and_shift(x_hat, gamma, beta)


# %% [markdown]
# **Exercise: `forward`.** The same in one function. It hands back more than $y$, because the backward pass
# will want $\hat{x}$ and $1/\sqrt{\sigma^2 + \epsilon}$ again, and computing them twice would be a waste.


# %%
@lesson.exercise(hint="The variance divides by N, not by N - 1, and eps is added to it before the square root.")
def forward(x, gamma, beta, eps):
    """Normalise each feature over the batch, then scale and shift it.

    mu = mean of x over the batch, var = mean of (x - mu)**2 over the batch,
    x_hat = (x - mu) / sqrt(var + eps), y = gamma * x_hat + beta.

    Args:
        x: the batch, shape (N, D).
        gamma: one scale for each feature, shape (D,).
        beta: one offset for each feature, shape (D,).
        eps: a small positive number.

    Returns:
        The tuple (y, x_hat, inv_std), of shapes (N, D), (N, D) and (D,); inv_std is 1 / sqrt(var + eps).
    """
    centred = x - x.mean(axis=0)
    var = (centred**2).mean(axis=0)
    inv_std = 1 / np.sqrt(var + eps)
    x_hat = centred * inv_std
    return gamma * x_hat + beta, x_hat, inv_std


# %% [markdown]
# All the checks use batches like the one below: features with different means and spreads, $\gamma$ away from
# 1 and sometimes negative, and an $\epsilon$ large enough to matter. On standard normal data with $\gamma =
# 1$ and $\epsilon = 10^{-5}$, several of the mistakes that this lesson collects would go unnoticed.


# %%
EPS = 0.05


class Batch(NamedTuple):
    """One random problem: the inputs of the layer, and the gradient `dy` that arrives from above."""

    x: np.ndarray
    gamma: np.ndarray
    beta: np.ndarray
    dy: np.ndarray


def draw(rng: np.random.Generator, samples: int = 8, features: int = 3) -> Batch:
    """Draw a batch of shape (samples, features) on which mistakes show."""
    return Batch(
        x=rng.normal(size=(samples, features)) * rng.uniform(0.3, 3.0, features) + rng.normal(size=features),
        gamma=rng.uniform(0.5, 2.0, features) * rng.choice([-1.0, 1.0], features),
        beta=rng.normal(size=features),
        dy=rng.normal(size=(samples, features)),
    )


@lesson.step("The forward pass", terms=("mu", "var", "x_hat", "y"))
def the_forward_pass(run: Run) -> None:
    x, gamma, beta, _ = draw(run.rng)
    y, x_hat, _ = forward(x, gamma, beta, EPS)
    var = batch_variance(x, batch_mean(x))
    run.claim("forward(...) equals the chain of four functions", error(y, layer(x, gamma, beta, EPS)), below=1e-12)
    run.claim("x_hat has mean 0 in each feature", np.abs(x_hat.mean(axis=0)).max(), below=1e-14)
    # Not exactly 1: eps takes a small share.
    run.claim("x_hat has variance var / (var + eps)", error(x_hat.var(axis=0), var / (var + EPS)), below=1e-12)


# %% [markdown]
# ## A judge that does not know the derivation
#
# Before deriving anything, we need an independent way to be told that we are wrong. The *complex step* is the
# best one there is for smooth formulas. Move an input by a tiny imaginary amount $ih$ and expand:
#
# $$
# f(x + ih) = f(x) + ih f'(x) - \frac{h^2}{2} f''(x) - \dots
# $$
#
# The imaginary part, divided by $h$, is the derivative. Nothing is subtracted, so nothing cancels, and $h$
# may be as small as $10^{-30}$: the result is right to the last digits. The price is that the function must
# be made of plain arithmetic. `np.var`, for one, takes the modulus of complex numbers and would quietly spoil
# the result; that is why `batch_variance` spells out its square.
#
# One more trap. A gradient check needs numbers to arrive from above, the gradient $\partial L / \partial y$
# of some loss $L$, and ones look like the natural choice. For batch norm they are the worst: with ones, the
# loss is the sum of the outputs, this sum is $N\beta$ *whatever $x$ is*, and the gradient that we want to
# check is zero. Code that returns zeros would pass. So the numbers from above are random here, always.


# %%
def slope(function: Callable[[Any], Any], at: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    """Differentiate sum(upstream * function(at)) with respect to each entry of `at`, by complex steps."""
    step = 1e-30
    result = np.empty(at.shape)
    for index in np.ndindex(at.shape):
        moved = at.astype(complex)
        moved[index] += step * 1j
        result[index] = np.sum(upstream * function(moved).imag) / step
    return result


def judged(x, gamma, beta, dy, eps=EPS):
    """Return (dx, dgamma, dbeta) by complex steps through the whole layer."""
    dx = slope(lambda moving: layer(moving, gamma, beta, eps), x, dy)
    dgamma = slope(lambda moving: layer(x, moving, beta, eps), gamma, dy)
    dbeta = slope(lambda moving: layer(x, gamma, moving, eps), beta, dy)
    return dx, dgamma, dbeta


@lesson.step("A judge that does not know the derivation")
def a_judge(run: Run) -> None:
    x, gamma, beta, dy = draw(run.rng)
    by_rule = dy * (np.cos(x) - x * np.sin(x))
    run.claim(
        "complex step on x cos(x), against the product rule",
        error(slope(lambda x: x * np.cos(x), x, dy), by_rule),
        below=1e-13,
    )
    vacuous, *_ = judged(x, gamma, beta, np.ones_like(dy))
    run.claim("ones from above: largest entry of dx", np.abs(vacuous).max(), below=1e-12)
    honest, *_ = judged(x, gamma, beta, dy)
    run.claim("random numbers from above: largest entry of dx", np.abs(honest).max(), above=0.01)


# %% [markdown]
# ## Step 1: through $y$, back to $\gamma$, $\beta$ and $\hat{x}$
#
# In the code, `dy` is short for $\partial L / \partial y$ and has the shape of `y`; `dgamma`, `dx_hat` and so
# on likewise. Each $y_i = \gamma \hat{x}_i + \beta$ has its own $\hat{x}_i$, but all of them share one
# $\gamma$ and one $\beta$. What is shared collects a sum over all that it feeds:
#
# $$
# \begin{align*}
# \frac{\partial L}{\partial \gamma} &= \sum_i \frac{\partial L}{\partial y_i} \hat{x}_i \\
# \frac{\partial L}{\partial \beta} &= \sum_i \frac{\partial L}{\partial y_i} \\
# \frac{\partial L}{\partial \hat{x}_i} &= \gamma \frac{\partial L}{\partial y_i}
# \end{align*}
# $$
#
# **Exercise: `dgamma_dbeta`.** The first two of these.


# %%
@lesson.exercise(hint="gamma has D entries and dy has N * D. Over which axis must you sum, and what stands in the sum?")
def dgamma_dbeta(dy, x_hat):
    """Return the gradients with respect to the scale gamma and the offset beta.

    Args:
        dy: gradient with respect to the output y, shape (N, D).
        x_hat: the normalised batch, shape (N, D).

    Returns:
        The tuple (dgamma, dbeta), each of shape (D,).
    """
    return (dy * x_hat).sum(axis=0), dy.sum(axis=0)


@lesson.step("Step 1: through y", terms=("dgamma", "dbeta", "dx_hat"))
def through_y(run: Run) -> None:
    x, gamma, beta, dy = draw(run.rng)
    _, x_hat, _ = forward(x, gamma, beta, EPS)
    dgamma, dbeta = dgamma_dbeta(dy, x_hat)
    dx_hat = gamma * dy
    run.claim("dgamma", error(dgamma, slope(lambda g: scale_and_shift(x_hat, g, beta), gamma, dy)), below=1e-12)
    run.claim("dbeta", error(dbeta, slope(lambda b: scale_and_shift(x_hat, gamma, b), beta, dy)), below=1e-12)
    run.claim("dx_hat", error(dx_hat, slope(lambda h: scale_and_shift(h, gamma, beta), x_hat, dy)), below=1e-12)


# %% [markdown]
# ## Step 2: through $\hat{x}$, back to $\sigma^2$
#
# Now $\hat{x}_i = (x_i - \mu)(\sigma^2 + \epsilon)^{-1/2}$, with $x$ and $\mu$ held still. One $\sigma^2$
# feeds all of the $\hat{x}_i$, so again there is a sum, and inside it each $\hat{x}_i$ carries its own
# gradient:
#
# $$
# \underbrace{\frac{\partial L}{\partial \sigma^2}}_{\text{dvar}}
# = -\frac{1}{2} \sum_i \frac{\partial L}{\partial \hat{x}_i} (x_i - \mu) (\sigma^2 + \epsilon)^{-3/2}
# $$
#
# "Held still" deserves a thought, because $\sigma^2$ was computed from $x$ and $\mu$, and none of the three
# can move alone in the real layer. In the chain rule they are separate wires. Each wire is cut from what
# feeds it, its effect is measured, and the effects are added up later. The complex step does exactly that
# here: it moves `var` and leaves `x` and `mu` alone.


# %%
@lesson.step("Step 2: through x_hat, to var", terms=("dvar",))
def to_var(run: Run) -> None:
    x, gamma, _, dy = draw(run.rng)
    mu = batch_mean(x)
    var = batch_variance(x, mu)
    dx_hat = gamma * dy
    dvar = -0.5 * (dx_hat * (x - mu)).sum(axis=0) * (var + EPS) ** -1.5
    run.claim("dvar", error(dvar, slope(lambda v: normalise(x, mu, v, EPS), var, dx_hat)), below=1e-12)


# %% [markdown]
# ## Step 3: back to $\mu$, by two roads, one of which leads nowhere
#
# The mean is used twice: directly in $\hat{x}$, and inside $\sigma^2$. The second road contributes
#
# $$
# \frac{\partial L}{\partial \sigma^2} \frac{\partial \sigma^2}{\partial \mu}
# = \frac{\partial L}{\partial \sigma^2} \cdot \frac{-2}{N} \sum_i (x_i - \mu) = 0
# $$
#
# because deviations from the mean add up to nothing. (The mean is the point from which the squared distance
# is smallest, so there the slope is flat.) Only the first road is left:
#
# $$
# \frac{\partial L}{\partial \mu}
# = -\frac{1}{\sqrt{\sigma^2 + \epsilon}} \sum_i \frac{\partial L}{\partial \hat{x}_i}
# $$


# %%
@lesson.step("Step 3: to mu", terms=("dmu",))
def to_mu(run: Run) -> None:
    x, gamma, _, dy = draw(run.rng)
    mu = batch_mean(x)
    dx_hat = gamma * dy
    dmu = -dx_hat.sum(axis=0) / np.sqrt(batch_variance(x, mu) + EPS)
    road_by_var = slope(lambda m: batch_variance(x, m), mu, np.ones_like(mu))
    run.claim("the road through var: largest slope of var in mu", np.abs(road_by_var).max(), below=1e-14)
    both_roads = slope(lambda m: normalise(x, m, batch_variance(x, m), EPS), mu, dx_hat)
    run.claim("dmu, against both roads together", error(dmu, both_roads), below=1e-12)


# %% [markdown]
# ## Step 4: back to $x$, by three roads
#
# An input $x_i$ acts on its own $\hat{x}_i$, on the mean (with weight $1/N$), and on the variance (with
# weight $2(x_i - \mu)/N$):
#
# $$
# \frac{\partial L}{\partial x_i}
# = \frac{\partial L}{\partial \hat{x}_i} \frac{1}{\sqrt{\sigma^2 + \epsilon}}
# + \frac{\partial L}{\partial \mu} \frac{1}{N}
# + \frac{\partial L}{\partial \sigma^2} \frac{2 (x_i - \mu)}{N}
# $$
#
# These three have names from here on, in the code and in what the checks will tell you: **direct**, **mean**
# and **var**. Put in what steps 2 and 3 found. In the last term the two factors $(x_i - \mu)$ and $(x_j -
# \mu)$ share the power $-3/2$ between them: each takes $-1/2$ and becomes an $\hat{x}$, and one more $-1/2$
# is left over:
#
# $$
# \begin{align*}
# \text{direct}_i &= \frac{1}{\sqrt{\sigma^2 + \epsilon}} \frac{\partial L}{\partial \hat{x}_i} \\
# \text{mean}_i &= -\frac{1}{N \sqrt{\sigma^2 + \epsilon}} \sum_j \frac{\partial L}{\partial \hat{x}_j} \\
# \text{var}_i &= -\frac{1}{N \sqrt{\sigma^2 + \epsilon}} \hat{x}_i
# \sum_j \frac{\partial L}{\partial \hat{x}_j} \hat{x}_j
# \end{align*}
# $$
#
# To check a road by itself, let $x$ move on that road only and feed the original values to the other two.


# %%
def terms_of_dx(dy, x_hat, gamma, inv_std):
    """Split dx by the road that the gradient takes: direct (N, D), mean (D,) and var (N, D)."""
    n = len(dy)
    dx_hat = gamma * dy
    direct = inv_std * dx_hat
    mean = -inv_std / n * dx_hat.sum(axis=0)
    var = -inv_std / n * x_hat * (dx_hat * x_hat).sum(axis=0)
    return direct, mean, var


@lesson.step("Step 4: to x, by three roads", terms=("direct", "mean", "var"))
def to_x(run: Run) -> None:
    x, gamma, beta, dy = draw(run.rng)
    _, x_hat, inv_std = forward(x, gamma, beta, EPS)
    direct, mean, var = terms_of_dx(dy, x_hat, gamma, inv_std)
    mu0 = batch_mean(x)
    var0 = batch_variance(x, mu0)
    dx_hat = gamma * dy
    road = slope(lambda moving: normalise(moving, mu0, var0, EPS), x, dx_hat)
    run.claim("direct: x moves in the numerator only", error(direct, road), below=1e-12)
    road = slope(lambda moving: normalise(x, batch_mean(moving), var0, EPS), x, dx_hat)
    run.claim("mean: x moves in mu only", error(mean + 0 * x, road), below=1e-12)
    road = slope(lambda moving: normalise(x, mu0, batch_variance(moving, mu0), EPS), x, dx_hat)
    run.claim("var: x moves in var only", error(var, road), below=1e-12)
    whole, *_ = judged(x, gamma, beta, dy)
    run.claim("direct + mean + var: x moves everywhere", error(direct + mean + var, whole), below=1e-12)


# %% [markdown]
# ## Step 5: factor, and the page becomes a line
#
# The three terms share a factor. Taken out, it leaves the boxed result of the post:
#
# $$
# \frac{\partial L}{\partial x_i} = \frac{1}{N \sqrt{\sigma^2 + \epsilon}}
# \left( N \frac{\partial L}{\partial \hat{x}_i}
# - \sum_j \frac{\partial L}{\partial \hat{x}_j}
# - \hat{x}_i \sum_j \frac{\partial L}{\partial \hat{x}_j} \hat{x}_j \right)
# $$
#
# **Exercise: `closed_form_dx`.** This line.


# %%
@lesson.exercise(hint="Write dx_hat = gamma * dy first. Both sums run over the batch, and both carry 1/N.")
def closed_form_dx(dy, x_hat, gamma, inv_std):
    """Return the gradient of batch norm with respect to its input, in closed form.

    Args:
        dy: gradient with respect to the output y, shape (N, D).
        x_hat: the normalised batch, shape (N, D).
        gamma: the scale of each feature, shape (D,).
        inv_std: 1 / sqrt(var + eps) of each feature, shape (D,).

    Returns:
        dx, shape (N, D).
    """
    n = len(dy)
    dx_hat = gamma * dy
    return inv_std / n * (n * dx_hat - dx_hat.sum(axis=0) - x_hat * (dx_hat * x_hat).sum(axis=0))


# %% [markdown]
# There is an even shorter one. Since $\gamma$ does not depend on $i$, the two sums are $\gamma$ times what
# step 1 has already computed, $\partial L / \partial \beta$ and $\partial L / \partial \gamma$. The post does
# not take this last turn; it halves the number of sums:
#
# $$
# \frac{\partial L}{\partial x_i} = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}
# \left( \frac{\partial L}{\partial y_i}
# - \frac{1}{N} \frac{\partial L}{\partial \beta}
# - \frac{\hat{x}_i}{N} \frac{\partial L}{\partial \gamma} \right)
# $$


# %%
def backward_closed(dy, x_hat, gamma, inv_std):
    """The post's version: the closed form, and the two sums of step 1."""
    return (closed_form_dx(dy, x_hat, gamma, inv_std), *dgamma_dbeta(dy, x_hat))


def backward_reusing(dy, x_hat, gamma, inv_std):
    """The shorter version: the sums of step 1 serve dx as well."""
    dgamma, dbeta = dgamma_dbeta(dy, x_hat)
    n = len(dy)
    return gamma * inv_std * (dy - dbeta / n - x_hat * (dgamma / n)), dgamma, dbeta


@lesson.step("Step 5: the closed form")
def the_closed_form(run: Run) -> None:
    for samples, features in ((8, 3), (5, 4)):
        x, gamma, beta, dy = draw(run.rng, samples, features)
        _, x_hat, inv_std = forward(x, gamma, beta, EPS)
        want, *_ = judged(x, gamma, beta, dy)
        dx, _, _ = backward_closed(dy, x_hat, gamma, inv_std)
        run.claim(f"closed form, batch of {samples} with {features} features", error(dx, want), below=1e-12)
        dx, _, _ = backward_reusing(dy, x_hat, gamma, inv_std)
        run.claim(
            f"reusing dgamma and dbeta, batch of {samples} with {features} features",
            error(dx, want),
            below=1e-12,
        )


# %% [markdown]
# ## The other way: walk the graph
#
# The post sets its derivation against the *staged* way: draw every intermediate value as a node, and walk
# back from $y$ node by node. No cleverness is needed. Each node multiplies what comes in by its own small
# derivative, and where two arrows left a node on the way forward, two gradients are added on the way back. An
# automatic differentiation engine such as minigrad's does just this.
#
# **Exercise: `staged_backward`.** Follow the vermillion labels in the picture from right to left.


# %%
@lesson.exercise(
    hint="Go back in this order: y, x_hat, inv_std, var, centred, mu, x. Gradients meet at centred and at x."
)
def staged_backward(dy, centred, x_hat, inv_std, gamma):
    """Walk back through the graph of batch norm, one node at a time.

    The forward pass was mu = mean(x), centred = x - mu, var = mean(centred**2),
    inv_std = 1 / sqrt(var + eps), x_hat = centred * inv_std, y = gamma * x_hat + beta.

    Args:
        dy: gradient with respect to the output y, shape (N, D).
        centred: x - mu, shape (N, D).
        x_hat: the normalised batch, shape (N, D).
        inv_std: 1 / sqrt(var + eps), shape (D,).
        gamma: the scale of each feature, shape (D,).

    Returns:
        The tuple (dx, dgamma, dbeta), of shapes (N, D), (D,) and (D,).
    """
    n = len(dy)
    # y = gamma * x_hat + beta
    dbeta = dy.sum(axis=0)
    dgamma = (dy * x_hat).sum(axis=0)
    dx_hat = dy * gamma
    # x_hat = centred * inv_std
    dinv_std = (dx_hat * centred).sum(axis=0)
    dcentred = dx_hat * inv_std
    # inv_std = (var + eps) ** -0.5
    dvar = -0.5 * inv_std**3 * dinv_std
    # var = mean(centred ** 2): the second gradient that reaches centred
    dcentred = dcentred + dvar * 2 * centred / n
    # centred = x - mu
    dmu = -dcentred.sum(axis=0)
    # mu = mean(x): the second gradient that reaches x
    dx = dcentred + dmu / n
    return dx, dgamma, dbeta


# Where each node stands in the picture, and what is written in it.
NODES = {
    "x": (0.0, 0.0, "$x$"),
    "mu": (1.1, -1.0, r"$\mu$"),
    "centred": (2.2, 0.0, r"$x - \mu$"),
    "var": (3.3, -1.0, r"$\sigma^2$"),
    "inv_std": (6.0, -1.0, r"$(\sigma^2 + \epsilon)^{-1/2}$"),
    "x_hat": (7.3, 0.0, r"$\hat{x}$"),
    "gamma": (8.3, -0.95, r"$\gamma$"),
    "beta": (9.3, -0.95, r"$\beta$"),
    "y": (9.3, 0.0, "$y$"),
}
# Each arrow of the forward pass, with what the gradient is multiplied by when it comes back along it.
EDGES = {
    ("x", "mu"): r"$1/N$",
    ("x", "centred"): "$1$",
    ("mu", "centred"): r"$-\Sigma$",
    ("centred", "var"): r"$2(x - \mu)/N$",
    ("centred", "x_hat"): r"$(\sigma^2 + \epsilon)^{-1/2}$",
    ("var", "inv_std"): r"$-\frac{1}{2}(\sigma^2 + \epsilon)^{-3/2}$",
    ("inv_std", "x_hat"): r"$\Sigma\,(x - \mu)$",
    ("x_hat", "y"): r"$\gamma$",
    ("gamma", "y"): r"$\Sigma\,\hat{x}$",
    ("beta", "y"): r"$\Sigma$",
}


def draw_graph() -> Figure:
    """Draw NODES and EDGES; a sum sign says that the gradient is summed over the batch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.9), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.4, 9.7), ylim=(-1.35, 0.4))
    axes.set_axis_off()
    frame = {"boxstyle": "round,pad=0.45", "facecolor": "#E8F1F8", "edgecolor": BLUE}
    boxes = {
        name: axes.text(x, y, label, ha="center", va="center", fontsize=13, bbox=frame).get_bbox_patch()
        for name, (x, y, label) in NODES.items()
    }
    blank = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    for (start, end), label in EDGES.items():
        (x0, y0, _), (x1, y1, _) = NODES[start], NODES[end]
        arrow = {"arrowstyle": "-|>", "color": "0.55", "patchA": boxes[start], "patchB": boxes[end]}
        axes.annotate("", (x1, y1), (x0, y0), arrowprops=arrow | {"shrinkA": 3, "shrinkB": 3})
        middle = ((x0 + x1) / 2, (y0 + y1) / 2)
        axes.text(*middle, label, color=VERMILLION, ha="center", va="center", fontsize=11, bbox=blank)
    axes.set_title("Batch norm as a graph: arrows point forward, labels are the factors on the way back", fontsize=11)
    return figure


@lesson.step("The staged backward pass")
def the_staged_backward_pass(run: Run) -> None:
    x, gamma, beta, dy = draw(run.rng)
    _, x_hat, inv_std = forward(x, gamma, beta, EPS)
    staged = staged_backward(dy, x - x.mean(axis=0), x_hat, inv_std, gamma)
    for name, got, want in zip(("dx", "dgamma", "dbeta"), staged, judged(x, gamma, beta, dy), strict=True):
        run.claim(f"{name}, node by node", error(got, want), below=1e-12)
    run.figure(
        "batchnorm-graph",
        draw_graph(),
        alt="The graph of batch norm from x through mu, x - mu, the variance and its inverse root to x_hat "
        "and y. Each arrow carries the factor by which a gradient is multiplied on its way back.",
        data={"edges": [f"{start} -> {end}" for start, end in EDGES]},
    )


# %% [markdown]
# ## What the line says: fit a straight line, keep what is left
#
# Look at one feature, and plot the direct term of every sample over its $\hat{x}$. The mean term subtracts
# the same number from all the points; the var term subtracts a multiple of $\hat{x}$. Together they subtract
# a straight line, and it is not any line. For $\epsilon = 0$ it is the one that least squares would fit
# through the points, so that
#
# > **the gradient of batch norm is what a straight-line fit leaves over.**
#
# This has to be so. Shifting all the inputs, or stretching them, does not change the output of the layer. A
# gradient that asks for a shift or a stretch asks in vain, and the fit takes exactly these two wishes out. In
# matrix form the Jacobian of one feature is $\gamma / \sigma$ times a projection that removes two directions
# of $N$.


# %%
def one_feature(samples: int = 14, seed: int = 2) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return x_hat and the three terms of one feature whose upstream gradient leans on x_hat, at eps = 0."""
    x, gamma, beta, dy = draw(np.random.default_rng(seed), samples, 1)
    gamma = np.abs(gamma)
    _, x_hat, inv_std = forward(x, gamma, beta, 0.0)
    dy = dy + 0.9 * x_hat + 0.8
    terms = terms_of_dx(dy, x_hat, gamma, inv_std)
    return x_hat[:, 0], tuple(np.broadcast_to(term, dy.shape)[:, 0] for term in terms)


def draw_fit(x_hat: np.ndarray, direct: np.ndarray, mean: np.ndarray, var: np.ndarray) -> Figure:
    """Draw the direct term with the line that mean and var subtract, and what is left."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, sharex=True)
    order = np.argsort(x_hat)
    line = -(mean + var)
    left.vlines(x_hat, line, direct, color=GREEN, linewidth=2.5, label="dx: what is left")
    left.plot(x_hat[order], -mean[order], color=ORANGE, linestyle="--", label="minus the mean term")
    left.plot(x_hat[order], line[order], color=VERMILLION, label="minus the mean and var terms: the fit")
    left.plot(x_hat, direct, "o", color=BLUE, label="direct term")
    left.set(
        xlabel=r"$\hat{x}$ of each sample",
        ylabel=r"gradient with respect to $x$",
        title="The direct term, and a line",
    )
    left.legend(fontsize=8, loc="upper left")
    right.vlines(x_hat, 0, direct + mean + var, color=GREEN, linewidth=2.5)
    right.plot(x_hat, direct + mean + var, "s", color=GREEN)
    right.axhline(0, color="0.3", linewidth=0.8)
    right.set(xlabel=r"$\hat{x}$ of each sample", title="dx: no offset left, no slope left")
    return figure


@lesson.step("A straight-line fit", terms=("direct", "mean", "var"))
def a_straight_line_fit(run: Run) -> None:
    x_hat, (direct, mean, var) = one_feature()
    dx = direct + mean + var
    columns = np.stack([np.ones_like(x_hat), x_hat], axis=1)
    coefficients, *_ = np.linalg.lstsq(columns, direct, rcond=None)
    run.claim(
        "dx at eps = 0, against the residuals of numpy's lstsq",
        error(dx, direct - columns @ coefficients),
        below=1e-12,
    )

    x, gamma, beta, _ = draw(run.rng, 6, 1)
    jacobian = np.stack(
        [slope(lambda moving: layer(moving, gamma, beta, 0.0), x, row[:, None])[:, 0] for row in np.eye(6)]
    )
    eigenvalues = np.sort(np.linalg.eigvalsh(jacobian * (x.std() / gamma)))
    run.claim("Jacobian for N = 6: it is symmetric", error(jacobian, jacobian.T), below=1e-12)
    wrong = np.abs(eigenvalues - [0, 0, 1, 1, 1, 1]).max()
    run.claim("its eigenvalues times sigma / gamma are 0, 0, 1, 1, 1, 1", wrong, below=1e-12)
    run.figure(
        "batchnorm-fit",
        draw_fit(x_hat, direct, mean, var),
        alt="Left: the direct term over x_hat for the samples of one feature, and a line fitted through it. "
        "Right: dx, the distances from the line, scattered around zero without slope.",
        data={"x_hat": x_hat, "direct": direct, "mean": mean, "var": var, "dx": dx},
    )


# %% [markdown]
# ## Identities that follow
#
# What is left of a straight-line fit adds up to zero, and it is orthogonal to $\hat{x}$. The first stays true
# for any $\epsilon$. The second then becomes exact in a way worth knowing, because it explains a tiny number
# that puzzles many who test their code. From $\sum_i \hat{x}_i^2 = N \sigma^2 / (\sigma^2 + \epsilon)$
# follows
#
# $$
# \sum_i \frac{\partial L}{\partial x_i} = 0,
# \qquad
# \sum_i \frac{\partial L}{\partial x_i} \hat{x}_i
# = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}} \cdot \frac{\epsilon}{\sigma^2 + \epsilon}
# \cdot \frac{\partial L}{\partial \gamma}
# $$
#
# At $\epsilon = 0$ the right-hand side is zero. At PyTorch's $\epsilon = 10^{-5}$ it is small and *not*
# rounding error.
#
# The other face of the same fact is that the layer does not see a change of units: at $\epsilon = 0$, $a x +
# b$ gives the same output as $x$ for every $a > 0$.


# %%
@lesson.step("Identities")
def identities(run: Run) -> None:
    x, gamma, beta, dy = draw(run.rng)
    y, _, _ = forward(x, gamma, beta, 0.0)
    for eps in (0.0, 1e-5, EPS):
        _, x_hat, inv_std = forward(x, gamma, beta, eps)
        dx = closed_form_dx(dy, x_hat, gamma, inv_std)
        dgamma, _ = dgamma_dbeta(dy, x_hat)
        run.claim(f"eps = {eps:g}: sum of dx", np.abs(dx.sum(axis=0)).max(), below=1e-12)
        along = (dx * x_hat).sum(axis=0)
        run.claim(
            f"eps = {eps:g}: sum of dx * x_hat, minus the formula",
            np.abs(along - gamma * inv_std**3 * eps * dgamma).max(),
            below=1e-12,
        )
        run.results[f"dx . x_hat at eps {eps:g}"] = float(np.abs(along).max())
    unrounded = run.results["dx . x_hat at eps 1e-05"]
    run.claim("eps = 1e-5: sum of dx * x_hat itself is not zero", unrounded, above=1e-9, below=1.0)
    moved, _, _ = forward(3.7 * x - 11.0, gamma, beta, 0.0)
    run.claim("eps = 0: output for 3.7 x - 11, against x", error(moved, y), below=1e-12)


# %% [markdown]
# ## Why large steps do not blow up
#
# Here is what these identities mean for learning. Put a linear layer $h = xW$ in front of batch norm. Scaling
# $W$ by $a$ scales $h$ by $a$, and the output does not notice. Two things follow for the gradient $G$ with
# respect to $W$, column by column:
#
# - at $aW$ it is $G / a$: large weights receive small gradients;
# - it is orthogonal to $W$, so that a step can only make the weights longer:
#   $|W - \eta G|^2 = |W|^2 + \eta^2 |G|^2$.
#
# A step that is far too large thus makes the weights long, and long weights make the next step short. Batch
# norm turns a bad learning rate into a passing one, all by itself. The experiment below shows it on digits.


# %%
@lesson.step("Why large steps do not blow up")
def why_large_steps_do_not_blow_up(run: Run) -> None:
    _, gamma, beta, dy = draw(run.rng, samples=12, features=3)
    inputs = run.rng.normal(size=(12, 4))
    weight = run.rng.normal(size=(4, 3))

    def weight_gradient(weight: np.ndarray) -> np.ndarray:
        _, x_hat, inv_std = forward(inputs @ weight, gamma, beta, 0.0)
        return inputs.T @ closed_form_dx(dy, x_hat, gamma, inv_std)

    gradient = weight_gradient(weight)
    run.claim(
        "gradient at 10 W, times 10, against the one at W",
        error(10 * weight_gradient(10 * weight), gradient),
        below=1e-12,
    )
    cosine = (weight * gradient).sum(axis=0) / np.linalg.norm(weight, axis=0) / np.linalg.norm(gradient, axis=0)
    run.claim("cosine between W and its gradient", np.abs(cosine).max(), below=1e-12)
    longer = (weight**2).sum() + 100**2 * (gradient**2).sum()
    run.claim(
        "|W|^2 after a step of size 100, against the formula",
        abs(((weight - 100 * gradient) ** 2).sum() / longer - 1),
        below=1e-12,
    )


# %% [markdown]
# ## Errata: two lines of the post that do not hold
#
# The post's final box is right, and so is its code. On the way there, two lines are not. Neither looks wrong,
# which is why it pays to run them.
#
# **A sign.** In the last simplification the third term keeps its minus in line 2, becomes a plus in lines 3
# and 4, and is a minus again in the box. Whoever copies line 4 gets a gradient that no check will accept.


# %%
def errata_batch() -> tuple[Batch, np.ndarray, np.ndarray, np.ndarray]:
    """Return one fixed batch with its x_hat, its inv_std, and the dx of the judge."""
    batch = draw(np.random.default_rng(2016), samples=20, features=5)
    x, gamma, beta, dy = batch
    _, x_hat, inv_std = forward(x, gamma, beta, EPS)
    return batch, x_hat, inv_std, judged(x, gamma, beta, dy)[0]


def relative_norm(got: np.ndarray, want: np.ndarray) -> float:
    """Return |got - want| / |want|."""
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


@lesson.erratum(
    "M",
    "the sign of the third term, in lines 3 and 4 of the final simplification",
    printed="dx_i = ... - ... + (var + eps)**-0.5 / m * x_hat_i * sum_j(dx_hat_j * x_hat_j)",
    right="dx_i = ... - ... - (var + eps)**-0.5 / m * x_hat_i * sum_j(dx_hat_j * x_hat_j)",
)
def sign_slip(run: Run) -> None:
    (_, gamma, _, dy), x_hat, inv_std, want = errata_batch()
    direct, mean, var = terms_of_dx(dy, x_hat, gamma, inv_std)
    printed = direct + mean - var
    run.results["sign slip"] = relative_norm(printed, want)
    run.refuted("with + : |printed - true| / |true|", run.results["sign slip"], above=0.3)
    run.claim("with - : |ours - true| / |true|", relative_norm(direct + mean + var, want), below=1e-12)
    # CS231n measures max |a - b| / (|a| + |b|), which is at most 1 and says 1 for almost any mistake.
    worst = (np.abs(printed - want) / (np.abs(printed) + np.abs(want))).max()
    run.note(f"By the measure of the CS231n homework the printed line is wrong by {worst:.2g} of at most 1.")


# %% [markdown]
# **A sum in the wrong place.** The post writes $\partial \hat{x} / \partial \sigma^2$ with the sum inside:
# $-\frac{1}{2} \sum_i (x_i - \mu)(\sigma^2 + \epsilon)^{-3/2}$. As it stands, this is a sum of deviations
# from the mean, and it is zero on any data: the whole third term of the gradient would vanish. The sum
# belongs outside, around the product with $\partial f / \partial \hat{x}_i$, as in our step 2. (The post
# itself goes on with the right form.)


# %%
@lesson.erratum(
    "M",
    "the sum inside the derivative of x_hat with respect to the variance",
    printed="dx_hat / dvar = -0.5 * sum_i (x_i - mu) * (var + eps)**-1.5",
    right="dL / dvar = -0.5 * sum_i dx_hat_i * (x_i - mu) * (var + eps)**-1.5",
)
def misplaced_sum(run: Run) -> None:
    (x, gamma, _, dy), x_hat, inv_std, want = errata_batch()
    centred = x - batch_mean(x)
    dx_hat = gamma * dy
    direct, mean, _ = terms_of_dx(dy, x_hat, gamma, inv_std)

    printed_factor = -0.5 * (centred * inv_std**3).sum(axis=0)
    run.claim("the printed sum: largest entry", np.abs(printed_factor).max(), below=1e-12)
    printed = direct + mean + (dx_hat * printed_factor).sum(axis=0) * 2 * centred / len(x)
    run.results["misplaced sum"] = relative_norm(printed, want)
    run.refuted("sum inside: |printed - true| / |true| of dx", run.results["misplaced sum"], above=0.15)

    dvar = -0.5 * (dx_hat * centred * inv_std**3).sum(axis=0)
    right = direct + mean + dvar * 2 * centred / len(x)
    run.claim("sum outside: |ours - true| / |true| of dx", relative_norm(right, want), below=1e-12)


# %% [markdown]
# The rest is wording. None of it breaks the result, and all of it can hold up a careful reader.


# %%
lesson.smaller_slips(
    [
        ("N", "first lines of df/dgamma, df/dbeta, df/dvar, df/dmu have no sum", "sum over i from the first line on"),
        ("W", "'(x - mu) is a constant'", "constant with respect to var, mu and var taken as separate inputs"),
        ("W", "x_hat is the 'centered' input", "normalised: centred and divided by the standard deviation"),
        ("W", "y is a 'linear' transformation", "affine: it has an offset"),
        ("N", "the code's `inv_var` holds 1 / sqrt(var + eps)", "`inv_std`: the inverse standard deviation"),
        ("N", "the code unpacks `x_mu` and never uses it", "leave it out"),
    ]
)


# %% [markdown]
# ## Is it three times faster?
#
# The post ends with a measurement: the closed form runs three times as fast as the staged version. That is a
# fair number for one shape, one machine and one way to write the staged version. Let us measure several of
# each. The baseline is a *literal* staged version, in the style of [Frederik Kratzert's walk through the same
# graph][kratzert] (2016), to which the post points: a node for every single operation, an array for every
# node, and the gradient of a mean spread out by an array of ones. Against it run our own staged exercise, the
# post's closed form, the shorter form of step 5, minigrad's compiled kernel, and PyTorch where it is
# installed.
#
# All of them compute `dx`, `dgamma` and `dbeta` in float64 from what the forward pass has saved, with one
# thread each. They take turns, so that a busy machine disturbs all alike, and the figure shows ratios of
# medians.
#
# What to expect? NumPy walks through memory once for each arithmetic sign in the formula, and a short formula
# has few signs. On a small array the walks are nearly free and each *call* costs about a microsecond; on a
# large array the traffic counts. A compiled kernel does everything in two walks with one call.
#
# [kratzert]: https://kratzert.github.io/2016/02/12/understanding-the-gradient-flow-through-the-batch-normalization-layer.html


# %%
def backward_literal(dy, centred, x_hat, inv_std, gamma):
    """The staged version at its most literal: a node for every operation, an array for every node."""
    n = len(dy)
    dbeta = dy.sum(axis=0)
    dgamma = (dy * x_hat).sum(axis=0)
    dx_hat = dy * gamma
    dinv_std = (dx_hat * centred).sum(axis=0)
    dcentred_of_x_hat = dx_hat * inv_std
    dstd = -(inv_std**2) * dinv_std
    dvar = 0.5 * inv_std * dstd
    dsquare = np.ones_like(dy) / n * dvar
    dcentred_of_square = 2 * centred * dsquare
    dcentred = dcentred_of_x_hat + dcentred_of_square
    dmu = -dcentred.sum(axis=0)
    dx_of_mu = np.ones_like(dy) / n * dmu
    return dcentred + dx_of_mu, dgamma, dbeta


def contenders(batch: Batch, eps: float) -> dict[str, Callable[[], tuple[Any, Any, Any]]]:
    """Return the backward passes as functions without arguments, each returning (dx, dgamma, dbeta)."""
    import kernels

    x, gamma, beta, dy = batch
    mu = x.mean(axis=0)
    centred = x - mu
    _, x_hat, inv_std = forward(x, gamma, beta, eps)
    candidates = {
        "literal": lambda: backward_literal(dy, centred, x_hat, inv_std, gamma),
        "staged": lambda: staged_backward(dy, centred, x_hat, inv_std, gamma),
        "closed": lambda: backward_closed(dy, x_hat, gamma, inv_std),
        "reusing": lambda: backward_reusing(dy, x_hat, gamma, inv_std),
        "kernel": lambda: kernels.batch_norm_backward(dy, x, gamma, mu, inv_std),
    }
    if importlib.util.find_spec("torch") is not None:
        import torch

        t_dy, t_x, t_gamma, t_mu, t_inv_std = map(torch.from_numpy, (dy, x, gamma, mu, inv_std))
        candidates["torch"] = lambda: torch.ops.aten.native_batch_norm_backward(
            t_dy, t_x, t_gamma, None, None, t_mu, t_inv_std, True, eps, [True, True, True]
        )
    return candidates


LABELS = {
    "staged": "staged, as in the exercise",
    "closed": "closed form, the post's",
    "reusing": "closed form, reusing dgamma and dbeta",
    "kernel": "minigrad's kernel (NumPy when small)",
    "torch": "PyTorch",
}


def draw_timing(shapes: list[tuple[int, int]], ratios: dict[str, list[float]]) -> Figure:
    """Draw how many times as fast as the literal version each candidate is, for each shape."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(shapes))
    looks = zip((ORANGE, BLUE, GREEN, VERMILLION, PURPLE), ("v-", "o-", "s-", "D-", "^--"), strict=True)
    for (name, label), (color, style) in zip(LABELS.items(), looks, strict=True):
        if name in ratios:
            axes.plot(places, ratios[name], style, color=color, label=label)
    axes.axhline(1, color="0.3", linewidth=0.8)
    axes.axhline(3, color="0.3", linewidth=0.8, linestyle=":")
    axes.annotate("the post's 3x", (1.01, 3), xycoords=("axes fraction", "data"), va="center", fontsize=9)
    axes.set_yscale("log")
    ticks = [0.5, 1, 2, 3, 5, 10, 20, 50]
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in ticks if low <= tick <= high])
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_xticks(places, [f"{n} x {d}" for n, d in shapes])
    axes.set(
        xlabel="batch x features",
        ylabel="times as fast as the literal version",
        title="Backward pass of batch norm: the speed-up depends on the shape",
    )
    axes.legend(fontsize=8, loc="upper left")
    return figure


@lesson.experiment("Is it three times faster? A sweep over shapes")
def three_times_faster(run: Run) -> None:
    from kernels.benchmark import interleaved

    shapes = run.pick(
        quick=[(50, 60), (200, 100)],
        default=[(16, 16), (50, 60), (64, 256), (200, 100), (100, 500), (1000, 500), (8192, 256)],
        full=[(16, 16), (50, 60), (64, 256), (200, 100), (100, 500), (1000, 500), (8192, 256), (65536, 128)],
    )
    ratios: dict[str, list[float]] = {}
    worst = 0.0
    for shape in run.progress(shapes, "timing shapes"):
        candidates = contenders(draw(run.rng, *shape), EPS)
        want = candidates["literal"]()
        for candidate in candidates.values():
            errors = [error(np.asarray(got), exact) for got, exact in zip(candidate(), want, strict=True)]
            worst = max(worst, *errors)
        with one_thread():
            timings = interleaved(candidates, rounds=run.pick(quick=5, default=11, full=21), min_time=0.01)
        for name in candidates.keys() & LABELS.keys():
            ratios.setdefault(name, []).append(1 / timings[name].ratio(timings["literal"]))
    run.claim("all candidates agree on all shapes: largest error", worst, below=1e-9)
    slowest, fastest = min(ratios["closed"]), max(ratios["closed"])
    run.results["ratios"] = ratios
    shown = [name for name in LABELS if name in ratios]
    run.table(
        "Times as fast as the literal staged version (medians)",
        ("batch x features", *shown),
        [(f"{n} x {d}", *(f"{ratios[name][k]:.2f}" for name in shown)) for k, (n, d) in enumerate(shapes)],
    )
    over_staged = np.array(ratios["closed"]) / np.array(ratios["staged"])
    run.note(
        f"The post says three times. Here the closed form is {slowest:.1f} to {fastest:.1f} times as fast as the "
        f"literal version, depending on the shape, and {over_staged.min():.1f} to {over_staged.max():.1f} times as "
        f"fast as a staged version without arrays of ones; reusing the two sums makes {min(ratios['reusing']):.1f} "
        f"to {max(ratios['reusing']):.1f}. 'Three times' is one point of this table: the shape and the baseline "
        "decide."
    )
    run.figure(
        "batchnorm-timing",
        draw_timing(shapes, ratios),
        alt="Speed of the staged and closed forms, minigrad's kernel and PyTorch, relative to the literal version.",
        data={"shapes": shapes} | ratios,
    )


# %% [markdown]
# ## The experiment: the same network, with and without
#
# A network for the digits: 784 inputs, two hidden layers of 100 units, 10 outputs. One version has batch norm
# between each hidden linear layer and its ReLU, the other has not. Nothing else differs: same data, same
# batches of 100, same plain gradient descent without momentum. Each version is trained at learning rates that
# span a factor of 300, several times each, with other random numbers every time.
#
# A network without batch norm can break at a large learning rate in two ways: the loss overflows, or all its
# units die and it answers the same to every image. In the first case training stops and we score it as
# guessing (10 %); the figures mark it.
#
# Below, a slider chooses the learning rate. Begin at 0.3, where both learn. To the left, the network without batch norm
# falls behind; at the right end it only guesses. The one with batch norm learns at every stop.


# %%
BATCH_SIZE = 100
CHANCE = 0.1


class History(NamedTuple):
    """One training run: the loss of each step (up to an overflow), the test accuracy, the network."""

    losses: list[float]
    accuracy: float
    overflowed: bool
    model: nn.Module


def network(batch_norm: bool) -> nn.Sequential:
    """Build 784-100-100-10, with or without batch norm before each ReLU."""
    from minigrad import nn

    layers: list[nn.Module] = []
    for inputs, outputs in ((784, 100), (100, 100)):
        layers.append(nn.Linear(inputs, outputs))
        if batch_norm:
            layers.append(nn.BatchNorm1d(outputs))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Linear(100, 10))


def accuracy(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of right answers, with the network in the mode it is in."""
    import minigrad

    with minigrad.no_grad():
        return float((model(minigrad.tensor(images)).numpy().argmax(axis=1) == labels).mean())


def train(digits: Digits, batch_norm: bool, lr: float, epochs: int, seed: int) -> History:
    """Train one network with plain gradient descent and test it."""
    import minigrad
    import minigrad.nn.functional as F
    from lessons.data.batches import minibatches
    from minigrad import optim

    minigrad.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = network(batch_norm)
    optimizer = optim.SGD(model.parameters(), lr=lr)
    losses: list[float] = []
    with np.errstate(over="ignore", invalid="ignore"):  # an overflow is a result here, and is reported as one
        for _ in range(epochs):
            for rows in minibatches(rng, len(digits.labels), BATCH_SIZE, drop_last=True):
                optimizer.zero_grad()
                loss = F.cross_entropy(
                    model(minigrad.tensor(digits.images[rows])), minigrad.tensor(digits.labels[rows])
                )
                if not np.isfinite(loss.item()):
                    return History(losses, CHANCE, True, model)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        model.eval()
        return History(losses, accuracy(model, digits.test_images, digits.test_labels), False, model)


LOOKS = {True: ("with batch norm", BLUE, "o-"), False: ("without", VERMILLION, "s--")}


def smooth(losses: list[float], window: int) -> np.ndarray:
    """Return the running median over `window` steps; empty when there are fewer."""
    if len(losses) < window:
        return np.empty(0)
    return np.median(np.lib.stride_tricks.sliding_window_view(losses, window), axis=1)


def loss_curves(runs: list[History], window: int) -> np.ndarray:
    """Return the smoothed losses of some runs, shape (runs, steps); all end where the first overflow does."""
    curves = [smooth(run.losses, window) for run in runs]
    length = min(map(len, curves))
    return np.array([curve[:length] for curve in curves])


def draw_losses(rates: list[float], histories: dict[tuple[bool, float], list[History]], window: int) -> Figure:
    """Draw the losses at the given learning rates: median and range over the runs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    top = 20.0
    for axes, rate in zip(figure.subplots(1, len(rates), sharey=True), rates, strict=True):
        for batch_norm, (label, color, style) in LOOKS.items():
            runs = histories[batch_norm, rate]
            curves = loss_curves(runs, window)
            steps = np.arange(curves.shape[1]) + window
            low, high = (curves.min(axis=0), curves.max(axis=0))
            axes.plot(steps, np.median(curves, axis=0), style[1:], color=color, label=label)
            axes.fill_between(steps, low, high, color=color, alpha=0.2, linewidth=0)
            peak = max(max(run.losses, default=0.0) for run in runs)
            if peak > top:
                says = f"{label}: losses up to {peak:.0e}"
                axes.annotate(says, (0.97, 0.97), xycoords="axes fraction", color=color, ha="right", va="top")
            if any(run.overflowed for run in runs):
                axes.axvline(curves.shape[1] + window, color=color, linestyle=":", label=f"{label}: overflow")
        axes.axhline(np.log(10), color="0.4", linestyle=":", linewidth=1)
        axes.set(title=f"learning rate {rate:g}", xlabel="step", yscale="log", ylim=(0.02, top))
    first = figure.axes[0]
    first.set_ylabel("training loss")
    first.annotate("guessing: log 10", (0, np.log(10)), (4, 4), textcoords="offset points", fontsize=8)
    first.legend(fontsize=9, loc="lower left")
    return figure


class LossCurves:
    """The losses of both networks at one learning rate: every run, and their median; drawn anew for each rate."""

    TOP = 20.0  # where the scale ends; a note says when losses went beyond

    def __init__(self, steps: int, runs: int) -> None:
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(5.6, 3.3))
        self.axes = self.figure.add_axes((0.11, 0.14, 0.85, 0.77))
        self.lines = {
            which: [self.axes.plot([], [], style[1:], color=color, alpha=0.35, linewidth=1)[0] for _ in range(runs)]
            + [self.axes.plot([], [], style[1:], color=color, linewidth=2.5, label=label)[0]]
            for which, (label, color, style) in LOOKS.items()
        }
        self.axes.axhline(np.log(10), color="0.4", linestyle=":", linewidth=1)
        self.axes.annotate(
            "guessing: log 10", (steps, np.log(10)), (-6, 4), textcoords="offset points", fontsize=10, ha="right"
        )
        self.axes.set(xlabel="step", yscale="log", xlim=(0, steps), ylim=(0.02, self.TOP))
        self.axes.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
        self.axes.minorticks_off()
        self.axes.set_ylabel("training loss", labelpad=0)
        self.axes.legend(loc="lower left", fontsize=10)
        self.note = self.axes.text(
            0.98, 0.96, "", color=VERMILLION, ha="right", va="top", transform=self.axes.transAxes
        )

    def draw(self, rate: float, histories: dict[bool, list[History]], window: int) -> Figure:
        """Show the runs at one learning rate; returns the one figure."""
        for which, runs in histories.items():
            *each, middle = self.lines[which]
            curves = loss_curves(runs, window)
            for line, curve in zip([*each, middle], [*curves, np.median(curves, axis=0)], strict=True):
                line.set_data(np.arange(len(curve)) + window, curve)
        self.axes.set_title(f"learning rate {rate:g}", fontsize=12)
        self.note.set_text(self.trouble(histories[False]))
        return self.figure

    def trouble(self, without: list[History]) -> str:
        """What the curves without batch norm cannot show."""
        lost = sum(run.overflowed for run in without)
        peak = max(max(run.losses, default=0.0) for run in without)
        said = [f"overflow in {lost} of {len(without)} runs"] if lost else []
        if peak > self.TOP:
            said.append(f"losses up to {peak:.0e}")
        return "without: " + "\n".join(said) if said else ""


def draw_accuracy(rates: tuple[float, ...], scores: dict[bool, np.ndarray], overflowed: np.ndarray) -> Figure:
    """Draw test accuracy over learning rate: every run as a dot, and the mean with its 95 % interval."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for batch_norm, (label, color, style) in LOOKS.items():
        means, margins = np.array([mean_and_margin(runs) for runs in scores[batch_norm]]).T
        axes.fill_between(
            rates,
            np.clip(means - margins, 0, 1),
            np.clip(means + margins, 0, 1),
            color=color,
            alpha=0.15,
            linewidth=0,
        )
        axes.plot(rates, means, style, color=color, label=f"{label}: mean, 95 % interval")
        axes.plot(
            np.repeat(rates, scores[batch_norm].shape[1]),
            scores[batch_norm].ravel(),
            ".",
            color=color,
            alpha=0.6,
        )
    for rate, count in zip(rates, overflowed, strict=True):
        if count:
            axes.annotate(f"x {count}", (rate, CHANCE), (0, -14), textcoords="offset points", ha="center", fontsize=8)
    axes.axhline(CHANCE, color="0.4", linestyle=":", linewidth=1)
    axes.annotate("guessing", (rates[0], CHANCE), (0, 3), textcoords="offset points", fontsize=8)
    axes.set(
        xscale="log",
        ylim=(0, 1),
        xlabel="learning rate",
        ylabel="test accuracy",
        title="Digits: accuracy over learning rate, with and without batch norm",
    )
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.minorticks_off()
    axes.legend(fontsize=9, loc="lower center")
    return figure


def report_learning_rates(
    run: Run, rates: tuple[float, ...], scores: dict[bool, np.ndarray], overflowed: np.ndarray
) -> None:
    """Claim what the experiment must show, and say the rest with its margins."""

    def percent(values: np.ndarray) -> str:
        mean, margin = mean_and_margin(100 * values)
        return f"{mean:.1f} +- {margin:.1f}"

    run.table(
        f"Test accuracy in percent: mean of {scores[True].shape[1]} runs and 95 % interval",
        ("learning rate", "with batch norm", "without", "overflows without"),
        [
            (f"{rate:g}", percent(scores[True][k]), percent(scores[False][k]), int(overflowed[k]))
            for k, rate in enumerate(rates)
        ],
    )
    run.claim("with batch norm: worst single run at any learning rate", scores[True].min(), above=0.8)
    run.claim("without: best single run at the largest learning rate", scores[False][-1].max(), below=0.5)
    ahead = scores[True][0].mean() - scores[False][0].mean()
    run.claim("at the smallest learning rate: with minus without, means", ahead, above=0.02)
    best = {which: int(scores[which].mean(axis=1).argmax()) for which in LOOKS}
    # The seeds are shared, so the difference is taken run by run.
    gain, margin = mean_and_margin(100 * (scores[True][best[True]] - scores[False][best[False]]))
    run.results["gain at the best rates"] = (gain, margin)
    run.note(
        f"Each at its own best learning rate ({rates[best[True]]:g} with, {rates[best[False]]:g} without), "
        f"batch norm is ahead by {gain:.1f} +- {margin:.1f} points; these rates were chosen by the same scores, which "
        "flatters both. The large effect is not the peak but the width: no learning rate here is a bad one."
    )


def slide_through(
    run: Run, rates: tuple[float, ...], histories: dict[tuple[bool, float], list[History]], window: int
) -> None:
    """Let the reader choose the learning rate, and claim what is to be seen on the way."""
    last = {key: np.array([np.median(one.losses[-window:]) for one in runs]) for key, runs in histories.items()}
    highest = max(last[True, rate].max() for rate in rates)
    run.claim("with batch norm: highest final loss at any learning rate", highest, below=1.5)
    run.claim("without, at 0.3: highest final loss", last[False, 0.3].max(), below=1.5)
    behind = last[False, rates[0]].min() - last[True, rates[0]].max()
    run.claim("at the smallest learning rate: lowest final loss without, minus highest with", behind, above=0.1)
    curves = LossCurves(
        max(len(one.losses) for runs in histories.values() for one in runs), len(histories[True, rates[0]])
    )
    run.slider(
        "batchnorm-slider",
        {"learning rate": rates},
        lambda rate: curves.draw(rate, {which: histories[which, rate] for which in LOOKS}, window),
        alt="Training loss with and without batch norm at one learning rate. With it the loss falls at every rate; "
        "without it, it hardly falls at the smallest, falls in the middle, and stays at guessing at the largest.",
        start=(rates.index(0.3),),
        data={"rates": rates}
        | {
            f"{'with' if which else 'without'} at {rate:g}": loss_curves(histories[which, rate], window)
            for which in LOOKS
            for rate in rates
        },
    )


@lesson.experiment("Digits, with and without batch norm, over learning rates")
@one_thread()
def learning_rates(run: Run) -> None:
    digits = load_digits(full=run.size == "full")
    rates = run.pick(
        quick=(0.01, 0.1, 0.3, 1.0, 3.0),
        default=(0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
        full=(0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    )
    epochs = run.pick(quick=2, default=5, full=5)
    seeds = [run.seed + k for k in range(run.pick(quick=3, default=5, full=3))]

    jobs = [(batch_norm, rate, seed) for rate in rates for batch_norm in LOOKS for seed in seeds]
    histories: dict[tuple[bool, float], list[History]] = {}
    for batch_norm, rate, seed in run.progress(jobs, "training networks"):
        history = train(digits, batch_norm, rate, epochs, seed)
        histories.setdefault((batch_norm, rate), []).append(history)

    scores = {which: np.array([[one.accuracy for one in histories[which, rate]] for rate in rates]) for which in LOOKS}
    overflowed = np.array([sum(one.overflowed for one in histories[False, rate]) for rate in rates])
    run.results["rates"] = rates
    run.results["scores"] = scores
    report_learning_rates(run, rates, scores, overflowed)

    window = run.pick(quick=10, default=10, full=60)
    shown = [rates[0], rates[len(rates) // 2], rates[-1]]
    run.figure(
        "batchnorm-losses",
        draw_losses(shown, histories, window),
        alt="Training loss at a small, a middle and a large learning rate, with and without batch norm.",
        data={
            f"{'with' if batch_norm else 'without'} at {rate:g}": loss_curves(histories[batch_norm, rate], window)
            for batch_norm in LOOKS
            for rate in shown
        },
    )
    slide_through(run, rates, histories, window)
    run.figure(
        "batchnorm-learning-rates",
        draw_accuracy(rates, scores, overflowed),
        alt="Test accuracy over learning rate: nearly flat with batch norm, a hill without it.",
        data={"rates": rates, "with": scores[True], "without": scores[False], "overflowed": overflowed},
    )


# %% [markdown]
# ## What would a wrong gradient do?
#
# Press `w` in the loop (`minigrad`), and a network with *your* function in it learns to read digits beside one with
# the right function: 14 x 14 pixels, two hidden layers of 32 units with batch norm, plain gradient descent. Some bugs
# end the training at once. Others only make it worse, and you would blame the learning rate. A few cannot be seen in
# the loss at all, like a missing var term on these digits; they are the reason for checking gradients by number.
#
# The layer is an op like any other. Its derivative is whatever function we hand it, right or wrong.


# %%
def digits_losses(layer_forward, layer_backward, rng: np.random.Generator) -> Iterator[float]:
    """Train on the shipped digits and yield the loss of each step.

    `layer_forward` is called as `forward` is, and `layer_backward(dy, x, x_hat, inv_std, gamma)` returns
    (dx, dgamma, dbeta).
    """
    import minigrad
    import minigrad.nn.functional as F
    from lessons.data.batches import minibatches

    @minigrad.op
    def batch_norm(x, gamma, beta):
        return layer_forward(x, gamma, beta, 1e-5)[0]

    def vjp(dy, y, *inputs):
        x, gamma, beta = (tensor.detach().numpy() for tensor in inputs)
        _, x_hat, inv_std = layer_forward(x, gamma, beta, 1e-5)
        return tuple(map(minigrad.tensor, layer_backward(dy.detach().numpy(), x, x_hat, inv_std, gamma)))

    batch_norm.defvjp(joint=vjp)

    weights = [rng.normal(size=size) / np.sqrt(size[0]) for size in ((196, 32), (32, 32), (32, 10))]
    arrays = [*weights, np.ones(32), np.zeros(32), np.ones(32), np.zeros(32), np.zeros(10)]
    parameters = [minigrad.tensor(array, requires_grad=True) for array in arrays]
    w1, w2, w3, gamma1, beta1, gamma2, beta2, b3 = parameters
    digits = load_digits()
    # Small pictures and batches: products of this size are quick, and BLAS starts no threads for them.
    images = halved(digits.images).reshape(-1, 196)
    while True:
        for rows in minibatches(rng, len(images), 40, drop_last=True):
            h = F.relu(batch_norm(minigrad.tensor(images[rows]) @ w1, gamma1, beta1))
            h = F.relu(batch_norm(h @ w2, gamma2, beta2))
            loss = F.cross_entropy(h @ w3 + b3, minigrad.tensor(digits.labels[rows]))
            yield loss.item()
            gradients = minigrad.autograd.grad(loss, parameters)
            with minigrad.no_grad():
                for parameter, gradient in zip(parameters, gradients, strict=True):
                    parameter -= 0.5 * gradient


ON_DIGITS = "digits of 14 x 14 pixels, 196-32-32-10 with batch norm, learning rate 0.5, batches of 40"


@lesson.consequence("forward", title=ON_DIGITS)
def with_your_forward(candidate, rng):
    def backward(dy, x, x_hat, inv_std, gamma):
        return backward_closed(dy, x_hat, gamma, inv_std)

    return digits_losses(candidate, backward, rng)


@lesson.consequence("dgamma_dbeta", title=ON_DIGITS)
def with_your_dgamma_dbeta(candidate, rng):
    def backward(dy, x, x_hat, inv_std, gamma):
        return closed_form_dx(dy, x_hat, gamma, inv_std), *candidate(dy, x_hat)

    return digits_losses(forward, backward, rng)


@lesson.consequence("closed_form_dx", title=ON_DIGITS)
def with_your_closed_form_dx(candidate, rng):
    def backward(dy, x, x_hat, inv_std, gamma):
        return candidate(dy, x_hat, gamma, inv_std), *dgamma_dbeta(dy, x_hat)

    return digits_losses(forward, backward, rng)


@lesson.consequence("staged_backward", title=ON_DIGITS)
def with_your_staged_backward(candidate, rng):
    def backward(dy, x, x_hat, inv_std, gamma):
        return candidate(dy, x - x.mean(axis=0), x_hat, inv_std, gamma)

    return digits_losses(forward, backward, rng)


# %% [markdown]
# The experiment shows *that* batch norm widens the range of learning rates, and the identities show one
# reason. The original paper gave another, a drift of the layers' input distributions during training; [How
# Does Batch Normalization Help Optimization?](https://arxiv.org/abs/1805.11604) by Shibani Santurkar,
# Dimitris Tsipras, Andrew Ilyas and Aleksander Madry (2018) argues against it with experiments of its own.
#
# ## Compare with PyTorch
#
# The same inputs, through `torch.nn.functional.batch_norm` and its autograd: recorded once, and computed
# again where PyTorch is installed. One convention is worth seeing with your own eyes. Layers of batch norm
# also keep *running statistics* for use at test time, and PyTorch normalises with the variance divided by $N$
# but stores the one divided by $N - 1$.


# %%
def compare_with_minigrad(run: Run, batch: Batch, eps: float, ours: dict[str, np.ndarray]) -> None:
    """Claim that minigrad's own batch norm and its tape agree with the derivation."""
    import minigrad
    import minigrad.nn.functional as F

    leaves = [minigrad.tensor(array, requires_grad=True) for array in batch[:3]]
    output = F.batch_norm(leaves[0], None, None, *leaves[1:], training=True, eps=eps)
    output.backward(minigrad.tensor(batch.dy))
    for name, value in zip(ours, (output, *(leaf.grad for leaf in leaves)), strict=True):
        run.claim(f"minigrad's tape: {name}", error(value.detach().numpy(), ours[name]), below=1e-12)


@lesson.compare("PyTorch")
def pytorch(run: Run) -> None:
    recorded = recorded_by_torch(lesson)
    x, gamma, beta, dy = (recorded[name] for name in Batch._fields)
    eps = float(recorded["eps"])

    y, x_hat, inv_std = forward(x, gamma, beta, eps)
    ours = dict(zip(("y", "dx", "dgamma", "dbeta"), (y, *backward_closed(dy, x_hat, gamma, inv_std)), strict=True))

    def live(torch: Any, name: str) -> np.ndarray:
        leaves = [torch.tensor(array, requires_grad=True) for array in (x, gamma, beta)]
        output = torch.nn.functional.batch_norm(leaves[0], None, None, *leaves[1:], training=True, eps=eps)
        results = (output, *torch.autograd.grad(output, leaves, torch.tensor(dy)))
        return results[("y", "dx", "dgamma", "dbeta").index(name)].detach().numpy()

    for name, value in ours.items():
        run.compare(name, value, recorded=recorded[name], live=lambda torch, name=name: live(torch, name))

    compare_with_minigrad(run, Batch(x, gamma, beta, dy), eps, ours)

    momentum = float(recorded["momentum"])
    for text, ddof in (("N - 1", 1), ("N", 0)):
        running = (1 - momentum) * 1.0 + momentum * x.var(axis=0, ddof=ddof)
        distance = error(running, recorded["running_var"])
        if ddof:
            run.claim(f"running_var of PyTorch, against the variance over {text}", distance, below=1e-12)
        else:
            run.refuted(f"running_var of PyTorch, against the variance over {text}", distance, above=0.005)
    run.note(f"Recorded with PyTorch {recorded['torch_version']}.")


# %% [markdown]
# ## Where this breaks
#
# **Small batches.** Two numbers, centred and divided by their spread, are always $-1$ and $1$. A batch of two
# keeps of each feature only which of the two samples had more of it, and the gradient is zero: a straight
# line through two points leaves nothing over. A batch of one is worse: the output is $\beta$, and PyTorch
# refuses it.
#
# Above two it gets better, slowly. The mean of $N$ samples is off by about $1/\sqrt{N}$ standard deviations
# and the standard deviation by about $1/\sqrt{2N}$ of itself, so that an $\hat{x}$ differs from what the
# statistics of *all* the data would have made of it by about $\sqrt{1.5/N}$. With $N = 32$ that is 0.22.
#
# **Training and testing differ.** At test time there may be one image only, so the layer switches to running
# statistics. What was trained is one function, what is used is another, and they are close only as far as the
# batches were large and like the data. Below, we leave a trained network in training mode and let it read
# test digits in batches of several sizes, and then in batches in which all digits are the same. Each answer
# then depends on who else is in the batch. Not even looking is safe: a pass in training mode moves the
# running statistics, so the network is another one afterwards, although nobody has trained it.
#
# **What people do instead.** Layer norm takes the mean and the variance over the features of one sample,
# group norm over groups of channels, instance norm over the pixels of one channel. None of them looks at
# other samples, so the batch may have any size and training and testing agree. Transformers use layer norm or
# its relative without the mean; detectors and segmenters, which fit only a few large images into memory,
# often use group norm. In convolutional classifiers with batches of 32 and more, batch norm is still hard to
# beat: at test time it is a fixed affine function that can be merged into the layer before it, and then costs
# nothing.


# %%
def typical_gap(rng: np.random.Generator, samples: int, draws: int = 2000) -> float:
    """Return the root mean square of x_hat minus x, for batches of standard normal x."""
    x = rng.normal(size=(samples, draws))
    _, x_hat, _ = forward(x, np.ones(draws), np.zeros(draws), 0.0)
    return float(np.sqrt(np.mean((x_hat - x) ** 2)))


@lesson.step("Where this breaks: small batches")
def small_batches(run: Run) -> None:
    x, gamma, beta, dy = draw(run.rng, samples=2, features=5)
    _, x_hat, inv_std = forward(x, gamma, beta, 0.0)
    run.claim("N = 2, eps = 0: largest distance of |x_hat| from 1", np.abs(np.abs(x_hat) - 1).max(), below=1e-12)
    direct, _, _ = terms_of_dx(dy, x_hat, gamma, inv_std)
    share = np.abs(closed_form_dx(dy, x_hat, gamma, inv_std)).max() / np.abs(direct).max()
    run.claim("N = 2, eps = 0: largest entry of dx, as a share of the direct term", share, below=1e-12)
    sizes = (2, 4, 8, 16, 32, 64, 128)
    gaps = [typical_gap(run.rng, samples) for samples in sizes]
    run.table(
        "How far x_hat is from what the statistics of all the data would give (root mean square)",
        ("batch size", "measured", "sqrt(1.5 / N)"),
        [(n, f"{gap:.3f}", f"{np.sqrt(1.5 / n):.3f}") for n, gap in zip(sizes, gaps, strict=True)],
    )
    for samples, gap in zip(sizes[-2:], gaps[-2:], strict=True):
        run.claim(f"N = {samples}: gap divided by sqrt(1.5 / N)", gap / np.sqrt(1.5 / samples), within=(0.95, 1.05))


@lesson.experiment("Where this breaks: who else is in the batch")
@one_thread()
def who_else_is_in_the_batch(run: Run) -> None:
    digits = load_digits()
    epochs = run.pick(quick=2, default=5, full=5)
    model = train(digits, batch_norm=True, lr=0.3, epochs=epochs, seed=run.seed).model

    def share_right(batches: Iterator[np.ndarray]) -> float:
        right = [len(rows) * accuracy(model, digits.test_images[rows], digits.test_labels[rows]) for rows in batches]
        return sum(right) / len(digits.test_labels)

    def running_mean() -> np.ndarray:
        return model.state_dict()["1.running_mean"].numpy().copy()

    order = run.rng.permutation(len(digits.test_labels))
    one_by_one = share_right(order[k : k + 1] for k in range(len(order)))
    in_company = share_right(iter([order]))
    before = running_mean()
    results = {"one by one, running statistics (eval mode)": one_by_one}
    model.train()
    for size in (2, 4, 8, 16, 32, 100):
        results[f"mixed batches of {size}, batch statistics"] = share_right(
            order[start : start + size] for start in range(0, len(order), size)
        )
    results["batches of one class each, batch statistics"] = share_right(
        np.flatnonzero(digits.test_labels == digit) for digit in range(10)
    )
    run.table(
        "Test accuracy of one trained network",
        ("how the digits come", "right"),
        [(how, f"{share:.1%}") for how, share in results.items()],
    )
    run.results["who else"] = results
    in_eval, in_pairs, *_, in_hundreds, in_classes = results.values()
    run.claim("eval mode, one by one", in_eval, above=0.85)
    run.claim("eval mode, all in one batch, minus one by one", abs(in_company - in_eval), below=0.002)
    run.claim("running means after those batches: moved, as a share", relative_norm(running_mean(), before), above=0.01)
    run.claim("eval mode minus mixed batches of 100", in_eval - in_hundreds, within=(-0.05, 0.05))
    run.claim("eval mode minus batches of 2", in_eval - in_pairs, above=0.2)
    run.claim("eval mode minus batches of one class", in_eval - in_classes, above=0.2)


# %% [markdown]
# ## How your answers are judged
#
# Each exercise is called on random batches, at two sizes of the batch and two numbers of features, and compared
# with what minigrad's tape computes from the layer below. (The authors' check in turn compares the tape with
# numerical derivatives.) `named` gives the intermediate values their names. Cut the wire at `mu`, and what is lost
# of the gradient is the **mean** term; cut it at `var`, and it is the **var** term. A wrong answer is written as a
# sum of the three, and the factors usually tell which step of the derivation went wrong.
#
# A check is worth as much as the mistakes it catches, so here are some that must not pass, each with what the
# check has to say about it. If yours is in the list, its name is your hint.

# %%
DIRECT = Term(
    "direct",
    "gamma/s * dy",
    question="If mu and var were constants, what would one x do to its own y?",
)
MEAN = Term(
    "mean",
    "-gamma/(N s) * sum(dy)",
    through=("mu",),
    question="One x moves mu by how much? And when mu moves, which of the y move, and in which direction?",
)
VAR = Term(
    "var",
    "-gamma/(N s) * x_hat * sum(dy * x_hat)",
    through=("var",),
    question="The forward pass divides by the number of samples when it makes var. Which powers of N and of s are left "
    "when you go back through it?",
)
DGAMMA = Term("dgamma", "sum(dy * x_hat)", question="Which y does one gamma act on, and by which factor each?")
DBETA = Term("dbeta", "sum(dy)", question="Which y does one beta act on, and by which factor each?")


def drawn(rng: np.random.Generator, N: int, D: int) -> dict[str, Any]:
    """Draw the inputs of the layer for a batch of N with D features."""
    x, gamma, beta, _ = draw(rng, samples=N, features=D)
    return {"x": x, "gamma": gamma, "beta": beta, "eps": EPS}


_SIZES = {"N": (4, 7), "D": (3, 2)}
_FACTORS = {"(var + eps)/var": lambda values: (values["var"] + values["eps"]) / values["var"]}


@lesson.question(
    "forward",
    inputs=drawn,
    sizes=_SIZES,
    terms={
        "y": (
            Term("scaled", "gamma * x_hat", value=lambda values: values["gamma"] * values["x_hat"]),
            Term("shift", "beta", value=lambda values: values["beta"]),
        ),
        "x_hat": (
            Term("itself", "x * inv_std", value=lambda values: values["x"] * values["inv_std"]),
            Term("centre", "-mu * inv_std", value=lambda values: -values["mu"] * values["inv_std"]),
        ),
        "inv_std": (
            Term("inv_std", "1 / sqrt(var + eps)", value=lambda values: 1 / np.sqrt(values["var"] + values["eps"])),
        ),
    },
)
@lesson.question(
    "dgamma_dbeta", inputs=drawn, sizes=_SIZES, terms={"dgamma": (DGAMMA,), "dbeta": (DBETA,)}, factors=_FACTORS
)
@lesson.question("closed_form_dx", inputs=drawn, sizes=_SIZES, terms={"dx": (DIRECT, MEAN, VAR)}, factors=_FACTORS)
@lesson.question(
    "staged_backward",
    inputs=drawn,
    sizes=_SIZES,
    terms={"dx": (DIRECT, MEAN, VAR), "dgamma": (DGAMMA,), "dbeta": (DBETA,)},
    factors=_FACTORS,
)
def layer_on_the_tape(named, x, gamma, beta, eps):
    mu = named("mu", x.mean(0))
    centred = named("centred", x - mu)
    var = named("var", (centred**2).mean(0))
    inv_std = named("inv_std", (var + eps) ** -0.5)
    x_hat = named("x_hat", centred * inv_std)
    return named("y", gamma * x_hat + beta)


# %%
ALL = ("direct", "mean", "var")

# Wrong factors on the direct, the mean and the var term of dx, for a batch of n; the wrong terms; what must be said.
WRONG_FACTORS: dict[str, tuple[Callable[[int], tuple[float, float, float]], tuple[str, ...], str]] = {
    "returns zeros": (lambda n: (0, 0, 0), ALL, "dx is zero"),
    "doubles everything": (lambda n: (2, 2, 2), ALL, "every term of dx is 2"),
    "flips the sign of everything": (lambda n: (-1, -1, -1), ALL, "every term of dx is -1"),
    "drops the direct term": (lambda n: (0, 1, 1), ("direct",), "`direct` is 0"),
    "drops the mean term": (lambda n: (1, 0, 1), ("mean",), "`mean` is 0"),
    "drops the var term": (lambda n: (1, 1, 0), ("var",), "`var` is 0"),
    "drops mean and var: treats the statistics as constants": (
        lambda n: (1, 0, 0),
        ("mean", "var"),
        "`mean` and `var` is 0",
    ),
    "flips the sign of the mean term": (lambda n: (1, -1, 1), ("mean",), "`mean` is -1"),
    "flips the sign of the var term": (lambda n: (1, 1, -1), ("var",), "`var` is -1"),
    "divides by N - 1 in the var term": (lambda n: (1, 1, n / (n - 1)), ("var",), "`var` is N/(N-1)"),
    "misses 1/N in the mean term": (lambda n: (1, n, 1), ("mean",), "`mean` is N:"),
    "misses 1/N in the var term": (lambda n: (1, 1, n), ("var",), "`var` is N:"),
    "misses the 2 of the square": (lambda n: (1, 1, 0.5), ("var",), "`var` is 1/2"),
}


def _sum_of_terms(dy, x_hat, gamma, inv_std, *factors):
    return sum(factor * term for factor, term in zip(factors, terms_of_dx(dy, x_hat, gamma, inv_std), strict=True))


def _with_wrong_factors(factors):
    return lambda dy, x_hat, gamma, inv_std: _sum_of_terms(dy, x_hat, gamma, inv_std, *factors(len(dy)))


def _staged(dx):
    return lambda dy, centred, x_hat, inv_std, gamma: (dx(dy, x_hat, gamma, inv_std), *dgamma_dbeta(dy, x_hat))


def _wrong_dx(name, terms=(), cause=None):
    """Declare a wrong dx for both exercises that return one."""

    def register(wrong):
        lesson.mistake("closed_form_dx", name, terms=terms, cause=cause)(wrong)
        lesson.mistake("staged_backward", name, terms=terms, cause=cause)(_staged(wrong))
        return wrong

    return register


for _name, (_factors, _terms, _cause) in WRONG_FACTORS.items():
    _wrong_dx(_name, _terms, _cause)(_with_wrong_factors(_factors))


@_wrong_dx("forgets gamma", ALL, "every term of dx is 1/gamma")
def _(dy, x_hat, gamma, inv_std):
    return closed_form_dx(dy, x_hat, np.ones_like(gamma), inv_std)


@_wrong_dx("forgets inv_std", ALL, "every term of dx is 1/inv_std")
def _(dy, x_hat, gamma, inv_std):
    return closed_form_dx(dy, x_hat, gamma, np.ones_like(inv_std))


@_wrong_dx("uses the variance where the standard deviation belongs", ALL, "every term of dx is inv_std")
def _(dy, x_hat, gamma, inv_std):
    return closed_form_dx(dy, x_hat, gamma, inv_std**2)


@_wrong_dx("sigma for sigma squared in the var term", ("var",), "`var` is 1/inv_std")
def _(dy, x_hat, gamma, inv_std):
    return _sum_of_terms(dy, x_hat, gamma, inv_std, 1, 1, 1 / inv_std)


@_wrong_dx("forgets eps: takes the sum of x_hat**2 for N", ("var",), "`var` is (var + eps)/var")
def _(dy, x_hat, gamma, inv_std):
    return _sum_of_terms(dy, x_hat, gamma, inv_std, 1, 1, len(x_hat) / (x_hat**2).sum(axis=0))


@_wrong_dx("sums over the features instead of the batch", ("mean", "var"))
def _(dy, x_hat, gamma, inv_std):
    return inv_std * gamma * (dy - dy.mean(axis=1, keepdims=True) - x_hat * (dy * x_hat).mean(axis=1, keepdims=True))


@_wrong_dx("stops at x_hat", ALL)
def _(dy, x_hat, gamma, inv_std):
    return gamma * dy


@_wrong_dx("returns the transpose", (), "dx is the transpose")
def _(dy, x_hat, gamma, inv_std):
    return closed_form_dx(dy, x_hat, gamma, inv_std).T


@lesson.mistake("staged_backward", "swaps dgamma and dbeta", cause="in the place of dgamma is dbeta")
def _(dy, centred, x_hat, inv_std, gamma):
    dx, dgamma, dbeta = staged_backward(dy, centred, x_hat, inv_std, gamma)
    return dx, dbeta, dgamma


# %% [markdown]
# Right answers come in many forms, and these must pass:


# %%
def _right_dx(name):
    def register(right):
        lesson.variant("closed_form_dx", name)(right)
        lesson.variant("staged_backward", name)(_staged(right))
        return right

    return register


@_right_dx("reuses dgamma and dbeta")
def _(dy, x_hat, gamma, inv_std):
    return backward_reusing(dy, x_hat, gamma, inv_std)[0]


@_right_dx("takes the straight line out of each feature, one at a time")
def _(dy, x_hat, gamma, inv_std):
    dx = np.empty_like(dy)
    for j in range(dy.shape[1]):
        offset, slope = dy[:, j].mean(), (dy[:, j] * x_hat[:, j]).mean()
        dx[:, j] = gamma[j] * inv_std[j] * (dy[:, j] - offset - slope * x_hat[:, j])
    return dx


@_right_dx("multiplies by the Jacobian of each feature")
def _(dy, x_hat, gamma, inv_std):
    n = len(dy)
    jacobian = np.eye(n) - 1 / n - np.einsum("id,jd->dij", x_hat, x_hat) / n
    return np.einsum("d,dij,jd->id", gamma * inv_std, jacobian, dy)


@_right_dx("sums the three terms")
def _(dy, x_hat, gamma, inv_std):
    return _sum_of_terms(dy, x_hat, gamma, inv_std, 1, 1, 1)


lesson.variant("dgamma_dbeta", "uses einsum")(
    lambda dy, x_hat: (np.einsum("nd,nd->d", dy, x_hat), np.einsum("nd->d", dy))
)
lesson.variant("forward", "uses np.var")(
    lambda x, gamma, beta, eps: (
        gamma * (x - x.mean(0)) / np.sqrt(np.var(x, axis=0) + eps) + beta,
        (x - x.mean(0)) / np.sqrt(np.var(x, axis=0) + eps),
        (np.var(x, axis=0) + eps) ** -0.5,
    )
)

# %%
# Wrong sums and forwards, with the wrong terms and what must be said; None: the mistake is known by its name.
WRONG_SUMS: dict[str, tuple[Callable[..., tuple[Any, ...]], tuple[str, ...], str | None]] = {
    "returns zeros": (lambda dy, x_hat: (0 * dy[0], 0 * dy[0]), ("dgamma", "dbeta"), "dgamma is zero"),
    "swaps the two": (
        lambda dy, x_hat: (dy.sum(axis=0), (dy * x_hat).sum(axis=0)),
        (),
        "in the place of dgamma is dbeta",
    ),
    "flips the sign of dgamma": (
        lambda dy, x_hat: (-(dy * x_hat).sum(axis=0), dy.sum(axis=0)),
        ("dgamma",),
        "`dgamma` is -1",
    ),
    "forgets x_hat": (lambda dy, x_hat: (dy.sum(axis=0), dy.sum(axis=0)), (), "in the place of dgamma is dbeta"),
    "takes means instead of sums": (
        lambda dy, x_hat: ((dy * x_hat).mean(axis=0), dy.mean(axis=0)),
        ("dgamma", "dbeta"),
        "`dgamma` and `dbeta` is 1/N",
    ),
    "sums over the features": (
        lambda dy, x_hat: ((dy * x_hat).sum(axis=1), dy.sum(axis=1)),
        ("dgamma", "dbeta"),
        None,
    ),
    "does not sum": (lambda dy, x_hat: (dy * x_hat, dy), (), "dgamma was not summed over axis 0"),
    "multiplies the sums": (
        lambda dy, x_hat: (dy.sum(axis=0) * x_hat.sum(axis=0), dy.sum(axis=0)),
        ("dgamma",),
        "dgamma is zero",
    ),
}


def _normalise_with(x, gamma, beta, std, centre=1):
    x_hat = (x - centre * x.mean(axis=0)) / std
    return gamma * x_hat + beta, x_hat, 1 / std


WRONG_FORWARDS: dict[str, tuple[Callable[..., tuple[Any, ...]], tuple[str, ...], str | None]] = {
    "returns zeros": (
        lambda x, gamma, beta, eps: (0 * x, 0 * x, 0 * gamma),
        ("scaled", "shift", "inv_std"),
        "inv_std is zero",
    ),
    "forgets gamma": (lambda x, gamma, beta, eps: forward(x, 1, beta, eps), ("scaled",), "`scaled` is 1/gamma"),
    "forgets beta": (lambda x, gamma, beta, eps: forward(x, gamma, 0, eps), ("shift",), "`shift` is 0"),
    "forgets eps": (lambda x, gamma, beta, eps: forward(x, gamma, beta, 0), ("inv_std",), None),
    "adds eps to the standard deviation": (
        lambda x, gamma, beta, eps: _normalise_with(x, gamma, beta, x.std(axis=0) + eps),
        ("inv_std",),
        None,
    ),
    "divides by N - 1": (
        lambda x, gamma, beta, eps: _normalise_with(x, gamma, beta, np.sqrt(x.var(axis=0, ddof=1) + eps)),
        ("inv_std",),
        None,
    ),
    "divides by the variance (sigma squared for sigma)": (
        lambda x, gamma, beta, eps: _normalise_with(x, gamma, beta, x.var(axis=0) + eps),
        ("inv_std",),
        "`inv_std` is inv_std",
    ),
    "does not subtract the mean": (
        lambda x, gamma, beta, eps: _normalise_with(x, gamma, beta, np.sqrt(x.var(axis=0) + eps), centre=0),
        ("centre",),
        "`centre` is 0",
    ),
    "returns the standard deviation, not its inverse": (
        lambda x, gamma, beta, eps: (*forward(x, gamma, beta, eps)[:2], 1 / forward(x, gamma, beta, eps)[2]),
        ("inv_std",),
        "`inv_std` is 1/inv_std**2",
    ),
}

for _name, (_wrong, _terms, _cause) in WRONG_SUMS.items():
    lesson.mistake("dgamma_dbeta", _name, terms=_terms, cause=_cause)(_wrong)
for _name, (_wrong, _terms, _cause) in WRONG_FORWARDS.items():
    lesson.mistake("forward", _name, terms=_terms, cause=_cause)(_wrong)
