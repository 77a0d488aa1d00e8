"""The convolution of 1 x 1 as a product of matrices, and its gradient by the input, against their specification."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernels
from kernels.cpu.convolution import pointwise
from kernels.cpu.simd import VECTOR_BYTES
from kernels.reference import convolution as reference

PLAIN = (1, 1), ((0, 0), (0, 0)), (1, 1), 1


def arrays(dtype, images, channels, filters, sizes, seed=0):
    """x, weight, bias and dy."""
    rng = np.random.default_rng(seed)
    shapes = (images, channels, *sizes), (filters, channels, 1, 1), (filters,), (images, filters, *sizes)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def expected(x, weight, bias, dy):
    y = reference.forward(x, weight, *PLAIN) + bias[:, None, None]
    return y, reference.backward_input(dy, weight, x.shape[2:], *PLAIN)


def check(*problem):
    """Raises AssertionError unless both are the reference's, up to the rounding of sums of such magnitudes."""
    x, weight, bias, dy = problem
    wide = [a.astype(np.float64) for a in problem]
    got = pointwise.forward(x, weight, bias), pointwise.backward_input(dy, weight)
    for one, want, size in zip(got, expected(*wide), expected(*map(np.abs, wide)), strict=True):
        assert one.dtype == x.dtype
        assert one.shape == want.shape
        assert (np.abs(one - want) <= 30 * np.finfo(x.dtype).eps * size).all()


@given(
    dtype=st.sampled_from(["f4", "f8"]),
    images=st.integers(0, 5),
    channels=st.integers(pointwise.ROWS, 3 * pointwise.ROWS),
    filters=st.integers(pointwise.ROWS, 3 * pointwise.ROWS),
    height=st.integers(1, 9),
    width=st.integers(16, 40),
    seed=st.integers(0, 9),
)
def test_against_the_specification_on_every_instruction_set(dtype, images, channels, filters, height, width, seed):
    check(*arrays(dtype, images, channels, filters, (height, width), seed))


@pytest.mark.parametrize("channels", [1, 2, 300])
def test_few_and_many_channels(channels):
    x, weight, *_ = arrays("f4", 2, channels, pointwise.ROWS + 1, (5, 20))
    wide = x.astype(np.float64), weight.astype(np.float64)
    want, size = (reference.forward(f(wide[0]), f(wide[1]), *PLAIN) for f in (np.asarray, np.abs))
    assert (np.abs(pointwise.forward(x, weight, None) - want) <= 1e-6 * size).all()
    back = pointwise.backward_input(x, np.ascontiguousarray(weight.swapaxes(0, 1)))  # the same sums
    assert (np.abs(back - want) <= 1e-6 * size).all()


@pytest.mark.usefixtures("small_work_is_shared")
@pytest.mark.parametrize("sizes", [(4, 4), (5, 7), (3, 41)])
def test_same_bits_on_any_number_of_threads_and_of_images(sizes):
    x, weight, bias, dy = arrays("f4", 7, 19, 21, sizes)
    before, found = kernels.get_num_threads(), []
    try:
        for threads in range(1, min(kernels.max_num_threads(), 3) + 1):
            kernels.set_num_threads(threads)
            found.append((pointwise.forward(x, weight, bias), pointwise.backward_input(dy, weight)))
    finally:
        kernels.set_num_threads(before)
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            assert one.tobytes() == other.tobytes()
    alone = [pointwise.forward(image[None], weight, bias) for image in x]
    assert np.concatenate(alone).tobytes() == found[0][0].tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_pixel(bad):
    x, weight, bias, _ = arrays("f4", 3, 10, 12, (3, 17))
    x[1, 4, 2, 16] = bad
    spoilt = ~np.isfinite(pointwise.forward(x, weight, bias))
    assert spoilt[1, :, 2, 16].all()
    assert spoilt.sum() == 12


def test_nothing_beside_the_results_is_written(monkeypatch):
    """The last tiles of filters and of pixels overlap those before, and end where y does."""
    x, weight, bias, _ = arrays("f4", 2, 9, pointwise.ROWS + 3, (1, 37))
    guarded = np.full((4, pointwise.ROWS + 3, 1, 37), 7.0, "f4")
    y, empty = guarded[1:3], np.empty
    monkeypatch.setattr(np, "empty", lambda shape, *rest: y if shape == y.shape else empty(shape, *rest))
    assert pointwise.forward(x, weight, bias) is y
    monkeypatch.undo()
    assert (guarded[[0, 3]] == 7.0).all()
    assert (np.abs(y - reference.forward(x, weight, *PLAIN) - bias[:, None, None]) < 1e-4).all()


def test_which_problems_it_takes():
    lanes, rows = VECTOR_BYTES // 4, pointwise.ROWS
    assert pointwise.takes(lanes, rows, 4)
    assert not pointwise.takes(lanes, rows - 1, 4)  # no whole tile of filters
    assert not pointwise.takes(lanes - 1, rows, 4)  # no whole vector of pixels
    assert not pointwise.takes(lanes + 1, rows, 4)  # twice as many pixels would be computed
    assert pointwise.takes(20 * lanes + 1, rows, 4)
    assert pointwise.takes(lanes // 2, rows, 8)
