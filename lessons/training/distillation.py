# %% [markdown]
# # Knowledge distillation
#
# **The question.** A small network can learn from the answers of a large one instead of from labels, if those answers
# are softened by a *temperature*. What is in the soft answers that a label does not say, and which of the factors
# around the temperature, $1/T$ and $T^2$, belong where?
#
# This lesson rebuilds [Introduction to Knowledge Distillation][post] by Aditya Mehrotra (2022). The method comes from
# [Distilling the Knowledge in a Neural Network][paper] by Geoffrey Hinton, Oriol Vinyals and Jeff Dean (2015), and so
# does the experiment at the end: a student learns to read a digit of which it has never seen a single example.
#
# [post]: https://aditmeh.github.io/2022/10/22/knowledge-dist.html
# [paper]: https://arxiv.org/abs/1503.02531

# %%
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lessons.anatomy import Lesson, Run, Source, Term, Verdict
from lessons.data.batches import halved
from lessons.data.digits import Digits, load_digits
from lessons.lab.numbers import error
from lessons.lab.recorded import recorded_by_torch
from lessons.lab.statistics import with_margin
from lessons.lab.threads import one_thread
from lessons.lab.training import fit, outputs
from lessons.training import _distillation_figures as figures

if TYPE_CHECKING:
    from minigrad import Tensor, nn

lesson = Lesson(
    name="distillation",
    title="Knowledge distillation",
    subject="training",
    source=Source(
        title="Introduction to Knowledge Distillation",
        author="Aditya Mehrotra",
        year=2022,
        link="https://aditmeh.github.io/2022/10/22/knowledge-dist.html",
    ),
    headline="A student that was never shown a 3 reads most of them: the soft labels of other digits describe it.",
    minutes=1.5,
    exercises=3,
)

# %% [markdown]
# ## Softmax with a temperature
#
# A classifier ends in $n$ numbers $z_0, \dots, z_{n-1}$, the *logits*. The softmax at temperature $T$ makes
# probabilities of them:
#
# $$
# a_k = \frac{e^{z_k / T}}{\sum_{j=0}^{n-1} e^{z_j / T}}
# $$
#
# At $T = 1$ this is the ordinary softmax. Divide one probability by another, and the sum is gone:
#
# $$
# \frac{a_k}{a_j} = e^{(z_k - z_j) / T}, \qquad \log \frac{a_k}{a_j} = \frac{z_k - z_j}{T}
# $$
#
# All the properties are in this line. The temperature divides log-odds, so at no finite $T$ does it change which class
# is ahead of which. For $T \to \infty$ all odds become even and each class has $1/n$; for $T \to 0$ the largest logit
# takes all. And only differences of logits count, so that adding a constant to all of them changes nothing. That last
# fact is useful: subtract the largest logit first, and no exponential can overflow.
#
# **Exercise: `softmax_temperature`.**


# %%
@lesson.exercise(hint="Subtract the largest logit of each row before anything else; then divide by T.")
def softmax_temperature(z, T):
    """Return the softmax of each row at temperature T. Logits may be in the thousands.

    Args:
        z: logits, shape (N, C).
        T: the temperature, a positive number.

    Returns:
        Probabilities, shape (N, C); each row adds up to 1.
    """
    powers = np.exp((z - z.max(axis=1, keepdims=True)) / T)
    return powers / powers.sum(axis=1, keepdims=True)


# The post's example, and what it prints for it.
EXAMPLE = np.array([2.0, 10, 3, 0, 5, 4, 7, 9, 1, 2])
PRINTED = np.array([0.0002, 0.7000, 0.0006, 0.0000, 0.0047, 0.0017, 0.0348, 0.2575, 0.0001, 0.0002])
STAIRS = np.arange(1.0, 6.0)  # the post's z = (1, 2, 3, 4, 5)


@lesson.step("Softmax with a temperature")
def softmax_with_a_temperature(run: Run) -> None:
    example = softmax_temperature(EXAMPLE[None], 1.0)[0]
    run.results["example"] = example
    run.claim("the post's example column, to its four digits", np.array_equal(example.round(4), PRINTED), equals=True)
    z = 3 * run.rng.normal(size=(50, 10))
    for T in (0.5, 4.0):
        p = softmax_temperature(z, T)
        odds = np.log(p[:, :, None] / p[:, None, :])
        run.claim(
            f"T = {T:g}: log-odds are differences / T", error(odds, (z[:, :, None] - z[:, None]) / T), below=1e-11
        )
    order = np.argsort(z, axis=1)
    for T in (100.0, 1e6):
        same = np.array_equal(np.argsort(softmax_temperature(z, T), axis=1), order)
        run.claim(f"T = {T:g}: all 50 rows keep the order of their 10 classes", same, equals=True)
    run.claim("T = 1e6: distance from 1/n", np.abs(softmax_temperature(z, 1e6) - 0.1).max(), below=1e-5)
    coldest = softmax_temperature(z, 1e-4)[np.arange(50), z.argmax(axis=1)]
    run.claim("T = 1e-4: probability of the largest logit", coldest.min(), above=0.999)
    far_out = softmax_temperature(z + 1e4, 2.0)
    run.claim("10,000 added to all logits: change", error(far_out, softmax_temperature(z, 2.0)), below=1e-10)
    temperatures = (1.0, 2.0, 5.0, 20.0, 100.0)
    bars = np.concatenate([softmax_temperature(STAIRS[None], T) for T in temperatures])
    run.figure(
        "distillation-temperature",
        figures.draw_temperatures(temperatures, bars),
        alt="Bars of the softmax of z = 1 to 5 at temperatures 1 to 100: the stairs get flatter and stay stairs.",
        data={"temperatures": temperatures, "p": bars},
    )


# %% [markdown]
# Turn the temperature of the post's example yourself. On the plain scale it looks as if one class after the other came
# to life. The logarithmic scale shows that nothing of the kind happens: all ten are there at any temperature, in the
# same order, and each distance between two bars is divided by $T$, so that twice the temperature halves them all.


# %%
TEMPERATURES = (0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50, 100)


@lesson.step("The temperature, turned by hand")
def turned_by_hand(run: Run) -> None:
    softened = {T: softmax_temperature(EXAMPLE[None], T)[0] for T in TEMPERATURES}
    order = np.argsort(EXAMPLE, kind="stable")
    in_order = all((np.diff(p[order]) >= 0).all() for p in softened.values())
    run.claim("the order of the ten classes is that of the logits at every temperature", in_order, equals=True)
    distances = {T: np.log(p[:, None] / p) for T, p in softened.items()}
    off = max(error(distances[2 * T], distances[T] / 2) for T in (0.5, 1, 5, 10, 50))
    run.claim("logarithmic distances of all bars: at 2 T, minus half of those at T", off, below=1e-12)
    visible = [int((p > 0.02).sum()) for p in softened.values()]
    run.claim("T = 0.5: classes with more than 2 %", visible[0], equals=2)
    run.claim("T = 100: classes with more than 2 %", visible[-1], equals=10)
    run.claim("classes that fall below 2 % again as T rises", int((np.diff(visible) < 0).sum()), equals=0)
    bars = figures.SoftmaxBars(EXAMPLE)
    run.slider(
        "distillation-slider",
        {"temperature T": TEMPERATURES},
        lambda T: bars.draw(T, softened[T]),
        alt="Bars of ten probabilities, on a plain and on a logarithmic scale: at low temperature the largest logit "
        "has nearly all, at high temperature they are nearly equal, and their order is always the same.",
        start=(TEMPERATURES.index(2),),
        data={"temperatures": TEMPERATURES, "p": list(softened.values())},
    )


# %% [markdown]
# **Erratum.** With the temperature, the post's sum runs from $j = 1$ instead of 0, although its classes are numbered
# from 0. The bars then do not add up to one, and for $T \to \infty$ each tends to $1/(n-1)$, while the next sentence of
# the post says, rightly, $1/n$.


# %%
def softmax_as_printed(z: np.ndarray, T: float) -> np.ndarray:
    """The post's formula: the sum in the denominator leaves out class 0."""
    powers = np.exp(z / T)
    return powers / powers[:, 1:].sum(axis=1, keepdims=True)


