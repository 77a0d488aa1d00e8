"""Winograd's convolution: the identity behind it, and the compiled kernels against the direct sum."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernels
from kernels.cpu.convolution import winograd, winograd_weight
from kernels.cpu.convolution.winograd_transforms import a, a_transpose, b_transpose, g, g_transpose
from kernels.cpu.jit import as_input
from kernels.reference import convolution as direct
from kernels.reference import winograd as reference

ONES = ((1, 1), (1, 1))

# The documented bound on the largest error, in standard deviations of the result: it grows like the root of the
# number of terms. For the weights that is the number of tiles, for the others that of channels.
BOUND = 1e-5


def problem(rng, images, channels, filters, height, width, padding):
    """x, weight, bias, dy."""
    size = direct.output_size((height, width), (3, 3), (1, 1), padding, (1, 1))
    x = rng.standard_normal((images, channels, height, width), np.float32)
    weight = rng.standard_normal((filters, channels, 3, 3), np.float32) / np.float32(np.sqrt(9 * channels))
    bias = rng.standard_normal(filters, np.float32)
    dy = rng.standard_normal((images, filters, *size), np.float32)
    return x, weight, bias, dy


def expected(x, weight, bias, dy, padding):
    """y, dx and dweight as direct sums in float64."""
    x, weight, bias, dy = (array.astype(np.float64) for array in (x, weight, bias, dy))
    options = (1, 1), padding, (1, 1)
    y = direct.forward(x, weight, *options, 1) + bias[:, None, None]
    dx = direct.backward_input(dy, weight, x.shape[2:], *options, 1)
    return y, dx, direct.backward_weight(x, dy, (3, 3), *options, 1)


def computed(x, weight, bias, dy, padding):
    return (
        winograd.forward(x, weight, bias, padding),
        winograd.backward_input(dy, weight, x.shape[2:], padding),
        winograd_weight.backward_weight(x, dy, padding),
    )


def check(x, weight, bias, dy, padding):
    """Raises AssertionError unless all three agree with the direct sums to within the bound."""
    terms = weight.shape[1], weight.shape[0], dy[:, 0].size / 16
    want = expected(x, weight, bias, dy, padding)
    results = zip(("y", "dx", "dweight"), computed(x, weight, bias, dy, padding), want, terms, strict=True)
    for name, (got, finite), exact, count in results:
        assert (got.dtype, got.shape) == (np.float32, exact.shape)
        assert finite is True
        # A result that has no spread of its own, such as a single number, is measured by the size of its terms.
        scale = max(exact.std(), 1.0)
        error = np.abs(got - exact).max() / scale
        assert error < BOUND * max(1.0, count / 16) ** 0.5, f"{name} is off by {error:.1e} standard deviations"


# ---- the specification


@pytest.mark.parametrize("points", [reference.POINTS, (0, 1, -1, 2, -2), (0, 1, -0.5, 3, -2)])
def test_any_points_compute_a_convolution(points):
    rng = np.random.default_rng(0)
    d, taps = rng.standard_normal((6, 6)), rng.standard_normal((3, 3))
    want = direct.forward(d[None, None], taps[None, None], (1, 1), ((0, 0), (0, 0)), (1, 1), 1)[0, 0]
    np.testing.assert_allclose(reference.tile(d, taps, points), want, rtol=0, atol=1e-12)


def test_the_usual_points_give_the_matrices_of_lavin_and_gray():
    b_matrix, g_matrix, a_matrix = reference.matrices((0, 1, -1, 2, -2))
    np.testing.assert_allclose(b_matrix[:3], [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0]])
    np.testing.assert_allclose(g_matrix[[0, 1, 3, 5]] * 24, [[6, 0, 0], [-4, -4, -4], [1, 2, 4], [0, 0, 24]])
    np.testing.assert_allclose(a_matrix[3], [0, 1, -1, 8, -8, 1])


@pytest.mark.parametrize("padding", [ONES, ((0, 0), (2, 3)), ((1, -2), (4, 0))])
def test_reference_is_the_direct_sum(padding):
    x, weight, _, _ = problem(np.random.default_rng(1), 2, 3, 2, 7, 9, padding)
    want = direct.forward(x.astype(float), weight.astype(float), (1, 1), padding, (1, 1), 1)
    np.testing.assert_allclose(reference.forward(x.astype(float), weight.astype(float), padding), want, atol=1e-12)


def test_transforms_are_the_matrices_of_the_reference():
    b_matrix, g_matrix, a_matrix = reference.matrices()
    pairs = [(b_transpose, b_matrix), (g, g_matrix), (a_transpose, a_matrix)]
    pairs += [(a, a_matrix.T), (g_transpose, g_matrix.T)]
    for function, matrix in pairs:
        basis = np.eye(matrix.shape[1])
        # The functions are formulas for anything that can be added and multiplied; here for whole columns at once.
        np.testing.assert_allclose(np.array(function.py_func(*basis)), matrix, rtol=1e-14, atol=1e-15)


def test_these_points_lose_fewer_digits_than_the_usual_ones():
    rng = np.random.default_rng(2)
    d, taps = rng.standard_normal((500, 6, 6), np.float32), rng.standard_normal((500, 3, 3), np.float32)
    exact = reference.tile(d.astype(float), taps.astype(float))
    ours, usual = (
        np.abs(reference.tile(d, taps, points) - exact).max() for points in (reference.POINTS, (0, 1, -1, 2, -2))
    )
    assert ours < usual / 2


# ---- the compiled kernels


@pytest.mark.parametrize(
    ("shape", "padding"),
    [
        ((2, 16, 16, 8, 8), ONES),
        ((3, 32, 48, 14, 14), ONES),
        ((1, 64, 64, 28, 28), ONES),  # blocks and chunks within an image
        ((9, 17, 33, 9, 7), ONES),  # blocks across images, channels beside whole vectors
        ((1, 40, 100, 5, 70), ONES),
        ((1, 1, 1, 1, 1), ONES),
        ((1, 2, 3, 3, 3), ((0, 0), (0, 0))),
        ((2, 5, 115, 6, 6), ((3, 4), (5, 0))),
        ((2, 16, 16, 9, 12), ((1, -3), (0, -5))),
        ((1, 16, 16, 2, 2), ((9, 9), (0, 6))),  # tiles of padding alone
        ((1, 300, 16, 4, 4), ONES),  # more channels than one panel is deep
        ((40, 16, 16, 16, 16), ONES),  # several sums of weights, several chunks each
    ],
)
def test_kernels_match_the_direct_sum(shape, padding):
    check(*problem(np.random.default_rng(3), *shape, padding), padding)


@given(st.data())
def test_kernels_match_the_direct_sum_for_any_shape(data):
    sizes = [data.draw(st.integers(1, 20)) for _ in range(2)]
    padding = [(data.draw(st.integers(0, 4)), data.draw(st.integers(-min(4, n), 4))) for n in sizes]
    if min(n + sum(pads) for n, pads in zip(sizes, padding, strict=True)) < 3:
        padding = [(2, 0), (2, 0)]
    images, channels, filters = (data.draw(st.integers(1, most)) for most in (3, 70, 140))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    check(*problem(rng, images, channels, filters, *sizes, padding), padding)


@pytest.mark.parametrize("channels", [16, 128, 512])
def test_errors_are_within_the_documented_bound(channels):
    check(*problem(np.random.default_rng(4), 1, channels, 32, 12, 12, ONES), ONES)


def test_bias_may_be_left_out():
    x, weight, bias, _ = problem(np.random.default_rng(5), 2, 16, 20, 6, 6, ONES)
    y, without = winograd.forward(x, weight, bias, ONES)[0], winograd.forward(x, weight, None, ONES)[0]
    np.testing.assert_allclose(y - without, np.broadcast_to(bias[:, None, None], y.shape), atol=1e-5)


def test_what_lies_in_unused_lanes_is_not_reported():
    """The room to work in is reused: here the call before leaves NaN everywhere."""
    nothing = np.full((2, 40, 20, 20), np.nan, np.float32)
    for filters in (5, 20, 33):
        x, weight, bias, dy = problem(np.random.default_rng(10), 2, 24, filters, 10, 9, ONES)
        spoil = np.full((40, 40, 3, 3), np.nan, np.float32)
        assert not any(finite for _, finite in computed(nothing, spoil, spoil[:, 0, 0, 0], nothing, ONES))
        assert all(finite for _, finite in computed(x, weight, bias, dy, ONES))


def test_any_memory_layout():
    given_arrays = problem(np.random.default_rng(6), 2, 16, 16, 6, 7, ONES)
    want = [got for got, _ in computed(*given_arrays, ONES)]
    strided = [np.asfortranarray(array) for array in given_arrays]
    frozen = [as_input(array) for array in given_arrays]
    for arrays in (strided, frozen):
        before = [array.copy() for array in arrays]
        for (got, _), exact in zip(computed(*arrays, ONES), want, strict=True):
            np.testing.assert_array_equal(got, exact)
        for array, copy in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("shape", [(1, 20, 40, 20, 20), (5, 64, 16, 12, 16), (40, 16, 16, 16, 16)])
def test_same_bits_for_any_number_of_threads(shape):
    given_arrays = problem(np.random.default_rng(7), *shape, ONES)
    threads = kernels.get_num_threads()
    results = []
    try:
        for count in range(1, kernels.max_num_threads() + 1):
            kernels.set_num_threads(count)
            results.append(computed(*given_arrays, ONES))
    finally:
        kernels.set_num_threads(threads)
    for other in results[1:]:
        for (got, _), (first, _) in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(got, first)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_not_finite_is_reported(bad):
    """Also where only a number in between overflows. The caller then takes the direct sum."""
    x, weight, bias, dy = problem(np.random.default_rng(8), 3, 20, 18, 9, 9, ONES)
    for n, c, i, j in ((0, 0, 0, 0), (1, 16, 4, 5), (2, 17, 8, 8)):
        worse_x, worse_dy = x.copy(), dy.copy()
        worse_x[n, c, i, j] = worse_dy[n, c, i, j] = bad
        for (got, finite), name in zip(computed(worse_x, weight, bias, worse_dy, ONES), ("y", "dx", "dw"), strict=True):
            assert not finite or np.isfinite(got).all(), name
            if not np.isfinite(bad):
                assert not finite, name
    worse = weight.copy()
    worse[17, 19, 2, 2] = bad
    assert not winograd.forward(x, worse, bias, ONES)[1] or np.isfinite(bad)
    assert not winograd.backward_input(dy, worse, x.shape[2:], ONES)[1] or np.isfinite(bad)


@pytest.mark.torch
def test_kernels_match_pytorch():
    torch = pytest.importorskip("torch")
    x, weight, bias, dy = problem(np.random.default_rng(9), 2, 24, 20, 10, 9, ((2, 2), (1, 1)))
    leaves = [torch.from_numpy(array).double().requires_grad_() for array in (x, weight, bias)]
    y = torch.nn.functional.conv2d(*leaves, padding=(2, 1))
    y.backward(torch.from_numpy(dy).double())
    want = y.detach(), leaves[0].grad, leaves[1].grad
    for (got, finite), exact in zip(computed(x, weight, bias, dy, ((2, 2), (1, 1))), want, strict=True):
        assert finite
        np.testing.assert_allclose(got, exact.numpy(), rtol=0, atol=3e-5 * exact.numpy().std())


def test_python_threads_do_not_share_scratch_memory():
    """Numba lets other Python threads run while a parallel kernel works: each needs memory of its own."""
    given = [problem_for_threads(seed) for seed in range(2)]
    want = [winograd.forward(*arrays, None, ((1, 1), (1, 1)))[0] for arrays in given]
    wrong = []

    def repeated(number):
        for _ in range(30):
            y, _ = winograd.forward(*given[number], None, ((1, 1), (1, 1)))
            if not np.array_equal(y, want[number]):
                wrong.append(number)

    threads = [threading.Thread(target=repeated, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def problem_for_threads(seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((4, 32, 16, 16)).astype(np.float32), rng.standard_normal((32, 32, 3, 3)).astype("f4")
