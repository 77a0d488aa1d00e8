"""Fixtures of the kernels' tests."""

from __future__ import annotations

import pytest


@pytest.fixture
def small_work_is_shared(monkeypatch):
    """Small problems go to all threads too, which otherwise would be a waste."""
    from kernels.cpu import team

    monkeypatch.setattr(team, "MULTIPLICATIONS_FROM", 0)
    monkeypatch.setattr(team, "PARALLEL_FROM", 0)
