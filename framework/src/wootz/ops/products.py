"""Products of vectors and matrices that are made of matmul."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache

from wootz import _core
from wootz._core import Tensor
from wootz.errors import ShapeError
from wootz.ops.array_op import wrapped
from wootz.ops.complex_numbers import conj
from wootz.ops.composite import bmm, broadcast_tensors, dot, mv, outer
from wootz.ops.database import op

__all__ = [
    "addbmm", "addmv", "addr", "baddbmm", "bilinear", "chain_matmul", "cross", "ger", "inner", "kron", "matrix_power",
    "vdot",
]  # fmt: skip


def _added(self: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    """beta * self + alpha * product; with beta 0, whatever self holds, NaN too, does not count."""
    if beta == 0:
        return (product * alpha).expand(_core.add(self.detach() * 0, product.detach()).shape)
    return _core.add(self if beta == 1 else self * beta, product, alpha=alpha)


@op("N(2, 3, 4), N(2, 3, 2), N(2, 2, 4)", "N(3, 4), N(2, 3, 2), N(2, 2, 4), beta=0.5, alpha=2", inplace=True,
    autocast="low")  # fmt: skip
def baddbmm(self: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * self + alpha * (batch1 @ batch2), matrix by matrix."""
    return _added(self, bmm(batch1, batch2), beta, alpha)


@op("N(3, 4), N(2, 3, 2), N(2, 2, 4)", "N(4), N(2, 3, 2), N(2, 2, 4), beta=0.5, alpha=2", inplace=True,
    autocast="low")  # fmt: skip
