"""Schedules that go up and down again, with the momentum going the other way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from ...errors import ArgumentError, ArgumentTypeError
from ..optimizer import Optimizer
from .scheduler import (
    LRScheduler,
    check_between,
    check_choice,
    check_integer,
    check_number,
    each_group,
    function_state,
    restore_function,
)

__all__ = ["CyclicLR", "OneCycleLR"]


class CyclicLR(LRScheduler):
    """Up from `base_lr` to `max_lr` in a straight line and down again, over and over; one step for each batch.

    The height of the cycles is scaled: not at all ("triangular"), by half in each further cycle ("triangular2"), by
    gamma^step ("exp_range"), or by `scale_fn` of the number of the cycle, counted from 1, or with
    scale_mode="iterations" of the step. With `cycle_momentum` the momentum, or Adam's beta1, goes from `max_momentum`
    to `base_momentum` while the rate goes up.

    Source: L. Smith, "Cyclical Learning Rates for Training Neural Networks" (2015), https://arxiv.org/abs/1506.01186

    Raises:
        ArgumentError: an unknown mode; a list that is not as long as there are groups; or an optimiser without
            momentum although `cycle_momentum` is set.
    """

    _not_saved = ("optimizer", "_scale_fn_custom")

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        base_lrs = _each_number("CyclicLR", optimizer, base_lr=base_lr)
        self.max_lrs = _each_number("CyclicLR", optimizer, max_lr=max_lr)
        step_size_down = step_size_up if step_size_down is None else step_size_down
        check_number("CyclicLR", step_size_up=step_size_up, step_size_down=step_size_down, gamma=gamma)
        if not (step_size_up > 0 and step_size_down > 0):
            raise ArgumentError(
                f"CyclicLR: step_size_up and step_size_down must be > 0, got {step_size_up} and {step_size_down}"
            )
        self.total_size = float(step_size_up + step_size_down)
        self.step_ratio = step_size_up / self.total_size
        if scale_fn is None:
            check_choice("CyclicLR", ("triangular", "triangular2", "exp_range"), mode=mode)
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        elif not callable(scale_fn):
            raise ArgumentTypeError(f"CyclicLR: scale_fn must be a function, got {type(scale_fn).__name__}")
        check_choice("CyclicLR", ("cycle", "iterations"), scale_mode=scale_mode)
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = _momentum_range(
                "CyclicLR", optimizer, base_momentum, max_momentum, last_epoch
            )
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, base_lrs, strict=True):
                group["lr"] = rate
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of the cycle, where x is the number of the cycle or the step."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return 0.5 ** (x - 1)
        return self.gamma**x if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[float]:
        """The rates of step `last_epoch`; sets the momenta of the groups, too."""
        self._check_groups(len(self.base_lrs))
        height = self._height()
        if self.cycle_momentum:
            limits = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in limits:
                _set_momentum(group, high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def _height(self) -> float:
        """How high the cycle stands: 0 at its ends, scale_fn at its peak."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        part = 1.0 + self.last_epoch / self.total_size - cycle
        height = part / self.step_ratio if part <= self.step_ratio else (part - 1) / (self.step_ratio - 1)
        return height * self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """As for all schedules; of `scale_fn`, only an object with attributes is saved, otherwise None."""
        custom = None if self._scale_fn_custom is None else function_state(self._scale_fn_custom)
        return {**super().state_dict(), "_scale_fn_custom": custom}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            ArgumentError: if the state is not one of such a schedule.
        """
        super().load_state_dict(state_dict)
        restore_function(self._scale_fn_custom, state_dict["_scale_fn_custom"])


class _Phase(NamedTuple):
    """A stretch of OneCycleLR up to `end_step`, between rates and momenta that are named entries of the groups."""

    end_step: float
    start_lr: str
    end_lr: str
    start_momentum: str
    end_momentum: str


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to `max_lr`, then down to that over `final_div_factor`; one step for each batch.

    The way up takes the part `pct_start` of `total_steps` (or epochs * steps_per_epoch), along half a cosine or a
    straight line (`anneal_strategy`). With `three_phase` the way down first goes back to the initial rate, as fast as
    it went up. With `cycle_momentum` the momentum, or Adam's beta1, goes from `max_momentum` to `base_momentum` while
    the rate goes up, and back.

    Source: L. Smith and N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
    Rates" (2017), https://arxiv.org/abs/1708.07120

    Raises:
        ArgumentError: no number of steps, or one that is not an integer > 0; more steps than that; `pct_start` not in
            [0, 1]; a list that is not as long as there are groups; or an optimiser without momentum although
            `cycle_momentum` is set.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        max_lrs = _each_number("OneCycleLR", optimizer, max_lr=max_lr)
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        check_between("OneCycleLR", 0, 1, pct_start=pct_start)
        check_choice("OneCycleLR", ("cos", "linear"), anneal_strategy=anneal_strategy)
        check_number("OneCycleLR", div_factor=div_factor, final_div_factor=final_div_factor)
        if div_factor == 0 or final_div_factor == 0:
            raise ArgumentError("OneCycleLR: div_factor and final_div_factor must not be 0")
        self._schedule_phases = _one_cycle(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            _momentum_range("OneCycleLR", optimizer, base_momentum, max_momentum, last_epoch)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, max_lrs, strict=True):
                initial = rate / div_factor
                group.update(initial_lr=initial, max_lr=rate, min_lr=initial / final_div_factor)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates of step `last_epoch`; sets the momenta of the groups, too."""
        self._check_groups(len(self.base_lrs))
        if self.last_epoch > self.total_steps:
            raise ArgumentError(
                f"OneCycleLR: step {self.last_epoch} is beyond total_steps={self.total_steps}; make the schedule longer"
            )
        phase, part = self._phase()
        anneal = _along_cosine if self._anneal_func_type == "cos" else _along_line
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                _set_momentum(group, anneal(group[phase.start_momentum], group[phase.end_momentum], part))
        return [anneal(group[phase.start_lr], group[phase.end_lr], part) for group in self.optimizer.param_groups]

    def _phase(self) -> tuple[_Phase, float]:
        """The phase that the step lies in, and how much of it is over."""
        start = 0.0
        for phase in self._schedule_phases[:-1]:
            if self.last_epoch <= phase.end_step:
                break
            start = phase.end_step
        else:
            phase = self._schedule_phases[-1]
        if phase.end_step == start:
            raise ArgumentError(
                f"OneCycleLR: with total_steps={self.total_steps} a phase at step {start:g} has no length; "
                "change pct_start or total_steps"
            )
        return phase, (self.last_epoch - start) / (phase.end_step - start)


