"""The binary convolution of XNOR-Net in plain NumPy: the specification that every faster version is tested against.

Weights W (K, C, kh, kw) and the input X (N, C, H, W) are replaced by their signs, scaled by the mean magnitude of what
was replaced. With n = C kh kw weights in a filter:

    sign(v)     -1 where v < 0, +1 everywhere else: +1 at 0, at -0.0 and at NaN
    alpha[k]    = 1/n sum |W[k]|                 the scale that makes alpha sign(W) closest to W
    A[n]        = 1/C sum over c of |X[n, c]|
    K[n]        = A[n] convolved with the box filter 1/(kh kw): the mean of |X| over each window
    y[n, k]     = (sign(X) * sign(W))[n, k] alpha[k]            and, with scale_input, times K[n]

where `*` is the convolution of `kernels.reference.convolution`, with its stride, padding and dilation. A padded pixel
is 0, not a sign: it adds nothing to the convolution of the signs, and nothing to K. So the sum of signs is an integer,
exactly, and y is that integer times one or two rounded numbers.

A NaN has no sign, and a bit cannot hold it: in X it counts as +1, and is seen in y only through K. In W it makes
alpha, and so all of y[:, k], NaN. An infinity has a sign like any number; it makes alpha or K infinite.

Arguments are taken as they come: `kernels` checks them. Source: Rastegari, Ordonez, Redmon and Farhadi, "XNOR-Net:
ImageNet Classification Using Binary Convolutional Neural Networks", 2016, https://arxiv.org/abs/1603.05279. (It prints
A as a sum over the last axis of C x W x H data; the mean is over the channels.)
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.reference import convolution
from kernels.reference.convolution import Padding, Sizes

Array = npt.NDArray[Any]

WORD = 64  # signs in a word


def sign(values: Array) -> Array:
    """-1 where a value is below 0, +1 everywhere else; the dtype is kept."""
    return np.where(values < 0, -1, 1).astype(values.dtype)


@np.errstate(all="ignore")  # inf and nan spread silently
def filter_scale(weight: Array) -> Array:
    """alpha (K,): the mean magnitude of each filter, added up in float64; 0 for a filter without weights."""
    total = np.abs(weight).sum(axis=(1, 2, 3), dtype=np.float64)
    return (total / max(math.prod(weight.shape[1:]), 1)).astype(weight.dtype)


@np.errstate(all="ignore")
def input_scale(x: Array, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes) -> Array:
    """The map K (N, 1, OH, OW): the mean magnitude of x in each window, with zeros in the padding."""
    magnitude = np.abs(x).sum(axis=1, keepdims=True, dtype=np.float64) / max(x.shape[1], 1)
    box = np.full((1, 1, *kernel_size), 1 / (kernel_size[0] * kernel_size[1]))
    return convolution.forward(magnitude, box, stride, padding, dilation, 1).astype(x.dtype)


def forward(x: Array, weight: Array, stride: Sizes, padding: Padding, dilation: Sizes, scale_input: bool) -> Array:
    """The binary convolution y (N, K, OH, OW), in the dtype of x."""
    return forward_signs(x, sign(weight), filter_scale(weight), stride, padding, dilation, scale_input)


@np.errstate(all="ignore")
def forward_signs(
    x: Array, signs: Array, alpha: Array, stride: Sizes, padding: Padding, dilation: Sizes, scale_input: bool
) -> Array:
    """The same from the signs (K, C, kh, kw) of the weights and their scales alpha (K,)."""
    wide = sign(x).astype(np.float64), signs.astype(np.float64)  # float64 holds the sums exactly
    y = convolution.forward(*wide, stride, padding, dilation, 1).astype(x.dtype) * alpha[:, None, None]
    return y * input_scale(x, signs.shape[2:], stride, padding, dilation) if scale_input else y


def pack_signs(x: Array) -> Array:
    """One bit for each sign: (N, C, ...) -> uint64 (N, ceil(C / 64), ...).

    Bit c % 64 of word c // 64 is set where x[:, c] < 0. The unused bits of the last word are 0. With such words h and b
    for two vectors of n signs, their product is n - 2 popcount(h xor b), because the bits differ where it has a -1.
    """
    words = -(-x.shape[1] // WORD)
    bits = np.zeros((len(x), *x.shape[2:], words * WORD), bool)
    bits[..., : x.shape[1]] = np.moveaxis(x < 0, 1, -1)
    packed = np.packbits(bits, axis=-1, bitorder="little").view("<u8").astype(np.uint64)
    return np.ascontiguousarray(np.moveaxis(packed, -1, 1))
