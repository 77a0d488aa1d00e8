"""Schedules that multiply the learning rates by factors."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ...errors import ArgumentError, ArgumentTypeError
from ..optimizer import Optimizer
from .scheduler import (
    LRScheduler,
    check_between,
    check_integer,
    check_number,
    current_rates,
    each_group,
    function_state,
    restore_function,
)

__all__ = [
    "ConstantLR", "ExponentialLR", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "PolynomialLR", "StepLR",
]  # fmt: skip

Factor = Callable[[int], float]


class _FunctionLR(LRScheduler):
    """A schedule given by functions of the step, one for all groups or one for each."""

    _not_saved = ("optimizer", "lr_lambdas")

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | list[Factor], last_epoch: int = -1) -> None:
        name = type(self).__name__
        self.lr_lambdas: list[Any] = each_group(name, optimizer, lr_lambda=lr_lambda)
        for function in self.lr_lambdas:
            if not callable(function):
                raise ArgumentTypeError(
                    f"{name}: lr_lambda must be a function of the step, got {type(function).__name__}"
                )
        super().__init__(optimizer, last_epoch)

    def _times_each(self, rates: list[float]) -> list[float]:
        self._check_groups(len(self.lr_lambdas))
        step: Any = self.last_epoch
        return [rate * function(step) for rate, function in zip(rates, self.lr_lambdas, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """As for all schedules; of the functions, only objects with attributes are saved, the others as None."""
        return {**super().state_dict(), "lr_lambdas": [function_state(f) for f in self.lr_lambdas]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            ArgumentError: if the state is not one of such a schedule.
        """
        super().load_state_dict(state_dict)
        for function, state in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            restore_function(function, state)


class LambdaLR(_FunctionLR):
    """The initial rate times lr_lambda(step).

    Raises:
        ArgumentTypeError: something that is not a function.
        ArgumentError: a list that is not as long as there are groups.
    """

    def get_lr(self) -> list[float]:
        return self._times_each(self.base_lrs)


class MultiplicativeLR(_FunctionLR):
    """The rate of the step before times lr_lambda(step).

    Raises:
        ArgumentTypeError: something that is not a function.
        ArgumentError: a list that is not as long as there are groups.
    """

    def get_lr(self) -> list[float]:
        return self._times(1) if self._is_initial else self._times_each(current_rates(self.optimizer))


class StepLR(LRScheduler):
    """Multiply by `gamma` every `step_size` steps.

    Raises:
        ArgumentError: `step_size` is not an integer > 0.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        check_integer("StepLR", 1, step_size=step_size)
        check_number("StepLR", gamma=gamma)
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        decays = self.last_epoch != 0 and self.last_epoch % self.step_size == 0
        return self._times(self.gamma if decays else 1)

    def _get_closed_form_lr(self) -> list[float]:
        return self._times_base(self.gamma ** (self.last_epoch // self.step_size))


class MultiStepLR(LRScheduler):
    """Multiply by `gamma` at each of the steps in `milestones`; at one that is listed twice, twice.

    Raises:
        ArgumentTypeError: `milestones` are not integers.
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        check_number("MultiStepLR", gamma=gamma)
        self.milestones: Counter[float] = Counter(integers("MultiStepLR", milestones=milestones))
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._times(self.gamma ** self.milestones[self.last_epoch])

    def _get_closed_form_lr(self) -> list[float]:
        return self._times_base(self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch))


class ConstantLR(LRScheduler):
    """Multiply by `factor` for the first `total_iters` steps, and divide by it then.

    Raises:
        ArgumentError: `factor` is not in (0, 1]; multiplying by 0 could not be undone.
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        _check_factor("ConstantLR", factor=factor)
        check_integer("ConstantLR", 0, total_iters=total_iters)
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._times(self.factor)
        return self._times(1.0 / self.factor if self.last_epoch == self.total_iters else 1)

    def _get_closed_form_lr(self) -> list[float]:
        return self._times_base(1 if self.last_epoch >= self.total_iters else self.factor)


class LinearLR(LRScheduler):
    """The initial rate times a factor that changes linearly from `start_factor` to `end_factor` in `total_iters` steps.

    Raises:
        ArgumentError: `start_factor` is not in (0, 1], or `end_factor` not in [0, 1].
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        _check_factor("LinearLR", start_factor=start_factor)
        check_between("LinearLR", 0, 1, end_factor=end_factor)
        check_integer("LinearLR", 0, total_iters=total_iters)
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return self._times(self.start_factor)
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._times(1)
        change = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * change
        return self._times(1.0 + change / before)

    def _get_closed_form_lr(self) -> list[float]:
        change = self.end_factor - self.start_factor
        return self._times_base(self.start_factor + change * _part("LinearLR", self.last_epoch, self.total_iters))


class ExponentialLR(LRScheduler):
    """Multiply by `gamma` in every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        check_number("ExponentialLR", gamma=gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self._times(1 if self._is_initial else self.gamma)

    def _get_closed_form_lr(self) -> list[float]:
        return self._times_base(self.gamma**self.last_epoch)


class PolynomialLR(LRScheduler):
    """The initial rate times (1 - step / total_iters) ** power, down to zero after `total_iters` steps.

    Raises:
        ArgumentError: `total_iters` is not an integer >= 0.
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        check_integer("PolynomialLR", 0, total_iters=total_iters)
        check_number("PolynomialLR", power=power)
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._is_initial or self.last_epoch > self.total_iters:
            return self._times(1)
        now, before = (1.0 - step / self.total_iters for step in (self.last_epoch, self.last_epoch - 1))
        return self._times((now / before) ** self.power)

    def _get_closed_form_lr(self) -> list[float]:
        left = 1.0 - _part("PolynomialLR", self.last_epoch, self.total_iters)
        return self._times_base(left**self.power)


def integers(scheduler: str, **option: Any) -> list[int]:
    """The integers in a list.

    Raises:
        ArgumentTypeError: for anything else.
    """
    ((name, values),) = option.items()
    found = list(values) if isinstance(values, Iterable) else [values]
    if not isinstance(values, Iterable) or not all(isinstance(value, (int, np.integer)) for value in found):
        raise ArgumentTypeError(f"{scheduler}: {name} must be a list of integers, got {values!r}")
    return found


def _part(scheduler: str, step: float, total_iters: int) -> float:
    """How much of the schedule is over, at most 1."""
    if total_iters == 0:
        raise ArgumentError(f"{scheduler}: step(epoch) needs total_iters > 0; with 0 the rate never changes")
    return min(total_iters, step) / total_iters


def _check_factor(scheduler: str, **option: Any) -> None:
    check_between(scheduler, 0, 1, **option)
    ((name, value),) = option.items()
    if value == 0:
        raise ArgumentError(f"{scheduler}: {name} must be > 0, for the rate is found again by dividing by it, got 0")
