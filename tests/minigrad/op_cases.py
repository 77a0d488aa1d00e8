"""The table of cases: every public op, called in every form we promise, with the arguments PyTorch would get.

A case is one line. It needs nothing else to be compared with recorded and with live PyTorch: values, gradients and
second gradients, in float64 and in float32. Each line was added because something can go wrong there.
"""

from __future__ import annotations

import operator
from typing import Any

from op_harness import Case, Dtype, booleans, distinct, given, integers, positive, probabilities, x

NAN, INF = float("nan"), float("inf")
f16, f32, f64 = Dtype("float16"), Dtype("float32"), Dtype("float64")
i32, i64 = Dtype("int32"), Dtype("int64")

CASES: list[Case] = []


def case(
    op: str, *args: Any, call: Any = None, note: str = "", smooth: bool = True, twice: bool = True, **kwargs: Any
) -> None:
    CASES.append(Case(op, args, kwargs, call, note, smooth, twice))


# --- arithmetic -------------------------------------------------------------------------------------------------

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

# --- functions of one variable ----------------------------------------------------------------------------------

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

# --- comparisons and logic --------------------------------------------------------------------------------------

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

# --- dtypes and copies ------------------------------------------------------------------------------------------

for target in (f16, f32, f64, Dtype("int8"), Dtype("int16"), i32, i64, Dtype("uint8"), Dtype("bool")):
    case("to", given([1.5, 2.0, 0.0]), target)
    case("to", given([1, 0, 7], "int64"), target)
case("to", given([True, False], "bool"), f32)
case("to", x(2, 2), f32, call=lambda m, a, t: a.to(dtype=t), note="by keyword")
case("to", x(2, 2), call=lambda m, a: a.to("cpu"), note="by device")
case("to", given([-1.7, 2.9]), i64, note="truncates")
for method in ("float", "double", "long", "int", "bool"):
    case(
        "to", given([1.5, -2.75, 0.0]), call=lambda m, a, method=method: getattr(a, method)(), note=f"by {method}()",
        smooth=False,
    )  # fmt: skip
case("clone", x(2, 3))
case("clone", x(3, 2).transposed)
case("clone", given([1, 2], "int64"))
case("clone", x(0))
case("clone", x(3, 2), call=lambda m, a: a.t().contiguous(), note="by contiguous()")

# --- shape ------------------------------------------------------------------------------------------------------

