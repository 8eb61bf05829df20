"""Contestants that take turns, so that a busy machine is busy for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

__all__ = ["Times", "take_turns"]

Times = dict[str, list[float]]


def take_turns(contestants: Mapping[str, Callable[[], object]], rounds: int) -> Times:
    """Seconds of each contestant in each round, in turns, after one round that does not count."""
    times: Times = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            if number:
                times[name].append(time.perf_counter() - start)
    return times
