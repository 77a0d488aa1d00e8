"""Batch normalisation where neighbours in memory belong to the same channel: (N, C, length), length = H * W.

A channel is N contiguous lines. One channel is one piece of work: all its passes follow each other while its data is
in the cache, and nobody else writes to its part of the output.

`kernels.cpu.batchnorm` explains why the code looks as it does.
"""

import numpy as np

from kernels.cpu.jit import Array, kernel
from kernels.cpu.parallel import parallel

CHUNK = 1024  # neighbours added up in the array's own precision before float64 takes over


@kernel
def _deviations(x: Array, channel: int, center: float) -> tuple[float, float]:
    """Sums of x - center and of its square over one channel."""
    total, total_square = 0.0, 0.0
    for n in range(x.shape[0]):
        for start in range(0, x.shape[2], CHUNK):
            line = x[n, channel, start : start + CHUNK]
            s = x.dtype.type(0)
            q = x.dtype.type(0)
            for i in range(len(line)):
                d = line[i] - center
                s += d
                q += d * d
            total += s
            total_square += q
    return total, total_square


@kernel
def _channel_affine(x: Array, channel: int, center: float, scale: float, offset: float, y: Array) -> None:
    """y = (x - center) * scale + offset."""
    for n in range(x.shape[0]):
        source, target = x[n, channel], y[n, channel]
        for i in range(len(source)):
            target[i] = (source[i] - center) * scale + offset


@kernel
def _channel_sums(dy: Array, x: Array, channel: int, center: float) -> tuple[float, float]:
    """Sums of dy and of dy * (x - center) over one channel."""
    total, total_xc = 0.0, 0.0
    for n in range(x.shape[0]):
        for start in range(0, x.shape[2], CHUNK):
            g, line = dy[n, channel, start : start + CHUNK], x[n, channel, start : start + CHUNK]
            s = x.dtype.type(0)
            q = x.dtype.type(0)
            for i in range(len(line)):
                s += g[i]
                q += g[i] * (line[i] - center)
            total += s
            total_xc += q
    return total, total_xc


@kernel
def _channel_dx(dy: Array, x: Array, channel: int, center: float, a: float, b: float, c: float, dx: Array) -> None:
    """dx = a * dy + (b * (x - center) + c)."""
    for n in range(x.shape[0]):
        g, source, target = dy[n, channel], x[n, channel], dx[n, channel]
        for i in range(len(source)):
            target[i] = a * g[i] + (b * (source[i] - center) + c)


@kernel
def forward_lines(
    x: Array, weight: Array, bias: Array, eps: float, workers: int, y: Array, mean: Array, inv_std: Array
) -> None:
    """Fills y like x, mean (C,) and inv_std (C,)."""
    parallel(_forward_channel, workers, x.shape[1], (x, weight, bias, eps, y, mean, inv_std))


@kernel
def _forward_channel(
    worker: int, channel: int, x: Array, weight: Array, bias: Array, eps: float, y: Array, mean: Array, inv_std: Array
) -> None:
    real = x.dtype.type
    values = x.shape[0] * x.shape[2]
    # First an estimate of the mean, then mean and variance from the distances to it: the estimate's rounding error
    # is found and taken out of both.
    first = x[0, channel, 0]
    estimate = real(first + _deviations(x, channel, first)[0] / values)
    total, square = _deviations(x, channel, estimate)
    rest = total / values
    var = square / values - rest * rest
    inv = 1.0 / np.sqrt((0.0 if var < 0.0 else var) + eps)
    mean[channel] = estimate + rest
    inv_std[channel] = inv
    scale = weight[channel] * inv
    _channel_affine(x, channel, estimate, real(scale), real(bias[channel] - rest * scale), y)


@kernel
def eval_lines(
    x: Array, running_mean: Array, running_var: Array, weight: Array, bias: Array, eps: float, workers: int, y: Array
) -> None:
    """Fills y like x."""
    parallel(_eval_channel, workers, x.shape[1], (x, running_mean, running_var, weight, bias, eps, y))


@kernel
def _eval_channel(
    worker: int, channel: int, x: Array, running_mean: Array, running_var: Array, weight: Array, bias: Array,
    eps: float, y: Array,
) -> None:  # fmt: skip
    scale = weight[channel] / np.sqrt(running_var[channel] + eps)
    _channel_affine(x, channel, running_mean[channel], x.dtype.type(scale), bias[channel], y)


@kernel
def backward_lines(
    dy: Array, x: Array, weight: Array, mean: Array, inv_std: Array, workers: int,
    dx: Array, dweight: Array, dbias: Array,
) -> None:  # fmt: skip
    """Fills dx like x, dweight (C,) and dbias (C,)."""
    parallel(_backward_channel, workers, x.shape[1], (dy, x, weight, mean, inv_std, dx, dweight, dbias))


@kernel
def _backward_channel(
    worker: int, channel: int, dy: Array, x: Array, weight: Array, mean: Array, inv_std: Array,
    dx: Array, dweight: Array, dbias: Array,
) -> None:  # fmt: skip
    real = x.dtype.type
    values = x.shape[0] * x.shape[2]
    center = mean[channel]
    total, total_xc = _channel_sums(dy, x, channel, center)
    inv = float(inv_std[channel])
    dbias[channel] = total
    dweight[channel] = total_xc * inv
    # dx = weight inv (dy - mean(dy) - x_hat mean(dy x_hat)), sorted by dy, x - mean and 1
    scale = weight[channel] * inv
    b, c = -scale * inv * inv * total_xc / values, -scale * total / values
    _channel_dx(dy, x, channel, center, real(scale), real(b), real(c), dx)
