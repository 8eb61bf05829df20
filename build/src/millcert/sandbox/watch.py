"""The watch over a running step: wall time, processes, memory and output size, looked at several times a second.

It needs no control group and no privilege. The whole pid namespace is killed at once when a limit is passed, so
a fork bomb or a disk filler gains a fraction of a second at most.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from pathlib import Path

from millcert.targets import Limits

__all__ = ["Watch"]

_INTERVAL = 0.2
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Watch:
    """Bounds of one step, held against what its processes use."""

    def __init__(self, pid: int, output: Path, limits: Limits, stop: threading.Event) -> None:
        self._pid, self._output, self._limits, self._stop = pid, output, limits, stop

    def until_exit(self, process: subprocess.Popen[bytes]) -> str:
        """Wait for the process; the text of the limit it passed, or an empty one."""
        end = time.monotonic() + self._limits.wall_seconds
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(min(_INTERVAL, max(0.01, end - time.monotonic())))
                return ""
            if self._stop.is_set():
                raise KeyboardInterrupt
            if time.monotonic() >= end:
                return f"wall_seconds = {self._limits.wall_seconds}"
            if exceeded := self._passed():
                return exceeded

    def _passed(self) -> str:
        members = _descendants(self._pid)
        if len(members) > self._limits.processes:
            return f"processes = {self._limits.processes}"
        if sum(map(_resident, members)) > self._limits.memory_mib << 20:
            return f"memory_mib = {self._limits.memory_mib}"
        if _size(self._output) > self._limits.output_mib << 20:
            return f"output_mib = {self._limits.output_mib}"
        return ""


def _descendants(pid: int) -> list[int]:
    """All processes below one, by parent links: inside a pid namespace an orphan's parent is the namespace's pid 1."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names only, and many times a second
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                stat = Path(f"/proc/{name}/stat").read_bytes()
                parent = int(stat.rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _resident(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    return 0


def _size(folder: Path) -> int:
    total = 0
    for base, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(f"{base}/{name}").st_blocks * 512
    return total
