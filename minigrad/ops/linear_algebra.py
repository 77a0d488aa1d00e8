"""Products of vectors, matrices and batches of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentTypeError, DtypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor, as_tensor, method
from .arithmetic import _where
from .shape import checked_dim, need_tensors, sum_to

__all__ = [
    "addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "cross", "dot", "ger", "inner", "linear", "matmul", "mm",
    "mv", "outer", "vdot",
]  # fmt: skip

# --- checks -----------------------------------------------------------------------------------------------------

_RANKS = {1: "a vector", 2: "a matrix", 3: "a batch of matrices (3 dimensions)"}


def _need_one_dtype(name: str, *operands: Tensor) -> None:
    """Products do not promote, and booleans have none."""
    dtypes = [o.dtype for o in operands]
    if len(set(dtypes)) > 1:
        raise DtypeError(
            f"{name}: all operands must have one dtype, got {' and '.join(map(str, dtypes))}; convert one with "
            ".to(dtype)"
        )
    if dtypes[0] == np.bool_:
        raise DtypeError(f"{name}: there are no products of booleans, got bool; convert with x.long() or x.float()")


def _need_ranks(name: str, operands: Sequence[Any], ranks: Sequence[int]) -> None:
    need_tensors(name, *operands)
    for i, (operand, rank) in enumerate(zip(operands, ranks, strict=True)):
        if operand.ndim != rank:
            raise ShapeError(
                f"{name}: operand {i} must be {_RANKS[rank]}, got shape {operand.shape}; write matmul for other ranks"
            )


# --- the matrix product -----------------------------------------------------------------------------------------


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
        DtypeError: if the dtypes differ, or are boolean.
    """
    return _product("matmul", as_tensor(input), as_tensor(other))


def _product(name: str, x: Any, y: Any) -> Any:
    """The matrix product, refused under the name of the function that was called."""
    if not x.ndim or not y.ndim:
        raise ShapeError(
            f"{name}: both operands need at least 1 dimension, got shapes {x.shape} and {y.shape}; write x * y"
        )
    _need_one_dtype(name, x, y)
    if x.ndim > 2 and y.ndim > 2:
        for n, m in zip(x.shape[-3::-1], y.shape[-3::-1], strict=False):
            if n != m and n != 1 and m != 1:
                raise ShapeError(
                    f"{name}: shapes {x.shape} and {y.shape}: the sizes before the last two must broadcast, {n} and "
                    f"{m} do not"
                )
    inner_x, inner_y = x.shape[-1], y.shape[-2 if y.ndim > 1 else 0]
    if inner_x != inner_y:
        raise ShapeError(f"{name}: inner sizes differ: {x.shape} @ {y.shape} needs {inner_x} == {inner_y}")
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
        ShapeError: if one of them is not a matrix, or the inner sizes differ.
        DtypeError: if the dtypes differ, or are boolean.
    """
    _need_ranks("mm", (input, mat2), (2, 2))
    return _product("mm", input, mat2)


@method
def mv(input: Tensor, vec: Tensor) -> Any:
    """The product of a matrix and a vector.

    Raises:
        ShapeError: for other ranks, or if the inner sizes differ.
        DtypeError: if the dtypes differ, or are boolean.
    """
    _need_ranks("mv", (input, vec), (2, 1))
    return _product("mv", input, vec)


@method
def bmm(input: Tensor, mat2: Tensor) -> Any:
    """The products of two batches of as many matrices, (b, n, k) and (b, k, m); matmul also broadcasts.

    Raises:
        ShapeError: for other ranks, or sizes that do not fit.
        DtypeError: if the dtypes differ, or are boolean.
    """
    return _batched_product("bmm", input, mat2)


def _batched_product(name: str, input: Tensor, mat2: Tensor) -> Any:
    _need_ranks(name, (input, mat2), (3, 3))
    if input.shape[0] != mat2.shape[0]:
        raise ShapeError(
            f"{name}: the batches must have as many matrices, got {input.shape[0]} and {mat2.shape[0]} (shapes "
            f"{input.shape} and {mat2.shape}); write matmul to broadcast"
        )
    return _product(name, input, mat2)


# --- a matrix product added to something ------------------------------------------------------------------------


def _added(name: str, input: Tensor, product: Tensor, beta: Any, alpha: Any) -> Any:
    """beta * input + alpha * product, with the input broadcast to the product."""
    for factor in (beta, alpha):
        if not isinstance(factor, (int, float)):
            raise ArgumentTypeError(f"{name}: beta and alpha must be numbers, got {factor!r}"[:160])
    fits = input.ndim <= product.ndim and all(
        n in (1, m) for n, m in zip(input.shape[::-1], product.shape[::-1], strict=False)
    )
    if not fits:
        raise ShapeError(f"{name}: input of shape {input.shape} cannot be expanded to the product's {product.shape}")
    if product.dtype.kind in "biu" and any(isinstance(factor, float) for factor in (beta, alpha)):
        raise DtypeError(
            f"{name}: beta and alpha must be integers for {product.dtype} tensors, got beta={beta}, alpha={alpha}"
        )
    if alpha != 1:
        product = product * alpha
    if beta == 0:
        input = _where(0.0, input, condition=np.True_)  # not even its nan and inf count
    elif beta != 1:
        input = input * beta
    return input + product


@method
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * mat1 @ mat2; with beta=0 the values of the input are ignored.

    Raises:
        ShapeError: for other ranks, sizes that do not fit, or an input that does not broadcast to the product.
        DtypeError: if the dtypes differ, or factors of integers are not integers.
    """
    need_tensors("addmm", input)
    _need_ranks("addmm", (mat1, mat2), (2, 2))
    _need_one_dtype("addmm", input, mat1, mat2)
    return _added("addmm", input, _product("addmm", mat1, mat2), beta, alpha)


