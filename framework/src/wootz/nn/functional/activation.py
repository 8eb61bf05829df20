"""Activations: one value from each, and softmax along a dimension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import wootz
from wootz._tensor import Tensor
from wootz.ops.database import op

__all__ = [
    "celu", "celu_", "elu", "elu_", "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish",
    "hardtanh", "hardtanh_", "leaky_relu", "leaky_relu_", "log_softmax", "logsigmoid", "mish", "prelu", "relu",
    "relu6", "relu_", "rrelu", "rrelu_", "selu", "selu_", "sigmoid", "silu", "softmax", "softmin", "softplus",
    "softshrink", "softsign", "tanh", "tanhshrink", "threshold", "threshold_",
]  # fmt: skip


@op("N(2, 3)")
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return input.relu_() if inplace else wootz.relu(input)


@op("N(2, 3)", "N(4), 0.2")
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where positive, else ``negative_slope`` x."""
    return _put(lambda x: wootz.leaky_relu(x, negative_slope), input, inplace)


@op("N(2, 3)", "N(4), 0.5")
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, else alpha (exp(x) - 1)."""
    return _put(lambda x: wootz.elu(x, alpha), input, inplace)


@op("N(2, 3)", "N(4), approximate='tanh'")
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution's cumulative at x, or the tanh formula for it (Hendrycks & Gimpel 2016)."""
    return wootz.gelu(input, approximate)


@op("N(2, 3)")
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x sigmoid(x)."""
    return input.silu_() if inplace else wootz.silu(input)


@op("N(2, 3)")
def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return wootz.sigmoid(input)


@op("N(2, 3)")
def tanh(input: Tensor) -> Tensor:
    """tanh(x)."""
    return wootz.tanh(input)


@op("N(2, 3)", "N(4), 2.0, 1.0")
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta, and x itself where beta x is over ``threshold``."""
    return wootz.softplus(input, beta, threshold)


@op("N(2, 3), -1", "N(2, 3, 2), 1")
def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along ``dim``."""
    return wootz.softmax(input, dim, dtype)


@op("N(2, 3), -1", "N(2, 3, 2), 1")
def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """log(softmax(x)) along ``dim``, without overflow."""
    return wootz.log_softmax(input, dim, dtype)


@op("N(2, 3)")
def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


@op("N(2, 3)", "N(5), -0.5, 0.7")
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x, cut off at ``min_val`` and ``max_val``."""
    if min_val > max_val:
        raise ValueError(f"min_val {min_val} is over max_val {max_val}")
    return _put(lambda x: x.clamp(min_val, max_val), input, inplace)


def _put(function: Callable[[Tensor], Tensor], input: Tensor, inplace: bool) -> Tensor:
    """The function of the input, or in its place; what the derivative needs of the input is then kept beside it."""
    if not inplace:
        return function(input)
    recorded = input.requires_grad and wootz.is_grad_enabled()
    return input.copy_(function(input.clone() if recorded else input))


@op("N(2, 3), 0.1, 20.0")
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where over ``threshold``, else ``value``."""
    return _put(lambda x: wootz.where(x > threshold, x, value), input, inplace)


@op("N(2, 3)")
def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """x / 6 + 1/2, cut off at 0 and 1."""
    return _put(lambda x: (x + 3).clamp(0, 6) / 6, input, inplace)


@op("N(2, 3)")
def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x times `hardsigmoid` (Howard et al. 2019)."""
    return _put(lambda x: x * hardsigmoid(x), input, inplace)


@op("N(2, 3)")
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where it is further than ``lambd`` from 0, else 0."""
    return wootz.where(input.abs() > lambd, input, 0.0)


@op("N(2, 3)")
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved by ``lambd`` towards 0, and 0 where nearer than that."""
    if lambd < 0:
        raise ValueError(f"lambd is at least 0, not {lambd}")
    return wootz.where(input.abs() > lambd, input - input.sign() * lambd, 0.0)


