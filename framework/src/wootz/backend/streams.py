"""Streams, events and graphs: what orders the work on a GPU."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

from wootz.backend.capture import Capture, Reader
from wootz.backend.current import active
from wootz.device import Device
from wootz.errors import DeviceError

__all__ = ["CUDAGraph", "Event", "Stream", "capturing", "graph", "reading"]

_local = threading.local()


class Stream:
    """A queue of work on a device, in order; work on two streams may overlap. Use with `wootz.cuda.stream`.

    Memory is handed out for the stream it was asked on. A tensor that another stream still reads must not die before:
    keep a reference until an event after the last use is done.
    """

    def __init__(self, device: Device | str | int | None = None, priority: int = 0) -> None:
        backend = active()
        index = device if isinstance(device, int) else None if device is None else Device(device).index
        with backend.on(index) as index:
            self.raw: Any = backend.cupy.cuda.Stream(non_blocking=True, priority=priority or None)
            self.device = Device("cuda", index)

    @classmethod
    def of(cls, raw: Any, index: int) -> Stream:
        """A stream that CuPy has already."""
        made = cls.__new__(cls)
        made.raw, made.device = raw, Device("cuda", index)
        return made

    @property
    def cuda_stream(self) -> int:
        """The driver's handle."""
        return int(self.raw.ptr)

    def synchronize(self) -> None:
        """Waits until everything queued so far is done."""
        self.raw.synchronize()

    def query(self) -> bool:
        """Whether everything queued so far is done."""
        return bool(self.raw.done)

    def wait_event(self, event: Event) -> None:
        """What is queued from now on starts after the event; the host does not wait."""
        self.raw.wait_event(event.raw)

    def wait_stream(self, other: Stream) -> None:
        """What is queued from now on starts after all that is queued on another stream now."""
        self.wait_event(other.record_event())

    def record_event(self, event: Event | None = None) -> Event:
        """Marks this place of the queue."""
        event = event or Event()
        event.record(self)
        return event

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self.cuda_stream, self.device) == (other.cuda_stream, other.device)

    def __hash__(self) -> int:
        return hash((self.cuda_stream, self.device))

    def __repr__(self) -> str:
        return f"<wootz.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class Event:
    """A mark in a stream; with ``enable_timing`` two of them measure what lies between."""

    def __init__(self, enable_timing: bool = False) -> None:
        self.raw: Any = active().cupy.cuda.Event(disable_timing=not enable_timing)
        self._timed = enable_timing

    def record(self, stream: Stream | None = None) -> None:
        """Puts the mark at the end of a stream, or of the current one."""
        self.raw.record(stream.raw if stream is not None else active().cupy.cuda.get_current_stream())

    def wait(self, stream: Stream | None = None) -> None:
        """What is queued on a stream (or the current one) from now on starts after this."""
        raw = stream.raw if stream is not None else active().cupy.cuda.get_current_stream()
        raw.wait_event(self.raw)

    def query(self) -> bool:
        """Whether the work before the mark is done."""
        return bool(self.raw.done)

    def synchronize(self) -> None:
        """Waits until the work before the mark is done."""
        self.raw.synchronize()

    def elapsed_time(self, end: Event) -> float:
        """Milliseconds from this mark to another. Raises ValueError unless both were made with ``enable_timing``."""
        if not (self._timed and end._timed):
            raise ValueError("both events have to be made with enable_timing=True")
        return float(active().cupy.cuda.get_elapsed_time(self.raw, end.raw))


class CUDAGraph:
    """Work that was captured once and is launched as a whole, without Python or launch latency.

    `replay` runs the same kernels on the same memory: copy new inputs into the tensors that the captured code read, and
    read its results from the tensors that it made. The rates of SGD, Adam and AdamW and Adam's count of steps are read
    anew and go on counting at each replay, so that schedulers work; random numbers are those that the same code would
    draw now. Other numbers of the host's are fixed at capture. Memory comes from a pool of the graph's own that lives
    as long as it.
    """

    def __init__(self) -> None:
        self._graph: Any = None
        self._pool: Any = None
        self._capture = Capture()

    @property
    def pool(self) -> Any:
        """The memory pool of what was captured."""
        return self._pool

    def replay(self) -> None:
        """Queues the captured work on the current stream."""
        if self._graph is None:
            raise DeviceError("this graph has captured nothing: use `with wootz.cuda.graph(g): ...` first")
        backend = active()
        self._capture.refresh(backend.write)
        self._graph.launch(stream=backend.cupy.cuda.get_current_stream())

    def reset(self) -> None:
        """Forgets what was captured and frees its memory."""
        self._graph = self._pool = None
        self._capture = Capture()


@contextmanager
def graph(cuda_graph: CUDAGraph, stream: Stream | None = None) -> Iterator[None]:
    """Captures what is queued within a ``with`` block into a graph, on a stream of its own; nothing runs yet.

    Run the code once before, so that state exists and CuPy has compiled what it runs. Reading a result (``item``,
    ``print``) while capturing is an error of the driver's.
    """
    if cuda_graph._graph is not None:
        raise DeviceError("this graph has captured already: reset() it first, or use another")
    backend = active()
    chosen = stream or Stream()
    backend.faults()
    chosen.raw.synchronize()
    cuda_graph._pool = backend.cupy.cuda.MemoryPool()
    with ExitStack() as stack:
        stack.enter_context(backend.on(chosen.device.index))
        backend.kernels.load()
        stack.enter_context(backend.cupy.cuda.using_allocator(cuda_graph._pool.malloc))
        stack.enter_context(backend.keeping(cuda_graph._capture))
        stack.enter_context(chosen.raw)
        chosen.raw.begin_capture()
        _local.capturing = True
        try:
            yield
        except BaseException:
            _abandon(chosen)
            cuda_graph.reset()
            raise
        finally:
            _local.capturing = False
        cuda_graph._graph = chosen.raw.end_capture()


def _abandon(stream: Stream) -> None:
    try:
        stream.raw.end_capture()
    except active().errors:
        return  # the capture was broken by what went wrong in it


def capturing() -> bool:
    """Whether this thread is inside a `graph` block: what it does now runs later, once a replay."""
    return getattr(_local, "capturing", False)


def reading(read: Reader) -> AbstractContextManager[None]:
    """Says how the numbers of the op in a ``with`` block are read anew at each replay of the graph being captured."""
    return active().reading(read) if capturing() else nullcontext()
