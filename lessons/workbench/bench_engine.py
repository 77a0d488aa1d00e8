"""What an op costs: minigrad beside PyTorch, MyGrad and autograd, on work that is nearly all bookkeeping.

A chain of scalar ops pays for nothing but the engine, an LSTM cell for the engine and small arrays, an MLP mostly for
matrix products. Each library returns a number that tells what it computed: a loss, or a sum of gradients.
`minigrad bench engine` prints the table.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from kernels.bench.case import OURS, TORCH, Case, Goal
from minigrad.dtypes import Array

OPS, SCALE, SHIFT = 1000, 0.999, 0.001  # a chain x -> x * SCALE + SHIFT that stays near 1
PIXELS, HIDDEN, CLASSES, BATCH = 784, 256, 10, 64
CELL, SEQUENCES = 64, 16
RATE = 0.01

Work = Callable[[], float]
Make = Callable[[], Work]


# --- the same work in every library -----------------------------------------------------------------------------


def _chain(library: Any, backward: bool) -> Work:
    """For libraries with tensors that have `.backward()`."""
    x, scale, shift = (library.tensor(v) for v in (1.0, SCALE, SHIFT))
    for leaf in (x, scale, shift):
        leaf.requires_grad = True

    def run() -> float:
        y = x
        for _ in range(OPS // 2):
            y = y * scale + shift
        if not backward:
            return float(y.item())
        y.backward()
        found = float(x.grad + scale.grad + shift.grad)
        x.grad = scale.grad = shift.grad = None
        return found

    return run


def _chain_in_mygrad(backward: bool) -> Work:
    mygrad = importlib.import_module("mygrad")

    def run() -> float:
        x, scale, shift = (mygrad.tensor(v, dtype=np.float32) for v in (1.0, SCALE, SHIFT))
        y = x
        for _ in range(OPS // 2):
            y = y * scale + shift
        if not backward:
            return float(y)
        y.backward()
        return float(x.grad + scale.grad + shift.grad)

    return run


def _chain_in_autograd() -> Work:
    grad = importlib.import_module("autograd").grad

    def chain(values: Any) -> Any:
        y, scale, shift = values
        for _ in range(OPS // 2):
            y = y * scale + shift
        return y

    start = (1.0, SCALE, SHIFT)
    gradient = grad(chain)
    return lambda: float(sum(gradient(start)))


def _weights() -> tuple[list[Array], Array, Array]:
    rng = np.random.default_rng(0)
    sizes = ((HIDDEN, PIXELS), (HIDDEN,), (CLASSES, HIDDEN), (CLASSES,))
    weights = [(0.05 * rng.standard_normal(size)).astype(np.float32) for size in sizes]
    return weights, rng.standard_normal((BATCH, PIXELS)).astype(np.float32), rng.integers(0, CLASSES, BATCH)


def _mlp(library: Any) -> Work:
    nn, weights = library.nn, _weights()
    model = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES))
    model.load_state_dict(dict(zip(model.state_dict(), map(library.tensor, weights[0]), strict=True)))
    images, labels = library.tensor(weights[1]), library.tensor(weights[2])
    optimizer = library.optim.SGD(model.parameters(), lr=RATE)

    def run() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return run


def _mlp_in_mygrad() -> Work:
    mygrad, nnet = importlib.import_module("mygrad"), importlib.import_module("mygrad.nnet")
    arrays, images, labels = _weights()
    w1, b1, w2, b2 = (mygrad.tensor(a) for a in arrays)

    def run() -> float:
        hidden = nnet.relu(mygrad.matmul(images, w1.T) + b1)
        loss = nnet.softmax_crossentropy(mygrad.matmul(hidden, w2.T) + b2, labels)
        loss.backward()
        for w in (w1, b1, w2, b2):
            w.data -= RATE * w.grad
        return float(loss)

    return run


def _mlp_in_autograd() -> Work:
    anp, autograd = importlib.import_module("autograd.numpy"), importlib.import_module("autograd")
    weights, images, labels = _weights()
    rows = np.arange(BATCH)

    def loss(weights: Any) -> Any:
        w1, b1, w2, b2 = weights
        logits = anp.maximum(images @ w1.T + b1, 0) @ w2.T + b2
        shifted = logits - anp.max(logits, axis=1, keepdims=True)
        return anp.mean(anp.log(anp.sum(anp.exp(shifted), axis=1)) - shifted[rows, labels])

    value_and_grad = autograd.value_and_grad(loss)

    def run() -> float:
        value, gradients = value_and_grad(weights)
        for w, g in zip(weights, gradients, strict=True):
            w -= RATE * g
        return float(value)

    return run


def _cell(library: Any) -> Work:
    rng = np.random.default_rng(1)
    cell = library.nn.LSTMCell(CELL, CELL)
    state = {k: library.tensor(_small(rng, v.shape)) for k, v in cell.state_dict().items()}
    cell.load_state_dict(state)
    x, h, c = (library.tensor(_small(rng, (SEQUENCES, CELL))) for _ in range(3))
    h.requires_grad = c.requires_grad = True

    def run() -> float:
        new_h, new_c = cell(x, (h, c))
        (new_h + new_c).sum().backward()
        found = float(h.grad.sum()) + float(cell.weight_ih.grad.sum())
        h.grad = c.grad = None
        cell.zero_grad()
        return found

    return run


def _small(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    return (0.1 * rng.standard_normal(tuple(shape))).astype(np.float32)


# --- the cases ----------------------------------------------------------------------------------------------------


def like_torch(build: Callable[..., Work], *args: Any) -> dict[str, Make]:
    """The same program for the two libraries with PyTorch's names."""

    def make(library: str) -> Work:
        return build(importlib.import_module(library), *args)

    return {OURS: functools.partial(make, "minigrad"), TORCH: functools.partial(make, "torch")}


def case(family: str, name: str, make: Mapping[str, Make], goal: float | None = None) -> Case:
    """Work that every library must agree on with ours."""
    goals = () if goal is None else (Goal(goal),)
    return Case(family, name, make, goals=goals, truth=OURS, tolerance=1e-3, quick=True)


MLP: Mapping[str, Make] = {**like_torch(_mlp), "mygrad": _mlp_in_mygrad, "autograd": _mlp_in_autograd}

CASES = (
    case(
        "engine",
        "chain of 1,000 ops, forward",
        {**like_torch(_chain, False), "mygrad": functools.partial(_chain_in_mygrad, False)},
    ),
    case(
        "engine",
        "chain of 1,000 ops, forward + backward",
        {
            **like_torch(_chain, True),
            "mygrad": functools.partial(_chain_in_mygrad, True),
            "autograd": _chain_in_autograd,  # its forward alone is plain Python
        },
        goal=0.5,
    ),
    case("engine", "MLP 784-256-10, training step", MLP, goal=0.6),
    case("engine", "LSTM cell 64, forward + backward", like_torch(_cell), goal=1.0),
)
