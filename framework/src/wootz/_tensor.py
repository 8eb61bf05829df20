"""Tensor: the core's type, with the methods that are written in Python joined to it."""

from __future__ import annotations

import builtins
import weakref
from collections.abc import Callable, Iterator
from copy import deepcopy
from inspect import unwrap
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from wootz import _conversion, _core, _interop, _override, ops
from wootz._conversion import caster
from wootz._core import Tensor, dtype
from wootz._repr import format_tensor
from wootz.backend import create
from wootz.dtypes import (
    bfloat16,
    can_cast,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)  # fmt: skip
from wootz.errors import DTypeError, ShapeError
from wootz.ops import complex_numbers, composite, elementwise, memory, queries, random, shaping, special
from wootz.ops.database import ROWS

__all__ = ["Tensor"]


def _backward(
    self: Tensor, gradient: Tensor | None = None, retain_graph: bool | None = None, create_graph: bool = False,
    inputs: Any = None,
) -> None:  # fmt: skip
    """Adds self's gradient to ``.grad`` of the leaves it was made from (of ``inputs`` only, where given).

    ``gradient`` is the gradient with respect to self, needed unless self has one element. Raises `GradientError`.
    """
    if inputs is not None:
        inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    retain = create_graph if retain_graph is None else retain_graph
    _core.run_backward([self], None if gradient is None else [gradient], inputs, retain, create_graph)


class _Handle:
    """Takes a hook away again."""

    def __init__(self, tensor: Tensor, key: int) -> None:
        self._tensor, self._key = tensor, key

    def remove(self) -> None:
        """The hook is not called any more."""
        _core.remove_hook(self._tensor, self._key)


def _register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> _Handle:
    """Calls ``hook`` with the gradient of self during backward; what it returns replaces the gradient."""
    return _Handle(self, _core.add_hook(self, hook))


def _register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> _Handle:
    """Calls ``hook`` with self, a leaf, each time backward has added to its ``.grad``: an optimiser may step there."""
    return _Handle(self, _core.add_hook(self, hook, True))


def _detach_(self: Tensor) -> Tensor:
    """Takes self's history away: it becomes a leaf that needs no gradient. Raises `GradientError` for a view."""
    return _core.detach_(self)


def _is_inference(self: Tensor) -> bool:
    """Whether it was made in inference mode."""
    return self._is_inference


def _retain_grad(self: Tensor) -> None:
    """Keeps the gradient of a tensor that is no leaf in ``.grad``."""
    if self.is_leaf:
        return
    alive = weakref.ref(self)

    def keep(grad: Tensor) -> None:
        if (tensor := alive()) is not None:
            tensor.grad = grad if tensor.grad is None else tensor.grad + grad

    _core.add_hook(self, keep)


def _iter(self: Tensor) -> Iterator[Tensor]:
    if self.dim() == 0:
        raise TypeError("iteration over a 0-d tensor")
    return iter(composite.unbind(self))


def _contains(self: Tensor, element: Any) -> bool:
    return builtins.bool(_core.any(_core.eq(self, element)))


def _format(self: Tensor, spec: str) -> str:
    if self.dim() == 0 and spec:
        return format(self.item(), spec)
    return object.__format__(self, spec) if spec else format_tensor(self)


def _zero_(self: Tensor) -> Tensor:
    """Fills self with zeros."""
    return self.fill_(0)


