"""The order in which samples are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any

import wootz

__all__ = ["BatchSampler", "RandomSampler", "SequentialSampler"]


class SequentialSampler:
    """0, 1, 2, ..."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler:
    """A new permutation each time, from ``generator`` or the default one."""

    def __init__(self, data_source: Sized, generator: Any = None) -> None:
        self.data_source, self.generator = data_source, generator

    def __iter__(self) -> Iterator[int]:
        return iter(wootz.randperm(len(self.data_source), generator=self.generator).tolist())

    def __len__(self) -> int:
        return len(self.data_source)


class BatchSampler:
    """Groups another sampler's indices; the last group may be smaller, or with ``drop_last`` is left out."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise ValueError(f"batch_size is an int of at least 1, not {batch_size!r}")
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __iter__(self) -> Iterator[list[int]]:
        batch: list[int] = []
        for index in self.sampler:
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch
                batch = []
        if batch and not self.drop_last:
            yield batch

    def __len__(self) -> int:
        samples = len(self.sampler)  # type: ignore[arg-type]  # len() says itself if the sampler has none
        return samples // self.batch_size if self.drop_last else -(-samples // self.batch_size)
