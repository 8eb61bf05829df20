"""An emulated GPU for tests: a stand-in for the `cupy` module, for machines that have none.

It is no GPU and proves nothing about speed or about CUDA itself. What it does: device memory is a region of its own
that the process cannot touch, not even to read, except while a "kernel" or a CuPy function runs, so that an op that
falls back to the CPU's kernels dies of a segmentation fault instead of passing. Kernels are the project's real sources
compiled for the host (tests/wootz/cuda/emulator.py); every pointer they get is checked to lie in a live allocation of
the current device, and bytes around allocations are checked when they are freed. Arrays are a type of their own that
refuses implicit conversion and host arrays, as CuPy's does. NumPy computes what CuPy's array functions would.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from tests.support.emulated_cublas import cublas

from wootz.backend import geometry

__all__ = ["FUNCTIONS", "EmulatedCupy"]

# What the backend may call of CuPy's array functions; a test holds the names against CuPy where it is installed.
FUNCTIONS = (
    "abs", "absolute", "add", "all", "amax", "amin", "any", "arange", "arccos", "arccosh", "arcsin", "arcsinh",
    "angle", "conj", "arctan", "arctan2", "arctanh", "argmax", "argmin", "argsort", "argwhere", "array", "asarray",
    "ascontiguousarray", "bitwise_and", "bitwise_or", "bitwise_xor", "broadcast_to", "ceil", "clip", "concatenate",
    "cos", "cosh", "cumprod", "cumsum", "divide", "empty", "equal", "exp", "exp2", "expm1", "eye", "flip", "floor",
    "floor_divide", "full", "greater", "greater_equal", "invert", "isfinite", "isinf", "isnan", "less", "less_equal",
    "log", "log10", "log1p", "log2", "logical_and", "logical_not", "logical_or", "logical_xor", "matmul", "maximum",
    "minimum", "multiply", "negative", "nonzero", "not_equal", "ones", "pad", "power", "prod", "remainder", "rint",
    "round", "sign", "sin", "sinh", "sort", "sqrt", "square", "stack", "subtract", "sum", "take", "take_along_axis",
    "tan", "tanh", "tril", "triu", "true_divide", "trunc", "unique", "where", "zeros",
)  # fmt: skip
_ADDABLE = {np.dtype(t) for t in ("f2", "f4", "f8", "i4", "u4", "u8", "c8", "c16")}  # what atomicAdd knows
_MEMORY = ("empty", "zeros")  # which only allocate and clear
DEVICES, REGION, ALIGNMENT = 2, 192 << 20, 512
_NOTHING, _READ_WRITE = 0, 3
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class CUDARuntimeError(RuntimeError):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class CUDADriverError(RuntimeError):
    status = 0


class OutOfMemoryError(MemoryError):
    pass


class Region:
    """The memory of all devices, closed to the process unless something runs on them."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, DEVICES * REGION)
        self.start = ctypes.addressof(ctypes.c_char.from_buffer(self._map))
        self._depth = 0
        self.live: list[dict[int, int]] = [{} for _ in range(DEVICES)]
        self._next = [self.start + d * REGION for d in range(DEVICES)]
        self._free: list[dict[int, list[int]]] = [{} for _ in range(DEVICES)]
        self.broken: list[str] = []
        self.limit = REGION
        self._close(_NOTHING)

    def _close(self, protection: int) -> None:
        assert _libc.mprotect(self.start, DEVICES * REGION, protection) == 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """While this lasts, something runs on the device."""
        self._depth += 1
        if self._depth == 1:
            self._close(_READ_WRITE)
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._close(_NOTHING)

    def used(self, device: int) -> int:
        return sum(self.live[device].values())

    def allocate(self, device: int, size: int) -> int:
        room = -(-max(size, 1) // ALIGNMENT) * ALIGNMENT + ALIGNMENT
        if self.used(device) + size > self.limit:
            raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes (emulated).")
        waiting = self._free[device].setdefault(room, [])
        block = waiting.pop() if waiting else self._next[device]
        if block == self._next[device]:
            self._next[device] += room
            if self._next[device] > self.start + (device + 1) * REGION:
                raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes (emulated).")
        self.live[device][block] = size
        with self.open():
            ctypes.memset(block, 0xA5, room)  # also what lies before the next block
        return block

    def free(self, device: int, address: int) -> None:
        size = self.live[device].pop(address)
        room = -(-max(size, 1) // ALIGNMENT) * ALIGNMENT + ALIGNMENT
        with self.open():
            after = ctypes.string_at(address + size, room - size)
        if after.strip(b"\xa5"):
            self.broken.append(f"bytes after an allocation of {size} on device {device} were written")
        self._free[device].setdefault(room, []).append(address)

    def check(self, device: int, address: int, what: str) -> None:
        """That an address is in a live allocation of a device."""
        for start, size in self.live[device].items():
            if start <= address < start + max(size, 1):
                return
        raise CUDARuntimeError(700, f"cudaErrorIllegalAddress: {what} got {address:#x}, no memory of device {device}")


class Memory:
    """A block of a device, given back when it dies."""

    def __init__(self, cupy: EmulatedCupy, device: int, size: int) -> None:
        self._cupy, self.device_id, self.size = cupy, device, size
        self.ptr = cupy.region.allocate(device, size)

    def __del__(self) -> None:
        if hasattr(self, "ptr"):
            self._cupy.region.free(self.device_id, self.ptr)


class MemoryPointer:
    def __init__(self, mem: Any, offset: int = 0) -> None:
        self.mem, self.ptr, self.device_id = mem, mem.ptr + offset, mem.device_id
        self.device = SimpleNamespace(id=mem.device_id)


class ndarray:  # CuPy's name
    """An array on the emulated device. Its bytes are reached only through `host`, while the region is open."""

    __array_ufunc__ = None

    def __init__(
        self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, cupy: Any = None
    ) -> None:
        self._cupy = cupy or EmulatedCupy.latest
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)
        self.size = int(np.prod(self.shape, dtype=int))
        self.itemsize, self.ndim = self.dtype.itemsize, len(self.shape)
        self.nbytes = self.size * self.itemsize
        self.data = memptr or self._cupy.cuda.alloc(self.nbytes)
        self.strides = tuple(strides) if strides is not None else np.empty(self.shape, "?").strides
        if strides is None:
            self.strides = tuple(s * self.itemsize for s in self.strides)
        self.device = self.data.device
        self.base = getattr(self.data.mem, "sources", None)

    def host(self) -> np.ndarray[Any, Any]:
        if self.size == 0:
            return np.empty(self.shape, self.dtype)
        reach = sum((n - 1) * max(s, 0) for n, s in zip(self.shape, self.strides, strict=True)) + self.itemsize
        before = sum((n - 1) * min(s, 0) for n, s in zip(self.shape, self.strides, strict=True))
        raw = (ctypes.c_char * (reach - before)).from_address(self.data.ptr + before)
        return np.ndarray(self.shape, self.dtype, raw, -before, self.strides)

    @property
    def flags(self) -> Any:
        dense = np.lib.stride_tricks.as_strided(np.empty(1, self.dtype), self.shape, self.strides)
        return SimpleNamespace(c_contiguous=dense.flags.c_contiguous)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape, "typestr": self.dtype.str, "data": (self.data.ptr, False), "version": 3,
            "strides": self.strides, "stream": 1,
        }  # fmt: skip

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array "
            "explicitly."
        )

    def get(self) -> np.ndarray[Any, Any]:
        if not self.flags.c_contiguous:
            self._cupy.compiles("get of scattered memory")
        self._cupy.waits()
        with self._cupy.region.open():
            return self.host().copy()

    def fill(self, value: Any) -> None:
        self[...] = value

    def __getitem__(self, key: Any) -> Any:
        return self._cupy.apply("getitem", lambda a, k: a[k], self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        def write(array: Any, k: Any, v: Any) -> None:
            array[k] = v

        self._cupy.apply("setitem", write, self, key, value)

    def __getattr__(self, name: str) -> Any:
        if name not in ("astype", "reshape", "ravel", "any", "argmax", "copy", "sum", "view", "transpose", "squeeze"):
            raise AttributeError(f"the emulated CuPy array has no {name!r}")
        return lambda *a, **k: self._cupy.apply(name, lambda x, *b: getattr(x, name)(*b, **k), self, *a)


def _operator(name: str) -> Any:
    return lambda self, *others: self._cupy.apply(name, lambda x, *y: getattr(x, name)(*y), self, *others)


_OPERATORS = (
    "add", "radd", "sub", "rsub", "mul", "rmul", "truediv", "rtruediv", "floordiv", "mod", "pow", "neg", "lt", "le",
    "gt", "ge", "eq", "ne", "and", "or", "xor", "invert",
)  # fmt: skip
for _name in _OPERATORS:
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
ndarray.__hash__ = None  # type: ignore[assignment]


class Stream:
    """A queue that runs at once; while it is captured, it only remembers."""

    def __init__(self, null: bool = False, non_blocking: bool = False, priority: Any = None, cupy: Any = None) -> None:
        self._cupy = cupy or EmulatedCupy.latest
        self.ptr = 0 if null else id(self)
        self.log: list[Callable[[], None]] | None = None
        self.done = True
        self._before: list[Stream] = []

    def __enter__(self) -> Stream:
        self._before.append(self._cupy.stream)
        self._cupy.stream = self
        return self

    def __exit__(self, *_: object) -> None:
        self._cupy.stream = self._before.pop()

    def synchronize(self) -> None:
        if self.log is not None:
            raise CUDARuntimeError(900, "cudaErrorStreamCaptureUnsupported: operation not permitted when capturing")

    def wait_event(self, event: Any) -> None:
        assert event.recorded, "an event is waited for that was never recorded"

    def is_capturing(self) -> bool:
        return self.log is not None

    def begin_capture(self, mode: Any = None) -> None:
        assert self.ptr, "the null stream cannot be captured"
        self.log = []

    def end_capture(self) -> Any:
        assert self.log is not None
        log, self.log = self.log, None

        def launch(stream: Any = None) -> None:
            for work in log:
                work()

        return SimpleNamespace(launch=launch, log=log)


class Event:
    clock = 0.0

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self.recorded, self.done, self.timed = False, True, not disable_timing

    def record(self, stream: Any = None) -> None:
        Event.clock += 1
        self.recorded, self.at = True, Event.clock

    def synchronize(self) -> None:
        assert self.recorded


class EmulatedCupy:
    """The module: ``EmulatedCupy(emulator)`` stands where ``import cupy`` would."""

    latest: Any = None
    __name__ = "cupy"

    def __init__(self, emulator: Any) -> None:
        EmulatedCupy.latest = self
        self.emulator, self.region = emulator, Region()
        self.device, self.launches = 0, []  # type: ignore[var-annotated]
        self.compiled: list[str] = []
        self.null = self.stream = Stream(null=True, cupy=self)
        self.pinned: dict[int, Any] = {}
        self.waits_of_others: list[int] = []
        self.ndarray, self._allocator = ndarray, None
        self.cuda = _cuda(self)

    def waits(self) -> None:
        self.stream.synchronize()

    def queue(self, work: Callable[[], None]) -> None:
        """Runs now, or is remembered by the stream that is being captured."""
        if self.stream.log is not None:
            self.stream.log.append(work)
        else:
            work()

    def _plain(self, value: Any) -> Any:
        if isinstance(value, ndarray):
            assert value.device.id == self.device, "an array of another device"
            return value.host()
        if isinstance(value, np.ndarray):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        if isinstance(value, (list, tuple)):
            return type(value)(self._plain(x) for x in value)
        return value

    def compiles(self, name: str) -> None:
        """Notes a call for which CuPy compiles a kernel when it first meets its types; a test may forbid them."""
        self.compiled.append(name)

    def apply(self, name: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """A NumPy function on device arrays; what it makes is on the device, and its views stay views."""
        with self.region.open():
            with np.errstate(all="ignore"):
                result = function(*map(self._plain, arguments), **{k: self._plain(v) for k, v in options.items()})
            made = self._wrap(result, arguments)
        if name not in _MEMORY and not (isinstance(made, ndarray) and made.base is not None):  # views need no kernel
            self.compiles(name)
        if self.stream.log is not None:
            self.stream.log.append(lambda: self._again(function, arguments, options, made))
        return made

    def _again(self, function: Any, arguments: Any, options: Any, made: Any) -> None:
        with self.region.open(), np.errstate(all="ignore"):
            result = function(*map(self._plain, arguments), **{k: self._plain(v) for k, v in options.items()})
            if isinstance(made, ndarray) and not np.shares_memory(result, made.host()):
                made.host()[...] = result

    def _wrap(self, value: Any, sources: Any = ()) -> Any:
        if isinstance(value, (tuple, list)):
            return type(value)(self._wrap(x, sources) for x in value)
        if not isinstance(value, (np.ndarray, np.generic)):
            return value
        array = np.asarray(value)
        address = array.__array_interface__["data"][0]
        if self.region.start <= address < self.region.start + DEVICES * REGION and array.size:
            view = SimpleNamespace(ptr=address, device_id=self.device, sources=sources)  # which own the memory
            return ndarray(array.shape, array.dtype, MemoryPointer(view), array.strides, self)
        out = ndarray(array.shape, array.dtype, cupy=self)
        if array.size:
            out.host()[...] = array
        return out

    def asarray(self, value: Any) -> Any:
        if isinstance(value, ndarray):
            return value
        if hasattr(value, "__cuda_array_interface__"):
            told = value.__cuda_array_interface__
            memory = SimpleNamespace(ptr=told["data"][0], device_id=self.device, owner=value)
            return ndarray(told["shape"], told["typestr"], MemoryPointer(memory), told["strides"], self)
        return self._wrap(np.asarray(value).copy())

    def get_default_memory_pool(self) -> Any:
        region, device = self.region, self.device
        total = region._next[device] - region.start - device * REGION
        return SimpleNamespace(
            total_bytes=lambda: total, free_bytes=lambda: total - region.used(device), free_all_blocks=lambda: None,
            used_bytes=lambda: region.used(device),
        )  # fmt: skip

    def get_default_pinned_memory_pool(self) -> Any:
        return SimpleNamespace(free_all_blocks=lambda: None)

    def RawModule(self, path: str) -> Any:  # CuPy's name
        def structures(name: str) -> Any:
            assert name == "wootz_structures"
            return MemoryPointer(SimpleNamespace(ptr=self.emulator.structures(Path(path).stem), device_id=self.device))

        return SimpleNamespace(get_global=structures, get_function=self._function)

    def _function(self, symbol: str) -> Callable[..., None]:
        kinds = self.emulator.signature(symbol)

        def run(grid: Any, block: Any, arguments: tuple[Any, ...], shared_mem: int = 0) -> None:
            assert len(arguments) == len(kinds), f"{symbol}: {len(arguments)} arguments for {len(kinds)} parameters"
            given = [
                self._argument(symbol, i, kind, a) for i, (kind, a) in enumerate(zip(kinds, arguments, strict=True))
            ]
            self.launches.append(symbol)

            def work() -> None:
                with self.region.open():
                    self._check_slots(symbol, given)
                    self.emulator.launch(symbol, geometry.Launch(grid, block), *given)

            self.queue(work)

        return run

    def _argument(self, symbol: str, position: int, kind: str, value: Any) -> Any:
        what = f"argument {position} of {symbol}"
        if kind == "p":
            if value is None:
                return None
            address = value.data.ptr if isinstance(value, ndarray) else value
            assert isinstance(address, (np.uint64, int)), f"{what} is a pointer, not {type(value).__name__}"
            self.region.check(self.device, int(address), what)
            return np.uint64(address)
        if isinstance(value, np.ndarray) and value.size != 1:
            raise TypeError(f"You are trying to pass a numpy.ndarray of shape {value.shape} as a kernel parameter.")
        assert isinstance(value, (np.generic, np.ndarray)) and not isinstance(value, np.void), f"{what}: {type(value)}"
        assert value.itemsize == int(kind), f"{what} takes {kind} bytes, got {value.itemsize}"
        return np.frombuffer(value.tobytes(), np.dtype((np.void, value.itemsize)))[0]

    def _check_slots(self, symbol: str, given: list[Any]) -> None:
        """The addresses inside an optimiser's table."""
        if not symbol.startswith(("sgd_", "adam_")):
            return
        count = int(np.frombuffer(given[1].tobytes(), "i4")[0])
        table = np.frombuffer(
            (ctypes.c_char * (count * geometry.SLOT.itemsize)).from_address(int(given[0])), geometry.SLOT
        )
        for row in table:
            for address in (row["parameter"], row["gradient"], *row["state"]):
                if address:
                    self.region.check(self.device, int(address), f"a slot of {symbol}")

    def __getattr__(self, name: str) -> Any:
        if name not in FUNCTIONS:
            raise AttributeError(f"the emulated CuPy has no {name!r}: add it to FUNCTIONS if CuPy has it")
        function = getattr(np, name)
        if name in ("empty", "zeros", "ones", "full", "arange", "eye"):
            return lambda *a, **k: self.apply(name, lambda: function(*a, **k))

        def call(*arguments: Any, **options: Any) -> Any:
            return self.apply(name, function, *arguments, **options)

        call.at = self._at(name)  # type: ignore[attr-defined]
        return call

    def _at(self, name: str) -> Callable[..., None]:
        def at(array: Any, key: Any, values: Any) -> None:
            if array.dtype not in _ADDABLE:
                raise TypeError(f"{name}.at is not supported for {array.dtype}")
            self.apply(f"{name}.at", lambda a, k, v: getattr(np, name).at(a, k, v), array, key, values)

        return at


def _cuda(cupy: EmulatedCupy) -> Any:
    """The part of `cupy.cuda` that the backend uses."""

    class Device:
        def __init__(self, index: int) -> None:
            self.id = index

        def use(self) -> None:
            cupy.device = self.id

        def __enter__(self) -> None:
            self._before, cupy.device = cupy.device, self.id

        def __exit__(self, *_: object) -> None:
            cupy.device = self._before

    def alloc(size: int) -> Any:
        return cupy._allocator(size) if cupy._allocator else MemoryPointer(Memory(cupy, cupy.device, size))

    def unowned(ptr: int, size: int, owner: Any, device_id: int = -1) -> Any:
        return SimpleNamespace(ptr=ptr, size=size, owner=owner, device_id=device_id)

    def pinned(size: int) -> Any:
        buffer = ctypes.create_string_buffer(size)
        cupy.pinned[ctypes.addressof(buffer)] = size
        return SimpleNamespace(ptr=ctypes.addressof(buffer), buffer=buffer)

    @contextmanager
    def using_allocator(allocator: Any) -> Iterator[None]:
        before, cupy._allocator = cupy._allocator, allocator
        try:
            yield
        finally:
            cupy._allocator = before

    def external(pointer: int) -> Any:
        return SimpleNamespace(wait_event=lambda event: cupy.waits_of_others.append(pointer))

    class MemoryPool:
        def malloc(self, size: int) -> Any:
            return MemoryPointer(Memory(cupy, cupy.device, size))

    memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
    device = SimpleNamespace(get_cublas_handle=lambda: 1)
    return SimpleNamespace(
        Device=Device, Stream=_stream_class(cupy), Event=Event, MemoryPointer=MemoryPointer, MemoryPool=MemoryPool,
        UnownedMemory=unowned, ExternalStream=external, alloc=alloc, alloc_pinned_memory=pinned,
        using_allocator=using_allocator, set_allocator=lambda allocator: setattr(cupy, "_allocator", allocator),
        get_current_stream=lambda: cupy.stream, get_elapsed_time=lambda a, b: b.at - a.at, memory=memory, device=device,
        driver=SimpleNamespace(CUDADriverError=CUDADriverError), runtime=_runtime(cupy), cublas=cublas(cupy),
        nvrtc=SimpleNamespace(getVersion=lambda: (12, 9)),
    )  # fmt: skip


def _stream_class(cupy: EmulatedCupy) -> Any:
    class Made(Stream):
        null = cupy.null

        def __init__(self, **options: Any) -> None:
            super().__init__(cupy=cupy, **options)

    return Made


def _runtime(cupy: EmulatedCupy) -> Any:
    def copy(to: int, source: int, size: int, kind: int, stream: int) -> None:
        for address, on_device in ((to, kind in (1, 3)), (source, kind in (2, 3))):
            inside = cupy.region.start <= address < cupy.region.start + DEVICES * REGION
            assert inside == on_device, f"a copy of kind {kind} between {source:#x} and {to:#x}"

        def work() -> None:
            with cupy.region.open():
                ctypes.memmove(to, source, size)

        cupy.queue(work)

    def clear(address: int, value: int, size: int, stream: int) -> None:
        cupy.region.check(cupy.device, address, "memset")

        def work() -> None:
            with cupy.region.open():
                ctypes.memset(address, value, size)

        cupy.queue(work)

    def attributes(address: int) -> Any:
        held = any(start <= address < start + size for start, size in cupy.pinned.items())
        return SimpleNamespace(type=1 if held else 0)

    properties = {"name": b"emulated", "major": 9, "minor": 0}
    return SimpleNamespace(
        CUDARuntimeError=CUDARuntimeError, getDevice=lambda: cupy.device, getDeviceCount=lambda: DEVICES,
        memcpyAsync=copy, memsetAsync=clear, runtimeGetVersion=lambda: 12090, deviceSynchronize=cupy.waits,
        pointerGetAttributes=attributes,
        memcpyPeerAsync=lambda to, _, source, __, size, stream: copy(to, source, size, 3, stream),
        memGetInfo=lambda: (REGION - cupy.region.used(cupy.device), REGION), getDeviceProperties=lambda _: properties,
    )  # fmt: skip
