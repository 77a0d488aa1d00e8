"""Numbers and matrices that follow from a matrix: trace, determinant, powers, exponential, pseudoinverse, rank."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..primitive import op
from ..tensor import Tensor, from_array, method
from .arithmetic import _where
from .decompositions import eigvalsh, svd_decomposition
from .joining import cat
from .linear_algebra import _matmul, _need_one_dtype, _need_ranks, _product
from .reduction import _reduce
from .shape import need_tensors
from .solving import _inverse, by_lapack, inverse_of, need_finite, need_matrices, need_real

__all__ = [
    "chain_matmul", "det", "logdet", "matrix_exp", "matrix_power", "pinverse", "slogdet", "trace", "vander",
]  # fmt: skip

# --- trace and determinant --------------------------------------------------------------------------------------


@method
def trace(input: Tensor) -> Any:
    """The sum of the diagonal of a matrix; integers add up in int64.

    Raises:
        ShapeError: if it is not a matrix.
        DtypeError: for booleans.
    """
    _need_ranks("trace", (input,), (2,))
    _need_one_dtype("trace", input)
    places = np.arange(min(input.shape))
    return input[places, places].sum()


@op
def _det(A: Array) -> Array:
    with np.errstate(over="ignore"):  # NumPy multiplies in double precision, and warns when it casts the result
        return np.asarray(np.linalg.det(A))


def _det_vjp(g: Any, out: Any, A: Any) -> Any:
    """The matrix of cofactors: det(A) A^-T (Jacobi's formula), but at singular matrices by singular values."""
    singular = (out._array == 0)[..., None, None]
    if not singular.any():
        return _spread(g * out) * _inverse(A, name="det").mT
    regular = _where(from_array(np.eye(A.shape[-1], dtype=A.dtype)), A, condition=singular)
    cofactors = _spread(out) * _inverse(regular, name="det").mT
    return _spread(g) * _where(_cofactors(A), cofactors, condition=singular)


_det.defvjp(_det_vjp)


def _spread(values: Any) -> Any:
    """One number for each matrix, so that it broadcasts against the matrices."""
    return values.unsqueeze(-1).unsqueeze(-1)


def _cofactors(A: Any) -> Any:
    """For A = U S V^T: det(U V^T) U C V^T, where C_ii is the product of all singular values but S_ii.

    Source: N. Higham, "What Is the Adjugate of a Matrix?" (2020), https://nhigham.com/2020/06/16/what-is-the-adjugate-of-a-matrix/.
    """
    U, S, Vh = svd_decomposition("det", A)
    sign = from_array(np.linalg.det(U._array) * np.linalg.det(Vh._array))  # 1 or -1, so without a gradient
    others = _where(1.0, S.unsqueeze(-2), condition=np.eye(S.shape[-1], dtype=bool)).prod(-1)
    return _spread(sign) * _matmul(U * others.unsqueeze(-2), Vh)


@method
def det(input: Tensor) -> Any:
    """The determinants of square matrices; differentiable also where they are zero.

    Raises:
        ShapeError: if the matrices are not square.
        DtypeError: if the dtype is not float32 or float64.
    """
    need_matrices("det", input, square=True)
    return _det(input)


class SlogdetResult(NamedTuple):
    sign: Any
    logabsdet: Any


@op(saves="inputs")
def _slogdet(A: Array, *, name: str) -> tuple[Array, ...]:
    need_real(name, A)
    sign, logabsdet = np.linalg.slogdet(A)
    return sign, logabsdet


_slogdet.defvjp(joint=lambda g, out, A, name: (_spread(g[1]) * _inverse(A, name=name).mT,))


@method
def slogdet(input: Tensor) -> Any:
    """The sign of determinants and the logarithm of their size, without overflow: a named tuple (sign, logabsdet).

    A singular matrix has sign 0 and logarithm -inf, and no gradient.

    Raises:
        LinAlgError: in backward, for a singular matrix.
        ShapeError: if the matrices are not square.
        DtypeError: if the dtype is not float32 or float64.
    """
    need_matrices("slogdet", input, square=True)
    return SlogdetResult(*_slogdet(input, name="slogdet"))


@method
def logdet(input: Tensor) -> Any:
    """The logarithm of determinants: -inf where they are zero, nan where they are negative.

    Raises:
        LinAlgError: in backward, for a singular matrix.
        ShapeError: if the matrices are not square.
        DtypeError: if the dtype is not float32 or float64.
    """
    need_matrices("logdet", input, square=True)
    sign, logabsdet = _slogdet(input, name="logdet")
    return _where(np.nan, logabsdet, condition=sign._array < 0)


# --- powers and products ----------------------------------------------------------------------------------------


@method
def matrix_power(input: Tensor, n: int) -> Any:
    """The product of n copies of a square matrix, by repeated squaring; for negative n, of its inverse.

    Raises:
        LinAlgError: if n is negative and a matrix singular.
        ArgumentTypeError: if n is not an integer.
        ShapeError: if the matrices are not square.
        DtypeError: for booleans, and with negative n for all but float32 and float64.
    """
    need_tensors("matrix_power", input)
    if input.ndim < 2 or input.shape[-1] != input.shape[-2]:
        raise ShapeError(f"matrix_power: the matrices must be square, got shape {input.shape}")
    n = checked_integer("matrix_power", "n", n)
    if n == 0:
        identity = from_array(np.eye(input.shape[-1], dtype=input.dtype))
        return _where(input, identity, condition=np.False_)  # depends on the input, with gradient 0, as in PyTorch
    if n == 1:
        return input.clone()
    square: Any = inverse_of("matrix_power", input) if n < 0 else input
    power, n = None, abs(n)
    while n:
        if n % 2:
            power = square if power is None else _product("matrix_power", power, square)
        n //= 2
        if n:
            square = _product("matrix_power", square, square)
    return power


def checked_integer(name: str, argument: str, value: Any) -> int:
    """`value` as an int, refused by the names of the function and of its argument if it is not one."""
    try:
        return int(value.__index__())
    except AttributeError:
        raise ArgumentTypeError(
            f"{name}: {argument} must be an integer, got {type(value).__name__}: {value!r}"
        ) from None


def chain_matmul(*matrices: Tensor) -> Any:
    """The product of matrices, multiplied in the order that needs the fewest multiplications.

    Raises:
        ArgumentError: for no matrices.
        ShapeError: if one is not a matrix, or sizes do not fit.
        DtypeError: if the dtypes differ, or are boolean.
    """
    if not matrices:
        raise ArgumentError("chain_matmul: expected one or more matrices, got none")
    _need_ranks("chain_matmul", matrices, (2,) * len(matrices))
    return _chained("chain_matmul", matrices) if len(matrices) > 1 else matrices[0].clone()


def multi_dot(tensors: Sequence[Tensor]) -> Any:
    """The product of two or more matrices in the cheapest order; the first may be a row, the last a column vector.

    Raises:
        ArgumentError: for fewer than two.
        ShapeError: if another one is not a matrix, or sizes do not fit.
        DtypeError: if the dtypes differ, or are boolean.
    """
    if not isinstance(tensors, (list, tuple)):
        raise ArgumentTypeError(f"multi_dot: expected a list of tensors, got {type(tensors).__name__}")
    parts: list[Any] = list(tensors)
    if len(parts) < 2:
        raise ArgumentError(f"multi_dot: expected at least two tensors, got {len(parts)}")
    need_tensors("multi_dot", *parts)
    row, column = parts[0].ndim == 1, parts[-1].ndim == 1
    if row:
        parts[0] = parts[0].unsqueeze(0)
    if column:
        parts[-1] = parts[-1].unsqueeze(1)
    _need_ranks("multi_dot", parts, (2,) * len(parts))
    out = _chained("multi_dot", parts)
    return out.reshape(out.shape[int(row) : 2 - int(column)])


def _chained(name: str, matrices: Sequence[Tensor]) -> Any:
    _need_one_dtype(name, *matrices)
    for x, y in itertools.pairwise(matrices):
        if x.shape[1] != y.shape[0]:
            raise ShapeError(f"{name}: shapes {x.shape} and {y.shape} of neighbours do not fit: inner sizes differ")
    split = _cheapest_splits([matrices[0].shape[0], *[m.shape[1] for m in matrices]])

    def product(first: int, last: int) -> Any:
        if first == last:
            return matrices[first]
        middle = split[first, last]
        return _matmul(product(first, middle), product(middle + 1, last))

    return product(0, len(matrices) - 1)


def _cheapest_splits(sizes: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each run of matrices, `sizes[i]` by `sizes[i + 1]`, so that the multiplications are fewest.

    Dynamic programming over the length of the run: S. Godbole, "On Efficient Computation of Matrix Chain Products"
    (1973), https://doi.org/10.1109/TC.1973.5009182.
    """
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    split = {}
    for length in range(1, count):
        for first in range(count - length):
            last = first + length
            cost[first, last], split[first, last] = min(
                (cost[first, k] + cost[k + 1, last] + sizes[first] * sizes[k + 1] * sizes[last + 1], k)
                for k in range(first, last)
            )
    return split


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix of a vector: its powers N - 1 to 0, one column each (0 to N - 1 if `increasing`).

    Raises:
        ShapeError: if `x` is not a vector.
        ArgumentError: if `N` is negative.
    """
    _need_ranks("vander", (x,), (1,))
    columns = x.shape[0] if N is None else checked_integer("vander", "N", N)
    if columns < 0:
        raise ArgumentError(f"vander: N must not be negative, got {N}")
    rising = np.arange(columns)
    return powers(x, rising if increasing else rising[::-1].copy())


def powers(x: Tensor, exponents: Array) -> Any:
    """x to each of the exponents, along a new last dimension."""
    base = x.to(np.int64) if x.dtype == np.bool_ else x
    return base.unsqueeze(-1) ** from_array(exponents)


# --- the exponential --------------------------------------------------------------------------------------------

# Coefficients of the Padé approximant p(A) / p(-A) of degree 13, which is exact to double precision up to this norm.
_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
    10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
_PADE_NORM = 5.371920351148152


@op(saves="inputs")
def _matrix_exp(A: Array) -> Array:
    wide = A.astype(np.result_type(A.dtype, np.float64))  # in float32, the approximant would lose a digit or two
    norm = _reduce(np.maximum, _reduce(np.add, np.abs(wide), -2, False), (-1,), False, initial=0.0)
    steep = np.isfinite(norm) & (norm > _PADE_NORM)
    halvings = np.where(steep, np.ceil(np.log2(np.where(steep, norm, 1.0) / _PADE_NORM)), 0).astype(np.int64)
    out = _pade(wide * 0.5 ** halvings[..., None, None])
    for done in range(int(halvings.max(initial=0))):  # exp(A) = exp(A / 2)^2
        out = np.where((done < halvings)[..., None, None], np.matmul(out, out), out)
    return out.astype(A.dtype)


def _pade(A: Array) -> Array:
    """exp(A) for a small A: the even and the odd powers of p(A) give p(-A), too."""
    b = _PADE
    one = np.eye(A.shape[-1], dtype=A.dtype)
    A2 = np.matmul(A, A)
    A4 = np.matmul(A2, A2)
    A6 = np.matmul(A2, A4)
    high_odd, high_even = b[13] * A6 + b[11] * A4 + b[9] * A2, b[12] * A6 + b[10] * A4 + b[8] * A2
    odd = np.matmul(A, np.matmul(A6, high_odd) + b[7] * A6 + b[5] * A4 + b[3] * A2 + b[1] * one)
    even = np.matmul(A6, high_even) + b[6] * A6 + b[4] * A4 + b[2] * A2 + b[0] * one
    return np.asarray(np.linalg.solve(even - odd, even + odd))


def _matrix_exp_vjp(g: Any, out: Any, A: Any) -> Any:
    """The derivative in direction g is a block of a larger exponential: exp [[A, g], [0, A]] = [[e^A, d], [0, e^A]]."""
    n = A.shape[-1]
    zero = from_array(np.zeros(A.shape, A.dtype))
    block = cat([cat([A.mT, g], -1), cat([zero, A.mT], -1)], -2)
    return _matrix_exp(block)[..., :n, n:]


_matrix_exp.defvjp(_matrix_exp_vjp)


@method
def matrix_exp(input: Tensor) -> Any:
    """The exponentials of square matrices, the sum of A^k / k! over all k.

    Computed by scaling and squaring: N. Higham, "The Scaling and Squaring Method for the Matrix Exponential Revisited"
    (2005), https://doi.org/10.1137/04061101X. Its derivative: A. Al-Mohy and N. Higham, "Computing the Fréchet
    Derivative of the Matrix Exponential" (2009), https://doi.org/10.1137/080716426.

    Raises:
        ShapeError: if the matrices are not square.
        DtypeError: if the dtype is not float32 or float64.
    """
    need_matrices("matrix_exp", input, square=True)
    return _matrix_exp(input)


# --- pseudoinverse and rank -------------------------------------------------------------------------------------


@op
def _pinv(A: Array, *, atol: float, rtol: float, hermitian: bool, name: str) -> Array:
    need_real(name, A)
    need_finite(name, A)
    trouble = f"shape {A.shape[-2:]}: the decomposition did not converge"
    if hermitian:
        values, left = by_lapack(name, trouble, np.linalg.eigh, A)
        right = np.swapaxes(left, -1, -2)
    else:
        left, values, right = by_lapack(name, trouble, lambda a: np.linalg.svd(a, False), A)
    sizes = np.abs(values)
    largest = _reduce(np.maximum, sizes, -1, True, initial=0.0)
    kept = sizes > np.maximum(atol, rtol * largest)
    inverted = np.where(kept, 1 / np.where(kept, values, 1), 0).astype(A.dtype)
    return np.matmul(np.swapaxes(right, -1, -2) * inverted[..., None, :], np.swapaxes(left, -1, -2))


def _pinv_vjp(g: Any, P: Any, A: Any, **options: Any) -> Any:
    """G. Golub and V. Pereyra, "The Differentiation of Pseudo-Inverses and Nonlinear Least Squares Problems Whose
    Variables Separate" (1973), https://doi.org/10.1137/0710036; for a constant rank.
    """
    PT, gT = P.mT, g.mT
    outside_range = gT - _matmul(A, _matmul(P, gT))
    outside_rows = gT - _matmul(_matmul(gT, P), A)
    return _matmul(_matmul(outside_range, P), PT) + _matmul(PT, _matmul(P, outside_rows)) - _matmul(PT, _matmul(g, PT))


_pinv.defvjp(_pinv_vjp)


def _tolerances(name: str, A: Tensor, atol: Any, rtol: Any) -> dict[str, float]:
    """Singular values up to max(atol, rtol * the largest) count as zero; by default rtol is max(n, m) * eps."""
    for value in (atol, rtol):
        if isinstance(value, Tensor) and value.ndim:
            raise NotImplementedError(f"{name}: atol and rtol must be numbers, the same for all matrices of a batch")
        if not isinstance(value, (int, float, Tensor, type(None))):
            raise ArgumentTypeError(f"{name}: atol and rtol must be numbers, got {value!r}")
    if rtol is None:
        given = atol is not None and float(atol) > 0
        rtol = 0.0 if given else max(A.shape[-2:]) * np.finfo(A.dtype).eps
    return {"atol": 0.0 if atol is None else float(atol), "rtol": float(rtol)}


def pseudoinverse(name: str, A: Tensor, atol: Any, rtol: Any, hermitian: bool = False) -> Any:
    """The Moore-Penrose inverse, refused under the name of the function that was called."""
    need_matrices(name, A, square=hermitian)
    return _pinv(A, hermitian=bool(hermitian), name=name, **_tolerances(name, A, atol, rtol))


@method
def pinverse(input: Tensor, rcond: float = 1e-15) -> Any:
    """The Moore-Penrose pseudoinverses; singular values up to rcond times the largest one count as zero.

    Raises:
        LinAlgError: for elements that are not finite.
        ShapeError: if it is not a matrix or a batch of them.
        DtypeError: if the dtype is not float32 or float64.
    """
    return pseudoinverse("pinverse", input, 0.0, rcond)


def matrix_rank(input: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """The number of singular values (with `hermitian` of eigenvalues, by size) above max(atol, rtol * the largest).

    `tol` is the older name of `atol`, with rtol=0. By default rtol is max(n, m) * eps.

    Raises:
        LinAlgError: for elements that are not finite.
        ShapeError: if it is not a matrix or a batch of them.
        DtypeError: if the dtype is not float32 or float64.
    """
    need_matrices("matrix_rank", input, square=hermitian)
    if tol is not None:
        atol, rtol = tol, 0.0
    tolerances = _tolerances("matrix_rank", input, atol, rtol)
    A = input.detach()
    values = np.abs((eigvalsh(A) if hermitian else svd_decomposition("matrix_rank", A, False).S)._array)
    largest = _reduce(np.maximum, values, -1, True, initial=0.0)
    above = values > np.maximum(tolerances["atol"], tolerances["rtol"] * largest)
    return from_array(np.asarray(np.count_nonzero(above, axis=-1)))
