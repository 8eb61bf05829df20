"""Element-wise functions under the standard's names and signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import wootz
from wootz import _core
from wootz._core import Tensor
from wootz.array_api.promotion import pair, scalar_fits

_UNARY: dict[str, Callable[..., Any]] = {
    "abs": _core.abs, "acos": _core.acos, "acosh": wootz.acosh, "asin": _core.asin, "asinh": wootz.asinh,
    "atan": _core.atan, "atanh": wootz.atanh, "bitwise_invert": _core.bitwise_not, "ceil": _core.ceil,
    "conj": wootz.conj, "cos": _core.cos, "cosh": _core.cosh, "exp": _core.exp, "expm1": _core.expm1,
    "floor": _core.floor, "imag": wootz.imag, "isfinite": _core.isfinite, "isinf": _core.isinf, "isnan": _core.isnan,
    "log": _core.log, "log10": _core.log10, "log1p": _core.log1p, "log2": _core.log2, "logical_not": _core.logical_not,
    "negative": _core.neg, "positive": wootz.positive, "real": wootz.real, "reciprocal": _core.reciprocal,
    "sign": wootz.sgn, "signbit": wootz.signbit, "sin": _core.sin, "sinh": _core.sinh, "sqrt": _core.sqrt,
    "square": _core.square, "tan": _core.tan, "tanh": _core.tanh, "trunc": _core.trunc,
}  # fmt: skip
_BINARY: dict[str, Callable[..., Any]] = {
    "add": _core.add, "atan2": _core.atan2, "bitwise_and": _core.bitwise_and,
    "bitwise_left_shift": wootz.bitwise_left_shift, "bitwise_or": _core.bitwise_or,
    "bitwise_right_shift": wootz.bitwise_right_shift, "bitwise_xor": _core.bitwise_xor, "copysign": wootz.copysign,
    "divide": _core.div, "equal": _core.eq, "floor_divide": _core.floor_divide, "greater": _core.gt,
    "greater_equal": _core.ge, "hypot": wootz.hypot, "less": _core.lt, "less_equal": _core.le,
    "logaddexp": wootz.logaddexp, "logical_and": _core.logical_and, "logical_or": _core.logical_or,
    "logical_xor": _core.logical_xor, "maximum": _core.maximum, "minimum": _core.minimum, "multiply": _core.mul,
    "nextafter": wootz.nextafter, "not_equal": _core.ne, "pow": _core.pow, "remainder": _core.remainder,
    "subtract": _core.sub,
}  # fmt: skip

__all__ = [*_UNARY, *_BINARY, "clip", "round"]  # names made below, one a row


def _unary(name: str, op: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor, /) -> Tensor:
        return op(x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The standard's ``{name}``, of each element."
    return function


def _binary(name: str, op: Callable[..., Any]) -> Callable[[Any, Any], Tensor]:
    def function(x1: Any, x2: Any, /) -> Tensor:
        found: Tensor = op(*pair(x1, x2))
        return found

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The standard's ``{name}``, of each pair of elements; one operand may be a Python number."
    return function


globals().update({name: _unary(name, op) for name, op in _UNARY.items()})
globals().update({name: _binary(name, op) for name, op in _BINARY.items()})


def round(x: Tensor, /) -> Tensor:
    """The nearest integer, of two the even one; of complex numbers, part by part."""
    if not x.dtype.is_complex:
        return _core.round(x)
    return wootz.complex(_core.round(wootz.real(x)), _core.round(wootz.imag(x)))


def clip(x: Tensor, /, min: Any = None, max: Any = None) -> Tensor:
    """x limited to [min, max] in x's dtype. Raises TypeError for a bound of another kind."""
    out = x if min is not None or max is not None else x.clone()
    for bound, op in ((min, _core.maximum), (max, _core.minimum)):
        if bound is None:
            continue
        if not isinstance(bound, Tensor):
            if not scalar_fits(bound, x.dtype):
                raise TypeError(f"clip: a {type(bound).__name__} does not limit an array of {x.dtype.name}")
            bound = _core.full((), bound, x.dtype)
        out = op(out, bound if bound.dtype == x.dtype else _core.cast(bound, x.dtype))
    return out
