"""Diagonals and triangles."""

from __future__ import annotations

from hypothesis import strategies as st
from op_harness import Table, given, x
from op_strategies import unary

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, ShapeError

table = Table("diagonals")
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")

for op in ("tril", "triu"):
    case(op, x(3, 3))
    case(op, x(2, 4), 1)
    case(op, x(4, 2), -1)
    case(op, x(2, 3), diagonal=5)
    case(op, x(2, 3), diagonal=-5)
    case(op, x(2, 2, 3).transposed)
    case(op, x(3, 3).strided, 0)
    case(op, x(0, 2))
    case(op, x(2, 2, dtype="float16"))
    case(op, given([[1, 2], [3, 4]], "int64"))
    case(op, given([[True, True], [True, False]], "bool"))
    case(op, given([[NAN, INF], [INF, NAN]]), smooth=False)
case("diagonal", x(3, 3))
case("diagonal", x(2, 4), 1)
case("diagonal", x(4, 2), -1)
case("diagonal", x(2, 3), 9)
case("diagonal", x(2, 3), -2)
case("diagonal", x(2, 3, 4), 1, 2, 0)
case("diagonal", x(2, 3, 4).transposed, offset=-1, dim1=-2, dim2=-1)
case("diagonal", x(0, 3))
case("diagonal", x(2, 3).strided)
case("diag_embed", x(3))
case("diag_embed", x(2, 3))
case("diag_embed", x(2), 1)
case("diag_embed", x(2, 3), -1, 0, 2)
case("diag_embed", x(3), 1, 1, 0)
case("diag_embed", x(2, 1, 2).transposed, offset=2, dim1=-1, dim2=1)
case("diag_embed", x(0))
case("diag_embed", x(0), -2)
case("diag", x(3))
case("diag", x(2), 1)
case("diag", x(2), -2)
case("diag", x(2, 3))
case("diag", x(3, 2).transposed, diagonal=-1)
case("diag", x(2, 3), 7)
case("diag", x(0))
case("diag", given([1, 2], "int64"))
case("diagflat", x(3))
case("diagflat", x(2, 2).transposed)
case("diagflat", x(2), 1)
case("diagflat", x(), offset=-1)
case("diagflat", x(0))

DIM, OFFSET = st.integers(-3, 2), st.integers(-3, 3)
for op in ("tril", "triu", "diag"):
    table.drawn(op, unary(diagonal=OFFSET))
for op in ("diagonal", "diag_embed"):
    table.drawn(op, unary(offset=OFFSET, dim1=DIM, dim2=DIM))
table.drawn("diagflat", unary(offset=OFFSET))

# --- wrong calls ------------------------------------------------------------------------------------------------------

wrong(ShapeError, lambda m: m.ones(2).tril(), "tril:", "at least 2", "(2,)")
wrong(ShapeError, lambda m: m.ones(()).triu(), "triu:", "at least 2", "()")
wrong(ArgumentTypeError, lambda m: m.ones(2, 2).triu(0.5), "triu:", "diagonal", "float: 0.5")
wrong(ArgumentTypeError, lambda m: m.tril([[1.0]]), "tril:", "list", "minigrad.tensor")
wrong(ArgumentError, lambda m: m.ones(2, 2).tril(2**70), "tril:", "64 bits", "got 1180591620717411303424")
wrong(DimError, lambda m: m.ones(2).diagonal(), "diagonal:", "dim 1", "-1 to 0")
wrong(DimError, lambda m: m.ones(2, 2).diagonal(0, 1, -1), "diagonal:", "differ", "1 and -1")
wrong(ArgumentTypeError, lambda m: m.ones(2, 2).diagonal(None), "diagonal:", "offset", "NoneType")
wrong(DimError, lambda m: m.ones(2).diag_embed(0, 0, 0), "diag_embed:", "differ", "0 and 0")
wrong(DimError, lambda m: m.ones(2).diag_embed(0, 0, 2), "diag_embed:", "dim 2", "-2 to 1")
wrong(DimError, lambda m: m.ones(()).diag_embed(), "diag_embed:", "0-dim")
wrong(ShapeError, lambda m: m.ones(()).diag(), "diag:", "1 or 2", "()")
wrong(ShapeError, lambda m: m.ones(1, 2, 2).diag(), "diag:", "(1, 2, 2)", "write diagonal")
wrong(ArgumentTypeError, lambda m: m.ones(2).diagflat("a"), "diagflat:", "offset", "str: 'a'")
