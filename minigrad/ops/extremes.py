"""Largest and smallest elements: their values, where they are, and who receives the gradient when several tie."""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from ..errors import DimError, DtypeError
from ..primitive import op
from ..tensor import Tensor, from_array, method
from .arithmetic import _where
from .reduction import _kept, _reduce
from .shape import Dims, checked_dim, checked_dims

__all__ = ["amax", "amin", "aminmax", "argmax", "argmin", "max", "min"]


class Selection(NamedTuple):
    """Elements that were chosen along a dimension, and where they were."""

    values: Any
    indices: Any


class AminmaxResult(NamedTuple):
    """What `aminmax` returns."""

    min: Any
    max: Any


def _need_elements(name: str, x: Tensor, dims: tuple[int, ...]) -> None:
    if builtins.any(x.shape[d] == 0 for d in dims) or (not dims and x.numel() == 0):
        raise DimError(f"{name}: there is no extreme of no elements; shape {x.shape}, reduced over dim {dims}")


# --- values ---------------------------------------------------------------------------------------------------


@op
def _amax(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Array:
    return _reduce(np.maximum, x, dims, keepdim)


@op
def _amin(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Array:
    return _reduce(np.minimum, x, dims, keepdim)


def _extreme_vjp(g: Any, out: Any, x: Any, dims: tuple[int, ...], keepdim: bool) -> Any:
    """All elements that tie for the extreme share its gradient evenly, as in PyTorch."""
    ties = (x == _kept(out, dims, keepdim)).to(x.dtype)
    return _kept(g, dims, keepdim) * (ties / ties.sum(dims, keepdim=True))


_amax.defvjp(_extreme_vjp)
_amin.defvjp(_extreme_vjp)


@method
def amax(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Any:
    """The maximum over `dim`; elements that tie share the gradient evenly.

    Raises:
        DimError: if there are no elements to choose from.
    """
    dims = checked_dims("amax", dim, input.ndim)
    _need_elements("amax", input, dims)
    return _amax(input, dims=dims, keepdim=keepdim)


@method
def amin(input: Tensor, dim: Dims = None, keepdim: bool = False) -> Any:
    """The minimum over `dim`; elements that tie share the gradient evenly.

    Raises:
        DimError: if there are no elements to choose from.
    """
    dims = checked_dims("amin", dim, input.ndim)
    _need_elements("amin", input, dims)
    return _amin(input, dims=dims, keepdim=keepdim)


@method
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> AminmaxResult:
    """The named tuple (min, max) over `dim`, or of all elements; elements that tie share the gradient evenly.

    Raises:
        DimError: if there are no elements to choose from.
    """
    dims = checked_dims("aminmax", dim if dim is None else (dim,), input.ndim)
    _need_elements("aminmax", input, dims)
    return AminmaxResult(_amin(input, dims=dims, keepdim=keepdim), _amax(input, dims=dims, keepdim=keepdim))


# --- places ---------------------------------------------------------------------------------------------------


@method
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the first maximum over `dim`, or into the flattened tensor.

    Raises:
        DimError: if there are no elements to choose from.
        DtypeError: for booleans; write x.long().
    """
    _need_numbers("argmax", input)
    return _arg("argmax", np.argmax, input, dim, keepdim)


@method
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the first minimum over `dim`, or into the flattened tensor.

    Raises:
        DimError: if there are no elements to choose from.
        DtypeError: for booleans; write x.long().
    """
    _need_numbers("argmin", input)
    return _arg("argmin", np.argmin, input, dim, keepdim)


def _need_numbers(name: str, input: Tensor) -> None:
    if input.dtype == np.bool_:
        raise DtypeError(f"{name}: needs numbers, got bool; write {name}(x.long())")


def _arg(name: str, function: Any, input: Tensor, dim: int | None, keepdim: bool) -> Any:
    if dim is None:
        _need_elements(name, input, tuple(range(input.ndim)))
        index = np.asarray(function(input._array))
        return from_array(index.reshape((1,) * input.ndim) if keepdim else index)
    axis = checked_dim(name, dim, input.ndim)
    if not input.ndim:
        return from_array(np.zeros((), np.int64))
    _need_elements(name, input, (axis,))
    return from_array(np.asarray(function(input._array, axis=axis, keepdims=keepdim)))


# --- max and min ----------------------------------------------------------------------------------------------


@op
def _whole_max(x: Array) -> Array:
    return np.asarray(np.maximum.reduce(x, axis=None))


@op
def _whole_min(x: Array) -> Array:
    return np.asarray(np.minimum.reduce(x, axis=None))


def _shared_by_equals(g: Any, out: Any, x: Any) -> Any:
    """One element was chosen by its value: all that are equal to it share the gradient evenly, for nan all nan."""
    value = out._array
    equal = np.isnan(x._array) if np.isnan(value) else x._array == value
    return _where(g / int(np.count_nonzero(equal)), 0.0, condition=equal)


_whole_max.defvjp(_shared_by_equals)
_whole_min.defvjp(_shared_by_equals)


def _extreme(name: str, function: Any, whole: Any, pairwise: Any, input: Tensor, dim: Any, keepdim: bool) -> Any:
    if isinstance(dim, Tensor):
        return pairwise(input, dim)
    if dim is None:
        _need_elements(name, input, tuple(range(input.ndim)))
        return whole(input)
    indices = _arg(name, function, input, dim, True)
    values = input.take_along_dim(indices, dim) if input.ndim else input
    if not keepdim and input.ndim:
        axis = checked_dim(name, dim, input.ndim)
        values, indices = values.squeeze(axis), indices.squeeze(axis)
    return Selection(values, indices)


@method
def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The maximum of all elements; with `dim`, a named tuple (values, indices); with a tensor, `maximum`.

    With `dim` the gradient goes to the element at the returned index; without, ties share it evenly.

    Raises:
        DimError: if there are no elements to choose from.
    """
    from .arithmetic import maximum

    return _extreme("max", np.argmax, _whole_max, maximum, input, dim, keepdim)


@method
def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The minimum of all elements; with `dim`, a named tuple (values, indices); with a tensor, `minimum`.

    Raises:
        DimError: if there are no elements to choose from.
    """
    from .arithmetic import minimum

    return _extreme("min", np.argmin, _whole_min, minimum, input, dim, keepdim)