case("reshape", x(2, 3), (3, 2))
case("reshape", x(2, 3), (-1,))
case("reshape", x(2, 3), (1, 6, -1))
case("reshape", x(2, 3), 3, -1, call=lambda m, a, *n: a.reshape(*n), note="by sizes")
case("reshape", x(3, 2).transposed, (2, 3))
case("reshape", x(0, 3), (3, 0))
case("reshape", x(0, 3), (-1, 3))
case("reshape", x(), (1, 1))
case("reshape", x(1), ())
case("reshape", given([1, 2, 3, 4], "int64"), (2, 2))
case("view", x(2, 3), (3, 2))
case("view", x(2, 3), -1)
case("view", x(2, 3), 3, 2)
case("view", x(2, 3), (1, -1))
case("flatten", x(2, 3, 2))
case("flatten", x(2, 3, 2), 1)
case("flatten", x(2, 3, 2), 0, 1)
case("flatten", x(2, 3, 2), -2, -1)
case("flatten", x(2, 3, 2), start_dim=1, end_dim=1)
case("flatten", x())
case("flatten", x(0, 2))
case("permute", x(2, 3, 4), (2, 0, 1))
case("permute", x(2, 3), (1, 0))
case("permute", x(2, 1, 3), (-1, 0, 1))
case("permute", x(2, 1, 3), 1, 2, 0, call=lambda m, a, *dims: a.permute(*dims), note="by dims")
case("permute", x(), ())
case("transpose", x(2, 3), 0, 1)
case("transpose", x(2, 3, 2), -1, 0)
case("transpose", x(2, 3), 1, 1)
case("transpose", x(2, 3), dim0=0, dim1=-1)
case("transpose", x(), 0, -1)
case("t", x(2, 3))
case("t", x(3))
case("t", x())
case("t", x(2, 3), call=lambda m, a: a.T, note="by T")
case("t", x(2, 2, 3), call=lambda m, a: a.mT, note="by mT")
case("squeeze", x(1, 2, 1, 3))
case("squeeze", x(1, 2, 1), 0)
case("squeeze", x(1, 2, 1), -1)
case("squeeze", x(1, 2, 1), 1)
case("squeeze", x(1, 2, 1), (0, 2))
case("squeeze", x(1, 2, 1), dim=(0, 1))
case("squeeze", x(1))
case("squeeze", x(), 0)
case("squeeze", x(2, 1, 0))
case("unsqueeze", x(2, 3), 0)
case("unsqueeze", x(2, 3), 2)
case("unsqueeze", x(2, 3), -1)
case("unsqueeze", x(2, 3), -3)
case("unsqueeze", x(), 0)
case("unsqueeze", x(2), dim=1)
case("expand", x(1, 3), 2, 3)
case("expand", x(3), (2, 3))
case("expand", x(2, 1), -1, 3)
case("expand", x(1, 3), 2, 2, -1)
case("expand", x(1), 0)
case("expand", x(), 2, 2)
case("expand", x(2, 3), 2, 3)
case("broadcast_to", x(3), (2, 3))
case("broadcast_to", x(2, 1), (2, 3))
case("broadcast_to", x(), (2,))
case("cat", [x(2, 3), x(1, 3)])
case("cat", [x(2, 1), x(2, 2), x(2, 1)], 1)
case("cat", [x(2, 1), x(2, 2)], dim=-1)
case("cat", [x(2), x(0), x(1)])
case("cat", [x(0), x(2, 2)])
case("cat", [x(0, 3), x(1, 3)])
case("cat", [x(2)])
case("cat", [x(2, 2), x(2, 2).fixed], 1)
case("cat", [x(2, dtype="float32"), x(1, dtype="float64")])
case("cat", [given([1, 2], "int64"), x(2)])
case("cat", [given([1, 2], "int64"), given([True], "bool")])
case("cat", (x(3, 2).transposed, x(3, 4).strided), 1)
case("cat", [x(2)], call=lambda m, parts: m.cat([parts[0], parts[0]]), note="with itself")
case("stack", [x(2, 3), x(2, 3)])
case("stack", [x(2, 3), x(2, 3)], 1)
case("stack", [x(2, 3), x(2, 3)], dim=-1)
case("stack", [x(), x(), x()])
case("stack", [x(0), x(0)], 1)
case("stack", [x(2, dtype="float32"), given([1, 2], "int64")])

# --- indexing ---------------------------------------------------------------------------------------------------

INDICES: list[tuple[tuple[int, ...], Any]] = [
    ((3,), 1), ((3,), -1), ((3, 2), 0), ((3, 2), (1, -1)), ((4,), slice(1, 3)), ((4,), slice(None, None, 2)),
    ((4,), slice(-3, -1)), ((4,), slice(3, 1)), ((4,), slice(0, 99)), ((3, 4), (slice(None), slice(1, None, 2))),
    ((3, 4), (slice(0, 2), 1)), ((3, 2), Ellipsis), ((3, 2), (Ellipsis, 0)), ((2, 3, 2), (0, Ellipsis, 1)),
    ((3,), None), ((3, 2), (None, slice(None), None)), ((3, 2), (Ellipsis, None)), ((3, 2), (1, None, 0)),
    ((), None), ((), Ellipsis), ((), ()), ((2, 3), ()), ((0, 3), slice(0, 1)),
    ((4,), [0, 2]), ((4,), [1, 1, 1]), ((3, 2), [2, 0, 2]), ((3, 2), ([0, 2], [1, 1])), ((3, 2), ([0, 0], [1, 1])),
    ((3, 3), (slice(None), [0, 0, 2])), ((3, 3), ([1, 2], slice(0, 2))), ((3, 3), (1, [0, 1, 1])),
    ((2, 3, 2), ([0, 1], slice(None), [1, 0])), ((2, 3, 2), (slice(None), [0, 2, 2], [1, 0, 0])),
    ((2, 3, 2), (0, slice(None), [1, 0, 1])), ((2, 3, 2), (Ellipsis, [1, 1])), ((3, 2), (None, [0, 2])),
    ((3, 2), ([0, 2], None)), ((3, 2), ([-1, -3], [0, -1])),
    ((4,), given([0, 2, 2], "int64")), ((4, 2), given([[0, 1], [3, 3]], "int64")), ((4,), given(2, "int64")),
    ((4,), given([3, 1], "int32")), ((3, 3), (given([[0], [2]], "int64"), given([0, 1, 1], "int64"))),
    ((3, 3), (slice(1, None), given([0, 0], "int64"))), ((4,), given([[2], [0]], "int32")),
    ((3,), given([True, False, True], "bool")), ((3, 2), given([True, False, True], "bool")),
    ((2, 2), given([[True, False], [True, True]], "bool")), ((2, 3), (slice(None), given([True, False, True], "bool"))),
    ((3,), given([False, False, False], "bool")), ((3, 2), (given([True, False, True], "bool"), [0, 1])),
    ((3, 2), (given([True, False, True], "bool"), 1)), ((3, 2), (given([True, False, True], "bool"), None)),
    ((2,), [True, False]), ((2,), True), ((2,), False), ((3,), given([], "int64")),
    ((2, 3, 4), (slice(None), None, given([0, 2], "int64"), slice(1, 3))),
    ((2, 3, 4), (given([True, False], "bool"), slice(None), given([0, 3, 3], "int64"))),
]  # fmt: skip
for shape, index in INDICES:
    case("getitem", x(*shape), index, call=lambda m, a, i: a[i])
