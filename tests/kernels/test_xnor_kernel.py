"""The binary convolution: the specification against plain loops, the compiled kernel against the specification."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernels
from kernels import xnor
from kernels.cpu import xnor as cpu
from kernels.errors import KernelError
from kernels.reference import xnor as reference
from kernels.xnor import PackedWeights, pack_signs, pack_weights, xnor_conv2d

DTYPES = (np.float32, np.float64)


def problem(x_shape, weight_shape, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(x_shape).astype(dtype), rng.standard_normal(weight_shape).astype(dtype)


@pytest.fixture
def compiled(monkeypatch):
    """Sends every problem with at least one product to the compiled kernel, however small it is."""
    monkeypatch.setattr(xnor, "SMALL", 1)
    monkeypatch.setattr(xnor, "SMALL_PACKING", 1)


def as_pairs(stride, padding, dilation):
    return (stride,) * 2, ((padding,) * 2,) * 2, (dilation,) * 2


def check(x, weight, stride=1, padding=0, dilation=1, scale_input=False):
    """Raises AssertionError unless xnor_conv2d returns what the specification says."""
    want = reference.forward(x, weight, *as_pairs(stride, padding, dilation), scale_input)
    for given_weight in (weight, pack_weights(weight)):
        y = xnor_conv2d(x, given_weight, stride, padding, dilation, scale_input)
        assert (y.dtype, y.shape) == (x.dtype, want.shape)
        if scale_input:  # K is a sum, whose rounding depends on the order
            np.testing.assert_allclose(y, want, rtol=2e-6 if x.dtype == np.float32 else 1e-13, atol=1e-30)
        else:
            np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(pack_signs(x), reference.pack_signs(x))


# ---- the specification


def plain(x, weight, stride, padding, dilation):
    """The definition in seven loops, in Python's integers."""
    (n_images, channels, height, width), (filters, _, high, wide) = x.shape, weight.shape
    out_high = (height + 2 * padding - dilation * (high - 1) - 1) // stride + 1
    out_wide = (width + 2 * padding - dilation * (wide - 1) - 1) // stride + 1
    y = np.zeros((n_images, filters, out_high, out_wide))
    for n, k, i, j in np.ndindex(*y.shape):
        count = 0
        for c, r, s in itertools.product(range(channels), range(high), range(wide)):
            row, column = i * stride + r * dilation - padding, j * stride + s * dilation - padding
            if 0 <= row < height and 0 <= column < width:
                count += (-1 if x[n, c, row, column] < 0 else 1) * (-1 if weight[k, c, r, s] < 0 else 1)
        y[n, k, i, j] = count * np.abs(weight[k]).mean()
    return y


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (1, 1, 1), (2, 1, 1), (3, 4, 2)])
def test_reference_is_the_definition(stride, padding, dilation):
    x, weight = problem((2, 3, 5, 6), (2, 3, 2, 3), np.float64)
    y = reference.forward(x, weight, *as_pairs(stride, padding, dilation), False)
    np.testing.assert_allclose(y, plain(x, weight, stride, padding, dilation), rtol=1e-14)


def test_zero_minus_zero_and_nan_count_as_plus_one():
    x = np.array([0.0, -0.0, np.nan, -np.nan, 1e-300, -1e-300, np.inf, -np.inf])
    assert reference.sign(x).tolist() == [1, 1, 1, 1, 1, -1, 1, -1]


def test_input_scale_is_the_mean_magnitude_of_each_window():
    x, _ = problem((2, 3, 4, 5), (1, 3, 2, 2), np.float64)
    scale = reference.input_scale(x, (2, 3), *as_pairs(1, 0, 1))
    assert scale.shape == (2, 1, 3, 3)
    for n, i, j in np.ndindex(2, 3, 3):
        np.testing.assert_allclose(scale[n, 0, i, j], np.abs(x[n, :, i : i + 2, j : j + 3]).mean(), rtol=1e-14)


def test_alpha_is_the_best_scale():
    _, weight = problem((1, 1, 1, 1), (4, 3, 2, 2), np.float64)
    alpha, signs = reference.filter_scale(weight)[:, None, None, None], reference.sign(weight)
    best = ((weight - alpha * signs) ** 2).sum()
    assert all(best < ((weight - alpha * near * signs) ** 2).sum() for near in (0.99, 1.01))


def test_a_product_is_n_minus_twice_the_differing_bits():
    x, weight = problem((1, 130), (1, 130))
    differing = np.bitwise_count(pack_signs(x) ^ pack_signs(weight)).sum()
    assert 130 - 2 * int(differing) == (reference.sign(x) * reference.sign(weight)).sum()


