"""Sampling images on the GPU: one thread for each point of the grid, which goes through the channels.

Forward, a thread computes where its point lies and the four weights, once, and reads four pixels of each channel;
neighbouring threads write neighbouring results, and mostly read pixels near each other. The bytes are those of the
grid, the result, and the images if the points cover them once.

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

from numba import cuda, float64, int64

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
    device.launch(kernel, _blocks(y, by_channels=True), THREADS, x.handle, _points(grid), _planes(y))
    return y


def backward(dy: Any, x: Any, grid: Any, padding_mode: str, align_corners: bool) -> tuple[DeviceArray, DeviceArray]:
    """The gradients dx like x, and dgrid like the grid."""
    x, grid = _arrays("grid_sample_backward", x, grid)
    dy = to_device(dy)
    made = _kernels(x.dtype.name, MODES[padding_mode], bool(align_corners))
    dgrid = empty(grid.shape, grid.dtype)
    arguments = _planes(dy), x.handle, _points(grid), _points(dgrid)
    device.launch(made.backward_grid, _blocks(dy, by_channels=False), THREADS, *arguments)
    return _spread(dy, grid, x.shape, made), dgrid


def nearest_forward(x: Any, grid: Any, padding_mode: str, align_corners: bool) -> DeviceArray:
    """The pixels nearest to the points of the grid."""
    x, grid = _arrays("grid_sample_nearest_forward", x, grid)
    y = empty((*x.shape[:2], *grid.shape[1:3]), x.dtype)
    kernel = _kernels(x.dtype.name, MODES[padding_mode], bool(align_corners), nearest=True).forward
    device.launch(kernel, _blocks(y, by_channels=True), THREADS, x.handle, _points(grid), _planes(y))
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
        device.launch(made.add_floats, blocks, THREADS, _planes(dy), _points(grid), dx.handle)
        return dx
    largest = _largest(dy)
    points = math.prod(grid.shape[1:3])
    bits = 62 - math.ceil(math.log2(4 * points))  # all contributions of an image may be added to one pixel
    whole = full((1 if dy.dtype.itemsize == 4 else 2, *shape), 0, "int64")
    device.launch(made.add_integers, blocks, THREADS, _planes(dy), _points(grid), largest.handle, bits, whole.handle)
    device.launch(
        made.from_integers, device.blocks_for(dx.size), THREADS, whole.handle, largest.handle, bits, dx.handle
    )
    planes = device.blocks_for(shape[0] * shape[1])
    device.launch(made.add_plainly, planes, THREADS, _planes(dy), _points(grid), largest.handle, dx.handle)
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


def _planes(y: DeviceArray) -> Any:
    """(N, C, H_out, W_out) as (N, C, points)."""
    n, channels, rows, columns = y.shape
    return y.reshape(n, channels, rows * columns).handle


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
        def corner(k, x, y, height, width):
            """The k-th pixel around a place: row, column, weight, and whether it is inside."""
            if nearest:
                column, row, weight = rint(x), rint(y), one
            else:
                left, top = floor(x), floor(y)
                right, down = k % 2, k // 2
                column, row = left + right, top + down
                weight = (x - left if right else one - (x - left)) * (y - top if down else one - (y - top))
            inside = row >= 0 and row <= height - 1 and column >= 0 and column <= width - 1
            if inside:
                return int64(row), int64(column), weight, True
            return 0, 0, weight, False

        @cuda.jit(device=True)
        def rint(value):
            """The nearest whole number, of two the even one."""
            low = floor(value)
            behind = value - low
            if behind > dtype(0.5) or (behind == dtype(0.5) and math.fmod(low, dtype(2)) != 0):
                low = low + one
            return low

        @cuda.jit
        def forward(x, grid, y):
            image, point, inside_grid = item(grid)
            if not inside_grid:
                return
            height, width = x.shape[2], x.shape[3]
            px, _ = place(grid[image, point, 0], width)
            py, _ = place(grid[image, point, 1], height)
            first = cuda.blockIdx.y * CHANNELS
            for channel in range(first, min(first + CHANNELS, x.shape[1])):
                found = zero
                for k in range(corners):
                    row, column, weight, inside = corner(k, px, py, height, width)
                    if nearest:
                        found = x[image, channel, row, column] if inside else zero
                    else:  # a weight that is NaN shows outside, too
                        found += (x[image, channel, row, column] if inside else zero) * weight
                y[image, channel, point] = found

        @cuda.jit
        def backward_grid(dy, x, grid, dgrid):
            image, point, inside_grid = item(grid)
            if not inside_grid:
                return
            height, width = x.shape[2], x.shape[3]
            px, slope_x = place(grid[image, point, 0], width)
            py, slope_y = place(grid[image, point, 1], height)
            behind_x, behind_y = px - floor(px), py - floor(py)
            dx, dy_ = zero, zero
            for k in range(4):
                row, column, _, inside = corner(k, px, py, height, width)
                change = zero  # of the loss with the weight of this corner
                for channel in range(x.shape[1]):
                    change += dy[image, channel, point] * (x[image, channel, row, column] if inside else zero)
                right, down = k % 2, k // 2
                dx += (change if right else -change) * (behind_y if down else one - behind_y)
                dy_ += (change if down else -change) * (behind_x if right else one - behind_x)
            dgrid[image, point, 0] = dx * slope_x
            dgrid[image, point, 1] = dy_ * slope_y

        @cuda.jit
        def add_floats(dy, grid, dx):
            image, point, inside_grid = item(grid)
            if not inside_grid:
                return
            px, _ = place(grid[image, point, 0], dx.shape[3])
            py, _ = place(grid[image, point, 1], dx.shape[2])
            first = cuda.blockIdx.y * CHANNELS
            for k in range(corners):
                row, column, weight, inside = corner(k, px, py, dx.shape[2], dx.shape[3])
                if inside:
                    for channel in range(first, min(first + CHANNELS, dx.shape[1])):
                        cuda.atomic.add(dx, (image, channel, row, column), dy[image, channel, point] * weight)

        @cuda.jit
        def add_integers(dy, grid, largest, bits, whole):
            image, point, inside_grid = item(grid)
            if not inside_grid or not 0 < largest[0] < math.inf:
                return
            scale, rest = scales(largest[0], bits)
            px, _ = place(grid[image, point, 0], whole.shape[4])
            py, _ = place(grid[image, point, 1], whole.shape[3])
            first = cuda.blockIdx.y * CHANNELS
            for k in range(corners):
                row, column, weight, inside = corner(k, px, py, whole.shape[3], whole.shape[4])
                if inside:
                    for channel in range(first, min(first + CHANNELS, whole.shape[2])):
                        value = float64(dy[image, channel, point] * weight) * scale
                        if exact == 2:
                            high = math.floor(value)
                            cuda.atomic.add(whole, (0, image, channel, row, column), int64(high))
                            low = int64(math.floor((value - high) * rest))
                            cuda.atomic.add(whole, (1, image, channel, row, column), low)
                        else:
                            rounded = int64(math.floor(value + 0.5))
                            cuda.atomic.add(whole, (0, image, channel, row, column), rounded)

        @cuda.jit(device=True)
        def scales(largest, bits):
            """By what contributions are multiplied: powers of two, which cost no accuracy.

            As large as they may be for the largest contribution times 2^(62 - bits) to stay below 2^62.
            """
            _, exponent = math.frexp(float64(largest))
            return math.ldexp(1.0, bits - exponent), math.ldexp(1.0, bits)

        @cuda.jit
        def from_integers(whole, largest, bits, dx):
            _, channels, height, width = dx.shape
            if not 0 < largest[0] < math.inf:
                return
            scale, rest = scales(largest[0], bits)
            for place in range(cuda.grid(1), dx.size, cuda.gridsize(1)):
                column, above = remainder(place, width), quotient(place, width)
                row, above = remainder(above, height), quotient(above, height)
                image, channel = quotient(above, channels), remainder(above, channels)
                found = float64(whole[0, image, channel, row, column])
                if exact == 2:
                    found += float64(whole[1, image, channel, row, column]) / rest
                dx[image, channel, row, column] = found / scale

        @cuda.jit
        def add_plainly(dy, grid, largest, dx):
            """A thread for each channel of each image; runs where a dy is not finite."""
            if largest[0] - largest[0] == 0:
                return
            channels = dx.shape[1]
            for plane in range(cuda.grid(1), dx.shape[0] * channels, cuda.gridsize(1)):
                image, channel = quotient(plane, channels), remainder(plane, channels)
                for point in range(grid.shape[1]):
                    px, _ = place(grid[image, point, 0], dx.shape[3])
                    py, _ = place(grid[image, point, 1], dx.shape[2])
                    for k in range(corners):
                        row, column, weight, inside = corner(k, px, py, dx.shape[2], dx.shape[3])
                        if inside:
                            dx[image, channel, row, column] += dy[image, channel, point] * weight

        self.forward, self.backward_grid, self.add_floats = forward, backward_grid, add_floats
        self.add_integers, self.from_integers, self.add_plainly = add_integers, from_integers, add_plainly


@functools.cache
def _kernels(name: str, mode: int, align_corners: bool, nearest: bool = False) -> _Kernels:
    return _Kernels(name, mode, align_corners, nearest)
