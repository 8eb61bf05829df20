"""Bessel's functions and Airy's, by quadrature rather than tables: the trapezoidal rule on integrals that it suits.

On periodic functions, and on those that vanish fast in both directions, that rule's error falls faster than any power
of the step (Trefethen & Weideman 2014). Far out, where integrands turn quickly, Hankel's asymptotic series takes over.
Formulas by their numbers in the NIST Digital Library of Mathematical Functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from wootz.ops.series import i0e_of, i1e_of

__all__ = ["airy_of", "first_kind_of", "k_scaled_of", "second_kind_of"]

_EULER = 0.5772156649015329
_FAR = 25.0  # from here on Hankel's series has all digits
_AIRY_FAR = 9.0
# Angles in a quarter of the circle; all integrands here are the same in the others. Aliases of order n come from order
# 160 - n, and Bessel functions of orders beyond 90 are nothing below _FAR.
_ANGLES = tuple(math.pi * (j + 0.5) / 80 for j in range(40))
_TERMS = 45


def _mean(xp: Any, x: Any, odd: int, weights: Sequence[float]) -> Any:
    """The mean over the circle of weight times cos(x sin(angle)), or for odd orders the sine."""
    out = xp.zeros_like(x)
    for angle, weight in zip(_ANGLES, weights, strict=True):
        turned = x * math.sin(angle)
        out = out + weight * (xp.sin(turned) if odd else xp.cos(turned))
    return out / len(_ANGLES)


_FIRST = ((1.0,) * len(_ANGLES), tuple(math.sin(angle) for angle in _ANGLES))
_NEUMANN = tuple(sum((-1) ** k * math.cos(2 * k * angle) / k for k in range(1, _TERMS)) for angle in _ANGLES)
_SECOND = (_NEUMANN, tuple(weight * math.sin(angle) for weight, angle in zip(_NEUMANN, _ANGLES, strict=True)))


def _hankel(xp: Any, x: Any, order: int) -> tuple[Any, Any]:
    """The slowly changing factors of cosine and sine in Hankel's expansion (10.17.3), x at least `_FAR`."""
    p, q, term = xp.ones_like(x), xp.zeros_like(x), xp.ones_like(x)
    for k in range(1, 30):
        term = term * ((4 * order * order - (2 * k - 1) ** 2) / (8 * k)) / x
        sign = -1 if k % 4 in (2, 3) else 1
        p, q = (p + sign * term, q) if k % 2 == 0 else (p, q + sign * term)
    return p, q


def _waves(xp: Any, x: Any, order: int) -> tuple[Any, Any]:
    """J and Y far out."""
    p, q = _hankel(xp, x, order)
    phase, size = x - (order / 2 + 0.25) * math.pi, xp.sqrt(2 / (math.pi * x))
    return size * (p * xp.cos(phase) - q * xp.sin(phase)), size * (p * xp.sin(phase) + q * xp.cos(phase))


def first_kind_of(xp: Any, x: Any, order: int) -> Any:
    """J of order 0 or 1: Bessel's integral (10.9.2)."""
    size = xp.abs(x)
    near = _mean(xp, xp.minimum(size, _FAR), order, _FIRST[order])
    far, _ = _waves(xp, xp.where(xp.isinf(size), _FAR, xp.maximum(size, _FAR)), order)
    found = xp.where(size < _FAR, near, xp.where(xp.isinf(size), 0, far))
    found = xp.where(xp.isnan(x), x, found)
    return xp.where(x < 0, -found, found) if order else found


def second_kind_of(xp: Any, x: Any, order: int) -> Any:
    """Y of order 0 or 1: Neumann's expansion (10.8.3) in J, whose sum is one mean, and minus its derivative."""
    near = xp.where((x > 0) & (x < _FAR), x, 1)
    log = xp.log(near / 2) + _EULER
    j0 = _mean(xp, near, 0, _FIRST[0])
    found = log * (_mean(xp, near, 1, _FIRST[1]) if order else j0) - 2 * _mean(xp, near, order, _SECOND[order])
    found = (found - j0 / near if order else found) * (2 / math.pi)
    _, far = _waves(xp, xp.where((x > _FAR) & ~xp.isinf(x), x, _FAR), order)
    found = xp.where(x < _FAR, found, xp.where(xp.isinf(x), 0, far))
    return xp.where(x > 0, found, xp.where(x == 0, -math.inf, math.nan).astype(x.dtype))


