"""Element-wise ops of complex numbers: CuPy's array functions, for there are no kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from wootz._core import Tensor
from wootz.backend.cuda import Cuda
from wootz.dtypes import dtype

__all__ = ["through_arrays"]


def _scaled(y: Any, alpha: float) -> Any:
    return y if alpha == 1 else y * alpha


def _same(name: str) -> Callable[..., Any]:
    return lambda xp, *operands: getattr(xp, name)(*operands)


# The op over complex arrays (array module, operands, numbers), for which there are no kernels.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "add": lambda xp, x, y, alpha: xp.add(x, _scaled(y, alpha)),
    "sub": lambda xp, x, y, alpha: xp.subtract(x, _scaled(y, alpha)),
    "sigmoid": lambda xp, x: 1 / (1 + xp.exp(-x)),
    "silu": lambda xp, x: x / (1 + xp.exp(-x)),
    "rsqrt": lambda xp, x: 1 / xp.sqrt(x),
    "reciprocal": lambda xp, x: 1 / x,
    "square": lambda xp, x: x * x,
    "lerp": lambda xp, x, end, weight: x + weight * (end - x),
    "complex_sgn": lambda xp, x: xp.where(x == 0, x, x / xp.where(x == 0, np.dtype(x.dtype).type(1), xp.abs(x))),
    "neg": _same("negative"), "mul": _same("multiply"), "div": _same("true_divide"), "pow": _same("power"),
    "asin": _same("arcsin"), "acos": _same("arccos"), "atan": _same("arctan"), "eq": _same("equal"),
    "ne": _same("not_equal"), "conj_physical": _same("conj"), "complex_angle": _same("angle"),
    **{
        name: _same(name)
        for name in (
            "abs", "sqrt", "exp", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "sinh", "cosh", "tanh",
            "isnan", "isinf", "isfinite", "where", "logical_and", "logical_or", "logical_xor", "logical_not",
        )
    },
}  # fmt: skip


def through_arrays(
    cuda: Cuda, op: str, operands: Sequence[Any], numbers: Sequence[float], shape: Sequence[int], kind: dtype,
    result: dtype,
) -> Tensor:  # fmt: skip
    """An op over tensors of a complex type and numbers. Raises `BackendError` where CuPy cannot compile."""
    xp = cuda.arrays(op)
    given = [cuda.array(x) if isinstance(x, Tensor) else np.dtype(kind.name).type(x) for x in operands]
    array = FUNCTIONS[op](xp, *given, *numbers).astype(result.name, copy=False)
    if tuple(array.shape) != tuple(shape):
        array = xp.broadcast_to(array, tuple(shape))
    return cuda.tensor(array)
