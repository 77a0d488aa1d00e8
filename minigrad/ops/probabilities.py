"""Exponentials relative to their sum, and the logarithm of the sum, without overflow."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import Array, as_dtype, scalar_dtype
from ..primitive import op
from ..tensor import Tensor, method
from .reduction import _kept, _need_floating, _reduce
from .shape import checked_dim, checked_dims

__all__ = ["log_softmax", "logsumexp", "softmax"]


@op(floating=True)
def _logsumexp(x: Array, *, dims: tuple[int, ...], keepdim: bool) -> Array:
    top = _reduce(np.maximum, x, dims, True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0)  # all -inf: exp(-inf) sums to 0, and log(0) is -inf, as it should be
    out = np.log(_reduce(np.add, np.exp(x - top), dims, True)) + top
    return np.asarray(out if keepdim else out.reshape([n for i, n in enumerate(x.shape) if i not in dims]))


_logsumexp.defvjp(lambda g, out, x, dims, keepdim: _kept(g, dims, keepdim) * (x - _kept(out, dims, keepdim)).exp())


@method
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Any:
    """log(sum(exp(x))) over `dim`, without overflow: the maximum is taken out first.

    Raises:
        DimError: for a dim out of range.
    """
    return _logsumexp(input, dims=checked_dims("logsumexp", dim, input.ndim), keepdim=keepdim)


def _normalised(name: str, kernel: Any, input: Tensor, dim: int, dtype: Any) -> Any:
    if dtype is not None:
        input = input.to(as_dtype(dtype))
        _need_floating(name, input, "a floating dtype")
    elif input.dtype.kind in "biu":
        input = input.to(scalar_dtype(0.0))
    axis = checked_dim(name, dim, input.ndim)
    if not input.ndim:
        return kernel(input.reshape(1), dim=0).reshape(())
    return kernel(input, dim=axis)


@op(saves="output")
def _softmax(x: Array, *, dim: int) -> Array:
    if not x.size:
        return x.copy()
    powers = np.exp(x - _reduce(np.maximum, x, dim, True))
    return powers / _reduce(np.add, powers, dim, True)


# The Jacobian diag(p) - p p^T, applied without forming it.
_softmax.defvjp(lambda g, out, x, dim: (g - (g * out).sum(dim, keepdim=True)) * out)


@method
def softmax(input: Tensor, dim: int, dtype: Any = None) -> Any:
    """exp(x) normalised to sum 1 over `dim`; the maximum is taken out first, so that nothing overflows.

    Raises:
        DimError: for a dim out of range.
        DtypeError: for a dtype that is not floating.
    """
    return _normalised("softmax", _softmax, input, dim, dtype)


@op(saves="output")
def _log_softmax(x: Array, *, dim: int) -> Array:
    if not x.size:
        return x.copy()
    shifted = x - _reduce(np.maximum, x, dim, True)
    return shifted - np.log(_reduce(np.add, np.exp(shifted), dim, True))


_log_softmax.defvjp(lambda g, out, x, dim: g - out.exp() * g.sum(dim, keepdim=True))


@method
def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Any:
    """The logarithm of `softmax` over `dim`, computed without forming the softmax.

    Raises:
        DimError: for a dim out of range.
        DtypeError: for a dtype that is not floating.
    """
    return _normalised("log_softmax", _log_softmax, input, dim, dtype)
