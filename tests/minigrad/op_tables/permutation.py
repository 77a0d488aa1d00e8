"""The order of dimensions."""

from __future__ import annotations

from hypothesis import strategies as st
from op_harness import Table, given, x
from op_strategies import unary

from minigrad.errors import ArgumentTypeError, DimError, ShapeError

table = Table("permutation")
case, wrong = table.case, table.wrong

case("permute", x(2, 3, 4), (2, 0, 1))
case("permute", x(2, 3), (1, 0))
case("permute", x(2, 1, 3), (-1, 0, 1))
case("permute", x(2, 1, 3), 1, 2, 0, call=lambda m, a, *dims: a.permute(*dims), note="by dims")
case("permute", x(), ())
case("transpose", x(2, 3), 0, 1)
case("transpose", x(2, 3, 2), -1, 0)
case("transpose", x(2, 3), 1, 1)
case("transpose", x(2, 3), dim0=0, dim1=-1)
case("transpose", x(), 0, -1)
case("t", x(2, 3))
case("t", x(3))
case("t", x())
case("t", x(2, 3), call=lambda m, a: a.T, note="by T")
case("t", x(2, 2, 3), call=lambda m, a: a.mT, note="by mT")
case("permute", x(2, 3), dims=[1, 0])
case("permute", x(2, 0, 3).transposed, (1, 2, 0))
for op in ("swapaxes", "swapdims"):
    case(op, x(2, 3), 0, 1)
    case(op, x(2, 3, 2), -1, 0)
    case(op, x(), 0, -1)
case("swapaxes", x(2, 3).strided, axis0=0, axis1=-1)
case("swapdims", x(2, 3).strided, dim0=0, dim1=-1)
case("adjoint", x(2, 3))
case("adjoint", x(2, 1, 3).transposed)
case("adjoint", x(0, 3))
for op in ("movedim", "moveaxis"):
    case(op, x(2, 3, 4), 0, 2)
    case(op, x(2, 3, 4), -1, 0)
    case(op, x(2, 3, 4), (0, 1), (1, 2))
    case(op, x(2, 3, 4, 1), source=[3, 0], destination=[0, -2])
    case(op, x(2, 3), (), ())
    case(op, x(), 0, -1)
    case(op, x(2, 0).strided if op == "movedim" else x(2, 0), 1, 0)
case("movedim", given([[1, 2]], "int64"), 0, 1)

DIM = st.integers(-3, 2)
SOME = st.lists(DIM, max_size=3)
table.drawn("movedim", unary(source=DIM, destination=DIM))
table.drawn("movedim", unary(source=SOME, destination=SOME))
table.drawn("permute", unary(dims=SOME))
table.drawn("transpose", unary(dim0=DIM, dim1=DIM))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(DimError, lambda m: m.ones(2, 3).permute(0, 0), "permute:", "(0, 0)", "(2, 3)", "once")
wrong(DimError, lambda m: m.ones(2, 3).permute(0), "permute:", "(0,)", "(2, 3)")
wrong(DimError, lambda m: m.ones(2, 3).transpose(0, 2), "transpose:", "dim 2", "-2 to 1")
wrong(ShapeError, lambda m: m.ones(2, 3, 4).t(), "t:", "at most 2", "(2, 3, 4)", "x.transpose")
wrong(DimError, lambda m: m.ones(2).mT, "transpose:", "dim -2", "1 dimensions")
wrong(ArgumentTypeError, lambda m: m.ones(2).permute(), "permute:", "dims")
wrong(ArgumentTypeError, lambda m: m.ones(2).permute("a"), "permute:", "integers", "'a'")
wrong(ArgumentTypeError, lambda m: m.ones(2).transpose(0, 1.0), "transpose:", "float: 1.0")
wrong(DimError, lambda m: m.ones(2, 3).swapaxes(0, 2), "swapaxes:", "dim 2", "-2 to 1")
wrong(DimError, lambda m: m.ones(2, 3).swapdims(-3, 0), "swapdims:", "dim -3", "-2 to 1")
wrong(DimError, lambda m: m.ones(2).adjoint(), "adjoint:", "dim -2", "1 dimensions")
wrong(DimError, lambda m: m.ones(2, 3).movedim((0, 0), (0, 1)), "movedim:", "twice", "(0, 0)")
wrong(DimError, lambda m: m.ones(2, 3).movedim((0, 1), (1, -1)), "movedim:", "twice", "(1, -1)")
wrong(DimError, lambda m: m.ones(2, 3).movedim((0, 1), (1,)), "movedim:", "(0, 1)", "(1,)", "as many")
wrong(DimError, lambda m: m.ones(2, 3).movedim(2, 0), "movedim:", "dim 2", "-2 to 1")
wrong(ArgumentTypeError, lambda m: m.ones(2, 3).movedim(0, (1,)), "movedim:", "two integers or two tuples")
wrong(DimError, lambda m: m.ones(2, 3).moveaxis(0, 5), "moveaxis:", "dim 5", "-2 to 1")
