"""Fourier transforms: precision, round trips, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import wootz
from wootz import fft
from wootz.errors import DTypeError, ShapeError


def drawn(*shape: int, seed: int = 0) -> wootz.Tensor:
    return wootz.from_numpy(np.random.default_rng(seed).standard_normal(shape))


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
def test_transforms_and_their_inverses(norm: str | None) -> None:
    x = drawn(3, 5)
    for there, back in ((fft.fft, fft.ifft), (fft.fftn, fft.ifftn), (fft.ifft2, fft.fft2)):
        wootz.testing.assert_close(back(there(x, norm=norm), norm=norm).real, x, rtol=1e-12, atol=1e-12)
    wootz.testing.assert_close(fft.irfft(fft.rfft(x, norm=norm), 5, norm=norm), x, rtol=1e-12, atol=1e-12)
    wootz.testing.assert_close(fft.irfftn(fft.rfftn(x, norm=norm), (3, 5), norm=norm), x, rtol=1e-12, atol=1e-12)
    wootz.testing.assert_close(fft.hfft(fft.ihfft(x, norm=norm), 5, norm=norm), x, rtol=1e-12, atol=1e-12)


def test_single_precision_gives_single_precision() -> None:
    x = drawn(4).float()
    assert fft.fft(x).dtype == fft.rfft(x).dtype == wootz.complex64
    assert fft.irfft(fft.rfft(x)).dtype == wootz.float32
    assert fft.fft(wootz.arange(4)).dtype == wootz.complex64


def test_a_convolution_by_the_theorem_learns() -> None:
    """Gradients through a product of spectra: those of the convolution it is."""
    x, k = drawn(8).requires_grad_(), drawn(8, seed=1).requires_grad_()
    by_spectra = fft.irfft(fft.rfft(x) * fft.rfft(k), 8)
    direct = wootz.stack([(x * k.flip(0).roll(i + 1, 0)).sum() for i in range(8)])
    wootz.testing.assert_close(by_spectra, direct, rtol=1e-10, atol=1e-12)
    weights = drawn(8, seed=2)
    for mine, expected in zip(
        wootz.autograd.grad((by_spectra * weights).sum(), [x, k]),
        wootz.autograd.grad((direct * weights).sum(), [x, k]),
        strict=True,
    ):
        assert mine is not None and expected is not None
        wootz.testing.assert_close(mine, expected, rtol=1e-10, atol=1e-12)


def test_a_signal_comes_back_from_its_short_spectra() -> None:
    x, window = drawn(2, 64), wootz.hann_window(16, dtype=wootz.float64)
    spectra = wootz.stft(x, 16, 4, window=window, return_complex=True)
    wootz.testing.assert_close(wootz.istft(spectra, 16, 4, window=window, length=64), x, rtol=1e-10, atol=1e-12)


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: fft.rfft(fft.fft(drawn(4))), DTypeError, "expects a real input"),
    (lambda: fft.fft(drawn(4), norm="orthogonal"), ValueError, "normalization mode"),
    (lambda: fft.fft(drawn(4), 0), ShapeError, r"data points \(0\)"),
    (lambda: fft.fft(drawn()), ShapeError, "different dimensions"),
    (lambda: fft.fftn(drawn(2, 2), dim=(0, 0)), ShapeError, "different dimensions"),
    (lambda: fft.fft(drawn(4), dim=1), IndexError, "out of range"),
    (lambda: wootz.stft(drawn(8), 4), ValueError, "return_complex"),
    (lambda: wootz.stft(drawn(3), 8, return_complex=True), ShapeError, "mirroring 4 points"),
    (lambda: wootz.istft(fft.fft(drawn(4, 3)), 8), ShapeError, r"expected \(\.\.\., 5, windows\)"),
    (
        lambda: wootz.istft(fft.fft(drawn(5, 3)), 8, 8, 2, center=False, window=wootz.ones(2, dtype=wootz.float64)),
        ShapeError,
        "leave gaps",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), REFUSED)
def test_bad_arguments_are_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_eigenvalues_of_a_rotation_are_complex() -> None:
    turn = wootz.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=wootz.float64, requires_grad=True)
    values, vectors = wootz.linalg.eig(turn)
    wootz.testing.assert_close(turn.to(vectors.dtype) @ vectors, vectors * values, rtol=0, atol=1e-12)
    # |V_ij|² does not depend on the phases
    skew = drawn(3, 3).requires_grad_()
    assert wootz.autograd.gradcheck(lambda a: (lambda v: v.real**2 + v.imag**2)(wootz.linalg.eig(a)[1]), [skew])
