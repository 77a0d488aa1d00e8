"""Sums, products, means, norms, extremes."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st
from op_harness import Dtype, Table, booleans, distinct, given, x
from op_strategies import with_dim

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, DtypeError

table = Table("reduction", not_differentiable={"all", "any", "argmax", "argmin", "count_nonzero"})
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")
f16, f32, f64 = Dtype("float16"), Dtype("float32"), Dtype("float64")

SEVERAL_DIMS: list[dict[str, Any]] = [
    {}, {"dim": 0}, {"dim": 1}, {"dim": -1}, {"dim": (0, 2)}, {"dim": [0, 1]}, {"dim": (-1, 0), "keepdim": True},
    {"dim": 1, "keepdim": True}, {"dim": (0, 1, 2)},
]  # fmt: skip
SPREADS = ("var", "std", "var_mean", "std_mean")
for op in ("sum", "mean", "nansum", "nanmean", "norm", *SPREADS, "amax", "amin", "logsumexp"):
    values = distinct if op in ("amax", "amin") else x
    for dims in SEVERAL_DIMS:
        if op == "norm" and dims.get("dim") == (0, 1, 2):  # the default, "fro", is for vectors and matrices
            dims = {**dims, "p": 2}
        if dims or op != "logsumexp":
            case(op, values(2, 3, 2), **dims)
    case(op, values(3, 4).transposed, dim=0)
    case(op, values(2, 3).strided, dim=-1)
    case(op, values(2, 1), dim=0 if op in SPREADS else 1)
    if op not in SPREADS:
        case(op, values(), dim=0)
        case(op, values(), dim=-1, keepdim=True)
        case(op, values(1), dim=0)
    if op not in ("var_mean", "std_mean"):  # their mean of inf is nan in PyTorch
        case(op, given([[1.0, NAN, 2.0], [INF, 1.0, 2.0]]), dim=1, smooth=False)
    case(op, values(2, 3, dtype="float16"), dim=1)
for op in ("sum", "mean", "nansum", "nanmean", "norm", "logsumexp", "var"):
    case(op, x(0, 3), dim=0, smooth=False)
    case(op, x(0, 3), dim=1)
    if op != "logsumexp":
        case(op, x(0), smooth=False)
case("sum", given([3, -1, 2], "int32"))
case("sum", given([True, True, False], "bool"))
case("sum", given([[1, 2], [3, 4]], "uint8"), dim=0)
case("sum", x(2, 3), dim=())
case("sum", x(2, 3), 0, True)
for op in ("sum", "prod", "nansum"):
    case(op, given([2.5, 3.5, -1.0]).fixed, dtype=Dtype("int32"))
    case(op, given([3, 4], "int64"), dtype=Dtype("int32"))
    case(op, given([200, 100, 3], "uint8"))
    case(op, given([True, True], "bool"))
    case(op, given([3, 4], "int64"), dtype=Dtype("bool"))
    case(op, x(2, 3), 1, dtype=f64)
    case(op, given([3, -1, 2], "int16"), 0, True)
case("sum", x(2, 3), dtype=f64)
case("sum", given([60000.0, 60000.0, -60000.0], "float16"), smooth=False, twice=False)
case("mean", given([60000.0, 60000.0], "float16"), smooth=False, note="does not overflow")
case("sum", given([1, 2], "int64"), dtype=f32)
case("mean", x(2, 3), 1)
case("mean", x(2, 3), dtype=f64)
case("mean", given([1, 2], "int64"), dtype=f32)
case("mean", given([1, 2], "int64"), dim=0, dtype=f64)
for op in ("nansum", "nanmean"):
    case(op, given([[1.0, NAN, 3.0], [NAN, 2.0, NAN]]), dim=1, smooth=False)
    case(op, given([[1.0, NAN, 3.0], [NAN, 2.0, NAN]]), dim=0, keepdim=True, smooth=False)
    case(op, given([[1.0, NAN], [INF, 2.0]]), smooth=False)
    case(op, given([[1.0, NAN], [2.0, NAN]]), dim=0, note="nothing but nan", smooth=False)
    case(op, x(2, 3), dtype=f64)
    case(op, x(2, 3), 1, True)
for dims in ({}, {"dim": 0}, {"dim": 1}, {"dim": -1}, {"dim": 1, "keepdim": True}):
    case("prod", x(2, 3, 2), **dims)
    case("prod", given([[[1.5, 0.0], [2.0, -1.0]], [[3.0, 0.5], [2.0, 4.0]]]), note="with a zero", **dims)
case("prod", x(2, 5), 1)
case("prod", x(2, 3), -2, True)
case("prod", x())
case("prod", x(), 0)
case("prod", x(), -1, True)
case("prod", x(1), 0)
case("prod", x(2, 1), 1)
case("prod", x(3, 4).transposed, dim=0)
case("prod", x(3, 4).strided, dim=-1)
case("prod", x(0))
case("prod", x(0, 3), dim=0)
case("prod", x(0, 3), dim=1)
case("prod", x(2, 3, dtype="float16"), dim=1)
# By hand: the product of the others, also with two zeros, where PyTorch does not record a second gradient.
case("prod", given([2.0, 0.0, 3.0, 0.0]), note="with two zeros", twice=False)
case("prod", given([[2.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 1.0]]), dim=1, note="with many zeros")
# PyTorch divides the product by each element, which gives nan as the gradient at nan and inf.
case("prod", given([[1.0, NAN, 2.0], [INF, 1.0, 2.0], [INF, 0.0, 1.0]]).fixed, dim=1)
case("prod", given([[1, 2], [3, 4]], "int32"), dim=0)
for p in ("fro", 2, 1, 3, 1.5, 0.5, 0, -1, -2.5, INF, -INF):
    case("norm", x(2, 3), p)
    case("norm", x(2, 3, 2), p, dim=1)
    case("norm", x(2, 3, 2), p, (0, 2), True)
    # Near zero PyTorch's own second gradients are nan where it divides by the norm or takes powers below 0.
    case("norm", given([[0.0, 0.0], [0.0, 2.0]]), p, 1, note="with zeros", smooth=False, twice=False)
    case("norm", given([[1.0, NAN], [NAN, NAN], [INF, 1.0]]), p, 1, smooth=False, twice=False)
    case("norm", x(2, 3, dtype="float16"), p)
case("norm", x(3), p=None)
case("norm", x(2, 3), p=2, dim=[0])
case("norm", x(), 3)
case("norm", x(2, 2), dtype=f64)
case("norm", given([[1.0, -1.0], [0.5, 0.5]]), INF, 1, note="with ties", smooth=False)
case("norm", given([300.0, 400.0], "float16"), note="does not overflow", smooth=False)
for op in ("var_mean", "std_mean"):
    case(op, x(2, 4), 1, False)
    case(op, x(2, 4), 1, True, True)
    case(op, x(2, 4), False)
    case(op, x(2, 4), dim=(0, 1), correction=0, keepdim=True)
    case(op, given([2.0, 2.0, 2.0]), note="without spread", smooth=False)
for op in ("var", "std"):
    case(op, x(2, 4).fixed, dim=())  # its gradient is inf in PyTorch, which counts no elements then
    case(op, given([[1.0, 4.0, 2.0]]), dim=1, correction=3, note="as many as elements", smooth=False, twice=False)
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


for dims in ({}, {"dim": 0}, {"dim": -1}, {"dim": 1, "keepdim": True}, {"keepdim": True}):
    case("aminmax", distinct(2, 3, 2), **dims)
case("aminmax", distinct(), dim=0)
case("aminmax", distinct(3, 2).transposed, dim=0)
case("aminmax", distinct(2, 3).strided, dim=-1)
case("aminmax", distinct(2, 0, 3), dim=2)
case("aminmax", distinct(2, 2, dtype="float16"), dim=0)
case("aminmax", given([3, 1, 2], "int64"))
case("aminmax", given([[True, False], [False, False]], "bool"), dim=1)
case("aminmax", given([[1.0, 3.0, 3.0], [0.0, 0.0, 0.0]]), dim=1, note="with ties", smooth=False)
case("aminmax", given([[1.0, NAN], [2.0, INF]]), dim=1, smooth=False)


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
    case(op, given([1.0, NAN, 2.0, NAN]), smooth=False)
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
    case(op, booleans(2, 3), dim=())
    case(op, given([[0, 3], [2, 1]], "uint8"))
    case(op, given([[0, 3], [2, 1]], "uint8"), 1)
case("count_nonzero", given([[0.0, NAN, 2.0], [0.0, 0.0, INF]]).fixed)
case("count_nonzero", given([[0.0, NAN, 2.0], [0.0, 0.0, INF]]).fixed, 1)
case("count_nonzero", given([[0, 1], [2, 0]], "uint8"), dim=-2)
case("count_nonzero", booleans(2, 3, 2), dim=(0, -1))
case("count_nonzero", booleans(2, 3).strided, dim=[0])
case("count_nonzero", booleans(2, 3).transposed)
case("count_nonzero", booleans(0, 2), dim=0)
case("count_nonzero", booleans())
case("count_nonzero", booleans(2), dim=())
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

for op in ("sum", "mean", "nansum", "logsumexp"):
    table.drawn(op, with_dim(several=True, keepdim=st.booleans()))
for op in ("amax", "amin"):
    table.drawn(op, with_dim("distinct", several=True, keepdim=st.booleans()))
table.drawn("aminmax", with_dim("distinct", optional=True, keepdim=st.booleans()))
table.drawn("prod", with_dim(keepdim=st.booleans()))
table.drawn("norm", with_dim(several=True, p=st.sampled_from([1, 2]), keepdim=st.booleans()))
table.drawn("count_nonzero", with_dim(several=True, optional=True))
# Without degrees of freedom PyTorch's gradients differ between one dim, several and all.
spreads = with_dim(several=True, keepdim=st.booleans(), correction=st.just(0))
for op in ("var", "std_mean"):
    table.drawn(op, spreads.filter(lambda drawn: 0 not in drawn[0][0].shape))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(DimError, lambda m: m.ones(2, 3).sum(2), "sum:", "dim 2", "2 dimensions", "-2 to 1")
wrong(DimError, lambda m: m.ones(2, 3).mean(-3), "mean:", "dim -3", "-2 to 1")
wrong(DimError, lambda m: m.ones(()).sum(1), "sum:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2, 3).sum((0, 0)), "sum:", "twice", "(0, 0)")
wrong(DimError, lambda m: m.ones(2, 3).amax((0, -2)), "amax:", "twice", "(0, -2)")
wrong(ArgumentTypeError, lambda m: m.ones(2, 3).sum("a"), "sum:", "integer", "str: 'a'")
wrong(DtypeError, lambda m: m.tensor([1, 2]).mean(), "mean:", "int64", "x.float().mean()")
wrong(DtypeError, lambda m: m.tensor([1, 2]).var(), "var:", "int64", "var(x.float())")
wrong(DtypeError, lambda m: m.tensor([1, 2]).std(), "std:", "int64", "std(x.float())")
wrong(DimError, lambda m: m.ones(2).std(1), "std:", "dim 1", "-1 to 0")
wrong(ArgumentError, lambda m: m.ones(2).var(0, True, correction=1), "var:", "not both")
wrong(ArgumentTypeError, lambda m: m.ones(2).var(0, "a"), "var:", "a bool", "'a'")
wrong(ArgumentTypeError, lambda m: m.ones(2).std(correction="a"), "std:", "a number", "'a'")
wrong(DtypeError, lambda m: m.ones(2).softmax(0, dtype=m.int64), "softmax:", "floating", "int64")
wrong(DtypeError, lambda m: m.ones(2).log_softmax(0, dtype=m.int64), "log_softmax:", "floating", "int64")
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
wrong(DimError, lambda m: m.ones(2).nansum(1), "nansum:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2).nanmean(1), "nanmean:", "dim 1", "-1 to 0")
wrong(DtypeError, lambda m: m.tensor([1, 2]).nanmean(), "nanmean:", "int64", "x.float().mean()")
wrong(DtypeError, lambda m: m.ones(2).nanmean(dtype=m.int64), "nanmean:", "floating", "int64")
wrong(DimError, lambda m: m.ones(2).prod(1), "prod:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(()).prod(1), "prod:", "dim 1", "-1 to 0")
wrong(ArgumentTypeError, lambda m: m.ones(2, 2).prod((0, 1)), "prod:", "an integer", "(0, 1)")
wrong(DtypeError, lambda m: m.tensor([1, 2]).norm(), "norm:", "int64", "x.float().norm()")
wrong(DimError, lambda m: m.ones(2).norm(2, 1), "norm:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2, 2, 2).norm("fro", (0, 1, 2)), "norm:", "(0, 1, 2)", "p=2")
wrong(DimError, lambda m: m.ones(0, 2).norm(math.inf), "norm:", "p=inf", "(0, 2)")
wrong(DimError, lambda m: m.ones(0, 2).norm(-1, 0), "norm:", "p=-1", "(0, 2)")
wrong(ArgumentError, lambda m: m.ones(2).norm("a"), "norm:", "a number", "'a'")
wrong(DtypeError, lambda m: m.var_mean(m.tensor([1, 2])), "var_mean:", "int64", "x.float()")
wrong(DimError, lambda m: m.var_mean(m.ones(2), 1), "var_mean:", "dim 1", "-1 to 0")
wrong(ArgumentTypeError, lambda m: m.var_mean([1.0]), "var_mean:", "a Tensor", "list")
wrong(DtypeError, lambda m: m.std_mean(m.tensor([1, 2])), "std_mean:", "int64", "x.float()")
wrong(DimError, lambda m: m.std_mean(m.ones(2), 1), "std_mean:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2, 0).amin(1), "amin:", "no elements", "(2, 0)")
wrong(DimError, lambda m: m.aminmax(m.ones(0)), "aminmax:", "no elements", "(0,)")
wrong(DimError, lambda m: m.aminmax(m.ones(2), dim=1), "aminmax:", "dim 1", "-1 to 0")
wrong(DtypeError, lambda m: m.tensor([True, False]).argmax(), "argmax:", "bool", "x.long()")
wrong(DtypeError, lambda m: m.tensor([True, False]).argmin(0), "argmin:", "bool", "x.long()")
wrong(DimError, lambda m: m.ones(2).count_nonzero(1), "count_nonzero:", "dim 1", "-1 to 0")
wrong(ArgumentTypeError, lambda m: m.count_nonzero([1]), "count_nonzero:", "a Tensor", "list")
