"""Losses of scores against classes."""

from __future__ import annotations

from math import prod

import wootz
from wootz._tensor import Tensor
from wootz.nn.functional.activation import logsigmoid
from wootz.nn.functional.reduction import check_reduction, check_same_shape, reduce_loss
from wootz.ops.database import op

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "linear_cross_entropy", "nll_loss",
]  # fmt: skip


@op("P(2, 3) / 3, P(2, 3) / 2, reduction='sum'", "P(2, 3) / 3, C(2, 3).sigmoid(), P(3).detach()", autocast="wide")
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """-target log(x) - (1 - target) log(1 - x) for probabilities x, logarithms at least -100; of equal shapes."""
    check_same_shape(input, target)
    low, high = input.detach().amin() if input.numel() else 0.0, input.detach().amax() if input.numel() else 0.0
    if not (low >= 0 and high <= 1):
        raise ValueError("input is probabilities, in [0, 1]: for scores use binary_cross_entropy_with_logits")
    loss = -target * input.log().clamp(min=-100) - (1 - target) * (1 - input).log().clamp(min=-100)
    return reduce_loss(loss if weight is None else loss * weight, reduction)


@op("N(2, 3), C(2, 3).sigmoid()", "N(2, 3), C(2, 3).sigmoid(), pos_weight=P(3).detach()", autocast="wide")
def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """-target log(sigmoid(x)) - (1 - target) log(1 - sigmoid(x)), of equal shapes, without overflow.

    ``weight`` weighs elements, ``pos_weight`` the first term; both broadcast.
    """
    check_same_shape(input, target)
    if pos_weight is None:
        loss = input.clamp(min=0) - input * target + (-input.abs()).exp().log1p()
    else:
        loss = (1 - target) * input - (1 + (pos_weight - 1) * target) * logsigmoid(input)
    return reduce_loss(loss if weight is None else loss * weight, reduction)


@op(
    "N(4, 3), I(3, 4)", "N(2, 3, 2), I(3, 2, 2), P(3).detach(), label_smoothing=0.1",
    "N(2, 3), C(2, 3).softmax(-1), reduction='sum'", autocast="wide",
)  # fmt: skip
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of logits [N, C, *] (or [C]) against class indices [N, *] (or a scalar), or against probabilities.

    ``weight`` [C] weighs classes; a mean is over the weights of the labels that count, of probabilities over N. With
    smoothing s the target distribution is (1 - s) onehot + s / C (Szegedy et al. 2016). Raises ValueError for shapes
    that do not match.
    """
    check_reduction(reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing is in [0, 1], not {label_smoothing}")
    if target.shape == input.shape and target.dtype.is_floating_point:
        return _against_probabilities(input, target, weight, reduction, label_smoothing)
    logits, labels = _class_rows(input, target)
    if weight is not None:
        losses, weights = _weighted_rows(wootz.log_softmax(logits, -1), labels, weight, ignore_index, label_smoothing)
        return _finish(losses, weights.sum(), reduction, target)
    losses = wootz.cross_entropy_rows(logits, labels, ignore_index, label_smoothing)
    return _finish(losses, wootz.count_valid(labels, ignore_index), reduction, target)


@op("N(4, 3), N(5, 3), I(5, 4), linear_bias=N(5)", "N(4, 3), N(5, 2, 3), I(5, 4, 2), label_smoothing=0.1",
    "N(3), N(5, 3), I(5)", tolerance=1e-12)  # fmt: skip
def linear_cross_entropy(
    input: Tensor, linear_weight: Tensor, target: Tensor, *, linear_bias: Tensor | None = None,
    weight: Tensor | None = None, reduction: str = "mean", ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """`cross_entropy` of ``linear(input, linear_weight, linear_bias)``: what ends a model of words.

    input [N, I] (or [I]), linear_weight [C, I], or [C, *, I] for logits [N, C, *]; linear_bias [C, *].
    """
    logits = wootz.linear(
        input, linear_weight.reshape((-1, linear_weight.shape[-1])),
        None if linear_bias is None else linear_bias.reshape((-1,)),
    )  # fmt: skip
    logits = logits.reshape((*input.shape[:-1], *linear_weight.shape[:-1]))
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy(logits, target, weight, ignored, reduction, label_smoothing)


def _against_probabilities(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, smoothing: float
) -> Tensor:
    dim = min(1, input.dim() - 1)
    if smoothing:
        target = target * (1 - smoothing) + smoothing / input.shape[dim]
    log_p = wootz.log_softmax(input, dim)
    if weight is not None:
        log_p = log_p * weight.reshape((-1, *(1,) * max(0, input.dim() - 2)))
    loss = -(log_p * target).sum(dim)
    return loss.sum() / max(1, loss.numel()) if reduction == "mean" else reduce_loss(loss, reduction)


@op("N(4, 3), I(3, 4)", "N(2, 3, 2), I(3, 2, 2), P(3).detach(), ignore_index=1, reduction='none'", autocast="wide")
def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    """Minus the log-probabilities [N, C] (or [C]) of class indices [N] (or a scalar)."""
    check_reduction(reduction)
    rows, labels = _class_rows(input, target)
    ones = wootz.ones((rows.shape[-1],), dtype=rows.dtype, device=rows.device) if weight is None else weight
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
    # The sum of many 16-bit losses may be beyond their type, and their mean not.
    total = losses.sum(dtype=wootz.float32 if losses.itemsize == 2 else None)
    return (total / count if reduction == "mean" else total).to(losses.dtype)
