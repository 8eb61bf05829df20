"""Filling parameters with first values. Each function changes its tensor in place, records no gradient, returns it.

``generator`` is where random numbers come from; without it the default one, which `wootz.manual_seed` sets.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import wootz
from wootz._tensor import Tensor

__all__ = [
    "calculate_gain", "constant_", "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "normal_", "ones_",
    "orthogonal_", "sparse_", "trunc_normal_", "uniform_", "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip


def _set(tensor: Tensor, value: Tensor) -> Tensor:
    tensor.detach().copy_(value)
    return tensor


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in [a, b)."""
    return _set(tensor, wootz.rand(tensor.shape, generator=generator, dtype=tensor.dtype) * (b - a) + a)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with the given mean and standard deviation."""
    return _set(tensor, wootz.randn(tensor.shape, generator=generator, dtype=tensor.dtype) * std + mean)


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, generator: Any = None
) -> Tensor:
    """Normal, cut off below ``a`` and above ``b`` (not standard deviations) by drawing the others again."""
    if not a < b:
        raise ValueError(f"the bounds are out of order: a={a}, b={b}")
    value = wootz.randn(tensor.shape, generator=generator, dtype=tensor.dtype) * std + mean
    for _ in range(1000):
        outside = (value < a) | (value > b)
        if not outside.any().item():
            return _set(tensor, value)
        again = wootz.randn(tensor.shape, generator=generator, dtype=tensor.dtype) * std + mean
        value = wootz.where(outside, again, value)
    raise ValueError(f"[{a}, {b}] is too far from a normal of mean {mean} and deviation {std} to draw from")


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One value everywhere."""
    tensor.detach().fill_(val)
    return tensor


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity, for a matrix."""
    if tensor.dim() != 2:
        raise ValueError(f"the identity is a matrix, not of {tensor.dim()} dimensions")
    rows, columns = (wootz.arange(n) for n in tensor.shape)
    return _set(tensor, (rows.unsqueeze(1) == columns.unsqueeze(0)).to(tensor.dtype))


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """How much a nonlinearity shrinks its input's deviation, inverted (He et al. 2015)."""
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        return math.sqrt(2.0 / (1 + slope**2))
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 0.75}
    gains |= {f"conv{kind}{n}d": 1.0 for kind in ("", "_transpose") for n in (1, 2, 3)}
    if nonlinearity not in gains:
        raise ValueError(f"no gain is known for {nonlinearity!r}; known: {', '.join(sorted([*gains, 'leaky_relu']))}")
    return gains[nonlinearity]


def _fans(tensor: Tensor) -> tuple[int, int]:
    """Inputs and outputs of one unit: a weight is [out, in, *kernel]."""
    if tensor.dim() < 2:
        raise ValueError(f"fan in and fan out need at least 2 dimensions, not {tensor.dim()}")
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform with variance 2 gain^2 / (fan in + fan out) (Glorot & Bengio 2010)."""
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal with variance 2 gain^2 / (fan in + fan out) (Glorot & Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out', not {mode!r}")
    fan_in, fan_out = _fans(tensor)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan_in if mode == "fan_in" else fan_out)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Uniform with variance gain^2 / fan (He et al. 2015); ``a`` is a leaky ReLU's slope."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", generator: Any = None
) -> Tensor:
    """Normal with variance gain^2 / fan (He et al. 2015); ``a`` is a leaky ReLU's slope."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """Rows or columns, whichever are fewer, orthonormal times ``gain``; [out, *] is taken as a matrix of out rows.

    Uniform over such matrices (Mezzadri 2007; for networks Saxe et al. 2014).
    """
    if tensor.dim() < 2:
        raise ValueError(f"an orthogonal matrix has at least 2 dimensions, not {tensor.dim()}")
    if not tensor.numel():
        return tensor
    rows = tensor.shape[0]
    drawn = wootz.randn((rows, tensor.numel() // rows), generator=generator, dtype=wootz.float64).numpy()
    q, r = np.linalg.qr(drawn if drawn.shape[0] >= drawn.shape[1] else drawn.T)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    matrix = np.ascontiguousarray(q if drawn.shape[0] >= drawn.shape[1] else q.T)
    return _set(tensor, (wootz.from_numpy(matrix) * gain).to(tensor.dtype).reshape(tensor.shape))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> Tensor:
    """A matrix of normal numbers, the given part of each column zero (Martens 2010)."""
    if tensor.dim() != 2:
        raise ValueError(f"a sparse matrix has 2 dimensions, not {tensor.dim()}")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity is in [0, 1], not {sparsity}")
    rows, columns = tensor.shape
    order = np.argsort(wootz.rand((rows, columns), generator=generator).numpy(), axis=0)
    keep = np.argsort(order, axis=0) >= math.ceil(sparsity * rows)
    value = wootz.randn((rows, columns), generator=generator, dtype=tensor.dtype) * std
    return _set(tensor, value * wootz.from_numpy(keep).to(tensor.dtype))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution's weight [out, in, *kernel] that hands its input through, as many channels as there are."""
    if not 3 <= tensor.dim() <= 5 or tensor.shape[0] % groups:
        raise ValueError(f"a convolution's weight is needed, its outputs a multiple of {groups}: {tuple(tensor.shape)}")
    value = np.zeros(tensor.shape)
    outputs = tensor.shape[0] // groups
    middle = tuple(size // 2 for size in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(outputs, tensor.shape[1])):
            value[(group * outputs + channel, channel, *middle)] = 1
    return _set(tensor, wootz.from_numpy(value).to(tensor.dtype))
