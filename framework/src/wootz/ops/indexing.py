"""Writing to and reading from places named by indices or masks."""

from __future__ import annotations

import builtins
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.errors import ShapeError
from wootz.ops.array_op import along, array_op, need_integers, wrapped
from wootz.ops.composite import broadcast_tensors
from wootz.ops.database import op

__all__ = [
    "argwhere",
    "diagonal_scatter",
    "index_copy",
    "index_fill",
    "index_reduce",
    "masked_scatter",
    "masked_select",
    "nonzero_static",
    "put",
    "scatter",
    "scatter_reduce",
    "segment_reduce",
    "select_scatter",
    "slice_scatter",
    "take",
    "take_along_dim",
]


def _checked(op: str, self: Tensor, dim: int, index: Tensor, src: Tensor | None) -> int:
    """The dimension, counted from the front, of a scatter whose index fits."""
    need_integers(op, index)
    if index.dim() != self.dim() or (src is not None and src.dim() != self.dim()):
        raise ShapeError(f"{op}: index, source and self must have one number of dimensions, found {index.dim()}, "
                         f"{src.dim() if src is not None else '-'} and {self.dim()}")  # fmt: skip
    dim = wrapped(op, dim, self.dim())
    for d, n in enumerate(index.shape):
        if (src is not None and n > src.shape[d]) or (d != dim and n > self.shape[d]):
            raise ShapeError(f"{op}: index of shape {index.shape} is larger than self {self.shape} apart from "
                             f"dimension {dim}, or than the source {src.shape if src is not None else ''}")  # fmt: skip
    return dim


