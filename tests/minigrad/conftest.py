"""Counts what was compared with PyTorch, so that a run which compared nothing is seen."""

from __future__ import annotations

import pytest
from op_cases import CASES
from op_harness import COMPARED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if COMPARED:
        ops = len({case.op for case in CASES})
        counts = ", ".join(f"{count} {what}" for what, count in sorted(COMPARED.items()))
        terminalreporter.section("minigrad against PyTorch")
        terminalreporter.line(f"{ops} functions in {len(CASES)} cases; arrays compared: {counts}")
