"""Worker processes of a data loader, seen from the main process."""

from __future__ import annotations

import os
import signal
import socket
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from typing import Any

from wootz.data.fetch import Fetcher
from wootz.data.message import receive, send, socket_pair
from wootz.data.worker import Failure, work
from wootz.errors import WorkerError

__all__ = ["Pool"]

_PATIENCE = 2.0  # seconds a worker has to end by itself
_ends: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _close_inherited() -> None:
    """In a forked child: while it held an end, a worker would not notice that the main process is gone."""
    for end in list(_ends):
        end.close()


os.register_at_fork(after_in_child=_close_inherited)


class _Worker:
    """A process and this side's end of its socket."""

    def __init__(self, context: Any, fetch: Fetcher, number: int, count: int, initialise: Any) -> None:
        self.number, self.exhausted = number, False
        self.end, theirs = socket_pair()
        _ends.add(self.end)
        try:
            self.process = context.Process(
                target=work, args=(theirs, fetch, number, count, initialise), name=f"wootz-loader-{number}", daemon=True
            )
            self.process.start()
        except BaseException:
            self.end.close()
            raise
        finally:
            theirs.close()

    def send(self, *request: Any) -> None:
        try:
            send(self.end, request)
        except OSError as error:
            raise self.death() from error

    def receive(self, timeout: float) -> Any:
        """The next answer. Raises `WorkerError` if the process died, or gave none in ``timeout`` seconds (0: ever)."""
        start = time.monotonic()
        while not wait([self.end], 1.0 if not timeout else min(1.0, timeout)):
            # The socket says so itself unless a process that the worker started still holds its end.
            if not self.process.is_alive() and not wait([self.end], 0):
                raise self.death()
            if timeout and time.monotonic() - start >= timeout:
                raise WorkerError(
                    f"worker {self.number} (pid {self.process.pid}) of the data loader gave no batch within "
                    f"{timeout} s; raise timeout=, or look at what it waits for"
                )
        try:
            return receive(self.end)
        except EOFError:
            raise self.death() from None

    def death(self) -> WorkerError:
        self.process.join(_PATIENCE)
        code = self.process.exitcode
        how = f"exited with status {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            how += ": the system may be out of memory" if code == -signal.SIGKILL else ""
        return WorkerError(f"worker {self.number} (pid {self.process.pid}) of the data loader {how}")


def _shut(workers: list[_Worker], owner: int) -> None:
    if os.getpid() != owner:
        return
    for worker in workers:
        worker.end.close()
    deadline = time.monotonic() + _PATIENCE
    for worker in workers:
        worker.process.join(max(0.0, deadline - time.monotonic()))
        if worker.process.is_alive():
            worker.process.terminate()
            worker.process.join(1.0)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


class Pool:
    """``count`` processes that make batches; the results come in the order of the requests."""

    def __init__(
        self, context: Any, fetch: Fetcher, count: int, initialise: Callable[[int], None] | None, timeout: float
    ) -> None:
        self.timeout, self.turn = timeout, 0
        self.workers: list[_Worker] = []
        self.close = weakref.finalize(self, _shut, self.workers, os.getpid())
        try:
            for number in range(count):
                self.workers.append(_Worker(context, fetch, number, count, initialise))
        except BaseException:
            self.close()
            raise

    def run(self, requests: Iterable[Any], seed: int, prefetch: int) -> Iterator[Any]:
        """One pass: a batch for each request, ``prefetch`` of them asked for ahead of time from each worker.

        Raises what the dataset raised, with the worker's traceback as a note; `WorkerError` if a worker died.
        """
        self.turn += 1
        for worker in self.workers:
            worker.exhausted = False
            worker.send(self.turn, seed)
        requested: deque[_Worker] = deque()
        left, turns = iter(requests), self._turns()
        for _ in range(prefetch * len(self.workers)):
            self._request(left, turns, requested)
        while requested:
            worker = requested.popleft()
            good, answer = self._answer(worker)
            if isinstance(answer, Failure) and not good:
                raise answer.exception()
            if not good:
                worker.exhausted = True
            self._request(left, turns, requested)
            if good:
                yield answer

    def _turns(self) -> Iterator[_Worker]:
        """Workers in rotation, without those that have no more."""
        while live := [worker for worker in self.workers if not worker.exhausted]:
            for worker in live:
                if not worker.exhausted:
                    yield worker

    def _request(self, left: Iterator[Any], turns: Iterator[_Worker], requested: deque[_Worker]) -> None:
        worker = next(turns, None)
        if worker is None:
            return
        for indices in left:
            worker.send(self.turn, None, indices)
            requested.append(worker)
            return

    def _answer(self, worker: _Worker) -> tuple[bool, Any]:
        """A worker's next answer of this pass: those of a pass that was left early are dropped."""
        while True:
            turn, good, answer = worker.receive(self.timeout)
            if turn == self.turn:
                return good, answer