case("getitem", x(4, 3).transposed, ([0, 3, 0], slice(1, None)), call=lambda m, a, i: a[i])
case("getitem", given([1, 2, 3], "int64"), [0, 2], call=lambda m, a, i: a[i])
case("getitem", x(4), call=lambda m, a: a[a > 0], note="by comparison")
case("getitem", x(2, 3), call=lambda m, a: list(a), note="by iteration")
for op, indices in {
    "gather": [
        ((3, 2), 0, [[0, 2], [1, 1]]), ((3, 2), 1, [[0, 0, 1], [1, 1, 1]]), ((3, 2), -1, [[1], [0]]),
        ((3,), 0, [2, 2, 2, 0]), ((), 0, 0), ((2, 3, 2), 1, [[[0], [2]]]),
    ],
    "take_along_dim": [
        ((3, 2), 0, [[0, 2], [1, 1]]), ((3, 2), 1, [[0, 0, 1], [1, 1, 1], [1, 0, 0]]), ((3, 2), -1, [[1], [0], [1]]),
        ((3, 2), 1, [[1, 1, 0]]), ((1, 2), 1, [[1], [0], [1]]), ((3,), 0, [2, 2, 2, 0]),
    ],
}.items():  # fmt: skip
    for shape, dim, index in indices:
        order = (dim, given(index, "int64")) if op == "gather" else (given(index, "int64"), dim)
        case(op, x(*shape), *order)
case("gather", x(2, 2), dim=0, index=given([[0, 1]], "int64"))
case("gather", x(2, 2), 0, given([], "int64"), note="with an empty index", call=lambda m, a, d, i: a[:, 0].gather(d, i))
case("take_along_dim", x(3, 2), call=lambda m, a: m.take_along_dim(a, a.argmax(0, keepdim=True), 0), note="of argmax")
case("one_hot", given([0, 2, 1], "int64"))
case("one_hot", given([[0, 2], [1, 1]], "int64"), 4)
case("one_hot", given([1], "int64"), num_classes=3)
case("one_hot", given(1, "int64"), 2)
case("one_hot", given([], "int64"), 3)

# --- products of matrices ---------------------------------------------------------------------------------------

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

# --- reductions -------------------------------------------------------------------------------------------------

SEVERAL_DIMS: list[dict[str, Any]] = [
    {}, {"dim": 0}, {"dim": 1}, {"dim": -1}, {"dim": (0, 2)}, {"dim": [0, 1]}, {"dim": (-1, 0), "keepdim": True},
    {"dim": 1, "keepdim": True}, {"dim": (0, 1, 2)},
]  # fmt: skip
for op in ("sum", "mean", "var", "std", "amax", "amin", "logsumexp"):
    values = distinct if op in ("amax", "amin") else x
    for dims in SEVERAL_DIMS:
        if dims or op != "logsumexp":
            case(op, values(2, 3, 2), **dims)
    case(op, values(3, 4).transposed, dim=0)
    case(op, values(2, 3).strided, dim=-1)
    case(op, values(2, 1), dim=1 if op not in ("var", "std") else 0)
    if op not in ("var", "std"):
        case(op, values(), dim=0)
        case(op, values(), dim=-1, keepdim=True)
        case(op, values(1), dim=0)
    case(op, given([[1.0, NAN, 2.0], [INF, 1.0, 2.0]]), dim=1, smooth=False)
    case(op, values(2, 3, dtype="float16"), dim=1)
