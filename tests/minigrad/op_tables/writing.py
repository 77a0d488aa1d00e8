"""Writing into chosen places of a copy."""

from __future__ import annotations

from hypothesis import strategies as st
from op_harness import Table, booleans, given, x
from op_strategies import tensors, unary, with_dim

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError

table = Table("writing")
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")

case("index_put", x(3), (given([0, 2], "int64"),), x(2))
case("index_put", x(3, 2), (given([0, 2], "int64"),), x(2, 2))
case("index_put", x(3, 2), [given([0, -1], "int64"), given([1, 1], "int32")], x(2))
case("index_put", x(3, 2), (given([0, 2], "int64"),), x(2))
case("index_put", x(3, 2), (given([0, 2], "int64"),), x())
case("index_put", x(3, 2), (given([[0], [2]], "int64"), given([0, 1], "int64")), x(2, 1))
case("index_put", x(3, 2).transposed, (given([True, False, True], "bool"),), x(2, 2).strided)
case("index_put", x(2, 2), indices=(booleans(2, 2),), values=x(1))
case("index_put", x(2, 3), (given(1, "int64"),), x(3))
case("index_put", x(3), (given([1, 1, 0], "int64"),), x(3), True)
case("index_put", x(3, 2), (given([1, 1], "int64"),), x(2), accumulate=True)
case("index_put", x(3, 2), (given([1, 1], "int64"), given([0, 0], "int64")), x(), accumulate=True)
case("index_put", x(3), (given([], "int64"),), x(0))
case("index_put", given([1, 2, 3], "int64"), (given([1, 1], "int64"),), given([5, 6], "int64"), accumulate=True)
case("index_put", given([NAN, 1.0]), (given([0], "int64"),), given([INF]), smooth=False)
case("put", x(2, 2), given([0, 3], "int64"), x(2))
case("put", x(2, 3).transposed, given([[-1, 0]], "int64"), x(1, 2))
case("put", x(2, 2), given([1, 1, 0], "int64"), x(3), True)
case("put", x(2, 2).strided, index=given([2], "int64"), source=x(1, 1), accumulate=False)
case("put", x(), given(0, "int64"), x())
case("put", x(2), given([], "int64"), x(0))
case("masked_scatter", x(2, 2), booleans(2, 2), x(2, 2))
case("masked_scatter", x(2, 3).transposed, given([True, False, True], "bool"), x(5))
case("masked_scatter", x(2), given([[True, False], [True, True]], "bool"), x(2, 2).strided)
case("masked_scatter", x(2), mask=given([False, False], "bool"), source=x(1))
case("masked_scatter", x(2), given([True, True], "bool"), x(2, 2).transposed)
case("masked_scatter", x(), given(True, "bool"), x(2))
case("masked_scatter", x(0), given([], "bool"), x(1))
case("select_scatter", x(2, 3), x(3), 0, 1)
case("select_scatter", x(2, 3).transposed, x(2), 1, -1)
case("select_scatter", x(2, 2), src=x(2), dim=-1, index=0)
case("select_scatter", x(2), x(), 0, 1)
case("select_scatter", x(2, 2), given([1, 2], "int64"), 0, 0)
case("select_scatter", x(2, 2, dtype="float32"), x(2, dtype="float64"), 0, 0)
case("slice_scatter", x(4), x(2), 0, 1, 3)
case("slice_scatter", x(4), x(2), start=-2)
case("slice_scatter", x(2, 4).strided, x(2, 2), 1, 0, 9, 2)
case("slice_scatter", x(3, 2), x(3, 2))
case("slice_scatter", x(3, 2).transposed, src=x(1, 2), dim=-2, end=1, step=3)
case("slice_scatter", x(4), x(0), 0, 3, 1)
case("slice_scatter", x(4), given([7, 8], "int64"), end=2)
case("diagonal_scatter", x(2, 2), x(2))
case("diagonal_scatter", x(2, 3), x(2), 1)
case("diagonal_scatter", x(3, 2).transposed, x(2), -1)
case("diagonal_scatter", x(2, 3, 3), x(3, 2), offset=0, dim1=-1, dim2=0)
case("diagonal_scatter", x(2, 2), x(0), 5)
case("diagonal_scatter", x(2, 2), src=given([1, 2], "int64"))
case("index_add", x(3, 2), 0, given([0, 2], "int64"), x(2, 2))
case("index_add", x(3, 2), 0, given([1, 1, 1], "int64"), x(3, 2), alpha=-2)
case("index_add", x(2, 3, 2).transposed, -2, given([2, 0, 2], "int32"), x(2, 3, 2).strided, alpha=0.5)
case("index_add", x(2, 2), dim=1, index=given(1, "int64"), source=x(2, 1))
case("index_add", x(), 0, given([0], "int64"), x())
case("index_add", x(2), 0, given([], "int64"), x(0))
case("index_add", x(0, 2), 1, given([0, 0], "int64"), x(0, 2))
case("index_add", given([1, 2], "int64"), 0, given([0, 0], "int64"), given([3, 4], "int64"), alpha=2)
case("index_add", x(2, dtype="float16"), 0, given([1, 1], "int64"), x(2, dtype="float16"))
case("index_copy", x(3, 2), 0, given([2, 0], "int64"), x(2, 2))
case("index_copy", x(2, 3).transposed, -1, given([1], "int64"), x(2, 1).strided)
case("index_copy", x(3), dim=0, index=given(1, "int64"), source=x())
case("index_copy", x(), 0, given([0], "int64"), x(1))
case("index_copy", x(), 0, given(0, "int64"), x())
case("index_copy", x(3), 0, given([1, 1], "int64"), x(2), smooth=False)  # both receive a gradient, the last one stays
case("index_copy", x(2), 0, given([], "int64"), x(0))
case("index_fill", x(3, 2), 0, given([2, 0], "int64"), 5)
case("index_fill", x(2, 3).strided, 1, given([-1], "int64"), 0.5)
case("index_fill", x(3), dim=0, index=given(1, "int64"), value=-1)
case("index_fill", x(3, 2), 0, given([1, 1, 2], "int64"), x())
case("index_fill", x(2), 0, given([0], "int64"), given(7, "int64"))
case("index_fill", x(), 0, given([0], "int64"), 2)
case("index_fill", x(2), 0, given([], "int64"), 2)
case("index_fill", given([1, 2], "int64"), 0, given([0], "int64"), 7.5)
case("index_fill", x(2), 0, given([0], "int64"), NAN, smooth=False)

