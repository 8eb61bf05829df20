"""Symmetric and Hermitian matrices of any signs as L D Lᵀ, D with blocks of one or two (Bunch and Kaufman 1977).

The lower triangle is read. Factors and pivots are packed as LAPACK packs them: a positive pivot names the row, counted
from 1, that was exchanged with this one; two equal negative ones name that of a block of two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from wootz._core import Tensor
from wootz.errors import LinAlgError, ShapeError
from wootz.linalg.checks import square
from wootz.ops.array_op import array_op, stacked
from wootz.ops.database import op

__all__ = ["ldl_factor", "ldl_factor_ex", "ldl_solve"]

# Where a block of one grows its neighbours as much as a block of two does.
_BALANCE = (1 + math.sqrt(17)) / 8


class LDL(NamedTuple):
    """L below and D on and next to the diagonal, and which rows were exchanged."""

    LD: Tensor
    pivots: Tensor


class LDLEx(NamedTuple):
    """`LDL`'s, and for each matrix 0 or the place, counted from 1, of the first pivot that is 0."""

    LD: Tensor
    pivots: Tensor
    info: Tensor


class _Elimination:
    """One matrix, its lower triangle changed in place; ``conj`` is the identity for symmetric ones."""

    def __init__(self, xp: Any, a: Any, hermitian: bool) -> None:
        self.xp, self.a, self.n = xp, a, a.shape[0]
        self.conj: Callable[[Any], Any] = xp.conj if hermitian else lambda x: x
        self.pivots, self.info = xp.zeros(self.n, "int32"), 0

    def size(self, x: Any) -> Any:
        xp = self.xp
        return xp.abs(xp.real(x)) + xp.abs(xp.imag(x)) if self.a.dtype.kind == "c" else xp.abs(x)

    def choose(self, k: int) -> tuple[int, int]:
        """(row to exchange with, size of the block) at column k."""
        a, own = self.a, float(self.size(self.a[k, k]))
        if k == self.n - 1:
            return k, 1
        column = self.size(a[k + 1 :, k])
        most = k + 1 + int(column.argmax())
        largest = float(column.max())
        if max(own, largest) == 0 or own >= _BALANCE * largest:
            return k, 1
        others = self.xp.concatenate([self.size(a[most, k:most]), self.size(a[most + 1 :, most])])
        across = float(others.max())
        if own >= _BALANCE * largest * (largest / across):
            return k, 1
        return most, 1 if float(self.size(a[most, most])) >= _BALANCE * across else 2

    def exchange(self, k: int, at: int, row: int) -> None:
        """Rows and columns ``at`` and ``row`` of what is left from column k on."""
        a = self.a
        a[row + 1 :, [at, row]] = a[row + 1 :, [row, at]]
        between = a[at + 1 : row, at].copy()
        a[at + 1 : row, at] = self.conj(a[row, at + 1 : row])
        a[row, at + 1 : row] = self.conj(between)
        a[row, at] = self.conj(a[row, at])
        a[[at, row], [at, row]] = a[[row, at], [row, at]]
        if at > k:
            a[[at, row], k] = a[[row, at], k]

    def eliminate(self, k: int, block: int) -> None:
        a, rest = self.a, k + block
        d = a[k:rest, k:rest].copy()
        if block == 2:
            d[0, 1] = self.conj(d[1, 0])
        columns = a[rest:, k:rest].copy()
        scaled = columns @ self.xp.linalg.inv(d)
        a[rest:, rest:] -= self.xp.tril(scaled @ self.conj(columns).T)
        a[rest:, k:rest] = scaled

    def run(self) -> None:
        k = 0
        while k < self.n:
            row, block = self.choose(k)
            at = k + block - 1
            if row != at:
                self.exchange(k, at, row)
            self.pivots[k : k + block] = row + 1 if block == 1 else -(row + 1)
            if block == 1 and self.a[k, k] == 0:
                self.info = self.info or k + 1
            else:
                self.eliminate(k, block)
            k += block


