"""The binary convolution of XNOR-Net on the GPU: 64 products of signs are one exclusive or and one count of bits.

Packing reads x once and writes a 32nd of it: neighbouring threads take neighbouring pixels, and each goes through 64
channels. The convolution is the tiled product of `multiplication`, with words for elements and `found + popc(a ^ b)`
for a multiplication; a multiprocessor counts the bits of 16 words of 32 bits in a cycle, and so does the work of 1,024
products of signs in place of 128 of floats.

A padded pixel is no sign and adds nothing. The product counts a word of zeros there, which differs from the weight's
word in as many bits as that has set; they are subtracted again where a window reaches over the edge.

`kernels.reference.xnor` says what is computed.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

from numba import cuda, float64, int32, int64, uint64

from kernels.cuda import device, multiplication
from kernels.cuda.array import DeviceArray, empty, to_device
from kernels.cuda.device import THREADS
from kernels.cuda.dtypes import FLOATS, check_float
from kernels.cuda.multiplication import Tile, tile_for
from kernels.cuda.whole import quotient, remainder

WORD = 64

Sizes = Sequence[int]
Pairs = Sequence[tuple[int, int]]


def pack_signs(x: Any) -> DeviceArray:
    """The signs of x along axis 1 as bits: (N, C, ...) -> uint64 (N, ceil(C / 64), ...)."""
    x = to_device(x)
    check_float("pack_signs", x)
    n, channels, *sizes = x.shape
    places = math.prod(sizes)
    words = empty((n, -(-channels // WORD), *sizes), "uint64")
    device.check_index(x.size)
    flat, out = x.reshape(n, channels, places), words.reshape(n, words.shape[1], places)
    device.launch(_pack, device.blocks_for(words.size), THREADS, flat.handle, out.handle)
    return words


def filter_scale(weight: DeviceArray) -> DeviceArray:
    """alpha (K,): the mean magnitude of each filter, added up in float64."""
    total = abs(weight).astype("float64").sum((1, 2, 3))
    return (total / max(math.prod(weight.shape[1:]), 1)).astype(weight.dtype)


def forward(
    x: Any, words: Any, alpha: Any, kernel_size: Sizes, stride: Sizes, padding: Pairs, dilation: Sizes,
    scale_input: bool, windows: Sizes,
) -> DeviceArray:  # fmt: skip
    """The binary convolution y (N, K, *windows) of x (N, C, H, W) with the packed weights."""
    x, words, alpha = to_device(x), to_device(words), to_device(alpha)
    n, channels, height, width = x.shape
    filters = words.shape[0]
    (rows, columns), taps = windows, math.prod(kernel_size)
    signs = pack_signs(x)
    y = empty((n, filters, rows, columns), x.dtype)
    options = *kernel_size, *stride, *dilation
    bits = empty((filters, taps), "int32")
    device.launch(_weight_bits, device.blocks_for(bits.size), THREADS, words.handle, bits.handle)
    size = filters, n * rows * columns, signs.shape[1] * taps
    sizes = channels, height, width, signs.shape[1], rows, columns, padding[0][0], padding[1][0]
    tile = tile_for(filters)
    arguments = words.handle, signs.handle, (alpha.handle, bits.handle), y.handle
    kernel = _product(x.dtype.name, options, tile)
    multiplication.launch(kernel, tile, size, 1, max(size[2], 1), arguments, sizes)
    return y * _input_scale(x, options, sizes) if scale_input else y


def _input_scale(x: DeviceArray, options: tuple[int, ...], sizes: tuple[int, ...]) -> DeviceArray:
    """The map K (N, 1, *windows): the mean magnitude of x in each window."""
    n = x.shape[0]
    magnitude = abs(x).astype("float64").sum(1)
    scale = empty((n, 1, sizes[4], sizes[5]), x.dtype)
    device.launch(_box(options), device.blocks_for(scale.size), THREADS, magnitude.handle, scale.handle, sizes)
    return scale


# --- kernels ----------------------------------------------------------------------------------------------------------


@cuda.jit
def _pack(x, words):
    _, channels, places = x.shape
    count = words.shape[1]
    for item in range(cuda.grid(1), words.size, cuda.gridsize(1)):
        place, above = remainder(item, places), quotient(item, places)
        image, word = quotient(above, count), remainder(above, count)
        bits = uint64(0)
        for bit in range(min(WORD, channels - word * WORD)):
            if x[image, word * WORD + bit, place] < 0:
                bits |= uint64(1) << uint64(bit)
        words[image, word, place] = bits


@cuda.jit
def _weight_bits(words, bits):
    """How many bits are set in the weights of each filter at each tap."""
    _, count, _, kw = words.shape
    taps = bits.shape[1]
    for item in range(cuda.grid(1), bits.size, cuda.gridsize(1)):
        k, tap = quotient(item, taps), remainder(item, taps)
        found = 0
        for word in range(count):
            found += cuda.popc(words[k, word, quotient(tap, kw), remainder(tap, kw)])
        bits[k, tap] = found


@functools.cache
def _product(name: str, options: tuple[int, ...], tile: Tile) -> Any:
    kh, kw, stride_h, stride_w, dilation_h, dilation_w = options
    dtype = FLOATS[name]

    @cuda.jit(device=True)
    def count_differences(found, a, b):
        return found + cuda.popc(a ^ b)

    @cuda.jit(device=True)
    def read_weight(words, _, k, feature, sizes):
        tap = remainder(feature, kh * kw)
        return words[k, quotient(feature, kh * kw), quotient(tap, kw), remainder(tap, kw)]

    @cuda.jit(device=True)
    def read_signs(signs, _, feature, position, sizes):
        _, height, width, _, rows, columns, before_h, before_w = sizes
        word, tap = quotient(feature, kh * kw), remainder(feature, kh * kw)
        image, place = quotient(position, rows * columns), remainder(position, rows * columns)
        h = quotient(place, columns) * stride_h + quotient(tap, kw) * dilation_h - before_h
        w = remainder(place, columns) * stride_w + remainder(tap, kw) * dilation_w - before_w
        if 0 <= h < height and 0 <= w < width:
            return signs[image, word, h, w]
        return uint64(0)

    @cuda.jit(device=True)
    def write(y, extra, _, part, k, position, differences, sizes):
        alpha, bits = extra
        channels, height, width, _, rows, columns, before_h, before_w = sizes
        image, place = quotient(position, rows * columns), remainder(position, rows * columns)
        row, column = quotient(place, columns), remainder(place, columns)
        inside = 0
        for tap in range(kh * kw):
            h = row * stride_h + quotient(tap, kw) * dilation_h - before_h
            w = column * stride_w + remainder(tap, kw) * dilation_w - before_w
            if 0 <= h < height and 0 <= w < width:
                inside += 1
            else:
                differences -= bits[k, tap]
        y[image, k, row, column] = dtype(int64(channels) * inside - 2 * int64(differences)) * alpha[k]

    return multiplication.product(read_weight, read_signs, count_differences, write, (uint64, int32), tile)


@functools.cache
def _box(options: tuple[int, ...]) -> Any:
    kh, kw, stride_h, stride_w, dilation_h, dilation_w = options

    @cuda.jit
    def box(magnitude, scale, sizes):
        channels, height, width, _, rows, columns, before_h, before_w = sizes
        for item in range(cuda.grid(1), scale.size, cuda.gridsize(1)):
            column, above = remainder(item, columns), quotient(item, columns)
            row, image = remainder(above, rows), quotient(above, rows)
            found = float64(0)
            for tap in range(kh * kw):
                h = row * stride_h + quotient(tap, kw) * dilation_h - before_h
                w = column * stride_w + remainder(tap, kw) * dilation_w - before_w
                if 0 <= h < height and 0 <= w < width:
                    found += magnitude[image, h, w] / max(channels, 1)
            scale[image, 0, row, column] = found / (kh * kw)

    return box
