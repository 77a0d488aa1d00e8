"""The gradient of a bias: the sum of dy over images and pixels, one number a channel.

4 bytes are read for each addition, so memory is the limit: one pass over dy, four vectors of sums to hide the time an
addition takes, and float64 for what is added up over images.
"""

import numpy as np

from kernels.cpu.jit import Array, as_input, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import lanes, load, load_first, splat, total
from kernels.cpu.team import get_num_threads, single_threaded_when_small


@single_threaded_when_small
def backward(dy: Array) -> Array:
    """The sum (O,) of dy (N, O, ...) over all other axes, for dy with at least one element."""
    sums = np.empty(dy.shape[1], dy.dtype)
    _channel_sums(as_input(dy.reshape(len(dy), dy.shape[1], -1)), get_num_threads(), sums)
    return sums


@kernel
def _channel_sums(dy: Array, workers: int, sums: Array) -> None:
    parallel(_channel_sum, workers, len(sums), (dy, sums))


@kernel
def _channel_sum(worker: int, channel: int, dy: Array, sums: Array) -> None:
    images, channels, pixels = dy.shape
    vector = lanes(dy)
    whole = 0.0
    for image in range(images):
        start = (image * channels + channel) * pixels
        s0 = s1 = s2 = s3 = splat(dy, 0)
        pixel = 0
        while pixel + 4 * vector <= pixels:
            s0 += load(dy, start + pixel)
            s1 += load(dy, start + pixel + vector)
            s2 += load(dy, start + pixel + 2 * vector)
            s3 += load(dy, start + pixel + 3 * vector)
            pixel += 4 * vector
        while pixel < pixels:
            s0 += load_first(dy, start + pixel, pixels - pixel)
            pixel += vector
        whole += total((s0 + s1) + (s2 + s3))
    sums[channel] = whole
