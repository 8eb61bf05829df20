"""What a step prints: read through a pipe, so that a step holds no file of the host, and bounded; its end is kept."""

from __future__ import annotations

import os
import threading
from collections import deque
from types import TracebackType
from typing import Self

__all__ = ["Log"]

_KEPT = 1 << 20


class Log:
    """The reading end of a step's output; ``writer`` is for the step and must be closed here once it is started."""

    def __init__(self, most: int) -> None:
        self._reader, self.writer = os.pipe()
        self._most, self._read, self._held = most, 0, 0
        self._chunks: deque[bytes] = deque()
        self._thread = threading.Thread(target=self._drain, name="log", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_writer()
        self._thread.join()
        os.close(self._reader)

    def close_writer(self) -> None:
        """Close this process's copy of the writing end, so that the log ends with the step's processes."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    @property
    def overflowed(self) -> bool:
        """Whether more was printed than is allowed; the rest is read and thrown away until the step is stopped."""
        return self._read > self._most

    def text(self) -> str:
        """The last MiB that was printed; complete once every process of the step is gone."""
        self.close_writer()
        self._thread.join()
        return b"".join(self._chunks)[-_KEPT:].decode("utf-8", "replace")

    def _drain(self) -> None:
        while chunk := os.read(self._reader, 1 << 16):
            self._read += len(chunk)
            self._held += len(chunk)
            self._chunks.append(chunk)
            while self._held - len(self._chunks[0]) > _KEPT:
                self._held -= len(self._chunks.popleft())
