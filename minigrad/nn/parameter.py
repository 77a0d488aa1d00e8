"""Parameter: a tensor that a module learns."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor, tensor

__all__ = ["Parameter"]


class Parameter(Tensor):
    """A tensor that a Module registers as learnable when it is assigned as an attribute."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        # A tensor's memory is shared, as in PyTorch; an array is copied, so that training does not change the caller's.
        source = data.detach() if isinstance(data, Tensor) else tensor(data)
        self._array = source._array
        self._storage = source._storage
        self._grad = self._node = None
        self._requires_grad = False
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()
