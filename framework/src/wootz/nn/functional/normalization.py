"""Normalisation by the statistics of the input."""

from __future__ import annotations

from collections.abc import Sequence

import wootz
from wootz import _core
from wootz._tensor import Tensor
from wootz.autograd import no_grad
from wootz.errors import ShapeError
from wootz.nn.functional.padding import pad
from wootz.nn.functional.pooling import avg_pool2d
from wootz.ops.database import op

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "local_response_norm", "rms_norm"]


def _trailing(input: Tensor, normalized_shape: Sequence[int]) -> list[int]:
    count = len(normalized_shape)
    if count == 0 or tuple(input.shape[-count:]) != tuple(normalized_shape):
        raise ShapeError(f"an input of shape {tuple(input.shape)} does not end in {tuple(normalized_shape)}")
    return list(range(input.dim() - count, input.dim()))


def _fit(what: str, parameter: Tensor | None, shape: Sequence[int]) -> None:
    if parameter is not None and tuple(parameter.shape) != tuple(shape):
        raise ShapeError(f"expected {what} of shape {tuple(shape)}, got {tuple(parameter.shape)}")


@op("N(2, 3), (3,), N(3), N(3)", "N(2, 3, 4), (3, 4)", tolerance=1e-11, autocast={"cuda": "wide"})
def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dimensions (Ba et al. 2016)."""
    dims = _trailing(input, normalized_shape)
    _fit("weight", weight, normalized_shape)
    _fit("bias", bias, normalized_shape)
    return _core.normalise(input, weight, bias, None, None, dims, eps)


@op("N(2, 3), (3,), N(3)", tolerance=1e-11, autocast={"cuda": "wide"})
def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last dimensions (Zhang & Sennrich 2019)."""
    dims = _trailing(input, normalized_shape)
    _fit("weight", weight, normalized_shape)
    floor = wootz.finfo(input.dtype).eps if eps is None else eps
    return _core.normalise(input, weight, None, None, None, dims, floor, False)


def _channels(name: str, input: Tensor, weight: Tensor | None, bias: Tensor | None, least: int) -> int:
    if input.dim() < least:
        raise ShapeError(f"{name} expects an input of at least {least} dimensions, got shape {tuple(input.shape)}")
    channels: int = input.shape[1]
    _fit("weight", weight, (channels,))
    _fit("bias", bias, (channels,))
    return channels


def _grouped(input: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Each image's channels in groups, normalised together."""
    n, c = input.shape[:2]
    x = input.reshape((n, groups, c // groups, input.numel() // max(1, n * c)))
    shape = (1, groups, c // groups, 1)
    weight, bias = (None if p is None else p.reshape(shape) for p in (weight, bias))
    mean, var = _core.moments(x.detach(), (2, 3)) if x.numel() else (None, None)  # for both directions
    return _core.normalise(x, weight, bias, mean, var, (2, 3), eps).reshape(input.shape)


@op("N(2, 4, 3), 2, N(4), N(4)", tolerance=1e-11, autocast={"cuda": "wide"})
def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalises groups of channels of each image [N, C, ...] together; weight and bias [C] (Wu & He 2018)."""
    channels = _channels("group_norm", input, weight, bias, 2)
    if num_groups <= 0 or channels % num_groups:
        raise ShapeError(f"{channels} channels cannot be shared out over {num_groups} groups")
    return _grouped(input, num_groups, weight, bias, eps)


def _per_channel(input: Tensor) -> tuple[Tensor, tuple[int, ...], tuple[int, ...]]:
    """The input as (images, channels, rest) or (channels, images), the dims of its moments, a weight's shape."""
    if input.dim() == 2:
        return input.transpose(0, 1), (1,), (input.shape[1], 1)
    n, c = input.shape[:2]
    return input.reshape((n, c, input.numel() // max(1, n * c))), (0, 2), (1, c, 1)


def _update(running: Tensor | None, batch: Tensor, momentum: float) -> None:
    if running is None:
        return
    with no_grad():
        running.mul_(1 - momentum).add_(batch.reshape(running.shape).to(running.dtype), alpha=momentum)


def _normalised_by_running(
    input: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    shape = (1, -1, *[1] * (input.dim() - 2))
    scale = (var + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    out = input * scale.reshape(shape) + shift.reshape(shape)
    return out.to(input.dtype)  # statistics in float32 may stand beside 16-bit data


@op("N(4, 3), None, None, N(3), N(3), True", "N(2, 3, 2), C(3), P(3).detach(), N(3), N(3)", tolerance=1e-11)
def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalises each channel of [N, C, ...] over the batch, or by the running statistics (Ioffe & Szegedy 2015).

    In training the running statistics, where given, move to the batch's by ``momentum``. Raises ValueError where one
    value a channel has no variance.
    """
    _channels("batch_norm", input, weight, bias, 2)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm by running statistics needs running_mean and running_var")
        return _normalised_by_running(input, running_mean, running_var, weight, bias, eps)
    x, dims, shape = _per_channel(input)
    count = x.numel() // max(1, input.shape[1])
    if count <= 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {tuple(input.shape)}")
    mean, var = _core.moments(x.detach(), dims)
    _update(running_mean, mean, momentum)
    _update(running_var, var * (count / (count - 1)), momentum)
    weight, bias = (None if p is None else p.reshape(shape) for p in (weight, bias))
    out = _core.normalise(x, weight, bias, mean, var, dims, eps)
    return out.transpose(0, 1) if input.dim() == 2 else out.reshape(input.shape)


@op("N(2, 3, 4)", "N(2, 2, 4), None, None, N(2), N(2)", tolerance=1e-11)
def instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalises each channel of each image of [N, C, ...] by itself (Ulyanov et al. 2016)."""
    channels = _channels("instance_norm", input, weight, bias, 3)
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise ValueError("instance_norm without use_input_stats needs running_mean and running_var")
        return _normalised_by_running(input, running_mean, running_var, weight, bias, eps)
    count = input.numel() // max(1, input.shape[0] * channels)
    if count <= 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {tuple(input.shape)}")
    if running_mean is not None or running_var is not None:
        mean, var = _core.moments(input.detach().reshape((input.shape[0], channels, count)), (2,))
        _update(running_mean, mean.mean(0), momentum)
        _update(running_var, var.mean(0) * (count / (count - 1)), momentum)
    return _grouped(input, channels, weight, bias, eps)


@op("N(2, 4, 3), 3, 0.1")
def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha mean of x^2 over ``size`` neighbouring channels)^beta, (Krizhevsky et al. 2012)."""
    if input.dim() < 3:
        raise ShapeError(f"local_response_norm expects at least 3 dimensions, got shape {tuple(input.shape)}")
    n, c = input.shape[:2]
    squares = (input * input).reshape((n, 1, c, input.numel() // max(1, n * c)))
    mean = avg_pool2d(pad(squares, (0, 0, size // 2, (size - 1) // 2)), (size, 1), 1)
    return input / (mean.reshape(input.shape) * alpha + k).pow(beta)
