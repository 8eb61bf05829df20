"""Operands of the standard's functions: arrays of one dtype, whatever mixture of arrays and Python numbers is given."""

from __future__ import annotations

import builtins
from typing import Any

from wootz import _core
from wootz._core import Tensor, dtype

__all__ = ["axes", "pair", "promoted", "scalar_fits"]

Number = builtins.bool | builtins.int | builtins.float | builtins.complex


def scalar_fits(value: Any, kind: dtype) -> builtins.bool:
    """Whether a Python number takes an array's dtype: of its own kind or a smaller one, bool with bool alone."""
    if isinstance(value, builtins.bool):
        return kind == _core.bool
    if isinstance(value, builtins.int):
        return kind != _core.bool
    if isinstance(value, builtins.float):
        return kind.is_floating_point or kind.is_complex
    return isinstance(value, builtins.complex) and kind.is_complex


def promoted(*operands: Any) -> list[Tensor]:
    """All operands in the dtype that their arrays' dtypes promote to; 0-d arrays count like any other.

    Raises TypeError without an array, or for a number that is of another kind than the arrays.
    """
    arrays = [x for x in operands if isinstance(x, Tensor)]
    if not arrays:
        raise TypeError(f"expected at least one array, got {', '.join(type(x).__name__ for x in operands)}")
    kind = arrays[0].dtype
    for x in arrays[1:]:
        kind = _core.promote_types(kind, x.dtype)
    out = []
    for x in operands:
        if not isinstance(x, Tensor):
            if not scalar_fits(x, kind):
                raise TypeError(
                    f"a Python {type(x).__name__} does not go with an array of {kind.name}; use astype first"
                )
            x = _core.full((), x, kind).to(arrays[0].device)
        out.append(x if x.dtype == kind else _core.cast(x, kind))
    return out


def pair(x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    """`promoted` of two."""
    first, second = promoted(x1, x2)
    return first, second


def axes(axis: Any, ndim: builtins.int) -> tuple[builtins.int, ...]:
    """An axis argument (None: all) as a tuple of non-negative numbers. Raises IndexError for one that is not there."""
    given = tuple(range(ndim)) if axis is None else (axis,) if isinstance(axis, builtins.int) else tuple(axis)
    for a in given:
        if not -ndim <= a < ndim:
            raise IndexError(f"axis {a} is out of bounds for an array of {ndim} dimensions")
    wrapped = tuple(a % ndim for a in given)
    if len(set(wrapped)) < len(wrapped):
        raise ValueError(f"an axis is named twice in {axis}")
    return wrapped
