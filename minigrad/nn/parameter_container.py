"""Modules made of parameters."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, KeysView, Mapping
from typing import Any

from ..errors import ArgumentTypeError, DimError, UnknownNameError
from ..tensor import Tensor
from .module import Module, Parameter

__all__ = ["ParameterDict", "ParameterList"]

# --- arguments of all containers --------------------------------------------------------------------------------------


def position_in(name: str, index: Any, count: int, what: str) -> int:
    """An index into a list, counted from its front."""
    try:
        position = operator.index(index)
    except TypeError:
        raise ArgumentTypeError(
            f"{name}: the index must be an integer or a slice, got {type(index).__name__}: {index!r}"
        ) from None
    if not -count <= position < count:
        raise DimError(f"{name}: index {position} is out of range for {count} {what}")
    return position % count


def pairs_of(name: str, items: Any) -> list[tuple[Any, Any]]:
    """What `update` takes, a mapping or pairs, as pairs."""
    if hasattr(items, "items"):
        return list(items.items())
    try:
        return [(key, value) for key, value in items]
    except (TypeError, ValueError):
        raise ArgumentTypeError(
            f"{name}: expected a mapping or pairs of a name and a value, got {type(items).__name__}: {items!r}"[:300]
        ) from None


# --- parameters -------------------------------------------------------------------------------------------------------


def _as_parameter(value: Any) -> Any:
    """Tensors become parameters; anything else stays as it is, and is no part of the state."""
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _described(name: object, value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"  ({name}): Object of type: {type(value).__name__}"
    sizes = "x".join(map(str, value.shape))
    return f"  ({name}): {type(value).__name__} containing: [{value.dtype} of size {sizes}]"


class ParameterList(Module):
    """A list of parameters, which are registered; tensors that are put into it become parameters."""

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self.extend(values)

    def append(self, value: Any) -> ParameterList:
        """Add a parameter at the end; returns the list."""
        setattr(self, str(self._size), _as_parameter(value))
        self._size += 1
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add several parameters at the end; returns the list."""
        if isinstance(values, Tensor) or not isinstance(values, Iterable):
            raise ArgumentTypeError(
                f"ParameterList: expected an iterable of parameters, got {type(values).__name__}; write [parameter]"
            )
        for value in list(values):
            self.append(value)
        return self

    def _find(self, index: Any) -> str:
        return str(position_in("ParameterList", index, self._size, "parameters"))

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self)[index])
        return getattr(self, self._find(index))

    def __setitem__(self, index: int, value: Any) -> None:
        setattr(self, self._find(index), _as_parameter(value))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(self._size)])

    def __iadd__(self, values: Iterable[Any]) -> ParameterList:
        return self.extend(values)

    def extra_repr(self) -> str:
        return "\n".join(_described(i, value) for i, value in enumerate(self))


class ParameterDict(Module):
    """Parameters by name, which are registered; tensors that are put into it become parameters."""

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def update(self, parameters: Any) -> None:
        """Add parameters from a mapping, or from pairs of a name and a parameter; a plain dict is sorted by name."""
        pairs = pairs_of("ParameterDict", parameters)
        if isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict):
            pairs.sort(key=lambda pair: str(pair[0]))
        for name, value in pairs:
            self[name] = value

    def pop(self, key: str) -> Any:
        """Take away the parameter of a name and return it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take away the parameter that was added last, and return it with its name."""
        if not self._keys:
            raise UnknownNameError("ParameterDict: popitem(): it is empty")
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def clear(self) -> None:
        """Take away all parameters."""
        for key in list(self._keys):
            del self[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The parameter of a name, or `default` if there is none."""
        return self[key] if key in self else default  # noqa: SIM401  (this is get)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The parameter of a name, which becomes `default` if there was none."""
        if key not in self:
            self[key] = default
        return self[key]

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new ParameterDict with these names, and `default` for each."""
        return ParameterDict([(key, default) for key in keys])

    def copy(self) -> ParameterDict:
        """A new ParameterDict with the same parameters."""
        return ParameterDict(list(self.items()))

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._keys.keys()

    def values(self) -> Iterator[Any]:
        """The parameters."""
        return iter([self[key] for key in self._keys])

    def items(self) -> Iterator[tuple[str, Any]]:
        """The names with their parameters."""
        return iter([(key, self[key]) for key in self._keys])

    def _check_key(self, key: Any) -> None:
        if key not in self._keys:
            raise UnknownNameError(f"ParameterDict: it has no parameter {key!r}, only {list(self._keys)}")

    def __getitem__(self, key: str) -> Any:
        self._check_key(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if key not in self._keys:
            self._check_name("ParameterDict", key, "_parameters")
        setattr(self, key, _as_parameter(value))
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        self._check_key(key)
        delattr(self, key)
        del self._keys[key]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __or__(self, other: Any) -> ParameterDict:
        out = self.copy()
        out.update(other)
        return out

    def __ior__(self, other: Any) -> ParameterDict:
        self.update(other)
        return self

    def extra_repr(self) -> str:
        return "\n".join(_described(key, value) for key, value in self.items())
