"""These tests need a GPU or Numba's simulator; without either, tests/kernels/test_cuda.py runs them in the latter."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import cuda

collect_ignore_glob = [] if cuda.is_available() else ["test_*.py"]


@pytest.fixture(autouse=True)
def simulated_arithmetic():
    """The simulator computes with NumPy's scalars, which warn of overflow and NaN where a GPU does not."""
    with np.errstate(all="ignore"):
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
