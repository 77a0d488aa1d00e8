"""How hypothesis draws the arguments of ops: shapes with sizes 0 and 1, layouts, broadcasting, dimensions.

A strategy gives (args, kwargs) for `Table.drawn`. Tensors are `Draw`s, so their values come from the name of the case.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from op_harness import Draw

Arguments = st.SearchStrategy[tuple[tuple[Any, ...], dict[str, Any]]]

SIZES = st.sampled_from([0, 1, 1, 2, 3, 4])
LAYOUTS = st.sampled_from(["plain", "plain", "strided", "transposed"])


def shapes(least: int = 0, most: int = 3, sizes: st.SearchStrategy[int] = SIZES) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of `least` to `most` dimensions."""
    return st.lists(sizes, min_size=least, max_size=most).map(tuple)


@st.composite
def tensors(
    draw: st.DrawFn,
    shape: st.SearchStrategy[tuple[int, ...]] | None = None,
    kind: str = "signed",
) -> Draw:
    """A tensor of a drawn shape, somehow lying in memory."""
    made = Draw(draw(shapes() if shape is None else shape), kind)
    layout = draw(LAYOUTS)
    if layout == "strided" and not made.shape:
        layout = "plain"
    return Draw(made.shape, kind, layout=layout)


def unary(kind: str = "signed", **options: Any) -> Arguments:
    """f(x, **options): an option is a value, or a strategy for one."""
    return st.tuples(st.tuples(tensors(kind=kind)), _options(options))


@st.composite
def pairs(draw: st.DrawFn, kind: str = "signed", other: str | None = None, **options: Any) -> Any:
    """f(x, y) with shapes that broadcast, and sometimes ones that do not."""
    shape = draw(shapes())
    kept = [draw(st.sampled_from([n, n, 1])) for n in shape]
    second = tuple(kept[draw(st.integers(0, len(kept))) :]) if draw(st.integers(0, 9)) else draw(shapes())
    first = draw(tensors(st.just(shape), kind))
    last = draw(tensors(st.just(second), other or kind))
    args = (first, last) if (other is not None and other != kind) or draw(st.booleans()) else (last, first)
    return args, draw(_options(options))


@st.composite
def with_dim(
    draw: st.DrawFn, kind: str = "signed", several: bool = False, optional: bool = False, **options: Any
) -> Any:
    """f(x, dim=...): one dimension, or with `several` some of them, sometimes out of range; None if `optional`."""
    x = draw(tensors(kind=kind))
    one = st.integers(-len(x.shape) - (draw(st.integers(0, 9)) == 0), max(len(x.shape) - 1, 0))
    choices = [one]
    if several:
        choices.append(st.lists(one, min_size=1, max_size=3).map(tuple))
    if optional:
        choices.append(st.none())
    return (x,), {"dim": draw(st.one_of(choices)), **draw(_options(options))}


def _options(options: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {name: v if isinstance(v, st.SearchStrategy) else st.just(v) for name, v in options.items()}
    )
