"""Keeping gradients small."""

from __future__ import annotations

from collections.abc import Iterable

import wootz
from wootz._tensor import Tensor
from wootz.errors import GradientError

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _listed(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [p.grad.detach() for p in _listed(parameters) if p.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """The norm of all elements of all tensors; raises `GradientError` if asked to where that is not finite."""
    held = _listed(tensors)
    if not held:
        return wootz.tensor(0.0)
    total = wootz.norm(wootz.stack([wootz.norm(x, norm_type) for x in held]), norm_type)
    if error_if_nonfinite and not wootz.isfinite(total).item():
        raise GradientError(f"the gradients' norm of order {norm_type} is {total.item()}: some are infinite or NaN")
    return total


def clip_grads_with_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor) -> None:
    """Scales gradients in place by max_norm / total_norm where that is below 1."""
    scale = (max_norm / (total_norm + 1e-6)).clamp(max=1.0)
    for gradient in _gradients(parameters):
        gradient.mul_(scale.to(gradient.dtype))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scales gradients in place so that their joint norm is at most ``max_norm``; returns what it was."""
    held = _listed(parameters)
    total = get_total_norm(_gradients(held), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(held, max_norm, total)
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Cuts gradients off in place at plus and minus ``clip_value``."""
    for gradient in _gradients(parameters):
        gradient.clamp_(-clip_value, clip_value)
