"""Images of few channels: lanes run along the points, and channels are read from their planes as they are.

With the places of 16 points in registers, the four corners of all of them are four vectors, and what a plane costs is
fetching these:

    column    c    c+1                       16 points     one channel
    row r     ul    ur      <- pairs at      [corner]      left, right = gather_pairs(plane, corner)
    row r+1   ll    lr      <- pairs at      [corner] + W  left, right = gather_pairs(plane + W, corner)

The square of pixels is always one inside the image. Beside an edge, where the point has just one column of pixels, that
column is the first or last of the image, but on the other side of the square: weights change places. Pixels of the
square that are no corner of the point count as zero whatever they are, also infinite.
"""

from typing import Any, NamedTuple

import numpy as np

from kernels.cpu.bilinear.gathering import gather_pairs
from kernels.cpu.bilinear.places import BLOCK, X_SLOPE, Y_SLOPE, X, Y, find_places
from kernels.cpu.jit import Array, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import (
    astype,
    element,
    floor,
    fma,
    interleave_high,
    interleave_low,
    lanes,
    load,
    load_first,
    maximum,
    minimum,
    splat,
    store,
    store_first,
    where,
)

WHOLE = np.zeros(1, np.int32)  # pixels are numbered in its dtype


class Pair(NamedTuple):
    """For a vector of places along an axis: two pixels side by side, their weights, and the derivative of the second.

    `low_counts` says where the first of the two is a neighbour of the place, `high_counts` the same for the second.
    """

    first: Any
    low: Any
    high: Any
    low_counts: Any
    high_counts: Any
    slope: Any


@kernel
def _pair(found: Any, slope: Any, like: Array, size: int) -> Any:
    """The pair for places along an axis of `size` >= 2 pixels, with the derivative of places by coordinates."""
    before = floor(found)
    behind = found - before
    ahead = 1.0 - behind
    last = splat(like, size - 2.0)
    first = minimum(maximum(before, splat(like, 0.0)), last)
    low_counts = (before >= -1.0) & (before <= last)
    high_counts = (before >= 0.0) & (before <= last + 1.0)
    swapped = low_counts ^ high_counts
    return Pair(
        first,
        where(swapped, behind, ahead),
        where(swapped, ahead, behind),
        low_counts,
        high_counts,
        where(swapped, -slope, slope),
    )


@kernel
def _square(places: Array, i: int, height: int, width: int) -> Any:
    """Columns and rows for a vector of points of a block, from i on, and the number of the pixel at the upper left."""
    cols = _pair(load(places, (X, i)), load(places, (X_SLOPE, i)), places, width)
    rows = _pair(load(places, (Y, i)), load(places, (Y_SLOPE, i)), places, height)
    return cols, rows, astype(rows.first, WHOLE) * width + astype(cols.first, WHOLE)


@kernel
def forward(x: Array, grid: Array, padding_mode: int, align_corners: bool, places: Array, y: Array) -> None:
    """Fills y (N, C, points) from x (N, C, H >= 2, W >= 2); `places` (workers, 4, BLOCK) is scratch."""
    blocks = (y.shape[2] + BLOCK - 1) // BLOCK
    parallel(_sample_block, len(places), len(x) * blocks, (x, grid, padding_mode, align_corners, places, y))


@kernel
def _sample_block(
    worker: int, item: int, x: Array, grid: Array, padding_mode: int, align_corners: bool, places: Array, y: Array
) -> None:
    """One block of the points of one image."""
    channels, height, width = x.shape[1:]
    points = y.shape[2]
    blocks = (points + BLOCK - 1) // BLOCK
    place, zero = places[worker], splat(x, 0.0)
    n, start = item // blocks, item % blocks * BLOCK
    count = min(BLOCK, points - start)
    find_places(grid, 2 * (n * points + start), count, height, width, padding_mode, align_corners, place)
    for i in range(0, count, lanes(x)):
        cols, rows, corner = _square(place, i, height, width)
        for c in range(n * channels, (n + 1) * channels):
            plane = c * height * width
            ul, ur = gather_pairs(x, plane, corner)
            ll, lr = gather_pairs(x, plane + width, corner)
            total = rows.low * cols.low * where(rows.low_counts & cols.low_counts, ul, zero)
            total = fma(rows.low * cols.high, where(rows.low_counts & cols.high_counts, ur, zero), total)
            total = fma(rows.high * cols.low, where(rows.high_counts & cols.low_counts, ll, zero), total)
            total = fma(rows.high * cols.high, where(rows.high_counts & cols.high_counts, lr, zero), total)
            store_first(y, c * points + start + i, total, count - i)


