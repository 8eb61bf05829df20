"""The order in which samples are taken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np

import wootz

__all__ = [
    "BatchSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler", "WeightedRandomSampler",
]  # fmt: skip


class Sampler:
    """Indices of samples, anew each time it is iterated over; subclassing is not needed, any iterable will do."""

    def __init__(self, data_source: Sized | None = None) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__()")


class SequentialSampler(Sampler):
    """0, 1, 2, ..."""

    data_source: Sized

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """A new permutation each time, from ``generator`` or the default one.

    ``num_samples`` draws that many instead of all; ``replacement`` draws each independently of the others.
    """

    data_source: Sized

    def __init__(
        self, data_source: Sized, replacement: bool = False, num_samples: int | None = None, generator: Any = None
    ) -> None:
        super().__init__(data_source)
        if num_samples is not None and num_samples < 1:
            raise ValueError(f"num_samples is at least 1, not {num_samples}")
        self.replacement, self._num_samples, self.generator = replacement, num_samples, generator

    @property
    def num_samples(self) -> int:
        """How many are drawn: as many as there are, unless said otherwise."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        size, left = len(self.data_source), self.num_samples
        if self.replacement:
            yield from wootz.randint(0, size, (left,), generator=self.generator).tolist()
            return
        while left > 0:
            order = wootz.randperm(size, generator=self.generator).tolist()[:left]
            if not order:
                return
            left -= len(order)
            yield from order

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices in a new random order each time."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        super().__init__()
        self.indices, self.generator = indices, generator

    def __iter__(self) -> Iterator[int]:
        return (self.indices[i] for i in wootz.randperm(len(self.indices), generator=self.generator).tolist())

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """``num_samples`` indices with probabilities in proportion to ``weights``.

    Without ``replacement`` each comes once at most (Efraimidis & Spirakis 2006); there have to be as many of positive
    weight. Raises ValueError for weights that are negative, not finite or all zero.
    """

    def __init__(
        self, weights: Sequence[float], num_samples: int, replacement: bool = True, generator: Any = None
    ) -> None:
        super().__init__()
        self.weights = np.asarray(weights, dtype=np.float64)
        bad = self.weights.ndim != 1 or not np.isfinite(self.weights).all() or (self.weights < 0).any()
        if bad or not self.weights.sum() > 0:
            raise ValueError("weights are finite numbers of at least 0 in one dimension, not all of them 0")
        if num_samples < 1:
            raise ValueError(f"num_samples is at least 1, not {num_samples}")
        if not replacement and num_samples > (self.weights > 0).sum():
            raise ValueError(f"{num_samples} samples are more than the positive weights, and each may come once only")
        self.num_samples, self.replacement, self.generator = num_samples, replacement, generator

    def __iter__(self) -> Iterator[int]:
        count = self.num_samples if self.replacement else len(self.weights)
        draws = wootz.rand(count, generator=self.generator, dtype=wootz.float64).numpy()
        if self.replacement:
            ends = self.weights.cumsum()
            # A draw at the very end may round up to it, and weights of zero end where the one before does.
            chosen = np.searchsorted(ends, draws * ends[-1], side="right").clip(max=np.flatnonzero(self.weights)[-1])
        else:
            with np.errstate(divide="ignore"):
                keys = np.log1p(-draws) / self.weights  # an exponential race, the highest first
                keys[self.weights == 0] = -np.inf
            chosen = np.argsort(-keys, kind="stable")[: self.num_samples]
        return iter(chosen.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Groups another sampler's indices; the last group may be smaller, or with ``drop_last`` is left out."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool = False) -> None:
        super().__init__()
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