def test_bits_are_where_the_documentation_says():
    x = np.ones((1, 70, 2))
    x[0, 3, 0] = x[0, 69, 1] = -1
    assert pack_signs(x).tolist() == [[[1 << 3, 0], [0, 1 << 5]]]


# ---- the compiled kernel


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3, 31, 32, 33, 63, 64, 65, 96, 128, 130])
def test_channels(compiled, channels, dtype):
    check(*problem((2, channels, 5, 7), (3, channels, 3, 3), dtype, channels), padding=1)


@pytest.mark.parametrize("filters", [1, 7, 8, 9, 15, 16, 17, 33])
def test_filters(compiled, filters):
    check(*problem((1, 5, 4, 6), (filters, 5, 3, 2)), padding=1, scale_input=True)


SHAPES = [
    ((1, 1, 1, 1), (1, 1, 1, 1), 1, 0, 1),
    ((1, 1, 1, 1), (1, 1, 3, 3), 1, 1, 1),
    ((1, 2, 1, 1), (2, 2, 1, 1), 4, 5, 1),
    ((3, 2, 2, 9), (2, 2, 2, 2), 1, 0, 1),
    ((2, 4, 13, 17), (2, 4, 3, 5), 2, 3, 2),
    ((1, 2, 4, 4), (2, 2, 2, 2), 7, 5, 3),
    ((2, 3, 40, 41), (5, 3, 3, 3), 1, 1, 1),
    ((1, 64, 23, 1), (4, 64, 5, 1), 3, 2, 1),
    ((1, 2, 3, 60), (3, 2, 1, 11), 1, 0, 5),
]


@pytest.mark.parametrize(("x_shape", "weight_shape", "stride", "padding", "dilation"), SHAPES)
@pytest.mark.parametrize("scale_input", [False, True])
def test_shapes(compiled, x_shape, weight_shape, stride, padding, dilation, scale_input):
    for dtype in DTYPES:
        check(*problem(x_shape, weight_shape, dtype), stride, padding, dilation, scale_input)


SMALL_NUMBERS = st.integers(1, 4)


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 130), st.integers(1, 20), st.integers(1, 20)),
    st.tuples(st.integers(1, 20), SMALL_NUMBERS, SMALL_NUMBERS),
    st.tuples(SMALL_NUMBERS, SMALL_NUMBERS),
    st.tuples(*[st.tuples(st.integers(0, 6), st.integers(0, 6))] * 2),
    st.tuples(SMALL_NUMBERS, SMALL_NUMBERS),
    st.booleans(),
)
def test_drawn(x_shape, filters_and_kernel, stride, padding, dilation, scale_input):
    filters, *kernel_size = filters_and_kernel
    x, weight = problem(x_shape, (filters, x_shape[1], *kernel_size), seed=sum(x_shape))
    sizes = reference.convolution.output_size(x_shape[2:], kernel_size, stride, padding, dilation)
    if min(sizes) < 1:
        with pytest.raises(KernelError, match="larger than x"):
            xnor_conv2d(x, weight, stride, padding, dilation)
        return
    packed = pack_weights(weight)
    y = cpu.forward(x, packed.tiles, filters, kernel_size, stride, padding, dilation, scale_input, sizes)
    want = reference.forward(x, weight, stride, padding, dilation, scale_input)
    np.testing.assert_allclose(y, want, rtol=2e-6 if scale_input else 0, atol=1e-30)


@pytest.mark.parametrize("dtype", DTYPES)
def test_special_values(compiled, dtype):
    x, weight = problem((1, 40, 6, 9), (3, 40, 3, 3), dtype)
    x[0, :8, 2, 3] = weight[0, :8, 1, 1] = [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-40, -1e-40]
    check(x, weight, padding=1)
    check(x, weight, padding=1, scale_input=True)
    check(x, weight[1:], padding=1)
    packed = pack_weights(weight)
    assert np.isnan(xnor_conv2d(x, packed)[:, 0]).all()
    assert np.isfinite(xnor_conv2d(x, packed)[:, 1:]).all()


def test_inputs_may_lie_anywhere_and_are_not_changed(compiled):
    x, weight = problem((2, 9, 6, 10), (4, 9, 3, 2))
    want = xnor_conv2d(x, weight, 1, 1)
    for array in (x, weight):
        array.setflags(write=False)
    spread = np.zeros((2, 9, 6, 20), np.float32)[..., ::2]
    spread[:] = x
    for other_x, other_weight in ((x, weight), (spread, np.asfortranarray(weight)), (np.asfortranarray(x), weight)):
        np.testing.assert_array_equal(xnor_conv2d(other_x, other_weight, 1, 1), want)
        np.testing.assert_array_equal(pack_signs(other_x), reference.pack_signs(x))


