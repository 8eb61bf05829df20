"""Special functions: gamma and its relatives, error functions, Bessel's I0. No SciPy at run time (see `series`)."""

from __future__ import annotations

import math
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.ops.array_op import array_op, broadcasting, floating, no_rule, promoted
from wootz.ops.database import op
from wootz.ops.series import gammainc_of, i0e_of, i1e_of

__all__ = ["i0", "igamma", "igammac", "logit", "mvlgamma", "polygamma", "sinc", "xlogy"]

Other = Tensor | float


@op("1, P(2, 3)", "2, P(2, 3)", "0, P(3)", "3, P()", tolerance=1e-8)
def polygamma(n: int, input: Tensor) -> Tensor:
    """The n-th derivative of `digamma`. Raises ValueError for negative n."""
    if n < 0:
        raise ValueError("polygamma(n, x) does not support negative n.")
    return _core.digamma(input) if n == 0 else _core.polygamma_of(input, float(n))


@op("P(2, 3) + 2, 2", "P(3) + 3, 3", tolerance=1e-12, inplace=True)
def mvlgamma(self: Tensor, p: int) -> Tensor:
    """The logarithm of the p-dimensional gamma function. Raises ValueError where self <= (p - 1) / 2."""
    if p < 1 or not bool((self > (p - 1) / 2).all()):
        raise ValueError(f"mvlgamma: expected p >= 1 and all elements to be greater than (p-1)/2, found p={p}")
    x = floating(self).unsqueeze(-1)
    halves = _core.arange(0, p, 1, x.dtype).to(x.device) / 2
    return _core.sum(_core.lgamma(x - halves), -1) + p * (p - 1) / 4 * math.log(math.pi)


@op("P(2, 3) / 3", "P(3) / 3, 0.3", "P() / 3", inplace=True, reference="lambda x, eps=None: "
    "np.log((y := x if eps is None else np.clip(x, eps, 1 - eps)) / (1 - y))")  # fmt: skip
def logit(self: Tensor, eps: float | None = None) -> Tensor:
    """log(self / (1 - self)), of self clamped to [eps, 1 - eps] where ``eps`` is given."""
    x = floating(self)
    x = x if eps is None else x.clamp(eps, 1 - eps)
    return _core.log(x / (1 - x))


def zero_times(weight: Tensor, x: Tensor, log: Any, least: float) -> Tensor:
    """weight * log(x), which is 0 where the weight is 0 and the logarithm is none, and NaN where x is."""
    nothing = (weight == 0) & (x <= least)
    return weight * _core.where(nothing, 0.0, log(_core.where(nothing, 1.0, x)))


@op("N(2, 3), P(3)", "Z(3), P(3)", "N(3), 2.0", "wootz.tensor([0.0, 1.0]), wootz.tensor([0.0, nan])", inplace=True)
def xlogy(self: Other, other: Other) -> Tensor:
    """self * log(other), 0 where self is 0."""
    x, y = promoted(self, other)
    return zero_times(floating(x), floating(y), _core.log, 0)


@op("N(2, 3)", "N()", "wootz.tensor([0.0, 1.0])", reference="np.sinc", inplace=True)
def sinc(self: Tensor) -> Tensor:
    """sin(pi self) / (pi self), 1 at 0."""
    x = floating(self) * math.pi
    safe = _core.where(x == 0, 1.0, x)
    return _core.where(x == 0, 1.0, _core.sin(safe) / safe)


def _i0e_rule(g: Tensor, out: Tensor, x: Tensor) -> Tensor:
    return g * (i1e_op(x) - _core.sign(x) * out)


@array_op(_i0e_rule, batch=broadcasting)
def i0e_op(xp: Any, x: Any) -> Any:
    """exp(-|x|) I0(x)."""
    return i0e_of(xp, x)


def _i1e_rule(g: Tensor, out: Tensor, x: Tensor) -> Tensor:
    safe = _core.where(x == 0, 1.0, x)
    return g * _core.where(x == 0, 0.5, i0e_op(x) - out * (_core.sign(x) + 1 / safe))


@array_op(_i1e_rule, batch=broadcasting)
def i1e_op(xp: Any, x: Any) -> Any:
    """exp(-|x|) I1(x)."""
    return i1e_of(xp, x)


@op("N(2, 3)", "N(5) * 10", "N()", tolerance=1e-13, reference="np.i0", inplace=True)
def i0(self: Tensor) -> Tensor:
    """The modified Bessel function of the first kind, of order 0."""
    x = floating(self)
    return i0e_op(x) * _core.exp(_core.abs(x))


def _density(g: Tensor, a: Tensor, x: Tensor) -> Tensor:
    """The derivative of `igamma` by its second argument: the density of the gamma distribution."""
    return g * _core.exp((a - 1) * _core.log(x) - x - _core.lgamma(a))


@array_op(no_rule("igamma", "self"), lambda g, out, a, x: _density(g, a.detach(), x), batch=broadcasting)
def _igamma(xp: Any, a: Any, x: Any) -> Any:
    return gammainc_of(xp, a, x, False)


@array_op(no_rule("igammac", "self"), lambda g, out, a, x: -_density(g, a.detach(), x), batch=broadcasting)
def _igammac(xp: Any, a: Any, x: Any) -> Any:
    return gammainc_of(xp, a, x, True)


@op("C(2, 3).abs() + 0.3, P(3)", "C(3).abs() + 9, P(3) * 9", "C(3).abs() + 0.1, P(3) * 20",
    "wootz.tensor([0.0, 1.0, 1.0, -1.0]), wootz.tensor([1.0, 0.0, inf, 1.0])", inplace=True,
    tolerance=1e-10)  # fmt: skip
def igamma(self: Tensor, other: Tensor) -> Tensor:
    """The regularised lower incomplete gamma function of order self; backward to the order is NotImplementedError."""
    a, x = promoted(self, other)
    return _igamma(floating(a), floating(x))


@op("C(2, 3).abs() + 0.3, P(3)", "C(3).abs() + 9, P(3) * 9", "C(3).abs() + 0.1, P(3) * 20",
    "wootz.tensor([0.0, 1.0, 1.0, -1.0]), wootz.tensor([1.0, 0.0, inf, 1.0])", inplace=True,
    tolerance=1e-10)  # fmt: skip
def igammac(self: Tensor, other: Tensor) -> Tensor:
    """The regularised upper incomplete gamma function of order self: 1 - `igamma`, accurate where that is small."""
    a, x = promoted(self, other)
    return _igammac(floating(a), floating(x))
