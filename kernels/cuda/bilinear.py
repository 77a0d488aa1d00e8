"""Sampling images on the GPU: one thread for each point of the grid, which goes through the channels.

Forward, a thread computes once where its point lies, the four pixels around it and their weights, and then reads four
numbers of each channel; neighbouring threads write neighbouring results, and mostly read pixels near each other. The
bytes are those of the grid, the result, and the images if the points cover them once.

Backward, the gradient of the grid is the same walk. The gradient of the images goes the other way: many points may add
to one pixel, at the same time. Adding floats in the order in which threads come gives other bits in every run, because
(a + b) + c is not a + (b + c) in floating point. For integers it is. So contributions are scaled to 64-bit integers,
whose largest possible sum just fits, added by atomics in any order, and scaled back: the error is 2^-38 of the largest
contribution for a million points, less than float32 has anyway; float64 takes a second integer for what the first one
cuts off. Contributions that are not finite cannot be integers; then a plain sum decides, slowly.
`kernels.cuda.set_deterministic(False)` adds floats by atomics instead, which moves half as many bytes.

What is computed is written down in `kernels.reference.bilinear`. Images are two-dimensional here.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

from numba import cuda, float64, int64, uint64

from kernels.cuda import device
from kernels.cuda.array import DeviceArray, empty, full, to_device
from kernels.cuda.block import tree
from kernels.cuda.device import THREADS, DeviceError
from kernels.cuda.dtypes import FLOATS, check_float
from kernels.cuda.whole import quotient, remainder

MODES = {"zeros": 0, "border": 1, "reflection": 2}
CHANNELS = 2 if device.SIMULATED else 16  # channels that a thread goes through; more get blocks of their own


def forward(x: Any, grid: Any, padding_mode: str, align_corners: bool) -> DeviceArray:
    """The images x (N, C, H, W) at the points of the grid (N, H_out, W_out, 2): y (N, C, H_out, W_out)."""
    x, grid = _arrays("grid_sample_forward", x, grid)
    y = empty((*x.shape[:2], *grid.shape[1:3]), x.dtype)
    kernel = _kernels(x.dtype.name, MODES[padding_mode], bool(align_corners)).forward
    device.launch(kernel, _blocks(y, by_channels=True), THREADS, _flat(x), _points(grid), _flat(y), x.shape)
    return y


def backward(dy: Any, x: Any, grid: Any, padding_mode: str, align_corners: bool) -> tuple[DeviceArray, DeviceArray]:
    """The gradients dx like x, and dgrid like the grid."""
    x, grid = _arrays("grid_sample_backward", x, grid)
    dy = to_device(dy)
    made = _kernels(x.dtype.name, MODES[padding_mode], bool(align_corners))
    dgrid = empty(grid.shape, grid.dtype)
    arguments = _flat(dy), _flat(x), _points(grid), _points(dgrid), x.shape
    device.launch(made.backward_grid, _blocks(dy, by_channels=False), THREADS, *arguments)
    return _spread(dy, grid, x.shape, made), dgrid


def nearest_forward(x: Any, grid: Any, padding_mode: str, align_corners: bool) -> DeviceArray:
    """The pixels nearest to the points of the grid."""
    x, grid = _arrays("grid_sample_nearest_forward", x, grid)
    y = empty((*x.shape[:2], *grid.shape[1:3]), x.dtype)
    kernel = _kernels(x.dtype.name, MODES[padding_mode], bool(align_corners), nearest=True).forward
    device.launch(kernel, _blocks(y, by_channels=True), THREADS, _flat(x), _points(grid), _flat(y), x.shape)
    return y


def nearest_backward(dy: Any, grid: Any, sizes: Sequence[int], padding_mode: str, align_corners: bool) -> DeviceArray:
    """The gradient of the images (N, C, *sizes)."""
    dy, grid = _arrays("grid_sample_nearest_backward", dy, grid)
    made = _kernels(dy.dtype.name, MODES[padding_mode], bool(align_corners), nearest=True)
    return _spread(dy, grid, (*dy.shape[:2], *sizes), made)


def _spread(dy: DeviceArray, grid: DeviceArray, shape: tuple[int, ...], made: Any) -> DeviceArray:
    """The gradient of the images, whose shape is given: every dy added to the pixels that its point has read."""
    dx = full(shape, 0, dy.dtype)
    if dy.size == 0 or dx.size == 0:
        return dx
    blocks = _blocks(dy, by_channels=True)
    if not device.get_deterministic():
        device.launch(made.add_floats, blocks, THREADS, _flat(dy), _points(grid), _flat(dx), shape)
        return dx
    largest = _largest(dy)
    points = math.prod(grid.shape[1:3])
    bits = 62 - math.ceil(math.log2(4 * points))  # all contributions of an image may be added to one pixel
    whole = full((1 if dy.dtype.itemsize == 4 else 2, dx.size), 0, "int64")
    scaled = _points(grid), largest.handle, bits, whole.handle, shape
    device.launch(made.add_integers, blocks, THREADS, _flat(dy), *scaled)
    pixels = device.blocks_for(dx.size)
    device.launch(made.from_integers, pixels, THREADS, whole.handle, largest.handle, bits, _flat(dx))
    planes = device.blocks_for(shape[0] * shape[1])
    device.launch(made.add_plainly, planes, THREADS, _flat(dy), _points(grid), largest.handle, _flat(dx), shape)
    return dx


# --- arguments and launches -------------------------------------------------------------------------------------------


def _arrays(name: str, x: Any, grid: Any) -> tuple[DeviceArray, DeviceArray]:
    x, grid = to_device(x), to_device(grid)
    check_float(name, x)
    if x.ndim != 4:
        raise DeviceError(f"{name}: volumes (N, C, D, H, W) have no CUDA kernel yet; copy the arrays to the host")
    device.check_index(x.size, grid.size)
    return x, grid


def _points(grid: DeviceArray) -> Any:
    """(N, H_out, W_out, 2) as (N, points, 2)."""
    n, rows, columns, _ = grid.shape
    return grid.reshape(n, rows * columns, 2).handle


def _flat(x: DeviceArray) -> Any:
    return x.reshape(x.size).handle


def _blocks(y: DeviceArray, by_channels: bool) -> tuple[int, int]:
    """A thread for each point of each image, and for each `CHANNELS` channels."""
    n, channels, rows, columns = y.shape
    device.check_index(n * rows * columns)
    return -(-n * rows * columns // THREADS), -(-channels // CHANNELS) if by_channels else 1


def _largest(dy: DeviceArray) -> DeviceArray:
    """The largest |dy| as an array of one element; infinite or NaN if any is. Two passes, in a fixed order."""
    blocks = min(device.blocks_for(dy.size), 4 * device.multiprocessors())
    parts, largest = empty((blocks,), dy.dtype), empty((1,), dy.dtype)
    kernel = _largest_kernel(dy.dtype.name)
    device.launch(kernel, blocks, THREADS, dy.reshape(dy.size).handle, parts.handle)
    device.launch(kernel, 1, THREADS, parts.handle, largest.handle)
    return largest


@functools.cache
def _largest_kernel(name: str) -> Any:
    dtype = FLOATS[name]

    @cuda.jit(device=True)
    def larger(one, other):
        return one if one > other or one != one else other

    @cuda.jit(device=True)
    def keep_larger(shared, into, other):
        shared[into] = larger(shared[into], shared[other])

    gather = tree(keep_larger)

    @cuda.jit
    def largest_magnitude(values, parts):
        shared = cuda.shared.array(THREADS, dtype)
        thread = cuda.threadIdx.x
        found = dtype(0)
        for i in range(cuda.grid(1), values.size, cuda.gridsize(1)):
            found = larger(found, abs(values[i]))
        shared[thread] = found
        gather(shared, thread, thread, THREADS, 1)
        if thread == 0:
            parts[cuda.blockIdx.x] = shared[0]

    return largest_magnitude


# --- where points are -------------------------------------------------------------------------------------------------


def _places(mode: int, align_corners: bool, dtype: Any) -> Any:
    """The device function (coordinate, size) -> its place counted in pixels, and the place's derivative by it."""
    zero, half, one, two, nan = dtype(0), dtype(0.5), dtype(1), dtype(2), dtype(math.nan)

    @cuda.jit(device=True)
    def place(coordinate, size):
        n = dtype(size)
        slope = (n - one) / two if align_corners else n / two
        found = (coordinate + one) * slope
        if not align_corners:
            found = found - half
        if mode == 2:
            low = zero if align_corners else -half
            span = n - one if align_corners else n
            far = abs(found - low)
            phase = math.fmod(far, two * span) if span > zero and far < math.inf else nan  # there and back again
            back = phase > span
            if (found < low) != back:
                slope = -slope
            found = (two * span - phase if back else phase) + low
        if mode != 0:
            if not (zero < found and found < n - one):
                slope = zero
            found = min(found, n - one) if found > zero else zero  # a NaN becomes 0
        return found, slope

    return place


