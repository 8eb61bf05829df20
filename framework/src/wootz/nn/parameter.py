"""Tensors that belong to a module: trained, or only kept; and those whose shape the first input tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import wootz
from wootz._override import disabled_wootz_function
from wootz._tensor import Tensor

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]


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

    __wootz_function__ = classmethod(disabled_wootz_function)  # what is computed from buffers is no buffer
    persistent: bool

    def __new__(cls, data: Tensor, *, persistent: bool = True) -> Buffer:
        self = cast(Buffer, super().__new__(cls, data))
        self.persistent = persistent
        return self


class _Uninitialized:
    """No elements yet: a device and a dtype that they will have."""

    __class__: Any

    def materialize(self, shape: Sequence[int], device: Any = None, dtype: Any = None) -> None:
        """Gives it memory of that shape, with arbitrary values; from then on it is like any other."""
        held = cast(Tensor, self)
        device, dtype = device or held.device, dtype or held.dtype
        held.data = wootz.empty(tuple(shape), device=device, dtype=dtype)
        self.__class__ = Parameter if isinstance(self, Parameter) else Buffer

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(_Uninitialized, Parameter):
    """A `Parameter` whose shape is not known yet; see `LazyModuleMixin`."""

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> UninitializedParameter:
        data = wootz.empty((0,), device=device, dtype=dtype)
        return cast(UninitializedParameter, Parameter.__new__(cls, data, requires_grad))


class UninitializedBuffer(_Uninitialized, Buffer):
    """A `Buffer` whose shape is not known yet; see `LazyModuleMixin`."""

    def __new__(cls, device: Any = None, dtype: Any = None) -> UninitializedBuffer:
        return cast(UninitializedBuffer, Buffer.__new__(cls, wootz.empty((0,), device=device, dtype=dtype)))


def is_lazy(tensor: object) -> bool:
    """Whether a parameter or buffer is still without a shape."""
    return isinstance(tensor, _Uninitialized)