@lesson.erratum(
    "M",
    "the sum of the softmax with temperature leaves out the first class",
    printed="a_k = exp(z_k / T) / sum_{j=1}^{n-1} exp(z_j / T)",
    right="a_k = exp(z_k / T) / sum_{j=0}^{n-1} exp(z_j / T)",
)
def sum_from_one(run: Run) -> None:
    totals = {T: float(softmax_as_printed(STAIRS[None], T).sum()) for T in (1.0, 5.0, 1e6)}
    run.results["printed totals"] = totals
    run.refuted("z = (1..5), T = 1: the printed probabilities add up to 1 and", totals[1.0] - 1, above=0.011)
    run.refuted("T = 5: to 1 and", totals[5.0] - 1, above=0.14)
    limit = softmax_as_printed(STAIRS[None], 1e6)[0]
    run.refuted("T = 1e6: every class has more than 1/n = 0.2, by", float(limit.min()) - 0.2, above=0.049)
    run.claim("T = 1e6: the printed form, minus 1/(n-1) = 0.25", np.abs(limit - 0.25).max(), below=1e-5)
    for T in (1.0, 5.0, 1e6):
        off = abs(softmax_temperature(STAIRS[None], T).sum() - 1)
        run.claim(f"T = {T:g}: with the sum from 0 the total is off by", off, below=1e-14)


# %% [markdown]
# ## Dark knowledge
#
# Why soften at all? A trained classifier is sure of itself. For an image of a 2 it may give a probability of $10^{-6}$
# to the 3 and $10^{-9}$ to the 7: this 2 looks rather like a 3. A label does not say so, and a cross-entropy at
# $T = 1$ hardly notices. By the formula for the odds, a temperature of 10 takes the tenth root of $10^{-6}$, of
# $10^{-9}$ and of their ratio: they become 0.25 and 0.13 times the probability of the 2, large enough to learn from.
# Hinton calls this *dark knowledge*: it is there at $T = 1$, but one cannot see it.
#
# **Erratum.** The post quotes the paper's two probabilities as $10^6$ and $10^9$; the minus signs got lost on the way.


# %%
@lesson.erratum(
    "M",
    "two quoted probabilities lost their minus signs",
    printed="a probability of 10^6 of being a 3 and 10^9 of being a 7",
    right="a probability of 10^-6 of being a 3 and 10^-9 of being a 7",
)
def lost_minus_signs(run: Run) -> None:
    printed, right = np.array([1e6, 1e9]), np.array([1e-6, 1e-9])
    run.refuted("the smaller printed probability, minus 1", printed.min() - 1, above=0)
    p = np.array([[1 - right.sum(), *right]])
    run.claim("with minus signs: the three probabilities add up to 1, and", abs(p.sum() - 1), below=1e-15)
    warm = softmax_temperature(np.log(p), 10.0)[0]
    run.results["tenth roots"] = warm
    run.claim("softened at T = 10, the 3 has 10^-0.6 times the 2", warm[1] / warm[0], equals=10**-0.6, within=1e-6)
    run.claim("and the 7 has 10^-0.9 times the 2", warm[2] / warm[0], equals=10**-0.9, within=1e-6)
    run.note(f"Softened at T = 10, the probabilities of 2, 3 and 7 are {', '.join(f'{x:.2f}' for x in warm)}.")


# %% [markdown]
# ## Cross-entropy, with all its indices
#
# For sample $i$ let $y_{ik}$ be the probability that the *target* gives to class $k$, and $\hat{y}_{ik}$ the predicted
# one. Over $m$ samples
#
# $$
# \operatorname{CE}(y, \hat{y}) = -\frac{1}{m} \sum_i \sum_k y_{ik} \log \hat{y}_{ik}
# = -\frac{1}{m} \sum_i \log \hat{y}_{i c_i}
# $$
#
# where the second form is for one-hot targets with the right class $c_i$.
#
# **Erratum.** The post prints $\sum_j y^j \log(\hat{y}_i)$ and then $\sum_i \log(\hat{y}_i)$. The class index of the
# prediction is lost, and a vector with one entry for each class is left where a number should be. Adding up its
# entries gives a number, but one that does not know the labels any more. (The sentence below it in the post says the
# right thing: it is the log-probability of the true class that counts.)


# %%
def cross_entropy(target: np.ndarray, predicted: np.ndarray) -> float:
    """The mean over samples of -sum_k target_k * log(predicted_k)."""
    return float(-(target * np.log(predicted)).sum(axis=1).mean())


@lesson.erratum(
    "M",
    "the cross-entropy loses its class index",
    printed="CE = -1/m sum_i sum_j y^j log(yhat_i) = -1/m sum_i log(yhat_i)",
    right="CE = -1/m sum_i sum_k y_ik log(yhat_ik) = -1/m sum_i log(yhat_i,c_i)",
)
def lost_class_index(run: Run) -> None:
    rng = np.random.default_rng(2022)
    predicted = softmax_temperature(rng.normal(size=(4, 4)), 1.0)
    labels = rng.integers(0, 4, 4)
    as_printed = -np.log(predicted).mean(axis=0)
    run.claim("the printed form is a vector, with so many entries", as_printed.size, equals=4)
    right = cross_entropy(np.eye(4)[labels], predicted)
    run.results["cross-entropy"] = {"printed": float(as_printed.sum()), "right": right}
    run.refuted("sum of its entries, minus the cross-entropy", as_printed.sum() - right, above=3)
    by_label = -np.log(predicted[np.arange(4), labels]).mean()
    run.claim("the two right forms differ by", abs(right - by_label), below=1e-15)
    others = cross_entropy(np.eye(4)[(labels + 1) % 4], predicted)
    run.claim("with other labels the right form changes by", abs(others - right), above=0.1)
    run.note(
        f"Fixed random case: the printed form adds up to {as_printed.sum():.3f}, the cross-entropy is {right:.3f}."
    )


# %% [markdown]
# ## The loss of the student
#
# Let $z$ be the student's logits, $\tilde{z}$ the teacher's, and $S$ the softmax. The student minimises
#
# $$
# \begin{align*}
# L &= \text{hard} + \text{soft} \\
# \text{hard} &= \alpha \operatorname{CE}(y, S(z)) \\
# \text{soft} &= (1 - \alpha) \, T^2 \operatorname{CE}(S(\tilde{z} / T), S(z / T))
# \end{align*}
# $$
#
# The two terms keep these names, **hard** and **soft**, from here on. The teacher stands in the first place of the
# second cross-entropy: it is the *target*, and a constant. Where $T^2$ comes from, the gradient will say.
#
# Why the order matters: for a fixed target $t$, Gibbs' inequality says that $-\sum_k t_k \log s_k$ is smallest at
# $s = t$. What is left there is the entropy of $t$, and the excess over it is the divergence
# $\operatorname{KL}(t \| s)$. With the two swapped, $-\sum_k s_k \log t_k$ is an *average of fixed numbers* with the
# weights $s_k$. The smallest average gives all its weight to the smallest number, that is, to the class that the
# teacher likes best. All the dark knowledge is thrown away.
#
# **Exercise: `distillation_loss`.**


# %%
@lesson.exercise(
    hint="Two cross-entropies, means over the batch. In the soft one, both sides are softened; who is the target?"
)
def distillation_loss(z, z_teacher, labels, T, alpha):
    """Return alpha * CE(labels, S(z)) + (1 - alpha) * T**2 * CE(S(z_teacher / T), S(z / T)), averaged over the batch.

    Args:
        z: logits of the student, shape (N, C).
        z_teacher: logits of the teacher, shape (N, C).
        labels: the right classes, integers of shape (N,).
        T: the temperature, a positive number.
        alpha: the weight of the hard labels, between 0 and 1.

    Returns:
        The loss, a number.
    """

    def log_softmax(scores):  # the logarithm of a softmax that has rounded to zero would be -inf
        shifted = scores - scores.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    hard = -log_softmax(z)[np.arange(len(z)), labels].mean()
    teacher = np.exp(log_softmax(z_teacher / T))
    soft = -(teacher * log_softmax(z / T)).sum(axis=1).mean()
    return alpha * hard + (1 - alpha) * T**2 * soft


class Batch(NamedTuple):
    """One random problem, with a temperature and a weight at which mistakes show."""

    z: np.ndarray
    z_teacher: np.ndarray
    labels: np.ndarray
    T: float
    alpha: float


def draw(rng: np.random.Generator, samples: int = 6, classes: int = 4) -> Batch:
    """Draw logits of both networks, labels, a temperature from 2 to 5 and a weight below one half."""
    return Batch(
        z=2 * rng.normal(size=(samples, classes)),
        z_teacher=3 * rng.normal(size=(samples, classes)),
        labels=rng.integers(0, classes, samples),
        T=float(rng.uniform(2, 5)),
        alpha=float(rng.uniform(0.2, 0.4)),
    )