def addbmm(self: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * self + alpha * the sum of batch1 @ batch2 over the batch."""
    return _added(self, _core.sum(bmm(batch1, batch2), 0), beta, alpha)


@op("N(3), N(3, 2), N(2)", "N(3), N(3, 2), N(2), beta=0.5, alpha=2", inplace=True,
    autocast={"cpu": "same", "cuda": "low"})  # fmt: skip
def addmv(self: Tensor, mat: Tensor, vec: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * self + alpha * (mat @ vec)."""
    return _added(self, mv(mat, vec), beta, alpha)


@op("N(3, 2), N(3), N(2)", "N(3, 2), N(3), N(2), beta=0.5, alpha=2", inplace=True, autocast={"cuda": "low"})
def addr(self: Tensor, vec1: Tensor, vec2: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """beta * self + alpha * outer(vec1, vec2)."""
    return _added(self, outer(vec1, vec2), beta, alpha)


def ger(self: Tensor, vec2: Tensor) -> Tensor:
    """The outer product of two vectors."""
    return outer(self, vec2)


@op("N(3), N(3)", "N(0), N(0)", "X(3), X(3)", reference="np.vdot", autocast={"cpu": "same", "cuda": "widest"})
def vdot(self: Tensor, other: Tensor) -> Tensor:
    """The inner product of two vectors, the first one conjugated."""
    if self.dim() != 1 or self.shape != other.shape:
        raise ShapeError(f"vdot: expected two vectors of one size, found {self.shape} and {other.shape}")
    return _core.matmul(conj(self), other)


@op("N(2, 3), N(4, 3)", "N(3), N(3)", "N(), N(2)", "N(2, 2, 3), N(3)", reference="np.inner")
def inner(self: Tensor, other: Tensor) -> Tensor:
    """The products of the rows of one with the rows of the other."""
    if self.dim() == 0 or other.dim() == 0:
        return self * other
    if self.shape[-1] != other.shape[-1]:
        raise ShapeError(f"inner: the last dimensions need to match, found {self.shape} and {other.shape}")
    if self.dim() == other.dim() == 1:
        return dot(self, other)
    rows, columns = self.reshape((-1, self.shape[-1])), other.reshape((-1, other.shape[-1]))
    return _core.matmul(rows, columns.transpose(0, 1)).reshape((*self.shape[:-1], *other.shape[:-1]))


@op("N(2, 3), N(2, 2)", "N(2), N(3)", "N(2, 2, 2), N(2)", reference="np.kron")
def kron(self: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: other once for each element of self, times it."""
    n = max(self.dim(), other.dim())
    a, b = (t.reshape((*(1,) * (n - t.dim()), *t.shape)) for t in (self, other))
    spread = a.reshape([x for k in a.shape for x in (k, 1)]) * b.reshape([x for k in b.shape for x in (1, k)])
    return spread.reshape([x * y for x, y in zip(a.shape, b.shape, strict=True)])


@op(
    "N(2, 3), N(2, 3)",
    "N(3, 2), N(3, 2), 0",
    reference="lambda a, b, d=-1: np.cross(a, b, axis=d)",
    autocast={"cuda": "widest"},
)
def cross(self: Tensor, other: Tensor, dim: int | None = None) -> Tensor:
    """The cross product along a dimension of size 3: the one given, or the first."""
    a, b = broadcast_tensors(self, other)
    if dim is None:
        dim = next((d for d, n in enumerate(a.shape) if n == 3), -1)
    dim = wrapped("cross", dim, a.dim())
    if not a.dim() or a.shape[dim] != 3:
        raise ShapeError(f"cross: inputs dimension {dim} must have length 3, got {self.shape} and {other.shape}")
    (a0, a1, a2), (b0, b1, b2) = ([t.select(dim, i) for i in range(3)] for t in (a, b))
    return _core.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], dim)


def _best_order(sizes: tuple[int, ...]) -> dict[tuple[int, int], int]:
    """Where to cut each run of a chain of matrices sizes[i] by sizes[i + 1], by dynamic programming."""
    cuts: dict[tuple[int, int], int] = {}

    @cache
    def cost(i: int, j: int) -> int:
        if i == j:
            return 0
        options = [cost(i, k) + cost(k + 1, j) + sizes[i] * sizes[k + 1] * sizes[j + 1] for k in range(i, j)]
        cuts[i, j] = i + options.index(min(options))
        return min(options)

    cost(0, len(sizes) - 2)
    return cuts


def chain(op: str, tensors: Sequence[Tensor]) -> Tensor:
    """The product of matrices in the cheapest order; the first and the last may be vectors."""
    if not tensors:
        raise ValueError(f"{op}(): expected at least 1 tensor")
    if len(tensors) == 1:
        return tensors[0]
    mats = list(tensors)
    first, last = mats[0].dim() == 1, mats[-1].dim() == 1
    if first:
        mats[0] = mats[0].unsqueeze(0)
    if last:
        mats[-1] = mats[-1].unsqueeze(1)
    if any(m.dim() != 2 for m in mats) or any(a.shape[1] != b.shape[0] for a, b in itertools.pairwise(mats)):
        raise ShapeError(f"{op}(): expected matrices that can be multiplied, found {[t.shape for t in tensors]}")
    cuts = _best_order((mats[0].shape[0], *(m.shape[1] for m in mats)))

    def product(i: int, j: int) -> Tensor:
        return mats[i] if i == j else _core.matmul(product(i, cuts[i, j]), product(cuts[i, j] + 1, j))

    out = product(0, len(mats) - 1)
    out = out.squeeze(0) if first else out
    return out.squeeze(-1) if last else out


@op("N(2, 3), N(3, 4), N(4, 2)", "N(2, 3)", tolerance=1e-12, autocast={"cuda": "low"})
def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of matrices in the cheapest order."""
    return chain("chain_matmul", matrices)


@op("M(3, 3), 3", "M(2, 3, 3), 2", "C(3, 3), 0", "M(3, 3), -2", tolerance=1e-12,
    reference="lambda x, n: np.linalg.matrix_power(x, n)")  # fmt: skip
def matrix_power(self: Tensor, n: int) -> Tensor:
    """Square matrices multiplied n times by themselves; inverted where n is negative."""
    from wootz.linalg import inv

    if self.dim() < 2 or self.shape[-1] != self.shape[-2]:
        raise ShapeError(f"matrix_power: A must be batches of square matrices, found {self.shape}")
    if n < 0:
        return matrix_power(inv(self), -n)
    if n == 0:
        return self.detach() * 0 + _core.cast(_identity(self.shape[-1]), self.dtype).to(self.device)
    out, square = None, self
    while True:
        if n & 1:
            out = square if out is None else _core.matmul(out, square)
        n >>= 1
        if not n:
            break
        square = _core.matmul(square, square)
    assert out is not None
    return out if out is not self else self.clone()


def _identity(n: int) -> Tensor:
    ranks = _core.arange(0, n, 1, _core.int64)
    return ranks.unsqueeze(0) == ranks.unsqueeze(1)


@op("N(2, 3), N(2, 4), N(5, 3, 4)", "N(3), N(4), N(2, 3, 4), N(2)")
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input1ᵀ weight[k] input2 (+ bias[k]) for each k: (..., n), (..., m), (out, n, m) to (..., out)."""
    if weight.dim() != 3 or (input1.shape[-1], input2.shape[-1]) != weight.shape[1:] or (
        input1.shape[:-1] != input2.shape[:-1]
    ):  # fmt: skip
        raise ShapeError(f"bilinear: expected (..., n), (..., m) and (out, n, m), found {input1.shape}, {input2.shape} "
                         f"and {weight.shape}")  # fmt: skip
    lead, (out, n, m) = input1.shape[:-1], weight.shape
    count = math.prod(lead)
    half = _core.matmul(input1.reshape((count, n)), weight.permute((1, 0, 2)).reshape((n, out * m)))
    found = (half.reshape((count, out, m)) * input2.reshape((count, 1, m))).sum(2).reshape((*lead, out))
    return found if bias is None else found + bias