# --- kernels ----------------------------------------------------------------------------------------------------------


class _Kernels:
    """The kernels for one dtype, padding mode, alignment, and way to read: bilinear or nearest."""

    def __init__(self, name: str, mode: int, align_corners: bool, nearest: bool) -> None:
        dtype = FLOATS[name]
        place = _places(mode, align_corners, dtype)
        corners = 1 if nearest else 4
        exact = 1 if name == "float32" else 2  # integers for each pixel
        one, zero = dtype(1), dtype(0)

        @cuda.jit(device=True)
        def item(grid):
            """Which image and point a thread is for, and whether there is such a point."""
            thread, points = cuda.grid(1), grid.shape[1]
            if thread >= grid.shape[0] * points:
                return 0, 0, False
            return quotient(thread, points), remainder(thread, points), True

        @cuda.jit(device=True)
        def floor(value):
            """The whole number below; NaN and infinities, which Python's floor refuses, are NaN."""
            return dtype(math.floor(value)) if value - value == 0 else value - value

        @cuda.jit(device=True)
        def find_corners(x, y, height, width, pixels, weights):
            """Fill in which pixels are around a place, counted through the image or -1 outside, and their weights."""
            left, top = (rint(x), rint(y)) if nearest else (floor(x), floor(y))
            last_column, last_row = dtype(width - 1), dtype(height - 1)
            for k in range(corners):
                right, down = k % 2, k // 2
                column, row = left + dtype(right), top + dtype(down)
                weights[k] = one
                if not nearest:
                    weights[k] = (x - left if right else one - (x - left)) * (y - top if down else one - (y - top))
                pixels[k] = -1
                if zero <= row and row <= last_row and zero <= column and column <= last_column:
                    pixels[k] = int64(row) * width + int64(column)

        @cuda.jit(device=True)
        def locate(grid, image, point, height, width, pixels, weights):
            """Fill in the corners of a point of the grid. Returns its place, x and y, and their slopes."""
            px, slope_x = place(grid[image, point, 0], width)
            py, slope_y = place(grid[image, point, 1], height)
            find_corners(px, py, height, width, pixels, weights)
            return px, py, slope_x, slope_y

        @cuda.jit(device=True)
        def rint(value):
            """The nearest whole number, of two the even one."""
            low = floor(value)
            behind = value - low
            if behind > dtype(0.5) or (behind == dtype(0.5) and math.fmod(low, dtype(2)) != 0):
                low = low + one
            return low

        @cuda.jit
        def forward(x, grid, y, shape):
            image, point, inside_grid = item(grid)
            if not inside_grid:
                return
            _, channels, height, width = shape
            pixels, weights = cuda.local.array(corners, int64), cuda.local.array(corners, dtype)
            locate(grid, image, point, height, width, pixels, weights)
            first = cuda.blockIdx.y * CHANNELS
            for channel in range(first, min(first + CHANNELS, channels)):
                plane = image * channels + channel
                found = zero
                for k in range(corners):
                    value = zero
                    if pixels[k] >= 0:
                        value = x[uint64(plane * height * width + pixels[k])]
                    found = value if nearest else found + value * weights[k]  # a weight that is NaN shows outside, too
                y[uint64(plane * grid.shape[1] + point)] = found

        @cuda.jit
        def backward_grid(dy, x, grid, dgrid, shape):
            image, point, inside_grid = item(grid)
            if not inside_grid:
                return
            _, channels, height, width = shape
            pixels, weights = cuda.local.array(4, int64), cuda.local.array(4, dtype)
            changes = cuda.local.array(4, dtype)  # of the loss with the weight of each corner
            px, py, slope_x, slope_y = locate(grid, image, point, height, width, pixels, weights)
            for k in range(4):
                changes[k] = zero
            for channel in range(channels):
                plane = image * channels + channel
                above = dy[uint64(plane * grid.shape[1] + point)]
                for k in range(4):
                    value = zero
                    if pixels[k] >= 0:
                        value = x[uint64(plane * height * width + pixels[k])]
                    changes[k] += above * value
            behind_x, behind_y = px - floor(px), py - floor(py)
            dx, dy_ = zero, zero
            for k in range(4):
                right, down = k % 2, k // 2
                dx += (changes[k] if right else -changes[k]) * (behind_y if down else one - behind_y)
                dy_ += (changes[k] if down else -changes[k]) * (behind_x if right else one - behind_x)
            dgrid[image, point, 0] = dx * slope_x
            dgrid[image, point, 1] = dy_ * slope_y

        @cuda.jit
        def add_floats(dy, grid, dx, shape):
            image, point, inside_grid = item(grid)
            if not inside_grid:
                return
            _, channels, height, width = shape
            pixels, weights = cuda.local.array(corners, int64), cuda.local.array(corners, dtype)
            locate(grid, image, point, height, width, pixels, weights)
            first = cuda.blockIdx.y * CHANNELS
            for channel in range(first, min(first + CHANNELS, channels)):
                plane = image * channels + channel
                above = dy[uint64(plane * grid.shape[1] + point)]
                for k in range(corners):
                    if pixels[k] >= 0:
                        cuda.atomic.add(dx, uint64(plane * height * width + pixels[k]), above * weights[k])

        @cuda.jit
        def add_integers(dy, grid, largest, bits, whole, shape):
            image, point, inside_grid = item(grid)
            if not inside_grid or not 0 < largest[0] < math.inf:
                return
            _, channels, height, width = shape
            pixels, weights = cuda.local.array(corners, int64), cuda.local.array(corners, dtype)
            scale, rest = scales(largest[0], bits)
            locate(grid, image, point, height, width, pixels, weights)
            first = cuda.blockIdx.y * CHANNELS
            for channel in range(first, min(first + CHANNELS, channels)):
                plane = image * channels + channel
                above = dy[uint64(plane * grid.shape[1] + point)]
                for k in range(corners):
                    if pixels[k] >= 0:
                        at = plane * height * width + pixels[k]
                        value = float64(above * weights[k]) * scale
                        if exact == 2:
                            high = math.floor(value)
                            cuda.atomic.add(whole, (0, at), int64(high))
                            cuda.atomic.add(whole, (1, at), int64(math.floor((value - high) * rest)))
                        else:
                            cuda.atomic.add(whole, (0, at), int64(math.floor(value + 0.5)))

        @cuda.jit(device=True)
        def scales(largest, bits):
            """By what contributions are multiplied: powers of two, which cost no accuracy.

            As large as they may be for the largest contribution times 2^(62 - bits) to stay below 2^62, and finite.
            """
            _, exponent = math.frexp(float64(largest))
            return math.ldexp(1.0, min(bits - exponent, 1023)), math.ldexp(1.0, bits)

        @cuda.jit
        def from_integers(whole, largest, bits, dx):
            if not 0 < largest[0] < math.inf:
                return
            scale, rest = scales(largest[0], bits)
            scale, rest = 1.0 / scale, 1.0 / rest  # powers of two: exact
            for at in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
                found = float64(whole[0, at])
                if exact == 2:
                    found += float64(whole[1, at]) * rest
                dx[at] = found * scale

        @cuda.jit
        def add_plainly(dy, grid, largest, dx, shape):
            """A thread for each channel of each image; runs where a dy is not finite."""
            if largest[0] - largest[0] == 0:
                return
            _, channels, height, width = shape
            pixels, weights = cuda.local.array(corners, int64), cuda.local.array(corners, dtype)
            for plane in range(cuda.grid(1), shape[0] * channels, cuda.gridsize(1)):
                image = quotient(plane, channels)
                for point in range(grid.shape[1]):
                    locate(grid, image, point, height, width, pixels, weights)
                    above = dy[plane * grid.shape[1] + point]
                    for k in range(corners):
                        if pixels[k] >= 0:
                            dx[plane * height * width + pixels[k]] += above * weights[k]

        self.forward, self.backward_grid, self.add_floats = forward, backward_grid, add_floats
        self.add_integers, self.from_integers, self.add_plainly = add_integers, from_integers, add_plainly


@functools.cache
def _kernels(name: str, mode: int, align_corners: bool, nearest: bool = False) -> _Kernels:
    return _Kernels(name, mode, align_corners, nearest)
