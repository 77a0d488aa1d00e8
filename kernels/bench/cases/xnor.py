"""The binary convolution of XNOR-Net, 3 x 3 with padding 1, the packing of x included.

PyTorch and the naive loops convolve the same signs as float32 numbers, the weights' signs times their scale: that is
the convolution which the binary one replaces. Ours gets weights packed beforehand, as a trained network has them; the
rows "train" pack the weights as well.
"""

import math
from collections.abc import Callable
from typing import Any

from kernels.bench.case import OURS, REFERENCE, TORCH, Case, Goal, Run, Work, draw, size

# N, channels in and out, height and width.
SHAPES = ((32, 64, 16), (8, 128, 28), (8, 256, 14), (4, 256, 28), (8, 512, 14))
GOALS = (Goal(1 / 15), Goal(1 / 1000, of="naive"), Goal(0.75, of="peak"))
TAPS, PAD = 3, 1

Shape = tuple[int, int, int]


def _inputs(shape: Shape) -> tuple[Any, Any]:
    n, c, h = shape
    x, weight = draw((n, c, h, h), (c, c, TAPS, TAPS))
    return x, weight


def _signs(shape: Shape) -> tuple[Any, Any]:
    """What a float32 convolution computes the same result from."""
    from kernels.reference import xnor

    x, weight = _inputs(shape)
    return xnor.sign(x), xnor.sign(weight) * xnor.filter_scale(weight).reshape(-1, 1, 1, 1)


def _ours(shape: Shape) -> Run:
    from kernels import xnor

    x, weight = _inputs(shape)
    packed = xnor.pack_weights(weight)
    return lambda: xnor.xnor_conv2d(x, packed, padding=PAD)


def _ours_unpacked(shape: Shape) -> Run:
    from kernels import xnor

    x, weight = _inputs(shape)
    return lambda: xnor.xnor_conv2d(x, weight, padding=PAD)


def _reference(shape: Shape) -> Run:
    from kernels.reference import xnor

    x, weight = _inputs(shape)
    return lambda: xnor.forward(x, weight, (1, 1), ((PAD, PAD), (PAD, PAD)), (1, 1), False)


def _torch(shape: Shape) -> Run:
    import torch

    x, weight = map(torch.from_numpy, _signs(shape))
    return lambda: torch.nn.functional.conv2d(x, weight, None, 1, PAD)


def _naive(shape: Shape) -> Run:
    from kernels.bench import naive

    x, weight = _signs(shape)
    return lambda: naive.convolution(x, weight, PAD)


def _work(shape: Shape) -> Work:
    n, c, h = shape
    images, taps = (n, c, h, h), c * TAPS * TAPS
    words = math.prod(images) * TAPS * TAPS * math.ceil(c / 64)
    return Work(size(images, images) + c * taps // 8, words=words)


def _case(shape: Shape, train: bool) -> Case:
    def of(build: Callable[[Shape], Run]) -> Callable[[], Run]:
        return lambda: build(shape)

    n, c, h = shape
    make = {OURS: of(_ours_unpacked if train else _ours), REFERENCE: of(_reference), TORCH: of(_torch)}
    if not train:
        make["naive"] = of(_naive)
    return Case(
        family="xnor",
        name=f"{'train' if train else 'forward'} {n}x{c}->{c} {h}x{h} k{TAPS}",
        make=make,
        work=_work(shape),
        goals=GOALS if c >= 128 and not train else (),
        tolerance=1e-5,
        quick=c == 64 and not train,
    )


CASES = (*(_case(shape, False) for shape in SHAPES), *(_case(shape, True) for shape in SHAPES[1:2]))
