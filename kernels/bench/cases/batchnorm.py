"""Batch normalisation in training: our kernel, the NumPy reference and PyTorch's kernel without its autograd."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.bench.case import OURS, REFERENCE, TORCH, Case, Goal, Run, Work, draw, size

Shape = tuple[int, ...]
EPS = 1e-5

# Shapes, and the goals for forward and backward.
SHAPES: tuple[tuple[Shape, float, float], ...] = (
    ((1000, 500), 1.0, 0.7),
    ((4096, 256), 1.0, 0.7),
    ((65536, 256), 1.0, 1.0),  # larger than the caches, and a column touches a new cache line in every row
    ((32, 64, 16, 16), 1.0, 0.7),
    ((8, 128, 28, 28), 1.0, 0.7),
    ((64, 32, 32, 32), 1.0, 0.7),
    ((64, 64, 64, 64), 1.0, 0.7),  # 64 MiB: larger than the caches of most machines
)
QUICK = ((32, 64, 16, 16),)


def _forward_inputs(shape: Shape) -> list[Any]:
    x, weight, bias = draw(shape, (shape[1],), (shape[1],))
    return [x, weight, bias]


def _backward_inputs(shape: Shape) -> list[Any]:
    dy, x, weight = draw(shape, shape, (shape[1],))
    axes = (0, *range(2, len(shape)))
    inv_std = (1 / np.sqrt(x.var(axes) + EPS)).astype(np.float32)
    return [dy, x, weight, x.mean(axes), inv_std]


def _ours(shape: Shape, backward: bool) -> Run:
    import kernels

    if backward:
        dy, x, weight, mean, inv_std = _backward_inputs(shape)
        return lambda: kernels.batch_norm_backward(dy, x, weight, mean, inv_std)
    x, weight, bias = _forward_inputs(shape)
    return lambda: kernels.batch_norm_forward(x, weight, bias, EPS)


def _reference(shape: Shape, backward: bool) -> Run:
    from kernels.reference import batchnorm

    if backward:
        given = _backward_inputs(shape)
        return lambda: batchnorm.backward_closed(*given)
    x, weight, bias = _forward_inputs(shape)
    return lambda: batchnorm.forward(x, weight, bias, EPS)


def _torch(shape: Shape, backward: bool) -> Run:
    import torch

    aten = torch.ops.aten
    if backward:
        dy, x, weight, mean, inv_std = map(torch.from_numpy, _backward_inputs(shape))
        return lambda: aten.native_batch_norm_backward(
            dy, x, weight, None, None, mean, inv_std, True, EPS, [True, True, True]
        )
    x, weight, bias = map(torch.from_numpy, _forward_inputs(shape))
    return lambda: aten.native_batch_norm(x, weight, bias, None, None, True, 0.1, EPS)


def _work(shape: Shape, backward: bool) -> Work:
    """Forward: the mean (1), the variance (3) and y (2) of each element; backward: x_hat, both sums and dx."""
    elements = math.prod(shape)
    return Work(bytes=size(*(3 if backward else 2) * (shape,)), flops=(9 if backward else 6) * elements)


def _case(shape: Shape, backward: bool, goal: float) -> Case:
    def of(build: Callable[[Shape, bool], Run]) -> Callable[[], Run]:
        return lambda: build(shape, backward)

    return Case(
        family="batchnorm",
        name=f"{'backward' if backward else 'forward'} {' x '.join(map(str, shape))}",
        make={OURS: of(_ours), REFERENCE: of(_reference), TORCH: of(_torch)},
        work=_work(shape, backward),
        goals=(Goal(goal),),
        quick=shape in QUICK,
    )


CASES = tuple(
    _case(shape, backward, goal)
    for shape, forward_goal, backward_goal in SHAPES
    for backward, goal in ((False, forward_goal), (True, backward_goal))
)
