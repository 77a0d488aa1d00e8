"""The binary convolution of XNOR-Net: checked arguments, then NumPy for small problems and the compiled kernel."""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kernels.arrays import checked_array, on_device
from kernels.errors import KernelError
from kernels.reference import xnor as reference
from kernels.reference.convolution import output_size

if TYPE_CHECKING:
    from kernels.cpu.xnor.packing import Tiles

__all__ = ["PackedWeights", "pack_signs", "pack_weights", "xnor_conv2d"]

Array = npt.NDArray[Any]
Sizes = int | Sequence[int]
Pairs = tuple[tuple[int, int], tuple[int, int]]

# Below this many products of signs (or signs to pack), the NumPy version runs, and Numba is not even imported: NumPy
# is slower here, 10 milliseconds against 0.1, but loading Numba and the kernels takes half a second, once.
SMALL = 1 << 22
SMALL_PACKING = 1 << 18


@dataclass(frozen=True, eq=False)
class PackedWeights:
    """The weights (K, C, kh, kw) of a binary convolution as bits and scales: a 32nd of the memory of float32.

    words: uint64 (K, ceil(C / 64), kh, kw), as `pack_signs` returns them; alpha: (K,), the mean magnitude of each
    filter, whose dtype is the one that the input must have; shape: that of the weights. Made by `pack_weights`. The
    arrays are read-only; those of weights on a GPU lie there, too.
    """

    words: Array
    alpha: Array
    shape: tuple[int, int, int, int]

    @cached_property
    def tiles(self) -> "Tiles":
        """Words and scales in the order in which the compiled kernel reads them."""
        from kernels.cpu.xnor.packing import weight_tiles

        return weight_tiles(self.words, self.alpha, self.shape[1])

    def signs(self) -> Array:
        """The signs (K, C, kh, kw) again, -1 and +1, in the dtype of alpha."""
        from kernels.cuda import to_host

        octets = np.ascontiguousarray(np.moveaxis(to_host(self.words), 1, -1), "<u8").view(np.uint8)
        bits = np.unpackbits(octets, axis=-1, bitorder="little")[..., : self.shape[1]]
        return np.where(np.moveaxis(bits, -1, 1), -1, 1).astype(self.alpha.dtype)


def pack_signs(x: Array) -> Array:
    """The signs of x along axis 1 as bits: (N, C, ...) -> uint64 (N, ceil(C / 64), ...).

    Bit c % 64 of word c // 64 is set where x[:, c] < 0; so 0, -0.0 and NaN count as +1. The unused bits of the last
    word are 0. Raises KernelError for anything but a float32 or float64 array with two or more dimensions.
    """
    return _pack_signs(_floats("pack_signs", "x", x, "(N, C) or (N, C, ...)", least=2))


def pack_weights(weight: Array) -> PackedWeights:
    """The signs and the scales of the weights (K, C, kh, kw), to be used in many convolutions.

    Raises KernelError for anything but a float32 or float64 array of these four dimensions, kh and kw at least 1.
    """
    return _packed(_weight("pack_weights", weight))


