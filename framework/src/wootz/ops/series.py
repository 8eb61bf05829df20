"""Numerics of the special functions over any array module: Chebyshev series, Stirling's, Euler and Maclaurin's.

The tables are Chebyshev coefficients computed with 40 digits from the functions' definitions; the last is below 1e-16.
"""

from __future__ import annotations

import math
from typing import Any

__all__: list[str] = []  # for the families; nothing of it is an op

# erfcx(x) / t over t = 2 / (2 + x) in [0, 1]; erf(x) / x over x² in [0, 1]; exp(-x) I0(x), and I1(x) / x, over x in
# [0, 8]; exp(-x) sqrt(x) of both over 8 / x.
ERFCX = (
    0.5770337386164697,
    0.3554369212704985,
    0.06509515882878653,
    0.003671142395836639,
    -0.0011128447433526325,
    -0.0001607582991537808,
    3.278031574173137e-05,
    5.442441645505016e-06,
    -1.5154665553171482e-06,
    -1.4297608181169865e-07,
    8.234608827419493e-08,
    -1.2962846852306563e-09,
    -4.154721631015199e-09,
    6.347058278362811e-10,
    1.4320822712256225e-10,
    -6.160390105204585e-11,
    2.0612138554721698e-12,
    3.5714931488477042e-12,
    -8.586422843251796e-13,
    -6.14560021379063e-14,
    7.418725748596617e-14,
    -1.2895042755032325e-14,
    -2.358726385710632e-15,
    1.5729349381685912e-15,
    -2.2782966239546465e-16,
    -6.31233045075643e-17,
    3.5916763531814925e-17,
)
ERF = (
    0.9754769393826541,
    -0.14226120510371365,
    0.010035582187599796,
    -0.0005768764699767485,
    2.741993125219606e-05,
    -1.1043175507344507e-06,
    3.8488755420345036e-08,
    -1.1808582533875466e-09,
    3.2334215826050907e-11,
    -7.991015947004549e-13,
    1.7990725113961456e-14,
    -3.718635487818693e-16,
)
I0_NEAR = (
    0.33839763720473803,
    -0.3046826723431984,
    0.17162090152220877,
    -0.09490109704804764,
    0.04930528423967071,
    -0.02373741480589947,
    0.010546460394594998,
    -0.004324309995050576,
    0.0016394756169413357,
    -0.0005763755745385824,
    0.00018850288509584165,
    -5.754195010082104e-05,
    1.6448448070728896e-05,
    -4.4167383584587505e-06,
    1.1173875391201037e-06,
    -2.670793853940612e-07,
    6.046995022541919e-08,
    -1.300025009986248e-08,
    2.6598237246823866e-09,
    -5.189795601635263e-10,
    9.675809035373237e-11,
    -1.726826291441556e-11,
    2.95505266312964e-12,
    -4.856446783111929e-13,
    7.676185498604936e-14,
    -1.1685332877993451e-14,
    1.715391285555133e-15,
    -2.431279846547955e-16,
    3.3307945188222384e-17,
)
I0_FAR = (
    0.4022452055070544,
    0.0033691164782556943,
    6.889758346916825e-05,
    2.8913705208347567e-06,
    2.0489185894690638e-07,
    2.266668990498178e-08,
    3.3962320257083865e-09,
    4.94060238822497e-10,
    1.1889147107846439e-11,
    -3.1499165279632416e-11,
    -1.3215811840447713e-11,
    -1.7941785315068062e-12,
    7.180124451383666e-13,
    3.8527783827421426e-13,
    1.54008621752141e-14,
    -4.150569347287222e-14,
    -9.554846698828307e-15,
    3.8116806693526224e-15,
    1.7725601330565263e-15,
    -3.425485619677219e-16,
    -2.8276239805165836e-16,
    3.461222867697461e-17,
    4.46562142029676e-17,
)
I1_NEAR = (
    0.12629359322181682,
    -0.17641651835783406,
    0.1026436586898471,
    -0.05294598120809499,
    0.024726449030626516,
    -0.010564084894626197,
    0.004156422944312888,
    -0.0015135724506312532,
    0.0005122859561685758,
    -0.00016176081582589674,
    4.781565107550054e-05,
    -1.3273163656039436e-05,
    3.4702513081376785e-06,
    -8.568720264695455e-07,
    2.0032947535521353e-07,
    -4.445059128796328e-08,
    9.381537386495773e-09,
    -1.8872497517228294e-09,
    3.625590281552117e-10,
    -6.663489723502027e-11,
    1.1736186298890901e-11,
    -1.9839743977649436e-12,
    3.223793365945575e-13,
    -5.042185504727912e-14,
    7.600684294735408e-15,
    -1.1055969477353862e-15,
    1.5536319577362005e-16,
    -2.111421214358166e-17,
)
I1_FAR = (
    0.38928811750914005,
    -0.009761097491361469,
    -0.00011058893876262371,
    -3.882564808877691e-06,
    -2.512236237870209e-07,
    -2.6314688468895196e-08,
    -3.835380385964237e-09,
    -5.589743462196584e-10,
    -1.8974958123505413e-11,
    3.2526035830154884e-11,
    1.4125807436613782e-11,
    2.0356285441470896e-12,
    -7.198551776245908e-13,
    -4.0835511110921974e-13,
    -2.1015418427726643e-14,
    4.272440016711951e-14,
    1.0420276984128802e-14,
    -3.8144030724370075e-15,
    -1.8803547755107825e-15,
    3.3082023109209285e-16,
    2.96262899764595e-16,
    -3.209525921993424e-17,
    -4.6503053684893586e-17,
)

