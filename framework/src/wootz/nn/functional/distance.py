"""Distances between vectors, and losses that compare them or hold scores apart by a margin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import wootz
from wootz._tensor import Tensor
from wootz.nn.functional.activation import logsigmoid
from wootz.nn.functional.reduction import check_same_shape, reduce_loss
from wootz.ops.database import op

__all__ = [
    "cosine_embedding_loss", "cosine_similarity", "hinge_embedding_loss", "margin_ranking_loss",
    "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "normalize", "pairwise_distance",
    "pdist", "soft_margin_loss", "triplet_margin_loss", "triplet_margin_with_distance_loss",
]  # fmt: skip


@op("N(2, 3), N(2, 3)", "N(3), N(3), 0", autocast={"cuda": "wide"})
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (|x1| |x2|) along ``dim``, each norm at least ``eps``."""
    a, b = wootz.broadcast_tensors(x1, x2)
    lengths = [x.square().sum(dim).clamp(min=eps * eps).sqrt() for x in (a, b)]
    return (a * b).sum(dim) / (lengths[0] * lengths[1])


@op("N(2, 3), N(2, 3)", "N(2, 3), N(2, 3), 1.0, keepdim=True")
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of x1 - x2 + eps over the last dimension."""
    return wootz.norm(x1 - x2 + eps, p, -1, keepdim)


@op("N(4, 3)", "N(3, 2), 3.0", autocast={"cuda": "wide"})
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norms of the differences of all pairs of rows [N, D]: (0, 1), (0, 2), ..., (1, 2), ..."""
    if input.dim() != 2:
        raise ValueError(f"rows [N, D] are needed, not a shape of {tuple(input.shape)}")
    first, second = (wootz.from_numpy(index).to(input.device) for index in np.triu_indices(input.shape[0], 1))
    return wootz.norm(input[first] - input[second], p, -1)


@op("N(2, 3)", "N(2, 3), 1.0, 0")
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x over its p-norm along ``dim``, which is at least ``eps``."""
    if p == 2:  # the square root has no derivative at 0, the floor under it has
        return input / input.square().sum(dim, True).clamp(min=eps * eps).sqrt()
    return input / wootz.norm(input, p, dim, True).clamp(min=eps)


@op("N(2, 3), B(2, 3) * 2 - 1", autocast="wide")
def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """x where the target is 1, max(0, margin - x) where it is -1."""
    near = wootz.where(target != -1, input, 0.0)
    return reduce_loss(near + wootz.where(target != 1, (margin - input).clamp(min=0), 0.0), reduction)


@op("N(4), N(4), B(4) * 2 - 1", autocast="wide")
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """max(0, -target (input1 - input2) + margin): target 1 ranks the first higher, -1 the second."""
    return reduce_loss((margin - target * (input1 - input2)).clamp(min=0), reduction)


@op("N(4, 3), N(4, 3), B(4) * 2 - 1, 0.1", autocast="wide")
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """1 - cosine where the target is 1, max(0, cosine - margin) where it is -1, for rows [N, D] or one [D]."""
    if input1.dim() not in (1, 2) or input1.shape != input2.shape or target.shape != input1.shape[:-1]:
        shapes = [tuple(x.shape) for x in (input1, input2, target)]
        raise ValueError(f"rows [N, D], [N, D] and targets [N] are needed, or [D], [D] and []; not {shapes}")
    # PyTorch adds this to the squared lengths instead of a floor under the lengths.
    lengths = [x.square().sum(-1) + 1e-12 for x in (input1, input2)]
    cosine = (input1 * input2).sum(-1) / (lengths[0] * lengths[1]).sqrt()
    near = wootz.where(target == 1, 1 - cosine, 0.0)
    return reduce_loss(near + wootz.where(target == -1, (cosine - margin).clamp(min=0), 0.0), reduction)


@op("N(4, 3), N(4, 3), N(4, 3)", "N(4, 3), N(4, 3), N(4, 3), 2.0, swap=True", autocast="wide")
def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6,
    swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the p-distance (Balntas et al. 2016).

    ``swap`` takes d(positive, negative) where that is smaller.
    """

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )


@op("N(4, 3), N(4, 3), N(4, 3), margin=2.0")
def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None, margin: float = 1.0, swap: bool = False,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`triplet_margin_loss` with any distance."""
    if not margin > 0:
        raise ValueError(f"margin is over 0, not {margin}")
    distance = distance_function or pairwise_distance
    far = distance(anchor, negative)
    far = wootz.minimum(far, distance(positive, negative)) if swap else far
    return reduce_loss((distance(anchor, positive) - far + margin).clamp(min=0), reduction)


@op("N(2, 3), B(2, 3) * 2 - 1", autocast="wide")
def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """log(1 + exp(-target x)), for targets 1 and -1."""
    check_same_shape(input, target)
    return reduce_loss(-logsigmoid(target * input), reduction)


@op("N(2, 3), B(2, 3).double()")
def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """The mean over classes of each one's binary cross-entropy; targets 0 and 1 [*, C], ``weight`` [C]."""
    check_same_shape(input, target)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    return reduce_loss((loss if weight is None else loss * weight).mean(-1), reduction)


def _rows(input: Tensor, target: Tensor, labels: int) -> tuple[Tensor, Tensor]:
    """A batch of scores and its labels, of as many dimensions less."""
    if input.dim() not in (1, 2) or target.shape != input.shape[: input.dim() - 1 + labels]:
        raise ValueError(f"scores of shape {tuple(input.shape)} do not fit labels of shape {tuple(target.shape)}")
    return (input, target) if input.dim() == 2 else (input.unsqueeze(0), target.unsqueeze(0))


@op("N(4, 3), I(3, 4)", "N(4, 3), I(3, 4), 2", autocast="wide")
def multi_margin_loss(
    input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The mean over the other classes of max(0, margin - x[label] + x[class])^p, p 1 or 2; ``weight`` is by label."""
    if p not in (1, 2):
        raise ValueError(f"p is 1 or 2, not {p}")
    scores, labels = _rows(input, target, 0)
    column = labels.reshape((-1, 1))
    short = (margin - scores.gather(1, column) + scores).clamp(min=0)
    short = short * short if p == 2 else short
    short = short if weight is None else short * weight[labels].unsqueeze(1)
    other = wootz.arange(scores.shape[1], device=scores.device) != column
    loss = wootz.where(other, short, 0.0).sum(1) / scores.shape[1]
    return reduce_loss(loss if input.dim() == 2 else loss.squeeze(0), reduction)


@op("N(2, 4), wootz.tensor([[2, 0, -1, 1], [1, -1, 0, 0]])", autocast="wide")
def multilabel_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """The sum over labels i and other classes j of max(0, 1 - (x[i] - x[j])), over the number of classes.

    ``target`` has the input's shape: each row's labels, then -1 behind the last.
    """
    scores, labels = _rows(input, target, 1)
    counts = (labels < 0).cumsum(1) == 0
    safe = wootz.where(counts, labels, 0)
    is_label = wootz.zeros(scores.shape, device=scores.device).scatter_add(1, safe, counts.to(wootz.float32)) > 0
    gaps = (1 - scores.gather(1, safe).unsqueeze(2) + scores.unsqueeze(1)).clamp(min=0)
    matter = counts.unsqueeze(2) & is_label.logical_not().unsqueeze(1)
    loss = wootz.where(matter, gaps, 0.0).sum((1, 2)) / scores.shape[1]
    return reduce_loss(loss if input.dim() == 2 else loss.squeeze(0), reduction)
