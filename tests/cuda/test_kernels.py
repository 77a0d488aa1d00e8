"""The four families on the device against kernels.reference, through the same checked entrances as on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kernels
from kernels import cuda
from kernels.cuda import DeviceError, to_device
from kernels.reference import batchnorm, bilinear, convolution, xnor

FLOATS = [np.float32, np.float64]
MODES = ["zeros", "border", "reflection"]


def tolerance(dtype) -> float:
    return 1e-5 if dtype == np.float32 else 1e-12


def close(got, want, dtype) -> None:
    """Equal up to rounding, with NaN and infinity at the same places; scaled by the largest finite number."""
    host = got.to_host()
    assert (host.shape, host.dtype) == (want.shape, want.dtype)
    assert np.array_equal(np.isnan(host), np.isnan(want))
    assert np.array_equal(host[np.isinf(want)], want[np.isinf(want)])
    finite = np.isfinite(want)
    scale = max(1.0, np.abs(want[finite]).max(initial=0))
    assert np.abs(host[finite] - want[finite]).max(initial=0) <= tolerance(dtype) * scale


# --- convolution ------------------------------------------------------------------------------------------------------

# x, filters, kernel_size, stride, padding, dilation, groups
CONVOLUTIONS = [
    ((2, 3, 3, 4), 5, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((1, 4, 7, 5), 6, (2, 3), (2, 1), ((0, 1), (2, 0)), (1, 2), 2),
    ((2, 9, 3, 3), 9, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 3, 5, 6), 3, (3, 3), (2, 3), ((1, 1), (1, 2)), (1, 1), 3),
    ((1, 1, 1, 1), 1, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((0, 2, 4, 4), 3, (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((1, 2, 5, 5), 2, (3, 3), (2, 2), ((1, -1), (0, 0)), (1, 1), 1),
    ((3, 2, 11), 3, (4,), (3,), ((2, 1),), (2,), 1),
]


def problem(rng, case, dtype):
    shape, filters, kernel_size, *rest = case
    x = rng.normal(size=shape).astype(dtype)
    weight = rng.normal(size=(filters, shape[1] // rest[-1], *kernel_size)).astype(dtype)
    return x, weight, rest


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolution(rng, case, dtype):
    x, weight, options = problem(rng, case, dtype)
    bias = rng.normal(size=len(weight)).astype(dtype)
    want = convolution.forward(x, weight, *options)
    dy = rng.normal(size=want.shape).astype(dtype)
    biased = want + bias.reshape(-1, *(1,) * (x.ndim - 2))
    close(kernels.conv_forward(to_device(x), weight, bias, *options), biased, dtype)
    sizes, kernel_size = x.shape[2:], weight.shape[2:]
    got = kernels.conv_backward_input(dy, to_device(weight), sizes, *options)
    close(got, convolution.backward_input(dy, weight, sizes, *options), dtype)
    got = kernels.conv_backward_weight(x, to_device(dy), kernel_size, *options)
    close(got, convolution.backward_weight(x, dy, kernel_size, *options), dtype)
    close(kernels.conv_backward_bias(to_device(dy)), dy.sum((0, *range(2, dy.ndim))), dtype)


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 1, 2]))
    kernel_size = tuple(draw(st.integers(1, 3)) for _ in range(2))
    dilation = tuple(draw(st.integers(1, 2)) for _ in range(2))
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(2))
    least = [max(1, d * (k - 1) + 1 - sum(p)) for k, d, p in zip(kernel_size, dilation, padding, strict=True)]
    sizes = tuple(draw(st.integers(low, low + 3)) for low in least)
    shape = (draw(st.integers(1, 2)), groups * draw(st.integers(1, 3)), *sizes)
    stride = tuple(draw(st.integers(1, 3)) for _ in range(2))
    return shape, groups * draw(st.integers(1, 5)), kernel_size, stride, padding, dilation, groups


@given(convolutions())
@settings(max_examples=6)
def test_any_convolution(case):
    with np.errstate(all="ignore"):
        test_convolution(np.random.default_rng(1), case, np.float64)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["x", "weight", "dy"])
def test_convolution_takes_what_is_not_finite_exactly_where_the_sums_do(rng, value, where):
    x, weight, options = problem(rng, ((1, 2, 5, 4), 3, (3, 2), (2, 1), ((1, 1), (0, 1)), (1, 1), 1), np.float64)
    dy = rng.normal(size=convolution.forward(x, weight, *options).shape)
    {"x": x, "weight": weight, "dy": dy}[where].flat[3] = value
    close(
        kernels.conv_forward(to_device(x), weight, None, *options), convolution.forward(x, weight, *options), np.float64
    )
    want = convolution.backward_input(dy, weight, (5, 4), *options)
    close(kernels.conv_backward_input(to_device(dy), weight, (5, 4), *options), want, np.float64)
    want = convolution.backward_weight(x, dy, (3, 2), *options)
    close(kernels.conv_backward_weight(to_device(x), dy, (3, 2), *options), want, np.float64)


# --- batch normalisation ----------------------------------------------------------------------------------------------

BATCHES = [(7, 5), (3, 2, 9), (2, 3, 4, 5), (33, 9), (2, 1, 1), (2, 3, 1, 2), (1, 2, 40), (1, 3, 2, 1, 2)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", BATCHES, ids=str)
def test_batch_norm(rng, shape, dtype):
    spread = rng.normal(size=(1, shape[1], *(1,) * (len(shape) - 2)))
    x = (rng.normal(size=shape) * 3 + 100 * spread).astype(dtype)
    dy = rng.normal(size=shape).astype(dtype)
    weight, bias, mean = (rng.normal(size=shape[1]).astype(dtype) for _ in range(3))
    want = batchnorm.forward(x, weight, bias, 1e-3)
    for got, each in zip(kernels.batch_norm_forward(to_device(x), weight, bias, 1e-3), want, strict=True):
        close(got, each, dtype)
    _, statistic, inv_std = want
    want = batchnorm.backward_closed(dy, x, weight, statistic, inv_std)
    for got, each in zip(kernels.batch_norm_backward(dy, to_device(x), weight, statistic, inv_std), want, strict=True):
        close(got, each, dtype)
    got = kernels.batch_norm_eval(to_device(x), mean, weight**2, weight, bias, 1e-3)
    close(got, batchnorm.forward_eval(x, mean, weight**2, weight, bias, 1e-3), dtype)


def test_batch_norm_far_from_zero_keeps_its_digits(rng):
    x = (rng.normal(size=(64, 3)) + 1e6).astype(np.float32)
    got = kernels.batch_norm_forward(to_device(x), None, None, 1e-5)
    for one, other in zip(got, batchnorm.forward(x, None, None, 1e-5), strict=True):
        close(one, other, np.float32)


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 9)])
def test_batch_norm_spreads_what_is_not_finite_through_its_channel(rng, shape):
    for values in ([np.nan], [np.inf], [np.inf, -np.inf], [-np.inf, -np.inf]):
        x = rng.normal(size=shape)
        for k, value in enumerate(values):
            x[k, 1] = value
        for got, want in zip(
            kernels.batch_norm_forward(to_device(x), None, None, 1e-5),
            batchnorm.forward(x, None, None, 1e-5),
            strict=True,
        ):
            close(got, want, np.float64)


def test_an_empty_batch_has_zero_gradients():
    x, ones = np.zeros((0, 3, 4)), np.ones(3)
    dx, dweight, dbias = kernels.batch_norm_backward(to_device(x), x, ones, ones, ones)
    assert dx.shape == (0, 3, 4)
    assert dweight.tolist() == dbias.tolist() == [0, 0, 0]


# --- sampling ---------------------------------------------------------------------------------------------------------

IMAGES = [
    ((2, 3, 4, 5), (3, 4)),
    ((1, 1, 1, 1), (2, 2)),
    ((1, 5, 3, 2), (1, 7)),
    ((0, 2, 3, 3), (2, 2)),
    ((2, 2, 3, 3), (0, 2)),
]


@pytest.mark.parametrize(("shape", "outer"), IMAGES, ids=str)
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_grid_sample(rng, shape, outer, mode, aligned):
    for dtype in FLOATS if shape == IMAGES[0][0] else [np.float64]:
        x = rng.normal(size=shape).astype(dtype)
        grid = (rng.normal(size=(shape[0], *outer, 2)) * 1.2).astype(dtype)
        dy = rng.normal(size=(*shape[:2], *outer)).astype(dtype)
        options = mode, aligned
        close(kernels.grid_sample_forward(to_device(x), grid, *options), bilinear.forward(x, grid, *options), dtype)
        want = bilinear.backward(dy, x, grid, *options)
        for got, each in zip(kernels.grid_sample_backward(dy, to_device(x), grid, *options), want, strict=True):
            close(got, each, dtype)
        index = bilinear.locate(np.rint(bilinear.places(grid, shape[2:], *options)[0]), shape[2:])
        close(kernels.grid_sample_nearest_forward(to_device(x), grid, *options), bilinear.read(x, *index), dtype)
        got = kernels.grid_sample_nearest_backward(to_device(dy), grid, shape[2:], *options)
        close(got, bilinear.add(dy, *index, shape[2:]), dtype)


@pytest.mark.parametrize("mode", MODES)
def test_grid_sample_takes_what_is_not_finite_exactly_where_the_sums_do(rng, mode):
    x, dy = rng.normal(size=(1, 2, 4, 4)), rng.normal(size=(1, 2, 3, 4))
    grid = rng.uniform(-1.3, 1.3, size=(1, 3, 4, 2))
    dy[0, 0, 1, 1], dy[0, 1, 2, 2], x[0, 0, 1, 1] = np.nan, np.inf, np.nan
    grid[0, 0, 0, 0], grid[0, 1, 0, 1] = np.nan, np.inf
    close(
        kernels.grid_sample_forward(to_device(x), grid, mode, False), bilinear.forward(x, grid, mode, False), np.float64
    )
    want = bilinear.backward(dy, x, grid, mode, False)
    for got, each in zip(kernels.grid_sample_backward(to_device(dy), x, grid, mode, False), want, strict=True):
        close(got, each, np.float64)


@pytest.mark.parametrize(
    ("dtype", "size"), [(dtype, size) for dtype in FLOATS for size in (1e-30, 1.0, 1e30)] + [(np.float64, 1e-303)]
)
def test_sums_in_integers_lose_nothing_at_any_scale(rng, dtype, size):
    """Many points on one pixel, of very different size: what the largest contribution allows is kept."""
    dy = (rng.normal(size=(1, 1, 8, 8)) * 10.0 ** rng.integers(-6, 1, size=(1, 1, 8, 8)) * size).astype(dtype)
    x, grid = np.zeros((1, 1, 3, 3), dtype), np.zeros((1, 8, 8, 2), dtype)
    dx, _ = kernels.grid_sample_backward(to_device(dy), x, grid, "zeros", True)
    exact = dy.astype(np.longdouble).sum()
    assert abs(dx.to_host()[0, 0, 1, 1] - exact) <= (2e-7 if dtype == np.float32 else 3e-16) * np.abs(dy).max() * 8


def test_the_fast_way_to_add_gives_the_same_up_to_rounding(rng):
    x, dy = rng.normal(size=(1, 2, 4, 4)), rng.normal(size=(1, 2, 3, 4))
    grid = rng.uniform(-1, 1, size=(1, 3, 4, 2))
    cuda.set_deterministic(False)
    try:
        dx, _ = kernels.grid_sample_backward(to_device(dy), x, grid)
    finally:
        cuda.set_deterministic(True)
    close(dx, bilinear.backward(dy, x, grid, "zeros", False)[0], np.float64)


# --- signs ------------------------------------------------------------------------------------------------------------

# x, filters, kernel_size, stride, padding, dilation
SIGNS = [
    ((2, 3, 4, 3), 4, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    ((1, 70, 2, 3), 5, (1, 2), (2, 1), ((0, 1), (1, 0)), (1, 1)),
    ((1, 65, 3, 3), 3, (2, 3), (1, 2), ((2, 2), (1, 1)), (2, 1)),
    ((1, 1, 1, 1), 1, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((0, 3, 3, 3), 2, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
]


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("case", SIGNS, ids=str)
def test_xnor(rng, case, scaled):
    shape, filters, kernel_size, *options = case
    x, weight = rng.normal(size=shape), rng.normal(size=(filters, shape[1], *kernel_size))
    x.flat[:3], weight.flat[:2] = [0.0, -0.0, np.nan][: x[:1].size], [0.0, -0.0][: weight.size]
    want = xnor.forward(x, weight, *options, scaled)
    packed = kernels.pack_weights(to_device(weight))
    close(packed.alpha, xnor.filter_scale(weight), np.float64)
    assert np.array_equal(packed.words.to_host(), xnor.pack_signs(weight))
    assert np.array_equal(packed.signs(), xnor.sign(weight))
    close(kernels.xnor_conv2d(x, packed, *options, scaled), want, np.float64)
    if x.size < 100:  # the other ways to give them
        for other in (weight, kernels.pack_weights(weight)):
            close(kernels.xnor_conv2d(to_device(x), other, *options, scaled), want, np.float64)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: kernels.max_pool_forward(x, []), "max_pool_forward has no CUDA kernel"),
        (
            lambda x: kernels.conv_forward(x[None].reshape(1, 1, 2, 2, 2), None, None, (1,), ((0, 0),), (1,), 1),
            "x[...]",
        ),
        (
            lambda x: kernels.conv_forward(
                x.reshape(1, 1, 2, 2, 2), np.zeros((1, 1, 1, 1, 1)), None, (1, 1, 1), ((0, 0),) * 3, (1, 1, 1), 1
            ),
            "three spatial dimensions",
        ),
        (lambda x: kernels.grid_sample_forward(x.reshape(1, 1, 2, 2, 2), np.zeros((1, 1, 1, 1, 3))), "volumes"),
        (
            lambda x: kernels.conv_backward_bias(x.reshape(1, 8).astype(np.float16)),
            "float16 has no CUDA kernel",
        ),
    ],
)
def test_what_has_no_kernel_is_named(call, name):
    with pytest.raises(DeviceError) as caught:
        call(to_device(np.zeros((2, 2, 2))))
    assert name in str(caught.value)
