"""Joining."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, given, x
from op_strategies import SIZES, tensors

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, ShapeError

table = Table("joining")
case, wrong = table.case, table.wrong

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
case("cat", [x(0, dtype="float64"), x(2, dtype="float32")], note="of which the empty one decides the dtype")
case("cat", [x(0), x(0)], 1)
case("cat", [x(2, dtype="float16"), x(1, dtype="float16")])
case("cat", tensors=[x(2, 1), x(2, 2)], dim=1)
for op in ("concat", "concatenate"):
    case(op, [x(2, 3), x(1, 3)])
    case(op, (x(2, 1), x(2, 2)), 1)
    case(op, tensors=[x(2, 1), x(2, 2)], dim=-1)
case("stack", [x(2).strided, x(2)], -2)
case("hstack", [x(2), x(3)])
case("hstack", [x(2, 1), x(2, 2)])
case("hstack", [x(), x(), x(2)])
case("hstack", tensors=(x(2, 1, 2), x(2, 2, 2).transposed))
case("hstack", [x(0), x(1)])
for op in ("vstack", "row_stack"):
    case(op, [x(2), x(1, 2)])
    case(op, [x(), x()])
    case(op, tensors=(x(1, 2, 2), x(2, 2, 2).transposed))
    case(op, [x(0), x(0)])
case("dstack", [x(2), x(2)])
case("dstack", [x(2, 3), x(2, 3)])
case("dstack", [x(), x()])
case("dstack", tensors=[x(1, 2, 2), x(1, 2)])
case("column_stack", [x(2), x(2, 3)])
case("column_stack", [x(), x()])
case("column_stack", tensors=(x(2, 1, 2), x(2, 2, 2)))
case("column_stack", [x(2, dtype="float32"), given([1, 2], "int64")])
for op, shapes in {
    "atleast_1d": [(), (2,), (2, 3), (0,)],
    "atleast_2d": [(), (3,), (2, 3), (0,)],
    "atleast_3d": [(), (3,), (2, 3), (1, 2, 3), (0,)],
}.items():
    for shape in shapes:
        case(op, x(*shape))
    case(op, x(), x(2))
    case(op, [x(2), x()])
    case(op, (x(2, 2),))
case("atleast_2d", x(2, 2).transposed, x(3).strided)
case("block_diag", x(2, 3), x(1, 2))
case("block_diag", x(2, 2))
case("block_diag", x(), x(2), x(2, 1).transposed)
case("block_diag", x(0).fixed, x(2).fixed)  # PyTorch looks for the gradient of the second in the row of the first
case("block_diag", x(2, 0), x(1, 2))
case("block_diag", x(2, dtype="float32"), given([[1, 2]], "int64"))


@st.composite
def alike(draw: st.DrawFn, named: bool = True) -> Any:
    """Tensors of one shape, except along one dimension."""
    shape, dim = draw(st.lists(SIZES, min_size=1, max_size=3)), draw(st.integers(-3, 2))
    axis = dim % len(shape)
    parts = [
        draw(tensors(st.just((*shape[:axis], draw(SIZES), *shape[axis + 1 :])))) for _ in range(draw(st.integers(1, 3)))
    ]
    return (parts,), {"dim": dim} if named else {}


PARTS = st.lists(tensors(), min_size=1, max_size=3)
table.drawn("cat", alike())
table.drawn(
    "stack", st.tuples(st.tuples(tensors().map(lambda x: [x, x])), st.fixed_dictionaries({"dim": st.integers(-4, 3)}))
)
for op in ("hstack", "vstack", "dstack", "column_stack"):
    table.drawn(op, alike(named=False))
    table.drawn(op, st.tuples(st.tuples(PARTS), st.just({})))
table.drawn("block_diag", st.tuples(PARTS.map(tuple), st.just({})))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(ArgumentError, lambda m: m.cat([]), "cat:", "empty list")
wrong(ShapeError, lambda m: m.cat([m.ones(2, 3), m.ones(2, 4)]), "cat:", "(2, 3)", "(2, 4)", "dim 0")
wrong(ShapeError, lambda m: m.cat([m.ones(2), m.ones(2, 1)]), "cat:", "(2,)", "(2, 1)")
wrong(DimError, lambda m: m.cat([m.ones(2), m.ones(2)], 1), "cat:", "dim 1", "-1 to 0")
wrong(ShapeError, lambda m: m.cat([m.ones(()), m.ones(())]), "cat:", "0-dim", "write stack")
wrong(ArgumentError, lambda m: m.stack([]), "stack:", "empty list")
wrong(ShapeError, lambda m: m.stack([m.ones(2), m.ones(3)]), "stack:", "(2,)", "(3,)")
wrong(DimError, lambda m: m.stack([m.ones(2)], 2), "stack:", "dim 2", "1 dimensions")
wrong(ArgumentTypeError, lambda m: m.cat(m.ones(2)), "cat:", "list or tuple", "write cat([x, y])")
wrong(ArgumentTypeError, lambda m: m.cat([m.ones(2), 1.0]), "cat:", "expected Tensors", "float: 1.0")
wrong(ArgumentTypeError, lambda m: m.cat([m.ones(2)], None), "cat:", "dim", "NoneType")
wrong(DimError, lambda m: m.cat([m.ones(2), m.zeros(0)], 5), "cat:", "dim 5", "-1 to 0")
wrong(ArgumentError, lambda m: m.concat([]), "concat:", "empty list")
wrong(ShapeError, lambda m: m.concatenate([m.ones(2), m.ones(2, 1)]), "concatenate:", "(2,)", "(2, 1)")
wrong(ArgumentTypeError, lambda m: m.stack(m.ones(2, 2)), "stack:", "list or tuple")
wrong(ArgumentError, lambda m: m.hstack([]), "hstack:", "empty list")
wrong(ArgumentTypeError, lambda m: m.hstack(m.ones(2)), "hstack:", "list or tuple", "Tensor")
wrong(ShapeError, lambda m: m.hstack([m.ones(2, 1), m.ones(3, 1)]), "hstack:", "(2, 1)", "(3, 1)", "dim 1")
wrong(ShapeError, lambda m: m.vstack([m.ones(2), m.ones(3)]), "vstack:", "(1, 2)", "(1, 3)", "dim 0")
wrong(ArgumentTypeError, lambda m: m.vstack([1.0]), "vstack:", "float: 1.0")
wrong(ShapeError, lambda m: m.row_stack([m.ones(2), m.ones(3)]), "row_stack:", "(1, 2)", "(1, 3)")
wrong(ShapeError, lambda m: m.dstack([m.ones(2), m.ones(3)]), "dstack:", "(1, 2, 1)", "(1, 3, 1)", "dim 2")
wrong(ShapeError, lambda m: m.column_stack([m.ones(2), m.ones(3)]), "column_stack:", "(2, 1)", "(3, 1)", "dim 1")
wrong(ArgumentTypeError, lambda m: m.atleast_1d(1.0), "atleast_1d:", "float: 1.0", "write minigrad.tensor")
wrong(ArgumentTypeError, lambda m: m.atleast_2d([1.0]), "atleast_2d:", "float: 1.0")
wrong(ArgumentTypeError, lambda m: m.atleast_3d(m.ones(2), None), "atleast_3d:", "NoneType")
wrong(ShapeError, lambda m: m.block_diag(m.ones(2), m.ones(1, 1, 1)), "block_diag:", "at most 2", "(1, 1, 1)")
wrong(ArgumentTypeError, lambda m: m.block_diag([m.ones(2)]), "block_diag:", "list")
wrong(
    ArgumentError, lambda m: m.block_diag(), "block_diag:", "at least one", torch_allows=True
)  # a (1, 0) matrix there
