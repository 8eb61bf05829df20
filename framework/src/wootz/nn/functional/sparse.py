"""Rows and classes by index."""

from __future__ import annotations

import wootz
from wootz._tensor import Tensor
from wootz.errors import DTypeError

__all__ = ["embedding", "one_hot"]


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of ``weight`` by index; those of ``padding_idx`` get no gradient."""
    rows = wootz.embedding(weight, input)
    if padding_idx is None:
        return rows
    padding = (input == padding_idx % weight.shape[0]).unsqueeze(-1)
    return wootz.where(padding, rows.detach(), rows)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at each class index of an int tensor [*], in a new last dimension of ``num_classes`` (-1: as needed)."""
    if tensor.dtype.is_floating_point:
        raise DTypeError(f"one_hot expects class indices of an integer dtype, got {tensor.dtype}")
    if tensor.numel():
        low, high = int(tensor.min().item()), int(tensor.max().item())
        if low < 0 or 0 <= num_classes <= high:
            raise ValueError(f"class values lie in [0, {max(num_classes, 1)}), found {low if low < 0 else high}")
        num_classes = high + 1 if num_classes == -1 else num_classes
    if num_classes <= 0:
        raise ValueError(f"num_classes must be given and positive for an empty tensor, got {num_classes}")
    classes = wootz.arange(num_classes, dtype=tensor.dtype, device=tensor.device)
    return (tensor.unsqueeze(-1) == classes).to(wootz.int64)
