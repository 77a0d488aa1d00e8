"""Matrices as products of simpler ones: Cholesky, QR, eigenvalues, singular values.

All take batches (..., n, m). The derivatives follow M. Giles, "An extended collection of matrix derivative results for
forward and reverse mode algorithmic differentiation" (2008), https://people.maths.ox.ac.uk/gilesm/files/NA-08-01.pdf.
Where a decomposition is not unique to first order (equal eigenvalues, rank deficiency) they are inf or nan.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, LinAlgError, NotDifferentiableError
from ..primitive import op
from ..tensor import Tensor, from_array, method
from .joining import cat
from .linear_algebra import _matmul
from .solving import _solve_triangular, by_lapack, lower, need_finite, need_matrices, need_real

__all__ = ["cholesky", "qr", "svd"]


class EighResult(NamedTuple):
    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    Q: Any
    R: Any


class SVDResult(NamedTuple):
    U: Any
    S: Any
    Vh: Any


# --- what the derivatives share --------------------------------------------------------------------------------------


def absent(g: Any) -> bool:
    """Whether no gradient arrived at one of several outputs; the tape then passes zeros.

    Terms that divide by differences of eigenvalues would make nan of them (0 / 0), where the true gradient exists.
    """
    return not g.requires_grad and not g._array.any()


def diagonal_matrix(values: Any) -> Any:
    """Matrices with `values` (..., n) on the diagonal."""
    return values.unsqueeze(-2) * from_array(np.eye(values.shape[-1], dtype=values.dtype))


# --- Cholesky ---------------------------------------------------------------------------------------------------


@op(saves="output")
def _cholesky(A: Array) -> Array:
    need_real("cholesky", A)
    trouble = f"size {A.shape[-1]}, is not positive definite; its eigenvalues must all be > 0"
    L = np.asarray(by_lapack("cholesky", trouble, np.linalg.cholesky, A))
    if np.isnan(L).any():
        raise LinAlgError(f"cholesky: a matrix with nan, of {trouble}")
    return L


def _cholesky_vjp(g: Any, L: Any, A: Any) -> Any:
    """L^-T sym(P) L^-1, where P is the lower triangle of L^T g with half its diagonal; symmetric, as A must be."""
    P = _matmul(L.mT, g)
    both = lower(P) + lower(P, -1).mT
    left = _solve_triangular(L.mT, both * 0.5, upper=True)
    return _solve_triangular(L.mT, left.mT, upper=True)


_cholesky.defvjp(_cholesky_vjp)


@method
def cholesky(input: Tensor, upper: bool = False) -> Any:
    """The lower triangular L with A = L L^T of symmetric positive definite matrices, or with `upper` its transpose.

    Only that triangle of the matrix is read. The gradient is symmetric.

    Raises:
        LinAlgError: if a matrix is not positive definite.
        ShapeError: if the matrices are not square.
        DtypeError: if the dtype is not float32 or float64.
    """
    need_matrices("cholesky", input, square=True)
    return _cholesky(input.mT).mT if upper else _cholesky(input)


# --- QR ---------------------------------------------------------------------------------------------------------


@op(saves="output")
def _qr(A: Array, *, mode: Any) -> tuple[Array, ...]:
    need_real("qr", A)
    return tuple(np.linalg.qr(A, mode))


def _qr_vjp(g: Any, out: Any, A: Any, mode: str) -> tuple[Any]:
    """(gQ + Q sym(M)) R^-T with M = R gR^T - gQ^T Q, the lower triangle mirrored; for height >= width."""
    if mode == "complete" and A.shape[-2] > A.shape[-1]:
        raise NotDifferentiableError(
            f"qr: mode='complete' has no gradient for matrices higher than wide (shape {A.shape}): the last columns of "
            "Q are arbitrary; write mode='reduced'"
        )
    (gQ, gR), (Q, R) = g, out
    M = _matmul(R, gR.mT) - _matmul(gQ.mT, Q)
    mirrored = lower(M) + lower(M, -1).mT
    gA = _solve_triangular(R, (gQ + _matmul(Q, mirrored)).mT, upper=True).mT
    return (gA,)


_qr.defvjp(joint=_qr_vjp)


@op
def _r_alone(A: Array) -> Array:
    need_real("qr", A)
    return np.asarray(np.linalg.qr(A, "r"))


def _no_vjp_of_r(g: Any, out: Any, A: Any) -> Any:
    raise NotDifferentiableError("qr: the gradient of R needs Q, which mode='r' did not compute; write mode='reduced'")


_r_alone.defvjp(_no_vjp_of_r)


def qr_decomposition(A: Tensor, mode: str = "reduced") -> QRResult:
    """A = Q R, with orthonormal columns in Q and an upper triangular R: a named tuple (Q, R).

    For A of shape (..., m, n) and k = min(m, n), Q is (..., m, k) and R is (..., k, n) with mode="reduced"; with
    "complete" Q is square; with "r" Q is empty and R has no gradient. The signs are LAPACK's.

    Raises:
        ArgumentError: for another mode.
        ShapeError: if A is not a matrix or a batch of them.
        DtypeError: if the dtype is not float32 or float64.
        NotDifferentiableError: in backward, for mode="r", and for "complete" where m > n.
    """
    need_matrices("qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise ArgumentError(f"qr: mode must be 'reduced', 'complete' or 'r', got {mode!r}")
    height, width = A.shape[-2:]
    if mode == "r":
        return QRResult(from_array(np.empty(0, A.dtype)), _r_alone(A))
    if height >= width:
        return QRResult(*_qr(A, mode=mode))
    # A wide matrix is (X | Y) with X square: Q and the first part of R belong to X alone.
    Q, R = _qr(A[..., :height], mode=mode)
    return QRResult(Q, cat([R, _matmul(Q.mT, A[..., height:])], -1))


@method
def qr(input: Tensor, some: bool = True) -> Any:
    """The older form of `linalg.qr`: mode "reduced", or with some=False "complete".

    Raises:
        ShapeError, DtypeError, NotDifferentiableError: as `linalg.qr`.
    """
    return qr_decomposition(input, "reduced" if some else "complete")


# --- eigenvalues of symmetric matrices --------------------------------------------------------------------------


@op(saves="output")
def _eigh(A: Array, *, triangle: Any) -> tuple[Array, ...]:
    need_real("eigh", A)
    trouble = f"size {A.shape[-1]}: the eigenvalues did not converge; are its elements finite?"
    return tuple(by_lapack("eigh", trouble, lambda a: np.linalg.eigh(a, triangle), A))


def _eigh_vjp(g: Any, out: Any, A: Any, triangle: str) -> tuple[Any]:
    """V (diag(gw) + skew(V^T gV) / 2E) V^T with E_ij = w_j - w_i: symmetric, as A must be."""
    (gw, gV), (w, V) = g, out
    inside = diagonal_matrix(gw)
    if not absent(gV):
        gaps = w.unsqueeze(-2) - w.unsqueeze(-1)
        inside = inside + _skew(_matmul(V.mT, gV)) * 0.5 / (gaps + _identity(gaps))
    return (_matmul(V, _matmul(inside, V.mT)),)


_eigh.defvjp(joint=_eigh_vjp)


def _identity(like: Any) -> Any:
    return from_array(np.eye(like.shape[-1], dtype=like.dtype))


def eigh(A: Tensor, UPLO: str = "L") -> EighResult:
    """A = V diag(w) V^T of symmetric matrices: a named tuple (eigenvalues w, ascending; eigenvectors V, in columns).

    Only the lower triangle is read, or with UPLO="U" the upper one. The signs of the eigenvectors are LAPACK's. Their
    gradient is inf or nan for equal eigenvalues; that of the eigenvalues exists there, too.

    Raises:
        ArgumentError: for another UPLO.
        ShapeError: if the matrices are not square.
        DtypeError: if the dtype is not float32 or float64.
    """
    return _eigen("eigh", A, UPLO)


def eigvalsh(A: Tensor, UPLO: str = "L") -> Any:
    """The eigenvalues of symmetric matrices, ascending; see `eigh`.

    Raises:
        ArgumentError, ShapeError, DtypeError: as `eigh`.
    """
    return _eigen("eigvalsh", A, UPLO).eigenvalues


def _eigen(name: str, A: Tensor, UPLO: str) -> EighResult:
    need_matrices(name, A, square=True)
    if UPLO not in ("L", "U", "l", "u"):
        raise ArgumentError(f"{name}: UPLO must be 'L' (read the lower triangle) or 'U' (the upper), got {UPLO!r}")
    return EighResult(*_eigh(A, triangle=UPLO))


# --- singular values --------------------------------------------------------------------------------------------


@op(saves="output")
def _svd(A: Array, *, full: bool, name: str) -> tuple[Array, ...]:
    need_real(name, A)
    need_finite(name, A)
    trouble = f"shape {A.shape[-2:]}: the singular values did not converge"
    return tuple(by_lapack(name, trouble, lambda a: np.linalg.svd(a, full), A))


def _svd_vjp(g: Any, out: Any, A: Any, full: bool, name: str) -> tuple[Any]:
    """U (diag(gS) + (skew(U^T gU) / E) S + S (skew(V^T gV) / E)) V^T, with E_ij = S_j^2 - S_i^2.

    Where U or V is not square, its gradient also has a part orthogonal to its columns. Further columns, which
    full matrices have, are arbitrary, and pass no gradient on.
    """
    (gU, gS, gVh), (U, S, Vh) = g, out
    k = S.shape[-1]
    gU, U, gV, V = gU[..., :k], U[..., :k], gVh[..., :k, :].mT, Vh[..., :k, :].mT
    columns, rows = S.unsqueeze(-2), S.unsqueeze(-1)
    gaps = columns * columns - rows * rows + _identity(A[..., :k, :k])
    inside, outside = diagonal_matrix(gS), 0.0
    if not absent(gU):
        inside = inside + _skew(_matmul(U.mT, gU)) / gaps * columns
        if A.shape[-2] > k:
            outside = outside + _matmul(_orthogonal_part(gU, U) / columns, V.mT)
    if not absent(gV):
        inside = inside + rows * _skew(_matmul(V.mT, gV)) / gaps
        if A.shape[-1] > k:
            outside = outside + _matmul(U, (_orthogonal_part(gV, V) / columns).mT)
    return (_matmul(U, _matmul(inside, V.mT)) + outside,)


_svd.defvjp(joint=_svd_vjp)


def _skew(A: Any) -> Any:
    return A - A.mT


def _orthogonal_part(g: Any, U: Any) -> Any:
    """(I - U U^T) g."""
    return g - _matmul(U, _matmul(U.mT, g))


def svd_decomposition(name: str, A: Tensor, full_matrices: bool = True) -> SVDResult:
    """A = U diag(S) Vh, under the name of the function that was called."""
    need_matrices(name, A)
    return SVDResult(*_svd(A, full=bool(full_matrices), name=name))


class OldSVDResult(NamedTuple):
    U: Any
    S: Any
    V: Any


@method
def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """The older form of `linalg.svd`: a named tuple (U, S, V) with V, not its transpose; reduced unless some=False.

    With compute_uv=False, U and V are zeros.

    Raises:
        LinAlgError, ShapeError, DtypeError: as `linalg.svd`.
    """
    U, S, Vh = svd_decomposition("svd", input, not some or not compute_uv)
    if not compute_uv:
        return OldSVDResult(from_array(np.zeros_like(U._array)), S, from_array(np.zeros_like(Vh._array)))
    return OldSVDResult(U, S, Vh.mT)
