"""Functions that are called before or after the forward of a module."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentTypeError

if TYPE_CHECKING:
    from .module import Module

__all__: list[str] = []  # PyTorch has the handle in torch.utils.hooks

_next_id = count().__next__


class Hook:
    """One registered function, and whether it sees keyword arguments."""

    def __init__(self, caller: str, function: Callable[..., Any], with_kwargs: bool) -> None:
        if not callable(function):
            raise ArgumentTypeError(f"{caller}: the hook must be a function, got {type(function).__name__}")
        self.function, self.with_kwargs = function, with_kwargs


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away, as leaving a `with` block does."""

    def __init__(self, hooks: OrderedDict[int, Hook], hook: Hook, prepend: bool) -> None:
        self.hooks, self.id = hooks, _next_id()
        hooks[self.id] = hook
        if prepend:
            hooks.move_to_end(self.id, last=False)

    def remove(self) -> None:
        """Take the hook away; again does nothing."""
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`module.forward`, with the hooks around it."""
    # Copies, since a hook may remove itself.
    for hook in list(module._forward_pre_hooks.values()):
        args, kwargs = _changed_arguments(hook, module, args, kwargs)
    output = module.forward(*args, **kwargs)
    for hook in list(module._forward_hooks.values()):
        changed = (
            hook.function(module, args, kwargs, output) if hook.with_kwargs else hook.function(module, args, output)
        )
        output = output if changed is None else changed
    return output


def _changed_arguments(
    hook: Hook, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments after a pre-hook; one that is not in a tuple stands for itself."""
    if not hook.with_kwargs:
        changed = hook.function(module, args)
        return args if changed is None else changed if isinstance(changed, tuple) else (changed,), kwargs
    changed = hook.function(module, args, kwargs)
    if changed is None:
        return args, kwargs
    if not (isinstance(changed, tuple) and len(changed) == 2):
        raise ArgumentTypeError(
            f"register_forward_pre_hook: a hook with_kwargs=True returns None or (args, kwargs), got {changed!r}"[:300]
        )
    return changed
