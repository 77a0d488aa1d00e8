"""A schedule that looks at how training goes."""

from __future__ import annotations

import math
from typing import Literal, SupportsFloat

from ...errors import ArgumentError, ArgumentTypeError
from ..optimizer import Optimizer
from .scheduler import (
    LRScheduler,
    check_choice,
    check_integer,
    check_number,
    current_rates,
    each_group,
    need_optimizer,
    warn_of_epoch,
)

__all__ = ["ReduceLROnPlateau"]


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rates by `factor` when a measure has not improved for more than `patience` steps in a row.

    To improve, the measure must be less than best * (1 - threshold) with threshold_mode="rel", or best - threshold
    with "abs"; with mode="max", more than best * (1 + threshold) or best + threshold. After a reduction, `cooldown`
    steps are not counted. Rates do not fall below `min_lr`, and changes of no more than `eps` are left out.

    Raises:
        ArgumentError: `factor` is not in [0, 1), an unknown mode, or a list of `min_lr` that is not as long as there
            are groups.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        name = "ReduceLROnPlateau"
        need_optimizer(name, optimizer)
        check_number(name, factor=factor, threshold=threshold, eps=eps)
        if not 0 <= factor < 1:
            raise ArgumentError(f"{name}: factor must lie in [0, 1), got {factor}")
        check_choice(name, ("min", "max"), mode=mode)
        check_choice(name, ("rel", "abs"), threshold_mode=threshold_mode)
        check_integer(name, 0, patience=patience, cooldown=cooldown)
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = patience
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = cooldown
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.min_lrs = each_group(name, optimizer, min_lr=min_lr)
        for lowest in self.min_lrs:
            check_number(name, min_lr=lowest)
        self.eps = eps
        self.last_epoch = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self._last_lr = current_rates(optimizer)

    @property
    def in_cooldown(self) -> bool:
        """Whether the rates were reduced less than `cooldown` steps ago."""
        return self.cooldown_counter > 0

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Take note of the measure, a number or a tensor with one element, and reduce the rates if it is time to.

        Raises:
            ArgumentTypeError, ArgumentError: a measure that is not a number.
            ArgumentError: a group was added, and `min_lr` was a list.
        """
        try:
            value = float(metrics)
        except (TypeError, ValueError, RuntimeError) as error:
            kind = ArgumentTypeError if isinstance(error, TypeError) else ArgumentError
            raise kind(
                f"ReduceLROnPlateau: metrics must be a number, got {type(metrics).__name__}; write step(loss)"
            ) from None
        if epoch is not None:
            warn_of_epoch("ReduceLROnPlateau")
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = current_rates(self.optimizer)

    def _is_better(self, value: float) -> bool:
        sign = -1 if self.mode == "min" else 1
        change = sign * self.threshold
        bound = self.best * (1 + change) if self.threshold_mode == "rel" else self.best + change
        return value < bound if self.mode == "min" else value > bound

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if self.default_min_lr is not None:
            self.min_lrs = [self.default_min_lr] * len(groups)
        elif len(self.min_lrs) != len(groups):
            raise ArgumentError(
                f"ReduceLROnPlateau: min_lr has {len(self.min_lrs)} values, but the optimizer {len(groups)} groups "
                "now; add their limits to min_lrs"
            )
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            reduced = max(group["lr"] * self.factor, lowest)
            if group["lr"] - reduced > self.eps:
                group["lr"] = reduced
