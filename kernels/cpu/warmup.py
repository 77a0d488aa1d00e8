"""One small call of each compiled kernel, so that none is compiled later; `kernels.warmup` makes them.

Kernels that come in several tile widths are called for those that usual numbers of channels need.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.cpu import batchnorm, bilinear, selection, xnor
from kernels.cpu.convolution import bias, choice
from kernels.cpu.pooling import averages, maxima
from kernels.cpu.xnor.packing import weight_tiles
from kernels.reference.pooling import sliding_windows

DTYPES = (np.float32, np.float64)


def convolution(dtype: Any) -> None:
    """Winograd's in both directions and in one, few channels, direct of each tile width, pointwise, depthwise."""
    problems = [(16, 64, 1, 3, 1), (16, 16, 1, 5, 1), (16, 16, 1, 3, 2), (32, 32, 1, 3, 2), (64, 64, 1, 3, 2)]
    problems += [(1, 8, 1, 3, 1), (1, 8, 1, 5, 1), (1, 8, 1, 7, 1)]
    problems += [(32, 32, 1, 1, 1)]
    problems += [(2, 2, 2, side, stride) for side in (3, 5, 7) for stride in (1, 2)]
    for inputs, outputs, groups, side, stride in problems:
        options = (stride, stride), ((side // 2, side // 2),) * 2, (1, 1)
        x = np.zeros((1, inputs, 16, 16), dtype)
        weight, offsets = np.zeros((outputs, inputs // groups, side, side), dtype), np.zeros(outputs, dtype)
        y = choice.forward(x, weight, offsets, *options, groups, True)
        choice.backward_input(y, weight, (16, 16), *options, groups, True)
        choice.backward_weight(x, y, (side, side), *options, groups, True)
    bias.backward(np.zeros((1, 1, 1), dtype))


def pooling(dtype: Any) -> None:
    """Maxima and means of windows that lie apart, that overlap, and of whole planes."""
    x = np.zeros((1, 1, 8, 8), dtype)
    for kernel_size, count, stride in ((2, 4, 2), (3, 6, 1), (8, 1, 8)):
        windows = [sliding_windows(8, count, kernel_size, stride, 0, 1)] * 2
        values, indices = maxima.forward(x, windows, np.dtype(np.int64))
        maxima.backward(values, indices, (8, 8))
        maxima.gather(x, indices, 2)
        divisor = np.asarray(kernel_size**2)
        averages.backward(averages.forward(x, windows, divisor), (8, 8), windows, divisor)


def sampling(dtype: Any) -> None:
    """Bilinear and nearest, for one channel, a few and many."""
    for channels in (1, 3, 16):
        x, grid = np.zeros((1, channels, 4, 4), dtype), np.zeros((1, 4, 4, 2), dtype)
        y = bilinear.forward(x, grid, "zeros", False)
        bilinear.backward(y, x, grid, "zeros", False)
        y = bilinear.nearest_forward(x, grid, "zeros", False)
        bilinear.nearest_backward(y, grid, (4, 4), "zeros", False)


def binary(dtype: Any) -> None:
    """The convolution of signs, without and with the scale of the input."""
    x = np.zeros((1, 64, 8, 8), dtype)
    tiles = weight_tiles(xnor.pack_signs(np.zeros((4, 64, 3, 3), dtype)), np.ones(4, dtype), 64)
    for scale_input in (False, True):
        options = (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), scale_input, (8, 8)
        xnor.forward(x, tiles, 4, *options)


FAMILIES: dict[str, Callable[[Any], None]] = {
    "convolution": convolution,
    "batchnorm": batchnorm.warmup,
    "pooling": pooling,
    "sampling": sampling,
    "binary": binary,
    "selection": selection.warmup,
}


def warmup() -> None:
    """Compiles every kernel for float32 and float64, or reads it from the cache."""
    for family in FAMILIES.values():
        for dtype in DTYPES:
            family(dtype)
