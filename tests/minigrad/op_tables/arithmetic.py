"""Arithmetic with broadcasting."""

from __future__ import annotations

import operator
from typing import Any

from op_harness import Table, booleans, given, integers, positive, x
from op_strategies import pairs

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table("arithmetic", not_differentiable={"floor_divide"})
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")

for op, symbol in {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv}.items():

    def by_operator(m: Any, a: Any, b: Any, symbol: Any = symbol) -> Any:
        return symbol(a, b)

    case(op, x(2, 3), x(2, 3))
    case(op, x(2, 3), x(3))
    case(op, x(1, 3), x(2, 1))
    case(op, x(2, 1, 2), x(3, 1))
    case(op, x(), x(2, 2))
    case(op, x(), x())
    case(op, x(1), x())
    case(op, x(0, 3), x(3))
    case(op, x(0, 1), x(1, 3))
    case(op, x(3, 2).transposed, x(2).strided)
    case(op, x(2, 3), x(2, 1, 3).fixed)
    case(op, x(3), 2.5)
    case(op, x(3), 2)
    case(op, x(2), 2.5, call=by_operator, note="by operator")
    case(op, 2.5, x(2), call=by_operator, note="by operator")
    case(op, x(2), x(2), call=by_operator, note="by operator")
    # Promotion: tensors with dimensions decide, 0-dim ones and Python numbers only raise the category.
    case(op, x(2, dtype="float32"), x(2, dtype="float64"))
    case(op, x(2, dtype="float32"), x(dtype="float64"))
    case(op, x(dtype="float32"), x(dtype="float64"))
    case(op, x(2, dtype="float32"), integers(2, high=5).fixed if op != "div" else given([1, 3], "int64"))
    case(op, x(dtype="float64"), given([1, 3], "int64"))
    case(op, x(dtype="float64"), given([1.0, 3.0], "float32"))
    case(op, given([1, 2], "int64"), 2.5)
    case(op, given([7, -2], "int64"), given([2, 3], "int32"))
    case(op, given([7, 2], "uint8"), given([2, 3], "int8"))
    case(op, given([7, -2], "int64"), 2)
    if op != "sub":
        case(op, given([1, 0], "int64"), given([True, True], "bool"))
    case(op, given([1, 0], "int16"), given([0.5, 1.5], "float32"))
    case(op, given([1.0, -INF, NAN, INF, 0.0]), given([NAN, INF, 0.0, INF, 0.0]), smooth=False)
    case(op, x(3, dtype="float16"), x(3, dtype="float16"))
case("add", given([True, False], "bool"), given([True, True], "bool"))
case("mul", given([True, False], "bool"), given([True, True], "bool"))
case("add", given([True, False], "bool"), 1)
case("add", given([120, 7], "int8"), given([100, 7], "int8"), note="overflow wraps around")
case("div", given([1.0, 0.0, -1.0]), 0, smooth=False)
case("div", given([5, 0], "int64"), given([0, 0], "int64"))
case("div", given([True, False], "bool"), given([True, True], "bool"))
case("div", 2, x(3), call=lambda m, a, b: a / b, note="by operator")

for op in ("neg", "abs", "square", "sign"):
    case(op, given([1, -2, 0], "int64"))
case("neg", x(2, 3))
case("neg", x(2), call=lambda m, a: -a, note="by operator")
case("abs", x(2), call=lambda m, a: abs(a), note="by operator")

for op, symbol in {"floor_divide": operator.floordiv, "remainder": operator.mod}.items():

    def with_rest(m: Any, a: Any, b: Any, symbol: Any = symbol) -> Any:
        return symbol(a, b)

    fixed = op == "floor_divide"  # it has no gradient
    first, second = (x(2, 3).fixed, positive(3).fixed) if fixed else (x(2, 3), positive(3))
    case(op, first, second)
    case(op, first, 0.3)
    case(op, first, -0.3)
    case(op, first, 0.3, call=with_rest, note="by operator")
    case(op, 7.5, second.fixed, call=with_rest, note="by operator")  # PyTorch has no derivative of this form
    case(op, given([7, -7, 7, -7], "int64"), given([3, 3, -3, -3], "int64"))
    case(op, given([7, -7], "int64"), 3)
    case(op, given([7, -7], "int64"), 1.5)
    case(op, given([1.0, -1.0, 0.0, NAN]).fixed, given([0.0, 0.0, 0.0, 1.0]).fixed)