@method
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * mat @ vec; with beta=0 the values of the input are ignored.

    Raises:
        ShapeError, DtypeError: as `addmm`.
    """
    need_tensors("addmv", input)
    _need_ranks("addmv", (mat, vec), (2, 1))
    _need_one_dtype("addmv", input, mat, vec)
    return _added("addmv", input, _product("addmv", mat, vec), beta, alpha)


@method
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * outer(vec1, vec2), in the common dtype; with beta=0 the input's values are ignored.

    Raises:
        ShapeError: if an operand is not a vector, or the input does not broadcast to their product.
        DtypeError: if factors of integers are not integers.
    """
    need_tensors("addr", input)
    return _added("addr", input, _outer("addr", vec1, vec2), beta, alpha)


@method
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * bmm(batch1, batch2); with beta=0 the values of the input are ignored.

    Raises:
        ShapeError, DtypeError: as `addmm`.
    """
    need_tensors("baddbmm", input, batch1, batch2)
    _need_one_dtype("baddbmm", input, batch1, batch2)
    return _added("baddbmm", input, _batched_product("baddbmm", batch1, batch2), beta, alpha)


@method
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * the sum of all the products bmm(batch1, batch2).

    Raises:
        ShapeError, DtypeError: as `addmm`.
    """
    need_tensors("addbmm", input, batch1, batch2)
    _need_one_dtype("addbmm", input, batch1, batch2)
    total = _batched_product("addbmm", batch1, batch2).sum(0).to(input.dtype)
    return _added("addbmm", input, total, beta, alpha)


# --- products of vectors ----------------------------------------------------------------------------------------


@method
def dot(input: Tensor, tensor: Tensor) -> Any:
    """The dot product of two vectors.

    Raises:
        ShapeError: if one of them is not a vector, or their sizes differ.
        DtypeError: if the dtypes differ, or are boolean.
    """
    return _dot("dot", input, tensor)


@method
def vdot(input: Tensor, other: Tensor) -> Any:
    """The dot product of two vectors; it differs from `dot` for complex numbers only, which minigrad does not have.

    Raises:
        ShapeError, DtypeError: as `dot`.
    """
    return _dot("vdot", input, other)


def _dot(name: str, x: Tensor, y: Tensor) -> Any:
    _need_ranks(name, (x, y), (1, 1))
    if x.shape != y.shape:
        raise ShapeError(f"{name}: the vectors must have the same size, got {x.shape[0]} and {y.shape[0]}")
    return _product(name, x, y)


