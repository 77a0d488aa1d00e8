"""Convolution: checked arguments, then NumPy for small problems and the compiled kernels for the rest.

x is (N, C, *sizes) and weight (O, C/groups, *kernel_size), with one, two or three spatial dimensions; stride, padding
and dilation hold one entry for each of them, and padding is a pair (before, after). What is computed is written down in
`kernels.reference.convolution`. Each of `conv_forward`, `conv_backward_input` and `conv_backward_weight` has the other
two as its derivatives.

float32 and float64 in one and two dimensions are compiled; three dimensions and other dtypes stay with NumPy.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.arrays import checked_array, on_device
from kernels.errors import KernelError
from kernels.reference import convolution as reference

__all__ = [
    "conv_backward_bias",
    "conv_backward_input",
    "conv_backward_weight",
    "conv_forward",
    "get_winograd",
    "set_winograd",
    "winograd",
]

Array = npt.NDArray[Any]
Sizes = Sequence[int]
Padding = Sequence[tuple[int, int]]

# Below this many multiplications the NumPy version runs, and Numba is not even imported: loading it takes half a second
# and compiling a kernel more, which small problems such as a gradient check never earn back. The choice depends on
# shapes alone, and so do the bits of every result.
SMALL = 1 << 18

_winograd = True


def get_winograd() -> bool:
    """Whether float32 convolutions of 3 x 3 and 5 x 5 kernels may be computed by Winograd's method."""
    return _winograd


def set_winograd(enabled: bool) -> None:
    """Allow Winograd's method for float32 convolutions of 3 x 3 and 5 x 5 kernels, or not.

    It needs 2.25 multiplications where the sum has 9, or 9 where it has 25 (with few input channels, 4.5 or 15, and in
    the forward pass alone), and rounds in other places:
    `kernels.cpu.convolution.winograd` states the bound on the error. float64 never uses it. Raises KernelError if
    `enabled` is not a bool.
    """
    global _winograd
    if not isinstance(enabled, (bool, np.bool_)):
        raise KernelError(f"set_winograd: enabled must be True or False, got {enabled!r}")
    _winograd = bool(enabled)


@contextlib.contextmanager
def winograd(enabled: bool) -> Iterator[None]:
    """`with winograd(False): ...` calls `set_winograd`, and restores what was before."""
    before = get_winograd()
    set_winograd(enabled)
    try:
        yield
    finally:
        set_winograd(before)


def conv_forward(
    x: Array, weight: Array, bias: Array | None, stride: Sizes, padding: Padding, dilation: Sizes, groups: int
) -> Array:
    """The convolution (N, O, *output_size) of x (N, C, *sizes) with weight (O, C/groups, *kernel_size), plus bias (O,).

    Raises KernelError for arrays and options that do not fit.
    """
    name = "conv_forward"
    x, weight = checked_array(name, "x", x), checked_array(name, "weight", weight)
    dims = _check(name, x.ndim, weight, stride, padding, dilation, groups)
    if x.shape[1] != weight.shape[1] * groups:
        raise KernelError(
            f"{name}: weight {weight.shape} with groups={groups} wants x with {weight.shape[1] * groups} channels, got"
            f" shape {x.shape}"
        )
    sizes = _output_size(name, x.shape[2:], weight.shape[2:], stride, padding, dilation)
    if bias is not None and checked_array(name, "bias", bias).shape != (len(weight),):
        raise KernelError(f"{name}: bias must have shape ({len(weight)},), one number a filter, got {bias.shape}")
    _one_dtype(name, x=x, weight=weight, **({} if bias is None else {"bias": bias}))
    options = stride, padding, dilation
    if on_device(x, weight, bias):
        from kernels.cuda import convolution as gpu

        return gpu.forward(x, weight, bias, *options, groups, sizes)  # type: ignore[return-value]
    if _stays_with_numpy(x, dims, len(x) * math.prod(sizes) * weight.size):
        y = reference.forward(x, weight, *options, groups)
        return y if bias is None else y + bias.reshape(-1, *(1,) * dims)
    from kernels.cpu.convolution import choice

    y = choice.forward(_image(x), _image(weight), bias, *_image_options(*options), groups, _winograd)
    return y.reshape(len(x), len(weight), *sizes)


