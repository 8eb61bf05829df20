"""Objects from one process to another: the bytes lie in shared memory, and a socket carries its descriptor.

The memory has no name: it is gone with the last process that holds it, however that ends, and /dev/shm's size does not
limit it. A message on the socket is one byte and a descriptor, so that neither side ever waits for the other to read.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import struct
import tempfile
from typing import Any

__all__ = ["receive", "send", "socket_pair"]

_ALIGN = 64
_SMALL = 1 << 16  # bytes that are read rather than mapped: a process has some 65,000 mappings at most


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """Two ends that keep messages apart and notice when the other is gone."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _descriptor() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("wootz-batch", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile(dir="/dev/shm") as file:  # a Python that was built for an older C library
        return os.dup(file.fileno())


def _layout(sizes: list[int]) -> tuple[list[int], int]:
    """Where each part starts, behind their sizes, and where all of it ends."""
    starts, at = [], 8 * (1 + len(sizes))
    for size in sizes:
        at = -(-at // _ALIGN) * _ALIGN
        starts.append(at)
        at += size
    return starts, at


def send(end: socket.socket, value: Any) -> None:
    """Pickles a value, its arrays and tensors copied once, into shared memory. Raises OSError if the peer is gone."""
    buffers: list[pickle.PickleBuffer] = []
    parts: list[Any] = [pickle.dumps(value, protocol=5, buffer_callback=buffers.append)]
    parts += [buffer.raw() for buffer in buffers]
    sizes = [len(part) for part in parts]
    starts, total = _layout(sizes)
    with os.fdopen(_descriptor(), "wb") as file:
        file.write(struct.pack(f"<{1 + len(sizes)}q", len(sizes), *sizes))
        for start, part in zip(starts, parts, strict=True):
            file.seek(start)
            file.write(part)
        file.truncate(total)
        file.flush()
        socket.send_fds(end, [b"m"], [file.fileno()], socket.MSG_NOSIGNAL)


def receive(end: socket.socket) -> Any:
    """The next value; its arrays and tensors lie in the shared memory itself. Raises EOFError if the peer is gone."""
    try:
        mark, descriptors, _, _ = socket.recv_fds(end, 1, 1)
    except ConnectionResetError:
        raise EOFError from None
    if not mark:
        raise EOFError
    with os.fdopen(descriptors[0], "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= _SMALL:
            memory = memoryview(bytearray(os.pread(file.fileno(), size, 0)))
        else:
            memory = memoryview(mmap.mmap(file.fileno(), size))
    (count,) = struct.unpack_from("<q", memory)
    sizes = list(struct.unpack_from(f"<{count}q", memory, 8))
    head, *buffers = (memory[start : start + n] for start, n in zip(_layout(sizes)[0], sizes, strict=True))
    return pickle.loads(head, buffers=buffers)  # noqa: S301  # from a process of our own
