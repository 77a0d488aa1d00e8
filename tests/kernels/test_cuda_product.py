"""The tiled product of the CUDA kernels, in the executor of the lesson on CUDA: it sees races, which results may hide.

Its threads run one after the other, so that a missing barrier is an error in every run.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from kernels.cuda import multiplication
from kernels.cuda.multiplication import Tile
from lessons.lab import cuda as watched

TILE = Tile(16, 8, 4, 4, 4)
SIZES = [(1, 1, 1), (16, 8, 4), (17, 9, 5), (5, 20, 13), (33, 3, 8), (4, 4, 0)]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def place(matrix, index, sizes):
    return index


def read_a(a, table, matrix, i, l, placed, sizes):  # noqa: E741
    return a[matrix, i, l]


def read_b(b, table, l, j, placed, sizes):  # noqa: E741
    assert placed == (l if sizes[0] else j)
    return b[l, j]


def multiply_add(found, a, b):
    return found + a * b


def aim(matrix, share, j, sizes):
    return share, j


def write(out, extra, matrix, aimed, i, value, sizes):
    share, j = aimed
    out[share, matrix, i, j] = value


def multiplied(a, b, part, b_along_sum, cuda=watched):
    """a (matrices, m, k) times b (k, n), by parts of the sum."""
    matrices, m, k = a.shape
    n = b.shape[1]
    parts = max(-(-k // part), 1)
    out = np.full((parts, matrices, m, n), np.nan)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(multiplication, "cuda", cuda)
        patched.setattr(multiplication, "SIMULATED", True)  # whose memory has no alignment, either
        functions = place, read_a, read_b, multiply_add, aim, write
        kernel = multiplication.product(*functions, (np.float64, np.float64, 8), TILE, b_along_sum)
        blocks = -(-n // TILE.tn), -(-m // TILE.tm), matrices * parts
        kernel[blocks, TILE.threads](a, b, b, b, out, m, n, k, part, parts, (b_along_sum,))
    return out.sum(0)


@pytest.mark.parametrize("b_along_sum", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_no_race_nothing_outside_and_the_right_product(rng, size, b_along_sum):
    m, n, k = size
    a, b = rng.normal(size=(2, m, k)), rng.normal(size=(k, n))
    for part in (max(k, 1), 8):
        np.testing.assert_allclose(multiplied(a, b, part, b_along_sum), a @ b, rtol=1e-13, atol=1e-13)


def test_without_its_barrier_it_is_a_race(rng):
    unordered = SimpleNamespace(**{name: getattr(watched, name) for name in watched.__all__})
    unordered.syncthreads = lambda: None
    with pytest.raises(watched.Fault):
        multiplied(rng.normal(size=(1, 16, 12)), rng.normal(size=(12, 8)), 12, False, unordered)