def _cut(src: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The corner of ``src`` that an index of this shape reads."""
    for d, n in enumerate(shape):
        if src.shape[d] != n:
            src = src.narrow(d, 0, n)
    return src


@op("N(3, 4), 1, wootz.tensor([[0, 3], [2, 1], [1, 0]]), N(3, 2)", "N(3, 4), 0, I(3, 2, 4), 0.5",
    "N(3, 4), 1, wootz.tensor([[0, 3], [2, 1], [1, 0]]), N(3, 4)",
    "N(3), 0, wootz.tensor([1, 1]), N(2), reduce='add'", "N(3), 0, wootz.tensor([1, 1]), 2.0, reduce='multiply'",
    "N(3, 4), 1, I(4, 0, 2), N(3, 2)", inplace=True)  # fmt: skip
def scatter(self: Tensor, dim: int, index: Tensor, src: Tensor | float, *, reduce: str | None = None) -> Tensor:
    """Self with ``src`` (a tensor or a number) written where ``index`` says along ``dim``; or added or multiplied.

    Of several writes to one place the last counts, and each gets that place's gradient, as in PyTorch. ``reduce`` is
    "add" or "multiply".
    """
    source = src if isinstance(src, Tensor) else _core.full((), src, self.dtype).to(self.device).expand(index.shape)
    dim = _checked("scatter", self, dim, index, source)
    if reduce is not None:
        kinds = {"add": "sum", "multiply": "prod"}
        if reduce not in kinds:
            raise ValueError(f"scatter: reduce argument must be either add or multiply, not {reduce!r}")
        return scatter_reduce(self, dim, index, source, kinds[reduce])
    if self.dim() == 0:
        return source.to(self.dtype).clone() if index.numel() else self.clone()
    return _core.put_along(self, dim, _core.cast(index, _core.int64), _cut(source, index.shape).to(self.dtype))


def _neutral(reduce: str, self: Tensor) -> float:
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    sign = 1 if reduce == "amin" else -1
    if self.dtype.is_floating_point:
        return sign * float("inf")
    bits = 8 * self.dtype.itemsize
    if not self.dtype.is_signed:
        return (1 << bits) - 1 if sign > 0 else 0
    return (1 << (bits - 1)) - 1 if sign > 0 else -(1 << (bits - 1))


def _combine(xp: Any, ufunc: Any, x: Any, index: Any, src: Any, dim: int) -> Any:
    out = x.copy()
    at = list(xp.indices(index.shape, sparse=True)) if index.ndim else [()]
    if index.ndim:
        at[dim] = index
    ufunc.at(out, tuple(at) if index.ndim else (), src)
    return out


@array_op(batch=along(3))
def _extreme(xp: Any, x: Any, index: Any, src: Any, dim: int, largest: bool) -> Any:
    return _combine(xp, xp.maximum if largest else xp.minimum, x, index, src, dim)


@op("N(3, 4), 1, I(4, 3, 2), N(3, 2), 'sum'", "N(3, 4), 1, I(4, 3, 6), N(3, 6), 'prod'",
    "N(3, 4), 1, I(4, 3, 6), N(3, 6), 'mean'", "N(3, 4), 1, I(4, 3, 6), N(3, 6), 'amax'",
    "N(3, 4), 1, I(4, 3, 6), N(3, 6), 'amin', include_self=False",
    "N(3, 4), 0, I(3, 5, 4), N(5, 4), 'sum', include_self=False",
    "N(3, 4), 0, I(3, 5, 4), N(5, 4), 'mean', include_self=False", inplace=True)  # fmt: skip
def scatter_reduce(
    self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Combines the elements of ``src`` that go to one place, and what is there if ``include_self``.

    ``reduce`` is sum, prod, mean, amax or amin. Where several are the extremum, they share the gradient.
    """
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise ValueError(f"scatter_reduce: reduce is sum, prod, mean, amax or amin, not {reduce!r}")
    dim = _checked("scatter_reduce", self, dim, index, src)
    src = _cut(src, index.shape)
    base = self if include_self else scatter(self, dim, index, _neutral(reduce, self))
    if reduce == "sum":
        return _core.scatter_add(base, dim, index, src)
    if reduce == "mean":
        count = _crowd(base, dim, index, include_self)
        total = _core.scatter_add(base, dim, index, src)
        return total / count if self.dtype.is_floating_point else _core.floor_divide(total, count)
    if reduce == "prod":
        return _product(base, index, src, dim)
    return _extremum(base, dim, index, src, reduce)


def _crowd(base: Tensor, dim: int, index: Tensor, include_self: bool) -> Tensor:
    """How many elements come together at each place, at least 1."""
    ones = _core.full(index.shape, 1, base.dtype).to(base.device)
    start = _core.full(base.shape, 1 if include_self else 0, base.dtype).to(base.device)
    return _core.scatter_add(start, dim, index, ones).clamp(min=1)


def _product_without(g: Tensor, x: Tensor, index: Tensor, src: Tensor, dim: int) -> Tensor:
    """The product without each factor: by division, or where there is one zero, without that zero."""
    zero = src == 0
    filled = _core.where(zero, 1.0, src)
    others = _product(x, index, filled, dim)
    zeros_at = _core.scatter_add(x.detach() * 0, dim, index, zero.to(x.dtype))
    count, product, upstream = (_core.gather(t, dim, index) for t in (zeros_at, others, g))
    alone = _core.where(zero, (count == 1).to(x.dtype), (count == 0).to(x.dtype))
    return upstream * product / filled * alone


def _product_rule(g: Tensor, out: Tensor, x: Tensor, index: Tensor, src: Tensor, dim: int) -> Tensor:
    return g * _product(x.detach() * 0 + 1, index, src, dim)


@array_op(
    _product_rule, None, lambda g, out, x, index, src, dim: _product_without(g, x, index, src, dim), batch=along(3)
)
def _product(xp: Any, x: Any, index: Any, src: Any, dim: int) -> Any:
    return _combine(xp, xp.multiply, x, index, src, dim)


def _extremum(base: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str) -> Tensor:
    """The extremum's value, through those that equal it: they share what is constant to the tape."""
    best = _extreme(base.detach(), index, src.detach(), dim, reduce == "amax")
    if not (base.requires_grad or src.requires_grad):
        return best
    mine = (base == best).to(base.dtype)
    theirs = (src == _core.gather(best, dim, index)).to(base.dtype)
    share = 1 / _core.scatter_add(mine, dim, index, theirs).clamp(min=1)
    through = _core.where(mine != 0, base * share, 0.0)
    source = _core.where(theirs != 0, src * _core.gather(share, dim, index), 0.0)
    return _core.scatter_add(through, dim, index, source)


def _rows(op: str, self: Tensor, dim: int, index: Tensor, source: Tensor | None) -> int:
    need_integers(op, index)
    dim = wrapped(op, dim, self.dim())
    if index.dim() > 1:
        raise ShapeError(f"{op}: index is supposed to be a vector, found shape {index.shape}")
    if source is not None and self.dim() and source.dim() == self.dim():
        expected = (*self.shape[:dim], index.numel(), *self.shape[dim + 1 :])
        if source.shape != expected:
            raise ShapeError(f"{op}: expected a source of shape {expected}, found {source.shape}")
    return dim


def _along(index: Tensor, self: Tensor, dim: int) -> list[Tensor | None]:
    if bool(_core.any((index < -self.shape[dim]) | (index >= self.shape[dim]))):
        raise IndexError(f"index out of range for dimension {dim} of size {self.shape[dim]}")
    return [None] * dim + [index.to(_core.int64).reshape((-1,))]


@op("N(4, 3), 0, wootz.tensor([2, 0]), N(2, 3)", "N(3, 4), 1, wootz.tensor([3, 1]), N(3, 2)",
    "N(3, 4), -1, wootz.tensor([3, 1]), N(3, 2)", inplace=True, autocast={"cpu": "widest"})  # fmt: skip
def index_copy(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """Self with slices of ``dim`` replaced by those of ``source``."""
    dim = _rows("index_copy", self, dim, index, source)
    return _core.index_put(self, _along(index, self, dim), source)


@op("N(4, 3), 0, wootz.tensor([2, 0]), 1.5", "N(3, 4), 1, wootz.tensor([3, 1]), N()", inplace=True)
def index_fill(self: Tensor, dim: int, index: Tensor, value: Tensor | float) -> Tensor:
    """Self with slices of ``dim`` filled with one value."""
    dim = _rows("index_fill", self, dim, index, None)
    filled = value if isinstance(value, Tensor) else _core.full((), value, self.dtype).to(self.device)
    if filled.dim():
        raise ShapeError(f"index_fill_ only supports a 0-dimensional value tensor, but got {filled.dim()} dimensions")
    return _core.index_put(self, _along(index, self, dim), filled.to(self.dtype))


@op("N(4, 3), 0, wootz.tensor([2, 0, 2]), N(3, 3), 'prod'", "N(4, 3), 0, wootz.tensor([2, 0, 2]), N(3, 3), 'mean'",
    "N(4, 3), 0, wootz.tensor([2, 0, 2]), N(3, 3), 'amax', include_self=False", inplace=True)  # fmt: skip
def index_reduce(
    self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """`scatter_reduce` of whole slices of ``dim``."""
    dim = _rows("index_reduce", self, dim, index, source)
    shape = [1] * self.dim()
    shape[dim] = index.numel()
    spread = index.to(_core.int64).reshape(shape).expand(source.shape)
    return scatter_reduce(self, dim, spread, source, reduce, include_self=include_self)


@op("N(3, 4), B(3, 4)", "N(3, 4), B(4)", "N(4), B(3, 4)", "N(), wootz.tensor(True)", "N(), wootz.tensor(False)")
def masked_select(self: Tensor, mask: Tensor) -> Tensor:
    """The elements where ``mask`` holds, as a vector; both are broadcast."""
    shape = _joint(self, mask) or (1,)
    return _core.index(self.expand(shape), [mask.expand(shape)]).reshape((-1,))


def _joint(a: Tensor, b: Tensor) -> tuple[int, ...]:
    return broadcast_tensors(a, b)[0].shape


@op("N(3, 4), B(3, 4), N(12)", "N(3, 4), B(4), N(3, 4)", "N(), wootz.tensor(False), N(2)", inplace=True)
def masked_scatter(self: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """Self with the elements of ``source``, in order, where ``mask`` holds. Raises `ShapeError` if they are too few."""
    if self.dim() == 0:
        return masked_scatter(self.reshape((1,)), mask, source).reshape(())
    mask = mask.expand(self.shape)
    count = int(_core.sum(mask).item())
    if source.numel() < count:
        raise ShapeError(f"masked_scatter: expected self and source to have enough elements: {count} places, "
                         f"{source.numel()} elements")  # fmt: skip
    return _core.index_put(self, [mask], source.reshape((-1,)).narrow(0, 0, count))


@op("N(3, 4), I(12, 5)", "N(3, 4), I(12, 2, 2)", "N(), wootz.tensor(0)", "T(3, 4), I(12, 5)")
def take(self: Tensor, index: Tensor) -> Tensor:
    """The elements at places counted through self as if it were a vector."""
    need_integers("take", index)
    if self.numel() == 0 and index.numel():
        raise IndexError("take(): tried to take from an empty tensor")
    return _core.index(self.reshape((-1,)), [index.to(_core.int64)])


@op("N(3, 4), wootz.tensor([5, 0]), N(2)", "N(3, 4), wootz.tensor([5, 0]), N(2), accumulate=True", inplace=True)
def put(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """Self with ``source`` written to (or added at) places counted through self as if it were a vector."""
    need_integers("put", index)
    if index.numel() != source.numel():
        raise ShapeError(f"put_: expected as many indices as elements, found {index.numel()} and {source.numel()}")
    flat, where = self.reshape((-1,)), index.to(_core.int64).reshape((-1,))
    return _core.index_put(flat, [where], source.reshape((-1,)), accumulate).reshape(self.shape)


@op("N(3, 4), I(4, 3, 2), 1", "N(3, 4), I(4, 1, 2), 1", "N(3, 4), I(12, 5)")
def take_along_dim(self: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """`gather` with an index that is broadcast along the other dimensions; without ``dim``, `take`."""
    need_integers("take_along_dim", indices)
    if dim is None:
        return take(self, indices).reshape((-1,))
    if indices.dim() != self.dim():
        raise ShapeError(f"take_along_dim: input and indices should have the same number of dimensions, but got "
                         f"{self.dim()} and {indices.dim()}")  # fmt: skip
    dim = wrapped("take_along_dim", dim, self.dim())
    others = _joint(self.select(dim, 0), indices.select(dim, 0))
    spread = [(*others[:dim], t.shape[dim], *others[dim:]) for t in (self, indices)]
    return _core.gather(self.expand(spread[0]), dim, indices.to(_core.int64).expand(spread[1]))


@op("I(2, 6), size=3", "I(2, 2, 3), size=9, fill_value=7", "I(2, 4), size=0", differentiable=False)
def nonzero_static(self: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The first ``size`` rows of `nonzero`, and rows of ``fill_value`` where there are fewer."""
    if size < 0:
        raise ValueError(f"nonzero_static: 'size' must be an non-negative integer, got {size}")
    found = _core.nonzero(self.detach()).narrow(0, 0, min(size, int((self != 0).sum().item())))
    rest = _core.full((size - found.shape[0], self.dim()), fill_value, _core.int64).to(self.device)
    return _core.cat([found, rest], 0)


@op(
    "N(5), 'sum', lengths=wootz.tensor([2, 3])",
    "N(5, 2), 'mean', lengths=wootz.tensor([2, 3])",
    "C(5, 2), 'mean', lengths=wootz.tensor([2, 0, 3])",
    "N(5), 'max', lengths=wootz.tensor([2, 3])",
    "N(5, 2), 'min', lengths=wootz.tensor([1, 4]), initial=0.5",
    "N(5), 'prod', offsets=wootz.tensor([0, 2, 5])",
    "N(2, 4), 'sum', lengths=wootz.tensor([[1, 3], [2, 2]]), axis=1",
)
def segment_reduce(
    data: Tensor, reduce: str, *, lengths: Tensor | None = None, indices: Tensor | None = None,
    offsets: Tensor | None = None, axis: int = 0, unsafe: bool = False, initial: float | None = None,
) -> Tensor:  # fmt: skip
    """Sums, means, maxima, minima or products of consecutive runs along ``axis``, of these lengths or between offsets.

    The dimensions before ``axis`` have lengths of their own. ``initial`` is one more element of each run, and the
    result of an empty one; without it that is 0 of a sum, 1 of a product, NaN of a mean, an infinity of an extremum.
    Raises ValueError for lengths that do not add up to the extent, unless ``unsafe``.
    """
    names = {"sum": "sum", "mean": "mean", "max": "amax", "min": "amin", "prod": "prod"}
    if reduce not in names:
        raise ValueError(f"segment_reduce: reduce is one of {', '.join(names)}, not {reduce!r}")
    if indices is not None:
        raise NotImplementedError("segment_reduce: indices are not supported, nor in PyTorch; use lengths")
    if offsets is not None:
        lengths = offsets.narrow(-1, 1, offsets.shape[-1] - 1) - offsets.narrow(-1, 0, offsets.shape[-1] - 1)
    if lengths is None or lengths.dim() != axis + 1:
        raise ShapeError(f"segment_reduce: expected lengths or offsets of {axis + 1} dimensions")
    total = _core.sum(lengths, -1)
    if not unsafe and builtins.bool(((total != data.shape[axis]) | (lengths < 0).any(-1)).any()):
        raise ValueError(
            f"segment_reduce: expected lengths that add up to {data.shape[axis]}, found {lengths.tolist()}"
        )
    return _runs(data, names[reduce], lengths, axis, initial)


def _runs(data: Tensor, reduce: str, lengths: Tensor, axis: int, initial: float | None) -> Tensor:
    place = _core.arange(0, data.shape[axis], 1, _core.int64).to(data.device)
    ends = lengths.to(_core.int64).cumsum(-1)
    segment = (place.unsqueeze(-1) >= ends.unsqueeze(-2)).to(_core.int64).sum(-1)
    after = (1,) * (data.dim() - axis - 1)
    index = segment.reshape(segment.shape + after).expand(data.shape)
    count = lengths.reshape(lengths.shape + after).to(data.dtype)
    shape = (*data.shape[:axis], lengths.shape[-1], *data.shape[axis + 1 :])
    if reduce == "mean":
        start = _core.full(shape, 0 if initial is None else initial, data.dtype).to(data.device)
        mean = _core.scatter_add(start, axis, index, data) / count
        return mean if initial is None else _core.where(count == 0, initial, mean)
    start = _core.full(shape, _neutral(reduce, data) if initial is None else initial, data.dtype).to(data.device)
    return scatter_reduce(start, axis, index, data, reduce)


@op("B(3, 4)", "N()", "Z(5)", differentiable=False)
def argwhere(self: Tensor) -> Tensor:
    """The places of the elements that are not zero, one a row."""
    return _core.nonzero(self)


@op("N(3, 4), N(4), 0, 1", "N(3, 4), N(3), 1, -1")
def select_scatter(self: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """Self with one slice of ``dim`` replaced."""
    if src.shape != self.select(dim, index).shape:
        raise ShapeError(f"expected src to have a size equal to the slice of self: {self.select(dim, index).shape}, "
                         f"found {src.shape}")  # fmt: skip
    out = self.clone()
    out.select(dim, index).copy_(src)
    return out


@op("N(3, 4), N(3, 2), 1, 1, 3", "N(6, 2), N(3, 2), 0, None, None, 2")
def slice_scatter(
    self: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """Self with the slice start:end:step of ``dim`` replaced."""
    out = self.clone()
    into = _core.slice(out, dim, start, end, step)
    if src.shape != into.shape:
        raise ShapeError(f"expected src to have a size equal to the slice of self: {into.shape}, found {src.shape}")
    into.copy_(src)
    return out


@op("N(3, 4), N(3)", "N(3, 4), N(2), -1", "N(2, 3, 4), N(3, 2), 0, 0, 2")
def diagonal_scatter(self: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """Self with a diagonal replaced."""
    out = self.clone()
    into = out.diagonal(offset, dim1, dim2)
    if src.shape != into.shape:
        raise ShapeError(f"expected src to have a size equal to the slice of self: {into.shape}, found {src.shape}")
    into.copy_(src)
    return out