for op in ("sum", "mean", "logsumexp", "var"):
    # The second gradient of the mean of nothing, by its upstream, is 0 in PyTorch and nan here.
    case(op, x(0, 3), dim=0, smooth=False, twice=op != "mean")
    case(op, x(0, 3), dim=1)
    if op != "logsumexp":
        case(op, x(0), smooth=False, twice=op != "mean")
case("sum", given([3, -1, 2], "int32"))
case("sum", given([True, True, False], "bool"))
case("sum", given([[1, 2], [3, 4]], "uint8"), dim=0)
case("sum", x(2, 3), dim=())
case("sum", x(2, 3), 0, True)
case("sum", x(2, 3), dtype=f64)
case("sum", given([1, 2], "int64"), dtype=f32)
case("mean", x(2, 3), 1)
case("mean", x(2, 3), dtype=f64)
case("mean", given([1, 2], "int64"), dtype=f32)
case("mean", given([1, 2], "int64"), dim=0, dtype=f64)
for op in ("var", "std"):
    case(op, x(2, 4), dim=1, correction=0)
    case(op, x(2, 4), dim=1, correction=2)
    case(op, x(2, 4), dim=(0, 1), correction=0, keepdim=True)
    case(op, x(2, 4), correction=1)
    case(op, x(2, 4), dim=0, unbiased=False)
    case(op, x(2, 4), 1, False)
    case(op, x(2, 4), 1, True, True)
    case(op, x(4), unbiased=False)
    case(op, x(1, 3), dim=0, correction=0, smooth=False)
    case(op, x(1, 3), dim=0, note="no degrees of freedom", smooth=False)
    case(op, x(), note="no degrees of freedom", smooth=False, twice=False)
    case(op, x(2, 3).fixed, dim=1, correction=5, note="negative degrees of freedom")
    case(op, given([2.0, 2.0, 2.0]), note="without spread", smooth=False)
    case(op, x(5), correction=0.5)
for op in ("amax", "amin"):
    case(op, given([[1.0, 3.0, 3.0], [0.0, 0.0, 0.0]]), dim=1, note="with ties", smooth=False)
    case(op, given([[1.0, 3.0, 3.0], [3.0, 0.0, 0.0]]), note="with ties", smooth=False)
    case(op, distinct(2, 0, 3), dim=2)
    case(op, given([3, 1, 2], "int64"), dim=0)
    case(op, given([True, False], "bool"), dim=0)


def by_dim(op: str) -> Any:
    def called(m: Any, *args: Any, **kwargs: Any) -> Any:
        result = getattr(m, op)(*args, **kwargs)
        return result.values, result.indices

    return called


for op in ("max", "min"):
    case(op, distinct(2, 3))
    case(op, distinct(0, 2), dim=1, call=by_dim(op))
    case(op, distinct())
    case(op, distinct(2, 3), dim=0, call=by_dim(op))
    case(op, distinct(2, 3), dim=-1, call=by_dim(op))
    case(op, distinct(2, 3), 1, True, call=by_dim(op))
    case(op, distinct(2, 3, 2), dim=1, keepdim=True, call=by_dim(op))
    case(op, distinct(), dim=0, call=by_dim(op))
    case(op, distinct(3, 2).transposed, dim=0, call=by_dim(op))
    case(op, distinct(2, 3), 1, note="unpacked")
    case(op, x(2, 3), x(3), note="pairwise")
    case(op, given([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]), dim=1, call=by_dim(op), note="with ties", smooth=False)
    case(op, given([1.0, 3.0, 3.0, 1.0]), note="with ties", smooth=False)
    case(op, given([[1.0, NAN, NAN], [INF, 2.0, -INF]]), dim=1, call=by_dim(op), smooth=False)
    case(op, given([1.0, NAN, 2.0]).fixed)
    case(op, given([[3, 1], [1, 2]], "int64"), dim=0, call=by_dim(op))
    case(op, given([3, 1, 2], "int64"))
