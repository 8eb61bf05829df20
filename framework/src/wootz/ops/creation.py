"""Making tensors."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor, dtype
from wootz.backend import create
from wootz.device import Device, default_device
from wootz.dtypes import bfloat16, complex64, complex128, float64, from_numpy_dtype, to_numpy_dtype
from wootz.errors import DTypeError

__all__ = [
    "arange",
    "as_tensor",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "range",
    "tensor",
    "zeros",
    "zeros_like",
]

Size = builtins.int | Sequence[builtins.int]


def shape_of(size: tuple[Any, ...]) -> Any:
    """The shape in ``f(2, 3)`` or ``f((2, 3))``."""
    return size[0] if len(size) == 1 and not isinstance(size[0], builtins.int) else size


def place(t: Tensor, device: Device | str | None, requires_grad: builtins.bool) -> Tensor:
    """A new tensor as its maker was asked for it: on a device, a leaf that requires grad or not."""
    where = default_device() if device is None else Device(device)
    if where.type != "cpu":
        t = t.to(where)
    return t.requires_grad_() if requires_grad else t


def make(maker: str, *arguments: Any, device: Device | str | None, requires_grad: builtins.bool) -> Tensor:
    """A new tensor by the core's function of this name, or by the device's."""
    t = create(maker, device, *arguments)
    return t.requires_grad_() if requires_grad else t


def empty(
    *size: Any, dtype: dtype | None = None, device: Device | str | None = None, requires_grad: builtins.bool = False
) -> Tensor:
    """A tensor of uninitialised memory."""
    return make("empty", shape_of(size), dtype, device=device, requires_grad=requires_grad)


def zeros(
    *size: Any, dtype: dtype | None = None, device: Device | str | None = None, requires_grad: builtins.bool = False
) -> Tensor:
    """A tensor of zeros."""
    return make("full", shape_of(size), 0.0, dtype, device=device, requires_grad=requires_grad)


def ones(
    *size: Any, dtype: dtype | None = None, device: Device | str | None = None, requires_grad: builtins.bool = False
) -> Tensor:
    """A tensor of ones."""
    return make("full", shape_of(size), 1.0, dtype, device=device, requires_grad=requires_grad)


def full(
    size: Size, fill_value: Any, *, dtype: dtype | None = None, device: Device | str | None = None,
    requires_grad: builtins.bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of one value; without ``dtype``, of the value's kind."""
    return make("full", size, fill_value, dtype, device=device, requires_grad=requires_grad)


def _like(t: Tensor, value: float | None, kind: dtype | None, device: Any, requires_grad: builtins.bool) -> Tensor:
    shape, kind, device = t.shape, kind or t.dtype, t.device if device is None else device
    if value is None:
        return make("empty", shape, kind, device=device, requires_grad=requires_grad)
    return make("full", shape, value, kind, device=device, requires_grad=requires_grad)


def empty_like(
    t: Tensor, *, dtype: dtype | None = None, device: Any = None, requires_grad: builtins.bool = False
) -> Tensor:
    """Uninitialised memory in t's shape and, unless given, its dtype and device."""
    return _like(t, None, dtype, device, requires_grad)


def zeros_like(
    t: Tensor, *, dtype: dtype | None = None, device: Any = None, requires_grad: builtins.bool = False
) -> Tensor:
    """Zeros in t's shape and, unless given, its dtype and device."""
    return _like(t, 0.0, dtype, device, requires_grad)


def ones_like(
    t: Tensor, *, dtype: dtype | None = None, device: Any = None, requires_grad: builtins.bool = False
) -> Tensor:
    """Ones in t's shape and, unless given, its dtype and device."""
    return _like(t, 1.0, dtype, device, requires_grad)


def full_like(
    t: Tensor, fill_value: Any, *, dtype: dtype | None = None, device: Any = None, requires_grad: builtins.bool = False
) -> Tensor:
    """One value in t's shape and, unless given, its dtype and device."""
    return _like(t, fill_value, dtype, device, requires_grad)


