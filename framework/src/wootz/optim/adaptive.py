"""Steps scaled by running squares of the gradient: Adagrad, Adadelta, RMSprop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import wootz
from wootz._tensor import Tensor
from wootz.optim.optimizer import Params, PerTensor, check_hints, check_range

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class Adagrad(PerTensor):
    """p -= lr' g / (sqrt(sum of g^2) + eps), lr' = lr / (1 + steps lr_decay) (Duchi et al. 2011)."""

    def __init__(
        self, params: Params, lr: float = 1e-2, lr_decay: float = 0, weight_decay: float = 0,
        initial_accumulator_value: float = 0, eps: float = 1e-10, *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        check_hints(hints)
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: Mapping[str, Any]) -> None:
        check_range(group, "lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps")

    def move(self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        if "sum" not in state:
            state["sum"] = wootz.full_like(p, group["initial_accumulator_value"])
        total = state["sum"].add_(g * g)
        rate = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        p.sub_(g / (total.sqrt() + group["eps"]), alpha=rate)


class Adadelta(PerTensor):
    """p -= lr d, d = g sqrt(mean of d^2 + eps) / sqrt(mean of g^2 + eps), both running by rho (Zeiler 2012)."""

    def __init__(
        self, params: Params, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0, *,
        maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        check_hints(hints)
        super().__init__(params, {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def check(self, group: Mapping[str, Any]) -> None:
        check_range(group, "lr", "eps", "weight_decay")
        if not 0 <= group["rho"] <= 1:
            raise ValueError(f"rho is in [0, 1], not {group['rho']}")

    def move(self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        rho, eps = group["rho"], group["eps"]
        squares, moves = self.zeros(state, "square_avg", p), self.zeros(state, "acc_delta", p)
        squares.mul_(rho).add_(g * g, alpha=1 - rho)
        delta = (moves + eps).sqrt_().div_((squares + eps).sqrt_()).mul_(g)
        moves.mul_(rho).add_(delta * delta, alpha=1 - rho)
        p.sub_(delta, alpha=group["lr"])


class RMSprop(PerTensor):
    """p -= lr g / (sqrt(v) + eps), v the running mean of g^2 by alpha (Hinton 2012).

    ``centered`` takes the running variance instead (Graves 2013); ``momentum`` sums the moves.
    """

    def __init__(
        self, params: Params, lr: float = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0,
        momentum: float = 0, centered: bool = False, *, maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        check_hints(hints)
        defaults = {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
            "weight_decay": weight_decay, "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: Mapping[str, Any]) -> None:
        check_range(group, "lr", "alpha", "eps", "weight_decay", "momentum")

    def move(self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        alpha = group["alpha"]
        spread = self.zeros(state, "square_avg", p).mul_(alpha).add_(g * g, alpha=1 - alpha)
        if group["centered"]:
            mean = self.zeros(state, "grad_avg", p).lerp_(g, 1 - alpha)
            spread = spread - mean * mean
        step = g / (spread.sqrt() + group["eps"])
        if group["momentum"]:
            step = self.zeros(state, "momentum_buffer", p).mul_(group["momentum"]).add_(step)
        p.sub_(step, alpha=group["lr"])
