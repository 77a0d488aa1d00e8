"""Padding in all modes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ShapeError
from ..primitive import op
from ..tensor import Tensor
from .arithmetic import as_element
from .indexing import _getitem, _index_select
from .shape import _sizes, need_tensors

__all__ = ["pad"]

Widths = tuple[tuple[int, int], ...]  # elements before and after, for each dimension

# --- with a constant ------------------------------------------------------------------------------------------


@op(saves="")
def _surround(x: Array, *, widths: Widths, value: Any) -> Array:
    sizes = [before + n + after for n, (before, after) in zip(x.shape, widths, strict=True)]
    out = np.full(sizes, value, x.dtype)
    out[_inside(x.shape, widths)] = x
    return out


def _inside(shape: tuple[int, ...], widths: Widths) -> tuple[slice, ...]:
    return tuple(slice(before, before + n) for n, (before, _) in zip(shape, widths, strict=True))


_surround.defvjp(lambda g, out, x, widths, value: _getitem(g, index=_inside(x.shape, widths)))


def _with_constant(input: Tensor, widths: Widths, value: Any) -> Any:
    """Negative widths first cut elements off."""
    if any(n + min(before, 0) + min(after, 0) < 0 for n, (before, after) in zip(input.shape, widths, strict=True)):
        raise ShapeError(f"pad: negative padding {widths} cuts off more than the input of shape {input.shape} has")
    kept = tuple(
        slice(max(-before, 0), n - max(-after, 0)) for n, (before, after) in zip(input.shape, widths, strict=True)
    )
    added = tuple((max(before, 0), max(after, 0)) for before, after in widths)
    return _surround(_getitem(input, index=kept), widths=added, value=as_element("pad", "value", value, input.dtype))


# --- with elements of the input -------------------------------------------------------------------------------


def _reflected(places: Array, size: int) -> Array:
    """Places outside mirrored at the first and the last element, which are not repeated."""
    last = size - 1
    return last - np.abs(last - np.abs(places))


def _replicated(places: Array, size: int) -> Array:
    return np.clip(places, 0, size - 1)


def _wrapped(places: Array, size: int) -> Array:
    """Places outside counted on from the other end of those that negative padding keeps."""
    first, last = max(places[0], 0), min(places[-1], size - 1)
    return first + (places - first) % (last + 1 - first)


_SOURCES = {"reflect": _reflected, "replicate": _replicated, "circular": _wrapped}


def _largest(mode: str, size: int, before: int, after: int) -> float:
    """How many elements a dimension can supply at one end."""
    if mode == "replicate":
        return math.inf
    return size - 1 if mode == "reflect" else size + min(before, 0) + min(after, 0)


def _check_extension(input: Tensor, widths: Widths, mode: str) -> None:
    """PyTorch pads the last 1 to 3 dimensions, behind channels and perhaps a batch, which may be empty."""
    padded = len(widths)
    if not (1 <= padded <= 3 and input.ndim in (padded + 1, padded + 2)):
        raise ShapeError(
            f"pad: mode={mode!r} pads the last 1, 2 or 3 dimensions of tensors with 1 or 2 more, got {padded} for "
            f"shape {input.shape}"
        )
    for n, (before, after) in zip(input.shape[-padded:], widths, strict=True):
        if n + before + after < 1:
            raise ShapeError(f"pad: nothing would be left of a dimension of size {n} padded by {(before, after)}")
        largest = _largest(mode, n, before, after)
        if max(before, after) > largest:
            raise ArgumentError(
                f"pad: mode={mode!r} pads by at most {largest} at a dimension of size {n}, got {(before, after)}"
            )
    if mode != "circular" and 0 in input.shape[-padded - 1 :]:
        raise ShapeError(f"pad: mode={mode!r} needs elements to repeat, got shape {input.shape}")


def _extended(input: Tensor, widths: Widths, mode: str) -> Any:
    _check_extension(input, widths, mode)
    out = input
    for dim, (before, after) in zip(range(input.ndim - len(widths), input.ndim), widths, strict=True):
        if before or after:
            size = input.shape[dim]
            places = _SOURCES[mode](np.arange(-before, size + after), size)
            out = _index_select(out, index=places, dim=dim)
    return out if out is not input else input.clone()


# --- both -----------------------------------------------------------------------------------------------------


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """`input` with elements added around it (or, where negative, cut off).

    `pad` lists how many, before and after, for the last dimension first: (left, right, top, bottom, front, back).
    `mode` says what is added: "constant", the `value` (0 by default), to any dimensions; "reflect", the elements
    mirrored at the first and last one; "replicate", the first and last one; "circular", those of the other end.
    The last three pad the last dimensions of (C, L), (C, H, W), (C, D, H, W), or of batches of these.

    Raises:
        ArgumentError: for an odd number of widths, another mode, a value outside mode "constant", or, in modes
            "reflect" and "circular", a width that the dimension cannot supply.
        ShapeError: for more widths than dimensions, or if more is cut off than there is.
    """
    need_tensors("pad", input)
    given = _sizes("pad", (pad,), "pad")
    if len(given) % 2:
        raise ArgumentError(f"pad: pad must list pairs (before, after), got {given}")
    widths = tuple(zip(given[-2::-2], given[::-2], strict=True))  # for the first padded dimension first
    if mode == "constant":
        if len(widths) > input.ndim:
            raise ShapeError(f"pad: {len(widths)} pairs of widths for {input.ndim} dimensions of shape {input.shape}")
        unpadded = ((0, 0),) * (input.ndim - len(widths))
        return _with_constant(input, unpadded + widths, 0 if value is None else value)
    if mode not in tuple(_SOURCES):
        raise ArgumentError(f'pad: mode must be "constant", "reflect", "replicate" or "circular", got {mode!r}')
    if value:
        raise ArgumentError(
            f'pad: value={value} has no meaning in mode={mode!r}; leave it out, or write mode="constant"'
        )
    return _extended(input, widths, mode)
