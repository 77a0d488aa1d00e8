"""The specification of pooling against loops that follow its definition, and its own adjoints."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.reference import pooling as reference


def places(windows, index):
    """The places along each axis that window number `index` holds."""
    return [
        range(int(along.starts[i]), int(along.ends[i]), along.step) for along, i in zip(windows, index, strict=True)
    ]


def shape_of(windows):
    return tuple(len(along.starts) for along in windows)


def max_by_definition(plane, windows):
    """In each window, the index of the first maximum in memory, or of the last nan."""
    out = np.empty(shape_of(windows), np.int64)
    for index in np.ndindex(*out.shape):
        best, found = None, None
        for place in np.ndindex(*[len(along) for along in places(windows, index)]):
            here = tuple(along[i] for along, i in zip(places(windows, index), place, strict=True))
            if best is None or plane[here] > best or np.isnan(plane[here]):
                best, found = plane[here], int(np.ravel_multi_index(here, plane.shape))
        out[index] = found
    return out


@st.composite
def problems(draw):
    """An array with some axes before its spatial ones, and windows that fit, sliding or adaptive."""
    dims = draw(st.integers(1, 3))
    lead = draw(st.sampled_from([(), (2,), (0, 2), (2, 1)]))
    sizes, windows = [], []
    for _ in range(dims):
        n = draw(st.integers(1, 5))
        sizes.append(n)
        if draw(st.booleans()):
            windows.append(reference.adaptive_windows(n, draw(st.integers(1, 6))))
            continue
        k, s, d = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
        p = draw(st.integers(0, k // 2))
        room = n + 2 * p - d * (k - 1) - 1
        sliding = reference.sliding_windows(n, max(room // s, 0) + 1, k, s, p, d)
        fits = room >= 0 and (sliding.starts < sliding.ends).all()
        windows.append(sliding if fits else reference.adaptive_windows(n, 1))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    x = rng.integers(-2, 3, (*lead, *sizes)).astype(float)  # with many ties
    if draw(st.booleans()):
        x[rng.random(x.shape) < 0.2] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    return x, windows


@given(problem=problems())
def test_max_indices_are_the_definition(problem):
    x, windows = problem
    indices = reference.max_indices(x, windows)
    assert indices.dtype == np.int64
    assert indices.shape == (*x.shape[: x.ndim - len(windows)], *shape_of(windows))
    for lead in np.ndindex(*x.shape[: x.ndim - len(windows)]):
        np.testing.assert_array_equal(indices[lead], max_by_definition(x[lead], windows))


@given(problem=problems())
def test_means_are_the_definition(problem):
    x, windows = problem
    divisor = np.random.default_rng(0).uniform(1, 2, shape_of(windows))
    means = reference.means(x, windows, divisor)
    for index in np.ndindex(*divisor.shape):
        part = x[(..., *np.ix_(*map(list, places(windows, index))))]
        with np.errstate(invalid="ignore"):
            want = part.sum(tuple(range(-len(windows), 0))) / divisor[index]
        np.testing.assert_allclose(means[(..., *index)], want, rtol=1e-12)


@given(problem=problems())
def test_spread_is_adjoint_to_means(problem):
    x, windows = problem
    x = np.nan_to_num(x, posinf=1.0, neginf=-1.0)
    sizes = x.shape[x.ndim - len(windows) :]
    rng = np.random.default_rng(0)
    divisor = rng.uniform(1, 2, shape_of(windows))
    means = reference.means(x, windows, divisor)
    dy = rng.standard_normal(means.shape)
    dx = reference.spread(dy, sizes, windows, divisor)
    assert dx.shape == x.shape
    assert np.vdot(dx, x) == pytest.approx(np.vdot(dy, means), rel=1e-10, abs=1e-10)


@given(problem=problems())
def test_gather_and_scatter_are_adjoint(problem):
    x, windows = problem
    sizes = x.shape[x.ndim - len(windows) :]
    indices = reference.max_indices(x, windows)
    x = np.random.default_rng(1).standard_normal(x.shape)
    gathered = reference.gather(x, indices, len(windows))
    flat = x.reshape(*x.shape[: x.ndim - len(windows)], int(np.prod(sizes)))
    for place in np.ndindex(*indices.shape):
        assert gathered[place] == flat[(*place[: x.ndim - len(windows)], indices[place])]
    dy = np.random.default_rng(0).standard_normal(gathered.shape)
    scattered = reference.scatter_add(dy, indices, sizes)
    assert scattered.shape == x.shape
    assert np.vdot(scattered, x) == pytest.approx(np.vdot(dy, gathered), rel=1e-10, abs=1e-10)


def test_scatter_keeps_the_last_of_those_that_meet():
    values, indices = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2, 2], [0, 1]])
    np.testing.assert_array_equal(reference.scatter(values, indices, (3,)), [[0, 0, 2], [3, 4, 0]])
    np.testing.assert_array_equal(reference.scatter_add(values, indices, (3,)), [[0, 0, 3], [3, 4, 0]])


def test_sliding_windows_are_clipped_and_keep_their_step():
    starts, ends, step = reference.sliding_windows(size=5, count=4, kernel_size=3, stride=2, padding=3, dilation=2)
    # Places -3 -1 1, -1 1 3, 1 3 5, 3 5 7, of which those from 0 to 4 are kept.
    assert [list(range(a, b, step)) for a, b in zip(starts, ends, strict=True)] == [[1], [1, 3], [1, 3], [3]]


@pytest.mark.parametrize(("size", "count"), [(7, 3), (3, 7), (4, 4), (1, 2), (5, 1), (5, 0)])
def test_adaptive_windows_cover_the_axis(size, count):
    starts, ends, step = reference.adaptive_windows(size, count)
    assert (step, len(starts), len(ends)) == (1, count, count)
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        assert (start, end) == (int(np.floor(i * size / count)), int(np.ceil((i + 1) * size / count)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_are_kept(dtype):
    x = np.arange(8, dtype=dtype).reshape(1, 2, 4)
    windows, divisor = [reference.adaptive_windows(4, 2)], np.array([2, 2])
    indices = reference.max_indices(x, windows)
    assert reference.gather(x, indices, 1).dtype == dtype
    assert reference.scatter(x[..., :2], indices, (4,)).dtype == dtype
    assert reference.scatter_add(x[..., :2], indices, (4,)).dtype == dtype
    assert reference.means(x, windows, divisor).dtype == dtype
    assert reference.spread(x[..., :2], (4,), windows, divisor).dtype == dtype


def test_half_precision_adds_up_in_single_precision():
    x = np.full((1, 4000), 60000, np.float16)
    assert reference.means(x, [reference.adaptive_windows(4000, 1)], np.array([4000]))[0, 0] == np.float16(60000)


def test_strided_and_read_only_arrays():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    windows = [reference.sliding_windows(4, 3, 2, 1, 0, 1), reference.adaptive_windows(5, 3)]
    for view in (np.asfortranarray(x), np.repeat(x, 2, axis=3)[..., ::2]):
        view.flags.writeable = False
        indices = reference.max_indices(view, windows)
        np.testing.assert_array_equal(indices, reference.max_indices(x, windows))
        np.testing.assert_array_equal(reference.gather(view, indices, 2), reference.gather(x, indices, 2))
        np.testing.assert_allclose(
            reference.means(view, windows, np.array(4.0)), reference.means(x, windows, np.array(4.0)), rtol=1e-12
        )