def _total_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is not None:
        check_integer("OneCycleLR", 1, total_steps=total_steps)
        return total_steps
    if epochs is None or steps_per_epoch is None:
        raise ArgumentError("OneCycleLR: give total_steps, or both epochs and steps_per_epoch")
    check_integer("OneCycleLR", 1, epochs=epochs, steps_per_epoch=steps_per_epoch)
    return epochs * steps_per_epoch


def _one_cycle(total_steps: int, pct_start: float, three_phase: bool) -> list[_Phase]:
    up = _Phase(pct_start * total_steps - 1, "initial_lr", "max_lr", "max_momentum", "base_momentum")
    last = total_steps - 1
    if not three_phase:
        return [up, _Phase(last, "max_lr", "min_lr", "base_momentum", "max_momentum")]
    down = _Phase(2 * pct_start * total_steps - 2, "max_lr", "initial_lr", "base_momentum", "max_momentum")
    return [up, down, _Phase(last, "initial_lr", "min_lr", "max_momentum", "max_momentum")]


def _along_cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2.0 * (1 + math.cos(math.pi * part))


def _along_line(start: float, end: float, part: float) -> float:
    return (end - start) * part + start


def _each_number(scheduler: str, optimizer: Optimizer, **option: Any) -> list[float]:
    """The numbers of an option, one for each group."""
    ((name, _),) = option.items()
    values = each_group(scheduler, optimizer, **option)
    for value in values:
        check_number(scheduler, **{name: value})
    return values


def _momentum_range(
    scheduler: str, optimizer: Optimizer, base_momentum: Any, max_momentum: Any, last_epoch: int
) -> tuple[list[float], list[float]]:
    """The lowest and highest momenta of the groups; a new schedule starts at the highest, and writes them there."""
    if not {"momentum", "betas"} & set(optimizer.defaults):
        raise ArgumentError(
            f"{scheduler}: {type(optimizer).__name__} has neither momentum nor betas to cycle; write "
            "cycle_momentum=False"
        )
    low = _each_number(scheduler, optimizer, base_momentum=base_momentum)
    high = _each_number(scheduler, optimizer, max_momentum=max_momentum)
    if last_epoch == -1:
        for group, lowest, highest in zip(optimizer.param_groups, low, high, strict=True):
            _set_momentum(group, highest)
            group.update(base_momentum=lowest, max_momentum=highest)
    return low, high


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    """Set the momentum of a group, which is Adam's first beta."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
