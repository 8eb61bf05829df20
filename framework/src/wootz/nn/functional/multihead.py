"""Multi-head attention with its projections (Vaswani et al. 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn.functional.attention import scaled_dot_product_attention
from wootz.nn.functional.dropout import dropout
from wootz.nn.functional.linear import linear

__all__ = ["multi_head_attention_forward"]


def additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask to add to scores: a bool one is minus infinity where it is True."""
    if mask.dtype != wootz.bool:
        return mask.to(like.dtype)
    return wootz.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(mask, float("-inf"))


@dataclass(frozen=True)
class _Projections:
    """What queries, keys and values are made with: one joint weight or three, and what is put behind the keys."""

    joint: Tensor | None
    separate: tuple[Tensor | None, Tensor | None, Tensor | None]
    bias: Tensor | None
    bias_k: Tensor | None
    bias_v: Tensor | None
    zero: bool

    def __call__(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, length, E] each."""
        biases = (None,) * 3 if self.bias is None else self.bias.chunk(3)
        weights = self.separate if self.joint is None else self.joint.chunk(3)
        if self.joint is not None and q is k is v:
            q, k, v = linear(q, self.joint, self.bias).chunk(3, -1)
        else:
            q, k, v = (linear(x, w, b) for x, w, b in zip((q, k, v), weights, biases, strict=True))  # type: ignore[arg-type]
        size = (k.shape[0], 1, k.shape[2])
        if self.bias_k is not None and self.bias_v is not None:
            k, v = _behind(k, self.bias_k.expand(size)), _behind(v, self.bias_v.expand(size))
        if self.zero:
            k, v = (_behind(x, wootz.zeros(size, dtype=x.dtype, device=x.device)) for x in (k, v))
        return q, k, v

    @property
    def extra(self) -> int:
        """How many keys there are beside those given; all can be looked at."""
        return (self.bias_k is not None) + self.zero


def _behind(x: Tensor, more: Tensor) -> Tensor:
    return wootz.cat([x, more.to(x.dtype)], 1)


def _joint_mask(
    q: Tensor, size: int, heads: int, padding: Tensor | None, mask: Tensor | None, extra: int
) -> Tensor | None:
    """What is added to the scores [N, heads, L, S]."""
    count, length = q.shape[:2]
    total: Tensor | None = None
    if mask is not None:
        known = {(length, size): (1, 1), (count * heads, length, size): (count, heads)}
        if tuple(mask.shape) not in known:
            raise ShapeError(f"attn_mask has one of the shapes {list(known)}, not {tuple(mask.shape)}")
        total = additive(mask, q).reshape((*known[tuple(mask.shape)], length, size))
    if padding is not None:
        if tuple(padding.shape) != (count, size):
            raise ShapeError(f"key_padding_mask has shape {(count, size)}, not {tuple(padding.shape)}")
        part = additive(padding, q).reshape((count, 1, 1, size))
        total = part if total is None else total + part
    if total is None or not extra:
        return total
    return wootz.cat([total, wootz.zeros((*total.shape[:-1], extra), dtype=total.dtype, device=total.device)], -1)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None, dropout_p: float, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    width = q.shape[2] // heads
    q, k, v = (x.reshape((*x.shape[:2], heads, width)).transpose(1, 2) for x in (q, k, v))
    if not need_weights:
        return _together(scaled_dot_product_attention(q, k, v, mask, dropout_p)), None
    scores = (q * (1 / math.sqrt(width))) @ k.transpose(-2, -1)
    weights = dropout((scores if mask is None else scores + mask).softmax(-1), dropout_p, dropout_p > 0)
    return _together(weights @ v), weights


def _together(x: Tensor) -> Tensor:
    return x.transpose(1, 2).reshape((x.shape[0], x.shape[2], x.shape[1] * x.shape[3]))


def multi_head_attention_forward(
    query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int, in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None, bias_k: Tensor | None, bias_v: Tensor | None, add_zero_attn: bool, dropout_p: float,
    out_proj_weight: Tensor, out_proj_bias: Tensor | None, training: bool = True,
    key_padding_mask: Tensor | None = None, need_weights: bool = True, attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False, q_proj_weight: Tensor | None = None, k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None, average_attn_weights: bool = True, is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """`nn.MultiheadAttention` as a function of its parameters: query [L, N, E], key and value [S, N, *], or without N.

    Returns the output [L, N, E] and the weights [N, L, S], by head [N, heads, L, S] unless averaged, or None for them.
    Masks are True, or minus infinity, where a key is not to be looked at. Raises ShapeError for what does not fit.
    """
    if is_causal and attn_mask is None:
        raise ValueError("is_causal says that attn_mask is causal: give that too, as PyTorch wants it")
    if embed_dim_to_check % num_heads:
        raise ValueError(f"embed_dim is a multiple of num_heads, not {embed_dim_to_check} and {num_heads}")
    single, same = query.dim() == 2, key is value is query
    q, k, v = (x.unsqueeze(0) if single else x.transpose(0, 1) for x in (query, key, value))
    if same:
        k = v = q  # so that one product projects them all
    separate = (q_proj_weight, k_proj_weight, v_proj_weight)
    projections = _Projections(
        None if use_separate_proj_weight else in_proj_weight, separate, in_proj_bias, bias_k, bias_v, add_zero_attn
    )
    _check(q, k, v, embed_dim_to_check, projections)
    padding = key_padding_mask.unsqueeze(0) if single and key_padding_mask is not None else key_padding_mask
    mask = _joint_mask(q, k.shape[1], num_heads, padding, attn_mask, projections.extra)
    out, weights = _attend(*projections(q, k, v), num_heads, mask, dropout_p if training else 0.0, need_weights)
    out = linear(out, out_proj_weight, out_proj_bias)
    out = out.squeeze(0) if single else out.transpose(0, 1)
    if weights is None:
        return out, None
    weights = weights.mean(1) if average_attn_weights else weights
    return out, weights.squeeze(0) if single else weights


def _check(q: Tensor, k: Tensor, v: Tensor, width: int, projections: _Projections) -> None:
    _, by_key, by_value = projections.separate
    sizes = (width, *(width if w is None or projections.joint is not None else w.shape[1] for w in (by_key, by_value)))
    if q.dim() != 3 or tuple(x.shape[-1] for x in (q, k, v)) != sizes or k.shape[:2] != v.shape[:2]:
        shapes = [tuple(x.shape) for x in (q, k, v)]
        raise ShapeError(f"query, key and value of {sizes} features and keys as many as values; not {shapes}")
