"""The gradients of the direct convolution with respect to its input and its weights.

*Input.* Each of the s_h * s_w phases of dx is a convolution of dy with stride 1 and the taps that reach this phase, so
`direct.convolve` does all the work: only its tables differ. Flops and limit are those of the forward pass.

*Weights.* dweight is a sum over all pixels p of all images, of the outer product of one window of x with one pixel of
dy: 2 * N * C * O * taps * pixels flops, again limited by multiplications. One tile of sums in registers:

                       dy at pixel p, 4 vectors of filters            windows: where the window of p begins
                      +------+------+------+------+
    x[p, tap t    ] ->|  +=  |  +=  |  +=  |  +=  |                   The pixels of dy come from a transposed copy,
    x[p, tap t + 1] ->|  +=  |  +=  |  +=  |  +=  |                   PIXELS of which stay in the L2 cache while all
    ...         (6)   +------+------+------+------+                   taps are summed over them.

A piece of work is a block of channels: it copies their bands of x, sums over all taps of all filters, and owns these
sums, a few hundred KB in the L2 cache. Transposing dy costs 22 nanoseconds for 16 x 16 numbers, and more
where they are not in the cache, so while one image is summed over, the dy of the next is fetched. With many pixels, the
pieces (bands of rows of images) are also cut into parts, each with sums of its own, which are added up in their order:
how many parts there are depends on the shape alone, and blocks do not change the order of any sum, so the result does
not depend on the number of threads.

Reached on one thread of a Zen 4, time relative to PyTorch's, dw alone: 3 x 3 with stride 2, 64 -> 128 channels 0.87,
128 -> 128 0.90, 16 -> 32 0.86 (91, 94 and 79 % of the FMA peak); 1 x 1, 64 -> 64 0.73 to 0.88, 256 -> 64 0.84,
64 -> 256 0.94, 512 -> 512 1.04. Lanes along the pixels need no transposed copy, and were slower for 1 x 1: such a tile
loads 10 whole vectors for 24 multiplications.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from kernels.cpu.convolution.direct import convolve
from kernels.cpu.convolution.layout import aligned, bordered, to_pixels, to_planes
from kernels.cpu.convolution.plan import TILE_ROWS, Padding, Pair, Plan, backward_axis, forward_axis, plan
from kernels.cpu.jit import Array, as_input, kernel
from kernels.cpu.parallel import parallel
from kernels.cpu.simd import VECTOR_BYTES, lanes, load_tile, outer_fma_at, places_like, prefetch, store_tile
from kernels.cpu.team import workers_for
from kernels.reference import convolution as reference

PIXELS = 256  # summed over at a time, for each tile of sums that is loaded and stored: 64 KB of dy, in the L2 cache
PARTS = 16  # of the pixels, at most
PART = 2048  # pixels that make sums of their own worth adding up
BLOCK_BYTES = 1 << 19  # of copied channels and their sums, which should stay in the L2 cache
SUMS_BYTES = 1 << 23  # at most, unless one part alone takes more


def backward_input(
    dy: Array,
    weight: Array,
    input_size: tuple[int, ...],
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    groups: int,
) -> Array:
    """The gradient dx (N, C, *input_size) of sum(dy * y), for dy (N, O, H_out, W_out).

    The tiles multiply weights by the zeros around dy as well, which for an infinite or nan weight would spread a nan
    to pixels that do not depend on it; so the specification itself treats such weights.
    """
    dy, weight = as_input(dy), as_input(weight)
    with np.errstate(all="ignore"):
        finite = np.isfinite(weight.sum())
    if not finite:
        return reference.backward_input(dy, weight, input_size, stride, padding, dilation, groups)
    sizes = zip(dy.shape[2:], input_size, weight.shape[2:], stride, padding, dilation, strict=True)
    down, across = (backward_axis(*axis) for axis in sizes)
    filters, channels = weight.shape[:2]
    found = plan(dy.itemsize, len(dy), filters // groups, channels, groups, (down, across), forward=False)
    dx = np.empty((len(dy), channels * groups, *input_size), dy.dtype)
    convolve(dy, weight, None, found, groups, dx)
    return dx


@kernel
def _add_taps(
    tile: Any,
    windowed: Array,
    origin: int,
    windows: Array,
    taps: Array,
    tap: int,
    dy: Array,
    at: int,
    sums: Array,
    to: int,
    width: int,
    planes: Array,
    ahead: int,
) -> None:
    """sums[t, f] += the sum over pixels p of x[p, tap t] * dy[p, f], for a tile of taps.

    Meanwhile the next image of dy is fetched into the cache, a line a pixel: planes[ahead], ... Its pixels lie a plane
    apart, and a processor that has to guess where the next number will be read guesses wrong.
    """
    here = places_like(taps, tap, tile)
    for window in windows:
        tile = outer_fma_at(tile, windowed, here, origin + window, dy, at)
        at += width
        prefetch(planes, ahead)
        ahead += lanes(planes)
    store_tile(sums, to, width, tile)


@cache
def _compiled(cols: int) -> Callable[..., None]:
    """The sums over pixels with tiles `cols` vectors wide."""
    rows = TILE_ROWS[cols]

    @kernel
    def sum_windows_of_block(
        worker: int,
        item: int,
        x: Array,
        dy: Array,
        windows: Array,
        taps: Array,
        area: tuple[int, int, int, int, int, int, int, int],
        windowed: Array,
        images: Array,
        pixels: Array,
        block_channels: int,
        kernel_size: int,
        sums: Array,
    ) -> None:
        first_row, column, rows_in, columns_in, row_step, height, _, copied = area
        parts, groups, panels, all_taps, width = sums.shape
        count, planes, x_height, x_width = x.shape
        _, outputs, dy_height, dy_width = dy.shape
        channels, filters = planes // groups, outputs // groups
        blocks = (channels + block_channels - 1) // block_channels
        bands = (dy_height + height - 1) // height
        pieces = count * bands
        part, group, block = item // (groups * blocks), item // blocks % groups, item % blocks
        channel = block * block_channels
        first_tap, last_tap = channel * kernel_size, min(all_taps, (channel + block_channels) * kernel_size)
        for piece in range(part * pieces // parts, (part + 1) * pieces // parts):
            n, band = piece // bands, piece % bands
            row = first_row + band * row_step
            if copied:
                some_channels = min(block_channels, channels - channel)
                start = group * channels + channel
                bordered(x, n, start, some_channels, row, column, rows_in, columns_in, images[worker])
                origin = worker * windowed.shape[1] - channel * rows_in * columns_in
            else:
                origin = n * windowed.shape[1] + (group * channels * x_height + row) * x_width + column
            size = min(height, dy_height - band * height) * dy_width
            step = (size - 1) // ((size + PIXELS - 1) // PIXELS) + 1
            next_image, steps = (n + 1) * outputs * dy_height * dy_width, (last_tap - first_tap) // rows * panels * size
            ahead = next_image + outputs * dy_height * dy_width - steps * lanes(dy) if bands == 1 else next_image
            for panel in range(panels):
                start = ((n * outputs + group * filters + panel * width) * dy_height + band * height) * dy_width
                to_pixels(dy, start, dy_height * dy_width, filters - panel * width, size, width, pixels[worker])
                to = ((part * groups + group) * panels + panel) * all_taps
                for p in range(0, size, step):
                    some = windows[p : min(p + step, size)]
                    for tap in range(first_tap, last_tap, rows):
                        at = (to + tap) * width
                        tile = load_tile(sums, at, width, rows, cols)
                        _add_taps(
                            tile, windowed, origin, some, taps, tap, pixels[worker], p * width, sums, at, width,
                            dy, max(ahead, next_image),
                        )  # fmt: skip
                        if bands == 1:
                            ahead += len(some) * lanes(dy)

    @kernel
    def sum_windows(
        x: Array, dy: Array, windows: Array, taps: Array, area: tuple[int, int, int, int, int, int, int, int],
        windowed: Array, images: Array, pixels: Array, block_channels: int, kernel_size: int, sums: Array,
    ) -> None:  # fmt: skip
        parts, groups = sums.shape[:2]
        blocks = (x.shape[1] // groups + block_channels - 1) // block_channels
        arguments = x, dy, windows, taps, area, windowed, images, pixels, block_channels, kernel_size, sums
        parallel(sum_windows_of_block, len(pixels), parts * groups * blocks, arguments)

    return sum_windows


@kernel
def _collect(sums: Array, workers: int, taps: int, dweight: Array) -> None:
    """dweight (O, taps) = the sum of sums (parts, groups, panels, rows, width) over the parts, in their order."""
    parallel(_collect_panel, workers, sums.shape[1] * sums.shape[2], (sums, taps, dweight))


@kernel
def _collect_panel(worker: int, item: int, sums: Array, taps: int, dweight: Array) -> None:
    parts, groups, panels, rows, width = sums.shape
    filters = len(dweight) // groups
    group, panel = item // panels, item % panels
    total = sums[0, group, panel].reshape(rows * width)
    for part in range(1, parts):
        other = sums[part, group, panel].reshape(rows * width)
        for i in range(len(total)):
            total[i] += other[i]
    start = (group * filters + panel * width) * taps
    to_planes(total, taps, width, filters - panel * width, dweight, start, taps)


def backward_weight(
    x: Array, dy: Array, kernel_size: tuple[int, ...], stride: Pair, padding: Padding, dilation: Pair, groups: int
) -> Array:
    """The gradient dweight (O, C/groups, *kernel_size) of sum(dy * y), for dy (N, O, H_out, W_out)."""
    x, dy = as_input(x), as_input(dy)
    sizes = zip(x.shape[2:], kernel_size, stride, padding, dilation, strict=True)
    down, across = (forward_axis(*axis) for axis in sizes)
    filters, channels = dy.shape[1] // groups, x.shape[1] // groups
    found = plan(x.itemsize, len(x), channels, filters, groups, (down, across), forward=True)
    dweight = np.zeros((groups * filters, channels, *kernel_size), x.dtype)
    if not dweight.size or not dy.size:
        return dweight
    _sum(x, dy, found, groups, dweight.reshape(groups * filters, -1))
    return dweight


def _sum(x: Array, dy: Array, found: Plan, groups: int, dweight: Array) -> None:
    """Fills dweight (O, taps)."""
    rows, taps, channels = TILE_ROWS[found.cols], len(found.taps), x.shape[1] // groups
    padded = np.concatenate([found.taps, np.zeros(-taps % rows, np.int64)])
    panels = -(-dweight.shape[0] // groups // found.width)
    images, _, height, width = dy.shape
    pieces = images * -(-height // found.height)
    one = groups * panels * len(padded) * found.width
    parts = max(1, min(pieces, PARTS, images * height * width // PART, SUMS_BYTES // (one * x.itemsize)))
    # The last square of lanes x lanes that is transposed may reach beyond the last tap.
    memory = aligned((parts * one + VECTOR_BYTES // x.itemsize * found.width,), x.dtype)
    memory.fill(0)
    sums = memory[: parts * one].reshape(parts, groups, panels, len(padded), found.width)
    workers = workers_for(dy.size * taps)
    block_channels = rows * _block(found, channels, panels, rows, parts * groups, workers, x.itemsize)
    image_size = found.image_size // channels * min(channels, block_channels)
    copies = np.zeros((workers, image_size), x.dtype)
    windowed = as_input(copies) if image_size else x.reshape(images, -1)
    pixels = aligned((workers, found.pixels), x.dtype)
    tables = found.windows, padded, found.area
    _compiled(found.cols)(x, dy, *tables, windowed, copies, pixels, block_channels, taps // channels, sums)
    _collect(sums, workers, taps, dweight)


def _block(found: Plan, channels: int, panels: int, rows: int, shares: int, workers: int, itemsize: int) -> int:
    """How many times `rows` channels a piece of work takes, whose taps therefore fill whole tiles.

    As many as the cache holds, but enough of them for the threads, as there are `shares` of each.
    """
    most = -(-channels // rows)
    wanted = -(-2 * workers // shares) if workers > 1 else 1
    one = (found.image_size + panels * found.width * len(found.taps)) // channels * rows * itemsize
    return max(1, min(-(-most // wanted), BLOCK_BYTES // one))
