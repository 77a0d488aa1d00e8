"""Images read at any points, and grids of such points."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kernels import bilinear as kernel
from kernels.reference import bilinear as reference

from ...dtypes import Array
from ...errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError
from ...ops.shape import _sizes
from ...primitive import op
from ...tape import vjp_of
from ...tensor import Tensor, from_array
from .arguments import need_floats, need_tensors
from .resizing import cubic_weights

__all__ = ["affine_grid", "grid_sample"]

# --- reading pixels: a linear op, its adjoint, and what is differentiable about the places to read -------------------


@op(saves="")
def _read(x: Array, *, index: Array, inside: Array) -> Array:
    return kernel.read_pixels(x, index, inside)


@op(saves="")
def _add(values: Array, *, index: Array, inside: Array, sizes: tuple[int, ...]) -> Array:
    return kernel.add_pixels(values, index, inside, sizes)


_read.defvjp(lambda g, out, x, **where: _add(g, sizes=x.shape[2:], **where))
_add.defvjp(lambda g, out, values, index, inside, sizes: _read(g, index=index, inside=inside))


@op(saves="inputs")
def _places(grid: Array, **options: Any) -> Array:
    return reference.places(grid, **options)[0]


def _places_vjp(g: Any, out: Any, grid: Tensor, **options: Any) -> Any:
    slopes = reference.places(grid._array, **options)[1]
    return (g * from_array(slopes.copy())).flip(-1)


_places.defvjp(_places_vjp)


def _sum_of_taps(x: Tensor, first: Array, factors: Sequence[dict[int, Any]], **padding: Any) -> Any:
    """The sum over all combinations of taps, one for each axis: the product of their factors times the pixel there.

    `factors` holds a factor for each axis and offset from the pixels `first`.
    """
    sizes, terms = x.shape[2:], []
    for taps in itertools.product(*[along.items() for along in factors]):
        pixels = first + np.array([offset for offset, _ in taps], first.dtype)
        index, inside = reference.locate(reference.padded(pixels, sizes, **padding)[0], sizes)
        weight = functools.reduce(operator.mul, [factor for _, factor in taps])
        terms.append(_read(x, index=index, inside=inside) * weight.unsqueeze(1))
    return functools.reduce(operator.add, terms).to(x.dtype)


# --- bilinear ---------------------------------------------------------------------------------------------------------


@op(saves="inputs")
def _bilinear(x: Array, grid: Array, **padding: Any) -> Array:
    return kernel.grid_sample_forward(x, grid, **padding)


@op(saves="inputs")
def _bilinear_backward(dy: Array, x: Array, grid: Array, **padding: Any) -> tuple[Array, Array]:
    return kernel.grid_sample_backward(dy, x, grid, **padding)


def _bilinear_formula(x: Tensor, grid: Tensor, padding_mode: str, align_corners: bool) -> Any:
    """What the kernel computes, in differentiable ops: for derivatives of higher orders."""
    found = _places(grid, sizes=x.shape[2:], padding_mode=padding_mode, align_corners=align_corners)
    first = np.floor(found._array)
    behind = found - from_array(first)
    factors = [{0: 1 - behind[..., axis], 1: behind[..., axis]} for axis in range(x.ndim - 2)]
    return _sum_of_taps(x, first, factors, padding_mode="zeros", align_corners=align_corners)


def _backward_formula(dy: Tensor, x: Tensor, grid: Tensor, **padding: Any) -> Any:
    """Both gradients, as the kernel gives them: also that of an input for which nobody asked."""
    inputs = [t if t.requires_grad else t.detach().requires_grad_() for t in (x, grid)]
    return vjp_of(_bilinear_formula)(dy, None, *inputs, **padding)


_bilinear.defvjp(joint=lambda g, out, x, grid, **padding: _bilinear_backward(g, x, grid, **padding))
_bilinear_backward.defvjp(joint=vjp_of(_backward_formula))

# --- bicubic ----------------------------------------------------------------------------------------------------------


def _bicubic(x: Tensor, grid: Tensor, padding_mode: str, align_corners: bool) -> Any:
    """Keys' cubic convolution of 4 x 4 pixels; not the point is moved inside, but each pixel on its own."""
    found = _places(grid, sizes=x.shape[2:], padding_mode="zeros", align_corners=align_corners)
    first = np.floor(found._array)
    behind = found - from_array(first)
    factors = [dict(zip((-1, 0, 1, 2), cubic_weights(behind[..., axis]), strict=True)) for axis in range(2)]
    return _sum_of_taps(x, first, factors, padding_mode=padding_mode, align_corners=align_corners)


# --- nearest ----------------------------------------------------------------------------------------------------------


@op(saves="inputs")
def _nearest(x: Array, grid: Array, **padding: Any) -> Array:
    return kernel.grid_sample_nearest_forward(x, grid, **padding)


@op(saves="inputs")
def _nearest_backward(dy: Array, grid: Array, *, sizes: tuple[int, ...], **padding: Any) -> Array:
    return kernel.grid_sample_nearest_backward(dy, grid, sizes, **padding)


def _no_gradient(g: Any, out: Any, images: Any, grid: Tensor, **options: Any) -> Tensor:
    """Of the grid: the nearest pixel stays the same when its point moves a little."""
    return from_array(np.zeros_like(grid._array))


# The pixels that were read are linear in x, and the gradient of x is linear in dy: each is the adjoint of the other.
_nearest.defvjp(
    lambda g, out, x, grid, **padding: _nearest_backward(g, grid, sizes=x.shape[2:], **padding), _no_gradient
)
_nearest_backward.defvjp(lambda g, out, dy, grid, sizes, **padding: _nearest(g, grid, **padding), _no_gradient)

