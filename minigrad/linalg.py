"""Linear algebra under the names of `torch.linalg`; the derivatives are next to the ops, in `minigrad.ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import ArgumentError, DtypeError, LinAlgError
from .ops import decompositions, linear_algebra, matrix_functions
from .ops.decompositions import (
    SVDResult,
    eigh,
    eigvalsh,
    svd_decomposition,
)
from .ops.decompositions import qr_decomposition as qr
from .ops.distances import cond, matrix_norm, norm, vector_norm
from .ops.linear_algebra import _crossed, _vecdot
from .ops.matrix_functions import checked_integer, matrix_rank, multi_dot, powers, pseudoinverse
from .ops.shape import need_tensors
from .ops.solving import inverse_of, solve, solve_triangular
from .tensor import Tensor

__all__ = [
    "LinAlgError", "cholesky", "cond", "cross", "det", "eig", "eigh", "eigvals", "eigvalsh", "inv", "matmul",
    "matrix_exp", "matrix_norm", "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet", "solve",
    "solve_triangular", "svd", "svdvals", "vander", "vecdot", "vector_norm",
]  # fmt: skip


def matmul(input: Tensor, other: Tensor) -> Any:
    """The matrix product; `minigrad.matmul`."""
    return linear_algebra.matmul(input, other)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Any:
    """The dot products of the vectors along `dim`; other sizes broadcast.

    Raises:
        ShapeError: if the shapes do not broadcast.
        DtypeError: if the dtypes differ, or are not floating.
    """
    return _vecdot(x, y, dim)


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Any:
    """The cross products of the vectors along `dim`, which has size 3; other sizes broadcast.

    Raises:
        ShapeError, DtypeError: as `minigrad.cross`.
    """
    return _crossed(input, other, dim)


def vander(x: Tensor, *, N: int | None = None) -> Any:
    """Vandermonde matrices: the powers 0 to N - 1 of vectors (..., n), along a new last dimension.

    Raises:
        ArgumentError: if N is less than 2.
        DtypeError: for booleans.
    """
    need_tensors("vander", x)
    if x.dtype == np.bool_:
        raise DtypeError("vander: needs numbers, got bool; convert with x.long() or x.float()")
    columns = (x.shape[-1] if x.ndim else 1) if N is None else checked_integer("vander", "N", N)
    if columns < 2:
        raise ArgumentError(f"vander: N must be greater than 1, got {columns}")
    return powers(x, np.arange(columns))


def matrix_power(input: Tensor, n: int) -> Any:
    """The n-th power of square matrices; `minigrad.matrix_power`."""
    return matrix_functions.matrix_power(input, n)


def matrix_exp(input: Tensor) -> Any:
    """The exponential of square matrices; `minigrad.matrix_exp`."""
    return matrix_functions.matrix_exp(input)


def det(A: Tensor) -> Any:
    """The determinant of square matrices; `minigrad.det`."""
    return matrix_functions.det(A)


def slogdet(A: Tensor) -> Any:
    """The sign and the logarithm of the size of determinants; `minigrad.slogdet`."""
    return matrix_functions.slogdet(A)


def inv(A: Tensor) -> Any:
    """The inverses of square matrices; `minigrad.inverse`.

    Raises:
        LinAlgError, ShapeError, DtypeError: as `minigrad.inverse`.
    """
    return inverse_of("inv", A)


def pinv(input: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """The Moore-Penrose pseudoinverses; singular values up to max(atol, rtol * the largest one) count as zero.

    By default rtol is max(n, m) times the eps of the dtype; `rcond` is its older name. With `hermitian` the matrices
    are symmetric and eigenvalues are used.

    Raises:
        LinAlgError: for elements that are not finite.
        ShapeError: if it is not a matrix or a batch of them, or not square where `hermitian`.
        DtypeError: if the dtype is not float32 or float64.
        NotImplementedError: for tolerances that differ between the matrices of a batch.
    """
    return pseudoinverse("pinv", input, atol, rtol if rcond is None else rcond, hermitian)


def cholesky(input: Tensor, *, upper: bool = False) -> Any:
    """The Cholesky factors of symmetric positive definite matrices; `minigrad.cholesky`."""
    return decompositions.cholesky(input, upper)


def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> SVDResult:
    """A = U diag(S) Vh with orthonormal columns in U and rows in Vh: a named tuple (U, S, Vh), S descending.

    For A of shape (..., m, n) and k = min(m, n), U and Vh are square, or with full_matrices=False of shapes (..., m, k)
    and (..., k, n). The signs are LAPACK's. The gradients of U and Vh are inf or nan for equal singular values; that of
    S exists there, too. Columns beyond the first k pass no gradient on.

    Raises:
        LinAlgError: for elements that are not finite.
        ShapeError: if A is not a matrix or a batch of them.
        DtypeError: if the dtype is not float32 or float64.
        NotImplementedError: for a `driver`, which chooses between algorithms for GPUs.
    """
    _need_no_driver("svd", driver)
    return svd_decomposition("svd", A, full_matrices)


def svdvals(A: Tensor, *, driver: str | None = None) -> Any:
    """The singular values, descending; see `svd`.

    Raises:
        LinAlgError, ShapeError, DtypeError, NotImplementedError: as `svd`.
    """
    _need_no_driver("svdvals", driver)
    return svd_decomposition("svdvals", A, False).S


def _need_no_driver(name: str, driver: str | None) -> None:
    if driver is not None:
        raise NotImplementedError(f"{name}: driver={driver!r} chooses between algorithms for GPUs; leave it out")


def eig(A: Tensor) -> Any:
    """Not supported: eigenvalues of general matrices are complex, and minigrad has no complex dtype; see `eigh`."""
    raise NotImplementedError("eig: the results are complex; for symmetric matrices write linalg.eigh(A)")


def eigvals(A: Tensor) -> Any:
    """Not supported: eigenvalues of general matrices are complex, and minigrad has no complex dtype; see `eigvalsh`."""
    raise NotImplementedError("eigvals: the results are complex; for symmetric matrices write linalg.eigvalsh(A)")
