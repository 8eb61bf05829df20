"""The affine map."""

from __future__ import annotations

from typing import Any

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.ops.database import op

__all__ = ["bilinear", "grouped_mm", "linear"]


@op("N(4, 3), N(2, 3), N(2)", "N(2, 4, 3), N(2, 3)")
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input weight^T + bias over the last dimension; weight is [out, in]."""
    return wootz.linear(input, weight, bias)


@op("N(4, 2), N(4, 3), N(2, 2, 3), N(2)", autocast={"cuda": "widest"})
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input1 weight[k] input2 + bias[k] for each output k: [*, I], [*, J] and [K, I, J] to [*, K]."""
    lead, (outputs, rows, columns) = input1.shape[:-1], weight.shape
    if input2.shape[:-1] != lead or (input1.shape[-1], input2.shape[-1]) != (rows, columns):
        shapes = [tuple(x.shape) for x in (input1, input2, weight)]
        raise ShapeError(f"bilinear takes [*, I], [*, J] and [K, I, J], not {shapes}")
    left = input1.reshape((-1, rows)) @ weight.permute((1, 0, 2)).reshape((rows, outputs * columns))
    out = (left.reshape((-1, outputs, columns)) * input2.reshape((-1, 1, columns))).sum(-1).reshape((*lead, outputs))
    return out if bias is None else out + bias


@op("N(5, 2), N(2, 2, 3), offs=wootz.tensor([2, 5])", "N(2, 2, 3), N(2, 3, 2)",
    "N(2, 2, 3), N(3, 4), offs=wootz.tensor([1, 4])", "N(2, 4), N(4, 3), offs=wootz.tensor([1, 4])",
    peer="", tolerance=1e-12)  # fmt: skip
def grouped_mm(
    mat_a: Tensor, mat_b: Tensor, *, offs: Tensor | None = None, bias: Tensor | None = None, out_dtype: Any = None
) -> Tensor:
    """The products of groups of matrices, as of experts that get different numbers of tokens.

    A 3-d operand holds a matrix a group; a 2-d one is cut where ``offs`` [groups] says each group ends: rows of a by
    b [groups, K, N] to [rows, N], columns of b by a [groups, M, K] to [M, columns], or the inner dimension of both to
    [groups, M, N]. Without ``offs`` both are 3-d. What lies behind the last group is zero, and counts nothing. Raises
    ShapeError for other shapes.
    """
    dims = (mat_a.dim(), mat_b.dim())
    if not set(dims) <= {2, 3} or (offs is None) != (dims == (3, 3)):
        raise ShapeError(f"grouped_mm takes two 3-d tensors, or offs and a 2-d one, not {dims[0]}-d and {dims[1]}-d")
    out = mat_a @ mat_b if offs is None else _by_groups(mat_a, mat_b, [int(n) for n in offs.tolist()])
    out = out if bias is None else out + bias
    return out if out_dtype is None else out.to(out_dtype)


def _by_groups(a: Tensor, b: Tensor, ends: list[int]) -> Tensor:
    """Each group's product, side by side or stacked."""
    inner, length = a.dim() == b.dim() == 2, a.shape[0] if a.dim() == 2 and b.dim() == 3 else b.shape[-1]
    length = a.shape[1] if inner else length
    starts = [0, *ends[:-1]]
    given = [len(x) for x in (a, b) if x.dim() == 3]
    if any(n != len(ends) for n in given) or sorted(ends) != ends or not ends or ends[-1] > length or ends[0] < 0:
        raise ShapeError(f"{len(ends)} groups that end at {ends} do not fit {tuple(a.shape)} and {tuple(b.shape)}")
    spans = list(enumerate(zip(starts, ends, strict=True)))
    if inner:
        return wootz.stack([a[:, start:end] @ b[start:end] for _, (start, end) in spans])
    if a.dim() == 2:
        rest = wootz.zeros((length - ends[-1], b.shape[2]), dtype=a.dtype, device=a.device)
        return wootz.cat([*(a[start:end] @ b[i] for i, (start, end) in spans), rest])
    rest = wootz.zeros((a.shape[1], length - ends[-1]), dtype=a.dtype, device=a.device)
    return wootz.cat([*(a[i] @ b[:, start:end] for i, (start, end) in spans), rest], 1)