def kl(t: np.ndarray, s: np.ndarray) -> float:
    """KL(t || s), the mean over samples."""
    return float((t * np.log(t / s)).sum(axis=1).mean())


def descend(gradient: Callable[[np.ndarray], np.ndarray], z: np.ndarray, rate: float, steps: int) -> np.ndarray:
    """Walk down a gradient, from z."""
    for _ in range(steps):
        z = z - rate * gradient(z)
    return z


def swapped_gradient(p_student: np.ndarray, p_teacher: np.ndarray) -> np.ndarray:
    """The gradient of -sum_k s_k log t_k with respect to the student's logits, at T = 1."""
    costs = -np.log(p_teacher)
    return p_student * (costs - (p_student * costs).sum(axis=1, keepdims=True))


# A teacher that hesitates among four classes; the student starts from nothing.
HESITANT = np.array([[2.0, 1.5, 0.5, -1.0]])


@lesson.step("The loss of the student", terms=("hard", "soft"))
def the_loss_of_the_student(run: Run) -> None:
    z, z_teacher, labels, T, alpha = draw(run.rng)
    s, t = softmax_temperature(z / T, 1.0), softmax_temperature(z_teacher, T)
    hard = cross_entropy(np.eye(4)[labels], softmax_temperature(z, 1.0))
    soft = cross_entropy(t, s)
    together = alpha * hard + (1 - alpha) * T**2 * soft
    loss = distillation_loss(z, z_teacher, labels, T, alpha)
    run.claim("distillation_loss, against two cross-entropies", abs(loss / together - 1), below=1e-13)
    run.claim("CE(t, s) minus the entropy of t is KL(t || s)", abs(soft - cross_entropy(t, t) - kl(t, s)), below=1e-14)
    neighbours = [softmax_temperature(z_teacher / T + 0.1 * run.rng.normal(size=z.shape), 1.0) for _ in range(200)]
    excess = min(cross_entropy(t, near) for near in neighbours) - cross_entropy(t, t)
    run.claim("of 200 students near the teacher, the best has a larger CE, by", excess, above=0)


@lesson.erratum(
    "M",
    "student and teacher are swapped in the soft cross-entropy",
    printed="CE(S(z / T), S(z_teacher / T)), under the post's CE(y, yhat) = -sum y log yhat",
    right="CE(S(z_teacher / T), S(z / T)): the teacher is the target",
)
def swapped_arguments(run: Run) -> None:
    target = softmax_temperature(HESITANT, 1.0)
    start = np.zeros_like(HESITANT)

    def as_printed(z: np.ndarray) -> np.ndarray:
        return swapped_gradient(softmax_temperature(z, 1.0), target)

    def right_way(z: np.ndarray) -> np.ndarray:
        return softmax_temperature(z, 1.0) - target

    steps = 2000
    printed = softmax_temperature(descend(as_printed, start, 1.0, steps), 1.0)
    right = softmax_temperature(descend(right_way, start, 1.0, steps), 1.0)
    run.results["order"] = {"target": target[0], "printed": printed[0], "right": right[0], "kl": kl(target, printed)}
    run.refuted(f"as printed, after {steps} steps: largest probability of the student", printed.max(), above=0.99)
    run.refuted("its KL(teacher || student)", kl(target, printed), above=1)
    run.claim("the teacher's largest probability", target.max(), below=0.55)
    run.claim("in the right order: KL(teacher || student)", abs(kl(target, right)), below=1e-12)
    longer = softmax_temperature(descend(as_printed, start, 1.0, 10 * steps), 1.0)
    run.claim("as printed, ten times as long: KL grows by", kl(target, longer) - kl(target, printed), above=0.5)
    run.figure(
        "distillation-order",
        figures.draw_order(target[0], right[0], printed[0]),
        alt="Probabilities of four classes: the teacher's, those of a student trained in the right order, which are "
        "the same, and those of a student trained as printed, which are one-hot.",
        data={"teacher": target[0], "right": right[0], "printed": printed[0]},
    )


# %% [markdown]
# ## The gradient
#
# One sample, the soft cross-entropy alone. Write $t = S(\tilde{z}/T)$ and $s = S(z/T)$. Since $t$ adds up to one,
#
# $$
# \operatorname{CE}(t, s) = \log \sum_j e^{z_j / T} - \sum_k t_k \frac{z_k}{T}
# \qquad \Longrightarrow \qquad
# \frac{\partial \operatorname{CE}}{\partial z_k} = \frac{1}{T} (s_k - t_k)
# $$
#
# It is the gradient of every cross-entropy, prediction minus target, with $1/T$ in front, because $z_k$ enters divided
# by $T$. With $T^2$ and the weights, and with the mean over $N$ samples:
#
# $$
# \begin{align*}
# \text{hard} &= \frac{\alpha}{N} \left( S(z) - y \right) \\
# \text{soft} &= \frac{1 - \alpha}{N} \, T \, (s - t)
# \end{align*}
# $$
#
# **Exercise: `distillation_backward`.**


# %%
@lesson.exercise(
    hint="Each cross-entropy gives prediction minus target. Then collect the factors: what is left of T**2?"
)
def distillation_backward(dloss, z, z_teacher, labels, T, alpha):
    """Return the gradient of `distillation_loss` with respect to the student's logits.

    Args:
        dloss: gradient with respect to the loss, a number.
        z: logits of the student, shape (N, C).
        z_teacher: logits of the teacher, shape (N, C).
        labels: the right classes, integers of shape (N,).
        T: the temperature, a positive number.
        alpha: the weight of the hard labels, between 0 and 1.

    Returns:
        dz, shape (N, C).
    """
    n, classes = z.shape
    hard = softmax_temperature(z, 1.0) - np.eye(classes)[labels]
    soft = softmax_temperature(z, T) - softmax_temperature(z_teacher, T)
    return dloss / n * (alpha * hard + (1 - alpha) * T * soft)


@lesson.step("The gradient", terms=("hard", "soft"))
def the_gradient(run: Run) -> None:
    from minigrad.gradcheck import numerical_gradient

    z, z_teacher, labels, T, alpha = draw(run.rng)

    def judged(function: Callable[[np.ndarray], Any], upstream: float = 1.7) -> np.ndarray:
        return numerical_gradient(function, z, upstream).values

    def soft_alone(z: np.ndarray) -> float:
        return cross_entropy(softmax_temperature(z_teacher, T), softmax_temperature(z, T))

    soft = 1.7 / (T * len(z)) * (softmax_temperature(z, T) - softmax_temperature(z_teacher, T))
    run.claim("soft cross-entropy alone: (s - t) / T", error(soft, judged(soft_alone)), below=1e-7)
    dz = distillation_backward(1.7, z, z_teacher, labels, T, alpha)
    whole = judged(lambda z: distillation_loss(z, z_teacher, labels, T, alpha))
    run.claim("the whole loss, against numerical derivatives", error(dz, whole), below=1e-7)
    run.claim("each row of dz adds up to zero", np.abs(dz.sum(axis=1)).max(), below=1e-14)
    matched = distillation_backward(1.7, z_teacher, z_teacher, labels, T, 0.0)
    run.claim("a student that equals its teacher: gradient of the soft term", np.abs(matched).max(), below=1e-15)


# %% [markdown]
# ## Why $T^2$: the limit of high temperature
#
# At high $T$ all exponents are small, $e^x \approx 1 + x$, and a softmax is $S(z/T)_k \approx \frac{1}{n} + \frac{z_k -
# \operatorname{mean}(z)}{nT}$. If the logits of both networks have mean zero,
#
# $$
# \frac{\partial \operatorname{CE}}{\partial z_k} = \frac{1}{T} (s_k - t_k) \approx \frac{z_k - \tilde{z}_k}{n T^2}
# $$
#
# Two things follow. But for the factor $1/T^2$, the soft term compares the logits themselves, as $\frac{1}{2n} |z -
# \tilde{z}|^2$ would: Hinton's remark that distillation contains, as its limit, the regression on logits of [Do Deep
# Nets Really Need to be Deep?][ba] (Lei Jimmy Ba and Rich Caruana, 2014). And its gradient shrinks like $1/T^2$, while
# that of the hard term stays. So it is multiplied by $T^2$: then $\alpha$ means the same at every temperature.
#
# **Erratum.** The post's loss has no $T^2$, and does not mention it. (The paper says it in one sentence that is easy
# to miss.)
#
# [ba]: https://arxiv.org/abs/1312.6184


