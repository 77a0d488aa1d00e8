"""Convolution: forward, gradient of the input, and gradients of weight and bias, as three rows.

Beside our kernels: the NumPy reference, PyTorch's kernels without its autograd, and the forward of MyGrad.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.bench.case import OURS, REFERENCE, TORCH, Case, Goal, Run, Work, draw, size


@dataclass(frozen=True)
class Problem:
    """N images of C channels and H x H pixels, K filters of R x R taps."""

    n: int
    c: int
    k: int
    h: int
    r: int
    stride: int = 1
    pad: int = 0
    groups: int = 1

    @property
    def out(self) -> int:
        return (self.h + 2 * self.pad - self.r) // self.stride + 1

    @property
    def x(self) -> tuple[int, ...]:
        return self.n, self.c, self.h, self.h

    @property
    def weight(self) -> tuple[int, ...]:
        return self.k, self.c // self.groups, self.r, self.r

    @property
    def y(self) -> tuple[int, ...]:
        return self.n, self.k, self.out, self.out

    @property
    def options(self) -> tuple[Any, ...]:
        """stride, padding, dilation and groups, as our functions and the reference take them."""
        return (self.stride,) * 2, ((self.pad, self.pad),) * 2, (1, 1), self.groups

    @property
    def mygrad_can(self) -> bool:
        """It has no groups, and wants windows that end where x does."""
        return self.groups == 1 and (self.h + 2 * self.pad - self.r) % self.stride == 0

    def __str__(self) -> str:
        text = f"{self.n}x{self.c}->{self.k} {self.h}x{self.h} k{self.r}"
        text += f" s{self.stride}" if self.stride > 1 else ""
        return text + (f" g{self.groups}" if self.groups > 1 else "")

    def inputs(self) -> list[Any]:
        """x, weight, bias and dy. The weights are scaled so that y has elements of order 1."""
        x, weight, bias, dy = draw(self.x, self.weight, (self.k,), self.y)
        return [x, weight / np.float32(np.sqrt(weight[0].size)), bias, dy]


def _ours(p: Problem) -> dict[str, Run]:
    from kernels import convolution

    x, weight, bias, dy = p.inputs()
    return {
        "forward": lambda: convolution.conv_forward(x, weight, bias, *p.options),
        "dx": lambda: convolution.conv_backward_input(dy, weight, p.x[2:], *p.options),
        "dw, db": lambda: (
            convolution.conv_backward_weight(x, dy, p.weight[2:], *p.options),
            convolution.conv_backward_bias(dy),
        ),
    }


def _reference(p: Problem) -> dict[str, Run]:
    from kernels.reference import convolution

    x, weight, bias, dy = p.inputs()
    return {
        "forward": lambda: convolution.forward(x, weight, *p.options) + bias.reshape(-1, 1, 1),
        "dx": lambda: convolution.backward_input(dy, weight, p.x[2:], *p.options),
        "dw, db": lambda: (
            convolution.backward_weight(x, dy, p.weight[2:], *p.options),
            np.add.reduce(dy, axis=(0, 2, 3)),
        ),
    }


def _torch(p: Problem) -> dict[str, Run]:
    import torch

    x, weight, bias, dy = map(torch.from_numpy, p.inputs())
    stride, pad, one = [p.stride] * 2, [p.pad] * 2, [1, 1]

    def backward(*wanted: bool) -> Any:
        return torch.ops.aten.convolution_backward(
            dy, x, weight, [p.k], stride, pad, one, False, [0, 0], p.groups, wanted
        )

    return {
        "forward": lambda: torch.nn.functional.conv2d(x, weight, bias, stride, pad, one, p.groups),
        "dx": lambda: backward(True, False, False),
        "dw, db": lambda: backward(False, True, True),
    }


def _mygrad(p: Problem) -> dict[str, Run]:
    mygrad, layers = importlib.import_module("mygrad"), importlib.import_module("mygrad.nnet.layers")
    x, weight, bias, _ = p.inputs()

    def forward() -> Any:
        with mygrad.no_autodiff:
            return layers.conv_nd(x, weight, stride=p.stride, padding=p.pad).data + bias.reshape(-1, 1, 1)

    return {"forward": forward}


def _work(p: Problem) -> dict[str, Work]:
    """A multiplication and an addition for every tap of every output, whichever of the three is computed."""
    flops = 2 * np.prod(p.y) * p.weight[1] * p.r * p.r
    return {
        "forward": Work(size(p.x, p.weight, (p.k,), p.y), flops),
        "dx": Work(size(p.y, p.weight, p.x), flops),
        "dw, db": Work(size(p.x, p.y, p.weight, (p.k,)), flops),
    }


def _cases(p: Problem, quick: bool, **goals: float) -> list[Case]:
    found = []
    for direction, work in _work(p).items():
        makers = {OURS: _ours, REFERENCE: _reference, TORCH: _torch}
        if direction == "forward" and p.mygrad_can:
            makers["mygrad"] = _mygrad

        def of(build: Callable[[Problem], dict[str, Run]], direction: str = direction) -> Callable[[], Run]:
            return lambda: build(p)[direction]

        limit = goals.get(direction.split(",")[0])
        found.append(
            Case(
                family="conv",
                name=f"{direction:7} {p}",
                make={library: of(build) for library, build in makers.items()},
                work=work,
                goals=() if limit is None else (Goal(limit),),
                quick=quick,
            )
        )
    return found


DEEP = {"forward": 0.40, "dx": 0.40, "dw": 0.40}
SHALLOW = {"forward": 0.5, "dx": 1.0, "dw": 0.65}
STRIDED = dict.fromkeys(("forward", "dx", "dw"), 0.95)
POINTWISE = dict.fromkeys(("forward", "dx", "dw"), 0.8)

CASES = (
    *_cases(Problem(32, 64, 64, 16, 3, pad=1), True, **DEEP),
    *_cases(Problem(8, 128, 128, 28, 3, pad=1), False, **DEEP),
    *_cases(Problem(32, 32, 32, 32, 3, pad=1), False, **DEEP),
    *_cases(Problem(16, 256, 256, 14, 3, pad=1), False, **DEEP),
    *_cases(Problem(32, 3, 16, 32, 3, pad=1), False, **SHALLOW),
    *_cases(Problem(64, 1, 8, 28, 5, pad=2), True, **SHALLOW),
    *_cases(Problem(64, 16, 32, 14, 5, pad=2), True),
    *_cases(Problem(16, 32, 64, 28, 5, pad=2), False),
    *_cases(Problem(32, 64, 128, 16, 3, stride=2, pad=1), False, **STRIDED),
    *_cases(Problem(8, 128, 128, 28, 3, stride=2, pad=1), False, **STRIDED),
    *_cases(Problem(32, 16, 32, 32, 3, stride=2, pad=1), False, **STRIDED),
    *_cases(Problem(32, 64, 64, 16, 1), False, **POINTWISE),
    *_cases(Problem(8, 256, 64, 28, 1), False, **POINTWISE),
    *_cases(Problem(16, 64, 64, 28, 3, pad=1, groups=64), False),
)
