"""Limits on the size of gradients, against steps that are far too long."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...errors import ArgumentError, ArgumentTypeError
from ...ops import norm, stack
from ...recording import no_grad
from ...tensor import Tensor, tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

Tensors = Tensor | Iterable[Tensor]


def _as_list(name: str, tensors: Tensors) -> list[Tensor]:
    """One tensor or several, as a list; an iterator such as `parameters()` is used up only once."""
    try:
        found: list[Any] = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    except TypeError:
        found = [tensors]
    for t in found:
        if not isinstance(t, Tensor):
            raise ArgumentTypeError(f"{name}: expected a Tensor or several, got {type(t).__name__}")
    return found


def _gradients(name: str, parameters: Tensors) -> list[Tensor]:
    return [p.grad for p in _as_list(name, parameters) if p.grad is not None]


@no_grad()
def get_total_norm(tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False) -> Tensor:
    """The p-norm of all elements of all tensors as one vector; p = inf is the largest absolute value.

    Raises:
        ArgumentError: with `error_if_nonfinite`, if it is inf or nan.
    """
    return _total_norm("get_total_norm", _as_list("get_total_norm", tensors), norm_type, error_if_nonfinite)


def _total_norm(name: str, tensors: list[Tensor], norm_type: float, error_if_nonfinite: bool) -> Tensor:
    if not tensors:
        return tensor(0.0)
    try:
        order = float(norm_type)
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{name}: norm_type must be a number, got {norm_type!r}") from None
    total: Tensor = norm(stack([norm(t, order) for t in tensors]), order)
    if error_if_nonfinite and not total.isfinite():
        raise ArgumentError(
            f"{name}: the norm of the gradients is {total.item()}, so they cannot be scaled; with "
            "error_if_nonfinite=False they are scaled all the same"
        )
    return total


@no_grad()
def clip_grads_with_norm_(parameters: Tensors, max_norm: float, total_norm: Tensor) -> None:
    """Multiply all gradients by max_norm / total_norm if that is less than 1: `clip_grad_norm_` with a known norm."""
    name = "clip_grads_with_norm_"
    if not isinstance(total_norm, Tensor):
        raise ArgumentTypeError(f"{name}: total_norm must be a Tensor, got {type(total_norm).__name__}")
    _scale_down(_gradients(name, parameters), max_norm, total_norm)


def _scale_down(gradients: list[Tensor], max_norm: float, total_norm: Tensor) -> None:
    factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(factor.to(g.dtype))


@no_grad()
def clip_grad_norm_(
    parameters: Tensors, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients in place so that their norm, as one vector, is at most `max_norm`; returns what it was.

    Their direction stays. Parameters without a gradient are left out.

    Raises:
        ArgumentError: with `error_if_nonfinite`, if the norm is inf or nan; nothing has been changed then.

    Source: R. Pascanu, T. Mikolov, Y. Bengio, "On the difficulty of training recurrent neural networks" (2012),
    https://arxiv.org/abs/1211.5063
    """
    gradients = _gradients("clip_grad_norm_", parameters)
    total = _total_norm("clip_grad_norm_", gradients, norm_type, error_if_nonfinite)
    _scale_down(gradients, max_norm, total)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float) -> None:
    """Limit every element of every gradient to [-clip_value, clip_value] in place; nan stays."""
    for g in _gradients("clip_grad_value_", parameters):
        g.copy_(g.clamp(min=-float(clip_value), max=float(clip_value)))
