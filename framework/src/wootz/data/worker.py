"""What runs in a worker process of a data loader."""

from __future__ import annotations

import pickle
import random
import signal
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import wootz
from wootz.data.fetch import Fetcher
from wootz.data.message import receive, send
from wootz.errors import WorkerError

__all__ = ["Failure", "WorkerInfo", "get_worker_info", "work"]


@dataclass
class WorkerInfo:
    """Which worker this process is."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """Id, number of workers, seed and this process's copy of the dataset; None outside a worker."""
    return _info


class Failure:
    """An exception on its way to the process that waits for the batch."""

    def __init__(self, error: Exception, worker: int) -> None:
        self.text = f"in worker {worker} of the data loader:\n{''.join(traceback.format_exception(error))}"
        try:
            self.pickled = pickle.dumps(error)
            pickle.loads(self.pickled)  # noqa: S301  # our own; some exceptions can be pickled, but not back
        except Exception:
            self.pickled = b""

    def exception(self) -> Exception:
        """The exception itself with the worker's traceback as a note, or a `WorkerError` where it cannot travel."""
        if not self.pickled:
            return WorkerError(self.text)
        error: Exception = pickle.loads(self.pickled)  # noqa: S301  # from a process of our own
        error.add_note(self.text)
        return error


def work(
    end: socket.socket, fetch: Fetcher, worker: int, num_workers: int, initialise: Callable[[int], None] | None
) -> None:
    """Answers requests until the other end is closed.

    A request is (pass, seed) to begin a pass over the dataset, or (pass, None, indices) for a batch. An answer is
    (pass, True, batch), (pass, False, failure), or (pass, False, None) where there are no more batches.
    """
    global _info
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process, which then ends this one
    wootz.set_num_threads(1)
    failure: Failure | None = None
    fresh = True
    try:
        while True:
            turn, seed, *indices = receive(end)
            if seed is None:
                send(end, (turn, *_answer(fetch, indices[0], failure, worker)))
                continue
            _seed(seed + worker)
            _info = WorkerInfo(worker, num_workers, seed + worker, fetch.dataset)
            failure = _begin(fetch, worker, initialise if fresh else None)
            fresh = False
    except (EOFError, BrokenPipeError):
        return


def _seed(seed: int) -> None:
    wootz.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def _begin(fetch: Fetcher, worker: int, initialise: Callable[[int], None] | None) -> Failure | None:
    try:
        if initialise is not None:
            initialise(worker)
        fetch.start()
    except Exception as error:
        return Failure(error, worker)
    return None


def _answer(fetch: Fetcher, indices: Any, failure: Failure | None, worker: int) -> tuple[bool, Any]:
    if failure is not None:
        return False, failure
    try:
        batch = fetch(indices)
        pickle.dumps(batch, protocol=5, buffer_callback=lambda _: None)  # what cannot be sent is an error here
        return True, batch
    except StopIteration:
        return False, None
    except Exception as error:
        return False, Failure(error, worker)
