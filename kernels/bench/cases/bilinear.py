"""Bilinear sampling of images at the points of a grid, with zeros outside: ours, the reference, and PyTorch's kernels.

No point lies nearer than a tenth of a pixel to a line between pixels: the gradient of the grid jumps there, and two
libraries that round differently may be on different sides.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.bench.case import OURS, REFERENCE, TORCH, Case, Goal, Run, Work, draw, size

Shape = tuple[int, int, int, int]

# Images (N, C, H, W), sampled at H x W points; the goals for forward and backward.
SHAPES: tuple[tuple[Shape, float, float], ...] = (
    ((16, 3, 128, 128), 0.45, 0.3),
    ((8, 64, 32, 32), 0.5, 0.25),
    ((32, 1, 28, 28), 0.65, 0.65),
)
QUICK = ((32, 1, 28, 28),)


def _inputs(shape: Shape) -> tuple[Any, Any, Any]:
    """dy, x, and a grid with an eighth of its points outside the image."""
    n, _, h, w = shape
    dy, x = draw(shape, shape)
    rng = np.random.default_rng(1)
    sizes = np.array([w, h])
    pixel = np.floor(rng.uniform(-0.04, 1.04, (n, h, w, 2)) * sizes)
    place = pixel + rng.uniform(0.1, 0.9, pixel.shape)
    return dy, x, ((2 * place + 1) / sizes - 1).astype(np.float32)


def _ours(shape: Shape, backward: bool) -> Run:
    from kernels import bilinear

    dy, x, grid = _inputs(shape)
    if backward:
        return lambda: bilinear.grid_sample_backward(dy, x, grid, "zeros", False)
    return lambda: bilinear.grid_sample_forward(x, grid, "zeros", False)


def _reference(shape: Shape, backward: bool) -> Run:
    from kernels.reference import bilinear

    dy, x, grid = _inputs(shape)
    if backward:
        return lambda: bilinear.backward(dy, x, grid, "zeros", False)
    return lambda: bilinear.forward(x, grid, "zeros", False)


def _torch(shape: Shape, backward: bool) -> Run:
    import torch

    dy, x, grid = map(torch.from_numpy, _inputs(shape))
    aten, bilinear, zeros = torch.ops.aten, 0, 0
    if backward:
        return lambda: aten.grid_sampler_2d_backward(dy, x, grid, bilinear, zeros, False, [True, True])
    return lambda: aten.grid_sampler_2d(x, grid, bilinear, zeros, False)


def _work(shape: Shape, backward: bool) -> Work:
    """A point costs 12 flops for its place and weights. Then forward adds 4 weighted pixels for each channel; backward
    adds to 4 pixels, and sums 4 products for the weights."""
    n, c, h, w = shape
    points, grid = n * h * w, (n, h, w, 2)
    if backward:
        return Work(size(shape, shape, grid, shape, grid), points * (12 + 16 * c))
    return Work(size(shape, grid, shape), points * (12 + 8 * c))


def _case(shape: Shape, backward: bool, goal: float) -> Case:
    def of(build: Callable[[Shape, bool], Run]) -> Callable[[], Run]:
        return lambda: build(shape, backward)

    return Case(
        family="bilinear",
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
