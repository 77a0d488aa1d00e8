"""Products of vectors, matrices and batches of matrices."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Draw, Table, given, integers, x
from op_strategies import LAYOUTS, SIZES, tensors

from minigrad.errors import ArgumentTypeError, DimError, DtypeError, ShapeError

table = Table("linear_algebra")
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")

MATRICES = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 2)), ((1, 1), (1, 1)), ((2, 2, 3), (3,)),
    ((3,), (2, 3, 2)), ((2, 2, 3), (3, 2)), ((2, 3), (2, 3, 2)), ((2, 2, 3), (2, 3, 1)), ((1, 2, 3), (2, 3, 2)),
    ((2, 1, 2, 2), (3, 2, 1)), ((2, 1, 1, 2), (1, 2, 2, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((0,), (0,)),
    ((2, 3), (3, 0)), ((0, 2, 3), (3, 2)),
]  # fmt: skip
for left, right in MATRICES:
    case("matmul", x(*left), x(*right))
case("matmul", x(2, 3), x(3, 2), call=lambda m, a, b: a @ b, note="by operator")
case("matmul", x(3, 2).transposed, x(2, 3).strided)
case("matmul", x(2, 3), call=lambda m, a: a @ a.T, note="with its transpose")
case("matmul", x(2, 2), x(2, 2).fixed)
case("matmul", integers(2, 3, high=-5), integers(3, 2, high=-5))
case("matmul", given([[1.0, INF], [NAN, 0.0]]), given([[0.0], [1.0]]), smooth=False)
case("mm", x(2, 3), x(3, 2))
case("mm", x(0, 3), x(3, 2))
case("mm", x(3, 2).transposed, x(2, 2))
case("dot", x(3), x(3))
case("dot", x(0), x(0))
case("dot", x(3).strided, x(3))
case("dot", integers(3, high=-5), integers(3, high=-5))
case("linear", x(2, 3), x(4, 3), x(4))
case("linear", x(2, 3), x(4, 3))
case("linear", x(3), x(2, 3), x(2))
case("linear", x(3), x(2, 3))
case("linear", x(2, 2, 3), x(2, 3), x(2))
case("linear", x(2, 2, 3), x(2, 3))
case("linear", x(2, 3), x(3))
case("linear", x(0, 3), x(2, 3), x(2))
case("linear", x(2, 0), x(3, 0), x(3))
case("linear", x(2, 3), x(1, 3), bias=x(1))
case("linear", x(2, 3), x(2, 3).fixed, x(2))
case("linear", x(3, 2).transposed, x(2, 2).transposed, x(2).strided)
case("linear", x(2, 3, dtype="float16"), x(2, 3, dtype="float16"))

# --- products of fixed ranks ------------------------------------------------------------------------------------------

case("mv", x(2, 3), x(3))
case("mv", x(0, 3), x(3))
case("mv", x(2, 0), x(0))
case("mv", x(3, 2).transposed, x(2).strided)
case("mv", integers(2, 3, high=-5), integers(3, high=-5))
case("bmm", x(2, 3, 2), x(2, 2, 4))
case("bmm", x(0, 3, 2), x(0, 2, 4))
case("bmm", x(2, 3, 0), x(2, 0, 2))
case("bmm", x(1, 1, 1), x(1, 1, 1))
case("bmm", x(2, 3, 2).transposed, x(2, 2, 2).strided)
case("bmm", integers(2, 2, 3, high=-5), integers(2, 3, 1, high=-5))
case("bmm", x(2, 2, 2, dtype="float16"), x(2, 2, 2, dtype="float16"))
for op in ("outer", "ger"):
    case(op, x(2), x(3))
    case(op, x(0), x(3))
    case(op, x(2).strided, x(1))
    case(op, x(2), integers(3, high=5), note="promoted")
    case(op, integers(2, high=5), integers(3, high=-5))
    case(op, given([1.0, INF]), given([NAN, 0.0]), smooth=False)
case("vdot", x(3), x(3))
case("vdot", x(0), x(0))
case("vdot", integers(3, high=-5), integers(3, high=-5))
case("inner", x(3), x(3))
case("inner", x(2, 3), x(4, 3))
case("inner", x(2, 2, 3), x(3))
case("inner", x(3), x(2, 3))
case("inner", x(2, 1, 3), x(3, 2, 3))
case("inner", x(), x(2, 3))
case("inner", x(2, 3), x())
case("inner", x(2, 0), x(4, 0))
case("inner", x(0, 3), x(4, 3))
case("inner", x(3, 2).transposed, x(2).strided)
case("inner", integers(2, 3, high=-5), integers(3, high=-5))

# --- a product added to something -------------------------------------------------------------------------------------

PARTS: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    "addmm": ((2, 2), (2, 3), (3, 2)), "addmv": ((2,), (2, 3), (3,)), "addr": ((2, 3), (2,), (3,)),
    "baddbmm": ((4, 2, 2), (4, 2, 3), (4, 3, 2)), "addbmm": ((2, 2), (4, 2, 3), (4, 3, 2)),
}  # fmt: skip
for op, (whole, left, right) in PARTS.items():
    case(op, x(*whole), x(*left), x(*right))
    case(op, x(*whole), x(*left), x(*right), beta=0.5, alpha=-2)
    case(op, x(*whole), x(*left), x(*right), beta=0, note="without the input")
    case(op, given([NAN] * whole[-1]), x(*left), x(*right), beta=0, smooth=False)
    case(op, x(*whole), x(*left), x(*right), alpha=0)
    case(op, x(1), x(*left), x(*right), note="broadcast")
    case(op, x(), x(*left), x(*right), beta=3)
    case(op, x(*whole).strided, x(*left).transposed, x(*right).strided)
    case(op, integers(*whole, high=-5), integers(*left, high=-5), integers(*right, high=-5), beta=2, alpha=-1)
    case(op, x(*whole, dtype="float16"), x(*left, dtype="float16"), x(*right, dtype="float16"), beta=2)
case("addmm", x(2, 3), x(2, 0), x(0, 3))
case("addmm", x(0, 3), x(0, 2), x(2, 3))
case("baddbmm", x(2, 3), x(0, 2, 1), x(0, 1, 3))
case("addbmm", x(2, 3), x(0, 2, 1), x(0, 1, 3))
case("addmv", x(2), x(2, 0), x(0))
case("addr", x(0, 3), x(0), x(3))
case("addr", x(2, 2).fixed, integers(2, high=5), x(2).fixed, note="promoted")  # PyTorch: no gradients

# --- the cross product ------------------------------------------------------------------------------------------------

case("cross", x(3), x(3))
case("cross", x(2, 3), x(2, 3))
case("cross", x(3, 3), x(3, 3))
case("cross", x(2, 3), x(2, 3), 1)
case("cross", x(3, 2), x(3, 2), dim=0)
case("cross", x(3, 2), x(3, 2), dim=-2)
case("cross", x(2, 3), x(1, 3), dim=1, note="broadcast")
case("cross", x(0, 3), x(0, 3), dim=1)
case("cross", x(3, 3).transposed, x(3, 3).strided, dim=0)
case("cross", integers(3, high=-5), integers(3, high=-5))
case("cross", x(3, dtype="float16"), x(3, dtype="float16"))
case("cross", given([INF, 1.0, 0.0]), given([1.0, NAN, 1.0]), smooth=False)

# --- drawn sizes ------------------------------------------------------------------------------------------------------


@st.composite
def laid_out(draw: st.DrawFn, *shape: int) -> Draw:
    return Draw(shape, layout=draw(LAYOUTS))


@st.composite
def products(draw: st.DrawFn, added: bool = False, batch: bool = False) -> Any:
    """Two matrices, or two batches; with `added` something that often broadcasts to their product before them."""
    rows, inner, columns, count = (draw(SIZES) for _ in range(4))
    other = inner if draw(st.integers(0, 9)) else draw(SIZES)
    lead = (count,) if batch else ()
    pair = draw(laid_out(*lead, rows, inner)), draw(laid_out(*lead, other, columns))
    if not added:
        return pair, {}
    shape = draw(st.sampled_from([(rows, columns), (columns,), (1, 1), (rows, 1), (*lead, rows, columns), (2, 3)]))
    first = draw(tensors(st.just(shape)))
    return (first, *pair), {"beta": draw(st.sampled_from([1, 0, -2])), "alpha": draw(st.sampled_from([1, 0.5]))}


table.drawn("mm", products())
table.drawn("bmm", products(batch=True))
table.drawn("matmul", products(batch=True))
table.drawn("addmm", products(added=True))
table.drawn("baddbmm", products(added=True, batch=True))
table.drawn("addbmm", products(added=True, batch=True))
table.drawn("inner", st.tuples(st.tuples(tensors(), tensors()), st.just({})))
table.drawn("outer", st.tuples(st.tuples(tensors(st.tuples(SIZES)), tensors(st.tuples(SIZES))), st.just({})))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(ShapeError, lambda m: m.ones(2, 3) @ m.ones(2, 3), "matmul:", "(2, 3) @ (2, 3)", "3 == 2")
wrong(ShapeError, lambda m: m.ones(3) @ m.ones(2), "matmul:", "(3,) @ (2,)")
wrong(ShapeError, lambda m: m.ones(()) @ m.ones(2), "matmul:", "at least 1 dimension", "()", "write x * y")
wrong(ShapeError, lambda m: m.ones(2, 2, 3) @ m.ones(3, 3, 2), "matmul:", "(2, 2, 3)", "(3, 3, 2)", "broadcast")
wrong(DtypeError, lambda m: m.ones(2, 2) @ m.ones(2, 2).double(), "matmul:", "float32 and float64", ".to(dtype)")
wrong(DtypeError, lambda m: m.ones(2, 2).bool() @ m.ones(2, 2).bool(), "matmul:", "bool", "x.long()")
wrong(ShapeError, lambda m: m.mm(m.ones(2), m.ones(2, 2)), "mm:", "operand 0", "a matrix", "(2,)", "write matmul")
wrong(ArgumentTypeError, lambda m: m.mm(m.ones(2, 2), [[1.0, 2.0]]), "mm:", "Tensors", "list", "minigrad.tensor(x)")
wrong(ShapeError, lambda m: m.mm(m.ones(2, 3), m.ones(2, 3)), "mm:", "3 == 2")
wrong(DtypeError, lambda m: m.mm(m.ones(2, 3), m.ones(3, 2).double()), "mm:", "float32 and float64")
wrong(ShapeError, lambda m: m.mv(m.ones(2, 3), m.ones(3, 1)), "mv:", "operand 1", "a vector", "(3, 1)")
wrong(ShapeError, lambda m: m.mv(m.ones(2, 3), m.ones(2)), "mv:", "3 == 2")
wrong(ShapeError, lambda m: m.bmm(m.ones(2, 3), m.ones(2, 3, 1)), "bmm:", "operand 0", "a batch of matrices", "(2, 3)")
wrong(ShapeError, lambda m: m.bmm(m.ones(1, 2, 2), m.ones(2, 2, 2)), "bmm:", "1 and 2", "write matmul")
wrong(DtypeError, lambda m: m.bmm(m.ones(1, 2, 2), m.ones(1, 2, 2).double()), "bmm:", "float32 and float64")
wrong(ShapeError, lambda m: m.dot(m.ones(2, 2), m.ones(2)), "dot:", "operand 0", "a vector", "(2, 2)", "write matmul")
wrong(ShapeError, lambda m: m.dot(m.ones(2), m.ones(3)), "dot:", "2 and 3")
wrong(ShapeError, lambda m: m.vdot(m.ones(2), m.ones(3)), "vdot:", "2 and 3")
wrong(DtypeError, lambda m: m.vdot(m.ones(2), m.ones(2).double()), "vdot:", "float32 and float64")
wrong(ShapeError, lambda m: m.inner(m.ones(2, 3), m.ones(2)), "inner:", "(2, 3)", "(2,)")
wrong(DtypeError, lambda m: m.inner(m.ones(2), m.ones(2).double()), "inner:", "float32 and float64")
wrong(ShapeError, lambda m: m.outer(m.ones(2, 2), m.ones(2)), "outer:", "operand 0", "a vector", "(2, 2)")
wrong(ShapeError, lambda m: m.ger(m.ones(2), m.ones(2, 2)), "ger:", "operand 1", "a vector", "(2, 2)")
wrong(ArgumentTypeError, lambda m: m.outer(m.ones(2), 3.0), "outer:", "float: 3.0")
wrong(ArgumentTypeError, lambda m: m.addmm(m.ones(2), m.ones(2, 2), m.ones(2, 2), beta="a"), "addmm:", "numbers", "'a'")
wrong(ArgumentTypeError, lambda m: m.nn.functional.linear(m.ones(2), 3), "linear:", "Tensors", "int: 3")
wrong(ShapeError, lambda m: m.addmm(m.ones(3), m.ones(2, 2), m.ones(2, 2)), "addmm:", "(3,)", "(2, 2)")
wrong(ShapeError, lambda m: m.addmm(m.ones(1, 2, 2), m.ones(2, 2), m.ones(2, 2)), "addmm:", "(1, 2, 2)", "(2, 2)")
wrong(ShapeError, lambda m: m.addmm(m.ones(2), m.ones(2, 2), m.ones(2)), "addmm:", "operand 1", "a matrix", "(2,)")
wrong(DtypeError, lambda m: m.addmm(m.ones(2).double(), m.ones(2, 2), m.ones(2, 2)), "addmm:", "float64 and float32")
wrong(
    DtypeError,
    lambda m: m.addmm(m.ones(2).long(), m.ones(2, 2).long(), m.ones(2, 2).long(), alpha=1.5),
    "addmm:", "int64", "alpha=1.5", torch_allows=True,  # PyTorch rounds the factor towards zero
)  # fmt: skip
wrong(ShapeError, lambda m: m.addmv(m.ones(3), m.ones(2, 2), m.ones(2)), "addmv:", "(3,)", "(2,)")
wrong(ShapeError, lambda m: m.addr(m.ones(3), m.ones(2), m.ones(2)), "addr:", "(3,)", "(2, 2)")
wrong(ShapeError, lambda m: m.addbmm(m.ones(3), m.ones(1, 2, 2), m.ones(1, 2, 2)), "addbmm:", "(3,)", "(2, 2)")
wrong(ShapeError, lambda m: m.baddbmm(m.ones(3), m.ones(1, 2, 2), m.ones(1, 2, 2)), "baddbmm:", "(3,)", "(1, 2, 2)")
wrong(ShapeError, lambda m: m.baddbmm(m.ones(2), m.ones(2, 2), m.ones(1, 2, 2)), "baddbmm:", "operand 0", "(2, 2)")
wrong(ShapeError, lambda m: m.cross(m.ones(2, 2), m.ones(2, 2)), "cross:", "(2, 2)", "no dimension of size 3")
wrong(ShapeError, lambda m: m.cross(m.ones(2, 3), m.ones(2, 3), 0), "cross:", "dim 0", "size 3", "(2, 3)")
wrong(ShapeError, lambda m: m.cross(m.ones(3), m.ones(2, 3)), "cross:", "(3,)", "(2, 3)")
wrong(ShapeError, lambda m: m.cross(m.ones(2, 3), m.ones(4, 3), 1), "cross:", "(2, 3)", "(4, 3)", "broadcast")
wrong(DimError, lambda m: m.cross(m.ones(3), m.ones(3), 1), "cross:", "dim 1", "-1 to 0")
wrong(DtypeError, lambda m: m.cross(m.ones(3), m.ones(3).double()), "cross:", "float32 and float64")
wrong(ShapeError, lambda m: m.nn.functional.linear(m.ones(2, 3), m.ones(4, 2)), "linear:", "(2, 3)", "(4, 2)")
wrong(ShapeError, lambda m: m.nn.functional.linear(m.ones(2, 3), m.ones(4, 3), m.ones(3)), "linear:", "(3,)", "(4,)")
wrong(DtypeError, lambda m: m.nn.functional.linear(m.ones(2, 3), m.ones(4, 3).double()), "linear:", "float32, float64")