for op in ("argmax", "argmin"):
    case(op, distinct(2, 3))
    case(op, distinct(2, 3), 0)
    case(op, distinct(2, 3), dim=-1, keepdim=True)
    case(op, distinct(), dim=0)
    case(op, distinct(2, 3), keepdim=True)
    case(op, given([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]), dim=1, note="with ties")
    case(op, given([1.0, NAN, 3.0, NAN]), note="with nan")
    case(op, given([3, 1, 2], "int64"))
    case(op, distinct(3, 2).transposed)
for op in ("all", "any"):
    case(op, booleans(2, 3))
    case(op, booleans(2, 3), 0)
    case(op, booleans(2, 3), dim=-1, keepdim=True)
    case(op, given([[0.0, 1.0], [2.0, NAN]]), dim=1)
    case(op, given([[0, 1], [2, 3]], "int64"), dim=0)
    case(op, booleans(0))
    case(op, booleans(0, 2), dim=0)
    case(op, booleans())
    case(op, booleans(2, 3, 2), dim=(0, 2))
for dtype in ("float32", "float64"):
    case("logsumexp", given([[1000.0, 1000.0], [-1000.0, -1000.0]], dtype), 1, smooth=False)
case("logsumexp", given([[-INF, -INF], [INF, 1.0], [-INF, 0.0]]), dim=1, smooth=False)
case("logsumexp", given([1, 2, 3], "int64"), 0)
for op in ("softmax", "log_softmax"):
    case(op, x(2, 3), 1)
    case(op, x(2, 3), 0)
    case(op, x(2, 3, 2), dim=-2)
    case(op, x(3), dim=-1)
    case(op, x(), 0)
    case(op, x(1), 0)
    case(op, x(0, 3), 1)
    case(op, x(3, 0), 1)
    case(op, x(3, 2).transposed, 1)
    case(op, x(2, 3), 1, dtype=f64)
    case(op, given([1, 2], "int64"), 0, dtype=f32)
    case(op, given([[1000.0, 0.0], [-1000.0, -1000.0]]), 1, note="far out", smooth=False)
    case(op, given([[-INF, 0.0, 1.0], [0.0, NAN, 0.0]]), 1, smooth=False)
    case(op, given([[-INF, -INF], [INF, 0.0]]), 1, smooth=False)
    case(op, x(2, 3), 1, call=lambda m, a, d, op=op: getattr(m.nn.functional, op)(a, dim=d), note="by nn.functional")

# --- losses -----------------------------------------------------------------------------------------------------

for loss in ("mse_loss", "l1_loss", "binary_cross_entropy_with_logits"):
    target = x(2, 3) if loss != "binary_cross_entropy_with_logits" else positive(2, 3)
    for reduction in ("mean", "sum", "none"):
        case(loss, x(2, 3), target, reduction=reduction)
    case(loss, x(2, 3), target.fixed)
    case(loss, x(2, 3, 2), positive(2, 3, 2))
    case(loss, x(), positive())
    case(loss, x(0), positive(0), smooth=False, twice=False)
    case(loss, x(0), positive(0), reduction="sum")
    case(loss, x(3, 2).transposed, positive(3, 4).strided, call=lambda m, a, b, loss=loss: getattr(
        m.nn.functional, loss)(a, b[:, :2]))  # fmt: skip
    case(loss, given([1.0, NAN, INF]), given([1.0, 1.0, 0.0]), reduction="none", smooth=False, twice=False)
case("l1_loss", given([1.0, 2.0]), given([1.0, 3.0]), note="at the kink", smooth=False)
case("binary_cross_entropy_with_logits", given([0.0, 500.0, -500.0]), given([0.0, 1.0, 1.0]), smooth=False)
case("binary_cross_entropy_with_logits", given([500.0, -500.0]), given([0.0, 1.0]), note="far out", smooth=False)

