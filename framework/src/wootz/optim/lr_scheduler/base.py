"""What every schedule shares: the epoch, the rates started with, saving and loading."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from wootz.optim.optimizer import Optimizer

__all__ = ["ANNEAL", "LRScheduler", "per_group"]

# How much of the way from one rate to another is done at t in [0, 1].
ANNEAL: dict[str, Callable[[float], float]] = {"cos": lambda t: (1 - math.cos(math.pi * t)) / 2, "linear": lambda t: t}


def per_group(optimizer: Optimizer, value: Any, name: str) -> list[Any]:
    """A value for each parameter group: one for all, or a list of as many."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(f"{len(value)} values of {name} for {groups} parameter groups")
    return list(value)


class LRScheduler:
    """Sets every parameter group's ``lr``; subclasses define `rate`, or `get_lr` from the rates in force.

    Creating a scheduler sets the rates of epoch 0; ``last_epoch`` resumes at a later one, with an optimizer whose
    groups still have the ``initial_lr`` of the first run.
    """

    unsaved: ClassVar[frozenset[str]] = frozenset({"optimizer"})

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer, self.last_epoch = optimizer, last_epoch
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(f"resuming at epoch {last_epoch} needs 'initial_lr', which parameter group {i} lacks")
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self._last_lr: list[float] = []
        self._step_count = 0
        self.step()

    def rate(self, group: int, base: float, epoch: float) -> float:
        """The rate of a parameter group at an epoch, from the rate it started with."""
        raise NotImplementedError(f"{type(self).__name__} has neither rate() nor get_lr()")

    def get_lr(self) -> list[float]:
        """The rates of `last_epoch`, by `rate` or from those in force."""
        return self._formula(self.last_epoch)

    def _formula(self, epoch: float) -> list[float]:
        return [self.rate(i, base, epoch) for i, base in enumerate(self.base_lrs)]

    def step(self, epoch: float | None = None) -> None:
        """Moves on by one epoch, or to the one given, where the schedule has a formula for it."""
        self._step_count += 1
        if epoch is None:
            self.last_epoch += 1
            self._set(self.get_lr())
        else:
            self.last_epoch = math.floor(epoch)
            self._set(self._formula(epoch) if type(self).rate is not LRScheduler.rate else self.get_lr())

    def _set(self, rates: Sequence[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = list(rates)

    def get_last_lr(self) -> list[float]:
        """The rates last set, one a parameter group."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and functions: numbers, lists and strings, for JSON."""
        return {k: v for k, v in self.__dict__.items() if k not in self.unsaved and not callable(v)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Returns to a saved epoch and sets its rates."""
        if len(state_dict["base_lrs"]) != len(self.base_lrs):
            count = len(state_dict["base_lrs"])
            raise ValueError(f"the state is of {count} parameter groups, the optimizer has {len(self.base_lrs)}")
        self.__dict__.update({k: v for k, v in state_dict.items() if k not in self.unsaved})
        self._set(self._last_lr)
