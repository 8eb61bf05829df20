"""Adafactor: second moments of a matrix in the memory of a row and a column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import wootz
from wootz._tensor import Tensor
from wootz.optim.optimizer import Params, PerTensor, check_hints, check_range

__all__ = ["Adafactor"]


class Adafactor(PerTensor):
    """Moves of root-mean-square at most max(eps2, rms(p)) min(lr, 1 / sqrt(step)) (Shazeer & Stern 2018, as PyTorch).

    The running mean of g^2, of weight 1 - step^beta2_decay, is kept as its row and column means for a parameter of two
    or more dimensions. ``d`` clips the update's root-mean-square; ``eps[0]`` None is the type's machine epsilon.
    """

    reshaped: ClassVar[frozenset[str]] = frozenset({"row_var", "col_var"})

    def __init__(
        self, params: Params, lr: float = 1e-2, beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0, weight_decay: float = 0.0, *,
        maximize: bool = False, **hints: Any,
    ) -> None:  # fmt: skip
        check_hints(hints)
        defaults = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def check(self, group: Mapping[str, Any]) -> None:
        check_range(group, "lr", "weight_decay")
        if group["beta2_decay"] > 0:
            raise ValueError(f"beta2_decay is at most 0, not {group['beta2_decay']}")
        if (group["eps"][0] is not None and not group["eps"][0] >= 0) or not group["eps"][1] >= 0:
            raise ValueError(f"eps are two numbers of at least 0, the first may be None; not {group['eps']}")
        if not group["d"] >= 1:
            raise ValueError(f"d is at least 1, not {group['d']}")

    def update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        super().update({**group, "weight_decay": 0, "shrink": 1 - group["lr"] * group["weight_decay"]}, params, grads)

    def move(self, group: dict[str, Any], p: Tensor, g: Tensor, state: dict[str, Any]) -> None:
        floor = wootz.finfo(p.dtype).eps if group["eps"][0] is None else group["eps"][0]
        rate = max(group["eps"][1], _rms(p)) * min(group["lr"], state["step"] ** -0.5)
        p.mul_(group["shrink"])  # after its size was taken
        square = _running_square(g, state["step"] ** group["beta2_decay"], floor, state)
        change = square.clamp(min=floor * floor).rsqrt_().mul_(g)
        p.sub_(change, alpha=rate / max(1.0, _rms(change) / group["d"]))


def _rms(x: Tensor) -> float:
    return float((x * x).mean().sqrt().item()) if x.numel() else 0.0


def _running_square(g: Tensor, weight: float, floor: float, state: dict[str, Any]) -> Tensor:
    """The running mean of g^2, moved by ``weight``; for a matrix the product of its rows' and columns' means."""
    square = g * g
    if g.dim() < 2:
        _move(state, "variance", square, weight)
        variance: Tensor = state["variance"]
        return variance
    for name, dim in (("row_var", -1), ("col_var", -2)):
        _move(state, name, square.mean(dim, keepdim=True), weight)
    rows: Tensor = state["row_var"]
    columns: Tensor = state["col_var"]
    return (rows @ columns) / rows.mean(-2, keepdim=True).clamp(min=floor)


def _move(state: dict[str, Any], name: str, towards: Tensor, weight: float) -> None:
    if name not in state:
        state[name] = wootz.zeros_like(towards)
    state[name].lerp_(towards, weight)
