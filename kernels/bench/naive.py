"""A convolution as everybody writes it first: the baseline of the speed-ups that papers on binary networks quote."""

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.cpu.jit import kernel

Array = npt.NDArray[Any]


def convolution(x: Array, weight: Array, pad: int) -> Array:
    """x (N, C, H, W) with weight (K, C, R, R), stride 1: seven loops, one thread, compiled but not arranged."""
    n, _, h, w = x.shape
    k, _, r, _ = weight.shape
    y = np.empty((n, k, h + 2 * pad - r + 1, w + 2 * pad - r + 1), x.dtype)
    _seven_loops(x, weight, pad, y)
    return y


@kernel
def _seven_loops(x: Array, weight: Array, pad: int, y: Array) -> None:
    channels, height, width = x.shape[1:]
    taps = weight.shape[2]
    for n in range(y.shape[0]):
        for k in range(y.shape[1]):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    total = np.float32(0)
                    for c in range(channels):
                        for a in range(taps):
                            for b in range(taps):
                                row, column = i + a - pad, j + b - pad
                                if 0 <= row < height and 0 <= column < width:
                                    total += x[n, c, row, column] * weight[k, c, a, b]
                    y[n, k, i, j] = total
