"""Special functions, and functions of two variables."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, given, positive, x
from op_strategies import pairs, unary

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table(
    "special",
    not_differentiable={"heaviside"},
    never_wrong={"arctan2": "is atan2"},
)
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")

# --- one variable -----------------------------------------------------------------------------------------------------

# PyTorch's trigamma, the derivative of digamma, has errors of 1e-9: its series stops early. Ours has 1e-15.
TRIGAMMA: dict[str, Any] = {"loose": 1000.0}
for op in ("erf", "erfc", "lgamma", "digamma", "sinc"):
    values = positive if op in ("lgamma", "digamma") else x
    options = TRIGAMMA if op in ("lgamma", "digamma") else {}
    case(op, values(2, 3), **options)
    case(op, values(), **options)
    case(op, values(0, 2), **options)
    case(op, values(3, 2).transposed, **options)
    case(op, values(3).strided, **options)
    case(op, values(2, dtype="float16"))
    table.drawn(op, unary("positive" if values is positive else "signed"), **options)
for op in ("erfinv", "logit"):
    case(op, given([[0.25, 0.75, 0.5], [0.125, 0.9375, 0.375]]))
    case(op, given(0.25))
    case(op, x(0, 2))
    case(op, given([[0.25, 0.75], [0.5, 0.875]]).transposed)
    case(op, given([0.25, 0.75]).strided)
    case(op, given([0.25, 0.75], "float16"))
    case(op, given([0.0, 1.0, -1.0, 2.0]), note="at the ends and beyond", smooth=False)
for op in ("erf", "erfc", "erfinv", "sinc", "logit"):
    case(op, given([NAN, INF, -INF]), smooth=False)
for op in ("erf", "erfc", "erfinv", "lgamma", "digamma", "sinc", "logit"):
    case(op, given([1, 0, 2], "int64"))
    case(op, given([True, False], "bool"))
case("erf", given([0.0, -0.0, 1e-30, 0.46875, -0.4687501, 1.0]), note="around the first limit")
case("erf", given([3.75, 3.9999, -3.9999]), note="below the second limit")
case("erf", given([4.0, 4.0001, -4.0, 6.0, -30.0]), note="above the second limit", smooth=False)
case("erfc", given([0.0, 0.46875, -0.4687501, 3.9999, 4.0001, -5.0]), note="around the limits")
# Relative errors of small numbers show only when they are multiplied.
case("erfc", given([5.0, 10.0, 20.0, 26.0], "float64"), call=lambda m, a: m.erfc(a) * (a * a).exp(), note="scaled")
case("erfc", given([30.0, 100.0, -30.0]), note="far out", smooth=False)
case("erfinv", given([0.9375, 2.0**-10 - 1, 2.0**-20, -0.5, 0.46875, 0.0]), note="everywhere", smooth=False)
case("erfinv", given([1 - 2.0**-53, 2.0**-53 - 1, 1e-300], "float64"), note="near the ends", smooth=False)
case("lgamma", given([1.0, 2.0, 0.5, 2.0**-10, 10.0, 100.0, 1e10]), note="everywhere", smooth=False, **TRIGAMMA)
case("lgamma", given([-0.5, -1.5, -2.25, -10.75]), note="of negative numbers", **TRIGAMMA)
case("lgamma", given([0.0, -1.0, -2.0], "float64").fixed, note="at the poles")
case("lgamma", given([INF, NAN]), smooth=False)
case("digamma", given([1.0, 2.0, 0.5, 2.0**-10, 10.0, 100.0, 1e10]), note="everywhere", smooth=False, **TRIGAMMA)
case("digamma", given([-0.5, -1.5, -2.25, -10.75]), note="of negative numbers", **TRIGAMMA)
case("digamma", given([0.0, -0.0, -1.0, -2.0]).fixed, note="at the poles")
case("digamma", given([INF, NAN, -INF]).fixed)
for n in (0, 1, 2, 3, 5):
    options = TRIGAMMA if n < 2 else {}
    case("polygamma", n, positive(2, 2), **options)
    case("polygamma", n, given([0.5, 1.0, 3.0, 20.0]), note="everywhere", smooth=False, **options)
    case("polygamma", n, given([-0.5, -1.25, -2.75]), note="of negative numbers", **options)
case("polygamma", 1, given([0.0, INF, NAN]).fixed)
case("polygamma", 2, given([0.0, -1.0, NAN]).fixed)
case("polygamma", 3, given([0.0, -1.0, NAN]).fixed)
case("polygamma", 1, given([1, 2], "int64"), **TRIGAMMA)
case("polygamma", 1, positive(2, dtype="float16"))
case("polygamma", 1, positive(0, 2))
case("polygamma", 2, positive(3, 2).transposed)
case("sinc", given([0.25, 0.5, 1.5, -2.5, 1.0, -3.0]))
# At zero PyTorch's second gradients are nan, also that by the upstream, where the first is 0.
case("sinc", given([0.0, -0.0, 0.125]), note="at zero", smooth=False, twice=False)
case("logit", given([0.0, 0.125, 0.5, 0.9, 1.0]), 0.125, note="limited", smooth=False)
case("logit", given([0.25, 0.5, 0.75]), eps=0.125)
case("logit", given([0.0, 0.5, 1.0, 2.0]).fixed, -1.0)
# At the ends PyTorch has second gradients of nan through the branch that was not taken.
case("logit", given([0.0, 1.0, -1.0, NAN]), 0.125, note="beyond", smooth=False, twice=False)

# --- two variables ----------------------------------------------------------------------------------------------------

FLOATING_ONLY = ("hypot", "logaddexp", "logaddexp2", "nextafter")
for op in ("xlogy", "logaddexp", "logaddexp2", "hypot", "atan2", "copysign", "ldexp"):
    second = positive if op == "xlogy" else x
    case(op, x(2, 3), second(2, 3))
    case(op, x(2, 3), second(3))
    case(op, x(2, 1), second(1, 3))
    case(op, x(3), second())
    case(op, x(), second())
    case(op, x(0, 3), second(3))
    case(op, x(3, 2).transposed, second(2).strided)
    case(op, x(2, 3), second(3).fixed)
    case(op, x(2, dtype="float16"), second(2, dtype="float16"))
    case(op, x(2, dtype="float32"), second(2, dtype="float64"))
    case(op, x(2), given([1, 2], "int64"))
    if op not in FLOATING_ONLY:
        case(op, given([3, -2], "int64"), given([2, 3], "int32"))
        case(op, given([True, False], "bool"), given([True, True], "bool"))
    table.drawn(op, pairs(other=None if second is x else "positive"))
case("arctan2", x(2, 3), x(3))
for op in ("xlogy", "copysign"):
    case(op, positive(3), 2.5)
    case(op, given([1, 2], "int64"), 2)
case("xlogy", 2.5, positive(3), call=lambda m, a, b: m.xlogy(a, b), note="of a number")
case("xlogy", given([0.0, 0.0, 0.0, 1.0, 1.0, NAN]), given([2.0, NAN, -1.0, 3.0, 2.0, 1.0]), smooth=False)
case("xlogy", given([1.0, 0.0]), given([0.0, 0.0]), note="at zero", smooth=False, twice=False)  # nan for inf in PyTorch
# PyTorch's second gradients are nan where an exponential overflows; ours are 0.
case("logaddexp", given([800.0, -800.0, INF, -INF]), given([-800.0, 800.0, 1.0, 1.0]), smooth=False, twice=False)
case("logaddexp2", given([2000.0, -2000.0, INF, -INF]), given([-2000.0, 2000.0, 1.0, 1.0]), smooth=False, twice=False)
for op in ("logaddexp", "logaddexp2"):
    case(op, given([INF, -INF, NAN, 1.0]), given([INF, -INF, 1.0, NAN]), smooth=False)
case("hypot", given([3.0, 0.0, 0.0, 5.0]), given([4.0, 0.0, 2.0, 0.0]), note="at zero", smooth=False)
case("hypot", given([INF, NAN, NAN]), given([1.0, INF, 1.0]), smooth=False)
case("hypot", given([3e200], "float64"), given([4e200], "float64"), note="without overflow", smooth=False)
case("atan2", given([1.0, 1.0, -1.0, -1.0]), given([1.0, -1.0, 1.0, -1.0]), note="in all quadrants")
case("atan2", given([0.0, -0.0, 0.0, 1.0, 0.0]), given([0.0, -0.0, -1.0, 0.0, 1.0]), note="at zero", smooth=False)
case("atan2", given([INF, NAN, -INF]), given([INF, 1.0, 1.0]), smooth=False)
# PyTorch's second gradient is nan at zero, where the first is 0.
case("copysign", given([0.0, -0.0, 2.0, NAN]), given([1.0, -1.0, -3.0, 1.0]), smooth=False, twice=False)
case("copysign", given([1.0, 2.0, -3.0]), given([-0.0, 0.0, -INF]), smooth=False)
case("copysign", given([1.0, -2.0]), -1.0)
case("ldexp", x(3), given([2, 1, 0], "int64"))
case("ldexp", x(3).fixed, given([2, -1, 0], "int64"))  # PyTorch's gradient is that of 2**-1 in integers, 0
# The second gradients at inf are inf or nan in PyTorch, depending on the signs of the upstream.
case("ldexp", given([1.0, INF, NAN]), given([INF, 1.0, 1.0]), smooth=False, twice=False)
case("heaviside", x(2, 3).fixed, x(3).fixed)
case("heaviside", given([NAN, 0.0, 1.0, -1.0, -0.0]).fixed, given(0.5).fixed)
case("heaviside", given([-1, 0, 1], "int64"), given([7, 7, 7], "int64"))
case("heaviside", given([True, False], "bool"), given([True, True], "bool"))
case("heaviside", x(0).fixed, x(1).fixed)
case("heaviside", x(2, dtype="float16").fixed, x(2, dtype="float16").fixed)
case("nextafter", x(2, 3), x(3).fixed)
case("nextafter", given([1.0, 1.0, 0.0, NAN], "float64"), given([2.0, 0.0, 1.0, 1.0], "float64").fixed, smooth=False)
case(
    "nextafter", given([1.0, 1.0], "float32").fixed, given([2.0, 0.0], "float32").fixed, note="by one step",
    call=lambda m, a, b: (m.nextafter(a, b) - a) * 2.0**24,
)  # fmt: skip
case("nextafter", x(2), x(2), smooth=False)
case("nextafter", x(0), x(1))
case("nextafter", x(2, dtype="float16"), x(2, dtype="float16"), smooth=False)
table.drawn("logit", unary("positive", eps=st.sampled_from([None, 0.25, 0.0])))

for op in ("erf", "erfc"):
    case(op, given(4.5), note="far out, 0-dim", smooth=False)  # its slope nearly vanishes

# --- wrong calls ------------------------------------------------------------------------------------------------------

for op in ("erf", "erfc", "erfinv", "lgamma", "digamma", "sinc", "logit"):
    wrong(ArgumentTypeError, lambda m, op=op: getattr(m, op)("x"), f"{op}:", "expected a Tensor", "str")
for op in (*FLOATING_ONLY, "xlogy", "atan2", "copysign"):
    wrong(ShapeError, lambda m, op=op: getattr(m, op)(m.ones(2), m.ones(3)), f"{op}:", "(2,)", "(3,)")
    wrong(ArgumentTypeError, lambda m, op=op: getattr(m, op)(m.ones(2), "1"), f"{op}:", "a real number", "str: '1'")
for op in FLOATING_ONLY:
    wrong(DtypeError, lambda m, op=op: getattr(m, op)(m.arange(2), m.arange(2)), f"{op}:", "got int64", "x.float()")
wrong(ShapeError, lambda m: m.heaviside(m.ones(2), m.ones(3)), "heaviside:", "(2,)", "(3,)")
wrong(ArgumentTypeError, lambda m: m.ldexp("1", m.ones(2)), "ldexp:", "expected a Tensor", "str")
wrong(ArgumentTypeError, lambda m: m.polygamma(1.5, m.ones(2)), "polygamma:", "must be an integer", "float: 1.5")
wrong(ArgumentError, lambda m: m.polygamma(-1, m.ones(2)), "polygamma:", "from 0 to 100", "got -1")
wrong(ArgumentError, lambda m: m.polygamma(101, m.ones(2)), "polygamma:", "from 0 to 100", torch_allows=True)
wrong(ArgumentTypeError, lambda m: m.logit(m.ones(2), "0"), "logit:", "eps must be a number", "str: '0'")
