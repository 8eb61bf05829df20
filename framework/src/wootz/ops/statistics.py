"""Reductions beyond the native table: moments, those that skip NaN, distances."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from wootz import _core
from wootz._core import Tensor, dtype
from wootz.errors import ShapeError
from wootz.ops.array_op import array_op, floating, need_floating, need_integers, wrapped, zeros
from wootz.ops.composite import norm, std
from wootz.ops.database import op

__all__ = [
    "cdist",
    "corrcoef",
    "count_nonzero",
    "cov",
    "dist",
    "hash_tensor",
    "histogramdd",
    "nanmean",
    "nansum",
    "pdist",
    "renorm",
    "std_mean",
    "trace",
    "var_mean",
]

Dim = int | Sequence[int] | None


def _filled(self: Tensor) -> Tensor:
    return _core.where(_core.isnan(self), 0.0, self) if self.dtype.is_floating_point else self


@op("N(2, 3)", "N(2, 3), 1", "wootz.tensor([[1.0, nan], [nan, 2.0]]), 0, True", "N()", "I(4, 3)",
    reference="lambda x, dim=None, keepdim=False: np.nansum(x, axis=dim, keepdims=keepdim)")  # fmt: skip
def nansum(self: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: dtype | None = None) -> Tensor:
    """The sum of the elements that are not NaN."""
    return _core.sum(_filled(self), dim, keepdim, dtype=dtype)


@op("N(2, 3)", "N(2, 3), 1", "wootz.tensor([[1.0, nan], [nan, 2.0]]), 0, True",
    reference="lambda x, dim=None, keepdim=False: np.nanmean(x, axis=dim, keepdims=keepdim)")  # fmt: skip
def nanmean(self: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: dtype | None = None) -> Tensor:
    """The mean of the elements that are not NaN."""
    need_floating("nanmean", self)
    count = _core.sum(_core.logical_not(_core.isnan(self)), dim, keepdim)
    return nansum(self, dim, keepdim, dtype=dtype) / count


@op("Z(2, 3)", "Z(2, 3), 0", "Z(2, 3, 2), (0, 1)", "B(3, 4), 1", differentiable=False,
    reference="lambda x, dim=None: np.count_nonzero(x, dim)")  # fmt: skip
def count_nonzero(self: Tensor, dim: Dim = None) -> Tensor:
    """How many elements are not 0, over ``dim``."""
    return _core.sum(_core.ne(self, 0), dim)


@op("N(2, 3)", "N(2, 3), 1", "N(2, 3), 0, correction=0, keepdim=True")
def var_mean(
    self: Tensor, dim: Dim = None, *, correction: float = 1, keepdim: bool = False
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The variance and the mean over ``dim``."""
    return _core.var(self, dim, correction=correction, keepdim=keepdim), _core.mean(self, dim, keepdim)


