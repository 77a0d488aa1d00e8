"""The gradients of images and grid: what arrives at a point goes to its four corners, times their weights.

With g = dy at the point (one number a channel) and the corners' pixels x and weights w,

    dx[corner] += w[corner] g          s[corner] = sum over channels of g x[corner]

    dgrid_x = slope_x ((s_upper_right - s_upper_left) up   + (s_lower_right - s_lower_left)  down)
    dgrid_y = slope_y ((s_lower_left  - s_upper_left) left + (s_lower_right - s_upper_right) right)

Points share corners, so the order in which they are added is fixed: an item of work has planes of its own.
"""

import numpy as np

from kernels.cpu.bilinear.frames import (
    LINE,
    add_parts,
    frame_image,
    frame_length,
    frame_origin,
    frame_pitch,
    rooms,
    side_by_side,
    unframe_image,
)
from kernels.cpu.bilinear.places import BLOCK, DOWN, LEFT, PIXEL, RIGHT, ROWS, SLOPE_X, SLOPE_Y, UP, find_corners
from kernels.cpu.jit import Array, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import (
    Width,
    broadcast_lanes,
    element,
    evens,
    fma,
    interleave_high,
    interleave_low,
    lanes,
    lanes_of,
    load,
    load_lanes,
    odds,
    store,
    store_first,
    zero_lanes,
)


@kernel
def _spread(
    frame: Array,
    gradient: Array,
    origin: int,
    step: int,
    pitch: int,
    corner: Array,
    table: Array,
    count: int,
    dy: Array,
    sums_x: Array,
    sums_y: Array,
    width: Width,
) -> None:
    """Adds what arrives at `count` points, dy[i * step + c], to the framed gradient of the image.

    sums_x and sums_y get a vector a point, whose lanes add up to the derivative by the point's place.
    """
    across = lanes_of(width)
    for i in range(count):
        at = origin + element(corner, i) * step
        below = at + pitch * step
        left, right = broadcast_lanes(table, (LEFT, i), width), broadcast_lanes(table, (RIGHT, i), width)
        up, down = broadcast_lanes(table, (UP, i), width), broadcast_lanes(table, (DOWN, i), width)
        weight_ul, weight_ur, weight_ll, weight_lr = left * up, right * up, left * down, right * down
        sum_ul = sum_ur = sum_ll = sum_lr = zero_lanes(dy, width)
        for c in range(0, step, across):
            g = load_lanes(dy, i * step + c, width)
            ul, ur, ll, lr = at + c, at + step + c, below + c, below + step + c
            sum_ul = fma(g, load_lanes(frame, ul, width), sum_ul)
            sum_ur = fma(g, load_lanes(frame, ur, width), sum_ur)
            sum_ll = fma(g, load_lanes(frame, ll, width), sum_ll)
            sum_lr = fma(g, load_lanes(frame, lr, width), sum_lr)
            store(gradient, ul, fma(weight_ul, g, load_lanes(gradient, ul, width)))
            store(gradient, ur, fma(weight_ur, g, load_lanes(gradient, ur, width)))
            store(gradient, ll, fma(weight_ll, g, load_lanes(gradient, ll, width)))
            store(gradient, lr, fma(weight_lr, g, load_lanes(gradient, lr, width)))
        store(sums_x, i * across, (sum_ur - sum_ul) * up + (sum_lr - sum_ll) * down)
        store(sums_y, i * across, (sum_ll - sum_ul) * left + (sum_lr - sum_ur) * right)


@kernel
def _add_up(sums: Array, across: int) -> None:
    """sums[i] = the sum of sums[i * across : (i + 1) * across], by halves: neighbours first."""
    while across > 1:
        across //= 2
        for i in range(0, BLOCK * across, lanes(sums)):
            v, w = load(sums, 2 * i), load(sums, 2 * i + lanes(sums))
            store(sums, i, evens(v, w) + odds(v, w))


