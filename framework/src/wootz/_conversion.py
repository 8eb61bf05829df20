"""A tensor in another dtype, on another device, in pinned memory, or as numbers of NumPy or Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor, dtype
from wootz.backend import active, diagnosis
from wootz.device import Device
from wootz.dtypes import bfloat16, float32, int16, to_numpy_dtype
from wootz.errors import DeviceError
from wootz.ops import queries

__all__ = [
    "array", "caster", "cpu", "cuda", "device", "is_pinned", "numpy", "parse_to", "pin_memory", "to", "to_device",
    "tolist", "type_", "type_as",
]  # fmt: skip


def device(self: Tensor) -> Device:
    """Where the memory is."""
    kind, index = self._device
    return Device(kind, index if kind != "cpu" else None)


def numpy(self: Tensor, *, force: bool = False) -> np.ndarray:
    """An array over the same memory; ``force`` detaches and copies to the CPU first. Raises RuntimeError if it must.

    bfloat16 arrays need ml_dtypes: without it, `DTypeError`.
    """
    if force:
        return cpu(self.detach()).numpy()
    if self.requires_grad:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    if self.device.type != "cpu":
        raise TypeError(f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() first.")
    if self.dtype is bfloat16:
        return numpy(_core.bitcast(self, int16)).view(to_numpy_dtype(bfloat16))
    return np.asarray(memoryview(self))  # type: ignore[arg-type]  # a buffer in C


def array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """What ``numpy.asarray`` asks for. Raises ValueError where ``copy`` is False and another dtype needs one."""
    own = numpy(self)
    if dtype is not None and own.dtype != dtype:
        if copy is False:
            raise ValueError(f"Unable to avoid copy while creating an array of {np.dtype(dtype)} from {self.dtype}")
        return own.astype(dtype)
    return own.copy() if copy else own


def tolist(self: Tensor) -> Any:
    """The elements as (nested lists of) Python numbers."""
    return numpy(to(self.detach(), float32) if self.dtype is bfloat16 else self, force=True).tolist()


def parse_to(args: tuple[Any, ...], device: Any, dtype: Any) -> tuple[Any, Any]:
    """The device and the dtype that the arguments of a ``to`` name, each or None."""
    for a in args:
        if isinstance(a, Tensor):
            device, dtype = a.device, a.dtype
        elif isinstance(a, _core.dtype):
            dtype = a
        elif isinstance(a, (str, Device)):
            device = Device(a)
        elif a is not None:
            raise TypeError(f"to() takes a dtype, a device or a tensor, not {type(a).__name__}")
    return None if device is None else Device(device), dtype


def to(
    self: Tensor, *args: Any, device: Any = None, dtype: Any = None, non_blocking: bool = False, copy: bool = False
) -> Tensor:
    """Self in another dtype or on another device: ``to(dtype)``, ``to(device)``, ``to(device, dtype)``, ``to(other)``.

    Returns self when nothing changes, unless ``copy``. With ``non_blocking`` a copy from pinned memory to a GPU is
    only queued: do not write to the memory before it is done.
    """
    device, dtype = parse_to(args, device, dtype)
    out = self
    if device is not None and (device.type != out.device.type or device.index not in (None, out.device.index)):
        out = _moved(out, device, non_blocking)
        copy = False
    if dtype is not None and dtype != out.dtype:
        return _core.cast(out, dtype)
    return out.clone() if copy else out


def _moved(t: Tensor, device: Device, non_blocking: bool) -> Tensor:
    if not non_blocking or device.type == "cpu" or t._device[0] != "cpu":
        return _core.to_device(t, str(device))
    with active("to").unhurried():
        return _core.to_device(t, str(device))


def pin_memory(self: Tensor) -> Tensor:
    """Self in page-locked memory, from which copies to a GPU need not wait; self if it is there already."""
    if self.device.type != "cpu":
        raise DeviceError(f"only tensors of the CPU can be pinned, this one is on {self.device}")
    backend = active("pin_memory")
    if backend.is_pinned(self):
        return self
    return backend.pinned(self.shape, self.dtype).copy_(self.detach())


def is_pinned(self: Tensor) -> bool:
    """Whether self is of the CPU and in page-locked memory."""
    return self.device.type == "cpu" and diagnosis().fits and active("is_pinned").is_pinned(self)


def cpu(self: Tensor) -> Tensor:
    """Self on the CPU."""
    return to(self, "cpu")


def cuda(self: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """Self on a CUDA device. Raises `BackendError` where there is none."""
    where = "cuda" if device is None else Device("cuda", device) if isinstance(device, int) else device
    return to(self, where, non_blocking=non_blocking)


def caster(kind: dtype) -> Callable[[Tensor], Tensor]:
    """The method that converts to one dtype."""

    def cast(self: Tensor) -> Tensor:
        return to(self, kind)

    cast.__doc__ = f"Self as {kind.name}."
    return cast


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """Self in other's dtype."""
    return to(self, other.dtype)


def to_device(self: Tensor, device: Any, /, *, stream: Any = None) -> Tensor:
    """The array API's name for `to`. Raises ValueError for a stream, which the tensor's backend keeps itself."""
    if stream is not None:
        raise ValueError(f"to_device: stream must be None, got {stream!r}")
    return to(self, device)


def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """What PyTorch calls tensors of self's dtype ("wootz.FloatTensor"); or self in a dtype, or one of such a name."""
    if dtype is None:
        return queries.typename(self)
    if isinstance(dtype, str):
        known = {name: kind for kind, name in queries.TYPE_NAMES.items()}
        short = dtype.rpartition(".")[2]
        if short not in known:
            raise ValueError(f"invalid type: {dtype!r}; expected a dtype or a name such as 'wootz.FloatTensor'")
        dtype = _core.dtype.named(known[short])
    return to(self, dtype, non_blocking=non_blocking)