@array_op(batch=stacked)
def _factor(xp: Any, a: Any, hermitian: bool) -> Any:
    n = a.shape[-1]
    flat = xp.tril(a).reshape((-1, n, n)).copy()
    count = flat.shape[0]
    pivots, info = xp.zeros((count, n), "int32"), xp.zeros(count, "int32")
    for i in range(count):
        matrix = flat[i]
        if hermitian and a.dtype.kind == "c":
            places = xp.arange(n)
            matrix[places, places] = xp.real(matrix[places, places])
        found = _Elimination(xp, matrix, hermitian)
        found.run()
        pivots[i], info[i] = found.pivots, found.info
    return flat.reshape(a.shape), pivots.reshape(a.shape[:-1]), info.reshape(a.shape[:-2])


def _factored(A: Tensor, hermitian: bool) -> tuple[Tensor, ...]:
    """The elimination, on the CPU wherever A is: each step's pivot is looked at before the next."""
    return tuple(t.to(A.device) for t in _factor.many(A.detach().cpu(), hermitian))


def ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False) -> LDLEx:
    """(LD, pivots, info) of `ldl_factor`. Raises `LinAlgError` for a singular matrix only with ``check_errors``."""
    square("ldl_factor_ex", A)
    found = LDLEx(*_factored(A, hermitian))
    if check_errors and bool((found.info > 0).any()):
        raise LinAlgError("linalg.ldl_factor_ex: D has a zero on its diagonal: a matrix is singular")
    return found


@op("H(3, 3).detach()", "C(2, 4, 4)", "X(4, 4).detach()", "X(4, 4).detach(), hermitian=True", "C(5, 5)",
    differentiable=False, tolerance=1e-10)  # fmt: skip
def ldl_factor(A: Tensor, *, hermitian: bool = False) -> LDL:
    """(LD, pivots) of A = L D Lᵀ (Lᴴ if ``hermitian``), for symmetric or Hermitian matrices; no gradient flows."""
    square("ldl_factor", A)
    factors, pivots, _ = _factored(A, hermitian)
    return LDL(factors, pivots)


def _blocks(pivots: Any) -> list[tuple[int, int, int]]:
    """(first row, size, row it was exchanged with) of each block of D."""
    out, k = [], 0
    while k < len(pivots):
        block = 1 if pivots[k] > 0 else 2
        out.append((k, block, abs(int(pivots[k])) - 1))
        k += block
    return out


@array_op()
def _ldl_solve(xp: Any, a: Any, pivots: Any, b: Any, hermitian: bool) -> Any:
    x = xp.broadcast_to(b, (*a.shape[:-2], *b.shape[-2:])).copy()
    flat = x.reshape((-1, *x.shape[-2:]))
    for ld, exchanged, right in zip(
        a.reshape((-1, *a.shape[-2:])), pivots.reshape((-1, a.shape[-1])), flat, strict=True
    ):
        _solve_one(xp, ld, _blocks([int(p) for p in exchanged]), right, xp.conj if hermitian else lambda t: t)
    return flat.reshape(x.shape)


def _solve_one(xp: Any, ld: Any, blocks: list[tuple[int, int, int]], x: Any, conj: Callable[[Any], Any]) -> None:
    for k, block, row in blocks:
        rest, at = k + block, k + block - 1
        x[[at, row]] = x[[row, at]]
        x[rest:] -= ld[rest:, k:rest] @ x[k:rest]
        d = ld[k:rest, k:rest].copy()
        if block == 2:
            d[0, 1] = conj(d[1, 0])
        x[k:rest] = xp.linalg.solve(d, x[k:rest])
    for k, block, row in reversed(blocks):
        rest, at = k + block, k + block - 1
        x[k:rest] -= conj(ld[rest:, k:rest]).T @ x[rest:]
        x[[at, row]] = x[[row, at]]


@op("*wootz.linalg.ldl_factor(H(3, 3).detach()), C(3, 2)", "*wootz.linalg.ldl_factor(C(2, 4, 4)), C(2, 4, 1)",
    "*wootz.linalg.ldl_factor(X(4, 4).detach(), hermitian=True), X(4, 2).detach(), hermitian=True",
    differentiable=False, tolerance=1e-9)  # fmt: skip
def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """The X with A X = B, from A's `ldl_factor`; no gradient flows."""
    square("ldl_solve", LD, B)
    if B.shape[-2] != LD.shape[-1]:
        raise ShapeError(f"linalg.ldl_solve: Incompatible shapes of LD and B ({LD.shape} and {B.shape})")
    return _ldl_solve(LD.detach().cpu(), pivots.cpu(), B.detach().cpu(), hermitian).to(LD.device)
