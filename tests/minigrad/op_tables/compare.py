"""Comparisons and logic."""

from __future__ import annotations

import operator
from typing import Any

from op_harness import Table, booleans, given, integers, x
from op_strategies import pairs

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

ALIASES = {
    "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "not_equal": "ne",
}  # fmt: skip
table = Table(
    "compare",
    not_differentiable={
        "allclose", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift",
        "bitwise_xor", "eq", "equal", "ge", "gt", "is_nonzero", "isclose", "isfinite", "isin", "isinf", "isnan",
        "isneginf", "isposinf", "isreal", "le", "logical_and", "logical_not", "logical_or", "logical_xor", "lt", "ne",
        "signbit", *ALIASES,
    },
    never_wrong={name: f"is {original}" for name, original in ALIASES.items()},
)  # fmt: skip
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")

COMPARISONS = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip
for op, symbol in COMPARISONS.items():

    def compared(m: Any, a: Any, b: Any, symbol: Any = symbol) -> Any:
        return symbol(a, b)

    case(op, given([1.0, 2.0, 3.0]), given([1.0, 3.0, 2.0]))
    case(op, x(2, 3), x(3))
    case(op, given([[1, 2, 3]], "int64"), given([[2], [3]], "int64"))
    case(op, given([1, 2], "int64"), 1.5)
    case(op, given([1, 2], "int64"), 2)
    case(op, given([0.1, 0.2], "float32"), 0.1, note="the number takes the dtype")
    case(op, given([NAN, INF, -INF, 1.0]), given([NAN, INF, INF, NAN]))
    case(op, given([True, False], "bool"), given([True, True], "bool"))
    case(op, x(0, 2), x(2))
    case(op, x(3), 0, call=compared, note="by operator")
    case(op, 1.0, given([0.5, 1.0, 1.5]), call=compared, note="by operator")
for op in ALIASES:
    case(op, given([1.0, 2.0, 3.0]), given([1.0, 3.0, 2.0]))
    case(op, given([1, 2], "int64"), 1.5)
for op in ("logical_and", "logical_or", "logical_xor"):
    case(op, booleans(2, 3), booleans(3))
    case(op, given([0.0, 1.5, NAN]), given([1, 0, 2], "int64"))
    case(op, booleans(0), booleans(1))
case("logical_not", booleans(2, 3))
case("logical_not", given([0.0, 1.5, NAN]))
case("logical_not", given([0, 3], "int64"))
for op in ("bitwise_and", "bitwise_or", "bitwise_xor"):

    def combined(m: Any, a: Any, b: Any, op: str = op) -> Any:
        return getattr(operator, {"bitwise_and": "and_", "bitwise_or": "or_", "bitwise_xor": "xor"}[op])(a, b)

    case(op, booleans(2, 3), booleans(3))
    case(op, integers(4, high=16), integers(4, high=16))
    case(op, integers(3, high=16), 6)
    case(op, integers(3, high=16, dtype="int32"), integers(3, high=16))
    case(op, booleans(3), booleans(3), call=combined, note="by operator")
    case(op, integers(3, high=16), 6, call=combined, note="by operator")
case("bitwise_not", booleans(3))
case("bitwise_not", integers(3, high=9))
case("bitwise_not", booleans(3), call=lambda m, a: ~a, note="by operator")
case("bitwise_not", integers(3, high=9), call=lambda m, a: ~a, note="by operator")
for op in ("bitwise_left_shift", "bitwise_right_shift"):
    case(op, given([1, -8, 5, 0], "int64"), given([3, 1, 0, 7], "int64"))
    case(op, given([1, -8], "int64"), 2)
    case(op, given([[1], [200]], "uint8"), given([1, 7, 9], "uint8"))
    case(op, given([1, -8, 1, -1], "int64"), given([64, 64, -1, 70], "int64"), note="too far")
    case(op, given([100, -100], "int8"), given([1, 3], "int32"))
    case(op, given([True, False], "bool"), 2)
    case(op, integers(0, high=9), integers(1, high=3))
