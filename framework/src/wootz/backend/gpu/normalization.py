"""Normalisation on a GPU: the project's kernels row by row, other layouts of other ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.backend import geometry
from wootz.backend.cuda import KINDS, Cuda
from wootz.backend.gpu.pointwise import widened
from wootz.backend.gpu.rows import plan

__all__ = ["OPS"]

_Ints = Sequence[int]


def _moments(cuda: Cuda, t: Tensor, dims: _Ints, centred: bool) -> tuple[Tensor, Tensor]:
    mean = _core.mean(t, dims, True)
    around = _core.sub(t, mean) if centred else t
    return (mean if centred else _core.mul(mean, 0.0)), _core.mean(_core.square(around), dims, True)


def _sorted(dims: _Ints, ndim: int) -> tuple[int, ...]:
    return tuple(sorted(range(ndim)[d] for d in dims))


def _by_row(x: Tensor, dims: _Ints, weight: Tensor | None, bias: Tensor | None, given: Tensor | None) -> bool:
    """Whether the project's row kernels do it: the last dimensions, with a weight by element or none."""
    inner = tuple(x.shape[d] for d in dims)
    fits = all(t is None or (tuple(t.shape) == inner and t.dtype == x.dtype) for t in (weight, bias))
    return fits and given is None and dims == tuple(range(x.dim() - len(dims), x.dim())) and x.dtype.name in KINDS


def _norm_rows(
    cuda: Cuda, x: Tensor, weight: Tensor | None, bias: Tensor | None, columns: int, eps: float, centred: bool
) -> tuple[Tensor, Tensor, Tensor]:
    kind, rows = KINDS[x.dtype.name], x.numel() // columns
    wide, number = (_core.float64, np.float64) if kind == "f64" else (_core.float32, np.float32)
    out, means, scales = cuda.empty(x.shape, x.dtype), cuda.empty((rows,), wide), cuda.empty((rows,), wide)
    affine = [t.contiguous() for t in (weight, bias) if t is not None]
    launch = plan(columns, rows, x, out, *affine)
    name = "layer_norm" if centred else "rms_norm"
    held = iter(affine)
    w, b = (next(held) if t is not None else None for t in (weight, bias))
    cuda.launch(f"{name}_{kind}_{kind}", launch, x, w, b, number(eps), out, means, scales, launch.plan)
    return out, means, scales


def _normalise(
    cuda: Cuda, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor | None, var: Tensor | None,
    dims: _Ints, eps: float, centred: bool,
) -> Tensor:  # fmt: skip
    if x.numel() == 0:
        return cuda.empty(x.shape, x.dtype)
    x, dims = x.contiguous(), _sorted(dims, x.dim())
    if _by_row(x, dims, weight, bias, mean):
        return _norm_rows(cuda, x, weight, bias, prod(x.shape[d] for d in dims), eps, centred)[0]
    made: Tensor = widened(_composed)(cuda, x, weight, bias, mean, var, dims, eps, centred)
    return made


def _composed(
    cuda: Cuda, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor | None, var: Tensor | None,
    dims: _Ints, eps: float, centred: bool,
) -> Tensor:  # fmt: skip
    out, _ = _standardised(x, mean, var, dims, eps, centred)
    out = out if weight is None else _core.mul(out, weight)
    return out if bias is None else _core.add(out, bias)


def _standardised(
    x: Tensor, mean: Tensor | None, var: Tensor | None, dims: _Ints, eps: float, centred: bool
) -> tuple[Tensor, Tensor]:
    """(x - mean) / sqrt(var + eps), and the reciprocal deviation."""
    shape = tuple(1 if d in dims else n for d, n in enumerate(x.shape))
    if mean is None or var is None:
        mean = _core.mean(x, dims, True) if centred else None
        around = x if mean is None else _core.sub(x, mean)
        scale = _core.rsqrt(_core.add(_core.mean(_core.square(around), dims, True), eps))
    else:
        around = _core.sub(x, _core.reshape(mean, shape))
        scale = _core.rsqrt(_core.add(_core.reshape(var, shape), eps))
    return _core.mul(around, scale), scale


def _like(t: Tensor, shape: _Ints) -> Tensor:
    return _core.reshape(_core.sum_to_size(t, (1,) * (t.dim() - len(shape)) + tuple(shape)), tuple(shape))


def _normalise_backward(
    cuda: Cuda, grad: Tensor, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor | None,
    var: Tensor | None, dims: _Ints, eps: float, centred: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    if x.numel() == 0:
        none = cuda.empty(x.shape, x.dtype)
        return none, none, none
    x, dims = x.contiguous(), _sorted(dims, x.dim())
    inner = tuple(x.shape[d] for d in dims)
    if _by_row(x, dims, weight, bias, mean):
        return _rows_backward(cuda, grad.contiguous(), x, weight, inner, eps, centred)
    made: tuple[Tensor, Tensor, Tensor] = widened(_composed_backward)(
        cuda, grad, x, weight, bias, mean, var, dims, eps, centred
    )
    return made


def _composed_backward(
    cuda: Cuda, grad: Tensor, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor | None,
    var: Tensor | None, dims: _Ints, eps: float, centred: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    unit, scale = _standardised(x, mean, var, dims, eps, centred)
    inner = tuple(x.shape[d] for d in dims)
    h = grad if weight is None else _core.mul(grad, weight)
    dx = _core.sub(h, _core.mul(unit, _core.mean(_core.mul(h, unit), dims, True)))
    if centred:
        dx = _core.sub(dx, _core.mean(h, dims, True))
    shapes = [t.shape if t is not None else None for t in (weight, bias)]
    known = next((s for s in shapes if s is not None), inner)
    dw, db = _like(_core.mul(grad, unit), shapes[0] or known), _like(grad, shapes[1] or known)
    return _core.mul(dx, scale), dw, db


def _rows_backward(
    cuda: Cuda, grad: Tensor, x: Tensor, weight: Tensor | None, inner: _Ints, eps: float, centred: bool
) -> tuple[Tensor, Tensor, Tensor]:
    columns, kind = prod(inner), KINDS[x.dtype.name]
    rows, wide = x.numel() // columns, _core.float64 if kind == "f64" else _core.float32
    weight = None if weight is None else weight.contiguous()
    _, means, scales = _norm_rows(cuda, x, None, None, columns, eps, centred)
    dx, name = cuda.empty(x.shape, x.dtype), "layer_norm" if centred else "rms_norm"
    launch = plan(columns, rows, x, grad, dx, *([] if weight is None else [weight]))
    cuda.launch(f"{name}_backward_{kind}_{kind}", launch, grad, x, weight, means, scales, dx, launch.plan)
    launch, lines = geometry.norm_parameters(rows, columns, columns)
    parts = [cuda.empty((lines, columns), wide) for _ in range(2)]
    cuda.launch(
        f"{name}_parameters_{kind}_{KINDS[wide.name]}", launch, grad, x, means, scales, *parts, launch.plan
    )  # fmt: skip
    sums = [_core.reshape(_core.cast(_core.sum(p, (0,)), x.dtype), tuple(inner)) for p in parts]
    return dx, sums[0], sums[1]


OPS: dict[str, Callable[..., Any]] = {
    "moments": widened(_moments),
    "normalise": _normalise,
    "normalise_backward": _normalise_backward,
}