@kernel
def _store_points(sums_x: Array, sums_y: Array, table: Array, dgrid: Array, at: int, count: int) -> None:
    """The derivatives by `count` points, from those by their places."""
    size = lanes(dgrid)
    for i in range(0, count, size):
        dx = load(sums_x, i) * load(table, (SLOPE_X, i))
        dy = load(sums_y, i) * load(table, (SLOPE_Y, i))
        store_first(dgrid, at + 2 * i, interleave_low(dx, dy), 2 * (count - i))
        store_first(dgrid, at + 2 * i + size, interleave_high(dx, dy), 2 * (count - i) - size)


@kernel
def backward(
    dy: Array,
    x: Array,
    grid: Array,
    padding_mode: int,
    align_corners: bool,
    parts: int,
    workers: int,
    width: Width,
    dx: Array,
    dgrid: Array,
) -> None:
    """Fills dx like x and dgrid like the grid."""
    images, channels, height, length = x.shape
    step = (channels + lanes_of(width) - 1) // lanes_of(width) * lanes_of(width)
    size = frame_length(height, length, step, x)
    framed = np.full((workers, LINE), -1)  # which image is in the frame of a worker
    frames = rooms(workers, size, x)
    gradients = rooms(workers if parts == 1 else images * parts, size, x)  # of a worker's image, or of each stretch
    corners = rooms(workers, BLOCK, PIXEL)
    tables = rooms(workers * ROWS, BLOCK, x).reshape(workers, ROWS, BLOCK)
    blocks = rooms(workers, (BLOCK + lanes(x)) * step, x)
    sums = rooms(workers * 2, BLOCK * lanes_of(width), x).reshape(workers, 2, BLOCK * lanes_of(width))
    arguments = (
        dy, x, grid, padding_mode, align_corners, parts, framed, frames, gradients, corners, tables, blocks, sums, step,
        width, dx, dgrid,
    )  # fmt: skip
    parallel(_stretch, workers, images * parts, arguments)
    if parts > 1:
        parallel(_unframe_parts, workers, images, (parts, gradients, step, width, dx))


@kernel
def _stretch(
    worker: int, item: int, dy: Array, x: Array, grid: Array, padding_mode: int, align_corners: bool, parts: int,
    framed: Array, frames: Array, gradients: Array, corners: Array, tables: Array, blocks: Array, sums: Array,
    step: int, width: Width, dx: Array, dgrid: Array,
) -> None:  # fmt: skip
    """One of `parts` stretches of the points of one image."""
    channels, height, length = x.shape[1:]
    points = dy.shape[2]
    stretch = (points + parts * BLOCK - 1) // (parts * BLOCK) * BLOCK
    frame, corner, table, block = frames[worker], corners[worker], tables[worker], blocks[worker]
    sums_x, sums_y = sums[worker, 0], sums[worker, 1]
    origin, pitch = frame_origin(step, x), frame_pitch(length, step, x)
    n, part = item // parts, item % parts
    frame_image(x, n, framed[worker], frame, step, width)
    gradient = gradients[worker if parts == 1 else item]
    gradient[:] = 0
    for start in range(part * stretch, min(points, (part + 1) * stretch), BLOCK):
        count = min(BLOCK, points - start)
        at = 2 * (n * points + start)
        find_corners(grid, at, count, height, length, pitch, padding_mode, align_corners, True, corner, table)
        for i in range(0, count, lanes(x)):
            here = n * channels * points + start + i
            side_by_side(dy, here, points, channels, count - i, block, i * step, step, width)
        _spread(frame, gradient, origin, step, pitch, corner, table, count, block, sums_x, sums_y, width)
        _add_up(sums_x, lanes_of(width))
        _add_up(sums_y, lanes_of(width))
        _store_points(sums_x, sums_y, table, dgrid, at, count)
    if parts == 1:
        unframe_image(gradient, dx, n, step, width)


@kernel
def _unframe_parts(
    worker: int, n: int, parts: int, gradients: Array, step: int, width: Width, dx: Array
) -> None:  # fmt: skip
    """The gradient of one image: the sum of those of its stretches."""
    add_parts(gradients, n * parts, parts)
    unframe_image(gradients[n * parts], dx, n, step, width)
