"""Batches from a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import wootz
from wootz._tensor import Tensor
from wootz.data.dataset import Dataset
from wootz.data.sampler import BatchSampler, RandomSampler, SequentialSampler

__all__ = ["DataLoader", "default_collate"]


def default_collate(batch: Sequence[Any]) -> Any:
    """Stacks samples along a new first dimension, inside tuples, lists and dicts too.

    Numbers and arrays become tensors; strings and bytes stay lists. Raises TypeError for anything else, ValueError for
    samples of different structure.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return wootz.stack(list(batch))
    if isinstance(first, np.ndarray):
        return wootz.from_numpy(np.stack(batch))
    if isinstance(first, (bool, int, float, np.generic)):
        return wootz.tensor([x.item() if isinstance(x, np.generic) else x for x in batch])
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        if any(set(sample) != set(first) for sample in batch):
            raise ValueError("the samples of a batch have different keys")
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        if any(len(sample) != len(first) for sample in batch):
            raise ValueError("the samples of a batch have different lengths")
        columns = [default_collate(column) for column in zip(*batch, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else columns
    raise TypeError(f"samples are tensors, arrays, numbers, strings, or tuples, lists and dicts of them: {type(first)}")


class DataLoader:
    """Iterates over a dataset in batches, in this process.

    ``shuffle`` draws a new order for every pass from ``generator`` (or the default one); ``sampler`` gives the order
    instead, ``batch_sampler`` whole batches of indices. ``drop_last`` leaves out a smaller last batch. ``batch_size``
    None gives single samples as they are. Raises ValueError for options that exclude each other.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int | None = 1,
        shuffle: bool = False,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        collate_fn: Callable[[Sequence[Any]], Any] = default_collate,
        drop_last: bool = False,
        generator: Any = None,
    ) -> None:
        if sampler is not None and shuffle:
            raise ValueError("sampler excludes shuffle")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        if batch_size is None and drop_last:
            raise ValueError("without batches there is no last one to drop")
        self.dataset, self.batch_size, self.collate_fn, self.drop_last = dataset, batch_size, collate_fn, drop_last
        order = sampler if sampler is not None else _order(dataset, shuffle, generator)
        self.sampler: Iterable[int] = order
        self.batch_sampler = batch_sampler
        if batch_sampler is None and batch_size is not None:
            self.batch_sampler = BatchSampler(order, batch_size, drop_last)

    def __iter__(self) -> Iterator[Any]:
        if self.batch_sampler is None:
            return (self.dataset[index] for index in self.sampler)
        return (self._batch(indices) for indices in self.batch_sampler)

    def _batch(self, indices: Sequence[int]) -> Any:
        gather = getattr(self.dataset, "gather", None)
        if gather is not None and self.collate_fn is default_collate:
            return gather(indices)
        return self.collate_fn([self.dataset[index] for index in indices])

    def __len__(self) -> int:
        return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]  # as above


def _order(dataset: Dataset, shuffle: bool, generator: Any) -> Iterable[int]:
    return RandomSampler(dataset, generator) if shuffle else SequentialSampler(dataset)
