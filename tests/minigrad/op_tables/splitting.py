"""Parts along a dimension."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, given, x
from op_strategies import tensors, unary, with_dim

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, ShapeError

NAMED_AS_DOCUMENTED = (
    "the documented name, which PyTorch itself refuses as a keyword: it has one for integers, one for lists"
)

table = Table(
    "splitting",
    other_names=dict.fromkeys(["dsplit", "hsplit", "tensor_split", "vsplit"], NAMED_AS_DOCUMENTED),
)
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")

case("narrow", x(4), 0, 1, 2)
case("narrow", x(3, 4), 1, -3, 2)
case("narrow", x(3, 2), dim=-2, start=2, length=1)
case("narrow", x(3), 0, 3, 0)
case("narrow", x(3), 0, given(1, "int64"), 2)
case("narrow", x(3, 4).transposed, 0, 0, 3)
case("narrow", given([NAN, 1.0, INF]), 0, 1, 2, smooth=False)
case("select", x(3), 0, 1)
case("select", x(3, 4), 1, -1)
case("select", x(2, 3, 2).strided, dim=-2, index=0)
case("select", x(3), 0, given(2, "int64"))
case("unbind", x(3, 2))
case("unbind", x(2, 3).strided, 1)
case("unbind", x(2, 3), dim=-1)
case("unbind", x(3))
case("unbind", x(0, 2))
case("unbind", x(2, 0))
case("split", x(5), 2)
case("split", x(2, 4).transposed, 2, -1)
case("split", x(5, 2), [1, 0, 4])
case("split", x(2, 3), (1, 2), dim=1)
case("split", tensor=x(3, 1), split_size_or_sections=2, dim=0)
case("split", x(5), call=lambda m, a: a.split(split_size=3), note="by the name that the method has")
case("split", x(3), 9)
case("split", x(0), 2)
case("split", x(0, 2), 0)
case("split", x(0), [])
case("chunk", x(5), 2)
case("chunk", x(5), 4)
case("chunk", x(2, 6).strided, 3, 1)
case("chunk", x(2, 3), chunks=2, dim=-1)
case("chunk", x(2), 5)
case("chunk", x(0, 2), 3)
case("tensor_split", x(5), 2)
case("tensor_split", x(2, 7).transposed, 3, 1)
case("tensor_split", x(2), 4)
case("tensor_split", x(5), (1, 3))
case("tensor_split", x(5), [1, -1, 9])
case("tensor_split", x(5, 2), (3, 1), dim=0)
case("tensor_split", x(5), ())
case("tensor_split", x(5), given([1, 3], "int64"))
case("tensor_split", x(5), given(2, "int64"))
case("tensor_split", x(0), 2)
case("hsplit", x(4), 2)
case("hsplit", x(2, 4), 2)
case("hsplit", x(2, 4).strided, (1, 3))
case("hsplit", x(2, 3, 2), [1])
case("vsplit", x(4, 2), 2)
case("vsplit", x(4, 2).transposed, (1, 3))
case("vsplit", x(0, 2), 3)
case("dsplit", x(1, 2, 4), 2)
case("dsplit", x(1, 2, 4), [1, 3])
for dimension, size, step in [(0, 2, 1), (0, 3, 2), (-1, 2, 3), (1, 1, 1), (0, 4, 1), (0, 0, 2)]:
    case("unfold", x(4, 3), call=lambda m, a, i=dimension, n=size, s=step: a.unfold(i, n, s),
         note=f"of dim {dimension} by {size} and {step}")  # fmt: skip
case("unfold", x(2, 4).transposed, call=lambda m, a: a.unfold(dimension=1, size=3, step=1), note="by name")
case("unfold", x(5).strided, call=lambda m, a: a.unfold(0, 3, 1), note="with gaps")
case("unfold", x(), call=lambda m, a: a.unfold(0, 1, 1), note="without dimensions")
case("unfold", x(), call=lambda m, a: a.unfold(-1, 0, 2), note="without dimensions, by 0")
case("unfold", x(0), call=lambda m, a: a.unfold(0, 0, 1), note="of nothing")
case("unfold", given([1, 2, 3], "int64"), call=lambda m, a: a.unfold(0, 2, 1), note="of integers")

NUMBER = st.integers(-1, 4)
NUMBERS = st.lists(NUMBER, max_size=3)
table.drawn("narrow", with_dim(start=st.integers(-3, 3), length=NUMBER))
table.drawn("select", with_dim(index=st.integers(-3, 3)))
table.drawn("unbind", with_dim())
table.drawn("split", with_dim().flatmap(lambda c: st.tuples(st.tuples(st.just(c[0][0]), NUMBER), st.just(c[1]))))
table.drawn("split", with_dim().flatmap(lambda c: st.tuples(st.tuples(st.just(c[0][0]), NUMBERS), st.just(c[1]))))
table.drawn("chunk", with_dim(chunks=NUMBER))
table.drawn("tensor_split", with_dim().flatmap(lambda c: st.tuples(st.tuples(st.just(c[0][0]), NUMBER), st.just(c[1]))))
table.drawn(
    "tensor_split", with_dim().flatmap(lambda c: st.tuples(st.tuples(st.just(c[0][0]), NUMBERS), st.just(c[1])))
)
for op in ("hsplit", "vsplit", "dsplit"):
    table.drawn(op, st.tuples(st.tuples(tensors(), st.one_of(NUMBER, NUMBERS)), st.just({})))


def unfolded(m: Any, a: Any, dimension: int, size: int, step: int) -> Any:
    return a.unfold(dimension, size, step)


table.drawn("unfold", unary(dimension=st.integers(-3, 2), size=NUMBER, step=NUMBER), call=unfolded)

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(DimError, lambda m: m.ones(3).narrow(0, 4, 0), "narrow:", "start 4", "size 3", "-3 to 3")
wrong(ArgumentError, lambda m: m.ones(3).narrow(0, 2, 2), "narrow:", "0 to 1", "start 2", "got 2")
wrong(ArgumentError, lambda m: m.ones(3).narrow(0, 1, -1), "narrow:", "got -1")
wrong(DimError, lambda m: m.ones(()).narrow(0, 0, 1), "narrow:", "0-dim")
wrong(DimError, lambda m: m.ones(2).narrow(1, 0, 1), "narrow:", "dim 1", "-1 to 0")
wrong(ArgumentTypeError, lambda m: m.ones(2).narrow(0, 0.5, 1), "narrow:", "start", "float: 0.5")
wrong(ArgumentTypeError, lambda m: m.narrow([1.0], 0, 0, 1), "narrow:", "list", "minigrad.tensor")
wrong(DimError, lambda m: m.ones(3).select(0, 3), "select:", "index 3", "size 3")
wrong(DimError, lambda m: m.ones(()).select(0, 0), "select:", "0-dim")
wrong(DimError, lambda m: m.ones(3).select(1, 0), "select:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(()).unbind(), "unbind:", "0-dim")
wrong(DimError, lambda m: m.ones(2).unbind(1), "unbind:", "dim 1")
wrong(ArgumentError, lambda m: m.ones(3).split(0), "split:", "positive", "got 0", "size 3")
wrong(ArgumentError, lambda m: m.ones(3).split(-1), "split:", "got -1")
wrong(ArgumentError, lambda m: m.ones(5).split([2, 2]), "split:", "[2, 2]", "add up to 5", "dim 0")
wrong(ArgumentError, lambda m: m.ones(5).split([2, -1, 4]), "split:", "[2, -1, 4]", ">= 0")
wrong(DimError, lambda m: m.ones(()).split(1), "split:", "0-dim")
wrong(DimError, lambda m: m.split(m.ones(2), 1, 1), "split:", "dim 1", "-1 to 0")
wrong(ArgumentTypeError, lambda m: m.split([1.0], 1), "split:", "list", "minigrad.tensor")
wrong(ArgumentTypeError, lambda m: m.ones(2).split("a"), "split:", "str: 'a'")
wrong(ArgumentError, lambda m: m.ones(3).chunk(0), "chunk:", "positive", "got 0")
wrong(ArgumentTypeError, lambda m: m.ones(3).chunk(1.5), "chunk:", "chunks", "float: 1.5")
wrong(DimError, lambda m: m.ones(()).chunk(1), "chunk:", "0-dim")
wrong(ArgumentError, lambda m: m.ones(3).tensor_split(0), "tensor_split:", "positive", "got 0")
wrong(DimError, lambda m: m.ones(()).tensor_split(1), "tensor_split:", "0-dim")
wrong(ArgumentTypeError, lambda m: m.ones(3).tensor_split(1.5), "tensor_split:", "float: 1.5")
wrong(ArgumentError, lambda m: m.ones(5).hsplit(2), "hsplit:", "dim 0", "size 5", "2 sections")
wrong(ShapeError, lambda m: m.ones(()).hsplit(1), "hsplit:", "at least 1", "()")
wrong(ShapeError, lambda m: m.ones(4).vsplit(2), "vsplit:", "at least 2", "(4,)")
wrong(ArgumentError, lambda m: m.ones(3, 2).vsplit(0), "vsplit:", "0 sections")
wrong(ShapeError, lambda m: m.ones(4, 4).dsplit(2), "dsplit:", "at least 3", "(4, 4)")
wrong(ArgumentError, lambda m: m.ones(4).unfold(0, 5, 1), "unfold:", "0 to 4", "got 5")
wrong(ArgumentError, lambda m: m.ones(4).unfold(0, 2, 0), "unfold:", "step", "got 0")
wrong(DimError, lambda m: m.ones(4).unfold(1, 2, 1), "unfold:", "dim 1", "-1 to 0")
