"""The compiled direct convolution against its specification, the same bits on any number of threads, and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernels
from kernels.cpu.convolution import direct, direct_backward
from kernels.reference import convolution as reference

DTYPES = {"f4": 2e-5, "f8": 1e-12}  # and the error allowed, relative to the largest magnitudes that are added up


@st.composite
def problems(draw):
    """x, weight, dy and options that fit: any stride, padding, dilation and groups, channels in odd numbers."""

    def pair(one):
        return draw(st.tuples(one, one))

    kernel_size, stride, dilation = pair(st.integers(1, 4)), pair(st.integers(1, 3)), pair(st.integers(1, 3))
    padding = pair(st.tuples(st.integers(0, 3), st.integers(-2, 3)))
    sizes = tuple(
        max(1, d * (k - 1) + 1 - sum(pads)) + draw(st.integers(0, 19))
        for k, d, pads in zip(kernel_size, dilation, padding, strict=True)
    )
    groups, inputs, batch = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.integers(0, 3))
    outputs = draw(st.sampled_from([1, 2, 7, 16, 17, 33, 70]))
    rng, dtype = np.random.default_rng(draw(st.integers(0, 9))), draw(st.sampled_from(list(DTYPES)))
    x = rng.standard_normal((batch, inputs * groups, *sizes)).astype(dtype)
    weight = rng.standard_normal((outputs * groups, inputs, *kernel_size)).astype(dtype)
    counts = reference.output_size(sizes, kernel_size, stride, padding, dilation)
    dy = rng.standard_normal((batch, outputs * groups, *counts)).astype(dtype)
    bias = rng.standard_normal(outputs * groups).astype(dtype)
    return x, weight, bias, dy, (stride, padding, dilation, groups)


def assert_near(got, want, magnitude):
    """got is want, up to rounding errors of sums whose terms have magnitudes that add up to `magnitude`."""
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    assert np.all(np.abs(got - want) <= DTYPES[want.dtype.str[1:]] * magnitude)


def results(module_pair, x, weight, bias, dy, options):
    first, second = module_pair
    return (
        first.forward(x, weight, bias, *options),
        second.backward_input(dy, weight, x.shape[2:], *options),
        second.backward_weight(x, dy, weight.shape[2:], *options),
    )


def expected(x, weight, bias, dy, options):
    return (
        reference.forward(x, weight, *options) + bias[:, None, None],
        reference.backward_input(dy, weight, x.shape[2:], *options),
        reference.backward_weight(x, dy, weight.shape[2:], *options),
    )


COMPILED = (direct, direct_backward)


@given(problem=problems())
def test_against_the_specification(problem):
    *arrays, options = problem
    given_arrays = [a.copy() for a in arrays]
    found = results(COMPILED, *arrays, options)
    magnitudes = expected(*map(np.abs, arrays), options)
    for got, want, magnitude in zip(found, expected(*arrays, options), magnitudes, strict=True):
        assert_near(got, want, magnitude)
    for now, was in zip(arrays, given_arrays, strict=True):
        assert np.array_equal(now, was)


@pytest.mark.parametrize("channels", [64, 65, 200])
def test_sums_that_wait_between_blocks_of_taps(channels):
    """The taps fill one block, one and a bit or several; the pixels no whole number of tiles, nor of groups of them."""
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((1, channels, 7, 11))
    weight, bias = rng.standard_normal((33, channels, 1, 1)), rng.standard_normal(33)
    options = (1, 1), ((0, 0), (0, 0)), (1, 1), 1
    want = reference.forward(x, weight, *options) + bias[:, None, None]
    magnitude = reference.forward(abs(x), abs(weight), *options) + abs(bias)[:, None, None]
    assert_near(direct.forward(x, weight, bias, *options), want, magnitude)


def random(seed, *shape, dtype="f4"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def example(n, channels, filters, size, kernel_size, stride, padding, dtype="f4", groups=1):
    options = ((stride, stride), ((padding, padding),) * 2, (1, 1), groups)
    x, bias = random(0, n, channels, *size, dtype=dtype), random(2, filters, dtype=dtype)
    weight = random(1, filters, channels // groups, kernel_size, kernel_size, dtype=dtype)
    counts = reference.output_size(size, weight.shape[2:], *options[:3])
    return x, weight, bias, random(3, n, filters, *counts, dtype=dtype), options


EXAMPLES = {
    "several bands and panels": (2, 20, 130, (70, 61), 3, 1, 1),
    "one image in bands, stride 2": (1, 16, 64, (45, 40), 3, 2, 1),
    "pointwise, no copy": (3, 130, 64, (17, 16), 1, 1, 0),
    "pointwise, stride 2": (2, 24, 32, (15, 16), 1, 2, 0),
    "one pixel": (1, 1, 1, (1, 1), 1, 1, 0),
    "many parts": (40, 3, 16, (12, 12), 5, 1, 0),
    "several blocks of channels": (1, 150, 70, (20, 20), 3, 1, 1),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_larger_shapes(name):
    *arrays, options = example(*EXAMPLES[name])
    magnitudes = expected(*map(np.abs, arrays), options)
    found = results(COMPILED, *arrays, options)
    for got, want, magnitude in zip(found, expected(*arrays, options), magnitudes, strict=True):
        assert_near(got, want, magnitude)


@pytest.mark.usefixtures("small_work_is_shared")
@pytest.mark.parametrize("name", EXAMPLES)
def test_same_bits_on_any_number_of_threads(name):
    *arrays, options = example(*EXAMPLES[name])
    before, found = kernels.get_num_threads(), []
    try:
        for threads in range(1, min(kernels.max_num_threads(), 3) + 1):
            kernels.set_num_threads(threads)
            found.append(results(COMPILED, *arrays, options))
    finally:
        kernels.set_num_threads(before)
    for others in found[1:]:
        for one, other in zip(found[0], others, strict=True):
            assert one.tobytes() == other.tobytes()


def test_strided_and_read_only_inputs():
    *arrays, options = example(2, 6, 20, (9, 8), 3, 2, 1)
    odd = [np.repeat(a, 2, axis=-1)[..., ::2] for a in arrays]
    for a in odd:
        a.flags.writeable = False
    for one, other in zip(results(COMPILED, *arrays, options), results(COMPILED, *odd, options), strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_spread_as_in_the_specification(bad):
    """But only to what depends on them: no window reads its neighbour's pixels, nor zeros times infinity."""
    *arrays, options = example(3, 5, 20, (11, 10), 3, 2, 1)
    for which in range(len(arrays)):
        spoilt = [a.copy() for a in arrays]
        spoilt[which].reshape(-1)[spoilt[which].size // 2] = bad
        for got, want in zip(results(COMPILED, *spoilt, options), expected(*spoilt, options), strict=True):
            assert np.array_equal(np.isnan(got), np.isnan(want))
            assert np.array_equal(np.isposinf(got), np.isposinf(want))
            assert np.array_equal(np.isneginf(got), np.isneginf(want))


def test_without_bias():
    x, weight, bias, _, options = example(2, 6, 20, (9, 8), 3, 1, 1)
    plain = direct.forward(x, weight, None, *options)
    assert plain.tobytes() == direct.forward(x, weight, np.zeros_like(bias), *options).tobytes()


@pytest.mark.torch
@given(problem=problems())
def test_against_torch(problem):
    torch = pytest.importorskip("torch", reason="compares with PyTorch; the other tests have the specification")
    x, weight, bias, dy, (stride, padding, dilation, groups) = problem
    before = [first for first, _ in padding]
    symmetric = tuple((first, first) for first in before)
    counts = reference.output_size(x.shape[2:], weight.shape[2:], stride, symmetric, dilation)
    if min(counts) < 1 or not len(x):
        return
    dy = np.resize(dy, (*dy.shape[:2], *counts)) if dy.size else np.ones((*dy.shape[:2], *counts), x.dtype)
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = torch.conv2d(*leaves, stride, before, dilation, groups)
    y.backward(torch.tensor(dy))
    options = (stride, symmetric, dilation, groups)
    found = results(COMPILED, x, weight, bias, dy, options)
    magnitudes = expected(*map(np.abs, (x, weight, bias, dy)), options)
    for got, want, magnitude in zip(found, (y.detach(), leaves[0].grad, leaves[1].grad), magnitudes, strict=True):
        assert_near(got, want.numpy(), magnitude)
