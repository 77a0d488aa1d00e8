"""Images in another size.

Every way of resizing treats the axes one after the other, and is linear: an element of the result is a weighted sum of
a few elements of the input, its taps. So one op and its adjoint are enough for all of them, to every order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...dtypes import Array
from ...errors import ArgumentError, ArgumentTypeError, ShapeError
from ...ops.indexing import _add_slices_at, _index_select
from ...primitive import op
from ...tensor import Tensor
from .arguments import need_floats, need_numbers, need_tensors
from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from .windows import per_dim

__all__ = ["interpolate", "upsample"]


class Axis(NamedTuple):
    """One axis to be resized: its sizes before and after, and how far apart the new elements lie, counted in old ones.

    Without `align_corners`, the outer edges of the first and last element stay where they are; with it, their centres.
    Numbers are computed in `dtype`, so that a place is rounded to the same element as in PyTorch.
    """

    size: int
    out_size: int
    scale: float | None
    align_corners: bool
    dtype: Any

    @property
    def step(self) -> Any:
        real = self.dtype.type
        if self.align_corners:
            return real(self.size - 1) / real(self.out_size - 1) if self.out_size > 1 else real(0)
        return real(1 / self.scale) if self.scale is not None else real(self.size) / real(self.out_size)

    @property
    def order(self) -> Array:
        return np.arange(self.out_size, dtype=self.dtype)

    @property
    def centres(self) -> Array:
        """Where the centres of the new elements lie, if the old ones have theirs at 0, 1, 2, ..."""
        if self.align_corners:
            return self.order * self.step
        half = self.dtype.type(0.5)
        return (self.order + half) * self.step - half


# --- elements of the input --------------------------------------------------------------------------------------------


def _floored(axis: Axis) -> Array:
    """The element at the left edge of each new one; what OpenCV does, off by half an element."""
    return axis.order * axis.step


def _nearest(axis: Axis) -> Array:
    """The element in which the centre of each new one lies."""
    return (axis.order + axis.dtype.type(0.5)) * axis.step


_NEAREST: dict[str, Callable[[Axis], Array]] = {"nearest": _floored, "nearest-exact": _nearest}


def _selected(input: Tensor, axes: list[Axis], places: Callable[[Axis], Array]) -> Any:
    out = input
    for dim, axis in enumerate(axes, start=2):
        index = np.minimum(np.floor(places(axis)).astype(np.int64), axis.size - 1)
        out = _index_select(out, index=index, dim=dim)
    return out


# --- weighted sums of them --------------------------------------------------------------------------------------------


class Taps(NamedTuple):
    """Along one axis of `size` elements, places and weights (out_size, count) of the elements that are added up."""

    places: Array
    weights: Array
    size: int


def _linear_taps(axis: Axis) -> Taps:
    """The straight line between the two neighbours; beyond the outer centres, the outer element."""
    same = axis.size == axis.out_size  # then no element meets its neighbour, which may be nan
    centres = axis.order if same else np.maximum(axis.centres, 0)
    first = np.minimum(np.floor(centres), axis.size - 1)
    ahead = np.clip(centres - first, 0, 1)
    return _taps(axis, first, [0, 0 if same else 1], [1 - ahead, ahead])


def _cubic_taps(axis: Axis) -> Taps:
    """Keys' cubic convolution of four neighbours, with a = -0.75; the outer elements go on beyond the edges."""
    first = np.minimum(np.floor(axis.centres), axis.size - 1)
    ahead = np.clip(axis.centres - first, 0, 1)
    return _taps(axis, first, [-1, 0, 1, 2], cubic_weights(ahead))


def cubic_weights(ahead: Any) -> list[Any]:
    """The weights of the elements at -1, 0, 1 and 2 for a place at `ahead`, 0 to 1: an array or a tensor.

    The kernel is a piecewise cubic with slope a = -0.75 at distance 1. Source: R. Keys, "Cubic Convolution
    Interpolation for Digital Image Processing", 1981, https://doi.org/10.1109/TASSP.1981.1163711
    """
    a = -0.75

    def near(distance: Any) -> Any:
        return ((a + 2) * distance - (a + 3)) * distance * distance + 1

    def far(distance: Any) -> Any:
        return ((distance - 5) * distance + 8) * distance * a - 4 * a

    return [far(1 + ahead), near(ahead), near(1 - ahead), far(2 - ahead)]


