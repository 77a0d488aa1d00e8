# %% [markdown]
# # The tape: an autograd engine in sixty lines
#
# **The question.** How does a program that only ever runs forward know the derivative of what it has computed? And why
# does the way back need an order, a sum, and no recursion?
#
# The source is the tape-based half of [Differentiable Programming: Computing source-code derivatives][post] by Ayan Das
# (2020): every primitive returns its value and knows its *pullback*, and the pullbacks run in reverse. We build that,
# beginning with two lines, `b = a + a; c = b + b`, that break the first two ideas one has. At the end, the engine
# trains a network beside `minigrad`, and every loss and every weight is the same **to the last bit**.
#
# If you like this, read [micrograd][micrograd] by Andrej Karpathy, the best-known engine of this size, and
# [Autodidax][autodidax] by the authors of JAX, where the same ideas grow into a system with compilation. (The other
# half of the post, derivatives as source code, is the lesson `source_to_source`, which has its errata, too.)
#
# [post]: https://ayandas.me/blog-tut/2020/09/08/differentiable-programming
# [micrograd]: https://github.com/karpathy/micrograd
# [autodidax]: https://docs.jax.dev/en/latest/autodidax.html

# %%
from __future__ import annotations

import gc
import itertools
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from lessons.anatomy import Lesson, Run, Term, Verdict
from lessons.lab.recorded import recorded_by_torch
from lessons.lab.sources import DIFFERENTIABLE_PROGRAMMING
from lessons.lab.threads import one_thread
from lessons.systems import _tape_figures as figures

lesson = Lesson(
    name="tape",
    title="The tape: an autograd engine in sixty lines",
    subject="systems",
    source=DIFFERENTIABLE_PROGRAMMING,
    headline="Sixty lines of tape train a network, and every weight of every step equals minigrad's to the last bit.",
    minutes=0.3,
    exercises=4,
)

# %% [markdown]
# ## Two lines that break the first ideas
#
# Take `b = a + a` and `c = b + b`. Clearly $c = 4a$, so $dc/da = 4$. Each wire of the graph has slope 1, and there are
# two wires from $a$ to $b$ and two from $b$ to $c$.
#
# The chain rule says: the gradient of a node is the sum, *over all wires that leave it*, of the slope of the wire times
# the gradient where it arrives. Write $\bar{v}$ for $\partial c / \partial v$, and $\bar{c} = 1$:
#
# $$
# \bar{v} = \sum_{\text{wires } v \to w} \bar{w} \, \frac{\partial w}{\partial v}
# $$
#
# **First idea: write the gradient into the node.** Then the second wire overwrites what the first has brought, and $a$
# gets 1. Gradients must *accumulate*.
#
# **Second idea: when a gradient arrives at a node, add it, and hand it on at once.** This is right, and hopeless. Each
# arrival at $b$ starts a journey of its own to $a$. In a chain of $n$ such doublings $a$ is visited $2^n$ times.
#
# **Third idea: visit each node once.** But when? A node that hands on its gradient before all of it has arrived hands
# on too little. The two lines forgive that, but $w = u + v$ with $v = 3u$ and $u = 2x$ does not: $w$ reaches $u$ before
# $v$ has handed on its share. What is needed is an order in which *every node comes after all nodes that use it*. Such
# an order need not be computed: the program has just run through its reverse. An op is always newer than its inputs. So
# give each op a serial number, and go back from the newest to the oldest. That list is the **tape**.


# %%
class Wire(NamedTuple):
    """One use of a value: the node that was used, by which node, and the slope between them."""

    parent: int
    child: int
    slope: float


def doublings(n: int) -> list[Wire]:
    """A chain of n doublings, v1 = v0 + v0 and so on: two wires between each node and the next."""
    return [Wire(k, k + 1, 1.0) for k in range(n) for _ in range(2)]


def overwriting(wires: Sequence[Wire], output: int) -> dict[int, float]:
    """The first idea, newest wires first: the last writer wins."""
    gradient = {output: 1.0}
    for wire in sorted(wires, key=lambda w: -w.child):
        gradient[wire.parent] = wire.slope * gradient[wire.child]
    return gradient


def handing_on(wires: Sequence[Wire], output: int) -> tuple[dict[int, float], int]:
    """The second idea: every arrival is handed on at once. Returns the gradients and the number of arrivals."""
    uses: dict[int, list[Wire]] = {}
    for wire in wires:
        uses.setdefault(wire.child, []).append(wire)
    gradient: dict[int, float] = {}
    arrivals = 0

    def arrive(node: int, g: float) -> None:
        nonlocal arrivals
        arrivals += 1
        gradient[node] = gradient.get(node, 0.0) + g
        for wire in uses.get(node, ()):
            arrive(wire.parent, g * wire.slope)

    arrive(output, 1.0)
    return gradient, arrivals


def once_in_any_order(wires: Sequence[Wire], output: int) -> dict[int, float]:
    """The third idea without the order: each node is visited once, as soon as it is reached."""
    gradient, waiting, seen = {output: 1.0}, [output], {output}
    for node in waiting:  # grows while we walk: breadth first
        for wire in wires:
            if wire.child == node:
                gradient[wire.parent] = gradient.get(wire.parent, 0.0) + wire.slope * gradient[node]
                if wire.parent not in seen:
                    seen.add(wire.parent)
                    waiting.append(wire.parent)
    return gradient


def newest_first(wires: Sequence[Wire], output: int) -> tuple[dict[int, float], int]:
    """The tape: every node once, from the newest to the oldest. Returns the gradients and the number of visits."""
    uses: dict[int, list[Wire]] = {}
    for wire in wires:
        uses.setdefault(wire.child, []).append(wire)
    gradient, visits = {output: 1.0}, 0
    for node in range(output, -1, -1):
        visits += 1
        for wire in uses.get(node, ()):
            gradient[wire.parent] = gradient.get(wire.parent, 0.0) + wire.slope * gradient[node]
    return gradient, visits