# %%
def fixed_logits() -> tuple[np.ndarray, np.ndarray]:
    """Return logits of a student and of a teacher for one sample, shape (1, 10), each with mean zero."""
    rng = np.random.default_rng(2015)
    z, z_teacher = 2 * rng.normal(size=(2, 1, 10))
    return z - z.mean(), z_teacher - z_teacher.mean()


def soft_gradient(z: np.ndarray, z_teacher: np.ndarray, T: float) -> np.ndarray:
    """The gradient of the soft cross-entropy, without T**2."""
    return (softmax_temperature(z, T) - softmax_temperature(z_teacher, T)) / T


@lesson.erratum(
    "M",
    "the soft term lacks its factor T^2",
    printed="L = alpha CE(y, S(z)) + (1 - alpha) CE(...)",
    right="L = alpha CE(y, S(z)) + (1 - alpha) T^2 CE(...)",
)
def missing_t_squared(run: Run) -> None:
    z, z_teacher = fixed_logits()
    limit = (z - z_teacher) / z.size
    temperatures = 2.0 ** np.arange(9)
    norms = np.array([np.linalg.norm(soft_gradient(z, z_teacher, T)) for T in temperatures])
    size = float(np.linalg.norm(limit))
    gaps = [np.linalg.norm(T**2 * soft_gradient(z, z_teacher, T) - limit) / size for T in temperatures]
    run.results["T squared"] = {"norms": norms, "gaps": np.array(gaps), "limit": size}
    run.table(
        "The soft gradient of one fixed sample",
        ("T", "|grad|", "T^2 |grad|", "distance of T^2 grad from its limit"),
        [
            (f"{T:g}", f"{norm:.2e}", f"{T * T * norm:.4f}", f"{gap:.2%}")
            for T, norm, gap in zip(temperatures, norms, gaps, strict=True)
            if T in (1, 4, 16, 64, 256)
        ],
    )
    run.refuted("without T^2: |grad| at T = 1, divided by that at T = 256", norms[0] / norms[-1], above=1e4)
    run.claim(
        "with T^2: |T^2 grad| at T = 256, divided by |z - z_teacher| / n",
        256**2 * norms[-1] / size,
        within=(0.99, 1.01),
    )
    run.claim("T = 256: distance of T^2 grad from (z - z_teacher) / n", gaps[-1], below=0.01)
    run.claim("each doubling of T halves that distance: factor at the end", gaps[-2] / gaps[-1], within=(1.95, 2.05))
    run.figure(
        "distillation-gradient",
        figures.draw_gradient(temperatures, norms, size),
        alt="Size of the soft gradient over the temperature from 1 to 256: without T squared it falls by more than "
        "four powers of ten, with T squared it tends to a constant.",
        data={"temperatures": temperatures, "norms": norms, "limit": size},
    )


# %% [markdown]
# What is left is wording, and one loose index.


# %%
@lesson.erratum(
    "W",
    "the order of the bars, and 'very high T'",
    printed="probabilities increase from right to left, except for very high values of T",
    right="they increase from left to right, as z does, at every finite T; at high T the eye cannot see it",
)
def order_of_the_bars(run: Run) -> None:
    for T in (1.0, 100.0):
        steps = np.diff(softmax_temperature(STAIRS[None], T)[0])
        run.claim(f"T = {T:g}: smallest step from one bar to the next on its right", steps.min(), above=0)
    run.note("At T = 100 the steps are 0.002 high: less than a pixel in a small plot.")


lesson.smaller_slips(
    [
        ("N", "y^j in the cross-entropy has no sample index", "y_ik"),
        ("W", "the soft label 'boosts its ability to classify other classes'", "say whose: the student's"),
        (
            "W",
            "the final activation of the teacher 'needs to be a softmax'",
            "keep its logits: log(softmax) at T = 1 gives them back up to a constant, but not once it has rounded",
        ),
    ]
)


# %% [markdown]
# ## The experiment: a teacher, and what it knows
#
# The teacher is a small convolutional network, trained on the digits with shifts of up to two pixels. It is trained
# once for each seed; after that only its logits on the training images are used.
#
# What does it say about a 4? The figure shows the clearest case: of all test 4s that the teacher reads with at least
# 95 % certainty, the one whose soft label has most of another class. The right panel is no single case: it averages the
# soft labels of each class over the whole test set.


# %%
class Sizes(NamedTuple):
    """How large an experiment is."""

    seeds: int
    channels: int
    teacher_epochs: int
    hidden: int
    student_epochs: int


def sizes(run: Run) -> Sizes:
    return run.pick(
        quick=Sizes(seeds=2, channels=4, teacher_epochs=2, hidden=32, student_epochs=3),
        default=Sizes(seeds=5, channels=12, teacher_epochs=12, hidden=100, student_epochs=15),
        full=Sizes(seeds=5, channels=32, teacher_epochs=10, hidden=100, student_epochs=15),
    )


BATCH_SIZE = 100


class Teacher(NamedTuple):
    """What is left of a teacher: its logits, and how well it reads the test digits."""

    logits: np.ndarray
    test_logits: np.ndarray
    accuracy: float


