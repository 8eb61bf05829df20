"""torch.special's names: what is not in `wootz` itself, beside what is."""

from __future__ import annotations

import math
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz._core import erf as erf
from wootz._core import expm1 as expm1
from wootz._core import log1p as log1p
from wootz._core import log_softmax as log_softmax
from wootz._core import logsumexp as logsumexp
from wootz._core import round as round
from wootz._core import sigmoid as expit
from wootz._core import softmax as softmax
from wootz.ops.array_op import array_op, floating, promoted
from wootz.ops.database import op
from wootz.ops.elementwise import exp2 as exp2
from wootz.ops.series import erfc_of, erfcinv_of, erfcx_of, zeta_of
from wootz.ops.special import digamma as digamma
from wootz.ops.special import erfc as erfc
from wootz.ops.special import erfinv as erfinv
from wootz.ops.special import i0 as i0
from wootz.ops.special import i0e_op, i1e_op, igamma, igammac, lgamma, mvlgamma, zero_times
from wootz.ops.special import logit as logit
from wootz.ops.special import polygamma as polygamma
from wootz.ops.special import sinc as sinc
from wootz.ops.special import xlogy as xlogy

__all__ = [
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
    "i0",
    "i0e",
    "i1",
    "i1e",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "modified_bessel_i0",
    "modified_bessel_i1",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "spherical_bessel_j0",
    "xlog1py",
    "xlogy",
    "zeta",
]  # fmt: skip

gammainc, gammaincc, gammaln, multigammaln, psi = igamma, igammac, lgamma, mvlgamma, digamma
modified_bessel_i0 = i0
Other = Tensor | float


@op("P(2, 3)", "P()", "wootz.tensor([0.0, -1.0, nan])")
def entr(input: Tensor) -> Tensor:
    """-input log(input): 0 at 0, minus infinity below."""
    x = floating(input)
    safe = _core.where(x > 0, x, 1.0)
    return _core.where(x > 0, -safe * _core.log(safe), _core.where(x == 0, 0.0, _core.where(x < 0, -math.inf, x)))


@array_op(lambda g, out, x: g * (2 * x * out - 2 / math.sqrt(math.pi)))
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


@op("N(2, 3)", "wootz.tensor([0.0, 1.0])", tolerance=1e-6)
def spherical_bessel_j0(input: Tensor) -> Tensor:
    """sin(input) / input, 1 at 0."""
    return sinc(floating(input) / math.pi)


@op("N(2, 3)", "N(5) * 5", "N()")
def ndtr(input: Tensor) -> Tensor:
    """The share of a standard normal distribution below input."""
    return erfc(floating(input) * -math.sqrt(0.5)) / 2


@array_op(lambda g, out, x: g * _core.exp(-x * x / 2 - out) / math.sqrt(2 * math.pi))
def _log_ndtr(xp: Any, x: Any) -> Any:
    left = xp.minimum(x, -1.0) * math.sqrt(0.5)
    right = xp.log1p(-erfc_of(xp, xp.maximum(x, -1.0) * math.sqrt(0.5)) / 2)
    return xp.where(x < -1, xp.log(erfcx_of(xp, -left) / 2) - left * left, right)


@op("N(2, 3)", "N(5) * 10", "N()", tolerance=1e-12)
def log_ndtr(input: Tensor) -> Tensor:
    """The logarithm of `ndtr`, accurate far on the left too."""
    return _log_ndtr(floating(input))


@array_op(lambda g, out, x: g * _core.exp(out * out / 2) * math.sqrt(2 * math.pi))
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


@array_op(None, _zeta_rule)
def _zeta(xp: Any, s: Any, q: Any) -> Any:
    return zeta_of(xp, s, q)


@op("C(3).abs() + 2, P(3)", "3.0, P(2, 3)", "C(3).abs() + 2, 1.5", tolerance=1e-12)
def zeta(input: Other, other: Other) -> Tensor:
    """Hurwitz' zeta function: the sum of (other + k)**-input over k >= 0; no gradient flows to ``input``."""
    s, q = promoted(input, other)
    return _zeta(floating(s), floating(q))
