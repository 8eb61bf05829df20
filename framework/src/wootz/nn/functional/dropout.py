"""Elements at random set to zero."""

from __future__ import annotations

import wootz
from wootz._tensor import Tensor

__all__ = ["dropout"]


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, zeroes elements with probability ``p`` and scales the others by 1 / (1 - p)."""
    if not 0 <= p <= 1:
        raise ValueError(f"p is a probability, not {p}")
    if not training or p == 0:
        return input
    mask = wootz.bernoulli(1 - p, input.shape).to(input.dtype) * (1 / (1 - p) if p < 1 else 0.0)
    return input.mul_(mask) if inplace else input * mask
