"""Element-wise functions beyond the native table: of one operand, of two, and small formulas."""

from __future__ import annotations

import builtins
import math
from typing import Any, NamedTuple

from wootz import _core
from wootz._core import Tensor
from wootz.dtypes import finfo
from wootz.errors import DTypeError
from wootz.ops.array_op import array_op, broadcasting, floating, need_floating, need_integers, promoted
from wootz.ops.database import op

__all__ = [
    "acosh", "addcdiv", "addcmul", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "asinh",
    "atanh", "bitwise_left_shift", "bitwise_right_shift", "clamp_max", "clamp_min", "copysign", "deg2rad", "exp2",
    "fix", "float_power", "fmax", "fmin", "fmod", "frac", "frexp", "gcd", "greater", "greater_equal", "heaviside",
    "isneginf", "isposinf", "isreal", "lcm", "ldexp", "less", "less_equal", "logaddexp", "logaddexp2",
    "nan_to_num", "nextafter", "not_equal", "positive", "rad2deg", "rsub", "sgn", "signbit",
]  # fmt: skip

Other = Tensor | builtins.float

# NumPy's and the standard's names of native ops.
arccos, arcsin, arctan, arctan2, fix = _core.acos, _core.asin, _core.atan, _core.atan2, _core.trunc
greater, greater_equal, less, less_equal, not_equal = _core.gt, _core.ge, _core.lt, _core.le, _core.ne


@array_op(lambda g, out, x: g / _core.sqrt(x * x + 1), batch=broadcasting)
def _asinh(xp: Any, x: Any) -> Any:
    return xp.arcsinh(x)


@op("N(2, 3)", "N()", "N(0, 2)", "S(2, 3)", reference="np.arcsinh", inplace=True)
def asinh(self: Tensor) -> Tensor:
    """The inverse hyperbolic sine."""
    return _asinh(floating(self))


@array_op(lambda g, out, x: g / _core.sqrt(x * x - 1), batch=broadcasting)
def _acosh(xp: Any, x: Any) -> Any:
    return xp.arccosh(x)


@op("P(2, 3) + 1", "P() + 1", reference="np.arccosh", inplace=True)
def acosh(self: Tensor) -> Tensor:
    """The inverse hyperbolic cosine; NaN below 1."""
    return _acosh(floating(self))


@array_op(lambda g, out, x: g / (1 - x * x), batch=broadcasting)
def _atanh(xp: Any, x: Any) -> Any:
    return xp.arctanh(x)


@op("U(2, 3)", "U()", "U(0, 2)", reference="np.arctanh", inplace=True)
def atanh(self: Tensor) -> Tensor:
    """The inverse hyperbolic tangent; NaN outside [-1, 1]."""
    return _atanh(floating(self))


arcsinh, arccosh, arctanh = asinh, acosh, atanh


@array_op(lambda g, out, x: g * out * math.log(2), batch=broadcasting)
def _exp2(xp: Any, x: Any) -> Any:
    return xp.exp2(x)


@op("N(2, 3)", "N()", reference="np.exp2", inplace=True)
def exp2(self: Tensor) -> Tensor:
    """2 to the power of self."""
    return _exp2(floating(self))


@op("N(2, 3)", "N()", reference="np.deg2rad", inplace=True)
def deg2rad(self: Tensor) -> Tensor:
    """Degrees as radians."""
    return floating(self) * (math.pi / 180)


@op("N(2, 3)", "N()", reference="np.rad2deg", inplace=True)
def rad2deg(self: Tensor) -> Tensor:
    """Radians as degrees."""
    return floating(self) * (180 / math.pi)


@op("N(2, 3) * 3", "N() * 3", reference="lambda x: x - np.trunc(x)", inplace=True)
def frac(self: Tensor) -> Tensor:
    """What is behind the point: self - trunc(self)."""
    need_floating("frac", self)
    return self - _core.trunc(self).detach()


@op("N(2, 3)", "I(5, 3)", reference="np.positive")
def positive(self: Tensor) -> Tensor:
    """Self. Raises `DTypeError` for bools."""
    if self.dtype == _core.bool:
        raise DTypeError("The `+` operator, on a bool tensor is not supported.")
    return self


