"""Batch normalisation compiled by Numba, and why it is fast.

What has to be done. In float32, the backward reads dy and x and writes dx: 12 bytes per element. The sums over the
batch must be complete before the first dx is known, so dy and x are read twice: 20 bytes, unless they stay in the
cache. The arithmetic is 9 operations:

    first pass   s += dy                 1        second pass   dx = a dy + (b (x - mean) + c)     5
                 q += dy (x - mean)      3

with three numbers a, b, c per channel, which is the closed form multiplied out. That is half an operation per byte,
while a core does several operations in the time in which memory delivers one byte. So *memory is the limit*, and
the way to be fast is to move few bytes, in long contiguous runs. NumPy does the same arithmetic but makes every
intermediate an array: its closed form moves 108 bytes per element and its staged form 136, and that, rather than
the algebra, is why they take the time they take.

What follows from it:

- *Fusion.* No intermediate arrays. Backward: two passes. Forward of (N, C): two passes as well, since mean and variance
  come out of the first one together.
- *Storage order.* Axis 1 is the channel axis. For (N, C), neighbours in memory belong to different channels:
  `batchnorm_columns` walks over tiles of rows and keeps one running sum per column in the L1 cache. For (N, C, H, W),
  neighbours belong to the same channel: `batchnorm_lines` takes one channel at a time, and its later passes find
  the data in the cache.
- *Vector instructions.* The innermost loops do nothing but arithmetic on neighbours, so that LLVM makes 16-lane
  instructions of them. One thing must be kept out: Python lets an index be negative, and the test for it at every
  access would cost a factor of six or more. Unsigned indices or slices need no test. Four rows are added at once, and
  so the running sums are fetched and stored once for every four rows.
- *There and back.* The second pass over the tiles of a matrix goes backwards, and so begins with what the L2 cache
  still holds: 5 to 15 percent less time where the matrix is a few times as large as that cache.
- *Threads own their output.* Tiles and channels are independent; sums of tiles are added up in a fixed order.

Precision is almost free when memory is the limit. Only short runs are summed in float32, and float64 takes over
after 64 rows or 1,024 neighbours, so the error does not grow with the batch. Every variance is a sum of squared
distances from a point inside the data, never E[x^2] - E[x]^2. The squares live in float32, so distances from the
mean beyond 1e18 overflow to infinity. NaN and infinity spread through their channel; an infinity may have become NaN
by the time it reaches the mean.

What it reaches on two Zen 4 cores in float32, where a copy of a large array runs at 34 GB/s on one thread and 42 on two
(`minigrad bench batchnorm` measures yours; PyTorch 2.13 on the same number of threads):

    backward              20 bytes per element move at     time relative to PyTorch     to NumPy's closed form
                            1 thread      2 threads          1 thread   2 threads       1 thread
    1000 x 500 (cache)      63 GB/s       92 GB/s              0.55       0.36            0.15
    65536 x 256 (memory)    19 GB/s       30 GB/s              0.48       0.41            0.19
    64 x 32 x 32 x 32       37 GB/s      102 GB/s              0.75       0.66            0.16

(The 65536 x 256 rates are for a result array that exists already. Obtaining 64 MB of fresh memory from the operating
system can cost as much as a third of the pass; the times relative to others include it on both sides.)

Limits: (N, C, H, W) with fewer channels than threads leaves threads idle, and a channel larger than the cache is read
from memory in every pass.
"""

from typing import Any

import numpy as np

from kernels.cpu.batchnorm_columns import backward_columns, eval_columns, forward_columns
from kernels.cpu.batchnorm_lines import backward_lines, eval_lines, forward_lines
from kernels.cpu.jit import Array, as_input
from kernels.cpu.team import get_num_threads, single_threaded_when_small

# Up to this many positions per channel (4 x 4 images), the columns of an image are summed side by side and then
# added up; longer lines are worth vectorising one by one. Measured: 0.6 of the time at 4 x 4, 1.4 times at 7 x 7.
SHORT_LINE = 16


@single_threaded_when_small
def forward(x: Array, weight: Array, bias: Array, eps: float) -> tuple[Array, Array, Array]:
    """As `kernels.reference.batchnorm.forward`, for x with at least one element; all dtypes equal."""
    channels = x.shape[1]
    width = _positions(x)
    y = np.empty(x.shape, x.dtype)
    mean = np.empty(channels, x.dtype)
    inv_std = np.empty(channels, x.dtype)
    per_channel = as_input(weight), as_input(bias), float(eps)
    if width <= SHORT_LINE:
        shape = len(x), channels * width
        out = y.reshape(shape), mean, inv_std
        forward_columns(as_input(x.reshape(shape)), *per_channel, width, get_num_threads(), *out)
    else:
        lines = len(x), channels, width
        forward_lines(as_input(x.reshape(lines)), *per_channel, get_num_threads(), y.reshape(lines), mean, inv_std)
    return y, mean, inv_std


@single_threaded_when_small
def forward_eval(x: Array, running_mean: Array, running_var: Array, weight: Array, bias: Array, eps: float) -> Array:
    """As `kernels.reference.batchnorm.forward_eval`, for x with at least one element; all dtypes equal."""
    width = _positions(x)
    y = np.empty(x.shape, x.dtype)
    statistics = as_input(running_mean), as_input(running_var)
    per_channel = *statistics, as_input(weight), as_input(bias), float(eps)
    if width <= SHORT_LINE:
        shape = len(x), x.shape[1] * width
        eval_columns(as_input(x.reshape(shape)), *per_channel, width, get_num_threads(), y.reshape(shape))
    else:
        lines = len(x), x.shape[1], width
        eval_lines(as_input(x.reshape(lines)), *per_channel, get_num_threads(), y.reshape(lines))
    return y


@single_threaded_when_small
def backward(dy: Array, x: Array, weight: Array, mean: Array, inv_std: Array) -> tuple[Array, Array, Array]:
    """As `kernels.reference.batchnorm.backward_closed`, for x with at least one element; all dtypes equal."""
    channels = x.shape[1]
    width = _positions(x)
    dx = np.empty(x.shape, x.dtype)
    dweight = np.empty(channels, x.dtype)
    dbias = np.empty(channels, x.dtype)
    per_channel = as_input(weight), as_input(mean), as_input(inv_std)
    if width <= SHORT_LINE:
        shape = len(x), channels * width
        dy_, x_, dx_ = as_input(dy.reshape(shape)), as_input(x.reshape(shape)), dx.reshape(shape)
        backward_columns(dy_, x_, *per_channel, width, get_num_threads(), dx_, dweight, dbias)
    else:
        lines = len(x), channels, width
        dy_, x_, dx_ = as_input(dy.reshape(lines)), as_input(x.reshape(lines)), dx.reshape(lines)
        backward_lines(dy_, x_, *per_channel, get_num_threads(), dx_, dweight, dbias)
    return dx, dweight, dbias


def _positions(x: Array) -> int:
    """How many values one sample holds per channel: 1 for (N, C), H * W for (N, C, H, W)."""
    return x.size // (x.shape[0] * x.shape[1])


def warmup(dtype: Any) -> None:
    """Compiles all of this module for one dtype, or reads it from the cache."""
    for shape in ((2, 1), (2, 1, SHORT_LINE + 1)):
        x, one = np.zeros(shape, dtype), np.ones(1, dtype)
        forward(x, one, one, 1e-5)
        forward_eval(x, one, one, one, one, 1e-5)
        backward(x, x, one, one, one)