# --- the functions ----------------------------------------------------------------------------------------------------

_SAMPLERS: dict[str, Callable[..., Any]] = {"bilinear": _bilinear, "nearest": _nearest, "bicubic": _bicubic}


def _aligned(name: str, align_corners: Any) -> bool:
    if align_corners is not None and not isinstance(align_corners, bool):
        raise ArgumentTypeError(f"{name}: align_corners must be True, False or None, got {align_corners!r}")
    return bool(align_corners)


def _check_grid(input: Any, grid: Any) -> None:
    need_tensors("grid_sample", input=input)
    need_tensors("grid_sample", grid=grid)
    dims = input.ndim - 2
    if dims not in (2, 3) or 0 in input.shape[2:]:
        raise ShapeError(
            "grid_sample: input must be (N, C, H, W) or (N, C, D, H, W) with sizes of at least 1, got shape "
            f"{input.shape}"
        )
    if grid.ndim != input.ndim or (grid.shape[0], grid.shape[-1]) != (input.shape[0], dims):
        outer = ("H_out, W_out", "D_out, H_out, W_out")[dims - 2]
        raise ShapeError(
            f"grid_sample: for input of shape {input.shape}, grid must be ({input.shape[0]}, {outer}, {dims}), got "
            f"shape {grid.shape}"
        )
    need_floats("grid_sample", input=input)
    if grid.dtype != input.dtype:
        raise DtypeError(
            f"grid_sample: input and grid must have one dtype, got {input.dtype} and {grid.dtype}; write "
            "grid.to(input.dtype)"
        )


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """Images (N, C, H, W) read at the points of a grid (N, H_out, W_out, 2): an image (N, C, H_out, W_out).

    The same in three dimensions: (N, C, D, H, W) at (N, D_out, H_out, W_out, 3). A point is (x, y) or (x, y, z), where
    x goes along the width, and -1 and 1 are the ends of the image. The gradient by the grid is 0 in mode "nearest", and
    where a point was moved to the edge.

    Args:
        mode: "bilinear" interpolates between the pixels around a point (in three dimensions too); "nearest" takes the
            nearest one; "bicubic" weights 4 x 4 pixels by cubic curves with a = -0.75, in two dimensions only.
        padding_mode: for points outside: "zeros" reads 0 there, "border" the nearest pixel of the edge, "reflection"
            the image mirrored at its ends.
        align_corners: True: -1 and 1 are the centres of the corner pixels; False (the default): their outer edges.

    Source: M. Jaderberg et al., "Spatial Transformer Networks", 2015, https://arxiv.org/abs/1506.02025

    Raises:
        ShapeError: for a grid that does not fit, or mode "bicubic" in three dimensions.
        DtypeError: for integers, or two dtypes.
        ArgumentError, ArgumentTypeError: for another mode or padding mode, or an `align_corners` that is no bool.
    """
    if mode not in tuple(_SAMPLERS):
        raise ArgumentError(f'grid_sample: mode must be "bilinear", "nearest" or "bicubic", got {mode!r}')
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(
            f'grid_sample: padding_mode must be "zeros", "border" or "reflection", got {padding_mode!r}'
        )
    corners = _aligned("grid_sample", align_corners)
    _check_grid(input, grid)
    if mode == "bicubic" and input.ndim != 4:
        raise ShapeError(f'grid_sample: mode="bicubic" takes (N, C, H, W), got shape {input.shape}')
    return _SAMPLERS[mode](input, grid, padding_mode=padding_mode, align_corners=corners)


def _coordinates(size: int, align_corners: bool) -> Array:
    """The centres of pixels, where -1 and 1 are the centres of the first and the last one, or their outer edges."""
    if size == 1:
        return np.zeros(1)
    ends = np.linspace(-1, 1, size)
    return ends if align_corners else ends * (size - 1) / size


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """Grids for `grid_sample` that show an image through affine maps: theta @ (x, y, 1) for each pixel (x, y).

    theta is (N, 2, 3) and the result (N, H, W, 2) for size (N, C, H, W); in three dimensions theta is (N, 3, 4) and the
    result (N, D, H, W, 3) for size (N, C, D, H, W). Use the same `align_corners` (False by default) as for
    `grid_sample`. Source: M. Jaderberg et al., "Spatial Transformer Networks", 2015, https://arxiv.org/abs/1506.02025

    Raises:
        ShapeError: for a theta that does not fit the size, or a size with other than 4 or 5 numbers, all positive.
        DtypeError: for integers.
        ArgumentTypeError: if size is not made of integers, or `align_corners` is no bool.
    """
    need_tensors("affine_grid", theta=theta)
    need_floats("affine_grid", theta=theta)
    corners = _aligned("affine_grid", align_corners)
    sizes = _sizes("affine_grid", (size,), "size")
    if len(sizes) not in (4, 5) or min(sizes) < 1:
        raise ShapeError(f"affine_grid: size must be (N, C, H, W) or (N, C, D, H, W), all positive, got {sizes}")
    batch, outer, dims = sizes[0], sizes[2:], len(sizes) - 2
    if theta.shape != (batch, dims, dims + 1):
        raise ShapeError(
            f"affine_grid: for size {sizes}, theta must be ({batch}, {dims}, {dims + 1}), got shape {theta.shape}"
        )
    along = np.meshgrid(*[_coordinates(n, corners) for n in outer], indexing="ij")
    points = np.stack([*along[::-1], np.ones(outer)], axis=-1).reshape(-1, dims + 1)
    return (from_array(points.astype(theta.dtype)) @ theta.mT).reshape(batch, *outer, dims)
