"""Settings that all tests share: hypothesis profiles, and a summary of what was left out and why."""

from __future__ import annotations

import importlib.util
import os

import pytest
from hypothesis import HealthCheck, settings

# dev: quick while writing; ci: what .ci/run uses; intense: for a night. Choose with HYPOTHESIS_PROFILE.
_common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("dev", max_examples=30, derandomize=True, **_common)
settings.register_profile("ci", max_examples=150, derandomize=True, **_common)
settings.register_profile("intense", max_examples=5000, **_common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

OPTIONAL = {
    "torch": "the live comparison with PyTorch (recorded values were compared); pip install torch to run it",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    missing = {name: what for name, what in OPTIONAL.items() if importlib.util.find_spec(name) is None}
    if missing:
        terminalreporter.section("left out on this machine")
        for name, what in missing.items():
            terminalreporter.line(f"{name} is not installed: {what}")
