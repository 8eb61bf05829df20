"""Waiting for threads in a way that Ctrl-C ends."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

__all__ = ["first_ended"]

T = TypeVar("T")

# A signal's handler runs in the main thread, between two steps of its program. A signal that another thread takes, or
# that comes just before the main thread falls asleep on a lock, wakes nobody: so the main thread looks up by itself.
_LOOK_UP = 0.1


def first_ended(running: Collection[Future[T]]) -> set[Future[T]]:
    """Wait until one of them ends, or several at once; those. KeyboardInterrupt whichever thread took the signal."""
    ended: set[Future[T]] = set()
    while not ended:
        ended, _ = wait(running, _LOOK_UP, FIRST_COMPLETED)
    return ended
