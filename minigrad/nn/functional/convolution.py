"""Convolutions and their adjoints."""

from __future__ import annotations

from typing import Any

import kernels
from kernels.reference.convolution import output_size

from ...dtypes import Array
from ...errors import ArgumentError, DtypeError, ShapeError
from ...primitive import op
from ...tensor import Tensor
from .arguments import need_tensors
from .windows import Sizes, batched, check_images, per_dim

__all__ = ["conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"]

Padding = Sizes | str

# --- three bilinear ops, each the derivative of the others ------------------------------------------------------------


@op(saves="inputs")
def _convolution(x: Array, weight: Array, **options: Any) -> Array:
    return kernels.conv_forward(x, weight, None, **options)


@op(saves="inputs")
def _convolution_input(dy: Array, weight: Array, *, input_size: tuple[int, ...], **options: Any) -> Array:
    return kernels.conv_backward_input(dy, weight, input_size, **options)


@op(saves="inputs")
def _convolution_weight(x: Array, dy: Array, *, kernel_size: tuple[int, ...], **options: Any) -> Array:
    return kernels.conv_backward_weight(x, dy, kernel_size, **options)


def _by_input(dy: Any, weight: Any, x: Any, **options: Any) -> Any:
    return _convolution_input(dy, weight, input_size=x.shape[2:], **options)


def _by_weight(x: Any, dy: Any, weight: Any, **options: Any) -> Any:
    return _convolution_weight(x, dy, kernel_size=weight.shape[2:], **options)


_convolution.defvjp(
    lambda g, out, x, weight, **options: _by_input(g, weight, x, **options),
    lambda g, out, x, weight, **options: _by_weight(x, g, weight, **options),
)
_convolution_input.defvjp(
    lambda g, out, dy, weight, input_size, **options: _convolution(g, weight, **options),
    lambda g, out, dy, weight, input_size, **options: _by_weight(g, dy, weight, **options),
)
_convolution_weight.defvjp(
    lambda g, out, x, dy, kernel_size, **options: _by_input(dy, g, x, **options),
    lambda g, out, x, dy, kernel_size, **options: _convolution(x, g, **options),
)

# --- with a bias, which the kernel adds while the results are in registers --------------------------------------------


@op(saves="inputs")
def _biased_convolution(x: Array, weight: Array, bias: Array, **options: Any) -> Array:
    return kernels.conv_forward(x, weight, bias, **options)


@op(saves="")
def _channel_sums(dy: Array) -> Array:
    return kernels.conv_backward_bias(dy)


_biased_convolution.defvjp(
    lambda g, out, x, weight, bias, **options: _by_input(g, weight, x, **options),
    lambda g, out, x, weight, bias, **options: _by_weight(x, g, weight, **options),
    lambda g, out, x, weight, bias, **options: _channel_sums(g),
)
_channel_sums.defvjp(lambda g, out, dy: g.reshape(-1, *(1,) * (dy.ndim - 2)).expand(dy.shape))


# --- arguments --------------------------------------------------------------------------------------------------------


def _channels(name: str, input: Any, weight: Any, bias: Any, dims: int, groups: Any, transposed: bool) -> int:
    """Check that the tensors fit; returns the number of groups."""
    check_images(name, input, dims)
    need_tensors(name, weight=weight)
    (groups,) = per_dim(name, "groups", groups, 1, least=1)
    layout = "(in_channels, out_channels/groups" if transposed else "(out_channels, in_channels/groups"
    layout += ", *kernel_size)"
    if weight.ndim != dims + 2 or 0 in weight.shape:
        raise ShapeError(f"{name}: weight must be {layout}, {dims + 2} sizes >= 1, got shape {weight.shape}")
    if weight.shape[0] % groups:
        raise ShapeError(f"{name}: dim 0 of weight {weight.shape} must be a multiple of groups={groups}")
    channels = weight.shape[0] if transposed else weight.shape[1] * groups
    if input.shape[-dims - 1] != channels:
        raise ShapeError(
            f"{name}: weight {weight.shape} with groups={groups} wants {channels} input channels, got "
            f"{input.shape[-dims - 1]} in input shape {input.shape}; weight is {layout}"
        )
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None:
        need_tensors(name, bias=bias)
    if bias is not None and bias.shape != (outputs,):
        raise ShapeError(f"{name}: bias must have shape ({outputs},), one for each channel, got {bias.shape}")
    _same_dtype(name, [t for t in (input, weight, bias) if t is not None])
    return groups


def _same_dtype(name: str, tensors: list[Any]) -> None:
    dtypes = [t.dtype for t in tensors]
    if len(set(dtypes)) > 1:
        raise DtypeError(
            f"{name}: input, weight and bias must have one dtype, got {', '.join(map(str, dtypes))}; convert with "
            ".to(dtype)"
        )
    if dtypes[0].kind == "b":
        raise DtypeError(f"{name}: booleans are not multiplied and added, got bool; write input.float()")


