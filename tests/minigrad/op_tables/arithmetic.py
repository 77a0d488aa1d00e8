"""Arithmetic with broadcasting."""

from __future__ import annotations

import operator
from typing import Any

from hypothesis import strategies as st
from op_harness import Table, booleans, given, integers, positive, x
from op_strategies import pairs

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table(
    "arithmetic",
    not_differentiable={"floor_divide", "gcd", "lcm"},
    other_names={"where": "with a condition alone, torch takes no names"},
    never_wrong={
        "divide": "is div",
        "multiply": "is mul",
        "negative": "is neg",
        "subtract": "is sub",
        "true_divide": "is div",
    },
)
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

# --- options and relatives of the four operations ---------------------------------------------------------------------

for op in ("add", "sub", "rsub"):
    case(op, x(2, 3), x(2, 3), alpha=2.5)
    case(op, x(2, 1), x(3), alpha=-2)
    case(op, x(3), 2.0, alpha=0.5)
    case(op, x(2, dtype="float16"), x(2, dtype="float16"), alpha=0.5)
    case(op, given([1, 2], "int64"), given([3, -4], "int64"), alpha=3)
    case(op, given([1, 2], "int64"), x(2), alpha=1.5)
    case(op, x(0, 3), x(3), alpha=2)
    case(op, x(3), x(3), alpha=0)
case("add", given([True, False, False], "bool"), given([True, True, False], "bool"), alpha=2)
case("add", given([1, 2], "uint8"), given([3, 4], "uint8"), alpha=2)
case("rsub", x(2, 3), x(3))
case("rsub", x(3), 2.5)
case("rsub", given([1, 2], "int64"), 2)
case("rsub", x(3, 2).transposed, x(2).strided)
for op in ("multiply", "subtract", "divide", "true_divide"):
    case(op, x(2, 3), x(3))
case("subtract", x(3), x(3), alpha=2)
case("divide", positive(3), positive(3), rounding_mode="floor", smooth=False)
case("negative", x(2, 3))
for mode in ("trunc", "floor"):
    case("div", given([7.5, -7.5, 0.3]), given([2.0, 2.0, -0.25]), rounding_mode=mode, smooth=False)
    case("div", positive(2, 1), positive(3), rounding_mode=mode, smooth=False)
    case("div", given([1.0, -1.0, 0.0, NAN]), given([0.0, 0.0, 0.0, 1.0]), rounding_mode=mode, smooth=False)
    case("div", given([7, -7, 7, -7], "int64"), given([2, 2, -2, -2], "int64"), rounding_mode=mode)
    case("div", given([7, 200], "uint8"), given([2, 3], "uint8"), rounding_mode=mode)
    case("div", given([7, -7], "int32"), 2, rounding_mode=mode)
    case("div", given([7, -7], "int64"), 1.5, rounding_mode=mode)
    case("div", given([7.0, -7.0], "float16"), given([2.0, 2.0], "float16"), rounding_mode=mode, smooth=False)
    case("div", x(0), x(1), rounding_mode=mode)
case("div", x(3), positive(3), rounding_mode=None)
case("fmod", x(2, 3), positive(3))
case("fmod", x(2, 3), 0.3)
case("fmod", x(2, 3), -0.3)
case("fmod", given([7, -7, 7, -7], "int64"), given([3, 3, -3, -3], "int64"))
case("fmod", given([7, -7], "int64"), 3)
case("fmod", given([7, -7], "int64"), 1.5)
case("fmod", given([1.0, INF, -5.0, NAN]), given([0.0, 2.0, INF, 1.0]), smooth=False)
case("fmod", x(3, dtype="float16"), positive(3, dtype="float16"))
case("fmod", x(0), x(1))
for op in ("gcd", "lcm"):
    case(op, given([12, -4, 0, 0], "int64"), given([18, 6, 5, 0], "int64"))
    case(op, given([[12], [7]], "int32"), given([8, 14], "int64"))
    case(op, given([12, 5], "uint8"), given([9, 25], "uint8"))
    case(op, given([True, False], "bool"), given([4, 6], "int64"))
    case(op, integers(0, high=3), integers(1, high=3))
case("float_power", positive(2, 3), x(3))
case("float_power", positive(3), 2)
case("float_power", x(3), 3.0)
case("float_power", x(2, dtype="float16"), 2)
case("float_power", given([2, -3], "int64"), -1)
case("float_power", given([2, 3], "int64"), given([1, 2], "int32"))
case("float_power", given([2, 3], "int64"), 0.1)
case("float_power", given([0.0, -1.0, NAN]), 0.5, smooth=False)
case("float_power", x(0), 2)
for op in ("addcmul", "addcdiv"):
    case(op, x(2, 3), x(2, 3), x(2, 3))
    case(op, x(2, 3), x(3), x(2, 1), value=0.5)
    case(op, x(3), x(2, 1), x())
    case(op, x(2, 3), x(2, 3).transposed, x(2, 3).strided, value=-2)
    case(op, x(0, 3), x(3), x(1))
    case(op, x(2, dtype="float16"), x(2, dtype="float16"), x(2, dtype="float16"))
    case(op, x(2, dtype="float32"), x(2, dtype="float64"), x(2, dtype="float64"))
    case(op, given([1.0, NAN, 0.0]), given([INF, 1.0, 0.0]), given([1.0, 1.0, 0.0]), smooth=False)
    case(op, x(3), x(3), x(3), value=0)
