"""Products of small matrices that are in the cache: one tile of the result at a time stays in registers.

    out[i, j] = sum over p of a[i, p] * b[p, j]

A tile of ROWS x COLS vectors of `out` (6 x 4 with 32 registers) is computed over the whole depth before it is stored.
Each step loads a row of b, COLS vectors, and broadcasts ROWS numbers of a: 10 loads for 24 multiplications, where the
processor can do as many of the one as of the other.

                     b   p  [ . . . . ]          COLS vectors, loaded
                             | | | |
           a   i  [p] -->  + - - - - +
               .  [p] -->  |   sums  |  ROWS     numbers of a, each broadcast to all lanes
               .  [p] -->  + - - - - +

a is read with one step between rows and another along the depth, so its transpose costs nothing. The columns of b are
cut into panels of 4, 2 and 1 vectors; within a panel the loop over rows is outermost but one, and the panel, depth
x 64 numbers, should stay in the L1 cache. Each result is summed in order of p whichever tile it falls into: the same
bits, however the work is cut.
"""

from typing import Any

from kernels.cpu.jit import Array, kernel
from kernels.cpu.simd import COLS, FLOAT32_LANES, ROWS, load_tile, outer_fma, store_tile, zeros

TALLEST = 8  # rows of the narrow tiles: eight sums are enough to keep two multipliers busy for their four cycles
PANEL = COLS * FLOAT32_LANES  # columns of b that lie together
DEPTH = 128  # rows of a panel that fit into the L1 cache beside the numbers of a: 32 KB


def _panel(rows: int, cols: int) -> Any:
    """The kernel for one panel of which `cols` vectors are wanted, by tiles of `rows` rows."""

    @kernel
    def multiply_panel(
        a: Array, a_index: int, row_step: int, depth_step: int, depth: int,
        b: Array, b_index: int, out: Array, out_index: int, out_step: int, height: int, accumulate: bool,
    ) -> None:  # fmt: skip
        for row in range(0, height, rows):
            target = out_index + row * out_step
            tile = load_tile(out, target, out_step, rows, cols) if accumulate else zeros(out, rows, cols)
            start = a_index + row * row_step
            for p in range(depth):
                tile = outer_fma(tile, a, start + p * depth_step, row_step, b, b_index + p * PANEL)
            store_tile(out, target, out_step, tile)

    return multiply_panel


def written(width: int) -> int:
    """How many columns `multiply` writes to compute `width` of them: whole vectors, and a whole panel instead of 3."""
    rest = -(-(width % PANEL) // FLOAT32_LANES)
    return width // PANEL * PANEL + (COLS if rest > 2 else rest) * FLOAT32_LANES


_wide, _pair, _single = _panel(ROWS, COLS), _panel(TALLEST if COLS > 2 else ROWS, 2), _panel(TALLEST, 1)


@kernel
def multiply(
    a: Array, a_index: int, row_step: int, depth_step: int, depth: int, b: Array, b_index: int, panel_step: int,
    out: Array, out_index: int, out_step: int, height: int, width: int, accumulate: bool,
) -> None:  # fmt: skip
    """out[i, j] = (or, to accumulate, +=) sum of a[i, p] * b[p, j], for i < height, j < width, p < depth.

    a[i, p] is a[a_index + i * row_step + p * depth_step], and rows of out are out_step apart. b lies in panels of
    `PANEL` columns: b[p, j] is b[b_index + j // PANEL * panel_step + p * PANEL + j % PANEL]. Whole vectors and whole
    tiles are computed: up to `TALLEST` - 1 rows of `out` beyond height and all `written(width)` columns are
    overwritten, from what lies in those places of a and b.
    """
    for column in range(0, width, PANEL):
        vectors = (width - column + FLOAT32_LANES - 1) // FLOAT32_LANES
        panel, target = b_index + column // PANEL * panel_step, out_index + column
        for first in range(0, depth, DEPTH):
            size, more = min(DEPTH, depth - first), accumulate or first > 0
            start, top = a_index + first * depth_step, panel + first * PANEL
            if vectors > 2:
                _wide(a, start, row_step, depth_step, size, b, top, out, target, out_step, height, more)
            elif vectors == 2:
                _pair(a, start, row_step, depth_step, size, b, top, out, target, out_step, height, more)
            else:
                _single(a, start, row_step, depth_step, size, b, top, out, target, out_step, height, more)
