"""Samples and batches from a dataset: the part of loading that workers do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from wootz.data.collate import default_collate
from wootz.data.dataset import IterableDataset

__all__ = ["Fetcher", "is_iterable"]


def is_iterable(dataset: Any) -> bool:
    """Whether samples come from an iterator and not by index."""
    return isinstance(dataset, IterableDataset) or not hasattr(dataset, "__getitem__")


class Fetcher:
    """Makes a batch of each list of indices; of an iterable dataset, only their number counts.

    Without ``batched``, an index at a time gives a sample. A dataset's ``gather(indices)`` or ``__getitems__(indices)``
    is taken where there is one.
    """

    def __init__(self, dataset: Any, collate: Callable[[Any], Any], batched: bool, drop_last: bool) -> None:
        self.dataset, self.collate, self.batched, self.drop_last = dataset, collate, batched, drop_last
        self.iterator: Iterator[Any] | None = None

    def start(self) -> None:
        """Begins a pass over the dataset."""
        self.iterator = iter(self.dataset) if is_iterable(self.dataset) else None

    def __call__(self, indices: Any) -> Any:
        """The next batch or sample. Raises StopIteration where an iterable dataset has no more."""
        if self.iterator is not None:
            return self._from_iterator(indices)
        if not self.batched:
            return self.collate(self.dataset[indices])
        gather = getattr(self.dataset, "gather", None)
        if gather is not None and self.collate is default_collate:
            return gather(indices)
        return self.collate(self._samples(indices))

    def _samples(self, indices: Sequence[int]) -> list[Any]:
        together = getattr(self.dataset, "__getitems__", None)
        return list(together(indices)) if together else [self.dataset[index] for index in indices]

    def _from_iterator(self, indices: Any) -> Any:
        assert self.iterator is not None
        if not self.batched:
            return self.collate(next(self.iterator))
        samples = list(islice(self.iterator, len(indices)))
        if not samples or (self.drop_last and len(samples) < len(indices)):
            raise StopIteration
        return self.collate(samples)
