"""Softmax and cross-entropy: one block or warp a row, a launch an op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wootz import _core
from wootz._core import Tensor
from wootz.backend import geometry
from wootz.backend.cuda import KINDS, Cuda
from wootz.backend.gpu.pointwise import cast
from wootz.dtypes import dtype
from wootz.errors import DTypeError, ShapeError

__all__ = ["OPS", "last", "plan"]


def plan(columns: int, count: int, *walked: Tensor) -> geometry.Launch:
    """A launch over ``count`` contiguous rows of the tensors that are walked, all of one type."""
    return geometry.rows(count, columns, columns, walked[0].itemsize, [t.data_ptr() for t in walked])


def last(t: Tensor, dim: int) -> Tensor:
    """The dimension brought last, contiguous."""
    return (t if t.dim() == 0 else _core.transpose(t, dim, -1)).contiguous()


def _real(t: Tensor, op: str) -> str:
    kind = KINDS.get(t.dtype.name, "")
    if kind not in ("f32", "f64", "f16", "bf16"):
        raise DTypeError(f"{op}: expected a floating point tensor, got {t.dtype.name}")
    return kind


def _along(cuda: Cuda, op: str, inputs: list[Tensor], dim: int) -> Tensor:
    first = inputs[0]
    for t in inputs:
        if t.shape != first.shape or t.dtype != first.dtype:
            raise ShapeError(f"{op}: {t.dtype.name}{list(t.shape)} beside {first.dtype.name}{list(first.shape)}")
    kind, rows = _real(first, op), [last(t, dim) for t in inputs]
    out = cuda.empty(rows[0].shape, first.dtype)
    columns = out.shape[-1] if out.dim() else 1
    if out.numel():
        launch = plan(columns, out.numel() // columns, *rows, out)
        cuda.launch(f"{op}_{kind}_{kind}", launch, *rows, out, launch.plan)
    return out if out.dim() == 0 else _core.transpose(out, dim, -1)


def _forward(op: str) -> Callable[..., Tensor]:
    def run(cuda: Cuda, x: Tensor, dim: int, kind: dtype | None) -> Tensor:
        kind = kind or (x.dtype if x.dtype.is_floating_point else _core.get_default_dtype())
        return _along(cuda, op, [x if x.dtype == kind else cast(cuda, x, kind)], dim)

    return run


def _backward(op: str) -> Callable[..., Tensor]:
    return lambda cuda, grad, output, dim: _along(cuda, op, [grad, output], dim)


def _labels(cuda: Cuda, x: Tensor, target: Tensor) -> Tensor:
    if x.dim() != 2 or target.dim() != 1:
        raise ShapeError(
            "cross_entropy: expected logits (rows, classes) and target (rows), got "
            f"{list(x.shape)} and {list(target.shape)}"
        )
    if x.shape[0] != target.shape[0]:
        raise ShapeError(f"Expected input batch_size ({x.shape[0]}) to match target batch_size ({target.shape[0]}).")
    if target.dtype.is_floating_point or target.dtype.name == "bool":
        raise DTypeError(f"cross_entropy: expected target of an integer dtype, got {target.dtype.name}")
    return target.contiguous() if target.dtype == _core.int64 else cast(cuda, target, _core.int64)


def _wide(kind: str) -> tuple[dtype, Any]:
    return (_core.float64, np.float64) if kind == "f64" else (_core.float32, np.float32)


def _cross_entropy(
    cuda: Cuda, x: Tensor, target: Tensor, ignore: int, smoothing: float, scale: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Losses in the compute type, and with ``scale`` (one a row) the logits' gradient, in one launch."""
    kind, labels, x = _real(x, "cross_entropy"), _labels(cuda, x, target), x.contiguous()
    rows, (wide, number) = x.shape[0], _wide(kind)
    losses, totals = cuda.empty((rows,), wide), cuda.empty((rows,), wide)
    dx = None if scale is None else cuda.empty(x.shape, x.dtype)
    if scale is not None:
        scale = _core.expand(scale if scale.dtype == wide else cast(cuda, scale, wide), (rows,)).contiguous()
    if x.numel():
        launch = plan(x.shape[1], rows, x, *([] if dx is None else [dx]))
        cuda.launch(
            f"cross_entropy_{kind}_{kind}", launch, x, labels, losses, totals, dx, scale, np.int64(1), None,
            np.int64(ignore), number(smoothing), cuda.faults(), launch.plan,
        )  # fmt: skip
    return losses, dx


def _cross_entropy_rows(cuda: Cuda, x: Tensor, target: Tensor, ignore: int, smoothing: float) -> Tensor:
    if not 0 <= smoothing <= 1:
        raise ValueError("label_smoothing must be between 0.0 and 1.0")
    losses, _ = _cross_entropy(cuda, x, target, ignore, smoothing, None)
    return losses if losses.dtype == x.dtype else cast(cuda, losses, x.dtype)


def _cross_entropy_backward(
    cuda: Cuda, x: Tensor, target: Tensor, scale: Tensor, ignore: int, smoothing: float
) -> Tensor:
    _, dx = _cross_entropy(cuda, x, target, ignore, smoothing, scale)
    assert dx is not None
    return dx


def _count_valid(cuda: Cuda, target: Tensor, ignore: int) -> Tensor:
    labels = target.contiguous() if target.dtype == _core.int64 else cast(cuda, target, _core.int64)
    kind = _core.get_default_dtype()
    wide = kind if kind.name in ("float32", "float64") else _core.float32
    out = cuda.empty((), wide)
    launch = geometry.Launch((1, 1, 1), (geometry.ROW_BLOCK, 1, 1))
    symbol = f"count_labels_i64_{KINDS[wide.name]}"
    cuda.launch(symbol, launch, labels, np.int64(labels.numel()), np.int64(ignore), out)
    return out if wide == kind else cast(cuda, out, kind)


OPS: dict[str, Callable[..., Any]] = {
    "softmax": _forward("softmax"), "log_softmax": _forward("log_softmax"),
    "softmax_backward": _backward("softmax_backward"), "log_softmax_backward": _backward("log_softmax_backward"),
    "cross_entropy_rows": _cross_entropy_rows, "cross_entropy_backward": _cross_entropy_backward,
    "count_valid": _count_valid,
}  # fmt: skip