@lesson.step("Two lines that break the first ideas")
def two_lines(run: Run) -> None:
    chain = doublings(2)  # nodes 0, 1, 2 are a, b, c
    run.claim("overwriting: dc/da", overwriting(chain, 2)[0], equals=1.0)
    run.claim("newest first: dc/da", newest_first(chain, 2)[0][0], equals=4.0)
    # x, u = 2 x, v = 3 u and w = u + v are the nodes 0 to 3.
    shortcut = [Wire(0, 1, 2.0), Wire(1, 2, 3.0), Wire(1, 3, 1.0), Wire(2, 3, 1.0)]
    run.claim("once, in any order: dw/dx of w = u + 3u, u = 2x", once_in_any_order(shortcut, 3)[0], equals=2.0)
    run.claim("newest first: dw/dx", newest_first(shortcut, 3)[0][0], equals=8.0)

    sizes = list(range(1, run.pick(quick=13, default=17, full=19)))
    naive = [handing_on(doublings(n), n) for n in sizes]
    tape = [newest_first(doublings(n), n) for n in sizes]
    arrivals, visits = [count for _, count in naive], [count for _, count in tape]
    n = sizes[-1]
    run.claim(f"{n} doublings, handing on: gradient", naive[-1][0][0], equals=2.0**n)
    run.claim("arrivals are 2^(n+1) - 1, for every n", arrivals == [2 ** (n + 1) - 1 for n in sizes], equals=True)
    run.claim("visits of the tape are n + 1, for every n", visits == [n + 1 for n in sizes], equals=True)
    run.claim("1000 doublings on the tape: gradient", newest_first(doublings(1000), 1000)[0][0], equals=2.0**1000)
    run.figure(
        "tape-graph",
        figures.draw_graph(),
        alt="The graph of b = a + a and c = b + b. Each wire carries its gradient back: 1 and 1 into b, which adds "
        "them to 2, then 2 and 2 into a, which adds them to 4.",
        data={"gradients": [newest_first(chain, 2)[0][k] for k in range(3)]},
    )
    run.figure(
        "tape-visits",
        figures.draw_visits(np.array(sizes), np.array(arrivals), np.array(visits)),
        alt="Number of visits over the number of doublings, on a logarithmic scale: a steep straight line for the "
        "naive walk, nearly flat for the tape.",
        data={"doublings": sizes, "naive": arrivals, "tape": visits},
    )


# %% [markdown]
# **Exercise: `backward`.** The walk back by yourself, for any graph. One thing is harder than on a tape: the numbers of
# the nodes say nothing about their order, so you must find one.


# %%
@lesson.exercise(
    hint="A node is ready when every wire that leaves it has delivered. How many wires is each waiting for?"
)
def backward(n, parent, child, slope, output):
    """Return the derivative of one node of a graph with respect to every node.

    Wire k says that node child[k] uses node parent[k], with the derivative slope[k] between them. Two wires may join
    the same nodes, as in a + a. There are no cycles. The numbers of the nodes are in no order, and some nodes may have
    nothing to do with the output.

    Args:
        n: the number of nodes.
        parent: integers, shape (W,).
        child: integers, shape (W,).
        slope: shape (W,).
        output: the node to differentiate.

    Returns:
        gradients, shape (n,): 1 at the output, 0 at nodes that it does not depend on.
    """
    waits_for = np.zeros(n, dtype=int)  # wires out of each node that have not delivered yet
    np.add.at(waits_for, parent, 1)
    gradient = np.zeros(n)
    gradient[output] = 1.0
    ready = [node for node in range(n) if waits_for[node] == 0]
    while ready:
        node = ready.pop()
        for k in np.flatnonzero(child == node):
            gradient[parent[k]] += slope[k] * gradient[node]
            waits_for[parent[k]] -= 1
            if waits_for[parent[k]] == 0:
                ready.append(parent[k])
    return gradient


def draw_graph_problem(rng: np.random.Generator, n: int) -> tuple[int, np.ndarray, np.ndarray, np.ndarray, int]:
    """A random graph with shuffled numbers, some doubled wires, and an output that something uses."""
    pairs = [(a, b) for b in range(1, n) for a in range(b) if b - a == 1 or rng.random() < 0.45]
    pairs += [pairs[k] for k in rng.integers(0, len(pairs), 3)]
    names, order = rng.permutation(n), rng.permutation(len(pairs))
    parent, child = names[np.array(pairs)[order].T]
    return n, parent, child, rng.choice([-1.0, 1.0], len(pairs)) * rng.uniform(0.5, 2, len(pairs)), int(names[n - 2])


def by_solving(n, parent, child, slope, output):
    """The same by linear algebra: the gradients g of all nodes solve g = e_output + A g."""
    slopes = np.zeros((n, n))
    np.add.at(slopes, (parent, child), slope)
    return np.linalg.solve(np.eye(n) - slopes, np.eye(n)[output])


@lesson.check("backward")
def _(candidate):
    rng = np.random.default_rng(3)
    problems = [(3, np.array([0, 0, 1, 1]), np.array([1, 1, 2, 2]), np.ones(4), 2)]  # b = a + a; c = b + b
    problems += [draw_graph_problem(rng, n) for n in (5, 7, 8)]
    return Verdict.all(*(Verdict.from_arrays("gradients", candidate(*p), by_solving(*p), 1e-10) for p in problems))


@lesson.step("The exercise `backward`, against linear algebra")
def the_walk_back(run: Run) -> None:
    gaps = [np.abs(backward(*p) - by_solving(*p)).max() for p in (draw_graph_problem(run.rng, 7) for _ in range(20))]
    run.claim("20 random graphs: largest difference", max(gaps), below=1e-10)


# %% [markdown]
# ## The engine
#
# A `Value` is an array, and, if an op made it, the op, its inputs, and a serial number. It points to what is *older*,
# and nothing points forward. An `Op` is a forward function on arrays, and for each input one *vjp*, a vector-Jacobian
# product (the post's pullback, one input at a time): from the gradient `g` of the output to the gradient of that input.
#
# Two decisions here pay off later. The vjps are written in the engine's own ops, so what they compute is recorded, too.
# And the way back, `gradients`, is no recursion but a loop over a list.


# %%
SERIAL = itertools.count()


class Value:
    """An array, and how it was made: by `op` from `inputs` (older values); both are None and () for a leaf."""

    __slots__ = ("__weakref__", "array", "inputs", "op", "serial")

    def __init__(self, array: Any, op: Op | None = None, inputs: tuple[Value, ...] = ()) -> None:
        self.array = np.asarray(array, dtype=np.float64)
        self.op, self.inputs, self.serial = op, inputs, next(SERIAL)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def __add__(self, other: Any) -> Value:
        return add(self, other)

    def __mul__(self, other: Any) -> Value:
        return mul(self, other)

    def __neg__(self) -> Value:
        return neg(self)

    def __sub__(self, other: Any) -> Value:
        return add(self, neg(other))

    def __rsub__(self, other: Any) -> Value:
        return add(other, neg(self))

    def __matmul__(self, other: Any) -> Value:
        return matmul(self, other)

    __radd__, __rmul__ = __add__, __mul__


class Op:
    """A forward on arrays, and one vjp for each input: (g, out, *inputs) -> the gradient of that input, as a Value."""

    def __init__(self, forward: Callable[..., Any], *vjps: Callable[..., Value]) -> None:
        self.forward, self.vjps = forward, vjps

    def __call__(self, *inputs: Any) -> Value:
        values = tuple(x if isinstance(x, Value) else Value(x) for x in inputs)
        return Value(self.forward(*(x.array for x in values)), self, values)


add = Op(lambda x, y: x + y, lambda g, out, x, y: g, lambda g, out, x, y: g)
mul = Op(lambda x, y: x * y, lambda g, out, x, y: g * y, lambda g, out, x, y: g * x)
neg = Op(lambda x: -x, lambda g, out, x: -g)
reciprocal = Op(lambda x: 1 / x, lambda g, out, x: -g * (out * out))
tanh = Op(np.tanh, lambda g, out, x: g * (1 - out * out))
transpose = Op(lambda x: x.T, lambda g, out, x: transpose(g))
matmul = Op(lambda x, y: x @ y, lambda g, out, x, y: g @ transpose(y), lambda g, out, x, y: transpose(x) @ g)
total = Op(lambda x: x.sum(), lambda g, out, x: spread(g, x.shape))