@kernel
def _add_squares(table: Array, corners: Array, count: int, gradient: Array, plane: int, width: int) -> None:
    """Adds the four rows of the table to the squares of `count` points, whose upper left pixels are `corners`."""
    for i in range(count):
        upper = np.uint64(plane + element(corners, i))
        lower = upper + np.uint64(width)
        gradient[upper] += element(table, (0, i))
        gradient[upper + np.uint64(1)] += element(table, (1, i))
        gradient[lower] += element(table, (2, i))
        gradient[lower + np.uint64(1)] += element(table, (3, i))


@kernel
def backward(
    dy: Array,
    x: Array,
    grid: Array,
    padding_mode: int,
    align_corners: bool,
    places: Array,
    starts: Array,
    tables: Array,
    gradients: Array,
    dgrid: Array,
) -> None:
    """Fills dgrid like the grid, and gradients (parts, x.size), whose sum over the parts is dx.

    `places` (workers, 4, BLOCK), `starts` (workers, lanes) and `tables` (workers, 4, lanes) are scratch.
    """
    arguments = dy, x, grid, padding_mode, align_corners, places, starts, tables, gradients, dgrid
    parallel(_spread_stretch, len(places), len(x) * len(gradients), arguments)


@kernel
def _spread_stretch(
    worker: int, item: int, dy: Array, x: Array, grid: Array, padding_mode: int, align_corners: bool,
    places: Array, starts: Array, tables: Array, gradients: Array, dgrid: Array,
) -> None:  # fmt: skip
    """One of as many stretches of the points of an image as there are gradients."""
    channels, height, width = x.shape[1:]
    points, parts = dy.shape[2], len(gradients)
    stretch = (points + parts * BLOCK - 1) // (parts * BLOCK) * BLOCK
    size = height * width
    place, corners, table, zero = places[worker], starts[worker], tables[worker], splat(x, 0.0)
    n, part = item // parts, item % parts
    gradient = gradients[part]
    gradient[n * channels * size : (n + 1) * channels * size] = 0
    for start in range(part * stretch, min(points, (part + 1) * stretch), BLOCK):
        count = min(BLOCK, points - start)
        at = 2 * (n * points + start)
        find_places(grid, at, count, height, width, padding_mode, align_corners, place)
        for i in range(0, count, lanes(x)):
            cols, rows, corner = _square(place, i, height, width)
            store(corners, 0, corner)
            has_ul, has_ur = rows.low_counts & cols.low_counts, rows.low_counts & cols.high_counts
            has_ll, has_lr = rows.high_counts & cols.low_counts, rows.high_counts & cols.high_counts
            sum_ul = sum_ur = sum_ll = sum_lr = zero
            for c in range(n * channels, (n + 1) * channels):
                plane = c * size
                g = load_first(dy, c * points + start + i, count - i)
                ul, ur = gather_pairs(x, plane, corner)
                ll, lr = gather_pairs(x, plane + width, corner)
                sum_ul = fma(g, where(has_ul, ul, zero), sum_ul)
                sum_ur = fma(g, where(has_ur, ur, zero), sum_ur)
                sum_ll = fma(g, where(has_ll, ll, zero), sum_ll)
                sum_lr = fma(g, where(has_lr, lr, zero), sum_lr)
                store(table, (0, 0), where(has_ul, g * (rows.low * cols.low), zero))
                store(table, (1, 0), where(has_ur, g * (rows.low * cols.high), zero))
                store(table, (2, 0), where(has_ll, g * (rows.high * cols.low), zero))
                store(table, (3, 0), where(has_lr, g * (rows.high * cols.high), zero))
                _add_squares(table, corners, min(count - i, lanes(x)), gradient, plane, width)
            by_x = cols.slope * (rows.low * (sum_ur - sum_ul) + rows.high * (sum_lr - sum_ll))
            by_y = rows.slope * (cols.low * (sum_ll - sum_ul) + cols.high * (sum_lr - sum_ur))
            store_first(dgrid, at + 2 * i, interleave_low(by_x, by_y), 2 * (count - i))
            store_first(dgrid, at + 2 * i + lanes(x), interleave_high(by_x, by_y), 2 * (count - i) - lanes(x))
