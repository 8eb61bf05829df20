"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wootz._tensor import Tensor
from wootz.optim.optimizer import Params, PerTensor, check_hints, check_range

__all__ = ["ASGD"]


class ASGD(PerTensor):
    """SGD of rate lr / (1 + lambd lr step)^alpha that keeps the average of p from step t0 on, as ``state["ax"]``
    (Polyak & Juditsky 1992).
    """

    def __init__(
        self, params: Params, lr: float = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6,
        weight_decay: float = 0, *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        check_hints(hints)
        defaults = {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: Mapping[str, Any]) -> None:
        check_range(group, "lr", "weight_decay")

    def move(self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        step, lr = state["step"], group["lr"]
        eta, mu = float(state.get("eta", lr)), float(state.get("mu", 1.0))
        p.mul_(1 - group["lambd"] * eta).sub_(g, alpha=eta)
        average = self.zeros(state, "ax", p)
        average.lerp_(p, mu) if mu != 1 else average.copy_(p)
        state["eta"] = lr / (1 + group["lambd"] * lr * step) ** group["alpha"]
        state["mu"] = 1 / max(1.0, step - group["t0"])
