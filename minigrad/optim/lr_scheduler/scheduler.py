"""What all learning rate schedules share: counting steps, and writing the rates into the optimiser's groups."""

from __future__ import annotations

import copy
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...errors import ArgumentError, ArgumentTypeError
from ..optimizer import Optimizer

__all__ = ["LRScheduler"]


class LRScheduler:
    """Base class (`torch.optim.lr_scheduler.LRScheduler`): subclasses define `get_lr()`.

    A new schedule writes the rate of step 0 into each group of the optimiser. From then on call `step()` once after
    each epoch (or batch, as the schedule counts), after `optimizer.step()`. The rates that the groups had at first
    are kept as `group["initial_lr"]` and in `base_lrs`.

    Args:
        optimizer: whose learning rates are set.
        last_epoch: -1 to start; otherwise the schedule goes on after that step with the rates in the groups.

    Raises:
        ArgumentTypeError: something that is not an Optimizer.
        ArgumentError: `last_epoch` >= 0 although the groups have no "initial_lr".
    """

    _not_saved: tuple[str, ...] = ("optimizer",)  # attributes that are no part of the state
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        name = type(self).__name__
        need_optimizer(name, optimizer)
        check_integer(name, -1, last_epoch=last_epoch)
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"{name}: last_epoch={last_epoch} goes on with a schedule, but group {i} of the optimizer has no "
                    "'initial_lr'; load the optimizer's state_dict first, or leave last_epoch out"
                )
        self.optimizer = optimizer
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch: float = last_epoch
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the rates to start with."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def get_lr(self) -> list[float]:
        """The rates of step `last_epoch`, one for each group; `get_last_lr()` tells those in use."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def _get_closed_form_lr(self) -> list[float]:
        """The rates of step `last_epoch`, computed without those of the step before it."""
        return self.get_lr()

    def get_last_lr(self) -> list[float]:
        """The rates that were set last, one for each group."""
        return list(self._last_lr)

    def step(self, epoch: int | None = None) -> None:
        """Set the rates of the next step, or those of `epoch`.

        Warns (UserWarning), as PyTorch does: when the optimiser has not made a step before the schedule's first, which
        leaves out the first rate; and for `epoch`, which PyTorch means to drop.

        Raises:
            ArgumentError: if groups were added to the optimiser since, and the schedule needs their initial rates.
        """
        if self._step_count == 1 and not _has_stepped(self.optimizer):
            warnings.warn(
                f"{type(self).__name__}: step() was called before optimizer.step(), so the first learning rate of the "
                "schedule is never used; call optimizer.step() first",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warn_of_epoch(type(self).__name__)
        self._update_lr(epoch)

    def _update_lr(self, epoch: float | None = None) -> None:
        if epoch is None:
            self.last_epoch += 1
            self._set_lr(self.get_lr())
        else:
            self.last_epoch = epoch
            self._set_lr(self._get_closed_form_lr())

    def _set_lr(self, rates: Sequence[float]) -> None:
        self._check_groups(len(rates))
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = current_rates(self.optimizer)

    def _check_groups(self, known: int) -> None:
        """Raise ArgumentError unless the schedule has a value for each group of the optimiser."""
        groups = len(self.optimizer.param_groups)
        if known != groups:
            raise ArgumentError(
                f"{type(self).__name__}: the schedule has rates for {known} groups, but the optimizer has {groups}; "
                "add groups before making the schedule"
            )

    def _times(self, factor: float) -> list[float]:
        """The rates in use times `factor`: what others do to the rates in between is kept."""
        return [rate * factor for rate in current_rates(self.optimizer)]

    def _times_base(self, factor: float) -> list[float]:
        """The rates of the beginning times `factor`."""
        return [rate * factor for rate in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """Copies of everything but the optimiser, which has a `state_dict` of its own: save both."""
        return {name: copy.deepcopy(value) for name, value in vars(self).items() if name not in self._not_saved}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned; the optimiser's state, with its rates, is loaded on its own.

        Raises:
            ArgumentError: if the state is not one of such a schedule.
        """
        names = set(self.state_dict())
        if set(state_dict) != names:
            raise ArgumentError(
                f"load_state_dict: entries {sorted(state_dict)} are not those of {type(self).__name__}, {sorted(names)}"
            )
        vars(self).update(
            {name: copy.deepcopy(value) for name, value in state_dict.items() if name not in self._not_saved}
        )


def _has_stepped(optimizer: Optimizer) -> bool:
    """Whether the optimiser has made a step; True too where a subclass replaced step(), and cannot be asked."""
    return optimizer._stepped or type(optimizer).step is not Optimizer.step


def current_rates(optimizer: Optimizer) -> list[float]:
    return [group["lr"] for group in optimizer.param_groups]


def warn_of_epoch(scheduler: str) -> None:
    """Warn that step(epoch) will go away, on behalf of the caller of step()."""
    warnings.warn(
        f"{scheduler}: step(epoch) is deprecated in PyTorch; call step() without arguments", UserWarning, stacklevel=3
    )


def function_state(function: Callable[..., Any]) -> dict[str, Any] | None:
    """What a callable object remembers; plain functions and methods cannot be saved: None."""
    if isinstance(function, (types.FunctionType, types.MethodType)) or not hasattr(function, "__dict__"):
        return None
    return copy.deepcopy(vars(function))


def restore_function(function: Any, state: dict[str, Any] | None) -> None:
    """Give a callable object back what it remembered."""
    if state is not None:
        vars(function).update(copy.deepcopy(state))


def need_optimizer(scheduler: str, optimizer: Any) -> None:
    """Raise ArgumentTypeError for anything that is not an Optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(f"{scheduler}: optimizer must be an Optimizer, got {type(optimizer).__name__}")


def check_number(scheduler: str, **options: Any) -> None:
    """Raise ArgumentError for an option that is no real number."""
    for name, value in options.items():
        if not isinstance(value, (int, float, np.number)):
            raise ArgumentError(f"{scheduler}: {name} must be a number, got {value!r}")


def check_between(scheduler: str, low: float, high: float, **options: Any) -> None:
    """Raise ArgumentError for a number outside low to high, both included."""
    check_number(scheduler, **options)
    for name, value in options.items():
        if not low <= value <= high:
            raise ArgumentError(f"{scheduler}: {name} must be a number from {low} to {high}, got {value!r}")


def check_integer(scheduler: str, least: int, **options: Any) -> None:
    """Raise ArgumentError for an option that is not an integer, or less than `least`."""
    for name, value in options.items():
        if not isinstance(value, (int, np.integer)) or value < least:
            raise ArgumentError(f"{scheduler}: {name} must be an integer >= {least}, got {value!r}")


def check_choice(scheduler: str, choices: Sequence[str], **options: Any) -> None:
    """Raise ArgumentError for an option that is none of the words in `choices`."""
    for name, value in options.items():
        if value not in choices:
            raise ArgumentError(f"{scheduler}: {name} must be one of {', '.join(map(repr, choices))}, got {value!r}")


def each_group(scheduler: str, optimizer: Optimizer, **option: Any) -> list[Any]:
    """The values of an option, given as one value for all groups or a list with one for each.

    Raises:
        ArgumentTypeError: without an optimiser there are no groups.
        ArgumentError: for a list of another length.
    """
    need_optimizer(scheduler, optimizer)
    ((name, value),) = option.items()
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    if len(value) != groups:
        raise ArgumentError(
            f"{scheduler}: {name} must be one value or one for each group, got {len(value)} for {groups} groups"
        )
    return list(value)
