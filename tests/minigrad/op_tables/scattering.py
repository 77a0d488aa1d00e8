"""Scattering, and reducing what meets at a place."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, distinct, given, x

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError

from .indexing import with_places

table = Table("scattering")
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")
ONCE, TWICE = given([[0, 2, 1]], "int64"), given([[0, 0, 1], [0, 2, 2]], "int64")

case("scatter", x(3, 3), 0, ONCE, x(1, 3))
case("scatter", x(3, 3).transposed, -1, given([[2, 0], [1, 0]], "int32"), x(2, 2).strided)
# Sources larger than the index have no gradient in PyTorch.
case("scatter", x(2, 3), dim=1, index=given([[2]], "int64"), src=x(2, 2).fixed)
case("scatter", x(3), 0, given([1, 1], "int64"), x(2), smooth=False)  # both receive a gradient, the last one stays
case("scatter", x(3), 0, given([1, 2], "int64"), 5)
case("scatter", x(3, 3), 0, ONCE, value=0.5)
case("scatter", given([1, 2], "int64"), 0, given([1], "int64"), 5.5)
case("scatter", x(3), 0, given([], "int64"), x(2).fixed)
case("scatter", x(), 0, given(0, "int64"), x())
case("scatter", x(), 0, given([0], "int64"), x(1))
case("scatter", x(3), 0, given(1, "int64"), x(1).fixed)
case("scatter", x(0, 2), 1, given([], "int64"), x(0, 2).fixed)
case("scatter", x(3).fixed, 0, given([0, 0], "int64"), x(2).fixed, reduce="add")
case("scatter", x(3).fixed, 0, given([0, 0], "int64"), x(2).fixed, reduce="multiply")
case("scatter", x(3).fixed, 0, given([0, 0], "int64"), 3, reduce="multiply")
case("scatter", x(2, 3).fixed, 1, given([[0, 0], [2, 0]], "int64"), value=2.0, reduce="add")
case("scatter", given([NAN, 1.0]), 0, given([0], "int64"), given([INF]), smooth=False)
case("scatter_add", x(3, 3), 0, TWICE, x(2, 3))
case("scatter_add", x(3, 3).transposed, 1, TWICE, x(2, 3).strided)
case("scatter_add", x(3), dim=-1, index=given([1, 1, 1], "int32"), src=x(4).fixed)
case("scatter_add", x(), 0, given([0], "int64"), x(1))
case("scatter_add", x(3), 0, given([], "int64"), x(2).fixed)
case("scatter_add", x(3, dtype="float16"), 0, given([1, 1], "int64"), x(2, dtype="float16"))
case("scatter_add", given([1, 2], "int64"), 0, given([1, 1], "int64"), given([3, 4], "int64"))
case("scatter_add", given([True, False], "bool"), 0, given([1], "int64"), given([True], "bool"))
for reduce in ("sum", "prod", "mean", "amax", "amin"):
    case("scatter_reduce", distinct(3, 3), 0, TWICE, distinct(2, 3), reduce)
    case("scatter_reduce", distinct(3, 3), 0, TWICE, distinct(2, 3), reduce, include_self=False)
    case("scatter_reduce", distinct(3).strided, dim=0, index=given([2, 2], "int64"), src=distinct(2), reduce=reduce)
    case("scatter_reduce", x(), 0, given([0], "int64"), x(1), reduce)
    case("scatter_reduce", x(2), 0, given([], "int64"), x(1).fixed, reduce)
    for self in (True, False):
        case("scatter_reduce", given([5, -2, 3], "int64"), 0, given([0, 0, 1], "int64"), given([-3, 4, -4], "int64"),
             reduce, include_self=self)  # fmt: skip
for reduce in ("sum", "prod", "amax", "amin"):
    case(
        "scatter_reduce", given([True, False], "bool"), 0, given([1, 0], "int64"), given([True, False], "bool"), reduce
    )
for reduce in ("amax", "amin"):
    case("scatter_reduce", given([2.0, 1.0]), 0, given([0, 0, 1], "int64"), given([2.0, 2.0, 3.0]), reduce,
         smooth=False)  # fmt: skip
    case("scatter_reduce", given([9.0, 1.0]), 0, given([0, 0], "int64"), given([2.0, 2.0]), reduce,
         include_self=False, smooth=False)  # fmt: skip
    case("scatter_reduce", given([NAN, 1.0]), 0, given([0, 1], "int64"), given([2.0, NAN]), reduce, smooth=False,
         twice=False)  # fmt: skip  # nothing equals nan, so its gradient is 0 / 0; PyTorch's second one is zero there
# An element that does not take part equals the extreme; PyTorch gives it a share of the gradient, which is then lost.
case("scatter_reduce", given([5.0, 1.0]), 0, given([0, 0], "int64"), given([5.0, 2.0]).fixed, "amax",
     include_self=False, smooth=False)  # fmt: skip
ZEROS = {
    "self": ([0.0, 2.0], [3.0, 4.0]), "one": ([2.0, 3.0], [0.0, 4.0]), "two": ([2.0, 3.0], [0.0, 0.0]),
    "both": ([0.0, 3.0], [0.0, 4.0]),
}  # fmt: skip
for where, (values, sources) in ZEROS.items():
    # PyTorch's second gradients forget the factors that it replaces by one: test_numerically compares ours.
    case("scatter_reduce", given(values), 0, given([0, 0], "int64"), given(sources), "prod", note=f"zero in {where}",
         twice=False)  # fmt: skip
case("scatter_reduce", given([0.0, 3.0]), 0, given([0, 0], "int64"), given([0.0, 4.0]), "prod", include_self=False,
     twice=False)  # fmt: skip


@st.composite
def with_sources(draw: st.DrawFn, *rest: Any, **options: Any) -> Any:
    """What gather takes, and a source as large as the index, or larger, where PyTorch has no gradients."""
    a, dim, index = draw(with_places())
    source = x(*(n + draw(st.integers(0, 1)) for n in index.shape))
    if source.shape != index.shape:
        a, source = a.fixed, source.fixed
    return (a, dim, index, source, *rest), options


table.drawn("scatter_add", with_sources())
for reduce in ("sum", "prod", "mean", "amax", "amin"):
    table.drawn("scatter_reduce", with_sources(reduce))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(DtypeError, lambda m: m.ones(3).scatter(0, m.tensor([1]), m.tensor([2])), "scatter:", "float32", "int64")
wrong(ShapeError, lambda m: m.ones(3).scatter(0, m.tensor([1, 2]), m.ones(1)), "scatter:", "(2,)", "(1,)")
wrong(ShapeError, lambda m: m.ones(2, 2).scatter(0, m.tensor([[0, 1, 0]]), 1), "scatter:", "(1, 3)", "(2, 2)")
wrong(ShapeError, lambda m: m.ones(2, 2).scatter(0, m.tensor([0]), 1), "scatter:", "(1,)", "(2, 2)")
wrong(DimError, lambda m: m.ones(3).scatter(0, m.tensor([3]), 1), "scatter:", "0 to 2", "got 3")
wrong(DimError, lambda m: m.ones(3).scatter(0, m.tensor([-1]), 1), "scatter:", "0 to 2", "got -1")
wrong(DimError, lambda m: m.ones(3).scatter(1, m.tensor([0]), 1), "scatter:", "dim 1", "-1 to 0")
wrong(DtypeError, lambda m: m.ones(3).scatter(0, m.tensor([0.0]), 1), "scatter:", "float32", "index.long()")
wrong(ArgumentTypeError, lambda m: m.ones(3).scatter(0, m.tensor([0])), "scatter:", "exactly one of src and value")
wrong(ArgumentTypeError, lambda m: m.ones(3).scatter(0, m.tensor([0]), "a"), "scatter:", "number", "'a'")
wrong(ArgumentTypeError, lambda m: m.ones(3).scatter(0, [0], 1), "scatter:", "list: [0]", "minigrad.tensor")
wrong(ArgumentError, lambda m: m.ones(3).scatter(0, m.tensor([0]), 1, reduce="sum"), "scatter:", "'sum'", "multiply")
wrong(ArgumentTypeError, lambda m: m.ones(3).scatter_add(0, m.tensor([0]), 1.0), "scatter_add:", "float: 1.0")
wrong(DtypeError, lambda m: m.ones(3).scatter_add(0, m.tensor([0]), m.tensor([1])), "scatter_add:", "float32", "int64")
wrong(ShapeError, lambda m: m.ones(3).scatter_add(0, m.tensor([0, 0]), m.ones(1)), "scatter_add:", "(2,)", "(1,)")
wrong(DimError, lambda m: m.ones(3).scatter_add(0, m.tensor([4]), m.ones(1)), "scatter_add:", "0 to 2", "got 4")
wrong(
    ArgumentError, lambda m: m.ones(3).scatter_reduce(0, m.tensor([0]), m.ones(1), "add"), "scatter_reduce:", "'add'",
    "amax",
)  # fmt: skip
wrong(
    DtypeError, lambda m: m.ones(3).bool().scatter_reduce(0, m.tensor([0]), m.ones(1).bool(), "mean"),
    "scatter_reduce:", "mean", "input.float()",
)  # fmt: skip
wrong(
    DimError, lambda m: m.ones(3).scatter_reduce(0, m.tensor([3]), m.ones(1), "sum"), "scatter_reduce:", "got 3"
)  # fmt: skip