def conv_backward_input(
    dy: Array, weight: Array, input_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes, groups: int
) -> Array:
    """The gradient (N, C, *input_size) of sum(dy * conv_forward(x, weight, ...)) by x: the transposed convolution.

    Raises KernelError for arrays and options that do not fit.
    """
    name = "conv_backward_input"
    dy, weight = checked_array(name, "dy", dy), checked_array(name, "weight", weight)
    dims = _check(name, dy.ndim, weight, stride, padding, dilation, groups)
    sizes = _output_size(name, input_size, weight.shape[2:], stride, padding, dilation)
    _check_dy(name, dy, len(weight), sizes)
    _one_dtype(name, dy=dy, weight=weight)
    options = stride, padding, dilation
    if on_device(dy, weight):
        from kernels.cuda import convolution as gpu

        return gpu.backward_input(dy, weight, input_size, *options, groups)  # type: ignore[return-value]
    if _stays_with_numpy(dy, dims, len(dy) * math.prod(sizes) * weight.size):
        return reference.backward_input(dy, weight, input_size, *options, groups)
    from kernels.cpu.convolution import choice

    size: Any = (1, *input_size) if dims == 1 else tuple(input_size)
    dx = choice.backward_input(_image(dy), _image(weight), size, *_image_options(*options), groups, _winograd)
    return dx.reshape(len(dy), weight.shape[1] * groups, *input_size)


