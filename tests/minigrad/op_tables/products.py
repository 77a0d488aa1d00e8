"""Bilinear maps, and the modules of nn/linear.py; `linear` itself is among the products of linear_algebra.py."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Draw, Table, given, integers, x

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table("products")
case, wrong, layer = table.case, table.wrong, table.layer

NAN, INF = float("nan"), float("inf")


case("bilinear", x(2, 3), x(2, 2), x(4, 3, 2))
case("bilinear", x(2, 3), x(2, 2), x(4, 3, 2), x(4))
case("bilinear", x(3), x(2), x(4, 3, 2), x(4))
case("bilinear", x(2, 2, 3), x(2, 2, 2), x(2, 3, 2), bias=x(2))
case("bilinear", input1=x(1, 1), input2=x(1, 1), weight=x(1, 1, 1), bias=None)
case("bilinear", x(0, 3), x(0, 2), x(4, 3, 2), x(4))
case("bilinear", x(2, 3), x(2, 2), x(0, 3, 2))
case("bilinear", x(3, 2).transposed, x(3, 3).strided, x(2, 2, 3).transposed, x(2).strided)
case("bilinear", x(2, 3).fixed, x(2, 2), x(4, 3, 2), x(4).fixed)
case("bilinear", x(2, 3, dtype="float16"), x(2, 2, dtype="float16"), x(4, 3, 2, dtype="float16"))
case("bilinear", integers(2, 3, high=-4), integers(2, 2, high=-4), integers(4, 3, 2, high=-4))
case("bilinear", given([[1.0, NAN], [INF, 1.0]]), x(2, 2), x(2, 2, 2), smooth=False)


@st.composite
def bilinear_arguments(draw: st.DrawFn) -> Any:
    leading = tuple(draw(st.lists(st.integers(0, 3), max_size=2)))
    in1, in2, outputs = (draw(st.integers(1, 3)) for _ in range(3))
    bias = draw(st.sampled_from([(), (Draw((outputs,)),), (Draw((2,)),)]))
    return (Draw((*leading, in1)), Draw((*leading, in2)), Draw((outputs, in1, in2)), *bias), {}


table.drawn("bilinear", bilinear_arguments())

layer("Linear", x(2, 3), build=(3, 4))
layer("Linear", x(3), build=(3, 2))
layer("Linear", x(2, 2, 3), in_features=3, out_features=2, bias=False)
layer("Bilinear", x(2, 3), x(2, 2), build=(3, 2, 4))
layer("Bilinear", x(2, 3), x(2, 2), in1_features=3, in2_features=2, out_features=2, bias=False)
layer("Identity", x(2, 3))
layer("Identity", x(2, 3), build=(54, "any"), unused=0.1)
layer("Flatten", x(2, 3, 2))
layer("Flatten", x(2, 3, 2), build=(0, 1))
layer("Flatten", x(2, 3, 2), start_dim=-2)
layer("Unflatten", x(2, 6), build=(1, (2, 3)))
layer("Unflatten", x(2, 6), build=(-1, [3, -1]))
layer("Unflatten", x(4, 2), dim=0, unflattened_size=(2, 1, 2))

# --- wrong calls ------------------------------------------------------------------------------------------------------


def bilinear(m: Any, input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    return m.nn.functional.bilinear(input1, input2, weight, bias)


wrong(
    ShapeError, lambda m: bilinear(m, m.ones(2, 3), m.ones(3, 2), m.ones(4, 3, 2)), "bilinear:", "leading", "(2, 3)",
    "(3, 2)",
)  # fmt: skip
wrong(ShapeError, lambda m: bilinear(m, m.ones(2, 2, 3), m.ones(2, 2), m.ones(4, 3, 2)), "bilinear:", "(2, 2, 3)")
wrong(
    ShapeError, lambda m: bilinear(m, m.ones(2, 3), m.ones(2, 2), m.ones(4, 2, 3)), "bilinear:", "weight",
    "(..., 3, 2)", "(4, 2, 3)",
)  # fmt: skip
wrong(
    ShapeError, lambda m: bilinear(m, m.ones(2, 3), m.ones(2, 2), m.ones(4, 3, 2), m.ones(3)), "bilinear:", "bias",
    "(4,)", "(3,)",
)  # fmt: skip
wrong(
    DtypeError, lambda m: bilinear(m, m.ones(2, 3), m.ones(2, 2), m.ones(4, 3, 2).double()), "bilinear:",
    "float32, float32, float64", ".to(dtype)",
)  # fmt: skip
wrong(ArgumentTypeError, lambda m: bilinear(m, [1.0], m.ones(2, 2), m.ones(4, 3, 2)), "bilinear:", "input1", "list")
wrong(ArgumentError, lambda m: m.nn.Linear(-1, 2), "Linear:", "in_features=-1")
wrong(ArgumentError, lambda m: m.nn.Bilinear(0, 2, 3), "Bilinear:", "in1_features=0")
wrong(ShapeError, lambda m: m.nn.Linear(3, 2)(m.ones(2, 4)), "linear:", "(2, 4)", "(2, 3)")
wrong(ArgumentTypeError, lambda m: m.nn.Unflatten(1, 2), "Unflatten:", "tuple of integers", "2")
wrong(ArgumentTypeError, lambda m: m.nn.Unflatten(1, (2, 2.5)), "Unflatten:", "tuple of integers", "2.5")
wrong(ShapeError, lambda m: m.nn.Unflatten(1, (3, 2))(m.ones(2, 4)), "unflatten:", "(3, 2)", "4")
wrong(NotImplementedError, lambda m: m.nn.Unflatten("a", (2, 2)), "Unflatten:", "dim as an integer", torch_allows=True)
