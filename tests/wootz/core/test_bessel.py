"""Bessel's and Airy's functions against their power series in sixty digits, and what defines them where those end."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal, localcontext

import numpy as np
import pytest

import wootz
from wootz import special

PI = Decimal("3.14159265358979323846264338327950288419716939937510582")
EULER = Decimal("0.57721566490153286060651209008240243104215933593992")
AIRY = (
    Decimal("0.35502805388781723926006318600418317639797917419918"),
    Decimal("0.25881940379280679840518356018920396347909113835493"),
)


def series(x: Decimal, order: int, sign: int) -> Decimal:
    """J (sign -1) or I (sign 1) of an order."""
    term = (x / 2) ** order / math.factorial(order)
    total = Decimal(0)
    for k in range(1, 220):
        total += term
        term *= sign * x * x / 4 / (k * (k + order))
    return total


def second(x: Decimal, order: int, sign: int) -> Decimal:
    """The series with harmonic numbers that Y and K add to their logarithm."""
    total, term, below, above = (
        Decimal(0),
        (x / 2) ** order,
        Decimal(0),
        sum(Decimal(1) / k for k in range(1, order + 1)),
    )
    for k in range(220):
        total += term * (below + above)
        term *= sign * x * x / 4 / ((k + 1) * (k + 1 + order))
        below, above = below + Decimal(1) / (k + 1), above + Decimal(1) / (k + 1 + order)
    return total


def y(x: Decimal, order: int) -> Decimal:
    first = (2 * ((x / 2).ln() + EULER) * series(x, order, -1) - second(x, order, -1)) / PI
    return first - (2 / (PI * x) if order else 0)


def k(x: Decimal, order: int) -> Decimal:
    log = ((x / 2).ln() + EULER) * series(x, order, 1)
    return 1 / x + log - second(x, order, 1) / 2 if order else second(x, order, 1) / 2 - log


def airy(x: Decimal) -> Decimal:
    f, g, a, b = Decimal(0), Decimal(0), Decimal(1), x
    for n in range(250):
        f, g = f + a, g + b
        a, b = a * x**3 / ((3 * n + 2) * (3 * n + 3)), b * x**3 / ((3 * n + 3) * (3 * n + 4))
    return AIRY[0] * f - AIRY[1] * g


POINTS = [0.001, 0.4, 1.9, 2.1, 5.0000001, 7.6, 13.0, 24.9, 25.1, 31.0]
CASES: dict[str, tuple[Callable[[Decimal], Decimal], list[float]]] = {
    "bessel_j0": (lambda x: series(x, 0, -1), [-3.0, *POINTS]),
    "bessel_j1": (lambda x: series(x, 1, -1), [-3.0, *POINTS]),
    "bessel_y0": (lambda x: y(x, 0), POINTS),
    "bessel_y1": (lambda x: y(x, 1), POINTS),
    "modified_bessel_k0": (lambda x: k(x, 0), POINTS[:6]),
    "modified_bessel_k1": (lambda x: k(x, 1), POINTS[:6]),
    "scaled_modified_bessel_k0": (lambda x: k(x, 0) * x.exp(), POINTS[:6]),
    "scaled_modified_bessel_k1": (lambda x: k(x, 1) * x.exp(), POINTS[:6]),
    "airy_ai": (airy, [-14.0, -9.1, -8.9, -5.0, -2.1, 0.0, 0.5, 0.99, 1.01, 3.0, 6.0]),
}


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_series(name: str) -> None:
    function, points = CASES[name]
    with localcontext() as context:
        context.prec = 70
        expected = [float(function(Decimal(p))) for p in points]
    found = getattr(special, name)(wootz.tensor(points, dtype=wootz.float64))
    np.testing.assert_allclose(found.numpy(), expected, rtol=5e-14, atol=5e-16)


def test_at_the_ends() -> None:
    at = wootz.tensor([0.0, -1.0, math.inf, math.nan], dtype=wootz.float64)
    for name in ("bessel_y0", "bessel_y1"):
        assert str(getattr(special, name)(at).tolist()) == "[-inf, nan, 0.0, nan]"
    for name in ("modified_bessel_k0", "modified_bessel_k1", "scaled_modified_bessel_k1"):
        assert str(getattr(special, name)(at).tolist()) == "[inf, nan, 0.0, nan]"
    assert str(special.airy_ai(at[2:]).tolist()) == "[0.0, nan]"
    large = wootz.tensor([700.0, 1e6], dtype=wootz.float64)
    # the Wronskians of both pairs
    j0, j1, y0, y1 = (f(large) for f in (special.bessel_j0, special.bessel_j1, special.bessel_y0, special.bessel_y1))
    np.testing.assert_allclose((j1 * y0 - j0 * y1).numpy(), 2 / math.pi / large.numpy(), rtol=1e-11)
    i0, i1 = special.i0e(large), special.i1e(large)
    k0, k1 = special.scaled_modified_bessel_k0(large), special.scaled_modified_bessel_k1(large)
    np.testing.assert_allclose((i0 * k1 + i1 * k0).numpy(), 1 / large.numpy(), rtol=1e-12)


def test_derivatives_that_nobody_has_are_refused_at_backward() -> None:
    for call in (wootz.igamma, wootz.igammac, special.zeta):
        order, x = wootz.tensor([2.5], requires_grad=True), wootz.tensor([1.5], requires_grad=True)
        with pytest.raises(NotImplementedError, match="derivative for"):
            call(order, x).backward()
        call(order.detach(), x).backward()
        assert x.grad is not None
