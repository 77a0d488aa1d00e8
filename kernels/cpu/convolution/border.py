"""Bordered copies: the pixels that a band of output rows needs, laid out so that every tap is one shift of them.

A band is a few neighbouring rows of one output image. The thread that computes it first copies the rows of the input
that it will look at into memory of its own, which then stays in the cache:

- Padding becomes zeros around the copy, so that no loop tests for the border.
- With stride s, neighbouring outputs look at every s-th pixel. The copy sorts the pixels into s x s grids of
  pixels whose coordinates have the same remainders modulo s: in a grid, neighbouring outputs look at neighbours.
- With `spread` s, s - 1 zeros go between the pixels: the transposed convolution of stride s is the plain
  convolution of such an image.

     image, stride 2      grids (0,0) (0,1) (1,0) (1,1)
       a b c d              a c    b d
       e f g h                            e g    f h
       i j k l              i k    j l
       m n o p                            m o    n p

In every case the output pixel at row r and column q of the band and the tap t of channel c meet at

    copy[offset(c, t) + r * width + q]

with one offset for each tap, and all loops over taps are loops over a table of offsets.
"""

import functools
from typing import NamedTuple

import numpy as np

from kernels.cpu.jit import Array, kernel
from kernels.cpu.simd import evens, interleave_high, interleave_low, lanes, load_first, splat, store

Pair = tuple[int, int]

# Room for a copy: the level-2 cache holds it with the weights. Rows that are in use at one time fit into level 1.
BAND_BYTES = 1 << 17
# Images are cut into bands until there are this many, so that several threads share even a single image.
ENOUGH_BANDS = 16
FEWEST_ROWS = 4  # but rows at the seams are copied twice: bands for threads alone are no lower than this


