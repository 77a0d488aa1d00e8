"""Convolutions whose lanes run along the pixels of a row, few channels and depthwise, against their specification."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import kernels
from kernels.cpu.convolution import depthwise, depthwise_backward, few_channels, few_channels_backward, strips
from kernels.cpu.convolution.border import BAND_BYTES
from kernels.reference import convolution as reference

DTYPES = (np.float32, np.float64)
ONE = (1, 1)


def few_problem(dtype, batch, inputs, outputs, sizes, kernel_size, padding, dilation, seed=0):
    """x, weight, bias, dy and the options of a convolution without stride and groups."""
    return *_arrays(dtype, batch, inputs, outputs, inputs, sizes, kernel_size, (ONE, padding, dilation), seed), (
        padding,
        dilation,
    )


def depthwise_problem(dtype, batch, channels, filters, sizes, kernel_size, options, seed=0):
    return *_arrays(dtype, batch, channels, channels * filters, 1, sizes, kernel_size, options, seed), options


def _arrays(dtype, batch, inputs, outputs, inputs_of_filter, sizes, kernel_size, options, seed):
    rng = np.random.default_rng(seed)
    windows = reference.output_size(sizes, kernel_size, *options)
    shapes = (
        (batch, inputs, *sizes),
        (outputs, inputs_of_filter, *kernel_size),
        (outputs,),
        (batch, outputs, *windows),
    )
    return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


def close(got, want, size, dtype):
    """Errors are measured against the sum of the absolute values of what is added up."""
    assert got.dtype == dtype
    assert got.shape == want.shape
    assert (np.abs(got - want) <= 30 * np.finfo(dtype).eps * size).all()


def check_few(x, weight, bias, dy, options):
    """Raises AssertionError unless all three are those of the reference in float64."""
    dtype = x.dtype
    wide = [a.astype(np.float64) for a in (x, weight, dy)]
    size = [np.abs(a) for a in wide]
    padding, dilation = options
    full = ONE, padding, dilation, 1

    def both(function, first, second, *more):
        return function(wide[first], wide[second], *more, *full), function(size[first], size[second], *more, *full)

    want, scale = both(reference.forward, 0, 1)
    shift = bias.astype(np.float64)[:, None, None]
    close(few_channels.forward(x, weight, bias, *options), want + shift, scale + np.abs(shift), dtype)
    dx = few_channels_backward.backward_input(dy, weight, x.shape[2:], *options)
    close(dx, *both(reference.backward_input, 2, 1, x.shape[2:]), dtype)
    dweight = few_channels_backward.backward_weight(x, dy, weight.shape[2:], *options)
    close(dweight, *both(reference.backward_weight, 0, 2, weight.shape[2:]), dtype)


def check_depthwise(x, weight, bias, dy, options):
    dtype, channels = x.dtype, x.shape[1]
    wide = [a.astype(np.float64) for a in (x, weight, dy)]
    size = [np.abs(a) for a in wide]

    def both(function, first, second, *more):
        rest = *more, *options, channels
        return function(wide[first], wide[second], *rest), function(size[first], size[second], *rest)

    want, scale = both(reference.forward, 0, 1)
    shift = bias.astype(np.float64)[:, None, None]
    close(depthwise.forward(x, weight, bias, *options), want + shift, scale + np.abs(shift), dtype)
    dx = depthwise_backward.backward_input(dy, weight, x.shape[2:], *options, channels)
    close(dx, *both(reference.backward_input, 2, 1, x.shape[2:]), dtype)
    dweight = depthwise_backward.backward_weight(x, dy, weight.shape[2:], *options)
    close(dweight, *both(reference.backward_weight, 0, 2, weight.shape[2:]), dtype)


@st.composite
def geometry(draw, strides):
    """sizes, kernel_size and (stride, padding, dilation) with at least one window."""

    def each(one):
        return draw(st.tuples(one, one))

    kernel_size, stride, dilation = each(st.integers(1, 4)), each(st.integers(1, strides)), each(st.integers(1, 2))
    padding = each(st.tuples(st.integers(0, 4), st.integers(-2, 3)))
    sizes = tuple(
        max(1, d * (k - 1) + 1 - sum(pads)) + more
        for k, d, pads, more in zip(kernel_size, dilation, padding, each(st.integers(0, 40)), strict=True)
    )
    return sizes, kernel_size, (stride, padding, dilation)


@given(
    dtype=st.sampled_from(DTYPES),
    batch=st.integers(0, 3),
    inputs=st.integers(0, 9),
    outputs=st.integers(1, 19),
    where=geometry(strides=1),
    seed=st.integers(0, 99),
)
@example(np.float32, 2, 3, 16, ((32, 32), (3, 3), (ONE, ((1, 1), (1, 1)), ONE)), 0)
@example(np.float64, 9, 1, 6, ((28, 28), (5, 5), (ONE, ((2, 2), (2, 2)), ONE)), 0)
@example(np.float32, 1, 8, 8, ((3, BAND_BYTES // 64), (3, 3), (ONE, ((1, 1), (1, 1)), ONE)), 0)  # one row a band
def test_few_channels_equals_reference(dtype, batch, inputs, outputs, where, seed):
    sizes, kernel_size, (_, padding, dilation) = where
    check_few(*few_problem(dtype, batch, inputs, outputs, sizes, kernel_size, padding, dilation, seed))


@given(
    dtype=st.sampled_from(DTYPES),
    batch=st.integers(0, 3),
    channels=st.integers(1, 18),
    filters=st.integers(1, 5),
    where=geometry(strides=3),
    seed=st.integers(0, 99),
)
@example(np.float32, 2, 4, 1, ((14, 14), (3, 3), ((2, 2), ((1, 1), (1, 1)), ONE)), 0)
@example(np.float64, 1, 3, 1, ((90, 50), (3, 3), (ONE, ((1, 1), (1, 1)), ONE)), 0)
def test_depthwise_equals_reference(dtype, batch, channels, filters, where, seed):
    check_depthwise(*depthwise_problem(dtype, batch, channels, filters, *where, seed))


@given(
    dtype=st.sampled_from(DTYPES),
    images=st.integers(1, 9),
    channels=st.integers(1, 9),
    filters=st.integers(1, 2),
    side=st.sampled_from(strips.SIDES),
    stride=st.sampled_from(strips.STRIDES),
    padding=st.tuples(*[st.tuples(st.integers(0, 8), st.integers(-2, 8))] * 2),
    more=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    seed=st.integers(0, 99),
)
@example(np.float32, 1, 1, 1, 3, ONE, ((1, 1), (1, 1)), (200, 26), 0)  # bands of one plane
@example(np.float32, 3, 2, 1, 5, ONE, ((2, 2), (2, 2)), (9, 3), 0)  # rows shorter than a vector
def test_depthwise_in_strips_equals_reference(dtype, images, channels, filters, side, stride, padding, more, seed):
    sizes = tuple(max(1, side - sum(pads)) + extra for pads, extra in zip(padding, more, strict=True))
    check_depthwise(
        *depthwise_problem(dtype, images, channels, filters, sizes, (side, side), (stride, padding, ONE), seed)
    )


@given(
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
    side=st.sampled_from(strips.SIDES),
    stride=st.sampled_from(strips.STRIDES),
    sizes=st.tuples(st.integers(7, 20), st.integers(7, 40)),
    padding=st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 2),
    place=st.integers(0, 2**16),
)
def test_a_bad_number_spreads_in_strips_as_in_the_reference(value, side, stride, sizes, padding, place):
    """One in each operand, one operand at a time: also an infinite weight, which makes a nan of padding."""
    x, weight, _, dy, options = depthwise_problem(np.float32, 2, 2, 1, sizes, (side, side), (stride, padding, ONE))
    bad = [array.copy() for array in (x, weight, dy)]
    for array in bad:
        array.reshape(-1)[place % array.size] = value
    full = *options, 2
    for xx, ww, dd in ((bad[0], weight, dy), (x, bad[1], dy), (x, weight, bad[2])):
        pairs = (
            (depthwise.forward(xx, ww, None, *options), reference.forward(xx, ww, *full)),
            (
                depthwise_backward.backward_input(dd, ww, sizes, *options, 2),
                reference.backward_input(dd, ww, sizes, *full),
            ),
            (
                depthwise_backward.backward_weight(xx, dd, (side, side), *options),
                reference.backward_weight(xx, dd, (side, side), *full),
            ),
        )
        for got, want in pairs:
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)


def results(x, weight, bias, dy):
    """Everything that the two families compute, for one image of a few channels."""
    padding = (1, 1), (1, 1)
    each = np.ascontiguousarray(weight[:3, :1])
    return (
        few_channels.forward(x, weight, bias, padding, ONE),
        few_channels_backward.backward_input(dy, weight, x.shape[2:], padding, ONE),
        few_channels_backward.backward_weight(x, dy, (3, 3), padding, ONE),
        depthwise.forward(x, each, None, ONE, padding, ONE),
        depthwise_backward.backward_input(x, each, x.shape[2:], ONE, padding, ONE),
        depthwise_backward.backward_weight(x, x, (3, 3), ONE, padding, ONE),
    )


@pytest.mark.usefixtures("small_work_is_shared")
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_any_number_of_threads(dtype):
    *arrays, _ = few_problem(dtype, 5, 3, 16, (60, 45), (3, 3), ((1, 1), (1, 1)), ONE)
    threads = kernels.get_num_threads()
    try:
        each = []
        for count in {1, 2, kernels.max_num_threads()}:
            if count <= kernels.max_num_threads():
                kernels.set_num_threads(count)
                each.append(results(*arrays))
    finally:
        kernels.set_num_threads(threads)
    for other in each[1:]:
        for one, two in zip(each[0], other, strict=True):
            assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_spread_as_in_the_reference(value):
    """One bad number in each operand, one operand at a time, next to the end of a row."""
    x, weight, _, dy, (padding, dilation) = few_problem(np.float32, 2, 2, 9, (20, 19), (3, 2), ((2, 0), (1, 1)), (1, 2))
    bad = []
    for array in (x, weight, dy):
        array = array.copy()
        array[0, 0, -1, -1] = value
        bad.append(array)
    full = ONE, padding, dilation, 1
    for xx, ww, dd in ((bad[0], weight, dy), (x, bad[1], dy), (x, weight, bad[2])):
        pairs = (
            (few_channels.forward(xx, ww, None, padding, dilation), reference.forward(xx, ww, *full)),
            (
                few_channels_backward.backward_input(dd, ww, (20, 19), padding, dilation),
                reference.backward_input(dd, ww, (20, 19), *full),
            ),
            (
                few_channels_backward.backward_weight(xx, dd, (3, 2), padding, dilation),
                reference.backward_weight(xx, dd, (3, 2), *full),
            ),
        )
        for got, want in pairs:
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_strided_and_read_only_inputs_are_read_and_left_alone():
    x, weight, bias, dy, options = few_problem(np.float32, 2, 3, 9, (20, 33), (3, 3), ((1, 1), (0, 2)), ONE)
    odd = [np.repeat(a, 2, axis=-1)[..., ::2] for a in (x, weight, bias, dy)]
    for array in odd:
        array.setflags(write=False)
    kept = [a.copy() for a in odd]
    check_few(*odd, options)
    each = odd[1][:3, :1]
    depthwise.forward(odd[0], each, None, (2, 1), *options)
    for now, was in zip(odd, kept, strict=True):
        assert np.array_equal(now, was)
