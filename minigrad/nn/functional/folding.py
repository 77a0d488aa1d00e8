"""Sliding blocks of an image as columns, and back."""

from __future__ import annotations

import math
from typing import Any

from kernels.reference import convolution as kernel

from ...dtypes import Array
from ...errors import ShapeError
from ...primitive import op
from ...tensor import Tensor
from .arguments import need_floats, need_tensors
from .windows import Sizes, batched, check_images, per_dim

__all__ = ["fold", "unfold"]


@op(saves="")
def _unfold(x: Array, *, kernel_size: tuple[int, ...], **options: Any) -> Array:
    columns = kernel.unfold(x, kernel_size, **options)
    rows, blocks = x.shape[1] * math.prod(kernel_size), math.prod(columns.shape[2 + len(kernel_size) :])
    return columns.reshape(len(x), rows, blocks)


@op(saves="")
def _fold(columns: Array, *, sizes: tuple[int, ...], kernel_size: tuple[int, ...], **options: Any) -> Array:
    channels = columns.shape[1] // math.prod(kernel_size)
    blocks = kernel.output_size(sizes, kernel_size, **options)
    return kernel.fold(columns.reshape(len(columns), channels, *kernel_size, *blocks), sizes, **options)


_unfold.defvjp(lambda g, out, x, **options: _fold(g, sizes=x.shape[2:], **options))
_fold.defvjp(lambda g, out, columns, sizes, **options: _unfold(g, **options))


def _options(name: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> dict[str, Any]:
    return {
        "kernel_size": per_dim(name, "kernel_size", kernel_size, 2, least=1),
        "stride": per_dim(name, "stride", stride, 2, least=1),
        "padding": tuple((p, p) for p in per_dim(name, "padding", padding, 2)),
        "dilation": per_dim(name, "dilation", dilation, 2, least=1),
    }


def _blocks(name: str, sizes: tuple[int, ...], options: dict[str, Any]) -> tuple[int, ...]:
    """How many blocks lie along each dimension."""
    blocks = kernel.output_size(sizes, **options)
    if min(blocks) < 1:
        raise ShapeError(
            f"{name}: kernel_size {options['kernel_size']} with dilation {options['dilation']} is larger than the "
            f"image of sizes {sizes} with padding {tuple(before for before, _ in options['padding'])}"
        )
    return blocks


def unfold(input: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Any:
    """The sliding blocks of images (N, C, H, W) or (C, H, W) as columns (N, C * KH * KW, L) or (C * KH * KW, L).

    A convolution is one matrix product with these columns. L counts the blocks, row by row; within a column, channels
    come first, then the rows of the block.

    Raises:
        ShapeError: for another number of dimensions, or a block larger than the padded image.
        DtypeError: for integers.
        ArgumentError, ArgumentTypeError: options out of range.
    """
    options = _options("unfold", kernel_size, dilation, padding, stride)
    check_images("unfold", input, 2)
    need_floats("unfold", input=input)
    _blocks("unfold", input.shape[-2:], options)
    return batched(lambda x: _unfold(x, **options), input, 2)


def fold(
    input: Tensor,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Any:
    """The adjoint of `unfold`: columns (N, C * KH * KW, L) or (C * KH * KW, L) added up to images of `output_size`.

    Elements that lie in several blocks are sums, so fold(unfold(x)) is x times the number of blocks at each place.

    Raises:
        ShapeError: columns that are not the blocks of images of this size.
        DtypeError: for integers.
        ArgumentError, ArgumentTypeError: options out of range.
    """
    options = _options("fold", kernel_size, dilation, padding, stride)
    sizes = per_dim("fold", "output_size", output_size, 2, least=1)
    need_tensors("fold", input=input)
    if input.ndim not in (2, 3) or 0 in input.shape[-2:]:
        raise ShapeError(f"fold: input must be (N, C*K, L) or (C*K, L), where only N may be 0, got shape {input.shape}")
    need_floats("fold", input=input)
    block, blocks = math.prod(options["kernel_size"]), math.prod(_blocks("fold", sizes, options))
    if input.shape[-2] % block or input.shape[-1] != blocks:
        raise ShapeError(
            f"fold: for output_size {sizes} and these options, input must have a multiple of {block} rows and {blocks} "
            f"columns, got shape {input.shape}"
        )
    return batched(lambda columns: _fold(columns, sizes=sizes, **options), input, 1)
