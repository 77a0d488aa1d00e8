"""Between planes (N, C, H, W) and the tiles of Winograd's algorithm, whose vectors hold neighbouring channels.

The results are cut into tiles of 4 x 4 pixels (for 3 x 3 taps) or 2 x 2 (for 5 x 5), and a row of tiles is the unit of
all bookkeeping: tile rows are numbered through all images, `down` of them in each. A block of tile rows is what one
thread works on at a time; where it reaches over the end of an image, it is done image by image.

    an image, padded:  . . . . . . . . . .
                       . +-------+-------+      each tile of outputs needs 6 x 6 inputs, so neighbouring tiles share
                       . | tile  | tile  |      two lines, or four, their `halo`; what lies outside of the image is
                       . |       |       |      zero, and so is whatever the last tiles hold beyond it
                       . +-------+-------+
"""

import threading
from typing import Any

import numpy as np

from kernels.cpu.convolution.winograd_transforms import Method, transform_input
from kernels.cpu.jit import Array, kernel
from kernels.cpu.matmul import PANEL
from kernels.cpu.simd import (
    lanes,
    load,
    load_square,
    load_tile,
    splat,
    store,
    store_square,
    store_tile,
    total,
    transpose,
)
from kernels.cpu.simd.instruction_set import FLOAT32_LANES

# Elements between one frequency's data and the next one's, so that their distance is no power of two: 36 addresses
# that agree in their last bits would compete for the same few lines of the cache.
SKEW = 16
SMALLEST_ARENA = 1 << 21  # elements: 8 MB, enough for NumPy to ask for large pages


