"""Schedules that go down along half a cosine, once or again and again."""

from __future__ import annotations

import math

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .scheduler import LRScheduler, check_integer, check_number, current_rates

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts"]


class CosineAnnealingLR(LRScheduler):
    """eta_min + (initial - eta_min) (1 + cos(pi step / T_max)) / 2: down to `eta_min` in `T_max` steps, and up again.

    Computed from the rate of the step before, so that changes made in between are kept.

    Source: I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2016),
    https://arxiv.org/abs/1608.03983

    Raises:
        ArgumentError: `T_max` is not a number > 0.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        check_number("CosineAnnealingLR", T_max=T_max, eta_min=eta_min)
        if not T_max > 0:
            raise ArgumentError(f"CosineAnnealingLR: T_max must be > 0, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._times(1)
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The rate was eta_min, so no factor leads up from it: the first step up is computed from the initial rate.
            self._check_groups(len(self.base_lrs))
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            pairs = zip(current_rates(self.optimizer), self.base_lrs, strict=True)
            return [rate + (base - self.eta_min) * rise for rate, base in pairs]
        now, before = (1 + math.cos(math.pi * step / self.T_max) for step in (self.last_epoch, self.last_epoch - 1))
        return [now / before * (rate - self.eta_min) + self.eta_min for rate in current_rates(self.optimizer)]

    def _get_closed_form_lr(self) -> list[float]:
        return _along_cosine(self.base_lrs, self.eta_min, self.last_epoch / self.T_max)


class CosineAnnealingWarmRestarts(LRScheduler):
    """eta_min + (initial - eta_min) (1 + cos(pi T_cur / T_i)) / 2, where T_cur counts from the last restart.

    The first restart comes after T_i = `T_0` steps, and each restart makes T_i `T_mult` times longer.

    Source: I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2016),
    https://arxiv.org/abs/1608.03983

    Raises:
        ArgumentError: `T_0` or `T_mult` is not an integer > 0.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        check_integer("CosineAnnealingWarmRestarts", 1, T_0=T_0, T_mult=T_mult)
        check_number("CosineAnnealingWarmRestarts", eta_min=eta_min)
        self.T_0 = T_0
        self.T_i: float = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return _along_cosine(self.base_lrs, self.eta_min, self.T_cur / self.T_i)

    def step(self, epoch: float | None = None) -> None:
        """Set the rates of the next step, or those of `epoch`, which may lie between steps: epoch + batch / batches.

        Raises:
            ArgumentError: a negative epoch.
        """
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = 0 if epoch is None else epoch
            self._jump_to(epoch)
        self.last_epoch = math.floor(epoch)
        self._set_lr(self.get_lr())

    def _jump_to(self, epoch: float) -> None:
        """Find the restart before `epoch`: number n comes after T_0 (1 + T_mult + ... + T_mult^(n-1)) steps."""
        check_number("CosineAnnealingWarmRestarts", epoch=epoch)
        if not epoch >= 0:
            raise ArgumentError(f"CosineAnnealingWarmRestarts: epoch must be >= 0, got {epoch}")
        self.T_i, self.T_cur = self.T_0, epoch
        if self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        elif epoch >= self.T_0:
            restarts = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**restarts - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**restarts


def _along_cosine(start: list[float], end: float, part: float) -> list[float]:
    """From `start` (part 0) to `end` (part 1) along half a cosine."""
    return [end + (rate - end) * (1 + math.cos(math.pi * part)) / 2 for rate in start]
