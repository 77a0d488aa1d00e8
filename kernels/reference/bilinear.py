"""Sampling images between their pixels, in plain NumPy: the specification that every faster version is tested against.

With x (N, C, *sizes) and a grid (N, *outer, D) of points in D = len(sizes) dimensions, y (N, C, *outer) is

    y[n, c, p] = sum over corners k of weight[n, p, k] * x[n, c, pixel[n, p, k]]

where the 2^D corners of point p are the pixels around it, and the weight of a corner is a product with one factor for
each axis: 1 - t for the pixel before the point and t for the one behind it, if the point lies t = 0 to 1 behind the
first. A corner outside the image counts as zero.

The last axis of the grid lists coordinates in the order x, y, z, that is, for the last spatial axis first. -1 and 1 are
the two ends of an axis: with `align_corners` the centres of its first and last pixel, otherwise their outer edges.
`padding_mode` says what happens to points outside: "zeros" leaves them there, "border" moves them to the nearest place
inside, and "reflection" mirrors them at the ends until they are inside. Half precision is computed in float32.

Arguments are taken as they come: the callers check them. Source: M. Jaderberg et al., "Spatial Transformer Networks",
2015, https://arxiv.org/abs/1506.02025
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Sizes = Sequence[int]

# --- where points are -------------------------------------------------------------------------------------------------


@np.errstate(all="ignore")  # inf and nan spread silently
def places(grid: Array, sizes: Sizes, padding_mode: str, align_corners: bool) -> tuple[Array, Array]:
    """Points (..., D) as places counted in pixels, in the order of `sizes`, and the derivatives of places by points.

    The centre of the first pixel is 0. The derivative is 0 at and beyond the ends where points are moved inside.
    """
    points = wide(grid)[..., ::-1]
    n = np.asarray(sizes, points.dtype)
    slopes = np.broadcast_to((n - 1) / 2 if align_corners else n / 2, points.shape)
    found = (points + 1) * slopes
    if not align_corners:
        found = found - found.dtype.type(0.5)
    if padding_mode == "zeros":
        if len(sizes) == 3:  # as in PyTorch, where nan and inf are outside here, but spread in two dimensions
            found = np.where(np.isfinite(found), found, found.dtype.type(-2))
        return found, slopes
    found, turns = padded(found, sizes, padding_mode, align_corners)
    return found, slopes * turns


@np.errstate(all="ignore")
def padded(found: Array, sizes: Sizes, padding_mode: str, align_corners: bool) -> tuple[Array, Array]:
    """Places moved inside, where `padding_mode` asks for it, and the derivatives of the new places by the old ones."""
    n = np.asarray(sizes, found.dtype)
    turns = np.ones_like(found)
    if padding_mode == "zeros":
        return found, turns
    if padding_mode == "reflection":
        found, turns = _reflected(found, n, align_corners)
    inside = (found > 0) & (found < n - 1)
    # A nan becomes 0, as in PyTorch: comparisons with it are false.
    return np.where(found > 0, np.minimum(found, n - 1), 0).astype(found.dtype), np.where(inside, turns, 0)


def _reflected(found: Array, n: Array, align_corners: bool) -> tuple[Array, Array]:
    """Mirrored at the centres of the first and the last pixel, or at their outer edges."""
    low, span = (0.0, n - 1) if align_corners else (-0.5, n)
    phase = np.fmod(np.abs(found - low), 2 * span)  # there and back again
    back = phase > span
    turns = np.where((found < low) != back, -1, 1).astype(found.dtype)
    return np.where(back, 2 * span - phase, phase) + low, turns


# --- reading pixels, and the adjoint ----------------------------------------------------------------------------------


@np.errstate(all="ignore")
def locate(pixels: Array, sizes: Sizes) -> tuple[Array, Array]:
    """Whole-numbered places (..., D) as indices into the flattened image, and whether they are inside; 0 if not."""
    inside = np.logical_and.reduce((pixels >= 0) & (pixels <= np.asarray(sizes, pixels.dtype) - 1), axis=-1)
    whole = np.where(inside[..., None], pixels, 0).astype(np.int64)
    strides = [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    return np.asarray(whole @ np.array(strides, np.int64)), inside


def read(x: Array, index: Array, inside: Array) -> Array:
    """The pixels (N, C, *outer) of images at index (N, *outer); zero where not inside."""
    n, channels, *sizes = x.shape
    flat = x.reshape(n, channels, math.prod(sizes))
    values = np.take_along_axis(flat, index.reshape(n, 1, math.prod(index.shape[1:])), axis=2)
    return np.where(inside[:, None], values.reshape(n, channels, *index.shape[1:]), x.dtype.type(0))


def add(values: Array, index: Array, inside: Array, sizes: Sizes) -> Array:
    """The adjoint of `read`: images of zeros with the values added at their pixels."""
    n, channels = values.shape[:2]
    planes = np.arange(n * channels).reshape(n, channels, *(1,) * (index.ndim - 1)) * math.prod(sizes)
    out = np.zeros((n, channels, *sizes), values.dtype)
    everywhere = np.broadcast_to(inside[:, None], values.shape)
    np.add.at(out.reshape(-1), (planes + index[:, None])[everywhere], values[everywhere])
    return out


# --- sampling ---------------------------------------------------------------------------------------------------------


@np.errstate(all="ignore")
def forward(x: Array, grid: Array, padding_mode: str, align_corners: bool) -> Array:
    """The images x at the points of the grid."""
    images, sizes = wide(x), x.shape[2:]
    found, _ = places(grid, sizes, padding_mode, align_corners)
    out = np.zeros((*x.shape[:2], *grid.shape[1:-1]), images.dtype)
    for pixels, factors, _ in _corners(found):
        weight = np.multiply.reduce(factors, axis=-1)
        out += read(images, *locate(pixels, sizes)) * weight[:, None]
    return out.astype(x.dtype, copy=False)


@np.errstate(all="ignore")
def backward(dy: Array, x: Array, grid: Array, padding_mode: str, align_corners: bool) -> tuple[Array, Array]:
    """The gradients of x and of the grid, from that of y."""
    gradient, images, sizes = wide(dy), wide(x), x.shape[2:]
    found, slopes = places(grid, sizes, padding_mode, align_corners)
    dx, dfound = np.zeros_like(images), np.zeros_like(found)
    for pixels, factors, signs in _corners(found):
        index, inside = locate(pixels, sizes)
        dx += add(gradient * np.multiply.reduce(factors, axis=-1)[:, None], index, inside, sizes)
        dweight = np.add.reduce(gradient * read(images, index, inside), axis=1)
        for axis, sign in enumerate(signs):
            others = np.multiply.reduce(np.delete(factors, axis, axis=-1), axis=-1)
            dfound[..., axis] += sign * dweight * others
    dgrid = (dfound * slopes)[..., ::-1]
    return dx.astype(x.dtype, copy=False), dgrid.astype(grid.dtype)


def _corners(found: Array) -> Iterator[tuple[Array, Array, list[int]]]:
    """The corners around each place: their pixels, the factors of their weight, and the factors' derivatives."""
    first = np.floor(found)
    behind = found - first
    for corner in itertools.product((0, 1), repeat=found.shape[-1]):
        pixels = first + np.array(corner, first.dtype)
        yield pixels, np.where(corner, behind, 1 - behind), [1 if step else -1 for step in corner]


def wide(values: Array) -> Array:
    """Half precision as float32; other dtypes as they are."""
    return values.astype(np.float32) if values.dtype == np.float16 else values
