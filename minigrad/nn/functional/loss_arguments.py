"""What all losses share: the checks of their arguments, and the reduction."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import Array
from ...errors import ArgumentError, DtypeError, NotDifferentiableError, ShapeError
from ...primitive import op
from ...tensor import Tensor
from .arguments import need_tensors

__all__: list[str] = []  # nothing here is a name of torch.nn.functional

TINY = float(np.float32(1e-12))  # what PyTorch adds to some denominators, also in float64


def reduced(name: str, loss: Any, reduction: str) -> Any:
    """The mean, the sum, or each element of a loss.

    Raises:
        ArgumentError: for any other `reduction`.
        DtypeError: for the mean of integers.
    """
    if reduction == "mean":
        if loss.dtype.kind not in "fc":
            raise DtypeError(f"{name}: a mean needs floating inputs, got {loss.dtype}; write input.float()")
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ArgumentError(f"{name}: reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def common_shape(name: str, **arguments: Any) -> tuple[int, ...]:
    """The shape that tensors broadcast to.

    Raises:
        ArgumentTypeError: if an argument is not a tensor.
        ShapeError: if they do not broadcast.
    """
    need_tensors(name, **arguments)
    try:
        return np.broadcast_shapes(*[value.shape for value in arguments.values()])
    except ValueError:
        shapes = ", ".join(f"{argument} {value.shape}" for argument, value in arguments.items())
        raise ShapeError(
            f"{name}: the shapes do not broadcast: {shapes}; aligned from the right, sizes must be equal or 1"
        ) from None


def need_fitting(name: str, input: Tensor, **arguments: Any) -> None:
    """Raise ShapeError if an argument does not broadcast to the shape of the input."""
    for argument, value in arguments.items():
        if common_shape(name, input=input, **{argument: value}) != input.shape:
            raise ShapeError(
                f"{name}: {argument} {value.shape} does not broadcast to the shape of the input {input.shape}"
            )


def need_same_shape(name: str, input: Tensor, target: Tensor) -> None:
    """Raise ShapeError unless both have one shape, where PyTorch broadcasts with a warning or raises as well."""
    if input.shape != target.shape:
        raise ShapeError(
            f"{name}: input {input.shape} and target {target.shape} differ; broadcasting a loss is nearly always a "
            "mistake, so make the shapes equal, for example with reshape or expand"
        )


def constant(name: str, argument: str, value: Tensor) -> Tensor:
    """`value`, which has no gradient, without a history.

    Raises:
        ArgumentTypeError: if it is not a tensor.
        NotDifferentiableError: if it requires one, which would silently not come.
    """
    need_tensors(name, **{argument: value})
    if value.requires_grad:
        raise NotDifferentiableError(
            f"{name}: no gradient flows to {argument}, but it requires one; write {argument}.detach()"
        )
    return value


@op(saves="")
def at_least(x: Array, *, least: float) -> Array:
    return x.clip(x.dtype.type(least), None)


# The value is limited, its gradient is not: PyTorch's rule for limits that only keep a division in range.
at_least.defvjp(lambda g, out, x, least: g)
