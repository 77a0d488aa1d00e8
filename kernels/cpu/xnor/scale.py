"""The map K: the mean magnitude of the input in each window. It reads the input once more, at the speed of memory."""

import numpy as np
from numba import prange

from kernels.cpu.jit import Array, kernel, parallel_kernel

RUN = 512  # neighbouring pixels whose sums stay in the L1 cache


@kernel
def _magnitudes(x: Array, first: int, sums: Array) -> None:
    """Fills sums (channels summed, at most RUN pixels) for the pixels from `first` on of one image (C, pixels)."""
    sums[:] = 0
    for c in range(len(x)):
        line = x[c, first : first + len(sums)]
        for i in range(len(line)):
            sums[i] += abs(line[i])


@kernel
def _window_means(sums: Array, width: int, options: Array, taps_high: int, taps_wide: int, out_width: int,
                  values: int, scale: Array) -> None:  # fmt: skip
    """Fills scale (at least OH * OW) for one image from sums (H * width): windows of `values` numbers each."""
    stride, before, dilation = options
    height = len(sums) // width
    scale[:] = 0
    for pixel in range(len(scale) // out_width * out_width):
        row, column = divmod(pixel, out_width)
        total = 0.0
        for i in range(taps_high):
            y = row * stride[0] + i * dilation[0] - before[0]
            if 0 <= y < height:
                for j in range(taps_wide):
                    x = column * stride[1] + j * dilation[1] - before[1]
                    if 0 <= x < width:
                        total += sums[y * width + x]
        scale[pixel] = total / values


@parallel_kernel
def input_scale(x: Array, width: int, options: Array, taps_high: int, taps_wide: int, out_width: int,
                sums: Array, scale: Array) -> None:  # fmt: skip
    """Fills scale (N, at least OH * OW) from x (N, C, H * width); sums (N, H * width) is float64 scratch memory."""
    runs = -(-x.shape[2] // RUN)
    for item in prange(len(x) * runs):
        n, run = divmod(np.int64(item), runs)
        _magnitudes(x[n], run * RUN, sums[n, run * RUN : (run + 1) * RUN])
    values = x.shape[1] * taps_high * taps_wide
    for n in prange(len(x)):
        _window_means(sums[n], width, options, taps_high, taps_wide, out_width, values, scale[n])
