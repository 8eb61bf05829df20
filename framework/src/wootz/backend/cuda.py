"""CUDA through CuPy: memory, copies, launches and errors. The only module that imports cupy, and only when used."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.backend.capture import Capture, Reader
from wootz.backend.diagnosis import install_compiler
from wootz.backend.geometry import Launch
from wootz.backend.kernels import KERNELS, Kernels
from wootz.backend.usage import Block, Usage
from wootz.dtypes import dtype, from_numpy_dtype
from wootz.errors import BackendError, DeviceError, KernelError, OutOfMemoryError

__all__ = ["KINDS", "Cuda"]

# Element types as the kernels name them, and what NumPy and CuPy call their bytes.
KINDS = {
    "float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16", "int64": "i64", "int32": "i32",
    "int16": "i16", "int8": "i8", "uint8": "u8", "bool": "boolean",
}  # fmt: skip
_BYTES = {"bfloat16": "uint16"}
_TO_DEVICE, _TO_HOST = 1, 2  # cudaMemcpyKind
# cudaError_t after which the context is lost: bad and misaligned addresses, hardware faults, asserts, failed launches.
_FATAL = (700, 709, 710, 714, 715, 716, 717, 718, 719)


class Cuda:
    """One process's use of CUDA. The arguments are for tests; what they stand for is found when first needed."""

    def __init__(self, cupy: Any = None, kernels: Path = KERNELS) -> None:
        self.cupy = cupy or _import("cupy")
        self._obstacle: str | None = None
        self._looked = False
        self._path = kernels
        self._kernels: Kernels | None = None
        self._usage: dict[int, Usage] = {}
        self._faults: dict[int, Any] = {}
        self._local = threading.local()
        self._pending: list[tuple[Any, Tensor]] = []  # copies that still read pinned memory

    def arrays(self, op: str) -> Any:
        """CuPy with its array functions, which compile kernels when they first meet their types. Raises `BackendError`
        that names the op where there is no NVRTC."""
        if not self._looked:
            self._obstacle, self._looked = self._missing(), True
        if self._obstacle is None:
            return self.cupy
        major = int(self.cupy.cuda.runtime.runtimeGetVersion()) // 1000
        raise BackendError(
            f"{op}: wootz has no kernel for this, and CuPy's needs the compiler NVRTC, which is not found "
            f"({self._obstacle}); next: {install_compiler(major)}, or move the inputs with .cpu()"
        )

    def _missing(self) -> str | None:
        try:
            self.cupy.cuda.nvrtc.getVersion()
        except (ImportError, OSError, RuntimeError) as error:
            return str(error).partition("\n")[0]
        return None

    # Devices

    @property
    def kernels(self) -> Kernels:
        if self._kernels is None:
            self._kernels = Kernels(self.cupy, self._path)
        return self._kernels

    def count(self) -> int:
        return int(self.cupy.cuda.runtime.getDeviceCount())

    def current(self) -> int:
        return int(self.cupy.cuda.runtime.getDevice())

    @contextmanager
    def on(self, index: int | None) -> Iterator[int]:
        """Makes a device the current one. Raises `DeviceError` for one that does not exist."""
        before = self.current()
        index = before if index is None else index
        if index == before:
            yield index
            return
        if not 0 <= index < self.count():
            raise DeviceError(f"there is no device cuda:{index}: this process sees {self.count()}")
        with self.cupy.cuda.Device(index):
            yield index

    # Memory

    def usage(self, index: int) -> Usage:
        return self._usage.setdefault(index, Usage())

    def allocate(self, size: int) -> tuple[int, Block]:
        """Address and owner of ``size`` bytes on the current device, for the current stream."""
        try:
            memory = self.cupy.cuda.alloc(size)
        except self.cupy.cuda.memory.OutOfMemoryError as error:
            raise OutOfMemoryError(self._shortage(size)) from error
        self.keep(memory)
        return int(memory.ptr), Block(memory, size, self.usage(self.current()))

    def _shortage(self, size: int) -> str:
        index, pool = self.current(), self.cupy.get_default_memory_pool()
        free, total = self.cupy.cuda.runtime.memGetInfo()
        held, mib = self.usage(index).allocated, 2**20
        return (
            f"cuda:{index} has no {size / mib:.1f} MiB left: of {total / mib:.0f} MiB, tensors hold {held / mib:.1f}, "
            f"the pool keeps {pool.free_bytes() / mib:.1f} free for reuse, and {free / mib:.1f} belong to nobody; "
            "delete tensors, use a smaller batch, or wootz.cuda.empty_cache() for other libraries"
        )

    def empty(self, shape: Sequence[int], kind: dtype) -> Tensor:
        """An uninitialised contiguous tensor on the current device."""
        size = prod(shape) * kind.itemsize
        address, owner = self.allocate(size) if size else (0, None)
        return _core.from_pointer(
            address, size, tuple(shape), contiguous(shape), kind, "cuda", self.current(), owner
        )  # fmt: skip

    def upload(self, values: np.ndarray[Any, Any]) -> Any:
        """A small array of the host's on the device, as a CuPy array; alive for as long as a graph reads it again."""
        self.keep(values)
        array = self.cupy.empty(values.shape, values.dtype)
        self.keep(array)
        self._copy(array.data.ptr, values.ctypes.data, values.nbytes, _TO_DEVICE)
        return array

    def keep(self, thing: Any) -> None:
        """What a graph that is being captured will use again must outlive it."""
        if (capture := self._captured()) is not None:
            capture.kept.append(thing)

    def _captured(self) -> Capture | None:
        found: Capture | None = getattr(self._local, "capture", None)
        return found

    @contextmanager
    def keeping(self, capture: Capture) -> Iterator[None]:
        """What is captured within a ``with`` block tells here what it will need again."""
        self._local.capture = capture
        capture.begin()
        try:
            yield
        finally:
            self._local.capture = None
            capture.end()

    @contextmanager
    def reading(self, read: Reader) -> Iterator[None]:
        """Says how the numbers of the op in a ``with`` block are read anew, if a graph is being captured."""
        self._local.read = read
        try:
            yield
        finally:
            self._local.read = None

    def live(self, count: int) -> Tensor | None:
        """The op's numbers in float64 on the device, which a graph reads before each replay; None outside of one."""
        read, capture = getattr(self._local, "read", None), self._captured()
        if read is None or capture is None:
            return None
        held = self.empty((count,), _core.float64)
        capture.live.append((held, read))
        return held

    def shift(self) -> Tensor | None:
        """What each replay of the graph being captured adds to the number of a random draw; None outside of one."""
        capture = self._captured()
        if capture is None:
            return None
        if capture.shift is None:
            capture.shift = self.empty((1,), _core.int64)
        return capture.shift

    def write(self, held: Tensor, values: np.ndarray[Any, Any]) -> None:
        """Puts numbers of the host's where a graph reads them."""
        self._copy(held.data_ptr(), values.ctypes.data, values.nbytes, _TO_DEVICE)

    def capturing(self) -> bool:
        return bool(self.cupy.cuda.get_current_stream().is_capturing())

    # Tensors and arrays

    def array(self, t: Tensor, kind: str | None = None) -> Any:
        """A CuPy array over a tensor's memory; bfloat16 shows as its 16-bit patterns."""
        size, kind = t.itemsize, kind or _BYTES.get(t.dtype.name, t.dtype.name)
        reach = (1 + sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True))) * size if t.numel() else 0
        memory = self.cupy.cuda.UnownedMemory(t.data_ptr(), reach, t, t._device[1])
        pointer = self.cupy.cuda.MemoryPointer(memory, 0)
        strides = tuple(s * size for s in t.stride())
        return self.cupy.ndarray(t.shape, kind, memptr=pointer, strides=strides)

    def tensor(self, array: Any, kind: dtype | None = None, view: bool = False) -> Tensor:
        """A tensor over a CuPy array's memory, or over a contiguous copy where it is not contiguous and no ``view`` is
        wanted or possible (of negative strides)."""
        scattered = any(s < 0 or s % array.itemsize for s in array.strides)
        if scattered or not (view or array.flags.c_contiguous):
            array = self.arrays("tensor").ascontiguousarray(array).reshape(array.shape)
        kind = kind or from_numpy_dtype(array.dtype)
        strides = tuple(s // array.itemsize if n > 1 else 0 for n, s in zip(array.shape, array.strides, strict=True))
        if array.flags.c_contiguous:
            strides = contiguous(array.shape)
        reach = 1 + sum((n - 1) * s for n, s in zip(array.shape, strides, strict=True)) if array.size else 0
        self.keep(array)
        return _core.from_pointer(
            int(array.data.ptr) if array.size else 0, reach * array.itemsize, array.shape, strides, kind, "cuda",
            array.device.id, array,
        )  # fmt: skip

    @contextmanager
    def beside(self, t: Tensor) -> Iterator[None]:
        """A tensor's device is the current one within a ``with`` block, and CuPy's errors are this library's."""
        try:
            with self.on(t._device[1]):
                yield
        except self.errors as error:
            self.translate(error)

    def own(self, array: Any) -> Tensor:
        """The tensor of what an array function made: never a view, which would tie two tensors without the tape."""
        return self.tensor(array if array.base is None else array.copy())

    def order(self, stream: int | None, index: int) -> None:
        """Another library's stream waits for what is queued on ours. None and 1 are the legacy default stream."""
        with self.on(index):
            ours, theirs = self.cupy.cuda.get_current_stream(), stream or 1
            if theirs == (ours.ptr or 1):
                return
            event = self.cupy.cuda.Event(disable_timing=True)
            event.record(ours)
            self.cupy.cuda.ExternalStream(theirs).wait_event(event)

    def stream_handle(self, index: int) -> int:
        """The current stream as DLPack and the array interface number it: 1 is the legacy default one."""
        with self.on(index):
            return int(self.cupy.cuda.get_current_stream().ptr) or 1

    # Copies

    @contextmanager
    def unhurried(self) -> Iterator[None]:
        """Copies to the device from pinned memory within a ``with`` block are queued, and not waited for."""
        self._local.unhurried = True
        try:
            yield
        finally:
            self._local.unhurried = False

    def _copy(self, to: int, source: int, size: int, kind: int) -> None:
        stream = self.cupy.cuda.get_current_stream()
        self.cupy.cuda.runtime.memcpyAsync(to, source, size, kind, stream.ptr)

    def to_device(self, t: Tensor, index: int) -> Tensor:
        """A contiguous copy of a tensor, of the CPU or of another GPU, on a device."""
        t = t.contiguous()
        if t._device[0] == "cuda":
            return self._across(t, index)
        with self.on(index):
            out = self.empty(t.shape, t.dtype)
            if t.numel() == 0:
                return out
            self.keep(t)
            self._copy(out.data_ptr(), t.data_ptr(), t.nbytes, _TO_DEVICE)
            # From pageable memory the driver has taken the bytes when the call returns; pinned memory it reads later.
            if self.is_pinned(t):
                self._settle(t)
            return out

    def _across(self, t: Tensor, index: int) -> Tensor:
        with self.on(t._device[1]):
            self.cupy.cuda.get_current_stream().synchronize()
        with self.on(index):
            out = self.empty(t.shape, t.dtype)
            if t.numel():
                stream = self.cupy.cuda.get_current_stream()
                self.cupy.cuda.runtime.memcpyPeerAsync(
                    out.data_ptr(), index, t.data_ptr(), t._device[1], t.nbytes, stream.ptr
                )
                stream.synchronize()  # the source may be freed on its own stream
        return out

    def _settle(self, t: Tensor) -> None:
        stream = self.cupy.cuda.get_current_stream()
        if not getattr(self._local, "unhurried", False):
            stream.synchronize()
            return
        event = self.cupy.cuda.Event(disable_timing=True)
        event.record(stream)
        self._pending = [(e, x) for e, x in self._pending if not e.done]
        self._pending.append((event, t))

    def to_host(self, t: Tensor, pinned: bool = False) -> Tensor:
        """A contiguous copy on the CPU, complete when this returns. Reports what kernels found wrong before."""
        with self.on(t._device[1]):
            t = t.contiguous()
            out = self.pinned(t.shape, t.dtype) if pinned else _core.empty(t.shape, t.dtype)
            if t.numel():
                self._copy(out.data_ptr(), t.data_ptr(), t.nbytes, _TO_HOST)
            self.synchronize()
        return out

    def pinned(self, shape: Sequence[int], kind: dtype) -> Tensor:
        """An uninitialised tensor of the CPU in page-locked memory, which copies need not stage."""
        size = prod(shape) * kind.itemsize
        memory = self.cupy.cuda.alloc_pinned_memory(max(1, size))
        return _core.from_pointer(
            int(memory.ptr), size, tuple(shape), contiguous(shape), kind, "cpu", 0, memory
        )  # fmt: skip

    def is_pinned(self, t: Tensor) -> bool:
        """Whether a CPU tensor's memory is page-locked."""
        return int(self.cupy.cuda.runtime.pointerGetAttributes(t.data_ptr()).type) == 1  # cudaMemoryTypeHost

    # Launches and what can go wrong in them

    def launch(self, symbol: str, launch: Launch, *arguments: Any) -> None:
        """Queues a kernel on the current stream; tensors and addresses become pointers."""
        self.kernels.launch(symbol, launch, [_pointer(a) for a in arguments])

    def faults(self) -> Any:
        """The current device's fault words: kernels that meet a bad index write 1 + its place there and go on."""
        index = self.current()
        if index not in self._faults:
            self._faults[index] = self.cupy.zeros((1,), "int64")
        return self._faults[index]

    def synchronize(self) -> None:
        """Waits for the current stream; then raises IndexError if a kernel met an index out of range."""
        self.cupy.cuda.get_current_stream().synchronize()
        faults = self._faults.get(self.current())
        if faults is None or self.capturing():
            return
        word = int(faults.get()[0])
        if word:
            self.cupy.cuda.runtime.memsetAsync(faults.data.ptr, 0, 8, self.cupy.cuda.get_current_stream().ptr)
            raise IndexError(
                f"an index or target out of range reached cuda:{self.current()} (entry {word - 1} of it); the results "
                "since then are not meaningful"
            )

    def translate(self, error: BaseException) -> NoReturn:
        """Raises CuPy's errors as this library's own."""
        status = getattr(error, "status", None)
        if status in _FATAL:
            raise KernelError(
                f"a kernel failed ({error}). Kernels run later than they are called: with CUDA_LAUNCH_BLOCKING=1 the "
                "traceback shows the op. Nothing on this GPU can be used any more; start a new process"
            ) from error
        if isinstance(error, self.cupy.cuda.memory.OutOfMemoryError):
            raise OutOfMemoryError(self._shortage(getattr(error, "size", 0))) from error
        if isinstance(error, self.errors):
            raise BackendError(f"CUDA: {error}") from error
        raise error

    @property
    def errors(self) -> tuple[type[BaseException], ...]:
        """What CuPy raises for CUDA's errors."""
        cuda = self.cupy.cuda
        return (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError, cuda.memory.OutOfMemoryError)


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides in elements."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.append(step)
        step *= max(1, extent)
    return tuple(reversed(strides))


def _pointer(argument: Any) -> Any:
    if not isinstance(argument, Tensor):
        return argument
    return np.uint64(argument.data_ptr()) if argument.numel() else None


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BackendError(f"{name} cannot be imported: {error}") from error
