"""Questions about tensors."""

from __future__ import annotations

from typing import Any

from wootz._core import Tensor
from wootz.errors import ShapeError

__all__ = ["is_complex", "is_floating_point", "is_nonzero", "is_tensor", "numel"]


def is_tensor(obj: Any) -> bool:
    """Whether this is a tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a real one with fractions."""
    return input.dtype.is_floating_point


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is a complex one."""
    return input.dtype.is_complex


def numel(input: Tensor) -> int:
    """How many elements there are."""
    return input.numel()


def is_nonzero(self: Tensor) -> bool:
    """Whether the only element is not 0. Raises `ShapeError` for any other number of elements."""
    if self.numel() != 1:
        raise ShapeError(f"Boolean value of Tensor with {self.numel()} elements is ambiguous: expected one element")
    return bool(self.item())