class Band(NamedTuple):
    """Sizes of an image, its output, and the copies in between. All bands are alike; the last may be lower."""

    channels: int
    height: int  # of the image
    width: int
    top: int  # rows and columns of padding before the image
    left: int
    stride_h: int
    stride_w: int
    spread_h: int  # distance at which the image's own rows and columns appear, with zeros between
    spread_w: int
    out_height: int
    out_width: int
    rows: int  # output rows of a band
    copied_rows: int  # of one grid of one channel
    copied_width: int

    @property
    def number(self) -> int:
        """How many bands an output image has."""
        return -(-self.out_height // self.rows)

    @property
    def last_rows(self) -> int:
        """Output rows of the last band."""
        return self.out_height - (self.number - 1) * self.rows

    @property
    def copied(self) -> int:
        """Elements of the copy of one channel."""
        return self.stride_h * self.stride_w * self.copied_rows * self.copied_width

    def room(self, lanes: int) -> int:
        """Elements to reserve for a copy: it is written in whole vectors, and ends with the zeros of one row more."""
        return self.channels * self.copied + self.copied_width + 2 * lanes


@functools.lru_cache(maxsize=256)
def offsets_of(band: Band, kernel_size: Pair, dilation: Pair) -> Array:
    """Where in the copy each tap of each channel meets the first output: int64 (channels * KH * KW,)."""
    c, i, j = np.indices((band.channels, *kernel_size))
    i, j = i * dilation[0], j * dilation[1]
    grid = (c * band.stride_h + i % band.stride_h) * band.stride_w + j % band.stride_w
    offsets: Array = (grid * band.copied_rows + i // band.stride_h) * band.copied_width + j // band.stride_w
    return offsets.ravel()


@functools.lru_cache(maxsize=256)
def band_of(
    shape: tuple[int, ...],
    itemsize: int,
    groups: int,
    out_size: Pair,
    kernel_size: Pair,
    begin: Pair,
    stride: Pair,
    dilation: Pair,
    spread: Pair = (1, 1),
) -> Band:
    """Bands for images (N, groups * channels, H, W), of a height that depends on sizes alone."""
    images, channels, height, width = shape
    channels //= groups
    halo_h, halo_w = ((k - 1) * d // s for k, d, s in zip(kernel_size, dilation, stride, strict=True))
    copied_width = out_size[1] + halo_w
    row_bytes = channels * stride[0] * stride[1] * copied_width * itemsize
    rows = max(1, BAND_BYTES // row_bytes - halo_h)
    shared = -(-out_size[0] * images * groups // ENOUGH_BANDS)
    rows = min(out_size[0], rows, max(FEWEST_ROWS, shared))
    rows = -(-out_size[0] // -(-out_size[0] // rows))  # as many bands, of equal height
    return Band(channels, height, width, *begin, *stride, *spread, *out_size, rows, rows + halo_h, copied_width)


@kernel
def copy_band(x: Array, plane: int, first: int, band: Band, copy: Array) -> None:
    """Copies what the outputs from row `first` on need of the planes from `plane` on. `copy` has `band.room`.

    What lies between the pixels of one row and those of the next is zero; every row of a grid ends with it.
    """
    at = 0
    for channel in range(plane, plane + band.channels):
        for i in range(band.stride_h):
            for j in range(band.stride_w):
                _copy_grid(
                    x, channel * band.height, first * band.stride_h + i - band.top, j - band.left, band, copy, at
                )
                at += band.copied_rows * band.copied_width


@kernel
def _columns(band: Band, shift: int) -> tuple[int, int, int]:
    """Where the pixels of a row begin in the copy, where in the image, and how many they are.

    copy[k] = row[k * stride + shift], or with spread s: copy[k * s - shift] = row[k].
    """
    if band.spread_w > 1:
        source = max(0, -(-shift // band.spread_w))
        end = min(band.width, (band.copied_width + shift - 1) // band.spread_w + 1)
        return min(source * band.spread_w - shift, band.copied_width), source, end - source
    begin = min(max(0, -(shift // band.stride_w)), band.copied_width)
    end = min(band.copied_width, (band.width - shift - 1) // band.stride_w + 1)
    return begin, shift + begin * band.stride_w, end - begin


@kernel
def _copy_grid(x: Array, above: int, y: int, shift: int, band: Band, copy: Array, at: int) -> None:
    """Copies the rows y, y + stride_h, ... of the image that lies below `above` rows of others.

    All rows in one function: a call for each of them would take longer than the work.
    """
    begin, source, pixels = _columns(band, shift)
    zero = splat(copy, 0)
    for column in range(0, begin, lanes(x)):
        store(copy, at + column, zero)
    at += begin
    for _ in range(band.copied_rows):
        inside, row = 0 <= y <= (band.height - 1) * band.spread_h, y
        if inside and band.spread_h > 1:
            row = y // band.spread_h
            inside = row * band.spread_h == y
        start = (above + row) * band.width + source
        count = pixels if inside else 0
        if band.stride_w == 1 and band.spread_w == 1:
            for k in range(0, band.copied_width, lanes(x)):
                store(copy, at + k, load_first(x, start + k, count - k))
        elif band.stride_w == 2:
            for k in range(0, band.copied_width, lanes(x)):
                pixel, left = start + 2 * k, 2 * (count - k) - 1
                near, far = load_first(x, pixel, left), load_first(x, pixel + lanes(x), left - lanes(x))
                store(copy, at + k, evens(near, far))
        elif band.spread_w == 2:
            for k in range(0, band.copied_width, 2 * lanes(x)):
                near = load_first(x, start + k // 2, count - k // 2)
                store(copy, at + k, interleave_low(near, zero))
                store(copy, at + k + lanes(x), interleave_high(near, zero))
        else:
            for k in range(0, band.copied_width, lanes(x)):
                store(copy, at + k, zero)
            for k in range(count):
                copy[np.uint64(at + k * band.spread_w)] = x[np.uint64(start + k * band.stride_w)]
        at += band.copied_width
        y += band.stride_h
