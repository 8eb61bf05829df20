"""What tensors hold of a device's memory."""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["Block", "Usage"]


class Block:
    """Memory of the pool under a tensor's storage; its death is what the statistics count."""

    __slots__ = ("_memory", "_usage", "size")

    def __init__(self, memory: Any, size: int, usage: Usage) -> None:
        self._memory, self.size, self._usage = memory, size, usage
        usage.add(size)

    def __del__(self) -> None:
        self._usage.add(-self.size)


class Usage:
    """Bytes that tensors hold on one device, and the most they ever held."""

    def __init__(self) -> None:
        self.allocated = self.peak = self.allocations = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self.allocated += size
            self.allocations += size > 0
            self.peak = max(self.peak, self.allocated)
