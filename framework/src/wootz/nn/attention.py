"""Multi-head attention (Vaswani et al. 2017), with PyTorch's parameter names."""

from __future__ import annotations

import math
from typing import Any

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.nn import functional as F
from wootz.nn import init
from wootz.nn.layers import Linear
from wootz.nn.module import Module
from wootz.nn.parameter import Parameter

__all__ = ["MultiheadAttention"]


def additive(mask: Tensor, like: Tensor) -> Tensor:
    """A mask to add to scores: a bool one is minus infinity where it is True."""
    if mask.dtype != wootz.bool:
        return mask.to(like.dtype)
    return wootz.zeros(mask.shape, dtype=like.dtype, device=like.device).masked_fill(mask, float("-inf"))


class MultiheadAttention(Module):
    """softmax(Q K^T / sqrt(head size)) V in ``num_heads`` parts of the features, then a projection.

    query [L, N, E], key [S, N, kdim], value [S, N, vdim], or batch first; or all without N. Returns the output
    [L, N, E] and the weights [N, L, S] (a mean over heads unless ``average_attn_weights`` is False), or None for them
    without ``need_weights``. Masks are True, or minus infinity, where a key is not to be looked at:
    ``key_padding_mask`` [N, S], ``attn_mask`` [L, S] or [N * num_heads, L, S]. ``add_bias_kv`` adds a learned key,
    ``add_zero_attn`` one of zeros.
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True, add_bias_kv: bool = False,
        add_zero_attn: bool = False, kdim: int | None = None, vdim: int | None = None, batch_first: bool = False,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ValueError(f"embed_dim is a multiple of num_heads, not {embed_dim} and {num_heads}")
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.kdim, self.vdim = embed_dim if kdim is None else kdim, embed_dim if vdim is None else vdim
        self.head_dim, self.add_zero_attn = embed_dim // num_heads, add_zero_attn

        def made(*size: int, wanted: bool = True) -> Parameter | None:
            return Parameter(wootz.empty(size, device=device, dtype=dtype)) if wanted else None

        joint = self.kdim == self.vdim == embed_dim
        self.register_parameter("in_proj_weight", made(3 * embed_dim, embed_dim, wanted=joint))
        for name, columns in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            self.register_parameter(f"{name}_proj_weight", made(embed_dim, columns, wanted=not joint))
        self.register_parameter("in_proj_bias", made(3 * embed_dim, wanted=bias))
        self.out_proj = Linear(embed_dim, embed_dim, bias, device, dtype)
        self.register_parameter("bias_k", made(1, 1, embed_dim, wanted=add_bias_kv))
        self.register_parameter("bias_v", made(1, 1, embed_dim, wanted=add_bias_kv))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new first values; biases start at zero."""
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if self._parameters[name] is not None:
                init.xavier_uniform_(self._parameters[name])  # type: ignore[arg-type]  # not None
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None,
        need_weights: bool = True, attn_mask: Tensor | None = None, average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        if is_causal and attn_mask is None:
            raise ValueError("is_causal says that attn_mask is causal: give that too, as PyTorch wants it")
        single = query.dim() == 2
        given = (query, key, value)
        q, k, v = (x.unsqueeze(0) if single else x if self.batch_first else x.transpose(0, 1) for x in given)
        if key is value is query:
            k = v = q  # so that one product projects them all
        self._check(q, k, v)
        if single and key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
        mask = self._mask(q, k, key_padding_mask, attn_mask)
        output, weights = self._attend(*self._project(q, k, v), mask, need_weights)
        output = output.squeeze(0) if single else output if self.batch_first else output.transpose(0, 1)
        if weights is None:
            return output, None
        weights = weights.mean(1) if average_attn_weights else weights
        return output, weights.squeeze(0) if single else weights

    def _check(self, q: Tensor, k: Tensor, v: Tensor) -> None:
        sizes = (self.embed_dim, self.kdim, self.vdim)
        if q.dim() != 3 or tuple(x.shape[-1] for x in (q, k, v)) != sizes or k.shape[:2] != v.shape[:2]:
            shapes = [tuple(x.shape) for x in (q, k, v)]
            raise ShapeError(f"query, key and value of {sizes} features and keys as many as values; not {shapes}")

    def _project(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, length, E] each, with the extra keys and values."""
        joint = self.in_proj_weight
        weights = joint.chunk(3) if joint is not None else (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        if joint is not None and q is k is v:
            q, k, v = F.linear(q, joint, self.in_proj_bias).chunk(3, -1)
        else:
            q, k, v = (F.linear(x, w, b) for x, w, b in zip((q, k, v), weights, biases, strict=True))
        if self.bias_k is not None:
            size = (k.shape[0], 1, self.embed_dim)
            k, v = wootz.cat([k, self.bias_k.expand(size)], 1), wootz.cat([v, self.bias_v.expand(size)], 1)
        if self.add_zero_attn:
            zero = wootz.zeros((k.shape[0], 1, self.embed_dim), dtype=k.dtype, device=k.device)
            k, v = wootz.cat([k, zero], 1), wootz.cat([v, zero], 1)
        return q, k, v

    def _mask(self, q: Tensor, k: Tensor, padding: Tensor | None, mask: Tensor | None) -> Tensor | None:
        """What is added to the scores [N, heads, L, S]; the extra keys can always be looked at."""
        count, length, size = q.shape[0], q.shape[1], k.shape[1]
        total: Tensor | None = None
        if mask is not None:
            known = {(length, size): (1, 1), (count * self.num_heads, length, size): (count, self.num_heads)}
            if tuple(mask.shape) not in known:
                raise ShapeError(f"attn_mask has one of the shapes {list(known)}, not {tuple(mask.shape)}")
            total = additive(mask, q).reshape((*known[tuple(mask.shape)], length, size))
        if padding is not None:
            if tuple(padding.shape) != (count, size):
                raise ShapeError(f"key_padding_mask has shape {(count, size)}, not {tuple(padding.shape)}")
            part = additive(padding, q).reshape((count, 1, 1, size))
            total = part if total is None else total + part
        extra = (self.bias_k is not None) + self.add_zero_attn
        if total is None or not extra:
            return total
        return wootz.cat([total, wootz.zeros((*total.shape[:-1], extra), dtype=total.dtype, device=total.device)], -1)

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        q, k, v = (x.reshape((*x.shape[:2], self.num_heads, self.head_dim)).transpose(1, 2) for x in (q, k, v))
        weights = None
        if need_weights:
            scores = (q * (1 / math.sqrt(self.head_dim))) @ k.transpose(-2, -1)
            weights = (scores if mask is None else scores + mask).softmax(-1)
            weights = F.dropout(weights, self.dropout, self.training)
            heads = weights @ v
        else:
            heads = F.scaled_dot_product_attention(q, k, v, mask, self.dropout if self.training else 0.0)
        joined = heads.transpose(1, 2).reshape((q.shape[0], q.shape[2], self.embed_dim))
        return self.out_proj(joined), weights
