"""Selecting elements."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Draw, Table, booleans, given, integers, x
from op_strategies import tensors, with_dim

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ItemAssignmentError, ShapeError

table = Table(
    "indexing",
    not_differentiable={"argwhere", "nonzero", "one_hot"},
    other_names={"one_hot": "PyTorch has changed the name of the first parameter between its versions"},
)
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")

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
case("gather", x(2, 3), 1, given([[2, 0], [1, 1]], "int32"), sparse_grad=False)
case("gather", x(), 0, given([0, 0], "int64"))
case("gather", x(3), 0, given(1, "int64"))
case("gather", x(2, 3).transposed, 1, given([[2, 2]], "int64"))
case("gather", x(0, 2), 0, integers(0, 2, high=1))
case("gather", given([[1, 2]], "int64"), 1, given([[1, 0, 0]], "int64"))
case("gather", given([NAN, 1.0, INF]), 0, given([0, 2, 2], "int64"), smooth=False)
case("take_along_dim", x(2, 2), given([3, 0, 3], "int64"))
case("take_along_dim", x(2, 2), given([[3, 1]], "int64"))
case("take_along_dim", x(), given([0, 0], "int64"))
case("take_along_dim", x(2, 2), given([[-1, 0], [-2, -2]], "int64"), 1)
case("take_along_dim", x(2, 3).strided, indices=given([[1, 0, 1]], "int64"), dim=0)
case("index_select", x(3, 2), 0, given([2, 0, 2], "int64"))
case("index_select", x(2, 3), 1, given([1, 1], "int32"))
case("index_select", x(2, 3, 2).transposed, dim=-2, index=given([2, 0], "int64"))
case("index_select", x(3).strided, 0, given([1], "int64"))
case("index_select", x(3), 0, given(1, "int64"))
case("index_select", x(2, 0, 2), 2, given([1, 1], "int64"))
case("index_select", x(3, 2), 0, given([], "int64"))
case("index_select", x(), 0, given([0], "int64"))
case("index_select", x(3, 2, dtype="float16"), 0, given([2, 2], "int64"))
case("index_select", given([1, 2], "int32"), 0, given([1, 1], "int64"))
case("masked_select", x(2, 3), booleans(2, 3))
case("masked_select", x(2, 3).transposed, given([True, False, True], "bool"))
case("masked_select", x(3), given([[True, False, True], [False, True, True]], "bool"))
case("masked_select", x(2, 1), mask=given([True, True], "bool"))
case("masked_select", x(3), given([False, False, False], "bool"))
case("masked_select", x(), given(True, "bool"))
case("masked_select", x(0), given(True, "bool"))
case("take", x(2, 3), given([0, 5, 5], "int64"))
case("take", x(2, 3).transposed, given([[-1, 0], [1, -6]], "int64"))
case("take", x(3).strided, index=given(1, "int64"))
case("take", x(), given([0, 0], "int64"))
case("take", x(0), given([], "int64"))
for zeros in ([[0.0, 1.0], [2.0, 0.0]], [NAN, 0.0, INF], 0.0, 5.0, [0.0]):
    case("nonzero", given(zeros))
    case("nonzero", given(zeros), as_tuple=True)
    case("argwhere", given(zeros))
case("nonzero", x(0, 2).fixed)
case("nonzero", x(2, 2).transposed.fixed, as_tuple=True)
case("argwhere", given([[True, False], [True, True]], "bool"))
case("argwhere", given([0, 3], "int64"))
case("one_hot", given([0, 2, 1], "int64"))
case("one_hot", given([[0, 2], [1, 1]], "int64"), 4)
case("one_hot", given([1], "int64"), num_classes=3)
case("one_hot", given(1, "int64"), 2)
case("one_hot", given([], "int64"), 3)

SOME = st.lists(st.integers(-4, 3), max_size=4).map(lambda index: given(index, "int64"))
MASKS = tensors().map(lambda drawn: booleans(*drawn.shape))


@st.composite
def with_places(draw: st.DrawFn) -> tuple[Draw, int, Draw]:
    """A tensor, a dimension, and an index for each element along it, as gather and scatter take them."""
    (a,), options = draw(with_dim())
    dim, size = options["dim"], 1
    shape = [draw(st.integers(min(n, 1), n)) for n in a.shape]
    if -len(shape) <= dim < len(shape):
        size, shape[dim] = a.shape[dim], draw(st.integers(0, 3))
    return a, dim, integers(*shape, high=max(size, 1))


table.drawn("index_select", with_dim(index=SOME))
table.drawn("take", st.tuples(st.tuples(tensors(), SOME), st.just({})))
table.drawn("masked_select", st.tuples(st.tuples(tensors(), MASKS), st.just({})))
table.drawn("gather", st.tuples(with_places(), st.just({})))
table.drawn("take_along_dim", st.tuples(with_places().map(lambda args: (args[0], args[2], args[1])), st.just({})))
table.drawn("nonzero", st.tuples(st.tuples(MASKS), st.fixed_dictionaries({"as_tuple": st.booleans()})))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(DimError, lambda m: m.ones(2)[2], "getitem:", "index 2", "size 2")
wrong(DimError, lambda m: m.ones(2)[0, 0], "getitem:", "too many indices", "(2,)")
wrong(DimError, lambda m: m.ones(())[0], "getitem:", "too many indices", "()")
wrong(DimError, lambda m: m.ones(2)[[0, 2]], "getitem:", "index 2", "size 2")
wrong(DimError, lambda m: m.ones(2, 2)[[0, 1], [0, 1, 1]], "getitem:", "(2,)", "(3,)")
wrong(ShapeError, lambda m: m.ones(2)[m.ones(3).bool()], "getitem:", "boolean", "is 2", "is 3")
wrong(ArgumentError, lambda m: m.ones(2)[::-1], "getitem:", "step", "got -1", "x.flip(dim)")
wrong(ArgumentTypeError, lambda m: m.ones(2)[:: m.ones(2)], "getitem:", "step", "integer")
wrong(ShapeError, lambda m: m.ones(3)[[[0, 1], [2]]], "getitem:", "equally long", "[[0, 1], [2]]")
wrong(DtypeError, lambda m: m.ones(2)[m.ones(2)], "getitem:", "integers or booleans", "float32")
wrong(DtypeError, lambda m: m.ones(2)[m.tensor([1, 0], dtype=m.uint8)], "getitem:", "uint8", torch_allows=True)
wrong(ArgumentTypeError, lambda m: m.ones(2)["a"], "getitem:", "expected integers", "str: 'a'")
wrong(ArgumentTypeError, lambda m: m.ones(2)[0.5], "getitem:", "expected integers", "float: 0.5")
wrong(
    ItemAssignmentError, lambda m: m.ones(2).__setitem__(0, 1), "x[...] = value:", "(2,)", "minigrad.where",
    torch_allows=True,
)  # fmt: skip
wrong(DimError, lambda m: m.ones(2, 2).gather(0, m.tensor([[2, 0]])), "gather:", "0 to 1", "got 0 to 2")
wrong(ShapeError, lambda m: m.ones(2, 2).gather(0, m.tensor([0])), "gather:", "(1,)", "(2, 2)")
wrong(ShapeError, lambda m: m.ones(2, 2).gather(0, m.tensor([[0, 0, 0]])), "gather:", "(1, 3)", "(2, 2)", "dim 0")
wrong(DtypeError, lambda m: m.ones(2, 2).gather(0, m.tensor([[0.0]])), "gather:", "int32 or int64", "float32")
wrong(DimError, lambda m: m.ones(2, 2).gather(2, m.tensor([[0]])), "gather:", "dim 2", "-2 to 1")
wrong(
    DimError, lambda m: m.take_along_dim(m.ones(2, 2), m.tensor([[5, 0]]), 0), "take_along_dim:", "-2 to 1", "0 to 5",
    torch_allows=None,  # it reads outside the tensor where its index is checked only in debug builds
)  # fmt: skip
wrong(ShapeError, lambda m: m.take_along_dim(m.ones(2, 2), m.tensor([0]), 0), "take_along_dim:", "(1,)", "2 dimensions")
wrong(
    ShapeError, lambda m: m.take_along_dim(m.ones(2, 2), m.tensor([[0, 0, 0]]), 0), "take_along_dim:", "(1, 3)", "dim 0"
)
wrong(DtypeError, lambda m: m.nn.functional.one_hot(m.tensor([0.5])), "one_hot:", "integers", "float32")
wrong(DimError, lambda m: m.nn.functional.one_hot(m.tensor([3]), 2), "one_hot:", "0 to 1", "got 3")
wrong(DimError, lambda m: m.nn.functional.one_hot(m.tensor([-1])), "one_hot:", "got -1")
wrong(ArgumentError, lambda m: m.nn.functional.one_hot(m.zeros(0).long()), "one_hot:", "give num_classes")
wrong(DtypeError, lambda m: m.ones(2, 2).gather(0, m.zeros(1, 2, dtype=m.int16)), "gather:", "int32 or int64", "int16")
wrong(DimError, lambda m: m.ones(2, 2).gather(0, m.tensor([[-1]])), "gather:", "0 to 1", "got -1")
wrong(ArgumentTypeError, lambda m: m.ones(2).gather(0, [0]), "gather:", "list: [0]", "minigrad.tensor")
wrong(
    NotImplementedError, lambda m: m.ones(2).gather(0, m.tensor([0]), sparse_grad=True), "gather:", "sparse_grad",
    torch_allows=True,
)  # fmt: skip
wrong(DtypeError, lambda m: m.take_along_dim(m.ones(2), m.zeros(1, dtype=m.int32), 0), "take_along_dim:", "int32")
wrong(DimError, lambda m: m.take_along_dim(m.ones(2), m.tensor([-1])), "take_along_dim:", "0 to 1", "got -1")
wrong(DimError, lambda m: m.take_along_dim(m.ones(()), m.tensor(0), 0), "take_along_dim:", "0-dim")
wrong(ArgumentTypeError, lambda m: m.take_along_dim(m.ones(2), [0], 0), "take_along_dim:", "list: [0]")
wrong(DimError, lambda m: m.ones(3).index_select(0, m.tensor([-1])), "index_select:", "0 to 2", "got -1")
wrong(DimError, lambda m: m.ones(3).index_select(1, m.tensor([0])), "index_select:", "dim 1", "-1 to 0")
wrong(ShapeError, lambda m: m.ones(3).index_select(0, m.tensor([[0]])), "index_select:", "(1, 1)", "reshape(-1)")
wrong(ShapeError, lambda m: m.ones(()).index_select(0, m.tensor([0, 0])), "index_select:", "one index", "(2,)")
wrong(DtypeError, lambda m: m.ones(3).index_select(0, m.tensor([0.0])), "index_select:", "float32", "index.long()")
wrong(ArgumentTypeError, lambda m: m.ones(3).index_select(0, [0]), "index_select:", "list: [0]", "minigrad.tensor")
wrong(DtypeError, lambda m: m.ones(3).masked_select(m.ones(3)), "masked_select:", "boolean", "float32")
wrong(ShapeError, lambda m: m.ones(3).masked_select(m.ones(2).bool()), "masked_select:", "(2,)", "(3,)")
wrong(ArgumentTypeError, lambda m: m.ones(1).masked_select([True]), "masked_select:", "list: [True]")
wrong(DimError, lambda m: m.ones(2, 2).take(m.tensor([4])), "take:", "-4 to 3", "got 4")
wrong(DtypeError, lambda m: m.ones(2).take(m.zeros(1, dtype=m.int32)), "take:", "int64", "int32")
wrong(DimError, lambda m: m.zeros(0).take(m.tensor([0])), "take:", "got 0")
wrong(ArgumentTypeError, lambda m: m.nonzero([1.0]), "nonzero:", "list", "minigrad.tensor")
wrong(ArgumentTypeError, lambda m: m.argwhere(1.0), "argwhere:", "float", "minigrad.tensor")
