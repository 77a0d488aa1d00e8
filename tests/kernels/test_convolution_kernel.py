"""Convolution through its checked entrance: the kernel that each problem gets, against the specification and PyTorch.

The kernels have tests of their own; here shapes are drawn over the borders between them.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernels
from kernels import convolution
from kernels.cpu.convolution import choice
from kernels.reference import convolution as reference

PLAIN = ((1, 1), ((1, 1), (1, 1)), (1, 1))
# Winograd's bound is stated in kernels.cpu.convolution.winograd; the other kernels round as sums do.
TOLERANCE = {np.dtype(np.float32): 2e-5, np.dtype(np.float64): 1e-12}


@pytest.fixture(autouse=True)
def everything_is_compiled(monkeypatch):
    monkeypatch.setattr(convolution, "SMALL", 0)


def arrays(shape, weight_shape, options, dtype=np.float32, seed=0):
    """x, weight, bias and dy of a convolution."""
    rng = np.random.default_rng(seed)
    sizes = reference.output_size(shape[2:], weight_shape[2:], *options)
    shapes = shape, weight_shape, weight_shape[:1], (shape[0], weight_shape[0], *sizes)
    return tuple(rng.standard_normal(s).astype(dtype) for s in shapes)


def assert_close(got, want, terms, what):
    """`got` equals `want` up to the rounding of a sum whose terms have the absolute values summed up in `terms`."""
    assert got.shape == want.shape
    size = np.sqrt(np.mean(np.square(terms))) if terms.size else 1.0
    error = np.abs(got - want).max(initial=0.0) / max(size, 1e-300)
    assert error < TOLERANCE[got.dtype], f"{what} is off by {error:.1e} of its size"


def check(x, weight, bias, dy, options, groups):
    """All four functions against the specification in float64, with the sizes of the sums measured along."""
    wide = [array.astype(np.float64) for array in (x, weight, bias, dy)]
    sizes = [np.abs(array) for array in wide]
    calls = {
        "y": (lambda x, w, b, dy: kernels.conv_forward(x, w, b, *options, groups),
              lambda x, w, b, dy: reference.forward(x, w, *options, groups) + b.reshape(-1, *[1] * (x.ndim - 2))),
        "dx": (lambda x, w, b, dy: kernels.conv_backward_input(dy, w, x.shape[2:], *options, groups),
               lambda x, w, b, dy: reference.backward_input(dy, w, x.shape[2:], *options, groups)),
        "dw": (lambda x, w, b, dy: kernels.conv_backward_weight(x, dy, w.shape[2:], *options, groups),
               lambda x, w, b, dy: reference.backward_weight(x, dy, w.shape[2:], *options, groups)),
        "db": (lambda x, w, b, dy: kernels.conv_backward_bias(dy),
               lambda x, w, b, dy: dy.sum((0, *range(2, dy.ndim)))),
    }  # fmt: skip
    for what, (ours, specified) in calls.items():
        got = ours(x, weight, bias, dy)
        assert got.dtype == x.dtype
        assert got.flags.c_contiguous
        assert_close(got, specified(*wide), specified(*sizes), what)


@st.composite
def problems(draw):
    """Shapes and options in one and two dimensions, of every kind that one of the kernels is for."""
    dims = draw(st.sampled_from([1, 2, 2, 2]))

    def each(one):
        return draw(st.tuples(*[one] * dims))

    plain = draw(st.booleans())
    kernel_size = (3,) * dims if plain else each(st.integers(1, 5))
    stride = (1,) * dims if plain else each(st.integers(1, 3))
    dilation = (1,) * dims if plain else each(st.integers(1, 2))
    padding = each(st.tuples(st.integers(0, 3), st.integers(-1, 3)))
    sizes = tuple(
        max(1, d * (k - 1) + 1 - sum(pads)) + draw(st.integers(0, 19))
        for k, d, pads in zip(kernel_size, dilation, padding, strict=True)
    )
    groups = draw(st.sampled_from([1, 1, 1, 2, 5]))
    inputs, outputs = (draw(st.sampled_from([1, 2, 3, 5, 16, 17, 33])) for _ in "io")
    shape = (draw(st.integers(0, 3)), inputs * groups, *sizes)
    return shape, (outputs * groups, inputs, *kernel_size), (stride, padding, dilation), groups


@given(problem=problems(), dtype=st.sampled_from([np.float32, np.float64]), seed=st.integers(0, 99))
def test_every_problem_is_the_specification(problem, dtype, seed):
    shape, weight_shape, options, groups = problem
    check(*arrays(shape, weight_shape, options, dtype, seed), options, groups)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7, 15, 16, 17, 31, 32, 48, 64, 100, 127, 128, 130])
def test_any_number_of_channels(channels):
    for shape, weight in (((1, channels, 7, 9), (19, channels, 3, 3)), ((1, 19, 7, 9), (channels, 19, 3, 3))):
        check(*arrays(shape, weight, PLAIN), PLAIN, 1)


KINDS = {  # one problem for each kernel
    "winograd": ((3, 17, 13, 11), (33, 17, 3, 3), PLAIN, 1),
    "winograd 5x5": ((3, 17, 13, 11), (33, 17, 5, 5), ((1, 1), ((2, 2), (2, 2)), (1, 1)), 1),
    "direct 1x5": ((3, 17, 13, 11), (33, 17, 1, 5), ((1, 1), ((0, 0), (2, 2)), (1, 1)), 1),
    "direct 5x1": ((3, 17, 13, 11), (33, 17, 5, 1), ((1, 1), ((2, 2), (0, 0)), (1, 1)), 1),
    "few channels": ((3, 3, 13, 11), (9, 3, 5, 3), ((1, 1), ((2, 2), (1, 1)), (1, 1)), 1),
    "few channels, one direction": ((2, 3, 15, 31), (11, 3, 3, 3), PLAIN, 1),
    "few channels 5x5, one direction": ((2, 2, 13, 31), (8, 2, 5, 5), ((1, 1), ((2, 2), (1, 2)), (1, 1)), 1),
    "depthwise": ((3, 18, 13, 11), (18, 1, 3, 3), PLAIN, 18),
    "depthwise with stride": ((3, 18, 13, 11), (36, 1, 3, 3), ((2, 2), ((1, 1), (1, 1)), (1, 1)), 18),
    "direct": ((3, 17, 13, 11), (33, 17, 3, 3), ((2, 1), ((1, 1), (0, 2)), (1, 2)), 1),
    "direct 1x1": ((3, 17, 13, 11), (70, 17, 1, 1), ((1, 2), ((0, 0), (0, 0)), (1, 1)), 1),
    "direct 1x1 with padding": ((3, 17, 13, 11), (70, 17, 1, 1), ((1, 1), ((1, 1), (0, 0)), (1, 1)), 1),
    "direct 1x1 with groups": ((3, 34, 13, 11), (70, 17, 1, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1)), 2),
    "direct 1x1 of few pixels": ((3, 17, 3, 3), (70, 17, 1, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1)), 1),
    "pointwise": ((3, 17, 13, 11), (70, 17, 1, 1), ((1, 1), ((0, 0), (0, 0)), (1, 1)), 1),
    "direct with groups": ((3, 12, 13, 11), (20, 3, 3, 3), PLAIN, 4),
    "one dimension": ((3, 17, 40), (33, 17, 5), ((2,), ((1, 2),), (2,)), 1),
}
each_kind = pytest.mark.parametrize(("shape", "weight_shape", "options", "groups"), KINDS.values(), ids=KINDS)


def results(x, weight, bias, dy, options, groups):
    return [
        kernels.conv_forward(x, weight, bias, *options, groups),
        kernels.conv_backward_input(dy, weight, x.shape[2:], *options, groups),
        kernels.conv_backward_weight(x, dy, weight.shape[2:], *options, groups),
        kernels.conv_backward_bias(dy),
    ]


@each_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_kernel_of_the_choice(shape, weight_shape, options, groups, dtype):
    check(*arrays(shape, weight_shape, options, dtype), options, groups)


@pytest.mark.usefixtures("small_work_is_shared")
@each_kind
def test_no_bit_depends_on_the_number_of_threads(shape, weight_shape, options, groups):
    given = arrays((5, *shape[1:]), weight_shape, options)
    before = kernels.get_num_threads()
    try:
        kernels.set_num_threads(1)
        alone = results(*given, options, groups)
        for threads in range(2, kernels.max_num_threads() + 1):
            kernels.set_num_threads(threads)
            for one, many in zip(alone, results(*given, options, groups), strict=True):
                np.testing.assert_array_equal(one, many)
    finally:
        kernels.set_num_threads(before)


@each_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_three_are_adjoint(shape, weight_shape, options, groups, dtype):
    x, weight, _, dy = arrays(shape, weight_shape, options, dtype)
    y, dx, dw, _ = results(x, weight, None, dy, options, groups)
    product = np.vdot(dy.astype(np.float64), y)
    scale = np.abs(dy.astype(np.float64) * y).sum()
    assert np.vdot(dx.astype(np.float64), x) == pytest.approx(product, abs=TOLERANCE[x.dtype] * scale)
    assert np.vdot(dw.astype(np.float64), weight) == pytest.approx(product, abs=TOLERANCE[x.dtype] * scale)


@each_kind
def test_strided_and_read_only_arrays_are_taken_and_not_changed(shape, weight_shape, options, groups):
    given = arrays(shape, weight_shape, options)
    want = results(*given, options, groups)
    strided = []
    for array in given:
        spread = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan, array.dtype)
        spread[..., ::2] = array
        strided.append(spread[..., ::2])
        strided[-1].flags.writeable = False
    for got, wanted in zip(results(*strided, options, groups), want, strict=True):
        np.testing.assert_array_equal(got, wanted)
    for before, after in zip(given, strided, strict=True):
        np.testing.assert_array_equal(before, after)


@each_kind
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 1, 3])  # x, weight, dy
def test_nan_and_inf_go_exactly_where_the_sums_take_them(shape, weight_shape, options, groups, value, where):
    given = list(arrays(shape, weight_shape, options))
    flat = given[where].reshape(-1)
    flat[flat.size // 2] = value
    x, weight, bias, dy = given
    channel = (-1, *(1,) * (x.ndim - 2))
    want = [
        reference.forward(x, weight, *options, groups) + bias.reshape(channel),
        reference.backward_input(dy, weight, x.shape[2:], *options, groups),
        reference.backward_weight(x, dy, weight.shape[2:], *options, groups),
    ]
    for got, wanted in zip(results(*given, options, groups), want, strict=False):
        np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
        np.testing.assert_array_equal(np.isposinf(got), np.isposinf(wanted))
        np.testing.assert_array_equal(np.isneginf(got), np.isneginf(wanted))
        finite = np.isfinite(wanted)
        np.testing.assert_allclose(got[finite], wanted[finite], rtol=1e-3, atol=1e-3)


def test_values_that_only_winograd_overflows_on_are_right():
    options = PLAIN
    x, weight, bias, _ = arrays((1, 16, 8, 8), (16, 16, 3, 3), options)
    x *= np.float32(1e37)
    y = kernels.conv_forward(x, weight / np.float32(100), bias, *options, 1)
    want = reference.forward(x.astype(np.float64), weight.astype(np.float64) / 100, *options, 1)
    assert np.abs(want).max() < np.finfo(np.float32).max
    np.testing.assert_allclose(y, want, rtol=1e-3, atol=1e-3 * np.abs(want).max())


# --- the choice -------------------------------------------------------------------------------------------------------


def test_each_kind_of_problem_gets_its_kernel(monkeypatch):
    called = []
    modules = {
        "winograd": [choice.winograd, choice.winograd_weight],
        "few": [choice.few_channels, choice.few_channels_backward, choice.few_channels_winograd],
        "depthwise": [choice.depthwise, choice.depthwise_backward],
        "direct": [choice.direct, choice.direct_backward],
        "pointwise": [choice.pointwise],
    }
    for name, holders in modules.items():
        for holder in holders:
            for function in ("forward", "backward_input", "backward_weight"):
                if hasattr(holder, function):
                    real = getattr(holder, function)

                    def recorded(*args, real=real, name=name):
                        called.append(name)
                        return real(*args)

                    monkeypatch.setattr(holder, function, recorded)
    for kind, (shape, weight_shape, options, groups) in KINDS.items():
        called.clear()
        results(*arrays(shape, weight_shape, options), options, groups)
        expected = kind.split()[0] if kind != "one dimension" else "direct"
        of_weight = "direct" if expected == "pointwise" else expected
        assert called == [expected, expected, of_weight], kind
        called.clear()
        results(*arrays(shape, weight_shape, options, np.float64), options, groups)
        assert "winograd" not in called


@pytest.mark.parametrize("kind", ["winograd", "winograd 5x5"])
def test_winograd_can_be_switched_off(kind):
    shape, weight_shape, options, groups = KINDS[kind]
    x, weight, bias, dy = arrays(shape, weight_shape, options)
    with_winograd = results(x, weight, bias, dy, options, groups)
    assert kernels.get_winograd()
    with kernels.winograd(False):
        assert not kernels.get_winograd()
        without = results(x, weight, bias, dy, options, groups)
    assert kernels.get_winograd()
    wide = [array.astype(np.float64) for array in (x, weight, bias, dy)]
    exact = results(*wide, options, groups)
    for winograd, direct, want in list(zip(with_winograd, without, exact, strict=True))[:3]:
        assert (winograd != direct).any()
        if kind == "winograd":  # 5 x 5 rounds no more than a plain sum of 25 times as many terms as there are channels
            assert np.abs(direct - want).max() < np.abs(winograd - want).max()
    with pytest.raises(ValueError, match="left as it was"), kernels.winograd(False):
        raise ValueError("left as it was")
    assert kernels.get_winograd()
    with pytest.raises(kernels.KernelError, match="must be True or False, got 1"):
        kernels.set_winograd(1)


def test_three_dimensions_and_other_dtypes_stay_with_numpy():
    options = (1, 1, 1), ((1, 1),) * 3, (1, 1, 1)
    check(*arrays((2, 3, 4, 5, 6), (4, 3, 3, 3, 3), options, np.float64), options, 1)
    x, weight, bias, _ = (a.astype(np.float16) for a in arrays((2, 3, 9, 9), (4, 3, 3, 3), PLAIN))
    assert kernels.conv_forward(x, weight, bias, *PLAIN, 1).dtype == np.float16


# --- wrong arguments --------------------------------------------------------------------------------------------------

X, WEIGHT, BIAS, DY = arrays((2, 4, 5, 6), (6, 4, 3, 3), PLAIN)
WRONG = {
    "x must be a NumPy array, got list": lambda: kernels.conv_forward([1], WEIGHT, None, *PLAIN, 1),
    "got 1 dimension": lambda: kernels.conv_forward(X[0, 0, 0], WEIGHT, None, *PLAIN, 1),
    "weight must be (O, C/groups, *kernel_size), 4 sizes >= 1": lambda: kernels.conv_forward(X, BIAS, None, *PLAIN, 1),
    "groups=4 must divide the 6 filters": lambda: kernels.conv_forward(X, WEIGHT, None, *PLAIN, 4),
    "wants x with 8 channels": lambda: kernels.conv_forward(X, WEIGHT, None, *PLAIN, 2),
    "bias must have shape (6,)": lambda: kernels.conv_forward(X, WEIGHT, BIAS[:3], *PLAIN, 1),
    "one dtype, got x float32, weight float64": lambda: kernels.conv_forward(X, WEIGHT.astype("f8"), None, *PLAIN, 1),
    "stride must be 2 number(s) >= 1, got (1, 0)": lambda: kernels.conv_forward(X, WEIGHT, None, (1, 0), *PLAIN[1:], 1),
    "dilation must be 2 number(s)": lambda: kernels.conv_forward(X, WEIGHT, None, *PLAIN[:2], (1,), 1),
    "padding must be 2 pair(s)": lambda: kernels.conv_forward(X, WEIGHT, None, (1, 1), ((-1, 0), (0, 0)), (1, 1), 1),
    "is larger than sizes (5, 6)": lambda: kernels.conv_forward(X, WEIGHT, None, (1, 1), ((0, 0),) * 2, (9, 9), 1),
    "dy must have the shape of the convolution": lambda: kernels.conv_backward_input(DY, WEIGHT, (9, 9), *PLAIN, 1),
    "input_size must be 2 number(s)": lambda: kernels.conv_backward_input(DY, WEIGHT, (9,), *PLAIN, 1),
    "kernel_size must be 2 numbers": lambda: kernels.conv_backward_weight(X, DY, (3,), *PLAIN, 1),
    "groups=3 must divide the channels": lambda: kernels.conv_backward_weight(X, DY, (3, 3), *PLAIN, 3),
    "(2, 6, 5, 6), got (1, 6, 5, 6)": lambda: kernels.conv_backward_weight(X, DY[:1], (3, 3), *PLAIN, 1),
    "dy must be (N, O, ...)": lambda: kernels.conv_backward_bias(BIAS),
}


@pytest.mark.parametrize("says", WRONG)
def test_wrong_arguments_are_refused_in_words(says):
    with pytest.raises(kernels.KernelError) as caught:
        WRONG[says]()
    assert says in str(caught.value)


# --- PyTorch ----------------------------------------------------------------------------------------------------------


@pytest.mark.torch
@each_kind
def test_live_pytorch(shape, weight_shape, options, groups):
    torch = pytest.importorskip("torch", reason="compares with an installed PyTorch")
    stride, padding, dilation = options
    if any(before != after for before, after in padding):
        padding = tuple((max(pair),) * 2 for pair in padding)  # PyTorch pads both sides alike
    options = stride, padding, dilation
    x, weight, bias, dy = arrays(shape, weight_shape, options)
    inputs = [torch.from_numpy(array).double().requires_grad_() for array in (x, weight, bias)]
    function = getattr(torch.nn.functional, f"conv{x.ndim - 2}d")
    y = function(*inputs, stride, [pair[0] for pair in padding], dilation, groups)
    want = [y, *torch.autograd.grad(y, inputs, torch.from_numpy(dy).double())]
    for got, wanted in zip(results(x, weight, bias, dy, options, groups), want, strict=True):
        wanted = wanted.detach().numpy()
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * max(1.0, np.abs(wanted).max()))
