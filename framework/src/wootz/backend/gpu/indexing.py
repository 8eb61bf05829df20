"""Reading and writing by index. One out of range is clamped, noted on the GPU, and reported when the host waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.backend import geometry
from wootz.backend.cuda import KINDS, Cuda
from wootz.backend.gpu.lines import at, running
from wootz.backend.gpu.places import (
    LONG,
    MANY,
    Ints,
    add_at,
    check,
    count_up,
    launches,
    offsets_of,
    read,
    room,
    taken,
    write,
)
from wootz.backend.gpu.pointwise import as_type, assign, broadcast, cast, fill, wide_type
from wootz.errors import DTypeError, ShapeError

__all__ = ["OPS"]


# By a key of several indices


class _Key(NamedTuple):
    """What a key asks for: offsets into the tensor by common places, the shape it gives, and t's steps in it."""

    offsets: Tensor
    shape: Ints  # of the result
    steps: Ints  # of t in the result, 0 where the offsets say
    places: slice  # the result's dimensions that the offsets have


def _entries(cuda: Cuda, t: Tensor, indices: Sequence[Tensor | None]) -> list[Tensor | None]:
    """An entry for each dimension: masks as the positions where they hold, integers in int64, None for a whole one."""
    key: list[Tensor | None] = []
    for index in indices:
        if index is None:
            key.append(None)
            continue
        if index._device[0] == "cpu":
            index = cuda.to_device(index, t._device[1])
        if index.dtype == _core.bool:
            _check_mask(t, index, len(key))
            key += _columns(_nonzero(cuda, index))
        elif index.dtype.is_floating_point or index.dtype.is_complex:
            raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, got {index.dtype.name}")
        else:
            key.append(as_type(cuda, index, _core.int64))
    if len(key) > t.dim():
        raise IndexError(f"too many indices for tensor of dimension {t.dim()}")
    return [*key, *[None] * (t.dim() - len(key))]


def _columns(positions: Tensor) -> Iterator[Tensor]:
    return (_core.select(positions, 1, d) for d in range(positions.shape[1]))


def _check_mask(t: Tensor, mask: Tensor, at: int) -> None:
    if tuple(t.shape[at : at + mask.dim()]) != tuple(mask.shape):
        raise IndexError(
            f"The shape of the mask {list(mask.shape)} at index {at} does not match the shape of the indexed tensor "
            f"{list(t.shape)}"
        )


def _resolved(cuda: Cuda, t: Tensor, indices: Sequence[Tensor | None]) -> _Key:
    entries = _entries(cuda, t, indices)
    used = [d for d, index in enumerate(entries) if index is not None]
    if not used:
        raise IndexError("a 0-dimensional mask places nothing on CUDA; use `if mask:` on the host")
    common = broadcast(*(index.shape for index in entries if index is not None))
    offsets: Tensor | None = None
    for d, index in enumerate(entries):
        if index is not None:
            offsets = offsets_of(cuda, _core.expand(index, common), t.shape[d], t.stride(d), offsets)
    assert offsets is not None
    # The places' dimensions stand where the indices do, or first if something is between these.
    together = used[-1] - used[0] == len(used) - 1
    first = used[0] if together else 0
    kept = [d for d in range(t.dim()) if d not in used]
    before, after = kept[:first], kept[first:]
    shape = (*(t.shape[d] for d in before), *common, *(t.shape[d] for d in after))
    steps = (*(t.stride(d) for d in before), *(0,) * len(common), *(t.stride(d) for d in after))
    return _Key(offsets, shape, steps, slice(first, first + len(common)))


def _spread(key: _Key) -> Ints:
    steps = [0] * len(key.shape)
    steps[key.places] = list(key.offsets.stride())
    return tuple(steps)


