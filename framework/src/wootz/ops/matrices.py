"""The names of `wootz.linalg` that PyTorch also has at its root and as methods."""

from __future__ import annotations

from wootz import linalg
from wootz._core import Tensor
from wootz.linalg.system import Slogdet
from wootz.linalg.system import cholesky_inverse as cholesky_inverse
from wootz.linalg.system import cholesky_solve as cholesky_solve

__all__ = [
    "cholesky", "cholesky_inverse", "cholesky_solve", "det", "inverse", "logdet", "lu_solve", "matrix_exp", "pinverse",
    "qr", "slogdet", "svd",
]  # fmt: skip


def cholesky(self: Tensor, upper: bool = False) -> Tensor:
    """The Cholesky factors of positive definite matrices; see `linalg.cholesky`."""
    return linalg.cholesky(self, upper=upper)


def det(self: Tensor) -> Tensor:
    """The determinants of square matrices."""
    return linalg.det(self)


def inverse(self: Tensor) -> Tensor:
    """The inverses of square matrices."""
    return linalg.inv(self)


def logdet(self: Tensor) -> Tensor:
    """The logarithms of determinants; NaN where one is negative."""
    return linalg.logdet(self)


def lu_solve(self: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """The X with A X = self, from A's `linalg.lu_factor`."""
    return linalg.lu_solve(LU_data, LU_pivots, self)


def matrix_exp(self: Tensor) -> Tensor:
    """The exponentials of square matrices."""
    return linalg.matrix_exp(self)


def pinverse(self: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverses of matrices."""
    return linalg.pinv(self, rtol=rcond)


def qr(self: Tensor, some: bool = True) -> tuple[Tensor, Tensor]:
    """(Q, R) with self = Q R; Q is square if not ``some``."""
    return linalg.qr(self, "reduced" if some else "complete")


def slogdet(self: Tensor) -> Slogdet:
    """(sign, logarithm of the absolute value) of determinants."""
    return linalg.slogdet(self)


def svd(self: Tensor, some: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, V) with self = U diag(S) Vᵀ; `linalg.svd` gives Vᵀ."""
    u, s, vh = linalg.svd(self, full_matrices=not some)
    return u, s, vh.transpose(-2, -1)