CLASSES = given([0, 2, 1, 2], "int64")
SOME_IGNORED = given([0, -100, 2, 1], "int64")
for loss in ("nll_loss", "cross_entropy"):
    for reduction in ("mean", "sum", "none"):
        case(loss, x(4, 3), CLASSES, reduction=reduction)
        case(loss, x(4, 3), CLASSES, positive(3).fixed, reduction=reduction)
        case(loss, x(4, 3), SOME_IGNORED, weight=positive(3).fixed, reduction=reduction)
        case(loss, x(2, 3, 2), given([[0, 2], [1, 1]], "int64"), reduction=reduction)
    case(loss, x(4, 3), CLASSES, ignore_index=2)
    case(loss, x(4, 3), CLASSES, positive(3).fixed, ignore_index=1, reduction="sum")
    case(loss, x(2, 3), given([-100, -100], "int64"), note="all ignored", smooth=False)
    case(loss, x(2, 3), given([-100, -100], "int64"), reduction="sum", note="all ignored")
    case(loss, x(3), given(1, "int64"))
    case(loss, x(3), given(1, "int64"), positive(3).fixed)
    case(loss, x(3), given(1, "int64"), reduction="none")
    case(loss, x(1, 3), given([2], "int64"))
    case(loss, x(0, 3), given([], "int64"), smooth=False)
    case(loss, x(0, 3), given([], "int64"), reduction="none")
    case(loss, x(2, 3, 2, 2), integers(2, 2, 2, high=3), positive(3).fixed)
    case(loss, x(3, 4).transposed, given([0, 3, 1], "int64"))
    case(loss, given([[1.0, NAN], [INF, 0.0]]), given([0, 1], "int64"), reduction="none", smooth=False)
for reduction in ("mean", "sum", "none"):
    case("cross_entropy", x(4, 3), probabilities(4, 3), reduction=reduction)
    case("cross_entropy", x(4, 3), probabilities(4, 3), positive(3).fixed, reduction=reduction)
    case("cross_entropy", x(4, 3), probabilities(4, 3), label_smoothing=0.1, reduction=reduction)
    case("cross_entropy", x(4, 3), CLASSES, label_smoothing=0.2, reduction=reduction)
    case("cross_entropy", x(4, 3), CLASSES, positive(3).fixed, label_smoothing=0.2, reduction=reduction)
    case("cross_entropy", x(4, 3), SOME_IGNORED, positive(3).fixed, label_smoothing=0.2, reduction=reduction)
    case(
        "cross_entropy", x(2, 3, 2), probabilities(2, 3, 2), positive(3).fixed, label_smoothing=0.1, reduction=reduction
    )
    case("cross_entropy", x(2, 3, 2), given([[0, 2], [-100, 1]], "int64"), label_smoothing=0.1, reduction=reduction)
case("cross_entropy", x(3), probabilities(3))
case("cross_entropy", x(3), given(1, "int64"), label_smoothing=0.3)
case("cross_entropy", x(4, 3), CLASSES, label_smoothing=1.0)
case("cross_entropy", x(4, 3), probabilities(4, 3).fixed, note="fixed targets")
case("cross_entropy", x(0, 3), probabilities(0, 3), smooth=False, twice=False)
case("cross_entropy", given([[1000.0, 0.0], [0.0, -1000.0]]), given([1, 0], "int64"), note="far out", smooth=False)

# --- batch normalisation and dropout ----------------------------------------------------------------------------


def batch_norm(m: Any, a: Any, mean: Any, var: Any, *rest: Any, **options: Any) -> Any:
    """The output, and the running statistics as the call has left them."""
    out = m.nn.functional.batch_norm(a, mean, var, *rest, **options)
    return [out, *(s for s in (mean, var) if s is not None)]


for shape in ((4, 3), (3, 2, 2), (2, 2, 2, 2), (3, 1)):
    c = (shape[1],)
    running = (x(*c).fixed, positive(*c).fixed)
    case("batch_norm", x(*shape), None, None, x(*c), x(*c), training=True, call=batch_norm)
    case("batch_norm", x(*shape), *running, x(*c), x(*c), training=True, call=batch_norm)
    case("batch_norm", x(*shape), *running, x(*c), x(*c), training=False, call=batch_norm)
