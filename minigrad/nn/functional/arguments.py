"""Checks of arguments that functions of all families share: tensors, numbers, probabilities, and `inplace`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import ArgumentError, ArgumentTypeError, DtypeError
from ...tensor import Tensor

__all__: list[str] = []  # nothing here is a name of torch.nn.functional


def need_tensors(name: str, **arguments: Any) -> None:
    """Raise ArgumentTypeError if an argument is not a tensor."""
    for argument, value in arguments.items():
        if not isinstance(value, Tensor):
            raise ArgumentTypeError(
                f"{name}: {argument} must be a Tensor, got {type(value).__name__}; write minigrad.tensor({argument})"
            )


def need_floats(name: str, **arguments: Any) -> None:
    """Raise ArgumentTypeError or DtypeError if an argument is not a floating tensor."""
    need_tensors(name, **arguments)
    for argument, value in arguments.items():
        if value.dtype.kind not in "fc":
            raise DtypeError(
                f"{name}: {argument} must have a floating dtype, got {value.dtype}; write {argument}.float()"
            )


def need_numbers(name: str, **options: Any) -> None:
    """Raise ArgumentTypeError if an option is not a real number."""
    for option, value in options.items():
        if not isinstance(value, (int, float, np.integer, np.floating)):
            raise ArgumentTypeError(f"{name}: {option} must be a number, got {type(value).__name__}: {value!r}"[:200])


def need_probability(name: str, p: Any) -> None:
    """Raise ArgumentTypeError or ArgumentError if p is not a number in [0, 1]."""
    need_numbers(name, p=p)
    if not 0 <= p <= 1:
        raise ArgumentError(f"{name}: p is a probability in [0, 1], got {p}")


def refuse_inplace(name: str, inplace: bool) -> None:
    """Raise NotImplementedError for inplace=True."""
    if inplace:
        raise NotImplementedError(
            f"{name}: inplace=True is not supported, the tape keeps the values that it would overwrite; leave it out"
        )
