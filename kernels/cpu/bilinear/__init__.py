"""Bilinear sampling compiled by Numba, and why it is fast.

What has to be done, in float32 and for C channels. Forward: a point is 8 bytes of grid and 4 C of result, and its four
corners 16 C bytes, nearly all of them from the cache, since neighbouring points share them. The arithmetic is 8 C
operations and about 30 for the place of the point. Backward: the same, and four corners to read, add to and write back.
Neither memory nor arithmetic is the limit, but *the number of loads*: a corner is anywhere, and read one channel at a
time it costs a load of 4 bytes, where the processor could load 64.

What follows from it:

- *Channels side by side.* The image is copied so that all channels of a pixel are neighbours, and one load gets 16 of
  them (`frames`, with a picture). A frame of zeros around the copy spares every test for edges.
- *Few channels, two pixels.* With fewer than 16 channels, a vector of channels would be partly empty. There 4 of them
  are a pixel, or one, and a load gets both corners of a row (`pairs`, with a picture).
- *Places once.* Where a point lies and what its corners weigh is computed for a block of points in vectors, and then
  serves all channels (`places`). It follows the specification operation by operation, also for points that are
  infinite, or no numbers.
- *Weighted sums, no differences.* w00 x00 + w01 x01 + w10 x10 + w11 x11 takes one multiply-add a corner; an infinite
  pixel stays infinite, where x00 + t (x01 - x00) makes it NaN (`sample`, `spread`).
- *Threads own their output.* A piece of work is an image, or one of a few stretches of its points if there are few
  images; how many depends on the shapes alone. In the backward, each has planes of its own, added up in order.

    16 points of a block      corner   weights            frame                          one point, C channels
    x . . . . . . . .         [ 131 ]  [left right ..]    131: [c0 c1 .. c15][c0 ...     left up * [c0 .. c15]
    y . . . . . . . .    -->  [ 132 ]  [up down ..   ] -> ...                        ->  + right up * [c0 .. c15]  --> y
                              [ ... ]  [    ...      ]    261: [c0 c1 .. c15][c0 ...     + left down * ... + ...

Time relative to PyTorch 2.13 (padding "zeros", two virtual cores of a Zen 4; below 1 is faster; with two threads on a
machine that others use, too):

                          forward                  backward
                          1 thread   2 threads     1 thread   2 threads
    8 x 64 x 32 x 32        0.47       0.26          0.20     0.2 - 0.6
    16 x 3 x 128 x 128      0.44     0.5 - 0.7       0.31     0.3 - 0.6
    32 x 1 x 28 x 28        0.71       1.0           0.64     0.7 - 0.8

Limits: with few channels, loads and shuffles, each some 2 cycles a point, as much for the places, and a fifth of the
time for copying the image; for 25,000 points some 9 microseconds of calls; in the backward, adding to memory. (A second
thread is worth less to us than to PyTorch, which waits for each pixel: the two cores share some of what we keep busy.)
With many channels, turning tiles from channels to pixels and back. Large images are not split.
"""

import functools
import math

import numpy as np

from kernels.cpu.bilinear import pairs, pixels, sample, spread
from kernels.cpu.bilinear.places import BLOCK, PADDING
from kernels.cpu.jit import Array, as_input
from kernels.cpu.simd import VECTOR_BYTES, Width
from kernels.cpu.team import get_num_threads, single_threaded_when_small, workers_for

# Fewer channels are taken by groups of 4, or 1, and both corners of a row in one load (`pairs`).
MANY = 16

PLACE = 30  # multiplications that finding the place of a point is worth

_width = functools.cache(Width)


def _group(channels: int) -> tuple[Width, Width]:
    """The width of a pixel of few channels, and of two."""
    width = 1 if channels == 1 else 4
    return _width(width), _width(2 * width)


