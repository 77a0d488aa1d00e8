"""All parameters of a model as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...errors import ArgumentTypeError, ShapeError
from ...ops import cat
from ...tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def _checked(name: str, parameters: Iterable[Tensor]) -> list[Tensor]:
    found = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not found:
        raise ArgumentTypeError(f"{name}: got no parameters; was the iterator from parameters() used up before?")
    for p in found:
        if not isinstance(p, Tensor):
            raise ArgumentTypeError(f"{name}: expected Tensors, got {type(p).__name__}")
    return found


def parameters_to_vector(parameters: Iterable[Tensor]) -> Any:
    """The elements of all parameters, one after another: a new tensor of one dimension, through which gradients flow.

    Raises:
        ArgumentTypeError: for no parameters, or something that is not a tensor.
    """
    return cat([p.reshape(-1) for p in _checked("parameters_to_vector", parameters)])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Replace the values of all parameters by those of `vec`, in order; the parameters share its memory then.

    Raises:
        ArgumentTypeError: if `vec` is not a tensor.
        ShapeError: if it is not exactly as long as the parameters together; nothing has been changed then.
    """
    if not isinstance(vec, Tensor):
        raise ArgumentTypeError(f"vector_to_parameters: vec must be a Tensor, got {type(vec).__name__}")
    found = _checked("vector_to_parameters", parameters)
    needed = sum(p.numel() for p in found)
    if vec.shape != (needed,):
        raise ShapeError(f"vector_to_parameters: the parameters need a vector of {needed} values, got {vec.shape}")
    start = 0
    for p in found:
        p.data = vec.detach()[start : start + p.numel()].reshape(p.shape)
        start += p.numel()
