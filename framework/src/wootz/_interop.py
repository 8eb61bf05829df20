"""Memory shared with other libraries: DLPack, NumPy's and CUDA's array interfaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.device import Device
from wootz.dtypes import bfloat16, to_numpy_dtype
from wootz.errors import BackendError

__all__ = ["array_interface", "cuda_array_interface", "dlpack", "dlpack_device", "from_dlpack", "order_streams"]

_CPU, _CUDA = 1, 2
_VERSION = (1, 1)
_order: Callable[[Any, int], None] | None = None
_current: Callable[[int], int] | None = None


def order_streams(function: Callable[[Any, int], None], current: Callable[[int], int] | None = None) -> None:
    """The CUDA backend gives ``function(stream, device index)``: our queued work comes before the stream's; and
    ``current(device index)``: the handle of the stream that ours is queued on."""
    global _order, _current
    _order, _current = function, current or _current


def dlpack_device(self: Tensor) -> tuple[int, int]:
    """(device type, index) as DLPack numbers them."""
    device = self.device
    return (_CPU, 0) if device.type == "cpu" else (_CUDA, device.index or 0)


def dlpack(
    self: Tensor, *, stream: Any = None, max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None, copy: bool | None = None,
) -> Any:  # fmt: skip
    """A capsule over self's memory, for one consumer.

    ``stream`` is the consumer's CUDA stream (None or -1: no waiting), ``dl_device`` where it wants the data, ``copy``
    whether it must be (True) or must not be (False) a copy. Raises BufferError where the memory cannot be given so.
    """
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    source, copied = self, False
    if dl_device is not None and tuple(dl_device) != dlpack_device(self):
        if copy is False:
            raise BufferError(
                f"__dlpack__: moving from {dlpack_device(self)} to {tuple(dl_device)} is a copy, and copy=False"
            )
        if tuple(dl_device) != (_CPU, 0):
            raise BufferError(f"__dlpack__: cannot export to device {tuple(dl_device)}; move the tensor there first")
        source, copied = self.cpu(), True
    elif copy:
        source, copied = self.clone(), True
    _wait(source, stream)
    versioned = max_version is not None and max_version[0] >= 1
    return _core.to_dlpack(source, versioned, copied)


def _wait(t: Tensor, stream: Any) -> None:
    if t.device.type == "cpu":
        if stream not in (None, -1):
            raise BufferError(f"__dlpack__: a CPU tensor has no stream to order against, got stream={stream!r}")
        return
    if stream == 0:
        raise BufferError(
            "__dlpack__: stream 0 is ambiguous; give 1 for the legacy default stream, 2 for the per-thread one"
        )
    if stream != -1:
        if _order is None:
            raise BackendError("__dlpack__: no CUDA backend is loaded to order streams with; import wootz.cuda")
        _order(stream, t.device.index or 0)


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of an object with ``__dlpack__`` (or of a capsule that one gave).

    Nothing is copied unless ``copy`` is True, ``device`` is another one, or the memory is read-only. Raises BufferError
    where that would need a copy and ``copy`` is False; ValueError, `DTypeError` and `DeviceError` for capsules that do
    not hold what tensors can.
    """
    if type(x).__name__ == "PyCapsule":
        tensor, read_only, copied = _core.from_dlpack(x)
    elif not hasattr(x, "__dlpack__"):
        raise TypeError(f"from_dlpack: expected an object with __dlpack__, got a {type(x).__name__}")
    else:
        tensor, read_only, copied = _core.from_dlpack(_capsule(x, copy))
    target = None if device is None else Device(device)
    elsewhere = target is not None and target.type != tensor.device.type
    if (read_only or elsewhere) and copy is False:
        reason = "its memory is read-only" if read_only else f"it is on {tensor.device}, not {target}"
        raise BufferError(f"from_dlpack: {reason}, and copy=False")
    if elsewhere:
        return tensor.to(target)
    return tensor.clone() if read_only or (copy and not copied) else tensor


def _capsule(x: Any, copy: bool | None) -> Any:
    options: dict[str, Any] = {}
    if hasattr(x, "__dlpack_device__") and x.__dlpack_device__()[0] == _CUDA:
        options["stream"] = _current(x.__dlpack_device__()[1]) if _current else 1
    try:
        return x.__dlpack__(max_version=_VERSION, copy=copy, **options)
    except TypeError:  # a producer from before version 1 knows neither
        return x.__dlpack__(**options)


def array_interface(self: Tensor) -> dict[str, Any]:
    """NumPy's array interface, of tensors on the CPU."""
    if self.device.type != "cpu":
        raise AttributeError(f"a tensor on {self.device} has no __array_interface__; use .cpu() first")
    if self.dtype is bfloat16:
        raise AttributeError("bfloat16 has no __array_interface__, which knows only NumPy's own dtypes; use .numpy()")
    interface: dict[str, Any] = np.asarray(self.numpy()).__array_interface__
    return interface


def cuda_array_interface(self: Tensor) -> dict[str, Any]:
    """CUDA's array interface (version 3), of tensors on a GPU."""
    if self.device.type != "cuda":
        raise AttributeError(f"a tensor on {self.device} has no __cuda_array_interface__; use .cuda() first")
    if self.requires_grad:
        raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad. Use var.detach() first.")
    item = self.itemsize
    kind = to_numpy_dtype(self.dtype).str
    strides = None if self.is_contiguous() else tuple(s * item for s in self.stride())
    stream = _current(self.device.index or 0) if _current else 1
    return {"shape": self.shape, "typestr": kind, "strides": strides, "version": 3,
            "data": (self.data_ptr() if self.numel() else 0, False), "stream": stream}  # fmt: skip
