"""Schedules that multiply the rate by a function of the epoch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from wootz.optim.lr_scheduler.base import LRScheduler
from wootz.optim.optimizer import Optimizer

__all__ = [
    "ConstantLR", "ExponentialLR", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "PolynomialLR", "StepLR",
]  # fmt: skip

Factor = Callable[[int], float]


class _Scaled(LRScheduler):
    """The starting rate times `scale`. The rate in force is multiplied by its change, so that schedules can be chained
    and a rate that was changed by hand stays changed.
    """

    def scale(self, epoch: float) -> float:
        raise NotImplementedError(f"{type(self).__name__} has no scale()")

    def rate(self, group: int, base: float, epoch: float) -> float:
        return base * self.scale(epoch)

    def get_lr(self) -> list[float]:
        now = self.scale(self.last_epoch)
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self.last_epoch == 0:
            return [rate * now for rate in rates]
        before = self.scale(self.last_epoch - 1)
        if before == 0:  # nothing is left to multiply
            return self._formula(self.last_epoch)
        return [rate * (now / before) for rate in rates]


class StepLR(_Scaled):
    """Times ``gamma`` every ``step_size`` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        if step_size < 1:
            raise ValueError(f"step_size is at least 1, not {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def scale(self, epoch: float) -> float:
        return float(self.gamma ** (epoch // self.step_size))


class MultiStepLR(_Scaled):
    """Times ``gamma`` at each of the ``milestones``."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def scale(self, epoch: float) -> float:
        return float(self.gamma ** bisect_right(self.milestones, epoch))


class ExponentialLR(_Scaled):
    """Times ``gamma`` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def scale(self, epoch: float) -> float:
        return float(self.gamma**epoch)


class ConstantLR(_Scaled):
    """Times ``factor`` for the first ``total_iters`` epochs."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"factor is in [0, 1], not {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def scale(self, epoch: float) -> float:
        return self.factor if epoch < self.total_iters else 1.0


class LinearLR(_Scaled):
    """From ``start_factor`` to ``end_factor`` times the rate over ``total_iters`` epochs: a warm-up."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1.0 / 3, end_factor: float = 1.0, total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(f"factors are in (0, 1] and [0, 1], not {start_factor} and {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def scale(self, epoch: float) -> float:
        done = min(1.0, epoch / self.total_iters) if self.total_iters else 1.0
        return self.start_factor + (self.end_factor - self.start_factor) * done


class PolynomialLR(_Scaled):
    """Times (1 - epoch / total_iters)^power, down to zero."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        if total_iters < 1:
            raise ValueError(f"total_iters is at least 1, not {total_iters}")
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def scale(self, epoch: float) -> float:
        return float((1 - min(epoch, self.total_iters) / self.total_iters) ** self.power)


class _Lambdas(LRScheduler):
    unsaved: ClassVar[frozenset[str]] = frozenset({"optimizer", "lr_lambdas"})

    def __init__(self, optimizer: Optimizer, lr_lambda: Factor | Sequence[Factor], last_epoch: int = -1) -> None:
        groups = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"{len(self.lr_lambdas)} functions for {groups} parameter groups")
        super().__init__(optimizer, last_epoch)


class LambdaLR(_Lambdas):
    """The starting rate times a function of the epoch, or one function for every group; functions are not saved."""

    def rate(self, group: int, base: float, epoch: float) -> float:
        return base * self.lr_lambdas[group](int(epoch))


class MultiplicativeLR(_Lambdas):
    """The rate in force times a function of the epoch, or one function for every group; functions are not saved."""

    def get_lr(self) -> list[float]:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if self.last_epoch == 0:
            return rates
        return [rate * factor(self.last_epoch) for rate, factor in zip(rates, self.lr_lambdas, strict=True)]