def _index(cuda: Cuda, t: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    if all(index is None for index in indices):
        return _core.clone(t)
    for i, index in enumerate(indices):
        if index is not None and index.dtype == _core.bool and index.dim() == 0:  # a dimension of one or none
            before = sum(1 if x is None or x.dtype != _core.bool else x.dim() for x in indices[:i])
            raised = [*indices[:i], _core.reshape(index, (1,)), *indices[i + 1 :]]
            return _index(cuda, _core.unsqueeze(t, before), raised)
    single = _single(cuda, t, indices)
    if single is not None:
        return single
    key = _resolved(cuda, t, indices)
    return read(cuda, t, key.steps, key.offsets, _spread(key), key.shape, room(t), 1)


def _single(cuda: Cuda, t: Tensor, indices: Sequence[Tensor | None]) -> Tensor | None:
    """By one index of integers, in one launch."""
    given = [(d, index) for d, index in enumerate(indices) if index is not None]
    if len(given) != 1 or given[0][1].dtype == _core.bool or given[0][1]._device[0] == "cpu":
        return None
    dim = given[0][0]
    (checked,) = [index for index in _entries(cuda, t, indices) if index is not None]
    return taken(cuda, t, dim, checked)


def _add_rows(cuda: Cuda, t: Tensor, index: Tensor, source: Tensor) -> Tensor:
    """t with rows of ``source`` added to those that ``index`` names, each in one order whatever the run."""
    check(index, t.shape[0])
    count, rows, columns = np.int64(index.numel()), np.int64(t.shape[0]), np.int64(prod(t.shape[1:]))
    base, places, source, kind = t.contiguous(), index.contiguous(), source.contiguous(), KINDS[t.dtype.name]
    out = cuda.empty(t.shape, t.dtype)
    if out.numel() == 0:
        return out
    first, following = cuda.empty((t.shape[0],), _core.int32), cuda.empty((index.numel(),), _core.int32)
    fill(cuda, first, -1)
    launch = geometry.flat(index.numel(), 1)
    cuda.launch("link_rows_i64_i32", launch, places, count, rows, first, following, cuda.faults())
    launch = geometry.by_row(t.shape[0])
    cuda.launch(f"add_rows_{kind}_{kind}", launch, base, places, source, first, following, out, count, rows, columns)
    return out


def _row_index(cuda: Cuda, t: Tensor, indices: Sequence[Tensor | None]) -> Tensor | None:
    """The one index that names whole rows of floats, long enough for a block and few enough for it to count."""
    first, *others = indices or (None,)
    if first is None or first.dtype == _core.bool or any(other is not None for other in others):
        return None
    if not t.dtype.is_floating_point or prod(t.shape[1:]) < geometry.WARP or first.numel() >= 2**31:
        return None
    return _entries(cuda, t, indices)[0]


def _index_put(cuda: Cuda, t: Tensor, indices: Sequence[Tensor | None], values: Any, accumulate: bool) -> Tensor:
    if isinstance(values, Tensor):
        if values._device[0] == "cpu":
            values = cuda.to_device(values, t._device[1])
        if values.dtype != t.dtype and values.dim():
            raise DTypeError(f"index_put: values are {values.dtype.name}, the tensor {t.dtype.name}")
    else:
        number, values = values, cuda.empty((), t.dtype)
        _core.fill_(values, number)
    if accumulate and t.dtype.is_complex:
        return _by_parts(lambda a, b: _index_put(cuda, a, indices, b, True), t, as_type(cuda, values, t.dtype))
    index = _row_index(cuda, t, indices) if accumulate else None
    if index is not None:
        rows = _core.expand(as_type(cuda, values, t.dtype), (*index.shape, *t.shape[1:]))
        return _add_rows(cuda, t, index, rows)
    kind = _summing(t) if accumulate else t.dtype
    out, values = cast(cuda, t, kind), as_type(cuda, values, kind)
    key = _resolved(cuda, out, indices)
    given = _core.expand(values, key.shape)
    if accumulate:
        _add_through(cuda, out, key, given)
    elif given.numel():
        write(cuda, out, key.steps, key.offsets, _spread(key), given, room(out), 1)
    return as_type(cuda, out, t.dtype)


# Sums at places that may repeat


def _summing(t: Tensor) -> Any:
    return wide_type(t.dtype) if t.dtype.is_floating_point else _core.int64


def _by_parts(op: Callable[[Tensor, Tensor], Tensor], t: Tensor, source: Tensor) -> Tensor:
    """An op that only adds, on complex numbers as pairs."""
    return _core.view_as_complex(op(_core.view_as_real(t), _core.view_as_real(source)))


def _add_through(cuda: Cuda, out: Tensor, key: _Key, values: Tensor) -> None:
    count = key.offsets.dim()
    moved = list(range(key.places.start, key.places.stop))
    rest = [d for d in range(values.dim()) if d not in moved]
    source = _core.permute(values, (*moved, *rest)).contiguous()
    lines = tuple(key.shape[d] for d in rest)
    source = _core.reshape(source, (prod(source.shape[:count]), *lines))
    places = _core.reshape(key.offsets.contiguous(), (key.offsets.numel(),))
    add_at(cuda, out, tuple(key.steps[d] for d in rest), places, 1, room(out), source)


# Along a dimension


def _along(t: Tensor, dim: int) -> int:
    return range(max(1, t.dim()))[dim]


def _line(cuda: Cuda, index: Tensor, op: str) -> Tensor:
    if index.dim() > 1:
        raise ShapeError(f"{op}(): Index is supposed to be a vector, not of shape {list(index.shape)}")
    if index.dtype not in (_core.int64, _core.int32):
        raise DTypeError(f"{op}(): Expected dtype int32 or int64 for index, got {index.dtype.name}")
    return _core.reshape(as_type(cuda, index, _core.int64), (index.numel(),))


def _index_select(cuda: Cuda, t: Tensor, dim: int, index: Tensor) -> Tensor:
    line = _line(cuda, index, "index_select")
    return _core.clone(t) if t.dim() == 0 else taken(cuda, t, _along(t, dim), line)


def _index_add(cuda: Cuda, t: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    dim, line = _along(t, dim), _line(cuda, index, "index_add")
    if source.dim() != t.dim() or source.shape[dim] != line.numel():
        raise ShapeError(
            f"index_add: source {list(source.shape)} does not fit {line.numel()} indices of {list(t.shape)}"
        )
    _same_types(t, source)
    if t.dtype.is_complex:
        return _by_parts(lambda a, b: _index_add(cuda, a, dim, line, b), t, source)
    if dim == 0 and _row_index(cuda, t, [line]) is not None:
        return _add_rows(cuda, t, line, source)
    kind = _summing(t)
    out, moved = cast(cuda, t, kind), as_type(cuda, source, kind)
    steps = tuple(s for d, s in enumerate(out.stride()) if d != dim)
    places = line.contiguous()
    add_at(cuda, out, steps, places, out.stride(dim), t.shape[dim], _front(moved, dim))
    return as_type(cuda, out, t.dtype)


def _front(t: Tensor, dim: int) -> Tensor:
    return _core.permute(t, (dim, *(d for d in range(t.dim()) if d != dim)))


def _same_types(t: Tensor, source: Tensor) -> None:
    if source.dtype != t.dtype:
        raise DTypeError(f"expected self and source to have the same dtype: {t.dtype.name} and {source.dtype.name}")


def _positions(cuda: Cuda, t: Tensor, dim: int, index: Tensor) -> Tensor:
    """Indices along a dimension in int64. Raises `ShapeError` where they do not fit t elsewhere."""
    if index.dtype != _core.int64 and index.dtype != _core.int32:
        raise DTypeError(f"gather(): Expected dtype int64 for index, got {index.dtype.name}")
    if index.dim() != t.dim() or any(
        n > m for i, (n, m) in enumerate(zip(index.shape, t.shape, strict=True)) if i != dim
    ):
        raise ShapeError(f"index {list(index.shape)} does not fit {list(t.shape)} apart from dimension {dim}")
    return as_type(cuda, index, _core.int64)


def _gather(cuda: Cuda, t: Tensor, dim: int, index: Tensor) -> Tensor:
    if t.dim() == 0:
        return _core.clone(t)
    dim = _along(t, dim)
    index = _positions(cuda, t, dim, index)
    steps = tuple(0 if d == dim else s for d, s in enumerate(t.stride()))
    return read(cuda, t, steps, index, tuple(index.stride()), tuple(index.shape), t.shape[dim], t.stride(dim))


def _put_along(cuda: Cuda, t: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    _same_types(t, source)
    out = _core.clone(t).contiguous()
    dim = _along(t, dim)
    index = _positions(cuda, t, dim, index)
    steps = tuple(0 if d == dim else s for d, s in enumerate(out.stride()))
    if index.numel():
        write(cuda, out, steps, index, tuple(index.stride()), source, out.shape[dim], out.stride(dim))
    return out


def _scatter_add(cuda: Cuda, t: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    if source.dim() != index.dim() or any(n < m for n, m in zip(source.shape, index.shape, strict=True)):
        raise ShapeError(f"scatter_add: source {list(source.shape)} is smaller than index {list(index.shape)}")
    for d, n in enumerate(index.shape):
        source = _core.narrow(source, d, 0, n)
    _same_types(t, source)
    dim = _along(t, dim)
    if t.dtype.is_complex:
        pairs = _core.expand(_core.unsqueeze(index, -1), (*index.shape, 2))
        return _by_parts(lambda a, b: _scatter_add(cuda, a, dim, pairs, b), t, source)
    kind = _summing(t)
    out, source = cast(cuda, t, kind), as_type(cuda, source, kind)
    if t.dim() == 0:
        return _core.add(t, as_type(cuda, source, t.dtype)) if source.numel() else out
    index = _positions(cuda, t, dim, index)
    if index.numel():
        check(index, t.shape[dim])
        _scatter_lines(cuda, out, dim, index, source)
    return as_type(cuda, out, t.dtype)


def _scatter_lines(cuda: Cuda, out: Tensor, dim: int, index: Tensor, source: Tensor) -> None:
    others = [d for d in range(index.dim()) if d != dim]
    lines = tuple(index.shape[d] for d in others)
    if index.shape[dim] >= LONG and prod(lines) < MANY:
        offsets = offsets_of(cuda, index, out.shape[dim], out.stride(dim))
        for d in others:
            along = _core.reshape(count_up(cuda, index.shape[d]), [-1 if i == d else 1 for i in range(index.dim())])
            offsets = offsets_of(cuda, _core.expand(along, index.shape), index.shape[d], out.stride(d), offsets)
        flat = (index.numel(),)
        places, values = _core.reshape(offsets, flat), _core.reshape(source.contiguous(), flat)
        add_at(cuda, out, (), places, 1, room(out), values)
        return
    kind, line = KINDS[out.dtype.name], geometry.line(index.shape[dim], source.stride(dim), out.stride(dim))
    strides = [tuple(t.stride(d) for d in others) for t in (out, index, source)]
    for launch in launches(lines, *strides):
        to, by, given = launch.offsets
        cuda.launch(
            f"add_at_{kind}_{kind}", launch, at(index, by), at(source, given), at(out, to), np.int64(out.shape[dim]),
            np.int64(index.stride(dim)), cuda.faults(), line, launch.plan,
        )  # fmt: skip


def _embedding(cuda: Cuda, weight: Tensor, indices: Tensor) -> Tensor:
    if weight.dim() != 2:
        raise ShapeError(f"embedding: weight must be 2-D, got {list(weight.shape)}")
    return _index(cuda, weight, [indices])


def _nonzero(cuda: Cuda, t: Tensor) -> Tensor:
    if t.numel() == 0:
        return cuda.empty((0, t.dim()), _core.int64)
    mask = _core.ne(t, 0) if t.dtype.is_complex else as_type(cuda, t, _core.bool)
    mask = _core.reshape(mask.contiguous(), (t.numel(),))
    ranks = running(cuda, "cumsum", mask, 0)
    count = int(cuda.to_host(_core.select(ranks, 0, t.numel() - 1)).item())
    found = cuda.empty((count,), _core.int64)
    out = cuda.empty((count, t.dim()), _core.int64)
    if out.numel() == 0:
        return out
    cuda.launch("compact_boolean_i64", geometry.flat(t.numel()), mask, ranks, np.int64(t.numel()), found)
    step = t.numel()
    for d, n in enumerate(t.shape):
        step //= n
        assign(cuda, _core.select(out, 1, d), _core.remainder(_core.floor_divide(found, step), n))
    return out


def _runs(cuda: Cuda, t: Tensor) -> Tensor:
    rows = _core.reshape(t, (t.shape[0], prod(t.shape[1:])))
    size = max(t.shape[0] - 1, 0)
    first = cuda.empty((t.shape[0] - size,), _core.bool)
    fill(cuda, first, True)
    differ = _core.any(_core.ne(_core.narrow(rows, 0, t.shape[0] - size, size), _core.narrow(rows, 0, 0, size)), 1)
    return _core.squeeze(_nonzero(cuda, _core.cat([first, differ], 0)), 1)


OPS: dict[str, Callable[..., Any]] = {
    "index": _index, "index_put": _index_put, "index_select": _index_select, "index_add": _index_add,
    "gather": _gather, "put_along": _put_along, "scatter_add": _scatter_add, "embedding": _embedding,
    "nonzero": _nonzero, "runs": _runs,
}  # fmt: skip