def spread(x: Value, shape: tuple[int, ...]) -> Value:
    """Repeat x to a shape, as broadcasting does."""
    return Op(lambda a: np.broadcast_to(a, shape), lambda g, out, x: sum_to(g, x.shape))(x)


def sum_to(x: Value, shape: tuple[int, ...]) -> Value:
    """Sum away what broadcasting had repeated, back to a shape."""
    return Op(lambda a: unbroadcast(a, shape), lambda g, out, x: spread(g, x.shape))(x)


def gradients(out: Value, wrt: Sequence[Value]) -> list[Value]:
    """The derivatives of a value with one element with respect to some others: reverse mode, whole."""
    tape, stack, seen = [], [out], set()
    while stack:  # what `out` depends on; no recursion, so no limit on the depth
        value = stack.pop()
        if value.op is not None and value.serial not in seen:
            seen.add(value.serial)
            tape.append(value)
            stack.extend(value.inputs)
    tape.sort(key=lambda value: value.serial)  # an op is newer than its inputs
    found = {out.serial: Value(np.ones(out.shape))}
    while tape:
        value = tape.pop()  # the newest: nobody will add to its gradient any more
        g = found[value.serial]
        for x, vjp in zip(value.inputs, value.op.vjps, strict=True):
            share = vjp(g, value, *value.inputs)
            if share.shape != x.shape:  # the input was broadcast: the one place that undoes it
                share = sum_to(share, x.shape)
            found[x.serial] = found[x.serial] + share if x.serial in found else share
    return [found[x.serial] if x.serial in found else Value(np.zeros(x.shape)) for x in wrt]


# %% [markdown]
# One function is missing, and it is yours.
#
# **Exercise: `unbroadcast`.** When a bias of shape $(M,)$ is added to a matrix of shape $(N, M)$, one number is used
# $N$ times, so its gradient is a sum of $N$ numbers. NumPy repeats in two ways: it puts new axes in front, and it
# stretches axes of size 1. Going back, both are summed. If each op had to remember this, one would forget it; so the
# loop above does it for all of them.


# %%
@lesson.exercise(hint="Which axes of g are copies? Of these, which are missing in `shape`, and which are there as a 1?")
def unbroadcast(g, shape):
    """Sum an array back to the shape that was broadcast to it.

    Args:
        g: gradient of the broadcast array, of a shape to which `shape` broadcasts.
        shape: the shape before broadcasting, a tuple; () for a number.

    Returns:
        an array of that shape; each entry is the sum of all the entries of g that were copies of it.
    """
    new = g.ndim - len(shape)
    stretched = tuple(new + k for k, size in enumerate(shape) if size == 1)
    return g.sum(axis=tuple(range(new)) + stretched, keepdims=True).reshape(shape)