def shifted(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Shift a batch of images by up to two pixels; the empty margin of the digits is wider than that."""
    return np.roll(images, rng.integers(-2, 3, size=2), axis=(2, 3))


def train_teacher(digits: Digits, channels: int, epochs: int, seed: int) -> Teacher:
    """Train a convolutional network on the labels."""
    import minigrad as mg
    import minigrad.nn.functional as F
    from minigrad import nn, optim

    mg.manual_seed(seed)
    rng = np.random.default_rng([seed, 1])
    model = nn.Sequential(
        nn.Conv2d(1, channels, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(channels, 2 * channels, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * channels * 49, 10),
    )
    images, test_images = (array.reshape(-1, 1, 28, 28) for array in (digits.images, digits.test_images))

    def loss_of(rows: np.ndarray) -> Tensor:
        scores = model(mg.tensor(shifted(rng, images[rows])))
        return F.cross_entropy(scores, mg.tensor(digits.labels[rows]))

    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    fit(loss_of, optimizer, len(images), rng=rng, batch_size=50, epochs=range(epochs))
    test_logits = outputs(model, test_images)
    share = float((test_logits.argmax(axis=1) == digits.test_labels).mean())
    return Teacher(outputs(model, images), test_logits, share)


def seeds_of(run: Run) -> list[int]:
    return [100 * run.seed + k for k in range(sizes(run).seeds)]


@lesson.experiment("A teacher, and what it knows")
@one_thread()
def a_teacher(run: Run) -> None:
    digits = load_digits(full=run.size == "full")
    size = sizes(run)
    teachers = {
        seed: train_teacher(digits, size.channels, size.teacher_epochs, seed)
        for seed in run.progress(seeds_of(run), "training teachers")
    }
    run.results["teachers"] = teachers
    shares = [teacher.accuracy for teacher in teachers.values()]
    run.note(f"Teachers, test accuracy in percent: {with_margin(100 * np.array(shares))}.")
    run.claim("worst teacher's test accuracy", min(shares), above=0.85)

    logits = teachers[seeds_of(run)[0]].test_logits.astype(np.float64)
    is_four = digits.test_labels == 4
    sure = is_four & (softmax_temperature(logits, 1.0)[:, 4] >= 0.95)
    other = np.where(np.arange(10) == 4, 0, softmax_temperature(logits, 5.0)).max(axis=1)
    shown = int(np.flatnonzero(sure)[other[sure].argmax()])
    bars = np.concatenate([softmax_temperature(logits[[shown]], T) for T in (1.0, 5.0, 10.0)])
    p = softmax_temperature(logits, 5.0)
    means = np.stack([p[digits.test_labels == digit].mean(axis=0) for digit in range(10)])
    of_fours = np.where(np.arange(10) == 4, 0, means[4])
    second = int(of_fours.argmax())
    run.results["dark knowledge"] = {"bars": bars, "means": means, "second of the fours": second}
    run.claim("4s, soft labels at T = 5 averaged: the likeliest other class", second, equals=9)
    run.claim(
        "their probability of a 9, over the mean of the wrong classes",
        of_fours[9] / (of_fours.sum() / 9),
        above=1.3,
    )
    run.figure(
        "distillation-dark-knowledge",
        figures.draw_dark_knowledge(digits.test_images[shown].reshape(28, 28), bars, means),
        alt="A handwritten 4, the teacher's softmax for it at temperatures 1, 5 and 10, and the mean soft label of "
        "each class at temperature 5 as a table of colours; 4 and 9 stand out, and so do 3 and 5.",
        data={"image": digits.test_images[shown], "bars": bars, "means": means},
    )


# %% [markdown]
# ## The students
#
# A student has one hidden layer of 100 units and sees the images unshifted. All students start from the same random
# weights and see the same batches, seed by seed, so that they are compared by their differences. What differs is the
# loss. (Where there are soft labels only, $T^2$ is a factor on the whole loss, and Adam does not notice factors.)


# %%
class Recipe(NamedTuple):
    """What a student learns from."""

    T: float
    alpha: float
    squared: bool = True


RECIPES = {
    "hard labels only": Recipe(1.0, 1.0),
    "soft labels only, T = 4": Recipe(4.0, 0.0),
    "both, T = 8, with T²": Recipe(8.0, 0.5),
    "both, T = 8, without T²": Recipe(8.0, 0.5, squared=False),
    "both, T = 20, with T²": Recipe(20.0, 0.5),
    "both, T = 20, without T²": Recipe(20.0, 0.5, squared=False),
}
ALONE = "hard labels only"


def train_student(
    digits: Digits,
    teacher: np.ndarray,
    recipe: Recipe,
    size: Sizes,
    seed: int,
    rows: np.ndarray | None = None,
) -> nn.Module:
    """Train a student on the given rows of the training set (all of them by default), with a teacher's logits."""
    import minigrad as mg
    import minigrad.nn.functional as F
    from minigrad import nn, optim

    T, alpha, squared = recipe
    rows = np.arange(len(digits.labels)) if rows is None else rows
    images, labels = digits.images[rows], digits.labels[rows]
    targets = softmax_temperature(teacher[rows].astype(np.float64), T).astype(np.float32)
    mg.manual_seed(seed)
    model = nn.Sequential(nn.Linear(784, size.hidden), nn.ReLU(), nn.Linear(size.hidden, 10))

    def loss_of(batch: np.ndarray) -> Tensor:
        z = model(mg.tensor(images[batch]))
        loss = mg.tensor(np.float32(0))
        if alpha > 0:
            loss = loss + alpha * F.cross_entropy(z, mg.tensor(labels[batch]))
        if alpha < 1:
            factor = (1 - alpha) * (T**2 if squared else 1.0)
            loss = loss + factor * F.cross_entropy(z / T, mg.tensor(targets[batch]))
        return loss

    optimizer = optim.Adam(model.parameters(), lr=3e-3)
    rng = np.random.default_rng([seed, 2])
    fit(loss_of, optimizer, len(rows), rng=rng, batch_size=BATCH_SIZE, epochs=range(size.student_epochs))
    return model


def compare_soft_labels(run: Run, digits: Digits, logits: dict[tuple[str, int], np.ndarray]) -> None:
    """Measure how far the students' soft labels are from their teacher's on the test set, and draw those of the 4s."""
    both = (ALONE, "soft labels only, T = 4")
    distances: dict[str, list[float]] = {name: [] for name in both}
    for seed in seeds_of(run):
        teacher = softmax_temperature(run.results["teachers"][seed].test_logits.astype(np.float64), 4.0)
        for name in both:
            distances[name].append(kl(teacher, softmax_temperature(logits[name, seed], 4.0)))
    fours = digits.test_labels == 4
    first = seeds_of(run)[0]
    of_teacher = run.results["teachers"][first].test_logits.astype(np.float64)
    bars = [softmax_temperature(z[fours], 4.0).mean(axis=0) for z in (of_teacher, *(logits[n, first] for n in both))]
    run.results["distances"] = distances
    run.note(
        "KL(teacher || student) at T = 4 on the test set: "
        + "; ".join(f"{name}, {with_margin(values, 3)}" for name, values in distances.items())
        + "."
    )
    further = np.array(distances[ALONE]) - np.array(distances[both[1]])
    run.claim("hard minus soft labels: smallest difference of this distance", further.min(), above=0)
    run.figure(
        "distillation-soft-labels",
        figures.draw_soft_labels(*bars),
        alt="Mean softmax at T = 4 over all test 4s, by class: the student of soft labels follows its teacher, the one "
        "of hard labels has its own opinion of the wrong classes.",
        data=dict(zip(("teacher", "hard", "soft"), bars, strict=True)),
    )


@lesson.experiment("Students: hard labels, soft labels, with and without T^2")
@one_thread()
def students(run: Run) -> None:
    digits = load_digits(full=run.size == "full")
    names = run.pick(quick=[*RECIPES][:2] + [*RECIPES][4:], default=[*RECIPES], full=[*RECIPES])
    pairs = [(name, seed) for name in names for seed in seeds_of(run)]
    scores: dict[str, list[float]] = {name: [] for name in names}
    kept: dict[tuple[str, int], np.ndarray] = {}
    for name, seed in run.progress(pairs, "training students"):
        teacher = run.results["teachers"][seed]
        model = train_student(digits, teacher.logits, RECIPES[name], sizes(run), seed)
        kept[name, seed] = logits = outputs(model, digits.test_images).astype(np.float64)
        scores[name].append(100 * float((logits.argmax(axis=1) == digits.test_labels).mean()))
    gains = {name: np.array(scores[name]) - np.array(scores[ALONE]) for name in names}
    run.results["students"] = scores
    run.table(
        f"Test accuracy in percent, {len(seeds_of(run))} seeds, 95 % intervals",
        ("student", "accuracy", "minus hard labels only, paired"),
        [(name, with_margin(scores[name]), with_margin(gains[name]) if name != ALONE else "") for name in names],
    )
    with_t, without_t = (np.array(scores[f"both, T = 20, {how} T²"]) for how in ("with", "without"))
    run.note(f"At T = 20, with T^2 minus without, paired: {with_margin(with_t - without_t)} percentage points.")
    run.claim("worst student's accuracy in percent", min(map(min, scores.values())), above=80)
    if run.size == "quick":
        run.note("A quick run stops long before soft labels pay off; at the default size they do.")
    else:
        gain = gains["both, T = 8, with T²"].mean()
        run.claim("both at T = 8 with T^2, minus hard labels only: mean gain in points", gain, above=0)
        run.claim("T = 20, with T^2 minus without: mean in points", (with_t - without_t).mean(), above=-0.2)
    compare_soft_labels(run, digits, kept)
    teachers = [100 * teacher.accuracy for teacher in run.results["teachers"].values()]
    run.figure(
        "distillation-students",
        figures.draw_students({k: np.array(v) for k, v in scores.items()}, np.array(teachers), sizes(run).hidden),
        alt="Test accuracies of the teacher and of students that learned from hard labels, soft labels or both.",
        data={**scores, "teacher": teachers},
    )


# %% [markdown]
# Soft labels help, by a point at best on these 5,000 digits, and the student's whole opinion follows the teacher's: its
# distance from the teacher's soft labels is a fraction of what hard labels leave. $T^2$ is no trick for higher
# accuracy. It keeps the two terms in proportion. Without it, the soft term at $T = 20$ has a four-hundredth of its
# weight, and the student is back where hard labels alone would have brought it.
#
# ## The class that the student never saw
#
# Now leave all 3s out of the student's training set. With hard labels it cannot know what a 3 is. With soft labels it
# is told, for every other digit, how much it resembles a 3.
#
# Such a student says "3" too rarely, because in its world 3s are rare: its bias for this class is far too low. The
# paper adds one number to this bias, the same for all images, and chooses it on the test set; we choose it on the
# training set, so that the test stays a test. That is the only place where real 3s enter, as one number. The control
# has the same right: the student with hard labels gets its best number as well. (In the paper, with all of MNIST and
# larger networks, the corrected student reads 98.6 % of the test 3s.)


# %%
UNSEEN = 3
SHOWN = {
    "hard labels": RECIPES[ALONE],
    "soft labels, T = 1": Recipe(1.0, 0.0),
    "soft labels, T = 20": Recipe(20.0, 0.0),
}
WARM = "soft labels, T = 20"
OFFSETS = np.arange(0.0, 15.01, 0.25)


def with_offset(logits: np.ndarray, classes: list[int], offset: float) -> np.ndarray:
    """Add the same number to the logits of some classes."""
    moved = logits.copy()
    moved[:, classes] += offset
    return moved


def best_offset(logits: np.ndarray, labels: np.ndarray, classes: list[int], offsets: np.ndarray = OFFSETS) -> float:
    """Return the offset with which most answers are right; of equals the one nearest to zero."""
    right = [(with_offset(logits, classes, offset).argmax(axis=1) == labels).mean() for offset in offsets]
    best = np.flatnonzero(np.array(right) == max(right))
    return float(offsets[best[np.abs(offsets[best]).argmin()]])


class Answers(NamedTuple):
    """What one student makes of the test set, as it is and with its offset."""

    plain: np.ndarray
    corrected: np.ndarray
    offset: float


def answers(model: nn.Module, digits: Digits, classes: list[int], offsets: np.ndarray = OFFSETS) -> Answers:
    """Choose the offset on the training set, and answer the test set."""
    offset = best_offset(outputs(model, digits.images), digits.labels, classes, offsets)
    logits = outputs(model, digits.test_images)
    return Answers(logits.argmax(axis=1), with_offset(logits, classes, offset).argmax(axis=1), offset)


@lesson.experiment("The class that the student never saw")
@one_thread()
def unseen_class(run: Run) -> None:
    digits = load_digits(full=run.size == "full")
    without = np.flatnonzero(digits.labels != UNSEEN)
    is_unseen = digits.test_labels == UNSEEN
    names = run.pick(quick=["hard labels", WARM], default=[*SHOWN], full=[*SHOWN])
    found: dict[str, list[Answers]] = {name: [] for name in names}
    for seed in run.progress(seeds_of(run), "training students without 3s"):
        teacher = run.results["teachers"][seed].logits
        for name in names:
            model = train_student(digits, teacher, SHOWN[name], sizes(run), seed, without)
            found[name].append(answers(model, digits, [UNSEEN]))

    def shares(name: str, kind: str, of: np.ndarray) -> np.ndarray:
        return np.array([100 * (getattr(one, kind) == digits.test_labels)[of].mean() for one in found[name]])

    everything = np.ones_like(is_unseen)
    kinds = {"plain": "as trained", "corrected": "bias of the 3 corrected"}
    results = {(name, kind): shares(name, kind, is_unseen) for name in found for kind in kinds}
    run.results["unseen"] = results
    run.results["offsets"] = [one.offset for one in found[WARM]]
    run.table(
        f"Students that never saw a 3: right in percent, {len(seeds_of(run))} seeds, 95 % intervals",
        ("trained on", "", f"of {is_unseen.sum()} test 3s", "of all test digits"),
        [
            (name, said, with_margin(results[name, kind]), with_margin(shares(name, kind, everything)))
            for name in found
            for kind, said in kinds.items()
        ],
    )
    gain = results[WARM, "corrected"] - results["hard labels", "corrected"]
    run.note(f"T = 20 minus hard labels, both corrected, paired: {with_margin(gain)} percentage points of the test 3s.")
    if "soft labels, T = 1" in names:
        warmth = results[WARM, "corrected"] - results["soft labels, T = 1", "corrected"]
        run.note(f"T = 20 minus T = 1, both corrected, paired: {with_margin(warmth)} percentage points.")
    run.note(f"At T = 20 these numbers were added to the bias: {', '.join(f'{x:g}' for x in run.results['offsets'])}.")
    run.claim(
        "soft labels at T = 20, corrected: percent of test 3s right, worst seed",
        results[WARM, "corrected"].min(),
        above=40,
    )
    run.claim("hard labels, as trained: percent of test 3s right", results["hard labels", "plain"].max(), equals=0)
    run.claim("soft minus hard labels, both corrected: smallest difference", gain.min(), above=20)
    example = found[WARM][0]
    read, missed = (
        digits.test_images[is_unseen & ((example.corrected == UNSEEN) == right)][:12].reshape(-1, 28, 28)
        for right in (True, False)
    )
    wrong_answers = example.corrected[is_unseen & (example.corrected != UNSEEN)][:12]
    run.figure(
        "distillation-unseen",
        figures.draw_unseen(results, read, missed, wrong_answers),
        alt="Left: share of test 3s that students read right who never saw a 3: none with hard labels, most with soft "
        "labels and a corrected bias. Right: 3s that such a student read, and 3s that it missed.",
        data={f"{name}, {kind}": values for (name, kind), values in results.items()},
    )


# %% [markdown]
# ## Where this breaks
#
# **With too little to compare.** Take the idea to its end, as the paper does: transfer only 7s and 8s, and ask for all
# ten digits. The soft labels still mention the other eight classes, and one number, taken off the biases of 7 and 8,
# still helps. But the student has to guess the looks of eight classes from two, and with our few hundred images of each
# it ends far below a student that was simply shown everything. (The paper, with all of MNIST, reports 86.8 % right.)
#
# **When the teacher has nothing dark left.** A teacher trained with label smoothing reads better and teaches worse: it
# has been told to treat all wrong classes alike. See [When Does Label Smoothing Help?][smoothing] (Rafael Müller, Simon
# Kornblith, Geoffrey Hinton, 2019).
#
# **When agreement is taken for granted.** Students that imitate often do not agree with their teacher, even where they
# could. [Does Knowledge Distillation Really Work?][really] (Samuel Stanton and others, 2021) measures it; [Knowledge
# distillation: A good teacher is patient and consistent][patient] (Lucas Beyer and others, 2022) gets far by showing
# both the same crops, for a very long time. [FitNets][fitnets] (Adriana Romero and others, 2015) lets the student match
# hidden layers too.
#
# [smoothing]: https://arxiv.org/abs/1906.02629
# [really]: https://arxiv.org/abs/2106.05945
# [patient]: https://arxiv.org/abs/2106.05237
# [fitnets]: https://arxiv.org/abs/1412.6550


# %%
@lesson.experiment("Where this breaks: only 7s and 8s")
@one_thread()
def only_two_classes(run: Run) -> None:
    digits = load_digits(full=run.size == "full")
    two = np.flatnonzero(np.isin(digits.labels, (7, 8)))
    size = sizes(run)
    size = size._replace(student_epochs=5 * size.student_epochs)  # as many steps as on all ten classes
    plain, corrected = [], []
    for seed in run.progress(seeds_of(run), "training students on 7s and 8s"):
        model = train_student(digits, run.results["teachers"][seed].logits, SHOWN[WARM], size, seed, two)
        answer = answers(model, digits, [7, 8], -OFFSETS)
        plain.append(100 * (answer.plain == digits.test_labels).mean())
        corrected.append(100 * (answer.corrected == digits.test_labels).mean())
    whole = run.results["students"]["soft labels only, T = 4"]
    run.results["two classes"] = {"plain": plain, "corrected": corrected}
    run.table(
        "Right answers on all ten test digits, in percent, 95 % intervals",
        ("shown to the student, with soft labels", "as trained", "biases of 7 and 8 corrected"),
        [
            ("7s and 8s", with_margin(plain), with_margin(corrected)),
            ("all ten", with_margin(whole), ""),
        ],
    )
    behind = np.array(whole) - np.array(corrected)
    run.claim(
        "all ten minus 7s and 8s, corrected: mean in points", behind.mean(), above=run.pick(quick=0, default=10, full=2)
    )
    run.claim("7s and 8s, corrected, minus the 20 % of one who knows only these", np.mean(corrected) - 20, above=5)


# %% [markdown]
# ## PyTorch says the same
#
# Its `kl_div(log_softmax(z / T), softmax(z_teacher / T))` takes the student first and as logarithms, the target second.
# That is the order of the *code*, while the order in the formula is the other way round, $\operatorname{KL}(t \| s)$;
# which may be how such swaps arise. Its gradient is that of the cross-entropy: the entropy of the target is constant.


# %%
@lesson.compare("PyTorch")
def pytorch(run: Run) -> None:
    import minigrad as mg
    import minigrad.nn.functional as F

    r = recorded_by_torch(lesson)
    z, z_teacher, labels = r["z"], r["z_teacher"], r["labels"]
    T, alpha, dloss = float(r["T"]), float(r["alpha"]), float(r["dloss"])

    def torch_loss(torch: Any) -> Any:
        student, teacher, right = torch.tensor(z, requires_grad=True), torch.tensor(z_teacher), torch.tensor(labels)
        cross = torch.nn.functional.cross_entropy
        loss = alpha * cross(student, right) + (1 - alpha) * T**2 * cross(student / T, torch.softmax(teacher / T, 1))
        return student, loss

    def torch_gradient(torch: Any) -> Any:
        student, loss = torch_loss(torch)
        return torch.autograd.grad(dloss * loss, student)[0]

    ours = softmax_temperature(z, T)
    run.compare("softmax at T", ours, recorded=r["p"], live=lambda torch: torch.softmax(torch.tensor(z) / T, 1))
    loss = distillation_loss(z, z_teacher, labels, T, alpha)
    run.compare("loss", loss, recorded=r["loss"], live=lambda torch: torch_loss(torch)[1])
    dz = distillation_backward(dloss, z, z_teacher, labels, T, alpha)
    run.compare("dz", dz, recorded=r["dz"], live=torch_gradient)
    soft = distillation_backward(1.0, z, z_teacher, labels, T, 0.0)
    run.compare("gradient of T^2 kl_div", soft, recorded=r["dz_kl"])

    student = mg.tensor(z, requires_grad=True)
    log_s, t = F.log_softmax(student / T, dim=1), F.softmax(mg.tensor(z_teacher) / T, dim=1)
    tape = alpha * F.cross_entropy(student, mg.tensor(labels)) + (1 - alpha) * T**2 * F.cross_entropy(student / T, t)
    run.claim("minigrad's own ops: loss", abs(tape.item() - loss), below=1e-12)
    gradient = mg.autograd.grad(T**2 * F.kl_div(log_s, t, reduction="batchmean"), student)[0]
    run.claim("minigrad's kl_div: gradient", error(gradient.numpy(), soft), below=1e-12)


# %% [markdown]
# ## How your answers are judged
#
# The loss and its gradient are compared with minigrad's tape, at two batch sizes and two numbers of classes, with other
# temperatures and weights each time. The softmax is called on ordinary logits, and on logits far from zero.


# %%
@lesson.check("softmax_temperature")
def check_softmax(candidate: Callable[..., Any]) -> Verdict:
    rng = np.random.default_rng(11)
    verdicts = []
    for samples, classes, T, offset in ((5, 4, 2.5, 0.0), (3, 7, 0.6, 0.0), (4, 3, 4.0, 5000.0), (4, 3, 3.0, -5000.0)):
        z = 2 * rng.normal(size=(samples, classes)) + offset * np.linspace(0.2, 1.8, samples)[:, None]
        want = np.exp((z - z.max(axis=1, keepdims=True)) / T)
        want /= want.sum(axis=1, keepdims=True)
        verdicts.append(Verdict.from_arrays("p", candidate(z, T), want, 1e-9))
    return Verdict.all(*verdicts)


def _powers(z, T, axis=1):
    return np.exp((z - z.max(axis=axis, keepdims=True)) / T)


def _normal(powers, axis=1):
    return powers / powers.sum(axis=axis, keepdims=True)


WRONG_SOFTMAX: dict[str, Callable[..., Any]] = {
    "forgets the temperature": lambda z, T: _normal(_powers(z, 1.0)),
    "multiplies by T": lambda z, T: _normal(_powers(z, 1 / T)),
    "divides the probabilities by T": lambda z, T: _normal(_powers(z, 1.0)) / T,
    "divides by T inside the sum only": lambda z, T: _powers(z, 1.0) / _powers(z, T).sum(axis=1, keepdims=True),
    "normalises over the samples": lambda z, T: _normal(_powers(z, T, axis=0), axis=0),
    "leaves the first class out of the sum, as printed": lambda z, T: (
        _powers(z, T) / _powers(z, T)[:, 1:].sum(axis=1, keepdims=True)
    ),
    "shifts every row by the largest logit of all": lambda z, T: _normal(np.exp((z - z.max()) / T)),
    "does not shift, and overflows": lambda z, T: _normal(np.exp(z / T)),
    "takes roots of probabilities and does not normalise again": lambda z, T: _normal(_powers(z, 1.0)) ** (1 / T),
}
for _name, _wrong in WRONG_SOFTMAX.items():
    lesson.mistake("softmax_temperature", _name)(_wrong)


@lesson.variant("softmax_temperature", "by the logarithm of the sum")
def _(z, T):
    scores = z / T
    top = scores.max(axis=1, keepdims=True)
    return np.exp(scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True)))


