"""Work along one dimension: running sums and products, the place of the extremum, and order by bitonic sorting."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.backend import geometry
from wootz.backend.cuda import KINDS, Cuda
from wootz.backend.gpu.pointwise import as_type, wide_type
from wootz.dtypes import dtype
from wootz.errors import DTypeError

__all__ = ["ARRAYS", "OPS", "at", "order", "place", "running", "sorted_pairs"]

_CHUNK = 2048  # elements of a line that one warp takes; a longer line is shared
_NEAR = 1024  # pairs that one block sorts


def at(t: Tensor, offset: int = 0) -> np.uint64:
    """The address of a tensor's element, counted from its first."""
    return np.uint64(t.data_ptr() + offset * t.itemsize)


def _computing(kind: dtype) -> dtype:
    return wide_type(kind) if kind.is_floating_point else _core.int64


def _without(values: tuple[int, ...], dim: int) -> tuple[int, ...]:
    return values[:dim] + values[dim + 1 :]


def running(cuda: Cuda, op: str, t: Tensor, dim: int) -> Tensor:
    """The running sum ("cumsum") or product ("cumprod") along a dimension; integers in int64."""
    t = as_type(cuda, t, _computing(t.dtype))
    out = cuda.empty(t.shape, t.dtype)
    if t.numel() == 0:
        return out
    if t.dim() == 0:
        return _core.clone(t)
    symbol, shape = f"{op}_{KINDS[t.dtype.name]}_{KINDS[t.dtype.name]}", _without(t.shape, dim)
    strides = [_without(tuple(x.stride()), dim) for x in (out, t)]
    length, count = t.shape[dim], prod(shape)
    chunks = min(-(-length // _CHUNK), geometry.MAX_GRID_Y)
    plan = geometry.line(length, t.stride(dim), out.stride(dim), -(-length // chunks))
    before = None
    if chunks > 1:
        launches = geometry.lines(shape, strides, True, chunks)
        totals = cuda.empty((count, chunks), t.dtype)
        for launch in launches:
            _scan(cuda, symbol, launch, t, out, None, totals, plan)
        before = running(cuda, op, totals, 1)
    for launch in geometry.lines(shape, strides, True, chunks):
        _scan(cuda, symbol, launch, t, out, before, None, plan)
    return out


def _scan(
    cuda: Cuda, symbol: str, launch: geometry.Launch, t: Tensor, out: Tensor, before: Tensor | None,
    totals: Tensor | None, plan: Any,
) -> None:  # fmt: skip
    to, given = launch.offsets
    cuda.launch(symbol, launch, at(t, given), at(out, to), before, totals, plan, launch.plan)


def place(cuda: Cuda, op: str, t: Tensor, dim: int) -> Tensor:
    """Where the first extremum along a dimension is ("argmax" or "argmin"), the dimension left out."""
    t = as_type(cuda, t, _computing(t.dtype))
    out = cuda.empty(_without(t.shape, dim), _core.int64)
    if out.numel() == 0:
        return out
    symbol, strides = f"{op}_{KINDS[t.dtype.name]}_i64", [tuple(out.stride()), _without(tuple(t.stride()), dim)]
    length = t.shape[dim]
    chunk = max(_CHUNK, -(-length // geometry.MAX_GRID_Y))
    chunks = -(-length // chunk)
    among = None if chunks == 1 else cuda.empty((out.numel(), chunks), _core.int64)
    whole = geometry.line(chunks if chunks > 1 else length, t.stride(dim))
    for launch, shared in zip(
        geometry.lines(out.shape, strides, True), geometry.lines(out.shape, strides, True, chunks), strict=True
    ):
        to, given = launch.offsets
        if among is not None:
            part = geometry.line(length, t.stride(dim), 0, chunk)
            cuda.launch(symbol, shared, at(t, given), None, among, part, shared.plan)
        cuda.launch(symbol, launch, at(t, given), among, at(out, to), whole, launch.plan)
    return out


def order(cuda: Cuda, t: Tensor, dim: int, descending: bool) -> Tensor:
    """The indices that sort along a dimension; equal elements keep their order, and NaN is greater than infinity."""
    if t.dtype.is_complex:
        raise DTypeError(f"sort: complex numbers have no order, got {t.dtype.name}")
    if t.dim() == 0 or t.numel() == 0:
        return _zeros(cuda, t)
    rows = _core.transpose(as_type(cuda, t, _computing(t.dtype)), dim, -1).contiguous()
    _, places = sorted_pairs(cuda, _core.reshape(rows, (-1, rows.shape[-1])), descending)
    return _core.transpose(_core.reshape(places, rows.shape), dim, -1).contiguous()


def _zeros(cuda: Cuda, t: Tensor) -> Tensor:
    out = cuda.empty(t.shape, _core.int64)
    _core.fill_(out, 0)
    return out


def sorted_pairs(cuda: Cuda, rows: Tensor, descending: bool = False) -> tuple[Tensor, Tensor]:
    """Sorted keys and the places they came from, of contiguous rows of a type that kernels compute in."""
    count, columns = rows.shape
    width = 1 << max(0, columns - 1).bit_length()
    total = count * width
    keys, places = (cuda.empty((count, width), _core.int64) for _ in range(2))
    cuda.launch(
        f"sort_keys_{KINDS[rows.dtype.name]}_u64", geometry.flat(total), rows, keys, places, np.int64(total),
        np.int64(columns), np.int64(width), np.uint64(2**64 - 1 if descending else 0),
    )  # fmt: skip
    _near(cuda, keys, places, total, width, 2, min(width, _NEAR))
    run = 2 * _NEAR
    while run <= width:
        reach = run // 2
        while reach >= _NEAR:
            launch = geometry.flat(total // 2)
            sizes = (np.int64(n) for n in (total // 2, width, run, reach))
            cuda.launch("sort_step_u64_i64", launch, keys, places, *sizes)
            reach //= 2
        _near(cuda, keys, places, total, width, run, run)
        run *= 2
    return _core.narrow(keys, 1, 0, columns), _core.narrow(places, 1, 0, columns)


def _near(cuda: Cuda, keys: Tensor, places: Tensor, total: int, width: int, first: int, last: int) -> None:
    launch = geometry.Launch((-(-total // _NEAR), 1, 1), (_NEAR // 2, 1, 1))
    sizes = (np.int64(n) for n in (total, width, first, last))
    cuda.launch("sort_near_u64_i64", launch, keys, places, *sizes)


def _top(cuda: Cuda, t: Tensor, k: int, dim: int, largest: bool) -> Tensor:
    return _core.narrow(order(cuda, t, dim, largest), dim, 0, k).contiguous()


def _running_sum(cuda: Cuda, t: Tensor, dim: int, reverse: bool) -> Tensor:
    if t.dim() == 0:
        return _core.clone(t)
    if t.dtype.is_complex:
        return _core.view_as_complex(_running_sum(cuda, _core.view_as_real(t), dim % t.dim(), reverse))
    if reverse:
        return _core.flip(_running_sum(cuda, _core.flip(t, dim), dim, False), dim)
    return as_type(cuda, running(cuda, "cumsum", t, dim % t.dim()), t.dtype)


def _kth(cuda: Cuda, t: Tensor, k: int, dim: int) -> Tensor:
    places = order(cuda, t, dim, False)
    return _core.narrow(places, dim, k, 1).contiguous() if t.dim() else places


def _middle(cuda: Cuda, t: Tensor, dim: int, skip_nan: bool) -> Tensor:
    places = order(cuda, t, dim, False)
    if t.dim() == 0:
        return places
    length = t.shape[dim]
    missing = _core.sum(_core.isnan(t), dim, True)
    numbers = (length - missing - 1).clamp(min=0) // 2
    rank = numbers if skip_nan else _core.where(missing > 0, length - missing, (length - 1) // 2)
    return _core.gather(places, dim, rank)


def _commonest(cuda: Cuda, t: Tensor, dim: int) -> Tensor:
    """From the number of the run that each element in order is in, and the lengths of the runs."""
    places = order(cuda, t, dim, False)
    if t.dim() == 0:
        return places
    ranked, size = _core.gather(t, dim, places), t.shape[dim] - 1
    differ = _core.ne(_core.narrow(ranked, dim, 1, size), _core.narrow(ranked, dim, 0, size))
    first = _zeros(cuda, _core.narrow(places, dim, 0, 1))
    run = _core.running_sum(_core.cat([first, as_type(cuda, differ, _core.int64)], dim), dim)
    lengths = _core.scatter_add(_zeros(cuda, run), dim, run, _zeros(cuda, run) + 1)
    ends = _core.running_sum(lengths, dim) - 1
    return _core.gather(places, dim, _core.gather(ends, dim, _core.argmax(lengths, dim, True)))


def _search(cuda: Cuda, bounds: Tensor, values: Tensor, right: bool) -> Tensor:
    """By halving, for all values at once."""
    if bounds.dim() == 1 and values.dim() != 1:
        return _core.reshape(_search(cuda, bounds, _core.reshape(values, (-1,)), right), values.shape)
    count = bounds.shape[-1]
    low, high = _zeros(cuda, values), _zeros(cuda, values) + count
    for _ in range(count.bit_length()):
        middle = (low + high) // 2
        found = _core.gather(bounds, -1, middle.clamp(max=count - 1))
        after = ~_less(values, found) if right else _less(found, values)
        after = after & (low < high)
        low, high = _core.where(after, middle + 1, low), _core.where(after, high, middle)
    return low


def _less(a: Tensor, b: Tensor) -> Tensor:
    """Whether a goes before b, NaN behind all."""
    return (a < b) | ((b != b) & (a == a))


OPS: dict[str, Callable[..., Tensor]] = {
    "order": order, "top": _top, "kth": _kth, "middle": _middle, "commonest": _commonest,
    "running_sum": _running_sum, "search": _search,
}  # fmt: skip

ARRAYS: dict[str, Callable[..., Tensor]] = {
    "cumprod": lambda cuda, t, dim: running(cuda, "cumprod", t, dim),
}