def forward(x: Array, grid: Array, padding_mode: str, align_corners: bool) -> Array:
    """See `kernels.bilinear.grid_sample_forward`."""
    images, channels = x.shape[:2]
    outer = grid.shape[1:-1]
    y = np.empty((images, channels, math.prod(outer)), x.dtype)
    parts = max(1, min(4, 8 // max(images, 1)))
    workers = min(workers_for(grid.size // 2 * (PLACE + 8 * channels)), max(1, images * parts))
    arguments = as_input(x), as_input(grid), PADDING[padding_mode], align_corners, parts, workers
    if channels < MANY:
        pairs.forward(*arguments, *_group(channels), y)
    else:
        sample.forward(*arguments, _width(VECTOR_BYTES // x.itemsize), y)
    return y.reshape(images, channels, *outer)


def backward(dy: Array, x: Array, grid: Array, padding_mode: str, align_corners: bool) -> tuple[Array, Array]:
    """See `kernels.bilinear.grid_sample_backward`."""
    images, channels = x.shape[:2]
    outer = grid.shape[1:-1]
    dx, dgrid = np.empty(x.shape, x.dtype), np.empty(grid.shape, grid.dtype)
    parts = 2 if images < 4 else 1
    workers = min(workers_for(grid.size // 2 * (PLACE + 16 * channels)), max(1, images * parts))
    arrays = as_input(dy).reshape(images, channels, math.prod(outer)), as_input(x), as_input(grid)
    arguments = *arrays, PADDING[padding_mode], align_corners, parts, workers
    if channels < MANY:
        pairs.backward(*arguments, *_group(channels), dx, dgrid)
    else:
        spread.backward(*arguments, _width(VECTOR_BYTES // x.itemsize), dx, dgrid)
    return dx, dgrid


@single_threaded_when_small
def nearest_forward(x: Array, grid: Array, padding_mode: str, align_corners: bool) -> Array:
    """See `kernels.bilinear.grid_sample_nearest_forward`."""
    images, channels, height, length = x.shape
    outer = grid.shape[1:-1]
    y = np.empty((images, channels, math.prod(outer)), x.dtype)
    flat = as_input(as_input(x).reshape(images, channels, height * length))
    indices = np.empty((get_num_threads(), BLOCK), np.int32)
    pixels.nearest_forward(flat, as_input(grid), height, length, PADDING[padding_mode], align_corners, indices, y)
    return y.reshape(images, channels, *outer)


@single_threaded_when_small
def nearest_backward(dy: Array, grid: Array, sizes: tuple[int, ...], padding_mode: str, align_corners: bool) -> Array:
    """See `kernels.bilinear.grid_sample_nearest_backward`."""
    images, channels = dy.shape[:2]
    height, length = sizes
    dx = np.empty((images, channels, height * length), dy.dtype)
    flat = as_input(as_input(dy).reshape(images, channels, math.prod(grid.shape[1:-1])))
    indices = np.empty((get_num_threads(), BLOCK), np.int32)
    pixels.nearest_backward(flat, as_input(grid), height, length, PADDING[padding_mode], align_corners, indices, dx)
    return dx.reshape(images, channels, height, length)


@single_threaded_when_small
def read_pixels(x: Array, index: Array, inside: Array) -> Array:
    """See `kernels.bilinear.read_pixels`."""
    images, channels = x.shape[:2]
    outer = index.shape[1:]
    y = np.empty((images, channels, math.prod(outer)), x.dtype)
    flat = as_input(as_input(x).reshape(images, channels, math.prod(x.shape[2:])))
    pixels.read(flat, _numbered(index, inside), get_num_threads(), y)
    return y.reshape(images, channels, *outer)


@single_threaded_when_small
def add_pixels(values: Array, index: Array, inside: Array, sizes: tuple[int, ...]) -> Array:
    """See `kernels.bilinear.add_pixels`."""
    images, channels = values.shape[:2]
    x = np.empty((images, channels, math.prod(sizes)), values.dtype)
    flat = as_input(as_input(values).reshape(images, channels, math.prod(index.shape[1:])))
    pixels.add(flat, _numbered(index, inside), get_num_threads(), x)
    return x.reshape(images, channels, *sizes)


def _numbered(index: Array, inside: Array) -> Array:
    """(N, points): the index of pixels inside, and -1 for the others."""
    return as_input(np.where(inside, index, -1).reshape(len(index), math.prod(index.shape[1:])))
