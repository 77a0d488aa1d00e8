"""Convolution by Winograd's algorithms F(4x4, 3x3) and F(2x2, 5x5): forward, and gradient by the input.

    Y = A^T [ sum over c of (G g G^T) * (B^T d B) ] A       `winograd_transforms` says what A, B and G are

Each 4 x 4 tile of results costs 36 multiplications per pair of channels where the definition has 144; with 5 x 5 taps,
a tile is 2 x 2 and saves 64 of 100. The transforms work on single channels, so they are paid C + K times, and the
multiplications C K times: from about 16 channels on, the saving wins. For one of the 36 frequencies f, all tiles and
all channels make a product of matrices:

    x planes --squares--> lines of pixels --B^T d B--> V_f   tiles x C  \\
                          (16 channels each)                             M_f = V_f U_f --A^T M A + bias--> lines --> y
    weights ------------------------------G g G^T----> U_f       C x K  /

    a block of up to 64 tiles:   V_f  [ tile . . . . ] x  U_f [ c . . | . . ]   =  M_f [ tile . . | . . ]
                                       ROWS x 1 at a time       1 x 4 vectors           ROWS x 4 vectors of sums

Work. 36 C K multiplications a tile; x read 1.5 times (tiles overlap) and y written once; V and M have 2.25 times as
many numbers as their images, or 9 times for 5 x 5, written and read in the L2 cache, which is why a block has 64 tiles
and not all. All of U passes by in every block: 0.6 MB for 64 x 64, still in the L2 cache, 9 MB for 256 x 256, from the
L3 cache. So multiplication is the limit at 64 to 128 channels, the transforms below that, and U's way above.

With 5 x 5 taps and 16 or 32 channels, V's and M's way through the L2 cache is the limit. 16 -> 32 channels at 14 x 14,
a quarter of the time is B^T d B, half the products and a fifth A^T M A. The products run at the processor's peak there,
but at 55 % of it for 32 -> 16: half as many of them for each number of V. Blocks of 16 to 200 tiles are equally fast.

The gradient by the input is the same computation: dy takes the place of x, the taps are mirrored, the channels of the
weights change places, and the padding is taps - 1 - before.

Precision. The largest error grows with the root of the number of terms. Measured over 6 to 12 draws, in standard
deviations of the result, for C = 16, 128, 512:

    3 x 3    0.3e-5   0.7e-5   1.3e-5     our direct kernel, which adds up 9 C terms    0.3e-5   0.8e-5   1.4e-5
    5 x 5    0.3e-5   0.5e-5   1.0e-5                       ... 25 C terms              0.5e-5   1.0e-5   2.3e-5

The tests demand less than 1e-5 sqrt(max(1, terms / 16)), and 0.7e-5 for 5 x 5; terms are channels, or tiles for the
gradient by the weights, where it is 2e-5 for 5 x 5: five powers of the points count there, and no more than three here.

NaN and infinity spread over a whole tile here, and numbers in between can overflow where the direct sum does not.
Each function therefore also says whether all results are finite, and the caller computes anew if not.

Threads work on blocks of tiles. How a tile is computed does not depend on the block it is in.

Reached, time relative to PyTorch 2.13 (oneDNN, direct) on a Xeon with AVX-512, a shared machine:

                           forward, 1 / 2 threads
    32 x 64 -> 64, 16^2         0.39 / 0.49
    8 x 128 -> 128, 28^2        0.36 / 0.47
    32 x 32 -> 32, 32^2         0.49 / 0.61
    16 x 256 -> 256, 14^2       0.53 / 0.68

and for 5 x 5, on one thread (second number: relative to the direct kernel):

                             forward         dx
    64 x 16 -> 32, 14^2    0.87 (0.75)   0.91 (0.66)
    64 x 16 -> 32, 28^2    0.66 (0.60)   0.72 (0.78)
    64 x 32 -> 64, 14^2    0.62 (0.55)   0.82 (0.61)
    16 x 64 -> 64, 28^2    0.59 (0.58)   0.52 (0.53)
"""

from collections.abc import Callable
from functools import cache

import numpy as np

from kernels.cpu.convolution.winograd_tiles import (
    SKEW,
    across,
    ceil_div,
    input_block,
    output_block,
    room_for_lines,
    scratch,
    whole_vectors,
)
from kernels.cpu.convolution.winograd_transforms import FREQUENCIES, METHODS, Method, transforms
from kernels.cpu.jit import Array, as_input, kernel
from kernels.cpu.matmul import PANEL, TALLEST, multiply, written
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import lanes, load_square, store_tile, transpose
from kernels.cpu.team import workers_for
from kernels.reference.convolution import Padding, Sizes

BLOCK = 64  # tiles: with 64 channels, their V and M stay in the L2 cache beside U


