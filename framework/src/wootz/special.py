"""torch.special's names: what is not in `wootz` itself, beside what is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz._core import digamma as digamma
from wootz._core import erf as erf
from wootz._core import erfc as erfc
from wootz._core import erfinv as erfinv
from wootz._core import expm1 as expm1
from wootz._core import lgamma as lgamma
from wootz._core import log1p as log1p
from wootz._core import log_softmax as log_softmax
from wootz._core import logsumexp as logsumexp
from wootz._core import round as round
from wootz._core import sigmoid as expit
from wootz._core import softmax as softmax
from wootz.ops.array_op import array_op, broadcasting, floating, no_rule, promoted
from wootz.ops.bessel import airy_of, first_kind_of, k_scaled_of, second_kind_of
from wootz.ops.database import op
from wootz.ops.elementwise import exp2 as exp2
from wootz.ops.series import erfc_of, erfcinv_of, erfcx_of, zeta_of
from wootz.ops.special import i0 as i0
from wootz.ops.special import i0e_op, i1e_op, igamma, igammac, mvlgamma, zero_times
from wootz.ops.special import logit as logit
from wootz.ops.special import polygamma as polygamma
from wootz.ops.special import sinc as sinc
from wootz.ops.special import xlogy as xlogy

__all__ = [
    "airy_ai",
    "bessel_j0",
    "bessel_j1",
    "bessel_y0",
    "bessel_y1",
    "chebyshev_polynomial_t",
    "chebyshev_polynomial_u",
    "chebyshev_polynomial_v",
    "chebyshev_polynomial_w",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaincc",
    "gammaln",
    "hermite_polynomial_h",
    "hermite_polynomial_he",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "laguerre_polynomial_l",
    "legendre_polynomial_p",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "modified_bessel_k0",
    "modified_bessel_k1",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "scaled_modified_bessel_k0",
    "scaled_modified_bessel_k1",
    "shifted_chebyshev_polynomial_t",
    "shifted_chebyshev_polynomial_u",
    "shifted_chebyshev_polynomial_v",
    "shifted_chebyshev_polynomial_w",
    "sinc",
    "softmax",
    "spherical_bessel_j0",
    "xlog1py",
    "xlogy",
    "zeta",
]

gammainc, gammaincc, gammaln, multigammaln, psi = igamma, igammac, lgamma, mvlgamma, digamma
modified_bessel_i0 = i0
Other = Tensor | float


@op("P(2, 3)", "P()", "wootz.tensor([0.0, -1.0, nan])")
def entr(input: Tensor) -> Tensor:
    """-input log(input): 0 at 0, minus infinity below."""
    x = floating(input)
    safe = _core.where(x > 0, x, 1.0)
    return _core.where(x > 0, -safe * _core.log(safe), _core.where(x == 0, 0.0, _core.where(x < 0, -math.inf, x)))


@array_op(lambda g, out, x: g * (2 * x * out - 2 / math.sqrt(math.pi)), batch=broadcasting)
def _erfcx(xp: Any, x: Any) -> Any:
    return erfcx_of(xp, x)


@op("N(2, 3)", "P(3) * 20", "N()", tolerance=1e-13)
def erfcx(input: Tensor) -> Tensor:
    """exp(input²) erfc(input)."""
    return _erfcx(floating(input))


@op("N(2, 3)", "N(5) * 10", "N()", tolerance=1e-13)
def i0e(input: Tensor) -> Tensor:
    """exp(-|input|) I0(input)."""
    return i0e_op(floating(input))


@op("N(2, 3)", "N(5) * 10", "N()", tolerance=1e-13)
def i1e(input: Tensor) -> Tensor:
    """exp(-|input|) I1(input)."""
    return i1e_op(floating(input))


@op("N(2, 3)", "N(5) * 10", "N()", tolerance=1e-13)
def i1(input: Tensor) -> Tensor:
    """The modified Bessel function of the first kind, of order 1."""
    x = floating(input)
    return i1e_op(x) * _core.exp(_core.abs(x))


modified_bessel_i1 = i1


def _j_rule(g: Tensor, out: Tensor, x: Tensor, order: int) -> Tensor:
    if order == 0:
        return g * -_first_kind(x, 1)
    safe = _core.where(x == 0, 1.0, x)
    return g * _core.where(x == 0, 0.5, _first_kind(x, 0) - out / safe)


@array_op(_j_rule, batch=broadcasting)
def _first_kind(xp: Any, x: Any, order: int) -> Any:
    return first_kind_of(xp, x, order)


def _y_rule(g: Tensor, out: Tensor, x: Tensor, order: int) -> Tensor:
    return g * (_second_kind(x, 0) - out / x if order else -_second_kind(x, 1))


@array_op(_y_rule, batch=broadcasting)
def _second_kind(xp: Any, x: Any, order: int) -> Any:
    return second_kind_of(xp, x, order)


def _k_rule(g: Tensor, out: Tensor, x: Tensor, order: int) -> Tensor:
    other = _k_scaled(x, 1 - order)
    return g * (out - other - out / x if order else out - other)


@array_op(_k_rule, batch=broadcasting)
def _k_scaled(xp: Any, x: Any, order: int) -> Any:
    return k_scaled_of(xp, x, order)


@array_op(batch=broadcasting)
def _airy(xp: Any, x: Any) -> Any:
    return airy_of(xp, x)


@op("N(2, 3)", "N(5) * 20", "N()", "wootz.tensor([0.0, inf, nan])", peer="")
def bessel_j0(input: Tensor) -> Tensor:
    """Bessel's function of the first kind, of order 0."""
    return _first_kind(floating(input), 0)


