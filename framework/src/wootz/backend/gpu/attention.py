"""Attention on a GPU: our kernels, and for what is too wide for them, cuBLAS by blocks of queries.

Either way the matrix of scores never exists as a whole. Of 16-bit floats the scores are float32, in which they cannot
overflow; as factors of a product they are rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from wootz import _core
from wootz._core import Tensor
from wootz.backend import geometry
from wootz.backend.cuda import KINDS, Cuda
from wootz.backend.geometry import Operand
from wootz.backend.gpu.matrices import product
from wootz.backend.gpu.movement import zeros
from wootz.backend.gpu.places import count_up
from wootz.backend.gpu.pointwise import as_type, assign, fill, wide_type
from wootz.backend.gpu.random import Dropout
from wootz.errors import DTypeError, ShapeError

__all__ = ["OPS"]

_QUERIES_AT_ONCE = 1024  # rows of the score matrix that exist at a time


def _scores(cuda: Cuda, q: Tensor, k: Tensor, mask: Tensor | None, scale: float, causal: bool, first: int) -> Tensor:
    s = _core.mul_(product(cuda, q, _core.transpose(k, -1, -2)), scale)
    if mask is not None:
        s = _core.where(mask, s, float("-inf")) if mask.dtype == _core.bool else _core.add(s, mask)
    if causal:
        rows, columns = count_up(cuda, q.shape[2], 1, first), count_up(cuda, k.shape[2])
        s = _core.where(_core.ge(_core.unsqueeze(rows, 1), columns), s, float("-inf"))
    return s


def _blocks(q: Tensor, k: Tensor, mask: Tensor | None) -> Iterator[tuple[int, int, Tensor | None]]:
    """Where each block of queries starts, how long it is, and its part of the mask."""
    whole = None if mask is None else _core.expand(mask, (*q.shape[:3], k.shape[2]))
    for first in range(0, q.shape[2], _QUERIES_AT_ONCE):
        n = min(_QUERIES_AT_ONCE, q.shape[2] - first)
        yield first, n, None if whole is None else _core.narrow(whole, 2, first, n)


def _check_attention(q: Tensor, k: Tensor, v: Tensor) -> None:
    if any(t.dim() != 4 or t.shape[:2] != q.shape[:2] for t in (q, k, v)):
        raise ShapeError(
            "attention: expected query, key and value (batch, heads, length, width) of one batch and heads"
        )
    if q.shape[3] != k.shape[3] or k.shape[2] != v.shape[2]:
        raise ShapeError(f"attention: query {list(q.shape)}, key {list(k.shape)} and value {list(v.shape)} do not fit")
    if not q.dtype == k.dtype == v.dtype:
        raise DTypeError("attention: expected query, key and value of one dtype")


def _attention(
    cuda: Cuda, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, causal: bool, p: float = 0.0,
    seed: int = 0, draw: int = 0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    _check_attention(q, k, v)
    drop = Dropout(p, seed, draw)
    kernel = _kernel(cuda, q, v, mask)
    if 0 in (q.numel(), k.numel(), v.numel()) or kernel is None:
        return _by_blocks(cuda, q, k, v, mask, scale, causal, drop)
    out, lse = cuda.empty((*q.shape[:3], v.shape[3]), q.dtype), cuda.empty(q.shape[:3], wide_type(q.dtype))
    q, k, v = (_rows(t) for t in (q, k, v))
    masks, plan = _plan({"query": q, "key": k, "value": v}, mask, scale, causal, drop)
    launch = geometry.tiles(q.shape[2], q.shape[0] * q.shape[1])
    cuda.launch(f"attention_{kernel}", launch, q, k, v, *masks, cuda.shift() if p else None, out, lse, plan)
    return out, lse


def _kernel(cuda: Cuda, q: Tensor, v: Tensor, mask: Tensor | None) -> str | None:
    """The end of the names of the kernels that take such rows and mask; None where there are none."""
    if mask is not None and mask.dtype not in (_core.bool, q.dtype):
        return None
    kind = KINDS.get(q.dtype.name)
    fitting = [f"{n}_{kind}_{kind}" for n in geometry.ATTENTION_WIDTHS if n >= max(q.shape[3], v.shape[3])]
    return next((end for end in fitting if f"attention_{end}" in cuda.kernels), None)


def _rows(t: Tensor) -> Tensor:
    """With the elements of a row side by side."""
    return t if t.stride()[3] == 1 else t.contiguous()


def _operand(t: Tensor) -> Operand:
    strides = tuple(0 if n == 1 else s for n, s in zip(t.shape, t.stride(), strict=True))
    return Operand(t.itemsize, strides, t.data_ptr())


def _plan(
    inputs: dict[str, Tensor], mask: Tensor | None, scale: float, causal: bool, drop: Dropout
) -> tuple[tuple[Tensor | None, Tensor | None], Any]:
    """The mask as the kernels take it, where a query may look or what to add, and their plan."""
    q, k, v = inputs["query"], inputs["key"], inputs["value"]
    operands = {name: _operand(t) for name, t in inputs.items()}
    if mask is not None:
        mask = _core.expand(mask, (*q.shape[:3], k.shape[2]))
        operands["mask"] = _operand(mask)
    lengths, widths = (q.shape[2], k.shape[2]), (q.shape[3], v.shape[3])
    plan = geometry.attention(lengths, widths, q.shape[1], operands, scale, causal, drop)
    return (mask, None) if mask is not None and mask.dtype == _core.bool else (None, mask), plan


def _attention_backward(
    cuda: Cuda, grad: Tensor, delta: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, lse: Tensor,
    scale: float, causal: bool, p: float = 0.0, seed: int = 0, draw: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    drop = Dropout(p, seed, draw)
    kernel = _kernel(cuda, q, v, mask)
    if 0 in (q.numel(), k.numel(), v.numel()) or kernel is None:
        return _gradients_by_blocks(cuda, grad, delta, q, k, v, mask, lse, scale, causal, drop)
    dq, dk, dv = (cuda.empty(t.shape, t.dtype) for t in (q, k, v))
    q, k, v, grad = (_rows(t) for t in (q, k, v, grad))
    sums = [as_type(cuda, t, wide_type(q.dtype)).contiguous() for t in (lse, delta)]
    masks, plan = _plan({"query": q, "key": k, "value": v, "grad": grad}, mask, scale, causal, drop)
    heads, given = q.shape[0] * q.shape[1], (*masks, cuda.shift() if p else None)
    queries, keys = geometry.tiles(q.shape[2], heads), geometry.tiles(k.shape[2], heads)
    cuda.launch(f"attention_queries_{kernel}", queries, q, k, v, grad, *given, *sums, dq, plan)
    cuda.launch(f"attention_keys_{kernel}", keys, q, k, v, grad, *given, *sums, dk, dv, plan)
    return dq, dk, dv


def _kept(cuda: Cuda, q: Tensor, k: Tensor, drop: Dropout) -> Tensor | None:
    """What dropout multiplies each probability with: all of them, since what a draw decides is in the order of all."""
    if not drop.p:
        return None
    whole = cuda.empty((*q.shape[:3], k.shape[2]), wide_type(q.dtype))
    fill(cuda, whole, 1.0)
    return _core.dropout(whole, *drop)


def _by_blocks(
    cuda: Cuda, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, causal: bool, drop: Dropout
) -> tuple[Tensor, Tensor]:
    out = zeros(cuda, (*q.shape[:3], v.shape[3]), q.dtype)
    lse = cuda.empty(q.shape[:3], wide_type(q.dtype))
    fill(cuda, lse, float("-inf"))
    if 0 in (q.numel(), k.numel(), v.numel()):
        return out, lse
    kept = _kept(cuda, q, k, drop)
    for first, n, part in _blocks(q, k, mask):
        s = _scores(cuda, _core.narrow(q, 2, first, n), k, part, scale, causal, first)
        total = _core.logsumexp(s, (-1,), True)
        p = _core.exp(_core.sub(s, _finite(total)))
        if kept is not None:
            p = _core.mul(p, _core.narrow(kept, 2, first, n))
        assign(cuda, _core.narrow(out, 2, first, n), product(cuda, as_type(cuda, p, v.dtype), v))
        assign(cuda, _core.narrow(lse, 2, first, n), _core.squeeze(total, (-1,)))
    return out, lse


def _finite(lse: Tensor) -> Tensor:
    return _core.where(_core.isinf(lse), 0.0, lse)


def _gradients_by_blocks(
    cuda: Cuda, grad: Tensor, delta: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, lse: Tensor,
    scale: float, causal: bool, drop: Dropout,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    if 0 in (q.numel(), k.numel(), v.numel()):
        return zeros(cuda, q.shape, q.dtype), zeros(cuda, k.shape, k.dtype), zeros(cuda, v.shape, v.dtype)
    dq, dk, dv = (zeros(cuda, t.shape, wide_type(t.dtype)) for t in (q, k, v))
    kept = _kept(cuda, q, k, drop)
    for first, n, part in _blocks(q, k, mask):
        block, g = _core.narrow(q, 2, first, n), _core.narrow(grad, 2, first, n)
        total = _core.unsqueeze(_core.narrow(lse, 2, first, n), -1)
        p = _core.exp(_core.sub(_scores(cuda, block, k, part, scale, causal, first), _finite(total)))
        dp, weight = product(cuda, g, _core.transpose(v, -1, -2)), p
        if kept is not None:
            factor = _core.narrow(kept, 2, first, n)
            dp, weight = _core.mul(dp, factor), _core.mul(p, factor)
        ds = _core.mul(_core.mul(p, _core.sub(dp, _core.unsqueeze(_core.narrow(delta, 2, first, n), -1))), scale)
        weight, ds = as_type(cuda, weight, q.dtype), as_type(cuda, ds, q.dtype)
        assign(cuda, _core.narrow(dq, 2, first, n), product(cuda, ds, k))
        _core.add_(dk, product(cuda, _core.transpose(ds, -1, -2), block))
        _core.add_(dv, product(cuda, _core.transpose(weight, -1, -2), g))
    return as_type(cuda, dq, q.dtype), as_type(cuda, dk, k.dtype), as_type(cuda, dv, v.dtype)


OPS: dict[str, Callable[..., Any]] = {
    "attention": _attention,
    "attention_backward": _attention_backward,
}
