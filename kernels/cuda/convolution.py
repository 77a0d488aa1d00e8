"""Convolution on the GPU: each of the three is the tiled product of `multiplication`, with its own way to read.

With taps t = (kh, kw) and positions p = (oh, ow), and for each group:

                     rows  columns    sum over
    forward          o     (n, p)     (c, t)    weight[o, c, t] * x[n, c, p s + t d - before]
    backward_input   c     (n, h, w)  (o, t)    weight[o, c, t] * dy[n, o, (h + before - t d) / s]
    backward_weight  o     (c, t)     (n, p)    dy[n, o, p] * x[n, c, p s + t d - before]

Bytes and multiplications are those of the product: a layer of C = O = 256 channels, 3 x 3, does about a thousand
multiplications for each element that it moves, so the arithmetic is the limit; with few channels, memory is. How
elements are found is the subject of `windows`. All sizes are arguments, so that a network's layers share their kernels.

No atomics: every result is one thread's, or a sum of parts in a fixed order. Results do not depend on the GPU's timing.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import cuda, uint32

from kernels.cuda import device, multiplication
from kernels.cuda.array import DeviceArray, empty, full, to_device
from kernels.cuda.device import DeviceError
from kernels.cuda.dtypes import FLOATS, check_float
from kernels.cuda.multiplication import Tile, tile_for
from kernels.cuda.whole import quotient, remainder
from kernels.cuda.windows import Sizes, read_tap, taps, window

__all__ = ["backward_bias", "backward_input", "backward_weight", "forward"]

Padding = Sequence[tuple[int, int]]
Options = tuple[int, ...]  # kernel_size, stride and dilation
TYPES = {name: (kind, kind, np.dtype(name).itemsize) for name, kind in FLOATS.items()}


def forward(
    x: Any, weight: Any, bias: Any, stride: Sequence[int], padding: Padding, dilation: Sequence[int], groups: int,
    out_size: Sequence[int],
) -> DeviceArray:  # fmt: skip
    """The convolution (N, O, *out_size) of x (N, C, *sizes) with weight (O, C/groups, *kernel_size), plus bias (O,)."""
    x, weight = _images("conv_forward", x), _images("conv_forward", weight)
    sizes = _sizes(x.shape, weight.shape[0], _two(out_size), stride, padding, groups)
    kernel_size = weight.shape[2:]
    y = empty((x.shape[0], sizes.filters, sizes.rows, sizes.columns), x.dtype)
    bias = full((sizes.filters,), 0, x.dtype) if bias is None else to_device(bias)
    table = _windows(sizes, kernel_size, dilation)
    m, n, k = sizes.group_filters, x.shape[0] * sizes.rows * sizes.columns, table.shape[0]
    tile = tile_for(m, n, groups)
    arguments = _flat(weight), _flat(x), table.handle, bias.handle, _flat(y)
    multiplication.launch(_forward(x.dtype.name, tile), tile, (m, n, k), groups, max(k, 1), arguments, sizes)
    return y.reshape(x.shape[0], sizes.filters, *out_size)


def backward_input(
    dy: Any, weight: Any, input_size: Sequence[int], stride: Sequence[int], padding: Padding, dilation: Sequence[int],
    groups: int,
) -> DeviceArray:  # fmt: skip
    """The gradient (N, C, *input_size) by x."""
    dy, weight = _images("conv_backward_input", dy), _images("conv_backward_input", weight)
    images, filters, rows, columns = dy.shape
    channels = weight.shape[1] * groups
    sizes = _sizes((images, channels, *_two(input_size)), filters, (rows, columns), stride, padding, groups)
    dx = empty((images, channels, sizes.height, sizes.width), dy.dtype)
    each = math.prod(weight.shape[1:])
    table = taps(sizes.group_filters, weight.shape[2:], _two(dilation), rows * columns, 0, each)
    m, n, k = sizes.group_channels, images * sizes.height * sizes.width, table.shape[0]
    tile = tile_for(m, n, groups)
    kernel = _backward_input(dy.dtype.name, (sizes.stride_h, sizes.stride_w), tile)
    arguments = _flat(weight), _flat(dy), table.handle, table.handle, _flat(dx)
    multiplication.launch(kernel, tile, (m, n, k), groups, max(k, 1), arguments, sizes)
    # The product multiplies weights by 0 where no result of the convolution used them. That is 0, unless they are not
    # finite; then their sum is not finite either (or it overflows, which costs time only), and a plain sum decides.
    alarm = (weight * 0).sum()
    plain = _plain_backward_input((*weight.shape[2:], *_two(stride), *_two(dilation)))
    blocks = device.blocks_for(dx.size)
    device.launch(plain, blocks, device.THREADS, weight.handle, dy.handle, alarm.reshape(1).handle, dx.handle, sizes)
    return dx.reshape(images, channels, *input_size)


def backward_weight(
    x: Any, dy: Any, kernel_size: Sequence[int], stride: Sequence[int], padding: Padding, dilation: Sequence[int],
    groups: int,
) -> DeviceArray:  # fmt: skip
    """The gradient (O, C/groups, *kernel_size) by weight."""
    x, dy = _images("conv_backward_weight", x), _images("conv_backward_weight", dy)
    sizes = _sizes(x.shape, dy.shape[1], dy.shape[2:], stride, padding, groups)
    table = _windows(sizes, _two(kernel_size), dilation)
    m, n, k = sizes.group_filters, table.shape[0], x.shape[0] * sizes.rows * sizes.columns
    tile = tile_for(m, n, groups, divided=True)
    part = _part((m, n, k), tile, groups)
    dw = empty((max(-(-k // part), 1), groups, m, n), x.dtype)
    arguments = _flat(dy), _flat(x), table.handle, table.handle, _flat(dw)
    multiplication.launch(_backward_weight(x.dtype.name, tile), tile, (m, n, k), groups, part, arguments, (sizes, n))
    return dw.sum(0).reshape(sizes.filters, sizes.group_channels, *kernel_size)


def backward_bias(dy: DeviceArray) -> DeviceArray:
    """The sum (O,) over everything but the channels."""
    return dy.sum((0, *range(2, dy.ndim)))


def _images(name: str, array: Any) -> DeviceArray:
    """Lines as images of one row."""
    array = to_device(array)
    check_float(name, array)
    if array.ndim == 5:
        raise DeviceError(f"{name}: three spatial dimensions have no CUDA kernel yet; copy the arrays to the host")
    device.check_index(array.size)
    return array if array.ndim == 4 else array.reshape(*array.shape[:2], 1, array.shape[2])


def _flat(array: DeviceArray) -> Any:
    return array.reshape(array.size).handle


def _two(sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(sizes) if len(sizes) == 2 else (1, *sizes)


def _sizes(
    image: Sequence[int], filters: int, out_size: Sequence[int], stride: Sequence[int], padding: Padding, groups: int
) -> Sizes:
    channels, height, width = image[-3:]
    rows, columns = out_size
    before_h, before_w = _two([each for each, _ in padding]) if len(padding) == 2 else (0, padding[0][0])
    stride_h, stride_w = _two(stride)
    return Sizes(
        channels, height, width, filters, rows, columns, before_h, before_w, stride_h, stride_w,
        channels // groups, filters // groups,
    )  # fmt: skip


def _windows(sizes: Sizes, kernel_size: Sequence[int], dilation: Sequence[int]) -> DeviceArray:
    plane, each = sizes.height * sizes.width, math.prod(kernel_size)
    return taps(sizes.group_channels, kernel_size, _two(dilation), plane, sizes.width, each)


def _part(size: tuple[int, int, int], tile: Tile, groups: int) -> int:
    """How much of the sum a block takes, so that there are a few blocks for each multiprocessor."""
    m, n, k = size
    blocks = -(-m // tile.tm) * -(-n // tile.tn) * groups
    parts = max(1, min(4 * device.multiprocessors() // max(blocks, 1), -(-k // (8 * tile.tk))))
    steps = -(-k // (parts * tile.tk))
    return max(steps, 1) * tile.tk


# --- how the products read and write ----------------------------------------------------------------------------------


@cuda.jit(device=True)
def _multiply_add(found, a, b):
    return found + a * b


@functools.cache
def _forward(dtype: str, tile: Tile) -> Any:
    @cuda.jit(device=True)
    def read_weight(weight, table, group, i, feature, placed, sizes):
        return weight[uint32((group * sizes.group_filters + i) * table.shape[0] + feature)]

    @cuda.jit(device=True)
    def read_x(x, table, feature, position, placed, sizes):
        return read_tap(x, table, feature, placed, sizes)

    @cuda.jit(device=True)
    def aim(group, share, position, sizes):
        places = sizes.rows * sizes.columns
        image, place = quotient(position, places), remainder(position, places)
        return (image * sizes.filters + group * sizes.group_filters) * places + place

    @cuda.jit(device=True)
    def write(y, bias, group, aimed, i, value, sizes):
        y[uint32(aimed + i * sizes.rows * sizes.columns)] = value + bias[uint32(group * sizes.group_filters + i)]

    return multiplication.product(window, read_weight, read_x, _multiply_add, aim, write, TYPES[dtype], tile)


@functools.cache
def _backward_input(dtype: str, stride: tuple[int, int], tile: Tile) -> Any:
    """The stride is a constant of the compiled kernel, because it divides where elements are read."""
    stride_h, stride_w = stride

    @cuda.jit(device=True)
    def place(group, position, sizes):
        """Where the group's first channel of this image of dy begins, and the pixel's row and column with padding."""
        at = remainder(position, sizes.height * sizes.width)
        image = quotient(position, sizes.height * sizes.width)
        start = (image * sizes.filters + group * sizes.group_filters) * sizes.rows * sizes.columns
        return start, quotient(at, sizes.width) + sizes.before_h, remainder(at, sizes.width) + sizes.before_w

    @cuda.jit(device=True)
    def read_weight(weight, table, group, channel, feature, placed, sizes):
        taps = quotient(table.shape[0], sizes.group_filters)
        group_at = group * table.shape[0] * sizes.group_channels
        return weight[uint32(group_at + channel * taps + table[feature, 3])]

    @cuda.jit(device=True)
    def read_dy(dy, table, feature, position, placed, sizes):
        start, bottom, right = placed
        h, w = bottom - table[feature, 1], right - table[feature, 2]
        if h >= 0 and w >= 0 and remainder(h, stride_h) == 0 and remainder(w, stride_w) == 0:
            h, w = quotient(h, stride_h), quotient(w, stride_w)
            if h < sizes.rows and w < sizes.columns:
                return dy[uint32(start + table[feature, 0] + h * sizes.columns + w)]
        return dy.dtype.type(0)

    @cuda.jit(device=True)
    def aim(group, share, position, sizes):
        places = sizes.height * sizes.width
        image, at = quotient(position, places), remainder(position, places)
        return (image * sizes.channels + group * sizes.group_channels) * places + at

    @cuda.jit(device=True)
    def write(dx, extra, group, aimed, channel, value, sizes):
        dx[uint32(aimed + channel * sizes.height * sizes.width)] = value

    return multiplication.product(place, read_weight, read_dy, _multiply_add, aim, write, TYPES[dtype], tile)


@functools.cache
def _backward_weight(dtype: str, tile: Tile) -> Any:
    @cuda.jit(device=True)
    def place(group, position, sizes):
        """Where the group's first filter has this position in dy, and the window."""
        shape = sizes[0]
        places = shape.rows * shape.columns
        image, at = quotient(position, places), remainder(position, places)
        plane = image * shape.filters + group * shape.group_filters
        return plane * places + at, window(group, position, shape)

    @cuda.jit(device=True)
    def read_dy(dy, table, group, i, position, placed, sizes):
        return dy[uint32(placed[0] + i * sizes[0].rows * sizes[0].columns)]

    @cuda.jit(device=True)
    def read_x(x, table, position, feature, placed, sizes):
        return read_tap(x, table, feature, placed[1], sizes[0])

    @cuda.jit(device=True)
    def aim(group, share, feature, sizes):
        shape, features = sizes
        groups = quotient(shape.filters, shape.group_filters)
        return (share * groups + group) * shape.group_filters * features + feature

    @cuda.jit(device=True)
    def write(dw, extra, group, aimed, i, value, sizes):
        dw[uint32(aimed + i * sizes[1])] = value

    types = TYPES[dtype]
    return multiplication.product(
        place, read_dy, read_x, _multiply_add, aim, write, types, tile, b_along_sum=True
    )  # fmt: skip


@functools.cache
def _plain_backward_input(options: Options) -> Any:
    """One thread for each element of dx, which adds up what used it; runs where the alarm is not 0."""
    kh, kw, stride_h, stride_w, dilation_h, dilation_w = options

    @cuda.jit
    def plain_backward_input(weight, dy, alarm, dx, sizes):
        channels, height, width, _, rows, columns, before_h, before_w, _, _, per_group, filters = sizes
        if alarm[0] == 0:
            return
        for place in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
            w, rest = place % width, place // width
            h, rest = rest % height, rest // height
            channel, image = rest % channels, rest // channels
            group = channel // per_group
            found = dx.dtype.type(0)
            for o in range(group * filters, (group + 1) * filters):
                for tap in range(kh * kw):
                    oh = h + before_h - tap // kw * dilation_h
                    ow = w + before_w - tap % kw * dilation_w
                    if oh >= 0 and ow >= 0 and oh % stride_h == 0 and ow % stride_w == 0:
                        oh, ow = oh // stride_h, ow // stride_w
                        if oh < rows and ow < columns:
                            weighed = weight[o, channel - group * per_group, tap // kw, tap % kw]
                            found += weighed * dy[image, o, oh, ow]
            dx[image, channel, h, w] = found

    return plain_backward_input
