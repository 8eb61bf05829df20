"""Householder reflectors: QR factors as LAPACK keeps them, multiplied out or applied one by one.

The k-th reflector is I - tau[k] v vᴴ, where v has 0 above place k, 1 there, and what the k-th column holds below.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from wootz import _core
from wootz._core import Tensor
from wootz.errors import ShapeError
from wootz.linalg.checks import identity, matrices, mh
from wootz.ops.array_op import array_op, stacked
from wootz.ops.complex_numbers import conj
from wootz.ops.database import op

__all__ = ["apply", "factor", "householder_product"]


class Factored(NamedTuple):
    """R on and above the diagonal, the reflectors below it, and their factors."""

    a: Tensor
    tau: Tensor


@array_op(batch=stacked)
def _raw(xp: Any, a: Any) -> Any:
    h, tau = xp.linalg.qr(a, mode="raw")
    return h.swapaxes(-1, -2), tau


def factor(A: Tensor) -> Factored:
    """(a, tau) of A = Q R, Q as a product of reflectors; no gradient flows."""
    matrices("geqrf", A)
    return Factored(*_raw.many(A.detach()))


def _checked(op: str, A: Tensor, tau: Tensor) -> None:
    matrices(op, A)
    if tau.dim() != A.dim() - 1 or tau.shape[-1] > A.shape[-1] or A.shape[-1] > A.shape[-2]:
        raise ShapeError(f"linalg.{op}: expected at most as many columns as rows and a tau for some of them, found "
                         f"{A.shape} and {tau.shape}")  # fmt: skip


def _vectors(A: Tensor, tau: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """(v, tau) of each reflector, v as a column."""
    unit = identity(max(A.shape[-2:]), A).narrow(0, 0, A.shape[-2])
    below = _core.tril(A, -1)
    for k in range(tau.shape[-1]):
        v = below.narrow(-1, k, 1) + unit.narrow(-1, k, 1)
        yield v, tau.narrow(-1, k, 1).unsqueeze(-1)


@op("N(4, 3), N(3)", "N(3, 3), N(2)", "N(2, 4, 2), N(2, 2)", "X(3, 2), X(2)", tolerance=1e-10,
    autocast={"cpu": "wide"})  # fmt: skip
def householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """The first columns of the product of reflectors, as many as A has."""
    _checked("householder_product", A, tau)
    m, n = A.shape[-2:]
    out = identity(m, A).narrow(1, 0, n).expand(A.shape)
    for v, factor in reversed(list(_vectors(A, tau))):
        out = out - factor * (v @ (mh(v) @ out))
    return out


def apply(A: Tensor, tau: Tensor, other: Tensor, left: bool, transpose: bool) -> Tensor:
    """Q other, other Q if not ``left``, with the whole square Q of the reflectors, or its conjugate transpose."""
    _checked("ormqr", A, tau)
    if other.shape[-2 if left else -1] != A.shape[-2]:
        raise ShapeError(f"ormqr: Q is {A.shape[-2]} square, which does not fit {other.shape}")
    vectors = list(_vectors(A, tau))
    for v, factor in reversed(vectors) if left != transpose else vectors:
        factor = conj(factor) if transpose else factor
        other = other - factor * (v @ (mh(v) @ other)) if left else other - factor * ((other @ v) @ mh(v))
    return other
