"""Losses: mean, sum or each."""

from __future__ import annotations

from math import prod

import wootz
from wootz._tensor import Tensor

__all__ = ["binary_cross_entropy_with_logits", "check_reduction", "cross_entropy", "l1_loss", "mse_loss", "nll_loss"]


_REDUCTIONS = ("mean", "sum", "none")


def check_reduction(reduction: str) -> str:
    """The name of a reduction, checked; raises ValueError."""
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction is one of {', '.join(_REDUCTIONS)}, not {reduction!r}")
    return reduction


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if check_reduction(reduction) == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def _same_shape(input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        raise ValueError(f"input and target differ in shape: {tuple(input.shape)} and {tuple(target.shape)}")


def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """(input - target)^2, of equal shapes."""
    _same_shape(input, target)
    return _reduce((input - target).square(), reduction)


def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """|input - target|, of equal shapes."""
    _same_shape(input, target)
    return _reduce((input - target).abs(), reduction)


def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """-target log(sigmoid(x)) - (1 - target) log(1 - sigmoid(x)), of equal shapes, without overflow."""
    _same_shape(input, target)
    return _reduce(input.clamp(min=0) - input * target + (-input.abs()).exp().log1p(), reduction)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of logits [N, C] (or [C]) against class indices [N] (or a scalar).

    ``weight`` [C] weighs classes; a mean is over the weights of the labels that count. With smoothing s the target
    distribution is (1 - s) onehot + s / C (Szegedy et al. 2016). Raises ValueError for shapes that do not match.
    """
    check_reduction(reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is in [0, 1], not {label_smoothing}")
    logits, labels = _class_rows(input, target)
    if weight is not None:
        losses, weights = _weighted_rows(wootz.log_softmax(logits, -1), labels, weight, ignore_index, label_smoothing)
        return _finish(losses, weights.sum(), reduction, target)
    losses = wootz.cross_entropy_rows(logits, labels, ignore_index, label_smoothing)
    return _finish(losses, wootz.count_valid(labels, ignore_index), reduction, target)


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """Minus the log-probabilities [N, C] (or [C]) of class indices [N] (or a scalar)."""
    check_reduction(reduction)
    rows, labels = _class_rows(input, target)
    ones = wootz.ones((rows.shape[-1],), dtype=rows.dtype) if weight is None else weight
    losses, weights = _weighted_rows(rows, labels, ones, ignore_index, 0.0)
    return _finish(losses, weights.sum(), reduction, target)


def _class_rows(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of classes and their labels; the class dimension is the second, or the only one."""
    if input.dim() == 0 or tuple(target.shape) != (*input.shape[:1], *input.shape[2:])[: input.dim() - 1]:
        raise ValueError(f"logits of shape {tuple(input.shape)} do not fit labels of shape {tuple(target.shape)}")
    if input.dim() <= 2:
        return input.reshape((prod(input.shape[:-1]), input.shape[-1])), target.reshape((-1,))
    rows = input.transpose(1, -1) if input.dim() == 3 else input.permute((0, *range(2, input.dim()), 1))
    return rows.reshape((-1, input.shape[1])), target.reshape((-1,))


def _weighted_rows(
    log_p: Tensor, labels: Tensor, weight: Tensor, ignore_index: int, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Each row's loss, and the weight with which its label counts."""
    counts = labels != ignore_index
    safe = wootz.where(counts, labels, 0)
    weights = wootz.where(counts, weight[safe], 0.0)
    losses = -log_p.gather(1, safe.unsqueeze(1)).squeeze(1) * weights * (1 - smoothing)
    if smoothing:
        spread = (log_p * weight).sum(-1) * (smoothing / log_p.shape[-1])
        losses = losses - wootz.where(counts, spread, 0.0)
    return losses, weights


def _finish(losses: Tensor, count: Tensor, reduction: str, target: Tensor) -> Tensor:
    if reduction == "none":
        return losses.reshape(target.shape)
    return losses.sum() / count if reduction == "mean" else losses.sum()
