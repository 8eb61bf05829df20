"""Views taken in place: a tensor that changes its own shape and strides, and keeps its memory and its history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.ops.composite import t

__all__ = [
    "as_strided_",
    "squeeze_",
    "swapaxes_",
    "swapdims_",
    "t_",
    "transpose_",
    "unsqueeze_",
]


def as_strided_(self: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """Gives self any geometry that stays inside its memory."""
    return _core.become(self, self.as_strided(size, stride, storage_offset), "as_strided_")


def squeeze_(self: Tensor, dim: Any = None) -> Tensor:
    """Takes dimensions of extent 1 out of self (among ``dim`` only, where given)."""
    return _core.become(self, self.squeeze(dim), "squeeze_")


def t_(self: Tensor) -> Tensor:
    """Transposes self, a matrix; vectors and scalars stay as they are."""
    return _core.become(self, t(self), "t_")


def transpose_(self: Tensor, dim0: int, dim1: int) -> Tensor:
    """Exchanges two dimensions of self."""
    return _core.become(self, self.transpose(dim0, dim1), "transpose_")


swapaxes_ = swapdims_ = transpose_


def unsqueeze_(self: Tensor, dim: int) -> Tensor:
    """Puts a dimension of extent 1 into self at ``dim``."""
    return _core.become(self, self.unsqueeze(dim), "unsqueeze_")
