"""Few channels: the two corners of a row in one load."""

from kernels.cpu.bilinear.places import BLOCK, DOWN, LEFT, RIGHT, UP, find_corners
from kernels.cpu.jit import Array, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import (
    Width,
    broadcast_lanes,
    element,
    fma,
    interleaved,
    lanes,
    lanes_of,
    load,
    load_column,
    load_column_first,
    load_lanes,
    separated,
    store,
    store_square,
    store_tile,
    weighted_halves,
)


@kernel
def frame_group(x: Array, plane: int, channels: int, frame: Array, first: int, width: Width) -> None:
    """Fills the frame at frame[first], whose border is zero, with the first `channels` planes of x from `plane` on."""
    height, length = x.shape[2:]
    size, across = lanes(x), lanes_of(width)
    for row in range(height):
        for col in range(0, length, size):
            at = (plane * height + row) * length + col
            to = first + ((row + 1) * (length + 2) + col + 1) * across
            tile = load_column_first(x, at, height * length, channels, length - col, width)
            store_tile(frame, to, size, interleaved(tile))


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
    framed: Array,
    frames: Array,
    corners: Array,
    tables: Array,
    columns: Array,
    width: Width,
    pair: Width,
    y: Array,
) -> None:
    """Fills y (N, C, points)."""
    arguments = (
        x, grid, padding_mode, align_corners, parts, framed, frames, corners, tables, columns, width, pair, y
    )  # fmt: skip
    parallel(_stretch, len(frames), x.shape[0] * parts, arguments)


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
    groups = (channels + together - 1) // together
    size, pitch = len(frame) // max(1, groups), (length + 2) * together
    n, part = item // parts, item % parts
    if framed[worker] < 0:
        frame[:] = 0
    if framed[worker] != n:
        for group in range(groups):
            c = group * together
            frame_group(x, n * channels + c, channels - c, frame, group * size, width)
        framed[worker] = n
    for start in range(part * stretch, min(points, (part + 1) * stretch), BLOCK):
        count = min(BLOCK, points - start)
        find_corners(grid, 2 * (n * points + start), count, height, length, padding_mode, align_corners, corner, table)
        for group in range(groups):
            _between_rows(frame, group * size, pitch, corner, table, count, column, pair)
            for i in range(0, count, lanes(x)):
                both = separated(load_column(column, i * lanes_of(pair), lanes(x), pair))
                between = weighted_halves(both, load(table, (LEFT, i)), load(table, (RIGHT, i)))
                c = n * channels + group * together
                store_square(y, c * points + start + i, points, between, channels - group * together, count - i)
