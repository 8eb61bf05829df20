"""Datasets: samples by index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import wootz
from wootz._tensor import Tensor

__all__ = ["Dataset", "Subset", "TensorDataset"]


@runtime_checkable
class Dataset(Protocol):
    """Anything with ``len()`` and samples by index; subclassing is not needed."""

    def __getitem__(self, index: int, /) -> Any: ...
    def __len__(self) -> int: ...


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


class Subset:
    """Some samples of a dataset, by their indices there."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)
