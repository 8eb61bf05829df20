"""Progress on standard error: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TransferSpeedColumn as Speed

from millcert.cli.console import messages
from millcert.hermetic.build import Built

__all__ = ["BuildProgress", "FetchProgress", "RebuildProgress"]


class FetchProgress:
    """Bytes of pinned files as they arrive (or are sent); says nothing when all are there already."""

    def __init__(self, doing: str = "fetching pinned files", done: str = "fetched, every one checked") -> None:
        self._doing, self._done = doing, done
        self._lock = threading.Lock()
        self._files: dict[str, tuple[int, int]] = {}
        self._missing: set[str] = set()
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Speed())
        self._live = Progress(*columns, console=messages(), transient=True)
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._live.stop()
            if kind is None:
                total = sum(self._files[name][1] for name in self._missing)
                messages().print(f"{len(self._missing)} files, {total / 1e6:.1f} MB {self._done}")

    def __call__(self, filename: str, received: int, size: int) -> None:
        with self._lock:
            self._files[filename] = (received, size)
            if received >= size and filename not in self._missing:
                return
            self._missing.add(filename)
            if self._task is None:
                messages().print(self._doing)
                self._task = self._live.add_task("fetch", total=None)
                if messages().is_terminal:
                    self._live.start()
            have = sum(self._files[name][0] for name in self._missing)
            self._live.update(self._task, completed=have, total=sum(self._files[name][1] for name in self._missing))


class BuildProgress:
    """Steps as they start and finish; a build that finds everything in the store prints nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._live = Progress(*columns, console=messages(), transient=True)
        self._running: list[str] = []
        self._task: TaskID | None = None
        self._waited = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._live.stop()

    def waiting(self, node: str) -> None:
        """Another build with this store makes a step; said once, since most of that build's steps may follow."""
        with self._lock:
            said, self._waited = self._waited, True
        if not said:
            messages().print(f"{node}: another build is at it; its steps are awaited, not run twice", markup=False)

    def started(self, node: str) -> None:
        """A step begins to run."""
        with self._lock:
            if self._task is None:
                self._task = self._live.add_task("build", total=None)
                if messages().is_terminal:
                    self._live.start()
            self._running.append(node)
            self._show()

    def finished(self, built: Built) -> None:
        """A step has its output; only steps that ran are told of."""
        with self._lock:
            if built.cached or self._task is None:
                return
            if built.node in self._running:
                self._running.remove(built.node)
            self._live.advance(self._task)
            self._show()
            if not messages().is_terminal:
                messages().print(f"{built.node}: {built.end - built.start:.1f} s", markup=False)

    def _show(self) -> None:
        assert self._task is not None
        self._live.update(self._task, description=", ".join(self._running[-2:]) or "build")


class RebuildProgress:
    """Steps of several rebuilds at once, counted from the lines that each says; a tenth at a time off a terminal."""

    _STEP = re.compile(r"\S+: [0-9.]+ s")

    def __init__(self, names: Sequence[str], steps: int) -> None:
        self._lock = threading.Lock()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._live = Progress(*columns, console=messages(), transient=True)
        self._steps = steps
        self._done = dict.fromkeys(names, 0)
        self._tasks = {name: self._live.add_task(name, total=steps) for name in names}

    def __enter__(self) -> Self:
        if messages().is_terminal:
            self._live.start()
        else:
            messages().print(f"{len(self._done)} rebuilds of {self._steps} steps each", markup=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def heard(self, name: str, line: str) -> None:
        """A rebuild said a line."""
        if not self._STEP.fullmatch(line):
            return
        with self._lock:
            self._done[name] += 1
            done = self._done[name]
            self._live.update(self._tasks[name], completed=done)
            if not messages().is_terminal and done * 10 // self._steps > (done - 1) * 10 // self._steps:
                messages().print(f"{name}: {done} of {self._steps} steps", markup=False)
