"""`minigrad bench engine` and `train`: every library does the same work, and it is the work that the name says."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from kernels.bench.case import OURS, TORCH, disagreement, results
from lessons.workbench import bench, bench_engine, bench_train

CASES = [*bench_engine.CASES, *bench_train.CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.family} {case.name}")
def test_our_work_is_done_and_finite(case) -> None:
    run = case.make[OURS]()
    assert np.isfinite(run())


@pytest.mark.torch
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.family} {case.name}")
def test_torch_does_the_same_work(case) -> None:
    pytest.importorskip("torch", reason="the bench compares with PyTorch where it is installed")
    ours, theirs = case.make[OURS](), case.make[TORCH]()
    for _ in range(3):  # a training step that goes elsewhere shows in the next one's loss
        assert disagreement(results(theirs()), results(ours()), case.tolerance) == ""


def test_a_step_trains() -> None:
    for case in bench_train.CASES:
        run = case.make[OURS]()
        first = run()
        assert min(run() for _ in range(5)) < first


def test_the_chain_is_what_it_says() -> None:
    work = next(case for case in bench_engine.CASES if case.name.endswith("backward")).make[OURS]()
    # y = x s^n + c (s^n - 1) / (s - 1), with its three derivatives summed.
    n, s, c = bench_engine.OPS // 2, bench_engine.SCALE, bench_engine.SHIFT
    x = s**n
    shift = (s**n - 1) / (s - 1)
    scale = n * s ** (n - 1) + c * (n * s ** (n - 1) * (s - 1) - (s**n - 1)) / (s - 1) ** 2
    assert work() == pytest.approx(x + scale + shift, rel=1e-3)


def test_names_are_unique_and_families_are_complete() -> None:
    for family in bench.FAMILIES:
        cases = bench.chosen(family, quick=False)
        assert {case.family for _, case in cases} == {family}
        names = [case.name for _, case in cases]
        assert len(set(names)) == len(names) > 0
        assert bench.chosen(family, quick=True)
    every = [case.family for _, case in bench.chosen(None, quick=False)]
    assert set(every) == set(bench.KERNELS)


def test_the_bench_looks_for_libraries_where_python_does() -> None:
    from kernels.bench.measure import installed

    assert installed(OURS)
    assert installed(TORCH) == (importlib.util.find_spec("torch") is not None)
