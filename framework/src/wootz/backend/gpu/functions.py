"""Functions that an array module computes elsewhere, on CUDA by kernels: what the array ops of this library ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.backend.cuda import Cuda
from wootz.backend.gpu import lines
from wootz.backend.gpu.pointwise import compute, fill

__all__ = ["ARRAYS", "array_op"]

_BY_NAME = (
    "asinh", "acosh", "atanh", "exp2", "copysign", "left_shift", "right_shift",
)  # fmt: skip


def _named(name: str) -> Callable[..., Tensor]:
    return lambda cuda, *operands: compute(cuda, name, operands, operands[0].dtype)


def _signbit(cuda: Cuda, x: Tensor) -> Tensor:
    signs = compute(cuda, "copysign", [1.0, x], x.dtype) if x.dtype.is_floating_point else x
    return _core.lt(signs, 0)


def _isreal(cuda: Cuda, x: Tensor) -> Tensor:
    out = cuda.empty(x.shape, _core.bool)
    fill(cuda, out, True)
    return out


ARRAYS: dict[str, Callable[..., Tensor]] = {
    **{name: _named(name) for name in _BY_NAME}, "signbit": _signbit, "isreal": _isreal, **lines.ARRAYS,
}  # fmt: skip


def array_op(cuda: Cuda, name: str, arguments: tuple[Any, ...]) -> Callable[..., Tensor] | None:
    """What runs an array op over tensors in the place of CuPy's functions; None for complex numbers and other ops."""
    found = ARRAYS.get(name)
    if found is None or any(isinstance(a, Tensor) and a.dtype.is_complex for a in arguments):
        return None
    return lambda *given, **parameters: found(cuda, *given, **parameters)