case("addcmul", given([1, 2], "int64"), given([3, 4], "int64"), given([5, 6], "int64"), value=2)
case("addcmul", given([1, 2], "int64"), given([3, 4], "int64"), given([5, 6], "int64"), value=1.5)
case("lerp", x(2, 3), x(2, 3), 0.3)
case("lerp", x(2, 3), x(3), 0.7)
case("lerp", x(3), x(3), 1.5)
case("lerp", x(2, 1), x(3), positive(2, 3))
case("lerp", x(3), x(3), weight=x())
case("lerp", x(3, 2).transposed, x(2).strided, x(3, 1))
case("lerp", given([0.1, 0.3]), given([0.7, 0.9]), 1.0, note="ends exactly")
case("lerp", given([1.0, INF, NAN]), given([INF, INF, 1.0]), 0.25, smooth=False)
case("lerp", x(2, dtype="float16"), x(2, dtype="float16"), 0.5)
case("lerp", x(0), x(1), 0.5)

case("where", given([[0.0, 1.0], [2.0, 0.0]]).fixed)
case("where", booleans(2, 2, 2))
case("where", given([0, 3, 0, 1], "int64"))
case("where", given(True, "bool"), note="of one")
case("where", given(0.0).fixed, note="of nothing")
case("where", booleans(0))
case("masked_fill", x(3), booleans(3), given(2.0).fixed)
case("masked_fill", x(3), booleans(3), x())
case("masked_fill", x(3), booleans(3), given(2.5, "float64").fixed)
case("masked_fill", x(3), booleans(2, 3), 1.0)
case("masked_fill", given([1, 2], "int64"), given([True, False], "bool"), 7.9)
case("masked_fill", given([1, 2], "int64"), given([True, False], "bool"), given(7.9).fixed)
case("masked_fill", given([True, False], "bool"), given([True, True], "bool"), 2)
case("masked_fill", x(2, dtype="float16"), booleans(2), -INF, smooth=False)

for op in ("add", "sub", "mul", "div", "maximum", "minimum"):
    table.drawn(op, pairs())
for op in ("add", "sub", "rsub"):
    table.drawn(op, pairs(alpha=st.sampled_from([1, -2, 0.5])))