for op in ("isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal", "signbit"):
    case(op, given([NAN, INF, -INF, 0.0, 1.0, -0.0, -2.0]))
    case(op, given([0, 1, -1], "int64"))
    case(op, given([0, 1], "uint8"))
    case(op, given([True, False], "bool"))
    case(op, given([NAN, INF, -1.0], "float16"))
    case(op, given(-INF))
    case(op, x(0))
    case(op, x(3, 2).transposed)
case("is_nonzero", given(0.5))
case("is_nonzero", given([0.0]))
case("is_nonzero", given([[NAN]]))
case("is_nonzero", given([-0.0]))
case("is_nonzero", given(True, "bool"))
case("is_nonzero", given([0], "int64"))
for elements in (given([[1, 2], [3, 2]], "int64"), given([1.0, NAN, 2.0]), given(2, "int64"), x(0)):
    case("isin", elements, given([2, 3], "int64"))
    case("isin", elements, given([2.0, NAN]), invert=True)
    case("isin", elements, 2)
    case("isin", elements, x(0))
case("isin", 2, given([1, 2], "int64"))
case("isin", 2.5, given([1, 2], "int64"))
case("isin", given([1, 2], "int64"), given([[2, 3]], "int64"), assume_unique=True)
case("isin", given([1, 2], "int64"), given([[2, 3]], "int64"), assume_unique=True, invert=True)
case("isin", given([1, 2], "int32"), given([2.0, 3.5]))
case("isin", given([1.0, 2.0], "float16"), given([2.0], "float16"))
for op in ("isclose", "allclose"):
    case(op, given([1.0, 2.0]), given([1.0, 2.0 + 2.0**-16]))
    case(op, given([1.0, 2.0, 4.0]), given([1.0, 2.0, 4.5]), 0.25)
    case(op, given([1.0, 2.0, 4.0]), given([1.0, 2.0, 4.5]), 0.0, 0.5)
    case(op, given([1.0, 2.0, 4.0]), given([1.0, 2.0, 4.5]), 0.0, 0.25, note="apart")
    case(op, given([INF, -INF, INF, 1.0]), given([INF, -INF, -INF, INF]))
    case(op, given([INF, -INF]), given([INF, -INF]), note="of infinities")
    case(op, given([NAN, 1.0]), given([NAN, 1.0]))
    case(op, given([NAN, 1.0]), given([NAN, 1.0]), equal_nan=True)
    case(op, given([[1.0], [2.0]]), given([1.0, 2.0]))
    case(op, given([1, 100], "int64"), given([1, 101], "int64"))
    case(op, given([1, 100], "int64"), given([1, 101], "int64"), atol=1)
    case(op, given([1, 100], "uint8"), given([2, 99], "uint8"), atol=1)
    case(op, given([True, False], "bool"), given([True, True], "bool"))
    case(op, given([1.0, 2.0], "float16"), given([1.0, 2.0625], "float16"), rtol=0.125)
    case(op, x(0), x(1))
for op in (*COMPARISONS, "logical_and", "logical_or", "logical_xor"):
    table.drawn(op, pairs())
case("equal", given([1.0, 2.0]), given([1.0, 2.0]))
case("equal", given([1.0, 2.0]), given([1.0, 2.5]))
case("equal", given([1.0, NAN]), given([1.0, NAN]))
case("equal", x(2, 3), x(3))
case("equal", x(0), x(0))
case("equal", given([1.0, 2.0], "float32"), given([1.0, 2.0], "float64"))
case("equal", given([1, 2], "int64"), given([1, 2], "int32"))
case("allclose", given([1.0, 2.0]), given([1.0, 2.0 + 1e-7]))
case("allclose", given([1.0, 2.0]), given([1.0, 2.01]))
case("allclose", given([1.0, 2.0]), given([1.0, 2.01]), rtol=0.1)
case("allclose", given([1.0, 2.0]), given([1.0, 2.01]), rtol=0.0, atol=0.1)
case("allclose", given([1.0, NAN]), given([1.0, NAN]))
case("allclose", given([1.0, NAN]), given([1.0, NAN]), equal_nan=True)
case("allclose", given([100.0]), given([101.0]), rtol=0.00995, atol=0.0, note="relative to the second argument")

