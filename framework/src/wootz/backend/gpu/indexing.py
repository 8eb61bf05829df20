"""Reading and writing by index. One out of range is clamped, noted on the GPU, and reported when the host waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.backend.cuda import Cuda
from wootz.backend.gpu.pointwise import cast
from wootz.dtypes import dtype
from wootz.errors import DTypeError, ShapeError

__all__ = ["OPS"]

_WIDE = {"float16": _core.float32, "bfloat16": _core.float32}


def _checked(cuda: Cuda, index: Any, extent: int) -> Any:
    """Indices in [0, extent): negative ones count from the end; the first bad one is noted in the fault word."""
    xp = cuda.cupy
    index = index.astype("int64", copy=False)
    if index.size == 0:
        return index
    index = xp.where(index < 0, index + extent, index)
    bad = xp.logical_or(index < 0, index >= extent).reshape(-1)
    faults = cuda.faults()
    faults[...] = xp.where(xp.logical_and(faults == 0, bad.any()), bad.argmax() + 1, faults)
    return xp.clip(index, 0, max(extent - 1, 0))


def _arrays(cuda: Cuda, t: Tensor, indices: Sequence[Tensor | None]) -> tuple[Any, ...]:
    """The key as CuPy takes it: masks as the positions where they hold, integers checked, slices for what is kept."""
    key: list[Any] = []
    for index in indices:
        if index is None:
            key.append(slice(None))
            continue
        if index._device[0] == "cpu":
            index = cuda.to_device(index, t._device[1])
        if index.dtype == _core.bool:
            _check_mask(t, index, len(key))
            key += list(cuda.cupy.nonzero(cuda.array(index)))
        elif index.dtype.is_floating_point or index.dtype.is_complex:
            raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, got {index.dtype.name}")
        elif len(key) >= t.dim():
            raise IndexError(f"too many indices for tensor of dimension {t.dim()}")
        else:
            key.append(_checked(cuda, cuda.array(index), t.shape[len(key)]))
    if len(key) > t.dim():
        raise IndexError(f"too many indices for tensor of dimension {t.dim()}")
    return tuple(key)


def _check_mask(t: Tensor, mask: Tensor, at: int) -> None:
    if tuple(t.shape[at : at + mask.dim()]) != tuple(mask.shape):
        raise IndexError(
            f"The shape of the mask {list(mask.shape)} at index {at} does not match the shape of the indexed tensor "
            f"{list(t.shape)}"
        )


def _index(cuda: Cuda, t: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    made = cuda.array(t)[_arrays(cuda, t, indices)]
    return cuda.tensor(made, t.dtype)


def _add_at(cuda: Cuda, array: Any, key: Any, values: Any) -> None:
    """Adds at places that may repeat. The hardware adds no signed 64-bit integers; unsigned ones have the same bits."""
    if array.dtype == "int64":
        array, values = array.view("uint64"), values.view("uint64")
    cuda.cupy.add.at(array, key, values)


def _index_put(cuda: Cuda, t: Tensor, indices: Sequence[Tensor | None], values: Any, accumulate: bool) -> Tensor:
    if isinstance(values, Tensor):
        if values._device[0] == "cpu":
            values = cuda.to_device(values, t._device[1])
        if values.dtype != t.dtype and values.dim():
            raise DTypeError(f"index_put: values are {values.dtype.name}, the tensor {t.dtype.name}")
    kind = _WIDE.get(t.dtype.name, t.dtype) if accumulate else t.dtype
    out = cast(cuda, t, kind)
    given = values if not isinstance(values, Tensor) else cuda.array(cast(cuda, values, kind))
    if not isinstance(values, Tensor):
        holder = cuda.empty((), kind)
        _core.fill_(holder, values)
        given = cuda.array(holder)
    key, array = _arrays(cuda, t, indices), cuda.array(out)
    if accumulate:
        _add_at(cuda, array, key, given)
    else:
        array[key] = given
    return out if kind == t.dtype else cast(cuda, out, t.dtype)


def _along(t: Tensor, dim: int) -> int:
    return range(max(1, t.dim()))[dim]


def _line(index: Tensor, op: str) -> Tensor:
    if index.dim() > 1:
        raise ShapeError(f"{op}(): Index is supposed to be a vector, not of shape {list(index.shape)}")
    if index.dtype not in (_core.int64, _core.int32):
        raise DTypeError(f"{op}(): Expected dtype int32 or int64 for index, got {index.dtype.name}")
    return _core.reshape(index, (index.numel(),))


def _index_select(cuda: Cuda, t: Tensor, dim: int, index: Tensor) -> Tensor:
    if t.dim() == 0:
        return _core.clone(t)
    line = _checked(cuda, cuda.array(_line(index, "index_select")), t.shape[_along(t, dim)])
    made = cuda.cupy.take(cuda.array(t), line, axis=_along(t, dim))
    return cuda.tensor(made, t.dtype)


def _accumulated(cuda: Cuda, t: Tensor, source: Tensor, key: Callable[[], Any]) -> Tensor:
    if source.dtype != t.dtype:
        raise DTypeError(f"expected self and source to have the same dtype: {t.dtype.name} and {source.dtype.name}")
    kind: dtype = _WIDE.get(t.dtype.name, t.dtype)
    out = cast(cuda, t, kind)
    if source.numel():
        wide = source if source.dtype == kind else cast(cuda, source, kind)
        _add_at(cuda, cuda.array(out), key(), cuda.array(wide))
    return out if kind == t.dtype else cast(cuda, out, t.dtype)


def _index_add(cuda: Cuda, t: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    dim, line = _along(t, dim), _line(index, "index_add")
    if source.dim() != t.dim() or source.shape[dim] != line.numel():
        raise ShapeError(
            f"index_add: source {list(source.shape)} does not fit {line.numel()} indices of {list(t.shape)}"
        )
    places = _checked(cuda, cuda.array(line), t.shape[dim])
    return _accumulated(cuda, t, source, lambda: (*(slice(None),) * dim, places))


def _grid(cuda: Cuda, t: Tensor, dim: int, index: Tensor) -> tuple[Any, ...]:
    """The key that reads or writes ``index`` along ``dim`` and its own positions elsewhere."""
    if index.dtype != _core.int64 and index.dtype != _core.int32:
        raise DTypeError(f"gather(): Expected dtype int64 for index, got {index.dtype.name}")
    if index.dim() != t.dim() or any(
        n > m for i, (n, m) in enumerate(zip(index.shape, t.shape, strict=True)) if i != dim
    ):
        raise ShapeError(f"index {list(index.shape)} does not fit {list(t.shape)} apart from dimension {dim}")
    xp, key = cuda.cupy, []
    for d, n in enumerate(index.shape):
        shape = tuple(n if i == d else 1 for i in range(index.dim()))
        key.append(xp.arange(n, dtype="int64").reshape(shape))
    key[dim] = _checked(cuda, cuda.array(index), t.shape[dim])
    return tuple(key)


def _gather(cuda: Cuda, t: Tensor, dim: int, index: Tensor) -> Tensor:
    if t.dim() == 0:
        return _core.clone(t)
    made = cuda.array(t)[_grid(cuda, t, _along(t, dim), index)]
    return cuda.tensor(made, t.dtype)


def _scatter_add(cuda: Cuda, t: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    if source.dim() != index.dim() or any(n < m for n, m in zip(source.shape, index.shape, strict=True)):
        raise ShapeError(f"scatter_add: source {list(source.shape)} is smaller than index {list(index.shape)}")
    for d, n in enumerate(index.shape):
        source = _core.narrow(source, d, 0, n)
    return _accumulated(cuda, t, source, lambda: _grid(cuda, t, _along(t, dim), index))


def _embedding(cuda: Cuda, weight: Tensor, indices: Tensor) -> Tensor:
    if weight.dim() != 2:
        raise ShapeError(f"embedding: weight must be 2-D, got {list(weight.shape)}")
    return _index(cuda, weight, [indices])


def _nonzero(cuda: Cuda, t: Tensor) -> Tensor:
    made = cuda.cupy.argwhere(cuda.array(_core.ne(t, 0)))
    return cuda.tensor(made.astype("int64", copy=False))


OPS: dict[str, Callable[..., Any]] = {
    "index": _index, "index_put": _index_put, "index_select": _index_select, "index_add": _index_add,
    "gather": _gather, "scatter_add": _scatter_add, "embedding": _embedding, "nonzero": _nonzero,
}  # fmt: skip
