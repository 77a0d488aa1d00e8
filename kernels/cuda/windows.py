"""Where a window's taps meet an image: the matrix of a convolution, which is never stored.

The element of feature (channel, i, j) and position (image, row, column) is

    x[image, channel, row stride_h + i dilation_h - before_h, column stride_w + j dilation_w - before_w]

or 0 outside the image. Its place in memory is one number that the position decides plus one that the feature decides.
A thread computes the first once and keeps it; the second it finds in a table, made on the host, that has a row
(offset, i dilation_h, j dilation_w, weight) for each feature. So there is one compiled kernel for windows of all sizes,
and no division where elements are read.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import cuda, uint32

from kernels.cuda import device
from kernels.cuda.array import DeviceArray, to_device
from kernels.cuda.whole import quotient, remainder


def taps(
    channels: int, kernel_size: Sequence[int], dilation: Sequence[int], plane: int, row: int, weights: int
) -> DeviceArray:
    """The table (channels * KH * KW, 4) of int32: for each feature its offset, distance down and across, and weight.

    A channel is `plane` elements behind the last one, and a row `row` elements; its weights begin `weights` elements
    behind those of the last.
    """
    # A table is made once for each stream, and so is there before whatever is launched on that stream later.
    sizes = channels, tuple(kernel_size), tuple(dilation), plane, row, weights
    return _taps(device.current_stream(), *sizes)


@functools.lru_cache(maxsize=64)
def _taps(
    stream: Any, channels: int, kernel_size: tuple[int, ...], dilation: tuple[int, ...], plane: int, row: int,
    weights: int,
) -> DeviceArray:  # fmt: skip
    channel, i, j = np.indices((channels, *kernel_size)).reshape(3, -1)
    down, across = i * dilation[0], j * dilation[1]
    columns = (
        channel * plane + down * row + across * min(row, 1),
        down,
        across,
        channel * weights + i * kernel_size[1] + j,
    )
    return to_device(np.stack(columns, axis=1).astype(np.int32))


class Sizes(NamedTuple):
    """What kernels need to know of a convolution; the channels are words of signs where they are packed."""

    channels: int
    height: int
    width: int
    filters: int
    rows: int  # of windows
    columns: int
    before_h: int  # padding above and to the left
    before_w: int
    stride_h: int
    stride_w: int
    group_channels: int
    group_filters: int


@cuda.jit(device=True)
def window(group, position, sizes):
    """Where the window of a position begins: in memory, for the first channel of the group, and in the image."""
    at = remainder(position, sizes.rows * sizes.columns)
    image = quotient(position, sizes.rows * sizes.columns)
    top = quotient(at, sizes.columns) * sizes.stride_h - sizes.before_h
    left = remainder(at, sizes.columns) * sizes.stride_w - sizes.before_w
    plane = image * sizes.channels + group * sizes.group_channels
    return (plane * sizes.height + top) * sizes.width + left, top, left


@cuda.jit(device=True)
def read_tap(x, table, feature, placed, sizes):
    """The element of x (flat) that a feature meets in a window, or 0 outside the image."""
    start, top, left = placed
    row = uint32(feature)
    h, w = top + table[row, 1], left + table[row, 2]
    if uint32(h) < uint32(sizes.height) and uint32(w) < uint32(sizes.width):  # negative numbers are large then
        return x[uint32(start + table[row, 0])]
    return x.dtype.type(0)
