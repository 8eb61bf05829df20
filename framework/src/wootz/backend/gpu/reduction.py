"""Reductions: the project's deterministic folds; complex numbers are summed by parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.backend import geometry
from wootz.backend.cuda import KINDS, Cuda
from wootz.backend.geometry import GeometryError, Operand
from wootz.backend.gpu.lines import place
from wootz.backend.gpu.pointwise import as_type, cast, widened
from wootz.dtypes import dtype
from wootz.errors import DTypeError, ShapeError

__all__ = ["OPS", "dims_of", "total"]


# What a type's partial results are, and the scale's NumPy type.
_WIDE: dict[str, tuple[dtype, Any]] = {
    "f64": (_core.float64, np.float64), "i64": (_core.int64, np.int64), "boolean": (_core.bool, np.uint8),
}  # fmt: skip


def dims_of(dim: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """Dimensions in [0, ndim), sorted; None, or none at all, means every one."""
    if dim is None or dim == ():
        return tuple(range(ndim))
    given = (dim,) if isinstance(dim, int) else dim
    if ndim == 0:
        return ()
    for d in given:
        if not -ndim <= d < ndim:
            raise IndexError(f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {d})")
    wrapped = sorted(d % ndim for d in given)
    if len(set(wrapped)) < len(wrapped):
        raise ValueError(f"a dim appears multiple times in the list of dims {list(given)}")
    return tuple(wrapped)


def _shape(t: Tensor, dims: Sequence[int], keepdim: bool) -> tuple[int, ...]:
    return tuple(1 if i in dims else n for i, n in enumerate(t.shape) if keepdim or i not in dims)


def _plan(t: Tensor, dims: Sequence[int]) -> tuple[Tensor, geometry.Reduction]:
    operand = Operand(t.itemsize, (), t.data_ptr())
    try:
        return t, geometry.reduction(t.shape, t.stride(), dims, operand)
    except GeometryError:
        t = _core.clone(t)
        return t, geometry.reduction(t.shape, t.stride(), dims, Operand(t.itemsize, (), t.data_ptr()))


def _fold(cuda: Cuda, op: str, t: Tensor, dims: Sequence[int], shape: Sequence[int], scale: float = 1.0) -> Tensor:
    """The project's kernel; a mean is a sum whose scale is 1 / count. A number's partial results are as wide as itself
    or of float32."""
    kind = KINDS[t.dtype.name]
    wide, number = _WIDE.get(kind, (_core.float32, np.float32))
    out = cuda.empty(shape, t.dtype)
    if out.numel() == 0:
        return out
    t, plan = _plan(t, dims)
    if plan.final is None:
        cuda.launch(f"{op}_{kind}_{kind}", plan.first, t, out, number(scale), plan.first.plan)
        return out
    partial, name = cuda.empty((plan.splits * out.numel(),), wide), KINDS[wide.name]
    cuda.launch(f"{op}_{kind}_{name}", plan.first, t, partial, number(1), plan.first.plan)
    folded = out if wide == t.dtype else cuda.empty(shape, wide)
    cuda.launch(f"{op}_{name}_{name}", plan.final, partial, folded, number(scale), plan.final.plan)
    return folded if wide == t.dtype else cast(cuda, folded, t.dtype)


def total(cuda: Cuda, op: str, t: Tensor, dim: Any, keepdim: bool, kind: dtype | None, scale: float = 1.0) -> Tensor:
    """sum, prod or mean in the type asked for, else in t's own, integers in int64."""
    dims = dims_of(dim, t.dim())
    result = kind or (t.dtype if t.dtype.is_floating_point or t.dtype.is_complex else _core.int64)
    if result.is_complex:
        return _complex_total(cuda, op, t if t.dtype == result else cast(cuda, t, result), dims, keepdim, scale)
    wide = result if result.is_floating_point else _core.int64
    folded = _fold(cuda, op, t if t.dtype == wide else cast(cuda, t, wide), dims, _shape(t, dims, keepdim), scale)
    return folded if folded.dtype == result else cast(cuda, folded, result)


def _complex_total(cuda: Cuda, op: str, t: Tensor, dims: Sequence[int], keepdim: bool, scale: float) -> Tensor:
    shape = _shape(t, dims, keepdim)
    if op == "sum":
        return _core.view_as_complex(_fold(cuda, op, _core.view_as_real(t), dims, (*shape, 2), scale))
    made = cuda.arrays(op).prod(cuda.array(t), axis=tuple(dims), keepdims=keepdim, dtype=t.dtype.name)
    return _core.reshape(cuda.tensor(made), shape)


