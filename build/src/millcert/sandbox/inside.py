"""A running step seen from outside: its processes, open files and temporary files, as its own /proc and /tmp show them.

A step's /proc lists the step alone, so that a look costs the same however much else the machine does. A step can mount
nothing over either.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from millcert.errors import SandboxError

__all__ = ["Inside", "Process"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True)
class Process:
    """A process by its number inside, with its threads and its resident bytes."""

    number: str
    threads: int
    resident: int


class Inside:
    """The world of a step; ``first`` is the number outside of the first process in it."""

    def __init__(self, first: int) -> None:
        self._root = f"/proc/{first}/root"
        self._folders = contextlib.ExitStack()
        self._proc = self._temporary = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folders.close()

    def is_made(self) -> bool:
        """Whether bubblewrap is done with making it: before, no step runs. SandboxError where it cannot be seen."""
        if self._proc >= 0:
            return True
        try:
            with contextlib.ExitStack() as stack:
                proc, temporary = self._open("proc", stack), self._open("tmp", stack)
                # the first process starts out in the machine's own root
                if os.fstat(proc).st_dev == os.stat("/proc").st_dev:  # noqa: PTH116
                    return False
                self._proc, self._temporary, self._folders = proc, temporary, stack.pop_all()
        except (FileNotFoundError, ProcessLookupError):
            return False
        except OSError as error:
            raise SandboxError("a step that cannot be watched is not run", reason=error) from error
        return True

    def _open(self, name: str, stack: contextlib.ExitStack) -> int:
        descriptor = os.open(f"{self._root}/{name}", _FOLDER)
        stack.callback(os.close, descriptor)
        return descriptor

    def processes(self) -> Iterator[Process]:
        """All processes of the step, and the first, which is bubblewrap's own."""
        for name in os.listdir(self._proc):  # noqa: PTH208 - names only, and many times a second
            if name.isdigit():
                with contextlib.suppress(OSError, ValueError, IndexError):
                    # proc(5), after the name in brackets: 17 threads, 21 resident pages
                    fields = self._head(f"{name}/stat").rpartition(b")")[2].split()
                    yield Process(name, int(fields[17]), int(fields[21]) * _PAGE)

    def open_files(self, process: Process) -> Iterator[os.stat_result]:
        """The state of each file that a process holds open."""
        with contextlib.suppress(OSError):
            folder = os.open(f"{process.number}/fd", _FOLDER, dir_fd=self._proc)
            try:
                for name in os.listdir(folder):  # noqa: PTH208
                    with contextlib.suppress(OSError):
                        yield os.stat(name, dir_fd=folder)
            finally:
                os.close(folder)

    def temporary_files_are_full(self) -> bool:
        """Whether no byte is left in ``/tmp``."""
        return os.fstatvfs(self._temporary).f_bavail == 0

    def _head(self, path: str) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            return os.read(descriptor, 1024)
        finally:
            os.close(descriptor)
