"""Making arrays, under the standard's names and signatures."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import wootz
from wootz import _core
from wootz._core import Tensor, dtype
from wootz._interop import from_dlpack

__all__ = [
    "arange", "asarray", "empty", "empty_like", "eye", "from_dlpack", "full", "full_like", "linspace", "meshgrid",
    "ones", "ones_like", "tril", "triu", "zeros", "zeros_like",
]  # fmt: skip

Shape = builtins.int | Sequence[builtins.int]


def _shape(shape: Shape) -> tuple[builtins.int, ...]:
    return (shape,) if isinstance(shape, builtins.int) else tuple(shape)


def arange(
    start: float, /, stop: float | None = None, step: float = 1, *, dtype: dtype | None = None, device: Any = None
) -> Tensor:
    """start, start + step, ... before stop; 0, 1, ... before start where no stop is given."""
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ValueError("arange: step must not be zero")
    if dtype is None:
        whole = all(isinstance(v, builtins.int) for v in (start, stop, step))
        dtype = _core.int64 if whole else _core.get_default_dtype()
    if math.ceil((stop - start) / step) <= 0:
        return empty(0, dtype=dtype, device=device)
    return wootz.arange(start, stop, step, dtype=dtype, device=device)


def asarray(
    obj: Any, /, *, dtype: dtype | None = None, device: Any = None, copy: builtins.bool | None = None
) -> Tensor:
    """Numbers, nested sequences, arrays and buffers as an array.

    ``copy`` True always copies, False never does: then ValueError is raised where it must, None copies where it must.
    """
    made = obj if isinstance(obj, Tensor) else _from_outside(obj, copy)
    out = made.to(device=device, dtype=dtype)
    if copy is False and not (out is made or out.data_ptr() == made.data_ptr()):
        raise ValueError("asarray: another dtype or device needs a copy, and copy=False")
    return out.clone() if copy and out.data_ptr() == made.data_ptr() and made is obj else out


def _from_outside(obj: Any, copy: builtins.bool | None) -> Tensor:
    if hasattr(obj, "__dlpack__"):
        return from_dlpack(obj, copy=copy)
    if copy is False:
        raise ValueError(f"asarray: making an array of a {type(obj).__name__} needs a copy, and copy=False")
    return wootz.tensor(obj)


def empty(shape: Shape, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """An array of uninitialised memory."""
    return wootz.empty(_shape(shape), dtype=dtype, device=device)


def zeros(shape: Shape, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """An array of zeros."""
    return wootz.zeros(_shape(shape), dtype=dtype, device=device)


def ones(shape: Shape, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """An array of ones."""
    return wootz.ones(_shape(shape), dtype=dtype, device=device)


def full(shape: Shape, fill_value: Any, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """An array of one value, of the value's kind unless a dtype is given."""
    return wootz.full(_shape(shape), fill_value, dtype=dtype, device=device)


def empty_like(x: Tensor, /, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """Uninitialised memory in x's shape."""
    return wootz.empty_like(x, dtype=dtype, device=device)


def zeros_like(x: Tensor, /, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """Zeros in x's shape."""
    return wootz.zeros_like(x, dtype=dtype, device=device)


def ones_like(x: Tensor, /, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """Ones in x's shape."""
    return wootz.ones_like(x, dtype=dtype, device=device)


def full_like(x: Tensor, /, fill_value: Any, *, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """One value in x's shape."""
    return wootz.full_like(x, fill_value, dtype=dtype, device=device)


def eye(
    n_rows: builtins.int, n_cols: builtins.int | None = None, /, *, k: builtins.int = 0, dtype: dtype | None = None,
    device: Any = None,
) -> Tensor:  # fmt: skip
    """Ones on the k-th diagonal, zeros elsewhere."""
    columns = n_rows if n_cols is None else n_cols
    rows = _core.arange(0, n_rows, 1, _core.int64).unsqueeze(1)
    mask = _core.eq(_core.arange(0, columns, 1, _core.int64), rows + k)
    return _core.cast(mask, dtype or _core.get_default_dtype()).to(device=device)


def linspace(
    start: Any, stop: Any, /, num: builtins.int, *, dtype: dtype | None = None, device: Any = None,
    endpoint: builtins.bool = True,
) -> Tensor:  # fmt: skip
    """``num`` evenly spaced numbers from start to stop, without stop itself unless ``endpoint``."""
    kind = dtype or (_core.complex64 if isinstance(start, complex) or isinstance(stop, complex) else None)
    if endpoint or num == 0:
        return wootz.linspace(start, stop, num, dtype=kind, device=device)
    return wootz.linspace(start, stop - (stop - start) / num, num, dtype=kind, device=device)


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> list[Tensor]:
    """The coordinates of the grid that 1-d arrays span."""
    return list(wootz.meshgrid(*arrays, indexing=indexing)) if arrays else []


def tril(x: Tensor, /, *, k: builtins.int = 0) -> Tensor:
    """The elements on and below the k-th diagonal, zeros elsewhere."""
    return _core.tril(x, k)


def triu(x: Tensor, /, *, k: builtins.int = 0) -> Tensor:
    """The elements on and above the k-th diagonal, zeros elsewhere."""
    return _core.triu(x, k)
