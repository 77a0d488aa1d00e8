"""The batch-norm kernels against their specification, the specification against numbers and PyTorch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernels
from kernels.batchnorm import SMALL
from kernels.cpu import batchnorm as cpu
from kernels.cpu.batchnorm_columns import backward_columns, eval_columns, forward_columns
from kernels.cpu.batchnorm_lines import backward_lines, eval_lines, forward_lines
from kernels.reference import batchnorm as reference

EPS = 1e-5
DTYPES = (np.float32, np.float64)
COMPILED = (forward_columns, eval_columns, backward_columns, forward_lines, eval_lines, backward_lines)

# Every path of the compiled code: one tile and many, whole panels and ragged ones, more and fewer than four rows,
# images counted as columns and as lines, lines longer than a chunk, more channels than threads and fewer.
SHAPES = [
    (2, 1),
    (3, 5),
    (4, 16),
    (7, 33),
    (65, 3),
    (131, 1025),
    (1200, 100),
    (20000, 7),
    (2, 3, 1),
    (5, 4, 3),
    (1, 6, 4, 4),
    (3, 2, 1, 2, 2),
    (1, 1, 17),
    (2, 3, 5, 7),
    (9, 5, 8, 8),
    (2, 2, 9001),
]


def problem(shape, dtype=np.float32, seed=0, center=0.0, spread=1.0):
    """dy, x, weight, bias."""
    rng = np.random.default_rng(seed)
    x = center + spread * rng.standard_normal(shape)
    dy = rng.standard_normal(shape) + 0.5
    weight, bias = rng.standard_normal((2, shape[1]))
    return tuple(array.astype(dtype) for array in (dy, x, weight, bias))


def wide(*arrays):
    return tuple(array.astype(np.float64) for array in arrays)


def per_channel(values, x):
    return values.reshape(1, -1, *(1,) * (x.ndim - 2))


def largest(x):
    """The largest absolute value in each channel, shaped to broadcast against x."""
    return np.abs(x).max(axis=(0, *range(2, x.ndim)), keepdims=True)


def tolerance(dtype):
    return 40 * np.finfo(dtype).eps


def check_forward(forward, x, weight, bias, eps=EPS):
    """Raises AssertionError unless y, mean and inv_std are those of the reference in float64."""
    y, mean, inv_std = forward(x, weight, bias, eps)
    assert (y.dtype, mean.dtype, inv_std.dtype) == (x.dtype,) * 3
    want_y, want_mean, want_inv_std = reference.forward(*wide(x, weight, bias), eps)
    # Far from zero (in standard deviations), not even the reference has all digits in float64.
    tol = tolerance(x.dtype) + tolerance(np.float64) * np.abs(want_mean * want_inv_std).max()
    np.testing.assert_allclose(mean, want_mean, rtol=tol, atol=tol * np.abs(want_y).max() / want_inv_std.min())
    np.testing.assert_allclose(inv_std, want_inv_std, rtol=tol)
    scale = largest(want_y) + largest(per_channel(weight, x)) + np.abs(per_channel(bias, x))
    error = np.abs(y - want_y) / scale
    assert error.max() < tol, f"y is off by {error.max():.1e} of its size at {np.argmax(error)}"


def check_backward(backward, dy, x, weight, mean, inv_std):
    """Raises AssertionError unless dx, dweight and dbias are those of the reference in float64.

    Errors are measured against the size of the terms that are added up, because the sums themselves may be zero.
    """
    dx, dweight, dbias = backward(dy, x, weight, mean, inv_std)
    assert (dx.dtype, dweight.dtype, dbias.dtype) == (x.dtype,) * 3
    assert (dx.shape, dweight.shape, dbias.shape) == (x.shape, mean.shape, mean.shape)
    dy, x, weight, mean, inv_std = wide(dy, x, weight, mean, inv_std)
    want = reference.backward_closed(dy, x, weight, mean, inv_std)
    x_hat = (x - per_channel(mean, x)) * per_channel(inv_std, x)
    axes = (0, *range(2, x.ndim))
    size_dweight, size_dbias = np.abs(dy * x_hat).sum(axes), np.abs(dy).sum(axes)
    values = x.size // x.shape[1]
    spread = largest(dy) + per_channel(size_dbias, x) / values + largest(x_hat) * per_channel(size_dweight, x) / values
    sizes = np.abs(per_channel(weight * inv_std, x)) * spread, size_dweight, size_dbias
    for name, got, expected, size in zip(("dx", "dweight", "dbias"), (dx, dweight, dbias), want, sizes, strict=True):
        error = np.abs(got - expected) / np.maximum(size, np.finfo(np.float64).tiny)
        assert error.max() < tolerance(dx.dtype), f"{name} is off by {error.max():.1e} at {np.argmax(error)}"


def check_eval(forward_eval, x, running_mean, running_var, weight, bias, eps=EPS):
    y = forward_eval(x, running_mean, running_var, weight, bias, eps)
    assert y.dtype == x.dtype
    want = reference.forward_eval(*wide(x, running_mean, running_var, weight, bias), eps)
    scale = largest(want) + np.abs(per_channel(bias, x))
    assert (np.abs(y - want) <= tolerance(x.dtype) * scale).all()


def statistics(x):
    ones = np.ones(x.shape[1], x.dtype)
    return reference.forward(x, ones, ones, EPS)[1:]


# ---- the specification


@pytest.mark.parametrize("shape", [(5, 4), (2, 1), (3, 2, 4), (2, 3, 2, 2)])
def test_reference_backward_is_the_derivative(shape):
    """Complex step: the imaginary part of f(x + ih) / h has no rounding error to speak of."""
    dy, x, weight, bias = problem(shape, np.float64)
    _, mean, inv_std = reference.forward(x, weight, bias, EPS)
    step = 1e-100

    def slope(argument, index):
        inputs = [x.astype(complex), weight.astype(complex), bias.astype(complex)]
        inputs[argument].flat[index] += 1j * step
        return (reference.forward(*inputs, EPS)[0].imag * dy).sum() / step

    for backward in (reference.backward_staged, reference.backward_closed):
        for argument, gradient in enumerate(backward(dy, x, weight, mean, inv_std)):
            numerical = [slope(argument, i) for i in range(gradient.size)]
            np.testing.assert_allclose(gradient.ravel(), numerical, rtol=1e-11, atol=1e-12)


@given(st.integers(2, 20), st.integers(1, 5), st.integers(1, 4), st.integers(0, 10**6))
def test_staged_and_closed_reference_agree(samples, channels, positions, seed):
    dy, x, weight, _ = problem((samples, channels, positions), np.float64, seed)
    check_backward(reference.backward_staged, dy, x, weight, *statistics(x))


# ---- the compiled kernels


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_compiled_equals_reference(shape, dtype):
    dy, x, weight, bias = problem(shape, dtype, center=3.0, spread=2.0)
    check_forward(cpu.forward, x, weight, bias)
    check_eval(cpu.forward_eval, x, bias, weight * weight, weight, bias)
    check_backward(cpu.backward, dy, x, weight, *statistics(x))


shapes = st.one_of(
    st.tuples(st.integers(2, 300), st.integers(1, 70)),
    st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(2, 40)),
    st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 6), st.integers(2, 6)),
)


@given(
    shape=shapes,
    dtype=st.sampled_from(DTYPES),
    center=st.sampled_from([0.0, -50.0, 1e4]),
    spread=st.sampled_from([1e-3, 1.0, 1e3]),
    seed=st.integers(0, 10**6),
)
def test_any_shape_equals_reference(shape, dtype, center, spread, seed):
    """Both the compiled functions, whatever the size, and what the facade chooses."""
    dy, x, weight, bias = problem(shape, dtype, seed, center, spread)
    check_forward(cpu.forward, x, weight, bias)
    check_forward(kernels.batch_norm_forward, x, weight, bias)
    check_eval(cpu.forward_eval, x, bias, weight * weight, weight, bias)
    check_eval(kernels.batch_norm_eval, x, bias, weight * weight, weight, bias)
    check_backward(cpu.backward, dy, x, weight, *statistics(x))
    check_backward(kernels.batch_norm_backward, dy, x, weight, *statistics(x))


LARGE = [(SMALL // 8, 16), (4, 8, 24, 24)]  # what the facade hands to the compiled kernels


@pytest.mark.parametrize("shape", LARGE)
def test_facade_chooses_by_size(shape, monkeypatch):
    dy, x, weight, bias = problem(shape)
    called = []
    for name in ("forward", "forward_eval", "backward"):
        monkeypatch.setattr(cpu, name, lambda *_, name=name: called.append(name))
    kernels.batch_norm_forward(x, weight, bias, EPS)
    kernels.batch_norm_eval(x, bias, bias, weight, bias, EPS)
    kernels.batch_norm_backward(dy, x, weight, bias, bias)
    assert called == ["forward", "forward_eval", "backward"]
    kernels.batch_norm_forward(x[:, :1], weight[:1], bias[:1], EPS)
    assert called == ["forward", "forward_eval", "backward"]


@pytest.mark.parametrize("shape", [(6, 5), *LARGE])
def test_weight_and_bias_may_be_none(shape):
    dy, x, weight, bias = problem(shape)
    ones, zeros = np.ones_like(weight), np.zeros_like(bias)
    _, mean, inv_std = both = kernels.batch_norm_forward(x, None, None, EPS)
    for got, want in zip(both, kernels.batch_norm_forward(x, ones, zeros, EPS), strict=True):
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(
        kernels.batch_norm_eval(x, mean, inv_std, None, None, EPS),
        kernels.batch_norm_eval(x, mean, inv_std, ones, zeros, EPS),
    )
    for got, want in zip(
        kernels.batch_norm_backward(dy, x, None, mean, inv_std),
        kernels.batch_norm_backward(dy, x, ones, mean, inv_std),
        strict=True,
    ):
        np.testing.assert_array_equal(got, want)


@pytest.mark.usefixtures("small_work_is_shared")
@pytest.mark.parametrize("shape", [(600, 700), (3000, 64), (64, 5, 3, 3), (40, 7, 31, 33)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_any_number_of_threads(shape, dtype):
    dy, x, weight, bias = problem(shape, dtype)
    mean, inv_std = statistics(x)
    before = kernels.get_num_threads()
    results = []
    try:
        for threads in range(1, kernels.max_num_threads() + 1):
            kernels.set_num_threads(threads)
            assert kernels.get_num_threads() == threads
            results.append(
                [
                    *cpu.forward(x, weight, bias, EPS),
                    cpu.forward_eval(x, mean, inv_std, weight, bias, EPS),
                    *cpu.backward(dy, x, weight, mean, inv_std),
                ]
            )
    finally:
        kernels.set_num_threads(before)
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("shape", [(4000, 30), (50, 30, 9, 9)])
def test_values_far_from_zero(shape):
    """Mean 1e6 and standard deviation 1 in float32, where E[x^2] - E[x]^2 has no correct digit left."""
    dy, x, weight, bias = problem(shape, np.float32, center=1e6)
    check_forward(cpu.forward, x, weight, bias)
    _, mean, inv_std = cpu.forward(x, weight, bias, EPS)
    check_backward(cpu.backward, dy, x, weight, mean, inv_std)
    shifted = (x.astype(np.float64) - 1e6).astype(np.float32)
    np.testing.assert_allclose(inv_std, cpu.forward(shifted, weight, bias, EPS)[2], rtol=1e-5)
    naive = (x * x).mean(axis=0) - x.mean(axis=0) ** 2
    assert np.abs(naive).max() > 100, "this input would not catch the textbook formula"


def test_small_float32_arrays_far_from_zero_go_through_numpy_unharmed():
    _, x, weight, bias = problem((50, 4), np.float32, center=1e6)
    check_forward(kernels.batch_norm_forward, x, weight, bias)


@pytest.mark.parametrize("shape", [(3_000_000, 1), (2, 1, 1_500_000)])
def test_long_float32_sums_keep_their_digits(shape):
    """Three million values. Equal ones are the hardest: each addition to a float32 sum rounds the same way."""
    x = (np.random.default_rng(5).random(shape) + 1).astype(np.float32)
    dy = np.full(shape, 0.1, np.float32)
    one = np.ones(1, np.float32)
    _, mean, inv_std = cpu.forward(x, one, one, EPS)
    x64, dy64 = wide(x, dy)
    np.testing.assert_allclose(mean, x64.mean(), rtol=2e-7)
    np.testing.assert_allclose(inv_std, 1 / np.sqrt(x64.var() + EPS), rtol=5e-7)
    _, dweight, dbias = cpu.backward(dy, x, one, np.zeros(1, np.float32), one)
    np.testing.assert_allclose(dbias, dy64.sum(), rtol=2e-6)
    np.testing.assert_allclose(dweight, (dy64 * x64).sum(), rtol=2e-6)


@pytest.mark.parametrize("shape", [(6400, 3), (4, 3, 1600)])
def test_one_outlier_does_not_spoil_the_variance(shape):
    """The first value is the worst point to measure distances from, if it is the outlier."""
    _, x, weight, bias = problem(shape, np.float32)
    x[0] = 1e4
    check_forward(cpu.forward, x, weight, bias)


@pytest.mark.parametrize("shape", [(2, 3), (3, 3), (67, 3), (3, 3, 40)])
@pytest.mark.parametrize("value", [0.1, -7.3, 1e6])
def test_constant_channels_have_no_variance(shape, value):
    x = np.full(shape, value, np.float32)
    one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
    y, mean, inv_std = cpu.forward(x, one, zero, 1e-5)
    np.testing.assert_array_equal(y, 0)
    np.testing.assert_array_equal(mean, np.float32(value))
    np.testing.assert_allclose(inv_std, 1 / np.sqrt(1e-5), rtol=1e-6)


@pytest.mark.parametrize("shape", [(9, 3), (9, 300), (6, 3, 20), (2048, 5), (64, 5, 30)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinity_spread_through_their_channel_and_no_further(shape, bad, dtype):
    dy, x, weight, bias = problem(shape, dtype)
    mean, inv_std = statistics(x)
    spoilt = x.copy()
    spoilt[1, 1] = bad
    others = np.arange(shape[1]) != 1

    for forward in (cpu.forward, kernels.batch_norm_forward):
        y, got_mean, got_inv_std = forward(spoilt, weight, bias, EPS)
        assert np.isnan(y[:, 1]).all()
        assert np.isfinite(y[:, others]).all()
        assert not np.isfinite(got_mean[1])
        assert np.isnan(got_inv_std[1])

    for backward in (cpu.backward, kernels.batch_norm_backward):
        bad_dy = dy.copy()
        bad_dy[1, 1] = bad
        dx, dweight, dbias = backward(bad_dy, x, weight, mean, inv_std)
        assert not np.isfinite(dx[:, 1]).any()
        assert not np.isfinite(dweight[1])
        np.testing.assert_array_equal(dbias[1], bad)
        assert np.isfinite(dx[:, others]).all()
        dx, dweight, dbias = backward(dy, spoilt, weight, mean, inv_std)
        assert not np.isfinite(dx[:, 1]).any()
        assert not np.isfinite(dweight[1])
        assert np.isfinite(dbias).all()

    for forward_eval in (cpu.forward_eval, kernels.batch_norm_eval):
        y = forward_eval(spoilt, mean, inv_std, weight, bias, EPS)
        np.testing.assert_array_equal(np.isfinite(y), np.isfinite(spoilt))


@pytest.mark.parametrize("shape", [(20, 6), *LARGE])
def test_zero_weight_does_not_hide_a_nan(shape):
    dy, x, _, bias = problem(shape)
    dy[0, 0] = np.nan
    dx, _, _ = kernels.batch_norm_backward(dy, x, np.zeros_like(bias), *statistics(x))
    assert np.isnan(dx[:, 0]).all()


@pytest.mark.parametrize("shape", [(40, 6), *LARGE])
def test_eps_zero_and_no_variance_is_nan_without_a_warning(shape):
    x = np.ones(shape, np.float32)
    y, mean, inv_std = kernels.batch_norm_forward(x, None, None, 0.0)
    assert np.isnan(y).all()
    assert (mean == 1).all()
    assert np.isinf(inv_std).all()
    assert np.isnan(kernels.batch_norm_backward(x, x, None, mean, inv_std)[0]).all()


# ---- layouts


def rearranged(x):
    """The same values in memory layouts that the kernels do not work on directly."""
    doubled = np.zeros((2 * x.shape[0], *x.shape[1:]), x.dtype)
    doubled[::2] = x
    yield np.asfortranarray(x)
    yield doubled[::2]
    yield np.ascontiguousarray(x[::-1])[::-1]
    yield np.ascontiguousarray(np.moveaxis(x, 1, -1)).swapaxes(1, -1) if x.ndim == 3 else x.T.copy().T
    unaligned = np.frombuffer(b"?" + x.tobytes(), x.dtype, offset=1).reshape(x.shape)
    assert not unaligned.flags.aligned
    yield unaligned


@pytest.mark.parametrize("shape", [(12, 9), (SMALL // 16, 20), (6, 4, 8), (16, 8, 80)])
def test_layout_changes_nothing(shape):
    dy, x, weight, bias = problem(shape)
    for functions in (
        (kernels.batch_norm_forward, kernels.batch_norm_eval, kernels.batch_norm_backward),
        (cpu.forward, cpu.forward_eval, cpu.backward),
    ):
        forward, forward_eval, backward = functions
        y, mean, inv_std = forward(x, weight, bias, EPS)
        z = forward_eval(x, mean, inv_std, weight, bias, EPS)
        gradients = backward(dy, x, weight, mean, inv_std)
        strided = np.repeat(weight, 3)[::3]
        for other_x, other_dy in zip(rearranged(x), rearranged(dy), strict=True):
            np.testing.assert_array_equal(forward(other_x, strided, bias, EPS)[0], y)
            np.testing.assert_array_equal(forward_eval(other_x, mean, inv_std, strided, bias, EPS), z)
            for got, want in zip(backward(other_dy, other_x, strided, mean, inv_std), gradients, strict=True):
                np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("shape", [(30, 20), (3, 4, 50)])
def test_inputs_are_left_alone_and_one_version_serves_them_all(shape):
    dy, x, weight, bias = problem(shape)
    given = dy, x, weight, bias
    copies = [array.copy() for array in given]

    def run():
        _, mean, inv_std = cpu.forward(x, weight, bias, EPS)
        cpu.forward_eval(x, mean, inv_std, weight, bias, EPS)
        cpu.backward(dy, x, weight, mean, inv_std)

    run()
    versions = {function.py_func.__name__: list(function.entry.signatures) for function in COMPILED}
    for array in given:
        array.setflags(write=False)
    run()
    assert {function.py_func.__name__: list(function.entry.signatures) for function in COMPILED} == versions
    for array, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_warmup_compiles_one_version_per_dtype():
    kernels.warmup()
    for function in COMPILED:
        dtypes = [str(signature[0].dtype) for signature in function.entry.signatures]
        assert sorted(dtypes) == ["float32", "float64"], function.py_func.__name__


def test_channels_without_samples_and_samples_without_channels():
    for shape in ((5, 0), (5, 0, 3), (0, 0)):
        x, none = np.zeros(shape, np.float32), np.zeros(0, np.float32)
        y, mean, inv_std = kernels.batch_norm_forward(x, none, none, EPS)
        assert (y.shape, mean.shape, inv_std.shape) == (shape, (0,), (0,))
        assert kernels.batch_norm_eval(x, none, none, none, none, EPS).shape == shape
        assert [g.shape for g in kernels.batch_norm_backward(x, x, none, none, none)] == [shape, (0,), (0,)]
    for shape in ((0, 4), (0, 4, 3), (5, 4, 0)):
        x, four = np.zeros(shape, np.float32), np.ones(4, np.float32)
        assert kernels.batch_norm_eval(x, four, four, four, four, EPS).shape == shape
        dx, dweight, dbias = kernels.batch_norm_backward(x, x, four, four, four)
        assert dx.shape == shape
        np.testing.assert_array_equal([dweight, dbias], np.zeros((2, 4)))


# ---- PyTorch


@pytest.mark.torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(6, 5), (1200, 100), (5, 4, 3), (9, 5, 8, 8), (2, 2, 9001)])
def test_torch_agrees(shape, dtype):
    torch = pytest.importorskip("torch", reason="live comparison with PyTorch")
    dy, x, weight, bias = problem(shape, dtype)
    leaves = [torch.tensor(array, requires_grad=True) for array in (x, weight, bias)]
    running_mean, running_var = torch.tensor(bias), torch.tensor(weight * weight)
    want_eval = torch.nn.functional.batch_norm(leaves[0], running_mean, running_var, *leaves[1:], eps=EPS)
    want = torch.nn.functional.batch_norm(leaves[0], None, None, *leaves[1:], training=True, eps=EPS)
    want.backward(torch.from_numpy(dy))
    tol = 20 * np.finfo(dtype).eps
    for module in (cpu, kernels):
        forward = getattr(module, "batch_norm_forward", None) or module.forward
        forward_eval = getattr(module, "batch_norm_eval", None) or module.forward_eval
        backward = getattr(module, "batch_norm_backward", None) or module.backward
        y, mean, inv_std = forward(x, weight, bias, EPS)
        z = forward_eval(x, bias, weight * weight, weight, bias, EPS)
        np.testing.assert_allclose(y, want.detach(), rtol=tol, atol=5 * tol)
        np.testing.assert_allclose(z, want_eval.detach(), rtol=tol, atol=5 * tol * np.abs(z).max())
        for got, leaf in zip(backward(dy, x, weight, mean, inv_std), leaves, strict=True):
            np.testing.assert_allclose(got, leaf.grad, rtol=tol, atol=5 * tol * np.sqrt(x.size / x.shape[1]))


# ---- the checks themselves


def mistaken_backward(mistake):
    """The closed form with one mistake in it, in float64."""

    def backward(dy, x, weight, mean, inv_std):
        dtype = x.dtype
        dy, x, weight, mean, inv_std = wide(dy, x, weight, mean, inv_std)
        axes = (0, *range(2, x.ndim))
        m = x.size // x.shape[1]
        x_hat = (x - per_channel(mean, x)) * per_channel(inv_std, x)
        dweight, dbias = (dy * x_hat).sum(axes), dy.sum(axes)
        direct, through_mean = dy, -per_channel(dbias, x) / m
        through_var = -x_hat * per_channel(dweight, x) / m
        scale = per_channel(weight * inv_std, x)
        if mistake == "no mean term":
            through_mean = 0
        elif mistake == "no var term":
            through_var = 0
        elif mistake == "no direct term":
            direct = 0
        elif mistake == "sign of mean":
            through_mean = -through_mean
        elif mistake == "sign of var":
            through_var = -through_var
        elif mistake == "N-1 in mean":
            through_mean = through_mean * m / (m - 1)
        elif mistake == "N-1 in var":
            through_var = through_var * m / (m - 1)
        elif mistake == "no weight":
            scale = per_channel(inv_std, x)
        elif mistake == "zeros":
            scale = np.zeros_like(scale)
        elif mistake == "dweight sign":
            dweight = -dweight
        elif mistake == "dweight without x_hat":
            dweight = dbias
        elif mistake == "dbias mean":
            dbias = dbias / m
        elif mistake == "one element":
            direct = direct.copy()
            direct[-1, -1] *= 1.001
        dx = scale * (direct + through_mean + through_var)
        return tuple(np.asarray(array, dtype) for array in (dx, dweight, dbias))

    return backward


MISTAKES = [
    "no mean term",
    "no var term",
    "no direct term",
    "sign of mean",
    "sign of var",
    "N-1 in mean",
    "N-1 in var",
    "no weight",
    "zeros",
    "dweight sign",
    "dweight without x_hat",
    "dbias mean",
    "one element",
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 5), (65, 3), (1200, 100), (5, 4, 3), (9, 5, 8, 8)])
def test_planted_mistakes_are_caught(shape, dtype):
    dy, x, weight, _ = problem(shape, dtype, center=3.0, spread=2.0)
    given = dy, x, weight, *statistics(x)
    check_backward(mistaken_backward("none"), *given)
    for mistake in MISTAKES:
        with pytest.raises(AssertionError, match="is off by"):
            check_backward(mistaken_backward(mistake), *given)


def test_planted_mistakes_in_the_forward_are_caught():
    _, x, weight, bias = problem((200, 7), np.float32, center=3.0)

    def unbiased(x, weight, bias, eps):
        y, mean, _ = reference.forward(x, weight, bias, eps)
        return y, mean, (1 / np.sqrt(x.var(axis=0, ddof=1) + eps)).astype(x.dtype)

    def textbook_variance(x, weight, bias, eps):
        y, mean, _ = reference.forward(x, weight, bias, eps)
        return y, mean, 1 / np.sqrt(np.abs((x * x).mean(axis=0) - x.mean(axis=0) ** 2) + np.float32(eps))

    def no_bias(x, weight, bias, eps):
        return reference.forward(x, weight, np.zeros_like(bias), eps)

    for wrong, center in ((unbiased, 0), (no_bias, 0), (textbook_variance, 1e4)):
        with pytest.raises(AssertionError):
            check_forward(wrong, x + np.float32(center), weight, bias)


# ---- arguments that do not fit


GOOD = np.ones((4, 3), np.float32)
C3 = np.ones(3, np.float32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: kernels.batch_norm_forward([[1.0, 2.0]], None, None, EPS),
            r"batch_norm_forward: x must be a NumPy array, got list; np\.asarray\(x, dtype=np\.float32\) makes one",
        ),
        (
            lambda: kernels.batch_norm_forward(np.ones((4, 3), int), None, None, EPS),
            "batch_norm_forward: x must be float32 or float64, got int64",
        ),
        (
            lambda: kernels.batch_norm_forward(GOOD.astype(np.float16), None, None, EPS),
            "batch_norm_forward: x must be float32 or float64, got float16",
        ),
        (
            lambda: kernels.batch_norm_forward(C3, None, None, EPS),
            r"batch_norm_forward: x must be \(N, C\) or \(N, C, \.\.\.\), got 1 dimension\(s\): shape \(3,\)",
        ),
        (
            lambda: kernels.batch_norm_forward(GOOD, np.ones(4, np.float32), None, EPS),
            r"weight must have shape \(3,\), one value for each channel of x \(shape \(4, 3\)\), got \(4,\)",
        ),
        (
            lambda: kernels.batch_norm_forward(GOOD, None, np.ones((1, 3), np.float32), EPS),
            r"bias must have shape \(3,\), .* got \(1, 3\)",
        ),
        (
            lambda: kernels.batch_norm_forward(GOOD, C3.astype(np.float64), None, EPS),
            r"weight must have the dtype of x, which is float32, got float64; use weight\.astype\(x\.dtype\)",
        ),
        (
            lambda: kernels.batch_norm_forward(GOOD[:1], None, None, EPS),
            r"x has shape \(1, 3\), that is 1 value\(s\) per channel; training needs at least 2",
        ),
        (
            lambda: kernels.batch_norm_forward(GOOD[:0], None, None, EPS),
            r"x has shape \(0, 3\), that is 0 value\(s\) per channel",
        ),
        (
            lambda: kernels.batch_norm_forward(GOOD, None, None, -1e-5),
            "batch_norm_forward: eps must be zero or positive, got -1e-05",
        ),
        (
            lambda: kernels.batch_norm_forward(GOOD, None, None, float("nan")),
            "batch_norm_forward: eps must be zero or positive, got nan",
        ),
        (
            lambda: kernels.batch_norm_forward(GOOD, None, None, "small"),
            "batch_norm_forward: eps must be a real number, got 'small'",
        ),
        (
            lambda: kernels.batch_norm_eval(GOOD, None, C3, None, None, EPS),
            "batch_norm_eval: running_mean must be a NumPy array, got NoneType",
        ),
        (
            lambda: kernels.batch_norm_eval(GOOD, C3, C3[:2], None, None, EPS),
            r"batch_norm_eval: running_var must have shape \(3,\), .* got \(2,\)",
        ),
        (
            lambda: kernels.batch_norm_eval(GOOD, C3, C3, None, None, -1),
            "batch_norm_eval: eps must be zero or positive, got -1.0",
        ),
        (
            lambda: kernels.batch_norm_backward(GOOD[:2], GOOD, None, C3, C3),
            r"batch_norm_backward: dy must have the shape of x, which is \(4, 3\), got \(2, 3\)",
        ),
        (
            lambda: kernels.batch_norm_backward(GOOD.astype(np.float64), GOOD, None, C3, C3),
            "batch_norm_backward: dy must have the dtype of x, which is float32, got float64",
        ),
        (
            lambda: kernels.batch_norm_backward(GOOD, GOOD, None, C3[:1], C3),
            r"batch_norm_backward: mean must have shape \(3,\)",
        ),
        (
            lambda: kernels.batch_norm_backward(GOOD, GOOD, None, C3, 1.0),
            "batch_norm_backward: inv_std must be a NumPy array, got float",
        ),
        (lambda: kernels.set_num_threads(0), "set_num_threads: n must be a whole number from 1 to"),
        (lambda: kernels.set_num_threads(10**6), "set_num_threads: n must be .* got 1000000"),
        (lambda: kernels.set_num_threads(1.5), r"set_num_threads: n must be .* got 1\.5"),
    ],
)
def test_errors_say_what_was_wrong(call, message):
    with pytest.raises(kernels.KernelError, match=message):
        call()


def test_kernel_error_is_a_value_error():
    assert issubclass(kernels.KernelError, ValueError)


# ---- start-up


def test_importing_and_small_problems_leave_numba_alone():
    code = """
import sys, numpy as np, kernels, kernels.benchmark
x = np.ones((8, 4), np.float32); x[0] = 2
_, mean, inv_std = kernels.batch_norm_forward(x, None, None, 1e-5)
kernels.batch_norm_eval(x, mean, inv_std, None, None, 1e-5)
kernels.batch_norm_backward(x, x, None, mean, inv_std)
heavy = {"numba", "llvmlite", "torch", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], check=True)