@method
def inner(input: Tensor, other: Tensor) -> Any:
    """Dot products over the last dimension of both: out[..., i, j] = sum over k of input[..., i, k] other[..., j, k].

    The shape is that of `input` and then that of `other`, both without their last dimension; with a 0-dim operand
    it is the product.

    Raises:
        ShapeError: if the last sizes differ.
        DtypeError: if the dtypes differ, or are boolean.
    """
    need_tensors("inner", input, other)
    if not input.ndim or not other.ndim:
        return input * other
    if input.shape[-1] != other.shape[-1]:
        raise ShapeError(f"inner: the last sizes must be equal, got shapes {input.shape} and {other.shape}")
    out = _product("inner", _rows(input), _rows(other).mT)
    return out.reshape(input.shape[:-1] + other.shape[:-1])


def _rows(x: Any) -> Any:
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


@method
def outer(input: Tensor, vec2: Tensor) -> Any:
    """All products of two vectors' elements, out[i, j] = input[i] vec2[j], in their common dtype.

    Raises:
        ShapeError: if an operand is not a vector.
    """
    return _outer("outer", input, vec2)


@method
def ger(input: Tensor, vec2: Tensor) -> Any:
    """The older name of `outer`.

    Raises:
        ShapeError: as `outer`.
    """
    return _outer("ger", input, vec2)


def _outer(name: str, x: Any, y: Any) -> Any:
    _need_ranks(name, (x, y), (1, 1))
    return x.unsqueeze(1) * y


@op(saves="inputs")
def _cross(x: Array, y: Array, *, dim: int) -> Array:
    def following(v: Array, steps: int) -> Array:
        return np.roll(v, -steps, axis=dim)

    return following(x, 1) * following(y, 2) - following(x, 2) * following(y, 1)


_cross.defvjp(lambda g, out, x, y, dim: _cross(y, g, dim=dim), lambda g, out, x, y, dim: _cross(g, x, dim=dim))


@method
def cross(input: Tensor, other: Tensor, dim: int | None = None) -> Any:
    """The cross product of vectors that lie along `dim` (the first dimension of size 3 by default); others broadcast.

    Raises:
        ShapeError: if the ranks differ, sizes do not broadcast, or `dim` does not have size 3 in both.
        DtypeError: if the dtypes differ, or are boolean.
    """
    need_tensors("cross", input, other)
    if dim is None:
        if 3 not in input.shape:
            raise ShapeError(f"cross: shape {input.shape} has no dimension of size 3; a cross product needs 3 elements")
        dim = input.shape.index(3)
    return _crossed(input, other, dim)


def _crossed(input: Tensor, other: Tensor, dim: int) -> Any:
    need_tensors("cross", input, other)
    _need_one_dtype("cross", input, other)
    if input.ndim != other.ndim:
        raise ShapeError(f"cross: both need as many dimensions, got shapes {input.shape} and {other.shape}")
    axis = checked_dim("cross", dim, input.ndim)
    if not input.ndim or input.shape[axis] != 3 or other.shape[axis] != 3:
        raise ShapeError(f"cross: dim {dim} must have size 3 in both, got shapes {input.shape} and {other.shape}")
    x, y = _broadcast("cross", input, other)
    return _cross(x, y, dim=axis)


def _broadcast(name: str, *operands: Tensor) -> list[Any]:
    try:
        shape = np.broadcast_shapes(*[o.shape for o in operands])
    except ValueError:
        shapes = " and ".join(str(o.shape) for o in operands)
        raise ShapeError(f"{name}: shapes {shapes} do not broadcast: sizes must be equal or 1") from None
    return [o.expand(shape) for o in operands]


def _vecdot(x: Tensor, y: Tensor, dim: int) -> Any:
    need_tensors("vecdot", x, y)
    _need_one_dtype("vecdot", x, y)
    if x.dtype.kind not in "fc":
        raise DtypeError(f"vecdot: needs a floating dtype, got {x.dtype}; write x.float()")
    left, right = _broadcast("vecdot", x, y)
    return (left * right).sum(checked_dim("vecdot", dim, left.ndim))


# --- the linear layer -------------------------------------------------------------------------------------------


@op(saves="inputs")
def _linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    if x.ndim == 2 and weight.size > x.size:
        # BLAS first copies what is transposed: (W x^T)^T copies the smaller operand, in two thirds of the time.
        out = np.ascontiguousarray(np.matmul(weight, x.T).T)
    else:
        out = np.matmul(x, weight.T)
    if bias is not None:
        out += bias
    return out


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
    need_tensors("linear", *operands)
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
