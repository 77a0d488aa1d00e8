"""Module: a tree of parameters and buffers with a forward."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..dtypes import as_dtype
from ..errors import ArgumentError, ArgumentTypeError, DtypeError, ShapeError, UnknownNameError
from ..ops.convert import checked_device, is_device
from ..recording import no_grad
from ..tensor import Tensor, as_tensor
from .hooks import Hook, RemovableHandle, call_with_hooks
from .parameter import Parameter

__all__ = ["Module", "Parameter"]


class IncompatibleKeys(NamedTuple):
    """What load_state_dict(strict=False) could not match."""

    missing_keys: list[str]
    unexpected_keys: list[str]


_REGISTRIES = {"_parameters": "parameter", "_buffers": "buffer", "_modules": "module"}


class Module:
    """Base class of layers and networks (`torch.nn.Module`).

    Assign Parameters and Modules as attributes in `__init__`, after `super().__init__()`, and write `forward`.
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _temporary_buffers: set[str]  # those that state_dict() leaves out
    _forward_pre_hooks: OrderedDict[int, Hook]
    _forward_hooks: OrderedDict[int, Hook]

    def __init__(self) -> None:
        self.__dict__.update(
            training=True, _parameters={}, _buffers={}, _modules={}, _temporary_buffers=set(),
            _forward_pre_hooks=OrderedDict(), _forward_hooks=OrderedDict(),
        )  # fmt: skip

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass writes its own."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define one")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._forward_pre_hooks or self._forward_hooks:
            return call_with_hooks(self, args, kwargs)
        return self.forward(*args, **kwargs)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before every forward; what it returns, if not None, replaces the arguments.

        With `with_kwargs` it is called as `hook(module, args, kwargs)` and returns None or a pair of both. `prepend`
        puts it before the hooks that are registered already. The handle that is returned has `remove()`.
        """
        return RemovableHandle(self._forward_pre_hooks, Hook("register_forward_pre_hook", hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after every forward; what it returns, if not None, replaces the output.

        With `with_kwargs` it is called as `hook(module, args, kwargs, output)`. `prepend` puts it before the hooks that
        are registered already. The handle that is returned has `remove()`.

        Raises:
            NotImplementedError: for always_call=True.
        """
        if always_call:
            raise NotImplementedError(
                "register_forward_hook: always_call=True is not supported; catch the error where the module is called"
            )
        return RemovableHandle(self._forward_hooks, Hook("register_forward_hook", hook, with_kwargs), prepend)

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
        if kind is None and name in registries["_modules"]:
            if value is not None:
                raise ArgumentTypeError(f"{name} is a module: assign a Module or None, got {type(value).__name__}")
            kind = "_modules"
        for registry in _REGISTRIES:
            if registry != kind:
                registries[registry].pop(name, None)
        if kind is None:
            object.__setattr__(self, name, value)
        else:
            registries.pop(name, None)
            registries[kind][name] = value

    def __getattr__(self, name: str) -> Any:
        if "_parameters" not in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}: its super().__init__() was not called"
            )
        for registry in _REGISTRIES:
            values = self.__dict__[registry]
            if name in values:
                return values[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for registry in _REGISTRIES:
            if name in self.__dict__[registry]:
                del self.__dict__[registry][name]
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = [*super().__dir__(), *self._parameters, *self._buffers, *self._modules]
        return sorted(name for name in names if name.isidentifier())

    def _check_name(self, caller: str, name: Any, registry: str) -> None:
        """Check a name to register under, which must not hide anything else."""
        if not isinstance(name, str):
            raise ArgumentTypeError(f"{caller}: the name must be a string, got {type(name).__name__}: {name!r}")
        if not name or "." in name:
            raise ArgumentError(f"{caller}: the name must not be empty or contain a dot, got {name!r}")
        if hasattr(self, name) and name not in getattr(self, registry):
            raise ArgumentError(
                f"{caller}: {type(self).__name__} already has an attribute {name!r}; choose another name"
            )

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a parameter under a name; None reserves the name (a layer without bias)."""
        self._check_name("register_parameter", name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise ArgumentTypeError(
                f"register_parameter: {name} must be a Parameter or None, got {type(param).__name__}"
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a tensor that is state but not learnable, such as a running mean; `persistent`: in state_dict()."""
        self._check_name("register_buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentTypeError(f"register_buffer: {name} must be a Tensor or None, got {type(tensor).__name__}")
        self._buffers[name] = tensor
        if persistent:
            self._temporary_buffers.discard(name)
        else:
            self._temporary_buffers.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Register a module under a name, as assigning it to an attribute does."""
        self._check_name("add_module", name, "_modules")
        if module is not None and not isinstance(module, Module):
            raise ArgumentTypeError(
                f"add_module: {type(self).__name__}: expected a Module as {name!r}, got {type(module).__name__}"
            )
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """`add_module`."""
        self.add_module(name, module)

    # --- the tree -------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules one level down, each once, with their names."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules one level down, each once."""
        return (module for _, module in self.named_children())

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it with their dotted names: each once, or under each of its names.

        Those in `memo` are left out, and those that are found are added to it.
        """
        seen = set() if memo is None else memo
        stack = [(prefix, self)]
        while stack:
            name, module = stack.pop()
            if remove_duplicate and module in seen:
                continue
            seen.add(module)
            yield name, module
            below = [(f"{name}.{k}" if name else k, m) for k, m in module._modules.items() if m is not None]
            stack.extend(reversed(below))

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (m for _, m in self.named_modules())

    def _named(self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        named = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in named:
            for name, value in getattr(module, registry).items():
                if value is not None and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters, or with recurse=False only this module's own, with their dotted names.

        Each comes once; with remove_duplicate=False, under each of its names.
        """
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once; with recurse=False only this module's own."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their dotted names; see `named_parameters`."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once; with recurse=False only this module's own."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module of a dotted name; "" is this module itself.

        Raises:
            UnknownNameError: if there is none; it is an ArgumentError, an AttributeError and a KeyError.
        """
        module = self
        for name in _text("get_submodule", target).split(".") if target else []:
            module = module._registered("get_submodule", "_modules", name, target)
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter of a dotted name.

        Raises:
            UnknownNameError: if there is none.
        """
        path, _, name = _text("get_parameter", target).rpartition(".")
        return self.get_submodule(path)._registered("get_parameter", "_parameters", name, target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer of a dotted name.

        Raises:
            UnknownNameError: if there is none.
        """
        path, _, name = _text("get_buffer", target).rpartition(".")
        return self.get_submodule(path)._registered("get_buffer", "_buffers", name, target)

    def _registered(self, caller: str, registry: str, name: str, target: str) -> Any:
        value = getattr(self, registry).get(name)
        if value is None:
            names = [k for k, v in getattr(self, registry).items() if v is not None]
            raise UnknownNameError(
                f"{caller}: {target!r}: {type(self).__name__} has no {_REGISTRIES[registry]} {name!r}, only {names}"
            )
        return value

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call `fn` on every module below, then on this one; returns this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # --- state ----------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Module:
        """Switch this module and all below it to training (or evaluation) behaviour; returns it."""
        if not isinstance(mode, bool):
            raise ArgumentTypeError(f"train: mode must be True or False, got {type(mode).__name__}: {mode!r}")
        for module in self.modules():
            module.__dict__["training"] = mode
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

    def to(self, dtype: Any = None) -> Module:
        """Convert all floating parameters and buffers to a floating dtype, or to that of a tensor; returns the module.

        "cpu" or "cuda" moves all parameters and buffers there.

        Raises:
            DtypeError: for a dtype that is not floating.
            DeviceError: for another device, or where there is no GPU.
        """
        if is_device(dtype):
            return self._converted(checked_device("to", dtype), "biuf")
        if isinstance(dtype, Tensor):
            dtype = dtype.dtype
        if dtype is None:
            return self
        resolved = as_dtype(dtype)
        if resolved.kind != "f":
            raise DtypeError(
                f"to: modules are converted to floating dtypes only, got {resolved}; write .type({resolved})"
            )
        return self._converted(resolved, "f")

    def type(self, dst_type: Any) -> Module:
        """Convert all parameters and buffers, also those of integers; returns the module."""
        return self._converted(as_dtype(dst_type), "biuf")

    def _converted(self, dtype: Any, kinds: str) -> Module:
        for value in [*self.parameters(), *self.buffers()]:
            if value.dtype.kind in kinds:
                value._replace(value.detach().to(dtype))
                value._grad = None
        return self

    def cpu(self) -> Module:
        """Move all parameters and buffers to the host's memory."""
        return self.to("cpu")

    def cuda(self) -> Module:
        """Move all parameters and buffers to the memory of a GPU."""
        return self.to("cuda")

    def half(self) -> Module:
        """Convert to float16."""
        return self.to(np.float16)

    def float(self) -> Module:
        """Convert to float32."""
        return self.to(np.float32)

    def double(self) -> Module:
        """Convert to float64, which gradient checks use."""
        return self.to(np.float64)

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """All parameters and persistent buffers by dotted name, which begins with `prefix`, sharing memory.

        What is shared under several names comes under each of them. With `keep_vars` the values are the parameters
        themselves, and not detached. `minigrad.save` writes the state to an `.npz` file.
        """
        state = {}
        for path, module in self.named_modules(remove_duplicate=False):
            lasting = {k: v for k, v in module._buffers.items() if k not in module._temporary_buffers}
            for name, value in (*module._parameters.items(), *lasting.items()):
                if value is not None:
                    key = f"{path}.{name}" if path else name
                    state[prefix + key] = value if keep_vars else value.detach()
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy values by name into the parameters and buffers. Nothing is changed if anything does not fit.

        Raises:
            ArgumentError: with `strict`, if names are missing or unexpected.
            ShapeError: if a shape differs.
            NotImplementedError: for assign=True.
        """
        if assign:
            raise NotImplementedError(
                "load_state_dict: assign=True is not supported, values are copied into the parameters; leave it out"
            )
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

    def _child_lines(self) -> list[str]:
        return [f"({name}): {module!r}" for name, module in self._modules.items()]

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = [line.replace("\n", "\n  ") for line in self._child_lines()]
        if not children and "\n" not in extra:
            return f"{type(self).__name__}({extra})"
        lines = [*(extra.split("\n") if extra else []), *children]
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"


def _text(caller: str, target: Any) -> str:
    if not isinstance(target, str):
        raise ArgumentTypeError(f"{caller}: the name must be a string, got {type(target).__name__}: {target!r}")
    return target