@lesson.variant("softmax_temperature", "roots of the ordinary softmax, normalised")
def _(z, T):
    return _normal(_normal(_powers(z, 1.0)) ** (1 / T))


@lesson.variant("softmax_temperature", "one divided by a sum of odds")
def _(z, T):
    with np.errstate(over="ignore"):
        return 1 / np.exp((z[:, None, :] - z[:, :, None]) / T).sum(axis=2)


# %%
HARD = Term(
    "hard",
    "alpha * dloss/N * (S(z) - onehot(labels))",
    through=("hard",),
    question="What is the gradient of an ordinary cross-entropy, and which weight and which mean belong to it?",
)
SOFT = Term(
    "soft",
    "(1 - alpha) * dloss/N * T * (S(z/T) - S(z_teacher/T))",
    through=("soft",),
    question="z enters the soft term divided by T. What does that do to the derivative, and what is then left of T**2?",
)


def drawn(rng: np.random.Generator, N: int, C: int) -> dict[str, Any]:
    return draw(rng, N, C)._asdict()


_SIZES = {"N": (5, 3), "C": (4, 7)}


@lesson.question(
    "distillation_loss",
    inputs=drawn,
    sizes=_SIZES,
    terms={
        "loss": (
            Term(
                "hard",
                "alpha * mean(-log S(z)[label])",
                value=lambda values: values["alpha"] * values["hard"],
                question="Which logits does an ordinary cross-entropy see, softened ones or plain ones?",
            ),
            Term(
                "soft",
                "(1 - alpha) * T**2 * mean(sum(-S(z_teacher/T) * log S(z/T)))",
                value=lambda values: (1 - values["alpha"]) * values["T"] ** 2 * values["soft"],
                question="Who is the target, and what happens to the gradient of this term as T grows?",
            ),
        )
    },
)
@lesson.question("distillation_backward", inputs=drawn, sizes=_SIZES, upstream=("dloss",), terms={"dz": (HARD, SOFT)})
def loss_on_the_tape(named, z, z_teacher, labels, T, alpha):
    import minigrad.nn.functional as F
    from minigrad import tensor

    hard = named("hard", F.cross_entropy(z, tensor(labels)))
    soft = named("soft", F.cross_entropy(z / T, F.softmax(z_teacher / T, dim=1)))
    return named("loss", alpha * hard + (1 - alpha) * T**2 * soft)


