"""The gradient of a 3 x 3 or 5 x 5 convolution by its weights, by Winograd's algorithms.

The forward is Y = A^T [ sum over c of U * V ] A with U = G g G^T and V = B^T d B, so its adjoint by g is

    dg = G^T [ sum over tiles of V * (A dY A^T) ] G

for every pair of channels. That is 36 matrix products as well, one for each frequency f, only summed over tiles:

    dU_f  =  V_f^T   M_f            V: tiles x C      M = A dY A^T: tiles x K      dU: C x K
    (C x K)  (C x T) (T x K)

The tiles come in chunks that the L2 cache can hold, and every chunk is added to all 36 dU:

    x  --squares--> lines --B^T d B--> V  +--------+
                                          | dU_f += V_f^T M_f |  -- once, at the end: G^T dU G --> dw
    dy --squares--> lines --A dY A^T-> M  +--------+

Work. Per tile, 36 C K multiplications instead of 144 C K (for 5 x 5: instead of 100 C K), 2.25 times the bytes of x and
dy (for 5 x 5: 9 times) written and read again in the cache, and 36 C K numbers of dU read and written once a chunk. The
multiplications are the limit for C, K of 64 and more, the transforms below that, and dU's way through the L3 cache at
256 x 256, where it has 9 MB.

Threads. The tile rows are cut into `_partitions` lots, a number that depends on shapes alone. Each lot has a dU of its
own, and the last transform adds them up in order: the same bits for any number of threads.

Reached, time relative to PyTorch 2.13 (oneDNN, direct; dw and db together) on a Xeon with AVX-512 while other programs
kept its two cores busy, so these are rough:

                           1 / 2 threads
    32 x 64 -> 64, 16^2      0.53 / 0.41
    8 x 128 -> 128, 28^2     0.54 / 0.77
    32 x 32 -> 32, 32^2      0.49 / 0.44
    16 x 256 -> 256, 14^2    0.74 / 0.70

and for 5 x 5, dw alone, on one thread (second number: relative to the direct kernel):

    64 x 16 -> 32, 14^2      0.82 (0.80)
    64 x 16 -> 32, 28^2      0.63 (0.80)
    64 x 32 -> 64, 14^2      0.71 (0.72)
    16 x 64 -> 64, 28^2      0.50 (0.56)
"""

from collections.abc import Callable
from functools import cache

import numpy as np

from kernels.cpu.convolution.winograd_tiles import (
    SKEW,
    across,
    ceil_div,
    gradient_block,
    input_block,
    room_for_lines,
    scratch,
    whole_vectors,
)
from kernels.cpu.convolution.winograd_transforms import FREQUENCIES, METHODS, Method, transforms
from kernels.cpu.jit import Array, as_input, kernel
from kernels.cpu.matmul import PANEL, TALLEST, multiply, written
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import FLOAT32_LANES, lanes, load, load_tile, splat, store, store_square, total, transpose
from kernels.cpu.team import workers_for
from kernels.reference.convolution import Padding

Pair = tuple[int, int]

CHUNK = 96  # tiles: depth enough that loading and storing dU does not matter
PARTITION = 128  # tiles that make a dU of its own worth adding up
WORTH_TWO = 32  # tiles that two threads share even so: a single image of 24 x 24 pixels
MOST_PARTITIONS = 8
MOST_SUMS = 1 << 24  # elements in all dU together, 64 MB


def _partitions(tiles: int, sums: int) -> int:
    """Lots of tile rows that are summed apart: a power of two, so that threads in such a number have equal shares."""
    lots = 2 if tiles >= WORTH_TWO else 1
    while lots < MOST_PARTITIONS and 2 * lots * PARTITION <= tiles and 2 * lots * sums <= MOST_SUMS:
        lots *= 2
    return lots


@kernel
def _sum_lots(du: Array, place: int, folded: Array) -> None:
    """folded[f] = the sum over lots of du[lot, f, place : place + lanes], in order."""
    lots, frequencies, step = du.shape
    for f in range(frequencies):
        value = load(du, f * step + place)
        for lot in range(1, lots):
            value = value + load(du, (lot * frequencies + f) * step + place)
        store(folded, f * lanes(du), value)


