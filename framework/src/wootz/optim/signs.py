"""Steps whose size does not depend on the gradient's: Lion and Rprop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import wootz
from wootz._tensor import Tensor
from wootz.optim.optimizer import Params, PerTensor, check_hints, check_range

__all__ = ["Lion", "Rprop"]


class Lion(PerTensor):
    """p -= lr sign(b1 m + (1 - b1) g), then m moves to g by b2; weight decay shrinks p (Chen et al. 2023)."""

    def __init__(
        self, params: Params, lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0, *,
        maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        check_hints(hints)
        defaults = {
            "lr": lr, "betas": betas, "weight_decay": weight_decay, "decoupled_weight_decay": True,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: Mapping[str, Any]) -> None:
        check_range(group, "lr", "weight_decay", "betas")

    def move(self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        mean = self.zeros(state, "exp_avg", p)
        p.sub_(mean.lerp(g, 1 - beta1).sign_(), alpha=group["lr"])
        mean.lerp_(g, 1 - beta2)


class Rprop(PerTensor):
    """A step size for each element: times ``etas[1]`` while its gradient keeps its sign, ``etas[0]`` when not.

    For full batches (Riedmiller & Braun 1993).
    """

    def __init__(
        self, params: Params, lr: float = 1e-2, etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50), *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        check_hints(hints)
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def check(self, group: Mapping[str, Any]) -> None:
        check_range(group, "lr")
        if not 0 < group["etas"][0] < 1 < group["etas"][1]:
            raise ValueError(f"etas are a number in (0, 1) and one over 1, not {group['etas']}")

    def update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        super().update({"weight_decay": 0, **group}, params, grads)

    def move(self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        before = self.zeros(state, "prev", p)
        if "step_size" not in state:
            state["step_size"] = wootz.full_like(p, group["lr"])
        turn = (g * before).sign_()
        factor = wootz.where(turn > 0, group["etas"][1], wootz.where(turn < 0, group["etas"][0], wootz.ones_like(p)))
        size = state["step_size"].mul_(factor).clamp_(*group["step_sizes"])
        held = wootz.where(turn < 0, wootz.zeros_like(g), g)  # after a turn the element waits one step
        p.sub_(held.sign() * size)
        before.copy_(held)
