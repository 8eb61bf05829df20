"""Activations: one value from each, and softmax along a dimension."""

from __future__ import annotations

from typing import Any

import wootz
from wootz._tensor import Tensor

__all__ = ["elu", "gelu", "leaky_relu", "log_softmax", "relu", "sigmoid", "silu", "softmax", "softplus", "tanh"]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return input.relu_() if inplace else wootz.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where positive, else ``negative_slope`` x."""
    return wootz.leaky_relu(input, negative_slope)


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """x where positive, else alpha (exp(x) - 1)."""
    return wootz.elu(input, alpha)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x times the normal distribution's cumulative at x, or the tanh formula for it (Hendrycks & Gimpel 2016)."""
    return wootz.gelu(input, approximate)


def silu(input: Tensor) -> Tensor:
    """x sigmoid(x)."""
    return wootz.silu(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return wootz.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """tanh(x)."""
    return wootz.tanh(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta x)) / beta, and x itself where beta x is over ``threshold``."""
    return wootz.softplus(input, beta, threshold)


def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along ``dim``."""
    return wootz.softmax(input, dim, dtype)


def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """log(softmax(x)) along ``dim``, without overflow."""
    return wootz.log_softmax(input, dim, dtype)