def arange(
    start: float, end: float | None = None, step: float = 1, *, dtype: dtype | None = None,
    device: Device | str | None = None, requires_grad: builtins.bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... before end; int64 when all three are integers."""
    if end is None:
        start, end = 0, start
    if dtype is None:
        whole = all(isinstance(x, (builtins.int, np.integer)) for x in (start, end, step))
        dtype = _core.int64 if whole else _core.get_default_dtype()
    return place(_core.arange(start, end, step, dtype), device, requires_grad)


def range(
    start: float = 0, end: float | None = None, step: float = 1, *, dtype: dtype | None = None,
    device: Device | str | None = None, requires_grad: builtins.bool = False,
) -> Tensor:  # fmt: skip
    """start, start + step, ... up to and with end, in the default dtype; `arange` is what Python's range is."""
    if end is None:
        start, end = 0, start
    if not step or (end - start) / step < 0:
        raise ValueError(f"range: upper bound and lower bound inconsistent with step: {start}, {end}, {step}")
    count = math.floor((end - start) / step + 1e-9) + 1
    made = _core.arange(0, count, 1, _core.float64) * step + start
    return place(_core.cast(made, dtype or _core.get_default_dtype()), device, requires_grad)


def linspace(
    start: float, end: float, steps: builtins.int, *, dtype: dtype | None = None, device: Device | str | None = None,
    requires_grad: builtins.bool = False,
) -> Tensor:  # fmt: skip
    """``steps`` evenly spaced numbers from start to end, both included."""
    kind = dtype or _core.get_default_dtype()
    return place(_core.cast(from_numpy(np.linspace(start, end, steps)), kind), device, requires_grad)


def eye(
    n: builtins.int, m: builtins.int | None = None, *, dtype: dtype | None = None, device: Device | str | None = None,
    requires_grad: builtins.bool = False,
) -> Tensor:  # fmt: skip
    """Ones on the diagonal of an n by m matrix, zeros elsewhere."""
    t = zeros(n, n if m is None else m, dtype=dtype)
    t.diagonal().fill_(1)
    return place(t, device, requires_grad)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares the array's memory: a writable array of a supported dtype, without negative strides."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    if not array.flags.writeable:
        raise ValueError("the array is read-only, and a tensor could write to it; copy it first")
    if array.dtype.name == "bfloat16":
        return _core.bitcast(_core.from_buffer(array.view(np.int16)), bfloat16)
    return _core.from_buffer(array)


def _array(data: Any, kind: dtype | None) -> np.ndarray:
    """Data as a fresh array of the dtype, or of the narrowest one that NumPy has and that is cast to it."""
    if isinstance(data, (list, tuple)):
        data = _numbers(data)
    array = np.array(data)
    if array.dtype.name != "bfloat16" and (array.dtype == object or array.dtype.kind not in "bifuc"):
        raise TypeError(f"cannot make a tensor of {type(data).__name__} (NumPy calls it {array.dtype})")
    if kind is not None:
        if array.dtype.kind == "c" and not kind.is_complex:
            raise DTypeError(f"complex numbers cannot be converted to {kind}: they would lose their imaginary parts")
        return array.astype(np.float32 if kind is bfloat16 else to_numpy_dtype(kind))
    from_numpy_dtype(array.dtype)
    return array


def _implied(data: Any, array: np.ndarray) -> dtype:
    """The dtype of data that names none: Python numbers become the default dtype of their kind."""
    default = _core.get_default_dtype()
    if isinstance(data, (np.ndarray, np.generic)):
        return from_numpy_dtype(array.dtype)
    if array.dtype.kind == "c":
        return complex128 if default is float64 else complex64
    if array.dtype.kind == "f" or array.size == 0 or array.dtype.name == "bfloat16":
        return default
    if array.dtype.kind == "u":
        raise OverflowError("tensor: an integer does not fit in int64; ask for dtype=wootz.uint64")
    return _core.int64 if array.dtype.kind == "i" else _core.bool


def _numbers(data: Any) -> Any:
    """Nested sequences with the tensors in them replaced by arrays."""
    if isinstance(data, Tensor):
        return (data.float() if data.dtype is bfloat16 else data).detach().numpy()
    return [_numbers(x) for x in data] if isinstance(data, (list, tuple)) else data


def tensor(
    data: Any, *, dtype: dtype | None = None, device: Device | str | None = None, requires_grad: builtins.bool = False
) -> Tensor:
    """A new leaf with a copy of ``data``: numbers, nested sequences, arrays or a tensor."""
    if isinstance(data, (float, complex)) or (isinstance(data, builtins.int) and -(2**63) <= data < 2**63):
        made = _core.scalar(data, dtype)
    elif isinstance(data, Tensor):
        made = data.detach().clone() if dtype is None else _core.cast(data.detach(), dtype)
        device = data.device if device is None else device
    else:
        array = _array(data, dtype)
        made = from_numpy(np.ascontiguousarray(array)).view(array.shape).detach()
        kind = dtype or _implied(data, array)
        made = made if made.dtype is kind else _core.cast(made, kind)
    return place(made, device, requires_grad)


def as_tensor(data: Any, *, dtype: dtype | None = None, device: Device | str | None = None) -> Tensor:
    """``data`` as a tensor, sharing memory where it can."""
    if (
        isinstance(data, np.ndarray)
        and data.flags.writeable
        and (data.dtype.kind in "bifuc" or data.dtype.name == "bfloat16")
        and min(data.strides, default=0) >= 0
    ):
        data = from_numpy(data)
    if isinstance(data, Tensor):
        return data.to(device=device, dtype=dtype)
    return tensor(data, dtype=dtype, device=device)
