"""Choosing by a mask against np.where, for arrays that are compiled and those that are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernels
from kernels import selection


@pytest.fixture(autouse=True)
def everything_is_compiled(monkeypatch):
    monkeypatch.setattr(selection, "SMALL", 0)


def assert_as_numpy(condition, x, y):
    got, want = kernels.where(condition, x, y), np.where(condition, x, y)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


@given(
    shape=st.lists(st.integers(0, 40), min_size=1, max_size=3).map(tuple),
    dtype=st.sampled_from([np.float32, np.float64, np.int64]),
    seed=st.integers(0, 9),
)
def test_where_is_that_of_numpy(shape, dtype, seed):
    rng = np.random.default_rng(seed)
    condition = rng.random(shape) < 0.5
    x, y = (4 * rng.standard_normal((2, *shape))).astype(dtype)
    for given_x, given_y in ((x, y), (x, dtype(3)), (dtype(3), y), (x, 0.0), (-0.0, y), (x, np.zeros((), dtype))):
        assert_as_numpy(condition, given_x, given_y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_arrays_strided_ones_and_special_values(dtype):
    rng = np.random.default_rng(0)
    condition = rng.random((3, 40_000)) < 0.5
    x, y = rng.standard_normal((2, 3, 40_000)).astype(dtype)
    x[:, ::7], y[:, ::5], x[:, ::11] = np.nan, np.inf, -0.0
    x.flags.writeable = False
    assert_as_numpy(condition, x, y)
    assert_as_numpy(condition[:, ::2], x[:, ::2], np.ascontiguousarray(y[:, ::2]))
    assert_as_numpy(condition.T, x.T, np.inf)
    assert_as_numpy(condition.T, np.nan, y.T)


def test_what_is_not_compiled_has_numpys_rules():
    condition, x = np.array([[True], [False]]), np.arange(3, dtype=np.float32)
    assert_as_numpy(condition, x, x + 1)  # broadcast
    assert_as_numpy(condition, 1.0, 2.0)  # numbers only
    assert_as_numpy(x > 1, x, x.astype(np.float64))  # two dtypes
    assert_as_numpy(x > 1, x, np.float64(1e300))  # a number of a wider dtype
    assert_as_numpy(x, x, -x)  # a condition that is no mask


@pytest.mark.usefixtures("small_work_is_shared")
def test_no_bit_depends_on_the_number_of_threads():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 100_000))
    before = kernels.get_num_threads()
    try:
        kernels.set_num_threads(1)
        alone = kernels.where(x < y, x, y)
        kernels.set_num_threads(before)
        np.testing.assert_array_equal(kernels.where(x < y, x, y), alone)
    finally:
        kernels.set_num_threads(before)
