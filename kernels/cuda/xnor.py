"""The binary convolution of XNOR-Net on the GPU: 64 products of signs are one exclusive or and one count of bits.

Packing reads x once and writes a 32nd of it: neighbouring threads take neighbouring pixels, and each goes through 64
channels. The convolution is the tiled product of `multiplication`, with words for elements and `found + popc(a ^ b)`
for a multiplication; a multiprocessor counts the bits of 16 words of 32 bits in a cycle, and so does the work of 1,024
products of signs in place of 128 of floats.

A padded pixel is no sign and adds nothing. The product counts a word of zeros there, which differs from the weight's
word in as many bits as that has set. How many that are depends on filter and position, and is counted beforehand for
one image.

`kernels.reference.xnor` says what is computed.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

from numba import cuda, float64, int32, int64, uint32, uint64

from kernels.cuda import device, multiplication
from kernels.cuda.array import DeviceArray, empty, to_device
from kernels.cuda.device import THREADS
from kernels.cuda.dtypes import FLOATS, check_float
from kernels.cuda.multiplication import Tile, tile_for
from kernels.cuda.whole import quotient, remainder
from kernels.cuda.windows import Sizes, read_tap, taps, window

WORD = 64

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
    x: Any, words: Any, alpha: Any, kernel_size: Sequence[int], stride: Sequence[int], padding: Pairs,
    dilation: Sequence[int], scale_input: bool, out_size: Sequence[int],
) -> DeviceArray:  # fmt: skip
    """The binary convolution y (N, K, *out_size) of x (N, C, H, W) with the packed weights."""
    x, words, alpha = to_device(x), to_device(words), to_device(alpha)
    images, channels, height, width = x.shape
    filters, packed = words.shape[:2]
    signs = pack_signs(x)
    rows, columns = out_size
    (before_h, _), (before_w, _) = padding
    stride_h, stride_w = stride
    sizes = Sizes(
        packed, height, width, filters, rows, columns, before_h, before_w, stride_h, stride_w, packed, filters
    )  # fmt: skip
    y = empty((images, filters, *out_size), x.dtype)
    table = taps(packed, kernel_size, dilation, height * width, width, math.prod(kernel_size))
    options = *kernel_size, *dilation
    agreed = empty((filters, sizes.rows * sizes.columns), "int32")
    blocks = device.blocks_for(agreed.size)
    device.launch(_sums_of_equal_signs(options), blocks, THREADS, words.handle, agreed.handle, channels, sizes)
    m, n, k = filters, images * sizes.rows * sizes.columns, table.shape[0]
    tile = tile_for(m, n, 1)
    flat = [each.reshape(each.size).handle for each in (words, signs, y)]
    arguments = flat[0], flat[1], table.handle, (alpha.handle, agreed.handle), flat[2]
    multiplication.launch(_product(x.dtype.name, tile), tile, (m, n, k), 1, max(k, 1), arguments, sizes)
    return y * _input_scale(x, options, sizes) if scale_input else y


def _input_scale(x: DeviceArray, options: tuple[int, ...], sizes: Sizes) -> DeviceArray:
    """The map K (N, 1, *out_size): the mean magnitude of x in each window."""
    magnitude = abs(x).astype("float64").sum(1)
    scale = empty((x.shape[0], 1, sizes.rows, sizes.columns), x.dtype)
    blocks = device.blocks_for(scale.size)
    device.launch(_box(options), blocks, THREADS, magnitude.handle, scale.handle, x.shape[1], sizes)
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


@functools.cache
def _sums_of_equal_signs(options: tuple[int, ...]) -> Any:
    """What each filter's sum at each position of an image would be if no word that is counted differed.

    That is the channels of all taps that are inside of the image, 1 each. Outside, the product counts the bits that are
    set in the weight's words; twice as many are added here, and subtracted again there.
    """
    kh, kw, dilation_h, dilation_w = options

    @cuda.jit
    def sums_of_equal_signs(words, agreed, channels, sizes):
        places = sizes.rows * sizes.columns
        for item in range(cuda.grid(1), agreed.size, cuda.gridsize(1)):
            k, place = quotient(item, places), remainder(item, places)
            _, top, left = window(0, place, sizes)
            found = 0
            for i in range(kh):
                for j in range(kw):
                    h, w = top + i * dilation_h, left + j * dilation_w
                    if 0 <= h < sizes.height and 0 <= w < sizes.width:
                        found += channels
                    else:
                        for word in range(sizes.channels):
                            found += 2 * int64(cuda.popc(words[k, word, i, j]))
            agreed[k, place] = found

    return sums_of_equal_signs


@functools.cache
def _product(name: str, tile: Tile) -> Any:
    dtype = FLOATS[name]

    @cuda.jit(device=True)
    def count_differences(found, a, b):
        return found + cuda.popc(a ^ b)

    @cuda.jit(device=True)
    def read_weight(words, table, group, k, feature, placed, sizes):
        return words[uint32(k * table.shape[0] + feature)]

    @cuda.jit(device=True)
    def read_signs(signs, table, feature, position, placed, sizes):
        return read_tap(signs, table, feature, placed, sizes)

    @cuda.jit(device=True)
    def aim(group, share, position, sizes):
        places = sizes.rows * sizes.columns
        image, place = quotient(position, places), remainder(position, places)
        return image * sizes.filters * places + place, place

    @cuda.jit(device=True)
    def write(y, extra, group, aimed, k, differences, sizes):
        alpha, agreed = extra
        start, place = aimed
        found = int64(agreed[uint32(k), uint32(place)]) - 2 * int64(differences)
        y[uint32(start + k * sizes.rows * sizes.columns)] = dtype(found) * alpha[uint32(k)]

    types = uint64, int32, WORD // 8
    return multiplication.product(window, read_weight, read_signs, count_differences, aim, write, types, tile)


@functools.cache
def _box(options: tuple[int, ...]) -> Any:
    kh, kw, dilation_h, dilation_w = options

    @cuda.jit
    def box(magnitude, scale, channels, sizes):
        for item in range(cuda.grid(1), scale.size, cuda.gridsize(1)):
            column, above = remainder(item, sizes.columns), quotient(item, sizes.columns)
            row, image = remainder(above, sizes.rows), quotient(above, sizes.rows)
            _, top, left = window(0, row * sizes.columns + column, sizes)
            found = float64(0)
            for i in range(kh):
                for j in range(kw):
                    h, w = top + i * dilation_h, left + j * dilation_w
                    if 0 <= h < sizes.height and 0 <= w < sizes.width:
                        found += magnitude[image, h, w] / max(channels, 1)
            scale[image, 0, row, column] = found / (kh * kw)

    return box
