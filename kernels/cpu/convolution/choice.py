"""Which of the convolution kernels takes a problem.

    winograd       float32, 3 x 3 or 5 x 5, stride 1, many channels: fewer multiplications, at the price of rounding
    depthwise      one input channel a filter: lanes along a row of pixels, limited by memory
    few_channels   few input channels, stride 1: lanes along a row of pixels; channels would not fill them
                   (few_channels_winograd: float32, 3 x 3 or 5 x 5; fewer multiplications, with a little more rounding)
    pointwise      1 x 1, stride 1, no padding; forward and dx: a matrix product, lanes along the pixels of a plane
    direct         everything else: lanes along the output channels, any stride, dilation and groups

The choice depends on shapes, the dtype and the switch for Winograd, never on values, with one exception: Winograd's
transforms can overflow, or spread a nan over its tile, so where a result is not finite, `direct` has the last word.
"""

from kernels.cpu.convolution import (
    depthwise,
    depthwise_backward,
    direct,
    direct_backward,
    few_channels,
    few_channels_backward,
    few_channels_winograd,
    pointwise,
    winograd,
    winograd_weight,
)
from kernels.cpu.convolution.winograd_transforms import METHODS
from kernels.cpu.jit import Array

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]

# With fewer channels than this on either side, Winograd's transforms cost more than they save. For 5 x 5, time relative
# to the kernel that would do it otherwise, forward / dx / dw at 14 x 14, batch 64: 8 -> 16 channels 1.1 / 1.4 / 1.0,
# 16 -> 8 0.7 / 1.3 / 0.8, 16 -> 16 0.7 / 0.8 / 0.7, 32 -> 64 0.5 / 0.6 / 0.7. A single image of 14 x 14 loses, 1.3 at
# 16 -> 32, and gains from 64 channels on.
WINOGRAD_CHANNELS = 16
WINOGRAD_SIZES = tuple((taps, taps) for taps in METHODS)
# Up to so many input channels, lanes along pixels were faster in each of the three, at 14 x 14 to 32 x 32 pixels.
FEW_CHANNELS = {"forward": 8, "backward_input": 16, "backward_weight": 4}


def _takes_winograd(weight: Array, stride: Pair, dilation: Pair, groups: int) -> bool:
    plain = weight.shape[2:] in WINOGRAD_SIZES and stride == dilation == (1, 1) and groups == 1
    return plain and weight.dtype == "f4" and min(weight.shape[:2]) >= WINOGRAD_CHANNELS


def _takes_winograd_in_one_direction(weight: Array, sizes: Pair, padding: Padding, dilation: Pair) -> bool:
    """For few channels and stride 1."""
    (filters, _, *kernel_size), dtype = weight.shape, weight.dtype
    if tuple(kernel_size) not in WINOGRAD_SIZES or dilation != (1, 1) or dtype != "f4":
        return False
    rows, columns = (n + sum(pads) - k + 1 for n, pads, k in zip(sizes, padding, kernel_size, strict=True))
    return few_channels_winograd.pays(filters, kernel_size[0], (rows, columns))


def _is_depthwise(inputs: int, groups: int) -> bool:
    return groups > 1 and inputs == 1


def _has_few_channels(function: str, inputs: int, stride: Pair, groups: int) -> bool:
    return groups == 1 and stride == (1, 1) and inputs <= FEW_CHANNELS[function]


def _is_pointwise(weight: Array, stride: Pair, padding: Padding, groups: int, source: Array, outputs: int) -> bool:
    plain = weight.shape[2:] == stride == (1, 1) and padding == ((0, 0), (0, 0)) and groups == 1
    return plain and pointwise.takes(source.shape[2] * source.shape[3], outputs, source.itemsize)


def forward(
    x: Array, weight: Array, bias: Array | None, stride: Pair, padding: Padding, dilation: Pair, groups: int,
    allow_winograd: bool,
) -> Array:  # fmt: skip
    """As `kernels.reference.convolution.forward`, plus the bias; two spatial dimensions, at least one element."""
    if allow_winograd and _takes_winograd(weight, stride, dilation, groups):
        y, finite = winograd.forward(x, weight, bias, padding)
        if finite:
            return y
    if _is_depthwise(weight.shape[1], groups):
        return depthwise.forward(x, weight, bias, stride, padding, dilation)
    if _has_few_channels("forward", weight.shape[1], stride, groups):
        if allow_winograd and _takes_winograd_in_one_direction(weight, x.shape[2:], padding, dilation):
            y, finite = few_channels_winograd.forward(x, weight, bias, padding)
            if finite:
                return y
        return few_channels.forward(x, weight, bias, padding, dilation)
    if _is_pointwise(weight, stride, padding, groups, x, weight.shape[0]):
        return pointwise.forward(x, weight, bias)
    return direct.forward(x, weight, bias, stride, padding, dilation, groups)


def backward_input(
    dy: Array, weight: Array, input_size: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int,
    allow_winograd: bool,
) -> Array:  # fmt: skip
    """As `kernels.reference.convolution.backward_input`; two spatial dimensions, at least one element."""
    if allow_winograd and _takes_winograd(weight, stride, dilation, groups):
        dx, finite = winograd.backward_input(dy, weight, input_size, padding)
        if finite:
            return dx
    if _is_depthwise(weight.shape[1], groups):
        return depthwise_backward.backward_input(dy, weight, input_size, stride, padding, dilation, groups)
    if _has_few_channels("backward_input", weight.shape[1], stride, groups):
        return few_channels_backward.backward_input(dy, weight, input_size, padding, dilation)
    if _is_pointwise(weight, stride, padding, groups, dy, weight.shape[1]):
        return pointwise.backward_input(dy, weight)
    return direct_backward.backward_input(dy, weight, input_size, stride, padding, dilation, groups)


def backward_weight(
    x: Array, dy: Array, kernel_size: Pair, stride: Pair, padding: Padding, dilation: Pair, groups: int,
    allow_winograd: bool,
) -> Array:  # fmt: skip
    """As `kernels.reference.convolution.backward_weight`; two spatial dimensions, at least one element."""
    inputs = x.shape[1] // groups
    plain = kernel_size in WINOGRAD_SIZES and stride == dilation == (1, 1) and groups == 1 and x.dtype == "f4"
    if allow_winograd and plain and min(inputs, dy.shape[1]) >= WINOGRAD_CHANNELS:
        dw, finite = winograd_weight.backward_weight(x, dy, kernel_size, padding)
        if finite:
            return dw
    if _is_depthwise(inputs, groups):
        return depthwise_backward.backward_weight(x, dy, kernel_size, stride, padding, dilation)
    if _has_few_channels("backward_weight", inputs, stride, groups):
        return few_channels_backward.backward_weight(x, dy, kernel_size, padding, dilation)
    return direct_backward.backward_weight(x, dy, kernel_size, stride, padding, dilation, groups)
