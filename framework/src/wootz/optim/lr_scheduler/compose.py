"""Schedules made of schedules."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from wootz.optim.lr_scheduler.base import LRScheduler
from wootz.optim.lr_scheduler.plateau import ReduceLROnPlateau
from wootz.optim.optimizer import Optimizer

__all__ = ["ChainedScheduler", "SequentialLR"]


def _check(optimizer: Optimizer, schedulers: Sequence[LRScheduler]) -> list[LRScheduler]:
    if any(scheduler.optimizer is not optimizer for scheduler in schedulers):
        raise ValueError("every scheduler has to belong to the same optimizer")
    if any(isinstance(scheduler, ReduceLROnPlateau) for scheduler in schedulers):
        raise ValueError("ReduceLROnPlateau steps on a metric, and cannot be one of several schedulers")
    return list(schedulers)


class _Composite(LRScheduler):
    schedulers: list[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "schedulers": [scheduler.state_dict() for scheduler in self.schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        parts = state_dict["schedulers"]
        if len(parts) != len(self.schedulers):
            raise ValueError(f"the state is of {len(parts)} schedulers, there are {len(self.schedulers)} here")
        for scheduler, part in zip(self.schedulers, parts, strict=True):
            scheduler.load_state_dict(part)
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "schedulers"})


class SequentialLR(_Composite):
    """Schedulers in turn: the next takes over, from its own epoch 0, at each of the ``milestones``."""

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        if not schedulers or len(milestones) != len(schedulers) - 1:
            raise ValueError(f"{len(schedulers)} schedulers need one milestone less, not {len(milestones)}")
        self.schedulers, self.milestones = _check(optimizer, schedulers), list(milestones)
        for scheduler in schedulers:  # each set rates when it was made; the first is to start from the original ones
            scheduler.last_epoch, scheduler._step_count = -1, 0
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        turn = bisect_right(self.milestones, self.last_epoch)
        fresh = turn > 0 and self.milestones[turn - 1] == self.last_epoch
        self.schedulers[turn].step(0 if fresh else None)
        return self.schedulers[turn].get_last_lr()


class ChainedScheduler(_Composite):
    """Schedulers that all act on the rate at every step, each on what the one before left."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        if not schedulers:
            raise ValueError("a chain needs at least one scheduler")
        self.optimizer = optimizer if optimizer is not None else schedulers[0].optimizer
        self.schedulers = _check(self.optimizer, schedulers)
        self.last_epoch, self._step_count = schedulers[0].last_epoch, 1
        self.base_lrs = [group["initial_lr"] for group in self.optimizer.param_groups]
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]  # set as the schedulers were made

    def get_lr(self) -> list[float]:
        for scheduler in self.schedulers:
            scheduler.step()
        return [group["lr"] for group in self.optimizer.param_groups]
