"""The convolution of signs: exclusive or, count, add. `kernels.cpu.xnor` explains it."""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from kernels.cpu.jit import Array, as_input, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import (
    VECTOR_BYTES,
    astype,
    element,
    lanes,
    load_first,
    load_tile,
    load_wide,
    outer_differences,
    prefetch,
    rows_from,
    store_first,
    store_square,
    store_tile,
    zeros,
)
from kernels.cpu.team import workers_for
from kernels.cpu.xnor.packing import ROWS, WORD, Tiles, integers_like, pack_planes
from kernels.cpu.xnor.scale import input_scale
from kernels.reference.convolution import Padding, Sizes

LANES = VECTOR_BYTES // 8  # output pixels in a vector
RUN = 8  # vectors of output pixels for which a group of filters stays in the L1 cache


class Geometry(NamedTuple):
    """Where the windows lie; see `kernels.cpu.xnor`. All arrays are read-only."""

    places: Array  # (taps * W,): where the word of a tap lies relative to the word of the output pixel
    outside: Array  # (kinds, taps): whether the tap of an output pixel of this kind is outside of the image
    kinds: Array  # (pixels,): the kind of each output pixel
    border: Array  # (border pixels,): the output pixels of which any tap is outside
    border_starts: Array  # (runs + 1,): where the border pixels of a run begin
    rows: int  # rows of a plane of the unfolded image
    options: Array  # (3, 2): stride, padding before and dilation, for rows and columns


