"""Schedules made of schedules: one after the other, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from ...errors import ArgumentError, ArgumentTypeError
from ..optimizer import Optimizer
from .factors import integers
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler, check_integer, current_rates

__all__ = ["ChainedScheduler", "SequentialLR"]


class _CombinedLR(LRScheduler):
    """A schedule that leaves the rates to other schedules of the same optimiser."""

    _not_saved = ("optimizer", "_schedulers")
    _schedulers: Sequence[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        """As for all schedules, with the states of the schedules within."""
        return {**super().state_dict(), "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            ArgumentError: if the state is not one of such schedules.
        """
        states = state_dict.get("_schedulers", [])
        if len(states) != len(self._schedulers):
            raise ArgumentError(
                f"load_state_dict: the states of {len(states)} schedules do not match {type(self).__name__} with "
                f"{len(self._schedulers)}"
            )
        super().load_state_dict(state_dict)
        for scheduler, state in zip(self._schedulers, states, strict=True):
            scheduler.load_state_dict(state)


class SequentialLR(_CombinedLR):
    """schedulers[i] from step milestones[i - 1] on: each starts with its step 0 there, where the one before ends.

    Raises:
        ArgumentError: no schedules, one of another optimiser, ReduceLROnPlateau (it needs a measure in each step), or
            milestones that do not increase or are not one fewer than the schedules.
        ArgumentTypeError: something that is not a schedule.
        NotImplementedError: a SequentialLR or ChainedScheduler that does not come first: it cannot be started again.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        _check_schedulers("SequentialLR", schedulers, optimizer)
        check_integer("SequentialLR", -1, last_epoch=last_epoch)
        starts = integers("SequentialLR", milestones=milestones)
        if len(starts) != len(schedulers) - 1 or starts != sorted(starts):
            raise ArgumentError(
                f"SequentialLR: {len(schedulers)} schedulers need {len(schedulers) - 1} milestones that increase, got "
                f"{milestones}"
            )
        for scheduler in schedulers[1:]:
            if isinstance(scheduler, _CombinedLR):
                raise NotImplementedError(f"SequentialLR: {type(scheduler).__name__} can only be the first schedule")
        self._schedulers = schedulers
        self._milestones = starts
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        # Each schedule has set the rates of its step 0 when it was made; only the first is to do so.
        _undo_initial_step(self)
        first = schedulers[bisect_right(starts, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:  # type: ignore[override]
        """Advance the schedule whose turn it is."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_CombinedLR):
    """All schedules advance in each step, each changing the rates that the one before has set.

    Raises:
        ArgumentError: no schedules, one of another optimiser, or ReduceLROnPlateau (it needs a measure in each step).
        ArgumentTypeError: something that is not a schedule.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        _check_schedulers("ChainedScheduler", schedulers, optimizer)
        self._schedulers = schedulers
        self.optimizer = schedulers[0].optimizer
        self._last_lr = current_rates(self.optimizer)

    def step(self) -> None:  # type: ignore[override]
        """Advance all schedules."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = current_rates(self.optimizer)


def _check_schedulers(name: str, schedulers: Any, optimizer: Optimizer | None) -> None:
    if not isinstance(schedulers, (list, tuple)):
        raise ArgumentTypeError(f"{name}: schedulers must be a list of schedules, got {type(schedulers).__name__}")
    if not schedulers:
        raise ArgumentError(f"{name}: expected at least one schedule, got an empty list")
    for i, scheduler in enumerate(schedulers):
        if not isinstance(scheduler, LRScheduler):
            raise ArgumentTypeError(f"{name}: schedulers[{i}] must be a schedule, got {type(scheduler).__name__}")
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ArgumentError(
                f"{name}: schedulers[{i}] is a ReduceLROnPlateau, which needs a measure in each step; step it on its "
                "own"
            )
        if scheduler.optimizer is not (optimizer or schedulers[0].optimizer):
            raise ArgumentError(f"{name}: schedulers[{i}] belongs to another optimizer")


def _undo_initial_step(scheduler: LRScheduler) -> None:
    """Count back to before step 0, in all schedules within."""
    if isinstance(scheduler, _CombinedLR):
        for inner in scheduler._schedulers:
            _undo_initial_step(inner)
    else:
        scheduler.last_epoch -= 1