def by_index(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The same one entry at a time: broadcast the *places*, and add each entry at its place."""
    size = int(np.prod(shape))
    places = np.broadcast_to(np.arange(size).reshape(shape), g.shape)
    result = np.zeros(size)
    np.add.at(result, places.ravel(), g.ravel())
    return result.reshape(shape)


BROADCASTS = [((4, 3), (3,)), ((4, 3), (4, 1)), ((4, 3), ()), ((2, 4, 3), (4, 1)), ((2, 4, 3), (1, 1, 3)),
              ((5, 1), (1,)), ((4, 4), (1, 4)), ((4, 4), (4, 4)), ((1, 3), (3,))]  # fmt: skip


@lesson.check("unbroadcast")
def _(candidate):
    rng = np.random.default_rng(4)
    verdicts = []
    for big, small in BROADCASTS:
        g = rng.normal(size=big)
        verdicts.append(Verdict.from_arrays(f"{big} to {small}", candidate(g, small), by_index(g, small), 1e-12))
    return Verdict.all(*verdicts)


# %% [markdown]
# **Exercise: `gram_backward`.** Two wires again, this time with matrices on them. `y = x @ x.T` holds all scalar
# products of the rows of $x$. It uses $x$ twice, and the wire on the **right** passes a transpose:
#
# $$
# \bar{x} = \underbrace{g\, x}_{\text{left}} + \underbrace{g^\top x}_{\text{right}}
# $$
#
# Only if $g$ happens to be symmetric are the two equal.


# %%
@lesson.exercise(hint="y[i, j] is the product of row i and row j. Which entries of y does row i of x reach, and how?")
def gram_backward(g, x):
    """Return the gradient of y = x @ x.T with respect to x.

    Args:
        g: gradient with respect to y, shape (N, N), not symmetric in general.
        x: shape (N, M).

    Returns:
        dx, shape (N, M).
    """
    return g @ x + g.T @ x


@lesson.step("Two wires with matrices on them", terms=("left", "right"))
def two_wires(run: Run) -> None:
    x, g = run.rng.normal(size=(4, 3)), run.rng.normal(size=(4, 4))
    leaf = Value(x)
    (ours,) = gradients(total((leaf @ transpose(leaf)) * g), [leaf])
    run.claim("gram_backward, against the engine", np.abs(gram_backward(g, x) - ours.array).max(), below=1e-12)
    run.claim("2 g x instead: how far off", np.abs(2 * g @ x - ours.array).max(), above=0.1)


# %% [markdown]
# ### It works on the two lines, and on the example of the post
#
# The post takes $F(a, b) = a / (1 + b^2)$ apart into three ops, $y_1 = b^2$, $y_2 = 1 + y_1$, $y_3 = a / y_2$, and
# calls their pullbacks in reverse. Filled in: $\bar{a} = 1/y_2$ and $\bar{y}_2 = -a/y_2^2$, then $\bar{y}_1 =
# \bar{y}_2$, then $\bar{b} = 2b\,\bar{y}_1$. At $a = 1$, $b = 2$ it prints 0.2 and (0.2, −0.16).


# %%
def values(*arrays: Any) -> list[Value]:
    return [Value(array) for array in arrays]


def numerical(function: Callable[[np.ndarray], Any], at: np.ndarray) -> np.ndarray:
    from minigrad.gradcheck import numerical_gradient

    return numerical_gradient(function, at, 1.0).values


def layer_sum(leaves: list[Value], moved: Value, at: np.ndarray) -> float:
    x, w, bias = (at if leaf is moved else leaf.array for leaf in leaves)
    return float(np.tanh(x @ w + bias).sum())


@lesson.step("The engine")
def the_engine(run: Run) -> None:
    (a,) = values(3.0)
    b = a + a
    c = b + b
    run.claim("b = a + a; c = b + b: dc/da", float(gradients(c, [a])[0].array), equals=4.0)
    a, b = values(1.0, 2.0)
    out = a * reciprocal(1 + b * b)
    da, db = (g.array for g in gradients(out, [a, b]))
    run.claim("a / (1 + b^2) at (1, 2)", float(out.array), equals=0.2)
    run.claim("its derivative by a", float(da), equals=0.2, within=1e-16)
    run.claim("its derivative by b", float(db), equals=-0.16, within=1e-16)
    furthest = max(np.abs(unbroadcast(g, s) - by_index(g, s)).max()
                   for g, s in ((run.rng.normal(size=big), small) for big, small in BROADCASTS))  # fmt: skip
    run.claim("unbroadcast, against one entry at a time", furthest, below=1e-13)

    x, w, bias = (run.rng.normal(size=shape) for shape in ((5, 3), (3, 4), (4,)))
    leaves = values(x, w, bias)
    got = gradients(total(tanh(leaves[0] @ leaves[1] + leaves[2])), leaves)
    for name, leaf, g in zip(("x", "w", "bias"), leaves, got, strict=True):
        want = numerical(lambda at, leaf=leaf: layer_sum(leaves, leaf, at), leaf.array)
        run.claim(f"sum(tanh(x @ w + bias)): gradient of {name}", np.abs(g.array - want).max(), below=1e-8)


# %% [markdown]
# ## Gradients of gradients, for nothing
#
# `gradients` returns values that were made by ops, because the vjps are made of ops. So it can be called again on its
# own result, as often as one likes. No line of the engine is about second derivatives.
#
# The most useful case is a Hessian times a vector. The Hessian of a network with a million weights has $10^{12}$
# entries, but $Hv$ is one gradient of one number, $\nabla (\nabla f \cdot v)$, and costs a few times as much as $f$.
# That it can be had so cheaply is from [Fast exact multiplication by the Hessian][pearlmutter] by Barak Pearlmutter
# (1994), who goes forward through the backward pass where we go back twice.
#
# We try it on a network with one hidden layer, which learns to tell two half moons apart. It will meet us again.
#
# [pearlmutter]: https://doi.org/10.1162/neco.1994.6.1.147


# %%
def hessian_vector(function: Callable[[list[Value]], Value], at: list[Value], v: list[np.ndarray]) -> list[np.ndarray]:
    """Return the Hessian of a function with one result, times a vector that is given in the shapes of its inputs."""
    slopes = gradients(function(at), at)
    along = total(slopes[0] * v[0])
    for slope, direction in zip(slopes[1:], v[1:], strict=True):
        along = along + total(slope * direction)
    return [g.array for g in gradients(along, at)]


NAMES = ("w1", "b1", "w2", "b2")
RATE = 0.05


def moons(rng: np.random.Generator, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Return points (N, 2) on two half moons, and targets (N, 1) that are -1 and 1."""
    angle = rng.uniform(0, np.pi, points)
    which = np.arange(points) % 2
    x = np.where(which == 0, np.cos(angle), 1 - np.cos(angle))
    y = np.where(which == 0, np.sin(angle), 0.5 - np.sin(angle))
    inputs = np.stack([x, y], axis=1) - [0.5, 0.25]
    return inputs + 0.1 * rng.normal(size=inputs.shape), 2.0 * which[:, None] - 1


def starting_weights(rng: np.random.Generator, hidden: int = 16) -> list[np.ndarray]:
    return [rng.normal(size=(2, hidden)), np.zeros(hidden), rng.normal(size=(hidden, 1)) / np.sqrt(hidden), np.zeros(1)]


def network_loss(parameters: list[Value], inputs: np.ndarray, targets: np.ndarray) -> Value:
    w1, b1, w2, b2 = parameters
    miss = tanh(Value(inputs) @ w1 + b1) @ w2 + b2 - targets
    return total(miss * miss) * (1 / len(inputs))


@lesson.step("Gradients of gradients")
def double_backward(run: Run) -> None:
    (x,) = values(2.0)
    first = gradients(x * x * x, [x])[0]
    second = gradients(first, [x])[0]
    third = gradients(second, [x])[0]
    got = [float(d.array) for d in (first, second, third)]
    run.claim("x^3 at 2: its first three derivatives", got, equals=[12.0, 12.0, 6.0])

    (curved,) = hessian_vector(
        lambda p: total(p[0]) * total(p[0]) * total(p[0]), values([1.0, -2.0, 3.0]), [np.eye(3)[0]]
    )
    run.claim("(sum of x)^3 at (1, -2, 3): first row of its Hessian", curved, equals=np.full(3, 12.0))

    inputs, targets = moons(run.rng, 20)
    parameters = starting_weights(run.rng, hidden=4)
    v = [run.rng.normal(size=p.shape) for p in parameters]
    got = hessian_vector(lambda p: network_loss(p, inputs, targets), values(*parameters), v)
    step = 1e-5

    def slopes_at(distance: float) -> list[np.ndarray]:
        moved = values(*(p + distance * d for p, d in zip(parameters, v, strict=True)))
        return [g.array for g in gradients(network_loss(moved, inputs, targets), moved)]

    for name, mine, ahead, behind in zip(NAMES, got, slopes_at(step), slopes_at(-step), strict=True):
        run.claim(f"Hessian times v, part of {name}: against differences of gradients",
                  np.abs(mine - (ahead - behind) / (2 * step)).max(), below=1e-7)  # fmt: skip


# %% [markdown]
# **Exercise: `second_pass`.** Do once by hand what the engine does by itself. A neuron computes $y = \tanh(wx)$ and its
# backward pass, elementwise,
#
# $$
# d = g \, w \, (1 - t^2), \qquad t = \tanh(wx)
# $$
#
# Now something is computed from $d$, and the gradient $\bar{d}$ comes back. $g$ enters once. But $w$ enters twice: as
# the factor, and inside $t$. The terms of $\bar{w}$ are **direct** and **curve**, and that of $\bar{g}$ is **slope**:
#
# $$
# \bar{g} = \underbrace{\bar{d} \, w (1 - t^2)}_{\text{slope}}, \qquad
# \bar{w} = \underbrace{\bar{d} \, g (1 - t^2)}_{\text{direct}}
# - \underbrace{2 \bar{d} \, g \, w \, x \, t (1 - t^2)}_{\text{curve}}
# $$


# %%
@lesson.exercise(hint="w stands in front of the bracket, and in t. What is the derivative of 1 - t**2 by w?")
def second_pass(dd, g, w, x):
    """Return the gradients of d = g * w * (1 - t**2), t = tanh(w * x), which is itself a backward pass.

    Args:
        dd: gradient with respect to d, shape (N,).
        g: the gradient that arrived in the first pass, shape (N,).
        w: weights, shape (N,).
        x: inputs, shape (N,).

    Returns:
        The tuple (dg, dw), each of shape (N,).
    """
    t = np.tanh(w * x)
    slope = 1 - t**2
    direct = dd * g * slope
    curve = -2 * dd * g * w * x * t * slope
    return dd * w * slope, direct + curve


def draw_neuron(rng: np.random.Generator, N: int = 6) -> dict[str, Any]:
    return {"g": rng.normal(size=N), "w": rng.uniform(0.4, 1.4, N) * rng.choice([-1, 1], N), "x": rng.normal(size=N)}


@lesson.step("A second pass by hand", terms=("slope", "direct", "curve"))
def by_hand(run: Run) -> None:
    g, w, x = draw_neuron(run.rng).values()
    dd = run.rng.normal(size=6)
    dg, dw = second_pass(dd, g, w, x)
    values_of_g, values_of_w = values(g, w)
    (first,) = gradients(total(tanh(values_of_w * (x_value := Value(x))) * values_of_g), [x_value])
    got = gradients(total(first * dd), [values_of_g, values_of_w])
    run.claim("dg, by hand and by the engine", np.abs(dg - got[0].array).max(), below=1e-14)
    run.claim("dw, by hand and by the engine", np.abs(dw - got[1].array).max(), below=1e-14)


# %% [markdown]
# ## No recursion, and no cycles
#
# Many small engines walk the graph by a function that calls itself, and keep in each node a closure that knows the
# node. Both are easy to read and fail in use. A recurrent network over 1,000 steps is deeper than Python's recursion
# limit. And a closure that knows the node to which it belongs is a cycle: nothing of the graph is freed until the
# garbage collector comes by, and it may come late, since it counts objects and not the gigabytes that they hold.
#
# Here is such a node, to compare. The collector is switched off while we look, so that only reference counts can free
# anything.


# %%
class ClosureValue:
    """The other way to write it: each node holds a function that knows the node, and the walk is a recursion."""

    def __init__(self, data: float, parents: tuple[ClosureValue, ...] = ()) -> None:
        self.data, self.grad, self.parents = data, 0.0, parents
        self.push: Callable[[], None] = lambda: None

    def __add__(self, other: ClosureValue) -> ClosureValue:
        out = ClosureValue(self.data + other.data, (self, other))

        def push() -> None:
            self.grad += out.grad
            other.grad += out.grad

        out.push = push  # out -> push -> out: a cycle
        return out

    def backward(self) -> None:
        order: list[ClosureValue] = []
        seen: set[int] = set()

        def visit(node: ClosureValue) -> None:
            if id(node) not in seen:
                seen.add(id(node))
                for parent in node.parents:
                    visit(parent)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            node.push()


def survives(make: Callable[[], Any]) -> bool:
    """Whether the middle of a small graph is still there after its last name is gone, without the collector."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        a = make()
        middle = a + a
        watch = weakref.ref(middle)
        out = middle + middle
        del middle, out
        return watch() is not None
    finally:
        if collecting:
            gc.enable()


def freed_after_gradients() -> bool:
    """The same for the tape, after it has computed gradients."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        (a,) = values(1.0)
        middle = a * a
        out = tanh(middle) * middle
        gradients(out, [a])
        watch = weakref.ref(middle)
        del middle, out
        return watch() is None
    finally:
        if collecting:
            gc.enable()


@lesson.step("No recursion, and no cycles")
def no_recursion(run: Run) -> None:
    depth = 100_000
    (a,) = values(1.0)
    out = a
    for _ in range(depth):
        out = out + 1.0
    run.claim(f"{depth:,} ops deep: gradient on the tape", float(gradients(out, [a])[0].array), equals=1.0)
    del out  # and freeing it must not recurse, either
    deep = start = ClosureValue(1.0)
    for _ in range(depth // 10):
        deep = deep + start
    try:
        deep.backward()
        fails = False
    except RecursionError:
        fails = True
    run.claim(f"{depth // 10:,} ops deep, by recursion: RecursionError", fails, equals=True)
    del deep, start
    run.claim("closures: the graph outlives its last name", survives(lambda: ClosureValue(1.0)), equals=True)
    gc.collect()
    run.claim("tape: the graph outlives its last name", survives(lambda: Value(1.0)), equals=False)
    run.claim("tape: freed also after `gradients`", freed_after_gradients(), equals=True)


# %% [markdown]
# ## The experiment: the same bits
#
# The two half moons again: 2-16-1 with tanh, squares, plain gradient descent on all the points, float64. The engine
# above trains it, and so does `minigrad`, from the same weights.
#
# Every floating-point operation rounds, so formulas that are equal on paper need not be equal in bits. Two engines
# agree exactly only if they do the same operations, and add up gradients in the same order: both go from the newest op
# to the oldest and serve the inputs from left to right. We ask for `==` of every weight after every step.


# %%


def minigrad_loss(parameters: list[Any], inputs: np.ndarray, targets: np.ndarray) -> Any:
    """Line for line the same, in minigrad."""
    import minigrad as mg

    w1, b1, w2, b2 = parameters
    miss = (mg.tensor(inputs) @ w1 + b1).tanh() @ w2 + b2 - mg.tensor(targets)
    return (miss * miss).sum() * (1 / len(inputs))


def step_on_tape(parameters: list[np.ndarray], inputs: np.ndarray, targets: np.ndarray, lr: float):
    """One step of gradient descent with the engine of this lesson: (loss, new parameters)."""
    leaves = values(*parameters)
    loss = network_loss(leaves, inputs, targets)
    return float(loss.array), [p - lr * g.array for p, g in zip(parameters, gradients(loss, leaves), strict=True)]


def step_in_minigrad(parameters: list[np.ndarray], inputs: np.ndarray, targets: np.ndarray, lr: float):
    """The same step by minigrad's tape and its optimizer."""
    import minigrad as mg
    from minigrad import optim

    leaves = [mg.tensor(p, requires_grad=True) for p in parameters]
    loss = minigrad_loss(leaves, inputs, targets)
    loss.backward()
    optim.SGD(leaves, lr=lr).step()
    return loss.item(), [leaf.detach().numpy() for leaf in leaves]


class Training(NamedTuple):
    """The loss before each step, and all the parameters after each step, as one vector: (steps,), (steps, P)."""

    losses: np.ndarray
    weights: np.ndarray
    last: list[np.ndarray]


def train(step: Callable[..., Any], parameters: list[np.ndarray], data: Any, lr: float, steps: Any) -> Training:
    losses, weights = [], []
    for _ in steps:
        loss, parameters = step(parameters, *data, lr)
        losses.append(loss)
        weights.append(np.concatenate([p.ravel() for p in parameters]))
    return Training(np.array(losses), np.array(weights), parameters)


def predicted(parameters: list[np.ndarray], inputs: np.ndarray) -> np.ndarray:
    w1, b1, w2, b2 = parameters
    result: np.ndarray = np.tanh(inputs @ w1 + b1) @ w2 + b2
    return result


@lesson.experiment("The same bits")
@one_thread()
def the_same_bits(run: Run) -> None:
    steps = run.pick(quick=800, default=5000, full=20000)
    data = moons(run.rng, 100)
    start = starting_weights(run.rng)
    ours = train(step_on_tape, start, data, RATE, run.progress(range(steps), "our tape"))
    theirs = train(step_in_minigrad, start, data, RATE, run.progress(range(steps), "minigrad"))
    differ = int((ours.weights != theirs.weights).sum())
    run.results["training"] = ours
    run.results["weights that differ"] = differ
    equal = np.array_equal(ours.losses, theirs.losses)
    run.claim("losses of all steps equal minigrad's, bit for bit", equal, equals=True)
    run.claim(f"weights that differ, of {ours.weights.size:,}", differ, equals=0)
    run.claim("weights are finite and they moved", float(np.abs(ours.weights[-1] - ours.weights[0]).max()), above=0.05)
    right = float(((predicted(ours.last, data[0]) > 0) == (data[1] > 0)).mean())
    run.results["right"] = right
    run.claim("share of points on the right side", right, above=0.9)
    run.claim("loss, last / first", ours.losses[-1] / ours.losses[0], below=0.5)

    turned = tuple(part[::-1].copy() for part in data)
    other = train(step_on_tape, start, turned, RATE, range(steps))
    apart = np.abs(other.weights - ours.weights).max(axis=1)
    run.results["apart"] = apart
    first = int(np.argmax(apart > 0)) + 1
    run.note(
        f"This is no empty test. With the same points in the opposite order, which is the same on paper, the weights "
        f"part in step {first} and are {apart[-1]:.1e} apart at the end."
    )
    run.claim("the same points in the opposite order: distance of the weights", apart.max(), above=0)
    run.figure(
        "tape-training",
        figures.draw_training(ours.losses, apart, data, lambda points: predicted(ours.last, points)),
        alt="Left: the loss of both engines on one curve. Middle: the distance between the weights of the two engines "
        "is zero in every step, while the same points in another order drift away. Right: the boundary it learned.",
        data={"losses": ours.losses, "theirs": theirs.losses, "apart": apart, "points": data[0], "targets": data[1]},
    )


# %% [markdown]
# ## What does it cost?
#
# On arrays this small nearly all the time goes into the engine, not into arithmetic. minigrad's tape does more (it
# checks shapes and dtypes, refuses stale arrays, computes no gradient that nobody asked for) and has shortcuts where
# ours has none. Ours has no notion of "needs no gradient", so it also differentiates with respect to the data.


# %%
def seconds_per_op(forward: Callable[[], Any], back: Callable[[Any], Any], ops: int, repeats: int) -> tuple[float, ...]:
    """Return the median time of one op forward, and of one op backward."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        out = forward()
        middle = time.perf_counter()
        back(out)
        times.append((middle - start, time.perf_counter() - middle))
    return tuple(np.median(times, axis=0) / ops)


def chain_of_ops(x: Any, y: Any, pairs: int) -> Any:
    for _ in range(pairs):
        x = x * y + y
    return x


def _timed(function: Callable[..., Any], *arguments: Any) -> float:
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


@lesson.experiment("What an op costs")
@one_thread()
def what_an_op_costs(run: Run) -> None:
    import minigrad as mg

    pairs, repeats = 500, run.pick(quick=5, default=31, full=101)
    x, y = values(0.5, 0.9)
    a, b = (mg.tensor(np.array(v), requires_grad=True) for v in (0.5, 0.9))
    ours = seconds_per_op(lambda: chain_of_ops(x, y, pairs), lambda out: gradients(out, [x, y]), 2 * pairs, repeats)
    theirs = seconds_per_op(
        lambda: chain_of_ops(a, b, pairs), lambda out: mg.autograd.grad(out, (a, b)), 2 * pairs, repeats
    )
    data, start = moons(run.rng, 100), starting_weights(run.rng)
    steps = [
        np.median([_timed(step, start, *data, RATE) for _ in range(repeats)])
        for step in (step_on_tape, step_in_minigrad)
    ]
    run.table(
        "Microseconds, median of several; on a busy machine, compare the columns and not the digits",
        ("", "this lesson", "minigrad"),
        [
            ("one scalar op, forward", f"{1e6 * ours[0]:.2f}", f"{1e6 * theirs[0]:.2f}"),
            ("one scalar op, backward", f"{1e6 * ours[1]:.2f}", f"{1e6 * theirs[1]:.2f}"),
            ("one training step of 2-16-1", f"{1e6 * steps[0]:.0f}", f"{1e6 * steps[1]:.0f}"),
        ],
    )
    run.results["microseconds"] = {"ours": ours, "minigrad": theirs, "steps": steps}
    run.claim("one op, forward and back: minigrad's time / ours", sum(theirs) / sum(ours), within=(0.05, 20))


# %% [markdown]
# ## Compared
#
# PyTorch's tape is the same idea in C++, and its numbers must be ours up to rounding: its matrix products need not add
# up in NumPy's order.


# %%
def by_torch(torch: Any, saved: dict[str, np.ndarray]) -> dict[str, Any]:
    """The gradients d_NAME and the Hessian times v, h_NAME, computed by torch now."""
    leaves = [torch.tensor(saved[name], requires_grad=True) for name in NAMES]
    w1, b1, w2, b2 = leaves
    miss = (torch.tensor(saved["inputs"]) @ w1 + b1).tanh() @ w2 + b2 - torch.tensor(saved["targets"])
    slopes = torch.autograd.grad((miss * miss).sum() / len(miss), leaves, create_graph=True)
    along = sum((slope * torch.tensor(saved[f"v_{name}"])).sum() for name, slope in zip(NAMES, slopes, strict=True))
    curved = torch.autograd.grad(along, leaves)
    found = dict(zip((f"d_{name}" for name in NAMES), slopes, strict=True))
    return found | dict(zip((f"h_{name}" for name in NAMES), curved, strict=True))


@lesson.compare("PyTorch")
def against_torch(run: Run) -> None:
    import minigrad as mg
    from minigrad.autograd.functional import hvp

    saved = recorded_by_torch(lesson)
    inputs, targets = saved["inputs"], saved["targets"]
    parameters = [saved[name] for name in NAMES]
    leaves = values(*parameters)
    slopes = gradients(network_loss(leaves, inputs, targets), leaves)
    v = [saved[f"v_{name}"] for name in NAMES]
    curved = hessian_vector(lambda p: network_loss(p, inputs, targets), leaves, v)
    _, by_minigrad = hvp(
        lambda *p: minigrad_loss(list(p), inputs, targets), tuple(map(mg.tensor, parameters)), tuple(map(mg.tensor, v))
    )
    for name, slope, curve, other in zip(NAMES, slopes, curved, by_minigrad, strict=True):
        d, h = f"d_{name}", f"h_{name}"
        run.compare(f"gradient of {name}", slope.array, recorded=saved[d], below=1e-13,
                    live=lambda torch, d=d: by_torch(torch, saved)[d])  # fmt: skip
        run.compare(f"Hessian times v, part of {name}", curve, recorded=saved[h], below=1e-12,
                    live=lambda torch, h=h: by_torch(torch, saved)[h])  # fmt: skip
        run.claim(f"the same in minigrad, {name}", np.abs(curve - other.numpy()).max(), below=1e-12)
    trained = train(step_on_tape, parameters, (inputs, targets), 0.3, range(len(saved["losses"])))
    run.compare("losses of 50 steps", trained.losses, recorded=saved["losses"], below=1e-11)


# %% [markdown]
# ## Where this breaks
#
# **Memory.** The tape keeps every intermediate value until the way back has passed it. A network of depth $n$ keeps $n$
# arrays, where a forward pass alone needs two. *Checkpointing* keeps every $\sqrt{n}$-th and computes the others again
# ([Training Deep Nets with Sublinear Memory Cost][chen] by Tianqi Chen and others, 2016).
#
# **Writing into an array.** The vjp of `mul` reads its inputs when the way *back* comes by. Whoever has changed an
# array in between gets a wrong gradient and no warning. minigrad counts changes and raises an error; the engine above
# notices nothing.
#
# **Many outputs.** One pass gives the derivatives of *one* number. A Jacobian of $m$ outputs takes $m$ passes; with few
# inputs and many outputs, forward mode is the cheaper one ([Automatic Differentiation in Machine Learning: a
# Survey][baydin] by Atılım Güneş Baydin and others, 2018).
#
# **What was never seen.** A tape records what ran. It does not know the branch that was not taken, cannot fuse ops it
# has not met yet, and pays for each op on each run. That a tape cannot look ahead is one of the post's two arguments
# for derivatives of source code; the other is that only code written with the framework's own ops can be taped.
#
# [chen]: https://arxiv.org/abs/1604.06174
# [baydin]: https://www.jmlr.org/papers/v18/17-468.html


# %%
def alive_after_forward(depth: int, size: int) -> float:
    """How much memory the tape of a chain holds after the forward pass, in arrays of `size` floats."""
    import tracemalloc

    (x,) = values(np.full(size, 0.1))
    tracemalloc.start()
    out = x
    for _ in range(depth):
        out = tanh(out)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / (8 * size)


def minigrad_refuses() -> str:
    """What minigrad says when an array that its tape needs has been changed; "nothing" would be a wrong gradient."""
    import minigrad as mg

    x = mg.tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = x * 1.0
    out = (y * y).sum()
    y.detach().numpy()[:] = 10
    try:
        out.backward()
    except mg.errors.MinigradError as error:
        return type(error).__name__
    return "nothing"


@lesson.step("Where this breaks")
def where_this_breaks(run: Run) -> None:
    held = {depth: alive_after_forward(depth, 50_000) for depth in (10, 40)}
    run.claim("memory held after 10 ops, in arrays", held[10], within=(9, 20))
    run.claim("memory held after 40 ops, in arrays", held[40], within=(36, 80))

    array = np.array([1.0, 2.0])
    x = Value(array)
    square = total(x * x)
    array *= 10  # between forward and backward
    run.claim("gradient of the sum of squares at (1, 2), array changed meanwhile", gradients(square, [x])[0].array,
              equals=np.array([20.0, 40.0]))  # fmt: skip
    run.claim("minigrad, in the same place", minigrad_refuses(), equals="MutationError")

    (x,) = values(np.array([1.0, 2.0, 3.0]))
    out = tanh(x) * x
    rows = [gradients(total(out * unit), [x])[0].array for unit in np.eye(3)]
    t = np.tanh(x.array)
    run.claim("a Jacobian of 3 outputs, by 3 passes: against the diagonal of t + x (1 - t^2)",
              np.abs(np.stack(rows) - np.diag(t + x.array * (1 - t**2))).max(), below=1e-14)  # fmt: skip


# %% [markdown]
# ## How your answers are judged
#
# `backward` is called on random graphs with shuffled numbers and compared with a linear system; `unbroadcast` is
# compared with adding one entry at a time; `second_pass` is compared with minigrad's tape, term by term. Mistakes that
# must not pass:


# %%
@lesson.question(
    "second_pass",
    inputs=draw_neuron,
    sizes={"N": (5, 7)},
    upstream=("dd",),
    terms={
        "dg": (Term("slope", "dd * w * (1 - t**2)", question="d is linear in g: what stands beside it?"),),
        "dw": (
            Term("direct", "dd * g * (1 - t**2)", question="If t were a constant, what would w do to d?"),
            Term(
                "curve",
                "-2 * dd * g * w * x * t * (1 - t**2)",
                through=("t",),
                question="w also moves t. By how much, and what does that do to 1 - t**2?",
            ),
        ),
    },
)
def neuron_on_tape(named, g, w, x):
    t = named("t", (w * x).tanh())
    return g * w * (1 - t * t)


def _second_with(dg=1.0, direct=1.0, curve=1.0):
    def wrong(dd, g, w, x):
        t = np.tanh(w * x)
        slope = 1 - t**2
        return dg * dd * w * slope, direct * dd * g * slope - curve * 2 * dd * g * w * x * t * slope

    return wrong


WRONG_SECOND: dict[str, tuple[Callable[..., Any], tuple[str, ...], str | None]] = {
    "returns zeros": (_second_with(0, 0, 0), ("slope", "direct", "curve"), "dg is zero"),
    "takes t for a constant": (_second_with(curve=0), ("curve",), "`curve` is 0"),
    "sees w only inside t": (_second_with(direct=0), ("direct",), "`direct` is 0"),
    "flips the sign of the curve": (_second_with(curve=-1), ("curve",), "`curve` is -1"),
    "forgets the 2 of the square": (_second_with(curve=0.5), ("curve",), "`curve` is 1/2"),
    "forgets to multiply by dd": (
        lambda dd, g, w, x: second_pass(np.ones_like(dd), g, w, x),
        ("slope", "direct", "curve"),
        "1/dd",
    ),
    "forgets the derivative of w * x by w": (
        lambda dd, g, w, x: (
            second_pass(dd, g, w, x)[0],
            dd * g * (1 - np.tanh(w * x) ** 2) * (1 - 2 * w * np.tanh(w * x)),
        ),
        ("curve",),
        "`curve` is 1/x",
    ),
    "swaps the two": (lambda dd, g, w, x: second_pass(dd, g, w, x)[::-1], (), "in the place of dg is dw"),
}
for _name, (_wrong, _terms, _cause) in WRONG_SECOND.items():
    lesson.mistake("second_pass", _name, terms=_terms, cause=_cause)(_wrong)


@lesson.variant("second_pass", "by hyperbolic functions")
def _(dd, g, w, x):
    s = 1 / np.cosh(w * x) ** 2
    return dd * w * s, dd * g * s * (1 - 2 * w * x * np.tanh(w * x))


# %%
def draw_rows(rng: np.random.Generator, N: int, M: int) -> dict[str, Any]:
    return {"x": rng.normal(size=(N, M))}


@lesson.question(
    "gram_backward",
    inputs=draw_rows,
    sizes={"N": (5, 7), "M": (3, 4)},
    upstream=("g",),
    terms={
        "dx": (
            Term("left", "g @ x", question="Hold the transposed x still. What does the other x bring back?"),
            Term(
                "right",
                "g.T @ x",
                through=("turned",),
                question="Hold the first x still. The gradient of x.T has the shape of x.T: what turns it back?",
            ),
        )
    },
)
def gram_on_tape(named, x):
    return x @ named("turned", x.t())


WRONG_GRAMS: dict[str, tuple[Callable[..., Any], tuple[str, ...], str | None]] = {
    "returns zeros": (lambda g, x: 0 * x, ("left", "right"), "dx is zero"),
    "forgets the second wire": (lambda g, x: g @ x, ("right",), "`right` is 0"),
    "forgets the first wire": (lambda g, x: g.T @ x, ("left",), "`left` is 0"),
    "subtracts the wires": (lambda g, x: (g - g.T) @ x, ("right",), "`right` is -1"),
    "takes the mean of the wires": (lambda g, x: (g + g.T) @ x / 2, ("left", "right"), "every term of dx is 1/2"),
    "takes g for symmetric": (lambda g, x: 2 * g @ x, ("left", "right"), "`left` is 2"),
    "returns the transpose": (lambda g, x: ((g + g.T) @ x).T, (), "dx is the transpose"),
}
for _name, (_wrong, _terms, _cause) in WRONG_GRAMS.items():
    lesson.mistake("gram_backward", _name, terms=_terms, cause=_cause)(_wrong)

lesson.variant("gram_backward", "one row at a time")(
    lambda g, x: np.array([sum((g[i, j] + g[j, i]) * x[j] for j in range(len(x))) for i in range(len(x))])
)


# %%
def _order(n, parent, child):
    """The nodes so that each comes after all that use it."""
    order: list[int] = []
    while len(order) < n:
        free = [v for v in range(n) if v not in order and all(c in order for c in child[parent == v])]
        order += free
    return order


def _in_order(order, n, parent, child, slope, output):
    gradient = np.zeros(n)
    gradient[output] = 1.0
    for node in order:
        for k in np.flatnonzero(child == node):
            gradient[parent[k]] += slope[k] * gradient[node]
    return gradient


@lesson.mistake("backward", "writes instead of adding")
def _(n, parent, child, slope, output):
    gradient = np.zeros(n)
    gradient[output] = 1.0
    for node in _order(n, parent, child):
        for k in np.flatnonzero(child == node):
            gradient[parent[k]] = slope[k] * gradient[node]
    return gradient


@lesson.mistake("backward", "trusts the numbers of the nodes")
def _(n, parent, child, slope, output):
    return _in_order(range(n - 1, -1, -1), n, parent, child, slope, output)


@lesson.mistake("backward", "visits each node once, as soon as it is reached")
def _(n, parent, child, slope, output):
    gradient = once_in_any_order([Wire(*wire) for wire in zip(parent, child, slope, strict=True)], output)
    return np.array([gradient.get(node, 0.0) for node in range(n)])


@lesson.mistake("backward", "goes from the oldest to the newest")
def _(n, parent, child, slope, output):
    return _in_order(_order(n, parent, child)[::-1], n, parent, child, slope, output)


@lesson.mistake("backward", "runs forward along the wires")
def _(n, parent, child, slope, output):
    return by_solving(n, child, parent, slope, output)


@lesson.mistake("backward", "forgets the slopes")
def _(n, parent, child, slope, output):
    return by_solving(n, parent, child, np.ones_like(slope), output)


@lesson.mistake("backward", "takes two wires between the same nodes for one")
def _(n, parent, child, slope, output):
    slopes = np.zeros((n, n))
    slopes[parent, child] = slope
    return np.linalg.solve(np.eye(n) - slopes, np.eye(n)[output])


@lesson.mistake("backward", "starts at every node, not at the output alone")
def _(n, parent, child, slope, output):
    slopes = np.zeros((n, n))
    np.add.at(slopes, (parent, child), slope)
    return np.linalg.solve(np.eye(n) - slopes, np.ones(n))


lesson.variant("backward", "solves a linear system")(by_solving)


@lesson.variant("backward", "asks each node for its gradient, and remembers the answers")
def _(n, parent, child, slope, output):
    known = {output: 1.0}

    def ask(node):
        if node not in known:
            known[node] = sum(slope[k] * ask(child[k]) for k in np.flatnonzero(parent == node))
        return known[node]

    return np.array([float(ask(node)) for node in range(n)])


@lesson.variant("backward", "walks every path")
def _(n, parent, child, slope, output):
    gradient, _ = handing_on([Wire(int(p), int(c), s) for p, c, s in zip(parent, child, slope, strict=True)], output)
    return np.array([gradient.get(node, 0.0) for node in range(n)])


# %%
def _new_axes(g, shape):
    return tuple(range(g.ndim - len(shape)))


WRONG_UNBROADCAST: dict[str, Callable[..., Any]] = {
    "returns g as it came": lambda g, shape: g,
    "sums the new axes only": lambda g, shape: g.sum(axis=_new_axes(g, shape)),
    "sums the stretched axes only": lambda g, shape: g.sum(
        axis=tuple(k for k, size in enumerate(shape) if size == 1), keepdims=True
    ),
    "drops the stretched axes": lambda g, shape: g.sum(
        axis=_new_axes(g, shape) + tuple(g.ndim - len(shape) + k for k, size in enumerate(shape) if size == 1)
    ),
    "takes means": lambda g, shape: by_index(g, shape) * np.prod(shape) / g.size,
    "takes one of the copies": lambda g, shape: g[_new_axes(g, shape) and (0,) * (g.ndim - len(shape))][
        tuple(slice(0, 1) if size == 1 else slice(None) for size in shape)
    ].reshape(shape),
    "forgets that numbers have the shape ()": lambda g, shape: by_index(g, shape or (1,)),
    "sums the last axes, not the first": lambda g, shape: (
        g.sum(axis=tuple(range(len(shape), g.ndim))) if g.ndim > len(shape) else by_index(g, shape)
    ),
}
for _name, _wrong in WRONG_UNBROADCAST.items():
    lesson.mistake("unbroadcast", _name)(_wrong)


@lesson.variant("unbroadcast", "one axis at a time")
def _(g, shape):
    while g.ndim > len(shape):
        g = g.sum(axis=0)
    for axis, size in enumerate(shape):
        if size == 1:
            g = g.sum(axis=axis, keepdims=True)
    return np.asarray(g)


lesson.variant("unbroadcast", "adds each entry at its place")(by_index)


# %% [markdown]
# Key `w` in the loop trains the network of the experiment with your `unbroadcast` in its backward pass. A mean in place
# of the sum can hardly be seen in the loss. And if nothing is summed at all, NumPy broadcasts the update, every point
# quietly gets a bias of its own, and the training loss is *lower* than the right one: the network memorises.


# %%
@lesson.consequence("unbroadcast", title="the two moons, with biases whose gradients come from your sum")
def with_your_sum(candidate: Callable[..., Any], rng: np.random.Generator) -> Iterator[float]:
    inputs, targets = moons(rng, 100)
    w1, b1, w2, b2 = starting_weights(rng)
    while True:
        hidden = np.tanh(inputs @ w1 + b1)
        miss = hidden @ w2 + b2 - targets
        yield float((miss**2).mean())
        dmiss = 2 * miss / len(inputs)
        dhidden = (dmiss @ w2.T) * (1 - hidden**2)
        w1, b1 = w1 - RATE * inputs.T @ dhidden, b1 - RATE * candidate(dhidden, b1.shape)
        w2, b2 = w2 - RATE * hidden.T @ dmiss, b2 - RATE * candidate(dmiss, b2.shape)