def _taps(axis: Axis, first: Array, offsets: list[int], weights: list[Array]) -> Taps:
    places = np.clip(first.astype(np.int64)[:, None] + offsets, 0, axis.size - 1)
    return Taps(places, np.stack(weights, axis=1), axis.size)


_TAPS: dict[str, Callable[[Axis], Taps]] = {
    "linear": _linear_taps, "bilinear": _linear_taps, "trilinear": _linear_taps, "bicubic": _cubic_taps,
}  # fmt: skip


@op(saves="")
def _weighted(x: Array, *, taps: tuple[Taps, ...]) -> Array:
    """The weighted sums along the last axes of x, one axis after the other."""
    out = x.astype(taps[0].weights.dtype, copy=False)
    for dim, along in enumerate(taps, start=2):
        column = (-1,) + (1,) * (x.ndim - 1 - dim)
        reads = zip(along.places.T, along.weights.T, strict=True)
        out = sum(out.take(places, dim) * weights.reshape(column) for places, weights in reads)
    return out.astype(x.dtype, copy=False)


@op(saves="")
def _spread(g: Array, *, taps: tuple[Taps, ...]) -> Array:
    """The adjoint of `_weighted`: each element of g, times the weights, added to its taps."""
    share = g.astype(taps[0].weights.dtype, copy=False)
    for dim, along in enumerate(taps, start=2):
        column = (-1,) + (1,) * (g.ndim - 1 - dim)
        out = np.zeros((*share.shape[:dim], along.size, *share.shape[dim + 1 :]), share.dtype)
        for places, weights in zip(along.places.T, along.weights.T, strict=True):
            _add_slices_at(out, places, dim, share * weights.reshape(column))
        share = out
    return share.astype(g.dtype, copy=False)


_weighted.defvjp(lambda g, out, x, taps: _spread(g, taps=taps))
_spread.defvjp(lambda g, out, dy, taps: _weighted(g, taps=taps))

# --- arguments --------------------------------------------------------------------------------------------------------

