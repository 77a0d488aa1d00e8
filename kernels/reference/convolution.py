"""Convolution in plain NumPy: the specification that every faster version is tested against.

With x (N, C, *sizes), weight (O, C/groups, *kernel_size) and one number of each option for each spatial dimension,

    y[n, o, p] = sum over c and t of weight[o, c, t] * x[n, c, p * stride + t * dilation - before]

where x counts as zero outside its sizes. Deep learning calls this convolution; mathematics calls it
cross-correlation, because the kernel is not flipped. With `groups`, the channels of x and of y are split into that
many parts, and each part of y sees its part of x alone.

`padding` is a pair (before, after) for each spatial dimension. A negative `after` leaves out elements at the end.

The map is bilinear in x and weight, so three functions are enough for derivatives of all orders: each of `forward`,
`backward_input` and `backward_weight` has the other two as its derivatives. `backward_input` alone is known as the
transposed convolution.

All three are one matrix product for each image and group, around two steps that only move and add elements: `unfold`
copies the windows of x into columns, and `fold`, its adjoint, adds columns back to where they came from.

Arguments are taken as they come: the callers check them. Source of the method: K. Chellapilla, S. Puri and P. Simard,
"High Performance Convolutional Neural Networks for Document Processing", 2006, https://inria.hal.science/inria-00112631
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Array = npt.NDArray[Any]
Sizes = Sequence[int]
Padding = Sequence[tuple[int, int]]


def output_size(sizes: Sizes, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes) -> tuple[int, ...]:
    """How many windows fit along each spatial dimension; less than 1 if none does."""
    return tuple(
        (n + sum(pads) - _span(k, d)) // s + 1
        for n, k, s, pads, d in zip(sizes, kernel_size, stride, padding, dilation, strict=True)
    )


def unfold(x: Array, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes) -> Array:
    """The windows of x as columns: a new array (N, C, *kernel_size, *output_size)."""
    spatial = tuple(range(2, x.ndim))
    spans = [_span(k, d) for k, d in zip(kernel_size, dilation, strict=True)]
    windows = sliding_window_view(_padded(x, padding), spans, axis=spatial)  # (N, C, *positions, *spans)
    every = (slice(None), slice(None), *(slice(None, None, step) for step in (*stride, *dilation)))
    within = (axis + len(spans) for axis in spatial)
    return np.array(windows[every].transpose(0, 1, *within, *spatial), order="C")


def fold(columns: Array, sizes: Sizes, stride: Sizes, padding: Padding, dilation: Sizes) -> Array:
    """The adjoint of `unfold`: columns (N, C, *kernel_size, *output_size) added up where they came from."""
    dims = len(sizes)
    kernel_size, windows = columns.shape[2 : 2 + dims], columns.shape[2 + dims :]
    around = [n + sum(pads) for n, pads in zip(sizes, padding, strict=True)]
    padded = np.zeros((*columns.shape[:2], *around), columns.dtype)
    for tap in np.ndindex(*kernel_size):
        read = [
            slice(t * d, t * d + (count - 1) * s + 1, s)
            for t, d, s, count in zip(tap, dilation, stride, windows, strict=True)
        ]
        every = slice(None)
        here, there = (every, every, *read), (every, every, *tap)
        padded[here] += columns[there]
    return _cropped(padded, sizes, padding)


@np.errstate(all="ignore")  # inf and nan spread silently
def forward(x: Array, weight: Array, stride: Sizes, padding: Padding, dilation: Sizes, groups: int) -> Array:
    """The convolution y (N, O, *output_size)."""
    kernel_size = weight.shape[2:]
    windows = output_size(x.shape[2:], kernel_size, stride, padding, dilation)
    columns = unfold(_wide(x), kernel_size, stride, padding, dilation)
    y = _matrices(weight, groups) @ _by_group(columns, groups, math.prod(windows))
    return _like(x, y.reshape(len(x), len(weight), *windows))


@np.errstate(all="ignore")
def backward_input(
    dy: Array, weight: Array, input_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes, groups: int
) -> Array:
    """The gradient (N, C, *input_size) of sum(dy * forward(x, weight)) with respect to x."""
    kernel_size, windows = weight.shape[2:], dy.shape[2:]
    channels = weight.shape[1] * groups
    columns = _matrices(weight, groups).swapaxes(1, 2) @ _by_group(_wide(dy), groups, math.prod(windows))
    columns = columns.reshape(len(dy), channels, *kernel_size, *windows)
    return _like(dy, fold(columns, input_size, stride, padding, dilation))


@np.errstate(all="ignore")
def backward_weight(
    x: Array, dy: Array, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes, groups: int
) -> Array:
    """The gradient (O, C/groups, *kernel_size) of sum(dy * forward(x, weight)) with respect to weight."""
    outputs, inputs, windows = dy.shape[1], x.shape[1] // groups, math.prod(dy.shape[2:])
    columns = _by_group(unfold(_wide(x), kernel_size, stride, padding, dilation), groups, windows)
    total = np.zeros((groups, outputs // groups, inputs * math.prod(kernel_size)), np.result_type(columns, dy))
    # Image by image: all products at once would need as much memory as the batch has weights.
    for dy_image, columns_image in zip(_by_group(_wide(dy), groups, windows), columns, strict=True):
        total += dy_image @ columns_image.swapaxes(1, 2)
    return _like(x, total.reshape(outputs, inputs, *kernel_size))


def _span(taps: int, dilation: int) -> int:
    """How many elements a dilated kernel reaches over."""
    return dilation * (taps - 1) + 1


def _padded(x: Array, padding: Padding) -> Array:
    if not any(map(any, padding)):
        return x
    sizes = [n + sum(pads) for n, pads in zip(x.shape[2:], padding, strict=True)]
    out = np.zeros((*x.shape[:2], *sizes), x.dtype)
    outer, inner = _overlap(x.shape[2:], sizes, padding)
    out[outer] = x[inner]
    return out


def _cropped(padded: Array, sizes: Sizes, padding: Padding) -> Array:
    """The adjoint of `_padded`."""
    if not any(map(any, padding)):
        return padded
    out = np.zeros((*padded.shape[:2], *sizes), padded.dtype)
    outer, inner = _overlap(sizes, padded.shape[2:], padding)
    out[inner] = padded[outer]
    return out


def _overlap(sizes: Sizes, padded_sizes: Sizes, padding: Padding) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Where x lies in the padded array, and which part of x lies there: all of it unless `after` is negative."""
    outer, inner = [], []
    for n, around, (before, _) in zip(sizes, padded_sizes, padding, strict=True):
        kept = min(n, around - before)
        outer.append(slice(before, before + kept))
        inner.append(slice(kept))
    return (..., *outer), (..., *inner)


def _matrices(weight: Array, groups: int) -> Array:
    """weight (O, C/groups, *kernel_size) as one matrix for each group."""
    return _wide(weight).reshape(groups, len(weight) // groups, math.prod(weight.shape[1:]))


def _by_group(values: Array, groups: int, windows: int) -> Array:
    """(N, channels, ..., *output_size) as one matrix for each image and group, with a column for each window."""
    rows = math.prod(values.shape[1:]) // (groups * windows)
    # Gradients may be one number repeated without memory of their own, which matrix products are slow on.
    return np.ascontiguousarray(values.reshape(len(values), groups, rows, windows))


def _wide(values: Array) -> Array:
    """Half precision is added up in float32, as processors do; other dtypes in their own."""
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _like(x: Array, result: Array) -> Array:
    return result.astype(np.float16) if x.dtype == np.float16 else result
