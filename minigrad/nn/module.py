"""Module: a tree of parameters and buffers with a forward."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, ShapeError
from ..recording import no_grad
from ..tensor import Tensor, as_tensor, tensor

__all__ = ["Module", "Parameter"]


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


class IncompatibleKeys(NamedTuple):
    """What load_state_dict(strict=False) could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base class of layers and networks (`torch.nn.Module`).

    Assign Parameters and Modules as attributes in `__init__`, after `super().__init__()`, and write `forward`.
    """

    training: bool

    def __init__(self) -> None:
        self.__dict__.update(training=True, _parameters={}, _buffers={}, _modules={})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define one")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # --- attributes -----------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        registries: dict[str, Any] = self.__dict__
        if "_parameters" not in registries:
            raise ArgumentError(
                f"{type(self).__name__}: call super().__init__() before assigning attributes such as {name!r}"
            )
        kind = "_parameters" if isinstance(value, Parameter) else "_modules" if isinstance(value, Module) else None
        if kind is None and name in registries["_buffers"]:
            if value is not None and not isinstance(value, Tensor):
                raise ArgumentTypeError(f"{name} is a buffer: assign a Tensor or None, got {type(value).__name__}")
            kind = "_buffers"
        if kind is None and name in registries["_parameters"]:
            if value is not None:
                raise ArgumentTypeError(
                    f"{name} is a parameter: assign a Parameter or None, got {type(value).__name__}"
                )
            kind = "_parameters"
        for registry in ("_parameters", "_buffers", "_modules"):
            if registry != kind:
                registries[registry].pop(name, None)
        if kind is None:
            object.__setattr__(self, name, value)
        else:
            registries.pop(name, None)
            registries[kind][name] = value

    def __getattr__(self, name: str) -> Any:
        for registry in ("_parameters", "_buffers", "_modules"):
            values = self.__dict__.get(registry, {})
            if name in values:
                return values[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for registry in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__[registry]:
                del self.__dict__[registry][name]
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._parameters, *self._buffers, *self._modules]

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a parameter under a name; None reserves the name (a layer without bias)."""
        if param is not None and not isinstance(param, Parameter):
            raise ArgumentTypeError(
                f"register_parameter: {name} must be a Parameter or None, got {type(param).__name__}"
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None) -> None:
        """Register a tensor that is state but not learnable, such as a running mean."""
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentTypeError(f"register_buffer: {name} must be a Tensor or None, got {type(tensor).__name__}")
        self._buffers[name] = tensor

    # --- the tree -------------------------------------------------------------------------------------------

    def children(self) -> Iterator[Module]:
        """The modules one level down."""
        return iter([m for m in self._modules.values() if m is not None])

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, each once, with their dotted names."""
        stack, seen = [(prefix, self)], set()
        while stack:
            name, module = stack.pop()
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield name, module
            below = [(f"{name}.{k}" if name else k, m) for k, m in module._modules.items() if m is not None]
            stack.extend(reversed(below))

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (m for _, m in self.named_modules())

    def _named(self, registry: str) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, value in getattr(module, registry).items():
                if value is not None and id(value) not in seen:
                    seen.add(id(value))
                    yield (f"{prefix}.{name}" if prefix else name), value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters, each once, with their dotted names."""
        return self._named("_parameters")  # type: ignore[return-value]

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """All buffers, each once, with their dotted names."""
        return self._named("_buffers")

    def buffers(self) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (b for _, b in self.named_buffers())

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call `fn` on every module below, then on this one; returns this one."""
        for module in reversed(list(self.modules())):
            fn(module)
        return self

    # --- state ----------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Module:
        """Switch this module and all below it to training (or evaluation) behaviour; returns it."""
        for module in self.modules():
            module.__dict__["training"] = bool(mode)
        return self

    def eval(self) -> Module:
        """Switch to evaluation behaviour: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Make all parameters learnable, or freeze them; returns the module."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            if set_to_none or p.grad is None:
                p.grad = None
            else:
                p.grad = p.grad * 0

    def to(self, dtype: Any) -> Module:
        """Convert all floating parameters and buffers to `dtype`; returns the module."""
        for value in [*self.parameters(), *self.buffers()]:
            if value.dtype.kind == "f":
                value._replace(value.detach().to(dtype))
                value._grad = None
        return self

    def float(self) -> Module:
        """Convert to float32."""
        return self.to(np.float32)

    def double(self) -> Module:
        """Convert to float64, which gradient checks use."""
        return self.to(np.float64)

    def state_dict(self) -> dict[str, Tensor]:
        """All parameters and buffers by dotted name, sharing memory; `minigrad.save` writes it to an `.npz` file."""
        state = {}
        for prefix, module in self.named_modules():
            for name, value in (*module._parameters.items(), *module._buffers.items()):
                if value is not None:
                    state[f"{prefix}.{name}" if prefix else name] = value.detach()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy values by name into the parameters and buffers. Nothing is changed if anything does not fit.

        Raises:
            ArgumentError: with `strict`, if names are missing or unexpected.
            ShapeError: if a shape differs.
        """
        if not isinstance(state_dict, Mapping):
            raise ArgumentTypeError(
                f"load_state_dict: expected a mapping from names to Tensors, got {type(state_dict).__name__}"
            )
        own = self.state_dict()
        missing, unexpected = [k for k in own if k not in state_dict], [k for k in state_dict if k not in own]
        if strict and (missing or unexpected):
            raise ArgumentError(
                f"load_state_dict: the names do not match those of {type(self).__name__}: missing {missing}, "
                f"unexpected {unexpected}; pass strict=False to load what matches"
            )
        matching = {k: as_tensor(v) for k, v in state_dict.items() if k in own}
        for name, value in matching.items():
            if value.shape != own[name].shape:
                raise ShapeError(
                    f"load_state_dict: {name} has shape {own[name].shape}, but the state dict holds {value.shape}"
                )
            if value.dtype.kind in "fc" and own[name].dtype.kind not in "fc":
                raise ArgumentTypeError(
                    f"load_state_dict: {name} holds {own[name].dtype}, but the state dict holds {value.dtype}"
                )
        with no_grad():
            for name, value in matching.items():
                own[name].copy_(value.detach())
        return IncompatibleKeys(missing, unexpected)

    # --- printing -------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The arguments shown in the printed form."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): " + repr(module).replace("\n", "\n  ") for name, module in self._modules.items()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"
