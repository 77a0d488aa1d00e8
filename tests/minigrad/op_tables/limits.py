"""Larger, smaller, and within limits."""

from __future__ import annotations

from hypothesis import strategies as st
from op_harness import Table, given, x
from op_strategies import pairs, unary

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table("limits", never_wrong={"clip": "is clamp"})
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")

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
case("clamp", x(3), None, 0.5)
case("clamp", x(3), max=0.5, min=-0.5)
case("clamp", x(2, dtype="float16"), -0.5, 0.5)
case("clamp", given([True, False], "bool"), 0, 5)
case("clamp", given([1.0, 2.0]), NAN, 1.0, smooth=False)
case("clamp", x(3, 2).transposed, -0.5, INF)

# Tensors as limits get the gradient where they decide; at a tie the input does, and nobody where all three differ in
# order.
case("clamp", x(2, 3), x(2, 3), x(2, 3))
case("clamp", x(2, 3), x(2, 1), x(3))
case("clamp", x(2, 3), x(3).fixed, x(2, 1))
case("clamp", x(3), min=x(2, 1))
case("clamp", x(2, 3), max=x(3))
case("clamp", x(4), given([-1.0, -1.0, 0.0, 0.0]), given([0.0, 0.0, 1.0, 1.0]))
case("clamp", given([0.0, 2.0, 1.0, 1.0]), given([0.0, 0.0, 1.0, 2.0]), given([2.0, 2.0, 1.0, 2.0]), smooth=False)
case("clamp", given([0.0, 3.0, 2.0]), given([1.0, 1.0, 3.0]), given([1.0, 1.0, 1.0]), smooth=False)
case("clamp", given([NAN, 1.0, 1.0]), given([0.0, NAN, 0.0]), given([1.0, 2.0, NAN]), smooth=False)
case("clamp", given([1, 5], "int64"), given([2, 2], "int64"), given([3, 3], "int64"))
case("clamp", given([1, 5], "int64"), given([1.5, 1.5]).fixed)
case("clamp", x(2, dtype="float32"), x(2, dtype="float64"), x(2, dtype="float64"))
case("clamp", x(0, 3), x(3), x(1))
case("clip", x(3, 4), -1.0, 1.0)
case("clip", x(3), max=x(3))
for op in ("clamp_min", "clamp_max"):
    case(op, x(2, 3), 0.5)
    case(op, x(2, 3), x(3))
    case(op, x(3), x(2, 1))
    case(op, given([0.0, 1.0, 2.0]), 1.0, note="at the limit", smooth=False)
    case(op, given([0.0, 1.0, 2.0, NAN, 1.0]), given([1.0, 1.0, 1.0, 1.0, NAN]), smooth=False)
    case(op, given([1, 5], "int64"), 2)
    case(op, given([1, 5], "int64"), 2.5)
    case(op, given([True, False], "bool"), 1)
    case(op, x(2, dtype="float16"), 0.5)
    case(op, x(0), 0.0)
for op in ("fmax", "fmin"):
    case(op, x(2, 3), x(2, 3))
    case(op, x(2, 1), x(3))
    case(op, x(3, 2).transposed, x(2).strided)
    case(op, x(), x(2))
    case(op, x(0), x(1))
    case(op, x(2, dtype="float16"), x(2, dtype="float16"))
    case(op, given([1.0, 2.0, 3.0]), given([1.0, 1.0, 4.0]), note="with a tie", smooth=False)
    case(op, given([1.0, NAN, NAN, INF]), given([NAN, 1.0, NAN, -INF]), smooth=False)
    case(op, given([1, 5], "int64"), given([2.5, 2.5]))
    case(op, given([1, 5], "int64"), given([3, 2], "int32"))
    case(op, given([True, False], "bool"), given([False, False], "bool"))

for op in ("fmax", "fmin", "clamp_min", "clamp_max"):
    table.drawn(op, pairs())
numbers = st.sampled_from([-1.0, 0.0, 0.5, 1])
table.drawn("clamp", unary(min=numbers, max=numbers))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(ArgumentError, lambda m: m.clamp(m.ones(2)), "clamp:", "min, max or both", "got neither")
wrong(ArgumentTypeError, lambda m: m.clamp(m.ones(2), m.zeros(2), 1.0), "clamp:", "two numbers or two tensors", "float")
wrong(ArgumentTypeError, lambda m: m.clamp(m.ones(2), "0", "1"), "clamp:", "a real number", "str: '0'")
wrong(ShapeError, lambda m: m.clamp(m.ones(2), m.ones(3), m.ones(3)), "clamp:", "(2,)", "(3,)")
wrong(DtypeError, lambda m: m.ones(2).bool().clamp(*[m.ones(2).bool()] * 2), "clamp:", "booleans", "x.long()")
wrong(ArgumentError, lambda m: m.clamp(m.ones(2).byte(), 0, 300), "clamp:", "out of the range", "uint8")
wrong(ArgumentTypeError, lambda m: m.clamp_min(m.ones(2), None), "clamp_min:", "NoneType")
wrong(ShapeError, lambda m: m.clamp_max(m.ones(2), m.ones(3)), "clamp_max:", "(2,)", "(3,)")
wrong(ShapeError, lambda m: m.fmax(m.ones(2), m.ones(3)), "fmax:", "(2,)", "(3,)")
wrong(ArgumentTypeError, lambda m: m.fmin(m.ones(2), None), "fmin:", "NoneType")
