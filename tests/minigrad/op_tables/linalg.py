"""What only torch.linalg has, and its own forms of what PyTorch has elsewhere too."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Draw, Dtype, Table, given, integers, x
from op_strategies import LAYOUTS

from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    DimError,
    DtypeError,
    LinAlgError,
    NotDifferentiableError,
    ShapeError,
)

table = Table("linalg")
wrong = table.wrong

NAN, INF = float("nan"), float("inf")
f64 = Dtype("float64")
SYMMETRIC = given([[4.0, 1.0, 0.5], [1.0, -3.0, -0.5], [0.5, -0.5, 2.0]])
UPPER = given([[2.0, -1.0, 0.5], [0.0, 1.5, -0.5], [0.0, 0.0, 1.25]])


def plain(m: Any, a: Any) -> Any:
    return a


def regular(m: Any, a: Any) -> Any:
    """a + 4: far from singular."""
    return a + 4 * m.eye(a.shape[-1]).to(a.dtype)


def symmetric(m: Any, a: Any) -> Any:
    """a + a^T, with eigenvalues well apart."""
    return a + a.mT + (m.eye(a.shape[-1]) * m.arange(a.shape[-1]) * 6.0).to(a.dtype)


def by(name: str, first: Any = plain, after: Any = None) -> Any:
    """A call of linalg.name, at a matrix made of the drawn one; `after` makes the result independent of signs."""

    def called(m: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
        result = getattr(m.linalg, name)(first(m, a), *args, **kwargs)
        return result if after is None else after(result)

    return called


def case(name: str, *args: Any, first: Any = plain, after: Any = None, **options: Any) -> None:
    note = " ".join(word for word in (first.__name__.replace("plain", ""), options.pop("note", "")) if word)
    table.case(f"linalg.{name}", *args, call=by(name, first, after), note=note, **options)


# --- solving ----------------------------------------------------------------------------------------------------------

case("solve", x(3, 3), x(3, 2), first=regular)
case("solve", x(3, 3), x(3), first=regular)
case("solve", x(2, 2, 2), x(2, 2), first=regular, note="vectors")
case("solve", x(3, 2, 2), x(2), first=regular, note="one vector")
case("solve", x(2, 1, 2, 2), x(3, 2, 1), first=regular)
case("solve", x(2, 2), x(3, 2, 2), first=regular)
case("solve", x(3, 3), x(2, 3), left=False, first=regular)
case("solve", x(2, 3, 3), x(2, 1, 3), left=False, first=regular)
case("solve", x(0, 0), x(0, 2), first=regular)
case("solve", x(2, 2), x(2, 0), first=regular)
case("solve", x(0, 2, 2), x(2, 1), first=regular)
case("solve", x(3, 3).transposed, x(3, 2).strided, first=regular)
case("solve", x(2, 2), x(2, 2).fixed, first=regular)
case("solve", given([[NAN, 1.0], [1.0, 2.0]]), x(2, 1), smooth=False)
case("solve", given([[2.0, 1.0], [-1.0, 3.0]]), given([[1.0], [INF]]), smooth=False)
for upper in (False, True):
    # An extra triangle is there, and must not be read.
    case("solve_triangular", x(3, 3), x(3, 2), upper=upper, first=regular)
    case("solve_triangular", x(3, 3), x(2, 3), upper=upper, left=False, first=regular)
    case("solve_triangular", x(3, 3), x(3, 1), upper=upper, unitriangular=True)
    case("solve_triangular", x(3, 3), x(1, 3), upper=upper, left=False, unitriangular=True)
    case("solve_triangular", x(2, 2), x(3, 2, 2), upper=upper, first=regular)
    case("solve_triangular", x(2, 2, 2), x(2, 1), upper=upper, first=regular)
    case("solve_triangular", x(3, 3).transposed, x(3, 2).strided, upper=upper, first=regular)
case("solve_triangular", x(0, 0), x(0, 2), upper=True)
case("solve_triangular", given([[0.0, 1.0], [0.0, 2.0]]).fixed, given([[1.0], [1.0]]).fixed, upper=True)
case("inv", x(2, 3, 3), first=regular)
case("inv", x(3, 3), first=regular)
for shape in ((3, 2), (2, 3), (2, 2, 3)):
    case("pinv", x(*shape))
    case("pinv", x(*shape), rcond=1e-3)
case("pinv", x(3, 2), 1e-3)
case("pinv", x(3, 3), hermitian=True, first=symmetric)
case("pinv", given([[1.0, 0.0], [0.0, 1e-3]]), atol=1e-2, smooth=False)
case("pinv", given([[1.0, 0.0], [0.0, 0.25]]), atol=0.1)
case("pinv", given([[1.0, 0.0], [0.0, 1e-3]]), rtol=1e-2, hermitian=True, smooth=False)
case("pinv", given([[1.0, 2.0], [2.0, 4.0]]), note="singular", smooth=False)
case("pinv", x(2, 0, 3))
for matrix in ([[1.0, 2.0], [2.0, 4.0]], [[1.0, 2.0], [2.0, 5.0]], [[0.0, 0.0], [0.0, 0.0]]):
    case("matrix_rank", given(matrix))
    case("matrix_rank", given(matrix), hermitian=True)
    case("matrix_rank", given(matrix), atol=0.5)
    case("matrix_rank", given(matrix), rtol=0.5)
    case("matrix_rank", given(matrix), 0.1)
case("matrix_rank", x(2, 3, 2))
case("matrix_rank", x(2, 0, 3))

# --- decompositions ---------------------------------------------------------------------------------------------------


def qr_parts(result: Any) -> Any:
    return result.Q, result.R


for shape in ((3, 3), (3, 2), (2, 3), (2, 3, 2), (0, 3, 2), (2, 0)):
    case("qr", x(*shape), after=qr_parts)
case("qr", x(3, 2), "reduced", after=qr_parts)
case("qr", x(2, 3), mode="complete", after=qr_parts)
case("qr", x(3, 2).fixed, mode="complete")
case("qr", x(3, 2).fixed, "r")
case("qr", x(2, 3).fixed, mode="r")
case("cholesky", x(2, 2, 2), first=lambda m, a: a @ a.mT + m.eye(2).to(a.dtype), note="definite")
case("cholesky", x(2, 2), upper=True, first=lambda m, a: a @ a.mT + m.eye(2).to(a.dtype), note="definite")


def eigen_parts(result: Any) -> Any:
    """Without the signs of the vectors."""
    w, V = result.eigenvalues, result.eigenvectors
    return w, V.abs(), V * V[..., :1, :]


for shape in ((3, 3), (2, 2, 2), (1, 1)):
    case("eigh", x(*shape), first=symmetric, after=eigen_parts)
    case("eigvalsh", x(*shape), first=symmetric)
for UPLO in ("L", "U", "l", "u"):
    case("eigh", x(3, 3), UPLO, first=symmetric, after=eigen_parts)
    case("eigvalsh", x(3, 3), UPLO=UPLO, note="read in part", smooth=False, twice=False)  # not symmetric
case("eigh", SYMMETRIC, after=lambda r: r.eigenvalues, note="eigenvalues alone", smooth=False)
case("eigh", given([[1.0, 0.0], [0.0, 1.0]]), after=lambda r: r[0], note="equal", smooth=False, twice=False)  # nan
case("eigvalsh", given([[1.0, 0.0], [0.0, 1.0]]), note="equal", smooth=False, twice=False)  # nan in PyTorch, too
case("eigh", x(0, 0))
case("eigvalsh", x(0, 2, 2))
case("eigh", x(3, 3).transposed, first=symmetric, after=eigen_parts, note="moved")


def svd_parts(result: Any) -> Any:
    """Without the signs of the vectors, and without the arbitrary columns."""
    U, S, Vh = result.U, result.S, result.Vh
    k = S.shape[-1]
    return U[..., :k].abs(), S, Vh[..., :k, :].abs(), (U[..., :k] * S.unsqueeze(-2)) @ Vh[..., :k, :]


for shape in ((3, 3), (3, 2), (2, 3), (2, 2, 3), (1, 2)):
    case("svd", x(*shape), after=svd_parts)
    case("svd", x(*shape), full_matrices=False, after=svd_parts)
    case("svdvals", x(*shape))
case("svd", x(3, 2), False, after=svd_parts)
case("svd", x(0, 3, 2), False)
case("svd", x(3, 0), False)
case("svdvals", x(0, 2))
case("svd", x(3, 2).transposed, after=svd_parts)
case("svdvals", given([[1.0, 0.0], [0.0, 1.0]]), note="equal", smooth=False, twice=False)  # nan in PyTorch, too
case("svd", x(3, 2), after=lambda r: r.U[:, :2].abs(), note="U alone")
case("svd", x(2, 3), after=lambda r: r.Vh[:2].abs(), note="Vh alone")

# --- norms ------------------------------------------------------------------------------------------------------------

ORDERS = (2, 0, 0.5, 1, 1.5, 3, -1, INF, -INF)
for order in ORDERS:
    case("vector_norm", x(2, 3), order)
    case("vector_norm", x(2, 3), ord=order, dim=1)
    case("norm", x(3), order)
    case("norm", x(2, 3), order, 0)
case("vector_norm", x(2, 3))
case("vector_norm", x(2, 3, 2), dim=(0, 2), keepdim=True)
case("vector_norm", x(2, 3), 1, 0, True)
case("vector_norm", x())
case("vector_norm", x(2, 0), dim=1, smooth=False, twice=False)
case("vector_norm", x(0, 2), dim=1)
case("vector_norm", x(0, 3), 1, 1)
case("vector_norm", given([1.0, 2.0], "float32"), dtype=f64)
case("vector_norm", x(2, 3).strided)
case("vector_norm", given([NAN, 1.0]), smooth=False)
case("vector_norm", x(3, dtype="float16"))
for order in ("fro", "nuc", 1, -1, 2, -2, INF, -INF):
    case("matrix_norm", x(2, 3), order)
    case("matrix_norm", x(2, 3, 2), ord=order, dim=(0, 1))
    case("matrix_norm", x(2, 3, 2), order, dim=(2, 0), keepdim=True)
    case("norm", x(2, 3), order)
    case("norm", x(2, 3, 2), ord=order, dim=(-1, 0))
    case("matrix_norm", x(0, 2, 3), order)
    # PyTorch has gradients of those by singular values only: it overwrites what the others need.
    case("cond", x(3, 3) if order in ("nuc", 2, -2) else x(3, 3).fixed, order, first=regular)
for shape, orders in (((2, 0), ("fro", "nuc", 1, 2, INF, -INF)), ((0, 2), ("fro", "nuc", 1, -1, 2, INF))):
    for order in orders:
        case("matrix_norm", x(*shape).fixed, order)
case("matrix_norm", x(2, 3))
case("matrix_norm", x(2, 3).transposed, "nuc")
case("matrix_norm", x(2, 2, dtype="float16"), 1)
case("matrix_norm", given([[1.0, 2.0]], "float32"), dtype=f64)
case("matrix_norm", given([[1.0, 0.0], [0.0, 1.0]]), "nuc", note="equal", smooth=False, twice=False)  # nan
case("norm", x(2, 2, 2))
case("norm", x(2, 3), keepdim=True)
case("norm", x(2, 3), dim=1)
case("norm", x(2, 3, 2), dim=(0, 1))
case("norm", x(2, 3), "fro", keepdim=True)
case("norm", x(3), dtype=f64)
case("norm", x(2, 3), 1, (0,))
case("cond", x(3, 3), first=regular)
case("cond", x(2, 3))
case("cond", x(2, 3, 2), p=-2)
case("cond", given([[[1.0, 1.0], [1.0, 1.0]], [[1.0, 2.0], [3.0, 5.0]]]).fixed, 1, note="one of them singular")
case("cond", given([[1.0, 0.0], [0.0, 0.0]]).fixed)
case("cond", x(2, 0, 0).fixed)

# --- products ---------------------------------------------------------------------------------------------------------

case("matmul", x(2, 3), x(3, 2))
case("matrix_power", x(2, 2), 3)
case("matrix_exp", x(2, 2))
case("det", x(3, 3), first=regular)
case("slogdet", x(3, 3), first=regular)
case("vecdot", x(2, 3), x(2, 3))
case("vecdot", x(2, 3), x(3))
case("vecdot", x(2, 3), x(2, 3), dim=0)
case("vecdot", x(2, 0), x(2, 0))
case("vecdot", x(3, 2).transposed, x(3, 2).strided)
case("cross", x(2, 3), x(2, 3))
case("cross", x(2, 3), x(1, 3), note="broadcast")
case("cross", x(3, 2), x(3, 2), dim=0)
case("multi_dot", [x(2, 3), x(3, 2)])
case("multi_dot", [x(3), x(3, 2), x(2)])
case("multi_dot", [x(3), x(3, 2)])
case("multi_dot", [x(2, 3), x(3, 4), x(4)])
case("multi_dot", [x(3), x(3)])
case("vander", x(3))
case("vander", x(2, 3))
case("vander", x(2, 3), N=2)
case("vander", x(0, 3))
case("vander", integers(3, high=-4, dtype="int32"))


# --- drawn sizes ------------------------------------------------------------------------------------------------------

LEADS = st.lists(st.sampled_from([0, 1, 2]), max_size=1).map(tuple)
SIDES = st.sampled_from([1, 2, 3, 4])


@st.composite
def equations(draw: st.DrawFn) -> Any:
    """A and B of A X = B or X A = B, whose sizes now and then do not fit."""
    n, k, left = draw(SIDES), draw(SIDES), draw(st.booleans())
    m = n if draw(st.integers(0, 9)) else draw(SIDES)
    A = Draw((*draw(LEADS), n, n), layout=draw(LAYOUTS))
    B = Draw((*draw(LEADS), *((m, k) if left else (k, m))), layout=draw(LAYOUTS))
    return (A, B), {"left": left}


def one_matrix(least: int = 1, **options: Any) -> Any:
    side = st.integers(least, 4)
    shapes = st.builds(lambda lead, n, m: (*lead, n, m), LEADS, side, side)
    matrix = st.builds(lambda shape, layout: (Draw(shape, layout=layout),), shapes, LAYOUTS)
    return st.tuples(matrix, st.fixed_dictionaries(options))


table.drawn("linalg.solve", equations(), call=by("solve", regular))
table.drawn(
    "linalg.solve_triangular",
    equations().flatmap(lambda drawn: st.booleans().map(lambda upper: (drawn[0], {**drawn[1], "upper": upper}))),
    call=by("solve_triangular", regular),
)
table.drawn("linalg.qr", one_matrix(), call=by("qr", after=qr_parts), loose=1e4)  # columns can be nearly dependent
table.drawn("linalg.matrix_norm", one_matrix(ord=st.sampled_from([1, -1, INF, -INF, "fro"])), call=by("matrix_norm"))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(LinAlgError, lambda m: m.linalg.inv(m.zeros(2, 2)), "inv:", "the matrix, of size 2, is singular")
wrong(LinAlgError, lambda m: m.linalg.inv(m.zeros(2, 3, 2, 2) + m.eye(2) * m.ones(3, 1, 1) * 0), "inv:", "element 0, 0")
wrong(LinAlgError, lambda m: m.linalg.solve(m.ones(2, 2), m.ones(2)), "solve:", "size 2, is singular")
wrong(LinAlgError, lambda m: m.linalg.solve(m.stack([m.eye(2), m.ones(2, 2)]), m.ones(2, 1)), "solve:", "element 1")
wrong(RuntimeError, lambda m: m.linalg.cholesky(-m.eye(2)), "cholesky:", "positive definite")
wrong(LinAlgError, lambda m: m.linalg.svd(m.tensor([[NAN]])), "svd:", "finite")
wrong(LinAlgError, lambda m: m.linalg.svdvals(m.tensor([[NAN]])), "svdvals:", "finite")
wrong(
    LinAlgError, lambda m: m.linalg.svd(m.tensor([[INF, 1.0], [1.0, INF]])), "svd:", "finite", "(2, 2)",
    torch_allows=True,  # and returns nan
)  # fmt: skip
wrong(LinAlgError, lambda m: m.linalg.pinv(m.tensor([[NAN]])), "pinv:", "finite")
wrong(ShapeError, lambda m: m.linalg.solve(m.eye(2), m.ones(3, 2)), "solve:", "A X = B", "(2, 2)", "(3, 2)")
wrong(ShapeError, lambda m: m.linalg.solve(m.eye(2), m.ones(2, 3), left=False), "solve:", "X A = B", "(2, 3)")
wrong(ShapeError, lambda m: m.linalg.solve(m.eye(2), m.ones(2), left=False), "solve:", "left=False", "(2,)")
wrong(ShapeError, lambda m: m.linalg.solve(m.ones(2, 3), m.ones(2, 1)), "solve:", "square", "2 by 3")
wrong(ShapeError, lambda m: m.linalg.solve(m.ones(3, 2, 2), m.ones(2, 2, 2)), "solve:", "(3, 2, 2)", "broadcast")
wrong(DtypeError, lambda m: m.linalg.solve(m.eye(2), m.ones(2, 1).double()), "solve:", "float32 and float64")
wrong(ArgumentTypeError, lambda m: m.linalg.solve(m.eye(2), [1.0, 2.0]), "solve:", "list")
wrong(ShapeError, lambda m: m.linalg.solve_triangular(m.eye(2), m.ones(2), upper=True), "solve_triangular:", "(2,)")
wrong(
    ShapeError, lambda m: m.linalg.solve_triangular(m.eye(2), m.ones(3, 1), upper=True), "solve_triangular:", "(3, 1)"
)
wrong(ArgumentError, lambda m: m.linalg.qr(m.eye(2), "full"), "qr:", "'reduced'", "'full'")
wrong(ShapeError, lambda m: m.linalg.qr(m.ones(2)), "qr:", "a matrix", "(2,)")
wrong(
    NotDifferentiableError,
    lambda m: m.linalg.qr(m.eye(2).requires_grad_(), "r").R.sum().backward(),
    "qr:", "mode='r'", "mode='reduced'",
)  # fmt: skip
wrong(ArgumentError, lambda m: m.linalg.eigh(m.eye(2), "X"), "eigh:", "UPLO", "'X'")
wrong(ArgumentError, lambda m: m.linalg.eigvalsh(m.eye(2), "X"), "eigvalsh:", "UPLO", "'X'")
wrong(ShapeError, lambda m: m.linalg.eigh(m.ones(2, 3)), "eigh:", "square", "2 by 3")
wrong(DtypeError, lambda m: m.linalg.eigvalsh(m.eye(2).long()), "eigvalsh:", "int64")
wrong(DtypeError, lambda m: m.linalg.svdvals(m.eye(2).half()), "svdvals:", "float16")
wrong(ShapeError, lambda m: m.linalg.pinv(m.ones(2, 3), hermitian=True), "pinv:", "square", "2 by 3")
wrong(ShapeError, lambda m: m.linalg.matrix_rank(m.ones(2)), "matrix_rank:", "(2,)")
wrong(DtypeError, lambda m: m.linalg.vector_norm(m.ones(2).long()), "vector_norm:", "int64")
wrong(DtypeError, lambda m: m.linalg.vector_norm(m.ones(2).double(), dtype=m.float32), "vector_norm:", "narrow")
wrong(DimError, lambda m: m.linalg.vector_norm(m.ones(0), INF), "vector_norm:", "ord=inf", "no elements")
wrong(DimError, lambda m: m.linalg.vector_norm(m.ones(2), dim=1), "vector_norm:", "dim 1")
wrong(ArgumentTypeError, lambda m: m.linalg.vector_norm(m.ones(2), "fro"), "vector_norm:", "'fro'")
wrong(ArgumentError, lambda m: m.linalg.matrix_norm(m.eye(2), 3), "matrix_norm:", "got 3")
wrong(ArgumentError, lambda m: m.linalg.matrix_norm(m.eye(2), "x"), "matrix_norm:", "'x'")
wrong(DimError, lambda m: m.linalg.matrix_norm(m.ones(2, 0), -1), "matrix_norm:", "ord=-1", "(2, 0)")
wrong(DimError, lambda m: m.linalg.matrix_norm(m.eye(2), dim=(0, 0)), "matrix_norm:", "twice")
wrong(DimError, lambda m: m.linalg.matrix_norm(m.eye(2), dim=(0,)), "matrix_norm:", "two dimensions", "(0,)")
wrong(ShapeError, lambda m: m.linalg.matrix_norm(m.ones(2)), "matrix_norm:", "(2,)")
wrong(DtypeError, lambda m: m.linalg.matrix_norm(m.eye(2).half(), "nuc"), "matrix_norm:", "float16")
wrong(ShapeError, lambda m: m.linalg.norm(m.ones(2, 2, 2), 1), "norm:", "(2, 2, 2)", "give dim")
wrong(DimError, lambda m: m.linalg.norm(m.ones(2, 2, 2), dim=(0, 1, 2)), "norm:", "one or two")
wrong(ShapeError, lambda m: m.linalg.norm(m.ones(2), "fro"), "norm:", "(2,)")
wrong(ArgumentError, lambda m: m.linalg.norm(m.eye(2), 3), "norm:", "got 3")
wrong(ArgumentError, lambda m: m.linalg.cond(m.eye(2), 3), "cond:", "got 3")
wrong(ShapeError, lambda m: m.linalg.cond(m.ones(2, 3), 1), "cond:", "square", "2 by 3")
wrong(DtypeError, lambda m: m.linalg.vecdot(m.ones(2).long(), m.ones(2).long()), "vecdot:", "int64")
wrong(DtypeError, lambda m: m.linalg.vecdot(m.ones(2), m.ones(2).double()), "vecdot:", "float32 and float64")
wrong(ShapeError, lambda m: m.linalg.vecdot(m.ones(2), m.ones(3)), "vecdot:", "(2,)", "(3,)")
wrong(ShapeError, lambda m: m.linalg.cross(m.ones(2, 4), m.ones(2, 4)), "cross:", "size 3", "(2, 4)")
wrong(ArgumentTypeError, lambda m: m.linalg.multi_dot(3), "multi_dot:", "int")
wrong(ArgumentTypeError, lambda m: m.linalg.pinv(m.eye(2), rtol="a"), "pinv:", "rtol", "'a'")
wrong(ArgumentError, lambda m: m.linalg.multi_dot([m.ones(2, 2)]), "multi_dot:", "got 1")
wrong(ShapeError, lambda m: m.linalg.multi_dot([m.ones(3), m.ones(3), m.ones(3)]), "multi_dot:", "operand 1", "(3,)")
wrong(ShapeError, lambda m: m.linalg.multi_dot([m.ones(2, 3), m.ones(4, 2)]), "multi_dot:", "(2, 3)", "(4, 2)")
wrong(ArgumentError, lambda m: m.linalg.vander(m.ones(2), N=1), "vander:", "got 1")
wrong(DtypeError, lambda m: m.linalg.vander(m.ones(2).bool()), "vander:", "bool")
