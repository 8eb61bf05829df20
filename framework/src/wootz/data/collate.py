"""Putting samples together to a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import wootz
from wootz._tensor import Tensor

__all__ = ["default_collate", "default_convert"]


def default_convert(data: Any) -> Any:
    """Arrays as tensors, inside tuples, lists and dicts too; anything else as it is."""
    if isinstance(data, (np.ndarray, np.generic)) and data.dtype.kind in "?biufc":
        return wootz.from_numpy(np.asarray(data))
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, (tuple, list)):
        values = [default_convert(value) for value in data]
        return type(data)(*values) if hasattr(data, "_fields") else type(data)(values)
    return data


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
    if isinstance(first, float):
        return wootz.tensor(list(batch), dtype=wootz.float64)
    if isinstance(first, np.generic):
        return wootz.from_numpy(np.asarray(batch, dtype=first.dtype))
    if isinstance(first, (bool, int)):
        return wootz.tensor(list(batch))
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