@op("N(2, 3)", "N(5) * 20", "N()", "wootz.tensor([0.0, inf, nan])", peer="")
def bessel_j1(input: Tensor) -> Tensor:
    """Bessel's function of the first kind, of order 1."""
    return _first_kind(floating(input), 1)


@op("P(2, 3)", "P(5) * 20", "P()", peer="")
def bessel_y0(input: Tensor) -> Tensor:
    """Bessel's function of the second kind, of order 0; minus infinity at 0, NaN below."""
    return _second_kind(floating(input), 0)


@op("P(2, 3)", "P(5) * 20", "P()", peer="")
def bessel_y1(input: Tensor) -> Tensor:
    """Bessel's function of the second kind, of order 1; minus infinity at 0, NaN below."""
    return _second_kind(floating(input), 1)


@op("P(2, 3)", "P(5) * 10", "P()", "C(3) * 0", tolerance=1e-13)
def scaled_modified_bessel_k0(input: Tensor) -> Tensor:
    """exp(input) K0(input); infinite at 0, NaN below."""
    return _k_scaled(floating(input), 0)


@op("P(2, 3)", "P(5) * 10", "P()", "C(3) * 0", tolerance=1e-13)
def scaled_modified_bessel_k1(input: Tensor) -> Tensor:
    """exp(input) K1(input); infinite at 0, NaN below."""
    return _k_scaled(floating(input), 1)


@op("P(2, 3)", "P(5) * 10", "P()", tolerance=1e-13)
def modified_bessel_k0(input: Tensor) -> Tensor:
    """The modified Bessel function of the second kind, of order 0; infinite at 0, NaN below."""
    x = floating(input)
    return _k_scaled(x, 0) * _core.exp(-x)


@op("P(2, 3)", "P(5) * 10", "P()", tolerance=1e-13)
def modified_bessel_k1(input: Tensor) -> Tensor:
    """The modified Bessel function of the second kind, of order 1; infinite at 0, NaN below."""
    x = floating(input)
    return _k_scaled(x, 1) * _core.exp(-x)


@op("C(2, 3)", "C(5) * 20", "C()", differentiable=False, peer="")
def airy_ai(input: Tensor) -> Tensor:
    """Airy's function of the first kind; no gradient flows."""
    return _airy(floating(input).detach())


@op("N(2, 3)", "wootz.tensor([0.0, 1.0])", tolerance=1e-6)
def spherical_bessel_j0(input: Tensor) -> Tensor:
    """sin(input) / input, 1 at 0."""
    return sinc(floating(input) / math.pi)


