"""Products of matrices and vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import DtypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor, as_tensor, method
from .shape import sum_to

__all__ = ["dot", "linear", "matmul", "mm"]


@op(saves="inputs")
def _matmul(x: Array, y: Array) -> Array:
    return np.matmul(x, y)


# Matrices (..., n, k) @ (..., k, m); leading sizes broadcast, so each gradient is summed back over them.
_matmul.defvjp(
    lambda g, out, x, y: sum_to(_matmul(g, y.mT), shape=x.shape),
    lambda g, out, x, y: sum_to(_matmul(x.mT, g), shape=y.shape),
)


@method
def matmul(input: Any, other: Any) -> Any:
    """The matrix product, with PyTorch's rules for ranks.

    Vector @ vector is the dot product; a vector on the left is a row, on the right a column, and its dimension is
    dropped again; with more than two dimensions, matrices are multiplied in batches whose leading sizes broadcast.

    Raises:
        ShapeError: if the inner sizes differ, or an operand has no dimension.
        DtypeError: if the dtypes differ.
    """
    x, y = as_tensor(input), as_tensor(other)
    if not x.ndim or not y.ndim:
        raise ShapeError(
            f"matmul: both operands need at least 1 dimension, got shapes {x.shape} and {y.shape}; write x * y"
        )
    if x.dtype != y.dtype:
        raise DtypeError(
            f"matmul: both operands must have one dtype, got {x.dtype} and {y.dtype}; convert one with .to(dtype)"
        )
    if x.ndim > 2 and y.ndim > 2:
        for n, m in zip(x.shape[-3::-1], y.shape[-3::-1], strict=False):
            if n != m and n != 1 and m != 1:
                raise ShapeError(
                    f"matmul: shapes {x.shape} and {y.shape}: the sizes before the last two must broadcast, {n} and "
                    f"{m} do not"
                )
    inner_x, inner_y = x.shape[-1], y.shape[-2 if y.ndim > 1 else 0]
    if inner_x != inner_y:
        raise ShapeError(f"matmul: inner sizes differ: {x.shape} @ {y.shape} needs {inner_x} == {inner_y}")
    row, column = x.ndim == 1, y.ndim == 1
    if row:
        x = x.unsqueeze(0)
    if column:
        y = y.unsqueeze(1)
    out = _matmul(x, y)
    if row:
        out = out.squeeze(-2)
    if column:
        out = out.squeeze(-1)
    return out


@method
def mm(input: Tensor, mat2: Tensor) -> Any:
    """The product of two matrices.

    Raises:
        ShapeError: if one of them is not a matrix.
    """
    if input.ndim != 2 or mat2.ndim != 2:
        raise ShapeError(
            f"mm: expected two matrices, got shapes {input.shape} and {mat2.shape}; write matmul for other ranks"
        )
    return matmul(input, mat2)


@method
def dot(input: Tensor, tensor: Tensor) -> Any:
    """The dot product of two vectors.

    Raises:
        ShapeError: if one of them is not a vector, or their sizes differ.
    """
    if input.ndim != 1 or tensor.ndim != 1:
        raise ShapeError(
            f"dot: expected two vectors, got shapes {input.shape} and {tensor.shape}; write matmul for other ranks"
        )
    if input.shape != tensor.shape:
        raise ShapeError(f"dot: the vectors must have the same size, got {input.shape[0]} and {tensor.shape[0]}")
    return matmul(input, tensor)


@op(saves="inputs")
def _linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    out = np.matmul(x, weight.T)
    if bias is not None:
        out += bias
    return out


def _rows(x: Any) -> Any:
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


_linear.defvjp(
    lambda g, out, x, weight, bias=None: _matmul(g, weight),
    lambda g, out, x, weight, bias=None: _matmul(_rows(g).mT, _rows(x)),
    lambda g, out, x, weight, bias: sum_to(g, shape=bias.shape),
)


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    """x W^T + b: input (..., in_features), weight (out_features, in_features) or (in_features,), bias (out_features,).

    Raises:
        ShapeError: if the sizes do not fit.
        DtypeError: if the dtypes differ.
    """
    operands = [input, weight] if bias is None else [input, weight, bias]
    if len({o.dtype for o in operands}) > 1:
        raise DtypeError(
            f"linear: input, weight and bias must have one dtype, got {', '.join(str(o.dtype) for o in operands)}"
        )
    if not input.ndim or weight.ndim not in (1, 2) or input.shape[-1] != weight.shape[-1]:
        raise ShapeError(
            f"linear: input {input.shape} and weight {weight.shape} must agree in their last size (in_features), "
            "weight being (out_features, in_features)"
        )
    if bias is not None and weight.ndim == 2 and bias.shape not in ((weight.shape[0],), (1,), ()):
        raise ShapeError(f"linear: bias of shape {bias.shape} must be (out_features,) = ({weight.shape[0]},)")
    if weight.ndim == 1 or input.ndim == 1:
        out = matmul(input, weight.t())
        return out if bias is None else out + bias
    return _linear(*operands)
