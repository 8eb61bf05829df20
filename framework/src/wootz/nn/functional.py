"""The functions behind the layers: no state, PyTorch's names and argument order."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import wootz
from wootz._tensor import Tensor

__all__ = [
    "binary_cross_entropy_with_logits", "check_reduction", "cross_entropy", "dropout", "elu", "embedding", "gelu",
    "l1_loss", "layer_norm", "leaky_relu", "linear", "log_softmax", "mse_loss", "nll_loss", "one_hot", "relu",
    "rms_norm", "sigmoid", "silu", "softmax", "softplus", "tanh",
]  # fmt: skip

_REDUCTIONS = ("mean", "sum", "none")


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input weight^T + bias over the last dimension; weight is [out, in]."""
    return wootz.linear(input, weight, bias)


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of ``weight`` by index; those of ``padding_idx`` get no gradient."""
    rows = wootz.embedding(weight, input)
    if padding_idx is None:
        return rows
    padding = (input == padding_idx % weight.shape[0]).unsqueeze(-1)
    return wootz.where(padding, rows.detach(), rows)


# Activations


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return input.relu_() if inplace else wootz.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where positive, else ``negative_slope`` x."""
    return wootz.leaky_relu(input, negative_slope)


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """x where positive, else alpha (exp(x) - 1)."""
    return wootz.elu(input, alpha)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution's cumulative at x, or the tanh formula for it (Hendrycks & Gimpel 2016)."""
    return wootz.gelu(input, approximate)


def silu(input: Tensor) -> Tensor:
    """x sigmoid(x)."""
    return wootz.silu(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return wootz.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """tanh(x)."""
    return wootz.tanh(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta, and x itself where beta x is over ``threshold``."""
    return wootz.softplus(input, beta, threshold)


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along ``dim``."""
    return wootz.softmax(input, dim, dtype)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """log(softmax(x)) along ``dim``, without overflow."""
    return wootz.log_softmax(input, dim, dtype)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zeroes elements with probability ``p`` and scales the others by 1 / (1 - p)."""
    if not 0 <= p <= 1:
        raise ValueError(f"p is a probability, not {p}")
    if not training or p == 0:
        return input
    mask = wootz.bernoulli(1 - p, input.shape).to(input.dtype) * (1 / (1 - p) if p < 1 else 0.0)
    return input.mul_(mask) if inplace else input * mask


# Norms


def _normalised_dims(input: Tensor, normalized_shape: Sequence[int]) -> list[int]:
    count = len(normalized_shape)
    if count == 0 or tuple(input.shape[-count:]) != tuple(normalized_shape):
        raise ValueError(f"an input of shape {tuple(input.shape)} does not end in {tuple(normalized_shape)}")
    return list(range(input.dim() - count, input.dim()))


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions (Ba et al. 2016)."""
    dims = _normalised_dims(input, normalized_shape)
    centred = input - input.mean(dims, keepdim=True)
    out = centred * (centred * centred).mean(dims, keepdim=True).add(eps).rsqrt()
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last dimensions (Zhang & Sennrich 2019)."""
    dims = _normalised_dims(input, normalized_shape)
    floor = wootz.finfo(input.dtype).eps if eps is None else eps
    out = input * (input * input).mean(dims, keepdim=True).add(floor).rsqrt()
    return out if weight is None else out * weight


# Losses


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


def one_hot(tensor: Tensor, num_classes: int) -> Tensor:
    """1 at each class index of an int tensor [*], in a new last dimension of ``num_classes``."""
    classes = wootz.arange(num_classes, dtype=tensor.dtype)
    return (tensor.unsqueeze(-1) == classes).to(wootz.int64)


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
        losses, weights = _weighted_rows(log_softmax(logits, -1), labels, weight, ignore_index, label_smoothing)
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