@lru_cache(maxsize=64)
def geometry(
    channels: int, sizes: Sizes, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes, out: Sizes
) -> Geometry:
    """The tables of one kind of convolution, kept for the next call."""
    words = -(-channels // WORD)
    taps_high, taps_wide = kernel_size
    rows = out[0] + (taps_high - 1) * dilation[0] // stride[0]
    plane = stride[0] * rows * out[1]
    reach = np.arange(taps_high) * dilation[0]
    row_places = (reach % stride[0] * rows + reach // stride[0]) * out[1]
    tap_places = row_places[:, None] + np.arange(taps_wide) * plane
    places = tap_places.reshape(-1, 1) + np.arange(words) * taps_wide * plane

    inside = [
        ((at := np.arange(o) * s + np.arange(k)[:, None] * d - before) >= 0) & (at < n)
        for n, k, s, (before, _), d, o in zip(sizes, kernel_size, stride, padding, dilation, out, strict=True)
    ]
    (high, row_kinds), (wide, column_kinds) = (np.unique(taps, axis=1, return_inverse=True) for taps in inside)
    outside = ~(high.T[:, None, :, None] & wide.T[None, :, None, :]).reshape(-1, taps_high * taps_wide)
    kinds = (row_kinds.reshape(-1, 1) * wide.shape[1] + column_kinds.reshape(-1)).reshape(-1)
    border = np.flatnonzero(outside.any(axis=1)[kinds])
    runs = -(-kinds.size // (RUN * LANES))
    border_starts = np.searchsorted(border, np.arange(runs + 1) * RUN * LANES)
    options = np.array((stride, [before for before, _ in padding], dilation))
    return Geometry(
        as_input(places.reshape(-1)),
        as_input(outside),
        as_input(kinds),
        as_input(border),
        as_input(border_starts),
        rows,
        as_input(options),
    )


@kernel
def _unfold(worker: int, item: int, words: Array, width: int, options: Array, image: Array) -> None:
    """Fills one plane of image (N, W, kw, stride, rows, OW) from words (N, W, H * width); `item` counts the planes.

    image[n, w, t, f, j, o] is the word of row j * stride + f and column o * stride + t * dilation of the padded image.
    """
    stride, before, dilation = options
    height = words.shape[2] // width
    rest, tap = divmod(item, image.shape[2])
    n, w = divmod(rest, image.shape[1])
    shift = tap * dilation[1] - before[1]  # the column that output column 0 sees
    first = min(max(-(shift // stride[1]), 0), image.shape[5])
    last = max(min((width - 1 - shift) // stride[1] + 1, image.shape[5]), first)
    for phase in range(image.shape[3]):
        for row in range(image.shape[4]):
            line = image[n, w, tap, phase, row]
            source = row * stride[0] + phase - before[0]
            if source < 0 or source >= height:
                line[:] = 0
                continue
            pixels = words[n, w, source * width : (source + 1) * width]
            line[:first] = 0
            line[last:] = 0
            if stride[1] == 1:
                for column in range(first, last, lanes(image)):
                    some = load_first(words, (n, w, source * width + column + shift), last - column)
                    store_first(image, (n, w, tap, phase, row, column), some, last - column)
            else:
                for column in range(first, last):
                    line[column] = pixels[column * stride[1] + shift]


@kernel
def _equal_sums(worker: int, group: int, outside: Array, tap_sums: Array, products: int, sums: Array) -> None:
    """Fills sums (groups, kinds, ROWS) of a group of filters: the results where no word of a window differs.

    A word outside of the image is all zeros, which are the signs of +1, and there the signs of the weights are what the
    products add: tap_sums (groups, taps, ROWS). These are subtracted again.
    """
    for kind in range(len(outside)):
        for r in range(ROWS):
            sums[group, kind, r] = products
        for tap in range(outside.shape[1]):
            if outside[kind, tap]:
                for r in range(ROWS):
                    sums[group, kind, r] -= tap_sums[group, tap, r]


@kernel
def _fill(run: int, products: int, sums: Array, borders: tuple[Array, ...], equal: Array) -> None:
    """Fills equal (ROWS, pixels of a run) from sums (kinds, ROWS), of which most pixels have the same, `products`."""
    kinds, border, border_starts = borders
    equal[:] = products
    for place in range(border_starts[run], border_starts[run + 1]):
        pixel = border[place]
        line = sums[kinds[pixel]]
        for r in range(ROWS):
            equal[r, pixel - run * equal.shape[1]] = line[r]


@kernel
def _run(
    worker: int, item: int, tiles: Array, image: Array, places: Array, products: int, sums: Array,
    borders: tuple[Array, ...], alpha: Array, scales: Array, all_equal: Array, results: Array,
) -> None:  # fmt: skip
    """One group of filters for one run of output pixels of all images.

    Row r of the tile counts in how many products filter r and the windows of a vector of pixels differ. Equal signs add
    1 to the sum and different ones subtract 1: with each of them, it is 2 less than if all were equal.
    """
    step, steps, pixels = lanes(image), len(places), results.shape[2]
    run, group = divmod(item, len(tiles))
    filters, words = group * ROWS, group * steps * ROWS
    rows = results.shape[1] - filters
    equal = all_equal[worker]
    begin, end = run * RUN * step, min(pixels, (run + 1) * RUN * step)
    _fill(run, products, sums[group], borders, equal)
    for n in range(len(results)):
        start = n * (image.size // len(image))  # of the words of this image
        scale, y = scales[n % len(scales)], results[n]
        for pixel in range(begin, end, step):
            for r in range(filters, min(filters + ROWS, results.shape[1])):
                prefetch(y, r * pixels + pixel + 2 * step)  # where the results after these will go
            tile = zeros(image, ROWS, 1)
            for p in range(steps):
                place = start + element(places, p) + pixel
                tile = outer_differences(tile, tiles, words + p * ROWS, image, place)
            total = load_tile(equal, pixel - begin, RUN * step, ROWS, 1) - (tile + tile)
            value = astype(total, y)
            value = value * rows_from(value, alpha, filters) * load_wide(scale, pixel, image)
            target = filters * pixels + pixel
            if rows >= ROWS and pixel + step <= pixels:
                store_tile(y, target, pixels, value)
            else:
                store_square(y, target, pixels, value, rows, pixels - pixel)


@kernel
def _forward(
    x: Array, integers: Array, width: int, options: Array, words: Array, image: Array, tiles: Array,
    tap_sums: Array, places: Array, outside: Array, borders: tuple[Array, ...], sums: Array, alpha: Array,
    scale: Array, workers: int, y: Array,
) -> None:  # fmt: skip
    """Packs x (N, C, H * width) into words, unfolds these into image, and fills y (N, K, OH * OW)."""
    pack_planes(x, integers, workers, words)
    parallel(_unfold, workers, image.shape[0] * image.shape[1] * image.shape[2], (words, width, options, image))
    products = x.shape[1] * outside.shape[1]
    parallel(_equal_sums, workers, len(tiles), (outside, tap_sums, products, sums))
    equal = np.empty((workers, ROWS, RUN * lanes(image)), np.int64)
    items = -(-y.shape[2] // (RUN * lanes(image))) * len(tiles)
    parallel(_run, workers, items, (tiles, image, places, products, sums, borders, alpha, scale, equal, y))


def forward(
    x: Array,
    tiles: Tiles,
    filters: int,
    kernel_size: Sizes,
    stride: Sizes,
    padding: Padding,
    dilation: Sizes,
    scale_input: bool,
    out: Sizes,
) -> Array:
    """As `kernels.reference.xnor.forward`, for weights in `tiles` and x with at least one element.

    `out` is the output's (OH, OW), at least 1 each.
    """
    batch, channels, height, width = x.shape
    sizes = (height, width), tuple(kernel_size), tuple(stride), padding, tuple(dilation), tuple(out)
    table = geometry(channels, *sizes)
    planes = as_input(x).reshape(batch, channels, height * width)
    words = np.empty((batch, -(-channels // WORD), height * width), np.int64)
    shape = batch, words.shape[1], kernel_size[1], stride[0], table.rows, out[1]
    image = np.empty(math.prod(shape) + LANES, np.int64)[:-LANES].reshape(shape)  # the last vector reads beyond
    y = np.empty((batch, filters, out[0] * out[1]), x.dtype)
    equal = np.empty((len(tiles.words), len(table.outside), ROWS), np.int64)
    pitch = table.kinds.size + LANES
    workers = workers_for(y.size * len(table.places) * WORD // 16)
    if scale_input:
        scale = np.empty((batch, pitch), x.dtype)
        sums = np.empty((batch, height * width))
        input_scale(planes, width, table.options, kernel_size[0], kernel_size[1], out[1], workers, sums, scale)
    else:
        scale = np.ones((1, pitch), x.dtype)
    _forward(
        planes, integers_like(x), width, table.options, words, image, tiles.words, tiles.sums,
        table.places, table.outside, (table.kinds, table.border, table.border_starts), equal, tiles.alpha,
        scale, workers, y,
    )  # fmt: skip
    return y.reshape(batch, filters, *out)
