"""Functions of one variable."""

from __future__ import annotations

from op_harness import Table, given, positive, x

from minigrad.errors import ArgumentTypeError, DtypeError

table = Table("elementwise", flat={"sign"})
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")

EVERYWHERE = ("exp", "expm1", "sin", "cos", "tanh", "sigmoid", "relu", "abs", "sign", "square", "reciprocal")
for op in (*EVERYWHERE, "log", "log1p", "sqrt", "rsqrt"):
    values = x if op in EVERYWHERE else positive
    case(op, values(2, 3))
    case(op, values())
    case(op, values(0, 2))
    case(op, values(3, 2).transposed)
    case(op, values(3).strided)
    case(op, values(2, dtype="float16"))
    case(op, given([NAN, INF, -INF]), smooth=False)
    if op not in ("abs", "sign", "square"):
        case(op, given([3, 1, 2], "int64"))
    if op != "sign":
        case(op, given([0.0, -0.0, 1.0]), note="at zero", smooth=False)
    if op in ("exp", "sin", "sigmoid", "sqrt", "reciprocal"):
        case(op, given([True, False], "bool"))
case("relu", given([-3, 0, 3], "int64"))
case("sign", given([0.0, 2.0, -3.0]), smooth=False)
case("exp", given([1000.0, 700.0, -1000.0], "float64"), note="overflows", smooth=False)
case("exp", given([100.0, 80.0, -120.0], "float32"), note="overflows", smooth=False)
case("sigmoid", given([500.0, -500.0, 20.0, -20.0]), note="far out", smooth=False)
case("tanh", given([500.0, -500.0, 20.0, -20.0]), note="far out", smooth=False)
case("log", given([-1.0, 1.0]), smooth=False)
case("log1p", given([1e-6, -1e-6, 0.0]), note="near zero", smooth=False)
case("expm1", given([1e-6, -1e-6, 0.0]), note="near zero", smooth=False)
case("log1p", given([-1.0, -2.0]), smooth=False)
case("sqrt", given([-1.0, 4.0]), smooth=False)
case("sqrt", given([4, 9], "int32"))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(ArgumentTypeError, lambda m: m.exp("x"), "exp:", "expected a Tensor", "str: 'x'")
wrong(DtypeError, lambda m: m.ones(2).bool().relu(), "relu:", "bool", "x.float()")
wrong(DtypeError, lambda m: m.ones(2).bool().abs(), "abs:", "bool", "x.float()")
wrong(DtypeError, lambda m: m.ones(2).to("complex7"), "dtype:", "'complex7'", "write for example minigrad.float32")
