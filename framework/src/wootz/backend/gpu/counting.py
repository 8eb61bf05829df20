"""How often numbers occur, and where each belongs among classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wootz import _core
from wootz._core import Tensor, dtype
from wootz.backend.cuda import Cuda
from wootz.backend.gpu.places import count_up
from wootz.backend.gpu.pointwise import as_type

__all__ = ["OPS"]


def _filled(cuda: Cuda, size: int, kind: dtype, value: float = 0) -> Tensor:
    out = cuda.empty((size,), kind)
    return _core.fill_(out, value)


def _counts(cuda: Cuda, places: Tensor, size: int) -> Tensor:
    one = _filled(cuda, 1, _core.int64, 1).expand(places.shape)
    return _core.index_add(_filled(cuda, size, _core.int64), 0, places, one)


def _bincount(cuda: Cuda, t: Tensor, weights: Tensor | None, minlength: int) -> Tensor:
    places = as_type(cuda, t, _core.int64)
    least, most = (int(f(places).item()) if t.numel() else 0 for f in (_core.amin, _core.amax))
    if minlength < 0 or least < 0:
        raise ValueError("bincount only supports 1-d non-negative integral inputs, and minlength >= 0.")
    size = max(most + 1 if t.numel() else 0, minlength)
    if weights is None:
        return _counts(cuda, places, size)
    sums = _core.index_add(_filled(cuda, size, _core.float64), 0, places, as_type(cuda, weights, _core.float64))
    return as_type(cuda, sums, _core.float32) if weights.dtype == _core.float32 else sums


def _histc(cuda: Cuda, t: Tensor, bins: int, least: float, most: float) -> Tensor:
    x = _core.reshape(t, (-1,))
    low, high = (_filled(cuda, 1, x.dtype, edge) for edge in (least, most))
    place = _core.cast((x - low) * bins / (high - low), _core.int64).clamp(max=bins - 1)
    inside = (x >= low) & (x <= high)
    counts = _counts(cuda, _core.where(inside, place, bins), bins + 1)
    return _core.cast(_core.narrow(counts, 0, 0, bins), x.dtype)


def _one_hot(cuda: Cuda, t: Tensor, classes: int) -> Tensor:
    if classes <= 0:
        raise ValueError(f"num_classes must be given and positive for an empty tensor, got {classes}")
    index = as_type(cuda, t, _core.int64)
    if t.numel() and _core.any((index < 0) | (index >= classes)).item():
        raise ValueError(f"class values lie in [0, {classes}), found others")
    return (_core.unsqueeze(index, -1) == count_up(cuda, classes)).to(_core.int64)


OPS: dict[str, Callable[..., Any]] = {"bincount": _bincount, "histc": _histc, "one_hot": _one_hot}
