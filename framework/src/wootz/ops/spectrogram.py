"""Short-time Fourier transforms: spectra of overlapping windows of a signal, and the signal back from them."""

from __future__ import annotations

import math

from wootz import _core, fft
from wootz._core import Tensor
from wootz.errors import ShapeError
from wootz.ops.array_op import zeros
from wootz.ops.database import op

__all__ = ["istft", "stft"]


def _window(name: str, window: Tensor | None, win_length: int, n_fft: int, like: Tensor) -> Tensor:
    """The window in the middle of n_fft points; of ones where none is given."""
    w = zeros(like, (win_length,)) + 1 if window is None else window
    if w.shape != (win_length,) or not 0 < win_length <= n_fft:
        raise ShapeError(f"{name}: expected a window of win_length={win_length} points, at most n_fft={n_fft}, found "
                         f"{w.shape}")  # fmt: skip
    before = (n_fft - win_length) // 2
    return _core.cat([zeros(w, (before,)), w, zeros(w, (n_fft - win_length - before,))], 0)


def _padded(x: Tensor, n: int, mode: str) -> Tensor:
    """The signal with n more points on either side: mirrored, or zeros."""
    if mode == "constant":
        edge = zeros(x, (*x.shape[:-1], n))
        return _core.cat([edge, x, edge], -1)
    if mode != "reflect":
        raise ValueError(f"stft: pad_mode is 'reflect' or 'constant', not {mode!r}")
    length = x.shape[-1]
    if n >= length:
        raise ShapeError(f"stft: mirroring {n} points takes a signal of more than {length}; use pad_mode='constant'")
    head, tail = x.narrow(-1, 1, n), x.narrow(-1, length - 1 - n, n)
    return _core.cat([_core.flip(head, -1), x, _core.flip(tail, -1)], -1)


@op("N(20), 8, return_complex=True", "N(2, 20), 8, 3, 6, window=C(6).abs() + 0.1, return_complex=True",
    "N(16), 6, center=False, normalized=True, onesided=False, return_complex=True",
    "N(5), 8, pad_mode='constant', return_complex=True", tolerance=1e-10, autocast={"cpu": "wide"})  # fmt: skip
def stft(
    self: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect", normalized: bool = False,
    onesided: bool | None = None, return_complex: bool | None = None,
) -> Tensor:  # fmt: skip
    """The spectra of windows ``hop_length`` (n_fft // 4) apart: (..., time) to (..., frequency, window).

    With ``center`` the k-th window is centred at k * hop_length, the signal being padded. Of real signals the first
    n_fft // 2 + 1 frequencies are given unless ``onesided`` is False. Raises ValueError unless ``return_complex``.
    """
    if not return_complex:
        raise ValueError("stft requires the return_complex parameter be given as True; view_as_real splits the result")
    if self.dim() not in (1, 2) or (n_fft > self.shape[-1] and not center) or n_fft < 1:
        raise ShapeError(f"stft: expected a signal or a batch of at least n_fft={n_fft} points, found {self.shape}")
    hop = n_fft // 4 if hop_length is None else hop_length
    x = _padded(self, n_fft // 2, pad_mode) if center else self
    weights = _window("stft", window, n_fft if win_length is None else win_length, n_fft, self)
    frames = x.unfold(-1, n_fft, hop) * weights
    norm = "ortho" if normalized else None
    whole = self.dtype.is_complex or onesided is False
    return (fft.fft(frames, norm=norm) if whole else fft.rfft(frames, norm=norm)).transpose(-2, -1)


@op("X(5, 7), 8", "X(2, 5, 7), 8, 3, window=C(8).abs() + 0.5, length=20",
    "X(5, 4), 8, 4, center=False, normalized=True", "X(8, 7), 8, onesided=False", tolerance=1e-9)  # fmt: skip
def istft(
    self: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, normalized: bool = False, onesided: bool | None = None,
    length: int | None = None, return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal with these spectra, by least squares: the inverse of `stft`. (..., frequency, window) to (..., time).

    Raises `ShapeError` where the windows do not cover the signal, ValueError for ``return_complex`` of half a spectrum.
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    rows = n_fft if onesided is False else n_fft // 2 + 1
    if self.dim() not in (2, 3) or self.shape[-2] != rows:
        raise ShapeError(f"istft: expected (..., {rows}, windows) for n_fft={n_fft}, found {self.shape}")
    if return_complex and onesided is not False:
        raise ValueError("istft: a complex signal takes a whole spectrum: give onesided=False")
    spectra, norm = self.transpose(-2, -1), "ortho" if normalized else None
    if return_complex:
        frames = fft.ifft(spectra, norm=norm)
    else:  # the other half of a real signal's spectrum says nothing new
        frames = fft.irfft(spectra.narrow(-1, 0, n_fft // 2 + 1), n_fft, norm=norm)
    real = frames if not frames.dtype.is_complex else _core.view_as_real(frames).select(-1, 0)
    weights = _window("istft", window, n_fft if win_length is None else win_length, n_fft, real.detach())
    count = frames.shape[-2]
    total = n_fft + hop * (count - 1)
    steps = _core.arange(0, count, 1, _core.int64).unsqueeze(1) * hop + _core.arange(0, n_fft, 1, _core.int64)
    where = steps.reshape((-1,)).to(self.device)
    signal = _added(frames * weights, where, total)
    cover = _added((weights * weights).expand((count, n_fft)), where, total)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - start
    have = min(end, total)
    signal, cover = signal.narrow(-1, start, have - start), cover.narrow(-1, start, have - start)
    if bool((cover.abs() < 1e-11).any()):
        raise ShapeError(f"istft: window overlap add min is 0: windows of {n_fft} points {hop} apart leave gaps")
    signal = signal / cover
    if end > have:
        signal = _core.cat([signal, zeros(signal, (*signal.shape[:-1], end - have))], -1)
    return signal


def _added(frames: Tensor, where: Tensor, total: int) -> Tensor:
    """Frames put where they belong, added where they overlap."""
    flat = frames.reshape((*frames.shape[:-2], math.prod(frames.shape[-2:])))
    return _core.index_add(zeros(frames, (*frames.shape[:-2], total)), frames.dim() - 2, where, flat)
