"""Images at the points of a grid: one point after the other, all channels of a corner in one load."""

import numpy as np

from kernels.cpu.bilinear.frames import LINE, frame_image, frame_length, frame_origin, frame_pitch, in_planes, rooms
from kernels.cpu.bilinear.places import BLOCK, DOWN, LEFT, PIXEL, RIGHT, ROWS, UP, find_corners
from kernels.cpu.jit import Array, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import Width, broadcast_lanes, element, fma, lanes, lanes_of, load_lanes, store


@kernel
def _sample(
    frame: Array,
    origin: int,
    step: int,
    pitch: int,
    corner: Array,
    table: Array,
    first: int,
    count: int,
    out: Array,
    width: Width,
) -> None:
    """out[i * step + c] = the sum of the four corners of point first + i, times their weights."""
    across = lanes_of(width)
    for i in range(first, first + count):
        at = origin + element(corner, i) * step
        below = at + pitch * step
        left, right = broadcast_lanes(table, (LEFT, i), width), broadcast_lanes(table, (RIGHT, i), width)
        up, down = broadcast_lanes(table, (UP, i), width), broadcast_lanes(table, (DOWN, i), width)
        upper_left, upper_right, lower_left, lower_right = left * up, right * up, left * down, right * down
        c = 0
        while c < step:
            total = upper_left * load_lanes(frame, at + c, width)
            total = fma(upper_right, load_lanes(frame, at + step + c, width), total)
            total = fma(lower_left, load_lanes(frame, below + c, width), total)
            total = fma(lower_right, load_lanes(frame, below + step + c, width), total)
            store(out, (i - first) * step + c, total)
            c += across


@kernel
def forward(
    x: Array, grid: Array, padding_mode: int, align_corners: bool, parts: int, workers: int, width: Width, y: Array
) -> None:
    """Fills y (N, C, points)."""
    channels, height, length = x.shape[1:]
    step = (channels + lanes_of(width) - 1) // lanes_of(width) * lanes_of(width)
    framed = np.full((workers, LINE), -1)  # which image is in the frame of a worker
    frames = rooms(workers, frame_length(height, length, step, x), x)
    corners = rooms(workers, BLOCK, PIXEL)
    tables = rooms(workers * ROWS, BLOCK, x).reshape(workers, ROWS, BLOCK)
    outs = rooms(workers, lanes(x) * step, x)
    arguments = x, grid, padding_mode, align_corners, parts, framed, frames, corners, tables, outs, step, width, y
    parallel(_stretch, workers, x.shape[0] * parts, arguments)


@kernel
def _stretch(
    worker: int, item: int, x: Array, grid: Array, padding_mode: int, align_corners: bool, parts: int,
    framed: Array, frames: Array, corners: Array, tables: Array, outs: Array, step: int, width: Width, y: Array,
) -> None:  # fmt: skip
    """One of `parts` stretches of the points of one image."""
    channels, height, length = x.shape[1:]
    points = y.shape[2]
    stretch = (points + parts * BLOCK - 1) // (parts * BLOCK) * BLOCK
    frame, corner, table, out = frames[worker], corners[worker], tables[worker], outs[worker]
    origin, pitch = frame_origin(step, x), frame_pitch(length, step, x)
    n, part = item // parts, item % parts
    frame_image(x, n, framed[worker], frame, step, width)
    for start in range(part * stretch, min(points, (part + 1) * stretch), BLOCK):
        count = min(BLOCK, points - start)
        at = 2 * (n * points + start)
        find_corners(grid, at, count, height, length, pitch, padding_mode, align_corners, False, corner, table)
        for i in range(0, count, lanes(x)):
            here = min(lanes(x), count - i)
            _sample(frame, origin, step, pitch, corner, table, i, here, out, width)
            in_planes(out, 0, step, y, n * channels * points + start + i, points, channels, here, width)
