"""CUDA: whether it can be used here and what to do if not; devices, streams, events, memory and graphs.

>>> import wootz
>>> print(wootz.cuda.diagnose())  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wootz import _core, _interop
from wootz.backend import Diagnosis, active
from wootz.backend import diagnosis as _diagnosis
from wootz.backend.streams import CUDAGraph, Event, Stream, graph
from wootz.device import Device
from wootz.errors import OutOfMemoryError
from wootz.ops.random import manual_seed
from wootz.ops.random import manual_seed as manual_seed_all

__all__ = [
    "CUDAGraph",
    "Diagnosis",
    "Event",
    "OutOfMemoryError",
    "Stream",
    "as_array",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "diagnose",
    "empty_cache",
    "from_array",
    "get_device_capability",
    "get_device_name",
    "graph",
    "is_available",
    "is_current_stream_capturing",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_summary",
    "reset_peak_memory_stats",
    "set_device",
    "stream",
    "synchronize",
]  # fmt: skip

_Index = Device | str | int | None


def is_available() -> bool:
    """Whether tensors can be put on a GPU here. Never raises, and imports nothing heavy."""
    return _diagnosis().fits


def device_count() -> int:
    """The number of GPUs that can be used; 0 where `is_available` is False."""
    driver = _diagnosis().machine.driver
    return len(driver.gpus) if is_available() and driver else 0


def diagnose() -> Diagnosis:
    """Looks at the driver, its GPUs, this wheel and CuPy afresh; ``print`` it for a table with the next command."""
    _diagnosis.cache_clear()
    return _diagnosis()


def _index(device: _Index) -> int:
    if isinstance(device, int):
        return device
    found = None if device is None else Device(device).index
    return active().current() if found is None else found


def current_device() -> int:
    """The index of the device on which ``device="cuda"`` makes tensors."""
    return active().current()


def set_device(device: _Index) -> None:
    """Makes a device the current one of this thread; `device` does it for a block."""
    with active().on(_index(device)):
        pass  # refuses one that does not exist
    active().cupy.cuda.Device(_index(device)).use()


@contextmanager
def device(device: _Index) -> Iterator[None]:
    """Makes a device the current one within a ``with`` block."""
    with active().on(_index(device)):
        yield


def get_device_name(device: _Index = None) -> str:
    """What the GPU calls itself."""
    name = active().cupy.cuda.runtime.getDeviceProperties(_index(device))["name"]
    return name.decode() if isinstance(name, bytes) else str(name)


def get_device_capability(device: _Index = None) -> tuple[int, int]:
    """The GPU's compute capability: (9, 0) for sm_90."""
    properties = active().cupy.cuda.runtime.getDeviceProperties(_index(device))
    return int(properties["major"]), int(properties["minor"])


# Streams


def synchronize(device: _Index = None) -> None:
    """Waits for everything queued on a device. Raises IndexError if a kernel met an index out of range."""
    backend = active()
    with backend.on(_index(device)):
        try:
            backend.cupy.cuda.runtime.deviceSynchronize()
            backend.synchronize()
        except backend.errors as error:
            backend.translate(error)


def current_stream(device: _Index = None) -> Stream:
    """The stream that ops are queued on now."""
    with active().on(_index(device)) as index:
        return Stream.of(active().cupy.cuda.get_current_stream(), index)


def default_stream(device: _Index = None) -> Stream:
    """The stream that ops are queued on unless another is chosen."""
    return Stream.of(active().cupy.cuda.Stream.null, _index(device))


@contextmanager
def stream(stream: Stream | None) -> Iterator[None]:
    """Queues ops on a stream within a ``with`` block; None changes nothing."""
    if stream is None:
        yield
        return
    with active().on(stream.device.index), stream.raw:
        yield


def is_current_stream_capturing() -> bool:
    """Whether a graph is being captured."""
    return active().capturing()


# Memory


def memory_allocated(device: _Index = None) -> int:
    """Bytes that tensors hold on a device."""
    return active().usage(_index(device)).allocated


def max_memory_allocated(device: _Index = None) -> int:
    """The most bytes that tensors held on a device since the start or `reset_peak_memory_stats`."""
    return active().usage(_index(device)).peak


def reset_peak_memory_stats(device: _Index = None) -> None:
    """Sets the peak to what is held now."""
    usage = active().usage(_index(device))
    usage.peak = usage.allocated


def memory_reserved(device: _Index = None) -> int:
    """Bytes that the pool has from the driver, for tensors and for reuse."""
    with active().on(_index(device)):
        return int(active().cupy.get_default_memory_pool().total_bytes())


def mem_get_info(device: _Index = None) -> tuple[int, int]:
    """Bytes of the GPU that are free, and that there are."""
    with active().on(_index(device)):
        free, total = active().cupy.cuda.runtime.memGetInfo()
        return int(free), int(total)


def empty_cache() -> None:
    """Gives the pool's unused memory back to the driver."""
    active().cupy.get_default_memory_pool().free_all_blocks()
    active().cupy.get_default_pinned_memory_pool().free_all_blocks()


def memory_summary(device: _Index = None) -> str:
    """The figures of a device's memory as a small table."""
    index, mib = _index(device), 2**20
    free, total = mem_get_info(index)
    rows = [
        ("tensors hold", memory_allocated(index)), ("tensors held at most", max_memory_allocated(index)),
        ("pool has from driver", memory_reserved(index)), ("free on the GPU", free), ("GPU has", total),
    ]  # fmt: skip
    lines = [f"{name:<22}{size / mib:>12.1f} MiB" for name, size in rows]
    return "\n".join([f"cuda:{index}", *lines, f"{'blocks taken so far':<22}{active().usage(index).allocations:>10}"])


def as_array(t: _core.Tensor) -> Any:
    """A CuPy array over a tensor's memory, without a copy. Raises RuntimeError if the tensor requires grad."""
    if t.requires_grad:
        raise RuntimeError("can't make an array of a Tensor that requires grad; use tensor.detach() first")
    return active().array(t)


def from_array(array: Any) -> _core.Tensor:
    """A tensor over the memory of a CuPy array, or of anything with ``__cuda_array_interface__``, without a copy."""
    backend = active()
    return backend.tensor(backend.cupy.asarray(array), view=True)


_interop.order_streams(
    lambda stream, index: active("__dlpack__").order(stream, index), lambda index: active().stream_handle(index)
)
