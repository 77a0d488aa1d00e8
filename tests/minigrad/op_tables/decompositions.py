"""What PyTorch has outside of torch.linalg: inverses, determinants, factors, powers of matrices, distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from op_harness import Draw, Table, given, integers, x
from op_strategies import LAYOUTS

from minigrad.errors import (
    ArgumentError,
    ArgumentTypeError,
    DtypeError,
    LinAlgError,
    NotDifferentiableError,
    ShapeError,
)

TWICE = "PyTorch has no second gradients of these distances; those of cdist by a matrix product are compared"
table = Table("decompositions", not_differentiable={"vander"}, once={"pdist": TWICE})
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")
REGULAR = given([[2.0, 1.0, 0.5], [-1.0, 3.0, 0.25], [0.5, -0.5, 1.5]])
DEFINITE = given([[4.0, 1.0, 0.5], [1.0, 3.0, -0.5], [0.5, -0.5, 2.0]])
LOWER = given([[2.0, 0.0, 0.0], [-1.0, 1.5, 0.0], [0.5, -0.5, 1.25]])
SINGULAR = given([[1.0, 2.0], [2.0, 4.0]])


def regular(m: Any, a: Any) -> Any:
    """a + 4: far from singular."""
    return a + 4 * m.eye(a.shape[-1]).to(a.dtype)


def definite(m: Any, a: Any) -> Any:
    """a a^T + 1: symmetric and positive definite."""
    return a @ a.mT + m.eye(a.shape[-2]).to(a.dtype)


def at(op: str, matrix: Callable[[Any, Any], Any]) -> Any:
    """A call of `op` at a matrix made of the drawn one."""
    return lambda m, a, *args, **kwargs: getattr(m, op)(matrix(m, a), *args, **kwargs)


def on_square(op: str, matrix: Callable[[Any, Any], Any], *options: Any, smooth: bool = True) -> None:
    """Sizes, batches and layouts of a function of square matrices."""
    for shape in ((3, 3), (1, 1), (2, 2, 2), (2, 1, 2, 2), (0, 2, 2)):
        case(op, x(*shape), *options, call=at(op, matrix))
    case(op, x(0, 0), *options, call=at(op, matrix))
    case(op, x(2, 0, 0), *options, call=at(op, matrix))
    case(op, x(3, 3).transposed, *options, call=at(op, matrix), note="moved")
    case(op, x(2, 3, 3).strided, *options, call=at(op, matrix), note="moved")


def square(least: int = 0) -> Any:
    """One matrix, or a batch, of a drawn size and layout."""
    lead = st.lists(st.sampled_from([0, 1, 2]), max_size=2)
    size = st.sampled_from([least, 1, 2, 3, 4])
    return st.builds(lambda lead, n, layout: ((Draw((*lead, n, n), layout=layout),), {}), lead, size, LAYOUTS)


# --- inverses and determinants ----------------------------------------------------------------------------------------

for op in ("inverse", "det", "slogdet", "logdet", "matrix_exp"):
    case(op, REGULAR)
    on_square(op, regular)
    table.drawn(op, square(), call=at(op, regular))
case("inverse", given([[NAN, 1.0], [1.0, 2.0]]), smooth=False)
case("det", SINGULAR, smooth=False)
case("det", given([[2.0, 0.0], [0.0, 0.0]]))
case("det", given([[[2.0, 1.0], [1.0, 3.0]], [[0.0, 0.0], [0.0, 3.0]]]), note="one of them singular")
case("det", given([[0.0, 0.0, 0.0]] * 3), note="of zeros", smooth=False, twice=False)  # nan in PyTorch, equal values
case("det", given([[1.0, 2.0], [3.0, INF]]).fixed)
case("det", given([[1e30, 0.0], [0.0, 1e30]], "float32").fixed, note="too large")
case("det", given([[-2.0, 1.0], [1.0, 3.0]]), note="negative")
case("slogdet", given([[-2.0, 1.0], [1.0, 3.0]]), note="negative")
case("slogdet", SINGULAR.fixed)
case("slogdet", given([[1e200, 0.0], [0.0, 1e200]], "float64"), smooth=False)
case("logdet", given([[-2.0, 1.0], [1.0, 3.0]]), note="negative", smooth=False)
case("logdet", SINGULAR.fixed)

# --- factors ----------------------------------------------------------------------------------------------------------

case("cholesky", DEFINITE, smooth=False)
case("cholesky", DEFINITE, True, smooth=False)
case("cholesky", given([[4.0, 100.0], [2.0, 5.0]]), note="only its lower triangle", smooth=False)
case("cholesky", given([[4.0, 2.0], [100.0, 5.0]]), upper=True, note="only its upper triangle", smooth=False)
on_square("cholesky", definite)
case("cholesky", x(3, 3), upper=True, call=at("cholesky", definite))
case("cholesky", x(2, 2, 3), upper=True, call=at("cholesky", definite))
table.drawn("cholesky", square(), call=at("cholesky", definite))


def with_factor(op: str, other: bool = True) -> Any:
    """A call with a triangular factor, made of what is drawn: PyTorch's gradient also has the triangle it ignores."""

    def called(m: Any, *args: Any, upper: bool = False) -> Any:
        *first, a = args
        L = m.cholesky(definite(m, a), upper=upper)
        return getattr(m, op)(*first, L, upper=upper)

    return called


