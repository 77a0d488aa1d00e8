"""Padding in all modes, as a function and as layers."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Table, booleans, given, x
from op_strategies import tensors

from minigrad.errors import ArgumentError, ArgumentTypeError, ShapeError

table = Table("padding")
case, layer, wrong = table.case, table.layer, table.wrong

NAN, INF = float("nan"), float("inf")

case("pad", x(3), (1, 2))
case("pad", x(2, 3), (1, 0, 0, 2))
case("pad", x(2, 3), [1, 1], "constant", 1.5)
case("pad", x(2, 1, 2).transposed, (0, 1, 1, 0, 2, 0), value=-1.0)
case("pad", x(2, 3).strided, pad=(-1, 1), mode="constant", value=None)
case("pad", x(2, 4), (-1, -2, 1, -1))
case("pad", x(2), (-2, 0))
case("pad", x(2), ())
case("pad", x(), ())
case("pad", x(0, 2), (1, 1, 2, 0))
case("pad", x(2), (0, 0))
case("pad", x(2, dtype="float16"), (1, 1), value=2.0)
case("pad", given([1, 2], "int64"), (1, 1), "constant", 3.5)
case("pad", booleans(2), (1, 1), value=True)
case("pad", given([NAN, 1.0]), (1, 1), value=INF, smooth=False)
for mode in ("reflect", "replicate", "circular"):
    case("pad", x(2, 3), (1, 2), mode)
    case("pad", x(1, 2, 3).transposed, (2, 0), mode)
    case("pad", x(2, 3, 4), (1, 2, 2, 0), mode)
    case("pad", x(1, 2, 2, 3).strided, (0, 1, 1, 1), mode=mode)
    case("pad", x(1, 2, 3, 2), (1, 1, 1, 0, 0, 1), mode)
    case("pad", x(1, 1, 2, 2, 2), pad=[1, 0, 1, 1, 1, 1], mode=mode, value=None)
    case("pad", x(1, 4), (-1, 1), mode)
    case("pad", x(1, 4), (0, -2), mode, 0)
    case("pad", x(2, 3), (0, 0), mode)
    case("pad", x(0, 2, 3), (1, 1), mode)
    case("pad", given([[1, 2, 3]], "int64"), (2, 1), mode)
    case("pad", given([[NAN, 1.0, INF]]), (1, 1), mode, smooth=False)
    case("pad", x(1, 2, dtype="float16"), (1, 1), mode)
case("pad", x(1, 4), (1, -2), "circular")
case("pad", x(0, 2), (1, 1), "circular")
case("pad", x(1, 1), (3, 2), "replicate")
case("pad", x(1, 3), (3, 3), "circular")

SIZES = {1: (4,), 2: (3, 4), 3: (2, 3, 3)}
SIDES = {1: (1, 2), 2: (1, 2, 0, 1), 3: (1, 2, 0, 1, 1, 0)}
for dims, sizes in SIZES.items():
    layer(f"ConstantPad{dims}d", x(2, *sizes), build=(1, 0.5))
    layer(f"ConstantPad{dims}d", x(1, 2, *sizes), padding=SIDES[dims], value=-1)
    for name in ("ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"):
        layer(f"{name}{dims}d", x(2, *sizes), build=(1,))
        layer(f"{name}{dims}d", x(1, 2, *sizes), padding=SIDES[dims])
layer("ConstantPad1d", x(3), build=((-1, 1), 2.0))
layer("ReflectionPad2d", x(1, 2, 2), build=([1, 1, 1, 0],))


@st.composite
def padded(draw: st.DrawFn, least: int, most: int) -> Any:
    """A tensor and widths for some of its last dimensions."""
    a = draw(tensors())
    return (a, draw(st.lists(st.integers(least, most), max_size=6))), {}


@st.composite
def extended(draw: st.DrawFn, mode: str) -> Any:
    """A tensor with enough dimensions to extend, and widths that mostly can be supplied."""
    dims = draw(st.integers(1, 3))
    sizes = draw(st.lists(st.integers(2, 4), min_size=dims, max_size=dims))
    around = draw(st.lists(st.integers(0, 2), min_size=1, max_size=2))
    # Where circular padding is negative on one side and wide on the other, PyTorch returns memory that it never wrote.
    least = 0 if mode == "circular" else -1
    widths = draw(st.lists(st.integers(least, 2), min_size=2 * dims, max_size=2 * dims))
    return (draw(tensors(st.just((*around, *sizes)))), widths, mode), {}


table.drawn("pad", padded(-2, 3))
for mode in ("reflect", "replicate", "circular"):
    table.drawn("pad", extended(mode))

# --- wrong calls ------------------------------------------------------------------------------------------------------


def pad(m: Any, *args: Any, **options: Any) -> Any:
    return m.nn.functional.pad(*args, **options)


wrong(ArgumentError, lambda m: pad(m, m.ones(2), (1,)), "pad:", "pairs", "(1,)")
wrong(ShapeError, lambda m: pad(m, m.ones(2), (1, 1, 1, 1)), "pad:", "2 pairs", "1 dimensions", "(2,)")
wrong(ShapeError, lambda m: pad(m, m.ones(2), (-2, -1)), "pad:", "cuts off", "(2,)")
wrong(ArgumentTypeError, lambda m: pad(m, m.ones(2), (1.0, 1)), "pad:", "integers", "(1.0, 1)")
wrong(ArgumentTypeError, lambda m: pad(m, [1.0], (1, 1)), "pad:", "expected Tensors", "list")
wrong(ArgumentTypeError, lambda m: pad(m, m.ones(2), (1, 1), value="a"), "pad:", "value", "'a'")
wrong(ArgumentError, lambda m: pad(m, m.ones(1).half(), (1, 1), value=1e6), "pad:", "value", "float16")
wrong(ArgumentError, lambda m: pad(m, m.ones(1, 2), (1, 1), "wrap"), "pad:", "'wrap'", "replicate")
wrong(ArgumentError, lambda m: pad(m, m.ones(1, 2), (1, 1), ["reflect"]), "pad:", "['reflect']", "replicate")
wrong(ArgumentError, lambda m: pad(m, m.ones(1, 2), (1, 1), "reflect", 1.0), "pad:", "value=1.0", "'reflect'")
wrong(ArgumentError, lambda m: pad(m, m.ones(1, 3), (3, 0), "reflect"), "pad:", "at most 2", "size 3", "(3, 0)")
wrong(ArgumentError, lambda m: pad(m, m.ones(1, 3), (0, 4), "circular"), "pad:", "at most 3", "(0, 4)")
wrong(ArgumentError, lambda m: pad(m, m.ones(1, 3), (-1, 3), "circular"), "pad:", "at most 2", "(-1, 3)")
wrong(ShapeError, lambda m: pad(m, m.ones(1, 3), (-2, -1), "replicate"), "pad:", "nothing would be left", "size 3")
wrong(ShapeError, lambda m: pad(m, m.ones(2), (1, 1), "reflect"), "pad:", "got 1", "(2,)")
wrong(ShapeError, lambda m: pad(m, m.ones(1, 1, 1, 3), (1, 1), "reflect"), "pad:", "(1, 1, 1, 3)")
wrong(ShapeError, lambda m: pad(m, m.ones(0, 3), (1, 1), "replicate"), "pad:", "(0, 3)")
wrong(ShapeError, lambda m: m.nn.CircularPad1d(1)(m.ones(3)), "pad:", "'circular'", "(3,)")
wrong(ArgumentTypeError, lambda m: m.nn.ZeroPad1d("a")(m.ones(2)), "ZeroPad1d:", "padding", "str: 'a'")
