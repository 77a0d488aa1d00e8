"""Batch normalisation on the GPU: each pass over the data is as fast as memory, so there are as few as possible.

Forward: one pass reads x for mean and variance, and one reads x and writes y: 3 times the bytes of x. Backward: one
pass reads dy and x for the two sums, and one reads both again and writes dx: 5 times. (What fits into the cache of
level 2, 50 MiB on recent GPUs, is read from there the second time.)

A block of threads takes one channel's share of the batch, or 32 channels side by side where the values of a channel
lie far apart, because (N, C) stores neighbouring channels next to each other. Each thread keeps count, mean and sum of
squares around that mean (Welford), of the values minus the channel's first one: no rounding error grows with the mean.
Threads and blocks are then merged in a fixed order (Chan, Golub and LeVeque), so that the same input gives the same
bits.

Sources: B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares and Products", 1962,
https://doi.org/10.1080/00401706.1962.10490022; T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating Formulae and a
Pairwise Algorithm for Computing Sample Variances", 1979, http://i.stanford.edu/pub/cstr/reports/cs/tr/79/773/CS-TR-79-773.pdf
"""

import functools
import math
from collections.abc import Callable
from typing import Any

from numba import cuda

from kernels.cuda import device
from kernels.cuda.array import DeviceArray, empty, to_device
from kernels.cuda.block import tree
from kernels.cuda.device import THREADS
from kernels.cuda.dtypes import FLOATS
from kernels.cuda.whole import quotient, remainder

# The shape of a block for (N, C): neighbouring channels by values of each.
ACROSS, DOWN = (4, 2) if device.SIMULATED else (32, 8)
# Values that a thread should have before the batch is cut into more blocks.
LEAST = 2 if device.SIMULATED else 16


def forward(x: Any, weight: Any, bias: Any, eps: float) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """Training mode: y like x, and mean and inv_std (C,)."""
    x, weight, bias = to_device(x), to_device(weight), to_device(bias)
    flat, channels, count = _flat(x)
    parts = empty((3, _shares(flat), channels), x.dtype)
    mean, inv_std, shift, centre = (empty((channels,), x.dtype) for _ in range(4))
    _reduce(_moments(x.dtype.name), flat, flat, mean, mean, parts)
    arguments = flat, parts, x.dtype.type(count), x.dtype.type(eps), mean, inv_std, shift, centre
    _each_channel(_finish_moments, channels, *arguments)
    y = empty(x.shape, x.dtype)
    _each(_normalise, flat, shift, centre, inv_std, weight, bias, y)
    return y, mean, inv_std


def forward_eval(x: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, eps: float) -> DeviceArray:
    """Evaluation mode: y like x."""
    x, weight, bias = to_device(x), to_device(weight), to_device(bias)
    mean, var = to_device(running_mean), to_device(running_var)
    flat, channels, _ = _flat(x)
    inv_std, nothing = empty((channels,), x.dtype), empty((channels,), x.dtype)
    _each_channel(_inverse_std, channels, var, x.dtype.type(eps), inv_std, nothing)
    y = empty(x.shape, x.dtype)
    _each(_normalise, flat, mean, nothing, inv_std, weight, bias, y)
    return y


def backward(dy: Any, x: Any, weight: Any, mean: Any, inv_std: Any) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """The gradients dx like x, dweight and dbias (C,)."""
    dy, x, weight, mean, inv_std = map(to_device, (dy, x, weight, mean, inv_std))
    (flat, channels, count), (flat_dy, _, _) = _flat(x), _flat(dy)
    parts = empty((3, _shares(flat), channels), x.dtype)
    dweight, dbias = empty((channels,), x.dtype), empty((channels,), x.dtype)
    _reduce(_gradient_sums(x.dtype.name), flat, flat_dy, mean, inv_std, parts)
    _each_channel(_finish_sums, channels, parts, dbias, dweight)
    dx = empty(x.shape, x.dtype)
    _each(_gradient, flat_dy, flat, weight, mean, inv_std, dweight, dbias, x.dtype.type(count), dx)
    return dx, dweight, dbias


# --- launches ---------------------------------------------------------------------------------------------------------


def _flat(x: DeviceArray) -> tuple[DeviceArray, int, int]:
    """x as (N, C, elements behind), its channels, and how many values each has."""
    n, channels = x.shape[:2]
    behind = math.prod(x.shape[2:])
    device.check_index(x.size)
    return x.reshape(n, channels, behind), channels, n * behind


def _in_columns(flat: DeviceArray) -> bool:
    return flat.shape[2] < ACROSS


