"""From the points of a grid to pixels and weights, a vector of points at a time.

`kernels.reference.bilinear` says what is computed; here it is the same operations in the same order, so that a point
falls on the same side of every kink and every tie. The results go into small tables in the L1 cache, a block of points
at a time, and the loops over channels read them from there.
"""

from typing import Any

import numpy as np

from kernels.cpu.jit import Array, kernel
from kernels.cpu.simd import (
    absolute,
    any_lane,
    astype,
    evens,
    floor,
    lanes,
    load_first,
    minimum,
    odds,
    product,
    remainder,
    splat,
    store,
    to_even,
    truncate,
    where,
)

BLOCK = 64  # points whose places are found at once, a multiple of the lanes of every vector

# Rows of the table of a block: the weights of the columns left and right of the point, and of the rows above and below
# it; the derivatives of its place, in pixels, by its coordinates, which only gradients need.
LEFT, RIGHT, UP, DOWN, SLOPE_X, SLOPE_Y = range(6)
ROWS = 6

PIXEL = np.zeros(1, np.int32)  # pixels are numbered in its dtype

ZEROS, BORDER, REFLECTION = range(3)
PADDING = {"zeros": ZEROS, "border": BORDER, "reflection": REFLECTION}


@kernel
def _rest(v: Any, like: Array, period: float) -> Any:
    """fmod(v, period) for v >= 0 and a whole number as the period, exactly."""
    turn = splat(like, period)
    if any_lane(v > 0.25 / np.finfo(like.dtype).eps):
        return remainder(v, turn)
    # Whole numbers up to v are exact here. The quotient may have been rounded up to the next one.
    rest = v - product(truncate(v / turn), turn)
    return where(rest < 0.0, rest + turn, rest)


@kernel
def _along(points: Any, like: Array, size: int, padding_mode: int, align_corners: bool) -> tuple[Any, Any]:
    """Coordinates along an axis of `size` pixels as places counted in pixels, and the derivatives of places by them."""
    zero, one = splat(like, 0.0), splat(like, 1.0)
    slope = splat(like, (size - 1) * 0.5 if align_corners else size * 0.5)
    found = product(points + one, slope)
    if not align_corners:
        found = found - 0.5
    if padding_mode == ZEROS:
        return found, slope
    if padding_mode == REFLECTION:
        low = 0.0 if align_corners else -0.5
        span = size - 1.0 if align_corners else float(size)
        phase = _rest(absolute(found - low), like, 2.0 * span)  # there and back again
        back = phase > span
        slope = where((found < low) ^ back, -slope, slope)
        found = where(back, 2.0 * span - phase, phase) + low
    last = splat(like, size - 1.0)
    inside = (found > zero) & (found < last)
    return where(found > zero, minimum(found, last), zero), where(inside, slope, zero)


@kernel
def _points(grid: Array, at: int, count: int) -> tuple[Any, Any]:
    """The x and the y of `count` points, or of a vector full of points if there are more."""
    left, right = load_first(grid, at, 2 * count), load_first(grid, at + lanes(grid), 2 * count - lanes(grid))
    return evens(left, right), odds(left, right)


@kernel
def _places(
    grid: Array, at: int, count: int, height: int, width: int, padding_mode: int, align_corners: bool
) -> tuple[Any, Any, Any, Any]:
    """The places x and y of a vector of points, of which `count` exist, and their derivatives by the coordinates."""
    points_x, points_y = _points(grid, at, count)
    x, slope_x = _along(points_x, grid, width, padding_mode, align_corners)
    y, slope_y = _along(points_y, grid, height, padding_mode, align_corners)
    return x, y, slope_x, slope_y


@kernel
def find_corners(
    grid: Array,
    at: int,
    count: int,
    height: int,
    width: int,
    pitch: int,
    padding_mode: int,
    align_corners: bool,
    slopes: bool,
    corner: Array,
    table: Array,
) -> None:
    """Fills `corner` and `table` (ROWS, BLOCK) for `count` points (x, y), which begin at grid[at].

    A corner is the number of the pixel at the upper left of the point, in an image that has a frame of zeros and
    `pitch` pixels a row, counted from the beginning of the row above the image (`kernels.cpu.bilinear.frames`). A point
    that reads no pixel of the image gets a corner below it, where all four are zeros.
    """
    for i in range(0, count, lanes(grid)):
        x, y, slope_x, slope_y = _places(grid, at + 2 * i, count - i, height, width, padding_mode, align_corners)
        x_first, y_first = floor(x), floor(y)
        right, down = x - x_first, y - y_first
        left, up = 1.0 - right, 1.0 - down
        inside = (x_first >= -1.0) & (x_first <= width - 1.0) & (y_first >= -1.0) & (y_first <= height - 1.0)
        row = astype(where(inside, y_first, splat(grid, height)), corner)
        col = astype(where(inside, x_first, splat(grid, -1.0)), corner)
        store(corner, i, (row + 1) * pitch + col)
        store(table, (LEFT, i), left)
        store(table, (RIGHT, i), right)
        store(table, (UP, i), up)
        store(table, (DOWN, i), down)
        if slopes:
            store(table, (SLOPE_X, i), slope_x)
            store(table, (SLOPE_Y, i), slope_y)


@kernel
def find_nearest(
    grid: Array, at: int, count: int, height: int, width: int, padding_mode: int, align_corners: bool, index: Array
) -> None:
    """Fills `index` with the number of the pixel nearest to each point, or -1 for points outside the image."""
    for i in range(0, count, lanes(grid)):
        x, y, _, _ = _places(grid, at + 2 * i, count - i, height, width, padding_mode, align_corners)
        x, y = to_even(x), to_even(y)
        inside = (x >= 0.0) & (x <= width - 1.0) & (y >= 0.0) & (y <= height - 1.0)
        row = astype(where(inside, y, splat(grid, 0.0)), index)
        col = astype(where(inside, x, splat(grid, -1.0)), index)
        store(index, i, row * width + col)
