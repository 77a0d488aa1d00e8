"""Sampling images at points: checked arguments, then NumPy for small problems and the compiled kernels for the rest."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.arrays import checked_array, on_device
from kernels.errors import KernelError
from kernels.reference import bilinear as reference

__all__ = [
    "add_pixels",
    "grid_sample_backward",
    "grid_sample_forward",
    "grid_sample_nearest_backward",
    "grid_sample_nearest_forward",
    "read_pixels",
]

Array = npt.NDArray[Any]
Sizes = Sequence[int]

PADDING_MODES = ("zeros", "border", "reflection")

# With fewer elements in the images and the result together, the NumPy version runs, and Numba is not even imported:
# its import and loading the kernels take half a second, what NumPy needs for a thousand such problems.
SMALL = 8192

# The kernels number the pixels of an image and its border by 32-bit integers, and compare places with sizes in float32.
MOST_PIXELS = 2**31 - 1
LONGEST = 2**24


def grid_sample_forward(x: Array, grid: Array, padding_mode: str = "zeros", align_corners: bool = False) -> Array:
    """Images at the points of a grid, bilinear between the pixels around each point.

    x is (N, C, H, W) and the grid (N, H_out, W_out, 2), points (x, y) where -1 and 1 are the ends of the image: the
    centres of its first and last pixels with `align_corners`, otherwise their outer edges. Returns y
    (N, C, H_out, W_out). In three dimensions x is (N, C, D, H, W), the grid (N, D_out, H_out, W_out, 3), and NumPy does
    the work. Points outside read 0, the nearest place inside, or the mirrored image, as `padding_mode` says: "zeros",
    "border" or "reflection". Half precision is computed in float32.

    Raises KernelError for arrays that do not fit and an unknown padding mode. Source: M. Jaderberg et al., "Spatial
    Transformer Networks", 2015, https://arxiv.org/abs/1506.02025
    """
    x, grid = _problem("grid_sample_forward", x, grid, padding_mode)
    if on_device(x, grid):
        from kernels.cuda import bilinear as gpu

        return gpu.forward(x, grid, padding_mode, align_corners)  # type: ignore[return-value]
    if _on_numpy(x.shape, grid.shape):
        return reference.forward(x, grid, padding_mode, align_corners)
    import kernels.cpu.bilinear as cpu

    y = cpu.forward(reference.wide(x), reference.wide(grid), padding_mode, align_corners)
    return y.astype(x.dtype, copy=False)


def grid_sample_backward(
    dy: Array, x: Array, grid: Array, padding_mode: str = "zeros", align_corners: bool = False
) -> tuple[Array, Array]:
    """The gradients of `grid_sample_forward`, given dy, the gradient with respect to y.

    Returns dx like x and dgrid like the grid; the gradient of a point that was moved inside is 0 along the axis on
    which it was moved. Raises KernelError for arrays that do not fit and an unknown padding mode.
    """
    name = "grid_sample_backward"
    x, grid = _problem(name, x, grid, padding_mode)
    dy = _gradient(name, dy, (*x.shape[:2], *grid.shape[1:-1]), x.dtype)
    if on_device(dy, x, grid):
        from kernels.cuda import bilinear as gpu

        return gpu.backward(dy, x, grid, padding_mode, align_corners)  # type: ignore[return-value]
    if _on_numpy(x.shape, grid.shape):
        return reference.backward(dy, x, grid, padding_mode, align_corners)
    import kernels.cpu.bilinear as cpu

    wide = reference.wide
    dx, dgrid = cpu.backward(wide(dy), wide(x), wide(grid), padding_mode, align_corners)
    return dx.astype(x.dtype, copy=False), dgrid.astype(grid.dtype, copy=False)


def grid_sample_nearest_forward(
    x: Array, grid: Array, padding_mode: str = "zeros", align_corners: bool = False
) -> Array:
    """The pixels nearest to the points of a grid; of two at the same distance, the one with an even number.

    Arguments, result and errors are those of `grid_sample_forward`.
    """
    x, grid = _problem("grid_sample_nearest_forward", x, grid, padding_mode)
    if on_device(x, grid):
        from kernels.cuda import bilinear as gpu

        return gpu.nearest_forward(x, grid, padding_mode, align_corners)  # type: ignore[return-value]
    if _on_numpy(x.shape, grid.shape):
        return reference.read(x, *_nearest(grid, x.shape[2:], padding_mode, align_corners))
    import kernels.cpu.bilinear as cpu

    y = cpu.nearest_forward(reference.wide(x), reference.wide(grid), padding_mode, align_corners)
    return y.astype(x.dtype, copy=False)


def grid_sample_nearest_backward(
    dy: Array, grid: Array, sizes: Sizes, padding_mode: str = "zeros", align_corners: bool = False
) -> Array:
    """The gradient of `grid_sample_nearest_forward` with respect to its images, whose sizes are (H, W) or (D, H, W).

    dy is (N, C, H_out, W_out) as the forward's result, or with one more axis, and the grid as there. Returns dx
    (N, C, *sizes). (The gradient with respect to the grid is 0 wherever there is one.) Raises KernelError as there.
    """
    name = "grid_sample_nearest_backward"
    dy = _data(name, "dy", dy)
    images = (*dy.shape[:2], *sizes)
    _check_sizes(name, "sizes", images)
    grid = _points(name, grid, images, dy.dtype)
    _check_padding(name, padding_mode)
    dy = _gradient(name, dy, (*images[:2], *grid.shape[1:-1]), dy.dtype)
    if on_device(dy, grid):
        from kernels.cuda import bilinear as gpu

        return gpu.nearest_backward(dy, grid, sizes, padding_mode, align_corners)  # type: ignore[return-value]
    if _on_numpy(images, grid.shape):
        return reference.add(dy, *_nearest(grid, sizes, padding_mode, align_corners), sizes)
    import kernels.cpu.bilinear as cpu

    dx = cpu.nearest_backward(reference.wide(dy), reference.wide(grid), tuple(sizes), padding_mode, align_corners)
    return dx.astype(dy.dtype, copy=False)


def read_pixels(x: Array, index: Array, inside: Array) -> Array:
    """The pixels of images x (N, C, *sizes) at places that a caller has found.

    index (N, *outer) counts pixels in the flattened sizes, from 0, and inside (N, *outer) says which of them to read;
    the others are 0 in the result (N, C, *outer), which has the dtype of x. `reference.locate` makes both.
    """
    if x.ndim < 3 or x.dtype not in (np.float32, np.float64) or max(x.size, x.shape[1] * index.size) < SMALL:
        return reference.read(x, index, inside)
    import kernels.cpu.bilinear as cpu

    return cpu.read_pixels(x, index, inside)


def add_pixels(values: Array, index: Array, inside: Array, sizes: Sizes) -> Array:
    """The adjoint of `read_pixels`: images (N, C, *sizes) of zeros with the values (N, C, *outer) added up in them."""
    most = max(values.size, math.prod(values.shape[:2]) * math.prod(sizes))
    if values.dtype not in (np.float32, np.float64) or most < SMALL:
        return reference.add(values, index, inside, sizes)
    import kernels.cpu.bilinear as cpu

    return cpu.add_pixels(values, index, inside, tuple(sizes))


def _nearest(grid: Array, sizes: Sizes, padding_mode: str, align_corners: bool) -> tuple[Array, Array]:
    """Where the nearest pixels are, and whether they are inside."""
    return reference.locate(np.rint(reference.places(grid, sizes, padding_mode, align_corners)[0]), sizes)


def _on_numpy(images: tuple[int, ...], grid: tuple[int, ...]) -> bool:
    """Whether NumPy is to do the work: all that is small, three-dimensional, or too large for the kernels' integers."""
    channels, sizes, outer = math.prod(images[:2]), math.prod(images[2:]), math.prod(grid[1:-1])
    if len(images) != 4 or channels * (sizes + outer) < SMALL:
        return True
    return (images[2] + 3) * (images[3] + 2) > MOST_PIXELS or max(images[2:]) > LONGEST


