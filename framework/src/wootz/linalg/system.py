"""Systems of linear equations, inverses and determinants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from wootz import _core
from wootz._core import Tensor
from wootz.errors import LinAlgError, ShapeError
from wootz.linalg.checks import identity, matrices, mh, raising, square
from wootz.ops.array_op import array_op, stacked
from wootz.ops.complex_numbers import conj
from wootz.ops.database import op

__all__ = [
    "cholesky_inverse", "cholesky_solve", "det", "inv", "inv_ex", "logdet", "lstsq", "slogdet", "solve", "solve_ex",
    "solve_triangular", "tensorinv", "tensorsolve",
]  # fmt: skip

_DRIVERS = (None, "gels", "gelsy", "gelsd", "gelss")
SINGULAR = "The input matrix is singular, or some of the batch are"


@array_op(lambda g, out, a: -mh(out) @ g @ mh(out), batch=stacked)
@raising("inv", SINGULAR)
def _inv(xp: Any, a: Any) -> Any:
    return xp.linalg.inv(a)


@op("M(3, 3)", "M(2, 3, 3)", "M(0, 0)", "X(3, 3)", reference="np.linalg.inv", tolerance=1e-12,
    autocast={"cpu": "wide"})  # fmt: skip
def inv(A: Tensor) -> Tensor:
    """The inverses of square matrices."""
    square("inv", A)
    return _inv(A)


def _solve_rule_b(g: Tensor, x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return _solve(mh(a), g)


@array_op(lambda g, x, a, b: -_solve_rule_b(g, x, a, b) @ mh(x), _solve_rule_b, batch=stacked)
@raising("solve", SINGULAR)
def _solve(xp: Any, a: Any, b: Any) -> Any:
    return xp.linalg.solve(a, b)


def _vectors(A: Tensor, B: Tensor) -> bool:
    """Whether B holds vectors, not matrices."""
    return B.dim() == 1 or (A.dim() - 1 == B.dim() and B.shape == A.shape[:-1])


@op("M(3, 3), N(3)", "M(3, 3), N(3, 2)", "M(2, 3, 3), N(2, 3, 2)", "M(3, 3), N(2, 3, 2)", "M(2, 3, 3), N(2, 3)",
    "M(3, 3), N(2, 3), left=False", "X(3, 3), X(3, 2)", tolerance=1e-12, autocast={"cpu": "wide"})  # fmt: skip
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The X with A X = B (X A = B if not ``left``); B holds matrices, or vectors if A has one dimension more."""
    vectors = _vectors(A, B)
    b = B.unsqueeze(-1) if vectors else B
    square("solve", A, b)
    if not left:
        return solve(A.transpose(-2, -1), b.transpose(-2, -1)).transpose(-2, -1)
    if b.shape[-2] != A.shape[-1]:
        raise ShapeError(f"linalg.solve: Incompatible shapes of A and B for the equation AX = B ({A.shape}, {B.shape})")
    x = _solve(A, b)
    return x.squeeze(-1) if vectors else x


class InvEx(NamedTuple):
    """Inverses, and for each matrix 0 or the place of the pivot that is 0."""

    inverse: Tensor
    info: Tensor


class SolveEx(NamedTuple):
    """Solutions, and for each matrix 0 or the place of the pivot that is 0."""

    result: Tensor
    info: Tensor


def first_failure(factors: Tensor) -> Tensor:
    """Of LU factors: 0, or the place, counted from 1, of the first zero on the diagonal."""
    zero = (factors.diagonal(0, -2, -1) == 0).to(_core.int32)
    if not zero.shape[-1]:
        return _core.sum(zero, -1).to(_core.int32)
    place = _core.argmax(zero, -1) + 1
    return (place * _core.amax(zero, -1)).to(_core.int32)


def _regular(op: str, A: Tensor, check_errors: bool) -> tuple[Tensor, Tensor, Tensor]:
    """A with the identity in the place of singular matrices, which of them are regular, and `first_failure`."""
    from wootz.linalg.factorisation import lu_factor

    square(op, A)
    info = first_failure(lu_factor(A.detach()).LU)
    if check_errors and bool((info > 0).any()):
        raise LinAlgError(f"linalg.{op}: {SINGULAR}")
    good = (info == 0).unsqueeze(-1).unsqueeze(-1)
    return _core.where(good, A, identity(A.shape[-1], A)), good, info


