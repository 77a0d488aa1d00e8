"""Batch normalisation on the GPU: each pass over the data is as fast as memory, so there are as few as possible.

Forward: one pass reads x for mean and variance, and one reads x and writes y: 3 times the bytes of x. Backward: one
pass reads dy and x for the two sums, and one reads both again and writes dx: 5 times. (What fits into the cache of
level 2, 50 MiB on recent GPUs, is read from there the second time.)

A block of threads takes one channel's share of the batch, or 32 channels side by side where the values of a channel
lie far apart, because (N, C) stores neighbouring channels next to each other. Two things keep memory busy: each thread
asks for four values before it uses the first, and no thread divides to find an element, since a division takes as long
as twenty other instructions, and at 4 bytes each there is time for some thirty.

Each thread keeps count, mean and sum of squares around that mean, of the values minus the channel's first one: no
rounding error grows with the mean. Four values at a time become such a triple of their own, which costs one division
for all four; triples of threads and blocks are then merged in a fixed order, so that the same input gives the same bits
(Chan, Golub and LeVeque).

Source: T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances", 1979, http://i.stanford.edu/pub/cstr/reports/cs/tr/79/773/CS-TR-79-773.pdf
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from numba import cuda, uint64

from kernels.cuda import device
from kernels.cuda.array import DeviceArray, empty, to_device
from kernels.cuda.block import tree
from kernels.cuda.device import MOST_BLOCKS, THREADS
from kernels.cuda.dtypes import FLOATS
from kernels.cuda.whole import quotient, remainder

# The shape of a block for (N, C): neighbouring channels by values of each.
ACROSS, DOWN = (4, 2) if device.SIMULATED else (32, 8)
# Values that a thread should have before the batch is cut into more blocks.
LEAST = 5 if device.SIMULATED else 16
AHEAD = 4  # values that a thread asks for before it uses the first


def forward(x: Any, weight: Any, bias: Any, eps: float) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """Training mode: y like x, and mean and inv_std (C,)."""
    x, weight, bias = to_device(x), to_device(weight), to_device(bias)
    sizes = _sizes(x)
    parts = empty((3, _shares(sizes), sizes.channels), x.dtype)
    mean, inv_std, shift, centre = (empty((sizes.channels,), x.dtype) for _ in range(4))
    _reduce(_moments(x.dtype.name), sizes, x, x, (), parts)
    arguments = _flat(x), sizes.behind, x.dtype.type(sizes.images * sizes.behind), x.dtype.type(eps)
    arrays = (each.handle for each in (parts, mean, inv_std, shift, centre))
    device.launch(_finish_moments, device.blocks_for(sizes.channels), THREADS, *arguments, *arrays)
    return _each(_normalise(x.dtype.name), sizes, x, x, shift, centre, inv_std, weight, bias), mean, inv_std


def forward_eval(x: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, eps: float) -> DeviceArray:
    """Evaluation mode: y like x."""
    x, weight, bias = to_device(x), to_device(weight), to_device(bias)
    mean, var = to_device(running_mean), to_device(running_var)
    sizes = _sizes(x)
    inv_std, nothing = empty((sizes.channels,), x.dtype), empty((sizes.channels,), x.dtype)
    arrays = (each.handle for each in (inv_std, nothing))
    device.launch(
        _inverse_std, device.blocks_for(sizes.channels), THREADS, var.handle, x.dtype.type(eps), *arrays
    )  # fmt: skip
    return _each(_normalise(x.dtype.name), sizes, x, x, mean, nothing, inv_std, weight, bias)


def backward(dy: Any, x: Any, weight: Any, mean: Any, inv_std: Any) -> tuple[DeviceArray, DeviceArray, DeviceArray]:
    """The gradients dx like x, dweight and dbias (C,)."""
    dy, x, weight, mean, inv_std = map(to_device, (dy, x, weight, mean, inv_std))
    sizes = _sizes(x)
    parts = empty((3, _shares(sizes), sizes.channels), x.dtype)
    dweight, dbias = empty((sizes.channels,), x.dtype), empty((sizes.channels,), x.dtype)
    _reduce(_gradient_sums(x.dtype.name), sizes, x, dy, (mean.handle, inv_std.handle), parts)
    arrays = (each.handle for each in (parts, dbias, dweight))
    device.launch(_finish_sums, device.blocks_for(sizes.channels), THREADS, *arrays)
    dx = _each(_gradient(x.dtype.name), sizes, x, dy, weight, mean, inv_std, dweight, dbias)
    return dx, dweight, dbias


# --- launches ---------------------------------------------------------------------------------------------------------


class Sizes(NamedTuple):
    """x as (N, C, elements behind)."""

    images: int
    channels: int
    behind: int

    @property
    def in_columns(self) -> bool:
        """Whether too few values of a channel lie side by side for the threads that read together."""
        return self.behind < ACROSS


def _sizes(x: DeviceArray) -> Sizes:
    device.check_index(x.size)
    return Sizes(x.shape[0], x.shape[1], math.prod(x.shape[2:]))


def _flat(x: DeviceArray) -> Any:
    return x.reshape(x.size).handle


def _shares(sizes: Sizes) -> int:
    """Into how many blocks the values of a channel are cut: enough to keep the GPU busy, but not more."""
    busy, count = 8 * device.multiprocessors(), sizes.images * sizes.behind
    if sizes.in_columns:
        return max(1, min(busy // max(-(-sizes.channels // ACROSS), 1), -(-count // (DOWN * LEAST))))
    return max(1, min(busy // max(sizes.channels, 1), -(-count // (THREADS * LEAST))))


def _reduce(
    kernels: tuple[Any, Any], sizes: Sizes, x: DeviceArray, dy: DeviceArray, known: tuple[Any, ...], parts: DeviceArray
) -> None:
    """Fill parts (3, shares, C), with kernels that `_reductions` made."""
    arguments = _flat(x), _flat(dy), known, parts.handle, sizes
    if sizes.in_columns:
        device.launch(kernels[1], (-(-sizes.channels // ACROSS), parts.shape[1]), (ACROSS, DOWN), *arguments)
    else:
        device.launch(kernels[0], (sizes.channels, parts.shape[1]), (THREADS, 1), *arguments)


def _each(
    kernels: tuple[Any, Any], sizes: Sizes, x: DeviceArray, dy: DeviceArray, *of_channels: DeviceArray
) -> DeviceArray:
    """A result like x, with kernels that `_elementwise` made and the arrays (C,) that they need."""
    out = empty(x.shape, x.dtype)
    arguments = _flat(x), _flat(dy), tuple(each.handle for each in of_channels), _flat(out), sizes
    if sizes.in_columns:
        rows = max(1, min(-(-sizes.images // (DOWN * AHEAD)), MOST_BLOCKS))
        blocks = -(-sizes.channels * sizes.behind // ACROSS), rows
        device.launch(kernels[1], blocks, (ACROSS, DOWN), *arguments)
    else:
        planes = device.blocks_for(sizes.images * sizes.channels, DOWN)
        blocks = planes, max(1, min(sizes.behind // (ACROSS * AHEAD), MOST_BLOCKS))
        device.launch(kernels[0], blocks, (ACROSS, DOWN), *arguments)
    return out


# --- sums over a channel ----------------------------------------------------------------------------------------------


def _reductions(
    constants: Callable[..., Any],
    of_one: Callable[..., Any],
    of_some: Callable[..., Any],
    merge: Callable[..., Any],
    dtype: Any,
) -> tuple[Any, Any]:
    """Two kernels `(x, dy, known, parts, sizes)` that add up three numbers for each channel, in a fixed order.

    The first is for channels whose values lie side by side, one block for each channel and share; the second for
    channels that lie side by side. x and dy are flat, and `parts` (3, shares, C) gets the three numbers of each share.

    Args:
        constants: device function (x, known, channel, behind): two numbers that each thread needs of its channel.
        of_one: device function (constants, x, dy): the triple of one value of x and of dy.
        of_some: device function (constants, x, dy): the triple of `AHEAD` values of each.
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

    @cuda.jit(device=True)
    def advance(k, at, step_k, step_at, behind, to_next_image):
        """From one value of a thread to its next: k counts in a plane, `at` in memory."""
        k, at = k + step_k, at + step_at
        if k >= behind:
            k, at = k - behind, at + to_next_image
        return k, at

    @cuda.jit(device=True)
    def collect(x, dy, known, channel, first, step, sizes):
        """The triple of every step-th value of a channel, counted through the images, from the first on."""
        images, channels, behind = sizes
        xs, dys = cuda.local.array(AHEAD, dtype), cuda.local.array(AHEAD, dtype)
        k = remainder(first, behind)
        at = (quotient(first, behind) * channels + channel) * behind + k
        step_k, to_next_image = remainder(step, behind), (channels - 1) * behind
        step_at = quotient(step, behind) * channels * behind + step_k
        count = quotient(max(images * behind - first + step - 1, 0), step)
        found = dtype(0), dtype(0), dtype(0)
        for _ in range(count // AHEAD):
            for i in range(AHEAD):
                xs[i], dys[i] = x[uint64(at)], dy[uint64(at)]
                k, at = advance(k, at, step_k, step_at, behind, to_next_image)
            found = merge(found, of_some(known, xs, dys))
        for _ in range(count % AHEAD):
            found = merge(found, of_one(known, x[uint64(at)], dy[uint64(at)]))
            k, at = advance(k, at, step_k, step_at, behind, to_next_image)
        return found

    @cuda.jit
    def side_by_side(x, dy, known, parts, sizes):
        shared = cuda.shared.array(of_threads, dtype)
        thread, channel, share = cuda.threadIdx.x, cuda.blockIdx.x, cuda.blockIdx.y
        shares = parts.shape[1]
        of_channel = constants(x, known, channel, sizes.behind)
        found = collect(x, dy, of_channel, channel, share * THREADS + thread, shares * THREADS, sizes)
        store(shared, thread, found)
        gather(shared, thread, thread, THREADS, 1)
        if thread == 0:
            parts[0, share, channel], parts[1, share, channel], parts[2, share, channel] = load(shared, 0)

    @cuda.jit
    def far_apart(x, dy, known, parts, sizes):
        shared = cuda.shared.array(of_block, dtype)
        across, down, share = cuda.threadIdx.x, cuda.threadIdx.y, cuda.blockIdx.y
        channel, thread = cuda.blockIdx.x * ACROSS + across, down * ACROSS + across
        shares, inside = parts.shape[1], channel < sizes.channels
        found = dtype(0), dtype(0), dtype(0)
        if inside:
            of_channel = constants(x, known, channel, sizes.behind)
            found = collect(x, dy, of_channel, channel, share * DOWN + down, shares * DOWN, sizes)
        store(shared, thread, found)
        gather(shared, thread, down, DOWN, ACROSS)
        if down == 0 and inside:
            parts[0, share, channel], parts[1, share, channel], parts[2, share, channel] = load(shared, thread)

    return side_by_side, far_apart


@cuda.jit(device=True)
def _first_value(x, channel, behind):
    """What is subtracted from all values of a channel: its first, unless that is no number to subtract."""
    value = x[uint64(channel * behind)]
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
    share = 1 / AHEAD

    @cuda.jit(device=True)
    def constants(x, known, channel, behind):
        shift = _first_value(x, channel, behind)
        return shift, shift

    @cuda.jit(device=True)
    def of_one(known, x, dy):
        return dtype(1), x - known[0], dtype(0)

    @cuda.jit(device=True)
    def of_some(known, xs, dys):
        mean = dtype(0)
        for i in range(AHEAD):
            mean += (xs[i] - known[0]) * dtype(share)
        squares = dtype(0)
        for i in range(AHEAD):
            apart = xs[i] - known[0] - mean
            squares += apart * apart
        return dtype(AHEAD), mean, squares

    return _reductions(constants, of_one, of_some, _merge_moments, dtype)


@functools.cache
def _gradient_sums(name: str) -> tuple[Any, Any]:
    """dbias, dweight, and a 0."""
    dtype = FLOATS[name]

    @cuda.jit(device=True)
    def constants(x, known, channel, behind):
        mean, inv_std = known
        return mean[channel], inv_std[channel]

    @cuda.jit(device=True)
    def of_one(known, x, dy):
        return dy, dy * ((x - known[0]) * known[1]), dtype(0)

    @cuda.jit(device=True)
    def merge(one, other):
        return one[0] + other[0], one[1] + other[1], one[2]

    @cuda.jit(device=True)
    def of_some(known, xs, dys):
        found = dtype(0), dtype(0), dtype(0)
        for i in range(AHEAD):
            found = merge(found, of_one(known, xs[i], dys[i]))
        return found

    return _reductions(constants, of_one, of_some, merge, dtype)


@cuda.jit
def _finish_moments(x, behind, count, eps, parts, mean, inv_std, shift, centre):
    """The mean is shift + centre; kept apart, they lose nothing where the mean is large."""
    for channel in range(cuda.grid(1), mean.size, cuda.gridsize(1)):
        found = parts[0, 0, channel], parts[1, 0, channel], parts[2, 0, channel]
        for share in range(1, parts.shape[1]):
            found = _merge_moments(
                found, (parts[0, share, channel], parts[1, share, channel], parts[2, share, channel])
            )
        shift[channel] = _first_value(x, channel, behind)
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


def _elementwise(constants: Callable[..., Any], function: Callable[..., Any], dtype: Any) -> tuple[Any, Any]:
    """Two kernels `(x, dy, known, out, sizes)` that compute each element of out, which is flat like x and dy.

    The first gives planes to the rows of a block; in the second, for short planes, a thread goes down the images. Both
    stay in one channel, so that what depends on it is read and computed once.

    Args:
        constants: device function (known, channel, sizes): what a thread needs of its channel, a tuple.
        function: device function (constants, x, dy): the element of out.
        dtype: Numba's type of the data.
    """

    @cuda.jit(device=True)
    def go(x, dy, of_channel, out, first, step, end):
        """The elements first, first + step, ... before the end."""
        xs, dys = cuda.local.array(AHEAD, dtype), cuda.local.array(AHEAD, dtype)
        at = first
        while at + (AHEAD - 1) * step < end:
            for i in range(AHEAD):
                xs[i], dys[i] = x[uint64(at + i * step)], dy[uint64(at + i * step)]
            for i in range(AHEAD):
                out[uint64(at + i * step)] = function(of_channel, xs[i], dys[i])
            at += AHEAD * step
        while at < end:
            out[uint64(at)] = function(of_channel, x[uint64(at)], dy[uint64(at)])
            at += step

    @cuda.jit
    def along_planes(x, dy, known, out, sizes):
        behind = sizes.behind
        first, step = cuda.blockIdx.y * ACROSS + cuda.threadIdx.x, cuda.gridDim.y * ACROSS
        row, rows = cuda.blockIdx.x * DOWN + cuda.threadIdx.y, cuda.gridDim.x * DOWN
        for plane in range(row, sizes.images * sizes.channels, rows):
            of_channel = constants(known, remainder(plane, sizes.channels), sizes)
            go(x, dy, of_channel, out, plane * behind + first, step, (plane + 1) * behind)

    @cuda.jit
    def down_columns(x, dy, known, out, sizes):
        width = sizes.channels * sizes.behind
        column = cuda.blockIdx.x * ACROSS + cuda.threadIdx.x
        row, rows = cuda.blockIdx.y * DOWN + cuda.threadIdx.y, cuda.gridDim.y * DOWN
        if column < width:
            of_channel = constants(known, quotient(column, sizes.behind), sizes)
            go(x, dy, of_channel, out, row * width + column, rows * width, sizes.images * width)

    return along_planes, down_columns


@functools.cache
def _normalise(name: str) -> tuple[Any, Any]:
    @cuda.jit(device=True)
    def constants(known, c, sizes):
        shift, centre, inv_std, weight, bias = known
        return shift[c], centre[c], inv_std[c], weight[c], bias[c]

    @cuda.jit(device=True)
    def function(known, x, dy):
        shift, centre, inv_std, weight, bias = known
        return (x - shift - centre) * inv_std * weight + bias

    return _elementwise(constants, function, FLOATS[name])


@functools.cache
def _gradient(name: str) -> tuple[Any, Any]:
    dtype = FLOATS[name]

    @cuda.jit(device=True)
    def constants(known, c, sizes):
        weight, mean, inv_std, dweight, dbias = known
        count = dtype(sizes.images * sizes.behind)
        return weight[c] * inv_std[c], mean[c], inv_std[c], dweight[c] / count, dbias[c] / count

    @cuda.jit(device=True)
    def function(known, x, dy):
        scale, mean, inv_std, slope, mean_dy = known
        return scale * (dy - mean_dy - (x - mean) * inv_std * slope)

    return _elementwise(constants, function, dtype)
