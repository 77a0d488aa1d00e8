"""`minigrad bench cuda --check`: every kernel agrees with the specification, and a wrong one is found."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

import kernels
from kernels.bench import cuda as bench
from lessons.workbench.bench import run
from lessons.workbench.errors import UsageError


def arguments(**options) -> argparse.Namespace:
    return argparse.Namespace(what="cuda", json=False, check=True, rounds=1, **options)


def test_every_kernel_agrees(capsys):
    assert run(arguments())
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("ok  ") for line in lines) == len({(case.kind, case.small) for case in bench.CASES})


def test_a_wrong_kernel_is_found(monkeypatch, capsys):
    right = kernels.batch_norm_forward
    monkeypatch.setattr(
        kernels, "batch_norm_forward", lambda *given: (right(*given)[0] * np.float32(1.001), *right(*given)[1:])
    )
    case = next(case for case in bench.CASES if case.kind == "batch norm forward")
    monkeypatch.setattr(bench, "CASES", (case,))
    assert not run(arguments())
    assert "FAIL  batch norm forward" in capsys.readouterr().out


def test_the_simulator_is_not_timed():
    given = arguments()
    given.check = False
    if bench.device.SIMULATED:
        with pytest.raises(UsageError, match="mean nothing"):
            run(given)
