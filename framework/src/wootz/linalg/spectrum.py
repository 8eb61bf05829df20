"""Singular values and eigenvalues."""

from __future__ import annotations

from typing import Any, NamedTuple

from wootz import _core
from wootz._core import Tensor
from wootz.dtypes import finfo
from wootz.linalg.checks import identity, matrices, mh, raising, square
from wootz.linalg.system import solve
from wootz.ops.array_op import array_op, stacked
from wootz.ops.complex_numbers import conj
from wootz.ops.database import op

__all__ = ["eig", "eigh", "eigvals", "eigvalsh", "pinv", "svd", "svdvals"]


class Eigen(NamedTuple):
    """Eigenvalues in ascending order, and eigenvectors in columns."""

    eigenvalues: Tensor
    eigenvectors: Tensor


def _gaps(values: Tensor) -> Tensor:
    """values[j] - values[i] at [i, j], and 1 on the diagonal, where a numerator of 0 stands."""
    return values.unsqueeze(-2) - values.unsqueeze(-1) + identity(values.shape[-1], values)


def _off_diagonal(x: Tensor) -> Tensor:
    return x * (1 - identity(x.shape[-1], x))


def _eigh_rule(g: Any, out: Any, a: Tensor, uplo: str) -> Tensor:
    (gl, gv), (values, v) = g, out
    inner = _off_diagonal(mh(v) @ gv / _gaps(values)) + identity(values.shape[-1], values) * gl.unsqueeze(-2)
    found: Tensor = v @ inner @ mh(v)
    return found


@array_op(_eigh_rule, batch=stacked)
@raising("eigh", "The algorithm failed to converge")
def _eigh(xp: Any, a: Any, uplo: str) -> Any:
    return tuple(xp.linalg.eigh(a, uplo))


