"""Curves in a terminal: in braille dots where there is colour to tell them apart, in letters otherwise."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lessons.anatomy.text import Style, number, padded, width_of

# The bits of a braille cell, by column and row of the dot.
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BRAILLE = 0x2800
_LOGARITHMIC = 15  # a scale that spans a larger factor is logarithmic


@dataclass(frozen=True, eq=False)
class Series:
    """One curve: its values, one for each step from 1, its letter in ASCII, and its colour (a code of the terminal)."""

    name: str
    values: np.ndarray
    letter: str
    colour: str


def curves(
    series: Sequence[Series], width: int, height: int, style: Style, braille: bool, steps: int | None = None
) -> list[str]:
    """The lines of a picture ``width`` columns wide, with ``height`` rows of curves, axes and a legend.

    Later series are drawn over earlier ones.  ``steps`` is the length of the axis: that of the longest series unless
    given.  Values that are not finite are left out.  Raises ``ValueError`` when nothing is finite.
    """
    finite = np.concatenate([one.values[np.isfinite(one.values)] for one in series])
    if finite.size == 0:
        raise ValueError("curves: no value is finite, so there is nothing to draw")
    low, high = float(finite.min()), float(finite.max())
    logarithmic = low > 0 and high > _LOGARITHMIC * low
    labels = [number(high), number(low)]
    margin = max(width_of(label) for label in labels)
    columns = max(10, width - margin - 3)
    length = max([len(one.values) for one in series] if steps is None else [steps])
    across, down = (2, 4) if braille else (1, 1)

    cells: dict[tuple[int, int], tuple[int, Series]] = {}
    for one in series:
        for x, y in _points(one.values, length, columns * across, height * down, low, high, logarithmic):
            place = (y // down, x // across)
            bits, _ = cells.get(place, (0, one))
            cells[place] = bits | _DOTS[x % across][y % down], one

    lines = []
    for row in range(height):
        label = labels[0] if row == 0 else labels[1] if row == height - 1 else ""
        found = [cells.get((row, column)) for column in range(columns)]
        lines.append(f"{padded(label, margin, right=True)} |{_row(found, style, braille)}".rstrip())
    scale = ", logarithmic" if logarithmic else ""
    lines.append(f"{' ' * margin} +{'-' * columns}")
    steps_label = f"{length} steps{scale}"
    lines.append(f"{' ' * (margin + 2)}1{padded(steps_label, columns - 1, right=True)}")
    legend = [_coloured(one, f"{'--' if braille else one.letter} {one.name}", style) for one in series]
    lines.append(f"{' ' * (margin + 2)}{'    '.join(legend)}")
    return lines


def _points(
    values: np.ndarray, length: int, width: int, height: int, low: float, high: float, logarithmic: bool
) -> list[tuple[int, int]]:
    """The dots of one curve on a grid, x to the right and y down, without gaps where it is steep."""
    if len(values) == 0:
        return []
    steps = np.arange(width) * (length - 1) / max(1, width - 1)
    reached = steps <= len(values) - 1
    heights = np.interp(steps[reached], np.arange(len(values)), values)
    if logarithmic:
        low, high = float(np.log(low)), float(np.log(high))
        heights = np.log(heights)
    share = (heights - low) / (high - low) if high > low else np.full(heights.shape, 0.5)
    known = np.isfinite(share)
    ys = np.round((1 - np.where(known, share, 0)) * (height - 1)).astype(int)
    points: list[tuple[int, int]] = []
    before: int | None = None
    for x, (y, there) in enumerate(zip(ys.tolist(), known.tolist(), strict=True)):
        if not there:
            before = None
            continue
        start = y if before is None or abs(before - y) <= 1 else before + (1 if y > before else -1)
        points += [(x, between) for between in range(min(start, y), max(start, y) + 1)]
        before = y
    return points


def _row(cells: Sequence[tuple[int, Series] | None], style: Style, braille: bool) -> str:
    """One row of the picture; neighbours of one colour share its codes, which a slow line is glad of."""
    text = ""
    for one, group in itertools.groupby(cells, key=lambda cell: None if cell is None else cell[1]):
        shown = [" " if cell is None else chr(_BRAILLE + cell[0]) if braille else cell[1].letter for cell in group]
        text += "".join(shown) if one is None else _coloured(one, "".join(shown), style)
    return text


def _coloured(one: Series, text: str, style: Style) -> str:
    return f"\x1b[{one.colour}m{text}\x1b[0m" if style.colour else text
