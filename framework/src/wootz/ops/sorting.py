"""Order: sorting, selecting by rank, sets, and searching in what is sorted."""

from __future__ import annotations

from typing import Any, NamedTuple

from wootz import _core
from wootz._core import Tensor
from wootz.errors import DTypeError, ShapeError
from wootz.ops.array_op import array_op, filled, floating, need_integers, promoted, wrapped, zeros
from wootz.ops.composite import Indexed
from wootz.ops.cumulative import diff
from wootz.ops.database import op

__all__ = [
    "argsort", "bincount", "bucketize", "histc", "histogram", "isin", "kthvalue", "median", "mode", "msort",
    "nanmedian", "nanquantile", "quantile", "searchsorted", "sort", "topk", "unique", "unique_consecutive",
]  # fmt: skip


@op("N(3, 4)", "N(3, 4), 0, True", "D(2, 5), stable=True", "N()", "N(0, 3), 0", "T(3, 4), 1",
    reference="lambda x, dim=-1, down=False, stable=False: "
    "np.argsort(-x if down else x, dim, kind='stable') if x.ndim else np.int64(0)", differentiable=False)  # fmt: skip
def argsort(self: Tensor, dim: int = -1, descending: bool = False, stable: bool = False) -> Tensor:
    """The indices that sort along ``dim``; NaN counts as the greatest, ``stable`` keeps the order of equal elements."""
    return _core.order(self, wrapped("argsort", dim, self.dim()), descending)


