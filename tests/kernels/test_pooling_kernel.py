"""The pooling kernels against their specification and PyTorch, their facade, and the engine's ops on top of them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernels
import minigrad
import minigrad.nn.functional as F
from kernels import pooling
from kernels.cpu.pooling import averages, maxima
from kernels.cpu.pooling.windows import regular
from kernels.errors import KernelError
from kernels.reference import pooling as reference
from kernels.reference.pooling import Windows, adaptive_windows, sliding_windows

DTYPES = (np.float32, np.float64)


def sliding(sizes, kernel_size, stride, padding=0, dilation=1):
    counts = [(n + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1 for n in sizes]
    return [sliding_windows(n, m, kernel_size, stride, padding, dilation) for n, m in zip(sizes, counts, strict=True)]


def adaptive(sizes, *counts):
    return [adaptive_windows(n, m) for n, m in zip(sizes, counts, strict=True)]


def counts_of(windows):
    return tuple(len(along.starts) for along in windows)


@st.composite
def windows_for(draw, size, dilated):
    """Windows along an axis: sliding ones in all variations that fit, or adaptive ones."""
    k, s, d = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 3)) if dilated else 1
    p = draw(st.integers(0, (d * (k - 1) + 1) // 2))
    room = size + 2 * p - d * (k - 1) - 1
    count = room // s + 1 + draw(st.integers(0, 1))  # one more: ceil_mode
    if room >= 0:
        along = sliding_windows(size, count, k, s, p, d)
        if (along.starts < along.ends).all():
            return along
    return adaptive_windows(size, draw(st.integers(1, size + 2)))


@st.composite
def problems(draw, dilated):
    """An array and windows; narrower and wider than a vector, with ties, nan and infinities in some."""
    dims = draw(st.integers(1, 2))
    sizes = tuple(draw(st.one_of(st.integers(1, 9), st.integers(14, 70))) for _ in range(dims))
    windows = [draw(windows_for(n, dilated)) for n in sizes]
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    x = rng.integers(-3, 4, (*draw(st.sampled_from([(), (1,), (3,), (2, 3)])), *sizes)).astype(
        draw(st.sampled_from(DTYPES))
    )
    if draw(st.booleans()):
        x[rng.random(x.shape) < 0.2] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    return x, windows, rng


def tolerance(dtype):
    return {"rtol": 1e-12, "atol": 1e-12} if dtype == np.float64 else {"rtol": 2e-5, "atol": 2e-5}


@pytest.fixture
def compiled(monkeypatch):
    monkeypatch.setattr(pooling, "SMALL", 0)


# ---- the compiled kernels


@given(problem=problems(dilated=True))
def test_maxima_are_those_of_the_reference(problem):
    x, windows, _ = problem
    values, indices = maxima.forward(x, windows, np.int64)
    want = reference.max_indices(x, windows)
    assert (values.dtype, indices.dtype) == (x.dtype, np.int64)
    np.testing.assert_array_equal(indices, want)
    np.testing.assert_array_equal(values, reference.gather(x, want, len(windows)))


@given(problem=problems(dilated=True))
def test_scatter_and_gather_are_those_of_the_reference(problem):
    x, windows, rng = problem
    indices = reference.max_indices(x, windows).astype(np.int32)
    dims, sizes = len(windows), x.shape[x.ndim - len(windows) :]
    dy = rng.standard_normal(indices.shape).astype(x.dtype)
    dx, outside = maxima.backward(dy, indices, sizes)
    assert (outside, dx.dtype) == (0, x.dtype)
    np.testing.assert_allclose(dx, reference.scatter_add(dy, indices, sizes), **tolerance(x.dtype))
    values, outside = maxima.gather(x, indices, dims)
    assert outside == 0
    np.testing.assert_array_equal(values, reference.gather(x, indices, dims))


@given(problem=problems(dilated=False), with_table=st.booleans())
def test_averages_are_those_of_the_reference(problem, with_table):
    x, windows, rng = problem
    sizes = x.shape[x.ndim - len(windows) :]
    divisor = rng.uniform(1, 2, counts_of(windows)) if with_table else np.asarray(-3)
    divisor = divisor.astype(x.dtype)
    means = averages.forward(x, windows, divisor)
    assert means.dtype == x.dtype
    np.testing.assert_allclose(means, reference.means(x, windows, divisor), **tolerance(x.dtype))
    dy = rng.standard_normal(means.shape).astype(x.dtype)
    dx = averages.backward(dy, sizes, windows, divisor)
    assert dx.dtype == x.dtype
    np.testing.assert_allclose(dx, reference.spread(dy, sizes, windows, divisor), **tolerance(x.dtype))


@pytest.mark.parametrize("windows", [sliding((37, 29), 2, 2), sliding((37, 29), 3, 1, 1), adaptive((37, 29), 5, 1)])
def test_on_every_instruction_set(compiled, windows):
    """Run for other processors by test_instruction_sets.py."""
    x = np.random.default_rng(0).standard_normal((3, 37, 29)).astype(np.float32)
    values, indices = pooling.max_pool_forward(x, windows)
    np.testing.assert_array_equal(indices, reference.max_indices(x, windows))
    np.testing.assert_array_equal(values, reference.gather(x, indices, 2))
    dx = pooling.max_pool_backward(values, indices, (37, 29))
    np.testing.assert_allclose(dx, reference.scatter_add(values, indices, (37, 29)), **tolerance(x.dtype))
    divisor = np.asarray(4)
    means = pooling.avg_pool_forward(x, windows, divisor)
    np.testing.assert_allclose(means, reference.means(x, windows, divisor), **tolerance(x.dtype))
    spread = pooling.avg_pool_backward(means, (37, 29), windows, divisor)
    np.testing.assert_allclose(spread, reference.spread(means, (37, 29), windows, divisor), **tolerance(x.dtype))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_gradients_that_are_not_finite_stay_in_their_windows(value):
    windows = sliding((20, 40), 3, 2, 1)
    dy = np.ones((2, *counts_of(windows)), np.float32)
    dy[1, 4, 7] = value
    dx = averages.backward(dy, (20, 40), windows, np.asarray(9))
    spoilt = np.zeros(dx.shape, bool)
    spoilt[1, 7:10, 13:16] = True
    np.testing.assert_array_equal(np.isfinite(dx), ~spoilt)


def test_patterns_are_recognised():
    """What counts as regular decides how fast it goes, which no comparison of results would notice."""

    def pattern(along, size):
        return regular(along.starts, along.ends, along.step, size)

    assert pattern(sliding_windows(28, 14, 2, 2, 0, 1), 28) == (0, 2, 2)
    assert pattern(sliding_windows(28, 14, 3, 2, 1, 1), 28) == (-1, 2, 3)
    assert pattern(sliding_windows(9, 9, 3, 1, 2, 2), 9) == (-2, 1, 3)
    assert pattern(adaptive_windows(28, 7), 28) == (0, 4, 4)
    assert pattern(adaptive_windows(28, 5), 28)[2] == 0
    assert pattern(adaptive_windows(5, 1), 5) == (0, 1, 5)


@pytest.mark.usefixtures("small_work_is_shared")
@pytest.mark.parametrize("windows", [sliding((61, 75), 3, 2, 1), adaptive((61, 75), 7, 9), adaptive((61, 75), 1, 1)])
def test_every_number_of_threads_gives_the_same_bits(windows):
    rng = np.random.default_rng(3)
    x = rng.standard_normal((5, 4, 61, 75)).astype(np.float32)  # enough for more than one thread
    dy = rng.standard_normal((5, 4, *counts_of(windows))).astype(np.float32)
    _, indices = maxima.forward(x, windows, np.int64)
    divisor = np.asarray(np.float32(7))

    def results():
        yield from maxima.forward(x, windows, np.int64)
        yield maxima.backward(dy, indices, (61, 75))[0]
        yield maxima.gather(x, indices, 2)[0]
        yield averages.forward(x, windows, divisor)
        yield averages.backward(dy, (61, 75), windows, divisor)

    before, runs = kernels.get_num_threads(), []
    try:
        for threads in {1, before}:
            kernels.set_num_threads(threads)
            runs.append([array.tobytes() for array in results()])
    finally:
        kernels.set_num_threads(before)
    assert all(run == runs[0] for run in runs)


def test_a_large_plane_is_cut_into_strips():
    x = np.random.default_rng(0).standard_normal((1, 300, 200)).astype(np.float32)
    for windows in (sliding((300, 200), 5, 3, 2), adaptive((300, 200), 7, 190)):
        want = reference.max_indices(x, windows)
        np.testing.assert_array_equal(maxima.forward(x, windows, np.int64)[1], want)
        divisor = np.asarray(np.float32(2))
        means = averages.forward(x, windows, divisor)
        np.testing.assert_allclose(means, reference.means(x, windows, divisor), rtol=1e-4, atol=1e-3)
        want = reference.spread(means, (300, 200), windows, divisor)
        np.testing.assert_allclose(averages.backward(means, (300, 200), windows, divisor), want, rtol=1e-4, atol=1e-3)


def test_a_window_of_minus_infinities_has_its_first_element():
    x = np.full((1, 1, 20, 20), -np.inf, np.float32)
    windows = sliding((20, 20), 3, 2, 1)
    _, indices = maxima.forward(x, windows, np.int64)
    np.testing.assert_array_equal(indices, reference.max_indices(x, windows))
    assert indices[0, 0, 0, 0] == 0


# ---- the facade


def test_inputs_may_be_strided_and_read_only(compiled):
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((3, 9, 2, 40))
    x = wide.transpose(0, 2, 1, 3)[..., ::2]
    wide.setflags(write=False)
    before = wide.copy()
    windows, divisor = sliding((9, 20), 2, 2), np.asarray(4)
    values, indices = pooling.max_pool_forward(x, windows)
    np.testing.assert_array_equal(indices, reference.max_indices(x, windows))
    np.testing.assert_allclose(pooling.avg_pool_forward(x, windows, divisor), reference.means(x, windows, divisor))
    dy = np.broadcast_to(values[:, :1], values.shape)
    want = reference.scatter_add(dy, indices, (9, 20))
    np.testing.assert_array_equal(pooling.max_pool_backward(dy, indices, (9, 20)), want)
    np.testing.assert_array_equal(pooling.max_pool_gather(x, indices, 2), values)
    spread = pooling.avg_pool_backward(dy, (9, 20), windows, divisor)
    np.testing.assert_allclose(spread, reference.spread(dy, (9, 20), windows, divisor))
    np.testing.assert_array_equal(wide, before)


@pytest.mark.parametrize("shape", [(0, 2, 4, 6), (0, 4, 6), (1, 1, 4, 6)])
def test_empty_batches_and_single_planes(compiled, shape):
    x, windows, divisor = np.ones(shape, np.float32), adaptive((4, 6), 2, 3), np.asarray(4)
    values, indices = pooling.max_pool_forward(x, windows, np.int32)
    assert values.shape == indices.shape == (*shape[:-2], 2, 3)
    assert indices.dtype == np.int32
    assert pooling.max_pool_backward(values, indices, (4, 6)).shape == shape
    assert pooling.max_pool_gather(x, indices, 2).shape == values.shape
    assert pooling.avg_pool_forward(x, windows, divisor).shape == values.shape
    assert pooling.avg_pool_backward(values, (4, 6), windows, divisor).shape == shape


def test_no_windows_give_nothing(compiled):
    x, windows, divisor = np.ones((2, 4, 6), np.float32), adaptive((4, 6), 0, 3), np.asarray(4)
    values, indices = pooling.max_pool_forward(x, windows)
    assert values.shape == indices.shape == (2, 0, 3)
    assert pooling.avg_pool_forward(x, windows, divisor).shape == (2, 0, 3)
    np.testing.assert_array_equal(pooling.avg_pool_backward(values, (4, 6), windows, divisor), 0 * x)
    np.testing.assert_array_equal(pooling.max_pool_backward(values, indices, (4, 6)), 0 * x)


@pytest.mark.parametrize("dtype", [np.float16, np.int64, np.uint8])
def test_other_dtypes_and_three_dims_run_on_numpy(compiled, dtype):
    x = np.arange(64).reshape(4, 4, 4).astype(dtype)
    windows = sliding((4, 4, 4), 2, 2)
    values, indices = pooling.max_pool_forward(x, windows)
    assert (values.dtype, indices.dtype) == (dtype, np.int64)
    np.testing.assert_array_equal(indices, reference.max_indices(x, windows))


X, W = np.ones((1, 4, 4), np.float32), sliding((4, 4), 2, 2)
VALUES, INDICES, FOUR = np.ones((1, 2, 2), np.float32), np.zeros((1, 2, 2), np.int64), np.asarray(4)
MISTAKES = [
    (lambda: pooling.max_pool_forward([1.0], W), "x must be a NumPy array, got list"),
    (lambda: pooling.max_pool_forward(X > 0, W), "x must be of real numbers, got bool"),
    (lambda: pooling.max_pool_forward(X, []), "windows must be given for 1 to 3 axes"),
    (lambda: pooling.max_pool_forward(X, W * 2), "windows must be given for 1 to 3 axes"),
    (lambda: pooling.max_pool_forward(X, sliding((6, 6), 2, 2)), "must hold elements 0 to 3"),
    (lambda: pooling.max_pool_forward(X, [Windows(np.array([-1]), np.array([2]))]), "must hold elements 0 to 3"),
    (lambda: pooling.max_pool_forward(X, [Windows(np.array([1]), np.array([1]))]), "at least one"),
    (lambda: pooling.max_pool_forward(X, [Windows(np.array([1]), np.array([2, 3]))]), "of one length"),
    (lambda: pooling.max_pool_forward(X, W, np.int16), "index_dtype must be int32 or int64, got int16"),
    (lambda: pooling.max_pool_backward(VALUES, INDICES[0], (4, 4)), "indices must have the shape of dy"),
    (lambda: pooling.max_pool_backward(VALUES, VALUES, (4, 4)), "indices must be int32 or int64, got float32"),
    (lambda: pooling.max_pool_backward(VALUES, INDICES, ()), "sizes must be those of 1 to 3 axes"),
    (lambda: pooling.max_pool_backward(VALUES, INDICES + 16, (4, 4)), "indices must lie in 0 to 15"),
    (lambda: pooling.max_pool_backward(VALUES, INDICES - 1, (4, 4)), "got -1 to -1"),
    (lambda: pooling.max_pool_gather(X, INDICES + 16, 2), "indices must lie in 0 to 15"),
    (lambda: pooling.max_pool_gather(X, INDICES - 1, 2), "got -1 to -1"),
    (lambda: pooling.max_pool_gather(X, INDICES[0], 2), "indices must have the shape of x"),
    (lambda: pooling.avg_pool_forward(X.astype(np.int64), W, FOUR), "x must be of a floating dtype, got int64"),
    (lambda: pooling.avg_pool_forward(X, W, 4), "divisor must be a NumPy array, got int"),
    (lambda: pooling.avg_pool_forward(X, W, np.ones(3)), r"divisor must broadcast to \(2, 2\)"),
    (lambda: pooling.avg_pool_forward(X, W, np.ones((1, 2, 2))), r"divisor must broadcast to \(2, 2\)"),
    (lambda: pooling.avg_pool_backward(X, (4, 4), W, FOUR), r"dy must be \(..., 2, 2\), got shape \(1, 4, 4\)"),
    (lambda: pooling.avg_pool_backward(VALUES, (3, 3), W, FOUR), "must hold elements 0 to 2"),
    (lambda: pooling.avg_pool_backward(VALUES, (4,), W, FOUR), "windows must be given for each of the sizes"),
]


@pytest.mark.parametrize("small", [0, 8192])
@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_mistakes_are_explained(monkeypatch, number, small):
    """By the compiled kernels, which see indices only when they use them, as by NumPy."""
    monkeypatch.setattr(pooling, "SMALL", small)
    call, message = MISTAKES[number]
    with pytest.raises(KernelError, match=message):
        call()


def test_small_problems_do_not_load_numba():
    code = (
        "import sys, numpy as np; from kernels import pooling; from kernels.reference.pooling import adaptive_windows\n"
        "x = np.ones((2, 8, 8)); w = [adaptive_windows(8, 4)] * 2\n"
        "v, i = pooling.max_pool_forward(x, w)\n"
        "pooling.max_pool_backward(v, i, (8, 8)); pooling.max_pool_gather(x, i, 2)\n"
        "pooling.avg_pool_backward(pooling.avg_pool_forward(x, w, np.asarray(4)), (8, 8), w, np.asarray(4))\n"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- the engine


CALLS = {
    "max_pool1d": lambda x: F.max_pool1d(x[0], 3, 2, 1),
    "max_pool2d": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max_pool2d dilated": lambda x: F.max_pool2d(x, 2, 1, 1, 2, True),
    "avg_pool1d": lambda x: F.avg_pool1d(x[0], 3, 1, 1, count_include_pad=False),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2, 3, 1, True),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
    "global": lambda x: F.adaptive_avg_pool2d(x, 1),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, (3, 2)),
}


@pytest.mark.parametrize("name", CALLS)
def test_derivatives_through_the_kernels(compiled, name):
    order = np.random.default_rng(0).permutation(2 * 5 * 7).reshape(1, 2, 5, 7)  # no ties, far apart
    x = minigrad.tensor(order / 10.0, requires_grad=True)
    assert minigrad.gradcheck(CALLS[name], (x,))
    assert minigrad.gradgradcheck(CALLS[name], (x,))


def test_indices_given_away_are_not_those_of_the_tape(compiled):
    x = minigrad.tensor(np.arange(16.0).reshape(1, 1, 4, 4), requires_grad=True)
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    assert indices.numpy().dtype == np.int64
    indices.numpy()[...] = 0
    values.sum().backward()
    np.testing.assert_array_equal(np.flatnonzero(x.grad.numpy()), [5, 7, 13, 15])


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("options", [(2, 2, 0, 1, False), (3, 2, 1, 1, True), (3, 1, 1, 1, False), (3, 3, 1, 2, True)])
def test_pytorch_gives_the_same(dtype, options):
    torch = pytest.importorskip("torch")
    kernel_size, stride, padding, dilation, ceil_mode = options
    data = np.random.default_rng(0).standard_normal((2, 5, 31, 37)).astype(dtype)
    ours, theirs = minigrad.tensor(data, requires_grad=True), torch.tensor(data, requires_grad=True)
    results = [
        (F.max_pool2d(ours, *options, True), torch.nn.functional.max_pool2d(theirs, *options, True)),
    ]
    if dilation == 1:
        average = kernel_size, stride, padding, ceil_mode, False
        results.append(((F.avg_pool2d(ours, *average),), (torch.nn.functional.avg_pool2d(theirs, *average),)))
    for got, want in results:
        for a, b in zip(got, want, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), **tolerance(dtype))
        (got[0] ** 2).sum().backward()
        (want[0] ** 2).sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), **tolerance(dtype))
