"""The Fourier transform extension of the standard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wootz import fft as _fft
from wootz._core import Tensor, dtype

_ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
_MANY = ("fftn", "ifftn", "rfftn", "irfftn")

__all__ = [*_ONE, *_MANY, "fftfreq", "fftshift", "ifftshift", "rfftfreq"]  # made below


def _one(name: str) -> Callable[..., Tensor]:
    op: Callable[..., Tensor] = getattr(_fft, name)

    def transform(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
        return op(x, n, axis, norm)

    return _named(transform, name, "along an axis, of length ``n``")


def _many(name: str) -> Callable[..., Tensor]:
    op: Callable[..., Tensor] = getattr(_fft, name)

    def transform(x: Tensor, /, *, s: Any = None, axes: Any = None, norm: str = "backward") -> Tensor:
        return op(x, s, axes, norm)

    return _named(transform, name, "along several axes, of lengths ``s``")


def _named(function: Callable[..., Tensor], name: str, where: str) -> Callable[..., Tensor]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The standard's ``{name}``, {where}; ``norm`` is backward, ortho or forward."
    return function


globals().update({name: _one(name) for name in _ONE} | {name: _many(name) for name in _MANY})


def fftfreq(n: int, /, *, d: float = 1.0, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """The frequencies of the results of `fft`, for samples ``d`` apart."""
    return _fft.fftfreq(n, d, dtype=dtype, device=device)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """The frequencies of the results of `rfft`, for samples ``d`` apart."""
    return _fft.rfftfreq(n, d, dtype=dtype, device=device)


def fftshift(x: Tensor, /, *, axes: Any = None) -> Tensor:
    """Frequency zero moved to the middle."""
    return _fft.fftshift(x, axes)


def ifftshift(x: Tensor, /, *, axes: Any = None) -> Tensor:
    """`fftshift` undone."""
    return _fft.ifftshift(x, axes)