@op("N(3, 4)", "N(3, 4), 0, True", "D(2, 5), stable=True", "N()", "N(0, 3), 0", "T(3, 4), 1", "S(3, 4)")
def sort(self: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Indexed:
    """(values, indices) in order along ``dim``; see `argsort`."""
    dim = wrapped("sort", dim, self.dim())
    order = _core.order(self, dim, descending)
    return Indexed(_core.gather(self, dim, order) if self.dim() else self.clone(), order)


@op("N(3, 4)", "N()", reference="lambda x: np.sort(x, 0) if x.ndim else x")
def msort(self: Tensor) -> Tensor:
    """The elements in order along the first dimension."""
    return sort(self, 0).values


@op("N(3, 5), 2", "N(5, 3), 2, 0, False", "N(3, 4), 4", "N(3, 4), 0", "N(), 1", "S(3, 4), 2")
def topk(self: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Indexed:
    """(values, indices) of the k greatest (or smallest) elements along ``dim``. Raises `ShapeError` if k is too big."""
    dim = wrapped("topk", dim, self.dim())
    if not 0 <= k <= (self.shape[dim] if self.dim() else 1):
        raise ShapeError(
            f"topk: k={k} is not between 0 and the {self.size(dim) if self.dim() else 1} elements of dim {dim}"
        )
    if self.dim() == 0:
        return Indexed(self.clone(), _core.order(self, 0))
    where = _core.top(self, k, dim, largest)
    return Indexed(_core.gather(self, dim, where), where)


def _picked(self: Tensor, where: Tensor, dim: int, keepdim: bool) -> Indexed:
    values = _core.gather(self, dim, where)
    return Indexed(values, where) if keepdim else Indexed(values.squeeze(dim), where.squeeze(dim))


def _row(op: str, self: Tensor, dim: int, keepdim: bool) -> tuple[Tensor, int, bool]:
    """Self with a dimension to choose from; 0-d tensors get one that is taken away again."""
    dim = wrapped(op, dim, self.dim())
    if self.dim() == 0:
        return self.reshape((1,)), 0, False
    if self.shape[dim] == 0:
        raise IndexError(f"{op}(): expected reduction dim {dim} to have non-zero size.")
    return self, dim, keepdim


@op("N(3, 5), 2", "N(5, 3), 4, 0, True", "N(), 1")
def kthvalue(self: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Indexed:
    """(values, indices) of the k-th smallest element along ``dim``, counted from 1."""
    x, dim, keepdim = _row("kthvalue", self, dim, keepdim)
    if not 1 <= k <= x.shape[dim]:
        raise ShapeError(f"kthvalue: k={k} is not between 1 and the {x.shape[dim]} elements of dim {dim}")
    return _picked(x, _core.kth(x, k - 1, dim), dim, keepdim)


def _median(op: str, self: Tensor, dim: int | None, keepdim: bool) -> Any:
    ignore = op == "nanmedian"
    if dim is None:
        if self.numel() == 0:
            return _core.full((), float("nan"), self.dtype)
        x = self.reshape((-1,))
        return _core.gather(x, 0, _core.middle(x, 0, ignore)).squeeze(0)
    x, dim, keepdim = _row(op, self, dim, keepdim)
    return _picked(x, _core.middle(x, dim, ignore), dim, keepdim)


@op("N(3, 4)", "N(3, 5), 1", "N(4, 3), 0, True", "N()")
def median(self: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower median of all elements, or (values, indices) along ``dim``; NaN where there is one."""
    return _median("median", self, dim, keepdim)


@op("N(3, 4)", "N(3, 5), 1", "wootz.tensor([[1.0, nan, 3.0], [nan] * 3]), 1")
def nanmedian(self: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of the elements that are not NaN."""
    return _median("nanmedian", self, dim, keepdim)


@op("D(3, 6)", "D(6, 3), 0, True", "N(3, 1)")
def mode(self: Tensor, dim: int = -1, keepdim: bool = False) -> Indexed:
    """(values, indices) of the most frequent element along ``dim``, the smallest of several, at its last place."""
    x, dim, keepdim = _row("mode", self, dim, keepdim)
    return _picked(x, _core.commonest(x, dim), dim, keepdim)


def _between(interpolation: str, below: Tensor, above: Tensor, part: Tensor) -> Tensor:
    if interpolation == "linear":
        return _core.lerp(below, above, part)
    if interpolation == "midpoint":
        return _core.where(part > 0, (below + above) / 2, below)
    if interpolation == "nearest":  # to even ranks, as round() does: the caller rounded
        return below
    raise ValueError(f"quantile: interpolation is linear, lower, higher, midpoint or nearest, not {interpolation!r}")


def _quantile(op: str, self: Tensor, q: Any, dim: int | None, keepdim: bool, interpolation: str) -> Tensor:
    if not self.dtype.is_floating_point:
        raise DTypeError(f"{op}() input tensor must be either float or double dtype, not {self.dtype.name}")
    x = self.reshape((-1,)) if dim is None else self.movedim(wrapped(op, dim, self.dim()), -1) if self.dim() else self
    x = x.reshape((1,)) if x.dim() == 0 else x
    if x.shape[-1] == 0:
        raise ShapeError(f"{op}() input tensor must be non-empty")
    ranks = (q if isinstance(q, Tensor) else _core.full((), q, self.dtype)).to(self.device)
    if ranks.dim() > 1 or not bool(_core.all((ranks >= 0) & (ranks <= 1))):
        raise ValueError(f"{op}() q must be a number or a 1-D tensor of numbers in [0, 1]")
    missing = _core.sum(_core.isnan(x), -1, True)
    top = x.shape[-1] - 1
    last = (top - missing).clamp(min=0) if op == "nanquantile" else missing * 0 + top
    place = ranks.reshape((-1,)) * last.to(self.dtype)
    if op == "quantile":
        place = _core.where(missing > 0, float(top), place)  # NaN is sorted to the end
    rounding = {"lower": _core.floor, "higher": _core.ceil, "nearest": _core.round}.get(interpolation)
    if rounding:
        place, interpolation = rounding(place), "nearest"
    low = _core.floor(place)
    ordered = sort(x).values
    below, above = (_core.gather(ordered, -1, rank.to(_core.int64)) for rank in (low, _core.ceil(place)))
    found = _between(interpolation, below, above, place - low)
    shape = [1] * self.dim() if dim is None else list(self.shape)
    if dim is not None and self.dim():
        shape[dim] = 1
    found = found.movedim(-1, 0)
    if keepdim:
        found = found.reshape((found.shape[0], *shape))
    elif dim is None:
        found = found.reshape((-1,))
    return found if ranks.dim() else found.squeeze(0)


@op("N(3, 5), 0.3", "N(3, 5), wootz.tensor([0.1, 0.5, 1.0], dtype=wootz.float64), 1", "N(4, 3), 0.6, 0, True",
    "N(), 0.5",
    "N(2, 6), 0.35, 1, interpolation='lower'", "N(2, 6), 0.35, 1, interpolation='midpoint'",
    "N(2, 6), 0.35, 1, interpolation='nearest'", "N(2, 6), 0.35, 1, interpolation='higher'",
    reference="lambda x, q, dim=None, keepdim=False, interpolation='linear': "
    "np.quantile(x, q, axis=dim if x.ndim else None, keepdims=keepdim, method=interpolation)",
    autocast={"cpu": "wide"})  # fmt: skip
def quantile(
    self: Tensor, q: float | Tensor, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """The value below which the share q of the elements lies (over ``dim``, or all); NaN where there is one.

    ``q`` is a number, or a 1-D tensor, which gives a first dimension. ``interpolation`` between two elements is linear,
    lower, higher, midpoint or nearest.
    """
    return _quantile("quantile", self, q, dim, keepdim, interpolation)


@op("N(3, 5), 0.3", "wootz.tensor([[1.0, nan, 3.0, 2.5], [0.5] * 4]), 0.4, 1", autocast={"cpu": "wide"})
def nanquantile(
    self: Tensor, q: float | Tensor, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Tensor:
    """`quantile` of the elements that are not NaN."""
    return _quantile("nanquantile", self, q, dim, keepdim, interpolation)


@array_op()
def _unique(xp: Any, x: Any, dim: int | None) -> Any:
    keywords = {} if dim is not None else {"equal_nan": False}
    values, inverse, counts = xp.unique(x, return_inverse=True, return_counts=True, axis=dim, **keywords)
    return values, inverse.reshape(x.shape if dim is None else (-1,)), counts


def _asked(*found: Tensor | None) -> Any:
    wanted = tuple(t for t in found if t is not None)
    return wanted if len(wanted) > 1 else wanted[0]


def _numbers(starts: Tensor, size: int) -> Tensor:
    """The number of the run that each of ``size`` elements is in, from 0 on."""
    return _core.running_sum(_core.index_add(zeros(starts, (size,)), 0, starts, filled(starts, starts.shape, 1)), 0) - 1


def _lengths(starts: Tensor, size: int) -> Tensor:
    return diff(starts, append=filled(starts, (1,), size))


@op("D(3, 4)", "D(3, 4), return_inverse=True, return_counts=True", "D(6, 2), dim=0", "C(0)", differentiable=False)
def unique(
    self: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The different elements (or slices of ``dim``) in order; also where each element went, and their counts."""
    x = self.detach()
    if dim is not None or x.dtype.is_complex:
        place = None if dim is None else wrapped("unique", dim, self.dim())
        values, inverse, counts = _unique.many(x, place)
        return _asked(values, inverse if return_inverse else None, counts if return_counts else None)
    x, size = x.reshape((-1,)), x.numel()
    order = _core.order(x, 0)
    x = _core.gather(x, 0, order)
    starts = _core.runs(x)
    return _asked(
        _core.index_select(x, 0, starts),
        _core.index_put(order, [order], _numbers(starts, size)).reshape(self.shape) if return_inverse else None,
        _lengths(starts, size) if return_counts else None,
    )


@op("D(12)", "D(3, 4), return_inverse=True, return_counts=True", "D(6, 2), dim=0", "D(2, 6), dim=1", "C(0)",
    differentiable=False)  # fmt: skip
def unique_consecutive(
    self: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements (or slices of ``dim``) without those that repeat the one before; see `unique`."""
    place = 0 if dim is None else wrapped("unique_consecutive", dim, self.dim())
    x = self.detach().reshape((-1,)) if dim is None or self.dim() == 0 else self.detach()
    size, starts = x.shape[place], _core.runs(x.movedim(place, 0) if place else x)
    return _asked(
        _core.index_select(x, place, starts),
        _numbers(starts, size).reshape(self.shape if dim is None else (-1,)) if return_inverse else None,
        _lengths(starts, size) if return_counts else None,
    )


@op("wootz.tensor([0.0, 0.5, 1.0]), C(2, 3)", "C(2, 5).sort().values, C(2, 3), right=True",
    "wootz.tensor([1.0, 2.0]), 1.5",
    "wootz.tensor([[1, 1, 4], [2, 5, 5]]), wootz.tensor([[1, 4], [5, 9]]), side='right'",
    differentiable=False)  # fmt: skip
def searchsorted(
    sorted_sequence: Tensor, input: Tensor | float, *, out_int32: bool = False, right: bool = False,
    side: str | None = None, sorter: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Where elements go in sorted rows: before equal ones, or behind them with ``right``.

    ``sorted_sequence`` is 1-D, or has input's leading dimensions. Raises `ShapeError` if it has neither.
    """
    if sorter is not None:
        sorted_sequence = _core.gather(sorted_sequence, -1, sorter)
    bounds, x = promoted(sorted_sequence, input)
    if bounds.dim() != 1 and bounds.shape[:-1] != x.shape[:-1]:
        raise ShapeError(
            f"searchsorted: expected a 1-D sequence or one of leading shape {x.shape[:-1]}, found {bounds.shape}"
        )
    if side not in (None, "left", "right") or (right and side == "left"):
        raise ValueError(
            f"searchsorted: side is 'left' or 'right' and agrees with right, found {side!r}, right={right}"
        )
    found = _core.search(bounds, x, right or side == "right")
    return found.to(_core.int32) if out_int32 else found


@op("C(2, 3), wootz.tensor([0.0, 0.5, 1.0])", "wootz.tensor([1, 2]), wootz.tensor([1, 2]), right=True",
    differentiable=False)  # fmt: skip
def bucketize(
    input: Tensor | float, boundaries: Tensor, *, out_int32: bool = False, right: bool = False
) -> Tensor:  # fmt: skip
    """The number of the interval between ``boundaries`` that each element lies in."""
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


@op("I(5, 3, 4), I(5, 3)", "I(5, 3), 2", "I(5, 4), I(5, 3), invert=True", differentiable=False)
def isin(
    elements: Tensor | float, test_elements: Tensor | float, *, assume_unique: bool = False, invert: bool = False
) -> Tensor:
    """Whether each element is among ``test_elements``."""
    x, test = promoted(elements, test_elements)
    test = test.reshape((-1,))
    if test.shape[0] == 0 or x.dtype.is_complex:
        found = _core.any(x.unsqueeze(-1) == test, -1)
    else:
        test = _core.gather(test, 0, _core.order(test, 0))
        place = _core.search(test, x).clamp(max=test.shape[0] - 1)
        found = _core.eq(_core.index(test, [place]), x)
    return _core.logical_not(found) if invert else found


@op("C(20), 5", "C(20), 4, -1, 1", "wootz.ones(3), 2", differentiable=False)
def histc(self: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements lie in each of ``bins`` equal parts of [min, max]; of their own range if both are 0."""
    if bins <= 0:
        raise ValueError(f"histc: bins must be > 0, got {bins}")
    x = floating(self).detach()
    if min == max == 0 and x.numel():
        min, max = x.amin().item(), x.amax().item()
    if min == max:
        min, max = min - 1, max + 1
    if not (min < max and abs(min) != float("inf") and abs(max) != float("inf")):
        raise ValueError(f"histc: expected finite min < max, found min={min}, max={max}")
    return _core.histc(x, bins, float(min), float(max))


class Histogram(NamedTuple):
    """How much falls between each two edges, and the edges."""

    hist: Tensor
    bin_edges: Tensor


@array_op()
def _histogram(xp: Any, x: Any, bins: Any, weight: Any, low: Any, high: Any, density: bool) -> Any:
    limits = None if low is None else (low, high)
    counts, edges = xp.histogram(x, bins=bins, range=limits, weights=weight, density=density)
    return counts.astype(x.dtype), edges.astype(x.dtype)


@op("C(20), 5", "C(20), 4, range=(-1.0, 1.0)", "C(20), wootz.tensor([-1.0, 0.0, 2.0], dtype=wootz.float64)",
    "C(9), 3, weight=C(9), density=True", differentiable=False)  # fmt: skip
def histogram(
    self: Tensor, bins: int | Tensor, *, range: tuple[float, float] | None = None, weight: Tensor | None = None,
    density: bool = False,
) -> Histogram:  # fmt: skip
    """(hist, bin_edges): as `histc`, with weights, a density, or edges given as ``bins``."""
    x = floating(self).detach().reshape((-1,))
    low, high = range or (None, None)
    weights = None if weight is None else weight.detach().reshape((-1,))
    if weights is not None and weights.shape != x.shape:
        raise ShapeError(f"histogram: weight has shape {weight.shape if weight is not None else ()}, self {self.shape}")
    return Histogram(*_histogram.many(x, bins, weights, low, high, density))


@op("I(5, 8)", "I(5, 8), minlength=9", "I(5, 8), C(8)", "I(5, 0)", differentiable=False)
def bincount(self: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each number from 0 on occurs in a vector of integers, or the sums of their ``weights``."""
    need_integers("bincount", self)
    if self.dim() != 1 or (weights is not None and weights.shape != self.shape):
        raise ShapeError(f"bincount: expected a vector and weights like it, found {self.shape} and "
                         f"{None if weights is None else weights.shape}")  # fmt: skip
    return _core.bincount(self, weights, minlength)
