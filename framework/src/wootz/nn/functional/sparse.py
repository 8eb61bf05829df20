"""Rows and classes by index."""

from __future__ import annotations

import wootz
from wootz._tensor import Tensor

__all__ = ["embedding", "one_hot"]


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of ``weight`` by index; those of ``padding_idx`` get no gradient."""
    rows = wootz.embedding(weight, input)
    if padding_idx is None:
        return rows
    padding = (input == padding_idx % weight.shape[0]).unsqueeze(-1)
    return wootz.where(padding, rows.detach(), rows)


def one_hot(tensor: Tensor, num_classes: int) -> Tensor:
    """1 at each class index of an int tensor [*], in a new last dimension of ``num_classes``."""
    classes = wootz.arange(num_classes, dtype=tensor.dtype)
    return (tensor.unsqueeze(-1) == classes).to(wootz.int64)
