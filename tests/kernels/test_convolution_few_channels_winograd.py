"""Winograd's method in one direction, for few channels, against the specification."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import kernels
from kernels import convolution
from kernels.cpu.convolution import choice, few_channels_winograd
from kernels.cpu.convolution.few_channels_winograd import FILTERS
from kernels.cpu.convolution.winograd_transforms import METHODS
from kernels.cpu.simd import FLOAT32_LANES
from kernels.reference import convolution as reference

ONE = (1, 1)
SAME = ((1, 1), (1, 1))


def problem(batch, inputs, filters, size, side, padding, seed=0):
    """x, weight and bias of a convolution with results of `size`."""
    rng = np.random.default_rng(seed)
    sizes = [max(1, n + side - 1 - sum(pads)) for n, pads in zip(size, padding, strict=True)]
    shapes = (batch, inputs, *sizes), (filters, inputs, side, side), (filters,)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def error(y, x, weight, bias, padding):
    """The largest error, in units of the root mean square of the sums of absolute values."""
    wide, size = [[f(a.astype(np.float64)) for a in (x, weight, bias)] for f in (np.asarray, np.abs)]
    want, scale = (reference.forward(a, w, ONE, padding, ONE, 1) + b[:, None, None] for a, w, b in (wide, size))
    assert y.shape == want.shape
    assert y.dtype == np.float32
    return np.abs(y - want).max() / np.sqrt(np.mean(scale**2))


@given(
    batch=st.integers(1, 3),
    inputs=st.integers(1, 9),
    filters=st.integers(FILTERS, 4 * FILTERS + 1),
    side=st.sampled_from(list(METHODS)),
    more=st.tuples(st.integers(0, 15), st.integers(0, 35)),
    padding=st.tuples(*[st.tuples(st.integers(0, 6), st.integers(-3, 6))] * 2),
    with_bias=st.booleans(),
    seed=st.integers(0, 99),
)
@example(2, 3, 16, 3, (32 - METHODS[3].tile, 32 - FLOAT32_LANES), SAME, True, 0)
@example(1, 1, 4, 5, (1, 1), ((6, 6), (6, 6)), True, 0)  # more border than image
def test_one_direction_equals_reference(batch, inputs, filters, side, more, padding, with_bias, seed):
    size = METHODS[side].tile + more[0], FLOAT32_LANES + more[1]
    x, weight, bias = problem(batch, inputs, filters, size, side, padding, seed)
    bias *= with_bias
    y, finite = few_channels_winograd.forward(x, weight, bias if with_bias else None, padding)
    assert finite
    assert error(y, x, weight, bias, padding) < 2e-6


@pytest.mark.parametrize("side", list(METHODS))
def test_it_rounds_about_as_much_as_a_plain_sum(side):
    """In standard deviations of the result, the bound that `few_channels_winograd` states."""
    pads = ((side // 2,) * 2,) * 2
    for inputs in (1, 3, 8):
        x, weight, bias = problem(4, inputs, 16, (32, 32), side, pads)
        y, _ = few_channels_winograd.forward(x, weight, bias, pads)
        want = reference.forward(*(a.astype(np.float64) for a in (x, weight)), ONE, pads, ONE, 1) + bias[:, None, None]
        assert np.abs(y - want).max() < 5e-6 * want.std()


@given(
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
    where=st.integers(0, 2),
    place=st.integers(0, 2**16),
)
def test_what_is_not_finite_is_noticed(value, where, place):
    """Wherever it is."""
    given = problem(2, 3, 6, (9, 21), 3, SAME)
    given[where].reshape(-1)[place % given[where].size] = value
    _, finite = few_channels_winograd.forward(*given, SAME)
    assert not finite


@pytest.fixture
def calls(monkeypatch):
    """How often Winograd's method in one direction runs."""
    monkeypatch.setattr(convolution, "SMALL", 0)
    seen = []
    real = few_channels_winograd.forward
    monkeypatch.setattr(few_channels_winograd, "forward", lambda *args: seen.append(args) or real(*args))
    return seen


def test_it_is_taken_for_float32_where_it_pays_and_allowed(calls):
    x, weight, bias = problem(1, 3, 8, (12, 2 * FLOAT32_LANES), 3, SAME)
    y = kernels.conv_forward(x, weight, bias, ONE, SAME, ONE, 1)
    assert len(calls) == 1
    with kernels.winograd(False):
        plain = kernels.conv_forward(x, weight, bias, ONE, SAME, ONE, 1)
    assert (y != plain).any()
    np.testing.assert_allclose(y, plain, rtol=1e-4, atol=1e-4)
    kernels.conv_forward(*(a.astype(np.float64) for a in (x, weight, bias)), ONE, SAME, ONE, 1)
    kernels.conv_forward(x, weight, bias, (2, 1), SAME, ONE, 1)
    kernels.conv_forward(x, weight, bias, ONE, SAME, (2, 2), 1)
    kernels.conv_forward(x, weight[..., :2], bias, ONE, SAME, ONE, 1)
    kernels.conv_forward(x[:, :, :5], weight, bias, ONE, SAME, ONE, 1)  # 8 rows computed for 5
    kernels.conv_forward(
        x[..., : FLOAT32_LANES + 1], weight, bias, ONE, SAME, ONE, 1
    )  # two vectors for little more than one
    assert len(calls) == 1


def test_a_plain_sum_has_the_last_word(calls):
    x, weight, bias = problem(1, 3, 8, (12, 2 * FLOAT32_LANES), 3, SAME)
    x *= np.float32(5e37)
    weight /= 100
    y = kernels.conv_forward(x, weight, bias, ONE, SAME, ONE, 1)
    assert len(calls) == 1
    want = reference.forward(*(a.astype(np.float64) for a in (x, weight)), ONE, SAME, ONE, 1) + bias[:, None, None]
    np.testing.assert_allclose(y, want, rtol=1e-3, atol=1e-5 * np.abs(want).max())


@pytest.mark.parametrize("tile", [2, 4])
def test_each_row_is_the_business_of_one_tile(tile):
    """Tiles may run at the same time, and two that wrote a row would write other bits."""
    for height in range(tile, 4 * tile + 1):
        written = [set((rows // 7).tolist()) for rows in few_channels_winograd._targets(height, 7, tile)]
        assert sorted(row for rows in written for row in rows) == list(range(height))


def test_pays_knows_what_is_computed_in_vain():
    pays, lanes = few_channels_winograd.pays, FLOAT32_LANES
    assert pays(FILTERS, 3, (4, lanes))
    assert not pays(FILTERS - 1, 3, (4, lanes))
    assert not pays(FILTERS, 3, (3, lanes))
    assert not pays(FILTERS, 3, (4, lanes - 1))
    assert not pays(FILTERS + 1, 3, (4, lanes))
    assert choice.few_channels_winograd is few_channels_winograd
