"""Half cosines (Loshchilov & Hutter 2017)."""

from __future__ import annotations

import math

from wootz.optim.lr_scheduler.base import LRScheduler
from wootz.optim.optimizer import Optimizer

__all__ = ["CosineAnnealingLR", "CosineAnnealingWarmRestarts"]


def _height(t: float, period: float) -> float:
    """From 1 at 0 down to 0 at the period, and up again."""
    return (1 + math.cos(math.pi * t / period)) / 2


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the rate to ``eta_min`` over ``T_max`` epochs, then back up."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_max < 1:
            raise ValueError(f"T_max is at least 1, not {T_max}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, group: int, base: float, epoch: float) -> float:
        return self.eta_min + (base - self.eta_min) * _height(epoch, self.T_max)

    def get_lr(self) -> list[float]:
        """The height over ``eta_min`` is scaled by the cosine's change, so that schedules can be chained."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self.last_epoch == 0:
            return rates
        now, before = _height(self.last_epoch, self.T_max), _height(self.last_epoch - 1, self.T_max)
        if self._step_count == 1:
            return self._formula(self.last_epoch)
        if (self.last_epoch - 1) % (2 * self.T_max) == self.T_max:  # up from the bottom, where there is no height
            climbs = [(base - self.eta_min) * now for base in self.base_lrs]
            return [rate + climb for rate, climb in zip(rates, climbs, strict=True)]
        return [self.eta_min + (rate - self.eta_min) * (now / before) for rate in rates]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine over ``T_0`` epochs, then again from the top, each ``T_mult`` times as long as the one before.

    ``step(epoch)`` takes fractions of an epoch.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_0 < 1 or T_mult < 1:
            raise ValueError(f"T_0 and T_mult are ints of at least 1, not {T_0} and {T_mult}")
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        self.T_i, self.T_cur = float(T_0), 0.0
        super().__init__(optimizer, last_epoch)

    def rate(self, group: int, base: float, epoch: float) -> float:
        self.T_i, self.T_cur = float(self.T_0), epoch
        if self.T_mult == 1:
            self.T_cur %= self.T_0
        while self.T_cur >= self.T_i:
            self.T_cur -= self.T_i
            self.T_i *= self.T_mult
        return self.eta_min + (base - self.eta_min) * _height(self.T_cur, self.T_i)