# B(2k) / (2k (2k - 1)), B(2k) / 2k and B(2k) / (2k)!, from k = 1 on.
BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)


def chebyshev(u: Any, table: tuple[float, ...]) -> Any:
    """The series at u in [-1, 1], by Clenshaw's recurrence."""
    a = b = 0.0 * u
    for c in table[:0:-1]:
        a, b = 2 * u * a - b + c, a
    return u * a - b + table[0]


def erfcx_of(xp: Any, x: Any) -> Any:
    """exp(x²) erfc(x)."""
    t = 2 / (2 + xp.abs(x))
    right = t * chebyshev(2 * t - 1, ERFCX)
    with_sign = 2 * xp.exp(xp.where(x < 0, x * x, 0.0)) - right
    return xp.where(x < 0, with_sign, right)


def _gaussian(xp: Any, x: Any) -> Any:
    """exp(-x²), the square taken in two parts: its rounding would be enlarged x² times."""
    whole = xp.round(x * 16) / 16
    return xp.exp(-whole * whole) * xp.exp((whole - x) * (whole + x))


def erfc_of(xp: Any, x: Any) -> Any:
    """1 - erf(x), accurate where that is small."""
    size = xp.minimum(xp.abs(x), 30.0)
    t = 2 / (2 + size)
    right = _gaussian(xp, size) * t * chebyshev(2 * t - 1, ERFCX)
    near = xp.minimum(xp.abs(x), 0.5)
    small = 1 - xp.sign(x) * near * chebyshev(2 * near * near - 1, ERF)
    out = xp.where(xp.abs(x) < 0.5, small, xp.where(x < 0, 2 - right, right))
    return xp.where(xp.isnan(x), x, out)


def erfcinv_of(xp: Any, q: Any) -> Any:
    """The y with erfc(y) = q for q in [0, 1]: Winitzki's approximation and three steps of Halley's."""
    inside = xp.where((q > 0) & (q <= 1), q, 0.5)
    log = xp.log(inside * (2 - inside))
    a = 2 / (math.pi * 0.147) + log / 2
    y = xp.sqrt(xp.maximum(xp.sqrt(a * a - log / 0.147) - a, 0))
    for _ in range(3):
        step = (inside * xp.exp(y * y) - erfcx_of(xp, y)) * (math.sqrt(math.pi) / 2)
        y = y - step / (1 + y * step)
    return xp.where(q == 0, math.inf, xp.where((q > 0) & (q <= 1), y, math.nan))


def i0e_of(xp: Any, x: Any) -> Any:
    """exp(-|x|) I0(x)."""
    x = xp.abs(x)
    far = xp.maximum(x, 8.0)
    near = chebyshev(xp.minimum(x, 8.0) / 4 - 1, I0_NEAR)
    return xp.where(x <= 8, near, chebyshev(16 / far - 1, I0_FAR) / xp.sqrt(far))


def i1e_of(xp: Any, x: Any) -> Any:
    """exp(-|x|) I1(x)."""
    size = xp.abs(x)
    far = xp.maximum(size, 8.0)
    near = size * chebyshev(xp.minimum(size, 8.0) / 4 - 1, I1_NEAR)
    return xp.sign(x) * xp.where(size <= 8, near, chebyshev(16 / far - 1, I1_FAR) / xp.sqrt(far))