case("batch_norm", x(4, 3), None, None, training=True, call=batch_norm)
case("batch_norm", x(4, 3), x(3).fixed, positive(3).fixed, call=batch_norm)
case("batch_norm", x(4, 3), x(3).fixed, positive(3).fixed, x(3), call=batch_norm)
case("batch_norm", x(4, 3), None, None, x(3), None, training=True, call=batch_norm)
case("batch_norm", x(4, 3), None, None, None, x(3), training=True, call=batch_norm, twice=False)
case("batch_norm", x(4, 3), None, None, x(3), x(3), training=True, eps=0.1, call=batch_norm)
case("batch_norm", x(4, 3), None, None, x(3), x(3), True, 0.3, 0.5, call=batch_norm)
case("batch_norm", x(4, 3), x(3).fixed, positive(3).fixed, training=True, momentum=0.4, call=batch_norm)
case("batch_norm", x(4, 3), x(3).fixed, positive(3).fixed, training=True, momentum=0.0, call=batch_norm)
case("batch_norm", x(4, 3), x(3).fixed, positive(3).fixed, training=True, momentum=1.0, call=batch_norm)
case("batch_norm", x(4, 3), x(3).fixed, positive(3).fixed, x(3), x(3), eps=0.1, call=batch_norm)
case("batch_norm", x(4, 3), None, None, x(3).fixed, x(3).fixed, training=True, call=batch_norm)
case("batch_norm", x(4, 3).fixed, None, None, x(3), x(3), training=True, call=batch_norm)
case("batch_norm", x(3, 4).transposed, None, None, x(4), x(4).strided, training=True, call=batch_norm)
case("batch_norm", x(0, 3), x(3).fixed, positive(3).fixed, x(3), x(3), call=batch_norm)
case(
    "batch_norm", given([[1.0, 1.0], [NAN, 2.0], [2.0, 3.0]]), None, None, training=True, call=batch_norm, smooth=False
)
case(
    "batch_norm", given([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]]), None, None, training=True, eps=0.01, call=batch_norm,
    note="a constant channel",
)  # fmt: skip
case("dropout", x(2, 3), training=False)
case("dropout", x(2, 3), p=0.0)
case("dropout", x(2, 3), p=1.0)
case("dropout", x(2, 3).fixed, p=0.5, call=lambda m, a, p: m.nn.functional.dropout(a, p) * 0)

# --- making tensors ---------------------------------------------------------------------------------------------

for op in ("zeros", "ones", "rand", "randn"):
    # Random numbers differ between the libraries; the shape and the dtype do not.
    keep = 0 if op.startswith("rand") else 1
    for args in ((2, 3), ((2, 3),), ([2],), ((),), (0, 2)):
        case(op, *args, call=lambda m, *a, op=op, keep=keep: getattr(m, op)(*a) * keep)
    case(op, 2, dtype=f64, call=lambda m, *a, op=op, keep=keep, **k: getattr(m, op)(*a, **k) * keep)
case("zeros", 2, dtype=i64)
case("ones", 2, dtype=Dtype("bool"))
for fill in (2, 2.5, True):
    case("full", (2, 2), fill)
    case("full", (2,), fill, dtype=f64)
    case("full_like", x(2), fill)
case("full", (), 1.5)
case("full_like", given([1, 2], "int64"), 3)
case("zeros_like", x(2, 3))
case("zeros_like", given([1, 2], "int64"))
case("ones_like", given([True], "bool"))
case("ones_like", x(2), dtype=i32)
case("eye", 3)
case("eye", 2, 3)
case("eye", 0)
case("eye", 2, dtype=i64)
case("arange", 4)
case("arange", 1, 4)
case("arange", 4, 0, -2)
case("arange", 0, 1, 0.25)
case("arange", 2.5)
case("arange", 0)
case("arange", 1, 2.0, 0.5, dtype=f64)
case("arange", 3, dtype=f32)
case("linspace", 0, 1, 5)
case("linspace", -1.0, 1.0, 4, dtype=f64)
case("linspace", 3.0, 3.0, 1)
case("linspace", 0, 1, 0)
case("randint", 0, 5, (2, 3), call=lambda m, *a: m.randint(*a) * 0)
case("randint", 5, (2,), call=lambda m, high, size: m.randint(high, size=size) * 0)
case("randperm", 5, call=lambda m, n: m.randperm(n).sum())
case("tensor", call=lambda m: [m.tensor(1.5), m.tensor([1, 2]), m.tensor([[True]]), m.tensor([]), m.tensor([1, 2.5])])
case("as_tensor", call=lambda m: [m.as_tensor(1.5), m.as_tensor([1, 2]), m.as_tensor([0.5], dtype=m.float64)])
