"""Few channels: the two corners of a row in one load."""

import numpy as np

from kernels.cpu.bilinear.frames import frame_image, frame_length, frame_origin, frame_pitch, rooms
from kernels.cpu.bilinear.places import BLOCK, DOWN, LEFT, RIGHT, ROWS, UP, find_corners
from kernels.cpu.jit import Array, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import (
    Width,
    broadcast_lanes,
    element,
    fma,
    lanes,
    lanes_of,
    load,
    load_column,
    load_lanes,
    separated,
    store,
    store_square,
    weighted_halves,
)


@kernel
def _between_rows(
    frame: Array, first: int, pitch: int, corner: Array, table: Array, count: int, rows: Array, pair: Width
) -> None:
    """The columns left and right of `count` points, between the rows above and below: a pair of pixels a point."""
    across = lanes_of(pair)
    for i in range(count):
        at = first + element(corner, i) * (across // 2)
        up, down = broadcast_lanes(table, (UP, i), pair), broadcast_lanes(table, (DOWN, i), pair)
        upper, lower = load_lanes(frame, at, pair), load_lanes(frame, at + pitch, pair)
        store(rows, i * across, fma(lower, down, upper * up))


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
    framed = np.full(workers, -1)
    frames = rooms(workers, groups * frame_length(height, length, lanes_of(width), x), x)
    corners = np.empty((workers, BLOCK), np.int32)
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
    size, pitch = frame_length(height, length, together, x), frame_pitch(length, together, x)
    origin = frame_origin(together, x)
    n, part = item // parts, item % parts
    if framed[worker] < 0:
        frame[:] = 0
    if framed[worker] != n:
        for c in range(0, channels, together):
            few = min(channels - c, together)
            frame_image(x, n * channels + c, few, frame, c // together * size, together, width)
        framed[worker] = n
    for start in range(part * stretch, min(points, (part + 1) * stretch), BLOCK):
        count = min(BLOCK, points - start)
        find_corners(
            grid, 2 * (n * points + start), count, height, length, pitch, padding_mode, align_corners, corner, table
        )
        for c in range(0, channels, together):
            _between_rows(frame, origin + c // together * size, pitch * together, corner, table, count, column, pair)
            for i in range(0, count, lanes(x)):
                both = separated(load_column(column, i * lanes_of(pair), lanes(x), pair))
                between = weighted_halves(both, load(table, (LEFT, i)), load(table, (RIGHT, i)))
                to = (n * channels + c) * points + start + i
                store_square(y, to, points, between, channels - c, count - i)