# --- wrong calls ------------------------------------------------------------------------------------------------------

for op in (*COMPARISONS, "logical_and", "logical_or", "logical_xor", "isclose", "allclose"):
    wrong(ShapeError, lambda m, op=op: getattr(m, op)(m.ones(2), m.ones(3)), f"{op}:", "(2,)", "(3,)")
for op in (*COMPARISONS, "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_left_shift"):
    wrong(ArgumentTypeError, lambda m, op=op: getattr(m.arange(2), op)("a"), f"{op}:", "a real number", "str: 'a'")
wrong(ArgumentTypeError, lambda m: m.ones(2) < "a", "lt:", "a real number", "str: 'a'")
for op in ("logical_not", "isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal", "signbit", "bitwise_not"):
    wrong(ArgumentTypeError, lambda m, op=op: getattr(m, op)("x"), f"{op}:", "expected a Tensor", "str")
for op in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    wrong(DtypeError, lambda m, op=op: getattr(m, op)(m.ones(2), m.ones(2)), f"{op}:", "got float32", "booleans and")
wrong(DtypeError, lambda m: m.ones(2) & m.ones(2), "bitwise_and:", "got float32", "booleans and integers")
wrong(DtypeError, lambda m: ~m.ones(2), "bitwise_not:", "got float32", "booleans and integers")
for op in ("bitwise_left_shift", "bitwise_right_shift"):
    wrong(DtypeError, lambda m, op=op: getattr(m, op)(m.ones(2), 1), f"{op}:", "works on integers", "got float32")
    wrong(DtypeError, lambda m, op=op: getattr(m.ones(2).bool(), op)(m.ones(2).bool()), f"{op}:", "got bool")
for op in ("isclose", "allclose"):
    wrong(DtypeError, lambda m, op=op: getattr(m, op)(m.ones(2), m.ones(2).double()), f"{op}:", "float32 and float64")
    wrong(ArgumentError, lambda m, op=op: getattr(m, op)(m.ones(2), m.ones(2), rtol=-1), f"{op}:", "rtol", "got -1")
    wrong(ArgumentError, lambda m, op=op: getattr(m, op)(m.ones(2), m.ones(2), atol=-1), f"{op}:", "atol", "got -1")
    wrong(ArgumentTypeError, lambda m, op=op: getattr(m, op)(m.ones(2), m.ones(2), rtol="0"), f"{op}:", "rtol", "str")
    wrong(ArgumentTypeError, lambda m, op=op: getattr(m, op)(m.ones(2), 1.0), f"{op}:", "other must be a Tensor", "1.0")
wrong(ArgumentTypeError, lambda m: m.equal(m.ones(2), 1.0), "equal:", "other must be a Tensor", "float: 1.0")
wrong(ShapeError, lambda m: m.is_nonzero(m.ones(2)), "is_nonzero:", "one element", "(2,)")
wrong(ShapeError, lambda m: m.ones(0).is_nonzero(), "is_nonzero:", "one element", "(0,)")
wrong(ArgumentTypeError, lambda m: m.isin(m.ones(2), [1.0]), "isin:", "list: [1.0]")
wrong(ArgumentTypeError, lambda m: m.isin(1, 1), "isin:", "must be a Tensor", "two numbers")
wrong(DtypeError, lambda m: m.isin(m.ones(2).bool(), m.ones(2)), "isin:", "booleans", "x.long()")