def conv_backward_weight(
    x: Array, dy: Array, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes, groups: int
) -> Array:
    """The gradient (O, C/groups, *kernel_size) of sum(dy * conv_forward(x, weight, ...)) by weight.

    Raises KernelError for arrays and options that do not fit.
    """
    name = "conv_backward_weight"
    x, dy = checked_array(name, "x", x), checked_array(name, "dy", dy)
    _options(name, x.ndim, stride, padding, dilation)
    if len(kernel_size) != x.ndim - 2 or min(kernel_size) < 1:
        raise KernelError(f"{name}: kernel_size must be {x.ndim - 2} numbers >= 1, got {kernel_size!r}")
    if groups < 1 or x.shape[1] % groups or (dy.ndim > 1 and dy.shape[1] % groups):
        raise KernelError(f"{name}: groups={groups} must divide the channels of x {x.shape} and of dy {dy.shape}")
    outputs = dy.shape[1] if dy.ndim > 1 else 0
    sizes = _output_size(name, x.shape[2:], kernel_size, stride, padding, dilation)
    _check_dy(name, dy, outputs, sizes, len(x))
    _one_dtype(name, x=x, dy=dy)
    dims, options = x.ndim - 2, (stride, padding, dilation)
    shape = (outputs, x.shape[1] // groups, *kernel_size)
    if on_device(x, dy):
        from kernels.cuda import convolution as gpu

        return gpu.backward_weight(x, dy, kernel_size, *options, groups)  # type: ignore[return-value]
    if _stays_with_numpy(x, dims, len(x) * math.prod(sizes) * math.prod(shape)):
        return reference.backward_weight(x, dy, kernel_size, *options, groups)
    from kernels.cpu.convolution import choice

    size: Any = (1, *kernel_size) if dims == 1 else tuple(kernel_size)
    dw = choice.backward_weight(_image(x), _image(dy), size, *_image_options(*options), groups, _winograd)
    return dw.reshape(shape)


def conv_backward_bias(dy: Array) -> Array:
    """The sum (O,) of dy (N, O, *output_size) over everything but the channels. Raises KernelError if it has none."""
    dy = checked_array("conv_backward_bias", "dy", dy)
    if dy.ndim < 2:
        raise KernelError(f"conv_backward_bias: dy must be (N, O, ...), got shape {dy.shape}")
    if on_device(dy):
        from kernels.cuda import convolution as gpu

        return gpu.backward_bias(dy)  # type: ignore[arg-type,return-value]
    if dy.dtype not in (np.float32, np.float64) or dy.size < max(SMALL, 1):
        with np.errstate(all="ignore"):
            return np.add.reduce(dy, axis=(0, *range(2, dy.ndim)), dtype=dy.dtype)
    from kernels.cpu.convolution import bias

    return bias.backward(dy)


# --- arguments --------------------------------------------------------------------------------------------------------


def _check(
    name: str, ndim: int, weight: Array, stride: Sizes, padding: Padding, dilation: Sizes, groups: int
) -> int:  # fmt: skip
    """The number of spatial dimensions, if the options fit."""
    dims = _options(name, ndim, stride, padding, dilation)
    if weight.ndim != ndim or 0 in weight.shape:
        raise KernelError(
            f"{name}: weight must be (O, C/groups, *kernel_size), {ndim} sizes >= 1, got shape {weight.shape}"
        )
    if groups < 1 or len(weight) % groups:
        raise KernelError(f"{name}: groups={groups} must divide the {len(weight)} filters of weight {weight.shape}")
    return dims


def _options(name: str, ndim: int, stride: Sizes, padding: Padding, dilation: Sizes) -> int:
    dims = ndim - 2
    if dims not in (1, 2, 3):
        raise KernelError(f"{name}: arrays must be (N, C, L), (N, C, H, W) or (N, C, D, H, W), got {ndim} dimension(s)")
    for option, values in (("stride", stride), ("dilation", dilation)):
        if len(values) != dims or min(values) < 1:
            raise KernelError(f"{name}: {option} must be {dims} number(s) >= 1, got {values!r}")
    if len(padding) != dims or any(len(pair) != 2 or pair[0] < 0 for pair in padding):
        raise KernelError(f"{name}: padding must be {dims} pair(s) (before >= 0, after), got {padding!r}")
    return dims


def _output_size(
    name: str, sizes: Sizes, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes
) -> tuple[int, ...]:
    if len(sizes) != len(kernel_size):
        raise KernelError(f"{name}: input_size must be {len(kernel_size)} number(s), got {sizes!r}")
    found = reference.output_size(sizes, kernel_size, stride, padding, dilation)
    if min(found) < 1:
        raise KernelError(
            f"{name}: kernel_size {tuple(kernel_size)} with dilation {tuple(dilation)} is larger than sizes"
            f" {tuple(sizes)} with padding {tuple(padding)}"
        )
    return found


def _check_dy(name: str, dy: Array, outputs: int, sizes: Sizes, batch: int | None = None) -> None:
    expected = (len(dy) if batch is None else batch, outputs, *sizes)
    if dy.shape != expected:
        raise KernelError(f"{name}: dy must have the shape of the convolution, {expected}, got {dy.shape}")


def _one_dtype(name: str, **arrays: Array) -> None:
    dtypes = {argument: array.dtype for argument, array in arrays.items()}
    if len(set(dtypes.values())) > 1:
        listed = ", ".join(f"{argument} {dtype}" for argument, dtype in dtypes.items())
        raise KernelError(f"{name}: all arrays must have one dtype, got {listed}; convert with .astype")


def _stays_with_numpy(array: Array, dims: int, multiplications: int) -> bool:
    return multiplications < max(SMALL, 1) or dims > 2 or array.dtype not in (np.float32, np.float64)


def _image(array: Array) -> Array:
    """Lines as images of one row."""
    return array.reshape(*array.shape[:2], 1, array.shape[2]) if array.ndim == 3 else array


def _image_options(stride: Sizes, padding: Padding, dilation: Sizes) -> tuple[Any, Any, Any]:
    if len(stride) == 2:
        return tuple(stride), tuple(map(tuple, padding)), tuple(dilation)
    return (1, *stride), ((0, 0), *map(tuple, padding)), (1, *dilation)
