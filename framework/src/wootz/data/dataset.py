"""Datasets: samples by index, or one after the other."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain
from math import floor, isclose
from typing import Any, Protocol, runtime_checkable

import wootz
from wootz._tensor import Tensor

__all__ = [
    "ChainDataset", "ConcatDataset", "Dataset", "IterableDataset", "StackDataset", "Subset", "TensorDataset",
    "random_split",
]  # fmt: skip


@runtime_checkable
class Dataset(Protocol):
    """Anything with ``len()`` and samples by index; subclassing is not needed."""

    def __getitem__(self, index: int, /) -> Any: ...
    def __len__(self) -> int: ...


class IterableDataset:
    """Samples from an iterator: subclasses define ``__iter__``.

    With worker processes each gets a copy and iterates over it: `wootz.data.get_worker_info` says which part is its.
    """

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no __iter__()")

    def __add__(self, other: IterableDataset) -> ChainDataset:
        return ChainDataset([self, other])


class ChainDataset(IterableDataset):
    """Iterable datasets one after the other."""

    def __init__(self, datasets: Iterable[Iterable[Any]]) -> None:
        self.datasets = list(datasets)

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(map(len, self.datasets))  # type: ignore[arg-type]  # len() says which has none


class TensorDataset:
    """Tensors of the same first size; sample i is the tuple of their rows i."""

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("a TensorDataset needs at least one tensor")
        sizes = [tensor.shape[0] if tensor.dim() else None for tensor in tensors]
        if None in sizes or len(set(sizes)) > 1:
            raise ValueError(f"the tensors' first sizes differ: {', '.join(map(str, sizes))}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0])

    def gather(self, indices: Sequence[int]) -> list[Tensor]:
        """A whole batch at once, equal to collating its samples."""
        index = wootz.tensor(list(indices), dtype=wootz.int64)
        return [tensor[index] for tensor in self.tensors]


class StackDataset:
    """Datasets of one length side by side: samples are tuples, or dicts where the datasets are given by name."""

    def __init__(self, *datasets: Dataset, **named: Dataset) -> None:
        if bool(datasets) == bool(named):
            raise ValueError("give datasets either by position or by name")
        held = [*datasets, *named.values()]
        if len({len(dataset) for dataset in held}) > 1:
            raise ValueError(f"the datasets' lengths differ: {', '.join(str(len(dataset)) for dataset in held)}")
        self.datasets: Any = named or datasets
        self._length = len(held[0])

    def __getitem__(self, index: int) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self) -> int:
        return self._length


class ConcatDataset:
    """Datasets one after the other, by index."""

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("a ConcatDataset needs at least one dataset")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise TypeError("an iterable dataset has no samples by index: chain it with ChainDataset")
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} samples")
        at = index % len(self)
        which = bisect_right(self.cumulative_sizes, at)
        return self.datasets[which][at - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class Subset:
    """Some samples of a dataset, by their indices there."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(dataset: Dataset, lengths: Sequence[int | float], generator: Any = None) -> list[Subset]:
    """Disjoint random subsets of the given lengths, or of fractions that sum to 1 (what is left over goes round)."""
    sizes = list(lengths)
    if isclose(sum(sizes), 1) and sum(sizes) <= 1 and any(isinstance(size, float) for size in sizes):
        if any(not 0 <= size <= 1 for size in sizes):
            raise ValueError(f"fractions are in [0, 1], not {lengths}")
        sizes = [floor(len(dataset) * size) for size in sizes]
        for i in range(len(dataset) - int(sum(sizes))):
            sizes[i % len(sizes)] += 1
    if sum(sizes) != len(dataset):
        raise ValueError(f"the lengths sum to {sum(sizes)}, the dataset has {len(dataset)} samples")
    order = wootz.randperm(len(dataset), generator=generator).tolist()
    ends = list(accumulate(map(int, sizes)))
    return [Subset(dataset, order[end - int(size) : end]) for end, size in zip(ends, sizes, strict=True)]