_AREA = (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)
_LARGEST = 2**31 - 1
_DIMS = {"linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}  # the other modes take 1 to 3


def _check_mode(name: str, input: Any, mode: Any, align_corners: Any) -> None:
    need_tensors(name, input=input)
    if mode not in (*_TAPS, *_NEAREST, "area"):
        raise ArgumentError(
            f'{name}: mode must be "nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear" or "area", '
            f"got {mode!r}"
        )
    if align_corners is not None and not isinstance(align_corners, bool):
        raise ArgumentTypeError(f"{name}: align_corners must be True, False or None, got {align_corners!r}")
    if align_corners is not None and mode not in _TAPS:
        raise ArgumentError(f"{name}: align_corners has no meaning in mode={mode!r}; leave it out")
    dims = input.ndim - 2
    if dims not in ((_DIMS[mode],) if mode in _DIMS else (1, 2, 3)):
        wanted = f"{_DIMS[mode] + 2}" if mode in _DIMS else "3, 4 or 5"
        raise ShapeError(
            f"{name}: mode={mode!r} takes (N, C, sizes...) with {wanted} dimensions, got shape {input.shape}"
        )
    if 0 in input.shape[1:]:
        raise ShapeError(f"{name}: only the batch may be empty, got input shape {input.shape}")
    if mode not in _NEAREST or input.dtype != np.uint8:
        need_floats(name, input=input)


def _for_each(name: str, argument: str, value: Any, dims: int) -> list[Any]:
    if not isinstance(value, (tuple, list)):
        return [value] * dims
    if len(value) != dims:
        raise ArgumentError(
            f"{name}: {argument} must be one number or {dims}, one for each dimension after (N, C), got {value!r}"
        )
    return list(value)


def _scales(name: str, scale_factor: Any, dims: int) -> list[float]:
    scales = _for_each(name, "scale_factor", scale_factor, dims)
    for scale in scales:
        need_numbers(name, scale_factor=scale)
        if not (math.isfinite(scale) and scale > 0):
            raise ArgumentError(f"{name}: scale_factor must be finite and > 0, got {scale_factor!r}")
    return [float(scale) for scale in scales]


def _axes(
    name: str, input: Tensor, size: Any, scale_factor: Any, align_corners: bool | None, recompute: bool | None
) -> list[Axis]:
    """The axes to be resized, from either the new sizes or their ratios to the old ones."""
    if (size is None) == (scale_factor is None):
        raise ArgumentError(f"{name}: give either size or scale_factor, got size={size!r}, {scale_factor=}")
    sizes = input.shape[2:]
    dims = len(sizes)
    scales: list[Any] = [None] * dims
    if size is None:
        scales = _scales(name, scale_factor, dims)
        new = tuple(int(n * scale) for n, scale in zip(sizes, scales, strict=True))
        if recompute:
            scales = [None] * dims
    else:
        if recompute:
            raise ArgumentError(f"{name}: recompute_scale_factor=True has no meaning with size; leave it out")
        new = per_dim(name, "size", _for_each(name, "size", size, dims), dims, least=1)
    if min(new) < 1 or max(new) > _LARGEST:
        raise ShapeError(f"{name}: the sizes {sizes} of the input would become {new}; each must be 1 to {_LARGEST}")
    dtype = np.result_type(input.dtype, np.float32)
    return [Axis(n, m, s, bool(align_corners), dtype) for n, m, s in zip(sizes, new, scales, strict=True)]


def _resized(
    name: str, input: Any, size: Any, scale_factor: Any, mode: str, align_corners: bool | None, recompute: bool | None
) -> Any:
    _check_mode(name, input, mode, align_corners)
    axes = _axes(name, input, size, scale_factor, align_corners, recompute)
    if mode == "area":
        return _AREA[len(axes) - 1](input, [axis.out_size for axis in axes])
    if mode in _NEAREST:
        return _selected(input, axes, _NEAREST[mode])
    return _weighted(input, taps=tuple(_TAPS[mode](axis) for axis in axes))


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Images (N, C, L), (N, C, H, W) or (N, C, D, H, W) in another size: `size`, or `scale_factor` times the old one.

    Args:
        size, scale_factor: one number, or one for each dimension; give exactly one of the two. With `scale_factor`, new
            sizes are rounded down.
        mode: "nearest" takes the element at the left edge of a new one, "nearest-exact" the one at its centre;
            "linear", "bilinear" and "trilinear" interpolate straight lines in 1, 2 and 3 dimensions, "bicubic" cubic
            curves (with a = -0.75) in 2; "area" takes means (`adaptive_avg_pool2d`).
        align_corners: for the interpolating modes: True keeps the centres of the corner elements in place, False (the
            default) the outer edges of the image.
        recompute_scale_factor: True uses the ratio of the rounded sizes, and not `scale_factor`, as the distance of the
            new elements.

    Raises:
        ShapeError: for a number of dimensions that the mode does not take, or a scale that leaves nothing of a size.
        DtypeError: for integers, except uint8 in the modes "nearest" and "nearest-exact".
        ArgumentError, ArgumentTypeError: options that do not fit together, or are out of range.
        NotImplementedError: for antialias=True.
    """
    if antialias:
        raise NotImplementedError("interpolate: antialias=True is not supported; blur the input before it is reduced")
    return _resized("interpolate", input, size, scale_factor, mode, align_corners, recompute_scale_factor)


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Any:
    """The older name of `interpolate`.

    Raises:
        ShapeError, DtypeError, ArgumentError, ArgumentTypeError: as `interpolate`.
    """
    return _resized("upsample", input, size, scale_factor, mode, align_corners, None)