@pytest.mark.usefixtures("small_work_is_shared")
@pytest.mark.parametrize("batch", [1, 3])
def test_same_bits_for_any_number_of_threads(compiled, batch):
    x, weight = problem((batch, 70, 19, 21), (37, 70, 3, 3))
    threads = kernels.get_num_threads()
    try:
        results = []
        for count in (1, threads):
            kernels.set_num_threads(count)
            results.append(xnor_conv2d(x, weight, 1, 1, scale_input=True).tobytes())
    finally:
        kernels.set_num_threads(threads)
    assert len(set(results)) == 1


def test_on_every_instruction_set(compiled):
    """Run for other processors by test_instruction_sets.py."""
    check(*problem((2, 67, 7, 9), (17, 67, 3, 3)), stride=2, padding=1, scale_input=True)


# ---- the facade


def test_small_problems_take_the_reference(monkeypatch):
    monkeypatch.setattr(cpu, "forward", lambda *args: pytest.fail("compiled for nothing"))
    check(*problem((2, 70, 5, 6), (3, 70, 3, 3)), padding=1, scale_input=True)
    check(*problem((0, 2, 5, 6), (3, 2, 3, 3)))
    check(*problem((2, 2, 5, 6), (0, 2, 3, 3)))
    check(*problem((1, 0, 3, 3), (2, 0, 2, 2)))


def test_packed_weights():
    _, weight = problem((1, 1, 1, 1), (3, 70, 2, 3))
    packed = pack_weights(weight)
    assert isinstance(packed, PackedWeights)
    assert (packed.words.shape, packed.words.dtype, packed.shape) == ((3, 2, 2, 3), np.uint64, weight.shape)
    np.testing.assert_array_equal(packed.signs(), reference.sign(weight))
    np.testing.assert_allclose(packed.alpha, np.abs(weight).mean((1, 2, 3)), rtol=1e-6)
    assert not packed.words.flags.writeable
    assert packed.tiles is packed.tiles


X, W = problem((1, 2, 3, 4), (2, 2, 2, 2))
MISTAKES = [
    (lambda: xnor_conv2d([1.0], W), "x must be a NumPy array, got list"),
    (lambda: xnor_conv2d(X.astype(int), W), "x must be float32 or float64, got int64"),
    (lambda: xnor_conv2d(X[0], W), r"x must be \(N, C, H, W\), got 3 dimension"),
    (lambda: xnor_conv2d(X, W[0]), "weight must be"),
    (lambda: xnor_conv2d(X, W[:, :, :0]), "kh and kw of at least 1"),
    (lambda: xnor_conv2d(X, W.astype(np.float64)), "weight must have the dtype of x, which is float32, got float64"),
    (lambda: xnor_conv2d(X.astype(np.float64), pack_weights(W)), "got float32"),
    (lambda: xnor_conv2d(X, W[:, :1]), "weight has 1 channels and x .* has 2"),
    (lambda: xnor_conv2d(X, W, stride=0), "stride must be at least 1, got 0"),
    (lambda: xnor_conv2d(X, W, stride=(1, 2, 3)), r"one integer or two, got \(1, 2, 3\)"),
    (lambda: xnor_conv2d(X, W, padding=-1), "padding must be at least 0, got -1"),
    (lambda: xnor_conv2d(X, W, padding=((1, 1),)), "two pairs"),
    (lambda: xnor_conv2d(X, W, dilation=1.5), "dilation must be one integer or two, got 1.5"),
    (lambda: xnor_conv2d(X, W, dilation=3), "larger than x"),
    (lambda: pack_signs(X[0, 0, 0]), r"\(N, C\) or \(N, C, ...\), got 1 dimension"),
    (lambda: pack_weights(X[0]), "weight must be"),
]


@pytest.mark.parametrize(("call", "says"), MISTAKES, ids=[says for _, says in MISTAKES])
def test_mistakes(call, says):
    with pytest.raises(KernelError, match=says):
        call()


@pytest.mark.torch
def test_live(compiled):
    torch = pytest.importorskip("torch", reason="compared with the specification")
    x, weight = problem((2, 100, 15, 11), (20, 100, 3, 3))
    signs = [torch.from_numpy(np.where(a < 0, -1.0, 1.0)) for a in (x, weight)]
    want = torch.nn.functional.conv2d(*signs, None, (2, 1), (1, 2), (1, 3)).numpy().astype(np.float32)
    want *= np.abs(weight).mean((1, 2, 3), dtype=np.float64).astype(np.float32)[:, None, None]
    np.testing.assert_allclose(xnor_conv2d(x, weight, (2, 1), (1, 2), (1, 3)), want, rtol=3e-7)