def xnor_conv2d(
    x: Array,
    weight: Array | PackedWeights,
    stride: Sizes = 1,
    padding: Sizes | Pairs = 0,
    dilation: Sizes = 1,
    scale_input: bool = False,
) -> Array:
    """The convolution of the signs of x (N, C, H, W) and of weight (K, C, kh, kw), times the scales.

    With sign(v) = -1 where v < 0 and +1 everywhere else, and alpha[k] the mean of |weight[k]|,

        y[n, k] = alpha[k] * convolution of sign(x[n]) and sign(weight[k])          (N, K, OH, OW)

    and with `scale_input` times the mean of |x[n]| over the channels and over each window (the map K of the paper).
    `kernels.reference.xnor` says it precisely. The sum of signs is exact, for any number of channels.

    weight: an array, or what `pack_weights` made of one. stride, padding, dilation: one number or one for each of H
    and W; padding also ((above, below), (left, right)). A padded pixel adds 0, as if there were no sign at all.

    Raises KernelError for arrays that do not fit, options out of range, and kernels larger than the padded x.
    Source: Rastegari et al., "XNOR-Net", 2016, https://arxiv.org/abs/1603.05279.
    """
    name = "xnor_conv2d"
    x = _floats(name, "x", x, "(N, C, H, W)", least=4, most=4)
    filters, channels, *kernel_size = weight.shape if isinstance(weight, PackedWeights) else _weight(name, weight).shape
    dtype = weight.alpha.dtype if isinstance(weight, PackedWeights) else weight.dtype
    if dtype != x.dtype:
        raise KernelError(f"{name}: weight must have the dtype of x, which is {x.dtype}, got {dtype}")
    if channels != x.shape[1]:
        raise KernelError(f"{name}: weight has {channels} channels and x (shape {x.shape}) has {x.shape[1]}")
    stride = _pair(name, "stride", stride, least=1)
    dilation = _pair(name, "dilation", dilation, least=1)
    padding = _padding(name, padding)
    sizes = output_size(x.shape[2:], kernel_size, stride, padding, dilation)
    if min(sizes) < 1:
        raise KernelError(
            f"{name}: kernel size {tuple(kernel_size)} with dilation {dilation} is larger than x of sizes"
            f" {x.shape[2:]} with padding {padding}"
        )
    scale_input = bool(scale_input)
    if on_device(x, weight.words if isinstance(weight, PackedWeights) else weight):
        from kernels.cuda import xnor as gpu

        packed = weight if isinstance(weight, PackedWeights) else _packed(weight)
        options = kernel_size, stride, padding, dilation, scale_input
        return gpu.forward(x, packed.words, packed.alpha, *options, sizes)  # type: ignore[return-value]
    y_shape = len(x), filters, *sizes
    if math.prod(y_shape) * channels * math.prod(kernel_size) < SMALL:
        if not isinstance(weight, PackedWeights):
            return reference.forward(x, weight, stride, padding, dilation, scale_input)
        return reference.forward_signs(x, weight.signs(), weight.alpha, stride, padding, dilation, scale_input)
    from kernels.cpu.xnor import forward

    packed = weight if isinstance(weight, PackedWeights) else _packed(weight, compiled=True)
    return forward(x, packed.tiles, filters, kernel_size, stride, padding, dilation, scale_input, sizes)


def _pack_signs(x: Array, compiled: bool = False) -> Array:
    """The compiled kernel packs large arrays, and whatever comes when it is `compiled` anyway."""
    if on_device(x):
        from kernels.cuda import xnor as gpu

        return gpu.pack_signs(x)  # type: ignore[return-value]
    if x.size < SMALL_PACKING and not compiled:
        return reference.pack_signs(x)
    from kernels.cpu.xnor import pack_signs as pack

    return pack(x)


def _packed(weight: Array, compiled: bool = False) -> PackedWeights:
    filters, channels, height, width = weight.shape
    if on_device(weight):
        from kernels.cuda import xnor as gpu

        return PackedWeights(_pack_signs(weight), gpu.filter_scale(weight), (filters, channels, height, width))  # type: ignore[arg-type]
    words, alpha = _pack_signs(weight, compiled), reference.filter_scale(weight)
    words.setflags(write=False)
    alpha.setflags(write=False)
    return PackedWeights(words, alpha, (filters, channels, height, width))


def _floats(function: str, argument: str, value: Any, layout: str, least: int, most: int | None = None) -> Array:
    """A float32 or float64 array with as many dimensions as the layout says."""
    array = checked_array(function, argument, value)
    if array.dtype != np.float32 and array.dtype != np.float64:
        raise KernelError(f"{function}: {argument} must be float32 or float64, got {array.dtype}")
    if array.ndim < least or (most is not None and array.ndim > most):
        raise KernelError(
            f"{function}: {argument} must be {layout}, got {array.ndim} dimension(s): shape {array.shape}"
        )
    return array


def _weight(function: str, value: Any) -> Array:
    weight = _floats(function, "weight", value, "(K, C, kh, kw)", least=4, most=4)
    if 0 in weight.shape[2:]:
        raise KernelError(f"{function}: weight (K, C, kh, kw) must have kh and kw of at least 1, got {weight.shape}")
    return weight


def _pair(function: str, argument: str, value: Any, least: int) -> tuple[int, int]:
    """One number, or one for each of H and W."""
    values = value if isinstance(value, (tuple, list)) else (value, value)
    try:
        height, width = map(operator.index, values)
    except (TypeError, ValueError):
        raise KernelError(f"{function}: {argument} must be one integer or two, got {value!r}") from None
    if min(height, width) < least:
        raise KernelError(f"{function}: {argument} must be at least {least}, got {value!r}")
    return height, width


def _padding(function: str, value: Any) -> Pairs:
    """The padding before and after each of H and W."""
    if isinstance(value, (tuple, list)) and any(isinstance(side, (tuple, list)) for side in value):
        if len(value) != 2:
            raise KernelError(f"{function}: padding must be one integer or two, or two pairs of them, got {value!r}")
        rows, columns = (_pair(function, "padding", side, least=0) for side in value)
        return rows, columns
    height, width = _pair(function, "padding", value, least=0)
    return (height, height), (width, width)
