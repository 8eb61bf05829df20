"""Relatives of Adam: Adamax, NAdam, RAdam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import wootz
from wootz._tensor import Tensor
from wootz.optim.optimizer import Params, PerTensor, check_hints, check_range

__all__ = ["Adamax", "NAdam", "RAdam"]


class _Moments(PerTensor):
    def check(self, group: Mapping[str, Any]) -> None:
        check_range(group, "lr", "eps", "weight_decay", "betas")

    def moments(self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The running averages of g and g^2, moved on."""
        beta1, beta2 = group["betas"]
        mean = self.zeros(state, "exp_avg", p).lerp_(g, 1 - beta1)
        return mean, self.zeros(state, "exp_avg_sq", p).mul_(beta2).add_(g * g, alpha=1 - beta2)


class Adamax(_Moments):
    """p -= lr m' / u, u the decaying largest |g| + eps (Kingma & Ba 2015, section 7)."""

    def __init__(
        self, params: Params, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        check_hints(hints)
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )

    def move(self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        mean = self.zeros(state, "exp_avg", p).lerp_(g, 1 - beta1)
        largest = self.zeros(state, "exp_inf", p)
        largest.copy_(wootz.maximum(largest * beta2, g.abs() + group["eps"]))
        p.sub_(mean / largest, alpha=group["lr"] / (1 - beta1 ** state["step"]))


class NAdam(_Moments):
    """Adam with Nesterov's momentum, whose weight grows by ``momentum_decay`` (Dozat 2016)."""

    def __init__(
        self, params: Params, lr: float = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *,
        maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        check_hints(hints)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: Mapping[str, Any]) -> None:
        super().check(group)
        check_range(group, "momentum_decay")

    def move(self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        (beta1, beta2), step, lr = group["betas"], state["step"], group["lr"]
        mean, square = self.moments(group, p, g, state)
        now, after = (beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
        state["mu_product"] = product = float(state.get("mu_product", 1.0)) * now
        scale = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
        p.sub_(g / scale, alpha=lr * (1 - now) / (1 - product))
        p.sub_(mean / scale, alpha=lr * after / (1 - product * after))


class RAdam(_Moments):
    """Adam that scales by the second moment only once that has low variance, rectified for it (Liu et al. 2020)."""

    def __init__(
        self, params: Params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0, decoupled_weight_decay: bool = False, *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        check_hints(hints)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def move(self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        (beta1, beta2), step = group["betas"], state["step"]
        mean, square = self.moments(group, p, g, state)
        rate = group["lr"] / (1 - beta1**step)
        correction = 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / correction
        if length <= 5:
            p.sub_(mean, alpha=rate)
            return
        shrink = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
        p.sub_(mean / (square.sqrt() + group["eps"]), alpha=rate * (correction * shrink) ** 0.5)
