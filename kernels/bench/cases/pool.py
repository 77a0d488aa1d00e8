"""Pooling: maxima with their indices, means, and the gradients of both; MyGrad's forward of max pooling, too."""

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.bench.case import OURS, REFERENCE, TORCH, Case, Goal, Run, Work, draw, size
from kernels.reference.pooling import Windows, sliding_windows


@dataclass(frozen=True)
class Problem:
    """Images x (N, C, H, W), and windows of k x k pixels."""

    x: tuple[int, int, int, int]
    k: int
    stride: int
    pad: int

    @property
    def y(self) -> tuple[int, ...]:
        return *self.x[:2], *((n + 2 * self.pad - self.k) // self.stride + 1 for n in self.x[2:])

    @property
    def windows(self) -> list[Windows]:
        sizes = zip(self.x[2:], self.y[2:], strict=True)
        return [sliding_windows(n, count, self.k, self.stride, self.pad, 1) for n, count in sizes]

    def __str__(self) -> str:
        return f"{' x '.join(map(str, self.x))} k{self.k} s{self.stride}"


def _inputs(p: Problem) -> tuple[Any, Any, Any, Any]:
    """x, dy, the indices of the maxima, and the number of elements that a mean is divided by, padding included."""
    from kernels.reference import pooling

    x, dy = draw(p.x, p.y)
    return x, dy, pooling.max_indices(x, p.windows), np.array(p.k * p.k)


def _ours(p: Problem) -> dict[str, Run]:
    from kernels import pooling

    x, dy, indices, count = _inputs(p)
    return {
        "max forward": lambda: pooling.max_pool_forward(x, p.windows),
        "max backward": lambda: pooling.max_pool_backward(dy, indices, p.x[2:]),
        "avg forward": lambda: pooling.avg_pool_forward(x, p.windows, count),
        "avg backward": lambda: pooling.avg_pool_backward(dy, p.x[2:], p.windows, count),
    }


def _reference(p: Problem) -> dict[str, Run]:
    from kernels.reference import pooling

    x, dy, indices, count = _inputs(p)

    def max_forward() -> Any:
        found = pooling.max_indices(x, p.windows)
        return pooling.gather(x, found, 2), found

    return {
        "max forward": max_forward,
        "max backward": lambda: pooling.scatter_add(dy, indices, p.x[2:]),
        "avg forward": lambda: pooling.means(x, p.windows, count),
        "avg backward": lambda: pooling.spread(dy, p.x[2:], p.windows, count),
    }


def _torch(p: Problem) -> dict[str, Run]:
    import torch

    x, dy, indices = map(torch.from_numpy, _inputs(p)[:3])
    aten = torch.ops.aten
    shape = [p.k] * 2, [p.stride] * 2, [p.pad] * 2
    return {
        "max forward": lambda: aten.max_pool2d_with_indices(x, *shape),
        "max backward": lambda: aten.max_pool2d_with_indices_backward(dy, x, *shape, [1, 1], False, indices),
        "avg forward": lambda: aten.avg_pool2d(x, *shape),
        "avg backward": lambda: aten.avg_pool2d_backward(dy, x, *shape, False, True, None),
    }


def _mygrad(p: Problem) -> dict[str, Run]:
    mygrad, layers = importlib.import_module("mygrad"), importlib.import_module("mygrad.nnet.layers")
    x = _inputs(p)[0]

    def forward() -> Any:
        with mygrad.no_autodiff:
            return layers.max_pool(x, (p.k, p.k), p.stride).data

    return {"max forward": forward}


def _work(p: Problem) -> dict[str, Work]:
    """An index is eight bytes. A comparison or an addition counts as one flop."""
    values, taps = math.prod(p.y), p.k * p.k
    return {
        "max forward": Work(size(p.x, p.y) + 8 * values, values * (taps - 1)),
        "max backward": Work(size(p.x, p.y) + 8 * values, values),
        "avg forward": Work(size(p.x, p.y), values * taps),
        "avg backward": Work(size(p.x, p.y), values * taps),
    }


def _cases(p: Problem, quick: bool = False) -> list[Case]:
    found = []
    for direction, work in _work(p).items():
        makers = {OURS: _ours, REFERENCE: _reference, TORCH: _torch}
        if direction == "max forward" and p.pad == 0:  # MyGrad's does not pad
            makers["mygrad"] = _mygrad

        def of(build: Callable[[Problem], dict[str, Run]], direction: str = direction) -> Callable[[], Run]:
            return lambda: build(p)[direction]

        found.append(
            Case(
                family="pool",
                name=f"{direction} {p}",
                make={library: of(build) for library, build in makers.items()},
                work=work,
                goals=(Goal(0.8),) if direction.startswith("max") else (),
                quick=quick and direction.startswith("max"),
            )
        )
    return found


CASES = (
    *_cases(Problem((64, 16, 28, 28), 2, 2, 0), quick=True),
    *_cases(Problem((32, 64, 32, 32), 2, 2, 0)),
    *_cases(Problem((16, 64, 56, 56), 3, 2, 1)),
)