@op("N(2, 3)", "N(5) * 5", "N()")
def ndtr(input: Tensor) -> Tensor:
    """The share of a standard normal distribution below input."""
    return erfc(floating(input) * -math.sqrt(0.5)) / 2


@array_op(lambda g, out, x: g * _core.exp(-x * x / 2 - out) / math.sqrt(2 * math.pi), batch=broadcasting)
def _log_ndtr(xp: Any, x: Any) -> Any:
    left = xp.minimum(x, -1.0) * math.sqrt(0.5)
    right = xp.log1p(-erfc_of(xp, xp.maximum(x, -1.0) * math.sqrt(0.5)) / 2)
    return xp.where(x < -1, xp.log(erfcx_of(xp, -left) / 2) - left * left, right)


@op("N(2, 3)", "N(5) * 10", "N()", tolerance=1e-12)
def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of `ndtr`, accurate far on the left too."""
    return _log_ndtr(floating(input))


@array_op(lambda g, out, x: g * _core.exp(out * out / 2) * math.sqrt(2 * math.pi), batch=broadcasting)
def _ndtri(xp: Any, p: Any) -> Any:
    size = erfcinv_of(xp, 2 * xp.minimum(p, 1 - p)) * math.sqrt(2)
    return xp.where(p < 0.5, -size, size)


@op("P(2, 3) / 3", "P() / 3", "wootz.tensor([0.0, 1.0, 2.0])", tolerance=1e-12)
def ndtri(input: Tensor) -> Tensor:
    """The x that a share ``input`` of a standard normal distribution lies below."""
    return _ndtri(floating(input))


@op("N(2, 3), P(3)", "Z(3), P(3)", "N(3), 2.0")
def xlog1py(input: Other, other: Other) -> Tensor:
    """input * log(1 + other), 0 where input is 0."""
    x, y = promoted(input, other)
    return zero_times(floating(x), floating(y), _core.log1p, -1)


def _zeta_rule(g: Tensor, out: Tensor, s: Tensor, q: Tensor) -> Tensor:
    return g * -s * _zeta(s + 1, q)


@array_op(no_rule("zeta", "input"), _zeta_rule, batch=broadcasting)
def _zeta(xp: Any, s: Any, q: Any) -> Any:
    return zeta_of(xp, s, q)


@op("C(3).abs() + 2, P(3)", "3.0, P(2, 3)", "C(3).abs() + 2, 1.5", tolerance=1e-12)
def zeta(input: Other, other: Other) -> Tensor:
    """Hurwitz' zeta function: the sum of (other + k)**-input over k >= 0. Backward to ``input`` raises."""
    s, q = promoted(input, other)
    return _zeta(floating(s), floating(q))


def _polynomial(input: Tensor, n: Any, first: Callable[[Tensor], Tensor], step: Callable[..., Tensor]) -> Tensor:
    """The n-th of polynomials that start with 1 and ``first`` and go on with ``step(k, x, P[k - 1], P[k])``."""
    x = floating(input)
    orders = n if isinstance(n, Tensor) else None
    most = n if orders is None else int(orders.amax().item()) if orders.numel() else 0
    a, b = x * 0 + 1, first(x)
    out = a if orders is None else _core.where(orders < 0, 0.0, a + orders * 0)
    for k in range(1, most + 1):
        out = b if orders is None else _core.where(orders == k, b, out)
        a, b = b, step(k, x, a, b)
    return out * 0 if orders is None and n < 0 else out


@op("N(2, 3), 4", "N(3), 0", "N(2, 1), wootz.tensor([0, 1, 3])", tolerance=1e-10)
def chebyshev_polynomial_t(input: Tensor, n: int | Tensor) -> Tensor:
    """Chebyshev's polynomials of the first kind, of order n; 0 for negative n."""
    return _polynomial(input, n, lambda x: x, lambda k, x, a, b: 2 * x * b - a)


@op("N(2, 3), 4", "N(3), 0", "N(2, 1), wootz.tensor([0, 1, 3])", tolerance=1e-10)
def chebyshev_polynomial_u(input: Tensor, n: int | Tensor) -> Tensor:
    """Chebyshev's polynomials of the second kind, of order n; 0 for negative n."""
    return _polynomial(input, n, lambda x: 2 * x, lambda k, x, a, b: 2 * x * b - a)


