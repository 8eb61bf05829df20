"""Matrix products through cuBLAS, on the tensors' own memory: transposed and batched operands are not copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from wootz import _core, numerics
from wootz._core import Tensor
from wootz.backend.cuda import Cuda
from wootz.backend.gpu.movement import zeros
from wootz.backend.gpu.pointwise import assign, broadcast, wide_type
from wootz.dtypes import dtype
from wootz.errors import DTypeError, ShapeError

__all__ = ["OPS", "gemm", "product"]

# cudaDataType of the elements, cublasComputeType, and the type of the factors.
_TYPES = {
    "float32": (0, 68, np.float32), "float64": (1, 70, np.float64), "float16": (2, 68, np.float32),
    "bfloat16": (14, 68, np.float32),
}  # fmt: skip
# What products of float32 may be computed as, by `set_float32_matmul_precision`.
_ROUNDED = {"highest": 68, "high": 77, "medium": 75}
_NONE, _TRANSPOSE, _DEFAULT_ALGORITHM = 0, 1, -1


class _Matrix(NamedTuple):
    """A stack of matrices as cuBLAS takes it: in its column-major eyes each is the transpose of ours."""

    tensor: Tensor
    transposed: bool
    leading: int
    step: int


def _matrix(t: Tensor, batch: Sequence[int]) -> _Matrix:
    step = _batch_step(t, batch)
    if step is None:
        t = _core.expand(t, (*batch, *t.shape[-2:])).contiguous()
        step = t.shape[-2] * t.shape[-1]
    rows, columns = t.shape[-2:]
    down, along = t.stride()[-2:]
    if (along == 1 or columns == 1) and (down >= max(1, columns) or rows == 1):
        return _Matrix(t, False, max(down, columns, 1) if rows > 1 else max(1, columns), step)
    if (down == 1 or rows == 1) and (along >= max(1, rows) or columns == 1):
        return _Matrix(t, True, max(along, rows, 1) if columns > 1 else max(1, rows), step)
    dense = t.contiguous()
    return _matrix(dense if dense is not t else _core.clone(t), batch)


def _batch_step(t: Tensor, batch: Sequence[int]) -> int | None:
    """Elements between neighbours of the flattened batch; None where one step does not describe them."""
    own = (1,) * (len(batch) - t.dim() + 2) + tuple(t.shape[:-2])
    strides = (0,) * (len(batch) - t.dim() + 2) + tuple(t.stride()[:-2])
    step, expected = 0, None
    for n, have, stride in reversed(list(zip(batch, own, strides, strict=True))):
        if n == 1:
            continue
        actual = 0 if have == 1 else stride
        if expected is None:
            step = actual
        elif actual != expected:
            return None
        expected = actual * n
    return step


def gemm(cuda: Cuda, a: Tensor, b: Tensor, out: Tensor, keep: float = 0.0) -> None:
    """out = a b + keep out, for stacks of matrices whose batch dimensions broadcast to a contiguous ``out``'s.

    ``out`` is of the type of the two, or of float32 where they are 16-bit floats.
    """
    batch, (m, n), k = out.shape[:-2], out.shape[-2:], a.shape[-1]
    (kind, compute, number), made = _TYPES[a.dtype.name], _TYPES[out.dtype.name][0]
    compute = _ROUNDED[numerics.matmul] if kind == 0 else compute
    left, right = _matrix(a, batch), _matrix(b, batch)
    one, beta = np.array(1, number), np.array(keep, number)
    # Row-major C = A B is column-major C' = B' A'.
    cuda.cupy.cuda.cublas.gemmStridedBatchedEx(
        cuda.cupy.cuda.device.get_cublas_handle(), _TRANSPOSE if right.transposed else _NONE,
        _TRANSPOSE if left.transposed else _NONE, n, m, k, one.ctypes.data,
        right.tensor.data_ptr(), kind, right.leading, right.step,
        left.tensor.data_ptr(), kind, left.leading, left.step, beta.ctypes.data,
        out.data_ptr(), made, n, m * n, prod(batch), compute, _DEFAULT_ALGORITHM,
    )  # fmt: skip


def _check(op: str, a: Tensor, b: Tensor) -> None:
    if a.dim() == 0 or b.dim() == 0:
        raise ShapeError(f"{op}: both arguments need to be at least 1-D, but they are {a.dim()}-D and {b.dim()}-D")
    if a.dtype != b.dtype:
        raise DTypeError(f"{op}: expected the two to have the same dtype, but got {a.dtype.name} and {b.dtype.name}")
    inner = b.shape[0] if b.dim() == 1 else b.shape[-2]
    if a.shape[-1] != inner:
        raise ShapeError(f"{op}: shapes {list(a.shape)} and {list(b.shape)} cannot be multiplied")


def _matmul(cuda: Cuda, a: Tensor, b: Tensor) -> Tensor:
    _check("matmul", a, b)
    left = _core.unsqueeze(a, 0) if a.dim() == 1 else a
    right = _core.unsqueeze(b, 1) if b.dim() == 1 else b
    out = _product(cuda, left, right, a.dtype)
    shape = [*out.shape[:-2], *([out.shape[-2]] if a.dim() > 1 else []), *([out.shape[-1]] if b.dim() > 1 else [])]
    return _core.reshape(out, tuple(shape))


def product(cuda: Cuda, a: Tensor, b: Tensor) -> Tensor:
    """The product of two stacks of matrices, of 16-bit floats in float32: for what rounds later."""
    return _product(cuda, a, b, wide_type(a.dtype))


def _product(cuda: Cuda, a: Tensor, b: Tensor, kind: dtype) -> Tensor:
    shape = (*broadcast(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1])
    if a.dtype.name not in _TYPES:
        made = cuda.arrays("matmul").matmul(cuda.array(a), cuda.array(b))
        return cuda.tensor(made)
    if prod(shape) == 0 or a.shape[-1] == 0:
        return zeros(cuda, shape, kind)
    out = cuda.empty(shape, kind)
    if b.dim() == 2 and a.dim() > 2 and a.is_contiguous():  # one product of tall rows instead of many small ones
        rows = prod(shape[:-1])
        gemm(cuda, _core.reshape(a, (rows, a.shape[-1])), b, _core.reshape(out, (rows, shape[-1])))
    else:
        gemm(cuda, a, b, out)
    return out


def _linear(cuda: Cuda, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if weight.dim() != 2 or x.dim() == 0 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(f"linear: input {list(x.shape)} does not fit weight {list(weight.shape)} (out, in)")
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ShapeError(f"linear: bias {list(bias.shape)} does not fit weight {list(weight.shape)}")
    _check("linear", x, _core.transpose(weight, 0, 1))
    shape = (*x.shape[:-1], weight.shape[0])
    if bias is None or x.dtype.name not in _TYPES or 0 in (*shape, x.shape[-1]):
        made = _matmul(cuda, x, _core.transpose(weight, 0, 1))
        return made if bias is None else _core.add(made, bias)
    out = cuda.empty(shape, x.dtype)
    assign(cuda, out, bias)  # which the product is then added to
    rows = _core.reshape(x, (prod(shape[:-1]), x.shape[-1]))
    gemm(cuda, rows, _core.transpose(weight, 0, 1), _core.reshape(out, (rows.shape[0], shape[-1])), keep=1.0)
    return out


OPS: dict[str, Callable[..., Any]] = {"matmul": _matmul, "linear": _linear}
