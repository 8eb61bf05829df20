"""Weighted sums of neighbours along one dimension, of which interpolation and average pooling are made."""

from __future__ import annotations

from functools import lru_cache

import wootz
from wootz import _core
from wootz._tensor import Tensor

__all__ = ["Rows", "resample"]

Rows = tuple[tuple[int, ...], tuple[tuple[float, ...], ...]]  # of each result: where its neighbours start, and weights


@lru_cache(maxsize=256)
def _tables(rows: Rows, device: str) -> tuple[Tensor, Tensor]:
    return (
        wootz.tensor(rows[0], dtype=wootz.int64, device=device),
        wootz.tensor(rows[1], dtype=wootz.float64, device=device),
    )


def resample(input: Tensor, dim: int, rows: Rows) -> Tensor:
    """Along one dimension, sums of consecutive elements with the weights of ``rows``."""
    start, weight = _tables(rows, str(input.device))
    return _core.resample(input, dim, start, weight)
