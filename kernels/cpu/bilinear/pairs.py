"""Few channels: both corners of a row in one load.

A pixel has one channel, or a group of 4 (the last group is filled up with zeros), and its neighbour to the right lies
behind it in memory. So a point takes two loads instead of four, and one pair of weights, the same in all lanes:

    frame      row r    [ c0 c1 c2 c3 | c0 c1 c2 c3 ]    * up
               row r+1  [ c0 c1 c2 c3 | c0 c1 c2 c3 ]    * down
                          left pixel    right pixel
                                 |
                                 v  added: the two columns, between the rows, for each point of a block
    point 0             [ l0 l1 l2 l3 | r0 r1 r2 r3 ]         l0 of 16 points   * left
    point 1             [ l0 l1 l2 l3 | r0 r1 r2 r3 ]   -->   l1 ...                      added: 16 results of
    ...                                                       r0 of 16 points   * right   each channel
                                                              r1 ...

The turn to the right is 24 shuffles for 16 points. Instructions that gather are not used: reading each channel from its
plane by them took twice as long on a Zen 4, and Intel's are slow since their microcode is careful.

The gradient takes the same way back: what arrives at a point, times left and right, is one pair; times up and down, it
is added to the two rows. The next point may have just one of the two pixels, as on every grid that follows the image,
and then the processor waits until the first pair is in the cache, while it hands on a store that covers the whole of a
load at once. So neighbours are not taken one after the other, but every APART-th point of a block, and then the ones
behind those: on a grid of all pixels that is 1.9 times as fast with 3 channels, 2.7 times with one (Zen 4).
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
    unframe_image,
)
from kernels.cpu.bilinear.places import BLOCK, DOWN, LEFT, PIXEL, RIGHT, ROWS, SLOPE_X, SLOPE_Y, UP, find_corners
from kernels.cpu.jit import Array, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import (
    Width,
    broadcast_lanes,
    concatenate,
    element,
    evens,
    first_half,
    fma,
    interleave_high,
    interleave_low,
    interleaved,
    lanes,
    lanes_of,
    load,
    load_column,
    load_column_first,
    load_lanes,
    odds,
    second_half,
    separated,
    store,
    store_first,
    store_square,
    store_tile,
    weighted_halves,
)

APART = 8  # steps between points that are taken one after the other in the backward


@kernel
def _between_rows(
    frame: Array, first: int, row: int, corner: Array, table: Array, count: int, columns: Array, pair: Width
) -> None:
    """The columns left and right of `count` points, between the rows above and below: a pair of pixels a point.

    A frame begins at frame[first], and its rows are `row` numbers apart.
    """
    across = lanes_of(pair)
    for i in range(count):
        at = first + element(corner, i) * (across // 2)
        up, down = broadcast_lanes(table, (UP, i), pair), broadcast_lanes(table, (DOWN, i), pair)
        upper, lower = load_lanes(frame, at, pair), load_lanes(frame, at + row, pair)
        store(columns, i * across, fma(lower, down, upper * up))


@kernel
def forward(
    x: Array,
    grid: Array,
    padding_mode: int,
    align_corners: bool,
    parts: int,
    workers: int,
    width: Width,
    pair: Width,
    y: Array,
) -> None:
    """Fills y (N, C, points)."""
    channels, height, length = x.shape[1:]
    groups = (channels + lanes_of(width) - 1) // lanes_of(width)
    framed = np.full((workers, LINE), -1)  # which image is in the frame of a worker
    frames = rooms(workers, groups * frame_length(height, length, lanes_of(width), x), x)
    corners = rooms(workers, BLOCK, PIXEL)
    tables = rooms(workers * ROWS, BLOCK, x).reshape(workers, ROWS, BLOCK)
    columns = rooms(workers, BLOCK * lanes_of(pair), x)
    arguments = x, grid, padding_mode, align_corners, parts, framed, frames, corners, tables, columns, width, pair, y
    parallel(_stretch, workers, x.shape[0] * parts, arguments)


@kernel
def _stretch(
    worker: int, item: int, x: Array, grid: Array, padding_mode: int, align_corners: bool, parts: int,
    framed: Array, frames: Array, corners: Array, tables: Array, columns: Array, width: Width, pair: Width, y: Array,
) -> None:  # fmt: skip
    """One of `parts` stretches of the points of one image."""
    channels, height, length = x.shape[1:]
    points, together = y.shape[2], lanes_of(width)
    stretch = (points + parts * BLOCK - 1) // (parts * BLOCK) * BLOCK
    frame, corner, table, column = frames[worker], corners[worker], tables[worker], columns[worker]
    origin, pitch = frame_origin(together, x), frame_pitch(length, together, x)
    size = frame_length(height, length, together, x)
    n, part = item // parts, item % parts
    frame_image(x, n, framed[worker], frame, together, width)
    for start in range(part * stretch, min(points, (part + 1) * stretch), BLOCK):
        count = min(BLOCK, points - start)
        at = 2 * (n * points + start)
        find_corners(grid, at, count, height, length, pitch, padding_mode, align_corners, False, corner, table)
        for c in range(0, channels, together):
            _between_rows(frame, origin + c // together * size, pitch * together, corner, table, count, column, pair)
            for i in range(0, count, lanes(x)):
                both = separated(load_column(column, i * lanes_of(pair), lanes(x), pair))
                between = weighted_halves(both, load(table, (LEFT, i)), load(table, (RIGHT, i)))
                to = (n * channels + c) * points + start + i
                store_square(y, to, points, between, channels - c, count - i)


@kernel
def _spread(
    frame: Array,
    gradient: Array,
    first: int,
    row: int,
    corner: Array,
    table: Array,
    count: int,
    arrived: Array,
    sums: Array,
    more: bool,
    width: Width,
    pair: Width,
) -> None:
    """Adds what arrives at `count` points to the framed gradient, and finds the derivatives by the place of each.

    `sums` has a pair for each point, whose halves add up to the derivatives by x and y. To add `more` channels to those
    that it has already is for all groups but the first.
    """
    single, double = lanes_of(width), lanes_of(pair)
    for begin in range(APART):
        for i in range(begin, count, APART):
            upper = first + element(corner, i) * single
            lower = upper + row
            up, down = broadcast_lanes(table, (UP, i), pair), broadcast_lanes(table, (DOWN, i), pair)
            left, right = broadcast_lanes(table, (LEFT, i), width), broadcast_lanes(table, (RIGHT, i), width)
            g = load_lanes(arrived, i * single, width)
            both = concatenate(g, g)
            sides = both * concatenate(left, right)
            above, below = load_lanes(frame, upper, pair), load_lanes(frame, lower, pair)
            by_x = fma(down, both * below, up * (both * above))
            by_y = sides * below - sides * above
            by_x, by_y = second_half(by_x) - first_half(by_x), first_half(by_y) + second_half(by_y)
            total = concatenate(by_x, by_y)
            store(sums, i * double, total + load_lanes(sums, i * double, pair) if more else total)
            store(gradient, upper, fma(up, sides, load_lanes(gradient, upper, pair)))
            store(gradient, lower, fma(down, sides, load_lanes(gradient, lower, pair)))


@kernel
def _store_points(sums: Array, table: Array, dgrid: Array, at: int, count: int, width: Width) -> None:
    """The derivatives by the points: sums over the channels, times those of their places."""
    size, across = lanes(sums), lanes_of(width)
    while across > 1:
        across //= 2
        for i in range(0, 2 * BLOCK * across, size):
            v, w = load(sums, 2 * i), load(sums, 2 * i + size)
            store(sums, i, evens(v, w) + odds(v, w))
    for i in range(0, count, size):
        slope_x, slope_y = load(table, (SLOPE_X, i)), load(table, (SLOPE_Y, i))
        left, right = load(sums, 2 * i), load(sums, 2 * i + size)
        store_first(dgrid, at + 2 * i, left * interleave_low(slope_x, slope_y), 2 * (count - i))
        store_first(dgrid, at + 2 * i + size, right * interleave_high(slope_x, slope_y), 2 * (count - i) - size)


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
    pair: Width,
    dx: Array,
    dgrid: Array,
) -> None:
    """Fills dx like x and dgrid like the grid."""
    images, channels, height, length = x.shape
    groups = (channels + lanes_of(width) - 1) // lanes_of(width)
    size = groups * frame_length(height, length, lanes_of(width), x)
    framed = np.full((workers, LINE), -1)  # which image is in the frame of a worker
    frames = rooms(workers, size, x)
    gradients = rooms(workers if parts == 1 else images * parts, size, x)  # of a worker's image, or of each stretch
    corners = rooms(workers, BLOCK, PIXEL)
    tables = rooms(workers * ROWS, BLOCK, x).reshape(workers, ROWS, BLOCK)
    arriving = rooms(workers, BLOCK * lanes_of(width), x)
    sums = rooms(workers, BLOCK * lanes_of(pair), x)
    sums[:] = 0  # which they remain if there are no channels
    arguments = (
        dy, x, grid, padding_mode, align_corners, parts, framed, frames, gradients, corners, tables, arriving, sums,
        width, pair, dx, dgrid,
    )  # fmt: skip
    parallel(_stretch_back, workers, images * parts, arguments)
    if parts > 1:
        parallel(_unframe_parts, workers, images, (parts, gradients, width, dx))


@kernel
def _stretch_back(
    worker: int, item: int, dy: Array, x: Array, grid: Array, padding_mode: int, align_corners: bool, parts: int,
    framed: Array, frames: Array, gradients: Array, corners: Array, tables: Array, arriving: Array, sums: Array,
    width: Width, pair: Width, dx: Array, dgrid: Array,
) -> None:  # fmt: skip
    """One of `parts` stretches of the points of one image."""
    channels, height, length = x.shape[1:]
    points, single = dy.shape[2], lanes_of(width)
    stretch = (points + parts * BLOCK - 1) // (parts * BLOCK) * BLOCK
    frame, corner, table = frames[worker], corners[worker], tables[worker]
    arrived, total = arriving[worker], sums[worker]
    origin, pitch = frame_origin(single, x), frame_pitch(length, single, x)
    size = frame_length(height, length, single, x)
    n, part = item // parts, item % parts
    frame_image(x, n, framed[worker], frame, single, width)
    gradient = gradients[worker if parts == 1 else item]
    gradient[:] = 0
    for start in range(part * stretch, min(points, (part + 1) * stretch), BLOCK):
        count = min(BLOCK, points - start)
        at = 2 * (n * points + start)
        find_corners(grid, at, count, height, length, pitch, padding_mode, align_corners, True, corner, table)
        for c in range(0, channels, single):
            for i in range(0, count, lanes(x)):
                here = (n * channels + c) * points + start + i
                g = load_column_first(dy, here, points, channels - c, count - i, width)
                store_tile(arrived, i * single, lanes(x), interleaved(g))
            first = origin + c // single * size
            _spread(frame, gradient, first, pitch * single, corner, table, count, arrived, total, c > 0, width, pair)
        _store_points(total, table, dgrid, at, count, width)
    if parts == 1:
        unframe_image(gradient, dx, n, single, width)


@kernel
def _unframe_parts(worker: int, n: int, parts: int, gradients: Array, width: Width, dx: Array) -> None:
    """The gradient of one image: the sum of those of its stretches."""
    add_parts(gradients, n * parts, parts)
    unframe_image(gradients[n * parts], dx, n, lanes_of(width), width)
