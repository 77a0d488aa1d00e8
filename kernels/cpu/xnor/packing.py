"""Signs as bits: one word of 64 bits for 64 channels of a pixel.

A channel's plane is contiguous, so one load brings the same channel of neighbouring pixels, and one instruction shifts
all their signs into as many words at once:

    channel 63   x x x x x x x x  ...  ->  minimum(x, 0)  ->  word = (word << 1) | sign
    channel 62   x x x x x x x x  ...      one per pixel, kept in a register through 8 channels at a time
    ...
    channel 0    x x x x x x x x  ...      so channel c ends in bit c

minimum(x, 0) keeps the negative numbers and makes +0.0 of everything else, -0.0 and NaN included, so the topmost bit
is set exactly where x < 0. Words grow in lanes as wide as the numbers, two halves for float32, and are put together in
the end.

The work: three instructions for 16 signs, and 4 bytes read for each bit written; reading them is the limit. Memory is
fast along an address and slow across: a core waits for some 20 cache lines at a time if it asks for each, and the
hardware brings far more where it sees a stretch being read. So a word is not built in one go, which would read 64
planes at once, one line of each; eight planes are read for 512 pixels, and the unfinished words wait in the L1 cache.
"""

from typing import NamedTuple

import numpy as np

from kernels.cpu.jit import Array, as_input, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import (
    REGISTERS,
    astype,
    bits,
    lanes,
    load,
    load_first,
    minimum,
    shift_in,
    splat,
    store,
    store_first,
)
from kernels.cpu.team import get_num_threads

WORD = 64  # signs in a word
ROWS = 16 if REGISTERS == 32 else 8  # filters of a register tile: their counts, an operand and some results fit
BLOCK = 512  # pixels packed by one piece of work
STREAMS = 8  # channels read at a time


@kernel
def _shift_in(x: Array, first: int, top: int, bottom: int, pixels: int, count: int, words: Array) -> None:
    """Moves the signs of the channels top - 1 down to bottom into the words of `count` neighbouring pixels.

    x[first] is channel 0 of the first pixel; there are `pixels` numbers from one channel to the next.
    """
    for pixel in range(0, count, lanes(x)):
        word = load(words, pixel)
        for c in range(top - 1, bottom - 1, -1):
            place = first + c * pixels + pixel
            line = load(x, place) if pixel + lanes(x) <= count else load_first(x, place, count - pixel)
            word = shift_in(word, bits(minimum(line, splat(x, 0.0)), words))
        store(words, pixel, word)


@kernel
def _pack_block(worker: int, item: int, x: Array, all_parts: Array, words: Array) -> None:
    """Fills one block of pixels of words (N, ceil(C / 64), pixels) from x (N, C, pixels); `item` counts the blocks."""
    channels, pixels = x.shape[1], x.shape[2]
    rest, block = divmod(item, -(-pixels // BLOCK))
    n, w = divmod(rest, words.shape[1])
    parts, width = all_parts[worker], 8 * x.itemsize
    first, count = (n * channels + w * WORD) * pixels + block * BLOCK, min(BLOCK, pixels - block * BLOCK)
    some = min(WORD, channels - w * WORD)
    parts[:, :count] = 0
    for part in range(len(parts)):
        for bottom in range((part + 1) * width - STREAMS, part * width - 1, -STREAMS):
            _shift_in(x, first, min(some, bottom + STREAMS), bottom, pixels, count, parts[part])
    for pixel in range(0, count, lanes(x)):
        word = astype(load(parts, (0, pixel)), words)
        for part in range(1, len(parts)):
            word = word | (astype(load(parts, (part, pixel)), words) << (part * width))
        store_first(words, (n, w, block * BLOCK + pixel), word, count - pixel)


@kernel
def pack_planes(x: Array, integers: Array, workers: int, words: Array) -> None:
    """Fills words (N, ceil(C / 64), pixels) from x (N, C, pixels)."""
    blocks = len(x) * -(-x.shape[1] // WORD) * -(-x.shape[2] // BLOCK)
    parts = np.empty((workers, WORD // (8 * x.itemsize), BLOCK), integers.dtype)
    parallel(_pack_block, workers, blocks, (x, parts, words))


def pack_signs(x: Array) -> Array:
    """As `kernels.reference.xnor.pack_signs`."""
    planes = as_input(x.reshape(*x.shape[:2], int(np.prod(x.shape[2:]))))
    words = np.empty((len(x), -(-x.shape[1] // WORD), planes.shape[2]), np.uint64)
    if words.size:
        pack_planes(planes, integers_like(x), get_num_threads(), words)
    return words.reshape(len(x), words.shape[1], *x.shape[2:])


def integers_like(x: Array) -> Array:
    """An empty array of integers as wide as the numbers of x: it tells the kernels the type of their words."""
    return np.empty(0, np.dtype(f"u{x.itemsize}"))


class Tiles(NamedTuple):
    """Weights as the convolution reads them, ROWS filters at a time. The arrays are read-only."""

    words: Array  # int64 (groups, kh * kw, W, ROWS): words that meet the same word of the input stand side by side
    sums: Array  # (groups, kh * kw, ROWS): the sum of the signs of all channels
    alpha: Array  # (groups * ROWS,): the scales


def weight_tiles(words: Array, alpha: Array, channels: int) -> Tiles:
    """The words (K, W, kh, kw) of the weights and their scales in tiles, which are read from beginning to end.

    Filters that are missing in the last group are zeros, whose results nobody stores.
    """
    filters = len(words)
    groups = -(-filters // ROWS)
    padded = np.zeros((groups * ROWS, *words.shape[1:]), np.uint64)
    padded[:filters] = words
    tiles = np.ascontiguousarray(padded.reshape(groups, ROWS, words.shape[1], -1).transpose(0, 3, 2, 1))
    sums = channels - 2 * np.bitwise_count(tiles).sum(axis=2, dtype=np.int64)
    scales = np.zeros(groups * ROWS, alpha.dtype)
    scales[:filters] = alpha
    return Tiles(as_input(tiles.view(np.int64)), as_input(sums), as_input(scales))