def _sinpi(xp: Any, x: Any) -> Any:
    """sin(pi x), the whole part taken off first."""
    whole = xp.round(x)
    sine = xp.sin(math.pi * (x - whole))
    return xp.where(whole % 2 == 0, sine, -sine)


def lgamma_of(xp: Any, x: Any) -> Any:
    """log |gamma(x)|: Stirling's series from 8 on, the recurrence below, reflection on the left."""
    left = x < 0.5
    y = xp.where(left, 1 - x, x)
    product = xp.ones_like(y)
    z = y
    for _ in range(8):
        product = xp.where(z < 8, product * z, product)
        z = xp.where(z < 8, z + 1, z)
    inverse = 1 / (z * z)
    tail = sum(b / (2 * k * (2 * k - 1)) * inverse ** (k - 1) for k, b in enumerate(BERNOULLI[:8], 1)) / z
    right = (z - 0.5) * xp.log(z) - z + 0.5 * math.log(2 * math.pi) + tail - xp.log(product)
    sine = xp.abs(_sinpi(xp, xp.where(left, x, 0.5)))
    out = xp.where(left, math.log(math.pi) - xp.log(sine) - right, right)
    return xp.where(xp.isinf(x), math.inf, out)


def zeta_of(xp: Any, s: Any, q: Any) -> Any:
    """Hurwitz' zeta function: the sum of (q + k)**-s over k >= 0, for s > 1, by Euler and Maclaurin's formula."""
    q, s = xp.broadcast_arrays(q, s)[0] + 0.0 * s, s + 0.0 * q
    total, low = xp.zeros_like(q), int(max(0.0, -float(q.min()))) if q.size else 0
    for _ in range(10 + min(low, 10000)):  # up to where every term is positive and the series below holds
        more = q < 10
        total = xp.where(more, total + xp.where(more, q, 1.0) ** -s, total)
        q = xp.where(more, q + 1, q)
    total = total + q ** (1 - s) / (s - 1) + 0.5 * q**-s
    factor, power = s, q ** (-s - 1)
    for k, b in enumerate(BERNOULLI, 1):
        total = total + b / math.factorial(2 * k) * factor * power
        factor, power = factor * (s + 2 * k - 1) * (s + 2 * k), power / (q * q)
    return xp.where(s > 1, total, xp.where(s == 1, math.inf, math.nan).astype(total.dtype))


def gammainc_of(xp: Any, a: Any, x: Any, upper: bool) -> Any:
    """The regularised incomplete gamma functions: a series below a + 1, Lentz' continued fraction above."""
    a, x = xp.broadcast_arrays(a, x)
    inside = (a > 0) & (x > 0) & xp.isfinite(x)
    a_, x_ = xp.where(inside, a, 1.0), xp.where(inside, x, 1.0)
    scale = xp.exp(a_ * xp.log(x_) - x_ - lgamma_of(xp, a_))
    near = x_ < a_ + 1
    lower = _gamma_series(xp, a_, xp.where(near, x_, 0.5), scale)
    beyond = _gamma_fraction(xp, xp.where(near, 0.5, a_), xp.where(near, 3.0, x_), scale)
    found = xp.where(near, 1 - lower, beyond) if upper else xp.where(near, lower, 1 - beyond)
    edge = xp.where((x == 0) & (a > 0), 0.0, xp.where((a == 0) & (x > 0) | xp.isinf(x) & (a > 0), 1.0, math.nan))
    return xp.where(inside, found, (1 - edge if upper else edge).astype(x.dtype))


def _gamma_series(xp: Any, a: Any, x: Any, scale: Any) -> Any:
    term = total = 1 / a
    for n in range(1, 2000):
        term = term * x / (a + n)
        total = total + term
        if not bool((xp.abs(term) > 1e-17 * xp.abs(total)).any()):
            break
    return total * scale


def _gamma_fraction(xp: Any, a: Any, x: Any, scale: Any) -> Any:
    b = x + 1 - a
    c, d = 0.0 * b + xp.finfo(b.dtype).max, 1 / b
    h = d
    for n in range(1, 2000):
        an = -n * (n - a)
        b = b + 2
        d = 1 / (an * d + b)
        c = b + an / c
        change = c * d
        h = h * change
        if not bool((xp.abs(change - 1) > 1e-16).any()):
            break
    return h * scale
