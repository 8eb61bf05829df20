"""The names of `wootz.linalg` that PyTorch also has at its root and as methods."""

from __future__ import annotations

from typing import Any, NamedTuple

from wootz import _core, linalg
from wootz._core import Tensor
from wootz.linalg import reflectors
from wootz.linalg.checks import mh
from wootz.linalg.reflectors import Factored
from wootz.linalg.system import Slogdet
from wootz.ops.database import op
from wootz.ops.random import randn

__all__ = [
    "cholesky",
    "cholesky_inverse",
    "cholesky_solve",
    "det",
    "geqrf",
    "inverse",
    "logdet",
    "lu",
    "lu_solve",
    "lu_unpack",
    "matrix_exp",
    "orgqr",
    "ormqr",
    "pca_lowrank",
    "pinverse",
    "qr",
    "slogdet",
    "svd",
    "svd_lowrank",
    "triangular_solve",
]


def cholesky(self: Tensor, upper: bool = False) -> Tensor:
    """The Cholesky factors of positive definite matrices; see `linalg.cholesky`."""
    return linalg.cholesky(self, upper=upper)


def cholesky_inverse(self: Tensor, upper: bool = False) -> Tensor:
    """The inverse of A, from the Cholesky factor self of A."""
    return linalg.cholesky_inverse(self, upper)


def cholesky_solve(self: Tensor, input2: Tensor, upper: bool = False) -> Tensor:
    """The X with A X = self, from the Cholesky factor input2 of A."""
    return linalg.cholesky_solve(self, input2, upper)


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


@op("N(3, 3)", "N(4, 2)", "N(2, 2, 3)", "X(3, 2).detach()", differentiable=False, tolerance=1e-11,
    autocast={"cpu": "wide"})  # fmt: skip
def geqrf(self: Tensor) -> Factored:
    """(a, tau): R on and above the diagonal of a, and below it the reflectors that `orgqr` makes Q of."""
    return reflectors.factor(self)


@op("N(4, 3), N(3)", "N(2, 4, 2), N(2, 2)", tolerance=1e-10, autocast={"cpu": "wide"})
def orgqr(self: Tensor, input2: Tensor) -> Tensor:
    """`linalg.householder_product` of reflectors and their factors."""
    return linalg.householder_product(self, input2)


@op("N(4, 3), N(3), N(4, 2)", "N(4, 2), N(2), N(3, 4), False", "N(4, 3), N(3), N(4, 2), True, True",
    "X(3, 2), X(2), X(2, 3), False, True", tolerance=1e-10, autocast={"cpu": "wide"})  # fmt: skip
def ormqr(self: Tensor, input2: Tensor, input3: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
    """Q input3 (input3 Q if not ``left``), Q the square product of self's reflectors or its conjugate transpose."""
    return reflectors.apply(self, input2, input3, left, transpose)


def lu(self: Tensor, pivot: bool = True, get_infos: bool = False) -> tuple[Tensor, ...]:
    """(LU, pivots) of `linalg.lu_factor`, and with ``get_infos`` what `linalg.lu_factor_ex` says of each matrix."""
    found = linalg.lu_factor_ex(self, pivot=pivot, check_errors=not get_infos)
    return tuple(found) if get_infos else (found.LU, found.pivots)


class Unpacked(NamedTuple):
    """A = P L U; empty tensors where they were not asked for."""

    P: Tensor
    L: Tensor
    U: Tensor


@op("*wootz.linalg.lu_factor(N(3, 3))", "*wootz.linalg.lu_factor(N(4, 2))", "*wootz.linalg.lu_factor(N(2, 2, 3))",
    "N(3, 3), wootz.tensor([2, 3, 3], dtype=wootz.int32), True, False", tolerance=1e-11)  # fmt: skip
def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> Unpacked:
    """(P, L, U) from `linalg.lu_factor`'s result."""
    from wootz.linalg.factorisation import permutation, triangles

    nothing = _core.empty((0,), LU_data.dtype).to(LU_data.device)
    low, up = triangles(LU_data) if unpack_data else (nothing, nothing)
    p = permutation(LU_pivots, LU_data.shape[-2]).to(LU_data.dtype) if unpack_pivots else nothing
    return Unpacked(p, low, up)


class TriangularSolution(NamedTuple):
    """What solves the system, and a copy of the matrix."""

    solution: Tensor
    cloned_coefficient: Tensor


@op("N(3, 2), M(3, 3)", "N(3, 2), M(3, 3), False", "N(3, 2), M(2, 3, 3), True, True",
    "N(3, 2), M(3, 3), True, False, True",
    "X(3, 1), X(3, 3), False, True", tolerance=1e-11, autocast={"cpu": "wide"})  # fmt: skip
def triangular_solve(
    self: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> TriangularSolution:
    """(X, A) with A X = self (Aᵀ X with ``transpose``) of triangular A; see `linalg.solve_triangular`."""
    a = A.transpose(-2, -1) if transpose else A
    solution = linalg.solve_triangular(a, self, upper=upper != transpose, unitriangular=unitriangular)
    return TriangularSolution(solution, A.clone())


def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """(U, S, V) of about the ``q`` greatest singular values of A (less M, where given), by random projection.

    Halko et al. (2009), algorithm 5.1, with ``niter`` rounds of subspace iteration; exact where the rank is at most q.
    """
    x = A if M is None else A - M
    m, n = x.shape[-2:]
    if m < n:
        u, s, v = svd_lowrank(mh(x), q, niter)
        return v, s, u
    width = min(6 if q is None else q, n)
    basis, _ = linalg.qr(x @ randn(n, width, dtype=x.dtype, device=x.device))
    for _ in range(2 if niter is None else niter):
        basis, _ = linalg.qr(mh(x) @ basis)
        basis, _ = linalg.qr(x @ basis)
    u, s, vh = linalg.svd(mh(basis) @ x, full_matrices=False)
    return basis @ u, s, mh(vh)


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Any, Any, Any]:
    """(U, S, V) of about the ``q`` principal components of rows (default 6): `svd_lowrank` of A less its mean row.

    Raises ValueError for q beyond the smaller extent.
    """
    least = min(A.shape[-2:])
    q = min(6, least) if q is None else q
    if not 0 <= q <= least:
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={least}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - _core.mean(A, -2, True) if center else A, q, niter)
