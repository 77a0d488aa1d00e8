"""Sliding blocks of an image as columns, and back."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, given, x
from op_strategies import tensors

from minigrad.errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError

table = Table("folding")
case, layer, wrong = table.case, table.layer, table.wrong

NAN, INF = float("nan"), float("inf")


def unfold(m: Any, *args: Any, **options: Any) -> Any:
    """The function of nn.functional; the method of Tensor with the same name is another one."""
    return m.nn.functional.unfold(*args, **options)


case("unfold", x(2, 3, 4, 3), 2, call=unfold)
case("unfold", x(3, 4, 3), (2, 3), call=unfold)
case("unfold", input=x(1, 2, 4, 4), kernel_size=[2, 2], dilation=2, padding=1, stride=2, call=unfold)
case("unfold", x(1, 2, 5, 4), (3, 2), (1, 2), (1, 0), (2, 1), call=unfold)
case("unfold", x(1, 2, 3, 3), 1, call=unfold)
case("unfold", x(1, 1, 1, 1), 3, padding=1, call=unfold)
case("unfold", x(1, 1, 5, 5), 2, stride=3, note="with a rest that no block reads", call=unfold)
case("unfold", x(0, 2, 3, 3), 2, call=unfold)
case("unfold", x(2, 2, 3, 3).transposed, 2, call=unfold)
case("unfold", x(2, 2, 3, 4).strided, 2, call=unfold)
case("unfold", x(1, 1, 3, 3, dtype="float16"), 2, call=unfold)
case("unfold", given([[[[1.0, NAN, 2.0], [3.0, 4.0, INF]]]]), 2, padding=1, smooth=False, call=unfold)

case("fold", x(2, 8, 6), (4, 3), 2)
case("fold", x(12, 2), (3, 3), (2, 3))
case("fold", input=x(1, 8, 4), output_size=[4, 4], kernel_size=[2, 2], dilation=2, padding=1, stride=2)
case("fold", x(1, 6, 16), (5, 4), (3, 2), (1, 2), (2, 1), (2, 1))
case("fold", x(1, 2, 9), 3, 1)
case("fold", x(1, 9, 1), 1, 3, padding=1)
case("fold", x(1, 4, 4), 5, 2, stride=3, note="with a rest that no block writes")
case("fold", x(0, 4, 4), 3, 2)
case("fold", x(2, 4, 4).transposed, 3, 2)
case("fold", x(2, 4, 4).strided, 3, 2)
case("fold", x(1, 4, 4, dtype="float16"), 3, 2)
case("fold", given([[[1.0, NAN], [2.0, 3.0], [4.0, INF], [5.0, 6.0]]]), (2, 3), 2, smooth=False)

layer("Unfold", x(2, 2, 3, 3), build=(2,))
layer("Unfold", x(1, 2, 4, 4), build=((2, 3), 1, 1), stride=(2, 1))
layer("Unfold", x(2, 4, 4), build=(2,), dilation=2)
layer("Fold", x(2, 4, 4), build=(3, 2))
layer("Fold", x(8, 9), build=((4, 4), (2, 2), 1, 1), stride=2)


@st.composite
def unfolds(draw: st.DrawFn) -> Any:
    """Sizes and options that mostly fit."""
    sizes, batch = draw(st.tuples(st.integers(1, 5), st.integers(1, 5))), draw(st.sampled_from([(), (0,), (1,), (2,)]))
    image = draw(tensors(st.just((*batch, draw(st.integers(1, 2)), *sizes))))
    return (image, draw(number(st.integers(1, 3)))), options(draw)


@st.composite
def folds(draw: st.DrawFn) -> Any:
    """Columns with as many rows and blocks as the options say, sometimes one more."""
    kernel_size = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    sizes, given_options = draw(st.tuples(st.integers(1, 5), st.integers(1, 5))), options(draw)
    blocks = 1
    for i in range(2):
        k, (d, p, s) = kernel_size[i], (v[i] if isinstance(v, tuple) else v for v in given_options.values())
        blocks *= max(1, (sizes[i] + 2 * p - d * (k - 1) - 1) // max(s, 1) + 1)
    rows = kernel_size[0] * kernel_size[1] * draw(st.integers(1, 2)) + (draw(st.integers(0, 9)) == 0)
    batch = draw(st.sampled_from([(), (0,), (1,), (2,)]))
    columns = draw(tensors(st.just((*batch, rows, blocks + (draw(st.integers(0, 9)) == 0)))))
    return (columns, sizes, kernel_size), given_options


def number(one: Any) -> Any:
    return st.one_of(one, st.tuples(one, one))


def options(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "dilation": draw(number(st.sampled_from([1, 1, 1, 1, 2, 2, 2, 3, 0]))),
        "padding": draw(number(st.sampled_from([0, 0, 0, 1, 1, 1, 2, 2, -1]))),
        "stride": draw(number(st.sampled_from([1, 1, 1, 2, 2, 2, 3, 3, 0]))),
    }


table.drawn("unfold", unfolds())
table.drawn("fold", folds())


def F(m: Any) -> Any:
    return m.nn.functional


IMAGE, COLUMNS = (1, 2, 3, 3), (1, 4, 4)
wrong(ShapeError, lambda m: F(m).unfold(m.ones(3, 3), 2), "unfold:", "(N, C, H, W) or (C, H, W)", "got shape (3, 3)")
wrong(ShapeError, lambda m: F(m).unfold(m.ones(1, 0, 3, 3), 2), "unfold:", "only the batch may be empty")
wrong(ShapeError, lambda m: F(m).unfold(m.ones(*IMAGE), 4), "unfold:", "kernel_size (4, 4)", "sizes (3, 3)")
wrong(ArgumentError, lambda m: F(m).unfold(m.ones(*IMAGE), 0), "unfold:", "kernel_size must be >= 1", "got 0")
wrong(ArgumentError, lambda m: F(m).unfold(m.ones(*IMAGE), 2, stride=0), "unfold:", "stride must be >= 1", "got 0")
wrong(ArgumentError, lambda m: F(m).unfold(m.ones(*IMAGE), 2, padding=-1), "unfold:", "padding must be >= 0", "got -1")
wrong(ArgumentError, lambda m: F(m).unfold(m.ones(*IMAGE), (1, 1, 1)), "unfold:", "kernel_size", "got 3")
wrong(ArgumentTypeError, lambda m: F(m).unfold(m.ones(*IMAGE), 1.5), "unfold:", "kernel_size", "got 1.5")
wrong(ArgumentTypeError, lambda m: F(m).unfold([1.0], 1), "unfold:", "input must be a Tensor", "list")
wrong(DtypeError, lambda m: F(m).unfold(m.ones(*IMAGE).long(), 2), "unfold:", "floating", "int64", "input.float()")
wrong(ShapeError, lambda m: F(m).fold(m.ones(4), 3, 2), "fold:", "(N, C*K, L) or (C*K, L)", "got shape (4,)")
wrong(ShapeError, lambda m: F(m).fold(m.ones(1, 0, 4), 3, 2), "fold:", "only N may be 0", "got shape (1, 0, 4)")
wrong(ShapeError, lambda m: F(m).fold(m.ones(1, 4, 5), 3, 2), "fold:", "multiple of 4 rows and 4 columns", "(1, 4, 5)")
wrong(ShapeError, lambda m: F(m).fold(m.ones(1, 5, 4), 3, 2), "fold:", "multiple of 4 rows and 4 columns", "(1, 5, 4)")
wrong(ShapeError, lambda m: F(m).fold(m.ones(*COLUMNS), 1, 2), "fold:", "kernel_size (2, 2)", "sizes (1, 1)")
wrong(ArgumentError, lambda m: F(m).fold(m.ones(*COLUMNS), 0, 2), "fold:", "output_size must be >= 1", "got 0")
wrong(ArgumentError, lambda m: F(m).fold(m.ones(*COLUMNS), (3, 3, 3), 2), "fold:", "output_size", "got 3")
wrong(ArgumentTypeError, lambda m: F(m).fold(m.ones(*COLUMNS), 3.0, 2), "fold:", "output_size", "got 3.0")
wrong(ArgumentTypeError, lambda m: F(m).fold([[1.0]], 3, 2), "fold:", "input must be a Tensor", "list")
wrong(DtypeError, lambda m: F(m).fold(m.ones(*COLUMNS).long(), 3, 2), "fold:", "floating", "int64", "input.float()")
