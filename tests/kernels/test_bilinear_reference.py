"""The specification of bilinear sampling against loops that follow its definition, and its gradients numerically."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.reference import bilinear as reference

PADDING_MODES = ["zeros", "border", "reflection"]


def place_of(coordinate, size, padding_mode, align_corners):
    """One coordinate as a place counted in pixels, moved inside step by step."""
    first, last = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)  # where -1 and 1 are
    place = first + (coordinate + 1) / 2 * (last - first)
    if padding_mode == "reflection" and first < last:
        while not first <= place <= last:
            place = 2 * first - place if place < first else 2 * last - place
    if padding_mode != "zeros":
        place = min(max(place, 0.0), size - 1.0)
    return place


def pixel_or_zero(image, pixel):
    return image[pixel] if all(0 <= i < n for i, n in zip(pixel, image.shape, strict=True)) else 0.0


def sample_by_definition(image, point, padding_mode, align_corners):
    """One channel at one point."""
    sizes, coordinates = image.shape, point[::-1]
    found = [place_of(c, n, padding_mode, align_corners) for c, n in zip(coordinates, sizes, strict=True)]
    total = 0.0
    for steps in itertools.product((0, 1), repeat=len(sizes)):
        pixel = tuple(math.floor(p) + step for p, step in zip(found, steps, strict=True))
        weight = math.prod(1 - abs(p - i) for p, i in zip(found, pixel, strict=True))
        total += weight * pixel_or_zero(image, pixel)
    return total


@st.composite
def problems(draw):
    """Images, a grid that reaches far outside them, and options."""
    dims = draw(st.integers(2, 3))
    sizes = [draw(st.integers(1, 4)) for _ in range(dims)]
    outer = [draw(st.integers(0, 3)) for _ in range(dims)]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    batch, channels = draw(st.integers(0, 2)), draw(st.integers(0, 2))
    x = rng.standard_normal((batch, channels, *sizes))
    grid = rng.uniform(-4, 4, (batch, *outer, dims))
    if draw(st.booleans()):
        grid = np.round(grid * 4) / 4  # with many centres and edges of pixels
    return x, grid, draw(st.sampled_from(PADDING_MODES)), draw(st.booleans())


@given(problem=problems())
def test_forward_is_the_definition(problem):
    x, grid, padding_mode, align_corners = problem
    y = reference.forward(x, grid, padding_mode, align_corners)
    assert y.shape == (*x.shape[:2], *grid.shape[1:-1])
    for n, c, *place in np.ndindex(*y.shape):
        want = sample_by_definition(x[n, c], grid[(n, *place)], padding_mode, align_corners)
        assert y[(n, c, *place)] == pytest.approx(want, rel=1e-10, abs=1e-12)


@given(problem=problems())
def test_backward_is_adjoint_in_the_images(problem):
    """The map is linear in x."""
    x, grid, *padding = problem
    dy = np.random.default_rng(0).standard_normal((*x.shape[:2], *grid.shape[1:-1]))
    dx, dgrid = reference.backward(dy, x, grid, *padding)
    assert (dx.shape, dgrid.shape) == (x.shape, grid.shape)
    assert np.vdot(dx, x) == pytest.approx(np.vdot(dy, reference.forward(x, grid, *padding)), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("sizes", [(3, 4), (2, 3, 4)])
def test_backward_is_the_derivative_by_the_grid(sizes, padding_mode, align_corners):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, *sizes))
    grid = rng.uniform(-3, 3, (2, *[2] * (len(sizes) - 1), 5, len(sizes)))
    dy = rng.standard_normal((2, 3, *grid.shape[1:-1]))
    _, dgrid = reference.backward(dy, x, grid, padding_mode, align_corners)
    step = 1e-6
    for place in np.ndindex(*grid.shape):
        change = np.zeros_like(grid)
        change[place] = step
        above, below = (reference.forward(x, grid + s * change, padding_mode, align_corners) for s in (1, -1))
        assert dgrid[place] == pytest.approx(np.vdot(dy, above - below) / (2 * step), rel=1e-5, abs=1e-7)
    assert dgrid.any()


def test_at_the_ends_points_that_are_moved_have_no_gradient():
    """The choice at a kink: a point exactly on the border counts as moved, as in PyTorch."""
    x = np.arange(1.0, 10).reshape(1, 1, 3, 3)
    dy = np.ones((1, 1, 1, 2))
    grid = np.array([[[[-1.0, 0.5], [1.0, -0.5]]]])
    for padding_mode in ("border", "reflection"):
        _, dgrid = reference.backward(dy, x, grid, padding_mode, True)
        np.testing.assert_array_equal(dgrid, [[[[0, 3], [0, 3]]]])
    _, dgrid = reference.backward(dy, x, grid, "zeros", True)
    np.testing.assert_allclose(dgrid[0, 0, :, 1], [3, 3])
    np.testing.assert_allclose(dgrid[0, 0, :, 0], [1, -4.5])  # from 4.5 to the zeros behind


def test_points_that_are_no_numbers():
    """In two dimensions nan spreads where it is not moved inside; in three it is outside. Neither reads a pixel."""
    plane, volume = np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2, 2))
    for bad in (np.nan, np.inf, -np.inf):
        flat, deep = np.full((1, 1, 1, 2), bad), np.full((1, 1, 1, 1, 3), bad)
        assert np.isnan(reference.forward(plane, flat, "zeros", False)).all()
        assert (reference.forward(volume, deep, "zeros", False) == 0).all()
        for padding_mode in ("border", "reflection"):
            assert (reference.forward(plane, flat, padding_mode, False) == 1).all()
            assert (reference.forward(volume, deep, padding_mode, False) == 1).all()
        dx, _ = reference.backward(np.ones((1, 1, 1, 1)), plane, flat, "zeros", False)
        assert (dx == 0).all()


def test_what_is_outside_does_not_spread():
    """An infinite pixel is not multiplied by zero for points that do not read it."""
    x = np.array([[[[np.inf, 2.0, 4.0]]]])
    grid = np.array([[[[1.2, 0.0], [9.0, 0.0]]]])
    y = reference.forward(x, grid, "zeros", True)
    np.testing.assert_allclose(y, [[[[3.2, 0.0]]]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_are_kept(dtype):
    x, grid = np.ones((1, 2, 3, 3), dtype), np.zeros((1, 2, 2, 2), dtype)
    for padding_mode in PADDING_MODES:
        y = reference.forward(x, grid, padding_mode, False)
        dx, dgrid = reference.backward(y, x, grid, padding_mode, False)
        assert {a.dtype for a in (y, dx, dgrid)} == {np.dtype(dtype)}


def test_half_precision_adds_up_in_single_precision():
    x, grid, dy = np.ones((1, 1, 1, 1), np.float16), np.zeros((1, 3000, 1, 2), np.float16), np.ones((1, 1, 3000, 1))
    dx, _ = reference.backward(dy.astype(np.float16), x, grid, "border", False)
    assert dx[0, 0, 0, 0] == 3000


def test_read_and_add_are_adjoint():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 4, 5))
    pixels = rng.integers(-2, 7, (2, 6, 2)).astype(float)
    index, inside = reference.locate(pixels, (4, 5))
    assert 0 < inside.sum() < inside.size
    values = rng.standard_normal((2, 3, 6))
    read = reference.read(x, index, inside)
    for n, c, p in np.ndindex(*read.shape):
        assert read[n, c, p] == pixel_or_zero(x[n, c], tuple(map(int, pixels[n, p])))
    assert np.vdot(reference.add(values, index, inside, (4, 5)), x) == pytest.approx(np.vdot(values, read), rel=1e-10)


def test_strided_and_read_only_arrays():
    rng = np.random.default_rng(0)
    x, grid = rng.standard_normal((2, 3, 4, 5)), rng.uniform(-2, 2, (2, 3, 3, 2))
    dy = rng.standard_normal((2, 3, 3, 3))
    want = reference.forward(x, grid, "reflection", False), *reference.backward(dy, x, grid, "reflection", False)
    views = [np.asfortranarray(a) for a in (x, grid, dy)]
    for view in views:
        view.flags.writeable = False
    strided = [np.repeat(a, 2, axis=-1)[..., ::2] for a in (x, grid, dy)]
    for a, points, g in (views, strided):
        got = reference.forward(a, points, "reflection", False), *reference.backward(g, a, points, "reflection", False)
        for have, wanted in zip(got, want, strict=True):
            np.testing.assert_allclose(have, wanted, rtol=1e-12, atol=1e-14)