table.drawn("div", pairs(rounding_mode=st.sampled_from([None, "trunc", "floor"])))
table.drawn("fmod", pairs(other="positive"))
table.drawn("float_power", pairs(kind="positive"))
table.drawn("lerp", pairs(weight=st.sampled_from([0.0, 0.25, 0.75, 2.0])))
table.drawn("pow", pairs(kind="positive"))
table.drawn("remainder", pairs(other="positive"))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(ShapeError, lambda m: m.ones(2, 3) + m.ones(4), "add:", "(2, 3)", "(4,)", "do not broadcast")
wrong(ShapeError, lambda m: m.ones(2, 1, 3) * m.ones(2, 2), "mul:", "(2, 1, 3)", "(2, 2)", "do not broadcast")
wrong(ShapeError, lambda m: m.ones(0) / m.ones(2), "div:", "(0,)", "(2,)", "do not broadcast")
wrong(ShapeError, lambda m: m.maximum(m.ones(2), m.ones(3)), "maximum:", "(2,)", "(3,)")
wrong(ArgumentTypeError, lambda m: m.add(m.ones(2), "3"), "add:", "a real number", "str: '3'")
wrong(ArgumentTypeError, lambda m: m.add(m.ones(2), None), "add:", "a real number", "NoneType")
wrong(ArgumentTypeError, lambda m: m.ones(2) - [1, 2], "sub:", "a real number", "list: [1, 2]")
wrong(DtypeError, lambda m: m.ones(2).bool() - m.ones(2).bool(), "sub:", "booleans", "a ^ b")
wrong(DtypeError, lambda m: -m.ones(2).bool(), "neg:", "booleans", "~x")
wrong(ArgumentError, lambda m: m.arange(3) // 0, "floor_divide:", "integer division by zero")
wrong(ArgumentError, lambda m: m.arange(3) % 0, "remainder:", "integer division by zero")
wrong(DtypeError, lambda m: m.ones(2).bool() // m.ones(2).bool(), "floor_divide:", "booleans")
wrong(DtypeError, lambda m: m.arange(3) ** -1, "pow:", "negative power", "x.float()")
wrong(DtypeError, lambda m: m.arange(3) ** m.tensor([-1, 1, 1]), "pow:", "x.float()", torch_allows=True)
wrong(DtypeError, lambda m: m.where(m.ones(2), 1.0, 0.0), "where:", "boolean", "got float32")
wrong(ShapeError, lambda m: m.where(m.ones(2).bool(), m.ones(3), m.ones(3)), "where:", "(2,)", "(3,)", "broadcast")
wrong(DtypeError, lambda m: m.ones(2).masked_fill(m.ones(2), 0.0), "masked_fill:", "boolean", "got float32")
wrong(ShapeError, lambda m: m.ones(2).masked_fill(m.ones(3).bool(), 0.0), "masked_fill:", "(3,)", "(2,)")
wrong(ShapeError, lambda m: m.minimum(m.ones(2), m.ones(3)), "minimum:", "(2,)", "(3,)")
wrong(DtypeError, lambda m: m.ones(2).bool() ** m.ones(2).bool(), "pow:", "booleans", "x.long()")
wrong(DtypeError, lambda m: m.add(m.arange(3), m.arange(3), alpha=0.5), "add:", "alpha=0.5", "got int64")
wrong(ArgumentTypeError, lambda m: m.add(m.ones(3), m.ones(3), alpha="2"), "add:", "alpha must be a number", "str: '2'")
wrong(ArgumentError, lambda m: m.ones(2).byte().add(m.ones(2).byte(), alpha=300), "add:", "alpha=300", "uint8")
wrong(DtypeError, lambda m: m.rsub(m.ones(2).bool(), m.ones(2).bool()), "rsub:", "booleans", "a ^ b")
wrong(ShapeError, lambda m: m.rsub(m.ones(2), m.ones(3), alpha=2), "rsub:", "(2,)", "(3,)")
wrong(ArgumentError, lambda m: m.div(m.ones(2), 2, rounding_mode="up"), "div:", "'trunc' or 'floor'", "got 'up'")
wrong(ArgumentError, lambda m: m.div(m.arange(3), 0, rounding_mode="floor"), "div:", "integer division by zero")
wrong(DtypeError, lambda m: m.ones(2).bool().div(m.ones(2).bool(), rounding_mode="trunc"), "div:", "booleans")
wrong(ArgumentError, lambda m: m.fmod(m.arange(3), 0), "fmod:", "integer division by zero")
wrong(DtypeError, lambda m: m.gcd(m.ones(2), m.ones(2)), "gcd:", "works on integers", "got float32")
wrong(DtypeError, lambda m: m.lcm(m.ones(2).bool(), m.ones(2).bool()), "lcm:", "works on integers", "got bool")
wrong(ArgumentTypeError, lambda m: m.ones(2).float_power("2"), "float_power:", "exponent", "str: '2'")
wrong(ArgumentTypeError, lambda m: m.ones(2).float_power(None), "float_power:", "exponent", "NoneType")
wrong(DtypeError, lambda m: m.ones(2).bool().addcmul(m.ones(2).bool(), m.ones(2).bool()), "addcmul:", "booleans")
wrong(ArgumentTypeError, lambda m: m.addcmul(m.ones(2), m.ones(2), m.ones(2), value="1"), "addcmul:", "value must be")
wrong(ShapeError, lambda m: m.addcmul(m.ones(2), m.ones(3), m.ones(2)), "addcmul:", "(2,)", "(3,)")
wrong(DtypeError, lambda m: m.addcdiv(m.arange(2), m.arange(2), m.arange(2)), "addcdiv:", "got int64", "x.float()")
wrong(ArgumentTypeError, lambda m: m.addcdiv(m.ones(2), m.ones(2)), "addcdiv:", "missing tensor2")
wrong(DtypeError, lambda m: m.lerp(m.arange(2), m.arange(2), 1), "lerp:", "got int64", "x.float()")
wrong(ArgumentTypeError, lambda m: m.lerp(m.ones(2), m.ones(2)), "lerp:", "missing weight")
wrong(ArgumentTypeError, lambda m: m.where(m.ones(2).bool(), m.ones(2)), "where:", "both values or none")
wrong(ArgumentError, lambda m: m.ones(2).half().masked_fill(m.ones(2).bool(), 1e9), "masked_fill:", "float16")
wrong(ShapeError, lambda m: m.ones(2).masked_fill(m.ones(2).bool(), m.ones(2)), "masked_fill:", "value", "(2,)")
wrong(ArgumentError, lambda m: m.arange(2).masked_fill(m.ones(2).bool(), NAN), "masked_fill:", "value=nan", "int64")
wrong(
    ArgumentTypeError, lambda m: m.ones(2).masked_fill(m.ones(2).bool(), "0"), "masked_fill:", "value must be a number"
)