def _k_integral(xp: Any, x: Any, order: float) -> Any:
    """exp(x) K: the integral of exp(-x (cosh t - 1)) cosh(order t) over t > 0 (10.32.9), x not small."""
    last = xp.arccosh(1 + 42 / x)
    steps = 36
    out = xp.full_like(x, 0.5)
    for j in range(1, steps):
        t = last * (j / steps)
        out = out + xp.exp(-2 * x * xp.sinh(t / 2) ** 2) * xp.cosh(order * t)
    return out * last / steps


def _k0_series(xp: Any, x: Any) -> Any:
    """K0 near 0 (10.31.2)."""
    quarter = x * x / 4
    term, harmonic, out = xp.ones_like(x), 0.0, xp.zeros_like(x)
    for k in range(1, 24):
        term, harmonic = term * quarter / (k * k), harmonic + 1 / k
        out = out + term * harmonic
    return out - (xp.log(x / 2) + _EULER) * i0e_of(xp, x) * xp.exp(x)


def k_scaled_of(xp: Any, x: Any, order: int) -> Any:
    """exp(x) K of order 0 or 1; K1 near 0 by the Wronskian (10.28.2)."""
    near, far = xp.where((x > 0) & (x < 2), x, 1), xp.where((x > 2) & ~xp.isinf(x), x, 2)
    small = _k0_series(xp, near)
    if order:
        scale = xp.exp(near)
        small = (1 / near - i1e_of(xp, near) * scale * small) / (i0e_of(xp, near) * scale)
    found = xp.where(x < 2, small * xp.exp(near), xp.where(xp.isinf(x), 0, _k_integral(xp, far, order)))
    return xp.where(x > 0, found, xp.where(x == 0, math.inf, math.nan).astype(x.dtype))


def _airy_middle(xp: Any, x: Any) -> Any:
    """Airy's integral (9.5.4) along a line a little above the real axis, where it vanishes like a normal density."""
    height, step = 0.4, 0.06
    out = xp.zeros_like(x)
    for j in range(-165, 166):
        s = complex(j * step, height)
        out = out + xp.exp(1j * (s**3 / 3 + x * s)).real
    return out * (step / (2 * math.pi))


def _airy_wave(xp: Any, x: Any) -> Any:
    """Far on the negative side (9.7.9); x is the distance from 0."""
    zeta = 2 / 3 * x**1.5
    p, q, term = xp.ones_like(x), xp.zeros_like(x), xp.ones_like(x)
    for k in range(1, 24):
        term = term * ((6 * k - 5) * (6 * k - 3) * (6 * k - 1) / (216 * k * (2 * k - 1))) / zeta
        sign = -1 if k % 4 in (2, 3) else 1
        p, q = (p + sign * term, q) if k % 2 == 0 else (p, q + sign * term)
    phase = zeta - math.pi / 4
    return (xp.cos(phase) * p + xp.sin(phase) * q) / (math.sqrt(math.pi) * x**0.25)


def airy_of(xp: Any, x: Any) -> Any:
    """Airy's function of the first kind; on the positive side by K of order 1/3 (9.6.2)."""
    right = xp.where(x > 1, xp.minimum(x, 200), 1)
    zeta = 2 / 3 * right**1.5
    falling = xp.sqrt(right / 3) / math.pi * _k_integral(xp, zeta, 1 / 3) * xp.exp(-zeta)
    middle = _airy_middle(xp, xp.where((x >= -_AIRY_FAR) & (x <= 1), x, 0))
    wave = _airy_wave(xp, xp.where((x < -_AIRY_FAR) & ~xp.isinf(x), -x, _AIRY_FAR))
    found = xp.where(x > 1, falling, xp.where(x >= -_AIRY_FAR, middle, wave))
    return xp.where(xp.isnan(x), x, xp.where(xp.isinf(x), 0, found))
