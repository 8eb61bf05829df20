"""Windows for spectra, and other sequences that are computed when they are made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor, dtype
from wootz.errors import DTypeError
from wootz.ops.creation import linspace, place, zeros
from wootz.ops.database import op
from wootz.ops.special import i0

__all__ = [
    "bartlett_window", "blackman_window", "empty_permuted", "empty_strided", "hamming_window", "hann_window",
    "kaiser_window", "logspace", "scalar_tensor",
]  # fmt: skip


def _phase(n: int, periodic: bool) -> Tensor:
    """0 to 2 pi over the window, in float64; a periodic one is the symmetric one of n + 1 points without the last."""
    if n < 0:
        raise ValueError(f"a window requires non-negative window_length, got window_length={n}")
    return _core.arange(0, n, 1, _core.float64) * (2 * math.pi / max(n if periodic else n - 1, 1))


def _made(window: Tensor, kind: dtype | None, device: Any, requires_grad: bool) -> Tensor:
    kind = kind or _core.get_default_dtype()
    if not kind.is_floating_point:
        raise DTypeError(f"a window expects a floating point dtype, found {kind.name}")
    if window.numel() == 1:
        window = window * 0 + 1
    return place(_core.cast(window, kind), device, requires_grad)


def _cosines(phase: Tensor, *terms: float) -> Tensor:
    """terms[0] - terms[1] cos(phase) + terms[2] cos(2 phase)."""
    out = _core.cos(phase) * -terms[1] + terms[0]
    return out + _core.cos(phase * 2) * terms[2] if len(terms) > 2 else out


@op("6", "5, False", "1", "0", differentiable=False, tolerance=1e-6)
def hann_window(
    window_length: int, periodic: bool = True, *, dtype: dtype | None = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A raised cosine: (1 - cos) / 2."""
    return _made(_cosines(_phase(window_length, periodic), 0.5, 0.5), dtype, device, requires_grad)


@op("6", "5, False", "6, True, 0.6, 0.4", differentiable=False, tolerance=1e-6)
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: dtype | None = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A cosine on a step: alpha - beta cos."""
    return _made(_cosines(_phase(window_length, periodic), alpha, beta), dtype, device, requires_grad)


@op("6", "5, False", differentiable=False, tolerance=1e-6)
def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: dtype | None = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Blackman's: 0.42 - 0.5 cos + 0.08 cos of the double phase."""
    return _made(_cosines(_phase(window_length, periodic), 0.42, 0.5, 0.08), dtype, device, requires_grad)


@op("6", "5, False", "4, False", differentiable=False, tolerance=1e-6)
def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: dtype | None = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A triangle."""
    share = _phase(window_length, periodic) / math.pi
    return _made(1 - _core.abs(share - 1), dtype, device, requires_grad)


@op("6", "5, False", "6, True, 5.0", differentiable=False, tolerance=1e-6)
def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: dtype | None = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Kaiser's: I0 of an ellipse."""
    share = _phase(window_length, periodic) / math.pi - 1
    top = i0(_core.full((), float(beta), _core.float64))
    window = i0(_core.sqrt((1 - share * share).clamp(min=0)) * beta) / top
    return _made(window, dtype, device, requires_grad)


@op("0, 2, 5", "-1, 1, 3, 2.0", "0, 1, 0", differentiable=False, tolerance=1e-6)
def logspace(
    start: float, end: float, steps: int, base: float = 10.0, *, dtype: dtype | None = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``steps`` numbers from base**start to base**end, evenly spaced on a logarithmic scale."""
    powers = _core.pow(_core.scalar(float(base), _core.float64), linspace(start, end, steps, dtype=_core.float64))
    return place(_core.cast(powers, dtype or _core.get_default_dtype()), device, requires_grad)


def scalar_tensor(
    s: float, *, dtype: dtype | None = None, device: Any = None, requires_grad: bool = False
) -> Tensor:  # fmt: skip
    """A 0-d tensor, in the default dtype unless told otherwise."""
    return place(_core.full((), s, dtype or _core.get_default_dtype()), device, requires_grad)


def empty_strided(
    size: Sequence[int], stride: Sequence[int], *, dtype: dtype | None = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uninitialised memory with these strides, in elements; holes between them are allocated too."""
    span = 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    flat = zeros(span, dtype=dtype, device=device)
    return flat.as_strided(list(size), list(stride)).requires_grad_(requires_grad)


def empty_permuted(
    size: Sequence[int], physical_layout: Sequence[int], *, dtype: dtype | None = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Uninitialised memory whose dimensions lie in the order given, the outermost first."""
    strides, step = [0] * len(size), 1
    for d in reversed(list(physical_layout)):
        strides[d], step = step, step * size[d]
    return empty_strided(size, strides, dtype=dtype, device=device, requires_grad=requires_grad)
