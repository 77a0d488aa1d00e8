"""Vectors and register tiles for kernels: one value is one register, or a whole tile of them.

LLVM turns plain loops into vector instructions, but not into good ones where sums must stay in registers: convolutions
written as loops reach a tenth of what the processor can do. Here a kernel says what a register holds, in ordinary
expressions, and reaches nearly all of it:

    x = load(image, pixel)                    # 16 numbers on AVX-512, 8 on AVX2, 4 elsewhere
    y = where(x > 0.0, x, alpha * x)
    store(out, pixel, y)

`types` says what vectors, masks and tiles are; `memory` moves them; `arithmetic` computes with vectors and `rearrange`
changes the order of their lanes; `tiles` and `tile_products` are about register tiles, `maps` applies small matrices to
their rows and columns, `squares` transposes, `widths` is for vectors of other lengths, `instruction_set` finds out how
long this processor's vectors are. Only compiled functions can use these names, the constants apart. Nothing is checked:
not whether an index is inside, nor else.
"""

from kernels.cpu.simd.arithmetic import (
    absolute,
    any_lane,
    astype,
    bits,
    floor,
    fma,
    mask_bits,
    maximum,
    minimum,
    popcount,
    product,
    remainder,
    shift_in,
    sqrt,
    to_even,
    total,
    truncate,
    where,
)
from kernels.cpu.simd.instruction_set import (
    COLS,
    FLOAT32_LANES,
    FLOAT64_LANES,
    REGISTERS,
    ROWS,
    VECTOR_BYTES,
)
from kernels.cpu.simd.maps import (
    both_ways,
    each_column,
    each_row,
    load_grid,
    plus,
    store_grid,
    sum_vectors,
    weighted_halves,
)
from kernels.cpu.simd.memory import (
    broadcast,
    element,
    gather,
    lanes,
    load,
    load_between,
    load_first,
    load_wide,
    prefetch,
    ramp,
    splat,
    store,
    store_first,
    store_wide,
    stream,
)
from kernels.cpu.simd.rearrange import (
    alternate,
    concatenate,
    evens,
    first_half,
    interleave_high,
    interleave_low,
    interleaved,
    odds,
    second_half,
    separated,
    shuffle,
)
from kernels.cpu.simd.squares import (
    load_square,
    store_square,
    transpose,
)
from kernels.cpu.simd.tile_products import (
    add_scaled,
    column_fma,
    inner_fma_at,
    lane_fma_at,
    lane_fma_first,
    outer_differences,
    outer_fma,
    outer_fma_at,
    paired_fma,
)
from kernels.cpu.simd.tiles import (
    add_row,
    get,
    load_rows_at,
    load_shifts,
    load_tile,
    places,
    places_like,
    pushed,
    put,
    rows_from,
    store_rows_at,
    store_tile,
    store_tile_at,
    store_tile_first,
    zeros,
)
from kernels.cpu.simd.widths import (
    Width,
    broadcast_lanes,
    lanes_of,
    load_column,
    load_column_first,
    load_lanes,
    zero_lanes,
)

__all__ = [
    "COLS", "FLOAT32_LANES", "FLOAT64_LANES", "REGISTERS", "ROWS", "VECTOR_BYTES", "Width", "absolute", "add_row",
    "add_scaled", "alternate", "any_lane", "astype", "bits", "both_ways", "broadcast", "broadcast_lanes", "column_fma",
    "concatenate", "each_column", "each_row", "element", "evens", "first_half", "floor", "fma", "gather", "get",
    "inner_fma_at", "interleave_high", "interleave_low", "interleaved", "lane_fma_at", "lane_fma_first", "lanes",
    "lanes_of", "load", "load_between", "load_column", "load_column_first", "load_first", "load_grid", "load_lanes",
    "load_rows_at", "load_shifts", "load_square", "load_tile", "load_wide", "mask_bits", "maximum", "minimum", "odds",
    "outer_differences", "outer_fma", "outer_fma_at", "paired_fma", "places", "places_like", "plus", "popcount",
    "prefetch", "product", "pushed", "put", "ramp", "remainder", "rows_from", "second_half", "separated", "shift_in",
    "shuffle", "splat", "sqrt", "store", "store_first", "store_grid", "store_rows_at", "store_square", "store_tile",
    "store_tile_at", "store_tile_first", "store_wide", "stream", "sum_vectors", "to_even", "total", "transpose",
    "truncate", "weighted_halves", "where", "zero_lanes", "zeros",
]  # fmt: skip
