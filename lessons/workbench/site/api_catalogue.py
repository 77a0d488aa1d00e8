"""Which functions of minigrad are public, under which names: one entry for each, however many names it has."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lessons.workbench.site.engine_code import function_tree
from lessons.workbench.site.torch_twin import ELSEWHERE

# Where public functions and classes live; what stands before their names is the module without "minigrad.".
PLACES = (
    "minigrad", "minigrad.nn.functional", "minigrad.linalg", "minigrad.autograd.functional", "minigrad.nn",
    "minigrad.nn.init", "minigrad.nn.utils", "minigrad.optim", "minigrad.optim.lr_scheduler", "minigrad.data",
)  # fmt: skip

# Of the classes at the top those that are used like functions; `Tensor` and `tensor` would be one file on some disks.
SWITCHES = ("enable_grad", "no_grad", "set_grad_enabled")


@dataclass(frozen=True)
class Public:
    """A public function or class.

    Args:
        name: under which its page is found: "exp", "nn.functional.conv2d", "Tensor.backward".
        function: an op, a function or a class.
        others: its other names, "absolute" or "Tensor.abs".
        home: the module where it is written.
        written: its name there, "_matmul"; for methods of Tensor "Tensor.backward".
    """

    name: str
    function: Any
    others: tuple[str, ...]
    home: types.ModuleType
    written: str

    @property
    def short(self) -> str:
        """The name without its place."""
        return self.name.rpartition(".")[2]

    @property
    def family(self) -> str:
        """The file that it is written in, without the suffix: "minigrad.ops.elementwise"."""
        return self.home.__name__

    @property
    def is_class(self) -> bool:
        """Whether it is a class: a module, an optimiser, a data set."""
        return inspect.isclass(self.function)

    @property
    def is_op(self) -> bool:
        """Whether it is one op, with vjps of its own."""
        return is_op(self.function)


def plain(function: Any) -> Any:
    """The function as it is written: of an op its forward, of a checked function the one inside."""
    return inspect.unwrap(function.forward if is_op(function) else function)


@functools.cache
def public_functions() -> tuple[Public, ...]:
    """All public functions, by place and then by name."""
    names = _method_names()
    entries: dict[int, tuple[str, Any, list[str]]] = {}
    for place in PLACES:
        module, before = importlib.import_module(place), f"{place}.".removeprefix("minigrad.")
        for short in _exported(module):
            function = getattr(module, short)
            if not _is_shown(place, short, function):
                continue
            key = id(plain(function))
            if key in entries:
                entries[key][2].append(before + short)
            else:
                entries[key] = (before + short, function, [])
    for key, methods in names.items():
        if key in entries:
            entries[key][2].extend(f"Tensor.{m}" for m in sorted(methods, key=lambda m: m != entries[key][0]))
    found = [_public(name, function, others) for name, function, others in entries.values()]
    return (*found, *_only_methods(set(entries)))


def _exported(module: types.ModuleType) -> list[str]:
    own = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__ and n[0] != "_"]
    names = getattr(module, "__all__", own)
    return sorted(n for n in names if not isinstance(getattr(module, n), types.ModuleType))


def _is_shown(place: str, short: str, value: Any) -> bool:
    if inspect.isclass(value):
        return place != "minigrad" or short in SWITCHES
    return is_op(value) or inspect.isfunction(value)


def is_op(value: Any) -> bool:
    """Whether something is an op of the engine."""
    return hasattr(value, "defvjp") and not isinstance(value, type)


def _public(name: str, function: Any, others: list[str]) -> Public:
    written = plain(function)
    home = inspect.getmodule(written)
    assert home is not None
    first = _better(name, others, written.__name__)
    return Public(first, function, tuple(o for o in (name, *others) if o != first), home, written.__name__)


def _better(name: str, others: list[str], written: str) -> str:
    """Of several names in one place, the one under which it is written: abs and not absolute.

    What PyTorch has in another place has its page under that name, if it is one of ours too: Tensor.expand.
    """
    if ELSEWHERE.get(name) in others:
        return ELSEWHERE[name]
    before = name.rpartition(".")[0]
    same = [n for n in (name, *others) if n.rpartition(".")[0] == before]
    return next((n for n in same if n.rpartition(".")[2] == written), name)


def _method_names() -> dict[int, list[str]]:
    """The functions that are methods of Tensor, and under which names."""
    import minigrad

    found: dict[int, list[str]] = {}
    for name, value in vars(minigrad.Tensor).items():
        if not name.startswith("_") and callable(value):
            found.setdefault(id(plain(inspect.unwrap(value))), []).append(name)
    return found


def _only_methods(known: set[int]) -> Iterator[Public]:
    """What Tensor has beyond the functions: methods and properties that say what they do."""
    import minigrad

    for name, value in vars(minigrad.Tensor).items():
        function = value.fget if isinstance(value, property) else value
        if name.startswith("_") or not callable(function) or id(plain(inspect.unwrap(function))) in known:
            continue
        written = plain(inspect.unwrap(function))
        home = inspect.getmodule(written)
        if home is not None and written.__doc__:
            yield Public(f"Tensor.{name}", function, (), home, written.__qualname__)


@functools.cache
def by_name() -> dict[str, Public]:
    """Every public name, second ones too, and its function."""
    found: dict[str, Public] = {}
    for public in public_functions():
        for name in (*public.others, public.name):
            found.setdefault(name, public)
    return found


@functools.cache
def by_identity() -> dict[int, Public]:
    """The public functions by the identity of the function as it is written."""
    return {id(plain(p.function)): p for p in public_functions()}


@functools.cache
def ops() -> dict[int, tuple[types.ModuleType, str]]:
    """Every op of minigrad by identity: the module in which it is written, and its name there."""
    import minigrad

    found = {}
    for info in pkgutil.walk_packages(minigrad.__path__, "minigrad."):
        module = importlib.import_module(info.name)
        for name, value in vars(module).items():
            if is_op(value) and value.forward.__module__ == module.__name__ and function_tree(module, name) is not None:
                found[id(value)] = (module, name)
    return found
