"""The gradients of convolution with few input channels, stride 1. `few_channels` says what they compute.

In `backward_input` the zeros around dy would turn an infinite weight into nan where the sum has no such term: then
the reference, which adds only what there is, takes over.
"""

import numpy as np

from kernels.cpu.convolution.few_channels import ONE
from kernels.cpu.convolution.pixels import Padding, Pair, before, before_turned, convolve
from kernels.cpu.convolution.pixels_backward import correlate
from kernels.cpu.jit import Array
from kernels.reference import convolution as reference


def backward_input(dy: Array, weight: Array, input_size: Pair, padding: Padding, dilation: Pair) -> Array:
    """As `kernels.reference.convolution.backward_input` with stride 1 and one group."""
    if dy.size == 0 or weight.size == 0 or not np.isfinite(weight).all():
        return reference.backward_input(dy, weight, input_size, ONE, padding, dilation, 1)
    turned = weight[:, :, ::-1, ::-1].swapaxes(0, 1)
    begin = before_turned(padding, weight.shape[2:], dilation)
    return convolve(dy, turned[None], None, input_size, begin, ONE, dilation)


def backward_weight(x: Array, dy: Array, kernel_size: Pair, padding: Padding, dilation: Pair) -> Array:
    """As `kernels.reference.convolution.backward_weight` with stride 1 and one group."""
    if x.size == 0 or dy.size == 0:
        return reference.backward_weight(x, dy, kernel_size, ONE, padding, dilation, 1)
    return correlate(x, dy, 1, kernel_size, before(padding), ONE, dilation)[0]
