"""The specification of convolution against loops that follow its definition, its own adjoints, and PyTorch."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.reference import convolution as reference


def convolved_by_definition(x, weight, stride, padding, dilation, groups):
    """y[n, o, p] = sum over c and t of weight[o, c, t] * x[n, c, p * stride + t * dilation - before], in loops."""
    sizes, kernel_size = x.shape[2:], weight.shape[2:]
    counts = reference.output_size(sizes, kernel_size, stride, padding, dilation)
    outputs, inputs = weight.shape[:2]
    y = np.zeros((len(x), outputs, *counts))
    for n, o, *p in np.ndindex(*y.shape):
        first = o // (outputs // groups) * inputs  # the first input channel of the group of o
        for c, *t in np.ndindex(inputs, *kernel_size):
            along = zip(p, stride, t, dilation, padding, strict=True)
            place = [a * s + b * d - before for a, s, b, d, (before, _) in along]
            if all(0 <= q < size for q, size in zip(place, sizes, strict=True)):
                y[(n, o, *p)] += weight[(o, c, *t)] * x[(n, first + c, *place)]
    return y


@st.composite
def problems(draw):
    """x, weight, dy and options that fit, in one to three dimensions."""
    dims = draw(st.integers(1, 3))
    most = 5 if dims < 3 else 3

    def each(one):
        return draw(st.tuples(*[one] * dims))

    kernel_size, stride, dilation = each(st.integers(1, 3)), each(st.integers(1, 3)), each(st.integers(1, 3))
    padding = each(st.tuples(st.integers(0, 2), st.integers(-1, 2)))
    sizes = tuple(
        max(1, d * (k - 1) + 1 - sum(pads)) + draw(st.integers(0, most))
        for k, d, pads in zip(kernel_size, dilation, padding, strict=True)
    )
    groups, inputs, outputs, batch = (draw(st.integers(least, 2)) for least in (1, 1, 1, 0))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    x = rng.standard_normal((batch, inputs * groups, *sizes))
    weight = rng.standard_normal((outputs * groups, inputs, *kernel_size))
    counts = reference.output_size(sizes, kernel_size, stride, padding, dilation)
    dy = rng.standard_normal((batch, outputs * groups, *counts))
    return x, weight, dy, (stride, padding, dilation)


def groups_of(x, weight):
    return x.shape[1] // weight.shape[1]


@given(problem=problems())
def test_forward_is_the_definition(problem):
    x, weight, _, options = problem
    groups = groups_of(x, weight)
    want = convolved_by_definition(x, weight, *options, groups)
    np.testing.assert_allclose(reference.forward(x, weight, *options, groups), want, rtol=1e-12, atol=1e-12)


@given(problem=problems())
def test_the_three_are_adjoint(problem):
    """<dy, forward(x, weight)> is bilinear in x and weight, so it equals its product with each of its gradients."""
    x, weight, dy, options = problem
    groups = groups_of(x, weight)
    y = reference.forward(x, weight, *options, groups)
    dx = reference.backward_input(dy, weight, x.shape[2:], *options, groups)
    dweight = reference.backward_weight(x, dy, weight.shape[2:], *options, groups)
    assert (y.shape, dx.shape, dweight.shape) == (dy.shape, x.shape, weight.shape)
    assert np.vdot(dx, x) == pytest.approx(np.vdot(dy, y), rel=1e-10, abs=1e-10)
    assert np.vdot(dweight, weight) == pytest.approx(np.vdot(dy, y), rel=1e-10, abs=1e-10)


@given(problem=problems())
def test_fold_is_adjoint_to_unfold(problem):
    x, weight, _, options = problem
    columns = reference.unfold(x, weight.shape[2:], *options)
    other = np.random.default_rng(1).standard_normal(columns.shape)
    folded = reference.fold(other, x.shape[2:], *options)
    assert np.vdot(folded, x) == pytest.approx(np.vdot(other, columns), rel=1e-10, abs=1e-10)


@given(problem=problems())
def test_nothing_is_a_view_or_changed(problem):
    x, weight, dy, options = problem
    groups = groups_of(x, weight)
    before = [a.copy() for a in (x, weight, dy)]
    results = [
        reference.forward(x, weight, *options, groups),
        reference.backward_input(dy, weight, x.shape[2:], *options, groups),
        reference.backward_weight(x, dy, weight.shape[2:], *options, groups),
        reference.unfold(x, weight.shape[2:], *options),
    ]
    for result, given_array in itertools.product(results, (x, weight, dy)):
        assert not np.shares_memory(result, given_array)
    for now, was in zip((x, weight, dy), before, strict=True):
        assert np.array_equal(now, was)


@pytest.mark.torch
@given(problem=problems())
def test_against_torch(problem):
    torch = pytest.importorskip("torch", reason="compares with PyTorch; the other tests have the definition")
    x, weight, dy, (stride, padding, dilation) = problem
    symmetric = tuple((before, before) for before, _ in padding)
    groups, dims = groups_of(x, weight), len(stride)
    counts = reference.output_size(x.shape[2:], weight.shape[2:], stride, symmetric, dilation)
    if min(counts) < 1:
        return
    dy = np.resize(dy, (*dy.shape[:2], *counts)) if dy.size else np.zeros((*dy.shape[:2], *counts))
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, weight)]
    convolve = (torch.conv1d, torch.conv2d, torch.conv3d)[dims - 1]
    y = convolve(*leaves, None, stride, [before for before, _ in padding], dilation, groups)
    dx, dweight = torch.autograd.grad(y, leaves, torch.tensor(dy))
    options = (stride, symmetric, dilation, groups)
    close = {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(reference.forward(x, weight, *options), y.detach().numpy(), **close)
    np.testing.assert_allclose(reference.backward_input(dy, weight, x.shape[2:], *options), dx.numpy(), **close)
    np.testing.assert_allclose(reference.backward_weight(x, dy, weight.shape[2:], *options), dweight.numpy(), **close)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_dtypes_are_kept(dtype):
    x, weight = np.ones((2, 4, 5, 5), dtype), np.ones((6, 2, 3, 3), dtype)
    options = ((1, 1), ((1, 1), (1, 1)), (1, 1), 2)
    y = reference.forward(x, weight, *options)
    assert y.dtype == dtype
    assert y[0, 0, 2, 2] == 2 * 9
    assert reference.backward_input(y, weight, (5, 5), *options).dtype == dtype
    assert reference.backward_weight(x, y, (3, 3), *options).dtype == dtype


def test_half_precision_adds_up_in_single_precision():
    """2,049 ones are 2,049 only before the rounding to float16; added one by one in float16 they stay at 2,048."""
    count = 4000
    x, weight = np.ones((1, count, 1), np.float16), np.ones((1, count, 1), np.float16)
    assert reference.forward(x, weight, (1,), ((0, 0),), (1,), 1)[0, 0, 0] == count


def test_nan_and_inf_stay_in_their_windows_and_are_silent():
    x = np.zeros((1, 1, 6))
    x[0, 0, [1, 4]] = np.nan, np.inf
    y = reference.forward(x, np.ones((1, 1, 2)), (1,), ((0, 0),), (1,), 1)
    np.testing.assert_array_equal(y[0, 0], [np.nan, np.nan, 0, np.inf, np.inf])
    assert np.isnan(reference.forward(x, np.zeros((1, 1, 2)), (1,), ((0, 0),), (1,), 1)[0, 0, 3])  # inf * 0


def test_strided_and_read_only_arrays():
    rng = np.random.default_rng(0)
    x, weight = rng.standard_normal((2, 2, 4, 4)), rng.standard_normal((2, 2, 2, 2))
    options = ((1, 1), ((1, 0), (0, 1)), (1, 1), 1)
    want = reference.forward(x, weight, *options)
    for view in (np.asfortranarray(x), np.repeat(x, 2, axis=3)[..., ::2]):
        view.flags.writeable = False
        np.testing.assert_allclose(reference.forward(view, weight, *options), want, rtol=1e-12)


def test_output_size_counts_the_windows():
    for n, k, s, d, before, after in itertools.product((1, 4, 7), (1, 2, 3), (1, 2, 3), (1, 2), (0, 1), (0, 2)):
        starts = range(0, n + before + after - d * (k - 1), s)
        (count,) = reference.output_size((n,), (k,), (s,), ((before, after),), (d,))
        assert max(count, 0) == len(starts), (n, k, s, d, before, after)


def test_all_elements_of_unfold_are_where_they_should_be():
    x = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    columns = reference.unfold(x, (2, 3), (1, 2), ((0, 0), (1, 1)), (2, 1))
    assert columns.shape == (2, 3, 2, 3, 2, 3)
    for n, c, i, j, p, q in np.ndindex(*columns.shape):
        row, column = p + 2 * i, 2 * q + j - 1
        want = x[n, c, row, column] if 0 <= column < 5 else 0.0
        assert columns[n, c, i, j, p, q] == want
    assert math.prod(columns.shape) == columns.size
