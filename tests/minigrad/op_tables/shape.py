"""Other shapes of the same elements."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, given, x
from op_strategies import tensors, unary, with_dim

from minigrad.errors import ArgumentTypeError, DimError, MutationError, ShapeError

NO_NAME = "a method of PyTorch, whose first argument has no name"

table = Table(
    "shape",
    not_differentiable={"broadcast_shapes", "numel"},
    other_names=dict.fromkeys(["expand_as", "is_contiguous", "reshape_as", "view_as"], NO_NAME),
)
case, wrong = table.case, table.wrong

case("reshape", x(2, 3), (3, 2))
case("reshape", x(2, 3), (-1,))
case("reshape", x(2, 3), (1, 6, -1))
case("reshape", x(2, 3), 3, -1, call=lambda m, a, *n: a.reshape(*n), note="by sizes")
case("reshape", x(3, 2).transposed, (2, 3))
case("reshape", x(0, 3), (3, 0))
case("reshape", x(0, 3), (-1, 3))
case("reshape", x(), (1, 1))
case("reshape", x(1), ())
case("reshape", given([1, 2, 3, 4], "int64"), (2, 2))
case("view", x(2, 3), (3, 2))
case("view", x(2, 3), -1)
case("view", x(2, 3), 3, 2)
case("view", x(2, 3), (1, -1))
case("flatten", x(2, 3, 2))
case("flatten", x(2, 3, 2), 1)
case("flatten", x(2, 3, 2), 0, 1)
case("flatten", x(2, 3, 2), -2, -1)
case("flatten", x(2, 3, 2), start_dim=1, end_dim=1)
case("flatten", x())
case("flatten", x(0, 2))
case("squeeze", x(1, 2, 1, 3))
case("squeeze", x(1, 2, 1), 0)
case("squeeze", x(1, 2, 1), -1)
case("squeeze", x(1, 2, 1), 1)
case("squeeze", x(1, 2, 1), (0, 2))
case("squeeze", x(1, 2, 1), dim=(0, 1))
case("squeeze", x(1))
case("squeeze", x(), 0)
case("squeeze", x(2, 1, 0))
case("unsqueeze", x(2, 3), 0)
case("unsqueeze", x(2, 3), 2)
case("unsqueeze", x(2, 3), -1)
case("unsqueeze", x(2, 3), -3)
case("unsqueeze", x(), 0)
case("unsqueeze", x(2), dim=1)
case("expand", x(1, 3), 2, 3)
case("expand", x(3), (2, 3))
case("expand", x(2, 1), -1, 3)
case("expand", x(1, 3), 2, 2, -1)
case("expand", x(1), 0)
case("expand", x(), 2, 2)
case("expand", x(2, 3), 2, 3)
case("broadcast_to", x(3), (2, 3))
case("broadcast_to", x(2, 1), (2, 3))
case("broadcast_to", x(), (2,))
case("reshape", x(2, 3), shape=[3, -1])
case("reshape", x(2, 3).strided, (-1, 2))
case("reshape", x(2, 3, dtype="float16"), (6,))
case("reshape_as", x(2, 3), x(3, 2).fixed)
case("reshape_as", x(3, 2).transposed, other=x(6).fixed)
case("reshape_as", x(0, 2), x(3, 0).fixed)
case("reshape_as", x(), x(1, 1).fixed)
case("view", x(2, 3), size=(6,))
case("view", x(0, 3), 3, 0)
case("view_as", x(2, 3), x(3, 2).fixed)
case("view_as", x(2, 2), other=x(4).fixed)
case("view_as", x(1), x().fixed)
case("flatten", x(2, 3).transposed)
case("ravel", x(2, 3))
case("ravel", x(3, 2).transposed)
case("ravel", x())
case("ravel", x(0, 2))
case("ravel", given([[1, 2]], "int64"))
case("unflatten", x(6), 0, (2, 3))
case("unflatten", x(2, 6), -1, (3, -1))
case("unflatten", x(4, 2), dim=0, sizes=[2, 1, 2])
case("unflatten", x(0, 2), 0, (2, 0))
case("unflatten", x(0, 2), 0, (3, -1))
case("unflatten", x(2, 4).strided, 1, (2, 2))
case("squeeze", x(2, 3), (0,))
case("expand", x(3), size=(2, 3))
case("expand", x(2, 1).strided, 2, 2)
case("expand", given([1, 2], "int64"), 2, 2)
case("expand_as", x(1, 3), x(2, 3).fixed)
case("expand_as", x(), x(2).fixed)
case("expand_as", x(1), other=x(0).fixed)
case("broadcast_to", x(1), (0,))
case("broadcast_to", x(2, 1), (3, 2, -1))
case("broadcast_to", x(1, 2), size=[2, 2])
case("broadcast_tensors", x(2, 1), x(3))
case("broadcast_tensors", x(), x(2, 1), x(1, 2))
case("broadcast_tensors", x(2))
case("broadcast_tensors", x(0, 1), x(3))
case("broadcast_tensors", x(2, dtype="float32"), given([[1], [2]], "int64"))
case("broadcast_shapes", (2, 1), (3,))
case("broadcast_shapes", 3, (2, 1), [1, 1])
case("broadcast_shapes", ())
case("broadcast_shapes", (0, 1), (1, 5))
case("numel", x(2, 3))
case("numel", x())
case("numel", x(0, 2))
case("numel", input=x(2))
case("is_contiguous", x(2, 3))
case("is_contiguous", x(2, 3).transposed)
case("is_contiguous", x(2, 3).strided)


@st.composite
def splits(draw: st.DrawFn) -> Any:
    """A dimension and sizes that mostly multiply to it."""
    sizes = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    whole = 1
    for n in sizes:
        whole *= n
    if draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = draw(st.sampled_from([-1, -1, 2]))
    a, b = draw(st.lists(st.integers(0, 2), max_size=2)), draw(st.lists(st.integers(0, 2), max_size=2))
    dim = draw(st.sampled_from([len(a), -len(b) - 1]))
    return (draw(tensors(st.just((*a, whole, *b)))), dim, tuple(sizes)), {}


table.drawn("squeeze", with_dim(several=True))
table.drawn("unsqueeze", with_dim())
table.drawn("flatten", unary(start_dim=st.integers(-3, 2), end_dim=st.integers(-3, 2)))
table.drawn("unflatten", splits())
table.drawn("reshape", unary(shape=st.lists(st.sampled_from([-1, 0, 1, 2, 3, 4, 6]), max_size=3)))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(ShapeError, lambda m: m.ones(2, 3).reshape(4, 2), "reshape:", "6 elements", "(2, 3)", "(4, 2)")
wrong(ShapeError, lambda m: m.ones(2, 3).reshape(-1, 4), "reshape:", "(2, 3)", "(-1, 4)")
wrong(ShapeError, lambda m: m.ones(2, 3).reshape(-1, -1), "reshape:", "at most one -1", "(-1, -1)")
wrong(ShapeError, lambda m: m.ones(2, 3).reshape(-2, 3), "reshape:", ">= 0", "(-2, 3)")
wrong(ShapeError, lambda m: m.ones(0).reshape(-1, 0), "reshape:", "(0,)", "(-1, 0)")
wrong(ArgumentTypeError, lambda m: m.ones(2, 3).reshape(1.5, 4), "reshape:", "integers", "(1.5, 4)")
wrong(ShapeError, lambda m: m.ones(2, 3).t().view(6), "view:", "(3, 2)", "write reshape")
wrong(DimError, lambda m: m.ones(2, 3).flatten(1, 0), "flatten:", "start_dim 1", "end_dim 0")
wrong(DimError, lambda m: m.ones(2, 3).flatten(2), "flatten:", "dim 2", "-2 to 1")
wrong(DimError, lambda m: m.ones(2, 1).squeeze(2), "squeeze:", "dim 2", "-2 to 1")
wrong(DimError, lambda m: m.ones(2).unsqueeze(3), "unsqueeze:", "dim 3", "1 dimensions", "-2 to 1")
wrong(ShapeError, lambda m: m.ones(2, 3).expand(2, 4), "expand:", "(2, 3)", "(2, 4)", "sizes of 1")
wrong(ShapeError, lambda m: m.ones(2, 3).expand(3), "expand:", "(3,)", "(2, 3)")
wrong(ShapeError, lambda m: m.ones(3).expand(-1, 3), "expand:", "(-1, 3)")
wrong(ShapeError, lambda m: m.broadcast_to(m.ones(2), (3,)), "broadcast_to:", "(2,)", "(3,)")
wrong(ArgumentTypeError, lambda m: m.ones(2).reshape(), "reshape:", "shape")
wrong(ArgumentTypeError, lambda m: m.ones(2).reshape([m.ones(2), 1]), "reshape:", "integers")
wrong(ShapeError, lambda m: m.ones(4).reshape(-2, -2), "reshape:", ">= 0", "(-2, -2)")
wrong(ShapeError, lambda m: m.ones(2, 3).reshape_as(m.ones(4)), "reshape_as:", "6 elements", "(2, 3)", "(4,)")
wrong(ArgumentTypeError, lambda m: m.ones(2, 3).reshape_as((6,)), "reshape_as:", "tuple: (6,)", "write minigrad.tensor")
wrong(ShapeError, lambda m: m.ones(2, 3).view_as(m.ones(4)), "view_as:", "6 elements", "(4,)")
wrong(ShapeError, lambda m: m.ones(2, 3).t().view_as(m.ones(6)), "view_as:", "(3, 2)", "write reshape")
wrong(ShapeError, lambda m: m.ones(2, 3).expand_as(m.ones(2, 4)), "expand_as:", "(2, 3)", "(2, 4)")
wrong(ArgumentTypeError, lambda m: m.ones(2).expand_as(2), "expand_as:", "int: 2")
wrong(ArgumentTypeError, lambda m: m.ones(2).expand(2.0), "expand:", "integers", "(2.0,)")
wrong(ArgumentTypeError, lambda m: m.ravel([1.0]), "ravel:", "list", "write minigrad.tensor(x)")
wrong(ArgumentTypeError, lambda m: m.numel(2), "numel:", "int: 2")
wrong(ShapeError, lambda m: m.ones(6).unflatten(0, (2, 2)), "unflatten:", "(2, 2)", "6", "dim 0")
wrong(ShapeError, lambda m: m.ones(6).unflatten(0, (-1, 4)), "unflatten:", "(-1, 4)")
wrong(ShapeError, lambda m: m.ones(6).unflatten(0, (-1, -1)), "unflatten:", "at most one -1")
wrong(ShapeError, lambda m: m.ones(0).unflatten(0, (-1, 0)), "unflatten:", "(-1, 0)")
wrong(ShapeError, lambda m: m.ones(1).unflatten(0, ()), "unflatten:", "empty")
wrong(DimError, lambda m: m.ones(6).unflatten(1, (2, 3)), "unflatten:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(()).unflatten(0, (1,)), "unflatten:", "0-dim")
wrong(ShapeError, lambda m: m.broadcast_tensors(m.ones(2), m.ones(3)), "broadcast_tensors:", "(2,)", "(3,)")
wrong(ArgumentTypeError, lambda m: m.broadcast_tensors([m.ones(2)]), "broadcast_tensors:", "list")
wrong(ShapeError, lambda m: m.broadcast_shapes((2,), (3,)), "broadcast_shapes:", "(2,)", "(3,)")
wrong(ShapeError, lambda m: m.broadcast_shapes((-1, 2)), "broadcast_shapes:", "negative")
wrong(ArgumentTypeError, lambda m: m.broadcast_shapes((1.5,)), "broadcast_shapes:", "integers", "1.5")

# --- views: what is changed through them is noticed -------------------------------------------------------------------

for change in (
    lambda x: x.reshape(6).add_(1), lambda x: x.view(6).add_(1), lambda x: x.view_as(x).add_(1),
    lambda x: x.flatten().add_(1), lambda x: x.ravel().add_(1), lambda x: x.unflatten(1, (3, 1)).add_(1),
    lambda x: x.unsqueeze(0).add_(1), lambda x: x.squeeze().add_(1), lambda x: x.movedim(0, 1).add_(1),
    lambda x: x.swapaxes(0, 1).add_(1), lambda x: x.narrow(0, 0, 1).add_(1), lambda x: x.select(0, 0).add_(1),
    lambda x: x.split(1)[0].add_(1), lambda x: x.chunk(2)[0].add_(1), lambda x: x.unbind()[0].add_(1),
    lambda x: x.tensor_split(2)[0].add_(1), lambda x: x.hsplit(3)[0].add_(1),
):  # fmt: skip

    def changed(m: Any, change: Any = change) -> Any:
        weight, fixed = m.ones(2, 3, requires_grad=True), m.ones(2, 3)
        product = weight * fixed
        change(fixed)
        return product.sum().backward()

    wrong(MutationError, changed, "mul:", "changed in place")
