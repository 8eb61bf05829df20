"""How a tensor prints: as PyTorch's do, with aligned columns, and long dimensions cut."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor

__all__ = ["format_tensor", "get_printoptions", "printoptions", "set_printoptions"]

_PREFIX = "tensor("


@dataclass(frozen=True)
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {"default": _Options(), "short": _Options(2, 1000, 2), "full": _Options(threshold=math.inf)}
_options = _Options()


def set_printoptions(
    precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None,
    linewidth: int | None = None, profile: str | None = None, sci_mode: bool | None = None,
) -> None:  # fmt: skip
    """How tensors print: digits after the point, elements before a tensor is cut, how many stay at each end of a
    dimension then, characters a line, and whether numbers have exponents (None: where they need one).

    ``profile`` "default", "short" or "full" sets all first. Raises ValueError for another one.
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        raise ValueError(f"set_printoptions: profile must be one of {', '.join(_PROFILES)}, not {profile!r}")
    base = _options if profile is None else _PROFILES[profile]
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options = replace(base, sci_mode=sci_mode, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]


def get_printoptions() -> dict[str, Any]:
    """What `set_printoptions` set."""
    return asdict(_options)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """`set_printoptions` for the block inside."""
    global _options
    before = _options
    try:
        set_printoptions(**options)
        yield
    finally:
        _options = before


@dataclass(frozen=True)
class _Column:
    """How every element of a tensor is printed, and the characters that it takes."""

    show: Callable[[Any], str]
    width: int


def _column(values: np.ndarray) -> _Column:
    if values.dtype.kind == "c":
        return _complex_column(values)
    if values.dtype.kind != "f":
        return _aligned(str, values)
    numbers = values[np.isfinite(values) & (values != 0)]
    return _aligned(_style(np.abs(numbers)), numbers)


def _aligned(text: Callable[[Any], str], values: np.ndarray) -> _Column:
    width = max((len(text(v)) for v in values.ravel().tolist()), default=1)
    return _Column(lambda v: text(v).rjust(width), width)


def _style(size: np.ndarray) -> Callable[[float], str]:
    """Whole numbers with a dot, digits after it, or exponents: what suits numbers of these sizes."""
    whole = bool(np.all(size == np.ceil(size)))
    wide = size.size > 0 and bool(size.max() / size.min() > 1000 or size.max() > 1e8 or size.min() < 1e-4)
    if size.size and (wide if _options.sci_mode is None else _options.sci_mode):
        return lambda v: f"{v:.{_options.precision}e}"
    if whole:
        return lambda v: f"{v:.0f}" + ("." if math.isfinite(v) else "")
    return lambda v: f"{v:.{_options.precision}f}"


def _complex_column(values: np.ndarray) -> _Column:
    real, imag = _column(values.real), _column(values.imag)

    def show(value: complex) -> str:
        second = imag.show(value.imag).lstrip()
        return f"{real.show(value.real)}{'' if second.startswith('-') else '+'}{second}j"

    return _Column(show, real.width + imag.width + 1)


def _ends(extent: int, cut: bool) -> list[int]:
    """The places along a dimension that are printed."""
    n = _options.edgeitems
    return [*range(n), *range(extent - n, extent)] if cut and extent > 2 * n else list(range(extent))


def _lines(array: np.ndarray, indent: int, cut: bool, column: _Column) -> str:
    """An array as nested lists, each row after ``indent`` characters."""
    if array.ndim == 0:
        return column.show(array.item())
    places = _ends(len(array), cut)
    gap = slice(_options.edgeitems, _options.edgeitems)
    if array.ndim > 1:
        parts = [_lines(array[i], indent + 1, cut, column) for i in places]
        parts[gap] = ["..."] * (len(places) < len(array))
        return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"
    shown = [column.show(array[i].item()) for i in places]
    shown[gap] = [" ..."] * (len(places) < len(array))
    step = max(1, (_options.linewidth - indent) // (column.width + 2))
    rows = [", ".join(shown[i : i + step]) for i in range(0, len(shown), step)]
    return "[" + (",\n" + " " * (indent + 1)).join(rows) + "]"


def _body(array: np.ndarray) -> str:
    if array.size == 0:
        return "[]"
    cut = array.size > _options.threshold
    seen = array[np.ix_(*(_ends(n, cut) for n in array.shape))] if array.ndim else array
    return _lines(array, len(_PREFIX), cut, _column(seen))


def format_tensor(self: Tensor) -> str:
    """``tensor([[1., 2.]], grad_fn=<mul backward>)`` and the like; inside vmap, all examples."""
    if level := _core.vmap_level(self):
        return f"vmap(level={level}, examples={format_tensor(_core.vmap_physical(self))})"
    values = self.detach()
    if values.dtype.is_floating_point and values.itemsize == 2:
        values = values.float()  # NumPy has no bfloat16
    text = _PREFIX + _body(values.numpy(force=True))
    length = len(text) - text.rfind("\n") + 1
    for suffix in _suffixes(self):
        broken = length + len(suffix) + 2 > _options.linewidth
        text += (",\n" + " " * len(_PREFIX) if broken else ", ") + suffix
        length = len(_PREFIX) + len(suffix) if broken else length + len(suffix) + 2
    return text + ")"


def _suffixes(t: Tensor) -> list[str]:
    out = []
    if t.device.type != "cpu":
        out.append(f"device='{t.device}'")
    if t.numel() == 0 and t.dim() != 1:
        out.append(f"size={t.shape}")
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
