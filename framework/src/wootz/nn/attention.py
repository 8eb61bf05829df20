"""Multi-head attention (Vaswani et al. 2017), with PyTorch's parameter names."""

from __future__ import annotations

from typing import Any

import wootz
from wootz._tensor import Tensor
from wootz.nn import functional as F
from wootz.nn import init
from wootz.nn.layers import Linear
from wootz.nn.module import Module
from wootz.nn.parameter import Parameter

__all__ = ["MultiheadAttention"]


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
        turned = self.batch_first and query.dim() == 3
        if turned:
            query, key, value = _turned(query, key, value)
        output, weights = F.multi_head_attention_forward(
            query, key, value, self.embed_dim, self.num_heads, self.in_proj_weight, self.in_proj_bias, self.bias_k,
            self.bias_v, self.add_zero_attn, self.dropout, self.out_proj.weight, self.out_proj.bias, self.training,
            key_padding_mask, need_weights, attn_mask, self.in_proj_weight is None, self.q_proj_weight,
            self.k_proj_weight, self.v_proj_weight, average_attn_weights, is_causal,
        )  # fmt: skip
        return output.transpose(0, 1) if turned else output, weights


def _turned(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sequences first; what is one tensor stays one, which is projected at once."""
    made: dict[int, Tensor] = {}
    q, k, v = (made.setdefault(id(x), x.transpose(0, 1)) for x in (query, key, value))
    return q, k, v
