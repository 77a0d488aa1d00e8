"""What all optimisers share: parameter groups, state, and the loop over parameters that have gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..dtypes import Array
from ..errors import ArgumentError, ArgumentTypeError
from ..recording import enable_grad, no_grad
from ..tensor import Tensor

__all__ = ["Optimizer"]

# What learning rate schedules write down in the groups, next to the options.
SCHEDULE_ENTRIES = frozenset({"initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum"})


class Optimizer:
    """Base class (`torch.optim.Optimizer`): subclasses update one parameter at a time, in place.

    Args:
        params: tensors, or dictionaries {"params": tensors, option: value, ...}, each a group with options of its own.
        defaults: the options of groups that do not set them.

    Raises:
        ArgumentError: no parameters, a parameter twice, or an unknown option.
        ArgumentTypeError: something that is not a Tensor.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise ArgumentTypeError(
                f"{type(self).__name__}: params must be a list of Tensors, got a single {type(params).__name__}; write "
                "[x]"
            )
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}  # by identity, as tensors are hashed
        self.param_groups: list[dict[str, Any]] = []
        self._scratch: dict[Any, Array] = {}
        self._stepped = False  # for schedules, which are to be advanced after the optimiser
        groups = list(params)
        if not groups:
            raise ArgumentError(
                "optimizer: got an empty parameter list; was the iterator from parameters() used up before?"
            )
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own."""
        if "params" not in param_group:
            raise ArgumentError(f"{type(self).__name__}: a parameter group needs 'params', got {sorted(param_group)}")
        group = dict(param_group)
        group["params"] = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        unknown = set(group) - {"params"} - set(self.defaults) - SCHEDULE_ENTRIES
        if unknown:
            raise ArgumentError(
                f"{type(self).__name__}: unknown options {sorted(unknown)}; the options are {sorted(self.defaults)}"
            )
        known = {id(p) for g in self.param_groups for p in g["params"]}
        for p in group["params"]:
            if not isinstance(p, Tensor):
                raise ArgumentTypeError(f"{type(self).__name__}: can only optimise Tensors, got {type(p).__name__}")
            if not p.is_leaf:
                raise ArgumentError(f"{type(self).__name__}: can only optimise leaves, got the output of '{p.grad_fn}'")
            if id(p) in known:
                raise ArgumentError(f"{type(self).__name__}: a parameter of shape {p.shape} appears twice")
            known.add(id(p))
        self.param_groups.append({**self.defaults, **group})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None if set_to_none or p.grad is None else p.grad * 0

    @no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; a `closure` recomputes the loss first and is returned."""
        self._stepped = True
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state.setdefault(p, {})
                    # Written into the parameter's own memory, and noted as a change, so that a graph that was recorded
                    # with the old values cannot be used any more.
                    self.update(p._array, p.grad._array, state, group)
                    p._shared_storage().changed()
        return loss

    def update(self, param: Array, grad: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change `param` in place, given its gradient, what is remembered of it, and the options of its group."""
        raise NotImplementedError(f"{type(self).__name__} does not define update()")

    def direction(self, param: Array, grad: Array, group: dict[str, Any]) -> Array:
        """The gradient, negated to `maximize`, with weight decay added to it; decoupled, that shrinks `param` here."""
        g = -grad if group["maximize"] else grad
        if group.get("decoupled_weight_decay"):
            param *= 1 - group["lr"] * group["weight_decay"]
        elif group.get("weight_decay"):
            g = g + group["weight_decay"] * param
        return g

    def scratch(self, like: Array) -> Array:
        """Memory of the shape of `like` to compute in; the next call may hand out the same again."""
        key = (like.shape, like.dtype)
        if key not in self._scratch:
            self._scratch[key] = np.empty_like(like)
        return self._scratch[key]

    def state_dict(self) -> dict[str, Any]:
        """The options and what is remembered of each parameter, by its position."""
        positions = {id(p): i for i, p in enumerate(p for g in self.param_groups for p in g["params"])}
        copied = {
            positions[id(p)]: {k: v.copy() if hasattr(v, "copy") else v for k, v in state.items()}
            for p, state in self.state.items()
        }
        groups = [{**g, "params": [positions[id(p)] for p in g["params"]]} for g in self.param_groups]
        return {"state": copied, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            ArgumentError: if the groups, or the shapes of what is remembered, do not match.
        """
        groups, params = state_dict["param_groups"], [p for g in self.param_groups for p in g["params"]]
        sizes, own_sizes = [len(g["params"]) for g in groups], [len(g["params"]) for g in self.param_groups]
        if sizes != own_sizes:
            raise ArgumentError(
                f"load_state_dict: groups of {sizes} parameters do not match an optimizer with groups of {own_sizes}"
            )
        for saved in groups:
            if set(saved) - SCHEDULE_ENTRIES != {"params", *self.defaults}:
                raise ArgumentError(
                    f"load_state_dict: options {sorted(set(saved) - {'params'})} are not those of "
                    f"{type(self).__name__}, {sorted(self.defaults)}"
                )
        for position, state in state_dict["state"].items():
            for name, value in state.items():
                shape = getattr(value, "shape", None)
                if position >= len(params) or (shape is not None and shape != params[position].shape):
                    raise ArgumentError(
                        f"load_state_dict: {name} of parameter {position} has shape {shape}, which does not match"
                    )
        for group, saved in zip(self.param_groups, groups, strict=True):
            group.update({k: v for k, v in saved.items() if k != "params"})
        self.state = {
            params[i]: {k: v.copy() if hasattr(v, "copy") else v for k, v in state.items()}
            for i, state in state_dict["state"].items()
        }


def check_at_least_zero(optimizer: str, **options: float) -> None:
    """Raise ArgumentError for an option that is no number, negative or nan."""
    for name, value in options.items():
        if not (isinstance(value, (int, float, np.number)) and value >= 0):
            raise ArgumentError(f"{optimizer}: {name} must be a number >= 0, got {value!r}")


def check_betas(optimizer: str, betas: tuple[float, float]) -> None:
    """Raise ArgumentError unless both averages forget: 0 <= beta < 1."""
    if len(betas) != 2 or not all(0 <= b < 1 for b in betas):
        raise ArgumentError(f"{optimizer}: betas must lie in [0, 1), got {betas}")


def refuse(optimizer: str, **options: Any) -> None:
    """Raise NotImplementedError for an option of PyTorch's that asks for another implementation."""
    for name, value in options.items():
        if value:
            raise NotImplementedError(f"{optimizer}: {name}={value!r} is not supported; leave it out")


def move_towards(average: Array, value: Array, weight: float, work: Array) -> None:
    """average <- average + weight * (value - average), in place."""
    np.subtract(value, average, out=work)
    work *= weight
    average += work
