"""Scaled dot-product attention (Vaswani et al. 2017)."""

from __future__ import annotations

import math

import numpy as np

import wootz
from wootz import Generator, _core
from wootz._tensor import Tensor
from wootz.errors import DTypeError, ShapeError
from wootz.nn.functional.dropout import dropout, signed_state
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


def _shared_heads(query: Tensor, key: Tensor, value: Tensor) -> int:
    """How many heads of queries share one of keys and values (Ainslie et al. 2023)."""
    shapes = [tuple(t.shape) for t in (query, key, value)]
    heads = [shape[-3] if len(shape) > 2 else 0 for shape in shapes]
    if 0 in heads or heads[1] != heads[2] or heads[0] % heads[1]:
        raise ShapeError(f"enable_gqa: keys and values need as many heads, dividing those of queries, got {shapes}")
    return int(heads[0] // heads[1])


def _by_group(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Heads as (shared, sharing), so that keys and values broadcast and are not repeated."""
    times, shared = _shared_heads(query, key, value), key.shape[-3]
    if mask is not None and mask.dim() > 2:
        mask = mask.unflatten(-3, (shared, times)) if mask.shape[-3] > 1 else mask.unsqueeze(-3)
    return query.unflatten(-3, (shared, times)), key.unsqueeze(-3), value.unsqueeze(-3), mask


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
    """With the whole matrix of probabilities at hand: where the mask is learned, or vmap says how draws differ."""
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
    "N(1, 2, 3, 2), N(1, 2, 4, 2), N(1, 2, 4, 2), C(3, 4), scale=0.5",
    "N(1, 4, 3, 2), N(1, 2, 4, 2), N(1, 2, 4, 2), enable_gqa=True", tolerance=1e-11, autocast="low",
)  # fmt: skip
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
    is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False, generator: Generator | None = None,
) -> Tensor:  # fmt: skip
    """softmax(scale query key^T + mask) value, for [..., L, E], [..., S, E] and [..., S, V]: [..., L, V].

    A bool ``attn_mask`` tells which keys count, a float one is added; ``is_causal`` lets query i look at keys up to i.
    ``scale`` is 1 / sqrt(E) unless given. With ``enable_gqa`` heads of queries, dimension -3, share those of keys and
    values. Memory grows with the lengths, not with their product, save with a mask that requires grad; dropout draws
    its numbers again for the gradient. Raises ShapeError and DTypeError for what does not fit.
    """
    _check(query, key, value)
    if is_causal and attn_mask is not None:
        raise ValueError("is_causal and attn_mask exclude each other: put the triangle into the mask")
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"dropout_p is a probability, not {dropout_p}")
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if enable_gqa:
        query, key, value, attn_mask = _by_group(query, key, value, attn_mask)
    out = _attention(query, key, value, attn_mask, dropout_p, is_causal, factor, generator)
    return out.flatten(-4, -3) if enable_gqa else out


def _attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout_p: float, causal: bool, scale: float,
    generator: Generator | None,
) -> Tensor:  # fmt: skip
    if (mask is not None and mask.requires_grad) or (dropout_p and _core.vmap_depth()):
        return _by_probabilities(query, key, value, mask, dropout_p, causal, scale, generator)
    lead = _joint_batch(query, key, value)
    if mask is not None:
        mask = mask.to(query.dtype) if mask.dtype.is_floating_point else mask
        mask = _four(mask.expand((*mask.shape[:-2], query.shape[-2], key.shape[-2])), lead)
    q, k, v = (_four(t, lead) for t in (query, key, value))
    state = signed_state(generator) if dropout_p else (0, 0)
    out: Tensor = _core.attention(q, k, v, mask, scale, causal, dropout_p, *state)[0]
    return out.reshape((*lead, query.shape[-2], value.shape[-1]))
