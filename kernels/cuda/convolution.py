"""Convolution on the GPU: each of the three is the tiled product of `multiplication`, with its own way to read.

With taps t = (kh, kw) and positions p = (oh, ow), and for each group:

                     rows  columns    sum over
    forward          o     (n, p)     (c, t)    weight[o, c, t] * x[n, c, p s + t d - before]
    backward_input   c     (n, h, w)  (o, t)    weight[o, c, t] * dy[n, o, (h + before - t d) / s]
    backward_weight  o     (c, t)     (n, p)    dy[n, o, p] * x[n, c, p s + t d - before]

Bytes and multiplications are those of the product: a layer of C = O = 256 channels, 3 x 3, does about a thousand
multiplications for each element that it moves, so the arithmetic is the limit; with few channels, memory is. Kernel
size, stride and dilation are constants of the compiled kernel, because a thread divides by them for every element that
it reads; sizes are not, so that a network's layers share kernels.

No atomics: every result is one thread's, or a sum of parts in a fixed order. Results do not depend on the GPU's timing.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

from numba import cuda

from kernels.cuda import device, multiplication
from kernels.cuda.array import DeviceArray, empty, full, to_device
from kernels.cuda.device import DeviceError
from kernels.cuda.dtypes import FLOATS, check_float
from kernels.cuda.multiplication import Tile, tile_for
from kernels.cuda.whole import quotient, remainder

__all__ = ["backward_bias", "backward_input", "backward_weight", "forward"]


Sizes = Sequence[int]
Padding = Sequence[tuple[int, int]]
Options = tuple[int, ...]  # kernel_size, stride and dilation: constants of a compiled kernel


def forward(
    x: Any, weight: Any, bias: Any, stride: Sizes, padding: Padding, dilation: Sizes, groups: int, windows: Sizes
) -> DeviceArray:
    """The convolution (N, O, *windows) of x (N, C, *sizes) with weight (O, C/groups, *kernel_size), plus bias (O,)."""
    x, weight = _images("conv_forward", x), _images("conv_forward", weight)
    n, channels, height, width = x.shape
    filters, per_group, *kernel_size = weight.shape
    rows, columns = _two(windows)
    y = empty((n, filters, rows, columns), x.dtype)
    bias = full((filters,), 0, x.dtype) if bias is None else to_device(bias)
    size = filters // groups, n * rows * columns, per_group * math.prod(kernel_size)
    tile = tile_for(size[0])
    kernel = _forward(x.dtype.name, _options(kernel_size, stride, dilation), tile)
    sizes = channels, height, width, filters, rows, columns, *_before(padding), size[0], per_group
    multiplication.launch(kernel, tile, size, groups, size[2], (weight.handle, x.handle, bias.handle, y.handle), sizes)
    return y.reshape(n, filters, *windows)


def backward_input(
    dy: Any, weight: Any, input_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes, groups: int
) -> DeviceArray:
    """The gradient (N, C, *input_size) by x."""
    dy, weight = _images("conv_backward_input", dy), _images("conv_backward_input", weight)
    n, filters, rows, columns = dy.shape
    _, per_group, *kernel_size = weight.shape
    height, width = _two(input_size)
    channels = per_group * groups
    dx = empty((n, channels, height, width), dy.dtype)
    size = per_group, n * height * width, filters // groups * math.prod(kernel_size)
    tile, options = tile_for(size[0]), _options(kernel_size, stride, dilation)
    sizes = channels, height, width, filters, rows, columns, *_before(padding), filters // groups, per_group
    arguments = weight.handle, dy.handle, weight.handle, dx.handle
    multiplication.launch(_backward_input(dy.dtype.name, options, tile), tile, size, groups, size[2], arguments, sizes)
    # The product multiplies weights by 0 where no result of the convolution used them. That is 0, unless they are not
    # finite; then their sum is not finite either (or it overflows, which costs time only), and a plain sum decides.
    alarm = (weight * 0).sum()
    plain = _plain_backward_input(options)
    blocks = device.blocks_for(dx.size)
    device.launch(plain, blocks, device.THREADS, weight.handle, dy.handle, alarm.reshape(1).handle, dx.handle, sizes)
    return dx.reshape(n, channels, *input_size)


def backward_weight(
    x: Any, dy: Any, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes, groups: int
) -> DeviceArray:
    """The gradient (O, C/groups, *kernel_size) by weight."""
    x, dy = _images("conv_backward_weight", x), _images("conv_backward_weight", dy)
    n, channels, height, width = x.shape
    _, filters, rows, columns = dy.shape
    per_group = channels // groups
    taps = _two(kernel_size)
    size = filters // groups, per_group * math.prod(taps), n * rows * columns
    tile = tile_for(size[0])
    kernel = _backward_weight(x.dtype.name, _options(taps, stride, dilation), tile)
    part = _part(size, tile, groups)
    parts = max(-(-size[2] // part), 1)
    dw = empty((parts, groups, size[0], size[1]), x.dtype)
    sizes = channels, height, width, filters, rows, columns, *_before(padding), size[0], per_group
    arguments = dy.handle, x.handle, dw.handle, dw.handle
    multiplication.launch(kernel, tile, size, groups, part, arguments, sizes)
    return dw.sum(0).reshape(filters, per_group, *kernel_size)


def backward_bias(dy: DeviceArray) -> DeviceArray:
    """The sum (O,) over everything but the channels."""
    return dy.sum((0, *range(2, dy.ndim)))


def _images(name: str, array: Any) -> DeviceArray:
    """Lines as images of one row."""
    array = to_device(array)
    check_float(name, array)
    if array.ndim == 5:
        raise DeviceError(f"{name}: three spatial dimensions have no CUDA kernel yet; copy the arrays to the host")
    return array if array.ndim == 4 else array.reshape(*array.shape[:2], 1, array.shape[2])


def _two(sizes: Sizes) -> tuple[int, ...]:
    return tuple(sizes) if len(sizes) == 2 else (1, *sizes)


def _before(padding: Padding) -> tuple[int, ...]:
    return _two([before for before, _ in padding]) if len(padding) == 2 else (0, padding[0][0])


def _options(kernel_size: Sizes, stride: Sizes, dilation: Sizes) -> Options:
    return (*_two(kernel_size), *_two(stride), *_two(dilation))


def _part(size: tuple[int, int, int], tile: Tile, groups: int) -> int:
    """How much of the sum a block takes, so that there are a few blocks for each multiprocessor."""
    m, n, k = size
    blocks = -(-m // tile.tm) * -(-n // tile.tn) * groups
    parts = max(1, min(4 * device.multiprocessors() // max(blocks, 1), -(-k // (8 * tile.tk))))
    steps = -(-k // (parts * tile.tk))
    return max(steps, 1) * tile.tk


# --- how the products read --------------------------------------------------------------------------------------------


@cuda.jit(device=True)
def _multiply_add(found, a, b):
    return found + a * b


def _reader_of_windows(options: Options) -> Any:
    """The device function that reads x[image, channel] at the tap of the window at a position, 0 outside."""
    kh, kw, stride_h, stride_w, dilation_h, dilation_w = options

    @cuda.jit(device=True)
    def read(x, group, feature, position, sizes):
        _, height, width, _, rows, columns, before_h, before_w, _, per_group = sizes
        channel, tap = quotient(feature, kh * kw), remainder(feature, kh * kw)
        image, place = quotient(position, rows * columns), remainder(position, rows * columns)
        h = quotient(place, columns) * stride_h + quotient(tap, kw) * dilation_h - before_h
        w = remainder(place, columns) * stride_w + remainder(tap, kw) * dilation_w - before_w
        if 0 <= h < height and 0 <= w < width:
            return x[image, group * per_group + channel, h, w]
        return x.dtype.type(0)

    return read


@functools.cache
def _forward(dtype: str, options: Options, tile: Tile) -> Any:
    kh, kw = options[:2]
    read_window = _reader_of_windows(options)

    @cuda.jit(device=True)
    def read_weight(weight, group, i, feature, sizes):
        tap = remainder(feature, kh * kw)
        return weight[group * sizes[8] + i, quotient(feature, kh * kw), quotient(tap, kw), remainder(tap, kw)]

    @cuda.jit(device=True)
    def write(y, bias, group, part, i, position, value, sizes):
        rows, columns, o = sizes[4], sizes[5], group * sizes[8] + i
        image, place = quotient(position, rows * columns), remainder(position, rows * columns)
        y[image, o, quotient(place, columns), remainder(place, columns)] = value + bias[o]

    types = FLOATS[dtype], FLOATS[dtype]
    return multiplication.product(read_weight, read_window, _multiply_add, write, types, tile)


@functools.cache
def _backward_input(dtype: str, options: Options, tile: Tile) -> Any:
    kh, kw, stride_h, stride_w, dilation_h, dilation_w = options

    @cuda.jit(device=True)
    def read_weight(weight, group, channel, feature, sizes):
        o, tap = group * sizes[8] + quotient(feature, kh * kw), remainder(feature, kh * kw)
        return weight[o, channel, quotient(tap, kw), remainder(tap, kw)]

    @cuda.jit(device=True)
    def read_dy(dy, group, feature, position, sizes):
        _, height, width, _, rows, columns, before_h, before_w, filters, _ = sizes
        o, tap = quotient(feature, kh * kw), remainder(feature, kh * kw)
        image, place = quotient(position, height * width), remainder(position, height * width)
        h = quotient(place, width) + before_h - quotient(tap, kw) * dilation_h
        w = remainder(place, width) + before_w - remainder(tap, kw) * dilation_w
        if h >= 0 and w >= 0 and remainder(h, stride_h) == 0 and remainder(w, stride_w) == 0:
            h, w = quotient(h, stride_h), quotient(w, stride_w)
            if h < rows and w < columns:
                return dy[image, group * filters + o, h, w]
        return dy.dtype.type(0)

    @cuda.jit(device=True)
    def write(dx, _, group, part, channel, position, value, sizes):
        height, width = sizes[1], sizes[2]
        image, place = quotient(position, height * width), remainder(position, height * width)
        dx[image, group * sizes[9] + channel, quotient(place, width), remainder(place, width)] = value

    types = FLOATS[dtype], FLOATS[dtype]
    return multiplication.product(read_weight, read_dy, _multiply_add, write, types, tile)


@functools.cache
def _backward_weight(dtype: str, options: Options, tile: Tile) -> Any:
    read_window = _reader_of_windows(options)

    @cuda.jit(device=True)
    def read_dy(dy, group, i, position, sizes):
        rows, columns = sizes[4], sizes[5]
        image, place = quotient(position, rows * columns), remainder(position, rows * columns)
        return dy[image, group * sizes[8] + i, quotient(place, columns), remainder(place, columns)]

    @cuda.jit(device=True)
    def read_window_at(x, group, position, feature, sizes):
        return read_window(x, group, feature, position, sizes)

    @cuda.jit(device=True)
    def write(dw, _, group, part, i, feature, value, sizes):
        dw[part, group, i, feature] = value

    types = FLOATS[dtype], FLOATS[dtype]
    return multiplication.product(
        read_dy, read_window_at, _multiply_add, write, types, tile, b_along_sum=True
    )  # fmt: skip


@functools.cache
def _plain_backward_input(options: Options) -> Any:
    """One thread for each element of dx, which adds up what used it; runs where the alarm is not 0."""
    kh, kw, stride_h, stride_w, dilation_h, dilation_w = options

    @cuda.jit
    def plain_backward_input(weight, dy, alarm, dx, sizes):
        channels, height, width, _, rows, columns, before_h, before_w, filters, per_group = sizes
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
