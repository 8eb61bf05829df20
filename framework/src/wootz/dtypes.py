"""Element types, under PyTorch's names, and what numbers they hold."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field

import numpy as np

from wootz import _core
from wootz._core import (
    bfloat16,
    bool,
    complex64,
    complex128,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)  # fmt: skip
from wootz.errors import DTypeError

__all__ = [
    "bfloat16", "bool", "can_cast", "cdouble", "cfloat", "complex64", "complex128", "double", "dtype", "finfo", "float",
    "float16", "float32", "float64", "get_default_dtype", "half", "iinfo", "int", "int8", "int16", "int32", "int64",
    "long", "promote_types", "result_type", "set_default_dtype", "short", "uint8", "uint16", "uint32", "uint64",
]  # fmt: skip

double, float, half, int, long, short = float64, float32, float16, int32, int64, int16
cfloat, cdouble = complex64, complex128

get_default_dtype = _core.get_default_dtype
set_default_dtype = _core.set_default_dtype
promote_types = _core.promote_types
result_type = _core.result_type


def _category(kind: dtype) -> builtins.int:
    return 3 if kind.is_complex else 2 if kind.is_floating_point else 0 if kind is bool else 1


def can_cast(from_: dtype, to: dtype) -> builtins.bool:
    """Whether promotion may turn ``from_`` into ``to``: no complex number becomes real, no fraction an integer."""
    return _category(from_) <= _category(to)


def real_dtype(kind: dtype) -> dtype:
    """The dtype of a complex dtype's parts; any other is its own."""
    return {complex64: float32, complex128: float64}.get(kind, kind)


def to_numpy_dtype(kind: dtype) -> np.dtype:
    """The NumPy dtype of the same name. Raises `DTypeError` for bfloat16 where ml_dtypes is not installed."""
    if kind is not bfloat16:
        return np.dtype(kind.name)
    try:
        import ml_dtypes
    except ImportError:
        raise DTypeError(
            "NumPy has no bfloat16 of its own: install ml_dtypes, or convert the tensor with .float() first"
        ) from None
    kind_there: np.dtype = np.dtype(ml_dtypes.bfloat16)
    return kind_there


def memory_dtype(kind: dtype) -> np.dtype:
    """A NumPy dtype to read a tensor's bytes as: the same one, and int16 for bfloat16, which NumPy does not have."""
    return np.dtype(np.int16) if kind is bfloat16 else np.dtype(kind.name)


def from_numpy_dtype(kind: np.dtype) -> dtype:
    """The dtype of the same name. Raises TypeError for one that tensors do not have."""
    return dtype.named(np.dtype(kind).name)


# Digits after the leading one, largest exponent, decimal digits that survive: IEEE 754, and bfloat16 as its first half.
_FORMATS = {float16: (10, 15, 3), bfloat16: (7, 127, 2), float32: (23, 127, 6), float64: (52, 1023, 15)}


@dataclass(frozen=True)
class finfo:
    """Limits of a floating-point dtype, or of a complex one's parts; without one, of the default dtype."""

    dtype: dtype = field(default_factory=get_default_dtype)

    def __post_init__(self) -> None:
        if real_dtype(self.dtype) not in _FORMATS:
            raise TypeError(f"finfo takes a floating point or complex dtype, not {self.dtype}; use iinfo for integers")

    @property
    def _format(self) -> tuple[builtins.int, builtins.int, builtins.int]:
        return _FORMATS[real_dtype(self.dtype)]

    @property
    def bits(self) -> builtins.int:
        return 8 * real_dtype(self.dtype).itemsize

    @property
    def eps(self) -> builtins.float:
        """The difference between 1 and the next larger number."""
        return 2.0 ** -self._format[0]

    @property
    def max(self) -> builtins.float:
        return (2 - self.eps) * 2.0 ** self._format[1]

    @property
    def min(self) -> builtins.float:
        return -self.max

    @property
    def tiny(self) -> builtins.float:
        """The smallest positive normal number."""
        return 2.0 ** (1 - self._format[1])

    @property
    def smallest_normal(self) -> builtins.float:
        return self.tiny

    @property
    def resolution(self) -> builtins.float:
        """The relative size of the last decimal digit that is always right."""
        return 10.0 ** -self._format[2]


@dataclass(frozen=True)
class iinfo:
    """Limits of an integer dtype."""

    dtype: dtype

    @property
    def bits(self) -> builtins.int:
        return 8 * self.dtype.itemsize

    @property
    def max(self) -> builtins.int:
        return builtins.int(np.iinfo(self.dtype.name).max)

    @property
    def min(self) -> builtins.int:
        return builtins.int(np.iinfo(self.dtype.name).min)
