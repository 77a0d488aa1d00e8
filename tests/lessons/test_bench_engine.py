"""`minigrad bench engine`: it times what it says, and refuses to compare libraries that compute different things."""

from __future__ import annotations

import importlib.util

import pytest

from lessons.workbench import bench_engine

WORK = ["chain forward", "chain forward + backward", "MLP training step", "LSTM cell step"]


def test_every_piece_of_work_is_timed_and_shown() -> None:
    rows = bench_engine.table_rows(rounds=1, min_time=0.0)
    assert [row.work for row in rows] == WORK
    text = bench_engine.format_table(rows)
    for row in rows:
        assert row.timings["minigrad"].median > 0
        assert row.work in text
    assert ("/ torch" in text) == (importlib.util.find_spec("torch") is not None)


@pytest.mark.torch
def test_torch_does_the_same_work() -> None:
    pytest.importorskip("torch", reason="the bench compares with PyTorch where it is installed")
    for work, by_library in bench_engine.candidates().items():
        assert {"minigrad", "torch"} <= set(by_library)
        bench_engine._check(work, {name: run() for name, run in by_library.items()})


def test_the_chain_is_what_it_says() -> None:
    work = bench_engine.candidates()["chain forward + backward"]["minigrad"]
    # y = x s^n + c (s^n - 1) / (s - 1), with its three derivatives summed.
    n, s, c = bench_engine.OPS // 2, bench_engine.SCALE, bench_engine.SHIFT
    x = s**n
    shift = (s**n - 1) / (s - 1)
    scale = n * s ** (n - 1) + c * (n * s ** (n - 1) * (s - 1) - (s**n - 1)) / (s - 1) ** 2
    assert work() == pytest.approx(x + scale + shift, rel=1e-3)


def test_libraries_that_disagree_are_not_compared() -> None:
    with pytest.raises(bench_engine.BenchmarkError, match=r"MLP: minigrad computes 1\.0, but torch 1\.1"):
        bench_engine._check("MLP", {"minigrad": 1.0, "torch": 1.1})


def test_a_row_without_the_other_library_has_no_ratio() -> None:
    rows = bench_engine.table_rows(rounds=1, min_time=0.0)
    assert rows[0].ratio("no such library") is None
    assert rows[0].ratio("minigrad") == 1.0
