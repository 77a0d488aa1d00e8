"""Images with the channels of a pixel side by side, in a frame of zeros.

                    W + 2 pixels
              0 0 0 0 0 0 0 0 0 0 0 0
              0 . . . . . . . . . . 0      A pixel is a run of `step` numbers: its channels, filled up with zeros to a
    H + 3     0 . . . . . . . . . . 0      multiple of the vector's width. So one load gives all channels of a corner,
    pixels    0 . . . . . . . . . . 0      or 16 of them, and the four corners of every point exist: whoever samples
              0 0 0 0 0 0 0 0 0 0 0 0      needs no test at the edges.
              0 0 0 0 0 0 0 0 0 0 0 0      Points that read nothing at all are sent to the last two rows.

Vectors are 4 channels wide for up to 4 channels, and a whole register for more. Between planes and channels side by
side, whole tiles of numbers change places in registers.
"""

from kernels.cpu.jit import Array, kernel
from kernels.cpu.simd import (
    Width,
    interleaved,
    lanes,
    lanes_of,
    load,
    load_column,
    load_first,
    separated,
    store,
    store_first,
    store_tile,
)


def vector_width(channels: int, full: int) -> int:
    """How many channels make a vector, where a register has `full` lanes."""
    return 4 if channels <= 4 else full


def frame_length(height: int, width: int, step: int, full: int) -> int:
    """The numbers in a framed image. Whole vectors of pixels are written, so there is room for one at the end."""
    numbers = ((height + 3) * (width + 2) + full) * step
    return -(-numbers // full) * full


@kernel
def side_by_side(
    planes: Array,
    at: int,
    plane: int,
    channels: int,
    count: int,
    square: Array,
    pixels: Array,
    to: int,
    step: int,
    width: Width,
) -> None:
    """pixels[to + i step + c] = planes[at + c plane + i] for i < count <= lanes, and 0 for the rest of a vector."""
    size, across = lanes(planes), lanes_of(width)
    for first in range(0, channels, across):
        for c in range(across):
            here = count if first + c < channels else 0
            store(square, c * size, load_first(planes, at + (first + c) * plane, here))
        tile = interleaved(load_column(square, 0, size, width))
        store_tile(pixels, to + first, step * size // across, tile)


@kernel
def in_planes(
    pixels: Array,
    at: int,
    step: int,
    square: Array,
    planes: Array,
    to: int,
    plane: int,
    channels: int,
    count: int,
    width: Width,
) -> None:
    """planes[to + c plane + i] = pixels[at + i step + c] for i < count <= lanes."""
    size, across = lanes(planes), lanes_of(width)
    for first in range(0, channels, across):
        tile = separated(load_column(pixels, at + first, step * size // across, width))
        store_tile(square, 0, size, tile)
        for c in range(min(across, channels - first)):
            store_first(planes, to + (first + c) * plane, load(square, c * size), count)


@kernel
def frame_image(x: Array, n: int, square: Array, frame: Array, step: int, width: Width) -> None:
    """Fills the frame, whose border is zero already, with image n of x (N, C, H, W).

    The zeros behind the last pixel of a row may run over the border into the next row, which is written later.
    """
    _, channels, height, length = x.shape
    for row in range(height):
        for col in range(0, length, lanes(x)):
            at = (n * channels * height + row) * length + col
            to = ((row + 1) * (length + 2) + col + 1) * step
            side_by_side(x, at, height * length, channels, length - col, square, frame, to, step, width)


@kernel
def unframe_row(frame: Array, step: int, square: Array, x: Array, n: int, row: int, width: Width) -> None:
    """The inverse for one row of image n."""
    _, channels, height, length = x.shape
    for col in range(0, length, lanes(x)):
        at = ((row + 1) * (length + 2) + col + 1) * step
        to = (n * channels * height + row) * length + col
        in_planes(frame, at, step, square, x, to, height * length, channels, length - col, width)
