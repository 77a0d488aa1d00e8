"""One quick run of each lesson, shared by all tests that look at its parts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lessons.anatomy import Run
from lessons.workbench import catalogue


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """A function from a lesson's name to its run at --quick with seed 0, with figures in ``run.out``."""
    runs: dict[str, Run] = {}

    def run(name: str) -> Run:
        if name not in runs:
            runs[name] = catalogue.find(name).run("quick", seed=0, out=tmp_path_factory.mktemp(name))
        return runs[name]

    return run
