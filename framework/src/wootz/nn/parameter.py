"""Tensors that belong to a module: trained, or only kept."""

from __future__ import annotations

from typing import cast

from wootz._override import disabled_wootz_function
from wootz._tensor import Tensor

__all__ = ["Buffer", "Parameter"]


class Parameter(Tensor):
    """A leaf tensor that registers itself when it is assigned to a module's attribute; shares ``data``'s memory."""

    __wootz_function__ = classmethod(disabled_wootz_function)  # what is computed from parameters is no parameter

    def __new__(cls, data: Tensor, requires_grad: bool = True) -> Parameter:
        self = cast(Parameter, super().__new__(cls, data))
        self.requires_grad_(requires_grad)
        return self

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that becomes a buffer when it is assigned to a module's attribute; shares ``data``'s memory."""

    persistent: bool

    def __new__(cls, data: Tensor, *, persistent: bool = True) -> Buffer:
        self = cast(Buffer, super().__new__(cls, data))
        self.persistent = persistent
        return self
