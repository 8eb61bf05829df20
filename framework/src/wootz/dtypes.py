"""Element types, under PyTorch's names, and what numbers they hold."""

from __future__ import annotations

import builtins
from dataclasses import dataclass

import numpy as np

from wootz import _core
from wootz._core import bool, dtype, float32, float64, int8, int16, int32, int64, uint8

__all__ = [
    "bool", "double", "dtype", "finfo", "float", "float32", "float64", "get_default_dtype", "iinfo",
    "int", "int8", "int16", "int32", "int64", "long", "promote_types", "result_type", "set_default_dtype", "short",
    "uint8",
]  # fmt: skip

double, float, int, long, short = float64, float32, int32, int64, int16

get_default_dtype = _core.get_default_dtype
set_default_dtype = _core.set_default_dtype
promote_types = _core.promote_types
result_type = _core.result_type


def to_numpy_dtype(kind: dtype) -> np.dtype:
    """The NumPy dtype of the same name."""
    return np.dtype(kind.name)


def from_numpy_dtype(kind: np.dtype) -> dtype:
    """The dtype of the same name. Raises TypeError for one that tensors do not have."""
    return dtype.named(np.dtype(kind).name)


@dataclass(frozen=True)
class finfo:
    """Limits of a floating-point dtype."""

    dtype: dtype

    @property
    def _numpy(self) -> np.finfo:
        return np.finfo(self.dtype.name)

    @property
    def bits(self) -> builtins.int:
        return self._numpy.bits

    @property
    def eps(self) -> builtins.float:
        """The difference between 1 and the next larger number."""
        return builtins.float(self._numpy.eps)

    @property
    def max(self) -> builtins.float:
        return builtins.float(self._numpy.max)

    @property
    def min(self) -> builtins.float:
        return builtins.float(self._numpy.min)

    @property
    def tiny(self) -> builtins.float:
        """The smallest positive normal number."""
        return builtins.float(self._numpy.tiny)


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
