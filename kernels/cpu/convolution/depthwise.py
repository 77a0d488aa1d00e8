"""Depthwise convolution: each channel has its own filters, one or a few.

What has to be done, for a 3 x 3 filter in float32: 9 multiplications for each pixel, which is read once and written
once: 18 operations for 8 bytes. Memory and the level-1 cache are the limit, since 9 multiplications need 9 shifted
loads, and a tile of one filter shares them with nobody. What helps is that a channel's pixels lie side by side: one
channel of one image at a time is copied into the level-1 cache, with its border, and the lanes run along its rows.
`pixels` shows the tile; with one filter it is one row of eight vectors.

Measured on one thread of a Xeon with AVX-512, time over that of PyTorch 2.13, 3 x 3: 64 channels of 32 x 32 take 0.56
forward, 0.51 and 0.42 backward (input, weight); with stride 2, 0.7 to 0.9; 256 channels of 14 x 14 take 0.75 to 0.9.
With stride 2 those give images of 7 x 7, for which a copy takes longer than the sums: 1.7, 1.1 and 1.6.

    forward           each channel a convolution of its own: C -> groups, one input channel, M filters
    backward_input    the same, of dy with the filters turned around: M input channels, one filter;
                      at stride s, dy has s - 1 zeros between its pixels (`border`)
    backward_weight   `pixels_backward`: one filter times 9 taps
"""

import numpy as np

from kernels.cpu.convolution import strips
from kernels.cpu.convolution.pixels import Padding, Pair, before, convolve
from kernels.cpu.jit import Array
from kernels.reference import convolution as reference

ONE = (1, 1)


def in_strips(kernel_size: tuple[int, ...], stride: Pair, dilation: Pair) -> bool:
    """Whether `strips` does it."""
    square = kernel_size[0] == kernel_size[1] and kernel_size[0] in strips.SIDES
    return square and stride in strips.STRIDES and dilation == ONE


def forward(x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Padding, dilation: Pair) -> Array:
    """As `kernels.reference.convolution.forward` for x (N, C, H, W), weight (C * M, 1, KH, KW), C groups; plus bias."""
    channels = x.shape[1]
    out_size = reference.output_size(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    if x.size == 0 or weight.size == 0:
        y = np.zeros((len(x), len(weight), *out_size), x.dtype)
        return y if bias is None else y + bias[:, None, None]
    if in_strips(weight.shape[2:], stride, dilation):
        return strips.convolve(x, weight, bias, (out_size[0], out_size[1]), before(padding), stride[0])
    by_channel = weight.reshape(channels, -1, 1, *weight.shape[2:])
    return convolve(x, by_channel, bias, (out_size[0], out_size[1]), before(padding), stride, dilation)
