"""How a tensor prints: aligned columns, four digits, long dimensions cut."""

from __future__ import annotations

from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor

__all__ = ["format_tensor"]

_PREFIX = "tensor("


def _numbers(array: np.ndarray) -> str:
    return np.array2string(
        array, separator=", ", prefix=_PREFIX, precision=4, floatmode="maxprec_equal", threshold=1000, edgeitems=3,
        max_line_width=100, suppress_small=_plain(array),
    )  # fmt: skip


def _plain(array: np.ndarray) -> bool:
    """Whether fixed point suits the numbers: none very large or small, as PyTorch decides."""
    if array.dtype.kind != "f" or array.size == 0:
        return False
    size = np.abs(array[np.isfinite(array)])
    size = size[size > 0]
    return bool(size.size == 0 or (size.max() < 1e8 and size.max() / size.min() < 1e3))


def _scalar(value: Any) -> str:
    if not isinstance(value, float) or not np.isfinite(value):
        return str(value)
    return f"{value:.4f}" if _plain(np.array(value)) else np.format_float_scientific(value, 4)


def _whole(array: np.ndarray) -> bool:
    """Whether all elements are integers of moderate size in a floating-point type: printed as 1., 2."""
    if array.dtype.kind != "f" or array.size == 0 or not np.all(np.isfinite(array)):
        return False
    return bool(np.all(array == np.round(array)) and np.abs(array).max() < 1e8)


def _body(array: np.ndarray) -> str:
    if _whole(array):
        return np.array2string(
            array, separator=", ", prefix=_PREFIX, floatmode="unique", threshold=1000, max_line_width=100
        )
    return _scalar(array.item()) if array.ndim == 0 else _numbers(array)


def format_tensor(self: Tensor) -> str:
    """``tensor([[1., 2.]], grad_fn=<mul backward>)`` and the like; inside vmap, all examples."""
    if level := _core.vmap_level(self):
        return f"vmap(level={level}, examples={format_tensor(_core.vmap_physical(self))})"
    body = _body(self.detach().numpy(force=True))
    return f"{_PREFIX}{', '.join([body, *_suffixes(self)])})"


def _suffixes(t: Tensor) -> list[str]:
    out = []
    if t.numel() == 0 and t.dim() != 1:
        out.append(f"size={t.shape}")
    if t.device.type != "cpu":
        out.append(f"device='{t.device}'")
    implied = (_core.get_default_dtype(),) if t.numel() == 0 else (_core.get_default_dtype(), _core.int64, _core.bool)
    if t.dtype not in implied:
        out.append(f"dtype={t.dtype}")
    if t.grad_fn is not None:
        out.append(f"grad_fn={t.grad_fn}")
    elif t.requires_grad:
        out.append("requires_grad=True")
    return out
