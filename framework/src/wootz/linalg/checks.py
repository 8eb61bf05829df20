"""What matrices have to be, and what an array module's failure is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.errors import LinAlgError, ShapeError
from wootz.ops.array_op import need_floating
from wootz.ops.complex_numbers import conj

__all__: list[str] = []  # for the family; nothing of it is an op


def mh(x: Tensor) -> Tensor:
    """Matrices transposed, complex ones conjugated."""
    return conj(x.transpose(-2, -1))


def matrices(op: str, *tensors: Tensor) -> None:
    """Raises `ShapeError` or `DTypeError` unless all are batches of matrices of one floating-point or complex dtype."""
    for t in tensors:
        if t.dim() < 2:
            raise ShapeError(f"linalg.{op}: The input tensor A must have at least 2 dimensions, found {t.shape}")
    need_floating(f"linalg.{op}", *tensors)


def square(op: str, a: Tensor, *others: Tensor) -> None:
    """`matrices`, of which the first is square."""
    matrices(op, a, *others)
    if a.shape[-1] != a.shape[-2]:
        raise ShapeError(f"linalg.{op}: A must be batches of square matrices, but they are {a.shape[-2]} by "
                         f"{a.shape[-1]} matrices")  # fmt: skip


def real_diagonal(x: Tensor) -> Tensor:
    """Matrices of the real parts of diagonals, zeros elsewhere."""
    return identity(x.shape[-1], x) * ((x + conj(x)) / 2 if x.dtype.is_complex else x)


def identity(n: int, like: Tensor) -> Tensor:
    """The identity matrix in like's dtype, where it is."""
    ranks = _core.arange(0, n, 1, _core.int64)
    return _core.cast(ranks.unsqueeze(0) == ranks.unsqueeze(1), like.dtype).to(like.device)


def raising(op: str, what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A forward function whose array module's LinAlgError becomes ours, saying what the matrix is."""

    def wrap(forward: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(xp: Any, *args: Any, **parameters: Any) -> Any:
            try:
                return forward(xp, *args, **parameters)
            except xp.linalg.LinAlgError as failure:
                raise LinAlgError(f"linalg.{op}: {what} ({failure})") from None

        guarded.__name__ = forward.__name__
        return guarded

    return wrap
