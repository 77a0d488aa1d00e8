"""Winograd's convolution: the identity behind it, and the compiled kernels against the direct sum."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernels
from kernels.cpu.convolution import winograd, winograd_weight
from kernels.cpu.convolution.winograd_transforms import METHODS, MOMENTS, VALUES, b_transpose, normalised
from kernels.cpu.jit import as_input
from kernels.reference import convolution as direct
from kernels.reference import winograd as reference

ONES, TWOS = ((1, 1), (1, 1)), ((2, 2), (2, 2))
SAME = {3: ONES, 5: TWOS}  # for this many taps, the padding that keeps the size
each_method = pytest.mark.parametrize("taps", SAME)

# The documented bound on the largest error, in standard deviations of the result: it grows like the root of the
# number of terms. For the weights that is the number of tiles, for the others that of channels.
BOUND = {3: (1e-5, 1e-5, 1e-5), 5: (7e-6, 7e-6, 2e-5)}


def problem(rng, images, channels, filters, height, width, padding, taps=3):
    """x, weight, bias, dy."""
    size = direct.output_size((height, width), (taps, taps), (1, 1), padding, (1, 1))
    x = rng.standard_normal((images, channels, height, width), np.float32)
    weight = rng.standard_normal((filters, channels, taps, taps), np.float32) / np.float32(taps * np.sqrt(channels))
    bias = rng.standard_normal(filters, np.float32)
    dy = rng.standard_normal((images, filters, *size), np.float32)
    return x, weight, bias, dy


def expected(x, weight, bias, dy, padding):
    """y, dx and dweight as direct sums in float64."""
    x, weight, bias, dy = (array.astype(np.float64) for array in (x, weight, bias, dy))
    options = (1, 1), padding, (1, 1)
    y = direct.forward(x, weight, *options, 1) + bias[:, None, None]
    dx = direct.backward_input(dy, weight, x.shape[2:], *options, 1)
    return y, dx, direct.backward_weight(x, dy, weight.shape[2:], *options, 1)


def computed(x, weight, bias, dy, padding):
    return (
        winograd.forward(x, weight, bias, padding),
        winograd.backward_input(dy, weight, x.shape[2:], padding),
        winograd_weight.backward_weight(x, dy, weight.shape[2:], padding),
    )


def check(x, weight, bias, dy, padding):
    """Raises AssertionError unless all three agree with the direct sums to within the bound."""
    taps = weight.shape[2]
    terms = weight.shape[1], weight.shape[0], dy[:, 0].size / METHODS[taps].tile ** 2
    want = expected(x, weight, bias, dy, padding)
    names, results = ("y", "dx", "dweight"), computed(x, weight, bias, dy, padding)
    for name, (got, finite), exact, count, bound in zip(names, results, want, terms, BOUND[taps], strict=True):
        assert (got.dtype, got.shape) == (np.float32, exact.shape)
        assert finite is True
        # A result that has no spread of its own, such as a single number, is measured by the size of its terms.
        scale = max(exact.std(), 1.0)
        error = np.abs(got - exact).max() / scale
        assert error < bound * max(1.0, count / 16) ** 0.5, f"{name} is off by {error:.1e} standard deviations"


# ---- the specification


@pytest.mark.parametrize("points", [reference.POINTS, (0, 1, -1, 2, -2), (0, 1, -0.5, 3, -2)])
@pytest.mark.parametrize("taps", [1, 2, 3, 4, 5])
def test_any_points_compute_a_convolution(points, taps):
    rng = np.random.default_rng(0)
    d, g = rng.standard_normal((6, 6)), rng.standard_normal((taps, taps))
    want = direct.forward(d[None, None], g[None, None], (1, 1), ((0, 0), (0, 0)), (1, 1), 1)[0, 0]
    np.testing.assert_allclose(reference.tile(d, g, points), want, rtol=0, atol=1e-12)


def test_the_usual_points_give_the_matrices_of_lavin_and_gray():
    b_matrix, g_matrix, a_matrix = reference.matrices(3, (0, 1, -1, 2, -2))
    np.testing.assert_allclose(b_matrix[:3], [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0]])
    np.testing.assert_allclose(g_matrix[[0, 1, 3, 5]] * 24, [[6, 0, 0], [-4, -4, -4], [1, 2, 4], [0, 0, 24]])
    np.testing.assert_allclose(a_matrix[3], [0, 1, -1, 8, -8, 1])


@each_method
@pytest.mark.parametrize("padding", [ONES, ((0, 0), (2, 3)), ((1, -2), (4, 0))])
def test_reference_is_the_direct_sum(padding, taps):
    x, weight, _, _ = problem(np.random.default_rng(1), 2, 3, 2, 7, 9, padding, taps)
    want = direct.forward(x.astype(float), weight.astype(float), (1, 1), padding, (1, 1), 1)
    np.testing.assert_allclose(reference.forward(x.astype(float), weight.astype(float), padding), want, atol=1e-12)


@each_method
def test_transforms_are_the_matrices_of_the_reference(taps):
    b_matrix, g_matrix, a_matrix = reference.matrices(taps)
    outputs = METHODS[taps].tile
    # The functions are formulas for anything that can be added and multiplied; here for whole columns at once.
    divided = np.array(normalised.py_func(*np.eye(6)))
    values_of_taps, moments_of_taps, values, moments = (
        np.array(functions[size].py_func(*np.eye(size if functions is VALUES else 6)))
        for size in (taps, outputs)
        for functions in (VALUES, MOMENTS)
    )
    pairs = [(np.array(b_transpose.py_func(*np.eye(6))), b_matrix), (divided @ values_of_taps, g_matrix)]
    pairs += [(moments, a_matrix), (values, a_matrix.T), (moments_of_taps @ divided, g_matrix.T)]
    for computed_matrix, matrix in pairs:
        np.testing.assert_allclose(computed_matrix, matrix, rtol=1e-14, atol=1e-15)


@each_method
def test_these_points_lose_fewer_digits_than_the_usual_ones(taps):
    rng = np.random.default_rng(2)
    d, g = rng.standard_normal((500, 6, 6), np.float32), rng.standard_normal((500, taps, taps), np.float32)
    exact = reference.tile(d.astype(float), g.astype(float))
    ours, usual = (
        np.abs(reference.tile(d, g, points) - exact).max() for points in (reference.POINTS, (0, 1, -1, 2, -2))
    )
    assert ours < usual / 2


# ---- the compiled kernels


@each_method
@pytest.mark.parametrize(
    ("shape", "padding"),
    [
        ((2, 16, 16, 8, 8), ONES),
        ((3, 32, 48, 14, 14), ONES),
        ((1, 64, 64, 28, 28), ONES),  # blocks and chunks within an image
        ((9, 17, 33, 9, 7), ONES),  # blocks across images, channels beside whole vectors
        ((1, 40, 100, 5, 70), ONES),
        ((1, 1, 1, 1, 1), TWOS),
        ((1, 2, 3, 5, 5), ((0, 0), (0, 0))),
        ((2, 5, 115, 6, 6), ((3, 4), (5, 0))),
        ((2, 16, 16, 9, 12), ((1, -3), (0, -5))),
        ((1, 16, 16, 2, 2), ((9, 9), (0, 6))),  # tiles of padding alone
        ((1, 300, 16, 4, 4), ONES),  # more channels than one panel is deep
        ((40, 16, 16, 16, 16), ONES),  # several sums of weights, several chunks each
    ],
)
def test_kernels_match_the_direct_sum(shape, padding, taps):
    check(*problem(np.random.default_rng(3), *shape, padding, taps), padding)


@given(st.data())
def test_kernels_match_the_direct_sum_for_any_shape(data):
    taps = data.draw(st.sampled_from(list(SAME)))
    sizes = [data.draw(st.integers(1, 20)) for _ in range(2)]
    padding = [(data.draw(st.integers(0, taps + 1)), data.draw(st.integers(-min(4, n), 4))) for n in sizes]
    if min(n + sum(pads) for n, pads in zip(sizes, padding, strict=True)) < taps:
        padding = [(taps - 1, 0), (taps - 1, 0)]
    images, channels, filters = (data.draw(st.integers(1, most)) for most in (3, 70, 140))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    check(*problem(rng, images, channels, filters, *sizes, padding, taps), padding)


@each_method
@pytest.mark.parametrize("channels", [16, 128, 512])
def test_errors_are_within_the_documented_bound(channels, taps):
    check(*problem(np.random.default_rng(4), 1, channels, 32, 12, 12, SAME[taps], taps), SAME[taps])


@each_method
def test_bias_may_be_left_out(taps):
    x, weight, bias, _ = problem(np.random.default_rng(5), 2, 16, 20, 6, 6, TWOS, taps)
    y, without = winograd.forward(x, weight, bias, TWOS)[0], winograd.forward(x, weight, None, TWOS)[0]
    np.testing.assert_allclose(y - without, np.broadcast_to(bias[:, None, None], y.shape), atol=1e-5)


@each_method
def test_what_lies_in_unused_lanes_is_not_reported(taps):
    """The room to work in is reused: here the call before leaves NaN everywhere."""
    nothing = np.full((2, 40, 20, 20), np.nan, np.float32)
    for filters in (5, 20, 33):
        x, weight, bias, dy = problem(np.random.default_rng(10), 2, 24, filters, 10, 9, SAME[taps], taps)
        spoil = np.full((40, 40, taps, taps), np.nan, np.float32)
        assert not any(finite for _, finite in computed(nothing, spoil, spoil[:, 0, 0, 0], nothing, SAME[taps]))
        assert all(finite for _, finite in computed(x, weight, bias, dy, SAME[taps]))


@each_method
def test_any_memory_layout(taps):
    given_arrays = problem(np.random.default_rng(6), 2, 16, 16, 6, 7, TWOS, taps)
    want = [got for got, _ in computed(*given_arrays, TWOS)]
    strided = [np.asfortranarray(array) for array in given_arrays]
    frozen = [as_input(array) for array in given_arrays]
    for arrays in (strided, frozen):
        before = [array.copy() for array in arrays]
        for (got, _), exact in zip(computed(*arrays, TWOS), want, strict=True):
            np.testing.assert_array_equal(got, exact)
        for array, copy in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(array, copy)


@pytest.mark.usefixtures("small_work_is_shared")
@each_method
@pytest.mark.parametrize("shape", [(1, 20, 40, 20, 20), (5, 64, 16, 12, 16), (40, 16, 16, 16, 16)])
def test_same_bits_for_any_number_of_threads(shape, taps):
    given_arrays = problem(np.random.default_rng(7), *shape, SAME[taps], taps)
    threads = kernels.get_num_threads()
    results = []
    try:
        for count in range(1, kernels.max_num_threads() + 1):
            kernels.set_num_threads(count)
            results.append(computed(*given_arrays, SAME[taps]))
    finally:
        kernels.set_num_threads(threads)
    for other in results[1:]:
        for (got, _), (first, _) in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(got, first)


@each_method
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_not_finite_is_reported(bad, taps):
    """Also where only a number in between overflows. The caller then takes the direct sum."""
    padding = SAME[taps]
    x, weight, bias, dy = problem(np.random.default_rng(8), 3, 20, 18, 9, 9, padding, taps)
    for n, c, i, j in ((0, 0, 0, 0), (1, 16, 4, 5), (2, 17, 8, 8)):
        worse_x, worse_dy = x.copy(), dy.copy()
        worse_x[n, c, i, j] = worse_dy[n, c, i, j] = bad
        for (got, finite), name in zip(
            computed(worse_x, weight, bias, worse_dy, padding), ("y", "dx", "dw"), strict=True
        ):
            assert not finite or np.isfinite(got).all(), name
            if not np.isfinite(bad):
                assert not finite, name
    worse = weight.copy()
    worse[17, 19, 2, 2] = bad
    assert not winograd.forward(x, worse, bias, padding)[1] or np.isfinite(bad)
    assert not winograd.backward_input(dy, worse, x.shape[2:], padding)[1] or np.isfinite(bad)


@pytest.mark.torch
@each_method
def test_kernels_match_pytorch(taps):
    torch = pytest.importorskip("torch")
    x, weight, bias, dy = problem(np.random.default_rng(9), 2, 24, 20, 10, 9, ((2, 2), (1, 1)), taps)
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
