"""Sorting, ranks, distinct elements, histograms, binary search."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, booleans, distinct, given, integers, x
from op_strategies import with_dim

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError

table = Table(
    "sorting",
    not_differentiable={
        "argsort", "bincount", "bucketize", "histc", "histogram", "searchsorted", "unique", "unique_consecutive",
    },
    other_names={"searchsorted": "PyTorch names a scalar `self`, a tensor `input`"},
)  # fmt: skip
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")
TIES = [[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0]]
SPECIAL = [[1.0, NAN, -INF, 2.0], [NAN, INF, NAN, 0.0]]


def values_of(op: str) -> Any:
    """The values alone, where equal elements let PyTorch return either index."""
    return lambda m, *args, **kwargs: getattr(m, op)(*args, **kwargs)[0]


# --- orders -----------------------------------------------------------------------------------------------------------

for op in ("sort", "argsort"):
    case(op, distinct(5))
    for options in ({}, {"descending": True}, {"dim": 0}, {"dim": -2, "descending": True}):
        case(op, distinct(3, 4), **options)
    case(op, distinct(3, 4), 0, True)
    case(op, distinct())
    case(op, distinct(), 0)
    case(op, distinct(1))
    case(op, distinct(0))
    case(op, distinct(0, 2))
    case(op, distinct(2, 0), dim=0, descending=True)
    case(op, distinct(3, 4).transposed)
    case(op, distinct(3, 4).strided, dim=0)
    case(op, distinct(2, 3, dtype="float16"))
    case(op, given([3, 1, 2], "int64"))
    case(op, given([3, 1, 250], "uint8"), descending=True)
    for descending in (False, True):
        case(op, given(TIES), stable=True, descending=descending, smooth=False)
        case(op, given(TIES), stable=True, dim=0, descending=descending, smooth=False)
        case(op, given(SPECIAL), stable=True, descending=descending, smooth=False)
        case(op, given([True, False, True, False], "bool"), stable=True, descending=descending)
case("msort", distinct(5))
case("msort", distinct(3, 4))
case("msort", distinct())
case("msort", distinct(0, 2))
case("msort", distinct(3, 2).transposed)
case("msort", given(SPECIAL), smooth=False)
case("msort", given([[3, 1], [2, 5]], "int32"))

# --- ranks ------------------------------------------------------------------------------------------------------------

for options in ({}, {"largest": False}, {"dim": 0}, {"dim": -2, "largest": False}, {"sorted": True}):
    case("topk", distinct(3, 4), 2, **options)
case("topk", distinct(3, 4), 3, -1, False, True)
case("topk", distinct(4), 0)
case("topk", distinct(4), 4)
case("topk", distinct(), 1)
case("topk", distinct(), 0)
case("topk", distinct(0), 0)
case("topk", distinct(2, 0), 1, 0)
case("topk", distinct(3, 4).transposed, 2)
case("topk", distinct(3, 4).strided, 2, 0)
case("topk", distinct(2, 3, dtype="float16"), 2)
case("topk", given([3, 1, 2], "int64"), 2)
case("topk", given([1.0, 2.0, 2.0, 2.0]).fixed, 2, call=values_of("topk"), note="with ties")
# Which of two nan comes first is open.
for largest in (False, True):
    case("topk", given(SPECIAL).fixed, 3, largest=largest, call=values_of("topk"))
case("topk", given([1.0, NAN, 3.0, INF]), 2, smooth=False)

case("kthvalue", distinct(5), 2)
for options in ({}, {"dim": 0}, {"dim": -2, "keepdim": True}):
    case("kthvalue", distinct(3, 4), 3, **options)
case("kthvalue", distinct(3, 4), 1, 1, True)
case("kthvalue", distinct(), 1)
case("kthvalue", distinct(), 1, 0, True)
case("kthvalue", distinct(2, 0), 1, 0)
case("kthvalue", distinct(3, 4).transposed, 2)
case("kthvalue", distinct(3, 4).strided, 2, 0)
case("kthvalue", given([3, 1, 2], "int64"), 3)
case("kthvalue", given([1.0, NAN, 3.0, INF]), 4, smooth=False)
case("kthvalue", given([1.0, NAN, 3.0, INF]), 3, smooth=False)
case("kthvalue", given([1.0, 2.0, 2.0, 2.0]).fixed, 3, call=values_of("kthvalue"), note="with ties")

for op in ("median", "nanmedian", "mode"):
    # mode of distinct elements is the smallest of them.
    case(op, distinct(5), 0)
    for options in ({"dim": 0}, {"dim": 1}, {"dim": -1, "keepdim": True}):
        case(op, distinct(3, 4), **options)
    case(op, distinct(3, 4), 0, True)
    case(op, distinct(), 0)
    case(op, distinct(), -1, True)
    case(op, distinct(2, 0), 0)
    case(op, distinct(3, 4).transposed, 1)
    case(op, distinct(3, 4).strided, 0)
    case(op, given([3, 1, 2], "int64"), 0)
    case(op, given([[1.0, 2.0, 2.0, 3.0], [2.0, 1.0, 1.0, 2.0]]).fixed, 1, call=values_of(op), note="with ties")
for op in ("median", "nanmedian"):
    case(op, distinct(5))
    case(op, distinct(2, 3))
    case(op, distinct())
    case(op, distinct(3, 4).transposed)
    case(op, distinct(3, 4).strided)
    case(op, distinct(2, 3, dtype="float16"))
    case(op, x(0), smooth=False)
    case(op, given([4, 1, 3, 2], "int64"))
    case(op, given([1.0, 2.0, 2.0, 2.0, 3.0]), note="with ties", smooth=False)
    case(op, given([1.0, NAN, 3.0, NAN, 2.0]), smooth=False)
    case(op, given([NAN, NAN]), smooth=False)
    case(op, given([[3.0, NAN, 1.0, NAN, 2.0], [5.0, 1.0, 4.0, 2.0, 3.0]]), 1, smooth=False)
    case(op, given([[1.0, NAN, 2.0], [INF, -INF, 0.0]]), 1, True, smooth=False)
case("nanmedian", given([[NAN, NAN], [1.0, NAN]]), 1, smooth=False)
case("mode", distinct(5))
case("mode", given([[2, 1, 1, 2, 3, 2], [3, 1, 1, 0, 3, 0]], "int64"))
case("mode", given([[2, 1], [2, 1], [1, 2]], "int64"), 0, True)
case("mode", given([[2.0, 1.0, 1.0, 2.0], [0.0, 0.0, 3.0, 3.0]]), smooth=False)
case("mode", booleans(5))

# --- quantiles --------------------------------------------------------------------------------------------------------

f64_levels = given([0.0, 0.3, 0.5, 1.0])
for op in ("quantile", "nanquantile"):
    for how in ("linear", "lower", "higher", "midpoint", "nearest"):
        case(op, distinct(2, 4), 0.4, 1, interpolation=how)
        case(op, distinct(2, 4), f64_levels.fixed, dim=1, keepdim=True, interpolation=how)
        # The middle of two ranks, and a rank itself.
        case(op, distinct(6), 0.5, interpolation=how)
        case(op, distinct(5), 0.5, interpolation=how)
        case(op, given([[1.0, NAN, 3.0, 2.0], [NAN, NAN, NAN, NAN]]), 0.4, 1, interpolation=how, smooth=False)
    case(op, distinct(4), given([0.15, 0.7]), note="by q, too")
    case(op, distinct(2, 3, 2), given([0.15, 0.7]).fixed, 1)
    case(op, distinct(2, 3, 2), 0.3, 0)
    case(op, distinct(2, 3, 2), 0.3, -2, True)
    case(op, distinct(2, 3), 0.3)
    case(op, distinct(2, 3), 1)
    case(op, distinct(2, 3), 0)
    case(op, distinct(2, 3), 0.3, keepdim=True)
    case(op, distinct(2, 3), given([0.5, 0.25]).fixed, keepdim=True)
    case(op, distinct(2, 3), given(0.3).fixed, 1)
    case(op, distinct(2, 3), given([], None).fixed)
    case(op, distinct(), 0.5)
    case(op, distinct(), 0.5, 0, True)
    case(op, distinct(), given([0.5, 0.25]).fixed, 0)
    case(op, distinct(3, 4).transposed, 0.3, 0)
    case(op, distinct(3, 4).strided, 0.3, 1)
    case(op, given([1.0, 2.0, 2.0, 3.0]), 0.4, note="with ties", smooth=False)
    case(op, given([[-INF, 1.0, INF]]).fixed, given([0.25, 0.5, 0.75, 1.0]).fixed, 1)
    case(op, given([1.0, INF]).fixed, 0.3)

# --- distinct elements ------------------------------------------------------------------------------------------------

for op in ("unique", "unique_consecutive"):
    for extras in (
        {}, {"return_inverse": True}, {"return_counts": True}, {"return_inverse": True, "return_counts": True},
    ):  # fmt: skip
        case(op, given([3, 1, 1, 2, 1, 1], "int64"), **extras)
        case(op, given([[1.5, 1.5], [0.5, 1.5]], "float64").fixed, **extras)
        case(op, given([[1, 2], [1, 2], [0, 5], [1, 2]], "int64"), dim=0, **extras)
        case(op, given([[1, 1, 3], [2, 2, 0]], "int64"), dim=-1, **extras)
        case(op, given([[[1, 1], [2, 1]], [[1, 1], [2, 1]]], "int64"), dim=2, **extras)
        case(op, given([3.0, NAN, 1.0, NAN, 1.0], "float64").fixed, **extras)
        case(op, x(0).fixed, **extras)
    case(op, given(3, "int64"), return_inverse=True, return_counts=True)
    case(op, booleans(5), return_inverse=True)
    case(op, integers(3, 4, high=3).transposed, return_inverse=True)
    case(op, integers(2, 4, high=2, dtype="uint8").strided, dim=1, return_inverse=True)
    case(op, x(0, 2).fixed, dim=0)
case("unique", given([3, 1, 2, 1], "int64"), False, True, True)
case("unique", given([3, 1, 2, 1], "int64"), True, False, False, 0)
case("unique_consecutive", given([3, 1, 1], "int64"), True, True, 0)

# --- histograms -------------------------------------------------------------------------------------------------------

case("bincount", given([0, 1, 1, 3], "int64"))
case("bincount", given([0, 1, 1, 3], "int32"), minlength=6)
case("bincount", given([5, 1], "uint8"), None, 2)
case("bincount", given([], "int64"))
case("bincount", given([], "int64"), minlength=2)
for dtype in ("float64", "float32", "float16", "int64"):
    case("bincount", given([0, 2, 2], "int64"), given([1, 2, 4], dtype).fixed)
case("bincount", integers(6, high=4).strided, x(6).fixed)
case("histc", given([1.0, 2.0, 1.0, 0.0, 3.0]).fixed, 4, 0, 3)
case("histc", given([1.0, 2.0, 1.0]).fixed, 4)
case("histc", given([1.0, 2.0, 1.0]).fixed, bins=3, min=2, max=2)
case("histc", given([1.0, 1.0]).fixed, 3)
case("histc", given([1.0, NAN, INF, -1.0, 5.0]).fixed, bins=2, min=0, max=3)
case("histc", x(0).fixed, 2)
case("histc", x(3, 4).transposed.fixed, 5, -2, 2)
case("histc", x(3, 4).strided.fixed)
case("histc", given([1.0, 2.0, 2.5], "float16").fixed, 2)
for options in ({}, {"density": True}, {"weight": given([1.0, 2.0, 4.0, 0.5]).fixed}):
    values = given([1.0, 2.0, 1.0, 3.0]).fixed
    case("histogram", values, 4, **options)
    case("histogram", values, bins=4, range=(0.0, 3.0), **options)
    case("histogram", values, given([0.0, 1.0, 1.5, 2.0]).fixed, **options)
case("histogram", given([1.0, 1.0]).fixed, 2)
case("histogram", x(0).fixed, 2)
case("histogram", x(3, 4).transposed.fixed, 3)

# --- binary search ----------------------------------------------------------------------------------------------------

SEQUENCE = given([1, 3, 3, 5], "int64")
for options in ({}, {"right": True}, {"side": "left"}, {"side": "right"}, {"out_int32": True}):
    case("searchsorted", SEQUENCE, given([[0, 1, 3], [4, 5, 6]], "int64"), **options)
    case("searchsorted", SEQUENCE, 3, **options)
    case("searchsorted", given([[1, 3], [2, 4]], "int64"), given([[3, 1, 9], [3, 1, 2]], "int64"), **options)
    case("searchsorted", given([1.0, 3.0, NAN]).fixed, given([NAN, 2.0, INF, -INF, 3.0, 4.0]).fixed, **options)
    if "side" not in options:
        case("bucketize", given([[0, 1, 3], [4, 5, 6]], "int64"), SEQUENCE, **options)
        case("bucketize", 3, SEQUENCE, **options)
        case("bucketize", given([NAN, 2.0, INF]).fixed, given([1.0, 2.0]).fixed, **options)
case("searchsorted", SEQUENCE, 2.5)
case("searchsorted", given([1, 2, 3, 4, 5, 6, 7, 8], "int64"), given([0, 8, 9], "int64"))
case("searchsorted", given([5, 1, 3], "int64"), given([3, 6], "int64"), sorter=given([1, 2, 0], "int64"))
case("searchsorted", given([1, 3], "int64"), given([3.5, 1.5]).fixed, note="of two dtypes", call=lambda m, s, v: (
    m.searchsorted(s.to(v.dtype), v)
))  # fmt: skip
case("searchsorted", x(0).fixed, x(2).fixed)
case("searchsorted", x(2).fixed, x(0).fixed)
case("searchsorted", given([[[1, 2, 3], [1, 5, 9]]], "int64").strided, given([[[2], [9]]], "int64"), right=True)
case("bucketize", integers(3, 4, high=7).transposed, SEQUENCE.strided)
case("bucketize", integers(0, high=7), SEQUENCE)
case("bucketize", given(4, "int64"), SEQUENCE)

for op in ("sort", "argsort", "mode", "median", "nanmedian"):
    table.drawn(op, with_dim("distinct"))
table.drawn("topk", with_dim("distinct", k=st.integers(-1, 3), largest=st.booleans()))
table.drawn("kthvalue", with_dim("distinct", k=st.integers(0, 3), keepdim=st.booleans()))
for op in ("quantile", "nanquantile"):
    levels = st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0])
    how = st.sampled_from(["linear", "lower", "higher", "midpoint", "nearest"])
    table.drawn(op, with_dim("distinct", optional=True, q=levels, keepdim=st.booleans(), interpolation=how))
extras = {"return_inverse": st.booleans(), "return_counts": st.booleans()}
for op in ("unique", "unique_consecutive"):
    drawn = with_dim("distinct", optional=True, **extras)
    table.drawn(op, drawn.map(lambda drawn: ((drawn[0][0].fixed,), drawn[1])))

# --- wrong calls ------------------------------------------------------------------------------------------------------

for op in ("sort", "argsort", "median", "nanmedian", "mode"):
    wrong(DimError, lambda m, op=op: getattr(m, op)(m.ones(2), 1), f"{op}:", "dim 1", "-1 to 0")
    wrong(ArgumentTypeError, lambda m, op=op: getattr(m, op)([1.0], 0), f"{op}:", "a Tensor", "list")
for op in ("median", "nanmedian", "mode"):
    wrong(DimError, lambda m, op=op: getattr(m, op)(m.ones(2, 0), 1), f"{op}:", "no elements", "(2, 0)")
for op in ("median", "nanmedian"):
    wrong(DtypeError, lambda m, op=op: getattr(m, op)(m.tensor([True])), f"{op}:", "bool", "x.long()")
wrong(ArgumentTypeError, lambda m: m.msort([1.0]), "msort:", "a Tensor", "list")
wrong(ArgumentError, lambda m: m.ones(2).topk(3), "topk:", "0 to 2", "got 3")
wrong(ArgumentError, lambda m: m.ones(2, 3).topk(-1, 0), "topk:", "0 to 2", "dim 0", "got -1")
wrong(ArgumentTypeError, lambda m: m.ones(2).topk(1.0), "topk:", "an integer", "1.0")
wrong(DimError, lambda m: m.ones(2).topk(1, 1), "topk:", "dim 1", "-1 to 0")
wrong(DtypeError, lambda m: m.tensor([True]).topk(1), "topk:", "bool", "x.long()")
wrong(ArgumentError, lambda m: m.ones(2).kthvalue(0), "kthvalue:", "1 to 2", "got 0")
wrong(ArgumentError, lambda m: m.ones(2, 3).kthvalue(4), "kthvalue:", "1 to 3", "dim 1", "got 4")
wrong(DimError, lambda m: m.ones(2).kthvalue(1, 1), "kthvalue:", "dim 1", "-1 to 0")
wrong(DtypeError, lambda m: m.tensor([True]).kthvalue(1), "kthvalue:", "bool", "x.long()")


def wrong_quantile(error: Any, op: str, call: Any, *says: str) -> None:
    wrong(error, lambda m: call(getattr(m, op), m), f"{op}:", *says)


for op in ("quantile", "nanquantile"):
    wrong_quantile(DtypeError, op, lambda f, m: f(m.tensor([1, 2]), 0.5), "int64", "x.float()")
    wrong_quantile(DtypeError, op, lambda f, m: f(m.ones(2), m.ones(1, dtype=m.float64)), "float32", "got float64")
    wrong_quantile(ArgumentError, op, lambda f, m: f(m.ones(2), 1.5), "0 to 1", "1.5")
    wrong_quantile(ArgumentError, op, lambda f, m: f(m.ones(2), m.tensor([0.5, NAN])), "0 to 1", "nan")
    wrong_quantile(ArgumentTypeError, op, lambda f, m: f(m.ones(2), [0.5]), "a number or a tensor", "list")
    wrong_quantile(ShapeError, op, lambda f, m: f(m.ones(2), m.ones(1, 1)), "one dimension", "(1, 1)")
    wrong_quantile(ShapeError, op, lambda f, m: f(m.ones(0), 0.5), "no elements", "(0,)")
    wrong_quantile(ArgumentError, op, lambda f, m: f(m.ones(2), 0.5, interpolation="a"), "linear", "nearest", "'a'")
    wrong_quantile(DimError, op, lambda f, m: f(m.ones(2), 0.5, 1), "dim 1", "-1 to 0")

for op in ("unique", "unique_consecutive"):
    wrong(DimError, lambda m, op=op: getattr(m, op)(m.ones(2), dim=1), f"{op}:", "dim 1", "-1 to 0")
    wrong(DimError, lambda m, op=op: getattr(m, op)(m.ones(()), dim=0), f"{op}:", "0-dim", "leave dim out")
    wrong(ShapeError, lambda m, op=op: getattr(m, op)(m.ones(2, 0), dim=0), f"{op}:", "(2, 0)", "no elements")
wrong(DtypeError, lambda m: m.bincount(m.ones(2)), "bincount:", "float32", "x.long()")
wrong(ShapeError, lambda m: m.bincount(m.tensor([[1]])), "bincount:", "one dimension", "(1, 1)")
wrong(ArgumentError, lambda m: m.bincount(m.tensor([-1])), "bincount:", ">= 0", "-1")
wrong(ArgumentError, lambda m: m.bincount(m.tensor([1]), minlength=-1), "bincount:", "minlength", "-1")
wrong(ArgumentError, lambda m: m.bincount(m.tensor([1]), minlength=1.5), "bincount:", "an integer", "1.5")
wrong(ArgumentError, lambda m: m.bincount(m.tensor([2**62])), "bincount:", "memory", str(2**62))
wrong(ShapeError, lambda m: m.bincount(m.tensor([1]), m.ones(2)), "bincount:", "(1,)", "(2,)")
wrong(ArgumentTypeError, lambda m: m.bincount(m.tensor([1]), [1.0]), "bincount:", "a Tensor", "list")
wrong(DtypeError, lambda m: m.histc(m.tensor([1])), "histc:", "int64", "x.float()")
wrong(ArgumentError, lambda m: m.histc(m.ones(2), 0), "histc:", "> 0", "got 0")
wrong(ArgumentTypeError, lambda m: m.histc(m.ones(2), 1.5), "histc:", "an integer", "1.5")
wrong(ArgumentTypeError, lambda m: m.histc(m.ones(2), 2, "a", 1), "histc:", "two numbers", "'a'")
wrong(ArgumentError, lambda m: m.histc(m.ones(2), 2, 3, 1), "histc:", "ascend", "3.0 to 1.0")
wrong(ArgumentError, lambda m: m.histc(m.tensor([1.0, INF]), 2), "histc:", "not finite", "inf")
wrong(DtypeError, lambda m: m.histogram(m.tensor([1]), 2), "histogram:", "int64", "x.float()")
wrong(DtypeError, lambda m: m.histogram(m.ones(2), m.tensor([1, 2])), "histogram:", "bins", "float32", "int64")
wrong(ShapeError, lambda m: m.histogram(m.ones(2), m.ones(2, 2)), "histogram:", "one dimension", "(2, 2)")
wrong(ShapeError, lambda m: m.histogram(m.ones(2), m.ones(1)), "histogram:", "two or more", "(1,)")
wrong(ShapeError, lambda m: m.histogram(m.ones(2), 2, weight=m.ones(3)), "histogram:", "weight", "(2,)", "(3,)")
wrong(ArgumentError, lambda m: m.histogram(m.ones(2), 0), "histogram:", "> 0", "got 0")
wrong(ArgumentError, lambda m: m.histogram(m.ones(2), 2, range=(1.0, 0.0)), "histogram:", "ascend", "1.0 to 0.0")
wrong(ArgumentTypeError, lambda m: m.histogram(m.ones(2), 2, range=(0.0,)), "histogram:", "two numbers", "(0.0,)")
wrong(ArgumentTypeError, lambda m: m.histogram(m.ones(2), 2, weight=[1.0, 1.0]), "histogram:", "a Tensor", "list")
# PyTorch does not look, and finds nothing in bins that descend.
wrong(
    ArgumentError, lambda m: m.histogram(m.ones(2), m.tensor([2.0, 1.0])), "histogram:", "ascend", "[2.0, 1.0]",
    torch_allows=True,
)  # fmt: skip
wrong(ArgumentTypeError, lambda m: m.histogram(m.ones(2), m.ones(2), range=(0.0, 1.0)), "histogram:", "range")
wrong(ArgumentError, lambda m: m.searchsorted(m.ones(2), 1, side="a"), "searchsorted:", '"left"', "'a'")
wrong(ArgumentError, lambda m: m.searchsorted(m.ones(2), 1, side="left", right=True), "searchsorted:", "contradicts")
wrong(ArgumentTypeError, lambda m: m.searchsorted([1], m.ones(2)), "searchsorted:", "a Tensor", "list")
wrong(ArgumentTypeError, lambda m: m.searchsorted(m.ones(2), [1]), "searchsorted:", "got list")
wrong(ShapeError, lambda m: m.searchsorted(m.ones(()), m.ones(2)), "searchsorted:", "0-dim")
wrong(ShapeError, lambda m: m.searchsorted(m.ones(2, 2), m.ones(2)), "searchsorted:", "(2, 2)", "(2,)")
wrong(ShapeError, lambda m: m.searchsorted(m.ones(2, 2), 1), "searchsorted:", "(2, 2)", "()")
wrong(ShapeError, lambda m: m.searchsorted(m.ones(3), 1, sorter=m.tensor([0, 1])), "searchsorted:", "(3,)", "(2,)")
wrong(DtypeError, lambda m: m.searchsorted(m.ones(1), 1, sorter=m.zeros(1)), "searchsorted:", "int64", "float32")
wrong(ArgumentError, lambda m: m.searchsorted(m.ones(2), 1, sorter=m.tensor([0, 7])), "searchsorted:", "0 to 1", "7")
wrong(ShapeError, lambda m: m.bucketize(m.ones(2), m.ones(1, 2)), "bucketize:", "one dimension", "(1, 2)")
wrong(ArgumentTypeError, lambda m: m.bucketize(m.ones(2), [1.0]), "bucketize:", "a Tensor", "list")
