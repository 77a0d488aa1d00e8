"""The gradients of depthwise convolution. `depthwise` says what they compute.

In `backward_input` the zeros around dy would turn an infinite weight into nan where the sum has no such term: then
the reference, which adds only what there is, takes over.
"""

import numpy as np

from kernels.cpu.convolution import strips
from kernels.cpu.convolution.depthwise import ONE, in_strips
from kernels.cpu.convolution.pixels import Padding, Pair, before, before_turned, convolve
from kernels.cpu.convolution.pixels_backward import correlate
from kernels.cpu.jit import Array
from kernels.reference import convolution as reference


def backward_input(
    dy: Array,
    weight: Array,
    input_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair,
    channels: int | None = None,
) -> Array:
    """As `kernels.reference.convolution.backward_input` with as many groups as channels; None: one filter each."""
    channels = len(weight) if channels is None else channels
    if dy.size == 0 or weight.size == 0:
        return np.zeros((len(dy), channels, *input_size), dy.dtype)
    if not np.isfinite(weight).all():
        return reference.backward_input(dy, weight, input_size, stride, padding, dilation, channels)
    begin = before_turned(padding, weight.shape[2:], dilation)
    if len(weight) == channels and stride == ONE and in_strips(weight.shape[2:], stride, dilation):
        return strips.convolve(dy, weight[..., ::-1, ::-1], None, input_size, begin)
    turned = weight.reshape(channels, 1, -1, *weight.shape[2:])[..., ::-1, ::-1]
    return convolve(dy, turned, None, input_size, begin, (1, 1), dilation, stride)


def backward_weight(x: Array, dy: Array, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair) -> Array:
    """As `kernels.reference.convolution.backward_weight` with as many groups as channels."""
    if x.size == 0 or dy.size == 0:
        return np.zeros((dy.shape[1], 1, *kernel_size), x.dtype)
    if kernel_size == (3, 3) and in_strips(kernel_size, stride, dilation):
        return strips.correlate(x, dy, before(padding), stride[0])
    gradient = correlate(x, dy, x.shape[1], kernel_size, before(padding), stride, dilation)
    return gradient.reshape(-1, 1, *kernel_size)
