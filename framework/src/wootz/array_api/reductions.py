"""Searching, sorting, sets and statistics under the standard's names and signatures."""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import wootz
from wootz import _core
from wootz._core import Tensor, dtype
from wootz.array_api.promotion import axes, pair
from wootz.ops.array_op import array_op

__all__ = [
    "all", "any", "argmax", "argmin", "argsort", "count_nonzero", "cumulative_prod", "cumulative_sum", "diff", "max",
    "mean", "min", "nonzero", "prod", "searchsorted", "sort", "std", "sum", "unique_all", "unique_counts",
    "unique_inverse", "unique_values", "var", "where",
]  # fmt: skip

Axis = builtins.int | tuple[builtins.int, ...] | None


def argmax(x: Tensor, /, *, axis: builtins.int | None = None, keepdims: builtins.bool = False) -> Tensor:
    """The place of the first largest element along an axis, or in the flattened array."""
    return _core.argmax(x, axis, keepdims)


def argmin(x: Tensor, /, *, axis: builtins.int | None = None, keepdims: builtins.bool = False) -> Tensor:
    """The place of the first smallest element along an axis, or in the flattened array."""
    return _core.argmin(x, axis, keepdims)


def count_nonzero(x: Tensor, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
    """How many elements differ from zero."""
    return _over(_core.sum, _core.ne(x, 0), axis, keepdims)


def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """The indices of the elements that differ from zero, one array an axis. Raises ValueError for a 0-d array."""
    if x.ndim == 0:
        raise ValueError("nonzero: a 0-d array has no indices")
    return wootz.unbind(_core.nonzero(x).T.contiguous())


def searchsorted(x1: Tensor, x2: Any, /, *, side: str = "left", sorter: Tensor | None = None) -> Tensor:
    """Where in the sorted x1 each element of x2 would be put in."""
    values = x2 if isinstance(x2, Tensor) else _core.full((), x2, x1.dtype)
    return wootz.searchsorted(x1, values, side=side, sorter=sorter)


def where(condition: Tensor, x1: Any, x2: Any, /) -> Tensor:
    """x1 where the condition holds, x2 elsewhere."""
    return _core.where(condition, *pair(x1, x2))


def argsort(
    x: Tensor, /, *, axis: builtins.int = -1, descending: builtins.bool = False, stable: builtins.bool = True
) -> Tensor:
    """The indices that sort along an axis."""
    return wootz.argsort(x, axis, descending, stable)


def sort(
    x: Tensor, /, *, axis: builtins.int = -1, descending: builtins.bool = False, stable: builtins.bool = True
) -> Tensor:
    """The elements in order along an axis."""
    return wootz.sort(x, axis, descending, stable=stable).values


class UniqueAll(NamedTuple):
    """What `unique_all` finds."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` finds."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` finds."""

    values: Tensor
    inverse_indices: Tensor


@array_op()
def _unique(xp: Any, x: Any) -> Any:
    values, first, inverse, counts = xp.unique(
        x.reshape(-1), return_index=True, return_inverse=True, return_counts=True, equal_nan=False
    )
    return values, first, inverse.reshape(x.shape), counts


def unique_all(x: Tensor, /) -> UniqueAll:
    """The different values, where each first is, which one each element is, and how often each is there."""
    return UniqueAll(*_unique.many(x))


def unique_counts(x: Tensor, /) -> UniqueCounts:
    """The different values and how often each is there."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: Tensor, /) -> UniqueInverse:
    """The different values and which one each element is."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: Tensor, /) -> Tensor:
    """The different values."""
    return unique_all(x).values


def _over(op: Any, x: Tensor, axis: Axis, keepdims: builtins.bool, **rest: Any) -> Tensor:
    """A reduction over the axes named; an empty tuple reduces over none."""
    which = axes(axis, x.ndim)
    if not which and x.ndim:
        x, which, keepdims = x.unsqueeze(0), (0,), False
    found: Tensor = op(x, which, keepdim=keepdims, **rest)
    return found


def _summed(x: Tensor, kind: dtype | None) -> Tensor:
    """What is added up: small integers as int64."""
    if kind is None and not (x.dtype.is_floating_point or x.dtype.is_complex):
        kind = _core.int64
    return x if kind is None or kind == x.dtype else _core.cast(x, kind)


def sum(x: Tensor, /, *, axis: Axis = None, dtype: dtype | None = None, keepdims: builtins.bool = False) -> Tensor:
    """The sum; integers are added up as int64 unless a dtype is given."""
    return _core.cast(_over(_core.sum, _summed(x, dtype), axis, keepdims), dtype or _summed(x, dtype).dtype)


def prod(x: Tensor, /, *, axis: Axis = None, dtype: dtype | None = None, keepdims: builtins.bool = False) -> Tensor:
    """The product; integers are multiplied as int64 unless a dtype is given."""
    out = _summed(x, dtype)
    kind = out.dtype
    for a in sorted(axes(axis, x.ndim), reverse=True):
        out = _core.prod(out, a, keepdims)
    return out if out.dtype == kind else _core.cast(out, kind)


def max(x: Tensor, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
    """The largest element."""
    return _over(_core.amax, x, axis, keepdims)


def min(x: Tensor, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
    """The smallest element."""
    return _over(_core.amin, x, axis, keepdims)


def mean(x: Tensor, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
    """The arithmetic mean of floating-point numbers."""
    return _over(_core.mean, x, axis, keepdims)


def var(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: builtins.bool = False) -> Tensor:
    """The variance: squared deviations divided by the count less ``correction``."""
    return _over(_core.var, x, axis, keepdims, correction=correction)


def std(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: builtins.bool = False) -> Tensor:
    """The square root of `var`."""
    return _core.sqrt(var(x, axis=axis, correction=correction, keepdims=keepdims))


def all(x: Tensor, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
    """Whether every element differs from zero."""
    return _over(_core.all, x, axis, keepdims)


def any(x: Tensor, /, *, axis: Axis = None, keepdims: builtins.bool = False) -> Tensor:
    """Whether an element differs from zero."""
    return _over(_core.any, x, axis, keepdims)


def _cumulative(
    op: Any, x: Tensor, axis: builtins.int | None, kind: dtype | None, initial: builtins.bool, start: builtins.int
) -> Tensor:
    if axis is None and x.ndim > 1:
        raise ValueError(f"an axis is needed for an array of {x.ndim} dimensions")
    where = 0 if axis is None else axes(axis, x.ndim)[0]
    given = _summed(x, kind)
    out: Tensor = op(given, where)
    if not initial:
        return out
    shape = list(out.shape)
    shape[where] = 1
    return _core.cat([_core.full(shape, start, out.dtype).to(out.device), out], where)


def cumulative_sum(
    x: Tensor,
    /,
    *,
    axis: builtins.int | None = None,
    dtype: dtype | None = None,
    include_initial: builtins.bool = False,
) -> Tensor:
    """The sums of the elements so far, beginning with 0 under ``include_initial``."""
    return _cumulative(wootz.cumsum, x, axis, dtype, include_initial, 0)


def cumulative_prod(
    x: Tensor,
    /,
    *,
    axis: builtins.int | None = None,
    dtype: dtype | None = None,
    include_initial: builtins.bool = False,
) -> Tensor:
    """The products of the elements so far, beginning with 1 under ``include_initial``."""
    return _cumulative(wootz.cumprod, x, axis, dtype, include_initial, 1)


def diff(
    x: Tensor, /, *, axis: builtins.int = -1, n: builtins.int = 1, prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The differences of neighbours along an axis, n times."""
    return wootz.diff(x, n=n, dim=axis, prepend=prepend, append=append)
