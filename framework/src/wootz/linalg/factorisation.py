"""Cholesky, QR and LU factorisations."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from wootz import _core
from wootz._core import Tensor
from wootz.errors import LinAlgError
from wootz.linalg.checks import identity, matrices, mh, raising, real_diagonal, square
from wootz.linalg.system import first_failure, solve_triangular
from wootz.ops.array_op import array_op, stacked
from wootz.ops.database import op

__all__ = ["cholesky", "cholesky_ex", "lu", "lu_factor", "lu_factor_ex", "lu_solve", "qr"]


def _cholesky_rule(g: Tensor, lower: Tensor, a: Tensor) -> Tensor:
    phi = _core.tril(mh(lower) @ g)
    phi = phi - identity(phi.shape[-1], phi) * phi / 2
    half = solve_triangular(mh(lower), phi, upper=True)
    full = solve_triangular(lower, half, upper=False, left=False)
    return (full + mh(full)) / 2


@array_op(_cholesky_rule, batch=stacked)
@raising("cholesky", "The input is not positive-definite, or some of the batch are not")
def _cholesky(xp: Any, a: Any) -> Any:
    return xp.linalg.cholesky(a)


@op("H(3, 3)", "H(2, 3, 3)", "H(3, 3), upper=True", tolerance=1e-12, autocast={"cpu": "wide"})
def cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """The lower triangular L with A = L Lᴴ of positive definite matrices (or Lᴴ); the lower triangle of A is read."""
    square("cholesky", A)
    lower = _cholesky(mh(A) if upper else A)
    return mh(lower) if upper else lower


class CholeskyEx(NamedTuple):
    """A factor, and for each matrix 0 or the order of the first leading minor that is not positive."""

    L: Tensor
    info: Tensor


def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> CholeskyEx:
    """(L, info) of `cholesky`; where a matrix is not positive definite, L is NaN and info says which minor is not.

    Raises `LinAlgError` instead with ``check_errors``.
    """
    square("cholesky_ex", A)
    info = _minors(A.detach())
    if check_errors and bool((info > 0).any()):
        raise LinAlgError("linalg.cholesky_ex: The input is not positive-definite, or some of the batch are not")
    good = (info == 0).unsqueeze(-1).unsqueeze(-1)
    factor = cholesky(_core.where(good, A, identity(A.shape[-1], A)), upper=upper)
    return CholeskyEx(_core.where(good, factor, math.nan), info)


@array_op(batch=stacked)
def _minors(xp: Any, a: Any) -> Any:
    """For each matrix 0, or the order of its first leading minor that is not positive, by elimination."""
    left = a.reshape((-1, *a.shape[-2:])).copy()
    info = xp.zeros(left.shape[0], "int32")
    for i in range(left.shape[1]):
        pivot = xp.real(left[:, i, i])
        info = xp.where((info == 0) & ~(pivot > 0), i + 1, info)
        column = left[:, i + 1 :, i] / xp.where(pivot > 0, pivot, 1)[:, None]
        left[:, i + 1 :, i + 1 :] -= column[:, :, None] * xp.conj(left[:, i + 1 :, i])[:, None, :]
    return info.astype("int32").reshape(a.shape[:-2])


class QR(NamedTuple):
    """A = Q R."""

    Q: Tensor
    R: Tensor


def _square_rule(q: Tensor, r: Tensor, gq: Tensor, gr: Tensor) -> Tensor:
    """Of a tall or square A; Walter & Lehmann (2010)."""
    m = r @ mh(gr) - mh(gq) @ q
    below = _core.tril(m, -1)
    symmetric = below + mh(below) + real_diagonal(m)
    return solve_triangular(mh(r), gq + q @ symmetric, upper=False, left=False)


def _qr_rule(g: Any, out: Any, a: Tensor, mode: str) -> Tensor:
    (q, r), (gq, gr), (m, n) = out, g, a.shape[-2:]
    if mode == "r" or (mode == "complete" and m > n):
        raise NotImplementedError(f"linalg.qr: the derivative is not defined for mode={mode!r} and {m} by {n} matrices")
    if m >= n:
        return _square_rule(q, r, gq, gr)
    y, gu, gv = a.narrow(-1, m, n - m), gr.narrow(-1, 0, m), gr.narrow(-1, m, n - m)
    gx = _square_rule(q, r.narrow(-1, 0, m), gq + y @ mh(gv), gu)
    return _core.cat([gx, q @ gv], -1)


@array_op(_qr_rule, batch=stacked)
def _qr(xp: Any, a: Any, mode: str) -> Any:
    if mode == "r":
        r = xp.linalg.qr(a, mode="r")
        return xp.empty((0,), a.dtype), r
    return tuple(xp.linalg.qr(a, mode=mode))


@op("N(4, 2)", "N(3, 3)", "N(2, 2, 4)", "X(3, 3)", "X(4, 2)", "X(2, 3)", tolerance=1e-10,
    autocast={"cpu": "wide"})  # fmt: skip
def qr(A: Tensor, mode: str = "reduced") -> QR:
    """(Q, R) with A = Q R, Q's columns orthonormal, R upper triangular.

    ``mode`` is "reduced", "complete" (Q square) or "r" (Q empty, and no derivative).
    """
    matrices("qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"linalg.qr: mode is 'reduced', 'complete' or 'r', not {mode!r}")
    return QR(*_qr.many(A, mode))


class LU(NamedTuple):
    """A = P L U."""

    P: Tensor
    L: Tensor
    U: Tensor


class LUFactor(NamedTuple):
    """L below and U on and above the diagonal, and which rows were exchanged, counted from 1."""

    LU: Tensor
    pivots: Tensor


def _size(xp: Any, x: Any) -> Any:
    """What the pivot is chosen by: of complex numbers LAPACK adds the parts."""
    return xp.abs(xp.real(x)) + xp.abs(xp.imag(x)) if x.dtype.kind == "c" else xp.abs(x)


@array_op(batch=stacked)
def _factor(xp: Any, a: Any) -> Any:
    """Gaussian elimination with the greatest pivot of each column, on all matrices of the batch at once."""
    lu = a.reshape((-1, *a.shape[-2:])).copy()
    k = min(lu.shape[1:])
    pivots = xp.zeros((lu.shape[0], k), "int32")
    batch = xp.arange(lu.shape[0])
    for i in range(k):
        row = i + xp.argmax(_size(xp, lu[:, i:, i]), axis=1)
        pivots[:, i] = row + 1
        here = lu[:, i].copy()
        lu[:, i] = lu[batch, row]
        lu[batch, row] = here
        pivot = lu[:, i, i]
        factor = lu[:, i + 1 :, i] / xp.where(pivot == 0, 1, pivot)[:, None]
        lu[:, i + 1 :, i] = factor
        lu[:, i + 1 :, i + 1 :] -= factor[:, :, None] * lu[:, None, i, i + 1 :]
    return lu.reshape(a.shape), pivots.reshape((*a.shape[:-2], k))


@array_op()
def permutation(xp: Any, pivots: Any, m: int) -> Any:
    """The matrices P of exchanged rows."""
    flat = pivots.reshape((-1, pivots.shape[-1]))
    order = xp.tile(xp.arange(m), (flat.shape[0], 1))
    batch = xp.arange(flat.shape[0])
    for i in range(flat.shape[1]):
        row = flat[:, i] - 1
        here = order[:, i].copy()
        order[:, i] = order[batch, row]
        order[batch, row] = here
    matrix = (xp.arange(m)[None, :, None] == order[:, None, :]).astype("float64")
    return matrix.reshape((*pivots.shape[:-1], m, m))


@op("N(3, 3)", "N(4, 2)", "N(2, 2, 4)", "X(3, 3)", "X(2, 3)", "X(3, 2)", tolerance=1e-10)
def lu(A: Tensor, *, pivot: bool = True) -> LU:
    """(P, L, U) with A = P L U: P exchanges rows, L is lower triangular with a diagonal of ones, U upper triangular.

    Raises ValueError without ``pivot``: it would not be stable.
    """
    matrices("lu", A)
    if not pivot:
        raise ValueError("linalg.lu: elimination without pivots is not supported; leave pivot=True")
    factors, pivots = _factor.many(A.detach())
    p = permutation(pivots, A.shape[-2]).to(A.dtype)
    lower, upper = triangles(factors)
    if A.requires_grad and _core.is_grad_enabled():
        lower, upper = _through(A, p, lower, upper)
    return LU(p, lower, upper)


def triangles(factors: Tensor) -> tuple[Tensor, Tensor]:
    """L and U from the one matrix that holds both."""
    m, n = factors.shape[-2:]
    k = min(m, n)
    lower = _core.tril(factors.narrow(-1, 0, k), -1)
    unit = identity(m, factors).narrow(1, 0, k)
    return lower + unit, _core.triu(factors.narrow(-2, 0, k))


def _through(A: Tensor, p: Tensor, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """The factors as functions of A: those of the leading square, and by them those of the rows or columns left."""
    (m, n), rows = A.shape[-2:], p.transpose(-2, -1) @ A
    k = min(m, n)
    leading = (t.narrow(-2, 0, k).narrow(-1, 0, k) for t in (rows, lower, upper))
    low, up = _given.many(*leading)
    if m > k:
        low = _core.cat([low, solve_triangular(up, rows.narrow(-2, k, m - k), upper=True, left=False)], -2)
    if n > k:
        right = solve_triangular(low, rows.narrow(-1, k, n - k), upper=False, unitriangular=True)
        up = _core.cat([up, right], -1)
    return low, up


def _lu_rule(g: Any, out: Any, a: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """L⁻¹ dA U⁻¹ = L⁻¹ dL + dU U⁻¹, split at the diagonal."""
    (gl, gu), (low, up) = g, out
    inner = _core.tril(mh(low) @ gl, -1) + _core.triu(gu @ mh(up))
    half = solve_triangular(mh(low), inner, upper=True, unitriangular=True)
    return solve_triangular(mh(up), half, upper=False, left=False)


@array_op(_lu_rule, None, None, batch=stacked)
def _given(xp: Any, a: Any, lower: Any, upper: Any) -> Any:
    return lower, upper


@op("N(3, 3)", "N(4, 2)", "N(2, 2, 4)", "X(3, 3)", tolerance=1e-10)
def lu_factor(A: Tensor, *, pivot: bool = True) -> LUFactor:
    """(LU, pivots): both factors in one matrix, and the rows that were exchanged, counted from 1."""
    _, lower, upper = lu(A, pivot=pivot)
    m, n = A.shape[-2:]
    k = min(m, n)
    packed = _core.tril(lower, -1)
    if n > k:
        packed = _core.cat([packed, packed.narrow(-1, 0, 1).expand((*packed.shape[:-1], n - k)) * 0], -1)
    top = upper if m == k else _core.cat([upper, upper.narrow(-2, 0, 1).expand((*upper.shape[:-2], m - k, n)) * 0], -2)
    return LUFactor(packed + top, _factor.many(A.detach())[1])


class LUFactorEx(NamedTuple):
    """`LUFactor`'s, and for each matrix 0 or the place, counted from 1, of the first pivot that is 0."""

    LU: Tensor
    pivots: Tensor
    info: Tensor


def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> LUFactorEx:
    """(LU, pivots, info) of `lu_factor`. Raises `LinAlgError` for a singular matrix only with ``check_errors``."""
    factors, pivots = lu_factor(A, pivot=pivot)
    info = first_failure(factors.detach())
    if check_errors and bool((info > 0).any()):
        raise LinAlgError("linalg.lu_factor_ex: U has a zero on its diagonal: a matrix is singular")
    return LUFactorEx(factors, pivots, info)


def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The X with A X = B (X A = B if not ``left``), from A's `lu_factor`."""
    square("lu_solve", LU, B)
    p = permutation(pivots, LU.shape[-1]).to(LU.dtype)
    if not left:
        half = solve_triangular(LU, B, upper=True, left=False)
        return solve_triangular(LU, half, upper=False, left=False, unitriangular=True) @ p.transpose(-2, -1)
    half = solve_triangular(LU, p.transpose(-2, -1) @ B, upper=False, unitriangular=True)
    return solve_triangular(LU, half, upper=True)
