"""Sizes that may be given once for all dimensions or one by one."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Ints", "each"]

Ints = int | Sequence[int]


def each(value: Ints, n: int, what: str) -> list[int]:
    """``n`` numbers: one (or a sequence of one) stands for all. Raises ValueError for another count."""
    numbers = [value] * n if isinstance(value, int) else [int(v) for v in value]
    if len(numbers) == 1:
        numbers *= n
    if len(numbers) != n:
        raise ValueError(f"{what} is one number or {n} of them, not {value!r}")
    return numbers
