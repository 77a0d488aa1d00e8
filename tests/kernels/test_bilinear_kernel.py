"""The sampling kernels against their specification, PyTorch and the engine's numerical derivatives."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kernels
import minigrad as mg
from kernels import bilinear
from kernels.cpu.bilinear.places import BLOCK
from kernels.errors import KernelError
from kernels.reference import bilinear as reference

PADDING_MODES = ["zeros", "border", "reflection"]
DTYPES = [np.float32, np.float64]


@pytest.fixture(autouse=True)
def everything_compiled(monkeypatch):
    """Small problems run on the kernels too."""
    monkeypatch.setattr(bilinear, "SMALL", 0)


def problem(rng, dtype, images, sizes, outer, reach=3.0):
    """dy, x and a grid that reaches outside the images."""
    grid = rng.uniform(-reach, reach, (images[0], *outer, len(sizes)))
    x, dy = rng.standard_normal((*images, *sizes)), rng.standard_normal((*images, *outer))
    return tuple(array.astype(dtype) for array in (dy, x, grid))


def tolerance(want, dtype):
    return {"rtol": 0, "atol": (1e-12 if dtype == np.float64 else 1e-4) * max(1.0, np.abs(want).max(initial=0))}


def check_bilinear(dy, x, grid, *padding):
    """Raises AssertionError unless the kernels give what NumPy gives in the same dtype."""
    got = bilinear.grid_sample_forward(x, grid, *padding), *bilinear.grid_sample_backward(dy, x, grid, *padding)
    want = reference.forward(x, grid, *padding), *reference.backward(dy, x, grid, *padding)
    for have, wanted in zip(got, want, strict=True):
        assert (have.shape, have.dtype) == (wanted.shape, wanted.dtype)
        np.testing.assert_allclose(have, wanted, **tolerance(wanted, x.dtype))


def check_nearest(dy, x, grid, *padding):
    sizes = x.shape[2:]
    index, inside = reference.locate(np.rint(reference.places(grid, sizes, *padding)[0]), sizes)
    want = reference.read(x, index, inside)
    np.testing.assert_array_equal(bilinear.grid_sample_nearest_forward(x, grid, *padding), want)
    np.testing.assert_array_equal(bilinear.read_pixels(x, index, inside), want)
    dx = reference.add(dy, index, inside, sizes)
    for have in (
        bilinear.grid_sample_nearest_backward(dy, grid, sizes, *padding),
        bilinear.add_pixels(dy, index, inside, sizes),
    ):
        np.testing.assert_allclose(have, dx, **tolerance(dx, x.dtype))


@st.composite
def problems(draw):
    dtype = draw(st.sampled_from(DTYPES))
    images = draw(st.integers(0, 5)), draw(st.sampled_from([0, 1, 2, 3, 4, 5, 7, 13, 16, 17, 33, 130]))
    sizes = draw(st.integers(1, 9)), draw(st.sampled_from([1, 2, 3, 7, 15, 16, 17, 37]))
    outer = draw(st.integers(0, 5)), draw(st.sampled_from([0, 1, 3, 7, 16, 31, 33, BLOCK + 1]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    arrays = problem(rng, dtype, images, sizes, outer)
    return arrays, (draw(st.sampled_from(PADDING_MODES)), draw(st.booleans()))


@given(drawn=problems())
def test_bilinear_is_the_specification(drawn):
    arrays, padding = drawn
    check_bilinear(*arrays, *padding)


@given(drawn=problems())
def test_nearest_is_the_specification(drawn):
    """Also where ties decide: many points lie between two pixels."""
    (dy, x, grid), padding = drawn
    check_nearest(dy, x, grid, *padding)
    check_nearest(dy, x, np.round(grid * 4) / 4, *padding)


@pytest.mark.parametrize("channels", [1, 3, 6, 17])
def test_on_every_instruction_set(channels):
    """Run for other processors by test_instruction_sets.py."""
    arrays = problem(np.random.default_rng(0), np.float32, (2, channels), (7, 9), (5, 11))
    check_bilinear(*arrays, "zeros", False)
    check_nearest(*arrays, "reflection", True)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_points_far_away_and_points_that_are_no_numbers(dtype, padding_mode, align_corners):
    rng = np.random.default_rng(0)
    largest = float(np.finfo(dtype).max)
    odd = [np.nan, np.inf, -np.inf, 1e4, -1e7, 1e9, -1e30, largest, -largest, -1.0, 1.0, -0.0, 1e-20, -1e-20, 0.3]
    grid = np.stack(np.meshgrid(odd, odd), axis=-1)[None].astype(dtype)
    for sizes in ((4, 5), (1, 3), (1, 1)):
        for channels in (1, 3, 6, 17):
            dy, x, _ = problem(rng, dtype, (1, channels), sizes, grid.shape[1:-1])
            with np.errstate(all="ignore"):
                check_bilinear(dy, x, grid, padding_mode, align_corners)
                check_nearest(dy, x, grid, padding_mode, align_corners)


@pytest.mark.parametrize("channels", [1, 3, 6, 17])
def test_what_spreads_from_pixels_that_are_no_numbers(channels):
    rng = np.random.default_rng(0)
    dy, x, grid = problem(rng, np.float64, (2, channels), (5, 6), (8, 9), reach=1.5)
    x[0, :, 2, 3], x[1, 0, 0, 0], dy[0, :, 1, 1], dy[1, 0, 2, 2] = np.inf, np.nan, -np.inf, np.nan
    for padding_mode in PADDING_MODES:
        with np.errstate(all="ignore"):
            check_bilinear(dy, x, grid, padding_mode, False)
        y = bilinear.grid_sample_forward(x, grid, padding_mode, False)
        assert np.isnan(y[1]).any()
        assert np.isposinf(y[0]).any()
        assert np.isfinite(y).any()


@pytest.mark.usefixtures("small_work_is_shared")
@pytest.mark.parametrize(("images", "channels"), [(1, 1), (5, 1), (2, 3), (5, 3), (1, 6), (1, 20), (5, 20)])
def test_threads_do_not_change_a_bit(images, channels):
    """Large enough for every thread to get work; in float32, where another order of additions would show."""
    rng = np.random.default_rng(0)
    size = 263 if images * channels == 1 else 130  # more elements than `single_threaded_when_small` asks for
    dy, x, grid = problem(rng, np.float32, (images, channels), (size, size), (size, size + 3), reach=0.2)
    most = kernels.max_num_threads()
    before, results = kernels.get_num_threads(), []
    try:
        for threads in {1, 2, most} & set(range(1, most + 1)):
            kernels.set_num_threads(threads)
            results.append(
                (
                    bilinear.grid_sample_forward(x, grid),
                    *bilinear.grid_sample_backward(dy, x, grid),
                    bilinear.grid_sample_nearest_forward(x, grid),
                    bilinear.grid_sample_nearest_backward(dy, grid, x.shape[2:]),
                )
            )
    finally:
        kernels.set_num_threads(before)
    for result in results[1:]:
        for have, want in zip(result, results[0], strict=True):
            np.testing.assert_array_equal(have.view(np.uint32), want.view(np.uint32))


def test_strided_read_only_and_half_precision_inputs():
    rng = np.random.default_rng(0)
    dy, x, grid = problem(rng, np.float64, (2, 3), (4, 5), (6, 7))
    kept = [array.copy() for array in (dy, x, grid)]
    views = [np.asfortranarray(array) for array in (dy, x, grid)]
    strided = [np.repeat(array, 2, axis=-1)[..., ::2] for array in (dy, x, grid)]
    for arrays in (views, strided):
        for array in arrays:
            array.flags.writeable = False
        check_bilinear(*arrays, "reflection", False)
        check_nearest(*arrays, "reflection", False)
    half = [array.astype(np.float16) for array in (dy, x, grid)]
    got = bilinear.grid_sample_forward(*half[1:]), *bilinear.grid_sample_backward(*half)
    want = reference.forward(*half[1:], "zeros", False), *reference.backward(*half, "zeros", False)
    for have, wanted in zip(got, want, strict=True):
        assert have.dtype == np.float16
        np.testing.assert_allclose(have, wanted, rtol=2e-3, atol=2e-3)
    for array, before in zip((dy, x, grid), kept, strict=True):
        np.testing.assert_array_equal(array, before)


def test_three_dimensions_stay_on_numpy():
    rng = np.random.default_rng(0)
    dy, x, grid = problem(rng, np.float64, (2, 3), (2, 4, 5), (3, 2, 7))
    check_bilinear(dy, x, grid, "border", True)
    check_nearest(dy, x, grid, "border", True)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_derivatives_through_the_engine(padding_mode, mode):
    """Both orders, numerically, for an image and points in float64 (no point near a kink)."""
    rng = np.random.default_rng(3)
    pixels = rng.integers(-1, 5, (1, 3, 4, 2)) + rng.uniform(0.15, 0.35, (1, 3, 4, 2))
    grid = mg.tensor((2 * pixels + 1) / 5 - 1, requires_grad=True)
    x = mg.tensor(rng.standard_normal((1, 2, 5, 5)), requires_grad=True)

    def sampled(x, grid):
        return mg.nn.functional.grid_sample(x, grid, mode, padding_mode, align_corners=False)

    if mode == "nearest":  # whose gradient by the grid is 0, and nothing to compare
        points = grid.detach()
        assert mg.autograd.gradcheck(lambda x: sampled(x, points), (x,))
        assert mg.autograd.gradgradcheck(lambda x: sampled(x, points), (x,))
        return
    assert mg.autograd.gradcheck(sampled, (x, grid))
    assert mg.autograd.gradgradcheck(sampled, (x, grid))


@pytest.mark.torch
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
def test_the_kernels_are_pytorch(padding_mode, align_corners):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    for channels in (1, 3, 6, 18):
        dy, x, grid = problem(rng, np.float64, (2, channels), (9, 13), (11, 17), reach=2.0)
        theirs = [torch.from_numpy(array) for array in (dy, x, grid)]
        padding = (PADDING_MODES.index(padding_mode), align_corners)
        for mode in (0, 1):
            y = torch.ops.aten.grid_sampler_2d(*theirs[1:], mode, *padding).numpy()
            dx, dgrid = torch.ops.aten.grid_sampler_2d_backward(*theirs, mode, *padding, [True, True])
            if mode == 0:
                ours = bilinear.grid_sample_forward(x, grid, padding_mode, align_corners)
                both = bilinear.grid_sample_backward(dy, x, grid, padding_mode, align_corners)
                np.testing.assert_allclose(both[1], dgrid.numpy(), rtol=1e-9, atol=1e-9)
                got = both[0]
            else:
                ours = bilinear.grid_sample_nearest_forward(x, grid, padding_mode, align_corners)
                got = bilinear.grid_sample_nearest_backward(dy, grid, x.shape[2:], padding_mode, align_corners)
            np.testing.assert_allclose(ours, y, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(got, dx.numpy(), rtol=1e-9, atol=1e-9)


X, GRID, DY = np.ones((2, 3, 4, 5)), np.zeros((2, 6, 7, 2)), np.ones((2, 3, 6, 7))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bilinear.grid_sample_forward([1.0], GRID), ["x must be a NumPy array", "got list"]),
        (lambda: bilinear.grid_sample_forward(X.astype(int), GRID), ["float32 or float64", "got int64"]),
        (lambda: bilinear.grid_sample_forward(X[0], GRID), ["(N, C, H, W)", "(3, 4, 5)"]),
        (lambda: bilinear.grid_sample_forward(X[:, :, :0], GRID), ["at least 1", "(0, 5)"]),
        (lambda: bilinear.grid_sample_forward(X, GRID.astype(np.float32)), ["float64", "got float32", "astype"]),
        (lambda: bilinear.grid_sample_forward(X, GRID[:1]), ["(2, H_out, W_out, 2)", "(1, 6, 7, 2)"]),
        (lambda: bilinear.grid_sample_forward(X, GRID, "wrap"), ["padding_mode", "'wrap'"]),
        (lambda: bilinear.grid_sample_backward(DY[:, :2], X, GRID), ["dy", "(2, 3, 6, 7)", "got (2, 2, 6, 7)"]),
        (lambda: bilinear.grid_sample_backward(DY.astype(np.float32), X, GRID), ["dy", "float64", "got float32"]),
        (lambda: bilinear.grid_sample_nearest_forward(X, GRID, 3), ["padding_mode", "3"]),
        (lambda: bilinear.grid_sample_nearest_backward(DY, GRID, (4, 0)), ["sizes", "(4, 0)"]),
        (lambda: bilinear.grid_sample_nearest_backward(DY[..., :6], GRID, (4, 5)), ["dy", "got (2, 3, 6, 6)"]),
    ],
)
def test_errors_say_what_is_wrong(call, words):
    with pytest.raises(KernelError) as caught:
        call()
    for word in ["grid_sample_", *words]:
        assert word in str(caught.value)


def test_small_problems_do_not_import_numba():
    code = (
        "import sys, numpy as np; from kernels import bilinear as b;"
        "x, g = np.ones((1, 2, 3, 4)), np.zeros((1, 5, 6, 2));"
        "y = b.grid_sample_forward(x, g); b.grid_sample_backward(y, x, g);"
        "y = b.grid_sample_nearest_forward(x, g); b.grid_sample_nearest_backward(y, g, (3, 4));"
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