def _problem(function: str, x: Any, grid: Any, padding_mode: Any) -> tuple[Array, Array]:
    """Images and a grid that fit each other."""
    x = _data(function, "x", x)
    _check_sizes(function, "x", x.shape)
    grid = _points(function, grid, x.shape, x.dtype)
    _check_padding(function, padding_mode)
    return x, grid


def _data(function: str, argument: str, value: Any) -> Array:
    array = checked_array(function, argument, value)
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise KernelError(f"{function}: {argument} must be float16, float32 or float64, got {array.dtype}")
    if array.ndim not in (4, 5):
        raise KernelError(
            f"{function}: {argument} must be (N, C, H, W) or (N, C, D, H, W), got {array.ndim} dimension(s): shape"
            f" {array.shape}"
        )
    return array


def _check_sizes(function: str, argument: str, images: tuple[int, ...]) -> None:
    if len(images) not in (4, 5) or min(images[2:]) < 1:
        raise KernelError(f"{function}: {argument} must give the images 2 or 3 sizes of at least 1, got {images[2:]}")


def _points(function: str, value: Any, images: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A grid for images of this shape, in their dtype."""
    grid = checked_array(function, "grid", value)
    if grid.dtype != dtype:
        raise KernelError(
            f"{function}: grid must have the dtype of the images, which is {dtype}, got {grid.dtype}; use"
            f" grid.astype({dtype})"
        )
    dims = len(images) - 2
    if grid.ndim != len(images) or (grid.shape[0], grid.shape[-1]) != (images[0], dims):
        outer = ("H_out, W_out", "D_out, H_out, W_out")[dims - 2]
        raise KernelError(
            f"{function}: for images of shape {images}, grid must be ({images[0]}, {outer}, {dims}), got shape"
            f" {grid.shape}"
        )
    return grid


def _gradient(function: str, value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    dy = checked_array(function, "dy", value)
    if dy.shape != shape:
        raise KernelError(f"{function}: dy must have the shape of the result, which is {shape}, got {dy.shape}")
    if dy.dtype != dtype:
        raise KernelError(f"{function}: dy must have the dtype of the images, which is {dtype}, got {dy.dtype}")
    return dy


def _check_padding(function: str, value: Any) -> None:
    if not isinstance(value, str) or value not in PADDING_MODES:
        raise KernelError(f'{function}: padding_mode must be "zeros", "border" or "reflection", got {value!r}')