def inv_ex(A: Tensor, *, check_errors: bool = False) -> InvEx:
    """(inverse, info); NaN where a matrix is singular. Raises `LinAlgError` for it only with ``check_errors``."""
    regular, good, info = _regular("inv_ex", A, check_errors)
    return InvEx(_core.where(good, inv(regular), math.nan), info)


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> SolveEx:
    """(result, info); NaN where a matrix is singular. Raises `LinAlgError` for it only with ``check_errors``."""
    regular, good, info = _regular("solve_ex", A, check_errors)
    result = solve(regular, B, left=left)
    return SolveEx(_core.where(good.squeeze(-1) if _vectors(A, B) else good, result, math.nan), info)


@op("M(3, 3), N(3, 2), upper=True", "M(3, 3), N(3, 2), upper=False", "M(2, 3, 3), N(2, 3, 1), upper=False",
    "M(3, 3), N(2, 3), upper=True, left=False", "M(3, 3), N(3, 2), upper=True, unitriangular=True",
    "X(3, 3), X(3, 2), upper=True",
    tolerance=1e-12)  # fmt: skip
def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:  # fmt: skip
    """The X with A X = B (X A = B if not ``left``) of triangular A; only that triangle is read.

    With ``unitriangular`` the diagonal counts as ones, and is not read either.
    """
    square("solve_triangular", A, B)
    side, skip = (_core.triu, 1) if upper else (_core.tril, -1)
    a = side(A, skip) + identity(A.shape[-1], A) if unitriangular else side(A)
    if not left:
        return solve_triangular(a.transpose(-2, -1), B.transpose(-2, -1), upper=not upper).transpose(-2, -1)
    if B.shape[-2] != A.shape[-1]:
        raise ShapeError(f"linalg.solve_triangular: Incompatible shapes of A and B ({A.shape} and {B.shape})")
    return _solve(a, B)


@op("N(3, 2), M(3, 3).tril()", "N(3, 2), M(3, 3).triu(), True", tolerance=1e-12, peer="cholesky_solve",
    autocast={"cpu": "wide"})  # fmt: skip
