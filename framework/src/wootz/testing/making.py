"""Making tensors for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import wootz
from wootz._tensor import Tensor

__all__ = ["make_tensor"]


def make_tensor(
    *shape: int | Sequence[int],
    dtype: Any = None,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    seed: int | None = None,
) -> Tensor:
    """A tensor of random values in [low, high): by default [-9, 9) for numbers, 0 and 1 for bools.

    ``noncontiguous`` takes every second element of a larger one; ``seed`` makes it the same every time.
    """
    size: tuple[int, ...] = tuple(n for part in shape for n in ((part,) if isinstance(part, int) else part))
    kind = dtype or wootz.get_default_dtype()
    rng = np.random.default_rng(seed)
    fractional = kind.is_floating_point or kind.is_complex
    least = low if low is not None else -9 if kind.is_signed else 0
    most = high if high is not None else 2 if kind is wootz.bool else 9 if fractional else 10
    full = (*size[:-1], size[-1] * 2) if noncontiguous and size else size
    values = rng.uniform(least, most, full) if fractional else rng.integers(int(least), int(most), full)
    if kind.is_complex:
        values = values + 1j * rng.uniform(least, most, full)
    out = wootz.tensor(np.asarray(values), dtype=kind)
    out = out[..., ::2] if noncontiguous and size else out
    return out.requires_grad_(requires_grad)
