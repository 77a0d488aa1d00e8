"""Modules made of modules."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, ValuesView
from itertools import chain, groupby
from typing import Any

from ..errors import ArgumentError, ArgumentTypeError
from .module import Module
from .parameter_container import ParameterDict, ParameterList, pairs_of, position_in

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


# --- lists of modules -------------------------------------------------------------------------------------------------


class _Listed(Module):
    """Modules in an order, under the names "0", "1", ... unless they were given others."""

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns the container."""
        return self._put(str(len(self)), module)

    def _put(self, name: str, module: Module) -> Any:
        if not isinstance(module, Module):
            raise ArgumentTypeError(f"{type(self).__name__}: expected a Module, got {type(module).__name__}")
        self.add_module(name, module)
        return self

    def extend(self, modules: Iterable[Module]) -> Any:
        """Add several modules at the end; returns the container."""
        if not isinstance(modules, Iterable):
            raise ArgumentTypeError(
                f"{type(self).__name__}: extend() takes an iterable of Modules, got {type(modules).__name__}"
            )
        for module in list(modules):  # it may be this container
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Any:
        """Put a module before the one at `index`, or at the end; all are numbered anew; returns the container."""
        position = len(self) if index == len(self) else self._find(index)
        modules = list(self)
        self._renumber([*modules[:position], module, *modules[position:]])
        return self

    def pop(self, key: int | slice) -> Any:
        """Take away the module at an index, or those of a slice, and return it."""
        found = self[key]
        del self[key]
        return found

    def _renumber(self, modules: list[Module]) -> None:
        if not all(isinstance(module, Module) for module in modules):
            raise ArgumentTypeError(
                f"{type(self).__name__}: expected Modules, got {[type(m).__name__ for m in modules]}"
            )
        self._modules.clear()
        self._modules.update({str(i): module for i, module in enumerate(modules)})

    def _find(self, index: Any) -> int:
        return position_in(type(self).__name__, index, len(self), "modules")

    def _part(self, items: list[tuple[str, Module]]) -> Any:
        """A container of the same class, with some of the modules."""
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        items = list(self._modules.items())
        return self._part(items[index]) if isinstance(index, slice) else items[self._find(index)][1]  # type: ignore

    def __setitem__(self, index: int, module: Module) -> None:
        self._put(list(self._modules)[self._find(index)], module)

    def __delitem__(self, index: int | slice) -> None:
        modules = list(self)
        del modules[index if isinstance(index, slice) else self._find(index)]
        self._renumber(modules)

    def __iadd__(self, other: Any) -> Any:
        return self.extend(other)


class Sequential(_Listed):
    """Modules applied one after the other: Sequential(a, b), or Sequential(OrderedDict([("name", a), ...]))."""

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], OrderedDict):
            for name, module in modules[0].items():
                self._put(name, module)
        else:
            self.extend(modules)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input

    def _part(self, items: list[tuple[str, Module]]) -> Any:
        return type(self)(OrderedDict(items))

    def __add__(self, other: Any) -> Sequential:
        return Sequential(*self, *self._checked(other))

    def __iadd__(self, other: Any) -> Any:
        return self.extend(self._checked(other))

    def _checked(self, other: Any) -> Sequential:
        if not isinstance(other, Sequential):
            raise ArgumentTypeError(
                f"Sequential: + takes another Sequential, got {type(other).__name__}; write append()"
            )
        return other

    def __mul__(self, times: int) -> Sequential:
        return Sequential(*list(self) * self._checked_times(times))

    def __rmul__(self, times: int) -> Sequential:
        return self * times

    def __imul__(self, times: int) -> Any:
        return self.extend(list(self) * (self._checked_times(times) - 1))

    def _checked_times(self, times: Any) -> int:
        if not isinstance(times, int):
            raise ArgumentTypeError(f"Sequential: * takes an integer, got {type(times).__name__}")
        if times < 1:
            raise ArgumentError(f"Sequential: * takes a positive integer, got {times}")
        return times


class ModuleList(_Listed):
    """A list of modules whose parameters are registered; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def _part(self, items: list[tuple[str, Module]]) -> Any:
        return type(self)([module for _, module in items])

    def __add__(self, other: Any) -> ModuleList:
        return ModuleList(chain(self, other))

    def _child_lines(self) -> list[str]:
        """Equal neighbours are printed once."""
        lines, first = [], 0
        for shown, equal in groupby(map(repr, self)):
            count = len(list(equal))
            lines.append(f"({first}): {shown}" if count == 1 else f"({first}-{first + count - 1}): {count} x {shown}")
            first += count
        return lines


# --- modules by name --------------------------------------------------------------------------------------------------


class ModuleDict(Module):
    """Modules by name, in the order in which they were added; it has no forward of its own."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def update(self, modules: Any) -> None:
        """Add modules from a mapping or from pairs of a name and a module; those of the same name are replaced."""
        for name, module in pairs_of("ModuleDict", modules):
            self[name] = module

    def pop(self, key: str) -> Any:
        """Take away the module of a name and return it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Take away all modules."""
        self._modules.clear()

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> ValuesView[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> ItemsView[str, Any]:
        """The names with their modules."""
        return self._modules.items()

    def __getitem__(self, key: str) -> Any:
        return self._registered("ModuleDict", "_modules", key, key)

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        self._registered("ModuleDict", "_modules", key, key)
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules
