"""Rates that rise and fall while momentum does the opposite (Smith 2017; Smith & Topin 2018)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from wootz.optim.lr_scheduler.base import ANNEAL, LRScheduler, per_group
from wootz.optim.optimizer import Optimizer

__all__ = ["CyclicLR", "OneCycleLR"]


class _WithMomentum(LRScheduler):
    """A schedule that also moves the momentum, or the first of ``betas``."""

    def __init__(
        self, optimizer: Optimizer, cycle_momentum: bool, base_momentum: Any, max_momentum: Any, last_epoch: int
    ) -> None:
        self.cycle_momentum, self.use_beta1 = cycle_momentum, "betas" in optimizer.defaults
        if cycle_momentum:
            if not self.use_beta1 and "momentum" not in optimizer.defaults:
                raise ValueError("cycle_momentum needs an optimizer with momentum or betas; pass cycle_momentum=False")
            self.base_momentums = per_group(optimizer, base_momentum, "base_momentum")
            self.max_momentums = per_group(optimizer, max_momentum, "max_momentum")
        super().__init__(optimizer, last_epoch)

    def momentum(self, group: int) -> float:
        """A group's momentum at `last_epoch`."""
        raise NotImplementedError(f"{type(self).__name__} has no momentum()")

    def _set(self, rates: Sequence[float]) -> None:
        super()._set(rates)
        for i, group in enumerate(self.optimizer.param_groups if self.cycle_momentum else ()):
            if self.use_beta1:
                group["betas"] = (self.momentum(i), *group["betas"][1:])
            else:
                group["momentum"] = self.momentum(i)


class CyclicLR(_WithMomentum):
    """Up from ``base_lr`` to ``max_lr`` in ``step_size_up`` steps, down in ``step_size_down``, and again.

    The height is scaled by ``scale_fn`` of the cycle or of the step (``scale_mode`` "cycle", "iterations"); the modes
    "triangular", "triangular2" (half as high each time) and "exp_range" (``gamma``^step) are ready-made ones.
    """

    def __init__(
        self, optimizer: Optimizer, base_lr: float | Sequence[float], max_lr: float | Sequence[float],
        step_size_up: int = 2000, step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None, scale_mode: str = "cycle", cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8, max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f"mode is 'triangular', 'triangular2' or 'exp_range', or give scale_fn; not {mode!r}")
        self.max_lrs, bases = per_group(optimizer, max_lr, "max_lr"), per_group(optimizer, base_lr, "base_lr")
        if last_epoch == -1:
            for group, base in zip(optimizer.param_groups, bases, strict=True):
                group["initial_lr"] = group["lr"] = base
        self.total_size = step_size_up + (step_size_up if step_size_down is None else step_size_down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self.scale_fn = mode, gamma, scale_fn
        self.scale_mode = scale_mode if scale_fn else "iterations" if mode == "exp_range" else "cycle"
        super().__init__(optimizer, cycle_momentum, base_momentum, max_momentum, last_epoch)

    def _height(self, epoch: float) -> float:
        cycle = math.floor(1 + epoch / self.total_size)
        x = 1 + epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        at = cycle if self.scale_mode == "cycle" else epoch
        if self.scale_fn is not None:
            return height * self.scale_fn(at)
        return height * {"triangular": 1.0, "triangular2": 2.0 ** (1 - at)}.get(self.mode, self.gamma**at)

    def rate(self, group: int, base: float, epoch: float) -> float:
        return float(base + (self.max_lrs[group] - base) * self._height(epoch))

    def momentum(self, group: int) -> float:
        base, most = self.base_momentums[group], self.max_momentums[group]
        return float(most - (most - base) * self._height(self.last_epoch))


class OneCycleLR(_WithMomentum):
    """From max_lr / div_factor up to ``max_lr`` in the first ``pct_start`` of all steps, then down to nearly nothing.

    The last rate is the first one over ``final_div_factor``. ``three_phase`` comes down to the first rate as fast as it
    went up before it falls further. Give ``total_steps``, or ``epochs`` and ``steps_per_epoch``.
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: float | Sequence[float], total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
        three_phase: bool = False, last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("give total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if total_steps < 1 or not 0 <= pct_start <= 1 or anneal_strategy not in ANNEAL:
            raise ValueError(
                "total_steps is at least 1, pct_start in [0, 1] and anneal_strategy 'cos' or 'linear'; not "
                f"{total_steps}, {pct_start} and {anneal_strategy!r}"
            )
        self.total_steps, self.anneal_strategy = total_steps, anneal_strategy
        # Each phase: its last step, the ends of the rate as multiples of max_lr, the ends of the momentum (1: max).
        low, peak = 1 / div_factor, pct_start * total_steps - 1
        self.phases: list[list[float]] = [[peak, low, 1.0, 1, 0]]
        if three_phase:
            self.phases.append([2 * pct_start * total_steps - 2, 1.0, low, 0, 1])
        self.phases.append([total_steps - 1, self.phases[-1][2], low / final_div_factor, self.phases[-1][4], 1])
        for group, most in zip(optimizer.param_groups, per_group(optimizer, max_lr, "max_lr"), strict=True):
            if last_epoch == -1:
                group["initial_lr"], group["max_lr"] = most * low, most
        super().__init__(optimizer, cycle_momentum, base_momentum, max_momentum, last_epoch)

    def _way(self, epoch: float) -> tuple[list[float], float]:
        """The phase of a step, and how much of it is done."""
        if epoch > self.total_steps:
            raise ValueError(f"step {epoch} is beyond the {self.total_steps} of this schedule")
        start = 0.0
        for phase in self.phases:
            if epoch <= phase[0] or phase is self.phases[-1]:
                break
            start = phase[0]
        length = phase[0] - start
        return phase, ANNEAL[self.anneal_strategy]((epoch - start) / length if length else 1.0)

    def rate(self, group: int, base: float, epoch: float) -> float:
        phase, done = self._way(epoch)
        return float(self.optimizer.param_groups[group]["max_lr"] * (phase[1] + (phase[2] - phase[1]) * done))

    def momentum(self, group: int) -> float:
        phase, done = self._way(self.last_epoch)
        base, most = self.base_momentums[group], self.max_momentums[group]
        return float(base + (most - base) * (phase[3] + (phase[4] - phase[3]) * done))