def _shares(flat: DeviceArray) -> int:
    """Into how many blocks the values of a channel are cut: enough to keep the GPU busy, but not more."""
    n, channels, behind = flat.shape
    busy = 8 * device.multiprocessors()
    if _in_columns(flat):
        most = -(-n * behind // (DOWN * LEAST))
        return max(1, min(busy // max(-(-channels // ACROSS), 1), most))
    return max(1, min(busy // max(channels, 1), -(-n * behind // (THREADS * LEAST))))


def _reduce(kernels: tuple[Any, Any], flat: DeviceArray, *others: DeviceArray) -> None:
    channels, shares = flat.shape[1], others[-1].shape[1]
    handles = flat.handle, *(other.handle for other in others)
    if _in_columns(flat):
        device.launch(kernels[1], (-(-channels // ACROSS), shares), (ACROSS, DOWN), *handles)
    else:
        device.launch(kernels[0], (channels, shares), (THREADS, 1), *handles)


def _handles(arguments: tuple[Any, ...]) -> list[Any]:
    return [argument.handle if isinstance(argument, DeviceArray) else argument for argument in arguments]


def _each_channel(kernel: Any, channels: int, *arguments: Any) -> None:
    device.launch(kernel, device.blocks_for(channels), THREADS, *_handles(arguments))


def _each(kernel: Any, first: DeviceArray, *arguments: Any) -> None:
    """A kernel that works on single elements: the arrays as they lie in memory, with what each channel has."""
    *rest, out = arguments
    flat = [each.reshape(each.size) if isinstance(each, DeviceArray) else each for each in (first, *rest, out)]
    sizes = first.shape[1], first.shape[2]
    device.launch(kernel, device.blocks_for(first.size), THREADS, *_handles(tuple(flat)), sizes)


# --- sums over a channel ----------------------------------------------------------------------------------------------


def _reductions(
    constants: Callable[..., Any], add: Callable[..., Any], merge: Callable[..., Any], dtype: Any
) -> tuple[Any, Any]:
    """Two kernels `(x, dy, mean, inv_std, parts)` that add up three numbers for each channel, in a fixed order.

    The first is for channels whose values lie side by side, one block for each channel and share; the second for
    channels that lie side by side. `parts` (3, shares, C) gets the three numbers of each share.

    Args:
        constants: device function (x, mean, inv_std, channel): two numbers that each thread needs of its channel.
        add: device function (found, constants, x, dy) with one more value of x and of dy.
        merge: device function of two triples.
        dtype: Numba's type of the data.
    """

    of_threads, of_block = (3, THREADS), (3, ACROSS * DOWN)  # shapes in shared memory: constants to the compiler

    @cuda.jit(device=True)
    def load(shared, thread):
        return shared[0, thread], shared[1, thread], shared[2, thread]

    @cuda.jit(device=True)
    def store(shared, thread, found):
        shared[0, thread], shared[1, thread], shared[2, thread] = found

    @cuda.jit(device=True)
    def merge_parts(shared, into, other):
        store(shared, into, merge(load(shared, into), load(shared, other)))

    gather = tree(merge_parts)

    @cuda.jit
    def side_by_side(x, dy, mean, inv_std, parts):
        shared = cuda.shared.array(of_threads, dtype)
        thread, channel, share = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
        behind, shares = x.shape[2], parts.shape[1]
        known = constants(x, mean, inv_std, channel)
        found = dtype(0), dtype(0), dtype(0)
        for place in range(share * THREADS + thread, x.shape[0] * behind, shares * THREADS):
            image, k = quotient(place, behind), remainder(place, behind)
            found = add(found, known, x[image, channel, k], dy[image, channel, k])
        store(shared, thread, found)
        gather(shared, thread, thread, THREADS, 1)
        if thread == 0:
            parts[0, share, channel], parts[1, share, channel], parts[2, share, channel] = load(shared, 0)

    @cuda.jit
    def far_apart(x, dy, mean, inv_std, parts):
        shared = cuda.shared.array(of_block, dtype)
        across, down, share = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockIdx.y
        channel, thread = cuda.blockIdx.x * ACROSS + across, down * ACROSS + across
        behind, shares, inside = x.shape[2], parts.shape[1], channel < x.shape[1]
        found = dtype(0), dtype(0), dtype(0)
        if inside:
            known = constants(x, mean, inv_std, channel)
            for place in range(share * DOWN + down, x.shape[0] * behind, shares * DOWN):
                image, k = quotient(place, behind), remainder(place, behind)
                found = add(found, known, x[image, channel, k], dy[image, channel, k])
        store(shared, thread, found)
        gather(shared, thread, down, DOWN, ACROSS)
        if down == 0 and inside:
            parts[0, share, channel], parts[1, share, channel], parts[2, share, channel] = load(shared, thread)

    return side_by_side, far_apart


@cuda.jit(device=True)
def _first_value(x, channel):
    """What is subtracted from all values of a channel: its first, unless that is no number to subtract."""
    value = x[0, channel, 0]
    return value if value - value == 0 else x.dtype.type(0)


@cuda.jit(device=True)
def _merge_moments(one, other):
    """Counts, means, and sums of squares around the mean, of two sets together."""
    count = one[0] + other[0]
    if count == 0:
        return one
    apart, share = other[1] - one[1], other[0] / count
    squares = one[2] + other[2] + apart * apart * one[0] * share
    if apart - apart != 0:  # with infinities, the mean is their sum: infinite, or NaN
        return count, one[1] + other[1], squares
    return count, one[1] + apart * share, squares


@functools.cache
def _moments(name: str) -> tuple[Any, Any]:
    dtype = FLOATS[name]

    @cuda.jit(device=True)
    def constants(x, mean, inv_std, channel):
        shift = _first_value(x, channel)
        return shift, shift

    @cuda.jit(device=True)
    def add(found, known, x, dy):
        count, mean, squares = found
        value = x - known[0]
        count = count + dtype(1)
        apart = value - mean
        mean = mean + apart / count if apart - apart == 0 else mean + value
        return count, mean, squares + apart * (value - mean)

    return _reductions(constants, add, _merge_moments, dtype)


@functools.cache
def _gradient_sums(name: str) -> tuple[Any, Any]:
    """dbias, dweight, and a 0."""

    @cuda.jit(device=True)
    def constants(x, mean, inv_std, channel):
        return mean[channel], inv_std[channel]

    @cuda.jit(device=True)
    def add(found, known, x, dy):
        return found[0] + dy, found[1] + dy * ((x - known[0]) * known[1]), found[2]

    @cuda.jit(device=True)
    def merge(one, other):
        return one[0] + other[0], one[1] + other[1], one[2]

    return _reductions(constants, add, merge, FLOATS[name])


@cuda.jit
def _finish_moments(x, parts, count, eps, mean, inv_std, shift, centre):
    """The mean is shift + centre; kept apart, they lose nothing where the mean is large."""
    for channel in range(cuda.grid(1), mean.size, cuda.gridsize(1)):
        found = parts[0, 0, channel], parts[1, 0, channel], parts[2, 0, channel]
        for share in range(1, parts.shape[1]):
            found = _merge_moments(
                found, (parts[0, share, channel], parts[1, share, channel], parts[2, share, channel])
            )
        shift[channel] = _first_value(x, channel)
        centre[channel] = found[1]
        mean[channel] = shift[channel] + found[1]
        inv_std[channel] = x.dtype.type(1) / math.sqrt(found[2] / count + eps)


@cuda.jit
def _finish_sums(parts, dbias, dweight):
    for channel in range(cuda.grid(1), dbias.size, cuda.gridsize(1)):
        to_bias, to_weight = parts[0, 0, channel], parts[1, 0, channel]
        for share in range(1, parts.shape[1]):
            to_bias += parts[0, share, channel]
            to_weight += parts[1, share, channel]
        dbias[channel], dweight[channel] = to_bias, to_weight


@cuda.jit
def _inverse_std(var, eps, inv_std, nothing):
    for channel in range(cuda.grid(1), var.size, cuda.gridsize(1)):
        inv_std[channel] = var.dtype.type(1) / math.sqrt(var[channel] + eps)
        nothing[channel] = 0


# --- single elements --------------------------------------------------------------------------------------------------


@cuda.jit
def _normalise(x, shift, centre, inv_std, weight, bias, y, sizes):
    channels, behind = sizes
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        c = remainder(quotient(i, behind), channels)
        y[i] = (x[i] - shift[c] - centre[c]) * inv_std[c] * weight[c] + bias[c]


@cuda.jit
def _gradient(dy, x, weight, mean, inv_std, dweight, dbias, count, dx, sizes):
    channels, behind = sizes
    for i in range(cuda.grid(1), x.size, cuda.gridsize(1)):
        c = remainder(quotient(i, behind), channels)
        x_hat = (x[i] - mean[c]) * inv_std[c]
        dx[i] = weight[c] * inv_std[c] * (dy[i] - dbias[c] / count - x_hat * (dweight[c] / count))