@op("N(2, 3), 4", "N(3), 0", "N(2, 1), wootz.tensor([0, 1, 3])", tolerance=1e-10)
def chebyshev_polynomial_v(input: Tensor, n: int | Tensor) -> Tensor:
    """Chebyshev's polynomials of the third kind, of order n; 0 for negative n."""
    return _polynomial(input, n, lambda x: 2 * x - 1, lambda k, x, a, b: 2 * x * b - a)


@op("N(2, 3), 4", "N(3), 0", "N(2, 1), wootz.tensor([0, 1, 3])", tolerance=1e-10)
def chebyshev_polynomial_w(input: Tensor, n: int | Tensor) -> Tensor:
    """Chebyshev's polynomials of the fourth kind, of order n; 0 for negative n."""
    return _polynomial(input, n, lambda x: 2 * x + 1, lambda k, x, a, b: 2 * x * b - a)


@op("N(2, 3), 4", "N(3), 0", "N(2, 1), wootz.tensor([0, 1, 3])", tolerance=1e-10)
def hermite_polynomial_h(input: Tensor, n: int | Tensor) -> Tensor:
    """Hermite's polynomials, as physicists have them, of order n; 0 for negative n."""
    return _polynomial(input, n, lambda x: 2 * x, lambda k, x, a, b: 2 * (x * b - k * a))


@op("N(2, 3), 4", "N(3), 0", "N(2, 1), wootz.tensor([0, 1, 3])", tolerance=1e-10)
def hermite_polynomial_he(input: Tensor, n: int | Tensor) -> Tensor:
    """Hermite's polynomials, as probabilists have them, of order n; 0 for negative n."""
    return _polynomial(input, n, lambda x: x, lambda k, x, a, b: x * b - k * a)


@op("N(2, 3), 4", "N(3), 0", "N(2, 1), wootz.tensor([0, 1, 3])", tolerance=1e-10)
def laguerre_polynomial_l(input: Tensor, n: int | Tensor) -> Tensor:
    """Laguerre's polynomials, of order n; 0 for negative n."""
    return _polynomial(input, n, lambda x: 1 - x, lambda k, x, a, b: ((2 * k + 1 - x) * b - k * a) / (k + 1))


@op("N(2, 3), 4", "N(3), 0", "N(2, 1), wootz.tensor([0, 1, 3])", tolerance=1e-10)
def legendre_polynomial_p(input: Tensor, n: int | Tensor) -> Tensor:
    """Legendre's polynomials, of order n; 0 for negative n."""
    return _polynomial(input, n, lambda x: x, lambda k, x, a, b: ((2 * k + 1) * x * b - k * a) / (k + 1))


@op("N(2, 3), 4", "N(3), 0", tolerance=1e-10)
def shifted_chebyshev_polynomial_t(input: Tensor, n: int | Tensor) -> Tensor:
    """Chebyshev's polynomials of the first kind at 2 input - 1."""
    return chebyshev_polynomial_t(2 * floating(input) - 1, n)


@op("N(2, 3), 4", "N(3), 0", tolerance=1e-10)
def shifted_chebyshev_polynomial_u(input: Tensor, n: int | Tensor) -> Tensor:
    """Chebyshev's polynomials of the second kind at 2 input - 1."""
    return chebyshev_polynomial_u(2 * floating(input) - 1, n)


@op("N(2, 3), 4", "N(3), 0", tolerance=1e-10)
def shifted_chebyshev_polynomial_v(input: Tensor, n: int | Tensor) -> Tensor:
    """Chebyshev's polynomials of the third kind at 2 input - 1."""
    return chebyshev_polynomial_v(2 * floating(input) - 1, n)


@op("N(2, 3), 4", "N(3), 0", tolerance=1e-10)
def shifted_chebyshev_polynomial_w(input: Tensor, n: int | Tensor) -> Tensor:
    """Chebyshev's polynomials of the fourth kind at 2 input - 1."""
    return chebyshev_polynomial_w(2 * floating(input) - 1, n)