def ceil_div(n: int, d: int) -> int:
    """n / d, rounded up."""
    return -(-n // d)


def whole_vectors(channels: int) -> int:
    """The channels, rounded up to whole vectors."""
    return ceil_div(channels, FLOAT32_LANES) * FLOAT32_LANES


@kernel
def across(pixels: int, tile: int) -> int:
    """How many tiles cover a line of so many pixels, or how many tile rows a column."""
    return (pixels + tile - 1) // tile


def room_for_lines(method: Method, rows: int, tiles: int) -> tuple[int, int]:
    """Lines of pixels of `lanes` channels, and elements in each, for `rows` rows of tiles and their halo.

    Lines are whole squares, of which one more may begin at the last pixel.
    """
    pixels = tiles * method.tile + method.halo
    line = (ceil_div(pixels, FLOAT32_LANES) + 1) * FLOAT32_LANES * FLOAT32_LANES
    return method.tile * rows + method.halo, line


class _Arena(threading.local):
    """The memory of one Python thread. Numba lets others run while a kernel works, so they cannot share it."""

    memory = np.empty(0, np.float32)


_arena = _Arena()


def scratch(*shapes: tuple[int, ...]) -> list[Array]:
    """float32 arrays of these shapes, their values undefined, that begin at multiples of 64 bytes.

    All are parts of one piece of memory that is kept for this thread's next call: obtaining megabytes anew from the
    operating system takes as long as filling them with results. Kernels want nothing of what an earlier one left there.
    Large arrays get large pages from NumPy, and that is what lets a tile be spread over 36 places without waiting for
    address translation.
    """
    sizes = [ceil_div(int(np.prod(shape)), 16) * 16 for shape in shapes]
    if _arena.memory.size < sum(sizes) + 16:
        _arena.memory = np.empty(max(sum(sizes) + 16, SMALLEST_ARENA), np.float32)
    start = -_arena.memory.ctypes.data // 4 % 16
    arrays = []
    for shape, size in zip(shapes, sizes, strict=True):
        arrays.append(_arena.memory[start : start + int(np.prod(shape))].reshape(shape))
        start += size
    return arrays


@kernel
def gather_lines(
    x: Array, n: int, channel: int, top: int, left: int, height: int, width: int, image: Array, line: int
) -> None:
    """image[i, j] = x[n, channel : channel + lanes, top + i, left + j], and zeros outside of x.

    For i < height, j < width; lines of the image are `line` elements apart.
    """
    channels, rows, columns = x.shape[1], x.shape[2], x.shape[3]
    pixel = lanes(x)
    nothing = splat(x, 0)
    before = min(max(0, -left), width)
    count = max(0, min(columns, left + width) - max(0, left))
    for i in range(height):
        row = top + i
        start = i * line
        if 0 <= row < rows and count > 0:
            source = ((n * channels + channel) * rows + row) * columns + max(0, left)
            for j in range(before):
                store(image, start + j * pixel, nothing)
            for j in range(0, count, pixel):
                square = load_square(x, source + j, rows * columns, channels - channel, min(pixel, count - j))
                store_tile(image, start + (before + j) * pixel, pixel, transpose(square))
            for j in range(before + count, width):
                store(image, start + j * pixel, nothing)
        else:
            for j in range(width):
                store(image, start + j * pixel, nothing)


@kernel
def scatter_lines(image: Array, line: int, y: Array, n: int, channel: int, top: int, height: int) -> None:
    """y[n, channel : channel + lanes, top + i, :] = image[i, :], for i < height."""
    channels, rows, columns = y.shape[1], y.shape[2], y.shape[3]
    pixel = lanes(y)
    for i in range(height):
        target = ((n * channels + channel) * rows + top + i) * columns
        for j in range(0, columns, pixel):
            square = transpose(load_tile(image, i * line + j * pixel, pixel, FLOAT32_LANES, 1))
            store_square(y, target + j, rows * columns, square, channels - channel, min(pixel, columns - j))


@kernel
def _run(first: int, last: int, down: int) -> tuple[int, int, int]:
    """The image that tile row `first` is in, its number there, and how many of the rows up to `last` are with it."""
    n = first // down
    row = first - n * down
    return n, row, min(last - first, down - row)


@kernel
def input_block(
    tile: int, halo: int, x: Array, first: int, last: int, down: int, wide: int, top: int, left: int,
    image: Array, line: int, v: Array, step: int, width: int,
) -> None:  # fmt: skip
    """v[f, tile, c] = B^T d B of the inputs d of all tiles in the rows first <= row < last.

    The frequencies f of v are `step` elements apart, its tiles `width`. x begins `top`, `left` inside of the padding.
    """
    channels = x.shape[1]
    pixel = lanes(x)
    for channel in range(0, channels, pixel):
        place = channel
        at = first
        while at < last:
            n, row, count = _run(at, last, down)
            height, pixels = tile * count + halo, tile * wide + halo
            gather_lines(x, n, channel, tile * row - top, -left, height, pixels, image, line)
            for i in range(count):
                for j in range(wide):
                    transform_input(image, tile * (i * line + j * pixel), line, v, place, step)
                    place += width
            at += count


@kernel
def gradient_block(
    transform: Any, tile: int, dy: Array, first: int, last: int, down: int, wide: int,
    image: Array, line: int, m: Array, step: int, panel_step: int,
) -> None:  # fmt: skip
    """m[f, tile, k] = A y A^T of the gradients y of all tiles in the rows first <= row < last.

    The frequencies of m are `step` elements apart; each is cut into panels as `kernels.cpu.matmul` wants them.
    """
    channels = dy.shape[1]
    pixel = lanes(dy)
    for channel in range(0, channels, pixel):
        place = channel // PANEL * panel_step + channel % PANEL
        at = first
        while at < last:
            n, row, count = _run(at, last, down)
            gather_lines(dy, n, channel, tile * row, 0, tile * count, tile * wide, image, line)
            for i in range(count):
                for j in range(wide):
                    transform(image, tile * (i * line + j * pixel), line, m, place, step)
                    place += PANEL
            at += count


@kernel
def output_block(
    transform: Any, tile: int, m: Array, step: int, width: int, bias: Array,
    first: int, last: int, down: int, wide: int, image: Array, line: int, y: Array,
) -> bool:  # fmt: skip
    """y = A^T m A + bias for all tiles in the rows first <= row < last. Returns whether all of it is finite."""
    channels, rows = y.shape[1], y.shape[2]
    pixel = lanes(y)
    check = splat(y, 0)
    for channel in range(0, channels, pixel):
        offset = load(bias, channel)
        place = channel
        at = first
        while at < last:
            n, row, count = _run(at, last, down)
            for i in range(count):
                for j in range(wide):
                    index = tile * (i * line + j * pixel)
                    check = check + transform(m, place, step, offset, image, index, line)
                    place += width
            scatter_lines(image, line, y, n, channel, tile * row, min(tile * count, rows - tile * row))
            at += count
    # A sum is finite only if all its terms are.
    return bool(np.isfinite(total(check)))
