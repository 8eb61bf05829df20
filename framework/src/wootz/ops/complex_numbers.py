"""Complex numbers: their parts, conjugates and angles. Real tensors count as complex ones on the real line."""

from __future__ import annotations

import math

from wootz import _core
from wootz._core import Tensor
from wootz.errors import DTypeError, ShapeError

__all__ = ["angle", "conj", "imag", "polar", "real"]


def real(input: Tensor) -> Tensor:
    """The real part, as a view; a real tensor itself."""
    return _core.view_as_real(input).select(-1, 0) if input.dtype.is_complex else input


def imag(input: Tensor) -> Tensor:
    """The imaginary part, as a view. Raises `DTypeError` for a real tensor, which has none to look into."""
    if not input.dtype.is_complex:
        raise DTypeError(f"imag is not implemented for tensors with non-complex dtypes, got {input.dtype}")
    return _core.view_as_real(input).select(-1, 1)


def conj(self: Tensor) -> Tensor:
    """The complex conjugate; a real tensor itself."""
    return _core.conj_physical(self) if self.dtype.is_complex else self


def angle(self: Tensor) -> Tensor:
    """The argument, in (-pi, pi]; of real numbers 0 or pi."""
    if self.dtype.is_complex:
        return _core.complex_angle(self)
    turned = _core.where(_core.lt(self, 0), math.pi, 0.0)
    return _core.where(_core.isnan(self), self, turned if not self.dtype.is_floating_point else turned.to(self.dtype))


def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """abs * (cos(angle) + i sin(angle))."""
    return _core.complex(abs * angle.cos(), abs * angle.sin())


def matrix_h(self: Tensor) -> Tensor:
    """The conjugate transpose of a matrix; of a 0-d tensor the conjugate. Raises `ShapeError` for other dimensions."""
    if self.dim() not in (0, 2):
        raise ShapeError(f"tensor.H is only supported on matrices (2-D tensors), got {self.dim()}-D; mH is for stacks")
    return conj(self.transpose(0, 1) if self.dim() else self)
