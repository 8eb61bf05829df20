"""Adam and AdamW."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import wootz
from wootz import _core
from wootz._tensor import Tensor
from wootz.backend.streams import capturing, reading
from wootz.optim.optimizer import Optimizer, Params, check_hints, check_range

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """p -= lr m' / (sqrt(v') + eps) from running averages of g and g^2, corrected for their start (Kingma & Ba 2015).

    ``weight_decay`` adds that much of p to g; ``amsgrad`` takes the largest v so far (Reddi et al. 2018); ``maximize``
    climbs. Raises ValueError for an option out of its range.
    """

    decoupled = False

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, amsgrad: bool = False, *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        check_hints(hints)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: Mapping[str, Any]) -> None:
        check_range(group, "lr", "eps", "weight_decay", "betas")

    def update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        beta1, beta2 = group["betas"]
        names = ["exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])]
        by_step: dict[int, list[int]] = {}
        later = capturing()  # then a step is counted when it runs
        for i, p in enumerate(params):
            state = self.state[p]
            for name in names:
                if name not in state:
                    state[name] = wootz.zeros_like(p)
            step = state.get("step", 0) + 1
            state["step"] = step - later
            by_step.setdefault(step, []).append(i)
        # Parameters that got their first gradient later are at another step, and so at another correction.
        for step, which in by_step.items():
            states = [[self.state[params[i]][name] for i in which] for name in names]
            moved = [params[i] for i in which]
            with reading(functools.partial(self._count, group, moved)):
                _core.adamw_step(
                    moved, [grads[i] for i in which], states[0], states[1], states[2] if group["amsgrad"] else None,
                    step, group["lr"], beta1, beta2, group["eps"], group["weight_decay"], decoupled=self.decoupled,
                    maximize=group["maximize"],
                )  # fmt: skip

    def _count(self, group: dict[str, Any], params: list[Tensor]) -> tuple[float, float, float]:
        """Counts a step that a graph repeats: the rate and the corrections of it."""
        for p in params:
            self.state[p]["step"] += 1
        step, (beta1, beta2) = self.state[params[0]]["step"], group["betas"]
        return group["lr"], 1 - beta1**step, math.sqrt(1 - beta2**step)


class AdamW(Adam):
    """Adam whose weight decay shrinks p by lr weight_decay instead of changing g (Loshchilov & Hutter 2019)."""

    decoupled = True

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 1e-2, amsgrad: bool = False, *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, **hints)