def same_padding(kernel_size: tuple[int, ...], dilation: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Zeros before and after each dimension, so that a convolution of stride 1 keeps its size; an odd one goes last."""
    totals = [d * (k - 1) for k, d in zip(kernel_size, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def checked_padding(name: str, padding: Any, stride: tuple[int, ...]) -> None:
    """Check a padding that is given as a word.

    Raises:
        ArgumentError: for another word than "same" and "valid", or "same" with strides.
    """
    if padding not in ("same", "valid"):
        raise ArgumentError(f"{name}: padding must be numbers, 'same' or 'valid', got {padding!r}")
    if padding == "same" and max(stride) > 1:
        raise ArgumentError(f"{name}: padding='same' needs stride 1, got stride {stride}; give the padding in numbers")


def _padding_pairs(
    name: str, padding: Any, kernel_size: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, int], ...]:
    if not isinstance(padding, str):
        return tuple((p, p) for p in per_dim(name, "padding", padding, len(kernel_size)))
    checked_padding(name, padding, stride)
    return same_padding(kernel_size, dilation) if padding == "same" else ((0, 0),) * len(kernel_size)


def _with_bias(out: Any, bias: Any, dims: int) -> Any:
    return out if bias is None else out + bias.reshape(-1, *(1,) * dims)


# --- the public functions ---------------------------------------------------------------------------------------------


def _conv(
    name: str, dims: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    groups = _channels(name, input, weight, bias, dims, groups, transposed=False)
    sizes, kernel_size = input.shape[-dims:], weight.shape[2:]
    stride = per_dim(name, "stride", stride, dims, least=1)
    dilation = per_dim(name, "dilation", dilation, dims, least=1)
    pairs = _padding_pairs(name, padding, kernel_size, stride, dilation)
    if min(output_size(sizes, kernel_size, stride, pairs, dilation)) < 1:
        raise ShapeError(
            f"{name}: kernel_size {kernel_size} with dilation {dilation} is larger than the input of sizes {sizes} "
            f"with padding {padding}"
        )

    options = {"stride": stride, "padding": pairs, "dilation": dilation, "groups": groups}

    def convolved(x: Any) -> Any:
        if bias is None:
            return _convolution(x, weight, **options)
        return _biased_convolution(x, weight, bias, **options)

    return batched(convolved, input, dims)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Any:
    """The convolution of (N, C, L) or (C, L) with weight (O, C/groups, K): `conv2d` in one dimension."""
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Any:
    """The convolution of (N, C, H, W) or (C, H, W) with weight (O, C/groups, KH, KW) and bias (O,).

    y[n, o, p] = bias[o] + sum over c and t of weight[o, c, t] * x[n, c, p * stride + t * dilation - padding]

    The kernel is not flipped, and x is zero outside. Each size n becomes floor((n + 2 padding - dilation * (K - 1) - 1)
    / stride) + 1.

    Args:
        padding: numbers, "valid" for none, or "same" to keep the sizes (an odd zero goes behind).
        groups: split the channels into that many parts; each output channel sees the inputs of its part alone.

    Source: Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition" (1998),
    http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf

    Raises:
        ShapeError: shapes that do not fit, or a kernel larger than the padded input.
        DtypeError: more than one dtype, or bool.
        ArgumentError, ArgumentTypeError: options out of range.
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Padding = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Any:
    """The convolution of (N, C, D, H, W) or (C, D, H, W): `conv2d` in three dimensions."""
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(
    name: str, dims: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any,
    groups: Any, dilation: Any,
) -> Any:  # fmt: skip
    groups = _channels(name, input, weight, bias, dims, groups, transposed=True)
    stride = per_dim(name, "stride", stride, dims, least=1)
    padding = per_dim(name, "padding", padding, dims)
    output_padding = per_dim(name, "output_padding", output_padding, dims)
    dilation = per_dim(name, "dilation", dilation, dims, least=1)
    if any(extra >= max(s, d) for extra, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise ArgumentError(
            f"{name}: output_padding {output_padding} must be smaller than stride {stride} or dilation {dilation}"
        )
    smallest = transposed_size(input.shape[-dims:], weight.shape[2:], stride, padding, dilation)
    sizes = tuple(n + extra for n, extra in zip(smallest, output_padding, strict=True))
    if min(sizes) < 1:
        raise ShapeError(f"{name}: padding {padding} leaves nothing of the output, whose sizes would be {sizes}")
    # No window of the convolution reaches the extra elements: its input is cut there by as much.
    pairs = tuple((p, p - extra) for p, extra in zip(padding, output_padding, strict=True))

    def convolved(x: Any) -> Any:
        return _convolution_input(
            x, weight, input_size=sizes, stride=stride, padding=pairs, dilation=dilation, groups=groups
        )

    return _with_bias(batched(convolved, input, dims), bias, dims)


def transposed_size(
    sizes: tuple[int, ...],
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:
    """The smallest sizes that a convolution with these options reduces to `sizes`."""
    return tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + 1
        for n, k, s, p, d in zip(sizes, kernel_size, stride, padding, dilation, strict=True)
    )


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Any:
    """The adjoint of `conv1d`, from (N, C, L) or (C, L) with weight (C, O/groups, K): see `conv_transpose2d`."""
    return _conv_transpose(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Any:
    """The adjoint of `conv2d`, from (N, C, H, W) or (C, H, W) with weight (C, O/groups, KH, KW) and bias (O,).

    It is the gradient of `conv2d` by its input, with the same weight and options. Each size n becomes
    (n - 1) * stride - 2 padding + dilation * (K - 1) + output_padding + 1.

    Args:
        output_padding: how much larger the output is than the smallest that the convolution would reduce to `input`;
            less than stride or dilation.

    Source: V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning" (2016),
    https://arxiv.org/abs/1603.07285

    Raises:
        ShapeError: shapes that do not fit, or an output without elements.
        DtypeError: more than one dtype, or bool.
        ArgumentError, ArgumentTypeError: options out of range.
    """
    return _conv_transpose(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Any:
    """The adjoint of `conv3d`, from (N, C, D, H, W) or (C, D, H, W): see `conv_transpose2d`."""
    return _conv_transpose(
        "conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )
