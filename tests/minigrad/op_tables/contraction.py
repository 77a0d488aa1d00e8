"""einsum, tensordot, kron."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Draw, Table, booleans, given, integers, x
from op_strategies import LAYOUTS, tensors

from minigrad.errors import ArgumentError, ArgumentTypeError, DimError, DtypeError, ShapeError

table = Table("contraction")
case, wrong = table.case, table.wrong

NAN, INF = float("nan"), float("inf")

# --- einsum -----------------------------------------------------------------------------------------------------------

ONE = [
    ("ij->ji", (2, 3)), ("ij", (2, 3)), ("ji", (2, 3)), ("ij->", (2, 3)), ("ij->j", (2, 3)), ("ii", (3, 3)),
    ("ii->i", (3, 3)), ("iij->ij", (2, 2, 3)), ("iji->j", (2, 3, 2)), ("iijj->ij", (2, 2, 3, 3)), ("iii->i", (2, 2, 2)),
    ("...ij->...ji", (2, 3, 2)), ("...->...", (2, 3)), ("i...", (2, 3, 2)), ("b...a", (2, 3, 2)), ("...i->i", (2, 3)),
    ("->", ()), ("", ()), ("aB", (2, 3)), ("ij->j", (0, 3)), ("i...i->...", (2, 3, 2)), ("...ii->...i", (0, 2, 2)),
    ("ij->...ij", (2, 3)),
]  # fmt: skip
for equation, shape in ONE:
    case("einsum", equation, x(*shape))
TWO = [
    ("ij,jk", (2, 3), (3, 4)), ("ij,jk->ik", (2, 3), (3, 2)), ("ij,jk->ki", (2, 3), (3, 2)), ("ij,kj", (2, 3), (4, 3)),
    ("i,i", (3,), (3,)), ("i,j->ij", (2,), (3,)), ("i,j", (2,), (3,)), ("ij,ij->ij", (2, 3), (2, 3)),
    ("ij,ij->i", (2, 3), (2, 3)), ("bij,bjk->bik", (2, 2, 3), (2, 3, 2)), ("bij,bkj->bki", (2, 2, 3), (2, 4, 3)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 2), (2, 2, 4, 2)), ("bqhd,bkhd->bhqk", (2, 3, 2, 2), (2, 2, 2, 2)),
    ("...ij,...jk->...ik", (2, 2, 3), (3, 2)), ("...ij,jk", (4, 2, 3), (3, 2)), ("...,...", (2, 3), (3,)),
    ("i...,i...->...", (2, 3), (2, 1)), ("ij,jk->ik", (2, 1), (3, 2)), ("ij,jk", (2, 3), (1, 2)),
    ("ij,ij->ij", (1, 3), (2, 1)), ("ij,jk->k", (2, 3), (3, 2)), ("ij,kl->il", (2, 3), (2, 2)),
    ("ii,ij->j", (2, 2), (2, 3)),
    ("ij,->ij", (2, 3), ()), (",", (), ()), ("ijk,jl->", (2, 3, 2), (3, 2)), ("ij,jk", (0, 3), (3, 2)),
    ("ij,jk", (2, 0), (0, 3)), ("ij,jk", (1, 1), (1, 1)), ("i,i->i", (1,), (1,)), ("i,i", (0,), (1,)),
    ("i j , j k -> k i", (2, 3), (3, 2)), ("...a,...a->...", (2, 1, 3), (4, 3)), ("aA,Ab", (2, 3), (3, 2)),
]  # fmt: skip
for equation, left, right in TWO:
    case("einsum", equation, x(*left), x(*right))
case("einsum", "bi,ijk,bk->bj", x(2, 3), x(3, 2, 2), x(2, 2))
case("einsum", "ij,jk,kl", x(2, 3), x(3, 2), x(2, 4))
case("einsum", "a,b,c->abc", x(2), x(3), x(1))
case("einsum", "i,i,i,i", x(3), x(3), x(3), x(3))
case("einsum", "ij,jk,ki->", x(2, 3), x(3, 2), x(2, 2))
case("einsum", "...i,ij,...j->...", x(2, 2), x(2, 3), x(1, 3))
case("einsum", "ij,jk", [x(2, 3), x(3, 2)], note="as a list")
case("einsum", "ij,jk", x(3, 2).transposed, x(2, 3).strided)
case("einsum", "ii->i", x(3, 3).strided)
case("einsum", "ij,jk", x(2, 3).fixed, x(3, 2))
case("einsum", "ij,ij", x(2, 3), call=lambda m, e, a: m.einsum(e, a, a), note="with itself")
case("einsum", "ij,jk", x(2, 3, dtype="float16"), x(3, 2, dtype="float16"))
case("einsum", "ij,jk", integers(2, 3, high=-5, dtype="int32"), integers(3, 2, high=-5, dtype="int32"))
case("einsum", "ij->j", integers(2, 3, high=5, dtype="int32"))
case("einsum", "i,j->ij", integers(2, high=5), x(3), note="promoted")
case("einsum", "i,j->ij", booleans(2), booleans(3))
case("einsum", "ij->i", booleans(2, 3))
case("einsum", "ij,j->i", given([[1.0, INF], [NAN, 0.0]]), given([0.0, 1.0]), smooth=False)


def by_lists(*lists: list[Any]) -> Any:
    """einsum(x, [0, 1], y, [1, 2], [0, 2])"""

    def called(m: Any, *operands: Any) -> Any:
        pairs = [part for pair in zip(operands, lists, strict=False) for part in pair]
        return m.einsum(*pairs, *lists[len(operands) :])

    return called


case("einsum", x(2, 3), x(3, 2), call=by_lists([0, 1], [1, 2], [2, 0]), note="by lists")
case("einsum", x(2, 3), x(3, 2), call=by_lists([0, 1], [1, 2]), note="by lists, implicit output")
case("einsum", x(2, 3), call=by_lists([1, 0]), note="by a list, transposed")
case("einsum", x(2, 3, 2), x(2, 4), call=by_lists([..., 1], [1, 30], [..., 30]), note="by lists with an ellipsis")
case("einsum", x(2, 3), call=by_lists([26, 25]), note="by a list, capitals first")


@st.composite
def equations(draw: st.DrawFn) -> Any:
    """One to three operands over four letters, an ellipsis now and then, sizes of 1 that broadcast, and any output."""
    sizes = {letter: draw(st.sampled_from([0, 1, 2, 3])) for letter in "abcd"}
    covered = draw(st.lists(st.sampled_from([1, 2, 3]), max_size=2))
    terms, operands = [], []
    for _ in range(draw(st.integers(1, 3))):
        letters = draw(st.lists(st.sampled_from("abcd"), max_size=3, unique=draw(st.integers(0, 3)) > 0))
        shape = [sizes[letter] for letter in letters]
        if len(set(letters)) == len(letters):
            shape = [draw(st.sampled_from([n, n, n, 1])) for n in shape]
        if draw(st.booleans()):
            place, count = draw(st.integers(0, len(letters))), draw(st.integers(0, len(covered)))
            letters.insert(place, "...")
            shape[place:place] = [draw(st.sampled_from([n, n, 1])) for n in covered[len(covered) - count :]]
        terms.append("".join(letters))
        layout = draw(LAYOUTS) if shape else "plain"
        operands.append(Draw(tuple(shape), layout=layout))
    equation = ",".join(terms)
    if draw(st.booleans()):
        used = sorted(set("".join(terms)) - {"."})
        output = draw(st.lists(st.sampled_from(used), max_size=4, unique=True)) if used else []
        if "..." in equation and draw(st.integers(0, 3)):
            output.insert(draw(st.integers(0, len(output))), "...")
        equation += "->" + "".join(output)
    return (equation, *operands), {}


table.drawn("einsum", equations())

# --- tensordot --------------------------------------------------------------------------------------------------------

case("tensordot", x(2, 3, 2), x(3, 2, 4))
case("tensordot", x(2, 3), x(3, 4), 1)
case("tensordot", x(2, 3), x(2, 2), dims=0)
case("tensordot", x(2, 3), x(2, 4), dims=([0], [0]))
case("tensordot", x(2, 3, 4), x(4, 2, 2), dims=[[0, 2], [1, 0]])
case("tensordot", x(2, 3, 4), x(4, 2), dims=([-1, 0], [0, -1]))
case("tensordot", x(2, 3), x(3, 4), dims=([], []))
case("tensordot", x(2, 3), x(1, 4), dims=1, note="broadcast")
case("tensordot", x(2, 1), x(3, 4), dims=1, note="broadcast")
case("tensordot", x(2, 3), x(2, 3), dims=2)
case("tensordot", x(2, 0), x(0, 3), dims=1)
case("tensordot", x(0, 2), x(2, 3), dims=1)
case("tensordot", x(), x(2), dims=0)
case("tensordot", x(3, 2).transposed, x(2, 2).strided, dims=1)
case("tensordot", integers(2, 3, high=-5, dtype="int32"), integers(3, high=-5, dtype="int32"), dims=1)
case("tensordot", x(2, 3), x(3, 2), call=lambda m, a, b: m.tensordot(a, b, m.tensor([[1], [0]])), note="by a tensor")
table.drawn("tensordot", st.tuples(st.tuples(tensors(), tensors()), st.fixed_dictionaries({"dims": st.integers(0, 2)})))

# --- kron -------------------------------------------------------------------------------------------------------------

case("kron", x(2), x(3))
case("kron", x(2, 3), x(2, 2))
case("kron", x(2, 2), x(3))
case("kron", x(3), x(2, 2))
case("kron", x(), x(2, 3))
case("kron", x(2, 1, 2), x(2, 2))
case("kron", x(0, 2), x(2, 2))
case("kron", x(2, 3).strided, x(2, 2).strided)  # PyTorch fails for transposed operands
case("kron", x(2), integers(2, 2, high=5), note="promoted")
case("kron", integers(2, high=5), integers(2, high=-5))
case("kron", given([1.0, NAN]), given([0.0, INF]), smooth=False)
case("kron", x(2, dtype="float16"), x(2, dtype="float16"))
table.drawn("kron", st.tuples(st.tuples(tensors(), tensors()), st.just({})))

# --- wrong calls ------------------------------------------------------------------------------------------------------


def refused_einsum(error: Any, *arguments: Any, says: tuple[str, ...]) -> None:
    """Tensors are given by their shapes."""

    def made(m: Any, argument: Any) -> Any:
        return m.ones(argument) if isinstance(argument, tuple) else argument

    wrong(error, lambda m: m.einsum(*[made(m, a) for a in arguments]), "einsum:", *says)


refused_einsum(ShapeError, "ij,jk", (2, 2), (3, 2), says=("'j'", "size 3 in operand 1", "2 before"))
refused_einsum(ShapeError, "ii", (2, 3), says=("'i'", "size 3 in operand 0", "2 before"))
refused_einsum(ShapeError, "ii->i", (1, 3), says=("'i'", "size 3", "1 before"))
refused_einsum(ShapeError, "...,...", (2, 3), (4,), says=("dimension -1 of the ellipsis", "size 4 in operand 1"))
refused_einsum(ShapeError, "ijk->ik", (2, 2), says=("operand 0 has 2 dimensions", "3 subscripts"))
refused_einsum(ShapeError, "i->i", (2, 2), says=("operand 0 has 2 dimensions", "1 subscripts", "'...' for the rest"))
refused_einsum(ArgumentError, "ij->ii", (2, 2), says=("'i' more than once",))
refused_einsum(ArgumentError, "ij->ik", (2, 2), says=("output subscript 'k'",))
refused_einsum(ArgumentError, "ij,jk", (2, 2), says=("2 terms", "1 operands"))
refused_einsum(ArgumentError, "ij", (2, 2), (2, 2), says=("1 terms", "2 operands"))
refused_einsum(ArgumentError, "ij", says=("without operands",))
refused_einsum(ArgumentError, "i1", (2, 2), says=("'1'", "'i1'", "letters"))
refused_einsum(ArgumentError, "i..", (2, 2), says=("'.'", "'i..'"))
refused_einsum(ArgumentError, "...i...", (2, 2), says=("'.'", "at most once"))
refused_einsum(ArgumentError, "ij-ij", (2, 2), says=("'-'",))
refused_einsum(ArgumentError, "ij->ij->", (2, 2), says=("'-'",))
refused_einsum(ArgumentTypeError, "i", [1.0, 2.0], says=("Tensors", "float"))
refused_einsum(ArgumentTypeError, 3, (2, 2), says=("must be a string", "int"))
refused_einsum(ArgumentTypeError, (2, 2), "ij", says=("a list of subscripts", "str"))
wrong(ArgumentError, lambda m: m.einsum(m.ones(2, 2), [0, 60]), "einsum:", "0 to 51", "60")
wrong(DtypeError, lambda m: m.einsum("i,i", m.ones(2), m.ones(2).double()), "einsum:", "float32 and float64")
wrong(DtypeError, lambda m: m.einsum("i,i", m.ones(2).bool(), m.ones(2).bool()), "einsum:", "bool")
wrong(ShapeError, lambda m: m.tensordot(m.ones(2, 3), m.ones(2, 4), 1), "tensordot:", "dim 1", "size 3", "size 2")
wrong(ArgumentError, lambda m: m.tensordot(m.ones(2), m.ones(2), -1), "tensordot:", "dims=-1")
wrong(ArgumentError, lambda m: m.tensordot(m.ones(2, 3), m.ones(2, 3), 3), "tensordot:", "dims=3", "(2, 3)")
wrong(ArgumentError, lambda m: m.tensordot(m.ones(2), m.ones(2), ([0], [])), "tensordot:", "as many dims", "[0]")
wrong(DimError, lambda m: m.tensordot(m.ones(2, 2), m.ones(2, 2), ([0, 0], [0, 1])), "tensordot:", "twice")
wrong(DimError, lambda m: m.tensordot(m.ones(2), m.ones(2), ([1], [0])), "tensordot:", "dim 1", "-1 to 0")
wrong(ArgumentTypeError, lambda m: m.tensordot(m.ones(2), m.ones(2), [0, 0]), "tensordot:", "two lists", "[0, 0]")
wrong(ArgumentTypeError, lambda m: m.tensordot(m.ones(2), m.ones(2), 1.5), "tensordot:", "1.5")
wrong(DtypeError, lambda m: m.tensordot(m.ones(2), m.ones(2).double(), 1), "tensordot:", "float32 and float64")
wrong(ArgumentTypeError, lambda m: m.kron(m.ones(2), 2.0), "kron:", "Tensors", "float: 2.0")