case("pow", x(2, 3), 2)
case("pow", x(2, 3), 3)
case("pow", x(3), 1)
case("pow", x(3), 0)
case("pow", x(3), -1)
case("pow", x(3), -2.0)
case("pow", positive(3), 0.5)
case("pow", positive(3), -1.5)
case("pow", positive(2, 3), x(3))
case("pow", positive(2, 1), x(1, 3))
case("pow", positive(2, 2).fixed, x(2, 2))
case("pow", positive(), x())
case("pow", 2.5, x(3), call=lambda m, a, b: a**b, note="by operator")
case("pow", 2, x(3), call=lambda m, a, b: a**b, note="by operator")
case("pow", x(3), 2, call=lambda m, a, b: a**b, note="by operator")
case("pow", x(3), given([2, 3, 0], "int64"))
case("pow", x(3), given([2.0, 3.0, 0.0]).fixed)
case("pow", given([0.0, 0.0, 1.0]), 2, note="at zero")
case("pow", given([0.0, 0.0, 0.0, 2.0]), given([0.0, 1.0, 2.5, 0.0]).fixed, smooth=False)
# By the exponent, d2 (0 ** y) / dy2 is 0 here, and nan in PyTorch.
case("pow", given([0.0, 2.0]).fixed, given([1.5, 1.5]), twice=False)
case("pow", given([0.0, 2.0, 0.0]), 0, smooth=False)
case("pow", given([0.0, 2.0]), 1, smooth=False)
case("pow", given([3, -2], "int64"), 2)
case("pow", given([3, 2], "int64"), 0.5)
case("pow", given([3, -2], "int64"), given([2, 3], "int64"))
case("pow", given([-1.0, -2.0]), 0.5, smooth=False)
case("pow", given([NAN, INF, 1.0, 0.0]), 2, smooth=False)
case("pow", x(0), 2)

for op in ("maximum", "minimum"):
    case(op, x(2, 3), x(2, 3))
    case(op, x(2, 3), x(3))
    case(op, x(2, 1), x(1, 3))
    case(op, x(0), x(1))
    case(op, given([1.0, 2.0, 3.0]), given([1.0, 1.0, 4.0]), note="with a tie", smooth=False)
    case(op, given([1.0, NAN]), given([NAN, 1.0]), smooth=False)
    case(op, given([1, 5], "int64"), given([2.5, 2.5]))
    case(op, given([1, 5], "int64"), given([3, 2], "int32"))
    case(op, given([True, False], "bool"), given([False, False], "bool"))

case("where", booleans(2, 3), x(2, 3), x(2, 3))
case("where", booleans(3), x(2, 1), x(1, 3))
case("where", booleans(2, 1), x(3), x())
case("where", booleans(3), x(3), 0.0)
case("where", booleans(3), 1.5, x(3))
case("where", booleans(2, 3), 1.5, 0.0)
case("where", booleans(2), 1, 0)
case("where", booleans(2), x(2, dtype="float32"), x(2, dtype="float64"))
case("where", booleans(2), given([1, 2], "int64"), x(2))
case("where", booleans(0), x(0), x(0))
case("where", given([True, False, True], "bool"), given([1.0, NAN, INF]), given([NAN, 2.0, -INF]), smooth=False)
case("where", x(3), x(3), call=lambda m, a, b: m.where(a > b, a, b * 2), note="by comparison")
case("masked_fill", x(2, 3), booleans(2, 3), 0.0)
case("masked_fill", x(2, 3), booleans(3), -INF, smooth=False)
case("masked_fill", x(2, 3), booleans(2, 1), 7)
case("masked_fill", given([1, 2], "int64"), given([True, False], "bool"), 7)
case("masked_fill", x(), booleans(), 2.0)

