"""DeviceArray: NumPy's functions on the device give what NumPy gives, and everything else is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from kernels import KernelError, cuda
from kernels.cuda import DeviceArray, DeviceError, elementwise, to_device, to_host

SHAPES = [(), (1,), (17,), (3, 5), (2, 1, 4), (0, 3), (1, 1, 1, 1), (2, 3, 4, 5)]


def same(got: DeviceArray, want: np.ndarray, tolerance: float = 0.0) -> None:
    assert isinstance(got, DeviceArray)
    host = got.to_host()
    assert (host.shape, host.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(host, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.bool_])
def test_there_and_back(rng, shape, dtype):
    array = (rng.normal(size=shape) * 3).astype(dtype)
    there = to_device(array)
    assert (there.shape, there.dtype, there.ndim, there.size) == (array.shape, array.dtype, array.ndim, array.size)
    assert there.nbytes == array.nbytes
    same(there, array)
    assert to_device(there) is there


def test_views_and_read_only_arrays_are_copied(rng):
    array = rng.normal(size=(4, 6))
    array.flags.writeable = False
    same(to_device(array.T), array.T)
    same(to_device(array[::2, ::-1]), array[::2, ::-1])
    same(to_device(np.broadcast_to(array[0], (3, 6))), np.broadcast_to(array[0], (3, 6)))


@pytest.mark.parametrize("ufunc", elementwise.FUNCTIONS, ids=lambda ufunc: ufunc.__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_function(rng, ufunc, dtype):
    inputs = [np.abs(rng.normal(size=(3, 7))).astype(dtype) + dtype(0.1) for _ in range(ufunc.nin)]
    inputs[0][0, 0] = inputs[-1][0, 0]  # for comparisons
    same(ufunc(*map(to_device, inputs)), ufunc(*inputs), 1e-6 if dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("ufunc", [np.maximum, np.minimum, np.sign, np.absolute, np.less, np.equal])
def test_nan_and_infinity_spread(ufunc):
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -1.0])
    inputs = np.meshgrid(special, special) if ufunc.nin == 2 else [special]
    same(ufunc(*map(to_device, inputs)), ufunc(*inputs))


broadcast_shapes = hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4, min_side=0)


@given(broadcast_shapes, st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_broadcasting(shapes, random):
    draw = np.random.default_rng(random.randrange(1000))
    with np.errstate(all="ignore"):
        x, y = (draw.normal(size=shape) for shape in shapes.input_shapes)
        same(to_device(x) - to_device(y), np.asarray(x - y))


@given(hnp.array_shapes(min_dims=1, max_dims=5, max_side=5))
@settings(max_examples=25)
def test_collapsed_dimensions_reach_the_same_elements(shape):
    shapes = [shape, tuple(1 if axis % 2 else size for axis, size in enumerate(shape))]
    sizes, steps = elementwise.collapsed(shape, shapes)
    assert np.prod(sizes) == np.prod(shape)
    numbers = [np.arange(np.prod(own)).reshape(own) for own in shapes]
    for own, along in zip(numbers, steps, strict=True):
        # The first of the sizes runs fastest.
        places = sum(
            np.arange(n).reshape(-1, *(1,) * k) * step for k, (n, step) in enumerate(zip(sizes, along, strict=True))
        )
        assert np.array_equal(np.ravel(places), np.ravel(np.broadcast_to(own, shape)))


def test_python_numbers_do_not_decide_the_dtype(rng):
    array = rng.normal(size=3).astype(np.float32)
    for function in (
        lambda x: x * 2,
        lambda x: 1.5 - x,
        lambda x: x / 3,
        lambda x: x**2,
        lambda x: -x,
        lambda x: x > 0,
    ):
        same(function(to_device(array)), function(array), 1e-7)
    same(to_device(np.arange(3)) / 2, np.arange(3) / 2)
    same(to_device(array) + np.float64(1), array + np.float64(1))


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (1, 2), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_sums_and_means(rng, axis, keepdims):
    array = rng.normal(size=(2, 11, 3))
    same(to_device(array).sum(axis, keepdims), np.asarray(array.sum(axis, keepdims=keepdims)), 1e-13)
    same(to_device(array).mean(axis, keepdims), np.asarray(array.mean(axis, keepdims=keepdims)), 1e-13)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1,), (70,), (2, 33, 1)])
def test_sums_of_odd_sizes(rng, shape):
    array = rng.integers(0, 9, size=shape)
    for axis in [None, *range(len(shape))]:
        same(to_device(array).sum(axis), np.asarray(array.sum(axis)))
    same((to_device(array) > 4).sum(), np.asarray((array > 4).sum()))


def test_reshape_shares_memory_and_a_copy_does_not(rng):
    array = to_device(rng.normal(size=(2, 6)))
    again = array.reshape(3, -1)
    assert again.shape == (3, 4)
    assert np.may_share_memory(array, again)
    assert not np.may_share_memory(array, array.copy())
    again[...] = 7.0
    assert (array.to_host() == 7).all()
    with pytest.raises(DeviceError, match="does not fit"):
        array.reshape(5, 2)


def test_in_place_operators_change_the_memory_and_not_the_name(rng):
    array = to_device(np.ones(3))
    name = array
    array += 1
    array *= to_device(np.array([1.0, 2.0, 3.0]))
    array /= 2
    array -= 1
    assert array is name
    assert name.tolist() == [0, 1, 2]


def test_a_result_can_go_into_memory_that_is_there(rng):
    array, out = to_device(rng.normal(size=3)), to_device(np.zeros(3))
    assert np.multiply(array, 2, out=out) is out
    same(out, array.to_host() * 2)
    with pytest.raises(DeviceError, match="does not have the result's shape"):
        np.multiply(array, 2, out=to_device(np.zeros(4)))


def test_assignment_broadcasts_into_but_not_beyond(rng):
    array = to_device(np.zeros((2, 3)))
    array[...] = to_device(np.arange(3.0))
    same(array, np.broadcast_to(np.arange(3.0), (2, 3)))
    with pytest.raises(DeviceError, match="does not broadcast"):
        array[...] = np.zeros((4, 3))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: np.cos(x), "np.cos"),
        (lambda x: np.concatenate([x, x]), "np.concatenate"),
        (lambda x: x[0], "x[...]"),
        (lambda x: x.argmax(), "argmax"),
        (lambda x: np.maximum.reduce(x), "np.maximum.reduce"),
        (lambda x: np.asarray(x), "NumPy cannot look into"),
        (lambda x: x.sum(5), "axis 5"),
        (lambda x: to_device([1.0]), "got list"),
        (lambda x: to_host([1.0]), "got list"),
        (lambda x: to_device(np.array(["a"])), "<U1"),
        (lambda x: x.astype(np.float16).sum(), "float16"),
    ],
)
def test_what_has_no_kernel_is_named(call, name):
    with pytest.raises(DeviceError) as caught:
        call(to_device(np.zeros((2, 3))))
    assert name in str(caught.value)
    assert isinstance(caught.value, KernelError)


def test_a_stream_of_ones_own(rng):
    from numba import cuda as numba_cuda

    array = rng.normal(size=(5, 7))
    one, other = numba_cuda.stream(), numba_cuda.stream()
    with cuda.on_stream(one):
        x = to_device(array)
        doubled = x * 2
        with cuda.on_stream(other):
            tripled = to_device(array) * 3
        total = doubled.sum()
    cuda.synchronize()
    same(doubled, array * 2)
    same(tripled, array * 3)
    assert float(total) == pytest.approx(2 * array.sum())


def test_determinism_is_a_switch():
    assert cuda.get_deterministic()
    with pytest.raises(KernelError, match="True or False"):
        cuda.set_deterministic(1)


def test_memory_that_runs_out_is_said_with_the_size(monkeypatch):
    class NoMemory:
        def device_array(self, shape, dtype):
            raise RuntimeError("[2] Call to cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY")

    monkeypatch.setattr("kernels.cuda.device.toolkit", NoMemory)
    with pytest.raises(DeviceError, match=r"out of memory on the GPU: an array of shape \(1000, 1000\).* 7.6 MiB"):
        cuda.array.empty((1000, 1000), np.float64)


def test_arrays_that_32_bits_cannot_count_are_refused():
    from kernels.cuda import device

    with pytest.raises(DeviceError, match="2147483648"):
        device.check_index(5, 2**31)
