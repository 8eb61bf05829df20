"""The watch over a running step: wall time, processes, memory, output and log, looked at several times a second.

It needs no control group and no privilege, so it is the same watch on every machine. The whole process namespace is
killed at once when a limit is passed: a fork bomb or a disk filler gains a fraction of a second at most.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from millcert.sandbox.log import Log
from millcert.sandbox.model import Step

__all__ = ["Watch"]

_INTERVAL = 0.1
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BLOCK = 512  # of st_blocks, whatever the file system's own


@dataclass(frozen=True)
class _Process:
    number: int
    threads: int
    resident: int


class Watch:
    """Bounds of one step, held against what its processes use; ``stop`` is a descriptor to be read when to give up."""

    def __init__(self, step: Step, log: Log, stop: int) -> None:
        self._output, self._limits, self._log, self._stop = step.output, step.limits, log, stop

    def until_exit(self, keeper: int) -> str:
        """Wait for a process with all below it; the limit they passed, or nothing. KeyboardInterrupt when stopped."""
        end = time.monotonic() + self._limits.wall_seconds
        with contextlib.closing(os.fdopen(os.pidfd_open(keeper))) as process:
            while True:
                patience = min(_INTERVAL, max(0.0, end - time.monotonic()))
                ready, _, _ = select.select([process.fileno(), self._stop], [], [], patience)
                if self._stop in ready:
                    raise KeyboardInterrupt
                if ready:
                    return ""
                if time.monotonic() >= end:
                    return f"wall_seconds = {self._limits.wall_seconds}"
                if exceeded := self._passed(keeper):
                    return exceeded

    def _passed(self, keeper: int) -> str:
        members = list(_members(keeper))
        if sum(member.threads for member in members) > self._limits.processes:
            return f"processes = {self._limits.processes}"
        if sum(member.resident for member in members) > self._limits.memory_mib << 20:
            return f"memory_mib = {self._limits.memory_mib}"
        return self.passed_on_disk(members)

    def passed_on_disk(self, members: list[_Process] | None = None) -> str:
        """The limit that log, output or temporary files are past, if any; ``members`` are the living processes."""
        if self._log.overflowed:
            return f"log_mib = {self._limits.log_mib}"
        most = self._limits.output_mib << 20
        if _size(self._output) + _size_unlinked(self._output, members or []) > most:
            return f"output_mib = {self._limits.output_mib}"
        with contextlib.suppress(OSError):
            # bubblewrap's own process comes first, and may still be outside
            temporary = os.statvfs(f"/proc/{members[-1].number}/root/tmp") if members else None
            if temporary and temporary.f_bavail == 0 and temporary.f_blocks << 12 == most:
                return f"output_mib = {self._limits.output_mib} (in /tmp)"
        return ""


def _members(keeper: int) -> Iterator[_Process]:
    """All processes below one, each after its parent; the keeper adopts orphans, so that nothing gets away."""
    children: dict[int, list[_Process]] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names only, and many times a second
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # proc(5), after the name in brackets: 1 parent, 17 threads, 21 resident pages
                fields = _head(f"/proc/{name}/stat").rpartition(b")")[2].split()
                found = _Process(int(name), int(fields[17]), int(fields[21]) * _PAGE)
                children.setdefault(int(fields[1]), []).append(found)
    todo = [keeper]
    while todo:
        below = children.get(todo.pop(), [])
        todo += [member.number for member in below]
        yield from below


def _head(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)  # half the time of a file object, for every process of the machine
    try:
        return os.read(descriptor, 1024)
    finally:
        os.close(descriptor)


def _size(folder: Path) -> int:
    total, seen = 0, set()
    for base, folders, files in os.walk(folder):
        for name in [*files, *folders]:
            with contextlib.suppress(OSError):
                state = os.lstat(f"{base}/{name}")
                if state.st_nlink == 1 or state.st_ino not in seen:
                    total += max(state.st_blocks * _BLOCK, 0)
                    seen.add(state.st_ino)
    return total


def _size_unlinked(folder: Path, members: list[_Process]) -> int:
    """Bytes of files on the output's file system that are open and have no name any more."""
    device = folder.stat().st_dev
    found: dict[int, int] = {}
    for member in members:
        with contextlib.suppress(OSError), os.scandir(f"/proc/{member.number}/fd") as descriptors:
            for descriptor in descriptors:
                with contextlib.suppress(OSError):
                    state = descriptor.stat()
                    if state.st_dev == device and state.st_nlink == 0:
                        found[state.st_ino] = state.st_blocks * _BLOCK
    return sum(found.values())