@op("N(2, 3)")
def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input - wootz.tanh(input)


@op("N(2, 3)")
def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return input / (1 + input.abs())


@op("N(2, 3)", "N(4), 0.5")
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, else alpha (exp(x / alpha) - 1) (Barron 2017)."""
    if alpha == 0:
        raise ValueError("alpha is not 0")
    return _put(lambda x: wootz.where(x > 0, x, (x.clamp(max=0) / alpha).expm1() * alpha), input, inplace)


@op("N(2, 3)")
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """ELU of such a slope and height that means and variances are kept (Klambauer et al. 2017)."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return _put(lambda x: wootz.elu(x, alpha) * scale, input, inplace)


@op("N(2, 3)")
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x tanh(log(1 + exp(x))) (Misra 2020)."""
    return _put(lambda x: x * wootz.softplus(x).tanh(), input, inplace)


@op("N(2, 3)")
def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)), without overflow."""
    return input.clamp(max=0) - (-input.abs()).exp().log1p()


@op("N(2, 4)", "N(4, 2), 0")
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along ``dim``, times the sigmoid of the second (Dauphin et al. 2017)."""
    if input.dim() == 0 or input.shape[dim] % 2:
        raise ValueError(f"glu halves dimension {dim}, which has to be of even size: {tuple(input.shape)}")
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


@op("N(2, 3), P(1)", "N(2, 3, 2), P(3)", autocast="low")
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where positive, else weight x; ``weight`` is one number or one for each of dimension 1 (He et al. 2015)."""
    if weight.dim() > 1 or (weight.numel() != 1 and (input.dim() < 2 or input.shape[1] != weight.numel())):
        raise ValueError(f"{tuple(weight.shape)} weights fit no input of shape {tuple(input.shape)}: one, or shape[1]")
    slope = weight if weight.numel() == 1 else weight.reshape((-1, *(1,) * (input.dim() - 2)))
    return wootz.where(input > 0, input, input * slope)


@op("N(2, 3)")
def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """x where positive, else a x: a is uniform in [lower, upper) in training, their mean otherwise (Xu et al. 2015)."""
    if lower > upper:
        raise ValueError(f"lower {lower} is over upper {upper}")
    if not training:
        return _put(lambda x: wootz.leaky_relu(x, (lower + upper) / 2), input, inplace)
    slope = wootz.rand_like(input.detach()) * (upper - lower) + lower
    return _put(lambda x: wootz.where(x >= 0, x, x * slope), input, inplace)


@op("N(2, 3), -1", "N(2, 3, 2), 1")
def softmin(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """softmax(-x) along ``dim``."""
    return wootz.softmax(-input, dim, dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1.0, hard: bool = False, dim: int = -1) -> Tensor:
    """A draw from the categorical distribution of the logits, softened by ``tau`` so that it has a derivative.

    ``hard`` gives one-hot vectors with the soft ones' derivative (Jang et al. 2017; Maddison et al. 2017).
    """
    tiny = wootz.finfo(logits.dtype).tiny
    noise = -(-wootz.rand_like(logits.detach()).clamp(min=tiny).log()).clamp(min=tiny).log()
    soft = wootz.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    best = soft.argmax(dim, True)
    one = wootz.zeros_like(soft.detach()).scatter_add(dim, best, wootz.ones_like(best).to(soft.dtype))
    return one - soft.detach() + soft


def relu_(input: Tensor) -> Tensor:
    """`relu` in place."""
    return relu(input, True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` in place."""
    return leaky_relu(input, negative_slope, True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu` in place."""
    return elu(input, alpha, True)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu` in place."""
    return celu(input, alpha, True)


def selu_(input: Tensor) -> Tensor:
    """`selu` in place."""
    return selu(input, True)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` in place."""
    return _put(lambda x: wootz.where(x > threshold, x, value), input, True)


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """`rrelu` in place."""
    return rrelu(input, lower, upper, training, True)
