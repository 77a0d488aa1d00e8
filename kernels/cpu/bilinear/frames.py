"""Images with the channels of a pixel side by side, in a frame of zeros.

              0 0 0 0 0 0 0 0 0 0 0 0 0
              . . . . . . . . . . 0 0 0     A pixel is a run of `step` numbers: its channels, filled up with zeros to a
    H + 3     . . . . . . . . . . 0 0 0     multiple of the vector's width. So one load gives all channels of a corner,
    rows      . . . . . . . . . . 0 0 0     or 16 of them, and the four corners of every point exist: whoever samples
              0 0 0 0 0 0 0 0 0 0 0 0 0     needs no test at the edges. The zeros that end a row are also to the left
              0 0 0 0 0 0 0 0 0 0 0 0 0     of the next one. Points that read nothing at all are sent below the image.
              |-- pitch >= W + 1 ---->|

Rows begin at multiples of a vector: a store that lies in two lines of the cache costs two. Between planes and channels
side by side, whole tiles of numbers change places in registers.
"""

import numpy as np

from kernels.cpu.jit import Array, kernel
from kernels.cpu.simd import (
    Width,
    interleaved,
    lanes,
    lanes_of,
    load,
    load_column,
    load_column_first,
    separated,
    store,
    store_square,
    store_tile,
)

LINE = 64  # bytes of a line of the cache, and of the longest vector


@kernel
def rooms(count: int, length: int, like: Array) -> Array:
    """(count, length): undefined numbers, of which each row has lines of the cache, and so one thread, to itself."""
    size = LINE // like.itemsize
    across = (length + size - 1) // size * size
    memory = np.empty(count * across + size, like.dtype)
    start = -(memory.ctypes.data // like.itemsize) % size
    return memory[start : start + count * across].reshape(count, across)


@kernel
def frame_pitch(length: int, step: int, like: Array) -> int:
    """The pixels from row to row: whole vectors, so that all rows begin where a vector may."""
    together = max(1, lanes(like) // step)
    return (length + together) // together * together


@kernel
def frame_origin(step: int, like: Array) -> int:
    """The place of the pixel in row -1 and column 0, behind a vector or a pixel of zeros."""
    return max(step, lanes(like))


@kernel
def frame_length(height: int, length: int, step: int, like: Array) -> int:
    """The numbers in a framed image. Whole vectors of pixels are written, so there is room for one at the end."""
    pixels = (height + 3) * frame_pitch(length, step, like) + lanes(like)
    return frame_origin(step, like) + pixels * step


@kernel
def side_by_side(
    planes: Array, at: int, plane: int, channels: int, count: int, pixels: Array, to: int, step: int, width: Width
) -> None:
    """pixels[to + i step + c] = planes[at + c plane + i] for i < count <= lanes, and 0 for the rest of a vector."""
    size, across = lanes(planes), lanes_of(width)
    for first in range(0, channels, across):
        tile = load_column_first(planes, at + first * plane, plane, channels - first, count, width)
        store_tile(pixels, to + first, step * size // across, interleaved(tile))


@kernel
def in_planes(
    pixels: Array, at: int, step: int, planes: Array, to: int, plane: int, channels: int, count: int, width: Width
) -> None:
    """planes[to + c plane + i] = pixels[at + i step + c] for i < count <= lanes."""
    size, across = lanes(planes), lanes_of(width)
    for first in range(0, channels, across):
        tile = separated(load_column(pixels, at + first, step * size // across, width))
        store_square(planes, to + first * plane, plane, tile, channels - first, count)


@kernel
def frame_image(x: Array, n: int, framed: Array, frame: Array, step: int, width: Width) -> None:
    """Fills the frames of image n, `step` channels in each and one behind the other, unless they are there already.

    framed[0] says which image is there; it is negative while the memory of the frames is undefined.
    """
    channels = x.shape[1]
    size = frame_length(x.shape[2], x.shape[3], step, x)
    if framed[0] < 0:
        frame[:] = 0
    if framed[0] != n:
        for c in range(0, channels, step):
            _frame_planes(x, n * channels + c, min(channels - c, step), frame, c // step * size, step, width)
        framed[0] = n


@kernel
def unframe_image(frame: Array, x: Array, n: int, step: int, width: Width) -> None:
    """The inverse: fills image n of x."""
    channels = x.shape[1]
    size = frame_length(x.shape[2], x.shape[3], step, x)
    for c in range(0, channels, step):
        _unframe_planes(frame, c // step * size, step, x, n * channels + c, min(channels - c, step), width)


@kernel
def _frame_planes(x: Array, plane: int, channels: int, frame: Array, first: int, step: int, width: Width) -> None:
    """Fills the frame at frame[first], whose border is zero already, with `channels` planes of x (N, C, H, W).

    The zeros behind the last pixel of a row may run over the border into the next row, which is written later.
    """
    height, length = x.shape[2:]
    origin, pitch = first + frame_origin(step, x), frame_pitch(length, step, x)
    for row in range(height):
        for col in range(0, length, lanes(x)):
            at, to = (plane * height + row) * length + col, origin + ((row + 1) * pitch + col) * step
            side_by_side(x, at, height * length, channels, length - col, frame, to, step, width)


@kernel
def _unframe_planes(frame: Array, first: int, step: int, x: Array, plane: int, channels: int, width: Width) -> None:
    """The inverse: fills planes of x."""
    height, length = x.shape[2:]
    origin, pitch = first + frame_origin(step, x), frame_pitch(length, step, x)
    for row in range(height):
        for col in range(0, length, lanes(x)):
            at, to = origin + ((row + 1) * pitch + col) * step, (plane * height + row) * length + col
            in_planes(frame, at, step, x, to, height * length, channels, length - col, width)


@kernel
def add_parts(gradients: Array, first: int, parts: int) -> None:
    """gradients[first] += the gradients of the other parts, in order."""
    for part in range(first + 1, first + parts):
        for i in range(0, gradients.shape[1], lanes(gradients)):
            store(gradients, (first, i), load(gradients, (first, i)) + load(gradients, (part, i)))