@cache
def _compiled(method: Method) -> Callable[..., None]:
    """The convolution by one method."""
    tile, side = method
    halo, taps = method.halo, side * side
    transform = transforms(method)
    transform_weight, transform_output = transform.weight, transform.output

    @kernel
    def transform_filters(
        worker: int, channel: int, weight: Array, channel_step: int, filter_step: int, mirrored: bool, filters: int,
        images: Array, u: Array, step: int, panel_step: int,
    ) -> None:  # fmt: skip
        """u[f, channel, :] = G g G^T of the taps g of one input channel for all filters."""
        pixel = lanes(weight)
        g, start, place = images[worker], channel * channel_step, channel * PANEL
        first, along = ((taps - 1) * pixel, -pixel) if mirrored else (0, pixel)
        for k in range(0, filters, pixel):
            for tap in range(0, taps, pixel):
                source = start + k * filter_step + tap
                square = load_square(weight, source, filter_step, filters - k, min(pixel, taps - tap))
                store_tile(g, tap * pixel, pixel, transpose(square))
            transform_weight(g, first, along, u, place + k // PANEL * panel_step + k % PANEL, step)

    @kernel
    def convolve_block(
        worker: int, block: int, x: Array, bias: Array, top: int, left: int, rows_a_block: int,
        u: Array, v: Array, v_width: int, m: Array, m_width: int, images: Array, y: Array, finite: Array,
    ) -> None:  # fmt: skip
        """Fills one block of tile rows of y, and its answer in `finite`."""
        channels, filters, line = x.shape[1], y.shape[1], images.shape[2]
        down, wide = across(y.shape[2], tile), across(y.shape[3], tile)
        u_step, v_step, m_step = u.shape[1], v.shape[2], m.shape[2]
        v_own, m_own, image = v[worker], m[worker], images[worker]
        first, last = block * rows_a_block, min((block + 1) * rows_a_block, len(x) * down)
        input_block(tile, halo, x, first, last, down, wide, top, left, image, line, v_own, v_step, v_width)
        for f in range(FREQUENCIES):
            multiply(
                v_own, f * v_step, v_width, 1, channels, u, f * u_step, channels * PANEL,
                m_own, f * m_step, m_width, (last - first) * wide, filters, False,
            )  # fmt: skip
        finite[block] = output_block(
            transform_output, tile, m_own, m_step, m_width, bias, first, last, down, wide, image, line, y
        )

    @kernel
    def convolve(
        x: Array, weight: Array, channel_step: int, filter_step: int, mirrored: bool, bias: Array, top: int,
        left: int, rows_a_block: int, u: Array, v: Array, v_width: int, m: Array, m_width: int, images: Array,
        y: Array, finite: Array,
    ) -> None:  # fmt: skip
        """Fills y, and finite: one answer for each block of tile rows. u, v, m and images are room to work in."""
        workers, channels, filters = len(v), x.shape[1], y.shape[1]
        parallel(
            transform_filters, workers, channels,
            (weight, channel_step, filter_step, mirrored, filters, images, u, u.shape[1], channels * PANEL),
        )  # fmt: skip
        parallel(
            convolve_block, workers, len(finite),
            (x, bias, top, left, rows_a_block, u, v, v_width, m, m_width, images, y, finite),
        )  # fmt: skip

    return convolve


def _run(
    x: Array, weight: Array, channel_step: int, filter_step: int, mirrored: bool, bias: Array | None,
    top: int, left: int, size: tuple[int, int], filters: int,
) -> tuple[Array, bool]:  # fmt: skip
    """The convolution of x padded by `top`, `left` and whatever `size` asks for at the other ends."""
    method = METHODS[weight.shape[2]]
    images, channels = x.shape[:2]
    y = np.empty((images, filters, *size), np.float32)
    down, wide = ceil_div(size[0], method.tile), ceil_div(size[1], method.tile)
    workers = workers_for(y.size * channels * FREQUENCIES // method.tile**2)
    # An even number of blocks of equal size keeps two threads equally busy, be it for a single image.
    blocks = ceil_div(images * down, max(1, BLOCK // wide))
    rows = ceil_div(images * down, blocks + blocks % 2)
    tiles = rows * wide + TALLEST
    v_width, m_width = whole_vectors(channels), written(filters)
    u, v, m, lines, offsets = scratch(
        (FREQUENCIES, ceil_div(filters, PANEL) * channels * PANEL + SKEW),
        (workers, FREQUENCIES, tiles * v_width + SKEW),
        (workers, FREQUENCIES, tiles * m_width + SKEW),
        (workers, *room_for_lines(method, rows, wide)),
        (m_width,),
    )
    # Lanes beyond the last filter are computed too, and must not spoil the answer to whether all is finite.
    offsets[:] = 0
    if bias is not None:
        offsets[:filters] = bias
    finite = np.empty(ceil_div(images * down, rows), np.bool_)
    _compiled(method)(
        as_input(x), as_input(weight), channel_step, filter_step, mirrored, offsets, top, left,
        rows, u, v, v_width, m, m_width, lines, y, finite,
    )  # fmt: skip
    return y, bool(finite.all())


def forward(x: Array, weight: Array, bias: Array | None, padding: Padding) -> tuple[Array, bool]:
    """The convolution (N, K, H', W') with stride 1, plus bias, and whether all of it is finite.

    x is (N, C, H, W), weight (K, C, 3, 3) or (K, C, 5, 5), bias (K,) or None, all float32; N, C, K, H' and W' are at
    least 1. padding is (before, after) for H and W; negative ones leave out pixels. Checks nothing.
    """
    (top, bottom), (left, right) = padding
    filters, channels, side, _ = weight.shape
    size = x.shape[2] + top + bottom - side + 1, x.shape[3] + left + right - side + 1
    return _run(x, weight, side**2, side**2 * channels, False, bias, top, left, size, filters)


def backward_input(dy: Array, weight: Array, input_size: Sizes, padding: Padding) -> tuple[Array, bool]:
    """The gradient (N, C, *input_size) of sum(dy * forward(x, weight)) by x, and whether all of it is finite.

    dy is (N, K, H', W'), weight and padding are those of the forward; all sizes at least 1. Checks nothing.
    """
    (top, _), (left, _) = padding
    _, channels, side, _ = weight.shape
    size = input_size[0], input_size[1]
    return _run(dy, weight, side**2 * channels, side**2, True, None, side - 1 - top, side - 1 - left, size, channels)
