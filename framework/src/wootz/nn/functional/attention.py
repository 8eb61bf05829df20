"""Scaled dot-product attention (Vaswani et al. 2017)."""

from __future__ import annotations

import math

import numpy as np

import wootz
from wootz import Generator, _core
from wootz._tensor import Tensor
from wootz.errors import DTypeError, ShapeError
from wootz.nn.functional.dropout import dropout
from wootz.ops.database import op

__all__ = ["scaled_dot_product_attention"]


def _check(query: Tensor, key: Tensor, value: Tensor) -> None:
    shapes = ", ".join(str(tuple(t.shape)) for t in (query, key, value))
    if min(t.dim() for t in (query, key, value)) < 2:
        raise ShapeError(f"attention expects [..., length, width], got {shapes}")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(
            f"keys are as wide as queries and as many as values; query, key and value have shapes {shapes}"
        )
    if not query.dtype == key.dtype == value.dtype:
        raise DTypeError(
            f"expected query, key and value of one dtype, got {query.dtype}, {key.dtype} and {value.dtype}"
        )


def _shared_heads(query: Tensor, t: Tensor) -> Tensor:
    """Each head of keys (values) repeated for the heads of queries that share it (Ainslie et al. 2023)."""
    if min(query.dim(), t.dim()) < 3 or t.shape[-3] == 0 or query.shape[-3] % t.shape[-3]:
        raise ShapeError(
            f"enable_gqa: the heads of {tuple(t.shape)} must divide those of the query {tuple(query.shape)}"
        )
    times = query.shape[-3] // t.shape[-3]
    lead, (heads, *rest) = t.shape[:-3], t.shape[-3:]
    return t.unsqueeze(-3).expand((*lead, heads, times, *rest)).reshape((*lead, heads * times, *rest))


def _joint_batch(*tensors: Tensor) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(*(tuple(t.shape[:-2]) for t in tensors))
    except ValueError:
        raise ShapeError(f"the batches of shapes {[tuple(t.shape) for t in tensors]} do not broadcast") from None


def _four(t: Tensor, lead: tuple[int, ...]) -> Tensor:
    """(batch, heads, length, width) of a tensor whose leading dimensions broadcast to ``lead``."""
    t = t.expand((*lead, *t.shape[-2:]))
    if len(lead) < 2:
        return t.reshape((*(1,) * (2 - len(lead)), *t.shape))
    return t if len(lead) == 2 else t.reshape((math.prod(lead[:-1]), lead[-1], *t.shape[-2:]))


def _by_probabilities(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout_p: float, causal: bool, scale: float,
    generator: Generator | None,
) -> Tensor:  # fmt: skip
    """With the whole matrix of probabilities at hand: where some of them drop out, or the mask is learned."""
    scores = (query * scale) @ key.transpose(-1, -2)
    if causal:
        rows, columns = (wootz.arange(n, device=query.device) for n in (query.shape[-2], key.shape[-2]))
        mask = columns <= rows.unsqueeze(-1)
    if mask is not None:
        scores = scores + mask if mask.dtype.is_floating_point else wootz.where(mask, scores, -math.inf)
    weights = scores.softmax(-1)
    if mask is not None:  # a query that may look at nothing gets nothing, not NaN
        weights = wootz.where((scores == -math.inf).all(-1, keepdim=True), 0.0, weights)
    return dropout(weights, dropout_p, True, generator=generator) @ value


@op(
    "N(1, 2, 3, 4), N(1, 2, 5, 4), N(1, 2, 5, 3)", "N(2, 3, 2), N(2, 3, 2), N(2, 3, 2), is_causal=True",
    "N(1, 2, 3, 2), N(1, 2, 4, 2), N(1, 2, 4, 2), C(3, 4), scale=0.5", tolerance=1e-11, autocast="low",
)  # fmt: skip
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False, generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """softmax(scale query key^T + mask) value, for [..., L, E], [..., S, E] and [..., S, V]: [..., L, V].

    A bool ``attn_mask`` tells which keys count, a float one is added; ``is_causal`` lets query i look at keys up to i.
    ``scale`` is 1 / sqrt(E) unless given. Memory grows with the lengths, not with their product, save with dropout or a
    mask that requires grad. Raises ShapeError and DTypeError for what does not fit.
    """
    _check(query, key, value)
    if is_causal and attn_mask is not None:
        raise ValueError("is_causal and attn_mask exclude each other: put the triangle into the mask")
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"dropout_p is a probability, not {dropout_p}")
    if enable_gqa:
        key, value = _shared_heads(query, key), _shared_heads(query, value)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if dropout_p > 0 or (attn_mask is not None and attn_mask.requires_grad):
        return _by_probabilities(query, key, value, attn_mask, dropout_p, is_causal, factor, generator)
    lead = _joint_batch(query, key, value)
    mask = attn_mask
    if mask is not None:
        mask = mask.to(query.dtype) if mask.dtype.is_floating_point else mask
        mask = _four(mask.expand((*mask.shape[:-2], query.shape[-2], key.shape[-2])), lead)
    q, k, v = (_four(t, lead) for t in (query, key, value))
    out: Tensor = _core.attention(q, k, v, mask, factor, is_causal)[0]
    return out.reshape((*lead, query.shape[-2], value.shape[-1]))