for upper in (False, True):
    case("cholesky_solve", x(3, 2), x(3, 3), upper=upper, call=with_factor("cholesky_solve"))
    case("cholesky_solve", x(2, 3, 1), x(2, 3, 3), upper=upper, call=with_factor("cholesky_solve"))
    case("cholesky_solve", x(2, 2), x(3, 2, 2), upper=upper, call=with_factor("cholesky_solve"), note="broadcast")
    case("cholesky_inverse", x(3, 3), upper=upper, call=with_factor("cholesky_inverse"))
    case("cholesky_inverse", x(2, 2, 2), upper=upper, call=with_factor("cholesky_inverse"))
    factor = LOWER if not upper else given([[2.0, -1.0, 0.5], [0.0, 1.5, -0.5], [0.0, 0.0, 1.25]])
    case("cholesky_solve", x(3, 2), factor.fixed, upper)
    case("cholesky_inverse", factor.fixed, upper)
case("cholesky_solve", x(3, 2).transposed, LOWER.fixed)
case("cholesky_solve", x(3, 0), LOWER.fixed)
case("cholesky_inverse", x(0, 0).fixed)


def of_qr(m: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
    result = m.qr(a, *args, **kwargs)
    return result.Q, result.R


for shape in ((3, 3), (3, 2), (2, 3), (2, 3, 2), (1, 1), (0, 3, 2), (3, 0), (0, 2)):
    case("qr", x(*shape), call=of_qr, loose=100)  # draws with nearly parallel columns are ill-conditioned in float32
case("qr", x(3, 2), note="unpacked", loose=100)
case("qr", x(3, 2).fixed, False)
case("qr", x(2, 3), some=False, loose=100)
case("qr", x(2, 3).transposed, loose=100)
case("qr", x(3, 2).strided, loose=100)


def of_svd(m: Any, a: Any, *args: Any, **kwargs: Any) -> Any:
    """What does not depend on the signs of the vectors."""
    U, S, V = m.svd(a, *args, **kwargs)
    k = S.shape[-1]
    return U[..., :k].abs(), S, V[..., :k].abs(), (U[..., :k] * S.unsqueeze(-2)) @ V[..., :k].mT


for shape in ((3, 3), (3, 2), (2, 3), (2, 3, 2), (1, 1), (0, 3, 2)):
    case("svd", x(*shape), call=of_svd)
case("svd", x(3, 2), some=False, call=of_svd)
case("svd", x(2, 3), False, call=of_svd)
case("svd", x(3, 2).strided, call=of_svd)
case("svd", x(3, 2).fixed, compute_uv=False)
case("svd", given([[2.0, 0.0], [0.0, 1.0]]), call=lambda m, a: getattr(m, "svd")(a).S, note="by method name")  # noqa: B009
case("svd", x(3, 2), False, False, call=lambda m, a, *rest: m.svd(a, *rest).S)
case("svd", x(2, 3).fixed, note="unpacked", call=lambda m, *a: [p.abs() for p in m.svd(*a)])
case("svd", given([[3.0]]))

# --- functions of matrices --------------------------------------------------------------------------------------------

case("matrix_exp", given([[0.0, 30.0], [-30.0, 0.0]]), note="far out", loose=100, smooth=False)
case(
    "matrix_exp",
    given([[[1e-3, 2e-3], [0.0, -1e-3]], [[20.0, 1.0], [3.0, -20.0]]]),
    note="of different sizes",
    loose=10,
)
case("matrix_exp", given([[0.0, 1.0], [0.0, 0.0]]), note="nilpotent")
case("matrix_exp", given([[0.0] * 2] * 2), note="of zeros")
case("matrix_exp", given([[NAN, 1.0], [1.0, 2.0]]), smooth=False)
case("pinverse", REGULAR)
for shape in ((3, 2), (2, 3), (2, 3, 2), (1, 1), (0, 3, 2), (0, 3), (3, 0)):
    case("pinverse", x(*shape))
case("pinverse", x(3, 2).strided, 1e-4)
case("pinverse", given([[1.0, 0.0], [0.0, 1e-3]]), rcond=1e-2, note="of rank 1", smooth=False)
case("pinverse", SINGULAR, note="singular", rcond=1e-6, smooth=False)
case("matrix_power", REGULAR, 3)
for n in (0, 1, 2, 5, -1, -2):
    case("matrix_power", x(3, 3), n, call=at("matrix_power", regular))
    case("matrix_power", x(2, 2, 2), n=n, call=at("matrix_power", regular), loose=10)
for n in (0, 1, 4):
    case("matrix_power", integers(2, 2, high=-3), n)
    case("matrix_power", x(0, 0), n)
case("matrix_power", x(2, 2).transposed, 3)
case("matrix_power", x(2, 2, dtype="float16"), 2)
case("trace", x(3, 3))
case("trace", x(2, 3))
case("trace", x(3, 2).transposed)
case("trace", x(2, 2).strided)
case("trace", x(0, 3))
case("trace", x(1, 1))
case("trace", given([[NAN, 0.0], [0.0, 1.0]]), smooth=False)
case("trace", integers(3, 3, high=-5, dtype="int32"))
case("trace", x(2, 3, dtype="float16"))
case("chain_matmul", x(2, 3))
case("chain_matmul", x(2, 3), x(3, 2))
case("chain_matmul", x(2, 3), x(3, 4), x(4, 1))
case("chain_matmul", x(4, 1), x(1, 4), x(4, 2), x(2, 3))
case("chain_matmul", x(2, 0), x(0, 3), x(3, 2))
case("chain_matmul", integers(2, 3, high=-4), integers(3, 2, high=-4), integers(2, 2, high=4))
case("chain_matmul", x(3, 2).transposed, x(2, 3).strided, x(3, 2))
# PyTorch cannot compute gradients of vander: it overwrites what they need.
case("vander", x(3).fixed)
case("vander", x(3).fixed, 2)
case("vander", x(3).fixed, N=4, increasing=True)
case("vander", x(3).fixed, N=0)
case("vander", x(0).fixed)
case("vander", x(1).fixed, 3)
case("vander", x(3).strided.fixed, 3)
case("vander", given([0.0, 1.0, -2.0]).fixed)
case("vander", integers(3, high=-4, dtype="int32"))
case("vander", given([True, False], "bool"), 3)

# --- distances --------------------------------------------------------------------------------------------------------

NEAR = given([[1.0, 2.0], [0.0, 0.0]]), given([[1.0, 2.0], [3.0, 1.0], [1.0, -1.0]])
MM = "use_mm_for_euclid_dist"
for p in (0, 0.5, 1, 1.5, 2, 3.0, INF):
    # PyTorch has no second gradients.
    case("cdist", x(2, 3), x(4, 3), p, twice=False, smooth=p != 0)
    case("cdist", *NEAR, p=p, note="with distance 0", twice=False, smooth=False)
    case("pdist", x(3, 2), p, twice=False, smooth=p != 0)
    case("pdist", given([[1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [1.0, -1.0]]), p=p, twice=False, smooth=False)
for p in (0.5, 1, 1.5, 2, 3.0, INF):
    case("dist", x(2, 3), x(2, 3), p)
    case("dist", x(2, 3), x(3), p=p, note="broadcast")
    case(
        "dist", given([1.0, 2.0]), given([1.0, 2.0]), p, note="with distance 0", smooth=False, twice=False
    )  # nan in PyTorch
case("dist", x(2, 3).fixed, x(3).fixed, 0)  # PyTorch fails in its gradient
case("dist", x(3), x(3))
case("dist", x(3), x(3), -1.0)
case("dist", x(3), x(3), -INF)
case("dist", x(), x(2))
case("dist", x(0), x(0), smooth=False, twice=False)
case("dist", x(2, 3).strided, x(2, 3).transposed)
case("dist", x(2, dtype="float16"), x(2, dtype="float16"))
case("dist", given([NAN, 1.0]), given([0.0, 0.0]), smooth=False)
case("cdist", x(2, 3), x(4, 3), twice=False)
case("cdist", x(2, 3), x(4, 3), compute_mode="donot_use_mm_for_euclid_dist", twice=False)
case("cdist", x(2, 3), x(4, 3), 2.0, MM)
case("cdist", x(3, 2, 3), x(2, 3), compute_mode=MM)
case("cdist", x(2, 0), x(3, 0), compute_mode=MM, smooth=False, twice=False)
case("cdist", *NEAR, compute_mode=MM, note="with distance 0", smooth=False, twice=False)  # nan in PyTorch
case("cdist", x(26, 2), x(3, 2), note="many rows")
case("cdist", x(2, 2, 3), x(2, 4, 3), 1.5, twice=False)
case("cdist", x(2, 1, 2, 3), x(3, 2, 3), twice=False)
case("cdist", x(0, 3), x(2, 3), twice=False)
case("cdist", x(2, 0), x(3, 0), twice=False, smooth=False)
case("cdist", x(3, 2).transposed, x(2, 2).strided, twice=False)
case("cdist", given([[NAN, 1.0], [0.0, 1.0]]).fixed, given([[INF, 1.0], [0.0, 1.0]]).fixed)
case("pdist", x(4, 3), twice=False)
case("pdist", x(1, 3), twice=False)
case("pdist", x(0, 3).fixed)  # PyTorch crashes in its gradient
case("pdist", x(3, 0), twice=False, smooth=False)
case("pdist", x(3, 2).strided, twice=False)

# --- wrong calls ------------------------------------------------------------------------------------------------------

SQUARE = ("inverse", "det", "slogdet", "logdet", "cholesky", "cholesky_inverse", "matrix_exp")
for op in SQUARE:
    name = op + ":"
    wrong(ShapeError, lambda m, op=op: getattr(m, op)(m.ones(2, 3)), name, "square", "2 by 3", "(2, 3)")
    wrong(ShapeError, lambda m, op=op: getattr(m, op)(m.ones(3)), name, "a matrix", "(3,)")
    wrong(DtypeError, lambda m, op=op: getattr(m, op)(m.ones(2, 2).long()), name, "int64", "x.float()")
    wrong(
        DtypeError, lambda m, op=op: getattr(m, op)(m.eye(2).half()), name, "float16", "x.float()",
        torch_allows=op == "matrix_exp",  # and returns numbers that are wrong by orders of magnitude
    )  # fmt: skip
    wrong(ArgumentTypeError, lambda m, op=op: getattr(m, op)([[1.0]]), name, "list")
for op in ("qr", "svd", "pinverse"):
    name = op + ":"
    wrong(ShapeError, lambda m, op=op: getattr(m, op)(m.ones(3)), name, "a matrix", "(3,)")
    wrong(DtypeError, lambda m, op=op: getattr(m, op)(m.ones(2, 2).long()), name, "int64", "x.float()")
wrong(LinAlgError, lambda m: m.zeros(2, 2).inverse(), "inverse:", "the matrix, of size 2, is singular")
wrong(LinAlgError, lambda m: m.stack([m.eye(2), m.zeros(2, 2)]).inverse(), "inverse:", "batch element 1")
wrong(LinAlgError, lambda m: (-m.eye(2)).cholesky(), "cholesky:", "size 2", "not positive definite")
wrong(LinAlgError, lambda m: m.stack([m.eye(2), m.eye(2), -m.eye(2)]).cholesky(), "cholesky:", "batch element 2")
wrong(LinAlgError, lambda m: m.cholesky_inverse(m.zeros(2, 2)), "cholesky_inverse:", "zero at [0]")
wrong(LinAlgError, lambda m: m.svd(m.tensor([[NAN]])), "svd:", "(1, 1)", "finite")
wrong(LinAlgError, lambda m: m.cholesky(m.tensor([[NAN]])), "cholesky:", "nan", "not positive definite")
wrong(LinAlgError, lambda m: m.pinverse(m.tensor([[NAN]])), "pinverse:", "(1, 1)", "finite")
wrong(LinAlgError, lambda m: m.zeros(2, 2).matrix_power(-1), "matrix_power:", "singular")
wrong(
    LinAlgError,
    lambda m: m.zeros(2, 2).requires_grad_().slogdet()[1].backward(create_graph=True),
    "slogdet:", "singular",
)  # fmt: skip
wrong(ShapeError, lambda m: m.cholesky_solve(m.ones(2), m.eye(2)), "cholesky_solve:", "a matrix", "(2,)")
wrong(ShapeError, lambda m: m.cholesky_solve(m.ones(3, 1), m.eye(2)), "cholesky_solve:", "(2, 2)", "(3, 1)")
wrong(ShapeError, lambda m: m.cholesky_solve(m.ones(2, 1), m.ones(2, 3)), "cholesky_solve:", "square", "2 by 3")
wrong(DtypeError, lambda m: m.cholesky_solve(m.ones(2, 1), m.eye(2).double()), "cholesky_solve:", "float32 and float64")
wrong(
    NotDifferentiableError,
    lambda m: m.qr(m.ones(3, 2, requires_grad=True), some=False).R.sum().backward(),
    "qr:", "mode='complete'", "(3, 2)", "mode='reduced'",
)  # fmt: skip
wrong(ArgumentTypeError, lambda m: m.matrix_power(m.eye(2), 2.0), "matrix_power:", "integer", "float: 2.0")
wrong(ShapeError, lambda m: m.matrix_power(m.ones(2, 3), 2), "matrix_power:", "square", "(2, 3)")
wrong(DtypeError, lambda m: m.matrix_power(m.ones(2, 2).long(), -1), "matrix_power:", "int64")
wrong(DtypeError, lambda m: m.matrix_power(m.ones(2, 2).bool(), 2), "matrix_power:", "bool")
wrong(ShapeError, lambda m: m.trace(m.ones(1, 2, 2)), "trace:", "a matrix", "(1, 2, 2)")
wrong(DtypeError, lambda m: m.trace(m.ones(2, 2).bool()), "trace:", "bool")
wrong(ArgumentError, lambda m: m.chain_matmul(), "chain_matmul:", "none")
wrong(ShapeError, lambda m: m.chain_matmul(m.ones(2, 3), m.ones(3)), "chain_matmul:", "operand 1", "(3,)")
wrong(ShapeError, lambda m: m.chain_matmul(m.ones(2, 3), m.ones(2, 3)), "chain_matmul:", "(2, 3)", "inner sizes")
wrong(DtypeError, lambda m: m.chain_matmul(m.ones(2, 2), m.ones(2, 2).double()), "chain_matmul:", "float32 and float64")
wrong(ArgumentTypeError, lambda m: m.vander(m.ones(2), "2"), "vander:", "N", "str: '2'")
wrong(ShapeError, lambda m: m.vander(m.ones(2, 2)), "vander:", "a vector", "(2, 2)")
wrong(ArgumentError, lambda m: m.vander(m.ones(2), -2), "vander:", "-2")
wrong(ShapeError, lambda m: m.cdist(m.ones(3), m.ones(4, 3)), "cdist:", "(3,)")
wrong(ShapeError, lambda m: m.cdist(m.ones(2, 2), m.ones(4, 3)), "cdist:", "2 and 3")
wrong(ShapeError, lambda m: m.cdist(m.ones(5, 2, 3), m.ones(4, 4, 3)), "cdist:", "(5, 2, 3)", "(4, 4, 3)")
wrong(ArgumentError, lambda m: m.cdist(m.ones(2, 3), m.ones(4, 3), p=-1.0), "cdist:", "p must be", "-1.0")
wrong(ArgumentError, lambda m: m.cdist(m.ones(2, 3), m.ones(4, 3), compute_mode="mm"), "cdist:", "compute_mode", "'mm'")
wrong(DtypeError, lambda m: m.cdist(m.ones(2, 3), m.ones(4, 3).double()), "cdist:", "float32 and float64")
wrong(DtypeError, lambda m: m.cdist(m.ones(2, 3).long(), m.ones(4, 3).long()), "cdist:", "int64")
wrong(ShapeError, lambda m: m.pdist(m.ones(3, 2, 2)), "pdist:", "(3, 2, 2)")
wrong(ArgumentError, lambda m: m.pdist(m.ones(3, 2), -1), "pdist:", "-1")
wrong(DtypeError, lambda m: m.pdist(m.ones(3, 2).long()), "pdist:", "int64")
wrong(ShapeError, lambda m: m.dist(m.ones(2), m.ones(3)), "dist:", "(2,)", "(3,)")
wrong(DtypeError, lambda m: m.dist(m.ones(2).long(), m.ones(2).long()), "dist:", "int64")
wrong(ArgumentTypeError, lambda m: m.dist(m.ones(2), 1.0), "dist:", "float: 1.0")
wrong(ArgumentTypeError, lambda m: m.dist(m.ones(2), m.ones(2), "fro"), "dist:", "'fro'")