def cholesky_solve(B: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """The X with A X = B, from the Cholesky factor L of A."""
    lower = mh(L) if upper else L
    half = solve_triangular(lower, B, upper=False)
    return solve_triangular(mh(_core.tril(lower)), half, upper=True)


@op("M(3, 3).tril()", "M(3, 3).triu(), True", tolerance=1e-12, peer="cholesky_inverse", autocast={"cpu": "wide"})
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """The inverse of A, from the Cholesky factor L of A."""
    square("cholesky_inverse", L)
    return cholesky_solve(identity(L.shape[-1], L), L, upper)


def _cofactors(a: Tensor) -> Tensor:
    """The derivative of the determinant where it may be 0: products of all singular values but one."""
    from wootz.linalg.spectrum import svd

    u, s, vh = svd(a, full_matrices=False)
    n = s.shape[-1]
    without = [_core.prod(_core.cat([s.narrow(-1, 0, i), s.narrow(-1, i + 1, n - i - 1)], -1), -1) for i in range(n)]
    sign = _det(u) * _det(vh)
    return (u * _core.stack(without, -1).unsqueeze(-2)) @ vh * sign.unsqueeze(-1).unsqueeze(-1)


def _det_rule(g: Tensor, out: Tensor, a: Tensor) -> Tensor:
    g = g.unsqueeze(-1).unsqueeze(-1)
    if a.shape[-1] and bool((out.detach() == 0).any()):
        return g * _cofactors(a)
    return g * mh(_inv(a)) * conj(out).unsqueeze(-1).unsqueeze(-1)


@array_op(_det_rule, batch=stacked)
def _det(xp: Any, a: Any) -> Any:
    return xp.linalg.det(a)


@op("M(3, 3)", "M(2, 3, 3)", "M(0, 0)", "X(3, 3)", reference="np.linalg.det", tolerance=1e-12)
def det(A: Tensor) -> Tensor:
    """The determinants of square matrices."""
    square("det", A)
    return _det(A)


class Slogdet(NamedTuple):
    """The sign of a determinant, and the logarithm of its size."""

    sign: Tensor
    logabsdet: Tensor


def _slogdet_rule(g: Any, out: Any, a: Tensor) -> Tensor:
    """The logarithm of a determinant is its size's plus i times its angle, by which the sign turns."""
    slope: Tensor = g[1]
    if a.dtype.is_complex:
        turn = g[0] * conj(out[0])
        slope = slope + (turn - conj(turn)) / 2
    return slope.unsqueeze(-1).unsqueeze(-1) * mh(_inv(a))


@array_op(_slogdet_rule, batch=stacked)
def _slogdet(xp: Any, a: Any) -> Any:
    return tuple(xp.linalg.slogdet(a))


@op("M(3, 3)", "M(2, 3, 3)", "0 - M(3, 3)", "X(3, 3)", reference="np.linalg.slogdet", tolerance=1e-12)
def slogdet(A: Tensor) -> Slogdet:
    """(sign, logarithm of the absolute value) of the determinants of square matrices; sign 0 if singular."""
    square("slogdet", A)
    return Slogdet(*_slogdet.many(A))


@op("M(3, 3)", "M(2, 3, 3)", "X(3, 3)", tolerance=1e-12, peer="logdet")
def logdet(A: Tensor) -> Tensor:
    """The logarithms of the determinants of square matrices; NaN where one is negative."""
    sign, size = slogdet(A)
    if A.dtype.is_complex:
        return _core.log(sign) + size
    return _core.where(sign < 0, math.nan, size)


class Lstsq(NamedTuple):
    """What minimises the residuals, what remains (where determined), the rank, and singular values of some drivers."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


@op("N(4, 2), N(4, 3)", "N(2, 4, 2), N(2, 4, 1)", "N(2, 4), N(2, 1)", "X(4, 2), X(4, 1)", tolerance=1e-10, peer="")
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Lstsq:
    """The X that minimises |A X - B|, by the pseudo-inverse; the shortest of several.

    Residuals are given where A has more rows than columns and full rank, and are empty elsewhere. ``rcond`` is the
    size, relative to the greatest, of singular values that count as 0. ``driver`` names LAPACK's: all solve alike here
    and differ in what else is given: "gelsd" and "gelss" singular values too, "gels" (which takes A to be of full
    rank) no rank.
    """
    from wootz.linalg.norms import matrix_rank
    from wootz.linalg.spectrum import pinv, svdvals

    matrices("lstsq", A, B)
    if driver not in _DRIVERS:
        raise ValueError(f"linalg.lstsq: driver is 'gels', 'gelsy', 'gelsd' or 'gelss', not {driver!r}")
    if A.shape[-2] != B.shape[-2]:
        raise ShapeError(f"linalg.lstsq: input.size(-2) should match other.size(-2), found {A.shape} and {B.shape}")
    solution = pinv(A, rtol=rcond) @ B
    rank = matrix_rank(A.detach(), rtol=rcond)
    full = A.shape[-2] > A.shape[-1] and bool((rank == A.shape[-1]).all())
    values = svdvals(A.detach()) if driver in ("gelsd", "gelss") else None
    nothing = _core.abs(A.detach().reshape((-1,)).narrow(0, 0, 0))
    residuals = _core.sum(_core.square(_core.abs(A @ solution - B)), -2) if full else nothing
    return Lstsq(
        solution,
        residuals,
        rank.reshape((-1,)).narrow(0, 0, 0) if driver == "gels" else rank,
        nothing if values is None else values,
    )


@op("N(2, 3, 6), N(2, 3)", "N(6, 2, 3), N(6)", tolerance=1e-10, autocast={"cpu": "wide"})
def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """The X with tensordot(A, X, X.dim()) = B; ``dims`` of A are moved to its end first."""
    a = A if dims is None else A.movedim(list(dims), list(range(A.dim() - len(dims), A.dim())))
    shape = a.shape[B.dim() :]
    n = math.prod(shape)
    if n != B.numel():
        raise ShapeError(f"linalg.tensorsolve: expected A to be square when reshaped, found {A.shape} and {B.shape}")
    return solve(a.reshape((n, n)), B.reshape((-1,))).reshape(shape)


@op("N(2, 3, 6)", "N(4, 2, 2), 1", tolerance=1e-10, autocast={"cpu": "wide"})
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """The inverse of A as a map from the dimensions after ``ind`` to those before."""
    first, last = A.shape[:ind], A.shape[ind:]
    if ind <= 0 or math.prod(first) != math.prod(last):
        raise ShapeError(f"linalg.tensorinv: expected self to satisfy the requirement prod(self.shape[ind:]) == "
                         f"prod(self.shape[:ind]), found {A.shape} and ind={ind}")  # fmt: skip
    return inv(A.reshape((math.prod(first), -1))).reshape((*last, *first))
