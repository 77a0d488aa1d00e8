"""Norms of vectors and matrices, and distances between vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import Array, as_dtype, promote_types
from ..errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor, from_array, method
from .arithmetic import _where
from .decompositions import svd_decomposition
from .linear_algebra import _broadcast, _matmul
from .reduction import _norm, _reduce
from .shape import Dims, checked_dims, need_tensors
from .solving import _inverse, need_matrices

__all__ = ["cdist", "dist", "pdist"]

# --- norms: the functions of linalg -----------------------------------------------------------------------------


def _as_normed(name: str, x: Any, dtype: Any) -> Any:
    """The input in the dtype to compute with, which must hold its values."""
    need_tensors(name, x)
    if x.dtype.kind not in "fc":
        raise DtypeError(f"{name}: needs a floating dtype, got {x.dtype}; write x.float()")
    if dtype is None:
        return x
    wanted = as_dtype(dtype)
    if promote_types(x.dtype, wanted) != wanted:
        raise DtypeError(f"{name}: dtype={wanted} would narrow the input of {x.dtype}; write x.to({wanted})")
    return x.to(wanted)


def vector_norm(x: Tensor, ord: float = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The `ord`-norm over `dim` (all dimensions by default) of the elements as one vector: (sum |x|^ord)^(1/ord).

    inf and -inf give the largest and the smallest |x|, 0 counts the elements that are not 0. Where a norm has a kink,
    as at x = 0, its gradient is 0.

    Raises:
        DtypeError: for integers, or a dtype that would narrow.
        DimError: for a dim out of range, or no elements for a norm that is an extreme of them.
        ArgumentTypeError: for an `ord` that is not a number.
    """
    return _vector_norm("vector_norm", x, ord, dim, keepdim, dtype)


def _vector_norm(name: str, x: Any, ord: Any, dim: Dims, keepdim: bool, dtype: Any) -> Any:
    x = _as_normed(name, x, dtype)
    if not isinstance(ord, (int, float)):
        raise ArgumentTypeError(f"{name}: ord must be a number, inf or -inf, got {ord!r}")
    dims = checked_dims(name, dim, x.ndim)
    if (ord < 0 or ord == math.inf) and not math.prod(x.shape[d] for d in dims):
        raise DimError(f"{name}: ord={ord} is an extreme, and there are no elements; shape {x.shape}, dim {dims}")
    return _norm(x, p=float(ord), dims=dims, keepdim=bool(keepdim))


