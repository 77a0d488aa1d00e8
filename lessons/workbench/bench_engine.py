"""What an op costs: minigrad against PyTorch, MyGrad and autograd, on work that is nearly all bookkeeping.

    python -m lessons.workbench.bench_engine [--rounds N] [--min-time SECONDS]

A chain of scalar ops pays for nothing but the engine, an LSTM cell for the engine and small arrays, an MLP mostly for
matrix products. Everything runs in this process, in turns, on one thread. Each candidate returns a number that tells
what it computed (a loss, or a sum of gradients), and all candidates must agree before any of them is timed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad
from kernels.benchmark import Timing, interleaved
from minigrad.dtypes import Array
from minigrad.errors import MinigradError

OPS, SCALE, SHIFT = 1000, 0.999, 0.001  # a chain x -> x * SCALE + SHIFT that stays near 1
PIXELS, HIDDEN, CLASSES, BATCH = 784, 256, 10, 64
CELL, SEQUENCES = 64, 16
RATE = 0.01
GOALS = {"chain forward + backward": 0.5, "MLP training step": 0.6, "LSTM cell step": 1.0}

Work = Callable[[], float]


class BenchmarkError(MinigradError):
    """Two libraries computed different things, so their times cannot be compared."""


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


# --- the table ----------------------------------------------------------------------------------------------------


def candidates() -> dict[str, dict[str, Work]]:
    """For each piece of work, what each of the installed libraries does for it."""
    installed = [name for name in ("torch", "mygrad", "autograd") if importlib.util.find_spec(name) is not None]
    like_torch = {"minigrad": minigrad}
    if "torch" in installed:
        like_torch["torch"] = importlib.import_module("torch")
    work: dict[str, dict[str, Work]] = {
        "chain forward": {name: _chain(library, False) for name, library in like_torch.items()},
        "chain forward + backward": {name: _chain(library, True) for name, library in like_torch.items()},
        "MLP training step": {name: _mlp(library) for name, library in like_torch.items()},
        "LSTM cell step": {name: _cell(library) for name, library in like_torch.items()},
    }
    if "mygrad" in installed:
        work["chain forward"]["mygrad"] = _chain_in_mygrad(False)
        work["chain forward + backward"]["mygrad"] = _chain_in_mygrad(True)
        work["MLP training step"]["mygrad"] = _mlp_in_mygrad()
    if "autograd" in installed:
        work["chain forward + backward"]["autograd"] = _chain_in_autograd()  # its forward alone is plain Python
        work["MLP training step"]["autograd"] = _mlp_in_autograd()
    return work


@dataclass(frozen=True)
class Row:
    """One line of the table: one piece of work, and the time each library took for it."""

    work: str
    timings: dict[str, Timing]

    def ratio(self, name: str) -> float | None:
        """minigrad's time over the other's, below 1 is faster; None if the other was not measured."""
        return self.timings["minigrad"].ratio(self.timings[name]) if name in self.timings else None


def table_rows(rounds: int = 15, min_time: float = 0.02) -> list[Row]:
    """Measure everything, on one thread.

    Raises:
        BenchmarkError: if the libraries do not compute the same.
    """
    rows = []
    with _one_thread():
        for work, by_library in candidates().items():
            _check(work, {name: run() for name, run in by_library.items()})
            rows.append(Row(work, interleaved(by_library, rounds, min_time)))
    return rows


def _check(work: str, found: dict[str, float]) -> None:
    for name, value in found.items():
        if not np.isclose(value, found["minigrad"], rtol=1e-3):
            raise BenchmarkError(f"bench engine: {work}: minigrad computes {found['minigrad']!r}, but {name} {value!r}")


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """BLAS and PyTorch on one thread, where that can be had."""
    torch = importlib.import_module("torch") if importlib.util.find_spec("torch") is not None else None
    before = torch.get_num_threads() if torch else 0
    with contextlib.ExitStack() as stack:
        if importlib.util.find_spec("threadpoolctl") is not None:
            stack.enter_context(importlib.import_module("threadpoolctl").threadpool_limits(1))
        if torch:
            torch.set_num_threads(1)
            stack.callback(torch.set_num_threads, before)
        yield


def format_table(rows: Sequence[Row]) -> str:
    """The rows as text: minigrad's microseconds, and its time over the others', beside the goal."""
    others = [name for name in ("torch", "mygrad", "autograd") if any(name in row.timings for row in rows)]
    lines = [
        f"{'':26} {'minigrad us':>12} {'quartiles':>19}" + "".join(f" {'/ ' + name:>10}" for name in others) + "  goal"
    ]
    for row in rows:
        lower, upper = row.timings["minigrad"].quartiles
        steady = f"{lower * 1e6:.1f}-{upper * 1e6:.1f}"
        line = f"{row.work:26} {row.timings['minigrad'].median * 1e6:12.1f} {steady:>19}"
        for name in others:
            ratio = row.ratio(name)
            line += f" {'' if ratio is None else f'{ratio:.2f}':>10}"
        goal = GOALS.get(row.work)
        lines.append(line + ("" if goal is None or "torch" not in row.timings else f"  <= {goal} of torch"))
    lines.append("The chain has 1,000 scalar ops. Columns with / are our time over theirs; lower is better.")
    return "\n".join(lines)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser("python -m lessons.workbench.bench_engine", description="Time what an op costs.")
    parser.add_argument("--rounds", type=int, default=15, help="turns of each candidate (default 15)")
    parser.add_argument("--min-time", type=float, default=0.02, help="seconds per turn (default 0.02)")
    options = parser.parse_args()
    print(format_table(table_rows(options.rounds, options.min_time)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