def _mean(cuda: Cuda, t: Tensor, dim: Any, keepdim: bool, kind: dtype | None) -> Tensor:
    kind = kind or t.dtype
    if not (kind.is_floating_point or kind.is_complex):
        raise DTypeError(f"mean(): Input dtype must be a floating point dtype. Got: {kind.name}")
    count = prod(t.shape[d] for d in dims_of(dim, t.dim()))
    return total(cuda, "sum", t, dim, keepdim, kind, 1 / count if count else float("nan"))


def _var(cuda: Cuda, t: Tensor, dim: Any, correction: float, keepdim: bool) -> Tensor:
    if not (t.dtype.is_floating_point or t.dtype.is_complex):
        raise DTypeError(f"std and var only support floating point and complex dtypes, got {t.dtype.name}")
    count = prod(t.shape[d] for d in dims_of(dim, t.dim())) - correction
    centred = _core.sub(t, _core.mean(t, dim, True))
    squares = _core.square(_core.abs(centred) if t.dtype.is_complex else centred)
    return _core.div(_core.sum(squares, dim, keepdim), max(count, 0.0))


def _extremum(op: str) -> Callable[..., Tensor]:
    def run(cuda: Cuda, t: Tensor, dim: Any, keepdim: bool) -> Tensor:
        dims = dims_of(dim, t.dim())
        if any(t.shape[d] == 0 for d in dims):
            raise IndexError(f"{op}: cannot reduce over a dimension of size 0, shape {list(t.shape)}")
        held = t.dtype.is_floating_point or t.dtype == _core.bool
        folded = _fold(cuda, op, t if held else as_type(cuda, t, _core.int64), dims, _shape(t, dims, keepdim))
        return as_type(cuda, folded, t.dtype)

    return run


def _position(op: str) -> Callable[..., Tensor]:
    def run(cuda: Cuda, t: Tensor, dim: int | None, keepdim: bool) -> Tensor:
        dims = dims_of(dim, t.dim())
        if any(t.shape[d] == 0 for d in dims):
            raise IndexError(f"{op}: cannot reduce over a dimension of size 0, shape {list(t.shape)}")
        whole = dim is None or t.dim() == 0
        line = _core.reshape(t, (t.numel(),)) if whole else t
        return _core.reshape(place(cuda, op, line, 0 if whole else dims[0]), _shape(t, dims, keepdim))

    return run


def _truth(op: str) -> Callable[..., Tensor]:
    def run(cuda: Cuda, t: Tensor, dim: Any, keepdim: bool) -> Tensor:
        dims = dims_of(dim, t.dim())
        held = _core.ne(t, 0) if t.dtype.is_complex else as_type(cuda, t, _core.bool)
        return _fold(cuda, op, held, dims, _shape(t, dims, keepdim))

    return run


def _logsumexp(cuda: Cuda, t: Tensor, dim: Any, keepdim: bool) -> Tensor:
    x = t if t.dtype.is_floating_point or t.dtype.is_complex else cast(cuda, t, _core.get_default_dtype())
    dims = dims_of(dim, t.dim())
    if any(t.shape[d] == 0 for d in dims):
        return _core.log(_core.sum(x, dim, keepdim))
    peak = _core.amax(_core.view_as_real(x).select(-1, 0) if x.dtype.is_complex else x, dims, True)
    peak = _core.where(_core.isinf(peak), 0.0, peak)
    out = _core.add(_core.log(_core.sum(_core.exp(_core.sub(x, peak)), dims, True)), peak)
    return _core.reshape(out, _shape(t, dims, keepdim))


def _sum_to_size(cuda: Cuda, t: Tensor, size: Sequence[int]) -> Tensor:
    skip = t.dim() - len(size)
    if skip < 0 or any(n not in (1, m) for n, m in zip(size, t.shape[skip:], strict=True)):
        raise ShapeError(f"size {list(size)} is not expandable to size {list(t.shape)}")
    dims = [d for d in range(t.dim()) if d < skip or (size[d - skip] == 1 and t.shape[d] != 1)]
    if not dims:
        return _core.clone(t)
    return _core.reshape(total(cuda, "sum", t, tuple(dims), True, t.dtype), tuple(size))


OPS: dict[str, Callable[..., Any]] = {
    "sum": lambda cuda, t, dim, keepdim, kind: total(cuda, "sum", t, dim, keepdim, kind),
    "prod": lambda cuda, t, dim, keepdim, kind: total(cuda, "prod", t, dim, keepdim, kind),
    "mean": _mean, "var": widened(_var), "amax": _extremum("amax"), "amin": _extremum("amin"),
    "argmax": _position("argmax"), "argmin": _position("argmin"), "any": _truth("amax"), "all": _truth("amin"),
    "logsumexp": widened(_logsumexp), "sum_to_size": _sum_to_size,
}  # fmt: skip
