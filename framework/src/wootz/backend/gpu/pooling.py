"""Pooling on a GPU; resampling, of gathers and sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.backend import geometry
from wootz.backend.cuda import KINDS, Cuda
from wootz.backend.gpu.movement import zeros
from wootz.backend.gpu.pointwise import as_type, widened
from wootz.errors import ShapeError

__all__ = ["OPS"]

_Ints = Sequence[int]


def _max_pool(
    cuda: Cuda, x: Tensor, kernel: _Ints, stride: _Ints, padding: _Ints, dilation: _Ints, ceil_mode: bool
) -> tuple[Tensor, Tensor]:
    lead = x.dim() - len(kernel)
    if lead < 1:
        raise ShapeError(f"max_pool: {len(kernel)} windowed dimensions of an input of shape {list(x.shape)}")
    windows = zip(x.shape[lead:], kernel, stride, padding, dilation, strict=True)
    outs = [_count(n, k, s, p, d, ceil_mode) for n, k, s, p, d in windows]
    return _pooled(cuda, x, outs, kernel=kernel, stride=stride, padding=padding, dilation=dilation)


def _count(n: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    reach = dilation * (kernel - 1) + 1
    if kernel < 1 or stride < 1 or dilation < 1 or not 0 <= padding <= reach // 2:
        raise ValueError(f"max_pool: impossible window: kernel {kernel}, stride {stride}, padding {padding}")
    room = n + 2 * padding - reach
    count = 0 if room < 0 else (room + (stride - 1 if ceil_mode else 0)) // stride + 1
    if ceil_mode and count and (count - 1) * stride >= n + padding:
        count -= 1  # a window that begins in the right padding
    if count < 1:
        raise ShapeError(f"max_pool: a kernel that reaches over {reach} leaves no output of an input of {n}")
    return count


def _adaptive_max_pool(cuda: Cuda, x: Tensor, output_size: _Ints) -> tuple[Tensor, Tensor]:
    return _pooled(cuda, x, output_size)


def _pooled(cuda: Cuda, x: Tensor, outs: _Ints, **windows: _Ints) -> tuple[Tensor, Tensor]:
    """Windows given by what each dimension has of them, or adaptive ones, which share the input out."""
    lead = x.dim() - len(outs)
    if len(outs) > 3:
        raise ShapeError(f"max_pool: {len(outs)} windowed dimensions, CUDA kernels take 3")
    wide = as_type(cuda, x, x.dtype if x.dtype.is_floating_point else _core.int64).contiguous()
    out = cuda.empty((*x.shape[:lead], *outs), wide.dtype)
    places = cuda.empty(out.shape, _core.int64)
    if out.numel():
        plan = np.zeros((), geometry.WINDOWS)
        plan["count"], plan["adaptive"] = out.numel(), not windows
        for name, values in {"extent": x.shape[lead:], "out": outs, **windows}.items():
            plan[name] = [*reversed(values), 1, 1, 1][:3]
        plan["padding"][len(outs) :] = 0
        kind = KINDS[wide.dtype.name]
        cuda.launch(f"max_pool_{kind}_{kind}", geometry.flat(out.numel(), 1), wide, out, places, plan[()])
    return as_type(cuda, out, x.dtype), places


def _planes(t: Tensor, n: int) -> Tensor:
    return _core.reshape(t, (prod(t.shape[: t.dim() - n]), prod(t.shape[t.dim() - n :])))


def _scatter_windows(cuda: Cuda, values: Tensor, indices: Tensor, size: _Ints) -> Tensor:
    lead = values.shape[: values.dim() - len(size)]
    if values.shape != indices.shape:
        raise ShapeError(f"scatter_windows: values {list(values.shape)} and indices {list(indices.shape)} differ")
    flat = zeros(cuda, (prod(lead), prod(size)), values.dtype)
    made = _core.scatter_add(flat, 1, _planes(indices, len(size)), _planes(values, len(size)))
    return _core.reshape(made, (*lead, *size))


def _gather_windows(cuda: Cuda, t: Tensor, indices: Tensor, dims: int) -> Tensor:
    return _core.reshape(_core.gather(_planes(t, dims), 1, _planes(indices, dims)), indices.shape)


def _resample(cuda: Cuda, t: Tensor, dim: int, start: Tensor, weight: Tensor) -> Tensor:
    out = None
    for place, by in _taps(t, dim, start, weight, start.shape[0]):
        part = _core.mul(_core.index_select(t, dim, place), by)
        out = part if out is None else _core.add_(out, part)
    return zeros(cuda, t.shape, t.dtype) if out is None else out


def _resample_back(cuda: Cuda, t: Tensor, dim: int, start: Tensor, weight: Tensor, size: int) -> Tensor:
    dim = range(t.dim())[dim]
    out = zeros(cuda, (*t.shape[:dim], size, *t.shape[dim + 1 :]), t.dtype)
    for place, by in _taps(t, dim, start, weight, start.shape[0]):
        out = _core.index_add(out, dim, place, _core.mul(t, by))
    return out


def _taps(t: Tensor, dim: int, start: Tensor, weight: Tensor, rows: int) -> Iterator[tuple[Tensor, Tensor]]:
    """For each tap, the elements it takes and their weights, shaped to broadcast along ``dim``."""
    if start.dtype != _core.int64 or start.dim() != 1 or weight.dim() != 2 or weight.shape[0] != rows:
        raise ShapeError(f"resample: start {list(start.shape)} and weight {list(weight.shape)} do not fit")
    dim = range(t.dim())[dim]
    shape = tuple(rows if d == dim else 1 for d in range(t.dim()))
    for tap in range(weight.shape[1]):
        by = _core.cast(_core.select(weight, 1, tap), t.dtype)
        yield _core.add(start, tap), _core.reshape(by, shape)


OPS: dict[str, Callable[..., Any]] = {
    "max_pool": _max_pool,
    "adaptive_max_pool": _adaptive_max_pool,
    "scatter_windows": _scatter_windows,
    "gather_windows": _gather_windows,
    "resample": widened(_resample),
    "resample_back": widened(_resample_back),
}
