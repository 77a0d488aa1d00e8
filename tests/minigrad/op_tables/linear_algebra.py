"""Products of matrices."""

from __future__ import annotations

from op_harness import Table, given, integers, x

from minigrad.errors import DtypeError, ShapeError

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

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(ShapeError, lambda m: m.ones(2, 3) @ m.ones(2, 3), "matmul:", "(2, 3) @ (2, 3)", "3 == 2")
wrong(ShapeError, lambda m: m.ones(3) @ m.ones(2), "matmul:", "(3,) @ (2,)")
wrong(ShapeError, lambda m: m.ones(()) @ m.ones(2), "matmul:", "at least 1 dimension", "()", "write x * y")
wrong(ShapeError, lambda m: m.ones(2, 2, 3) @ m.ones(3, 3, 2), "matmul:", "(2, 2, 3)", "(3, 3, 2)", "broadcast")
wrong(DtypeError, lambda m: m.ones(2, 2) @ m.ones(2, 2).double(), "matmul:", "float32 and float64", ".to(dtype)")
wrong(ShapeError, lambda m: m.mm(m.ones(2), m.ones(2, 2)), "mm:", "two matrices", "(2,)", "write matmul")
wrong(ShapeError, lambda m: m.dot(m.ones(2, 2), m.ones(2)), "dot:", "two vectors", "(2, 2)", "write matmul")
wrong(ShapeError, lambda m: m.dot(m.ones(2), m.ones(3)), "dot:", "2 and 3")
wrong(ShapeError, lambda m: m.nn.functional.linear(m.ones(2, 3), m.ones(4, 2)), "linear:", "(2, 3)", "(4, 2)")
wrong(ShapeError, lambda m: m.nn.functional.linear(m.ones(2, 3), m.ones(4, 3), m.ones(3)), "linear:", "(3,)", "(4,)")
wrong(DtypeError, lambda m: m.nn.functional.linear(m.ones(2, 3), m.ones(4, 3).double()), "linear:", "float32, float64")
