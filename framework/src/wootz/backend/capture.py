"""What a captured graph needs to run again: memory to keep, and numbers of the host's that it reads anew each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor

__all__ = ["Capture", "Reader"]

Reader = Callable[[], Sequence[float]]
_WORD = 2**64


class Capture:
    """Filled while a graph is captured, between `begin` and `end`; ``write`` puts an array's numbers into a tensor."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.live: list[tuple[Tensor, Reader]] = []
        self.shift: Tensor | None = None  # what a replay adds to the number of every random draw
        self._first = self._draws = 0

    def begin(self) -> None:
        """Notes where the default generator is."""
        self._first = _core.random_state()[1]

    def end(self) -> None:
        """Gives the draws back that capturing took: nothing has run."""
        seed, now = _core.random_state()
        self._draws = now - self._first
        _core.set_random_state(seed, self._first)

    def refresh(self, write: Callable[[Tensor, np.ndarray[Any, Any]], None]) -> None:
        """Before a replay: reads every number, and takes from the generator what the same code would."""
        for held, read in self.live:
            write(held, np.array(read(), np.float64))
        seed, now = _core.random_state()
        if self.shift is not None:
            write(self.shift, np.array([(now - self._first) % _WORD], np.uint64))
        _core.set_random_state(seed, now + self._draws)
