"""Batch norms of inference as part of the layer before them."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

import wootz
from wootz._tensor import Tensor
from wootz.nn.module import Module
from wootz.nn.parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]

M = TypeVar("M", bound=Module)


def _fused(
    weight: Tensor, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float, scale: Tensor | None,
    shift: Tensor | None, output_dim: int,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    with wootz.no_grad():
        factor = (var + eps).rsqrt() * (wootz.ones_like(mean) if scale is None else scale)
        shape = [1] * weight.dim()
        shape[output_dim] = -1
        moved = (wootz.zeros_like(mean) if bias is None else bias) - mean
        added = moved * factor if shift is None else moved * factor + shift
        made = weight * factor.reshape(shape).to(weight.dtype)
    old = weight.requires_grad, weight.requires_grad if bias is None else bias.requires_grad
    return Parameter(made, old[0]), Parameter(added.to(weight.dtype), old[1])


def fuse_conv_bn_weights(
    conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor | None,
    bn_b: Tensor | None, transpose: bool = False,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """(weight, bias) of a convolution that does what the given one and a batch norm by running statistics do."""
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_weights(
    linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """`fuse_conv_bn_weights` for a linear layer."""
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _fuse(layer: M, bn: Module, output_dim: int) -> M:
    if layer.training or bn.training:
        raise ValueError("fusion is for inference: call eval() on the layer and on the batch norm")
    if bn.running_mean is None or bn.running_var is None:
        raise ValueError(f"{type(bn).__name__} has no running statistics, so it is no fixed map")
    made = deepcopy(layer)
    made.weight, made.bias = _fused(
        made.weight, made.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, output_dim
    )
    return made


def fuse_conv_bn_eval(conv: M, bn: Module, transpose: bool = False) -> M:
    """A convolution that does what ``conv`` and ``bn`` do, both in evaluation mode; raises ValueError in training."""
    return _fuse(conv, bn, 1 if transpose else 0)


def fuse_linear_bn_eval(linear: M, bn: Module) -> M:
    """`fuse_conv_bn_eval` for a linear layer."""
    return _fuse(linear, bn, 0)
