"""Selecting elements."""

from __future__ import annotations

from typing import Any

from op_harness import Table, given, x

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ItemAssignmentError, ShapeError

table = Table(
    "indexing",
    not_differentiable={"one_hot"},
    other_names={"one_hot": "PyTorch has changed the name of the first parameter between its versions"},
)
case, wrong = table.case, table.wrong

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

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(DimError, lambda m: m.ones(2)[2], "indexing:", "index 2", "size 2")
wrong(DimError, lambda m: m.ones(2)[0, 0], "indexing:", "too many indices", "(2,)")
wrong(DimError, lambda m: m.ones(())[0], "indexing:", "too many indices", "()")
wrong(DimError, lambda m: m.ones(2)[[0, 2]], "indexing:", "index 2", "size 2")
wrong(DimError, lambda m: m.ones(2, 2)[[0, 1], [0, 1, 1]], "indexing:", "(2,)", "(3,)")
wrong(ShapeError, lambda m: m.ones(2)[m.ones(3).bool()], "indexing:", "boolean", "is 2", "is 3")
wrong(DtypeError, lambda m: m.ones(2)[m.ones(2)], "indexing:", "integers or booleans", "float32")
wrong(DtypeError, lambda m: m.ones(2)[m.tensor([1, 0], dtype=m.uint8)], "indexing:", "uint8", torch_allows=True)
wrong(ArgumentTypeError, lambda m: m.ones(2)["a"], "indexing:", "expected integers", "str: 'a'")
wrong(ArgumentTypeError, lambda m: m.ones(2)[0.5], "indexing:", "expected integers", "float: 0.5")
wrong(
    ItemAssignmentError, lambda m: m.ones(2).__setitem__(0, 1), "x[...] = value:", "(2,)", "minigrad.where",
    torch_allows=True,
)  # fmt: skip
wrong(DimError, lambda m: m.ones(2, 2).gather(0, m.tensor([[2, 0]])), "gather:", "0 to 1", "got 0 to 2")
wrong(ShapeError, lambda m: m.ones(2, 2).gather(0, m.tensor([0])), "gather:", "(1,)", "(2, 2)")
wrong(ShapeError, lambda m: m.ones(2, 2).gather(0, m.tensor([[0, 0, 0]])), "gather:", "(1, 3)", "(2, 2)", "dim 0")
wrong(DtypeError, lambda m: m.ones(2, 2).gather(0, m.tensor([[0.0]])), "gather:", "integers", "float32")
wrong(DimError, lambda m: m.ones(2, 2).gather(2, m.tensor([[0]])), "gather:", "dim 2", "-2 to 1")
wrong(
    DimError, lambda m: m.take_along_dim(m.ones(2, 2), m.tensor([[5, 0]]), 0), "take_along_dim:", "0 to 1", "0 to 5",
    torch_allows=True,  # it reads outside the tensor where its index is checked only in debug builds
)  # fmt: skip
wrong(ShapeError, lambda m: m.take_along_dim(m.ones(2, 2), m.tensor([0]), 0), "take_along_dim:", "(1,)", "2 dimensions")
wrong(
    ShapeError, lambda m: m.take_along_dim(m.ones(2, 2), m.tensor([[0, 0, 0]]), 0), "take_along_dim:", "(1, 3)", "dim 0"
)
wrong(DtypeError, lambda m: m.nn.functional.one_hot(m.tensor([0.5])), "one_hot:", "integers", "float32")
wrong(DimError, lambda m: m.nn.functional.one_hot(m.tensor([3]), 2), "one_hot:", "0 to 1", "got 3")
wrong(DimError, lambda m: m.nn.functional.one_hot(m.tensor([-1])), "one_hot:", "got -1")
wrong(ArgumentError, lambda m: m.nn.functional.one_hot(m.zeros(0).long()), "one_hot:", "give num_classes")
