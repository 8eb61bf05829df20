"""Norms, condition and rank of vectors and matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from wootz import _core
from wootz._core import Tensor, dtype
from wootz.errors import ShapeError
from wootz.linalg.checks import matrices, square
from wootz.linalg.spectrum import svdvals, tolerance
from wootz.linalg.system import inv
from wootz.ops import composite, products
from wootz.ops.array_op import need_floating, wrapped
from wootz.ops.database import op

__all__ = ["cond", "cross", "matrix_norm", "matrix_rank", "norm", "vector_norm"]

Dim = int | Sequence[int] | None


@op("N(2, 3)", "N(2, 3), 1, 1", "N(2, 3), inf, 0, True", "N(2, 3), 3, (0, 1)", "N(3), -inf", "C(3), 0", "Z(3, 2), 2, 1",
    "P(2, 3), 0.5, 1", "N()", autocast={"cuda": "wide"})  # fmt: skip
def vector_norm(
    x: Tensor, ord: float = 2, dim: Dim = None, keepdim: bool = False, *, dtype: dtype | None = None
) -> Tensor:  # fmt: skip
    """The norm of the elements over ``dim`` as a vector: (sum of |x|**ord) ** (1 / ord), or the extremum for inf."""
    need_floating("linalg.vector_norm", x)
    return composite.norm(x if dtype is None else x.to(dtype), ord, dim, keepdim)


def _summed_extremum(x: Tensor, ord: float, rows: int, columns: int) -> Tensor:
    """The greatest (or smallest) sum of columns (ord 1) or rows (ord inf), both dimensions kept."""
    over, other = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = _core.sum(_core.abs(x), over, True)
    return _core.amax(sums, other, True) if ord > 0 else _core.amin(sums, other, True)


@op("N(2, 3)", "N(2, 3, 4), 'fro', (0, 2)", "N(2, 3), 'nuc'", "N(2, 3), 1", "N(2, 3), -1", "N(2, 3), inf",
    "N(2, 3), -inf", "N(2, 3), 2", "N(3, 3), -2", "N(2, 3, 4), 1, (-1, 0), True", tolerance=1e-10,
    autocast={"cuda": "wide"})  # fmt: skip
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *, dtype: dtype | None = None
) -> Tensor:
    """The norm of the matrices in two dimensions: fro, nuc, inf, -inf, 1, -1, 2 or -2."""
    if A.dim() < 2:
        raise ShapeError(f"linalg.matrix_norm: The input tensor A must have at least 2 dimensions, found {A.shape}")
    need_floating("linalg.matrix_norm", A)
    x = A if dtype is None else A.to(dtype)
    rows, columns = (wrapped("linalg.matrix_norm", d, A.dim()) for d in dim)
    if ord == "fro":
        return composite.norm(x, 2, (rows, columns), keepdim)
    if ord in (1, -1, math.inf, -math.inf):
        found = _summed_extremum(x, ord, rows, columns)
    elif ord in (2, -2, "nuc"):
        s = svdvals(composite.movedim(x, (rows, columns), (-2, -1)))
        size = _core.sum(s, -1) if ord == "nuc" else _core.amax(s, -1) if ord == 2 else _core.amin(s, -1)
        found = size.reshape([1 if d in (rows, columns) else n for d, n in enumerate(x.shape)])
    else:
        raise ValueError(f"linalg.matrix_norm: Order {ord} not supported")
    return found if keepdim else found.squeeze((rows, columns))


@op("N(2, 3)", "N(2, 3), 'nuc'", "N(2, 3), 2, 1", "N(2, 3), 1, (0, 1)", "N(4), 1", "N(2, 3, 4)", tolerance=1e-10)
def norm(
    A: Tensor, ord: Any = None, dim: Dim = None, keepdim: bool = False, *, dtype: dtype | None = None
) -> Tensor:  # fmt: skip
    """`vector_norm` or `matrix_norm`, by ``ord`` and ``dim``: without both, the 2-norm of all elements."""
    pair = not isinstance(dim, int) and dim is not None and len(dim) == 2
    if ord is not None and (pair or (dim is None and A.dim() == 2)):
        return matrix_norm(A, ord, (-2, -1) if dim is None or isinstance(dim, int) else dim, keepdim, dtype=dtype)
    if isinstance(ord, str) or (ord is not None and dim is None and A.dim() != 1):
        raise ShapeError(f"linalg.norm: with ord={ord!r} expected dim, or a vector or a matrix, found {A.shape}")
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


@op("N(3, 3)", "N(3, 3), 1", "N(3, 3), 'fro'", "N(2, 3, 3), inf", "N(4, 2), 2", "N(4, 2), -2", tolerance=1e-9,
    autocast={"cpu": "wide"})  # fmt: skip
def cond(A: Tensor, p: Any = None) -> Tensor:
    """How much relative errors of a system with these matrices may grow, in the norm ``p`` (default 2)."""
    if p in (None, 2, -2):
        matrices("cond", A)
        s = svdvals(A)
        most, least = s.select(-1, 0), s.select(-1, s.shape[-1] - 1)
        return least / most if p == -2 else most / least
    square("cond", A)
    return matrix_norm(A, p) * matrix_norm(inv(A), p)


@op("N(3, 4)", "N(2, 3, 3)", "wootz.ones(3, 3)", differentiable=False, reference="np.linalg.matrix_rank")
def matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None
) -> Tensor:  # fmt: skip
    """How many singular values exceed ``atol`` and ``rtol`` times the greatest."""
    matrices("matrix_rank", A)
    s = svdvals(A.detach())
    return _core.sum(s > tolerance(s, A.shape, tol if tol is not None else atol, rtol), -1)


def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross product along a dimension of size 3."""
    return products.cross(input, other, dim)