# %%
def _log_softmax(scores):
    return scores - scores.max(1, keepdims=True) - np.log(_powers(scores, 1.0).sum(1, keepdims=True))


def _loss(hard_scores, target, log_predicted, labels, weights, mean=np.mean):
    hard = mean(-_log_softmax(hard_scores)[np.arange(len(labels)), labels])
    soft = mean(-(target * log_predicted).sum(axis=1))
    return weights[0] * hard + weights[1] * soft


WRONG_LOSSES: dict[str, tuple[Callable[..., Any], tuple[str, ...], str | None]] = {
    "misses T**2": (
        lambda z, z_teacher, labels, T, alpha: _loss(
            z, _normal(_powers(z_teacher, T)), _log_softmax(z / T), labels, (alpha, 1 - alpha)
        ),
        ("soft",),
        None,
    ),
    "has T for T**2": (
        lambda z, z_teacher, labels, T, alpha: _loss(
            z, _normal(_powers(z_teacher, T)), _log_softmax(z / T), labels, (alpha, (1 - alpha) * T)
        ),
        ("soft",),
        None,
    ),
    "swaps student and teacher in the soft term": (
        lambda z, z_teacher, labels, T, alpha: _loss(
            z, _normal(_powers(z, T)), _log_softmax(z_teacher / T), labels, (alpha, (1 - alpha) * T**2)
        ),
        ("soft",),
        None,
    ),
    "softens the teacher only": (
        lambda z, z_teacher, labels, T, alpha: _loss(
            z, _normal(_powers(z_teacher, T)), _log_softmax(z), labels, (alpha, (1 - alpha) * T**2)
        ),
        ("soft",),
        None,
    ),
    "softens the student only": (
        lambda z, z_teacher, labels, T, alpha: _loss(
            z, _normal(_powers(z_teacher, 1.0)), _log_softmax(z / T), labels, (alpha, (1 - alpha) * T**2)
        ),
        ("soft",),
        None,
    ),
    "softens the student in the hard term, too": (
        lambda z, z_teacher, labels, T, alpha: _loss(
            z / T, _normal(_powers(z_teacher, T)), _log_softmax(z / T), labels, (alpha, (1 - alpha) * T**2)
        ),
        ("hard",),
        None,
    ),
    "swaps the weights alpha and 1 - alpha": (
        lambda z, z_teacher, labels, T, alpha: _loss(
            z, _normal(_powers(z_teacher, T)), _log_softmax(z / T), labels, (1 - alpha, alpha * T**2)
        ),
        ("hard", "soft"),
        None,
    ),
    "sums over the batch": (
        lambda z, z_teacher, labels, T, alpha: _loss(
            z, _normal(_powers(z_teacher, T)), _log_softmax(z / T), labels, (alpha, (1 - alpha) * T**2), np.sum
        ),
        ("hard", "soft"),
        "is N",
    ),
    "forgets the labels": (
        lambda z, z_teacher, labels, T, alpha: _loss(
            z, _normal(_powers(z_teacher, T)), _log_softmax(z / T), labels, (0, (1 - alpha) * T**2)
        ),
        ("hard",),
        "`hard` is 0",
    ),
    "averages the soft term over the classes as well": (
        lambda z, z_teacher, labels, T, alpha: _loss(
            z, _normal(_powers(z_teacher, T)), _log_softmax(z / T), labels, (alpha, (1 - alpha) * T**2 / z.shape[1])
        ),
        ("soft",),
        "`soft` is 1/C",
    ),
}
for _name, (_wrong, _terms, _cause) in WRONG_LOSSES.items():
    lesson.mistake("distillation_loss", _name, terms=_terms, cause=_cause)(_wrong)


