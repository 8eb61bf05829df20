"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import wootz
from wootz import _core
from wootz._tensor import Tensor
from wootz.backend.streams import reading
from wootz.optim.optimizer import Optimizer, Params, check_hints, check_range

__all__ = ["SGD"]


class SGD(Optimizer):
    """v = momentum v + (1 - dampening) g, p -= lr v, or with ``nesterov`` p -= lr (g + momentum v).

    The first v is g (Sutskever et al. 2013, in PyTorch's form). ``weight_decay`` adds that much of p to g;
    ``maximize`` climbs. Raises ValueError for a negative option or Nesterov without momentum.
    """

    def __init__(
        self, params: Params, lr: float = 1e-3, momentum: float = 0.0, dampening: float = 0.0,
        weight_decay: float = 0.0, nesterov: bool = False, *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        check_hints(hints)
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
            "nesterov": nesterov, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: Mapping[str, Any]) -> None:
        check_range(group, "lr", "momentum", "weight_decay")
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError("Nesterov's method needs momentum and no dampening")

    def update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        options = {n: group[n] for n in ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")}
        with reading(lambda: (group["lr"],)):
            self._move(group, params, grads, options)

    def _move(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], options: dict[str, Any]) -> None:
        if not group["momentum"]:
            _core.sgd_step(params, grads, None, **options)
            return
        fresh = [i for i, p in enumerate(params) if self.state[p].get("momentum_buffer") is None]
        known = [i for i, p in enumerate(params) if self.state[p].get("momentum_buffer") is not None]
        for i in fresh:
            self.state[params[i]]["momentum_buffer"] = wootz.zeros_like(params[i])
        for which, first in ((fresh, True), (known, False)):
            buffers = [self.state[params[i]]["momentum_buffer"] for i in which]
            _core.sgd_step([params[i] for i in which], [grads[i] for i in which], buffers, **options, first=first)