@cache
def _compiled(method: Method) -> Callable[..., None]:
    """The gradient by one method."""
    tile, side = method
    halo, taps = method.halo, side * side
    transform = transforms(method)
    adjoint_output, adjoint_weight = transform.adjoint_output, transform.adjoint_weight

    @kernel
    def weight_block(
        worker: int, block: int, du: Array, width: int, scratch_folded: Array, scratch_taps: Array, dw: Array,
        finite: Array,
    ) -> None:  # fmt: skip
        """dw = G^T dU G for `lanes` channels, and whether all of it is finite."""
        filters, channels = dw.shape[0], dw.shape[1]
        pixel = lanes(dw)
        channel = block * pixel
        count = min(pixel, channels - channel)
        folded, g = scratch_folded[worker], scratch_taps[worker]
        check = splat(dw, 0)
        for k in range(0, filters, pixel):
            for c in range(count):
                _sum_lots(du, (channel + c) * width + k, folded)
                check = check + adjoint_weight(folded, 0, pixel, g, c * taps * pixel, pixel)
            target = (k * channels + channel) * taps
            for tap in range(0, count * taps, pixel):
                square = transpose(load_tile(g, tap * pixel, pixel, FLOAT32_LANES, 1))
                store_square(dw, target + tap, channels * taps, square, filters - k, min(pixel, count * taps - tap))
        finite[block] = np.isfinite(total(check))

    @kernel
    def correlate_lot(
        worker: int, lot: int, x: Array, dy: Array, top: int, left: int, rows_a_chunk: int,
        v: Array, v_width: int, m: Array, images: Array, du: Array, du_width: int,
    ) -> None:  # fmt: skip
        """Fills du[lot]: the sum over one lot of tile rows."""
        channels, filters, line = x.shape[1], dy.shape[1], images.shape[2]
        down, wide = across(dy.shape[2], tile), across(dy.shape[3], tile)
        v_step, m_step, du_step, panel_step = v.shape[2], m.shape[2], du.shape[2], rows_a_chunk * wide * PANEL
        v_own, m_own, image, du_own = v[worker], m[worker], images[worker], du[lot]
        rows, lots = len(x) * down, len(du)
        begin, end = rows * lot // lots, rows * (lot + 1) // lots
        for first in range(begin, end, rows_a_chunk):
            last = min(first + rows_a_chunk, end)
            input_block(tile, halo, x, first, last, down, wide, top, left, image, line, v_own, v_step, v_width)
            gradient_block(adjoint_output, tile, dy, first, last, down, wide, image, line, m_own, m_step, panel_step)
            for f in range(FREQUENCIES):
                multiply(
                    v_own, f * v_step, 1, v_width, (last - first) * wide, m_own, f * m_step, panel_step,
                    du_own, f * du_step, du_width, channels, filters, first > begin,
                )  # fmt: skip

    @kernel
    def correlate(
        x: Array, dy: Array, top: int, left: int, rows_a_chunk: int, v: Array, v_width: int, m: Array,
        images: Array, du: Array, du_width: int, folded: Array, g: Array, dw: Array, finite: Array,
    ) -> None:  # fmt: skip
        """Fills dw, and finite: one answer for each `lanes` channels. Everything else is room to work in."""
        workers = len(v)
        parallel(correlate_lot, workers, len(du), (x, dy, top, left, rows_a_chunk, v, v_width, m, images, du, du_width))
        parallel(weight_block, workers, len(finite), (du, du_width, folded, g, dw, finite))

    return correlate


def backward_weight(x: Array, dy: Array, kernel_size: Pair, padding: Padding) -> tuple[Array, bool]:
    """The gradient (K, C, *kernel_size) by the weights, and whether all of it is finite.

    x is (N, C, H, W) and dy (N, K, *output_size), float32, N, C, K >= 1, both with at least one pixel; kernel_size is
    (3, 3) or (5, 5), padding is (before, after) for H and W. Where the answer is False, NaN or infinity have spread
    over whole tiles, or numbers in between have overflowed, and the direct sum is the one to trust. Errors: see
    `winograd.forward`.
    """
    method = METHODS[kernel_size[0]]
    (top, _), (left, _) = padding
    (images, channels), filters = x.shape[:2], dy.shape[1]
    dw = np.empty((filters, channels, *kernel_size), np.float32)
    down, wide = ceil_div(dy.shape[2], method.tile), ceil_div(dy.shape[3], method.tile)
    workers = workers_for(dy.size * channels * FREQUENCIES // method.tile**2)
    v_width, du_width = whole_vectors(channels), written(filters)
    lots = _partitions(images * down * wide, FREQUENCIES * channels * filters)
    rows = min(max(1, CHUNK // wide), ceil_div(images * down, lots))
    blocks = ceil_div(channels, FLOAT32_LANES)
    v, m, lines, du, folded, g = scratch(
        (workers, FREQUENCIES, (rows * wide + TALLEST) * v_width + SKEW),
        (workers, FREQUENCIES, ceil_div(filters, PANEL) * rows * wide * PANEL + SKEW),
        (workers, *room_for_lines(method, rows, wide)),
        (lots, FREQUENCIES, (channels + TALLEST) * du_width + SKEW),
        (workers, FREQUENCIES * FLOAT32_LANES),
        (workers, (method.taps**2 + 1) * FLOAT32_LANES * FLOAT32_LANES),
    )
    finite = np.empty(blocks, np.bool_)
    _compiled(method)(
        as_input(x), as_input(dy), top, left, rows, v, v_width, m, lines, du, du_width, folded, g, dw, finite
    )
    return dw, bool(finite.all())
