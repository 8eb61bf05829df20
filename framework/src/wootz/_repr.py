"""How a tensor prints: aligned columns, four digits, long dimensions cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor

__all__ = ["format_tensor"]

_PREFIX = "tensor("
_SHOWN, _EDGE = 1000, 3  # elements before a tensor is cut, and how many stay on each side of each dimension then


def _style(values: np.ndarray) -> tuple[str, str]:
    """The format of floating point numbers and what follows it, as PyTorch decides: whole numbers with a dot, four
    digits, or an exponent where some are very large or small."""
    size = np.abs(values[np.isfinite(values) & (values != 0)])
    if size.size == 0:
        return ".0f", "."
    wide = size.max() / size.min() > 1e3 or size.max() > 1e8 or size.min() < 1e-4
    if wide:
        return ".4e", ""
    return (".0f", ".") if bool(np.all(size == np.ceil(size))) else (".4f", "")


def _formatter(values: np.ndarray) -> Callable[[float], str]:
    """Prints one number of an array in the style and width that suit all of them."""
    spec, dot = _style(values)

    def bare(value: float) -> str:
        return f"{value:{spec}}{dot if np.isfinite(value) else ''}"

    counted = values[np.isfinite(values) & (values != 0)].ravel()
    width = max(map(len, map(bare, counted)), default=0)
    return lambda value: bare(value).rjust(width)


def _complex_formatter(values: np.ndarray) -> Callable[[complex], str]:
    real, imag = _formatter(values.real), _formatter(values.imag)

    def both(value: complex) -> str:
        second = imag(value.imag).lstrip()
        return f"{real(value.real)}{'' if second.startswith('-') else '+'}{second}j"

    return both


def _edges(array: np.ndarray) -> np.ndarray:
    """The elements of an array that are printed."""
    if array.size <= _SHOWN:
        return array
    for axis, n in enumerate(array.shape):
        if n > 2 * _EDGE:
            array = np.take(array, [*range(_EDGE), *range(-_EDGE, 0)], axis)
    return array


def _body(array: np.ndarray) -> str:
    # Wider than 16 bits, and with room for the quotient of the largest and the smallest number.
    array = array.astype({"f": np.float64, "c": np.complex128}.get(array.dtype.kind, array.dtype))
    kind = {"f": "float_kind", "c": "complex_kind"}.get(array.dtype.kind)
    make = _complex_formatter if array.dtype.kind == "c" else _formatter
    number: Any = str if kind is None else make(_edges(array))
    if array.ndim == 0:
        return str(number(array.item()))
    return np.array2string(
        array, separator=", ", prefix=_PREFIX, threshold=_SHOWN, edgeitems=_EDGE, max_line_width=100,
        formatter=None if kind is None else {kind: number},  # type: ignore[arg-type]  # its keys are strings
    )  # fmt: skip


def format_tensor(self: Tensor) -> str:
    """``tensor([[1., 2.]], grad_fn=<mul backward>)`` and the like; inside vmap, all examples."""
    if level := _core.vmap_level(self):
        return f"vmap(level={level}, examples={format_tensor(_core.vmap_physical(self))})"
    values = self.detach()
    body = _body((values.float() if values.dtype is _core.bfloat16 else values).numpy(force=True))
    return f"{_PREFIX}{', '.join([body, *_suffixes(self)])})"


def _suffixes(t: Tensor) -> list[str]:
    out = []
    if t.numel() == 0 and t.dim() != 1:
        out.append(f"size={t.shape}")
    if t.device.type != "cpu":
        out.append(f"device='{t.device}'")
    default = _core.get_default_dtype()
    complex_default = _core.complex128 if default is _core.float64 else _core.complex64
    implied = (default,) if t.numel() == 0 else (default, complex_default, _core.int64, _core.bool)
    if t.dtype not in implied:
        out.append(f"dtype={t.dtype}")
    if t.grad_fn is not None:
        out.append(f"grad_fn={t.grad_fn}")
    elif t.requires_grad:
        out.append("requires_grad=True")
    return out
