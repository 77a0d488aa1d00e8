"""Dropout: setting a random part of the elements, or of the channels, to zero or to a constant."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...creation import Generator, rand
from ...errors import ShapeError
from ...tensor import Tensor, from_array
from .arguments import need_floats, need_probability, need_tensors, refuse_inplace
from .rectifiers import SELU_ALPHA, SELU_SCALE

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]


def _is_active(name: str, input: Any, p: float, training: bool, inplace: bool) -> bool:
    """Whether anything is dropped, after a check of the arguments; otherwise the input is returned as it is."""
    need_tensors(name, input=input)
    need_probability(name, p)
    refuse_inplace(name, inplace)
    if not training or p == 0:
        return False
    need_floats(name, input=input)
    return True


def _kept(input: Tensor, shape: tuple[int, ...], p: float, generator: Generator | None) -> Any:
    """Which elements stay: 1 with probability 1 - p, otherwise 0, in the dtype of the input."""
    return (rand(shape, generator=generator)._array >= p).astype(input.dtype)


def _dropped(input: Tensor, shape: tuple[int, ...], p: float, generator: Generator | None) -> Any:
    """The input with a part set to zero and the rest scaled to keep the mean; `shape` broadcasts against the input."""
    kept = _kept(input, shape, p, generator)
    if p < 1:
        kept *= 1 / (1 - p)
    return input * from_array(kept)  # a product, so that nan and inf become nan where they are dropped, as in PyTorch


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """Set each element to zero with probability `p` and scale the others by 1 / (1 - p); nothing outside training.

    Source: N. Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting" (2014),
    https://jmlr.org/papers/v15/srivastava14a.html

    Raises:
        ArgumentError: if p is not in [0, 1].
        DtypeError: for integers, where something is dropped.
        NotImplementedError: for inplace=True.
    """
    if not _is_active("dropout", input, p, training, inplace):
        return input
    return _dropped(input, input.shape, p, generator)


def _channels(name: str, input: Tensor, layouts: dict[int, str], unbatched: int) -> tuple[int, ...]:
    """The shape with one element for each channel, and each sample unless the input has `unbatched` dimensions."""
    if input.ndim not in layouts:
        raise ShapeError(f"{name}: input must be {' or '.join(layouts.values())}, got shape {input.shape}")
    leading = 1 if input.ndim == unbatched else 2
    return input.shape[:leading] + (1,) * (input.ndim - leading)


def dropout1d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """`dropout` of whole channels of (N, C, L) or (C, L).

    Raises:
        ArgumentError: if p is not in [0, 1].
        ShapeError: for another number of dimensions.
        DtypeError: for integers, where something is dropped.
        NotImplementedError: for inplace=True.
    """
    active = _is_active("dropout1d", input, p, training, inplace)
    channels = _channels("dropout1d", input, {2: "(C, L)", 3: "(N, C, L)"}, unbatched=2)
    return _dropped(input, channels, p, generator) if active else input


def dropout2d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """`dropout` of whole channels of (N, C, H, W); three dimensions are taken as (N, C, L), as in PyTorch.

    Source: J. Tompson et al., "Efficient Object Localization Using Convolutional Networks" (2014),
    https://arxiv.org/abs/1411.4280

    Raises:
        ArgumentError: if p is not in [0, 1].
        ShapeError: for another number of dimensions (PyTorch warns).
        DtypeError: for integers, where something is dropped.
        NotImplementedError: for inplace=True.
    """
    active = _is_active("dropout2d", input, p, training, inplace)
    channels = _channels("dropout2d", input, {3: "(N, C, L)", 4: "(N, C, H, W)"}, unbatched=0)
    return _dropped(input, channels, p, generator) if active else input


def dropout3d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """`dropout` of whole channels of (N, C, D, H, W) or (C, D, H, W).

    Raises:
        ArgumentError: if p is not in [0, 1].
        ShapeError: for another number of dimensions (PyTorch warns).
        DtypeError: for integers, where something is dropped.
        NotImplementedError: for inplace=True.
    """
    active = _is_active("dropout3d", input, p, training, inplace)
    channels = _channels("dropout3d", input, {4: "(C, D, H, W)", 5: "(N, C, D, H, W)"}, unbatched=4)
    return _dropped(input, channels, p, generator) if active else input


def alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """Dropout for SELU: elements are set to SELU's lower limit, then all are scaled to keep mean 0 and variance 1.

    Source: G. Klambauer et al., "Self-Normalizing Neural Networks" (2017), https://arxiv.org/abs/1706.02515

    Raises:
        ArgumentError: if p is not in [0, 1].
        DtypeError: for integers, where something is dropped.
        NotImplementedError: for inplace=True.
    """
    if not _is_active("alpha_dropout", input, p, training, inplace):
        return input
    return _alpha_dropped(input, input.shape, p, generator)


def feature_alpha_dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Any:
    """`alpha_dropout` of whole channels of (N, C, ...).

    Raises:
        ArgumentError: if p is not in [0, 1].
        ShapeError: for fewer than 2 dimensions, where something is dropped.
        DtypeError: for integers, where something is dropped.
        NotImplementedError: for inplace=True.
    """
    if not _is_active("feature_alpha_dropout", input, p, training, inplace):
        return input
    if input.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout: input must be (N, C, ...), got shape {input.shape}")
    return _alpha_dropped(input, input.shape[:2] + (1,) * (input.ndim - 2), p, generator)


def _alpha_dropped(input: Tensor, shape: tuple[int, ...], p: float, generator: Generator | None) -> Any:
    kept = _kept(input, shape, p, generator)
    if p == 1:
        return input * from_array(kept)
    limit = -SELU_ALPHA * SELU_SCALE
    # A unit variable that is replaced by `limit` with probability p has mean p * limit, and this variance:
    scale = 1 / math.sqrt((1 - p) * (1 + p * limit * limit))
    shift = ((1 - kept) * limit - p * limit) * scale
    return input * from_array(kept * scale) + from_array(np.asarray(shift, input.dtype))
