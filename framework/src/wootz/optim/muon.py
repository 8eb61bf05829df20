"""Muon: momentum whose matrices are made orthogonal before they are added."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from wootz._tensor import Tensor
from wootz.optim.optimizer import Params, PerTensor, check_range

__all__ = ["Muon"]

_ADJUSTMENTS = (None, "original", "match_rms_adamw")


class Muon(PerTensor):
    """p -= lr' O, O about the nearest orthogonal matrix to the momentum (Jordan et al. 2024). For matrices only.

    O comes from ``ns_steps`` of a Newton-Schulz iteration with ``ns_coefficients``, in the parameter's own type (where
    PyTorch takes bfloat16). lr' is lr times sqrt(max(1, rows / columns)), or 0.2 sqrt(max(rows, columns)) for
    ``adjust_lr_fn`` "match_rms_adamw". ``weight_decay`` shrinks p by lr weight_decay.
    """

    def __init__(
        self, params: Params, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95,
        nesterov: bool = True, ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7, ns_steps: int = 5, adjust_lr_fn: str | None = None,
    ) -> None:  # fmt: skip
        defaults = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
            "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: Mapping[str, Any]) -> None:
        check_range(group, "lr", "weight_decay", "momentum")
        if group["adjust_lr_fn"] not in _ADJUSTMENTS:
            raise ValueError(f"adjust_lr_fn is one of {_ADJUSTMENTS}, not {group['adjust_lr_fn']!r}")
        if len(group["ns_coefficients"]) != 3 or not 0 <= group["ns_steps"] < 100:
            raise ValueError("ns_coefficients are three numbers, ns_steps at least 0 and below 100")
        for p in group["params"]:
            if p.dim() != 2:
                raise ValueError(f"Muon moves matrices, not a parameter of shape {tuple(p.shape)}: give it to AdamW")

    def update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        super().update({**group, "maximize": False, "decoupled_weight_decay": True}, params, grads)

    def move(self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        buffer = self.zeros(state, "momentum_buffer", p).lerp_(g, 1 - group["momentum"])
        direction = g.lerp(buffer, group["momentum"]) if group["nesterov"] else buffer
        rows, columns = p.shape
        scale = math.sqrt(max(1.0, rows / columns))
        if group["adjust_lr_fn"] == "match_rms_adamw":
            scale = 0.2 * math.sqrt(max(rows, columns))
        p.sub_(_orthogonalised(direction, group), alpha=group["lr"] * scale)


def _orthogonalised(matrix: Tensor, group: Mapping[str, Any]) -> Tensor:
    """x towards U V^T of its singular value decomposition: every singular value towards about 1."""
    a, b, c = group["ns_coefficients"]
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.square().sum().sqrt().clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        gram = x @ x.T
        x = x * a + (gram * b + gram @ gram * c) @ x
    return x.T if tall else x