def matrix_norm(
    input: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """A norm of the matrices that lie in the two dimensions `dim`.

    "fro" is the root of the sum of squares, "nuc" the sum of the singular values, 2 and -2 are the largest and the
    smallest of these, 1 and -1 the largest and the smallest sum of |elements| of a column, inf and -inf of a row.

    Raises:
        ArgumentError: for another `ord`.
        DimError: if `dim` is not two different dimensions.
        ShapeError: for fewer than two dimensions.
        DtypeError: for integers, a dtype that would narrow, or float16 where singular values are needed.
    """
    return _matrix_norm("matrix_norm", input, ord, dim, keepdim, dtype)


def _matrix_norm(name: str, input: Any, ord: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    A = _as_normed(name, input, dtype)
    if A.ndim < 2:
        raise ShapeError(f"{name}: expected a matrix or a batch of them, got shape {A.shape}")
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise DimError(f"{name}: dim must be two dimensions, got {dim!r}")
    rows, columns = checked_dims(name, dim, A.ndim)
    if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise ArgumentError(f"{name}: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}")
    if ord == "fro":
        return _norm(A, p=2.0, dims=(rows, columns), keepdim=bool(keepdim))
    rest = [i for i in range(A.ndim) if i not in (rows, columns)]
    out = _norm_of_matrices(name, A.permute([*rest, rows, columns]), ord)
    if keepdim:
        for d in sorted((rows, columns)):
            out = out.unsqueeze(d)
    return out


def _norm_of_matrices(name: str, A: Any, ord: Any) -> Any:
    """Of the matrices in the last two dimensions."""
    if ord == "nuc":
        return svd_decomposition(name, A, False).S.sum(-1)
    sizes = svd_decomposition(name, A, False).S if abs(ord) == 2 else A.abs().sum(-2 if abs(ord) == 1 else -1)
    if sizes.shape[-1]:
        return sizes.amax(-1) if ord > 0 else sizes.amin(-1)
    if ord < 0:
        raise DimError(f"{name}: ord={ord} is a smallest value, and there are none; the matrices have shape {A.shape}")
    return sizes.sum(-1)  # the largest of no sizes is 0


def norm(input: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """A vector or a matrix norm: of the vectors in one `dim`, or of the matrices in two.

    Without `dim` a vector or a matrix is taken as what it is; without `ord` the result is the length of all elements
    over `dim`, for any number of dimensions.

    Raises:
        ShapeError: if `ord` is given without `dim` for other ranks than 1 and 2.
        DimError: for other than one or two dimensions, or ones out of range.
        ArgumentError, ArgumentTypeError, DtypeError: as `vector_norm` and `matrix_norm`.
    """
    need_tensors("norm", input)
    if isinstance(dim, (tuple, list)) and len(dim) not in (1, 2):
        raise DimError(f"norm: dim must be one or two dimensions, got {tuple(dim)}")
    if ord is None:
        return _vector_norm("norm", input, 2, dim, keepdim, dtype)
    if dim is None:
        if input.ndim not in (1, 2):
            raise ShapeError(f"norm: ord without dim needs a vector or a matrix, got shape {input.shape}; give dim")
        dim = tuple(range(input.ndim))
    of_matrix = isinstance(ord, str) or (isinstance(dim, (tuple, list)) and len(dim) == 2)
    return (_matrix_norm if of_matrix else _vector_norm)("norm", input, ord, dim, keepdim, dtype)


def cond(input: Tensor, p: Any = None) -> Any:
    """The condition number: the norm `p` of a matrix times that of its inverse; inf for a singular matrix.

    For p = None and 2 it is the ratio of the largest singular value to the smallest, for -2 the inverse ratio.

    Raises:
        ArgumentError: for another norm.
        ShapeError: if the matrices are not square, where an inverse is needed.
        DtypeError: if the dtype is not float32 or float64.
    """
    if p not in (None, "fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise ArgumentError(f"cond: p must be None, 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {p!r}")
    by_values = p in (None, 2, -2)
    need_matrices("cond", input, square=not by_values)
    if not math.prod(input.shape[-2:]):
        return input.sum((-2, -1))
    if by_values:
        S = svd_decomposition("cond", input, False).S
        return S[..., -1] / S[..., 0] if p == -2 else S[..., 0] / S[..., -1]
    singular = np.linalg.slogdet(input._array)[0] == 0
    identity = from_array(np.eye(input.shape[-1], dtype=input.dtype))
    A = _where(identity, input, condition=singular[..., None, None])
    product = _matrix_norm("cond", A, p, (-2, -1), False, None) * _matrix_norm(
        "cond", _inverse(A, name="cond"), p, (-2, -1), False, None
    )
    return _where(math.inf, product, condition=np.asarray(singular))


# --- distances --------------------------------------------------------------------------------------------------


@op
def _largest(differences: Array) -> Array:
    return _reduce(np.maximum, np.abs(differences), -1, False, initial=0.0)


def _largest_vjp(g: Any, out: Any, x: Any) -> Any:
    """Every coordinate with the largest difference gets the whole gradient, as in PyTorch's distances."""
    return _where(g.unsqueeze(-1) * x.sign(), 0.0, condition=np.abs(x._array) == out._array[..., None])


_largest.defvjp(_largest_vjp)


def _lengths(differences: Any, p: float) -> Any:
    """The p-norm over the last dimension."""
    if p == math.inf:
        return _largest(differences)
    return _norm(differences, p=float(p), dims=(differences.ndim - 1,), keepdim=False)


def _need_order(name: str, p: Any) -> None:
    if not isinstance(p, (int, float)) or not p >= 0:
        raise ArgumentError(f"{name}: p must be a number >= 0 or inf, got {p!r}")


@op
def _euclidean(x: Array, y: Array) -> Array:
    """|x - y|^2 = |x|^2 - 2 x y + |y|^2, as one matrix product."""
    squares = _reduce(np.add, x * x, -1, True), _reduce(np.add, y * y, -1, True)
    left = np.concatenate([-2 * x, squares[0], np.ones_like(squares[0])], -1)
    right = np.concatenate([y, np.ones_like(squares[1]), squares[1]], -1)
    product = np.matmul(left, np.swapaxes(right, -1, -2))
    return np.sqrt(np.where(product.real < 0, 0, product))  # rounding can make a square distance negative


def _euclidean_vjp(g: Any, out: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """(x_i - y_j) / distance, summed without forming the differences; 0 where the distance is."""
    zero = out._array == 0
    ratio = _where(0.0, g / _where(1.0, out, condition=zero), condition=zero)
    gx = x * ratio.sum(-1).unsqueeze(-1) - _matmul(ratio, y)
    gy = y * ratio.sum(-2).unsqueeze(-1) - _matmul(ratio.mT, x)
    return gx, gy


_euclidean.defvjp(joint=_euclidean_vjp)

_MM_MODES = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = _MM_MODES[0]) -> Any:
    """The distances |x1_i - x2_j|_p between all rows: (..., n, d) and (..., m, d) to (..., n, m); batches broadcast.

    p is any number >= 0 or inf; with p=0 it counts the differing coordinates. The gradient at distance 0 is 0. For
    p=2, `compute_mode` says whether a matrix product computes the distances, which is faster but less accurate for
    vectors close together: by default it does for more than 25 rows.

    Raises:
        ShapeError: for fewer than two dimensions, other sizes of rows, or batches that do not broadcast.
        ArgumentError: for a negative p, or another compute_mode.
        DtypeError: if the dtypes differ, or are not float32 or float64.
    """
    need_matrices("cdist", x1, x2)
    _need_order("cdist", p)
    if compute_mode not in _MM_MODES:
        raise ArgumentError(f"cdist: compute_mode must be one of {', '.join(_MM_MODES)}, got {compute_mode!r}")
    if x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"cdist: rows must have one size, got {x1.shape[-1]} and {x2.shape[-1]}")
    try:
        batch = np.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    except ValueError:
        raise ShapeError(f"cdist: the batches of shapes {x1.shape} and {x2.shape} do not broadcast") from None
    many = max(x1.shape[-2], x2.shape[-2]) > 25
    if p == 2 and (compute_mode == _MM_MODES[1] or (compute_mode == _MM_MODES[0] and many)):
        return _euclidean(x1.expand(batch + x1.shape[-2:]), x2.expand(batch + x2.shape[-2:]))
    return _lengths(x1.unsqueeze(-2) - x2.unsqueeze(-3), p)


def pdist(input: Tensor, p: float = 2.0) -> Any:
    """The distances between all pairs of rows of a matrix (n, d), as a vector: (0, 1), (0, 2), ..., (n - 2, n - 1).

    Raises:
        ShapeError: if it is not a matrix.
        ArgumentError: for a negative p.
        DtypeError: if the dtype is not float32 or float64.
    """
    need_matrices("pdist", input)
    _need_order("pdist", p)
    if input.ndim != 2:
        raise ShapeError(f"pdist: expected a matrix of one row for each point, got shape {input.shape}")
    first, second = np.triu_indices(input.shape[0], 1)
    return _lengths(input[first] - input[second], p)


@method
def dist(input: Tensor, other: Tensor, p: float = 2) -> Any:
    """The p-norm of input - other, over all elements.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DtypeError: for integers.
    """
    need_tensors("dist", input, other)
    if not isinstance(p, (int, float)):
        raise ArgumentTypeError(f"dist: p must be a number, got {p!r}")
    x, y = _broadcast("dist", input, other)
    return _vector_norm("dist", x - y, p, None, False, None)