@op("H(3, 3)", "H(2, 3, 3)", "H(3, 3), 'U'", tolerance=1e-10, peer="")
def eigh(A: Tensor, UPLO: str = "L") -> Eigen:
    """The eigenvalues (ascending) and eigenvectors (columns) of Hermitian matrices, of which one triangle is read.

    Eigenvectors are determined but for their sign or phase; so only gradients of what does not depend on it make sense.
    """
    square("eigh", A)
    if UPLO not in ("L", "U"):
        raise ValueError(f"linalg.eigh: Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return Eigen(*_eigh.many(A, UPLO))


@op("H(3, 3)", "H(2, 3, 3)", "X(3, 3)", reference="np.linalg.eigvalsh", tolerance=1e-10, autocast={"cpu": "wide"})
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of Hermitian matrices, ascending."""
    return eigh(A, UPLO).eigenvalues


def _eig_rule(g: Any, out: Any, a: Tensor) -> Tensor:
    """Of eigenvectors of length 1, by what does not depend on their phase."""
    (gl, gv), (values, v) = g, out
    turned = mh(v) @ gv
    size = _core.view_as_real(turned.diagonal(0, -2, -1)).select(-1, 0)
    inner = turned - mh(v) @ (v * size.unsqueeze(-2))
    inner = _off_diagonal(inner / conj(_gaps(values))) + identity(values.shape[-1], values) * gl.unsqueeze(-2)
    return solve(mh(v), inner @ mh(v))


@array_op(_eig_rule, batch=stacked)
@raising("eig", "The algorithm failed to converge")
def _eig(xp: Any, a: Any) -> Any:
    return tuple(xp.linalg.eig(a))


def eig(A: Tensor) -> Eigen:
    """The eigenvalues and eigenvectors (columns, of length 1) of square matrices, always complex, in no order.

    Eigenvectors are determined but for their phase; so only gradients of what does not depend on it make sense.
    """
    square("eig", A)
    wide = {_core.float32: _core.complex64, _core.float64: _core.complex128}
    return Eigen(*_eig.many(A.to(wide.get(A.dtype, A.dtype))))


@op("N(3, 3)", "M(2, 3, 3)", "X(3, 3)", tolerance=1e-10, peer="")
def eigvals(A: Tensor) -> Tensor:
    """The eigenvalues of square matrices, always complex, in no order."""
    return eig(A).eigenvalues


class SVD(NamedTuple):
    """A = U diag(S) Vh."""

    U: Tensor
    S: Tensor
    Vh: Tensor


def _skew(x: Tensor) -> Tensor:
    return x - mh(x)


def _svd_rule(g: Any, out: Any, a: Tensor, full: bool) -> Tensor:
    (m, n), k = a.shape[-2:], out[1].shape[-1]
    u, gu = (t.narrow(-1, 0, k) for t in (out[0], g[0]))
    vh, gvh = (t.narrow(-2, 0, k) for t in (out[2], g[2]))
    s, v, gv = out[1], mh(vh), mh(gvh)
    gaps = _gaps(_core.square(s))
    row, column = s.unsqueeze(-2), s.unsqueeze(-1)
    turned = _skew(mh(u) @ gu)
    inner = turned / gaps * row + column * (_skew(mh(v) @ gv) / gaps)
    if a.dtype.is_complex:  # what a common phase of both vectors leaves on the diagonal
        inner = _off_diagonal(inner) + identity(k, turned) * turned / (2 * row)
    ga: Tensor = u @ (inner + identity(k, s) * g[1].unsqueeze(-2)) @ vh
    if m > k:
        scaled = gu / row
        ga = ga + (scaled - u @ (mh(u) @ scaled)) @ vh
    if n > k:
        scaled = gvh / column
        ga = ga + u @ (scaled - (scaled @ v) @ vh)
    return ga


@array_op(_svd_rule, batch=stacked)
@raising("svd", "The algorithm failed to converge")
def _svd(xp: Any, a: Any, full: bool) -> Any:
    return tuple(xp.linalg.svd(a, full_matrices=full))


@op("N(3, 3)", "N(4, 2), False", "N(2, 3, 4), False", tolerance=1e-10, peer="")
def svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> SVD:
    """(U, S, Vh) with A = U diag(S) Vh and S descending; square U and Vh if ``full_matrices``.

    Columns of U are determined but for their sign or phase; so only gradients of what does not depend on it make sense,
    and those of the columns beyond the singular values are not taken into account.
    """
    matrices("svd", A)
    return SVD(*_svd.many(A, full_matrices))


@op("N(3, 4)", "N(2, 4, 2)", "X(3, 2)", reference="lambda x: np.linalg.svd(x, compute_uv=False)", tolerance=1e-10,
    autocast={"cpu": "wide"})  # fmt: skip
def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """The singular values, descending."""
    return svd(A, full_matrices=False).S


def tolerance(s: Tensor, shape: tuple[int, ...], atol: Any, rtol: Any) -> Tensor:
    """The size below which singular values count as 0: PyTorch's default, or what is given."""
    largest = _core.amax(s, -1, True) if s.shape[-1] else s
    default = finfo(s.dtype).eps * max(shape[-2:]) if atol is None else 0.0
    relative = largest * (default if rtol is None else rtol)
    return relative if atol is None else _core.maximum(relative, atol)


@op("N(4, 2)", "N(2, 3)", "N(2, 3, 3)", "X(3, 2)", "H(3, 3).detach(), hermitian=True",
    reference="lambda x, **k: np.linalg.pinv(x)", tolerance=1e-10)  # fmt: skip
def pinv(
    A: Tensor, *, atol: float | None = None, rtol: float | None = None, hermitian: bool = False
) -> Tensor:  # fmt: skip
    """The pseudo-inverses of matrices; singular values up to ``rtol`` times the greatest (or ``atol``) count as 0.

    ``hermitian`` ones are taken apart by `eigh`, of the lower triangle.
    """
    matrices("pinv", A)
    if A.numel() == 0:
        return A.transpose(-2, -1) * 1
    if hermitian:
        square("pinv", A)
    return _pinv(A, atol, rtol, hermitian)


def _pinv_rule(g: Tensor, p: Tensor, a: Tensor, atol: Any, rtol: Any, hermitian: bool) -> Tensor:
    """Golub and Pereyra's formula (1973), for constant rank."""
    gh, ph = mh(g), mh(p)
    through = ph @ g @ ph
    left = (gh - a @ (p @ gh)) @ p @ ph
    right = ph @ p @ (gh - (gh @ p) @ a)
    return left + right - through


@array_op(_pinv_rule, batch=stacked)
@raising("pinv", "The algorithm failed to converge")
def _pinv(xp: Any, a: Any, atol: Any, rtol: Any, hermitian: bool) -> Any:
    if hermitian:
        values, u = xp.linalg.eigh(a)
        s, vh = xp.abs(values), xp.where(values < 0, -1, 1)[..., None] * xp.conj(u).swapaxes(-1, -2)
    else:
        u, s, vh = xp.linalg.svd(a, full_matrices=False)
    default = xp.finfo(s.dtype).eps * max(a.shape[-2:]) if atol is None else 0.0
    least = xp.maximum(
        s.max(axis=-1, keepdims=True) * (default if rtol is None else rtol), 0.0 if atol is None else atol
    )
    inverse = xp.where(s > least, 1 / xp.where(s > least, s, 1), 0)
    return xp.matmul(xp.conj(vh).swapaxes(-1, -2) * inverse[..., None, :], xp.conj(u).swapaxes(-1, -2))
