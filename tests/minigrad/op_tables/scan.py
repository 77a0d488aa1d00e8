"""Running sums, products and extremes, differences, integrals."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Dtype, Table, booleans, distinct, given, x
from op_strategies import with_dim

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError

table = Table("scan")
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")

for op in ("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"):
    values = distinct if op in ("cummax", "cummin") else x
    case(op, values(4), 0)
    case(op, values(2, 5), 1)
    case(op, values(3, 2), dim=0)
    case(op, values(2, 3, 2), dim=-2)
    case(op, values(), 0)
    case(op, values(), dim=-1)
    case(op, values(1), 0)
    case(op, values(2, 1), 1)
    case(op, values(0), 0)
    case(op, values(0, 3), dim=0)
    case(op, values(0, 3), dim=1)
    case(op, values(3, 4).transposed, 0)
    case(op, values(3, 4).strided, 1)
    case(op, values(2, 3, dtype="float16"), 1)
for op in ("cumsum", "cumprod"):
    case(op, given([[1.0, NAN, 2.0], [INF, 1.0, 2.0]]).fixed, 1)
    case(op, given([2, 3, 200], "uint8"), 0)
    case(op, given([2, 3, -4], "int32"), 0)
    case(op, given([True, True, False, True], "bool"), 0)
    case(op, given([2.5, 3.5]).fixed, 0, dtype=Dtype("int32"))
    case(op, given([2, 3], "int64"), 0, dtype=Dtype("float32"))
    case(op, x(2, 3), 1, dtype=Dtype("float64"))
case("cumsum", given([1.0, NAN, 2.0]), 0, smooth=False)
case("cumprod", given([2.0, 0.0, 3.0, 4.0]), 0, note="with a zero")
case("cumprod", given([[2.0, 0.0, 3.0], [0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]), 1, note="with zeros")
case("cumprod", given([[0.0, 2.0], [3.0, 0.0], [1.0, 4.0]]), 0, note="with zeros")
# Next to 1000 a float32 is exact to 6e-5, and the gradients are the exponentials of such differences.
case("logcumsumexp", given([[1000.0, 1000.0, 0.0], [-1000.0, -1000.0, 0.0]]), 1, note="far out", smooth=False, loose=10)
case("logcumsumexp", given([-INF, -INF, 1.0, INF, 2.0, NAN]).fixed, 0)
for op in ("cummax", "cummin"):
    case(op, given([[1.0, 3.0, 3.0, 2.0], [2.0, 1.0, 1.0, 2.0]]), 1, note="with ties", smooth=False)
    case(op, given([1.0, 3.0, NAN, 2.0, NAN, 5.0]), 0, smooth=False)
    case(op, given([-INF, INF, NAN, -INF]), 0, smooth=False)
    case(op, given([3, 1, 3, 1], "int64"), 0)
    case(op, given([3, 1, 3, 1], "uint8"), 0)
    case(op, booleans(5), 0)

for options in ({}, {"n": 0}, {"n": 2}, {"n": 3}, {"n": 9}, {"dim": 0}, {"dim": -2}, {"n": 2, "dim": 1}):
    case("diff", x(3, 4), **options, smooth=options.get("n") != 9)
case("diff", x(4), 1, 0)
case("diff", x(3, 1))
case("diff", x(0))
case("diff", x(0, 2))
case("diff", x(3, 4).transposed)
case("diff", x(3, 4).strided, dim=0)
case("diff", x(3, 2, dtype="float16"), dim=0)
case("diff", given([[1.0, NAN, 2.0, INF, INF]]), smooth=False)
case("diff", given([1, 5, 2], "uint8"))
case("diff", given([True, True, False, True, False, False], "bool"))
case("diff", given([True, True, False, True, False, False], "bool"), 2)
case("diff", x(2, 3), prepend=x(2, 1), append=x(2, 2))
case("diff", x(2, 3), 2, 0, x(1, 3))
case("diff", x(3), 1, -1, None, x(2))
case("diff", x(3), append=x(0))
case("diff", given([1, 2], "int64"), prepend=given([1.5], "float32").fixed)
case("diff", x(3), n=0, prepend=x(1))

for op in ("trapezoid", "cumulative_trapezoid"):
    case(op, x(4))
    case(op, x(2, 3))
    case(op, x(3, 2), dim=0)
    case(op, x(2, 3, 2), dim=-2)
    case(op, x(2, 3), dx=0.5)
    case(op, x(2, 3), dx=2, dim=0)
    case(op, x(4), x(4))
    case(op, x(2, 3), x(3))
    case(op, x(2, 3), x(2), dim=0)
    case(op, x(2, 3), x(2, 3), dim=1)
    case(op, x(2, 3, 2), x(3, 1), dim=1)
    case(op, x(2, 3), x(1, 3))
    case(op, x(1, 3), x(2, 3))
    case(op, y=x(2, 3), x=x(3).fixed, dim=-1)
    case(op, x(1))
    case(op, x(0).fixed)  # PyTorch returns zeros that are not recorded
    case(op, x(2, 0).fixed)
    case(op, x(0, 3))
    case(op, x(3, 2).transposed, dim=0)
    case(op, x(2, 3).strided, x(3).strided)
    case(op, x(2, 3, dtype="float16"))
    case(op, given([1, 2, 4], "int64"))
    case(op, given([1, 2, 4], "int64"), given([0, 2, 3], "int64"))
    case(op, given([1.0, NAN, 2.0, INF]), smooth=False)

for op in ("cumsum", "cumprod", "logcumsumexp"):
    table.drawn(op, with_dim())
for op in ("cummax", "cummin"):
    table.drawn(op, with_dim("distinct"))
table.drawn("diff", with_dim(n=st.integers(-1, 3)))
integrals = with_dim(dx=st.sampled_from([1, 0.5]))
table.drawn("cumulative_trapezoid", integrals)
# Of no samples PyTorch returns zeros that are not recorded.
table.drawn("trapezoid", integrals.filter(lambda drawn: 0 not in drawn[0][0].shape))

# --- wrong calls ------------------------------------------------------------------------------------------------------

for op in ("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"):
    wrong(DimError, lambda m, op=op: getattr(m, op)(m.ones(2), 1), f"{op}:", "dim 1", "-1 to 0")
    wrong(ArgumentTypeError, lambda m, op=op: getattr(m, op)([1.0], 0), f"{op}:", "a Tensor", "list")
    wrong(ArgumentTypeError, lambda m, op=op: getattr(m, op)(m.ones(2), 0.5), f"{op}:", "an integer", "0.5")
wrong(DtypeError, lambda m: m.tensor([1, 2]).logcumsumexp(0), "logcumsumexp:", "int64", "x.float()")
wrong(ArgumentError, lambda m: m.ones(2).diff(-1), "diff:", ">= 0", "-1")
wrong(ArgumentError, lambda m: m.ones(2).diff(1.5), "diff:", "an integer", "1.5")
wrong(DimError, lambda m: m.ones(2).diff(dim=1), "diff:", "dim 1", "-1 to 0")
wrong(ShapeError, lambda m: m.ones(()).diff(), "diff:", "0-dim")
wrong(ShapeError, lambda m: m.ones(2, 2).diff(prepend=m.ones(2)), "diff:", "(2, 2)", "dim 1", "(2,)")
wrong(ShapeError, lambda m: m.ones(2, 2).diff(append=m.ones(3, 1)), "diff:", "(2, 2)", "dim 1", "(3, 1)")
wrong(ArgumentTypeError, lambda m: m.ones(2).diff(append=[1.0]), "diff:", "a Tensor", "list")


def wrong_integral(error: Any, op: str, call: Any, *says: str, torch_allows: bool = False) -> None:
    wrong(error, lambda m: call(getattr(m, op), m), f"{op}:", *says, torch_allows=torch_allows)


for op in ("trapezoid", "cumulative_trapezoid"):
    wrong_integral(DimError, op, lambda f, m: f(m.ones(2), dim=1), "dim 1", "-1 to 0")
    wrong_integral(DimError, op, lambda f, m: f(m.ones(())), "0-dim", "dimension -1")
    wrong_integral(ArgumentTypeError, op, lambda f, m: f([1.0, 2.0]), "a Tensor", "list")
    wrong_integral(ArgumentTypeError, op, lambda f, m: f(m.ones(2), [1.0, 2.0]), "a Tensor", "list")
    wrong_integral(ArgumentTypeError, op, lambda f, m: f(m.ones(2), m.ones(2), dx=1), "got both")
    wrong_integral(ArgumentTypeError, op, lambda f, m: f(m.ones(2), dx="a"), "a number", "'a'")
    wrong_integral(DtypeError, op, lambda f, m: f(m.tensor([True, True])), "bool", "y.float()")
    wrong_integral(DtypeError, op, lambda f, m: f(m.ones(2), m.tensor([True, False])), "bool")
    wrong_integral(ShapeError, op, lambda f, m: f(m.ones(2, 3), m.ones(2)), "(2,)", "(2, 3)", "dim 1")
    wrong_integral(ShapeError, op, lambda f, m: f(m.ones(2, 3), m.ones(4, 3)), "(4, 3)", "(2, 3)", "broadcast")
    # PyTorch takes the differences of x along another dimension then.
    wrong_integral(ShapeError, op, lambda f, m: f(m.ones(2), m.ones(3, 2)), "(3, 2)", "(2,)", torch_allows=True)
