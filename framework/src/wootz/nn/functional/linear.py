"""The affine map."""

from __future__ import annotations

import wootz
from wootz._tensor import Tensor

__all__ = ["linear"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input weight^T + bias over the last dimension; weight is [out, in]."""
    return wootz.linear(input, weight, bias)
