"""Functions of one variable."""

from __future__ import annotations

from op_harness import Table, given, positive, x
from op_strategies import unary

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError

ALIASES = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin", "arcsinh": "asinh", "arctan": "atan",
    "arctanh": "atanh", "fix": "trunc", "sgn": "sign",
}  # fmt: skip
table = Table(
    "elementwise",
    flat={"ceil", "fix", "floor", "round", "sgn", "sign", "trunc"},
    never_wrong={name: f"is {original}" for name, original in ALIASES.items()},
)
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")

ROUNDING = ("ceil", "floor", "round", "trunc")
EVERYWHERE = (
    "exp", "exp2", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh", "atan", "asinh", "sigmoid", "relu", "abs",
    "sign", "square", "reciprocal", "deg2rad", "rad2deg", "positive", "frac", "nan_to_num", *ROUNDING,
)  # fmt: skip
POSITIVE = ("log", "log2", "log10", "log1p", "sqrt", "rsqrt")
WITHIN_ONE = {"asin": 0.0, "acos": 0.0, "atanh": 0.0, "acosh": 2.0}  # the middle of the values that they are tried at
KEEP_INTEGERS = ("abs", "sign", "square", "positive", "nan_to_num", *ROUNDING)
for op in (*EVERYWHERE, *POSITIVE):
    values = x if op in EVERYWHERE else positive
    case(op, values(2, 3))
    case(op, values())
    case(op, values(0, 2))
    case(op, values(3, 2).transposed)
    case(op, values(3).strided)
    case(op, values(2, dtype="float16"))
    table.drawn(op, unary("signed" if op in EVERYWHERE else "positive"))
for op, middle in WITHIN_ONE.items():
    case(
        op,
        given([[0.25, -0.75, 0.5], [middle - 0.5, middle + 0.375, middle + 0.125]])
        if not middle
        else given([[1.5, 2.25, 4.0], [1.125, 7.0, 100.0]]),
    )
    case(op, given(middle + 0.5))
    case(op, given([[middle + 0.5, middle + 0.25]]).strided)
    case(op, given([[middle + 0.5, middle + 0.25], [middle, middle + 0.125]]).transposed)
    case(op, x(0, 2))
    case(op, given([middle + 0.5, middle + 0.25], "float16"))
    case(op, given([1.0, -1.0, 0.5, -2.0, 3.0]), note="at the ends and beyond", smooth=False)
for op in (*EVERYWHERE, *POSITIVE, *WITHIN_ONE):
    if op != "nan_to_num":
        case(op, given([NAN, INF, -INF]), smooth=False)
    if op not in (*KEEP_INTEGERS, "frac"):
        case(op, given([3, 1, 2], "int64"))
        if op != "relu":
            case(op, given([True, False], "bool"))
    if op not in ("sign", "positive", "deg2rad", "rad2deg"):
        case(op, given([0.0, -0.0, 1.0]), note="at zero", smooth=False)
for op in KEEP_INTEGERS:
    case(op, given([-3, 0, 3], "int32"))
for op in ("sign", "square", "nan_to_num"):
    case(op, given([True, False], "bool"))
for alias in ALIASES:
    case(alias, given([0.25, -0.75]) if alias != "arccosh" else positive(2), smooth=alias != "arccosh")
case("arccosh", given([1.5, 2.5]))
case("relu", given([-3, 0, 3], "int64"))
case("sign", given([0.0, 2.0, -3.0]), smooth=False)
case("sgn", given([1, -2], "int64"))
case("exp", given([1000.0, 700.0, -1000.0], "float64"), note="overflows", smooth=False)
case("exp", given([100.0, 80.0, -120.0], "float32"), note="overflows", smooth=False)
case("exp2", given([2000.0, 1000.0, -2000.0], "float64"), note="overflows", smooth=False)
case("sigmoid", given([500.0, -500.0, 20.0, -20.0]), note="far out", smooth=False)
case("tanh", given([500.0, -500.0, 20.0, -20.0]), note="far out", smooth=False)
case("asinh", given([1e6, -1e6, 1e-6]), note="far out", smooth=False)
case("log", given([-1.0, 1.0]), smooth=False)
case("log2", given([-1.0, 8.0]), smooth=False)
case("log10", given([-1.0, 1000.0]), smooth=False)
case("log1p", given([1e-6, -1e-6, 0.0]), note="near zero", smooth=False)
case("expm1", given([1e-6, -1e-6, 0.0]), note="near zero", smooth=False)
case("log1p", given([-1.0, -2.0]), smooth=False)
case("sqrt", given([-1.0, 4.0]), smooth=False)
case("sqrt", given([4, 9], "int32"))
for op in ROUNDING:
    case(op, given([0.5, 1.5, 2.5, -0.5, -1.5, 0.4999]), note="halves", smooth=False)
case("round", given([1.2345, -155.0, 0.125]), decimals=2, smooth=False)
case("round", given([1.2345, -155.0, 149.0]), decimals=-1, smooth=False)
case("round", given([1.25, -2.75], "float16"), decimals=1, smooth=False)
case("frac", given([1.75, -1.75, 2.0]), smooth=False)
for dtype in ("float64", "float32", "float16"):  # the largest number is that of the dtype
    case("nan_to_num", given([NAN, INF, -INF, 1.0], dtype), smooth=False)
case("nan_to_num", given([NAN, INF, -INF, 1.0], "float64"), 5.0, smooth=False)
case("nan_to_num", given([NAN, INF, -INF, 1.0]), 5.0, 6.0, -7.0, smooth=False)
case("nan_to_num", given([NAN, INF, -INF, 1.0]), nan=1, posinf=2, neginf=-3, smooth=False)
case("nan_to_num", given([1, 2], "int64"), 5.0)

# --- wrong calls ------------------------------------------------------------------------------------------------------

for op in (*EVERYWHERE, *POSITIVE, *WITHIN_ONE):
    wrong(ArgumentTypeError, lambda m, op=op: getattr(m, op)("x"), f"{op}:", "expected a Tensor", "str")
    wrong(ArgumentTypeError, lambda m, op=op: getattr(m, op)(m.ones(2), up=1), f"{op}:", "up")
for op in ("relu", "abs", "positive", "frac", *ROUNDING):
    wrong(DtypeError, lambda m, op=op: getattr(m.ones(2).bool(), op)(), f"{op}:", "bool")
wrong(DtypeError, lambda m: m.arange(3).frac(), "frac:", "got int64", "x.float()")
wrong(DtypeError, lambda m: m.arange(3).round(decimals=1), "round:", "decimals", "got int64")
wrong(ArgumentTypeError, lambda m: m.ones(3).round(decimals=1.5), "round:", "decimals must be an integer", "float: 1.5")
wrong(ArgumentError, lambda m: m.ones(3).round(decimals=10**30), "round:", "from -308 to 308")
wrong(ArgumentTypeError, lambda m: m.nan_to_num(m.ones(2), "0"), "nan_to_num:", "nan must be a number", "str: '0'")