@op("N(2, 3)", "N(2, 3), 1", "N(2, 3), 0, correction=0, keepdim=True")
def std_mean(
    self: Tensor, dim: Dim = None, *, correction: float = 1, keepdim: bool = False
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The standard deviation and the mean over ``dim``."""
    return std(self, dim, correction=correction, keepdim=keepdim), _core.mean(self, dim, keepdim)


def _folded(x: Tensor) -> Tensor:
    """The exclusive or along the last dimension, halves at a time."""
    while (n := x.shape[-1]) > 1:
        half = n // 2
        both = _core.bitwise_xor(x.narrow(-1, 0, half), x.narrow(-1, half, half))
        x = _core.cat([both, x.narrow(-1, 2 * half, 1)], -1) if n % 2 else both
    return x


@op("C(2, 3)", "I(9, 2, 3), 1", "I(9, 2, 3), (0, 1), keepdim=True", "B(5)", differentiable=False)
def hash_tensor(self: Tensor, dim: Any = (), *, keepdim: bool = False, mode: int = 0) -> Tensor:
    """The exclusive or over ``dim`` of the elements' bits, as float64 or int64, in uint64; ``mode`` is 0."""
    if mode != 0:
        raise ValueError(f"hash_tensor: mode is 0, the exclusive or of all bits, not {mode}")
    kind = _core.float64 if self.dtype.is_floating_point else _core.int64
    dims = [dim] if isinstance(dim, int) else list(dim) or list(range(self.dim()))
    places = [wrapped("hash_tensor", d, self.dim()) for d in dims]
    kept = [d for d in range(self.dim()) if d not in places]
    bits = _core.bitcast(_core.cast(self.detach(), kind), _core.int64).permute([*kept, *places])
    rows = bits.reshape([*bits.shape[: len(kept)], math.prod(bits.shape[len(kept) :])])
    found = _folded(rows) if rows.shape[-1] else zeros(rows, (*rows.shape[:-1], 1))
    shape = [1 if d in places else n for d, n in enumerate(self.shape) if keepdim or d not in places]
    return _core.bitcast(found.reshape(shape), _core.uint64)


class HistogramDD(NamedTuple):
    """How many points fall into each box, and the edges along each coordinate."""

    hist: Tensor
    bin_edges: tuple[Tensor, ...]


@array_op()
def _histogramdd(xp: Any, x: Any, weight: Any, bins: Any, limits: Any, density: bool) -> Any:
    counts, edges = xp.histogramdd(x, bins=bins, range=limits, weights=weight, density=density)
    return (counts.astype(x.dtype), *(e.astype(x.dtype) for e in edges))


@op("C(9, 2), [3, 2]", "C(9, 2), 4, range=[-1.0, 1.0, -2.0, 2.0]", "C(9, 1), [3], weight=C(9), density=True",
    differentiable=False)  # fmt: skip
def histogramdd(
    self: Tensor, bins: Any, *, range: Sequence[float] | None = None, weight: Tensor | None = None,
    density: bool = False,
) -> HistogramDD:  # fmt: skip
    """(hist, bin_edges) of points in the last dimension: so many bins, one number or a coordinate each, or edges.

    ``range`` holds the least and the greatest value of each coordinate in turn.
    """
    points = floating(self).detach().reshape((-1, self.shape[-1]))
    limits = None if range is None else [tuple(range[i : i + 2]) for i in builtins.range(0, len(range), 2)]
    edges = bins if isinstance(bins, int) else [b if isinstance(b, int) else b.tolist() for b in bins]
    weights = None if weight is None else weight.detach().reshape((-1,))
    hist, *bounds = _histogramdd.many(points, weights, edges, limits, density)
    return HistogramDD(hist, tuple(bounds))


@op("N(3, 3)", "N(2, 3)", "I(4, 3, 3)", reference="np.trace", autocast={"cpu": "wide"})
def trace(self: Tensor) -> Tensor:
    """The sum of a matrix' diagonal."""
    if self.dim() != 2:
        raise ShapeError(f"trace: expected a matrix, but got tensor with dim {self.dim()}")
    return _core.sum(self.diagonal())


@op("N(3, 4)", "N(4)", "N(3, 4), correction=0", "N(3, 4), fweights=wootz.tensor([1, 2, 3, 1])",
    "N(3, 4), aweights=C(4).abs()",
    reference="lambda x, correction=1, fweights=None, aweights=None: "
    "np.cov(x, ddof=correction, fweights=fweights, aweights=aweights)")  # fmt: skip
def cov(self: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None) -> Tensor:
    """The covariances of variables (rows) over observations (columns), which may be counted or weighted."""
    if self.dim() > 2:
        raise ShapeError(f"cov(): expected input to have two or fewer dimensions but got an input with {self.dim()}")
    x = self.reshape((1, -1)) if self.dim() < 2 else self
    weights = None
    if fweights is not None:
        need_integers("cov", fweights)
        weights = fweights.to(x.dtype)
    if aweights is not None:
        weights = aweights if weights is None else weights * aweights
    total = float(x.shape[1]) if weights is None else _core.sum(weights)
    mean = _core.sum(x if weights is None else x * weights, 1, True) / total
    centred = x - mean
    degrees = total - correction
    if aweights is not None and weights is not None and correction:
        degrees = total - correction * _core.sum(weights * aweights) / total
    left = centred if weights is None else centred * weights
    return (_core.matmul(left, centred.transpose(0, 1)) / degrees).squeeze()


@op("N(3, 4)", "N(4)", reference="np.corrcoef", tolerance=1e-12)
def corrcoef(self: Tensor) -> Tensor:
    """The correlations of variables (rows) over observations (columns)."""
    c = cov(self)
    if c.dim() == 0:
        return c / c
    scale = _core.sqrt(c.diagonal())
    return (c / scale.unsqueeze(1) / scale.unsqueeze(0)).clamp(-1, 1)


@op(
    "N(3, 2), N(4, 2)",
    "N(2, 3, 2), N(2, 4, 2), 1",
    "N(3, 2), N(4, 2), inf",
    "N(3, 2), N(4, 2), 3",
    "C(3, 2), C(1, 2), 0",
    autocast="wide",
)
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances between each row of x1 and each row of x2: (..., n, d), (..., m, d) to (..., n, m)."""
    if x1.dim() < 2 or x2.dim() < 2 or x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"cdist: expected (..., n, d) and (..., m, d), found {x1.shape} and {x2.shape}")
    return norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


@op("N(4, 3)", "N(4, 2), 1")
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances between each two rows, as a vector."""
    n = input.shape[0]
    rows = [(i, j) for i in range(n) for j in range(i + 1, n)]
    if not rows:
        return input.reshape((-1,)).narrow(0, 0, 0)
    first, second = (_core.stack([_core.scalar(r[k]) for r in rows], 0).to(input.device) for k in (0, 1))
    return norm(_core.index_select(input, 0, first) - _core.index_select(input, 0, second), p, -1)


@op("N(2, 3), N(2, 3)", "N(2, 3), N(3), 1", "N(3), N(3), inf", autocast={"cuda": "wide"})
def dist(self: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """The p-norm of self - other."""
    return norm(self - other, p)


@op("N(3, 4), 2, 0, 1.0", "N(3, 4), 1, 1, 0.5", "N(2, 3, 2), inf, 0, 0.1", inplace=True, tolerance=1e-6,
    autocast={"cuda": "wide"})  # fmt: skip
def renorm(self: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Self with each slice of ``dim`` whose p-norm exceeds ``maxnorm`` scaled down to it."""
    if self.dim() < 2:
        raise ShapeError(f"renorm: input needs at least 2 dimensions, got {self.dim()} dimensions")
    dim = wrapped("renorm", dim, self.dim())
    others = [d for d in range(self.dim()) if d != dim]
    size = norm(floating(self), p, others, True)
    scale = _core.where(size > maxnorm, maxnorm / (size + 1e-7), 1.0)
    return self * scale