SMALL = st.integers(-3, 3)
DISTINCT = st.lists(st.integers(-1, 3), max_size=3, unique=True)
SOME = st.lists(st.integers(-1, 3), max_size=3)


@st.composite
def with_slices(draw: st.DrawFn, indices: st.SearchStrategy[list[int]]) -> object:
    """A tensor, a dimension, indices along it and a source that mostly fits."""
    (a,), options = draw(with_dim())
    dim, index, shape = options["dim"], draw(indices), list(a.shape)
    if -len(shape) <= dim < len(shape):
        shape[dim] = len(index)
    return (a, dim, given(index, "int64"), draw(tensors(st.just(tuple(shape))))), {}


table.drawn("index_add", with_slices(SOME))
table.drawn("index_copy", with_slices(DISTINCT))
table.drawn("index_fill", with_dim(index=SOME.map(lambda index: given(index, "int64")), value=SMALL))
table.drawn("put", st.tuples(st.tuples(tensors(), DISTINCT.map(lambda i: given(i, "int64")), tensors()), st.just({})))
table.drawn(
    "masked_scatter",
    st.tuples(st.tuples(tensors(), tensors().map(lambda drawn: booleans(*drawn.shape)), tensors()), st.just({})),
)
table.drawn("select_scatter", unary(src=tensors(), dim=SMALL, index=SMALL))
table.drawn("slice_scatter", unary(src=tensors(), dim=SMALL, start=SMALL, end=SMALL, step=SMALL))
table.drawn("diagonal_scatter", unary(src=tensors(), offset=SMALL, dim1=SMALL, dim2=SMALL))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(DtypeError, lambda m: m.ones(3).index_put((m.tensor([0]),), m.tensor([1])), "index_put:", "float32", "int64")
wrong(ShapeError, lambda m: m.ones(3).index_put((m.tensor([0]),), m.ones(2)), "index_put:", "(2,)", "(1,)")
wrong(DimError, lambda m: m.ones(3).index_put((m.tensor([3]),), m.ones(1)), "index_put:", "index 3", "size 3")
wrong(DimError, lambda m: m.ones(3).index_put((m.tensor([0]),) * 2, m.ones(1)), "index_put:", "too many", "(3,)")
wrong(ShapeError, lambda m: m.ones(3).index_put((m.ones(2).bool(),), m.ones(1)), "index_put:", "boolean", "(3,)")
wrong(DtypeError, lambda m: m.ones(3).index_put((m.ones(1),), m.ones(1)), "index_put:", "int32, int64 or boolean")
wrong(ArgumentTypeError, lambda m: m.ones(3).index_put((0,), m.ones(1)), "index_put:", "int: 0")
wrong(ArgumentTypeError, lambda m: m.ones(3).index_put(m.tensor([0]), m.ones(1)), "index_put:", "tuple of Tensors")
wrong(ArgumentTypeError, lambda m: m.ones(3).index_put((m.tensor([0]),), 1.0), "index_put:", "float: 1.0")
wrong(ShapeError, lambda m: m.ones(2).put(m.tensor([0, 1]), m.ones(1)), "put:", "1 elements", "2 indices")
wrong(DimError, lambda m: m.ones(2).put(m.tensor([2]), m.ones(1)), "put:", "-2 to 1", "got 2")
wrong(DtypeError, lambda m: m.ones(2).put(m.tensor([0]), m.tensor([1])), "put:", "float32", "int64", "source.to(")
wrong(DtypeError, lambda m: m.ones(2).put(m.zeros(1, dtype=m.int32), m.ones(1)), "put:", "int64", "int32")
wrong(ShapeError, lambda m: m.ones(2).masked_scatter(m.ones(2).bool(), m.ones(1)), "masked_scatter:", "2 times", "1 el")
wrong(ShapeError, lambda m: m.ones(2).masked_scatter(m.ones(3).bool(), m.ones(9)), "masked_scatter:", "(3,)", "(2,)")
wrong(DtypeError, lambda m: m.ones(2).masked_scatter(m.ones(2), m.ones(2)), "masked_scatter:", "boolean", "float32")
wrong(
    DtypeError, lambda m: m.ones(2).masked_scatter(m.ones(2).bool(), m.tensor([1, 2])), "masked_scatter:", "float32",
    "int64",
)  # fmt: skip
wrong(ShapeError, lambda m: m.ones(2, 3).select_scatter(m.ones(1), 0, 0), "select_scatter:", "(3,)", "(1,)")
wrong(DimError, lambda m: m.ones(2, 3).select_scatter(m.ones(3), 0, 2), "select_scatter:", "index 2", "size 2")
wrong(DimError, lambda m: m.ones(()).select_scatter(m.ones(()), 0, 0), "select_scatter:", "0-dim")
wrong(ArgumentTypeError, lambda m: m.ones(2).select_scatter(1.0, 0, 0), "select_scatter:", "float: 1.0")
wrong(ShapeError, lambda m: m.ones(4).slice_scatter(m.ones(1), 0, 0, 2), "slice_scatter:", "(2,)", "(1,)")
wrong(ArgumentError, lambda m: m.ones(4).slice_scatter(m.ones(2), step=-2), "slice_scatter:", "step", "got -2")
wrong(DimError, lambda m: m.ones(4).slice_scatter(m.ones(4), 1), "slice_scatter:", "dim 1", "-1 to 0")
wrong(ArgumentTypeError, lambda m: m.ones(4).slice_scatter(m.ones(4), 0, 0.5), "slice_scatter:", "float: 0.5")
wrong(ShapeError, lambda m: m.ones(2, 3).diagonal_scatter(m.ones(1), 1), "diagonal_scatter:", "(2,)", "(1,)")
wrong(DimError, lambda m: m.ones(2, 3).diagonal_scatter(m.ones(2), 0, 1, 1), "diagonal_scatter:", "differ", "1 and 1")
wrong(DimError, lambda m: m.ones(2).diagonal_scatter(m.ones(2)), "diagonal_scatter:", "dim 1", "-1 to 0")
wrong(ShapeError, lambda m: m.ones(3).index_add(0, m.tensor([0]), m.ones(2)), "index_add:", "(1,)", "(2,)", "dim 0")
wrong(DimError, lambda m: m.ones(3).index_add(0, m.tensor([-1]), m.ones(1)), "index_add:", "0 to 2", "got -1")
wrong(ShapeError, lambda m: m.ones(3).index_add(0, m.tensor([[0]]), m.ones(1)), "index_add:", "(1, 1)", "reshape(-1)")
wrong(DtypeError, lambda m: m.ones(3).index_add(0, m.tensor([0]), m.tensor([1])), "index_add:", "float32", "int64")
wrong(
    ArgumentTypeError,
    lambda m: m.ones(1).index_add(0, m.tensor([0]), m.ones(1), alpha="a"),
    "index_add:",
    "alpha",
    "'a'",
)
wrong(DtypeError, lambda m: m.ones(3).index_copy(0, m.zeros(1).int(), m.ones(1)), "index_copy:", "int64", "int32")
wrong(ShapeError, lambda m: m.ones(3, 2).index_copy(0, m.tensor([0]), m.ones(1, 1)), "index_copy:", "(1, 2)", "(1, 1)")
wrong(DimError, lambda m: m.ones(3).index_copy(0, m.tensor([3]), m.ones(1)), "index_copy:", "0 to 2", "got 3")
wrong(DimError, lambda m: m.ones(3).index_fill(0, m.tensor([3]), 1), "index_fill:", "-3 to 2", "got 3")
wrong(ShapeError, lambda m: m.ones(3).index_fill(0, m.tensor([0]), m.ones(1)), "index_fill:", "0-dim", "(1,)")
wrong(DtypeError, lambda m: m.ones(3).index_fill(0, m.zeros(1).int(), 1), "index_fill:", "int64", "int32")
wrong(ArgumentTypeError, lambda m: m.ones(3).index_fill(0, m.tensor([0]), "a"), "index_fill:", "number", "'a'")
wrong(DimError, lambda m: m.ones(3).index_fill(1, m.tensor([0]), 1), "index_fill:", "dim 1", "-1 to 0")
