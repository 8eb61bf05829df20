"""The affine map."""

from __future__ import annotations

import wootz
from wootz._tensor import Tensor
from wootz.errors import ShapeError
from wootz.ops.database import op

__all__ = ["bilinear", "linear"]


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
