"""Averages of a model's weights over training: equal (Izmailov et al. 2018) or exponential."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import wootz
from wootz._tensor import Tensor
from wootz.nn.module import Module
from wootz.optim.lr_scheduler.base import ANNEAL, LRScheduler, per_group
from wootz.optim.optimizer import Optimizer

__all__ = [
    "SWALR", "AveragedModel", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
    "update_bn",
]  # fmt: skip

Average = Callable[[Tensor, Tensor, Any], Tensor]
MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]


def _check_decay(decay: float) -> float:
    if not 0 <= decay <= 1:
        raise ValueError(f"decay is in [0, 1], not {decay}")
    return decay


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """average = decay average + (1 - decay) value, for one tensor."""
    _check_decay(decay)
    return lambda average, value, count: average.lerp(value, 1 - decay)


def get_swa_avg_fn() -> Average:
    """The mean of all values, for one tensor."""
    return lambda average, value, count: average + (value - average) / (count + 1)


def _multi(one: Average) -> MultiAverage:
    def update(averages: Sequence[Tensor], values: Sequence[Tensor], count: Any) -> None:
        for average, value in zip(averages, values, strict=True):
            average.copy_(one(average, value, count))

    return update


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """average = decay average + (1 - decay) value, in place for lists of tensors."""
    return _multi(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> MultiAverage:
    """The mean of all values, in place for lists of tensors."""
    return _multi(get_swa_avg_fn())


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's at each `update_parameters`.

    Equal ones unless ``avg_fn`` or ``multi_avg_fn`` says otherwise (`get_ema_multi_avg_fn`). Buffers are copied, or
    averaged too with ``use_buffers``. The state dict has the model's under ``module.``, and ``n_averaged``.
    """

    module: Module
    n_averaged: Tensor

    def __init__(
        self, model: Module, device: Any = None, avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None, use_buffers: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("give avg_fn or multi_avg_fn, not both")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.register_buffer("n_averaged", wootz.tensor(0, dtype=wootz.int64))
        self.multi_avg_fn = multi_avg_fn or _multi(avg_fn or get_swa_avg_fn())
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the model's present parameters into the average."""
        ours: list[Tensor] = list(self.module.parameters())
        theirs: list[Tensor] = list(model.parameters())
        buffers = list(zip(self.module.buffers(), model.buffers(), strict=True))
        with wootz.no_grad():
            for average, value in buffers:
                if self.use_buffers and average.dtype.is_floating_point:
                    ours.append(average)
                    theirs.append(value)
                else:
                    average.copy_(value)
            values = [value.detach().to(average.device) for average, value in zip(ours, theirs, strict=True)]
            if count := int(self.n_averaged.item()):
                self.multi_avg_fn([average.detach() for average in ours], values, count)
            else:
                for average, value in zip(ours, values, strict=True):
                    average.copy_(value)
            self.n_averaged.add_(1)


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Computes batch norms' running statistics anew, as means over a pass: an averaged model has not seen its own.

    A batch is the input, or a list or tuple that starts with it.
    """
    norms = {m: m.momentum for m in model.modules() if "running_mean" in m._buffers and m.running_mean is not None}
    if not norms:
        return
    training = model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    for batch in loader:
        first = batch[0] if isinstance(batch, (list, tuple)) else batch
        model(first if device is None else first.to(device))
    for norm, momentum in norms.items():
        norm.momentum = momentum
    model.train(training)


class SWALR(LRScheduler):
    """From the rate in force to ``swa_lr`` within ``anneal_epochs``, where it stays."""

    def __init__(
        self, optimizer: Optimizer, swa_lr: float | Sequence[float], anneal_epochs: int = 10,
        anneal_strategy: str = "cos", last_epoch: int = -1,
    ) -> None:  # fmt: skip
        if anneal_strategy not in ANNEAL or anneal_epochs < 0:
            raise ValueError(f"anneal_strategy is 'cos' or 'linear', not {anneal_strategy!r}, anneal_epochs at least 0")
        for group, rate in zip(optimizer.param_groups, per_group(optimizer, swa_lr, "swa_lr"), strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        step = self._step_count - 1 if self.anneal_epochs else max(1, self._step_count - 1)
        before, now = (
            ANNEAL[self.anneal_strategy](max(0.0, min(1.0, t / max(1, self.anneal_epochs)))) for t in (step - 1, step)
        )
        rates = []
        for group in self.optimizer.param_groups:
            target, rate = group["swa_lr"], group["lr"]
            start = target if before == 1 else (rate - before * target) / (1 - before)
            rates.append(target * now + start * (1 - now))
        return rates