@op("N(2, 3)", "I(3, 3)", reference="np.sign", inplace=True)
def sgn(self: Tensor) -> Tensor:
    """The sign: -1, 0 or 1; of complex numbers the one of size 1 in the same direction."""
    return _core.complex_sgn(self) if self.dtype.is_complex else _core.sign(self)


@array_op(batch=broadcasting)
def _signbit(xp: Any, x: Any) -> Any:
    return xp.signbit(x) if x.dtype.kind == "f" else x < 0


@op("Z(2, 3)", "I(3, 3) - 1", "wootz.tensor([-0.0, 0.0, nan])", reference="np.signbit", differentiable=False)
def signbit(self: Tensor) -> Tensor:
    """Whether the sign is negative, that of -0.0 too."""
    return _signbit(self)


@op("wootz.tensor([1.0, inf, -inf, nan])", "I(3, 3)", reference="np.isposinf", differentiable=False)
def isposinf(self: Tensor) -> Tensor:
    """Whether each element is positive infinity."""
    return self == math.inf


@op("wootz.tensor([1.0, inf, -inf, nan])", "I(3, 3)", reference="np.isneginf", differentiable=False)
def isneginf(self: Tensor) -> Tensor:
    """Whether each element is negative infinity."""
    return self == -math.inf


@array_op(batch=broadcasting)
def _isreal(xp: Any, x: Any) -> Any:
    return xp.isreal(x)


@op("wootz.tensor([1.0, nan])", "I(3, 3)", reference="np.isreal", differentiable=False)
def isreal(self: Tensor) -> Tensor:
    """Whether each element has no imaginary part."""
    return _isreal(self)


