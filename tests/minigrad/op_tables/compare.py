"""Comparisons and logic."""

from __future__ import annotations

import operator
from typing import Any

from op_harness import Table, booleans, given, integers, x

table = Table(
    "compare",
    not_differentiable={
        "allclose", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "eq", "equal", "ge", "gt",
        "isfinite", "isinf", "isnan", "le", "logical_and", "logical_not", "logical_or", "lt", "ne",
    },
)  # fmt: skip
case = table.case

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
for op in ("logical_and", "logical_or"):
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
for op in ("isnan", "isinf", "isfinite"):
    case(op, given([NAN, INF, -INF, 0.0, 1.0]))
    case(op, given([0, 1], "int64"))
    case(op, x(0))
case("equal", given([1.0, 2.0]), given([1.0, 2.0]))
case("equal", given([1.0, 2.0]), given([1.0, 2.5]))
case("equal", given([1.0, NAN]), given([1.0, NAN]))
case("equal", x(2, 3), x(3))
case("equal", x(0), x(0))
case("allclose", given([1.0, 2.0]), given([1.0, 2.0 + 1e-7]))
case("allclose", given([1.0, 2.0]), given([1.0, 2.01]))
case("allclose", given([1.0, 2.0]), given([1.0, 2.01]), rtol=0.1)
case("allclose", given([1.0, 2.0]), given([1.0, 2.01]), rtol=0.0, atol=0.1)
case("allclose", given([1.0, NAN]), given([1.0, NAN]))
case("allclose", given([1.0, NAN]), given([1.0, NAN]), equal_nan=True)
case("allclose", given([100.0]), given([101.0]), rtol=0.00995, atol=0.0, note="relative to the second argument")