@lesson.variant("distillation_loss", "through softmax_temperature")
def _(z, z_teacher, labels, T, alpha):
    hard = -(np.eye(z.shape[1])[labels] * np.log(softmax_temperature(z, 1.0))).sum(axis=1)
    soft = -(softmax_temperature(z_teacher, T) * np.log(softmax_temperature(z, T))).sum(axis=1)
    return (alpha * hard + (1 - alpha) * T**2 * soft).mean()


# %%
def _gradient(student, teacher, z, labels, weights):
    hard = softmax_temperature(z, 1.0) - np.eye(z.shape[1])[labels]
    return (weights[0] * hard + weights[1] * (student - teacher)) / len(z)


# Wrong factors on the hard and on the soft term, from (dloss, T, alpha, N, C); wrong terms; what must be said.
WRONG_FACTORS: dict[str, tuple[Callable[..., tuple[float, float]], tuple[str, ...], str | None]] = {
    "misses T**2": (lambda dloss, T, alpha, N, C: (1, T**-2), ("soft",), "`soft` is 1/T**2"),
    "misses the 1/T of the inner derivative": (lambda dloss, T, alpha, N, C: (1, T), ("soft",), "`soft` is T"),
    "has no factor of T at all": (lambda dloss, T, alpha, N, C: (1, 1 / T), ("soft",), "`soft` is 1/T"),
    "flips the sign of the soft term": (lambda dloss, T, alpha, N, C: (1, -1), ("soft",), "`soft` is -1"),
    "forgets the labels": (lambda dloss, T, alpha, N, C: (0, 1), ("hard",), "`hard` is 0"),
    "forgets the teacher": (lambda dloss, T, alpha, N, C: (1, 0), ("soft",), "`soft` is 0"),
    "forgets 1/N": (lambda dloss, T, alpha, N, C: (N, N), ("hard", "soft"), "every term of dz is N"),
    "averages the soft term over the classes as well": (
        lambda dloss, T, alpha, N, C: (1, 1 / C),
        ("soft",),
        "`soft` is 1/C",
    ),
    "forgets dloss": (
        lambda dloss, T, alpha, N, C: (1 / dloss, 1 / dloss),
        ("hard", "soft"),
        "every term of dz is 1/dloss",
    ),
    "swaps the weights alpha and 1 - alpha": (
        lambda dloss, T, alpha, N, C: ((1 - alpha) / alpha, alpha / (1 - alpha)),
        ("hard", "soft"),
        None,
    ),
}


def _with_wrong_factors(factors):
    def wrong(dloss, z, z_teacher, labels, T, alpha):
        of_hard, of_soft = factors(dloss, T, alpha, *z.shape)
        weights = dloss * alpha * of_hard, dloss * (1 - alpha) * T * of_soft
        return _gradient(softmax_temperature(z, T), softmax_temperature(z_teacher, T), z, labels, weights)

    return wrong


for _name, (_factors, _terms, _cause) in WRONG_FACTORS.items():
    lesson.mistake("distillation_backward", _name, terms=_terms, cause=_cause)(_with_wrong_factors(_factors))


@lesson.mistake("distillation_backward", "softens the teacher only", terms=("soft",))
def _(dloss, z, z_teacher, labels, T, alpha):
    weights = dloss * alpha, dloss * (1 - alpha) * T
    return _gradient(softmax_temperature(z, 1.0), softmax_temperature(z_teacher, T), z, labels, weights)


@lesson.mistake("distillation_backward", "softens the student only", terms=("soft",))
def _(dloss, z, z_teacher, labels, T, alpha):
    weights = dloss * alpha, dloss * (1 - alpha) * T
    return _gradient(softmax_temperature(z, T), softmax_temperature(z_teacher, 1.0), z, labels, weights)


@lesson.mistake("distillation_backward", "takes the student for the target", terms=("soft",))
def _(dloss, z, z_teacher, labels, T, alpha):
    swapped = swapped_gradient(softmax_temperature(z, T), softmax_temperature(z_teacher, T))
    weights = dloss * alpha, dloss * (1 - alpha) * T
    return _gradient(swapped, 0.0, z, labels, weights)


@lesson.mistake("distillation_backward", "compares the logits, as in the limit of high T", terms=("soft",))
def _(dloss, z, z_teacher, labels, T, alpha):
    centred, target = (a - a.mean(axis=1, keepdims=True) for a in (z, z_teacher))
    weights = dloss * alpha, dloss * (1 - alpha) / z.shape[1]
    return _gradient(centred, target, z, labels, weights)


@lesson.variant("distillation_backward", "one sample at a time")
def _(dloss, z, z_teacher, labels, T, alpha):
    rows = []
    for scores, teacher, label in zip(z, z_teacher, labels, strict=True):
        row = (1 - alpha) * T * (_normal(np.exp(scores / T), 0) - _normal(np.exp(teacher / T), 0))
        row = row + alpha * _normal(np.exp(scores), 0)
        row[label] -= alpha
        rows.append(row)
    return dloss / len(z) * np.array(rows)


@lesson.variant("distillation_backward", "predictions minus targets, each mixed with its weights")
def _(dloss, z, z_teacher, labels, T, alpha):
    predicted = alpha * softmax_temperature(z, 1.0) + (1 - alpha) * T * softmax_temperature(z, T)
    target = alpha * np.eye(z.shape[1])[labels] + (1 - alpha) * T * softmax_temperature(z_teacher, T)
    return dloss * (predicted - target) / len(z)


# %% [markdown]
# Key `w` of the loop trains a student with your gradient: 32 hidden units, digits of 14 x 14 pixels, and a teacher that
# was found in one step, as a least-squares fit of the labels. The loss that you see is the right one either way, less
# the entropy of the teacher, below which no student can go.


# %%
@lesson.consequence(
    "distillation_backward", title="a student of 32 units and a linear teacher, digits of 14 x 14 pixels, T = 4"
)
def with_your_gradient(candidate, rng):
    T, alpha, rate = 4.0, 0.3, 0.5
    digits = load_digits()
    images = halved(digits.images).reshape(-1, 196)
    extended = np.append(images, np.ones((len(images), 1)), axis=1)
    labels = digits.labels
    ridge = extended.T @ extended + 10 * np.eye(197)
    teacher = 10 * extended @ np.linalg.solve(ridge, extended.T @ np.eye(10)[labels])
    w1, w2 = rng.normal(size=(197, 32)) / 14, rng.normal(size=(32, 10)) / np.sqrt(32)
    while True:
        rows = rng.integers(0, len(images), 50)
        hidden = np.maximum(extended[rows] @ w1, 0)
        z = hidden @ w2
        target = softmax_temperature(teacher[rows], T)
        floor = (1 - alpha) * T**2 * cross_entropy(target, target)
        yield distillation_loss(z, teacher[rows], labels[rows], T, alpha) - floor
        dz = candidate(1.0, z, teacher[rows], labels[rows], T, alpha)
        dw2, dhidden = hidden.T @ dz, dz @ w2.T * (hidden > 0)
        w1, w2 = w1 - rate * extended[rows].T @ dhidden, w2 - rate * dw2
