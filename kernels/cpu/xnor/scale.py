"""The map K: the mean magnitude of the input in each window. It reads the input once more, at the speed of memory."""

from kernels.cpu.jit import Array, kernel
from kernels.cpu.parallel import parallel

RUN = 512  # neighbouring pixels whose sums stay in the L1 cache


@kernel
def _magnitudes(worker: int, item: int, x: Array, all_sums: Array) -> None:
    """Fills RUN pixels of all_sums (N, pixels) with the sum of magnitudes of all channels."""
    n, run = divmod(item, -(-x.shape[2] // RUN))
    first = run * RUN
    sums = all_sums[n, first : first + RUN]
    sums[:] = 0
    for c in range(x.shape[1]):
        line = x[n, c, first : first + RUN]
        for i in range(len(line)):
            sums[i] += abs(line[i])


@kernel
def _window_means(
    worker: int, n: int, all_sums: Array, width: int, options: Array, taps_high: int, taps_wide: int, out_width: int,
    values: int, scales: Array,
) -> None:  # fmt: skip
    """Fills scales (at least OH * OW) of image n from its sums (H * width): windows of `values` numbers each."""
    stride, before, dilation = options
    sums, scale = all_sums[n], scales[n]
    height = len(sums) // width
    scale[:] = 0
    for pixel in range(len(scale) // out_width * out_width):
        row, column = divmod(pixel, out_width)
        total = 0.0
        for i in range(taps_high):
            y = row * stride[0] + i * dilation[0] - before[0]
            if 0 <= y < height:
                for j in range(taps_wide):
                    x = column * stride[1] + j * dilation[1] - before[1]
                    if 0 <= x < width:
                        total += sums[y * width + x]
        scale[pixel] = total / values


@kernel
def input_scale(
    x: Array, width: int, options: Array, taps_high: int, taps_wide: int, out_width: int, workers: int,
    sums: Array, scale: Array,
) -> None:  # fmt: skip
    """Fills scale (N, at least OH * OW) from x (N, C, H * width); sums (N, H * width) is float64 scratch memory."""
    parallel(_magnitudes, workers, len(x) * -(-x.shape[2] // RUN), (x, sums))
    values = x.shape[1] * taps_high * taps_wide
    arguments = sums, width, options, taps_high, taps_wide, out_width, values, scale
    parallel(_window_means, workers, len(x), arguments)
