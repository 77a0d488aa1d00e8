"""Depthwise convolution, strip by strip: a vector wide, down the rows of an image.

    row t of x, shifted        acc[0]  output row t         acc[i] += w[i, 0] * x0 + w[i, 1] * x1 + w[i, 2] * x2
    by the taps of a row       acc[1]  output row t - 1
       x0  x1  x2    ------>   acc[2]  output row t - 2     Now row t - 2 is finished and goes to y; the others move
                                                            on by one, and row t + 1 begins with the bias

A row is loaded once for every shift and takes part in all output rows that look at it: 3 loads for 9 multiplications,
where `pixels` has 9. The numbers of a 3 x 3 filter stay in registers; those of larger ones come from the cache.

Nothing is copied. Where a strip looks over the left or the right border, masks replace what is not there by zeros. Rows
above and below the image are zeros as well, and are left out unless a weight is infinite or nan, which makes a nan of
them. The last strip of a row begins early enough to be whole, and computes some pixels a second time.

The gradient by the weights keeps the sums of all taps in registers, and the last three rows of x with all their shifts:

    row t of dy                   sums[i, j] += dy[t] * x[t + i], shifted by j

4 loads for 9 multiplications. There the last strip is cut off where the row ends, since no pixel may count twice.

With stride 2, the lanes of a vector are every second pixel: two loads make two shifts, one of the even and one of the
odd pixels. Neighbouring output rows share only one row of x in three, so each of them is computed by itself.
"""

from functools import cache
from typing import Any

import numpy as np

from kernels.cpu.convolution.border import ENOUGH_BANDS, FEWEST_ROWS
from kernels.cpu.convolution.layout import aligned
from kernels.cpu.jit import Array, as_input, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import (
    REGISTERS,
    add_scaled,
    column_fma,
    element,
    get,
    lanes,
    load_first,
    load_shifts,
    pushed,
    rows_from,
    splat,
    store,
    store_first,
    total,
    zeros,
)
from kernels.cpu.team import workers_for

Pair = tuple[int, int]

SIDES = (3, 5, 7)  # of a kernel; each is compiled on its own
STRIDES = ((1, 1), (2, 2))

PARTS = 8  # of the images: as many sums for each filter, if there are few filters


