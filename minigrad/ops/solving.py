"""Linear equations: inverses, solutions, triangular and Cholesky solves; and the checks that all of them share.

All take batches of matrices (..., n, m). The derivatives follow M. Giles, "An extended collection of matrix derivative
results for forward and reverse mode algorithmic differentiation" (2008),
https://people.maths.ox.ac.uk/gilesm/files/NA-08-01.pdf.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import DtypeError, LinAlgError, ShapeError
from ..primitive import op
from ..tensor import Tensor, from_array, method
from .arithmetic import _where
from .linear_algebra import _matmul
from .shape import need_tensors

__all__ = ["cholesky_inverse", "cholesky_solve", "inverse"]


# --- what all functions of matrices share -----------------------------------------------------------------------


def need_matrices(name: str, *operands: Any, square: bool = False) -> None:
    """Refuse by name what is not a floating tensor with at least two dimensions, or not square where it must be."""
    need_tensors(name, *operands)
    for A in operands:
        if A.dtype.kind not in "fc" or A.dtype == np.float16:
            raise DtypeError(f"{name}: needs float32 or float64, got {A.dtype}; write x.float()")
        if A.ndim < 2:
            raise ShapeError(f"{name}: expected a matrix or a batch of them, got shape {A.shape}")
        if square and A.shape[-1] != A.shape[-2]:
            raise ShapeError(
                f"{name}: the matrices must be square, got {A.shape[-2]} by {A.shape[-1]} (shape {A.shape})"
            )
    if len({A.dtype for A in operands}) > 1:
        raise DtypeError(
            f"{name}: all operands must have one dtype, got {' and '.join(str(A.dtype) for A in operands)}; convert "
            "one with .to(dtype)"
        )


def by_lapack(name: str, trouble: str, kernel: Callable[..., Any], *stacks: Array) -> Any:
    """kernel(*stacks); where it fails, an error that says for which matrix of the first stack."""
    try:
        return kernel(*stacks)
    except np.linalg.LinAlgError as error:
        raise LinAlgError(f"{name}: {_failing(kernel, stacks)} {trouble}") from error


def _failing(kernel: Callable[..., Any], stacks: tuple[Array, ...]) -> str:
    """Which matrix of a batch fails, in words."""
    batch = np.broadcast_shapes(*[stack.shape[:-2] for stack in stacks])
    spread = [np.broadcast_to(stack, batch + stack.shape[-2:]) for stack in stacks]
    failing = (index for index in np.ndindex(*batch) if _fails(kernel, *[stack[index] for stack in spread]))
    index = next(failing, ())
    return f"batch element {', '.join(map(str, index))}, a matrix of" if index else "the matrix, of"


def _fails(kernel: Callable[..., Any], *matrices: Array) -> bool:
    try:
        kernel(*matrices)
    except np.linalg.LinAlgError:
        return True
    return False


def need_real(name: str, A: Array) -> None:
    """Refuse the complex step of gradcheck, which is no derivative where LAPACK conjugates."""
    if A.dtype.kind == "c":
        raise DtypeError(f"{name}: complex matrices are not supported")


def need_finite(name: str, A: Array) -> None:
    """Refuse nan and inf, of which LAPACK makes an endless iteration or arbitrary numbers."""
    if not np.isfinite(A).all():
        raise LinAlgError(f"{name}: all elements must be finite, got nan or inf in a tensor of shape {A.shape}")


def lower(A: Any, k: int = 0) -> Any:
    """The lower triangle up to diagonal `k`, zeros elsewhere (also instead of nan)."""
    return _where(A, 0.0, condition=np.tri(A.shape[-2], A.shape[-1], k, dtype=bool))


# --- inverses and solutions -------------------------------------------------------------------------------------


@op(saves="output")
def _inverse(A: Array, *, name: str) -> Array:
    return _with_nan_of(A, by_lapack(name, f"size {A.shape[-1]}, is singular", np.linalg.inv, A))


_inverse.defvjp(lambda g, out, A, name: -_matmul(out.mT, _matmul(g, out.mT)))


def _with_nan_of(A: Array, result: Array) -> Array:
    """LAPACK loses some nan on its way; one in a matrix shall make all of its result nan."""
    touched = np.isnan(A).any(axis=(-2, -1), keepdims=True)
    return np.where(touched, np.nan, result) if touched.any() else result


def inverse_of(name: str, A: Tensor) -> Any:
    """The inverse, refused under the name of the function that was called."""
    need_matrices(name, A, square=True)
    return _inverse(A, name=name)


@method
def inverse(input: Tensor) -> Any:
    """The inverses of square matrices. To solve A x = b, linalg.solve(A, b) is faster and more accurate.

    Raises:
        LinAlgError: if a matrix is singular.
        ShapeError: if the matrices are not square.
        DtypeError: if the dtype is not float32 or float64.
    """
    return inverse_of("inverse", input)


@op
def _solve(A: Array, B: Array) -> Array:
    return _with_nan_of(A, by_lapack("solve", f"size {A.shape[-1]}, is singular", np.linalg.solve, A, B))


def _solve_vjp(g: Any, X: Any, A: Any, B: Any) -> tuple[Any, Any]:
    gB = _solve(A.mT, g)
    return -_matmul(gB, X.mT), gB


_solve.defvjp(joint=_solve_vjp)


def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Any:
    """The solution X of A X = B, or with left=False of X A = B; batches broadcast.

    B is a matrix (..., n, k), or a vector (n,) or a batch of vectors of the shape of A without its last dimension.

    Raises:
        LinAlgError: if a matrix is singular.
        ShapeError: if the matrices are not square, or sizes do not fit.
        DtypeError: if the dtypes differ, or are not float32 or float64.
    """
    need_tensors("solve", A, B)
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1])
    if vector and not left:
        raise ShapeError(f"solve: with left=False, B must be a matrix (..., k, n), got shape {B.shape}")
    columns: Any = B.unsqueeze(-1) if vector else B
    need_matrices("solve", A, columns)
    need_matrices("solve", A, square=True)
    X = _sided(_solve, *_fitting("solve", A, columns, left), left)
    return X.squeeze(-1) if vector else X


def _fitting(name: str, A: Any, B: Any, left: bool) -> tuple[Any, Any]:
    """A and B with equal batch sizes, if their sizes fit."""
    size = B.shape[-2 if left else -1]
    if A.shape[-1] != size:
        equation = "A X = B" if left else "X A = B"
        raise ShapeError(f"{name}: sizes do not fit for {equation}: A has shape {A.shape}, B has shape {B.shape}")
    try:
        batch = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    except ValueError:
        raise ShapeError(
            f"{name}: the batches of shapes {A.shape} and {B.shape} do not broadcast: sizes must be equal or 1"
        ) from None
    return A.expand(batch + A.shape[-2:]), B.expand(batch + B.shape[-2:])


def _sided(solver: Callable[..., Any], A: Any, B: Any, left: bool, **options: Any) -> Any:
    """X A = B is A^T X^T = B^T."""
    return solver(A, B, **options) if left else solver(A.mT, B.mT, **options).mT


# --- triangular matrices ----------------------------------------------------------------------------------------


@op
def _solve_triangular(A: Array, B: Array, *, upper: bool, unit: bool = False) -> Array:
    """Substitution, row by row; zeros on the diagonal give inf and nan, as in LAPACK."""
    size = A.shape[-1]
    X = np.empty(B.shape, B.dtype)
    for i in reversed(range(size)) if upper else range(size):
        known = slice(i + 1, size) if upper else slice(0, i)
        rest = B[..., i : i + 1, :] - np.matmul(A[..., i : i + 1, known], X[..., known, :])
        X[..., i : i + 1, :] = rest if unit else rest / A[..., i : i + 1, i : i + 1]
    return X


def _solve_triangular_vjp(g: Any, X: Any, A: Any, B: Any, upper: bool, unit: bool = False) -> tuple[Any, Any]:
    gB = _solve_triangular(A.mT, g, upper=not upper, unit=unit)
    gA = -_matmul(gB, X.mT)
    return lower(gA.mT, -int(unit)).mT if upper else lower(gA, -int(unit)), gB


_solve_triangular.defvjp(joint=_solve_triangular_vjp)


def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """The solution X of A X = B (of X A = B with left=False), reading only one triangle of A; batches broadcast.

    With `unitriangular` the diagonal is not read, but taken as ones. A zero on the diagonal gives inf or nan.

    Raises:
        ShapeError: if the matrices are not square, or sizes do not fit.
        DtypeError: if the dtypes differ, or are not float32 or float64.
    """
    need_matrices("solve_triangular", A, B)
    need_matrices("solve_triangular", A, square=True)
    A, B = _fitting("solve_triangular", A, B, left)
    # The transpose of an upper triangle is a lower one.
    return _sided(_solve_triangular, A, B, left, upper=bool(upper) is bool(left), unit=bool(unitriangular))


@method
def cholesky_solve(input: Tensor, input2: Tensor, upper: bool = False) -> Any:
    """The solution X of A X = input for A = L L^T with L = input2 (of A = U^T U with upper=True); batches broadcast.

    Raises:
        ShapeError: if the factors are not square, or sizes do not fit.
        DtypeError: if the dtypes differ, or are not float32 or float64.
    """
    need_matrices("cholesky_solve", input, input2)
    need_matrices("cholesky_solve", input2, square=True)
    factor, B = _fitting("cholesky_solve", input2, input, True)
    return _solved_by_factor(factor, B, upper)


def _solved_by_factor(factor: Any, B: Any, upper: bool) -> Any:
    L = factor.mT if upper else factor
    return _solve_triangular(L.mT, _solve_triangular(L, B, upper=False), upper=True)


@method
def cholesky_inverse(input: Tensor, upper: bool = False) -> Any:
    """The inverse of A = L L^T, given L (of A = U^T U, given U, with upper=True).

    Raises:
        LinAlgError: if a factor has a zero on its diagonal.
        ShapeError: if the factors are not square.
        DtypeError: if the dtype is not float32 or float64.
    """
    need_matrices("cholesky_inverse", input, square=True)
    pivots = np.diagonal(input._array, axis1=-2, axis2=-1)
    if not pivots.all():
        place = np.argwhere(pivots == 0)[0].tolist()
        raise LinAlgError(f"cholesky_inverse: the factor is singular: its diagonal is zero at {place}")
    identity = from_array(np.eye(input.shape[-1], dtype=input.dtype))
    return _solved_by_factor(input, identity.expand(input.shape), upper)