case("clamp", x(3, 4), -1.0, 1.0)
case("clamp", x(6), min=0.5)
case("clamp", x(6), max=0.5)
case("clamp", x(4), 0, 1)
case("clamp", given([0.0, 1.0, 0.5, 2.0]), 0.0, 1.0, note="at the limits", smooth=False)
case("clamp", given([0.0, 2.0]), 1.0, -1.0, note="with min above max", smooth=False)
case("clamp", given([NAN, INF, -INF]), -1.0, 1.0, smooth=False)
case("clamp", given([-3, 0, 9], "int64"), 0, 5)
case("clamp", given([-3, 0, 9], "int64"), 0.5, 5)
case("clamp", x(0), 0.0, 1.0)
case("clamp", x(), -1.0, 1.0)

for op in ("add", "sub", "mul", "div", "maximum", "minimum"):
    table.drawn(op, pairs())
table.drawn("pow", pairs(kind="positive"))
table.drawn("remainder", pairs(other="positive"))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(ShapeError, lambda m: m.ones(2, 3) + m.ones(4), "add:", "(2, 3)", "(4,)", "do not broadcast")
wrong(ShapeError, lambda m: m.ones(2, 1, 3) * m.ones(2, 2), "mul:", "(2, 1, 3)", "(2, 2)", "do not broadcast")
wrong(ShapeError, lambda m: m.ones(0) / m.ones(2), "div:", "(0,)", "(2,)", "do not broadcast")
wrong(ShapeError, lambda m: m.maximum(m.ones(2), m.ones(3)), "maximum:", "(2,)", "(3,)")
wrong(ShapeError, lambda m: m.eq(m.ones(2), m.ones(3)), "eq:", "(2,)", "(3,)")
wrong(ArgumentTypeError, lambda m: m.add(m.ones(2), "3"), "add:", "a real number", "str: '3'")
wrong(ArgumentTypeError, lambda m: m.add(m.ones(2), None), "add:", "a real number", "NoneType")
wrong(ArgumentTypeError, lambda m: m.ones(2) - [1, 2], "sub:", "a real number", "list: [1, 2]")
wrong(ArgumentTypeError, lambda m: m.ones(2) < "a", "lt:", "a real number", "str: 'a'")
wrong(DtypeError, lambda m: m.ones(2).bool() - m.ones(2).bool(), "sub:", "booleans", "a ^ b")
wrong(DtypeError, lambda m: -m.ones(2).bool(), "neg:", "booleans", "~x")
wrong(ArgumentError, lambda m: m.arange(3) // 0, "floor_divide:", "integer division by zero")
wrong(ArgumentError, lambda m: m.arange(3) % 0, "remainder:", "integer division by zero")
wrong(DtypeError, lambda m: m.ones(2).bool() // m.ones(2).bool(), "floor_divide:", "booleans")
wrong(DtypeError, lambda m: m.arange(3) ** -1, "pow:", "negative power", "x.float()")
wrong(DtypeError, lambda m: m.arange(3) ** m.tensor([-1, 1, 1]), "pow:", "x.float()", torch_allows=True)
wrong(DtypeError, lambda m: m.ones(2) & m.ones(2), "bitwise_and:", "got float32", "booleans and integers")
wrong(DtypeError, lambda m: ~m.ones(2), "bitwise_not:", "got float32", "booleans and integers")
wrong(DtypeError, lambda m: m.where(m.ones(2), 1.0, 0.0), "where:", "boolean", "got float32")
wrong(ShapeError, lambda m: m.where(m.ones(2).bool(), m.ones(3), m.ones(3)), "where:", "(2,)", "(3,)", "broadcast")
wrong(DtypeError, lambda m: m.ones(2).masked_fill(m.ones(2), 0.0), "masked_fill:", "boolean", "got float32")
wrong(ShapeError, lambda m: m.ones(2).masked_fill(m.ones(3).bool(), 0.0), "masked_fill:", "(3,)", "(2,)")
wrong(ArgumentError, lambda m: m.clamp(m.ones(2)), "clamp:", "min, max or both", "got neither")