def convolve(x: Array, weight: Array, bias: Array | None, out_size: Pair, begin: Pair, stride: int = 1) -> Array:
    """y (N, C * M, *out_size) of x (N, C, H, W) and weight (C * M, 1, side, side), bias (C * M,) or None.

    The image begins `begin` rows and columns after the first window. No dimension is zero.
    """
    side = weight.shape[-1]
    y = aligned((len(x), len(weight), *out_size), x.dtype)
    bias = np.zeros(len(weight), x.dtype) if bias is None else bias
    # Neighbouring bands share rows of x, so planes are cut into bands only where they are few.
    bands = min(-(-ENOUGH_BANDS // (len(x) * len(weight))), max(1, out_size[0] // FEWEST_ROWS))
    rows = -(-out_size[0] // bands)
    workers = workers_for(y.size * side * side)
    compiled = _convolve(side) if stride == 1 else _convolve_every_second(side)
    compiled(as_input(x), as_input(weight).reshape(-1), as_input(bias), y, begin, rows, workers)
    return y


def _by_bands(convolve_band: Any) -> Any:
    @kernel
    def convolve_strips(x: Array, weight: Array, bias: Array, y: Array, begin: Pair, rows: int, workers: int) -> None:
        """Fills y, a band of `rows` rows of one plane at a time."""
        bands = (y.shape[2] + rows - 1) // rows
        parallel(convolve_band, workers, y.shape[0] * y.shape[1] * bands, (x, weight, bias, y, begin, rows))

    return convolve_strips


@cache
def _convolve(side: int) -> Any:
    last, size = side - 1, side * side
    kept = size + 2 * side < REGISTERS  # the filter stays in registers, beside the sums and the shifts of a row

    @kernel
    def convolve_band(
        worker: int, item: int, x: Array, weight: Array, bias: Array, y: Array, begin: Pair, rows: int
    ) -> None:
        channels, height, width = x.shape[1:]
        filters, out_height, out_width = y.shape[1:]
        top, left = begin
        bands = (out_height + rows - 1) // rows
        plane, first = item // bands, item % bands * rows
        image, filter_ = plane // filters, plane % filters
        channel = image * channels + filter_ // (filters // channels)
        end = min(first + rows, out_height)
        taps = rows_from(zeros(weight, size, 1), weight, filter_ * size)
        finite = _times_zero(weight, filter_ * size, size) == 0.0
        offset = splat(bias, element(bias, filter_))
        for strip in range(0, out_width, lanes(x)):
            column = max(0, min(strip, out_width - lanes(x)))
            acc = pushed(zeros(x, side, 1), offset)
            for row in range(first - top, end - top + last):
                shifts = zeros(x, side, 1)
                if 0 <= row < height:
                    start = (channel * height + row) * width + column - left
                    shifts = load_shifts(x, start, left - column, left - column + width, lanes(x), side, 1)
                if 0 <= row < height or not finite:
                    if not kept:
                        taps = rows_from(zeros(weight, size, 1), weight, filter_ * size)
                    acc = column_fma(acc, taps, shifts)
                finished = row + top - last
                if finished >= first:
                    pixel = (plane * out_height + finished) * out_width + column
                    if out_width >= lanes(x):
                        store(y, pixel, get(acc, last, 0))
                    else:
                        store_first(y, pixel, get(acc, last, 0), out_width)
                acc = pushed(acc, offset)

    return _by_bands(convolve_band)


@cache
def _convolve_every_second(side: int) -> Any:
    """Stride 2: each output row by itself, since it shares few rows of x with the next."""
    size = side * side

    @kernel
    def convolve_band(
        worker: int, item: int, x: Array, weight: Array, bias: Array, y: Array, begin: Pair, rows: int
    ) -> None:
        channels, height, width = x.shape[1:]
        filters, out_height, out_width = y.shape[1:]
        top, left = begin
        bands = (out_height + rows - 1) // rows
        plane, first = item // bands, item % bands * rows
        image, filter_ = plane // filters, plane % filters
        channel = image * channels + filter_ // (filters // channels)
        finite = _times_zero(weight, filter_ * size, size) == 0.0
        for strip in range(0, out_width, lanes(x)):
            column = max(0, min(strip, out_width - lanes(x)))
            edge = left - 2 * column
            for out_row in range(first, min(first + rows, out_height)):
                acc = rows_from(zeros(x, 1, 1), bias, filter_)
                for i in range(side):
                    row = 2 * out_row - top + i
                    shifts = zeros(x, side, 1)
                    if 0 <= row < height:
                        start = (channel * height + row) * width - edge
                        shifts = load_shifts(x, start, edge, edge + width, lanes(x), side, 2)
                    if 0 <= row < height or not finite:
                        taps = rows_from(zeros(weight, side, 1), weight, filter_ * size + i * side)
                        acc = column_fma(acc, taps, shifts)
                pixel = (plane * out_height + out_row) * out_width + column
                if out_width >= lanes(x):
                    store(y, pixel, get(acc, 0, 0))
                else:
                    store_first(y, pixel, get(acc, 0, 0), out_width)

    return _by_bands(convolve_band)


@kernel
def _times_zero(weight: Array, start: int, size: int) -> float:
    """The sum of the weights, times zero each: zero if all are finite."""
    found = 0.0
    for tap in range(start, start + size):
        found += element(weight, tap) * 0.0
    return found


def correlate(x: Array, dy: Array, begin: Pair, stride: int = 1) -> Array:
    """dw (C * M, 1, 3, 3) of x (N, C, H, W) and dy (N, C * M, *out_size). No dimension is zero."""
    filters = dy.shape[1]
    sums = np.empty((min(len(x), -(-PARTS // filters)), filters, 1, 3, 3), x.dtype)
    _correlate(stride)(as_input(x), as_input(dy), begin, workers_for(9 * dy.size), sums)
    return sums.sum(axis=0)


@cache
def _correlate(stride: int) -> Any:
    @kernel
    def pixels(x: Array, channel: int, begin: Pair, row: int, column: int, count: int) -> Any:
        """The pixels that three taps of a row meet: of row `row` and from `column` on, counted from the first window.

        The first `count` of them, and zeros where the image has none.
        """
        height, width = x.shape[2:]
        row, column = row - begin[0], column * stride - begin[1]
        if 0 <= row < height:
            return load_shifts(x, (channel * height + row) * width + column, -column, width - column, count, 3, stride)
        return zeros(x, 3, 1)

    @kernel
    def correlate_part(worker: int, item: int, x: Array, dy: Array, begin: Pair, sums: Array) -> None:
        images, channels = x.shape[:2]
        parts, filters = sums.shape[:2]
        out_height, out_width = dy.shape[2:]
        part, filter_ = item // filters, item % filters
        top_sums = middle_sums = bottom_sums = zeros(x, 3, 1)
        for image in range(part * images // parts, (part + 1) * images // parts):
            channel = image * channels + filter_ // (filters // channels)
            pixel = (image * filters + filter_) * out_height * out_width
            for column in range(0, out_width, lanes(x)):
                count = min(lanes(x), out_width - column)
                top, middle = pixels(x, channel, begin, 0, column, count), pixels(x, channel, begin, 1, column, count)
                for row in range(out_height):
                    bottom = pixels(x, channel, begin, row * stride + 2, column, count)
                    gradient = load_first(dy, pixel + row * out_width + column, count)
                    top_sums = add_scaled(top_sums, gradient, top)
                    middle_sums = add_scaled(middle_sums, gradient, middle)
                    bottom_sums = add_scaled(bottom_sums, gradient, bottom)
                    top, middle = middle, bottom
                    if stride == 2:
                        top, middle = bottom, pixels(x, channel, begin, row * stride + 3, column, count)
        taps = sums[part, filter_, 0]
        for i, row_sums in enumerate((top_sums, middle_sums, bottom_sums)):
            taps[i, 0] = total(get(row_sums, 0, 0))
            taps[i, 1] = total(get(row_sums, 1, 0))
            taps[i, 2] = total(get(row_sums, 2, 0))

    @kernel
    def correlate_strips(x: Array, dy: Array, begin: Pair, workers: int, sums: Array) -> None:
        """Fills sums (parts, filters, 1, 3, 3)."""
        parallel(correlate_part, workers, sums.shape[0] * sums.shape[1], (x, dy, begin, sums))

    return correlate_strips
