"""The watch over a running step: wall time, processes, memory, output and log, looked at several times a second.

It needs no control group and no privilege, so it is the same watch on every machine. The whole process namespace is
killed at once when a limit is passed: a disk filler gains a fraction of a second at most. Processes are counted by the
kernel as well, which lets no step overshoot; here they are looked at so that the limit can be named.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from pathlib import Path

from millcert.sandbox.inside import Inside
from millcert.sandbox.log import Log
from millcert.sandbox.model import Step

__all__ = ["Watch"]

_INTERVAL = 0.1
_BLOCK = 512  # of st_blocks, whatever the file system's own


class Watch:
    """Bounds of one step, held against what its processes use; ``stop`` is a descriptor to be read when to give up."""

    def __init__(self, step: Step, log: Log, stop: int) -> None:
        self._output, self._limits, self._log, self._stop = step.output, step.limits, log, stop

    def until_exit(self, keeper: int, inside: Inside | None) -> str:
        """Wait for the keeper of a step; the limit that the step passed, or nothing. KeyboardInterrupt when stopped."""
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
                if inside and inside.is_made() and (exceeded := self._passed(inside)):
                    return exceeded

    def _passed(self, inside: Inside) -> str:
        processes = list(inside.processes())
        if sum(process.threads for process in processes) > self._limits.processes:
            return f"processes = {self._limits.processes}"
        if sum(process.resident for process in processes) > self._limits.memory_mib << 20:
            return f"memory_mib = {self._limits.memory_mib}"
        device = self._output.stat().st_dev
        unlinked = {
            file.st_ino: file.st_blocks * _BLOCK
            for process in processes
            for file in inside.open_files(process)
            if file.st_dev == device and file.st_nlink == 0
        }
        if exceeded := self.passed_on_disk(sum(unlinked.values())):
            return exceeded
        return f"output_mib = {self._limits.output_mib} (in /tmp)" if inside.temporary_files_are_full() else ""

    def passed_on_disk(self, unlinked: int = 0) -> str:
        """The limit that log or output are past, if any; ``unlinked`` bytes of the output have no name any more."""
        if self._log.overflowed:
            return f"log_mib = {self._limits.log_mib}"
        if _size(self._output) + unlinked > self._limits.output_mib << 20:
            return f"output_mib = {self._limits.output_mib}"
        return ""


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
