"""Sums, means, extremes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Dtype, Table, booleans, distinct, given, x
from op_strategies import with_dim

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, DtypeError

table = Table("reduction", not_differentiable={"all", "any", "argmax", "argmin"})
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")
f16, f32, f64 = Dtype("float16"), Dtype("float32"), Dtype("float64")

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

for op in ("sum", "mean", "logsumexp"):
    table.drawn(op, with_dim(several=True, keepdim=st.booleans()))
for op in ("amax", "amin"):
    table.drawn(op, with_dim("distinct", several=True, keepdim=st.booleans()))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(DimError, lambda m: m.ones(2, 3).sum(2), "sum:", "dim 2", "2 dimensions", "-2 to 1")
wrong(DimError, lambda m: m.ones(2, 3).mean(-3), "mean:", "dim -3", "-2 to 1")
wrong(DimError, lambda m: m.ones(()).sum(1), "sum:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2, 3).sum((0, 0)), "sum:", "twice", "(0, 0)")
wrong(DimError, lambda m: m.ones(2, 3).amax((0, -2)), "amax:", "twice", "(0, -2)")
wrong(ArgumentTypeError, lambda m: m.ones(2, 3).sum("a"), "sum:", "integer", "str: 'a'")
wrong(DtypeError, lambda m: m.tensor([1, 2]).mean(), "mean:", "int64", "x.float().mean()")
wrong(DtypeError, lambda m: m.tensor([1, 2]).var(), "var:", "int64", "x.float().var()")
wrong(DtypeError, lambda m: m.tensor([1, 2]).std(), "std:", "int64", "x.float().std()")
wrong(DimError, lambda m: m.ones(2).std(1), "std:", "dim 1", "-1 to 0")
wrong(ArgumentError, lambda m: m.ones(2).var(0, True, correction=1), "var:", "not both")
wrong(DimError, lambda m: m.ones(2, 0).amax(1), "amax:", "no elements", "(2, 0)")
wrong(DimError, lambda m: m.ones(0).max(), "max:", "no elements", "(0,)")
wrong(DimError, lambda m: m.ones(2, 0).max(1), "max:", "no elements", "(2, 0)")
wrong(DimError, lambda m: m.ones(2).min(-2), "min:", "dim -2", "-1 to 0")
wrong(DimError, lambda m: m.ones(0).argmax(), "argmax:", "no elements", "(0,)")
wrong(DimError, lambda m: m.ones(2).argmin(1), "argmin:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2).bool().all(1), "all:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2).bool().any(1), "any:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2).logsumexp(1), "logsumexp:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2).softmax(1), "softmax:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2).log_softmax(1), "log_softmax:", "dim 1", "-1 to 0")
