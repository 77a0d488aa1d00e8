"""Modules made of modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import ArgumentTypeError, DimError
from .module import Module

__all__ = ["ModuleList", "Sequential"]


class _Numbered(Module):
    """Modules under the names "0", "1", ..."""

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns the container."""
        if not isinstance(module, Module):
            raise ArgumentTypeError(f"{type(self).__name__}: expected a Module, got {type(module).__name__}")
        setattr(self, str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        modules = list(self)
        if isinstance(index, slice):
            part = type(self)()
            for module in modules[index]:
                part.append(module)
            return part
        try:
            return modules[index]
        except IndexError:
            raise DimError(f"{type(self).__name__}: index {index} is out of range for {len(modules)} modules") from None


class Sequential(_Numbered):
    """Modules applied one after the other."""

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for module in modules:
            self.append(module)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input


class ModuleList(_Numbered):
    """A list of modules whose parameters are registered; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        for module in modules:
            self.append(module)
