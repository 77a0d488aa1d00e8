"""The binary convolution of XNOR-Net, and how it is trained although a sign has no useful derivative."""

from __future__ import annotations

from typing import Any

from kernels.reference.convolution import output_size
from kernels.reference.xnor import sign
from kernels.xnor import xnor_conv2d

from ...creation import full
from ...dtypes import Array
from ...errors import DtypeError, ShapeError
from ...primitive import op
from ...tensor import Tensor
from . import convolution
from .arguments import need_floats
from .convolution import Padding
from .windows import Sizes, batched, per_dim

__all__ = ["binary_conv2d"]


@op(saves="inputs")
def _straight_sign(x: Array) -> Array:
    """-1 where x < 0 and +1 everywhere else; its derivative is taken to be 1 where |x| <= 1, and 0 elsewhere."""
    return sign(x)


_straight_sign.defvjp(lambda g, out, x: g * _passes(x))


def _passes(x: Any) -> Any:
    """1 where the gradient passes a sign straight through."""
    return (x.abs() <= 1).to(x.dtype)


def _scale(weight: Any) -> Any:
    """alpha, shaped (O, 1, 1, 1): the mean magnitude of each filter."""
    return weight.abs().mean((1, 2, 3), keepdim=True)


@op(saves="inputs")
def _binary_convolution(x: Array, weight: Array, *, stride: Any, padding: Any, dilation: Any) -> Array:
    return xnor_conv2d(x, weight, stride, padding, dilation)


def _by_input(g: Any, out: Any, x: Any, weight: Any, **options: Any) -> Any:
    binary = _scale(weight) * _straight_sign(weight)
    dsign = convolution._convolution_input(g, binary, input_size=x.shape[2:], groups=1, **options)
    return dsign * _passes(x)


def _by_weight(g: Any, out: Any, x: Any, weight: Any, **options: Any) -> Any:
    signs, alpha = _straight_sign(weight), _scale(weight)
    dbinary = convolution._convolution_weight(
        _straight_sign(x), g, kernel_size=weight.shape[2:], groups=1, **options
    )  # with respect to alpha * sign
    dalpha = (dbinary * signs).mean((1, 2, 3), keepdim=True)
    return dalpha * weight.sgn() + dbinary * alpha * _passes(weight)


_binary_convolution.defvjp(_by_input, _by_weight)


def _window_means(x: Any, kernel_size: tuple[int, ...], **options: Any) -> Any:
    """The map K (N, 1, OH, OW): the mean of |x| over the channels and over each window."""
    box = full((1, 1, *kernel_size), 1 / (kernel_size[0] * kernel_size[1]), dtype=x.dtype).to(x.device)
    return convolution._convolution(x.abs().mean(1, keepdim=True), box, groups=1, **options)


def binary_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    scale_input: bool = False,
) -> Any:
    """The convolution of the signs of (N, C, H, W) or (C, H, W) and weight (O, C, KH, KW), scaled, plus bias (O,).

    y[n, o] = alpha[o] * (sign(x[n]) convolved with sign(weight[o])) + bias[o],    alpha[o] = mean |weight[o]|

    sign(v) is -1 where v < 0 and +1 everywhere else. Padding is 0, not a sign. The signs are packed into bits and
    multiplied 64 at a time, so this is an order of magnitude faster than `conv2d`, forwards.

    Backwards, the derivative of a sign is taken to be 1 where |v| <= 1 and 0 elsewhere, "straight through"; everything
    else is differentiated as it stands. With h the gradient by alpha * sign(weight) and n weights in a filter,

        dL/dw_i = 1/n sgn(w_i) sum over j of h_j sign(w_j)  +  h_i alpha [|w_i| <= 1]

    The first term is what alpha contributes, to which every weight of the filter belongs. The paper prints
    h_i (1/n + alpha dsign(w_i)), which keeps only j = i of that sum, and is the gradient of nothing.

    Args:
        padding: numbers, "valid" for none, or "same" to keep the sizes (an odd zero goes behind).
        scale_input: multiply by the mean |x| over the channels and over each window, too, zeros of the padding
            included: the map K of the paper.

    Source: M. Rastegari, V. Ordonez, J. Redmon and A. Farhadi, "XNOR-Net: ImageNet Classification Using Binary
    Convolutional Neural Networks" (2016), https://arxiv.org/abs/1603.05279; the straight-through derivative:
    Y. Bengio, N. Leonard and A. Courville (2013), https://arxiv.org/abs/1308.3432

    Raises:
        ShapeError: shapes that do not fit, or a kernel larger than the padded input.
        DtypeError: more than one dtype, or one that is not float32 or float64.
        ArgumentError, ArgumentTypeError: options out of range.
    """
    name = "binary_conv2d"
    convolution._channels(name, input, weight, bias, 2, 1, transposed=False)
    need_floats(name, input=input)
    if input.dtype.itemsize < 4:
        raise DtypeError(f"{name}: input must be float32 or float64, got {input.dtype}; write input.float()")
    sizes, kernel_size = input.shape[-2:], weight.shape[2:]
    stride = per_dim(name, "stride", stride, 2, least=1)
    dilation = per_dim(name, "dilation", dilation, 2, least=1)
    pairs = convolution._padding_pairs(name, padding, kernel_size, stride, dilation)
    if min(output_size(sizes, kernel_size, stride, pairs, dilation)) < 1:
        raise ShapeError(
            f"{name}: kernel_size {kernel_size} with dilation {dilation} is larger than the input of sizes {sizes} "
            f"with padding {padding}"
        )
    options = {"stride": stride, "padding": pairs, "dilation": dilation}

    def convolved(x: Any) -> Any:
        y = _binary_convolution(x, weight, **options)
        return y * _window_means(x, kernel_size, **options) if scale_input else y

    out = batched(convolved, input, 2)
    return out if bias is None else out + bias.reshape(-1, 1, 1)