@op(
    "N(2, 3)", "wootz.tensor([1.0, inf, -inf, nan])", "wootz.tensor([1.0, inf, -inf, nan]), 2.0, 3.0, 4.0", inplace=True
)
def nan_to_num(
    self: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Self with NaN replaced by 0 (or ``nan``) and infinities by the largest numbers of the dtype (or those given)."""
    if not self.dtype.is_floating_point:
        return self.clone()
    largest = finfo(self.dtype).max
    high, low = (largest if posinf is None else posinf), (-largest if neginf is None else neginf)
    out = _core.where(_core.isnan(self), 0.0 if nan is None else builtins.float(nan), self)
    out = _core.where(self == math.inf, builtins.float(high), out)
    return _core.where(self == -math.inf, builtins.float(low), out)


class Frexp(NamedTuple):
    """self = mantissa * 2**exponent."""

    mantissa: Tensor
    exponent: Tensor


@array_op(lambda g, out, x: g[0] * _exp2(-out[1].to(x.dtype)), batch=broadcasting)
def _frexp(xp: Any, x: Any) -> Any:
    mantissa, exponent = xp.frexp(x)
    return mantissa, exponent.astype("int32")


@op("N(2, 3)", "N()", "wootz.tensor([0.0, 8.0])")
def frexp(self: Tensor) -> Frexp:
    """(mantissa, exponent): self as a number in [0.5, 1) and its sign, times a power of 2."""
    need_floating("frexp", self)
    return Frexp(*_frexp.many(self))


@op("N(2, 3), I(4, 3)", "N(2, 3), I(4, 2, 3)", "I(4, 3), I(4, 3)", reference="lambda x, y: x * 2.0 ** y", inplace=True)
def ldexp(self: Tensor, other: Tensor) -> Tensor:
    """self * 2 ** other."""
    return self * exp2(floating(other).to(self.dtype) if self.dtype.is_floating_point else floating(other))


@op("N(2, 3) * 3, P(3)", "N(2, 3), 0.7", "N(), P()", "I(9, 4), 3", reference="np.fmod", inplace=True)
def fmod(self: Tensor, other: Other) -> Tensor:
    """The remainder of a division towards zero: it has self's sign."""
    if not _core.result_type(self, other).is_floating_point:
        zero = other == 0
        if bool(zero.any() if isinstance(zero, Tensor) else zero):
            raise ZeroDivisionError("ZeroDivisionError")
    return _core.fmod(self, other)


@array_op(lambda g, out, x, y: g * _core.sign(x) * _core.sign(out), None, batch=broadcasting)
def _copysign(xp: Any, x: Any, y: Any) -> Any:
    return xp.copysign(x, y)


@op("N(2, 3), C(3)", "N(2, 3), -1.0", "N(), C()", reference="np.copysign", inplace=True)
def copysign(self: Tensor, other: Other) -> Tensor:
    """|self| with other's sign; no gradient flows to ``other``."""
    x, y = promoted(self, other)
    return _copysign(floating(x), floating(y).detach())


@array_op(batch=broadcasting)
def _nextafter(xp: Any, x: Any, y: Any) -> Any:
    return xp.nextafter(x, y)


@op("C(2, 3), C(3)", "C(), C()", reference="np.nextafter", differentiable=False, inplace=True)
def nextafter(self: Tensor, other: Tensor) -> Tensor:
    """The next number of the dtype from self towards other."""
    x, y = promoted(self, other)
    need_floating("nextafter", x)
    return _nextafter(x.detach(), y.detach())


@op("Z(2, 3), C(3)", "Z(3), C()", reference="np.heaviside", differentiable=False, inplace=True)
def heaviside(self: Tensor, values: Tensor) -> Tensor:
    """0 where self is negative, 1 where it is positive, ``values`` where it is 0."""
    if self.dtype != values.dtype:
        raise DTypeError(f"heaviside is not yet implemented for tensors with different dtypes: {self.dtype.name} and "
                         f"{values.dtype.name}")  # fmt: skip
    x = self.detach()
    return _core.where(x == 0, values.detach(), _core.where(_core.isnan(x), x, (x > 0).to(x.dtype)))


@array_op(batch=broadcasting)
def _gcd(xp: Any, x: Any, y: Any) -> Any:
    return xp.gcd(x, y)


@op("I(30, 5), I(30, 5)", "I(30, 2, 3), I(9, 3)", reference="np.gcd", differentiable=False, inplace=True)
def gcd(self: Tensor, other: Tensor) -> Tensor:
    """The greatest common divisor of integers."""
    x, y = promoted(self, other)
    need_integers("gcd", x)
    return _gcd(x, y)


@array_op(batch=broadcasting)
def _lcm(xp: Any, x: Any, y: Any) -> Any:
    return xp.lcm(x, y)


@op("I(30, 5), I(30, 5)", "I(30, 2, 3), I(9, 3)", reference="np.lcm", differentiable=False, inplace=True)
def lcm(self: Tensor, other: Tensor) -> Tensor:
    """The least common multiple of integers."""
    x, y = promoted(self, other)
    need_integers("lcm", x)
    return _lcm(x, y)


@array_op(batch=broadcasting)
def _left_shift(xp: Any, x: Any, y: Any) -> Any:
    return xp.left_shift(x, y)


@op("I(30, 5), I(5, 5)", "I(30, 2, 3), 2", reference="np.left_shift", differentiable=False, inplace=True)
def bitwise_left_shift(self: Tensor, other: Tensor | int) -> Tensor:
    """The bits of integers moved up."""
    x, y = promoted(self, other)
    need_integers("bitwise_left_shift", x)
    return _left_shift(x, y)


@array_op(batch=broadcasting)
def _right_shift(xp: Any, x: Any, y: Any) -> Any:
    return xp.right_shift(x, y)


@op("I(30, 5), I(5, 5)", "I(30, 2, 3), 2", reference="np.right_shift", differentiable=False, inplace=True)
def bitwise_right_shift(self: Tensor, other: Tensor | int) -> Tensor:
    """The bits of integers moved down, the sign kept."""
    x, y = promoted(self, other)
    need_integers("bitwise_right_shift", x)
    return _right_shift(x, y)


@array_op(lambda g, out, x, y: g * _core.exp(x - out), lambda g, out, x, y: g * _core.exp(y - out), batch=broadcasting)
def _logaddexp(xp: Any, x: Any, y: Any) -> Any:
    return xp.logaddexp(x, y)


@op("N(2, 3), N(3)", "N(), N()", "N(2, 3) * 1000, N(3)", reference="np.logaddexp")
def logaddexp(self: Tensor, other: Tensor) -> Tensor:
    """log(exp(self) + exp(other)), without overflow."""
    x, y = promoted(self, other)
    need_floating("logaddexp", x)
    return _logaddexp(x, y)


@array_op(lambda g, out, x, y: g * exp2(x - out), lambda g, out, x, y: g * exp2(y - out), batch=broadcasting)
def _logaddexp2(xp: Any, x: Any, y: Any) -> Any:
    return xp.logaddexp2(x, y)


@op("N(2, 3), N(3)", "N(), N()", reference="np.logaddexp2")
def logaddexp2(self: Tensor, other: Tensor) -> Tensor:
    """log2(2**self + 2**other), without overflow."""
    x, y = promoted(self, other)
    need_floating("logaddexp2", x)
    return _logaddexp2(x, y)


@op("P(2, 3), N(3)", "P(2, 3), 1.7", "wootz.tensor([1, 2]), 3", reference="np.float_power", inplace=True)
def float_power(self: Tensor, exponent: Other) -> Tensor:
    """self ** exponent in float64."""
    wide = exponent.to(_core.float64) if isinstance(exponent, Tensor) else builtins.float(exponent)
    return _core.pow(self.to(_core.float64), wide)


def _without_nan(name: str, self: Tensor, other: Tensor) -> Tensor:
    x, y = promoted(self, other)
    choose = (x >= y) if name == "fmax" else (x <= y)
    return _core.where(choose | _core.isnan(y), x, y)


@op("N(2, 3), N(3)", "wootz.tensor([1.0, nan, nan]), wootz.tensor([nan, 2.0, nan])", reference="np.fmax")
def fmax(self: Tensor, other: Tensor) -> Tensor:
    """The greater of two, the other one where one is NaN."""
    return _without_nan("fmax", self, other)


@op("N(2, 3), N(3)", "wootz.tensor([1.0, nan, nan]), wootz.tensor([nan, 2.0, nan])", reference="np.fmin")
def fmin(self: Tensor, other: Tensor) -> Tensor:
    """The smaller of two, the other one where one is NaN."""
    return _without_nan("fmin", self, other)


@op("N(2, 3), 0.2", "N(2, 3), N(3)", inplace=True)
def clamp_min(self: Tensor, min: Other) -> Tensor:
    """Self, but at least ``min``."""
    return _core.clamp(self, min=min)


@op("N(2, 3), 0.2", "N(2, 3), N(3)", inplace=True)
def clamp_max(self: Tensor, max: Other) -> Tensor:
    """Self, but at most ``max``."""
    return _core.clamp(self, max=max)


@op("N(2, 3), N(3)", "N(2, 3), 2.0, alpha=3", reference="lambda x, y, alpha=1: y - alpha * x")
def rsub(self: Tensor, other: Other, *, alpha: float = 1) -> Tensor:
    """other - alpha * self."""
    scaled = self if alpha == 1 else self * alpha
    return other - scaled


@op("N(2, 3), N(3), N(2, 1)", "N(2, 3), N(2, 3), N(2, 3), value=0.5", "N(), N(), N()",
    reference="lambda x, a, b, value=1: x + value * a * b", inplace=True, autocast={"cuda": "widest"})  # fmt: skip
def addcmul(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """self + value * tensor1 * tensor2."""
    return _core.add(self, tensor1 * tensor2, alpha=value)


@op("N(2, 3), N(3), P(2, 1)", "N(2, 3), N(2, 3), P(2, 3), value=0.5",
    reference="lambda x, a, b, value=1: x + value * a / b", inplace=True, autocast={"cuda": "widest"})  # fmt: skip
def addcdiv(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """self + value * tensor1 / tensor2. Raises `DTypeError` for integers, whose quotient would not fit."""
    if not any(t.dtype.is_floating_point or t.dtype.is_complex for t in (tensor1, tensor2)):
        raise DTypeError("Integer division with addcdiv is no longer supported; use addcmul or cast to floating point")
    return _core.add(self, tensor1 / tensor2, alpha=value)
