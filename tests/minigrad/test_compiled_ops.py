"""Ops that have a kernel, made to use it for small arrays too: PyTorch's recorded numbers, and numerical gradients.

Everywhere else in these tests arrays are so small that NumPy's versions answer. The recorded numbers need kernels of
all kinds, which take minutes to compile, so they are for the hypothesis profiles ci and intense.
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from op_cases import TABLES
from op_harness import Case
from test_ops import compared_with_record

import kernels
import minigrad as mg
from kernels import batchnorm, bilinear, convolution, pooling
from minigrad.nn import functional as F

FAMILIES = ("convolution", "pooling", "sampling", "normalization")
CASES = [case for table in TABLES if table.name in FAMILIES for case in table.cases]


@pytest.fixture(autouse=True)
def everything_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (batchnorm, bilinear, convolution, pooling):
        monkeypatch.setattr(module, "SMALL", 1)


def test_there_are_cases_of_each_family() -> None:
    assert {table.name for table in TABLES if table.cases} >= set(FAMILIES)
    assert len(CASES) > 100


@pytest.mark.skipif(
    os.environ.get("HYPOTHESIS_PROFILE", "dev") == "dev",
    reason="compiles kernels for minutes; HYPOTHESIS_PROFILE=ci runs it",
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_recorded(case: Case) -> None:
    for dtype in case.dtypes:
        assert compared_with_record(case, dtype) == []


def drawn(*shapes: tuple[int, ...], seed: int = 0) -> list[mg.Tensor]:
    rng = np.random.default_rng(seed)
    return [mg.tensor(rng.standard_normal(shape), requires_grad=True) for shape in shapes]


CALLS = {
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, padding=1), [(1, 17, 4, 3), (9, 17, 3, 3), (9,)]),
    "conv2d with strides": (lambda x, w, b: F.conv2d(x, w, b, 2, 1), [(2, 5, 5, 6), (6, 5, 3, 3), (6,)]),
    "conv2d with few channels": (lambda x, w, b: F.conv2d(x, w, b, padding=2), [(2, 2, 5, 6), (6, 2, 5, 5), (6,)]),
    "conv2d, depthwise": (lambda x, w, b: F.conv2d(x, w, b, 1, 1, groups=4), [(2, 4, 5, 6), (4, 1, 3, 3), (4,)]),
    "conv_transpose2d": (lambda x, w: F.conv_transpose2d(x, w, None, 2, 1, 1), [(2, 5, 3, 4), (5, 6, 3, 3)]),
    "conv1d": (lambda x, w: F.conv1d(x, w, None, 2, dilation=2), [(2, 5, 12), (6, 5, 3)]),
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True), [(3, 4, 2, 3), (4,), (4,)]
    ),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1), [(2, 3, 7, 6)]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1), [(2, 3, 7, 6)]),
    "grid_sample": (
        lambda x, grid: F.grid_sample(x, 0.3 * grid, align_corners=False), [(2, 3, 5, 6), (2, 4, 3, 2)]
    ),
}  # fmt: skip


@pytest.mark.parametrize(("function", "shapes"), CALLS.values(), ids=CALLS)
def test_numerical_gradients(function, shapes) -> None:
    inputs = drawn(*shapes)
    assert mg.gradcheck(function, inputs)
    assert mg.gradgradcheck(function, inputs)


def test_training_steps_with_winograd_follow_those_without() -> None:
    """Ten steps of a small network in float32: the switch changes bits, not results."""

    def losses() -> list[float]:
        rng = np.random.default_rng(0)
        x = mg.tensor(rng.standard_normal((8, 16, 8, 8)).astype(np.float32))
        target = mg.tensor(rng.integers(0, 4, 8))
        weights = [
            mg.tensor((0.1 * rng.standard_normal(shape)).astype(np.float32), requires_grad=True)
            for shape in ((16, 16, 3, 3), (16 * 16, 4))
        ]
        optimizer, found = mg.optim.SGD(weights, lr=0.1), []
        for _ in range(10):
            hidden = F.max_pool2d(F.relu(F.conv2d(x, weights[0], padding=1)), 2)
            loss = F.cross_entropy(hidden.flatten(1) @ weights[1], target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    with_winograd = losses()
    with kernels.winograd(False):
        without = losses()
    assert with_winograd != without
    assert with_winograd == pytest.approx(without, rel=1e-4)
    assert with_winograd[-1] < with_winograd[0]
