"""Normalisation by the statistics of the input."""

from __future__ import annotations

from collections.abc import Sequence

import wootz
from wootz._tensor import Tensor

__all__ = ["layer_norm", "rms_norm"]


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
