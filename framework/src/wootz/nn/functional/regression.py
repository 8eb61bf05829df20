"""Losses of one number, or one distribution, against another."""

from __future__ import annotations

import math

import wootz
from wootz._tensor import Tensor
from wootz.nn.functional.reduction import check_reduction, check_same_shape, reduce_loss
from wootz.ops.database import op

__all__ = [
    "gaussian_nll_loss", "huber_loss", "kl_div", "l1_loss", "mse_loss", "poisson_nll_loss", "smooth_l1_loss",
]  # fmt: skip


@op("N(2, 3), N(2, 3)", "N(2, 3), N(2, 3), reduction='none'", autocast="wide")
def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """(input - target)^2, of equal shapes; a mean is over the weights."""
    check_same_shape(input, target)
    return _weighted((input - target).square(), weight, reduction)


@op("N(2, 3), N(2, 3)", "N(2, 3), N(2, 3), reduction='none'", autocast="wide")
def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """|input - target|, of equal shapes; a mean is over the weights."""
    check_same_shape(input, target)
    return _weighted((input - target).abs(), weight, reduction)


def _weighted(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    if weight is None:
        return reduce_loss(loss, reduction)
    total = reduce_loss(loss * weight, "sum" if reduction == "mean" else reduction)
    return total / weight.expand(loss.shape).sum() if reduction == "mean" else total


@op("N(2, 3), N(2, 3)", "N(2, 3), N(2, 3), reduction='none'", autocast="wide")
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), for d = input - target (Huber 1964)."""
    check_same_shape(input, target)
    if not delta > 0:
        raise ValueError(f"delta is over 0, not {delta}")
    size = (input - target).abs()
    return _weighted(wootz.where(size < delta, size.square() / 2, delta * (size - delta / 2)), weight, reduction)


@op("N(2, 3), N(2, 3)", "N(2, 3), N(2, 3), reduction='none'", autocast="wide")
def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, for d = input - target (Girshick 2015)."""
    check_same_shape(input, target)
    if beta < 0:
        raise ValueError(f"beta is at least 0, not {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction)
    size = (input - target).abs()
    return reduce_loss(wootz.where(size < beta, size.square() / (2 * beta), size - beta / 2), reduction)


@op("N(2, 3), P(2, 3)", "N(2, 3), N(2, 3), reduction='batchmean', log_target=True", autocast="wide")
def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """target (log(target) - input), for log-probabilities ``input``: the Kullback-Leibler divergence when summed.

    ``reduction`` "batchmean" divides the sum by the batch's size; ``log_target`` takes log-probabilities there too.
    """
    check_same_shape(input, target)
    if reduction != "batchmean":
        check_reduction(reduction)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        safe = wootz.where(target > 0, target, 1.0)
        loss = wootz.where(target > 0, target * safe.log(), 0.0) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.dim() else loss.sum()
    return reduce_loss(loss, reduction)


@op("N(2, 3), P(2, 3)", "P(2, 3), P(2, 3), False, True", autocast="wide")
def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """exp(input) - target input, or input - target log(input + eps) without ``log_input``.

    ``full`` adds Stirling's approximation of log(target!) where the target is over 1.
    """
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        safe = wootz.where(target > 1, target, 1.0)
        stirling = safe * safe.log() - safe + (safe * (2 * math.pi)).log() / 2
        loss = loss + wootz.where(target > 1, stirling, 0.0)
    return reduce_loss(loss, reduction)


@op("N(2, 3), N(2, 3), P(2, 3)", "N(2, 3), N(2, 3), P(2, 1), True")
def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """(log(var) + (input - target)^2 / var) / 2, ``var`` at least ``eps``; ``full`` adds log(2 pi) / 2.

    ``var`` has the input's shape, or its last dimension missing or of size 1, or is one number (Nix & Weigend 1994).
    """
    spread = wootz.full_like(input.detach(), var) if not isinstance(var, Tensor) else var
    if spread.shape == input.shape[:-1]:
        spread = spread.unsqueeze(-1)
    if spread.shape not in (input.shape, (*input.shape[:-1], 1), ()):
        raise ValueError(f"var of shape {tuple(spread.shape)} does not fit an input of shape {tuple(input.shape)}")
    if (spread < 0).any().item():
        raise ValueError("var has a negative element")
    # The floor has no derivative, as if it were not there: a variance below it can grow again.
    floored = spread + (spread.detach().clamp(min=eps) - spread.detach())
    loss = (floored.log() + (input - target).square() / floored) / 2
    return reduce_loss(loss + math.log(2 * math.pi) / 2 if full else loss, reduction)