def _uniform_(self: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Fills self with uniform random numbers in [low, high)."""
    return self.copy_(create("uniform", self.device, self.shape, self.dtype, low, high))


def _normal_(self: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fills self with normal random numbers."""
    return self.copy_(create("normal", self.device, self.shape, self.dtype, mean, std))


def _view_as(self: Tensor, other: Tensor) -> Tensor:
    """Self in other's shape, sharing memory."""
    return self.view(other.shape)


def _reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """Self in other's shape, sharing memory where it can."""
    return self.reshape(other.shape)


def _is_signed(self: Tensor) -> bool:
    """Whether the dtype has negative numbers."""
    return self.dtype.is_signed


def _expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Self in other's shape by repetition."""
    return self.expand(other.shape)


def _new(name: str) -> Callable[..., Tensor]:
    def make(self: Tensor, *size: Any, dtype: Any = None, device: Any = None) -> Tensor:
        from wootz.ops import creation

        maker: Callable[..., Tensor] = getattr(creation, name)
        return maker(*size, dtype=dtype or self.dtype, device=self.device if device is None else device)

    return make


def _where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """self where ``condition`` holds, other elsewhere."""
    return _core.where(condition, self, other)


def _reduce_ex(self: Tensor, protocol: Any) -> tuple[Any, ...]:
    if not self.is_leaf:
        raise RuntimeError("only leaf tensors can be pickled: a computed tensor's history is not kept. Use .detach()")
    state = {} if type(self) is Tensor else dict(getattr(self, "__dict__", {}))
    bits = _core.bitcast(_conversion.cpu(self.detach()), int16) if self.dtype is bfloat16 else self
    return _rebuild, (type(self), _conversion.numpy(bits, force=True), self.requires_grad, state, self.dtype)


def _rebuild(kind: type[Tensor], array: np.ndarray, requires_grad: bool, state: dict[str, Any], dtype: dtype) -> Tensor:
    t = _core.bitcast(_core.from_buffer(array if array.flags.writeable else array.copy()), dtype)
    t = (t if kind is Tensor else _core.as_subclass(t, kind)).requires_grad_(requires_grad)
    if state:
        t.__dict__.update(state)
    return t


def _shifted(op: Callable[[Any, Any], Tensor], swapped: builtins.bool = False) -> Callable[[Tensor, Any], Tensor]:
    def shift(self: Tensor, other: Any) -> Tensor:
        if not isinstance(other, (Tensor, builtins.int)):
            return NotImplemented  # type: ignore[no-any-return]  # Python's way of passing
        return op(other, self) if swapped else op(self, other)

    return shift


def _matmul_(self: Tensor, other: Any) -> Tensor:
    """``self @= other``. Raises `ShapeError` where the product has another shape."""
    return self.copy_(_core.matmul(self, other).view(self.shape))


def _complex(self: Tensor) -> complex:
    return complex(self.item())


def _copy(self: Tensor) -> Tensor:
    """For ``copy.copy``: another tensor over the same memory."""
    if not self.is_leaf:
        return self.view(self.shape)
    other = self.detach() if type(self) is Tensor else _core.as_subclass(self.detach(), type(self))
    other.__dict__.update(self.__dict__) if hasattr(self, "__dict__") else None
    return other.requires_grad_(self.requires_grad)


def _deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    if not self.is_leaf:
        raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol")
    copy = self.detach().clone()
    if type(self) is not Tensor:
        copy = _core.as_subclass(copy, type(self))
        copy.__dict__.update(deepcopy(self.__dict__, memo))
    copy.requires_grad_(self.requires_grad)
    if self.grad is not None:
        copy.grad = self.grad.detach().clone()
    memo[id(self)] = copy
    return copy


def _bernoulli(self: Tensor, p: Any = None, *, generator: Any = None) -> Tensor:
    """Ones and zeros in self's dtype and shape, ones with the probabilities in self, or with ``p``."""
    chances = self if p is None else self.detach() * 0 + p
    return random.bernoulli(chances, generator=generator)


def _polygamma(self: Tensor, n: builtins.int) -> Tensor:
    """The n-th derivative of `digamma`."""
    return special.polygamma(n, self)


def _hardshrink(self: Tensor, lambd: builtins.float = 0.5) -> Tensor:
    """Self, 0 within ``lambd`` of 0."""
    return _core.where(_core.abs(self) > lambd, self, 0.0)


def _element_size(self: Tensor) -> int:
    """Bytes an element."""
    return self.itemsize


def _part(which: str) -> property:
    """The real or imaginary part, as a view that can be assigned to."""
    get = getattr(complex_numbers, which)

    def put(self: Tensor, value: Any) -> None:
        get(self).copy_(value)

    return property(get, put, doc=get.__doc__)


def _is_floating_point(self: Tensor) -> bool:
    """Whether the dtype is a floating-point one."""
    return self.dtype.is_floating_point


_METHODS: dict[str, Any] = {
    "device": property(_conversion.device), "numpy": _conversion.numpy, "__array__": _conversion.array,
    "__array_ufunc__": None, "tolist": _conversion.tolist, "to": _conversion.to, "cpu": _conversion.cpu,
    "cuda": _conversion.cuda, "pin_memory": _conversion.pin_memory, "is_pinned": _conversion.is_pinned,
    "type_as": _conversion.type_as, "backward": _backward, "register_hook": _register_hook,
    "retain_grad": _retain_grad, "__iter__": _iter, "__contains__": _contains, "__repr__": format_tensor,
    "__format__": _format, "zero_": _zero_, "uniform_": _uniform_, "normal_": _normal_, "view_as": _view_as,
    "expand_as": _expand_as, "where": _where, "__reduce_ex__": _reduce_ex, "__copy__": _copy,
    "__deepcopy__": _deepcopy, "detach_": _detach_, "to_device": _conversion.to_device,
    "__complex__": _complex, "__lshift__": _shifted(elementwise.bitwise_left_shift),
    "__rlshift__": _shifted(elementwise.bitwise_left_shift, True),
    "__rshift__": _shifted(elementwise.bitwise_right_shift),
    "__rrshift__": _shifted(elementwise.bitwise_right_shift, True), "__imatmul__": _matmul_,
    "__ilshift__": lambda self, other: self.bitwise_left_shift_(other),
    "__irshift__": lambda self, other: self.bitwise_right_shift_(other), "is_inference": _is_inference,
    "register_post_accumulate_grad_hook": _register_post_accumulate_grad_hook, "__dlpack__": _interop.dlpack,
    "__dlpack_device__": _interop.dlpack_device, "__array_interface__": property(_interop.array_interface),
    "__cuda_array_interface__": property(_interop.cuda_array_interface), "as_subclass": _override.as_subclass,
    "__wootz_function__": classmethod(_override.wootz_function),
    "__init_subclass__": classmethod(_override.init_subclass),
    "element_size": _element_size,
    "is_floating_point": _is_floating_point, "is_complex": queries.is_complex, "real": _part("real"),
    "imag": _part("imag"),
    "mH": property(shaping.adjoint),
    "H": property(complex_numbers.matrix_h), "nelement": Tensor.numel, "ndimension": Tensor.dim, "nbytes": property(
        lambda self: self.numel() * self.itemsize), "is_cuda": property(lambda self: self.device.type == "cuda"),
    "float": caster(float32), "double": caster(float64), "long": caster(int64), "int": caster(int32),
    "bool": caster(_core.bool), "half": caster(float16), "bfloat16": caster(bfloat16), "char": caster(int8),
    "short": caster(int16), "cfloat": caster(complex64), "cdouble": caster(complex128),
    "byte": caster(uint8), "new_zeros": _new("zeros"), "new_ones": _new("ones"), "new_empty": _new("empty"),
    "new_full": _new("full"),
    "new_tensor": _new("tensor"), "reshape_as": _reshape_as, "is_signed": _is_signed, "bernoulli": _bernoulli,
    "hardshrink": _hardshrink, "polygamma": _polygamma, "type": _conversion.type_, "storage": memory.untyped_storage,
}  # fmt: skip


# Native ops that write where they read only under this name: they are not worth a kernel of their own.
_WITH_IN_PLACE = (
    "atan2", "bitwise_not", "eq", "ge", "gt", "le", "logical_and", "logical_not", "logical_or", "logical_xor", "lt",
    "ne", "tril", "triu",
)  # fmt: skip


def _in_place(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        # The op may keep its operand for the derivative, and the operand is about to change.
        operand = self.clone() if self.requires_grad and _core.is_grad_enabled() else self
        result = function(operand, *args, **kwargs)
        if not can_cast(result.dtype, self.dtype):
            raise DTypeError(
                f"result type {result.dtype.name} can't be cast to the desired output type {self.dtype.name}"
            )
        if result.shape != self.shape:
            raise ShapeError(f"{name}: the result has shape {result.shape}, which does not fit into {self.shape}")
        return self.copy_(result)

    method.__name__, method.__doc__ = name, f"In-place {function.__name__}."
    return method


def _join() -> None:
    """Makes a method of each of `_METHODS`, and of each function of a family whose first parameter is ``self``."""
    for name, method in _METHODS.items():
        setattr(Tensor, name, method)
    for name in _WITH_IN_PLACE:
        setattr(Tensor, name + "_", _in_place(name + "_", getattr(_core, name)))
    setattr(Tensor, "polygamma_", _in_place("polygamma_", _polygamma))  # noqa: B010
    writing = {row.function for row in ROWS.values() if row.inplace}
    for family in ops.FAMILIES:
        for name in family.__all__:
            function = getattr(family, name)
            if isinstance(function, FunctionType) and unwrap(function).__code__.co_varnames[:1] == ("self",):
                setattr(Tensor, name, function)
                if function in writing:
                    setattr(Tensor, name + "_", _in_place(name + "_", function))
            elif isinstance(function, BuiltinFunctionType):
                _alias(name, function.__name__)


def _alias(name: str, native: str) -> None:
    """Another name of a native op, as a method and, where there is one, of its in-place method."""
    for suffix in ("", "_"):
        if hasattr(Tensor, native + suffix):
            setattr(Tensor, name + suffix, getattr(Tensor, native + suffix))


_join()
