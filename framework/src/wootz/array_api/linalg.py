"""The linear algebra extension of the standard."""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple

import wootz
from wootz import _core, linalg
from wootz._core import Tensor, dtype
from wootz.array_api.manipulation import matmul, matrix_transpose, tensordot, vecdot
from wootz.array_api.promotion import axes, pair
from wootz.array_api.reductions import sum

__all__ = [
    "cholesky", "cross", "det", "diagonal", "eigh", "eigvalsh", "inv", "matmul", "matrix_norm", "matrix_power",
    "matrix_rank", "matrix_transpose", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot",
    "trace", "vecdot", "vector_norm",
]  # fmt: skip


class Eigen(NamedTuple):
    """What `eigh` finds."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QR(NamedTuple):
    """What `qr` finds."""

    Q: Tensor
    R: Tensor


class Slogdet(NamedTuple):
    """What `slogdet` finds."""

    sign: Tensor
    logabsdet: Tensor


class SVD(NamedTuple):
    """What `svd` finds."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def cholesky(x: Tensor, /, *, upper: builtins.bool = False) -> Tensor:
    """The triangular factor of positive definite matrices."""
    return linalg.cholesky(x, upper=upper)


def cross(x1: Tensor, x2: Tensor, /, *, axis: builtins.int = -1) -> Tensor:
    """The cross products of vectors of three along an axis."""
    a, b = pair(x1, x2)
    if not -min(a.ndim, b.ndim) <= axis < 0:
        raise ValueError(f"cross: axis must be negative and in both arrays, got {axis}")
    return linalg.cross(a, b, dim=axis)


def det(x: Tensor, /) -> Tensor:
    """The determinants."""
    return linalg.det(x)


def diagonal(x: Tensor, /, *, offset: builtins.int = 0) -> Tensor:
    """The diagonals of matrices."""
    return linalg.diagonal(x, offset=offset)


def eigh(x: Tensor, /) -> Eigen:
    """Eigenvalues and eigenvectors of symmetric matrices."""
    return Eigen(*linalg.eigh(x))


def eigvalsh(x: Tensor, /) -> Tensor:
    """The eigenvalues of symmetric matrices."""
    return linalg.eigvalsh(x)


def inv(x: Tensor, /) -> Tensor:
    """The inverses."""
    return linalg.inv(x)


def matrix_norm(x: Tensor, /, *, keepdims: builtins.bool = False, ord: Any = "fro") -> Tensor:
    """A norm of matrices: "fro", "nuc", 1, 2, inf and their negatives."""
    return linalg.matrix_norm(x, ord, keepdim=keepdims)


def matrix_power(x: Tensor, n: builtins.int, /) -> Tensor:
    """The matrices multiplied with themselves; inverted first where n is negative."""
    return linalg.matrix_power(x, n)


def matrix_rank(x: Tensor, /, *, rtol: Any = None) -> Tensor:
    """How many singular values are larger than ``rtol`` times the largest."""
    return linalg.matrix_rank(x, rtol=rtol)


def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The outer product of two vectors."""
    return wootz.outer(*pair(x1, x2))


def pinv(x: Tensor, /, *, rtol: Any = None) -> Tensor:
    """The pseudo-inverses."""
    return linalg.pinv(x, rtol=rtol)


def qr(x: Tensor, /, *, mode: str = "reduced") -> QR:
    """Orthonormal columns times an upper triangle."""
    return QR(*linalg.qr(x, mode))


def slogdet(x: Tensor, /) -> Slogdet:
    """The sign of the determinants and the logarithm of their size."""
    return Slogdet(*linalg.slogdet(x))


def solve(x1: Tensor, x2: Tensor, /) -> Tensor:
    """The solutions of x1 @ y = x2; a vector where x2 has one dimension, and matrices otherwise."""
    a, b = pair(x1, x2)
    return linalg.solve(a, b.unsqueeze(-1)).squeeze(-1) if b.ndim == 1 else linalg.solve(a, b)


def svd(x: Tensor, /, *, full_matrices: builtins.bool = True) -> SVD:
    """Singular values between two orthonormal bases."""
    return SVD(*linalg.svd(x, full_matrices))


def svdvals(x: Tensor, /) -> Tensor:
    """The singular values."""
    return linalg.svdvals(x)


def trace(x: Tensor, /, *, offset: builtins.int = 0, dtype: dtype | None = None) -> Tensor:
    """The sums of diagonals."""
    return sum(diagonal(x, offset=offset), axis=-1, dtype=dtype)


def vector_norm(x: Tensor, /, *, axis: Any = None, keepdims: builtins.bool = False, ord: float = 2) -> Tensor:
    """A norm of the elements along axes: any power, inf and -inf."""
    which = axes(axis, x.ndim)
    if not which:
        return _core.abs(x)
    return linalg.vector_norm(x, ord, which, keepdims)
